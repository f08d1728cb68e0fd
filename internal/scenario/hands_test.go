package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/scenario"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

var home = batch.Partition{Account: "000000000000", Region: "us-east-1"}

// caller is what an engine.Engine and an engine.Stepped have in common.
type caller interface {
	Do(ctx context.Context, ev engine.Event) (any, error)
	Submit(ctx context.Context, p batch.Partition, spec *batch.Spec) (string, error)
	Describe(ctx context.Context, p batch.Partition, ids []batch.JobID) ([]engine.JobView, error)
	Catalog() *engine.Catalog
}

// hands is a target without containers: the scenario's hands do what they would do. It has every power.
type hands struct {
	caller
	clock *clock
	tasks *tasks
	// report brings a report to the engine; restart makes another engine of what is on disk.
	report  func(ctx context.Context, r runtime.Report) error
	restart func(ctx context.Context) (caller, error)
}

var (
	_ scenario.Target    = (*hands)(nil)
	_ scenario.Clock     = (*hands)(nil)
	_ scenario.Fates     = (*hands)(nil)
	_ scenario.Spot      = (*hands)(nil)
	_ scenario.Restarter = (*hands)(nil)
)

// clock stands still until it is advanced.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// NewTimer's never fires: whoever advances the clock says so to the engine.
func (c *clock) NewTimer(time.Time) (fired <-chan time.Time, stop func()) { return nil, func() {} }

// tasks is the launcher.
type tasks struct {
	mu      sync.Mutex
	byJob   map[string]*task // under way
	stopped map[string]bool  // by job
	reports chan []runtime.Report
}

type task struct {
	engine.StartTask
	startedAt time.Time
}

func newTasks() *tasks {
	return &tasks{byJob: map[string]*task{}, stopped: map[string]bool{}, reports: make(chan []runtime.Report)}
}

func (t *tasks) Start(list []engine.StartTask) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, st := range list {
		if old := t.byJob[st.JobID]; old == nil || old.Key != st.Key {
			t.byJob[st.JobID] = &task{StartTask: st}
			delete(t.stopped, st.JobID)
		}
	}
}

func (t *tasks) Resume(list []engine.ResumeTask) error {
	for _, rt := range list {
		t.Start([]engine.StartTask{rt.StartTask})
	}
	return nil
}

func (t *tasks) Stop(list []engine.StopTask) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, st := range list {
		for job, task := range t.byJob {
			if task.Key == st.Key {
				t.stopped[job] = true
			}
		}
	}
}

func (t *tasks) Ack([]string)                     {}
func (t *tasks) Reports() <-chan []runtime.Report { return t.reports }

func (t *tasks) of(job string) (*task, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if task := t.byJob[job]; task != nil {
		return task, nil
	}
	return nil, errors.New("it has no container")
}

// Image implements scenario.Target.
func (h *hands) Image() string { return "image" }

// Account implements scenario.Target.
func (h *hands) Account() string { return home.Account }

// Call implements scenario.Target.
func (h *hands) Call(ctx context.Context, operation string, body []byte) error {
	var names struct{ ComputeEnvironment, JobQueue, ConsumableResource, ARN string }
	if err := json.Unmarshal(body, &names); err != nil {
		return err
	}
	var ev engine.Event
	switch operation {
	case "CreateComputeEnvironment":
		ev = engine.CreateComputeEnvironment{Partition: home, Raw: body}
	case "UpdateComputeEnvironment":
		ev = engine.UpdateComputeEnvironment{Partition: home, Name: names.ComputeEnvironment, Raw: body}
	case "CreateJobQueue":
		ev = engine.CreateJobQueue{Partition: home, Raw: body}
	case "UpdateJobQueue":
		ev = engine.UpdateJobQueue{Partition: home, Name: names.JobQueue, Raw: body}
	case "DeleteJobQueue":
		ev = engine.DeleteJobQueue{Partition: home, Name: names.JobQueue}
	case "CreateSchedulingPolicy":
		ev = engine.CreateSchedulingPolicy{Partition: home, Raw: body}
	case "CreateConsumableResource":
		ev = engine.CreateConsumableResource{Partition: home, Raw: body}
	case "UpdateConsumableResource":
		ev = engine.UpdateConsumableResource{Partition: home, Name: names.ConsumableResource, Raw: body}
	case "DeleteConsumableResource":
		ev = engine.DeleteConsumableResource{Partition: home, Name: names.ConsumableResource}
	case "RegisterJobDefinition":
		jd, err := batch.NewJobDefinition(body)
		if err != nil {
			return err
		}
		ev = engine.RegisterJobDefinition{Partition: home, Definition: jd}
	default:
		return fmt.Errorf("this target does not call %s", operation)
	}
	_, err := h.Do(ctx, ev)
	return err
}

