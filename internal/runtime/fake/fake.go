// Package fake is a runtime that runs nothing: its containers do what their command line says, on a clock that the test
// owns. It never sleeps, so that what a test sees depends on nothing but what the test does.
package fake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Name is the runtime's name in flags and tasks.
const Name = "fake"

// Variable is an environment variable that holds words of a Behaviour, apart by spaces, before those of the command.
const Variable = "FAKE"

// Behaviour is what a container does.
type Behaviour struct {
	// Run is how long it runs. Block makes it run until it is released, stopped or killed.
	Run   time.Duration
	Block bool
	// Exit is how it ends by itself.
	Exit runtime.Exit
	// Output is written at its start.
	Output string
	// IgnoreTerm lets only SIGKILL end it. TermCode is its exit code on any other signal; nil stands for 128 + signal. It
	// ends so long after the signal.
	IgnoreTerm bool
	TermCode   *int
	TermAfter  time.Duration
	// StartError keeps it from starting.
	StartError *runtime.StartError
}

// Parse reads a Behaviour from the words of Variable and of the command, in this order; the last of a kind counts. Words
// that are none of these are passed over, so a command may begin with anything:
//
//	run=5s               runs so long; without it, the container ends at once
//	block                runs until it is released
//	exit=3               exit code; exit=1,1,0 is 1 in attempts 1 and 2 and 0 from then on
//	oom                  ends with 137, killed for its memory
//	lost=text            the runtime loses it
//	print=text           writes text and a line end; repeated, several lines
//	ignore-term          goes on after SIGTERM
//	term-exit=0          exit code on SIGTERM
//	term-after=2s        ends so long after SIGTERM
//	start-error=Kind: text   can not be started
//
// The attempt is what follows the last slash of the task's key. A word that has a value which can not be read is an error.
func Parse(spec runtime.Spec, task string) (b Behaviour, err error) {
	words := append(strings.Fields(variable(spec.Env)), spec.Argv...)
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		var err error
		switch name {
		case "run":
			b.Run, err = time.ParseDuration(value)
		case "block":
			b.Block = true
		case "exit":
			b.Exit.Code, err = exitCode(value, task)
		case "oom":
			b.Exit = runtime.Exit{Code: 137, OOM: true}
		case "lost":
			b.Exit = runtime.Exit{Err: value}
		case "print":
			b.Output += value + "\n"
		case "ignore-term":
			b.IgnoreTerm = true
		case "term-exit":
			var code int
			code, err = strconv.Atoi(value)
			b.TermCode = &code
		case "term-after":
			b.TermAfter, err = time.ParseDuration(value)
		case "start-error":
			kind, text, _ := strings.Cut(value, ": ")
			b.StartError = &runtime.StartError{Kind: kind, Err: errors.New(text)}
		}
		if err != nil {
			return Behaviour{}, fmt.Errorf("fake runtime: word %q: %w", w, err)
		}
	}
	return b, nil
}

func variable(env []string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, Variable+"="); ok {
			return v
		}
	}
	return ""
}

func exitCode(list, task string) (int, error) {
	codes := strings.Split(list, ",")
	attempt, err := strconv.Atoi(task[strings.LastIndexByte(task, '/')+1:])
	if err != nil || attempt < 1 {
		attempt = 1
	}
	return strconv.Atoi(codes[min(attempt, len(codes))-1])
}

// Options configures a Runtime.
type Options struct {
	Clock runtime.Clock // runtime.SystemClock if nil
	// Behave says what a container does; Parse if nil.
	Behave func(spec runtime.Spec, task string) (Behaviour, error)
	// Capabilities are what the runtime claims; by default an isolated one that wants no image.
	Capabilities *runtime.Capabilities
}

// Runtime is the fake.
type Runtime struct {
	clock  runtime.Clock
	behave func(runtime.Spec, string) (Behaviour, error)
	caps   runtime.Capabilities

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a container starts or ends
	running map[id]*handle
	started map[id]int
}

type id struct{ task, container string }

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime.
func New(o Options) *Runtime {
	r := &Runtime{clock: o.Clock, behave: o.Behave, changed: make(chan struct{}), running: make(map[id]*handle), started: make(map[id]int)}
	if r.clock == nil {
		r.clock = runtime.SystemClock
	}
	if r.behave == nil {
		r.behave = Parse
	}
	r.caps = runtime.Capabilities{
		Rootfs: runtime.RootfsNone, Isolated: true, KillsDescendants: true, OutputOrder: true,
		Notes: []string{"The fake runtime runs nothing."},
	}
	if o.Capabilities != nil {
		r.caps = *o.Capabilities
	}
	return r
}

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return Name }

// Capabilities implements runtime.Runtime.
func (r *Runtime) Capabilities() runtime.Capabilities { return r.caps }

// Start implements runtime.Runtime. A container that was running when it was started again is a failure: nothing may run
// twice at once.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (runtime.Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
	}
	b, err := r.behave(spec, task)
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotStart, Err: err, ExitCode: 127}
	}
	if b.StartError != nil {
		return nil, b.StartError
	}
	h := &handle{r: r, id: id{task, spec.Name}, b: b, done: make(chan struct{})}
	// As a program does: what does not fit the pipe waits for its reader.
	if b.Output != "" {
		if h.written, err = write(out, b.Output); err != nil {
			return nil, &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[h.id] != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: fmt.Errorf("container %s of task %s is running already", spec.Name, task)}
	}
	r.running[h.id] = h
	r.started[h.id]++
	switch {
	case b.Block:
	case b.Run <= 0:
		h.end(b.Exit)
	default:
		h.timer = r.clock.AfterFunc(b.Run, func() { h.endNow(b.Exit) })
	}
	r.announce()
	return h, nil
}

