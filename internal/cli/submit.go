package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/batchbox/batchbox/internal/cli/joblog"
	"github.com/batchbox/batchbox/internal/cli/watch"
)

type submitOptions struct {
	streams *Streams
	aws     awsFlags

	queue, definition, name string
	arraySize               int32
	input                   string
	env, parameters, tags   []string
	dependsOn               []string
	command                 []string
	share                   string
	priority, attempts      int32
	timeout                 time.Duration
	vcpu, memory            string
	detach, logs            bool
	rerun                   string
}

func newSubmit(s *Streams, runF func(context.Context, *submitOptions) error) *cobra.Command {
	o := &submitOptions{streams: s}
	if runF == nil {
		runF = submit
	}
	cmd := &cobra.Command{
		Use:   "submit --job-queue Q --job-definition D [flags] [-- COMMAND ARG...]",
		Short: "Submit a job, and follow it to its end",
		Long: `Submit a job and wait for its end, with its progress shown on stderr. The exit code is 0 if the job SUCCEEDED and
1 if it FAILED. Ctrl-C stops the waiting, not the job.`,
		Example: `  batchbox submit --job-queue q --job-definition batchworker --array-size 2 \
    --input '{"message": "Hello!", "items": ["item-A", "item-B"]}'
  batchbox submit --job-queue q --job-definition tools --logs -- sh -c 'echo $AWS_BATCH_JOB_ID'
  second=$(batchbox submit --job-queue q --job-definition d --depends-on "$first" --detach)
  batchbox submit --rerun-failed 4c7599ae-0a82-49aa-ba5a-4727fcce14a8`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); len(args) > 0 && at != 0 {
				return usagef("unexpected argument %q: the container's command stands after --", args[0])
			}
			if len(args) > 0 { // an empty list would be sent as one
				o.command = args
			}
			if o.rerun != "" {
				if other := given(cmd.Flags(), "rerun-failed"); len(args) > 0 || slices.ContainsFunc(other, shapesJob) {
					return usagef("--rerun-failed takes everything from the job that failed: only --detach, --logs and the flags for AWS go with it")
				}
			}
			return runF(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.queue, "job-queue", os.Getenv("JOB_QUEUE_ARN"), "`name` or ARN of the queue; $JOB_QUEUE_ARN counts without it")
	f.StringVar(&o.definition, "job-definition", os.Getenv("JOB_DEFINITION_ARN"), "`name`, name:revision or ARN; $JOB_DEFINITION_ARN counts without it")
	f.StringVar(&o.name, "name", "", "the job's `name`; that of the definition without it")
	f.Int32Var(&o.arraySize, "array-size", 0, "`number` of children of an array job; 0 or 1 submits a single job")
	f.StringVar(&o.input, "input", "", "the job's `input`, put into JOB_INPUT; @FILE reads it from a file, @- from stdin")
	f.StringArrayVarP(&o.env, "env", "e", nil, "`NAME=VALUE` for the container (repeatable)")
	f.StringArrayVar(&o.parameters, "parameter", nil, "`NAME=VALUE` for Ref::NAME in the definition's command (repeatable)")
	f.StringArrayVar(&o.tags, "tag", nil, "`NAME=VALUE` (repeatable)")
	f.StringArrayVar(&o.dependsOn, "depends-on", nil, "`JOB` to wait for; JOB=N_TO_N waits child for child, =SEQUENTIAL lets the children run in turn (repeatable)")
	f.StringVar(&o.share, "share", "", "share `identifier`, for queues with fair share")
	f.Int32Var(&o.priority, "priority", -1, "scheduling `priority` within the share, 0 to 9999; the definition's without it")
	f.Lookup("priority").DefValue = "" // not shown
	f.Int32Var(&o.attempts, "attempts", 0, "`number` of attempts, 1 to 10; the definition's retry strategy without it")
	f.DurationVar(&o.timeout, "timeout", 0, "`duration` after which an attempt is ended, at least 60s; the definition's without it")
	f.StringVar(&o.vcpu, "vcpu", "", "vCPUs, such as 0.5")
	f.StringVar(&o.memory, "memory", "", "memory in MiB, such as 1024")
	f.StringVar(&o.rerun, "rerun-failed", "", "do again what has failed of this `JOB`: a single job, or the items of an array's failed children")
	f.BoolVarP(&o.detach, "detach", "d", false, "print the job's id and do not wait")
	f.BoolVar(&o.logs, "logs", false, "show the job's log lines on stdout while waiting")
	f.SetNormalizeFunc(asAWSNames)
	addAWSFlags(cmd, &o.aws)
	completeFlag(cmd, "job-queue", o.aws.ask(queueNames))
	completeFlag(cmd, "job-definition", o.aws.ask(definitionNames))
	completeFlag(cmd, "rerun-failed", o.aws.ask(jobIDs(hasFailed)))
	completeFlag(cmd, "depends-on", o.aws.ask(jobIDs(hasNotEnded)))
	return cmd
}

