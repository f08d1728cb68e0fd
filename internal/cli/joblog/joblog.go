// Package joblog reads the log lines of a job: of a single one, of one array child, or of all children of an array in
// the order they were written.
package joblog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

// Line is one log line of a job.
type Line struct {
	// Child is the array index or, for a multi-node job, the node's, "" for a job that is its own.
	Child string
	Time  time.Time
	Text  string
}

// Reader reads the log of one job. All its attempts count.
type Reader struct {
	batch *batch.Client
	logs  *cloudwatchlogs.Client
	id    string

	group  string
	region string
	// streams are the log streams known, by name, with the child whose they are; finished are the children that will have
	// no more of them.
	streams  map[string]string
	finished map[string]bool
	// since is the start of the next read, in ms; seen holds the ids of events from then on that have been read.
	since int64
	seen  map[string]int64
}

// New makes a reader for a job, child or node by its id.
func New(b *batch.Client, l *cloudwatchlogs.Client, id string) *Reader {
	return &Reader{batch: b, logs: l, id: id, streams: make(map[string]string), finished: make(map[string]bool), seen: make(map[string]int64)}
}

// ErrNoLogs is returned for a job whose log does not go to CloudWatch Logs.
var ErrNoLogs = errors.New("the job's log does not go to CloudWatch Logs")

// defaultGroup is where AWS Batch logs to when the job definition does not say otherwise.
const defaultGroup = "/aws/batch/job"

// window is how long after their time events may still arrive: AWS takes its time, and several streams are read at once.
const window = 10 * time.Second

// All hands over the lines that are there now.
func (r *Reader) All(ctx context.Context, line func(Line) error) error {
	_, _, err := r.read(ctx, line)
	return err
}

// Follow hands over lines as they come, until the job has ended and its last lines have been read.
func (r *Reader) Follow(ctx context.Context, line func(Line) error) error {
	const calm = 2 // reads without anything new, after the job's end, that count as the end of its log
	quiet := 0
	pause := 50 * time.Millisecond
	for {
		lines, ended, err := r.read(ctx, line)
		if err != nil {
			return err
		}
		if lines > 0 {
			quiet, pause = 0, 50*time.Millisecond
		} else if ended {
			quiet++
		}
		if quiet >= calm {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		pause = min(pause*3/2, 2*time.Second)
	}
}

// read hands over what is new and says how many lines that was. ended says whether the job had ended before the read
// began.
func (r *Reader) read(ctx context.Context, line func(Line) error) (lines int, ended bool, err error) {
	out, err := r.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{r.id}})
	if err != nil {
		return 0, false, err
	}
	if len(out.Jobs) == 0 {
		return 0, false, fmt.Errorf("job %s does not exist", r.id)
	}
	job := out.Jobs[0]
	ended = watch.Final(job.Status)
	if r.group == "" {
		if err := r.place(job); err != nil {
			return 0, ended, err
		}
	}
	if err := r.findStreams(ctx, job); err != nil {
		return 0, ended, err
	}
	if len(r.streams) > 0 {
		lines, err = r.events(ctx, line)
	}
	return lines, ended, err
}

// place finds the log group.
func (r *Reader) place(job types.JobDetail) error {
	r.group = defaultGroup
	r.since = max(aws.ToInt64(job.CreatedAt)-time.Minute.Milliseconds(), 0) // clocks differ
	configs := []*types.LogConfiguration{}
	if job.Container != nil {
		configs = append(configs, job.Container.LogConfiguration)
	}
	if job.EcsProperties != nil {
		for _, t := range job.EcsProperties.TaskProperties {
			for _, c := range t.Containers {
				configs = append(configs, c.LogConfiguration)
			}
		}
	}
	if job.NodeProperties != nil {
		for _, n := range job.NodeProperties.NodeRangeProperties {
			if n.Container != nil {
				configs = append(configs, n.Container.LogConfiguration)
			}
		}
	}
	for _, c := range configs {
		if c == nil {
			continue
		}
		if c.LogDriver != types.LogDriverAwslogs {
			return fmt.Errorf("%w: its driver is %s", ErrNoLogs, c.LogDriver)
		}
		if g := c.Options["awslogs-group"]; g != "" {
			r.group = g
		}
		r.region = c.Options["awslogs-region"]
	}
	return nil
}

