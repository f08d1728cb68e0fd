package stack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSameDefinition(t *testing.T) {
	t.Parallel()
	const want = `{"type": "container", "platformCapabilities": ["FARGATE"], "containerProperties": {"image": "i", "command": ["a", "b"],
		"environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}, {"name": "C", "value": ""}],
		"resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]}}`
	// As DescribeJobDefinitions shows it: empty lists, defaults and another order.
	const is = `{"type": "container", "platformCapabilities": ["FARGATE"], "parameters": {}, "propagateTags": false, "revision": 7, "status": "ACTIVE",
		"containerOrchestrationType": "ECS", "tags": {"x": "y"}, "containerProperties": {"image": "i", "command": ["a", "b"],
		"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "mountPoints": [], "ulimits": [], "volumes": [], "secrets": [],
		"resourceRequirements": [{"type": "MEMORY", "value": "2048"}, {"type": "VCPU", "value": "1"}],
		"fargatePlatformConfiguration": {"platformVersion": "LATEST"}%s}%s}`
	for _, tc := range []struct {
		name, inside, outside string
		same                  bool
	}{
		{"AsWanted", "", "", true},
		{"MoreInside", `, "user": "nobody"`, "", false},
		{"MoreOutside", "", `, "timeout": {"attemptDurationSeconds": 60}`, false},
		{"OtherParameters", "", `, "parameters": {"a": "b"}`, false},
		{"OtherCommand", `, "command": ["b", "a"]`, "", false},
		{"OtherEnvironment", `, "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]`, "", false},
		{"OtherPlatformVersion", `, "fargatePlatformConfiguration": {"platformVersion": "1.4.0"}`, "", false},
		{"OtherPriority", "", `, "schedulingPriority": 1`, false},
		{"TagsPropagated", "", `, "propagateTags": true`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := parse[batch.RegisterJobDefinitionInput](t, want)
			i := parse[types.JobDefinition](t, fmt.Sprintf(is, tc.inside, tc.outside))
			if got := sameDefinition(w, i); got != tc.same {
				t.Errorf("same is %v, want %v", got, tc.same)
			}
		})
	}
}

func TestComputeEnvironmentUpdate(t *testing.T) {
	t.Parallel()
	const is = `{"computeEnvironmentName": "ce", "type": "MANAGED", "state": "ENABLED", "serviceRole": "linked",
		"computeResources": {"type": "FARGATE", "maxvCpus": 4, "subnets": ["b", "a"], "securityGroupIds": ["g"]}}`
	for _, tc := range []struct{ name, want, update, err string }{
		{"AsWanted", `{"computeEnvironmentName": "ce", "type": "MANAGED", "serviceRole": "",
			"computeResources": {"type": "FARGATE", "maxvCpus": 4, "subnets": ["a", "b"], "securityGroupIds": ["g"]}}`, "null", ""},
		{"LessSaid", `{"computeEnvironmentName": "ce", "computeResources": {"maxvCpus": 4}}`, "null", ""},
		{"MoreCPUs", `{"computeEnvironmentName": "ce", "computeResources": {"type": "FARGATE", "maxvCpus": 8, "subnets": ["a", "b"]}}`,
			`{"ComputeEnvironment":"ce","ComputeResources":{"MaxvCpus":8}}`, ""},
		{"Disabled", `{"computeEnvironmentName": "ce", "state": "DISABLED"}`, `{"ComputeEnvironment":"ce","State":"DISABLED"}`, ""},
		{"OtherRole", `{"computeEnvironmentName": "ce", "serviceRole": "mine"}`, `{"ComputeEnvironment":"ce","ServiceRole":"mine"}`, ""},
		{"OtherSubnets", `{"computeEnvironmentName": "ce", "computeResources": {"subnets": ["c"]}}`,
			`{"ComputeEnvironment":"ce","ComputeResources":{"Subnets":["c"]}}`, ""},
		{"OtherKind", `{"computeEnvironmentName": "ce", "type": "UNMANAGED"}`, "", "its type differs"},
		{"UnchangeableResource", `{"computeEnvironmentName": "ce", "computeResources": {"spotIamFleetRole": "r"}}`, "", "computeResources.spotIamFleetRole differs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u, err := computeEnvironmentUpdate(parse[batch.CreateComputeEnvironmentInput](t, tc.want), parse[types.ComputeEnvironmentDetail](t, is))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("update %+v, error %v; want %q", u, err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(text(canonical(u))); got != tc.update {
				t.Errorf("update %s, want %s", got, tc.update)
			}
		})
	}
}

