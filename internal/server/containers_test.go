package server_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestContainersOfATask runs a job of four containers (reference, section 2.3, ecsProperties): two that have to succeed one
// after the other before the essential one starts, one that has to run by then and is stopped after it.
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
			first, second := []string{"print", "made"}, []string{"print", "made"}
			if tc.mounts { // on the volume that the task has of its own
				first, second = []string{"write", "/scratch/file", "made"}, []string{"read", "/scratch/file"}
			}
			gate, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Close()
			main := []string{"dial", gate.Addr().String(), "main"}
			b.registerTask(first, second, main, tc.mounts)
			id := b.submitTask()
			b.openWhenReady(gate, id)
			job := b.wait(id)
			if job.Status != types.JobStatusSucceeded || aws.ToString(job.StatusReason) != "Essential container in task exited" {
				t.Fatalf("%s: %s", job.Status, aws.ToString(job.StatusReason))
			}
			if job.Container != nil {
				t.Errorf("container: %+v", job.Container)
			}
			type end struct {
				code int32
				log  string
			}
			want := map[string]end{"prepare": {0, "made"}, "check": {0, "made"}, "helper": {7, "terminated"}, "main": {0, "open"}}
			if tc.mounts {
				want["prepare"] = end{0, "written"}
			}
			if len(job.EcsProperties.TaskProperties) != 1 || len(job.Attempts) != 1 || len(job.Attempts[0].TaskProperties) != 1 {
				t.Fatalf("tasks: %+v, attempts: %+v", job.EcsProperties, job.Attempts)
			}
			attempt := job.Attempts[0].TaskProperties[0]
			for i, c := range job.EcsProperties.TaskProperties[0].Containers {
				name := aws.ToString(c.Name)
				w := want[name]
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
			b.registerTask([]string{"exit", "3"}, second, main, false)
			job = b.wait(b.submitTask())
			if job.Status != types.JobStatusFailed {
				t.Fatalf("after a dependency that failed: %s", job.Status)
			}
			for _, c := range job.EcsProperties.TaskProperties[0].Containers {
				if name := aws.ToString(c.Name); name == "prepare" && aws.ToInt32(c.ExitCode) != 3 ||
					name == "check" && !strings.Contains(aws.ToString(c.Reason), "did not exit successfully") ||
					name == "main" && !strings.Contains(aws.ToString(c.Reason), "will never start") {
					t.Errorf("%s: exit code %v, reason %q", name, c.ExitCode, aws.ToString(c.Reason))
				}
			}
		})
	}
}

// openWhenReady waits for the essential container to call, and lets it end when the helper handles signals.
func (b *bench) openWhenReady(gate net.Listener, job string) {
	b.Helper()
	deadline := time.Now().Add(testenv.Patience)
	if err := gate.(*net.TCPListener).SetDeadline(deadline); err != nil {
		b.Fatal(err)
	}
	conn, err := gate.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); err != nil { // what it says: unread, it would cut the answer short
		b.Fatal(err)
	}
	for !strings.Contains(b.log(b.streamOf(job, "helper")), "ready") {
		if time.Now().After(deadline) {
			b.Fatal("the helper is not ready")
		}
		time.Sleep(10 * time.Millisecond) // a client that polls
	}
	if _, err := io.WriteString(conn, "open"); err != nil {
		b.Fatal(err)
	}
}

// registerTask registers a job definition of four containers called "task".
func (b *bench) registerTask(prepare, check, main []string, scratch bool) {
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
			container("check", false, check, types.TaskContainerDependency{ContainerName: aws.String("prepare"), Condition: aws.String("SUCCESS")}),
			container("helper", false, []string{"handle", "7"}),
			container("main", true, main,
				types.TaskContainerDependency{ContainerName: aws.String("check"), Condition: aws.String("SUCCESS")},
				types.TaskContainerDependency{ContainerName: aws.String("helper"), Condition: aws.String("START")}),
		},
	}
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

// streamOf is the log stream of one container of a job. It is known from RUNNING on, which is a little later than the containers
// themselves run.
func (b *bench) streamOf(job, container string) string {
	b.Helper()
	for deadline := time.Now().Add(testenv.Patience); ; {
		out, err := b.batch.DescribeJobs(context.Background(), &sdk.DescribeJobsInput{Jobs: []string{job}})
		if err != nil || len(out.Jobs) != 1 || out.Jobs[0].EcsProperties == nil {
			b.Fatalf("%v, %+v", err, out)
		}
		for _, c := range out.Jobs[0].EcsProperties.TaskProperties[0].Containers {
			if aws.ToString(c.Name) == container && c.LogStreamName != nil {
				return *c.LogStreamName
			}
		}
		if s := out.Jobs[0].Status; s == types.JobStatusSucceeded || s == types.JobStatusFailed || time.Now().After(deadline) {
			b.Fatalf("%s has no log stream, and the job is %s", container, s)
		}
		time.Sleep(10 * time.Millisecond) // a client that polls
	}
}
