package native

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/escapetest"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// rootless is set in a test binary that was started by TestRootless.
const rootless = "NATIVE_TEST_ROOTLESS"

// delegated is set if that process was given a control group.
const delegated = "NATIVE_TEST_DELEGATED"

// nobody is a user id that the machine knows nothing of.
const nobody = 61234

// TestRootless runs the suites as a user without any rights, in a process of its own.
func TestRootless(t *testing.T) {
	testenv.Require(t, testenv.Root)
	t.Parallel()
	dir := programs(t)
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "native.test"), "-test.run=^TestUnprivileged", "-test.v", "-test.timeout=120s")
	cmd.Dir = tmp
	cmd.Env = []string{rootless + "=1", "PROGRAMS=" + dir, "PATH=" + dir + ":/usr/bin:/bin", "HOME=" + tmp, "TMPDIR=" + tmp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestUnprivilegedConformance")) {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "--- SKIP") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// programs is a directory that any user can reach, with a copy of this binary, and with the programs that the suites would
// build but that not everybody has a build cache for: first on PATH, the "go" in there takes them from where PROGRAMS says.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "native-rootless")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{
		"native.test": exe, "runtimetest": runtimetest.Program(t), "escapetest": escapetest.Program(t),
	} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const build = `#!/bin/sh
# "go build ... -o FILE .../SUITE/prog", without building
while [ $# -gt 1 ]; do
	[ "$1" = -o ] && out=$2
	shift
done
exec cp "$PROGRAMS/$(basename "$(dirname "$1")")" "$out"
`
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(build), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asUser skips a test that is not run by a user who may make user namespaces.
func asUser(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("running as root; TestRootless runs this as somebody else")
	}
	r, err := New(t.Context(), Options{StateDir: t.TempDir(), Owner: t.TempDir()})
	if errors.Is(err, ErrUnsupported) && os.Getenv(rootless) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	caps := r.Capabilities()
	for _, note := range caps.Notes {
		t.Log(note)
	}
	if os.Getenv(delegated) != "" && !(caps.MemoryLimit && caps.CPULimit) {
		t.Error("the control group that was given is not used")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnprivilegedConformance(t *testing.T) {
	asUser(t)
	runtimetest.Run(t, runtimetest.Harness{
		New:    func(owner string) (runtime.Runtime, error) { return open(owner, false) },
		Image:  layers,
		Starts: starts(),
	})
}

func TestUnprivilegedEscape(t *testing.T) {
	asUser(t)
	r, err := New(t.Context(), Options{StateDir: t.TempDir(), Owner: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	escapetest.Run(t, escapetest.Harness{Runtime: r, Image: layers})
}
