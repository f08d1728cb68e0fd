package logs_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestTerraformLogGroup makes the calls of aws_cloudwatch_log_group (terraform-provider-aws,
// internal/service/logs/group.go): create, read, an update in place, read, delete.
func TestTerraformLogGroup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t)
	name := aws.String("/batch/app")
	read := func() (g types.LogGroup, tags map[string]string) {
		t.Helper()
		pages := sdk.NewDescribeLogGroupsPaginator(b.Client, &sdk.DescribeLogGroupsInput{LogGroupNamePrefix: name})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			check(t, err)
			for _, found := range page.LogGroups {
				if *found.LogGroupName == *name {
					g = found
				}
			}
		}
		arn := strings.TrimSuffix(aws.ToString(g.Arn), ":*")
		return g, must(b.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags
	}
	b.group("/batch/app2") // the prefix finds it as well
	must(b.CreateLogGroup(ctx, &sdk.CreateLogGroupInput{LogGroupName: name, LogGroupClass: "", Tags: map[string]string{"Project": "batch"}}))(t)
	must(b.PutRetentionPolicy(ctx, &sdk.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(7)}))(t)
	g, tags := read()
	equal(t, "arn", *g.Arn, "arn:aws:logs:eu-central-1:111122223333:log-group:/batch/app:*")
	equal(t, "class", g.LogGroupClass, types.LogGroupClassStandard)
	equal(t, "retention", *g.RetentionInDays, 7)
	equal(t, "key", g.KmsKeyId, nil)
	equal(t, "tags", tags, map[string]string{"Project": "batch"})

	arn := aws.String(strings.TrimSuffix(*g.Arn, ":*"))
	must(b.DeleteRetentionPolicy(ctx, &sdk.DeleteRetentionPolicyInput{LogGroupName: name}))(t)
	must(b.AssociateKmsKey(ctx, &sdk.AssociateKmsKeyInput{LogGroupName: name, KmsKeyId: aws.String("arn:aws:kms:eu-central-1:111122223333:key/k")}))(t)
	must(b.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"Project"}}))(t)
	must(b.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"Owner": "me", "Empty": ""}}))(t)
	g, tags = read()
	equal(t, "retention", g.RetentionInDays, nil)
	equal(t, "key", *g.KmsKeyId, "arn:aws:kms:eu-central-1:111122223333:key/k")
	equal(t, "tags", tags, map[string]string{"Owner": "me", "Empty": ""})
	must(b.DisassociateKmsKey(ctx, &sdk.DisassociateKmsKeyInput{LogGroupName: name}))(t)

	must(b.DeleteLogGroup(ctx, &sdk.DeleteLogGroupInput{LogGroupName: name}))(t)
	_, err := b.DeleteLogGroup(ctx, &sdk.DeleteLogGroupInput{LogGroupName: name})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("deleting it again: %v", err)
	}
}

func TestTagsOfBothKinds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t)
	b.group("g")
	arn := aws.String("arn:aws:logs:eu-central-1:111122223333:log-group:g")
	must(b.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}))(t)
	must(b.TagLogGroup(ctx, &sdk.TagLogGroupInput{LogGroupName: aws.String("g"), Tags: map[string]string{"b": "3", "c": "4"}}))(t)
	must(b.UntagLogGroup(ctx, &sdk.UntagLogGroupInput{LogGroupName: aws.String("g"), Tags: []string{"a", "none"}}))(t)
	want := map[string]string{"b": "3", "c": "4"}
	equal(t, "tags", must(b.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags, want)
	equal(t, "tags", must(b.ListTagsLogGroup(ctx, &sdk.ListTagsLogGroupInput{LogGroupName: aws.String("g")}))(t).Tags, want)
	more := map[string]string{}
	for i := range 49 {
		more[fmt.Sprint(i)] = ""
	}
	_, err := b.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: more})
	var tooMany *types.TooManyTagsException
	if !errors.As(err, &tooMany) || aws.ToString(tooMany.ResourceName) != *arn {
		t.Errorf("51 tags: %v", err)
	}
	equal(t, "tags", must(b.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags, want)
	for _, bad := range []map[string]string{{"": "x"}, {"aws:x": "x"}, {"k!": "x"}, {"k": strings.Repeat("x", 257)}, {}} {
		if _, err := b.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: bad}); err == nil {
			t.Errorf("tags %v were taken", bad)
		}
	}
}

