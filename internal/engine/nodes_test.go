package engine_test

import (
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// newNodeLab is a lab with room for one multi-node job of three nodes.
func newNodeLab(t testing.TB) *lab {
	l := newLab(t, engine.Limits{})
	l.environment("ec2", "EC2", 4)
	l.queue("mnp", 1, "ec2", "")
	l.defineNodes("nodes", 3, 0, "")
	return l
}

const onNodes = `"jobQueue":"mnp","jobDefinition":"nodes"`

// Reference 8: the main node starts first; when it runs, the others start and are told its address; the main node's end is
// the job's, and stops the others.
func TestMultiNodeJob(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.defineNodes("second", 3, 1, "")
	l.submit("m", `"jobQueue":"mnp","jobDefinition":"second"`)
	l.expect("m RUNNABLE", "m#0 RUNNABLE", "m#1 RUNNABLE", "m#2 RUNNABLE", "m STARTING", "m#1 STARTING")
	l.running("m#1")
	main := l.task("m#1")
	if main.Node != 1 || main.Index != -1 || main.MainNodeAddress != "" || main.Record.Address == "" {
		t.Errorf("main node: %d, index %d, main node's address %q, own %q", main.Node, main.Index, main.MainNodeAddress, main.Record.Address)
	}
	l.advance(time.Minute)
	l.run("m#1")
	l.expect("m#1 RUNNING", "m RUNNING", "m#0 STARTING", "m#2 STARTING")
	for _, name := range []string{"m#0", "m#2"} {
		st := l.task(name)
		if st.MainNodeAddress != main.Record.Address || st.Record.Address == main.Record.Address {
			t.Errorf("%s: main node's address %s, own %s", name, st.MainNodeAddress, st.Record.Address)
		}
	}
	l.run("m#0")
	l.exit("m#0", 9) // changes nothing for the rest
	l.states("m RUNNING", "m#1 RUNNING", "m#2 STARTING")
	l.stopped()
	l.run("m#2")
	l.advance(time.Minute)
	l.exit("m#1", 0)
	l.stopped("m#2")
	l.states("m RUNNING")
	l.exit("m#2", 143)
	l.states("m SUCCEEDED "+batch.ReasonExited, "m#1 SUCCEEDED", "m#0 FAILED", "m#2 FAILED")
	v, n := l.view("m"), l.view("m#1")
	if v.StartedAt != n.StartedAt || v.StoppedAt != n.StoppedAt || v.Attempts[0].TaskID != n.Attempts[0].TaskID || *v.Attempts[0].Containers[0].ExitCode != 0 {
		t.Errorf("the job does not show its main node's attempt:\n%+v\n%+v", v.WorkState, n.WorkState)
	}
}

// All-or-nothing: with room for two of three nodes none is placed, and nothing behind it either.
func TestMultiNodePlacementIsAllOrNothing(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.defineEC2("two", 2)
	l.submit("a", `"jobQueue":"mnp","jobDefinition":"two"`)
	l.submit("m", onNodes)
	l.submit("b", `"jobQueue":"mnp","jobDefinition":"two"`)
	l.running("a")
	l.states("m RUNNABLE ", "m#0 RUNNABLE", "b RUNNABLE ")
	l.exit("a", 0)
	l.running("m#0")
	l.run("m#0")
	l.exit("m#0", 0)
	l.running("m#1", "m#2") // they hold the room of the whole until the last has ended
	l.exit("m#1", 143)
	l.states("b RUNNABLE")
	l.exit("m#2", 143)
	l.running("b")
}

// Only the main node's failure triggers another attempt, of all nodes.
func TestMultiNodeRetry(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("m", onNodes+`,"retryStrategy":{"attempts":3,"evaluateOnExit":[{"onExitCode":"7","action":"retry"},{"onReason":"Cannot*","action":"RETRY"},{"onExitCode":"*","action":"EXIT"}]}`)
	l.run("m#0")
	l.run("m#1")
	l.run("m#2")
	l.exit("m#0", 7)
	l.stopped("m#1", "m#2")
	l.exit("m#1", 143)
	l.restart()
	l.stopped("m#2")
	l.trace = nil
	l.exit("m#2", 143)
	l.expect("m#0 RUNNABLE", "m#1 RUNNABLE", "m#2 RUNNABLE", "m RUNNABLE", "m STARTING", "m#0 STARTING")
	if st := l.task("m#0"); st.Attempt != 2 {
		t.Errorf("attempt %d, want 2", st.Attempt)
	}
	l.fail("m#0", "CannotPullContainerError: no such image") // the others are not started in this attempt
	l.running("m#0")
	l.run("m#0")
	l.exit("m#1", 0)
	l.restart()
	l.exit("m#0", 8)
	l.exit("m#2", 143)
	l.states("m FAILED "+batch.ReasonExited, "m#1 SUCCEEDED", "m#0 FAILED")
	for name, want := range map[string]int{"m": 3, "m#0": 3, "m#1": 2, "m#2": 2} {
		if got := len(l.view(name).Attempts); got != want {
			t.Errorf("%s has %d attempts on record, want %d", name, got, want)
		}
	}
}

// One clock for the whole job; never retried (reference 6 and 8).
func TestMultiNodeTimeout(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("m", onNodes+`,"timeout":{"attemptDurationSeconds":60},`+retries)
	l.advance(time.Hour)
	l.run("m#0")
	l.advance(30 * time.Second)
	l.run("m#1")
	l.advance(30 * time.Second)
	l.stopped("m#0", "m#1", "m#2")
	l.restart()
	l.stopped("m#0", "m#1", "m#2")
	l.exit("m#0", 0)
	l.exit("m#1", 143)
	l.restart()
	l.end("m#2", notStarted)
	l.states("m FAILED "+batch.ReasonTimeout, "m#0 FAILED "+batch.ReasonTimeout, "m#1 FAILED "+batch.ReasonTimeout)
}

// Once the main node has ended the job is decided: neither the clock nor a termination changes it while the others wind down,
// and a restart in between changes nothing either.
func TestMultiNodeJobIsDecidedByItsMainNode(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		l := newNodeLab(t)
		l.submit("m", onNodes+`,"timeout":{"attemptDurationSeconds":60}`)
		l.run("m#0")
		l.advance(59 * time.Second)
		l.exit("m#0", 0)
		l.stopped("m#1", "m#2")
		l.exit("m#1", 143)
		l.advance(2 * time.Second)
		l.stopped()
		l.terminate("m", "too late")
		l.stopped("m#2")
		if restart {
			l.restart()
		}
		l.exit("m#2", 143)
		l.states("m SUCCEEDED "+batch.ReasonExited, "m#0 SUCCEEDED")
	}
}

