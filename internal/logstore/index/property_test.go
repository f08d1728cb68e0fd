package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store/memory"
)

// TestNothingIsLostOrDoubled runs random appends, rolls, crashes and restarts against a Store and a list of what each
// stream should hold. Streams a and b are the supervisor's, c is the engine's, both write m.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{T: rt, world: &world{t: t, dir: filepath.Join(root, fmt.Sprint(runs)), docs: memory.New(), now: time.UnixMilli(1_700_000_000_000)}}
		m.opts = logstore.WriterOptions{SegmentBytes: 200_000, Ephemeral: true, Now: func() time.Time { return m.now }}
		m.open()
		m.newWriter()
		defer func() {
			m.check(errors.Join(m.Store.Close(), m.w.Close(), os.RemoveAll(m.dir)))
		}()
		m.group("g")
		m.streams = map[string]*streamModel{}
		for _, name := range []string{"a", "b", "c", "m"} {
			m.check(m.CreateStream(t.Context(), key("g", name)))
			m.streams[name] = &streamModel{poller: newPoller(m.world, "g", name), lost: map[string]bool{}}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"supervisor appends": func(rt *rapid.T) {
				m.appends(rt, "supervisor", rapid.SampledFrom([]string{"a", "b", "m"}).Draw(rt, "stream"))
			},
			"engine puts":     func(rt *rapid.T) { m.appends(rt, "engine", rapid.SampledFrom([]string{"c", "m"}).Draw(rt, "stream")) },
			"sync":            func(*rapid.T) { m.sync() },
			"supervisor dies": m.supervisorDies,
			"power cut":       m.powerCut,
			"reopen":          func(*rapid.T) { m.reopen() },
			"reindex":         func(*rapid.T) { m.check(m.Reindex(t.Context())); m.mixed() },
			"index lost":      func(*rapid.T) { m.check(m.Store.Close()); m.check(removeDatabase(fsys.OS, m.dir)); m.open(); m.mixed() },
			"poll": func(rt *rapid.T) {
				m.streams[rapid.SampledFrom([]string{"a", "b", "c", "m"}).Draw(rt, "stream")].poller.poll()
			},
			"read":   m.read,
			"search": m.search,
			"": func(*rapid.T) {
				if t.Failed() {
					rt.FailNow()
				}
			},
		})
		for name, s := range m.streams {
			s.poller.poll()
			seen := slices.DeleteFunc(s.poller.seen, func(m string) bool { return s.lost[m] })
			if !s.mixed {
				equal(t, "polled of "+name, brief(seen), brief(s.messages()))
			}
		}
	})
}

type model struct {
	*rapid.T
	*world
	streams map[string]*streamModel
	n       int
	synced  int64 // size of the supervisor's newest segment that is safe from a power cut
}

type streamModel struct {
	events []modelEvent
	poller *poller
	lost   map[string]bool // seen perhaps, and then taken by a power cut
	mixed  bool            // the order of its two writers was decided anew
}

type modelEvent struct {
	ts      int64
	message string
	segment logstore.SegmentName // the supervisor's, with
	end     int64                // where the record ends
}

func (s *streamModel) messages() []string {
	var list []string
	for _, e := range s.events {
		list = append(list, e.message)
	}
	return list
}

func brief(messages []string) []string {
	var list []string
	for _, m := range messages {
		list = append(list, m[:min(len(m), 12)])
	}
	return list
}

func (m *model) mixed() { m.streams["m"].mixed = len(m.streams["m"].events) > 0 }

// newest is the supervisor's newest segment and its size.
func (m *model) newest() (name logstore.SegmentName, size int64) {
	names, err := logstore.ListSegments(m.dir)
	m.check(err)
	for _, n := range names {
		if n.Owner == "supervisor" {
			name = n
		}
	}
	if name.N == 0 {
		return name, 0
	}
	fi, err := os.Stat(filepath.Join(m.dir, name.String()))
	m.check(err)
	return name, fi.Size()
}

func (m *model) appends(rt *rapid.T, owner, stream string) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(-3, 10).Draw(rt, "ms")) * time.Millisecond)
	var events []logstore.Event
	for range rapid.IntRange(1, 5).Draw(rt, "events") {
		size := rapid.SampledFrom([]int{0, 10, 100, 30_000, 100_000}).Draw(rt, "size")
		m.n++
		events = append(events, logstore.Event{
			Timestamp: m.now.UnixMilli() + int64(rapid.IntRange(-5, 5).Draw(rt, "delta")),
			Message:   fmt.Sprintf("%d.", m.n) + strings.Repeat("x", size),
		})
	}
	if stream == "m" {
		m.check(m.CatchUp(m.t.Context())) // what the other wrote before comes before
	}
	if owner == "engine" {
		m.check(m.Put(m.t.Context(), key("g", stream), events))
	} else {
		before, _ := m.newest()
		m.check(m.w.Append(key("g", stream), events))
		if after, _ := m.newest(); after != before {
			m.synced = 0
		}
	}
	name, end := m.newest()
	if owner == "engine" {
		name = logstore.SegmentName{}
	}
	for _, e := range events {
		m.streams[stream].events = append(m.streams[stream].events, modelEvent{e.Timestamp, e.Message, name, end})
	}
}

