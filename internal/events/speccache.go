package events

import (
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
)

// specCache keeps the specs of the jobs that were shown last: the events of an array's children come one after another.
type specCache struct {
	mu    sync.Mutex
	specs map[string]*batch.Spec
	order []string // a ring of the keys, oldest at next
	next  int
}

// maxSpecs bounds the cache; a spec has 30 KiB at most.
const maxSpecs = 64

func (c *specCache) get(id string) *batch.Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.specs[id]
}

func (c *specCache) put(id string, spec *batch.Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.specs == nil {
		c.specs = make(map[string]*batch.Spec, maxSpecs)
	}
	if _, ok := c.specs[id]; !ok {
		if len(c.order) < maxSpecs {
			c.order = append(c.order, id)
		} else {
			delete(c.specs, c.order[c.next])
			c.order[c.next] = id
			c.next = (c.next + 1) % maxSpecs
		}
	}
	c.specs[id] = spec
}
