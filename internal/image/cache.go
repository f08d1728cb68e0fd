package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Source is the engine's own registry as the cache reads it, without HTTP. registry.Registry is one.
type Source interface {
	// Resolve finds the image a tag or digest names; errors are *registry.Error where the registry refuses.
	Resolve(p batch.Partition, repository, tag, digest string) (registry.Image, error)
	// OpenBlob opens a blob or manifest.
	OpenBlob(digest string) (*os.File, error)
}

// Options say how a Cache is set up. Dir is required; zero values of the rest mean the default.
type Options struct {
	// Dir holds unpacked images. It belongs to one Cache of one process.
	Dir string
	// Local is the engine's own registry, Endpoint how it is addressed; without Local every image is pulled from elsewhere.
	Local    Source
	Endpoint registry.Endpoint
	// PullAWS lets an image in AWS's form (account.dkr.ecr.region.amazonaws.com/name) that the engine's registry has not
	// be pulled from AWS, with the user's Docker credentials.
	PullAWS bool
	// Daemon has images that no registry has; nil for none.
	Daemon Daemon
	// Keychain has the credentials for other registries (Docker's configuration and helpers), Transport is what pulls go
	// through (go-containerregistry's default).
	Keychain  authn.Keychain
	Transport http.RoundTripper
	// Limits bound what one image may unpack to.
	Limits Limits
	// TagTTL is how long the image a tag names in another registry is taken for known (1 min), so that the children of an
	// array do not ask for it one by one. The engine's own registry is asked every time.
	TagTTL time.Duration
	// PullTimeout bounds one pull (30 min).
	PullTimeout time.Duration
	// RetryWait is how long to wait before a request that another registry failed to answer is made again (1 s); the second
	// and last wait is three times as long.
	RetryWait time.Duration
	// MaxPulls is how many images are pulled and unpacked at once (4).
	MaxPulls int
	// Rootless makes layers as an unprivileged overlay mount wants them, with the files owned by the current user. It is
	// the default for any user but root.
	Rootless bool
	// Now is the clock (time.Now).
	Now func() time.Time
	// Files is where files are changed (fsys.OS).
	Files fsys.FS
	// Log (slog.Default) is told of pulls and removals.
	Log *slog.Logger
}

// Cache keeps images unpacked on disk, each once, ready to start containers from. Its methods are safe for concurrent
// use.
//
// Below Dir lie
//
//	images/<digest>.json   the record of an image; it is written when everything it names is complete and on disk
//	flat/<digest>/         its files in flat form
//	layers/<chain>/        a layer in layers form, by the digest of the layers up to it
//	archives/<digest>.tar  the image in archive form
//	tags/<hash>.json       what a tag of another registry named last
//	tmp/                   what is being unpacked or removed
type Cache struct {
	opts    Options
	rootful bool
	slots   chan struct{} // one for each pull under way
	flights flights

	mu sync.Mutex
	// images are the records on disk, by digest of the platform's manifest.
	images map[string]*entry
	// chosen is the platform's manifest of an index or manifest, by digest and platform.
	chosen map[choice]string
	// tags are the known names in other registries, by reference.
	tags map[string]knownTag
	// pins counts the pulls that use or make a directory: it must not be removed.
	pins map[string]int

	// saving serialises changes of records on disk, collection among them. It is taken before mu.
	saving sync.Mutex
}

// choice is an image's or index's digest with the platform an image was wanted for.
type choice struct {
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
}

// entry is an image's record in memory.
type entry struct {
	rec    record
	leases int
	used   time.Time
	noted  time.Time // what of used is on disk
}

// record is an image's record on disk.
type record struct {
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
	Config   Config `json:"config"`
	// Flat says that the flat form is there, FlatBytes how large its files are.
	Flat      bool  `json:"flat,omitempty"`
	FlatBytes int64 `json:"flatBytes,omitempty"`
	// Layers are the layers in layers form, lowest first; nil if that form is not there.
	Layers []layerRecord `json:"layers"`
	// Archive says that the archive form is there, ArchiveBytes how large it is.
	Archive      bool  `json:"archive,omitempty"`
	ArchiveBytes int64 `json:"archiveBytes,omitempty"`
	// Chosen are the indexes this image was chosen from, with the platform that was asked for, so that it is found again
	// without the registry; the latest last.
	Chosen []choice `json:"chosen,omitempty"`
}

// maxChosen bounds record.Chosen.
const maxChosen = 32

// choose notes what the image was chosen from.
func (r *record) choose(key choice) {
	r.Chosen = slices.DeleteFunc(slices.Clone(r.Chosen), func(c choice) bool { return c == key })
	if r.Chosen = append(r.Chosen, key); len(r.Chosen) > maxChosen {
		r.Chosen = r.Chosen[1:]
	}
}

