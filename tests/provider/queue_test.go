package provider_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// readQueue is the provider's read of aws_batch_job_queue, whose id is its ARN; the data source names it.
func (p *provider) readQueue(id string) (attributes, types.JobQueueDetail, error) {
	p.Helper()
	out := must(p.batch.DescribeJobQueues(p.Context(), &batch.DescribeJobQueuesInput{JobQueues: []string{id}}))(p)
	if n := len(out.JobQueues); n > 1 {
		p.Fatalf("%d job queues are %s", n, id)
	} else if n == 0 || out.JobQueues[0].Status == types.JQStatusDeleted {
		return nil, types.JobQueueDetail{}, errGone
	}
	q := out.JobQueues[0]
	a := attributes{
		"arn": str(q.JobQueueArn), "name": str(q.JobQueueName), "priority": num(q.Priority), "state": string(q.State),
		"compute_environment_order.#": fmt.Sprint(len(q.ComputeEnvironmentOrder)), "job_state_time_limit_action.#": fmt.Sprint(len(q.JobStateTimeLimitActions)),
	}
	if q.SchedulingPolicyArn != nil { // an attribute of the framework: null and "" differ
		a["scheduling_policy_arn"] = *q.SchedulingPolicyArn
	}
	if q.JobStateTimeLimitActions != nil && len(q.JobStateTimeLimitActions) == 0 {
		p.Error("an empty list of jobStateTimeLimitActions differs from none")
	}
	for i, o := range q.ComputeEnvironmentOrder { // a list: its order counts
		a[fmt.Sprintf("compute_environment_order.%d.compute_environment", i)] = str(o.ComputeEnvironment)
		a[fmt.Sprintf("compute_environment_order.%d.order", i)] = num(o.Order)
	}
	for i, l := range q.JobStateTimeLimitActions {
		for name, value := range map[string]string{"action": string(l.Action), "max_time_seconds": num(l.MaxTimeSeconds), "reason": str(l.Reason), "state": string(l.State)} {
			a[fmt.Sprintf("job_state_time_limit_action.%d.%s", i, name)] = value
		}
	}
	a.mapping("tags_all", q.Tags)
	return a, q, nil
}

func (p *provider) waitQueue(arn string, pending ...types.JQStatus) {
	p.Helper()
	for range 100 {
		_, q, err := p.readQueue(arn)
		switch {
		case err != nil:
			p.Fatalf("wait for %s: %v", arn, err)
		case q.Status == types.JQStatusValid:
			return
		}
		failed := true
		for _, s := range pending {
			failed = failed && q.Status != s
		}
		if failed {
			p.Fatalf("job queue %s is %s (%s), which the provider takes for a failure", arn, q.Status, str(q.StatusReason))
		}
	}
	p.Fatalf("job queue %s stays %v", arn, pending)
}

func (p *provider) createQueue(in batch.CreateJobQueueInput) (arn string, got attributes) {
	p.Helper()
	if in.Priority == nil {
		in.Priority = aws.Int32(1)
	}
	if in.State == "" {
		in.State = types.JQStateEnabled
	}
	out := must(p.batch.CreateJobQueue(p.Context(), &in))(p)
	p.waitQueue(*out.JobQueueArn, types.JQStatusCreating, types.JQStatusUpdating)
	return *out.JobQueueArn, p.settledQueue(*out.JobQueueArn)
}

// updateQueue sends what changed; a scheduling policy that is there is sent with every update.
func (p *provider) updateQueue(arn string, in batch.UpdateJobQueueInput) attributes {
	p.Helper()
	in.JobQueue = aws.String(env)
	must(p.batch.UpdateJobQueue(p.Context(), &in))(p)
	p.waitQueue(arn, types.JQStatusUpdating)
	return p.settledQueue(arn)
}