// asAWSNames lets flags of aws batch submit-job that take the same go by their names there as well.
func asAWSNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "job-name":
		name = "name"
	case "share-identifier":
		name = "share"
	}
	return pflag.NormalizedName(name)
}

// shapesJob says whether a flag, as given, says something about the job.
func shapesJob(flag string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
	return !slices.Contains([]string{"detach", "logs", "endpoint-url", "aws", "region", "profile"}, name)
}

func (o *submitOptions) submission() (*batch.SubmitJobInput, error) {
	switch {
	case o.queue == "":
		return nil, usagef("--job-queue is missing")
	case o.definition == "":
		return nil, usagef("--job-definition is missing")
	case o.detach && o.logs:
		return nil, usagef("--detach and --logs exclude each other")
	}
	in := &batch.SubmitJobInput{JobQueue: &o.queue, JobDefinition: &o.definition, JobName: &o.name}
	if o.name == "" {
		name, _, _ := strings.Cut(o.definition[strings.LastIndexByte(o.definition, '/')+1:], ":")
		in.JobName = &name
	}
	if o.arraySize < 0 || o.arraySize > 1 { // AWS Batch refuses what is out of range, and says how
		in.ArrayProperties = &types.ArrayProperties{Size: &o.arraySize}
	}
	var err error
	if in.Parameters, err = pairs("--parameter", o.parameters); err != nil {
		return nil, err
	}
	if in.Tags, err = pairs("--tag", o.tags); err != nil {
		return nil, err
	}
	for _, d := range o.dependsOn {
		id, kind, _ := strings.Cut(d, "=")
		dep := types.JobDependency{Type: types.ArrayJobDependency(kind)}
		if id != "" {
			dep.JobId = &id
		}
		in.DependsOn = append(in.DependsOn, dep)
	}
	if o.share != "" {
		in.ShareIdentifier = &o.share
	}
	if o.priority >= 0 {
		in.SchedulingPriorityOverride = &o.priority
	}
	if o.attempts != 0 {
		in.RetryStrategy = &types.RetryStrategy{Attempts: &o.attempts}
	}
	if o.timeout%time.Second != 0 {
		return nil, usagef("--timeout %s: AWS Batch counts in whole seconds", o.timeout)
	}
	if o.timeout != 0 {
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(int32(o.timeout.Seconds()))}
	}
	in.ContainerOverrides, err = o.overrides()
	return in, err
}

// overrides are nil if there are none.
func (o *submitOptions) overrides() (*types.ContainerOverrides, error) {
	c := types.ContainerOverrides{Command: o.command}
	env := o.env
	if o.input != "" {
		input := o.input
		if file, ok := strings.CutPrefix(input, "@"); ok {
			raw, err := readFile(o.streams, file)
			if err != nil {
				return nil, fmt.Errorf("--input: %w", err)
			}
			input = strings.TrimSpace(string(raw))
		}
		if !json.Valid([]byte(input)) {
			return nil, usagef("--input is not JSON")
		}
		env = append([]string{"JOB_INPUT=" + input}, env...)
	}
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, usagef("--env %q is not NAME=VALUE", e)
		}
		c.Environment = append(c.Environment, types.KeyValuePair{Name: &name, Value: &value})
	}
	for kind, value := range map[types.ResourceType]string{types.ResourceTypeVcpu: o.vcpu, types.ResourceTypeMemory: o.memory} {
		if value != "" {
			c.ResourceRequirements = append(c.ResourceRequirements, types.ResourceRequirement{Type: kind, Value: &value})
		}
	}
	if len(c.Command)+len(c.Environment)+len(c.ResourceRequirements) == 0 {
		return nil, nil
	}
	return &c, nil
}

