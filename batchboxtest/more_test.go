package batchboxtest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/batchboxtest"
)

// Real processes: the sample worker, its timeout of a second and its retry, with the rules that allow that.
func TestProcesses(t *testing.T) {
	t.Parallel()
	box := batchboxtest.Start(t, batchboxtest.LeastTimeout(1), batchboxtest.StopGrace(time.Second))
	client := batch.NewFromConfig(box.AWSConfig())
	r := &rig{T: t, Box: box, client: client}
	box.Queue("q")
	image := box.Build("../apps/batchworker", "batchworker:latest")
	r.define("job", func(in *batch.RegisterJobDefinitionInput) {
		in.ContainerProperties.Image, in.ContainerProperties.Command = &image, nil
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(1)}
	})
	input := func(text string) func(*batch.SubmitJobInput) {
		return func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: &text}}}
		}
	}
	good := r.submit(input(`{"message":"Hello!","items":["a"]}`))
	late := r.submit(input(`{"message":"Hello!","items":["a"],"knobs":{"sleep":"1h"}}`))
	// Others may wait for other jobs at the same time.
	t.Run("together", func(t *testing.T) {
		for _, id := range []string{good, late} {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				box.In(t).WaitFor(id, types.JobStatusRunning) // it may have ended by now: it was
			})
		}
	})
	if job := r.Wait(good); job.Status != types.JobStatusSucceeded {
		t.Errorf("%s (%s): %q", job.Status, aws.ToString(job.StatusReason), r.Logs(good))
	}
	if log := r.Logs(good); !slices.Contains(log, `  "item": "a",`) {
		t.Errorf("log %q", log)
	}
	if job := r.Wait(late); job.Status != types.JobStatusFailed || aws.ToString(job.StatusReason) != "Job attempt duration exceeded timeout" {
		t.Errorf("%s (%s): %q", job.Status, aws.ToString(job.StatusReason), r.Logs(late))
	}
}

// AWS's own rules hold where no option relaxes them.
func TestRulesAreAWS(t *testing.T) {
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program { return batchboxtest.Program{} })
	_, err := r.client.SubmitJob(t.Context(), &batch.SubmitJobInput{
		JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("job"), Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(59)},
	})
	if err == nil || !strings.Contains(err.Error(), "at least 60") {
		t.Errorf("a timeout of 59 s: %v", err)
	}
}

// The account and region that a box is given are those of its clients, of what they make and of the events it waits for.
func TestAccountAndRegion(t *testing.T) {
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program { return batchboxtest.Program{Runs: time.Hour} },
		batchboxtest.Account("111122223333"), batchboxtest.Region("eu-west-1"))
	job := r.Wait(r.submit(nil))
	if want := "arn:aws:batch:eu-west-1:111122223333:job/" + *job.JobId; *job.JobArn != want || job.Status != types.JobStatusSucceeded {
		t.Errorf("job %s %s, want %s SUCCEEDED", *job.JobArn, job.Status, want)
	}
}

// What can never happen ends the test, with the reason.
func TestWaitsThatFail(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		vcpu string
		wait types.JobStatus // "" for the end
		want string
	}{
		{"runs for ever", "0.25", "", "is RUNNING (): nothing is left that could change it"},
		{"fits nowhere", "4", "", "(MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.): nothing is left"},
		{"never fails", "0.25", types.JobStatusPending, "it never was PENDING"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			failures := run(func(s testing.TB) {
				box := batchboxtest.Start(s, batchboxtest.Simulate(func(batchboxtest.Container) batchboxtest.Program {
					if tc.wait != "" {
						return batchboxtest.Program{}
					}
					return batchboxtest.Program{Runs: batchboxtest.Forever}
				}))
				client := batch.NewFromConfig(box.AWSConfig())
				r := &rig{T: t, Box: box, client: client}
				box.Queue("q")
				if _, err := client.UpdateComputeEnvironment(context.Background(), &batch.UpdateComputeEnvironmentInput{
					ComputeEnvironment: aws.String("q-1"), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(2)},
				}); err != nil {
					s.Fatal(err)
				}
				r.define("job", func(in *batch.RegisterJobDefinitionInput) {
					in.ContainerProperties.ResourceRequirements[0].Value = &tc.vcpu
					if tc.vcpu == "4" {
						in.ContainerProperties.ResourceRequirements[1].Value = aws.String("8192")
					}
				})
				id := r.submit(nil)
				if tc.wait != "" {
					box.WaitFor(id, tc.wait)
					return
				}
				box.Wait(id)
			})
			if len(failures) != 1 || !strings.Contains(failures[0], tc.want) {
				t.Errorf("failures %q, want %q", failures, tc.want)
			}
		})
	}
}

