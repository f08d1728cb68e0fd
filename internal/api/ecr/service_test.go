package ecr_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	api "github.com/batchbox/batchbox/internal/api/ecr"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/registry/registrytest"
	"github.com/batchbox/batchbox/internal/store"
)

const account, region = "111122223333", "eu-central-1"

type bench struct {
	*ecr.Client
	t        *testing.T
	reg      *registry.Registry
	docs     *registrytest.Docs
	endpoint registry.Endpoint
	url      string
}

// newBench serves API and registry on one address, as the engine does.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, docs: registrytest.NewDocs()}
	var err error
	b.reg, err = registry.Open(t.Context(), registry.Options{
		Dir: t.TempDir(), Docs: b.docs, Default: batch.Partition{Account: account, Region: region}, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	b.endpoint = registry.Endpoint{Host: strings.TrimPrefix(srv.URL, "http://")}
	svc, err := api.New(api.Options{Registry: b.reg, Docs: b.docs, Endpoint: b.endpoint})
	check(t, err)
	wire, err := awswire.NewMux(awswire.Options{
		Services: []*awswire.Service{svc}, DefaultAccount: account, DefaultRegion: region, Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	mux.Handle("/v2/", b.reg.Handler(registry.HandlerOptions{Endpoint: b.endpoint}))
	mux.Handle("/", wire)
	b.Client = b.client(account, region)
	return b
}

func (b *bench) client(account, region string) *ecr.Client {
	return ecr.New(ecr.Options{
		Region: region, BaseEndpoint: &b.url, Credentials: credentials.NewStaticCredentialsProvider(account, "secret", ""),
		RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client(),
	})
}

func (b *bench) create(name string) types.Repository {
	b.t.Helper()
	out, err := b.CreateRepository(b.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name})
	check(b.t, err)
	return *out.Repository
}

// push pushes a random image and returns its digest.
func (b *bench) push(ref string) string {
	b.t.Helper()
	img, err := random.Image(1000, 2)
	check(b.t, err)
	r, err := name.ParseReference(ref)
	check(b.t, err)
	check(b.t, remote.Write(r, img))
	d, err := img.Digest()
	check(b.t, err)
	return d.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that a call was refused with AWS's code and a text that has want in it.
func refused(t testing.TB, err error, code, want string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	if e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), want) {
		t.Errorf("got %s: %s\nwant %s: ...%s...", e.ErrorCode(), e.ErrorMessage(), code, want)
	}
}

func second[T any](_ T, err error) error { return err }

func TestRepositoryLifecycle(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	name := aws.String("team/app")

	// What aws_ecr_repository does to create, and what it reads back.
	made, err := b.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: name, ImageTagMutability: types.ImageTagMutabilityImmutable,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		Tags:                       []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("a"), Value: aws.String("1")}},
	})
	check(t, err)
	want := types.Repository{
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		ImageTagMutability:         types.ImageTagMutabilityImmutable,
		RegistryId:                 aws.String(account),
		RepositoryArn:              aws.String("arn:aws:ecr:eu-central-1:111122223333:repository/team/app"),
		RepositoryName:             name,
		RepositoryUri:              aws.String(b.endpoint.Host + "/111122223333/eu-central-1/team/app"),
	}
	same := cmp.Options{cmpopts.IgnoreUnexported(types.Repository{}, types.EncryptionConfiguration{}, types.ImageScanningConfiguration{}, types.ImageTagMutabilityExclusionFilter{}, types.Tag{}), cmpopts.IgnoreFields(types.Repository{}, "CreatedAt")}
	if d := cmp.Diff(want, *made.Repository, same); d != "" {
		t.Errorf("created: %s", d)
	}
	if age := time.Since(*made.Repository.CreatedAt); age < -time.Second || age > time.Minute {
		t.Errorf("created %v ago", age)
	}
	read, err := b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}})
	check(t, err)
	if d := cmp.Diff([]types.Repository{want}, read.Repositories, same); d != "" {
		t.Errorf("read: %s", d)
	}
	tags, err := b.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: want.RepositoryArn})
	check(t, err)
	if d := cmp.Diff([]types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}, tags.Tags, same); d != "" {
		t.Errorf("tags: %s", d)
	}

	// Its updates.
	put, err := b.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{
		RepositoryName: name, RegistryId: aws.String(account), ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("dev-*"), FilterType: "WILDCARD"}},
	})
	check(t, err)
	want.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
	want.ImageTagMutabilityExclusionFilters = put.ImageTagMutabilityExclusionFilters
	if len(put.ImageTagMutabilityExclusionFilters) != 1 || *put.ImageTagMutabilityExclusionFilters[0].Filter != "dev-*" {
		t.Errorf("filters %+v", put.ImageTagMutabilityExclusionFilters)
	}
	check(t, second(b.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{RepositoryName: name, ImageScanningConfiguration: &types.ImageScanningConfiguration{}})))
	want.ImageScanningConfiguration.ScanOnPush = false
	check(t, second(b.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: want.RepositoryArn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("")}, {Key: aws.String("a"), Value: aws.String("9")}}})))
	check(t, second(b.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: want.RepositoryArn, TagKeys: []string{"b", "none"}})))
	tags, err = b.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: want.RepositoryArn})
	check(t, err)
	if d := cmp.Diff([]types.Tag{{Key: aws.String("a"), Value: aws.String("9")}, {Key: aws.String("c"), Value: aws.String("")}}, tags.Tags, same); d != "" {
		t.Errorf("tags: %s", d)
	}
	read, err = b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}})
	check(t, err)
	if d := cmp.Diff([]types.Repository{want}, read.Repositories, same); d != "" {
		t.Errorf("read after updates: %s", d)
	}

	// Its destruction.
	b.push(*want.RepositoryUri + ":v1")
	refused(t, second(b.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: name, RegistryId: aws.String(account)})),
		"RepositoryNotEmptyException", "The repository with name 'team/app' in registry with id '111122223333' cannot be deleted because it still contains images")
	check(t, second(b.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: name, Force: true})))
	refused(t, second(b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}})),
		"RepositoryNotFoundException", "The repository with name 'team/app' does not exist in the registry with id '111122223333'")
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	b.create("app")
	name := aws.String("app")

	refused(t, second(b.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: name})), "LifecyclePolicyNotFoundException",
		"Lifecycle policy does not exist for the repository with name 'app' in the registry with id '111122223333'")
	refused(t, second(b.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: name})), "LifecyclePolicyNotFoundException", "")
	text := `{"rules":[{"rulePriority":1,"description":"keep ten","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}`
	put, err := b.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: name, LifecyclePolicyText: &text})
	check(t, err)
	got, err := b.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: name})
	check(t, err)
	if *put.RepositoryName != "app" || *put.RegistryId != account || *got.LifecyclePolicyText != text {
		t.Errorf("put %+v, got %+v", put, got)
	}
	del, err := b.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: name})
	check(t, err)
	if *del.LifecyclePolicyText != text {
		t.Errorf("deleted %q", *del.LifecyclePolicyText)
	}

	refused(t, second(b.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: name})), "RepositoryPolicyNotFoundException",
		"Repository policy does not exist for the repository with name 'app' in the registry with id '111122223333'")
	refused(t, second(b.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: name})), "RepositoryPolicyNotFoundException", "")
	text = `{"Version":"2008-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":"*","Action":["ecr:DescribeImages"]}]}`
	check(t, second(b.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &text})))
	rp, err := b.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: name})
	check(t, err)
	if *rp.PolicyText != text || *rp.RegistryId != account || *rp.RepositoryName != "app" {
		t.Errorf("got %+v", rp)
	}
	for _, bad := range []string{"", "no", "[]", `{"Statement":[]}`, `{"Statement":{"Effect":"Allow"}}`, `{"Version":"1","Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`, `{"Statement":[{"Effect":"Maybe","Principal":"*","Action":"*"}]}`} {
		refused(t, second(b.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &bad})), "InvalidParameterException",
			"Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'")
	}
	check(t, second(b.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: name})))

	refused(t, second(b.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})), "RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '111122223333'")
	refused(t, second(b.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})), "RegistryPolicyNotFoundException", "")
	check(t, second(b.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: &text})))
	gp, err := b.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	check(t, err)
	if *gp.PolicyText != text {
		t.Errorf("got %+v", gp)
	}
	check(t, second(b.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})))
}

func TestLifecyclePolicyChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("app")
	rule := func(priority, selection, action string) string {
		return `{"description":"` + strings.Repeat("x", 60) + `","rulePriority":` + priority + `,"selection":` + selection + `,"action":` + action + `}`
	}
	rules := func(r ...string) string { return `{"rules":[` + strings.Join(r, ",") + `]}` }
	const expire = `{"type":"expire"}`
	const count = `{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1}`
	const old = `{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14}`
	const tagged = `{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":3}`
	for text, want := range map[string]string{
		rules(rule("1", old, expire), rule("2", tagged, expire), rule("3", count, expire)): "",
		"{}":                     "'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'",
		strings.Repeat("x", 200): "Lifecycle policy validation failure: Could not map policyString into LifecyclePolicy.",
		`{"rule":"` + strings.Repeat("x", 100) + `"}`:                                    `object has missing required properties (["rules"])`,
		`{"rules":"` + strings.Repeat("x", 100) + `"}`:                                   `instance type (string)`,
		`{"rules":[]` + strings.Repeat(" ", 100) + `}`:                                   `array is too short`,
		rules(`"` + strings.Repeat("x", 100) + `"`):                                      `instance type (string) does not match any allowed primitive type (allowed: ["object"])`,
		rules(rule("0", count, expire)):                                                  "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
		rules(rule("1.5", count, expire)):                                                "instance type (number)",
		rules(rule("1", count, `{"type":"delete"}`)):                                     `instance value ("delete") not found in enum (possible values: ["expire","transition"])`,
		rules(rule("1", `{"tagStatus":"any"}`, expire)):                                  `object has missing required properties (["countNumber","countType"])`,
		rules(rule("1", strings.Replace(count, "}", `,"extra":1}`, 1), expire)):          `properties which are not allowed by the schema: ["extra"]`,
		rules(rule("1", strings.Replace(count, "}", `,"countUnit":"days"}`, 1), expire)): "instance failed to match exactly one schema (matched 0 out of 2)",
		rules(rule("1", strings.Replace(old, "days", "weeks", 1), expire)):               `instance value ("weeks") not found in enum`,
		rules(rule("1", strings.Replace(tagged, `["v"]`, `[]`, 1), expire)):              "must be specified when tagStatus is tagged",
		rules(rule("1", old, expire), rule("2", old, expire)):                            "Only one rule can select Untagged images per storage class.",
		rules(rule("1", old, expire), rule("1", count, expire)):                          "rulePriority 1 is used by more than one rule",
		rules(rule("1", count, expire), rule("2", old, expire)):                          "must have the highest rulePriority",
	} {
		err := second(b.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &text}))
		if want == "" {
			check(t, err)
			continue
		}
		refused(t, err, "InvalidParameterException", want)
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	repo := b.create("app")
	name := repo.RepositoryName
	d1 := b.push(*repo.RepositoryUri + ":v1")
	d2 := b.push(*repo.RepositoryUri + ":v2")

	// A tag moved by PutImage leaves an untagged image behind.
	got, err := b.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{
		{ImageTag: aws.String("v1")}, {ImageDigest: &d2}, {ImageTag: aws.String("none")}, {}, {ImageDigest: aws.String("md5:1")},
		{ImageTag: aws.String("v1"), ImageDigest: &d2},
	}})
	check(t, err)
	var failures []string
	for _, f := range got.Failures {
		failures = append(failures, string(f.FailureCode))
	}
	if fmt.Sprint(failures) != "[ImageNotFound MissingDigestAndTag InvalidImageDigest ImageTagDoesNotMatchDigest]" {
		t.Errorf("failures %v", failures)
	}
	if len(got.Images) != 2 || *got.Images[0].ImageId.ImageDigest != d1 || *got.Images[0].ImageId.ImageTag != "v1" || got.Images[1].ImageId.ImageTag != nil {
		t.Fatalf("images %+v", got.Images)
	}
	put, err := b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: got.Images[0].ImageManifest, ImageTag: aws.String("v2")})
	check(t, err)
	if *put.Image.ImageId.ImageDigest != d1 || *put.Image.ImageId.ImageTag != "v2" {
		t.Errorf("put %+v", put.Image)
	}
	refused(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: got.Images[0].ImageManifest, ImageTag: aws.String("v2")})),
		"ImageAlreadyExistsException", "Image with digest '"+d1+"' and tag 'v2' already exists in the repository with name 'app' in registry with id '111122223333'")
	refused(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: got.Images[0].ImageManifest, ImageDigest: &d2})), "ImageDigestDoesNotMatchException", "")
	refused(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: aws.String("{}")})), "InvalidParameterException", "")
	refused(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("none"), ImageManifest: got.Images[0].ImageManifest})), "RepositoryNotFoundException", "")

	list := func(status types.TagStatus) (out []string) {
		p := ecr.NewListImagesPaginator(b.Client, &ecr.ListImagesInput{RepositoryName: name, MaxResults: aws.Int32(1), Filter: &types.ListImagesFilter{TagStatus: status}})
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			check(t, err)
			for _, id := range page.ImageIds {
				out = append(out, aws.ToString(id.ImageTag)+"@"+(*id.ImageDigest)[:12])
			}
		}
		return out
	}
	if got, want := list(types.TagStatusTagged), []string{"v1@" + d1[:12], "v2@" + d1[:12]}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("tagged %v", got)
	}
	if got, want := list(types.TagStatusUntagged), []string{"@" + d2[:12]}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("untagged %v", got)
	}
	if got := list(types.TagStatusAny); len(got) != 3 {
		t.Errorf("any %v", got)
	}

	// What the data source aws_ecr_image reads.
	desc, err := b.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v2")}}})
	check(t, err)
	if len(desc.ImageDetails) != 1 {
		t.Fatalf("details %+v", desc.ImageDetails)
	}
	det := desc.ImageDetails[0]
	if *det.ImageDigest != d1 || fmt.Sprint(det.ImageTags) != "[v1 v2]" || *det.ImageSizeInBytes < 2000 || *det.RepositoryName != "app" || *det.RegistryId != account ||
		*det.ImageManifestMediaType != registry.MediaTypeDockerManifest || *det.ArtifactMediaType != "application/vnd.docker.container.image.v1+json" || time.Since(*det.ImagePushedAt) > time.Minute {
		t.Errorf("detail %+v", det)
	}
	refused(t, second(b.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("none")}}})),
		"ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'app' in the registry with id '111122223333'")
	refused(t, second(b.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("none")})), "RepositoryNotFoundException", "")
	refused(t, second(b.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: name, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}})), "ScanNotFoundException", "")

	// Everything ListImages says can be given to BatchDeleteImage as it is.
	all, err := b.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: name})
	check(t, err)
	deleted, err := b.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: name, ImageIds: append(all.ImageIds, types.ImageIdentifier{ImageTag: aws.String("v1")})})
	check(t, err)
	if len(deleted.ImageIds) != 3 || len(deleted.Failures) != 1 || deleted.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("deleted %+v, failures %+v", deleted.ImageIds, deleted.Failures)
	}
	check(t, second(b.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: name})))
}

