package engine

import (
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/runtime"
)

// TaskReport is what the owner of the containers says about a task. A report about a task the core does not know, or
// knows to have ended, changes nothing and is acknowledged.
type TaskReport struct{ Report runtime.Report }

func (ev TaskReport) apply(c *Core) (any, error) {
	w, n := c.findTask(ev.Report.Key)
	switch {
	case w == nil:
		if ev.Report.Kind == runtime.Ended {
			c.acks = append(c.acks, ev.Report.Key)
		}
	case w.nodes != nil:
		c.nodeReport(w, n, ev.Report)
	case ev.Report.Kind == runtime.Started:
		c.began(w, ev.Report.At)
	default:
		if !ev.Report.StartedAt.IsZero() {
			c.began(w, ev.Report.StartedAt)
		}
		c.acks = append(c.acks, ev.Report.Key)
		c.attemptEnded(w, c.result(w, w.job.taskView(), w.Current, ev.Report))
	}
	return nil, nil
}

// findTask finds the work, and the node if it is one, whose attempt under way has this task key.
func (c *Core) findTask(key string) (*work, *node) {
	slash := strings.LastIndexByte(key, '/')
	if slash < 0 {
		return nil, nil
	}
	number, err := strconv.Atoi(key[slash+1:])
	id, ok := batch.ParseJobID(key[:slash])
	if err != nil || !ok {
		return nil, nil
	}
	j := c.jobs[id.Parent]
	if j == nil {
		return nil, nil
	}
	w := j.work
	if id.Sep == ':' {
		if j.array == nil {
			return nil, nil
		}
		w = j.array.live[int32(id.Index)]
	}
	if w == nil || w.attempt == nil || w.attemptNo() != number {
		return nil, nil
	}
	if w.nodes == nil && id.Sep != '#' {
		return w, nil
	}
	if id.Sep != '#' || id.Index >= len(w.nodes) || !w.nodes[id.Index].underWay() {
		return nil, nil
	}
	return w, w.nodes[id.Index]
}

// newAttempt makes the record of an attempt that begins on env.
func (c *Core) newAttempt(j *job, view *batch.TaskView, env *environment) *Attempt {
	a := &Attempt{ComputeEnvironment: env.Name, Cluster: env.Cluster(), TaskID: c.ids.TaskID(), PlacedAt: c.nowMs()}
	for i := range view.Containers {
		ct := &view.Containers[i]
		name := ct.Name
		if len(view.Containers) == 1 && name == batch.DefaultContainer {
			name = ""
		}
		a.Containers = append(a.Containers, ContainerResult{
			Name: name, LogStream: j.spec.LogStream(ct, a.TaskID),
		})
	}
	return a
}

// taskView is the narrow view of what an attempt of the job (or of its main node) runs.
func (j *job) taskView() *batch.TaskView {
	if j.task == nil {
		view, err := j.spec.Task(j.spec.MainNode)
		if err != nil {
			panic("engine: job " + j.id + ": its resolved properties do not parse: " + err.Error())
		}
		j.task = &view
	}
	return j.task
}

// startOf is the one task of a job or child that has been placed.
func (c *Core) startOf(w *work) StartTask {
	return StartTask{
		Key: w.key(), Partition: w.job.part.Partition, JobID: w.id(), Attempt: w.attemptNo(),
		Spec: w.job.spec, Task: w.job.taskView(), Index: int(w.index), Node: -1, Record: *w.Current,
	}
}

// began notes that the program of an attempt runs.
func (c *Core) began(w *work, at time.Time) {
	if w.status != batch.Starting {
		return
	}
	w.StartedAt = at.UnixMilli()
	w.Current.StartedAt = w.StartedAt
	c.move(w, batch.Began)
	c.armTimeout(w)
	c.armSpot(w)
}

// armTimeout starts the clock of attemptDurationSeconds, from startedAt of this attempt (reference, section 6).
func (c *Core) armTimeout(w *work) {
	if w.job.spec.Timeout > 0 {
		w.attempt.deadline = c.timers.add(w.deadline(), func() { c.stopAttempt(w, stopTimeout) })
	}
}

// deadline is when the attempt under way has run for attemptDurationSeconds, in ms; of a job that has a timeout.
func (w *work) deadline() int64 {
	return w.Current.StartedAt + (time.Duration(w.job.spec.Timeout) * time.Second).Milliseconds()
}

// stopAttempt ends the attempt under way for a cause. The first cause stands, except that a caller's termination, after
// which nothing is retried, replaces any.
func (c *Core) stopAttempt(w *work, cause string) {
	if w.Current.Stop != "" && cause != stopTerminate || w.Current.Stop == stopTerminate {
		return
	}
	w.Current.Stop = cause
	c.touch(w)
	if w.nodes != nil {
		c.stopNodes(w)
		return
	}
	c.stops = append(c.stops, StopTask{Key: w.key(), Grace: c.grace(cause)})
}

// grace is the time between SIGTERM and SIGKILL; zero leaves it to the containers' stop timeouts, which are AWS's 30 s
// unless the definition says otherwise.
func (c *Core) grace(cause string) time.Duration {
	if cause == stopSpot {
		return c.limits.SpotWindow
	}
	return c.limits.StopGrace
}

