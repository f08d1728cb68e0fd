package crash

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// TestBackup: copies are made while clients submit. In each is what was acknowledged before it was begun; restored beside the
// engine, it is a consistent store whose engine runs what was to be run, has lost what ran, and keeps what had ended.
func TestBackup(t *testing.T) {
	t.Parallel()
	r := newRig(t, "process", "")
	r.start()
	r.stack(2)
	running := r.run("runs", "await", r.inside("go"))
	r.await(running, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })

	var mu sync.Mutex
	var acknowledged []string
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				size, ids := 1, []string{""}
				if n%5 == 0 {
					size, ids = 3, []string{":0", ":1", ":2", ""}
				}
				id, err := r.submit(fmt.Sprintf("job-%d-%d", c, n), size, "print", "done")
				if err != nil {
					t.Errorf("submit: %v", err)
					return
				}
				mu.Lock()
				for _, suffix := range ids {
					acknowledged = append(acknowledged, id+suffix)
				}
				mu.Unlock()
			}
		})
	}
	const copies = 3
	var before [copies][]string
	file := func(i int) string { return filepath.Join(filepath.Dir(r.shared), fmt.Sprintf("copy-%d.db", i)) }
	for i := range before {
		r.eventually("jobs have been submitted", func() bool {
			mu.Lock()
			defer mu.Unlock()
			before[i] = slices.Clone(acknowledged)
			return len(before[i]) > 40*(i+1)
		})
		if out, err := r.command("backup", file(i), "--data-dir", r.dir).CombinedOutput(); err != nil {
			t.Fatalf("backup: %v\n%s", err, out)
		}
	}
	stop()
	clients.Wait()
	if err := os.WriteFile(filepath.Join(r.shared, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if j := r.finish(running); j.Status != "SUCCEEDED" || len(j.Attempts) != 1 {
		t.Errorf("the job that ran is %s: %s, %+v", j.Status, j.StatusReason, j.Attempts)
	}
	r.stop()

	for i, ids := range before {
		restored := newRig(t, "process", "")
		content, err := os.ReadFile(file(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(restored.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(restored.dir, sqlite.FileName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"logs", "registry"} {
			if err := os.CopyFS(filepath.Join(restored.dir, dir), os.DirFS(filepath.Join(r.dir, dir))); err != nil {
				t.Fatal(err)
			}
		}
		db, err := sqlite.Open(t.Context(), restored.dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("copy %d: %v", i, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		restored.start()
		ended := 0
		for _, id := range ids {
			j := restored.finish(id)
			if j.Status != "SUCCEEDED" {
				t.Errorf("copy %d: job %s is %s: %s, %+v", i, id, j.Status, j.StatusReason, j.Attempts)
				continue
			}
			if j.ArrayProperties.Size > 0 {
				continue
			}
			ended++
			// One that was being started when the copy was made has run twice since, and the logs, copied later, tell of both.
			if got := restored.lines(j.Attempts[len(j.Attempts)-1].Container.LogStreamName); len(got) != 2 && len(got) != 1 || got[0] != "done" || got[len(got)-1] != "done" {
				t.Errorf("copy %d: job %s has the log %q", i, id, got)
			}
		}
		j := restored.finish(running)
		if j.Status != "SUCCEEDED" || len(j.Attempts) != 2 || !lostHost(j.Attempts[0].Container.ExitCode, j.Attempts[0].StatusReason) {
			t.Errorf("copy %d: the job that ran is %s: %s, %+v", i, j.Status, j.StatusReason, j.Attempts)
		}
		if ended == 0 {
			t.Errorf("copy %d: no job had been submitted", i)
		}
		restored.stop()
		t.Logf("copy %d has %d jobs and children", i, len(ids))
	}
}

// command is a command of the batchbox under test.
func (r *rig) command(args ...string) *exec.Cmd { return exec.Command(r.program(), args...) }
