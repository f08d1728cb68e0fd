package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/docker/helperbin"
	"github.com/batchbox/batchbox/internal/runtime/docker/inside"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// networkName is the network of the daemon that all private networks are connected to. It is shared by all who run tasks
// by this daemon, for a daemon has but one network of an address range.
const networkName = "batchbox"

// networkPatience bounds how long is tried again to make a network, and gatePatience how long a gate takes that has started.
const (
	networkPatience = 30 * time.Second
	gatePatience    = time.Minute
)

// taskNetwork is the private network of a task: the network namespace of a container of ours, which the task's containers
// join, as those of a task on Fargate join that of its pause container. The container, the gate, sets it up: it gives the
// task endpoint an address, and passes the connections to it on to us through the connection that we are attached to it by.
type taskNetwork struct {
	r       *Runtime
	name    string // of the gate
	id      string
	address string
	fixed   bool // the address is of the engine's choice, and may be wanted again
	tunnel  *inside.Tunnel
	proxy   *tasknet.Proxy
	closing chan struct{}
}

// makeNetwork makes a task's network by the wishes of its first container.
func (r *Runtime) makeNetwork(ctx context.Context, spec *runtime.Spec, task string) (_ *taskNetwork, err error) {
	n := &taskNetwork{
		r: r, name: r.name(task, gateName+"-"+strconv.FormatUint(r.gateCount.Add(1), 10)),
		fixed: spec.Network.Address != "", closing: make(chan struct{}),
	}
	r.enterGate(n.name)
	defer func() {
		if err != nil {
			n.discard()
			err = fmt.Errorf("make the task's network: %w", err)
		}
	}()
	image, release, err := r.helperImage(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	request, err := r.gate(spec, task, n.name, image)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(networkPatience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := n.start(ctx, request)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		r.log.Debug("docker: make a network", "task", task, "err", err)
		switch {
		case isNoNetwork(err):
			// Whoever used it last has removed it, as we do when nobody does.
			if err := r.ensureNetwork(ctx); err != nil {
				return nil, err
			}
			pause = 0
		case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "image"):
			// Somebody has removed it in the moment since we asked for it.
			r.images.forget(image)
			_, again, err := r.helperImage(ctx)
			if err != nil {
				return nil, err
			}
			again()
		case n.fixed && strings.Contains(err.Error(), "ddress already in use"):
			// The daemon takes a moment to know that the last who had it has gone.
		default:
			return nil, err
		}
		n.reset()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
	if spec.Network.Endpoint != "" {
		n.proxy = tasknet.ServeListener(n.tunnel, spec.Network.Endpoint)
	}
	ended := n.tunnel.Ended()
	r.busy.Go(func() { n.watch(ended) })
	return n, nil
}

// isNoNetwork says whether a container was not made, or not started, because the network is not there.
func isNoNetwork(err error) bool {
	return errdefs.IsNotFound(err) && strings.Contains(err.Error(), "network")
}

// gateName is the name of a task's gate among the task's containers; none of theirs has a dot in it.
const gateName = "network.gate"

// gate is the request for a task's gate.
func (r *Runtime) gate(spec *runtime.Spec, task, name, image string) (client.ContainerCreateOptions, error) {
	command := []string{"/" + inside.Name, inside.RoleNetwork, runtime.TaskEndpoint}
	if spec.Network.Endpoint == "" {
		command[2] = "0.0.0.0:0"
	}
	// A machine in a cloud has its credentials at link-local addresses, and on its end of the network may be what is for the
	// machine alone: neither is the jobs'.
	command = append(command, "169.254.0.0/16", runtime.PrivateGateway.String()+"/32")
	pids, init := int64(256), false
	endpoint := &network.EndpointSettings{}
	if a := spec.Network.Address; a != "" {
		address, err := netip.ParseAddr(a)
		switch {
		case err != nil:
			return client.ContainerCreateOptions{}, fmt.Errorf("network address: %w", err)
		case !runtime.PrivateNodes.Contains(address):
			return client.ContainerCreateOptions{}, fmt.Errorf("address %v is not one for a node", address)
		}
		endpoint.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: address}
	}
	config := &container.Config{
		Hostname: spec.Hostname, Entrypoint: command[:1], Cmd: command[1:], Labels: r.labels(spec, task, gateName),
		OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	}
	return client.ContainerCreateOptions{
		Name: name, Image: image, Config: config,
		HostConfig: &container.HostConfig{
			LogConfig: container.LogConfig{Type: "none"}, NetworkMode: networkName, AutoRemove: true, ReadonlyRootfs: true, Init: &init,
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			CapDrop:       []string{"ALL"}, CapAdd: []string{"NET_ADMIN", "NET_BIND_SERVICE"}, SecurityOpt: []string{"no-new-privileges"},
			Resources: container.Resources{PidsLimit: &pids},
		},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{networkName: endpoint}},
	}, nil
}

