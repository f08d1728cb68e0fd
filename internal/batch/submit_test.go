package batch

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

const plainJob = `{"jobName":"j","jobQueue":"q","jobDefinition":"jd"}`

// submission is a definition registered from base with changes, on a queue whose environments fit it.
func submission(t *testing.T, base string, changes ...string) Submission {
	t.Helper()
	jd, err := NewJobDefinition(edit(base, changes...))
	if err != nil {
		t.Fatal(err)
	}
	jd.Revision = 3
	env := newEnv(t, ec2Env)
	if strings.Contains(string(jd.Document), `"platformCapabilities":["FARGATE"]`) {
		env = newEnv(t, fargateEnv)
	}
	return Submission{Partition: here, Definition: &jd, Queue: &JobQueue{Name: "q"}, Environments: []*ComputeEnvironment{&env}}
}

func resolve(t *testing.T, s Submission, changes ...string) *Spec {
	t.Helper()
	spec, err := ResolveJob(edit(plainJob, changes...), s)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func fairShare(s Submission) Submission {
	q := *s.Queue
	q.SchedulingPolicy = "p"
	s.Queue = &q
	return s
}

// TestSubmitTexts produces every refusal of the reference, sections 3.3, 3.4, 4 and 8, that needs no look-up.
func TestSubmitTexts(t *testing.T) {
	t.Parallel()
	fargate, ec2, ecs, nodes := submission(t, fargateDef), submission(t, ec2Def), submission(t, ecsDef), submission(t, nodesDef)
	placeholders := submission(t, fargateDef, `containerProperties.command=["echo","Ref::who"]`)
	legacy := submission(t, ec2Def, `-containerProperties.resourceRequirements`, `containerProperties.vcpus=1`, `containerProperties.memory=64`)
	fixed := submission(t, nodesDef, `nodeProperties.nodeRangeProperties.0.targetNodes="0:3"`)
	crossed := fargate
	crossed.Environments = ec2.Environments
	crossedBack := ec2
	crossedBack.Environments = fargate.Environments
	spot := nodes
	spotEnv := newEnv(t, ec2Env, `computeResources.type="SPOT"`)
	spot.Environments = []*ComputeEnvironment{&spotEnv}

	const name = "Job name should match valid pattern"
	deps := func(n int) string {
		return `dependsOn=[` + strings.TrimSuffix(strings.Repeat(`{"jobId":"a"},`, n), ",") + `]`
	}
	tags := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":"v",`, i)
		}
		return `tags={` + strings.TrimSuffix(b.String(), ",") + `}`
	}
	const fifo = "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy."
	const tooMany = "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"
	for _, c := range []struct {
		s      Submission
		change string
		code   Code
		text   string
	}{
		{fargate, `jobName=""`, Invalid, name}, {fargate, `jobName="a b"`, Invalid, name}, {fargate, `jobName="` + strings.Repeat("j", 129) + `"`, Invalid, name},
		{crossed, `jobName="j"`, Refused, "Job Queue is attached to Compute Environment that can not run Jobs with capability FARGATE."},
		{crossedBack, `jobName="j"`, Refused, "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2."},
		{spot, `jobName="j"`, Refused, "Job Queue is attached to Compute Environment that can not run multi-node parallel jobs."},
		{fargate, deps(21), Invalid, "Job cannot have more than 20 dependencies"},
		{fargate, `arrayProperties.size=1`, Invalid, "Array size must be between 2 and 10000, got 1."},
		{fargate, `arrayProperties.size=0`, Invalid, "Array size must be between 2 and 10000, got 0."},
		{fargate, `arrayProperties.size=10001`, Invalid, "Array size must be between 2 and 10000, got 10001."},
		{nodes, `arrayProperties.size=2`, Invalid, "arrayProperties is not applicable for multi-node parallel jobs."},
		{fargate, `shareIdentifier="a"`, Refused, fifo},
		{fargate, `schedulingPriorityOverride=1`, Refused, fifo},
		{fairShare(fargate), `jobName="j"`, Refused, "shareIdentifier must be specified."},
		{fairShare(fargate), `shareIdentifier="a b"`, Invalid, "ShareIdentifier name should match a valid pattern."},
		{fairShare(fargate), `shareIdentifier="` + strings.Repeat("a", 256) + `"`, Invalid, "ShareIdentifier name should match a valid pattern."},
		{fairShare(fargate), `{"shareIdentifier":"s","schedulingPriorityOverride":10000}`, Invalid, "Scheduling priority must be between 0 and 9999."},
		{fargate, `retryStrategy={"attempts":11}`, Invalid, "Retry attempts must be between 1 and 10."},
		{fargate, `retryStrategy={}`, Invalid, "RetryAttempts must be provided with retry strategy."},
		{fargate, `timeout.attemptDurationSeconds=59`, Invalid, "Timeout attemptDurationSeconds must be at least 60."},
		{fargate, `padding="` + strings.Repeat("x", 30<<10) + `"`, Invalid, "Job size must be less than 30 KiB, got 31 KiB"},
		{placeholders, `jobName="j"`, Refused, "Unable to substitute value. No parameter found for reference who"},
		{placeholders, `containerOverrides.command=["Ref::other"]`, Refused, "Unable to substitute value. No parameter found for reference other"},
		{fargate, `dependsOn=[{}]`, Invalid, "Job dependency jobId is required."},
		{fargate, `dependsOn=[{"type":"SEQUENTIAL"}]`, Invalid, "Job dependency type SEQUENTIAL can only be used with array jobs."},
		{fargate, `dependsOn=[{"jobId":"a","type":"N_TO_N"}]`, Invalid, "Job dependency type N_TO_N can only be used with array jobs."},
		{fargate, `{"arrayProperties":{"size":2},"dependsOn":[{"type":"N_TO_N"}]}`, Invalid, "Job dependency jobId is required."},
		{fargate, `{"arrayProperties":{"size":2},"dependsOn":[{"jobId":"a","type":"SEQUENTIAL"}]}`, Invalid, "Job dependency type SEQUENTIAL must not have a jobId."},
		{fargate, `dependsOn=[{"jobId":"a","type":"LATER"}]`, Invalid, "Job dependency type LATER is not valid. Valid values are: [N_TO_N, SEQUENTIAL]"},
		{fargate, tags(51), Invalid, tooMany},
		{fargate, `tags={"aws:x":"y"}`, Invalid, "aws: prefixed tag key names are not allowed for external use."},

		{fargate, `nodeOverrides.numNodes=2`, Invalid, "nodeOverrides can only be used with a job definition that has nodeProperties."},
		{fargate, `ecsPropertiesOverride.taskProperties=[{}]`, Invalid, "ecsPropertiesOverride can only be used with a job definition that has ecsProperties."},
		{ecs, `containerOverrides.command=["a"]`, Invalid, "containerOverrides can only be used with a job definition that has containerProperties."},
		{nodes, `containerOverrides.command=["a"]`, Invalid, "containerOverrides can only be used with a job definition that has containerProperties."},
		{fargate, `eksPropertiesOverride.podProperties={"containers":[]}`, Invalid, "eksPropertiesOverride can only be used with a job definition that has eksProperties."},

		{fargate, `containerOverrides.command=["a",""]`, Invalid, "Container overrides command must not contain an empty string."},
		{fargate, `containerOverrides.environment=[{"name":"AWS_BATCH_X","value":"1"}]`, Invalid, "Environment variables cannot start with AWS_BATCH: AWS_BATCH_X"},
		{fargate, `containerOverrides.environment=[{"value":"1"}]`, Invalid, "Environment variable name is required."},
		{fargate, `containerOverrides.resourceRequirements=[{"type":"MEMORY","value":"4096"}]`, Invalid, "Fargate resource requirements (0.25 vCPU, 4096 MiB) not valid."},
		{fargate, `containerOverrides.resourceRequirements=[{"type":"VCPU","value":"1"},{"type":"VCPU","value":"1"}]`, Invalid, "Cannot provide duplicates in resourceRequirements."},
		{fargate, `containerOverrides.resourceRequirements=[{"type":"GPU","value":"1"}]`, Invalid, "GPU is not applicable for Fargate."},
		{fargate, `containerOverrides.vcpus=1`, Invalid, "vcpus is not applicable for Fargate."},
		{fargate, `containerOverrides.memory=1`, Invalid, "memory is not applicable for Fargate."},
		{legacy, `containerOverrides.memory=3`, Invalid, "Memory must be at least 4 Mib, got 3 Mib."},
		{ec2, `containerOverrides.resourceRequirements=[{"type":"VCPU","value":"0.5"}]`, Invalid, "vCPU must be at least 1, got 0.5."},
		{ecs, `ecsPropertiesOverride.taskProperties=[{"containers":[{"name":"other"}]}]`, Invalid, "containerName other must reference a defined container."},
		{ecs, `ecsPropertiesOverride.taskProperties=[{"containers":[{"name":"side","command":[""]}]}]`, Invalid, "Container overrides command must not contain an empty string."},
		{ecs, `ecsPropertiesOverride.taskProperties=[{"containers":[{"name":"side","resourceRequirements":[{"type":"MEMORY","value":"512"}]}]}]`, Invalid, "Fargate resource requirements (1.00 vCPU, 1536 MiB) not valid."},

		{nodes, `nodeOverrides.numNodes=0`, Invalid, "Number of nodes must be between 1 and 1000."},
		{nodes, `nodeOverrides.numNodes=1001`, Invalid, "Number of nodes must be between 1 and 1000."},
		{fixed, `nodeOverrides.numNodes=2`, Refused, "Number of nodes can only be overridden if the job definition has a node range with an open end."},
		{submission(t, nodesDef, `nodeProperties.mainNode=2`), `nodeOverrides.numNodes=2`, Invalid, "Main node index is out of range, must be less than numNodes."},
		{submission(t, nodesDef, `nodeProperties.nodeRangeProperties.1.targetNodes="2:"`), `nodeOverrides.numNodes=2`, Invalid, "Node range 2: is out of range, must be less than numNodes."},
		{nodes, `nodeOverrides.nodePropertyOverrides=[{"targetNodes":"1:2"},{"targetNodes":"0:"},{"targetNodes":"3"}]`, Refused,
			"NodeOverride targets should match job definition. Non matching targets - 1:2, 3"},
		{nodes, `nodeOverrides.nodePropertyOverrides=[{"targetNodes":"x"}]`, Invalid, "targetNodes should contain only digits."},
		{nodes, `nodeOverrides.nodePropertyOverrides=[{"targetNodes":"0:","ecsPropertiesOverride":{"taskProperties":[]}}]`, Invalid, "Overrides of node range 0: do not match the kind of its properties."},
		{nodes, `jobName="j"`, Refused, "Unable to substitute value. No parameter found for reference n"},
		{fargate, `consumableResourcePropertiesOverride.consumableResourceList=[{"consumableResource":"arn:aws:batch:eu-west-1:1:consumable-resource/c","quantity":1}]`, Refused,
			"ConsumableResource arn:aws:batch:eu-west-1:1:consumable-resource/c not found."},
	} {
		t.Run(c.text+" "+c.change[:min(len(c.change), 60)], func(t *testing.T) {
			t.Parallel()
			var raw []byte
			if members, several := strings.CutPrefix(c.change, "{"); several {
				raw = []byte(strings.TrimSuffix(plainJob, "}") + "," + members)
			} else {
				raw = edit(plainJob, c.change)
			}
			spec, err := ResolveJob(raw, c.s)
			wantRefusal(t, err, c.code, c.text)
			if spec != nil {
				t.Error("a refused job has a spec")
			}
		})
	}
	_, err := ResolveJob(edit(plainJob, `nodeOverrides.nodePropertyOverrides=[{"targetNodes":"0:","eksPropertiesOverride":{}}]`), nodes)
	wantRefusal(t, err, Unsupported, "batchbox does not run jobs on Amazon EKS: eksProperties is not supported")
}