func (p *provider) settledQueue(arn string) attributes {
	p.Helper()
	first, _, err := p.readQueue(arn)
	if err != nil {
		p.Fatal(err)
	}
	second, _, _ := p.readQueue(arn)
	p.same("read again", first, second)
	p.check("every queue", first, attributes{"arn": p.arn("batch", "job-queue/"+first["name"])})
	return first
}

func (p *provider) deleteQueue(arn string) {
	p.Helper()
	must(p.batch.UpdateJobQueue(p.Context(), &batch.UpdateJobQueueInput{JobQueue: &arn, State: types.JQStateDisabled}))(p)
	p.waitQueue(arn, types.JQStatusUpdating)
	must(p.batch.DeleteJobQueue(p.Context(), &batch.DeleteJobQueueInput{JobQueue: &arn}))(p)
	for range 100 {
		_, q, err := p.readQueue(arn)
		if err != nil {
			return
		}
		if q.Status != types.JQStatusDeleting {
			p.Fatalf("job queue %s is %s while it is deleted", arn, q.Status)
		}
	}
	p.Fatalf("job queue %s stays DELETING", arn)
}

// environments makes compute environments as the queue's acceptance tests have them.
func (p *provider) environments(names ...string) (arns []string) {
	p.Helper()
	s := p.stack()
	for _, name := range names {
		in := managed(s.serviceRole, types.ComputeResource{
			InstanceRole: &s.profile, InstanceTypes: []string{"c5", "m5", "r5"}, MaxvCpus: aws.Int32(1), SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: types.CRTypeEc2,
		})
		in.ComputeEnvironmentName = &name
		arns = append(arns, p.createEnvironment(in, nil)["arn"])
	}
	return arns
}

// ordered is a compute_environment_order.
func ordered(pairs ...any) (list []types.ComputeEnvironmentOrder) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.ComputeEnvironmentOrder{Order: aws.Int32(int32(pairs[i].(int))), ComputeEnvironment: aws.String(pairs[i+1].(string))})
	}
	return list
}

func (a attributes) inOrder(pairs ...any) attributes {
	a["compute_environment_order.#"] = fmt.Sprint(len(pairs) / 2)
	for i := 0; i < len(pairs); i += 2 {
		a[fmt.Sprintf("compute_environment_order.%d.order", i/2)] = fmt.Sprint(pairs[i])
		a[fmt.Sprintf("compute_environment_order.%d.compute_environment", i/2)] = fmt.Sprint(pairs[i+1])
	}
	return a
}

func TestJobQueue_basic_disappears_priority_state(t *testing.T) {
	p := configure(t)
	ce := p.environments(env)
	arn, got := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(1, ce[0]), State: types.JQStateDisabled})
	p.check("create", got, attributes{"name": env, "priority": "1", "state": "DISABLED", "job_state_time_limit_action.#": "0", "tags_all.%": "0"}.inOrder(1, ce[0]))
	if policy, ok := got["scheduling_policy_arn"]; ok {
		t.Errorf("a queue without a scheduling policy has %q", policy)
	}
	p.check("priority", p.updateQueue(arn, batch.UpdateJobQueueInput{Priority: aws.Int32(2)}), attributes{"priority": "2", "state": "DISABLED"}.inOrder(1, ce[0]))
	p.check("state", p.updateQueue(arn, batch.UpdateJobQueueInput{State: types.JQStateEnabled}), attributes{"priority": "2", "state": "ENABLED"})
	p.deleteQueue(arn)
	_, err := p.batch.UpdateJobQueue(p.Context(), &batch.UpdateJobQueueInput{JobQueue: &arn, State: types.JQStateDisabled})
	p.refused("disable what is gone", err, "ClientException", "does not exist")
	p.deleteEnvironment(env)
}

