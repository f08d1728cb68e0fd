package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// version builds a batchbox that speaks other versions of the supervisor's protocol.
func version(t *testing.T, oldest, newest int) (program string) {
	t.Helper()
	source, err := filepath.Abs("../../internal/supervisor/proto.go")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]int{"protocolVersion": newest, "protocolOldest": oldest} {
		line := []byte("\t" + name + " = 1\n")
		if bytes.Count(content, line) != 1 {
			t.Fatalf("%s has not the line %q", source, line)
		}
		content = bytes.ReplaceAll(content, line, fmt.Appendf(nil, "\t%s = %d\n", name, value))
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "proto.go"), filepath.Join(dir, "overlay.json")
	program = filepath.Join(dir, "batchbox")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{changed: content, overlay: list} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program, "../../cmd/batchbox").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// TestUpgrade: an engine of another version comes while a job runs under the supervisor of the one before. If they can talk,
// it takes the job up. If they can not, it says so and what to do, and either way that it names loses nothing.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	if !testenv.CI() && os.Getenv("BATCHBOX_CRASH_UPGRADE") == "" {
		t.Skip("BATCHBOX_CRASH_UPGRADE=1 runs this; it builds batchbox twice")
	}
	understands, strange := version(t, 1, 2), version(t, 2, 2)
	const this = "" // the batchbox under test
	for _, tc := range []struct {
		name, before, after string
		talk, kill          bool
	}{
		{"a newer engine that knows the supervisor", this, understands, true, false},
		{"an older engine that the supervisor knows", understands, this, true, false},
		{"a newer engine, and back", this, strange, false, false},
		{"an older engine, and back", strange, this, false, false},
		{"a newer engine, and the supervisor is killed", this, strange, false, true},
		{"an older engine, and the supervisor is killed", strange, this, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "process", "")
			r.other = tc.before
			r.start()
			r.stack(2)
			running := r.run("runs", "await", r.inside("go"))
			r.await(running, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
			supervisor := r.supervisor()
			r.killEngine()

			r.other = tc.after
			r.start()
			more := r.run("more", "print", "done")
			if !tc.talk {
				want := fmt.Sprintf("start that version again until they have ended, or end it (kill -9 %d)", supervisor)
				r.eventually("the engine says what to do", func() bool { return strings.Contains(r.says(), want) })
				if n := strings.Count(r.says(), want); n != 1 {
					t.Errorf("it says so %d times", n)
				}
				if jobs, err := r.describe(running, more); err != nil || jobs[0].Status != "RUNNING" || jobs[1].final() {
					t.Errorf("the jobs are %+v, %v", jobs, err)
				}
				if tc.kill {
					if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				} else {
					r.stop()
					r.other = tc.before
					r.start()
				}
			}
			if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			attempts := 1
			if tc.kill {
				attempts = 2
			}
			j := r.finish(running)
			if j.Status != "SUCCEEDED" || len(j.Attempts) != attempts {
				t.Fatalf("the job that ran is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
			}
			if got := r.lines(j.Attempts[attempts-1].Container.LogStreamName); !slices.Equal(got, []string{"ready", "done"}) {
				t.Errorf("its log is %q", got)
			}
			if a := j.Attempts[0]; tc.kill && !lostHost(a.Container.ExitCode, a.StatusReason) {
				t.Errorf("its first attempt ended by %+v", a)
			}
			if j := r.finish(more); j.Status != "SUCCEEDED" || len(j.Attempts) != 1 {
				t.Errorf("the job that came later is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
			}
			s := siege{rig: r}
			s.left()
			r.stop()
			s.leftAfterStop()
		})
	}
}
