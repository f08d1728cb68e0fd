package engine

import (
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// SpotInterruptionForTest is when an attempt is interrupted.
func (l *Limits) SpotInterruptionForTest(seq int64, index int32, attempt int) (time.Duration, bool) {
	return l.spotInterruption(seq, index, attempt)
}

// ViewForTest is the view of an unfinished job, child or node.
func (c *Core) ViewForTest(p batch.Partition, id batch.JobID) (JobView, bool) {
	v, found, final := c.liveView(p, id)
	return v, found && !final
}

// InvalidateForTest makes a compute environment INVALID.
func (c *Core) InvalidateForTest(p batch.Partition, name string) {
	env := c.partition(p).envs[name]
	ce := *env.ComputeEnvironment
	ce.Status = batch.StatusInvalid
	env.ComputeEnvironment = &ce
	c.save(c.partition(p), batch.KindComputeEnvironment, name, &ce)
}

// SkipSequenceForTest makes the next job's number so much higher.
func (c *Core) SkipSequenceForTest(n int64) { c.lastSeq += n }

// InUseForTest is what is held of a consumable resource; -1 if there is none.
func (c *Core) InUseForTest(p batch.Partition, name string) int64 {
	if r := c.partition(p).consumables[name]; r != nil {
		return r.inUse
	}
	return -1
}

// SnapshotForTest is what Engine.Snapshot shows.
func (c *Core) SnapshotForTest(p batch.Partition, queue string, limit int) Snapshot {
	return c.snapshot(c.partition(p).queues[queue], limit)
}

// Poison is an event that the core can't take.
type Poison struct{}

func (Poison) apply(*Core) (any, error) { panic("poison") }

// InjectForTest lets an event happen that nobody waits for, as reports do.
func (e *Engine) InjectForTest(ev Event) { e.requests <- &request{event: ev} }
