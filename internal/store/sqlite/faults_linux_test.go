package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/testenv"
)

// tmpfs mounts a filesystem of its own, ended with the test.
func tmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	testenv.Require(t, testenv.Linux, testenv.Root)
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if errors.Is(err, syscall.EPERM) && !testenv.CI() {
			t.Skip("may not mount a tmpfs")
		}
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestDiskFull fills a small filesystem. All that was acknowledged is there, what was refused is not, and commits work
// again, without a restart, once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mount := tmpfs(t, "size=4m")
	ballast := filepath.Join(mount, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(mount, "data")
	db := openTest(t, dir)
	var kept []int64
	refused := 0
	try := func(seq int64) {
		c := big(seq)
		switch err := db.Commit(ctx, &c); {
		case err == nil:
			kept = append(kept, seq)
		case errors.Is(err, store.ErrUnavailable):
			refused++
		default:
			t.Fatalf("Commit returned %v", err)
		}
	}
	for seq := int64(1); seq <= 60; seq++ {
		try(seq)
	}
	if refused == 0 || len(kept) == 0 {
		t.Fatalf("the filesystem was not filled: %d kept, %d refused", len(kept), refused)
	}
	if got := jobSeqs(t, db); !slices.Equal(got, kept) {
		t.Errorf("while the disk is full there are jobs %v, want %v", got, kept)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	before := refused
	for seq := int64(101); seq <= 104; seq++ {
		try(seq)
	}
	if refused != before {
		t.Errorf("with room again %d of 4 commits were refused", refused-before)
	}
	if err := db.Check(ctx); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := jobSeqs(t, openTest(t, dir)); !slices.Equal(got, kept) {
		t.Errorf("after a restart there are jobs %v, want %v", got, kept)
	}
}

// TestDiskVanishes: when the filesystem is gone, nothing more is acknowledged.
func TestDiskVanishes(t *testing.T) {
	t.Parallel()
	mount := tmpfs(t, "size=16m")
	db := openTest(t, filepath.Join(mount, "data"))
	commit(t, db, big(1))
	if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	c := big(2)
	if err := db.Commit(context.Background(), &c); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Commit returned %v", err)
	}
}

// TestReadOnly: a store on a filesystem that may not be written to is not opened. The read-only mount is one of its own: the
// one that was written to can be busy, since a program that another test starts has its files open until it runs.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	mount := tmpfs(t, "size=16m")
	dir := filepath.Join(mount, "data")
	db := openTest(t, dir)
	commit(t, db, big(1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	readOnly := tmpfs(t, "size=1m")
	for _, flags := range []uintptr{syscall.MS_BIND, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY} {
		if err := syscall.Mount(dir, readOnly, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(readOnly, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if db, err := Open(context.Background(), readOnly, Options{}); err == nil {
		t.Error(errors.Join(errors.New("a store on a read-only filesystem was opened"), db.Close()))
	} else if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open returned %v", err)
	}
}