// TestTerraformLogStream makes the calls of aws_cloudwatch_log_stream (internal/service/logs/stream.go).
func TestTerraformLogStream(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t)
	b.group("g", "app2")
	in := &sdk.CreateLogStreamInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("app")}
	must(b.CreateLogStream(ctx, in))(t)
	out := must(b.DescribeLogStreams(ctx, &sdk.DescribeLogStreamsInput{LogGroupName: in.LogGroupName, LogStreamNamePrefix: in.LogStreamName}))(t)
	equal(t, "arn", *out.LogStreams[0].Arn, "arn:aws:logs:eu-central-1:111122223333:log-group:g:log-stream:app")
	equal(t, "streams with the prefix", len(out.LogStreams), 2)
	must(b.DeleteLogStream(ctx, &sdk.DeleteLogStreamInput{LogGroupName: in.LogGroupName, LogStreamName: in.LogStreamName}))(t)
	out = must(b.DescribeLogStreams(ctx, &sdk.DescribeLogStreamsInput{LogGroupName: in.LogGroupName, LogStreamNamePrefix: in.LogStreamName}))(t)
	equal(t, "streams left", len(out.LogStreams), 1)
}

// TestTerraformMetricFilter makes the calls of aws_cloudwatch_log_metric_filter (internal/service/logs/metric_filter.go).
func TestTerraformMetricFilter(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t)
	b.group("g")
	put := &sdk.PutMetricFilterInput{
		FilterName: aws.String("errors"), FilterPattern: aws.String(`{ $.level = "ERROR" }`), LogGroupName: aws.String("g"),
		MetricTransformations: []types.MetricTransformation{{
			MetricName: aws.String("Errors"), MetricNamespace: aws.String("App"), MetricValue: aws.String("1"), DefaultValue: aws.Float64(0), Unit: types.StandardUnitNone,
		}},
	}
	must(b.PutMetricFilter(ctx, put))(t)
	read := func() types.MetricFilter {
		t.Helper()
		out := must(b.DescribeMetricFilters(ctx, &sdk.DescribeMetricFiltersInput{LogGroupName: aws.String("g"), FilterNamePrefix: aws.String("errors")}))(t)
		if len(out.MetricFilters) != 1 {
			t.Fatalf("%d filters", len(out.MetricFilters))
		}
		return out.MetricFilters[0]
	}
	f := read()
	equal(t, "pattern", *f.FilterPattern, *put.FilterPattern)
	equal(t, "default", *f.MetricTransformations[0].DefaultValue, 0)
	equal(t, "unit", f.MetricTransformations[0].Unit, types.StandardUnitNone)
	b.rawJSON("DescribeMetricFilters", `{"metricName":"Errors","metricNamespace":"App"}`, `{"metricFilters":[{"filterName":"errors","filterPattern":"{ $.level = \"ERROR\" }",
		"logGroupName":"g","creationTime":1800000000000,"applyOnTransformedLogs":false,
		"metricTransformations":[{"metricName":"Errors","metricNamespace":"App","metricValue":"1","defaultValue":0,"unit":"None"}]}]}`)
	put.MetricTransformations[0].Dimensions = map[string]string{"Level": "$.level"}
	put.MetricTransformations[0].DefaultValue = nil
	must(b.PutMetricFilter(ctx, put))(t)
	equal(t, "dimensions", read().MetricTransformations[0].Dimensions, map[string]string{"Level": "$.level"})
	groups := must(b.DescribeLogGroups(ctx, &sdk.DescribeLogGroupsInput{}))(t)
	equal(t, "metricFilterCount", *groups.LogGroups[0].MetricFilterCount, 1)
	must(b.DeleteMetricFilter(ctx, &sdk.DeleteMetricFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("errors")}))(t)
	_, err := b.DeleteMetricFilter(ctx, &sdk.DeleteMetricFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("errors")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("deleting it again: %v", err)
	}
	b.rawJSON("TestMetricFilter", `{"filterPattern":"[..., status=4*, bytes]","logEventMessages":["GET / 200 1","GET /x 404 2"]}`,
		`{"matches":[{"eventNumber":2,"eventMessage":"GET /x 404 2","extractedValues":{"$1":"GET","$2":"/x","$status":"404","$bytes":"2"}}]}`)
}

