// Package registry is the engine's container registry: repositories and images by account and region, blobs on disk,
// and the HTTP API of the OCI distribution specification (https://github.com/opencontainers/distribution-spec, version
// 1.1) over them. The ECR API is a second face of the same Registry, in internal/api/ecr.
//
// # Names
//
// A repository belongs to an account and a region, and ECR's repositoryUri must carry both and be a name that an
// untouched Docker can push to. It is
//
//	127.0.0.1:4566/<account>/<region>/<name>
//
// with the listener's own address in front. The account and region stand in the path rather than in the host (AWS has
// <account>.dkr.ecr.<region>.amazonaws.com/<name>) because of what clients do with a host name:
//
//   - Docker talks plain http only to a registry whose name resolves into 127.0.0.0/8 or to ::1 (the default of
//     insecure-registries). An address needs no resolving; subdomains of localhost do not resolve everywhere (glibc
//     without systemd-resolved, musl and the pure-Go resolver ask DNS; other emulators have had "lookup
//     000000000000.dkr.ecr.eu-central-1.localhost: no such host" reported).
//   - containerd and nerdctl use plain http for localhost, 127.0.0.1 and [::1] as they stand, for no other name.
//   - go-containerregistry (crane, ko, kaniko) uses plain http for 127.0.0.1, localhost:port and *.localhost.
//   - Podman, Skopeo and Buildah use https for every name until told --tls-verify=false.
//
// On the way in these forms are understood as well; ParseRef has the rules, and the HTTP handler applies the same to the
// Host header and the path:
//
//	<account>.dkr.ecr.<region>.amazonaws.com/<name>     AWS's own names, FIPS and dual-stack ones too
//	<account>.dkr.ecr.<region>.localhost:4566/<name>    as other emulators have it
//	127.0.0.1:4566/<name>                               the caller's own account and region
//	<name>                                              likewise, and Docker Hub's if there is no such repository here
//
// Behind another loopback name or port, <account>/<region>/<name> is taken to mean this engine too: a job definition
// outlives the port an engine was started on.
//
// # Durability
//
// A blob is complete and synced to disk before it has its name, a manifest's record is committed to the document store
// after the manifest and everything it needs, and an answer follows the commit. What a crash leaves is unreferenced
// files, which Sweep collects.
package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/store"
)

// Options say how a registry is set up. Dir and Docs are required; zero values of the rest mean the default.
type Options struct {
	// Dir holds blobs and uploads. It belongs to one Registry of one process.
	Dir string
	// Docs keeps the records of repositories, images and tags.
	Docs store.Docs
	// Default is the partition of a caller that does not say which is his.
	Default batch.Partition
	// Strict refuses a push to a repository that does not exist, as AWS does; otherwise the push creates it.
	Strict bool
	// MaxBlob and MaxManifest bound sizes in bytes. The defaults are ECR's quotas: 52,000 MiB for a layer, 4 MiB for a
	// manifest.
	MaxBlob, MaxManifest int64
	// UploadTTL is how long an upload may rest before Sweep drops it (24 h), Grace how long a blob that no image needs is
	// kept after its last use (24 h): a client that found it there may be about to push a manifest that needs it.
	UploadTTL, Grace time.Duration
	// Now is the clock (time.Now).
	Now func() time.Time
	// Log (slog.Default) is told what Sweep removed.
	Log *slog.Logger
	// Files is where files are changed (fsys.OS).
	Files fsys.FS
}

// Registry is the registry of every account and region. Its methods are safe for concurrent use; reads come from memory
// and show only what is committed.
type Registry struct {
	opts     Options
	tokenKey []byte

	// write serialises changes of records: it is held over the commit, never while a client's bytes are read.
	write sync.Mutex
	// mu guards the index below, which mirrors the records.
	mu    sync.RWMutex
	repos map[repoKey]*repository
	refs  map[string]int // blob digest -> number of images that need it

	uploadsMu sync.Mutex
	uploads   map[string]*upload // by path
}

type repoKey struct {
	batch.Partition
	name string
}

// repository is the index entry of a repository. The maps hold values that are replaced, not changed.
type repository struct {
	rec    Repository
	images map[string]*Image // by digest
	tags   map[string]string // tag -> digest
}

// The kinds of document the registry keeps. Repositories, images and tags lie in their partition; partitions are listed
// under the empty one, so that all can be found again.
const (
	kindPartition  = "registry.partition"  // key "<account>/<region>"
	kindRepository = "registry.repository" // key <name>
	kindImage      = "registry.image"      // key <name>@<digest>
	kindTag        = "registry.tag"        // key <name>:<tag>
)

type partitionDoc struct {
	Partition batch.Partition `json:"partition"`
}

type tagDoc struct {
	Digest string `json:"digest"`
}

