package index

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
)

// Stream is a log stream. Times are in milliseconds.
type Stream struct {
	Name      string
	CreatedMS int64
	// HasEvents says whether the rest is set.
	HasEvents                          bool
	OldestMS, NewestMS, LastIngestedMS int64
}

// StreamQuery selects the streams of a group and their order.
type StreamQuery struct {
	Prefix string
	// ByTime orders by the newest event's timestamp, streams without events first, then by name; it excludes Prefix.
	ByTime     bool
	Descending bool
	// After continues after this stream: a name, or with ByTime a newest timestamp (-1 for none) and a name.
	After *StreamBound
	Limit int
}

// StreamBound is the place of a stream in an order.
type StreamBound struct {
	NewestMS int64
	Name     string
}

// Bound is the place of the stream, to continue after it.
func (s *Stream) Bound() StreamBound {
	if !s.HasEvents {
		return StreamBound{-1, s.Name}
	}
	return StreamBound{s.NewestMS, s.Name}
}

// Streams lists streams of a group.
func (s *Store) Streams(ctx context.Context, p batch.Partition, groupName string, q StreamQuery) ([]Stream, error) {
	const columns = "SELECT name, created, oldest, newest, ingested FROM streams WHERE grp = ?"
	var found []Stream
	err := s.read(ctx, func(c *conn) error {
		found = nil
		g, err := s.lookup(p, groupName)
		if err != nil {
			return err
		}
		add := func(r row) (bool, error) {
			st := Stream{Name: r.text(0), CreatedMS: r.int(1)}
			if r.int(3) >= 0 {
				st.HasEvents, st.OldestMS, st.NewestMS, st.LastIngestedMS = true, r.int(2), r.int(3), r.int(4)
			}
			if !strings.HasPrefix(st.Name, q.Prefix) {
				return false, nil // the last one of a range that begins with the prefix
			}
			found = append(found, st)
			return true, nil
		}
		switch after := q.After; {
		case q.ByTime && q.Descending:
			if after == nil {
				after = &StreamBound{1 << 62, ""}
			}
			return c.each(add, columns+" AND (newest, name) < (?, ?) ORDER BY newest DESC, name DESC LIMIT ?", g.ID, after.NewestMS, after.Name, q.Limit)
		case q.ByTime:
			if after == nil {
				after = &StreamBound{-2, ""}
			}
			return c.each(add, columns+" AND (newest, name) > (?, ?) ORDER BY newest, name LIMIT ?", g.ID, after.NewestMS, after.Name, q.Limit)
		case q.Descending:
			// Names are compared by their bytes, and U+10FFFF is the last character there is.
			before := q.Prefix + strings.Repeat("\U0010FFFF", 600)
			if after != nil && after.Name < before {
				before = after.Name
			}
			return c.each(add, columns+" AND name < ? ORDER BY name DESC LIMIT ?", g.ID, before, q.Limit)
		default:
			if after != nil && after.Name >= q.Prefix {
				return c.each(add, columns+" AND name > ? ORDER BY name LIMIT ?", g.ID, after.Name, q.Limit)
			}
			return c.each(add, columns+" AND name >= ? ORDER BY name LIMIT ?", g.ID, q.Prefix, q.Limit)
		}
	})
	return found, err
}

// StoredBytes is how many bytes of messages a group's events have.
func (s *Store) StoredBytes(ctx context.Context, p batch.Partition, groupName string) (n int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		g, err := s.lookup(p, groupName)
		if err != nil {
			return err
		}
		n, err = c.number("SELECT ifnull(sum(bytes), 0) FROM group_blocks WHERE grp = ?", g.ID)
		return err
	})
	return n, err
}

func findStream(c *conn, g *group, name string) (id int64, err error) {
	found, err := c.one(func(r row) { id = r.int(0) }, "SELECT id FROM streams WHERE grp = ? AND name = ?", g.ID, name)
	if err == nil && !found {
		err = fmt.Errorf("%s of %s: %w", name, g.Name, ErrNoStream)
	}
	return id, err
}

func partitionOf(key logstore.StreamKey) batch.Partition {
	return batch.Partition{Account: key.Account, Region: key.Region}
}

// CreateStream makes a stream that stays until it is deleted. It is durable when CreateStream returns.
func (s *Store) CreateStream(ctx context.Context, key logstore.StreamKey) error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	err := s.StreamExists(ctx, key)
	if err == nil {
		return fmt.Errorf("%s of %s: %w", key.Stream, key.Group, ErrStreamExists)
	}
	if !errors.Is(err, ErrNoStream) {
		return err
	}
	return s.write(func() error { return s.writer.KeepStream(key, s.now().UnixMilli()) })
}

// write appends to the segments and makes it durable.
func (s *Store) write(fn func() error) error {
	if err := fn(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if err := s.writer.Sync(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// StreamExists returns nil, or an error that wraps ErrNoGroup or ErrNoStream.
func (s *Store) StreamExists(ctx context.Context, key logstore.StreamKey) error {
	return s.read(ctx, func(c *conn) error {
		g, err := s.lookup(partitionOf(key), key.Group)
		if err != nil {
			return err
		}
		_, err = findStream(c, g, key.Stream)
		return err
	})
}

// Put appends events to a stream that exists; a message is at most logstore.MaxMessageBytes long. They are durable when
// Put returns. An error that wraps store.ErrUnavailable means that the disk refused them.
func (s *Store) Put(ctx context.Context, key logstore.StreamKey, events []logstore.Event) error {
	if err := s.StreamExists(ctx, key); err != nil {
		return err
	}
	return s.write(func() error { return s.writer.Append(key, events) })
}

// DeleteStream removes a stream with its events. If a container goes on writing to it, it appears again with what
// follows.
func (s *Store) DeleteStream(ctx context.Context, key logstore.StreamKey) error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	s.indexing.Lock()
	defer s.indexing.Unlock()
	if err := s.index(ctx); err != nil {
		return err
	}
	p := partitionOf(key)
	g, err := s.lookup(p, key.Group)
	if err != nil {
		return err
	}
	id, err := findStream(s.db.writer, g, key.Stream)
	if err != nil {
		return err
	}
	ends, err := s.ends()
	if err != nil {
		return err
	}
	// From here on the stream is deleted, whatever becomes of the index.
	err = s.docs.Update(ctx, func(w store.Writer) error {
		return w.Put(p, kindDeletedStream, key.Group+":"+key.Stream, ends)
	})
	if err != nil {
		return fmt.Errorf("deleting log stream %s of %s: %w", key.Stream, key.Group, err)
	}
	s.groupsMu.Lock()
	g.deleted[key.Stream] = ends
	s.groupsMu.Unlock()
	s.state.forget()
	err = s.db.transaction(func(c *conn) error {
		return errors.Join(
			c.exec(`UPDATE group_blocks SET bytes = bytes - (SELECT bytes FROM chunks WHERE stream = ?1 AND block = group_blocks.block)
				WHERE grp = ?2 AND block IN (SELECT block FROM chunks WHERE stream = ?1)`, id, g.ID),
			c.exec("DELETE FROM chunks WHERE stream = ?", id),
			c.exec("DELETE FROM streams WHERE id = ?", id))
	})
	if err != nil {
		s.state.valid = false
	}
	return err
}