// result is how an attempt went: what its record says, and what decides about the job.
type result struct {
	stoppedAt    int64 // ms
	statusReason string
	containers   []ContainerResult
	// decisive is the index of the container that decides.
	decisive int
	success  bool
	cause    batch.Cause
}

// result reads the report of an ended task of the attempt under way (reference, section 3.5). current is the task's own
// record.
func (c *Core) result(w *work, view *batch.TaskView, current *Attempt, r runtime.Report) result {
	res := result{stoppedAt: c.stoppedAt(current, r), containers: current.Containers, cause: batch.Failure}
	if current.Stop == stopTimeout && res.stoppedAt < w.deadline() {
		current.Stop = "" // it had ended in time, and the report comes late: the engine was down meanwhile
	}
	var ended *runtime.ContainerReport // the first essential container to end
	for i := range r.Containers {
		cr := &r.Containers[i]
		if i >= len(res.containers) {
			break
		}
		out := &res.containers[i]
		out.ExitCode = cr.ExitCode
		switch {
		case cr.StartError != "":
			out.Reason = batch.ContainerReason(cr.StartError)
		case cr.OOM:
			out.Reason = batch.ReasonOutOfMemory
		}
		essential := i >= len(view.Containers) || view.Containers[i].Essential
		if essential && (ended == nil || endedBefore(cr, ended)) {
			ended, res.decisive = cr, i
		}
	}
	exitedZero := ended != nil && ended.ExitCode != nil && *ended.ExitCode == 0 && ended.StartError == ""
	switch {
	case current.Stop == stopTimeout:
		res.statusReason, res.cause = batch.ReasonTimeout, batch.TimedOut
	case current.Stop == stopTerminate:
		res.cause = batch.Stopped
	case r.Lost:
		res.statusReason = batch.ReasonHostLost(current.TaskID)
	case ended != nil && ended.StartError != "":
		res.statusReason = batch.StartFailureReason(w.job.spec.Platform, ended.StartError)
	case current.Stop == stopSpot:
		res.statusReason, res.success = spotReason(w.attempt.env, current), exitedZero
	case ended == nil:
		res.statusReason = batch.ReasonTaskFailedToStart
	default:
		res.statusReason, res.success = batch.ReasonExited, exitedZero
	}
	return res
}

// stoppedAt is when a task ended, in ms: as reported, but not before it started and not in the future.
func (c *Core) stoppedAt(current *Attempt, r runtime.Report) int64 {
	if r.At.IsZero() {
		return c.nowMs()
	}
	return min(max(r.At.UnixMilli(), current.StartedAt), c.nowMs())
}

// spotReason is the status reason of an attempt whose capacity was reclaimed: on Fargate the task's, on EC2 Spot, where the
// instance goes away, the host's (reference 3.5).
func spotReason(env *environment, current *Attempt) string {
	if env.IsFargate() {
		return batch.ReasonSpotInterrupted
	}
	return batch.ReasonHostLost(current.TaskID)
}

// endedBefore orders containers by what decided the task's end: one that could not be started before one that ended
// earlier before one that ended later; containers that never ran because another failed come last.
func endedBefore(a, b *runtime.ContainerReport) bool {
	if (a.StartError != "") != (b.StartError != "") {
		return a.StartError != ""
	}
	if a.StoppedAt.IsZero() != b.StoppedAt.IsZero() {
		return b.StoppedAt.IsZero()
	}
	return a.StoppedAt.Before(b.StoppedAt)
}

// attemptEnded closes the record of the attempt under way and lets the retry rules decide what follows.
func (c *Core) attemptEnded(w *work, res result) {
	if res.cause == batch.Stopped {
		res.statusReason = w.StopReason
	}
	number := w.attemptNo()
	record := *w.Current
	record.StoppedAt = res.stoppedAt
	record.StatusReason = res.statusReason
	record.Containers, record.Decisive = res.containers, res.decisive
	c.letGo(w)
	w.Current = nil
	w.Attempts = append(w.Attempts, record)
	w.StatusReason = res.statusReason

	if res.success {
		w.StoppedAt = res.stoppedAt
		c.finishNodes(w, res.statusReason)
		c.move(w, batch.Completed)
		c.workFinal(w)
		return
	}
	var last ContainerResult
	if len(res.containers) > 0 {
		last = res.containers[res.decisive]
	}
	outcome := batch.Outcome{Cause: res.cause, StatusReason: res.statusReason, Reason: last.Reason}
	if last.ExitCode != nil {
		outcome.ExitCode, outcome.HasExitCode = *last.ExitCode, true
	}
	if batch.Decide(w.job.spec.Retry, number, outcome).Retry && !w.ending() {
		c.retryNodes(w)
		c.move(w, batch.Retried)
		c.enqueue(w)
		return
	}
	w.StoppedAt = res.stoppedAt
	c.finishNodes(w, res.statusReason)
	c.move(w, batch.Ended)
	c.workFinal(w)
}

// ending says whether a caller has ended the work, or its array as a whole: then there is no further attempt, even for a
// child that was running when its array was cancelled and so was left alone.
func (w *work) ending() bool {
	a := w.job.array
	return w.Terminated || a != nil && (a.Cancelled || a.Terminated)
}

// workFinal is called when a work that was under way has become final.
func (c *Core) workFinal(w *work) {
	if w.index < 0 {
		c.jobFinal(w.job)
		return
	}
	delete(w.job.array.live, w.index)
	c.childFinal(w.job, w.index)
}
