package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// The values of Repository.TagMutability, in ECR's spelling.
const (
	Mutable                = "MUTABLE"
	Immutable              = "IMMUTABLE"
	MutableWithExclusion   = "MUTABLE_WITH_EXCLUSION"
	ImmutableWithExclusion = "IMMUTABLE_WITH_EXCLUSION"
)

// Repository is a repository's record. Its JSON is how the store keeps it.
type Repository struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	// TagMutability is one of the constants above; Exclusions are the patterns ('*' matches any run of characters) of the
	// tags it does not apply to, for the two that have exclusions.
	TagMutability string   `json:"tagMutability"`
	Exclusions    []string `json:"exclusions,omitempty"`
	ScanOnPush    bool     `json:"scanOnPush,omitempty"`
	// EncryptionType is AES256, KMS or KMS_DSSE; it is kept and shown, the disk's files are not encrypted.
	EncryptionType string `json:"encryptionType"`
	KMSKey         string `json:"kmsKey,omitempty"`
	// Policy is the repository policy and LifecyclePolicy the lifecycle policy as they were put, "" if there is none.
	// Neither is acted on.
	Policy          string            `json:"policy,omitempty"`
	LifecyclePolicy string            `json:"lifecyclePolicy,omitempty"`
	Tags            map[string]string `json:"tags,omitempty"`
}

// clone is a copy that shares nothing that may change.
func (rec Repository) clone() Repository {
	rec.Exclusions = slices.Clone(rec.Exclusions)
	rec.Tags = maps.Clone(rec.Tags)
	return rec
}

// movable says whether a tag that is there may be given to another image.
func (rec *Repository) movable(tag string) bool {
	excluded := slices.ContainsFunc(rec.Exclusions, func(pattern string) bool { return wildcard(pattern, tag) })
	switch rec.TagMutability {
	case Immutable:
		return false
	case ImmutableWithExclusion:
		return excluded
	case MutableWithExclusion:
		return !excluded
	default:
		return true
	}
}

// wildcard matches s against a pattern in which '*' stands for any run of characters.
func wildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[last])
}

// CreateRepository records a new repository. Name is required; TagMutability, EncryptionType and CreatedAt have defaults
// (MUTABLE, AES256, now).
func (r *Registry) CreateRepository(ctx context.Context, p batch.Partition, rec Repository) (Repository, error) {
	if !ValidName(rec.Name) {
		return Repository{}, nameInvalid(rec.Name)
	}
	r.write.Lock()
	defer r.write.Unlock()
	if r.repos[repoKey{p, rec.Name}] != nil {
		return Repository{}, errf(RepositoryExists, "The repository with name '%s' already exists in the registry with id '%s'", rec.Name, p.Account)
	}
	rec = r.defaults(rec.clone())
	if err := r.opts.Docs.Update(ctx, func(w store.Writer) error { return putNew(w, p, rec) }); err != nil {
		return Repository{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repos[repoKey{p, rec.Name}] = newRepository(rec)
	return rec.clone(), nil
}

func newRepository(rec Repository) *repository {
	return &repository{rec: rec, images: map[string]*Image{}, tags: map[string]string{}}
}

func (r *Registry) defaults(rec Repository) Repository {
	if rec.TagMutability == "" {
		rec.TagMutability = Mutable
	}
	if rec.EncryptionType == "" {
		rec.EncryptionType = "AES256"
	}
	if rec.CreatedAt.IsZero() {
		rec.CreatedAt = r.opts.Now()
	}
	return rec
}

// putNew writes the record of a repository that was not there, and that of its partition.
func putNew(w store.Writer, p batch.Partition, rec Repository) error {
	if err := w.Put(batch.Partition{}, kindPartition, p.Account+"/"+p.Region, partitionDoc{p}); err != nil {
		return err
	}
	return w.Put(p, kindRepository, rec.Name, rec)
}

// Repository is one repository's record.
func (r *Registry) Repository(p batch.Partition, name string) (Repository, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rp, err := r.find(p, name)
	if err != nil {
		return Repository{}, err
	}
	return rp.rec.clone(), nil
}

// Repositories are all repositories of a partition, by name.
func (r *Registry) Repositories(p batch.Partition) []Repository {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Repository
	for k, rp := range r.repos {
		if k.Partition == p {
			out = append(out, rp.rec.clone())
		}
	}
	slices.SortFunc(out, func(a, b Repository) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// UpdateRepository changes a repository's record by change, which gets a copy; an error of change leaves everything as
// it was and is returned. Name and CreatedAt stay. The result is the record from then on.
func (r *Registry) UpdateRepository(ctx context.Context, p batch.Partition, name string, change func(*Repository) error) (Repository, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rp, err := r.find(p, name)
	if err != nil {
		return Repository{}, err
	}
	rec := rp.rec.clone()
	if err := change(&rec); err != nil {
		return Repository{}, err
	}
	rec.Name, rec.CreatedAt = rp.rec.Name, rp.rec.CreatedAt
	err = r.opts.Docs.Update(ctx, func(w store.Writer) error { return w.Put(p, kindRepository, name, rec) })
	if err != nil {
		return Repository{}, err
	}
	r.mu.Lock()
	rp.rec = rec
	r.mu.Unlock()
	return rec.clone(), nil
}

// DeleteRepository removes a repository and, with force, the images in it. Without force a repository with images is
// refused (RepositoryNotEmpty). It returns the record as it was.
func (r *Registry) DeleteRepository(ctx context.Context, p batch.Partition, name string, force bool) (Repository, error) {
	r.write.Lock()
	defer r.write.Unlock()
	rp, err := r.find(p, name)
	if err != nil {
		return Repository{}, err
	}
	if len(rp.images) > 0 && !force {
		return Repository{}, errf(RepositoryNotEmpty,
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", name, p.Account)
	}
	err = r.opts.Docs.Update(ctx, func(w store.Writer) error {
		for tag := range rp.tags {
			if _, err := w.Delete(p, kindTag, name+":"+tag); err != nil {
				return err
			}
		}
		for digest := range rp.images {
			if _, err := w.Delete(p, kindImage, name+"@"+digest); err != nil {
				return err
			}
		}
		_, err := w.Delete(p, kindRepository, name)
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, img := range rp.images {
		r.count(img, -1)
	}
	delete(r.repos, repoKey{p, name})
	return rp.rec, nil
}
