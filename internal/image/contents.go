package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// contents is where the manifests and blobs of one repository come from.
type contents interface {
	manifest(ctx context.Context, digest string) ([]byte, error)
	blob(ctx context.Context, digest string) (io.ReadCloser, error)
}

// contents is where what was found comes from; one that is an io.Closer is to be closed.
func (c *Cache) contents(f *found) (contents, error) {
	if f.local != nil {
		return localContents{c.opts.Local}, nil
	}
	if f.daemon {
		return c.fromDaemon(f.digest), nil
	}
	repo, err := name.NewRepository(f.repository)
	if err != nil {
		return nil, err
	}
	puller, err := c.puller()
	if err != nil {
		return nil, err
	}
	return remoteContents{puller, repo}, nil
}

// maxMeta bounds a manifest or configuration, which are read into memory.
const maxMeta = 8 << 20

func readMeta(rc io.ReadCloser, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(rc, maxMeta+1))
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if len(b) > maxMeta {
		return nil, fmt.Errorf("%s has more than %d bytes", what, maxMeta)
	}
	return b, nil
}

// localContents reads the engine's own registry.
type localContents struct{ src Source }

func (l localContents) manifest(_ context.Context, digest string) ([]byte, error) {
	f, err := l.src.OpenBlob(digest)
	if err != nil {
		return nil, err
	}
	return readMeta(f, "manifest "+digest)
}

func (l localContents) blob(_ context.Context, digest string) (io.ReadCloser, error) {
	return l.src.OpenBlob(digest)
}

// remoteContents reads a repository of another registry. The library checks digests.
type remoteContents struct {
	puller *remote.Puller
	repo   name.Repository
}

func (r remoteContents) manifest(ctx context.Context, digest string) ([]byte, error) {
	ref := r.repo.Digest(digest)
	d, err := r.puller.Get(ctx, ref)
	if err != nil {
		return nil, remoteRefusal(ref, err)
	}
	return d.Manifest, nil
}

func (r remoteContents) blob(ctx context.Context, digest string) (io.ReadCloser, error) {
	l, err := r.puller.Layer(ctx, r.repo.Digest(digest))
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// opened is an image whose manifest and configuration have been read.
type opened struct {
	manifest v1.Manifest
	config   v1.ConfigFile
	raw      []byte // of config, as its digest is of
}

func (o *opened) platform() v1.Platform {
	return v1.Platform{OS: o.config.OS, Architecture: o.config.Architecture, Variant: o.config.Variant}
}

// openImage reads an image's configuration; raw is its manifest.
func openImage(ctx context.Context, from contents, digest string, raw []byte) (*opened, error) {
	bad := func(err error) error {
		return &pullError{pullRetried + "failed to copy: image " + digest + ": " + err.Error(), err}
	}
	o := new(opened)
	if err := json.Unmarshal(raw, &o.manifest); err != nil {
		return nil, bad(err)
	}
	rc, err := from.blob(ctx, o.manifest.Config.Digest.String())
	if err != nil {
		return nil, bad(err)
	}
	if o.raw, err = readMeta(rc, "configuration "+o.manifest.Config.Digest.String()); err != nil {
		return nil, bad(err)
	}
	if err := json.Unmarshal(o.raw, &o.config); err != nil {
		return nil, bad(err)
	}
	return o, nil
}

// uncompressed streams a layer's tar.
func uncompressed(ctx context.Context, from contents, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := partial.CompressedToLayer(compressed{ctx, from, d})
	if err != nil {
		return nil, err
	}
	return l.Uncompressed() // by the content's own mark: gzip, zstd or plain
}

// compressed is a layer as the library wants it to uncompress it.
type compressed struct {
	ctx  context.Context
	from contents
	desc v1.Descriptor
}

func (c compressed) Digest() (v1.Hash, error)            { return c.desc.Digest, nil }
func (c compressed) Size() (int64, error)                { return c.desc.Size, nil }
func (c compressed) MediaType() (types.MediaType, error) { return c.desc.MediaType, nil }
func (c compressed) Compressed() (io.ReadCloser, error) {
	return c.from.blob(c.ctx, c.desc.Digest.String())
}