type layerRecord struct {
	Chain string `json:"chain"`
	Bytes int64  `json:"bytes"`
}

// has says whether an image is there in a form.
func (r *record) has(form runtime.RootfsForm) bool {
	switch form {
	case runtime.RootfsFlat:
		return r.Flat
	case runtime.RootfsLayers:
		return r.Layers != nil
	case runtime.RootfsArchive:
		return r.Archive
	default:
		return true
	}
}

// Open opens the cache in opts.Dir, which it creates, and clears away what a crash left.
func Open(opts Options) (*Cache, error) {
	if opts.Keychain == nil {
		opts.Keychain = authn.DefaultKeychain
	}
	if opts.TagTTL == 0 {
		opts.TagTTL = time.Minute
	}
	if opts.PullTimeout == 0 {
		opts.PullTimeout = 30 * time.Minute
	}
	if opts.RetryWait == 0 {
		opts.RetryWait = time.Second
	}
	if opts.MaxPulls == 0 {
		opts.MaxPulls = 4
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Limits = opts.Limits.withDefaults()
	if opts.Files == nil {
		opts.Files = fsys.OS
	}
	c := &Cache{
		opts:    opts,
		rootful: os.Geteuid() == 0 && !opts.Rootless,
		slots:   make(chan struct{}, opts.MaxPulls),
		images:  map[string]*entry{},
		chosen:  map[choice]string{},
		tags:    map[string]knownTag{},
		pins:    map[string]int{},
	}
	// What a crash left in tmp/ may be a directory without write permission.
	if err := removeTree(opts.Files, filepath.Join(opts.Dir, "tmp")); err != nil {
		return nil, fmt.Errorf("opening the image cache: %w", err)
	}
	for _, d := range []string{"images", "flat", "layers", "archives", "tags", "tmp"} {
		// No other user may reach what images bring, set-user-id programs among it.
		if err := opts.Files.MkdirAll(filepath.Join(opts.Dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("opening the image cache: %w", err)
		}
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("opening the image cache: %w", err)
	}
	return c, nil
}

// load reads the records of images. One whose files are gone, or that can't be read, is dropped: the image is pulled again.
func (c *Cache) load() error {
	dir := filepath.Join(c.opts.Dir, "images")
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		rec, err := c.readRecord(name)
		if err != nil {
			c.opts.Log.Warn("image record dropped", "file", name, "error", err)
			if err := c.opts.Files.Remove(name); err != nil {
				return err
			}
			continue
		}
		fi, err := f.Info()
		if err != nil {
			return err
		}
		c.images[rec.Digest] = &entry{rec: rec, used: fi.ModTime(), noted: fi.ModTime()}
		for _, key := range rec.Chosen {
			c.chosen[key] = rec.Digest
		}
	}
	return nil
}

func (c *Cache) readRecord(name string) (record, error) {
	var rec record
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &rec)
	}
	if err != nil {
		return rec, err
	}
	if !registry.ValidDigest(rec.Digest) || filepath.Base(name) != hexOf(rec.Digest)+".json" {
		return rec, errors.New("it is of another image")
	}
	if rec.Flat {
		if _, err := os.Stat(c.flatDir(rec.Digest)); err != nil {
			return rec, err
		}
	}
	if rec.Archive {
		if _, err := os.Stat(c.archiveFile(rec.Digest)); err != nil {
			return rec, err
		}
	}
	for _, l := range rec.Layers {
		if !registry.ValidDigest(l.Chain) {
			return rec, fmt.Errorf("%q is no digest", l.Chain)
		}
		if _, err := os.Stat(c.layerDir(l.Chain)); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func (c *Cache) flatDir(digest string) string {
	return filepath.Join(c.opts.Dir, "flat", hexOf(digest))
}
func (c *Cache) layerDir(chain string) string {
	return filepath.Join(c.opts.Dir, "layers", hexOf(chain))
}
func (c *Cache) archiveFile(digest string) string {
	return filepath.Join(c.opts.Dir, "archives", hexOf(digest)+".tar")
}
func (c *Cache) recordFile(digest string) string {
	return filepath.Join(c.opts.Dir, "images", hexOf(digest)+".json")
}

// Close stops pulls under way, waits for them, and notes when images were used last.
func (c *Cache) Close() error {
	c.flights.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, e := range c.images {
		errs = append(errs, c.noteUse(e, 0))
	}
	return errors.Join(errs...)
}

// noteUse puts the time of an image's last use on its record's file, where the next process finds it, if the file is
// more than behind behind. The caller holds mu.
func (c *Cache) noteUse(e *entry, behind time.Duration) error {
	if e.used.Sub(e.noted) <= behind {
		return nil
	}
	file := c.recordFile(e.rec.Digest)
	if err := c.opts.Files.Do("chtimes", file, func() error { return os.Chtimes(file, e.used, e.used) }); err != nil {
		return err
	}
	e.noted = e.used
	return nil
}

// Request says which image is wanted, and how.
type Request struct {
	// Ref is the image as the job definition has it; Partition is the job's, for a Ref that does not say.
	Ref       string
	Partition batch.Partition
	// Platform is "linux/amd64" and the like. The image must be for it.
	Platform string
	Form     runtime.RootfsForm
}

// Prepare finds the image a reference names now, pulls and unpacks it unless that was done before, and holds its files
// until the result is released. A thousand callers at once cause one pull. The error is a *runtime.StartError of kind
// CannotPullContainerError with the text Fargate has for the case, unless ctx ended.
func (c *Cache) Prepare(ctx context.Context, req Request) (*Prepared, error) {
	p, err := c.prepare(ctx, req)
	if err != nil && ctx.Err() == nil {
		err = &runtime.StartError{Kind: runtime.KindCannotPull, Err: err}
	}
	return p, err
}

func (c *Cache) prepare(ctx context.Context, req Request) (*Prepared, error) {
	if req.Form == runtime.RootfsLayers && !canLayer {
		return nil, errNoOverlay
	}
	f, err := c.resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	key := choice{f.digest, req.Platform}
	for {
		if p := c.lease(key, req, f); p != nil {
			return p, nil
		}
		_, err = c.flights.do(ctx, f.digest+" "+req.Platform+" "+string(req.Form), func(ctx context.Context) (any, error) {
			return nil, c.pull(ctx, f, req)
		})
		if err != nil {
			return nil, err
		}
		// It is there now, unless it was collected this very moment.
	}
}

// lease gives the image a choice stands for to the caller, if it is there.
func (c *Cache) lease(key choice, req Request, f *found) *Prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.images[c.chosen[key]]
	if e == nil || !e.rec.has(req.Form) {
		return nil
	}
	e.leases++
	e.used = c.opts.Now()
	p := &Prepared{
		Image:   runtime.Image{Ref: req.Ref, Digest: e.rec.Digest, Platform: e.rec.Platform},
		Config:  e.rec.Config,
		PullRef: f.repository + "@" + e.rec.Digest,
	}
	switch req.Form {
	case runtime.RootfsFlat:
		p.Rootfs = c.flatDir(e.rec.Digest)
	case runtime.RootfsLayers:
		p.Layers = make([]string, len(e.rec.Layers))
		for i, l := range e.rec.Layers {
			p.Layers[i] = c.layerDir(l.Chain)
		}
	case runtime.RootfsArchive:
		p.Archive = c.archiveFile(e.rec.Digest)
	}
	p.release = sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		e.leases--
	})
	return p
}

