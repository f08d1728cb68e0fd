package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// waitsFor says why a job has not started, as far as a client can find out: what it depends on, what is the matter with its
// queue and compute environments, and how many jobs are before it. It is nil for a job that does not wait.
func waitsFor(ctx context.Context, api *batch.Client, job types.JobDetail) ([]string, error) {
	switch job.Status {
	case types.JobStatusPending:
		unmet, err := unmetDependencies(ctx, api, job)
		if err != nil || len(unmet) > 0 {
			return unmet, err
		}
		return stuckChild(ctx, api, job)
	case types.JobStatusRunnable:
		return noRoom(ctx, api, job)
	}
	return nil, nil
}

// unmetDependencies are the jobs that a job waits for, with their states. An array whose children run is PENDING too, and
// waits for nothing.
func unmetDependencies(ctx context.Context, api *batch.Client, job types.JobDetail) ([]string, error) {
	var ids []string
	for _, d := range job.DependsOn {
		if id := aws.ToString(d.JobId); id != "" {
			ids = append(ids, id)
		}
	}
	var texts []string
	for some := range slices.Chunk(ids, 100) {
		out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return nil, err
		}
		for _, d := range out.Jobs {
			if d.Status != types.JobStatusSucceeded {
				texts = append(texts, fmt.Sprintf("job %s (%s), which is %s", aws.ToString(d.JobId), aws.ToString(d.JobName), d.Status))
			}
		}
	}
	return texts, nil
}

// stuckChild says why an array's first RUNNABLE child waits, if none of the array's children is under way.
func stuckChild(ctx context.Context, api *batch.Client, job types.JobDetail) ([]string, error) {
	a := job.ArrayProperties
	if a == nil || a.StatusSummary[string(types.JobStatusStarting)]+a.StatusSummary[string(types.JobStatusRunning)] > 0 {
		return nil, nil
	}
	listed, err := api.ListJobs(ctx, &batch.ListJobsInput{ArrayJobId: job.JobId, JobStatus: types.JobStatusRunnable, MaxResults: aws.Int32(1)})
	if err != nil || len(listed.JobSummaryList) == 0 {
		return nil, err
	}
	out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{aws.ToString(listed.JobSummaryList[0].JobId)}})
	if err != nil || len(out.Jobs) == 0 || out.Jobs[0].Status != types.JobStatusRunnable {
		return nil, err
	}
	texts, err := noRoom(ctx, api, out.Jobs[0])
	if reason := aws.ToString(out.Jobs[0].StatusReason); reason != "" {
		texts = append([]string{"its children: " + reason}, texts...)
	}
	return texts, err
}

// noRoom says what of a queue's compute environments could take the job, and where it stands in the queue.
func noRoom(ctx context.Context, api *batch.Client, job types.JobDetail) ([]string, error) {
	queues, err := api.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{aws.ToString(job.JobQueue)}})
	if err != nil {
		return nil, err
	}
	if len(queues.JobQueues) == 0 {
		return []string{"its queue, which is gone"}, nil
	}
	q := queues.JobQueues[0]
	var texts []string
	if q.Status == types.JQStatusInvalid {
		texts = append(texts, fmt.Sprintf("its queue to be mended: it is INVALID (%s)", aws.ToString(q.StatusReason)))
	}
	var names []string
	for _, o := range q.ComputeEnvironmentOrder {
		names = append(names, aws.ToString(o.ComputeEnvironment))
	}
	ces, err := api.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: names})
	if err != nil {
		return nil, err
	}
	for _, ce := range ces.ComputeEnvironments {
		texts = append(texts, fmt.Sprintf("compute environment %s: %s", aws.ToString(ce.ComputeEnvironmentName), roomOf(ce, vcpus(job.Container))))
	}
	snapshot, err := api.GetJobQueueSnapshot(ctx, &batch.GetJobQueueSnapshotInput{JobQueue: job.JobQueue})
	if err != nil || snapshot.FrontOfQueue == nil {
		return texts, nil //nolint:nilerr // where the place in the queue may not be read, the rest is still good
	}
	at := slices.IndexFunc(snapshot.FrontOfQueue.Jobs, func(j types.FrontOfQueueJobSummary) bool { return aws.ToString(j.JobArn) == aws.ToString(job.JobArn) })
	switch n := len(snapshot.FrontOfQueue.Jobs); {
	case at == 0:
		texts = append(texts, "no other job: it is the first in its queue")
	case at > 0:
		texts = append(texts, fmt.Sprintf("%d job(s) before it in its queue", at))
	case n > 0:
		texts = append(texts, fmt.Sprintf("%d job(s) or more before it in its queue", n))
	}
	return texts, nil
}

// roomOf says whether an environment could take a job of so many vCPUs.
func roomOf(ce types.ComputeEnvironmentDetail, need float64) string {
	most := 0.0
	if r := ce.ComputeResources; r != nil {
		most = float64(aws.ToInt32(r.MaxvCpus))
	}
	switch {
	case ce.Status == types.CEStatusInvalid:
		return fmt.Sprintf("it is INVALID (%s)", aws.ToString(ce.StatusReason))
	case ce.State == types.CEStateDisabled:
		return "it is DISABLED, and so starts nothing"
	case ce.Status != types.CEStatusValid:
		return fmt.Sprintf("it is %s", ce.Status)
	case ce.ComputeResources == nil: // unmanaged
		return "it has no instance with room"
	case need > most:
		return fmt.Sprintf("the job asks for %s vCPU, and maxvCpus is %s: it will never start there", number(need), number(most))
	}
	return fmt.Sprintf("it has %s vCPU in all, which others use now; the job asks for %s", number(most), number(need))
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// vcpus are what a container asks for; 0 if it does not say.
func vcpus(c *types.ContainerDetail) float64 {
	if c == nil {
		return 0
	}
	for _, r := range c.ResourceRequirements {
		if r.Type == types.ResourceTypeVcpu {
			n, err := strconv.ParseFloat(strings.TrimSpace(aws.ToString(r.Value)), 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return float64(aws.ToInt32(c.Vcpus))
}
