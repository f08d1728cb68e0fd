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
// for check to report.
func (r *runner) readLogs(ctx context.Context, job types.JobDetail, children []*child) error {
	target, err := logTarget(children)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(r.logTimeout)
	soon := time.Now().Add(min(r.logTimeout, 5*time.Second))
	since := aws.ToInt64(job.CreatedAt) - time.Minute.Milliseconds() // clocks differ
	pending := slices.DeleteFunc(slices.Clone(children), func(c *child) bool { return c.stream() == "" })
	const few = 20
	for pass, pause := 1, 200*time.Millisecond; len(pending) > 0; pass, pause = pass+1, min(2*pause, 10*time.Second) {
		if pass == 1 || len(pending) > few {
			err = r.readTogether(ctx, target, since, pending)
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

func (r *runner) readTogether(ctx context.Context, t target, since int64, pending []*child) error {
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
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &t.group, StartTime: aws.Int64(max(since, 0))}
	if prefix != "" {
		in.LogStreamNamePrefix = &prefix
	}
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