// Containers of one job, in the order of their dependencies; an essential one's end is the job's.
func TestSimulatedContainers(t *testing.T) {
	r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
		return map[string]batchboxtest.Program{
			"setup": {Runs: 10 * time.Second}, "main": {Runs: time.Minute}, "proxy": {Runs: batchboxtest.Forever},
		}[c.Name]
	})
	r.define("several", func(in *batch.RegisterJobDefinitionInput) {
		role := in.ContainerProperties.ExecutionRoleArn
		in.ContainerProperties = nil
		of := func(name, vcpu, mib string, essential bool, deps ...types.TaskContainerDependency) types.TaskContainerProperties {
			return types.TaskContainerProperties{
				Name: &name, Image: aws.String("x"), Essential: &essential, DependsOn: deps,
				ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: &vcpu}, {Type: types.ResourceTypeMemory, Value: &mib}},
			}
		}
		in.EcsProperties = &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
			ExecutionRoleArn: role,
			Containers: []types.TaskContainerProperties{
				of("setup", "0.25", "512", false),
				of("proxy", "0.25", "512", false),
				of("main", "0.5", "1024", true,
					types.TaskContainerDependency{ContainerName: aws.String("setup"), Condition: aws.String("SUCCESS")},
					types.TaskContainerDependency{ContainerName: aws.String("proxy"), Condition: aws.String("START")}),
			},
		}}}
	})
	id := r.submit(func(in *batch.SubmitJobInput) { in.JobDefinition = aws.String("several") })
	job := r.Wait(id)
	if got := r.Now().Sub(epoch); job.Status != types.JobStatusSucceeded || got != 70*time.Second {
		t.Errorf("%s (%s) after %v", job.Status, aws.ToString(job.StatusReason), got)
	}
	codes := map[string]int32{}
	for _, c := range job.EcsProperties.TaskProperties[0].Containers {
		codes[*c.Name] = aws.ToInt32(c.ExitCode)
	}
	if codes["setup"] != 0 || codes["main"] != 0 || codes["proxy"] != 143 {
		t.Errorf("exit codes %v", codes)
	}
}

// A multi-node job: the main node's end is the job's.
func TestSimulatedNodes(t *testing.T) {
	r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
		if c.Node == 0 {
			return batchboxtest.Program{Runs: time.Hour}
		}
		return batchboxtest.Program{Runs: batchboxtest.Forever, Output: c.Env["AWS_BATCH_JOB_NUM_NODES"] + " nodes\n"}
	})
	r.Queue("nodes", types.CRTypeEc2)
	r.define("nodes", func(in *batch.RegisterJobDefinitionInput) {
		in.Type, in.PlatformCapabilities = types.JobDefinitionTypeMultinode, nil
		c := in.ContainerProperties
		c.ResourceRequirements[0].Value = aws.String("1")
		in.ContainerProperties = nil
		in.NodeProperties = &types.NodeProperties{
			NumNodes: aws.Int32(3), MainNode: aws.Int32(0), NodeRangeProperties: []types.NodeRangeProperty{{TargetNodes: aws.String("0:"), Container: c}},
		}
	})
	id := r.submit(func(in *batch.SubmitJobInput) {
		in.JobQueue, in.JobDefinition = aws.String("nodes"), aws.String("nodes")
	})
	if job := r.Wait(id); job.Status != types.JobStatusSucceeded || r.Now().Sub(epoch) != time.Hour {
		t.Errorf("%s (%s) at %v", job.Status, aws.ToString(job.StatusReason), r.Now())
	}
	if seen := r.Logs(id + "#2"); !slices.Equal(seen, []string{"3 nodes"}) {
		t.Errorf("log of node 2: %q", seen)
	}
}

// The queue's time limit follows the clock, in the middle of an Advance.
func TestSimulatedTimeLimit(t *testing.T) {
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program { return batchboxtest.Program{} })
	if _, err := r.client.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: aws.String("q"), JobStateTimeLimitActions: []types.JobStateTimeLimitAction{{
		Action: types.JobStateTimeLimitActionsActionCancel, MaxTimeSeconds: aws.Int32(600), State: types.JobStateTimeLimitActionsStateRunnable,
		Reason: aws.String("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"),
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String("q-1"), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(0)},
	}); err != nil {
		t.Fatal(err)
	}
	id := r.submit(nil)
	r.Advance(599 * time.Second)
	if job := r.WaitFor(id, types.JobStatusRunnable); job.Status != types.JobStatusRunnable {
		t.Errorf("after 599 s: %s", job.Status)
	}
	if job := r.Wait(id); job.Status != types.JobStatusFailed || r.Now().Sub(epoch) != 600*time.Second {
		t.Errorf("%s (%s) after %v", job.Status, aws.ToString(job.StatusReason), r.Now().Sub(epoch))
	}
}
