package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// load is who makes requests.
type load struct {
	submitted int      // works asked for
	recent    []string // ids of jobs whose submission was answered, to be depended on and ended
	queues    int      // temporary queues made so far
	done      bool
}

const (
	// limitedQueue has a jobStateTimeLimitAction on jobs that are too large for it.
	limitedQueue = "low"
	tooLarge     = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
)

func (w *world) must(ev engine.Event) {
	w.model.begin(1)
	if a := w.engine.Group(ev)[0]; a.Err != nil {
		w.violate("%T: %v", ev, a.Err)
	}
}

// setUp makes what jobs need: environments that queues of different priority share, and a definition for each kind of job.
func (w *world) setUp() {
	raw := func(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
	fargate := `{"computeEnvironmentName":%q,"type":"MANAGED","computeResources":{"type":%q,"maxvCpus":%d,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	ec2 := `{"computeEnvironmentName":%q,"type":"MANAGED","computeResources":{"type":%q,"minvCpus":0,"maxvCpus":%d,"subnets":["subnet-1"],"securityGroupIds":["sg-1"],
		"instanceRole":"r","instanceTypes":["optimal"],"allocationStrategy":"BEST_FIT_PROGRESSIVE"}}`
	queue := `{"jobQueueName":%q,"priority":%d,"computeEnvironmentOrder":[%s]%s}`
	container := `{"jobDefinitionName":%q,"type":"container",%s"containerProperties":{"image":"i",%s"command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":%q},{"type":"MEMORY","value":%q}]}}`
	onFargate, role := `"platformCapabilities":["FARGATE"],`, `"executionRoleArn":"arn:aws:iam::000000000000:role/x",`
	limit := fmt.Sprintf(`,"jobStateTimeLimitActions":[{"reason":%q,"state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}]`, tooLarge)
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: raw(fargate, "spot", "FARGATE_SPOT", 3)},
		engine.CreateComputeEnvironment{Partition: home, Raw: raw(fargate, "demand", "FARGATE", 2)},
		engine.CreateComputeEnvironment{Partition: home, Raw: raw(ec2, "ec2", "EC2", 8)},
		engine.CreateComputeEnvironment{Partition: home, Raw: raw(ec2, "ec2spot", "SPOT", 4)},
		engine.CreateSchedulingPolicy{Partition: home, Raw: []byte(`{"name":"policy","fairsharePolicy":{"shareDecaySeconds":600,"shareDistribution":[{"shareIdentifier":"A","weightFactor":0.5}]}}`)},
		engine.CreateJobQueue{Partition: home, Raw: raw(queue, limitedQueue, 1, order("spot", "demand"), limit)},
		engine.CreateJobQueue{Partition: home, Raw: raw(queue, "high", 9, order("spot"), "")},
		engine.CreateJobQueue{Partition: home, Raw: raw(queue, "fair", 5, order("demand", "spot"), fmt.Sprintf(`,"schedulingPolicyArn":%q`, home.BatchARN(batch.KindSchedulingPolicy, "policy")))},
		engine.CreateJobQueue{Partition: home, Raw: raw(queue, "nodes", 3, order("ec2spot", "ec2"), "")},
		w.resource("token", 4),
		w.resource("fuel", 100),
		w.define(container, "quarter", onFargate, role, "0.25", "512"),
		w.define(container, "one", onFargate, role, "1", "2048"),
		w.define(container, "huge", onFargate, role, "16", "32768"),
		w.define(container, "ec2", "", "", "1", "512"),
		w.define(`{"jobDefinitionName":"pair","type":"container","platformCapabilities":["FARGATE"],"ecsProperties":{"taskProperties":[{
			"executionRoleArn":"arn:aws:iam::000000000000:role/x","containers":[
			{"name":"aside","image":"i","essential":false,"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]},
			{"name":"main","image":"i","resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}]}]}}`),
		w.define(`{"jobDefinitionName":"nodes","type":"multinode","nodeProperties":{"numNodes":3,"mainNode":1,"nodeRangeProperties":[{"targetNodes":"0:",
			"container":{"image":"i","command":["run"],"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}}]}}`),
	} {
		w.must(ev)
	}
}

func (w *world) define(format string, args ...any) engine.Event {
	jd, err := batch.NewJobDefinition(fmt.Appendf(nil, format, args...))
	if err != nil {
		w.violate("definition: %v", err)
	}
	return engine.RegisterJobDefinition{Partition: home, Definition: jd}
}

func order(environments ...string) string {
	var list []string
	for i, e := range environments {
		list = append(list, fmt.Sprintf(`{"order":%d,"computeEnvironment":%q}`, i+1, e))
	}
	return strings.Join(list, ",")
}

