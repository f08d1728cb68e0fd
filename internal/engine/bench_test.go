//go:build unix

package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	launched "github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// load is a core with so many jobs or children queued behind 16 tasks under way, whose changes go nowhere: what is measured
// is the core.
type load struct {
	b     testing.TB
	core  *engine.Core
	now   time.Time
	tasks []engine.StartTask
}

const vcpus = 4 // tasks of a quarter

func newLoad(b testing.TB) *load {
	l := &load{b: b, core: engine.NewCore(&counter{}, engine.Limits{}), now: time.UnixMilli(1_700_000_000_000)}
	for _, ev := range resources(b) {
		l.step(ev)
	}
	return l
}

// resources are an environment, a FIFO queue "q" and a fair-share one "fair" on it, and a definition "jd".
func resources(b testing.TB) []engine.Event {
	jd, err := batch.NewJobDefinition([]byte(`{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],"containerProperties":{
		"image":"i","executionRoleArn":"arn:aws:iam::000000000000:role/x","command":["run"],
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`))
	if err != nil {
		b.Fatal(err)
	}
	return []engine.Event{
		engine.CreateComputeEnvironment{Partition: home, Raw: fmt.Appendf(nil, `{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
			"type":"FARGATE","maxvCpus":%d,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`, vcpus)},
		engine.CreateSchedulingPolicy{Partition: home, Raw: []byte(`{"name":"p","fairsharePolicy":{"shareDecaySeconds":3600}}`)},
		engine.CreateJobQueue{Partition: home, Raw: []byte(`{"jobQueueName":"q","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`)},
		engine.CreateJobQueue{Partition: home, Raw: fmt.Appendf(nil, `{"jobQueueName":"fair","priority":1,"schedulingPolicyArn":%q,
			"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`, home.BatchARN(batch.KindSchedulingPolicy, "p"))},
		engine.RegisterJobDefinition{Partition: home, Definition: jd},
	}
}

// resolve is a job of array size n, or of none if n is 0; a share makes it one of the fair-share queue.
func resolve(b testing.TB, c *engine.Catalog, n int, share, members string) *batch.Spec {
	queue := "q"
	if share != "" {
		queue, members = "fair", members+fmt.Sprintf(`,"shareIdentifier":%q`, share)
	}
	if n > 0 {
		members += fmt.Sprintf(`,"arrayProperties":{"size":%d}`, n)
	}
	s := c.Section(home)
	spec, err := batch.ResolveJob(fmt.Appendf(nil, `{"jobName":"j","jobQueue":%q,"jobDefinition":"jd"%s}`, queue, members), batch.Submission{
		Partition: home, Definition: s.Definition("jd", 0), Queue: s.Queue(queue), Environments: []*batch.ComputeEnvironment{s.Environment("ce")}})
	if err != nil {
		b.Fatal(err)
	}
	return spec
}

func (l *load) step(ev engine.Event) any {
	result, err := l.core.Step(ev, l.now)
	if err != nil {
		l.b.Fatal(err)
	}
	l.tasks = append(l.tasks, l.core.Take().Start...)
	return result
}

func (l *load) submit(n int, share, members string) string {
	return l.step(engine.SubmitJob{Partition: home, Spec: resolve(l.b, l.core.Catalog(), n, share, members)}).(string)
}

// turn ends the task that was started first, well: another one takes its place.
func (l *load) turn() {
	st := l.tasks[0]
	l.tasks = l.tasks[1:]
	l.now = l.now.Add(time.Millisecond)
	code := 0
	l.step(engine.TaskReport{Report: launched.Report{Key: st.Key, Kind: launched.Ended, At: l.now, StartedAt: l.now,
		Containers: []launched.ContainerReport{{StartedAt: l.now, StoppedAt: l.now, ExitCode: &code}}}})
}

