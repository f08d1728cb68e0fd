package index

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
)

func TestPagesOfAStream(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	for i := range 10 {
		x.append("g", "s", fmt.Sprint(i))
		x.now = x.now.Add(time.Millisecond)
	}
	get := func(q EventQuery) (page Page, messages string) {
		t.Helper()
		page, err := x.Events(t.Context(), key("g", "s"), q)
		x.check(err)
		for _, e := range page.Events {
			messages += e.Message
		}
		return page, messages
	}
	start := int64(1_700_000_000_000)
	ms := func(n int64) *int64 { n += start; return &n }

	page, got := get(EventQuery{})
	equal(t, "everything", got, "0123456789")
	equal(t, "timestamps", page.Events[3], Event{start + 3, start + 3, "3"})
	_, got = get(EventQuery{Limit: 3})
	equal(t, "the latest", got, "789")
	_, got = get(EventQuery{From: ms(2), Until: ms(5)})
	equal(t, "a time range", got, "234")
	_, got = get(EventQuery{From: ms(2), Until: ms(5), Limit: 2})
	equal(t, "the latest of a time range", got, "34")

	page, got = get(EventQuery{Head: true, Limit: 4})
	equal(t, "the first", got, "0123")
	second, got := get(EventQuery{Token: page.Forward, Limit: 4})
	equal(t, "the next", got, "4567")
	third, got := get(EventQuery{Token: second.Forward, Limit: 4})
	equal(t, "the rest", got, "89")
	end, got := get(EventQuery{Token: third.Forward, Limit: 4})
	equal(t, "the end", got, "")
	equal(t, "the token at the end", end.Forward, third.Forward)
	_, got = get(EventQuery{Token: end.Backward, Limit: 4})
	equal(t, "backwards from the end", got, "6789")
	back, got := get(EventQuery{Token: second.Backward, Limit: 3})
	equal(t, "before the second page", got, "123")
	_, got = get(EventQuery{Token: back.Forward, Limit: 2})
	equal(t, "forwards again", got, "45")
	back, got = get(EventQuery{Token: back.Backward, Limit: 3})
	equal(t, "before that", got, "0")
	head, got := get(EventQuery{Token: back.Backward})
	equal(t, "before the first", got, "")
	equal(t, "the token at the head", head.Backward, back.Backward)
	_, got = get(EventQuery{Token: head.Forward, Limit: 2})
	equal(t, "forwards from the head", got, "01")
	_, got = get(EventQuery{Token: page.Forward, From: ms(7)})
	equal(t, "a token with a time", got, "789")

	x.append("g", "s", "a")
	_, got = get(EventQuery{Token: end.Forward})
	equal(t, "what came after the end", got, "a")
	none, got := get(EventQuery{From: ms(100)})
	equal(t, "nothing in the time range", got, "")
	x.append("g", "s", "b")
	_, got = get(EventQuery{Token: none.Forward})
	equal(t, "what came after nothing was found", got, "b")

	for _, token := range []string{"x", "f/1/s", "n" + page.Forward[1:], page.Forward + "x", page.Forward[:len(page.Forward)-2]} {
		if _, err := x.Events(t.Context(), key("g", "s"), EventQuery{Token: token}); !errors.Is(err, ErrBadToken) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	if _, err := x.Events(t.Context(), key("g", "t"), EventQuery{}); !errors.Is(err, ErrNoStream) {
		t.Errorf("no stream: %v", err)
	}
}

func TestEmptyStreamIsFollowedFromItsFirstEvent(t *testing.T) {
	t.Parallel()
	for _, head := range []bool{true, false} {
		x := newWorld(t, logstore.WriterOptions{})
		x.group("g")
		x.check(x.w.OpenStream(key("g", "s")))
		page, err := x.Events(t.Context(), key("g", "s"), EventQuery{Head: head})
		x.check(err)
		again, err := x.Events(t.Context(), key("g", "s"), EventQuery{Head: true, Token: page.Forward})
		x.check(err)
		equal(t, "token", again.Forward, page.Forward)
		x.append("g", "s", "first")
		again, err = x.Events(t.Context(), key("g", "s"), EventQuery{Head: true, Token: page.Forward})
		x.check(err)
		equal(t, "events", len(again.Events), 1)
	}
}

// TestDamagedRecordHidesOnlyItself flips a bit in a record that is indexed, and in one that is indexed again.
func TestDamagedRecordHidesOnlyItself(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	for _, m := range []string{"one", "two", "three"} {
		x.append("g", "s", m)
	}
	path := filepath.Join(x.dir, logstore.SegmentName{Owner: "supervisor", N: 1}.String())
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two", "three"})
	x.newWriter() // lets go of the segment
	x.append("g", "s", "four")
	b, err := os.ReadFile(path)
	x.check(err)
	b[bytes.Index(b, []byte("two"))] ^= 1
	x.check(os.WriteFile(path, b, 0o600))
	for range 2 {
		equal(t, "events", x.all("g", "s", 0), []string{"one", "three", "four"})
		equal(t, "found", x.find("g", SearchQuery{}), []string{"s: one", "s: three", "s: four"})
		x.check(x.Reindex(t.Context()))
	}
}

func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	large := strings.Repeat("x", 300_000)
	for range 8 {
		x.append("g", "s", large)
	}
	page, err := x.Events(t.Context(), key("g", "s"), EventQuery{})
	x.check(err)
	equal(t, "large events in a page", len(page.Events), 3)
	found, err := x.Search(t.Context(), here, "g", SearchQuery{})
	x.check(err)
	equal(t, "large events found at once", len(found.Events), 3)
	equal(t, "large events in all", len(x.find("g", SearchQuery{})), 8)
	x.append("g", "big", strings.Repeat("x", logstore.MaxMessageBytes))
	equal(t, "an event larger than a page", len(x.all("g", "big", 0)), 1)
	equal(t, "found", len(x.find("g", SearchQuery{Streams: []string{"big"}})), 1)
	small := make([]string, 15_000)
	for i := range small {
		small[i] = fmt.Sprint(i)
	}
	x.append("g", "many", small...)
	page, err = x.Events(t.Context(), key("g", "many"), EventQuery{Head: true})
	x.check(err)
	equal(t, "small events in a page", len(page.Events), MaxPageEvents)
	equal(t, "small events in all", x.all("g", "many", 0), small)
}

