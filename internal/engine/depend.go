package engine

import (
	"github.com/batchbox/batchbox/internal/batch"
)

// release is called when nothing holds the job back as a whole any more: it, or those of its children that wait for
// nothing else, become runnable; what was cancelled while it waited ends now.
func (c *Core) release(j *job) {
	a := j.array
	if a == nil {
		w := j.work
		if w.Cancelled || w.Terminated {
			c.finish(w, w.StopReason)
			return
		}
		c.move(w, batch.MayRun)
		c.readyNodes(w)
		c.enqueue(w)
		return
	}
	for i := range a.states {
		if c.releaseChild(j, int32(i)); j.final() { // it had been cancelled, and that was its last child
			return
		}
	}
	c.enqueueFresh(j)
}

// releaseChild makes a child of an array runnable if nothing is outstanding for it, or ends it if it was cancelled while it
// waited. The caller puts the array into its queue.
func (c *Core) releaseChild(j *job, i int32) {
	a := j.array
	if s := a.states[i]; s != batch.Submitted && s != batch.Pending {
		return
	}
	if j.waits > 0 || a.depsLeft != nil && a.depsLeft[i] > 0 {
		return
	}
	if a.sequential && i > 0 && a.states[i-1] != batch.Succeeded {
		return
	}
	if w := a.live[i]; w != nil { // cancelled while it waited
		c.finishChild(j, i, w.StopReason)
		return
	}
	if a.Cancelled || a.Terminated {
		c.finishChild(j, i, a.StopReason)
		return
	}
	c.setImplicit(j, i, batch.MayRun)
}

// childFinal tells those who wait for one child of an array that it is final.
func (c *Core) childFinal(j *job, i int32) {
	a := j.array
	if next := i + 1; a.sequential && int(next) < len(a.states) && !a.states[next].Final() {
		if a.states[i] == batch.Succeeded {
			c.releaseChild(j, next)
			c.enqueueFresh(j)
		} else {
			c.failFollowers(j, next)
		}
	}
	c.tellWaiters(j, i)
}

// tellWaiters tells the jobs that wait for one child of an array that it is final.
func (c *Core) tellWaiters(j *job, i int32) {
	ok := j.array.states[i] == batch.Succeeded
	for _, dependent := range j.pairs {
		if dependent.final() || dependent.array.states[i].Final() {
			continue
		}
		if !ok {
			c.finishChild(dependent, i, batch.ReasonDependencyFailed)
			continue
		}
		dependent.array.depsLeft[i]--
		c.releaseChild(dependent, i)
		c.enqueueFresh(dependent)
	}
	waiters := j.childWaiters[i]
	delete(j.childWaiters, i)
	for _, dependent := range waiters {
		c.dependencyFinal(dependent, ok)
	}
}

// failFollowers fails child i of a SEQUENTIAL array and all after it: the one before it failed for good. It is a loop of
// its own, since each child failing the next would recurse as deep as the array is long.
func (c *Core) failFollowers(j *job, i int32) {
	for ; int(i) < len(j.array.states); i++ {
		if !j.array.states[i].Final() {
			c.finishChildQuietly(j, i, batch.ReasonDependencyFailed)
			c.tellWaiters(j, i)
		}
	}
	c.parentMayEnd(j)
}

// jobFinal tells those who wait for the whole job that it is final, and takes it out of the live state. Work still waiting
// is told through a queue of its own, so that a long chain of dependants is a loop and not a recursion.
func (c *Core) jobFinal(j *job) {
	delete(c.jobs, j.id)
	delete(j.queue.jobs, j)
	j.queue.work.Leave(j.spec.Share, c.now)
	c.queueMayVanish(j.queue)
	c.finals = append(c.finals, j)
	if c.settling {
		return
	}
	c.settling = true
	for len(c.finals) > 0 {
		done := c.finals[0]
		c.finals = c.finals[1:]
		ok := done.status() == batch.Succeeded
		for _, dependent := range done.waiters {
			c.dependencyFinal(dependent, ok)
		}
		done.waiters = nil
	}
	c.finals, c.settling = nil, false
}

// dependencyFinal tells a job that one of those it waits for as a whole is final.
func (c *Core) dependencyFinal(j *job, ok bool) {
	j.waits--
	if j.final() {
		return
	}
	j.depFailed = j.depFailed || !ok
	switch {
	case j.depFailed:
		c.failDependents(j)
	case j.waits == 0:
		c.release(j)
	}
}

// failDependents fails a job whose dependency has failed (reference, section 4). A job cancelled before shows the
// caller's reason: the cancellation takes effect now.
func (c *Core) failDependents(j *job) {
	reason := batch.ReasonDependencyFailed
	if j.array == nil {
		if j.work.Cancelled || j.work.Terminated {
			reason = j.work.StopReason
		}
		c.finish(j.work, reason)
		return
	}
	if j.array.Cancelled || j.array.Terminated {
		reason = j.array.StopReason
	}
	c.endUnstarted(j, reason)
}

// endUnstarted fails every child of an array that is not final and not under way, and with that perhaps the array.
func (c *Core) endUnstarted(j *job, reason string) {
	a := j.array
	for i := range a.states {
		switch a.states[i] {
		case batch.Submitted, batch.Pending, batch.Runnable:
			c.finishChildQuietly(j, int32(i), reason)
			c.tellWaiters(j, int32(i))
		}
	}
	c.parentMayEnd(j)
}

// finishChild fails a child that is not under way.
func (c *Core) finishChild(j *job, i int32, reason string) {
	c.finishChildQuietly(j, i, reason)
	c.childFinal(j, i)
	c.parentMayEnd(j)
}

// finishChildQuietly fails a child without telling anyone.
func (c *Core) finishChildQuietly(j *job, i int32, reason string) {
	a := j.array
	w := a.live[i]
	if w == nil {
		w = c.newWork(j, i)
		w.status = a.states[i]
		w.CreatedAt = j.createdAt
	}
	if a.fresh.has(int(i)) {
		a.fresh.clear(int(i))
		if a.nextFresh() < 0 {
			c.dequeue(&a.item)
		}
	}
	c.dequeue(&w.item)
	if w.StopReason != "" {
		reason = w.StopReason
	}
	w.StatusReason = reason
	c.move(w, batch.Ended)
	delete(a.live, i)
}

// finish ends a work that is not under way (single or multi-node job, or a child) as FAILED.
func (c *Core) finish(w *work, reason string) {
	if w.index >= 0 {
		c.finishChild(w.job, w.index, reason)
		return
	}
	c.dequeue(&w.item)
	w.StatusReason = reason
	c.finishNodes(w, reason)
	c.move(w, batch.Ended)
	c.jobFinal(w.job)
}

// parentMayEnd ends an array parent when all its children are final (reference 3.10; whether a failure shows on the
// parent before the last child has ended is question 13 of section 15).
func (c *Core) parentMayEnd(j *job) {
	a := j.array
	if a.status.Final() || a.unfinished() > 0 {
		return
	}
	trigger := batch.Completed
	if a.counts[batch.Failed] > 0 {
		trigger = batch.Ended
		a.StatusReason = batch.ReasonChildFailed
		if a.Cancelled || a.Terminated {
			a.StatusReason = a.StopReason
		}
	}
	c.moveParent(j, trigger)
	c.jobFinal(j)
}
