package batchboxtest_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/batchboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a box with what a submission needs.
type rig struct {
	*testing.T
	*batchboxtest.Box
	client *batch.Client
}

func simulate(t *testing.T, program func(batchboxtest.Container) batchboxtest.Program, options ...batchboxtest.Option) *rig {
	t.Helper()
	t.Parallel()
	options = append([]batchboxtest.Option{batchboxtest.Simulate(program), batchboxtest.At(epoch)}, options...)
	box := batchboxtest.Start(t, options...)
	r := &rig{T: t, Box: box, client: batch.NewFromConfig(box.AWSConfig())}
	box.Queue("q")
	r.define("job", nil)
	return r
}

func (r *rig) define(name string, edit func(*batch.RegisterJobDefinitionInput)) {
	r.Helper()
	in := &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("any/image:v1"), Command: []string{"work", "--hard"}, ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/exec"),
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")}},
		},
	}
	if edit != nil {
		edit(in)
	}
	if _, err := r.client.RegisterJobDefinition(r.Context(), in); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) submit(edit func(*batch.SubmitJobInput)) string {
	r.Helper()
	in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("job")}
	if edit != nil {
		edit(in)
	}
	out, err := r.client.SubmitJob(r.Context(), in)
	if err != nil {
		r.Fatal(err)
	}
	return *out.JobId
}

func ms(at time.Time) int64 { return at.UnixMilli() }

// Retries of five hours each take no time, and every time stamp is the simulation's.
func TestSimulatedRetries(t *testing.T) {
	r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
		if c.Attempt < 3 {
			return batchboxtest.Program{Runs: 5 * time.Hour, ExitCode: 75, Output: fmt.Sprintf("attempt %d: %s %v\n", c.Attempt, c.Image, c.Command)}
		}
		return batchboxtest.Program{Runs: time.Hour}
	})
	id := r.submit(func(in *batch.SubmitJobInput) {
		in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(5), EvaluateOnExit: []types.EvaluateOnExit{
			{OnExitCode: aws.String("75"), Action: types.RetryActionRetry}, {OnReason: aws.String("*"), Action: types.RetryActionExit},
		}}
	})
	job := r.Wait(id)
	if job.Status != types.JobStatusSucceeded || len(job.Attempts) != 3 {
		t.Fatalf("%s after %d attempts", job.Status, len(job.Attempts))
	}
	for i, want := range []time.Time{epoch.Add(5 * time.Hour), epoch.Add(10 * time.Hour), epoch.Add(11 * time.Hour)} {
		if got := *job.Attempts[i].StoppedAt; got != ms(want) {
			t.Errorf("attempt %d stopped at %v, want %v", i+1, time.UnixMilli(got).UTC(), want)
		}
	}
	if *job.CreatedAt != ms(epoch) || !r.Now().Equal(epoch.Add(11*time.Hour)) {
		t.Errorf("created at %d; now it is %v", *job.CreatedAt, r.Now())
	}
	if got, want := r.Logs(id), []string{"attempt 1: any/image:v1 [work --hard]", "attempt 2: any/image:v1 [work --hard]"}; !slices.Equal(got, want) {
		t.Errorf("log %q, want %q", got, want)
	}
}

// A rule EXIT ends the job although attempts are left.
func TestSimulatedExitRule(t *testing.T) {
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program { return batchboxtest.Program{ExitCode: 2} })
	id := r.submit(func(in *batch.SubmitJobInput) {
		in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(10), EvaluateOnExit: []types.EvaluateOnExit{{OnExitCode: aws.String("2"), Action: types.RetryActionExit}}}
	})
	if job := r.Wait(id); job.Status != types.JobStatusFailed || len(job.Attempts) != 1 {
		t.Errorf("%s after %d attempts", job.Status, len(job.Attempts))
	}
}

// Timeout, stop signal, grace, SIGKILL: to the second.
func TestSimulatedTimeout(t *testing.T) {
	r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
		switch c.JobName {
		case "stubborn":
			return batchboxtest.Program{Runs: batchboxtest.Forever, IgnoresStop: true}
		case "orderly":
			return batchboxtest.Program{Runs: batchboxtest.Forever, OnStop: &batchboxtest.Stop{After: 7 * time.Second, ExitCode: 9}}
		default:
			return batchboxtest.Program{Runs: batchboxtest.Forever}
		}
	})
	for _, tc := range []struct {
		name string
		ends time.Duration
		code int32
	}{{"stubborn", 90 * time.Second, 137}, {"orderly", 67 * time.Second, 9}, {"plain", 60 * time.Second, 143}} {
		began := r.Now()
		id := r.submit(func(in *batch.SubmitJobInput) {
			in.JobName = &tc.name
			in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)}
			in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(3)}
		})
		job := r.Wait(id)
		if got := r.Now().Sub(began); got != tc.ends {
			t.Errorf("%s: ended after %v, want %v", tc.name, got, tc.ends)
		}
		if job.Status != types.JobStatusFailed || aws.ToString(job.StatusReason) != "Job attempt duration exceeded timeout" || len(job.Attempts) != 1 || aws.ToInt32(job.Container.ExitCode) != tc.code {
			t.Errorf("%s: %s (%s), %d attempts, exit code %d", tc.name, job.Status, aws.ToString(job.StatusReason), len(job.Attempts), aws.ToInt32(job.Container.ExitCode))
		}
	}
}

