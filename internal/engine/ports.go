// Package engine owns the live state of batchbox: every resource and every unfinished job of every account and region.
// Core.Step takes an event and the time and returns effects; the Engine is the one loop around it, which commits a group
// of steps to the Store before anything they did can be seen.
package engine

import (
	"context"

	"github.com/batchbox/batchbox/internal/batch"
)

// Store keeps state on disk. Commit is atomic and durable: when it returns nil, the changes survive a power cut. The
// engine is the only caller of Commit and calls it from one goroutine; the readers are called from many at once and see
// only what has been committed. The conformance suite is internal/store/storetest.
type Store interface {
	// Load hands over every resource and every job that is not final, in ascending Seq, each job's children after it.
	Load(ctx context.Context, v Visitor) error
	// Commit refuses, whole, what can not be: an id or number that is another job's, a job or a child's parent that is not
	// there, another status for a final job, a time of stopping without a final status or the reverse.
	Commit(ctx context.Context, c *Changes) error

	// Job finds one job by its UUID (no child suffix); ok is false if there is none.
	Job(ctx context.Context, p batch.Partition, id string) (rec JobRecord, ok bool, err error)
	// Child finds one array child or node of a job.
	Child(ctx context.Context, seq int64, index int) (rec ChildRecord, ok bool, err error)
	// ListJobs pages through jobs (not children), newest first: descending (CreatedAt, Seq). With a NamePrefix they are
	// grouped by name, as AWS lists them: descending (Name without letter case, CreatedAt, Seq).
	ListJobs(ctx context.Context, q JobQuery) ([]JobRecord, error)
	// ListChildren pages through the stored children of a job, ascending by index.
	ListChildren(ctx context.Context, q ChildQuery) ([]ChildRecord, error)
}

// Visitor receives what Load reads. An error stops the load.
type Visitor struct {
	// LastSeq, if set, is told the highest Seq of any job in the store, finished ones included, 0 if there is none.
	LastSeq  func(int64)
	Resource func(ResourceRecord) error
	Job      func(JobRecord) error
	Child    func(ChildRecord) error
}

// Changes is one group commit. Within it, a record given twice counts as given last.
type Changes struct {
	Resources []ResourceRecord
	Jobs      []JobRecord
	Children  []ChildRecord
	// Events are appended to the event journal.
	Events []EventRecord
	// DeleteJobs removes jobs with their children (retention).
	DeleteJobs []int64
}

// Empty says whether there is nothing to commit.
func (c *Changes) Empty() bool {
	return len(c.Resources)+len(c.Jobs)+len(c.Children)+len(c.Events)+len(c.DeleteJobs) == 0
}

// ResourceRecord is a resource's row: one of the batch.Kind constants (or the engine's own, such as revision counters),
// keyed within the partition. A nil Value deletes it.
type ResourceRecord struct {
	Partition batch.Partition
	Kind, Key string
	Value     []byte // JSON
}

// JobRecord is the row of a single job, an array parent or a multi-node parent. The columns exist for queries; Spec and
// State are the engine's JSON.
type JobRecord struct {
	Seq       int64 // order of submission over all partitions, unique, from 1
	Partition batch.Partition
	ID        string // UUID
	Queue     string // short name
	Name      string
	// Definition is "name:revision".
	Definition string
	Share      string
	Status     batch.Status
	CreatedAt  int64 // ms
	StoppedAt  int64 // ms; 0 until final
	// Spec is written once; nil in a later change of the same job means unchanged. Readers always fill it.
	Spec []byte
	// State is everything about the job that changes.
	State []byte
}

// ChildRecord is the row of an array child or a node. Children that have never left their first state have no row.
type ChildRecord struct {
	Seq    int64 // of the parent
	Index  int
	Status batch.Status
	State  []byte
}

// EventRecord is one entry of the event journal: what changed in a commit, as the Journal writes and reads it.
type EventRecord struct {
	ID        int64 // ascending, unique; an entry of several events has the ID of the last of them
	Partition batch.Partition
	Time      int64 // ms
	Body      []byte
}

// JobQuery selects jobs of one queue. Zero members do not restrict.
type JobQuery struct {
	Partition batch.Partition
	Queue     string
	Statuses  []batch.Status
	// NamePrefix and Name compare without letter case; DefinitionPrefix and Definition with.
	Name, NamePrefix             string
	Definition, DefinitionPrefix string
	Share                        string
	CreatedBefore, CreatedAfter  int64 // ms, exclusive
	// Before continues after the job of this (CreatedAt, Seq), in descending order; with a NamePrefix its name belongs to it.
	BeforeName                 string
	BeforeCreatedAt, BeforeSeq int64
	Limit                      int
}

// ChildQuery selects stored children of a job.
type ChildQuery struct {
	Seq      int64
	Statuses []batch.Status
	From     int // smallest index
	Limit    int
}
