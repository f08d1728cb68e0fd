package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func testResources(t *testing.T, open Open) {
	s, reopen := open(t)
	record := func(p batch.Partition, kind, key, value string) engine.ResourceRecord {
		return engine.ResourceRecord{Partition: p, Kind: kind, Key: key, Value: []byte(value)}
	}
	queue := record(here, batch.KindJobQueue, "q", `{"a":1}`)
	same := record(there, batch.KindJobQueue, "q", `{"there":true}`)
	env := record(here, batch.KindComputeEnvironment, "q", "not json \x00\xff")
	gone := record(here, batch.KindJobQueue, "gone", `{}`)
	commit(t, s, engine.Changes{Resources: []engine.ResourceRecord{queue, same, env, gone}})

	queue.Value = []byte(`{"a":2}`)
	gone.Value = nil
	never := record(other, "kind", "never", "")
	never.Value = nil
	twice := record(other, "kind", "twice", "first")
	last := record(other, "kind", "twice", "last")
	empty := record(other, "kind", "zero", "")
	commit(t, s, engine.Changes{Resources: []engine.ResourceRecord{queue, gone, never, twice, last, empty}})

	eachWay(t, s, reopen, func(t *testing.T, s Store) {
		equal(t, "resources", load(t, s).Resources, []engine.ResourceRecord{env, queue, same, last, empty})
	})
}

func testJobs(t *testing.T, open Open) {
	s, reopen := open(t)
	running, done, failed := job(1, here, batch.Submitted), job(2, here, batch.Runnable), job(3, there, batch.Pending)
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{running, done, failed}})
	// Spec is given once; nil means unchanged. Given twice in a commit, the last counts.
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{
		became(running, batch.Starting), became(done, batch.Running), became(running, batch.Running),
		became(done, batch.Succeeded), became(failed, batch.Failed),
	}})
	// Added and changed in one commit.
	added := job(4, here, batch.Submitted)
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{added, became(added, batch.Runnable)}})

	now := func(r engine.JobRecord, status batch.Status) engine.JobRecord {
		spec := r.Spec
		r = became(r, status)
		r.Spec = spec
		return r
	}
	wantRunning, wantDone, wantFailed, wantAdded := now(running, batch.Running), now(done, batch.Succeeded), now(failed, batch.Failed), now(added, batch.Runnable)
	eachWay(t, s, reopen, func(t *testing.T, s Store) {
		equal(t, "unfinished jobs", load(t, s).Jobs, []engine.JobRecord{wantRunning, wantAdded})
		for _, want := range []engine.JobRecord{wantRunning, wantDone, wantFailed, wantAdded} {
			got, ok := findJob(t, s, want.Partition, want.ID)
			if !ok {
				t.Errorf("job %d is missing", want.Seq)
			}
			equal(t, "job", got, want)
			if _, ok := findJob(t, s, other, want.ID); ok {
				t.Errorf("job %d is seen from another account", want.Seq)
			}
		}
		if _, ok := findJob(t, s, here, "no-such-job"); ok {
			t.Error("found a job that never was")
		}
	})
}

// testRefusals: a commit that can not be kept is refused whole.
func testRefusals(t *testing.T, open Open) {
	s, _ := open(t)
	first, final := job(1, here, batch.Runnable), job(2, here, batch.Failed)
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{first, final}})

	sameID, sameSeq := job(3, here, batch.Runnable), job(1, here, batch.Runnable)
	sameID.ID = first.ID
	sameSeq.ID = "other"
	stopped, unstopped, strange := job(4, here, batch.Running), job(5, here, batch.Succeeded), job(6, here, batch.Status(9))
	stopped.StoppedAt, unstopped.StoppedAt = 1, 0
	for name, bad := range map[string]engine.Changes{
		"a change of a job that is not there":   {Jobs: []engine.JobRecord{became(job(99, here, batch.Running), batch.Running)}},
		"an id twice":                           {Jobs: []engine.JobRecord{sameID}},
		"a number twice":                        {Jobs: []engine.JobRecord{sameSeq}},
		"a final job that runs":                 {Jobs: []engine.JobRecord{became(final, batch.Running)}},
		"a failed job that succeeds":            {Jobs: []engine.JobRecord{became(final, batch.Succeeded)}},
		"a running job with a time of stopping": {Jobs: []engine.JobRecord{stopped}},
		"a final job without one":               {Jobs: []engine.JobRecord{unstopped}},
		"no status":                             {Jobs: []engine.JobRecord{strange}},
		"a child of no job":                     {Children: []engine.ChildRecord{child(99, 0, batch.Running)}},
	} {
		bad.Resources = []engine.ResourceRecord{{Partition: other, Kind: "kind", Key: name, Value: []byte("1")}}
		bad.Jobs = append([]engine.JobRecord{job(50, other, batch.Runnable)}, bad.Jobs...)
		if err := s.Commit(context.Background(), &bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	got := load(t, s)
	if len(got.Resources) != 0 {
		t.Errorf("resources of refused commits were kept: %v", got.Resources)
	}
	equal(t, "jobs", got.Jobs, []engine.JobRecord{first})
	// The same state again is no change of state.
	final.State = []byte("{}")
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{became(final, batch.Failed)}})
}

