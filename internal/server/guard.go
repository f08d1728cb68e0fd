package server

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Guard stands before everything on a listener, above all on the loopback, where no signature is asked for, and lets nothing
// pass that a web page in the user's browser could have sent:
//
//   - A request whose Host is not a name of this machine's loopback. It is how a page whose own DNS name has been pointed at
//     127.0.0.1 (DNS rebinding) shows, since the browser then takes the page and the engine for one site. Names below
//     .localhost pass: browsers resolve them to the loopback themselves (RFC 6761, section 6.3).
//   - A request that a browser marks as another site's: Origin, Sec-Fetch-Site, or the Referer of a browser that has neither.
//   - A form or text body from a browser that does not say where it comes from. Those are the only bodies a page may post
//     without asking first (https://fetch.spec.whatwg.org/#simple-header); asking first is an OPTIONS request with an Origin.
//
// A top-level navigation from another site is refused as well: GET is enough for a request of the Query protocol. What is
// refused gets 403 and a sentence that says why, as text, or as JSON if the request was JSON.
type Guard struct {
	// Next gets the requests that pass.
	Next http.Handler
	// Hosts are further names to accept in Host, in lower case, without port; "*.example.test" is every name below it.
	Hosts []string
	// AnyAddress accepts every IP address in Host: a listener that others reach can not know them all, and a page that was
	// served from an address is no other than this listener's.
	AnyAddress bool
	// Logger gets a warning for each request refused; nil is slog.Default().
	Logger *slog.Logger
}

// ServeHTTP passes the request on or refuses it.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reason := g.refusal(r)
	if reason == "" {
		g.Next.ServeHTTP(w, r)
		return
	}
	log := g.Logger
	if log == nil {
		log = slog.Default()
	}
	log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", slog.String("reason", reason), slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr))
	body := []byte(reason + "\n")
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/") && strings.Contains(r.Header.Get("Content-Type"), "json") {
		// An SDK shows the code and the message of this and nothing of a text.
		const code = "AccessDeniedException"
		h.Set("Content-Type", "application/json")
		h.Set("X-Amzn-Errortype", code)
		body, _ = json.Marshal(map[string]string{"__type": code, "message": reason}) // strings always marshal
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusForbidden)
	// A client that has gone away is its own affair.
	_, _ = w.Write(body)
}

// refusal is the sentence that refuses r, "" if r may pass.
func (g *Guard) refusal(r *http.Request) string {
	if !g.knowsHost(r.Host) {
		if g.AnyAddress {
			return "The request was sent to the host " + strconv.Quote(r.Host) + ", which is no name of this engine. It answers the names of " +
				"its certificate, localhost and IP addresses only, so that no web page can reach it under a name of its own; " +
				"batchbox serve --tls-host adds a name."
		}
		return "The request was sent to the host " + strconv.Quote(r.Host) + ", which is no loopback name. " +
			"This address answers localhost, names below .localhost, 127.0.0.0/8 and [::1] only, so that no web page can reach it " +
			"under a name of its own."
	}
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	own := ownOrigin(r)
	switch {
	case origin != "" && !strings.EqualFold(origin, own):
		return "A web page of " + strconv.Quote(origin) + " sent this request. Pages of other origins than " + own + " are refused."
	case site == "cross-site" || site == "same-site":
		return "A web page of another site sent this request or led to it (Sec-Fetch-Site: " + site + "). " +
			"Type the address into the browser to open it."
	case site == "" && origin == "" && foreignReferer(r, own):
		return "A web page of another site sent this request (its Referer is not below " + own + ")."
	}
	if origin == "" && site != "same-origin" && simplePost(r) && fromBrowser(r) {
		return "A browser sent this form without saying which page it is from."
	}
	return ""
}

// knowsHost says whether a Host header names this machine's loopback.
func (g *Guard) knowsHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && (g.AnyAddress || ip.Unmap().IsLoopback()) {
		return true
	}
	for _, allowed := range g.Hosts {
		if suffix, ok := strings.CutPrefix(allowed, "*"); ok && strings.HasPrefix(suffix, ".") && strings.HasSuffix(host, suffix) || host == allowed {
			return true
		}
	}
	return false
}

// ownOrigin is the origin of a page that this listener served under the name the request used.
func ownOrigin(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return scheme + strings.ToLower(r.Host)
}

func foreignReferer(r *http.Request, own string) bool {
	ref := r.Header.Get("Referer")
	if ref == "" {
		return false
	}
	u, err := url.Parse(ref)
	return err != nil || !strings.EqualFold(u.Scheme+"://"+u.Host, own)
}

// simplePost says whether a page could post this body without asking first.
func simplePost(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return true
	}
	return false
}

// fromBrowser goes by what browsers send and programs do not. A request with an Authorization header is a program's: a page
// must ask first to send one.
func fromBrowser(r *http.Request) bool {
	if r.Header.Get("Authorization") != "" {
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "" || r.Header.Get("Sec-Fetch-Site") != "" ||
		strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
}
