package awswire

import (
	"bytes"
	"io"
	"net/http"
)

// maxBuffered bounds a body that has to be read for its hash before it can be passed on.
const maxBuffered = 16 << 20

// ServeOther hands a request to Options.Others as ServeHTTP does with one for a service that is not provided. It is for a
// Fallback that finds that a request is not its own: such as S3's without a signature, which nothing tells from others.
func (m *Mux) ServeOther(w http.ResponseWriter, r *http.Request) { m.exchange(w, r).other() }

// Refuse answers a request for a service that is not provided with an error, in the form that its client can most likely
// read.
func (m *Mux) Refuse(w http.ResponseWriter, r *http.Request, e *Error) {
	m.exchange(w, r).refuseUnknown(e)
}

// other hands the request to Options.Others, if its signature holds.
func (x *exchange) other() {
	if x.m.opts.Verifier != nil {
		if err := x.verifyOther(); err != nil {
			x.refuseUnknown(err)
			return
		}
	}
	x.m.opts.Others.ServeHTTP(x.w, x.r)
}

// verifyOther checks the signature of a request for a service that is not provided; there must be one. What stands for the
// body in it is what the client says: the hash of a body that is to be passed on as it comes is not known before its end, and
// S3 takes unsigned ones. Where the client says nothing, the body is read.
func (x *exchange) verifyOther() *Error {
	r := x.r
	x.svc = &service{Service: Service{Protocol: x.likely()}}
	_, p := x.m.opts.Verifier.check(r, x.sig, x.sigErr, func() (string, *authProblem) {
		if h := r.Header.Get("X-Amz-Content-Sha256"); h != "" {
			return h, nil
		}
		if x.sig.Presigned && x.sig.Service == "s3" {
			return "UNSIGNED-PAYLOAD", nil
		}
		body, err := readBody(r, maxBuffered)
		if err != nil {
			return "", &authProblem{fault: authIncomplete, text: err.text}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return hashed(r, body)
	})
	if p == nil {
		return nil
	}
	return x.refuseSignature(p)
}
