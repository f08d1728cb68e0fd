package awswire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

// exchange is one request on its way through the Mux.
type exchange struct {
	m     *Mux
	w     http.ResponseWriter
	r     *http.Request
	start time.Time // by Options.Now
	// arrived is when the request's header was here, on the real clock.
	arrived time.Time
	call    Call
	sig     *Signature
	// sigErr is why sig can't be verified, if it can't.
	sigErr error

	svc *service // nil if the request is for a service that is not here
	op  *operation
	// form are the parameters of a Query request.
	form   *form
	labels []label
}

// ServeHTTP answers a request, or hands it to the fallback if it is not AWS's.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := m.exchange(w, r)
	body, mine, err := x.route()
	if !mine {
		if m.opts.Fallback != nil {
			m.opts.Fallback.ServeHTTP(w, r)
			return
		}
		err = &Error{Code: "UnknownOperationException", Status: http.StatusNotFound,
			Message: fmt.Sprintf("%s %s is a request of no AWS service", r.Method, r.URL.Path)}
	}
	if x.svc == nil {
		if mine && m.opts.Others != nil {
			x.other()
			return
		}
		x.refuseUnknown(err)
		return
	}
	x.call.Service = x.svc.Name
	if err != nil {
		x.fail(err)
		return
	}
	x.serve(body)
}

func (m *Mux) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{m: m, w: w, r: r, start: m.opts.Now(), arrived: time.Now()}
	x.sig, x.sigErr = ParseSignature(r)
	x.identify()
	return x
}

// identify fills what the call knows of its caller.
func (x *exchange) identify() {
	c, r := &x.call, x.r
	c.RequestID = x.m.opts.NewRequestID()
	c.Account, c.Region = x.m.opts.DefaultAccount, x.m.opts.DefaultRegion
	c.Host, c.Scheme, c.Header = r.Host, "http", r.Header
	if r.TLS != nil {
		c.Scheme = "https"
	}
	if s := x.sig; s != nil {
		c.AccessKeyID, c.SessionToken, c.Region = s.AccessKeyID, s.SessionToken, s.Region
		if IsAccount(s.AccessKeyID) {
			c.Account = s.AccessKeyID
		}
	}
}

// serve answers a request of a known service. body is nil if the route did not have to read it.
func (x *exchange) serve(body []byte) {
	s := x.svc
	if !IsRegion(x.call.Region) {
		x.fail(s.authError(authMismatch, fmt.Sprintf("Credential should be scoped to a valid region, not '%.64s'.", x.call.Region)))
		return
	}
	operation, refusal := x.findOperation()
	x.call.Operation = operation
	if body == nil {
		limit := s.maxBody
		if x.op != nil {
			limit = x.op.MaxBody
		}
		var err *problem
		if body, err = readBody(x.r, limit); err != nil {
			x.fail(s.problemError(&x.call, err))
			return
		}
	}
	authenticate := x.attribute
	if x.m.opts.Verifier != nil {
		authenticate = func() *Error { return x.verify(body) }
	}
	if err := authenticate(); err != nil {
		x.fail(err)
		return
	}
	if refusal != nil {
		x.fail(refusal)
		return
	}
	in := x.op.newInput()
	if err := x.decode(body, reflect.ValueOf(in).Elem()); err != nil {
		x.fail(s.problemError(&x.call, err))
		return
	}
	out, err := x.op.invokeSafely(x.r.Context(), &x.call, in)
	if err != nil {
		x.fail(s.wireError(&x.call, err))
		return
	}
	x.succeed(out)
}

// decode makes the input of the body, the form, the path and the query.
func (x *exchange) decode(body []byte, in reflect.Value) *problem {
	s, p := x.svc, x.op.in
	var seen bits
	var missing []string
	var err *problem
	switch s.Protocol {
	case Query, EC2Query:
		seen, missing, err = decodeForm(x.form, s.Protocol, p, in)
	case AWSJSON11:
		if len(body) == 0 {
			return malformedf("the request has no body; one without members is {}")
		}
		x.call.Body = body
		seen, missing, err = decodeJSON(body, p, in)
	case RestJSON1:
		if len(body) > 0 {
			x.call.Body = body
		}
		if seen, missing, err = decodeJSON(body, p, in); err == nil {
			err = x.bind(p, in, &seen)
		}
	}
	if err != nil {
		return err
	}
	if !seen.covers(p.required) {
		missing = append(noteMissing(nil, nil, p, seen), missing...)
	}
	return missingProblem(s.Protocol, missing)
}

