package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// volumes are the directories that stand for the tasks' own volumes: <dir>/<hash of the task's key>/<volume>.
type volumes struct {
	dir   string
	files fsys.FS
}

func (v volumes) ofTask(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(v.dir, hex.EncodeToString(sum[:12]))
}

// mounts are a container's mounts, those of the task's own volumes with their directories, which are made if they are not
// there yet. used says whether there is any of them.
func (v volumes) mounts(key string, mounts []runtime.Mount) (out []runtime.Mount, used bool, err error) {
	if !slices.ContainsFunc(mounts, func(m runtime.Mount) bool { return m.Volume != "" }) {
		return mounts, false, nil
	}
	if v.dir == "" {
		return nil, false, errors.New("this supervisor has no place for volumes")
	}
	out = slices.Clone(mounts)
	for i := range out {
		m := &out[i]
		if m.Volume == "" {
			continue
		}
		if filepath.Base(m.Volume) != m.Volume || m.Volume == "." || m.Volume == ".." {
			return nil, false, fmt.Errorf("volume %q: the name is no file name", m.Volume)
		}
		m.Source = filepath.Join(v.ofTask(key), m.Volume)
		if err := v.files.MkdirAll(filepath.Dir(m.Source), 0o711); err != nil {
			return nil, false, fmt.Errorf("volume %s: %w", m.Volume, err)
		}
		// As an empty directory of a container engine: root's, and readable. The umask has no say.
		err := v.files.Do("mkdir", m.Source, func() error { return os.Mkdir(m.Source, 0o755) })
		if err == nil {
			err = v.files.Do("chmod", m.Source, func() error { return os.Chmod(m.Source, 0o755) })
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, false, fmt.Errorf("volume %s: %w", m.Volume, err)
		}
	}
	return out, true, nil
}

// remove removes what rt's containers have left of a task's volumes.
func (v volumes) remove(rt runtime.Runtime, key string) error {
	return v.removeTree(rt, v.ofTask(key))
}

// sweep removes all volumes: no task runs.
func (v volumes) sweep(rt runtime.Runtime) error {
	if v.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, v.removeTree(rt, filepath.Join(v.dir, e.Name())))
	}
	return err
}

func (v volumes) removeTree(rt runtime.Runtime, path string) error {
	if r, ok := rt.(runtime.TreeRemover); ok {
		return v.files.Do("remove-tree", path, func() error { return r.RemoveTree(path) })
	}
	return v.files.RemoveAll(path)
}
