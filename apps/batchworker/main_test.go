package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is batchworker itself when a test starts it so.
func TestMain(m *testing.M) {
	if os.Getenv("BATCHWORKER_TEST_PROGRAM") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func batchworker(t *testing.T, vars ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append([]string{"BATCHWORKER_TEST_PROGRAM=1", "TMPDIR=" + t.TempDir(), "AWS_BATCH_JOB_ID=j"}, vars...)
	return cmd
}

func start(t *testing.T, vars ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := batchworker(t, vars...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func child(index, size int) []string {
	return []string{fmt.Sprint("AWS_BATCH_JOB_ARRAY_INDEX=", index), fmt.Sprint("AWS_BATCH_JOB_ARRAY_SIZE=", size)}
}

func TestPrintsItsResult(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, input string
		child       []string
		want        string // the result's members of the share
	}{
		{"OneItem", `{"message": "Hello!", "items": ["item-A", "item-B"]}`, child(1, 2), `{"arrayIndex":1,"item":"item-B"}`},
		{"OneOfARange", `{"message": "Hello!", "range": {"from": 0, "to": 9999}}`, child(9999, 10000), `{"arrayIndex":9999,"item":9999}`},
		{"Slice", `{"message": "Hello!", "items": [{"n": 1}, 2, null, "d"]}`, child(0, 2), `{"arrayIndex":0,"items":[{"n":1},2]}`},
		{"SliceOfARange", `{"message": "Hello!", "range": {"from": 5, "to": 24}}`, child(1, 2), `{"arrayIndex":1,"range":{"from":15,"to":24}}`},
		{"SingleJob", `{"message": "Hello!", "items": ["item-A"]}`, nil, `{"item":"item-A"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := time.Now().Add(-time.Second)
			stdout, stderr, code := start(t, append(tc.child, "JOB_INPUT="+tc.input, "AWS_BATCH_JOB_ATTEMPT=3")...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, stderr %q", code, stderr)
			}
			if !strings.HasPrefix(stdout, "{\n  \"jobId\": \"j\",\n") {
				t.Errorf("not indented JSON: %s", stdout)
			}
			var got map[string]any
			var r result
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatal(err)
			}
			if r.Message != "Hello!" || r.Attempt != 3 || r.Host != host || r.Start.Before(before) || r.End.Before(r.Start) {
				t.Errorf("got %s", stdout)
			}
			for _, common := range []string{"jobId", "attempt", "message", "host", "start", "end"} {
				delete(got, common)
			}
			share, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(share) != tc.want {
				t.Errorf("share %s, want %s", share, tc.want)
			}
		})
	}
}

func TestFails(t *testing.T) {
	t.Parallel()
	input := func(knobs string) string { return `JOB_INPUT={"items": ["a", "b", "c"], "knobs": ` + knobs + `}` }
	attempt := func(n int) string { return fmt.Sprint("AWS_BATCH_JOB_ATTEMPT=", n) }
	for _, tc := range []struct {
		name string
		vars []string
		code int
		why  string
	}{
		{"WithTheCode", append(child(0, 3), input(`{"exitCode": 42}`)), 42, "told to fail with exit code 42 (index 0, attempt 1)"},
		{"ForTheIndexes", append(child(2, 3), input(`{"exitCode": 3, "failIndexes": [0, 2]}`)), 3, "index 2"},
		{"NotForOtherIndexes", append(child(1, 3), input(`{"exitCode": 3, "failIndexes": [0, 2]}`)), 0, ""},
		{"ForNoIndex", append(child(1, 3), input(`{"exitCode": 3, "failIndexes": []}`)), 0, ""},
		{"ASingleJobIsIndex0", []string{input(`{"failIndexes": [0]}`)}, 1, "exit code 1"},
		{"OnTheFirstAttempts", append(child(0, 3), attempt(2), input(`{"failAttempts": 2}`)), 1, "attempt 2"},
		{"NotOnLaterAttempts", append(child(0, 3), attempt(3), input(`{"failAttempts": 2}`)), 0, ""},
		{"OnTheFirstAttemptsOfIndexes", append(child(1, 3), attempt(1), input(`{"failAttempts": 2, "failIndexes": [0]}`)), 0, ""},
		{"MoreChildrenThanItems", append(child(3, 4), input(`{}`)), 2, "more children than items: 4 for 3"},
		{"NoJSON", []string{"JOB_INPUT=items"}, 2, "not JSON"},
		{"UnknownKnob", []string{input(`{"slep": 1}`)}, 2, `unknown field "slep"`},
		{"NoKnobs", []string{input(`[]`)}, 2, "knobs: "},
		{"NegativeKnob", []string{input(`{"memoryMiB": -1}`)}, 2, "knobs: memoryMiB is negative"},
		{"CodeOutOfRange", []string{input(`{"exitCode": 0}`)}, 2, "knobs: exitCode is 0"},
		{"TermCodeOutOfRange", []string{input(`{"termExitCode": 256}`)}, 2, "knobs: termExitCode is 256"},
		{"NoDuration", []string{input(`{"sleep": "fast"}`)}, 2, `invalid duration "fast"`},
		{"NoDurationEither", []string{input(`{"sleep": []}`)}, 2, "[] is no duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := start(t, tc.vars...)
			if code != tc.code || !strings.Contains(stderr, tc.why) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, stderr, tc.code, tc.why)
			}
			if (stdout != "") != (tc.code == 0) {
				t.Errorf("stdout %q with exit code %d", stdout, code)
			}
		})
	}
}

func TestPrintsLines(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := start(t, `JOB_INPUT={"items": [1], "knobs": {"lines": 12, "lineBytes": 20}}`)
	lines := strings.Split(stdout, "\n")
	if code != 0 || stderr != "" || lines[0] != "line 1 of 12 ......." || lines[11] != "line 12 of 12 ......" || lines[12] != "{" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	stdout, stderr, code = start(t, `JOB_INPUT={"items": [1], "knobs": {"lines": 1, "stderr": true}}`)
	if code != 0 || len(stderr) != 65 || !strings.HasPrefix(stdout, "{") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestTakesTimeForEachItem(t *testing.T) {
	t.Parallel()
	stdout, _, code := start(t, `JOB_INPUT={"items": [1, 2], "knobs": {"sleep": "30ms", "burn": 10}}`)
	var r result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, stdout %q", code, stdout)
	}
	if took := r.End.Sub(r.Start); took < 80*time.Millisecond {
		t.Errorf("took %v, want 80ms at least", took)
	}
}

func TestUsesDiskAndMemory(t *testing.T) {
	t.Parallel()
	cmd := batchworker(t, `JOB_INPUT={"items": [1], "knobs": {"diskMiB": 2, "memoryMiB": 64}}`)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	maxRSS := usage.Maxrss // KiB on Linux, bytes on Darwin: over 64 MiB in both readings
	if maxRSS < 64<<10 {
		t.Errorf("maximum resident size %d KiB, want %d at least", maxRSS, 64<<10)
	}
	stdout, stderr, code := start(t, "TMPDIR=/nonexistent", `JOB_INPUT={"items": [1], "knobs": {"diskMiB": 1}}`)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "fill the disk") {
		t.Errorf("no directory for files: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestShowsItsEnvironment(t *testing.T) {
	t.Parallel()
	stdout, _, _ := start(t, "COLOUR=green", `JOB_INPUT={"items": [1], "knobs": {"showEnvironment": true}}`)
	if !strings.Contains(stdout, `"COLOUR=green"`) {
		t.Errorf("stdout %s", stdout)
	}
}

func TestSIGTERM(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, knobs string
		code        int
	}{
		{"Stops", `{"lines": 1, "sleep": "1m"}`, 143},
		{"StopsBurning", `{"lines": 1, "burn": "1m"}`, 143},
		{"StopsWithItsCode", `{"lines": 1, "sleep": "1m", "termExitCode": 0}`, 0},
		{"IsIgnored", `{"lines": 1, "sleep": "200ms", "ignoreSigterm": true}`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cmd := batchworker(t, `JOB_INPUT={"items": [1], "knobs": `+tc.knobs+`}`)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			first := make([]byte, 65) // the line says that the program listens
			if n, err := stdout.Read(first); err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if _, err := out.ReadFrom(stdout); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tc.code {
				t.Errorf("exit code %d (%v), want %d; stderr %q", code, err, tc.code, &stderr)
			}
			if ended := strings.Contains(out.String(), `"jobId"`); ended != (tc.name == "IsIgnored") {
				t.Errorf("stdout %q", &out)
			}
		})
	}
}