// Submit implements scenario.Target; it does what the API does with a request.
func (h *hands) Submit(ctx context.Context, body []byte) (string, error) {
	var names struct{ JobQueue, JobDefinition string }
	if err := json.Unmarshal(body, &names); err != nil {
		return "", err
	}
	s := h.Catalog().Section(home)
	q := s.Queue(names.JobQueue)
	if q == nil {
		return "", batch.ErrQueueUnknown(home, names.JobQueue)
	}
	var envs []*batch.ComputeEnvironment
	for _, o := range q.ComputeEnvironmentOrder {
		envs = append(envs, s.Environment(o.ComputeEnvironment))
	}
	spec, err := batch.ResolveJob(body, batch.Submission{Partition: home, Definition: s.Definition(names.JobDefinition, 0), Queue: q, Environments: envs})
	if err != nil {
		return "", err
	}
	return h.caller.Submit(ctx, home, spec)
}

// End implements scenario.Target.
func (h *hands) End(ctx context.Context, id, reason string, terminate bool) error {
	job, _ := batch.ParseJobID(id)
	var ev engine.Event = engine.CancelJob{Partition: home, ID: job, Reason: reason}
	if terminate {
		ev = engine.TerminateJob{Partition: home, ID: job, Reason: reason}
	}
	_, err := h.Do(ctx, ev)
	return err
}

// Begin implements scenario.Target.
func (h *hands) Begin(ctx context.Context, id string) error {
	t, err := h.tasks.of(id)
	if err != nil || !t.startedAt.IsZero() {
		return err
	}
	t.startedAt = h.clock.Now()
	return h.report(ctx, runtime.Report{Key: t.Key, Kind: runtime.Started, At: t.startedAt})
}

// Exit implements scenario.Target.
func (h *hands) Exit(ctx context.Context, id string, code int) error {
	return h.end(ctx, id, runtime.Report{}, runtime.ContainerReport{ExitCode: &code})
}

// Fail implements scenario.Fates.
func (h *hands) Fail(ctx context.Context, id, text string) error {
	return h.end(ctx, id, runtime.Report{}, runtime.ContainerReport{StartError: text})
}

// Lose implements scenario.Fates.
func (h *hands) Lose(ctx context.Context, id string) error {
	return h.end(ctx, id, runtime.Report{Lost: true}, runtime.ContainerReport{})
}

func (h *hands) end(ctx context.Context, id string, r runtime.Report, c runtime.ContainerReport) error {
	t, err := h.tasks.of(id)
	if err != nil {
		return err
	}
	h.tasks.mu.Lock()
	delete(h.tasks.byJob, id)
	h.tasks.mu.Unlock()
	now := h.clock.Now()
	if !t.startedAt.IsZero() {
		c.StartedAt, c.StoppedAt = t.startedAt, now
	}
	r.Key, r.Kind, r.At, r.StartedAt, r.Containers = t.Key, runtime.Ended, now, t.startedAt, []runtime.ContainerReport{c}
	return h.report(ctx, r)
}

// Interrupt implements scenario.Spot.
func (h *hands) Interrupt(ctx context.Context, id string) error {
	job, _ := batch.ParseJobID(id)
	_, err := h.Do(ctx, engine.InterruptSpot{Partition: home, ID: job})
	return err
}

// Advance implements scenario.Clock. Timers go off one second at the latest after they are due, so that what follows from
// one has its own time.
func (h *hands) Advance(ctx context.Context, d time.Duration) error {
	for d > 0 {
		step := min(d, time.Second)
		d -= step
		h.clock.mu.Lock()
		h.clock.now = h.clock.now.Add(step)
		h.clock.mu.Unlock()
		if _, err := h.Do(ctx, engine.Tick{}); err != nil {
			return err
		}
	}
	return nil
}

