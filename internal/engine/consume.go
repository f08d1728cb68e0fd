package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// holding is a quantity of a consumable resource that an attempt holds. It is the resource's, not the name's: one that is
// deleted and made again starts with nothing in use.
type holding struct {
	of       *consumable
	quantity int64
}

// parking is a line of work that waits for one consumable resource; there is one for each queue, share, resource and
// quantity, so that what is given back wakes no more than may have a use for it, and nothing else has to be looked at.
type parking struct {
	place parkingPlace
	line  sched.Line[entry]
}

type parkingPlace struct {
	queue           *queue
	share, resource string
	quantity        int64
}

// missing is the first of the resources the job needs of which there is not enough now, "" if there is none. A resource that
// does not exist is missing.
func (p *partition) missing(spec *batch.Spec) string {
	for _, need := range spec.Consumables {
		if r := p.consumables[need.Resource]; r == nil || r.Total-r.inUse < need.Quantity {
			return need.Resource
		}
	}
	return ""
}

// holdConsumables takes what an attempt needs, all of it: missing has said that it is there. Of an attempt that is taken up
// after a restart a resource may have been deleted, and another made of its name: that one is none of its business.
func (p *partition) holdConsumables(spec *batch.Spec, placedAt int64) []holding {
	var held []holding
	for _, need := range spec.Consumables {
		if r := p.consumables[need.Resource]; r != nil && (placedAt == 0 || r.CreatedAt <= placedAt) {
			r.inUse += need.Quantity
			held = append(held, holding{r, need.Quantity})
		}
	}
	return held
}

// releaseConsumables gives back what an attempt held, however it ended. What is not replenishable is used up.
func (c *Core) releaseConsumables(p *partition, held []holding) {
	for _, h := range held {
		h.of.inUse -= h.quantity
		if h.of.Type == batch.NonReplenishable {
			res := *h.of.ConsumableResource
			res.Total = max(0, res.Total-h.quantity)
			h.of.ConsumableResource = &res
		}
		if p.consumables[h.of.Name] != h.of {
			continue // deleted meanwhile
		}
		if h.of.Type == batch.NonReplenishable {
			c.save(p, batch.KindConsumableResource, h.of.Name, h.of.ConsumableResource)
		}
		c.wake(p, h.of.Name)
	}
}

// park takes work that misses a consumable resource out of its queue, so that what stands behind it can run; it keeps its
// place, by its key, for when it comes back. Of the other resources it needs it leaves to others what it did not take.
//
// unverified: whether AWS shows such a job as RUNNABLE or PENDING, and whether it holds up a FIFO queue.
func (c *Core) park(it *sched.Item[entry], missing string) {
	j := it.Work.job
	j.queue.work.Remove(it, j.spec.Share)
	place := parkingPlace{j.queue, j.spec.Share, missing, quantityOf(j.spec, missing)}
	pk := j.part.parked[place]
	if pk == nil {
		pk = &parking{place: place}
		j.part.parked[place] = pk
	}
	pk.line.Push(it)
	j.part.parkedAt[it] = pk
	c.wakeOthers(j, missing)
}

// wake puts work that waits for a resource back into its queue: of each line as much, in order, as what is free would do for.
func (c *Core) wake(p *partition, resource string) {
	r := p.consumables[resource]
	if r == nil {
		return
	}
	for place, pk := range p.parked { //batchbox:anyorder each line goes back to its own queue, where keys decide
		if place.resource != resource {
			continue
		}
		free := r.Total - r.inUse - place.quantity
		for it := pk.line.Head(); it != nil && free >= 0; it = pk.line.Head() {
			free -= place.quantity
			c.unpark(it)
			j := it.Work.job
			j.queue.work.Push(it, j.spec.Share, c.now)
			p.unsettled = true
		}
	}
}

// wakeOthers wakes those that wait for resources the job needs too and has not taken, save the one it waits for itself.
func (c *Core) wakeOthers(j *job, but string) {
	for _, need := range j.spec.Consumables {
		if need.Resource != but {
			c.wake(j.part, need.Resource)
		}
	}
}

