package supervisor

import (
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
)

// endsWhileLookedAt is a handle that a signal ends just after somebody has seen it running.
type endsWhileLookedAt struct {
	runtime.Handle
	k       *Keeper
	deliver chan struct{}
}

func (h *endsWhileLookedAt) Signal(string) error {
	<-h.deliver
	return nil
}

func (h *endsWhileLookedAt) Ended() bool {
	close(h.deliver)
	h.k.busy.Wait() // the signal has ended it
	return false
}

// A container that is being told to stop is not quiet, whatever its handle said a moment ago: its end is to be taken note of.
func TestQuietWaitsForSignals(t *testing.T) {
	t.Parallel()
	k := &Keeper{tasks: map[string]*task{}}
	h := &endsWhileLookedAt{k: k, deliver: make(chan struct{})}
	k.tasks["job/1"] = &task{k: k, containers: []*container{{state: running, handle: h}}}
	k.background(func() { _ = h.Signal("SIGTERM") })
	if quiet, err := k.quiet(); quiet || err != nil {
		t.Errorf("quiet while a signal was on its way: %t, %v", quiet, err)
	}
	select {
	case <-h.deliver: // it was looked at
	default:
		close(h.deliver)
	}
	k.busy.Wait()
}
