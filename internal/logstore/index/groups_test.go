package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := newWorld(t, logstore.WriterOptions{})
	x.check(x.CreateGroup(ctx, here, Group{Name: "b", Class: ClassStandard, Tags: map[string]string{"k": "v"}}))
	x.now = x.now.Add(time.Second)
	x.check(x.CreateGroup(ctx, here, Group{Name: "a", Class: "INFREQUENT_ACCESS", RetentionDays: 3, KMSKeyID: "arn:aws:kms:key"}))
	x.check(x.CreateGroup(ctx, batch.Partition{Account: here.Account, Region: "us-east-1"}, Group{Name: "elsewhere"}))
	if err := x.CreateGroup(ctx, here, Group{Name: "a"}); !errors.Is(err, ErrGroupExists) {
		t.Errorf("a second a: %v", err)
	}
	x.check(x.UpdateGroup(ctx, here, "b", func(g *Group) error { g.Tags["k2"] = "v2"; g.Protected = true; return nil }))
	refused := errors.New("refused")
	if err := x.UpdateGroup(ctx, here, "b", func(g *Group) error { g.Tags["k3"] = "v3"; return refused }); err != refused {
		t.Errorf("UpdateGroup = %v", err)
	}
	want := []Group{
		{Name: "a", Class: "INFREQUENT_ACCESS", RetentionDays: 3, KMSKeyID: "arn:aws:kms:key", CreatedMS: 1_700_000_001_000},
		{Name: "b", Class: ClassStandard, Tags: map[string]string{"k": "v", "k2": "v2"}, CreatedMS: 1_700_000_000_000, Protected: true},
	}
	every := func(*Group) bool { return true }
	equal(t, "groups", x.Groups(here, every), want)
	x.reopen()
	equal(t, "groups after a restart", x.Groups(here, every), want)
	for _, name := range []string{"", "a:b", "a b", "aws/x", "AWS/x", strings.Repeat("x", 513)} {
		var bad *NameError
		if err := x.EnsureGroup(ctx, here.Account, here.Region, name); !errors.As(err, &bad) {
			t.Errorf("a group named %.20q: %v", name, err)
		}
	}
	if err := x.DeleteGroup(ctx, here, "b"); !errors.Is(err, ErrProtected) {
		t.Errorf("deleting a protected group: %v", err)
	}
	x.check(x.DeleteGroup(ctx, here, "a"))
	for _, err := range []error{
		x.DeleteGroup(ctx, here, "a"), x.UpdateGroup(ctx, here, "a", nil), x.CreateStream(ctx, key("a", "s")),
		x.Put(ctx, key("a", "s"), nil), x.DeleteStream(ctx, key("a", "s")), x.PutMetricFilter(ctx, here, MetricFilter{Group: "a"}),
		x.DeleteMetricFilter(ctx, here, "a", "f"),
	} {
		if !errors.Is(err, ErrNoGroup) {
			t.Errorf("in a deleted group: %v", err)
		}
	}
	if ok, err := x.GroupExists(ctx, here.Account, here.Region, "a"); ok || err != nil {
		t.Errorf("GroupExists = %v, %v", ok, err)
	}
}

func TestDeletedGroupDoesNotComeBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, again := range []string{"", "reopened", "reindexed"} {
		t.Run(again, func(t *testing.T) {
			t.Parallel()
			x := newWorld(t, logstore.WriterOptions{})
			x.group("g")
			x.group("other")
			x.append("g", "s", "old")
			x.append("other", "s", "kept")
			equal(t, "found", x.find("g", SearchQuery{}), []string{"s: old"})
			x.append("g", "s", "not indexed before the group is deleted")
			x.check(x.DeleteGroup(ctx, here, "g"))
			x.append("g", "s", "while there is no group")
			if _, err := x.Search(ctx, here, "g", SearchQuery{}); !errors.Is(err, ErrNoGroup) {
				t.Errorf("searching a deleted group: %v", err)
			}
			x.group("g")
			equal(t, "streams of the new group", x.names("g", StreamQuery{}), nil)
			x.append("g", "s", "new")
			switch again {
			case "reopened":
				x.reopen()
			case "reindexed":
				x.check(x.Reindex(ctx))
			}
			equal(t, "found in the new group", x.find("g", SearchQuery{}), []string{"s: new"})
			equal(t, "found in the other", x.find("other", SearchQuery{}), []string{"s: kept"})
			x.check(x.CatchUp(ctx))
			for more := true; more; {
				var err error
				more, err = x.exhume(ctx)
				x.check(err)
			}
			rows, err := x.db.writer.number("SELECT count(*) FROM streams")
			x.check(err)
			equal(t, "rows of streams", rows, 2)
		})
	}
}

