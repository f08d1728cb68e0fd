package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/dockerhost"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/docker/helperbin"
	"github.com/batchbox/batchbox/internal/runtime/docker/inside"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// Runtime runs containers through a daemon. It implements runtime.Runtime.
type Runtime struct {
	options Options
	host    dockerhost.Host
	api     *client.Client
	machine string
	// instance names the owner's directory, whatever its path.
	instance string
	log      *slog.Logger

	// What learn has found out.
	info     system.Info
	flavour  string   // what calls itself a Docker daemon
	security []string // HostConfig.SecurityOpt
	sees     bool     // the containers' processes and files are this machine's

	// starts bounds how many containers are made at a time: a daemon that is asked for hundreds at once answers none.
	starts chan struct{}
	images images
	// fewFiles: the daemon must not allow as many open files as Fargate.
	fewFiles atomic.Bool

	ctx    context.Context // of everything that goes on beyond a call; ended by Close
	cancel context.CancelFunc
	busy   sync.WaitGroup

	networks  tasknet.Networks[*taskNetwork]
	helper    helper
	gateCount atomic.Uint64
	removals  atomic.Uint64

	mu     sync.Mutex
	live   map[string]*handle // by container name
	gates  map[string]bool    // of networks, by container name
	closed bool
}

var _ runtime.Runtime = (*Runtime)(nil)

// maxStarts is how many containers are made at a time.
const maxStarts = 16

// New finds a daemon and makes a Runtime of it.
func New(ctx context.Context, o Options) (*Runtime, error) {
	if !filepath.IsAbs(o.Owner) {
		return nil, fmt.Errorf("docker: owner %q is not an absolute path", o.Owner)
	}
	if o.MaxPIDs == 0 {
		o.MaxPIDs = DefaultMaxPIDs
	}
	if o.ImageBytes == 0 {
		o.ImageBytes = DefaultImageBytes
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Minute
	}
	if o.Patrol == 0 {
		o.Patrol = time.Minute
	}
	if o.DaemonPatience == 0 {
		o.DaemonPatience = 2 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Environment == nil {
		e := dockerhost.System()
		o.Environment = &e
	}
	instance, err := identify(fsys.OS, o.Owner)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	host, err := dockerhost.Find(*o.Environment)
	if err != nil {
		if errors.Is(err, dockerhost.ErrNone) {
			err = fmt.Errorf("%w; %s", err, install)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	api, err := dockerhost.Connect(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; %s", ErrUnsupported, err, remedy(host, err))
	}
	r := &Runtime{
		options: o, host: host, api: api, machine: machine(), instance: instance, log: o.Log,
		starts: make(chan struct{}, maxStarts), live: map[string]*handle{}, gates: map[string]bool{},
	}
	if err := r.learn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnsupported, err), api.Close())
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.busy.Go(r.patrol)
	return r, nil
}

// learn asks what kind of daemon it is.
func (r *Runtime) learn(ctx context.Context) error {
	info, err := r.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return fmt.Errorf("the daemon at %s (%s): %w", r.host.URL, r.host.Source, err)
	}
	if r.info = info.Info; r.info.OSType != "linux" {
		return fmt.Errorf("the daemon at %s runs %s containers; switch it to Linux containers", r.host.URL, r.info.OSType)
	}
	version, err := r.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return fmt.Errorf("the daemon at %s (%s): %w", r.host.URL, r.host.Source, err)
	}
	r.flavour = "Docker"
	for _, c := range version.Components {
		if strings.HasPrefix(c.Name, "Podman") {
			r.flavour = "Podman"
		}
	}
	r.sees = r.host.Local()
	r.security = []string{"no-new-privileges"}
	// Podman takes a file of its own machine instead of a profile.
	if r.flavour == "Docker" && r.host.Local() {
		profile, err := seccompProfile()
		if err != nil {
			return err
		}
		r.security = append(r.security, "seccomp="+profile)
	}
	return nil
}

const install = "install Docker (Debian: apt-get install docker.io; macOS: Colima or Docker Desktop) or Podman, and start it"

