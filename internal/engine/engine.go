package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Clock is the engine's time. A test's clock can be advanced; NewTimer's channel then fires.
type Clock interface {
	Now() time.Time
	// NewTimer's channel receives once at or after the given time. stop releases the timer.
	NewTimer(at time.Time) (c <-chan time.Time, stop func())
}

// Launcher carries out what the core wants done with containers. Its calls do not block on the work itself; what becomes
// of a task comes back through Reports, an Ended report again and again until it is acknowledged.
type Launcher interface {
	Start([]StartTask)
	// Resume names the tasks that were under way when the last engine ended: each is found running or ended, started if it
	// never was, or reported lost.
	Resume([]ResumeTask) error
	Stop([]StopTask)
	Ack(keys []string)
	Reports() <-chan []runtime.Report
}

// Observer is told of every state change after it is on disk, in order. It must not block.
type Observer interface {
	Observe([]Notice)
}

// Journal makes the records of state changes that are committed with the changes themselves. If that commit fails its
// records are gone, and a later one has others. It must not block.
type Journal interface {
	Record([]Notice) []EventRecord
}

// Config is what an Engine is made of.
type Config struct {
	Store    Store
	Launcher Launcher
	Clock    Clock
	IDs      IDs
	Limits   Limits
	Journal  Journal  // may be nil
	Observer Observer // may be nil
	Logger   *slog.Logger
}

// Engine is the one loop around a Core. All its methods may be called from many goroutines; each answers after what it
// shows or did is on disk.
type Engine struct {
	cfg      Config
	requests chan *request
	catalog  atomic.Pointer[Catalog]
	stop     chan struct{}
	done     chan struct{}
	// direct: there is no loop, the caller of a method steps; see Stepped.
	direct bool

	// The rest belongs to the loop.
	core *Core
	// unsaved are the reports of groups that could not be committed. retryAt is when to go on after the core was made anew,
	// request or not: with them, and with what loading left to do.
	unsaved []*request
	retryAt time.Time
}

// request is one call waiting for the loop: an event, or a look at the core, which may be taken twice.
type request struct {
	event  Event
	look   func(*Core)
	result any
	err    error
	done   chan struct{}
}

// group bounds how many requests share a commit, so that the first of them does not wait for ever.
const group = 1024

// Start loads the state, takes up what was under way and starts the loop. Stop ends it.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	e, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	go e.run()
	return e, nil
}

// open is Start without the loop.
func open(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, requests: make(chan *request, group), stop: make(chan struct{}), done: make(chan struct{})}
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// Stop ends the loop after the requests already taken are answered. Containers go on running. It returns the ids of jobs
// that are under way.
func (e *Engine) Stop() []string {
	close(e.stop)
	<-e.done
	var running []string
	for _, j := range sortedJobs(e.core.liveJobs()) {
		running = append(running, j.underWay()...)
	}
	return running
}

