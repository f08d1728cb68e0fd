package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Swept says what a Sweep removed.
type Swept struct {
	Blobs, Uploads int
	Bytes          int64
}

// Sweep removes blobs that no image needs and nobody used for Options.Grace, and uploads that rested for
// Options.UploadTTL. It may run at any time. A file that can not be removed does not keep it from the others; the error
// names every one.
func (r *Registry) Sweep(ctx context.Context) (Swept, error) {
	var s Swept
	err := errors.Join(r.sweepUploads(ctx, &s), r.sweepBlobs(ctx, &s))
	if s.Blobs+s.Uploads > 0 {
		r.opts.Log.Info("registry swept", "blobs", s.Blobs, "uploads", s.Uploads, "bytes", s.Bytes)
	}
	return s, err
}

func (r *Registry) sweepUploads(ctx context.Context, s *Swept) error {
	dir := filepath.Join(r.opts.Dir, "uploads")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweeping uploads: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && r.opts.Now().Sub(fi.ModTime()) < r.opts.UploadTTL {
			continue
		}
		removed := false
		if err == nil {
			removed, err = r.sweepUpload(filepath.Join(dir, e.Name()))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweeping uploads: %w", err))
		}
		if removed {
			s.Uploads++
			s.Bytes += fi.Size()
		}
	}
	return errors.Join(errs...)
}

// sweepUpload removes an upload's file unless a request is writing to it.
func (r *Registry) sweepUpload(path string) (removed bool, err error) {
	r.uploadsMu.Lock()
	defer r.uploadsMu.Unlock()
	if u := r.uploads[path]; u != nil && u.busy {
		return false, nil
	}
	delete(r.uploads, path)
	err = r.opts.Files.Remove(path)
	return err == nil, err
}

func (r *Registry) sweepBlobs(ctx context.Context, s *Swept) error {
	root := filepath.Join(r.opts.Dir, "blobs", "sha256")
	var errs []error
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() {
			return nil
		}
		size, err := r.sweepBlob(path, "sha256:"+d.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("sweeping blobs: %w", err))
		}
		if size >= 0 {
			s.Blobs++
			s.Bytes += size
		}
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("sweeping blobs: %w", err))
	}
	return errors.Join(errs...)
}

// sweepBlob removes a blob if nothing needs it and returns its size, or -1 if it stays. The lock keeps a manifest that
// is about to need it from being recorded between the look and the removal.
func (r *Registry) sweepBlob(path, digest string) (int64, error) {
	r.write.Lock()
	defer r.write.Unlock()
	if r.refs[digest] > 0 {
		return -1, nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return -1, err
	}
	if r.opts.Now().Sub(fi.ModTime()) < r.opts.Grace {
		return -1, nil
	}
	if err := r.opts.Files.Remove(path); err != nil {
		return -1, err
	}
	return fi.Size(), nil
}

// DeleteBlob removes a blob that no image in any repository needs; one that is needed is refused (BlobReferenced).
func (r *Registry) DeleteBlob(digest string) error {
	if !ValidDigest(digest) {
		return digestInvalid(digest)
	}
	r.write.Lock()
	defer r.write.Unlock()
	if n := r.refs[digest]; n > 0 {
		return errf(BlobReferenced, "blob %s is needed by %d image(s)", digest, n)
	}
	err := r.opts.Files.Remove(r.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return errf(BlobNotFound, "blob %s is not in the registry", digest)
	}
	return err
}

// Run sweeps at once and then every hour until ctx ends. A sweep that fails is logged, and the next one tries again.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if _, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.opts.Log.Warn("registry sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
