package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	for variable, role := range map[string]func(root string) error{adoptVariable: adoptingOwner, ownVariable: own} {
		if root := os.Getenv(variable); root != "" {
			if err := role(root); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			return
		}
	}
	runtimetest.Main(m, newRuntime)
}

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

func TestStartErrors(t *testing.T) {
	t.Parallel()
	given := &runtime.StartError{Kind: runtime.KindResourceInit, Err: errors.New("given"), ExitCode: 3}
	rt, err := New(Options{Resolve: func(root string, argv, _ []string, _ string) (Program, error) {
		switch argv[0] {
		case "missing":
			return Program{}, os.ErrNotExist
		case "forbidden":
			return Program{}, fmt.Errorf("resolve: %w", os.ErrPermission)
		case "given":
			return Program{}, given
		}
		return Program{Path: filepath.Join(root, argv[0]), Argv: argv}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	root := t.TempDir()
	for name, content := range map[string]string{"text": "no program\n", "empty": "", "script": "#!/no/such/interpreter\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		program, want string
		code          int
	}{
		{"missing", `CannotStartContainerError: exec: "missing": file does not exist`, 127},
		{"forbidden", `CannotStartContainerError: exec: "forbidden": resolve: permission denied`, 126},
		{"given", "ResourceInitializationError: given", 3},
		{"text", `CannotStartContainerError: exec: "text": exec format error`, 126},
		{"empty", `CannotStartContainerError: exec: "empty": exec format error`, 126},
		{"script", `CannotStartContainerError: exec: "script": no such file or directory`, 127},
	} {
		_, err := rt.Start(t.Context(), runtime.Spec{Argv: []string{tc.program}, Image: runtime.Image{Rootfs: root}}, "key", os.Stderr)
		var se *runtime.StartError
		if !errors.As(err, &se) || se.Error() != tc.want || se.ExitCode != tc.code {
			t.Errorf("%s: %v (%+v), want %s (%d)", tc.program, err, se, tc.want, tc.code)
		}
	}
}

// TestBusyFile starts a program whose file is open for writing for a moment longer, as it is when a process forked during
// its unpacking has not come to its execve yet.
func TestBusyFile(t *testing.T) {
	t.Parallel()
	rt, err := newRuntime("")
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	root := runtimetest.Rootfs(t)
	f, err := os.OpenFile(filepath.Join(root, "prog"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { f.Close() })
	h, err := rt.Start(t.Context(), runtime.Spec{Argv: []string{"/prog"}, Image: runtime.Image{Rootfs: root}}, "key", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if exit := h.Wait(); exit.Code != 0 {
		t.Errorf("%+v", exit)
	}
}
