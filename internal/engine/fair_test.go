package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// newFairLab is a lab with a fair-share queue "fair" on an environment of one vCPU.
func newFairLab(t testing.TB, fairshare string) *lab {
	l := newLab(t, engine.Limits{})
	l.queue("fair", 1, "ce", l.policy("policy", fairshare))
	return l
}

func inShare(share string, members ...string) string {
	return strings.Join(append([]string{`"jobQueue":"fair"`, fmt.Sprintf(`"shareIdentifier":%q`, share)}, members...), ",")
}

// counts says how many tasks under way each job name has.
func (l *lab) counts() map[string]int {
	n := map[string]int{}
	for _, name := range l.underWay() {
		base, _, _ := strings.Cut(name, ":")
		n[base]++
	}
	return n
}

// turn lets n tasks end, oldest first, each a minute after the one before.
func (l *lab) turn(n int) map[string]int {
	ended := map[string]int{}
	for range n {
		l.advance(time.Minute)
		name := l.underWay()[0]
		base, _, _ := strings.Cut(name, ":")
		ended[base]++
		l.exit(name, 0)
	}
	return ended
}

// Reference 7.2: the share with the lowest weighted usage goes next, whoever submitted first.
func TestFairShareOrder(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600,"shareDistribution":[{"shareIdentifier":"A","weightFactor":1},{"shareIdentifier":"B","weightFactor":0.25}]`)
	l.submit("a", inShare("A", array(500)[1:]))
	l.submit("b", inShare("B", array(500)[1:]))
	ended := l.turn(300)
	if got := ended["b"]; got < 225 || got > 255 {
		t.Errorf("of 300 tasks %d were of the share that is entitled to 240", got)
	}
	l.submit("c", inShare("C", array(500)[1:])) // unlisted: weight 1
	if l.turn(5); l.counts()["c"] == 0 {
		t.Error("the newcomer has to wait")
	}
}

// A "Name*" entry gives its weight to each identifier with the prefix.
func TestFairSharePrefix(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600,"shareDistribution":[{"shareIdentifier":"User*","weightFactor":0.5}]`)
	l.submit("a", inShare("User1", array(500)[1:]))
	l.submit("b", inShare("User2", array(500)[1:]))
	l.submit("c", inShare("Other", array(500)[1:]))
	ended := l.turn(400)
	if a, b, c := ended["a"], ended["b"], ended["c"]; a < 150 || b < 150 || c > 100 {
		t.Errorf("ended: %d, %d and %d, want about 160, 160 and 80", a, b, c)
	}
}

// The priority of a job counts within its share only, and the submission's beats the definition's.
func TestFairSharePriority(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600`)
	l.define("urgent", `"schedulingPriority":100,`)
	l.submit("filler", inShare("F", array(4)[1:]))
	l.submit("low", inShare("A", `"schedulingPriorityOverride":1`))
	l.submit("none", inShare("A"))
	l.submit("mid", inShare("A", `"jobDefinition":"urgent"`, `"schedulingPriorityOverride":50`))
	l.submit("high", inShare("A", `"jobDefinition":"urgent"`))
	l.submit("other", inShare("B"))
	var order []string
	for i := range 5 {
		if i < 4 {
			l.exit(fmt.Sprintf("filler:%d", i), 0)
		} else {
			l.exit(order[0], 0)
		}
		under := l.underWay()
		order = append(order, under[len(under)-1])
	}
	if want := []string{"high", "other", "mid", "low", "none"}; !slices.Equal(order, want) {
		t.Errorf("order: %v, want %v", order, want)
	}
}

// Reference 7.2: a part of the capacity is kept back for shares that become active.
func TestFairShareReservation(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600,"computeReservation":50`)
	l.submit("a", inShare("A", array(100)[1:]))
	l.running("a:0", "a:1") // half of four is kept back
	if v := l.view("a:2"); v.StatusReason != "" {
		t.Errorf("a job of a share that has its part is shown as blocked: %s", v.StatusReason)
	}
	l.submit("b", inShare("B", array(100)[1:]))
	l.running("a:0", "a:1", "b:0") // a quarter is kept back
	l.exit("a:0", 0)
	l.running("a:1", "b:0", "a:2")
	l.submit("c", inShare("C"))
	l.running("a:1", "b:0", "a:2", "c")
	l.restart()
	l.exit("c", 0)
	l.running("a:1", "b:0", "a:2") // three shares are active: an eighth is kept back, and the fourth task would take of it
}

