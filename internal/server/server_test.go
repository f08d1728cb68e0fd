package server_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/docker"
	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestMain lets the test binary be the supervisor of the engines under test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervisor" {
		cfg := server.SupervisorConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		for i := 2; i+1 < len(os.Args); i += 2 {
			switch os.Args[i] {
			case "--data-dir":
				cfg.DataDir = os.Args[i+1]
			case "--runtime":
				cfg.Runtime = os.Args[i+1]
			}
		}
		if err := server.RunSupervisor(context.Background(), cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type bench struct {
	testing.TB
	server *server.Server
	config aws.Config
	batch  *sdk.Client
	logs   *cloudwatchlogs.Client
	worker string // image reference
	docker bool   // containers are Docker's
}

func start(t testing.TB) *bench {
	t.Helper()
	b := startEngine(t, os.Getenv("BATCHBOX_TEST_RUNTIME"))
	b.worker = b.push("worker", "../../apps/batchworker")
	b.stack()
	return b
}

// startEngine starts an engine without anything in it.
func startEngine(t testing.TB, kind string) *bench {
	t.Helper()
	return startWith(t, server.Config{Runtime: kind})
}

// startWith starts an engine, ephemeral unless the configuration has a data directory.
func startWith(t testing.TB, cfg server.Config) *bench {
	t.Helper()
	cfg.Listen, cfg.Ephemeral = "127.0.0.1:0", cfg.DataDir == ""
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(&testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	s, err := server.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, server: s, docker: cfg.Runtime == docker.Name}
	t.Cleanup(func() { b.close() })
	b.config = aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
	b.batch, b.logs = sdk.NewFromConfig(b.config), cloudwatchlogs.NewFromConfig(b.config)
	return b
}

// close stops the engine, once.
func (b *bench) close() {
	if b.server == nil {
		return
	}
	if err := b.server.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
	b.server = nil
}

type testWriter struct{ t testing.TB }

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Logf("engine: %s", bytes.TrimSpace(p))
	return len(p), nil
}

var programs struct {
	sync.Mutex
	built map[string][]byte
}

// build builds a program for an architecture once for all tests.
func build(arch, source string) ([]byte, error) {
	programs.Lock()
	defer programs.Unlock()
	if content := programs.built[arch+source]; content != nil {
		return content, nil
	}
	dir, err := os.MkdirTemp("", "batchbox-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	if programs.built == nil {
		programs.built = map[string][]byte{}
	}
	programs.built[arch+source] = content
	return content, nil
}

// push builds a program into an image that has nothing else, pushes it and returns the image's reference.
func (b *bench) push(repository, source string) string {
	b.Helper()
	return b.pushFor(goruntime.GOARCH, repository, source)
}

// pushFor is push for an architecture.
func (b *bench) pushFor(arch, repository, source string) string {
	b.Helper()
	content, err := build(arch, source)
	if err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	if err := tw.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
		b.Fatal(err)
	}
	if _, err := tw.Write(content); err != nil {
		b.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		b.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		b.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		b.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: goruntime.GOOS, Architecture: arch, Config: v1.Config{Entrypoint: []string{"/program"}},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{must(layer.DiffID())}},
	})
	if err != nil {
		b.Fatal(err)
	}
	image := repository + ":latest"
	ref, err := name.ParseReference(b.server.URL()[len("http://"):] + "/" + image)
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		b.Fatal(err)
	}
	if b.docker { // the daemon keeps what it has loaded
		loaded := runtime.Image{Digest: must(img.Digest()).String()}
		b.Cleanup(func() {
			if out, err := exec.Command("docker", "image", "rm", "--force", loaded.ArchiveName()).CombinedOutput(); err != nil && !bytes.Contains(out, []byte("No such image")) {
				b.Errorf("docker image rm: %v: %s", err, out)
			}
		})
	}
	return image
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// stack makes an environment, a queue and a job definition, all called e2e.
func (b *bench) stack() {
	b.Helper()
	ctx := context.Background()
	_, err := b.batch.CreateComputeEnvironment(ctx, &sdk.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("e2e"), Type: types.CETypeManaged,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeFargate, MaxvCpus: aws.Int32(16), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.batch.CreateJobQueue(ctx, &sdk.CreateJobQueueInput{
		JobQueueName: aws.String("e2e"), Priority: aws.Int32(1),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("e2e")}},
	}); err != nil {
		b.Fatal(err)
	}
	if _, err := b.batch.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("e2e"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String(b.worker), ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
			},
		},
	}); err != nil {
		b.Fatal(err)
	}
}

