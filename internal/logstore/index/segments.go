package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
)

// segment is what the index knows of a segment file.
type segment struct {
	id      int64 // in the order of discovery; 0 until it has a row
	name    logstore.SegmentName
	uid     uint64
	indexed int64
	done    bool  // everything in it is indexed and nothing more will come
	newest  int64 // ms; last ingestion
	dirty   bool  // differs from its row
}

// segments is the directory as it was last looked at.
type segments struct {
	list []*segment // ascending by owner and number
	// dropped have been pruned from the index, and their files could not be removed yet.
	dropped map[logstore.SegmentName]bool
	// listed is the directory's modification time when it was last listed; zero if that listing may miss a file made in
	// the same tick of the clock.
	listed time.Time
}

// mtimeTick is longer than any file system's timestamps are apart.
const mtimeTick = 2 * time.Second

// errStale is wrapped when the index does not fit the segments: one was cut short or is another file now.
var errStale = errors.New("the log segments are not those that were indexed")

// discover brings the list up to date with the directory.
func (s *Store) discover() error {
	fi, err := os.Stat(s.dir)
	if err != nil {
		return fmt.Errorf("log segments: %w", err)
	}
	if !s.segments.listed.IsZero() && fi.ModTime().Equal(s.segments.listed) {
		return nil
	}
	names, err := logstore.ListSegments(s.dir)
	if err != nil {
		return err
	}
	known := make(map[logstore.SegmentName]*segment, len(s.segments.list))
	for _, g := range s.segments.list {
		known[g.name] = g
	}
	list := make([]*segment, 0, len(names))
	for _, name := range names {
		if s.segments.dropped[name] {
			continue
		}
		g := known[name]
		if g == nil {
			g = &segment{name: name, indexed: logstore.FirstRecord}
		}
		delete(known, name)
		list = append(list, g)
	}
	for name, g := range known {
		if g.id != 0 {
			return fmt.Errorf("%s is gone: %w", name, errStale)
		}
	}
	s.segments.list, s.segments.listed = list, fi.ModTime()
	// The wall clock, not s.now: it is compared with the file system's.
	if time.Since(fi.ModTime()) < mtimeTick {
		s.segments.listed = time.Time{}
	}
	return nil
}

// resume reads from the index how far it has come, and finishes what was begun before a crash.
func (s *Store) resume(ctx context.Context) error {
	c := s.db.writer
	s.state = indexState{}
	s.segments = segments{dropped: map[logstore.SegmentName]bool{}}
	err := c.each(func(r row) (bool, error) {
		name := logstore.SegmentName{Owner: r.text(1), N: uint32(r.int(2))}
		if r.int(7) != 0 {
			s.segments.dropped[name] = true
			return true, nil
		}
		s.segments.list = append(s.segments.list, &segment{
			id: r.int(0), name: name, uid: uint64(r.int(3)), indexed: r.int(4), done: r.int(5) != 0, newest: r.int(6),
		})
		return true, nil
	}, "SELECT id, owner, n, uid, indexed, done, newest, dropped FROM segments")
	if err != nil {
		return err
	}
	slices.SortFunc(s.segments.list, func(a, b *segment) int {
		if c := strings.Compare(a.name.Owner, b.name.Owner); c != 0 {
			return c
		}
		return int(int64(a.name.N) - int64(b.name.N))
	})
	if err := s.removeDropped(); err != nil {
		// What is kept can be read without that. The next Prune tries again.
		s.log.Warn("log segments that have been pruned are still there", "error", err)
	}
	for table, next := range map[string]*int64{"segments": &s.state.nextSegment, "blocks": &s.state.nextBlock, "streams": &s.state.nextStream} {
		highest, err := c.number("SELECT max(id) FROM " + table)
		if err != nil {
			return err
		}
		*next = highest + 1
	}
	if err := s.findGraves(ctx); err != nil {
		return err
	}
	s.state.valid = true
	return nil
}

