// Package eventstest is an engine with an event hub on a store in memory, for tests: they submit jobs and say how the tasks
// end.
package eventstest

import (
	"context"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/testenv"
)

// Home is the account and region of the lab.
var Home = batch.Partition{Account: "111122223333", Region: "eu-west-1"}

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

// hand is a launcher whose tasks the test ends; they go on without an engine.
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

// Lab is an engine with its hub. It has a Fargate environment of one vCPU, two job queues on it called q and other, and a job
// definition called jd of a quarter vCPU.
type Lab struct {
	testing.TB
	Store  *memory.Store
	Hub    *events.Hub
	Engine *engine.Engine
	// Keep is Options.Keep of the next Start; what the hub asks to be kept goes to Pruned.
	Keep   int64
	Pruned chan int64
	// Stop stops the hub and the engine; it may be called again.
	Stop func()

	hand *hand
	ids  *ids
}

// New starts a lab, which ends with the test.
func New(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{
		TB: t, Store: memory.New(), ids: &ids{}, Pruned: make(chan int64, 100),
		hand: &hand{started: make(chan engine.StartTask, 10000), reports: make(chan []runtime.Report)},
	}
	l.Start()
	l.Do(engine.CreateComputeEnvironment{Partition: Home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
		"type":"FARGATE","maxvCpus":1,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)})
	for _, q := range []string{"q", "other"} {
		l.Do(engine.CreateJobQueue{Partition: Home, Raw: fmt.Appendf(nil, `{"jobQueueName":%q,"priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`, q)})
	}
	jd, err := batch.NewJobDefinition([]byte(`{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],
		"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::111122223333:role/x","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	l.Do(engine.RegisterJobDefinition{Partition: Home, Definition: jd})
	return l
}

// Start starts an engine on what the store has.
func (l *Lab) Start() {
	l.Helper()
	detailer, err := apibatch.NewEventDetailer()
	if err != nil {
		l.Fatal(err)
	}
	l.Hub, err = events.Open(context.Background(), events.Options{
		Store: l.Store, Docs: l.Store, Detail: detailer.Detail, Keep: l.Keep,
		Prune: func(_ context.Context, keep int64) error { l.Pruned <- keep; return nil },
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Engine, err = engine.Start(context.Background(), engine.Config{
		Store: l.Store, Launcher: l.hand, Clock: wall{}, IDs: l.ids, Logger: slog.New(slog.DiscardHandler),
		Limits: engine.Limits{Notify: true}, Journal: l.Hub, Observer: l.Hub,
	})
	if err != nil {
		l.Fatal(err)
	}
	hub, e := l.Hub, l.Engine
	l.Stop = sync.OnceFunc(func() {
		hub.Close()
		e.Stop()
	})
	l.Cleanup(l.Stop)
}

// Do applies an event.
func (l *Lab) Do(ev engine.Event) {
	l.Helper()
	if _, err := l.Engine.Do(context.Background(), ev); err != nil {
		l.Fatalf("%T: %v", ev, err)
	}
}

// Submit submits a job to a queue with further members of the request, and returns its id.
func (l *Lab) Submit(queue, members string) string {
	l.Helper()
	if members != "" {
		members = "," + members
	}
	id, err := apibatch.New(l.Engine, batch.Rules{}).Submit(context.Background(), Home, fmt.Appendf(nil, `{"jobName":"j","jobQueue":%q,"jobDefinition":"jd"%s}`, queue, members))
	if err != nil {
		l.Fatal(err)
	}
	return id
}

// Finish lets the next n tasks to start run and end with code.
func (l *Lab) Finish(n, code int) {
	l.Helper()
	for range n {
		var st engine.StartTask
		select {
		case st = <-l.hand.started:
		case <-time.After(testenv.Patience):
			l.Fatal("no task has been started")
		}
		now := time.Now()
		l.hand.reports <- []runtime.Report{{Key: st.Key, Kind: runtime.Ended, At: now, StartedAt: now, Containers: []runtime.ContainerReport{
			{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &code}}}}
	}
}

// Next reads events until there are n.
func Next(t testing.TB, r *events.Reader, n int) (list []events.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
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

// AwaitPosition waits until a reader of that name has begun.
func (l *Lab) AwaitPosition(name string) {
	l.Helper()
	deadline := time.Now().Add(testenv.Patience)
	for {
		var at int64
		found := false
		err := l.Store.View(context.Background(), func(r store.Reader) (err error) {
			found, err = r.Get(batch.Partition{}, events.KindPosition, name, &at)
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
