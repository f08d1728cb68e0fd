package supervisor

import (
	"sort"

	"github.com/batchbox/batchbox/internal/runtime"
)

// reconcile compares what we know with what a supervisor has: it makes ready to say again what may not have been heard,
// and finds the tasks that are lost.
func (c *Client) reconcile(h hello, tasks []TaskState) {
	c.mu.Lock()
	c.queue, c.sent = append(c.sent, c.queue...), nil
	stopping := make(map[string]bool)
	for _, o := range c.queue {
		if o.stop != nil {
			stopping[o.stop.Key] = true
		}
	}
	there := make(map[string]bool, len(tasks))
	var reports []runtime.Report
	for _, t := range tasks {
		there[t.Key] = true
		switch {
		case t.Ended != nil:
			reports = append(reports, *t.Ended)
		case !t.StartedAt.IsZero():
			reports = append(reports, runtime.Report{Key: t.Key, Kind: runtime.Started, At: t.StartedAt})
		}
	}
	var missing []string
	now := c.o.Clock.Now()
	for key, k := range c.known {
		switch verdict(h, c.instance, k, there[key], stopping[key]) {
		case kept:
			k.task, k.sent = nil, true
		case neverStarted:
			if c.o.Missing == nil {
				break
			}
			missing = append(missing, key)
			delete(c.known, key)
		case gone:
			k.task = nil
			reports = append(reports, lostReport(key, now))
			if !h.Intact {
				c.unsettled[key] = struct{}{}
			}
		case undecided:
		}
	}
	c.instance, c.doubtful, c.connected, c.err = h.Instance, !h.Intact, true, nil
	c.settle()
	c.mu.Unlock()
	sort.Strings(missing)
	if len(missing) > 0 {
		c.o.Missing(missing)
	}
	c.hear(reports)
}

// fate is what a supervisor's list says about a task.
type fate int

const (
	undecided    fate = iota // what is queued decides
	kept                     // it has it
	neverStarted             // no supervisor has ever had it
	gone                     // a supervisor had it, or may have had it, and died
)

// verdict decides a task's fate by the list of supervisor h, the last one before it being instance.
func verdict(h hello, instance string, k *known, there, stopping bool) fate {
	same := h.Instance == instance
	switch {
	case there:
		return kept
	case k.ended:
		return undecided // we have been told; our caller will acknowledge it
	case k.task != nil && (!k.sent || same || h.Intact):
		return undecided // it is queued again: nobody has started it
	case k.task == nil && stopping:
		return undecided // stopping what is not there is answered with its end
	case k.task == nil && instance == "" && h.Intact:
		return neverStarted // in our caller's earlier life
	}
	return gone
}

// settle tells a supervisor that could not tell what its predecessor had that everything from before has been dealt with:
// what is missing from its list from now on has never been started. c.mu is held.
func (c *Client) settle() {
	if c.doubtful && len(c.unsettled) == 0 {
		c.doubtful = false
		c.queue = append(c.queue, &op{settled: true})
	}
}
