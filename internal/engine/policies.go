package engine

import "github.com/batchbox/batchbox/internal/batch"

// CreateSchedulingPolicy makes a scheduling policy.
type CreateSchedulingPolicy struct {
	Partition batch.Partition
	Raw       []byte
}

func (ev CreateSchedulingPolicy) apply(c *Core) (any, error) {
	policy, err := batch.NewSchedulingPolicy(ev.Raw)
	if err != nil {
		return nil, err
	}
	p := c.partition(ev.Partition)
	if p.policies[policy.Name] != nil {
		return nil, batch.Refusedf("%s already exists", ev.Partition.BatchARN(batch.KindSchedulingPolicy, policy.Name))
	}
	p.policies[policy.Name] = &policy
	c.save(p, batch.KindSchedulingPolicy, policy.Name, &policy)
	return policy, nil
}

// kindShareUsage is the resource row that remembers what the shares of a fair-share queue have used, so that a restart does
// not make them equal again.
const kindShareUsage = "share-usage"

// usageParts is how many times in a policy's window usage is written: what a crash can lose is that small a part of it.
const usageParts = 20

// keepUsage writes a queue's usage if it is time to; it is called when usage has just changed.
func (c *Core) keepUsage(q *queue) {
	if !q.work.Fair() || c.nowMs()-q.usageKept < q.work.Window().Milliseconds()/usageParts {
		return
	}
	q.usageKept = c.nowMs()
	c.changes.Resources = append(c.changes.Resources, ResourceRecord{
		Partition: q.part.Partition, Kind: kindShareUsage, Key: q.Name, Value: encode(q.work.Usage(c.now)),
	})
}

// UpdateSchedulingPolicy changes a policy; it holds for what is scheduled afterwards.
type UpdateSchedulingPolicy struct {
	Partition batch.Partition
	Name      string
	Raw       []byte
}

func (ev UpdateSchedulingPolicy) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	old := p.policies[ev.Name]
	if old == nil {
		return nil, batch.ErrPolicyUnknown(ev.Partition, ev.Name)
	}
	policy, err := batch.UpdateSchedulingPolicy(*old, ev.Raw)
	if err != nil {
		return nil, err
	}
	p.policies[ev.Name] = &policy
	for _, q := range p.order {
		if q.SchedulingPolicy == ev.Name {
			q.work.SetPolicy(fairShare(&policy), c.now)
		}
	}
	c.save(p, batch.KindSchedulingPolicy, ev.Name, &policy)
	return policy, nil
}

// DeleteSchedulingPolicy removes a policy that no queue uses. One that does not exist is no error: the acceptance test
// TestAccBatchSchedulingPolicy_disappears of Terraform's AWS provider deletes a policy twice and passes on AWS.
type DeleteSchedulingPolicy struct {
	Partition batch.Partition
	Name      string
}

func (ev DeleteSchedulingPolicy) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	if p.policies[ev.Name] == nil {
		return nil, nil
	}
	for _, q := range p.order {
		if q.SchedulingPolicy == ev.Name {
			return nil, batch.Refusedf("Cannot delete, scheduling policy is in use by job queue %s.", q.Name)
		}
	}
	delete(p.policies, ev.Name)
	c.save(p, batch.KindSchedulingPolicy, ev.Name, nil)
	return nil, nil
}
