// Package events tells the world of state changes, in the shape in which Amazon EventBridge has them from AWS Batch.
//
// Every change is written to a journal in the commit that makes the change, so that none is lost and none is told that did
// not happen. Who wants to know reads the journal, at a pace of its own, from a position it remembers: the stream of
// server-sent events at /_batchbox/events, a webhook, the rules of EventBridge (package rules). The engine does no more than
// write and wake them.
package events

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// Event is one state change of a job, an array child or a node, or a queue that found its head to be blocked.
type Event struct {
	// ID is its position in the journal: ascending, from 1, without gaps except where a commit failed.
	ID    int64
	At    int64 // ms
	Queue string
	// View is the job as it was then. Its Spec is set by Hub.Render, its Seq never.
	View engine.JobView
	// Blocked: the state is as it was, the job can't be placed for the reason in View.StatusReason.
	Blocked bool
}

// The event's names (User Guide, "AWS Batch events").
const (
	Source           = "aws.batch"
	TypeStateChange  = "Batch Job State Change"
	TypeQueueBlocked = "Batch Job Queue Blocked"
)

// DetailType is the event's detail-type.
func (e *Event) DetailType() string {
	if e.Blocked {
		return TypeQueueBlocked
	}
	return TypeStateChange
}

// Filter selects events. Empty members do not restrict; several values of one are alternatives.
type Filter struct {
	Accounts, Regions []string
	Queues            []string // names
	// Jobs are ids. That of an array or of a multi-node job selects its children and nodes as well.
	Jobs     []string
	Statuses []batch.Status
}

func (f *Filter) admits(e *Event) bool {
	v := &e.View
	return among(f.Accounts, v.Partition.Account) && among(f.Regions, v.Partition.Region) && among(f.Queues, e.Queue) &&
		among(f.Statuses, v.Status) && (among(f.Jobs, v.ID) || among(f.Jobs, v.ParentID()))
}

func among[T comparable](list []T, v T) bool {
	for _, want := range list {
		if v == want {
			return true
		}
	}
	return len(list) == 0
}

// Envelope is an event of EventBridge (EventBridge User Guide, "Event structure").
type Envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"` // RFC 3339, in seconds
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// envelope puts an event around its detail. The id follows from the position, so that an event read twice is known to be
// one.
func (e *Event) envelope(namespace uuid.UUID, detail json.RawMessage) Envelope {
	p := e.View.Partition
	resources := []string{p.BatchARN(batch.KindJob, e.View.ID)}
	if e.Blocked {
		resources = append(resources, p.BatchARN(batch.KindJobQueue, e.Queue))
	}
	return Envelope{
		Version: "0", ID: uuid.NewSHA1(namespace, binary.BigEndian.AppendUint64(nil, uint64(e.ID))).String(),
		DetailType: e.DetailType(), Source: Source, Account: p.Account, Region: p.Region,
		Time:      time.UnixMilli(e.At).UTC().Format(time.RFC3339),
		Resources: resources, Detail: detail,
	}
}

// change is one Notice as the journal has it, in a row with others of its commit. What a change has in common with the one
// before it in the row is left out.
type change struct {
	Job   string `json:"j,omitempty"` // without suffix
	Queue string `json:"q,omitempty"`
	At    int64  `json:"t,omitempty"` // ms
	// Index and Last are an array child's and that of the last of its neighbours who made the same change; Node is a
	// node's. All count from 1, so that 0 is none.
	Index   int                     `json:"i,omitempty"`
	Last    int                     `json:"l,omitempty"`
	Node    int                     `json:"n,omitempty"`
	Status  batch.Status            `json:"s"`
	Blocked bool                    `json:"b,omitempty"`
	State   *engine.WorkState       `json:"w"`
	Summary *[batch.NumStatuses]int `json:"c,omitempty"`
	// SummaryAt belongs to Summary.
	SummaryAt int64 `json:"ct,omitempty"`
}

