package scripts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestMainJobOfAnOrdinaryUser has the engine run as somebody who has no rights, no name and no range of ids, which is who
// runs it on most machines: what `--runtime auto` takes there has to run the image that batchbox itself builds.
func TestMainJobOfAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Root, testenv.Bash)
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if out, err := built(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	const nobody = 61234
	dir, err := os.MkdirTemp("", "batchbox-rootless-") // not t.TempDir, whose parents are root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("../bin/batchbox")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "batchbox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	user := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(dir, "batchbox"), args...) // also in Cleanup
		cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "PATH=/usr/bin:/bin", "TMPDIR=" + home}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Logf("batchbox %s: %s", strings.Join(args, " "), errs.Bytes())
		}
		return strings.TrimSpace(string(out)), err
	}
	url, err := user("serve", "--detach", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := user("stop"); err != nil {
			t.Error(err)
		}
	})
	for _, command := range [][]string{
		{"../bin/batchbox", "image", "build", "../apps/batchworker", "-t", "batchworker:latest", "--platform", "host"},
		{"../bin/batchbox", "apply", "-f", "../infra/local"},
		{"../bin/test-runner", "--job-queue", "batchbox-local", "--job-definition", "batchworker", "--array-size", "3", "--input", `{"items": [1, 2, 3]}`},
	} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = append(environment(), "AWS_ENDPOINT_URL="+url, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=batchbox", "AWS_SECRET_ACCESS_KEY=batchbox")
		out, err := cmd.CombinedOutput()
		if err != nil {
			doctor, _ := user("doctor")
			t.Fatalf("%s: %v\n%s\n%s", strings.Join(command, " "), err, out, doctor)
		}
	}
}
