package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

type jobsOptions struct {
	streams  *Streams
	aws      awsFlags
	ids      []string
	queue    string
	statuses []string
	children bool
	limit    int
	json     bool
}

func newJobs(s *Streams, runF func(context.Context, *jobsOptions) error) *cobra.Command {
	o := &jobsOptions{streams: s}
	if runF == nil {
		runF = jobs
	}
	cmd := &cobra.Command{
		Use:   "jobs [JOB...]",
		Short: "List jobs, or describe some",
		Long: `List the jobs of all queues or of one, newest first; or describe the jobs that are named, JOB:INDEX being a child
of an array. With --children, list an array's children. Of a job that has not started it is said what it waits for.`,
		Example: `  batchbox jobs --job-queue q --status RUNNING,FAILED
  batchbox jobs 4c7599ae-0a82-49aa-ba5a-4727fcce14a8
  batchbox jobs --children --status FAILED 4c7599ae-0a82-49aa-ba5a-4727fcce14a8
  batchbox jobs --json 4c7599ae-0a82-49aa-ba5a-4727fcce14a8 # as aws batch describe-jobs prints it`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ids = args
			return runF(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.queue, "job-queue", "", "`name` or ARN of a queue; all queues without it")
	f.StringSliceVar(&o.statuses, "status", nil, "`statuses` to list; all without it")
	f.BoolVar(&o.children, "children", false, "list the children of the array that is named")
	f.IntVar(&o.limit, "limit", 100, "`number` of jobs to list at most; 0 lists all")
	f.BoolVar(&o.json, "json", false, "print JSON, with the names of the AWS API")
	addAWSFlags(cmd, &o.aws)
	completeFlag(cmd, "job-queue", o.aws.ask(queueNames))
	completeFlag(cmd, "status", statusWords())
	cmd.ValidArgsFunction = o.aws.ask(jobIDs(anyStatus))
	return cmd
}

func jobs(ctx context.Context, o *jobsOptions) error {
	statuses, err := o.parseStatuses()
	if err != nil {
		return err
	}
	switch {
	case o.children && len(o.ids) != 1:
		return usagef("--children needs one JOB, an array")
	case len(o.ids) > 0 && (o.queue != "" || len(o.statuses) > 0 && !o.children):
		return usagef("JOB excludes --job-queue and --status")
	case o.limit < 0:
		return usagef("--limit is %d", o.limit)
	}
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	api := batch.NewFromConfig(cfg)
	if len(o.ids) > 0 && !o.children {
		return o.describe(ctx, api)
	}
	var listed []types.JobSummary
	if o.children {
		listed, err = o.list(ctx, api, batch.ListJobsInput{ArrayJobId: &o.ids[0]}, statuses)
		slices.SortStableFunc(listed, func(a, b types.JobSummary) int { return index(a) - index(b) })
	} else {
		listed, err = o.listQueues(ctx, api, statuses)
		slices.SortStableFunc(listed, func(a, b types.JobSummary) int { return int(aws.ToInt64(b.CreatedAt) - aws.ToInt64(a.CreatedAt)) })
	}
	if err != nil {
		return err
	}
	left := 0
	if o.limit > 0 && len(listed) > o.limit {
		left = len(listed) - o.limit
		listed = listed[:o.limit]
	}
	if o.json {
		return printJSON(o.streams.Out, map[string]any{"jobSummaryList": listed})
	}
	return o.table(listed, left)
}

func (o *jobsOptions) parseStatuses() ([]types.JobStatus, error) {
	all := types.JobStatus("").Values()
	if len(o.statuses) == 0 {
		return all, nil
	}
	var chosen []types.JobStatus
	for _, s := range o.statuses {
		status := types.JobStatus(strings.ToUpper(s))
		if !slices.Contains(all, status) {
			return nil, usagef("--status %s: there are %s", s, strings.Trim(fmt.Sprint(all), "[]"))
		}
		chosen = append(chosen, status)
	}
	return chosen, nil
}

func index(s types.JobSummary) int {
	if s.ArrayProperties == nil {
		return 0
	}
	return int(aws.ToInt32(s.ArrayProperties.Index))
}

func (o *jobsOptions) listQueues(ctx context.Context, api *batch.Client, statuses []types.JobStatus) ([]types.JobSummary, error) {
	queues := []string{o.queue}
	if o.queue == "" {
		queues = nil
		pages := batch.NewDescribeJobQueuesPaginator(api, new(batch.DescribeJobQueuesInput))
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, q := range page.JobQueues {
				queues = append(queues, aws.ToString(q.JobQueueArn))
			}
		}
	}
	var all []types.JobSummary
	for _, q := range queues {
		listed, err := o.list(ctx, api, batch.ListJobsInput{JobQueue: &q}, statuses)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
	}
	return all, nil
}

// list asks for each status, since ListJobs takes one, and for no more jobs of each than will be shown.
func (o *jobsOptions) list(ctx context.Context, api *batch.Client, in batch.ListJobsInput, statuses []types.JobStatus) ([]types.JobSummary, error) {
	var all []types.JobSummary
	for _, s := range statuses {
		in := in
		in.JobStatus, in.MaxResults = s, aws.Int32(1000)
		listed := 0
		pages := batch.NewListJobsPaginator(api, &in)
		for pages.HasMorePages() && (o.limit == 0 || o.children || listed <= o.limit) {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			listed += len(page.JobSummaryList)
			all = append(all, page.JobSummaryList...)
		}
	}
	return all, nil
}

