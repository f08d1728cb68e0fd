package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// StreamPath is where the stream of events is served.
const StreamPath = "/_batchbox/events"

const (
	// heartbeat is how often a reader who waits hears that the engine lives; it also learns how far it has read, so that
	// with a filter that admits little it need not read everything again when it comes back.
	heartbeat = 15 * time.Second
	// writePatience is how long a reader may take none of what it asked for before it is dropped. It can come back and go on
	// from where it was.
	writePatience = time.Minute
)

// ServeHTTP streams events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), each a
// line of JSON in EventBridge's shape, in the order in which the changes were made. The id of an event is its position:
//
//	Last-Event-ID: N   go on after event N, as an EventSource does by itself when it connects again
//	?after=N           the same for other clients; 0 is from the oldest event kept. Without either, from now on
//	?queue=NAME        only jobs of this queue, by name or ARN
//	?job=ID            only this job, and the children or nodes of it
//	?status=STATUS     only changes to this status
//	?account=, ?region= only those of this account and region
//
// A filter given several times admits any of its values. What was pruned before it could be read is told as an event of
// type "missed" with the number of events.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "GET reads the events", http.StatusMethodNotAllowed)
		return
	}
	after, filter, err := streamRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // for a proxy that would collect
	s := &stream{hub: h, reader: h.Read(after, filter), w: w, control: http.NewResponseController(w)}
	if err := s.run(r.Context()); r.Context().Err() == nil && !errors.Is(err, ErrClosed) {
		h.log.Info("a stream of events ended", "remote", r.RemoteAddr, "position", s.reader.Position(), "error", err)
	}
}

// streamRequest reads what a client asks for.
func streamRequest(r *http.Request) (after int64, f Filter, err error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, f, fmt.Errorf("query: %w", err)
	}
	after = -1
	position, from := r.Header.Get("Last-Event-ID"), "Last-Event-ID"
	for name, values := range q {
		switch name {
		case "after":
			if position == "" {
				position, from = values[0], "after"
			}
		case "queue":
			for _, v := range values {
				f.Queues = append(f.Queues, queueName(v))
			}
		case "job":
			f.Jobs = values
		case "status":
			for _, v := range values {
				status, ok := batch.ParseStatus(v)
				if !ok {
					return 0, f, fmt.Errorf("status %q is none of SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED", v)
				}
				f.Statuses = append(f.Statuses, status)
			}
		case "account":
			f.Accounts = values
		case "region":
			f.Regions = values
		default:
			return 0, f, fmt.Errorf("there is no filter %q; there are after, queue, job, status, account and region", name)
		}
	}
	if position != "" {
		if after, err = strconv.ParseInt(position, 10, 64); err != nil || after < 0 {
			return 0, f, fmt.Errorf("%s %q is not the id of an event", from, position)
		}
	}
	return after, f, nil
}

// stream is one client's stream.
type stream struct {
	hub     *Hub
	reader  *Reader
	w       http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer
}

// run writes events until that fails or ctx is done; it never ends without an error.
func (s *stream) run(ctx context.Context) error {
	fmt.Fprintf(&s.buf, "id: %d\n: batchbox\n\n", s.reader.Position()) // tells the client that it is connected
	if err := s.send(); err != nil {
		return err
	}
	for {
		waiting, cancel := context.WithTimeoutCause(ctx, heartbeat, errQuiet)
		list, err := s.reader.Next(waiting)
		quiet := context.Cause(waiting) == errQuiet
		cancel()
		if missed := s.reader.Missed(); missed > 0 {
			fmt.Fprintf(&s.buf, "event: missed\ndata: %d\n\n", missed)
		}
		switch {
		case err != nil && quiet:
			fmt.Fprintf(&s.buf, "id: %d\n: \n\n", s.reader.Position())
		case err != nil:
			return err
		}
		for i := range list {
			if err := s.write(ctx, &list[i]); err != nil {
				return err
			}
		}
		if err := s.send(); err != nil {
			return err
		}
	}
}

// errQuiet is why a wait for something new ended without it.
var errQuiet = errors.New("events: nothing new")

func (s *stream) write(ctx context.Context, e *Event) error {
	shown, ok, err := s.hub.Render(ctx, e)
	if err != nil || !ok {
		return err
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	fmt.Fprintf(&s.buf, "id: %d\ndata: %s\n\n", e.ID, raw)
	if s.buf.Len() < 64<<10 {
		return nil
	}
	return s.send()
}

// send writes what is ready. Only this reader waits for its client.
func (s *stream) send() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	return s.control.Flush()
}