// TestJobQueue_ComputeEnvironments_multiple_ComputeEnvironmentOrder_multiple: the list is compared entry by entry, so it has
// to come back as it was sent.
func TestJobQueue_ComputeEnvironments_multiple_ComputeEnvironmentOrder_multiple(t *testing.T) {
	p := configure(t)
	ce := p.environments(env, env+"-1", env+"-2")
	arn, got := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(1, ce[0], 2, ce[1], 3, ce[2])})
	p.check("create", got, attributes{}.inOrder(1, ce[0], 2, ce[1], 3, ce[2]))
	got = p.updateQueue(arn, batch.UpdateJobQueueInput{ComputeEnvironmentOrder: ordered(1, ce[1], 2, ce[0], 3, ce[2])})
	p.check("other environments", got, attributes{}.inOrder(1, ce[1], 2, ce[0], 3, ce[2]))
	got = p.updateQueue(arn, batch.UpdateJobQueueInput{ComputeEnvironmentOrder: ordered(2, ce[0], 1, ce[1], 3, ce[2])})
	p.check("other numbers", got, attributes{}.inOrder(2, ce[0], 1, ce[1], 3, ce[2]))
	p.deleteQueue(arn)
}

// TestJobQueue_externalOrderUpdate_upgradeComputeEnvironments: providers before 6.0 send compute_environments, numbered
// from 0, and what somebody else changed is read as it is.
func TestJobQueue_externalOrderUpdate_upgradeComputeEnvironments(t *testing.T) {
	p := configure(t)
	ce := p.environments(env)
	arn, got := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(0, ce[0])})
	p.check("create", got, attributes{}.inOrder(0, ce[0]))
	p.check("changed outside", p.updateQueue(arn, batch.UpdateJobQueueInput{ComputeEnvironmentOrder: ordered(1, ce[0])}), attributes{}.inOrder(1, ce[0]))
	p.deleteQueue(arn)
}

func TestJobQueue_jobStateTimeLimitActionsMultiple(t *testing.T) {
	p := configure(t)
	ce := p.environments(env)
	limits := func(list ...string) (out []types.JobStateTimeLimitAction, want attributes) {
		want = attributes{"job_state_time_limit_action.#": fmt.Sprint(len(list))}
		for i, reason := range list {
			seconds := int32(610 - 5*i)
			out = append(out, types.JobStateTimeLimitAction{Action: "CANCEL", MaxTimeSeconds: &seconds, Reason: &reason, State: "RUNNABLE"})
			at := fmt.Sprintf("job_state_time_limit_action.%d.", i)
			want[at+"action"], want[at+"state"], want[at+"reason"], want[at+"max_time_seconds"] = "CANCEL", "RUNNABLE", reason, fmt.Sprint(seconds)
		}
		return out, want
	}
	list, want := limits("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
	arn, got := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(1, ce[0]), State: types.JQStateDisabled, JobStateTimeLimitActions: list})
	p.check("create", got, want)
	list, want = limits("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
	p.check("update", p.updateQueue(arn, batch.UpdateJobQueueInput{JobStateTimeLimitActions: list}), want)
	p.deleteQueue(arn)
}

