package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	apievents "github.com/batchbox/batchbox/internal/api/events"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events/eventstest"
	"github.com/batchbox/batchbox/internal/events/rules"
	"github.com/batchbox/batchbox/internal/testenv"
)

// written is what was written to log groups.
type written chan string

func (w written) Append(_ context.Context, s rules.Stream, list []rules.LogEvent) error {
	for _, e := range list {
		w <- s.Group + " " + e.Message
	}
	return nil
}

type service struct {
	*testing.T
	url  string
	logs written
}

func start(t *testing.T) *service {
	t.Helper()
	lab := eventstest.New(t)
	logs := make(written, 100)
	b, err := rules.Open(t.Context(), rules.Options{
		Docs: lab.Store, Hub: lab.Hub, Logs: logs, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Jobs: func(ctx context.Context, p batch.Partition, request json.RawMessage) (string, error) {
			return apibatch.New(lab.Engine, batch.Rules{}).Submit(ctx, p, request)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	mux, err := awswire.NewMux(awswire.Options{
		Services: []*awswire.Service{apievents.New(apievents.Options{
			Bus: b, NewID: func() string { n++; return fmt.Sprintf("id-%d", n) }, Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
		})},
		DefaultAccount: eventstest.Home.Account, DefaultRegion: eventstest.Home.Region, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &service{t, srv.URL, logs}
}

// call sends a request and returns the reply, with its status before it if that is not 200.
func (s *service) call(operation, body string) string {
	s.Helper()
	req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSEvents."+operation)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s", res.StatusCode, raw)
	}
	return string(raw)
}

const (
	ruleARN  = "arn:aws:events:eu-west-1:111122223333:rule/r"
	groupARN = "arn:aws:logs:eu-west-1:111122223333:log-group:/events"
	queueARN = "arn:aws:batch:eu-west-1:111122223333:job-queue/q"
)

// TestExchanges sends requests one after another and compares the replies byte for byte.
func TestExchanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tc := range []struct{ operation, body, want string }{
		{"DescribeRule", `{"Name":"r"}`, `400 {"__type":"ResourceNotFoundException","message":"Rule r does not exist on EventBus default."}`},
		{"PutRule", `{"Name":"r","EventPattern":"{\"source\":[\"aws.batch\"]}","Description":"d","Tags":[{"Key":"k","Value":"v"}]}`, `{"RuleArn":"` + ruleARN + `"}`},
		{"PutRule", `{"Name":"s","EventPattern":"{\"source\":[\"x\"]}","State":"DISABLED","EventBusName":"default"}`, `{"RuleArn":"arn:aws:events:eu-west-1:111122223333:rule/s"}`},
		{"DescribeRule", `{"Name":"r"}`, `{"Name":"r","Arn":"` + ruleARN + `","EventPattern":"{\"source\":[\"aws.batch\"]}","State":"ENABLED","Description":"d","EventBusName":"default","CreatedBy":"111122223333"}`},
		{"ListRules", `{"Limit":1}`, `{"Rules":[{"Name":"r","Arn":"` + ruleARN + `","EventPattern":"{\"source\":[\"aws.batch\"]}","State":"ENABLED","Description":"d","EventBusName":"default"}],"NextToken":"cg"}`},
		{"ListRules", `{"NextToken":"cg"}`, `{"Rules":[{"Name":"s","Arn":"arn:aws:events:eu-west-1:111122223333:rule/s","EventPattern":"{\"source\":[\"x\"]}","State":"DISABLED","EventBusName":"default"}]}`},
		{"ListRules", `{"NamePrefix":"q"}`, `{"Rules":[]}`},
		{"ListRules", `{"Limit":0}`, `400 {"__type":"ValidationException","message":"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must be between 1 and 100"}`},
		{"EnableRule", `{"Name":"s"}`, `{}`},
		{"DisableRule", `{"Name":"r","EventBusName":"arn:aws:events:eu-west-1:111122223333:event-bus/default"}`, `{}`},
		{"EnableRule", `{"Name":"r"}`, `{}`},
		{"EnableRule", `{"Name":"r","EventBusName":"own"}`, `400 {"__type":"ResourceNotFoundException","message":"Event bus own does not exist. batchbox has the bus default."}`},

		{"PutTargets", `{"Rule":"r","Targets":[{"Id":"b","Arn":"` + queueARN + `","RoleArn":"arn:aws:iam::111122223333:role/x","BatchParameters":{"JobDefinition":"jd","JobName":"j","ArrayProperties":{"Size":2},"RetryStrategy":{"Attempts":3}},"RetryPolicy":{"MaximumRetryAttempts":5}},
			{"Id":"a","Arn":"` + groupARN + `","InputTransformer":{"InputPathsMap":{"n":"$.detail.n"},"InputTemplate":"{\"timestamp\":1700000000000,\"message\":\"n is <n>\"}"}}]}`, `{"FailedEntryCount":0,"FailedEntries":[]}`},
		{"ListTargetsByRule", `{"Rule":"r"}`, `{"Targets":[{"Id":"a","Arn":"` + groupARN + `","InputTransformer":{"InputPathsMap":{"n":"$.detail.n"},"InputTemplate":"{\"timestamp\":1700000000000,\"message\":\"n is <n>\"}"}},` +
			`{"Id":"b","Arn":"` + queueARN + `","RoleArn":"arn:aws:iam::111122223333:role/x","BatchParameters":{"JobDefinition":"jd","JobName":"j","ArrayProperties":{"Size":2},"RetryStrategy":{"Attempts":3}},"RetryPolicy":{"MaximumRetryAttempts":5}}]}`},
		{"ListRuleNamesByTarget", `{"TargetArn":"` + groupARN + `"}`, `{"RuleNames":["r"]}`},
		{"PutTargets", `{"Rule":"r","Targets":[{"Id":"c","Arn":"arn:aws:sqs:eu-west-1:111122223333:queue"}]}`, `400 {"__type":"ValidationException","message":"Target arn:aws:sqs:eu-west-1:111122223333:queue: batchbox delivers events to log groups of CloudWatch Logs and to job queues of AWS Batch, not to sqs."}`},
		{"PutTargets", `{"Rule":"r","Targets":[{"Id":"c","Arn":"` + groupARN + `","DeadLetterConfig":{"Arn":"x"}}]}`, `400 {"__type":"ValidationException","message":"DeadLetterConfig of target c: batchbox has no dead-letter queues; what can't be delivered is in the engine's log."}`},
		{"PutTargets", `{"Rule":"r","Targets":[{"Id":"c","Arn":"` + groupARN + `","SqsParameters":{}}]}`, `400 {"__type":"ValidationException","message":"SqsParameters of target c: batchbox delivers events to log groups of CloudWatch Logs and to job queues of AWS Batch."}`},
		{"PutTargets", `{"Rule":"r","Targets":[]}`, `400 {"__type":"ValidationException","message":"1 validation error detected: 'targets' has 0 items and must have 1 to 100"}`},
		{"DeleteRule", `{"Name":"r"}`, `400 {"__type":"ValidationException","message":"Rule can't be deleted since it has targets."}`},

		{"ListTagsForResource", `{"ResourceARN":"` + ruleARN + `"}`, `{"Tags":[{"Key":"k","Value":"v"}]}`},
		{"TagResource", `{"ResourceARN":"` + ruleARN + `","Tags":[{"Key":"a","Value":""}]}`, `{}`},
		{"UntagResource", `{"ResourceARN":"` + ruleARN + `","TagKeys":["k","none"]}`, `{}`},
		{"ListTagsForResource", `{"ResourceARN":"` + ruleARN + `"}`, `{"Tags":[{"Key":"a","Value":""}]}`},
		{"ListTagsForResource", `{"ResourceARN":"x"}`, `400 {"__type":"ValidationException","message":"Parameter x is not valid. Reason: Provided Arn is not that of a rule."}`},

		{"DescribeEventBus", `{}`, `{"Name":"default","Arn":"arn:aws:events:eu-west-1:111122223333:event-bus/default"}`},
		{"ListEventBuses", `{}`, `{"EventBuses":[{"Name":"default","Arn":"arn:aws:events:eu-west-1:111122223333:event-bus/default"}]}`},
		{"ListEventBuses", `{"NamePrefix":"x"}`, `{"EventBuses":[]}`},
		{"CreateEventBus", `{"Name":"x"}`, `400 {"__type":"UnsupportedOperationException","message":"CreateEventBus: batchbox has the default event bus and no other"}`},

		{"TestEventPattern", `{"EventPattern":"{\"source\":[\"a\"]}","Event":"{\"source\":\"a\",\"id\":\"1\",\"account\":\"1\",\"time\":\"t\",\"region\":\"r\",\"resources\":[],\"detail-type\":\"d\"}"}`, `{"Result":true}`},
		{"TestEventPattern", `{"EventPattern":"{\"source\":[\"a\"]}","Event":"{}"}`, `400 {"__type":"ValidationException","message":"Parameter Event is not valid. Reason: id is a required argument."}`},
		{"TestEventPattern", `{"EventPattern":"{","Event":"{}"}`, `400 {"__type":"InvalidEventPatternException","message":"Event pattern is not valid. Reason: it is no JSON: unexpected EOF"}`},
		{"PutRule", `{"Name":"x","ScheduleExpression":"rate(1 hour)"}`, `400 {"__type":"ValidationException","message":"ScheduleExpression is not supported: batchbox runs no schedules. A rule with an EventPattern works."}`},
		{"PutRule", `{"Name":"x"}`, `400 {"__type":"ValidationException","message":"Parameter(s) EventPattern or ScheduleExpression must be specified."}`},

		{"RemoveTargets", `{"Rule":"r","Ids":["a","b","z"]}`, `{"FailedEntryCount":1,"FailedEntries":[{"TargetId":"z","ErrorCode":"ResourceNotFoundException","ErrorMessage":"Target z does not exist."}]}`},
		{"DeleteRule", `{"Name":"r"}`, `{}`},
		{"DeleteRule", `{"Name":"r"}`, `{}`},
	} {
		if got := s.call(tc.operation, tc.body); got != tc.want {
			t.Errorf("%s %s\n got %s\nwant %s", tc.operation, tc.body, got, tc.want)
		}
	}
}

func TestPutEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call("PutRule", `{"Name":"r","EventPattern":"{\"source\":[\"my.app\"]}"}`)
	s.call("PutTargets", `{"Rule":"r","Targets":[{"Id":"a","Arn":"`+groupARN+`"}]}`)
	got := s.call("PutEvents", `{"Entries":[
		{"Source":"my.app","DetailType":"done","Detail":"{\"n\": 1}","Resources":["x"]},
		{"Source":"aws.batch","DetailType":"done","Detail":"{}"},
		{"Source":"my.app","DetailType":"done","Detail":"[]"},
		{"Source":"my.app","DetailType":"done"},
		{"Source":"my.app","Detail":"{}"},
		{"DetailType":"done","Detail":"{}"},
		{"Source":"my.app","DetailType":"done","Detail":"{}","EventBusName":"own"}]}`)
	want := `{"FailedEntryCount":6,"Entries":[{"EventId":"id-1"},` +
		`{"ErrorCode":"NotAuthorizedForSourceException","ErrorMessage":"Not authorized for the source."},` +
		`{"ErrorCode":"MalformedDetail","ErrorMessage":"Detail is malformed."},` +
		`{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter Detail is not valid. Reason: Detail is a required argument."},` +
		`{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter DetailType is not valid. Reason: DetailType is a required argument."},` +
		`{"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter Source is not valid. Reason: Source is a required argument."},` +
		`{"ErrorCode":"InvalidArgument","ErrorMessage":"Event bus own does not exist. batchbox has the bus default."}]}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := <-s.logs, `/events {"version":"0","id":"id-1","detail-type":"done","source":"my.app","account":"111122223333","time":"2023-11-14T22:13:20Z","region":"eu-west-1","resources":["x"],"detail":{"n":1}}`; got != want {
		t.Errorf("delivered %s\nwant %s", got, want)
	}
	if got := s.call("PutEvents", `{"Entries":[]}`); !strings.HasPrefix(got, "400 ") {
		t.Errorf("no entries: %s", got)
	}
	if got := s.call("PutEvents", `{"Entries":[{"Source":"a","DetailType":"b","Detail":"`+strings.Repeat("x", 256<<10)+`"}]}`); !strings.Contains(got, "over the limit") {
		t.Errorf("too large: %.200s", got)
	}
}

// TestAWSCLI does what a user of the AWS CLI does.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	program := testenv.AWS(t)
	s := start(t)
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--endpoint-url", s.url, "--region", "eu-west-1", "--output", "text", "events"}, args...)...)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=111122223333", "AWS_SECRET_ACCESS_KEY=x", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws events %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := aws("put-rule", "--name", "r", "--event-pattern", `{"source":["aws.batch"]}`); got != ruleARN {
		t.Errorf("put-rule: %s", got)
	}
	s.call("PutTargets", `{"Rule":"r","Targets":[{"Id":"a","Arn":"`+groupARN+`"}]}`)
	if got := aws("list-targets-by-rule", "--rule", "r", "--query", "Targets[].Arn"); got != groupARN {
		t.Errorf("list-targets-by-rule: %s", got)
	}
}
