package index

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

func TestMain(m *testing.M) {
	// A run of the property test takes a tenth of a second; -rapid.checks asks for more of them.
	if err := flag.Set("rapid.checks", "5"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var here = batch.Partition{Account: "111122223333", Region: "eu-west-1"}

func key(group, stream string) logstore.StreamKey {
	return logstore.StreamKey{Account: here.Account, Region: here.Region, Group: group, Stream: stream}
}

// world is a directory with a Store and a supervisor's Writer on it.
type world struct {
	t    testing.TB
	dir  string
	docs store.Docs
	now  time.Time
	opts logstore.WriterOptions
	*Store
	w *logstore.Writer
}

func newWorld(t testing.TB, opts logstore.WriterOptions) *world {
	t.Helper()
	x := &world{t: t, dir: t.TempDir(), docs: memory.New(), now: time.UnixMilli(1_700_000_000_000)}
	x.opts = opts
	x.opts.Ephemeral = true
	x.opts.Now = func() time.Time { return x.now }
	x.open()
	x.newWriter()
	t.Cleanup(func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) })
	return x
}

func (x *world) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *world) open() {
	x.t.Helper()
	s, err := Open(x.t.Context(), x.dir, Options{Docs: x.docs, Now: x.opts.Now, Ephemeral: x.opts.Ephemeral, writer: x.opts})
	x.check(err)
	x.Store = s
}

func (x *world) reopen() {
	x.t.Helper()
	x.check(x.Store.Close())
	x.open()
}

func (x *world) newWriter() {
	x.t.Helper()
	if x.w != nil {
		x.check(x.w.Close())
	}
	w, err := logstore.OpenWriter(x.dir, "supervisor", x.opts)
	x.check(err)
	x.w = w
}

func (x *world) group(name string) {
	x.t.Helper()
	x.check(x.EnsureGroup(x.t.Context(), here.Account, here.Region, name))
}

// append appends to a stream as the supervisor does, with the clock's time.
func (x *world) append(group, stream string, messages ...string) {
	x.t.Helper()
	var events []logstore.Event
	for _, m := range messages {
		events = append(events, logstore.Event{Timestamp: x.now.UnixMilli(), Message: m})
	}
	x.check(x.w.Append(key(group, stream), events))
}

// all reads a stream from its beginning with pages of n events.
func (x *world) all(group, stream string, n int) []string {
	x.t.Helper()
	var messages []string
	for token := ""; ; {
		page, err := x.Events(x.t.Context(), key(group, stream), EventQuery{Head: true, Limit: n, Token: token})
		x.check(err)
		for _, e := range page.Events {
			messages = append(messages, e.Message)
		}
		if page.Forward == token {
			return messages
		}
		token = page.Forward
	}
}

// find searches a group to the end and returns "stream: message" lines.
func (x *world) find(group string, q SearchQuery) []string {
	x.t.Helper()
	var lines []string
	ids := map[string]bool{}
	for {
		page, err := x.Search(x.t.Context(), here, group, q)
		x.check(err)
		for _, e := range page.Events {
			lines = append(lines, e.Stream+": "+e.Message)
			if ids[e.ID] {
				x.t.Errorf("event id %s came twice", e.ID)
			}
			ids[e.ID] = true
		}
		if q.Token = page.Next; q.Token == "" {
			return lines
		}
	}
}

