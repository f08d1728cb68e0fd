package runc

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

func TestConformance(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Runc)
	runtimetest.Run(t, runtimetest.Harness{New: open, Image: layers, Starts: 10})
}

func TestEscape(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Runc)
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
