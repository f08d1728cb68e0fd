package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// resource makes a consumable resource.
func (l *lab) resource(name string, total int, kind string) {
	l.t.Helper()
	l.must(engine.CreateConsumableResource{Partition: home, Raw: fmt.Appendf(nil, `{"consumableResourceName":%q,"totalQuantity":%d,"resourceType":%q}`, name, total, kind)})
}

func (l *lab) setTotal(name string, total int) {
	l.t.Helper()
	l.must(engine.UpdateConsumableResource{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"operation":"SET","quantity":%d}`, total)})
}

// needs is a member with requirements: "token 1", "license 2".
func needs(list ...string) string {
	var out []string
	for _, n := range list {
		name, quantity, _ := strings.Cut(n, " ")
		out = append(out, fmt.Sprintf(`{"consumableResource":%q,"quantity":%s}`, name, quantity))
	}
	return `"consumableResourcePropertiesOverride":{"consumableResourceList":[` + strings.Join(out, ",") + `]}`
}

// held checks what is in use of resources.
func (l *lab) held(want map[string]int64) {
	l.t.Helper()
	for name, n := range want {
		if got := l.core.InUseForTest(home, name); got != n {
			l.t.Errorf("%d of %s are in use, want %d", got, name, n)
		}
	}
}

// Reference 7.4: a job starts when all its quantities are there together; it holds nothing before.
func TestConsumablesAreHeldTogether(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 2, "REPLENISHABLE")
	l.resource("license", 3, "REPLENISHABLE")
	l.submit("a", needs("token 1", "license 3"))
	l.submit("b", needs("token 2"))
	l.submit("c", needs("token 1", "license 1"))
	l.submit("d", needs("token 1"))
	l.submit("e", "")
	l.running("a", "d", "e") // b misses a token, c a license; neither holds what it could have, nor anyone up
	l.states("b RUNNABLE ", "c RUNNABLE ")
	l.held(map[string]int64{"token": 2, "license": 3})
	l.restart()
	l.exit("a", 0)
	l.running("d", "e", "c") // b, before it, misses one token still
	l.exit("d", 0)
	l.running("e", "c")
	l.exit("c", 1)
	l.running("e", "b")
	l.held(map[string]int64{"token": 2, "license": 0})
}

// Whatever an attempt's end is, it gives back what it held.
func TestConsumablesAreGivenBack(t *testing.T) {
	t.Parallel()
	l := newNodeLab(t)
	l.resource("token", 1, "REPLENISHABLE")
	one := needs("token 1")
	l.submit("a", one+`,"retryStrategy":{"attempts":2}`)
	l.exit("a", 1)
	l.submit("m", onNodes+","+one)
	l.running("a")
	l.lose("a")
	l.running("m#0")
	l.run("m#0")
	l.exit("m#0", 0)
	l.submit("b", one)
	l.exit("m#1", 143)
	l.running("m#2")
	l.held(map[string]int64{"token": 1})
	l.exit("m#2", 143)
	l.running("b")
	l.terminate("b", "why")
	l.submit("c", one)
	l.restart()
	l.exit("b", 143)
	l.running("c")
	l.fail("c", "CannotPullContainerError: gone")
	l.held(map[string]int64{"token": 0})
}

func TestConsumablesOfArrays(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 2, "REPLENISHABLE")
	l.submit("a", array(5)[1:]+","+needs("token 1"))
	l.running("a:0", "a:1")
	l.submit("b", "")
	l.running("a:0", "a:1", "b")
	l.exit("a:0", 0)
	l.running("a:1", "b", "a:2")
	l.setTotal("token", 4)
	l.running("a:1", "b", "a:2", "a:3")
	l.restart()
	l.setTotal("token", 0) // what runs goes on
	l.exit("a:1", 0)
	l.running("b", "a:2", "a:3")
	l.setTotal("token", 3)
	l.running("b", "a:2", "a:3", "a:4")
	l.cancel("a", "no effect: all run")
	l.held(map[string]int64{"token": 3})
}

// What is not replenishable is used up.
func TestNonReplenishableConsumables(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("credit", 3, "NON_REPLENISHABLE")
	l.submit("a", array(5)[1:]+","+needs("credit 1"))
	l.running("a:0", "a:1", "a:2")
	l.exit("a:0", 0)
	l.exit("a:1", 1)
	l.restart()
	l.running("a:2")
	if r := l.core.Catalog().Section(home).Consumable("credit"); r.Total != 1 {
		t.Errorf("%d credits are left, want the one in use", r.Total)
	}
	l.must(engine.UpdateConsumableResource{Partition: home, Name: "credit", Raw: []byte(`{"operation":"ADD","quantity":1}`)})
	l.running("a:2", "a:3")
}

// A resource may be deleted and made again: what the old one's jobs held is not taken from the new one.
func TestConsumableDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 1, "NON_REPLENISHABLE")
	l.submit("a", needs("token 1"))
	l.submit("b", needs("token 1"))
	l.must(engine.DeleteConsumableResource{Partition: home, Name: "token"})
	l.running("a")
	l.states("b RUNNABLE ")
	l.resource("token", 1, "NON_REPLENISHABLE")
	l.running("a", "b")
	l.exit("a", 0)
	l.held(map[string]int64{"token": 1})
	l.restart()
	if r := l.core.Catalog().Section(home).Consumable("token"); r.Total != 1 {
		t.Errorf("there are %d tokens, want the new one", r.Total)
	}
	l.exit("b", 0)
	l.held(map[string]int64{"token": 0})
	if r := l.core.Catalog().Section(home).Consumable("token"); r.Total != 0 {
		t.Errorf("%d tokens are left, want none", r.Total)
	}
	l.must(engine.DeleteConsumableResource{Partition: home, Name: "token"})
	if r := l.core.Catalog().Section(home).Consumable("token"); r != nil {
		t.Error("the resource is there again")
	}
}

// A restart between makes no difference: what holds the old one is not counted against the new one, nor taken from it.
func TestConsumableMadeAgainBeforeARestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 2, "NON_REPLENISHABLE")
	l.submit("a", needs("token 2"))
	l.advance(time.Second)
	l.must(engine.DeleteConsumableResource{Partition: home, Name: "token"})
	l.resource("token", 2, "NON_REPLENISHABLE")
	l.submit("b", needs("token 1"))
	l.restart()
	l.held(map[string]int64{"token": 1})
	l.exit("a", 0)
	if r := l.core.Catalog().Section(home).Consumable("token"); r.Total != 2 {
		t.Errorf("there are %d tokens, want the two new ones", r.Total)
	}
	l.submit("c", needs("token 1"))
	l.running("b", "c")
}

// Reference 1.2: an update that is sent again with its clientToken happens once, for eight hours, also if a restart lies
// between and if it could not happen a second time.
func TestConsumableUpdateOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	total := func(want int64) {
		t.Helper()
		if got := l.core.Catalog().Section(home).Consumable("token").Total; got != want {
			t.Errorf("there are %d tokens, want %d", got, want)
		}
	}
	update := func(raw string) {
		t.Helper()
		l.must(engine.UpdateConsumableResource{Partition: home, Name: "token", Raw: []byte(raw)})
	}
	const add, remove = `{"operation":"ADD","quantity":1,"clientToken":"t"}`, `{"operation":"REMOVE","quantity":5,"clientToken":"t"}`
	l.resource("token", 4, "REPLENISHABLE")
	update(add)
	update(add)
	total(5)
	update(remove) // the same token, but another change
	total(0)
	l.restart()
	update(remove)
	update(add)
	total(0)
	update(`{"operation":"ADD","quantity":1}`) // two without a token are two
	update(`{"operation":"ADD","quantity":1}`)
	total(2)
	l.advance(8*time.Hour - time.Millisecond)
	update(add)
	total(2)
	l.advance(time.Millisecond)
	update(add)
	total(3)
	l.restart()
	update(add)
	total(3)
	l.must(engine.DeleteConsumableResource{Partition: home, Name: "token"})
	l.resource("token", 0, "REPLENISHABLE")
	update(add) // another resource of the same name
	total(1)
	l.restart()
	update(add)
	total(1)
}

// What was woken for a quantity and leaves without it lets the next one have it.
func TestConsumablesNobodyTook(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 2, "REPLENISHABLE")
	l.submit("a", needs("token 2"))
	l.submit("b", needs("token 2")+","+sizeOfTwo) // too large: it would block the queue, but misses its tokens first
	l.submit("c", needs("token 1"))
	l.states("b RUNNABLE "+batch.ReasonTooLarge, "c RUNNABLE ")
	l.updateEnvironment("ce", `"computeResources":{"maxvCpus":2}`)
	l.states("b RUNNABLE ", "c RUNNABLE ")
	l.exit("a", 0)
	l.running("b")
	l.exit("b", 0)
	l.running("c")
	l.submit("d", needs("token 2"))
	l.submit("e", needs("token 2"))
	l.submit("f", needs("token 1")+`,"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"4096"}]}`)
	l.states("d RUNNABLE ", "e RUNNABLE ", "f RUNNABLE ")
	l.cancel("d", "away")
	l.cancel("e", "away")
	l.cancel("c", "running")
	l.exit("c", 0)
	l.running("f")
}

// One that was woken, stands at the head without room and is cancelled, leaves its token to the next.
func TestConsumableOfACancelledHead(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 1, "REPLENISHABLE")
	l.submit("a", needs("token 1"))
	l.submit("b", needs("token 1")+`,"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"1024"}]}`)
	l.submit("c", needs("token 1"))
	l.submit("filler", array(3)[1:])
	l.exit("a", 0)
	l.running("filler:0", "filler:1", "filler:2")
	l.states("b RUNNABLE ", "c RUNNABLE ")
	l.cancel("b", "away")
	l.running("filler:0", "filler:1", "filler:2", "c")
}

