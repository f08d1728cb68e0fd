package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/batchbox/batchbox/internal/logstore"
)

// MaxPageEvents and MaxPageBytes bound a page of events; an event counts as its message and eventOverhead. (API
// reference, GetLogEvents and FilterLogEvents: 1 MB or 10,000 events. That the 26 bytes that PutLogEvents adds to an
// event are counted here too is a guess.)
const (
	MaxPageEvents = 10_000
	MaxPageBytes  = 1 << 20
	eventOverhead = 26
)

// ErrBadToken is wrapped when a token is none that was given out.
var ErrBadToken = errors.New("not a token")

// Event is an event as it was stored.
type Event struct {
	Timestamp  int64 // ms
	IngestedMS int64
	Message    string
}

// EventQuery selects a page of a stream's events.
type EventQuery struct {
	// From is the first timestamp wanted, Until the first not wanted any more; nil does not restrict.
	From, Until *int64
	Limit       int // MaxPageEvents if zero
	// Token continues in its direction. Without one, the page begins at the stream's first event if Head is set, and else
	// ends at its last.
	Token string
	Head  bool
}

// Page is some of a stream's events in the order they were appended. Forward and Backward continue behind and before
// it. At the end of a direction the token that led there comes back; it stays valid, and finds what is appended later.
type Page struct {
	Events            []Event
	Forward, Backward string
}

// Events reads a page of a stream.
func (s *Store) Events(ctx context.Context, key logstore.StreamKey, q EventQuery) (page Page, err error) {
	forward, gap := q.Head, position{}
	if q.Token != "" {
		var ok bool
		if forward, gap, ok = parseGapToken(q.Token); !ok {
			return Page{}, fmt.Errorf("%q: %w", q.Token, ErrBadToken)
		}
	}
	err = s.read(ctx, func(c *conn) error {
		g, err := s.lookup(partitionOf(key), key.Group)
		if err != nil {
			return err
		}
		id, err := findStream(c, g, key.Stream)
		if err != nil {
			return err
		}
		r := &streamReader{c: c, files: files{dir: s.dir}, stream: id, from: s.expiry(g), until: 1 << 62}
		defer r.files.close()
		if q.From != nil {
			r.from = max(r.from, *q.From)
		}
		if q.Until != nil {
			r.until = *q.Until
		}
		r.room(q.Limit)
		if q.Token != "" {
			if err := r.place(gap); err != nil {
				return err
			}
		}
		if forward {
			err = r.forward()
		} else {
			err = r.backward()
		}
		if err != nil {
			return err
		}
		page, err = r.page(q.Token, forward, gap)
		return err
	})
	return page, err
}

// expiry is the oldest timestamp a group's retention still shows.
func (s *Store) expiry(g *group) int64 {
	if g.RetentionDays == 0 {
		return 0
	}
	return s.now().UnixMilli() - int64(g.RetentionDays)*24*60*60*1000
}

// files are the segments a read has opened.
type files struct {
	dir  string
	open map[int64]*logstore.Segment
	scan logstore.ScanBuffer
}

func (f *files) close() {
	for _, s := range f.open {
		if s != nil {
			s.Close()
		}
	}
}

