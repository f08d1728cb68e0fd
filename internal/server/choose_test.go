package server_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/batchbox/batchbox/internal/server"
)

// An engine that is killed while it tries the runtimes leaves something; the next one removes it.
func TestTrialIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "trial", "process", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", DataDir: dir, Runtime: "process"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "trial")); !os.IsNotExist(err) {
		t.Errorf("the trial's directory: %v", err)
	}
}
