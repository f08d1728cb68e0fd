package launcher

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Volumes says which of the machine's directories jobs may mount.
type Volumes struct {
	// HostPaths are the directories that host volumes may lie in (--allow-host-path). None: no host volume is mounted.
	HostPaths []string
	// EFS maps file system ids to directories that stand in for them (--efs fs-123=DIR).
	EFS map[string]string
	// Supported: the runtime can mount at all.
	Supported bool
}

// mounts are the mounts of a container: its mount points on the task's volumes, and its tmpfs.
func (v *Volumes) mounts(task *batch.TaskView, c *batch.ContainerView) ([]runtime.Mount, error) {
	var out []runtime.Mount
	for _, t := range c.Tmpfs {
		out = append(out, runtime.Mount{Target: t.ContainerPath, Tmpfs: true, SizeMiB: t.SizeMiB, Options: t.Options})
	}
	for _, mp := range c.MountPoints {
		mount, err := v.mount(task, mp.Volume)
		if err != nil {
			return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
		}
		mount.Target, mount.ReadOnly = mp.ContainerPath, mp.ReadOnly
		out = append(out, mount)
	}
	if len(out) > 0 && !v.Supported {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: fmt.Errorf(
			"the job mounts %s, and the container runtime in use can't mount anything (see `batchbox doctor`)", out[0].Target)}
	}
	return out, nil
}

// mount is what stands behind a volume. One with neither a host path nor a file system is the task's own (ECS developer
// guide, "Use bind mounts": "sourcePath ... if this parameter is omitted").
func (v *Volumes) mount(task *batch.TaskView, name string) (runtime.Mount, error) {
	for i := range task.Volumes {
		vol := &task.Volumes[i]
		switch {
		case vol.Name != name:
		case vol.EFS != nil:
			dir := v.EFS[vol.EFS.FileSystemID]
			if dir == "" {
				return runtime.Mount{}, fmt.Errorf("volume %s is EFS file system %s, which no directory stands in for; start the engine with --efs %s=DIR",
					name, vol.EFS.FileSystemID, vol.EFS.FileSystemID)
			}
			source, err := within(dir, vol.EFS.RootDirectory)
			return runtime.Mount{Source: source}, err
		case vol.S3Files != "":
			return runtime.Mount{}, fmt.Errorf("volume %s is S3 file system %s; batchbox mounts host paths, EFS stand-ins and volumes of the task's own", name, vol.S3Files)
		case vol.HostPath == "":
			return runtime.Mount{Volume: name}, nil
		default:
			source, err := v.hostPath(name, vol.HostPath)
			return runtime.Mount{Source: source}, err
		}
	}
	return runtime.Mount{}, fmt.Errorf("mount point names volume %s, which the job definition does not have", name)
}

// hostPath allows a host path that lies, links followed, in one of the allowed directories.
func (v *Volumes) hostPath(volume, path string) (string, error) {
	for _, allowed := range v.HostPaths {
		if real, ok := below(allowed, path); ok {
			return real, nil
		}
	}
	return "", fmt.Errorf("volume %s is host path %s, which is not allowed or not there; start the engine with --allow-host-path DIR", volume, path)
}

// within is a directory below root, which no link in it may leave.
func within(root, sub string) (string, error) {
	real, ok := below(root, filepath.Join(root, filepath.Join("/", sub)))
	if !ok {
		return "", fmt.Errorf("directory %s is not there, or leads out of %s", sub, root)
	}
	return real, nil
}

// below resolves all links of path and says whether it lies in root.
func below(root, path string) (real string, ok bool) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", false
	}
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", false
	}
	return real, real == root || strings.HasPrefix(real, strings.TrimSuffix(root, "/")+"/")
}