// TestPollersSeeEverythingOnce follows streams by their tokens, and the group by searches as aws logs tail does, while
// two processes write.
func TestPollersSeeEverythingOnce(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{SegmentBytes: 20_000})
	x.group("g")
	x.check(x.CreateStream(t.Context(), key("g", "put")))
	x.check(x.w.OpenStream(key("g", "out")))
	const n = 300
	var writers, readers sync.WaitGroup
	written := make(chan struct{})
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	start := x.now.UnixMilli()
	writers.Go(func() {
		for i, m := range want {
			x.check(x.Put(t.Context(), key("g", "put"), []logstore.Event{{Timestamp: start + int64(i/10), Message: m}}))
		}
	})
	writers.Go(func() {
		for i, m := range want {
			x.check(x.w.Append(key("g", "out"), []logstore.Event{{Timestamp: start + int64(i/10), Message: m}}))
			if i == n/2 {
				x.check(x.w.Sync())
			}
		}
	})
	for _, stream := range []string{"put", "out"} {
		p := newPoller(x, "g", stream)
		readers.Go(func() {
			for {
				p.poll()
				select {
				case <-written:
					p.poll()
					equal(t, "polled of "+stream, p.seen, want)
					return
				default:
				}
			}
		})
	}
	readers.Go(func() {
		// The loop of aws logs tail --follow (aws-cli, awscli/customizations/logs/tail.py) for one stream: events of two
		// that are written at the same time can come with timestamps it has passed.
		var seen []string
		ids := map[string]bool{}
		q := SearchQuery{Streams: []string{"out"}, From: &start, Limit: 7}
		last := false
		for {
			page, err := x.Search(t.Context(), here, "g", q)
			x.check(err)
			for _, e := range page.Events {
				if !ids[e.ID] {
					ids[e.ID] = true
					seen = append(seen, e.Message)
					from := e.Timestamp
					q.From = &from
				}
			}
			if q.Token = page.Next; q.Token != "" {
				continue
			}
			if last {
				equal(t, "tailed", seen, want)
				return
			}
			select {
			case <-written:
				last = true
			default:
			}
		}
	})
	writers.Wait()
	close(written)
	readers.Wait()
}

