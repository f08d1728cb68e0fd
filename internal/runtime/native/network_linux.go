package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// taskNetwork is the private network of a task: the containers of one task share one, as on Fargate, and reach each other
// over its loopback device. The first container makes it.
type taskNetwork struct {
	members int           // under Runtime.mu
	made    chan struct{} // closed when the first container has got so far, or failed
	// hub is what it is connected to, and address its own there; nil and not valid if it is connected to nothing. The first
	// container sets them before it is launched.
	hub     *tasknet.Hub
	address netip.Addr
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
func (r *Runtime) joinNetwork(ctx context.Context, l *launcher, spec *runtime.Spec, task string) (*membership, error) {
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
		if err := m.connect(ctx, l, spec); err != nil {
			m.leave()
			return nil, err
		}
		return m, nil
	}
	select {
	case <-n.made:
		if n.ns == nil {
			m.leave()
			return nil, errors.New("the task's network could not be made by its first container")
		}
		m.addressed(spec)
		return m, nil
	case <-ctx.Done():
		m.leave()
		return nil, context.Cause(ctx)
	}
}

// connect finds the hub for a new network and an address there. Without a hub there is a loopback device and the task
// endpoint, which is as much as most programs need; a node of a multi-node job needs more.
func (m *membership) connect(ctx context.Context, l *launcher, spec *runtime.Spec) error {
	if len(spec.Argv) == 0 {
		return nil // the trial container
	}
	var wanted netip.Addr
	if spec.Network.Address != "" {
		var err error
		if wanted, err = netip.ParseAddr(spec.Network.Address); err != nil {
			return fmt.Errorf("network address: %w", err)
		}
	}
	hub, err := l.hub(ctx, m.r.options.Log)
	switch {
	case err != nil && wanted.IsValid():
		return fmt.Errorf("private networks can not be connected here, which the nodes of a job need: %w", err)
	case err != nil:
		return nil //nolint:nilerr // said when it was tried; the task has its loopback
	}
	if m.net.address, err = hub.Take(wanted); err != nil {
		return err
	}
	m.net.hub = hub
	m.addressed(spec)
	return nil
}

// addressed puts the network's address into a container's spec.
func (m *membership) addressed(spec *runtime.Spec) {
	if m.net.address.IsValid() {
		spec.Network.Address = m.net.address.String()
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
	if m == nil {
		return nil
	}
	if hub := m.net.hub; hub != nil {
		for i := range in.Files {
			if in.Files[i].Path == surroundings.ResolvConf {
				in.Files[i].Content = hub.ResolvConf(in.Files[i].Content)
			}
		}
		if m.first {
			in.Device = initproc.Device{Name: tasknet.DeviceName, Address: number(m.net.address), Bits: uint64(runtime.PrivateNetwork.Bits())}
			if hub.Outside() {
				in.Device.Gateway = number(runtime.PrivateGateway)
			}
		}
	}
	if !m.first || spec.Network.Endpoint == "" {
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
	if m.net.hub != nil {
		return m.net.hub.Connect(int(m.ns.Fd()), m.net.address)
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
	if m.net.hub != nil {
		m.net.hub.Give(m.net.address)
	}
	if err := m.net.proxy.Close(); err != nil {
		m.r.options.Log.Warn("close the task endpoint", "task", m.task, "error", err)
	}
}

// hubRequest waits for the descriptors of EventHub.
type hubRequest struct {
	tasknet.Inside
	done chan error
	why  string // there is no way out
}

func (h *hubRequest) event(e *initproc.Event, f *os.File) bool {
	switch {
	case e.Kind != initproc.EventHub || f == nil:
		h.done <- errors.New(e.Text)
		return false
	case h.Route == nil:
		h.Route, h.why = f, e.Text
		if h.why == "" {
			return true // there is more to come
		}
	default:
		h.Tap = f
	}
	h.done <- nil
	return false
}

func (h *hubRequest) lost() { h.done <- errLauncherGone }

// hub is the hub of the launcher's containers, which belongs to its user namespace; it is made when first wanted. Why there
// is none is logged once.
func (l *launcher) hub(ctx context.Context, log *slog.Logger) (*tasknet.Hub, error) {
	l.hubMu.Lock()
	defer l.hubMu.Unlock()
	if l.theHub != nil || l.hubErr != nil {
		return l.theHub, l.hubErr
	}
	request := &hubRequest{done: make(chan error, 1)}
	id := l.expect(request)
	if err := l.send(&initproc.Request{Kind: initproc.RequestHub, ID: id}, nil); err != nil {
		l.forget(id)
		return nil, err
	}
	// Not cut short by ctx: this is a matter of milliseconds, and descriptors nobody waits for would stay open.
	if err := <-request.done; err != nil {
		l.hubErr = err
	} else {
		l.theHub, l.hubErr = tasknet.NewHub(request.Inside, log)
	}
	switch {
	case l.hubErr != nil:
		log.Warn("private networks are connected to nothing: they have a loopback device and the task endpoint alone", "error", l.hubErr)
	case !l.theHub.Outside():
		log.Warn("private networks are connected with each other, but not with the outside", "error", request.why)
	}
	return l.theHub, l.hubErr
}