// update changes an image's record and makes it durable and known. What it names must be on disk.
func (c *Cache) update(digest string, change func(*record)) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	rec := record{Digest: digest}
	c.mu.Lock()
	e := c.images[digest]
	if e != nil {
		rec = e.rec
	}
	c.mu.Unlock()
	before, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	change(&rec)
	if rec.Platform == "" {
		return nil // collected meanwhile: nothing is left to note anything about
	}
	after, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if e == nil || !bytes.Equal(before, after) {
		if err := writeFile(c.opts.Files, filepath.Join(c.opts.Dir, "tmp"), c.recordFile(digest), after); err != nil {
			return fmt.Errorf("recording image %s: %w", digest, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e == nil {
		e = &entry{}
		c.images[digest] = e
	}
	e.rec, e.used = rec, c.opts.Now()
	for _, key := range rec.Chosen {
		c.chosen[key] = digest
	}
	return nil
}

// writeFile puts a file in place whole and durable, by way of a temporary one in tmp.
func writeFile(files fsys.FS, tmp, name string, b []byte) error {
	f, err := files.CreateTemp(tmp, "file-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = files.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, files.Remove(f.Name()))
	}
	return files.SyncDir(filepath.Dir(name))
}

// removeTree removes a directory, also where directories in it forbid that to their owner. One that is not there is fine.
func removeTree(files fsys.FS, dir string) error {
	err := files.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	werr := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return files.Do("chmod", p, func() error { return os.Chmod(p, 0o700) })
		}
		return err
	})
	if err := files.RemoveAll(dir); err != nil {
		return errors.Join(err, werr)
	}
	return nil
}