func TestSearchOrdersByTimeOverStreams(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{SegmentBytes: 100_000})
	x.group("g")
	x.group("other")
	type ev struct {
		ts   int64
		line string
	}
	var events []ev
	pad := strings.Repeat("x", 2000)
	for i := range 90 {
		ts := int64(1000 + i*7919%1000)
		stream := fmt.Sprintf("app/%d", i%9)
		x.check(x.w.Append(key("g", stream), []logstore.Event{{Timestamp: ts, Message: fmt.Sprintf("%d %s", i, pad)}}))
		x.check(x.w.Append(key("other", stream), []logstore.Event{{Timestamp: ts, Message: "not this"}}))
		events = append(events, ev{ts, fmt.Sprintf("%s: %d %s", stream, i, pad)})
	}
	slices.SortStableFunc(events, func(a, b ev) int { return int(a.ts - b.ts) })
	lines := func(keep func(ev) bool) (l []string) {
		for _, e := range events {
			if keep(e) {
				l = append(l, strings.TrimSuffix(e.line, pad))
			}
		}
		return l
	}
	trimmed := func(l []string) []string {
		for i := range l {
			l[i] = strings.TrimSuffix(l[i], pad)
		}
		return l
	}
	everything := lines(func(ev) bool { return true })
	reversed := slices.Clone(everything)
	slices.Reverse(reversed)
	ms := func(n int64) *int64 { return &n }
	for _, budget := range []int64{1, 100_000, defaultSearchBytes} {
		x.searchBytes = budget
		for _, limit := range []int{0, 4, 33} {
			equal(t, "all", trimmed(x.find("g", SearchQuery{Limit: limit})), everything)
			equal(t, "all, descending", trimmed(x.find("g", SearchQuery{Limit: limit, Descending: true})), reversed)
		}
		equal(t, "from", trimmed(x.find("g", SearchQuery{From: ms(1500)})), lines(func(e ev) bool { return e.ts >= 1500 }))
		equal(t, "to", trimmed(x.find("g", SearchQuery{To: ms(1500)})), lines(func(e ev) bool { return e.ts <= 1500 }))
		equal(t, "an instant", trimmed(x.find("g", SearchQuery{From: ms(events[7].ts), To: ms(events[7].ts)})), lines(func(e ev) bool { return e.ts == events[7].ts }))
		equal(t, "nothing", x.find("g", SearchQuery{From: ms(5000)}), nil)
		equal(t, "streams", trimmed(x.find("g", SearchQuery{Streams: []string{"app/3", "app/7"}, Limit: 5})),
			lines(func(e ev) bool { return strings.HasPrefix(e.line, "app/3") || strings.HasPrefix(e.line, "app/7") }))
		equal(t, "a prefix", trimmed(x.find("g", SearchQuery{Prefix: "app/4"})), lines(func(e ev) bool { return strings.HasPrefix(e.line, "app/4") }))
		equal(t, "a prefix of all", trimmed(x.find("g", SearchQuery{Prefix: "app/"})), everything)
		equal(t, "a prefix of none", x.find("g", SearchQuery{Prefix: "apq"}), nil)
		match := func(m []byte) bool { return bytes.HasPrefix(m, []byte("9")) }
		equal(t, "matches", trimmed(x.find("g", SearchQuery{Match: match})), lines(func(e ev) bool { return strings.Contains(e.line, ": 9") }))
	}
	if _, err := x.Search(t.Context(), here, "g", SearchQuery{Streams: []string{"app/3", "none"}}); !errors.Is(err, ErrNoStream) {
		t.Errorf("a stream that does not exist: %v", err)
	}
	if _, err := x.Search(t.Context(), here, "g", SearchQuery{Token: "x"}); !errors.Is(err, ErrBadToken) {
		t.Errorf("a bad token: %v", err)
	}
}

