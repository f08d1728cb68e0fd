package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// kindDefinitionCount is the resource row that remembers the highest revision ever registered of a name, so that a
// revision is never reused.
const kindDefinitionCount = "job-definition-count"

// save writes a resource's row and asks for a new catalog; v nil deletes it.
func (c *Core) save(p *partition, kind, key string, v any) {
	rec := ResourceRecord{Partition: p.Partition, Kind: kind, Key: key}
	if v != nil {
		value, err := json.Marshal(v)
		if err != nil {
			panic("engine: " + kind + " " + key + ": " + err.Error()) // plain structs: a fault of ours
		}
		rec.Value = value
	}
	c.changes.Resources = append(c.changes.Resources, rec)
	c.resources = true
	p.stale = true
	p.unsettled = true
}

// CreateComputeEnvironment carries the raw body of the API request, as every event like it does. The result of the computing
// events is the resource as it then is.
type CreateComputeEnvironment struct {
	Partition batch.Partition
	Raw       []byte
}

func (ev CreateComputeEnvironment) apply(c *Core) (any, error) {
	ce, err := batch.NewComputeEnvironment(ev.Raw, ev.Partition, c.ids.UUID())
	if err != nil {
		return nil, err
	}
	p := c.partition(ev.Partition)
	if p.envs[ce.Name] != nil {
		return nil, batch.Refusedf("Object already exists")
	}
	if len(p.envs) >= batch.MaxComputeEnvironments {
		return nil, batch.Refusedf("Limit of %d compute environments exceeded", batch.MaxComputeEnvironments)
	}
	p.envs[ce.Name] = &environment{ComputeEnvironment: &ce}
	c.save(p, batch.KindComputeEnvironment, ce.Name, &ce)
	return ce, nil
}

// UpdateComputeEnvironment changes an environment; what runs on it goes on.
type UpdateComputeEnvironment struct {
	Partition batch.Partition
	Name      string
	Raw       []byte
}

func (ev UpdateComputeEnvironment) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	env := p.envs[ev.Name]
	if env == nil {
		return nil, batch.ErrEnvironmentUnknown(ev.Partition, ev.Name)
	}
	ce, err := batch.UpdateComputeEnvironment(*env.ComputeEnvironment, ev.Raw, ev.Partition)
	if err != nil {
		return nil, err
	}
	env.ComputeEnvironment = &ce
	c.save(p, batch.KindComputeEnvironment, ce.Name, &ce)
	return ce, nil
}

// DeleteComputeEnvironment removes an environment that is DISABLED and in no queue.
type DeleteComputeEnvironment struct {
	Partition batch.Partition
	Name      string
}

func (ev DeleteComputeEnvironment) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	env := p.envs[ev.Name]
	if env == nil {
		return nil, batch.ErrEnvironmentUnknown(ev.Partition, ev.Name)
	}
	if env.State != batch.Disabled {
		return nil, batch.Refusedf("Cannot delete, Compute Environment state must be DISABLED.")
	}
	for _, q := range p.queues {
		for _, e := range q.envs {
			if e == env {
				return nil, batch.Refusedf("Cannot delete, found existing JobQueue relationship.")
			}
		}
	}
	if env.tasks > 0 {
		// Reference 2.1: on Fargate an environment deleted under active jobs goes to INVALID (User Guide, "Updating compute
		// environments"). It can be deleted again when they have ended.
		ce := *env.ComputeEnvironment
		ce.Status = batch.StatusInvalid
		ce.StatusReason = fmt.Sprintf("CLIENT_ERROR - Cannot delete, %d jobs are active on the Compute Environment", env.tasks)
		env.ComputeEnvironment = &ce
		c.save(p, batch.KindComputeEnvironment, ce.Name, &ce)
		return nil, nil
	}
	delete(p.envs, ev.Name)
	c.save(p, batch.KindComputeEnvironment, ev.Name, nil)
	return nil, nil
}

// CreateJobQueue makes a queue.
type CreateJobQueue struct {
	Partition batch.Partition
	Raw       []byte
}

