package docker

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/storage"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// watchStorage begins to watch what the container writes: into its layer, and onto the task's own volumes and those that its
// image asks for, as far as they are seen from here.
func (h *handle) watchStorage(spec *runtime.Spec) *storage.Watch {
	volumes := append(storage.Volumes(spec), h.anonymous...)
	return storage.New(storage.Container{
		Name: h.name, Limit: surroundings.StorageBytes(spec), Kill: h.Kill, Log: h.r.log,
		Measure: func(ctx context.Context) (uint64, error) {
			used, err := h.layerUsage(ctx)
			if err != nil {
				select {
				case <-h.ended:
					return 0, nil // there is nothing to measure any more
				default:
					return 0, err
				}
			}
			for _, dir := range volumes {
				n, err := initproc.DiskUsage(dir)
				if err != nil && !errors.Is(err, fs.ErrPermission) { // what root has closed in there is not counted
					return 0, err
				}
				used += n
			}
			return used, nil
		},
	})
}

// layerUsage is how much the container's layer takes. Where the directory is seen, looking at it is cheaper than asking: a
// daemon that is asked looks at the layers of the image as well.
func (h *handle) layerUsage(ctx context.Context) (uint64, error) {
	if h.upper != "" {
		return initproc.DiskUsage(h.upper)
	}
	c, err := h.r.api.ContainerInspect(ctx, h.id, client.ContainerInspectOptions{Size: true})
	if err != nil || c.Container.SizeRw == nil {
		return 0, err
	}
	return uint64(max(*c.Container.SizeRw, 0)), nil
}

// upperDir is the directory of a container's layer, if it can be looked into from here; "" if the daemon has to be asked.
func (r *Runtime) upperDir(data map[string]string) string {
	dir := data["UpperDir"]
	if dir == "" || !r.sees {
		return ""
	}
	if f, err := os.Open(dir); err != nil || f.Close() != nil {
		return ""
	}
	return dir
}
