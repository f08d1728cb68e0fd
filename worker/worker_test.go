package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/worker"
)

func TestRunExitCodes(t *testing.T) {
	t.Parallel()
	terminated, cancel := context.WithCancelCause(t.Context())
	cancel(worker.ErrTerminated)
	const good = `JOB_INPUT={"items": [1]}`
	broken := errors.New("disk on fire")
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		input  string
		result any
		err    error
		code   int
		stdout string
		stderr string
	}{
		{"Success", t.Context(), good, map[string]int{"answer": 42}, nil, 0, "{\n  \"answer\": 42\n}\n", ""},
		{"SuccessThoughTerminated", terminated, good, 1, nil, 0, "1\n", ""},
		{"BadInput", t.Context(), "JOB_INPUT=", 1, nil, 2, "", "error: bad input: JOB_INPUT is not set"},
		{"BadInputOfTheProgram", t.Context(), good, 1, fmt.Errorf("item: %w", &worker.InputError{Err: broken}), 2, "", "error: item: bad input: disk on fire\n"},
		{"Failure", t.Context(), good, 1, broken, 1, "", "error: disk on fire\n"},
		{"OwnCode", t.Context(), good, 1, fmt.Errorf("item: %w", &worker.ExitError{Code: 42, Err: broken}), 42, "", "error: item: disk on fire\n"},
		{"OwnCodeZero", t.Context(), good, 1, &worker.ExitError{Code: 0, Err: broken}, 0, "", "error: disk on fire\n"},
		{"OwnCodeNoExitCode", t.Context(), good, 1, &worker.ExitError{Code: 256, Err: broken}, 1, "", "error: disk on fire\n"},
		{"Terminated", terminated, good, 1, fmt.Errorf("copy: %w", context.Canceled), 143, "", "error: copy: context canceled\n"},
		{"TerminatedByCause", terminated, good, 1, worker.ErrTerminated, 143, "", "error: told to stop by SIGTERM\n"},
		{"CancelledForOtherReasons", t.Context(), good, 1, context.Canceled, 1, "", "error: context canceled\n"},
		{"ResultNoJSON", t.Context(), good, math.NaN(), nil, 1, "", "error: write the result: json: unsupported value: NaN\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := worker.Run(tc.ctx, worker.Process{LookupEnv: env(tc.input), Stdout: &stdout, Stderr: &stderr},
				func(context.Context, worker.Job[int]) (any, error) { return tc.result, tc.err })
			if code != tc.code || stdout.String() != tc.stdout || !strings.HasPrefix(stderr.String(), tc.stderr) || (stderr.Len() == 0) != (tc.stderr == "") {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, &stdout, &stderr, tc.code, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestRunReportsAPanicAsFailure(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := worker.Run(t.Context(), worker.Process{LookupEnv: env(`JOB_INPUT={"items": [1]}`), Stdout: &stdout, Stderr: &stderr},
		func(_ context.Context, job worker.Job[int]) (int, error) { return job.Items[1], nil })
	if code != 1 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "panic: runtime error: index out of range [1]") ||
		!strings.Contains(stderr.String(), "worker_test.go") {
		t.Errorf("code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}

func TestRunFailsWhenTheResultCanNotBeWritten(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.CloseWithError(errors.New("no one reads"))
	var stderr bytes.Buffer
	code := worker.Run(t.Context(), worker.Process{LookupEnv: env(`JOB_INPUT={"items": [1]}`), Stdout: w, Stderr: &stderr},
		func(context.Context, worker.Job[int]) (int, error) { return 1, nil })
	if code != 1 || !strings.Contains(stderr.String(), "write the result: no one reads") {
		t.Errorf("code %d, stderr %q", code, &stderr)
	}
}

// TestMain runs the test binary as a program of worker.Main when a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("WORKER_TEST_PROGRAM") == "1" {
		worker.Main(func(ctx context.Context, job worker.Job[string]) (string, error) {
			if job.Item() == "wait" {
				fmt.Println("waiting")
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			return job.Item(), nil
		})
	}
	os.Exit(m.Run())
}

func program(t *testing.T, input string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = []string{"WORKER_TEST_PROGRAM=1", "JOB_INPUT=" + input}
	return cmd
}

func TestMainExitsZeroWithTheResult(t *testing.T) {
	t.Parallel()
	out, err := program(t, `{"items": ["a"]}`).Output()
	if err != nil || string(out) != "\"a\"\n" {
		t.Errorf("stdout %q, error %v", out, err)
	}
}

func TestMainCancelsTheJobOnSIGTERM(t *testing.T) {
	t.Parallel()
	cmd := program(t, `{"items": ["wait"]}`)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("waiting\n"))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 || stderr.String() != "error: told to stop by SIGTERM\n" {
		t.Errorf("exit code %d (%v), stderr %q", code, err, &stderr)
	}
}
