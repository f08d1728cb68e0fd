package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
)

const (
	// defaultSearchBytes is how much of the segments one call of Search looks at before it answers with what it has found.
	defaultSearchBytes = 32 << 20
	// fewStreams is up to how many streams a search goes by their own chunks, not by their group's blocks.
	fewStreams = 64
)

// SearchQuery selects a page of events of a group.
type SearchQuery struct {
	// Streams restricts the search to these, all of which must exist, Prefix to those whose names begin with it.
	Streams []string
	Prefix  string
	// From is the first timestamp wanted, To the last; nil does not restrict.
	From, To *int64
	// Match says whether a message is wanted; nil takes all. The bytes are valid only during the call.
	Match func(message []byte) bool
	Limit int // MaxPageEvents if zero
	// Descending begins with the newest event. A Token continues in its own direction.
	Descending bool
	Token      string
}

// Found is an event a search found. ID is unique among all events and stays the same.
type Found struct {
	Event
	Stream string
	ID     string
}

// SearchPage is what a call of Search found, by timestamp and then by ID. Next continues; it is empty when there is
// nothing more. A page can be empty and have a Next.
type SearchPage struct {
	Events []Found
	Next   string
}

// Search looks through the events of a group's streams in the order of their timestamps. An event appended with a
// timestamp that the search has passed already is not found by it.
//
// It holds one block and one page in memory: blocks are looked at in the order of their oldest events, the events found
// are cut back to a page, and no block is opened that only has events behind the page's end.
func (s *Store) Search(ctx context.Context, p batch.Partition, groupName string, q SearchQuery) (page SearchPage, err error) {
	r := &search{query: q, descending: q.Descending, limit: MaxPageEvents, budget: s.searchBytes}
	if q.Limit > 0 && q.Limit < r.limit {
		r.limit = q.Limit
	}
	if q.Token != "" {
		var ok bool
		if r.descending, r.bound, ok = parseSearchToken(q.Token); !ok {
			return page, fmt.Errorf("%q: %w", q.Token, ErrBadToken)
		}
	}
	err = s.read(ctx, func(c *conn) error {
		g, err := s.lookup(p, groupName)
		if err != nil {
			return err
		}
		r.reset(c, files{dir: s.dir}, g)
		defer r.files.close()
		r.from, r.to = max(0, s.expiry(g)), maxTimestamp
		if q.From != nil {
			r.from = min(max(r.from, *q.From), maxTimestamp)
		}
		if q.To != nil {
			r.to = max(min(r.to, *q.To), 0)
		}
		if q.Token == "" {
			if r.bound = first(r.from); r.descending {
				r.bound = last(r.to)
			}
		} else if r.descending {
			r.to = min(r.to, r.bound.timestamp())
		} else {
			r.from = max(r.from, r.bound.timestamp())
		}
		if err := r.selectStreams(); err != nil {
			return err
		}
		if err := r.run(ctx); err != nil {
			return err
		}
		page = r.page()
		return nil
	})
	return page, err
}

// search is one call of Search. All comparisons are made as if ascending; order turns them round.
type search struct {
	query      SearchQuery
	descending bool
	from, to   int64    // timestamps wanted
	bound      position // where to begin, inclusive

	c     *conn
	files files
	group *group
	few   []fewStream // the streams, if they are few

	limit  int
	budget int64 // bytes to look at
	found  []candidate
	bytes  int // of found
	// cut is the place of the first event that did not fit the page; nothing from there on is wanted.
	hasCut bool
	cut    position
	// stopped is set when the search ended for having looked at enough; everything before frontier has been found.
	stopped  bool
	frontier int64
}

type fewStream struct {
	id   int64
	name string
}

type candidate struct {
	located
	stream string
}

func (r *search) reset(c *conn, f files, g *group) {
	r.c, r.files, r.group, r.few = c, f, g, nil
	r.found, r.bytes, r.hasCut, r.stopped = nil, 0, false, false
}

