package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// ecsTask is what the tests read of a task.
type ecsTask struct {
	TaskArn, ClusterArn, TaskDefinitionArn, LastStatus, DesiredStatus, StopCode, LaunchType, CPU, Memory, PlatformVersion string
	CreatedAt, StartedAt, StoppedAt                                                                                       float64
	Containers                                                                                                            []struct {
		Name, Image, LastStatus string
		ExitCode                *int
	}
	Tags []struct{ Key, Value string }
}

type ecsAnswer struct {
	Type        string `json:"__type"`
	Message     string
	TaskArns    []string
	ClusterArns []string
	NextToken   *string
	Tasks       []ecsTask
	Clusters    []struct {
		ClusterArn, ClusterName, Status      string
		RunningTasksCount, PendingTasksCount int
	}
	Failures []struct{ Arn, Reason string }
}

// ecs calls an operation with the bytes that clients send.
func (b *bench) ecs(operation string, in any) (int, ecsAnswer) {
	b.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.server.URL(), bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+operation)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var out ecsAnswer
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		b.Fatal(err)
	}
	return resp.StatusCode, out
}

// TestTasksOfJobs follows a job by the ECS API from its start to after its end.
func TestTasksOfJobs(t *testing.T) {
	t.Parallel()
	b := startWith(t, server.Config{Runtime: "process"})
	id := b.asker(jobRole, "outlive")
	b.until(id, func(lines []string) bool { return len(lines) > 0 })
	describe := func() types.JobDetail {
		out, err := b.batch.DescribeJobs(context.Background(), &sdk.DescribeJobsInput{Jobs: []string{id}})
		if err != nil || len(out.Jobs) != 1 {
			t.Fatalf("%v", err)
		}
		return out.Jobs[0]
	}
	arn := *describe().Container.TaskArn
	environments, err := b.batch.DescribeComputeEnvironments(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster := *environments.ComputeEnvironments[0].EcsClusterArn
	name := cluster[strings.LastIndexByte(cluster, '/')+1:]

	if _, got := b.ecs("ListClusters", struct{}{}); len(got.ClusterArns) != 1 || got.ClusterArns[0] != cluster {
		t.Errorf("clusters: %+v", got)
	}
	_, got := b.ecs("DescribeClusters", map[string]any{"clusters": []string{name, "other"}})
	if len(got.Clusters) != 1 || got.Clusters[0].ClusterArn != cluster || got.Clusters[0].Status != "ACTIVE" || got.Clusters[0].RunningTasksCount != 1 ||
		len(got.Failures) != 1 || !strings.HasSuffix(got.Failures[0].Arn, ":cluster/other") || got.Failures[0].Reason != "MISSING" {
		t.Errorf("%+v", got)
	}
	list := func(in map[string]any) []string {
		in["cluster"] = name
		status, got := b.ecs("ListTasks", in)
		if status != http.StatusOK {
			t.Errorf("ListTasks: %d %+v", status, got)
		}
		return got.TaskArns
	}
	for _, tc := range []struct {
		in   map[string]any
		want bool
	}{
		{map[string]any{}, true},
		{map[string]any{"family": "asker", "launchType": "FARGATE", "desiredStatus": "RUNNING"}, true},
		{map[string]any{"family": "other"}, false},
		{map[string]any{"launchType": "EC2"}, false},
		{map[string]any{"desiredStatus": "STOPPED"}, false},
		{map[string]any{"desiredStatus": "PENDING"}, false},
	} {
		if got := list(tc.in); (len(got) == 1 && got[0] == arn) != tc.want || len(got) > 1 {
			t.Errorf("%v: %v", tc.in, got)
		}
	}
	task := func() ecsTask {
		status, got := b.ecs("DescribeTasks", map[string]any{"cluster": cluster, "tasks": []string{arn, "0123456789"}, "include": []string{"TAGS"}})
		if status != http.StatusOK || len(got.Tasks) != 1 || len(got.Failures) != 1 || !strings.HasSuffix(got.Failures[0].Arn, "/0123456789") {
			t.Fatalf("%d %+v", status, got)
		}
		return got.Tasks[0]
	}
	running := task()
	if running.TaskArn != arn || running.ClusterArn != cluster || running.LastStatus != "RUNNING" || running.DesiredStatus != "RUNNING" || running.LaunchType != "FARGATE" ||
		running.CPU != "256" || running.Memory != "512" || running.StartedAt == 0 || running.StoppedAt != 0 || !strings.HasSuffix(running.TaskDefinitionArn, ":task-definition/asker:1") ||
		len(running.Containers) != 1 || running.Containers[0].Name != "default" || running.Containers[0].ExitCode != nil || len(running.Tags) != 1 || running.Tags[0].Value != "asking" {
		t.Errorf("%+v", running)
	}
	t.Run("CLI", func(t *testing.T) { describeByCLI(t, b, cluster, arn) })
	if _, err := b.batch.TerminateJob(context.Background(), &sdk.TerminateJobInput{JobId: &id, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	b.wait(id)
	stopped := task()
	if stopped.LastStatus != "STOPPED" || stopped.DesiredStatus != "STOPPED" || stopped.StopCode != "UserInitiated" || stopped.StoppedAt < stopped.StartedAt ||
		stopped.Containers[0].ExitCode == nil || *stopped.Containers[0].ExitCode != 143 {
		t.Errorf("%+v", stopped)
	}
	if got := list(map[string]any{"desiredStatus": "STOPPED"}); len(got) != 1 || got[0] != arn {
		t.Errorf("stopped tasks: %v", got)
	}
	if got := list(map[string]any{}); len(got) != 0 {
		t.Errorf("running tasks: %v", got)
	}
	for _, tc := range []struct {
		operation string
		in        map[string]any
		code      string
	}{
		{"ListTasks", map[string]any{}, "ClusterNotFoundException"},
		{"ListTasks", map[string]any{"cluster": "other"}, "ClusterNotFoundException"},
		{"ListTasks", map[string]any{"cluster": name, "serviceName": "s"}, "ServiceNotFoundException"},
		{"ListTasks", map[string]any{"cluster": name, "maxResults": 101}, "InvalidParameterException"},
		{"ListTasks", map[string]any{"cluster": name, "nextToken": "x"}, "InvalidParameterException"},
		{"ListTasks", map[string]any{"cluster": name, "desiredStatus": "GONE"}, "InvalidParameterException"},
		{"DescribeTasks", map[string]any{"cluster": name}, "InvalidParameterException"},
		{"RunTask", map[string]any{"cluster": name}, "UnsupportedFeatureException"},
	} {
		if status, got := b.ecs(tc.operation, tc.in); status != http.StatusBadRequest || !strings.HasSuffix(got.Type, tc.code) {
			t.Errorf("%s %v: %d %s %s", tc.operation, tc.in, status, got.Type, got.Message)
		}
	}
}

// describeByCLI has AWS's own client read the same.
func describeByCLI(t *testing.T, b *bench, cluster, arn string) {
	testenv.Require(t, testenv.AWSCLI)
	cmd := exec.Command("aws", "ecs", "describe-tasks", "--endpoint-url", b.server.URL(), "--cluster", cluster, "--tasks", arn, "--query", "tasks[0].lastStatus", "--output", "text")
	cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "RUNNING" {
		t.Errorf("%v: %s", err, out)
	}
}
