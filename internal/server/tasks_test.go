package server_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/docker/helperbin"
	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

const jobRole = "arn:aws:iam::000000000000:role/app/asker"

// asker registers and submits the program of internal/server/asker with a command, and returns the job's id.
func (b *bench) asker(role string, command ...string) string {
	b.Helper()
	ctx := context.Background()
	image := b.push("asker", "./asker")
	if b.worker == "" {
		b.worker = image
		b.stack()
	}
	properties := &types.ContainerProperties{
		Image: aws.String(image), Command: command, ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
		ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
		},
	}
	if role != "" {
		properties.JobRoleArn = aws.String(role)
	}
	if _, err := b.batch.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("asker"), Type: types.JobDefinitionTypeContainer,
		PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		PropagateTags:        aws.Bool(true), Tags: map[string]string{"team": "asking"}, ContainerProperties: properties,
	}); err != nil {
		b.Fatal(err)
	}
	out, err := b.batch.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("asker"), JobQueue: aws.String("e2e"), JobDefinition: aws.String("asker")})
	if err != nil {
		b.Fatal(err)
	}
	return *out.JobId
}

// lines are the output of a job's only container.
func (b *bench) lines(job types.JobDetail) []string {
	b.Helper()
	if job.Container == nil || job.Container.LogStreamName == nil {
		b.Fatalf("the job has no log stream: %s", aws.ToString(job.StatusReason))
	}
	return b.stream("/aws/batch/job", *job.Container.LogStreamName)
}

func (b *bench) stream(group, stream string) (lines []string) {
	b.Helper()
	out, err := b.logs.GetLogEvents(context.Background(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range out.Events {
		lines = append(lines, *e.Message)
	}
	return lines
}

// surroundings are the ways in which a container reaches the engine.
func surroundings(t *testing.T, test func(t *testing.T, cfg server.Config)) {
	for _, tc := range []struct {
		runtime, network string
		needs            []testenv.Need
	}{
		{"process", server.NetworkHost, nil},
		{"native", server.NetworkHost, []testenv.Need{testenv.Linux, testenv.Root}},
		{"native", server.NetworkPrivate, []testenv.Need{testenv.Linux, testenv.Root}},
		{"runc", server.NetworkHost, []testenv.Need{testenv.Linux, testenv.Root, testenv.Runc}},
		{"runc", server.NetworkPrivate, []testenv.Need{testenv.Linux, testenv.Root, testenv.Runc}},
		{"docker", server.NetworkHost, []testenv.Need{testenv.Linux, testenv.Docker}},
		{"docker", server.NetworkPrivate, []testenv.Need{testenv.Docker}},
	} {
		t.Run(tc.runtime+"/"+tc.network, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, tc.needs...)
			if tc.runtime == "docker" && tc.network == server.NetworkPrivate && len(helperbin.Binary()) == 0 {
				testenv.Missing(t, "batchbox-helper, which `go generate ./internal/runtime/docker/helperbin` makes")
			}
			test(t, server.Config{Runtime: tc.runtime, Network: tc.network})
		})
	}
}

// metadata is what the tests read of the answers.
type metadata struct {
	TaskARN, KnownStatus, Family, Revision, LaunchType, Name, ContainerARN, Cluster string
	Limits                                                                          struct{ CPU, Memory float64 }
	TaskTags                                                                        map[string]string
	LogOptions                                                                      map[string]string
	Networks                                                                        []struct{ IPv4Addresses []string }
	Containers                                                                      []metadata
	StartedAt, PullStartedAt, PullStoppedAt                                         *time.Time
}

