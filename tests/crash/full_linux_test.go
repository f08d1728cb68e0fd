package crash

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// tmpfs mounts a small file system of its own, ended with the test.
func tmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	testenv.Require(t, testenv.Linux, testenv.Root)
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if errors.Is(err, syscall.EPERM) {
			testenv.Missing(t, "the right to mount a tmpfs")
		}
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// ballast fills a file system but for so many bytes.
func ballast(t *testing.T, dir string, room int64) (file string) {
	t.Helper()
	file = filepath.Join(dir, "ballast")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	fi, err := f.Stat()
	if err == nil {
		err = f.Truncate(fi.Size() - room)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDiskFull: while the disk is full, submissions are refused as AWS refuses what it can not do, and what runs goes on;
// once there is space, all goes on by itself: what ended meanwhile is known, its output is whole, and everything that was
// acknowledged runs.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		while func(r *rig) // the disk is full
	}{
		{"the engine goes on", func(*rig) {}},
		{"the engine is killed and started again", func(r *rig) {
			r.killEngine()
			<-r.launch()
			if r.endpoint() == "" { // it may refuse to start, but must say why
				r.wait()
				if said := r.said(); !strings.Contains(said, "no space left on device") && !strings.Contains(said, "disk is full") {
					r.Errorf("the engine ended with:\n%s", said)
				}
			}
		}},
		{"both are killed", func(r *rig) {
			r.killSupervisor()
			r.killEngine()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			mount := tmpfs(t, "size=48m")
			r := newRig(t, "process", filepath.Join(mount, "data"))
			r.start()
			r.stack(2)
			running := r.run("runs", "await", r.inside("go"))
			r.await(running, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
			stream := r.stream(running)
			r.eventually("the running job has said that it is ready", func() bool { return slices.Equal(r.lines(stream), []string{"ready"}) })

			full := ballast(t, mount, 512<<10) // room for a few more, which then lack it for their output
			var acknowledged []string
			for {
				id, err := r.submit("more", 1, "print", strings.Repeat("x", 7<<10))
				if err == nil {
					if acknowledged = append(acknowledged, id); len(acknowledged) > 2000 {
						t.Fatal("submissions are not refused")
					}
					continue
				}
				var no *refused
				if !errors.As(err, &no) || no.status != 500 || !strings.HasPrefix(no.kind, "ServerException") {
					t.Fatalf("a submission is answered with %v, want a ServerException", err)
				}
				break
			}
			if jobs, err := r.describe(running); err != nil || jobs[0].Status != "RUNNING" {
				t.Errorf("the job that runs is described as %+v, %v", jobs, err)
			}
			if len(r.processes()) == 0 {
				t.Error("the job that runs has no process")
			}
			// It ends while nobody can write that down.
			if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r.eventually("the program has ended", func() bool { return len(r.processes()) == 0 })
			tc.while(r)

			t.Logf("%d jobs were acknowledged while the disk was filled", len(acknowledged))
			if err := os.Remove(full); err != nil {
				t.Fatal(err)
			}
			if r.endpoint() == "" {
				r.start()
			}
			j := r.finish(running)
			if j.Status != "SUCCEEDED" {
				t.Errorf("the job that ran is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
			}
			last := j.Attempts[len(j.Attempts)-1]
			if got := r.lines(last.Container.LogStreamName); !slices.Equal(got, []string{"ready", "done"}) {
				t.Errorf("its log is %q", got)
			}
			for _, id := range append(acknowledged, r.run("after", "exit", "0")) {
				if j := r.finish(id); j.Status != "SUCCEEDED" {
					t.Errorf("an acknowledged job is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
				}
			}
			r.stop()
		})
	}
}
