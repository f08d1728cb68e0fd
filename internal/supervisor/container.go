package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// run takes a container from starting to over.
func (c *container) run() {
	t := c.task
	defer t.k.busy.Done()
	defer t.k.changes.tell()
	out, err := c.start()
	if err != nil {
		t.mu.Lock()
		c.fail(err)
		t.advance()
		t.mu.Unlock()
		return
	}
	exit := c.handle.Wait()
	stoppedAt := t.k.clock.Now()
	t.k.count.running.Add(-1)

	// What it has written is durable before anyone hears that it has ended.
	lost := out.finish(t.k.o.DrainGrace)
	if lost != nil {
		t.k.count.logErrors.Add(1)
		t.k.log.Error("output is not complete", "key", t.Key, "container", c.Name, "err", lost)
	}

	t.mu.Lock()
	c.state, c.handle = over, nil
	c.result.StoppedAt = stoppedAt
	c.result.OOM = exit.OOM
	if exit.Err == "" {
		c.result.ExitCode = &exit.Code
	} else {
		c.result.StartError = runtime.KindContainerRuntime + ": " + exit.Err
	}
	if out != nil {
		c.result.Dropped = out.dropped()
	}
	if lost != nil {
		c.result.LogError = lost.Error()
	}
	if c.kill != nil {
		c.kill.Stop()
	}
	if c.Essential {
		t.halt()
	}
	t.advance()
	t.mu.Unlock()
}

// start executes the container. The output is nil if it goes nowhere.
func (c *container) start() (*output, error) {
	t := c.task
	select {
	case t.k.slots <- struct{}{}:
		defer func() { <-t.k.slots }()
	case <-t.ctx.Done():
		return nil, errStopped
	}
	if t.ctx.Err() != nil {
		return nil, errStopped
	}
	rt, err := t.k.runtime(t.ctx, t.Runtime)
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
	}
	out, w, err := t.k.open(t.ctx, c.Log)
	if err != nil && t.ctx.Err() != nil {
		return nil, errStopped
	}
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindResourceInit, Err: err}
	}
	spec := c.Spec
	spec.Labels = t.Labels
	if err := c.mount(&spec, rt); err != nil {
		return nil, errors.Join(&runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}, closeWriter(w), out.finish(0))
	}
	h, err := rt.Start(t.ctx, spec, t.Key, w)
	if cerr := closeWriter(w); err == nil && cerr != nil {
		t.k.log.Warn("close pipe", "err", cerr)
	}
	if err != nil {
		_ = out.finish(0) // there is nothing in it
		if t.ctx.Err() != nil {
			return nil, errStopped
		}
		return nil, err
	}
	t.k.count.running.Add(1)
	t.k.count.started.Add(1)
	startedAt := t.k.clock.Now()

	var token string
	if r, ok := h.(runtime.Recoverable); ok {
		token = r.Token()
	}
	t.k.journal.running(t.Key, rt.Name(), token)

	t.mu.Lock()
	c.state, c.ran, c.handle = running, true, h
	c.slim()
	c.result.StartedAt, c.result.PID = startedAt, h.PID()
	if c.Essential && t.startedAt.IsZero() {
		t.startedAt = startedAt
		t.k.out.put(runtime.Report{Key: t.Key, Kind: runtime.Started, At: startedAt})
	}
	if c.StartTimeout > 0 && len(t.containers) > 1 {
		t.timers = append(t.timers, t.k.clock.AfterFunc(c.StartTimeout, func() {
			t.mu.Lock()
			if t.report == nil {
				t.advance()
			}
			t.mu.Unlock()
		}))
	}
	if len(t.containers) > 1 || t.stopping {
		t.advance()
	}
	t.mu.Unlock()
	t.k.changes.tell()
	return out, nil
}

// mount makes the task's own volumes that the container mounts.
func (c *container) mount(spec *runtime.Spec, rt runtime.Runtime) error {
	mounts, used, err := c.task.k.volumes.mounts(c.task.Key, spec.Mounts)
	spec.Mounts = mounts
	if used {
		c.task.mu.Lock()
		c.task.mounted = rt
		c.task.mu.Unlock()
	}
	return err
}

