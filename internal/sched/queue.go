package sched

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Policy is a fair-share policy as the scheduler needs it. Weight answers for any share identifier.
type Policy struct {
	// Decay is the window over which past usage counts; zero means MinDecay.
	Decay time.Duration
	// Reservation is computeReservation, in percent.
	Reservation int
	Weight      func(share string) float64
}

// MinDecay is the usage window when a policy names none (API FairsharePolicy: a shareDecaySeconds of 0 is treated as 600 seconds).
const MinDecay = 600 * time.Second

// window is the time constant of the decay.
func (p *Policy) window() time.Duration {
	if p.Decay <= 0 {
		return MinDecay
	}
	return p.Decay
}

// Queue is the runnable work of one job queue: a single line when it is FIFO, a line for each share identifier under a
// fair-share policy.
type Queue[W any] struct {
	policy *Policy // nil: FIFO
	fifo   Line[W]
	shares map[string]*share[W]
	// waiting lists the shares that have runnable work, so that a pick looks at no others.
	waiting []*share[W]
	size    int
	held    int64 // by all shares, in milli-vCPU
	decayed struct {
		dt, window time.Duration
		left       float64
	}
}

// share is one share identifier of a queue.
type share[W any] struct {
	name   string
	weight float64
	line   Line[W]
	at     int     // index in Queue.waiting, -1 when it has no runnable work
	live   int     // unfinished jobs
	held   int64   // milli-vCPU placed now
	used   bool    // something was placed since it became active
	usage  float64 // decayed average of held over the window, in milli-vCPU, as of asOf
	asOf   time.Time
	idleAt time.Time // when the last unfinished job left
}

// NewQueue makes an empty queue; policy nil makes it FIFO.
func NewQueue[W any](policy *Policy) *Queue[W] {
	return &Queue[W]{policy: policy, shares: map[string]*share[W]{}}
}

// Fair says whether the queue has a fair-share policy.
func (q *Queue[W]) Fair() bool { return q.policy != nil }

// SetPolicy replaces the policy of a fair-share queue: weights and window hold from now on.
func (q *Queue[W]) SetPolicy(policy *Policy, now time.Time) {
	for _, s := range q.shares { //batchbox:anyorder each share for itself
		q.settle(s, now)
	}
	q.policy = policy
	for _, s := range q.shares { //batchbox:anyorder each share for itself
		s.weight = policy.Weight(s.name)
	}
}

// Len is the number of items standing in the queue (an array with many runnable children is one).
func (q *Queue[W]) Len() int { return q.size }

// Push adds an item; share is ignored by a FIFO queue.
func (q *Queue[W]) Push(it *Item[W], shareName string, now time.Time) {
	q.size++
	if q.policy == nil {
		q.fifo.Push(it)
		return
	}
	s := q.share(shareName, now)
	s.line.Push(it)
	if s.at < 0 {
		s.at = len(q.waiting)
		q.waiting = append(q.waiting, s)
	}
}

// Remove takes an item out, wherever it stands. An item that is not queued is left alone.
func (q *Queue[W]) Remove(it *Item[W], shareName string) {
	if !it.Queued() {
		return
	}
	q.size--
	it.line.Remove(it)
	if q.policy == nil {
		return
	}
	if s := q.shares[shareName]; s.line.Len() == 0 {
		last := len(q.waiting) - 1
		q.waiting[s.at] = q.waiting[last]
		q.waiting[s.at].at = s.at
		q.waiting[last] = nil
		q.waiting = q.waiting[:last]
		s.at = -1
	}
}

// Head is the item to run next, nil if there is none. Fair share: the first item of the share with the lowest weighted
// usage, ties by name, so that the choice depends on nothing but the values. Shares for which skip (if not nil) says true
// are passed over; a FIFO queue has no shares and asks nothing.
func (q *Queue[W]) Head(now time.Time, skip func(share string) bool) *Item[W] {
	if q.policy == nil {
		return q.fifo.Head()
	}
	var best *share[W]
	var bestUse float64
	for _, s := range q.waiting {
		if skip != nil && skip(s.name) {
			continue
		}
		q.settle(s, now)
		if use := s.weighted(float64(s.held), s.line.Head().Cost); best == nil || use < bestUse || use == bestUse && s.name < best.name {
			best, bestUse = s, use
		}
	}
	if best == nil {
		return nil
	}
	return best.line.Head()
}

