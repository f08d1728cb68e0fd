package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Target is what a scenario runs on. Requests have AWS's own bodies and refusals its messages; jobs are named by their ids.
type Target interface {
	Call(ctx context.Context, operation string, body []byte) error
	Submit(ctx context.Context, body []byte) (id string, err error)
	// End is CancelJob or TerminateJob.
	End(ctx context.Context, id, reason string, terminate bool) error

	// Begin has the program of the job's container start, or waits until it has. Exit has it end.
	Begin(ctx context.Context, id string) error
	Exit(ctx context.Context, id string, code int) error

	// See returns nil when what a client sees is right. A target that has to wait for that waits, and returns the last error.
	See(ctx context.Context, right func(Sight) error) error
	// Image is the name of an image whose program does as it is told. Account is whose jobs these are.
	Image() string
	Account() string
}

// Sight is what can be seen of a target.
type Sight interface {
	Job(id string) (Job, error)
	// Running are the ids of the jobs, children and nodes whose containers have been started and have not ended, in any order;
	// others than the scenario's may be among them.
	Running() ([]string, error)
	// Stopped says whether the job's container has been told to stop.
	Stopped(id string) (bool, error)
}

// Job is a job as DescribeJobs shows it.
type Job struct {
	Status, Reason string
	Attempts       int
	Children       map[string]int // statusSummary, without zeros
}

// Powers that not every target has.
type (
	// Clock can let the time pass.
	Clock interface {
		Advance(ctx context.Context, d time.Duration) error
	}
	// Fates are those of containers that a program can't bring about.
	Fates interface {
		Fail(ctx context.Context, id, text string) error
		Lose(ctx context.Context, id string) error
	}
	// Spot can reclaim capacity.
	Spot interface {
		Interrupt(ctx context.Context, id string) error
	}
	// Restarter can kill the engine.
	Restarter interface {
		Restart(ctx context.Context) error
	}
)

// Able says whether a target has the powers that steps need; if not, the first step that it has not.
func Able(t Target, steps []Step) (lacks Step, ok bool) {
	for _, s := range steps {
		ok := true
		switch s.Verb {
		case "advance":
			_, ok = t.(Clock)
		case "fail", "lose":
			_, ok = t.(Fates)
		case "interrupt":
			_, ok = t.(Spot)
		case "restart":
			_, ok = t.(Restarter)
		case "expect": // a state between two that a program decides about is gone before it can be seen
			if _, handsOn := t.(Fates); s.Args[1] == "STARTING" {
				ok = handsOn
			}
		}
		if !ok {
			return s, false
		}
	}
	return Step{}, true
}

// run is a scenario under way.
type run struct {
	target  Target
	ids     map[string]string // by name
	names   map[string]string // by id
	refused string            // what the next request's refusal must say
}

// Run runs a scenario to its end, or to the first line that does not hold: then the error is an *Error.
func Run(ctx context.Context, file string, steps []Step, t Target) error {
	r := run{target: t, ids: map[string]string{}, names: map[string]string{}}
	for _, s := range steps {
		if err := r.step(ctx, s); err != nil {
			return &Error{file, s.Line, fmt.Errorf("%v: %w", s, err)}
		}
	}
	return nil
}

func (r *run) step(ctx context.Context, s Step) error {
	switch s.Verb {
	case "refused":
		r.refused = s.Rest
		return nil
	case "environment", "queue", "definition", "nodes", "call", "submit", "cancel", "terminate", "interrupt":
		return r.judge(r.request(ctx, s))
	case "running":
		return r.target.See(ctx, func(sight Sight) error { return r.running(sight, s.Args) })
	case "advance":
		d, _ := duration(s.Args[0])
		return r.target.(Clock).Advance(ctx, d)
	case "restart":
		return r.target.(Restarter).Restart(ctx)
	}
	id, err := r.id(s.Args[0])
	if err != nil {
		return err
	}
	switch s.Verb {
	case "begin":
		return r.target.Begin(ctx, id)
	case "exit":
		code, _ := strconv.Atoi(s.Args[1])
		if err := r.target.Begin(ctx, id); err != nil {
			return err
		}
		return r.target.Exit(ctx, id, code)
	case "fail":
		return r.target.(Fates).Fail(ctx, id, s.Rest)
	case "lose":
		return r.target.(Fates).Lose(ctx, id)
	default:
		return r.target.See(ctx, func(sight Sight) error { return look(sight, s, id) })
	}
}

// judge compares a request's answer with what was to be expected of it.
func (r *run) judge(err error) error {
	want := r.refused
	r.refused = ""
	switch {
	case want == "":
		return err
	case err == nil:
		return fmt.Errorf("it is done, and should be refused with %q", want)
	case !strings.Contains(err.Error(), want):
		return fmt.Errorf("it is refused with %q, and should be with %q", err.Error(), want)
	}
	return nil
}

func (r *run) request(ctx context.Context, s Step) error {
	switch s.Verb {
	case "cancel", "terminate", "interrupt":
		id, err := r.id(s.Args[0])
		if err != nil {
			return err
		}
		if s.Verb == "interrupt" {
			return r.target.(Spot).Interrupt(ctx, id)
		}
		return r.target.End(ctx, id, s.Rest, s.Verb == "terminate")
	}
	operation, body := r.body(s)
	if err := merge(body, r.replace(s.Rest)); err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if operation != "SubmitJob" {
		return r.target.Call(ctx, operation, raw)
	}
	id, err := r.target.Submit(ctx, raw)
	if err == nil {
		r.ids[s.Args[0]], r.names[id] = id, s.Args[0]
	}
	return err
}

