package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// taskNetwork is the private network of a task: the containers of one task share one, as on Fargate, and reach each other
// over its loopback device. The first container makes it.
type taskNetwork struct {
	members int           // under Runtime.mu
	made    chan struct{} // closed when the first container has got so far, or failed
	// Set before made is closed.
	ns    *os.File       // nil if it failed
	proxy *tasknet.Proxy // nil without a task endpoint
}

// membership is a container's part in its task's network. A nil membership is one in the host's.
type membership struct {
	r     *Runtime
	task  string
	net   *taskNetwork
	first bool
	done  bool     // the first's duty to close net.made
	ns    *os.File // of the first, until all is made
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

// describe says what the init of the first container has to make.
func (m *membership) describe(spec *runtime.Spec, in *initproc.Instructions) error {
	if m == nil || !m.first || spec.Network.Endpoint == "" {
		return nil
	}
	endpoint, err := netip.ParseAddrPort(runtime.TaskEndpoint)
	if err != nil {
		return err
	}
	in.ServeAddress, in.ServePort = number(endpoint.Addr()), uint64(endpoint.Port())
	return nil
}

// number is an IPv4 address as instructions have it.
func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// created takes hold of the network namespace of process 1 of the first container.
func (m *membership) created(pid int) error {
	if m == nil || !m.first {
		return nil
	}
	var err error
	if m.ns, err = os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net"); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	return nil
}

// made tells that the first container's init has made the network, so that others can join it. endpoint is the socket for
// TaskEndpoint, nil if none was asked for.
func (m *membership) made(spec *runtime.Spec, endpoint *os.File) error {
	if m == nil || !m.first {
		return nil
	}
	if endpoint != nil {
		var err error
		if m.net.proxy, err = tasknet.Serve(endpoint, spec.Network.Endpoint); err != nil {
			return fmt.Errorf("task endpoint: %w", err)
		}
	}
	m.net.ns, m.ns = m.ns, nil
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
	if m.ns != nil {
		_ = m.ns.Close()
	}
	m.r.mu.Lock()
	m.net.members--
	last := m.net.members == 0
	if last && m.r.networks[m.task] == m.net {
		delete(m.r.networks, m.task)
	}
	m.r.mu.Unlock()
	if !last {
		return
	}
	// Whoever comes now makes another.
	if m.net.ns != nil {
		_ = m.net.ns.Close()
	}
	if err := m.net.proxy.Close(); err != nil {
		m.r.options.Log.Warn("close the task endpoint", "task", m.task, "error", err)
	}
}
