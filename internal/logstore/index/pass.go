package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
)

const (
	// blockBytes is how much of a segment a block spans, give or take a record. A read looks at whole blocks at most.
	blockBytes = 256 << 10
	// pendingRows is how many rows a pass collects before it writes them.
	pendingRows = 20_000
	// cachedStreams bounds the streams kept in memory between passes.
	cachedStreams = 20_000
)

// indexState is where the indexer stands. All of it can be read back from the database.
type indexState struct {
	valid                              bool // else resume has to run first
	nextSegment, nextBlock, nextStream int64
	// appended counts the records indexed since the Store was opened, to see growth.
	appended int64

	writing bool   // a transaction is open on the writer; only within a pass
	open    *block // the newest block, which may still grow
	pending []*block
	rows    int // in pending and dirty streams

	streams map[streamName]*stream
	dirty   []*stream
	names   map[definitionAt]logstore.StreamKey

	scan, lookup logstore.ScanBuffer
}

type streamName struct {
	group int64
	name  string
}

type definitionAt struct {
	segment int64
	offset  int64
}

// stream is a stream's row.
type stream struct {
	streamName
	id                       int64
	created                  int64
	oldest, newest, ingested int64 // -1 while it has no event
	kept, latest             int64
	isNew, isDirty           bool
}

// block is a block's row with its chunks and its groups' shares.
type block struct {
	id, segment, start, end int64
	chunks                  map[*stream]*chunk
	groups                  map[int64]*share
	isPending               bool
}

type chunk struct {
	share
	definition, start, end, events int64
	isDirty                        bool
}

// share is what a stream or group has in a block.
type share struct {
	bytes, oldest, newest int64
}

func (s *share) add(bytes, oldest, newest int64) {
	s.bytes += bytes
	s.oldest, s.newest = min(s.oldest, oldest), max(s.newest, newest)
}

// forget drops what is cached of rows that something else than a pass has changed. Nothing is pending then.
func (st *indexState) forget() {
	st.open, st.streams = nil, nil
}

// pass indexes what has been appended since the last one. It is called with indexing held.
func (s *Store) pass(ctx context.Context) (err error) {
	if s.db == nil {
		if err := s.replaceDatabase(ctx); err != nil {
			return err
		}
	}
	if !s.state.valid {
		if err := s.resume(ctx); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			s.state.valid = false // what was collected and not written is found again
			if s.state.writing {
				s.state.writing = false
				err = errors.Join(err, s.db.writer.exec("ROLLBACK"))
			}
		}
	}()
	if err := s.discover(); err != nil {
		return err
	}
	for i, g := range s.segments.list {
		if g.done {
			continue
		}
		if err := s.indexSegment(ctx, g, s.segments.last(i)); err != nil {
			return err
		}
	}
	return s.flush()
}

