package engine

import (
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// SubmitJob puts a job into its queue. Spec has been resolved and validated against the definition and the queue as the
// Catalog had them; what may have changed since is checked here. The result is the job's id (string).
type SubmitJob struct {
	Partition batch.Partition
	Spec      *batch.Spec
	// Facts are what the Store says of jobs in DependsOn that are not in memory. If one is missing, Step answers an
	// *UnknownDependencies error, and the caller looks these up and tries again.
	Facts map[string]DependencyFact
}

// DependencyFact is what the Store says of a finished job that another depends on.
type DependencyFact struct {
	Exists bool
	Status batch.Status // of the job or child named
	// Children holds the final states of an array's children, for N_TO_N; nil if it is no array.
	Children []batch.Status
}

// UnknownDependencies asks for the facts about these job ids.
type UnknownDependencies struct{ IDs []string }

func (e *UnknownDependencies) Error() string { return "engine: facts about dependencies are missing" }

func (ev SubmitJob) apply(c *Core) (any, error) {
	part := c.partition(ev.Partition)
	q := part.queues[ev.Spec.Queue]
	if q == nil || q.Status == batch.StatusDeleting {
		return nil, batch.ErrQueueUnknown(ev.Partition, ev.Spec.Queue)
	}
	if q.State != batch.Enabled {
		return nil, batch.ErrQueueDisabled(ev.Partition, ev.Spec.Queue)
	}
	if err := c.checkDependencies(ev.Partition, ev.Spec, ev.Facts); err != nil {
		return nil, err
	}
	if q.work.Fair() && !q.work.Active(ev.Spec.Share, c.now) && q.work.ActiveShares(c.now) >= batch.MaxActiveShares {
		return nil, batch.ErrTooManyShares(q.Name)
	}
	c.lastSeq++
	j := &job{
		seq: c.lastSeq, part: part, id: c.ids.UUID(), spec: ev.Spec, queue: q, createdAt: c.nowMs(), isNew: true,
	}
	c.admit(j)
	c.wire(j, ev.Facts)
	return j.id, nil
}

// admit makes the job part of the live state, in SUBMITTED.
func (c *Core) admit(j *job) {
	if j.spec.ArraySize > 0 {
		j.array = newArray(j.spec.ArraySize)
		j.array.item = sched.Item[entry]{Work: entry{job: j}, Key: sched.Key{Priority: j.priority(), Seq: j.seq}, Cost: j.spec.MilliCPU()}
		j.array.summaryAt = c.nowMs()
		c.dirtyArr[j] = struct{}{}
	} else {
		j.work = c.newWork(j, -1)
		j.work.CreatedAt = j.createdAt
		c.touch(j.work)
	}
	c.enroll(j)
}

func (c *Core) enroll(j *job) {
	c.jobs[j.id] = j
	j.queue.jobs[j] = struct{}{}
	j.queue.work.Enter(j.spec.Share, c.now)
}

func (c *Core) newWork(j *job, index int32) *work {
	w := &work{job: j, index: index, status: batch.Submitted}
	w.item.Work = entry{job: j, work: w}
	w.item.Cost = j.spec.MilliCPU()
	w.item.Key = sched.Key{Priority: j.priority(), Seq: j.seq, Index: max(index, 0)}
	if j.spec.NumNodes > 0 {
		w.nodes = newNodes(j.spec)
	}
	return w
}

// priority is the scheduling priority, which has a meaning only within a share.
func (j *job) priority() int {
	if j.queue.work.Fair() {
		return j.spec.Priority
	}
	return 0
}

// checkDependencies refuses a submission whose dependsOn can't be honoured, before anything is changed.
func (c *Core) checkDependencies(p batch.Partition, spec *batch.Spec, facts map[string]DependencyFact) error {
	var missing []string
	for _, d := range spec.DependsOn {
		if d.JobID == "" {
			continue
		}
		id, ok := batch.ParseJobID(d.JobID)
		if !ok {
			return batch.ErrDependencyUnknown(d.JobID)
		}
		if j := c.jobs[id.Parent]; j != nil && j.part.Partition == p {
			if !hasPart(j.spec, id) {
				return batch.ErrDependencyUnknown(d.JobID)
			}
			if d.Type == batch.NToN {
				if err := batch.CheckNToN(spec.ArraySize, j.spec.ArraySize, d.JobID); err != nil {
					return err
				}
			}
			continue
		}
		fact, known := facts[d.JobID]
		switch {
		case !known:
			missing = append(missing, d.JobID)
		case !fact.Exists:
			return batch.ErrDependencyUnknown(d.JobID)
		case d.Type == batch.NToN:
			if err := batch.CheckNToN(spec.ArraySize, len(fact.Children), d.JobID); err != nil {
				return err
			}
		}
	}
	if missing != nil {
		return &UnknownDependencies{IDs: missing}
	}
	return nil
}

// hasPart says whether the job has the child or node that id names; the id of the job itself is one of its parts.
func hasPart(spec *batch.Spec, id batch.JobID) bool {
	switch id.Sep {
	case ':':
		return id.Index < spec.ArraySize
	case '#':
		return id.Index < spec.NumNodes
	default:
		return true
	}
}

// wire connects the job with what it depends on and lets it go as far as that allows: its own rows tell which of its
// children have moved already (after a restart), facts what the Store knows of finished dependencies.
func (c *Core) wire(j *job, facts map[string]DependencyFact) {
	a := j.array
	hold := func(i int32) { // one N_TO_N partner outstanding for child i
		if a.depsLeft == nil {
			a.depsLeft = make([]uint8, len(a.states))
		}
		a.depsLeft[i]++
	}
	var failed []int32 // children whose partner has failed
	for _, d := range j.spec.DependsOn {
		if d.JobID == "" {
			a.sequential = true
			continue
		}
		id, _ := batch.ParseJobID(d.JobID)
		on := c.jobs[id.Parent]
		var partners []batch.Status
		switch {
		case on == nil:
			partners = facts[d.JobID].Children
		case on.array != nil:
			partners = on.array.states
		}
		switch {
		case d.Type == batch.NToN:
			for i, s := range partners {
				switch {
				case s == batch.Failed:
					failed = append(failed, int32(i))
				case s != batch.Succeeded:
					hold(int32(i))
				}
			}
			if on != nil {
				on.pairs = append(on.pairs, j)
			}
		case on == nil:
			j.depFailed = j.depFailed || facts[d.JobID].Status != batch.Succeeded
		case id.Sep == ':':
			switch s := on.array.states[id.Index]; s {
			case batch.Succeeded:
			case batch.Failed:
				j.depFailed = true
			default:
				if on.childWaiters == nil {
					on.childWaiters = map[int32][]*job{}
				}
				on.childWaiters[int32(id.Index)] = append(on.childWaiters[int32(id.Index)], j)
				j.waits++
			}
		default: // the whole job; a node counts as its job
			on.waiters = append(on.waiters, j)
			j.waits++
		}
	}
	c.startLife(j, failed)
}

// startLife moves a job out of SUBMITTED: into PENDING while something is outstanding, else on.
func (c *Core) startLife(j *job, failed []int32) {
	if j.depFailed {
		c.failDependents(j)
		return
	}
	a := j.array
	if a == nil {
		if j.work.status.Final() || j.work.status >= batch.Runnable {
			return // restored further on
		}
		if j.waits == 0 {
			c.release(j)
		} else if j.work.status == batch.Submitted {
			c.move(j.work, batch.MustWait)
		}
		return
	}
	if j.waits > 0 || a.depsLeft != nil || a.sequential {
		if a.status == batch.Submitted {
			c.moveParent(j, batch.MustWait)
		}
		for i, s := range a.states {
			if s == batch.Submitted {
				c.setImplicit(j, int32(i), batch.MustWait)
			}
		}
	}
	slices.Sort(failed)
	for _, i := range failed {
		c.finishChild(j, i, batch.ReasonDependencyFailed)
	}
	if j.waits == 0 && !j.final() {
		c.release(j)
	}
}

// setImplicit moves a child that has no work of its own between its first states, without a row.
func (c *Core) setImplicit(j *job, i int32, trigger batch.Trigger) {
	to, err := batch.Next(batch.Worker, j.array.states[i], trigger)
	if err != nil {
		panic("engine: array job " + j.id + ": " + err.Error())
	}
	c.moveChild(j, i, to)
	if to == batch.Runnable {
		j.array.addFresh(i)
	}
	if c.announcing() {
		c.announceImplicit(j, i)
	}
}

func (j *job) final() bool { return j.status().Final() }
