package server_test

import (
	"context"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/runtime/binfmt"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestOtherArchitecture runs a job for an architecture that this machine has not: by an emulator if there is one, as CI
// installs it, else the job fails with a reason that says what to do.
func TestOtherArchitecture(t *testing.T) {
	t.Parallel()
	arch, cpu := "arm64", "ARM64"
	if goruntime.GOARCH == arch {
		arch, cpu = "amd64", "X86_64"
	}
	_, emulated, err := binfmt.Find(binfmt.Dir, arch)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		runtime string
		needs   []testenv.Need
	}{
		{"process", nil},
		{"native", []testenv.Need{testenv.Linux, testenv.Root}},
		{"docker", []testenv.Need{testenv.Linux, testenv.Docker}},
	} {
		t.Run(tc.runtime, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, tc.needs...)
			b := startEngine(t, tc.runtime)
			b.worker = b.pushFor(arch, "prog", "../runtime/runtimetest/prog")
			b.stack()
			if _, err := b.batch.RegisterJobDefinition(context.Background(), &sdk.RegisterJobDefinitionInput{
				JobDefinitionName: aws.String("e2e"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
				ContainerProperties: &types.ContainerProperties{
					Image: aws.String(b.worker), ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"), Command: []string{"exit", "42"},
					RuntimePlatform: &types.RuntimePlatform{CpuArchitecture: aws.String(cpu), OperatingSystemFamily: aws.String("LINUX")},
					ResourceRequirements: []types.ResourceRequirement{
						{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
					},
				},
			}); err != nil {
				t.Fatal(err)
			}
			job := b.wait(b.submit(1, workerInput{}))
			reason := aws.ToString(job.StatusReason) + " " + aws.ToString(job.Container.Reason)
			switch {
			case emulated && aws.ToInt32(job.Container.ExitCode) != 42:
				t.Errorf("there is an emulator, but the job is %s, exit code %d: %s", job.Status, aws.ToInt32(job.Container.ExitCode), reason)
			case !emulated && (job.Status != types.JobStatusFailed || !strings.Contains(reason, "CannotCreateContainerError: the job needs linux/"+arch) || !strings.Contains(reason, "install one")):
				t.Errorf("there is no emulator, and the job is %s: %s", job.Status, reason)
			}
		})
	}
}
