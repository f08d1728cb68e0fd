package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/memory"
)

// world is a core whose every group of changes is committed to a store, under random requests and random fates of tasks.
type world struct {
	t     *rapid.T
	core  *engine.Core
	store *memory.Store
	ids   *counter
	now   time.Time
	specs map[string]*batch.Spec // of every job ever submitted
	jobs  []string               // in order

	underWay map[string]engine.StartTask // by key, handed out and not ended
	began    map[string]bool
	ever     map[string]bool // every key ever started
	capacity int64           // of environment ce, in milli-vCPU
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, ids: &counter{}, store: memory.New(), now: time.UnixMilli(1_700_000_000_000), specs: map[string]*batch.Spec{},
		underWay: map[string]engine.StartTask{}, began: map[string]bool{}, ever: map[string]bool{}, capacity: 1000,
	}
	w.core = engine.NewCore(w.ids, engine.Limits{MaxTasks: 6})
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE_SPOT","maxvCpus":1,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)},
		engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ec2","type":"MANAGED","computeResources":{
			"type":"EC2","minvCpus":0,"maxvCpus":4,"subnets":["subnet-1"],"securityGroupIds":["sg-1"],"instanceRole":"r","instanceTypes":["optimal"]}}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"high","priority":9,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"mnp","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ec2"}]}`)},
		engine.CreateConsumableResource{Partition: home, Raw: []byte(`{"consumableResourceName":"token","totalQuantity":2}`)},
		engine.RegisterJobDefinition{Partition: home, Definition: definition(t, `{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],
			"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::000000000000:role/x","command":["run"],
			"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`)},
		engine.RegisterJobDefinition{Partition: home, Definition: definition(t, `{"jobDefinitionName":"nodes","type":"multinode","nodeProperties":{"numNodes":3,"mainNode":1,
			"nodeRangeProperties":[{"targetNodes":"0:","container":{"image":"i","command":["run"],"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}}]}}`)},
	} {
		if _, err := w.step(ev); err != nil {
			t.Fatalf("%T: %v", ev, err)
		}
	}
	return w
}

