package dockerhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// home makes a home directory with Docker's files in it.
func home(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, ".docker", name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o700))
		check(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func id(context string) string {
	sum := sha256.Sum256([]byte(context))
	return hex.EncodeToString(sum[:])
}

// socket makes one that somebody listens on, in a directory whose path is short enough.
func socket(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "host")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err = net.Listen("unix", path)
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return path, l
}

func TestFind(t *testing.T) {
	t.Parallel()
	meta := "contexts/meta/" + id("colima") + "/meta.json"
	tls := "contexts/tls/" + id("colima") + "/docker/"
	colima := `{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///home/x/.colima/default/docker.sock","SkipTLSVerify":false}}}`
	used := `{"auths":{},"currentContext":"colima"}`
	there, _ := socket(t)
	plain := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(plain, nil, 0o600))
	for _, tc := range []struct {
		name    string
		env     map[string]string
		files   map[string]string
		sockets []string
		want    string // URL
		source  string
		err     string
	}{
		{"environment", map[string]string{"DOCKER_HOST": "tcp://example.com:2376"}, map[string]string{"config.json": used, meta: colima}, []string{there}, "tcp://example.com:2376", "DOCKER_HOST", ""},
		{"current context", nil, map[string]string{"config.json": used, meta: colima}, []string{there}, "unix:///home/x/.colima/default/docker.sock", "context colima", ""},
		{"named context", map[string]string{"DOCKER_CONTEXT": "colima"}, map[string]string{meta: colima}, []string{there}, "unix:///home/x/.colima/default/docker.sock", "context colima", ""},
		{"default context", map[string]string{"DOCKER_CONTEXT": "default"}, map[string]string{"config.json": used, meta: colima}, []string{there}, "unix://" + there, "the usual socket", ""},
		{"no configuration", nil, nil, []string{there}, "unix://" + there, "the usual socket", ""},
		{"the second socket", nil, nil, []string{"/no/such/socket", plain, there}, "unix://" + there, "a known socket", ""},
		{"nothing", nil, nil, []string{"/no/such/socket", plain}, "", "", "no Docker daemon found: DOCKER_HOST is not set"},
		{"no such context", map[string]string{"DOCKER_CONTEXT": "other"}, nil, []string{there}, "", "", `Docker context "other"`},
		{"damaged configuration", nil, map[string]string{"config.json": "{"}, []string{there}, "", "", "config.json"},
		{"ssh", map[string]string{"DOCKER_HOST": "ssh://me@example.com"}, nil, nil, "", "", "daemons over ssh are not supported; forward the socket"},
		{"no URL", map[string]string{"DOCKER_HOST": "/var/run/docker.sock"}, nil, nil, "", "", "no URL"},
		{"no verification", nil, map[string]string{"config.json": used, meta: strings.Replace(colima, "false", "true", 1)}, nil, "", "", "skips the verification"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h, err := Find(Environment{Getenv: func(name string) string { return tc.env[name] }, Home: home(t, tc.files), Sockets: tc.sockets})
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if err == nil && (h.URL != tc.want || h.Source != tc.source) {
				t.Errorf("%+v, want %s by %s", h, tc.want, tc.source)
			}
			if tc.name == "nothing" && !errors.Is(err, ErrNone) {
				t.Errorf("%v is not ErrNone", err)
			}
		})
	}
	dir := home(t, map[string]string{"config.json": used, meta: strings.Replace(colima, "unix:///home/x/.colima/default/docker.sock", "tcp://h:2376", 1), tls + "ca.pem": "x", tls + "cert.pem": "x"})
	h, err := Find(Environment{Getenv: func(string) string { return "" }, Home: dir})
	check(t, err)
	if want := filepath.Join(dir, ".docker", tls); h.CA != filepath.Join(want, "ca.pem") || h.Cert != filepath.Join(want, "cert.pem") || h.Key != "" || h.Local() || h.Socket() != "" {
		t.Errorf("%+v", h)
	}
}

// Connect settles on what a daemon says it speaks.
func TestConnect(t *testing.T) {
	t.Parallel()
	path, l := socket(t)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.43")
		w.Header().Set("Ostype", "linux")
		if r.URL.Path != "/_ping" {
			http.Error(w, `{"message":"No such image: x"}`, http.StatusNotFound)
		}
	})}
	go srv.Serve(l)
	t.Cleanup(func() { _ = srv.Close() })
	c, err := Connect(t.Context(), Host{URL: "unix://" + path, Source: "a test"})
	check(t, err)
	if v := c.ClientVersion(); v != "1.43" {
		t.Errorf("version %s", v)
	}
	check(t, c.Close())
	images := Images{Environment: Environment{Getenv: func(name string) string {
		if name == "DOCKER_HOST" {
			return "unix://" + path
		}
		return ""
	}}}
	if _, err := images.Find(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an image that is not there: %v", err)
	}

	none := Images{Environment: Environment{Getenv: func(string) string { return "" }}}
	if _, err := none.Find(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a daemon: %v", err)
	}
	_, err = Connect(context.Background(), Host{URL: "unix:///no/such/socket", Source: "a test"})
	if err == nil || !strings.Contains(err.Error(), "the daemon at unix:///no/such/socket (a test) does not answer") {
		t.Errorf("no daemon: %v", err)
	}
}
