package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/worker"
)

// knobs are the input's "knobs": ways to behave as real workloads do. They are turned in the order of the fields, lines,
// memory and disk once, sleep and burn for each item; failing comes last, so that a failing job has taken its time.
type knobs struct {
	// Lines of output, numbered from 1, LineBytes long (64 if 0), before anything else. Stderr sends them there.
	Lines     int  `json:"lines"`
	LineBytes int  `json:"lineBytes"`
	Stderr    bool `json:"stderr"`
	// MemoryMiB is taken, every page of it written to, and kept until the end.
	MemoryMiB int `json:"memoryMiB"`
	// DiskMiB is written to a file in the directory for temporary files, which is removed in the end.
	DiskMiB int `json:"diskMiB"`
	// Sleep waits; Burn keeps one core busy. Both are durations as "1.5s", or numbers of milliseconds, for each item.
	Sleep duration `json:"sleep"`
	Burn  duration `json:"burn"`
	// ExitCode is what a failing job exits with, 1 if absent. A job fails if any of these three is there and it is among
	// those they choose: children with an index in FailIndexes (a single job has index 0), attempts up to FailAttempts.
	ExitCode     *int  `json:"exitCode"`
	FailIndexes  []int `json:"failIndexes"`
	FailAttempts int   `json:"failAttempts"`
	// IgnoreSigterm carries on to the end when told to stop. TermExitCode is the exit code of a job that stops because it
	// was told to, 143 if absent.
	IgnoreSigterm bool `json:"ignoreSigterm"`
	TermExitCode  *int `json:"termExitCode"`
	// ShowEnvironment puts the environment into the result.
	ShowEnvironment bool `json:"showEnvironment"`

	isRange bool
}

type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		parsed, err := time.ParseDuration(text)
		*d = duration(parsed)
		return err
	}
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return fmt.Errorf(`%s is no duration: write "1.5s", or a number of milliseconds`, b)
	}
	*d = duration(ms * float64(time.Millisecond))
	return nil
}

func readKnobs(job *worker.Job[json.RawMessage]) (*knobs, error) {
	var in struct {
		Knobs json.RawMessage `json:"knobs"`
		Range json.RawMessage `json:"range"`
	}
	if err := job.Decode(&in); err != nil {
		return nil, err
	}
	k := &knobs{isRange: in.Range != nil}
	if in.Knobs == nil {
		return k, nil
	}
	d := json.NewDecoder(bytes.NewReader(in.Knobs))
	d.DisallowUnknownFields() // a misspelt knob would be a test that tests nothing
	if err := d.Decode(k); err != nil {
		return nil, &worker.InputError{Err: fmt.Errorf("knobs: %w", err)}
	}
	for name, n := range map[string]int64{"lines": int64(k.Lines), "lineBytes": int64(k.LineBytes), "memoryMiB": int64(k.MemoryMiB),
		"diskMiB": int64(k.DiskMiB), "failAttempts": int64(k.FailAttempts), "sleep": int64(k.Sleep), "burn": int64(k.Burn)} {
		if n < 0 {
			return nil, &worker.InputError{Err: fmt.Errorf("knobs: %s is negative", name)}
		}
	}
	if c := k.ExitCode; c != nil && (*c < 1 || *c > 255) {
		return nil, &worker.InputError{Err: fmt.Errorf("knobs: exitCode is %d, but a failure's runs from 1 to 255", *c)}
	}
	if c := k.TermExitCode; c != nil && (*c < 0 || *c > 255) {
		return nil, &worker.InputError{Err: fmt.Errorf("knobs: termExitCode is %d, but exit codes run from 0 to 255", *c)}
	}
	return k, nil
}

// turn does what the knobs say and answers how the job is to end.
func (k *knobs) turn(ctx context.Context, job *worker.Job[json.RawMessage]) error {
	if k.IgnoreSigterm {
		ctx = context.WithoutCancel(ctx)
	}
	if err := k.print(); err != nil {
		return err
	}
	memory := touch(k.MemoryMiB)
	defer runtime.KeepAlive(memory)
	if err := fill(k.DiskMiB); err != nil {
		return err
	}
	for range job.Items {
		if err := wait(ctx, time.Duration(k.Sleep)); err != nil {
			return k.stopped(err)
		}
		if err := burn(ctx, time.Duration(k.Burn)); err != nil {
			return k.stopped(err)
		}
	}
	if k.fails(job) {
		code := worker.ExitFailed
		if k.ExitCode != nil {
			code = *k.ExitCode
		}
		return &worker.ExitError{Code: code, Err: fmt.Errorf("told to fail with exit code %d (index %d, attempt %d)", code, job.Index, job.Attempt)}
	}
	return nil
}

func (k *knobs) fails(job *worker.Job[json.RawMessage]) bool {
	asked := k.ExitCode != nil || k.FailIndexes != nil || k.FailAttempts > 0
	index := k.FailIndexes == nil || slices.Contains(k.FailIndexes, job.Index)
	attempt := k.FailAttempts == 0 || job.Attempt <= k.FailAttempts
	return asked && index && attempt
}

func (k *knobs) stopped(err error) error {
	if k.TermExitCode != nil && errors.Is(err, worker.ErrTerminated) {
		return &worker.ExitError{Code: *k.TermExitCode, Err: err}
	}
	return err
}

func (k *knobs) print() error {
	var to io.Writer = os.Stdout
	if k.Stderr {
		to = os.Stderr
	}
	size := k.LineBytes
	if size == 0 {
		size = 64
	}
	w := bufio.NewWriter(to)
	for i := 1; i <= k.Lines; i++ {
		line := fmt.Sprintf("line %d of %d ", i, k.Lines)
		line += strings.Repeat(".", max(0, size-len(line)))
		if _, err := w.WriteString(line[:min(size, len(line))] + "\n"); err != nil {
			return fmt.Errorf("print lines: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print lines: %w", err)
	}
	return nil
}

func touch(mib int) []byte {
	memory := make([]byte, mib<<20)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	return memory
}

func fill(mib int) (err error) {
	if mib == 0 {
		return nil
	}
	f, err := os.CreateTemp("", "batchworker-*")
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 1<<20)
	for range mib {
		if _, err := f.Write(block); err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func burn(ctx context.Context, d time.Duration) error {
	for start := time.Now(); time.Since(start) < d; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
