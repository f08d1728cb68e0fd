package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

// Store is what a Hub reads.
type Store interface {
	// Events returns up to limit rows of the journal with an ID greater than after, ascending.
	Events(ctx context.Context, after int64, limit int) ([]engine.EventRecord, error)
	// LastEvent is the greatest ID of the journal, 0 if it is empty.
	LastEvent(ctx context.Context) (int64, error)
	Job(ctx context.Context, p batch.Partition, id string) (rec engine.JobRecord, ok bool, err error)
}

// Options are what a Hub is made of.
type Options struct {
	Store Store
	// Docs keeps what the hub has to remember: positions of readers.
	Docs store.Docs
	// Detail shows a job as DescribeJobs does, for the detail of an event.
	Detail func(*engine.JobView) (json.RawMessage, error)
	// Prune removes from the journal what is not among the last keep events. Keep is that number; 0 is DefaultKeep.
	Prune  func(ctx context.Context, keep int64) error
	Keep   int64
	Logger *slog.Logger // discards if nil
}

// DefaultKeep is how many events the journal keeps: two arrays of 10,000 children and what belongs to them, at 300 bytes
// each.
const DefaultKeep = 100_000

// Hub owns the event journal: as the engine's Journal it makes the rows, as its Observer it wakes those who read them.
type Hub struct {
	o         Options
	log       *slog.Logger
	namespace uuid.UUID
	specs     specCache

	// recorded is the position of the last event handed to a commit; it belongs to the engine's loop. committed is that of
	// the last that is on disk.
	recorded  int64
	committed atomic.Int64
	opened    int64 // the last when the hub was opened

	mu     sync.Mutex
	wake   chan struct{} // closed and replaced when there is something new
	closed chan struct{}
	once   sync.Once

	pruning  atomic.Bool
	prunedAt int64 // recorded when it was last pruned; the engine's loop's
	ctx      context.Context
	cancel   context.CancelFunc
	working  sync.WaitGroup
}

var (
	_ engine.Journal  = (*Hub)(nil)
	_ engine.Observer = (*Hub)(nil)
)

const (
	kindNamespace = "events-namespace"
	// KindPosition is the kind of the documents, in no partition, that have the positions of followers by their names.
	KindPosition = "events-position"
)

// Open makes the hub of a store's journal. Close ends it.
func Open(ctx context.Context, o Options) (*Hub, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = DefaultKeep
	}
	h := &Hub{o: o, log: o.Logger, wake: make(chan struct{}), closed: make(chan struct{})}
	last, err := o.Store.LastEvent(ctx)
	if err != nil {
		return nil, fmt.Errorf("event journal: %w", err)
	}
	h.recorded, h.prunedAt, h.opened = last, last, last
	h.committed.Store(last)
	if err := h.loadNamespace(ctx); err != nil {
		return nil, fmt.Errorf("event journal: %w", err)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// loadNamespace finds, or makes, what tells the ids of this journal's events from those of another's.
func (h *Hub) loadNamespace(ctx context.Context) error {
	return h.o.Docs.Update(ctx, func(w store.Writer) error {
		found, err := w.Get(batch.Partition{}, kindNamespace, "", &h.namespace)
		if err != nil || found {
			return err
		}
		h.namespace = uuid.New()
		return w.Put(batch.Partition{}, kindNamespace, "", h.namespace)
	})
}

// Close ends all readers and waits for the hub's own work.
func (h *Hub) Close() {
	h.StopReaders()
	h.cancel()
	h.working.Wait()
}

// StopReaders lets every Next under way, and every later one, answer ErrClosed.
func (h *Hub) StopReaders() { h.once.Do(func() { close(h.closed) }) }

// Record implements engine.Journal.
func (h *Hub) Record(notices []engine.Notice) []engine.EventRecord {
	rows, last, err := encode(notices, h.recorded)
	if err != nil {
		// Plain structs marshal: a fault of ours, which the engine's loop turns into a refused group.
		panic("events: " + err.Error())
	}
	h.recorded = last
	return rows
}

// Observe implements engine.Observer: everything recorded is on disk now.
func (h *Hub) Observe([]engine.Notice) {
	h.committed.Store(h.recorded)
	h.mu.Lock()
	close(h.wake)
	h.wake = make(chan struct{})
	h.mu.Unlock()
	if h.recorded-h.prunedAt > h.o.Keep/8 && h.pruning.CompareAndSwap(false, true) {
		h.prunedAt = h.recorded
		h.working.Go(h.prune)
	}
}

func (h *Hub) prune() {
	defer h.pruning.Store(false)
	if h.o.Prune == nil {
		return
	}
	if err := h.o.Prune(h.ctx, h.o.Keep); err != nil && h.ctx.Err() == nil {
		h.log.Error("the event journal could not be pruned", "error", err)
	}
}

// news is closed when there is something new.
func (h *Hub) news() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wake
}

// Last is the position of the last event on disk.
func (h *Hub) Last() int64 { return h.committed.Load() }

// ErrClosed is what readers answer when the hub is being closed.
var ErrClosed = errors.New("events: the engine is stopping")

