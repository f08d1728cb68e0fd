package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// disk is a Store in memory whose calls fail when they are told to. Rows of finished jobs stay, as on a real disk.
type disk struct {
	resources map[resourceKey]engine.ResourceRecord
	jobs      map[int64]engine.JobRecord
	children  map[int64]map[int]engine.ChildRecord
	ids       map[string]int64
	live      map[int64]struct{} // unfinished jobs
	last      int64

	// failCommit lets the next commit fail, failAfter only after it took effect. failLoads is how many loads will fail.
	failCommit, failAfter bool
	failLoads             int
	// sabotage changes what is written: for tests of the model.
	sabotage func(*engine.Changes)
	// committed is told of every commit that took effect.
	committed func(*engine.Changes)
}

type resourceKey struct {
	partition batch.Partition
	kind, key string
}

var (
	_       engine.Store = (*disk)(nil)
	errDisk              = errors.New("simulated fault of the disk")
)

func newDisk() *disk {
	return &disk{
		resources: map[resourceKey]engine.ResourceRecord{}, jobs: map[int64]engine.JobRecord{},
		children: map[int64]map[int]engine.ChildRecord{}, ids: map[string]int64{}, live: map[int64]struct{}{},
	}
}

func (d *disk) Load(_ context.Context, v engine.Visitor) error {
	if d.failLoads > 0 {
		d.failLoads--
		return errDisk
	}
	v.LastSeq(d.last)
	for _, k := range sortedFunc(d.resources, func(a, b resourceKey) int { return compareStrings(a.kind, b.kind, a.key, b.key) }) {
		if err := v.Resource(d.resources[k]); err != nil {
			return err
		}
	}
	for _, seq := range sorted(d.live) {
		if err := v.Job(d.jobs[seq]); err != nil {
			return err
		}
		children := d.children[seq]
		for _, i := range sorted(children) {
			if err := v.Child(children[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *disk) Commit(_ context.Context, c *engine.Changes) error {
	fail, after := d.failCommit, d.failAfter
	d.failCommit, d.failAfter = false, false
	if fail && !after {
		return errDisk
	}
	if d.sabotage != nil {
		d.sabotage(c)
	}
	for _, r := range c.Resources {
		k := resourceKey{r.Partition, r.Kind, r.Key}
		if r.Value == nil {
			delete(d.resources, k)
		} else {
			d.resources[k] = r
		}
	}
	for _, j := range c.Jobs {
		if err := d.job(j); err != nil {
			return err
		}
	}
	for _, ch := range c.Children {
		if _, ok := d.jobs[ch.Seq]; !ok {
			return fmt.Errorf("child %d of job %d: there is no such job", ch.Index, ch.Seq)
		}
		if d.children[ch.Seq] == nil {
			d.children[ch.Seq] = map[int]engine.ChildRecord{}
		}
		d.children[ch.Seq][ch.Index] = ch
	}
	d.committed(c)
	if fail {
		return errDisk
	}
	return nil
}

// job writes one row, and refuses what a Store has to refuse.
func (d *disk) job(j engine.JobRecord) error {
	was, known := d.jobs[j.Seq]
	switch {
	case !known && j.Spec == nil:
		return fmt.Errorf("job %d: there is no such job", j.Seq)
	case !known && d.ids[j.ID] != 0:
		return fmt.Errorf("job %d: id %s is taken", j.Seq, j.ID)
	case known && was.ID != j.ID:
		return fmt.Errorf("job %d: the number is that of job %s", j.Seq, was.ID)
	case known && was.Status.Final() && was.Status != j.Status:
		return fmt.Errorf("job %d is %v and can't become %v", j.Seq, was.Status, j.Status)
	case j.Status.Final() != (j.StoppedAt > 0):
		return fmt.Errorf("job %d is %v and stopped at %d", j.Seq, j.Status, j.StoppedAt)
	}
	if j.Spec == nil {
		j.Spec = was.Spec
	}
	d.jobs[j.Seq], d.ids[j.ID] = j, j.Seq
	d.last = max(d.last, j.Seq)
	if j.Status.Final() {
		delete(d.live, j.Seq)
	} else {
		d.live[j.Seq] = struct{}{}
	}
	return nil
}

func (d *disk) Job(_ context.Context, p batch.Partition, id string) (engine.JobRecord, bool, error) {
	rec, ok := d.jobs[d.ids[id]]
	return rec, ok && rec.Partition == p, nil
}

func (d *disk) Child(_ context.Context, seq int64, index int) (engine.ChildRecord, bool, error) {
	rec, ok := d.children[seq][index]
	return rec, ok, nil
}

func (d *disk) ListChildren(_ context.Context, q engine.ChildQuery) ([]engine.ChildRecord, error) {
	var out []engine.ChildRecord
	for _, i := range sorted(d.children[q.Seq]) {
		ch := d.children[q.Seq][i]
		if i >= q.From && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, ch.Status)) && len(out) < q.Limit {
			out = append(out, ch)
		}
	}
	return out, nil
}

// ListJobs is for readers, of whom there are none here.
func (d *disk) ListJobs(context.Context, engine.JobQuery) ([]engine.JobRecord, error) {
	return nil, errors.New("the simulation's store lists no jobs")
}
