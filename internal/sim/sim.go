package sim

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Config is one run. Everything else follows from the seed.
type Config struct {
	Seed uint64
	// Works is how many pieces of work are submitted, array children counted one by one, before the run is let come to its end.
	Works int
	// NoFaults leaves disk, reports, hosts and engine alone.
	NoFaults bool
	// Trace, if not nil, is told everything, a line each.
	Trace io.Writer

	sabotage func(*world) // for tests of the model
}

// Result is what a run has seen.
type Result struct {
	Jobs, Works      int // submitted; array children are works
	Attempts, Tasks  int // attempts ended; tasks started, nodes counted one by one
	Events           int // state changes
	Groups           int // of requests and reports
	Crashes          int // of the engine, with a restart
	Refused          int // commits that failed
	Hosts            int // lost, with all they ran
	Simulated        time.Duration
	Trace            uint64 // hash of all that happened, in order
	Succeeded, Ended int    // jobs
}

// Violation is something that must not happen, and did.
type Violation struct {
	Seed uint64
	Text string
	Tail string // the last lines of the trace
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d: %s\n%s", v.Seed, v.Text, v.Tail)
}

// Run makes one run. The error is a *Violation.
func Run(cfg Config) (Result, error) {
	w := newWorld(cfg)
	w.run()
	w.result.Simulated = w.now.Sub(epoch)
	w.result.Trace = w.trace.sum.Sum64()
	if w.violation != nil {
		return w.result, w.violation
	}
	return w.result, nil
}

var (
	home  = batch.Partition{Account: "000000000000", Region: "us-east-1"}
	epoch = time.UnixMilli(1_700_000_000_000)
)

// world is one run.
type world struct {
	cfg    Config
	rng    *rand.Rand
	faults bool
	limits engine.Limits
	ids    *ids

	now     time.Time
	future  future
	last    int64
	engine  *engine.Stepped
	disk    *disk
	machine *machine
	model   *model
	trace   *trace
	// recorded are the state changes of the group about to be committed.
	recorded []engine.Notice
	eventID  int64
	// inbox is what the engine is to take with the next group; target is how many it waits for.
	inbox  []engine.Event
	target int

	load      load
	result    Result
	violation *Violation
}

func newWorld(cfg Config) *world {
	w := &world{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), faults: !cfg.NoFaults, ids: new(ids), now: epoch, trace: newTrace(cfg.Trace), target: 1}
	w.limits = engine.Limits{Notify: true, SpotSeed: cfg.Seed}
	if w.rng.IntN(2) == 0 {
		w.limits.MaxTasks = 12
	}
	if w.rng.IntN(2) == 0 {
		w.limits.SpotRate = 10
	}
	if w.rng.IntN(2) == 0 {
		w.limits.StopGrace = 5 * time.Second
	}
	w.disk, w.machine, w.model = newDisk(), newMachine(w), newModel(w)
	w.disk.committed = func(c *engine.Changes) {
		notices := w.recorded
		if len(c.Events) == 0 {
			notices = nil
		}
		w.model.committed(c, notices)
	}
	return w
}

// violate notes what must not happen; the first counts, and ends the run.
func (w *world) violate(format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{w.cfg.Seed, fmt.Sprintf(format, args...), w.trace.last()}
	}
}

// derived is a source of its own for something that has a name, so that its fate does not depend on what else happens.
func (w *world) derived(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name) // a hash takes everything
	return rand.New(rand.NewPCG(w.cfg.Seed, h.Sum64()))
}

func (w *world) ms() int64 { return w.now.Sub(epoch).Milliseconds() }

func (w *world) run() {
	w.restart()
	w.setUp()
	if w.cfg.sabotage != nil {
		w.cfg.sabotage(w)
	}
	w.after(0, w.work)
	if w.faults {
		w.every(2*time.Hour, func() {
			w.result.Hosts++
			w.trace.addf("%d the host is lost", w.ms())
			w.machine.lose()
		})
		w.every(30*time.Minute, w.crash)
	}
	most := 200*w.cfg.Works + 100_000 // groups; what never ends is a violation too
	for w.violation == nil {
		if !w.next() {
			break
		}
		if w.result.Groups > most {
			w.violate("%d groups and no end", most)
		}
	}
	if w.violation == nil {
		w.atTheEnd()
	}
}