func TestDeleteReferencedImage(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	repo := b.create("app")
	idx, err := random.Index(100, 1, 2)
	check(t, err)
	ref, err := name.ParseReference(*repo.RepositoryUri + ":multi")
	check(t, err)
	check(t, remote.WriteIndex(ref, idx))
	im, err := idx.IndexManifest()
	check(t, err)
	child := im.Manifests[0].Digest.String()
	out, err := b.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: repo.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageDigest: &child}}})
	check(t, err)
	d, err := idx.Digest()
	check(t, err)
	if len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList || *out.Failures[0].FailureReason != "Requested image referenced by manifest list: ["+d.String()+"]" {
		t.Errorf("failures %+v", out.Failures)
	}
}

// An image pushed in parts through the API alone is the image that was meant.
func TestLayerUpload(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	repo := b.create("app")
	name := repo.RepositoryName
	img, err := random.Image(6<<20, 1)
	check(t, err)
	layers, err := img.Layers()
	check(t, err)
	conf, err := img.RawConfigFile()
	check(t, err)
	rc, err := layers[0].Compressed()
	check(t, err)
	layer, err := io.ReadAll(rc)
	check(t, err)
	h, err := layers[0].Digest()
	check(t, err)
	ch, err := img.ConfigName()
	check(t, err)
	raw, err := img.RawManifest()
	check(t, err)

	avail, err := b.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: name, LayerDigests: []string{h.String(), "x"}})
	check(t, err)
	if len(avail.Layers) != 1 || avail.Layers[0].LayerAvailability != types.LayerAvailabilityUnavailable || len(avail.Failures) != 1 {
		t.Errorf("availability %+v", avail)
	}
	refused(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: aws.String(string(raw))})), "LayersNotFoundException", h.String())

	start := func() *string {
		up, err := b.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: name})
		check(t, err)
		return up.UploadId
	}
	part := func(id *string, content []byte, from int) error {
		return second(b.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: name, UploadId: id, LayerPartBlob: content, PartFirstByte: aws.Int64(int64(from)), PartLastByte: aws.Int64(int64(from + len(content) - 1))}))
	}
	id := start()
	refused(t, second(b.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: id, LayerDigests: []string{h.String()}})), "EmptyUploadException", "")
	check(t, part(id, layer[:5<<20], 0))
	err = part(id, layer, 0)
	var bad *types.InvalidLayerPartException
	if !errors.As(err, &bad) || *bad.LastValidByteReceived != 5<<20-1 || *bad.UploadId != *id || *bad.RepositoryName != "app" || *bad.RegistryId != account {
		t.Errorf("wrong part: %v %+v", err, bad)
	}
	refused(t, second(b.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: name, UploadId: id, LayerPartBlob: []byte("abc"), PartFirstByte: aws.Int64(5 << 20), PartLastByte: aws.Int64(5 << 20)})), "InvalidParameterException", "")
	check(t, part(id, layer[5<<20:], 5<<20))
	check(t, second(b.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: id, LayerDigests: []string{h.String()}})))
	refused(t, part(id, layer, 0), "UploadNotFoundException", "")

	id = start()
	check(t, part(id, conf, 0))
	refused(t, second(b.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: id, LayerDigests: []string{h.String()}})), "LayerAlreadyExistsException", "")
	id = start()
	check(t, part(id, []byte("other"), 0))
	refused(t, second(b.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: id, LayerDigests: []string{ch.String()}})), "InvalidLayerException", "")
	id = start()
	check(t, part(id, conf, 0))
	check(t, second(b.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: id, LayerDigests: []string{ch.String()}})))
	check(t, second(b.PutImage(ctx, &ecr.PutImageInput{RepositoryName: name, ImageManifest: aws.String(string(raw)), ImageTag: aws.String("v1")})))

	ref, err := nameOf(*repo.RepositoryUri + ":v1")
	check(t, err)
	back, err := remote.Image(ref)
	check(t, err)
	check(t, validate.Image(back))

	u, err := b.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: name, LayerDigest: aws.String(ch.String())})
	check(t, err)
	resp, err := http.Get(*u.DownloadUrl)
	check(t, err)
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != string(conf) {
		t.Errorf("download: %s %v", resp.Status, err)
	}
	none := aws.String("sha256:" + strings.Repeat("0", 64))
	refused(t, second(b.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: name, LayerDigest: none})), "LayersNotFoundException", "")
}

