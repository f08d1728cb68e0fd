package batch_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/uuid"
)

// refusal is a request that is refused, and the text that says why: byte for byte, where the reference has evidence of it.
type refusal struct {
	section string // of the reference
	op      string // the operation, or "METHOD /path" where it does not follow from it
	body    string
	text    string
	// bare: without the wrapper "Error executing request, Exception : ..., RequestId: ...", as refusals for the state of
	// things are.
	bare bool
}

// wrapped and bare make refusals of one section.
func invalid(section, op, body, text string) refusal { return refusal{section, op, body, text, false} }
func bare(section, op, body, text string) refusal    { return refusal{section, op, body, text, true} }

// edit changes members of a JSON document: pairs of a path ("a.b.0.c") and its new value; nil removes.
func edit(doc string, pairs ...any) string {
	var root any
	if err := json.Unmarshal([]byte(doc), &root); err != nil {
		panic(fmt.Sprintf("%v: %s", err, doc))
	}
	for i := 0; i < len(pairs); i += 2 {
		root = put(root, strings.Split(pairs[i].(string), "."), pairs[i+1])
	}
	out, err := json.Marshal(root)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func put(at any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	if list, ok := at.([]any); ok {
		i, err := strconv.Atoi(path[0])
		if err != nil || i >= len(list) {
			panic(fmt.Sprintf("no entry %s", path[0]))
		}
		list[i] = put(list[i], path[1:], v)
		return list
	}
	m, ok := at.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	if v == nil && len(path) == 1 {
		delete(m, path[0])
		return m
	}
	m[path[0]] = put(m[path[0]], path[1:], v)
	return m
}

type (
	list = []any
	obj  = map[string]any
)

func repeat(n int, entry func(i int) any) list {
	l := make(list, n)
	for i := range l {
		l[i] = entry(i)
	}
	return l
}

// tagsOf are n tags.
func tagsOf(n int) obj {
	m := obj{}
	for i := range n {
		m[fmt.Sprintf("k%d", i)] = "v"
	}
	return m
}

// post sends a request as bytes.
func (r *rig) post(op, body string) (*http.Response, string) {
	r.t.Helper()
	method, path, ok := strings.Cut(op, " ")
	if !ok {
		method, path = http.MethodPost, "/v1/"+strings.ToLower(op)
	}
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	// The signature says who is asked for; it is not verified on the loopback.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=111122223333/20260101/eu-west-1/batch/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(got)
}

// state is all there is, as the API shows it.
func (r *rig) state(queues, jobs []string) string {
	r.t.Helper()
	var b strings.Builder
	show := func(op, body string) {
		res, got := r.post(op, body)
		if res.StatusCode != http.StatusOK {
			r.t.Fatalf("%s %s: %s %s", op, body, res.Status, got)
		}
		fmt.Fprintln(&b, op, got)
	}
	for _, op := range []string{"DescribeComputeEnvironments", "DescribeJobQueues", "DescribeJobDefinitions", "ListConsumableResources"} {
		show(op, "{}")
	}
	out := must(r.ListSchedulingPolicies(ctx, &sdk.ListSchedulingPoliciesInput{}))(r.t)
	var arns []string
	for _, p := range out.SchedulingPolicies {
		arns = append(arns, *p.Arn)
	}
	show("DescribeSchedulingPolicies", edit("{}", "arns", arns))
	for _, q := range queues {
		show("ListJobs", edit("{}", "jobQueue", q, "filters", list{obj{"name": "AFTER_CREATED_AT", "values": list{"0"}}}))
	}
	show("DescribeJobs", edit("{}", "jobs", jobs))
	return b.String()
}

const arnBase = "arn:aws:batch:eu-west-1:111122223333:"

// refusalRig has one of each thing that a refusal may be about.
func refusalRig(t *testing.T) (r *rig, queues, jobs []string) {
	r = newRig(t)
	r.stack()
	accept := func(op, body string) string {
		t.Helper()
		res, got := r.post(op, body)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s:\n%s %s", op, body, res.Status, got)
		}
		return got
	}
	accept("CreateComputeEnvironment", edit(ec2Environment, "computeEnvironmentName", "ec2"))
	accept("CreateComputeEnvironment", edit(ec2Environment, "computeEnvironmentName", "ec2best", "computeResources.allocationStrategy", nil))
	accept("CreateComputeEnvironment", edit(ec2Environment, "computeEnvironmentName", "ec2role", "serviceRole", "ordinary"))
	accept("CreateComputeEnvironment", edit(ec2Environment, "computeEnvironmentName", "spot", "computeResources.type", "SPOT"))
	accept("CreateComputeEnvironment", `{"computeEnvironmentName":"own","type":"UNMANAGED","serviceRole":"ordinary","unmanagedvCpus":4}`)
	accept("CreateComputeEnvironment", edit(fargateEnvironment, "computeEnvironmentName", "off"))
	accept("CreateJobQueue", edit(jobQueue, "jobQueueName", "withoff", "computeEnvironmentOrder.0.computeEnvironment", "off"))
	accept("UpdateComputeEnvironment", `{"computeEnvironment":"off","state":"DISABLED"}`)
	accept("CreateSchedulingPolicy", `{"name":"fair","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"blue"}]}}`)
	accept("CreateSchedulingPolicy", `{"name":"quota","quotaSharePolicy":{"idleResourceAssignmentStrategy":"FIFO"}}`)
	accept("CreateJobQueue", edit(jobQueue, "jobQueueName", "fairq", "schedulingPolicyArn", arnBase+"scheduling-policy/fair"))
	accept("CreateJobQueue", edit(jobQueue, "jobQueueName", "ec2q", "computeEnvironmentOrder.0.computeEnvironment", "ec2"))
	accept("CreateJobQueue", edit(jobQueue, "jobQueueName", "spotq", "computeEnvironmentOrder.0.computeEnvironment", "spot"))
	accept("CreateJobQueue", edit(jobQueue, "jobQueueName", "closed"))
	accept("UpdateJobQueue", `{"jobQueue":"closed","state":"DISABLED"}`)
	accept("CreateConsumableResource", `{"consumableResourceName":"token","totalQuantity":1}`)
	accept("RegisterJobDefinition", edit(multinode, "jobDefinitionName", "nodes"))
	accept("RegisterJobDefinition", edit(onEC2, "jobDefinitionName", "pod", "containerProperties", nil, "eksProperties", obj{"podProperties": obj{"containers": list{obj{"image": "i"}}}}))
	accept("RegisterJobDefinition", edit(multinode, "jobDefinitionName", "closednodes", "nodeProperties.nodeRangeProperties.0.targetNodes", "0:1"))
	accept("RegisterJobDefinition", edit(several, "jobDefinitionName", "several"))
	accept("RegisterJobDefinition", edit(onFargate, "jobDefinitionName", "refs", "containerProperties.command", list{"run", "Ref::nowhere"}))
	accept("RegisterJobDefinition", edit(onFargate, "jobDefinitionName", "gone"))
	accept("DeregisterJobDefinition", `{"jobDefinition":"gone:1"}`)
	var array, single struct{ JobID string }
	for body, id := range map[string]*struct{ JobID string }{
		edit(submission, "arrayProperties.size", 3): &array,
		submission: &single,
	} {
		if err := json.Unmarshal([]byte(accept("SubmitJob", body)), id); err != nil {
			t.Fatal(err)
		}
	}
	return r, []string{"q", "withoff", "fairq", "ec2q", "spotq", "closed"}, []string{array.JobID, single.JobID}
}