// Open opens the registry in opts.Dir, which it creates, and reads its records.
func Open(ctx context.Context, opts Options) (*Registry, error) {
	if opts.MaxBlob == 0 {
		opts.MaxBlob = 52_000 << 20
	}
	if opts.MaxManifest == 0 {
		opts.MaxManifest = 4 << 20
	}
	if opts.UploadTTL == 0 {
		opts.UploadTTL = 24 * time.Hour
	}
	if opts.Grace == 0 {
		opts.Grace = 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Files == nil {
		opts.Files = fsys.OS
	}
	r := &Registry{
		opts:    opts,
		repos:   map[repoKey]*repository{},
		refs:    map[string]int{},
		uploads: map[string]*upload{},
	}
	for _, d := range []string{"blobs/sha256", "uploads", "tmp"} {
		if err := opts.Files.MkdirAll(filepath.Join(opts.Dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("opening the registry: %w", err)
		}
	}
	if err := r.emptyTmp(); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	var err error
	if r.tokenKey, err = loadKey(opts.Files, filepath.Join(opts.Dir, "token.key")); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := opts.Docs.View(ctx, r.load); err != nil {
		return nil, fmt.Errorf("reading the registry's records: %w", err)
	}
	return r, nil
}

// emptyTmp removes what a crash left on its way to blobs/.
func (r *Registry) emptyTmp() error {
	dir := filepath.Join(r.opts.Dir, "tmp")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.opts.Files.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// loadKey reads the key that signs tokens, and makes it the first time.
func loadKey(files fsys.FS, path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	tmp := path + ".new"
	if err := fsys.WriteFile(files, tmp, key, 0o600); err != nil {
		return nil, err
	}
	return key, files.Rename(tmp, path)
}

// load fills the index from the records.
func (r *Registry) load(rd store.Reader) error {
	var partitions []batch.Partition
	err := rd.List(batch.Partition{}, kindPartition, "", func(key string, raw []byte) (bool, error) {
		var d partitionDoc
		if err := json.Unmarshal(raw, &d); err != nil {
			return false, fmt.Errorf("%s %q: %w", kindPartition, key, err)
		}
		partitions = append(partitions, d.Partition)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if err := r.loadPartition(rd, p); err != nil {
			return fmt.Errorf("account %s, region %s: %w", p.Account, p.Region, err)
		}
	}
	return nil
}

func (r *Registry) loadPartition(rd store.Reader, p batch.Partition) error {
	err := rd.List(p, kindRepository, "", func(key string, raw []byte) (bool, error) {
		rp := &repository{images: map[string]*Image{}, tags: map[string]string{}}
		if err := json.Unmarshal(raw, &rp.rec); err != nil {
			return false, fmt.Errorf("%s %q: %w", kindRepository, key, err)
		}
		r.repos[repoKey{p, key}] = rp
		return true, nil
	})
	if err != nil {
		return err
	}
	err = rd.List(p, kindImage, "", func(key string, raw []byte) (bool, error) {
		name, digest, _ := strings.Cut(key, "@")
		rp := r.repos[repoKey{p, name}]
		img := new(Image)
		if err := json.Unmarshal(raw, img); err != nil {
			return false, fmt.Errorf("%s %q: %w", kindImage, key, err)
		}
		if rp == nil {
			return false, fmt.Errorf("%s %q: its repository has no record", kindImage, key)
		}
		rp.images[digest] = img
		r.count(img, +1)
		return true, nil
	})
	if err != nil {
		return err
	}
	return rd.List(p, kindTag, "", func(key string, raw []byte) (bool, error) {
		name, tag, _ := strings.Cut(key, ":")
		rp := r.repos[repoKey{p, name}]
		var d tagDoc
		if err := json.Unmarshal(raw, &d); err != nil {
			return false, fmt.Errorf("%s %q: %w", kindTag, key, err)
		}
		if rp == nil || rp.images[d.Digest] == nil {
			return false, fmt.Errorf("%s %q: its image %s has no record", kindTag, key, d.Digest)
		}
		rp.tags[tag] = d.Digest
		return true, nil
	})
}

// count adds n to the references of every blob an image needs. The caller holds mu, or is alone.
func (r *Registry) count(img *Image, n int) {
	for _, d := range img.needs() {
		if r.refs[d] += n; r.refs[d] == 0 {
			delete(r.refs, d)
		}
	}
}

// find is the index entry of a repository, or the refusal that there is none. The caller holds mu or write.
func (r *Registry) find(p batch.Partition, name string) (*repository, error) {
	if rp := r.repos[repoKey{p, name}]; rp != nil {
		return rp, nil
	}
	if !ValidName(name) {
		return nil, nameInvalid(name)
	}
	return nil, repositoryNotFound(p, name)
}

// checkTarget says whether content may be pushed to a repository.
func (r *Registry) checkTarget(p batch.Partition, name string) error {
	r.mu.RLock()
	_, err := r.find(p, name)
	r.mu.RUnlock()
	var e *Error
	if errors.As(err, &e) && e.Code == RepositoryNotFound && !r.opts.Strict {
		return nil
	}
	return err
}