// slim forgets what was only needed to start the container: there may be thousands, running for days.
func (c *container) slim() {
	full := c.Container
	c.Container = &runtime.Container{
		Spec:      runtime.Spec{Name: full.Name, StopSignal: full.StopSignal, StopTimeout: full.StopTimeout},
		Essential: full.Essential, DependsOn: full.DependsOn, StartTimeout: full.StartTimeout,
	}
}

// errStopped says that the task was stopped before the container ran.
var errStopped = errors.New("stopped before it was started")

// fail ends a container that never ran. The task's mu is held.
func (c *container) fail(err error) {
	c.state = over
	if errors.Is(err, errStopped) {
		return
	}
	var se *runtime.StartError
	if !errors.As(err, &se) {
		se = &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}
	}
	c.result.StartError = se.Error()
	c.result.StoppedAt = c.task.k.clock.Now()
	if se.ExitCode != 0 {
		c.result.ExitCode = &se.ExitCode
	}
	if c.Essential {
		c.task.halt()
	}
}

// signalStop sends the stop signal and arms SIGKILL. The task's mu is held; the container is running. Nobody waits for
// the signal to be sent: for some runtimes it is a request to a daemon.
func (c *container) signalStop() {
	c.stopped = true
	sig := c.StopSignal
	if sig == "" {
		sig = "SIGTERM"
	}
	grace := c.StopTimeout
	if c.task.grace != nil {
		grace = *c.task.grace
	}
	if grace > 0 {
		k, h := c.task.k, c.handle
		k.background(func() {
			if err := h.Signal(sig); err != nil {
				k.log.Warn("stop signal; killing instead", "key", c.task.Key, "container", c.Name, "signal", sig, "err", err)
				c.end(h)
			}
		})
	}
	c.armKill(grace)
}

// shortenGrace brings SIGKILL forward if the task's grace has become shorter since the stop signal.
func (c *container) shortenGrace() {
	if c.state != running || !c.stopped {
		return
	}
	if *c.task.grace < c.killAt.Sub(c.task.k.clock.Now()) {
		c.kill.Stop()
		c.armKill(*c.task.grace)
	}
}

func (c *container) armKill(grace time.Duration) {
	k, h := c.task.k, c.handle
	c.killAt = k.clock.Now().Add(grace)
	if grace > 0 {
		c.kill = k.clock.AfterFunc(grace, func() { c.end(h) })
		return
	}
	c.kill = expired{}
	k.background(func() { c.end(h) })
}

// end kills the container.
func (c *container) end(h runtime.Handle) {
	if err := h.Kill(); err != nil {
		c.task.k.log.Error("kill", "key", c.task.Key, "container", c.Name, "err", err)
	}
}

// expired is a timer that has fired.
type expired struct{}

func (expired) Stop() bool { return false }

// open prepares where a container's output goes: w is for the program. While the disk is full it waits, until ctx is done.
func (k *Keeper) open(ctx context.Context, target *runtime.LogTarget) (o *output, w *os.File, err error) {
	if target == nil {
		w, err = nowhere()
		return nil, w, err
	}
	if k.o.Logs == nil {
		return nil, nil, errors.New("the supervisor keeps no logs")
	}
	stream, err := k.o.Logs.Open(*target)
	if full(err) {
		err = insist(ctx, k.log, writePatience, func() (err error) {
			stream, err = k.o.Logs.Open(*target)
			return err
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("failed to create Cloudwatch log stream: %w", err)
	}
	r, w, err := pipe()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("pipe for the output: %w", err), stream.Close())
	}
	return newOutput(k, r, stream, target), w, nil
}

var devNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_WRONLY, 0) })

// nowhere is a file that takes output and forgets it. It is shared, and never closed.
func nowhere() (*os.File, error) { return devNull() }

func closeWriter(w *os.File) error {
	if null, err := devNull(); err == nil && w == null {
		return nil
	}
	if err := w.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
