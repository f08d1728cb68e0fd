package runtimetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the program, made once for all tests that use it at the same time.
var built struct {
	sync.Mutex
	users int
	dir   string
	path  string
}

// Program builds the suite's program, static, and returns its path. It is removed with the last test that uses it.
func Program(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.users == 0 {
		if err := build(); err != nil {
			t.Fatal(err)
		}
	}
	built.users++
	t.Cleanup(func() {
		built.Lock()
		defer built.Unlock()
		if built.users--; built.users == 0 {
			_ = os.RemoveAll(built.dir)
		}
	})
	return built.path
}

func build() (err error) {
	built.dir, err = os.MkdirTemp("", "runtimetest")
	if err != nil {
		return err
	}
	built.path = filepath.Join(built.dir, "prog")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", built.path,
		"github.com/batchbox/batchbox/internal/runtime/runtimetest/prog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(built.dir)
		return fmt.Errorf("build the test program: %w\n%s", err, out)
	}
	return nil
}

// Rootfs is an unpacked image: a directory that holds the program as /prog, and the directories that every image has.
func Rootfs(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "work"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(Program(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "prog"), prog, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}
