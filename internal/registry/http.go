package registry

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// HandlerOptions say how the HTTP API meets its clients.
type HandlerOptions struct {
	Endpoint Endpoint
	// RequireAuth demands the credentials of ecr:GetAuthorizationToken with every request; it is for listeners that are
	// not loopback. Without it any credentials, or none, pass, as for the rest of the API.
	RequireAuth bool
	// BodyIdle is how long a request's body may stand still (60 s).
	BodyIdle time.Duration
}

// Handler is the HTTP API below /v2/ (the request's path includes it).
func (r *Registry) Handler(o HandlerOptions) http.Handler {
	if o.BodyIdle == 0 {
		o.BodyIdle = time.Minute
	}
	return &handler{Registry: r, o: o}
}

type handler struct {
	*Registry
	o HandlerOptions
}

// target is what a request's path is about.
type target struct {
	partition batch.Partition
	name      string // of the repository
	base      string // the path up to and including the repository as the client wrote it, for Location headers
	arg       string // tag, digest or upload id
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	rest, ok := strings.CutPrefix(req.URL.Path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		http.NotFound(w, req)
		return
	}
	caller, err := h.authenticate(req)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+h.o.Endpoint.URL()+`/",service="ecr.amazonaws.com"`)
		h.writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error(), nil)
		return
	}
	if rest == "" || rest == "/" {
		h.read(w, req, func() error {
			w.Header().Set("Content-Type", "application/json")
			_, err := io.WriteString(w, "{}")
			return err
		})
		return
	}
	if rest == "/_catalog" {
		h.read(w, req, func() error { return h.catalog(w, req, caller) })
		return
	}
	h.route(w, req, caller, strings.Split(rest[1:], "/"))
}

// route finds the operation from the end of the path, because a repository's name may have components of any word.
func (h *handler) route(w http.ResponseWriter, req *http.Request, caller batch.Partition, seg []string) {
	n := len(seg)
	at := func(i int) string { // the i-th segment from the end
		if i > n {
			return ""
		}
		return seg[n-i]
	}
	tail := 2
	var serve func(w http.ResponseWriter, req *http.Request, t *target)
	switch {
	case n > 3 && at(3) == "blobs" && at(2) == "uploads" && at(1) == "":
		tail, serve = 3, h.uploads
	case n > 2 && at(2) == "blobs" && at(1) == "uploads":
		serve = h.uploads
	case n > 3 && at(3) == "blobs" && at(2) == "uploads":
		tail, serve = 3, h.upload
	case n > 2 && at(2) == "blobs":
		serve = h.blob
	case n > 2 && at(2) == "manifests":
		serve = h.manifest
	case n > 2 && at(2) == "tags" && at(1) == "list":
		serve = h.tagList
	case n > 2 && at(2) == "referrers":
		serve = h.referrers
	default:
		h.writeError(w, http.StatusNotFound, "UNSUPPORTED", "the distribution API has no path "+req.URL.Path, nil)
		return
	}
	path := strings.Join(seg[:n-tail], "/")
	t := &target{base: "/v2/" + path, arg: at(1)}
	t.partition, t.name = h.partition(req, caller, path)
	if h.o.RequireAuth && t.partition.Account != caller.Account {
		h.writeError(w, http.StatusForbidden, "DENIED",
			"the credentials are for account "+caller.Account+", the repository is in account "+t.partition.Account, nil)
		return
	}
	serve(w, req, t)
}

// partition says which account and region a repository path belongs to: those of a host in ECR's form, else those the
// path begins with, else the caller's.
func (h *handler) partition(req *http.Request, caller batch.Partition, path string) (batch.Partition, string) {
	if p, _, ok := h.o.Endpoint.hostPartition(req.Host); ok {
		return p, path
	}
	return splitPartition(path, caller)
}

// authenticate says who calls: the partition of a token, else the default.
func (h *handler) authenticate(req *http.Request) (batch.Partition, error) {
	_, password, ok := req.BasicAuth()
	if !ok && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		// The URLs of ecr:GetDownloadUrlForLayer carry theirs, as AWS's presigned ones do.
		password = req.URL.Query().Get(tokenParam)
		ok = password != ""
	}
	if ok {
		p, err := h.CheckToken(password)
		if err == nil || h.o.RequireAuth {
			return p, err
		}
	}
	if h.o.RequireAuth {
		return batch.Partition{}, errors.New("no basic auth credentials")
	}
	return h.opts.Default, nil
}

const tokenParam = "X-Batchbox-Token"

// downloadLife is how long a URL of DownloadURL is good for: an hour, as AWS's.
const downloadLife = time.Hour