// rowChanges bounds how many changes a row has, so that a reader's page is of a size that can be told.
const rowChanges = 256

// maxChildren is the largest size of an array (API reference, ArrayProperties).
const maxChildren = 10000

// encode makes the journal's rows of the changes of a commit. The first event has the position after last.
func encode(notices []engine.Notice, last int64) ([]engine.EventRecord, int64, error) {
	var rows []engine.EventRecord
	var row []change
	var job, queue string
	var at int64
	for i := range notices {
		n := &notices[i]
		v := &n.View
		if len(row) == 0 {
			job, queue, at = "", "", 0
		}
		ch := change{
			Index: v.Index + 1, Node: v.Node + 1, Status: v.Status, Blocked: n.Blocked,
			State: &v.WorkState, Summary: v.Summary, SummaryAt: v.SummaryAt,
		}
		if parent := v.ParentID(); parent != job {
			job, ch.Job = parent, parent
		}
		if v.Spec.Queue != queue {
			queue, ch.Queue = v.Spec.Queue, v.Spec.Queue
		}
		if n.At != at {
			at, ch.At = n.At, n.At
		}
		if n.Last > v.Index {
			ch.Last = n.Last + 1
		}
		last += int64(ch.count())
		row = append(row, ch)
		if len(row) < rowChanges && i+1 < len(notices) && notices[i+1].View.Partition == v.Partition {
			continue
		}
		body, err := json.Marshal(row)
		if err != nil {
			return nil, last, fmt.Errorf("event of job %s: %w", v.ID, err)
		}
		rows = append(rows, engine.EventRecord{ID: last, Partition: v.Partition, Time: at, Body: body})
		row = row[:0]
	}
	return rows, last, nil
}

// count is how many events the change is.
func (c *change) count() int {
	if c.Last > c.Index {
		return c.Last - c.Index + 1
	}
	return 1
}

// decode calls yield with each event of a row, in order, until it says false.
func decode(rec *engine.EventRecord, yield func(*Event) bool) error {
	var row []change
	if err := json.Unmarshal(rec.Body, &row); err != nil {
		return fmt.Errorf("event journal, row %d: %w", rec.ID, err)
	}
	for i := range row {
		if row[i].State == nil || row[i].count() > maxChildren {
			return fmt.Errorf("event journal, row %d, change %d: no state, or of %d children", rec.ID, i, row[i].count())
		}
	}
	id := before(rec, row)
	var job, queue string
	var at int64
	for i := range row {
		c := &row[i]
		job, queue, at = cmp.Or(c.Job, job), cmp.Or(c.Queue, queue), cmp.Or(c.At, at)
		e := Event{At: at, Queue: queue, Blocked: c.Blocked, View: engine.JobView{
			Partition: rec.Partition, ID: job, Index: c.Index - 1, Node: c.Node - 1, Status: c.Status, WorkState: *c.State,
			Summary: c.Summary, SummaryAt: c.SummaryAt,
		}}
		for range c.count() {
			id++
			e.ID = id
			switch {
			case e.View.Index >= 0:
				e.View.ID = batch.ArrayChildID(job, e.View.Index)
			case e.View.Node >= 0:
				e.View.ID = batch.NodeID(job, e.View.Node)
			}
			one := e
			if !yield(&one) {
				return nil
			}
			e.View.Index++
		}
	}
	return nil
}

// before is the position before a row's first event.
func before(rec *engine.EventRecord, row []change) int64 {
	id := rec.ID
	for i := range row {
		id -= int64(row[i].count())
	}
	return id
}

// firstID is the position of a row's first event.
func firstID(rec *engine.EventRecord) (int64, error) {
	var row []change
	if err := json.Unmarshal(rec.Body, &row); err != nil {
		return 0, fmt.Errorf("event journal, row %d: %w", rec.ID, err)
	}
	return before(rec, row) + 1, nil
}

// queueName is the name in an ARN of a job queue, or the name itself.
func queueName(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
