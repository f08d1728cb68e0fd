package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
)

// rootfs is a container's root file system: an overlay of its image's layers with a directory of its own on top.
//
// Making one costs a dozen files in the file system of the state directory, and removing it as many again, which is most of
// what a short container costs there. So a root that its container has not written to, as most do not, is kept for a moment
// for the next container of the same image.
type rootfs struct {
	r *Runtime
	// name is that of its directory; empty if what is written stays in memory.
	name   string
	layers string // what it is made of
	// mount is the mounted root, detached, for the next container; nil until the init has sent it.
	mount *os.File
	// changed is the ctime of the upper directory, in nanoseconds, before any program could touch it.
	changed int64
	retire  *time.Timer // while it waits for a container
}

// Roots that wait for a container.
const (
	maxIdleRoots = 64
	idleRootLife = 5 * time.Second
)

// basePath is the layer that lies over every image.
func (r *Runtime) basePath() string { return filepath.Join(r.options.StateDir, "base") }

// takeRoot returns a root for layers and a container's only user: one that waits, or a new one, which only has a directory
// yet.
func (r *Runtime) takeRoot(layers []string, user soleUser) (*rootfs, error) {
	key := fmt.Sprint(user.uid, user.gid, "\x00", strings.Join(layers, "\x00"))
	r.mu.Lock()
	if waiting := r.idle[key]; len(waiting) > 0 {
		f := waiting[len(waiting)-1]
		r.forgetIdle(key, len(waiting)-1)
		if f.retire.Stop() {
			r.retiring.Done()
		}
		r.mu.Unlock()
		return f, nil
	}
	f := &rootfs{r: r, layers: key}
	if r.inMemory {
		r.mu.Unlock()
		return f, nil
	}
	f.name = r.first + "-" + strconv.FormatUint(r.count.Add(1), 36)
	r.roots[f.name] = true
	r.mu.Unlock()

	path := r.path(f.name)
	err := unix.Mkdir(path, 0o700)
	if err != nil {
		err = &os.PathError{Op: "mkdir", Path: path, Err: err}
	} else if ids := r.ids; ids != nil && ids.foreign {
		err = os.Chown(path, ids.uids[0].outside, ids.gids[0].outside)
	}
	if err != nil {
		return nil, errors.Join(err, f.drop())
	}
	return f, nil
}

// describe puts the root into a container's instructions.
func (f *rootfs) describe(in *initproc.Instructions, layers []string, tree func(path string, recursive uint) (initproc.Tree, error), give func(*os.File) initproc.Tree) error {
	in.Root, in.Upper = noTree, noTree
	if f.mount != nil {
		// The init moves it, and it is no more.
		in.Root = give(f.mount)
		f.mount = nil
		in.ShareRoot = true
		return nil
	}
	for _, layer := range append(layers[:len(layers):len(layers)], f.r.basePath()) {
		t, err := tree(layer, 0)
		if err != nil {
			return fmt.Errorf("image layer: %w", err)
		}
		in.Layers = append(in.Layers, t)
	}
	if f.name == "" {
		return nil
	}
	in.Upper = initproc.Tree{FD: -1, Path: f.name} // the launcher's working directory is the one it is in
	in.ShareRoot = true
	return nil
}

// made takes what the init has made of the root, for later.
func (f *rootfs) made(m *initproc.MadeRoot, mount *os.File) {
	f.mount = mount
	if m.Changed != 0 {
		f.changed = int64(m.Changed)
	}
}

// pristine reports whether no container has written to the root. Everything that the overlay writes, it writes to its upper
// directory or into that, which changes the directory's ctime; the kernel's clock for that being coarse, whatever else can
// be seen of a change is looked for as well.
func (f *rootfs) pristine() bool {
	if f.mount == nil || f.name == "" {
		return false
	}
	path := filepath.Join(f.r.path(f.name), "upper")
	var uid, gid = uint32(os.Geteuid()), uint32(os.Getegid())
	if ids := f.r.ids; ids != nil {
		uid, gid = uint32(ids.uids[0].outside), uint32(ids.gids[0].outside)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Ctim.Nano() != f.changed || st.Mode != unix.S_IFDIR|0o755 || st.Uid != uid || st.Gid != gid {
		return false
	}
	var names [1024]byte
	n, err := unix.Llistxattr(path, names[:])
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return false
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:max(n, 0)]), "\x00"), "\x00") {
		// The overlay's own; a container's of that prefix are kept as user.overlay.overlay.*
		if name != "" && (!strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "user.overlay.overlay.")) {
			return false
		}
	}
	d, err := os.Open(path)
	if err != nil {
		return false
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// release is called when the root's container has ended: it keeps the root, or removes it.
func (f *rootfs) release() error {
	if f.r.options.keepNoRoots || !f.pristine() {
		return f.drop()
	}
	r := f.r
	r.mu.Lock()
	if r.idleCount >= maxIdleRoots || r.closed {
		r.mu.Unlock()
		return f.drop()
	}
	defer r.mu.Unlock()
	r.idle[f.layers] = append(r.idle[f.layers], f)
	r.idleCount++
	r.retiring.Add(1)
	f.retire = time.AfterFunc(idleRootLife, func() {
		defer r.retiring.Done()
		r.retireRoot(f)
	})
	return nil
}

// retireRoot removes a root that no container wanted.
func (r *Runtime) retireRoot(f *rootfs) {
	r.mu.Lock()
	waiting := r.idle[f.layers]
	i := slices.Index(waiting, f)
	if i < 0 {
		r.mu.Unlock()
		return // a container has just taken it
	}
	r.forgetIdle(f.layers, i)
	r.mu.Unlock()
	if err := f.drop(); err != nil {
		r.options.Log.Warn("remove a root file system", "error", err)
	}
}

// forgetIdle takes a root out of those that wait. Runtime.mu is held.
func (r *Runtime) forgetIdle(layers string, i int) {
	waiting := slices.Delete(r.idle[layers], i, i+1)
	r.idleCount--
	if len(waiting) == 0 {
		delete(r.idle, layers)
	} else {
		r.idle[layers] = waiting
	}
}

// retireAll removes all roots that wait for a container.
func (r *Runtime) retireAll() error {
	r.mu.Lock()
	var all []*rootfs
	for _, waiting := range r.idle {
		all = append(all, waiting...)
	}
	clear(r.idle)
	r.idleCount = 0
	r.mu.Unlock()
	var errs error
	for _, f := range all {
		if f.retire.Stop() {
			r.retiring.Done()
		}
		errs = errors.Join(errs, f.drop())
	}
	r.retiring.Wait()
	return errs
}

// drop lets go of the root and has its directory removed.
func (f *rootfs) drop() error {
	if f.mount != nil {
		_ = f.mount.Close()
		f.mount = nil
	}
	if f.name == "" {
		return nil
	}
	// The launcher at hand may not be the one that made it.
	l, err := f.r.current(context.Background())
	if err == nil {
		err = l.remove(f.name)
	}
	f.r.mu.Lock()
	delete(f.r.roots, f.name)
	f.r.mu.Unlock()
	return err
}
