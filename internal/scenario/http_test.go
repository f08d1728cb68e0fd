package scenario_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime/process"
	"github.com/batchbox/batchbox/internal/scenario"
	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestMain lets the test binary be the supervisor of the engine under test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervisor" {
		cfg := server.SupervisorConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		for i := 2; i+1 < len(os.Args); i += 2 { // what else it is told is for those with more to lose
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

// The scenarios that need no hand on the clock and no engine that is killed hold for a client of AWS and real programs.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	stage := newStage(t)
	ran := 0
	t.Run("scenarios", func(t *testing.T) { // returns when all have ended
		account := 100000000000
		for path, steps := range files(t) {
			account++
			target := stage.target(fmt.Sprint(account))
			if _, able := scenario.Able(target, steps); !able {
				continue
			}
			ran++
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
				t.Parallel()
				if err := scenario.Run(t.Context(), path, steps, target); err != nil {
					t.Error(err)
				}
			})
		}
	})
	if ran < 10 {
		t.Errorf("only %d scenarios ran", ran)
	}
}

// stage is an engine with its listener, and the programs in its containers, which take their orders here.
type stage struct {
	server *server.Server
	image  string

	mu       sync.Mutex
	programs map[string]*program
}

// program is one that runs in the container of a job, child or node.
type program struct {
	exit    chan int
	stopped bool
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{programs: map[string]*program{}}
	orders := httptest.NewServer(s)
	t.Cleanup(orders.Close)
	var err error
	s.server, err = server.Start(t.Context(), server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, Runtime: process.Name, ContainerEnv: []string{"SCENARIO=" + orders.URL},
		Limits: engine.Limits{MaxTasks: 1000, StopGrace: time.Minute, SpotWindow: time.Minute},
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	s.image = push(t, s.server.URL())
	return s
}

// push makes an image of ./prog in the engine's registry.
func push(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-o", file, "./prog")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	err = errors.Join(tw.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}), second(tw.Write(content)), tw.Close())
	if err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	diffID, err := layer.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: goruntime.GOOS, Architecture: goruntime.GOARCH, Config: v1.Config{Entrypoint: []string{"/program"}},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(url, "http://") + "/" + home.Account + "/" + home.Region + "/program:latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref.Name()
}

func second(_ int, err error) error { return err }

// ServeHTTP talks to the programs: see prog.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	job := r.URL.Query().Get("job")
	if r.URL.Path == "/stopped" {
		s.change(func() {
			if p := s.programs[job]; p != nil {
				p.stopped = true
			}
		})
		return
	}
	p := &program{exit: make(chan int, 1)}
	s.change(func() { s.programs[job] = p })
	select {
	case code := <-p.exit:
		fmt.Fprint(w, code)
	case <-r.Context().Done(): // it was killed
	}
	s.change(func() {
		if s.programs[job] == p {
			delete(s.programs, job)
		}
	})
}

func (s *stage) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *stage) target(account string) *target {
	return &target{stage: s, account: account, client: sdk.New(sdk.Options{
		Region: home.Region, BaseEndpoint: aws.String(s.server.URL()), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(account, "secret", ""), // the access key is the account
	})}
}

// target is the stage as one account sees it.
type target struct {
	*stage
	account string
	client  *sdk.Client
}

var (
	_ scenario.Target = (*target)(nil)
	_ scenario.Spot   = (*target)(nil)
)

func (t *target) Image() string   { return t.image }
func (t *target) Account() string { return t.account }

