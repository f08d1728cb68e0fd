package supervisor

import (
	"context"
	"errors"

	"github.com/batchbox/batchbox/internal/runtime"
)

// ErrNoTask is returned by Inspect for a task that is not known, or has ended.
var ErrNoTask = errors.New("supervisor: no such task is under way")

// Inspect tells how the containers of a task are, in the task's order, and with usage what the running ones use. It is
// empty for a task that is not known, or has ended.
func (k *Keeper) Inspect(key string, usage bool) []runtime.ContainerState {
	k.mu.Lock()
	t := k.tasks[key]
	k.mu.Unlock()
	if t == nil {
		return nil
	}
	states, handles := t.inspect()
	for i, h := range handles {
		if a, ok := h.(runtime.Addressed); ok {
			states[i].Address = a.Address()
		}
		m, ok := h.(runtime.Meter)
		if !ok || !usage {
			continue
		}
		u, err := m.Usage()
		if err != nil { // it is ending
			k.log.Debug("usage of a container", "key", key, "container", states[i].Name, "err", err)
			continue
		}
		states[i].Usage = u
	}
	return states
}

// inspect is Inspect without what the runtime has to be asked for: for that there are the handles of running containers.
func (t *task) inspect() ([]runtime.ContainerState, []runtime.Handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make([]runtime.ContainerState, len(t.containers))
	handles := make([]runtime.Handle, len(t.containers))
	for i, c := range t.containers {
		s := runtime.ContainerState{
			Name: c.Name, Status: runtime.StatusCreated,
			StartedAt: c.result.StartedAt, StoppedAt: c.result.StoppedAt, ExitCode: c.result.ExitCode,
		}
		switch c.state {
		case running:
			s.Status, handles[i] = runtime.StatusRunning, c.handle
		case over:
			s.Status = runtime.StatusStopped
		}
		states[i] = s
	}
	return states, handles
}

// Inspect asks the supervisor, if one is connected, how the containers of a task are; ErrNoTask if none are under way. A
// supervisor of an older version does not answer: bound ctx.
func (c *Client) Inspect(ctx context.Context, key string, usage bool) ([]runtime.ContainerState, error) {
	answer := make(chan []runtime.ContainerState, 1)
	c.mu.Lock()
	if !c.connected {
		c.mu.Unlock()
		return nil, errors.New("no supervisor is connected")
	}
	c.lastInspect++
	id := c.lastInspect
	c.inspecting[id] = answer
	c.inspects = append(c.inspects, inspect{ID: id, Key: key, Usage: usage})
	c.mu.Unlock()
	c.nudge()
	defer func() {
		c.mu.Lock()
		delete(c.inspecting, id)
		c.mu.Unlock()
	}()
	select {
	case states, ok := <-answer:
		switch {
		case !ok:
			return nil, errors.New("the supervisor has gone")
		case len(states) == 0:
			return nil, ErrNoTask
		}
		return states, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inspected delivers answers to those who still wait for them.
func (c *Client) inspected(answers []inspected) {
	if len(answers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range answers {
		if w := c.inspecting[a.ID]; w != nil {
			delete(c.inspecting, a.ID)
			w <- a.Containers
		}
	}
}
