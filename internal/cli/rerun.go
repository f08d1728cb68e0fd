package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/cli/watch"
	"github.com/batchbox/batchbox/worker"
)

const inputVariable = "JOB_INPUT"

// rerun makes the submission that does again what has failed of an ended job: the whole of a single job, and of an array
// the items of the children that FAILED. AWS Batch gives children no indexes but 0 to size-1, so the failed children's items
// become the input of a smaller array; a program that takes its work from the index alone can't be told to leave some out.
func rerun(ctx context.Context, api *batch.Client, id string) (in *batch.SubmitJobInput, note string, err error) {
	out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
	if err != nil {
		return nil, "", err
	}
	if len(out.Jobs) == 0 {
		return nil, "", fmt.Errorf("no such job: %s", id)
	}
	job := out.Jobs[0]
	switch {
	case !watch.Final(job.Status):
		return nil, "", fmt.Errorf("job %s is %s: it can be run again when it has ended", id, job.Status)
	case job.Status == types.JobStatusSucceeded:
		return nil, "", fmt.Errorf("job %s SUCCEEDED: nothing of it has failed", id)
	case job.Container == nil:
		return nil, "", fmt.Errorf("job %s has not one container: only such jobs can be run again", id)
	}
	in = again(job)
	a := job.ArrayProperties
	if a == nil || a.Size == nil {
		return in, "the job", nil
	}
	failed, err := failedIndexes(ctx, api, id)
	if err != nil {
		return nil, "", err
	}
	if len(failed) == 0 {
		return nil, "", fmt.Errorf("job %s FAILED, but none of its children did", id)
	}
	note = fmt.Sprintf("%d of %d children (%s)", len(failed), *a.Size, watch.Ranges(failed))
	if len(failed) == int(*a.Size) {
		in.ArrayProperties = &types.ArrayProperties{Size: a.Size}
		return in, note, nil
	}
	env := in.ContainerOverrides.Environment
	at := slices.IndexFunc(env, func(kv types.KeyValuePair) bool { return aws.ToString(kv.Name) == inputVariable })
	if at < 0 {
		return nil, "", fmt.Errorf("job %s has no %s whose items could be chosen from: its children can only be run again all together", id, inputVariable)
	}
	subset, err := inputOf(aws.ToString(env[at].Value), int(*a.Size), failed)
	if err != nil {
		return nil, "", fmt.Errorf("the items of the failed children of %s: %w", id, err)
	}
	env[at].Value = &subset
	if len(failed) > 1 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(len(failed)))}
	}
	return in, note, nil
}

// again is a submission of the same job. What DescribeJobs shows is the definition with the overrides merged into it, so
// sending all of it as overrides gives the same again.
func again(job types.JobDetail) *batch.SubmitJobInput {
	c := job.Container
	in := &batch.SubmitJobInput{
		JobName: job.JobName, JobQueue: job.JobQueue, JobDefinition: job.JobDefinition, Parameters: job.Parameters,
		RetryStrategy: job.RetryStrategy, Timeout: job.Timeout, ShareIdentifier: job.ShareIdentifier,
		PropagateTags: job.PropagateTags, Tags: job.Tags,
		ContainerOverrides: &types.ContainerOverrides{Command: c.Command, ResourceRequirements: c.ResourceRequirements},
	}
	if job.ShareIdentifier != nil {
		in.SchedulingPriorityOverride = job.SchedulingPriority
	}
	for _, kv := range c.Environment {
		// These AWS Batch sets by itself, and refuses to be sent.
		if !strings.HasPrefix(aws.ToString(kv.Name), "AWS_BATCH") {
			in.ContainerOverrides.Environment = append(in.ContainerOverrides.Environment, kv)
		}
	}
	return in
}

// inputOf is the input with the items of these children of an array alone, in their order.
func inputOf(input string, size int, children []int) (string, error) {
	var items []json.RawMessage
	for _, child := range children {
		vars := map[string]string{inputVariable: input, "AWS_BATCH_JOB_ARRAY_INDEX": strconv.Itoa(child), "AWS_BATCH_JOB_ARRAY_SIZE": strconv.Itoa(size)}
		job, err := worker.Read[json.RawMessage](func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		if err != nil {
			return "", err
		}
		items = append(items, job.Items...)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(input), &members); err != nil {
		return "", err
	}
	delete(members, "range")
	raw, err := json.Marshal(items)
	if err != nil {
		return "", err
	}
	members["items"] = raw
	raw, err = json.Marshal(members)
	return string(raw), err
}

// failedIndexes are the indexes of an array's failed children, ascending.
func failedIndexes(ctx context.Context, api *batch.Client, array string) ([]int, error) {
	var indexes []int
	pages := batch.NewListJobsPaginator(api, &batch.ListJobsInput{ArrayJobId: &array, JobStatus: types.JobStatusFailed, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.JobSummaryList {
			indexes = append(indexes, index(s))
		}
	}
	slices.Sort(indexes)
	return indexes, nil
}
