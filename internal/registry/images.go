package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Put is a manifest to be stored.
type Put struct {
	// Manifest is stored byte for byte. MediaType may be "" if the manifest has a mediaType member.
	Manifest  []byte
	MediaType string
	// Tag names the image; "" leaves it untagged. Digest, if not "", is what the manifest's must be.
	Tag, Digest string
	// New refuses (ImageExists) when the image is there and has the tag already, as ECR's PutImage does; a push over HTTP
	// finds that in order.
	New bool
	// NoCreate refuses when the repository does not exist even if the registry is not strict.
	NoCreate bool
}

// PutImage stores a manifest or index in a repository and tags it. Everything it names must be there: config and layers
// as blobs, an index's images in the same repository. When PutImage returns nil the image is on disk and visible.
func (r *Registry) PutImage(ctx context.Context, p batch.Partition, name string, put Put) (Image, error) {
	if put.Tag != "" && !ValidTag(put.Tag) {
		return Image{}, errf(TagInvalid, "%q is not a valid tag", put.Tag)
	}
	if err := r.checkTarget(p, name); err != nil {
		return Image{}, err
	}
	if int64(len(put.Manifest)) > r.opts.MaxManifest {
		return Image{}, errf(TooLarge, "the manifest has more than %d bytes", r.opts.MaxManifest)
	}
	m, err := parseManifest(put.Manifest, put.MediaType)
	if err != nil {
		return Image{}, err
	}
	digest, err := r.putBytes(put.Manifest)
	if err != nil {
		return Image{}, err
	}
	if put.Digest != "" && put.Digest != digest {
		return Image{}, errf(DigestMismatch, "the manifest was said to have digest %s, but has %s", put.Digest, digest)
	}

	r.write.Lock()
	defer r.write.Unlock()
	rp, err := r.find(p, name)
	created := false
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Code != RepositoryNotFound || r.opts.Strict || put.NoCreate {
			return Image{}, err
		}
		rp, created = newRepository(r.defaults(Repository{Name: name})), true
	}
	img := rp.images[digest]
	known := img != nil
	if !known {
		img = m.image(digest, len(put.Manifest), r.opts.Now())
		if err := r.checkNeeds(p, name, rp, m, img); err != nil {
			return Image{}, err
		}
	}
	if old, tagged := rp.tags[put.Tag]; tagged || known {
		if known && put.New && (put.Tag == "" || old == digest) {
			return Image{}, errf(ImageExists, "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
				digest, orNull(put.Tag), name, p.Account)
		}
		if tagged && old != digest && !rp.rec.movable(put.Tag) {
			return Image{}, errf(TagImmutable, "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.",
				put.Tag, name)
		}
		if known && (put.Tag == "" || old == digest) {
			return *img, nil
		}
	}
	err = r.opts.Docs.Update(ctx, func(w store.Writer) error {
		if created {
			if err := putNew(w, p, rp.rec); err != nil {
				return err
			}
		}
		if !known {
			if err := w.Put(p, kindImage, name+"@"+digest, img); err != nil {
				return err
			}
		}
		if put.Tag == "" {
			return nil
		}
		return w.Put(p, kindTag, name+":"+put.Tag, tagDoc{digest})
	})
	if err != nil {
		return Image{}, err
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if created {
		r.repos[repoKey{p, name}] = rp
	}
	if !known {
		rp.images[digest] = img
		r.count(img, +1)
	}
	if put.Tag != "" {
		rp.tags[put.Tag] = digest
	}
	return *img, nil
}

