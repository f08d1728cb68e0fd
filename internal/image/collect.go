package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Collected says what a Collect did.
type Collected struct {
	Images int   // removed
	Freed  int64 // bytes of files, as unpacked
	Kept   int64 // bytes still there
}

// Collect removes the images that were used longest ago until the unpacked files come to at most maxBytes. It never
// removes an image that somebody holds (Prepare without Release) or for whose digest inUse is true: the images of
// containers that run on from before this process. What is left of interrupted pulls is removed, too. inUse is called
// with the cache locked and must be quick.
func (c *Cache) Collect(ctx context.Context, maxBytes int64, inUse func(digest string) bool) (Collected, error) {
	removed, result, err := c.detach(maxBytes, inUse)
	for _, dir := range removed {
		if ctx.Err() != nil {
			// The rest is in tmp/ and goes with the next Open.
			return result, errors.Join(err, ctx.Err())
		}
		if rerr := removeTree(c.opts.Files, dir); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		return result, fmt.Errorf("collecting images: %w", err)
	}
	if result.Images > 0 {
		c.opts.Log.Info("images collected", "images", result.Images, "freed", result.Freed, "kept", result.Kept)
	}
	return result, nil
}

// detach decides what goes, forgets it, and moves its files to tmp/, whose names it returns. That is quick; the removal
// of the files is not.
func (c *Cache) detach(maxBytes int64, inUse func(string) bool) (moved []string, result Collected, err error) {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	total, users := c.usage()
	before := total
	var idle []*entry
	for _, e := range c.images {
		err = errors.Join(err, c.noteUse(e, time.Hour))
		if e.leases == 0 && !inUse(e.rec.Digest) {
			idle = append(idle, e)
		}
	}
	slices.SortFunc(idle, func(a, b *entry) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.rec.Digest, b.rec.Digest))
	})
	for _, e := range idle {
		if total <= maxBytes {
			break
		}
		// An earlier try may have removed it and been told that it had not.
		if rerr := c.opts.Files.Remove(c.recordFile(e.rec.Digest)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
			continue
		}
		delete(c.images, e.rec.Digest)
		for key, digest := range c.chosen {
			if digest == e.rec.Digest {
				delete(c.chosen, key)
			}
		}
		result.Images++
		total -= e.rec.FlatBytes + e.rec.ArchiveBytes
		for _, l := range e.rec.Layers {
			if users[l.Chain]--; users[l.Chain] == 0 {
				total -= l.Bytes
			}
		}
	}
	moved, merr := c.moveOrphans()
	result.Freed, result.Kept = before-total, total
	return moved, result, errors.Join(err, merr)
}

// usage is the size of all files the records name, each layer once, and how many images use each layer.
func (c *Cache) usage() (total int64, users map[string]int) {
	users = map[string]int{}
	for _, e := range c.images {
		total += e.rec.FlatBytes + e.rec.ArchiveBytes
		for _, l := range e.rec.Layers {
			if users[l.Chain]++; users[l.Chain] == 1 {
				total += l.Bytes
			}
		}
	}
	return total, users
}

// moveOrphans moves every directory or archive that no record names and no pull holds to tmp/.
func (c *Cache) moveOrphans() (moved []string, err error) {
	named := map[string]bool{}
	for _, e := range c.images {
		if e.rec.Flat {
			named[c.flatDir(e.rec.Digest)] = true
		}
		if e.rec.Archive {
			named[c.archiveFile(e.rec.Digest)] = true
		}
		for _, l := range e.rec.Layers {
			named[c.layerDir(l.Chain)] = true
		}
	}
	for _, kind := range []string{"flat", "layers", "archives"} {
		entries, rerr := os.ReadDir(filepath.Join(c.opts.Dir, kind))
		err = errors.Join(err, rerr)
		for _, d := range entries {
			dir := filepath.Join(c.opts.Dir, kind, strings.TrimSuffix(d.Name(), unpackedExt))
			if named[dir] || c.pins[dir] > 0 {
				continue
			}
			to, terr := c.opts.Files.MkdirTemp(filepath.Join(c.opts.Dir, "tmp"), "gone-")
			if terr == nil {
				terr = c.opts.Files.Rename(filepath.Join(c.opts.Dir, kind, d.Name()), filepath.Join(to, d.Name()))
			}
			if err = errors.Join(err, terr); terr == nil {
				moved = append(moved, to)
			}
		}
	}
	return moved, err
}
