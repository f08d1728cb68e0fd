// Package worker is for programs that run as AWS Batch jobs, above all as the children of array jobs. It reads the
// job's environment, gives the program its share of the items as typed values, cancels its context when the job is told
// to stop, and writes its result as JSON:
//
//	func main() {
//		worker.Main(func(ctx context.Context, job worker.Job[string]) (Thumbnail, error) {
//			return shrink(ctx, job.Item())
//		})
//	}
//
// The same program runs on AWS, on batchbox and by hand:
//
//	JOB_INPUT='{"items": ["cat.png"]}' go run .
//
// It needs the standard library only.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// The exit codes of a program that Main runs, where no *ExitError says otherwise.
const (
	ExitOK         = 0
	ExitFailed     = 1
	ExitBadInput   = 2
	ExitTerminated = 128 + int(syscall.SIGTERM) // as a shell reports a program that SIGTERM ended
)

// ErrTerminated is the cause (context.Cause) of a job's context being cancelled: SIGTERM has come. AWS Batch sends it
// when the job is terminated or over its timeout and when Fargate Spot takes its capacity back; SIGKILL follows after
// 30 seconds, or after the container's stopTimeout.
var ErrTerminated = errors.New("told to stop by SIGTERM")

// InputError is input the program can not work with. It ends the program with ExitBadInput.
type InputError struct{ Err error }

func (e *InputError) Error() string { return "bad input: " + e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// ExitError is an error with an exit code of its own, which a job's retry strategy can match (evaluateOnExit,
// onExitCode). Codes run from 0 to 255; 0 ends the job as a success without a result.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// Func is the work of a program: it handles the items of one job and answers a result for json.Marshal.
type Func[T, R any] func(ctx context.Context, job Job[T]) (R, error)

// Main runs f on the job this process is, and exits.
//
// When f returns a result, it is written to stdout as indented JSON and the exit code is 0. When f returns an error,
// nothing is written to stdout, the error goes to stderr, and the exit code is that of an *ExitError, 2 for an
// *InputError, 143 if the job's context was cancelled by SIGTERM and the error says so (it wraps context.Canceled or
// ErrTerminated), and 1 otherwise. A job that can not be read from the environment ends with code 2 before f is called.
func Main[T, R any](f Func[T, R]) {
	ctx, stop := notify(context.Background())
	code := Run(ctx, Process{LookupEnv: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr}, f)
	stop()
	os.Exit(code)
}

// Process is what Run needs of a process; Main takes it from the os package, tests make their own.
type Process struct {
	LookupEnv      func(name string) (value string, ok bool)
	Stdout, Stderr io.Writer
}

// Run does what Main does, without signals and without exiting, and returns the exit code. Cancel ctx with the cause
// ErrTerminated to do what SIGTERM does.
func Run[T, R any](ctx context.Context, p Process, f Func[T, R]) int {
	job, err := Read[T](p.LookupEnv)
	if err != nil {
		return fail(ctx, p, err)
	}
	result, err := call(ctx, f, job)
	if err != nil {
		return fail(ctx, p, err)
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return fail(ctx, p, fmt.Errorf("write the result: %w", err))
	}
	if _, err := p.Stdout.Write(append(text, '\n')); err != nil {
		return fail(ctx, p, fmt.Errorf("write the result: %w", err))
	}
	return ExitOK
}

// call turns a panic into an error: Go's own exit code for one is 2, which would read as bad input.
func call[T, R any](ctx context.Context, f Func[T, R], job Job[T]) (result R, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
		}
	}()
	return f(ctx, job)
}

func fail(ctx context.Context, p Process, err error) int {
	fmt.Fprintf(p.Stderr, "error: %v\n", err)
	var exit *ExitError
	var input *InputError
	switch {
	case errors.As(err, &exit):
		if exit.Code < 0 || exit.Code > 255 {
			return ExitFailed
		}
		return exit.Code
	case errors.As(err, &input):
		return ExitBadInput
	case errors.Is(err, ErrTerminated), errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), ErrTerminated):
		return ExitTerminated
	}
	return ExitFailed
}

// notify derives a context that SIGTERM cancels with the cause ErrTerminated. Its stop function ends the goroutine that
// listens and gives the signal back to the Go runtime.
func notify(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			cancel(ErrTerminated)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		signal.Stop(signals)
	}
}
