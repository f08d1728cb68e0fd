package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	api "github.com/batchbox/batchbox/internal/api/logs"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/logstore/index"
	"github.com/batchbox/batchbox/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account, region = "111122223333", "eu-central-1"

const start = int64(1_800_000_000_000) // the clock's time

type bench struct {
	*sdk.Client
	t     *testing.T
	store *index.Store
	// supervisor writes output as the supervisor does.
	supervisor *logstore.Writer
	url        string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	now := func() time.Time { return time.UnixMilli(start) }
	dir, docs := t.TempDir(), memory.New()
	b := &bench{t: t}
	var err error
	b.store, err = index.Open(t.Context(), dir, index.Options{Docs: docs, Now: now, Ephemeral: true})
	check(t, err)
	b.supervisor, err = logstore.OpenWriter(dir, "supervisor", logstore.WriterOptions{Now: now, Ephemeral: true})
	check(t, err)
	svc, err := api.New(api.Options{Store: b.store, Docs: docs})
	check(t, err)
	mux, err := awswire.NewMux(awswire.Options{
		Services: []*awswire.Service{svc}, DefaultAccount: account, DefaultRegion: region, Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	srv := httptest.NewServer(mux)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
		check(t, errors.Join(b.supervisor.Close(), b.store.Close()))
	})
	b.url = srv.URL
	b.Client = sdk.New(sdk.Options{
		Region: region, BaseEndpoint: &b.url, Credentials: credentials.NewStaticCredentialsProvider(account, "secret", ""),
		RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: sdkhttp.Transport(transport)},
	})
	return b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// group makes a group with streams.
func (b *bench) group(name string, streams ...string) {
	b.t.Helper()
	must(b.CreateLogGroup(b.t.Context(), &sdk.CreateLogGroupInput{LogGroupName: &name}))(b.t)
	for _, s := range streams {
		must(b.CreateLogStream(b.t.Context(), &sdk.CreateLogStreamInput{LogGroupName: &name, LogStreamName: &s}))(b.t)
	}
}

// put puts events at the times given as milliseconds from the clock's time.
func (b *bench) put(group, stream string, messages ...string) {
	b.t.Helper()
	var events []types.InputLogEvent
	for i, m := range messages {
		events = append(events, event(int64(i), m))
	}
	must(b.PutLogEvents(b.t.Context(), &sdk.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events}))(b.t)
}

func event(ms int64, message string) types.InputLogEvent {
	return types.InputLogEvent{Timestamp: aws.Int64(start + ms), Message: &message}
}

// raw sends a request as JSON and returns the status and the answer's body.
func (b *bench) raw(operation, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "POST", b.url, strings.NewReader(body))
	check(b.t, err)
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("Connection", "close")
	resp, err := http.DefaultClient.Do(req)
	check(b.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	check(b.t, err)
	equal(b.t, "content type", resp.Header.Get("Content-Type"), "application/x-amz-json-1.1")
	return resp.StatusCode, string(answer)
}

