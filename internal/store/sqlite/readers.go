package sqlite

import (
	"context"
	"errors"
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// readerPool lends reading connections, opened as needed up to a bound.
type readerPool struct {
	file  string
	slots chan struct{} // one for each connection lent
	quit  chan struct{} // closed by close

	mu   sync.Mutex
	idle []*conn
}

func (p *readerPool) init(file string, n int) {
	p.file = file
	p.slots = make(chan struct{}, n)
	p.quit = make(chan struct{})
}

// close waits until every connection is back and closes them.
func (p *readerPool) close() error {
	close(p.quit)
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

func (p *readerPool) get(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.quit:
		return nil, store.ErrClosed
	default:
	}
	select {
	case p.slots <- struct{}{}:
	case <-p.quit:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	var c *conn
	if n := len(p.idle); n > 0 {
		c, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := connect(ctx, p.file, reading, readerCacheKiB)
	if err != nil {
		<-p.slots
	}
	return c, err
}

// put takes a connection back; one on which something went wrong is closed instead of kept.
func (p *readerPool) put(c *conn, healthy bool) error {
	var err error
	if healthy {
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	} else {
		err = c.close()
	}
	<-p.slots
	return err
}

// read runs fn with a reading connection, on one snapshot.
func (db *DB) read(ctx context.Context, fn func(c *conn) error) (err error) {
	c, err := db.readers.get(ctx)
	if err != nil {
		return err
	}
	healthy := false
	defer func() { err = errors.Join(err, db.readers.put(c, healthy)) }()
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	err = fn(c)
	_, endErr := c.exec("ROLLBACK")
	healthy = !ends(err) && endErr == nil
	return errors.Join(err, endErr)
}

// partitions remembers the numbers of the partitions that are on disk. They are never removed or changed.
type partitions struct {
	mu      sync.RWMutex
	numbers map[batch.Partition]int64
}

func (ps *partitions) get(p batch.Partition) (int64, bool) {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	n, ok := ps.numbers[p]
	return n, ok
}

func (ps *partitions) add(p batch.Partition, n int64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.numbers == nil {
		ps.numbers = map[batch.Partition]int64{}
	}
	ps.numbers[p] = n
}

// find returns the number of a partition that is on disk; ok is false if there is none. The writer looks among those its
// transaction made before it asks.
func (ps *partitions) find(c *conn, p batch.Partition) (n int64, ok bool, err error) {
	if n, ok := ps.get(p); ok {
		return n, true, nil
	}
	ok, err = c.one(func(cur *cursor) { n = cur.int(0) },
		"SELECT part FROM partitions WHERE account = ? AND region = ?", p.Account, p.Region)
	if ok {
		ps.add(p, n)
	}
	return n, ok, err
}
