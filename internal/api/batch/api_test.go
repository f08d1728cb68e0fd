package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	api "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/memory"
)

type clock struct{}

func (clock) Now() time.Time { return time.Now() }
func (clock) NewTimer(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

type ids struct{}

func (ids) UUID() string   { return uuid.NewString() }
func (ids) TaskID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// hand is a launcher whose tasks the test ends.
type hand struct {
	started chan engine.StartTask
	stopped chan engine.StopTask
	reports chan []runtime.Report
}

func (h *hand) Start(tasks []engine.StartTask) {
	for _, st := range tasks {
		h.started <- st
	}
}

func (h *hand) Stop(stops []engine.StopTask) {
	for _, st := range stops {
		h.stopped <- st
	}
}
func (h *hand) Resume([]engine.ResumeTask) error { return nil }
func (h *hand) Ack([]string)                     {}
func (h *hand) Reports() <-chan []runtime.Report { return h.reports }

// rig is the API over an engine in memory, with a real client.
type rig struct {
	*sdk.Client
	t    *testing.T
	url  string
	hand *hand
}

var ctx = context.Background()

func newRig(t *testing.T) *rig {
	t.Helper()
	h := &hand{started: make(chan engine.StartTask, 1000), stopped: make(chan engine.StopTask, 1000), reports: make(chan []runtime.Report)}
	log := slog.New(slog.DiscardHandler)
	e, err := engine.Start(ctx, engine.Config{Store: memory.New(), Launcher: h, Clock: clock{}, IDs: ids{}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Stop() })
	service, err := api.New(e, batch.Rules{}).Service()
	if err != nil {
		t.Fatal(err)
	}
	mux, err := awswire.NewMux(awswire.Options{Services: []*awswire.Service{service}, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &rig{Client: client(server.URL, "111122223333", "eu-west-1"), t: t, url: server.URL, hand: h}
}

func client(url, account, region string) *sdk.Client {
	return sdk.NewFromConfig(aws.Config{
		Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client(), Credentials: credentials.NewStaticCredentialsProvider(account, "x", ""),
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks that a call was refused with a ClientException holding text.
func refused(t *testing.T, err error, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != "ClientException" || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("error %v; want a ClientException with %q", err, text)
	}
}

// stack makes environment ce of one vCPU, queue q and definition jd.
func (r *rig) stack() {
	t := r.t
	t.Helper()
	must(r.CreateComputeEnvironment(ctx, &sdk.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("ce"), Type: types.CETypeManaged, Tags: map[string]string{"a": "1"},
		ComputeResources: &types.ComputeResource{Type: types.CRTypeFargate, MaxvCpus: aws.Int32(1), Subnets: []string{"s"}, SecurityGroupIds: []string{"g"}},
	}))(t)
	must(r.CreateJobQueue(ctx, &sdk.CreateJobQueueInput{
		JobQueueName: aws.String("q"), Priority: aws.Int32(1),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ce")}},
	}))(t)
	r.define("jd")
}

func (r *rig) define(name string) *sdk.RegisterJobDefinitionOutput {
	r.t.Helper()
	return must(r.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("i"), ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/x"), Command: []string{"run", "Ref::what"},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")}},
		},
		Parameters: map[string]string{"what": "this"},
	}))(r.t)
}

func (r *rig) submit(name string, size int32) string {
	r.t.Helper()
	in := &sdk.SubmitJobInput{JobName: &name, JobQueue: aws.String("q"), JobDefinition: aws.String("jd")}
	if size > 0 {
		in.ArrayProperties = &types.ArrayProperties{Size: &size}
	}
	return *must(r.SubmitJob(ctx, in))(r.t).JobId
}

// end ends a task with an exit code.
func (r *rig) end(st engine.StartTask, code int) {
	now := time.Now()
	r.hand.reports <- []runtime.Report{{Key: st.Key, Kind: runtime.Ended, At: now, StartedAt: now, Containers: []runtime.ContainerReport{{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &code}}}}
}

func (r *rig) describe(id string) types.JobDetail {
	r.t.Helper()
	out := must(r.DescribeJobs(ctx, &sdk.DescribeJobsInput{Jobs: []string{id}}))(r.t)
	if len(out.Jobs) != 1 {
		r.t.Fatalf("job %s: %d descriptions", id, len(out.Jobs))
	}
	return out.Jobs[0]
}

func TestJobFromSubmissionToEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	id := r.submit("job", 0)
	st := <-r.hand.started
	if got := r.describe(id); got.Status != types.JobStatusStarting || got.Container.LogStreamName != nil {
		t.Errorf("%s with log stream %v; want STARTING without one", got.Status, got.Container.LogStreamName)
	}
	r.end(st, 3)
	got := r.describe(id)
	if got.Status != types.JobStatusFailed || aws.ToString(got.StatusReason) != "Essential container in task exited" || aws.ToInt32(got.Container.ExitCode) != 3 {
		t.Errorf("%s %q exit %d", got.Status, aws.ToString(got.StatusReason), aws.ToInt32(got.Container.ExitCode))
	}
	if len(got.Attempts) != 1 || aws.ToInt32(got.Attempts[0].Container.ExitCode) != 3 || got.StartedAt == nil || got.StoppedAt == nil {
		t.Errorf("attempts %+v, started %v, stopped %v", got.Attempts, got.StartedAt, got.StoppedAt)
	}
	if !slices.Equal(got.Container.Command, []string{"run", "this"}) {
		t.Errorf("command %q", got.Container.Command)
	}
	if want := "jd/default/"; !strings.HasPrefix(aws.ToString(got.Container.LogStreamName), want) {
		t.Errorf("log stream %q, want %s...", aws.ToString(got.Container.LogStreamName), want)
	}
	if got.DependsOn == nil || got.Tags == nil || got.Parameters["what"] != "this" || aws.ToString(got.JobDefinition) != "arn:aws:batch:eu-west-1:111122223333:job-definition/jd:1" {
		t.Errorf("dependsOn %v, tags %v, parameters %v, definition %s", got.DependsOn, got.Tags, got.Parameters, aws.ToString(got.JobDefinition))
	}
}

func TestArrayAndItsChildren(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	id := r.submit("array", 6)
	var tasks []engine.StartTask
	for range 4 {
		tasks = append(tasks, <-r.hand.started)
	}
	r.end(tasks[0], 0)
	<-r.hand.started
	parent := r.describe(id)
	if s := parent.ArrayProperties.StatusSummary; parent.Status != types.JobStatusPending || s["STARTING"] != 4 || s["RUNNABLE"] != 1 || s["SUCCEEDED"] != 1 || len(s) != 7 {
		t.Errorf("%s %v", parent.Status, s)
	}
	if child := r.describe(id + ":0"); child.Status != types.JobStatusSucceeded || aws.ToInt32(child.ArrayProperties.Index) != 0 || len(child.ArrayProperties.StatusSummary) != 0 {
		t.Errorf("child 0: %s %+v", child.Status, child.ArrayProperties)
	}
	list := func(status types.JobStatus) []string {
		var names []string
		p := sdk.NewListJobsPaginator(r.Client, &sdk.ListJobsInput{ArrayJobId: &id, JobStatus: status, MaxResults: aws.Int32(3)})
		for p.HasMorePages() {
			for _, s := range must(p.NextPage(ctx))(t).JobSummaryList {
				names = append(names, strings.TrimPrefix(*s.JobId, id))
			}
		}
		return names
	}
	for status, want := range map[types.JobStatus][]string{
		types.JobStatusStarting: {":1", ":2", ":3", ":4"}, types.JobStatusRunnable: {":5"}, types.JobStatusSucceeded: {":0"}, types.JobStatusFailed: nil, "": nil,
	} {
		if got := list(status); !slices.Equal(got, want) {
			t.Errorf("children in %q: %v, want %v", status, got, want)
		}
	}
}

