package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/runtime"
)

// images are those that this runtime has made sure of.
type images struct {
	mu sync.Mutex
	// loading are loads under way, by name; a thousand starts of one image load it once.
	loading map[string]*load
	// used is when an image that is there was used last.
	used map[string]time.Time
	// held counts the starts under way of an image, by name: until there is a container, only we know that it is needed.
	held map[string]int
	// loaded are those that were not there before.
	loaded map[string]bool
}

type load struct {
	done chan struct{}
	err  error
}

// hold keeps an image from being removed by us until release is called, once.
func (im *images) hold(name string) (release func()) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.held == nil {
		im.held = map[string]int{}
	}
	im.held[name]++
	return func() {
		im.mu.Lock()
		defer im.mu.Unlock()
		if im.held[name]--; im.held[name] == 0 {
			delete(im.held, name)
		}
	}
}

// image makes an image be there in the daemon and returns its name. It stays there only while it is held or has a container.
func (r *Runtime) image(ctx context.Context, image *runtime.Image) (string, error) {
	if image.Digest == "" {
		return "", fmt.Errorf("image %s has no digest", image.Ref)
	}
	if image.Archive == "" {
		return "", fmt.Errorf("image %s has no archive", image.Ref)
	}
	name := image.ArchiveName()
	im := &r.images
	for {
		im.mu.Lock()
		if _, ok := im.used[name]; ok {
			im.used[name] = time.Now()
			im.mu.Unlock()
			return name, nil
		}
		l := im.loading[name]
		if l == nil {
			l = &load{done: make(chan struct{})}
			if im.loading == nil {
				im.loading, im.used, im.loaded = map[string]*load{}, map[string]time.Time{}, map[string]bool{}
			}
			im.loading[name] = l
			archive := image.Archive
			r.busy.Go(func() { r.load(name, archive, l) })
		}
		im.mu.Unlock()
		select {
		case <-l.done:
			if l.err != nil {
				return "", l.err
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// forget makes the next start ask the daemon for an image again.
func (im *images) forget(name string) {
	im.mu.Lock()
	defer im.mu.Unlock()
	delete(im.used, name)
}

// giveUp is forget for an image that is to be removed, if none holds it.
func (im *images) giveUp(name string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.held[name] > 0 {
		return false
	}
	delete(im.used, name)
	return true
}

// load makes an image be there, unless it is.
func (r *Runtime) load(name, archive string, l *load) {
	fresh := false
	_, err := r.api.ImageInspect(r.ctx, name)
	if errdefs.IsNotFound(err) {
		fresh = true
		err = r.loadArchive(r.ctx, name, archive)
	}
	im := &r.images
	im.mu.Lock()
	if l.err = err; err == nil {
		im.used[name] = time.Now()
		im.loaded[name] = im.loaded[name] || fresh
	}
	delete(im.loading, name)
	im.mu.Unlock()
	close(l.done)
	if fresh && err == nil {
		if err := r.collectImages(r.ctx); err != nil && r.ctx.Err() == nil {
			r.log.Warn("docker: removing images", "err", err)
		}
	}
}

// loadArchive has the daemon load an archive, and checks that the image is there.
func (r *Runtime) loadArchive(ctx context.Context, name, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	began := time.Now()
	result, err := r.api.ImageLoad(ctx, f, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load image: %w", err)
	}
	err = loadError(result)
	if err = errors.Join(err, result.Close()); err != nil {
		return fmt.Errorf("load image: %w", err)
	}
	if _, err := r.api.ImageInspect(ctx, name); err != nil {
		return fmt.Errorf("the daemon has loaded image %s, but does not have it: %w", name, err)
	}
	r.log.Info("docker: image loaded", "image", name, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// loadError reads the daemon's account of a load, a stream of JSON objects, to its end. An error comes as one of them.
func loadError(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var message struct {
			ErrorDetail *struct{ Message string } `json:"errorDetail"`
			Error       string                    `json:"error"`
		}
		err := d.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.ErrorDetail != nil && message.ErrorDetail.Message != "":
			return errors.New(message.ErrorDetail.Message)
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

// loadedImage is an image that was loaded by some runtime of this kind.
type loadedImage struct {
	name string
	size int64
	used time.Time
}

// collectImages removes the loaded images that were used longest ago until what is left comes to no more than it may. The
// daemon keeps those that a container, of anybody, needs.
func (r *Runtime) collectImages(ctx context.Context) error {
	if r.options.ImageBytes < 0 {
		return nil
	}
	list, err := r.api.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", runtime.ArchiveRepository)})
	if err != nil {
		return err
	}
	var all []loadedImage
	var total int64
	r.images.mu.Lock()
	for _, it := range list.Items {
		for _, name := range it.RepoTags {
			i := loadedImage{name: name, size: it.Size, used: r.images.used[name]}
			total += i.size
			all = append(all, i)
		}
	}
	r.images.mu.Unlock()
	for i := range all {
		if !all[i].used.IsZero() || total <= r.options.ImageBytes {
			continue
		}
		// Not used by this process yet: the daemon knows since when it has it.
		if c, err := r.api.ImageInspect(ctx, all[i].name); err == nil {
			all[i].used = c.Metadata.LastTagTime
		}
	}
	slices.SortFunc(all, func(a, b loadedImage) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	for _, i := range all {
		// What was used a moment ago may be about to be used by a container, of another engine, that is not made yet.
		if total <= r.options.ImageBytes || time.Since(i.used) < r.options.Grace {
			break
		}
		if !r.images.giveUp(i.name) {
			continue
		}
		if _, err := r.api.ImageRemove(ctx, i.name, client.ImageRemoveOptions{PruneChildren: true}); err != nil {
			if !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
				return fmt.Errorf("remove image %s: %w", i.name, err)
			}
			continue
		}
		total -= i.size
		r.log.Info("docker: image removed", "image", i.name, "bytes", i.size)
	}
	return nil
}

// dropImages removes the images that this runtime has loaded. The daemon keeps those that a container, of anybody, needs; an
// engine that finds one gone loads it again.
func (r *Runtime) dropImages(ctx context.Context) error {
	r.images.mu.Lock()
	loaded := maps.Clone(r.images.loaded)
	r.images.mu.Unlock()
	var errs error
	for name, ours := range loaded {
		if !ours {
			continue
		}
		if _, err := r.api.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true}); err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
			errs = errors.Join(errs, fmt.Errorf("remove image %s: %w", name, err))
		}
	}
	return errs
}
