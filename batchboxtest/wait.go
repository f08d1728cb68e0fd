package batchboxtest

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/cli/joblog"
	"github.com/batchbox/batchbox/internal/control"
)

// Wait waits until a job, a child or a node has ended, and returns it. In a simulation time passes as it has to; when
// nothing is left that could end the job, the test ends with what it waits for.
func (b *Box) Wait(id string) types.JobDetail {
	b.t.Helper()
	return b.wait(id, types.JobStatusSucceeded, types.JobStatusFailed)
}

// WaitFor waits until a job, a child or a node has been in a status, which it may have left again, and returns it as it is
// then. A job that ends without it ends the test.
func (b *Box) WaitFor(id string, status types.JobStatus) types.JobDetail {
	b.t.Helper()
	return b.wait(id, status)
}

func (b *Box) wait(id string, statuses ...types.JobStatus) types.JobDetail {
	b.t.Helper()
	ctx := b.t.Context()
	if t, ok := b.t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := t.Deadline(); ok {
			// Early enough to say what has been waited for.
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, at.Add(-time.Until(at)/20))
			defer cancel()
		}
	}
	b.describe(ctx, id) // there is such a job
	ends := append([]types.JobStatus{types.JobStatusSucceeded, types.JobStatusFailed}, statuses...)
	over := func() bool { return b.history.was(id, ends...) }
	err := b.until(ctx, over)
	if b.history.was(id, statuses...) {
		return b.describe(b.t.Context(), id)
	}
	if err == nil {
		err = fmt.Errorf("it never was %s", statuses[0])
	}
	job := b.describe(b.t.Context(), id)
	b.t.Fatalf("batchboxtest: job %s (%s) is %s (%s): %v", id, aws.ToString(job.JobName), job.Status, aws.ToString(job.StatusReason), err)
	return job
}

// until waits until over says so; the error is why it never will.
func (b *Box) until(ctx context.Context, over func() bool) error {
	if b.clock != nil {
		end := b.clock.Now().Add(longest)
		switch reached, err := b.advance(ctx, end, over); {
		case err != nil || reached:
			return err
		case b.clock.next().IsZero():
			return fmt.Errorf("nothing is left that could change it")
		default:
			return fmt.Errorf("it has not changed in %v", longest)
		}
	}
	return b.history.until(ctx, over)
}

// longest is the simulated time after which a wait gives up.
const longest = 366 * 24 * time.Hour

// Advance lets so much of a simulation's time pass: what falls due happens in its order, and all that follows from it is
// done before the next. It ends the test without Simulate.
func (b *Box) Advance(d time.Duration) {
	b.t.Helper()
	if b.clock == nil {
		b.t.Fatal("batchboxtest: time can be advanced in a simulation only")
	}
	to := b.clock.Now().Add(d)
	_, err := b.advance(b.t.Context(), to, func() bool { return false })
	b.must(err)
	b.clock.move(to)
}

// advance goes from one thing that is due to the next, up to a time, until over says so; else reached is false.
func (b *Box) advance(ctx context.Context, to time.Time, over func() bool) (reached bool, err error) {
	for {
		due, err := b.server.Settle(ctx)
		if err != nil {
			return false, err
		}
		if err := b.history.update(ctx); err != nil {
			return false, err
		}
		if over() {
			return true, nil
		}
		if at := b.clock.next(); due.IsZero() || !at.IsZero() && at.Before(due) {
			due = at
		}
		if due.IsZero() || due.After(to) {
			return false, nil
		}
		b.clock.move(due)
	}
}

// Logs is what a job, a child or a node has written, in all its attempts: the lines of its log in CloudWatch Logs.
func (b *Box) Logs(id string) []string {
	b.t.Helper()
	var lines []string
	r := joblog.New(b.batch, cloudwatchlogs.NewFromConfig(b.config), id)
	b.must(r.All(b.t.Context(), func(l joblog.Line) error {
		lines = append(lines, l.Text)
		return nil
	}))
	return lines
}

// InterruptSpot reclaims the Spot capacity under a job that runs on it, as AWS does now and then: the program gets the
// stop signal, and the attempt ends with AWS's reason. Of an array, that is each child that runs.
func (b *Box) InterruptSpot(id string) {
	b.t.Helper()
	_, err := control.InterruptSpot(b.t.Context(), nil, b.URL(), control.SpotInterruptRequest{Job: id})
	b.must(err)
}
