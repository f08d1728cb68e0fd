package registry

import (
	"fmt"

	"github.com/batchbox/batchbox/internal/batch"
)

// Code is the closed set of ways the registry refuses. The HTTP handler turns it into the distribution specification's
// code, the ECR API into ECR's.
type Code uint8

// The codes.
const (
	// RepositoryNotFound, RepositoryExists, RepositoryNotEmpty are about a repository as a whole.
	RepositoryNotFound Code = iota + 1
	RepositoryExists
	RepositoryNotEmpty
	// NameInvalid, TagInvalid, DigestInvalid: the request's own words break a rule.
	NameInvalid
	TagInvalid
	DigestInvalid
	// ImageNotFound: no image has this tag or digest. ImageExists: the same image has this tag already.
	ImageNotFound
	ImageExists
	// TagImmutable: another image has this tag and the repository forbids moving it.
	TagImmutable
	// ImageReferenced: an index in the repository lists this image.
	ImageReferenced
	// ManifestInvalid: the manifest is not one, or says something untrue about its blobs.
	ManifestInvalid
	// BlobsMissing, ImagesMissing: a manifest names blobs, or an index names images, that are not here; Detail lists them.
	BlobsMissing
	ImagesMissing
	// BlobNotFound; BlobReferenced: an image needs it.
	BlobNotFound
	BlobReferenced
	// UploadNotFound; UploadRange: the part does not continue where the upload stands; UploadBusy: another request is
	// writing to it.
	UploadNotFound
	UploadRange
	UploadBusy
	// DigestMismatch: the content has another digest than was said.
	DigestMismatch
	// SizeInvalid: the content has another length than was said. TooLarge: it is over a limit.
	SizeInvalid
	TooLarge
)

// Error is a refusal: its code, a text a client can be shown (ECR's own where there is evidence of it), and what it is
// about.
type Error struct {
	Code    Code
	Message string
	// Detail lists the digests of BlobsMissing and ImagesMissing.
	Detail []string
	// Offset is where the upload stands, for UploadRange.
	Offset int64
}

func (e *Error) Error() string { return e.Message }

func errf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// The texts below are ECR's, as clients have quoted them in public.

func repositoryNotFound(p batch.Partition, name string) *Error {
	return errf(RepositoryNotFound, "The repository with name '%s' does not exist in the registry with id '%s'", name, p.Account)
}

func imageNotFound(p batch.Partition, name, tag, digest string) *Error {
	return errf(ImageNotFound, "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		orNull(digest), orNull(tag), name, p.Account)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

func nameInvalid(name string) *Error {
	if len(name) < 2 || len(name) > 256 {
		return errf(NameInvalid, "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length between 2 and 256'")
	}
	return errf(NameInvalid, "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '%s''", RepositoryNamePattern)
}

func digestInvalid(d string) *Error {
	return errf(DigestInvalid, "%q is not a digest this registry knows: want sha256: and 64 hexadecimal digits in lower case", d)
}
