package runc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/cgroup"
	"github.com/batchbox/batchbox/internal/runtime/native"
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// Runtime runs containers by runc. It implements runtime.Runtime.
type Runtime struct {
	options Options
	path    string // of runc
	label   string // what bears the owner's name: cgroups, root mounts
	exe     *os.File
	init    string       // path of a batchbox-init to mount into containers; empty if there is none
	groups  *cgroup.Tree // nil if there are no cgroups
	notes   []string

	networks tasknet.Networks[*network]
	hub      lazyHub

	first string
	count atomic.Uint64

	mu   sync.Mutex
	live map[string]*container
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime, or an error that wraps ErrUnsupported and says what this machine or user lacks.
func New(ctx context.Context, o Options) (_ *Runtime, err error) {
	if o.StateDir == "" || !filepath.IsAbs(o.StateDir) {
		return nil, fmt.Errorf("runc: state directory %q is not an absolute path", o.StateDir)
	}
	if o.Owner == "" {
		return nil, errors.New("runc: no owner")
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: not running as root", ErrUnsupported)
	}
	if o.Path == "" {
		o.Path = Name
	}
	if o.MaxPIDs == 0 {
		o.MaxPIDs = native.DefaultMaxPIDs
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runtime{options: o, live: make(map[string]*container), first: strconv.FormatInt(time.Now().UnixNano(), 36)}
	if r.path, err = exec.LookPath(o.Path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if r.path, err = filepath.Abs(r.path); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(o.Owner))
	r.label = "batchbox-runc-" + hex.EncodeToString(sum[:6])
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	for _, dir := range []string{"bundles", "state"} {
		if err := os.MkdirAll(filepath.Join(o.StateDir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("runc: %w", err)
		}
	}
	if err := surroundings.MakeBase(r.basePath()); err != nil {
		return nil, fmt.Errorf("runc: %w", err)
	}
	var embedded bool
	if r.exe, embedded, err = initbin.Open(); err != nil {
		return nil, fmt.Errorf("runc: %w", err)
	}
	if embedded {
		r.init = filepath.Join(o.StateDir, "batchbox-init")
		if err := os.WriteFile(r.init, initbin.Binary(), 0o555); err != nil {
			return nil, fmt.Errorf("runc: %w", err)
		}
	} else {
		r.notes = append(r.notes, "Jobs that ask for an init process can not run: this program was built without batchbox-init; build it with scripts/build.sh.")
	}
	if r.groups, err = cgroup.Open(r.label); err != nil {
		if !errors.Is(err, cgroup.ErrUnavailable) {
			return nil, fmt.Errorf("runc: %w", err)
		}
		r.notes = append(r.notes, fmt.Sprintf("vCPU, memory and process limits are not enforced: %v.", err))
	}
	if err := r.probe(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	r.notes = append(r.notes,
		"Private networks reach the outside by TCP and UDP alone, not the machine's own loopback, and nothing from outside reaches them.",
		"Privileged containers are refused.",
		"When a container can not be started, runc's own message is in its output as well.")
	return r, nil
}

// probe mounts a root file system, and asks runc for its version.
func (r *Runtime) probe(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, r.path, "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("%s --version: %w: %s", r.path, err, out)
	}
	b := &bundle{dir: filepath.Join(r.options.StateDir, "bundles", "probe-"+r.first), label: r.label + "/probe"}
	err := b.make([]string{r.basePath()})
	return errors.Join(err, b.remove())
}

func (r *Runtime) basePath() string { return filepath.Join(r.options.StateDir, "base") }

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return Name }

// Capabilities implements runtime.Runtime.
func (r *Runtime) Capabilities() runtime.Capabilities {
	var controllers []string
	if r.groups != nil {
		controllers = r.groups.Controllers()
	}
	return runtime.Capabilities{
		Rootfs:           runtime.RootfsLayers,
		Isolated:         true,
		MemoryLimit:      slices.Contains(controllers, "memory"),
		CPULimit:         slices.Contains(controllers, "cpu") && !r.options.NoCPUQuota,
		KillsDescendants: true,
		StorageLimit:     true,
		PrivateNetwork:   true,
		TaskEndpoint:     true,

		ConnectedNetworks: true,

		ReadonlyRootfs: true,
		Users:          true,
		Mounts:         true,
		Hostname:       true,
		OutputOrder:    true,
		Notes:          slices.Clone(r.notes),
	}
}

// command is runc with the options that all its uses share.
func (r *Runtime) command(args ...string) []string {
	return append([]string{r.path, "--root", filepath.Join(r.options.StateDir, "state")}, args...)
}

// delete removes what runc keeps about a container, ending it if it lives.
func (r *Runtime) delete(ctx context.Context, name string) error {
	argv := r.command("delete", "--force", name)
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("runc delete: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Sweep implements runtime.Runtime.
func (r *Runtime) Sweep(ctx context.Context, owner string) (int, error) {
	if owner != r.options.Owner {
		return 0, fmt.Errorf("runc: sweep of %q by the runtime of %q", owner, r.options.Owner)
	}
	entries, err := os.ReadDir(filepath.Join(r.options.StateDir, "bundles"))
	if err != nil {
		return 0, err
	}
	n := 0
	var errs error
	for _, e := range entries {
		r.mu.Lock()
		live := r.live[e.Name()] != nil
		r.mu.Unlock()
		if live {
			continue
		}
		n++
		errs = errors.Join(errs, r.delete(ctx, e.Name()))
		if r.groups != nil {
			g := r.groups.Get(e.Name())
			errs = errors.Join(errs, g.Kill(ctx), g.Remove())
		}
		b := &bundle{dir: filepath.Join(r.options.StateDir, "bundles", e.Name())}
		errs = errors.Join(errs, b.remove())
	}
	return n, errs
}

// Close implements runtime.Runtime. It ends what still runs.
func (r *Runtime) Close() error {
	r.mu.Lock()
	live := make([]*container, 0, len(r.live))
	for _, c := range r.live {
		live = append(live, c)
	}
	r.mu.Unlock()
	var errs error
	for _, c := range live {
		errs = errors.Join(errs, c.Kill())
	}
	for _, c := range live {
		<-c.ended
	}
	errs = errors.Join(errs, r.hub.close())
	if r.exe != nil {
		_ = r.exe.Close()
	}
	if r.groups != nil {
		errs = errors.Join(errs, r.groups.Close())
	}
	return errs
}

// bundle is the directory of a container, with its root file system mounted.
type bundle struct {
	dir   string
	label string // name of the root mount
}

// make makes the directory and mounts layers, lowest first, under a directory of the container's own.
func (b *bundle) make(layers []string) (err error) {
	for _, dir := range []string{"", "upper", "work", "rootfs"} {
		if err := os.Mkdir(filepath.Join(b.dir, dir), 0o755); err != nil {
			return err
		}
	}
	// Paths by descriptors are short: all options have to fit into a page.
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	byDescriptor := func(path string) (string, error) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: path, Err: err}
		}
		files = append(files, os.NewFile(uintptr(fd), path))
		return "/proc/self/fd/" + strconv.Itoa(fd), nil
	}
	var lower []string
	for _, l := range slices.Backward(layers) {
		path, err := byDescriptor(l)
		if err != nil {
			return fmt.Errorf("image layer: %w", err)
		}
		lower = append(lower, path)
	}
	upper, err := byDescriptor(filepath.Join(b.dir, "upper"))
	if err != nil {
		return err
	}
	work, err := byDescriptor(filepath.Join(b.dir, "work"))
	if err != nil {
		return err
	}
	data := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work + ",userxattr,volatile"
	if err := unix.Mount(b.label, filepath.Join(b.dir, "rootfs"), "overlay", unix.MS_NODEV, data); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return nil
}

// remove unmounts the root file system and removes the directory.
func (b *bundle) remove() error {
	err := unix.Unmount(filepath.Join(b.dir, "rootfs"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // it is not mounted
		err = nil
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", b.dir, err)
	}
	return os.RemoveAll(b.dir)
}

// writeConfig writes a bundle's configuration.
func (b *bundle) writeConfig(c *ociConfig) error {
	f, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "config.json"), f, 0o600)
}