// work makes one request, and the next one later.
func (w *world) work() {
	if w.load.submitted >= w.cfg.Works {
		w.comeToAnEnd()
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 62:
		w.submit()
	case n < 70:
		w.end(true)
	case n < 78:
		w.end(false)
	case n < 82 && len(w.load.recent) > 0:
		w.ask(engine.InterruptSpot{Partition: home, ID: w.someone()})
	case n < 94:
		w.changeResources()
	case n < 96 && len(w.load.recent) > 0:
		w.ask(engine.ChangeJobTags{Partition: home, ID: w.someone().Parent, Add: map[string]string{"n": fmt.Sprint(w.rng.IntN(9))}})
	case n < 98:
		w.temporaryQueue()
	}
	// Bursts, and lulls in which the queues run empty.
	pause := time.Duration(w.rng.ExpFloat64() * float64(4*time.Second))
	if w.rng.IntN(100) == 0 {
		pause = time.Duration(w.rng.IntN(20)) * time.Minute
	}
	if w.backlog() > 2000 {
		pause += 5 * time.Minute
	}
	w.after(pause, w.work)
}

// backlog is how many jobs are unfinished.
func (w *world) backlog() int { return w.engine.Core().Live() }

func (w *world) ask(ev engine.Event) {
	w.trace.addf("%d ask %T", w.ms(), ev)
	w.inbox = append(w.inbox, ev)
}

// submission is a SubmitJob with the name of what it asks for, should it have to be asked again.
func (w *world) submit() {
	r := w.rng
	queue, definition, size := "low", "quarter", 0
	members := fmt.Sprintf(`"jobName":"j%d"`, w.load.submitted)
	switch n := r.IntN(100); {
	case n < 30:
	case n < 50:
		queue = "high"
	case n < 75:
		queue = "fair"
		members += fmt.Sprintf(`,"shareIdentifier":%q,"schedulingPriorityOverride":%d`, []string{"A", "B", "C1", "C2"}[r.IntN(4)], r.IntN(3))
	case n < 85:
		queue, definition = "nodes", "nodes"
	case n < 93:
		queue, definition = "nodes", "ec2"
	case n < 94:
		definition = "huge"
	default:
		switch queue = w.temporary(); {
		case queue == "":
			queue = "low"
		case w.load.queues%2 == 1:
			definition = "ec2"
		}
	}
	if definition == "quarter" && r.IntN(4) == 0 {
		definition = []string{"one", "pair"}[r.IntN(2)]
	}
	if definition != "nodes" && definition != "huge" && r.IntN(100) < 45 {
		size = 2 + r.IntN(20)
		if r.IntN(40) == 0 {
			size = 2 + r.IntN(300)
		}
		if len(w.load.recent) > 0 && r.IntN(2) == 0 { // as large as another one, for N_TO_N
			if n := w.specOf(w.load.recent[r.IntN(len(w.load.recent))]).ArraySize; n > 0 {
				size = n
			}
		}
		members += fmt.Sprintf(`,"arrayProperties":{"size":%d}`, size)
	}
	if deps := w.dependencies(size); deps != "" {
		members += `,"dependsOn":[` + deps + "]"
	}
	if r.IntN(2) == 0 {
		members += fmt.Sprintf(`,"retryStrategy":{"attempts":%d%s}`, 1+r.IntN(4), exitRules[r.IntN(len(exitRules))])
	}
	if r.IntN(3) == 0 {
		members += fmt.Sprintf(`,"timeout":{"attemptDurationSeconds":%d}`, 60+r.IntN(120))
	}
	if r.IntN(10) == 0 {
		members += fmt.Sprintf(`,"consumableResourcePropertiesOverride":{"consumableResourceList":[%s]}`, consumption[r.IntN(len(consumption))])
	}
	w.load.submitted += max(1, size)
	s := w.engine.Catalog().Section(home)
	q := s.Queue(queue)
	if q == nil {
		return // deleted meanwhile
	}
	var envs []*batch.ComputeEnvironment
	for _, o := range q.ComputeEnvironmentOrder {
		envs = append(envs, s.Environment(o.ComputeEnvironment))
	}
	spec, err := batch.ResolveJob(fmt.Appendf(nil, `{%s,"jobQueue":%q,"jobDefinition":%q}`, members, queue, definition), batch.Submission{
		Partition: home, Definition: s.Definition(definition, 0), Queue: q, Environments: envs,
	})
	if err != nil {
		if q.State == batch.Enabled {
			w.violate("submission {%s}: %v", members, err)
		}
		return
	}
	w.ask(engine.SubmitJob{Partition: home, Spec: spec, Facts: map[string]engine.DependencyFact{}})
}