// weighted is what the shares are compared by: what it used over the window, and to a tenth what it holds now, times its
// weight. The first makes the parts right in the long run, the second spreads a burst that is placed within one instant.
// Half of the next piece of work counts as held, or else shares of few tasks would get more than their part by rounding; but
// it adds no more than half of what is used, so that a share that has used nothing goes first, whatever its weight.
//
// AWS publishes no formula (User Guide, "Fair-share scheduling": usage over the decay window, recent usage counts more,
// lower weight factor means a larger share); this one is a guess and stands alone here.
func (s *share[W]) weighted(held float64, cost int64) float64 {
	const present = 0.1
	used := s.usage + present*held
	return (used + min(used, present*float64(cost))/2) * s.weight
}

// settle brings a share's decayed usage up to now: an exponential average of what it held.
func (q *Queue[W]) settle(s *share[W], now time.Time) {
	dt := now.Sub(s.asOf)
	if dt <= 0 {
		return
	}
	f := q.decay(dt)
	s.usage = s.usage*f + float64(s.held)*(1-f)
	s.asOf = now
}

// decay is what is left of usage after a time. The shares of a queue are mostly settled together, so the last answer is kept.
func (q *Queue[W]) decay(dt time.Duration) float64 {
	if w := q.policy.window(); q.decayed.dt != dt || q.decayed.window != w {
		q.decayed.dt, q.decayed.window, q.decayed.left = dt, w, math.Exp(-dt.Seconds()/w.Seconds())
	}
	return q.decayed.left
}

func (q *Queue[W]) share(name string, now time.Time) *share[W] {
	s := q.shares[name]
	if s == nil {
		s = &share[W]{name: name, weight: q.policy.Weight(name), at: -1, asOf: now, idleAt: now}
		q.shares[name] = s
	}
	return s
}

// Enter notes an unfinished job of the share (any state from SUBMITTED to RUNNING), Leave that it became final.
func (q *Queue[W]) Enter(shareName string, now time.Time) {
	if q.policy == nil {
		return
	}
	s := q.share(shareName, now)
	s.used = s.used && q.active(s, now)
	s.live++
}

// Leave is the end of what Enter began.
func (q *Queue[W]) Leave(shareName string, now time.Time) {
	if q.policy == nil {
		return
	}
	s := q.share(shareName, now)
	s.live--
	s.idleAt = now
}

// Hold notes that a task of the share was placed and takes milliCPU, until Release.
func (q *Queue[W]) Hold(shareName string, milliCPU int64, now time.Time) {
	if q.policy != nil {
		s := q.share(shareName, now)
		q.settle(s, now)
		s.held += milliCPU
		s.used = true
		q.held += milliCPU
	}
}

// Release is the end of what Hold began.
func (q *Queue[W]) Release(shareName string, milliCPU int64, now time.Time) {
	q.Hold(shareName, -milliCPU, now)
}

// active says whether a share counts for computeReservation: it has an unfinished job, or had one within the window
// (User Guide, "Fair-share scheduling policies").
func (q *Queue[W]) active(s *share[W], now time.Time) bool {
	return s.live > 0 || now.Sub(s.idleAt) < q.policy.window()
}

// ActiveShares counts the active shares and forgets those that have not been so for two windows, when nothing is left of
// their usage that could change an order.
func (q *Queue[W]) ActiveShares(now time.Time) int {
	n := 0
	for name, s := range q.shares { //batchbox:anyorder counts, and each share for itself
		switch {
		case q.active(s, now):
			n++
		case now.Sub(s.idleAt) >= 2*q.policy.window():
			delete(q.shares, name)
		}
	}
	return n
}

// Active says whether the named share is active: a job of another identifier would be one more.
func (q *Queue[W]) Active(shareName string, now time.Time) bool {
	s, ok := q.shares[shareName]
	return ok && q.policy != nil && q.active(s, now)
}

