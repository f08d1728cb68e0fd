package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/cli/watch"
)

type runner struct {
	*options
	batch *batch.Client
	logs  *cloudwatchlogs.Client
	line  *watch.Line
	say   func(format string, args ...any)
}

// child is an array child, or the job itself if it is a single one.
type child struct {
	index  int // -1 for a single job
	detail types.JobDetail
	listed int // how many times ListJobs named it
	log    *scanner
}

func (c *child) stream() string {
	if d := c.detail.Container; d != nil {
		return aws.ToString(d.LogStreamName)
	}
	return ""
}

// What SubmitJob accepts (AWS Batch quotas) and what a job may carry when it starts: the second is ECS's limit on
// container overrides, over which AWS Batch fails the job with "Container Overrides length must be at most 8192".
const (
	maxPayload   = 30 << 10
	maxOverrides = 8192
)

// warnings says what AWS Batch will not like about a job; it is for AWS Batch to refuse it.
func warnings(o *options) []string {
	in := o.submission()
	overrides := jsonLen(map[string]any{"environment": []map[string]string{{"name": "JOB_INPUT", "value": o.input}}})
	payload := jsonLen(map[string]any{"jobName": in.JobName, "jobQueue": in.JobQueue, "jobDefinition": in.JobDefinition}) + overrides
	var w []string
	if payload > maxPayload {
		w = append(w, fmt.Sprintf("the request has about %d bytes; AWS Batch refuses more than %d. Use a range instead of a list of items", payload, maxPayload))
	}
	if overrides > maxOverrides {
		w = append(w, fmt.Sprintf("the overrides have about %d characters; AWS Batch fails a job that has more than %d, its own variables included. Use a range instead of a list of items", overrides, maxOverrides))
	}
	return w
}

func jsonLen(v any) int {
	raw, err := json.Marshal(v)
	if err != nil {
		return 0 // maps of strings can be marshalled
	}
	return len(raw)
}

func (o *options) submission() *batch.SubmitJobInput {
	in := &batch.SubmitJobInput{
		JobName:       aws.String("batchtest-" + time.Now().UTC().Format("20060102-150405")),
		JobQueue:      &o.queue,
		JobDefinition: &o.definition,
		ContainerOverrides: &types.ContainerOverrides{
			Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: &o.input}},
		},
	}
	if o.size > 0 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(o.size))}
	}
	return in
}

var errTimeout = errors.New("timed out")

// run submits the job, follows it, and checks what it left.
func (r *runner) run(ctx context.Context) *report {
	rep := &report{Queue: r.queue, Definition: r.definition, Children: max(r.size, 1), started: time.Now()}
	defer rep.finish()
	submitted, err := r.batch.SubmitJob(ctx, r.submission())
	if err != nil {
		rep.problem("submit: %s", awsclient.Explain(err))
		return rep
	}
	rep.JobID, rep.JobName = *submitted.JobId, *submitted.JobName
	r.say("submitted %s as job %s", rep.JobName, rep.JobID)

	job, err := r.follow(ctx, rep.JobID)
	if err != nil {
		rep.problem("%s", awsclient.Explain(err))
	}
	rep.Status, rep.Reason = string(job.Status), aws.ToString(job.StatusReason)
	if !watch.Final(job.Status) {
		return rep
	}
	if job.Status != types.JobStatusSucceeded {
		rep.problem("the job ended as %s: %s", rep.Status, rep.Reason)
	}

	children, err := r.children(ctx, job)
	if err != nil {
		rep.problem("%s", awsclient.Explain(err))
		return rep
	}
	if err := r.readLogs(ctx, job, children); err != nil {
		rep.problem("%s", awsclient.Explain(err))
	}
	check(rep, r.want, children)
	return rep
}

// follow waits for the job's end. A job that takes too long, or whose user has given up, is terminated: left alone it
// would cost money.
func (r *runner) follow(ctx context.Context, id string) (types.JobDetail, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, r.timeout, errTimeout)
	defer cancel()
	var last watch.Progress
	job, err := watch.Job(bounded, r.batch, id, func(p watch.Progress) {
		last = p
		r.line.Show(p)
	})
	r.line.Break()
	if err == nil || bounded.Err() == nil {
		return job, err
	}
	reason := "interrupted"
	if errors.Is(err, errTimeout) {
		reason = "no end after " + r.timeout.String()
	}
	err = fmt.Errorf("%s; the job was %s", reason, last)
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	job = types.JobDetail{Status: last.Status, StatusReason: &last.Reason}
	if _, stop := r.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("test-runner: " + reason)}); stop != nil {
		return job, fmt.Errorf("%w; terminating it failed, so it may go on: %w", err, stop)
	}
	return job, fmt.Errorf("%w, and has been told to terminate", err)
}

// children finds the children of an ended job: by listing them, which shows whether one is missing or there twice, and
// then by describing each. Lists can lag behind on AWS, so an incomplete one is asked for again for a while.
func (r *runner) children(ctx context.Context, job types.JobDetail) ([]*child, error) {
	if r.size == 0 {
		return []*child{{index: -1, detail: job, listed: 1}}, nil
	}
	children := make([]*child, r.size)
	patience := time.Now().Add(min(r.logTimeout, 5*time.Second))
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		listed, err := r.list(ctx, *job.JobId)
		if err != nil {
			return nil, err
		}
		missing := false
		for i := range children {
			id := fmt.Sprint(*job.JobId, ":", i)
			children[i] = &child{index: i, listed: listed[id], detail: types.JobDetail{JobId: &id}}
			missing = missing || listed[id] == 0
			delete(listed, id)
		}
		for id := range listed {
			return nil, fmt.Errorf("the array of %d has a child %s", r.size, id)
		}
		if !missing || time.Now().After(patience) {
			break
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(children, 100) { // DescribeJobs takes 100 ids at most
		in := new(batch.DescribeJobsInput)
		for _, c := range some {
			in.Jobs = append(in.Jobs, *c.detail.JobId)
		}
		out, err := r.batch.DescribeJobs(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe children: %w", err)
		}
		for _, d := range out.Jobs {
			_, index, _ := strings.Cut(aws.ToString(d.JobId), ":")
			i, err := strconv.Atoi(index)
			if err != nil || !slices.Contains(in.Jobs, *d.JobId) {
				return nil, fmt.Errorf("DescribeJobs answered %q, which was not asked for", aws.ToString(d.JobId))
			}
			children[i].detail = d
		}
	}
	return children, nil
}

// list counts how often ListJobs names each child, over all states: a child has one state, so it is to be named once.
func (r *runner) list(ctx context.Context, parent string) (map[string]int, error) {
	listed := make(map[string]int, r.size)
	for _, status := range types.JobStatus("").Values() {
		pages := batch.NewListJobsPaginator(r.batch, &batch.ListJobsInput{ArrayJobId: &parent, JobStatus: status, MaxResults: aws.Int32(1000)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("list children: %w", err)
			}
			for _, s := range page.JobSummaryList {
				listed[aws.ToString(s.JobId)]++
			}
		}
	}
	return listed, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