type object = map[string]any

// body is the request of a step, without what its JSON adds.
func (r *run) body(s Step) (operation string, body object) {
	needs := func(vcpus string) []object {
		return []object{{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory(vcpus)}}
	}
	switch a := s.Args; s.Verb {
	case "environment":
		resources := object{"type": a[1], "maxvCpus": json.Number(a[2]), "subnets": []string{"subnet-1"}, "securityGroupIds": []string{"sg-1"}}
		if !strings.HasPrefix(a[1], "FARGATE") {
			resources["minvCpus"], resources["instanceRole"], resources["instanceTypes"] = 0, "ecsInstanceRole", []string{"optimal"}
			resources["allocationStrategy"] = "BEST_FIT_PROGRESSIVE"
		}
		return "CreateComputeEnvironment", object{"computeEnvironmentName": a[0], "type": "MANAGED", "computeResources": resources}
	case "queue":
		var order []object
		for i, e := range strings.Split(a[1], ",") {
			order = append(order, object{"order": i + 1, "computeEnvironment": e})
		}
		return "CreateJobQueue", object{"jobQueueName": a[0], "priority": 1, "computeEnvironmentOrder": order}
	case "definition":
		return "RegisterJobDefinition", object{
			"jobDefinitionName": a[0], "type": "container", "platformCapabilities": []string{"FARGATE"},
			"containerProperties": object{
				"image": r.target.Image(), "executionRoleArn": "arn:aws:iam::000000000000:role/x", "resourceRequirements": needs(a[1]),
			},
		}
	case "nodes":
		return "RegisterJobDefinition", object{
			"jobDefinitionName": a[0], "type": "multinode",
			"nodeProperties": object{
				"numNodes": json.Number(a[1]), "mainNode": json.Number(a[2]),
				"nodeRangeProperties": []object{{"targetNodes": "0:", "container": object{"image": r.target.Image(), "resourceRequirements": needs("1")}}},
			},
		}
	case "submit":
		return "SubmitJob", object{"jobName": a[0], "jobQueue": a[1], "jobDefinition": a[2]}
	default:
		return a[0], object{}
	}
}

// memory is the least that Fargate has with so many vCPUs, in MiB.
func memory(vcpus string) string {
	switch vcpus {
	case "0.25":
		return "512"
	case "0.5":
		return "1024"
	default:
		n, err := strconv.Atoi(vcpus)
		if err != nil {
			return "0" // a definition that Batch refuses
		}
		return strconv.Itoa(max(n, 1) * 2048)
	}
}

// merge adds the members of a JSON object.
func merge(body object, text string) error {
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var more object
	if err := d.Decode(&more); err != nil {
		return err
	}
	maps.Copy(body, more)
	return nil
}

// replace puts ids for $names, the longest first, and ARNs for policies.
func (r *run) replace(text string) string {
	text = strings.ReplaceAll(text, "$policy/", "arn:aws:batch:us-east-1:"+r.target.Account()+":scheduling-policy/")
	names := slices.SortedFunc(maps.Keys(r.ids), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, n := range names {
		text = strings.ReplaceAll(text, "$"+n, r.ids[n])
	}
	return text
}

// id is that of a job, child or node by the scenario's name for it.
func (r *run) id(name string) (string, error) {
	job, part := name, ""
	if i := strings.IndexAny(name, ":#"); i >= 0 {
		job, part = name[:i], name[i:]
	}
	id, ok := r.ids[job]
	if !ok {
		return "", fmt.Errorf("no job is called %s", job)
	}
	return id + part, nil
}

func (r *run) running(sight Sight, want []string) error {
	ids, err := sight.Running()
	if err != nil {
		return err
	}
	var have []string
	for _, id := range ids {
		job, part := id, ""
		if i := strings.IndexAny(id, ":#"); i >= 0 {
			job, part = id[:i], id[i:]
		}
		if n, ours := r.names[job]; ours {
			have = append(have, n+part)
		}
	}
	want = slices.Sorted(slices.Values(want))
	slices.Sort(have)
	if !slices.Equal(have, want) {
		return fmt.Errorf("running: %v", have)
	}
	return nil
}

// look compares one job with what a step says of it.
func look(sight Sight, s Step, id string) error {
	if s.Verb == "stopped" {
		stopped, err := sight.Stopped(id)
		if err == nil && !stopped {
			err = errors.New("it was not told to stop")
		}
		return err
	}
	job, err := sight.Job(id)
	if err != nil {
		return err
	}
	switch s.Verb {
	case "expect":
		if job.Status != s.Args[1] || s.Rest != "" && job.Reason != s.Rest {
			return fmt.Errorf("it is %s, %q", job.Status, job.Reason)
		}
	case "attempts":
		if fmt.Sprint(job.Attempts) != s.Args[1] {
			return fmt.Errorf("there are %d", job.Attempts)
		}
	case "children":
		want, _ := counts(s.Args[1:])
		if !maps.Equal(job.Children, want) {
			return fmt.Errorf("they are %v", job.Children)
		}
	}
	return nil
}
