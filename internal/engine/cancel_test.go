package engine_test

import (
	"fmt"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// ender is one of the two ways to end a job.
type ender struct {
	name string
	end  func(l *lab, job, reason string)
}

var enders = []ender{{"cancel", (*lab).cancel}, {"terminate", (*lab).terminate}}

// Reference 3.9, the table: what cancelling and terminating do in each state, the second call included, which never changes
// anything, and that none of it is retried.
func TestEndingASingleJob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state     string
		bring     func(l *lab) // job x into that state
		end       string       // "cancel", "terminate", "" for either
		want      string
		stop      bool
		cancelled bool
		settle    func(l *lab) // what has to happen until it shows
	}{
		{state: "RUNNABLE", bring: func(l *lab) { l.fill(); l.submit("x", retries) }, want: "FAILED why", cancelled: true},
		{state: "RUNNABLE for another attempt", bring: func(l *lab) {
			l.submit("x", retries)
			l.submit("y", `"jobQueue":"first","arrayProperties":{"size":4}`)
			l.exit("x", 1)
		}, want: "FAILED why", cancelled: true},
		{
			state: "PENDING", bring: func(l *lab) { l.dependent("x", "") }, want: "FAILED why", cancelled: true,
			settle: func(l *lab) { l.states("x PENDING "); l.exit("on", 0) },
		},
		{
			state: "PENDING, and the dependency fails", bring: func(l *lab) { l.dependent("x", "") }, want: "FAILED why", cancelled: true,
			settle: func(l *lab) { l.exit("on", 1) },
		},
		{state: "STARTING", bring: func(l *lab) { l.submit("x", retries) }, end: "cancel", want: "STARTING "},
		{state: "RUNNING", bring: func(l *lab) { l.submit("x", retries); l.run("x") }, end: "cancel", want: "RUNNING "},
		{
			state: "STARTING", bring: func(l *lab) { l.submit("x", retries) }, end: "terminate", want: "FAILED why", stop: true,
			settle: func(l *lab) { l.states("x STARTING"); l.end("x", notStarted) },
		},
		{
			state: "RUNNING", bring: func(l *lab) { l.submit("x", retries); l.run("x") }, end: "terminate", want: "FAILED why", stop: true,
			settle: func(l *lab) { l.states("x RUNNING"); l.exit("x", 143) },
		},
		{
			state: "RUNNING, and it exits 0", bring: func(l *lab) { l.submit("x", retries); l.run("x") }, end: "terminate", want: "FAILED why", stop: true,
			settle: func(l *lab) { l.exit("x", 0) },
		},
		{state: "SUCCEEDED", bring: func(l *lab) { l.submit("x", ""); l.exit("x", 0) }, want: "SUCCEEDED " + batch.ReasonExited},
		{state: "FAILED", bring: func(l *lab) { l.submit("x", ""); l.exit("x", 3) }, want: "FAILED " + batch.ReasonExited},
	} {
		for _, how := range enders {
			if tt.end != "" && tt.end != how.name {
				continue
			}
			t.Run(how.name+" in "+tt.state, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, engine.Limits{})
				l.queue("first", 9, "ce", "")
				tt.bring(l)
				l.stops = nil
				how.end(l, "x", "why")
				how.end(l, "x", "another reason")
				l.restart()
				if tt.stop {
					l.stopped("x", "x") // the restart says so again
				} else {
					l.stopped()
				}
				if tt.settle != nil {
					tt.settle(l)
				}
				l.states("x " + tt.want)
				v := l.view("x")
				if v.Cancelled != tt.cancelled || v.Terminated != tt.stop {
					t.Errorf("cancelled %v, terminated %v", v.Cancelled, v.Terminated)
				}
				if v.Status.Final() && v.StoppedAt == 0 {
					t.Error("it has no stoppedAt")
				}
				how.end(l, "x", "a third") // final: nothing happens
				l.states("x " + tt.want)
			})
		}
	}
}

const retries = `"retryStrategy":{"attempts":5}`

// notStarted is the report of a task that was stopped before its program began.
var notStarted = runtime.Report{Containers: []runtime.ContainerReport{{Name: "default"}}}

// fill takes all of the environment's room.
func (l *lab) fill() {
	l.t.Helper()
	l.submit("filler", `"jobQueue":"first","arrayProperties":{"size":4}`)
}

// dependent submits a job "on" and one that depends on it.
func (l *lab) dependent(name, members string) {
	l.t.Helper()
	if members != "" {
		members = "," + members
	}
	l.submit("on", "")
	l.submit(name, fmt.Sprintf(`"dependsOn":[{"jobId":%q}]%s`, l.id("on"), members))
}