// checkNeeds makes sure that everything a manifest names is here, and completes img with what that tells. The caller
// holds write, so that nothing of it can be collected meanwhile.
func (r *Registry) checkNeeds(p batch.Partition, name string, rp *repository, m *manifest, img *Image) error {
	var missing []string
	// The manifest itself was stored before the lock was taken.
	if _, err := r.StatBlob(img.Digest); err != nil {
		return err
	}
	for _, d := range m.blobs() {
		size, err := r.StatBlob(d.Digest)
		var e *Error
		switch {
		case errors.As(err, &e) && e.Code == BlobNotFound:
			if !slices.Contains(missing, d.Digest) {
				missing = append(missing, d.Digest)
			}
		case err != nil:
			return err
		case size != d.Size:
			return errf(ManifestInvalid, "the manifest says that %s has %d bytes, but it has %d", d.Digest, d.Size, size)
		}
	}
	if missing != nil {
		return &Error{Code: BlobsMissing, Detail: missing,
			Message: fmt.Sprintf("Layers with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				strings.Join(missing, ", "), name, p.Account)}
	}
	for _, d := range img.Manifests {
		child := rp.images[d]
		if child == nil {
			missing = append(missing, d)
			continue
		}
		img.Size = max(img.Size, child.Size)
	}
	if missing != nil {
		return &Error{Code: ImagesMissing, Detail: missing,
			Message: fmt.Sprintf("Images with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				strings.Join(missing, ", "), name, p.Account)}
	}
	return nil
}

// Resolve finds the image a tag or a digest names; with both, the image that has both.
func (r *Registry) Resolve(p batch.Partition, name, tag, digest string) (Image, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rp, err := r.find(p, name)
	if err != nil {
		return Image{}, err
	}
	d := digest
	if tag != "" {
		d = rp.tags[tag]
	}
	img := rp.images[d]
	if img == nil || digest != "" && digest != d {
		return Image{}, imageNotFound(p, name, tag, digest)
	}
	return *img, nil
}

// Manifest reads the manifest of an image.
func (r *Registry) Manifest(img Image) ([]byte, error) {
	return r.readBlob(img.Digest, r.opts.MaxManifest)
}

// TaggedImage is an image with its tags, in ascending order.
type TaggedImage struct {
	Image
	Tags []string
}

// Images are all images of a repository, in ascending order of digest.
func (r *Registry) Images(p batch.Partition, name string) ([]TaggedImage, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rp, err := r.find(p, name)
	if err != nil {
		return nil, err
	}
	tags := map[string][]string{}
	for tag, d := range rp.tags {
		tags[d] = append(tags[d], tag)
	}
	out := make([]TaggedImage, 0, len(rp.images))
	for d, img := range rp.images {
		slices.Sort(tags[d])
		out = append(out, TaggedImage{*img, tags[d]})
	}
	slices.SortFunc(out, func(a, b TaggedImage) int { return strings.Compare(a.Digest, b.Digest) })
	return out, nil
}

// Tags are all tags of a repository, in ascending order.
func (r *Registry) Tags(p batch.Partition, name string) ([]string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rp, err := r.find(p, name)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(rp.tags))
	for tag := range rp.tags {
		out = append(out, tag)
	}
	slices.Sort(out)
	return out, nil
}

// Untag takes a tag away and returns the digest it named. As in ECR, an image whose last tag goes is deleted with it
// when deleteLast is set (the API's BatchDeleteImage), else stays untagged.
func (r *Registry) Untag(ctx context.Context, p batch.Partition, name, tag string, deleteLast bool) (string, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rp, err := r.find(p, name)
	if err != nil {
		return "", err
	}
	digest, ok := rp.tags[tag]
	if !ok {
		return "", imageNotFound(p, name, tag, "")
	}
	if deleteLast && len(rp.tagsOf(digest)) == 1 {
		_, err := r.deleteImage(ctx, p, name, rp, digest)
		return digest, err
	}
	err = r.opts.Docs.Update(ctx, func(w store.Writer) error {
		_, err := w.Delete(p, kindTag, name+":"+tag)
		return err
	})
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	delete(rp.tags, tag)
	r.mu.Unlock()
	return digest, nil
}

// DeleteImage removes an image and its tags, which it returns in ascending order. An image that an index of the
// repository lists is refused (ImageReferenced).
func (r *Registry) DeleteImage(ctx context.Context, p batch.Partition, name, digest string) ([]string, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rp, err := r.find(p, name)
	if err != nil {
		return nil, err
	}
	if rp.images[digest] == nil {
		return nil, imageNotFound(p, name, "", digest)
	}
	return r.deleteImage(ctx, p, name, rp, digest)
}

// deleteImage does it; the caller holds write.
func (r *Registry) deleteImage(ctx context.Context, p batch.Partition, name string, rp *repository, digest string) ([]string, error) {
	for _, other := range rp.images {
		if slices.Contains(other.Manifests, digest) {
			return nil, errf(ImageReferenced, "Requested image referenced by manifest list: [%s]", other.Digest)
		}
	}
	tags := rp.tagsOf(digest)
	err := r.opts.Docs.Update(ctx, func(w store.Writer) error {
		for _, tag := range tags {
			if _, err := w.Delete(p, kindTag, name+":"+tag); err != nil {
				return err
			}
		}
		_, err := w.Delete(p, kindImage, name+"@"+digest)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tag := range tags {
		delete(rp.tags, tag)
	}
	r.count(rp.images[digest], -1)
	delete(rp.images, digest)
	return tags, nil
}

func (rp *repository) tagsOf(digest string) []string {
	var out []string
	for tag, d := range rp.tags {
		if d == digest {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return out
}

// Referrers are the images of a repository whose subject is digest, in ascending order of digest; with artifactType only
// those of that type. A repository or subject that is not there has none.
func (r *Registry) Referrers(p batch.Partition, name, digest, artifactType string) []Image {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rp := r.repos[repoKey{p, name}]
	if rp == nil {
		return nil
	}
	var out []Image
	for _, img := range rp.images {
		if img.Subject == digest && (artifactType == "" || artifactType == img.ArtifactType) {
			out = append(out, *img)
		}
	}
	slices.SortFunc(out, func(a, b Image) int { return strings.Compare(a.Digest, b.Digest) })
	return out
}
