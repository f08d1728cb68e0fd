package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// loaded is what a store's Load hands over, decoded.
type loaded struct {
	core *Core
	jobs []*job // ascending by seq
	// resume are the attempts under way, for the Launcher to find again; begun says which had reached RUNNING.
	resume []ResumeTask
	// spec is that of the last job, raw its row.
	spec *batch.Spec
	raw  []byte
}

// ResumeTask is a task that was under way when the engine ended.
type ResumeTask struct {
	StartTask
	// Begun: it was seen running. One that was not may never have been started.
	Begun bool
}

// Restore builds a core from the store: the state as of the last commit. Nothing in it is news: no notices are made.
func Restore(ctx context.Context, store Store, ids IDs, limits Limits, now time.Time) (*Core, []ResumeTask, error) {
	l := loaded{core: NewCore(ids, limits)}
	c := l.core
	c.now = now
	c.restoring = true
	var queues, others []ResourceRecord // after the environments and policies they refer to; and what belongs to another row
	deferred := func() error {
		for _, rec := range slices.Concat(queues, others) {
			if err := l.resource(rec); err != nil {
				return err
			}
		}
		queues, others = nil, nil
		return nil
	}
	v := Visitor{
		LastSeq: func(seq int64) { c.lastSeq = seq },
		Resource: func(rec ResourceRecord) error {
			switch rec.Kind {
			case batch.KindJobQueue:
				queues = append(queues, rec)
			case kindShareUsage, kindBlocked, kindUpdate:
				others = append(others, rec)
			default:
				return l.resource(rec)
			}
			return nil
		},
		Job: func(rec JobRecord) error {
			if err := deferred(); err != nil {
				return err
			}
			return l.job(rec)
		},
		Child: l.child,
	}
	if err := store.Load(ctx, v); err != nil {
		return nil, nil, fmt.Errorf("loading state: %w", err)
	}
	if err := deferred(); err != nil {
		return nil, nil, err
	}
	facts, err := l.facts(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	for _, j := range l.jobs {
		l.takeUp(j)
	}
	for _, j := range l.jobs {
		if c.jobs[j.id] == j { // not failed meanwhile by a dependency
			c.wire(j, facts)
		}
	}
	for _, p := range c.partOrder {
		p.unsettled, p.stale = true, true
	}
	c.resources = true
	c.restoring = false
	return c, l.resume, nil
}

func (l *loaded) resource(rec ResourceRecord) error {
	p := l.core.partition(rec.Partition)
	decode := func(v any) error {
		if err := json.Unmarshal(rec.Value, v); err != nil {
			return fmt.Errorf("engine: stored %s %s: %w", rec.Kind, rec.Key, err)
		}
		return nil
	}
	switch rec.Kind {
	case batch.KindComputeEnvironment:
		ce := new(batch.ComputeEnvironment)
		if err := decode(ce); err != nil {
			return err
		}
		p.envs[ce.Name] = &environment{ComputeEnvironment: ce}
	case batch.KindSchedulingPolicy:
		policy := new(batch.SchedulingPolicy)
		if err := decode(policy); err != nil {
			return err
		}
		p.policies[policy.Name] = policy
	case batch.KindConsumableResource:
		res := new(batch.ConsumableResource)
		if err := decode(res); err != nil {
			return err
		}
		p.consumables[res.Name] = &consumable{ConsumableResource: res}
	case batch.KindJobDefinition:
		jd := new(batch.JobDefinition)
		if err := decode(jd); err != nil {
			return err
		}
		p.definition(jd.Name).revisions[jd.Revision] = jd
		if jd.Status == batch.Inactive {
			l.core.expire(p, jd)
		}
	case kindDefinitionCount:
		return decode(&p.definition(rec.Key).last)
	case batch.KindJobQueue:
		jq := new(batch.JobQueue)
		if err := decode(jq); err != nil {
			return err
		}
		names := jq.Environments()
		envs := make([]*environment, 0, len(names))
		for _, name := range names {
			env := p.envs[name]
			if env == nil {
				return fmt.Errorf("engine: stored job queue %s names compute environment %s, which is not there", jq.Name, name)
			}
			envs = append(envs, env)
		}
		p.addQueue(jq, envs, p.policies[jq.SchedulingPolicy])
	case kindShareUsage:
		var use []sched.Usage
		if err := decode(&use); err != nil {
			return err
		}
		if q := p.queues[rec.Key]; q != nil {
			q.work.SetUsage(use)
		}
	case kindBlocked:
		kept := new(keptBlock)
		if err := decode(kept); err != nil {
			return err
		}
		if q := p.queues[rec.Key]; q != nil {
			q.kept = kept
		}
	case kindUpdate:
		var u update
		if err := decode(&u); err != nil {
			return err
		}
		resource, _, _ := strings.Cut(rec.Key, "/")
		if r := p.consumables[resource]; r != nil {
			i, _ := slices.BinarySearchFunc(r.updates, u.At, func(other update, at int64) int { return cmp.Compare(other.At, at) })
			r.updates = slices.Insert(r.updates, i, u)
		}
	default:
		return fmt.Errorf("engine: stored resource %s is of unknown kind %s", rec.Key, rec.Kind)
	}
	return nil
}

func (p *partition) definition(name string) *definition {
	d := p.definitions[name]
	if d == nil {
		d = &definition{revisions: map[int]*batch.JobDefinition{}}
		p.definitions[name] = d
	}
	return d
}

func (l *loaded) job(rec JobRecord) error {
	c := l.core
	p := c.partition(rec.Partition)
	if l.spec == nil || !bytes.Equal(rec.Spec, l.raw) { // many jobs one after the other have the same
		l.spec = new(batch.Spec)
		if err := json.Unmarshal(rec.Spec, l.spec); err != nil {
			return fmt.Errorf("engine: spec of job %s: %w", rec.ID, err)
		}
		l.raw = bytes.Clone(rec.Spec)
	}
	j := &job{seq: rec.Seq, part: p, id: rec.ID, spec: l.spec, createdAt: rec.CreatedAt}
	if j.queue = p.queues[rec.Queue]; j.queue == nil {
		return fmt.Errorf("engine: unfinished job %s is in queue %s, which is not there", rec.ID, rec.Queue)
	}
	c.lastSeq = max(c.lastSeq, rec.Seq)
	c.admit(j)
	l.jobs = append(l.jobs, j)
	if a := j.array; a != nil {
		a.status = rec.Status
		return decodeState(rec.ID, rec.State, &a.JobState)
	}
	j.work.status = rec.Status
	return decodeState(rec.ID, rec.State, &j.work.WorkState)
}

func (l *loaded) child(rec ChildRecord) error {
	j := l.jobs[len(l.jobs)-1] // Load gives the children after their job
	if j.seq != rec.Seq {
		return fmt.Errorf("engine: a child row of job %d comes after job %d", rec.Seq, j.seq)
	}
	id := fmt.Sprintf("%s, child %d", j.id, rec.Index)
	if j.array == nil {
		if rec.Index >= len(j.work.nodes) {
			return fmt.Errorf("engine: job %s has no node %d", j.id, rec.Index)
		}
		n := j.work.nodes[rec.Index]
		n.status, n.dirty = rec.Status, false
		return decodeState(id, rec.State, &n.WorkState)
	}
	a := j.array
	if rec.Index >= len(a.states) {
		return fmt.Errorf("engine: array job %s has no child %d", j.id, rec.Index)
	}
	a.counts[a.states[rec.Index]]--
	a.counts[rec.Status]++
	a.states[rec.Index] = rec.Status
	if rec.Status.Final() {
		return nil
	}
	w := l.core.newWork(j, int32(rec.Index))
	w.status = rec.Status
	a.live[w.index] = w
	return decodeState(id, rec.State, &w.WorkState)
}

func decodeState(id string, state []byte, v any) error {
	if err := json.Unmarshal(state, v); err != nil {
		return fmt.Errorf("engine: state of job %s: %w", id, err)
	}
	return nil
}

// facts looks up the finished jobs that unfinished ones depend on.
func (l *loaded) facts(ctx context.Context, store Store) (map[string]DependencyFact, error) {
	facts := map[string]DependencyFact{}
	for _, j := range l.jobs {
		for _, d := range j.spec.DependsOn {
			id, ok := batch.ParseJobID(d.JobID)
			if !ok || l.core.jobs[id.Parent] != nil {
				continue
			}
			if _, known := facts[d.JobID]; known {
				continue
			}
			fact, err := LookUpDependency(ctx, store, j.part.Partition, id)
			if err != nil {
				return nil, err
			}
			if !fact.Exists {
				// Retention has removed it, so it was final; and it succeeded, or the dependent would be final as well.
				fact.Status = batch.Succeeded
			}
			facts[d.JobID] = fact
		}
	}
	return facts, nil
}

// LookUpDependency reads what the Store knows of a job another one depends on.
func LookUpDependency(ctx context.Context, store Store, p batch.Partition, id batch.JobID) (DependencyFact, error) {
	rec, ok, err := store.Job(ctx, p, id.Parent)
	if err != nil || !ok {
		return DependencyFact{}, err
	}
	view, err := viewRecord(rec)
	if err != nil {
		return DependencyFact{}, err
	}
	fact := DependencyFact{Exists: hasPart(view.Spec, id), Status: rec.Status} // a node counts as its job
	if id.Sep == ':' && fact.Exists {
		child, ok, err := store.Child(ctx, rec.Seq, id.Index)
		return DependencyFact{Exists: ok, Status: child.Status}, err
	}
	if id.Index >= 0 || view.Spec.ArraySize == 0 {
		return fact, nil
	}
	fact.Children = make([]batch.Status, view.Spec.ArraySize)
	const page = 1000
	for from := 0; from < len(fact.Children); {
		children, err := store.ListChildren(ctx, ChildQuery{Seq: rec.Seq, From: from, Limit: page})
		if err != nil {
			return DependencyFact{}, err
		}
		if len(children) == 0 {
			break
		}
		for _, ch := range children {
			fact.Children[ch.Index] = ch.Status
		}
		from = children[len(children)-1].Index + 1
	}
	return fact, nil
}

// takeUp gives what was under way its room again and puts what waits for another attempt back into its queue.
func (l *loaded) takeUp(j *job) {
	c := l.core
	c.dirtyArr, c.dirty = map[*job]struct{}{}, map[*work]struct{}{}
	j.isNew = false
	works := []*work{j.work}
	if j.array != nil {
		works = works[:0]
		for i := range j.array.states { // in order of index, not of the map
			if w := j.array.live[int32(i)]; w != nil {
				works = append(works, w)
			}
		}
	}
	for _, w := range works {
		switch w.status {
		case batch.Runnable:
			c.enqueue(w)
		case batch.Starting, batch.Running:
			l.takeUpAttempt(w)
		}
	}
}

func (l *loaded) takeUpAttempt(w *work) {
	c, j := l.core, w.job
	env := j.part.envs[w.Current.ComputeEnvironment]
	if env == nil { // deleted under it; it goes on without taking anyone's room
		env = &environment{ComputeEnvironment: &batch.ComputeEnvironment{Name: w.Current.ComputeEnvironment}}
	}
	c.hold(w, env, w.Current.PlacedAt)
	if w.status == batch.Running && (w.nodes == nil || w.mainNode().underWay()) {
		c.armTimeout(w)
		c.armSpot(w)
	}
	if w.nodes == nil {
		l.resume = append(l.resume, ResumeTask{StartTask: c.startOf(w), Begun: w.status == batch.Running})
		if w.Current.Stop != "" {
			c.stops = append(c.stops, StopTask{Key: w.key(), Grace: c.grace(w.Current.Stop)})
		}
		return
	}
	if block, ok := blockOf(w.Current.Address); ok {
		w.attempt.addresses = block
		c.blocks[block] = true
	}
	for _, n := range w.nodes {
		switch {
		case n.underWay():
			l.resume = append(l.resume, ResumeTask{StartTask: c.startOfNode(w, n), Begun: n.status == batch.Running})
			if n.Current.Stop != "" || w.mainNode().Current == nil {
				c.stops = append(c.stops, StopTask{Key: w.nodeKey(n), Grace: c.grace(n.Current.Stop)})
			}
		case n.status == batch.Starting || n.status == batch.Running: // ended within the attempt under way
			n.ended = recordedResult(n)
		}
	}
}

// recordedResult is the result of a node's last attempt, from its record.
func recordedResult(n *node) *result {
	last := n.Attempts[len(n.Attempts)-1]
	res := &result{
		stoppedAt: last.StoppedAt, statusReason: last.StatusReason, containers: last.Containers, decisive: last.Decisive, cause: batch.Failure,
	}
	switch last.Stop {
	case stopTimeout:
		res.cause = batch.TimedOut
	case stopTerminate:
		res.cause = batch.Stopped
	default:
		code := last.Containers[last.Decisive].ExitCode
		res.success = last.StatusReason == batch.ReasonExited && code != nil && *code == 0
	}
	return res
}