// bind fills the members that come from the path and the query.
func (x *exchange) bind(p *plan, in reflect.Value, seen *bits) *problem {
	for _, l := range x.labels {
		i, _ := p.index([]byte(l.member)) // the router has looked
		v := l.value
		*in.Field(p.fields[i].index).Addr().Interface().(**string) = &v
		seen.set(i)
	}
	if len(x.op.query) == 0 {
		return nil
	}
	q, err := parseParameters(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, i := range x.op.query {
		f := &p.fields[i]
		var values []string
		for _, kv := range q {
			if kv.key == f.in {
				values = append(values, kv.value)
			}
		}
		switch dst := in.Field(f.index).Addr().Interface().(type) {
		case *[]string:
			*dst = values
		case **string:
			*dst = nil
			if len(values) > 1 {
				return &problem{kind: badValue, text: fmt.Sprintf("the query parameter %q is given twice", f.in)}
			}
			if len(values) == 1 {
				*dst = &values[0]
			}
		}
		if len(values) > 0 {
			seen.set(i)
		}
	}
	return nil
}

// readBody reads the whole body, or says that it is over the limit.
func readBody(r *http.Request, limit int64) ([]byte, *problem) {
	tooBig := &problem{kind: tooLarge, text: fmt.Sprintf("the request body is larger than the %d bytes allowed", limit)}
	if r.ContentLength > limit {
		return nil, tooBig
	}
	if r.Body == nil || r.ContentLength == 0 {
		return []byte{}, nil
	}
	var body []byte
	var err error
	if n := r.ContentLength; n > 0 && n <= 64<<10 {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		// What the client claims is not allocated before it has arrived.
		body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	}
	switch {
	case err != nil:
		return nil, malformedf("the request body could not be read: %v", err)
	case int64(len(body)) > limit:
		return nil, tooBig
	}
	return body, nil
}

// wireError puts a handler's error on the wire.
func (s *service) wireError(c *Call, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var p *panicError
	if s.MapError != nil && !errors.As(err, &p) {
		if e := s.MapError(c, err); e != nil {
			if e.Cause == nil {
				e.Cause = err
			}
			return e
		}
	}
	code := s.InternalCode
	if code == "" {
		code = "InternalFailure"
	}
	return &Error{Code: code, Message: "internal error", Server: true, Cause: err}
}

// status is the HTTP status of an error.
func (e *Error) status() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Server:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// panicError is a handler's panic.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(v any) *panicError { return &panicError{value: v, stack: debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// refuseUnknown answers a request for a service that is not here, or no service's, in a form its client can most likely read.
func (x *exchange) refuseUnknown(err *Error) {
	x.svc = &service{Service: Service{Protocol: x.likely()}}
	x.fail(err)
}

// likely is the protocol that the client of a service that is not here most likely speaks.
func (x *exchange) likely() Protocol {
	media := mediaType(x.r.Header)
	switch {
	case x.sig != nil && x.sig.Service == "s3":
		return restXML
	case x.r.Header.Get("X-Amz-Target") != "" || strings.HasPrefix(media, "application/x-amz-json"):
		return AWSJSON11
	case media == formMedia || x.form != nil:
		return Query
	}
	return RestJSON1
}

// report logs the answer and tells the hook.
func (x *exchange) report(status int, e *Error) {
	o := &x.m.opts
	rec := Record{Service: x.call.Service, Operation: x.call.Operation, RequestID: x.call.RequestID, Account: x.call.Account,
		Region: x.call.Region, Status: status, Duration: o.Now().Sub(x.start)}
	ctx := x.r.Context()
	level := slog.LevelDebug
	if e != nil {
		rec.Code = e.Code
		gone := ctx.Err() != nil && errors.Is(e.Cause, context.Canceled)
		if status >= http.StatusInternalServerError && !gone {
			level = slog.LevelWarn
		}
	}
	if o.Logger.Enabled(ctx, level) {
		attrs := []slog.Attr{
			slog.String("service", rec.Service), slog.String("operation", rec.Operation), slog.String("request", rec.RequestID),
			slog.String("account", rec.Account), slog.String("region", rec.Region), slog.Int("status", status),
			slog.Duration("duration", rec.Duration),
		}
		if e != nil {
			attrs = append(attrs, slog.String("code", e.Code), slog.String("message", e.Message))
			if e.Cause != nil {
				attrs = append(attrs, slog.Any("cause", e.Cause))
			}
		}
		o.Logger.LogAttrs(ctx, level, "request", attrs...)
	}
	if o.OnRequest != nil {
		o.OnRequest(ctx, rec)
	}
}
