package awswire

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// benchSubmit is a submission as users write them: an array with overrides, two variables and tags.
const benchSubmit = `{"jobName":"render-2026-11-23","jobQueue":"arn:aws:batch:us-east-1:000000000000:job-queue/default","jobDefinition":"render:12",` +
	`"arrayProperties":{"size":1000},"containerOverrides":{"command":["render","--frames","1-100"],"environment":[{"name":"STAGE","value":"prod"},` +
	`{"name":"INPUT","value":"{\"message\":\"Hello\",\"range\":{\"from\":0,\"to\":999}}"}],"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]},` +
	`"retryStrategy":{"attempts":3},"tags":{"team":"a"}}`

func benchOp(b *testing.B, name string) *operation {
	b.Helper()
	return goldenMux(b, nil).bySigner["batch"].ops[name]
}

func BenchmarkSubmitJobDecode(b *testing.B) {
	op, body := benchOp(b, "SubmitJob"), []byte(benchSubmit)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		in := op.newInput()
		if seen, missing, err := decodeJSON(body, op.in, reflect.ValueOf(in).Elem()); err != nil || missing != nil || !seen.covers(op.in.required) {
			b.Fatal(err, missing)
		}
	}
}

// BenchmarkSubmitJobDecodeStdlib is what encoding/json takes for the same, as a yardstick.
func BenchmarkSubmitJobDecodeStdlib(b *testing.B) {
	body := []byte(benchSubmit)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var in struct {
			JobName, JobQueue, JobDefinition *string
			ArrayProperties                  *types.ArrayProperties
			ContainerOverrides               *types.ContainerOverrides
			RetryStrategy                    *types.RetryStrategy
			Tags                             map[string]string
		}
		if err := json.Unmarshal(body, &in); err != nil || in.JobName == nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubmitJobEncode(b *testing.B) {
	op := benchOp(b, "SubmitJob")
	out := reflect.ValueOf(&batch.SubmitJobOutput{
		JobArn: aws.String("arn:aws:batch:us-east-1:000000000000:job/876da822-4198-45f2-a252-6cea32512ea8"),
		JobId:  aws.String("876da822-4198-45f2-a252-6cea32512ea8"), JobName: aws.String("render-2026-11-23"),
	})
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendJSONOutput(buf[:0], op.out, out)
	}
	if len(buf) == 0 {
		b.Fatal("nothing written")
	}
}

// nullWriter is a ResponseWriter that keeps only its header.
type nullWriter struct {
	h      http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) WriteHeader(s int)           { w.status = s }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }

type replay struct {
	io.ReadSeeker
}

func (replay) Close() error { return nil }

// BenchmarkSubmitJobServe is the whole way through the Mux: signature's scope, route, id, decode, handler, encode.
func BenchmarkSubmitJobServe(b *testing.B) {
	m := goldenMux(b, func(o *Options) { o.NewRequestID = nil })
	body := replay{strings.NewReader(benchSubmit)}
	r, err := http.NewRequest(http.MethodPost, "http://localhost:4566/v1/submitjob", body)
	if err != nil {
		b.Fatal(err)
	}
	r.ContentLength = int64(len(benchSubmit))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=123456789012/20261123/eu-west-1/batch/aws4_request, SignedHeaders=content-length;content-type;host;x-amz-date, Signature="+strings.Repeat("0", 64))
	r.Header.Set("X-Amz-Date", "20261123T180000Z")
	w := &nullWriter{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		m.ServeHTTP(w, r)
	}
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
}

// BenchmarkSubmitJobServeVerified has its signature checked as well.
func BenchmarkSubmitJobServeVerified(b *testing.B) {
	m := goldenMux(b, func(o *Options) {
		o.NewRequestID = nil
		o.Verifier = &Verifier{Credentials: testKeys, Now: signingTime.UTC}
	})
	r := signedRequest{method: "POST", url: "http://localhost:4566/v1/submitjob", body: benchSubmit, header: map[string]string{"Content-Type": "application/json"},
		key: "AKIALONG", secret: "s3cret/+", service: "batch", region: "us-east-1", at: signingTime}.build(b)
	body := replay{strings.NewReader(benchSubmit)}
	r.Body = body
	w := &nullWriter{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		m.ServeHTTP(w, r)
	}
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
}

// BenchmarkDescribeJobsEncode writes a full page of 100 jobs.
func BenchmarkDescribeJobsEncode(b *testing.B) {
	job := types.JobDetail{
		JobArn: aws.String("arn:aws:batch:us-east-1:000000000000:job/876da822-4198-45f2-a252-6cea32512ea8:17"), JobId: aws.String("876da822-4198-45f2-a252-6cea32512ea8:17"),
		JobName: aws.String("render"), JobQueue: aws.String("arn:aws:batch:us-east-1:000000000000:job-queue/default"), JobDefinition: aws.String("render:12"),
		Status: types.JobStatusSucceeded, CreatedAt: aws.Int64(1700000000000), StartedAt: aws.Int64(1700000001000), StoppedAt: aws.Int64(1700000002000),
		DependsOn: []types.JobDependency{}, Parameters: map[string]string{}, Tags: map[string]string{"team": "a"},
		Container: &types.ContainerDetail{Image: aws.String("batchworker:latest"), Command: []string{"a", "b"}, ExitCode: aws.Int32(0), LogStreamName: aws.String("x/default/y"),
			Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("B")}}},
	}
	out := batch.DescribeJobsOutput{}
	for range 100 {
		out.Jobs = append(out.Jobs, job)
	}
	p, err := newPlanner(&Service{Protocol: RestJSON1}).compile(reflect.TypeFor[batch.DescribeJobsOutput]())
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendJSONOutput(buf[:0], p, reflect.ValueOf(&out))
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkCreateRoleServe is the Query protocol's way.
func BenchmarkCreateRoleServe(b *testing.B) {
	m := goldenMux(b, nil)
	const form = "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%7D&Tags.member.1.Key=a&Tags.member.1.Value=b"
	body := replay{strings.NewReader(form)}
	r, err := http.NewRequest(http.MethodPost, "http://localhost:4566/", body)
	if err != nil {
		b.Fatal(err)
	}
	r.ContentLength = int64(len(form))
	r.Header.Set("Content-Type", formMedia)
	w := &nullWriter{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		m.ServeHTTP(w, r)
	}
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
}

// BenchmarkNewMux is what compiling every operation of all five services costs at start-up.
func BenchmarkNewMux(b *testing.B) {
	var services []*Service
	for _, sdk := range sdkServices("http://localhost") {
		s := &Service{Unions: sdk.unions}
		for _, m := range sdk.operations() {
			s.Operations = append(s.Operations, reflectOp(m, nil))
		}
		if err := s.ApplyModel(sdk.model); err != nil {
			b.Fatal(err)
		}
		services = append(services, s)
	}
	for b.Loop() {
		if _, err := NewMux(Options{Services: services, DefaultAccount: "000000000000", DefaultRegion: "us-east-1"}); err != nil {
			b.Fatal(err)
		}
	}
}
