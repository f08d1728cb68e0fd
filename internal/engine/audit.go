package engine

import (
	"fmt"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
)

// Live is the number of unfinished jobs.
func (c *Core) Live() int { return len(c.jobs) }

// Dump describes the whole live state, line by line: two cores with the same lines behave the same.
func (c *Core) Dump() []string {
	var out []string
	for _, j := range sortedJobs(c.liveJobs()) {
		line := fmt.Sprintf("%s waits=%d", j.id, j.waits)
		if j.array == nil {
			out = append(out, line+" "+dumpWork(j.work))
			for _, n := range j.work.nodes {
				out = append(out, fmt.Sprintf("  node %d %v attempts=%d current=%v", n.index, n.status, len(n.Attempts), n.Current != nil))
			}
			continue
		}
		out = append(out, fmt.Sprintf("%s %v counts=%v cancelled=%v terminated=%v queued=%v", line, j.array.status, j.array.counts,
			j.array.Cancelled, j.array.Terminated, j.array.item.Queued()))
		for i, s := range j.array.states {
			child := fmt.Sprintf("  %d %v fresh=%v", i, s, j.array.fresh.has(i))
			if j.array.depsLeft != nil && j.array.depsLeft[i] > 0 && !s.Final() {
				child += fmt.Sprintf(" deps=%d", j.array.depsLeft[i])
			}
			if w := j.array.live[int32(i)]; w != nil {
				child += " " + dumpWork(w)
			}
			out = append(out, child)
		}
	}
	for _, p := range c.partOrder {
		for _, name := range sortedKeys(p.envs) {
			out = append(out, fmt.Sprintf("env %s used=%d tasks=%d", name, p.envs[name].used, p.envs[name].tasks))
		}
		for _, name := range sortedKeys(p.consumables) {
			out = append(out, fmt.Sprintf("resource %s in use=%d", name, p.consumables[name].inUse))
		}
	}
	return append(out, fmt.Sprintf("host tasks=%d", c.hostTasks))
}

func dumpWork(w *work) string {
	stop := ""
	if w.Current != nil {
		stop = w.Current.Stop
	}
	return fmt.Sprintf("%v attempt=%d under way=%v stop=%q cancelled=%v terminated=%v queued=%v", w.status, w.attemptNo(), w.attempt != nil, stop,
		w.Cancelled, w.Terminated, w.item.Queued())
}

// Audit verifies what must always hold between two steps, and returns what does not. It looks at everything.
func (c *Core) Audit() []string {
	var wrong []string
	used, usedBy := map[*environment]int64{}, map[*queue]int64{}
	tasks := 0
	for _, j := range sortedJobs(c.liveJobs()) {
		works := []*work{j.work}
		if j.final() {
			wrong = append(wrong, "final job "+j.id+" is live")
		}
		if a := j.array; a != nil {
			works = works[:0]
			var counts [batch.NumStatuses]int
			for i, s := range a.states {
				counts[s]++
				if w := a.live[int32(i)]; w != nil {
					works = append(works, w)
					if w.status != s {
						wrong = append(wrong, fmt.Sprintf("child %s is %v, its parent has it as %v", w.id(), w.status, s))
					}
				}
				if a.fresh.has(i) && s != batch.Runnable {
					wrong = append(wrong, fmt.Sprintf("child %s:%d is fresh and %v", j.id, i, s))
				}
			}
			if counts != a.counts {
				wrong = append(wrong, fmt.Sprintf("array %s counts %v, its children are %v", j.id, a.counts, counts))
			}
			if fresh := a.nextFresh() >= 0; fresh != a.item.Queued() {
				wrong = append(wrong, fmt.Sprintf("array %s has fresh children: %v, is queued: %v", j.id, fresh, a.item.Queued()))
			}
		}
		for _, w := range works {
			underWay := w.status == batch.Starting || w.status == batch.Running
			if underWay != (w.attempt != nil) || underWay != (w.Current != nil) {
				wrong = append(wrong, fmt.Sprintf("%s is %v with attempt %v and record %v", w.id(), w.status, w.attempt, w.Current))
			}
			fresh := j.array != nil && j.array.fresh.has(int(max(w.index, 0)))
			if (w.status == batch.Runnable && !fresh) != w.item.Queued() {
				wrong = append(wrong, fmt.Sprintf("%s is %v, queued: %v", w.id(), w.status, w.item.Queued()))
			}
			if w.attempt != nil {
				used[w.attempt.env] += w.attempt.milliCPU
				usedBy[j.queue] += w.attempt.milliCPU
				tasks += w.attempt.hostTasks
			}
		}
	}
	for _, p := range c.partOrder {
		for _, env := range p.envs { //batchbox:anyorder sorted below
			if env.used != used[env] {
				wrong = append(wrong, fmt.Sprintf("environment %s counts %d used, its tasks hold %d", env.Name, env.used, used[env]))
			}
		}
		for _, q := range p.order {
			if q.used != usedBy[q] {
				wrong = append(wrong, fmt.Sprintf("queue %s counts %d used, its tasks hold %d", q.Name, q.used, usedBy[q]))
			}
		}
		for it, pk := range p.parkedAt { //batchbox:anyorder sorted below
			if !it.Queued() || p.parked[pk.place] != pk {
				wrong = append(wrong, fmt.Sprintf("work of job %s is parked for %s, but stands in no line", it.Work.job.id, pk.place.resource))
			}
		}
	}
	if tasks != c.hostTasks {
		wrong = append(wrong, fmt.Sprintf("%d tasks counted on the machine, %d are under way", c.hostTasks, tasks))
	}
	slices.Sort(wrong)
	return wrong
}
