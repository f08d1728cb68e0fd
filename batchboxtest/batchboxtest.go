// Package batchboxtest runs AWS Batch inside a Go test: Start gives the test an engine of its own and an aws.Config for it.
//
// There are two kinds of test. By default jobs run for real: the image's program is started as a process of this machine,
// in the machine's time (Box.Build makes an image of a Go program). With Simulate no program is started: a function of the
// test says what each container does, and time stands still save where the test lets it pass, so that a job of ten hours
// with three retries is over at once, the same way each time:
//
//	func TestRetries(t *testing.T) {
//		box := batchboxtest.Start(t, batchboxtest.Simulate(func(c batchboxtest.Container) batchboxtest.Program {
//			if c.Attempt < 3 {
//				return batchboxtest.Program{Runs: 5 * time.Hour, ExitCode: 75}
//			}
//			return batchboxtest.Program{Runs: time.Hour}
//		}))
//		client := batch.NewFromConfig(box.AWSConfig())
//		// ... register the job definition to test, submit a job of it to box.Queue("q") ...
//		job := box.Wait(id)
//		if job.Status != types.JobStatusSucceeded || len(job.Attempts) != 3 {
//			t.Errorf("%s after %d attempts", job.Status, len(job.Attempts))
//		}
//	}
//
// All rules are AWS's, as the engine has them. Options that relax one of them, such as LeastTimeout, say so: with them a
// test accepts what AWS would refuse.
//
// The engine listens on a free port of the loopback interface, keeps its state in a temporary directory, and ends with the
// test, its containers included. Any AWS SDK or CLI works against Box.URL. Errors of Box's methods end the test, so they
// are for the test's goroutine.
package batchboxtest

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/server"
)

// Box is a running engine.
type Box struct {
	t      testing.TB
	server *server.Server
	config aws.Config
	batch  *batch.Client
	clock  *clock // nil without Simulate

	history *history
}

// Start starts an engine; the test's end stops it. What the engine has to warn of goes to the test's log.
func Start(t testing.TB, options ...Option) *Box {
	t.Helper()
	var o settings
	o.config = server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, InProcess: &server.InProcess{}, Runtime: "process",
		Account: "123456789012", Region: server.DefaultRegion,
		Events: server.EventsConfig{Keep: math.MaxInt64 / 2},
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, option := range options {
		option(&o)
	}
	b := &Box{t: t}
	o.simulate(b)
	var err error
	if b.server, err = server.Start(t.Context(), o.config); err != nil {
		t.Fatalf("batchboxtest: %v", err)
	}
	b.config = awsclient.For(b.server.URL(), o.config.Account, o.config.Region)
	t.Cleanup(func() {
		if c, ok := b.config.HTTPClient.(*http.Client); ok {
			c.CloseIdleConnections()
		}
		if err := b.server.Close(); err != nil {
			t.Errorf("batchboxtest: stopping the engine: %v", err)
		}
	})
	b.batch = batch.NewFromConfig(b.config)
	b.history = newHistory(b.server.Events())
	return b
}

// testLog is a test's log as a writer.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("engine: %s", bytes.TrimSpace(p))
	return len(p), nil
}

// In is the same box for a subtest, which its errors then end. Subtests may run at once; in a simulation all of them see the
// time that one of them moves.
func (b *Box) In(t testing.TB) *Box {
	other := *b
	other.t = t
	return &other
}

// URL is the engine's endpoint, for AWS_ENDPOINT_URL.
func (b *Box) URL() string { return b.server.URL() }

// AWSConfig is the configuration for clients of the AWS SDK: batch.NewFromConfig(box.AWSConfig()). It does not depend on
// the environment or on files.
func (b *Box) AWSConfig() aws.Config { return b.config.Copy() }

// Queue makes a job queue with a compute environment for each of the types, tried in this order; FARGATE if there is none.
// Each has room for 1,000 vCPUs. The name is the queue's, which is returned, and with a number after it the environments'.
func (b *Box) Queue(name string, of ...types.CRType) string {
	b.t.Helper()
	if len(of) == 0 {
		of = []types.CRType{types.CRTypeFargate}
	}
	ctx := b.t.Context()
	queue := &batch.CreateJobQueueInput{JobQueueName: &name, Priority: aws.Int32(1)}
	for i, t := range of {
		ce := name + "-" + string(rune('1'+i))
		resources := &types.ComputeResource{
			Type: t, MaxvCpus: aws.Int32(1000), Subnets: []string{"default"}, SecurityGroupIds: []string{"default"},
		}
		if t == types.CRTypeEc2 || t == types.CRTypeSpot {
			resources.MinvCpus = aws.Int32(0)
			resources.InstanceTypes = []string{"optimal"}
			resources.InstanceRole = aws.String("ecsInstanceRole")
			resources.AllocationStrategy = types.CRAllocationStrategyBestFitProgressive
		}
		_, err := b.batch.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
			ComputeEnvironmentName: &ce, Type: types.CETypeManaged, ComputeResources: resources,
		})
		b.must(err)
		queue.ComputeEnvironmentOrder = append(queue.ComputeEnvironmentOrder, types.ComputeEnvironmentOrder{
			Order: aws.Int32(int32(i + 1)), ComputeEnvironment: &ce,
		})
	}
	_, err := b.batch.CreateJobQueue(ctx, queue)
	b.must(err)
	return name
}

// Now is the time: the simulation's with Simulate, else the machine's.
func (b *Box) Now() time.Time {
	if b.clock == nil {
		return time.Now()
	}
	return b.clock.Now()
}

func (b *Box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("batchboxtest: %v", err)
	}
}

// describe is the job, child or node as it is now.
func (b *Box) describe(ctx context.Context, id string) types.JobDetail {
	b.t.Helper()
	out, err := b.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
	b.must(err)
	if len(out.Jobs) == 0 {
		b.t.Fatalf("batchboxtest: there is no job %s", id)
	}
	return out.Jobs[0]
}
