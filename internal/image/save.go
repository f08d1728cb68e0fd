package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// saveArchive makes the archive form of an image be there: a tar as `docker save` writes it, for a daemon to load. Layers are
// in there as they came, save those that old daemons can not uncompress; the daemon checks them against the configuration. The
// results are those of unpackFlat.
func (c *Cache) saveArchive(ctx context.Context, from contents, digest string, img *opened) (put func(*record), unpin func(), err error) {
	file := c.archiveFile(digest)
	unpin = c.pin(file)
	f, err := c.opts.Files.CreateTemp(filepath.Join(c.opts.Dir, "tmp"), "archive-")
	if err != nil {
		return nil, unpin, err
	}
	ref := runtime.Image{Digest: digest}
	size, err := writeArchive(ctx, c.opts.Files, f, from, img, ref.ArchiveName(), filepath.Join(c.opts.Dir, "tmp"), c.opts.Limits.Bytes)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = c.opts.Files.Rename(f.Name(), file)
	}
	if err != nil {
		return nil, unpin, errors.Join(err, c.opts.Files.Remove(f.Name()))
	}
	return func(rec *record) { rec.Archive, rec.ArchiveBytes = true, size }, unpin, c.opts.Files.SyncDir(filepath.Dir(file))
}

// writeArchive writes an image under a name, with at most limit bytes of layers. tmp is for layers that have to be rewritten.
func writeArchive(ctx context.Context, files fsys.FS, f io.Writer, from contents, img *opened, name, tmp string, limit int64) (size int64, err error) {
	out := bufio.NewWriterSize(f, 1<<20)
	counted := &countingWriter{w: out}
	w := tar.NewWriter(counted)
	entry := func(name string, size int64, r io.Reader) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.CopyN(w, r, size)
		return err
	}
	var layers []string
	there := map[string]bool{}
	for _, d := range img.manifest.Layers {
		name := d.Digest.Hex + ".tar"
		layers = append(layers, name)
		if there[name] {
			continue
		}
		there[name] = true
		if limit -= d.Size; limit < 0 {
			return 0, &pullError{text: fmt.Sprintf("%sfailed to copy: the image's layers are larger than allowed", pullRetried)}
		}
		if err := saveLayer(ctx, files, from, d, tmp, func(size int64, r io.Reader) error { return entry(name, size, r) }); err != nil {
			return 0, &pullError{pullRetried + "failed to copy layer " + d.Digest.String() + ": " + err.Error(), err}
		}
	}
	config := img.manifest.Config.Digest.Hex + ".json"
	list, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": []string{name}, "Layers": layers}})
	if err != nil {
		return 0, err
	}
	if err := entry(config, int64(len(img.raw)), bytes.NewReader(img.raw)); err != nil {
		return 0, err
	}
	if err := entry("manifest.json", int64(len(list)), bytes.NewReader(list)); err != nil {
		return 0, err
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		return 0, err
	}
	return counted.n, nil
}

// saveLayer gives a layer to entry. Docker before 23.0 does not know zstd.
func saveLayer(ctx context.Context, files fsys.FS, from contents, d v1.Descriptor, tmp string, entry func(size int64, r io.Reader) error) (err error) {
	rc, err := from.blob(ctx, d.Digest.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	r := bufio.NewReader(rc)
	if magic, _ := r.Peek(4); string(magic) != "\x28\xb5\x2f\xfd" {
		return entry(d.Size, r)
	}
	plain, err := uncompressed(ctx, from, d)
	if err != nil {
		return err
	}
	f, err := files.CreateTemp(tmp, "layer-")
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	defer func() { err = errors.Join(err, f.Close(), files.Remove(f.Name())) }()
	size, err := io.Copy(f, plain)
	if err = errors.Join(err, plain.Close()); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return entry(size, f)
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}
