package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestContainersOfATask runs a job of three containers (reference, section 2.3, ecsProperties): one that has to succeed
// before the essential one starts, one that has to run by then and is stopped after it.
func TestContainersOfATask(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		runtime string
		needs   []testenv.Need
		mounts  bool
	}{
		{"process", nil, false},
		{"native", []testenv.Need{testenv.Linux, testenv.Root}, true},
		{"runc", []testenv.Need{testenv.Linux, testenv.Root, testenv.Runc}, true},
		{"docker", []testenv.Need{testenv.Docker}, true},
	} {
		t.Run(tc.runtime, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, tc.needs...)
			b := startEngine(t, tc.runtime)
			b.worker = b.push("prog", "../runtime/runtimetest/prog")
			b.stack()
			first, last := []string{"print", "made"}, []string{"print", "made"}
			if tc.mounts { // on the volume that the task has of its own
				first, last = []string{"write", "/scratch/file", "made"}, []string{"read", "/scratch/file"}
			}
			b.registerTask(first, []string{"handle", "7"}, last, tc.mounts)
			job := b.wait(b.submitTask())
			if job.Status != types.JobStatusSucceeded || aws.ToString(job.StatusReason) != "Essential container in task exited" {
				t.Fatalf("%s: %s", job.Status, aws.ToString(job.StatusReason))
			}
			if job.Container != nil {
				t.Errorf("container: %+v", job.Container)
			}
			want := map[string]struct {
				code int32
				log  string
			}{"prepare": {0, "made"}, "helper": {7, "terminated"}, "main": {0, "made"}}
			if tc.mounts {
				want["prepare"] = struct {
					code int32
					log  string
				}{0, "written"}
			}
			if len(job.EcsProperties.TaskProperties) != 1 || len(job.Attempts) != 1 || len(job.Attempts[0].TaskProperties) != 1 {
				t.Fatalf("tasks: %+v, attempts: %+v", job.EcsProperties, job.Attempts)
			}
			attempt := job.Attempts[0].TaskProperties[0]
			for i, c := range job.EcsProperties.TaskProperties[0].Containers {
				name := aws.ToString(c.Name)
				w := want[name]
				if code := aws.ToInt32(c.ExitCode); name == "helper" && (code == 143 || code == 137) {
					// Stopped before it had got as far as to handle the signal: the default action, or, as process 1, none until SIGKILL.
					w.code, w.log = code, ""
				}
				if aws.ToInt32(c.ExitCode) != w.code || c.ExitCode == nil {
					t.Errorf("%s: exit code %v, want %d", name, c.ExitCode, w.code)
				}
				if stream := aws.ToString(c.LogStreamName); !strings.HasPrefix(stream, "task/"+name+"/") {
					t.Errorf("%s: log stream %q", name, stream)
				} else if log := b.log(stream); !strings.Contains(log, w.log) {
					t.Errorf("%s: log %q, want %q", name, log, w.log)
				}
				if run := attempt.Containers[i]; aws.ToString(run.Name) != name || aws.ToInt32(run.ExitCode) != w.code || aws.ToString(run.LogStreamName) != aws.ToString(c.LogStreamName) {
					t.Errorf("%s: in the attempt: %+v", name, run)
				}
			}
			if arn := aws.ToString(attempt.TaskArn); arn == "" || arn != aws.ToString(job.EcsProperties.TaskProperties[0].TaskArn) {
				t.Errorf("task ARN %q of the attempt, %q of the job", arn, aws.ToString(job.EcsProperties.TaskProperties[0].TaskArn))
			}

			// What an essential container depends on fails: it never starts, and the job fails.
			b.registerTask([]string{"exit", "3"}, []string{"handle", "7"}, last, false)
			job = b.wait(b.submitTask())
			if job.Status != types.JobStatusFailed {
				t.Fatalf("after a dependency that failed: %s", job.Status)
			}
			for _, c := range job.EcsProperties.TaskProperties[0].Containers {
				if name := aws.ToString(c.Name); name == "prepare" && aws.ToInt32(c.ExitCode) != 3 ||
					name == "main" && !strings.Contains(aws.ToString(c.Reason), "did not exit successfully") {
					t.Errorf("%s: exit code %v, reason %q", name, c.ExitCode, aws.ToString(c.Reason))
				}
			}
		})
	}
}

// registerTask registers a job definition of three containers called "task".
func (b *bench) registerTask(prepare, helper, main []string, scratch bool) {
	b.Helper()
	container := func(name string, essential bool, command []string, dependsOn ...types.TaskContainerDependency) types.TaskContainerProperties {
		c := types.TaskContainerProperties{
			Name: aws.String(name), Image: aws.String(b.worker), Essential: aws.Bool(essential), Command: command, DependsOn: dependsOn,
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
			},
		}
		if scratch {
			c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("scratch"), ContainerPath: aws.String("/scratch")}}
		}
		return c
	}
	task := types.EcsTaskProperties{
		ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
		Containers: []types.TaskContainerProperties{
			container("prepare", false, prepare),
			container("helper", false, helper),
			container("main", true, main,
				types.TaskContainerDependency{ContainerName: aws.String("prepare"), Condition: aws.String("SUCCESS")},
				types.TaskContainerDependency{ContainerName: aws.String("helper"), Condition: aws.String("START")}),
		},
	}
	// 0.75 vCPU and 1536 MiB are no size of Fargate's.
	task.Containers[2].ResourceRequirements[0].Value, task.Containers[2].ResourceRequirements[1].Value = aws.String("0.5"), aws.String("1024")
	if scratch {
		task.Volumes = []types.Volume{{Name: aws.String("scratch")}}
	}
	if _, err := b.batch.RegisterJobDefinition(context.Background(), &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("task"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{task}},
	}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) submitTask() string {
	b.Helper()
	out, err := b.batch.SubmitJob(context.Background(), &sdk.SubmitJobInput{JobName: aws.String("task"), JobQueue: aws.String("e2e"), JobDefinition: aws.String("task")})
	if err != nil {
		b.Fatal(err)
	}
	return *out.JobId
}

// log is what a stream of the group of jobs holds.
func (b *bench) log(stream string) string {
	b.Helper()
	out, err := b.logs.GetLogEvents(context.Background(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: &stream, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	for _, e := range out.Events {
		text.WriteString(aws.ToString(e.Message) + "\n")
	}
	return text.String()
}
