package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// task is one attempt under way, or its end until that is acknowledged.
//
// Its containers go from waiting to starting, running and over, or from waiting or starting straight to over. Only
// advance, with mu held, decides what is next; container goroutines change their own container and call it.
type task struct {
	runtime.Task // without its Containers
	k            *Keeper
	ctx          context.Context // ends when the task is to stop: starts under way are given up
	cancel       context.CancelFunc
	over         chan struct{} // closed when the task has ended

	mu         sync.Mutex
	containers []*container
	stopping   bool
	grace      *time.Duration // replaces the containers' own if not nil
	startedAt  time.Time      // of the first essential container
	timers     []runtime.Timer
	mounted    runtime.Runtime // what the task's own volumes were made for, if it has any
	report     *runtime.Report // set when the task has ended
}

type containerState int

const (
	waiting containerState = iota
	starting
	running
	over
)

// container is a container of a task. Its members belong to the task's mu.
type container struct {
	*runtime.Container
	task    *task
	state   containerState
	handle  runtime.Handle // while running
	stopped bool           // the stop signal has been sent
	kill    runtime.Timer  // armed from the stop signal on
	killAt  time.Time
	ran     bool
	result  runtime.ContainerReport
}

func newTask(k *Keeper, spec runtime.Task) *task {
	t := &task{Task: spec, k: k, over: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(k.ctx)
	t.containers = make([]*container, len(spec.Containers))
	for i := range t.containers {
		c := &container{Container: &spec.Containers[i], task: t}
		c.result.Name = c.Name
		t.containers[i] = c
	}
	t.Task.Containers = nil
	return t
}

// begin starts the task, or ends it at once if err says that it can not be kept.
func (t *task) begin(err error) {
	t.mu.Lock()
	for _, c := range t.containers {
		if err != nil {
			c.fail(&runtime.StartError{Kind: runtime.KindCannotCreate, Err: err})
		}
	}
	t.advance()
	t.mu.Unlock()
}

// stop begins the end of the task.
func (t *task) stop(grace *time.Duration) {
	t.mu.Lock()
	if t.report == nil {
		if grace != nil && (t.grace == nil || *grace < *t.grace) {
			t.grace = grace
			for _, c := range t.containers {
				c.shortenGrace()
			}
		}
		t.halt()
		t.advance()
	}
	t.mu.Unlock()
}

// halt turns the task towards its end; advance does the rest. t.mu is held.
func (t *task) halt() {
	t.stopping = true
	t.cancel()
}

// advance does what has become possible: starts containers, stops them, ends the task. t.mu is held.
func (t *task) advance() {
	for changed := true; changed; {
		changed = false
		for _, c := range t.containers {
			if c.state == waiting && t.decide(c) {
				changed = true
			}
		}
		changed = changed || t.unlock()
	}
	if t.stopping {
		for _, c := range t.containers {
			if c.state == running && !c.stopped && t.mayStop(c) {
				c.signalStop()
			}
		}
	}
	for _, c := range t.containers {
		if c.state != over {
			return
		}
	}
	t.end()
}

// decide lets a waiting container go one way or the other, if that is clear yet.
func (t *task) decide(c *container) bool {
	if t.stopping {
		c.state = over
		return true
	}
	ready := true
	for _, d := range c.DependsOn {
		met, err := t.dependency(c, d)
		if err != nil {
			// The exit code is what the ECS agent reports then, as if SIGTERM had ended the container.
			c.fail(&runtime.StartError{Kind: runtime.KindCannotStart, Err: err, ExitCode: 143})
			return true
		}
		ready = ready && met
	}
	if ready {
		c.state = starting
		t.k.busy.Add(1)
		go c.run()
	}
	return ready
}

// dependency says whether a container's dependency is met, or why it never will be. The conditions and their refusals
// follow the ECS agent (ecs-agent, dependencygraph.verifyContainerOrderingStatusResolvable).
func (t *task) dependency(c *container, d runtime.Dependency) (bool, error) {
	on := t.find(d.ContainerName)
	if on == nil {
		return false, fmt.Errorf("container %s depends on container %s, which does not exist", c.Name, d.ContainerName)
	}
	if on.state == over && !on.ran {
		return false, fmt.Errorf("container %s depends on container %s, which will never start", c.Name, on.Name)
	}
	switch d.Condition {
	case runtime.ConditionStart:
		return on.ran, nil
	case runtime.ConditionComplete, runtime.ConditionSuccess:
		if on.state != over {
			if on.state == running && on.StartTimeout > 0 && !t.k.clock.Now().Before(on.result.StartedAt.Add(on.StartTimeout)) {
				return false, fmt.Errorf("container %s has waited for container %s to reach %s longer than its startTimeout of %v",
					c.Name, on.Name, d.Condition, on.StartTimeout)
			}
			return false, nil
		}
		if d.Condition == runtime.ConditionSuccess && (on.result.ExitCode == nil || *on.result.ExitCode != 0) {
			return false, fmt.Errorf("container %s depends on container %s, which did not exit successfully", c.Name, on.Name)
		}
		return true, nil
	}
	return false, fmt.Errorf("container %s: dependency condition %q is none of START, COMPLETE, SUCCESS", c.Name, d.Condition)
}

func (t *task) find(name string) *container {
	for _, c := range t.containers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// unlock ends containers that wait for each other in a circle, and says whether there were any.
func (t *task) unlock() bool {
	stuck := false
	for _, c := range t.containers {
		switch c.state {
		case starting, running:
			return false
		case waiting:
			stuck = true
		}
	}
	for _, c := range t.containers {
		if stuck && c.state == waiting {
			c.fail(&runtime.StartError{Kind: runtime.KindCannotStart, Err: errors.New("its dependencies form a circle"), ExitCode: 143})
		}
	}
	return stuck
}

// mayStop says whether no container is left that depends on c: shutdown goes in the reverse order of start, as the ECS
// agent has it (ecs-agent, dependencygraph.verifyShutdownOrder).
func (t *task) mayStop(c *container) bool {
	for _, other := range t.containers {
		if other.state == over || other == c {
			continue
		}
		for _, d := range other.DependsOn {
			if d.ContainerName == c.Name {
				return false
			}
		}
	}
	return true
}

// end reports the end of the task, once. t.mu is held.
func (t *task) end() {
	if t.report != nil {
		return
	}
	r := &runtime.Report{Key: t.Key, Kind: runtime.Ended, At: t.k.clock.Now(), StartedAt: t.startedAt}
	for _, c := range t.containers {
		r.Containers = append(r.Containers, c.result)
	}
	for _, timer := range t.timers {
		timer.Stop()
	}
	t.cancel()
	t.k.journal.ended(r)
	t.k.out.put(*r)
	t.k.count.ended.Add(1)
	t.report = r
	if rt := t.mounted; rt != nil {
		t.k.busy.Go(func() {
			if err := t.k.volumes.remove(rt, t.Key); err != nil {
				t.k.log.Warn("remove a task's volumes", "key", t.Key, "err", err)
			}
		})
	}
	// What is left is the report.
	t.containers, t.timers = nil, nil
	close(t.over)
	t.k.busy.Done()
}

func (t *task) endedReport() *runtime.Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report
}

func (t *task) show() TaskState {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := TaskState{Key: t.Key, StartedAt: t.startedAt, Ended: t.report}
	for _, c := range t.containers {
		if c.handle != nil && c.handle.PID() != 0 {
			s.PIDs = append(s.PIDs, c.handle.PID())
		}
	}
	return s
}
