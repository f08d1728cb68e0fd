package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Reference 7.1: environments are tried in ascending order; invalid, disabled and full ones are passed over.
func TestEnvironmentOrderAndSpillOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("spot", "FARGATE_SPOT", 1)
	l.queue("both", 1, "spot,ce", "")
	l.submit("a", `"jobQueue":"both","arrayProperties":{"size":9}`)
	for i, want := range []string{"spot", "spot", "spot", "spot", "ce", "ce", "ce", "ce"} {
		if got := l.started[i].Record.ComputeEnvironment; got != want {
			t.Errorf("child %d runs on %s, want %s", i, got, want)
		}
	}
	if len(l.started) != 8 {
		t.Fatalf("%d children under way, want 8", len(l.started))
	}

	l.updateEnvironment("spot", `"state":"DISABLED"`)
	l.exit("a:0", 0)
	if len(l.started) != 7 {
		t.Fatalf("a child was placed on a disabled environment: %v", l.underWay())
	}
	l.exit("a:4", 0)
	if got := l.task("a:8").Record.ComputeEnvironment; got != "ce" {
		t.Errorf("the last child runs on %s, want ce", got)
	}
	l.states("a:1 STARTING", "a:8 STARTING")
}

func TestUnusableEnvironments(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.invalidate("ce")
	l.submit("a", "")
	l.submit("b", "")
	l.running()
	l.states("a RUNNABLE "+batch.ReasonEnvironmentsInvalid, "b RUNNABLE ")
	if len(l.blocked) != 1 || l.name(l.blocked[0].ID) != "a" || l.blocked[0].StatusReason != batch.ReasonEnvironmentsInvalid {
		t.Errorf("blocked heads: %v, want a", l.blocked)
	}

	l = newLab(t, engine.Limits{})
	l.updateEnvironment("ce", `"state":"DISABLED"`)
	l.submit("a", "")
	l.states("a RUNNABLE " + batch.ReasonUndetermined)
	l.updateEnvironment("ce", `"state":"ENABLED"`)
	l.running("a")
	l.states("a STARTING ")
}

// Capacity may change while jobs run: what runs goes on, what waits obeys the new bound.
func TestMaxVCPUsLoweredAndRaised(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"arrayProperties":{"size":10}`)
	l.running("a:0", "a:1", "a:2", "a:3")
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":0}`)
	l.stopped()
	l.exit("a:0", 0)
	l.running("a:1", "a:2", "a:3")
	l.states("a:4 RUNNABLE " + batch.ReasonTooLarge)
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":1}`)
	l.running("a:1", "a:2", "a:3", "a:4")
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":2}`)
	l.running("a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7", "a:8")
}

// Reference 7.1: the capacity check counts quarters of a vCPU.
func TestQuartersOfAVCPU(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	size := func(vcpu, memory string) string {
		return fmt.Sprintf(`"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":%q},{"type":"MEMORY","value":%q}]}`, vcpu, memory)
	}
	l.submit("half", size("0.5", "1024"))
	l.submit("quarter", size("0.25", "512"))
	l.submit("half2", size("0.5", "1024"))
	l.submit("quarter2", size("0.25", "512"))
	l.running("half", "quarter") // the head that does not fit blocks the queue, though what is behind it would fit
	l.states("half2 RUNNABLE ", "quarter2 RUNNABLE ")
	l.exit("quarter", 0)
	l.running("half", "half2")
}

// Reference 3.5: a job larger than every environment waits with a reason, and blocks its queue.
func TestTooLargeForEveryEnvironment(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("large", `"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"4096"}]}`)
	l.submit("small", "")
	l.running()
	l.states("large RUNNABLE "+batch.ReasonTooLarge, "small RUNNABLE ")
	if len(l.blocked) != 1 {
		t.Fatalf("%d heads announced as blocked, want 1", len(l.blocked))
	}
	l.cancel("large", "too large")
	l.running("small")
	l.states("large FAILED too large")
}

