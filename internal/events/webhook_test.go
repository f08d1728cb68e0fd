package events_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/eventstest"
)

// receiver is a webhook's other end.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	fail int // how many posts are still to be refused
	got  chan string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{got: make(chan string, 1000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	var list []struct {
		Detail struct{ JobID, Status string }
	}
	if err := json.Unmarshal(body, &list); err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.got <- "bad request: " + string(body)
		return
	}
	for _, e := range list {
		_, suffix, _ := strings.Cut(e.Detail.JobID, ":")
		r.got <- strings.TrimSpace(suffix + " " + e.Detail.Status)
	}
}

func (r *receiver) refuse(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = n
}

func (r *receiver) take(n int) (list []string) {
	for range n {
		list = append(list, <-r.got)
	}
	return list
}

// post runs a webhook until the function it returns is called.
func post(l *eventstest.Lab, url string) (stop func()) {
	l.Helper()
	hook, err := events.NewWebhook(l.Hub, url, "test")
	if err != nil {
		l.Fatal(err)
	}
	hook.QuickRetriesForTest()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		hook.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	l.Cleanup(stop)
	return stop
}

// TestWebhookDeliversInOrderAndAgain: what is refused is sent again before anything later, and what happens while nobody
// delivers is delivered by the next engine.
func TestWebhookDeliversInOrderAndAgain(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	l.Submit("q", "") // of an engine without a webhook: not for it
	l.Stop()
	l.Start()
	r := newReceiver(t)
	stop := post(l, r.URL)
	l.AwaitPosition("webhook " + r.URL)
	r.refuse(3)
	l.Submit("q", `"arrayProperties":{"size":150}`)
	want := []string{"PENDING"}
	for i := range 150 {
		want = append(want, strconv.Itoa(i)+" RUNNABLE")
	}
	want = append(want, "0 STARTING", "1 STARTING", "2 STARTING") // one vCPU has room for four, the first job has one
	if d := cmp.Diff(want, r.take(len(want))); d != "" {
		t.Error(d)
	}
	stop()
	l.Finish(1, 0) // the first job
	l.Stop()
	l.Start()
	post(l, r.URL)
	// The last post may have been cut off by the stop after it had arrived: then its events come again, in order.
	var again []string
	next := r.take(1)
	for ; next[0] != "RUNNING" && len(again) < len(want); next = r.take(1) {
		again = append(again, next[0])
	}
	if d := cmp.Diff(want[len(want)-len(again):], append([]string{}, again...)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"SUCCEEDED", "3 STARTING"}, r.take(2)); d != "" {
		t.Error(d)
	}
	select {
	case more := <-r.got:
		t.Errorf("and %s", more)
	default:
	}
}

func TestWebhookURLs(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://127.0.0.1:1/x?y=z": true, "https://user:secret@example.test": true,
		"ftp://example.test": false, "example.test": false, "http://": false, "http://[": false, "": false,
	} {
		err := events.CheckWebhook(url)
		if (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the message holds the password: %v", err)
		}
	}
}

func TestWebhookDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	r := newReceiver(t)
	hits := make(chan struct{}, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		select {
		case hits <- struct{}{}:
		default:
		}
		http.Redirect(w, req, r.URL, http.StatusFound)
	}))
	t.Cleanup(elsewhere.Close)
	post(l, elsewhere.URL)
	l.AwaitPosition("webhook " + elsewhere.URL)
	l.Submit("q", "")
	<-hits
	<-hits // it is tried again, and not passed on
	if len(r.got) != 0 {
		t.Errorf("the redirect was followed: %s", <-r.got)
	}
}