func TestJobQueue_schedulingPolicy_SchedulingPolicy_basic_disappears(t *testing.T) {
	p := configure(t)
	ce := p.environments(env)
	shares := []types.ShareAttributes{{ShareIdentifier: aws.String("A1*"), WeightFactor: aws.Float32(0.1)}, {ShareIdentifier: aws.String("A2"), WeightFactor: aws.Float32(0.2)}}
	policy := func(shares ...types.ShareAttributes) *types.FairsharePolicy {
		return &types.FairsharePolicy{ComputeReservation: aws.Int32(1), ShareDecaySeconds: aws.Int32(3600), ShareDistribution: shares}
	}
	read := func(arn string) (attributes, error) {
		t.Helper()
		out := must(p.batch.DescribeSchedulingPolicies(p.Context(), &batch.DescribeSchedulingPoliciesInput{Arns: []string{arn}}))(p)
		if len(out.SchedulingPolicies) == 0 {
			return nil, errGone
		}
		sp := out.SchedulingPolicies[0]
		a := attributes{
			"arn": str(sp.Arn), "name": str(sp.Name), "fair_share_policy.0.compute_reservation": num(sp.FairsharePolicy.ComputeReservation),
			"fair_share_policy.0.share_decay_seconds": num(sp.FairsharePolicy.ShareDecaySeconds), "fair_share_policy.0.share_distribution.#": fmt.Sprint(len(sp.FairsharePolicy.ShareDistribution)),
		}
		for _, s := range sp.FairsharePolicy.ShareDistribution {
			a["share "+str(s.ShareIdentifier)] = fmt.Sprint(aws.ToFloat32(s.WeightFactor))
		}
		a.mapping("tags_all", sp.Tags)
		return a, nil
	}
	var arns []string
	for _, name := range []string{env + "-1", env + "-2"} {
		out := must(p.batch.CreateSchedulingPolicy(p.Context(), &batch.CreateSchedulingPolicyInput{Name: &name, FairsharePolicy: policy(shares[0]), Tags: map[string]string{"Name": "Test Batch Scheduling Policy"}}))(p)
		arns = append(arns, *out.Arn)
		p.check("policy", must(read(*out.Arn))(p), attributes{
			"arn": p.arn("batch", "scheduling-policy/"+name), "name": name, "fair_share_policy.0.compute_reservation": "1", "fair_share_policy.0.share_decay_seconds": "3600",
			"fair_share_policy.0.share_distribution.#": "1", "share A1*": "0.1", "tags_all.%": "1", "tags_all.Name": "Test Batch Scheduling Policy",
		})
	}
	must(p.batch.UpdateSchedulingPolicy(p.Context(), &batch.UpdateSchedulingPolicyInput{Arn: &arns[0], FairsharePolicy: policy(shares...)}))(p)
	p.check("one share more", must(read(arns[0]))(p), attributes{"fair_share_policy.0.share_distribution.#": "2", "share A1*": "0.1", "share A2": "0.2", "tags_all.%": "1"})

	queue, got := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(1, ce[0]), SchedulingPolicyArn: &arns[0]})
	p.check("queue", got, attributes{"scheduling_policy_arn": arns[0]})
	// Every update of such a queue names the policy again.
	p.check("priority", p.updateQueue(queue, batch.UpdateJobQueueInput{Priority: aws.Int32(5), SchedulingPolicyArn: &arns[0]}), attributes{"scheduling_policy_arn": arns[0], "priority": "5"})
	p.check("other policy", p.updateQueue(queue, batch.UpdateJobQueueInput{SchedulingPolicyArn: &arns[1]}), attributes{"scheduling_policy_arn": arns[1]})
	p.deleteQueue(queue)
	for _, arn := range arns {
		must(p.batch.DeleteSchedulingPolicy(p.Context(), &batch.DeleteSchedulingPolicyInput{Arn: &arn}))(p)
		if _, err := read(arn); !errors.Is(err, errGone) {
			t.Errorf("scheduling policy %s is still there", arn)
		}
	}
}