// Reference 7.1: queues on one environment are served by descending priority, in cycles: if the head of a high queue does
// not fit, lower ones have their turn.
func TestQueuePriorities(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("high", 9, "ce", "")
	l.submit("filler", `"arrayProperties":{"size":4}`)
	l.submit("low", "")
	l.submit("one", `"jobQueue":"high"`)
	l.submit("two", `"jobQueue":"high"`)
	l.exit("filler:0", 0)
	l.exit("filler:1", 0)
	l.running("filler:2", "filler:3", "one", "two")
	l.exit("filler:2", 0)
	l.running("filler:3", "one", "two", "low")

	l.submit("large", `"jobQueue":"high","containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"2048"}]}`)
	l.submit("low2", "")
	l.exit("one", 0)
	l.running("filler:3", "two", "low", "low2")
	l.states("large RUNNABLE ")

	l.updateQueue("q", `"priority":10`)
	l.submit("high2", `"jobQueue":"high"`)
	l.cancel("large", "out of the way")
	l.submit("low3", "")
	l.exit("two", 0)
	l.running("filler:3", "low", "low2", "low3")
}

// Queues of one priority share an environment instead of one starving the others.
func TestEqualPrioritiesTakeTurns(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("other", 1, "ce", "")
	l.submit("a", `"jobQueue":"other","arrayProperties":{"size":100}`)
	l.submit("b", `"arrayProperties":{"size":100}`)
	for range 40 {
		l.exit(l.underWay()[0], 0)
	}
	counts := map[byte]int{}
	for _, name := range l.underWay() {
		counts[name[0]]++
	}
	if counts['a'] != 2 || counts['b'] != 2 {
		t.Errorf("under way: %v, want two of each", l.underWay())
	}
}

// Accounts and regions share the machine's task slots in the same way.
func TestPartitionsTakeTurns(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{MaxTasks: 4})
	other := batch.Partition{Account: "111111111111", Region: "eu-west-1"}
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: other, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE","maxvCpus":100,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)},
		engine.CreateJobQueue{Partition: other, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
	} {
		l.must(ev)
	}
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":100}`)
	l.submit("a", `"arrayProperties":{"size":100}`)
	l.states("a:4 RUNNABLE " + batch.ReasonNoCapacity("FARGATE"))
	l.must(engine.SubmitJob{Partition: other, Spec: l.spec(100)})
	for range 40 {
		l.exit(l.underWay()[0], 0)
	}
	counts := map[string]int{}
	for _, st := range l.started {
		counts[st.Partition.Region]++
	}
	if counts[home.Region] != 2 || counts[other.Region] != 2 {
		t.Errorf("tasks under way by region: %v, want two of each", counts)
	}
}

// A machine that is full says so; a job that asks for more tasks than the machine has slots runs alone.
func TestMachineFull(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{MaxTasks: 2})
	l.environment("ec2", "EC2", 8)
	l.queue("mnp", 1, "ec2", "")
	l.defineNodes("nodes", 3, 0, "")
	l.submit("a", `"arrayProperties":{"size":3}`)
	l.running("a:0", "a:1")
	l.states("a:2 RUNNABLE " + batch.ReasonNoCapacity("FARGATE"))
	l.submit("m", `"jobQueue":"mnp","jobDefinition":"nodes"`)
	l.exit("a:0", 0)
	l.exit("a:1", 0)
	l.exit("a:2", 0)
	l.running("m#0")
	l.submit("b", "")
	l.states("b RUNNABLE " + batch.ReasonNoCapacity("FARGATE"))
}