func TestEndingUnknownJobs(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":2}`)
	elsewhere := home
	elsewhere.Region = "eu-west-1"
	before := l.core.Dump()
	for _, id := range []string{"11111111-2222-4333-8444-555555555555", l.id("a").String() + ":2", l.id("a").String() + "#0"} {
		parsed, ok := batch.ParseJobID(id)
		if !ok {
			t.Fatal(id)
		}
		l.must(engine.CancelJob{Partition: home, ID: parsed, Reason: "why"})
		l.must(engine.TerminateJob{Partition: home, ID: parsed, Reason: "why"})
	}
	l.must(engine.TerminateJob{Partition: elsewhere, ID: l.id("a"), Reason: "why"})
	if after := l.core.Dump(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("something changed:\n%v\n%v", before, after)
	}
	l.stopped()
}

// Reference 3.9 and 3.10: an array parent.
func TestCancellingAnArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":7},`+retries)
	l.run("a:0")
	l.exit("a:3", 0)
	l.cancel("a", "enough")
	l.stopped()
	l.running("a:0", "a:1", "a:2", "a:4")
	l.states("a PENDING ", "a:0 RUNNING", "a:1 STARTING", "a:3 SUCCEEDED", "a:5 FAILED enough", "a:6 FAILED enough")
	if v := l.view("a:5"); !v.Cancelled {
		t.Error("child 5 is not shown as cancelled")
	}
	l.restart()
	l.exit("a:0", 0)
	l.exit("a:1", 1) // its array is cancelled: no further attempt
	l.running("a:2", "a:4")
	l.states("a:1 FAILED " + batch.ReasonExited)
	l.exit("a:2", 0)
	l.states("a PENDING ")
	l.exit("a:4", 0)
	l.states("a FAILED enough")
	if v := l.view("a"); !v.Cancelled || v.Terminated || v.Summary[batch.Failed] != 3 || v.Summary[batch.Succeeded] != 4 {
		t.Errorf("cancelled %v, terminated %v, summary %v", v.Cancelled, v.Terminated, v.Summary)
	}
}

func TestTerminatingAnArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":6},`+retries)
	l.run("a:0")
	l.exit("a:1", 0)
	l.terminate("a", "enough")
	l.stopped("a:0", "a:2", "a:3", "a:4")
	l.states("a PENDING ", "a:1 SUCCEEDED", "a:5 FAILED enough")
	l.terminate("a", "once more")
	l.stopped()
	for _, name := range l.underWay() {
		l.exit(name, 143)
	}
	l.states("a FAILED enough", "a:0 FAILED enough", "a:4 FAILED enough")
	if v := l.view("a"); !v.Terminated || v.Cancelled {
		t.Errorf("cancelled %v, terminated %v", v.Cancelled, v.Terminated)
	}
	if v := l.view("a:0"); !v.Terminated || v.Cancelled {
		t.Errorf("child 0: cancelled %v, terminated %v", v.Cancelled, v.Terminated)
	}
}

// Cancelling first and terminating then ends what the first left running; the first reason stays that of the array.
func TestTerminatingACancelledArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":5}`)
	l.cancel("a", "no more")
	l.terminate("a", "not even these")
	l.stopped("a:0", "a:1", "a:2", "a:3")
	for _, name := range l.underWay() {
		l.exit(name, 137)
	}
	l.states("a:4 FAILED no more", "a:0 FAILED not even these", "a FAILED no more")
}

// Reference 3.9: a child of its own; the parent fails later, because a child failed.
func TestEndingAChild(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":6}`)
	l.cancel("a:0", "running: no effect")
	l.cancel("a:4", "waiting")
	l.terminate("a:5", "waiting too")
	l.terminate("a:1", "running")
	l.stopped("a:1")
	l.states("a:0 STARTING", "a:4 FAILED waiting", "a:5 FAILED waiting too", "a:1 STARTING", "a PENDING")
	l.exit("a:1", 0)
	for _, name := range l.underWay() {
		l.exit(name, 0)
	}
	l.states("a:1 FAILED running", "a FAILED "+batch.ReasonChildFailed)
	if v := l.view("a"); v.Cancelled || v.Terminated {
		t.Error("the parent is shown as ended by a caller")
	}
}

// What waits for a dependency, the whole array or a child of it, ends when the dependency has.
func TestEndingAWaitingArray(t *testing.T) {
	t.Parallel()
	for _, how := range enders {
		for _, code := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s and the dependency exits %d", how.name, code), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, engine.Limits{})
				l.dependent("a", `"arrayProperties":{"size":3}`)
				how.end(l, "a:1", "this one")
				how.end(l, "a", "all")
				l.restart()
				l.states("a PENDING ", "a:0 PENDING", "a:1 PENDING", "a:2 PENDING")
				if v := l.view("a:1"); !v.Cancelled {
					t.Error("the child is not shown as cancelled")
				}
				l.exit("on", code)
				l.states("a:0 FAILED all", "a:1 FAILED this one", "a:2 FAILED all", "a FAILED all")
				for _, name := range []string{"a:0", "a:1", "a:2"} {
					if v := l.view(name); !v.Cancelled || v.Terminated {
						t.Errorf("%s: cancelled %v, terminated %v", name, v.Cancelled, v.Terminated)
					}
				}
				l.running()
			})
		}
	}
}

