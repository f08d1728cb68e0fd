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
		c.releaseChild(j, int32(i))
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
	if a.live[i] != nil || a.Cancelled || a.Terminated { // cancelled while it waited
		c.finishChild(j, i, "")
		return
	}
	c.setImplicit(j, i, batch.MayRun)
}

// news is that a job (child -1) or one child of an array has become final, which those that wait for it have to be told.
type news struct {
	job   *job
	child int32
}

// spread brings news to those that wait for it. What follows from one piece may be more news: that is appended, so that a
// long chain of dependants is a loop here and not a recursion.
func (c *Core) spread(n news) {
	c.news = append(c.news, n)
	if c.spreading {
		return
	}
	c.spreading = true
	for i := 0; i < len(c.news); i++ {
		n := c.news[i]
		c.news[i] = news{}
		if n.child >= 0 {
			c.newsOfChild(n.job, n.child)
		} else {
			c.newsOfJob(n.job)
		}
	}
	c.news, c.spreading = c.news[:0], false
}

// childFinal is called when a child of an array has become final.
func (c *Core) childFinal(j *job, i int32) {
	c.spread(news{j, i})
	c.parentMayEnd(j)
}

// newsOfChild tells the jobs that wait for one child of an array that it is final, and in a SEQUENTIAL array the next child.
func (c *Core) newsOfChild(j *job, i int32) {
	a := j.array
	ok := a.states[i] == batch.Succeeded
	if next := i + 1; a.sequential && int(next) < len(a.states) && !a.states[next].Final() {
		if ok {
			c.releaseChild(j, next)
			c.enqueueFresh(j)
		} else {
			c.finishChild(j, next, batch.ReasonDependencyFailed)
		}
	}
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

// jobFinal takes a job that has become final out of the live state and tells those who wait for it as a whole.
func (c *Core) jobFinal(j *job) {
	delete(c.jobs, j.id)
	delete(j.queue.jobs, j)
	j.queue.work.Leave(j.spec.Share, c.now)
	c.queueMayVanish(j.queue)
	c.spread(news{j, -1})
}

func (c *Core) newsOfJob(j *job) {
	ok := j.status() == batch.Succeeded
	for _, dependent := range j.waiters {
		c.dependencyFinal(dependent, ok)
	}
	j.waiters = nil
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
	if j.array != nil {
		c.endUnstarted(j, batch.ReasonDependencyFailed)
		return
	}
	reason := batch.ReasonDependencyFailed
	if j.work.Cancelled {
		reason = j.work.StopReason
	}
	c.finish(j.work, reason)
}

// endUnstarted fails every child of an array that is not final and not under way, and with that perhaps the array.
func (c *Core) endUnstarted(j *job, reason string) {
	for i, s := range j.array.states {
		switch s {
		case batch.Submitted, batch.Pending, batch.Runnable:
			c.finishChild(j, int32(i), reason)
		}
	}
}

// finishChild fails a child that is not under way. A caller who cancelled it, or its array, while it waited has said why.
func (c *Core) finishChild(j *job, i int32, reason string) {
	a := j.array
	if a.states[i].Final() {
		return
	}
	w := a.live[i]
	if w == nil {
		w = c.newChild(j, i)
	}
	if a.fresh.has(int(i)) {
		a.fresh.clear(int(i))
		if a.nextFresh() < 0 {
			c.dequeue(&a.item)
		}
	}
	c.dequeue(&w.item)
	c.leaveHead(j, i)
	if w.StopReason == "" && (a.Cancelled || a.Terminated) {
		w.Cancelled, w.StopReason = true, a.StopReason
	}
	if w.StopReason != "" {
		reason = w.StopReason
	}
	w.StatusReason = reason
	c.move(w, batch.Ended)
	delete(a.live, i)
	c.childFinal(j, i)
}

// leaveHead is called when a job or child that waited ends: it blocks its queue no more, and what is behind it may run.
func (c *Core) leaveHead(j *job, index int32) {
	if j.queue.blocked.blocks(j, index) {
		c.unblock(j.queue)
	}
	j.part.unsettled = true
}

// newChild makes a work of a child that has none.
func (c *Core) newChild(j *job, i int32) *work {
	w := c.newWork(j, i)
	w.status = j.array.states[i]
	w.CreatedAt = j.createdAt
	return w
}

// finish ends a work that is not under way (single or multi-node job, or a child) as FAILED.
func (c *Core) finish(w *work, reason string) {
	if w.index >= 0 {
		c.finishChild(w.job, w.index, reason)
		return
	}
	c.dequeue(&w.item)
	c.leaveHead(w.job, -1)
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
		switch {
		case a.Cancelled || a.Terminated:
			a.StatusReason = a.StopReason
		case j.depFailed:
			a.StatusReason = batch.ReasonDependencyFailed
		default:
			a.StatusReason = batch.ReasonChildFailed
		}
	}
	c.moveParent(j, trigger)
	c.jobFinal(j)
}
