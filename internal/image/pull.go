package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/runtime"
)

// pull makes the image of a platform be there in a form, and known by what was found.
func (c *Cache) pull(ctx context.Context, f *found, req Request) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.PullTimeout, &pullError{text: fmt.Sprintf("%sfailed to copy: the pull took longer than %v", pullRetried, c.opts.PullTimeout)})
	defer cancel()
	want, err := ParsePlatform(req.Platform)
	if err != nil {
		return err
	}
	from, err := c.contents(f)
	if err != nil {
		return err
	}
	if temporary, ok := from.(io.Closer); ok {
		defer func() { err = errors.Join(err, temporary.Close()) }()
	}
	key := choice{f.digest, req.Platform}
	c.mu.Lock()
	digest := c.chosen[key]
	c.mu.Unlock()
	if digest == "" {
		if digest, err = c.choose(ctx, from, f.digest, want, 0); err != nil {
			return err
		}
	}
	// Several names, and both an index and its image, may lead to one image.
	_, err = c.flights.do(ctx, digest+" "+string(req.Form), func(ctx context.Context) (any, error) {
		return nil, c.fetch(ctx, from, digest, req)
	})
	if err != nil {
		return err
	}
	return c.update(digest, func(rec *record) { rec.choose(key) })
}

// maxNesting is how deep indexes may lie in one another.
const maxNesting = 4

// choose finds the image for a platform behind the digest of an image or an index.
func (c *Cache) choose(ctx context.Context, from contents, digest string, want v1.Platform, depth int) (string, error) {
	c.mu.Lock()
	e := c.images[digest]
	c.mu.Unlock()
	if e != nil { // an image's own digest, pulled before
		if have, err := ParsePlatform(e.rec.Platform); err == nil && fit(want, have) > 0 {
			return digest, nil
		}
		return "", noPlatform(want)
	}
	raw, err := from.manifest(ctx, digest)
	if err != nil {
		return "", err
	}
	var idx v1.IndexManifest
	if err := json.Unmarshal(raw, &idx); err != nil {
		return "", &pullError{manifestRetried + "failed to decode manifest " + digest + ": " + err.Error(), err}
	}
	if idx.MediaType.IsImage() || !idx.MediaType.IsIndex() && idx.Manifests == nil {
		img, err := openImage(ctx, from, digest, raw)
		if err != nil {
			return "", err
		}
		if fit(want, img.platform()) == 0 {
			return "", noPlatform(want)
		}
		return digest, nil
	}
	if depth == maxNesting {
		return "", &pullError{text: fmt.Sprintf("%sindexes lie more than %d deep in one another", manifestRetried, maxNesting)}
	}
	best, err := bestOf(ctx, from, idx.Manifests, want)
	if best != "" || err != nil {
		return best, err
	}
	for _, m := range idx.Manifests {
		if !m.MediaType.IsIndex() {
			continue
		}
		d, err := c.choose(ctx, from, m.Digest.String(), want, depth+1)
		if err == nil || !errors.Is(err, ErrNoPlatform) {
			return d, err
		}
	}
	return "", noPlatform(want)
}

// bestOf finds the image of an index that fits a platform best; "" if none does. An image that the index gives no
// platform is asked for its own.
func bestOf(ctx context.Context, from contents, list []v1.Descriptor, want v1.Platform) (string, error) {
	best, bestFit := "", 0
	for _, m := range list {
		have := m.Platform
		if m.MediaType.IsIndex() || have == nil && !m.MediaType.IsImage() {
			continue
		}
		if have == nil {
			raw, err := from.manifest(ctx, m.Digest.String())
			if err != nil {
				return "", err
			}
			img, err := openImage(ctx, from, m.Digest.String(), raw)
			if err != nil {
				return "", err
			}
			p := img.platform()
			have = &p
		}
		if n := fit(want, *have); n > bestFit {
			best, bestFit = m.Digest.String(), n
		}
	}
	return best, nil
}

// ErrNoPlatform is what the error of Prepare wraps when there is the image, but not for the platform.
var ErrNoPlatform = errors.New("no image for the platform")

func noPlatform(want v1.Platform) error {
	return &pullError{manifestRetried + "image Manifest does not contain descriptor matching platform '" + want.String() + "'", ErrNoPlatform}
}

