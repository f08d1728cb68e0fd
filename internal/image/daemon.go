package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/registry"
)

// Daemon is a container engine on this machine that has images of its own, such as `docker build` makes. What no registry has
// is looked for there: first the registry, then the daemon, since AWS knows only registries.
type Daemon interface {
	// Find returns the id, "sha256:...", of the image it has under a name; fs.ErrNotExist if it has none, or is not there.
	Find(ctx context.Context, name string) (id string, err error)
	// Save streams an image as `docker save` writes it.
	Save(ctx context.Context, id string) (io.ReadCloser, error)
}

// askDaemon finds an image in the daemon after a registry has refused it; nil if it is not there either.
func (c *Cache) askDaemon(ctx context.Context, ref string, refusal error) *knownTag {
	if c.opts.Daemon == nil {
		return nil
	}
	id, err := c.opts.Daemon.Find(ctx, ref)
	if err == nil && !registry.ValidDigest(id) {
		err = fmt.Errorf("the daemon named it by %q, which is no sha256 digest", id)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.opts.Log.Warn("the Docker daemon was not asked for an image that no registry has", "image", ref, "error", err)
		}
		return nil
	}
	c.opts.Log.Info("using the Docker daemon's image: no registry has it, and AWS could not pull it", "image", ref, "id", id, "registry", refusal)
	return &knownTag{Ref: ref, Digest: id, At: c.opts.Now(), daemon: true}
}

// daemonContents is an image of a daemon's, saved to a temporary file when it is first asked for. Its layers are known by the
// digest of their uncompressed content, whatever form they have in there: unpacking, and daemons that load them, go by the
// content's own mark.
type daemonContents struct {
	daemon  Daemon
	files   fsys.FS
	id, tmp string
	limit   int64

	mu    sync.Mutex
	file  fsys.File
	raw   []byte // manifest
	blobs map[string]section
	err   error
}

// section is where a blob is in the file.
type section struct {
	offset, size int64
}

func (d *daemonContents) manifest(ctx context.Context, _ string) ([]byte, error) {
	return d.raw, d.open(ctx)
}

func (d *daemonContents) blob(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	s, ok := d.blobs[digest]
	if !ok {
		return nil, fmt.Errorf("the daemon's image %s has no blob %s", d.id, digest)
	}
	return io.NopCloser(io.NewSectionReader(d.file, s.offset, s.size)), nil
}

// Close removes the file.
func (d *daemonContents) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	return errors.Join(d.file.Close(), d.files.Remove(d.file.Name()))
}

func (d *daemonContents) open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil && d.err == nil {
		if d.err = d.save(ctx); d.err != nil {
			d.err = &pullError{pullRetried + "failed to copy: the Docker daemon's image " + d.id + ": " + d.err.Error(), d.err}
		}
	}
	return d.err
}

// save has the daemon write the image to a file, and finds its parts in there.
func (d *daemonContents) save(ctx context.Context) (err error) {
	if d.file, err = d.files.CreateTemp(d.tmp, "saved-"); err != nil {
		return err
	}
	stream, err := d.daemon.Save(ctx, d.id)
	if err != nil {
		return err
	}
	n, err := io.Copy(d.file, io.LimitReader(stream, d.limit+1))
	if err = errors.Join(err, stream.Close()); err != nil {
		return err
	}
	if n > d.limit {
		return fmt.Errorf("it has more than %d bytes", d.limit)
	}
	entries, err := index(d.file)
	if err != nil {
		return err
	}
	var list []struct {
		Config string
		Layers []string
	}
	raw, err := d.read(entries, "manifest.json")
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("there are %d images in what it saved", len(list))
	}
	if err != nil {
		return err
	}
	return d.describe(entries, list[0].Config, list[0].Layers)
}

// index finds the files in a tar, links followed.
func index(f io.ReadSeeker) (map[string]section, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	entries, links := map[string]section{}, map[string]string{}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := f.Seek(0, io.SeekCurrent) // the reader reads no further than the header
			if err != nil {
				return nil, err
			}
			entries[name] = section{at, h.Size}
		case tar.TypeSymlink: // a layer that an earlier one equals
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			links[name] = path.Clean(h.Linkname)
		}
	}
	for name, to := range links {
		if s, ok := entries[to]; ok {
			entries[name] = s
		}
	}
	return entries, nil
}

// read is the content of a small file in the tar.
func (d *daemonContents) read(entries map[string]section, name string) ([]byte, error) {
	s, ok := entries[path.Clean(name)]
	if !ok {
		return nil, fmt.Errorf("what it saved has no %s", name)
	}
	return readMeta(io.NopCloser(io.NewSectionReader(d.file, s.offset, s.size)), name)
}

// describe makes a manifest of what was saved.
func (d *daemonContents) describe(entries map[string]section, configName string, layers []string) error {
	raw, err := d.read(entries, configName)
	if err != nil {
		return err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("it has %d layers, its configuration names %d", len(layers), len(config.RootFS.DiffIDs))
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: v1.Descriptor{MediaType: types.DockerConfigJSON, Digest: digest, Size: size}}
	d.blobs = map[string]section{digest.String(): entries[path.Clean(configName)]}
	for i, name := range layers {
		s, ok := entries[path.Clean(name)]
		if !ok {
			return fmt.Errorf("what it saved has no %s", name)
		}
		id := config.RootFS.DiffIDs[i]
		d.blobs[id.String()] = s
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.DockerUncompressedLayer, Digest: id, Size: s.size})
	}
	d.raw, err = json.Marshal(m)
	return err
}

// fromDaemon is where the contents of a daemon's image come from.
func (c *Cache) fromDaemon(id string) *daemonContents {
	return &daemonContents{daemon: c.opts.Daemon, files: c.opts.Files, id: id, tmp: filepath.Join(c.opts.Dir, "tmp"), limit: c.opts.Limits.Bytes}
}