func testChildren(t *testing.T, open Open) {
	s, reopen := open(t)
	ctx := context.Background()
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{job(1, here, batch.Pending), job(2, here, batch.Pending)}})
	// More than any number that is written at once, out of order, and a neighbour's.
	var c engine.Changes
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(100) {
		c.Children = append(c.Children, child(1, i, batch.Starting))
	}
	c.Children = append(c.Children, child(2, 7, batch.Running))
	commit(t, s, c)
	c.Children = nil
	for i := range 50 {
		c.Children = append(c.Children, child(1, i, batch.Succeeded))
	}
	c.Children = append(c.Children, child(1, 3, batch.Failed))
	commit(t, s, c)

	want := make([]engine.ChildRecord, 100)
	for i := range want {
		want[i] = child(1, i, batch.Starting)
		if i < 50 {
			want[i].Status = batch.Succeeded
		}
	}
	want[3].Status = batch.Failed
	eachWay(t, s, reopen, func(t *testing.T, s Store) {
		equal(t, "loaded", load(t, s).Children, append(slices.Clone(want), child(2, 7, batch.Running)))
		for _, q := range []engine.ChildQuery{
			{Seq: 1}, {Seq: 1, Limit: 10}, {Seq: 1, From: 45, Limit: 10}, {Seq: 1, From: 99}, {Seq: 1, From: 100}, {Seq: 3},
			{Seq: 1, Statuses: []batch.Status{batch.Failed}}, {Seq: 1, Statuses: []batch.Status{batch.Failed, batch.Starting}, From: 3, Limit: 3},
			{Seq: 1, Statuses: []batch.Status{batch.Running}},
		} {
			var match []engine.ChildRecord
			for _, w := range want {
				if w.Seq == q.Seq && w.Index >= q.From && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, w.Status)) && (q.Limit == 0 || len(match) < q.Limit) {
					match = append(match, w)
				}
			}
			got, err := s.ListChildren(ctx, q)
			if err != nil {
				t.Errorf("ListChildren(%+v): %v", q, err)
			}
			equal(t, fmt.Sprintf("ListChildren(%+v)", q), got, match)
		}
		got, ok, err := s.Child(ctx, 1, 3)
		if err != nil || !ok {
			t.Errorf("Child(1, 3) = %t, %v", ok, err)
		}
		equal(t, "Child(1, 3)", got, want[3])
		for _, id := range [][2]int{{1, 100}, {2, 6}, {3, 0}} {
			if _, ok, err := s.Child(ctx, int64(id[0]), id[1]); ok || err != nil {
				t.Errorf("Child(%d, %d) = %t, %v", id[0], id[1], ok, err)
			}
		}
	})
}

func testDeletion(t *testing.T, open Open) {
	s, reopen := open(t)
	commit(t, s, engine.Changes{
		Jobs:     []engine.JobRecord{job(1, here, batch.Pending), job(2, here, batch.Succeeded), job(3, here, batch.Pending)},
		Children: []engine.ChildRecord{child(1, 0, batch.Running), child(2, 0, batch.Succeeded), child(3, 0, batch.Running)},
	})
	commit(t, s, engine.Changes{DeleteJobs: []int64{2, 3, 99}})
	s = eachWay(t, s, reopen, func(t *testing.T, s Store) {
		equal(t, "calls", load(t, s).Calls, []string{"job 1", "child 1/0"})
		if _, ok := findJob(t, s, here, job(2, here, batch.Failed).ID); ok {
			t.Error("a deleted job is found")
		}
		if cs, err := s.ListChildren(context.Background(), engine.ChildQuery{Seq: 2}); err != nil || len(cs) != 0 {
			t.Errorf("children of a deleted job: %v, %v", cs, err)
		}
	})
	// Number and id are free again.
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{job(2, there, batch.Runnable)}})
}

