package native

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// Storage is measured from time to time, a second at first and then so seldom that measuring takes at most a fiftieth of
// the time, however many files there are.
const (
	storagePeriod = time.Second
	storageShare  = 50
)

// storageWatch ends a container that has written too much. The kernel could refuse to write more, as it does on Fargate, but
// only on a file system mounted with project quotas, which hardly any machine has.
type storageWatch struct {
	c       *container
	limit   uint64
	volumes []string // directories of the task's own volumes, which count as well

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	timer   *time.Timer
	running sync.WaitGroup
	reason  string
}

// watchStorage begins to watch a container. What it writes to memory is bounded by the file system it is written to.
func (c *container) watchStorage(spec *runtime.Spec) *storageWatch {
	if c.r.inMemory {
		return nil
	}
	w := &storageWatch{c: c, limit: surroundings.StorageBytes(spec)}
	for i := range spec.Mounts {
		if m := &spec.Mounts[i]; m.Volume != "" && !slices.Contains(w.volumes, m.Source) {
			w.volumes = append(w.volumes, m.Source)
		}
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.schedule(storagePeriod)
	return w
}

func (w *storageWatch) schedule(d time.Duration) {
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

func (w *storageWatch) look() {
	began := time.Now()
	used, err := w.used()
	took := time.Since(began)
	switch {
	case w.ctx.Err() != nil:
		return
	case err != nil:
		w.c.r.options.Log.Warn("measure a container's storage", "container", w.c.name, "error", err)
	case used > w.limit:
		w.mu.Lock()
		w.reason = fmt.Sprintf("the container has written %d bytes, more than its ephemeral storage of %d GiB", used, w.limit>>30)
		w.mu.Unlock()
		if err := w.c.Kill(); err != nil {
			w.c.r.options.Log.Warn("end a container that has written too much", "container", w.c.name, "error", err)
		}
		return
	}
	w.schedule(max(storagePeriod, storageShare*took))
}

func (w *storageWatch) used() (uint64, error) {
	used, err := w.c.launcher.measure(w.ctx, w.c.root.name)
	for _, dir := range w.volumes {
		if err != nil {
			break
		}
		var more uint64
		if os.Geteuid() == 0 { // the launcher may not be let into the directories above
			more, err = initproc.DiskUsage(dir)
		} else {
			more, err = w.c.launcher.measure(w.ctx, dir)
		}
		used += more
	}
	return used, err
}

// stop ends the watch, and says why the container was ended if it was.
func (w *storageWatch) stop() string {
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
