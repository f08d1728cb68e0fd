package crash

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDirectoryGone: somebody removes the data directory of an engine that runs. What can not be kept is not acknowledged, and
// nobody is left behind: the supervisor, whom nobody could find any more, ends its containers when the engine has gone.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"process", "native"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, runtime, "")
			needs(t, "native") // who can see whether anybody is left
			r.start()
			r.stack(1)
			id := r.run("runs", "await", r.inside("go"))
			r.await(id, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
			supervisor := r.supervisor()
			r.eventually("the directory is gone", func() bool { return os.RemoveAll(r.dir) == nil })
			var no *refused
			if _, err := r.submit("lost", 1, "exit", "0"); !errors.As(err, &no) || no.status != 500 || !strings.HasPrefix(no.kind, "ServerException") {
				t.Errorf("a submission is answered with %v, want a ServerException", err)
			}
			if len(r.processes()) == 0 {
				t.Error("the job does not run any more, though its engine does")
			}
			r.killEngine()
			r.eventually("the supervisor and its containers have ended", func() bool { return !r.owns(supervisor) && len(r.processes()) == 0 })
			r.start() // which is a new one
			r.stack(1)
			if j := r.finish(r.run("new", "exit", "0")); j.Status != "SUCCEEDED" {
				t.Errorf("a job of the new engine is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
			}
			s := siege{rig: r}
			r.stop()
			s.leftAfterStop()
		})
	}
}

// TestStandstill: the supervisor stands still for a while, as a machine that swaps does, or a debugger does to it; the engine
// is killed meanwhile. Nothing is lost or done twice.
func TestStandstill(t *testing.T) {
	t.Parallel()
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, runtime, "")
			r.start()
			r.stack(1)
			id := r.run("runs", "await", r.inside("go"))
			r.await(id, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
			still := r.supervisor()
			if err := syscall.Kill(still, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = syscall.Kill(still, syscall.SIGCONT) }()
			waits := r.run("waits", "print", "done")
			if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(number(t, "BATCHBOX_CRASH_STANDSTILL", 1)) * time.Second)
			if jobs, err := r.describe(id, waits); err != nil || jobs[0].Status != "RUNNING" || jobs[1].final() {
				t.Errorf("the jobs are %+v, %v", jobs, err)
			}
			r.killEngine()
			r.start()
			if err := syscall.Kill(still, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{id, waits} {
				j := r.finish(id)
				if j.Status != "SUCCEEDED" || len(j.Attempts) != 1 {
					t.Errorf("job %s is %s: %s, %+v", j.JobName, j.Status, j.StatusReason, j.Attempts)
				}
				lines := r.lines(j.Attempts[0].Container.LogStreamName)
				if got := strings.Join(lines, " "); got != "ready done" && got != "done" {
					t.Errorf("job %s has the log %q", j.JobName, lines)
				}
			}
			if r.supervisor() != still {
				t.Error("the supervisor is another one")
			}
			s := siege{rig: r}
			s.left()
			r.stop()
			s.leftAfterStop()
		})
	}
}

// TestLauncherKilled: the process that starts native containers dies, and with it the containers. Their attempts fail and
// are tried again, by a new one.
func TestLauncherKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "native", "")
	r.start()
	r.stack(3)
	id := r.run("runs", "await", r.inside("go"))
	r.await(id, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
	children := r.childrenOf(r.supervisor())
	if len(children) != 1 {
		t.Fatalf("the supervisor has the children %v", children)
	}
	if err := syscall.Kill(children[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := r.finish(id)
	if j.Status != "SUCCEEDED" || len(j.Attempts) < 2 {
		t.Errorf("the job is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
	}
	if j := r.finish(r.run("after", "exit", "0")); j.Status != "SUCCEEDED" {
		t.Errorf("a later job is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
	}
	s := siege{rig: r}
	s.left()
	r.stop()
	s.leftAfterStop()
}

// childrenOf are a process's children.
func (r *rig) childrenOf(pid int) (children []int) {
	r.Helper()
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		r.Fatal(err)
	}
	for _, dir := range found {
		content, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(dir))
			children = append(children, child)
		}
	}
	slices.Sort(children)
	return children
}

// TestFirstStartKilled: an engine that is killed while it makes its directory, again and again, leaves one that the next can
// use.
func TestFirstStartKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "process", "")
	for i := range 8 {
		if i == 4 {
			if err := os.RemoveAll(r.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		ready := r.launch()
		select {
		case <-ready:
		case <-time.After(time.Duration(20*(i%4)+5) * time.Millisecond):
		}
		r.killEngine()
	}
	r.start()
	r.stack(1)
	if j := r.finish(r.run("job", "exit", "0")); j.Status != "SUCCEEDED" {
		t.Errorf("the job is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
	}
	r.stop()
}
