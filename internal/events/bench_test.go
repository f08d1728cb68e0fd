package events_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/eventstest"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// instant is a launcher whose tasks run and end at once.
type instant struct {
	reports chan []runtime.Report
	acked   chan int
}

func (l *instant) Start(tasks []engine.StartTask) {
	now, zero := time.Now(), 0
	list := make([]runtime.Report, 0, len(tasks))
	for _, st := range tasks {
		list = append(list, runtime.Report{Key: st.Key, Kind: runtime.Ended, At: now, StartedAt: now, Containers: []runtime.ContainerReport{
			{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &zero}}})
	}
	l.reports <- list
}
func (l *instant) Resume([]engine.ResumeTask) error { return nil }
func (l *instant) Stop([]engine.StopTask)           {}
func (l *instant) Ack(keys []string)                { l.acked <- len(keys) }
func (l *instant) Reports() <-chan []runtime.Report { return l.reports }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }
func (realClock) NewTimer(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

type randomIDs struct{}

func (randomIDs) UUID() string   { return uuid.NewString() }
func (randomIDs) TaskID() string { return uuid.NewString()[:32] }

// BenchmarkJournal is what the journal costs: the processor time of engine and store for an array of 10,000 children that
// do nothing, with it and without it, and the bytes of the journal.
func BenchmarkJournal(b *testing.B) {
	for _, on := range []bool{true, false} {
		b.Run(fmt.Sprintf("journal=%v", on), func(b *testing.B) { benchmarkJournal(b, on) })
	}
}

func benchmarkJournal(b *testing.B, on bool) {
	const children = 10000
	ctx := b.Context()
	db, err := sqlite.Open(ctx, b.TempDir(), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	l := &instant{reports: make(chan []runtime.Report, children), acked: make(chan int, children)}
	cfg := engine.Config{Store: db, Launcher: l, Clock: realClock{}, IDs: randomIDs{}, Logger: slog.New(slog.DiscardHandler)}
	if on {
		detailer, err := apibatch.NewEventDetailer()
		if err != nil {
			b.Fatal(err)
		}
		hub, err := events.Open(ctx, events.Options{Store: db, Docs: db, Detail: detailer.Detail})
		if err != nil {
			b.Fatal(err)
		}
		defer hub.Close()
		cfg.Limits.Notify, cfg.Journal, cfg.Observer = true, hub, hub
	}
	e, err := engine.Start(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Stop()
	jd, err := batch.NewJobDefinition([]byte(`{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],
		"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::111122223333:role/x","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`))
	if err != nil {
		b.Fatal(err)
	}
	home := eventstest.Home
	for _, ev := range []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: []byte(`{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE","maxvCpus":8,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
		engine.RegisterJobDefinition{Partition: home, Definition: jd},
	} {
		if _, err := e.Do(ctx, ev); err != nil {
			b.Fatal(err)
		}
	}
	used := processorTime(b)
	for b.Loop() {
		if _, err := apibatch.New(e, batch.Rules{}).Submit(ctx, home, []byte(`{"jobName":"j","jobQueue":"q","jobDefinition":"jd","arrayProperties":{"size":10000}}`)); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < children; {
			n += <-l.acked
		}
	}
	b.ReportMetric((processorTime(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/array")
	if on {
		rows, err := db.Events(ctx, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		size := 0
		for i := range rows {
			size += len(rows[i].Body)
		}
		b.ReportMetric(float64(size)/float64(b.N), "bytes/array")
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