// Reference 2.4: a change of the policy holds for what is scheduled afterwards.
func TestFairSharePolicyUpdate(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":60,"shareDistribution":[{"shareIdentifier":"A","weightFactor":0.1}]`)
	l.submit("a", inShare("A", array(900)[1:]))
	l.submit("b", inShare("B", array(900)[1:]))
	before := l.turn(200)
	l.must(engine.UpdateSchedulingPolicy{Partition: home, Name: "policy", Raw: []byte(`{"fairsharePolicy":{"shareDecaySeconds":60,"shareDistribution":[{"shareIdentifier":"B","weightFactor":0.1}]}}`)})
	l.turn(20)
	after := l.turn(200)
	if before["a"] < 160 || after["b"] < 160 {
		t.Errorf("before %v, after %v", before, after)
	}
	l.must(engine.CreateSchedulingPolicy{Partition: home, Raw: []byte(`{"name":"equal","fairsharePolicy":{"shareDecaySeconds":60}}`)})
	l.updateQueue("fair", fmt.Sprintf(`"schedulingPolicyArn":%q`, home.BatchARN(batch.KindSchedulingPolicy, "equal")))
	l.turn(20)
	if equal := l.turn(200); equal["a"] < 85 || equal["b"] < 85 {
		t.Errorf("under the queue's other policy: %v", equal)
	}
	if _, err := l.step(engine.DeleteSchedulingPolicy{Partition: home, Name: "equal"}); err == nil {
		t.Error("a policy in use was deleted")
	}
	l.must(engine.DeleteSchedulingPolicy{Partition: home, Name: "policy"})
	l.must(engine.DeleteSchedulingPolicy{Partition: home, Name: "policy"}) // again, as AWS allows
}

// What shares have used is not forgotten by a restart.
func TestFairShareUsageSurvivesARestart(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":86400`)
	l.submit("a", inShare("A", array(800)[1:]))
	l.turn(500)
	l.updateEnvironment("ce", `"state":"DISABLED"`)
	l.turn(4)
	l.submit("b", inShare("B", array(800)[1:]))
	l.restart()
	l.updateEnvironment("ce", `"state":"ENABLED"`)
	if got := l.turn(50); got["b"] < 50 {
		t.Errorf("after a had everything for hours, it had %d of 50 turns", got["a"])
	}
}

// Reference 12: a queue has at most 500 active shares.
func TestTooManyShares(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600`)
	spec := l.resolve("job", ","+inShare("S"))
	for i := range batch.MaxActiveShares {
		s := *spec
		s.Share = fmt.Sprintf("S%d", i)
		if _, err := l.submitSpec(s.Share, &s); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.trySubmit("x", inShare("one-more"))
	var refusal *batch.Error
	if !errors.As(err, &refusal) || refusal.Code != batch.Refused {
		t.Fatalf("the 501st share: %v", err)
	}
	l.submit("y", inShare("S7")) // active already
	l.cancel("S499", "away")
	if _, err := l.trySubmit("x", inShare("one-more")); err == nil {
		t.Error("a share is active until its window has passed")
	}
	l.advance(time.Hour)
	l.submit("x", inShare("one-more"))
}

// Reference 7.3: the front of the queue is shown in the order of dispatch.
func TestSnapshotIsTheDispatchOrder(t *testing.T) {
	t.Parallel()
	l := newFairLab(t, `"shareDecaySeconds":3600,"shareDistribution":[{"shareIdentifier":"A","weightFactor":0.5}]`)
	l.submit("filler", inShare("F", array(4)[1:]))
	l.submit("a", inShare("A", array(10)[1:]))
	l.submit("b", inShare("B", array(10)[1:]))
	snap := l.core.SnapshotForTest(home, "fair", 6)
	var front []string
	for _, f := range snap.Front {
		front = append(front, l.name(f.ID))
	}
	if snap.MilliCPU != 1000 || snap.ActiveShares != 3 || len(snap.Shares) != 3 || snap.Shares[0] != (engine.ShareUse{Share: "F", MilliCPU: 1000}) {
		t.Errorf("snapshot: %+v", snap)
	}
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":3}`)
	if order := l.underWay()[4:10]; !slices.Equal(front, order) {
		t.Errorf("front %v, dispatched %v", front, order)
	}
}