// rawJSON checks an answer against JSON.
func (b *bench) rawJSON(operation, body, want string) {
	b.t.Helper()
	status, got := b.raw(operation, body)
	var g, w any
	check(b.t, json.Unmarshal([]byte(got), &g))
	check(b.t, json.Unmarshal([]byte(want), &w))
	equal(b.t, operation+" "+body, g, w)
	equal(b.t, "status", status, http.StatusOK)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.group("g", "s")
	long := strings.Repeat("X", 513)
	const invalid, notFound = "InvalidParameterException", "ResourceNotFoundException"
	tests := []struct{ operation, body, code, message string }{
		// Recorded from AWS (localstack/localstack, tests/aws/services/logs/*.snapshot.json).
		{"CreateLogGroup", `{"logGroupName":"g"}`, "ResourceAlreadyExistsException", "The specified log group already exists"},
		{"CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`, "ResourceAlreadyExistsException", "The specified log stream already exists"},
		{"CreateLogGroup", `{"logGroupName":"` + long + `"}`, invalid, "Invalid LogGroup or LogStream, both must have length less than or equal to 512."},
		{"GetLogEvents", `{"logGroupName":"none","logStreamName":"s"}`, notFound, "The specified log group does not exist."},
		{"GetLogEvents", `{"logGroupName":"g","logStreamName":"none"}`, notFound, "The specified log stream does not exist."},
		{"GetLogEvents", `{"logGroupName":"g","logStreamName":"s","nextToken":"invalid-token"}`, invalid, "The specified nextToken is invalid."},
		{"GetLogEvents", `{"logGroupName":"g","logStreamName":"s","limit":10001}`, invalid,
			"1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"},
		{"FilterLogEvents", `{"logGroupName":"g","limit":10001}`, invalid,
			"1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"},
		{"FilterLogEvents", `{"logGroupName":"g","nextToken":"invalid-token"}`, invalid, "The specified nextToken is invalid."},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"none","logEvents":[{"timestamp":1800000000000,"message":"m"}]}`, notFound, "The specified log stream does not exist."},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1800000000000,"message":"m"},{"timestamp":1799827200000,"message":"m"}]}`, invalid,
			"Log events in a single PutLogEvents request must be in chronological order."},
		{"DescribeLogGroups", `{"logGroupNamePrefix":"g","logGroupNamePattern":"g"}`, invalid, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."},
		{"DescribeLogStreams", `{"logGroupName":"g","logGroupIdentifier":"g"}`, "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters."},
		{"DescribeSubscriptionFilters", `{"logGroupName":"none"}`, notFound, "The specified log group does not exist."},
		{"DeleteSubscriptionFilter", `{"logGroupName":"none","filterName":"f"}`, notFound, "The specified log group does not exist."},
		{"DeleteSubscriptionFilter", `{"logGroupName":"g","filterName":"f"}`, notFound, "The specified subscription filter does not exist."},
		{"DeleteMetricFilter", `{"logGroupName":"` + long + `","filterName":"f"}`, invalid, "Invalid LogGroup or LogStream, both must have length less than or equal to 512."},
		{"DeleteMetricFilter", `{"logGroupName":"g","filterName":"` + long + `"}`, invalid,
			"1 validation error detected: Value '" + long + "' at 'filterName' failed to satisfy constraint: Member must have length less than or equal to 512"},
		{"DescribeMetricFilters", `{"filterNamePrefix":"` + long + `"}`, invalid,
			"1 validation error detected: Value '" + long + "' at 'filterNamePrefix' failed to satisfy constraint: Member must have length less than or equal to 512"},
		{"DescribeMetricFilters", `{"metricName":"` + long[:256] + `","metricNamespace":"valid"}`, invalid,
			"1 validation error detected: Value '" + long[:256] + "' at 'metricName' failed to satisfy constraint: Member must have length less than or equal to 255"},
		// Quoted by users in public issues.
		{"CreateLogGroup", `{"logGroupName":"testServiceName:latest-metrics"}`, invalid,
			`1 validation error detected: Value 'testServiceName:latest-metrics' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`},
		{"DescribeLogGroups", `{"logGroupNamePrefix":""}`, invalid,
			`2 validation errors detected: Value '' at 'logGroupNamePrefix' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+; ` +
				`Value '' at 'logGroupNamePrefix' failed to satisfy constraint: Member must have length greater than or equal to 1`},
		{"CreateLogGroup", `{"logGroupName":"aws/batch/job"}`, invalid, "Log groups starting with AWS/ are reserved for AWS."},
		{"DescribeLogStreams", `{"logGroupName":"g","orderBy":"LastEventTime","logStreamNamePrefix":"s"}`, invalid, "Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:logs:eu-central-1:111122223333:log-group:g:*"}`, "ValidationException", "Invalid resourceArn"},
		{"FilterLogEvents", `{"logGroupName":"g","filterPattern":"\"\""}`, invalid, `Invalid filter pattern: Invalid character(s) in term '""'`},
		{"FilterLogEvents", `{"logGroupName":"g","filterPattern":"[a=1 || b=2]"}`, invalid, `Invalid filter pattern: Invalid character(s) in term 'b=2'`},
		{"TestMetricFilter", `{"filterPattern":"a?","logEventMessages":["m"]}`, invalid, "Invalid character(s) in term 'a?'"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1799910000000,"message":"m"},{"timestamp":1800000000000,"message":"m"}]}`, invalid,
			"The batch of log events in a single PutLogEvents request cannot span more than 24 hours."},
		// From the API reference.
		{"CreateLogStream", `{"logGroupName":"g","logStreamName":"a:b"}`, invalid,
			"1 validation error detected: Value 'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*"},
		{"CreateLogStream", `{"logGroupName":"none","logStreamName":"s"}`, notFound, "The specified log group does not exist."},
		{"DeleteLogGroup", `{"logGroupName":"none"}`, notFound, "The specified log group does not exist."},
		{"DeleteLogStream", `{"logGroupName":"g","logStreamName":"none"}`, notFound, "The specified log stream does not exist."},
		{"FilterLogEvents", `{"logGroupName":"g","logStreamNames":["s","none"]}`, notFound, "The specified log stream does not exist."},
		{"FilterLogEvents", `{"logGroupName":"g","logStreamNames":["s"],"logStreamNamePrefix":"s"}`, invalid, "logStreamNames and logStreamNamePrefix are mutually exclusive parameters."},
		{"FilterLogEvents", `{"logGroupName":"g","logStreamNames":[]}`, invalid,
			"1 validation error detected: Value '[]' at 'logStreamNames' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"FilterLogEvents", `{"logGroupName":"g","startFromHead":false,"startTime":1}`, invalid, "startFromHead can be false only for a startTime on or after Jan 1, 2024 00:00:00 UTC."},
		{"FilterLogEvents", `{"logGroupIdentifier":"arn:aws:logs:us-east-1:111122223333:log-group:g"}`, notFound, "The specified log group does not exist."},
		{"FilterLogEvents", `{}`, "ValidationException", "LogGroup name or LogGroup ARN must be specified."},
		{"PutRetentionPolicy", `{"logGroupName":"g","retentionInDays":2}`, invalid,
			"1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]"},
		{"DescribeLogGroups", `{"limit":51}`, invalid, "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50"},
		{"DescribeLogGroups", `{"nextToken":"x"}`, invalid, "The specified nextToken is invalid."},
		{"PutMetricFilter", `{"logGroupName":"g","filterName":"f","filterPattern":"{ $.a","metricTransformations":[{"metricName":"m","metricNamespace":"n","metricValue":"1"}]}`, invalid,
			"If a filter pattern starts with '{' it must end with '}'"},
		{"PutMetricFilter", `{"logGroupName":"g","filterName":"f","filterPattern":"x","metricTransformations":[{"metricName":"m","metricNamespace":"n","metricValue":"1","dimensions":{"a":"$.b"}}]}`, invalid,
			"The specified filter pattern does not support dimensions"},
		// What batchbox does not do.
		{"PutSubscriptionFilter", `{"logGroupName":"g","filterName":"f","filterPattern":"","destinationArn":"a"}`, "OperationNotSupportedException", ""},
		{"StartQuery", `{}`, "OperationNotSupportedException", ""},
		{"CreateDelivery", `{}`, "OperationNotSupportedException", ""},
	}
	for _, tt := range tests {
		status, answer := b.raw(tt.operation, tt.body)
		var got struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		check(t, json.Unmarshal([]byte(answer), &got))
		name := fmt.Sprintf("%s %.100s", tt.operation, tt.body)
		equal(t, name, got.Type, tt.code)
		equal(t, "status of "+name, status, http.StatusBadRequest)
		if tt.message == "" {
			if !strings.Contains(got.Message, tt.operation) {
				t.Errorf("%s: %q does not name the operation", name, got.Message)
			}
			continue
		}
		equal(t, name, got.Message, tt.message)
	}
}