func (ev CreateJobQueue) apply(c *Core) (any, error) {
	jq, err := batch.NewJobQueue(ev.Raw, ev.Partition)
	if err != nil {
		return nil, err
	}
	p := c.partition(ev.Partition)
	if p.queues[jq.Name] != nil {
		return nil, batch.Refusedf("%s already exists", ev.Partition.BatchARN(batch.KindJobQueue, jq.Name))
	}
	if len(p.queues) >= batch.MaxJobQueues {
		return nil, batch.Refusedf("Limit of %d job queues exceeded", batch.MaxJobQueues)
	}
	envs, err := p.attach(&jq)
	if err != nil {
		return nil, err
	}
	var policy *batch.SchedulingPolicy
	if jq.SchedulingPolicy != "" {
		policy = p.policies[jq.SchedulingPolicy]
		arn := ev.Partition.BatchARN(batch.KindSchedulingPolicy, jq.SchedulingPolicy)
		if err := batch.CheckSchedulingPolicy(arn, policy); err != nil {
			return nil, err
		}
	}
	p.addQueue(&jq, envs, policy)
	c.save(p, batch.KindJobQueue, jq.Name, &jq)
	return jq, nil
}

// attach looks up the environments of a queue's order and checks that it may have them.
func (p *partition) attach(jq *batch.JobQueue) ([]*environment, error) {
	names := jq.Environments()
	envs := make([]*environment, len(names))
	ces := make([]*batch.ComputeEnvironment, len(names))
	for i, name := range names {
		if env := p.envs[name]; env != nil {
			envs[i], ces[i] = env, env.ComputeEnvironment
		}
	}
	attached, err := batch.AttachEnvironments(*jq, ces)
	if err != nil {
		return nil, err
	}
	*jq = attached
	return envs, nil
}

func (p *partition) addQueue(jq *batch.JobQueue, envs []*environment, policy *batch.SchedulingPolicy) *queue {
	q := &queue{JobQueue: jq, part: p, envs: envs, jobs: map[*job]struct{}{}, work: sched.NewQueue[entry](fairShare(policy))}
	p.queues[jq.Name] = q
	p.sortQueues()
	return q
}

// fairShare is a policy as the scheduler needs it; nil for none.
func fairShare(policy *batch.SchedulingPolicy) *sched.Policy {
	if policy == nil {
		return nil
	}
	return &sched.Policy{
		Decay:       time.Duration(policy.ShareDecaySeconds) * time.Second,
		Reservation: policy.ComputeReservation,
		Weight:      policy.WeightFor,
	}
}

// UpdateJobQueue changes a queue; work standing in it keeps its place.
type UpdateJobQueue struct {
	Partition batch.Partition
	Name      string
	Raw       []byte
}

func (ev UpdateJobQueue) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	q := p.queues[ev.Name]
	if q == nil || q.Status == batch.StatusDeleting {
		return nil, batch.ErrQueueUnknown(ev.Partition, ev.Name)
	}
	jq, change, err := batch.UpdateJobQueue(*q.JobQueue, ev.Raw, ev.Partition)
	if err != nil {
		return nil, err
	}
	envs := q.envs
	if change.Environments {
		if envs, err = p.attach(&jq); err != nil {
			return nil, err
		}
	}
	if change.SchedulingPolicy {
		policy := p.policies[jq.SchedulingPolicy]
		arn := ev.Partition.BatchARN(batch.KindSchedulingPolicy, jq.SchedulingPolicy)
		if err := batch.CheckSchedulingPolicy(arn, policy); err != nil {
			return nil, err
		}
		q.work.SetPolicy(fairShare(policy), c.now)
	}
	q.envs, q.JobQueue = envs, &jq
	p.sortQueues()
	c.armTimeLimit(q)
	c.save(p, batch.KindJobQueue, jq.Name, &jq)
	return jq, nil
}

// DeleteJobQueue removes a queue that is DISABLED. Jobs left in it are terminated; it is DELETING until the last of them
// has ended.
type DeleteJobQueue struct {
	Partition batch.Partition
	Name      string
}

