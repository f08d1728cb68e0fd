package engine

import (
	"context"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// Stepped is an Engine without a loop of its own: its owner says which events make a group and when it is taken. All else is
// the Engine's: group commits, what follows when one fails, and what is let out after. It is for simulations, where nothing
// may depend on the order in which goroutines run; one goroutine may use it.
type Stepped struct{ e *Engine }

// Answer is what a caller of Engine.Do would have been told.
type Answer struct {
	Result any
	Err    error
}

// OpenStepped loads the state and takes up what was under way, as Start does.
func OpenStepped(ctx context.Context, cfg Config) (*Stepped, error) {
	e, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e.direct = true
	e.settle(nil)
	return &Stepped{e}, nil
}

// Group steps through the events as one group and commits what they changed; none stands for the passing of time. A
// TaskReport is nobody's request: if its group can't be committed it is kept for the next, and its answer says nothing.
func (s *Stepped) Group(events ...Event) []Answer {
	batched := make([]*request, len(events))
	for i, ev := range events {
		batched[i] = &request{event: ev}
		if _, report := ev.(TaskReport); !report {
			batched[i].done = make(chan struct{})
		}
	}
	if len(events) == 0 {
		batched = nil
	}
	s.e.settle(batched)
	answers := make([]Answer, len(events))
	for i, r := range batched {
		answers[i] = Answer{r.result, r.err}
	}
	return answers
}

// Do is a group of one event; Submit and Describe are the Engine's, as groups of their own.
func (s *Stepped) Do(ctx context.Context, ev Event) (any, error) { return s.e.Do(ctx, ev) }

// Submit is Engine.Submit.
func (s *Stepped) Submit(ctx context.Context, p batch.Partition, spec *batch.Spec) (id string, err error) {
	return s.e.Submit(ctx, p, spec)
}

// Describe is Engine.Describe.
func (s *Stepped) Describe(ctx context.Context, p batch.Partition, ids []batch.JobID) ([]JobView, error) {
	return s.e.Describe(ctx, p, ids)
}

// Wake is when a group is due at the latest, if only an empty one; zero for never.
func (s *Stepped) Wake() time.Time { return s.e.wake() }

// Catalog is the resources as of the last commit.
func (s *Stepped) Catalog() *Catalog { return s.e.Catalog() }

// Core is the live state, to be looked at until the next Group.
func (s *Stepped) Core() *Core { return s.e.core }
