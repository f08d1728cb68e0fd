package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
)

// TestIdentityFaults fails each operation that gives a directory its id: one that was given stays.
func TestIdentityFaults(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]bool{"new": false, "an empty file, as a crash left it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
				dir := filepath.Join(t.TempDir(), "supervisor")
				if left {
					if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "docker-instance"), nil, 0o600)); err != nil {
						t.Fatal(err)
					}
				}
				id, err := identify(files, dir)
				if err != nil {
					if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), filepath.Dir(dir)) {
						t.Errorf("%v, want the error and the file", err)
					}
					if id, err = identify(files, dir); err != nil {
						t.Fatalf("tried again: %v", err)
					}
				}
				if again, err := identify(fsys.OS, dir); err != nil || again != id || id == "" {
					t.Errorf("the id was %q, is %q, %v", id, again, err)
				}
			})
		})
	}
}
