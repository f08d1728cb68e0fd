package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/rules"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/logstore/index"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// EventsConfig says what becomes of state changes.
type EventsConfig struct {
	// Webhook is a URL that events are posted to; "" for none.
	Webhook string
	// Keep is how many events the journal keeps; 0 is events.DefaultKeep.
	Keep int64
}

func (c *EventsConfig) check() error {
	if c.Keep < 0 {
		return fmt.Errorf("%d events to keep: the number is negative", c.Keep)
	}
	if c.Webhook == "" {
		return nil
	}
	return events.CheckWebhook(c.Webhook)
}

// checkSpot checks the rate of Spot interruptions.
func checkSpot(limits *engine.Limits) error {
	if r := limits.SpotRate; r < 0 || math.IsNaN(r) || math.IsInf(r, 0) {
		return fmt.Errorf("a Spot interruption rate of %v: it is a number of interruptions an hour, 0 for none", r)
	}
	return nil
}

// openEvents makes the journal of state changes.
func (s *Server) openEvents(ctx context.Context) error {
	detailer, err := apibatch.NewEventDetailer()
	if err != nil {
		return err
	}
	s.events, err = events.Open(ctx, events.Options{
		Store: s.db, Docs: s.db, Detail: detailer.Detail, Keep: s.cfg.Events.Keep, Logger: s.cfg.Logger,
		Prune: func(ctx context.Context, keep int64) error {
			_, err := s.db.Prune(ctx, s.clock.Now(), sqlite.Retention{Events: keep})
			return err
		},
	})
	return err
}

// runEvents starts what reads the journal, until ctx is done.
func (s *Server) runEvents(ctx context.Context) error {
	s.http.RegisterOnShutdown(s.events.StopReaders)
	s.background.Go(func() { s.bus.Run(ctx) })
	if s.cfg.Events.Webhook == "" {
		return nil
	}
	hook, err := events.NewWebhook(s.events, s.cfg.Events.Webhook, "batchbox/"+s.cfg.Version)
	if err != nil {
		return err
	}
	s.background.Go(func() { hook.Run(ctx) })
	return nil
}

// interruptSpot answers POST on control.SpotInterruptPath: it reclaims the Spot capacity under a job, as AWS does now and
// then. It is in the account and region of the request, or the engine's own.
func (s *Server) interruptSpot(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST interrupts a job on Spot capacity", http.StatusMethodNotAllowed)
		return
	}
	var req control.SpotInterruptRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		http.Error(w, "the request is not of the form {\"job\": \"ID\"}: "+err.Error(), http.StatusBadRequest)
		return
	}
	p := s.defaults()
	if account := callerAccount(r.Context()); account != "" {
		if req.Account != "" && req.Account != account {
			http.Error(w, "the access key is account "+account+"'s, and the job account "+req.Account+"'s", http.StatusForbidden)
			return
		}
		p.Account = account
	}
	if req.Account != "" {
		p.Account = req.Account
	}
	if req.Region != "" {
		p.Region = req.Region
	}
	id, ok := batch.ParseJobID(req.Job)
	if !ok {
		http.Error(w, fmt.Sprintf("%q is not the id of a job", req.Job), http.StatusBadRequest)
		return
	}
	result, err := s.engine.Do(r.Context(), engine.InterruptSpot{Partition: p, ID: id})
	var refusal *batch.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == batch.Refused:
		http.Error(w, refusal.Message, http.StatusConflict)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	hit, _ := result.(int)
	_ = json.NewEncoder(w).Encode(control.SpotInterruptReply{Interrupted: hit}) // the client has gone, or it has not
}

// openBus loads the rules of EventBridge. The engine must run: rules submit jobs.
func (s *Server) openBus(ctx context.Context) (err error) {
	s.bus, err = rules.Open(ctx, rules.Options{
		Docs: s.db, Hub: s.events, Logs: eventLogs{s.logs}, Now: s.clock.Now, Logger: s.cfg.Logger,
		Jobs: func(ctx context.Context, p batch.Partition, request json.RawMessage) (string, error) {
			return s.batchAPI().Submit(ctx, p, request)
		},
	})
	return err
}

// eventLogs lets rules write to log groups.
type eventLogs struct{ store *index.Store }

// Append implements rules.Logs.
func (l eventLogs) Append(ctx context.Context, stream rules.Stream, list []rules.LogEvent) error {
	key := logstore.StreamKey{Account: stream.Partition.Account, Region: stream.Partition.Region, Group: stream.Group, Stream: stream.Name}
	written := make([]logstore.Event, len(list))
	for i, e := range list {
		written[i] = logstore.Event{Timestamp: e.At.UnixMilli(), Message: e.Message}
	}
	err := l.store.Put(ctx, key, written)
	if errors.Is(err, index.ErrNoStream) {
		if err = l.store.CreateStream(ctx, key); err == nil || errors.Is(err, index.ErrStreamExists) {
			err = l.store.Put(ctx, key, written)
		}
	}
	if errors.Is(err, index.ErrNoGroup) {
		return rules.ErrNoGroup // which one is known to who asked
	}
	return err
}
