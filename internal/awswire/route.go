package awswire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const formMedia = "application/x-www-form-urlencoded"

func mediaType(h http.Header) string {
	ct := h.Get("Content-Type")
	if i := strings.IndexByte(ct, ';'); i >= 0 {
		ct = ct[:i]
	}
	return strings.ToLower(strings.TrimSpace(ct))
}

// route finds the service of a request: by the signature's scope; else by X-Amz-Target; else by the Action of a form or a
// query string; else by a RestJSON1 path. mine is false if nothing of that kind is there. The body is returned if it had to
// be read. An error without x.svc is for a service that is not here.
func (x *exchange) route() (body []byte, mine bool, err *Error) {
	r := x.r
	target := r.Header.Get("X-Amz-Target")
	switch {
	case x.sig != nil:
		if x.svc = x.m.bySigner[x.sig.Service]; x.svc == nil {
			return nil, true, x.m.unknownService(x.sig.Service)
		}
	case target != "":
		prefix, _, _ := strings.Cut(target, ".")
		if x.svc = x.m.byTarget[prefix]; x.svc == nil {
			return nil, true, x.m.unknownService(prefix)
		}
	default:
		for _, s := range x.m.rest {
			if _, _, ok := s.routes.find(r.URL.EscapedPath()); ok || s.refusedAt(r.URL.EscapedPath()) != "" {
				x.svc = s
				return nil, true, nil
			}
		}
		return x.routeForm()
	}
	if x.svc.Protocol == Query || x.svc.Protocol == EC2Query {
		body, err = x.readForm(x.svc.maxBody)
	}
	return body, true, err
}