// load makes the core anew from the store and hands what was under way to the launcher.
func (e *Engine) load(ctx context.Context) error {
	core, resume, err := Restore(ctx, e.cfg.Store, e.cfg.IDs, e.cfg.Limits, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	e.core = core
	e.catalog.Store(core.catalog(nil))
	core.resources = false
	return e.cfg.Launcher.Resume(resume)
}

// run is the loop: take what is waiting, step through it, commit, and only then let anything be seen.
func (e *Engine) run() {
	defer close(e.done)
	e.settle(nil) // what loading left to do
	for {
		var timeout <-chan time.Time
		stopTimer := func() {}
		if at := e.wake(); !at.IsZero() {
			timeout, stopTimer = e.cfg.Clock.NewTimer(at)
		}
		var batched []*request
		select {
		case r := <-e.requests:
			batched = append(batched, r)
		case reports := <-e.cfg.Launcher.Reports():
			batched = appendReports(batched, reports)
		case <-timeout:
			batched = append(batched, &request{event: Tick{}})
		case <-e.stop:
			stopTimer()
			e.drain()
			return
		}
		stopTimer()
		e.settle(e.more(batched))
	}
}

// wake is when the loop is due to step, whatever else happens; zero for never.
func (e *Engine) wake() time.Time {
	if !e.retryAt.IsZero() { // not before: what is due now was due when the commit failed
		return e.retryAt
	}
	return e.core.timers.next()
}

// more adds what else is waiting, without waiting for it.
func (e *Engine) more(batched []*request) []*request {
	for len(batched) < group {
		select {
		case r := <-e.requests:
			batched = append(batched, r)
		case reports := <-e.cfg.Launcher.Reports():
			batched = appendReports(batched, reports)
		default:
			return batched
		}
	}
	return batched
}

func appendReports(batched []*request, reports []runtime.Report) []*request {
	for _, r := range reports {
		batched = append(batched, &request{event: TaskReport{Report: r}})
	}
	return batched
}

// drain refuses what comes after Stop.
func (e *Engine) drain() {
	for {
		select {
		case r := <-e.requests:
			r.err = errStopping
			close(r.done)
		default:
			return
		}
	}
}

var errStopping = &batch.Error{Code: batch.Unavailable, Message: "batchbox is shutting down"}

// settle steps through a group of requests, commits what they changed and answers them. If that fails, nothing of the group
// has been seen by anyone: the core is made anew from the store, and the requests are refused. Reports are kept and stepped
// through again with the next group, until they are on disk.
func (e *Engine) settle(batched []*request) {
	if len(e.unsaved) > 0 {
		batched = append(e.unsaved, batched...)
		e.unsaved = nil
	}
	err := e.try(batched)
	var f *fault
	switch {
	case err == nil:
	case errors.As(err, &f):
		e.isolate(batched, f)
	default:
		e.fail(batched, err)
	}
}

// try is settle without what follows from an error.
func (e *Engine) try(batched []*request) error {
	out, err := e.step(batched)
	if err == nil && e.cfg.Journal != nil && len(out.Notices) > 0 {
		out.Changes.Events = e.cfg.Journal.Record(out.Notices)
	}
	if err == nil && !out.Changes.Empty() {
		err = e.cfg.Store.Commit(context.Background(), &out.Changes)
	}
	if err != nil {
		return err
	}
	if len(e.unsaved) == 0 {
		e.retryAt = time.Time{}
	}
	if out.ResourcesChanged {
		e.catalog.Store(e.core.catalog(e.catalog.Load()))
	}
	if len(out.Start) > 0 {
		e.cfg.Launcher.Start(out.Start)
	}
	if len(out.Stop) > 0 {
		e.cfg.Launcher.Stop(out.Stop)
	}
	if len(out.Ack) > 0 {
		e.cfg.Launcher.Ack(out.Ack)
	}
	answer(batched)
	if e.cfg.Observer != nil && len(out.Notices) > 0 {
		e.cfg.Observer.Observe(out.Notices)
	}
	return nil
}

// fault is a panic in the core: a rule that is wrong.
type fault struct {
	value any
	stack []byte
}

func (f *fault) Error() string {
	return fmt.Sprintf("panic in the engine's core: %v\n%s", f.value, f.stack)
}

// isolate goes through a group again one by one, so that the request that the core can't take is the only one to fail. A
// report that it is, is left unacknowledged: it comes again when the engine is restarted, and until then nothing else
// suffers. If the core can't even take the passing of time, no request is to blame.
func (e *Engine) isolate(batched []*request, cause *fault) {
	e.cfg.Logger.Error("a rule is wrong; going back to the last commit and through the requests one by one", "error", cause)
	if !e.reload() || e.try(nil) != nil {
		e.fail(batched, cause)
		return
	}
	for _, r := range batched {
		err := e.try([]*request{r})
		var f *fault
		switch {
		case err == nil:
		case errors.As(err, &f) && r.done == nil:
			e.cfg.Logger.Error("a report can't be taken", "report", fmt.Sprintf("%+v", r.event), "error", f)
			e.reload()
		default:
			e.fail([]*request{r}, err)
		}
	}
}

// step applies the group to the core. A panic in a rule is a fault of ours: it ends the group, not the engine.
func (e *Engine) step(batched []*request) (out Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &fault{p, debug.Stack()}
		}
	}()
	now := e.cfg.Clock.Now()
	if batched == nil {
		batched = []*request{{event: Tick{}}}
	}
	for _, r := range batched {
		if r.look != nil {
			r.look(e.core)
			continue
		}
		r.result, r.err = e.core.Step(r.event, now)
	}
	return e.core.Take(), nil
}

func answer(batched []*request) {
	for _, r := range batched {
		if r.done != nil {
			close(r.done)
		}
	}
}

