package fsys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
)

// again does something until it works, at the second try at the latest.
func again(t *testing.T, dir string, fn func() error) {
	t.Helper()
	if err := fn(); err != nil {
		if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v, want the error and the file", err)
		}
		if err := fn(); err != nil {
			t.Errorf("tried again: %v", err)
		}
	}
}

// TestReplace: whoever looks finds the old content or the new one, whole, whatever fails.
func TestReplace(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		// What a crash has left, for everybody to read.
		if err := os.WriteFile(path+".new", []byte("left"), 0o644); err != nil {
			t.Fatal(err)
		}
		had := ""
		for _, content := range []string{"one", "another"} {
			again(t, dir, func() error {
				err := fsys.Replace(files, path, []byte(content), 0o600)
				got, rerr := os.ReadFile(path)
				switch {
				case rerr != nil && (err == nil || had != ""):
					t.Error(rerr)
				case err == nil && string(got) != content:
					t.Errorf("the file holds %q, want %q", got, content)
				case err != nil && string(got) != content && string(got) != had:
					t.Errorf("the file holds %q, want %q or %q", got, content, had)
				}
				return err
			})
			had = content
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		base := t.TempDir()
		dir := filepath.Join(base, "a", "b", "c")
		for range 2 { // which is to change nothing
			again(t, base, func() error { return fsys.MakeDir(files, dir, 0o700) })
		}
		if info, err := os.Stat(filepath.Join(base, "a")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
	})
	// Each name that was made is made durable, and no other.
	seen := fsystest.Sound()
	base := t.TempDir()
	for range 2 {
		if err := fsys.MakeDir(seen, filepath.Join(base, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(seen.Operations(), " "), "mkdir sync-dir sync-dir mkdir"; got != want {
		t.Errorf("the operations were %q, want %q", got, want)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fsys.MakeDir(fsys.OS, filepath.Join(file, "a"), 0o700); err == nil {
		t.Error("a directory was made in a file")
	}
}