// routeForm finds the service of an unsigned Query request by its Action and Version.
func (x *exchange) routeForm() (body []byte, mine bool, err *Error) {
	r := x.r
	if len(x.m.query) == 0 || r.URL.Path != "/" && r.URL.Path != "" {
		return nil, false, nil
	}
	post := r.Method == http.MethodPost && mediaType(r.Header) == formMedia
	if !post && !strings.Contains(r.URL.RawQuery, "Action=") {
		return nil, false, nil
	}
	var limit int64
	for _, s := range x.m.query {
		limit = max(limit, s.maxBody)
	}
	// Until the service is known, an error can only be the first one's.
	x.svc = x.m.query[0]
	if body, err = x.readForm(limit); err != nil {
		return nil, true, err
	}
	action, version := x.form.text("Action"), x.form.text("Version")
	x.svc = nil
	for _, s := range x.m.query {
		if version == s.Version || version == "" && s.knows(action) {
			x.svc = s
			return body, true, nil
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // for whoever gets the request
	if action == "" {
		x.form = nil
		return nil, false, nil
	}
	return nil, true, &Error{Code: "InvalidAction", Message: fmt.Sprintf(
		"Could not find operation %s for version %s among the services provided: %s", action, version, x.m.names())}
}

// readForm reads the parameters of a Query request from body and query string.
func (x *exchange) readForm(limit int64) ([]byte, *Error) {
	s, r := x.svc, x.r
	body, p := readBody(r, limit)
	if p == nil && len(body) > 0 && mediaType(r.Header) != formMedia {
		p = &problem{kind: wrongMedia, text: fmt.Sprintf("the content type %q is not %s", r.Header.Get("Content-Type"), formMedia)}
	}
	if p == nil {
		x.form, p = parseForm(r.URL.RawQuery, body)
	}
	if p != nil {
		return nil, s.problemError(&x.call, p)
	}
	return body, nil
}

func (s *service) knows(operation string) bool {
	return s.ops[operation] != nil || s.Refused[operation] != ""
}

func (m *Mux) names() string {
	var names []string
	for _, s := range m.services {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func (m *Mux) unknownService(name string) *Error {
	return &Error{Code: "UnknownServiceException", Message: fmt.Sprintf(
		"The AWS service %q is not provided here. Provided are: %s", name, m.names())}
}

// findOperation finds the operation of a request whose service is known. It gives its name, as far as it can be told, and
// sets x.op or says why there is none.
func (x *exchange) findOperation() (name string, refusal *Error) {
	s, r := x.svc, x.r
	switch s.Protocol {
	case RestJSON1:
		return x.findByPath()
	case AWSJSON11:
		target := r.Header.Get("X-Amz-Target")
		prefix, op, _ := strings.Cut(target, ".")
		name = op
		switch {
		case target == "":
			return "", s.unknown(http.StatusBadRequest, "The request has no X-Amz-Target header")
		case prefix != s.TargetPrefix:
			return "", s.unknown(http.StatusBadRequest, fmt.Sprintf("X-Amz-Target %q is none of %s, whose prefix is %s", target, s.Name, s.TargetPrefix))
		case r.URL.Path != "/" && r.URL.Path != "":
			return name, s.unknown(http.StatusNotFound, fmt.Sprintf("%s has no path %s", s.Name, r.URL.Path))
		}
		if r.Method == http.MethodPost {
			if p := x.checkMedia("application/x-amz-json-1.1", "application/x-amz-json-1.0"); p != nil {
				return name, s.problemError(&x.call, p)
			}
		}
	case Query, EC2Query:
		name = x.form.text("Action")
		version := x.form.text("Version")
		switch {
		case name == "":
			return "", &Error{Code: "MissingAction", Message: "The request has no parameter Action"}
		case version != "" && version != s.Version:
			return name, s.unknown(http.StatusBadRequest, fmt.Sprintf("Could not find operation %s for version %s; the version of %s is %s", name, version, s.Name, s.Version))
		}
	}
	if x.op = s.ops[name]; x.op == nil {
		return name, s.notProvided(name)
	}
	get := r.Method == http.MethodGet && s.Protocol != AWSJSON11
	if r.Method != http.MethodPost && !get {
		return name, s.wrongMethod(x.w, r.Method, http.MethodPost)
	}
	return name, nil
}

func (x *exchange) findByPath() (name string, refusal *Error) {
	s, r := x.svc, x.r
	path := r.URL.EscapedPath()
	ops, labels, ok := s.routes.find(path)
	if !ok {
		if name := s.refusedAt(path); name != "" {
			return name, s.notProvided(name)
		}
		return "", s.unknown(http.StatusNotFound, fmt.Sprintf("%s has no operation at %s", s.Name, path))
	}
	var methods []string
	for _, op := range ops {
		methods = append(methods, op.Method)
		if op.Method != r.Method {
			continue
		}
		if op.refused {
			return op.Name, s.notProvided(op.Name)
		}
		x.op, x.labels = op, labels
		if r.Method == http.MethodPost && (r.ContentLength != 0 || r.Header.Get("Content-Type") != "") {
			if p := x.checkMedia("application/json"); p != nil {
				return op.Name, s.problemError(&x.call, p)
			}
		}
		return op.Name, nil
	}
	return "", s.wrongMethod(x.w, r.Method, methods...)
}

// checkMedia demands one of the content types.
func (x *exchange) checkMedia(allowed ...string) *problem {
	have := mediaType(x.r.Header)
	for _, a := range allowed {
		if have == a {
			return nil
		}
	}
	return &problem{kind: wrongMedia, text: fmt.Sprintf("the content type %q is not %s", x.r.Header.Get("Content-Type"), allowed[0])}
}

func (s *service) wrongMethod(w http.ResponseWriter, method string, allowed ...string) *Error {
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	return s.unknown(http.StatusMethodNotAllowed, fmt.Sprintf("The method %s is not allowed here; allowed: %s", method, list))
}

// unknown is the answer to an operation the service does not have on AWS either.
func (s *service) unknown(status int, text string) *Error {
	code := byProtocol(s.Protocol, "UnknownOperationException", "InvalidAction", "InvalidAction")
	return &Error{Code: code, Status: status, Message: text}
}

// notProvided is the answer to an operation that is not in the table.
func (s *service) notProvided(name string) *Error {
	why, refused := s.Refused[name]
	if !refused {
		return s.unknown(http.StatusBadRequest, byProtocol(s.Protocol,
			fmt.Sprintf("%s has no operation %q", s.Name, name),
			fmt.Sprintf("Could not find operation %s for version %s", name, s.Version),
			fmt.Sprintf("The action %s is not valid for this web service.", name)))
	}
	if !strings.Contains(why, name) {
		why = name + ": " + why
	}
	code := s.RefusedCode
	if code == "" {
		code = "UnsupportedOperation"
	}
	return &Error{Code: code, Message: why}
}

// refusedAt names the refused operation at a path without a known route, by the path's last segment: Batch's own rule is
// the operation's name in lower case.
func (s *service) refusedAt(escapedPath string) string {
	last := escapedPath[strings.LastIndexByte(escapedPath, '/')+1:]
	return s.refusedPaths[last]
}
