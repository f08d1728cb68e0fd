package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// after is a dependsOn member: names of jobs or children, each with its type after a blank, or SEQUENTIAL alone.
func (l *lab) after(deps ...string) string {
	l.t.Helper()
	var list []string
	for _, d := range deps {
		name, kind, hasKind := strings.Cut(d, " ")
		switch {
		case d == batch.Sequential:
			list = append(list, `{"type":"SEQUENTIAL"}`)
		case hasKind:
			list = append(list, fmt.Sprintf(`{"jobId":%q,"type":%q}`, l.id(name), kind))
		default:
			list = append(list, fmt.Sprintf(`{"jobId":%q}`, l.id(name)))
		}
	}
	return `"dependsOn":[` + strings.Join(list, ",") + "]"
}

func array(n int) string { return fmt.Sprintf(`,"arrayProperties":{"size":%d}`, n) }

// Reference 4: a dependency on an array waits for all of it; an array waits as a whole.
func TestDependencyOnAnArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", array(2)[1:])
	l.submit("b", l.after("a"))
	l.submit("c", l.after("b")+array(2))
	l.exit("a:0", 0)
	l.states("b PENDING", "c PENDING", "c:0 PENDING")
	l.exit("a:1", 0)
	l.running("b")
	l.restart()
	l.exit("b", 0)
	l.running("c:0", "c:1")
}

// A dependency on one child, while the child runs, when it has failed, and after it has succeeded.
func TestDependencyOnAChild(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", array(4)[1:])
	l.submit("b", l.after("a:1"))
	l.submit("c", l.after("a:2"))
	l.submit("d", l.after("a:1", "a:3"))
	l.restart()
	l.states("b PENDING", "c PENDING", "d PENDING")
	l.exit("a:1", 0)
	l.states("b STARTING", "d PENDING")
	l.exit("a:2", 1)
	l.states("c FAILED " + batch.ReasonDependencyFailed)
	l.submit("e", l.after("a:1")) // satisfied already
	l.submit("f", l.after("a:2")) // lost already
	l.submit("g", l.after("a"))   // its array has a failed child, but is not final
	l.states("e STARTING", "f FAILED "+batch.ReasonDependencyFailed, "g PENDING")
	l.exit("a:3", 0)
	l.exit("a:0", 0)
	l.states("a FAILED "+batch.ReasonChildFailed, "g FAILED "+batch.ReasonDependencyFailed, "d STARTING", "e STARTING")
	l.submit("h", l.after("a:3")) // of an array that is gone from memory
	l.submit("i", l.after("a:2"))
	l.states("h STARTING", "i FAILED "+batch.ReasonDependencyFailed)
}

// Dependencies on jobs that have ended are satisfied, or fail the dependent.
func TestDependencyOnAFinishedJob(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("good", "")
	l.exit("good", 0)
	l.submit("bad", "")
	l.exit("bad", 1)
	l.submit("array", array(3)[1:])
	l.exit("array:0", 0)
	l.exit("array:1", 1)
	l.exit("array:2", 0)
	l.submit("m", onNodes)
	l.run("m#0")
	l.exit("m#0", 0)
	l.exit("m#1", 143)
	l.exit("m#2", 143)

	l.submit("a", l.after("good"))
	l.submit("b", l.after("good", "bad"))
	l.submit("c", l.after("array N_TO_N")+array(3))
	l.submit("d", l.after("array"))
	l.submit("e", l.after("m", "m#1")) // a node counts as its job
	l.submit("f", l.after("bad")+array(2))
	l.states("a STARTING", "b FAILED "+batch.ReasonDependencyFailed)
	l.states("c:0 STARTING", "c:1 FAILED "+batch.ReasonDependencyFailed, "c:2 STARTING", "c PENDING")
	l.states("d FAILED "+batch.ReasonDependencyFailed, "e STARTING")
	l.states("f:0 FAILED "+batch.ReasonDependencyFailed, "f FAILED "+batch.ReasonDependencyFailed)
}

// Reference 15, questions 3 and 4: what can't be honoured is refused, and nothing is left behind.
func TestRefusedDependencies(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("single", "")
	l.submit("array", array(3)[1:])
	l.submit("m", onNodes)
	l.submit("done", array(2)[1:])
	l.cancel("done", "away")
	live := l.core.Live()
	for _, tt := range []struct{ members, want string }{
		{`"dependsOn":[{"jobId":"11111111-2222-4333-8444-555555555555"}]`, "Dependent job 11111111-2222-4333-8444-555555555555 does not exist"},
		{`"dependsOn":[{"jobId":"nonsense"}]`, "Dependent job nonsense does not exist"},
		{l.after("array:3"), "does not exist"},
		{l.after("array#0"), "does not exist"},
		{l.after("single:0"), "does not exist"},
		{l.after("m#3"), "does not exist"},
		{l.after("m:0"), "does not exist"},
		{l.after("array N_TO_N") + array(4), "has array size 3, but this job has array size 4"},
		{l.after("single N_TO_N") + array(4), "is not an array job"},
		{l.after("m N_TO_N") + array(3), "is not an array job"},
	} {
		_, err := l.trySubmit("x", tt.members)
		var refusal *batch.Error
		if !errors.As(err, &refusal) || refusal.Code != batch.Refused || !strings.Contains(refusal.Message, tt.want) {
			t.Errorf("%s: %v, want a refusal with %q", tt.members, err, tt.want)
		}
	}
	elsewhere := home
	elsewhere.Account = "111111111111"
	if _, err := l.step(engine.SubmitJob{Partition: elsewhere, Spec: l.spec(0)}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a queue of another account: %v", err)
	}
	if got := l.core.Live(); got != live {
		t.Errorf("%d jobs are live, want %d as before", got, live)
	}
}

