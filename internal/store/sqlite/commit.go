package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Commit implements engine.Store.
func (db *DB) Commit(ctx context.Context, c *engine.Changes) error {
	if c.Empty() {
		return ctx.Err()
	}
	return db.write(ctx, func(t *tx) error { return t.apply(c) })
}

func (t *tx) apply(c *engine.Changes) error {
	for i := range c.Resources {
		if err := t.resource(&c.Resources[i]); err != nil {
			return err
		}
	}
	for i := range c.Jobs {
		if err := t.job(&c.Jobs[i]); err != nil {
			return err
		}
	}
	if err := t.children(c.Children); err != nil {
		return err
	}
	for i := range c.Events {
		if err := t.event(&c.Events[i]); err != nil {
			return err
		}
	}
	for _, seq := range c.DeleteJobs {
		if err := t.deleteJob(seq); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) resource(r *engine.ResourceRecord) error {
	part, err := t.part(r.Partition)
	if err != nil {
		return err
	}
	if r.Value == nil {
		_, err = t.exec("DELETE FROM resources WHERE part = ? AND kind = ? AND key = ?", part, r.Kind, r.Key)
	} else {
		_, err = t.exec(`INSERT INTO resources (part, kind, key, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (part, kind, key) DO UPDATE SET value = excluded.value`, part, r.Kind, r.Key, r.Value)
	}
	if err != nil {
		return fmt.Errorf("resource %s %q: %w", r.Kind, r.Key, err)
	}
	return nil
}

// job adds a job, or changes what changes of one. That a final job stays as it is belongs to the condition, so that the
// file keeps the promise whoever calls.
func (t *tx) job(j *engine.JobRecord) error {
	const update = `UPDATE jobs SET status = ?, stopped_at = ?, state = ? WHERE seq = ? AND (status < ? OR status = ?)`
	if j.Spec == nil {
		n, err := t.exec(update, int64(j.Status), j.StoppedAt, j.State, j.Seq, int64(batch.Succeeded), int64(j.Status))
		if err != nil {
			return fmt.Errorf("job %s (seq %d): %w", j.ID, j.Seq, err)
		}
		if n == 0 {
			return fmt.Errorf("job %s (seq %d) can not become %s: there is no such job, or it is final", j.ID, j.Seq, j.Status)
		}
		return nil
	}
	part, err := t.part(j.Partition)
	if err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO jobs (seq, part, id, queue, name, definition, share, status, created_at, stopped_at, state)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (seq) DO UPDATE SET status = excluded.status, stopped_at = excluded.stopped_at, state = excluded.state
		WHERE id = excluded.id AND (status < `+finalStatus+` OR status = excluded.status)`,
		j.Seq, part, j.ID, j.Queue, j.Name, j.Definition, j.Share, int64(j.Status), j.CreatedAt, j.StoppedAt, j.State)
	if err == nil && n == 0 {
		err = fmt.Errorf("can not become %s: the number is taken, or the job is final", j.Status)
	}
	if err == nil {
		_, err = t.exec("INSERT INTO job_specs (seq, spec) VALUES (?, ?) ON CONFLICT (seq) DO UPDATE SET spec = excluded.spec", j.Seq, j.Spec)
	}
	if err != nil {
		return fmt.Errorf("job %s (seq %d): %w", j.ID, j.Seq, err)
	}
	return nil
}

// finalStatus is the least final status, in SQL.
const finalStatus = "6"

// childrenPerStatement is how many children one statement writes; fewer are written one by one.
const childrenPerStatement = 16

func childStatement(n int) string {
	return "INSERT INTO children (seq, idx, status, state) VALUES " + strings.Repeat("(?, ?, ?, ?), ", n-1) + `(?, ?, ?, ?)
		ON CONFLICT (seq, idx) DO UPDATE SET status = excluded.status, state = excluded.state`
}

var oneChild, manyChildren = childStatement(1), childStatement(childrenPerStatement)

func (t *tx) children(cs []engine.ChildRecord) error {
	args := make([]any, 0, 4*childrenPerStatement)
	for len(cs) > 0 {
		n, text := 1, oneChild
		if len(cs) >= childrenPerStatement {
			n, text = childrenPerStatement, manyChildren
		}
		args = args[:0]
		for i := range n {
			args = append(args, cs[i].Seq, int64(cs[i].Index), int64(cs[i].Status), cs[i].State)
		}
		if _, err := t.exec(text, args...); err != nil {
			return fmt.Errorf("%d children from number %d of job seq %d: %w", n, cs[0].Index, cs[0].Seq, err)
		}
		cs = cs[n:]
	}
	return nil
}

func (t *tx) event(e *engine.EventRecord) error {
	part, err := t.part(e.Partition)
	if err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO events (id, part, time, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET part = excluded.part, time = excluded.time, body = excluded.body`, e.ID, part, e.Time, e.Body); err != nil {
		return fmt.Errorf("event %d: %w", e.ID, err)
	}
	return nil
}

func (t *tx) deleteJob(seq int64) error {
	for _, s := range []string{
		"DELETE FROM children WHERE seq = ?",
		"DELETE FROM job_specs WHERE seq = ?",
		"DELETE FROM jobs WHERE seq = ?",
	} {
		if _, err := t.exec(s, seq); err != nil {
			return fmt.Errorf("delete job seq %d: %w", seq, err)
		}
	}
	return nil
}
