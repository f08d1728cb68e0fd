package sim

import (
	"container/heap"

	"github.com/batchbox/batchbox/internal/batch"
)

// lineKey names a line: a queue, or one share of a fair-share queue.
type lineKey struct{ queue, share string }

// line is the RUNNABLE work of a queue or share in order; entries that are so no more are dropped when they come up.
type line struct {
	lineKey
	heap lineHeap
}

type place struct {
	job     *job
	index   int
	retried bool
}

func (m *model) line(queue string, spec *batch.Spec) *line {
	k := lineKey{queue, spec.Share}
	l := m.lines[k]
	if l == nil {
		l = &line{lineKey: k}
		m.lines[k] = l
	}
	return l
}

func (m *model) push(j *job, index int, w *work) {
	heap.Push(&j.line.heap, place{j, index, w.attempts > 0})
}

// valid says whether the entry still stands for runnable work.
func (p place) valid() bool {
	w := p.job.work(p.index, false)
	return w.status == batch.Runnable && w.attempts > 0 == p.retried
}

// before is the order of a line (sections 5, 7.1, 7.2): scheduling priority, retried jobs first, then submission.
func (p place) before(o place) bool {
	a, b := p.job, o.job
	switch {
	case a.line.share != "" && a.spec.Priority != b.spec.Priority:
		return a.spec.Priority > b.spec.Priority
	case p.retried != o.retried:
		return p.retried
	case a.seq != b.seq:
		return a.seq < b.seq
	default:
		return p.index < o.index
	}
}

// inOrder: nothing of the same line should have gone before what was just placed. Work that waits for consumable resources
// steps aside, so lines with such work at their head are not judged.
func (m *model) inOrder(j *job, index int, w *work) {
	l := j.line
	for len(l.heap) > 0 && !l.heap[0].valid() {
		heap.Pop(&l.heap)
	}
	if len(l.heap) == 0 || len(j.spec.Consumables) > 0 || len(l.heap[0].job.spec.Consumables) > 0 {
		return
	}
	if first := l.heap[0]; first.before(place{j, index, w.attempts > 0}) {
		m.w.violate("%s is placed before %s", j.name(index), first.job.name(first.index))
	}
}

type lineHeap []place

func (h lineHeap) Len() int           { return len(h) }
func (h lineHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h lineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lineHeap) Push(x any)        { *h = append(*h, x.(place)) }
func (h *lineHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