func TestGroupsOnTheWire(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rawJSON("CreateLogGroup", `{"logGroupName":"/app/b","kmsKeyId":"arn:aws:kms:eu-central-1:111122223333:key/k","tags":{"k":"v"},"deletionProtectionEnabled":true}`, `{}`)
	b.rawJSON("CreateLogGroup", `{"logGroupName":"/app/a"}`, `{}`)
	b.rawJSON("CreateLogGroup", `{"logGroupName":"/other","logGroupClass":"DELIVERY"}`, `{}`)
	b.rawJSON("PutRetentionPolicy", `{"logGroupName":"/app/a","retentionInDays":14}`, `{}`)
	groupA := `{"arn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a:*","logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a",
		"creationTime":1800000000000,"logGroupName":"/app/a","metricFilterCount":0,"storedBytes":0,"logGroupClass":"STANDARD","retentionInDays":14,"deletionProtectionEnabled":false}`
	groupB := `{"arn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/b:*","logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/b",
		"creationTime":1800000000000,"logGroupName":"/app/b","metricFilterCount":0,"storedBytes":0,"logGroupClass":"STANDARD",
		"kmsKeyId":"arn:aws:kms:eu-central-1:111122223333:key/k","deletionProtectionEnabled":true}`
	b.rawJSON("DescribeLogGroups", `{"logGroupNamePrefix":"/app/"}`, `{"logGroups":[`+groupA+`,`+groupB+`]}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupIdentifiers":["/app/b"]}`, `{"logGroups":[`+groupB+`]}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupNamePattern":"pp/a"}`, `{"logGroups":[{"arn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a:*",
		"logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a","creationTime":1800000000000,"logGroupName":"/app/a","metricFilterCount":0,
		"logGroupClass":"STANDARD","retentionInDays":14}]}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupNamePattern":"none"}`, `{"logGroups":[]}`)
	b.rawJSON("ListLogGroups", `{"logGroupNamePattern":"^/oth|^pp/b"}`, `{"logGroups":[
		{"logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/other","logGroupName":"/other","logGroupClass":"DELIVERY"}]}`)
	b.rawJSON("ListLogGroups", `{"logGroupTags":[{"key":"k","values":["v"]}],"logGroupClass":"STANDARD"}`, `{"logGroups":[
		{"logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/b","logGroupName":"/app/b","logGroupClass":"STANDARD"}]}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupClass":"DELIVERY"}`, `{"logGroups":[{"arn":"arn:aws:logs:eu-central-1:111122223333:log-group:/other:*",
		"logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/other","creationTime":1800000000000,"logGroupName":"/other","metricFilterCount":0,"storedBytes":0,
		"logGroupClass":"DELIVERY","retentionInDays":2,"deletionProtectionEnabled":false}]}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupClass":"INFREQUENT_ACCESS"}`, `{"logGroups":[]}`)
	b.rawJSON("DeleteRetentionPolicy", `{"logGroupName":"/app/a"}`, `{}`)
	b.rawJSON("PutLogGroupDeletionProtection", `{"logGroupIdentifier":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/b","deletionProtectionEnabled":false}`, `{}`)
	b.rawJSON("DisassociateKmsKey", `{"logGroupName":"/app/b"}`, `{}`)
	b.rawJSON("DeleteLogGroup", `{"logGroupName":"/app/b"}`, `{}`)
	b.rawJSON("AssociateKmsKey", `{"resourceIdentifier":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a","kmsKeyId":"arn:aws:kms:eu-central-1:111122223333:key/l"}`, `{}`)
	b.rawJSON("DescribeLogGroups", `{"logGroupNamePrefix":"/app"}`, `{"logGroups":[{"arn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a:*",
		"logGroupArn":"arn:aws:logs:eu-central-1:111122223333:log-group:/app/a","creationTime":1800000000000,"logGroupName":"/app/a","metricFilterCount":0,
		"storedBytes":0,"logGroupClass":"STANDARD","kmsKeyId":"arn:aws:kms:eu-central-1:111122223333:key/l","deletionProtectionEnabled":false}]}`)
}

