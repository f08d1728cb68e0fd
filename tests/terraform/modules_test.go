package terraform_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const modules = "../../infra/terraform/"

// variation is a change of variables, with what the plan does to which resource.
type variation struct {
	name string
	vars map[string]any
	want map[string]string
}

const (
	inPlace = "update"
	replace = "delete create"
	created = "create"
	deleted = "delete"
)

func (s *stack) vary(list []variation) {
	s.Helper()
	for _, v := range list {
		s.set(v.vars).apply(v.name, v.want)
	}
}

func TestRepository(t *testing.T) {
	s := newStack(t, modules+"01-ecr")
	s.vars["aws_account_id"] = s.account
	s.apply("create", nil)
	repository, policy := "aws_ecr_repository.this", "aws_ecr_lifecycle_policy.this"
	s.vary([]variation{
		{"immutable tags", map[string]any{"immutable_tags": true}, map[string]string{repository: inPlace}},
		{"mutable tags", map[string]any{"immutable_tags": false}, map[string]string{repository: inPlace}},
		{"no scan", map[string]any{"scan_on_push": false}, map[string]string{repository: inPlace}},
		{"images and days", map[string]any{"keep_images": 3, "untagged_days": 1}, map[string]string{policy: replace}},
		{"tags", map[string]any{"tags": map[string]string{"A": "b", "Empty": ""}}, map[string]string{repository: inPlace}},
		{"no tags", map[string]any{"tags": map[string]string{}}, map[string]string{repository: inPlace}},
	})
	s.push("batchworker", "latest")
	s.set(map[string]any{"kms_key_arn": "arn:aws:kms:us-east-1:" + s.account + ":key/11111111-2222-3333-4444-555555555555"}).
		apply("key", map[string]string{repository: replace, policy: replace})

	// Changes by others are seen, and undone.
	client := ecr.NewFromConfig(s.config)
	check(t)(client.PutImageTagMutability(t.Context(), &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("batchworker"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable}))
	check(t)(client.DeleteLifecyclePolicy(t.Context(), &ecr.DeleteLifecyclePolicyInput{RepositoryName: aws.String("batchworker")}))
	s.apply("drift", map[string]string{repository: inPlace, policy: created})
	s.imported(map[string]string{repository: "batchworker", policy: "batchworker"})

	s.set(map[string]any{"force_delete": false}).apply("force_delete", map[string]string{repository: inPlace})
	s.push("batchworker", "latest")
	if out, err := s.try("destroy", "-auto-approve", "-no-color"); err == nil || !strings.Contains(out, "RepositoryNotEmptyException") {
		t.Errorf("a repository with an image was destroyed without force_delete: %v\n%s", err, out)
	}
	s.set(map[string]any{"force_delete": true}).apply("force_delete again", nil)
	s.destroy()
}

// check is for calls that have to work.
func check(t *testing.T) func(_ any, err error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// imported forgets the resources, takes them into the state again by their ids, and checks that nothing is left to do.
func (s *stack) imported(ids map[string]string) {
	s.Helper()
	file := filepath.Join(s.dir, "import.tf")
	var blocks strings.Builder
	for address, id := range ids {
		s.must("state", "rm", address)
		blocks.WriteString("import {\n  to = " + address + "\n  id = \"" + id + "\"\n}\n")
	}
	if err := os.WriteFile(file, []byte(blocks.String()), 0o600); err != nil {
		s.Fatal(err)
	}
	p := s.plan()
	for _, c := range p.ResourceChanges {
		if id, ok := ids[c.Address]; ok && (c.Change.Importing == nil || c.Change.Importing.ID != id) {
			s.Errorf("%s is not imported", c.Address)
		}
		// What only the configuration knows, such as force_delete, is put into the state by an update; nothing may be made anew.
		if a := strings.Join(c.Change.Actions, " "); a != "no-op" && a != "read" && a != inPlace {
			s.Errorf("import: the plan has %s: %s", c.Address, a)
		}
	}
	s.must("apply", "-no-color", "-auto-approve", "plan")
	if err := os.Remove(file); err != nil {
		s.Fatal(err)
	}
	s.settled("import")
	s.stable("import")
}

// attribute is an attribute of a resource in the state.
func (s *stack) attribute(address, attribute string) string {
	s.Helper()
	var state struct {
		Values struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  map[string]any
				}
			} `json:"root_module"`
		}
	}
	if err := json.Unmarshal([]byte(s.must("show", "-json")), &state); err != nil {
		s.Fatal(err)
	}
	for _, r := range state.Values.RootModule.Resources {
		if v, ok := r.Values[attribute].(string); ok && r.Address == address {
			return v
		}
	}
	s.Fatalf("%s has no %s", address, attribute)
	return ""
}

// app is 02-app with an image in its repository.
func app(t *testing.T) *stack {
	s := newStack(t, modules+"02-app")
	check(t)(ecr.NewFromConfig(s.config).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("batchworker")}))
	s.push("batchworker", "latest")
	s.vars["aws_account_id"] = s.account
	return s
}

