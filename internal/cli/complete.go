package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

// completion answers what a word on the command line may become.
type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective)

// completeFlag has a shell complete a flag's value.
func completeFlag(cmd *cobra.Command, name string, c completion) {
	if err := cmd.RegisterFlagCompletionFunc(name, c); err != nil {
		panic(err) // no such flag
	}
}

// words completes from a fixed list, the last of several words that commas divide too.
func words(list ...string) completion {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := word[:strings.LastIndexByte(word, ',')+1]
		var found []cobra.Completion
		for _, w := range list {
			found = append(found, done+w)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func statusWords() completion {
	var names []string
	for _, s := range types.JobStatus("").Values() {
		names = append(names, string(s))
	}
	return words(names...)
}

// completionPatience is how long somebody who has pressed Tab is kept waiting.
const completionPatience = 2 * time.Second

// ask completes by asking the service that the flags name; without an answer there is nothing to offer.
func (f *awsFlags) ask(list func(context.Context, *batch.Client) ([]cobra.Completion, error)) completion {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		cfg, err := f.load(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, err := list(ctx, batch.NewFromConfig(cfg))
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func queueNames(ctx context.Context, api *batch.Client) ([]cobra.Completion, error) {
	var found []cobra.Completion
	pages := batch.NewDescribeJobQueuesPaginator(api, new(batch.DescribeJobQueuesInput))
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, q := range page.JobQueues {
			found = append(found, cobra.CompletionWithDesc(aws.ToString(q.JobQueueName), fmt.Sprintf("%s, priority %d", q.State, aws.ToInt32(q.Priority))))
		}
	}
	return found, nil
}

func definitionNames(ctx context.Context, api *batch.Client) ([]cobra.Completion, error) {
	newest := map[string]int32{}
	pages := batch.NewDescribeJobDefinitionsPaginator(api, &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range page.JobDefinitions {
			name := aws.ToString(d.JobDefinitionName)
			newest[name] = max(newest[name], aws.ToInt32(d.Revision))
		}
	}
	var found []cobra.Completion
	for name, revision := range newest {
		found = append(found, cobra.CompletionWithDesc(name, fmt.Sprintf("revision %d", revision)))
	}
	slices.Sort(found)
	return found, nil
}

// jobIDs offers jobs of all queues, the newest first, of those that keep lets pass.
func jobIDs(keep func(types.JobStatus) bool) func(context.Context, *batch.Client) ([]cobra.Completion, error) {
	return func(ctx context.Context, api *batch.Client) ([]cobra.Completion, error) {
		const most = 20
		o := &jobsOptions{limit: most}
		var statuses []types.JobStatus
		for _, s := range types.JobStatus("").Values() {
			if keep(s) {
				statuses = append(statuses, s)
			}
		}
		listed, err := o.listQueues(ctx, api, statuses)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(listed, func(a, b types.JobSummary) int { return int(aws.ToInt64(b.CreatedAt) - aws.ToInt64(a.CreatedAt)) })
		var found []cobra.Completion
		for _, j := range listed[:min(most, len(listed))] {
			found = append(found, cobra.CompletionWithDesc(aws.ToString(j.JobId), fmt.Sprintf("%s, %s, %s", aws.ToString(j.JobName), j.Status, clock(j.CreatedAt))))
		}
		return found, nil
	}
}

func anyStatus(types.JobStatus) bool     { return true }
func hasNotEnded(s types.JobStatus) bool { return !watch.Final(s) }
func hasFailed(s types.JobStatus) bool   { return s == types.JobStatusFailed }
