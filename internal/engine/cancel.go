package engine

import (
	"github.com/batchbox/batchbox/internal/batch"
)

// CancelJob and TerminateJob end a job that is not final. Both accept ids of jobs, array children and nodes; an unknown
// id has no effect (reference, sections 1.5 and 3.9).
type CancelJob struct {
	Partition batch.Partition
	ID        batch.JobID
	Reason    string
}

// TerminateJob is CancelJob that stops what runs as well.
type TerminateJob CancelJob

func (ev CancelJob) apply(c *Core) (any, error) {
	c.end(ev.Partition, ev.ID, ev.Reason, false)
	return nil, nil
}

func (ev TerminateJob) apply(c *Core) (any, error) {
	c.end(ev.Partition, ev.ID, ev.Reason, true)
	return nil, nil
}

func (c *Core) end(p batch.Partition, id batch.JobID, reason string, terminate bool) {
	j := c.jobs[id.Parent]
	if j == nil || j.part.Partition != p || !hasPart(j.spec, id) {
		return
	}
	switch {
	case id.Sep == ':':
		c.endChild(j, int32(id.Index), reason, terminate)
	case j.array != nil:
		c.endArray(j, reason, terminate)
	default: // a node stands for its job: the nodes of a multi-node job can't be ended one by one
		c.endWork(j.work, reason, terminate)
	}
}

// endArray ends all children: those not under way now or, while the array waits for dependencies, when these are
// settled; those under way only if terminated. The parent ends with its last child.
func (c *Core) endArray(j *job, reason string, terminate bool) {
	a := j.array
	if !a.Cancelled && !a.Terminated {
		a.StopReason = reason
	}
	a.Cancelled = a.Cancelled || !terminate
	a.Terminated = a.Terminated || terminate
	c.dirtyArr[j] = struct{}{}
	for i := range a.states {
		if j.final() {
			return
		}
		if s := a.states[i]; s == batch.Runnable || s >= batch.Starting && !s.Final() && terminate {
			c.endChild(j, int32(i), reason, terminate)
		}
	}
}

func (c *Core) endChild(j *job, i int32, reason string, terminate bool) {
	a := j.array
	if a.states[i].Final() {
		return
	}
	w := a.live[i]
	if w == nil {
		w = c.newChild(j, i)
		a.live[i] = w
	}
	c.endWork(w, reason, terminate)
}

func (c *Core) endWork(w *work, reason string, terminate bool) {
	underWay := w.status == batch.Starting || w.status == batch.Running
	if w.status.Final() || underWay && !terminate {
		return
	}
	if w.StopReason == "" {
		w.StopReason = reason
	}
	// Terminating what has not started counts as cancelling it (API TerminateJob).
	if underWay {
		w.Terminated = true
	} else {
		w.Cancelled = true
	}
	c.touch(w)
	switch {
	case underWay:
		c.stopAttempt(w, stopTerminate)
	case w.status == batch.Pending:
		// Takes effect when the dependencies are settled: see release and failDependents.
	default:
		c.finish(w, w.StopReason)
	}
}

// InterruptSpot reclaims the capacity under a job that runs on a Spot environment: SIGTERM, and SIGKILL after the stop
// timeout. It answers an error if the job is not running on Spot.
type InterruptSpot struct {
	Partition batch.Partition
	ID        batch.JobID
}

func (ev InterruptSpot) apply(c *Core) (any, error) {
	j := c.jobs[ev.ID.Parent]
	if j == nil || j.part.Partition != ev.Partition || !hasPart(j.spec, ev.ID) {
		return nil, batch.Refusedf("job %s is not running", ev.ID)
	}
	var hit int
	each := func(w *work) {
		if w != nil && w.attempt != nil && w.attempt.env.isSpot() {
			c.stopAttempt(w, stopSpot)
			hit++
		}
	}
	switch {
	case j.array == nil:
		each(j.work)
	case ev.ID.Sep == ':':
		each(j.array.live[int32(ev.ID.Index)])
	default:
		for i := range j.array.states {
			each(j.array.live[int32(i)])
		}
	}
	if hit == 0 {
		return nil, batch.Refusedf("job %s has no attempt under way on a Spot compute environment", ev.ID)
	}
	return hit, nil
}

func (e *environment) isSpot() bool {
	return e.ResourceType == batch.FargateSpot || e.ResourceType == batch.Spot
}
