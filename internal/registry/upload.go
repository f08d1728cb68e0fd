package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
)

// An upload is a file that grows. Its name is the upload's id and a mark of the repository it was started for, so that a
// request for another repository does not find it and an engine started anew does. What is received stays when a request
// breaks off: the client asks how far the upload stands and goes on from there.

// upload is the memory of one upload: the hash of what its file holds. It is rebuilt from the file when it is missing.
type upload struct {
	path string
	busy bool // guarded by Registry.uploadsMu; its holder owns the fields below
	size int64
	hash hash.Hash // nil if it must be rebuilt
}

var uploadIDRE = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (r *Registry) uploadPath(p batch.Partition, name, id string) string {
	mark := sha256.Sum256([]byte(p.Account + "/" + p.Region + "/" + name))
	return filepath.Join(r.opts.Dir, "uploads", id+"."+hex.EncodeToString(mark[:8]))
}

// StartUpload begins an upload to a repository and returns its id. The repository need not exist unless Options.Strict.
func (r *Registry) StartUpload(p batch.Partition, name string) (string, error) {
	if err := r.checkTarget(p, name); err != nil {
		return "", err
	}
	id := uuid.NewString()
	f, err := r.opts.Files.OpenFile(r.uploadPath(p, name, id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("starting an upload: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("starting an upload: %w", err)
	}
	return id, nil
}

// acquire finds an upload and makes the caller its only user until release.
func (r *Registry) acquire(p batch.Partition, name, id string) (*upload, error) {
	if !uploadIDRE.MatchString(id) {
		return nil, uploadNotFound(p, name, id)
	}
	path := r.uploadPath(p, name, id)
	r.uploadsMu.Lock()
	u := r.uploads[path]
	if u == nil {
		u = &upload{path: path}
		r.uploads[path] = u
	} else if u.busy {
		r.uploadsMu.Unlock()
		return nil, errf(UploadBusy, "another request is writing to upload %s", id)
	}
	u.busy = true
	r.uploadsMu.Unlock()

	if err := u.load(); err != nil {
		r.forget(u)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, uploadNotFound(p, name, id)
		}
		return nil, fmt.Errorf("taking up upload %s: %w", id, err)
	}
	return u, nil
}

func uploadNotFound(p batch.Partition, name, id string) *Error {
	return errf(UploadNotFound, "The upload with id '%s' could not be found for the repository with name '%s' in the registry with id '%s'", id, name, p.Account)
}

func (r *Registry) release(u *upload) {
	r.uploadsMu.Lock()
	u.busy = false
	r.uploadsMu.Unlock()
}

// forget drops the memory of an upload whose file is gone.
func (r *Registry) forget(u *upload) {
	r.uploadsMu.Lock()
	delete(r.uploads, u.path)
	r.uploadsMu.Unlock()
}

// load makes size and hash agree with the file.
func (u *upload) load() error {
	fi, err := os.Stat(u.path)
	if err != nil {
		return err
	}
	if u.hash != nil && u.size == fi.Size() {
		return nil
	}
	f, err := os.Open(u.path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	u.size, u.hash = n, h
	return nil
}

// append writes body to the end of the upload, which may grow to limit bytes. What arrived before an error stays.
func (u *upload) append(ctx context.Context, files fsys.FS, body io.Reader, limit int64) error {
	f, err := files.OpenFile(u.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("writing an upload: %w", err)
	}
	buf := make([]byte, 256<<10)
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var n int
		var rerr error
		n, rerr = body.Read(buf)
		if u.size+int64(n) > limit {
			err = errf(TooLarge, "the blob has more than %d bytes", limit)
			break
		}
		if n > 0 {
			w, werr := f.Write(buf[:n])
			u.size += int64(w)
			u.hash.Write(buf[:w])
			if werr != nil {
				err = fmt.Errorf("writing an upload: %w", werr)
				break
			}
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			err = &bodyError{rerr}
		}
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("writing an upload: %w", cerr)
	}
	return err
}

// bodyError is a failure to read what the client sends, as opposed to one of our own.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// Append adds body to an upload and returns the upload's new length. at is the offset body starts at, or -1 for wherever
// the upload stands; if the upload does not stand there, the error is an *Error (UploadRange) with its Offset. want is
// the number of bytes body should have, or -1. Content that arrived stays when reading body fails.
func (r *Registry) Append(ctx context.Context, p batch.Partition, name, id string, body io.Reader, at, want int64) (int64, error) {
	u, err := r.acquire(p, name, id)
	if err != nil {
		return 0, err
	}
	defer r.release(u)
	if at >= 0 && at != u.size {
		return u.size, &Error{Code: UploadRange, Offset: u.size,
			Message: fmt.Sprintf("the part starts at byte %d, but the upload stands at byte %d", at, u.size)}
	}
	from := u.size
	if err := u.append(ctx, r.opts.Files, body, r.opts.MaxBlob); err != nil {
		return u.size, err
	}
	if got := u.size - from; want >= 0 && got != want {
		return u.size, &Error{Code: SizeInvalid, Offset: u.size,
			Message: fmt.Sprintf("the part was said to have %d bytes, but %d arrived", want, got)}
	}
	return u.size, nil
}

// UploadSize is how many bytes of an upload have arrived.
func (r *Registry) UploadSize(p batch.Partition, name, id string) (int64, error) {
	u, err := r.acquire(p, name, id)
	if err != nil {
		return 0, err
	}
	defer r.release(u)
	return u.size, nil
}

// FinishUpload adds body (which may be nil) to an upload and makes it the blob of this digest, on disk when FinishUpload
// returns. It returns the blob's size. An upload whose content has another digest is dropped (DigestMismatch).
func (r *Registry) FinishUpload(ctx context.Context, p batch.Partition, name, id, digest string, body io.Reader) (int64, error) {
	if !ValidDigest(digest) {
		return 0, digestInvalid(digest)
	}
	u, err := r.acquire(p, name, id)
	if err != nil {
		return 0, err
	}
	defer r.release(u)
	if body != nil {
		if err := u.append(ctx, r.opts.Files, body, r.opts.MaxBlob); err != nil {
			return 0, err
		}
	}
	if got := "sha256:" + hex.EncodeToString(u.hash.Sum(nil)); got != digest {
		err := errf(DigestMismatch, "the content was said to have digest %s, but has %s", digest, got)
		return 0, r.drop(u, err)
	}
	if size, ok, err := r.haveBlob(digest); err != nil {
		return 0, err
	} else if ok {
		return size, r.drop(u, nil)
	}
	f, err := r.opts.Files.OpenFile(u.path, os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("finishing upload %s: %w", id, err)
	}
	if err := r.commitBlob(f, digest); err != nil {
		return 0, err
	}
	r.forget(u)
	return u.size, nil
}

// CancelUpload drops an upload.
func (r *Registry) CancelUpload(p batch.Partition, name, id string) error {
	u, err := r.acquire(p, name, id)
	if err != nil {
		return err
	}
	defer r.release(u)
	return r.drop(u, nil)
}

// drop removes an upload's file and memory and returns cause, or why that failed.
func (r *Registry) drop(u *upload, cause error) error {
	err := r.opts.Files.Remove(u.path)
	r.forget(u)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("dropping an upload: %w", err))
	}
	return cause
}