// remedy says what helps against an error of the connection.
func remedy(h dockerhost.Host, err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		return "add yourself to the group of the socket (sudo usermod -aG docker $USER, then log in again), which makes you root on this machine, or use rootless Docker or Podman"
	case h.Source == "DOCKER_HOST":
		return "start the daemon, or unset DOCKER_HOST"
	case strings.HasPrefix(h.Source, "context "):
		return "start the daemon, or choose another context (docker context use)"
	}
	return "start the daemon (sudo systemctl start docker)"
}

// machine names this machine in labels. Containers with the daemon's socket in them can have an id in common.
func machine() string {
	id, _ := os.ReadFile("/etc/machine-id") // not every system has one
	name, _ := os.Hostname()
	return strings.TrimSpace(string(id)) + "/" + name
}

// identify reads the id of an owner's directory, and gives it one if it has none. It is durable before any container has it
// in a label: a power cut must not make strangers of them.
func identify(files fsys.FS, dir string) (string, error) {
	path := filepath.Join(dir, "docker-instance")
	id, err := os.ReadFile(path)
	if err == nil && len(id) > 0 {
		return string(id), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id = []byte(rand.Text())
	if err := fsys.MakeDir(files, dir, 0o700); err != nil {
		return "", err
	}
	if err := fsys.Replace(files, path, id, 0o600); err != nil {
		return "", err
	}
	return string(id), nil
}

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return Name }

// Capabilities implements runtime.Runtime.
func (r *Runtime) Capabilities() runtime.Capabilities {
	c := runtime.Capabilities{
		Rootfs:           runtime.RootfsArchive,
		Platform:         "linux/" + goArch(r.info.Architecture),
		ForeignKernel:    !r.host.Local(),
		Isolated:         true,
		MemoryLimit:      r.info.MemoryLimit,
		CPULimit:         r.info.CPUCfsQuota && !r.options.NoCPUQuota,
		KillsDescendants: true,
		StorageLimit:     true,
		PrivateNetwork:   r.hasHelper(),
		TaskEndpoint:     r.hasHelper(),

		ConnectedNetworks: r.hasHelper(),

		ReadonlyRootfs: true,
		Users:          true,
		Mounts:         true,
		Hostname:       true,
		Notes: []string{
			fmt.Sprintf("%s %s at %s (%s), cgroup v%s.", r.flavour, r.info.ServerVersion, r.host.URL, r.host.Source, r.info.CgroupVersion),
			"Privileged containers are refused.",
			"stdout and stderr come through two pipes: each keeps its order, and lines stay whole, but their order among each other may change.",
		},
	}
	if !r.info.MemoryLimit {
		c.Notes = append(c.Notes, "The daemon can not limit memory: "+strings.Join(r.info.Warnings, "; "))
	}
	if !r.hasHelper() {
		c.Notes = append(c.Notes, fmt.Sprintf("There are no private networks (--network private): %s.", r.noHelper()))
	}
	if !r.info.CPUCfsQuota {
		c.Notes = append(c.Notes, "The daemon can not limit vCPU.")
	}
	if !r.host.Local() {
		c.Notes = append(c.Notes, "The daemon is not known to be on this machine: volumes are directories as it sees them, and host networking is its host's.")
	}
	return c
}

// hasHelper says whether batchbox-helper runs in this daemon's containers.
func (r *Runtime) hasHelper() bool { return r.noHelper() == "" }

// noHelper says why it does not.
func (r *Runtime) noHelper() string {
	switch {
	case len(helperbin.Binary()) == 0:
		return "this program was built without " + inside.Name + "; build it with scripts/build.sh"
	case goArch(r.info.Architecture) != goruntime.GOARCH:
		return fmt.Sprintf("%s is for %s, and the daemon's machine is %s", inside.Name, goruntime.GOARCH, goArch(r.info.Architecture))
	}
	return ""
}

