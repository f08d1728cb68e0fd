package events_test

import (
	"context"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = batch.Partition{Account: "111122223333", Region: "eu-west-1"}

// wall is the real clock.
type wall struct{}

func (wall) Now() time.Time { return time.Now() }
func (wall) NewTimer(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

// ids are in order.
type ids struct{ n int }

func (c *ids) UUID() string {
	c.n++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.n)
}
func (c *ids) TaskID() string { c.n++; return fmt.Sprintf("%032x", c.n) }

// hand is a launcher whose tasks the test ends.
type hand struct {
	started chan engine.StartTask
	reports chan []runtime.Report
}

func (h *hand) Start(tasks []engine.StartTask) {
	for _, st := range tasks {
		h.started <- st
	}
}
func (h *hand) Resume([]engine.ResumeTask) error { return nil }
func (h *hand) Stop([]engine.StopTask)           {}
func (h *hand) Ack([]string)                     {}
func (h *hand) Reports() <-chan []runtime.Report { return h.reports }

// lab is an engine with its hub on a store in memory.
type lab struct {
	testing.TB
	store  *memory.Store
	hub    *events.Hub
	engine *engine.Engine
	hand   *hand
	ids    *ids
	keep   int64
	pruned chan int64
	stop   func()
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{TB: t, store: memory.New(), ids: &ids{}, pruned: make(chan int64, 100)}
	l.start()
	l.do(engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
		"type":"FARGATE","maxvCpus":1,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)})
	for _, q := range []string{"q", "other"} {
		l.do(engine.CreateJobQueue{Partition: home, Raw: fmt.Appendf(nil, `{"jobQueueName":%q,"priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`, q)})
	}
	jd, err := batch.NewJobDefinition([]byte(`{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],
		"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::111122223333:role/x","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	l.do(engine.RegisterJobDefinition{Partition: home, Definition: jd})
	return l
}

// start starts an engine on what the store has.
func (l *lab) start() {
	l.Helper()
	detailer, err := apibatch.NewEventDetailer()
	if err != nil {
		l.Fatal(err)
	}
	l.hub, err = events.Open(context.Background(), events.Options{
		Store: l.store, Docs: l.store, Detail: detailer.Detail, Keep: l.keep,
		Prune: func(_ context.Context, keep int64) error { l.pruned <- keep; return nil },
	})
	if err != nil {
		l.Fatal(err)
	}
	l.hand = &hand{started: make(chan engine.StartTask, 10000), reports: make(chan []runtime.Report)}
	l.engine, err = engine.Start(context.Background(), engine.Config{
		Store: l.store, Launcher: l.hand, Clock: wall{}, IDs: l.ids, Logger: slog.New(slog.DiscardHandler),
		Limits: engine.Limits{Notify: true}, Journal: l.hub, Observer: l.hub,
	})
	if err != nil {
		l.Fatal(err)
	}
	hub, e := l.hub, l.engine
	l.stop = sync.OnceFunc(func() {
		hub.Close()
		e.Stop()
	})
	l.Cleanup(l.stop)
}

func (l *lab) do(ev engine.Event) {
	l.Helper()
	if _, err := l.engine.Do(context.Background(), ev); err != nil {
		l.Fatalf("%T: %v", ev, err)
	}
}

// submit submits a job to a queue with further members of the request, and returns its id.
func (l *lab) submit(queue, members string) string {
	l.Helper()
	if members != "" {
		members = "," + members
	}
	id, err := apibatch.Submit(context.Background(), l.engine, home, fmt.Appendf(nil, `{"jobName":"j","jobQueue":%q,"jobDefinition":"jd"%s}`, queue, members))
	if err != nil {
		l.Fatal(err)
	}
	return id
}

// finish lets the next n tasks to start run and end with code.
func (l *lab) finish(n, code int) {
	l.Helper()
	for range n {
		st := <-l.hand.started
		now := time.Now()
		l.hand.reports <- []runtime.Report{{Key: st.Key, Kind: runtime.Ended, At: now, StartedAt: now, Containers: []runtime.ContainerReport{
			{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &code}}}}
	}
}

// next reads events until there are n.
func next(t testing.TB, r *events.Reader, n int) (list []events.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(list) < n {
		page, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d events of %d: %v", len(list), n, err)
		}
		list = append(list, page...)
	}
	return list
}

func itoa(i int) string { return strconv.Itoa(i) }

// awaitPosition waits until a reader of that name has begun.
func (l *lab) awaitPosition(name string) {
	l.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var at int64
		found := false
		err := l.store.View(context.Background(), func(r store.Reader) (err error) {
			found, err = r.Get(batch.Partition{}, events.KindPositionForTest, name, &at)
			return err
		})
		if err != nil || time.Now().After(deadline) {
			l.Fatalf("reader %q has no position: %v", name, err)
		}
		if found {
			return
		}
		goruntime.Gosched()
	}
}
