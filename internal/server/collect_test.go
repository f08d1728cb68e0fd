package server_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestImagesAreCollected keeps no image that is not used: the one of a job that runs stays, under this engine and the next.
func TestImagesAreCollected(t *testing.T) {
	t.Parallel()
	cfg := server.Config{
		Runtime: "process", DataDir: t.TempDir(),
		Retention: server.RetentionConfig{ImageBytes: 1, Interval: 5 * time.Millisecond},
	}
	b := startWith(t, cfg)
	b.worker = b.push("prog", "../runtime/runtimetest/prog")
	b.stack()
	run := func(name, image string, command ...string) string {
		t.Helper()
		if _, err := b.batch.RegisterJobDefinition(context.Background(), &sdk.RegisterJobDefinitionInput{
			JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
			ContainerProperties: &types.ContainerProperties{
				Image: &image, Command: command, ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"),
				ResourceRequirements: []types.ResourceRequirement{
					{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
				},
			},
		}); err != nil {
			t.Fatal(err)
		}
		out, err := b.batch.SubmitJob(context.Background(), &sdk.SubmitJobInput{JobName: &name, JobQueue: aws.String("e2e"), JobDefinition: &name})
		if err != nil {
			t.Fatal(err)
		}
		return *out.JobId
	}
	// images waits until there are so many.
	images := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(testenv.Patience); ; time.Sleep(time.Millisecond) {
			flat, err := os.ReadDir(filepath.Join(cfg.DataDir, "images", "flat"))
			if err != nil {
				t.Fatal(err)
			}
			if len(flat) == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("there are %d images, want %d", len(flat), want)
			}
		}
	}
	long := run("long", b.worker, "sleep")
	waitForText(t, filepath.Join(cfg.DataDir, "logs"), "ready")
	other := b.push("other", "../../apps/batchworker")
	b.wait(run("short", other))
	images(1)
	// That it is the right one, the program's own file shows.
	programs, err := filepath.Glob(filepath.Join(cfg.DataDir, "images", "flat", "*", "program"))
	if err != nil || len(programs) != 1 {
		t.Fatalf("programs: %v, %v", programs, err)
	}

	b.close()
	b = startWith(t, cfg)
	// This engine has not started the job, and does not know its image.
	b.wait(run("short", other))
	if _, err := os.Stat(programs[0]); err != nil {
		t.Errorf("the image of a job that runs on from before: %v", err)
	}
	if _, err := b.batch.TerminateJob(context.Background(), &sdk.TerminateJobInput{JobId: &long, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	b.wait(long)
	images(0)
}