// Jobs of different queues; each runs on its own environment.
func TestDependencyAcrossQueues(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("m", onNodes)
	l.submit("b", l.after("m"))
	l.submit("n", onNodes+","+l.after("b"))
	l.states("b PENDING", "n PENDING", "n#0 SUBMITTED")
	l.run("m#0")
	l.exit("m#0", 0)
	l.exit("m#1", 143)
	l.states("b PENDING")
	l.exit("m#2", 143)
	l.running("b")
	l.exit("b", 0)
	l.running("n#0")
}

// Retries of the dependency are awaited: only its end counts.
func TestDependencyOnARetriedJob(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", retries)
	l.submit("b", l.after("a"))
	l.exit("a", 1)
	l.states("b PENDING")
	l.exit("a", 0)
	l.running("b")
}

func TestSequentialWithOtherDependencies(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", array(3)[1:])
	l.submit("on", "")
	l.submit("b", l.after(batch.Sequential, "on", "a N_TO_N")+array(3))
	l.exit("a:1", 0)
	l.exit("a:0", 0)
	l.states("b:0 PENDING", "b:1 PENDING")
	l.exit("on", 0)
	l.running("a:2", "b:0")
	l.restart()
	l.exit("b:0", 0)
	l.running("a:2", "b:1")
	l.exit("b:1", 0)
	l.states("b:2 PENDING")
	l.exit("a:2", 1)
	l.states("b:2 FAILED "+batch.ReasonDependencyFailed, "b FAILED "+batch.ReasonChildFailed)
}

// Retries of a child hold the next one of a SEQUENTIAL array back.
func TestSequentialWithRetries(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", l.after(batch.Sequential)+array(2)+`,"retryStrategy":{"attempts":2}`)
	l.exit("a:0", 1)
	l.running("a:0")
	l.states("a:1 PENDING")
	l.exit("a:0", 0)
	l.running("a:1")
}

// Twenty dependencies are the most, and may name one job more than once.
func TestTwentyDependencies(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", array(3)[1:])
	deps := []string{"a", "a:0", "a:0"}
	for range 17 {
		deps = append(deps, "a N_TO_N")
	}
	l.submit("b", l.after(deps...)+array(3))
	l.exit("a:0", 0)
	l.exit("a:1", 0)
	l.restart()
	l.states("b:0 PENDING")
	l.exit("a:2", 0)
	l.running("b:0", "b:1", "b:2")
}

// A chain of a thousand jobs, and one of a thousand arrays pair by pair, end at once when the first fails; the stack is small.
func TestCascadesDoNotRecurse(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(256 << 10))
	const n = 1000
	l := newLab(t, engine.Limits{})
	l.submit("j0", "")
	for i := 1; i < n; i++ {
		l.submit(fmt.Sprintf("j%d", i), l.after(fmt.Sprintf("j%d", i-1)))
	}
	l.exit("j0", 1)
	l.states(fmt.Sprintf("j%d FAILED %s", n-1, batch.ReasonDependencyFailed))

	l.submit("a0", array(2)[1:])
	for i := 1; i < n; i++ {
		l.submit(fmt.Sprintf("a%d", i), l.after(fmt.Sprintf("a%d N_TO_N", i-1))+array(2))
	}
	l.exit("a0:1", 1)
	l.states(fmt.Sprintf("a%d:1 FAILED %s", n-1, batch.ReasonDependencyFailed), fmt.Sprintf("a%d:0 PENDING", n-1))
	l.exit("a0:0", 1)
	l.states(fmt.Sprintf("a%d FAILED %s", n-1, batch.ReasonChildFailed))
	if got := l.core.Live(); got != 0 {
		t.Errorf("%d jobs are left", got)
	}
}

// A dependency that retention has removed since had succeeded, or the dependent would not be waiting: a restart must not
// take it for a failure.
func TestDependencyRemovedByRetention(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", "")
	l.submit("array", array(2)[1:])
	l.submit("run", l.after("a"))
	l.submit("wait", l.after("a", "array"))
	l.submit("pairs", l.after("a")+array(2))
	l.exit("a", 0)
	seq := l.last[l.id("a").String()].Seq
	if err := l.store.Commit(context.Background(), &engine.Changes{DeleteJobs: []int64{seq}}); err != nil {
		t.Fatal(err)
	}
	l.restart()
	l.states("run STARTING", "wait PENDING", "pairs PENDING")
	l.exit("array:0", 0)
	l.exit("array:1", 0)
	l.exit("run", 0)
	l.running("pairs:0", "pairs:1", "wait")
}
