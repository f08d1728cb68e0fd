package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// readLogs gives every child that has a log stream a scanner that has read it.
//
// On AWS, log lines arrive some time after they were written, and an account has few reads a second. So all streams are
// read together, by the prefix they share, and those still without what they must have are read again after growing
// pauses: together as long as they are many, one by one when they are few. What has not come when the time is over is
// for check to report; the time counts for calls that are throttled too.
func (r *runner) readLogs(ctx context.Context, job types.JobDetail, children []*child) error {
	target, err := logTarget(children)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(r.logTimeout)
	soon := time.Now().Add(min(r.logTimeout, 5*time.Second))
	// A read that is under way when the time is over may end: what has come is in it.
	ctx, cancel := context.WithDeadlineCause(ctx, deadline.Add(max(r.logTimeout/4, 5*time.Second)), fmt.Errorf("no answer within the %v of --log-timeout", r.logTimeout))
	defer cancel()
	clocks := time.Minute.Milliseconds() // may differ by this
	when := interval{from: aws.ToInt64(job.CreatedAt) - clocks}
	if job.StoppedAt != nil { // of a busy group the rest is not ours
		when.to = *job.StoppedAt + clocks
	}
	pending := slices.DeleteFunc(slices.Clone(children), func(c *child) bool { return c.stream() == "" })
	const few = 20
	for pass, pause := 1, 200*time.Millisecond; len(pending) > 0; pass, pause = pass+1, min(2*pause, 10*time.Second) {
		if pass == 1 || len(pending) > few {
			err = r.readTogether(ctx, target, when, pending)
		} else {
			for _, c := range pending {
				if err = r.readOne(ctx, target, c); err != nil {
					break
				}
			}
		}
		if err != nil {
			for _, c := range pending {
				c.log = nil // half a log says nothing
			}
			if cause := context.Cause(ctx); cause != nil {
				err = fmt.Errorf("read logs: %w", cause)
			}
			return err
		}
		now := time.Now()
		pending = slices.DeleteFunc(pending, func(c *child) bool {
			if c.detail.Status != types.JobStatusSucceeded { // it need not have printed anything
				return c.log.lines > 0 || now.After(soon)
			}
			return len(c.log.results) > 0
		})
		if now.After(deadline) {
			break
		}
		if len(pending) > 0 {
			if err := sleep(ctx, pause); err != nil {
				return fmt.Errorf("read logs: %w", err)
			}
		}
	}
	return nil
}

// interval is when a job's lines may have been written, in ms; to is 0 if that is open.
type interval struct{ from, to int64 }

// target is where the children log to.
type target struct {
	group  string
	region func(*cloudwatchlogs.Options)
}

func logTarget(children []*child) (target, error) {
	t := target{group: "/aws/batch/job", region: func(*cloudwatchlogs.Options) {}} // AWS Batch's default
	for _, c := range children {
		if c.detail.Container == nil || c.detail.Container.LogConfiguration == nil {
			continue
		}
		l := c.detail.Container.LogConfiguration // one for all children
		if l.LogDriver != types.LogDriverAwslogs {
			return t, fmt.Errorf("the job logs by %s: only logs in CloudWatch Logs (awslogs) can be checked", l.LogDriver)
		}
		if group := l.Options["awslogs-group"]; group != "" {
			t.group = group
		}
		if region := l.Options["awslogs-region"]; region != "" {
			t.region = func(o *cloudwatchlogs.Options) { o.Region = region }
		}
		break
	}
	return t, nil
}

func (r *runner) readTogether(ctx context.Context, t target, when interval, pending []*child) error {
	byStream := make(map[string]*child, len(pending))
	prefix := pending[0].stream()
	for _, c := range pending {
		c.log = new(scanner)
		byStream[c.stream()] = c
		n := 0
		for n < len(prefix) && n < len(c.stream()) && prefix[n] == c.stream()[n] {
			n++
		}
		prefix = prefix[:n]
	}
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &t.group, StartTime: aws.Int64(max(when.from, 0))}
	if when.to != 0 {
		in.EndTime = &when.to
	}
	if prefix != "" {
		in.LogStreamNamePrefix = &prefix
	}
	seen := make(map[string]bool)
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.logs, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, t.region)
		if missing := new(logtypes.ResourceNotFoundException); errors.As(err, &missing) {
			return nil // the group is made with the first stream
		}
		if err != nil {
			return fmt.Errorf("read logs: %w", err)
		}
		for _, e := range page.Events {
			// Lines that arrive while the pages are turned may push others to the next page too.
			if id := aws.ToString(e.EventId); id != "" {
				if seen[id] {
					continue
				}
				seen[id] = true
			}
			if c := byStream[aws.ToString(e.LogStreamName)]; c != nil {
				c.log.add(aws.ToString(e.Message))
			}
		}
	}
	return nil
}

func (r *runner) readOne(ctx context.Context, t target, c *child) error {
	c.log = new(scanner)
	pages := cloudwatchlogs.NewGetLogEventsPaginator(r.logs, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &t.group, LogStreamName: aws.String(c.stream()), StartFromHead: aws.Bool(true),
	}, func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, t.region)
		if missing := new(logtypes.ResourceNotFoundException); errors.As(err, &missing) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log stream %s: %w", c.stream(), err)
		}
		for _, e := range page.Events {
			c.log.add(aws.ToString(e.Message))
		}
	}
	return nil
}