func (r *search) order(c int) int {
	if r.descending {
		return -c
	}
	return c
}

// selectStreams finds the streams to search, if they are few.
func (r *search) selectStreams() error {
	if r.query.Prefix == "" && len(r.query.Streams) == 0 {
		return nil
	}
	if len(r.query.Streams) > 0 {
		r.few = []fewStream{}
		for _, name := range r.query.Streams {
			id, err := findStream(r.c, r.group, name)
			if err != nil {
				return err
			}
			r.few = append(r.few, fewStream{id, name})
		}
	} else {
		err := r.c.each(func(row row) (bool, error) {
			if !strings.HasPrefix(row.text(1), r.query.Prefix) {
				return false, nil
			}
			r.few = append(r.few, fewStream{row.int(0), row.text(1)})
			return true, nil
		}, "SELECT id, name FROM streams WHERE grp = ? AND name >= ? ORDER BY name LIMIT ?", r.group.ID, r.query.Prefix, fewStreams+1)
		if err != nil {
			return err
		}
		if r.few == nil {
			r.few = []fewStream{} // none, not all
		}
	}
	if len(r.few) > fewStreams {
		r.few = nil
	}
	return nil
}

// wanted says whether the search is over the stream.
func (r *search) wanted(stream string) bool {
	if len(r.query.Streams) > 0 {
		return slices.Contains(r.query.Streams, stream)
	}
	return strings.HasPrefix(stream, r.query.Prefix)
}

// blockRow is a block that may have wanted events, with the times they span.
type blockRow struct{ id, segment, oldest, newest int64 }

// run looks at blocks until the page is full, nothing is left or enough has been looked at.
func (r *search) run(ctx context.Context) error {
	looked := int64(0)
	return r.blocks(func(b blockRow) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		begin := b.oldest
		if r.descending {
			begin = b.newest
		}
		if r.hasCut && r.order(cmp.Compare(begin, r.cut.timestamp())) > 0 {
			return false, nil
		}
		// Stopping here must leave the next call something less to look at.
		if looked >= r.budget && r.order(cmp.Compare(begin, r.bound.timestamp())) > 0 {
			r.stopped, r.frontier = true, begin
			return false, nil
		}
		n, err := r.block(b)
		looked += n
		return true, err
	})
}

// blocks calls fn for each block that may have wanted events, in the order of the search.
func (r *search) blocks(fn func(blockRow) (bool, error)) error {
	call := func(row row) (bool, error) {
		return fn(blockRow{row.int(0), row.int(1), row.int(2), row.int(3)})
	}
	if r.few != nil {
		return r.blocksOfFew(fn)
	}
	const query = `SELECT g.block, b.segment, g.oldest, g.newest FROM group_blocks g JOIN blocks b ON b.id = g.block
		WHERE g.grp = ? AND g.newest >= ? AND g.oldest <= ? `
	if r.descending {
		return r.c.each(call, query+"ORDER BY g.newest DESC, g.block DESC", r.group.ID, r.from, r.to)
	}
	return r.c.each(call, query+"ORDER BY g.oldest, g.block", r.group.ID, r.from, r.to)
}

func (r *search) blocksOfFew(fn func(blockRow) (bool, error)) error {
	merged := map[int64]blockRow{}
	for _, stream := range r.few {
		err := r.c.each(func(row row) (bool, error) {
			b, ok := merged[row.int(0)]
			if !ok {
				b = blockRow{row.int(0), row.int(1), row.int(2), row.int(3)}
			}
			b.oldest, b.newest = min(b.oldest, row.int(2)), max(b.newest, row.int(3))
			merged[b.id] = b
			return true, nil
		}, `SELECT c.block, b.segment, c.oldest, c.newest FROM chunks c JOIN blocks b ON b.id = c.block
			WHERE c.stream = ? AND c.newest >= ? AND c.oldest <= ?`, stream.id, r.from, r.to)
		if err != nil {
			return err
		}
	}
	list := make([]blockRow, 0, len(merged))
	for _, b := range merged {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b blockRow) int {
		x, y := a.oldest, b.oldest
		if r.descending {
			x, y = b.newest, a.newest
		}
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a.id, b.id))
	})
	for _, b := range list {
		if more, err := fn(b); err != nil || !more {
			return err
		}
	}
	return nil
}

