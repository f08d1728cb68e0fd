package dirlock

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/fsys/fsystest"
)

// TestFaults fails each operation on files: a lock that was not acquired is free, one that was is held, whatever could be
// written down of its holder, and one that was given up is free even if that was an error.
func TestFaults(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		dir := t.TempDir()
		wants := func(what string, err error) {
			t.Helper()
			if err != nil && (!errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), dir)) {
				t.Errorf("%s: %v, want the error and the file", what, err)
			}
		}
		held := func(want bool) {
			t.Helper()
			if _, held, err := Read(dir); err != nil || held != want {
				t.Errorf("held %v, %v; want %v", held, err, want)
			}
		}
		l, err := acquire(files, dir, time.Now())
		wants("acquire", err)
		held(err == nil)
		if err != nil {
			if l, err = acquire(files, dir, time.Now()); err != nil {
				t.Fatalf("acquired again: %v", err)
			}
		}
		wants("SetListen", l.SetListen("127.0.0.1:4566"))
		held(true)
		err = l.Release()
		if err != nil && !errors.Is(err, fsystest.Err) {
			t.Errorf("release: %v", err)
		}
		held(false)
	})
}
