package escapetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the hostile program, made once for all tests that use it at the same time.
var built struct {
	sync.Mutex
	users int
	dir   string
}

// Program builds the hostile program, static, and returns its path. It is removed with the last test that uses it.
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
	return filepath.Join(built.dir, "prog")
}

func build() (err error) {
	built.dir, err = os.MkdirTemp("", "escapetest")
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(built.dir, "prog"),
		"github.com/batchbox/batchbox/internal/runtime/escapetest/prog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(built.dir)
		return fmt.Errorf("build the hostile program: %w\n%s", err, out)
	}
	return nil
}
