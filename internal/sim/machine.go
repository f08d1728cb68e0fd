package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// machine is the Launcher: it starts the tasks it is told to, lets each meet its fate, and reports until it is
// acknowledged. It outlives the engine, as the supervisor does.
type machine struct {
	w     *world
	tasks map[string]*task // not acknowledged
	done  map[string]fate  // how those ended that were
	// deaf: the engine has died between its commit and these calls.
	deaf bool
	// sabotage changes a fate as it is reported: for tests of the model.
	sabotage func(key string, r *runtime.Report)
}

type taskState uint8

const (
	waiting taskState = iota // for its image, say
	running
	ended
)

// task is one attempt, as the machine knows it.
type task struct {
	engine.StartTask
	state     taskState
	fate      fate
	startedAt time.Time
	report    runtime.Report // of its end
	stopping  bool
	rng       *rand.Rand
}

// fate is how a task ends.
type fate struct {
	startError string
	oom        bool
	code       int
	lost       bool
	ran        bool
	// stopped: not by itself.
	stopped bool
}

// succeeded says whether it is one that makes a job SUCCEEDED, if nobody asked for its end.
func (f fate) succeeded() bool { return f.ran && !f.lost && f.code == 0 }

func newMachine(w *world) *machine {
	return &machine{w: w, tasks: map[string]*task{}, done: map[string]fate{}}
}

// Start implements engine.Launcher.
func (m *machine) Start(tasks []engine.StartTask) {
	if m.deaf {
		return
	}
	for _, st := range tasks {
		m.w.trace.addf("%d start %s on %s", m.w.ms(), st.Key, st.Record.ComputeEnvironment)
		m.start(st)
	}
}

func (m *machine) start(st engine.StartTask) {
	if _, again := m.done[st.Key]; again {
		m.w.violate("task %s is started again, though its end was acknowledged", st.Key)
		return
	}
	if m.tasks[st.Key] != nil {
		return // starting it twice is starting it once
	}
	m.w.model.mayStart(&st)
	m.w.result.Tasks++
	t := &task{StartTask: st, rng: m.w.derived(st.Key)}
	m.tasks[st.Key] = t
	m.w.after(milliseconds(t.rng, 0, 2000), func() { m.begin(t) })
}

// begin starts the program, or fails to.
func (m *machine) begin(t *task) {
	if t.state != waiting {
		return
	}
	r := t.rng
	switch n := r.IntN(100); {
	case n < 4:
		t.fate.startError = []string{"CannotPullContainerError: no such image", "CannotStartContainerError: no such program", "ResourceInitializationError: no such group"}[r.IntN(3)]
		m.end(t)
		return
	case n < 6 && t.Spec.Timeout > 0: // until it is stopped
		t.fate.ran = true
	default:
		t.fate.ran = true
		switch n := r.IntN(100); {
		case n < 3:
			t.fate.code, t.fate.oom = 137, true
		case n < 15:
			t.fate.code = 1 + r.IntN(3)
		}
		m.w.after(milliseconds(r, 0, int(r.ExpFloat64()*60_000)+1), func() {
			if t.state == running {
				m.end(t)
			}
		})
	}
	t.state, t.startedAt = running, m.w.now
	m.deliver(t, runtime.Report{Key: t.Key, Kind: runtime.Started, At: m.w.now})
}

// end ends a task by its fate, now.
func (m *machine) end(t *task) {
	t.state = ended
	c := runtime.ContainerReport{Name: "default", StartError: t.fate.startError}
	t.report = runtime.Report{Key: t.Key, Kind: runtime.Ended, At: m.w.now, Lost: t.fate.lost}
	if t.fate.ran {
		t.report.StartedAt, c.StartedAt, c.StoppedAt = t.startedAt, t.startedAt, m.w.now
	}
	if t.fate.ran && !t.fate.lost {
		code := t.fate.code
		c.ExitCode, c.OOM = &code, t.fate.oom
	}
	t.report.Containers = []runtime.ContainerReport{c}
	if len(t.Task.Containers) == 2 { // one beside it, which is no more than killed
		aside, killed := runtime.ContainerReport{Name: "aside"}, 137
		if t.fate.ran {
			aside.StartedAt, aside.StoppedAt, aside.ExitCode = t.startedAt, m.w.now, &killed
		}
		t.report.Containers = []runtime.ContainerReport{aside, c}
	}
	if m.sabotage != nil {
		m.sabotage(t.Key, &t.report)
	}
	m.w.trace.addf("%d ended %s %+v", m.w.ms(), t.Key, t.fate)
	m.deliver(t, t.report)
}

