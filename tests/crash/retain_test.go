package crash

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// eventually polls until ok, and fails the test with what else.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("never came true: %s", what)
		}
	}
}

func (r *rig) run(name string, args ...string) (id string) {
	r.Helper()
	id, err := r.submit(name, 1, args...)
	if err != nil {
		r.Fatalf("submit %s: %v", name, err)
	}
	return id
}

// gone says whether a job is not there any more.
func (r *rig) gone(id string) bool {
	r.Helper()
	var out struct{ Jobs []job }
	r.must("/v1/describejobs", object{"jobs": []string{id}}, &out)
	return len(out.Jobs) == 0
}

// TestRetention: finished jobs and their output go when they are old enough, and nothing of what runs does.
func TestRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t, "process", "", "--keep-jobs", "1ms", "--keep-logs", "1ms", "--keep-interval", "20ms")
	r.start()
	r.stack(1)
	running := r.run("runs", "sleep")
	r.await(running, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
	stream := r.stream(running)
	r.eventually("the running job has said that it is ready", func() bool { return slices.Equal(r.lines(stream), []string{"ready"}) })

	// More than a segment, and so that what comes next goes to another.
	flood := r.run("floods", "flood", fmt.Sprint(70<<20), "1000")
	r.eventually("the finished job is removed", func() bool { return r.gone(flood) })
	next := r.run("next", "lines", "2")
	r.eventually("the next finished job is removed", func() bool { return r.gone(next) })
	segments := func() int {
		found, err := filepath.Glob(filepath.Join(r.dir, "logs", "supervisor-*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := segments(); n < 2 {
		t.Fatalf("there are %d segments: the flood was too small, or what runs has lost its output", n)
	}
	if r.gone(running) || !slices.Equal(r.lines(stream), []string{"ready"}) {
		t.Errorf("the job that runs has the log %q", r.lines(stream))
	}
	r.must("/v1/terminatejob", object{"jobId": running, "reason": "enough"}, nil)
	r.eventually("the terminated job is removed", func() bool { return r.gone(running) })
	r.eventually("its output is removed", func() bool { return segments() == 1 && len(r.lines(stream)) == 0 })
	r.stop()
}

// stream is the log stream of a job that runs.
func (r *rig) stream(id string) string {
	r.Helper()
	var out struct {
		Jobs []struct {
			Container struct{ LogStreamName string }
		}
	}
	r.must("/v1/describejobs", object{"jobs": []string{id}}, &out)
	if len(out.Jobs) != 1 || out.Jobs[0].Container.LogStreamName == "" {
		r.Fatalf("job %s has no log stream", id)
	}
	return out.Jobs[0].Container.LogStreamName
}

// TestRetentionBySize: a store that holds too much loses the jobs submitted first.
func TestRetentionBySize(t *testing.T) {
	t.Parallel()
	r := newRig(t, "process", "", "--keep-jobs-size", "640KiB", "--keep-interval", "20ms")
	r.start()
	r.stack(1)
	first := r.run("first", "exit", "0")
	r.finish(first)
	var last string
	for i := 0; !r.gone(first); i++ {
		if i == 500 {
			t.Fatal("jobs of 3 MB in all have ended, and the first of them is there")
		}
		last = r.run("fills", "print", strings.Repeat("x", 7<<10))
		r.finish(last)
	}
	if r.gone(last) {
		t.Error("the last job was removed too")
	}
	r.stop()
}
