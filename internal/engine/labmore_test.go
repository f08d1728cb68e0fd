package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// environment makes a compute environment of a type: FARGATE, FARGATE_SPOT, EC2, SPOT or UNMANAGED.
func (l *lab) environment(name, kind string, vcpus int) {
	l.t.Helper()
	body := map[string]any{"computeEnvironmentName": name, "type": "MANAGED"}
	resources := map[string]any{"type": kind, "maxvCpus": vcpus, "subnets": []string{"subnet-1"}, "securityGroupIds": []string{"sg-1"}}
	switch kind {
	case "EC2", "SPOT":
		resources["minvCpus"], resources["instanceRole"], resources["instanceTypes"] = 0, "r", []string{"optimal"}
		resources["allocationStrategy"] = "BEST_FIT_PROGRESSIVE"
	case "UNMANAGED":
		body["type"], body["serviceRole"] = kind, "own"
		if vcpus > 0 {
			body["unmanagedvCpus"] = vcpus
		}
	}
	if kind != "UNMANAGED" {
		body["computeResources"] = resources
	}
	l.must(engine.CreateComputeEnvironment{Partition: home, Raw: raw(l, body)})
}

func raw(l *lab, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// queue makes a job queue; environments are separated by commas, members are further ones of the request.
func (l *lab) queue(name string, priority int, environments, members string) {
	l.t.Helper()
	if members != "" {
		members = "," + members
	}
	l.must(engine.CreateJobQueue{Partition: home, Raw: fmt.Appendf(nil, `{"jobQueueName":%q,"priority":%d,"computeEnvironmentOrder":%s%s}`,
		name, priority, order(l, environments), members)})
}

func order(l *lab, environments string) []byte {
	type entry struct {
		Order              int    `json:"order"`
		ComputeEnvironment string `json:"computeEnvironment"`
	}
	var list []entry
	for i, e := range strings.Split(environments, ",") {
		list = append(list, entry{i + 1, e})
	}
	return raw(l, list)
}

func (l *lab) updateEnvironment(name, members string) {
	l.t.Helper()
	l.must(engine.UpdateComputeEnvironment{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"computeEnvironment":%q,%s}`, name, members)})
}

func (l *lab) updateQueue(name, members string) {
	l.t.Helper()
	l.must(engine.UpdateJobQueue{Partition: home, Name: name, Raw: fmt.Appendf(nil, `{"jobQueue":%q,%s}`, name, members)})
}

// invalidate makes an environment INVALID, as deleting it under running jobs does.
func (l *lab) invalidate(name string) { l.core.InvalidateForTest(home, name) }

// policy makes a scheduling policy and returns the member that gives it to a queue.
func (l *lab) policy(name, fairshare string) string {
	l.t.Helper()
	l.must(engine.CreateSchedulingPolicy{Partition: home, Raw: fmt.Appendf(nil, `{"name":%q,"fairsharePolicy":{%s}}`, name, fairshare)})
	return fmt.Sprintf(`"schedulingPolicyArn":%q`, home.BatchARN(batch.KindSchedulingPolicy, name))
}

// defineEC2 registers a definition for EC2 of so many vCPUs.
func (l *lab) defineEC2(name string, vcpus int) {
	l.t.Helper()
	l.register(fmt.Sprintf(`{"jobDefinitionName":%q,"type":"container","containerProperties":{"image":"i","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"%d"},{"type":"MEMORY","value":"512"}]}}`, name, vcpus))
}

// defineNodes registers a multi-node definition with nodes of one vCPU.
func (l *lab) defineNodes(name string, nodes, mainNode int, members string) {
	l.t.Helper()
	if members != "" {
		members = "," + members
	}
	l.register(fmt.Sprintf(`{"jobDefinitionName":%q,"type":"multinode","nodeProperties":{"numNodes":%d,"mainNode":%d,
		"nodeRangeProperties":[{"targetNodes":"0:","container":{"image":"i","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}}]}%s}`, name, nodes, mainNode, members))
}

func (l *lab) register(document string) {
	l.t.Helper()
	jd, err := batch.NewJobDefinition([]byte(document))
	if err != nil {
		l.t.Fatal(err)
	}
	l.must(engine.RegisterJobDefinition{Partition: home, Definition: jd})
}

// id is the id of a job by the test's name for it, with the suffix of a child or node.
func (l *lab) id(name string) batch.JobID {
	l.t.Helper()
	base, rest := name, ""
	if i := strings.IndexAny(name, ":#"); i >= 0 {
		base, rest = name[:i], name[i:]
	}
	id, ok := batch.ParseJobID(l.idOf[base] + rest)
	if !ok {
		l.t.Fatalf("no job is called %s", name)
	}
	return id
}

// view is a job as readers see it now.
func (l *lab) view(name string) engine.JobView {
	l.t.Helper()
	id := l.id(name)
	if v, ok := l.core.ViewForTest(home, id); ok {
		return v
	}
	v, ok := l.last[id.String()]
	if !ok {
		l.t.Fatalf("job %s never changed its state", name)
	}
	return v
}

// states checks jobs' states and reasons: "a FAILED", "a FAILED the reason".
func (l *lab) states(want ...string) {
	l.t.Helper()
	for _, w := range want {
		name, rest, _ := strings.Cut(w, " ")
		status, reason, hasReason := strings.Cut(rest, " ")
		v := l.view(name)
		if v.Status.String() != status || hasReason && v.StatusReason != reason {
			l.t.Errorf("%s is %v %q, want %s", name, v.Status, v.StatusReason, rest)
		}
	}
}

func (l *lab) cancel(name, reason string) {
	l.t.Helper()
	l.must(engine.CancelJob{Partition: home, ID: l.id(name), Reason: reason})
}

func (l *lab) terminate(name, reason string) {
	l.t.Helper()
	l.must(engine.TerminateJob{Partition: home, ID: l.id(name), Reason: reason})
}

// stopped checks whose tasks were told to stop since the last call.
func (l *lab) stopped(want ...string) {
	l.t.Helper()
	var got []string
	for _, st := range l.stops {
		got = append(got, l.name(st.Key[:strings.LastIndexByte(st.Key, '/')]))
	}
	l.stops = nil
	if !slices.Equal(got, want) {
		l.t.Errorf("stopped: %v, want %v", got, want)
	}
}

// running checks whose tasks are under way, in the order in which they were started.
func (l *lab) running(want ...string) {
	l.t.Helper()
	if got := l.underWay(); !slices.Equal(got, want) {
		l.t.Errorf("under way: %v, want %v", got, want)
	}
}

// lose reports that nobody knows what became of a task.
func (l *lab) lose(name string) {
	l.t.Helper()
	l.end(name, runtime.Report{Lost: true, Containers: []runtime.ContainerReport{{Name: "default"}}})
}

// fail reports that a task could not be started.
func (l *lab) fail(name, text string) {
	l.t.Helper()
	l.end(name, runtime.Report{Containers: []runtime.ContainerReport{{Name: "default", StartError: text}}})
}

// restart makes the core anew from the store, as after a crash; what was under way goes on, what was not is started.
func (l *lab) restart() {
	l.t.Helper()
	before := l.core.Dump()
	core, resume, err := engine.Restore(context.Background(), l.store, l.ids, l.limits, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	l.core = core
	l.must(engine.Tick{})
	if after := l.core.Dump(); !slices.Equal(before, after) {
		l.t.Fatalf("state before the restart:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	var have, want []string
	for _, r := range resume {
		have = append(have, r.Key)
	}
	for _, st := range l.started {
		want = append(want, st.Key)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		l.t.Fatalf("to be resumed: %v, under way: %v", have, want)
	}
}