// patrol removes orphans from time to time.
func (r *Runtime) patrol() {
	tick := time.NewTicker(r.options.Patrol)
	defer tick.Stop()
	for {
		if n, err := r.removeOrphans(r.ctx); err != nil && r.ctx.Err() == nil {
			r.log.Warn("docker: looking for orphans", "err", err)
		} else if n > 0 {
			r.log.Warn("docker: orphans removed", "containers", n)
		}
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// removeOrphans removes containers that nobody will ever ask for: our own that we do not know, which a request left whose
// answer was lost, and those of owners of this machine whose directory is no more.
func (r *Runtime) removeOrphans(ctx context.Context) (int, error) {
	before := time.Now().Add(-r.options.Grace)
	return r.remove(ctx, client.Filters{}.Add("label", labelInstance), func(c *container.Summary) bool {
		if !time.Unix(c.Created, 0).Before(before) {
			return false
		}
		if c.Labels[labelInstance] == r.instance {
			return true
		}
		owner := c.Labels[labelOwner]
		_, err := os.Stat(owner)
		return c.Labels[labelMachine] == r.machine && filepath.IsAbs(owner) && errors.Is(err, fs.ErrNotExist)
	})
}

// Sweep implements runtime.Runtime.
func (r *Runtime) Sweep(ctx context.Context, owner string) (int, error) {
	if owner != r.options.Owner {
		return 0, fmt.Errorf("docker: sweep of %q by the runtime of %q", owner, r.options.Owner)
	}
	n, err := r.remove(ctx, client.Filters{}.Add("label", labelInstance+"="+r.instance), func(*container.Summary) bool { return true })
	return n, errors.Join(err, r.removeNetwork(ctx))
}

// remove ends and removes the containers that a filter and which select, but for those that run for us, and counts them.
func (r *Runtime) remove(ctx context.Context, filter client.Filters, which func(*container.Summary) bool) (int, error) {
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", err)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	var n int
	var errs error
	width := make(chan struct{}, maxStarts)
	for i := range list.Items {
		c := &list.Items[i]
		if r.isLive(c) || !which(c) {
			continue
		}
		width <- struct{}{}
		work.Go(func() {
			defer func() { <-width }()
			err := r.removeContainer(ctx, c.ID)
			mu.Lock()
			defer mu.Unlock()
			if errs = errors.Join(errs, err); err == nil {
				n++
			}
		})
	}
	work.Wait()
	return n, errs
}

func (r *Runtime) isLive(c *container.Summary) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range c.Names {
		name = strings.TrimPrefix(name, "/")
		if r.live[name] != nil || r.gates[name] {
			return true
		}
	}
	return false
}

func (r *Runtime) enterGate(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates[name] = true
}

func (r *Runtime) leaveGate(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.gates, name)
}

// goBusy has something done that Close waits for; it refuses when Close has begun.
func (r *Runtime) goBusy(do func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.busy.Go(do)
	}
	return !r.closed
}

// removeContainer kills and removes a container, with its anonymous volumes, by id or name. That it is gone is no error.
func (r *Runtime) removeContainer(ctx context.Context, id string) error {
	_, err := r.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	// A conflict is somebody else removing it at the same time.
	if err == nil || errdefs.IsNotFound(err) || errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
		return nil
	}
	return fmt.Errorf("remove container %s: %w", id, err)
}

// Close implements runtime.Runtime. It ends what still runs.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	live := make([]*handle, 0, len(r.live))
	for _, h := range r.live {
		live = append(live, h)
	}
	r.mu.Unlock()
	var errs error
	for _, h := range live {
		errs = errors.Join(errs, h.Kill())
	}
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	for _, h := range live {
		select {
		case <-h.done:
		case <-patience.C:
			patience.Reset(0) // the others are not waited for either
		}
	}
	r.cancel()
	r.busy.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
	defer cancel()
	if r.gateCount.Load() > 0 {
		errs = errors.Join(errs, r.removeNetwork(ctx))
	}
	if r.options.DropImages {
		errs = errors.Join(errs, r.dropImages(ctx))
	}
	return errors.Join(errs, r.helper.close(), r.api.Close())
}

// closePatience is how long Close waits for containers that it has killed.
const closePatience = 30 * time.Second
