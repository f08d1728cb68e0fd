package cli

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/server"
)

// addEventFlags are the flags of serve for what the engine tells of, and for Spot capacity.
func addEventFlags(f *pflag.FlagSet, c *server.Config) {
	f.StringVar(&c.Events.Webhook, "event-webhook", "", "`URL` to post every job state change to, in EventBridge's shape, until it answers 2xx")
	f.Int64Var(&c.Events.Keep, "event-history", 0, "`number` of events kept for who reads them later; 0 is 100,000")
	f.Float64Var(&c.Limits.SpotRate, "spot-interruption-rate", 0, "`number` of interruptions an hour that an attempt on Spot capacity can expect; 60 is about one a minute")
	f.Uint64Var(&c.Limits.SpotSeed, "spot-interruption-seed", 0, "`number` that decides when: the same submissions to a new engine are interrupted at the same times")
}

// addRuleFlags are where an engine may differ from AWS, so that a try does not take minutes.
func addRuleFlags(f *pflag.FlagSet, c *server.Config) {
	f.IntVar(&c.Rules.LeastTimeout, "least-timeout", 0, "smallest timeout that jobs may have, in `seconds`; AWS's 60 without it, and AWS refuses less")
	f.DurationVar(&c.Limits.StopGrace, "stop-grace", 0, "`time` from a job's stop signal to its SIGKILL, in place of AWS's 30s")
	f.DurationVar(&c.Limits.SpotWindow, "spot-window", 0, "`time` from the SIGTERM to the SIGKILL of a Spot interruption; the container's stop timeout without it, which is 30s")
}

func newSpot(s *Streams, runF func(context.Context, *spotOptions) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "spot",
		Short:   "Take Spot capacity away from a job, as AWS does now and then",
		GroupID: groupClient,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSpotInterrupt(s, runF))
	return cmd
}

type spotOptions struct {
	streams *Streams
	aws     awsFlags
	jobs    []string
}

func newSpotInterrupt(s *Streams, runF func(context.Context, *spotOptions) error) *cobra.Command {
	o := &spotOptions{streams: s}
	if runF == nil {
		runF = spotInterrupt
	}
	cmd := &cobra.Command{
		Use:   "interrupt JOB...",
		Short: "Interrupt jobs that run on Spot capacity",
		Long: `Take the capacity away under jobs whose attempt is under way on a FARGATE_SPOT (or SPOT) compute environment: SIGTERM,
then SIGKILL when the stop timeout is over. The attempt ends with "Your Spot Task was interrupted." and counts; retry rules
apply; a program that exits 0 on SIGTERM has succeeded. The id of an array takes it from all children that run, that of a
child, ID:INDEX, from this one. Interruptions that come by themselves: batchbox serve --spot-interruption-rate.`,
		Example: `  batchbox spot interrupt 5a3e7b1c-8f0d-4b57-9a9e-2f6f3c1d0e44
  batchbox spot interrupt "$job:3"`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.jobs = args
			return runF(cmd.Context(), o)
		},
	}
	addAWSFlags(cmd, &o.aws)
	cmd.GroupID = ""
	return cmd
}

func spotInterrupt(ctx context.Context, o *spotOptions) error {
	if o.aws.aws {
		return usagef("--aws: only an engine of batchbox interrupts jobs on request; at AWS use Fault Injection Service")
	}
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	ask := control.SpotInterruptRequest{Region: cfg.Region}
	if keys, err := cfg.Credentials.Retrieve(ctx); err == nil && awswire.IsAccount(keys.AccessKeyID) {
		ask.Account = keys.AccessKeyID
	}
	for _, job := range o.jobs {
		ask.Job = job
		n, err := control.InterruptSpot(ctx, signer{cfg}, aws.ToString(cfg.BaseEndpoint), ask)
		if err != nil {
			return err
		}
		attempts := "attempts"
		if n == 1 {
			attempts = "attempt"
		}
		fmt.Fprintf(o.streams.Err, "interrupted %d %s of job %s\n", n, attempts, job)
	}
	return nil
}
