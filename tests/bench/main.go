// Bench measures a batchbox engine and prints the figures as a table in Markdown. It starts engines of its own on free
// ports, and removes what it has made.
//
// Times are compared within one run: an array of jobs with xargs starting the same program as often, a durable submission
// with the disk's own fsync. A figure is the median of several runs, with the smallest and the largest beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	batchbox string // the program
	worker   string // the workload, compiled
	dir      string // for everything, removed at the end
	runs     int
	children int
	submits  int
	stored   int
	runtime  string
	rows     []row
	progress io.Writer
}

// row is a line of the table.
type row struct{ what, median, spread, against string }

// note puts into the table that something was not measured, and why.
func (b *bench) note(what, why string) { b.rows = append(b.rows, row{what, "not measured", "", why}) }

type measure struct {
	name string
	run  func(*bench, context.Context) error
}

var measures = []measure{
	{"fsync", (*bench).fsync},
	{"start", (*bench).startUp},
	{"idle", (*bench).idle},
	{"submit", (*bench).submit},
	{"first", (*bench).firstInstruction},
	{"scheduler", (*bench).scheduler},
	{"array", (*bench).array},
	{"containers", (*bench).containers},
	{"image", (*bench).largerImage},
	{"supervisor", (*bench).supervisorMemory},
	{"restart", (*bench).restart},
	{"killed", (*bench).killed},
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{progress: stderr}
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&b.batchbox, "batchbox", "bin/batchbox", "the `program` to measure")
	f.StringVar(&b.runtime, "runtime", "process", "`name` of the runtime of the array")
	f.IntVar(&b.runs, "runs", 3, "`number` of runs of each measure")
	f.IntVar(&b.children, "children", 10000, "`number` of children of the array")
	f.IntVar(&b.submits, "submits", 20000, "`number` of submissions by 16 clients")
	f.IntVar(&b.stored, "stored", 1_000_000, "`number` of finished jobs stored when an engine is restarted")
	f.StringVar(&only, "only", "", "measures to take, by `names`: "+names())
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if b.batchbox, err = filepath.Abs(b.batchbox); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "batchbox-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.worker = filepath.Join(b.dir, "batchworker")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", b.worker, "./apps/batchworker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the workload: %w", err)
	}
	for _, m := range chosen {
		fmt.Fprintf(stderr, "measuring %s ...\n", m.name)
		if err := m.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return b.print(ctx, stdout)
}

func names() string {
	var all []string
	for _, m := range measures {
		all = append(all, m.name)
	}
	return strings.Join(all, ",")
}

func choose(names string) ([]measure, error) {
	if names == "" {
		return measures, nil
	}
	var chosen []measure
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no measure %q", name)
		}
		chosen = append(chosen, measures[i])
	}
	return chosen, nil
}

// print writes the table with what one must know to compare it.
func (b *bench) print(ctx context.Context, w io.Writer) error {
	var s strings.Builder
	commit := "unknown"
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	fmt.Fprintf(&s, "Commit %s, %s, %s/%s, %d cores, %s, medians of %d runs.\n\n", commit, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), processor(), b.runs)
	s.WriteString("| What | Median | Smallest - largest | Against |\n| --- | --- | --- | --- |\n")
	for _, r := range b.rows {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", r.what, r.median, r.spread, r.against)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// add puts the durations of some runs into the table.
func (b *bench) add(what string, took []time.Duration, against string) {
	slices.Sort(took)
	b.rows = append(b.rows, row{what, show(median(took)), show(took[0]) + " - " + show(took[len(took)-1]), against})
}

// median is the middle one of sorted durations.
func median(took []time.Duration) time.Duration { return took[len(took)/2] }

// percentile is the p-th one of a hundred of sorted durations.
func percentile(took []time.Duration, p int) time.Duration {
	return took[min(len(took)*p/100, len(took)-1)]
}

func show(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
	}
}
