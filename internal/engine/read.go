package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// Describe returns the views of the jobs, children and nodes with these ids, in the order asked, leaving out those that do
// not exist.
func (e *Engine) Describe(ctx context.Context, p batch.Partition, ids []batch.JobID) ([]JobView, error) {
	views := make([]JobView, len(ids))
	found := make([]bool, len(ids))
	stored := make([]bool, len(ids)) // a finished child of an unfinished job
	err := e.look(ctx, func(c *Core) {
		for i, id := range ids {
			views[i], found[i], stored[i] = c.liveView(p, id)
		}
	})
	if err != nil {
		return nil, err
	}
	out := views[:0:0]
	for i, id := range ids {
		switch {
		case found[i] && !stored[i]:
		case found[i]:
			views[i].ID = id.Parent
			views[i], found[i], err = e.storedChild(ctx, views[i], id)
		default:
			views[i], found[i], err = e.stored(ctx, p, id)
		}
		if err != nil {
			return nil, err
		}
		if found[i] {
			out = append(out, views[i])
		}
	}
	return out, nil
}

// stored reads a finished job, or a child or node of one.
func (e *Engine) stored(ctx context.Context, p batch.Partition, id batch.JobID) (JobView, bool, error) {
	rec, ok, err := e.cfg.Store.Job(ctx, p, id.Parent)
	if err != nil || !ok {
		return JobView{}, false, err
	}
	v, err := viewRecord(rec)
	if err != nil || id.Index < 0 {
		return v, err == nil, err
	}
	return e.storedChild(ctx, v, id)
}

func (e *Engine) storedChild(ctx context.Context, parent JobView, id batch.JobID) (JobView, bool, error) {
	if array := parent.Spec.ArraySize > 0; array != (id.Sep == ':') {
		return JobView{}, false, nil
	}
	rec, ok, err := e.cfg.Store.Child(ctx, parent.Seq, id.Index)
	if err != nil || !ok {
		return JobView{}, false, err
	}
	v, err := viewChildRecord(parent, rec)
	return v, err == nil, err
}

// ListJobs pages through the jobs of a queue as the Store has them; unfinished ones are shown as they are now.
func (e *Engine) ListJobs(ctx context.Context, q JobQuery) ([]JobView, error) {
	recs, err := e.cfg.Store.ListJobs(ctx, q)
	if err != nil {
		return nil, err
	}
	views := make([]JobView, len(recs))
	var live []int
	for i, rec := range recs {
		if views[i], err = viewRecord(rec); err != nil {
			return nil, err
		}
		if !rec.Status.Final() {
			live = append(live, i)
		}
	}
	if len(live) == 0 {
		return views, nil
	}
	err = e.look(ctx, func(c *Core) {
		for _, i := range live {
			id, _ := batch.ParseJobID(views[i].ID)
			// A job that has moved on since the page was read stays as the page has it: it belongs there.
			if v, ok, _ := c.liveView(q.Partition, id); ok && v.Status == views[i].Status {
				views[i] = v
			}
		}
	})
	return views, err
}

// PartsQuery asks for the children of an array, or the nodes of a multi-node job, that are in Status.
type PartsQuery struct {
	Partition   batch.Partition
	Parent      string // id
	Nodes       bool
	Status      batch.Status
	From, Limit int // index, and how many at most
}

// ListParts pages through the children or nodes of a job, ascending by index. An unknown job, and one of the other kind, has
// none.
func (e *Engine) ListParts(ctx context.Context, q PartsQuery) ([]JobView, error) {
	var views []JobView
	var final []int // positions in views of those to be read from the Store
	var seq int64
	live := false
	err := e.look(ctx, func(c *Core) {
		views, final, live = nil, nil, false
		j := c.jobs[q.Parent]
		if j == nil || j.part.Partition != q.Partition {
			return
		}
		live, seq = true, j.seq
		if q.Nodes != (j.spec.NumNodes > 0) {
			return
		}
		if j.array == nil {
			for i := q.From; i < len(j.work.nodes) && len(views) < q.Limit; i++ {
				if n := j.work.nodes[i]; n.status == q.Status {
					views = append(views, c.viewNode(j.work, n))
				}
			}
			return
		}
		for i := q.From; i < len(j.array.states) && len(views) < q.Limit; i++ {
			if j.array.states[i] != q.Status {
				continue
			}
			if q.Status.Final() {
				final = append(final, len(views))
				views = append(views, JobView{Partition: q.Partition, Seq: j.seq, ID: j.id, Spec: j.spec, Index: i})
				continue
			}
			views = append(views, c.viewChild(j, int32(i)))
		}
	})
	if err != nil {
		return nil, err
	}
	if !live {
		rec, ok, err := e.cfg.Store.Job(ctx, q.Partition, q.Parent)
		if err != nil || !ok {
			return nil, err
		}
		v, err := viewRecord(rec)
		if err != nil || q.Nodes != (v.Spec.NumNodes > 0) {
			return nil, err
		}
		return e.listStored(ctx, v, q)
	}
	if len(final) == 0 {
		return views, nil
	}
	// All of one final status: the Store has them in the same order.
	q.Limit = len(views)
	return e.listStored(ctx, JobView{Partition: q.Partition, Seq: seq, ID: q.Parent, Spec: views[0].Spec}, q)
}