// indexSegment indexes what is new in a segment. last says that it is its owner's newest.
func (s *Store) indexSegment(ctx context.Context, g *segment, last bool) error {
	fi, err := os.Stat(filepath.Join(s.dir, g.name.String()))
	if err != nil {
		return fmt.Errorf("log segment: %w", err)
	}
	if g.id != 0 && fi.Size() < g.indexed {
		return fmt.Errorf("%s has %d bytes, of which %d were indexed: %w", g.name, fi.Size(), g.indexed, errStale)
	}
	// Whether it is final must be known before it is read to its end.
	final := false
	if !last {
		used, err := logstore.InUse(s.dir, g.name)
		if err != nil {
			return err
		}
		final = !used
	}
	if !final && fi.Size() == g.indexed {
		return nil
	}
	file, err := logstore.OpenSegment(s.dir, g.name)
	if errors.Is(err, logstore.ErrNotSegment) {
		if final {
			s.log.Warn("a log segment has no header; nothing of it can be read", "segment", g.name)
			g.done = true
		}
		return nil // else it is being made
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if g.id == 0 {
		g.id, g.uid, g.newest, g.dirty = s.state.nextSegment, file.ID, file.CreatedMS, true
		s.state.nextSegment++
	} else if g.uid != file.ID {
		return fmt.Errorf("%s is another file: %w", g.name, errStale)
	}
	for {
		next, err := file.Scan(g.indexed, -1, &s.state.scan, func(r *logstore.Record) error {
			if err := s.record(file, g, r); err != nil {
				return err
			}
			g.indexed, g.dirty = r.End, true
			s.state.appended++
			if s.state.rows >= pendingRows {
				if err := ctx.Err(); err != nil {
					return err
				}
				return s.flush()
			}
			return nil
		})
		switch {
		case err == nil:
			g.done = final
			g.dirty = g.dirty || final
			return nil
		case !errors.Is(err, logstore.ErrDamaged):
			return err
		case !final:
			return nil // the record is being written, or its writer has died
		}
		size, serr := file.Size()
		if serr != nil {
			return serr
		}
		after, ok := file.SkipDamaged(next, &s.state.scan)
		if !ok {
			after = size
		}
		s.log.Warn("a log segment holds what is no record; a crash can leave that at its end",
			"segment", g.name, "offset", next, "bytes", after-next, "of", size)
		g.indexed, g.dirty = after, true
	}
}

// record takes one record into the open block.
func (s *Store) record(file *logstore.Segment, g *segment, r *logstore.Record) error {
	if d := r.Definition; d != nil {
		s.state.name(definitionAt{g.id, r.Offset}, d.Key)
		if !d.Opened {
			return nil
		}
		st, err := s.visible(g, r.Offset, d.Key, d.CreatedMS)
		if st == nil || err != nil {
			return err
		}
		st.created = min(st.created, d.CreatedMS)
		if d.Kept {
			st.kept = g.id
		}
		st.latest = g.id
		s.state.touch(st)
		return nil
	}
	e := r.Events
	g.newest = max(g.newest, e.IngestedMS)
	key, err := s.key(file, g, e.Definition)
	if err != nil {
		return err
	}
	st, err := s.visible(g, r.Offset, key, e.IngestedMS)
	if st == nil || err != nil {
		return err
	}
	b := s.state.blockFor(g, r, st, e.Definition)
	c := b.chunks[st]
	group := b.groups[st.group]
	e.All(func(_ int, ts int64, message []byte) bool {
		if c == nil {
			c = &chunk{share: share{0, ts, ts}, definition: e.Definition, start: r.Offset}
			b.chunks[st] = c
		}
		if group == nil {
			group = &share{0, ts, ts}
			b.groups[st.group] = group
		}
		c.add(int64(len(message)), ts, ts)
		group.add(int64(len(message)), ts, ts)
		if st.oldest < 0 || ts < st.oldest {
			st.oldest = ts
		}
		st.newest = max(st.newest, ts)
		return true
	})
	if c == nil {
		return nil // no event in it
	}
	c.end, c.events = r.End, c.events+int64(e.Count)
	if !c.isDirty {
		c.isDirty = true
		s.state.rows++
	}
	st.ingested, st.latest = max(st.ingested, e.IngestedMS), g.id
	s.state.touch(st)
	return nil
}

// key returns the stream that events refer to.
func (s *Store) key(file *logstore.Segment, g *segment, offset int64) (logstore.StreamKey, error) {
	at := definitionAt{g.id, offset}
	if key, ok := s.state.names[at]; ok {
		return key, nil
	}
	d, err := file.DefinitionAt(offset, &s.state.lookup)
	if errors.Is(err, logstore.ErrDamaged) {
		s.log.Warn("log events of an unknown stream are left out", "segment", g.name, "error", err)
		err = nil
	}
	if err != nil {
		return d.Key, err
	}
	s.state.name(at, d.Key)
	return d.Key, nil
}

func (st *indexState) name(at definitionAt, key logstore.StreamKey) {
	if st.names == nil || len(st.names) >= cachedStreams {
		st.names = map[definitionAt]logstore.StreamKey{}
	}
	st.names[at] = key
}

// visible returns the stream of a record, making it if it is not known, or nil if what the record says does not count:
// there is no such group, or group or stream were deleted since.
func (s *Store) visible(g *segment, offset int64, key logstore.StreamKey, createdMS int64) (*stream, error) {
	s.groupsMu.RLock()
	grp := s.groups[groupKey{batch.Partition{Account: key.Account, Region: key.Region}, key.Group}]
	counts := grp != nil && grp.From.admit(g.name, offset) && grp.deleted[key.Stream].admit(g.name, offset)
	s.groupsMu.RUnlock()
	if !counts {
		return nil, nil
	}
	name := streamName{grp.ID, key.Stream}
	if st := s.state.streams[name]; st != nil {
		return st, nil
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	st := &stream{streamName: name, created: createdMS, oldest: -1, newest: -1, ingested: -1}
	found, err := s.db.writer.one(func(r row) {
		st.id, st.created, st.oldest, st.newest, st.ingested, st.kept, st.latest =
			r.int(0), r.int(1), r.int(2), r.int(3), r.int(4), r.int(5), r.int(6)
	}, "SELECT id, created, oldest, newest, ingested, kept, latest FROM streams WHERE grp = ? AND name = ?", name.group, name.name)
	if err != nil {
		return nil, err
	}
	if !found {
		st.id, st.isNew = s.state.nextStream, true
		s.state.nextStream++
	}
	if s.state.streams == nil {
		s.state.streams = map[streamName]*stream{}
	}
	s.state.streams[name] = st
	return st, nil
}

func (st *indexState) touch(s *stream) {
	if !s.isDirty {
		s.isDirty = true
		st.dirty = append(st.dirty, s)
		st.rows++
	}
}

// blockFor returns the block a record belongs to: the open one, if the record continues it, else a new one. A stream's
// records in a block all refer to one definition, so that a reader knows them by that.
func (st *indexState) blockFor(g *segment, r *logstore.Record, s *stream, definition int64) *block {
	b := st.open
	if b == nil || b.segment != g.id || b.end-b.start >= blockBytes || b.chunks[s] != nil && b.chunks[s].definition != definition {
		b = &block{id: st.nextBlock, segment: g.id, start: r.Offset, chunks: map[*stream]*chunk{}, groups: map[int64]*share{}}
		st.nextBlock++
		st.open = b
	}
	b.end = r.End
	if !b.isPending {
		b.isPending = true
		st.pending = append(st.pending, b)
	}
	return b
}

// begin opens the transaction that the pass's lookups and the next flush share: each alone would cost more than the work
// in it.
func (s *Store) begin() error {
	if s.state.writing {
		return nil
	}
	if err := s.db.writer.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	s.state.writing = true
	return nil
}

// flush writes what has been collected and commits it.
func (s *Store) flush() error {
	st := &s.state
	dirty := st.writing || len(st.pending) > 0 || len(st.dirty) > 0
	for _, g := range s.segments.list {
		dirty = dirty || g.dirty
	}
	if !dirty {
		return nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	c := s.db.writer
	for _, g := range s.segments.list {
		if !g.dirty {
			continue
		}
		err := c.exec("INSERT OR REPLACE INTO segments (id, owner, n, uid, indexed, done, newest, dropped) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
			g.id, g.name.Owner, int64(g.name.N), int64(g.uid), g.indexed, g.done, g.newest)
		if err != nil {
			return err
		}
	}
	for _, s := range st.dirty {
		if err := s.write(c); err != nil {
			return err
		}
	}
	for _, b := range st.pending {
		if err := b.write(c); err != nil {
			return err
		}
	}
	if err := c.exec("COMMIT"); err != nil {
		return err
	}
	st.writing = false
	for _, g := range s.segments.list {
		g.dirty = false
	}
	for _, s := range st.dirty {
		s.isNew, s.isDirty = false, false
	}
	for _, b := range st.pending {
		b.isPending = false
	}
	clear(st.dirty)
	clear(st.pending)
	st.dirty, st.pending, st.rows = st.dirty[:0], st.pending[:0], 0
	if len(st.streams) >= cachedStreams {
		st.forget()
	}
	return nil
}

func (s *stream) write(c *conn) error {
	if s.isNew {
		return c.exec("INSERT INTO streams (id, grp, name, created, oldest, newest, ingested, kept, latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.id, s.group, s.name, s.created, s.oldest, s.newest, s.ingested, s.kept, s.latest)
	}
	return c.exec("UPDATE streams SET created = ?, oldest = ?, newest = ?, ingested = ?, kept = ?, latest = ? WHERE id = ?",
		s.created, s.oldest, s.newest, s.ingested, s.kept, s.latest, s.id)
}

func (b *block) write(c *conn) error {
	err := c.exec("INSERT OR REPLACE INTO blocks (id, segment, start, end) VALUES (?, ?, ?, ?)", b.id, b.segment, b.start, b.end)
	if err != nil {
		return err
	}
	for s, k := range b.chunks {
		if !k.isDirty {
			continue
		}
		err := c.exec("INSERT OR REPLACE INTO chunks (stream, block, definition, start, end, events, bytes, oldest, newest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.id, b.id, k.definition, k.start, k.end, k.events, k.bytes, k.oldest, k.newest)
		if err != nil {
			return err
		}
		k.isDirty = false
	}
	for group, g := range b.groups {
		err := c.exec("INSERT OR REPLACE INTO group_blocks (grp, block, bytes, oldest, newest) VALUES (?, ?, ?, ?, ?)", group, b.id, g.bytes, g.oldest, g.newest)
		if err != nil {
			return err
		}
	}
	return nil
}