func TestResolveSingle(t *testing.T) {
	t.Parallel()
	s := submission(t, fargateDef,
		`containerProperties.command=["echo","Ref::greeting","Ref::who","Ref::"]`, `parameters={"greeting":"hi","who":"nobody"}`,
		`containerProperties.environment=[{"name":"A","value":"1"},{"name":"B","value":"2"}]`, `containerProperties.newer={"n":1.0}`,
		`retryStrategy={"attempts":4}`, `timeout.attemptDurationSeconds=100`, `tags={"t":"def"}`, `schedulingPriority=7`)
	spec := resolve(t, s, `parameters={"who":"you","extra":"x"}`, `tags={"t":"job"}`,
		`containerOverrides.environment=[{"name":"B","value":"two"},{"name":"C","value":"3"}]`,
		`containerOverrides.resourceRequirements=[{"type":"MEMORY","value":"2048"}]`)
	sameJSON(t, spec.Container, `{"image":"busybox","executionRoleArn":"arn:aws:iam::111122223333:role/exec","command":["echo","hi","you","Ref::"],
		"environment":[{"name":"A","value":"1"},{"name":"B","value":"two"},{"name":"C","value":"3"}],"newer":{"n":1.0},
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"2048"}],
		"fargatePlatformConfiguration":{"platformVersion":"LATEST"},"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[]}`)
	sameMap(t, spec.Parameters, map[string]string{"greeting": "hi", "who": "you", "extra": "x"})
	got := *spec
	got.Container, got.Parameters = nil, nil
	want := Spec{
		JobName: "j", Queue: "q", Definition: "jd:3", Platform: Fargate, PlatformDeclared: true, Retry: &RetryStrategy{Attempts: 4}, Timeout: 100,
		Priority: 7, PriorityDeclared: true, Tags: map[string]string{"t": "job"}, Demand: []Demand{{MilliCPU: 250, MemoryMiB: 2048}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	if got := resolve(t, s, `dependsOn=[`+strings.Repeat(`{"jobId":"a"},`, 19)+`{"jobId":"b"}]`).DependsOn; len(got) != 20 {
		t.Errorf("%d dependencies", len(got))
	}
	spec = resolve(t, s, `retryStrategy={"attempts":2,"evaluateOnExit":[{"onExitCode":"1","action":"exit"}]}`, `timeout.attemptDurationSeconds=60`,
		`containerOverrides.command=["true"]`, `arrayProperties.size=10000`, `propagateTags=true`,
		`dependsOn=[{"jobId":"x"},{"type":"SEQUENTIAL"},{"jobId":"y","type":"N_TO_N"}]`)
	if spec.Attempts() != 2 || spec.Retry.EvaluateOnExit[0].Action != "exit" || spec.Timeout != 60 || spec.ArraySize != 10000 || !spec.PropagateTags {
		t.Errorf("%+v", spec)
	}
	sameMap(t, spec.DefinitionTags, map[string]string{"t": "def"})
	if want := []Dependency{{JobID: "x"}, {Type: Sequential}, {JobID: "y", Type: NToN}}; !slices.Equal(spec.DependsOn, want) {
		t.Errorf("%+v", spec.DependsOn)
	}
	if c := member(spec.Container, "command"); c != `["true"]` {
		t.Error(c)
	}
}

// TestResolveMerging is the table of the reference, section 3.4, where TestResolveSingle does not show it.
func TestResolveMerging(t *testing.T) {
	t.Parallel()
	legacy := submission(t, ec2Def, `-containerProperties.resourceRequirements`, `containerProperties.vcpus=1`, `containerProperties.memory=64`)
	modern := submission(t, ec2Def)
	for _, c := range []struct {
		name   string
		s      Submission
		change string
		want   Demand
	}{
		{"legacy members override legacy members", legacy, `containerOverrides={"vcpus":4,"memory":256}`, Demand{MilliCPU: 4000, MemoryMiB: 256}},
		{"legacy members leave requirements alone", modern, `containerOverrides={"vcpus":4,"memory":256}`, Demand{MilliCPU: 2000, MemoryMiB: 512}},
		{"requirements override legacy members", legacy, `containerOverrides.resourceRequirements=[{"type":"VCPU","value":"8"}]`, Demand{MilliCPU: 8000, MemoryMiB: 64}},
		{"a new type is added", modern, `containerOverrides.resourceRequirements=[{"type":"GPU","value":"2"}]`, Demand{MilliCPU: 2000, MemoryMiB: 512, GPU: 2}},
		{"empty overrides", modern, `containerOverrides={"command":[],"environment":[],"resourceRequirements":[]}`, Demand{MilliCPU: 2000, MemoryMiB: 512}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spec := resolve(t, c.s, c.change)
			if spec.Demand[0] != c.want {
				t.Errorf("%+v", spec.Demand)
			}
			v, err := spec.Task(0)
			if err != nil || v.Containers[0].MilliCPU != c.want.MilliCPU || v.Containers[0].MemoryMiB != c.want.MemoryMiB || v.Containers[0].GPU != c.want.GPU {
				t.Errorf("%+v %v", v, err)
			}
		})
	}

	t.Run("propagateTags of the definition, and of the request", func(t *testing.T) {
		t.Parallel()
		s := submission(t, ec2Def, `propagateTags=true`)
		if !resolve(t, s).PropagateTags || resolve(t, s, `propagateTags=false`).PropagateTags {
			t.Error("the request's propagateTags does not win")
		}
	})
	t.Run("priority", func(t *testing.T) {
		t.Parallel()
		s := fairShare(submission(t, ec2Def, `schedulingPriority=5`))
		if spec := resolve(t, s, `shareIdentifier="a"`, `schedulingPriorityOverride=0`); spec.Priority != 0 || !spec.PriorityDeclared || spec.Share != "a" {
			t.Errorf("%+v", spec)
		}
		if spec := resolve(t, fairShare(submission(t, ec2Def)), `shareIdentifier="a"`); spec.Priority != 0 || spec.PriorityDeclared {
			t.Errorf("%+v", spec)
		}
	})
	t.Run("empty members override nothing", func(t *testing.T) {
		t.Parallel()
		s := submission(t, ec2Def, `containerProperties.command=["c"]`, `timeout.attemptDurationSeconds=90`, `containerProperties.environment=[{"name":"A","value":"1"}]`)
		spec := resolve(t, s, `containerOverrides={"command":[],"environment":[],"resourceRequirements":[]}`, `timeout={}`, `arrayProperties={}`, `nodeOverrides={}`)
		if member(spec.Container, "command") != `["c"]` || member(spec.Container, "environment") != `[{"name":"A","value":"1"}]` || spec.Timeout != 90 || spec.ArraySize != 0 {
			t.Errorf("%+v %s", spec, spec.Container)
		}
	})
	t.Run("the definition is not changed", func(t *testing.T) {
		t.Parallel()
		s := submission(t, ec2Def)
		before := string(s.Definition.Document)
		resolve(t, s, `containerOverrides={"command":["x"],"environment":[{"name":"A","value":"1"}]}`)
		if string(s.Definition.Document) != before {
			t.Error(string(s.Definition.Document))
		}
	})
	t.Run("consumable resources", func(t *testing.T) {
		t.Parallel()
		s := submission(t, ec2Def, `consumableResourceProperties.consumableResourceList=[{"consumableResource":"lic","quantity":2}]`)
		if got := resolve(t, s).Consumables; !slices.Equal(got, []ConsumableRequirement{{"lic", 2}}) {
			t.Errorf("%+v", got)
		}
		got := resolve(t, s, `consumableResourcePropertiesOverride.consumableResourceList=[{"consumableResource":"arn:aws:batch:us-east-1:111122223333:consumable-resource/gpu","quantity":1}]`).Consumables
		if !slices.Equal(got, []ConsumableRequirement{{"gpu", 1}}) {
			t.Errorf("%+v", got)
		}
		if got := resolve(t, s, `consumableResourcePropertiesOverride={}`).Consumables; got != nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestResolveECS(t *testing.T) {
	t.Parallel()
	s := submission(t, ecsDef, taskPath+`containers.0.command=["Ref::x"]`, `parameters={"x":"y"}`, taskPath+`containers.1.environment=[{"name":"A","value":"1"}]`)
	spec := resolve(t, s, `ecsPropertiesOverride.taskProperties=[{"containers":[{"name":"side","command":["s","Ref::x"],"environment":[{"name":"A","value":"2"}],
		"resourceRequirements":[{"type":"MEMORY","value":"2048"}]}]}]`)
	sameJSON(t, spec.ECS, `{"taskProperties":[{"executionRoleArn":"arn:aws:iam::111122223333:role/exec","containers":[
		{"name":"main","image":"busybox","command":["y"],"resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"1024"}]},
		{"name":"side","image":"busybox","essential":false,"command":["s","y"],"environment":[{"name":"A","value":"2"}],
		 "resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"2048"}]}]}]}`)
	if !slices.Equal(spec.Demand, []Demand{{MilliCPU: 1000, MemoryMiB: 3072}}) || spec.Container != nil || spec.Nodes != nil {
		t.Errorf("%+v", spec)
	}
}

func TestResolveNodes(t *testing.T) {
	t.Parallel()
	s := submission(t, nodesDef, `parameters={"n":"1"}`, `nodeProperties.nodeRangeProperties.0.consumableResourceProperties.consumableResourceList=[{"consumableResource":"lic","quantity":2}]`,
		`consumableResourceProperties.consumableResourceList=[{"consumableResource":"lic","quantity":5}]`)
	spec := resolve(t, s)
	worker, main := Demand{MilliCPU: 1000, MemoryMiB: 64}, Demand{MilliCPU: 2000, MemoryMiB: 128}
	if spec.NumNodes != 4 || spec.MainNode != 0 || !slices.Equal(spec.Demand, []Demand{main, worker, worker, worker}) {
		t.Errorf("%+v", spec)
	}
	if !slices.Equal(spec.Consumables, []ConsumableRequirement{{"lic", 5 + 3*2}}) {
		t.Errorf("%+v", spec.Consumables)
	}

	spec = resolve(t, s, `nodeOverrides={"numNodes":6,"nodePropertyOverrides":[{"targetNodes":"0:","containerOverrides":{"command":["new","Ref::n"],"instanceType":"p3.2xlarge"}},
		{"targetNodes":"0:0","containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"3"}]}}]}`)
	if spec.NumNodes != 6 || len(spec.Demand) != 6 || spec.Demand[0].MilliCPU != 3000 || spec.Demand[5] != worker {
		t.Errorf("%+v", spec)
	}
	first, err := spec.Task(0)
	if err != nil || first.Containers[0].Image != "main" || first.Containers[0].MilliCPU != 3000 || first.Containers[0].Command != nil {
		t.Errorf("%+v %v", first, err)
	}
	last, err := spec.Task(5)
	if err != nil || last.Containers[0].Image != "worker" || !slices.Equal(last.Containers[0].Command, []string{"new", "1"}) {
		t.Errorf("%+v %v", last, err)
	}
	if got := member(spec.Nodes, "numNodes"); got != "6" {
		t.Error(got)
	}
	for _, node := range []int{-1, 6} {
		if _, err := spec.Task(node); err == nil {
			t.Errorf("node %d of 6 has a task", node)
		}
	}
}

// TestResolveNodesOfTasks has node ranges with ecsProperties.
func TestResolveNodesOfTasks(t *testing.T) {
	t.Parallel()
	s := submission(t, `{"jobDefinitionName":"jd","type":"multinode","nodeProperties":{"numNodes":2,"mainNode":1,"nodeRangeProperties":[{"targetNodes":"0:","instanceTypes":["m5"],
		"consumableResourceProperties":{"consumableResourceList":[{"consumableResource":"a","quantity":1}]},
		"ecsProperties":{"taskProperties":[{"containers":[{"name":"c","image":"i","command":["Ref::x"],"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}]}]}}]}}`)
	override := `{"targetNodes":"0:","instanceTypes":["c5"],"consumableResourcePropertiesOverride":{"consumableResourceList":[{"consumableResource":"b","quantity":3}]},
		"ecsPropertiesOverride":{"taskProperties":[{"containers":[{"name":"c","environment":[{"name":"A","value":"1"}],"resourceRequirements":[{"type":"MEMORY","value":"128"}]}]}]}}`
	spec := resolve(t, s, `parameters.x="y"`, `nodeOverrides.nodePropertyOverrides=[`+override+`]`)
	v, err := spec.Task(1)
	want := ContainerView{Name: "c", Image: "i", Command: []string{"y"}, Environment: []NameValue{{"A", "1"}}, MilliCPU: 1000, MemoryMiB: 128, Essential: true}
	if err != nil || !reflect.DeepEqual(v.Containers, []ContainerView{want}) {
		t.Errorf("%+v %v", v, err)
	}
	if spec.MainNode != 1 || !slices.Equal(spec.Consumables, []ConsumableRequirement{{"b", 6}}) || !strings.Contains(string(spec.Nodes), `"instanceTypes":["c5"]`) {
		t.Errorf("%+v %s", spec, spec.Nodes)
	}
	_, err = ResolveJob([]byte(plainJob), s)
	wantRefusal(t, err, Refused, "Unable to substitute value. No parameter found for reference x")
	_, err = ResolveJob(edit(plainJob, `parameters.x="y"`, `nodeOverrides.nodePropertyOverrides=[`+override+`]`,
		`nodeOverrides.nodePropertyOverrides.0.consumableResourcePropertiesOverride.consumableResourceList.0.consumableResource="arn:x"`), s)
	wantRefusal(t, err, Refused, "ConsumableResource arn:x not found.")
	_, err = ResolveJob(edit(plainJob, `nodeOverrides.nodePropertyOverrides=[{"targetNodes":"0:","containerOverrides":{}}]`), s)
	wantRefusal(t, err, Invalid, "Overrides of node range 0: do not match the kind of its properties.")
}

// TestFailAtDispatch is the reference, sections 3.2, 3.4 and 2.5: submissions that are accepted and fail later.
func TestFailAtDispatch(t *testing.T) {
	t.Parallel()
	s := submission(t, fargateDef)
	value := func(n int) string {
		return `containerOverrides.environment=[{"name":"INPUT","value":"` + strings.Repeat("é", n) + `"}]`
	}
	if spec := resolve(t, s, value(7500)); spec.FailAtDispatch != "" {
		t.Errorf("7,500 characters: %s", spec.FailAtDispatch)
	}
	if spec := resolve(t, s, value(8192)); spec.FailAtDispatch != "Container Overrides length must be at most 8192" {
		t.Errorf("8,192 characters: %q", spec.FailAtDispatch)
	}
	// What Batch adds counts: with the job's own text just below the limit, a longer queue name tips it.
	fits := taskOverride{containers: []any{strings.Repeat("x", maxOverrides-len(`{"containerOverrides":[""]}`))}}
	over := taskOverride{containers: []any{fits.containers[0].(string) + "x"}}
	if fits.tooLong() || !over.tooLong() {
		t.Error("the limit is not 8,192 characters")
	}
	n := sort.Search(8192, func(n int) bool { return resolve(t, s, value(n)).FailAtDispatch != "" }) - 1
	longer := s
	longer.Queue = &JobQueue{Name: "qq"}
	if resolve(t, longer, value(n)).FailAtDispatch == "" {
		t.Error("the variables Batch adds do not count")
	}
	// The definition's own environment is no override; its command is what ECS is asked to run.
	byDefinition := submission(t, fargateDef, `containerProperties.environment=[{"name":"INPUT","value":"`+strings.Repeat("x", 9000)+`"}]`)
	if spec := resolve(t, byDefinition); spec.FailAtDispatch != "" {
		t.Error(spec.FailAtDispatch)
	}
	byParameter := submission(t, fargateDef, `containerProperties.command=["Ref::a"]`)
	if spec := resolve(t, byParameter, `parameters.a="`+strings.Repeat("x", 9000)+`"`); spec.FailAtDispatch == "" {
		t.Error("a parameter of 9,000 characters fits")
	}

	var jobTags, defTags []string
	for i := range 26 {
		jobTags, defTags = append(jobTags, fmt.Sprintf(`tags.j%d="v"`, i)), append(defTags, fmt.Sprintf(`tags.d%d="v"`, i))
	}
	tagged := submission(t, ec2Def, defTags...)
	if spec := resolve(t, tagged, jobTags...); spec.FailAtDispatch != "" {
		t.Error("tags that are not propagated count")
	}
	if spec := resolve(t, tagged, append(jobTags, `propagateTags=true`)...); spec.FailAtDispatch != "Combined number of tags of the job and the job definition must be at most 50" {
		t.Errorf("%q", spec.FailAtDispatch)
	}
	if spec := resolve(t, tagged, append(slices.Clone(jobTags[:24]), `propagateTags=true`)...); spec.FailAtDispatch != "" {
		t.Error("50 tags are too many")
	}
	same := submission(t, ec2Def, jobTags...)
	if spec := resolve(t, same, append(jobTags, `propagateTags=true`)...); spec.FailAtDispatch != "" {
		t.Error("a tag of both job and definition counts twice")
	}
}

// TestSubmitSize is the boundary of the reference, section 3.3: a payload of 30 KiB is the largest.
func TestSubmitSize(t *testing.T) {
	t.Parallel()
	s := submission(t, fargateDef)
	pad := strings.Repeat("x", 30<<10-len(plainJob)-len(`,"p":""`))
	raw := []byte(strings.TrimSuffix(plainJob, "}") + `,"p":"` + pad + `"}`)
	if _, err := ResolveJob(raw, s); len(raw) != 30<<10 || err != nil {
		t.Errorf("%d bytes: %v", len(raw), err)
	}
	_, err := ResolveJob(append(raw, ' '), s)
	wantRefusal(t, err, Invalid, "Job size must be less than 30 KiB, got 31 KiB")
}

func TestSubstituteArgument(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a": "1", "b_c-d": "two words", "r": "Ref::a", "x.y": "dots", "empty": ""}
	for _, c := range []struct {
		arg           string
		within        bool
		want, missing string
	}{
		{"Ref::a", false, "1", ""}, {"Ref::b_c-d", false, "two words", ""}, {"Ref::x.y", false, "dots", ""}, {"Ref::r", false, "Ref::a", ""},
		{"Ref::empty", false, "", ""}, {"--x=Ref::a", false, "--x=Ref::a", ""}, {"Ref::", false, "Ref::", ""}, {"ref::a", false, "ref::a", ""}, {"", false, "", ""},
		{"Ref::zz", false, "", "zz"}, {"Ref::a/b", false, "", "a/b"},
		{"Ref::a", true, "1", ""}, {"--x=Ref::a", true, "--x=1", ""}, {"Ref::a/Ref::a", true, "1/1", ""}, {"Ref::x.y", true, "", "x"},
		{"Ref:: Ref::a", true, "Ref:: 1", ""}, {"a Ref::zz b", true, "", "zz"}, {"Ref::r", true, "Ref::a", ""},
	} {
		got, missing, ok := substituteArgument(c.arg, values, c.within)
		if ok != (c.missing == "") || ok && got != c.want || !ok && missing != c.missing {
			t.Errorf("%q within=%v: %q %q %v", c.arg, c.within, got, missing, ok)
		}
	}
	s := submission(t, fargateDef, `containerProperties.command=["sh","-c","echo Ref::a"]`)
	s.SubstituteWithin = true
	if got := member(resolve(t, s, `parameters.a="hi"`).Container, "command"); got != `["sh","-c","echo hi"]` {
		t.Error(got)
	}
}

func FuzzSubstitute(f *testing.F) {
	f.Add("Ref::a", "a", "1", true)
	f.Add("x Ref::a y Ref::b", "a", "Ref::b", true)
	f.Add("Ref::", "", "", false)
	f.Fuzz(func(t *testing.T, arg, name, value string, within bool) {
		got, missing, ok := substituteArgument(arg, map[string]string{name: value}, within)
		switch {
		case !strings.Contains(arg, placeholder):
			if !ok || got != arg {
				t.Fatalf("%q has no placeholder and became %q", arg, got)
			}
		case !ok:
			if missing == "" || missing == name || !strings.Contains(arg, placeholder+missing) {
				t.Fatalf("%q: missing %q", arg, missing)
			}
		case !within && got != arg && (arg != placeholder+name || got != value):
			t.Fatalf("%q became %q", arg, got)
		}
	})
}

func BenchmarkResolveJob(b *testing.B) {
	jd, err := NewJobDefinition([]byte(fargateDef))
	if err != nil {
		b.Fatal(err)
	}
	env, err := NewComputeEnvironment([]byte(fargateEnv), here, "u")
	if err != nil {
		b.Fatal(err)
	}
	s := Submission{Partition: here, Definition: &jd, Queue: &JobQueue{Name: "q"}, Environments: []*ComputeEnvironment{&env}}
	raw := edit(plainJob, `arrayProperties.size=10000`, `containerOverrides.environment=[{"name":"JOB_INPUT","value":"{\"message\":\"hello\"}"}]`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ResolveJob(raw, s); err != nil {
			b.Fatal(err)
		}
	}
}
