package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/control"
)

// engine is a batchbox engine under measurement.
type engine struct {
	cmd   *exec.Cmd
	dir   string
	url   string
	took  time.Duration // from the start of the process to its first answer
	batch *batch.Client
	logs  *cloudwatchlogs.Client
	env   []string
}

// start starts an engine with an empty data directory and the runtime of the flag --runtime, and waits until it answers.
func (b *bench) start(ctx context.Context, flags ...string) (*engine, error) {
	return b.startWith(ctx, b.runtime, flags...)
}

func (b *bench) startWith(ctx context.Context, runtime string, flags ...string) (*engine, error) {
	dir, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	return b.startIn(ctx, dir, runtime, flags...)
}

// startIn starts an engine on a data directory and waits until it answers.
func (b *bench) startIn(ctx context.Context, dir, runtime string, flags ...string) (*engine, error) {
	e := &engine{dir: dir}
	e.cmd = exec.CommandContext(ctx, b.batchbox, append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--runtime", runtime}, flags...)...)
	e.cmd.Cancel = func() error { return e.cmd.Process.Signal(syscall.SIGTERM) }
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the engine ended before it was ready: %w", err), e.cmd.Wait())
	}
	e.url = strings.TrimSpace(line)
	if err := (control.Engine{URL: e.url}).Healthy(ctx); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	e.took = time.Since(begin)
	cfg, err := awsclient.Load(ctx, awsclient.Options{Endpoint: e.url, Region: awsclient.DefaultRegion})
	if err != nil {
		return nil, errors.Join(err, e.stop())
	}
	e.batch, e.logs = batch.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	e.env = append(os.Environ(), "AWS_ENDPOINT_URL="+e.url, "AWS_REGION="+awsclient.DefaultRegion, "AWS_ACCESS_KEY_ID="+awsclient.MadeUp, "AWS_SECRET_ACCESS_KEY="+awsclient.MadeUp)
	return e, nil
}

func (e *engine) stop() error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return e.cmd.Wait()
}

// stack makes a queue called "bench" and a job definition of the workload.
func (b *bench) stack(ctx context.Context, e *engine) error {
	for _, args := range [][]string{
		{"image", "build", "./apps/batchworker", "-t", "batchworker:latest", "--platform", "host"},
		{"apply", "-f", "infra/local"},
	} {
		cmd := exec.CommandContext(ctx, b.batchbox, args...)
		cmd.Env = e.env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("batchbox %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// with runs do on an engine that has the stack, and stops the engine.
func (b *bench) with(ctx context.Context, runtime string, do func(*engine) error, flags ...string) error {
	e, err := b.startWith(ctx, runtime, flags...)
	if err != nil {
		return err
	}
	err = b.stack(ctx, e)
	if err == nil {
		err = do(e)
	}
	return errors.Join(err, e.stop())
}

// The names of infra/local.
const (
	queueName      = "batchbox-local"
	definitionName = "batchworker"
)

// submit submits a job with an input, an array if size is over 1.
func (e *engine) submit(ctx context.Context, input string, size int) (string, error) {
	in := &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: aws.String(queueName), JobDefinition: aws.String(definitionName),
		ContainerOverrides: &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: &input}}}}
	if size > 1 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(size))}
	}
	out, err := e.batch.SubmitJob(ctx, in)
	if err != nil {
		return "", err
	}
	return *out.JobId, nil
}

func (e *engine) describe(ctx context.Context, id string) (types.JobDetail, error) {
	out, err := e.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
	if err != nil {
		return types.JobDetail{}, err
	}
	if len(out.Jobs) != 1 {
		return types.JobDetail{}, fmt.Errorf("job %s is not there", id)
	}
	return out.Jobs[0], nil
}

var errFailed = errors.New("FAILED")

// wait polls until the job has SUCCEEDED.
func (e *engine) wait(ctx context.Context, id string, pause time.Duration) (types.JobDetail, error) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		job, err := e.describe(ctx, id)
		if err != nil {
			return types.JobDetail{}, err
		}
		switch job.Status {
		case types.JobStatusSucceeded:
			return job, nil
		case types.JobStatusFailed:
			return job, fmt.Errorf("job %s %w: %s", id, errFailed, aws.ToString(job.StatusReason))
		}
		select {
		case <-ctx.Done():
			return types.JobDetail{}, ctx.Err()
		case <-ticker.C:
		}
	}
}

// processes are the engine's and its supervisor's.
func (e *engine) processes() []int {
	return append([]int{e.cmd.Process.Pid}, children(e.cmd.Process.Pid, filepath.Base(e.cmd.Path))...)
}
