package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
)

// viewWork copies a single job, a multi-node job or a child that has a work of its own.
func (c *Core) viewWork(w *work) JobView {
	v := JobView{
		Partition: w.job.part.Partition, Seq: w.job.seq, ID: w.id(), Index: int(w.index), Node: -1,
		Spec: w.job.spec, Status: w.status, WorkState: w.WorkState.clone(),
	}
	if b := &w.job.queue.blocked; w.status == batch.Runnable && b.blocks(w.job, w.index) {
		v.StatusReason = b.reason
	}
	return v
}

// viewChild copies an array child that is not final. One without a work has nothing but its state.
func (c *Core) viewChild(j *job, i int32) JobView {
	if w := j.array.live[i]; w != nil {
		return c.viewWork(w)
	}
	v := JobView{
		Partition: j.part.Partition, Seq: j.seq, ID: batch.ArrayChildID(j.id, int(i)), Index: int(i), Node: -1,
		Spec: j.spec, Status: j.array.states[i], WorkState: WorkState{CreatedAt: j.createdAt},
	}
	if b := &j.queue.blocked; v.Status == batch.Runnable && b.blocks(j, i) {
		v.StatusReason = b.reason
	}
	return v
}

// viewEntry copies what stands in a queue: a work, or an array's next child.
func (c *Core) viewEntry(e entry) JobView {
	if e.work != nil {
		return c.viewWork(e.work)
	}
	return c.viewChild(e.job, e.job.array.nextFresh())
}

func (c *Core) viewParent(j *job) JobView {
	counts := j.array.counts
	return JobView{
		Partition: j.part.Partition, Seq: j.seq, ID: j.id, Index: -1, Node: -1, Spec: j.spec, Status: j.array.status,
		WorkState: j.array.JobState.workState(j.createdAt), Summary: &counts, SummaryAt: j.array.summaryAt,
	}
}

func (c *Core) viewNode(w *work, n *node) JobView {
	return JobView{
		Partition: w.job.part.Partition, Seq: w.job.seq, ID: batch.NodeID(w.job.id, n.index), Index: -1, Node: n.index,
		Spec: w.job.spec, Status: n.status, WorkState: n.WorkState.clone(),
	}
}

// workState is a parent's state in the form of JobView.
func (s *JobState) workState(createdAt int64) WorkState {
	return WorkState{
		StatusReason: s.StatusReason, CreatedAt: createdAt, StartedAt: s.StartedAt, StoppedAt: s.StoppedAt,
		Cancelled: s.Cancelled, Terminated: s.Terminated, StopReason: s.StopReason,
	}
}

// clone copies what later steps may write to.
func (s *WorkState) clone() WorkState {
	out := *s
	out.Attempts = slices.Clone(s.Attempts)
	if s.Current != nil {
		current := *s.Current
		current.Containers = slices.Clone(current.Containers)
		out.Current = &current
	}
	return out
}

// liveView is the view of an unfinished job, or of a child or node of one that is not final itself. final says that id
// names a finished child or node of an unfinished job, whose row is in the Store under seq.
func (c *Core) liveView(p batch.Partition, id batch.JobID) (v JobView, found, final bool) {
	j := c.jobs[id.Parent]
	if j == nil || j.part.Partition != p {
		return JobView{}, false, false
	}
	switch {
	case id.Index < 0 && j.array != nil:
		return c.viewParent(j), true, false
	case id.Index < 0:
		return c.viewWork(j.work), true, false
	case !hasPart(j.spec, id):
		return JobView{}, false, false
	case id.Sep == '#':
		return c.viewNode(j.work, j.work.nodes[id.Index]), true, false
	case j.array.states[id.Index].Final():
		return JobView{Partition: p, Seq: j.seq, Spec: j.spec}, true, true
	default:
		return c.viewChild(j, int32(id.Index)), true, false
	}
}

// viewRecord is the view of a stored job.
func viewRecord(rec JobRecord) (JobView, error) {
	v := JobView{Partition: rec.Partition, Seq: rec.Seq, ID: rec.ID, Index: -1, Node: -1, Status: rec.Status, Spec: new(batch.Spec)}
	if err := json.Unmarshal(rec.Spec, v.Spec); err != nil {
		return v, fmt.Errorf("engine: spec of job %s: %w", rec.ID, err)
	}
	if v.Spec.ArraySize == 0 {
		if err := json.Unmarshal(rec.State, &v.WorkState); err != nil {
			return v, fmt.Errorf("engine: state of job %s: %w", rec.ID, err)
		}
		return v, nil
	}
	var state JobState
	if err := json.Unmarshal(rec.State, &state); err != nil {
		return v, fmt.Errorf("engine: state of job %s: %w", rec.ID, err)
	}
	v.WorkState = state.workState(rec.CreatedAt)
	v.Summary, v.SummaryAt = state.Summary, state.StoppedAt
	return v, nil
}

// viewChildRecord is the view of a stored array child or node of the job that parent shows.
func viewChildRecord(parent JobView, rec ChildRecord) (JobView, error) {
	v := JobView{Partition: parent.Partition, Seq: rec.Seq, Spec: parent.Spec, Status: rec.Status, Index: -1, Node: -1}
	if parent.Spec.ArraySize > 0 {
		v.Index, v.ID = rec.Index, batch.ArrayChildID(parent.ParentID(), rec.Index)
	} else {
		v.Node, v.ID = rec.Index, batch.NodeID(parent.ParentID(), rec.Index)
	}
	if err := json.Unmarshal(rec.State, &v.WorkState); err != nil {
		return v, fmt.Errorf("engine: state of job %s: %w", v.ID, err)
	}
	return v, nil
}