// processor is the time this process has had of all processors: that it had to wait for one does not count.
func processor(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Dispatch: one task ends and the next is placed, with so many waiting. What it costs grows with the logarithm of that.
func BenchmarkDispatch(b *testing.B) {
	kinds := []struct {
		name string
		fill func(l *load, n int)
	}{
		{"children", func(l *load, n int) {
			for range n / 10_000 {
				l.submit(10_000, "", "")
			}
		}},
		{"jobs", func(l *load, n int) {
			spec := resolve(l.b, l.core.Catalog(), 0, "", "")
			for range n {
				l.step(engine.SubmitJob{Partition: home, Spec: spec})
			}
		}},
		{"500-shares", func(l *load, n int) {
			for i := range 500 {
				l.submit(n/500, fmt.Sprintf("s%d", i), "")
			}
		}},
	}
	for _, k := range kinds {
		for _, n := range []int{10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				l := newLoad(b)
				k.fill(l, n)
				if len(l.tasks) != 4*vcpus {
					b.Fatalf("%d tasks are under way", len(l.tasks))
				}
				runtime.GC()
				const turns = 5000 // of 10,000 waiting at least, so that there is always a next
				b.ResetTimer()
				var spent time.Duration
				for range b.N {
					before := processor(b)
					for range turns {
						l.turn()
					}
					spent += processor(b) - before
					b.StopTimer()
					for range turns / 1000 { // as many as before
						if k.name == "500-shares" {
							for i := range 500 {
								l.submit(2, fmt.Sprintf("s%d", i), "")
							}
							continue
						}
						l.submit(1000, "", "")
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N*turns)/spent.Seconds(), "dispatches/cpu-s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// What a queued child, or job, takes of memory.
func BenchmarkQueuedMemory(b *testing.B) {
	for _, k := range []struct {
		name    string
		n, size int
	}{{"children", 1_000_000, 10_000}, {"jobs", 100_000, 0}} {
		b.Run(k.name, func(b *testing.B) {
			for range b.N {
				before := heap()
				l := newLoad(b)
				for range k.n / max(1, k.size) {
					l.submit(k.size, "", "")
				}
				used := heap() - before
				b.ReportMetric(float64(used)/float64(k.n), "B/queued")
				runtime.KeepAlive(l)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// An array that depends N_TO_N on another of its size, both from the first child to the last: what a child costs does not
// depend on how many there are.
func BenchmarkNToN(b *testing.B) {
	for _, size := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var spent time.Duration
			for range b.N {
				l := newLoad(b)
				a := l.submit(size, "", "")
				l.submit(size, "", fmt.Sprintf(`,"dependsOn":[{"jobId":%q,"type":"N_TO_N"}]`, a))
				before := processor(b)
				for len(l.tasks) > 0 {
					l.turn()
				}
				spent += processor(b) - before
				if l.core.Live() > 0 {
					b.Fatalf("%d jobs are not done", l.core.Live())
				}
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N*2*size), "cpu-us/child")
		})
	}
}

// A restart with a million queued children, from SQLite, and pages of lists with them in place.
func BenchmarkRestart(b *testing.B) {
	for _, k := range []struct {
		name       string
		jobs, size int
	}{{"1000000-children", 100, 10_000}, {"100000-jobs", 100_000, 0}} {
		b.Run(k.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			ctx := context.Background()
			db, err := sqlite.Open(ctx, b.TempDir(), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			h := newHand()
			cfg := engine.Config{Store: db, Launcher: h, Clock: wall{}, IDs: &counter{}, Logger: slog.New(slog.DiscardHandler)}
			s, err := engine.OpenStepped(ctx, cfg)
			if err != nil {
				b.Fatal(err)
			}
			for _, ev := range resources(b) {
				if _, err := s.Do(ctx, ev); err != nil {
					b.Fatal(err)
				}
			}
			spec := resolve(b, s.Catalog(), k.size, "", "")
			for left := k.jobs; left > 0; {
				group := make([]engine.Event, min(left, 1000))
				for i := range group {
					group[i] = engine.SubmitJob{Partition: home, Spec: spec}
				}
				for _, a := range s.Group(group...) {
					if a.Err != nil {
						b.Fatal(a.Err)
					}
				}
				left -= len(group)
			}
			s = nil //nolint:wastedassign // so that its memory is free
			debug.FreeOSMemory()
			b.ResetTimer()
			for range b.N {
				h := newHand()
				cfg.Launcher = h
				before := processor(b)
				e, err := engine.Start(ctx, cfg)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := e.Snapshot(ctx, home, "q", 1); err != nil { // it answers
					b.Fatal(err)
				}
				b.ReportMetric((processor(b) - before).Seconds(), "cpu-s")
				b.StopTimer()
				pages(b, e, k.size)
				e.Stop()
				b.StartTimer()
			}
		})
	}
}

// pages measures ListJobs of a queue and of an array.
func pages(b *testing.B, e *engine.Engine, size int) {
	ctx := context.Background()
	var took []time.Duration
	var parent string
	q := engine.JobQuery{Partition: home, Queue: "q", Statuses: []batch.Status{batch.Pending}, Limit: 100}
	if size == 0 {
		q.Statuses[0] = batch.Runnable
	}
	for range 300 {
		begin := processor(b)
		views, err := e.ListJobs(ctx, q)
		took = append(took, processor(b)-begin)
		if err != nil || len(views) != 100 {
			b.Fatalf("%d jobs, %v", len(views), err)
		}
		parent = views[0].ID
		if last := views[len(views)-1]; size == 0 {
			q.BeforeCreatedAt, q.BeforeSeq = last.CreatedAt, last.Seq
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "cpu-ms-page-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "cpu-ms-page-p99")
	if size == 0 {
		return
	}
	took = took[:0]
	for i := range 300 {
		begin := processor(b)
		views, err := e.ListParts(ctx, engine.PartsQuery{Partition: home, Parent: parent, Status: batch.Runnable, From: i * 30, Limit: 100})
		took = append(took, processor(b)-begin)
		if err != nil || len(views) != 100 {
			b.Fatalf("%d children, %v", len(views), err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "cpu-ms-children-p99")
}