// gone removes the repository of app, which is of another module, and destroys the stack.
func (s *stack) gone() {
	s.Helper()
	s.stable("before destroy")
	s.leave()
}

// leave is gone for a stack that has been changed by others.
func (s *stack) leave() {
	s.Helper()
	s.vars["image"] = "none:none" // as destroy.sh has it
	check(s.T)(ecr.NewFromConfig(s.config).DeleteRepository(s.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("batchworker"), Force: true}))
	s.removed()
}

func TestAppJobDefinition(t *testing.T) {
	s := app(t)
	s.apply("create", nil)
	definition := map[string]string{"aws_batch_job_definition.this": inPlace}
	other := map[string]string{"aws_batch_job_definition.this": replace} // the provider never changes retry rules in place
	digest := s.push("batchworker", "v2")
	s.vary([]variation{
		{"size", map[string]any{"vcpu": 0.5, "memory": 1024}, definition},
		{"environment", map[string]any{"environment": map[string]string{"B": "2", "A": "1"}}, definition},
		{"another environment", map[string]any{"environment": map[string]string{"B": "3"}}, definition},
		{"attempts", map[string]any{"attempts": 3}, definition},
		{"rules", map[string]any{"retry_rules": []any{map[string]any{"action": "retry", "on_status_reason": "Host EC2*"}, map[string]any{"action": "exit", "on_exit_code": "*"}}}, other},
		{"no rules", map[string]any{"retry_rules": unset, "attempts": unset}, other},
		{"timeout", map[string]any{"timeout_seconds": 60}, definition},
		{"no timeout", map[string]any{"timeout_seconds": nil}, definition},
		{"parameters", map[string]any{"command": []string{"echo", "Ref::x"}, "parameters": map[string]string{"x": "y"}}, definition},
		{"no parameters", map[string]any{"command": unset, "parameters": unset}, definition},
		{"storage", map[string]any{"ephemeral_storage_gib": 50}, definition},
		{"architecture", map[string]any{"architecture": "ARM64", "ephemeral_storage_gib": nil}, definition},
		{"no public address", map[string]any{"assign_public_ip": false}, definition},
		{"tag of the image", map[string]any{"image_tag": "v2"}, definition},
	})
	if image := s.attribute("aws_batch_job_definition.this", "container_properties"); !strings.Contains(image, digest) {
		t.Errorf("the image is not that of the tag: %s", image)
	}
	s.push("batchworker", "v2")
	s.apply("another image under the same tag", definition)
	s.gone()
}

