package engine

import (
	"context"
	"slices"
)

// UnderWay are the tasks of all jobs that are STARTING or RUNNING, in no order.
func (e *Engine) UnderWay(ctx context.Context) (tasks []StartTask, err error) {
	err = e.look(ctx, func(c *Core) {
		tasks = nil
		for _, j := range c.jobs {
			tasks = c.underWay(j, tasks)
		}
	})
	return tasks, err
}

// underWay adds the tasks of a job that are under way.
func (c *Core) underWay(j *job, tasks []StartTask) []StartTask {
	start := func(t StartTask) {
		t.Record.Containers = slices.Clone(t.Record.Containers) // their ends are written to them
		tasks = append(tasks, t)
	}
	add := func(w *work) {
		switch {
		case w == nil || w.attempt == nil:
		case w.nodes == nil:
			start(c.startOf(w))
		default:
			for _, n := range w.nodes {
				if n.underWay() {
					start(c.startOfNode(w, n))
				}
			}
		}
	}
	add(j.work)
	if j.array != nil {
		for _, w := range j.array.live {
			add(w)
		}
	}
	return tasks
}
