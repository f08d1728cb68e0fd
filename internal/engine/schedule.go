package engine

import (
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// enqueue puts a RUNNABLE work into its queue.
func (c *Core) enqueue(w *work) {
	j := w.job
	w.item.Key.Retried = len(w.Attempts) > 0
	j.queue.work.Push(&w.item, j.spec.Share, c.now)
	j.part.unsettled = true
}

// enqueueFresh puts an array into its queue if it has runnable children and is not there yet.
func (c *Core) enqueueFresh(j *job) {
	a := j.array
	if a.status.Final() || a.nextFresh() < 0 || waiting(&a.item) {
		return
	}
	j.queue.work.Push(&a.item, j.spec.Share, c.now)
	j.part.unsettled = true
}

// schedule places what can be placed, in every partition where something changed. One cycle serves the queues by
// descending priority; each goes on until its head does not fit, then the next has its turn (reference 7.1).
func (c *Core) schedule() {
	for _, part := range c.partOrder {
		if !part.unsettled {
			continue
		}
		part.unsettled = false
		for _, q := range part.order {
			c.serve(q)
		}
	}
}

// serve places the queue's work in order until its head is blocked.
func (c *Core) serve(q *queue) {
	if q.Status != batch.StatusValid {
		return
	}
	var reserved map[string]bool // shares held back by the reservation in this pass
	skip := func(share string) bool { return reserved[share] }
	for {
		it := q.work.Head(c.now, skip)
		if it == nil {
			if reserved == nil {
				c.unblock(q)
			}
			return
		}
		j := it.Work.job
		w, verdict, env := c.placement(q, it.Work)
		switch {
		case verdict == sched.Fits && w == nil:
			continue // it failed at dispatch and is gone
		case verdict == sched.Fits:
			c.place(w, env)
			c.unblock(q)
		case verdict == heldBack:
			if reserved == nil {
				reserved = map[string]bool{}
			}
			reserved[j.spec.Share] = true
		case verdict == resourceMissing:
			c.park(it)
		default:
			c.block(q, it.Work, verdict)
			return
		}
	}
}

// Verdicts of the engine's own, beside sched's.
const (
	// heldBack: the share has its part; what is left is reserved for shares that become active.
	heldBack sched.Verdict = 100 + iota
	// machineFull: the compute environment has room, this machine has not.
	machineFull
	// resourceMissing: a consumable resource is used up; the work steps aside until some is given back.
	resourceMissing
)

// placement decides about the head of a queue: the work to place (a fresh child becomes one) and where. A job that AWS
// would fail at dispatch is failed here; then the work is nil and the verdict Fits.
func (c *Core) placement(q *queue, e entry) (*work, sched.Verdict, *environment) {
	spec := e.job.spec
	if spec.FailAtDispatch != "" {
		if e.work != nil {
			c.finish(e.work, spec.FailAtDispatch)
		} else {
			c.finishChild(e.job, e.job.array.nextFresh(), spec.FailAtDispatch)
		}
		return nil, sched.Fits, nil
	}
	demand := spec.MilliCPU()
	envs := make([]sched.Env, len(q.envs))
	for i, env := range q.envs {
		envs[i] = sched.Env{
			Usable: env.usable(),
			Max:    env.MaxMilliCPU, Used: env.used,
			Limit: q.work.Available(spec.Share, env.MaxMilliCPU, c.now),
		}
	}
	i, verdict := sched.Place(envs, demand)
	if verdict == sched.NoRoom && q.work.Fair() {
		for i := range envs {
			envs[i].Limit = envs[i].Max
		}
		if _, unreserved := sched.Place(envs, demand); unreserved == sched.Fits {
			return nil, heldBack, nil
		}
	}
	if verdict != sched.Fits {
		return nil, verdict, nil
	}
	if c.limits.MaxTasks > 0 && c.hostTasks > 0 && c.hostTasks+spec.Tasks() > c.limits.MaxTasks {
		return nil, machineFull, q.envs[i]
	}
	if !e.job.part.hasConsumables(spec) {
		return nil, resourceMissing, nil
	}
	w := e.work
	if w == nil {
		w = c.takeFresh(e.job)
	}
	return w, sched.Fits, q.envs[i]
}

// takeFresh makes a work of the array's next runnable child.
func (c *Core) takeFresh(j *job) *work {
	a := j.array
	i := a.nextFresh()
	a.fresh.clear(int(i))
	if a.nextFresh() < 0 {
		j.queue.work.Remove(&a.item, j.spec.Share)
	}
	w := c.newWork(j, i)
	w.status = batch.Runnable
	w.CreatedAt = j.createdAt
	a.live[i] = w
	return w
}

func (e *environment) usable() bool {
	return e.State == batch.Enabled && e.Status == batch.StatusValid
}

// place begins an attempt: the work takes its room and becomes STARTING.
func (c *Core) place(w *work, env *environment) {
	j := w.job
	j.queue.work.Remove(&w.item, j.spec.Share)
	c.hold(w, env)
	if w.nodes != nil {
		w.Current = &Attempt{ComputeEnvironment: env.Name, Cluster: env.cluster()}
		c.move(w, batch.Placed)
		c.startNodes(w)
		return
	}
	w.Current = c.newAttempt(j, j.taskView(), env)
	c.move(w, batch.Placed)
	c.starts = append(c.starts, c.startOf(w))
}

// hold takes the room of one attempt on the environment, in the share and on the machine.
func (c *Core) hold(w *work, env *environment) {
	spec := w.job.spec
	w.attempt = &attempt{env: env, milliCPU: spec.MilliCPU(), hostTasks: spec.Tasks()}
	env.used += w.attempt.milliCPU
	env.tasks++
	c.hostTasks += w.attempt.hostTasks
	w.job.queue.work.Hold(spec.Share, w.attempt.milliCPU, c.now)
	w.job.part.holdConsumables(spec)
}

// letGo gives back what hold took.
func (c *Core) letGo(w *work) {
	spec := w.job.spec
	w.attempt.env.used -= w.attempt.milliCPU
	w.attempt.env.tasks--
	c.hostTasks -= w.attempt.hostTasks
	w.job.queue.work.Release(spec.Share, w.attempt.milliCPU, c.now)
	c.releaseConsumables(w.job.part, spec)
	c.timers.remove(w.attempt.deadline)
	w.attempt = nil
	w.job.part.unsettled = true
	if c.limits.MaxTasks > 0 {
		for _, part := range c.partOrder { // room on the machine is room for all
			part.unsettled = true
		}
	}
}

// block notes why the head of a queue can't be placed, which readers see as its statusReason, and starts the clock of
// jobStateTimeLimitActions if it is a new head or a new reason (reference 3.5: the clock runs only for the head).
func (c *Core) block(q *queue, e entry, verdict sched.Verdict) {
	var reason string
	switch verdict {
	case sched.TooLarge:
		reason = batch.ReasonTooLarge
	case machineFull:
		reason = batch.ReasonNoCapacity(q.headType())
	}
	if q.blocked.job == e.job && q.blocked.work == e.work && q.blocked.reason == reason {
		return
	}
	c.unblock(q)
	q.blocked = blocked{job: e.job, work: e.work, reason: reason, since: c.nowMs()}
	if reason == "" {
		return
	}
	if action, ok := batch.TimeLimitFor(q.TimeLimitActions, batch.Runnable, reason); ok {
		at := q.blocked.since + (time.Duration(action.MaxTimeSeconds) * time.Second).Milliseconds()
		q.blocked.timer = c.timers.add(at, func() { c.timeLimit(q, action) })
	}
	if c.limits.Notify {
		c.notices = append(c.notices, Notice{View: c.viewEntry(e), At: c.nowMs(), Blocked: true})
	}
}

// unblock forgets the head that could not be placed.
func (c *Core) unblock(q *queue) {
	b := q.blocked
	if b.job == nil {
		return
	}
	c.timers.remove(b.timer)
	q.blocked = blocked{}
}

// timeLimit cancels the head of a queue that has been blocked for too long.
func (c *Core) timeLimit(q *queue, action batch.JobStateTimeLimit) {
	b := q.blocked
	c.unblock(q)
	reason := action.CancelReason()
	if b.work != nil {
		c.finish(b.work, reason)
	} else {
		c.finishChild(b.job, b.job.array.nextFresh(), reason)
	}
	q.part.unsettled = true
}

// headType is the resource type of the queue's first environment, for messages.
func (q *queue) headType() string {
	if len(q.envs) == 0 {
		return ""
	}
	return q.envs[0].ResourceType
}