// One that was woken for one resource and misses another leaves the first to those behind it.
func TestConsumablesOfOneThatWaitsForAnother(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.resource("token", 1, "REPLENISHABLE")
	l.resource("license", 1, "REPLENISHABLE")
	l.submit("t", needs("token 1"))
	l.submit("l", needs("license 1"))
	l.submit("both", needs("token 1", "license 1"))
	l.submit("token2", needs("token 1"))
	l.submit("license2", needs("license 1"))
	l.exit("t", 0)
	l.running("l", "token2")
	l.exit("l", 0)
	l.running("token2", "license2")
	l.exit("license2", 0)
	l.exit("token2", 0)
	l.running("both")
}

// Thousands of jobs that wait for one license cost no more than those that get it.
func TestManyWaitForOneLicense(t *testing.T) {
	t.Parallel()
	const n = 3000
	l := newLab(t, engine.Limits{})
	l.resource("license", 1, "REPLENISHABLE")
	spec := l.resolve("job", ","+needs("license 1"))
	for i := range n {
		if _, err := l.submitSpec(fmt.Sprintf("j%d", i), spec); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		l.exit(fmt.Sprintf("j%d", i), 0) // in order
	}
	if got := l.core.Live(); got != 0 {
		t.Errorf("%d jobs are left", got)
	}
}
