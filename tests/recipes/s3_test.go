// Package recipes has no code, only tests of what docs/recipes.md tells people to do.
package recipes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/batchbox/batchbox/batchboxtest"
	"github.com/batchbox/batchbox/internal/image"
	"github.com/batchbox/batchbox/internal/testenv"
)

// bucket stands for an S3 server: objects of path-style names, in memory. It takes only what is signed for S3, by access keys
// that it remembers, with the body that the signature says.
type bucket struct {
	t *testing.T

	mu      sync.Mutex
	objects map[string]string // by path
	signers map[string]bool
}

func newBucket(t *testing.T) (b *bucket, url string) {
	b = &bucket{t: t, objects: map[string]string{}, signers: map[string]bool{}}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	return b, srv.URL
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, scope, _ := strings.Cut(credential, "/")
	if !strings.Contains(scope, "/us-east-1/s3/aws4_request") {
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
		return
	}
	b.signers[key] = true
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
	}
	sum := sha256.Sum256(body)
	if have := r.Header.Get("X-Amz-Content-Sha256"); have != "UNSIGNED-PAYLOAD" && have != hex.EncodeToString(sum[:]) {
		http.Error(w, "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>", http.StatusBadRequest)
		return
	}
	switch object, ok := b.objects[r.URL.Path]; {
	case r.Method == http.MethodPut:
		b.objects[r.URL.Path] = string(body)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader(object))
	default:
		http.Error(w, r.Method, http.StatusNotImplemented)
	}
}

func (b *bucket) get(path string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[path]
}

// TestWorkerThatUsesS3 is the recipe: the worker's calls of S3 go through the engine, by the endpoint and the credentials of
// its job role that every container gets.
func TestWorkerThatUsesS3(t *testing.T) {
	t.Parallel()
	store, url := newBucket(t)
	box := batchboxtest.Start(t, batchboxtest.Upstream(url), batchboxtest.ContainerEnv("BUCKET=inbox"))
	store.objects["/inbox/one.txt"], store.objects["/inbox/two.txt"] = "a\n", "a\nb\n"
	client := batch.NewFromConfig(box.AWSConfig())
	role, err := iam.NewFromConfig(box.AWSConfig()).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("job"), AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("count"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String(worker(t, box)), JobRoleArn: role.Role.Arn, ExecutionRoleArn: role.Role.Arn,
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	queue := box.Queue("q")
	submit := func(env map[string]string, items ...string) types.JobDetail {
		in := &batch.SubmitJobInput{JobName: aws.String("count"), JobQueue: &queue, JobDefinition: aws.String("count"), ContainerOverrides: &types.ContainerOverrides{
			Environment: []types.KeyValuePair{{Name: aws.String("JOB_INPUT"), Value: aws.String(fmt.Sprintf(`{"items": ["%s"]}`, strings.Join(items, `", "`)))}}}}
		for name, value := range env {
			in.ContainerOverrides.Environment = append(in.ContainerOverrides.Environment, types.KeyValuePair{Name: &name, Value: &value})
		}
		if len(items) > 1 {
			in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(len(items)))}
		}
		out, err := client.SubmitJob(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return box.Wait(*out.JobId)
	}
	job := submit(nil, "one.txt", "two.txt")
	if one, two := store.get("/inbox/one.count"), store.get("/inbox/two.count"); job.Status != types.JobStatusSucceeded || one != "1\n" || two != "2\n" {
		t.Errorf("%s; counted %q and %q\n%s\n%s", job.Status, one, two, box.Logs(*job.JobId+":0"), box.Logs(*job.JobId+":1"))
	}
	for key := range store.signers {
		if !strings.HasPrefix(key, "ASIA") { // of a session of the role
			t.Errorf("signed by %s", key)
		}
	}
	// A stand-in that knows keys of its own gets them: what is signed by them is no task's, and goes by the users' listener.
	job = submit(map[string]string{"AWS_ENDPOINT_URL": box.URL(), "AWS_ACCESS_KEY_ID": "standin", "AWS_SECRET_ACCESS_KEY": "secret"}, "one.txt")
	if job.Status != types.JobStatusSucceeded || !store.signers["standin"] {
		t.Errorf("with keys of the stand-in's own: %s, signed by %v\n%s", job.Status, store.signers, box.Logs(*job.JobId))
	}
	// What the stand-in refuses comes to the worker as S3's own error.
	job = submit(nil, "none.txt")
	if log := strings.Join(box.Logs(*job.JobId), "\n"); job.Status != types.JobStatusFailed || !strings.Contains(log, "NoSuchKey: The specified key does not exist.") {
		t.Errorf("%s\n%s", job.Status, log)
	}
}

// worker builds docs/recipes/s3worker, which is a module of its own so that nobody else has to compile the S3 client.
func worker(t *testing.T, box *batchboxtest.Box) string {
	t.Helper()
	dir, err := filepath.Abs("../../docs/recipes/s3worker")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	list.Dir, list.Env = dir, append(os.Environ(), "GOPROXY=off")
	if out, err := list.CombinedOutput(); err != nil {
		testenv.Missing(t, fmt.Sprintf("the modules of docs/recipes/s3worker (go -C docs/recipes/s3worker mod download): %s", bytes.TrimSpace(out)))
	}
	client := ecr.NewFromConfig(box.AWSConfig())
	built, err := image.Build(t.Context(), image.BuildOptions{Package: ".", Dir: dir, Platforms: []string{goruntime.GOOS + "/" + goruntime.GOARCH}})
	if err != nil {
		t.Fatal(err)
	}
	target, err := image.Target(t.Context(), client, "s3worker:latest")
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := image.Push(t.Context(), target, built.Content, image.PushOptions{ECR: client})
	if err != nil {
		t.Fatal(err)
	}
	return pushed.Ref
}

// TestAWSCLIUsesS3ThroughTheEngine has one endpoint for batch and s3.
func TestAWSCLIUsesS3ThroughTheEngine(t *testing.T) {
	t.Parallel()
	program := testenv.AWS(t)
	store, url := newBucket(t)
	box := batchboxtest.Start(t, batchboxtest.Upstream(url))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("there and back"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"s3", "cp", filepath.Join(dir, "in"), "s3://inbox/a b.txt"},
		{"s3", "cp", "s3://inbox/a b.txt", filepath.Join(dir, "out")},
		{"batch", "describe-job-queues"},
	} {
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--endpoint-url", box.URL()}, args...)...)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }),
			"AWS_ACCESS_KEY_ID=123456789012", "AWS_SECRET_ACCESS_KEY=x", "AWS_DEFAULT_REGION=us-east-1", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws %q: %v\n%s", args, err, out)
		}
	}
	back, err := os.ReadFile(filepath.Join(dir, "out"))
	if stored := store.get("/inbox/a b.txt"); err != nil || stored != "there and back" || string(back) != stored {
		t.Errorf("stored %q, back %q, %v", stored, back, err)
	}
}