// fetch makes an image be there in a form, unless it is.
func (c *Cache) fetch(ctx context.Context, from contents, digest string, req Request) error {
	c.mu.Lock()
	e := c.images[digest]
	there := e != nil && e.rec.has(req.Form)
	c.mu.Unlock()
	if there {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := c.opts.Now()
	raw, err := from.manifest(ctx, digest)
	if err != nil {
		return err
	}
	img, err := openImage(ctx, from, digest, raw)
	if err != nil {
		return err
	}
	if layers, diffs := len(img.manifest.Layers), len(img.config.RootFS.DiffIDs); layers != diffs {
		return &pullError{text: fmt.Sprintf("%sfailed to unpack image: mismatched image rootfs and manifest layers: %d layers, %d diff ids", pullRetried, layers, diffs)}
	} else if layers > c.opts.Limits.Layers {
		return &pullError{text: fmt.Sprintf("%sfailed to unpack image: it has %d layers, the limit is %d", pullRetried, layers, c.opts.Limits.Layers)}
	}
	var unpin func()
	var put func(*record)
	switch req.Form {
	case runtime.RootfsFlat:
		put, unpin, err = c.unpackFlat(ctx, from, digest, img)
	case runtime.RootfsLayers:
		put, unpin, err = c.unpackLayers(ctx, from, img)
	case runtime.RootfsArchive:
		put, unpin, err = c.saveArchive(ctx, from, digest, img)
	default:
		put, unpin = func(*record) {}, func() {}
	}
	defer unpin()
	if err != nil {
		return err
	}
	err = c.update(digest, func(rec *record) {
		rec.Config, rec.Platform = configOf(img.config.Config), img.platform().String()
		put(rec)
	})
	if err != nil {
		return err
	}
	c.opts.Log.Info("image prepared", "image", req.Ref, "digest", digest, "platform", img.platform().String(), "form", req.Form, "took", c.opts.Now().Sub(began).Round(time.Millisecond))
	return nil
}

// unpackFlat unpacks all layers into one directory. It returns what to put into the image's record; the directory is
// pinned until unpin, which is never nil.
func (c *Cache) unpackFlat(ctx context.Context, from contents, digest string, img *opened) (put func(*record), unpin func(), err error) {
	unpin = c.pin(c.flatDir(digest))
	u := &unpacker{files: c.opts.Files, form: runtime.RootfsFlat, limits: c.opts.Limits}
	err = c.unpackInto(c.flatDir(digest), u, func() error {
		for i, d := range img.manifest.Layers {
			if err := unpackLayer(ctx, u, from, d, img.config.RootFS.DiffIDs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return func(rec *record) { rec.Flat, rec.FlatBytes = true, u.bytes }, unpin, err
}

// unpackLayers unpacks each layer that is not there yet into a directory of its own; results as of unpackFlat.
func (c *Cache) unpackLayers(ctx context.Context, from contents, img *opened) (put func(*record), unpin func(), err error) {
	recs := []layerRecord{} // an image without layers has the form, too
	var chains, dirs []string
	chain := ""
	for _, d := range img.config.RootFS.DiffIDs {
		chain = chainID(chain, d.String())
		recs = append(recs, layerRecord{Chain: chain})
		chains, dirs = append(chains, chain), append(dirs, c.layerDir(chain))
	}
	unpin = c.pin(dirs...)
	left := c.opts.Limits
	for i, d := range img.manifest.Layers {
		// Images that share layers may be unpacked at the same time.
		diffID, limits := img.config.RootFS.DiffIDs[i], left
		v, err := c.flights.do(ctx, "layer "+chains[i], func(ctx context.Context) (any, error) {
			return c.unpackOne(ctx, from, chains[:i+1], d, diffID, limits)
		})
		if err != nil {
			return nil, unpin, err
		}
		done := v.(unpacked)
		recs[i].Bytes = done.Bytes
		left.Bytes -= done.Bytes
		left.Entries -= done.Entries
		if left.Bytes < 0 || left.Entries < 0 {
			return nil, unpin, &pullError{text: fmt.Sprintf("%sfailed to unpack image: it has more than %d bytes or %d entries", pullRetried, c.opts.Limits.Bytes, c.opts.Limits.Entries)}
		}
	}
	return func(rec *record) { rec.Layers = recs }, unpin, nil
}

// chainID names a layer by all layers up to it
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid).
func chainID(below, diffID string) string {
	if below == "" {
		return diffID
	}
	sum := sha256.Sum256([]byte(below + " " + diffID))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// pin keeps directories from being collected until the function it returns is called.
func (c *Cache) pin(dirs ...string) (unpin func()) {
	add := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, d := range dirs {
			if c.pins[d] += n; c.pins[d] == 0 {
				delete(c.pins, d)
			}
		}
	}
	add(+1)
	return func() { add(-1) }
}

// unpacked is what a layer came to; it lies beside the layer's directory.
type unpacked struct {
	Bytes   int64 `json:"bytes"`
	Entries int   `json:"entries"`
}

// unpackOne makes the last layer of a chain be there; those below it are.
func (c *Cache) unpackOne(ctx context.Context, from contents, chains []string, d v1.Descriptor, diffID v1.Hash, left Limits) (done unpacked, err error) {
	top := len(chains) - 1
	dir := c.layerDir(chains[top])
	if done, ok := readUnpacked(dir); ok {
		return done, nil
	}
	u := &unpacker{files: c.opts.Files, form: runtime.RootfsLayers, limits: left, chown: c.rootful, whiteouts: userWhiteouts}
	if c.rootful {
		u.whiteouts = trustedWhiteouts
	}
	for i := top - 1; i >= 0; i-- { // nearest first
		r, err := os.OpenRoot(c.layerDir(chains[i]))
		if err != nil {
			return done, err
		}
		defer func() { _ = r.Close() }() // only read from
		u.lower = append(u.lower, r)
	}
	err = c.unpackInto(dir, u, func() error { return unpackLayer(ctx, u, from, d, diffID) })
	if err != nil {
		return done, err
	}
	done = unpacked{u.bytes, u.entries}
	b, err := json.Marshal(done)
	if err == nil {
		err = writeFile(c.opts.Files, filepath.Join(c.opts.Dir, "tmp"), dir+unpackedExt, b)
	}
	return done, err
}

const unpackedExt = ".json"

// readUnpacked says what a layer came to, if it is there whole.
func readUnpacked(dir string) (done unpacked, ok bool) {
	b, err := os.ReadFile(dir + unpackedExt)
	if err != nil || json.Unmarshal(b, &done) != nil {
		return unpacked{}, false
	}
	_, err = os.Stat(dir)
	return done, err == nil
}

// unpackInto has fill unpack into a temporary directory, then puts that in place, whole and durable.
func (c *Cache) unpackInto(dir string, u *unpacker, fill func() error) (err error) {
	tmp, err := c.opts.Files.MkdirTemp(filepath.Join(c.opts.Dir, "tmp"), "unpack-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(c.opts.Files, tmp))
		}
	}()
	if u.root, err = os.OpenRoot(tmp); err != nil {
		return err
	}
	if err = u.begin(); err != nil {
		err = fmt.Errorf("unpacking into %s: %w", tmp, err)
	} else {
		err = fill()
	}
	if err = errors.Join(err, u.root.Close()); err != nil {
		return err
	}
	if err := c.opts.Files.Do("sync-tree", tmp, func() error { return syncTree(tmp) }); err != nil {
		return err
	}
	// A directory that no record names is what a crash left, of no use to anybody.
	if err := removeTree(c.opts.Files, dir); err != nil {
		return err
	}
	if err := c.opts.Files.Rename(tmp, dir); err != nil {
		return err
	}
	return c.opts.Files.SyncDir(filepath.Dir(dir))
}

// unpackLayer unpacks a layer and makes sure that its content is the one the image's configuration names.
func unpackLayer(ctx context.Context, u *unpacker, from contents, d v1.Descriptor, diffID v1.Hash) error {
	failed := func(doing string, err error) error {
		return &pullError{pullRetried + "failed to " + doing + " layer " + d.Digest.String() + ": " + err.Error(), err}
	}
	if !registry.ValidDigest(diffID.String()) {
		return failed("extract", fmt.Errorf("its diff id %q is no sha256 digest", diffID))
	}
	rc, err := uncompressed(ctx, from, d)
	if err != nil {
		return failed("copy", err)
	}
	h := sha256.New()
	err = u.layer(ctx, io.TeeReader(rc, h))
	if err = errors.Join(err, rc.Close()); err != nil {
		return failed("extract", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != diffID.Hex {
		return failed("extract", fmt.Errorf("its content is sha256:%s, the image's configuration says %s", got, diffID))
	}
	return nil
}
