package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/eventstest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// told is what events say, with the job's id cut to its suffix.
func told(list []events.Event) (out []string) {
	for i := range list {
		v := &list[i].View
		what := v.ID[len(v.ParentID()):] + " " + v.Status.String()
		if list[i].Blocked {
			what += " blocked"
		}
		out = append(out, strings.TrimSpace(what))
	}
	return out
}

func TestEventsOfAnArrayWithARetry(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	r := l.Hub.Read(0, events.Filter{})
	l.Submit("q", `"arrayProperties":{"size":2},"retryStrategy":{"attempts":2}`)
	l.Finish(1, 1)
	l.Finish(2, 0)
	got := eventstest.Next(t, r, 13)
	want := []string{
		"PENDING", ":0 RUNNABLE", ":1 RUNNABLE", ":0 STARTING", ":1 STARTING",
		":0 RUNNING", ":0 RUNNABLE", ":0 STARTING", ":1 RUNNING", ":1 SUCCEEDED", ":0 RUNNING", ":0 SUCCEEDED", "SUCCEEDED",
	}
	if d := cmp.Diff(want, told(got)); d != "" {
		t.Error(d)
	}
	for i, e := range got {
		if e.ID != int64(i+1) {
			t.Errorf("event %d has position %d", i, e.ID)
		}
	}
	if again := got[6]; len(again.View.Attempts) != 1 || again.View.Attempts[0].StatusReason != batch.ReasonExited {
		t.Errorf("the retried child shows attempts %+v", again.View.Attempts)
	}
}

