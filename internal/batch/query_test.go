package batch

import (
	"strings"
	"testing"
)

const uuid = "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"

// TestParseListJobs is the reference, section 3.8.
func TestParseListJobs(t *testing.T) {
	t.Parallel()
	filter := func(name, value string) string {
		return `{"jobQueue":"q","filters":[{"name":"` + name + `","values":["` + value + `"]}]}`
	}
	all := JobsQuery{Queue: "q", PageSize: 100}
	with := func(change func(*JobsQuery)) JobsQuery {
		q := all
		change(&q)
		return q
	}
	const jdARN = "arn:aws:batch:us-east-1:111122223333:job-definition/"
	for _, c := range []struct {
		req  string
		want JobsQuery
	}{
		{`{"jobQueue":"q"}`, JobsQuery{Queue: "q", Status: Running, PageSize: 1000}},
		{`{"jobQueue":"arn:aws:batch:us-east-1:111122223333:job-queue/q","jobStatus":"FAILED","maxResults":7,"nextToken":"t"}`, JobsQuery{Queue: "q", Status: Failed, PageSize: 7, NextToken: "t"}},
		{`{"arrayJobId":"` + uuid + `"}`, JobsQuery{ArrayJob: uuid, Status: Running, PageSize: 1000}},
		{`{"multiNodeJobId":"` + uuid + `","jobStatus":"PENDING","maxResults":5000}`, JobsQuery{MultiNodeJob: uuid, Status: Pending, PageSize: 1000}},
		{`{"arrayJobId":"` + uuid + `","filters":[{"name":"JOB_NAME","values":["x"]}]}`, JobsQuery{ArrayJob: uuid, Status: Running, PageSize: 1000}},
		{strings.Replace(filter("JOB_NAME", "My*"), "{", `{"jobStatus":"FAILED","maxResults":500,`, 1), with(func(q *JobsQuery) { q.NamePrefix = "My" })},
		{filter("JOB_NAME", "My"), with(func(q *JobsQuery) { q.Name = "My" })},
		{filter("JOB_NAME", "*"), all},
		{filter("JOB_DEFINITION", "jd"), with(func(q *JobsQuery) { q.DefinitionPrefix = "jd:" })},
		{filter("JOB_DEFINITION", "jd*"), with(func(q *JobsQuery) { q.DefinitionPrefix = "jd" })},
		{filter("JOB_DEFINITION", "jd:4"), with(func(q *JobsQuery) { q.Definition = "jd:4" })},
		{filter("JOB_DEFINITION", jdARN+"jd:4"), with(func(q *JobsQuery) { q.Definition = "jd:4" })},
		{filter("BEFORE_CREATED_AT", "1700000000000"), with(func(q *JobsQuery) { q.CreatedBefore = 1700000000000 })},
		{filter("BEFORE_CREATED_AT", "0"), with(func(q *JobsQuery) { q.CreatedBefore = 1 })},
		{filter("AFTER_CREATED_AT", "1700000000000"), with(func(q *JobsQuery) { q.CreatedAfter = 1700000000000 })},
		{filter("SHARE_IDENTIFIER", "s"), with(func(q *JobsQuery) { q.Share = "s" })},
		{strings.Replace(filter("SHARE_IDENTIFIER", "s"), "{", `{"jobStatus":"SUCCEEDED",`, 1), with(func(q *JobsQuery) { q.Share, q.Status = "s", Succeeded })},
	} {
		if got, err := ParseListJobs([]byte(c.req), here); err != nil || got != c.want {
			t.Errorf("%s\ngot  %+v %v\nwant %+v", c.req, got, err, c.want)
		}
	}
	selector := "Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified."
	for _, c := range []struct {
		req  string
		code Code
		text string
	}{
		{`{}`, Invalid, selector}, {`{"jobQueue":"q","arrayJobId":"x"}`, Invalid, selector}, {`{"jobQueue":""}`, Invalid, selector},
		{`{"jobQueue":"arn:aws:batch:eu-west-1:111122223333:job-queue/q"}`, Refused, "arn:aws:batch:eu-west-1:111122223333:job-queue/q does not exist"},
		{`{"jobQueue":"q","jobStatus":"DONE"}`, Invalid, "Job status DONE is not valid. Valid values are: [SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED]"},
		{`{"jobQueue":"q","maxResults":0}`, Invalid, "maxResults must be at least 1."},
		{`{"jobQueue":"q","filters":[{"name":"JOB_NAME","values":["a"]},{"name":"JOB_NAME","values":["b"]}]}`, Invalid, "Only one filter can be used at a time."},
		{`{"jobQueue":"q","filters":[{"name":"JOB_NAME","values":["a","b"]}]}`, Invalid, "Filter JOB_NAME must have exactly one value."},
		{`{"jobQueue":"q","filters":[{"name":"JOB_NAME","values":[]}]}`, Invalid, "Filter JOB_NAME must have exactly one value."},
		{filter("job_name", "a"), Invalid, "Filter name job_name is not valid. Valid values are: [JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT, AFTER_CREATED_AT, SHARE_IDENTIFIER]"},
		{filter("AFTER_CREATED_AT", "yesterday"), Invalid, "Filter AFTER_CREATED_AT must be a number of milliseconds since the epoch, got yesterday."},
		{filter("JOB_DEFINITION", jdARN+"jd*"), Invalid, "Filter JOB_DEFINITION must be the name or ARN of a job definition, got " + jdARN + "jd*."},
		{filter("JOB_DEFINITION", "arn:aws:batch:us-east-1:9:job-definition/jd:1"), Invalid, "Filter JOB_DEFINITION must be the name or ARN of a job definition, got arn:aws:batch:us-east-1:9:job-definition/jd:1."},
	} {
		_, err := ParseListJobs([]byte(c.req), here)
		wantRefusal(t, err, c.code, c.text)
	}
}

