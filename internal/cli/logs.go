package cli

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/joblog"
)

type logsOptions struct {
	streams    *Streams
	aws        awsFlags
	job        string
	follow     bool
	timestamps bool
}

func newLogs(s *Streams, runF func(context.Context, *logsOptions) error) *cobra.Command {
	o := &logsOptions{streams: s}
	if runF == nil {
		runF = logs
	}
	cmd := &cobra.Command{
		Use:   "logs [-f] JOB",
		Short: "Show a job's log lines",
		Long: `Show what a job has written, all its attempts. Of an array job, the lines of all children are merged in the order
they were written, each with its index before it; JOB:INDEX is one child. With -f, go on until the job has ended.`,
		Example: `  batchbox logs 4c7599ae-0a82-49aa-ba5a-4727fcce14a8
  batchbox logs -f 4c7599ae-0a82-49aa-ba5a-4727fcce14a8:17`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.job = args[0]
			return runF(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on until the job has ended")
	cmd.Flags().BoolVarP(&o.timestamps, "timestamps", "t", false, "show when each line was written")
	addAWSFlags(cmd, &o.aws)
	cmd.ValidArgsFunction = o.aws.ask(jobIDs(anyStatus))
	return cmd
}

func logs(ctx context.Context, o *logsOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	r := joblog.New(batch.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg), o.job)
	line := func(l joblog.Line) error { return printLine(o.streams, l, o.timestamps) }
	if o.follow {
		return r.Follow(ctx, line)
	}
	return r.All(ctx, line)
}

func printLine(s *Streams, l joblog.Line, timestamps bool) error {
	prefix := ""
	if timestamps {
		prefix = l.Time.UTC().Format("2006-01-02T15:04:05.000Z ")
	}
	if l.Child != "" {
		prefix += "[" + l.Child + "] "
	}
	_, err := fmt.Fprintf(s.Out, "%s%s\n", prefix, l.Text)
	return err
}
