package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events/eventstest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// message is one server-sent event.
type message struct{ id, event, data string }

// source is a client of the stream.
type source struct {
	t    testing.TB
	body *bufio.Scanner
	end  func()
}

// connect opens the stream; the position is sent as Last-Event-ID unless it is "".
func connect(t testing.TB, srv *httptest.Server, query, position string) *source {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if position != "" {
		req.Header.Set("Last-Event-ID", position)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("HTTP %s, %s", res.Status, got)
	}
	s := &source{t: t, body: bufio.NewScanner(res.Body), end: func() { cancel(); res.Body.Close() }}
	s.body.Buffer(nil, 1<<20)
	t.Cleanup(s.end)
	return s
}

// next reads the next message with data.
func (s *source) next() message {
	s.t.Helper()
	var m message
	for s.body.Scan() {
		name, value, _ := strings.Cut(s.body.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if s.body.Text() == "" && m.data != "" {
				return m
			}
		}
	}
	s.t.Fatalf("the stream ended: %v", s.body.Err())
	return m
}

// statuses reads n messages and says whose change to what they tell.
func (s *source) statuses(n int) (list []string) {
	s.t.Helper()
	for range n {
		var e struct {
			Detail struct{ JobID, Status string }
		}
		m := s.next()
		if err := json.Unmarshal([]byte(m.data), &e); err != nil {
			s.t.Fatalf("%q: %v", m.data, err)
		}
		_, suffix, _ := strings.Cut(e.Detail.JobID, ":")
		list = append(list, strings.TrimSpace(m.id+" "+suffix+" "+e.Detail.Status))
	}
	return list
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	srv := httptest.NewServer(l.Hub)
	t.Cleanup(srv.Close)
	t.Cleanup(l.Hub.StopReaders) // before the server, which waits for its requests

	live := connect(t, srv, "", "")
	l.Submit("q", "")
	if d := cmp.Diff([]string{"1  RUNNABLE", "2  STARTING"}, live.statuses(2)); d != "" {
		t.Error(d)
	}
	l.Finish(1, 0)
	if d := cmp.Diff([]string{"3  RUNNING", "4  SUCCEEDED"}, live.statuses(2)); d != "" {
		t.Error(d)
	}
	live.end()
	for _, tc := range []struct{ query, position string }{{"", "2"}, {"after=2", ""}, {"after=0", "2"}} {
		if d := cmp.Diff([]string{"3  RUNNING", "4  SUCCEEDED"}, connect(t, srv, tc.query, tc.position).statuses(2)); d != "" {
			t.Errorf("%+v:\n%s", tc, d)
		}
	}
	id := l.Submit("other", `"arrayProperties":{"size":2}`)
	filtered := connect(t, srv, "after=0&queue=arn:aws:batch:eu-west-1:111122223333:job-queue/other&status=PENDING&status=STARTING&job="+id, "")
	if d := cmp.Diff([]string{"5  PENDING", "8 0 STARTING", "9 1 STARTING"}, filtered.statuses(3)); d != "" {
		t.Error(d)
	}
}

func TestStreamTellsWhatWasPruned(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	srv := httptest.NewServer(l.Hub)
	t.Cleanup(srv.Close)
	t.Cleanup(l.Hub.StopReaders)
	for range 3 {
		l.Submit("q", "")
		l.Finish(1, 0)
	}
	l.Store.PruneEvents(6)
	m := connect(t, srv, "after=1", "").next()
	if m.event != "missed" || m.data != "5" {
		t.Errorf("%+v", m)
	}
}

func TestStreamRefusals(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	srv := httptest.NewServer(l.Hub)
	t.Cleanup(srv.Close)
	for _, tc := range []struct {
		method, query, position string
		status                  int
		text                    string
	}{
		{http.MethodPost, "", "", http.StatusMethodNotAllowed, "GET"},
		{http.MethodGet, "after=x", "", http.StatusBadRequest, `after "x"`},
		{http.MethodGet, "after=-1", "", http.StatusBadRequest, `after "-1"`},
		{http.MethodGet, "", "abc", http.StatusBadRequest, `Last-Event-ID "abc"`},
		{http.MethodGet, "status=DONE", "", http.StatusBadRequest, `"DONE"`},
		{http.MethodGet, "quue=q", "", http.StatusBadRequest, `"quue"`},
	} {
		req, err := http.NewRequest(tc.method, srv.URL+"?"+tc.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tc.position != "" {
			req.Header.Set("Last-Event-ID", tc.position)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := bufio.NewReader(res.Body).ReadString('\n')
		res.Body.Close()
		if res.StatusCode != tc.status || !strings.Contains(text, tc.text) {
			t.Errorf("%s ?%s: HTTP %d %q, error %v", tc.method, tc.query, res.StatusCode, text, err)
		}
	}
}

// TestAStalledReaderHoldsNothingUp has a client that never reads while a thousand jobs go through the engine and another
// client reads all of it.
func TestAStalledReaderHoldsNothingUp(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	srv := httptest.NewUnstartedServer(l.Hub)
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && s == http.StateNew {
			_ = tcp.SetWriteBuffer(4096) // fills at once
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(l.Hub.StopReaders)
	t.Cleanup(srv.CloseClientConnections)
	stalled, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if err := stalled.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(stalled, "GET /?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
	live := connect(t, srv, "after=0", "")
	const children = 200
	l.Submit("q", fmt.Sprintf(`"arrayProperties":{"size":%d}`, children))
	l.Finish(children, 0)
	want := 4*children + 2
	for i := range want {
		m := live.next()
		if id, err := strconv.Atoi(m.id); err != nil || id != i+1 {
			t.Fatalf("message %d has id %q", i, m.id)
		}
	}
	if _, err := l.Engine.Do(t.Context(), engine.Tick{}); err != nil {
		t.Error(err)
	}
}
