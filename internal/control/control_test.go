package control_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/control"
)

func TestStopsTheEngineOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	e, withdraw, err := control.Announce(dir, control.Engine{PID: 7, URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	stopped := 0
	mux.Handle(control.ShutdownPath, control.ShutdownHandler(e.Token, func() { stopped++ }))
	mux.HandleFunc(control.HealthPath, func(http.ResponseWriter, *http.Request) {})

	info, err := os.Stat(filepath.Join(dir, "engine.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	found, err := control.Read(dir)
	if err != nil || found.PID != 7 || found.URL != srv.URL || len(found.Token) < 20 {
		t.Fatalf("read %+v, error %v", found, err)
	}
	if err := found.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	stranger := found
	stranger.Token = "guess"
	if err := stranger.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "403") || stopped != 0 {
		t.Errorf("a wrong token: stopped %d times, error %v", stopped, err)
	}
	if res, err := http.Get(srv.URL + control.ShutdownPath); err != nil || res.StatusCode != http.StatusMethodNotAllowed || stopped != 0 {
		t.Errorf("GET: %v, stopped %d times, error %v", res, stopped, err)
	}
	if err := found.Shutdown(t.Context()); err != nil || stopped != 1 {
		t.Errorf("stopped %d times, error %v", stopped, err)
	}
	for range 2 {
		if err := withdraw(); err != nil {
			t.Error(err)
		}
	}
	if _, err := control.Read(dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after it has withdrawn: error %v", err)
	}
}

func TestHandlerWithoutTokenStopsForNobody(t *testing.T) {
	t.Parallel()
	h := control.ShutdownHandler("", func() { t.Error("stopped") })
	r := httptest.NewRequest(http.MethodPost, control.ShutdownPath, http.NoBody)
	r.Header.Set("Authorization", "Bearer ")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

func TestUnhealthyEngine(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	e := control.Engine{URL: srv.URL}
	if err := e.Healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("not found: error %v", err)
	}
	srv.Close()
	if err := e.Healthy(t.Context()); err == nil {
		t.Error("no error from a closed server")
	}
}

func TestReadRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "engine.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Read(dir); err == nil || !strings.Contains(err.Error(), "is no engine's file") {
		t.Errorf("error %v", err)
	}
	if _, _, err := control.Announce(filepath.Join(dir, "absent"), control.Engine{}); err == nil {
		t.Error("announced in a directory that is not there")
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	for state, want := range map[string]string{"": "/home/ada/.local/state/batchbox", "relative": "/home/ada/.local/state/batchbox", "/var/state": "/var/state/batchbox"} {
		t.Setenv("XDG_STATE_HOME", state)
		if got, err := control.DefaultDir(); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", state, got, err, want)
		}
	}
}