// Losing a node other than the main one changes nothing for the rest; losing the main one is a failed attempt.
func TestMultiNodeHostLoss(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("m", onNodes+`,"retryStrategy":{"attempts":2,"evaluateOnExit":[{"onStatusReason":"Host EC2*","action":"RETRY"},{"onReason":"*","action":"EXIT"}]}`)
	l.run("m#0")
	l.lose("m#1")
	l.states("m RUNNING")
	l.stopped()
	l.lose("m#0")
	l.stopped("m#2")
	l.exit("m#2", 143)
	l.running("m#0")
	l.run("m#0")
	l.exit("m#0", 0)
	l.exit("m#1", 0)
	l.exit("m#2", 0)
	l.states("m SUCCEEDED")
	v := l.view("m")
	if reason := v.Attempts[0].StatusReason; reason != batch.ReasonHostLost(v.Attempts[0].TaskID) {
		t.Errorf("the lost attempt's reason: %s", reason)
	}
}

// The main node may be so quick that its start and its end are one report.
func TestMainNodeEndsAtOnce(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.submit("m", onNodes)
	l.exit("m#0", 0)
	l.running("m#1", "m#2")
	l.stopped("m#1", "m#2")
	l.end("m#1", notStarted)
	l.end("m#2", notStarted)
	l.states("m SUCCEEDED", "m#0 SUCCEEDED", "m#1 FAILED")
}

// Nodes of jobs that run at the same time have addresses of their own.
func TestNodeAddressesAreDistinct(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("ec2", "EC2", 100)
	l.queue("mnp", 1, "ec2", "")
	l.defineNodes("nodes", 3, 0, "")
	for _, name := range []string{"a", "b", "c"} {
		l.submit(name, onNodes)
		l.run(name + "#0")
		l.restart()
		l.core.SkipSequenceForTest(4095) // the next job's number is 4,096 higher
	}
	seen := map[string]string{}
	for _, st := range l.started {
		if other, taken := seen[st.Record.Address]; taken || st.Record.Address == "" {
			t.Errorf("%s and %s have address %q", st.JobID, other, st.Record.Address)
		}
		seen[st.Record.Address] = st.JobID
	}
}

// What decided on the main node decides after a restart too, though it is not the node's first container.
func TestMultiNodeMainContainerOverARestart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code int
		want string
	}{{0, "m SUCCEEDED"}, {7, "m STARTING"}, {8, "m FAILED"}} {
		l := newNodeLab(t)
		l.register(`{"jobDefinitionName":"pairs","type":"multinode","nodeProperties":{"numNodes":2,"mainNode":0,"nodeRangeProperties":[{"targetNodes":"0:",
			"ecsProperties":{"taskProperties":[{"containers":[
				{"name":"aside","image":"i","essential":false,"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]},
				{"name":"work","image":"i","resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}]}]}}]},
			"retryStrategy":{"attempts":2,"evaluateOnExit":[{"onExitCode":"7","action":"RETRY"},{"onExitCode":"*","action":"EXIT"}]}}`)
		l.submit("m", `"jobQueue":"mnp","jobDefinition":"pairs"`)
		l.run("m#0")
		l.run("m#1")
		killed := 137
		l.end("m#0", runtime.Report{StartedAt: l.now, Containers: []runtime.ContainerReport{
			{Name: "aside", StartedAt: l.now, StoppedAt: l.now, ExitCode: &killed}, {Name: "work", StartedAt: l.now, StoppedAt: l.now, ExitCode: &tc.code},
		}})
		l.restart()
		l.exit("m#1", 143)
		l.states(tc.want)
	}
}