// write writes text to out's file: at once if it fits, else from a goroutine that Wait waits for.
func write(out *os.File, text string) (written chan struct{}, err error) {
	const fits = 4096 // the least that any pipe holds
	if len(text) <= fits {
		_, err := out.WriteString(text)
		return nil, err
	}
	// The caller closes its descriptor when Start has returned.
	own, err := duplicate(out)
	if err != nil {
		return nil, err
	}
	written = make(chan struct{})
	go func() {
		defer close(written)
		defer own.Close()
		_, _ = own.WriteString(text) // nobody reads it any more
	}()
	return written, nil
}

// announce tells those who wait that something has changed. r.mu is held.
func (r *Runtime) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Running names the containers that are running, as "task container", in order.
func (r *Runtime) Running() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, 0, len(r.running))
	for id := range r.running {
		list = append(list, id.task+" "+id.container)
	}
	sort.Strings(list)
	return list
}

// Starts is how often a container of a task has been started: more than once says that an attempt ran twice.
func (r *Runtime) Starts(task, container string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started[id{task, container}]
}

// Await blocks until a container has been started, whether or not it is still running.
func (r *Runtime) Await(ctx context.Context, task, container string) error {
	return r.await(ctx, "been started", func() bool { return r.started[id{task, container}] > 0 }, task, container)
}

// AwaitEnd blocks until a container has been started and has ended.
func (r *Runtime) AwaitEnd(ctx context.Context, task, container string) error {
	id := id{task, container}
	return r.await(ctx, "ended", func() bool { return r.started[id] > 0 && r.running[id] == nil }, task, container)
}

// await blocks until is, called with r.mu held, says so.
func (r *Runtime) await(ctx context.Context, what string, is func() bool, task, container string) error {
	for {
		r.mu.Lock()
		so, changed := is(), r.changed
		r.mu.Unlock()
		if so {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("container %s of task %s has not %s: %w", container, task, what, ctx.Err())
		}
	}
}

// Release ends a running container; false if it is not running.
func (r *Runtime) Release(task, container string, exit runtime.Exit) bool {
	r.mu.Lock()
	h := r.running[id{task, container}]
	r.mu.Unlock()
	return h != nil && h.endNow(exit)
}

// Sweep implements runtime.Runtime: what an earlier owner left is what is running here.
func (r *Runtime) Sweep(context.Context, string) (int, error) {
	r.mu.Lock()
	left := make([]*handle, 0, len(r.running))
	for _, h := range r.running {
		left = append(left, h)
	}
	r.mu.Unlock()
	n := 0
	for _, h := range left {
		if h.endNow(runtime.Exit{Code: 137}) {
			n++
		}
	}
	return n, nil
}

// Close implements runtime.Runtime.
func (r *Runtime) Close() error { return nil }

type handle struct {
	r       *Runtime
	id      id
	b       Behaviour
	timer   runtime.Timer // its own end
	ending  runtime.Timer // its end after a signal
	written chan struct{} // nil if all is written

	exit runtime.Exit // set before done is closed
	done chan struct{}
}

// end ends the container unless it has ended. The runtime's mu is held.
func (h *handle) end(exit runtime.Exit) bool {
	if h.Ended() {
		return false
	}
	for _, t := range []runtime.Timer{h.timer, h.ending} {
		if t != nil {
			t.Stop()
		}
	}
	h.exit = exit
	delete(h.r.running, h.id)
	close(h.done)
	h.r.announce()
	return true
}

func (h *handle) endNow(exit runtime.Exit) bool {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return h.end(exit)
}

// PID implements runtime.Handle. It is no process's.
func (h *handle) PID() int { return 0 }

// Signal implements runtime.Handle.
func (h *handle) Signal(sig string) error {
	n, err := runtime.SignalNumber(sig)
	switch {
	case err != nil:
		return err
	case n == 9:
		return h.Kill()
	case h.b.IgnoreTerm:
	case h.b.TermCode != nil:
		h.endAfter(h.b.TermAfter, runtime.Exit{Code: *h.b.TermCode})
	default:
		h.endAfter(h.b.TermAfter, runtime.Exit{Code: 128 + int(n)})
	}
	return nil
}

// endAfter ends the container in d, unless it ends before.
func (h *handle) endAfter(d time.Duration, exit runtime.Exit) {
	if d <= 0 {
		h.endNow(exit)
		return
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	if h.Ended() || h.ending != nil {
		return
	}
	h.ending = h.r.clock.AfterFunc(d, func() { h.endNow(exit) })
}

// Ended says whether the container has ended.
func (h *handle) Ended() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

// Kill implements runtime.Handle.
func (h *handle) Kill() error {
	h.endNow(runtime.Exit{Code: 137})
	return nil
}

// Wait implements runtime.Handle.
func (h *handle) Wait() runtime.Exit {
	<-h.done
	if h.written != nil {
		<-h.written
	}
	return h.exit
}
