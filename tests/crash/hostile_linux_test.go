package crash

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestHostile: jobs that do harm end where their limits are, and neither the engine nor their neighbours notice. What loads
// the machine for a minute, the fork bomb among it, is for CI and BATCHBOX_CRASH_HOSTILE=1.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"native", "docker"} { // process does not contain
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			hostile(t, runtime)
		})
	}
}

func hostile(t *testing.T, runtime string) {
	r := newRig(t, runtime, "")
	if err := os.WriteFile(r.shared+"/ledger", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.shared+"/ledger", 0o666); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.stack(1)
	long := testenv.CI() || os.Getenv("BATCHBOX_CRASH_HOSTILE") != ""
	flood, many := 4<<20, 1000 // on a quarter of a processor
	if long {
		flood, many = number(t, "BATCHBOX_CRASH_FLOOD_MIB", 64)<<20, 20_000
	}
	running := func(j *job) bool { return j.Status == "RUNNING" }

	var forks, deaf string
	if long {
		forks, deaf = r.run("forks", "fork-bomb"), r.run("deaf", "ignore") // which AWS gives 30 s
		r.await(forks, "RUNNING", running)
	}
	hog := r.run("hog", "hog", "1000")
	oneLine := r.run("one-line", "flood", fmt.Sprint(flood), "0")
	files := r.run("files", "files", "/tmp", fmt.Sprint(many))
	daemons := r.run("daemons", "leave", "session")
	neighbour, err := r.submit("neighbours", 8, "record", r.inside("ledger"), fmt.Sprint(linesEach), "20")
	if err != nil {
		t.Fatal(err)
	}
	fails := func(id, what, reason string, code int) {
		t.Helper()
		j := r.finish(id)
		if len(j.Attempts) != 1 || j.Status != "FAILED" {
			t.Fatalf("%s is %s: %+v", what, j.Status, j)
		}
		c := j.Attempts[0].Container
		if c.ExitCode == nil || *c.ExitCode != code || !strings.Contains(c.Reason, reason) {
			t.Errorf("%s ended with %v and %q, want %d and %q", what, c.ExitCode, c.Reason, code, reason)
		}
	}
	succeeds := func(id, what string) job {
		t.Helper()
		j := r.finish(id)
		if j.Status != "SUCCEEDED" {
			t.Errorf("%s is %s: %s, %+v", what, j.Status, j.StatusReason, j.Attempts)
		}
		return j
	}

	for i, j := 0, succeeds(neighbour, "the neighbours"); i < j.ArrayProperties.Size; i++ {
		child := r.finish(fmt.Sprintf("%s:%d", neighbour, i))
		if got := r.lines(child.Attempts[0].Container.LogStreamName); len(got) != linesEach {
			t.Errorf("neighbour %d has the log %q", i, got)
		}
	}
	begin := time.Now()
	if _, err := r.describe(hog); err != nil || time.Since(begin) > 30*time.Second {
		t.Errorf("beside them all a description takes %v: %v", time.Since(begin), err)
	}
	fails(hog, "what takes too much memory", "OutOfMemoryError: Container killed due to memory usage", 137)
	succeeds(files, "what makes many files")
	j := succeeds(daemons, "what leaves a daemon")
	if got := r.lines(j.Attempts[0].Container.LogStreamName); len(got) != 1 || got[0] != "left" {
		t.Errorf("what leaves a daemon has the log %q", got)
	}
	// On a quarter of a processor, beside the others.
	r.awaitFor(patience+time.Duration(flood>>20)*200*time.Millisecond, oneLine, "final", (*job).final)
	j = succeeds(oneLine, "what writes one long line")
	written, longest := 0, 0
	r.eachLine(j.Attempts[0].Container.LogStreamName, func(line string) { written, longest = written+len(line), max(longest, len(line)) })
	if longest > logstore.MaxEventBytes {
		t.Errorf("an event of its log has %d bytes, want at most %d", longest, logstore.MaxEventBytes)
	}
	if written != flood {
		t.Errorf("of a line of %d bytes %d are in the log", flood, written)
	}
	r.checkMemory()
	if long {
		r.await(deaf, "RUNNING", running)
		for _, id := range []string{forks, deaf} {
			r.must("/v1/terminatejob", object{"jobId": id, "reason": "harm"}, nil)
		}
		if j := r.finish(forks); j.Status != "FAILED" { // it may have ended itself, for want of threads
			t.Errorf("the fork bomb is %s: %s", j.Status, j.StatusReason)
		}
		fails(deaf, "what ignores SIGTERM", "", 137)
	}
	s := siege{rig: r}
	s.left()
	r.stop()
	s.leftAfterStop()
}

// checkMemory fails if engine or supervisor have taken much memory.
func (r *rig) checkMemory() {
	r.Helper()
	if raced && os.Getenv("BATCHBOX_CRASH_PROGRAM") == "" {
		return
	}
	const most = 256 << 10 // KiB
	for what, pid := range map[string]int{"engine": r.cmd.Process.Pid, "supervisor": r.supervisor()} {
		if peak := statusField(r.TB, pid, "VmHWM"); peak > most {
			r.Errorf("the %s has taken up to %d MiB of memory", what, peak>>10)
		} else {
			r.Logf("the %s has taken up to %d MiB of memory", what, peak>>10)
		}
	}
}

// statusField is a number of /proc/PID/status.
func statusField(t testing.TB, pid int, name string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); key == name {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("process %d has no %s", pid, name)
	return 0
}