func (o *jobsOptions) table(listed []types.JobSummary, left int) error {
	t := tabwriter.NewWriter(o.streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tNAME\tSTATUS\tCHILDREN\tCREATED\tTOOK\tREASON")
	for _, s := range listed {
		children := ""
		if a := s.ArrayProperties; a != nil && a.Size != nil {
			children = fmt.Sprint(*a.Size)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", aws.ToString(s.JobId), aws.ToString(s.JobName), s.Status, children,
			clock(s.CreatedAt), took(s.StartedAt, s.StoppedAt), reason(s))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if left > 0 {
		_, err := fmt.Fprintf(o.streams.Err, "and more: --limit 0 lists all\n")
		return err
	}
	return nil
}

func reason(s types.JobSummary) string {
	text := aws.ToString(s.StatusReason)
	if s.Container != nil && aws.ToInt32(s.Container.ExitCode) != 0 {
		text = fmt.Sprintf("exit code %d: %s", *s.Container.ExitCode, text)
	}
	return text
}

// clock is a time of the API (ms) in the local time zone.
func clock(ms *int64) string {
	if ms == nil || *ms == 0 {
		return ""
	}
	return time.UnixMilli(*ms).Format("2006-01-02 15:04:05")
}

func took(start, stop *int64) string {
	if aws.ToInt64(start) == 0 || aws.ToInt64(stop) == 0 {
		return ""
	}
	return (time.Duration(*stop-*start) * time.Millisecond).Round(time.Millisecond).String()
}

func (o *jobsOptions) describe(ctx context.Context, api *batch.Client) error {
	var found []types.JobDetail
	for some := range slices.Chunk(o.ids, 100) {
		out, err := api.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return err
		}
		found = append(found, out.Jobs...)
	}
	if len(found) < len(o.ids) {
		for _, id := range o.ids {
			if !slices.ContainsFunc(found, func(d types.JobDetail) bool { return aws.ToString(d.JobId) == id }) {
				return fmt.Errorf("no such job: %s", id)
			}
		}
	}
	if o.json {
		return printJSON(o.streams.Out, map[string]any{"jobs": found})
	}
	for i, job := range found {
		if i > 0 {
			fmt.Fprintln(o.streams.Out)
		}
		if err := o.describeOne(ctx, api, job); err != nil {
			return err
		}
	}
	return nil
}

func (o *jobsOptions) describeOne(ctx context.Context, api *batch.Client, job types.JobDetail) error {
	t := tabwriter.NewWriter(o.streams.Out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("Job", aws.ToString(job.JobId))
	row("Name", aws.ToString(job.JobName))
	row("Queue", aws.ToString(job.JobQueue))
	row("Definition", aws.ToString(job.JobDefinition))
	row("Status", string(job.Status))
	row("Reason", outcome(job))
	waits, err := waitsFor(ctx, api, job)
	if err != nil {
		return err
	}
	for _, text := range waits {
		row("Waits for", text)
	}
	row("Created", clock(job.CreatedAt))
	row("Started", clock(job.StartedAt))
	row("Stopped", clock(job.StoppedAt))
	row("Took", took(job.StartedAt, job.StoppedAt))
	if c := job.Container; c != nil {
		row("Image", aws.ToString(c.Image))
		row("Command", strings.Join(c.Command, " "))
		row("Log stream", aws.ToString(c.LogStreamName))
	}
	for i, a := range job.Attempts {
		text := aws.ToString(a.StatusReason)
		if a.Container != nil && a.Container.ExitCode != nil {
			text += fmt.Sprintf(", exit code %d", *a.Container.ExitCode)
		}
		row(fmt.Sprintf("Attempt %d", i+1), fmt.Sprintf("%s (%s)", text, took(a.StartedAt, a.StoppedAt)))
	}
	if a := job.ArrayProperties; a != nil && a.Size != nil {
		row("Children", fmt.Sprint(*a.Size))
		for _, s := range job.Status.Values() {
			n := a.StatusSummary[string(s)]
			if n == 0 {
				continue
			}
			text := fmt.Sprint(n)
			if s == types.JobStatusFailed {
				indexes, err := failedIndexes(ctx, api, aws.ToString(job.JobId))
				if err != nil {
					return err
				}
				text += " (" + watch.Ranges(indexes) + ")"
			}
			row("  "+string(s), text)
		}
	}
	return t.Flush()
}

// printJSON prints values of the SDK as the AWS API spells them: members in lower camel case, absent ones left out.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(wire(reflect.ValueOf(v)))
}

func wire(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return wire(v.Elem())
	case reflect.Struct:
		members := make(map[string]any)
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || v.Field(i).IsZero() {
				continue
			}
			members[strings.ToLower(f.Name[:1])+f.Name[1:]] = wire(v.Field(i))
		}
		return members
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = wire(v.Index(i))
		}
		return list
	case reflect.Map:
		entries := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			entries[it.Key().String()] = wire(it.Value())
		}
		return entries
	default:
		return v.Interface()
	}
}
