package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
)

// via marks requests that this program has forwarded, so that two engines that are each other's upstream are found out.
const via = "1.1 batchbox"

// upstream forwards requests to another emulator of AWS, byte for byte: method, path and query as they were escaped, Host,
// headers and body, since all of them may be signed. Bodies are streamed both ways and have no bound here.
type upstream struct {
	target    *url.URL
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	refuse    func(w http.ResponseWriter, r *http.Request, e *awswire.Error)
}

// checkUpstream demands a URL of a scheme and a host alone: a path could not be put before those that clients sign.
func checkUpstream(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("upstream %q is no URL of the form http://HOST:PORT", text)
	}
	return nil
}

// openUpstream makes the upstream that the configuration names.
func (s *Server) openUpstream() error {
	if s.cfg.Upstream == "" {
		return nil
	}
	target, err := url.Parse(s.cfg.Upstream)
	if err != nil {
		return err
	}
	if target.Host == s.listener.host {
		return fmt.Errorf("upstream %s is this engine itself", s.cfg.Upstream)
	}
	s.upstream = newUpstream(target, s.cfg.Logger, func(w http.ResponseWriter, r *http.Request, e *awswire.Error) { s.mux.Refuse(w, r, e) })
	return nil
}

func newUpstream(target *url.URL, logger *slog.Logger, refuse func(http.ResponseWriter, *http.Request, *awswire.Error)) *upstream {
	u := &upstream{target: target, refuse: refuse, transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
		// An upload is held back until the upstream wants it, if the client asked for that.
		ExpectContinueTimeout: time.Second,
		// Accept-Encoding is the client's business.
		DisableCompression: true,
	}}
	u.proxy = &httputil.ReverseProxy{
		Rewrite: u.rewrite, Transport: u.transport, ErrorHandler: u.failed,
		FlushInterval: -1, // event streams are to arrive event by event
		ErrorLog:      httpLog(logger),
	}
	return u
}

func (u *upstream) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = u.target.Scheme, u.target.Host
	// Opaque is sent as it is: a path that was escaped in another way than Go's would otherwise come out differently.
	path, _, _ := strings.Cut(p.In.RequestURI, "?")
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		p.Out.URL.Opaque = path
	}
	p.Out.URL.RawQuery, p.Out.URL.ForceQuery = p.In.URL.RawQuery, p.In.URL.ForceQuery
	p.Out.Host = p.In.Host
	p.Out.Header.Add("Via", via)
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v := p.In.Header.Values(name); len(v) > 0 {
			p.Out.Header[name] = v // it may be signed
		}
	}
}

// ServeHTTP forwards a request.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, v := range r.Header.Values("Via") {
		if strings.Contains(v, via) {
			u.refuse(w, r, &awswire.Error{Code: "UnknownServiceException", Status: http.StatusLoopDetected,
				Message: "The request has come back from the upstream " + u.target.String() + ": no service here or there answers it"})
			return
		}
	}
	// Without it net/http reads a request's body to its end before it begins an answer. A body of known length is no stream
	// that could wait for one, and for those net/http tells the client when it will close the connection, which now it does not.
	if r.ContentLength < 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			u.failed(w, r, err)
			return
		}
	}
	u.proxy.ServeHTTP(w, r)
}

// failed answers for an upstream that does not. The status is one that SDKs try again after.
func (u *upstream) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody waits for an answer
	}
	u.refuse(w, r, &awswire.Error{Code: "ServiceUnavailable", Status: http.StatusBadGateway, Server: true, Cause: err,
		Message: fmt.Sprintf("This service is not batchbox's, and the upstream %s (--upstream) does not answer: %v", u.target, err)})
}

func (u *upstream) close() { u.transport.CloseIdleConnections() }
