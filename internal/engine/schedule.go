package engine

import (
	"cmp"
	"math"
	"slices"
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
	if a.status.Final() || a.nextFresh() < 0 || a.item.Queued() {
		return
	}
	j.queue.work.Push(&a.item, j.spec.Share, c.now)
	j.part.unsettled = true
}

// schedule places what can be placed, in every partition where something changed. One cycle serves the queues by
// descending priority; each goes on until its head does not fit, then the next has its turn (reference 7.1).
func (c *Core) schedule() {
	parts := c.partOrder
	if c.limits.MaxTasks > 0 && len(parts) > 1 { // whoever has less of the machine goes first
		parts = slices.Clone(parts)
		slices.SortStableFunc(parts, func(a, b *partition) int { return cmp.Compare(a.tasks, b.tasks) })
	}
	for _, part := range parts {
		for part.unsettled { // again if work failed at dispatch and that changed something
			part.unsettled = false
			for _, q := range part.cycle() {
				c.serve(q)
			}
		}
	}
}

// cycle is the queues in the order in which they are served: by descending priority. Among equals AWS documents no order;
// here whichever holds less goes first, so that none starves the others of an environment they share.
func (p *partition) cycle() []*queue {
	if len(p.order) < 2 {
		return p.order
	}
	queues := slices.Clone(p.order)
	slices.SortStableFunc(queues, func(a, b *queue) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.used, b.used))
	})
	return queues
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
			c.unblock(q)
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
			c.park(it, j.part.missing(j.spec))
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
	demand, reserved := spec.MilliCPU(), q.work.Reserved(spec.Share, c.now)
	var room [maxQueueEnvironments]sched.Env
	envs := room[:0]
	for _, env := range q.envs {
		most := env.capacity()
		envs = append(envs, sched.Env{
			Unfit: !env.runs(spec), Usable: env.usable(),
			Max: most, Used: env.used, Limit: most - int64(math.Round(float64(most)*reserved)),
		})
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
	if e.job.part.missing(spec) != "" {
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
	w := c.newChild(j, i)
	a.live[i] = w
	return w
}

func (e *environment) usable() bool {
	return e.State == batch.Enabled && e.Status == batch.StatusValid
}

// maxQueueEnvironments is how many compute environments a queue may have (User Guide, "AWS Batch service quotas").
const maxQueueEnvironments = 3

// runs says whether the environment is of a kind that runs such work. Submission has checked that the queue has one; the
// queue's environments may have been changed since. Multi-node jobs run on on-demand EC2 capacity only: not on Fargate, not
// on Spot, not on unmanaged environments (User Guide, "Multi-node parallel jobs").
func (e *environment) runs(spec *batch.Spec) bool {
	if spec.NumNodes > 0 {
		return e.ResourceType == batch.EC2
	}
	return e.IsFargate() == (spec.Platform == batch.Fargate)
}

// capacity is how many milli-vCPU may be in use at once. The instances of an UNMANAGED environment are the user's own;
// unmanagedvCpus, which counts them, is optional, and without it only the machine sets a bound.
func (e *environment) capacity() int64 {
	if e.Type == batch.Unmanaged && e.UnmanagedVCPUs == 0 {
		return unbounded
	}
	return e.MaxMilliCPU
}

// unbounded is more milli-vCPU than anything asks for, and far enough from overflow to add to.
const unbounded = 1 << 50

// place begins an attempt: the work takes its room and becomes STARTING.
func (c *Core) place(w *work, env *environment) {
	j := w.job
	j.queue.work.Remove(&w.item, j.spec.Share)
	c.hold(w, env, c.nowMs())
	if w.nodes != nil {
		w.attempt.addresses = c.takeBlock(j.id)
		w.Current = &Attempt{ComputeEnvironment: env.Name, Cluster: env.Cluster(), PlacedAt: c.nowMs()}
		c.move(w, batch.Placed)
		c.startNodes(w)
		return
	}
	w.Current = c.newAttempt(j, j.taskView(), env)
	c.move(w, batch.Placed)
	c.starts = append(c.starts, c.startOf(w))
}

// hold takes the room of one attempt, placed at a time in ms, on the environment, in the share and on the machine.
func (c *Core) hold(w *work, env *environment, placedAt int64) {
	spec := w.job.spec
	w.attempt = &attempt{env: env, milliCPU: spec.MilliCPU(), hostTasks: spec.Tasks()}
	env.used += w.attempt.milliCPU
	w.job.queue.used += w.attempt.milliCPU
	env.tasks++
	c.hostTasks += w.attempt.hostTasks
	w.job.part.tasks += w.attempt.hostTasks
	w.job.queue.work.Hold(spec.Share, w.attempt.milliCPU, c.now)
	w.attempt.held = w.job.part.holdConsumables(spec, placedAt)
}

// letGo gives back what hold took.
func (c *Core) letGo(w *work) {
	spec := w.job.spec
	w.attempt.env.used -= w.attempt.milliCPU
	w.job.queue.used -= w.attempt.milliCPU
	w.attempt.env.tasks--
	c.hostTasks -= w.attempt.hostTasks
	w.job.part.tasks -= w.attempt.hostTasks
	w.job.queue.work.Release(spec.Share, w.attempt.milliCPU, c.now)
	c.keepUsage(w.job.queue)
	c.releaseConsumables(w.job.part, w.attempt.held)
	if w.nodes != nil {
		delete(c.blocks, w.attempt.addresses)
	}
	c.timers.remove(w.attempt.deadline)
	c.timers.remove(w.attempt.reclaim)
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
	reason, index := q.blockedReason(e.job.spec, verdict), e.index()
	if b := q.blocked; b.job == e.job && b.index == index && b.reason == reason {
		return
	}
	since := c.nowMs()
	if k := q.kept; k != nil && *k == (keptBlock{e.job.id, index, reason, k.Since}) {
		since = k.Since // the engine was restarted meanwhile
	}
	c.unblock(q)
	q.blocked = blocked{job: e.job, index: index, reason: reason, since: since}
	if reason == "" {
		return
	}
	c.armTimeLimit(q)
	if c.announcing() {
		v := c.viewEntry(e)
		c.notices = append(c.notices, Notice{View: v, Last: v.Index, At: c.nowMs(), Blocked: true})
	}
}

// blockedReason is what a reader sees of a head that can't be placed; "" if it only waits for its turn.
//
// unverified: that disabled environments, and none of the job's kind, show as undetermined.
func (q *queue) blockedReason(spec *batch.Spec, verdict sched.Verdict) string {
	switch verdict {
	case sched.TooLarge:
		return batch.ReasonTooLarge
	case machineFull:
		return batch.ReasonNoCapacity(q.headType())
	case sched.NoneUsable:
		for _, env := range q.envs {
			if env.runs(spec) && env.Status != batch.StatusInvalid {
				return batch.ReasonUndetermined
			}
		}
		return batch.ReasonEnvironmentsInvalid
	case sched.NoneFit:
		return batch.ReasonUndetermined
	default:
		return ""
	}
}

// index is that of the array child that is to run, -1 if the job is no array.
func (e entry) index() int32 {
	switch {
	case e.work != nil:
		return e.work.index
	case e.job.array != nil:
		return e.job.array.nextFresh()
	default:
		return -1
	}
}

// blocks says whether the job, or the array child of that index, is the head of its queue that can't be placed.
func (b *blocked) blocks(j *job, index int32) bool { return b.job == j && b.index == index }

// armTimeLimit starts the clock of the action for the blocked head's reason, if the queue has one; it counts from the time
// since which the head is blocked.
func (c *Core) armTimeLimit(q *queue) {
	defer c.keepBlocked(q)
	b := &q.blocked
	c.timers.remove(b.timer)
	b.timer = nil
	if b.job == nil {
		return
	}
	if action, ok := batch.TimeLimitFor(q.TimeLimitActions, batch.Runnable, b.reason); ok {
		at := b.since + (time.Duration(action.MaxTimeSeconds) * time.Second).Milliseconds()
		b.timer = c.timers.add(at, func() { c.timeLimit(q, action) })
	}
}

// unblock forgets the head that could not be placed.
func (c *Core) unblock(q *queue) {
	c.timers.remove(q.blocked.timer)
	q.blocked = blocked{}
	c.keepBlocked(q)
}

// kindBlocked is the resource row that remembers the head of a queue whose clock runs, so that a restart does not set it back.
const kindBlocked = "blocked-head"

// keptBlock is that row.
type keptBlock struct {
	Job    string `json:"job"`
	Index  int32  `json:"index"`
	Reason string `json:"reason"`
	Since  int64  `json:"since"` // ms
}

// keepBlocked writes, or removes, the row about the queue's head if it is not what it should be.
func (c *Core) keepBlocked(q *queue) {
	b := &q.blocked
	rec := ResourceRecord{Partition: q.part.Partition, Kind: kindBlocked, Key: q.Name}
	switch {
	case b.timer == nil && q.kept == nil:
		return
	case b.timer == nil:
		q.kept = nil
	default:
		k := keptBlock{b.job.id, b.index, b.reason, b.since}
		if q.kept != nil && *q.kept == k {
			return
		}
		q.kept, rec.Value = &k, encode(k)
	}
	c.changes.Resources = append(c.changes.Resources, rec)
}

// timeLimit cancels the head of a queue that has been blocked for too long.
func (c *Core) timeLimit(q *queue, action batch.JobStateTimeLimit) {
	b := q.blocked
	c.unblock(q)
	reason := action.CancelReason()
	if b.index >= 0 {
		c.finishChild(b.job, b.index, reason)
	} else {
		c.finish(b.job.work, reason)
	}
}

// headType is the resource type of the queue's first environment, for messages.
func (q *queue) headType() string {
	if len(q.envs) == 0 {
		return ""
	}
	return q.envs[0].ResourceType
}