// findStreams learns of the log streams there are by now.
func (r *Reader) findStreams(ctx context.Context, job types.JobDetail) error {
	var parent batch.ListJobsInput
	switch {
	case job.ArrayProperties != nil && job.ArrayProperties.Size != nil:
		parent.ArrayJobId = job.JobId
	case job.NodeProperties != nil && !strings.Contains(aws.ToString(job.JobId), "#"):
		parent.MultiNodeJobId = job.JobId
	default:
		r.learn(job, "")
		return nil
	}
	var ids []string
	for _, status := range []types.JobStatus{types.JobStatusRunning, types.JobStatusRunnable, types.JobStatusSucceeded, types.JobStatusFailed} {
		list := parent
		list.JobStatus, list.MaxResults = status, aws.Int32(1000)
		pages := batch.NewListJobsPaginator(r.batch, &list)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, s := range page.JobSummaryList {
				id := aws.ToString(s.JobId)
				// A child that waits has something to show only if it has run before.
				if status == types.JobStatusRunnable && s.StartedAt == nil {
					continue
				}
				if !r.finished[id] {
					ids = append(ids, id)
				}
			}
		}
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), 100)]
		ids = ids[len(some):]
		out, err := r.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return err
		}
		for _, child := range out.Jobs {
			id := aws.ToString(child.JobId)
			r.learn(child, childOf(id))
			r.finished[id] = watch.Final(child.Status)
		}
	}
	return nil
}

// childOf is what follows ":" or "#" in a child's or node's id.
func childOf(id string) string { return id[strings.LastIndexAny(id, ":#")+1:] }

// learn takes the streams of a job's current and earlier attempts.
func (r *Reader) learn(job types.JobDetail, child string) {
	add := func(stream *string) {
		if stream != nil && *stream != "" {
			r.streams[*stream] = child
		}
	}
	if job.Container != nil {
		add(job.Container.LogStreamName)
	}
	if job.EcsProperties != nil {
		for _, t := range job.EcsProperties.TaskProperties {
			for _, c := range t.Containers {
				add(c.LogStreamName)
			}
		}
	}
	for _, a := range job.Attempts {
		if a.Container != nil {
			add(a.Container.LogStreamName)
		}
		for _, t := range a.TaskProperties {
			for _, c := range t.Containers {
				add(c.LogStreamName)
			}
		}
	}
}

// events reads from the group by the prefix that the streams share, which takes as many calls for ten thousand streams
// as for one.
func (r *Reader) events(ctx context.Context, line func(Line) error) (lines int, err error) {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &r.group, StartTime: &r.since}
	if p := r.prefix(); p != "" {
		in.LogStreamNamePrefix = &p
	}
	last := r.since
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.logs, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, func(o *cloudwatchlogs.Options) {
			if r.region != "" {
				o.Region = r.region
			}
		})
		if missing := new(logtypes.ResourceNotFoundException); errors.As(err, &missing) {
			return lines, nil // the group is made with the first stream
		}
		if err != nil {
			return lines, err
		}
		for _, e := range page.Events {
			child, ours := r.streams[aws.ToString(e.LogStreamName)]
			id := aws.ToString(e.EventId)
			if _, seen := r.seen[id]; seen || !ours {
				continue
			}
			at := aws.ToInt64(e.Timestamp)
			r.seen[id] = at
			last = max(last, at)
			lines++
			if err := line(Line{Child: child, Time: time.UnixMilli(at), Text: aws.ToString(e.Message)}); err != nil {
				return lines, err
			}
		}
	}
	r.since = max(r.since, last-window.Milliseconds())
	for id, at := range r.seen {
		if at < r.since {
			delete(r.seen, id)
		}
	}
	return lines, nil
}

func (r *Reader) prefix() string {
	prefix, first := "", true
	for s := range r.streams {
		if first {
			prefix, first = s, false
		}
		n := 0
		for n < len(prefix) && n < len(s) && prefix[n] == s[n] {
			n++
		}
		prefix = prefix[:n]
	}
	return prefix
}
