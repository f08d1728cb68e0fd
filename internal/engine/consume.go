package engine

import (
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// hasConsumables says whether everything the job needs to hold is there now. A resource that does not exist is not.
func (p *partition) hasConsumables(spec *batch.Spec) bool {
	for _, need := range spec.Consumables {
		r := p.consumables[need.Resource]
		if r == nil || r.Total-r.inUse < need.Quantity {
			return false
		}
	}
	return true
}

func (p *partition) holdConsumables(spec *batch.Spec) {
	for _, need := range spec.Consumables {
		if r := p.consumables[need.Resource]; r != nil {
			r.inUse += need.Quantity
		}
	}
}

// releaseConsumables gives back what an attempt held, however it ended. What is not replenishable is used up.
func (c *Core) releaseConsumables(p *partition, spec *batch.Spec) {
	if len(spec.Consumables) == 0 {
		return
	}
	for _, need := range spec.Consumables {
		r := p.consumables[need.Resource]
		if r == nil {
			continue
		}
		r.inUse = max(0, r.inUse-need.Quantity)
		if r.Type == batch.NonReplenishable {
			res := *r.ConsumableResource
			res.Total = max(0, res.Total-need.Quantity)
			r.ConsumableResource = &res
			c.save(p, batch.KindConsumableResource, res.Name, &res)
		}
	}
	c.unpark(p)
}

// park takes work that misses a consumable resource out of its queue, so that what stands behind it can run; it keeps its
// place, by its key, for when it comes back.
//
// unverified: whether AWS shows such a job as RUNNABLE or PENDING, and whether it holds up a FIFO queue.
func (c *Core) park(it *sched.Item[entry]) {
	j := it.Work.job
	j.queue.work.Remove(it, j.spec.Share)
	j.part.parked[it] = struct{}{}
}

// unpark lets all parked work of a partition try again.
func (c *Core) unpark(p *partition) {
	for it := range p.parked {
		j := it.Work.job
		j.queue.work.Push(it, j.spec.Share, c.now)
	}
	clear(p.parked)
	p.unsettled = true
}

// waiting says whether an item stands in its queue or is parked.
func waiting(it *sched.Item[entry]) bool {
	_, parked := it.Work.job.part.parked[it]
	return parked || it.Queued()
}

// dequeue takes an item out of wherever it waits.
func (c *Core) dequeue(it *sched.Item[entry]) {
	j := it.Work.job
	j.queue.work.Remove(it, j.spec.Share)
	delete(j.part.parked, it)
}

// CreateConsumableResource makes a consumable resource.
type CreateConsumableResource struct {
	Partition batch.Partition
	Raw       []byte
}

func (ev CreateConsumableResource) apply(c *Core) (any, error) {
	res, err := batch.NewConsumableResource(ev.Raw)
	if err != nil {
		return nil, err
	}
	res.CreatedAt = c.nowMs()
	p := c.partition(ev.Partition)
	if p.consumables[res.Name] != nil {
		return nil, batch.Refusedf("%s already exists", ev.Partition.BatchARN(batch.KindConsumableResource, res.Name))
	}
	p.consumables[res.Name] = &consumable{ConsumableResource: &res}
	c.save(p, batch.KindConsumableResource, res.Name, &res)
	c.unpark(p)
	return res, nil
}

// UpdateConsumableResource sets, adds to or removes from the total.
type UpdateConsumableResource struct {
	Partition batch.Partition
	Name      string
	Raw       []byte
}

func (ev UpdateConsumableResource) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	r := p.consumables[ev.Name]
	if r == nil {
		return nil, batch.ConsumableNotFound(ev.Name)
	}
	res, err := batch.UpdateConsumableResource(*r.ConsumableResource, ev.Raw)
	if err != nil {
		return nil, err
	}
	r.ConsumableResource = &res
	c.save(p, batch.KindConsumableResource, res.Name, &res)
	c.unpark(p)
	return res, nil
}

// DeleteConsumableResource removes a resource. Jobs that need it wait until one of its name exists again.
type DeleteConsumableResource struct {
	Partition batch.Partition
	Name      string
}

func (ev DeleteConsumableResource) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	if p.consumables[ev.Name] == nil {
		return nil, batch.ConsumableNotFound(ev.Name)
	}
	delete(p.consumables, ev.Name)
	c.save(p, batch.KindConsumableResource, ev.Name, nil)
	return nil, nil
}