// TestManyStreamsWithAPrefix has more streams with a prefix than are looked up one by one.
func TestManyStreamsWithAPrefix(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	var want []string
	for i := range 3 * fewStreams {
		x.append("g", fmt.Sprintf("job/%03d", i), "m")
		want = append(want, fmt.Sprintf("job/%03d: m", i))
		x.append("g", fmt.Sprintf("other/%03d", i), "m")
		x.now = x.now.Add(time.Millisecond)
	}
	equal(t, "found", x.find("g", SearchQuery{Prefix: "job/"}), want)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x := newWorld(t, logstore.WriterOptions{SegmentBytes: 1000})
	x.group("g")
	x.group("gone")
	x.check(x.CreateStream(ctx, key("g", "kept")))
	pad := strings.Repeat("x", 100)
	segments := func() (n int) {
		names, err := logstore.ListSegments(x.dir)
		x.check(err)
		for _, name := range names {
			if name.Owner == "supervisor" {
				n++
			}
		}
		return n
	}
	day := func(n int) {
		for i := range 20 {
			x.append("g", fmt.Sprintf("day%d", n), fmt.Sprintf("%d.%d %s", n, i, pad))
		}
		x.check(x.w.Sync()) // lets go of the segments it has finished
		x.now = x.now.Add(24 * time.Hour)
	}
	x.append("g", "silent", "at first")
	for n := range 5 {
		day(n)
	}
	poller := newPoller(x, "g", "day4")
	poller.poll()
	before := segments()

	none, err := x.Prune(ctx, PruneOptions{OlderThan: x.now.Add(-100 * 24 * time.Hour), MaxBytes: 1 << 30})
	x.check(err)
	equal(t, "pruned though nothing is old", none, Pruned{})
	equal(t, "segments", segments(), before)

	aged, err := x.Prune(ctx, PruneOptions{OlderThan: x.now.Add(-73 * time.Hour), Running: []logstore.StreamKey{key("g", "silent"), key("none", "s")}})
	x.check(err)
	if aged.Segments < 3 || aged.Bytes < 3000 {
		t.Errorf("pruned by age: %+v", aged)
	}
	equal(t, "streams after pruning two days", x.names("g", StreamQuery{}), []string{"day0", "day2", "day3", "day4", "kept", "silent"})
	equal(t, "the running stream", x.all("g", "silent", 0), []string{"at first"})

	sized, err := x.Prune(ctx, PruneOptions{MaxBytes: 6000})
	x.check(err)
	if sized.Segments == 0 {
		t.Error("nothing was pruned by size")
	}
	names := x.names("g", StreamQuery{})
	if slices.Contains(names, "day2") || slices.Contains(names, "silent") || !slices.Contains(names, "day4") || !slices.Contains(names, "kept") {
		t.Errorf("streams after pruning to 6000 bytes: %v", names)
	}

	// The engine's own segments go too, and what is to be kept is written anew.
	for range 50 {
		x.check(x.CreateStream(ctx, key("gone", fmt.Sprint(x.now.UnixNano()))))
		x.now = x.now.Add(time.Millisecond)
	}
	x.check(x.DeleteGroup(ctx, here, "gone"))
	first := logstore.SegmentName{Owner: "engine", N: 1}
	x.check(x.CreateGroup(ctx, here, Group{Name: "later"}))
	x.check(x.DeleteStream(ctx, key("g", names[0])))
	for {
		more, err := x.exhume(ctx)
		x.check(err)
		if !more {
			break
		}
	}
	_, err = x.Prune(ctx, PruneOptions{MaxBytes: 1})
	x.check(err)
	if _, err := os.Stat(x.dir + "/" + first.String()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the engine's first segment: %v", err)
	}
	created := func() int64 {
		streams, err := x.Streams(ctx, here, "g", StreamQuery{Prefix: "kept", Limit: 1})
		x.check(err)
		return streams[0].CreatedMS
	}
	equal(t, "creation of the kept stream", created(), 1_700_000_000_000)
	x.check(x.Reindex(ctx))
	equal(t, "creation of the kept stream, indexed again", created(), 1_700_000_000_000)
	equal(t, "notes of deleted streams", len(x.groups[groupKey{here, "g"}].deleted), 1)
	equal(t, "blocks without a segment", x.count("SELECT count(*) FROM blocks WHERE segment NOT IN (SELECT id FROM segments)"), 0)
	equal(t, "chunks without a block", x.count("SELECT count(*) FROM chunks WHERE block NOT IN (SELECT id FROM blocks)"), 0)
	equal(t, "shares without a block", x.count("SELECT count(*) FROM group_blocks WHERE block NOT IN (SELECT id FROM blocks)"), 0)

	// Numbers are not used again, and a poller goes on.
	day(5)
	x.append("g", "day4", "after")
	poller.poll()
	equal(t, "the poller's last event", poller.seen[len(poller.seen)-1], "after")
	equal(t, "what the poller saw", len(poller.seen), 21)

	// A note of a deleted stream goes with the last segment that may hold something of it.
	for i := range 20 {
		x.check(x.CreateStream(ctx, key("g", fmt.Sprint("more", i))))
	}
	_, err = x.Prune(ctx, PruneOptions{MaxBytes: 1})
	x.check(err)
	equal(t, "notes of deleted streams", len(x.groups[groupKey{here, "g"}].deleted), 0)
	x.reopen()
	equal(t, "notes of deleted streams after a restart", len(x.groups[groupKey{here, "g"}].deleted), 0)
}

