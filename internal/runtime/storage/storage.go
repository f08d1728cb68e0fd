// Package storage bounds what a container writes where nothing else does. The kernel could refuse to write more, as it does
// on Fargate, but only on a file system mounted with project quotas, which hardly any machine has; so what has been written
// is measured from time to time, and a container that has written too much is ended.
package storage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Storage is measured from time to time, a second at first and then so seldom that measuring takes at most a fiftieth of
// the time, however many files there are.
const (
	period = time.Second
	share  = 50
)

// Container is what a Watch watches.
type Container struct {
	Name string
	// Limit is how many bytes it may write.
	Limit uint64
	// Measure tells how many it has written.
	Measure func(context.Context) (uint64, error)
	// Kill ends it.
	Kill func() error
	Log  *slog.Logger
}

// Watch ends a container that has written too much.
type Watch struct {
	c      Container
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	timer   *time.Timer
	running sync.WaitGroup
	reason  string
}

// New begins to watch a container that runs. Stop has to be called.
func New(c Container) *Watch {
	w := &Watch{c: c}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.schedule(period)
	return w
}

func (w *Watch) schedule(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	w.running.Add(1)
	w.timer = time.AfterFunc(d, func() {
		defer w.running.Done()
		w.look()
	})
}

func (w *Watch) look() {
	began := time.Now()
	used, err := w.c.Measure(w.ctx)
	took := time.Since(began)
	switch {
	case w.ctx.Err() != nil:
		return
	case err != nil:
		w.c.Log.Warn("measure a container's storage", "container", w.c.Name, "error", err)
	case used > w.c.Limit:
		w.mu.Lock()
		w.reason = fmt.Sprintf("the container has written %d bytes, more than its ephemeral storage of %d GiB", used, w.c.Limit>>30)
		w.mu.Unlock()
		if err := w.c.Kill(); err != nil {
			w.c.Log.Warn("end a container that has written too much", "container", w.c.Name, "error", err)
		}
		return
	}
	w.schedule(max(period, share*took))
}

// Stop ends the watch, and says why the container was ended if it was. A nil Watch may be stopped.
func (w *Watch) Stop() string {
	if w == nil {
		return ""
	}
	w.cancel()
	w.mu.Lock()
	if w.timer.Stop() {
		w.running.Done()
	}
	w.mu.Unlock()
	w.running.Wait()
	return w.reason
}

// Volumes are the directories of the task's own volumes that a container mounts, which count as its storage.
func Volumes(spec *runtime.Spec) (dirs []string) {
	for i := range spec.Mounts {
		if m := &spec.Mounts[i]; m.Volume != "" && !slices.Contains(dirs, m.Source) {
			dirs = append(dirs, m.Source)
		}
	}
	return dirs
}