func TestStreamsAndEventsOnTheWire(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.group("/aws/batch/job", "job/default/1")
	arn := "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/batch/job:log-stream:job/default/1"
	b.rawJSON("DescribeLogStreams", `{"logGroupName":"/aws/batch/job"}`,
		`{"logStreams":[{"arn":"`+arn+`","creationTime":1800000000000,"logStreamName":"job/default/1","storedBytes":0}]}`)
	status, answer := b.raw("PutLogEvents", `{"logGroupName":"/aws/batch/job","logStreamName":"job/default/1","sequenceToken":"ignored",
		"logEvents":[{"timestamp":1799999999000,"message":"one"},{"timestamp":1800000000000,"message":"two 🙀"}]}`)
	var put struct{ NextSequenceToken string }
	check(t, json.Unmarshal([]byte(answer), &put))
	if status != 200 || len(put.NextSequenceToken) != 56 {
		t.Errorf("PutLogEvents: %d %s", status, answer)
	}
	b.rawJSON("DescribeLogStreams", `{"logGroupIdentifier":"arn:aws:logs:eu-central-1:111122223333:log-group:/aws/batch/job","logStreamNamePrefix":"job/"}`,
		`{"logStreams":[{"arn":"`+arn+`","creationTime":1800000000000,"logStreamName":"job/default/1","storedBytes":0,"firstEventTimestamp":1799999999000,
			"lastEventTimestamp":1800000000000,"lastIngestionTime":1800000000000,"uploadSequenceToken":"`+put.NextSequenceToken+`"}]}`)
	_, answer = b.raw("FilterLogEvents", `{"logGroupName":"/aws/batch/job","filterPattern":"two","interleaved":true}`)
	var found struct {
		Events             []map[string]any
		SearchedLogStreams []any
		NextToken          *string
	}
	check(t, json.Unmarshal([]byte(answer), &found))
	id, _ := found.Events[0]["eventId"].(string)
	if len(id) != 56 || found.SearchedLogStreams == nil || found.NextToken != nil {
		t.Errorf("FilterLogEvents: %s", answer)
	}
	delete(found.Events[0], "eventId")
	equal(t, "event", found.Events[0], map[string]any{"logStreamName": "job/default/1", "timestamp": 1.8e12, "ingestionTime": 1.8e12, "message": "two 🙀"})
	_, answer = b.raw("GetLogEvents", `{"logGroupIdentifier":"/aws/batch/job","logStreamName":"job/default/1","startFromHead":true,"limit":1}`)
	var got struct {
		Events                              []any
		NextForwardToken, NextBackwardToken string
	}
	check(t, json.Unmarshal([]byte(answer), &got))
	equal(t, "events", got.Events, []any{map[string]any{"timestamp": 1.799999999e12, "ingestionTime": 1.8e12, "message": "one"}})
	for prefix, token := range map[string]string{"f/": got.NextForwardToken, "b/": got.NextBackwardToken} {
		if !strings.HasPrefix(token, prefix) || !strings.HasSuffix(token, "/s") || len(token) != 60 {
			t.Errorf("token %q", token)
		}
	}
}