var exitRules = []string{
	"", "",
	`,"evaluateOnExit":[{"onExitCode":"1","action":"EXIT"}]`,
	`,"evaluateOnExit":[{"onStatusReason":"Your Spot Task was interrupted*","action":"RETRY"},{"onReason":"*","action":"EXIT"}]`,
	`,"evaluateOnExit":[{"onReason":"CannotPullContainerError:*","action":"retry"},{"onStatusReason":"Host EC2*","action":"Retry"},{"onExitCode":"*","action":"exit"}]`,
	`,"evaluateOnExit":[{"onReason":"OutOfMemoryError:*","onExitCode":"137","action":"EXIT"},{"onExitCode":"1*","action":"RETRY"}]`,
}

var consumption = []string{
	`{"consumableResource":"token","quantity":1}`,
	`{"consumableResource":"token","quantity":3}`,
	`{"consumableResource":"fuel","quantity":2}`,
	`{"consumableResource":"fuel","quantity":1},{"consumableResource":"token","quantity":2}`,
}

// dependencies is a list of a few, of every form.
func (w *world) dependencies(size int) string {
	r := w.rng
	var deps []string
	if size > 0 && r.IntN(8) == 0 {
		deps = append(deps, `{"type":"SEQUENTIAL"}`)
	}
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(3) {
			if len(w.load.recent) == 0 {
				break
			}
			on := w.load.recent[r.IntN(len(w.load.recent))]
			spec := w.specOf(on)
			switch {
			case size > 0 && spec.ArraySize == size && r.IntN(4) > 0:
				deps = append(deps, fmt.Sprintf(`{"jobId":%q,"type":"N_TO_N"}`, on))
			case spec.ArraySize > 0 && r.IntN(2) == 0:
				deps = append(deps, fmt.Sprintf(`{"jobId":"%s:%d"}`, on, r.IntN(spec.ArraySize)))
			default:
				deps = append(deps, fmt.Sprintf(`{"jobId":%q}`, on))
			}
		}
	}
	return strings.Join(deps, ",")
}

// answered hears the engine's answer to a request. What it says was done must be on disk by then.
func (w *world) answered(ev engine.Event, a engine.Answer, failing bool) {
	submit, ok := ev.(engine.SubmitJob)
	var unknown *engine.UnknownDependencies
	switch {
	case errors.As(a.Err, &unknown):
		for _, dep := range unknown.IDs {
			id, _ := batch.ParseJobID(dep)
			fact, err := engine.LookUpDependency(context.Background(), w.disk, home, id)
			if err != nil {
				w.violate("looking up %s: %v", dep, err)
			}
			submit.Facts[dep] = fact
		}
		w.inbox = append(w.inbox, submit)
		return
	case a.Err != nil:
		var refusal *batch.Error
		if !errors.As(a.Err, &refusal) || refusal.Code == batch.Unavailable && !failing {
			w.violate("%T is answered with %v", ev, a.Err)
		}
		return
	case !ok:
		return
	}
	id, _ := a.Result.(string)
	if w.disk.ids[id] == 0 {
		w.violate("job %q was accepted and is not on disk", id)
		return
	}
	if w.load.recent = append(w.load.recent, id); len(w.load.recent) > 40 {
		w.load.recent = slices.Delete(w.load.recent, 0, 1)
	}
}

// specOf is the spec of a job that was submitted.
func (w *world) specOf(id string) *batch.Spec { return w.model.jobs[w.disk.ids[id]].spec }

// someone is a recent job, or a child or node of it.
func (w *world) someone() batch.JobID {
	id, _ := batch.ParseJobID(w.load.recent[w.rng.IntN(len(w.load.recent))])
	spec := w.specOf(id.Parent)
	switch {
	case spec.ArraySize > 0 && w.rng.IntN(2) == 0:
		id.Sep, id.Index = ':', w.rng.IntN(spec.ArraySize)
	case spec.NumNodes > 0 && w.rng.IntN(3) == 0:
		id.Sep, id.Index = '#', w.rng.IntN(spec.NumNodes)
	}
	return id
}

func (w *world) end(cancel bool) {
	if len(w.load.recent) == 0 {
		return
	}
	id := w.someone()
	if id.Sep == '#' {
		w.model.asked[id.Parent] = true // a node stands for its job
	}
	w.model.asked[id.String()] = true
	if cancel {
		w.ask(engine.CancelJob{Partition: home, ID: id, Reason: "cancelled"})
	} else {
		w.ask(engine.TerminateJob{Partition: home, ID: id, Reason: "terminated"})
	}
}