func quantityOf(spec *batch.Spec, resource string) int64 {
	for _, need := range spec.Consumables {
		if need.Resource == resource {
			return need.Quantity
		}
	}
	return 0
}

// unpark takes an item out of the line it is parked in, if it is.
func (c *Core) unpark(it *sched.Item[entry]) bool {
	p := it.Work.job.part
	pk := p.parkedAt[it]
	if pk == nil {
		return false
	}
	pk.line.Remove(it)
	delete(p.parkedAt, it)
	if pk.line.Len() == 0 {
		delete(p.parked, pk.place)
	}
	return true
}

// dequeue takes an item out of wherever it waits.
func (c *Core) dequeue(it *sched.Item[entry]) {
	j := it.Work.job
	if c.unpark(it) || !it.Queued() {
		return
	}
	j.queue.work.Remove(it, j.spec.Share)
	c.wakeOthers(j, "")
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
	c.wake(p, res.Name)
	return res, nil
}

// UpdateConsumableResource sets, adds to or removes from the total; one that is sent again with its clientToken, once.
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
	token, err := batch.ParseUpdateToken(ev.Raw)
	if err != nil {
		return nil, err
	}
	if r.updated(token, c.nowMs()) {
		return *r.ConsumableResource, nil
	}
	res, err := batch.UpdateConsumableResource(*r.ConsumableResource, ev.Raw)
	if err != nil {
		return nil, err
	}
	r.ConsumableResource = &res
	c.save(p, batch.KindConsumableResource, res.Name, &res)
	c.rememberUpdate(p, r, token)
	c.wake(p, res.Name)
	return res, nil
}

// kindUpdate is the resource row of an update that came with a clientToken.
const kindUpdate = "consumable-update"

// update is that row.
type update struct {
	batch.UpdateToken
	At int64 `json:"at"` // ms
}

// tokenLife is how long a clientToken counts, in ms (API UpdateConsumableResource).
const tokenLife = int64(8 * time.Hour / time.Millisecond)

func (u update) expired(now int64) bool { return u.At+tokenLife <= now }

// updated says whether the very same update was made before; one without a token is never the same.
func (r *consumable) updated(token batch.UpdateToken, now int64) bool {
	return token.Token != "" && slices.ContainsFunc(r.updates, func(u update) bool {
		return u.UpdateToken == token && !u.expired(now)
	})
}

// rememberUpdate keeps the token of an update, and forgets those that count no more.
func (c *Core) rememberUpdate(p *partition, r *consumable, token batch.UpdateToken) {
	fresh, now := 0, c.nowMs()
	for fresh < len(r.updates) && r.updates[fresh].expired(now) {
		c.saveUpdate(p, r, r.updates[fresh], nil)
		fresh++
	}
	r.updates = slices.Delete(r.updates, 0, fresh)
	if token.Token != "" {
		u := update{token, now}
		r.updates = append(r.updates, u)
		c.saveUpdate(p, r, u, encode(u))
	}
}

// saveUpdate writes the row of an update; value nil deletes it.
func (c *Core) saveUpdate(p *partition, r *consumable, u update, value []byte) {
	c.changes.Resources = append(c.changes.Resources, ResourceRecord{
		Partition: p.Partition, Kind: kindUpdate, Key: fmt.Sprintf("%s/%s/%s/%d", r.Name, u.Token, u.Operation, u.Quantity), Value: value,
	})
}

// DeleteConsumableResource removes a resource. Jobs that need it wait until one of its name exists again.
type DeleteConsumableResource struct {
	Partition batch.Partition
	Name      string
}

func (ev DeleteConsumableResource) apply(c *Core) (any, error) {
	p := c.partition(ev.Partition)
	r := p.consumables[ev.Name]
	if r == nil {
		return nil, batch.ConsumableNotFound(ev.Name)
	}
	for _, u := range r.updates {
		c.saveUpdate(p, r, u, nil)
	}
	delete(p.consumables, ev.Name)
	c.save(p, batch.KindConsumableResource, ev.Name, nil)
	return nil, nil
}