func testLoadOrder(t *testing.T, open Open) {
	s, reopen := open(t)
	var want []string
	var c engine.Changes
	for seq := int64(600); seq >= 1; seq-- {
		status := batch.Status(1 + seq%7)
		j := job(seq, []batch.Partition{here, there, other}[seq%3], status)
		j.Queue = fmt.Sprint("queue-", seq%5)
		c.Jobs = append(c.Jobs, j)
		if seq%10 == 0 {
			c.Children = append(c.Children, child(seq, 2, batch.Running), child(seq, 1, batch.Running))
		}
	}
	commit(t, s, c)
	for seq := int64(1); seq <= 600; seq++ {
		if batch.Status(1 + seq%7).Final() {
			continue
		}
		want = append(want, fmt.Sprint("job ", seq))
		if seq%10 == 0 {
			want = append(want, fmt.Sprint("child ", seq, "/", 1), fmt.Sprint("child ", seq, "/", 2))
		}
	}
	eachWay(t, s, reopen, func(t *testing.T, s Store) { equal(t, "calls", load(t, s).Calls, want) })
}

// testVisitor: an error of the visitor stops the load and is what Load returns.
func testVisitor(t *testing.T, open Open) {
	s, _ := open(t)
	commit(t, s, engine.Changes{
		Resources: []engine.ResourceRecord{{Partition: here, Kind: "k", Key: "1", Value: []byte("{}")}, {Partition: here, Kind: "k", Key: "2", Value: []byte("{}")}},
		Jobs:      []engine.JobRecord{job(1, here, batch.Pending), job(2, here, batch.Pending)},
		Children:  []engine.ChildRecord{child(1, 0, batch.Running), child(1, 1, batch.Running)},
	})
	for _, stop := range []string{"resource", "job", "child"} {
		cause := errors.New("enough")
		var calls []string
		call := func(kind string) error {
			calls = append(calls, kind)
			if kind == stop {
				return cause
			}
			return nil
		}
		err := s.Load(context.Background(), engine.Visitor{
			Resource: func(engine.ResourceRecord) error { return call("resource") },
			Job:      func(engine.JobRecord) error { return call("job") },
			Child:    func(engine.ChildRecord) error { return call("child") },
		})
		if !errors.Is(err, cause) {
			t.Errorf("Load returned %v", err)
		}
		if i := slices.Index(calls, stop); i != len(calls)-1 {
			t.Errorf("Load went on after the %s: %v", stop, calls)
		}
	}
}