// deliver brings a report to the engine, now or late, once or more; an end again and again until it is acknowledged.
func (m *machine) deliver(t *task, r runtime.Report) {
	delay := milliseconds(t.rng, 0, 300)
	if m.w.faults && t.rng.IntN(50) == 0 {
		delay = milliseconds(t.rng, 1000, 120_000)
	}
	m.w.after(delay, func() {
		if m.tasks[t.Key] != t {
			return // acknowledged meanwhile
		}
		if !m.w.faults || t.rng.IntN(20) > 0 { // else it is lost on its way
			m.w.inbox = append(m.w.inbox, engine.TaskReport{Report: r})
			if r.Kind == runtime.Started && t.rng.IntN(20) > 0 {
				return
			}
		}
		m.w.after(milliseconds(t.rng, 5000, 20_000), func() {
			if m.tasks[t.Key] == t && (r.Kind == runtime.Ended || t.state == running) {
				m.deliver(t, r)
			}
		})
	})
}

// Stop implements engine.Launcher.
func (m *machine) Stop(tasks []engine.StopTask) {
	if m.deaf {
		return
	}
	for _, st := range tasks {
		m.w.trace.addf("%d stop %s", m.w.ms(), st.Key)
		t := m.tasks[st.Key]
		if t == nil {
			if _, known := m.done[st.Key]; !known {
				m.w.violate("task %s is stopped and was never started", st.Key)
			}
			continue
		}
		m.stop(t, st.Grace)
	}
}

func (m *machine) stop(t *task, grace time.Duration) {
	if t.state == ended || t.stopping {
		return
	}
	t.stopping = true
	if t.state == waiting && t.rng.IntN(2) == 0 {
		t.fate = fate{stopped: true}
		m.end(t) // it never ran
		return
	}
	if grace == 0 {
		grace = 30 * time.Second
	}
	after, code := milliseconds(t.rng, 0, 2000), 143
	switch t.rng.IntN(4) {
	case 0:
		code = 0 // it tidies up and calls that success
	case 1:
		after, code = grace, 137 // it does not listen
	}
	m.w.after(after, func() {
		if t.state == ended {
			return // by itself, meanwhile
		}
		if t.state == waiting {
			t.startedAt = m.w.now
		}
		t.fate = fate{ran: true, stopped: true, code: code}
		m.end(t)
	})
}

// Ack implements engine.Launcher.
func (m *machine) Ack(keys []string) {
	if m.deaf {
		return
	}
	for _, key := range keys {
		t := m.tasks[key]
		if t == nil {
			if _, known := m.done[key]; !known {
				m.w.violate("the end of task %s is acknowledged, which was never started", key)
			}
			continue
		}
		if t.state != ended {
			m.w.violate("the end of task %s is acknowledged, which has not ended", key)
		}
		m.w.model.mayForget(t)
		m.done[key] = t.fate
		delete(m.tasks, key)
	}
}

// Resume implements engine.Launcher: what the engine believes to be under way is found, or started if it never was.
func (m *machine) Resume(tasks []engine.ResumeTask) error {
	believed := map[string]bool{}
	for _, rt := range tasks {
		believed[rt.Key] = true
		t := m.tasks[rt.Key]
		switch {
		case t == nil && rt.Begun:
			m.w.violate("task %s is taken for running and was never started", rt.Key)
		case t == nil:
			m.start(rt.StartTask)
		case t.state == running:
			m.deliver(t, runtime.Report{Key: t.Key, Kind: runtime.Started, At: t.startedAt})
		case t.state == ended:
			m.deliver(t, t.report)
		}
	}
	for _, key := range sorted(m.tasks) {
		if m.tasks[key].state != ended && !believed[key] {
			m.w.violate("task %s runs, and the engine has forgotten it", key)
		}
	}
	return nil
}

// lose ends everything that is under way without a trace: the host is gone.
func (m *machine) lose() {
	for _, key := range sorted(m.tasks) {
		if t := m.tasks[key]; t.state != ended {
			t.fate = fate{lost: true, ran: t.state == running}
			m.end(t)
		}
	}
}

// Reports implements engine.Launcher; a stepped engine does not read it.
func (m *machine) Reports() <-chan []runtime.Report { return nil }

// fateOf is how a task ended; false if it has not, or never was.
func (m *machine) fateOf(key string) (fate, bool) {
	if f, ok := m.done[key]; ok {
		return f, true
	}
	if t := m.tasks[key]; t != nil && t.state == ended {
		return t.fate, true
	}
	return fate{}, false
}

// milliseconds is a time of from to below to milliseconds.
func milliseconds(r *rand.Rand, from, to int) time.Duration {
	return time.Duration(from+r.IntN(max(1, to-from))) * time.Millisecond
}

func (t *task) String() string { return fmt.Sprintf("%s in state %d", t.Key, t.state) }
