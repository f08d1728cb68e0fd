package engine

import (
	"iter"

	"github.com/batchbox/batchbox/internal/batch"
)

// Notice is one state change of a job, child or node, or the same one of neighbouring children of an array: those from
// View.Index to Last, which differ in index and id only. For a change of one alone Last is View.Index.
type Notice struct {
	View JobView
	Last int
	At   int64 // ms
	// Blocked: not a change of state, but the head of its queue found that it can't be placed.
	Blocked bool
}

// Views are those that changed, one by one.
func (n *Notice) Views() iter.Seq[JobView] {
	return func(yield func(JobView) bool) {
		v := n.View
		parent := v.ParentID()
		for yield(v) && v.Index < n.Last {
			v.Index++
			v.ID = batch.ArrayChildID(parent, v.Index)
		}
	}
}

// announcing says whether changes are news to anyone.
func (c *Core) announcing() bool { return c.limits.Notify && !c.restoring }

func (c *Core) announce(v JobView) {
	c.notices = append(c.notices, Notice{View: v, Last: v.Index, At: c.nowMs()})
}

// announceImplicit is announce for a child that has no work of its own. An array's children mostly change all at once: ten
// thousand of them make one notice.
func (c *Core) announceImplicit(j *job, i int32) {
	if n := len(c.notices); n > 0 {
		last := &c.notices[n-1]
		v := &last.View
		if v.Seq == j.seq && v.Index >= 0 && last.Last == int(i)-1 && last.At == c.nowMs() && !last.Blocked &&
			v.Status == j.array.states[i] && v.StatusReason == "" && !j.queue.blocked.blocks(j, i) && j.array.live[int32(v.Index)] == nil {
			last.Last = int(i)
			return
		}
	}
	c.announce(c.viewChild(j, i))
}
