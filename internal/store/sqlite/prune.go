package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Retention says what Prune removes. A zero member removes nothing.
type Retention struct {
	// JobAge removes jobs that have been final for longer.
	JobAge time.Duration
	// Jobs is how many final jobs are kept; those submitted first go first.
	Jobs int64
	// Bytes is how much of the file may be in use (Size.Used) before final jobs are removed, those submitted first, and with
	// them the events from before their end.
	Bytes int64
	// EventAge and Events bound the event journal: by time, and to the last so many IDs.
	EventAge time.Duration
	Events   int64
}

// Pruned is what Prune removed.
type Pruned struct {
	Jobs, Events int64
}

// pruneChunk bounds what one transaction removes, so that other writers wait for milliseconds only. A job with children
// may take it over the bound.
const pruneChunk = 500

// Prune removes final jobs with their children, and events, beyond what r keeps, in small transactions between those of
// other writers. What is not final is never touched. The freed part of the file is filled again before the file grows.
func (db *DB) Prune(ctx context.Context, now time.Time, r Retention) (done Pruned, err error) {
	if r.JobAge > 0 {
		if err := db.pruneJobs(ctx, &done, now.Add(-r.JobAge).UnixMilli(), func(*conn) (int64, error) { return pruneChunk, nil }); err != nil {
			return done, err
		}
	}
	if r.Jobs > 0 {
		if err := db.pruneJobs(ctx, &done, noCutoff, func(c *conn) (int64, error) {
			n, err := finals(c)
			return n - r.Jobs, err
		}); err != nil {
			return done, err
		}
	}
	if r.Bytes > 0 {
		if err := db.pruneBytes(ctx, &done, r.Bytes); err != nil {
			return done, err
		}
	}
	return done, db.pruneEvents(ctx, &done, now, r)
}

// pruneBytes removes final jobs and old events until no more than limit is in use.
func (db *DB) pruneBytes(ctx context.Context, done *Pruned, limit int64) error {
	total := int64(-1) // final jobs at first
	for {
		var over, seen, through int64
		if err := db.read(ctx, func(c *conn) error {
			now, err := used(c)
			if err != nil || now <= limit {
				return err
			}
			if total < 0 {
				if total, err = finals(c); err != nil {
					return err
				}
			}
			// What they free is known only afterwards: half of what would be too many if all were of one size.
			seen, over = done.Jobs, max(1, int64(float64(now-limit)/float64(now)*float64(total))/2)
			return nil
		}); err != nil || over == 0 {
			return err
		}
		err := db.pruneJobs(ctx, done, noCutoff, func(*conn) (int64, error) { return over - (done.Jobs - seen), nil })
		if err != nil {
			return err
		}
		if done.Jobs == seen { // what is in use is not of jobs that have ended
			return nil
		}
		if err := db.read(ctx, func(c *conn) error {
			seqs, err := oldestFinals(c, noCutoff, 1)
			if err != nil {
				return err
			}
			before := int64(noCutoff)
			if len(seqs) > 0 {
				if before, err = c.number("SELECT created_at FROM jobs WHERE seq = ?", seqs[0]); err != nil {
					return err
				}
			}
			through, err = lastEventBefore(c, before)
			return err
		}); err != nil {
			return fmt.Errorf("prune events: %w", err)
		}
		if err := db.pruneEventsThrough(ctx, done, through); err != nil {
			return err
		}
	}
}

// noCutoff is later than every time.
const noCutoff = 1<<63 - 1

