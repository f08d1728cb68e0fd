package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/fsys/fsystest"
)

// TestFaults fails each operation on files: who looks for the engine finds it whole, or its predecessor's file, or none.
func TestFaults(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(`{"pid": 1, "url": "http://127.0.0.1:1"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		e, withdraw, err := announce(files, dir, Engine{PID: 2, URL: "http://127.0.0.1:2"})
		found, rerr := Read(dir)
		switch {
		case rerr != nil:
			t.Fatalf("who looks for the engine finds %v", rerr)
		case err == nil && found != e:
			t.Errorf("announced %+v, found %+v", e, found)
		case err != nil:
			if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), dir) {
				t.Errorf("announce: %v, want the error and the file", err)
			}
			return // the engine does not start
		}
		if err := withdraw(); err != nil && !errors.Is(err, fsystest.Err) {
			t.Errorf("withdraw: %v", err)
		} else if _, rerr := Read(dir); err == nil && !errors.Is(rerr, ErrNotRunning) {
			t.Errorf("withdrawn, and found: %v", rerr)
		}
	})
}
