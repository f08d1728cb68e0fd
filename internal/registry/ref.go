package registry

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/batchbox/batchbox/internal/batch"
)

// Ref is an image reference understood: where the image is, and which one it is. See the package comment for the forms.
type Ref struct {
	// Local says that the image is in this engine's registry, or may be (Short).
	Local bool
	// Partition and Repository name the repository there; set if Local.
	Partition  batch.Partition
	Repository string
	// AWSForm says that the reference named one of AWS's own registry hosts.
	AWSForm bool
	// Short says that the reference named no registry. It means the repository here if there is one, else Docker Hub.
	Short bool
	// External is the normalised reference for a registry elsewhere, "index.docker.io/library/busybox:1"; "" if the image
	// can only be here. With Local it is where else the image may be: Docker Hub for Short, AWS for AWSForm, another
	// engine on this machine for a loopback name with another port.
	External string
	// Tag and Digest say which image. Tag is "latest" when the reference has neither; with a digest the tag is ignored.
	Tag, Digest string
}

// Identifier is the digest if there is one, else the tag.
func (r Ref) Identifier() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// ParseRef understands an image reference as a job definition or a command line has it. def is the account and region
// of whoever uses it. It reads nothing but its arguments. The error says which part of the reference is wrong.
func ParseRef(s string, e Endpoint, def batch.Partition) (Ref, error) {
	rest, digest, hasDigest := strings.Cut(s, "@")
	host, path := "", rest
	if first, after, ok := strings.Cut(rest, "/"); ok && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		host, path = first, after
	}
	tag := ""
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		path, tag = path[:i], path[i+1:]
		if !ValidTag(tag) {
			return Ref{}, fmt.Errorf("image %q: %q is not a valid tag", s, tag)
		}
	}
	if hasDigest && !ValidDigest(digest) {
		return Ref{}, fmt.Errorf("image %q: %q is not a valid digest: want sha256: and 64 hexadecimal digits in lower case", s, digest)
	}
	if tag == "" && digest == "" {
		tag = "latest"
	}
	if path == "" {
		return Ref{}, fmt.Errorf("image %q: no repository name", s)
	}

	r := Ref{Tag: tag, Digest: digest}
	elsewhere := false
	if p, aws, ok := e.hostPartition(host); ok {
		r.Local, r.AWSForm, r.Partition, r.Repository = true, aws, p, path
	} else if host != "" && e.owns(host) {
		r.Local = true
		r.Partition, r.Repository = splitPartition(path, def)
	} else if host == "" {
		r.Local, r.Short, r.Partition, r.Repository = true, true, def, path
	} else if p, repo := splitPartition(path, batch.Partition{}); p.Account != "" && loopbackName(hostOnly(host)) {
		r.Local, elsewhere, r.Partition, r.Repository = true, true, p, repo
	}
	if r.Local && !ValidName(r.Repository) {
		return Ref{}, fmt.Errorf("image %q: %q is not a valid repository name: want 2 to 256 characters that match %s", s, r.Repository, RepositoryNamePattern)
	}
	if !r.Local || r.Short || r.AWSForm || elsewhere {
		repo := path
		if host != "" {
			repo = host + "/" + path
		}
		ext, err := name.NewRepository(repo)
		if err != nil {
			return Ref{}, fmt.Errorf("image %q: %w", s, err)
		}
		if digest != "" {
			r.External = ext.Name() + "@" + digest
		} else {
			r.External = ext.Name() + ":" + tag
		}
	}
	return r, nil
}

// splitPartition takes <account>/<region>/ off the front of a path on this engine's host; without it the partition is
// the caller's.
func splitPartition(path string, def batch.Partition) (batch.Partition, string) {
	parts := strings.SplitN(path, "/", 3)
	if len(parts) == 3 && ValidAccount(parts[0]) && ValidRegion(parts[1]) {
		return batch.Partition{Account: parts[0], Region: parts[1]}, parts[2]
	}
	return def, path
}