// fail refuses a group that could not be committed and goes back to what is on disk, from which those who only wanted to
// look are answered. While even that can't be read the loop waits here: nothing could be answered truthfully.
func (e *Engine) fail(batched []*request, cause error) {
	e.cfg.Logger.Error("a group of changes could not be committed; going back to the last commit", "error", cause)
	refusal := &batch.Error{Code: batch.Unavailable, Message: "batchbox could not save the change: " + firstLine(cause)}
	if !e.reload() {
		refusal = errStopping
	}
	for _, r := range batched {
		_, report := r.event.(TaskReport)
		switch {
		case report && r.done == nil:
			e.unsaved = append(e.unsaved, r)
		case r.look != nil && refusal != errStopping:
			r.look(e.core)
		default:
			r.result, r.err = nil, refusal
		}
	}
	answer(batched)
}

// reload makes the core anew from the store, trying until it can be read; false if the engine was stopped meanwhile.
func (e *Engine) reload() bool {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := e.load(ctx)
		cancel()
		if err == nil {
			e.retryAt = e.cfg.Clock.Now().Add(time.Second)
			return true
		}
		e.cfg.Logger.Error("the state could not be read back", "error", err, "retry", delay)
		fired, stopTimer := e.cfg.Clock.NewTimer(e.cfg.Clock.Now().Add(delay))
		select {
		case <-fired:
		case <-e.stop:
			stopTimer()
			return false
		}
	}
}

// firstLine is the first line of an error, for a caller who can't see the log.
func firstLine(err error) string {
	for i, c := range err.Error() {
		if c == '\n' {
			return err.Error()[:i]
		}
	}
	return err.Error()
}

// Do applies an event and returns its result after it is on disk. The error is a *batch.Error for a refusal, the event's
// own error, or the context's: then the event may still take effect.
func (e *Engine) Do(ctx context.Context, ev Event) (any, error) {
	r := &request{event: ev, done: make(chan struct{})}
	if err := e.send(ctx, r); err != nil {
		return nil, err
	}
	return r.result, r.err
}

// look runs fn on the core, between steps, and returns after everything fn could see is on disk. fn must copy what it
// keeps, and begin anew when it is called again: that happens if what it saw could not be committed.
func (e *Engine) look(ctx context.Context, fn func(*Core)) error {
	r := &request{look: fn, done: make(chan struct{})}
	if err := e.send(ctx, r); err != nil {
		return err
	}
	return r.err
}

func (e *Engine) send(ctx context.Context, r *request) error {
	if e.direct {
		e.settle([]*request{r})
		return nil
	}
	select {
	case e.requests <- r:
	case <-e.done:
		return errStopping
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-r.done:
		return nil
	case <-e.done:
		select {
		case <-r.done:
			return nil
		default:
			return errStopping
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Catalog is the resources as of the last commit.
func (e *Engine) Catalog() *Catalog { return e.catalog.Load() }

// Submit is Do for SubmitJob: it looks up what the Store knows of dependencies that are not in memory.
func (e *Engine) Submit(ctx context.Context, p batch.Partition, spec *batch.Spec) (id string, err error) {
	facts := map[string]DependencyFact{}
	for {
		result, err := e.Do(ctx, SubmitJob{Partition: p, Spec: spec, Facts: facts})
		var unknown *UnknownDependencies
		if !errors.As(err, &unknown) {
			id, _ := result.(string)
			return id, err
		}
		for _, dep := range unknown.IDs {
			id, _ := batch.ParseJobID(dep)
			fact, err := LookUpDependency(ctx, e.cfg.Store, p, id)
			if err != nil {
				return "", err
			}
			facts[dep] = fact
		}
	}
}

// Tick is the passing of time.
type Tick struct{}

func (Tick) apply(*Core) (any, error) { return nil, nil }

func (c *Core) liveJobs() map[*job]struct{} {
	set := make(map[*job]struct{}, len(c.jobs))
	for _, j := range c.jobs {
		set[j] = struct{}{}
	}
	return set
}

// underWay lists the ids of the job's tasks in STARTING or RUNNING.
func (j *job) underWay() []string {
	var ids []string
	add := func(w *work) {
		if w != nil && w.attempt != nil {
			ids = append(ids, w.id())
		}
	}
	add(j.work)
	if j.array != nil {
		for i := range j.array.states {
			add(j.array.live[int32(i)])
		}
	}
	return ids
}
