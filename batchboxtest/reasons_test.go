package batchboxtest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/batchboxtest"
)

// TestReasons is the table of reference 3.5: how each way to end, or to wait, shows in DescribeJobs. Clients and the rules of
// evaluateOnExit match on these texts.
func TestReasons(t *testing.T) {
	const noCode = -1
	exited := "Essential container in task exited"
	var (
		succeeded = types.JobStatusSucceeded
		failed    = types.JobStatusFailed
		runnable  = types.JobStatusRunnable
	)
	terminate := func(r *rig, id string) {
		r.WaitFor(id, types.JobStatusRunning)
		if _, err := r.client.TerminateJob(r.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("enough (of it)")}); err != nil {
			r.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name    string
		program batchboxtest.Program
		queue   string // "fargate" if empty
		vcpu    string
		submit  func(r *rig, in *batch.SubmitJobInput)
		then    func(r *rig, id string)

		status types.JobStatus
		reason string // statusReason; a pattern if it begins with ^
		of     string // container.reason
		code   int32
	}{
		{name: "exit 0", status: succeeded, reason: exited, code: 0},
		{name: "exit 3", program: batchboxtest.Program{ExitCode: 3}, status: failed, reason: exited, code: 3},
		{name: "out of memory", program: batchboxtest.Program{OutOfMemory: true}, status: failed, reason: exited, of: "OutOfMemoryError: Container killed due to memory usage", code: 137},
		{
			name: "timeout", program: batchboxtest.Program{Runs: time.Hour}, status: failed, reason: "Job attempt duration exceeded timeout", code: 143,
			submit: func(_ *rig, in *batch.SubmitJobInput) {
				in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)}
			},
		},
		{name: "terminated", program: batchboxtest.Program{Runs: time.Hour}, then: terminate, status: failed, reason: "enough (of it)", code: 143},
		{name: "terminated, deaf", program: batchboxtest.Program{Runs: time.Hour, IgnoresStop: true}, then: terminate, status: failed, reason: "enough (of it)", code: 137},
		{
			name: "cancelled", program: batchboxtest.Program{Runs: time.Hour}, vcpu: "16", status: failed, reason: "not needed", code: noCode,
			then: func(r *rig, id string) {
				r.WaitFor(id, runnable)
				if _, err := r.client.CancelJob(r.Context(), &batch.CancelJobInput{JobId: &id, Reason: aws.String("not needed")}); err != nil {
					r.Fatal(err)
				}
			},
		},
		{
			name: "dependency failed", status: failed, reason: "Dependent Job failed", code: noCode,
			submit: func(r *rig, in *batch.SubmitJobInput) {
				first := r.submit(func(other *batch.SubmitJobInput) {
					*other = *in
					other.ContainerOverrides = &types.ContainerOverrides{Command: []string{"fail"}}
				})
				in.DependsOn = []types.JobDependency{{JobId: &first}}
			},
		},
		{
			name: "array child failed", program: batchboxtest.Program{ExitCode: 1}, status: failed, reason: "Array Child Job failed", code: noCode,
			submit: func(_ *rig, in *batch.SubmitJobInput) {
				in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)}
			},
		},
		{
			name: "Fargate Spot", queue: "spot", program: batchboxtest.Program{Runs: time.Hour, IgnoresStop: true}, status: failed, reason: "Your Spot Task was interrupted.", code: 137,
			then: func(r *rig, id string) { r.WaitFor(id, types.JobStatusRunning); r.InterruptSpot(id) },
		},
		{name: "host lost", queue: "ec2", vcpu: "1", program: batchboxtest.Program{Runs: time.Minute, HostLost: true}, status: failed, reason: `^Host EC2 \(instance i-[0-9a-f]{17}\) terminated\.$`, code: noCode},
		{
			name: "pull, Fargate", program: batchboxtest.Program{CannotStart: "CannotPullContainerError: no such image"}, status: failed,
			reason: "CannotPullContainerError: no such image", of: "CannotPullContainerError: no such image", code: noCode,
		},
		{
			name: "pull, EC2", queue: "ec2", vcpu: "1", program: batchboxtest.Program{CannotStart: "CannotPullContainerError: no such image"}, status: failed,
			reason: "Task failed to start", of: "CannotPullContainerError: no such image", code: noCode,
		},
		{
			name: "secrets, Fargate", program: batchboxtest.Program{CannotStart: "ResourceInitializationError: no such secret"}, status: failed,
			reason: "ResourceInitializationError: no such secret", of: "ResourceInitializationError: no such secret", code: noCode,
		},
		{
			name: "cannot start", program: batchboxtest.Program{CannotStart: "CannotStartContainerError: no such file"}, status: failed,
			reason: "Task failed to start", of: "CannotStartContainerError: no such file", code: noCode,
		},
		{
			name: "log group", status: failed, code: noCode,
			reason: `^ResourceInitializationError: .*The specified log group does not exist`, of: `^ResourceInitializationError: `,
			submit: func(r *rig, in *batch.SubmitJobInput) {
				r.define("logging", func(jd *batch.RegisterJobDefinitionInput) {
					jd.ContainerProperties.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "none"}}
				})
				in.JobDefinition = aws.String("logging")
			},
		},
		{
			name: "overrides too long", status: failed, reason: "Container Overrides length must be at most 8192", code: noCode,
			submit: func(_ *rig, in *batch.SubmitJobInput) {
				in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("LONG"), Value: aws.String(strings.Repeat("x", 8192))}}}
			},
		},
		{
			name: "too many tags to propagate", status: failed, reason: "Combined number of tags of the job and the job definition must be at most 50", code: noCode,
			submit: func(r *rig, in *batch.SubmitJobInput) {
				tags := func(prefix string) map[string]string {
					m := map[string]string{}
					for i := range 26 {
						m[fmt.Sprint(prefix, i)] = "v"
					}
					return m
				}
				r.define("tagged", func(jd *batch.RegisterJobDefinitionInput) { jd.Tags = tags("definition") })
				in.JobDefinition, in.Tags, in.PropagateTags = aws.String("tagged"), tags("job"), aws.Bool(true)
			},
		},
		{
			name: "too large", vcpu: "16", status: runnable, code: noCode, then: func(r *rig, id string) { r.WaitFor(id, runnable); r.Advance(0) },
			reason: "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.",
		},
		{
			name: "time limit", queue: "limited", vcpu: "16", status: failed, code: noCode,
			reason: "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
				if len(c.Command) == 1 && c.Command[0] == "fail" {
					return batchboxtest.Program{ExitCode: 1}
				}
				return tc.program
			})
			memory := map[string]string{"": "512", "1": "2048", "16": "32768"}[tc.vcpu]
			r.Queue("fargate")
			r.Queue("spot", types.CRTypeFargateSpot)
			r.Queue("ec2", types.CRTypeEc2)
			r.Queue("limited")
			for _, ce := range []string{"fargate-1", "limited-1"} {
				if _, err := r.client.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{
					ComputeEnvironment: &ce, ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(4)},
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := r.client.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: aws.String("limited"), JobStateTimeLimitActions: []types.JobStateTimeLimitAction{{
				Action: types.JobStateTimeLimitActionsActionCancel, MaxTimeSeconds: aws.Int32(600), State: types.JobStateTimeLimitActionsStateRunnable,
				Reason: aws.String("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"),
			}}}); err != nil {
				t.Fatal(err)
			}
			r.define("reason", func(jd *batch.RegisterJobDefinitionInput) {
				if tc.queue == "ec2" {
					jd.PlatformCapabilities, jd.ContainerProperties.ExecutionRoleArn = nil, nil
				}
				if tc.vcpu != "" {
					jd.ContainerProperties.ResourceRequirements[0].Value = &tc.vcpu
				}
				jd.ContainerProperties.ResourceRequirements[1].Value = &memory
			})
			id := r.submit(func(in *batch.SubmitJobInput) {
				in.JobDefinition, in.JobQueue = aws.String("reason"), aws.String("fargate")
				if tc.queue != "" {
					in.JobQueue = &tc.queue
				}
				if tc.submit != nil {
					tc.submit(r, in)
				}
			})
			if tc.then != nil {
				tc.then(r, id)
			}
			wait := r.Wait
			if tc.status == runnable {
				wait = func(id string) types.JobDetail { return r.WaitFor(id, runnable) }
			}
			job := wait(id)
			reason, code := "", int32(noCode)
			if job.Container != nil {
				reason = aws.ToString(job.Container.Reason)
				if job.Container.ExitCode != nil {
					code = *job.Container.ExitCode
				}
			}
			if job.Status != tc.status || !same(aws.ToString(job.StatusReason), tc.reason) || !same(reason, tc.of) || code != tc.code {
				t.Errorf("%s, %q, container %q, exit code %d;\nwant %s, %q, %q, %d", job.Status, aws.ToString(job.StatusReason), reason, code, tc.status, tc.reason, tc.of, tc.code)
			}
			// An attempt has the reasons of its job (reference 3.5).
			if n := len(job.Attempts); n > 0 {
				if last := job.Attempts[n-1]; aws.ToString(last.StatusReason) != aws.ToString(job.StatusReason) || aws.ToString(last.Container.Reason) != reason {
					t.Errorf("the attempt has %q and %q", aws.ToString(last.StatusReason), aws.ToString(last.Container.Reason))
				}
			}
		})
	}
}

func same(got, want string) bool {
	if len(want) > 0 && want[0] == '^' {
		return regexp.MustCompile(want).MatchString(got)
	}
	return got == want
}
