package ecr

import (
	"context"
	"errors"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
)

func (a *api) putImage(ctx context.Context, c *awswire.Call, in *sdk.PutImageInput) (*sdk.PutImageOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	name := str(in.RepositoryName)
	img, err := a.reg.PutImage(ctx, p, name, registry.Put{
		Manifest: []byte(str(in.ImageManifest)), MediaType: str(in.ImageManifestMediaType),
		Tag: str(in.ImageTag), Digest: str(in.ImageDigest),
		New: true, NoCreate: true,
	})
	if is(err, registry.DigestMismatch) {
		return nil, refuse("ImageDigestDoesNotMatchException", "The specified image digest does not match the digest that Amazon ECR calculated for the image.") // the API reference's sentence
	}
	if err != nil {
		return nil, err
	}
	return &sdk.PutImageOutput{Image: &types.Image{
		ImageId:                &types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: optional(str(in.ImageTag))},
		ImageManifest:          in.ImageManifest,
		ImageManifestMediaType: &img.MediaType,
		RegistryId:             &p.Account,
		RepositoryName:         &name,
	}}, nil
}

func is(err error, code registry.Code) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Code == code
}

// lookup finds the image an identifier names, or says why not in the words of ImageFailure. The error is for what
// concerns the whole request.
func (a *api) lookup(p batch.Partition, name string, id types.ImageIdentifier) (registry.Image, *types.ImageFailure, error) {
	tag, digest := str(id.ImageTag), str(id.ImageDigest)
	fail := func(code types.ImageFailureCode, reason string) (registry.Image, *types.ImageFailure, error) {
		return registry.Image{}, &types.ImageFailure{ImageId: &id, FailureCode: code, FailureReason: &reason}, nil
	}
	switch {
	case tag == "" && digest == "":
		return fail(types.ImageFailureCodeMissingDigestAndTag, "Invalid request parameters: both tag and digest cannot be null")
	case digest != "" && !registry.ValidDigest(digest):
		return fail(types.ImageFailureCodeInvalidImageDigest, "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	case tag != "" && !registry.ValidTag(tag):
		return fail(types.ImageFailureCodeInvalidImageTag, "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'") // unverified text
	}
	img, err := a.reg.Resolve(p, name, tag, digest)
	if is(err, registry.ImageNotFound) {
		if tag != "" && digest != "" {
			if _, err := a.reg.Resolve(p, name, "", digest); err == nil {
				return fail(types.ImageFailureCodeImageTagDoesNotMatchDigest, "Requested image tag does not match the digest") // unverified text
			}
		}
		return fail(types.ImageFailureCodeImageNotFound, "Requested image not found")
	}
	return img, nil, err
}

// batchBounds checks the length of an imageIds member (API reference).
func batchBounds(ids []types.ImageIdentifier) error {
	if len(ids) < 1 || len(ids) > 100 {
		return invalid("imageIds", "must have length between 1 and 100")
	}
	return nil
}

func (a *api) batchGetImage(_ context.Context, c *awswire.Call, in *sdk.BatchGetImageInput) (*sdk.BatchGetImageOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if err := batchBounds(in.ImageIds); err != nil {
		return nil, err
	}
	name := str(in.RepositoryName)
	if _, err := a.reg.Repository(p, name); err != nil {
		return nil, err
	}
	out := &sdk.BatchGetImageOutput{Images: []types.Image{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		img, failure, err := a.lookup(p, name, id)
		if err != nil {
			return nil, err
		}
		if failure != nil {
			out.Failures = append(out.Failures, *failure)
			continue
		}
		raw, err := a.reg.Manifest(img)
		if err != nil {
			return nil, err
		}
		out.Images = append(out.Images, types.Image{
			ImageId:                &types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: id.ImageTag},
			ImageManifest:          ptr(string(raw)),
			ImageManifestMediaType: &img.MediaType,
			RegistryId:             &p.Account,
			RepositoryName:         &name,
		})
	}
	return out, nil
}

// batchDeleteImage deletes images by digest with all their tags, and takes single tags away; an image whose last tag
// goes is deleted with it (API reference, BatchDeleteImage). An identifier with both is taken for the tag, so that what
// ListImages answers can be passed on as it is.
func (a *api) batchDeleteImage(ctx context.Context, c *awswire.Call, in *sdk.BatchDeleteImageInput) (*sdk.BatchDeleteImageOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if err := batchBounds(in.ImageIds); err != nil {
		return nil, err
	}
	name := str(in.RepositoryName)
	if _, err := a.reg.Repository(p, name); err != nil {
		return nil, err
	}
	out := &sdk.BatchDeleteImageOutput{ImageIds: []types.ImageIdentifier{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		img, failure, err := a.lookup(p, name, id)
		if err != nil {
			return nil, err
		}
		if failure != nil {
			out.Failures = append(out.Failures, *failure)
			continue
		}
		var tags []string
		if tag := str(id.ImageTag); tag != "" {
			tags = []string{tag}
			_, err = a.reg.Untag(ctx, p, name, tag, true)
		} else {
			tags, err = a.reg.DeleteImage(ctx, p, name, img.Digest)
		}
		switch {
		case is(err, registry.ImageReferenced):
			out.Failures = append(out.Failures, types.ImageFailure{ImageId: &id, FailureCode: types.ImageFailureCodeImageReferencedByManifestList, FailureReason: ptr(err.Error())})
		case is(err, registry.ImageNotFound): // somebody else was quicker
			out.Failures = append(out.Failures, types.ImageFailure{ImageId: &id, FailureCode: types.ImageFailureCodeImageNotFound, FailureReason: ptr("Requested image not found")})
		case err != nil:
			return nil, err
		case len(tags) == 0:
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: &img.Digest})
		default:
			for _, tag := range tags {
				out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: &tag})
			}
		}
	}
	return out, nil
}

