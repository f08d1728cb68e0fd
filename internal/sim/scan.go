package sim

import (
	"sort"

	"github.com/batchbox/batchbox/internal/batch"
)

// scan looks at everything unfinished: nothing waits that need not. It is for moments when the engine has served its queues
// and no group has failed.
func (m *model) scan() {
	lines := map[*line][]place{}
	for _, seq := range sorted(m.live) {
		j := m.live[seq]
		if j.children == nil {
			m.waits(j, -1, &j.self, lines)
			continue
		}
		if j.self.status == batch.Submitted {
			m.w.violate("array %s is SUBMITTED still", j.id)
		}
		for i := range j.children {
			m.waits(j, i, &j.children[i], lines)
		}
	}
	queues := map[string][]*line{}
	for _, l := range sortedFunc(lines, func(a, b *line) int { return compareStrings(a.queue, b.queue, a.share, b.share) }) {
		queues[l.queue] = append(queues[l.queue], l)
	}
	for _, name := range sorted(queues) {
		m.roomFor(name, queues[name], lines)
	}
}

func (m *model) waits(j *job, i int, w *work, lines map[*line][]place) {
	if q := m.queues[j.line.queue]; w.status < batch.Starting && (q == nil || q.Status == batch.StatusDeleting) {
		m.w.violate("%s is %v in queue %s, which is being deleted", j.name(i), w.status, j.line.queue)
	}
	switch w.status {
	case batch.Submitted:
		m.w.violate("%s is SUBMITTED still", j.name(i))
	case batch.Pending:
		if ok, failed := j.depends(i); ok || failed {
			m.w.violate("%s is PENDING, and what it depends on has ended well: %v, badly: %v", j.name(i), ok, failed)
		}
	case batch.Runnable:
		lines[j.line] = append(lines[j.line], place{j, i, w.attempts > 0})
	}
}

// roomFor: if the head of a queue fits, it should not be waiting. Under fair share the heads of the shares take turns by their
// usage, which is not looked at here: whosever turn it is, one of them must be blocked.
func (m *model) roomFor(name string, lines []*line, places map[*line][]place) {
	q := m.queues[name]
	if q == nil || q.Status != batch.StatusValid {
		return
	}
	if p := m.policies[q.SchedulingPolicy]; p != nil && p.ComputeReservation > 0 {
		return // what is free may be kept for others
	}
	var idle string
	for _, l := range lines {
		p, ok := m.idle(q, places[l])
		if !ok {
			return
		}
		idle = p.job.name(p.index)
	}
	m.w.violate("%s waits at the head of queue %s, and there is room", idle, name)
}

// idle is the first of a line's work if it could be placed. Work that misses a consumable resource has stepped aside.
func (m *model) idle(q *batch.JobQueue, line []place) (place, bool) {
	sort.Slice(line, func(a, b int) bool { return line[a].before(line[b]) })
	for _, p := range line {
		if !m.room(q, p.job.spec) {
			return place{}, false
		}
		if m.available(p.job.spec) {
			return p, true
		}
	}
	return place{}, false
}

func (m *model) room(q *batch.JobQueue, spec *batch.Spec) bool {
	if most := m.w.limits.MaxTasks; most > 0 && m.tasks > 0 && m.tasks+spec.Tasks() > most {
		return false
	}
	for _, o := range q.ComputeEnvironmentOrder {
		e := m.envs[o.ComputeEnvironment]
		if e.open() && e.fits(spec) && e.used+spec.MilliCPU() <= capacity(&e.ComputeEnvironment) {
			return true
		}
	}
	return false
}

func (m *model) available(spec *batch.Spec) bool {
	for _, need := range spec.Consumables {
		if r := m.consumables[need.Resource]; r == nil || r.total-r.inUse < need.Quantity {
			return false
		}
	}
	return true
}
