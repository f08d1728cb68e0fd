package stack

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var noMetadata = cmpopts.IgnoreUnexported(batch.CreateComputeEnvironmentInput{}, batch.CreateJobQueueInput{}, batch.RegisterJobDefinitionInput{},
	types.ComputeResource{}, types.ComputeEnvironmentOrder{}, types.ContainerProperties{}, types.KeyValuePair{}, types.ResourceRequirement{},
	types.JobTimeout{}, types.FargatePlatformConfiguration{}, types.LogConfiguration{})

// write puts files into a directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads a directory with the variable AWS_REGION.
func load(t *testing.T, files map[string]string) (resources []Resource, notes []string, err error) {
	t.Helper()
	dir := write(t, files)
	l := Loader{
		Vars: func(name string) (string, bool, error) { return "eu-west-1", name == "AWS_REGION", nil },
		Note: func(n string) { notes = append(notes, strings.TrimPrefix(n, dir+"/")) },
	}
	resources, err = l.Load([]string{dir})
	return resources, notes, err
}

func TestLoadReadsTheInputForm(t *testing.T) {
	t.Parallel()
	resources, notes, err := load(t, map[string]string{
		"a.json": `{"jobDefinitionName": "jd", "type": "container", "platformCapabilities": ["FARGATE"], "parameters": {"${AWS_REGION}": "${AWS_REGION}"},
			"timeout": {"attemptDurationSeconds": 60}, "containerProperties": {"image": "x.${AWS_REGION}/y${HOME}${", "command": ["echo", "$${AWS_REGION}"],
			"resourceRequirements": [{"type": "VCPU", "value": "0.25"}]}}`,
		"b.json": `{"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "ce"}], "tags": null}`,
		"c.json": `{"computeEnvironmentName": "ce", "type": "MANAGED", "computeResources": {"type": "FARGATE", "maxvCpus": 4, "subnets": ["default"]}}`,
		"README": "not a resource",
	})
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	for i := range resources {
		resources[i].File = filepath.Base(resources[i].File)
	}
	want := []Resource{
		{ComputeEnvironment, "ce", "c.json", &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("ce"), Type: "MANAGED",
			ComputeResources: &types.ComputeResource{Type: "FARGATE", MaxvCpus: aws.Int32(4), Subnets: []string{"default"}}}},
		{JobQueue, "q", "b.json", &batch.CreateJobQueueInput{JobQueueName: aws.String("q"), Priority: aws.Int32(1),
			ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ce")}}}},
		{JobDefinition, "jd", "a.json", &batch.RegisterJobDefinitionInput{JobDefinitionName: aws.String("jd"), Type: "container",
			PlatformCapabilities: []types.PlatformCapability{"FARGATE"}, Parameters: map[string]string{"${AWS_REGION}": "eu-west-1"},
			Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)},
			ContainerProperties: &types.ContainerProperties{Image: aws.String("x.eu-west-1/y${HOME}${"), Command: []string{"echo", "$eu-west-1"},
				ResourceRequirements: []types.ResourceRequirement{{Type: "VCPU", Value: aws.String("0.25")}}}}},
	}
	if diff := cmp.Diff(want, resources, noMetadata); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestLoadReadsWhatDescribePrints(t *testing.T) {
	t.Parallel()
	resources, notes, err := load(t, map[string]string{
		"ce.json": `{"computeEnvironments": [{"computeEnvironmentName": "ce", "computeEnvironmentArn": "arn:aws:batch:us-east-1:111122223333:compute-environment/ce",
			"ecsClusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/AWSBatch-ce-1", "type": "MANAGED", "state": "ENABLED", "status": "VALID",
			"statusReason": "ComputeEnvironment Healthy", "uuid": "1", "tags": {}, "containerOrchestrationType": "ECS", "updatePolicy": {"terminateJobsOnUpdate": false},
			"serviceRole": "arn:aws:iam::111122223333:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch",
			"computeResources": {"type": "FARGATE", "maxvCpus": 4, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"], "sparkle": true}, "comingSoon": 1}]}`,
		"jd.json": `{"jobDefinitions": [
			{"jobDefinitionName": "jd", "jobDefinitionArn": "x", "revision": 3, "status": "ACTIVE", "type": "container", "containerProperties": {"image": "three"}},
			{"jobDefinitionName": "jd", "jobDefinitionArn": "x", "revision": 5, "status": "INACTIVE", "type": "container", "containerProperties": {"image": "five"}},
			{"jobDefinitionName": "jd", "jobDefinitionArn": "x", "revision": 4, "status": "ACTIVE", "type": "container", "containerProperties": {"image": "four"}},
			{"jobDefinitionName": "jd", "jobDefinitionArn": "x", "revision": 1, "status": "ACTIVE", "type": "container", "containerProperties": {"image": "one"}}]}`,
		"one.json": `{"jobQueueName": "q", "jobQueueArn": "x", "priority": 1, "status": "VALID"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range resources {
		resources[i].File = filepath.Base(resources[i].File)
	}
	want := []Resource{
		{ComputeEnvironment, "ce", "ce.json", &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("ce"), Type: "MANAGED", State: "ENABLED",
			Tags:             map[string]string{},
			ComputeResources: &types.ComputeResource{Type: "FARGATE", MaxvCpus: aws.Int32(4), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}}},
		{JobQueue, "q", "one.json", &batch.CreateJobQueueInput{JobQueueName: aws.String("q"), Priority: aws.Int32(1)}},
		{JobDefinition, "jd", "jd.json", &batch.RegisterJobDefinitionInput{JobDefinitionName: aws.String("jd"), Type: "container",
			ContainerProperties: &types.ContainerProperties{Image: aws.String("four")}}},
	}
	if diff := cmp.Diff(want, resources, noMetadata); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	wantNotes := []string{
		"ce.json: left out comingSoon of compute environment ce, which is not known",
		"ce.json: left out computeResources.sparkle of compute environment ce, which is not known",
		"jd.json: left out revision 1 of jd, which is older",
		"jd.json: left out revision 3 of jd, which is older",
		"jd.json: left out revision 5 of jd, which is INACTIVE",
	}
	slices.Sort(notes)
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Errorf("notes -want +got\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"NoJSON", "{\n  \"jobQueueName\": q}", "line 2, column 19: invalid character 'q'"},
		{"Empty", "", "the file is empty"},
		{"CutOff", `{"jobQueueName": "q",`, "the file ends within its JSON object"},
		{"TwoValues", `{"jobQueueName": "q"} {}`, "more than one JSON value"},
		{"NoObject", `[]`, "not a JSON object"},
		{"NoResource", `{"jobName": "j"}`, "no resource that is known"},
		{"NameNoString", `{"jobQueueName": 1}`, "no resource that is known"},
		{"UnknownMember", `{"jobQueueName": "q", "prioritty": 1}`, "job queue q: no such member: prioritty"},
		{"WrongLetterCase", `{"jobQueueName": "q", "Priority": 1}`, "job queue q: no such member: Priority"},
		{"UnknownMemberInside", `{"computeEnvironmentName": "ce", "computeResources": {"maxVcpus": 1}}`, "no such member: computeResources.maxVcpus"},
		{"UnknownMemberInList", `{"jobQueueName": "q", "computeEnvironmentOrder": [{"ce": "x"}]}`, "no such member: computeEnvironmentOrder[0].ce"},
		{"OutputOnlyMember", `{"computeEnvironmentName": "ce", "status": "VALID"}`, "compute environment ce: status is output only"},
		{"StringForNumber", `{"jobQueueName": "q", "priority": "1"}`, `priority must be a number, not "1"`},
		{"NumberForString", `{"jobDefinitionName": "jd", "parameters": {"a": 1}}`, "parameters.a must be a string, not 1"},
		{"ObjectForList", `{"jobQueueName": "q", "computeEnvironmentOrder": {}}`, "computeEnvironmentOrder must be a list, not {}"},
		{"ListForObject", `{"computeEnvironmentName": "ce", "computeResources": []}`, "computeResources must be an object, not []"},
		{"ListForMap", `{"jobQueueName": "q", "tags": []}`, "tags must be an object, not []"},
		{"NumberForBool", `{"jobDefinitionName": "jd", "propagateTags": 0}`, "propagateTags must be true or false, not 0"},
		{"FractionForInteger", `{"jobQueueName": "q", "priority": 1.5}`, "cannot unmarshal number 1.5"},
		{"DescriptionOfSomethingElse", `{"jobQueues": [{"name": "q"}]}`, "jobQueues[0] is no job queue"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			resources, _, err := load(t, map[string]string{"file.json": tc.text})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "file.json: ") {
				t.Errorf("resources %+v, error %v; want %q", resources, err, tc.want)
			}
		})
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	t.Parallel()
	if _, _, err := load(t, map[string]string{"README": ""}); err == nil || !strings.Contains(err.Error(), "no *.json files") {
		t.Errorf("empty directory: error %v", err)
	}
	if _, _, err := load(t, map[string]string{"a.json": `{"jobQueueName": "q"}`, "b.json": `{"jobQueueName": "q"}`}); err == nil ||
		!strings.Contains(err.Error(), "b.json: job queue q is in ") {
		t.Errorf("twice: error %v", err)
	}
	var l Loader
	if _, err := l.Load([]string{"/nonexistent.json"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
	l.Vars = func(string) (string, bool, error) { return "", false, errors.New("not logged in") }
	if _, err := l.Load([]string{filepath.Join(write(t, map[string]string{"a.json": `{"jobQueueName": "${X}"}`}), "a.json")}); err == nil ||
		!strings.Contains(err.Error(), "not logged in") {
		t.Errorf("variable: error %v", err)
	}
}

// The loader relies on it that the SDK's input types hold nothing but plain JSON.
func TestInputTypesArePlain(t *testing.T) {
	t.Parallel()
	seen := make(map[reflect.Type]bool)
	var visit func(typ reflect.Type, path string)
	visit = func(typ reflect.Type, path string) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem(), path)
		case reflect.Struct:
			for i := range typ.NumField() {
				if f := typ.Field(i); f.IsExported() {
					visit(f.Type, path+"."+f.Name)
				}
			}
		case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		default:
			t.Errorf("%s is a %s", path, typ)
		}
	}
	for _, f := range forms {
		visit(f.input, f.input.Name())
		if fieldOf(f.input, f.name).Name == "" || fieldOf(f.detail, f.name).Name == "" || fieldOf(f.detail, arnOf(f)).Name == "" {
			t.Errorf("%s: %s or %s is no member", f.kind, f.name, arnOf(f))
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "ce"}]}`)
	f.Add(`{"jobDefinitions": [{"jobDefinitionName": "jd", "revision": 3, "containerProperties": {"command": ["${AWS_REGION}"]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		resources, _, err := load(t, map[string]string{"file.json": text})
		for _, r := range resources {
			if err == nil && (r.Name == "" && !strings.Contains(text, `""`) || r.Input == nil) {
				t.Errorf("resource %+v", r)
			}
		}
	})
}
