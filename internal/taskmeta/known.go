package taskmeta

import (
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Known is a task under way, or one that ended lately.
type Known struct {
	engine.StartTask
	// Created is when this engine first heard of it. Ended is zero while it is under way.
	Created, Ended time.Time
}

// ECS shows a task for an hour after its end (API reference, DescribeTasks). Of the tasks that ended within an hour, the
// first are forgotten when there are very many.
const (
	remembered    = time.Hour
	maxRemembered = 10_000
)

// ended are the tasks that ended lately, oldest first.
type ended struct {
	byID  map[string]Known
	order []string
}

func (e *ended) add(k Known) {
	if e.byID == nil {
		e.byID = map[string]Known{}
	}
	if _, ok := e.byID[k.Record.TaskID]; !ok {
		e.order = append(e.order, k.Record.TaskID)
	}
	e.byID[k.Record.TaskID] = k
}

// expire forgets what is too old, or too much.
func (e *ended) expire(now time.Time) {
	n := 0
	for n < len(e.order) && (len(e.order)-n > maxRemembered || now.Sub(e.byID[e.order[n]].Ended) > remembered) {
		delete(e.byID, e.order[n])
		n++
	}
	e.order = e.order[n:]
}

// Known finds a task by its ECS task id.
func (s *Service) Known(taskID string) (Known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[taskID]; t != nil {
		return Known{StartTask: t.StartTask, Created: t.created}, true
	}
	s.ended.expire(s.o.Now())
	k, ok := s.ended.byID[taskID]
	return k, ok
}

// List is the tasks of a cluster, in no order.
func (s *Service) List(p batch.Partition, cluster string) []Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended.expire(s.o.Now())
	var list []Known
	for _, t := range s.tasks {
		if t.Partition == p && t.Record.Cluster == cluster {
			list = append(list, Known{StartTask: t.StartTask, Created: t.created})
		}
	}
	for _, k := range s.ended.byID {
		if k.Partition == p && k.Record.Cluster == cluster {
			list = append(list, k)
		}
	}
	return list
}