// pruneJobs removes final jobs that stopped before cutoff, oldest first, for as long as excess says how many there are too
// many.
func (db *DB) pruneJobs(ctx context.Context, done *Pruned, cutoff int64, excess func(*conn) (int64, error)) error {
	for {
		var seqs []int64
		if err := db.read(ctx, func(c *conn) error {
			n, err := excess(c)
			if err != nil || n <= 0 {
				return err
			}
			seqs, err = oldestFinals(c, cutoff, min(n, pruneChunk))
			return err
		}); err != nil {
			return fmt.Errorf("prune jobs: %w", err)
		}
		if len(seqs) == 0 {
			return nil
		}
		for len(seqs) > 0 {
			removed := 0
			if err := db.write(ctx, func(t *tx) error {
				removed = 0
				for rows := int64(0); removed < len(seqs) && rows < pruneChunk; removed++ {
					n, err := t.c.number("SELECT count(*) FROM children WHERE seq = ?", seqs[removed])
					if err != nil {
						t.note(err)
						return err
					}
					if err := t.deleteJob(seqs[removed]); err != nil {
						return err
					}
					rows += n + 1
				}
				return nil
			}); err != nil {
				return fmt.Errorf("prune jobs: %w", err)
			}
			done.Jobs += int64(removed)
			seqs = seqs[removed:]
		}
	}
}

func finals(c *conn) (int64, error) {
	queues, err := allQueues(c)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, q := range queues {
		n, err := c.number("SELECT count(*) FROM jobs INDEXED BY jobs_by_status WHERE part = ? AND queue = ? AND status >= "+finalStatus, q.part, q.name)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// oldestFinals returns up to limit final jobs that stopped before cutoff, by time of submission. A job can not have
// stopped before it was submitted, so the walks end at the cutoff.
func oldestFinals(c *conn, cutoff, limit int64) ([]int64, error) {
	queues, err := allQueues(c)
	if err != nil {
		return nil, err
	}
	type final struct{ createdAt, seq int64 }
	var found []final
	for _, q := range queues {
		for _, status := range []int64{6, 7} {
			if err := c.each(func(cur *cursor) (bool, error) {
				found = append(found, final{cur.int(0), cur.int(1)})
				return true, nil
			}, `SELECT created_at, seq FROM jobs INDEXED BY jobs_by_status WHERE part = ? AND queue = ? AND status = ?
				AND created_at < ? AND stopped_at < ? ORDER BY created_at, seq LIMIT ?`, q.part, q.name, status, cutoff, cutoff, limit); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(found, func(a, b final) int { return cmp.Or(cmp.Compare(a.createdAt, b.createdAt), cmp.Compare(a.seq, b.seq)) })
	seqs := make([]int64, 0, limit)
	for _, f := range found[:min(len(found), int(limit))] {
		seqs = append(seqs, f.seq)
	}
	return seqs, nil
}

// pruneEvents removes from the front of the journal.
func (db *DB) pruneEvents(ctx context.Context, done *Pruned, now time.Time, r Retention) error {
	var through int64 // the last that goes
	if err := db.read(ctx, func(c *conn) error {
		if r.EventAge > 0 {
			n, err := lastEventBefore(c, now.Add(-r.EventAge).UnixMilli())
			if err != nil {
				return err
			}
			through = n
		}
		if r.Events > 0 {
			n, err := c.number("SELECT coalesce(max(id), 0) - ? FROM events", r.Events)
			if err != nil {
				return err
			}
			through = max(through, n)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("prune events: %w", err)
	}
	return db.pruneEventsThrough(ctx, done, through)
}

// lastEventBefore is the ID of the last event before a time, 0 if there is none. IDs and times ascend together: all before
// the first that is young enough are old.
func lastEventBefore(c *conn, ms int64) (int64, error) {
	return c.number("SELECT coalesce((SELECT id - 1 FROM events WHERE time >= ? ORDER BY id LIMIT 1), (SELECT max(id) FROM events), 0)", ms)
}

func (db *DB) pruneEventsThrough(ctx context.Context, done *Pruned, through int64) error {
	for n := int64(-1); through > 0 && n != 0; {
		if err := db.write(ctx, func(t *tx) (err error) {
			n, err = t.exec("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= ? ORDER BY id LIMIT ?)", through, pruneChunk)
			return err
		}); err != nil {
			return fmt.Errorf("prune events: %w", err)
		}
		done.Events += n
	}
	return nil
}
