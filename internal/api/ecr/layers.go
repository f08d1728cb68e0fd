package ecr

import (
	"bytes"
	"context"

	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
)

// repository is the partition and name of a request about a repository that must exist.
func (a *api) repository(c *awswire.Call, registryID, name *string) (batch.Partition, string, error) {
	p, err := partition(c, registryID)
	if err != nil {
		return p, "", err
	}
	_, err = a.reg.Repository(p, str(name))
	return p, str(name), err
}

func (a *api) batchCheckLayerAvailability(_ context.Context, c *awswire.Call, in *sdk.BatchCheckLayerAvailabilityInput) (*sdk.BatchCheckLayerAvailabilityOutput, error) {
	if _, _, err := a.repository(c, in.RegistryId, in.RepositoryName); err != nil {
		return nil, err
	}
	if len(in.LayerDigests) < 1 || len(in.LayerDigests) > 100 {
		return nil, invalid("layerDigests", "must have length between 1 and 100")
	}
	out := &sdk.BatchCheckLayerAvailabilityOutput{Layers: []types.Layer{}, Failures: []types.LayerFailure{}}
	for _, d := range in.LayerDigests {
		size, err := a.reg.StatBlob(d)
		switch {
		case err == nil:
			out.Layers = append(out.Layers, types.Layer{LayerDigest: &d, LayerAvailability: types.LayerAvailabilityAvailable, LayerSize: &size})
		case is(err, registry.BlobNotFound):
			out.Layers = append(out.Layers, types.Layer{LayerDigest: &d, LayerAvailability: types.LayerAvailabilityUnavailable})
		case is(err, registry.DigestInvalid):
			out.Failures = append(out.Failures, types.LayerFailure{LayerDigest: &d, FailureCode: types.LayerFailureCodeInvalidLayerDigest, FailureReason: ptr(err.Error())})
		default:
			return nil, err
		}
	}
	return out, nil
}

func (a *api) getDownloadURLForLayer(_ context.Context, c *awswire.Call, in *sdk.GetDownloadUrlForLayerInput) (*sdk.GetDownloadUrlForLayerOutput, error) {
	p, name, err := a.repository(c, in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if _, err := a.reg.StatBlob(str(in.LayerDigest)); err != nil {
		return nil, err
	}
	u, err := a.reg.DownloadURL(a.endpoint, p, name, str(in.LayerDigest))
	if err != nil {
		return nil, err
	}
	return &sdk.GetDownloadUrlForLayerOutput{DownloadUrl: &u, LayerDigest: in.LayerDigest}, nil
}

// partSize is what InitiateLayerUpload recommends, AWS's figure.
const partSize = 20 << 20

func (a *api) initiateLayerUpload(_ context.Context, c *awswire.Call, in *sdk.InitiateLayerUploadInput) (*sdk.InitiateLayerUploadOutput, error) {
	p, name, err := a.repository(c, in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	id, err := a.reg.StartUpload(p, name)
	if err != nil {
		return nil, err
	}
	return &sdk.InitiateLayerUploadOutput{PartSize: ptr(int64(partSize)), UploadId: &id}, nil
}

func (a *api) uploadLayerPart(ctx context.Context, c *awswire.Call, in *sdk.UploadLayerPartInput) (*sdk.UploadLayerPartOutput, error) {
	p, name, err := a.repository(c, in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	first, last := *in.PartFirstByte, *in.PartLastByte
	if first < 0 || last < first || last-first+1 != int64(len(in.LayerPartBlob)) {
		return nil, invalid("partLastByte", "bytes %d to %d are not the %d bytes of layerPartBlob", first, last, len(in.LayerPartBlob)) // unverified text
	}
	size, err := a.reg.Append(ctx, p, name, str(in.UploadId), bytes.NewReader(in.LayerPartBlob), first, int64(len(in.LayerPartBlob)))
	if is(err, registry.UploadRange) {
		e := refuse("InvalidLayerPartException", "%s", err.Error()) // unverified text
		e.Members = map[string]any{
			"registryId": p.Account, "repositoryName": name, "uploadId": str(in.UploadId), "lastValidByteReceived": size - 1,
		}
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	return &sdk.UploadLayerPartOutput{LastByteReceived: ptr(size - 1), RegistryId: &p.Account, RepositoryName: &name, UploadId: in.UploadId}, nil
}

func (a *api) completeLayerUpload(ctx context.Context, c *awswire.Call, in *sdk.CompleteLayerUploadInput) (*sdk.CompleteLayerUploadOutput, error) {
	p, name, err := a.repository(c, in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if len(in.LayerDigests) < 1 || len(in.LayerDigests) > 100 {
		return nil, invalid("layerDigests", "must have length between 1 and 100")
	}
	digest, id := in.LayerDigests[0], str(in.UploadId)
	size, err := a.reg.UploadSize(p, name, id)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, refuse("EmptyUploadException", "The specified layer upload does not contain any layer parts.") // the API reference's sentence
	}
	if _, err := a.reg.StatBlob(digest); err == nil {
		if err := a.reg.CancelUpload(p, name, id); err != nil {
			return nil, err
		}
		return nil, refuse("LayerAlreadyExistsException", "The image layer already exists in the associated repository.") // the API reference's sentence
	}
	_, err = a.reg.FinishUpload(ctx, p, name, id, digest, nil)
	if is(err, registry.DigestMismatch) {
		return nil, refuse("InvalidLayerException", "The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not match the digest specified.") // the API reference's sentence
	}
	if err != nil {
		return nil, err
	}
	return &sdk.CompleteLayerUploadOutput{LayerDigest: &digest, RegistryId: &p.Account, RepositoryName: &name, UploadId: in.UploadId}, nil
}