// start starts the gate, and waits until it has set the network up.
func (n *taskNetwork) start(ctx context.Context, request client.ContainerCreateOptions) error {
	api := n.r.api
	made, err := api.ContainerCreate(ctx, request)
	if errdefs.IsConflict(err) { // what an earlier request of ours has left
		if err := n.r.removeContainer(ctx, n.name); err != nil {
			return err
		}
		made, err = api.ContainerCreate(ctx, request)
	}
	if err != nil {
		return err
	}
	n.id = made.ID
	attached, err := api.ContainerAttach(ctx, n.id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	conn := &attachedConn{Conn: attached.Conn, r: attached.Reader}
	n.tunnel = inside.NewTunnel(conn)
	if _, err := api.ContainerStart(ctx, n.id, client.ContainerStartOptions{}); err != nil {
		return err
	}
	late := time.NewTimer(gatePatience)
	defer late.Stop()
	select {
	case <-n.tunnel.Ready():
	case <-late.C:
		return fmt.Errorf("%s has not answered for %v", inside.Name, gatePatience)
	case <-n.tunnel.Ended():
		return fmt.Errorf("%s: %s", inside.Name, conn.said())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c, err := api.ContainerInspect(ctx, n.id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	if s := c.Container.NetworkSettings; s != nil && s.Networks[networkName] != nil {
		if a := s.Networks[networkName].IPAddress; a.IsValid() {
			n.address = a.String()
		}
	}
	return nil
}

// watch tells when the network is lost before its time: when the tunnel has ended.
func (n *taskNetwork) watch(ended <-chan struct{}) {
	select {
	case <-n.closing:
	case <-ended:
		select {
		case <-n.closing:
		default:
			n.r.log.Warn("docker: a task has lost its network: its gate has ended", "container", n.name)
		}
	}
}

// mode is what the containers of the task are given.
func (n *taskNetwork) mode() container.NetworkMode {
	return container.NetworkMode("container:" + n.id)
}

// Close ends the network. An address that the engine may give out again is free when it returns.
func (n *taskNetwork) Close() {
	close(n.closing)
	if n.fixed || !n.r.goBusy(n.discard) {
		n.discard()
	}
}

// reset undoes what start has done.
func (n *taskNetwork) reset() {
	if err := n.proxy.Close(); err != nil {
		n.r.log.Warn("docker: close the task endpoint", "container", n.name, "err", err)
	}
	if n.tunnel != nil {
		_ = n.tunnel.Close() // it has ended, or ends now: the gate is removed
	}
	n.proxy, n.tunnel = nil, nil
	if n.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.r.ctx), cleanupPatience)
	defer cancel()
	if err := n.r.removeContainer(ctx, n.id); err != nil {
		n.r.log.Warn("docker: a network is left for later", "err", err)
	}
	n.id = ""
}

// discard removes all of the network.
func (n *taskNetwork) discard() {
	n.reset()
	n.r.leaveGate(n.name)
}

// ensureNetwork makes the daemon's network be there. While somebody else makes it, or removes it, the daemon says that its
// addresses are taken, and does not know it.
func (r *Runtime) ensureNetwork(ctx context.Context) error {
	for deadline := time.Now().Add(overlapPatience); ; {
		_, err := r.api.NetworkCreate(ctx, networkName, client.NetworkCreateOptions{
			Driver: "bridge",
			IPAM: &network.IPAM{Config: []network.IPAMConfig{{
				Subnet: runtime.PrivateNetwork, IPRange: runtime.PrivateTasks, Gateway: runtime.PrivateGateway,
			}}},
			Labels: map[string]string{labelNetwork: "1"},
		})
		if err == nil {
			return nil
		}
		n, lookErr := r.api.NetworkInspect(ctx, networkName, client.NetworkInspectOptions{})
		switch {
		case lookErr == nil && n.Network.Labels[labelNetwork] == "":
			return fmt.Errorf("the daemon has a network %s that batchbox has not made; give it another name", networkName)
		case lookErr == nil:
			return nil
		case !errdefs.IsNotFound(lookErr):
			return lookErr
		case time.Now().After(deadline):
			return fmt.Errorf("make the daemon's network %s for %v, which another of its networks may have a part of: %w", networkName, runtime.PrivateNetwork, err)
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// overlapPatience is how long the daemon's network may be in the making by somebody else.
const overlapPatience = 10 * time.Second

// removeNetwork removes the daemon's network if nobody uses it.
func (r *Runtime) removeNetwork(ctx context.Context) error {
	n, err := r.api.NetworkInspect(ctx, networkName, client.NetworkInspectOptions{})
	if err == nil && n.Network.Labels[labelNetwork] != "" && len(n.Network.Containers) == 0 {
		_, err = r.api.NetworkRemove(ctx, networkName, client.NetworkRemoveOptions{})
	}
	// It is in use: since a moment ago, or by a container that is being made.
	if errdefs.IsNotFound(err) || errdefs.IsPermissionDenied(err) || errdefs.IsConflict(err) {
		return nil
	}
	return err
}

// helper is the image of batchbox-helper, made when it is first wanted.
type helper struct {
	mu    sync.Mutex
	image runtime.Image
}

// helperImage makes the helper's image be there, until release is called, once, and returns its name.
func (r *Runtime) helperImage(ctx context.Context) (name string, release func(), err error) {
	h := &r.helper
	h.mu.Lock()
	if h.image.Archive == "" {
		if err := h.make(filepath.Join(r.options.Owner, "docker-helper.tar")); err != nil {
			h.mu.Unlock()
			return "", nil, fmt.Errorf("image of %s: %w", inside.Name, err)
		}
	}
	image := h.image
	h.mu.Unlock()
	release = r.images.hold(image.ArchiveName())
	if name, err = r.image(ctx, &image); err != nil {
		release()
		return "", nil, err
	}
	return name, release, nil
}

// make writes an archive as `docker save` does.
func (h *helper) make(path string) error {
	layer, err := tarOf(file{inside.Name, helperbin.Binary(), 0o555})
	if err != nil {
		return err
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return "sha256:" + hex.EncodeToString(s[:]) }
	config, err := json.Marshal(map[string]any{
		"architecture": goruntime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{sum(layer)}},
	})
	if err != nil {
		return err
	}
	image := runtime.Image{Ref: inside.Name, Digest: sum(config), Platform: "linux/" + goruntime.GOARCH}
	list, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{image.ArchiveName()}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	archive, err := tarOf(file{"layer.tar", layer, 0o644}, file{"config.json", config, 0o644}, file{"manifest.json", list, 0o644})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		return err
	}
	image.Archive = path
	h.image = image
	return nil
}

// close removes the archive; the daemon has what it needs.
func (h *helper) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.image.Archive == "" {
		return nil
	}
	return os.Remove(h.image.Archive)
}

type file struct {
	name    string
	content []byte
	mode    int64
}

func tarOf(files ...file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}

// attachedConn is the standard input and output of a container that we are attached to. What it says on its standard error is
// kept.
type attachedConn struct {
	net.Conn
	r    io.Reader
	left int64 // of a frame

	mu     sync.Mutex
	stderr []byte
}

// Read implements net.Conn.
func (c *attachedConn) Read(b []byte) (int, error) {
	for c.left == 0 {
		stream, size, err := readFrame(c.r)
		if err != nil {
			return 0, err
		}
		if stream == streamStdout {
			c.left = size
			continue
		}
		text, err := io.ReadAll(io.LimitReader(c.r, size))
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		if c.stderr = append(c.stderr, text...); len(c.stderr) > 4096 {
			c.stderr = c.stderr[len(c.stderr)-4096:]
		}
		c.mu.Unlock()
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// said is the end of what came on standard error.
func (c *attachedConn) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stderr) == 0 {
		return "it has ended without a word"
	}
	return strings.TrimSpace(string(c.stderr))
}
