// Package storetest is the conformance suite of engine.Store and store.Docs: what every implementation of them does alike.
package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

// Store is what is tested.
type Store interface {
	engine.Store
	store.Docs
}

// Open makes an empty store, which ends with the test. reopen is nil for a store that keeps nothing; else it closes the
// store and opens it again.
type Open func(t *testing.T) (s Store, reopen func() Store)

// The partitions the suite writes to.
var (
	here  = batch.Partition{Account: "111111111111", Region: "eu-west-1"}
	there = batch.Partition{Account: "111111111111", Region: "us-east-1"}
	other = batch.Partition{Account: "222222222222", Region: "eu-west-1"}
	world = batch.Partition{Account: "111111111111"} // as IAM has it
)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Resources": testResources,
		"Jobs":      testJobs,
		"Refusals":  testRefusals,
		"Children":  testChildren,
		"Deletion":  testDeletion,
		"LoadOrder": testLoadOrder,
		"Visitor":   testVisitor,
		"Lists":     testLists,
		"LastSeq":   testLastSeq,
		"ListModel": testListModel,
		"Docs":      testDocs,
		"DocsAlone": testDocsAlone,
		"Panic":     testPanic,
		"Contexts":  testContexts,
		"Together":  testTogether,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// job makes a job that is not final unless status is.
func job(seq int64, p batch.Partition, status batch.Status) engine.JobRecord {
	r := engine.JobRecord{
		Seq: seq, Partition: p, ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", seq), Queue: "queue", Name: "name",
		Definition: "definition:1", Status: status, CreatedAt: 1_000_000 + seq,
		Spec: []byte(fmt.Sprintf(`{"seq":%d}`, seq)), State: []byte(`{"status":"` + status.String() + `"}`),
	}
	if status.Final() {
		r.StoppedAt = r.CreatedAt + 500
	}
	return r
}

// became is a later record of a job.
func became(r engine.JobRecord, status batch.Status) engine.JobRecord {
	r.Status, r.Spec = status, nil
	r.State = []byte(`{"status":"` + status.String() + `"}`)
	r.StoppedAt = 0
	if status.Final() {
		r.StoppedAt = r.CreatedAt + 500
	}
	return r
}

func child(seq int64, index int, status batch.Status) engine.ChildRecord {
	return engine.ChildRecord{Seq: seq, Index: index, Status: status, State: []byte(fmt.Sprintf(`{"i":%d}`, index))}
}

func commit(t *testing.T, s engine.Store, c engine.Changes) {
	t.Helper()
	if err := s.Commit(context.Background(), &c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// contents is everything Load hands over, with the order of the calls.
type contents struct {
	Resources []engine.ResourceRecord
	Jobs      []engine.JobRecord
	Children  []engine.ChildRecord
	Calls     []string
}

func load(t *testing.T, s engine.Store) contents {
	t.Helper()
	var c contents
	if err := s.Load(context.Background(), engine.Visitor{
		Resource: func(r engine.ResourceRecord) error {
			c.Resources = append(c.Resources, r)
			c.Calls = append(c.Calls, "resource "+r.Key)
			return nil
		},
		Job: func(r engine.JobRecord) error {
			c.Jobs = append(c.Jobs, r)
			c.Calls = append(c.Calls, fmt.Sprint("job ", r.Seq))
			return nil
		},
		Child: func(r engine.ChildRecord) error {
			c.Children = append(c.Children, r)
			c.Calls = append(c.Calls, fmt.Sprint("child ", r.Seq, "/", r.Index))
			return nil
		},
	}); err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func findJob(t *testing.T, s engine.Store, p batch.Partition, id string) (engine.JobRecord, bool) {
	t.Helper()
	r, ok, err := s.Job(context.Background(), p, id)
	if err != nil {
		t.Fatalf("Job(%s): %v", id, err)
	}
	return r, ok
}

// eachWay runs check on the store, and once more after it was opened again; it returns the one that is open.
func eachWay(t *testing.T, s Store, reopen func() Store, check func(t *testing.T, s Store)) Store {
	t.Helper()
	check(t, s)
	if reopen != nil {
		s = reopen()
		check(t, s)
	}
	return s
}
