package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// A page of jobs is merged from walks down an index, each of which is in the page's order already: one for each status,
// say, of a queue. Every walk reads one row ahead and no more, so that a page costs its own rows however many jobs there
// are.

// maxDefinitions bounds the walks for a definition prefix; where more revisions match, jobs are walked by age.
const maxDefinitions = 128

// ListJobs implements engine.Store.
func (db *DB) ListJobs(ctx context.Context, q engine.JobQuery) ([]engine.JobRecord, error) {
	if q.NamePrefix != "" && q.BeforeSeq != 0 && q.BeforeName == "" {
		return nil, errors.New("store: a page by name prefix continues after a name, which was not given")
	}
	var recs []engine.JobRecord
	err := db.read(ctx, func(c *conn) error {
		part, known, err := db.parts.find(c, q.Partition)
		if err != nil || !known {
			return err
		}
		l := listing{c: c, q: &q, part: part}
		walks, err := l.walks()
		if err != nil {
			return err
		}
		recs, err = l.merge(ctx, walks)
		return err
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

type listing struct {
	c    *conn
	q    *engine.JobQuery
	part int64
}

// walk is one way down an index: the queue and what more is fixed in it.
type walk struct {
	index string
	where string
	args  []any
}

// walks chooses the index that leaves the least to be looked at and skipped.
func (l *listing) walks() ([]walk, error) {
	queues := []string{l.q.Queue}
	if l.q.Queue == "" {
		all, err := allQueues(l.c)
		if err != nil {
			return nil, err
		}
		queues = queues[:0]
		for _, q := range all {
			if q.part == l.part {
				queues = append(queues, q.name)
			}
		}
	}
	var walks []walk
	for _, queue := range queues {
		more, err := l.queueWalks(queue)
		if err != nil {
			return nil, err
		}
		walks = append(walks, more...)
	}
	return walks, nil
}

func (l *listing) queueWalks(queue string) ([]walk, error) {
	fixed := func(index, where string, args ...any) walk {
		return walk{index, "j.part = ? AND j.queue = ?" + where, append([]any{l.part, queue}, args...)}
	}
	q := l.q
	switch {
	case q.NamePrefix != "":
		return []walk{fixed("jobs_by_name", " AND j.name >= ?", q.NamePrefix)}, nil
	case q.Name != "":
		return []walk{fixed("jobs_by_name", " AND j.name = ?", q.Name)}, nil
	case q.Definition != "":
		return []walk{fixed("jobs_by_definition", " AND j.definition = ?", q.Definition)}, nil
	case q.DefinitionPrefix != "":
		names, err := l.definitions(queue)
		if err != nil {
			return nil, err
		}
		if len(names) <= maxDefinitions {
			var walks []walk
			for _, name := range names {
				walks = append(walks, fixed("jobs_by_definition", " AND j.definition = ?", name))
			}
			return walks, nil
		}
	}
	statuses := q.Statuses
	if len(statuses) == 0 {
		for s := batch.Submitted; int(s) < batch.NumStatuses; s++ {
			statuses = append(statuses, s)
		}
	}
	var walks []walk
	for _, s := range statuses {
		if q.Share != "" {
			walks = append(walks, fixed("jobs_by_share", " AND j.share <> '' AND j.share = ? AND j.status = ?", q.Share, int64(s)))
		} else {
			walks = append(walks, fixed("jobs_by_status", " AND j.status = ?", int64(s)))
		}
	}
	return walks, nil
}

// definitions returns the definitions with the prefix that jobs of a queue have, up to one more than maxDefinitions.
func (l *listing) definitions(queue string) ([]string, error) {
	var names []string
	err := l.c.each(func(cur *cursor) (bool, error) {
		names = append(names, cur.text(0))
		return true, nil
	}, `WITH RECURSIVE hop (definition) AS (
			SELECT min(definition) FROM jobs WHERE part = ?1 AND queue = ?2 AND definition >= ?3
			UNION ALL
			SELECT (SELECT min(definition) FROM jobs WHERE part = ?1 AND queue = ?2 AND definition > hop.definition)
			FROM hop WHERE hop.definition IS NOT NULL AND substr(hop.definition, 1, length(?3)) = ?3)
		SELECT definition FROM hop WHERE substr(definition, 1, length(?3)) = ?3 LIMIT ?4`,
		l.part, queue, l.q.DefinitionPrefix, maxDefinitions+1)
	return names, err
}

// open starts a walk, with the conditions of the query that its index does not answer.
func (l *listing) open(w walk) (*cursor, error) {
	q, where, args := l.q, w.where, append([]any(nil), w.args...)
	and := func(cond string, more ...any) {
		where += " AND " + cond
		args = append(args, more...)
	}
	if q.NamePrefix != "" {
		name, at, seq := firstAfter(q.NamePrefix), int64(0), int64(0)
		if q.BeforeSeq != 0 {
			name, at, seq = q.BeforeName, q.BeforeCreatedAt, q.BeforeSeq
		}
		and("(j.name, j.created_at, j.seq) < (?, ?, ?)", name, at, seq)
		and("substr(j.name, 1, length(?)) = ? COLLATE NOCASE", q.NamePrefix, q.NamePrefix)
		if q.CreatedBefore != 0 {
			and("j.created_at < ?", q.CreatedBefore)
		}
	} else {
		at, seq := int64(math.MaxInt64), int64(0)
		if q.BeforeSeq != 0 {
			at, seq = q.BeforeCreatedAt, q.BeforeSeq
		}
		if q.CreatedBefore != 0 && q.CreatedBefore <= at {
			at, seq = q.CreatedBefore, 0
		}
		and("(j.created_at, j.seq) < (?, ?)", at, seq)
	}
	if q.CreatedAfter != 0 {
		and("j.created_at > ?", q.CreatedAfter)
	}
	if q.Name != "" && q.NamePrefix != "" {
		and("j.name = ?", q.Name)
	}
	if q.Definition != "" && w.index != "jobs_by_definition" {
		and("j.definition = ?", q.Definition)
	}
	if q.DefinitionPrefix != "" {
		and("substr(j.definition, 1, length(?)) = ?", q.DefinitionPrefix, q.DefinitionPrefix)
	}
	if q.Share != "" && w.index != "jobs_by_share" {
		and("j.share = ?", q.Share)
	}
	if len(q.Statuses) > 0 && w.index != "jobs_by_status" && w.index != "jobs_by_share" {
		and("(1 << j.status) & ?", statusMask(q.Statuses))
	}
	order := "j.created_at DESC, j.seq DESC"
	if q.NamePrefix != "" {
		order = "j.name DESC, " + order
	}
	return l.c.open(fmt.Sprintf("SELECT %s FROM jobs j INDEXED BY %s CROSS JOIN job_specs s ON s.seq = j.seq WHERE %s ORDER BY %s",
		jobColumns, w.index, where, order), args...)
}

// firstAfter is the least text that is greater than every text with the prefix, letters of either case being the same.
func firstAfter(prefix string) string {
	b := []byte(strings.ToLower(prefix))
	b[len(b)-1]++
	return string(b)
}

// merge takes the greatest of the walks' rows until the page is full.
func (l *listing) merge(ctx context.Context, walks []walk) (recs []engine.JobRecord, err error) {
	heads := make([]*cursor, 0, len(walks))
	defer func() {
		for _, h := range heads {
			err = errors.Join(err, h.close())
		}
	}()
	for _, w := range walks {
		cur, err := l.open(w)
		if err != nil {
			return nil, err
		}
		heads = append(heads, cur)
		if heads, err = advance(heads, len(heads)-1); err != nil {
			return nil, err
		}
	}
	for len(heads) > 0 && (l.q.Limit <= 0 || len(recs) < l.q.Limit) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		best := 0
		for i := 1; i < len(heads); i++ {
			if l.before(heads[i], heads[best]) {
				best = i
			}
		}
		rec := jobOf(heads[best])
		rec.Partition = l.q.Partition
		recs = append(recs, rec)
		if l.q.Limit > 0 && len(recs) == l.q.Limit {
			break
		}
		if heads, err = advance(heads, best); err != nil {
			return nil, err
		}
	}
	return recs, nil
}

// advance moves the walk at i to its next row, and drops it at its end.
func advance(heads []*cursor, i int) ([]*cursor, error) {
	ok, err := heads[i].next()
	if err != nil || ok {
		return heads, err
	}
	err = heads[i].close()
	heads[i] = heads[len(heads)-1]
	return heads[:len(heads)-1], err
}

// before says whether a's row comes before b's in the page.
func (l *listing) before(a, b *cursor) bool {
	if l.q.NamePrefix != "" {
		if c := strings.Compare(strings.ToLower(a.text(3)), strings.ToLower(b.text(3))); c != 0 {
			return c > 0
		}
	}
	if a.int(7) != b.int(7) {
		return a.int(7) > b.int(7)
	}
	return a.int(0) > b.int(0)
}