// Reference 8: multi-node jobs run on on-demand EC2 only. Other environments of the queue are passed over, and their size
// does not count.
func TestMultiNodeJobsOnOnDemandEC2Only(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("spot", "SPOT", 100)
	l.environment("own", "UNMANAGED", 100)
	l.environment("ec2", "EC2", 4)
	l.queue("mixed", 1, "spot,own,ec2", "")
	l.defineNodes("small", 3, 0, "")
	l.defineNodes("large", 5, 0, "")
	l.defineEC2("plain", 1)
	l.submit("plain", `"jobQueue":"mixed","jobDefinition":"plain"`)
	l.submit("m", `"jobQueue":"mixed","jobDefinition":"small"`)
	if got := l.task("plain").Record.ComputeEnvironment; got != "spot" {
		t.Errorf("the plain job runs on %s, want spot", got)
	}
	if got := l.task("m#0").Record.ComputeEnvironment; got != "ec2" {
		t.Errorf("the multi-node job runs on %s, want ec2", got)
	}
	l.submit("n", `"jobQueue":"mixed","jobDefinition":"large"`)
	l.states("n RUNNABLE " + batch.ReasonTooLarge)
}

// A queue's environments may be exchanged for others while jobs wait; those that can't run there say so.
func TestEnvironmentsOfAnotherKind(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("ec2", "EC2", 4)
	l.submit("a", `"arrayProperties":{"size":5}`)
	l.updateQueue("q", `"computeEnvironmentOrder":`+string(order(l, "ec2")))
	l.exit("a:0", 0)
	l.running("a:1", "a:2", "a:3")
	l.states("a:4 RUNNABLE " + batch.ReasonUndetermined)
	l.updateQueue("q", `"computeEnvironmentOrder":`+string(order(l, "ce")))
	l.running("a:1", "a:2", "a:3", "a:4")
}

// The instances of an unmanaged environment are the user's own; unmanagedvCpus may say how many vCPUs they have.
func TestUnmanagedEnvironment(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("own", "UNMANAGED", 0)
	l.environment("counted", "UNMANAGED", 2)
	l.queue("open", 1, "own", "")
	l.queue("bounded", 1, "counted", "")
	l.defineEC2("plain", 1)
	l.submit("a", `"jobQueue":"open","jobDefinition":"plain","arrayProperties":{"size":50}`)
	if len(l.started) != 50 {
		t.Errorf("%d of 50 children under way", len(l.started))
	}
	l.submit("b", `"jobQueue":"bounded","jobDefinition":"plain","arrayProperties":{"size":3}`)
	if len(l.started) != 52 {
		t.Errorf("%d children of b under way, want 2", len(l.started)-50)
	}
}

const limitTooLarge = `"jobStateTimeLimitActions":[{"reason":"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE","state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}]`

const (
	sizeOfTwo      = `"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"4096"}]}`
	cancelledByIt  = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	tenMinutes     = 600 * time.Second
	almostTenOfIts = tenMinutes - time.Millisecond
)

// Reference 3.5: the clock of jobStateTimeLimitActions counts only while the job heads its queue with the action's reason.
func TestTimeLimitActions(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("limited", 1, "ce", limitTooLarge)
	l.submit("first", `"jobQueue":"limited",`+sizeOfTwo)
	l.advance(time.Minute)
	l.submit("second", `"jobQueue":"limited",`+sizeOfTwo)
	l.submit("third", `"jobQueue":"limited"`)
	l.advance(tenMinutes - time.Minute - time.Millisecond)
	l.states("first RUNNABLE " + batch.ReasonTooLarge)
	l.advance(time.Millisecond)
	l.states("first FAILED "+cancelledByIt, "second RUNNABLE "+batch.ReasonTooLarge)
	l.advance(almostTenOfIts)
	l.states("second RUNNABLE")
	l.running()
	l.advance(time.Millisecond)
	l.states("second FAILED " + cancelledByIt)
	l.running("third")
}