// Reference 3.8: RUNNING by default, newest first, filters, pages.
func TestListJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("Job-%d", i)
		r.submit(name, 0)
		want = append([]string{name}, want...)
		time.Sleep(2 * time.Millisecond) // createdAt has milliseconds, and orders what is listed
	}
	names := func(in *sdk.ListJobsInput) []string {
		var got []string
		in.JobQueue = aws.String("q")
		p := sdk.NewListJobsPaginator(r.Client, in)
		for p.HasMorePages() {
			for _, s := range must(p.NextPage(ctx))(t).JobSummaryList {
				got = append(got, *s.JobName)
			}
		}
		return got
	}
	filter := func(name, value string) *sdk.ListJobsInput {
		return &sdk.ListJobsInput{Filters: []types.KeyValuesPair{{Name: &name, Values: []string{value}}}, MaxResults: aws.Int32(3)}
	}
	for _, tc := range []struct {
		name string
		in   *sdk.ListJobsInput
		want []string
	}{
		{"running by default", &sdk.ListJobsInput{}, nil},
		{"four fit", &sdk.ListJobsInput{JobStatus: types.JobStatusStarting, MaxResults: aws.Int32(2)}, want[3:]},
		{"three wait", &sdk.ListJobsInput{JobStatus: types.JobStatusRunnable, MaxResults: aws.Int32(2)}, want[:3]},
		{"name, any case", filter("JOB_NAME", "job-3"), want[3:4]},
		{"name prefix", filter("JOB_NAME", "JOB*"), want},
		{"definition", filter("JOB_DEFINITION", "jd"), want},
		{"definition, case counts", filter("JOB_DEFINITION", "JD"), nil},
	} {
		if got := names(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	_, err := r.ListJobs(ctx, &sdk.ListJobsInput{JobQueue: aws.String("q"), NextToken: aws.String("made-up")})
	refused(t, err, "nextToken is not valid.")
	_, err = r.ListJobs(ctx, &sdk.ListJobsInput{JobQueue: aws.String("none")})
	refused(t, err, "job-queue/none does not exist")
}

func TestCancelAndTerminate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	var tasks []engine.StartTask
	running := r.submit("running", 0)
	tasks = append(tasks, <-r.hand.started)
	must(r.CancelJob(ctx, &sdk.CancelJobInput{JobId: &running, Reason: aws.String("no effect")}))(t)
	if got := r.describe(running); got.Status != types.JobStatusStarting {
		t.Errorf("cancelled while STARTING: %s", got.Status)
	}
	must(r.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: &running, Reason: aws.String("enough")}))(t)
	if st := <-r.hand.stopped; st.Key != tasks[0].Key {
		t.Errorf("stopped %s", st.Key)
	}
	r.end(tasks[0], 143)
	if got := r.describe(running); got.Status != types.JobStatusFailed || aws.ToString(got.StatusReason) != "enough" || !aws.ToBool(got.IsTerminated) {
		t.Errorf("%s %q terminated %v", got.Status, aws.ToString(got.StatusReason), got.IsTerminated)
	}
	unknown := aws.String("00000000-0000-4000-8000-000000000000")
	must(r.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: unknown, Reason: aws.String("x")}))(t)
	_, err := r.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: aws.String("nonsense"), Reason: aws.String("x")})
	refused(t, err, "nonsense")
	_, err = r.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: unknown, Reason: aws.String(strings.Repeat("x", 1025))})
	refused(t, err, "1024")
}

// The bulk operations are newer than the SDK: as bytes.
func TestBulk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	id := r.submit("a", 0)
	for _, tc := range []struct{ path, body, want string }{
		{"canceljobs", `{"jobs":["` + id + `","nonsense"],"reason":"r"}`, `{"successful":["` + id + `"],"errors":[{"job":"nonsense","code":"ValidationException","message":"Error executing request`},
		{"terminatejobs", `{"jobs":["00000000-0000-4000-8000-000000000000"],"reason":"r"}`, `{"successful":["00000000-0000-4000-8000-000000000000"],"errors":[]}`},
		{"terminateservicejobs", `{"jobs":["00000000-0000-4000-8000-000000000000"],"reason":"r"}`, `{"successful":["00000000-0000-4000-8000-000000000000"],"errors":[]}`},
		{"canceljobs", `{"jobs":[],"reason":"r"}`, `{"message":"Error executing request, Exception : Number of jobs must be between 1 and 50.`},
	} {
		res, err := http.Post(r.url+"/v1/"+tc.path, "application/json", strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(tc.want, `"message":"Error executing request`, `"message":"`, 1)
		if tc.path != "canceljobs" || !strings.Contains(tc.want, "errors") {
			want = tc.want
		}
		if !strings.HasPrefix(strings.TrimSpace(string(got)), want) {
			t.Errorf("%s %s:\n%s\nwant\n%s", tc.path, tc.body, got, want)
		}
	}
}

func TestSubmitRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	size := func(n int32) *types.ArrayProperties { return &types.ArrayProperties{Size: &n} }
	for _, tc := range []struct {
		name string
		edit func(*sdk.SubmitJobInput)
		want string
	}{
		{"unknown queue", func(in *sdk.SubmitJobInput) { in.JobQueue = aws.String("none") }, "JobQueue none not found."},
		{"unknown definition", func(in *sdk.SubmitJobInput) { in.JobDefinition = aws.String("none") }, "JobDefinition name none does not exist or is not in ACTIVE status"},
		{"unknown revision", func(in *sdk.SubmitJobInput) { in.JobDefinition = aws.String("jd:9") }, "does not exist or is not in ACTIVE status"},
		{"array of 1", func(in *sdk.SubmitJobInput) { in.ArrayProperties = size(1) }, "between 2 and 10000"},
		{"array of 10,001", func(in *sdk.SubmitJobInput) { in.ArrayProperties = size(10001) }, "between 2 and 10000"},
		{"name", func(in *sdk.SubmitJobInput) { in.JobName = aws.String("a b") }, "Exception : Job name should match valid pattern"},
		{"31 KiB", func(in *sdk.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: aws.String(strings.Repeat("x", 31<<10))}}}
		}, "Job size must be less than 30 KiB"},
		{"unknown dependency", func(in *sdk.SubmitJobInput) {
			in.DependsOn = []types.JobDependency{{JobId: aws.String("00000000-0000-4000-8000-000000000000")}}
		}, "does not exist"},
		{"share on a FIFO queue", func(in *sdk.SubmitJobInput) { in.ShareIdentifier = aws.String("s") }, "can onlybe submitted to job queue with fair share scheduling policy."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &sdk.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("jd")}
			tc.edit(in)
			_, err := r.SubmitJob(ctx, in)
			refused(t, err, tc.want)
		})
	}
}

func TestResourceLifecycle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	arn := func(kind, name string) string { return "arn:aws:batch:eu-west-1:111122223333:" + kind + "/" + name }

	ces := must(r.DescribeComputeEnvironments(ctx, &sdk.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{"ce", arn("compute-environment", "ce"), "none"}}))(t)
	if len(ces.ComputeEnvironments) != 2 || ces.ComputeEnvironments[0].Status != types.CEStatusValid || ces.ComputeEnvironments[0].Tags["a"] != "1" {
		t.Errorf("environments: %+v", ces.ComputeEnvironments)
	}
	queues := must(r.DescribeJobQueues(ctx, &sdk.DescribeJobQueuesInput{JobQueues: []string{arn("job-queue", "q")}}))(t)
	if q := queues.JobQueues[0]; *q.ComputeEnvironmentOrder[0].ComputeEnvironment != arn("compute-environment", "ce") || q.SchedulingPolicyArn != nil || q.JobQueueType != "ECS_FARGATE" {
		t.Errorf("queue: %+v", q)
	}
	_, err := r.DeleteComputeEnvironment(ctx, &sdk.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("ce")})
	refused(t, err, "state must be DISABLED")
	must(r.UpdateComputeEnvironment(ctx, &sdk.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("ce"), State: types.CEStateDisabled}))(t)
	_, err = r.DeleteComputeEnvironment(ctx, &sdk.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("ce")})
	refused(t, err, "Cannot delete, found existing JobQueue relationship.")

	waiting := r.submit("waits-for-a-disabled-environment", 0)
	must(r.UpdateJobQueue(ctx, &sdk.UpdateJobQueueInput{JobQueue: aws.String("q"), State: types.JQStateDisabled}))(t)
	_, err = r.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("jd")})
	refused(t, err, "is not enabled")
	must(r.DeleteJobQueue(ctx, &sdk.DeleteJobQueueInput{JobQueue: aws.String(arn("job-queue", "q"))}))(t)
	if got := r.describe(waiting); got.Status != types.JobStatusFailed {
		t.Errorf("job of a deleted queue: %s", got.Status)
	}
	_, err = r.DeleteJobQueue(ctx, &sdk.DeleteJobQueueInput{JobQueue: aws.String("q")})
	refused(t, err, arn("job-queue", "q")+" does not exist")
	must(r.DeleteComputeEnvironment(ctx, &sdk.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("ce")}))(t)

	second := r.define("jd")
	if *second.Revision != 2 {
		t.Errorf("revision %d", *second.Revision)
	}
	must(r.DeregisterJobDefinition(ctx, &sdk.DeregisterJobDefinitionInput{JobDefinition: second.JobDefinitionArn}))(t)
	revisions := func(status string) (got []int32) {
		in := &sdk.DescribeJobDefinitionsInput{JobDefinitionName: aws.String("jd"), MaxResults: aws.Int32(1)}
		if status != "" {
			in.Status = &status
		}
		p := sdk.NewDescribeJobDefinitionsPaginator(r.Client, in)
		for p.HasMorePages() {
			for _, jd := range must(p.NextPage(ctx))(t).JobDefinitions {
				got = append(got, *jd.Revision)
			}
		}
		return got
	}
	if all, active := revisions(""), revisions("ACTIVE"); !slices.Equal(all, []int32{2, 1}) || !slices.Equal(active, []int32{1}) {
		t.Errorf("revisions %v, active %v", all, active)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	id := r.submit("tagged", 0)
	for _, resource := range []string{"compute-environment/ce", "job-queue/q", "job-definition/jd:1", "job/" + id} {
		arn := "arn:aws:batch:eu-west-1:111122223333:" + resource
		must(r.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"b": "2", "c": "3"}}))(t)
		must(r.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"c", "a", "unknown"}}))(t)
		if got := must(r.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags; len(got) != 1 || got["b"] != "2" {
			t.Errorf("%s: tags %v", resource, got)
		}
	}
	_, err := r.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:batch:eu-west-1:111122223333:job-queue/none")})
	refused(t, err, "does not exist")
}

