package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/server"
)

// everything keeps all that clients receive.
type everything struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (r *everything) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	_, _ = r.Write(body)
	return resp, err
}

func (r *everything) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Write(p)
}

func (r *everything) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.seen.String(), text)
}

// TestSecretsStaySecret looks for a job's secret in everything that the engine answers, logs and stores, while the job runs and
// after it.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret, name = "kept-to-itself-7f3a", "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"
	file := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"db": {"password": %q}}`, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	logged, answered := &everything{}, &everything{}
	dir := t.TempDir()
	b := startWith(t, server.Config{
		Runtime: "process", DataDir: dir, Secrets: file, ContainerEnv: []string{"GIVEN=to all"},
		Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	b.config.HTTPClient = &http.Client{Transport: answered}
	b.batch = sdk.NewFromConfig(b.config)
	ctx := context.Background()
	b.worker = b.push("asker", "./asker")
	b.stack()
	register := func(name, valueFrom string, command ...string) {
		if _, err := b.batch.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String(name), Type: types.JobDefinitionTypeContainer,
			PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
			ContainerProperties: &types.ContainerProperties{
				Image: aws.String(b.worker), Command: command, ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"), JobRoleArn: aws.String(jobRole),
				Secrets: []types.Secret{{Name: aws.String("PASSWORD"), ValueFrom: aws.String(valueFrom)}},
				ResourceRequirements: []types.ResourceRequirement{
					{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
				},
			},
		}); err != nil {
			t.Fatal(err)
		}
	}
	submit := func(definition string) string {
		out, err := b.batch.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("asker"), JobQueue: aws.String("e2e"), JobDefinition: &definition})
		if err != nil {
			t.Fatal(err)
		}
		return *out.JobId
	}
	look := func(when string) {
		if _, err := b.batch.DescribeJobDefinitions(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if logged.has(secret) || answered.has(secret) {
			t.Errorf("%s the secret is in the engine's log: %v, in an answer: %v", when, logged.has(secret), answered.has(secret))
		}
		if !answered.has(name) {
			t.Errorf("%s no answer names the secret", when)
		}
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // it has gone meanwhile
			}
			content, err := os.ReadFile(path)
			if err == nil && bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s the secret is in %s", when, path)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	// The program has it: it ends with 0 only with what it was told to expect.
	register("has", name+":password::", "expect", "PASSWORD="+digest(secret), "GIVEN="+digest("to all"))
	if job := b.wait(submit("has")); job.Status != types.JobStatusSucceeded {
		t.Errorf("the program does not see its secret: %q", b.lines(job))
	}
	register("runs", name+":password::", "outlive")
	id := submit("runs")
	b.until(id, func(lines []string) bool { return slices.Contains(lines, "answered") })
	look("while the job runs")
	if _, err := b.batch.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: &id, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	b.wait(id)
	register("wrong", name+":user::", "outlive")
	if job := b.wait(submit("wrong")); job.Status != types.JobStatusFailed || !strings.HasPrefix(aws.ToString(job.StatusReason), "ResourceInitializationError: unable to pull secrets") {
		t.Errorf("a key that is not there: %s %s", job.Status, aws.ToString(job.StatusReason))
	}
	look("after the jobs")
}

func digest(value string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(value))) }
