package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/fsys"
)

func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "supervisor")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	one, first, err := lock(fsys.OS, dir)
	if err != nil || !first {
		t.Fatalf("first %v, %v", first, err)
	}
	_, _, err = lock(fsys.OS, dir)
	if want := fmt.Sprintf("another supervisor is running: process %d holds %s", os.Getpid(), dir); !errors.Is(err, ErrRunning) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	// A process that is being forked has the file for a moment, and with it what closing alone would not release.
	forked, err := unix.Dup(int(one.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(forked)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two, first, err := lock(fsys.OS, dir)
	if err != nil || first {
		t.Fatalf("first %v, %v", first, err)
	}
	if two.lost() {
		t.Error("the lock that was just taken is lost")
	}
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	if !two.lost() {
		t.Error("the directory has gone, and nobody sees it")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	three, first, err := lock(fsys.OS, dir)
	if err != nil || !first || !two.lost() || three.lost() {
		t.Errorf("the lock of a directory in its place: first %t, %v; lost %t, the old one %t", first, err, three.lost(), two.lost())
	}
	if err := errors.Join(two.Close(), three.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestAddressAfterAPowerCut: what a file may hold then says that nobody is there, so that a supervisor is started.
func TestAddressAfterAPowerCut(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n", "/", "/run/half", "\x00\x00\x00\x00", "/\x00\n", "relative\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, addrFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if conn, err := dial(dir); !errors.Is(err, errNobody) {
			t.Errorf("%q: %v, %v; want: %v", content, conn, err, errNobody)
		}
		l, err := listen(fsys.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dial(dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = l.Close()
	}
}

func TestSocketInALongDirectory(t *testing.T) {
	for _, run := range []string{t.TempDir(), "", filepath.Join(t.TempDir(), "not there")} {
		t.Setenv("XDG_RUNTIME_DIR", run)
		dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// Twice, as after a crash, which leaves the socket's file.
		for range 2 {
			l, err := listen(fsys.OS, dir)
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			path, err := address(dir)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
			if parent, err := os.Stat(filepath.Dir(path)); err != nil || parent.Mode().Perm()&0o022 != 0 && run == "" {
				t.Errorf("%s: %v, %v", filepath.Dir(path), parent, err)
			}
			conn, err := dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := dial(dir); !errors.Is(err, errNobody) {
				t.Errorf("dial where nobody listens: %v", err)
			}
			t.Cleanup(func() {
				_ = os.Remove(path)
				if run == "" {
					_ = os.Remove(filepath.Dir(path)) // unless somebody else uses it
				}
			})
		}
	}
}

func TestDialNobody(t *testing.T) {
	t.Parallel()
	if _, err := dial(t.TempDir()); !errors.Is(err, errNobody) {
		t.Error(err)
	}
}