// Advance stops where it is told to, and between two steps everything is done.
func TestAdvance(t *testing.T) {
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program { return batchboxtest.Program{Runs: 10 * time.Minute} }, batchboxtest.MaxContainers(1))
	first, second := r.submit(nil), r.submit(nil)
	status := func(id string) types.JobStatus {
		out, err := r.client.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Jobs[0].Status
	}
	r.Advance(0)
	if a, b := status(first), status(second); a != types.JobStatusRunning || b != types.JobStatusRunnable {
		t.Errorf("at first: %s, %s", a, b)
	}
	r.Advance(9*time.Minute + 59*time.Second)
	if a := status(first); a != types.JobStatusRunning {
		t.Errorf("after 9:59: %s", a)
	}
	r.Advance(time.Second)
	if a, b := status(first), status(second); a != types.JobStatusSucceeded || b != types.JobStatusRunning {
		t.Errorf("after 10:00: %s, %s", a, b)
	}
	r.Advance(24 * time.Hour)
	if b := status(second); b != types.JobStatusSucceeded {
		t.Errorf("a day later: %s", b)
	}
}

func TestSimulatedSpot(t *testing.T) {
	var runs atomic.Int32
	r := simulate(t, func(batchboxtest.Container) batchboxtest.Program {
		runs.Add(1)
		return batchboxtest.Program{Runs: time.Hour, IgnoresStop: true}
	}, batchboxtest.SpotWindow(20*time.Second))
	r.Queue("spot", types.CRTypeFargateSpot, types.CRTypeFargate)
	id := r.submit(func(in *batch.SubmitJobInput) {
		in.JobQueue = aws.String("spot")
		in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{
			{OnStatusReason: aws.String("Your Spot Task was interrupted*"), Action: types.RetryActionRetry}, {OnReason: aws.String("*"), Action: types.RetryActionExit},
		}}
	})
	r.WaitFor(id, types.JobStatusRunning)
	r.Advance(30 * time.Minute)
	r.InterruptSpot(id)
	job := r.Wait(id)
	if job.Status != types.JobStatusSucceeded || len(job.Attempts) != 2 || aws.ToString(job.Attempts[0].StatusReason) != "Your Spot Task was interrupted." {
		t.Fatalf("%s, attempts %+v", job.Status, job.Attempts)
	}
	if got, want := r.Now().Sub(epoch), 90*time.Minute+20*time.Second; got != want || runs.Load() != 2 {
		t.Errorf("over after %v in %d runs, want %v in 2", got, runs.Load(), want)
	}
}

// Arrays, dependencies and start failures, in one: the child that can't start fails what depends on the array.
func TestSimulatedArray(t *testing.T) {
	r := simulate(t, func(c batchboxtest.Container) batchboxtest.Program {
		if c.Index == 1 {
			return batchboxtest.Program{CannotStart: "CannotPullContainerError: no such image"}
		}
		return batchboxtest.Program{Runs: time.Minute, Output: "child " + c.Env["AWS_BATCH_JOB_ARRAY_INDEX"] + "\n"}
	})
	array := r.submit(func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(3)} })
	after := r.submit(func(in *batch.SubmitJobInput) { in.DependsOn = []types.JobDependency{{JobId: &array}} })
	if job := r.Wait(after); job.Status != types.JobStatusFailed || aws.ToString(job.StatusReason) != "Dependent Job failed" {
		t.Errorf("dependent: %s (%s)", job.Status, aws.ToString(job.StatusReason))
	}
	parent := r.Wait(array)
	if s := parent.ArrayProperties.StatusSummary; s["SUCCEEDED"] != 2 || s["FAILED"] != 1 {
		t.Errorf("summary %v", s)
	}
	if child := r.Wait(array + ":1"); !strings.Contains(aws.ToString(child.Container.Reason)+aws.ToString(child.StatusReason), "CannotPullContainerError: no such image") {
		t.Errorf("child 1: %s, %s", aws.ToString(child.StatusReason), aws.ToString(child.Container.Reason))
	}
	if got := r.Logs(array + ":2"); !slices.Equal(got, []string{"child 2"}) {
		t.Errorf("log of child 2: %q", got)
	}
}

// A million seconds of many jobs give the same end every time.
func TestSimulationIsDeterministic(t *testing.T) {
	run := func(t *testing.T) string {
		box := batchboxtest.Start(t, batchboxtest.At(epoch), batchboxtest.MaxContainers(7), batchboxtest.SpotInterruptions(1, 42),
			batchboxtest.Simulate(func(c batchboxtest.Container) batchboxtest.Program {
				return batchboxtest.Program{Runs: time.Duration(c.Index*37%900+1) * time.Second, ExitCode: c.Index * c.Attempt % 3}
			}))
		r := &rig{T: t, Box: box, client: batch.NewFromConfig(box.AWSConfig())}
		r.Queue("q", types.CRTypeFargateSpot)
		r.define("job", nil)
		id := r.submit(func(in *batch.SubmitJobInput) {
			in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(60)}
			in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(4)}
		})
		r.Wait(id)
		var trace strings.Builder
		for i := range 60 {
			child := r.Wait(fmt.Sprintf("%s:%d", id, i))
			fmt.Fprintf(&trace, "%d %s %d", i, child.Status, *child.StoppedAt-*child.CreatedAt)
			for _, a := range child.Attempts {
				fmt.Fprintf(&trace, " %d", *a.StoppedAt-*child.CreatedAt)
			}
			trace.WriteByte('\n')
		}
		return trace.String()
	}
	t.Parallel()
	first := run(t)
	if second := run(t); first != second {
		t.Errorf("two runs differ:\n%s\n%s", first, second)
	}
	if !strings.Contains(first, "FAILED") || !strings.Contains(first, "SUCCEEDED") {
		t.Errorf("nothing much happened:\n%s", first)
	}
}
