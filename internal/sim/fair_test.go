package sim

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// contest is a world in which share identifiers compete for one environment of 8 vCPU: each has always work waiting, of
// tasks of a quarter of a vCPU and of a whole one, that run for a minute on average.
type contest struct {
	*world
	t *testing.T
	// keeps is how many pieces of work each share has waiting; a share that is not in it has left.
	keeps map[string]int
	// singles are jobs of their own, for whom it matters when they start.
	singles map[string]string // id by name
}

func newContest(t *testing.T, seed uint64, policy string) *contest {
	c := &contest{world: newWorld(Config{Seed: seed, NoFaults: true}), t: t, keeps: map[string]int{}, singles: map[string]string{}}
	c.limits = engine.Limits{Notify: true}
	c.restart()
	raw := func(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
	container := `{"jobDefinitionName":%q,"type":"container","platformCapabilities":["FARGATE"],"containerProperties":{"image":"i","command":["run"],
		"executionRoleArn":"arn:aws:iam::000000000000:role/x","resourceRequirements":[{"type":"VCPU","value":%q},{"type":"MEMORY","value":%q}]}}`
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE","maxvCpus":8,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)},
		engine.CreateSchedulingPolicy{Partition: home, Raw: raw(`{"name":"policy","fairsharePolicy":{%s}}`, policy)},
		engine.CreateJobQueue{Partition: home, Raw: raw(`{"jobQueueName":"fair","priority":1,"schedulingPolicyArn":%q,"computeEnvironmentOrder":[%s]}`,
			home.BatchARN(batch.KindSchedulingPolicy, "policy"), order("ce"))},
		c.define(container, "quarter", "0.25", "512"),
		c.define(container, "one", "1", "2048"),
	} {
		c.must(ev)
	}
	return c
}