func TestEndingOneWaitingChild(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.dependent("a", `"arrayProperties":{"size":3}`)
	l.cancel("a:1", "this one")
	l.exit("on", 0)
	l.running("a:0", "a:2")
	l.states("a:1 FAILED this one")
}

// In a SEQUENTIAL array a cancelled child fails those after it; in a cancelled array all that waits has the caller's reason.
func TestEndingASequentialArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"dependsOn":[{"type":"SEQUENTIAL"}],"arrayProperties":{"size":4}`)
	l.cancel("a:2", "this one")
	l.states("a:2 PENDING ") // it waits for child 1
	l.exit("a:0", 0)
	l.exit("a:1", 0)
	l.states("a:2 FAILED this one", "a:3 FAILED "+batch.ReasonDependencyFailed, "a FAILED "+batch.ReasonChildFailed)

	l.submit("b", `"dependsOn":[{"type":"SEQUENTIAL"}],"arrayProperties":{"size":3}`)
	l.cancel("b", "all")
	l.states("b:0 STARTING", "b:1 PENDING", "b:2 PENDING", "b PENDING")
	l.exit("b:0", 0)
	l.states("b:1 FAILED all", "b:2 FAILED all", "b FAILED all")
}

// Reference 3.9 for N_TO_N: each child ends when its own partner has.
func TestEndingAPairedArray(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":3}`)
	l.submit("b", `"dependsOn":[{"jobId":"`+l.id("a").String()+`","type":"N_TO_N"}],"arrayProperties":{"size":3}`)
	l.exit("a:0", 0)
	l.terminate("b", "all")
	l.stopped("b:0")
	l.states("b:0 STARTING", "b:1 PENDING", "b:2 PENDING")
	l.exit("a:1", 0)
	l.exit("a:2", 1)
	l.states("b:1 FAILED all", "b:2 FAILED all", "b PENDING")
	l.exit("b:0", 143)
	l.states("b FAILED all")
}

// A multi-node job is ended as a whole, by its own id or a node's.
func TestEndingAMultiNodeJob(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"m", "m#1"} {
		for _, how := range enders {
			t.Run(how.name+" "+target, func(t *testing.T) {
				t.Parallel()
				l := newNodeLab(t)
				l.submit("m", `"jobQueue":"mnp","jobDefinition":"nodes",`+retries)
				l.submit("w", `"jobQueue":"mnp","jobDefinition":"nodes"`) // waits: there is room for one
				how.end(l, target, "why")
				if how.name == "cancel" {
					l.stopped()
					l.states("m STARTING")
				} else {
					l.stopped("m#0") // the others were not started yet
					l.end("m#0", notStarted)
					l.states("m FAILED why", "m#0 FAILED why", "m#2 FAILED why")
					l.running("w#0")
					return
				}
				how.end(l, "w", "why")
				l.states("w FAILED why", "w#0 FAILED why", "w#1 FAILED why")
				l.run("m#0")
				how.end(l, target, "why")
				l.states("m RUNNING")
			})
		}
	}
}

// Deleting a queue ends what is in it at once, dependencies or not (reference 2.2).
func TestDeletingAQueueWithJobs(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("doomed", 1, "ce", "")
	in := `"jobQueue":"doomed",`
	l.submit("on", "")
	l.submit("run", in+retries)
	l.submit("array", in+`"arrayProperties":{"size":4}`)
	l.submit("wait", in+`"dependsOn":[{"jobId":"`+l.id("on").String()+`"}]`)
	l.submit("waiting", in+`"arrayProperties":{"size":2},"dependsOn":[{"jobId":"`+l.id("on").String()+`"}]`)
	l.submit("after", `"dependsOn":[{"jobId":"`+l.id("wait").String()+`"}]`)
	l.updateQueue("doomed", `"state":"DISABLED"`)
	l.running("on", "run", "array:0", "array:1")
	l.must(engine.DeleteJobQueue{Partition: home, Name: "doomed"})
	l.stopped("run", "array:0", "array:1")
	const why = "Job queue deleted"
	l.states("on STARTING", "run STARTING", "wait FAILED "+why, "waiting FAILED "+why, "waiting:0 FAILED "+why,
		"array:2 FAILED "+why, "array PENDING", "after FAILED "+batch.ReasonDependencyFailed)
	if _, err := l.step(engine.DeleteJobQueue{Partition: home, Name: "doomed"}); err == nil {
		t.Error("a queue that is being deleted can be deleted again")
	}
	if q := l.core.Catalog().Section(home).Queue("doomed"); q == nil || q.Status != batch.StatusDeleting {
		t.Fatalf("the queue: %+v, want it DELETING", q)
	}
	l.restart()
	l.stopped("run", "array:0", "array:1")
	l.exit("run", 1)
	l.exit("array:0", 143)
	l.exit("array:1", 143)
	l.states("run FAILED "+why, "array:1 FAILED "+why, "array FAILED "+why)
	if q := l.core.Catalog().Section(home).Queue("doomed"); q != nil {
		t.Errorf("the queue is still there: %+v", q)
	}
	l.restart()
}