func pairs(flag string, list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := make(map[string]string)
	for _, p := range list {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usagef("%s %q is not NAME=VALUE", flag, p)
		}
		m[name] = value
	}
	return m, nil
}

func submit(ctx context.Context, o *submitOptions) error {
	var in *batch.SubmitJobInput
	var err error
	if o.rerun == "" {
		if in, err = o.submission(); err != nil {
			return err
		}
	} else if o.detach && o.logs {
		return usagef("--detach and --logs exclude each other")
	}
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	api := batch.NewFromConfig(cfg)
	if o.rerun != "" {
		var what string
		if in, what, err = rerun(ctx, api, o.rerun); err != nil {
			return err
		}
		fmt.Fprintf(o.streams.Err, "runs again: %s of job %s\n", what, o.rerun)
	}
	out, err := api.SubmitJob(ctx, in)
	if err != nil {
		return err
	}
	id := aws.ToString(out.JobId)
	if o.detach {
		_, err := fmt.Fprintln(o.streams.Out, id)
		return err
	}
	fmt.Fprintf(o.streams.Err, "submitted %s as job %s\n", aws.ToString(out.JobName), id)

	job, err := o.wait(ctx, cfg, id)
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(o.streams.Err, "The job goes on. To look at it: batchbox jobs %s, batchbox logs -f %s\n", id, id)
		}
		return err
	}
	if job.Status != types.JobStatusSucceeded {
		if job.ArrayProperties == nil && len(job.Attempts) > 0 && !o.logs {
			fmt.Fprintf(o.streams.Err, "What it wrote: batchbox logs %s\n", id)
		}
		if job.ArrayProperties != nil {
			failed, err := failedIndexes(ctx, api, id)
			if err != nil {
				return err
			}
			fmt.Fprintf(o.streams.Err, "children that failed: %s\nTo run them again: batchbox submit --rerun-failed %s\n", watch.Ranges(failed), id)
		}
		return fmt.Errorf("job %s %s: %s", id, job.Status, outcome(job))
	}
	return nil
}

// wait follows the job, and its log if asked to, until both have ended.
func (o *submitOptions) wait(ctx context.Context, cfg aws.Config, id string) (types.JobDetail, error) {
	api := batch.NewFromConfig(cfg)
	line := watch.NewLine(o.streams.Err, o.streams.ErrWidth)
	if !o.logs {
		job, err := watch.Job(ctx, api, id, line.Show)
		line.Break()
		return job, err
	}
	r := joblog.New(api, cloudwatchlogs.NewFromConfig(cfg), id)
	if err := r.Follow(ctx, func(l joblog.Line) error { return printLine(o.streams, l, false) }); err != nil {
		return types.JobDetail{}, err
	}
	return watch.Job(ctx, api, id, line.Show) // it has ended by now
}

// outcome says how a job ended, with the exit code of a single one.
func outcome(job types.JobDetail) string {
	var parts []string
	if job.StatusReason != nil {
		parts = append(parts, *job.StatusReason)
	}
	if c := job.Container; c != nil {
		if c.ExitCode != nil {
			parts = append(parts, fmt.Sprintf("exit code %d", *c.ExitCode))
		}
		if c.Reason != nil {
			parts = append(parts, *c.Reason)
		}
	}
	if a := job.ArrayProperties; a != nil && a.Size != nil && a.StatusSummary["FAILED"] > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d children failed", a.StatusSummary["FAILED"], *a.Size))
	}
	return strings.Join(parts, ", ")
}
