package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
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
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/native/seccomp"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// Runtime runs containers. It implements runtime.Runtime.
type Runtime struct {
	options  Options
	label    string // what bears the owner's name: cgroups, root mounts
	seccomp  []byte
	exe      *os.File     // batchbox-init
	dir      *os.File     // where containers' directories are
	inMemory bool         // what containers write, because dir's file system is none for overlayfs
	groups   *cgroup.Tree // nil if there are no cgroups
	ids      *idMaps      // nil without a user namespace
	// missingIDs says why the user namespace has no ids but root's; "" if it has.
	missingIDs string
	notes      []string

	// first distinguishes the names of this Runtime's containers from an earlier one's.
	first string
	count atomic.Uint64

	mu       sync.Mutex
	closed   bool
	starting sync.WaitGroup // of Starts that go on; Add under mu
	launcher *launcher      // nil before the first, and when closed
	live     map[string]*container
	networks map[string]*taskNetwork
	roots    map[string]bool      // directories in use, idle ones included
	idle     map[string][]*rootfs // by their layers
	// idleCount counts those in idle; retiring counts their timers.
	idleCount int
	retiring  sync.WaitGroup
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime, or an error that wraps ErrUnsupported and says what this machine or user lacks. It makes a trial
// container, without a program, to be sure.
func New(ctx context.Context, o Options) (_ *Runtime, err error) {
	if o.StateDir == "" || !filepath.IsAbs(o.StateDir) {
		return nil, fmt.Errorf("native: state directory %q is not an absolute path", o.StateDir)
	}
	if o.Owner == "" {
		return nil, errors.New("native: no owner")
	}
	if o.MaxPIDs == 0 {
		o.MaxPIDs = DefaultMaxPIDs
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runtime{
		options:  o,
		label:    label(o.Owner),
		first:    strconv.FormatInt(time.Now().UnixNano(), 36),
		live:     make(map[string]*container),
		networks: make(map[string]*taskNetwork),
		roots:    make(map[string]bool),
		idle:     make(map[string][]*rootfs),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.seccomp, err = seccomp.Filter(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.path(""), 0o711); err != nil {
		return nil, fmt.Errorf("native: %w", err)
	}
	if r.dir, err = os.Open(r.path("")); err != nil {
		return nil, fmt.Errorf("native: %w", err)
	}
	if err := surroundings.MakeBase(r.basePath()); err != nil {
		return nil, fmt.Errorf("native: %w", err)
	}
	var embedded bool
	if r.exe, embedded, err = initbin.Open(); err != nil {
		return nil, fmt.Errorf("native: %w", err)
	}
	if !embedded {
		r.note("This program was built without batchbox-init and starts itself instead, which takes longer; build it with scripts/build.sh.")
	}
	r.groups, err = cgroup.Open(r.label)
	if err != nil {
		if !errors.Is(err, cgroup.ErrUnavailable) {
			return nil, fmt.Errorf("native: %w", err)
		}
		r.note("vCPU, memory and process limits are not enforced: %v.", err)
	} else if missing := missingControllers(r.groups); missing != "" {
		r.note("Limits that need the %s controller are not enforced: the kernel does not offer it here (cgroup %s).", missing, r.groups.Version())
	}
	return r, r.settle(ctx)
}

func (r *Runtime) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// label is how an owner's containers are marked where its whole name does not fit.
func label(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "batchbox-" + hex.EncodeToString(sum[:6])
}

// path is the path of a container's directory.
func (r *Runtime) path(name string) string {
	return filepath.Join(r.options.StateDir, "containers", name)
}

func missingControllers(t *cgroup.Tree) string {
	have := t.Controllers()
	var missing []string
	for _, c := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, c) {
			missing = append(missing, c)
		}
	}
	return strings.Join(missing, ", ")
}

// settle finds the best way to make containers that works on this machine, by trying.
func (r *Runtime) settle(ctx context.Context) error {
	type attempt struct {
		ids      *idMaps
		inMemory bool
	}
	var attempts []attempt
	var why string
	root := os.Geteuid() == 0
	if !root {
		var ids *idMaps
		ids, why = userMaps()
		attempts = []attempt{{ids, false}, {ids, true}}
	} else if !r.options.NoUserNamespace {
		ids := rootMaps()
		attempts = []attempt{{ids, false}, {ids, true}}
	}
	if root {
		attempts = append(attempts, attempt{nil, false}, attempt{nil, true})
	}
	var problems []error
	for _, a := range attempts {
		if r.options.inMemory && !a.inMemory {
			continue
		}
		err := r.try(ctx, a.ids, a.inMemory)
		if err == nil {
			r.settled(problems, why)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		problems = append(problems, err)
	}
	if err := obstacle(); err != nil && !root {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	// The attempts fail alike, the first of them at the form that is worth having.
	return fmt.Errorf("%w: %w", ErrUnsupported, problems[0])
}

// try starts a launcher and a container without a program.
func (r *Runtime) try(ctx context.Context, ids *idMaps, inMemory bool) (err error) {
	r.ids, r.inMemory = ids, inMemory
	l, err := r.newLauncher(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.launcher = l
	r.mu.Unlock()
	defer func() {
		if err != nil {
			r.mu.Lock()
			r.launcher = nil
			r.mu.Unlock()
			err = errors.Join(err, l.close())
		}
	}()
	image := filepath.Join(r.options.StateDir, "trial")
	if err := os.MkdirAll(image, 0o755); err != nil {
		return err
	}
	defer os.Remove(image)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	h, err := r.start(ctx, runtime.Spec{
		Image:   runtime.Image{Layers: []string{image}},
		Network: runtime.Network{Mode: runtime.NetworkPrivate},
	}, "trial", null)
	if err != nil {
		return err
	}
	if e := h.Wait(); e.Err != "" || e.Code != 0 {
		return fmt.Errorf("the trial container ended with code %d %s", e.Code, e.Err)
	}
	return nil
}

// settled notes what the containers of this machine will not be like.
func (r *Runtime) settled(problems []error, why string) {
	if r.ids == nil && len(problems) > 0 {
		r.note("Containers have no user namespace (%v): %v.", r.ids, problems[0])
	}
	if why != "" {
		r.missingIDs = why
		r.note("A container has a single user, the one its job or image names; all files of the image belong to it, and there are no other users: %s.", why)
	}
	if r.inMemory && len(problems) > 0 {
		r.note("What containers write is kept in memory, because overlayfs takes no upper directory in %s: %v.", r.options.StateDir, problems[0])
	}
	if r.ids != nil && !r.ids.foreign && !r.ids.single() {
		r.note("Files of an image that belong to others than root belong to root in the container, for its layers were unpacked without root.")
	}
	r.note("Private networks reach the outside by TCP and UDP alone, not the machine's own loopback, and nothing from outside reaches them.")
	if r.ids == nil {
		r.note("Privileged containers are refused.")
		return
	}
	r.note("In the host's network a container can not listen on ports that are for root (below net.ipv4.ip_unprivileged_port_start).")
	r.note("Privileged containers have all capabilities over what is their own, and none over the host.")
}

// obstacles are settings that keep users without rights from making user namespaces, on some distributions by default.
var obstacles = []struct{ path, value, advice string }{
	{"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces is 0"},
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone is 0 (Debian, Arch); set it to 1"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu); set it to 0, or give batchbox an AppArmor profile that allows userns"},
}

// obstacle says what on this machine forbids user namespaces, if that is known.
func obstacle() error {
	for _, o := range obstacles {
		if b, err := os.ReadFile(o.path); err == nil && strings.TrimSpace(string(b)) == o.value {
			return errors.New(o.advice)
		}
	}
	return nil
}

// newLauncher starts a launcher.
func (r *Runtime) newLauncher(ctx context.Context) (*launcher, error) {
	var home []*os.File
	if r.groups != nil {
		var err error
		if home, err = r.groups.HomeTasks(); err != nil {
			return nil, err
		}
		defer func() {
			for _, f := range home {
				_ = f.Close()
			}
		}()
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	l, err := startLauncher(ctx, r.exe, r.ids, r.dir, home)
	if err != nil {
		return nil, fmt.Errorf("launcher: %w", err)
	}
	return l, nil
}

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

// current is the launcher, or another one if it has died.
func (r *Runtime) current(ctx context.Context) (*launcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.launcher != nil && r.launcher.alive() {
		return r.launcher, nil
	}
	if r.closed || r.launcher == nil {
		return nil, errClosed
	}
	l, err := r.newLauncher(ctx)
	if err != nil {
		return nil, err
	}
	r.options.Log.Warn("the process that starts containers had died and was started again")
	if err := r.launcher.close(); err != nil {
		r.options.Log.Warn("close the dead launcher", "error", err)
	}
	r.launcher = l
	return l, nil
}

// Close implements runtime.Runtime. It ends what still runs.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.starting.Wait()
	r.mu.Lock()
	live := slices.Collect(maps.Values(r.live))
	r.mu.Unlock()
	var errs error
	for _, c := range live {
		errs = errors.Join(errs, c.Kill())
	}
	for _, c := range live {
		<-c.ended
		c.finish()
	}
	errs = errors.Join(errs, r.retireAll())
	r.mu.Lock()
	l := r.launcher
	r.launcher = nil
	r.mu.Unlock()
	if l != nil {
		errs = errors.Join(errs, l.close())
	}
	for _, f := range []*os.File{r.exe, r.dir} {
		if f != nil {
			_ = f.Close()
		}
	}
	r.exe, r.dir = nil, nil
	if r.groups != nil {
		errs = errors.Join(errs, r.groups.Close())
		r.groups = nil
	}
	return errs
}

// begin notes that a container is being started, and refuses when the runtime is closed.
func (r *Runtime) begin(c *container) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	r.starting.Add(1)
	r.live[c.name] = c
	return nil
}

var errClosed = errors.New("the native runtime is closed")

// Sweep implements runtime.Runtime. A launcher ends its containers when its supervisor dies, and the kernel does when the
// launcher dies; what is left then is directories and empty cgroups. Processes are looked for all the same.
func (r *Runtime) Sweep(ctx context.Context, owner string) (int, error) {
	if owner != r.options.Owner {
		return 0, fmt.Errorf("native: sweep of %q by the runtime of %q", owner, r.options.Owner)
	}
	found := make(map[string]bool)
	var errs error
	if r.groups != nil {
		names, err := r.groups.List()
		errs = errors.Join(errs, err)
		for _, name := range names {
			if r.isLive(name) {
				continue
			}
			found[name] = true
			g := r.groups.Get(name)
			err := g.Kill(ctx)
			if err == nil {
				err = g.Remove()
			}
			errs = errors.Join(errs, err)
		}
	}
	names, err := r.endLabelled(ctx)
	errs = errors.Join(errs, err)
	if r.groups == nil {
		for _, name := range names {
			found[name] = true
		}
	}
	return len(found), errors.Join(errs, r.removeStrayRoots(ctx))
}

// removeStrayRoots removes the directories of an earlier owner's root file systems.
func (r *Runtime) removeStrayRoots(ctx context.Context) error {
	entries, err := os.ReadDir(r.path(""))
	if err != nil {
		return err
	}
	l, err := r.current(ctx)
	if err != nil {
		return err
	}
	var errs error
	for _, e := range entries {
		r.mu.Lock()
		ours := r.roots[e.Name()]
		r.mu.Unlock()
		if !ours {
			errs = errors.Join(errs, l.remove(e.Name()))
		}
	}
	return errs
}

func (r *Runtime) isLive(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[name] != nil
}

func (r *Runtime) isOurRoot(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roots[name]
}

// endLabelled ends every process whose root file system bears our label but is not one of ours, and names those.
func (r *Runtime) endLabelled(ctx context.Context) ([]string, error) {
	var ended []string
	for {
		names, err := r.killLabelled()
		if err != nil || len(names) == 0 {
			slices.Sort(ended)
			return slices.Compact(ended), err
		}
		ended = append(ended, names...)
		select {
		case <-ctx.Done():
			return ended, fmt.Errorf("end containers %s: %w", strings.Join(names, ", "), context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// killLabelled sends SIGKILL to the processes endLabelled is about.
func (r *Runtime) killLabelled() ([]string, error) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		// After pidfd_open, so that a process that gets the number later is not taken for this one.
		if name := rootLabel(pid, r.label); name != "" && !r.isOurRoot(name) {
			names = append(names, name)
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(pidfd)
	}
	return names, nil
}

// rootLabel is the container that a process's root mount belongs to, if it is one of label's.
func rootLabel(pid int, label string) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		before, after, _ := strings.Cut(line, " - overlay "+label+"/")
		if f := strings.Fields(before); after != "" && len(f) > 4 && f[4] == "/" {
			name, _, _ := strings.Cut(after, " ")
			return name
		}
	}
	return ""
}
