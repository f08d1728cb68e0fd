package engine

import (
	"container/heap"
	"time"
)

// timer is something to be done at a time. Its owner removes it when it no longer applies.
type timer struct {
	at   int64 // ms
	seq  int64 // order among equals
	fire func()
	pos  int // in the heap, -1 when it has fired or was removed
}

// timers is a heap of timers by time.
type timers struct {
	heap timerHeap
	last int64
}

func (t *timers) add(at int64, fire func()) *timer {
	t.last++
	tm := &timer{at: at, seq: t.last, fire: fire}
	heap.Push(&t.heap, tm)
	return tm
}

// remove takes a timer out; nil, and one that is out already, are left alone.
func (t *timers) remove(tm *timer) {
	if tm != nil && tm.pos >= 0 {
		heap.Remove(&t.heap, tm.pos)
	}
}

// next is when the earliest timer is due; zero if there is none.
func (t *timers) next() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(t.heap[0].at)
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *timerHeap) Push(x any) {
	tm := x.(*timer)
	tm.pos = len(*h)
	*h = append(*h, tm)
}
func (h *timerHeap) Pop() any {
	old := *h
	last := len(old) - 1
	tm := old[last]
	old[last] = nil
	*h = old[:last]
	tm.pos = -1
	return tm
}

// fireTimers does what is due.
func (c *Core) fireTimers() {
	for h := &c.timers.heap; len(*h) > 0 && (*h)[0].at <= c.nowMs(); {
		heap.Pop(h).(*timer).fire()
	}
}