// A number is never given twice, also when the jobs that had the highest are finished.
func testLastSeq(t *testing.T, open Open) {
	s, reopen := open(t)
	last := func() (seq int64) {
		t.Helper()
		seq = -1
		err := s.Load(context.Background(), engine.Visitor{
			LastSeq:  func(n int64) { seq = n },
			Resource: func(engine.ResourceRecord) error { return nil },
			Job:      func(engine.JobRecord) error { return nil },
			Child:    func(engine.ChildRecord) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	if got := last(); got != 0 {
		t.Errorf("last number of an empty store: %d", got)
	}
	finished := job(7, here, batch.Succeeded)
	finished.StoppedAt = 1
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{job(3, here, batch.Pending), finished}})
	if got := last(); got != 7 {
		t.Errorf("last number: %d, want 7", got)
	}
	if reopen == nil { // kept in memory only
		return
	}
	s = reopen()
	if got := last(); got != 7 {
		t.Errorf("last number after opening again: %d, want 7", got)
	}
}

func testLists(t *testing.T, open Open) {
	s, reopen := open(t)
	make := func(seq int64, name, definition, share string, status batch.Status, at int64) engine.JobRecord {
		j := job(seq, here, status)
		j.Name, j.Definition, j.Share, j.CreatedAt = name, definition, share, at
		return j
	}
	away, elsewhere := make(8, "train", "big:1", "", batch.Running, 500), make(9, "train", "big:1", "", batch.Running, 500)
	away.Partition, elsewhere.Queue = there, "elsewhere"
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{
		make(1, "train", "big:1", "red", batch.Succeeded, 100),
		make(2, "Train-2", "big:2", "red", batch.Running, 200),
		make(3, "train_3", "big:10", "blue", batch.Running, 200), // the same moment
		make(4, "test", "small:1", "", batch.Failed, 300),
		make(5, "TRAIN", "Big:1", "red", batch.Runnable, 250),
		away, elsewhere,
	}})
	for _, tc := range []struct {
		name string
		q    engine.JobQuery
		want []int64
	}{
		{"everything of a queue, newest first", engine.JobQuery{}, []int64{4, 5, 3, 2, 1}},
		{"a status", engine.JobQuery{Statuses: []batch.Status{batch.Running}}, []int64{3, 2}},
		{"two statuses", engine.JobQuery{Statuses: []batch.Status{batch.Failed, batch.Succeeded}}, []int64{4, 1}},
		{"no such status", engine.JobQuery{Statuses: []batch.Status{batch.Pending}}, nil},
		{"a limit", engine.JobQuery{Limit: 2}, []int64{4, 5}},
		{"the next page", engine.JobQuery{Limit: 2, BeforeCreatedAt: 250, BeforeSeq: 5}, []int64{3, 2}},
		{"a page that parts a moment", engine.JobQuery{BeforeCreatedAt: 200, BeforeSeq: 3}, []int64{2, 1}},
		{"a name in any case", engine.JobQuery{Name: "tRAIN"}, []int64{5, 1}},
		{"a name and a status", engine.JobQuery{Name: "train", Statuses: []batch.Status{batch.Succeeded}}, []int64{1}},
		{"names by prefix, by name", engine.JobQuery{NamePrefix: "TRAIN"}, []int64{3, 2, 5, 1}},
		{"names by prefix, next page", engine.JobQuery{NamePrefix: "train", BeforeName: "Train-2", BeforeCreatedAt: 200, BeforeSeq: 2}, []int64{5, 1}},
		{"names by prefix, within a name", engine.JobQuery{NamePrefix: "t", BeforeName: "train", BeforeCreatedAt: 250, BeforeSeq: 5}, []int64{1, 4}},
		{"a prefix nobody has", engine.JobQuery{NamePrefix: "x"}, nil},
		{"a prefix and an age", engine.JobQuery{NamePrefix: "t", CreatedBefore: 250, CreatedAfter: 100}, []int64{3, 2}},
		{"a definition, exactly", engine.JobQuery{Definition: "big:1"}, []int64{1}},
		{"a definition's revisions", engine.JobQuery{DefinitionPrefix: "big:"}, []int64{3, 2, 1}},
		{"a definition's first page", engine.JobQuery{DefinitionPrefix: "big:1", Limit: 1}, []int64{3}},
		{"a share", engine.JobQuery{Share: "red"}, []int64{5, 2, 1}},
		{"a share and a status", engine.JobQuery{Share: "red", Statuses: []batch.Status{batch.Running, batch.Succeeded}}, []int64{2, 1}},
		{"before", engine.JobQuery{CreatedBefore: 250}, []int64{3, 2, 1}},
		{"after", engine.JobQuery{CreatedAfter: 200}, []int64{4, 5}},
		{"before, continued", engine.JobQuery{CreatedBefore: 300, BeforeCreatedAt: 250, BeforeSeq: 5}, []int64{3, 2, 1}},
		{"another queue", engine.JobQuery{Queue: "elsewhere"}, []int64{9}},
		{"no such queue", engine.JobQuery{Queue: "nowhere"}, nil},
		{"all queues", engine.JobQuery{Queue: "*", Name: "train"}, []int64{9, 5, 1}},
		{"another region", engine.JobQuery{Partition: there}, []int64{8}},
		{"another account", engine.JobQuery{Partition: other}, nil},
	} {
		switch tc.q.Queue {
		case "":
			tc.q.Queue = "queue"
		case "*":
			tc.q.Queue = ""
		}
		if tc.q.Partition == (batch.Partition{}) {
			tc.q.Partition = here
		}
		eachWay(t, s, nil, func(t *testing.T, s Store) { equal(t, tc.name, listSeqs(t, s, tc.q), tc.want) })
	}
	if _, err := s.ListJobs(context.Background(), engine.JobQuery{Partition: here, NamePrefix: "t", BeforeSeq: 1}); err == nil {
		t.Error("a page by name prefix without the name it continues after was answered")
	}
	if reopen != nil {
		got, err := reopen().ListJobs(context.Background(), engine.JobQuery{Partition: here, Queue: "queue", Statuses: []batch.Status{batch.Failed}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "a listed record", got, []engine.JobRecord{make(4, "test", "small:1", "", batch.Failed, 300)})
	}
}

