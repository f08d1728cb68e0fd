package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

var (
	here  = batch.Partition{Account: "111111111111", Region: "eu-west-1"}
	there = batch.Partition{Account: "222222222222", Region: "us-east-1"}
)

func jobRecord(seq int64, p batch.Partition, status batch.Status) engine.JobRecord {
	r := engine.JobRecord{
		Seq: seq, Partition: p, ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", seq), Queue: "queue", Name: "name",
		Definition: "definition:1", Status: status, CreatedAt: seq * 1000, Spec: []byte(`{"spec":1}`), State: []byte(`{"state":1}`),
	}
	if status.Final() {
		r.StoppedAt = r.CreatedAt + 500
	}
	return r
}

func commit(t testing.TB, db *DB, c engine.Changes) {
	t.Helper()
	if err := db.Commit(context.Background(), &c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func put(db *DB, key string, v any) error {
	return db.Update(context.Background(), func(w store.Writer) error { return w.Put(here, "kind", key, v) })
}

func jobSeqs(t testing.TB, db *DB) []int64 {
	t.Helper()
	var seqs []int64
	for _, p := range []batch.Partition{here, there} {
		recs, err := db.ListJobs(context.Background(), engine.JobQuery{Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			seqs = append(seqs, r.Seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func eventIDs(t testing.TB, db *DB, after int64, limit int) []int64 {
	t.Helper()
	recs, err := db.Events(context.Background(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, r := range recs {
		ids = append(ids, r.ID)
	}
	return ids
}

func span(from, to int64) (s []int64) {
	for i := from; i <= to; i++ {
		s = append(s, i)
	}
	return s
}

func TestEvents(t *testing.T) {
	t.Parallel()
	db := openTest(t, t.TempDir())
	first := engine.EventRecord{ID: 1, Partition: here, Time: 10, Body: []byte(`{"a":1}`)}
	second := engine.EventRecord{ID: 5, Partition: there, Time: 20, Body: []byte(`{"b":1}`)}
	third := engine.EventRecord{ID: 6, Partition: here, Time: 20, Body: []byte(`{"c":1}`)}
	last := func(want int64) {
		t.Helper()
		if got, err := db.LastEvent(context.Background()); err != nil || got != want {
			t.Errorf("last event %d, error %v; want %d", got, err, want)
		}
	}
	last(0)
	commit(t, db, engine.Changes{Events: []engine.EventRecord{first, second}})
	last(5)
	commit(t, db, engine.Changes{Events: []engine.EventRecord{third}})
	for _, tc := range []struct {
		after int64
		limit int
		want  []engine.EventRecord
	}{
		{0, 0, []engine.EventRecord{first, second, third}},
		{0, 2, []engine.EventRecord{first, second}},
		{1, 10, []engine.EventRecord{second, third}},
		{6, 10, nil},
	} {
		got, err := db.Events(context.Background(), tc.after, tc.limit)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("Events(%d, %d):\n%s", tc.after, tc.limit, d)
		}
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	// Jobs 1 to 20 of two queues of two accounts, submitted at 1 s to 20 s; every fourth still runs, a final one stopped half
	// a second later, but job 3 only at 30 s. Events 1 to 1200 at 1 ms to 1200 ms.
	fill := func(t *testing.T) *DB {
		db := openTest(t, t.TempDir())
		var c engine.Changes
		for seq := int64(1); seq <= 20; seq++ {
			j := jobRecord(seq, []batch.Partition{here, there}[seq%2], batch.Succeeded)
			if seq%4 == 0 {
				j = jobRecord(seq, here, batch.Running)
			}
			if seq == 3 {
				j.StoppedAt = 30_000
			}
			if seq == 5 {
				j.Queue, j.Status = "other", batch.Failed
			}
			c.Jobs = append(c.Jobs, j)
			c.Children = append(c.Children, engine.ChildRecord{Seq: seq, Index: 0, Status: batch.Succeeded, State: make([]byte, 8<<10)})
		}
		for id := int64(1); id <= 1200; id++ {
			c.Events = append(c.Events, engine.EventRecord{ID: id, Partition: here, Time: id, Body: []byte("{}")})
		}
		commit(t, db, c)
		return db
	}
	now := time.UnixMilli(40_000)
	for _, tc := range []struct {
		name   string
		r      Retention
		jobs   []int64
		events int // how many are left
	}{
		{"nothing", Retention{}, span(1, 20), 1200},
		{"by age", Retention{JobAge: 30 * time.Second}, append([]int64{3, 4, 8}, span(10, 20)...), 1200},
		{"by age, all", Retention{JobAge: time.Second}, []int64{4, 8, 12, 16, 20}, 1200},
		{"by count", Retention{Jobs: 4}, []int64{4, 8, 12, 15, 16, 17, 18, 19, 20}, 1200},
		{"by count, few", Retention{Jobs: 100}, span(1, 20), 1200},
		{"by size", Retention{Bytes: 1}, []int64{4, 8, 12, 16, 20}, 0},
		{"by size, small", Retention{Bytes: 1 << 30}, span(1, 20), 1200},
		{"events by age", Retention{EventAge: 40*time.Second - 100*time.Millisecond}, span(1, 20), 1101},
		{"events by age, all", Retention{EventAge: time.Second}, span(1, 20), 0},
		{"events by count", Retention{Events: 30}, span(1, 20), 30},
		{"events by both", Retention{Events: 300, EventAge: 40*time.Second - 1100*time.Millisecond}, span(1, 20), 101},
		{"jobs by both", Retention{JobAge: 30 * time.Second, Jobs: 8}, append([]int64{4, 8}, span(10, 20)...), 1200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			db := fill(t)
			done, err := db.Prune(context.Background(), now, tc.r)
			if err != nil {
				t.Fatal(err)
			}
			if got := jobSeqs(t, db); !slices.Equal(got, tc.jobs) {
				t.Errorf("left are jobs %v, want %v", got, tc.jobs)
			}
			events := eventIDs(t, db, 0, 0)
			if len(events) != tc.events || tc.events > 0 && !slices.Equal(events, span(1201-int64(tc.events), 1200)) {
				t.Errorf("left are %d events, want the last %d", len(events), tc.events)
			}
			if want := (Pruned{Jobs: int64(20 - len(tc.jobs)), Events: int64(1200 - tc.events)}); done != want {
				t.Errorf("Prune says %+v, want %+v", done, want)
			}
			counts, err := db.Counts(context.Background())
			if err != nil || counts.Jobs != int64(len(tc.jobs)) || counts.Children != counts.Jobs || counts.Unfinished != 5 || counts.Events != int64(tc.events) {
				t.Errorf("Counts = %+v, %v", counts, err)
			}
			if err := db.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPruneFreesSpace: what Prune removes is room for new jobs.
func TestPruneFreesSpace(t *testing.T) {
	t.Parallel()
	db := openTest(t, t.TempDir())
	ctx := context.Background()
	size := func() Size {
		s, err := db.Size(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	empty := size()
	var c engine.Changes
	for seq := int64(1); seq <= 200; seq++ {
		j := jobRecord(seq, here, batch.Failed)
		j.Spec = bytes.Repeat([]byte("x"), 10_000)
		c.Jobs = append(c.Jobs, j)
	}
	commit(t, db, c)
	full := size()
	if full.Used < empty.Used+2_000_000 {
		t.Errorf("two hundred jobs took %d bytes", full.Used-empty.Used)
	}
	// Events from before the oldest job that stays go, the others stay.
	events := engine.Changes{Events: []engine.EventRecord{{ID: 1, Partition: here, Time: 1, Body: []byte("{}")}, {ID: 2, Partition: here, Time: 200_000, Body: []byte("{}")}}}
	commit(t, db, events)
	limit := empty.Used + (full.Used-empty.Used)/4
	done, err := db.Prune(ctx, time.UnixMilli(1), Retention{Bytes: limit})
	if err != nil || done.Jobs == 0 {
		t.Errorf("Prune = %+v, %v", done, err)
	}
	if got := size().Used; got > limit {
		t.Errorf("after Prune %d bytes are used, more than %d", got, limit)
	}
	if got := eventIDs(t, db, 0, 0); !slices.Equal(got, []int64{2}) {
		t.Errorf("left are events %v, want 2", got)
	}
	if left := jobSeqs(t, db); len(left) == 0 || left[len(left)-1] != 200 {
		t.Errorf("the youngest job was removed: %v", left)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openTest(t, t.TempDir())
	commit(t, db, engine.Changes{
		Jobs:     []engine.JobRecord{jobRecord(1, here, batch.Running), jobRecord(2, there, batch.Failed)},
		Children: []engine.ChildRecord{{Seq: 1, Index: 3, Status: batch.Running, State: []byte("{}")}},
	})
	if err := put(db, "key", "value"); err != nil {
		t.Fatal(err)
	}
	// While others write.
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if err := put(db, fmt.Sprint("key-", i), i); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	target := t.TempDir()
	file := filepath.Join(target, "it's a backup.db")
	for range 2 { // the second replaces the first
		if err := db.Backup(ctx, file); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(target); err != nil || len(left) != 1 {
		t.Errorf("beside the backup there are %v, %v", left, err)
	}

	restored := t.TempDir()
	if err := os.Rename(file, filepath.Join(restored, FileName)); err != nil {
		t.Fatal(err)
	}
	copied := openTest(t, restored)
	if err := copied.Check(ctx); err != nil {
		t.Error(err)
	}
	if got := jobSeqs(t, copied); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("the backup has jobs %v", got)
	}
	commit(t, copied, engine.Changes{Jobs: []engine.JobRecord{jobRecord(3, here, batch.Running)}})

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Backup(cancelled, file); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Backup returned %v", err)
	}
	if err := db.Backup(ctx, filepath.Join(target, "missing", "file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a Backup into a missing directory returned %v", err)
	}
	if left, err := os.ReadDir(target); err != nil || len(left) != 0 {
		t.Errorf("a failed Backup left %v, %v", left, err)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	db := openTest(t, t.TempDir())
	odd := jobRecord(2, there, batch.Failed)
	odd.State = []byte("not json\xff")
	commit(t, db, engine.Changes{
		Resources: []engine.ResourceRecord{{Partition: here, Kind: "job-queue", Key: "q", Value: []byte(`{"a":"<"}`)}},
		Jobs:      []engine.JobRecord{jobRecord(1, here, batch.Running), odd},
		Children:  []engine.ChildRecord{{Seq: 1, Index: 0, Status: batch.Running, State: []byte(`{"c":1}`)}},
		Events:    []engine.EventRecord{{ID: 9, Partition: here, Time: 7, Body: []byte(`{"e":1}`)}},
	})
	if err := put(db, "key", "value"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := db.Export(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`{"type":"store","version":` + fmt.Sprint(len(migrations)) + `}`,
		`{"type":"resource","account":"111111111111","region":"eu-west-1","kind":"job-queue","key":"q","value":{"a":"<"}}`,
		`{"type":"document","account":"111111111111","region":"eu-west-1","kind":"kind","key":"key","value":"value"}`,
		`{"type":"job","account":"111111111111","region":"eu-west-1","seq":1,"id":"00000000-0000-4000-8000-000000000001","queue":"queue","name":"name","definition":"definition:1","status":"RUNNING","createdAt":1000,"spec":{"spec":1},"state":{"state":1}}`,
		`{"type":"child","seq":1,"index":0,"status":"RUNNING","state":{"c":1}}`,
		`{"type":"job","account":"222222222222","region":"us-east-1","seq":2,"id":"00000000-0000-4000-8000-000000000002","queue":"queue","name":"name","definition":"definition:1","status":"FAILED","createdAt":2000,"stoppedAt":2500,"spec":{"spec":1},"state":{"base64":"bm90IGpzb27/"}}`,
		`{"type":"event","account":"111111111111","region":"eu-west-1","eventId":9,"time":7,"value":{"e":1}}`,
	}, "\n") + "\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("export (-want +got):\n%s", d)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if err := db.Export(context.Background(), brokenWriter{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an Export to a broken pipe returned %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestClosed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openTest(t, t.TempDir())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Commit": func() error {
			return db.Commit(ctx, &engine.Changes{Jobs: []engine.JobRecord{jobRecord(1, here, batch.Running)}})
		},
		"Update":   func() error { return put(db, "key", 1) },
		"View":     func() error { return db.View(ctx, func(store.Reader) error { return nil }) },
		"ListJobs": func() error { _, err := db.ListJobs(ctx, engine.JobQuery{Partition: here}); return err },
		"Backup":   func() error { return db.Backup(ctx, filepath.Join(t.TempDir(), "b")) },
		"Check":    func() error { return db.Check(ctx) },
		"Prune":    func() error { _, err := db.Prune(ctx, time.Now(), Retention{JobAge: 1}); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close returned %v", name, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
