package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/cli/stack"
)

type applyOptions struct {
	streams *Streams
	aws     awsFlags
	files   []string
	vars    []string
	timeout time.Duration
	envFile string
}

const filesHelp = `The files are JSON in the AWS CLI's own form: what ` + "`aws batch create-... --cli-input-json`" + ` takes, one resource a
file, or what ` + "`aws batch describe-...`" + ` prints, so that a resource can be carried from AWS unchanged. Kinds:
compute environments, job queues, job definitions, scheduling policies, consumable resources, and log groups.

In strings, ${AWS_ACCOUNT_ID} and ${AWS_REGION} stand for the account and the region worked in, and ${NAME} for
what --var NAME=VALUE says. Subnets and security groups that are absent or ["default"] are the default VPC's.`

func (o *applyOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&o.files, "file", "f", nil, "`file`, or directory of *.json files (repeatable)")
	cmd.Flags().StringArrayVar(&o.vars, "var", nil, "`NAME=VALUE` for ${NAME} in the files (repeatable)")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long each resource may take to settle")
}

func newApply(s *Streams, runF func(context.Context, *applyOptions) error) *cobra.Command {
	o := &applyOptions{streams: s}
	if runF == nil {
		runF = apply
	}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR...",
		Short: "Create or change the resources described in files",
		Long: `Bring about the resources described in files: create what is not there, change what differs, leave the rest
alone, and wait until everything can be used. A job definition that differs gets a new revision.

` + filesHelp,
		Example: `  batchbox apply -f infra/local
  aws batch describe-job-definitions --job-definition-name scan > scan.json && batchbox apply -f scan.json
  batchbox apply -f infra/local --env-file .batchbox.env && source .batchbox.env`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.files) == 0 {
				return usagef("-f is missing: which files?")
			}
			return runF(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.envFile, "env-file", "", "`file` to write JOB_QUEUE_ARN, JOB_DEFINITION_ARN and the endpoint to, for a shell to source")
	addAWSFlags(cmd, &o.aws)
	return cmd
}

func newDestroy(s *Streams, runF func(context.Context, *applyOptions) error) *cobra.Command {
	o := &applyOptions{streams: s}
	if runF == nil {
		runF = destroy
	}
	cmd := &cobra.Command{
		Use:   "destroy -f FILE|DIR...",
		Short: "Remove the resources described in files",
		Long: `Undo apply: remove the resources described in files, and wait until they are gone. Jobs in a queue that is
removed are terminated. What is not there is left out, so this can be repeated.

` + filesHelp,
		Example: `  batchbox destroy -f infra/local`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.files) == 0 {
				return usagef("-f is missing: which files?")
			}
			return runF(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	addAWSFlags(cmd, &o.aws)
	return cmd
}

// open loads the files and makes the stack.
func (o *applyOptions) open(ctx context.Context, cfg aws.Config) (*stack.Stack, []stack.Resource, error) {
	vars := map[string]string{"AWS_REGION": cfg.Region}
	for _, v := range o.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, nil, usagef("--var %q is not NAME=VALUE", v)
		}
		vars[name] = value
	}
	l := stack.Loader{
		Vars: func(name string) (string, bool, error) {
			if value, ok := vars[name]; ok || name != "AWS_ACCOUNT_ID" {
				return value, ok, nil
			}
			who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, new(sts.GetCallerIdentityInput))
			if err != nil {
				return "", false, fmt.Errorf("find out the account: %w", err)
			}
			vars[name] = aws.ToString(who.Account)
			return vars[name], true, nil
		},
		Note: func(n string) { fmt.Fprintf(o.streams.Err, "note: %s\n", n) },
	}
	resources, err := l.Load(o.files)
	if err != nil {
		return nil, nil, err
	}
	s := &stack.Stack{
		Batch: batch.NewFromConfig(cfg), Logs: cloudwatchlogs.NewFromConfig(cfg), Network: stack.EC2{Config: cfg}, Timeout: o.timeout,
		Done: func(c stack.Change) {
			fmt.Fprintf(o.streams.Out, "%-19s %s %s (%s)\n", c.Kind, c.Name, c.Did, seconds(c.Took))
		},
	}
	return s, resources, nil
}

func apply(ctx context.Context, o *applyOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	s, resources, err := o.open(ctx, cfg)
	if err != nil {
		return err
	}
	changes, err := s.Apply(ctx, resources)
	if err != nil || o.envFile == "" {
		return err
	}
	text, err := environment(ctx, cfg, changes)
	if err != nil {
		return err
	}
	return os.WriteFile(o.envFile, []byte(text), 0o600)
}

// environment is what a shell sources to work with what has been applied. Of several queues or definitions, it is the
// first of each.
func environment(ctx context.Context, cfg aws.Config, changes []stack.Change) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by batchbox apply. To use it: source this file.\n")
	set := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
		}
	}
	first := func(kind stack.Kind) string {
		for _, c := range changes {
			if c.Kind == kind {
				return c.ARN
			}
		}
		return ""
	}
	set("JOB_QUEUE_ARN", first(stack.JobQueue))
	set("JOB_DEFINITION_ARN", first(stack.JobDefinition))
	set("AWS_REGION", cfg.Region)
	set("AWS_DEFAULT_REGION", cfg.Region) // what the AWS CLI before version 2 reads
	if cfg.BaseEndpoint == nil {
		return b.String(), nil
	}
	set("AWS_ENDPOINT_URL", *cfg.BaseEndpoint)
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("AWS credentials: %w", err)
	}
	if creds.AccessKeyID == awsclient.MadeUp { // so that other clients, too, find some
		set("AWS_ACCESS_KEY_ID", awsclient.MadeUp)
		set("AWS_SECRET_ACCESS_KEY", awsclient.MadeUp)
	}
	return b.String(), nil
}

func destroy(ctx context.Context, o *applyOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	s, resources, err := o.open(ctx, cfg)
	if err != nil {
		return err
	}
	return s.Destroy(ctx, resources)
}
