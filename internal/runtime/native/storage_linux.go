package native

import (
	"context"
	"os"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/storage"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// watchStorage begins to watch a container. What it writes to memory is bounded by the file system it is written to.
func (c *container) watchStorage(spec *runtime.Spec) *storage.Watch {
	if c.r.inMemory {
		return nil
	}
	volumes := storage.Volumes(spec)
	return storage.New(storage.Container{
		Name: c.name, Limit: surroundings.StorageBytes(spec), Kill: c.Kill, Log: c.r.options.Log,
		Measure: func(ctx context.Context) (uint64, error) {
			used, err := c.launcher.measure(ctx, c.root.name)
			for _, dir := range volumes {
				if err != nil {
					break
				}
				var more uint64
				if os.Geteuid() == 0 { // the launcher may not be let into the directories above
					more, err = initproc.DiskUsage(dir)
				} else {
					more, err = c.launcher.measure(ctx, dir)
				}
				used += more
			}
			return used, err
		},
	})
}
