package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/storage"
)

// handle is one container. It implements runtime.Handle.
type handle struct {
	r          *Runtime
	name, task string
	id         string // set under r.mu
	pid        int
	// network is the private network that it is in, which leaveNetwork lets go; nil in the host's.
	network      *taskNetwork
	leaveNetwork func()
	// upper is the directory of its layer, "" if it is not seen from here, and anonymous those of the volumes its image asks for.
	upper     string
	anonymous []string
	storage   *storage.Watch
	attached  *client.HijackedResponse
	wait      client.ContainerWaitResult
	cancel    context.CancelFunc // of wait
	out       *os.File
	killed    atomic.Bool // by us

	ended chan struct{} // closed when the program has ended
	// exit is set before done is closed: the container is gone, and its output written.
	exit runtime.Exit
	done chan struct{}
}

var _ runtime.Handle = (*handle)(nil)

const (
	// signalPatience bounds a request that should take a moment.
	signalPatience = 30 * time.Second
	// outputPatience is how long the daemon may take for what is left of the output after the end.
	outputPatience = 10 * time.Second
	// statePatience is how long the daemon may take to say how a container is.
	statePatience = 500 * time.Millisecond
)

// PID implements runtime.Handle.
func (h *handle) PID() int { return h.pid }

// Signal implements runtime.Handle.
func (h *handle) Signal(sig string) error {
	if _, err := runtime.SignalNumber(sig); err != nil {
		return err
	}
	select {
	case <-h.ended:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(h.r.ctx, signalPatience)
	defer cancel()
	_, err := h.r.api.ContainerKill(ctx, h.id, client.ContainerKillOptions{Signal: strings.ToUpper(sig)})
	switch {
	case err == nil:
		switch strings.TrimPrefix(strings.ToUpper(sig), "SIG") {
		case "KILL", "9":
			h.killed.Store(true)
		}
		return nil
	case errdefs.IsNotFound(err), errdefs.IsConflict(err) && strings.Contains(err.Error(), "not running"):
		return nil
	}
	return fmt.Errorf("%s: %w", sig, err)
}

// Kill implements runtime.Handle. With the first process of a container the kernel ends all. Ending takes processor time,
// and thousands of processes on a quarter of a processor would take minutes, so the quota goes first.
func (h *handle) Kill() error {
	h.unthrottle()
	return h.Signal("SIGKILL")
}

func (h *handle) unthrottle() {
	if !h.r.info.CPUCfsQuota || h.r.options.NoCPUQuota {
		return
	}
	select {
	case <-h.ended:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(h.r.ctx, signalPatience)
	defer cancel()
	if _, err := h.r.api.ContainerUpdate(ctx, h.id, client.ContainerUpdateOptions{Resources: &container.Resources{CPUQuota: -1}}); err != nil {
		h.r.log.Debug("docker: take the limit on processor time away", "container", h.id, "err", err) // it ends without, later
	}
}

// Wait implements runtime.Handle.
func (h *handle) Wait() runtime.Exit {
	<-h.done
	return h.exit
}

// follow sees the container to its end.
func (h *handle) follow() {
	defer close(h.done)
	defer h.r.leave(h)
	defer h.cancel()
	copied := make(chan error, 1)
	h.r.busy.Go(func() { copied <- h.copyOutput() })
	exit, known := h.awaitExit(copied)
	close(h.ended)
	reason := h.storage.Stop()
	if known {
		if err := <-copied; err != nil && exit.Err == "" {
			exit.Err = "its output is not complete: " + err.Error()
		}
	}
	h.attached.Close()
	if reason != "" {
		exit.Err = reason
	}
	if exit.Code == 137 && exit.Err == "" && !h.killed.Load() {
		exit.OOM = h.outOfMemory()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.r.ctx), cleanupPatience)
	defer cancel()
	if err := h.r.removeContainer(ctx, h.id); err != nil {
		h.r.log.Warn("docker: an ended container is left for later", "err", err)
	}
	if h.leaveNetwork != nil {
		h.leaveNetwork()
	}
	h.exit = exit
}

// copyOutput copies what the container writes until the connection ends.
func (h *handle) copyOutput() error {
	defer h.out.Close()
	stop := context.AfterFunc(h.r.ctx, func() {
		h.attached.Close()
		_ = h.out.SetWriteDeadline(time.Now())
	})
	defer stop()
	late := newBacklog(h.out, h.mayHaveEnded)
	defer late.close()
	return copyOutput(late, h.attached.Reader, func() {
		select {
		case <-h.ended:
			// The daemon closes the connection when it has said all; should it not, we do not wait for ever. The time our own
			// writing takes is not counted.
			_ = h.attached.Conn.SetReadDeadline(time.Now().Add(outputPatience))
		default:
		}
	})
}

// mayHaveEnded says whether the program may have ended: where it is not seen, the daemon answers nothing about a container while
// it waits for what is left of its output to be taken.
func (h *handle) mayHaveEnded() bool {
	if h.pid > 0 {
		return errors.Is(unix.Kill(h.pid, 0), unix.ESRCH)
	}
	ctx, cancel := context.WithTimeout(h.r.ctx, statePatience)
	defer cancel()
	c, err := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{})
	return err != nil || c.Container.State == nil || !c.Container.State.Running
}

// awaitExit waits for the container's end. known is false if it was lost, and copied has been heard.
func (h *handle) awaitExit(copied chan error) (exit runtime.Exit, known bool) {
	wait := h.wait
	for {
		select {
		case result := <-wait.Result:
			exit.Code = int(result.StatusCode)
			if result.Error != nil && result.Error.Message != "" {
				exit.Err = result.Error.Message
			}
			h.nudge()
			return exit, true
		case err := <-wait.Error:
			running, text := h.lookAgain(err)
			select {
			case <-copied: //nolint:errcheck // the copy is over, however it went
				running = false // without its output there is nothing to wait for
			default:
			}
			if !running {
				h.attached.Close()
				return runtime.Exit{Err: text}, false
			}
			wait = h.r.api.ContainerWait(h.r.ctx, h.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		}
	}
}

// nudge gives a read of the output that is under way its time limit.
func (h *handle) nudge() { _ = h.attached.Conn.SetReadDeadline(time.Now().Add(outputPatience)) }

// lookAgain finds out about a container whose daemon did not answer the question for its end: whether it runs, and what to
// say if it does not, or nobody knows.
func (h *handle) lookAgain(err error) (running bool, text string) {
	if h.r.ctx.Err() != nil {
		return false, "the runtime was closed"
	}
	h.r.log.Warn("docker: the daemon no longer says how a container fares", "container", h.name, "err", err)
	text = "the Docker daemon went away while the container ran: " + err.Error()
	ctx, cancel := context.WithTimeout(h.r.ctx, h.r.options.DaemonPatience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		c, err := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{})
		switch {
		case err == nil:
			return c.Container.State != nil && c.Container.State.Running, text
		case errdefs.IsNotFound(err):
			return false, "the Docker daemon no longer has the container"
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, text
		}
	}
}

// outOfMemory says whether the daemon knows that the memory limit ended the container. Its notice may come a moment after
// that of the end.
func (h *handle) outOfMemory() bool {
	ctx, cancel := context.WithTimeout(h.r.ctx, oomPatience)
	defer cancel()
	for {
		c, err := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{})
		if err == nil && c.Container.State != nil && c.Container.State.OOMKilled {
			return true
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			h.r.log.Warn("docker: whether memory was the reason is not known", "container", h.name, "err", err)
			return false
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// oomPatience is how long a notice about memory is waited for after an end by SIGKILL that was not ours.
const oomPatience = 2 * time.Second
