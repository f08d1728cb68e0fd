package batchboxtest

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
)

// history is which statuses each job has had, read from the engine's journal. Several tests may wait for it at once: one of
// them reads, and tells the others.
type history struct {
	hub     *events.Hub
	reading chan struct{} // holds the reader's token
	reader  *events.Reader

	mu      sync.Mutex
	had     map[string]uint16 // by job id: a bit for each status
	changed chan struct{}     // closed and replaced when something was read
}

func newHistory(hub *events.Hub) *history {
	return &history{
		hub: hub, reading: make(chan struct{}, 1), reader: hub.Read(0, events.Filter{}),
		had: make(map[string]uint16), changed: make(chan struct{}),
	}
}

// until waits until over, which looks at the history, says so.
func (h *history) until(ctx context.Context, over func() bool) error {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if over() {
			return nil
		}
		select {
		case h.reading <- struct{}{}:
			var err error
			if !over() { // another may have read meanwhile
				err = h.read(ctx)
			}
			<-h.reading
			if err != nil {
				return err
			}
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// update reads what there is.
func (h *history) update(ctx context.Context) error {
	h.reading <- struct{}{}
	defer func() { <-h.reading }()
	for h.reader.Position() < h.hub.Last() {
		if err := h.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// read reads some events, waiting for the first. The caller has the token.
func (h *history) read(ctx context.Context) error {
	list, err := h.reader.Next(ctx)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range list {
		h.had[list[i].View.ID] |= 1 << list[i].View.Status
	}
	close(h.changed)
	h.changed = make(chan struct{})
	return nil
}

// was says whether a job has had one of the statuses. There is no event of SUBMITTED, which every job has been.
func (h *history) was(id string, any ...types.JobStatus) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range any {
		if status, ok := batch.ParseStatus(string(s)); ok && (status == batch.Submitted || h.had[id]&(1<<status) != 0) {
			return true
		}
	}
	return false
}