// TestRefusals is the index of what is refused, by the reference's sections: each text comes over the wire, with status,
// headers and body as AWS has them (reference 1.1), and nothing is changed by the request.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r, queues, jobs := refusalRig(t)
	before := r.state(queues, jobs)
	var seen []string
	all := append(append(refusedResources(), refusedDefinitions()...), refusedJobs(jobs[0], jobs[1])...)
	for _, tc := range all {
		name := tc.section + " " + tc.op + " " + tc.text
		res, got := r.post(tc.op, tc.body)
		id := res.Header.Get("X-Amzn-Requestid")
		want := tc.text
		if !tc.bare {
			want = "Error executing request, Exception : " + tc.text + ", RequestId: " + id
		}
		encoded, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		wantBody := `{"message":` + unescape(string(encoded)) + `}`
		switch {
		case got != wantBody:
			t.Errorf("%s:\nbody %s\nwant %s\nrequest %.400s", name, got, wantBody, tc.body)
			continue
		case res.StatusCode != http.StatusBadRequest, res.Header.Get("X-Amzn-Errortype") != "ClientException", res.Header.Get("Content-Type") != "application/json":
			t.Errorf("%s: %s %v", name, res.Status, res.Header)
		}
		if _, err := uuid.Parse(id); err != nil {
			t.Errorf("%s: request id %q", name, id)
		}
		seen = append(seen, tc.text)
		if after := r.state(queues, jobs); after != before {
			t.Fatalf("%s: it changed something:\n%s\nbefore:\n%s", name, after, before)
		}
	}
	checkComplete(t, seen)
}

