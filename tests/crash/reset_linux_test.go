package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// rebooted runs a command as on a machine whose boot has another name: the content of a file. Mounts that are made elsewhere
// are seen, those made here go with the last process.
func rebooted(file string, command []string) error {
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := unix.Mount(file, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return unix.Exec(command[0], command, os.Environ())
}

// TestReset: after a reset of the machine, which leaves no process and costs what was not durable, what was under way has lost
// its host and retry rules apply, what had not been started is, and nothing is left of what was.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, runtime string
		flags         []string
		// journal is what the disk has of the supervisor's journal, which is not made durable.
		journal func(content []byte) []byte
	}{
		{"process", "process", nil, func(b []byte) []byte { return b }},
		{"process, no task in the journal", "process", nil, func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] }},
		{"process, no journal", "process", nil, func([]byte) []byte { return nil }},
		{"native", "native", []string{"--network", "private"}, func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] }},
		{"docker", "docker", nil, func(b []byte) []byte { return b[:len(b)*2/3] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			needs(t, "native") // the rights to it
			r := newRig(t, tc.runtime, "", tc.flags...)
			boot := func(name string) {
				r.boot = filepath.Join(filepath.Dir(r.shared), "boot-"+name)
				if err := os.WriteFile(r.boot, []byte(strings.Repeat(name, 8)+"-0000-4000-8000-000000000000\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				r.start()
			}
			boot("1")
			r.stack(2)
			running := func(j *job) bool { return j.Status == "RUNNING" }
			array, err := r.submit("array", 3, "await", r.inside("go"))
			if err != nil {
				t.Fatal(err)
			}
			single := r.run("single", "await", r.inside("go"))
			before := r.finish(r.run("before", "print", "done before"))
			jobs := []string{array + ":0", array + ":1", array + ":2", single}
			for _, id := range jobs {
				r.await(id, "RUNNING", running)
				stream := r.stream(id)
				r.eventually("the job has said that it is ready", func() bool { return len(r.lines(stream)) > 0 })
			}
			// Acknowledged, and perhaps not started yet.
			last := r.run("last", "print", "done")

			r.killEngine()
			supervisor := r.supervisor()
			r.killSupervisor()
			if tc.runtime == "docker" {
				args := append([]string{"kill"}, r.dockerContainers()...)
				if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil && len(args) > 1 {
					t.Logf("docker kill: %v\n%s", err, out) // one may have ended
				}
			}
			r.eventually("no process is left", func() bool {
				for _, pid := range r.processes() {
					_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				}
				return len(r.processes()) == 0 && !r.owns(supervisor)
			})
			path := filepath.Join(r.dir, "supervisor", "supervisor.journal")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if content = tc.journal(content); content == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}

			boot("2")
			for _, id := range jobs {
				j := r.finish(id)
				if j.Status != "SUCCEEDED" || len(j.Attempts) != 2 {
					t.Errorf("job %s is %s: %s, %+v", id, j.Status, j.StatusReason, j.Attempts)
					continue
				}
				if a := j.Attempts[0]; !lostHost(a.Container.ExitCode, a.StatusReason) {
					t.Errorf("the first attempt of job %s ended by %+v", id, a)
				}
				if got := r.lines(j.Attempts[1].Container.LogStreamName); !slices.Equal(got, []string{"ready", "done"}) {
					t.Errorf("the second attempt of job %s has the log %q", id, got)
				}
			}
			if j := r.finish(last); j.Status != "SUCCEEDED" {
				t.Errorf("the job that was submitted last is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
			}
			if j := r.finish(before.JobID); j.Status != "SUCCEEDED" || j.StoppedAt != before.StoppedAt || len(j.Attempts) != 1 {
				t.Errorf("the job that had ended was %+v, is %+v", before, j)
			}
			if got := r.lines(before.Attempts[0].Container.LogStreamName); !slices.Equal(got, []string{"done before"}) {
				t.Errorf("the job that had ended has the log %q", got)
			}
			s := siege{rig: r}
			s.left()
			r.stop()
			s.leftAfterStop()
			for _, dir := range []string{"volumes", filepath.Join("images", "tmp")} {
				if left, err := os.ReadDir(filepath.Join(r.dir, dir)); !errors.Is(err, os.ErrNotExist) && len(left) > 0 {
					t.Errorf("in %s is %v, %v", dir, left, err)
				}
			}
		})
	}
}
