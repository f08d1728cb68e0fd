package scripts

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/testenv"
)

// e2e is run-e2e.sh with a directory of its own for temporary files, in a process group of its own as a terminal gives it.
func e2e(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	testenv.Require(t, testenv.Bash)
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if out, err := built(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	tmp = t.TempDir()
	cmd = exec.CommandContext(t.Context(), "./run-e2e.sh", append([]string{"--target", "local"}, args...)...)
	cmd.Env = append(environment(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, tmp
}

// built builds once, so that the scripts that run beside each other find nothing to write.
var built = sync.OnceValues(func() ([]byte, error) { return exec.Command("./build.sh").CombinedOutput() })

// nothingIsLeft fails the test if the script has left a file or a process.
func nothingIsLeft(t *testing.T, tmp string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(tmp, "batchbox-e2e*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %q, error %v", left, err)
	}
	// The processes that have to do with the directory. A supervisor that keeps nothing ends by itself after half a minute.
	var running []string
	for deadline := time.Now().Add(testenv.Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if running = processes(t, tmp); len(running) == 0 {
			return
		}
	}
	t.Errorf("processes left:\n%s", strings.Join(running, "\n"))
}

func processes(t *testing.T, word string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-eo", "pid,stat,args").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, word) && !strings.Contains(line, " Z") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestEndToEnd(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--array-size", "3")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASSED: 3 of 3 children verified") || !strings.HasPrefix(string(out), "target: local (--target local)\n") {
		t.Errorf("%v\n%s", err, out)
	}
	nothingIsLeft(t, tmp)
}

func TestEndToEndCleansUpAfterFailure(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--array-size", "2", "--input", `{"items": [1, 2], "knobs": {"failIndexes": [1], "exitCode": 7}}`)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "FAILED, exit code 7") || !strings.Contains(string(out), "\nstop: ") {
		t.Errorf("%v\n%s", err, out)
	}
	nothingIsLeft(t, tmp)
}

func TestEndToEndCleansUpAfterCtrlC(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--array-size", "4", "--input", `{"range": {"from": 1, "to": 4}, "knobs": {"sleep": "10m"}}`)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	interrupted := false
	for s := bufio.NewScanner(stderr); s.Scan(); {
		said.WriteString(s.Text() + "\n")
		if !interrupted && strings.Contains(s.Text(), "RUNNING") {
			interrupted = true
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); !interrupted || code != 130 || !strings.Contains(stdout.String(), "\nstop: ") {
		t.Errorf("interrupted %v, exit code %d (%v)\n%s%s", interrupted, code, err, &stdout, &said)
	}
	nothingIsLeft(t, tmp)
}

func TestEndToEndWithoutCleanup(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--no-cleanup")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, after, ok := strings.Cut(string(out), "To stop it:\n")
	if !ok {
		t.Fatalf("it does not say how to stop it:\n%s", out)
	}
	if len(processes(t, tmp)) == 0 {
		t.Errorf("nothing runs:\n%s", out)
	}
	// What it says works as it stands.
	_, look, _ := strings.Cut(string(out), "To look at it:\n")
	source, _, _ := strings.Cut(strings.TrimSpace(look), "\n")
	env := strings.TrimPrefix(source, "source ")
	if _, err := os.Stat(env); err != nil {
		t.Errorf("no file to source: %v", err)
	}
	jobs := exec.CommandContext(t.Context(), "bash", "-ec", source+" && ../bin/batchbox jobs")
	jobs.Env = environment()
	if listed, err := jobs.CombinedOutput(); err != nil || !strings.Contains(string(listed), "SUCCEEDED") {
		t.Errorf("%v\n%s", err, listed)
	}
	// And so does the test runner by hand, as the README has it.
	t.Cleanup(func() { os.Remove("../tests/batchtest/test-runner") }) // it may not have been built
	byHand := exec.CommandContext(t.Context(), "bash", "-ec", source+` && cd ../tests/batchtest && go build -o test-runner . && ./test-runner --job-queue="$JOB_QUEUE_ARN" --job-definition="$JOB_DEFINITION_ARN" --array-size=2 --input='{"message": "Hello!", "items": ["item-A", "item-B"]}'`)
	byHand.Env = environment()
	if ran, err := byHand.CombinedOutput(); err != nil || !strings.Contains(string(ran), "PASSED: 2 of 2 children verified") {
		t.Errorf("%v\n%s", err, ran)
	}
	if stopped, err := exec.CommandContext(t.Context(), "bash", "-ec", after).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, stopped)
	}
	nothingIsLeft(t, tmp)
}