// segment opens a segment; nil if it has been pruned meanwhile.
func (f *files) segment(c *conn, id int64) (*logstore.Segment, error) {
	if s, ok := f.open[id]; ok {
		return s, nil
	}
	var name logstore.SegmentName
	found, err := c.one(func(r row) { name = logstore.SegmentName{Owner: r.text(0), N: uint32(r.int(1))} },
		"SELECT owner, n FROM segments WHERE id = ? AND dropped = 0", id)
	if err != nil {
		return nil, err
	}
	var s *logstore.Segment
	if found {
		if s, err = logstore.OpenSegment(f.dir, name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if f.open == nil {
		f.open = map[int64]*logstore.Segment{}
	}
	f.open[id] = s
	return s, nil
}

// each calls fn for every record of a part of a segment. What can't be read is left out: a power cut can take what was
// indexed but never synced, and a record can be damaged.
func (f *files) each(seg *logstore.Segment, from, to int64, fn func(*logstore.Record)) error {
	for from < to {
		next, err := seg.Scan(from, to, &f.scan, func(r *logstore.Record) error {
			fn(r)
			return nil
		})
		if !errors.Is(err, logstore.ErrDamaged) {
			return err
		}
		var ok bool
		if from, ok = seg.SkipDamaged(next, &f.scan); !ok {
			return nil
		}
	}
	return nil
}

// located is an event with its position.
type located struct {
	Event
	at position
}

// streamReader collects a page of one stream.
type streamReader struct {
	c           *conn
	files       files
	stream      int64
	from, until int64

	// gap is where to begin: at gapBlock, in the order of blocks, and there at the place in the segment.
	hasGap   bool
	gapBlock int64
	gapAt    position

	limit, bytes int
	events       []located // in the order they were found
}

func (r *streamReader) room(limit int) {
	r.limit, r.bytes = MaxPageEvents, MaxPageBytes
	if limit > 0 && limit < r.limit {
		r.limit = limit
	}
}

// take adds an event, or says that there is no room for it.
func (r *streamReader) take(e located) bool {
	size := len(e.Message) + eventOverhead
	if len(r.events) == r.limit || size > r.bytes && len(r.events) > 0 {
		return false
	}
	r.bytes -= size
	r.events = append(r.events, e)
	return true
}

// place finds the block a gap is in, or else the last block of the same owner before it: segments can be pruned, and the
// end of one taken by a power cut. If there is none, the gap is before everything that is left.
func (r *streamReader) place(gap position) error {
	r.hasGap, r.gapAt = true, gap
	n, owner := gap.segment()
	type candidate struct{ id, n int64 }
	var segments []candidate
	err := r.c.each(func(row row) (bool, error) {
		if ownerHash(row.text(2)) == owner {
			segments = append(segments, candidate{row.int(0), row.int(1)})
		}
		return true, nil
	}, "SELECT id, n, owner FROM segments WHERE n <= ? AND dropped = 0 ORDER BY n DESC", int64(n))
	if err != nil {
		return err
	}
	for _, s := range segments {
		offset := int64(1) << 62
		if s.n == int64(n) {
			offset = gap.offset()
		}
		r.gapBlock, err = r.c.number("SELECT id FROM blocks WHERE segment = ? AND start <= ? ORDER BY start DESC LIMIT 1", s.id, offset)
		if err != nil || r.gapBlock != 0 {
			return err
		}
	}
	return nil
}

// before says whether a gap stands before an event of the block it was placed in.
func before(gap, event position) bool {
	gapN, _ := gap.segment()
	eventN, _ := event.segment()
	return cmp.Or(cmp.Compare(gapN, eventN), cmp.Compare(gap.offset(), event.offset()), cmp.Compare(gap.event(), event.event())) <= 0
}

const chunkColumns = `SELECT c.block, b.segment, c.definition, c.start, c.end FROM chunks c JOIN blocks b ON b.id = c.block
	WHERE c.stream = ? AND c.newest >= ? AND c.oldest < ? AND c.block `

// chunkRow is a row of chunkColumns.
type chunkRow struct{ block, segment, definition, start, end int64 }

func readChunkRow(r row) chunkRow {
	return chunkRow{r.int(0), r.int(1), r.int(2), r.int(3), r.int(4)}
}

// forward collects what follows the gap.
func (r *streamReader) forward() error {
	return r.c.each(func(row row) (bool, error) {
		events, err := r.chunk(readChunkRow(row), true)
		for _, e := range events {
			if !r.take(e) {
				return false, err
			}
		}
		return true, err
	}, chunkColumns+">= ? ORDER BY c.block", r.stream, r.from, r.until, r.gapBlock)
}

// backward collects what precedes the gap, or all there is, the last event first, and then puts it in order.
func (r *streamReader) backward() error {
	end := r.gapBlock
	if !r.hasGap {
		end = 1 << 62
	}
	err := r.c.each(func(row row) (bool, error) {
		events, err := r.chunk(readChunkRow(row), false)
		for _, e := range slices.Backward(events) {
			if !r.take(e) {
				return false, err
			}
		}
		return true, err
	}, chunkColumns+"<= ? ORDER BY c.block DESC", r.stream, r.from, r.until, end)
	slices.Reverse(r.events)
	return err
}

// chunk reads the wanted events of a chunk; of the gap's own block, those behind or before it.
func (r *streamReader) chunk(k chunkRow, forward bool) ([]located, error) {
	seg, err := r.files.segment(r.c, k.segment)
	if seg == nil || err != nil {
		return nil, err
	}
	hash := ownerHash(seg.Name.Owner)
	var events []located
	err = r.files.each(seg, k.start, k.end, func(rec *logstore.Record) {
		if rec.Events == nil || rec.Events.Definition != k.definition {
			return
		}
		rec.Events.All(func(i int, ts int64, message []byte) bool {
			p := at(ts, seg.Name.N, hash, rec.Offset, i)
			if ts < r.from || ts >= r.until || k.block == r.gapBlock && before(r.gapAt, p) != forward {
				return true
			}
			events = append(events, located{Event{ts, rec.Events.IngestedMS, string(message)}, p})
			return true
		})
	})
	return events, err
}

// page makes the answer of what was collected.
func (r *streamReader) page(token string, forward bool, gap position) (Page, error) {
	var p Page
	if n := len(r.events); n > 0 {
		p.Events = make([]Event, n)
		for i, e := range r.events {
			p.Events[i] = e.Event
		}
		p.Forward, p.Backward = gapToken(true, r.events[n-1].behind()), gapToken(false, r.events[0].at)
		return p, nil
	}
	if token == "" && !forward {
		// Nothing to show yet: what comes later follows the stream's present end.
		var err error
		if gap, err = r.end(); err != nil {
			return p, err
		}
	}
	p.Forward, p.Backward = gapToken(true, gap), gapToken(false, gap)
	switch {
	case token != "" && forward:
		p.Forward = token
	case token != "":
		p.Backward = token
	}
	return p, nil
}

// behind is the gap behind an event.
func (e *located) behind() position {
	n, owner := e.at.segment()
	return at(e.at.timestamp(), n, owner, e.at.offset(), e.at.event()+1)
}

// end is the gap behind the stream's last event.
func (r *streamReader) end() (position, error) {
	tail := &streamReader{c: r.c, files: files{dir: r.files.dir}, stream: r.stream, until: 1 << 62}
	defer tail.files.close()
	tail.room(1)
	if err := tail.backward(); err != nil || len(tail.events) == 0 {
		return position{}, err
	}
	return tail.events[0].behind(), nil
}