// submit submits a job of some share.
func (c *contest) submit(share, definition string, size int) string {
	c.t.Helper()
	members := ""
	if size > 1 {
		members = fmt.Sprintf(`,"arrayProperties":{"size":%d}`, size)
	}
	s := c.engine.Catalog().Section(home)
	spec, err := batch.ResolveJob(fmt.Appendf(nil, `{"jobName":"j","jobQueue":"fair","jobDefinition":%q,"shareIdentifier":%q%s}`, definition, share, members),
		batch.Submission{Partition: home, Definition: s.Definition(definition, 0), Queue: s.Queue("fair"), Environments: []*batch.ComputeEnvironment{s.Environment("ce")}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.model.begin(1)
	a := c.engine.Group(engine.SubmitJob{Partition: home, Spec: spec, Facts: map[string]engine.DependencyFact{}})[0]
	if a.Err != nil {
		c.t.Fatal(a.Err)
	}
	return a.Result.(string)
}

// runFor lets the contest go on for a time.
func (c *contest) runFor(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		waiting := map[string]int{}
		for _, j := range c.model.live {
			for i := range j.children {
				if s := j.children[i].status; s == batch.Runnable {
					waiting[j.spec.Share]++
				}
			}
		}
		for _, share := range sorted(c.keeps) {
			for waiting[share] < c.keeps[share] {
				c.submit(share, []string{"quarter", "quarter", "one"}[c.rng.IntN(3)], 25)
				waiting[share] += 25
			}
		}
		until := c.now.Add(time.Minute)
		for c.now.Before(until) && c.next() {
		}
		c.advance(until) // if nothing happens
		if c.violation != nil {
			c.t.Fatal(c.violation)
		}
	}
}

// measure is runFor that says what each share has used, in vCPU-seconds of attempts that have ended.
func (c *contest) measure(d time.Duration) map[string]float64 {
	c.t.Helper()
	before := c.used()
	c.runFor(d)
	used := c.used()
	for share, n := range before {
		used[share] -= n
	}
	return used
}

func (c *contest) used() map[string]float64 {
	used := map[string]float64{}
	for seq, children := range c.disk.children {
		spec := c.model.jobs[seq].spec
		for _, ch := range children {
			var state struct{ Attempts []engine.Attempt }
			if err := json.Unmarshal(ch.State, &state); err != nil {
				c.t.Fatal(err)
			}
			for _, a := range state.Attempts {
				if a.StartedAt == 0 {
					continue // it could not be started
				}
				used[spec.Share] += float64(a.StoppedAt-a.StartedAt) / 1000 * float64(spec.MilliCPU()) / 1000
			}
		}
	}
	return used
}

// closeTo checks parts of a whole against what they should be, within a share of that.
func closeTo(t *testing.T, used, want map[string]float64, within float64) {
	t.Helper()
	var all, parts float64
	for share, w := range want {
		all += used[share]
		parts += w
	}
	for _, share := range sorted(want) {
		got, want := used[share]/all, want[share]/parts
		t.Logf("%s: %.2f %% of %.0f vCPU-hours, want %.2f %%", share, 100*got, all/3600, 100*want)
		if math.Abs(got/want-1) > within {
			t.Errorf("share %s used %.2f %%, is entitled to %.2f %%", share, 100*got, 100*want)
		}
	}
}

// Reference 7.2: over a long run shares use capacity in the ratio of one over their weights; a prefix gives its weight to each
// identifier it stands for.
func TestSharesConvergeToTheirWeights(t *testing.T) {
	t.Parallel()
	for seed, window := range []int{600, 3600} {
		c := newContest(t, uint64(seed), fmt.Sprintf(`"shareDecaySeconds":%d,"shareDistribution":[{"shareIdentifier":"A","weightFactor":1},
			{"shareIdentifier":"B","weightFactor":0.5},{"shareIdentifier":"C*","weightFactor":0.25}]`, window))
		c.keeps = map[string]int{"A": 50, "B": 50, "C1": 50, "C2": 50}
		closeTo(t, c.measure(10*time.Hour), map[string]float64{"A": 1, "B": 2, "C1": 4, "C2": 4}, 0.05)
	}
}

// A share that comes later, with a single small job, does not wait for those who have used everything so far; one with a
// hundredth of the others' entitlement is served all the same, if seldom.
func TestNewcomersAndNobodyStarves(t *testing.T) {
	t.Parallel()
	c := newContest(t, 7, `"shareDecaySeconds":3600,"shareDistribution":[{"shareIdentifier":"poor","weightFactor":100}]`)
	c.keeps = map[string]int{"A": 50, "B": 50, "poor": 50}
	c.runFor(time.Hour)
	for i := range 10 {
		share := fmt.Sprintf("new%d", i)
		id := c.submit(share, "quarter", 1)
		began := c.now
		j := c.model.jobs[c.disk.ids[id]]
		for j.self.status == batch.Runnable && c.next() {
		}
		if wait := c.now.Sub(began); wait > 30*time.Second || c.violation != nil { // of thirteen tasks of a minute one ends every few seconds
			t.Errorf("newcomer %s waited %v (%v)", share, wait, c.violation)
		}
		c.runFor(time.Minute)
	}
	for range 2 {
		if used := c.measure(2 * time.Hour); used["poor"] == 0 {
			t.Errorf("in two hours the poor share had nothing: %v", used)
		}
	}
}

// What a share used before its window does not count: after a rest of many windows it is as good as new.
func TestUsageIsForgotten(t *testing.T) {
	t.Parallel()
	c := newContest(t, 3, `"shareDecaySeconds":300`)
	c.keeps = map[string]int{"A": 50, "B": 0}
	c.runFor(2 * time.Hour) // A alone
	c.keeps = map[string]int{"A": 0}
	c.runFor(2 * time.Hour) // what is left runs out, then nothing
	c.keeps = map[string]int{"A": 50, "B": 50}
	closeTo(t, c.measure(2*time.Hour), map[string]float64{"A": 1, "B": 1}, 0.05)
}

// Reference 7.2: of capacity (r/100)^n is kept back from n active shares, for the next.
func TestReservationIsKept(t *testing.T) {
	t.Parallel()
	c := newContest(t, 5, `"shareDecaySeconds":3600,"computeReservation":50`)
	for n := 1; n <= 3; n++ {
		c.keeps[fmt.Sprintf("S%d", n)] = 50
		c.runFor(10 * time.Minute)
		most := int64(0)
		for range 60 {
			c.runFor(time.Minute)
			most = max(most, c.model.envs["ce"].used)
		}
		limit := 8000 - 8000>>n
		if most > int64(limit) || most < int64(limit)-1000 {
			t.Errorf("%d active shares use %d milli-vCPU of 8000, want close to %d", n, most, limit)
		}
	}
}