// TestGroupDeletedJustBeforeACrash is gone from the documents, while the index still has it.
func TestGroupDeletedJustBeforeACrash(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "m")
	x.check(x.CatchUp(t.Context()))
	x.check(x.Store.Close())
	x.check(x.docs.Update(t.Context(), func(w store.Writer) error {
		_, err := w.Delete(here, kindGroup, "g")
		return err
	}))
	x.open()
	for more := true; more; {
		var err error
		more, err = x.exhume(t.Context())
		x.check(err)
	}
	for _, table := range []string{"streams", "chunks", "group_blocks"} {
		equal(t, "rows of "+table, x.count("SELECT count(*) FROM "+table), 0)
	}
}

func TestStreamsAreDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.check(x.CreateStream(ctx, key("g", "a")))
	if err := x.CreateStream(ctx, key("g", "a")); !errors.Is(err, ErrStreamExists) {
		t.Errorf("a second a: %v", err)
	}
	x.check(x.Put(ctx, key("g", "a"), []logstore.Event{{Timestamp: 5, Message: "old a"}}))
	x.append("g", "b", "old b")
	bytes, err := x.StoredBytes(ctx, here, "g")
	x.check(err)
	equal(t, "stored bytes", bytes, 10)
	x.check(x.DeleteStream(ctx, key("g", "a")))
	if err := x.DeleteStream(ctx, key("g", "a")); !errors.Is(err, ErrNoStream) {
		t.Errorf("deleting it again: %v", err)
	}
	if err := x.Put(ctx, key("g", "a"), []logstore.Event{{Timestamp: 5, Message: "late"}}); !errors.Is(err, ErrNoStream) {
		t.Errorf("putting to a deleted stream: %v", err)
	}
	x.check(x.DeleteStream(ctx, key("g", "b")))
	bytes, err = x.StoredBytes(ctx, here, "g")
	x.check(err)
	equal(t, "stored bytes", bytes, 0)
	equal(t, "streams", x.names("g", StreamQuery{}), nil)
	x.append("g", "b", "new b") // its container runs on
	x.check(x.CreateStream(ctx, key("g", "a")))
	for _, again := range []func(){func() {}, x.reopen, func() { x.check(x.Reindex(ctx)) }} {
		again()
		equal(t, "streams", x.names("g", StreamQuery{}), []string{"a", "b"})
		equal(t, "found", x.find("g", SearchQuery{}), []string{"b: new b"})
	}
}

func TestStreamListing(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.check(x.CreateStream(t.Context(), key("g", "app/empty")))
	for i, name := range []string{"app/c", "app/a", "app/b", "apq", "Ä", "app"} {
		x.now = x.now.Add(time.Second * time.Duration(1+i%2*10))
		x.append("g", name, "m")
	}
	equal(t, "by name", x.names("g", StreamQuery{}), []string{"app", "app/a", "app/b", "app/c", "app/empty", "apq", "Ä"})
	equal(t, "by name, backwards", x.names("g", StreamQuery{Descending: true}), []string{"Ä", "apq", "app/empty", "app/c", "app/b", "app/a", "app"})
	equal(t, "with a prefix", x.names("g", StreamQuery{Prefix: "app/"}), []string{"app/a", "app/b", "app/c", "app/empty"})
	equal(t, "with a prefix, backwards", x.names("g", StreamQuery{Prefix: "app/", Descending: true}), []string{"app/empty", "app/c", "app/b", "app/a"})
	equal(t, "by time", x.names("g", StreamQuery{ByTime: true}), []string{"app/empty", "app/c", "app/a", "app/b", "apq", "Ä", "app"})
	for _, q := range []StreamQuery{{}, {Descending: true}, {ByTime: true}, {ByTime: true, Descending: true}, {Prefix: "app/"}, {Prefix: "app/", Descending: true}} {
		want := x.names("g", q)
		for limit := 1; limit < 4; limit++ {
			var got []string
			for q.Limit, q.After = limit, nil; ; {
				page, err := x.Streams(t.Context(), here, "g", q)
				x.check(err)
				for _, s := range page {
					got = append(got, s.Name)
				}
				if len(page) < limit {
					break
				}
				after := page[len(page)-1].Bound()
				q.After = &after
			}
			equal(t, fmt.Sprintf("%+v in pages", q), got, want)
		}
	}
}