// matches says whether an image passes the filters of ListImages and DescribeImages. Every image here is ACTIVE.
func matches(tags []string, ts types.TagStatus, is types.ImageStatusFilter) (bool, error) {
	switch is {
	case "", types.ImageStatusFilterActive, types.ImageStatusFilterAny:
	case types.ImageStatusFilterArchived, types.ImageStatusFilterActivating:
		return false, nil
	default:
		return false, invalid("filter.imageStatus", "Member must satisfy enum value set: [ACTIVE, ARCHIVED, ACTIVATING, ANY]")
	}
	switch ts {
	case "", types.TagStatusAny:
		return true, nil
	case types.TagStatusTagged:
		return len(tags) > 0, nil
	case types.TagStatusUntagged:
		return len(tags) == 0, nil
	default:
		return false, invalid("filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]")
	}
}

// selected are the images of a repository that pass a filter, in ascending order of digest.
func (a *api) selected(p batch.Partition, name string, ts types.TagStatus, is types.ImageStatusFilter) ([]registry.TaggedImage, error) {
	if _, err := matches(nil, ts, is); err != nil {
		return nil, err
	}
	all, err := a.reg.Images(p, name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(img registry.TaggedImage) bool {
		ok, _ := matches(img.Tags, ts, is) // checked above
		return !ok
	}), nil
}

func (a *api) listImages(_ context.Context, c *awswire.Call, in *sdk.ListImagesInput) (*sdk.ListImagesOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	f := in.Filter
	if f == nil {
		f = &types.ListImagesFilter{}
	}
	imgs, err := a.selected(p, str(in.RepositoryName), f.TagStatus, f.ImageStatus)
	if err != nil {
		return nil, err
	}
	ids := []types.ImageIdentifier{}
	for _, img := range imgs {
		if len(img.Tags) == 0 {
			ids = append(ids, types.ImageIdentifier{ImageDigest: &img.Digest})
		}
		for _, tag := range img.Tags {
			ids = append(ids, types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: &tag})
		}
	}
	ids, next, err := page(ids, func(id types.ImageIdentifier) string { return *id.ImageDigest + ":" + str(id.ImageTag) }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &sdk.ListImagesOutput{ImageIds: ids, NextToken: next}, nil
}