// every lets something happen again and again, at random times so far apart on average, while there is work to come.
func (w *world) every(mean time.Duration, do func()) {
	w.after(time.Duration(w.rng.ExpFloat64()*float64(mean)), func() {
		if !w.load.done {
			do()
			w.every(mean, do)
		}
	})
}

// next takes the clock to what happens next; false if nothing does any more.
func (w *world) next() bool {
	wake := w.engine.Wake()
	switch {
	case len(w.inbox) >= w.target || len(w.inbox) > 0 && (len(w.future) == 0 || w.future[0].at.Sub(w.now) > time.Second):
		n := oneChange(w.inbox[:min(len(w.inbox), w.target)])
		group := slices.Clone(w.inbox[:n])
		w.inbox = append(w.inbox[:0], w.inbox[n:]...)
		w.target = 1
		if w.rng.IntN(4) == 0 {
			w.target = 1 + w.rng.IntN(40)
		}
		w.group(group)
	case !wake.IsZero() && (len(w.future) == 0 || !wake.After(w.future[0].at)):
		w.advance(wake)
		w.group(nil)
	case len(w.future) > 0:
		h := heap.Pop(&w.future).(happening)
		w.advance(h.at)
		h.do()
	default:
		return false
	}
	return true
}

// oneChange is how many of the events make a group with one change of a limit at most, so that the model knows between which
// two values it was.
func oneChange(events []engine.Event) int {
	changes := 0
	for i, ev := range events {
		switch ev.(type) {
		case engine.UpdateComputeEnvironment, engine.UpdateConsumableResource, engine.UpdateJobQueue:
			if changes++; changes > 1 {
				return i
			}
		}
	}
	return len(events)
}

func (w *world) advance(to time.Time) {
	if to.After(w.now) {
		w.now = to
	}
}

// group gives the engine one group, and perhaps a fault with it.
func (w *world) group(events []engine.Event) {
	w.result.Groups++
	crash := false
	failing := w.faults && !w.load.done && w.rng.IntN(150) == 0
	if failing {
		switch w.rng.IntN(3) {
		case 0:
			w.disk.failCommit = true
		case 1:
			w.disk.failCommit, w.disk.failAfter = true, true
		default:
			crash, w.machine.deaf = true, true // after the commit, before anyone hears of it
		}
		w.disk.failLoads = w.rng.IntN(2)
	}
	w.model.begin(len(events))
	if failing || w.result.Groups > 1 && w.model.unsettled {
		w.model.mixed = true // what could not be committed before comes with it
	}
	w.trace.addf("%d group of %d, fault %v %v %v", w.ms(), len(events), w.disk.failCommit, w.disk.failAfter, crash)
	answers := w.engine.Group(events...)
	w.model.unsettled = failing
	if failing && !crash {
		w.result.Refused++
	}
	w.disk.failCommit, w.disk.failAfter, w.disk.failLoads = false, false, 0
	if crash {
		w.machine.deaf = false
		w.crash()
		return
	}
	for i, ev := range events {
		w.answered(ev, answers[i], failing)
	}
	if failing || w.violation != nil {
		return
	}
	if w.result.Groups%50 == 0 {
		w.model.scan()
	}
	if w.result.Groups%200 == 0 {
		for _, wrong := range w.engine.Core().Audit() {
			w.violate("%s", wrong)
		}
	}
}

// crash ends the engine where it stands; another one starts from what is on disk.
func (w *world) crash() {
	w.result.Crashes++
	w.trace.addf("%d crash", w.ms())
	if w.faults && w.rng.IntN(3) == 0 {
		w.disk.failLoads = 1
	}
	w.restart()
	w.model.unsettled = true
}

