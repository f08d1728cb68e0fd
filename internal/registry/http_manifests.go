package registry

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/batchbox/batchbox/internal/batch"
)

// manifest serves the requests about one image, by tag or digest.
func (h *handler) manifest(w http.ResponseWriter, req *http.Request, t *target) {
	var err error
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		err = h.getManifest(w, req, t)
	case http.MethodPut:
		err = h.putManifest(w, req, t)
	case http.MethodDelete:
		err = h.deleteManifest(w, req, t)
	default:
		h.notAllowed(w, req, "GET, HEAD, PUT, DELETE")
	}
	if err != nil {
		h.fail(w, req, err)
	}
}

// identifier takes a path's last segment for a digest if it has a colon, which no tag has.
func (t *target) identifier() (tag, digest string, err error) {
	switch {
	case ValidDigest(t.arg):
		return "", t.arg, nil
	case ValidTag(t.arg):
		return t.arg, "", nil
	default:
		return "", "", errf(TagInvalid, "%q is neither a tag nor a sha256 digest", t.arg)
	}
}

func (h *handler) getManifest(w http.ResponseWriter, req *http.Request, t *target) error {
	tag, digest, err := t.identifier()
	if err != nil {
		return err
	}
	img, err := h.Resolve(t.partition, t.name, tag, digest)
	if err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", img.Digest)
	w.Header().Set("ETag", `"`+img.Digest+`"`)
	if req.Header.Get("If-None-Match") == `"`+img.Digest+`"` {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	raw, err := h.Manifest(img)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", img.MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		_, _ = w.Write(raw) // a client that no longer listens is not an error of ours
	}
	return nil
}

func (h *handler) putManifest(w http.ResponseWriter, req *http.Request, t *target) error {
	tag, digest, err := t.identifier()
	if err != nil {
		return err
	}
	if err := h.checkTarget(t.partition, t.name); err != nil {
		return err
	}
	mediaType := req.Header.Get("Content-Type")
	if mediaType != "" {
		if mediaType, _, err = mime.ParseMediaType(mediaType); err != nil {
			return errf(ManifestInvalid, "Content-Type %q: %v", req.Header.Get("Content-Type"), err)
		}
	}
	req.Body = http.MaxBytesReader(w, req.Body, h.opts.MaxManifest)
	raw, err := io.ReadAll(h.body(w, req))
	if err != nil {
		return &bodyError{err}
	}
	img, err := h.PutImage(req.Context(), t.partition, t.name, Put{Manifest: raw, MediaType: mediaType, Tag: tag, Digest: digest})
	if err != nil {
		return err
	}
	w.Header().Set("Location", t.base+"/manifests/"+img.Digest)
	w.Header().Set("Docker-Content-Digest", img.Digest)
	if img.Subject != "" {
		w.Header().Set("OCI-Subject", img.Subject)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *handler) deleteManifest(w http.ResponseWriter, req *http.Request, t *target) error {
	tag, digest, err := t.identifier()
	if err != nil {
		return err
	}
	if tag != "" {
		_, err = h.Untag(req.Context(), t.partition, t.name, tag, false)
	} else {
		_, err = h.DeleteImage(req.Context(), t.partition, t.name, digest)
	}
	if err == nil {
		w.WriteHeader(http.StatusAccepted)
	}
	return err
}

// page cuts a sorted list as ?n= and ?last= ask, and leaves a Link header if there is more.
func page(w http.ResponseWriter, req *http.Request, all []string) ([]string, error) {
	q := req.URL.Query()
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(all, last)
		if found {
			i++
		}
		all = all[i:]
	}
	if !q.Has("n") {
		return all, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return nil, errf(SizeInvalid, "n is %q: want a number of at least 0", q.Get("n"))
	}
	if n >= len(all) {
		return all, nil
	}
	if n > 0 {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {all[n-1]}}
		w.Header().Set("Link", "<"+req.URL.Path+"?"+next.Encode()+`>; rel="next"`)
	}
	return all[:n], nil
}

func (h *handler) tagList(w http.ResponseWriter, req *http.Request, t *target) {
	h.read(w, req, func() error {
		tags, err := h.Tags(t.partition, t.name)
		if err != nil {
			return err
		}
		if tags, err = page(w, req, tags); err != nil {
			return err
		}
		h.writeJSON(w, http.StatusOK, "application/json", map[string]any{"name": t.base[len("/v2/"):], "tags": tags})
		return nil
	})
}

// catalog lists repositories under names that this host understands: those of one partition for a host in ECR's form,
// else those of every partition with account and region in front.
func (h *handler) catalog(w http.ResponseWriter, req *http.Request, caller batch.Partition) error {
	names := []string{}
	if p, _, ok := h.o.Endpoint.hostPartition(req.Host); ok {
		for _, rec := range h.Repositories(p) {
			names = append(names, rec.Name)
		}
	} else {
		h.mu.RLock()
		for k := range h.repos {
			if !h.o.RequireAuth || k.Account == caller.Account {
				names = append(names, k.Account+"/"+k.Region+"/"+k.name)
			}
		}
		h.mu.RUnlock()
		slices.Sort(names)
	}
	names, err := page(w, req, names)
	if err != nil {
		return err
	}
	h.writeJSON(w, http.StatusOK, "application/json", map[string]any{"repositories": names})
	return nil
}

type referrerDescriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func (h *handler) referrers(w http.ResponseWriter, req *http.Request, t *target) {
	h.read(w, req, func() error { return h.listReferrers(w, req, t) })
}

func (h *handler) listReferrers(w http.ResponseWriter, req *http.Request, t *target) error {
	if !ValidDigest(t.arg) {
		return digestInvalid(t.arg)
	}
	var e *Error
	if err := h.checkTarget(t.partition, t.name); errors.As(err, &e) && e.Code != RepositoryNotFound {
		return err
	}
	artifactType := req.URL.Query().Get("artifactType")
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	list := []referrerDescriptor{}
	for _, img := range h.Referrers(t.partition, t.name, t.arg, artifactType) {
		list = append(list, referrerDescriptor{img.MediaType, img.Digest, img.ManifestSize, img.ArtifactType, img.Annotations})
	}
	h.writeJSON(w, http.StatusOK, MediaTypeOCIIndex, map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeOCIIndex, "manifests": list,
	})
	return nil
}
