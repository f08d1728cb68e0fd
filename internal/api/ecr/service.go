// Package ecr is the Amazon ECR API over internal/registry, in the types of the AWS SDK. Requests and replies follow
// the API reference (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/); the texts of errors are AWS's where
// clients have quoted them in public, and where a comment says "unverified" they are a guess.
//
// What differs from AWS on purpose: repositoryUri and proxyEndpoint name this engine (see package registry), images are
// never scanned, policies of repositories and of the registry are kept and shown but not enforced, and lifecycle
// policies are checked, kept and shown but expire nothing. A registryId names any account of this engine.
package ecr

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on. All are required.
type Options struct {
	Registry *registry.Registry
	// Docs keeps what belongs to a registry as a whole.
	Docs store.Docs
	// Endpoint is how the registry is addressed from outside.
	Endpoint registry.Endpoint
}

type api struct {
	reg      *registry.Registry
	docs     store.Docs
	endpoint registry.Endpoint
}

// New describes the service for an awswire.Mux.
func New(o Options) (*awswire.Service, error) {
	a := &api{o.Registry, o.Docs, o.Endpoint}
	// Parts of layers come as base64 in JSON, 20 MiB each at most (UploadLayerPart); manifests have 4 MiB.
	part := awswire.Op("UploadLayerPart", a.uploadLayerPart)
	part.MaxBody = 28 << 20
	put := awswire.Op("PutImage", a.putImage)
	put.MaxBody = 12 << 20
	s := &awswire.Service{
		Name: "ecr",
		Operations: []awswire.Operation{
			part, put,
			awswire.Op("BatchCheckLayerAvailability", a.batchCheckLayerAvailability),
			awswire.Op("BatchDeleteImage", a.batchDeleteImage),
			awswire.Op("BatchGetImage", a.batchGetImage),
			awswire.Op("BatchGetRepositoryScanningConfiguration", a.batchGetRepositoryScanningConfiguration),
			awswire.Op("CompleteLayerUpload", a.completeLayerUpload),
			awswire.Op("CreateRepository", a.createRepository),
			awswire.Op("DeleteLifecyclePolicy", a.deleteLifecyclePolicy),
			awswire.Op("DeleteRegistryPolicy", a.deleteRegistryPolicy),
			awswire.Op("DeleteRepository", a.deleteRepository),
			awswire.Op("DeleteRepositoryPolicy", a.deleteRepositoryPolicy),
			awswire.Op("DescribeImageScanFindings", a.describeImageScanFindings),
			awswire.Op("DescribeImages", a.describeImages),
			awswire.Op("DescribeRegistry", a.describeRegistry),
			awswire.Op("DescribeRepositories", a.describeRepositories),
			awswire.Op("GetAuthorizationToken", a.getAuthorizationToken),
			awswire.Op("GetDownloadUrlForLayer", a.getDownloadURLForLayer),
			awswire.Op("GetLifecyclePolicy", a.getLifecyclePolicy),
			awswire.Op("GetRegistryPolicy", a.getRegistryPolicy),
			awswire.Op("GetRegistryScanningConfiguration", a.getRegistryScanningConfiguration),
			awswire.Op("GetRepositoryPolicy", a.getRepositoryPolicy),
			awswire.Op("InitiateLayerUpload", a.initiateLayerUpload),
			awswire.Op("ListImageReferrers", a.listImageReferrers),
			awswire.Op("ListImages", a.listImages),
			awswire.Op("ListTagsForResource", a.listTagsForResource),
			awswire.Op("PutImageScanningConfiguration", a.putImageScanningConfiguration),
			awswire.Op("PutImageTagMutability", a.putImageTagMutability),
			awswire.Op("PutLifecyclePolicy", a.putLifecyclePolicy),
			awswire.Op("PutRegistryPolicy", a.putRegistryPolicy),
			awswire.Op("PutRegistryScanningConfiguration", a.putRegistryScanningConfiguration),
			awswire.Op("SetRepositoryPolicy", a.setRepositoryPolicy),
			awswire.Op("TagResource", a.tagResource),
			awswire.Op("UntagResource", a.untagResource),
		},
		Refused: map[string]string{
			"StartImageScan":                "batchbox does not scan images",
			"GetLifecyclePolicyPreview":     "batchbox does not evaluate lifecycle policies",
			"StartLifecyclePolicyPreview":   "batchbox does not evaluate lifecycle policies",
			"PutReplicationConfiguration":   "batchbox does not replicate images",
			"CreatePullThroughCacheRule":    "batchbox has no pull through cache; an image of another registry is pulled from there by its own name",
			"UpdateImageStorageClass":       "batchbox has one storage class",
			"DescribeImageSigningStatus":    "batchbox does not sign images",
			"PutSigningConfiguration":       "batchbox does not sign images",
			"DescribePullThroughCacheRules": "batchbox has no pull through cache",
		},
		RefusedCode: "UnsupportedOperationException",
		// Unverified: with SDKs and the CLI such a request is refused before it is sent.
		BadRequestCode: "InvalidParameterException",
		InternalCode:   "ServerException",
		MapError:       mapError,
	}
	if err := s.ApplyModel(awswire.ECRModel()); err != nil {
		return nil, fmt.Errorf("ecr: %w", err)
	}
	s.RefuseOthers(func(string) string { return "batchbox does not provide this operation of Amazon ECR" })
	return s, nil
}

