package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/memory"
)

var home = batch.Partition{Account: "000000000000", Region: "us-east-1"}

// counter makes ids in order, so that failures read well and runs are the same.
type counter struct{ n int }

func (c *counter) UUID() string {
	c.n++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.n)
}

func (c *counter) TaskID() string {
	c.n++
	return fmt.Sprintf("%032x", c.n)
}

// change is one state change of a job.
type change struct {
	id string
	to batch.Status
}

// lab is a core in virtual time, whose changes go to a store, with a hand for the launcher: tests start, end and lose tasks
// as they please.
type lab struct {
	t       testing.TB
	core    *engine.Core
	ids     *counter
	limits  engine.Limits
	store   *memory.Store
	now     time.Time
	started []engine.StartTask // not yet ended
	stops   []engine.StopTask
	acks    map[string]bool
	trace   []change // state changes since the last expect
	names   map[string]string
	idOf    map[string]string
	last    map[string]engine.JobView // as of its last change of state
	blocked []engine.JobView          // heads of queues that were found to be blocked
	checks  int
}

func newLab(t testing.TB, limits engine.Limits) *lab {
	limits.Notify = true
	ids := &counter{}
	l := &lab{
		t: t, core: engine.NewCore(ids, limits), ids: ids, limits: limits, store: memory.New(), now: time.UnixMilli(1_700_000_000_000),
		acks: map[string]bool{}, names: map[string]string{}, idOf: map[string]string{}, last: map[string]engine.JobView{},
	}
	l.must(engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
		"type":"FARGATE","maxvCpus":1,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)})
	l.must(engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)})
	l.define("jd", "")
	return l
}

// define registers a Fargate definition of a quarter vCPU with further members.
func (l *lab) define(name, members string) {
	l.t.Helper()
	jd, err := batch.NewJobDefinition([]byte(fmt.Sprintf(`{"jobDefinitionName":%q,"type":"container","platformCapabilities":["FARGATE"],%s
		"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::000000000000:role/x","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`, name, members)))
	if err != nil {
		l.t.Fatal(err)
	}
	l.must(engine.RegisterJobDefinition{Partition: home, Definition: jd})
}

func (l *lab) step(ev engine.Event) (any, error) {
	result, err := l.core.Step(ev, l.now)
	l.take()
	return result, err
}

// take commits what the core wants committed and notes what it wants done.
func (l *lab) take() {
	out := l.core.Take()
	if err := l.store.Commit(context.Background(), &out.Changes); err != nil {
		l.t.Fatalf("commit: %v", err)
	}
	l.started = append(l.started, out.Start...)
	l.stops = append(l.stops, out.Stop...)
	for _, k := range out.Ack {
		l.acks[k] = true
	}
	for _, n := range out.Notices {
		if n.Blocked {
			l.blocked = append(l.blocked, n.View)
			continue
		}
		for v := range n.Views() {
			l.trace = append(l.trace, change{v.ID, v.Status})
			l.last[v.ID] = v
		}
	}
	if l.checks++; l.core.Live() > 100 && l.checks%100 > 0 {
		return // it costs as much as there is
	}
	if wrong := l.core.Audit(); len(wrong) > 0 {
		l.t.Fatalf("invariants broken:\n%s", strings.Join(wrong, "\n"))
	}
}

func (l *lab) must(ev engine.Event) any {
	l.t.Helper()
	result, err := l.step(ev)
	if err != nil {
		l.t.Fatalf("%T: %v", ev, err)
	}
	return result
}

// name replaces a job's id by what the test calls it.
func (l *lab) name(id string) string {
	parent, rest := id, ""
	if i := strings.IndexAny(id, ":#"); i >= 0 {
		parent, rest = id[:i], id[i:]
	}
	if n := l.names[parent]; n != "" {
		return n + rest
	}
	return id
}

// submit submits a job called name to queue q under definition jd, with further members of the request, and returns its id.
func (l *lab) submit(name, members string) string {
	l.t.Helper()
	id, err := l.trySubmit(name, members)
	if err != nil {
		l.t.Fatalf("submit %s: %v", name, err)
	}
	return id
}

func (l *lab) trySubmit(name, members string) (string, error) {
	l.t.Helper()
	if members != "" {
		members = "," + members
	}
	return l.submitSpec(name, l.resolve(name, members))
}

