package clients

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/batchbox/batchbox/batchboxtest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestBoto3 goes through the main job with boto3: see mainjob.py.
func TestBoto3(t *testing.T) {
	t.Parallel()
	python := testenv.PythonWithBoto3(t)
	box := batchboxtest.Start(t)
	cmd := exec.CommandContext(t.Context(), python, "mainjob.py", box.Build("./gated", "gated:latest"), filepath.Join(t.TempDir(), "gate"))
	cmd.Env = environment(box)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
