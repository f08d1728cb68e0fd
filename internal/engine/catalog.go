package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/batchbox/batchbox/internal/batch"
)

// Catalog is every resource as of the last commit: immutable, shared by all readers without a lock. What is in use of a
// consumable resource changes with every task and is asked of the engine instead.
type Catalog struct {
	parts map[batch.Partition]*Section
}

// Section is the part of a Catalog that one account has in one region. Lists are sorted by name; what they point to must
// not be written to.
type Section struct {
	Environments []*batch.ComputeEnvironment
	Queues       []*batch.JobQueue
	// Definitions has the revisions of each name, newest first; Names lists the names in order.
	Definitions map[string][]*batch.JobDefinition
	Names       []string
	Policies    []*batch.SchedulingPolicy
	Consumables []*batch.ConsumableResource
}

var emptySection = &Section{}

// Section is the part of one partition; never nil.
func (c *Catalog) Section(p batch.Partition) *Section {
	if s := c.parts[p]; s != nil {
		return s
	}
	return emptySection
}

// Catalog is the resources of a core that has no engine around it.
func (c *Core) Catalog() *Catalog {
	all := &Catalog{parts: map[batch.Partition]*Section{}}
	for _, p := range c.partOrder {
		all.parts[p.Partition] = p.section()
	}
	return all
}

// catalog is the next Catalog: sections of partitions without a change are shared with the last one.
func (c *Core) catalog(last *Catalog) *Catalog {
	next := &Catalog{parts: map[batch.Partition]*Section{}}
	if last != nil {
		maps.Copy(next.parts, last.parts)
	}
	for _, p := range c.partOrder {
		if p.stale {
			p.stale = false
			next.parts[p.Partition] = p.section()
		}
	}
	return next
}

func (p *partition) section() *Section {
	s := &Section{Definitions: make(map[string][]*batch.JobDefinition, len(p.definitions))}
	for _, name := range sortedKeys(p.envs) {
		s.Environments = append(s.Environments, p.envs[name].ComputeEnvironment)
	}
	for _, name := range sortedKeys(p.queues) {
		s.Queues = append(s.Queues, p.queues[name].JobQueue)
	}
	for _, name := range sortedKeys(p.policies) {
		s.Policies = append(s.Policies, p.policies[name])
	}
	for _, name := range sortedKeys(p.consumables) {
		s.Consumables = append(s.Consumables, p.consumables[name].ConsumableResource)
	}
	s.Names = sortedKeys(p.definitions)
	for name, d := range p.definitions {
		revisions := slices.Collect(maps.Values(d.revisions))
		slices.SortFunc(revisions, func(a, b *batch.JobDefinition) int { return cmp.Compare(b.Revision, a.Revision) })
		s.Definitions[name] = revisions
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Environment finds a compute environment by short name; nil if there is none.
func (s *Section) Environment(name string) *batch.ComputeEnvironment {
	return find(s.Environments, name, func(ce *batch.ComputeEnvironment) string { return ce.Name })
}

// Queue finds a job queue by short name; nil if there is none.
func (s *Section) Queue(name string) *batch.JobQueue {
	return find(s.Queues, name, func(q *batch.JobQueue) string { return q.Name })
}

// Policy finds a scheduling policy by name; nil if there is none.
func (s *Section) Policy(name string) *batch.SchedulingPolicy {
	return find(s.Policies, name, func(p *batch.SchedulingPolicy) string { return p.Name })
}

// Consumable finds a consumable resource by name; nil if there is none.
func (s *Section) Consumable(name string) *batch.ConsumableResource {
	return find(s.Consumables, name, func(r *batch.ConsumableResource) string { return r.Name })
}

// Definition finds a revision by number; revision 0 means the newest ACTIVE one. nil if there is none.
func (s *Section) Definition(name string, revision int) *batch.JobDefinition {
	for _, jd := range s.Definitions[name] {
		if jd.Revision == revision || revision == 0 && jd.Status == batch.Active {
			return jd
		}
	}
	return nil
}

func find[T any](list []*T, name string, key func(*T) string) *T {
	i, ok := slices.BinarySearchFunc(list, name, func(v *T, name string) int { return cmp.Compare(key(v), name) })
	if !ok {
		return nil
	}
	return list[i]
}
