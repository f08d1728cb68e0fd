package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The media types of manifests this registry takes.
const (
	MediaTypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// maxChildren bounds the descriptors of one manifest: far above any image, far below what would make checking them slow.
const maxChildren = 10_000

// Image is the record of one image or index in one repository. Its JSON is how the store keeps it.
type Image struct {
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// ArtifactType is the manifest's own, else its config's media type; "" for an index without one.
	ArtifactType string `json:"artifactType,omitempty"`
	// ManifestSize is the manifest's length; Size is ECR's imageSizeInBytes: config and layers as stored, for an index the
	// largest of its images.
	ManifestSize int64     `json:"manifestSize"`
	Size         int64     `json:"size"`
	PushedAt     time.Time `json:"pushedAt"`
	// Blobs are the config and layers that lie here, Manifests an index's images, Subject what this refers to.
	Blobs       []string          `json:"blobs,omitempty"`
	Manifests   []string          `json:"manifests,omitempty"`
	Subject     string            `json:"subject,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// IsIndex says whether this is a list of images.
func (img *Image) IsIndex() bool {
	return img.MediaType == MediaTypeOCIIndex || img.MediaType == MediaTypeDockerList
}

// needs are the digests of every file an image needs, its own manifest first.
func (img *Image) needs() []string { return append([]string{img.Digest}, img.Blobs...) }

// descriptor is a manifest's reference to content.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
}

// manifest is what the registry reads of a manifest or index.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads a manifest that was sent as contentType ("" if the sender did not say) and checks it as far as it
// can be without looking anything up.
func parseManifest(raw []byte, contentType string) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, errf(ManifestInvalid, "the manifest is not valid JSON: %v", err)
	}
	if m.MediaType == "" {
		m.MediaType = contentType
	}
	if contentType != "" && contentType != m.MediaType {
		return nil, errf(ManifestInvalid, "the manifest calls itself %q, but was sent as %q", m.MediaType, contentType)
	}
	if m.SchemaVersion != 2 {
		return nil, errf(ManifestInvalid, "the manifest has schemaVersion %d: only 2 is supported", m.SchemaVersion)
	}
	switch m.MediaType {
	case MediaTypeOCIManifest, MediaTypeDockerManifest:
		if m.Manifests != nil {
			return nil, errf(ManifestInvalid, "the image manifest has a list of manifests")
		}
		if m.Config == nil {
			return nil, errf(ManifestInvalid, "the image manifest has no config")
		}
	case MediaTypeOCIIndex, MediaTypeDockerList:
		if m.Config != nil || m.Layers != nil {
			return nil, errf(ManifestInvalid, "the index has a config or layers")
		}
	case "":
		return nil, errf(ManifestInvalid, "neither the manifest nor its sender says its media type")
	default:
		return nil, errf(ManifestInvalid, "manifests of media type %q are not supported", m.MediaType)
	}
	if n := len(m.Layers) + len(m.Manifests); n > maxChildren {
		return nil, errf(ManifestInvalid, "the manifest has %d descriptors, the limit is %d", n, maxChildren)
	}
	return &m, m.checkDescriptors()
}

func (m *manifest) checkDescriptors() error {
	check := func(what string, d *descriptor) error {
		if !ValidDigest(d.Digest) {
			return errf(ManifestInvalid, "%s has digest %q: want sha256: and 64 hexadecimal digits", what, d.Digest)
		}
		if d.Size < 0 {
			return errf(ManifestInvalid, "%s has size %d", what, d.Size)
		}
		return nil
	}
	for what, d := range map[string]*descriptor{"the config": m.Config, "the subject": m.Subject} {
		if d != nil {
			if err := check(what, d); err != nil {
				return err
			}
		}
	}
	for i := range m.Layers {
		if err := check(fmt.Sprintf("layer %d", i+1), &m.Layers[i]); err != nil {
			return err
		}
	}
	for i := range m.Manifests {
		if err := check(fmt.Sprintf("manifest %d", i+1), &m.Manifests[i]); err != nil {
			return err
		}
	}
	return nil
}

// blobs are the descriptors of content that must lie in the registry: the config and the layers, save those that are
// fetched from a URL of their own (foreign layers).
func (m *manifest) blobs() []descriptor {
	var out []descriptor
	if m.Config != nil {
		out = append(out, *m.Config)
	}
	for _, l := range m.Layers {
		if len(l.URLs) == 0 {
			out = append(out, l)
		}
	}
	return out
}

// image is the record of the manifest. Size is set for images only.
func (m *manifest) image(digest string, size int, now time.Time) *Image {
	img := &Image{
		Digest:       digest,
		MediaType:    m.MediaType,
		ArtifactType: m.ArtifactType,
		ManifestSize: int64(size),
		PushedAt:     now,
		Annotations:  m.Annotations,
	}
	if m.Config != nil && img.ArtifactType == "" {
		img.ArtifactType = m.Config.MediaType
	}
	if m.Subject != nil {
		img.Subject = m.Subject.Digest
	}
	for _, d := range m.blobs() {
		img.Size += d.Size
		if !slices.Contains(img.Blobs, d.Digest) {
			img.Blobs = append(img.Blobs, d.Digest)
		}
	}
	for _, d := range m.Manifests {
		if !slices.Contains(img.Manifests, d.Digest) {
			img.Manifests = append(img.Manifests, d.Digest)
		}
	}
	return img
}