func (x *world) names(group string, q StreamQuery) []string {
	x.t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	streams, err := x.Streams(x.t.Context(), here, group, q)
	x.check(err)
	var names []string
	for _, s := range streams {
		names = append(names, s.Name)
	}
	return names
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestOutputAppearsAsItIsWritten(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	if err := x.StreamExists(t.Context(), key("g", "s")); !errors.Is(err, ErrNoStream) {
		t.Fatalf("StreamExists = %v", err)
	}
	x.check(x.w.OpenStream(key("g", "s")))
	equal(t, "streams after OpenStream", x.names("g", StreamQuery{}), []string{"s"})
	equal(t, "events", x.all("g", "s", 0), nil)
	x.append("g", "s", "one", "two")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
	x.append("g", "s", "three")
	equal(t, "events", x.all("g", "s", 1), []string{"one", "two", "three"})
	equal(t, "found", x.find("g", SearchQuery{}), []string{"s: one", "s: two", "s: three"})
}

func TestStreamDefinedAgainInTheSameBlock(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	var want, lines []string
	for i := range 4 {
		x.check(x.w.OpenStream(key("g", "s")))
		x.append("g", "s", fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
		lines = append(lines, "s: "+fmt.Sprint(i))
	}
	equal(t, "events", x.all("g", "s", 0), want)
	equal(t, "found", x.find("g", SearchQuery{}), lines)
}

func TestTwoWritersInOneStream(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.check(x.CreateStream(t.Context(), key("g", "s")))
	var want []string
	poller := newPoller(x, "g", "s")
	for i := range 30 {
		m := fmt.Sprint(i)
		if i%3 == 0 {
			x.check(x.Put(t.Context(), key("g", "s"), []logstore.Event{{Timestamp: x.now.UnixMilli(), Message: m}}))
		} else {
			x.append("g", "s", m)
		}
		want = append(want, m)
		if i%2 == 0 {
			poller.poll()
		}
	}
	poller.poll()
	equal(t, "polled", poller.seen, want)
	equal(t, "read at once", x.all("g", "s", 4), want)
}

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

func TestDamagedIndexIsMadeAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := map[string]func(x *world){
		"missing": func(x *world) { x.check(removeDatabase(x.dir)) },
		"no SQLite": func(x *world) {
			x.check(os.WriteFile(filepath.Join(x.dir, indexFile), []byte(strings.Repeat("no index", 1000)), 0o600))
		},
		"of another version": func(x *world) {
			c, err := connect(ctx, filepath.Join(x.dir, indexFile), durable)
			x.check(err)
			x.check(errors.Join(c.script(ctx, "DROP TABLE chunks; PRAGMA user_version=99"), c.close()))
		},
		"holes in the middle": func(x *world) {
			f, err := os.OpenFile(filepath.Join(x.dir, indexFile), os.O_RDWR, 0)
			x.check(err)
			fi, err := f.Stat()
			x.check(err)
			for off := int64(4096); off < fi.Size(); off += 4096 {
				_, err := f.WriteAt([]byte(strings.Repeat("\xff", 4096)), off)
				x.check(err)
			}
			x.check(f.Close())
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newWorld(t, logstore.WriterOptions{})
			x.group("g")
			var want []string
			for i := range 300 {
				x.append("g", fmt.Sprint("s", i%50), fmt.Sprint(i))
				want = append(want, fmt.Sprintf("s%d: %d", i%50, i))
			}
			x.check(x.CatchUp(ctx))
			x.check(x.Store.Close())
			damage(x)
			x.open()
			equal(t, "found", x.find("g", SearchQuery{}), want)
			equal(t, "a stream", x.all("g", "s7", 0), []string{"7", "57", "107", "157", "207", "257"})
		})
	}
}

func TestSegmentCutShortAfterItWasIndexed(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "one")
	path := filepath.Join(x.dir, logstore.SegmentName{Owner: "supervisor", N: 1}.String())
	fi, err := os.Stat(path)
	x.check(err)
	x.append("g", "s", "two")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
	x.check(os.Truncate(path, fi.Size()))
	equal(t, "events after a power cut took the second", x.all("g", "s", 0), []string{"one"})
	bytes, err := x.StoredBytes(t.Context(), here, "g")
	x.check(err)
	equal(t, "stored bytes", bytes, 3)
	x.newWriter()
	x.append("g", "s", "three")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "three"})
}

// TestSegmentMadeInTheSameTick has a segment appear without a change of the directory's time.
func TestSegmentMadeInTheSameTick(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "one")
	equal(t, "events", x.all("g", "s", 0), []string{"one"})
	fi, err := os.Stat(x.dir)
	x.check(err)
	x.newWriter()
	x.append("g", "s", "two")
	x.check(os.Chtimes(x.dir, fi.ModTime(), fi.ModTime()))
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
}

func TestPokeIndexesInTheBackground(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		x := &world{t: t, dir: dir, docs: memory.New()}
		x.opts.Now = time.Now
		x.open()
		x.newWriter()
		defer func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) }()
		x.now = time.Now()
		x.group("g")
		indexed := func() int64 {
			synctest.Wait()
			x.indexing.Lock()
			defer x.indexing.Unlock()
			return x.state.appended
		}
		x.append("g", "s", "m")
		x.Poke()
		equal(t, "records indexed after a poke", indexed(), 2)
		x.append("g", "s", "m")
		equal(t, "records indexed at once", indexed(), 2)
		time.Sleep(backgroundInterval)
		equal(t, "records indexed after a second", indexed(), 3)
		time.Sleep(2 * backgroundInterval) // it finds nothing and goes to sleep
		x.append("g", "s", "m")
		time.Sleep(time.Hour)
		equal(t, "records indexed without a poke", indexed(), 3)
		x.Poke()
		equal(t, "records indexed after another poke", indexed(), 4)
	})
}