// Call implements scenario.Target. The SDK's inputs have AWS's members, but for the case of letters.
func (t *target) Call(ctx context.Context, operation string, body []byte) (err error) {
	decode := func(in any) {
		err = json.Unmarshal(body, in)
	}
	switch operation {
	case "CreateComputeEnvironment":
		var in sdk.CreateComputeEnvironmentInput
		if decode(&in); err == nil {
			_, err = t.client.CreateComputeEnvironment(ctx, &in)
		}
	case "UpdateComputeEnvironment":
		var in sdk.UpdateComputeEnvironmentInput
		if decode(&in); err == nil {
			_, err = t.client.UpdateComputeEnvironment(ctx, &in)
		}
	case "CreateJobQueue":
		var in sdk.CreateJobQueueInput
		if decode(&in); err == nil {
			_, err = t.client.CreateJobQueue(ctx, &in)
		}
	case "UpdateJobQueue":
		var in sdk.UpdateJobQueueInput
		if decode(&in); err == nil {
			_, err = t.client.UpdateJobQueue(ctx, &in)
		}
	case "DeleteJobQueue":
		var in sdk.DeleteJobQueueInput
		if decode(&in); err == nil {
			_, err = t.client.DeleteJobQueue(ctx, &in)
		}
	case "CreateSchedulingPolicy":
		var in sdk.CreateSchedulingPolicyInput
		if decode(&in); err == nil {
			_, err = t.client.CreateSchedulingPolicy(ctx, &in)
		}
	case "CreateConsumableResource":
		var in sdk.CreateConsumableResourceInput
		if decode(&in); err == nil {
			_, err = t.client.CreateConsumableResource(ctx, &in)
		}
	case "UpdateConsumableResource":
		var in sdk.UpdateConsumableResourceInput
		if decode(&in); err == nil {
			_, err = t.client.UpdateConsumableResource(ctx, &in)
		}
	case "RegisterJobDefinition":
		var in sdk.RegisterJobDefinitionInput
		if decode(&in); err == nil {
			_, err = t.client.RegisterJobDefinition(ctx, &in)
		}
	default:
		err = fmt.Errorf("this target does not call %s", operation)
	}
	return err
}

// Submit implements scenario.Target.
func (t *target) Submit(ctx context.Context, body []byte) (string, error) {
	var in sdk.SubmitJobInput
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	out, err := t.client.SubmitJob(ctx, &in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.JobId), nil
}

// End implements scenario.Target.
func (t *target) End(ctx context.Context, id, reason string, terminate bool) (err error) {
	if terminate {
		_, err = t.client.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: &id, Reason: &reason})
	} else {
		_, err = t.client.CancelJob(ctx, &sdk.CancelJobInput{JobId: &id, Reason: &reason})
	}
	return err
}

// Interrupt implements scenario.Spot.
func (t *target) Interrupt(ctx context.Context, id string) error {
	_, err := control.InterruptSpot(ctx, nil, t.server.URL(), control.SpotInterruptRequest{Job: id, Account: t.account, Region: home.Region})
	return err
}

// Begin implements scenario.Target: the job's program runs, and the engine says so.
func (t *target) Begin(ctx context.Context, id string) error {
	return t.See(ctx, func(s scenario.Sight) error {
		t.mu.Lock()
		p := t.programs[id]
		t.mu.Unlock()
		if p == nil {
			return errors.New("its program does not run")
		}
		job, err := s.Job(id)
		if err == nil && job.Status != "RUNNING" {
			err = fmt.Errorf("it is %s", job.Status)
		}
		return err
	})
}

// Exit implements scenario.Target.
func (t *target) Exit(_ context.Context, id string, code int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.programs[id]
	if p == nil {
		return errors.New("its program does not run")
	}
	delete(t.programs, id)
	p.exit <- code
	return nil
}

// See implements scenario.Target: it waits until what is right can be seen.
func (t *target) See(ctx context.Context, right func(scenario.Sight) error) error {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience)
	defer cancel()
	for {
		err := right(view{ctx, t})
		if err == nil {
			return nil
		}
		select { // what a client can do about it is to ask again
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type view struct {
	ctx context.Context
	t   *target
}

func (v view) Job(id string) (scenario.Job, error) {
	out, err := v.t.client.DescribeJobs(v.ctx, &sdk.DescribeJobsInput{Jobs: []string{id}})
	if err != nil {
		return scenario.Job{}, err
	}
	if len(out.Jobs) != 1 {
		return scenario.Job{}, fmt.Errorf("%d jobs are described", len(out.Jobs))
	}
	job := scenario.Job{Status: string(out.Jobs[0].Status), Reason: aws.ToString(out.Jobs[0].StatusReason), Attempts: len(out.Jobs[0].Attempts), Children: map[string]int{}}
	if a := out.Jobs[0].ArrayProperties; a != nil {
		for st, n := range a.StatusSummary {
			if n > 0 {
				job.Children[st] = int(n)
			}
		}
	}
	return job, nil
}

func (v view) Running() ([]string, error) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	var ids []string
	for id := range v.t.programs {
		ids = append(ids, id)
	}
	return ids, nil
}

func (v view) Stopped(id string) (bool, error) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	p := v.t.programs[id]
	return p != nil && p.stopped, nil
}
