package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

// ownerVariable makes a test binary that calls Main the owner of containers instead.
const ownerVariable = "RUNTIMETEST_OWNER"

// ownerWork is what such an owner is told to do.
type ownerWork struct {
	Owner string
	Specs []runtime.Spec
	Tasks []string
}

// ownerResult is what it has done.
type ownerResult struct {
	Err    string
	PIDs   []int
	Tokens []string
}

// Main is for the TestMain of a test binary that calls Run: with it the suite can start the binary as another process
// that owns containers, and kill it. new is Harness.New. It does not return.
func Main(m *testing.M, new func(owner string) (runtime.Runtime, error)) {
	work := os.Getenv(ownerVariable)
	if work == "" {
		os.Exit(m.Run())
	}
	result := own(work, new)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil || result.Err != "" {
		os.Exit(1)
	}
	time.Sleep(time.Hour) // we are killed long before
}

func own(work string, new func(owner string) (runtime.Runtime, error)) (result ownerResult) {
	var w ownerWork
	err := json.Unmarshal([]byte(work), &w)
	if err == nil {
		err = spawn.Adopt()
	}
	var rt runtime.Runtime
	if err == nil {
		rt, err = new(w.Owner)
	}
	for i, spec := range w.Specs {
		if err != nil {
			break
		}
		var out *os.File
		if out, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
			break
		}
		var h runtime.Handle
		if h, err = rt.Start(context.Background(), spec, w.Tasks[i], out); err != nil {
			break
		}
		_ = out.Close()
		go h.Wait()
		result.PIDs = append(result.PIDs, h.PID())
		if r, ok := h.(runtime.Recoverable); ok {
			result.Tokens = append(result.Tokens, r.Token())
		}
	}
	if err != nil {
		result.Err = err.Error()
	}
	return result
}

// recovery kills an owner of containers and checks that its successor ends them, and them only.
func (s *suite) recovery(t *testing.T) {
	owner := t.TempDir()
	work := ownerWork{Owner: owner}
	for i := range 3 {
		spec := s.spec("ignore")
		spec.Env = []string{fmt.Sprintf("AWS_BATCH_JOB_ID=%s:%d", newKey(), i), "AWS_BATCH_JOB_ATTEMPT=1"}
		work.Specs = append(work.Specs, spec)
		work.Tasks = append(work.Tasks, newKey())
	}
	// Somebody else's container must survive all of this.
	bystander := s.start(t, s.spec("sleep"))
	bystander.says("ready")

	first := s.ownerDies(t, work)
	rt, err := s.New(owner)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	n := s.takeOver(t, rt, owner, first.Tokens)
	t.Logf("of %d containers, %d were still there", len(work.Specs), n)
	for _, pid := range first.PIDs {
		s.gone(t, pid)
	}
	if n := s.takeOver(t, rt, owner, first.Tokens); n != 0 {
		t.Errorf("a second time, %d containers were still there", n)
	}
	select {
	case <-bystander.done:
		t.Errorf("another owner's container has ended: %+v", bystander.exit)
	default:
	}
}

// takeOver does what a supervisor does that follows on one that died.
func (s *suite) takeOver(t *testing.T, rt runtime.Runtime, owner string, tokens []string) int {
	t.Helper()
	n := 0
	if r, ok := rt.(runtime.Reclaimer); ok {
		reclaimed, err := r.Reclaim(t.Context(), tokens)
		if err != nil {
			t.Fatal(err)
		}
		n += reclaimed
	}
	swept, err := rt.Sweep(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return n + swept
}

// ownerDies starts containers in another process and kills it with SIGKILL.
func (s *suite) ownerDies(t *testing.T, work ownerWork) (result ownerResult) {
	t.Helper()
	b, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), ownerVariable+"="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if err := json.NewDecoder(out).Decode(&result); err != nil {
		t.Fatalf("the owner says nothing: %v (does TestMain call runtimetest.Main?)", err)
	}
	if result.Err != "" {
		t.Fatalf("the owner: %s", result.Err)
	}
	return result
}

// gone waits until a process is no more, or a zombie that some init has yet to reap.
func (s *suite) gone(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		return
	}
	for deadline := time.Now().Add(s.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(b), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}
