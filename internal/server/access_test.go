package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
)

func TestAccessRefused(t *testing.T) {
	t.Parallel()
	keys := "keys"
	for _, tt := range []struct {
		name, listen string
		access       AccessConfig
		want         string
	}{
		{"all interfaces", "0.0.0.0:4566", AccessConfig{}, "is not on the loopback: whoever reaches the API can start programs on this machine"},
		{"all interfaces, IPv6", "[::]:4566", AccessConfig{}, "is not on the loopback"},
		{"no host", ":4566", AccessConfig{}, "is not on the loopback"},
		{"an address", "192.0.2.1:4566", AccessConfig{}, "is not on the loopback"},
		{"a name", "box.example:4566", AccessConfig{}, "is not on the loopback"},
		{"a name that begins as the loopback's", "localhost.example:4566", AccessConfig{}, "is not on the loopback"},
		{"keys without TLS", "0.0.0.0:4566", AccessConfig{AccessKeys: keys}, "--tls-generate"},
		{"TLS without keys", "0.0.0.0:4566", AccessConfig{TLSGenerate: true}, "--access-keys FILE"},
		{"verification without keys", "127.0.0.1:0", AccessConfig{Verify: true}, "--verify-signatures takes --access-keys"},
		{"certificate without key", "127.0.0.1:0", AccessConfig{TLSCert: "c"}, "go together"},
		{"key without certificate", "127.0.0.1:0", AccessConfig{TLSKey: "k"}, "go together"},
		{"two certificates", "127.0.0.1:0", AccessConfig{TLSCert: "c", TLSKey: "k", TLSGenerate: true}, "exclude each other"},
		{"names for no certificate", "127.0.0.1:0", AccessConfig{TLSHosts: []string{"a"}}, "--tls-host is for --tls-generate"},
		{"negative rate", "127.0.0.1:0", AccessConfig{ClientRate: -1}, "client rate of -1"},
		{"rate of no number", "127.0.0.1:0", AccessConfig{ClientRate: math.NaN()}, "client rate of NaN"},
		{"a wrong name in a certificate", "127.0.0.1:0", AccessConfig{TLSGenerate: true, TLSHosts: []string{"a b"}}, `"a b" is neither a name nor an address`},
		{"no port", "127.0.0.1", AccessConfig{}, "missing port"},
	} {
		cfg := Config{Listen: tt.listen, Access: tt.access}
		if err := cfg.checkAccess(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "127.9.9.9:1", "[::1]:0", "localhost:0"} {
		if cfg := (Config{Listen: listen}); cfg.checkAccess() != nil || cfg.Access.ClientRate != DefaultClientRate {
			t.Errorf("%s is refused, or has no rate: %+v", listen, cfg.Access)
		}
	}
}

func TestGeneratedCertificate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	hosts := []string{"box.test", "192.0.2.7", "::1"}
	first, err := makeCertificate(fsys.OS, dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	for file, mode := range map[string]os.FileMode{"server.pem": 0o600, "ca.pem": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	ca, err := os.ReadFile(first.ca)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(ca), "KEY") {
		t.Error("the file for clients holds a key")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the authority can not be read")
	}
	for _, h := range hosts {
		if _, err := first.tls.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: h}); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	if _, err := first.tls.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.test"}); err == nil {
		t.Error("the certificate is good for any name")
	}

	makeAgain := func(hosts []string, now time.Time) *certificate {
		t.Helper()
		c, err := makeCertificate(fsys.OS, dir, hosts, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := makeAgain(hosts[:1], now.Add(300*24*time.Hour)); c.fingerprint() != first.fingerprint() {
		t.Error("a certificate that is still good was replaced")
	}
	if err := os.WriteFile(first.ca, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	makeAgain(hosts, now)
	if again, err := os.ReadFile(first.ca); err != nil || string(again) != string(ca) {
		t.Errorf("the authority's file was not mended: %v", err)
	}
	wider := makeAgain(append(hosts, "more.test"), now)
	if wider.fingerprint() == first.fingerprint() {
		t.Error("a certificate without one of the names was kept")
	}
	if c := makeAgain(hosts, now.Add(370*24*time.Hour)); c.fingerprint() == wider.fingerprint() {
		t.Error("a certificate that ends soon was kept")
	}
	if err := os.WriteFile(filepath.Join(dir, "server.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	makeAgain(hosts, now)
}

// TestCertificateFaults fails each operation on files: the engine does not start, or its clients find the authority of the
// certificate it shows; the next start succeeds, and clients that trust what the first good one gave them go on to.
func TestCertificateFaults(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		dir := filepath.Join(t.TempDir(), "tls")
		start := func(files fsys.FS) (*certificate, error) {
			t.Helper()
			c, err := makeCertificate(files, dir, []string{"box.test"}, now)
			if err != nil {
				if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), dir) {
					t.Errorf("%v, want the error and the file", err)
				}
				return nil, err
			}
			text, err := os.ReadFile(c.ca)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(text)
			if _, err := c.tls.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "box.test"}); err != nil {
				t.Errorf("a client that trusts ca.pem does not take the certificate: %v", err)
			}
			return c, nil
		}
		c, err := start(files)
		if err != nil {
			if c, err = start(files); err != nil {
				t.Fatalf("started again: %v", err)
			}
		}
		if again, err := start(fsys.OS); err != nil || again.fingerprint() != c.fingerprint() {
			t.Errorf("at the next start the certificate is another one: %v", err)
		}
		for _, name := range []string{"server.pem", "ca.pem"} {
			if _, err := os.Stat(filepath.Join(dir, name+".new")); err == nil {
				t.Errorf("%s.new is left", name)
			}
		}
	})
}

