package registry

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// blob serves GET, HEAD and DELETE of a blob. Any blob can be had through any repository: what is shared is the file,
// and an account is no wall on one machine.
func (h *handler) blob(w http.ResponseWriter, req *http.Request, t *target) {
	var err error
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		err = h.getBlob(w, req, t)
	case http.MethodDelete:
		if err = h.checkTarget(t.partition, t.name); err == nil {
			err = h.DeleteBlob(t.arg)
		}
		if err == nil {
			w.WriteHeader(http.StatusAccepted)
		}
	default:
		h.notAllowed(w, req, "GET, HEAD, DELETE")
	}
	if err != nil {
		h.fail(w, req, err)
	}
}

// sendRate is the slowest a client may read a blob, in bytes a second, before the connection is given up.
const sendRate = 32 << 10

func (h *handler) getBlob(w http.ResponseWriter, req *http.Request, t *target) error {
	if err := h.checkTarget(t.partition, t.name); err != nil {
		return err
	}
	size, err := h.StatBlob(t.arg)
	if err != nil {
		return err
	}
	f, err := h.OpenBlob(t.arg)
	if err != nil {
		return err
	}
	defer f.Close()
	allowed := time.Minute + time.Duration(size/sendRate)*time.Second
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", t.arg)
	w.Header().Set("ETag", `"`+t.arg+`"`)
	w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	http.ServeContent(w, req, "", time.Time{}, f) // ranges and conditions included
	return nil
}

// uploads serves the request that starts an upload.
func (h *handler) uploads(w http.ResponseWriter, req *http.Request, t *target) {
	if req.Method != http.MethodPost {
		h.notAllowed(w, req, "POST")
		return
	}
	if err := h.startUpload(w, req, t); err != nil {
		h.fail(w, req, err)
	}
}

// startUpload begins an upload, or does in one request what needs none: ?mount= takes a blob that is here already,
// ?digest= with the content as body stores it at once.
func (h *handler) startUpload(w http.ResponseWriter, req *http.Request, t *target) error {
	q := req.URL.Query()
	if err := h.checkTarget(t.partition, t.name); err != nil {
		return err
	}
	if mount := q.Get("mount"); mount != "" {
		_, err := h.StatBlob(mount)
		if err == nil {
			h.created(w, t, mount)
			return nil
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != BlobNotFound {
			return err
		}
		// As the specification has it, what can not be mounted is uploaded.
	}
	digest := q.Get("digest")
	if digest != "" && !ValidDigest(digest) {
		return digestInvalid(digest)
	}
	id, err := h.StartUpload(t.partition, t.name)
	if err != nil {
		return err
	}
	if digest == "" {
		h.accepted(w, t, id, 0)
		return nil
	}
	if _, err := h.FinishUpload(req.Context(), t.partition, t.name, id, digest, h.body(w, req)); err != nil {
		// The client has no name for this upload and can not take it up.
		var e *Error
		if cerr := h.CancelUpload(t.partition, t.name, id); cerr != nil && (!errors.As(cerr, &e) || e.Code != UploadNotFound) {
			return errors.Join(err, cerr)
		}
		return err
	}
	h.created(w, t, digest)
	return nil
}

// upload serves the requests about an upload under way.
func (h *handler) upload(w http.ResponseWriter, req *http.Request, t *target) {
	var err error
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		var size int64
		if size, err = h.UploadSize(t.partition, t.name, t.arg); err == nil {
			h.uploadHeaders(w, t, t.arg, size)
			w.WriteHeader(http.StatusNoContent)
		}
	case http.MethodPatch:
		err = h.patchUpload(w, req, t)
	case http.MethodPut:
		err = h.putUpload(w, req, t)
	case http.MethodDelete:
		if err = h.CancelUpload(t.partition, t.name, t.arg); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		h.notAllowed(w, req, "GET, HEAD, PATCH, PUT, DELETE")
	}
	if err == nil {
		return
	}
	var e *Error
	if errors.As(err, &e) && e.Code == UploadRange {
		h.uploadHeaders(w, t, t.arg, e.Offset)
	}
	h.fail(w, req, err)
}

func (h *handler) patchUpload(w http.ResponseWriter, req *http.Request, t *target) error {
	at, want, err := contentRange(req)
	if err != nil {
		return err
	}
	size, err := h.Append(req.Context(), t.partition, t.name, t.arg, h.body(w, req), at, want)
	if err != nil {
		return err
	}
	h.accepted(w, t, t.arg, size)
	return nil
}

func (h *handler) putUpload(w http.ResponseWriter, req *http.Request, t *target) error {
	digest := req.URL.Query().Get("digest")
	at, want, err := contentRange(req)
	if err != nil {
		return err
	}
	if !ValidDigest(digest) {
		return digestInvalid(digest)
	}
	if req.ContentLength != 0 {
		if _, err := h.Append(req.Context(), t.partition, t.name, t.arg, h.body(w, req), at, want); err != nil {
			return err
		}
	}
	if _, err := h.FinishUpload(req.Context(), t.partition, t.name, t.arg, digest, nil); err != nil {
		return err
	}
	h.created(w, t, digest)
	return nil
}

var contentRangeRE = regexp.MustCompile(`^(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/[0-9*]+)?$`)

// contentRange is the offset and length a part says it has, -1 for what it does not say. The specification's form is
// "<first>-<last>"; HTTP's own, "bytes <first>-<last>/<size>", is understood too.
func contentRange(req *http.Request) (at, want int64, err error) {
	at, want = -1, req.ContentLength
	v := req.Header.Get("Content-Range")
	if v == "" {
		return at, want, nil
	}
	m := contentRangeRE.FindStringSubmatch(v)
	if m == nil {
		return 0, 0, errf(SizeInvalid, "Content-Range %q is not of the form <first>-<last>", v)
	}
	at, err = strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, 0, errf(SizeInvalid, "Content-Range %q: %v", v, err)
	}
	last, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return 0, 0, errf(SizeInvalid, "Content-Range %q: %v", v, err)
	}
	n := last - at + 1
	if n < 0 || want >= 0 && n != want {
		return 0, 0, errf(SizeInvalid, "Content-Range %q does not fit a body of %d bytes", v, want)
	}
	return at, n, nil
}

// uploadHeaders say where an upload goes on. Range's last byte is inclusive; an empty upload has "0-0" by convention of
// the reference implementation.
func (h *handler) uploadHeaders(w http.ResponseWriter, t *target, id string, size int64) {
	w.Header().Set("Location", t.base+"/blobs/uploads/"+id)
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
	w.Header().Set("Docker-Upload-Uuid", id)
}

func (h *handler) accepted(w http.ResponseWriter, t *target, id string, size int64) {
	h.uploadHeaders(w, t, id, size)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}

func (h *handler) created(w http.ResponseWriter, t *target, digest string) {
	w.Header().Set("Location", t.base+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}