func (m *model) sync() {
	m.check(m.w.Sync())
	_, m.synced = m.newest()
}

// supervisorDies in the middle of a write.
func (m *model) supervisorDies(rt *rapid.T) {
	m.check(m.w.Close())
	if name, size := m.newest(); size > 0 {
		f, err := os.OpenFile(filepath.Join(m.dir, name.String()), os.O_WRONLY, 0)
		m.check(err)
		_, err = f.WriteAt(rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "torn"), size)
		m.check(errors.Join(err, f.Close()))
	}
	m.newWriter()
	m.synced = 0
	if name, _ := m.newest(); name.N > 0 {
		m.synced = 1 << 40 // nothing of the old segment is at risk any more
	}
}

// powerCut takes the end of the supervisor's newest segment, as far back as the last sync.
func (m *model) powerCut(rt *rapid.T) {
	name, size := m.newest()
	if size == 0 || m.synced >= size {
		return
	}
	m.check(m.w.Close())
	at := rapid.Int64Range(max(m.synced, logstore.FirstRecord), size).Draw(rt, "cut")
	m.check(os.Truncate(filepath.Join(m.dir, name.String()), at))
	for _, s := range m.streams {
		s.events = slices.DeleteFunc(s.events, func(e modelEvent) bool {
			if e.segment == name && e.end > at {
				s.lost[e.message] = true
				return true
			}
			return false
		})
	}
	m.mixed() // what was indexed beyond the cut makes the Store start over
	m.newWriter()
	m.synced = 1 << 40
}

func (m *model) read(rt *rapid.T) {
	stream := rapid.SampledFrom([]string{"a", "b", "c", "m"}).Draw(rt, "stream")
	limit := rapid.IntRange(0, 7).Draw(rt, "limit")
	s := m.streams[stream]
	var back []string
	for token := ""; ; {
		page, err := m.Events(m.t.Context(), key("g", stream), EventQuery{Token: token, Limit: limit})
		m.check(err)
		for _, e := range slices.Backward(page.Events) {
			back = append(back, e.Message)
		}
		if page.Backward == token {
			break
		}
		token = page.Backward
	}
	slices.Reverse(back)
	ahead, want := m.all("g", stream, limit), s.messages()
	equal(m.t, stream+" forwards and backwards", brief(ahead), brief(back))
	if s.mixed {
		slices.Sort(ahead)
		slices.Sort(want)
	}
	equal(m.t, stream, brief(ahead), brief(want))
}

func (m *model) search(rt *rapid.T) {
	q := SearchQuery{Descending: rapid.Bool().Draw(rt, "descending"), Limit: rapid.IntRange(0, 9).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "streams") {
		q.Streams = []string{"a", "c"}
	}
	from := m.now.UnixMilli() - int64(rapid.IntRange(-3, 100).Draw(rt, "from"))
	to := from + int64(rapid.IntRange(0, 200).Draw(rt, "to"))
	q.From, q.To = &from, &to
	var want []string
	for name, s := range m.streams {
		for _, e := range s.events {
			if e.ts >= from && e.ts <= to && (q.Streams == nil || slices.Contains(q.Streams, name)) {
				want = append(want, e.message)
			}
		}
	}
	var got []string
	lastTS, seen := int64(-1), map[string]bool{}
	for {
		page, err := m.Search(m.t.Context(), here, "g", q)
		m.check(err)
		for _, e := range page.Events {
			if lastTS >= 0 && e.Timestamp != lastTS && (e.Timestamp < lastTS) != q.Descending {
				m.t.Errorf("timestamp %d after %d, descending %v", e.Timestamp, lastTS, q.Descending)
			}
			lastTS = e.Timestamp
			if seen[e.ID] {
				m.t.Errorf("id %s came twice", e.ID)
			}
			seen[e.ID] = true
			got = append(got, e.Message)
		}
		if q.Token = page.Next; q.Token == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	equal(m.t, fmt.Sprintf("search %+v", q), brief(got), brief(want))
}
