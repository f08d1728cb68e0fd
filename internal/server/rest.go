package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// restAfter is how long nothing must have been asked of a process until it gives memory back.
const restAfter = 10 * time.Second

// rest gives the memory that work has left behind back to the system, once the work is over. Go's runtime by itself keeps
// what the next collection may need, as much again as lives, and starts one only every two minutes: for a process that
// spends most of its life waiting, what starting took would stay.
type rest struct {
	last  atomic.Int64  // when something was asked, ns since the epoch
	woken chan struct{} // holds a value if something was asked since the memory was last given back
	// settled is the heap, in bytes, as it was after memory was last given back.
	settled uint64
}

func newRest() *rest { return &rest{woken: make(chan struct{}, 1)} }

// wake says that something is asked. It is cheap.
func (r *rest) wake() {
	r.last.Store(time.Now().UnixNano())
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run gives back until ctx is done. It sleeps while nothing is asked.
func (r *rest) run(ctx context.Context) {
	for {
		select {
		case <-r.woken:
		case <-ctx.Done():
			return
		}
		for wait := restAfter; wait > 0; wait = restAfter - time.Since(time.Unix(0, r.last.Load())) {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-r.woken:
		default:
		}
		r.giveBack()
	}
}

// giveBack is worth a collection only if the heap has grown by a quarter: a client that asks twice a minute does not cost
// an engine with a million queued jobs two full collections a minute.
func (r *rest) giveBack() {
	if heapHeld() < r.settled+r.settled/4 {
		return
	}
	debug.FreeOSMemory()
	r.settled = heapHeld()
}

// heapHeld is how many bytes the heap has of the system.
func heapHeld() (n uint64) {
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	for i := range s {
		n += s[i].Value.Uint64()
	}
	return n
}