// Restart implements scenario.Restarter.
func (h *hands) Restart(ctx context.Context) (err error) {
	h.caller, err = h.restart(ctx)
	return err
}

// See implements scenario.Target: what is right is right at once.
func (h *hands) See(ctx context.Context, right func(scenario.Sight) error) error {
	return right(sight{ctx, h})
}

type sight struct {
	ctx context.Context
	h   *hands
}

func (s sight) Job(id string) (scenario.Job, error) {
	job, _ := batch.ParseJobID(id)
	views, err := s.h.Describe(s.ctx, home, []batch.JobID{job})
	if err != nil || len(views) == 0 {
		return scenario.Job{}, fmt.Errorf("there is no such job: %w", err)
	}
	v := views[0]
	out := scenario.Job{Status: v.Status.String(), Reason: v.StatusReason, Attempts: len(v.Attempts), Children: map[string]int{}}
	if v.Summary != nil {
		for st, n := range v.Summary {
			if n > 0 {
				out.Children[batch.Status(st).String()] = n
			}
		}
	}
	return out, nil
}

func (s sight) Running() ([]string, error) {
	s.h.tasks.mu.Lock()
	defer s.h.tasks.mu.Unlock()
	var ids []string
	for id := range s.h.tasks.byJob {
		ids = append(ids, id)
	}
	return ids, nil
}

func (s sight) Stopped(id string) (bool, error) {
	s.h.tasks.mu.Lock()
	defer s.h.tasks.mu.Unlock()
	return s.h.tasks.stopped[id], nil
}

// ids are numbers in order.
type ids struct {
	mu sync.Mutex
	n  int
}

func (i *ids) next() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	return i.n
}
func (i *ids) UUID() string   { return fmt.Sprintf("00000000-0000-4000-8000-%012x", i.next()) }
func (i *ids) TaskID() string { return fmt.Sprintf("%032x", i.next()) }

// onCore is the engine's core: one goroutine, a store in memory.
func onCore(t *testing.T) *hands {
	h := &hands{clock: &clock{now: time.UnixMilli(1_700_000_000_000)}, tasks: newTasks()}
	cfg := engine.Config{Store: memory.New(), Launcher: h.tasks, Clock: h.clock, IDs: new(ids), Logger: slog.New(slog.DiscardHandler)}
	var stepped *engine.Stepped
	h.restart = func(ctx context.Context) (caller, error) {
		var err error
		stepped, err = engine.OpenStepped(ctx, cfg)
		return stepped, err
	}
	h.report = func(_ context.Context, r runtime.Report) error {
		return stepped.Group(engine.TaskReport{Report: r})[0].Err
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// onSQLite is the engine with its loop, and its database on disk.
func onSQLite(t *testing.T) *hands {
	h := &hands{clock: &clock{now: time.UnixMilli(1_700_000_000_000)}, tasks: newTasks()}
	dir, numbers := t.TempDir(), new(ids)
	var db *sqlite.DB
	var e *engine.Engine
	stop := func() {
		if e != nil {
			e.Stop()
		}
		if db != nil {
			if err := db.Close(); err != nil {
				t.Errorf("closing the database: %v", err)
			}
		}
		e, db = nil, nil
	}
	t.Cleanup(stop)
	h.restart = func(ctx context.Context) (caller, error) {
		stop()
		var err error
		if db, err = sqlite.Open(ctx, dir, sqlite.Options{}); err != nil {
			return nil, err
		}
		e, err = engine.Start(ctx, engine.Config{Store: db, Launcher: h.tasks, Clock: h.clock, IDs: numbers, Logger: slog.New(slog.DiscardHandler)})
		return e, err
	}
	h.report = func(ctx context.Context, r runtime.Report) error {
		select {
		case h.tasks.reports <- []runtime.Report{r}:
		case <-ctx.Done():
			return ctx.Err()
		}
		_, err := h.Do(ctx, engine.Tick{}) // comes after the report, or with it
		return err
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}