func TestBlockedQueue(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	r := l.Hub.Read(0, events.Filter{})
	l.Submit("q", `"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"4"},{"type":"MEMORY","value":"8192"}]}`)
	got := eventstest.Next(t, r, 2)
	if d := cmp.Diff([]string{"RUNNABLE", "RUNNABLE blocked"}, told(got)); d != "" {
		t.Fatal(d)
	}
	shown, ok, err := l.Hub.Render(t.Context(), &got[1])
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	var detail struct{ Status, StatusReason, JobId string }
	if err := json.Unmarshal(shown.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	if shown.DetailType != "Batch Job Queue Blocked" || detail.Status != "RUNNABLE" || detail.StatusReason != batch.ReasonTooLarge {
		t.Errorf("%s: %s", shown.DetailType, shown.Detail)
	}
	if d := cmp.Diff([]string{"arn:aws:batch:eu-west-1:111122223333:job/" + detail.JobId, "arn:aws:batch:eu-west-1:111122223333:job-queue/q"}, shown.Resources); d != "" {
		t.Error(d)
	}
}

// TestEnvelope compares an event of a child with what EventBridge sends (User Guide, "Job state change events").
func TestEnvelope(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	id := l.Submit("q", `"arrayProperties":{"size":2},"tags":{"team":"x"}`)
	l.Finish(2, 0)
	list := eventstest.Next(t, l.Hub.Read(0, events.Filter{Statuses: []batch.Status{batch.Succeeded}}), 3)
	ids := map[string]bool{}
	for i := range list {
		e := &list[i]
		shown, ok, err := l.Hub.Render(t.Context(), e)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		again, _, _ := l.Hub.Render(t.Context(), e)
		if ids[shown.ID] || again.ID != shown.ID {
			t.Errorf("event %d has the id %s, then %s", e.ID, shown.ID, again.ID)
		}
		ids[shown.ID] = true
		raw, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		detail := got["detail"].(map[string]any)
		wantTags := map[string]any{"resourceArn": "arn:aws:batch:eu-west-1:111122223333:job/" + id}
		if e.View.Index < 0 {
			wantTags["team"] = "x"
		}
		if d := cmp.Diff(wantTags, detail["tags"]); d != "" {
			t.Errorf("tags of %s:\n%s", e.View.ID, d)
		}
		if detail["jobId"] != e.View.ID || detail["status"] != "SUCCEEDED" || detail["jobName"] != "j" {
			t.Errorf("detail: %v", detail)
		}
		delete(got, "detail")
		delete(got, "id")
		want := map[string]any{
			"version": "0", "detail-type": "Batch Job State Change", "source": "aws.batch", "account": "111122223333",
			"time": time.UnixMilli(e.At).UTC().Format("2006-01-02T15:04:05Z"), "region": "eu-west-1",
			"resources": []any{"arn:aws:batch:eu-west-1:111122223333:job/" + e.View.ID},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	first := l.Submit("q", `"arrayProperties":{"size":2}`)
	second := l.Submit("other", "")
	l.Finish(3, 0)
	for _, tc := range []struct {
		name   string
		filter events.Filter
		want   []string
	}{
		{"queue", events.Filter{Queues: []string{"other"}}, []string{"RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"}},
		{"job", events.Filter{Jobs: []string{second}}, []string{"RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"}},
		{"child", events.Filter{Jobs: []string{first + ":1"}}, []string{":1 RUNNABLE", ":1 STARTING", ":1 RUNNING", ":1 SUCCEEDED"}},
		{"array and status", events.Filter{Jobs: []string{first}, Statuses: []batch.Status{batch.Pending, batch.Succeeded}}, []string{"PENDING", ":0 SUCCEEDED", ":1 SUCCEEDED", "SUCCEEDED"}},
		{"account and region", events.Filter{Accounts: []string{"999999999999", eventstest.Home.Account}, Regions: []string{eventstest.Home.Region}, Jobs: []string{second}, Statuses: []batch.Status{batch.Running}}, []string{"RUNNING"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, told(eventstest.Next(t, l.Hub.Read(0, tc.filter), len(tc.want)))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAReaderAdmittingNothingStillMovesOn(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	r := l.Hub.Read(0, events.Filter{Accounts: []string{"999999999999"}})
	l.Submit("q", "")
	for deadline := time.Now().Add(testenv.Patience); r.Position() != l.Hub.Last() || r.Position() == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("position %d of %d", r.Position(), l.Hub.Last())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if list, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d events, error %v", len(list), err)
		}
		cancel()
	}
}

// TestPagesAreBounded reads an array of 10,000, whose children become RUNNABLE in one row of the journal.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	l.Submit("q", `"arrayProperties":{"size":10000}`)
	rows, err := l.Store.Events(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, r := range rows {
		size += len(r.Body)
	}
	if size > 4096 {
		t.Errorf("the submission of an array takes %d bytes of the journal", size)
	}
	r := l.Hub.Read(0, events.Filter{Statuses: []batch.Status{batch.Runnable}})
	for i := 0; i < 10000; {
		page := eventstest.Next(t, r, 1)
		if len(page) > 1000 {
			t.Fatalf("a page of %d events", len(page))
		}
		for _, e := range page {
			if e.View.Index != i {
				t.Fatalf("event %d is of child %d, want %d", e.ID, e.View.Index, i)
			}
			i++
		}
	}
}

// TestPositionsGoOnAfterARestart: ids are not used twice, and what was written before can be read after.
func TestPositionsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	l.Submit("q", "")
	before := eventstest.Next(t, l.Hub.Read(0, events.Filter{}), 2)
	shown, _, _ := l.Hub.Render(t.Context(), &before[0])
	l.Stop()
	l.Start()
	l.Submit("q", "")
	after := eventstest.Next(t, l.Hub.Read(0, events.Filter{}), 4)
	if after[2].ID != 3 || after[3].ID != 4 {
		t.Errorf("positions after the restart: %d, %d", after[2].ID, after[3].ID)
	}
	if again, _, _ := l.Hub.Render(t.Context(), &after[0]); again.ID != shown.ID {
		t.Errorf("event 1 was %s and is %s", shown.ID, again.ID)
	}
}

func TestCloseEndsReaders(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Hub.Read(-1, events.Filter{}).Next(context.Background())
		ended <- err
	}()
	l.Hub.StopReaders()
	if err := <-ended; !errors.Is(err, events.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if _, err := l.Hub.Read(0, events.Filter{}).Next(t.Context()); !errors.Is(err, events.ErrClosed) {
		t.Errorf("a later reader: error %v", err)
	}
}

func TestPruneIsAskedForByCount(t *testing.T) {
	t.Parallel()
	l := eventstest.New(t)
	l.Stop()
	l.Keep = 80
	l.Start()
	l.Submit("q", `"arrayProperties":{"size":20}`)
	select {
	case keep := <-l.Pruned:
		if keep != 80 {
			t.Errorf("keep %d", keep)
		}
	case <-time.After(testenv.Patience):
		t.Error("the journal was not pruned")
	}
}
