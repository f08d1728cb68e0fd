// Test-runner submits an array job of the sample workload (apps/batchworker), waits for it, and checks that every child
// did its part: that it SUCCEEDED, and that its log holds one JSON result with its own index and item. It uses only the
// AWS SDK, so it tells the same truth about AWS and about a batchbox engine.
//
//	go build -o test-runner . && ./test-runner --job-queue="$JOB_QUEUE_ARN" --job-definition="$JOB_DEFINITION_ARN" \
//	  --array-size=2 --input='{"message": "Hello!", "items": ["item-A", "item-B"]}'
//
// The exit code is 0 if everything holds, 1 if something does not, and 2 if the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"golang.org/x/term"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/cli/watch"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	width := 0
	if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) {
		width = 80
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			width = w
		}
	}
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, width)
	stop()
	os.Exit(code)
}

type options struct {
	queue, definition string
	size              int // 0 for a single job
	want              *expectation
	input             string
	timeout           time.Duration
	logTimeout        time.Duration
	aws               awsclient.Options
	json              bool
}

// run is the whole program. Progress goes to stderr, the report to stdout; width is that of stderr's terminal, 0 if it
// is none.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, width int) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "error: %v\nRun test-runner --help for the flags.\n", err)
		return exitUsage
	}
	cfg, err := awsclient.Load(ctx, o.aws)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return exitUsage
	}
	line := watch.NewLine(stderr, width)
	r := runner{
		options: o, batch: batch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), line: line,
		say: func(format string, args ...any) { line.Break(); fmt.Fprintf(stderr, format+"\n", args...) },
	}
	r.say("%s: %s", awsclient.Where(cfg), o)
	for _, w := range warnings(o) {
		r.say("warning: %s", w)
	}
	report := r.run(ctx)
	if o.json {
		err = report.writeJSON(stdout)
	} else {
		err = report.writeText(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "error: write the report: %v\n", err)
		return exitFailed
	}
	if !report.OK {
		return exitFailed
	}
	return exitOK
}

func (o *options) String() string {
	kind := "a single job"
	if o.size > 0 {
		kind = fmt.Sprintf("an array of %d", o.size)
	}
	return fmt.Sprintf("%s of %s in queue %s", kind, short(o.definition), short(o.queue))
}

// short is what follows the last slash: the name in an ARN.
func short(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	var size int
	var output string
	f := flag.NewFlagSet("test-runner", flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors are printed once, by run
	f.StringVar(&o.queue, "job-queue", "", "`name` or ARN of the job queue (required)")
	f.StringVar(&o.definition, "job-definition", "", "`name`, name:revision or ARN of a job definition that runs batchworker (required)")
	f.IntVar(&size, "array-size", 0, "`number` of children, 2 to 10000; 0 or 1 submits a single job")
	f.StringVar(&o.input, "input", "", `the job's input as JSON: {"message": "...", "items": [...]}, or {"message": "...", "range": {"from": 0, "to": 9999}} (required)`)
	f.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up on the job, and terminate it, after this `duration`")
	f.DurationVar(&o.logTimeout, "log-timeout", 2*time.Minute, "give up on log lines that have not arrived this `duration` after the job's end")
	f.StringVar(&o.aws.Region, "region", "", "AWS `region`; the SDK's environment and profile count without it")
	f.StringVar(&o.aws.Endpoint, "endpoint-url", "", "`URL` of a batchbox engine; AWS_ENDPOINT_URL counts without it, else it is AWS itself")
	f.StringVar(&output, "output", "text", "`format` of the report: text or json")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stderr, "Usage: test-runner --job-queue Q --job-definition D --input JSON [flags]")
		fmt.Fprintln(stderr, "Exit code: 0 if everything holds, 1 if something does not, 2 for a wrong command line.")
		f.SetOutput(stderr)
		f.PrintDefaults()
		return nil, err
	case err != nil:
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.queue == "":
		return nil, errors.New("--job-queue is missing")
	case o.definition == "":
		return nil, errors.New("--job-definition is missing")
	case o.input == "":
		return nil, errors.New("--input is missing")
	case size < 0 || size > 10000:
		return nil, fmt.Errorf("--array-size is %d: an array has 2 to 10000 children", size)
	case o.timeout <= 0 || o.logTimeout <= 0:
		return nil, errors.New("--timeout and --log-timeout must be over zero")
	case output != "text" && output != "json":
		return nil, fmt.Errorf("--output is %q: it is text or json", output)
	}
	o.json = output == "json"
	if size > 1 {
		o.size = size
	}
	var err error
	if o.want, err = expect(o.input, o.size); err != nil {
		return nil, fmt.Errorf("--input: %w", err)
	}
	o.aws.MaxAttempts = 12 // CloudWatch Logs allows few reads a second
	return o, nil
}