func TestProgramAsksAboutItself(t *testing.T) {
	t.Parallel()
	surroundings(t, func(t *testing.T, cfg server.Config) {
		b := startWith(t, cfg)
		job := b.wait(b.asker(jobRole))
		lines := b.lines(job)
		if job.Status != types.JobStatusSucceeded || len(lines) != 1 {
			t.Fatalf("the job is %s: %s", job.Status, strings.Join(lines, "\n"))
		}
		var found map[string]json.RawMessage
		if err := json.Unmarshal([]byte(lines[0]), &found); err != nil {
			t.Fatal(err)
		}
		var arn, account, status, taskARN string
		for name, to := range map[string]*string{"arn": &arn, "account": &account, "status": &status, "taskArn": &taskARN} {
			if err := json.Unmarshal(found[name], to); err != nil {
				t.Fatalf("%s: %v in %s", name, err, found[name])
			}
		}
		taskID := taskARN[strings.LastIndexByte(taskARN, '/')+1:]
		if want := "arn:aws:sts::000000000000:assumed-role/asker/" + taskID; arn != want || account != "000000000000" {
			t.Errorf("the program is %s of %s, want %s", arn, account, want)
		}
		if status != "RUNNING" || taskARN != *job.Container.TaskArn {
			t.Errorf("its job is %s with task %s, which is %s", status, taskARN, *job.Container.TaskArn)
		}
		if got := b.stream("asked", *job.JobId); !slices.Equal(got, []string{"from inside"}) {
			t.Errorf("the log that it wrote by PutLogEvents: %q", got)
		}
		for _, version := range []string{"ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"} {
			read := func(path string) (m metadata) {
				if err := json.Unmarshal(found[version+path], &m); err != nil {
					t.Fatalf("%s%s: %v in %s", version, path, err, found[version+path])
				}
				return m
			}
			c := read("")
			if c.Name != "default" || c.KnownStatus != "RUNNING" || c.StartedAt == nil || c.Limits.CPU != 0.25 || c.Limits.Memory != 512 || len(c.Networks) != 1 {
				t.Errorf("%s: %s", version, found[version])
			}
			task := read("/task")
			if task.TaskARN != taskARN || task.Family != "asker" || task.Revision != "1" || task.KnownStatus != "RUNNING" || task.PullStoppedAt == nil ||
				len(task.Containers) != 1 || task.Containers[0].Name != "default" {
				t.Errorf("%s/task: %s", version, found[version+"/task"])
			}
			if v4 := version == "ECS_CONTAINER_METADATA_URI_V4"; v4 && (c.LogOptions["awslogs-stream"] != *job.Container.LogStreamName || task.LaunchType != "FARGATE" || c.ContainerARN == "") ||
				!v4 && (c.LogOptions != nil || task.LaunchType != "") {
				t.Errorf("what only version 4 has: %s, %s", found[version], found[version+"/task"])
			}
			if got := read("/taskWithTags").TaskTags; got["team"] != "asking" {
				t.Errorf("tags: %v", got)
			}
			var stats map[string]struct {
				Name   string
				Memory struct{ Usage uint64 } `json:"memory_stats"`
			}
			if err := json.Unmarshal(found[version+"/task/stats"], &stats); err != nil || len(stats) != 1 {
				t.Errorf("%s/task/stats: %s", version, found[version+"/task/stats"])
			}
			for _, s := range stats {
				if s.Name != "default" || s.Memory.Usage == 0 {
					t.Errorf("%s/task/stats: %s", version, found[version+"/task/stats"])
				}
			}
		}
	})
}

// TestProgramOutlivesEngine checks that the clients of a running program go on when the engine has been replaced.
func TestProgramOutlivesEngine(t *testing.T) {
	t.Parallel()
	surroundings(t, func(t *testing.T, cfg server.Config) {
		cfg.DataDir = t.TempDir()
		b := startWith(t, cfg)
		id := b.asker(jobRole, "outlive")
		b.until(id, func(lines []string) bool { return slices.Contains(lines, "answered") })
		b.close()
		// The program has to see that nobody answers: it says so in a log that grows without an engine.
		waitForText(t, filepath.Join(cfg.DataDir, "logs"), "answers: false")
		next := startWith(t, cfg)
		job := next.wait(id)
		if lines := next.lines(job); job.Status != types.JobStatusSucceeded || !slices.Contains(lines, "answers: true") {
			t.Errorf("the job is %s: %q", job.Status, lines)
		}
	})
}

