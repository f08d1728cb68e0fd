package sim

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	launched "github.com/batchbox/batchbox/internal/runtime"
)

// TestSimulation makes short runs. `make sim` makes long ones: BATCHBOX_SIM_WORKS is how many pieces of work in all,
// BATCHBOX_SIM_SEED the first seed, and BATCHBOX_SIM_TRACE=1 prints all that happens (with one run, please).
func TestSimulation(t *testing.T) {
	t.Parallel()
	const each = 1500
	runs, size := 12, each
	if works := number(t, "BATCHBOX_SIM_WORKS"); works > 0 {
		size = min(works, 10_000)
		runs = (works + size - 1) / size
	}
	first := uint64(number(t, "BATCHBOX_SIM_SEED"))
	seeds := make(chan uint64)
	var mu sync.Mutex
	var total Result
	var wg sync.WaitGroup
	for range min(runs, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for seed := range seeds {
				cfg := Config{Seed: seed, Works: size, NoFaults: seed%10 == 9}
				if os.Getenv("BATCHBOX_SIM_TRACE") != "" {
					cfg.Trace = os.Stdout
				}
				r, err := Run(cfg)
				if err != nil {
					t.Errorf("%v\nagain: BATCHBOX_SIM_SEED=%d BATCHBOX_SIM_WORKS=%d go test -run TestSimulation ./internal/sim", err, seed, size)
				}
				mu.Lock()
				total.add(r)
				mu.Unlock()
			}
		})
	}
	for seed := first; seed < first+uint64(runs) && !t.Failed(); seed++ {
		seeds <- seed
	}
	close(seeds)
	wg.Wait()
	t.Logf("%d runs: %+v", runs, total)
	// A simulation in which nothing happens proves nothing.
	for _, n := range []int{total.Jobs, total.Attempts, total.Crashes, total.Refused, total.Succeeded, total.Ended - total.Succeeded, total.Hosts} {
		if n == 0 && !t.Failed() && runs > 1 {
			t.Errorf("too little happened: %+v", total)
		}
	}
}

func (r *Result) add(o Result) {
	r.Jobs, r.Works, r.Attempts, r.Tasks, r.Events = r.Jobs+o.Jobs, r.Works+o.Works, r.Attempts+o.Attempts, r.Tasks+o.Tasks, r.Events+o.Events
	r.Groups, r.Crashes, r.Refused, r.Hosts = r.Groups+o.Groups, r.Crashes+o.Crashes, r.Refused+o.Refused, r.Hosts+o.Hosts
	r.Simulated, r.Succeeded, r.Ended = r.Simulated+o.Simulated, r.Succeeded+o.Succeeded, r.Ended+o.Ended
	r.Trace ^= o.Trace
}

func number(t *testing.T, variable string) int {
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// One seed is one run, and another seed another.
func TestOneSeedOneTrace(t *testing.T) {
	t.Parallel()
	traces := map[uint64]bool{}
	for _, seed := range []uint64{11, 12} {
		var results [2]Result
		for i := range results {
			var err error
			if results[i], err = Run(Config{Seed: seed, Works: 1000}); err != nil {
				t.Fatal(err)
			}
		}
		if results[0] != results[1] {
			t.Errorf("seed %d:\n%+v\n%+v", seed, results[0], results[1])
		}
		traces[results[0].Trace] = true
	}
	if len(traces) != 2 {
		t.Errorf("two seeds have %d traces", len(traces))
	}
}

// The model notices what it is there for. Each of these tampers with what the engine has decided or is told, as a fault in
// a rule would; what follows is a violation, and not a run that looks well.
func TestTheModelNotices(t *testing.T) {
	t.Parallel()
	for name, sabotage := range map[string]func(*world){
		"a failure told as a success": func(w *world) {
			w.machine.sabotage = func(_ string, r *launched.Report) {
				if c := &r.Containers[0]; c.ExitCode != nil && *c.ExitCode == 3 {
					*c.ExitCode = 0
				}
			}
		},
		"a success told as a failure": func(w *world) {
			w.machine.sabotage = func(key string, r *launched.Report) {
				if c := &r.Containers[0]; c.ExitCode != nil && *c.ExitCode == 0 && strings.HasSuffix(key, ":3/1") {
					*c.ExitCode = 7
				}
			}
		},
		"a row of a child that is not written": func(w *world) {
			w.disk.sabotage = func(c *engine.Changes) {
				c.Children = slices.DeleteFunc(c.Children, func(ch engine.ChildRecord) bool { return ch.Index == 2 && ch.Status == batch.Starting })
			}
		},
		"a row with another state": func(w *world) {
			w.disk.sabotage = func(c *engine.Changes) {
				for i := range c.Children {
					if ch := &c.Children[i]; ch.Index == 1 && ch.Status == batch.Running {
						ch.Status = batch.Starting
					}
				}
			}
		},
		"events that are lost": func(w *world) {
			w.disk.sabotage = func(c *engine.Changes) {
				if w.eventID%100 == 0 {
					c.Events = nil
				}
			}
		},
		"an environment smaller than the engine thinks": func(w *world) {
			w.disk.sabotage = func(c *engine.Changes) {
				for i := range c.Resources {
					if r := &c.Resources[i]; r.Key == "spot" {
						r.Value = regexp.MustCompile(`"maxMilliCpu":[3-6]000`).ReplaceAll(r.Value, []byte(`"maxMilliCpu":1000`))
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				_, err := Run(Config{Seed: 100 + seed, Works: 2000, NoFaults: true, sabotage: sabotage})
				var v *Violation
				if errors.As(err, &v) {
					t.Log(v.Text)
					return
				}
			}
			t.Error("nothing is noticed")
		})
	}
}