func listSeqs(t *testing.T, s engine.Store, q engine.JobQuery) []int64 {
	t.Helper()
	recs, err := s.ListJobs(context.Background(), q)
	if err != nil {
		t.Fatalf("ListJobs(%+v): %v", q, err)
	}
	seqs := make([]int64, len(recs))
	for i, r := range recs {
		seqs[i] = r.Seq
	}
	return seqs
}

// testListModel draws queries and compares each, read page by page, with the plain meaning of its members.
func testListModel(t *testing.T, open Open) {
	s, _ := open(t)
	const seed = 11
	rnd := rand.New(rand.NewPCG(seed, seed))
	names := []string{"a", "A", "ab", "AB-1", "ab_2", "b", "ba"}
	definitions := []string{"d:1", "d:2", "d:10", "d1:1", "e:1", "D:1"}
	var all []engine.JobRecord
	for seq := int64(1); seq <= 150; seq++ {
		j := job(seq, here, batch.Status(1+rnd.IntN(7)))
		j.Queue = fmt.Sprint("q", rnd.IntN(3))
		j.Name = names[rnd.IntN(len(names))]
		j.Definition = definitions[rnd.IntN(len(definitions))]
		j.Share = []string{"", "x", "y"}[rnd.IntN(3)]
		j.CreatedAt = 1000 + rnd.Int64N(60)
		all = append(all, j)
	}
	commit(t, s, engine.Changes{Jobs: all})
	maybe := func(p float64, options ...string) string {
		if rnd.Float64() < p {
			return options[rnd.IntN(len(options))]
		}
		return ""
	}
	for range 100 {
		q := engine.JobQuery{
			Partition: here, Queue: maybe(0.8, "q0", "q1", "q2"), Name: maybe(0.2, names...), NamePrefix: maybe(0.3, "a", "AB", "b", "ab-", "c"),
			Definition: maybe(0.2, definitions...), DefinitionPrefix: maybe(0.3, "d", "d:", "d:1", "e"), Share: maybe(0.2, "x", "y", "z"),
			Limit: 1 + rnd.IntN(30),
		}
		for s := batch.Submitted; int(s) < batch.NumStatuses; s++ {
			if rnd.IntN(4) == 0 {
				q.Statuses = append(q.Statuses, s)
			}
		}
		if rnd.IntN(3) == 0 {
			q.CreatedBefore = 1000 + rnd.Int64N(70)
		}
		if rnd.IntN(3) == 0 {
			q.CreatedAfter = 990 + rnd.Int64N(70)
		}
		want := plainly(all, q)
		var got []int64
		for page := q; ; {
			recs, err := s.ListJobs(context.Background(), page)
			if err != nil {
				t.Fatalf("ListJobs(%+v): %v", page, err)
			}
			for _, r := range recs {
				got = append(got, r.Seq)
			}
			if len(recs) < page.Limit || len(got) > len(all) {
				break
			}
			last := recs[len(recs)-1]
			page.BeforeName, page.BeforeCreatedAt, page.BeforeSeq = last.Name, last.CreatedAt, last.Seq
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %+v:\n got %v\nwant %v", seed, q, got, want)
		}
	}
}

func plainly(all []engine.JobRecord, q engine.JobQuery) (seqs []int64) {
	var match []engine.JobRecord
	for _, j := range all {
		lower := strings.ToLower(j.Name)
		switch {
		case q.Queue != "" && j.Queue != q.Queue:
		case len(q.Statuses) > 0 && !slices.Contains(q.Statuses, j.Status):
		case q.Name != "" && lower != strings.ToLower(q.Name):
		case !strings.HasPrefix(lower, strings.ToLower(q.NamePrefix)):
		case q.Definition != "" && j.Definition != q.Definition:
		case !strings.HasPrefix(j.Definition, q.DefinitionPrefix):
		case q.Share != "" && j.Share != q.Share:
		case q.CreatedBefore != 0 && j.CreatedAt >= q.CreatedBefore:
		case q.CreatedAfter != 0 && j.CreatedAt <= q.CreatedAfter:
		default:
			match = append(match, j)
		}
	}
	slices.SortFunc(match, func(a, b engine.JobRecord) int {
		if q.NamePrefix != "" {
			if c := strings.Compare(strings.ToLower(b.Name), strings.ToLower(a.Name)); c != 0 {
				return c
			}
		}
		if a.CreatedAt != b.CreatedAt {
			return int(b.CreatedAt - a.CreatedAt)
		}
		return int(b.Seq - a.Seq)
	})
	for _, j := range match {
		seqs = append(seqs, j.Seq)
	}
	return seqs
}