func TestAppAround(t *testing.T) {
	s := app(t)
	s.apply("create", nil)
	const queue, fargate, spot, policy, kind = "aws_batch_job_queue.this", "aws_batch_compute_environment.fargate", "aws_batch_compute_environment.spot[0]", "aws_batch_scheduling_policy.this[0]", "terraform_data.queue_kind"
	shares := func(weights map[string]float64, decay int) map[string]any {
		return map[string]any{"fair_share": map[string]any{"weights": weights, "share_decay_seconds": decay}}
	}
	all := map[string]string{
		fargate: inPlace, queue: inPlace, "aws_batch_job_definition.this": inPlace, "aws_cloudwatch_log_group.jobs": inPlace, "aws_security_group.tasks": inPlace,
		"aws_iam_role.service": inPlace, "aws_iam_role.execution": inPlace, "aws_iam_role.job": inPlace,
	}
	s.vary([]variation{
		{"max_vcpus", map[string]any{"max_vcpus": 32}, map[string]string{fargate: inPlace}},
		{"tags", map[string]any{"tags": map[string]string{"Team": "a"}}, all},
		{"priority and Spot", map[string]any{"queue_priority": 7, "spot_max_vcpus": 8}, map[string]string{queue: inPlace, spot: created}},
		{"Spot's max_vcpus", map[string]any{"spot_max_vcpus": 16}, map[string]string{spot: inPlace}},
		{"fair share", shares(map[string]float64{"a": 1, "b*": 0.5}, 0), map[string]string{queue: replace, policy: created, kind: inPlace}},
		{"weights", shares(map[string]float64{"a": 2, "c*": 0.25}, 3600), map[string]string{policy: inPlace}},
		{"no weights", shares(nil, 0), map[string]string{policy: inPlace}},
		{"neither fair share nor Spot", map[string]any{"fair_share": nil, "spot_max_vcpus": 0}, map[string]string{queue: replace, policy: deleted, spot: deleted, kind: inPlace}},
		{"retention", map[string]any{"log_retention_days": 30}, map[string]string{"aws_cloudwatch_log_group.jobs": inPlace}},
		{"events", map[string]any{"log_events": true}, map[string]string{
			"aws_cloudwatch_log_group.events[0]": created, "aws_cloudwatch_log_resource_policy.events[0]": created, "aws_cloudwatch_event_rule.jobs[0]": created, "aws_cloudwatch_event_target.jobs[0]": created,
		}},
		{"rights of the job", map[string]any{"job_policy_json": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`}, map[string]string{"aws_iam_role_policy.job[0]": created}},
	})
	s.imported(map[string]string{
		queue: s.attribute(queue, "arn"), fargate: s.attribute(fargate, "name"), "aws_batch_job_definition.this": s.attribute("aws_batch_job_definition.this", "arn"),
		"aws_security_group.tasks": s.attribute("aws_security_group.tasks", "id"), "aws_iam_role.job": "batchworker-job", "aws_iam_role.service": "batchworker-batch-service",
		"aws_iam_role_policy.job[0]":             "batchworker-job:job",
		"aws_iam_role_policy_attachment.service": "batchworker-batch-service/arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole",
		"aws_cloudwatch_log_group.jobs":          "/batch/batchworker", "aws_cloudwatch_log_resource_policy.events[0]": "batchworker-events",
		"aws_cloudwatch_event_rule.jobs[0]": "default/batchworker-jobs", "aws_cloudwatch_event_target.jobs[0]": "default/batchworker-jobs/" + s.attribute("aws_cloudwatch_event_target.jobs[0]", "target_id"),
	})
	s.set(map[string]any{"log_events": false, "job_policy_json": nil, "name": "other"}).apply("another name", nil)
	s.gone()
}

// TestAppChangedByOthers has others change and remove what the stack has made.
func TestAppChangedByOthers(t *testing.T) {
	s := app(t)
	s.interrupt("aws_batch_compute_environment.fargate: Creation complete")
	s.apply("after an interruption", nil)
	client, identities := batch.NewFromConfig(s.config), iam.NewFromConfig(s.config)
	environment := s.attribute("aws_batch_compute_environment.fargate", "arn")
	check(t)(client.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &environment, ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(99)}}))
	check(t)(client.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: aws.String("batchworker"), Priority: aws.Int32(99)}))
	check(t)(client.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String("batchworker:1")}))
	check(t)(cloudwatchlogs.NewFromConfig(s.config).DeleteRetentionPolicy(t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String("/batch/batchworker")}))
	check(t)(identities.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: aws.String("batchworker-task-execution"), PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")}))
	check(t)(identities.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: aws.String("batchworker-job"), TagKeys: []string{"Project"}}))
	s.apply("changed by others", map[string]string{
		"aws_batch_compute_environment.fargate": inPlace, "aws_batch_job_queue.this": inPlace, "aws_batch_job_definition.this": created, "aws_cloudwatch_log_group.jobs": inPlace,
		"aws_iam_role_policy_attachment.execution": created, "aws_iam_role.job": inPlace,
	})

	// Destroy finds these gone. Not the queue: with Terraform before 1.12, which keeps no identities, no read of a queue that is gone
	// satisfies the provider ("Missing Resource Identity After Read").
	check(t)(cloudwatchlogs.NewFromConfig(s.config).DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/batch/batchworker")}))
	check(t)(client.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String("batchworker:2")}))
	check(t)(identities.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("batchworker-job")}))
	s.leave()
}

func TestMultiNode(t *testing.T) {
	s := newStack(t, modules+"03-multinode")
	s.vars["aws_account_id"], s.vars["image"] = s.account, "example.com/x:1"
	s.apply("create", nil)
	const definition, environment, queue = "aws_batch_job_definition.this", "aws_batch_compute_environment.this", "aws_batch_job_queue.this"
	s.vary([]variation{
		{"nodes", map[string]any{"nodes": 4, "vcpu": 2, "memory": 2048}, map[string]string{definition: inPlace}},
		{"a main node of its own", map[string]any{"main_command": []string{"lead"}, "command": []string{"join"}}, map[string]string{definition: inPlace}},
		{"all alike", map[string]any{"main_command": nil}, map[string]string{definition: inPlace}},
		{"environment, attempts, no timeout", map[string]any{"environment": map[string]string{"B": "2", "A": "1"}, "attempts": 3, "timeout_seconds": nil}, map[string]string{definition: inPlace}},
		{"max_vcpus", map[string]any{"max_vcpus": 64}, map[string]string{environment: inPlace}},
		// The new environment stands before the queue lets go of the old one. With a service role of one's own AWS Batch changes
		// little in place, as the provider knows.
		{"instances", map[string]any{"instance_types": []string{"m5.large", "c6i"}}, map[string]string{environment: "create delete", queue: inPlace}},
		{"no placement group", map[string]any{"placement_group": false}, map[string]string{environment: "create delete", queue: inPlace, "aws_placement_group.this[0]": deleted}},
	})
	s.imported(map[string]string{
		environment: s.attribute(environment, "name"), definition: s.attribute(definition, "arn"), queue: s.attribute(queue, "arn"), "aws_iam_instance_profile.instance": "batchworker-nodes-instance",
		"aws_iam_role.instance": "batchworker-nodes-instance",
	})
	s.destroy()
}
