package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

func TestSingleJob(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", "")
	l.expect("a RUNNABLE", "a STARTING")
	l.run("a")
	l.exit("a", 0)
	l.expect("a RUNNING", "a SUCCEEDED")
}

func TestArrayRunsWithinCapacity(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":5}`)
	if got := len(l.started); got != 4 {
		t.Fatalf("%d children of a quarter vCPU were started on 1 vCPU, want 4", got)
	}
	l.exit("a:2", 0)
	if got := l.underWay(); len(got) != 4 || got[3] != "a:4" {
		t.Fatalf("under way: %v, want child 4 in the place of child 2", got)
	}
	l.trace = nil
	for _, name := range []string{"a:0", "a:1", "a:3"} {
		l.exit(name, 0)
	}
	l.trace = nil
	l.exit("a:4", 1)
	l.expect("a:4 RUNNING", "a:4 FAILED", "a FAILED")
}

func TestRetriedJobGoesToTheFront(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":6},"retryStrategy":{"attempts":2}`)
	l.exit("a:1", 3)
	if got := l.underWay()[3]; got != "a:1" {
		t.Fatalf("after child 1 failed, %s was started; want child 1 again", got)
	}
	if got := l.task("a:1").Attempt; got != 2 {
		t.Errorf("its attempt is %d, want 2", got)
	}
	l.trace = nil
	l.exit("a:1", 3)
	l.expect("a:1 RUNNING", "a:1 FAILED", "a:4 STARTING")
}

func TestTimeoutStopsAndIsNotRetried(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"timeout":{"attemptDurationSeconds":60},"retryStrategy":{"attempts":5}`)
	l.advance(90 * time.Second) // STARTING does not count
	if len(l.stops) != 0 {
		t.Fatal("stopped before it ran")
	}
	l.run("a")
	l.advance(59 * time.Second)
	if len(l.stops) != 0 {
		t.Fatal("stopped early")
	}
	l.advance(time.Second)
	if len(l.stops) != 1 || l.stops[0].Key != l.task("a").Key {
		t.Fatalf("stops: %v", l.stops)
	}
	l.trace = nil
	l.exit("a", 143)
	l.expect("a FAILED")
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	a := l.submit("a", "")
	b := l.submit("b", `"dependsOn":[{"jobId":"`+a+`"}]`)
	l.submit("c", `"dependsOn":[{"jobId":"`+b+`"}],"arrayProperties":{"size":2}`)
	l.expect("a RUNNABLE", "a STARTING", "b PENDING", "c PENDING", "c:0 PENDING", "c:1 PENDING")
	l.exit("a", 0)
	l.expect("a RUNNING", "a SUCCEEDED", "b RUNNABLE", "b STARTING")
	l.exit("b", 1)
	l.expect("b RUNNING", "b FAILED", "c:0 FAILED", "c:1 FAILED", "c FAILED")
}

func TestSequentialArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"dependsOn":[{"type":"SEQUENTIAL"}],"arrayProperties":{"size":3}`)
	l.expect("a PENDING", "a:0 PENDING", "a:1 PENDING", "a:2 PENDING", "a:0 RUNNABLE", "a:0 STARTING")
	l.exit("a:0", 0)
	l.expect("a:0 RUNNING", "a:0 SUCCEEDED", "a:1 RUNNABLE", "a:1 STARTING")
	l.exit("a:1", 1)
	l.expect("a:1 RUNNING", "a:1 FAILED", "a:2 FAILED", "a FAILED")
}

func TestNToN(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	a := l.submit("a", `"arrayProperties":{"size":3}`)
	l.submit("b", `"dependsOn":[{"jobId":"`+a+`","type":"N_TO_N"}],"arrayProperties":{"size":3}`)
	l.trace = nil
	l.exit("a:1", 0)
	l.expect("a:1 RUNNING", "a:1 SUCCEEDED", "b:1 RUNNABLE", "b:1 STARTING")
	l.exit("a:2", 1)
	l.expect("a:2 RUNNING", "a:2 FAILED", "b:2 FAILED")
	l.exit("a:0", 0)
	l.expect("a:0 RUNNING", "a:0 SUCCEEDED", "b:0 RUNNABLE", "a FAILED", "b:0 STARTING")
	l.exit("b:0", 0)
	l.exit("b:1", 0)
	l.expect("b:0 RUNNING", "b:0 SUCCEEDED", "b:1 RUNNING", "b:1 SUCCEEDED", "b FAILED")
}

func TestStartFailureIsAnAttempt(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"retryStrategy":{"attempts":2}`)
	pull := runtime.Report{Containers: []runtime.ContainerReport{{Name: "default", StartError: "CannotPullContainerError: no such image"}}}
	l.end("a", pull)
	l.end("a", pull)
	l.expect("a RUNNABLE", "a STARTING", "a RUNNABLE", "a STARTING", "a FAILED")
}

// Reference 2.3: an INACTIVE revision is removed 180 days after it was deregistered, and its number is never given again. Jobs
// that were submitted before go on.
func TestInactiveDefinitionsAreRemoved(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	revisions := func(want ...int) {
		t.Helper()
		var got []int
		for _, jd := range l.core.Catalog().Section(home).Definitions["jd"] {
			got = append(got, jd.Revision)
		}
		if !slices.Equal(got, want) {
			t.Errorf("revisions %v, want %v", got, want)
		}
	}
	l.define("jd", "")
	l.submit("a", "")
	l.must(engine.DeregisterJobDefinition{Partition: home, Name: "jd", Revision: 1})
	l.advance(time.Hour)
	l.must(engine.DeregisterJobDefinition{Partition: home, Name: "jd", Revision: 2})
	l.must(engine.DeregisterJobDefinition{Partition: home, Name: "jd", Revision: 1}) // changes nothing
	l.advance(180*24*time.Hour - time.Hour - time.Millisecond)
	revisions(2, 1)
	l.restart()
	revisions(2, 1)
	l.advance(time.Millisecond)
	revisions(2)
	l.restart()
	revisions(2)
	l.advance(time.Hour)
	revisions()
	l.exit("a", 0)
	l.restart()
	l.define("jd", "")
	revisions(3)
}
