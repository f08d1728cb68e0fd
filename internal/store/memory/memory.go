// Package memory keeps engine.Store and store.Docs in memory, for tests and the simulation. It passes the same
// conformance suite as the store on disk, and keeps nothing.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

// Store is a store in memory. The zero value is not ready: use New. Its methods may be called from many goroutines.
type Store struct {
	mu sync.RWMutex
	content
}

type content struct {
	resources map[key]engine.ResourceRecord
	docs      map[key][]byte
	jobs      map[int64]engine.JobRecord
	ids       map[jobID]int64 // to the number
	children  map[int64]map[int]engine.ChildRecord
	events    map[int64]engine.EventRecord
}

type key struct {
	p         batch.Partition
	kind, key string
}

type jobID struct {
	p  batch.Partition
	id string
}

var (
	_ engine.Store = (*Store)(nil)
	_ store.Docs   = (*Store)(nil)
)

// New makes an empty store.
func New() *Store {
	return &Store{content: content{
		resources: map[key]engine.ResourceRecord{},
		docs:      map[key][]byte{},
		jobs:      map[int64]engine.JobRecord{},
		ids:       map[jobID]int64{},
		children:  map[int64]map[int]engine.ChildRecord{},
		events:    map[int64]engine.EventRecord{},
	}}
}