func TestStreamTimes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.check(x.CreateStream(ctx, key("g", "s")))
	one := func() Stream {
		streams, err := x.Streams(ctx, here, "g", StreamQuery{Limit: 10})
		x.check(err)
		return streams[0]
	}
	equal(t, "without events", one(), Stream{Name: "s", CreatedMS: 1_700_000_000_000})
	x.now = x.now.Add(time.Minute)
	x.check(x.Put(ctx, key("g", "s"), []logstore.Event{{Timestamp: 700, Message: "m"}, {Timestamp: 900, Message: "m"}, {Timestamp: 800, Message: "m"}}))
	want := Stream{Name: "s", CreatedMS: 1_700_000_000_000, HasEvents: true, OldestMS: 700, NewestMS: 900, LastIngestedMS: 1_700_000_060_000}
	equal(t, "with events", one(), want)
	x.check(x.Reindex(ctx))
	equal(t, "with events, indexed again", one(), want)
}

func TestRetentionHidesOldEvents(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "old")
	x.now = x.now.Add(23 * time.Hour)
	x.append("g", "s", "young")
	x.now = x.now.Add(2 * time.Hour)
	x.check(x.UpdateGroup(ctx, here, "g", func(g *Group) error { g.RetentionDays = 1; return nil }))
	equal(t, "events", x.all("g", "s", 0), []string{"young"})
	equal(t, "found", x.find("g", SearchQuery{}), []string{"s: young"})
	equal(t, "found, backwards", x.find("g", SearchQuery{Descending: true}), []string{"s: young"})
	x.check(x.UpdateGroup(ctx, here, "g", func(g *Group) error { g.RetentionDays = 0; return nil }))
	equal(t, "events without retention", x.all("g", "s", 0), []string{"old", "young"})
}

func TestMetricFilters(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.group("h")
	for _, f := range []MetricFilter{{Group: "h", Name: "a"}, {Group: "g", Name: "b1"}, {Group: "g", Name: "b2"}, {Group: "g", Name: "c"}} {
		f.Body = []byte(`{"pattern":"x"}`)
		x.check(x.PutMetricFilter(ctx, here, f))
	}
	list := func(group, prefix string) (names []string) {
		filters, err := x.MetricFilters(ctx, here, group, prefix)
		x.check(err)
		for _, f := range filters {
			names = append(names, f.Group+"/"+f.Name)
		}
		return names
	}
	equal(t, "of all groups", list("", ""), []string{"g/b1", "g/b2", "g/c", "h/a"})
	equal(t, "of all groups with a prefix", list("", "b"), []string{"g/b1", "g/b2"})
	equal(t, "of one", list("g", "b"), []string{"g/b1", "g/b2"})
	created := x.now.UnixMilli()
	x.now = x.now.Add(time.Hour)
	x.check(x.PutMetricFilter(ctx, here, MetricFilter{Group: "g", Name: "c", Body: []byte(`{}`)}))
	filters, err := x.MetricFilters(ctx, here, "g", "c")
	x.check(err)
	equal(t, "a filter replaced", filters, []MetricFilter{{Group: "g", Name: "c", CreatedMS: created, Body: []byte(`{}`)}})
	x.check(x.DeleteMetricFilter(ctx, here, "g", "b1"))
	if err := x.DeleteMetricFilter(ctx, here, "g", "b1"); !errors.Is(err, ErrNoFilter) {
		t.Errorf("deleting it again: %v", err)
	}
	x.check(x.DeleteGroup(ctx, here, "g"))
	equal(t, "after the group is gone", list("", ""), []string{"h/a"})
}

// TestGroupsInTheEnginesStore keeps the groups where the engine does.
func TestGroupsInTheEnginesStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := newWorld(t, logstore.WriterOptions{})
	x.check(x.Store.Close())
	x.docs = db
	x.open()
	x.group("/aws/batch/job")
	x.check(x.CreateStream(ctx, key("/aws/batch/job", "deleted")))
	x.check(x.DeleteStream(ctx, key("/aws/batch/job", "deleted")))
	x.check(x.PutMetricFilter(ctx, here, MetricFilter{Group: "/aws/batch/job", Name: "f", Body: []byte(`{"a": 1}`)}))
	x.append("/aws/batch/job", "s", "m")
	x.reopen()
	equal(t, "events", x.all("/aws/batch/job", "s", 0), []string{"m"})
	equal(t, "deleted streams", len(x.groups[groupKey{here, "/aws/batch/job"}].deleted), 1)
	filters, err := x.MetricFilters(ctx, here, "", "")
	x.check(err)
	equal(t, "metric filters", len(filters), 1)
	x.check(x.Store.Close())
	x.docs = memory.New()
	x.check(db.Close())
	x.open()
}
