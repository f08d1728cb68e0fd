package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// scheduler takes what internal/engine's benchmarks measure of the engine alone: figures in processor time, since it is not
// the disk or the machine's other work that is asked about.
func (b *bench) scheduler(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Dispatch|QueuedMemory|NToN|Restart)$", "-benchtime", "1x", "./internal/engine")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	results, err := parseBenchmarks(string(out))
	if err != nil {
		return err
	}
	// Of a rate, what matters is how it holds up while the queue grows by a hundred.
	least := map[string]float64{}
	for _, r := range results {
		kind, number, _ := strings.Cut(strings.TrimPrefix(r.name, "Dispatch/"), "/")
		value := r.values["dispatches/cpu-s"]
		switch name := describe(r); {
		case value > 0 && number == "10000":
			least[kind] = value
			b.rows = append(b.rows, row{name, fmt.Sprintf("%.0f /s", value), "", ""})
		case value > 0 && least[kind] > 0:
			b.rows = append(b.rows, row{name, fmt.Sprintf("%.0f /s", value), "", fmt.Sprintf("%+.0f %% of the rate at 10,000; target for 1,000,000: within 20 %%", 100*(value/least[kind]-1))})
		default:
			b.rows = append(b.rows, row{name, r.show(), "", schedulerTargets[strings.SplitN(r.name, "/", 2)[0]]})
		}
	}
	return nil
}

var schedulerTargets = map[string]string{
	"QueuedMemory": "target: 600 B for an array child",
	"NToN":         "target: the same for both sizes",
	"Restart":      "target for 1,000,000 children: 5 s; a page of a list 5 ms",
}

// describe is a benchmark's name in words.
func describe(r benchmark) string {
	kind, rest, _ := strings.Cut(r.name, "/")
	switch kind {
	case "Dispatch":
		what, n, _ := strings.Cut(rest, "/")
		return fmt.Sprintf("dispatches per second of processor time, %s queued (%s)", n, what)
	case "QueuedMemory":
		return "memory of one queued of " + rest
	case "NToN":
		return fmt.Sprintf("an array of %s, N_TO_N on another, for each child from submission to end", rest)
	default:
		return fmt.Sprintf("restart with %s queued", rest)
	}
}

// benchmark is a line that go test -bench prints.
type benchmark struct {
	name   string // without Benchmark and the number of processors
	units  []string
	values map[string]float64 // by unit
}

func (r benchmark) show() string {
	var parts []string
	for _, u := range r.units {
		if u != "ns/op" {
			parts = append(parts, fmt.Sprintf("%.4g %s", r.values[u], u))
		}
	}
	return strings.Join(parts, ", ")
}

func parseBenchmarks(out string) ([]benchmark, error) {
	var results []benchmark
	for line := range strings.Lines(out) {
		name, ok := strings.CutPrefix(line, "Benchmark")
		if !ok {
			continue
		}
		fields := strings.Fields(name)
		if len(fields) < 4 || len(fields)%2 != 0 {
			return nil, fmt.Errorf("a line of go test -bench that is not understood: %q", line)
		}
		r := benchmark{name: fields[0], values: map[string]float64{}}
		if i := strings.LastIndexByte(r.name, '-'); i > 0 {
			if _, err := strconv.Atoi(r.name[i+1:]); err == nil { // with one processor there is no number
				r.name = r.name[:i]
			}
		}
		for i := 2; i < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("a line of go test -bench that is not understood: %q: %w", line, err)
			}
			r.units = append(r.units, fields[i+1])
			r.values[fields[i+1]] = v
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("go test -bench has measured nothing:\n%s", out)
	}
	return results, nil
}