func (w *world) changeResources() {
	r := w.rng
	env := []string{"spot", "demand", "ec2", "ec2spot"}[r.IntN(4)]
	switch r.IntN(8) {
	case 6:
		w.updateQueue("low", fmt.Sprintf(`"computeEnvironmentOrder":[%s]`, []string{order("spot", "demand"), order("demand", "spot"), order("demand")}[r.IntN(3)]))
	case 7:
		if !w.model.unsettled && len(w.inbox) == 0 { // alone, so that the model knows which of the two of a name it was that work held
			w.replaceResource([]string{"token", "fuel"}[r.IntN(2)])
		}
	case 0, 1:
		w.updateEnvironment(env, fmt.Sprintf(`"computeResources":{"maxvCpus":%d}`, 1+r.IntN(6)))
	case 2:
		w.updateEnvironment(env, fmt.Sprintf(`"state":%q`, []string{"ENABLED", "DISABLED"}[r.IntN(2)]))
	case 3:
		w.updateQueue([]string{"low", "high", "fair"}[r.IntN(3)], fmt.Sprintf(`"priority":%d`, r.IntN(10)))
	case 4:
		w.ask(engine.UpdateSchedulingPolicy{Partition: home, Name: "policy", Raw: fmt.Appendf(nil,
			`{"fairsharePolicy":{"shareDecaySeconds":%d,"computeReservation":%d,"shareDistribution":[{"shareIdentifier":"C*","weightFactor":%d}]}}`,
			r.IntN(1000), []int{0, 0, 40}[r.IntN(3)], 1+r.IntN(5))})
	default:
		name, total := "token", 1+r.IntN(5)
		if r.IntN(2) == 0 {
			name, total = "fuel", r.IntN(100)
		}
		w.ask(engine.UpdateConsumableResource{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"consumableResource":%q,"operation":"SET","quantity":%d}`, name, total)})
	}
}

func (w *world) updateEnvironment(name, members string) {
	w.ask(engine.UpdateComputeEnvironment{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"computeEnvironment":%q,%s}`, name, members)})
}

func (w *world) updateQueue(name, members string) {
	w.ask(engine.UpdateJobQueue{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"jobQueue":%q,%s}`, name, members)})
}

// replaceResource deletes a consumable resource, or makes it again: another one of the same name.
func (w *world) replaceResource(name string) {
	if w.model.consumables[name] != nil {
		w.group([]engine.Event{engine.DeleteConsumableResource{Partition: home, Name: name}})
		return
	}
	w.group([]engine.Event{w.resource(name, 5)})
}

func (w *world) resource(name string, total int) engine.Event {
	kind := batch.Replenishable
	if name == "fuel" {
		kind = batch.NonReplenishable
	}
	return engine.CreateConsumableResource{Partition: home, Raw: fmt.Appendf(nil, `{"consumableResourceName":%q,"totalQuantity":%d,"resourceType":%q}`, name, total, kind)}
}

// temporary is the temporary queue there is, if there is one.
func (w *world) temporary() string {
	name := fmt.Sprintf("temporary-%d", w.load.queues)
	if w.engine.Catalog().Section(home).Queue(name) == nil {
		return ""
	}
	return name
}

// temporaryQueue makes a queue with an environment of its own, or deletes the one there is with all that is in it. The
// environment can be deleted when the queue is gone.
func (w *world) temporaryQueue() {
	if name := w.temporary(); name != "" {
		w.model.gone[name] = true
		w.updateQueue(name, `"state":"DISABLED"`)
		w.ask(engine.DeleteJobQueue{Partition: home, Name: name})
		return
	}
	if old := fmt.Sprintf("temporary-%d", w.load.queues); w.model.envs[old] != nil {
		w.updateEnvironment(old, `"state":"DISABLED"`)
		w.ask(engine.DeleteComputeEnvironment{Partition: home, Name: old}) // refused while the queue is DELETING
	}
	w.load.queues++
	name := fmt.Sprintf("temporary-%d", w.load.queues)
	environment := `{"computeEnvironmentName":%q,"type":"MANAGED","computeResources":{"type":"FARGATE","maxvCpus":2,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	if w.load.queues%2 == 1 {
		environment = `{"computeEnvironmentName":%q,"type":"UNMANAGED","serviceRole":"own","unmanagedvCpus":3}`
	}
	w.ask(engine.CreateComputeEnvironment{Partition: home, Raw: fmt.Appendf(nil, environment, name)})
	w.ask(engine.CreateJobQueue{Partition: home, Raw: fmt.Appendf(nil, `{"jobQueueName":%q,"priority":2,"computeEnvironmentOrder":[%s]}`, name, order(name))})
}

// comeToAnEnd makes room for everything that waits still.
func (w *world) comeToAnEnd() {
	w.load.done = true
	for _, env := range []string{"spot", "demand", "ec2", "ec2spot"} {
		w.updateEnvironment(env, `"state":"ENABLED","computeResources":{"maxvCpus":8}`)
	}
	w.updateQueue("low", fmt.Sprintf(`"computeEnvironmentOrder":[%s]`, order("spot", "demand")))
	for _, name := range []string{"token", "fuel"} {
		w.ask(w.resource(name, 1)) // if it is not there
		w.ask(engine.UpdateConsumableResource{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"consumableResource":%q,"operation":"SET","quantity":1000000}`, name)})
	}
}
