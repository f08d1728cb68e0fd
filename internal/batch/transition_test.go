package batch

import (
	"errors"
	"testing"
)

// TestEveryTransition states, for each kind, state and trigger, what must happen; a pair that is not listed must be
// refused. Source: reference 3.2 (User Guide "Job states") and 3.10 for array parents.
func TestEveryTransition(t *testing.T) {
	t.Parallel()
	type edge struct {
		from    Status
		trigger Trigger
	}
	legal := map[Kind]map[edge]Status{
		Worker: {
			{Submitted, MustWait}: Pending, {Submitted, MayRun}: Runnable, {Submitted, Ended}: Failed,
			{Pending, MayRun}: Runnable, {Pending, Ended}: Failed,
			{Runnable, Placed}: Starting, {Runnable, Ended}: Failed,
			{Starting, Began}: Running, {Starting, Retried}: Runnable, {Starting, Ended}: Failed,
			{Running, Retried}: Runnable, {Running, Completed}: Succeeded, {Running, Ended}: Failed,
		},
		Parent: {
			{Submitted, MustWait}: Pending, {Submitted, ChildMoved}: Pending, {Submitted, Completed}: Succeeded, {Submitted, Ended}: Failed,
			{Pending, ChildMoved}: Pending, {Pending, Completed}: Succeeded, {Pending, Ended}: Failed,
		},
	}
	for kind, edges := range legal {
		for s := range NumStatuses {
			for tr := range NumTriggers {
				e := edge{Status(s), Trigger(tr)}
				got, err := Next(kind, e.from, e.trigger)
				want, ok := edges[e]
				var refused *TransitionError
				switch {
				case ok && (err != nil || got != want):
					t.Errorf("kind %d: %v on %v = %v, %v; want %v", kind, e.trigger, e.from, got, err, want)
				case !ok && !errors.As(err, &refused):
					t.Errorf("kind %d: %v on %v = %v, %v; want a refusal", kind, e.trigger, e.from, got, err)
				}
			}
		}
	}
}

func TestFinalStatesAreNeverLeft(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Worker, Parent} {
		for _, s := range []Status{Succeeded, Failed} {
			for tr := range NumTriggers {
				if to, err := Next(kind, s, Trigger(tr)); err == nil {
					t.Errorf("kind %d: %v left %v for %v", kind, Trigger(tr), s, to)
				}
			}
		}
	}
}
