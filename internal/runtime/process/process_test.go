package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
)

func TestMain(m *testing.M) { runtimetest.Main(m, newRuntime) }

func newRuntime(string) (runtime.Runtime, error) { return New(Options{Resolve: resolve}) }

// resolve finds static programs, which is all that the suite runs: by path, or in /bin.
func resolve(root string, argv, _ []string, dir string) (Program, error) {
	path := argv[0]
	if !strings.Contains(path, "/") {
		path = "/bin/" + path
	}
	p := Program{Path: filepath.Join(root, path), Argv: argv}
	if dir != "" {
		p.Dir = filepath.Join(root, dir)
	}
	info, err := os.Stat(p.Path)
	if err == nil && (info.IsDir() || info.Mode().Perm()&0o111 == 0) {
		err = os.ErrPermission
	}
	return p, err
}

func TestConformance(t *testing.T) {
	runtimetest.Run(t, runtimetest.Harness{New: newRuntime})
}
