// Package sdkhttp makes the HTTP transport of aws-sdk-go-v2 fit for an engine that answers at once.
package sdkhttp

import (
	"io"
	"net/http"
)

// Transport passes requests on to next with their bodies' WriteTo hidden from net/http. smithy-go's body (v1.28.9,
// safeWriteToReadCloser) answers io.EOF to WriteTo once it is closed, and the SDK closes it as soon as the answer's header
// is here. When net/http looks for the body's end only then, it takes that for a broken request and drops the connection
// with the answer half read: "use of closed network connection". Read, which is left, knows io.EOF for what it is.
func Transport(next http.RoundTripper) http.RoundTripper { return plainBodies{next} }

type plainBodies struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.WithContext(r.Context()) // a copy: a RoundTripper must not change its request
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client reach the transport's own.
func (p plainBodies) CloseIdleConnections() {
	if c, ok := p.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Client is a client of its own on a Transport, for tests and short programs.
func Client() *http.Client { return &http.Client{Transport: Transport(&http.Transport{})} }