func (a *api) describeImages(_ context.Context, c *awswire.Call, in *sdk.DescribeImagesInput) (*sdk.DescribeImagesOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	f := in.Filter
	if f == nil {
		f = &types.DescribeImagesFilter{}
	}
	name := str(in.RepositoryName)
	imgs, err := a.selected(p, name, f.TagStatus, f.ImageStatus)
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeImagesOutput{ImageDetails: []types.ImageDetail{}}
	if len(in.ImageIds) > 0 {
		if err := batchBounds(in.ImageIds); err != nil {
			return nil, err
		}
		var asked []registry.TaggedImage
		for _, id := range in.ImageIds {
			img, err := a.reg.Resolve(p, name, str(id.ImageTag), str(id.ImageDigest))
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(imgs, func(t registry.TaggedImage) bool { return t.Digest == img.Digest })
			if i >= 0 && !slices.ContainsFunc(asked, func(t registry.TaggedImage) bool { return t.Digest == img.Digest }) {
				asked = append(asked, imgs[i])
			}
		}
		imgs = asked
	} else {
		imgs, out.NextToken, err = page(imgs, func(t registry.TaggedImage) string { return t.Digest }, in.MaxResults, in.NextToken)
		if err != nil {
			return nil, err
		}
	}
	for _, img := range imgs {
		out.ImageDetails = append(out.ImageDetails, types.ImageDetail{
			ArtifactMediaType:      optional(img.ArtifactType),
			ImageDigest:            &img.Digest,
			ImageManifestMediaType: &img.MediaType,
			ImagePushedAt:          &img.PushedAt,
			ImageSizeInBytes:       &img.Size,
			ImageStatus:            types.ImageStatusActive,
			ImageTags:              img.Tags,
			RegistryId:             &p.Account,
			RepositoryName:         &name,
			SubjectManifestDigest:  optional(img.Subject),
		})
	}
	return out, nil
}

func (a *api) listImageReferrers(_ context.Context, c *awswire.Call, in *sdk.ListImageReferrersInput) (*sdk.ListImageReferrersOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	name := str(in.RepositoryName)
	if _, err := a.reg.Repository(p, name); err != nil {
		return nil, err
	}
	var kinds []string
	if in.Filter != nil {
		kinds = in.Filter.ArtifactTypes
	}
	refs := []types.ImageReferrer{}
	for _, img := range a.reg.Referrers(p, name, str(in.SubjectId.ImageDigest), "") {
		if len(kinds) > 0 && !slices.Contains(kinds, img.ArtifactType) {
			continue
		}
		refs = append(refs, types.ImageReferrer{
			Digest: &img.Digest, MediaType: &img.MediaType, Size: &img.ManifestSize, Annotations: img.Annotations,
			ArtifactStatus: types.ArtifactStatusActive, ArtifactType: optional(img.ArtifactType),
		})
	}
	refs, next, err := page(refs, func(r types.ImageReferrer) string { return *r.Digest }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &sdk.ListImageReferrersOutput{Referrers: refs, NextToken: next}, nil
}

// describeImageScanFindings finds none: no image is ever scanned.
func (a *api) describeImageScanFindings(_ context.Context, c *awswire.Call, in *sdk.DescribeImageScanFindingsInput) (*sdk.DescribeImageScanFindingsOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	name, tag, digest := str(in.RepositoryName), str(in.ImageId.ImageTag), str(in.ImageId.ImageDigest)
	if _, err := a.reg.Resolve(p, name, tag, digest); err != nil {
		return nil, err
	}
	return nil, refuse("ScanNotFoundException",
		"Image scan does not exist for the image with '{imageDigest:'%s', imageTag:'%s'}' in the repository with name '%s' in the registry with id '%s'",
		orNull(digest), orNull(tag), name, p.Account)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}