// TestPollersReadWhatContainersWrite follows a container's stream as scripts with boto3 do: by the forward token, until
// it comes back.
func TestPollersReadWhatContainersWrite(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	check(t, b.store.EnsureGroup(t.Context(), account, region, "/aws/batch/job"))
	key := logstore.StreamKey{Account: account, Region: region, Group: "/aws/batch/job", Stream: "job/default/1"}
	check(t, b.supervisor.OpenStream(key))
	lines := logstore.NewLineWriter(b.supervisor, key, logstore.LineOptions{Now: func() time.Time { return time.UnixMilli(start) }})
	var got []string
	var token *string
	poll := func() {
		for {
			page := must(b.GetLogEvents(t.Context(), &sdk.GetLogEventsInput{
				LogGroupName: &key.Group, LogStreamName: &key.Stream, StartFromHead: aws.Bool(true), NextToken: token, Limit: aws.Int32(2),
			}))(t)
			for _, e := range page.Events {
				got = append(got, *e.Message)
			}
			if token != nil && *page.NextForwardToken == *token {
				return
			}
			token = page.NextForwardToken
		}
	}
	poll()
	var want []string
	for i := range 20 {
		fmt.Fprintf(lines, "line %d\n", i)
		want = append(want, fmt.Sprintf("line %d", i))
		if i%6 == 0 {
			poll()
		}
	}
	check(t, lines.Close())
	poll()
	equal(t, "polled", got, want)

	var paged []string
	pages := sdk.NewGetLogEventsPaginator(b.Client, &sdk.GetLogEventsInput{
		LogGroupName: &key.Group, LogStreamName: &key.Stream, StartFromHead: aws.Bool(true), Limit: aws.Int32(7)},
		func(o *sdk.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		check(t, err)
		for _, e := range page.Events {
			paged = append(paged, *e.Message)
		}
	}
	equal(t, "with the SDK's paginator", paged, want)

	var filtered []string
	search := sdk.NewFilterLogEventsPaginator(b.Client, &sdk.FilterLogEventsInput{
		LogGroupName: &key.Group, LogStreamNamePrefix: aws.String("job/"), FilterPattern: aws.String(`"line 1"`), Limit: aws.Int32(3)})
	for search.HasMorePages() {
		page, err := search.NextPage(t.Context())
		check(t, err)
		for _, e := range page.Events {
			filtered = append(filtered, *e.Message)
		}
	}
	equal(t, "filtered", filtered, append([]string{"line 1"}, want[10:]...))
	newest := must(b.FilterLogEvents(t.Context(), &sdk.FilterLogEventsInput{LogGroupName: &key.Group, StartFromHead: aws.Bool(false), Limit: aws.Int32(1)}))(t)
	equal(t, "the newest", *newest.Events[0].Message, "line 19")
}

func TestPutLogEventsLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.group("g", "s")
	put := func(events ...types.InputLogEvent) (*sdk.PutLogEventsOutput, error) {
		return b.PutLogEvents(t.Context(), &sdk.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), LogEvents: events})
	}
	code := func(err error) string {
		var e smithy.APIError
		if !errors.As(err, &e) {
			return fmt.Sprint(err)
		}
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	const day = 24 * 60 * 60 * 1000
	_, err := put(event(0, strings.Repeat("x", 1_048_576-26)))
	check(t, err)
	_, err = put(event(0, strings.Repeat("\x01", 600_000)), event(0, strings.Repeat("é", 200_000))) // escaped, 4 MB of JSON
	check(t, err)
	_, err = put(event(0, strings.Repeat("x", 1_048_576-25)))
	equal(t, "a byte too many", code(err), "InvalidParameterException: Upload too large: 1048577 bytes exceeds limit of 1048576")
	many := make([]types.InputLogEvent, 10_001)
	for i := range many {
		many[i] = event(0, "m")
	}
	_, err = put(many[:10_000]...)
	check(t, err)
	_, err = put(many...)
	equal(t, "an event too many", code(err), "InvalidParameterException: 1 validation error detected: Value '[...]' at 'logEvents' failed to satisfy constraint: Member must have length less than or equal to 10000")
	_, err = put()
	if err == nil {
		t.Error("an empty batch was taken")
	}
	_, err = put(event(0, ""))
	if err == nil {
		t.Error("an empty message was taken")
	}

	before := b.count("g", "s")
	out, err := put(event(-15*day, "too old"), event(-14*day-1, "too old"), event(-day/2, "fine"), event(0, "fine"), event(2*60*60*1000, "fine"), event(2*60*60*1000+1, "too new"))
	check(t, err)
	equal(t, "rejected", *out.RejectedLogEventsInfo.TooOldLogEventEndIndex, 2)
	equal(t, "rejected", *out.RejectedLogEventsInfo.TooNewLogEventStartIndex, 5)
	equal(t, "events added", b.count("g", "s")-before, 3)
	out, err = put(event(-20*day, "too old"))
	check(t, err)
	equal(t, "rejected", *out.RejectedLogEventsInfo.TooOldLogEventEndIndex, 1)
	must(b.PutRetentionPolicy(t.Context(), &sdk.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(1)}))(t)
	out, err = put(event(-20*day, "too old"), event(-2*day, "expired"), event(0, "fine"))
	check(t, err)
	equal(t, "rejected", *out.RejectedLogEventsInfo.TooOldLogEventEndIndex, 1)
	equal(t, "rejected", *out.RejectedLogEventsInfo.ExpiredLogEventEndIndex, 2)
}

