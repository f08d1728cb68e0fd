package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/server"
)

// change is what the test looks at of an event.
type change struct {
	Type   string `json:"detail-type"`
	Detail struct{ JobID, JobName, Status string }
}

// eventBridge calls an operation of EventBridge.
func (b *bench) eventBridge(operation string, in map[string]any) {
	b.Helper()
	body := must(json.Marshal(in))
	req := must(http.NewRequestWithContext(context.Background(), http.MethodPost, b.server.URL(), strings.NewReader(string(body))))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSEvents."+operation)
	res := must(http.DefaultClient.Do(req))
	defer res.Body.Close()
	if answer := must(io.ReadAll(res.Body)); res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s %s", operation, res.Status, answer)
	}
}

// TestEventsReachReaders: a job's state changes come to the webhook, to the stream, and by a rule to a log group and to a queue.
func TestEventsReachReaders(t *testing.T) {
	t.Parallel()
	posted := make(chan change, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var list []change
		if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
			t.Error(err)
		}
		for _, c := range list {
			posted <- c
		}
	}))
	t.Cleanup(hook.Close) // after the engine
	b := startWith(t, server.Config{Runtime: "process", Events: server.EventsConfig{Webhook: hook.URL}})
	b.worker = "000000000000.dkr.ecr.us-east-1.amazonaws.com/nothing:1"
	b.stack()
	must(b.logs.CreateLogGroup(context.Background(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/events")}))
	b.eventBridge("PutRule", map[string]any{"Name": "r", "EventPattern": `{"source":["aws.batch"],"detail":{"status":["FAILED"],"jobName":["first"]}}`})
	b.eventBridge("PutTargets", map[string]any{"Rule": "r", "Targets": []any{
		map[string]any{"Id": "logs", "Arn": "arn:aws:logs:us-east-1:000000000000:log-group:/events"},
		map[string]any{
			"Id": "job", "Arn": "arn:aws:batch:us-east-1:000000000000:job-queue/e2e", "RoleArn": "arn:aws:iam::000000000000:role/events",
			"BatchParameters": map[string]any{"JobDefinition": "e2e", "JobName": "second"},
		},
	}})
	first := *must(b.batch.SubmitJob(context.Background(), &sdk.SubmitJobInput{JobName: aws.String("first"), JobQueue: aws.String("e2e"), JobDefinition: aws.String("e2e")})).JobId

	var got []string
	for len(got) == 0 || got[len(got)-1] != "second FAILED" {
		select {
		case c := <-posted:
			got = append(got, c.Detail.JobName+" "+c.Detail.Status)
		case <-time.After(time.Minute):
			t.Fatalf("the webhook got %q and no more", got)
		}
	}
	want := []string{"first RUNNABLE", "first STARTING", "first FAILED", "second RUNNABLE", "second STARTING", "second FAILED"}
	if !slices.Equal(got, want) {
		t.Errorf("the webhook got %q, want %q", got, want)
	}

	stream := must(http.Get(b.server.URL() + "/_batchbox/events?after=0&status=FAILED&job=" + first))
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var c change
			if err := json.Unmarshal([]byte(data), &c); err != nil || c.Type != "Batch Job State Change" || c.Detail.JobID != first || c.Detail.Status != "FAILED" {
				t.Errorf("the stream has %s: %v", data, err)
			}
			break
		}
	}

	// The log group has it since before the second job was submitted.
	out := must(b.logs.FilterLogEvents(context.Background(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/events")}))
	if len(out.Events) != 1 || !strings.Contains(*out.Events[0].Message, first) {
		t.Errorf("the log group has %d events, want the one of job %s", len(out.Events), first)
	}
}