// Load implements engine.Store.
func (s *Store) Load(ctx context.Context, v engine.Visitor) error {
	s.mu.RLock()
	resources := slices.Collect(maps.Values(s.resources))
	var jobs []engine.JobRecord
	children := map[int64][]engine.ChildRecord{}
	var last int64
	for seq, j := range s.jobs {
		last = max(last, seq)
		if !j.Status.Final() {
			jobs = append(jobs, cloneJob(j))
			children[seq] = slices.Collect(maps.Values(s.children[seq]))
		}
	}
	s.mu.RUnlock()

	if v.LastSeq != nil {
		v.LastSeq(last)
	}
	slices.SortFunc(resources, func(a, b engine.ResourceRecord) int {
		return cmp.Or(strings.Compare(a.Partition.Account, b.Partition.Account), strings.Compare(a.Partition.Region, b.Partition.Region),
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key))
	})
	for _, r := range resources {
		r.Value = bytes.Clone(r.Value)
		if err := cmp.Or(ctx.Err(), v.Resource(r)); err != nil {
			return err
		}
	}
	slices.SortFunc(jobs, func(a, b engine.JobRecord) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, j := range jobs {
		if err := cmp.Or(ctx.Err(), v.Job(j)); err != nil {
			return err
		}
		cs := children[j.Seq]
		slices.SortFunc(cs, func(a, b engine.ChildRecord) int { return cmp.Compare(a.Index, b.Index) })
		for _, c := range cs {
			if err := v.Child(cloneChild(c)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Commit implements engine.Store.
func (s *Store) Commit(ctx context.Context, c *engine.Changes) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Jobs first, on the side: they are what can be refused.
	jobs := map[int64]engine.JobRecord{}
	for _, j := range c.Jobs {
		next, err := s.nextJob(jobs, j)
		if err != nil {
			return err
		}
		jobs[j.Seq] = next
	}
	for _, ch := range c.Children {
		if _, ok := jobs[ch.Seq]; !ok {
			if _, ok := s.jobs[ch.Seq]; !ok {
				return fmt.Errorf("child %d of job seq %d: there is no such job", ch.Index, ch.Seq)
			}
		}
	}
	for seq, j := range jobs {
		s.jobs[seq] = j
		s.ids[jobID{j.Partition, j.ID}] = seq
	}
	for _, r := range c.Resources {
		k := key{r.Partition, r.Kind, r.Key}
		if r.Value == nil {
			delete(s.resources, k)
			continue
		}
		r.Value = bytes.Clone(r.Value)
		s.resources[k] = r
	}
	for _, ch := range c.Children {
		if s.children[ch.Seq] == nil {
			s.children[ch.Seq] = map[int]engine.ChildRecord{}
		}
		s.children[ch.Seq][ch.Index] = cloneChild(ch)
	}
	for _, e := range c.Events {
		e.Body = bytes.Clone(e.Body)
		s.events[e.ID] = e
	}
	for _, seq := range c.DeleteJobs {
		delete(s.ids, jobID{s.jobs[seq].Partition, s.jobs[seq].ID})
		delete(s.jobs, seq)
		delete(s.children, seq)
	}
	return nil
}

// nextJob is what becomes of a job's row, given those that precede it in the same commit.
func (s *Store) nextJob(pending map[int64]engine.JobRecord, j engine.JobRecord) (engine.JobRecord, error) {
	refuse := func(why string) (engine.JobRecord, error) {
		return engine.JobRecord{}, fmt.Errorf("job %s (seq %d) can not become %s: %s", j.ID, j.Seq, j.Status, why)
	}
	if j.Status < batch.Submitted || int(j.Status) >= batch.NumStatuses {
		return refuse("there is no such status")
	}
	if j.Status.Final() != (j.StoppedAt > 0) {
		return refuse("a job has a time of stopping exactly when it is final")
	}
	was, ok := pending[j.Seq]
	if !ok {
		was, ok = s.jobs[j.Seq]
	}
	switch {
	case !ok && j.Spec == nil:
		return refuse("there is no such job")
	case !ok:
		if _, taken := s.ids[jobID{j.Partition, j.ID}]; taken {
			return refuse("its id is taken")
		}
		for _, other := range pending {
			if other.Partition == j.Partition && other.ID == j.ID {
				return refuse("its id is taken")
			}
		}
		return cloneJob(j), nil
	case was.Status.Final() && was.Status != j.Status:
		return refuse("it is final")
	case j.Spec != nil && was.ID != j.ID:
		return refuse("its number is taken")
	}
	was.Status, was.StoppedAt, was.State = j.Status, j.StoppedAt, clone(j.State)
	if j.Spec != nil {
		was.Spec = clone(j.Spec)
	}
	return was, nil
}

// clone is never nil.
func clone(b []byte) []byte { return append([]byte{}, b...) }

func cloneJob(j engine.JobRecord) engine.JobRecord {
	j.Spec, j.State = clone(j.Spec), clone(j.State)
	return j
}

func cloneChild(c engine.ChildRecord) engine.ChildRecord {
	c.State = clone(c.State)
	return c
}

// Job implements engine.Store.
func (s *Store) Job(ctx context.Context, p batch.Partition, id string) (engine.JobRecord, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seq, ok := s.ids[jobID{p, id}]
	if !ok {
		return engine.JobRecord{}, false, ctx.Err()
	}
	return cloneJob(s.jobs[seq]), true, ctx.Err()
}

// Child implements engine.Store.
func (s *Store) Child(ctx context.Context, seq int64, index int) (engine.ChildRecord, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.children[seq][index]
	if !ok {
		return engine.ChildRecord{}, false, ctx.Err()
	}
	return cloneChild(c), true, ctx.Err()
}

// ListJobs implements engine.Store.
func (s *Store) ListJobs(ctx context.Context, q engine.JobQuery) ([]engine.JobRecord, error) {
	if q.NamePrefix != "" && q.BeforeSeq != 0 && q.BeforeName == "" {
		return nil, fmt.Errorf("store: a page by name prefix continues after a name, which was not given")
	}
	order := func(a, b engine.JobRecord) int {
		byName := 0
		if q.NamePrefix != "" {
			byName = strings.Compare(strings.ToLower(b.Name), strings.ToLower(a.Name))
		}
		return cmp.Or(byName, cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.Seq, a.Seq))
	}
	last := engine.JobRecord{Name: q.BeforeName, CreatedAt: q.BeforeCreatedAt, Seq: q.BeforeSeq}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var recs []engine.JobRecord
	for _, j := range s.jobs {
		if matches(&q, &j) && (q.BeforeSeq == 0 || order(last, j) < 0) {
			recs = append(recs, cloneJob(j))
		}
	}
	slices.SortFunc(recs, order)
	if q.Limit > 0 && len(recs) > q.Limit {
		recs = recs[:q.Limit]
	}
	return recs, ctx.Err()
}

func matches(q *engine.JobQuery, j *engine.JobRecord) bool {
	name := strings.ToLower(j.Name)
	return j.Partition == q.Partition &&
		(q.Queue == "" || j.Queue == q.Queue) &&
		(len(q.Statuses) == 0 || slices.Contains(q.Statuses, j.Status)) &&
		(q.Name == "" || name == strings.ToLower(q.Name)) &&
		strings.HasPrefix(name, strings.ToLower(q.NamePrefix)) &&
		(q.Definition == "" || j.Definition == q.Definition) &&
		strings.HasPrefix(j.Definition, q.DefinitionPrefix) &&
		(q.Share == "" || j.Share == q.Share) &&
		(q.CreatedBefore == 0 || j.CreatedAt < q.CreatedBefore) &&
		(q.CreatedAfter == 0 || j.CreatedAt > q.CreatedAfter)
}

// ListChildren implements engine.Store.
func (s *Store) ListChildren(ctx context.Context, q engine.ChildQuery) ([]engine.ChildRecord, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var recs []engine.ChildRecord
	for _, index := range slices.Sorted(maps.Keys(s.children[q.Seq])) {
		c := s.children[q.Seq][index]
		if index < q.From || len(q.Statuses) > 0 && !slices.Contains(q.Statuses, c.Status) {
			continue
		}
		recs = append(recs, cloneChild(c))
		if q.Limit > 0 && len(recs) == q.Limit {
			break
		}
	}
	return recs, ctx.Err()
}

// Events returns up to limit entries of the event journal with an ID greater than after, ascending.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]engine.EventRecord, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var recs []engine.EventRecord
	for _, id := range slices.Sorted(maps.Keys(s.events)) {
		if id <= after {
			continue
		}
		if limit > 0 && len(recs) == limit {
			break
		}
		e := s.events[id]
		e.Body = clone(e.Body)
		recs = append(recs, e)
	}
	return recs, ctx.Err()
}

// LastEvent is the greatest ID of the event journal, 0 if it is empty.
func (s *Store) LastEvent(ctx context.Context) (last int64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id := range s.events {
		last = max(last, id)
	}
	return last, ctx.Err()
}

// PruneEvents removes the rows of the event journal up to an ID, as retention does.
func (s *Store) PruneEvents(through int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.events, func(id int64, _ engine.EventRecord) bool { return id <= through })
}