// Each child of an array has a time of its own at the head.
func TestTimeLimitOfArrayChildren(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("limited", 1, "ce", limitTooLarge)
	l.submit("a", `"jobQueue":"limited","arrayProperties":{"size":3},`+sizeOfTwo)
	l.states("a:0 RUNNABLE "+batch.ReasonTooLarge, "a:1 RUNNABLE ")
	l.advance(5 * time.Minute)
	l.cancel("a:0", "by hand")
	l.states("a:0 FAILED by hand", "a:1 RUNNABLE "+batch.ReasonTooLarge, "a:2 RUNNABLE ")
	l.advance(5 * time.Minute)
	l.states("a:1 RUNNABLE")
	l.advance(5 * time.Minute)
	l.states("a:1 FAILED "+cancelledByIt, "a:2 RUNNABLE", "a PENDING")
	l.advance(tenMinutes)
	l.states("a:2 FAILED "+cancelledByIt, "a FAILED "+batch.ReasonChildFailed)
}

// A child that comes back for another attempt becomes the head; the one it pushes back begins anew when its turn comes.
func TestTimeLimitOfRetriedChildren(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.queue("limited", 1, "ce", limitTooLarge)
	l.submit("a", `"jobQueue":"limited","arrayProperties":{"size":5},`+retries)
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":0}`)
	l.states("a:4 RUNNABLE " + batch.ReasonTooLarge)
	l.advance(5 * time.Minute)
	l.exit("a:1", 1)
	l.states("a:1 RUNNABLE "+batch.ReasonTooLarge, "a:4 RUNNABLE ")
	l.advance(almostTenOfIts)
	l.states("a:1 RUNNABLE", "a:4 RUNNABLE")
	l.advance(time.Millisecond)
	l.states("a:1 FAILED "+cancelledByIt, "a:4 RUNNABLE "+batch.ReasonTooLarge)
	l.advance(tenMinutes)
	l.states("a:4 FAILED " + cancelledByIt)
}

func TestTimeLimitFollowsTheQueue(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", sizeOfTwo)
	l.advance(time.Hour)
	l.states("a RUNNABLE") // no action asks for it
	l.updateQueue("q", limitTooLarge)
	l.states("a FAILED " + cancelledByIt) // it had been at the head for long

	l.submit("b", sizeOfTwo)
	l.advance(5 * time.Minute)
	l.updateQueue("q", `"priority":5`)
	l.advance(5 * time.Minute)
	l.states("b FAILED " + cancelledByIt) // an update of something else does not start the clock again

	l.submit("c", sizeOfTwo)
	l.advance(5 * time.Minute)
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":2}`)
	l.running("c")
	l.exit("c", 1)
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":1}`)
	l.submit("d", sizeOfTwo)
	l.advance(5 * time.Minute)
	l.states("c FAILED "+batch.ReasonExited, "d RUNNABLE "+batch.ReasonTooLarge)
	l.cancel("d", "done")
	l.advance(tenMinutes)
	l.states("d FAILED done")
}

// A job that AWS would fail at dispatch fails when its turn comes, not before.
func TestFailureAtDispatch(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	long := make([]byte, 9000)
	for i := range long {
		long[i] = 'x'
	}
	overrides := fmt.Sprintf(`"containerOverrides":{"environment":[{"name":"LONG","value":%q}]}`, long)
	l.submit("filler", `"arrayProperties":{"size":4}`)
	l.submit("a", overrides)
	l.submit("b", `"arrayProperties":{"size":2},`+overrides)
	after := l.submit("c", "")
	l.submit("d", `"dependsOn":[{"jobId":"`+l.id("b").String()+`"}]`)
	l.states("a FAILED Container Overrides length must be at most 8192")
	l.states("b:0 FAILED Container Overrides length must be at most 8192", "b FAILED "+batch.ReasonChildFailed)
	l.states("d FAILED " + batch.ReasonDependencyFailed)
	if v := l.view("a"); len(v.Attempts) != 0 || v.StartedAt != 0 {
		t.Errorf("a has %d attempts and started at %d", len(v.Attempts), v.StartedAt)
	}
	l.exit("filler:1", 0)
	if l.task("c").JobID != after {
		t.Error("c does not run")
	}
}