// codes are ECR's exceptions for the registry's refusals.
var codes = map[registry.Code]string{
	registry.RepositoryNotFound: "RepositoryNotFoundException",
	registry.RepositoryExists:   "RepositoryAlreadyExistsException",
	registry.RepositoryNotEmpty: "RepositoryNotEmptyException",
	registry.NameInvalid:        "InvalidParameterException",
	registry.TagInvalid:         "InvalidParameterException",
	registry.DigestInvalid:      "InvalidParameterException",
	registry.ImageNotFound:      "ImageNotFoundException",
	registry.ImageExists:        "ImageAlreadyExistsException",
	registry.TagImmutable:       "ImageTagAlreadyExistsException",
	registry.ManifestInvalid:    "InvalidParameterException",
	registry.BlobsMissing:       "LayersNotFoundException",
	registry.ImagesMissing:      "ReferencedImagesNotFoundException",
	registry.BlobNotFound:       "LayersNotFoundException",
	registry.UploadNotFound:     "UploadNotFoundException",
	registry.UploadRange:        "InvalidLayerPartException",
	registry.UploadBusy:         "InvalidLayerPartException",
	registry.SizeInvalid:        "InvalidLayerPartException",
	registry.TooLarge:           "LimitExceededException",
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	var e *registry.Error
	switch {
	case errors.As(err, &e):
		if code, ok := codes[e.Code]; ok {
			return &awswire.Error{Code: code, Message: e.Message}
		}
	case errors.Is(err, store.ErrUnavailable):
		return &awswire.Error{Code: "ServerException", Message: "the engine can not write its store; its log has the reason", Server: true, Cause: err}
	}
	return nil
}

func refuse(code, format string, args ...any) *awswire.Error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// invalid is ECR's wording for a parameter that breaks a rule.
func invalid(parameter, format string, args ...any) *awswire.Error {
	return refuse("InvalidParameterException", "Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, fmt.Sprintf(format, args...))
}

// partition is the registry a request is about: the caller's, or that of the registryId in the same region.
func partition(c *awswire.Call, registryID *string) (batch.Partition, error) {
	p := batch.Partition{Account: c.Account, Region: c.Region}
	if registryID != nil {
		if !registry.ValidAccount(*registryID) {
			return p, invalid("registryId", "must satisfy regular expression '[0-9]{12}'")
		}
		p.Account = *registryID
	}
	return p, nil
}

var arnRE = regexp.MustCompile(`^arn:aws[a-z-]*:ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)$`)

// repositoryOfARN takes an ARN of a repository apart.
func repositoryOfARN(arn *string) (batch.Partition, string, error) {
	m := arnRE.FindStringSubmatch(str(arn))
	if m == nil {
		return batch.Partition{}, "", invalid("resourceArn", "Invalid ARN")
	}
	return batch.Partition{Account: m[2], Region: m[1]}, m[3], nil
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }

// optional is nil for "", the absent member.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