// DownloadURL is a URL from which a blob can be had without credentials for an hour.
func (r *Registry) DownloadURL(e Endpoint, p batch.Partition, name, digest string) (string, error) {
	token, _, err := r.IssueToken(p, downloadLife)
	if err != nil {
		return "", err
	}
	return e.URL() + "/v2/" + p.Account + "/" + p.Region + "/" + name + "/blobs/" + digest + "?" + tokenParam + "=" + token, nil
}

// read calls fn for GET and HEAD and refuses other methods.
func (h *handler) read(w http.ResponseWriter, req *http.Request, fn func() error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.notAllowed(w, req, "GET, HEAD")
		return
	}
	if err := fn(); err != nil {
		h.fail(w, req, err)
	}
}

func (h *handler) notAllowed(w http.ResponseWriter, req *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	h.writeError(w, http.StatusMethodNotAllowed, "UNSUPPORTED", req.Method+" is not supported on "+req.URL.Path, nil)
}

// wireCodes put the registry's refusals in the specification's words
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes).
var wireCodes = map[Code]struct {
	status int
	code   string
}{
	RepositoryNotFound: {http.StatusNotFound, "NAME_UNKNOWN"},
	NameInvalid:        {http.StatusBadRequest, "NAME_INVALID"},
	TagInvalid:         {http.StatusBadRequest, "TAG_INVALID"},
	DigestInvalid:      {http.StatusBadRequest, "DIGEST_INVALID"},
	ImageNotFound:      {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	TagImmutable:       {http.StatusBadRequest, "TAG_INVALID"},
	ImageReferenced:    {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	ManifestInvalid:    {http.StatusBadRequest, "MANIFEST_INVALID"},
	BlobsMissing:       {http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"},
	ImagesMissing:      {http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"},
	BlobNotFound:       {http.StatusNotFound, "BLOB_UNKNOWN"},
	BlobReferenced:     {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	UploadNotFound:     {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	UploadRange:        {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	UploadBusy:         {http.StatusConflict, "BLOB_UPLOAD_INVALID"},
	DigestMismatch:     {http.StatusBadRequest, "DIGEST_INVALID"},
	SizeInvalid:        {http.StatusBadRequest, "SIZE_INVALID"},
	TooLarge:           {http.StatusRequestEntityTooLarge, "SIZE_INVALID"},
}

// fail answers with an error. What is no refusal of the registry is a fault of the machine or of the connection.
func (h *handler) fail(w http.ResponseWriter, req *http.Request, err error) {
	var e *Error
	if errors.As(err, &e) {
		if wire, ok := wireCodes[e.Code]; ok {
			var detail any
			if e.Detail != nil {
				detail = map[string]any{"digests": e.Detail}
			}
			message := e.Message
			if e.Code == ImageNotFound {
				message = "Requested image not found" // what ECR says here, as Docker has passed it on in public
			}
			h.writeError(w, wire.status, wire.code, message, detail)
			return
		}
	}
	var body *bodyError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.writeError(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", "the body has more than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes", nil)
	case errors.Is(err, store.ErrUnavailable):
		h.opts.Log.Error("registry request failed", "method", req.Method, "path", req.URL.Path, "error", err)
		h.writeError(w, http.StatusServiceUnavailable, "UNKNOWN", "the engine can not write its store; the log has the reason", nil)
	case errors.As(err, &body):
		h.writeError(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error(), nil)
	default:
		if req.Context().Err() == nil {
			h.opts.Log.Error("registry request failed", "method", req.Method, "path", req.URL.Path, "error", err)
		}
		h.writeError(w, http.StatusInternalServerError, "UNKNOWN", "internal error", nil)
	}
}

type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

func (h *handler) writeError(w http.ResponseWriter, status int, code, message string, detail any) {
	h.writeJSON(w, status, "application/json", map[string]any{"errors": []wireError{{code, message, detail}}})
}

// writeJSON sends an answer. A client that no longer listens is not an error of ours.
func (h *handler) writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only values of this package are given
		h.opts.Log.Error("encoding a registry answer", "error", err)
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// body is the request's body with a deadline that each read moves on, so that a client may be slow but not stand still.
func (h *handler) body(w http.ResponseWriter, req *http.Request) io.Reader {
	return &idleReader{req.Body, http.NewResponseController(w), h.o.BodyIdle}
}

type idleReader struct {
	r    io.Reader
	c    *http.ResponseController
	idle time.Duration
}

func (r *idleReader) Read(b []byte) (int, error) {
	// A server that can not set deadlines (a test's recorder) has its own.
	if err := r.c.SetReadDeadline(time.Now().Add(r.idle)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return r.r.Read(b)
}
