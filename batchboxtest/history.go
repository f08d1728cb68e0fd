package batchboxtest

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
)

// history is which statuses each job has had, read from the engine's journal.
type history struct {
	hub *events.Hub

	mu     sync.Mutex
	reader *events.Reader
	had    map[string]uint16 // by job id: a bit for each status
}

func newHistory(hub *events.Hub) *history {
	return &history{hub: hub, reader: hub.Read(0, events.Filter{}), had: make(map[string]uint16)}
}

// update reads what is new, waiting for something if wait is set.
func (h *history) update(ctx context.Context, wait bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for wait || h.reader.Position() < h.hub.Last() {
		list, err := h.reader.Next(ctx)
		if err != nil {
			return err
		}
		for i := range list {
			h.had[list[i].View.ID] |= 1 << list[i].View.Status
		}
		wait = false
	}
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
