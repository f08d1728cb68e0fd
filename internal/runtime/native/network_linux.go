package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/batchbox/batchbox/internal/runtime"
)

// taskNetwork is the private network of a task: the containers of one task share one, as on Fargate, and reach each other
// over its loopback device. The first container makes it.
type taskNetwork struct {
	members int           // under Runtime.mu
	made    chan struct{} // closed when the first container has got so far, or failed
	ns      *os.File      // nil if it failed; set before made is closed
}

// membership is a container's part in its task's network. A nil membership is one in the host's.
type membership struct {
	r     *Runtime
	task  string
	net   *taskNetwork
	first bool
	done  bool // the first's duty to close net.made
}

// joinNetwork enters a container into its task's network.
func (r *Runtime) joinNetwork(ctx context.Context, spec *runtime.Spec, task string) (*membership, error) {
	switch spec.Network.Mode {
	case runtime.NetworkHost:
		return nil, nil
	case runtime.NetworkPrivate:
	default:
		return nil, fmt.Errorf("network mode %q is neither %q nor %q", spec.Network.Mode, runtime.NetworkHost, runtime.NetworkPrivate)
	}
	r.mu.Lock()
	n, ok := r.networks[task]
	if !ok {
		n = &taskNetwork{made: make(chan struct{})}
		r.networks[task] = n
	}
	n.members++
	r.mu.Unlock()
	m := &membership{r: r, task: task, net: n, first: !ok}
	if m.first {
		return m, nil
	}
	select {
	case <-n.made:
		if n.ns == nil {
			m.leave()
			return nil, errors.New("the task's network could not be made by its first container")
		}
		return m, nil
	case <-ctx.Done():
		m.leave()
		return nil, context.Cause(ctx)
	}
}

// joins is the network namespace to join; nil if the container gets a new one, or the host's.
func (m *membership) joins() *os.File {
	if m == nil || m.first {
		return nil
	}
	return m.net.ns
}

// created tells that process 1 of the container is there, so that others can join its network.
func (m *membership) created(pid int) error {
	if m == nil || !m.first {
		return nil
	}
	ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	m.net.ns = ns
	m.done = true
	close(m.net.made)
	return nil
}

// leave takes the container out of the network, which ends with its last member.
func (m *membership) leave() {
	if m == nil {
		return
	}
	if m.first && !m.done {
		m.done = true
		close(m.net.made)
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.net.members--; m.net.members > 0 {
		return
	}
	if m.r.networks[m.task] == m.net {
		delete(m.r.networks, m.task)
	}
	if m.net.ns != nil {
		_ = m.net.ns.Close()
	}
}
