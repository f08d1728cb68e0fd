package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
)

// cleanupPatience bounds the removal of what a failed start has left.
const cleanupPatience = 30 * time.Second

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (_ runtime.Handle, err error) {
	defer func() {
		var se *runtime.StartError
		if err != nil && !errors.As(err, &se) {
			err = &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
		}
	}()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if len(spec.Argv) == 0 {
		return nil, errors.New("no command specified")
	}
	h := &handle{r: r, name: r.name(task, spec.Name), task: task, done: make(chan struct{}), ended: make(chan struct{})}
	if err := r.enter(h); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.abandon()
		}
	}()
	defer r.images.hold(spec.Image.ArchiveName())()
	image, err := r.image(ctx, &spec.Image)
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotPull, Err: err}
	}
	select {
	case r.starts <- struct{}{}:
		defer func() { <-r.starts }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	network, err := h.join(ctx, &spec)
	if err != nil {
		return nil, err
	}
	request, err := r.config(&spec, task, image, network)
	if err != nil {
		return nil, err
	}
	if h.out, err = duplicate(out); err != nil {
		return nil, err
	}
	err = h.run(ctx, request, &spec.Image)
	if tooManyFiles(err) && dropNofile(&request, spec.Ulimits) {
		// A daemon without the right to raise limits, as in a container or a rootless one, has its own default.
		r.fewFiles.Store(true)
		err = h.run(ctx, request, &spec.Image)
	}
	if err != nil {
		return nil, err
	}
	h.look(ctx)
	h.storage = h.watchStorage(&spec)
	r.busy.Go(h.follow)
	return h, nil
}

// run creates the container and starts its program.
func (h *handle) run(ctx context.Context, request client.ContainerCreateOptions, image *runtime.Image) (err error) {
	if err := h.create(ctx, request, image); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			h.detach()
		}
	}()
	// Both are there before the program is: an exit before the answer to the start is not missed, nor is what it wrote.
	attached, err := h.r.api.ContainerAttach(ctx, h.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	h.attached = &attached.HijackedResponse
	waiting, cancel := context.WithCancel(h.r.ctx)
	stop := context.AfterFunc(ctx, cancel)
	h.cancel = cancel
	h.wait = h.r.api.ContainerWait(waiting, h.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := h.r.api.ContainerStart(ctx, h.id, client.ContainerStartOptions{}); err != nil {
		return h.startError(ctx, err)
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return nil
}

// detach ends what run has begun to wait for.
func (h *handle) detach() {
	if h.attached != nil {
		h.attached.Close()
	}
	if h.cancel != nil {
		h.cancel()
		// One of the two comes; the client's goroutine is stuck without somebody who takes it.
		select {
		case <-h.wait.Result:
		case <-h.wait.Error: //nolint:errcheck // its news are of no use any more
		}
	}
	h.attached, h.cancel = nil, nil
}

// tooManyFiles says whether a start failed because the daemon must not allow so many open files.
func tooManyFiles(err error) bool {
	return err != nil && strings.Contains(err.Error(), "error setting rlimit")
}

// dropNofile takes the number of open files out of a request, if it is not the job's own.
func dropNofile(request *client.ContainerCreateOptions, own []runtime.Ulimit) bool {
	if slices.ContainsFunc(own, func(u runtime.Ulimit) bool { return u.Name == nofile }) {
		return false
	}
	limits := &request.HostConfig.Ulimits
	before := len(*limits)
	*limits = slices.DeleteFunc(*limits, func(u *container.Ulimit) bool { return u.Name == nofile })
	return len(*limits) < before
}

// enter makes a handle known by its container's name, so that nobody takes the container for an orphan.
func (r *Runtime) enter(h *handle) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("the runtime is closed")
	}
	if r.live[h.name] != nil {
		return fmt.Errorf("container %s is running already", h.name)
	}
	r.live[h.name] = h
	return nil
}

func (r *Runtime) leave(h *handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, h.name)
}

// create makes the container. One that has the name is what an earlier request of ours has left: nobody else makes such names.
func (h *handle) create(ctx context.Context, request client.ContainerCreateOptions, image *runtime.Image) error {
	for attempt := 1; ; attempt++ {
		made, err := h.r.api.ContainerCreate(ctx, request)
		switch {
		case err == nil:
			h.r.mu.Lock()
			h.id = made.ID
			h.r.mu.Unlock()
			for _, w := range made.Warnings {
				h.r.log.Debug("docker: create", "container", h.name, "warning", w)
			}
			return nil
		case attempt > 2:
			return err
		case errdefs.IsConflict(err):
			if err := h.r.removeContainer(ctx, h.name); err != nil {
				return err
			}
		case errdefs.IsNotFound(err):
			// Somebody has removed the image in the moment since we asked for it.
			h.r.images.forget(image.ArchiveName())
			if _, err := h.r.image(ctx, image); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// abandon removes what a failed start has made, if it can; patrols find the rest.
func (h *handle) abandon() {
	if h.out != nil {
		_ = h.out.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.r.ctx), cleanupPatience)
	defer cancel()
	if err := h.r.removeContainer(ctx, h.name); err != nil {
		h.r.log.Warn("docker: a container that did not start is left for later", "err", err)
	}
	if h.leaveNetwork != nil {
		h.leaveNetwork()
	}
	h.r.leave(h)
	close(h.done)
}

// startError says why the program was not executed. The daemon notes the exit code that a shell would give.
func (h *handle) startError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	se := &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}
	if c, ierr := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{}); ierr == nil && c.Container.State != nil {
		if code := c.Container.State.ExitCode; code == 126 || code == 127 {
			se.ExitCode = code
		}
	}
	return se
}

// look asks for the container's first process and directories, if they would be of this machine.
func (h *handle) look(ctx context.Context) {
	if !h.r.sees {
		return
	}
	c, err := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{})
	if err != nil || c.Container.State == nil {
		return // it may have ended already
	}
	h.pid = c.Container.State.Pid
	if d := c.Container.GraphDriver; d != nil {
		h.upper = h.r.upperDir(d.Data)
	}
	for _, m := range c.Container.Mounts {
		if m.Type == mount.TypeVolume {
			h.anonymous = append(h.anonymous, m.Source)
		}
	}
}

// join enters the container into its task's network, and is the daemon's name for it.
func (h *handle) join(ctx context.Context, spec *runtime.Spec) (_ container.NetworkMode, err error) {
	switch spec.Network.Mode {
	case runtime.NetworkHost:
		return "host", nil
	case runtime.NetworkPrivate:
	default:
		return "", fmt.Errorf("network mode %q is neither %q nor %q", spec.Network.Mode, runtime.NetworkHost, runtime.NetworkPrivate)
	}
	h.network, h.leaveNetwork, err = h.r.networks.Join(ctx, h.task, func() (*taskNetwork, error) {
		return h.r.makeNetwork(ctx, spec, h.task)
	})
	if err != nil {
		return "", err
	}
	return h.network.mode(), nil
}

// duplicate makes a file of our own of the one that output goes to. Writing to a pipe does not take a thread.
func duplicate(out *os.File) (*os.File, error) {
	conn, err := out.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var derr error
	err = conn.Control(func(of uintptr) {
		if fd, derr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0); derr != nil {
			return
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			derr = unix.SetNonblock(fd, true)
		}
	})
	if err = errors.Join(err, derr); err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return nil, fmt.Errorf("duplicate the output: %w", err)
	}
	return os.NewFile(uintptr(fd), out.Name()), nil
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