// TestNodesReachEachOther checks that the nodes of a multi-node job have addresses of their own, and all listen on one port.
func TestNodesReachEachOther(t *testing.T) {
	t.Parallel()
	surroundings(t, func(t *testing.T, cfg server.Config) {
		b := startWith(t, cfg)
		ctx := context.Background()
		image := b.push("asker", "./asker")
		if _, err := b.batch.CreateComputeEnvironment(ctx, &sdk.CreateComputeEnvironmentInput{
			ComputeEnvironmentName: aws.String("ec2"), Type: types.CETypeManaged,
			ComputeResources: &types.ComputeResource{
				Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"optimal"}, InstanceRole: aws.String("r"),
				Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"},
			},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.batch.CreateJobQueue(ctx, &sdk.CreateJobQueueInput{
			JobQueueName: aws.String("ec2"), Priority: aws.Int32(1),
			ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ec2")}},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.batch.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("nodes"), Type: types.JobDefinitionTypeMultinode,
			NodeProperties: &types.NodeProperties{
				NumNodes: aws.Int32(3), MainNode: aws.Int32(0),
				NodeRangeProperties: []types.NodeRangeProperty{{TargetNodes: aws.String("0:"), Container: &types.ContainerProperties{
					Image: aws.String(image), Command: []string{"node"},
					ResourceRequirements: []types.ResourceRequirement{
						{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("256")},
					},
				}}},
			},
		}); err != nil {
			t.Fatal(err)
		}
		out, err := b.batch.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("nodes"), JobQueue: aws.String("ec2"), JobDefinition: aws.String("nodes")})
		if err != nil {
			t.Fatal(err)
		}
		job := b.wait(*out.JobId)
		main := b.wait(*out.JobId + "#0")
		lines := b.lines(main)
		if job.Status != types.JobStatusSucceeded || len(lines) != 2 {
			t.Fatalf("the job is %s: %s; %q", job.Status, aws.ToString(job.StatusReason), lines)
		}
		network := engine.DefaultNodeNetwork
		if cfg.Network == server.NetworkPrivate {
			network = runtime.PrivateNodes
		}
		heard := map[netip.Addr]bool{}
		for _, line := range lines {
			words := strings.Fields(line)
			for _, w := range []string{words[2], words[4]} {
				a := netip.MustParseAddr(w)
				if heard[a] = true; !network.Contains(a) {
					t.Errorf("address %v", a)
				}
			}
		}
		if len(heard) != 3 {
			t.Errorf("the main node has heard %q", lines)
		}
	})
}

// TestTaskWithoutRole checks that nothing is given out to a program whose job has no role, nor to one that does not know a
// task's names.
func TestTaskWithoutRole(t *testing.T) {
	t.Parallel()
	b := startWith(t, server.Config{Runtime: "process"})
	job := b.wait(b.asker(""))
	if got := strings.Join(b.lines(job), "\n"); job.Status != types.JobStatusFailed || !strings.Contains(got, "failed to refresh cached credentials") && !strings.Contains(got, "no EC2 IMDS role found") {
		t.Errorf("a program without credentials: %s, %s", job.Status, got)
	}
	job = b.wait(b.asker(jobRole, "get", "/v2/credentials/"+strings.Repeat("0", 32)+"-x", "/v4/"+strings.Repeat("0", 32)+"-1/task", "/v2/", "/_batchbox/health", "/v1/describejobs", "/v4/"))
	want := []string{"400 /v2/credentials/", "404 /v4/", "404 /v2/", "404 /_batchbox/health", "403 /v1/describejobs", "404 /v4/"}
	lines := b.lines(job)
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("%q, want %q", lines[i], want[i])
		}
	}
}

// until polls a job's output until it is as wanted.
func (b *bench) until(id string, is func(lines []string) bool) {
	b.Helper()
	deadline := time.Now().Add(testenv.Patience)
	for {
		out, err := b.batch.DescribeJobs(context.Background(), &sdk.DescribeJobsInput{Jobs: []string{id}})
		if err != nil || len(out.Jobs) != 1 {
			b.Fatalf("describe %s: %v", id, err)
		}
		job := out.Jobs[0]
		var lines []string
		if job.Container != nil && job.Container.LogStreamName != nil && job.Status != types.JobStatusStarting {
			if lines = b.lines(job); is(lines) {
				return
			}
		}
		if final := job.Status == types.JobStatusFailed || job.Status == types.JobStatusSucceeded; final || time.Now().After(deadline) {
			b.Fatalf("the job is %s: %q", job.Status, lines)
		}
		time.Sleep(10 * time.Millisecond) // a client that polls, as they do
	}
}

// waitForText polls the files below a directory until one holds a text.
func waitForText(t *testing.T, dir, text string) {
	t.Helper()
	for deadline := time.Now().Add(testenv.Patience); ; {
		found := false
		if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			found = found || strings.Contains(string(b), text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if found {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no file in %s holds %q", dir, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestNetworkAndVariablesAreChecked checks that an engine that could not do what it is told does not start.
func TestNetworkAndVariablesAreChecked(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]server.Config{
		`network "none" is neither host nor private`:      {Network: "none"},
		"can not give a task a network of its own":        {Network: server.NetworkPrivate},
		`"NAME" is not of the form NAME=VALUE`:            {ContainerEnv: []string{"NAME"}},
		`"=value" is not of the form NAME=VALUE`:          {ContainerEnv: []string{"=value"}},
		"names that begin with AWS_BATCH are AWS Batch's": {ContainerEnv: []string{"A=1", "AWS_BATCH_JOB_ID=x"}},
	} {
		cfg.Runtime, cfg.Listen, cfg.Ephemeral = "process", "127.0.0.1:0", true
		s, err := server.Start(context.Background(), cfg)
		if err == nil {
			t.Errorf("started with %+v", cfg)
			err = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
