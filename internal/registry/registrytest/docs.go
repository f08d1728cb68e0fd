// Package registrytest has a document store in memory for the tests of the registry and of what stands on it.
package registrytest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Docs is a store.Docs in memory. Documents go through JSON, and an update that fails leaves nothing.
type Docs struct {
	mu   sync.Mutex
	docs map[docKey]string
	fail error
}

type docKey struct {
	p         batch.Partition
	kind, key string
}

var _ store.Docs = (*Docs)(nil)

// NewDocs is an empty store.
func NewDocs() *Docs { return &Docs{docs: map[docKey]string{}} }

// Fail makes every update from now on fail with err when it would commit; nil mends it.
func (d *Docs) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// View implements store.Docs.
func (d *Docs) View(_ context.Context, fn func(store.Reader) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fn(&tx{docs: d.docs})
}

// Update implements store.Docs.
func (d *Docs) Update(_ context.Context, fn func(store.Writer) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &tx{docs: map[docKey]string{}}
	for k, v := range d.docs {
		t.docs[k] = v
	}
	if err := fn(t); err != nil {
		return err
	}
	if d.fail != nil {
		return d.fail
	}
	d.docs = t.docs
	return nil
}

type tx struct{ docs map[docKey]string }

func (t *tx) Get(p batch.Partition, kind, key string, v any) (bool, error) {
	raw, ok := t.docs[docKey{p, kind, key}]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal([]byte(raw), v)
}

func (t *tx) List(p batch.Partition, kind, prefix string, fn func(string, []byte) (bool, error)) error {
	var keys []string
	for k := range t.docs {
		if k.p == p && k.kind == kind && strings.HasPrefix(k.key, prefix) {
			keys = append(keys, k.key)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if more, err := fn(k, []byte(t.docs[docKey{p, kind, k}])); err != nil || !more {
			return err
		}
	}
	return nil
}

func (t *tx) Put(p batch.Partition, kind, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	t.docs[docKey{p, kind, key}] = string(b)
	return nil
}

func (t *tx) Delete(p batch.Partition, kind, key string) (bool, error) {
	_, ok := t.docs[docKey{p, kind, key}]
	delete(t.docs, docKey{p, kind, key})
	return ok, nil
}
