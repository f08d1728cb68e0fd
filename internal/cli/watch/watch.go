// Package watch follows an AWS Batch job to its end and shows the way there: a live line on a terminal, plain lines
// elsewhere.
package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Progress is what one look at a job found.
type Progress struct {
	Status types.JobStatus
	Reason string
	// Size is the number of an array's children, 0 for another job; Counts has how many of them are in each state, and may
	// lack those in none.
	Size    int
	Counts  map[types.JobStatus]int
	Elapsed time.Duration // since the watch began
}

// Final says whether a status is the last a job takes.
func Final(s types.JobStatus) bool {
	return s == types.JobStatusSucceeded || s == types.JobStatusFailed
}

// The pause between two looks is a tenth of the time waited so far, within these bounds: a short job is seen to end at
// once, and a long one costs few calls.
const (
	minPause = 20 * time.Millisecond
	maxPause = 5 * time.Second
)

// Describer is the one operation that a watch needs; *batch.Client has it.
type Describer interface {
	DescribeJobs(context.Context, *batch.DescribeJobsInput, ...func(*batch.Options)) (*batch.DescribeJobsOutput, error)
}

// Job looks at the job until it has ended and returns what DescribeJobs then says of it. report is called after every
// look, the last included. The error is the context's when that ends first.
func Job(ctx context.Context, api Describer, id string, report func(Progress)) (types.JobDetail, error) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return types.JobDetail{}, context.Cause(ctx)
		case <-timer.C:
		}
		out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			if ctx.Err() != nil {
				return types.JobDetail{}, context.Cause(ctx)
			}
			return types.JobDetail{}, fmt.Errorf("describe job %s: %w", id, err)
		}
		if len(out.Jobs) == 0 {
			return types.JobDetail{}, fmt.Errorf("job %s does not exist", id)
		}
		job := out.Jobs[0]
		elapsed := time.Since(start)
		report(progress(job, elapsed))
		if Final(job.Status) {
			return job, nil
		}
		timer.Reset(min(max(elapsed/10, minPause), maxPause))
	}
}

func progress(job types.JobDetail, elapsed time.Duration) Progress {
	p := Progress{Status: job.Status, Elapsed: elapsed}
	if job.StatusReason != nil {
		p.Reason = *job.StatusReason
	}
	if a := job.ArrayProperties; a != nil && a.Size != nil {
		p.Size = int(*a.Size)
		p.Counts = make(map[types.JobStatus]int)
		for name, n := range a.StatusSummary {
			p.Counts[types.JobStatus(name)] = int(n)
		}
	}
	return p
}
