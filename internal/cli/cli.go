// Package cli is batchbox's command line. Apart from serve, which runs the engine, and the commands that look after it,
// every command is a client of the AWS API: it works against AWS as it works against the engine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
)

// The exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2   // the command line is wrong
	ExitInterrupted = 130 // as a shell reports a program that SIGINT ended
)

// Streams are what a command reads and writes. A width is the columns of the terminal a stream is, 0 if it is none.
type Streams struct {
	In                 io.Reader
	Out, Err           io.Writer
	OutWidth, ErrWidth int
}

// Main runs the command line and answers the exit code. An error is printed once, here.
func Main(ctx context.Context, args []string, s *Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	var usage *usageError
	var code *exitError
	switch {
	case errors.As(err, &code):
		if code.err != nil {
			fmt.Fprintf(s.Err, "error: %s\n", awsclient.Explain(code.err))
		}
		return code.code
	case errors.As(err, &usage):
		fmt.Fprintf(s.Err, "error: %v\nSee `%s --help`.\n", err, cmd.CommandPath())
		return ExitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(s.Err, "interrupted")
		return ExitInterrupted
	}
	fmt.Fprintf(s.Err, "error: %s\n", awsclient.Explain(err))
	if errors.Is(err, syscall.ECONNREFUSED) {
		fmt.Fprintln(s.Err, "No engine answers there. Start one with `batchbox serve`, name another with --endpoint-url, or say --aws for AWS itself.")
	}
	return ExitFailed
}

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitError ends the program with a code of its own; without an error everything has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

func newRoot(s *Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "batchbox",
		Short: "AWS Batch on your own machine",
		Long: `batchbox is AWS Batch on your own machine: an engine that speaks AWS's protocols and runs the containers
for real, and a client for it that works against AWS too.`,
		Example: `  batchbox serve                                             # the engine, on 127.0.0.1:4566
  batchbox image build ./apps/batchworker -t batchworker:latest
  batchbox apply -f infra/local                               # compute environment, queue, job definition
  batchbox submit --job-queue batchbox-local --job-definition batchworker --array-size 2 \
    --input '{"message": "Hello!", "items": ["item-A", "item-B"]}'`,
		Args:          args(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddGroup(&cobra.Group{ID: groupEngine, Title: "The engine:"}, &cobra.Group{ID: groupClient, Title: "Work with an engine, or with AWS:"})
	root.AddCommand(
		newServe(s, nil), newStop(s, nil), newDoctor(s, nil), newBackup(s, nil), newExport(s, nil),
		newApply(s, nil), newDestroy(s, nil), newImage(s), newSubmit(s, nil), newJobs(s, nil), newLogs(s, nil), newTerminate(s, nil), newSpot(s, nil), newCheck(s, nil),
		newVersion(s), newSupervisor(s, nil),
	)
	return root
}

const (
	groupEngine = "engine"
	groupClient = "client"
)

// args has a command's check of its arguments count as a check of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		if near := cmd.SuggestionsFor(strings.Join(args[:min(len(args), 1)], "")); cmd.HasSubCommands() && len(near) > 0 {
			return usagef("%w; did you mean %s?", err, strings.Join(near, " or "))
		}
		return &usageError{err}
	}
}

// defaultEndpoint is where `batchbox serve` listens when it is not told otherwise.
const defaultEndpoint = "http://127.0.0.1:4566"

// awsFlags are the flags of every command that is an AWS client.
type awsFlags struct {
	endpoint, region, profile string
	aws                       bool
}

const awsHelp = `
Which AWS this talks to: --endpoint-url, else AWS_ENDPOINT_URL or the profile's endpoint_url, else an engine at
` + defaultEndpoint + `. AWS itself is used only with --aws, never by accident. Region and credentials are those of
the AWS CLI: --region, AWS_REGION, --profile, AWS_PROFILE and so on; an engine on this machine needs neither.`

func addAWSFlags(cmd *cobra.Command, f *awsFlags) {
	cmd.Flags().StringVar(&f.endpoint, "endpoint-url", "", "`URL` of an engine")
	cmd.Flags().BoolVar(&f.aws, "aws", false, "talk to AWS itself")
	cmd.Flags().StringVar(&f.region, "region", "", "AWS `region`")
	cmd.Flags().StringVar(&f.profile, "profile", "", "`name` of a profile of the AWS configuration files")
	cmd.Long += "\n" + awsHelp
	cmd.GroupID = groupClient
}

// seconds is a time taken, for a line of output.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// readFile reads a file, or the command's input if it is called "-".
func readFile(s *Streams, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.In)
	}
	return os.ReadFile(name)
}
