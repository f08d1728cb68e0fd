package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

type terminateOptions struct {
	streams *Streams
	aws     awsFlags
	ids     []string
	queue   string
	reason  string
	detach  bool
	timeout time.Duration
}

func newTerminate(s *Streams, runF func(context.Context, *terminateOptions) error) *cobra.Command {
	o := &terminateOptions{streams: s}
	if runF == nil {
		runF = terminate
	}
	cmd := &cobra.Command{
		Use:   "terminate {JOB... | --job-queue Q}",
		Short: "End jobs, or all of a queue",
		Long: `End jobs, whether they run or wait, and wait until they have ended. JOB:INDEX is one child of an array. With
--job-queue, all jobs of the queue that have not ended; that there are none is no error.`,
		Example: `  batchbox terminate 4c7599ae-0a82-49aa-ba5a-4727fcce14a8
  batchbox terminate --job-queue q --reason 'wrong input'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ids = args
			if (len(args) == 0) == (o.queue == "") {
				return usagef("name jobs, or a queue by --job-queue")
			}
			return runF(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.queue, "job-queue", "", "`name` or ARN of the queue whose jobs are to end")
	f.StringVar(&o.reason, "reason", "Terminated by batchbox terminate", "`reason` to be shown as the job's")
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the end")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait")
	addAWSFlags(cmd, &o.aws)
	completeFlag(cmd, "job-queue", o.aws.ask(queueNames))
	cmd.ValidArgsFunction = o.aws.ask(jobIDs(hasNotEnded))
	return cmd
}

func terminate(ctx context.Context, o *terminateOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	api := batch.NewFromConfig(cfg)
	ids := o.ids
	if o.queue != "" {
		if ids, err = unfinished(ctx, api, o.queue); err != nil {
			return err
		}
	}
	var errs []error
	if o.queue == "" { // AWS Batch says nothing of jobs that do not exist
		var missing []string
		if ids, missing, err = known(ctx, api, ids); err != nil {
			return err
		}
		for _, id := range missing {
			errs = append(errs, fmt.Errorf("no such job: %s", id))
		}
	}
	var told []string
	for _, id := range ids {
		if _, err := api.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: &o.reason}); err != nil {
			errs = append(errs, fmt.Errorf("job %s: %w", id, err))
			continue
		}
		told = append(told, id)
	}
	if o.detach || len(told) == 0 {
		fmt.Fprintf(o.streams.Err, "%d job(s) told to end\n", len(told))
		return errors.Join(errs...)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not all jobs have ended after %v", o.timeout))
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		left, err := running(ctx, api, told)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(left) == 0 {
			fmt.Fprintf(o.streams.Err, "%d job(s) ended\n", len(told))
			return errors.Join(errs...)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(append(errs, fmt.Errorf("%w: %v", context.Cause(ctx), left))...)
		case <-timer.C:
		}
	}
}

// unfinished lists the jobs of a queue that have not ended. One that moves on meanwhile may be in two lists.
func unfinished(ctx context.Context, api *batch.Client, queue string) ([]string, error) {
	var ids []string
	seen := make(map[string]bool)
	for _, s := range types.JobStatus("").Values() {
		if watch.Final(s) {
			continue
		}
		pages := batch.NewListJobsPaginator(api, &batch.ListJobsInput{JobQueue: &queue, JobStatus: s, MaxResults: aws.Int32(1000)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, j := range page.JobSummaryList {
				if id := aws.ToString(j.JobId); !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
		}
	}
	return ids, nil
}

// known tells the jobs that exist from those that do not.
func known(ctx context.Context, api *batch.Client, ids []string) (there, missing []string, err error) {
	for some := range slices.Chunk(ids, 100) {
		out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return nil, nil, err
		}
		for _, id := range some {
			if slices.ContainsFunc(out.Jobs, func(d types.JobDetail) bool { return aws.ToString(d.JobId) == id }) {
				there = append(there, id)
			} else {
				missing = append(missing, id)
			}
		}
	}
	return there, missing, nil
}

// running is which of the jobs have not ended.
func running(ctx context.Context, api *batch.Client, ids []string) ([]string, error) {
	var left []string
	for some := range slices.Chunk(ids, 100) {
		out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return nil, err
		}
		for _, j := range out.Jobs {
			if !watch.Final(j.Status) {
				left = append(left, aws.ToString(j.JobId))
			}
		}
	}
	return left, nil
}