func (e *Engine) listStored(ctx context.Context, parent JobView, q PartsQuery) ([]JobView, error) {
	recs, err := e.cfg.Store.ListChildren(ctx, ChildQuery{Seq: parent.Seq, Statuses: []batch.Status{q.Status}, From: q.From, Limit: q.Limit})
	if err != nil {
		return nil, err
	}
	views := make([]JobView, len(recs))
	for i, rec := range recs {
		if views[i], err = viewChildRecord(parent, rec); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// FrontJob is a job at the front of its queue.
type FrontJob struct {
	ID string
	// Since is when it came to its place, in ms: the later of its becoming RUNNABLE and its predecessor's leaving is not
	// tracked, so this is when it became RUNNABLE, or for children that have not been tried when their array was created.
	Since int64
}

// Snapshot is what GetJobQueueSnapshot shows.
type Snapshot struct {
	At    int64 // ms
	Front []FrontJob
	// MilliCPU is what jobs of the queue hold now.
	MilliCPU int64
	// Shares and ActiveShares are of fair-share queues.
	Fair         bool
	ActiveShares int
	Shares       []ShareUse
}

// ShareUse is what a share identifier holds now.
type ShareUse struct {
	Share    string
	MilliCPU int64
}

// Snapshot shows the front of a queue; ok is false if there is no such queue.
func (e *Engine) Snapshot(ctx context.Context, p batch.Partition, queueName string, limit int) (snap Snapshot, ok bool, err error) {
	err = e.look(ctx, func(c *Core) {
		q := c.partition(p).queues[queueName]
		if ok = q != nil; ok {
			snap = c.snapshot(q, limit)
		}
	})
	return snap, ok, err
}

// ConsumableInUse is what tasks hold of a consumable resource now.
func (e *Engine) ConsumableInUse(ctx context.Context, p batch.Partition, name string) (inUse int64, err error) {
	err = e.look(ctx, func(c *Core) {
		inUse = 0
		if r := c.partition(p).consumables[name]; r != nil {
			inUse = r.inUse
		}
	})
	return inUse, err
}

// ConsumableJobs lists the unfinished jobs that need a consumable resource, oldest first.
func (e *Engine) ConsumableJobs(ctx context.Context, p batch.Partition, name string) (views []JobView, err error) {
	err = e.look(ctx, func(c *Core) {
		views = nil
		for _, j := range sortedJobs(c.liveJobs()) {
			needs := slices.ContainsFunc(j.spec.Consumables, func(r batch.ConsumableRequirement) bool { return r.Resource == name })
			if !needs || j.part.Partition != p {
				continue
			}
			v, _, _ := c.liveView(p, batch.JobID{Parent: j.id, Index: -1})
			views = append(views, v)
		}
	})
	return views, err
}

// ChangeJobTags changes the tags of a job, finished or not.
func (e *Engine) ChangeJobTags(ctx context.Context, ev ChangeJobTags) error {
	_, err := e.Do(ctx, ev)
	var refusal *batch.Error
	if !errors.As(err, &refusal) {
		return err
	}
	rec, ok, storeErr := e.cfg.Store.Job(ctx, ev.Partition, ev.ID)
	if storeErr != nil {
		return storeErr
	}
	if !ok || !rec.Status.Final() {
		return err
	}
	_, err = e.Do(ctx, changeStoredTags{ChangeJobTags: ev, rec: rec})
	return err
}

// changeStoredTags is ChangeJobTags for a finished job, whose row is read outside the loop: it does not change any more.
type changeStoredTags struct {
	ChangeJobTags
	rec JobRecord
}

func (ev changeStoredTags) apply(c *Core) (any, error) {
	v, err := viewRecord(ev.rec)
	if err != nil {
		return nil, err
	}
	merged, err := batch.MergeTags(v.Spec.Tags, ev.Add)
	if err != nil {
		return nil, err
	}
	v.Spec.Tags = batch.RemoveTags(merged, ev.Remove)
	ev.rec.Spec = encode(v.Spec)
	c.changes.Jobs = append(c.changes.Jobs, ev.rec)
	return nil, nil
}

// Due is when the engine next has something to do by itself; zero for never.
func (e *Engine) Due(ctx context.Context) (at time.Time, err error) {
	err = e.look(ctx, func(c *Core) { at = c.timers.next() })
	return at, err
}
