package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime/docker/helperbin"
	"github.com/batchbox/batchbox/internal/runtime/escapetest"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// requireHelper skips a test of what batchbox-helper does, if there is none.
func requireHelper(t *testing.T) {
	t.Helper()
	if len(helperbin.Binary()) == 0 {
		testenv.Missing(t, "batchbox-helper, which `go generate ./internal/runtime/docker/helperbin` makes")
	}
}

// attributes are a file's extended attributes as a tar has them.
func attributes(path string) map[string]string {
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(path, "security.capability", value)
	if err != nil {
		return nil
	}
	return map[string]string{"SCHILY.xattr.security.capability": string(value[:n])}
}

func TestEscape(t *testing.T) {
	r := newRuntime(t, Options{MaxPIDs: 200})
	escapetest.Run(t, escapetest.Harness{Runtime: r, Image: archive, MaxPIDs: 200, Patience: patience})
}

// TestStorageIsAskedFor has the daemon tell what a container has written, as one does that is on another machine.
func TestStorageIsAskedFor(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, Options{})
	r.sees = false
	s := spec(archive(t, runtimetest.Rootfs(t)), "fill", "/tmp/large", "1100")
	s.StorageGiB = 1
	if exit := ended(t, started(t, r, "storage/1", s)); !strings.Contains(exit.Err, "ephemeral storage of 1 GiB") {
		t.Errorf("exit %+v", exit)
	}
}

// TestRemoveTree removes what containers have left, as somebody whom it does not belong to.
func TestRemoveTree(t *testing.T) {
	testenv.Require(t, testenv.Docker, testenv.Root)
	requireHelper(t)
	r := newRuntime(t, Options{})
	const nobody = 65534
	mine, err := os.MkdirTemp("", "tree")
	check(t, err)
	defer os.RemoveAll(mine)
	tree := filepath.Join(mine, "task")
	check(t, os.MkdirAll(filepath.Join(tree, "volume", "closed", "deep"), 0o755))
	check(t, os.WriteFile(filepath.Join(tree, "volume", "closed", "deep", "file"), nil, 0o600))
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, nil, 0o600))
	check(t, os.Symlink(filepath.Dir(outside), filepath.Join(tree, "volume", "link")))
	for _, dir := range []string{mine, tree, filepath.Join(tree, "volume")} {
		check(t, os.Chown(dir, nobody, nobody))
	}
	check(t, os.Chmod(filepath.Join(tree, "volume", "closed"), 0))
	// What this thread does with files it does as nobody.
	goruntime.LockOSThread() // and not unlocked: the thread ends with the test
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(tree); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("nobody may remove it: %v", err)
	}
	emptied := make(chan error)
	go func() { emptied <- r.emptyInside(t.Context(), tree) }()
	check(t, <-emptied)
	if err := r.RemoveTree(tree); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(tree); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := unix.SetfsuidRetUid(0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(outside); err != nil {
		t.Errorf("what a link led to: %v", err)
	}
}
