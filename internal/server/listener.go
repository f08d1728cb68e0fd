package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/registry"
)

// door is the listener for clients and what it is known by.
type door struct {
	net.Listener
	exposed bool         // others than this machine reach it
	cert    *certificate // that of the start; nil without TLS
	renewal *renewal     // what clients are shown
	// host is host:port as clients are told it, and hosts are the names beside the loopback's that it goes by.
	host  string
	hosts []string
	// clients bounds what they take up; nil on the loopback.
	clients *clients
}

// openDoor binds the listen address. cfg has been checked.
func openDoor(cfg *Config, dir layout, now time.Time) (_ *door, err error) {
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %s: %w (another engine? --listen 127.0.0.1:0 picks a free port)", cfg.Listen, err)
	}
	d := &door{Listener: l, exposed: !onLoopback(cfg.Listen)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	ip := l.Addr().(*net.TCPAddr).IP
	a := &cfg.Access
	var stamps [2]fileStamp
	switch {
	case a.TLSGenerate:
		hosts, err := machineHosts(a.TLSHosts, ip)
		if err != nil {
			return nil, err
		}
		d.cert, err = makeCertificate(fsys.OS, dir.tls(), hosts, now)
		if err != nil {
			return nil, err
		}
	case a.TLSCert != "":
		stamps = stampsOf(a.TLSCert, a.TLSKey) // before they are read
		if d.cert, err = loadCertificate(a.TLSCert, a.TLSKey, now); err != nil {
			return nil, err
		}
	}
	d.host = net.JoinHostPort(d.name(ip), strconv.Itoa(portOf(l)))
	if d.cert != nil {
		for _, name := range d.cert.tls.Leaf.DNSNames {
			d.hosts = append(d.hosts, strings.ToLower(name))
		}
	}
	if d.cert != nil {
		d.renewal = &renewal{certFile: a.TLSCert, keyFile: a.TLSKey, now: time.Now, log: cfg.Logger, cert: d.cert}
		d.renewal.tried = stamps
		if host := d.name(ip); d.cert.tls.Leaf.VerifyHostname(host) == nil {
			d.renewal.names = []string{host}
		}
	}
	if d.exposed {
		d.clients = newClients(a.ClientRate, time.Now)
		d.Listener = d.clients.listen(l)
	}
	return d, nil
}

// name is what clients are to call the listener: its address, or what its certificate calls it if it is not for that address.
func (d *door) name(ip net.IP) string {
	if !ip.IsUnspecified() && (d.cert == nil || d.cert.tls.Leaf.VerifyHostname(ip.String()) == nil) {
		return ip.String()
	}
	if d.cert != nil {
		for _, name := range d.cert.tls.Leaf.DNSNames {
			if !strings.Contains(name, "*") {
				return name
			}
		}
		for _, own := range d.cert.tls.Leaf.IPAddresses {
			return own.String()
		}
	}
	if ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return ip.String()
}

func (d *door) url() string {
	if d.cert != nil {
		return "https://" + d.host
	}
	return "http://" + d.host
}

// endpoint is how the registry is addressed.
func (d *door) endpoint() registry.Endpoint {
	e := registry.Endpoint{Host: d.host, TLS: d.cert != nil}
	_, port, _ := net.SplitHostPort(d.host)
	for _, name := range d.hosts {
		e.Aliases = append(e.Aliases, net.JoinHostPort(name, port))
	}
	return e
}

// announcement is how the command line of this machine finds the listener, whatever name it has for others.
func (d *door) announcement(e control.Engine) control.Engine {
	e.URL = d.url()
	if d.cert == nil {
		return e
	}
	address := d.Addr().(*net.TCPAddr)
	ip := address.IP
	if ip.IsUnspecified() {
		ip = net.IPv4(127, 0, 0, 1)
	}
	e.Address, e.Certificate, e.CA = net.JoinHostPort(ip.String(), strconv.Itoa(address.Port)), d.cert.fingerprint(), d.cert.ca
	return e
}

const (
	// maxHeader is many times the header of an AWS request; a session token is the largest part of that.
	maxHeader = 64 << 10
	// headerTime bounds the arrival of a request's header, and the TLS handshake.
	headerTime = 10 * time.Second
	// idleTime is how long a connection may wait for its next request.
	idleTime = 2 * time.Minute
	// bodyIdle is how long a request's body may stand still.
	bodyIdle = 30 * time.Second
)

// newHTTP makes the HTTP server of the listener.
func (d *door) newHTTP(s *Server, handler http.Handler) *http.Server {
	h := &http.Server{
		Handler:           boundBodies(handler, bodyIdle),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          httpLog(s.cfg.Logger),
	}
	if d.cert != nil {
		// HTTP/1.1 does for every client there is, and is the smaller thing to show to strangers.
		h.Protocols = new(http.Protocols)
		h.Protocols.SetHTTP1(true)
		h.TLSConfig = &tls.Config{GetCertificate: d.renewal.get, MinVersion: tls.VersionTLS12}
	}
	return h
}

// serve answers clients until h is closed.
func (d *door) serve(h *http.Server) error {
	if d.cert != nil {
		return h.ServeTLS(d.Listener, "", "")
	}
	return h.Serve(d.Listener)
}

// boundBodies ends a request whose body stands still.
func boundBodies(next http.Handler, idle time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			r.Body = &movingBody{ReadCloser: r.Body, c: http.NewResponseController(w), idle: idle}
		}
		next.ServeHTTP(w, r)
	})
}

// movingBody gives each read of a body a time to be done in. At the body's end there is none any more: what follows on the
// connection is not the body's.
type movingBody struct {
	io.ReadCloser
	c    *http.ResponseController
	idle time.Duration
}

func (b *movingBody) Read(p []byte) (int, error) {
	// A writer that knows no deadlines is a test's.
	_ = b.c.SetReadDeadline(time.Now().Add(b.idle))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
