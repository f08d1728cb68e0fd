package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
)

// PruneOptions say what Prune removes.
type PruneOptions struct {
	// OlderThan removes segments in which nothing was written since; zero does not.
	OlderThan time.Time
	// MaxBytes removes the oldest segments until the rest has at most so many bytes; zero does not.
	MaxBytes int64
	// Running are streams of which nothing is removed.
	Running []logstore.StreamKey
}

// Pruned is what Prune removed.
type Pruned struct {
	Segments int
	Bytes    int64
}

// Prune removes whole segments: those that are old enough, the oldest while all are too large, and those that hold
// nothing that anybody can see, because their groups or streams were deleted or their events expired. It leaves a segment
// that is written to, each writer's newest, and those with events of a running stream. A stream made by CreateStream
// stays, if without events; others go with their last segment.
func (s *Store) Prune(ctx context.Context, opts PruneOptions) (pruned Pruned, err error) {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	s.indexing.Lock()
	defer s.indexing.Unlock()
	if err := s.index(ctx); err != nil {
		return pruned, err
	}
	// A file that can not be removed keeps none of the others.
	stuck := s.removeDropped()
	defer func() { err = errors.Join(err, stuck) }()
	if err := s.expire(); err != nil {
		return pruned, err
	}
	running, err := s.segmentsOf(opts.Running)
	if err != nil {
		return pruned, err
	}
	candidates, total, err := s.prunable()
	if err != nil {
		return pruned, err
	}
	for _, g := range candidates {
		if err := ctx.Err(); err != nil {
			return pruned, context.Cause(ctx)
		}
		if running[g.id] {
			continue
		}
		remove := opts.MaxBytes > 0 && total > opts.MaxBytes || g.newest < opts.OlderThan.UnixMilli()
		if !remove {
			shown, err := s.db.writer.number("SELECT EXISTS (SELECT 1 FROM blocks b JOIN chunks c ON c.block = b.id WHERE b.segment = ?)", g.id)
			if err != nil {
				return pruned, err
			}
			remove = shown == 0
		}
		if !remove {
			continue
		}
		if err := s.dropSegment(ctx, g.segment); err != nil {
			return pruned, err
		}
		stuck = errors.Join(stuck, s.removeSegment(g.name))
		total -= g.size
		pruned.Segments++
		pruned.Bytes += g.size
	}
	if pruned.Segments == 0 {
		return pruned, nil
	}
	err = s.db.transaction(func(c *conn) error {
		return c.exec(`DELETE FROM streams WHERE kept = 0 AND latest NOT IN (SELECT id FROM segments)
			AND NOT EXISTS (SELECT 1 FROM chunks WHERE stream = streams.id)`)
	})
	s.state.forget()
	if err != nil {
		return pruned, err
	}
	return pruned, s.forgetDeletions(ctx)
}

// expire removes from the index what the groups' retention no longer shows.
func (s *Store) expire() error {
	s.groupsMu.RLock()
	var groups []*group
	for _, g := range s.groups {
		if g.RetentionDays > 0 {
			groups = append(groups, g)
		}
	}
	s.groupsMu.RUnlock()
	if len(groups) == 0 {
		return nil
	}
	s.state.forget()
	return s.db.transaction(func(c *conn) error {
		for _, g := range groups {
			before := s.expiry(g)
			if err := errors.Join(
				c.exec("DELETE FROM chunks WHERE newest < ? AND stream IN (SELECT id FROM streams WHERE grp = ?)", before, g.ID),
				c.exec("DELETE FROM group_blocks WHERE newest < ? AND grp = ?", before, g.ID)); err != nil {
				return err
			}
		}
		return nil
	})
}