func (w *world) restart() {
	for range 3 {
		var err error
		w.engine, err = engine.OpenStepped(context.Background(), engine.Config{
			Store: w.disk, Launcher: w.machine, Clock: clock{w}, IDs: w.ids, Limits: w.limits, Journal: w, Logger: slog.New(faultLog{w}),
		})
		if err == nil {
			return
		}
	}
	w.violate("the engine does not start from what is on disk")
}

// Record implements engine.Journal: one record stands for all the changes of a group.
func (w *world) Record(notices []engine.Notice) []engine.EventRecord {
	w.recorded = notices
	w.eventID++
	return []engine.EventRecord{{ID: w.eventID, Partition: home, Time: w.now.UnixMilli()}}
}

// atTheEnd: everything has ended, and everyone agrees on how.
func (w *world) atTheEnd() {
	w.model.scan()
	for _, seq := range sorted(w.model.live) {
		w.violate("job %s never ends: it is %v", w.model.live[seq].id, w.model.live[seq].self.status)
	}
	for _, seq := range sorted(w.disk.jobs) {
		j := w.model.jobs[seq]
		w.model.agree(seq, -1, w.disk.jobs[seq].Status)
		for _, i := range sorted(w.disk.children[seq]) {
			w.model.agree(seq, i, w.disk.children[seq][i].Status)
		}
		if w.result.Ended++; j.self.status == batch.Succeeded {
			w.result.Succeeded++
		}
	}
	if n := w.engine.Core().Live(); n > 0 {
		w.violate("%d jobs are live in the engine", n)
	}
	for _, key := range sorted(w.machine.tasks) {
		w.violate("task %v was never acknowledged", w.machine.tasks[key])
	}
	for _, wrong := range w.engine.Core().Audit() {
		w.violate("%s", wrong)
	}
}

// happening is something that happens at a time.
type happening struct {
	at  time.Time
	seq int64
	do  func()
}

func (w *world) after(d time.Duration, do func()) {
	w.last++
	heap.Push(&w.future, happening{w.now.Add(d).Truncate(time.Millisecond), w.last, do})
}

type future []happening

func (f future) Len() int { return len(f) }
func (f future) Less(i, j int) bool {
	return f[i].at.Before(f[j].at) || f[i].at.Equal(f[j].at) && f[i].seq < f[j].seq
}
func (f future) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *future) Push(x any)   { *f = append(*f, x.(happening)) }
func (f *future) Pop() any {
	last := len(*f) - 1
	h := (*f)[last]
	(*f)[last] = happening{}
	*f = (*f)[:last]
	return h
}

// clock is the engine's. Who waits for it lets the time pass.
type clock struct{ w *world }

func (c clock) Now() time.Time { return c.w.now }

func (c clock) NewTimer(at time.Time) (fired <-chan time.Time, stop func()) {
	c.w.advance(at)
	ch := make(chan time.Time, 1)
	ch <- c.w.now
	return ch, func() {}
}

// ids are numbers in order.
type ids struct{ n uint64 }

func (i *ids) UUID() string   { i.n++; return fmt.Sprintf("00000000-0000-4000-8000-%012x", i.n) }
func (i *ids) TaskID() string { i.n++; return fmt.Sprintf("%032x", i.n) }

// faultLog listens for the engine's word that one of its rules is wrong.
type faultLog struct{ w *world }

func (faultLog) Enabled(context.Context, slog.Level) bool { return true }
func (l faultLog) Handle(_ context.Context, r slog.Record) error {
	var attrs strings.Builder
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&attrs, " %s", a); return true })
	if text := attrs.String(); strings.Contains(text, "panic in the engine") || !strings.Contains(text, errDisk.Error()) {
		l.w.violate("the engine says: %s:%s", r.Message, text)
	}
	return nil
}
func (l faultLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l faultLog) WithGroup(string) slog.Handler      { return l }

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedFunc[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

// compareStrings compares the pairs (a1, b1) and (a2, b2)... given as a1, b1, a2, b2.
func compareStrings(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}
