package helperbin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestEmbeddedHelperIsCurrent(t *testing.T) {
	t.Parallel()
	if len(Binary()) == 0 {
		t.Skip("built without batchbox-helper")
	}
	path := filepath.Join(t.TempDir(), "batchbox-helper")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path,
		"github.com/batchbox/batchbox/cmd/batchbox-helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fresh, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, Binary()) {
		t.Error("the embedded batchbox-helper is not what its source makes; run `go generate ./internal/runtime/docker/helperbin`")
	}
}
