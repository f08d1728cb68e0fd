package supervisor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
)

// mounting is a runtime whose containers find a file of their name in each volume, or make it.
type mounting struct {
	*fake.Runtime
	seen    chan string // "<container> <files that were there already>"
	removed chan string
}

func (m *mounting) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (runtime.Handle, error) {
	for _, mount := range spec.Mounts {
		if mount.Volume == "" {
			continue
		}
		entries, err := os.ReadDir(mount.Source)
		if err != nil {
			return nil, err
		}
		text := spec.Name
		for _, e := range entries {
			text += " " + e.Name()
		}
		m.seen <- text
		if err := os.WriteFile(filepath.Join(mount.Source, spec.Name), nil, 0o600); err != nil {
			return nil, err
		}
	}
	return m.Runtime.Start(ctx, spec, task, out)
}

func (m *mounting) RemoveTree(path string) error {
	err := os.RemoveAll(path)
	m.removed <- path
	return err
}

func TestVolumesOfATask(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rt := &mounting{fake.New(fake.Options{}), make(chan string, 10), make(chan string, 10)}
	heard := newHeard()
	k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{rt}, Logs: &memorySink{}, Reports: heard.hear, Volumes: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	mount := func(task runtime.Task, volume string) runtime.Task {
		for i := range task.Containers {
			task.Containers[i].Mounts = []runtime.Mount{{Volume: volume, Target: "/v"}, {Source: "/", Target: "/host"}}
		}
		return task
	}
	start := func(task runtime.Task) runtime.Report {
		if err := k.Start([]runtime.Task{task}); err != nil {
			t.Fatal(err)
		}
		return heard.ended(t, task.Key)
	}
	if got := outcome(start(mount(taskOf("job/1", "first exit=0; second! @first:SUCCESS exit=0"), "v"))); got != "first 0, second 0" && got != "first 0; second 0" {
		t.Errorf("ended as %s", got)
	}
	if a, b := <-rt.seen, <-rt.seen; a != "first" || b != "second first" {
		t.Errorf("the containers saw %q and %q", a, b)
	}
	if path := <-rt.removed; !strings.HasPrefix(path, dir+"/") {
		t.Errorf("removed %s", path)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// Another task has a volume of its own, though it is called the same.
	start(mount(taskOf("job/2", "only! exit=0"), "v"))
	if got := <-rt.seen; got != "only" {
		t.Errorf("a later task saw %q", got)
	}
	<-rt.removed
	for _, name := range []string{"../v", "a/b", "..", "."} {
		if got := outcome(start(mount(taskOf("job/"+strings.ReplaceAll(name, "/", "_"), "only! exit=0"), name))); !strings.Contains(got, "CannotCreateContainerError: volume") {
			t.Errorf("volume %q: %s", name, got)
		}
	}
	// What a supervisor that died has left.
	if err := os.MkdirAll(filepath.Join(dir, "left", "v"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := k.volumes.sweep(rt); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left after a sweep: %v, %v", left, err)
	}
}