// What one account has in one region nobody else sees.
func TestPartitions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	for _, other := range []*sdk.Client{client(r.url, "111122223333", "us-east-1"), client(r.url, "444455556666", "eu-west-1")} {
		if got := must(other.DescribeJobQueues(ctx, &sdk.DescribeJobQueuesInput{}))(t).JobQueues; len(got) != 0 {
			t.Errorf("another partition sees %v", got)
		}
	}
}

func TestPolicyAndSnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	policy := must(r.CreateSchedulingPolicy(ctx, &sdk.CreateSchedulingPolicyInput{
		Name: aws.String("p"), FairsharePolicy: &types.FairsharePolicy{ShareDistribution: []types.ShareAttributes{{ShareIdentifier: aws.String("blue"), WeightFactor: aws.Float32(0.5)}}},
	}))(t)
	must(r.CreateJobQueue(ctx, &sdk.CreateJobQueueInput{
		JobQueueName: aws.String("fair"), Priority: aws.Int32(1), SchedulingPolicyArn: policy.Arn,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ce")}},
	}))(t)
	_, err := r.DeleteSchedulingPolicy(ctx, &sdk.DeleteSchedulingPolicyInput{Arn: policy.Arn})
	refused(t, err, "in use")
	for range 6 {
		must(r.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("fair"), JobDefinition: aws.String("jd"), ShareIdentifier: aws.String("blue")}))(t)
	}
	snap := must(r.GetJobQueueSnapshot(ctx, &sdk.GetJobQueueSnapshotInput{JobQueue: aws.String("fair")}))(t)
	use := snap.QueueUtilization
	if len(snap.FrontOfQueue.Jobs) != 2 || *use.TotalCapacityUsage[0].Quantity != 1 || *use.FairshareUtilization.ActiveShareCount != 1 ||
		*use.FairshareUtilization.TopCapacityUtilization[0].ShareIdentifier != "blue" {
		t.Errorf("front %d, use %+v", len(snap.FrontOfQueue.Jobs), use)
	}
}

func TestConsumables(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	must(r.CreateConsumableResource(ctx, &sdk.CreateConsumableResourceInput{ConsumableResourceName: aws.String("token"), TotalQuantity: aws.Int64(1)}))(t)
	in := &sdk.SubmitJobInput{
		JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: aws.String("jd"),
		ConsumableResourcePropertiesOverride: &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{{ConsumableResource: aws.String("token"), Quantity: aws.Int64(1)}}},
	}
	must(r.SubmitJob(ctx, in))(t)
	must(r.SubmitJob(ctx, in))(t)
	first := <-r.hand.started
	got := must(r.DescribeConsumableResource(ctx, &sdk.DescribeConsumableResourceInput{ConsumableResource: aws.String("token")}))(t)
	if *got.InUseQuantity != 1 || *got.AvailableQuantity != 0 {
		t.Errorf("in use %d, available %d", *got.InUseQuantity, *got.AvailableQuantity)
	}
	jobs := must(r.ListJobsByConsumableResource(ctx, &sdk.ListJobsByConsumableResourceInput{ConsumableResource: aws.String("token")}))(t)
	if len(jobs.Jobs) != 2 {
		t.Errorf("%d jobs need it, want 2", len(jobs.Jobs))
	}
	r.end(first, 1)
	<-r.hand.started // the second has it now
}