// Reserved is the part of capacity, 0 to 1, that the share must leave alone. With computeReservation r percent and n active
// shares (r/100)^n is kept back for shares that "aren't already used" (API FairsharePolicy.computeReservation). A share that
// has had nothing placed since it became active may take of it.
//
// unverified: that last sentence; and where so much is kept back that a job could never be placed, jobs go one at a time.
func (q *Queue[W]) Reserved(shareName string, now time.Time) float64 {
	if q.policy == nil || q.policy.Reservation == 0 || q.held == 0 {
		return 0
	}
	if s := q.shares[shareName]; s == nil || !s.used {
		return 0
	}
	return math.Pow(float64(q.policy.Reservation)/100, float64(max(1, q.ActiveShares(now))))
}

// ShareUse is one line of a queue's utilization.
type ShareUse struct {
	Share    string
	MilliCPU int64
}

// Utilization lists what active shares hold now, the largest first.
func (q *Queue[W]) Utilization(now time.Time) []ShareUse {
	var use []ShareUse
	if q.policy == nil {
		return nil
	}
	for _, s := range q.shares { //batchbox:anyorder sorted below
		if q.active(s, now) {
			use = append(use, ShareUse{Share: s.name, MilliCPU: s.held})
		}
	}
	slices.SortFunc(use, func(a, b ShareUse) int {
		return cmp.Or(cmp.Compare(b.MilliCPU, a.MilliCPU), cmp.Compare(a.Share, b.Share))
	})
	return use
}

// Usage is what a share identifier has used of late: its average over the policy's window as of a time.
type Usage struct {
	Share    string    `json:"share"`
	MilliCPU float64   `json:"milliCpu"`
	AsOf     time.Time `json:"asOf"`
}

// Usage lists what the shares have used, by name, as far as it matters still: for keeping over a restart.
func (q *Queue[W]) Usage(now time.Time) []Usage {
	if q.policy == nil {
		return nil
	}
	var use []Usage
	for _, s := range q.shares { //batchbox:anyorder sorted below
		if q.settle(s, now); s.usage >= 1 {
			use = append(use, Usage{s.name, s.usage, now})
		}
	}
	slices.SortFunc(use, func(a, b Usage) int { return cmp.Compare(a.Share, b.Share) })
	return use
}

// SetUsage takes up what Usage gave out before. What was held from then on is not in it.
func (q *Queue[W]) SetUsage(use []Usage) {
	if q.policy == nil {
		return
	}
	for _, u := range use {
		s := q.share(u.Share, u.AsOf)
		s.usage, s.asOf, s.idleAt, s.used = u.MilliCPU, u.AsOf, u.AsOf, true
	}
}

// Window is the time over which past usage counts; zero in a FIFO queue.
func (q *Queue[W]) Window() time.Duration {
	if q.policy == nil {
		return 0
	}
	return q.policy.window()
}

// Walk calls fn for the queued items in the order in which they would be dispatched if each could be placed, until it
// returns false. An item may stand for several pieces of work, each of its Cost: of how many, pieces says. Nothing is
// changed.
func (q *Queue[W]) Walk(now time.Time, pieces func(*Item[W]) int, fn func(*Item[W]) bool) {
	if q.policy == nil {
		q.fifo.walk(func(it *Item[W]) bool {
			for range pieces(it) {
				if !fn(it) {
					return false
				}
			}
			return true
		})
		return
	}
	type cursor struct {
		items []*Item[W]
		done  int // pieces of the first item
		held  float64
		use   float64
		share *share[W]
	}
	const front = 100 // GetJobQueueSnapshot shows no more
	var cursors []*cursor
	for _, s := range q.waiting {
		q.settle(s, now)
		c := &cursor{held: float64(s.held), use: s.weighted(float64(s.held), s.line.Head().Cost), share: s}
		s.line.walk(func(it *Item[W]) bool {
			c.items = append(c.items, it)
			return len(c.items) < front
		})
		cursors = append(cursors, c)
	}
	for len(cursors) > 0 {
		best := slices.MinFunc(cursors, func(a, b *cursor) int {
			return cmp.Or(cmp.Compare(a.use, b.use), cmp.Compare(a.share.name, b.share.name))
		})
		it := best.items[0]
		if !fn(it) {
			return
		}
		best.held += float64(it.Cost)
		if best.done++; best.done >= pieces(it) {
			best.items, best.done = best.items[1:], 0
		}
		if len(best.items) == 0 {
			cursors = slices.DeleteFunc(cursors, func(c *cursor) bool { return c == best })
			continue
		}
		best.use = best.share.weighted(best.held, best.items[0].Cost)
	}
}