func nameOf(s string) (name.Reference, error) { return name.ParseReference(s) }

// The credentials of docker login open a registry that demands them.
func TestAuthorizationToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	out, err := b.client("444455556666", "us-east-1").GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	check(t, err)
	data := out.AuthorizationData[0]
	raw, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	check(t, err)
	user, password, _ := strings.Cut(string(raw), ":")
	if user != "AWS" || *data.ProxyEndpoint != b.url || time.Until(*data.ExpiresAt) < 11*time.Hour {
		t.Errorf("data %+v, user %q", data, user)
	}
	guarded := httptest.NewServer(b.reg.Handler(registry.HandlerOptions{Endpoint: b.endpoint, RequireAuth: true}))
	defer guarded.Close()
	// Without account and region in the name, the repository is the caller's.
	ref, err := nameOf(strings.TrimPrefix(guarded.URL, "http://") + "/app:v1")
	check(t, err)
	img, err := random.Image(100, 1)
	check(t, err)
	if err := remote.Write(ref, img); err == nil {
		t.Error("pushed without credentials")
	}
	check(t, remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: user, Password: password})))
	if _, err := b.reg.Resolve(batch.Partition{Account: "444455556666", Region: "us-east-1"}, "app", "v1", ""); err != nil {
		t.Error(err)
	}
}