func (l *lab) submitSpec(name string, spec *batch.Spec) (string, error) {
	l.t.Helper()
	facts := map[string]engine.DependencyFact{}
	for {
		// The job's id is known to the trace of its first steps as well.
		next := fmt.Sprintf("00000000-0000-4000-8000-%012x", l.ids.n+1)
		l.names[next], l.idOf[name] = name, next
		result, err := l.step(engine.SubmitJob{Partition: home, Spec: spec, Facts: facts})
		var unknown *engine.UnknownDependencies
		if !errors.As(err, &unknown) {
			id, _ := result.(string)
			return id, err
		}
		for _, dep := range unknown.IDs {
			id, _ := batch.ParseJobID(dep)
			fact, err := engine.LookUpDependency(context.Background(), l.store, home, id)
			if err != nil {
				l.t.Fatal(err)
			}
			facts[dep] = fact
		}
	}
}

// spec is a job of array size n, or of none if n is 0.
func (l *lab) spec(n int) *batch.Spec {
	if n == 0 {
		return l.resolve("job", "")
	}
	return l.resolve("job", fmt.Sprintf(`,"arrayProperties":{"size":%d}`, n))
}

func (l *lab) resolve(name, members string) *batch.Spec {
	l.t.Helper()
	raw := []byte(fmt.Sprintf(`{"jobName":%q,"jobQueue":"q","jobDefinition":"jd"%s}`, name, members))
	var req struct{ JobQueue, JobDefinition string }
	if err := json.Unmarshal(raw, &req); err != nil {
		l.t.Fatal(err)
	}
	s := l.core.Catalog().Section(home)
	q := s.Queue(req.JobQueue)
	var envs []*batch.ComputeEnvironment
	for _, name := range q.Environments() {
		envs = append(envs, s.Environment(name))
	}
	spec, err := batch.ResolveJob(raw, batch.Submission{Partition: home, Definition: s.Definition(req.JobDefinition, 0), Queue: q, Environments: envs})
	if err != nil {
		l.t.Fatal(err)
	}
	return spec
}

// task takes the oldest task under way whose job is called name (with its child's suffix).
func (l *lab) task(name string) engine.StartTask {
	l.t.Helper()
	for _, st := range l.started {
		if l.name(st.JobID) == name {
			return st
		}
	}
	l.t.Fatalf("no task of %s is under way; there are %v", name, l.underWay())
	return engine.StartTask{}
}

func (l *lab) underWay() []string {
	var names []string
	for _, st := range l.started {
		names = append(names, l.name(st.JobID))
	}
	return names
}

// run reports that the task of name has begun.
func (l *lab) run(name string) {
	l.t.Helper()
	l.must(engine.TaskReport{Report: runtime.Report{Key: l.task(name).Key, Kind: runtime.Started, At: l.now}})
}

// exit reports that the task of name ran and ended with code.
func (l *lab) exit(name string, code int) {
	l.t.Helper()
	l.end(name, runtime.Report{StartedAt: l.now, Containers: []runtime.ContainerReport{{Name: "default", StartedAt: l.now, StoppedAt: l.now, ExitCode: &code}}})
}

// end reports the end of the task of name.
func (l *lab) end(name string, r runtime.Report) {
	l.t.Helper()
	st := l.task(name)
	for i := range l.started {
		if l.started[i].Key == st.Key {
			l.started = append(l.started[:i], l.started[i+1:]...)
			break
		}
	}
	r.Key, r.Kind, r.At = st.Key, runtime.Ended, l.now
	l.must(engine.TaskReport{Report: r})
	if !l.acks[st.Key] {
		l.t.Fatalf("the end of %s was not acknowledged", st.Key)
	}
}

func (l *lab) advance(d time.Duration) {
	l.t.Helper()
	l.now = l.now.Add(d)
	l.must(engine.Tick{})
}

// expect checks the state changes since the last call.
func (l *lab) expect(want ...string) {
	l.t.Helper()
	var got []string
	for _, ch := range l.trace {
		got = append(got, l.name(ch.id)+" "+ch.to.String())
	}
	l.trace = nil
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		l.t.Errorf("state changes:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
