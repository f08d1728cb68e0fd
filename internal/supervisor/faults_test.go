package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
)

// TestJournalFaults fails each operation of the journal, which is written anew on the way: a task that was taken on is known
// to a successor, and what was noted of it too, as soon as anything can be written after the failure.
func TestJournalFaults(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		path := filepath.Join(t.TempDir(), journalFile)
		before := openTestJournal(t, path, "boot", true)
		if err := before.accepted(keyed("left/1")); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(files, path, "boot", false, quiet)
		if err != nil {
			wantFault(t, err, path)
			if j, err = openJournal(files, path, "boot", false, quiet); err != nil {
				t.Fatalf("opened again: %v", err)
			}
		}
		defer func() { _ = j.close() }()
		accept := func(key string) {
			t.Helper()
			if err := j.accepted(keyed(key)); err != nil {
				wantFault(t, err, path)
				if err := j.accepted(keyed(key)); err != nil {
					t.Fatalf("taken on again: %v", err)
				}
			}
		}
		accept("running/1")
		j.running("running/1", "process", "token")
		accept("ended/1")
		j.ended(&runtime.Report{Key: "ended/1", Kind: runtime.Ended, At: began})
		accept("acked/1")
		if err := j.acked([]string{"acked/1"}); err != nil {
			t.Error(err)
		}
		j.size = 1 << 30 // so that it is written anew
		accept("last/1")
		accept("after it/1")

		after, err := openJournal(fsys.OS, path, "boot", false, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = after.close() }()
		ended, unfinished, tokens := after.left()
		if got, want := strings.Join(unfinished, " "), "after it/1 last/1 left/1 running/1"; got != want {
			t.Errorf("unfinished are %q, want %q", got, want)
		}
		if len(ended) != 1 || ended[0].Key != "ended/1" {
			t.Errorf("ended are %+v", ended)
		}
		if got := strings.Join(tokens["process"], " "); got != "token" {
			t.Errorf("the tokens are %q", got)
		}
		if !after.isIntact() {
			t.Error("it is not intact: a successor would take what is not in it for lost")
		}
	})
}

func wantFault(t *testing.T, err error, path string) {
	t.Helper()
	if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want the error and the file", err)
	}
}

// TestPlaceFaults fails each operation that makes a directory's supervisor: it does not start, or clients find it, and the
// next one starts.
func TestPlaceFaults(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		base := t.TempDir()
		dir := filepath.Join(base, "supervisor")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		start := func() error {
			f, _, err := lock(files, dir)
			if err != nil {
				return err
			}
			defer f.Close()
			l, err := listen(files, dir)
			if err != nil {
				return err
			}
			defer l.Close()
			if at, err := address(dir); err != nil || at != l.Addr().String() {
				t.Errorf("listens at %s, a client finds %q, %v", l.Addr(), at, err)
			}
			return nil
		}
		for range 2 { // the first of a directory, and a successor
			if err := start(); err != nil {
				wantFault(t, err, base)
				if err := start(); err != nil {
					t.Errorf("the next one: %v", err)
				}
			}
		}
	})
}

// TestVolumeFaults fails each operation on the directories of tasks' volumes: a container gets all of them or an error, and
// what is removed is gone at the next try, or with the sweep of the next supervisor.
func TestVolumeFaults(t *testing.T) {
	t.Parallel()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		v := volumes{filepath.Join(t.TempDir(), "volumes"), files}
		again := func(what string, fn func() error) {
			t.Helper()
			if err := fn(); err != nil {
				wantFault(t, err, v.dir)
				if err := fn(); err != nil {
					t.Errorf("%s, tried again: %v", what, err)
				}
			}
		}
		gone := func(path string) {
			t.Helper()
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", path, err)
			}
		}
		rt := fake.New(fake.Options{})
		for _, key := range []string{"job/1", "job/2"} {
			again("mounts", func() error {
				mounts, used, err := v.mounts(key, []runtime.Mount{{Volume: "a"}, {Source: "/"}, {Volume: "b"}})
				if err != nil {
					return err
				}
				if !used || len(mounts) != 3 || mounts[1].Source != "/" {
					t.Errorf("mounts %+v, %t", mounts, used)
				}
				for _, m := range []runtime.Mount{mounts[0], mounts[2]} {
					if info, err := os.Stat(m.Source); err != nil || info.Mode().Perm() != 0o755 {
						t.Errorf("volume %s: %v, %v", m.Volume, info, err)
					}
				}
				return nil
			})
		}
		again("remove", func() error { return v.remove(rt, "job/1") })
		gone(v.ofTask("job/1"))
		again("sweep", func() error { return v.sweep(rt) })
		gone(v.ofTask("job/2"))
	})
}