func TestPartitionsAndPages(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	for i := range 5 {
		b.create(fmt.Sprintf("app%d", i))
	}
	other := b.client("444455556666", "us-east-1")
	if out, err := other.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err != nil || len(out.Repositories) != 0 || out.Repositories == nil {
		t.Errorf("%+v, %v", out, err)
	}
	refused(t, second(b.client(account, "us-east-1").DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"app1"}})), "RepositoryNotFoundException", "")
	// A registryId names another account in the same region.
	out, err := b.client("444455556666", region).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: aws.String(account), MaxResults: aws.Int32(3)})
	check(t, err)
	if len(out.Repositories) != 3 || *out.Repositories[2].RepositoryName != "app2" || out.NextToken == nil {
		t.Errorf("page %+v", out)
	}
	check(t, second(b.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app2")})))
	out, err = b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3), NextToken: out.NextToken})
	check(t, err)
	if len(out.Repositories) != 2 || *out.Repositories[0].RepositoryName != "app3" || out.NextToken != nil {
		t.Errorf("second page %+v", out)
	}
}

func TestRegistrySettings(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	b.create("app")
	d, err := b.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	check(t, err)
	if *d.RegistryId != account || d.ReplicationConfiguration == nil || len(d.ReplicationConfiguration.Rules) != 0 {
		t.Errorf("registry %+v", d)
	}
	s, err := b.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})
	check(t, err)
	if s.ScanningConfiguration.ScanType != types.ScanTypeBasic || len(s.ScanningConfiguration.Rules) != 0 {
		t.Errorf("scanning %+v", s.ScanningConfiguration)
	}
	rules := []types.RegistryScanningRule{{ScanFrequency: types.ScanFrequencyScanOnPush, RepositoryFilters: []types.ScanningRepositoryFilter{{Filter: aws.String("*"), FilterType: types.ScanningRepositoryFilterTypeWildcard}}}}
	check(t, second(b.PutRegistryScanningConfiguration(ctx, &ecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeBasic, Rules: rules})))
	s, err = b.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})
	check(t, err)
	if len(s.ScanningConfiguration.Rules) != 1 || *s.ScanningConfiguration.Rules[0].RepositoryFilters[0].Filter != "*" {
		t.Errorf("scanning %+v", s.ScanningConfiguration)
	}
	bs, err := b.BatchGetRepositoryScanningConfiguration(ctx, &ecr.BatchGetRepositoryScanningConfigurationInput{RepositoryNames: []string{"app", "none"}})
	check(t, err)
	if len(bs.ScanningConfigurations) != 1 || len(bs.Failures) != 1 || bs.ScanningConfigurations[0].ScanFrequency != types.ScanFrequencyManual {
		t.Errorf("scanning %+v", bs)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b, ctx := newBench(t), t.Context()
	repo := b.create("app")
	create := func(in ecr.CreateRepositoryInput) error {
		if in.RepositoryName == nil {
			in.RepositoryName = aws.String("new")
		}
		return second(b.CreateRepository(ctx, &in))
	}
	refused(t, create(ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}), "RepositoryAlreadyExistsException", "The repository with name 'app' already exists in the registry with id '111122223333'")
	refused(t, create(ecr.CreateRepositoryInput{RepositoryName: aws.String("Bad_Name!")}), "InvalidParameterException",
		`Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*''`)
	refused(t, create(ecr.CreateRepositoryInput{RepositoryName: aws.String("x")}), "InvalidParameterException", "between 2 and 256")
	refused(t, create(ecr.CreateRepositoryInput{RegistryId: aws.String("12")}), "InvalidParameterException", "'registryId'")
	refused(t, create(ecr.CreateRepositoryInput{ImageTagMutability: "SOMETIMES"}), "InvalidParameterException", "'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set")
	refused(t, create(ecr.CreateRepositoryInput{ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION"}), "InvalidParameterException", "can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION")
	filter := func(f, kind string) []types.ImageTagMutabilityExclusionFilter {
		return []types.ImageTagMutabilityExclusionFilter{{Filter: &f, FilterType: types.ImageTagMutabilityExclusionFilterType(kind)}}
	}
	refused(t, create(ecr.CreateRepositoryInput{ImageTagMutabilityExclusionFilters: filter("x", "WILDCARD")}), "InvalidParameterException", "must be null")
	refused(t, create(ecr.CreateRepositoryInput{ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION", ImageTagMutabilityExclusionFilters: filter("x", "REGEX")}), "InvalidParameterException", "WILDCARD")
	refused(t, create(ecr.CreateRepositoryInput{ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION", ImageTagMutabilityExclusionFilters: filter("a*b*c*", "WILDCARD")}), "InvalidParameterException", "wildcards")
	refused(t, create(ecr.CreateRepositoryInput{EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: "ROT13"}}), "InvalidParameterException", "enum value set: [AES256, KMS, KMS_DSSE]")
	refused(t, create(ecr.CreateRepositoryInput{Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}}), "InvalidTagParameterException", "")
	var many []types.Tag
	for i := range 51 {
		many = append(many, types.Tag{Key: aws.String(fmt.Sprint(i)), Value: aws.String("")})
	}
	refused(t, create(ecr.CreateRepositoryInput{Tags: many}), "TooManyTagsException", "")
	refused(t, second(b.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: repo.RepositoryArn, Tags: many})), "TooManyTagsException", "")
	refused(t, second(b.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:ecr:x")})), "InvalidParameterException", "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'")
	refused(t, second(b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(1001)})), "InvalidParameterException", "maxResults")
	refused(t, second(b.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{NextToken: aws.String("!")})), "InvalidParameterException", "nextToken")
	refused(t, second(b.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app"), Filter: &types.ListImagesFilter{TagStatus: "SOME"}})), "InvalidParameterException", "tagStatus")
	refused(t, second(b.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: make([]types.ImageIdentifier, 101)})), "InvalidParameterException", "imageIds")
	refused(t, second(b.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: aws.String("app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}})), "UnsupportedOperationException", "does not scan images")
	refused(t, second(b.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{})), "UnsupportedOperationException", "DescribeRepositoryCreationTemplates")

	b.docs.Fail(fmt.Errorf("writing: %w", store.ErrUnavailable))
	refused(t, create(ecr.CreateRepositoryInput{}), "ServerException", "can not write its store")
}

// KMS without a key means the account's own.
func TestEncryption(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for kind, want := range map[types.EncryptionType]string{ // the form is what Terraform's acceptance tests ask of AWS
		types.EncryptionTypeKms:    `^arn:aws:kms:eu-central-1:111122223333:key/[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[ab89][0-9a-f]{3}-[0-9a-f]{12}$`,
		types.EncryptionTypeAes256: `^$`,
	} {
		out, err := b.CreateRepository(context.Background(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(strings.ToLower(string(kind))), EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: kind}})
		check(t, err)
		if got := aws.ToString(out.Repository.EncryptionConfiguration.KmsKey); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: key %q", kind, got)
		}
	}
}
