package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

var benchPartition = batch.Partition{Account: "000000000000", Region: "eu-west-1"}

var (
	benchSpec  = slices.Repeat([]byte(`{"jobName":"bench","vcpus":1},  `), 32) // 1 KiB
	benchState = slices.Repeat([]byte(`{"status":"RUNNING"},12,`), 8)          // 192 bytes
)

func benchJob(rnd *rand.Rand, seq int64, status batch.Status) engine.JobRecord {
	r := engine.JobRecord{
		Seq: seq, Partition: benchPartition, ID: uuid.NewString(), Queue: "queue",
		Name: fmt.Sprintf("job-%d", rnd.IntN(1000)), Definition: fmt.Sprintf("definition:%d", 1+rnd.IntN(20)),
		Status: status, CreatedAt: 1_700_000_000_000 + seq, Spec: benchSpec, State: benchState,
	}
	if status.Final() {
		r.StoppedAt = r.CreatedAt + 1000
	}
	return r
}

func openBench(b *testing.B) *DB {
	db, err := Open(context.Background(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

func commitBench(b *testing.B, db *DB, c *engine.Changes) {
	if err := db.Commit(context.Background(), c); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSyncDisk is the floor of every commit: 16 KiB written over existing blocks and synced.
func BenchmarkSyncDisk(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 16<<10)
	for i := range 256 {
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		if _, err := f.WriteAt(block, int64(i%256*len(block))); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkSubmit commits one new job at a time.
func BenchmarkSubmit(b *testing.B) {
	db, rnd := openBench(b), rand.New(rand.NewPCG(1, 1))
	var seq int64
	var took []time.Duration
	for b.Loop() {
		seq++
		start := time.Now()
		commitBench(b, db, &engine.Changes{Jobs: []engine.JobRecord{benchJob(rnd, seq, batch.Runnable)}})
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkArray is the life of arrays in the store: 50,000 children stored and then updated, 50,000 events, 200 changes
// a commit.
func BenchmarkArray(b *testing.B) {
	db, rnd := openBench(b), rand.New(rand.NewPCG(1, 1))
	var seq, event int64
	for b.Loop() {
		seq++
		commitBench(b, db, &engine.Changes{Jobs: []engine.JobRecord{benchJob(rnd, seq, batch.Runnable)}})
		for _, status := range []batch.Status{batch.Running, batch.Succeeded} {
			for from := 0; from < 50_000; from += 200 {
				var c engine.Changes
				for i := range 200 {
					c.Children = append(c.Children, engine.ChildRecord{Seq: seq, Index: from + i, Status: status, State: benchState})
					if status == batch.Succeeded {
						event++
						c.Events = append(c.Events, engine.EventRecord{ID: event, Partition: benchPartition, Time: event, Body: benchState})
					}
				}
				commitBench(b, db, &c)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/array")
}

// BenchmarkDocs has 16 callers write documents at once.
func BenchmarkDocs(b *testing.B) {
	db := openBench(b)
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < b.N; i += 16 {
				if err := db.Update(context.Background(), func(wr store.Writer) error {
					return wr.Put(benchPartition, "kind", fmt.Sprint(i%1000), i)
				}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}

// BenchmarkLifeOfJobs takes single jobs through five states, 200 changes a commit.
func BenchmarkLifeOfJobs(b *testing.B) {
	db, rnd := openBench(b), rand.New(rand.NewPCG(1, 1))
	var seq int64
	for b.Loop() {
		jobs := make([]engine.JobRecord, 200)
		for i := range jobs {
			seq++
			jobs[i] = benchJob(rnd, seq, batch.Runnable)
		}
		commitBench(b, db, &engine.Changes{Jobs: jobs})
		for _, s := range []batch.Status{batch.Starting, batch.Running, batch.Succeeded} {
			for i := range jobs {
				jobs[i].Status, jobs[i].Spec = s, nil
				if s.Final() {
					jobs[i].StoppedAt = jobs[i].CreatedAt + 1
				}
			}
			commitBench(b, db, &engine.Changes{Jobs: jobs})
		}
	}
	b.ReportMetric(float64(b.N)*200/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkMillion asks a store of 1,000,000 jobs, nearly all of them finished. BATCHBOX_BENCH_DIR keeps the store for
// the next run.
func BenchmarkMillion(b *testing.B) {
	dir := os.Getenv("BATCHBOX_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	ctx := context.Background()
	db, err := Open(ctx, dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	counts, err := db.Counts(ctx)
	if err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for seq := counts.Jobs + 1; seq <= 1_000_000; {
		var c engine.Changes
		for range 5000 {
			status := batch.Succeeded
			if seq%1000 == 0 {
				status = batch.Runnable
			} else if seq%10 == 0 {
				status = batch.Failed
			}
			c.Jobs = append(c.Jobs, benchJob(rnd, seq, status))
			seq++
		}
		commitBench(b, db, &c)
	}
	if counts.Children == 0 {
		var c engine.Changes
		for i := range 10_000 {
			c.Children = append(c.Children, engine.ChildRecord{Seq: 1000, Index: i, Status: batch.Running, State: benchState})
		}
		commitBench(b, db, &c)
	}
	const half = 1_700_000_500_000
	for name, q := range map[string]engine.JobQuery{
		"status":           {Statuses: []batch.Status{batch.Succeeded}, Limit: 100},
		"status-1000":      {Statuses: []batch.Status{batch.Succeeded}, Limit: 1000},
		"rare-status":      {Statuses: []batch.Status{batch.Runnable}, Limit: 100},
		"no-such-status":   {Statuses: []batch.Status{batch.Running}, Limit: 100},
		"all":              {Limit: 100},
		"all-deep":         {Limit: 100, BeforeCreatedAt: half, BeforeSeq: half},
		"name":             {Name: "JOB-77", Limit: 100},
		"name-prefix":      {NamePrefix: "job-7", Limit: 100},
		"definition":       {Definition: "definition:7", Limit: 100},
		"definition-all":   {DefinitionPrefix: "definition:", Limit: 100},
		"created-before":   {CreatedBefore: half, Limit: 100},
		"all-queues":       {Limit: 100},
		"definition-1000s": {DefinitionPrefix: "definition:1", Limit: 1000},
	} {
		q.Partition = benchPartition
		if name != "all-queues" {
			q.Queue = "queue"
		}
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := db.ListJobs(ctx, q); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
	b.Run("children", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.ListChildren(ctx, engine.ChildQuery{Seq: 1000, From: 5000, Statuses: []batch.Status{batch.Running}, Limit: 1000}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := db.Load(ctx, engine.Visitor{
				Resource: func(engine.ResourceRecord) error { return nil },
				Job:      func(engine.JobRecord) error { n++; return nil },
				Child:    func(engine.ChildRecord) error { n++; return nil },
			}); err != nil || n != 11_000 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			db, err := Open(ctx, dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
