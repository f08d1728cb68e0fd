package engine

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
)

// encodeDirty turns what the steps touched into rows, once each, in an order that depends on the values only.
func (c *Core) encodeDirty() {
	works := make([]*work, 0, len(c.dirty))
	for w := range c.dirty {
		works = append(works, w)
	}
	slices.SortFunc(works, func(a, b *work) int {
		return cmp.Or(cmp.Compare(a.job.seq, b.job.seq), cmp.Compare(a.index, b.index))
	})
	clear(c.dirty)
	for _, w := range works {
		if w.index >= 0 {
			c.changes.Children = append(c.changes.Children, ChildRecord{
				Seq: w.job.seq, Index: int(w.index), Status: w.status, State: encode(&w.WorkState),
			})
			continue
		}
		c.changes.Jobs = append(c.changes.Jobs, w.job.record(w.status, w.StoppedAt, encode(&w.WorkState)))
		for _, n := range w.nodes {
			if n.dirty {
				n.dirty = false
				c.changes.Children = append(c.changes.Children, ChildRecord{
					Seq: w.job.seq, Index: n.index, Status: n.status, State: encode(&n.WorkState),
				})
			}
		}
	}
	for _, j := range sortedJobs(c.dirtyArr) {
		c.changes.Jobs = append(c.changes.Jobs, j.record(j.array.status, j.array.StoppedAt, encode(&j.array.JobState)))
	}
	clear(c.dirtyArr)
}

// record is the job's row. Its Spec is part of the first one only.
func (j *job) record(status batch.Status, stoppedAt int64, state []byte) JobRecord {
	rec := JobRecord{
		Seq: j.seq, Partition: j.part.Partition, ID: j.id,
		Queue: j.spec.Queue, Name: j.spec.JobName, Definition: j.spec.Definition, Share: j.spec.Share,
		Status: status, CreatedAt: j.createdAt, StoppedAt: stoppedAt, State: state,
	}
	if j.isNew {
		rec.Spec = encode(j.spec)
		j.isNew = false
	}
	return rec
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("engine: encoding state: " + err.Error()) // plain structs and valid raw JSON: a fault of ours
	}
	return b
}

func sortedJobs(set map[*job]struct{}) []*job {
	jobs := make([]*job, 0, len(set))
	for j := range set {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
	return jobs
}