func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	text, err := generate([]string{"box.test"}, now)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "both.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := loadCertificate(file, file, now); err != nil || c.ca != "" || len(c.tls.Certificate) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := loadCertificate(file, file, now.Add(2*certificateLife)); err == nil || !strings.Contains(err.Error(), "has expired on") {
		t.Errorf("expired: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadCertificate(file, file, now); err == nil || !strings.Contains(err.Error(), "everybody may read or write") {
		t.Errorf("a key for everybody to read: %v", err)
	}
	if _, err := loadCertificate(file, filepath.Join(dir, "absent"), now); err == nil {
		t.Error("a key that is not there was read")
	}
}

func TestDoorNames(t *testing.T) {
	t.Parallel()
	certificateFor := func(hosts ...string) *certificate {
		text, err := generate(hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(text, text)
		if err != nil {
			t.Fatal(err)
		}
		return &certificate{tls: pair}
	}
	for _, tt := range []struct {
		ip   string
		cert *certificate
		want string
	}{
		{"127.0.0.1", nil, "127.0.0.1"},
		{"::1", nil, "::1"},
		{"192.0.2.1", certificateFor("box.test", "192.0.2.1"), "192.0.2.1"},
		{"192.0.2.1", certificateFor("*.wild.test", "box.test"), "box.test"},
		{"0.0.0.0", certificateFor("box.test", "127.0.0.1"), "box.test"},
		{"::", certificateFor("192.0.2.9"), "192.0.2.9"},
		{"0.0.0.0", certificateFor("*.wild.test"), "127.0.0.1"},
	} {
		d := door{cert: tt.cert}
		if got := d.name(net.ParseIP(tt.ip)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.ip, got, tt.want)
		}
	}
}

func TestClientRate(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := newClients(10, func() time.Time { return now })
	one, other := clientOf(netip.MustParseAddr("192.0.2.1")), clientOf(netip.MustParseAddr("192.0.2.2"))
	take := func(who netip.Prefix) (n int) {
		for c.request(who) {
			if n++; n > 1000 {
				t.Fatal("there is no end")
			}
		}
		return n
	}
	if n := take(one); n != 20 {
		t.Errorf("%d at once, want 20", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := take(one); n != 5 {
		t.Errorf("%d after half a second, want 5", n)
	}
	if n := take(other); n != 20 {
		t.Errorf("another client got %d, want 20", n)
	}
	now = now.Add(time.Hour)
	if n := take(one); n != 20 {
		t.Errorf("%d after an hour, want 20", n)
	}
}

func TestClientsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := newClients(1, func() time.Time { return now })
	who := func(i int) netip.Prefix {
		return clientOf(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	for i := range maxClientConnections {
		if !c.connect(who(0)) {
			t.Fatalf("connection %d of a client was refused", i+1)
		}
	}
	if c.connect(who(0)) {
		t.Error("a connection too many of one client")
	}
	c.disconnect(who(0))
	if !c.connect(who(0)) {
		t.Error("a connection that was given back is not free")
	}
	for i := 1; c.connect(who(i)); i++ {
		if i > maxConnections {
			t.Fatal("the connections of all clients have no bound")
		}
	}
	for i := range 2 * maxClients {
		c.request(who(i))
	}
	if n := len(c.known); n > maxClients {
		t.Errorf("%d clients are remembered", n)
	}
	if c.request(who(3 * maxClients)) {
		t.Error("a client passed that there is no room to remember")
	}
	now = now.Add(time.Minute)
	if !c.request(who(3 * maxClients)) {
		t.Error("those who are silent were not forgotten")
	}
	if c.known[who(0)] == nil {
		t.Error("a client with open connections was forgotten")
	}
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for a, b := range map[string]string{"::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::ffff", "fe80::1%eth0": "fe80::2"} {
		if clientOf(netip.MustParseAddr(a)) != clientOf(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s are two", a, b)
		}
	}
	for a, b := range map[string]string{"192.0.2.1": "192.0.2.2", "2001:db8::1": "2001:db8:0:1::1"} {
		if clientOf(netip.MustParseAddr(a)) == clientOf(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s are one", a, b)
		}
	}
}

// A connection is given back when it is closed, and one too many is closed at once.
func TestBoundListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newClients(1, time.Now)
	l := c.listen(inner)
	defer l.Close()
	me := clientOf(netip.MustParseAddr("127.0.0.1"))
	for range maxClientConnections - 1 {
		c.connect(me)
	}
	accepted := make(chan net.Conn, 8)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial()
	last := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a connection too many is open")
	}
	for range 2 {
		_ = last.Close()
	}
	dial()
	next, ok := <-accepted
	if !ok {
		t.Fatal("no connection after one was given back")
	}
	next.Close()
	l.Close()
	for range accepted {
		t.Error("a connection too many was accepted")
	}
}

// A body that stands still is given up; one that has ended does not end what follows.
func TestBodiesMove(t *testing.T) {
	t.Parallel()
	const idle = 20 * time.Millisecond
	result := make(chan error, 1)
	srv := httptest.NewServer(boundBodies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := make([]byte, 5)
		_, err := r.Body.Read(body)
		if err == nil && r.ContentLength > 5 {
			_, err = r.Body.Read(body)
		}
		if r.ContentLength == 5 {
			err = nil
			select {
			case <-r.Context().Done():
				err = r.Context().Err()
			case <-time.After(3 * idle):
			}
		}
		result <- err
	}), idle))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwhole")); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("a whole body: %v", err)
	}
	conn2, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn2.Close()
	if _, err := conn2.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("half a body: %v", err)
	}
}