// submit submits the worker with an input and, if size is above 1, as an array; it returns the id.
func (b *bench) submit(size int, input any) string {
	b.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		b.Fatal(err)
	}
	in := &sdk.SubmitJobInput{
		JobName: aws.String("e2e"), JobQueue: aws.String("e2e"), JobDefinition: aws.String("e2e"),
		ContainerOverrides: &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: aws.String(string(raw))}}},
	}
	if size > 1 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(size))}
	}
	out, err := b.batch.SubmitJob(context.Background(), in)
	if err != nil {
		b.Fatal(err)
	}
	return *out.JobId
}

// wait polls a job until it is final.
func (b *bench) wait(id string) types.JobDetail {
	b.Helper()
	deadline := time.Now().Add(testenv.Patience)
	for {
		out, err := b.batch.DescribeJobs(context.Background(), &sdk.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			b.Fatal(err)
		}
		if len(out.Jobs) != 1 {
			b.Fatalf("job %s is not described", id)
		}
		if s := out.Jobs[0].Status; s == types.JobStatusSucceeded || s == types.JobStatusFailed {
			return out.Jobs[0]
		}
		if time.Now().After(deadline) {
			b.Fatalf("job %s is still %s: %s", id, out.Jobs[0].Status, aws.ToString(out.Jobs[0].StatusReason))
		}
		time.Sleep(10 * time.Millisecond) // a client that polls, as they do
	}
}

type workerInput struct {
	Message string         `json:"message"`
	Items   []string       `json:"items,omitempty"`
	Range   map[string]int `json:"range,omitempty"`
}

func TestArrayJob(t *testing.T) {
	t.Parallel()
	b := start(t)
	job := b.wait(b.submit(3, workerInput{Message: "hello", Items: []string{"a", "b", "c"}}))
	if job.Status != types.JobStatusSucceeded {
		t.Fatalf("the array is %s: %s", job.Status, aws.ToString(job.StatusReason))
	}
	if got := job.ArrayProperties.StatusSummary["SUCCEEDED"]; got != 3 {
		t.Errorf("summary: %v", job.ArrayProperties.StatusSummary)
	}
	child := b.wait(*job.JobId + ":1")
	if len(child.Attempts) != 1 || aws.ToInt32(child.Container.ExitCode) != 0 || child.Container.LogStreamName == nil {
		t.Errorf("child 1: %d attempts, exit code %v, log stream %v", len(child.Attempts), child.Container.ExitCode, child.Container.LogStreamName)
	}
}

func TestMissingImageFailsTheJob(t *testing.T) {
	t.Parallel()
	b := start(t)
	if _, err := b.batch.RegisterJobDefinition(context.Background(), &sdk.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("e2e"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("000000000000.dkr.ecr.us-east-1.amazonaws.com/nothing:1"), ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
			},
		},
	}); err != nil {
		t.Fatal(err)
	}
	job := b.wait(b.submit(1, workerInput{Message: "hello", Items: []string{"a"}}))
	if job.Status != types.JobStatusFailed || !bytes.HasPrefix([]byte(aws.ToString(job.StatusReason)), []byte("CannotPullContainerError: ")) {
		t.Errorf("%s: %s", job.Status, aws.ToString(job.StatusReason))
	}
}

// BenchmarkArray runs an array of 1,000 trivial children from submission to its end, b.N times.
func BenchmarkArray(b *testing.B) {
	s := start(b)
	in := workerInput{Message: "hello", Range: map[string]int{"from": 0, "to": 999}}
	s.wait(s.submit(2, workerInput{Message: "warm up", Items: []string{"a", "b"}}))
	b.ResetTimer()
	for range b.N {
		if job := s.wait(s.submit(1000, in)); job.Status != types.JobStatusSucceeded {
			b.Fatalf("%s: %s", job.Status, aws.ToString(job.StatusReason))
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "children/s")
}