// reasonQueueDeleted is the statusReason of jobs ended by the deletion of their queue (text unverified).
const reasonQueueDeleted = "Job queue deleted"

func (ev DeleteJobQueue) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	q := p.queues[ev.Name]
	if q == nil || q.Status == batch.StatusDeleting {
		return nil, batch.ErrQueueUnknown(ev.Partition, ev.Name)
	}
	if q.State != batch.Disabled {
		return nil, batch.Refusedf("Cannot delete, Job Queue state must be DISABLED.")
	}
	jq := *q.JobQueue
	jq.Status = batch.StatusDeleting
	q.JobQueue = &jq
	c.save(p, batch.KindJobQueue, jq.Name, &jq)
	for _, j := range sortedJobs(q.jobs) {
		c.endForDeletion(j)
	}
	c.queueMayVanish(q)
	return nil, nil
}

// endForDeletion ends a job of a queue that is being deleted: unlike a user's cancellation it does not wait for
// dependencies.
func (c *Core) endForDeletion(j *job) {
	if j.final() {
		return
	}
	if j.array == nil {
		if j.work.status == batch.Pending {
			j.work.Cancelled, j.work.StopReason = true, reasonQueueDeleted
			c.finish(j.work, reasonQueueDeleted)
			return
		}
		c.endWork(j.work, reasonQueueDeleted, true)
		return
	}
	c.endArray(j, reasonQueueDeleted, true)
	if !j.final() {
		c.endUnstarted(j, reasonQueueDeleted)
	}
}

// queueMayVanish removes a DELETING queue without jobs.
func (c *Core) queueMayVanish(q *queue) {
	if q.Status != batch.StatusDeleting || len(q.jobs) > 0 {
		return
	}
	c.unblock(q)
	delete(q.part.queues, q.Name)
	q.part.sortQueues()
	c.save(q.part, batch.KindJobQueue, q.Name, nil)
	if q.work.Fair() {
		c.save(q.part, kindShareUsage, q.Name, nil)
	}
}

// RegisterJobDefinition adds a revision. Definition has been validated; its Revision is set here. The result is the
// batch.JobDefinition with it.
type RegisterJobDefinition struct {
	Partition  batch.Partition
	Definition batch.JobDefinition
}

func (ev RegisterJobDefinition) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	d := p.definitions[ev.Definition.Name]
	if d == nil {
		d = &definition{revisions: map[int]*batch.JobDefinition{}}
		p.definitions[ev.Definition.Name] = d
	}
	d.last++
	jd := ev.Definition
	jd.Revision, jd.Status = d.last, batch.Active
	d.revisions[jd.Revision] = &jd
	c.save(p, batch.KindJobDefinition, jd.ID(), &jd)
	c.save(p, kindDefinitionCount, jd.Name, d.last)
	return jd, nil
}

// DeregisterJobDefinition makes a revision INACTIVE. Jobs already submitted go on.
type DeregisterJobDefinition struct {
	Partition batch.Partition
	Name      string
	Revision  int
}

func (ev DeregisterJobDefinition) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	d := p.definitions[ev.Name]
	if d == nil || d.revisions[ev.Revision] == nil {
		return nil, batch.ErrDefinitionUnknown(ev.Partition, fmt.Sprintf("%s:%d", ev.Name, ev.Revision))
	}
	jd := *d.revisions[ev.Revision]
	if jd.Status == batch.Inactive {
		return nil, nil
	}
	jd.Status, jd.DeregisteredAt = batch.Inactive, c.nowMs()
	d.revisions[ev.Revision] = &jd
	c.save(p, batch.KindJobDefinition, jd.ID(), &jd)
	c.expire(p, &jd)
	return nil, nil
}

// inactiveLife is how long an INACTIVE revision is kept, in ms (API DeregisterJobDefinition).
const inactiveLife = int64(180 * 24 * time.Hour / time.Millisecond)

// expire has a revision that was deregistered removed in time. Its number is not given again.
func (c *Core) expire(p *partition, jd *batch.JobDefinition) {
	id, revision, d := jd.ID(), jd.Revision, p.definitions[jd.Name]
	c.timers.add(jd.DeregisteredAt+inactiveLife, func() {
		delete(d.revisions, revision)
		c.save(p, batch.KindJobDefinition, id, nil)
	})
}