// TestTerraformResourcePolicy makes the calls of aws_cloudwatch_log_resource_policy (internal/service/logs/resource_policy.go),
// which a rule of EventBridge needs to write to a log group.
func TestTerraformResourcePolicy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t)
	b.group("g")
	document := `{"Statement":[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":"*"}],"Version":"2012-10-17"}`
	must(b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: &document}))(t)
	account := must(b.DescribeResourcePolicies(ctx, &sdk.DescribeResourcePoliciesInput{}))(t).ResourcePolicies
	equal(t, "document", *account[0].PolicyDocument, document)
	equal(t, "scope", account[0].PolicyScope, types.PolicyScopeAccount)
	_, err := b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: &document, ExpectedRevisionId: aws.String("other")})
	var aborted *types.OperationAbortedException
	if !errors.As(err, &aborted) {
		t.Errorf("another revision: %v", err)
	}
	must(b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: &document, ExpectedRevisionId: account[0].RevisionId}))(t)
	arn := aws.String("arn:aws:logs:eu-central-1:111122223333:log-group:g")
	put := must(b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{ResourceArn: arn, PolicyDocument: &document}))(t)
	resource := must(b.DescribeResourcePolicies(ctx, &sdk.DescribeResourcePoliciesInput{ResourceArn: arn, PolicyScope: types.PolicyScopeResource}))(t).ResourcePolicies
	equal(t, "revision", *resource[0].RevisionId, *put.RevisionId)
	equal(t, "policies of the account", len(must(b.DescribeResourcePolicies(ctx, &sdk.DescribeResourcePoliciesInput{}))(t).ResourcePolicies), 1)
	must(b.DeleteResourcePolicy(ctx, &sdk.DeleteResourcePolicyInput{ResourceArn: arn, ExpectedRevisionId: put.RevisionId}))(t)
	must(b.DeleteResourcePolicy(ctx, &sdk.DeleteResourcePolicyInput{PolicyName: aws.String("events")}))(t)
	_, err = b.DeleteResourcePolicy(ctx, &sdk.DeleteResourcePolicyInput{PolicyName: aws.String("events")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("deleting it again: %v", err)
	}
	for _, bad := range []*sdk.PutResourcePolicyInput{
		{PolicyName: aws.String("p"), PolicyDocument: aws.String("{")}, {PolicyDocument: &document},
		{ResourceArn: aws.String("arn:aws:logs:eu-central-1:111122223333:log-group:none"), PolicyDocument: &document},
		{PolicyName: aws.String("p"), ResourceArn: arn, PolicyDocument: &document},
	} {
		if _, err := b.PutResourcePolicy(ctx, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func (b *bench) environ() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+b.url, "AWS_ACCESS_KEY_ID="+account, "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_DEFAULT_REGION="+region, "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

func (b *bench) aws(args ...string) string {
	b.t.Helper()
	args = append([]string{"--endpoint-url", b.url}, args...) // read from the environment from version 2.13 on only
	cmd := exec.CommandContext(b.t.Context(), testenv.AWS(b.t), args...)
	cmd.Env = b.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestCLI writes and reads with the real AWS CLI.
func TestCLI(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.AWSCLI)
	b := newBench(t)
	b.group("/aws/batch/job", "job/default/1")
	b.aws("logs", "put-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", "job/default/1",
		"--log-events", fmt.Sprintf("timestamp=%d,message=first", start), fmt.Sprintf("timestamp=%d,message=second", start+1))
	got := b.aws("logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", "job/default/1", "--query", "events[].message", "--output", "text")
	equal(t, "get-log-events", strings.Fields(got), []string{"first", "second"})
}

// TestTailFollow follows a group with aws logs tail while a container writes.
func TestTailFollow(t *testing.T) {
	t.Parallel()
	aws := testenv.AWS(t)
	b := newBench(t)
	b.group("/aws/batch/job")
	key := logstore.StreamKey{Account: account, Region: region, Group: "/aws/batch/job", Stream: "job/default/1"}
	write := func(messages ...string) {
		for i, m := range messages {
			check(t, b.supervisor.Append(key, []logstore.Event{{Timestamp: time.Now().UnixMilli() + int64(i), Message: m}}))
		}
	}
	write("one", "two")
	cmd := exec.CommandContext(t.Context(), aws, "--endpoint-url", b.url, "logs", "tail", "/aws/batch/job", "--follow", "--format", "short")
	cmd.Env = append(b.environ(), "PYTHONUNBUFFERED=1")
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	var got []string
	for len(got) < 4 && lines.Scan() {
		got = append(got, lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:])
		if len(got) == 2 {
			write("three", "four")
		}
	}
	equal(t, "followed", got, []string{"one", "two", "three", "four"})
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

// TestBoto3 polls a stream as scripts do.
func TestBoto3(t *testing.T) {
	t.Parallel()
	python := testenv.PythonWithBoto3(t)
	b := newBench(t)
	b.group("g", "s")
	var want []string
	for i := range 25 {
		b.put("g", "s", fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	script := `
import boto3
import os
logs = boto3.client("logs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
token, messages = None, []
while True:
    more = {"nextToken": token} if token else {}
    page = logs.get_log_events(logGroupName="g", logStreamName="s", startFromHead=True, limit=10, **more)
    messages += [e["message"] for e in page["events"]]
    if page["nextForwardToken"] == token:
        break
    token = page["nextForwardToken"]
found = [e["message"] for page in logs.get_paginator("filter_log_events").paginate(logGroupName="g", PaginationConfig={"PageSize": 4}) for e in page["events"]]
try:
    logs.get_log_events(logGroupName="none", logStreamName="s")
except logs.exceptions.ResourceNotFoundException as e:
    print(e.response["Error"]["Message"])
print(" ".join(messages))
print(" ".join(sorted(found, key=int)))
`
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Env = b.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line := strings.Join(want, " ")
	equal(t, "printed", string(out), "The specified log group does not exist.\n"+line+"\n"+line+"\n")
}
