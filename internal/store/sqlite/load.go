package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Load implements engine.Store. It reads one snapshot and never touches finished jobs, however many there are.
func (db *DB) Load(ctx context.Context, v engine.Visitor) error {
	return db.read(ctx, func(c *conn) error {
		if v.LastSeq != nil {
			last := int64(0)
			err := c.each(func(cur *cursor) (bool, error) {
				last = cur.int(0)
				return true, nil
			}, "SELECT coalesce(max(seq), 0) FROM jobs")
			if err != nil {
				return err
			}
			v.LastSeq(last)
		}
		if err := loadResources(ctx, c, v); err != nil {
			return err
		}
		seqs, err := unfinished(c)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(seqs, loadChunk) {
			if err := loadJobs(ctx, c, chunk, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// loadChunk is how many jobs are read by one statement.
const loadChunk = 256

func loadResources(ctx context.Context, c *conn, v engine.Visitor) error {
	return c.each(func(cur *cursor) (bool, error) {
		return true, firstOf(ctx.Err(), func() error {
			return v.Resource(engine.ResourceRecord{
				Partition: batch.Partition{Account: cur.text(0), Region: cur.text(1)},
				Kind:      cur.text(2), Key: cur.text(3), Value: cur.blob(4),
			})
		})
	}, "SELECT account, region, kind, key, value FROM resources JOIN partitions USING (part) ORDER BY account, region, kind, key")
}

func firstOf(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

// unfinished returns the numbers of all jobs that are not final, ascending. There is no index for it, which every job
// would pay for: the queues are few, and each has its unfinished jobs together.
func unfinished(c *conn) ([]int64, error) {
	var seqs []int64
	queues, err := allQueues(c)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if err := c.each(func(cur *cursor) (bool, error) {
			seqs = append(seqs, cur.int(0))
			return true, nil
		}, "SELECT seq FROM jobs INDEXED BY jobs_by_status WHERE part = ? AND queue = ? AND status < "+finalStatus, q.part, q.name); err != nil {
			return nil, err
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

type queueKey struct {
	part int64
	name string
}

// allQueues returns the queues that have jobs, hopping along the index from one to the next.
func allQueues(c *conn) ([]queueKey, error) {
	var queues []queueKey
	err := c.each(func(cur *cursor) (bool, error) {
		queues = append(queues, queueKey{cur.int(0), cur.text(1)})
		return true, nil
	}, `WITH RECURSIVE hop (part, queue) AS (
			SELECT part, (SELECT min(queue) FROM jobs INDEXED BY jobs_by_status WHERE jobs.part = partitions.part) FROM partitions
			UNION ALL
			SELECT part, (SELECT min(queue) FROM jobs INDEXED BY jobs_by_status WHERE jobs.part = hop.part AND queue > hop.queue)
			FROM hop WHERE queue IS NOT NULL)
		SELECT part, queue FROM hop WHERE queue IS NOT NULL`)
	return queues, err
}

// loadJobs hands over the jobs of these numbers, each with its children.
func loadJobs(ctx context.Context, c *conn, seqs []int64, v engine.Visitor) error {
	list, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	jobs := make(map[int64]engine.JobRecord, len(seqs))
	if err := c.each(func(cur *cursor) (bool, error) {
		j := jobOf(cur)
		j.Partition = batch.Partition{Account: cur.text(jobColumnCount), Region: cur.text(jobColumnCount + 1)}
		jobs[j.Seq] = j
		return true, nil
	}, "SELECT "+jobColumns+", p.account, p.region FROM json_each(?) e CROSS JOIN jobs j ON j.seq = e.value JOIN job_specs s ON s.seq = j.seq JOIN partitions p ON p.part = j.part",
		string(list)); err != nil {
		return err
	}
	parents := make(map[int64]bool)
	if err := c.each(func(cur *cursor) (bool, error) {
		parents[cur.int(0)] = true
		return true, nil
	}, "SELECT e.value FROM json_each(?) e WHERE EXISTS (SELECT 1 FROM children c WHERE c.seq = e.value)", string(list)); err != nil {
		return err
	}
	for _, seq := range seqs {
		j, ok := jobs[seq]
		if !ok {
			return fmt.Errorf("%s: job seq %d is incomplete", c.file, seq)
		}
		if err := firstOf(ctx.Err(), func() error { return v.Job(j) }); err != nil {
			return err
		}
		if !parents[seq] {
			continue
		}
		if err := c.each(func(cur *cursor) (bool, error) {
			return true, firstOf(ctx.Err(), func() error { return v.Child(childOf(cur)) })
		}, "SELECT "+childColumns+" FROM children WHERE seq = ? ORDER BY idx", seq); err != nil {
			return err
		}
	}
	return nil
}
