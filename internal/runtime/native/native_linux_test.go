package native

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/escapetest"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// withoutUserNamespace makes TestMain's runtimes do without, for the processes the suite starts.
const withoutUserNamespace = "NATIVE_TEST_NO_USER_NAMESPACE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(machineVariable); dir != "" && os.Getpid() == 1 {
		runMachine(dir)
	}
	runtimetest.Main(m, func(owner string) (runtime.Runtime, error) {
		return open(owner, os.Getenv(withoutUserNamespace) != "")
	})
}

// open makes a runtime whose supervisor's data directory is owner.
func open(owner string, plain bool) (runtime.Runtime, error) {
	return New(context.Background(), Options{
		StateDir:        filepath.Join(owner, "native"),
		Owner:           owner,
		NoUserNamespace: plain,
		keepNoRoots:     true, // they are open files, which the suite counts
		Log:             slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// starts is how many containers are started to see whether something is left over.
func starts() int {
	if testing.Short() {
		return 10
	}
	return 50
}

func layers(_ testing.TB, root string) runtime.Image {
	return runtime.Image{Ref: "test", Layers: []string{root}}
}

func TestConformance(t *testing.T) {
	testenv.Require(t, testenv.Root)
	runtimetest.Run(t, runtimetest.Harness{
		New:    func(owner string) (runtime.Runtime, error) { return open(owner, false) },
		Image:  layers,
		Starts: starts(),
	})
}

func TestConformanceWithoutUserNamespace(t *testing.T) {
	testenv.Require(t, testenv.Root)
	t.Setenv(withoutUserNamespace, "1")
	runtimetest.Run(t, runtimetest.Harness{
		New:    func(owner string) (runtime.Runtime, error) { return open(owner, true) },
		Image:  layers,
		Starts: starts(),
	})
}

func TestEscape(t *testing.T) {
	testenv.Require(t, testenv.Root)
	for name, plain := range map[string]bool{"UserNamespace": false, "NoUserNamespace": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, err := New(t.Context(), Options{
				StateDir:        t.TempDir(),
				Owner:           t.TempDir(),
				MaxPIDs:         200,
				NoUserNamespace: plain,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := rt.Close(); err != nil {
					t.Error(err)
				}
			})
			escapetest.Run(t, escapetest.Harness{Runtime: rt, Image: layers, MaxPIDs: 200})
		})
	}
}