func (x *world) count(query string) int64 {
	x.t.Helper()
	n, err := x.db.writer.number(query)
	x.check(err)
	return n
}

func TestPruneRemovesWhatNobodyCanSee(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x := newWorld(t, logstore.WriterOptions{SegmentBytes: 1000})
	x.group("deleted")
	x.group("expired")
	for i := range 30 {
		x.append([]string{"deleted", "expired"}[i%2], "s", strings.Repeat("x", 100))
	}
	x.check(x.w.Sync())
	x.check(x.DeleteGroup(ctx, here, "deleted"))
	x.now = x.now.Add(50 * time.Hour)
	x.check(x.CatchUp(ctx))
	for more := true; more; {
		var err error
		more, err = x.exhume(ctx)
		x.check(err)
	}
	pruned, err := x.Prune(ctx, PruneOptions{})
	x.check(err)
	equal(t, "pruned while one group is there", pruned, Pruned{})
	x.check(x.UpdateGroup(ctx, here, "expired", func(g *Group) error { g.RetentionDays = 1; return nil }))
	pruned, err = x.Prune(ctx, PruneOptions{})
	x.check(err)
	if pruned.Segments < 3 {
		t.Errorf("pruned after its events expired: %+v", pruned)
	}
}

func TestPruneLeavesOpenSegments(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{SegmentBytes: 500})
	x.group("g")
	other, err := logstore.OpenWriter(x.dir, "supervisor", x.opts) // a second supervisor, with the first segment
	x.check(err)
	defer func() { x.check(other.Close()) }()
	x.check(other.Append(key("g", "slow"), []logstore.Event{{Timestamp: 1, Message: "one"}}))
	for range 30 {
		x.append("g", "s", strings.Repeat("x", 100))
	}
	x.check(x.w.Sync())
	pruned, err := x.Prune(t.Context(), PruneOptions{MaxBytes: 1})
	x.check(err)
	if pruned.Segments == 0 {
		t.Error("nothing was pruned")
	}
	x.check(other.Append(key("g", "slow"), []logstore.Event{{Timestamp: 2, Message: "two"}}))
	equal(t, "the slow writer's stream", x.all("g", "slow", 0), []string{"one", "two"})
}