// View implements store.Docs.
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	snapshot := maps.Clone(s.docs)
	s.mu.RUnlock()
	return fn(docs(snapshot))
}

// Update implements store.Docs.
func (s *Store) Update(ctx context.Context, fn func(store.Writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := docs(maps.Clone(s.docs))
	if err := fn(next); err != nil {
		return err
	}
	s.docs = next
	return nil
}

// docs is a snapshot of the documents; its values are never changed in place.
type docs map[key][]byte

func (d docs) Get(p batch.Partition, kind, k string, v any) (bool, error) {
	raw, ok := d[key{p, kind, k}]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("document %s %q: %w", kind, k, err)
	}
	return true, nil
}

func (d docs) List(p batch.Partition, kind, prefix string, fn func(key string, raw []byte) (bool, error)) error {
	found := map[string][]byte{} // as it is now: fn may write
	for k, raw := range d {
		if k.p == p && k.kind == kind && strings.HasPrefix(k.key, prefix) {
			found[k.key] = raw
		}
	}
	for _, k := range slices.Sorted(maps.Keys(found)) {
		if more, err := fn(k, bytes.Clone(found[k])); err != nil || !more {
			return err
		}
	}
	return nil
}

func (d docs) Put(p batch.Partition, kind, k string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store: encode %s %q: %w", kind, k, err)
	}
	d[key{p, kind, k}] = raw
	return nil
}

func (d docs) Delete(p batch.Partition, kind, k string) (bool, error) {
	_, ok := d[key{p, kind, k}]
	delete(d, key{p, kind, k})
	return ok, nil
}