func definition(t *rapid.T, raw string) batch.JobDefinition {
	jd, err := batch.NewJobDefinition([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return jd
}

func (w *world) step(ev engine.Event) (any, error) {
	result, err := w.core.Step(ev, w.now)
	out := w.core.Take()
	if cerr := w.store.Commit(context.Background(), &out.Changes); cerr != nil {
		w.t.Fatalf("commit after %T: %v", ev, cerr)
	}
	for _, st := range out.Start {
		if w.ever[st.Key] {
			w.t.Fatalf("task %s was started twice", st.Key)
		}
		w.ever[st.Key] = true
		w.underWay[st.Key] = st
		w.checkDependencies(st)
	}
	for _, key := range out.Ack {
		delete(w.underWay, key)
		delete(w.began, key)
	}
	w.check()
	return result, err
}

// checkDependencies: no task starts before what its job depends on has succeeded.
func (w *world) checkDependencies(st engine.StartTask) {
	for _, d := range st.Spec.DependsOn {
		dep := d.JobID
		switch {
		case d.Type == batch.Sequential:
			if st.Index == 0 {
				continue
			}
			id, _ := batch.ParseJobID(st.JobID)
			dep = batch.ArrayChildID(id.Parent, st.Index-1)
		case d.Type == batch.NToN:
			dep = batch.ArrayChildID(d.JobID, st.Index)
		}
		if got := w.status(dep); got != batch.Succeeded {
			w.t.Fatalf("task %s was started while %s, which it depends on, is %v", st.Key, dep, got)
		}
	}
}

// status is a job's state on disk.
func (w *world) status(id string) batch.Status {
	ctx := context.Background()
	parsed, _ := batch.ParseJobID(id)
	rec, ok, err := w.store.Job(ctx, home, parsed.Parent)
	if err != nil || !ok {
		w.t.Fatalf("job %s: %v, %v", id, ok, err)
	}
	if parsed.Index < 0 {
		return rec.Status
	}
	child, ok, err := w.store.Child(ctx, rec.Seq, parsed.Index)
	if err != nil {
		w.t.Fatal(err)
	}
	if !ok {
		return batch.Submitted
	}
	return child.Status
}

func (w *world) check() {
	if wrong := w.core.Audit(); len(wrong) > 0 {
		w.t.Fatalf("invariants broken:\n%s", strings.Join(wrong, "\n"))
	}
}

// checkRestore: what is on disk is all that matters; a core made of it is in the same state.
func (w *world) checkRestore() {
	w.must(engine.Tick{}) // both have seen the same time
	restored, resume, err := engine.Restore(context.Background(), w.store, w.ids, engine.Limits{MaxTasks: 6}, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := restored.Step(engine.Tick{}, w.now); err != nil { // queues are served with the first step
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(w.core.Dump(), restored.Dump()); diff != "" {
		w.t.Fatalf("restored state differs (-live +restored):\n%s", diff)
	}
	var keys []string
	for _, r := range resume {
		keys = append(keys, r.Key)
	}
	want := w.keys()
	slices.Sort(keys)
	if diff := cmp.Diff(want, keys); diff != "" {
		w.t.Fatalf("tasks to resume differ (-under way +resume):\n%s", diff)
	}
}

func (w *world) keys() []string {
	var keys []string
	for key := range w.underWay {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (w *world) submit() {
	t := w.t
	name := fmt.Sprintf("j%d", len(w.jobs))
	members := fmt.Sprintf(`"jobName":%q`, name)
	size := 0
	queue, jd := rapid.SampledFrom([]string{"q", "q", "high"}).Draw(t, "queue"), "jd"
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		queue, jd = "mnp", "nodes"
	case 1, 2, 3:
		size = rapid.IntRange(2, 4).Draw(t, "size")
		members += fmt.Sprintf(`,"arrayProperties":{"size":%d}`, size)
	}
	var deps []string
	if size > 0 && rapid.IntRange(0, 3).Draw(t, "sequential") == 0 {
		deps = append(deps, `{"type":"SEQUENTIAL"}`)
	}
	for range rapid.IntRange(0, 2).Draw(t, "dependencies") {
		if len(w.jobs) == 0 {
			break
		}
		on := rapid.SampledFrom(w.jobs).Draw(t, "on")
		onSize := w.specs[on].ArraySize
		switch {
		case onSize > 0 && onSize == size && rapid.Bool().Draw(t, "n to n"):
			deps = append(deps, fmt.Sprintf(`{"jobId":%q,"type":"N_TO_N"}`, on))
		case onSize > 0 && rapid.Bool().Draw(t, "on a child"):
			deps = append(deps, fmt.Sprintf(`{"jobId":"%s:%d"}`, on, rapid.IntRange(0, onSize-1).Draw(t, "child")))
		default:
			deps = append(deps, fmt.Sprintf(`{"jobId":%q}`, on))
		}
	}
	if deps != nil {
		members += `,"dependsOn":[` + strings.Join(deps, ",") + "]"
	}
	if attempts := rapid.IntRange(1, 3).Draw(t, "attempts"); attempts > 1 {
		members += fmt.Sprintf(`,"retryStrategy":{"attempts":%d}`, attempts)
	}
	if rapid.Bool().Draw(t, "timeout") {
		members += `,"timeout":{"attemptDurationSeconds":60}`
	}
	if rapid.IntRange(0, 4).Draw(t, "consumes") == 0 {
		members += `,"consumableResourcePropertiesOverride":{"consumableResourceList":[{"consumableResource":"token","quantity":1}]}`
	}
	s := w.core.Catalog().Section(home)
	q := s.Queue(queue)
	spec, err := batch.ResolveJob([]byte("{"+members+fmt.Sprintf(`,"jobQueue":%q,"jobDefinition":%q}`, queue, jd)), batch.Submission{
		Partition: home, Definition: s.Definition(jd, 0), Queue: q, Environments: []*batch.ComputeEnvironment{s.Environment(q.ComputeEnvironmentOrder[0].ComputeEnvironment)},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]engine.DependencyFact{}
	for {
		result, err := w.step(engine.SubmitJob{Partition: home, Spec: spec, Facts: facts})
		var unknown *engine.UnknownDependencies
		if !errors.As(err, &unknown) {
			if err != nil {
				t.Fatal(err)
			}
			id := result.(string)
			w.specs[id] = spec
			w.jobs = append(w.jobs, id)
			return
		}
		for _, dep := range unknown.IDs {
			id, _ := batch.ParseJobID(dep)
			if facts[dep], err = engine.LookUpDependency(context.Background(), w.store, home, id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fate lets something happen to a task under way.
func (w *world) fate() {
	keys := w.keys()
	if len(keys) == 0 {
		return
	}
	key := rapid.SampledFrom(keys).Draw(w.t, "task")
	if !w.began[key] && rapid.Bool().Draw(w.t, "only begins") {
		w.began[key] = true
		w.report(runtime.Report{Key: key, Kind: runtime.Started, At: w.now})
		return
	}
	r := runtime.Report{Key: key, Kind: runtime.Ended, At: w.now, Containers: []runtime.ContainerReport{{Name: "default"}}}
	switch rapid.IntRange(0, 5).Draw(w.t, "fate") {
	case 0:
		r.Lost = true
	case 1:
		if !w.began[key] {
			r.Containers[0].StartError = "CannotPullContainerError: no such image"
			break
		}
		fallthrough
	case 2:
		w.exited(&r, 1)
	default:
		w.exited(&r, 0)
	}
	w.report(r)
}

func (w *world) exited(r *runtime.Report, code int) {
	r.StartedAt = w.now
	r.Containers[0].StartedAt, r.Containers[0].StoppedAt, r.Containers[0].ExitCode = w.now, w.now, &code
}

func (w *world) report(r runtime.Report) {
	if _, err := w.step(engine.TaskReport{Report: r}); err != nil {
		w.t.Fatal(err)
	}
}

// target is a job, or sometimes a child of one.
func (w *world) target() batch.JobID {
	id, _ := batch.ParseJobID(rapid.SampledFrom(w.jobs).Draw(w.t, "job"))
	if size := w.specs[id.Parent].ArraySize; size > 0 && rapid.Bool().Draw(w.t, "a child") {
		id.Sep, id.Index = ':', rapid.IntRange(0, size-1).Draw(w.t, "index")
	}
	return id
}

func (w *world) must(ev engine.Event) {
	if _, err := w.step(ev); err != nil {
		w.t.Fatalf("%T: %v", ev, err)
	}
}

// Whatever happens, in whatever order: capacity is not exceeded, nothing starts before what it depends on or twice, parents
// agree with children, the disk tells the whole state, and in the end every job ends.
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 11).Draw(t, "what") {
			case 0, 1, 2:
				w.submit()
			case 3:
				if len(w.jobs) > 0 {
					w.must(engine.CancelJob{Partition: home, ID: w.target(), Reason: "cancelled"})
				}
			case 4:
				if len(w.jobs) > 0 {
					w.must(engine.TerminateJob{Partition: home, ID: w.target(), Reason: "terminated"})
				}
			case 5:
				if len(w.jobs) > 0 {
					_, _ = w.step(engine.InterruptSpot{Partition: home, ID: w.target()}) // refused if it is not running
				}
			case 6:
				vcpus := rapid.IntRange(0, 2).Draw(t, "maxvCpus")
				w.must(engine.UpdateComputeEnvironment{Partition: home, Name: "ce", Raw: []byte(fmt.Sprintf(`{"computeEnvironment":"ce","computeResources":{"maxvCpus":%d}}`, vcpus))})
			case 7:
				w.must(engine.Tick{})
			default:
				w.fate()
			}
			if rapid.IntRange(0, 3).Draw(t, "restore") == 0 {
				w.checkRestore()
			}
		}
		w.finish()
	})
}

// finish lets everything run to its end.
func (w *world) finish() {
	w.must(engine.UpdateComputeEnvironment{Partition: home, Name: "ce", Raw: []byte(`{"computeEnvironment":"ce","computeResources":{"maxvCpus":2}}`)})
	for range 10_000 {
		if w.core.Live() == 0 {
			break
		}
		keys := w.keys()
		if len(keys) == 0 {
			w.t.Fatalf("%d jobs wait for ever:\n%s", w.core.Live(), strings.Join(w.core.Dump(), "\n"))
		}
		r := runtime.Report{Key: keys[0], Kind: runtime.Ended, At: w.now, Containers: []runtime.ContainerReport{{Name: "default"}}}
		w.exited(&r, 0)
		w.report(r)
	}
	for _, id := range w.jobs {
		if s := w.status(id); !s.Final() {
			w.t.Fatalf("job %s ended as %v", id, s)
		}
		w.checkChildren(id)
	}
}

// checkChildren: a parent succeeded exactly if all its children did.
func (w *world) checkChildren(id string) {
	size := w.specs[id].ArraySize
	if size == 0 {
		return
	}
	want := batch.Succeeded
	for i := range size {
		switch s := w.status(batch.ArrayChildID(id, i)); s {
		case batch.Succeeded:
		case batch.Failed:
			want = batch.Failed
		default:
			w.t.Fatalf("child %d of %s ended as %v", i, id, s)
		}
	}
	if got := w.status(id); got != want {
		w.t.Fatalf("array %s is %v, its children say %v", id, got, want)
	}
}