// segmentsOf returns the segments with records of streams.
func (s *Store) segmentsOf(keys []logstore.StreamKey) (map[int64]bool, error) {
	found := map[int64]bool{}
	for _, key := range keys {
		g, err := s.lookup(partitionOf(key), key.Group)
		if errors.Is(err, ErrNoGroup) {
			continue
		}
		if err != nil {
			return nil, err
		}
		mark := func(r row) (bool, error) {
			found[r.int(0)] = true
			return true, nil
		}
		if err := errors.Join(
			s.db.writer.each(mark, "SELECT latest FROM streams WHERE grp = ? AND name = ?", g.ID, key.Stream),
			s.db.writer.each(mark, `SELECT DISTINCT b.segment FROM streams s JOIN chunks c ON c.stream = s.id JOIN blocks b ON b.id = c.block
				WHERE s.grp = ? AND s.name = ?`, g.ID, key.Stream)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

type sizedSegment struct {
	*segment
	size int64
}

// prunable returns the segments that may be removed, the oldest first, and the size of all.
func (s *Store) prunable() (list []sizedSegment, total int64, err error) {
	for i, g := range s.segments.list {
		fi, err := os.Stat(filepath.Join(s.dir, g.name.String()))
		if err != nil {
			return nil, 0, fmt.Errorf("log segments: %w", err)
		}
		total += fi.Size()
		// Done says that no process has it open and that it is not its owner's newest; the number of a newest segment
		// must stay taken, for positions to stay unique.
		if g.done && !s.segments.last(i) {
			list = append(list, sizedSegment{g, fi.Size()})
		}
	}
	slices.SortFunc(list, func(a, b sizedSegment) int {
		return cmp.Or(cmp.Compare(a.newest, b.newest), cmp.Compare(a.id, b.id))
	})
	return list, total, nil
}

// dropSegment removes a segment from the index; removeSegment is to follow.
func (s *Store) dropSegment(ctx context.Context, g *segment) error {
	if err := s.carryOver(ctx, g.id); err != nil {
		return err
	}
	s.state.forget()
	err := s.db.transaction(func(c *conn) error {
		return errors.Join(
			c.exec("DELETE FROM chunks WHERE block IN (SELECT id FROM blocks WHERE segment = ?)", g.id),
			c.exec("DELETE FROM group_blocks WHERE block IN (SELECT id FROM blocks WHERE segment = ?)", g.id),
			c.exec("DELETE FROM blocks WHERE segment = ?", g.id),
			c.exec("UPDATE segments SET dropped = 1 WHERE id = ?", g.id))
	})
	if err != nil {
		s.state.valid = false
		return err
	}
	s.segments.list = slices.DeleteFunc(s.segments.list, func(h *segment) bool { return h == g })
	s.segments.listed = time.Time{}
	s.segments.dropped[g.name] = true
	return nil
}

// carryOver records the streams anew that only a segment about to go says are to be kept.
func (s *Store) carryOver(ctx context.Context, segment int64) error {
	s.groupsMu.RLock()
	groups := make(map[int64]*group, len(s.groups))
	for _, g := range s.groups {
		groups[g.ID] = g
	}
	s.groupsMu.RUnlock()
	carried := false
	err := s.db.writer.each(func(r row) (bool, error) {
		g := groups[r.int(0)]
		if g == nil {
			return true, nil
		}
		carried = true
		key := logstore.StreamKey{Account: g.partition.Account, Region: g.partition.Region, Group: g.Name, Stream: r.text(1)}
		return true, s.writer.KeepStream(key, r.int(2))
	}, "SELECT grp, name, created FROM streams WHERE kept = ?", segment)
	if err != nil || !carried {
		return err
	}
	if err := s.writer.Sync(); err != nil {
		return err
	}
	return s.pass(ctx)
}

// forgetDeletions removes the notes about deleted streams whose events are all gone with their segments.
func (s *Store) forgetDeletions(ctx context.Context) error {
	oldest := map[string]uint32{}
	for _, g := range slices.Backward(s.segments.list) {
		oldest[g.name.Owner] = g.name.N
	}
	type note struct {
		g      *group
		stream string
	}
	var gone []note
	s.groupsMu.RLock()
	for _, g := range s.groups {
		for stream, c := range g.deleted {
			needed := false
			for owner, from := range c {
				n, ok := oldest[owner]
				needed = needed || ok && n <= from.N
			}
			if !needed {
				gone = append(gone, note{g, stream})
			}
		}
	}
	s.groupsMu.RUnlock()
	if len(gone) == 0 {
		return nil
	}
	err := s.docs.Update(ctx, func(w store.Writer) error {
		for _, n := range gone {
			if _, err := w.Delete(n.g.partition, kindDeletedStream, n.g.Name+":"+n.stream); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("log streams: %w", err)
	}
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	for _, n := range gone {
		delete(n.g.deleted, n.stream)
	}
	return nil
}
