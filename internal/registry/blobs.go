package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
)

// Blob file layout below Options.Dir:
//
//	blobs/sha256/ab/abcdef...   a blob or a manifest, named by its content; complete and on disk once it has this name
//	uploads/<id>                content received so far (see upload.go)
//	tmp/                        files on their way to blobs/

// touchAfter is how old a blob's time stamp must be before a use refreshes it. The stamp is what keeps an unreferenced
// blob from collection for Options.Grace, so it need not be exact.
const touchAfter = time.Hour

func (r *Registry) blobPath(digest string) string {
	hexed := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(r.opts.Dir, "blobs", "sha256", hexed[:2], hexed)
}

// StatBlob is the size of a blob; the error is an *Error (BlobNotFound) if it is not here. The use counts: a blob that
// no image needs stays at least Options.Grace from now.
func (r *Registry) StatBlob(digest string) (int64, error) {
	if !ValidDigest(digest) {
		return 0, digestInvalid(digest)
	}
	path := r.blobPath(digest)
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errf(BlobNotFound, "blob %s is not in the registry", digest)
	}
	if err != nil {
		return 0, fmt.Errorf("looking up blob %s: %w", digest, err)
	}
	if now := r.opts.Now(); now.Sub(fi.ModTime()) > touchAfter {
		if err := r.opts.Files.Do("chtimes", path, func() error { return os.Chtimes(path, now, now) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("refreshing blob %s: %w", digest, err)
		}
	}
	return fi.Size(), nil
}

// OpenBlob opens a blob for reading; the caller closes it. The error is an *Error (BlobNotFound) if it is not here. An
// open blob stays readable even if it is collected meanwhile.
func (r *Registry) OpenBlob(digest string) (*os.File, error) {
	if !ValidDigest(digest) {
		return nil, digestInvalid(digest)
	}
	f, err := os.Open(r.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errf(BlobNotFound, "blob %s is not in the registry", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", digest, err)
	}
	return f, nil
}

// putBytes stores a small blob (a manifest) and returns its digest once it is on disk.
func (r *Registry) putBytes(b []byte) (string, error) {
	sum := sha256.Sum256(b)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if _, ok, err := r.haveBlob(digest); ok || err != nil {
		return digest, err
	}
	f, err := r.opts.Files.CreateTemp(filepath.Join(r.opts.Dir, "tmp"), "blob-")
	if err != nil {
		return "", fmt.Errorf("storing blob %s: %w", digest, err)
	}
	defer func() { _ = r.opts.Files.Remove(f.Name()) }() // gone already when the commit succeeded; what stays is cleared by Open
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return "", fmt.Errorf("storing blob %s: %w", digest, err)
	}
	return digest, r.commitBlob(f, digest)
}

// commitBlob makes the file, whose content has this digest, a blob: on disk under its name when commitBlob returns nil.
// It closes f.
func (r *Registry) commitBlob(f fsys.File, digest string) error {
	err := errors.Join(f.Sync(), f.Close())
	path := r.blobPath(digest)
	if err == nil {
		err = r.opts.Files.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = r.opts.Files.Do("chtimes", f.Name(), func() error { return os.Chtimes(f.Name(), r.opts.Now(), r.opts.Now()) })
	}
	if err == nil {
		err = r.opts.Files.Rename(f.Name(), path)
	}
	if err == nil {
		err = r.syncBlob(path)
	}
	if err != nil {
		return fmt.Errorf("storing blob %s: %w", digest, err)
	}
	return nil
}

// syncBlob makes the name of a blob durable.
func (r *Registry) syncBlob(path string) error {
	if err := r.opts.Files.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	// The directory itself may be new.
	return r.opts.Files.SyncDir(filepath.Dir(filepath.Dir(path)))
}

// haveBlob says whether a blob is there, so that it need not be stored again, and makes sure of it: the one who put it
// there may have been told that its name is not durable.
func (r *Registry) haveBlob(digest string) (size int64, ok bool, err error) {
	if size, err = r.StatBlob(digest); err != nil {
		return 0, false, nil //nolint:nilerr // then it is stored
	}
	if err := r.syncBlob(r.blobPath(digest)); err != nil {
		return 0, false, fmt.Errorf("storing blob %s: %w", digest, err)
	}
	return size, true, nil
}

// readBlob reads a small blob whole, at most limit bytes.
func (r *Registry) readBlob(digest string, limit int64) ([]byte, error) {
	f, err := r.OpenBlob(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", digest, err)
	}
	if int64(len(b)) > limit {
		return nil, errf(TooLarge, "blob %s has more than %d bytes", digest, limit)
	}
	return b, nil
}
