package engine

import (
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// snapshot lists the front of a queue in the order in which the jobs would be dispatched, and what it uses.
func (c *Core) snapshot(q *queue, limit int) Snapshot {
	s := Snapshot{At: c.nowMs(), MilliCPU: q.used, Fair: q.work.Fair()}
	pieces := func(it *sched.Item[entry]) int {
		if it.Work.work != nil {
			return 1
		}
		return it.Work.job.array.fresh.count()
	}
	child := map[*job]int{} // the array's next fresh child
	q.work.Walk(c.now, pieces, func(it *sched.Item[entry]) bool {
		j, w := it.Work.job, it.Work.work
		if w != nil {
			s.Front = append(s.Front, FrontJob{ID: w.id(), Since: w.RunnableAt})
		} else {
			i := j.array.fresh.next(child[j])
			child[j] = i + 1
			s.Front = append(s.Front, FrontJob{ID: batch.ArrayChildID(j.id, i), Since: j.createdAt})
		}
		return len(s.Front) < limit
	})
	if s.Fair {
		s.ActiveShares = q.work.ActiveShares(c.now)
		for _, use := range q.work.Utilization(c.now) {
			s.Shares = append(s.Shares, ShareUse(use))
		}
	}
	return s
}
