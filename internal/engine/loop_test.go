package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wall is the real clock.
type wall struct{}

func (wall) Now() time.Time { return time.Now() }
func (wall) NewTimer(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

// hand is a launcher whose tasks the test reports on.
type hand struct {
	started chan engine.StartTask
	acked   chan string
	stopped chan string
	reports chan []runtime.Report
}

func newHand() *hand {
	return &hand{started: make(chan engine.StartTask, 1000), acked: make(chan string, 1000), stopped: make(chan string, 1000), reports: make(chan []runtime.Report)}
}

func (h *hand) Start(tasks []engine.StartTask) {
	for _, st := range tasks {
		h.started <- st
	}
}
func (h *hand) Resume(tasks []engine.ResumeTask) error {
	for _, st := range tasks {
		if !st.Begun {
			h.started <- st.StartTask
		}
	}
	return nil
}
func (h *hand) Stop(tasks []engine.StopTask) {
	for _, st := range tasks {
		h.stopped <- st.Key
	}
}
func (h *hand) Ack(keys []string) {
	for _, k := range keys {
		h.acked <- k
	}
}
func (h *hand) Reports() <-chan []runtime.Report { return h.reports }

func (h *hand) exit(key string, code int) {
	now := time.Now()
	h.reports <- []runtime.Report{{Key: key, Kind: runtime.Ended, At: now, StartedAt: now, Containers: []runtime.ContainerReport{
		{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &code}}}}
}

// failing is a store whose commits fail while full is set.
type failing struct {
	engine.Store
	mu   sync.Mutex
	full bool
}

var errFull = errors.New("no space left on device")

func (f *failing) set(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *failing) Commit(ctx context.Context, c *engine.Changes) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return errFull
	}
	return f.Store.Commit(ctx, c)
}

func startEngine(t *testing.T, st engine.Store, h *hand) *engine.Engine {
	t.Helper()
	e, err := engine.Start(context.Background(), engine.Config{
		Store: st, Launcher: h, Clock: wall{}, IDs: &counter{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// setUp makes what a job needs and returns a Spec of array size n (0 for none).
func setUp(t *testing.T, e *engine.Engine) func(n int) *batch.Spec {
	t.Helper()
	l := newLab(t, engine.Limits{}) // for its specs
	ctx := context.Background()
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE","maxvCpus":1,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
	} {
		if _, err := e.Do(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	return func(n int) *batch.Spec { return l.spec(n) }
}

func status(t *testing.T, e *engine.Engine, id string) batch.Status {
	t.Helper()
	parsed, _ := batch.ParseJobID(id)
	views, err := e.Describe(context.Background(), home, []batch.JobID{parsed})
	if err != nil || len(views) != 1 {
		t.Fatalf("describe %s: %v, %v", id, views, err)
	}
	return views[0].Status
}

func TestEngineRunsAJob(t *testing.T) {
	t.Parallel()
	h := newHand()
	e := startEngine(t, memory.New(), h)
	spec := setUp(t, e)
	id, err := e.Submit(context.Background(), home, spec(0))
	if err != nil {
		t.Fatal(err)
	}
	st := <-h.started
	if got := status(t, e, id); got != batch.Starting {
		t.Errorf("status %v, want STARTING", got)
	}
	h.exit(st.Key, 0)
	if key := <-h.acked; key != st.Key {
		t.Errorf("acknowledged %s, want %s", key, st.Key)
	}
	if got := status(t, e, id); got != batch.Succeeded {
		t.Errorf("status %v, want SUCCEEDED", got)
	}
	if left := e.Stop(); len(left) != 0 {
		t.Errorf("under way at the end: %v", left)
	}
}

// What can't be written is refused and leaves nothing behind; what happened to containers meanwhile is not lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h := newHand()
	st := &failing{Store: memory.New()}
	e := startEngine(t, st, h)
	spec := setUp(t, e)
	ctx := context.Background()
	running, err := e.Submit(ctx, home, spec(0))
	if err != nil {
		t.Fatal(err)
	}
	task := <-h.started

	st.set(true)
	var refusal *batch.Error
	if _, err := e.Submit(ctx, home, spec(0)); !errors.As(err, &refusal) || refusal.Code != batch.Unavailable {
		t.Errorf("submission on a full disk: %v, want an Unavailable error", err)
	}
	again := <-h.started // the core went back to the last commit, where this task was STARTING
	if again.Key != task.Key {
		t.Fatalf("started %s, want %s once more: the refused job must not start", again.Key, task.Key)
	}
	h.exit(task.Key, 0)
	<-h.started
	if got := status(t, e, running); got != batch.Starting {
		t.Errorf("status %v while its end can't be written, want STARTING", got)
	}

	st.set(false)
	if _, err := e.Submit(ctx, home, spec(0)); err != nil {
		t.Errorf("submission after the disk has room again: %v", err)
	}
	if got := status(t, e, running); got != batch.Succeeded {
		t.Errorf("status %v, want SUCCEEDED", got)
	}
	e.Stop()
}

func TestRestartTakesUpWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	st := memory.New()
	h := newHand()
	e := startEngine(t, st, h)
	spec := setUp(t, e)
	ctx := context.Background()
	id, err := e.Submit(ctx, home, spec(6))
	if err != nil {
		t.Fatal(err)
	}
	var first []engine.StartTask
	for range 4 {
		first = append(first, <-h.started)
	}
	h.exit(first[1].Key, 0)
	fifth := <-h.started
	if left := e.Stop(); len(left) != 4 {
		t.Fatalf("under way at the end: %v, want four children", left)
	}

	h = newHand()
	e = startEngine(t, st, h)
	var again []string
	for range 4 {
		again = append(again, (<-h.started).Key)
	}
	want := []string{first[0].Key, first[2].Key, first[3].Key, fifth.Key}
	for i := range want {
		if again[i] != want[i] {
			t.Fatalf("taken up: %v, want %v", again, want)
		}
	}
	for _, key := range want {
		h.exit(key, 0)
	}
	h.exit((<-h.started).Key, 0)
	if got := status(t, e, id); got != batch.Succeeded {
		t.Errorf("status %v, want SUCCEEDED", got)
	}
	if got := status(t, e, id+":1"); got != batch.Succeeded {
		t.Errorf("child 1 is %v, want SUCCEEDED", got)
	}
	e.Stop()

	// Nothing is unfinished now, and yet the numbers go on.
	h = newHand()
	e = startEngine(t, st, h)
	if _, err := e.Submit(ctx, home, spec(0)); err != nil {
		t.Errorf("submission after a restart with nothing but finished jobs: %v", err)
	}
	e.Stop()
}
