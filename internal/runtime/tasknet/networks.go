package tasknet

import (
	"context"
	"fmt"
	"sync"
)

// Networks are the private networks of the tasks under way: the containers of a task share one, as on Fargate. The first
// makes it, and it ends with the last. N is a runtime's idea of a network; it is closed once.
type Networks[N interface{ Close() }] struct {
	mu     sync.Mutex
	byTask map[string]*shared[N]
}

type shared[N any] struct {
	members int           // under Networks.mu
	made    chan struct{} // closed when the first container has made it, or failed
	// Set before made is closed.
	network N
	err     error
}

// Join enters a container into its task's network, which make makes if there is none. leave has to be called when the
// container has ended, once; it is nil with an error.
func (n *Networks[N]) Join(ctx context.Context, task string, make func() (N, error)) (network N, leave func(), err error) {
	n.mu.Lock()
	s, ok := n.byTask[task]
	if !ok {
		s = &shared[N]{made: newSignal()}
		if n.byTask == nil {
			n.byTask = map[string]*shared[N]{}
		}
		n.byTask[task] = s
	}
	s.members++
	n.mu.Unlock()
	if !ok {
		s.network, s.err = make()
		close(s.made)
		if s.err != nil {
			n.leave(task, s)
			return network, nil, s.err
		}
		return s.network, func() { n.leave(task, s) }, nil
	}
	select {
	case <-s.made:
		err = s.err
		if err != nil {
			err = fmt.Errorf("the task's network could not be made by its first container: %w", err)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		n.leave(task, s)
		return network, nil, err
	}
	return s.network, func() { n.leave(task, s) }, nil
}

func newSignal() chan struct{} { return make(chan struct{}) }

func (n *Networks[N]) leave(task string, s *shared[N]) {
	n.mu.Lock()
	s.members--
	last := s.members == 0
	if last && n.byTask[task] == s {
		delete(n.byTask, task) // whoever comes now makes another
	}
	n.mu.Unlock()
	if last && s.err == nil {
		s.network.Close()
	}
}