// removeDropped removes the segments that have been pruned from the index.
func (s *Store) removeDropped() error {
	var errs []error
	for name := range s.segments.dropped {
		errs = append(errs, s.removeSegment(name))
	}
	return errors.Join(errs...)
}

// removeSegment removes a segment that has been pruned from the index: its file, then its row.
func (s *Store) removeSegment(name logstore.SegmentName) error {
	if err := s.files.Remove(filepath.Join(s.dir, name.String())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing log segment: %w", err)
	}
	if err := s.db.writer.exec("DELETE FROM segments WHERE owner = ? AND n = ?", name.Owner, int64(name.N)); err != nil {
		return err
	}
	delete(s.segments.dropped, name)
	return nil
}

// last says whether a segment is its owner's newest.
func (s *segments) last(i int) bool {
	return i+1 == len(s.list) || s.list[i+1].name.Owner != s.list[i].name.Owner
}

// ends returns where the segments end at the moment.
func (s *Store) ends() (cuts, error) {
	names, err := logstore.ListSegments(s.dir)
	if err != nil {
		return nil, err
	}
	ends := cuts{}
	for _, name := range names { // ascending, so the newest of an owner comes last
		fi, err := os.Stat(filepath.Join(s.dir, name.String()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("log segments: %w", err)
		}
		if err == nil {
			ends[name.Owner] = cut{N: name.N, Offset: fi.Size()}
		}
	}
	return ends, nil
}

// bury leaves the rows of a deleted group to the indexer's goroutine.
func (s *Store) bury(id int64) {
	s.buryMu.Lock()
	defer s.buryMu.Unlock()
	s.buried[id] = true
	s.Poke()
}

// grave returns one of the groups buried; false if there is none.
func (s *Store) grave() (id int64, ok bool) {
	s.buryMu.Lock()
	defer s.buryMu.Unlock()
	for id := range s.buried {
		return id, true
	}
	return 0, false
}

// findGraves buries the groups that have rows and are no more.
func (s *Store) findGraves(context.Context) error {
	s.groupsMu.RLock()
	alive := make(map[int64]bool, len(s.groups))
	for _, g := range s.groups {
		alive[g.ID] = true
	}
	s.groupsMu.RUnlock()
	for _, query := range []string{"SELECT min(grp) FROM streams WHERE grp > ?", "SELECT min(grp) FROM group_blocks WHERE grp > ?"} {
		for id := int64(0); ; {
			next, err := s.db.writer.number(query, id)
			if err != nil {
				return err
			}
			if next == 0 {
				break
			}
			if id = next; !alive[id] {
				s.bury(id)
			}
		}
	}
	return nil
}

// exhumeStreams is how many streams exhume removes at a time.
const exhumeStreams = 500

// exhume removes some rows of a deleted group; more says whether there may be more to remove.
func (s *Store) exhume(ctx context.Context) (more bool, err error) {
	id, ok := s.grave()
	if !ok {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.indexing.Lock()
	defer s.indexing.Unlock()
	if s.db == nil {
		return false, errNoIndex
	}
	removed := 0
	err = s.db.transaction(func(c *conn) error {
		var streams []int64
		err := c.each(func(r row) (bool, error) {
			streams = append(streams, r.int(0))
			return true, nil
		}, "SELECT id FROM streams WHERE grp = ? LIMIT ?", id, exhumeStreams)
		if err != nil {
			return err
		}
		for _, stream := range streams {
			if err := errors.Join(
				c.exec("DELETE FROM chunks WHERE stream = ?", stream),
				c.exec("DELETE FROM streams WHERE id = ?", stream)); err != nil {
				return err
			}
		}
		if removed = len(streams); removed < exhumeStreams {
			return c.exec("DELETE FROM group_blocks WHERE grp = ?", id)
		}
		return nil
	})
	s.state.forget()
	if err != nil {
		return false, err
	}
	if removed < exhumeStreams {
		s.buryMu.Lock()
		delete(s.buried, id)
		s.buryMu.Unlock()
	}
	return true, nil
}