// unescape undoes what encoding/json escapes for HTML's sake.
func unescape(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

// notProduced are the texts of the source that no request of the table can bring about, and why.
var notProduced = map[string]string{
	"Resource maxvCpus is required.":                                  "the wire codec demands the member first",
	"The request body is not a JSON object: %v":                       "the wire codec refuses it before (TestGolden of awswire)",
	"The request body is not a JSON object: null":                     "the wire codec takes null for no member",
	"The request body holds more than one JSON value":                 "the wire codec refuses it before",
	"Limit of %d compute environments exceeded":                       "TestLimits",
	"Limit of %d job queues exceeded":                                 "TestLimits",
	"Job queue %s cannot have more than %d active share identifiers.": "engine, TestActiveShares",
	"job %s is not running":                                           "an answer of batchbox spot interrupt",
	"job %s has no attempt under way on a Spot compute environment":   "an answer of batchbox spot interrupt",
}

// checkComplete compares the texts that were seen with those of the source: each of them has to come over the wire.
func checkComplete(t *testing.T, seen []string) {
	t.Helper()
	used := map[string]bool{}
	for _, format := range sourceTexts(t) {
		pattern := regexp.QuoteMeta(format)
		for _, verb := range []string{"%s", "%d", "%v", "%q", `%\.2f`} {
			pattern = strings.ReplaceAll(pattern, verb, "(?s:.*)")
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "%%", "%") + "$")
		found := false
		for _, text := range seen {
			found = found || re.MatchString(text)
		}
		_, excused := notProduced[format]
		used[format] = true
		switch {
		case format == "%s": // a constant, which another case brings about
		case !found && !excused:
			t.Errorf("no request of the table is refused with %q", format)
		case found && excused:
			t.Errorf("%q is refused, although notProduced says that it can't be", format)
		}
	}
	for format := range notProduced {
		if !used[format] {
			t.Errorf("notProduced has %q, which is in no source", format)
		}
	}
}

// sourceTexts are the formats of all refusals in the domain, the engine and the API.
func sourceTexts(t *testing.T) []string {
	t.Helper()
	var formats []string
	for _, dir := range []string{".", "../../batch", "../../engine"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				name := ""
				switch f := call.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr:
					name = f.Sel.Name
				}
				if name == "Invalidf" || name == "Refusedf" || name == "Unsupportedf" {
					if text, ok := literal(call.Args[0]); ok {
						formats = append(formats, text)
					} else {
						t.Errorf("%s: %s without a literal text", file, name)
					}
				}
				return true
			})
		}
	}
	if len(formats) < 200 {
		t.Fatalf("%d texts in the source: the search is broken", len(formats))
	}
	return formats
}

// literal is the value of a string literal, or of several that are added.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		x, ok1 := literal(e.X)
		y, ok2 := literal(e.Y)
		return x + y, ok1 && ok2
	default:
		return "", false
	}
}

// TestLimits fills an account to its quotas (reference 12).
func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 51 {
		ce, q := edit(fargateEnvironment, "computeEnvironmentName", fmt.Sprintf("ce%d", i)), edit(jobQueue, "jobQueueName", fmt.Sprintf("q%d", i), "computeEnvironmentOrder.0.computeEnvironment", "ce0")
		for _, step := range []struct{ op, body, text string }{
			{"CreateComputeEnvironment", ce, "Limit of 50 compute environments exceeded"}, {"CreateJobQueue", q, "Limit of 50 job queues exceeded"},
		} {
			res, got := r.post(step.op, step.body)
			if full := i == 50; full != (res.StatusCode == http.StatusBadRequest) || full && got != `{"message":"`+step.text+`"}` {
				t.Fatalf("%s number %d: %s %s", step.op, i+1, res.Status, got)
			}
		}
	}
	if got := must(r.DescribeJobQueues(ctx, &sdk.DescribeJobQueuesInput{MaxResults: aws.Int32(100)}))(t); len(got.JobQueues) != 50 {
		t.Errorf("%d queues", len(got.JobQueues))
	}
}