func TestJobQueueUpdate(t *testing.T) {
	t.Parallel()
	const is = `{"jobQueueName": "q", "priority": 1, "state": "ENABLED", "jobQueueType": "ECS_FARGATE", "schedulingPolicyArn": "p",
		"computeEnvironmentOrder": [{"order": 2, "computeEnvironment": "arn:x/b"}, {"order": 1, "computeEnvironment": "arn:x/a"}]}`
	const order = `"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "a"}, {"order": 5, "computeEnvironment": "b"}]`
	for _, tc := range []struct{ name, want, update, err string }{
		{"AsWanted", `{"jobQueueName": "q", "priority": 1, ` + order + `}`, "null", ""},
		{"Disabled", `{"jobQueueName": "q", "priority": 1, "state": "DISABLED", ` + order + `}`, `{"JobQueue":"q","State":"DISABLED"}`, ""},
		{"OtherPriority", `{"jobQueueName": "q", "priority": 2, ` + order + `}`, `{"JobQueue":"q","Priority":2}`, ""},
		{"OtherPolicy", `{"jobQueueName": "q", "priority": 1, "schedulingPolicyArn": "o", ` + order + `}`, `{"JobQueue":"q","SchedulingPolicyArn":"o"}`, ""},
		{"OtherOrder", `{"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "b"}]}`,
			`{"ComputeEnvironmentOrder":[{"ComputeEnvironment":"b","Order":1}],"JobQueue":"q"}`, ""},
		{"TimeLimit", `{"jobQueueName": "q", "priority": 1, "jobStateTimeLimitActions": [{"maxTimeSeconds": 600}], ` + order + `}`,
			`{"JobQueue":"q","JobStateTimeLimitActions":[{"MaxTimeSeconds":600}]}`, ""},
		{"OtherType", `{"jobQueueName": "q", "priority": 1, "jobQueueType": "ECS"}`, "", "its jobQueueType differs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u, err := jobQueueUpdate(parse[batch.CreateJobQueueInput](t, tc.want), parse[types.JobQueueDetail](t, is))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("update %+v, error %v; want %q", u, err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(text(canonical(u))); got != tc.update {
				t.Errorf("update %s, want %s", got, tc.update)
			}
		})
	}
}

func TestQueueNamesWhatWasMadeWithIt(t *testing.T) {
	t.Parallel()
	known := make(names)
	known.add(ComputeEnvironment, "ce", "arn:aws:batch:eu-west-1:222233334444:compute-environment/ce")
	known.add(SchedulingPolicy, "p", "arn:aws:batch:eu-west-1:222233334444:scheduling-policy/p")
	in := &batch.CreateJobQueueInput{
		SchedulingPolicyArn: aws.String("arn:aws:batch:us-east-1:111122223333:scheduling-policy/p"),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{
			{ComputeEnvironment: aws.String("arn:aws:batch:us-east-1:111122223333:compute-environment/ce")},
			{ComputeEnvironment: aws.String("other")}, {},
		},
	}
	got := known.localised(in)
	if *got.SchedulingPolicyArn != known[SchedulingPolicy]["p"] || *got.ComputeEnvironmentOrder[0].ComputeEnvironment != known[ComputeEnvironment]["ce"] ||
		*got.ComputeEnvironmentOrder[1].ComputeEnvironment != "other" {
		t.Errorf("got %s", text(got))
	}
	if *in.ComputeEnvironmentOrder[0].ComputeEnvironment != "arn:aws:batch:us-east-1:111122223333:compute-environment/ce" {
		t.Error("the input has been changed")
	}
}
