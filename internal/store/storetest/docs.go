package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

type document struct {
	Name string
	N    int
}

func update(t *testing.T, s store.Docs, fn func(w store.Writer) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t *testing.T, s store.Docs, fn func(r store.Reader) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

func listDocs(t *testing.T, r store.Reader, p batch.Partition, kind, prefix string) map[string]document {
	t.Helper()
	found := map[string]document{}
	last := ""
	if err := r.List(p, kind, prefix, func(key string, raw []byte) (bool, error) {
		if key <= last && last != "" {
			t.Errorf("List %s %q: %q after %q", kind, prefix, key, last)
		}
		last = key
		var d document
		err := json.Unmarshal(raw, &d)
		found[key] = d
		return true, err
	}); err != nil {
		t.Fatalf("List %s %q: %v", kind, prefix, err)
	}
	return found
}

func testDocs(t *testing.T, open Open) {
	s, reopen := open(t)
	view(t, s, func(r store.Reader) error {
		ok, err := r.Get(here, "k", "a", &document{})
		if ok || err != nil {
			t.Errorf("Get in an empty store = %t, %v", ok, err)
		}
		equal(t, "an empty list", listDocs(t, r, here, "k", ""), nil)
		return nil
	})
	update(t, s, func(w store.Writer) error {
		for i, key := range []string{"a", "a/1", "a/2", "b", "ä", "a\x00", "%_", ""} {
			if err := w.Put(here, "k", key, document{Name: key, N: i}); err != nil {
				return err
			}
		}
		for _, p := range []batch.Partition{there, other, world} {
			if err := w.Put(p, "k", "a", document{Name: p.Account + p.Region}); err != nil {
				return err
			}
		}
		if err := w.Put(here, "kk", "a", document{N: 77}); err != nil {
			return err
		}
		// What was written can be read in the same transaction.
		var d document
		if ok, err := w.Get(here, "k", "b", &d); !ok || err != nil || d.N != 3 {
			t.Errorf("Get in Update = %+v, %t, %v", d, ok, err)
		}
		equal(t, "List in Update", listDocs(t, w, here, "k", "a/"), map[string]document{"a/1": {"a/1", 1}, "a/2": {"a/2", 2}})
		return nil
	})
	update(t, s, func(w store.Writer) error {
		if ok, err := w.Delete(here, "k", "b"); !ok || err != nil {
			t.Errorf("Delete = %t, %v", ok, err)
		}
		if ok, err := w.Delete(here, "k", "b"); ok || err != nil {
			t.Errorf("Delete again = %t, %v", ok, err)
		}
		return w.Put(here, "k", "a", document{Name: "changed"})
	})
	s = eachWay(t, s, reopen, func(t *testing.T, s Store) {
		view(t, s, func(r store.Reader) error {
			equal(t, "all", listDocs(t, r, here, "k", ""), map[string]document{
				"a": {"changed", 0}, "a/1": {"a/1", 1}, "a/2": {"a/2", 2}, "ä": {"ä", 4}, "a\x00": {"a\x00", 5}, "%_": {"%_", 6}, "": {"", 7},
			})
			equal(t, "prefix a/", listDocs(t, r, here, "k", "a/"), map[string]document{"a/1": {"a/1", 1}, "a/2": {"a/2", 2}})
			equal(t, "prefix %", listDocs(t, r, here, "k", "%"), map[string]document{"%_": {"%_", 6}})
			equal(t, "no region", listDocs(t, r, world, "k", ""), map[string]document{"a": {world.Account, 0}})
			n := 0
			if err := r.List(here, "k", "", func(string, []byte) (bool, error) { n++; return n < 2, nil }); err != nil || n != 2 {
				t.Errorf("a List that stops made %d calls, %v", n, err)
			}
			cause := errors.New("enough")
			if err := r.List(here, "k", "", func(string, []byte) (bool, error) { return true, cause }); !errors.Is(err, cause) {
				t.Errorf("List returned %v", err)
			}
			var wrong []int
			if _, err := r.Get(here, "k", "a", &wrong); err == nil {
				t.Error("a document was decoded into what it is not")
			}
			return nil
		})
	})
	// A list while its documents go, longer than any piece it is read in.
	update(t, s, func(w store.Writer) error {
		for i := range 300 {
			if err := w.Put(here, "k", fmt.Sprint("a", i), document{}); err != nil {
				return err
			}
		}
		return w.List(here, "k", "a", func(key string, _ []byte) (bool, error) {
			ok, err := w.Delete(here, "k", key)
			if !ok {
				t.Errorf("%q was listed and is not there", key)
			}
			return true, err
		})
	})
	view(t, s, func(r store.Reader) error {
		equal(t, "after deleting", listDocs(t, r, here, "k", "a"), nil)
		return nil
	})
}

// testDocsAlone: an Update that fails keeps nothing, and takes nobody with it.
func testDocsAlone(t *testing.T, open Open) {
	s, reopen := open(t)
	cause := errors.New("changed my mind")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := s.Update(context.Background(), func(w store.Writer) error {
				// A partition of its own: what an aborted transaction knew of it must be forgotten.
				p := batch.Partition{Account: fmt.Sprintf("%012d", i)}
				if err := w.Put(p, "k", "key", document{N: i}); err != nil {
					return err
				}
				if i%2 == 1 {
					return cause
				}
				return nil
			})
			if i%2 == 1 && !errors.Is(err, cause) || i%2 == 0 && err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	check := func(t *testing.T, s Store) {
		view(t, s, func(r store.Reader) error {
			for i := range 40 {
				ok, err := r.Get(batch.Partition{Account: fmt.Sprintf("%012d", i)}, "k", "key", &document{})
				if err != nil || ok != (i%2 == 0) {
					t.Errorf("document %d: %t, %v", i, ok, err)
				}
			}
			return nil
		})
	}
	eachWay(t, s, nil, check)
	// The partitions of the failed ones can be used.
	update(t, s, func(w store.Writer) error {
		return w.Put(batch.Partition{Account: fmt.Sprintf("%012d", 1)}, "k", "later", document{})
	})
	if reopen != nil {
		check(t, reopen())
	}
}

// testPanic: a panic in Update is the caller's; the store goes on without what it wrote.
func testPanic(t *testing.T, open Open) {
	s, _ := open(t)
	func() {
		defer func() {
			if p := recover(); p != "oops" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = s.Update(context.Background(), func(w store.Writer) error {
			if err := w.Put(here, "k", "a", document{}); err != nil {
				t.Error(err)
			}
			panic("oops")
		})
	}()
	update(t, s, func(w store.Writer) error {
		if ok, err := w.Get(here, "k", "a", &document{}); ok || err != nil {
			t.Errorf("what was written before the panic: %t, %v", ok, err)
		}
		return w.Put(here, "k", "b", document{})
	})
}

func testContexts(t *testing.T, open Open) {
	s, _ := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range map[string]func() error{
		"Commit": func() error {
			return s.Commit(ctx, &engine.Changes{Jobs: []engine.JobRecord{job(1, here, batch.Runnable)}})
		},
		"Load": func() error {
			return s.Load(ctx, engine.Visitor{
				Resource: func(engine.ResourceRecord) error { return nil }, Job: func(engine.JobRecord) error { return nil }, Child: func(engine.ChildRecord) error { return nil },
			})
		},
		"Update": func() error {
			return s.Update(ctx, func(w store.Writer) error { return w.Put(here, "k", "a", document{}) })
		},
		"View":         func() error { return s.View(ctx, func(store.Reader) error { return nil }) },
		"Job":          func() error { _, _, err := s.Job(ctx, here, "id"); return err },
		"Child":        func() error { _, _, err := s.Child(ctx, 1, 1); return err },
		"ListJobs":     func() error { _, err := s.ListJobs(ctx, engine.JobQuery{Partition: here}); return err },
		"ListChildren": func() error { _, err := s.ListChildren(ctx, engine.ChildQuery{Seq: 1}); return err },
	} {
		if err := call(); name != "Load" && !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context returned %v", name, err)
		}
	}
	if jobs := load(t, s).Jobs; len(jobs) != 0 {
		t.Errorf("a cancelled commit was kept: %v", jobs)
	}
	view(t, s, func(r store.Reader) error {
		equal(t, "documents", listDocs(t, r, here, "k", ""), nil)
		return nil
	})
}

// testTogether has a committing engine, writers of documents and readers at work at once. Every reader sees whole commits
// only, and what a caller was told is there.
func testTogether(t *testing.T, open Open) {
	s, reopen := open(t)
	const rounds, writers, perWriter = 60, 8, 40
	commit(t, s, engine.Changes{Jobs: []engine.JobRecord{job(1, here, batch.Pending)}})
	var work, readers sync.WaitGroup
	over := make(chan struct{})
	work.Go(func() {
		for i := range rounds {
			if err := s.Commit(context.Background(), &engine.Changes{
				Jobs:     []engine.JobRecord{job(int64(10+i), here, batch.Runnable)},
				Children: []engine.ChildRecord{child(1, i, batch.Running), child(1, rounds+i, batch.Running)},
			}); err != nil {
				t.Errorf("Commit: %v", err)
			}
			if n := len(listSeqs(t, s, engine.JobQuery{Partition: here, Statuses: []batch.Status{batch.Runnable}})); n != i+1 {
				t.Errorf("after %d commits %d jobs are listed", i+1, n)
			}
		}
	})
	for n := range writers {
		work.Go(func() {
			for i := range perWriter {
				if err := s.Update(context.Background(), func(w store.Writer) error {
					var total document
					if _, err := w.Get(here, "counter", "total", &total); err != nil {
						return err
					}
					total.N++
					if err := w.Put(here, "counter", "total", total); err != nil {
						return err
					}
					return w.Put(here, "item", fmt.Sprintf("%d-%d", n, i), document{N: total.N})
				}); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := s.View(context.Background(), func(r store.Reader) error {
					var total document
					if _, err := r.Get(here, "counter", "total", &total); err != nil {
						return err
					}
					if n := len(listDocs(t, r, here, "item", "")); n != total.N {
						t.Errorf("a snapshot has %d items and counts %d", n, total.N)
					}
					return nil
				}); err != nil {
					t.Errorf("View: %v", err)
				}
				cs, err := s.ListChildren(context.Background(), engine.ChildQuery{Seq: 1})
				if err != nil || len(cs)%2 != 0 {
					t.Errorf("%d children are seen of pairs, %v", len(cs), err)
				}
			}
		})
	}
	work.Wait()
	close(over)
	readers.Wait()
	eachWay(t, s, reopen, func(t *testing.T, s Store) {
		view(t, s, func(r store.Reader) error {
			var total document
			if _, err := r.Get(here, "counter", "total", &total); err != nil || total.N != writers*perWriter {
				t.Errorf("counted %d, %v", total.N, err)
			}
			return nil
		})
		if n := len(load(t, s).Jobs); n != rounds+1 {
			t.Errorf("%d jobs are stored", n)
		}
	})
}