// block collects what is wanted of a block and returns how many bytes it looked at.
func (r *search) block(b blockRow) (looked int64, err error) {
	names := map[int64]string{} // by definition
	start, end := int64(1)<<62, int64(0)
	add := func(name string, definition, from, to int64) {
		names[definition] = name
		start, end = min(start, from), max(end, to)
	}
	if r.few != nil {
		for _, st := range r.few {
			_, err := r.c.one(func(row row) { add(st.name, row.int(0), row.int(1), row.int(2)) },
				"SELECT definition, start, end FROM chunks WHERE stream = ? AND block = ?", st.id, b.id)
			if err != nil {
				return 0, err
			}
		}
	} else {
		err := r.c.each(func(row row) (bool, error) {
			if row.int(1) == r.group.ID && r.wanted(row.text(0)) {
				add(row.text(0), row.int(2), row.int(3), row.int(4))
			}
			return true, nil
		}, "SELECT s.name, s.grp, c.definition, c.start, c.end FROM chunks c JOIN streams s ON s.id = c.stream WHERE c.block = ?", b.id)
		if err != nil {
			return 0, err
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	seg, err := r.files.segment(r.c, b.segment)
	if seg == nil || err != nil {
		return 0, err
	}
	hash := ownerHash(seg.Name.Owner)
	err = r.files.each(seg, start, end, func(rec *logstore.Record) {
		if rec.Events == nil {
			return
		}
		stream, ok := names[rec.Events.Definition]
		if !ok {
			return
		}
		rec.Events.All(func(i int, ts int64, message []byte) bool {
			if ts < r.from || ts > r.to {
				return true
			}
			p := at(ts, seg.Name.N, hash, rec.Offset, i)
			if r.order(p.compare(r.bound)) < 0 || r.hasCut && r.order(p.compare(r.cut)) >= 0 {
				return true
			}
			if r.query.Match == nil || r.query.Match(message) {
				r.add(candidate{located{Event{ts, rec.Events.IngestedMS, string(message)}, p}, stream})
			}
			return true
		})
	})
	return end - start, err
}

func (r *search) add(c candidate) {
	r.found = append(r.found, c)
	r.bytes += len(c.Message) + eventOverhead
	if len(r.found) >= 2*r.limit || r.bytes >= 2*MaxPageBytes {
		r.trim()
	}
}

// trim puts what was found in order and cuts it back to a page.
func (r *search) trim() {
	slices.SortFunc(r.found, func(a, b candidate) int { return r.order(a.at.compare(b.at)) })
	r.bytes = 0
	for i, c := range r.found {
		size := len(c.Message) + eventOverhead
		if i == r.limit || i > 0 && r.bytes+size > MaxPageBytes {
			r.hasCut, r.cut = true, c.at
			clear(r.found[i:])
			r.found = r.found[:i]
			return
		}
		r.bytes += size
	}
}

// page makes the answer.
func (r *search) page() SearchPage {
	r.trim()
	var p SearchPage
	for _, c := range r.found {
		if r.stopped && r.order(cmp.Compare(c.Timestamp, r.frontier)) >= 0 {
			break
		}
		p.Events = append(p.Events, Found{Event: c.Event, Stream: c.stream, ID: c.at.String()})
	}
	switch {
	case r.stopped && r.descending:
		p.Next = searchToken(true, last(r.frontier))
	case r.stopped:
		p.Next = searchToken(false, first(r.frontier))
	case r.hasCut:
		p.Next = searchToken(r.descending, r.cut)
	}
	return p
}