// TestDescribeLimits is the reference, section 1.4.
func TestDescribeLimits(t *testing.T) {
	t.Parallel()
	n := func(i int32) *int32 { return &i }
	wantRefusal(t, CheckDescribe("ComputeEnvironments", 1, n(1)), Invalid, "ComputeEnvironments and MaxResults cannot both be set")
	wantRefusal(t, CheckDescribe("JobQueues", 101, nil), Invalid, "Maximum number of JobQueues supported is  100#")
	wantRefusal(t, CheckDescribeJobs(101), Invalid, "Maximum number of jobs supported is  100#")
	for _, err := range []error{CheckDescribe("JobQueues", 100, nil), CheckDescribe("JobQueues", 0, n(100)), CheckDescribeJobs(100)} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		max  *int32
		want int
	}{{nil, 100}, {n(1), 1}, {n(100), 100}} {
		if got, err := PageSize(c.max); err != nil || got != c.want {
			t.Errorf("%d %v", got, err)
		}
	}
	for _, bad := range []int32{0, -1, 101} {
		_, err := PageSize(&bad)
		wantRefusal(t, err, Invalid, "maxResults must be between 1 and 100.")
	}
}

func TestStopRequests(t *testing.T) {
	t.Parallel()
	if err := CheckReason(strings.Repeat("é", 1024)); err != nil {
		t.Error(err)
	}
	for _, reason := range []string{"", strings.Repeat("x", 1025)} {
		wantRefusal(t, CheckReason(reason), Invalid, "Reason must have between 1 and 1024 characters.")
	}
	for id, want := range map[string]JobID{uuid: {uuid, 0, -1}, uuid + ":7": {uuid, ':', 7}, uuid + "#0": {uuid, '#', 0}} {
		if got, err := RequestedJobID(id); err != nil || got != want {
			t.Errorf("%s: %+v %v", id, got, err)
		}
	}
	for _, id := range []string{"", "job", uuid + ":", uuid + ":01", uuid + ":-1", strings.ToUpper(uuid), uuid[1:]} {
		_, err := RequestedJobID(id)
		wantRefusal(t, err, Invalid, "Job id "+id+" is not valid.")
	}
}

func TestMatchesName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		{"test1", "Test1", true}, {"test1", "test10", false}, {"TEST1*", "test10", true}, {"test1*", "Test1", true}, {"*", "x", true}, {"t*", "", false},
	} {
		if got := MatchesName(c.filter, c.name); got != c.want {
			t.Errorf("%q %q: %v", c.filter, c.name, got)
		}
	}
}

func TestTaggedResource(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:batch:us-east-1:111122223333:"
	for resource, want := range map[string][2]string{
		"compute-environment/ce": {KindComputeEnvironment, "ce"}, "job-queue/q": {KindJobQueue, "q"}, "job-definition/jd:4": {KindJobDefinition, "jd:4"},
		"scheduling-policy/p": {KindSchedulingPolicy, "p"}, "consumable-resource/c": {KindConsumableResource, "c"}, "job/" + uuid: {KindJob, uuid},
	} {
		kind, name, err := here.TaggedResource(prefix + resource)
		if err != nil || kind != want[0] || name != want[1] {
			t.Errorf("%s: %s %s %v", resource, kind, name, err)
		}
	}
	for _, arn := range []string{
		"", "q", prefix + "job-queue/", prefix + "cluster/c", prefix + "job/" + uuid + ":0", prefix + "job/" + uuid + "#0", prefix + "job/x",
		"arn:aws:batch:eu-west-1:111122223333:job-queue/q",
	} {
		_, _, err := here.TaggedResource(arn)
		wantRefusal(t, err, Refused, "Resource "+arn+" does not exist or cannot be tagged.")
	}
}

// TestTags is the reference, section 2.5.
func TestTags(t *testing.T) {
	t.Parallel()
	present := map[string]string{"a": "1", "b": "2"}
	merged, err := MergeTags(present, map[string]string{"b": "two", "c": ""})
	if err != nil {
		t.Fatal(err)
	}
	sameMap(t, merged, map[string]string{"a": "1", "b": "two", "c": ""})
	sameMap(t, RemoveTags(merged, []string{"a", "nothing"}), map[string]string{"b": "two", "c": ""})
	sameMap(t, present, map[string]string{"a": "1", "b": "2"})
	sameMap(t, merged, map[string]string{"a": "1", "b": "two", "c": ""})
	if got := RemoveTags(nil, []string{"a"}); got != nil {
		t.Error(got)
	}

	many := map[string]string{}
	for i := range 49 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	const constraint = "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
	_, err = MergeTags(many, present)
	wantRefusal(t, err, Invalid, constraint+"Member must have length less than or equal to 50")
	for _, c := range []struct{ key, value, text string }{
		{strings.Repeat("é", 129), "", constraint + "Map keys must have length between 1 and 128"},
		{"", "v", constraint + "Map keys must have length between 1 and 128"},
		{"k", strings.Repeat("v", 257), constraint + "Map values must have length less than or equal to 256"},
		{"AWS:k", "v", "aws: prefixed tag key names are not allowed for external use."},
	} {
		_, err := MergeTags(nil, map[string]string{c.key: c.value})
		wantRefusal(t, err, Invalid, c.text)
	}
	if _, err := MergeTags(nil, map[string]string{strings.Repeat("é", 128): strings.Repeat("v", 256), "awsome": ""}); err != nil {
		t.Error(err)
	}
}