// ChangeTags merges tags into those of a resource and removes keys. Name is "name:revision" for job definitions; jobs are
// not resources here (see ChangeJobTags).
type ChangeTags struct {
	Partition  batch.Partition
	Kind, Name string
	Add        map[string]string
	Remove     []string
}

func (ev ChangeTags) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	change := func(tags map[string]string) (map[string]string, error) {
		merged, err := batch.MergeTags(tags, ev.Add)
		if err != nil {
			return nil, err
		}
		return batch.RemoveTags(merged, ev.Remove), nil
	}
	unknown := batch.Refusedf("%s does not exist", ev.Partition.BatchARN(ev.Kind, ev.Name))
	switch ev.Kind {
	case batch.KindComputeEnvironment:
		return editTags(c, p, ev, p.envs[ev.Name], unknown, func(env *environment) (any, error) {
			ce := *env.ComputeEnvironment
			var err error
			ce.Tags, err = change(ce.Tags)
			if err == nil {
				env.ComputeEnvironment = &ce
			}
			return &ce, err
		})
	case batch.KindJobQueue:
		return editTags(c, p, ev, p.queues[ev.Name], unknown, func(q *queue) (any, error) {
			jq := *q.JobQueue
			var err error
			jq.Tags, err = change(jq.Tags)
			if err == nil {
				q.JobQueue = &jq
			}
			return &jq, err
		})
	case batch.KindJobDefinition:
		name, revision, ok := batch.SplitDefinition(ev.Name)
		d := p.definitions[name]
		if !ok || d == nil {
			return nil, unknown
		}
		return editTags(c, p, ev, d.revisions[revision], unknown, func(old *batch.JobDefinition) (any, error) {
			jd := *old
			var err error
			jd.Tags, err = change(jd.Tags)
			if err == nil {
				d.revisions[revision] = &jd
			}
			return &jd, err
		})
	case batch.KindSchedulingPolicy:
		return editTags(c, p, ev, p.policies[ev.Name], unknown, func(old *batch.SchedulingPolicy) (any, error) {
			policy := *old
			var err error
			policy.Tags, err = change(policy.Tags)
			if err == nil {
				p.policies[ev.Name] = &policy
			}
			return &policy, err
		})
	case batch.KindConsumableResource:
		return editTags(c, p, ev, p.consumables[ev.Name], unknown, func(r *consumable) (any, error) {
			res := *r.ConsumableResource
			var err error
			res.Tags, err = change(res.Tags)
			if err == nil {
				r.ConsumableResource = &res
			}
			return &res, err
		})
	default:
		return nil, unknown
	}
}

// editTags applies edit to a resource that exists and saves what edit returns.
func editTags[T any](c *Core, p *partition, ev ChangeTags, res *T, unknown error, edit func(*T) (any, error)) (any, error) {
	if res == nil {
		return nil, unknown
	}
	value, err := edit(res)
	if err != nil {
		return nil, err
	}
	c.save(p, ev.Kind, ev.Name, value)
	return nil, nil
}

// ChangeJobTags is ChangeTags for an unfinished job.
type ChangeJobTags struct {
	Partition batch.Partition
	ID        string
	Add       map[string]string
	Remove    []string
}

func (ev ChangeJobTags) apply(c *Core) (any, error) {
	j := c.jobs[ev.ID]
	if j == nil || j.part.Partition != ev.Partition {
		return nil, batch.Refusedf("%s does not exist", ev.Partition.BatchARN(batch.KindJob, ev.ID))
	}
	merged, err := batch.MergeTags(j.spec.Tags, ev.Add)
	if err != nil {
		return nil, err
	}
	spec := *j.spec
	spec.Tags = maps.Clone(batch.RemoveTags(merged, ev.Remove))
	j.spec, j.isNew = &spec, true // the spec's row is written again
	if j.array != nil {
		c.dirtyArr[j] = struct{}{}
	} else {
		c.touch(j.work)
	}
	return nil, nil
}
