package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/runtime/fake"
)

// ownFiles are a user's certificate and key, renewed as the programs that do that replace them: one after the other.
type ownFiles struct {
	t         *testing.T
	cert, key string
}

func newOwnFiles(t *testing.T) *ownFiles {
	dir := t.TempDir()
	return &ownFiles{t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// make makes a pair and returns its parts in PEM form.
func (o *ownFiles) make(host string, now time.Time) (cert, key []byte) {
	o.t.Helper()
	text, err := generate([]string{host}, now)
	if err != nil {
		o.t.Fatal(err)
	}
	for {
		block, rest := pem.Decode(text)
		switch {
		case block == nil:
			return cert, key
		case block.Type == "CERTIFICATE":
			cert = append(cert, pem.EncodeToMemory(block)...)
		default:
			key = append(key, pem.EncodeToMemory(block)...)
		}
		text = rest
	}
}

// put replaces a file, whose time of change may well stay the same.
func (o *ownFiles) put(file string, content []byte) {
	o.t.Helper()
	if err := errors.Join(os.WriteFile(file+".tmp", content, 0o600), os.Rename(file+".tmp", file)); err != nil {
		o.t.Fatal(err)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	o, now := newOwnFiles(t), time.Now()
	cert1, key1 := o.make("box.test", now)
	o.put(o.cert, cert1)
	o.put(o.key, key1)
	first, err := loadCertificate(o.cert, o.key, now)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	var announced []string
	var refuse error
	r := &renewal{certFile: o.cert, keyFile: o.key, names: []string{"box.test"}, now: func() time.Time { return now },
		log: slog.New(slog.NewTextHandler(&log, nil)), cert: first, tried: stampsOf(o.cert, o.key),
		announce: func(c *certificate) error {
			if refuse == nil {
				announced = append(announced, c.fingerprint())
			}
			return refuse
		}}
	// shows looks twice what clients see, and returns what was logged.
	shows := func(want []byte) string {
		t.Helper()
		log.Reset()
		for range 2 {
			got, err := r.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			if block, _ := pem.Decode(want); !bytes.Equal(got.Certificate[0], block.Bytes) {
				t.Fatalf("another certificate is shown; the log: %s", &log)
			}
		}
		return log.String()
	}
	logs := func(said, want string) {
		t.Helper()
		if strings.Count(said, want) != 1 || strings.Count(said, "\n") != 1 {
			t.Errorf("the log says %q, want %q once", said, want)
		}
	}
	if said := shows(cert1); said != "" {
		t.Errorf("nothing has changed, and the log says %q", said)
	}

	cert2, key2 := o.make("box.test", now)
	o.put(o.cert, cert2)
	logs(shows(cert1), "private key does not match public key") // half way
	o.put(o.key, key2)
	logs(shows(cert2), "another TLS certificate")

	for name, tc := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"no certificate": {[]byte("x"), key2, "failed to find any PEM data"},
		"the old key":    {cert2, key1, "private key does not match public key"},
	} {
		o.put(o.cert, tc.cert)
		o.put(o.key, tc.key)
		if said := shows(cert2); !strings.Contains(said, tc.want) {
			t.Errorf("%s: the log says %q, want %q", name, said, tc.want)
		}
	}
	other, otherKey := o.make("other.test", now)
	o.put(o.cert, other)
	o.put(o.key, otherKey)
	logs(shows(cert2), "clients know the engine as box.test")
	old, oldKey := o.make("box.test", now.Add(-2*certificateLife))
	o.put(o.cert, old)
	o.put(o.key, oldKey)
	logs(shows(cert2), "has expired on")
	if err := os.Remove(o.cert); err != nil {
		t.Fatal(err)
	}
	logs(shows(cert2), "no such file")

	// What this machine's command line can not be told is not shown yet, though the files do not change any more.
	cert3, key3 := o.make("box.test", now)
	refuse = errors.New("no space left")
	o.put(o.cert, cert3)
	o.put(o.key, key3)
	if said := shows(cert2); strings.Count(said, "no space left") != 2 {
		t.Errorf("the log says %q", said)
	}
	refuse = nil
	logs(shows(cert3), "another TLS certificate")
	if len(announced) != 2 || announced[1] != r.cert.fingerprint() {
		t.Errorf("announced were %q", announced)
	}
}

// TestRenewedCertificateOfAnEngine: new connections see it, the old ones go on, and the command line knows the engine by it.
func TestRenewedCertificateOfAnEngine(t *testing.T) {
	t.Parallel()
	o := newOwnFiles(t)
	renew := func() {
		cert, key := o.make("127.0.0.1", time.Now())
		o.put(o.cert, cert)
		o.put(o.key, key)
	}
	renew()
	var file control.Engine
	s, err := Start(t.Context(), Config{
		Listen: "127.0.0.1:0", Ephemeral: true, InProcess: &InProcess{Runtime: fake.New(fake.Options{})},
		Access: AccessConfig{TLSCert: o.cert, TLSKey: o.key}, Logger: slog.New(slog.DiscardHandler),
		Ready: func(e control.Engine) { file = e },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := control.Read(s.DataDir()); !errors.Is(err, control.ErrNotRunning) {
			t.Errorf("after the end: %v", err)
		}
	}()
	if err := file.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it is about connections
		DialContext: func(_ context.Context, network, _ string) (net.Conn, error) {
			if conn != nil {
				t.Error("a second connection")
			}
			conn, err = net.Dial(network, file.Address)
			return conn, err
		}}}
	ask := func() {
		t.Helper()
		res, err := old.Get(file.URL + control.HealthPath)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body) // so that the connection is used again
		_ = res.Body.Close()
	}
	ask()
	renew()
	ask()
	if err := file.Healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "has not the engine's certificate") {
		t.Errorf("a new connection still finds the old certificate: %v", err)
	}
	again, err := control.Read(s.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Healthy(t.Context()); err != nil {
		t.Errorf("by its file the engine is %+v: %v", again, err)
	}
	if again.Token != file.Token || again.PID != file.PID {
		t.Errorf("its file was %+v, is %+v", file, again)
	}
	old.CloseIdleConnections()
}
