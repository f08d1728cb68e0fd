package awswire

import (
	"net/http"
)

// Authenticate checks the signature of a request that is for none of a Mux's services, and says whose key it is. service is
// the name that must stand in the credential's scope, and body the request's body, which has been read. The error's text is
// for the client; it is or wraps an *Error, of status 500 if the lookup itself has failed.
func (v *Verifier) Authenticate(r *http.Request, service string, body []byte) (Credential, error) {
	s, parseErr := ParseSignature(r)
	cred, p := v.check(r, s, parseErr, func() (string, *authProblem) { return hashed(r, body) })
	switch {
	case p == nil && s.Service != service:
		p = &authProblem{fault: authMismatch, text: "Credential should be scoped to correct service: '" + service + "'."}
	case p == nil:
		return cred, nil
	case p.cause != nil:
		return Credential{}, &Error{Code: "InternalFailure", Status: http.StatusInternalServerError, Message: "internal error", Server: true, Cause: p.cause}
	}
	c := authCodes[p.fault].rest
	return Credential{}, &Error{Code: c.code, Status: c.status, Message: p.text}
}

// throttled is how a protocol says that a client is too quick. The codes are among those that AWS's SDKs wait and try again
// after; AWS Batch's is unverified (section 1.3 of the reference). JSON 1.1 and Query send theirs with 400 at AWS; 429 says
// the same to who reads no code, and the SDKs go by the code.
var throttled = map[Protocol]authCode{
	RestJSON1: {"TooManyRequestsException", http.StatusTooManyRequests},
	AWSJSON11: {"ThrottlingException", http.StatusTooManyRequests},
	Query:     {"Throttling", http.StatusTooManyRequests},
	EC2Query:  {"RequestLimitExceeded", http.StatusServiceUnavailable},
	restXML:   {"SlowDown", http.StatusServiceUnavailable},
}

// Throttle answers a request, whose body it does not read, with the protocol's word for "too many".
func (m *Mux) Throttle(w http.ResponseWriter, r *http.Request) {
	x := m.exchange(w, r)
	if x.svc = m.named(x); x.svc == nil {
		x.svc = &service{Service: Service{Protocol: x.likely()}}
	}
	c := throttled[x.svc.Protocol]
	x.call.Service = x.svc.Name
	x.fail(&Error{Code: c.code, Status: c.status, Message: "Rate exceeded"})
}

// named is the service that a request's header names, nil if it names none.
func (m *Mux) named(x *exchange) *service {
	if x.sig != nil {
		return m.bySigner[x.sig.Service]
	}
	for prefix, s := range m.byTarget {
		if target := x.r.Header.Get("X-Amz-Target"); len(target) > len(prefix) && target[:len(prefix)+1] == prefix+"." {
			return s
		}
	}
	return nil
}