// Reader reads the journal from a position on. One goroutine at a time may use it.
type Reader struct {
	hub    *Hub
	filter Filter
	after  int64
	missed int64
}

// Read makes a reader of the events after a position; a negative one is the end of the journal as it is now.
func (h *Hub) Read(after int64, f Filter) *Reader {
	if last := h.Last(); after < 0 || after > last {
		after = last
	}
	return &Reader{hub: h, filter: f, after: after}
}

// Position is that of the last event read or passed over.
func (r *Reader) Position() int64 { return r.after }

// Missed is how many events since the last call were pruned before they could be read.
func (r *Reader) Missed() int64 {
	n := r.missed
	r.missed = 0
	return n
}

// The bounds of a page: how many rows of the journal are read at a time, and how many events are handed out.
const (
	readRows   = 16
	pageEvents = 1000
)

// Next returns the next events that the filter admits, at least one, waiting for them if need be. The error is ErrClosed,
// the context's cause or the store's; the reader can be used again.
func (r *Reader) Next(ctx context.Context) ([]Event, error) {
	for {
		wake := r.hub.news()
		if r.after < r.hub.Last() {
			events, err := r.page(ctx)
			if err != nil || len(events) > 0 {
				return events, err
			}
			continue
		}
		select {
		case <-wake:
		case <-r.hub.closed:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// page reads some rows and moves on behind them.
func (r *Reader) page(ctx context.Context) ([]Event, error) {
	select {
	case <-r.hub.closed:
		return nil, ErrClosed
	default:
	}
	last := r.hub.Last()
	rows, err := r.hub.o.Store.Events(ctx, r.after, readRows)
	if err != nil {
		return nil, fmt.Errorf("event journal: %w", err)
	}
	if len(rows) == 0 { // all of it pruned meanwhile
		r.missed += last - r.after
		r.after = last
		return nil, nil
	}
	if err := r.countMissed(ctx, &rows[0]); err != nil {
		return nil, err
	}
	var events []Event
	for i := range rows {
		if len(events) == pageEvents {
			break
		}
		err := decode(&rows[i], func(e *Event) bool {
			if e.ID <= r.after {
				return true
			}
			if r.after = e.ID; r.filter.admits(e) {
				events = append(events, *e)
			}
			return len(events) < pageEvents
		})
		if err != nil { // one bad row must not hide the rest
			r.hub.log.Error("a row of the event journal can't be read", "error", err)
			r.after = rows[i].ID
		}
	}
	return events, nil
}

// countMissed notes what was pruned before the first row read.
func (r *Reader) countMissed(ctx context.Context, row *engine.EventRecord) error {
	first, err := firstID(row)
	if err != nil || first <= r.after+1 {
		return nil //nolint:nilerr // a row that can't be read is passed over where it is read
	}
	// A gap in the middle of the journal is of a commit that failed: those events never were.
	rows, err := r.hub.o.Store.Events(ctx, 0, 1)
	if err != nil {
		return fmt.Errorf("event journal: %w", err)
	}
	if len(rows) > 0 && rows[0].ID == row.ID {
		r.missed += first - r.after - 1
	}
	return nil
}

// Render shows an event as EventBridge does; false if it can't be shown any more, because its job has been removed. An
// error is the store's, which may pass.
func (h *Hub) Render(ctx context.Context, e *Event) (shown Envelope, ok bool, err error) {
	spec, err := h.spec(ctx, e.View.Partition, e.View.ParentID())
	if spec == nil || err != nil {
		return Envelope{}, false, err
	}
	v := e.View
	v.Spec = spec
	detail, err := h.o.Detail(&v)
	if err != nil {
		h.log.Error("an event can't be shown", "event", e.ID, "job", v.ID, "error", err)
		return Envelope{}, false, nil
	}
	return e.envelope(h.namespace, detail), true, nil
}

// spec finds what a job runs, nil if the job is gone. What it finds first it shows from then on: of a spec only the tags
// can change.
func (h *Hub) spec(ctx context.Context, p batch.Partition, id string) (*batch.Spec, error) {
	if spec := h.specs.get(id); spec != nil {
		return spec, nil
	}
	rec, ok, err := h.o.Store.Job(ctx, p, id)
	if err != nil || !ok {
		return nil, err
	}
	spec := new(batch.Spec)
	if err := json.Unmarshal(rec.Spec, spec); err != nil {
		h.log.Error("the spec of a job can't be read", "job", id, "error", err)
		return nil, nil
	}
	h.specs.put(id, spec)
	return spec, nil
}

// position reads where a reader of a name was; -1 if it has never been anywhere.
func (h *Hub) position(ctx context.Context, reader string) (at int64, err error) {
	at = -1
	err = h.o.Docs.View(ctx, func(r store.Reader) error {
		_, err := r.Get(batch.Partition{}, KindPosition, reader, &at)
		return err
	})
	return at, err
}

// remember saves where a reader is.
func (h *Hub) remember(ctx context.Context, reader string, at int64) error {
	return h.o.Docs.Update(ctx, func(w store.Writer) error { return w.Put(batch.Partition{}, KindPosition, reader, at) })
}
