package server_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// dockerCLI is the docker command with a configuration of its own.
type dockerCLI struct {
	*testing.T
	config string
}

func (d dockerCLI) try(stdin string, args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+d.config)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d dockerCLI) run(stdin string, args ...string) string {
	d.Helper()
	out, err := d.try(stdin, args...)
	if err != nil {
		d.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// image makes an image of a program that the daemon knows by a name, until the test ends.
func (d dockerCLI) image(name string) {
	d.Helper()
	program, err := build(goruntime.GOARCH, "../runtime/runtimetest/prog")
	if err != nil {
		d.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "prog", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		d.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		d.Fatal(err)
	}
	if err := w.Close(); err != nil {
		d.Fatal(err)
	}
	d.run(layer.String(), "import", "--change", `ENTRYPOINT ["/prog"]`, "-", name)
	d.forget(name)
}

// forget removes an image's name when the test ends.
func (d dockerCLI) forget(name string) {
	d.Cleanup(func() { d.run("", "image", "rm", name) })
}

// TestDockerPush pushes with the docker command to the engine's registry, as to ECR: log in with the token ECR gives out, push to
// the repositoryUri as it is, and run the image by that name, by AWS's form of it and by its digest.
func TestDockerPush(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker, testenv.Linux)
	ctx := context.Background()
	b := startEngine(t, "process")
	registry := ecr.NewFromConfig(b.config)
	d := dockerCLI{t, t.TempDir()}
	local := fmt.Sprintf("batchbox-push-test-%d:v1", os.Getpid())
	d.image(local)

	token, err := registry.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := base64.StdEncoding.DecodeString(*token.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(plain), ":")
	d.run(password, "login", "--username", user, "--password-stdin", *token.AuthorizationData[0].ProxyEndpoint)

	made, err := registry.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")})
	if err != nil {
		t.Fatal(err)
	}
	uri := *made.Repository.RepositoryUri + ":v1"
	d.run("", "tag", local, uri)
	d.forget(uri)
	d.run("", "push", uri)
	images, err := registry.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v1")}}})
	if err != nil || len(images.ImageDetails) != 1 {
		t.Fatalf("%+v, %v", images, err)
	}
	digest := *images.ImageDetails[0].ImageDigest
	if out := d.run("", "pull", *made.Repository.RepositoryUri+"@"+digest); !strings.Contains(out, digest) {
		t.Errorf("docker pull: %s", out)
	}

	b.worker = uri
	b.stack()
	for _, name := range []string{uri, "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:v1", "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app@" + digest, "team/app:v1"} {
		if _, err := b.batch.RegisterJobDefinition(ctx, &sdk.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("e2e"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
			ContainerProperties: &types.ContainerProperties{
				Image: &name, ExecutionRoleArn: aws.String("arn:aws:iam::000000000000:role/x"), Command: []string{"exit", "42"},
				ResourceRequirements: []types.ResourceRequirement{
					{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
				},
			},
		}); err != nil {
			t.Fatal(err)
		}
		if job := b.wait(b.submit(1, workerInput{})); aws.ToInt32(job.Container.ExitCode) != 42 {
			t.Errorf("%s: %s: %s", name, aws.ToString(job.StatusReason), aws.ToString(job.Container.Reason))
		}
	}

	// A push makes the repository, unless the engine is as strict as ECR.
	missing := strings.Replace(*made.Repository.RepositoryUri, "team/app", "not/there", 1) + ":v1"
	d.run("", "tag", local, missing)
	d.forget(missing)
	d.run("", "push", missing)
	if _, err := registry.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"not/there"}}); err != nil {
		t.Errorf("the repository that was pushed to: %v", err)
	}
	strict := startWith(t, server.Config{Runtime: "process", StrictECR: true})
	refused := strings.TrimPrefix(strict.server.URL(), "http://") + "/000000000000/us-east-1/not/there:v1"
	d.run("", "tag", local, refused)
	d.forget(refused)
	if out, err := d.try("", "push", refused); err == nil || !strings.Contains(out, "The repository with name 'not/there' does not exist in the registry with id '000000000000'") {
		t.Errorf("a strict engine: %v: %s", err, out)
	}
}
