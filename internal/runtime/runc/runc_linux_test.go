package runc

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/escapetest"
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

func TestMain(m *testing.M) { runtimetest.Main(m, open) }

// open makes a runtime whose supervisor's data directory is owner.
func open(owner string) (runtime.Runtime, error) {
	return New(context.Background(), Options{
		StateDir: filepath.Join(owner, "runc"),
		Owner:    owner,
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

func layers(_ testing.TB, root string) runtime.Image {
	return runtime.Image{Ref: "test", Layers: []string{root}}
}

// require skips where runc can't be tried.
func require(t *testing.T) {
	t.Helper()
	testenv.Require(t, testenv.Root, testenv.Runc)
	if len(initbin.Binary()) == 0 {
		testenv.Missing(t, "batchbox-init, which `go generate ./internal/runtime/native` makes")
	}
}

func TestConformance(t *testing.T) {
	require(t)
	runtimetest.Run(t, runtimetest.Harness{New: open, Image: layers, Starts: 10})
}

func TestEscape(t *testing.T) {
	require(t)
	rt, err := New(t.Context(), Options{StateDir: t.TempDir(), Owner: t.TempDir(), MaxPIDs: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	escapetest.Run(t, escapetest.Harness{Runtime: rt, Image: layers, MaxPIDs: 200})
}