func (b *bench) count(group, stream string) (n int) {
	b.t.Helper()
	pages := sdk.NewGetLogEventsPaginator(b.Client, &sdk.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true)},
		func(o *sdk.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		check(b.t, err)
		n += len(page.Events)
	}
	return n
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.group("g")
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("s%d", i)
		must(b.CreateLogStream(t.Context(), &sdk.CreateLogStreamInput{LogGroupName: aws.String("g"), LogStreamName: &name}))(t)
		must(b.PutMetricFilter(t.Context(), &sdk.PutMetricFilterInput{LogGroupName: aws.String("g"), FilterName: &name, FilterPattern: aws.String(""),
			MetricTransformations: []types.MetricTransformation{{MetricName: &name, MetricNamespace: &name, MetricValue: aws.String("1")}}}))(t)
		if i > 0 {
			b.group(name)
		}
		want = append(want, name)
	}
	for _, order := range []types.OrderBy{types.OrderByLogStreamName, types.OrderByLastEventTime} {
		for _, descending := range []bool{false, true} {
			var got []string
			pages := sdk.NewDescribeLogStreamsPaginator(b.Client, &sdk.DescribeLogStreamsInput{LogGroupName: aws.String("g"), OrderBy: order, Descending: &descending, Limit: aws.Int32(3)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				check(t, err)
				for _, s := range page.LogStreams {
					if descending {
						got = append([]string{*s.LogStreamName}, got...)
					} else {
						got = append(got, *s.LogStreamName)
					}
				}
			}
			equal(t, fmt.Sprintf("streams by %s, descending %v", order, descending), got, want)
		}
	}
	var groups, filters []string
	gp := sdk.NewDescribeLogGroupsPaginator(b.Client, &sdk.DescribeLogGroupsInput{Limit: aws.Int32(3)})
	for gp.HasMorePages() {
		page, err := gp.NextPage(t.Context())
		check(t, err)
		for _, g := range page.LogGroups {
			groups = append(groups, *g.LogGroupName)
		}
	}
	equal(t, "groups", groups, append([]string{"g"}, want[1:]...))
	fp := sdk.NewDescribeMetricFiltersPaginator(b.Client, &sdk.DescribeMetricFiltersInput{Limit: aws.Int32(3)})
	for fp.HasMorePages() {
		page, err := fp.NextPage(t.Context())
		check(t, err)
		for _, f := range page.MetricFilters {
			filters = append(filters, *f.FilterName)
		}
	}
	equal(t, "metric filters", filters, want)
}

func TestPartitionsAreApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.group("g", "s")
	other := sdk.New(b.Options(), func(o *sdk.Options) { o.Region = "us-east-1" })
	out := must(other.DescribeLogGroups(t.Context(), &sdk.DescribeLogGroupsInput{}))(t)
	equal(t, "groups in another region", len(out.LogGroups), 0)
	_, err := other.GetLogEvents(t.Context(), &sdk.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("reading in another region: %v", err)
	}
}

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tt := range [][2]string{
		{"CreateLogGroup", `{`}, {"CreateLogGroup", `{"logGroupName":5}`}, {"CreateLogGroup", `[]`}, {"CreateLogGroup", `{}`},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"m"}]}`}, {"NoSuchOperation", `{}`},
	} {
		status, answer := b.raw(tt[0], tt[1])
		if status < 400 || status > 499 || !strings.Contains(answer, "__type") || bytes.Contains([]byte(answer), []byte("panic")) {
			t.Errorf("%s %.50s: %d %.200s", tt[0], tt[1], status, answer)
		}
	}
}