// TestTags_ofEveryResource: tags come with create, are changed by TagResource and UntagResource and read from Describe, or
// by the data sources and imports with ListTagsForResource. An empty value is a value; null tags are none.
func TestTags_ofEveryResource(t *testing.T) {
	p := configure(t)
	ce := p.environments(env)
	queue, _ := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String(env), ComputeEnvironmentOrder: ordered(1, ce[0]), Tags: map[string]string{"key1": "value1", "empty": ""}})
	policy := must(p.batch.CreateSchedulingPolicy(p.Context(), &batch.CreateSchedulingPolicyInput{Name: aws.String(env), FairsharePolicy: &types.FairsharePolicy{}, Tags: map[string]string{"key1": "value1", "empty": ""}}))(p)
	job := must(p.batch.RegisterJobDefinition(p.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String(env), Type: types.JobDefinitionTypeContainer, Tags: map[string]string{"key1": "value1", "empty": ""},
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), Vcpus: aws.Int32(1), Memory: aws.Int32(128)},
	}))(p)
	must(p.batch.TagResource(p.Context(), &batch.TagResourceInput{ResourceArn: &ce[0], Tags: map[string]string{"key1": "value1", "empty": ""}}))(p)
	for _, arn := range []string{ce[0], queue, *policy.Arn, *job.JobDefinitionArn} {
		for _, step := range []struct {
			add    map[string]string
			remove []string
			want   string
		}{
			{nil, nil, "map[empty: key1:value1]"},
			{map[string]string{"key1": "value1updated", "key2": "value2"}, []string{"empty", "never there"}, "map[key1:value1updated key2:value2]"},
			{nil, []string{"key1", "key2"}, "map[]"},
		} {
			if step.remove != nil {
				must(p.batch.UntagResource(p.Context(), &batch.UntagResourceInput{ResourceArn: &arn, TagKeys: step.remove}))(p)
			}
			if step.add != nil {
				must(p.batch.TagResource(p.Context(), &batch.TagResourceInput{ResourceArn: &arn, Tags: step.add}))(p)
			}
			if got := fmt.Sprint(must(p.batch.ListTagsForResource(p.Context(), &batch.ListTagsForResourceInput{ResourceArn: &arn}))(p).Tags); got != step.want {
				t.Errorf("%s: tags %s, want %s", arn, got, step.want)
			}
		}
	}
	got, _, err := p.readQueue(queue)
	if err != nil {
		t.Fatal(err)
	}
	p.check("described", got, attributes{"tags_all.%": "0"})
}

// TestDataSources reads as the data sources do, by name, and as terraform query does: all, page by page.
func TestDataSources(t *testing.T) {
	p := configure(t)
	ce := p.environments("tf_acc_test_1")
	arn, want := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String("tf_acc_test_q"), ComputeEnvironmentOrder: ordered(1, ce[0])})
	other, _ := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String("tf_acc_test_q_wrong"), ComputeEnvironmentOrder: ordered(1, ce[0]), Priority: aws.Int32(2)})
	got, _, err := p.readQueue("tf_acc_test_q")
	if err != nil {
		t.Fatal(err)
	}
	p.same("data.aws_batch_job_queue", want, got)
	_, q, _ := p.readQueue(arn)
	if q.Status != "VALID" || str(q.StatusReason) != "JobQueue Healthy" {
		t.Errorf("status %s, %s", q.Status, str(q.StatusReason))
	}
	var listed []string
	pages := batch.NewDescribeJobQueuesPaginator(p.batch, &batch.DescribeJobQueuesInput{MaxResults: aws.Int32(1)})
	for pages.HasMorePages() {
		for _, q := range must(pages.NextPage(p.Context()))(p).JobQueues {
			listed = append(listed, *q.JobQueueArn)
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint([]string{arn, other}) {
		t.Errorf("listed %v", listed)
	}
	if _, _, err := p.readQueue("tf_acc_test_unknown"); !errors.Is(err, errGone) {
		t.Error("an unknown queue is found")
	}
}

// TestRegion is the region argument of 6.x: a client in another region, with resources of its own and the account's roles.
func TestRegion(t *testing.T) {
	p := configure(t)
	here, role := p.environments(env)[0], "arn:aws:iam::"+p.account+":role/batch_service"
	config := p.config.Copy()
	config.Region = "eu-central-1"
	there := batch.NewFromConfig(config)
	described := must(there.DescribeComputeEnvironments(p.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{env}}))(p)
	if len(described.ComputeEnvironments) != 0 {
		t.Errorf("seen from another region: %s", *described.ComputeEnvironments[0].ComputeEnvironmentArn)
	}
	made := must(there.CreateComputeEnvironment(p.Context(), &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String(env), Type: types.CETypeUnmanaged, ServiceRole: &role}))(p)
	if want := strings.Replace(here, region, "eu-central-1", 1); *made.ComputeEnvironmentArn != want {
		t.Errorf("made %s, want %s", *made.ComputeEnvironmentArn, want)
	}
}
