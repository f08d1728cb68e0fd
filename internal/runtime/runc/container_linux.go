package runc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/storage"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// container is one container. It implements runtime.Handle.
type container struct {
	r      *Runtime
	name   string
	bundle *bundle
	shim   *exec.Cmd
	conn   *net.UnixConn
	pid    int
	// net is the private network that it is in, which leave lets go; nil in the host's.
	net     *network
	leave   func()
	storage *storage.Watch
	// Set before ended is closed.
	exit  runtime.Exit
	ended chan struct{}
}

var (
	_ runtime.Meter     = (*container)(nil)
	_ runtime.Addressed = (*container)(nil)
)

// removalPatience bounds how long runc may take to forget a container.
const removalPatience = 30 * time.Second

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (_ runtime.Handle, err error) {
	defer func() {
		var se *runtime.StartError
		if err != nil && !errors.As(err, &se) {
			err = &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
		}
	}()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if len(spec.Argv) == 0 {
		return nil, errors.New("no command specified")
	}
	if len(spec.Image.Layers) == 0 {
		return nil, fmt.Errorf("image %s has no layers", spec.Image.Ref)
	}
	c := &container{r: r, name: r.name(task, spec.Name), ended: make(chan struct{})}
	dir := filepath.Join(r.options.StateDir, "bundles", c.name)
	c.bundle = &bundle{dir: dir, label: r.label + "/" + c.name}
	r.mu.Lock()
	r.live[c.name] = c
	r.mu.Unlock()
	defer func() {
		if err != nil {
			c.remove()
		}
	}()
	if err := c.bundle.make(append(spec.Image.Layers[:len(spec.Image.Layers):len(spec.Image.Layers)], r.basePath())); err != nil {
		return nil, err
	}
	if err := c.join(ctx, &spec, task); err != nil {
		return nil, err
	}
	config, err := r.config(&spec, c.name, dir, c.net)
	if err != nil {
		return nil, err
	}
	if err := c.bundle.writeConfig(config); err != nil {
		return nil, err
	}
	if err := c.launch(ctx, out); err != nil {
		return nil, err
	}
	c.watchStorage(&spec)
	go c.follow()
	return c, nil
}

// join enters the container into its task's network, whose address goes into spec.
func (c *container) join(ctx context.Context, spec *runtime.Spec, task string) (err error) {
	switch spec.Network.Mode {
	case runtime.NetworkHost:
		return nil
	case runtime.NetworkPrivate:
	default:
		return fmt.Errorf("network mode %q is neither %q nor %q", spec.Network.Mode, runtime.NetworkHost, runtime.NetworkPrivate)
	}
	c.net, c.leave, err = c.r.networks.Join(ctx, task, func() (*network, error) { return c.r.makeNetwork(spec) })
	if err == nil && c.net.address.IsValid() {
		spec.Network.Address = c.net.address.String()
	}
	return err
}

// watchStorage begins to watch what the container writes.
func (c *container) watchStorage(spec *runtime.Spec) {
	dirs := append(storage.Volumes(spec), filepath.Join(c.bundle.dir, "upper"))
	c.storage = storage.New(storage.Container{
		Name: c.name, Limit: surroundings.StorageBytes(spec), Kill: c.Kill, Log: c.r.options.Log,
		Measure: func(context.Context) (used uint64, err error) {
			for _, dir := range dirs {
				n, err := initproc.DiskUsage(dir)
				if err != nil {
					return 0, err
				}
				used += n
			}
			return used, nil
		},
	})
}

// name names a container: after its task, for whoever looks at cgroups, and unlike any before.
func (r *Runtime) name(task, container string) string {
	clean := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
				return c
			}
			return '_'
		}, s)
	}
	name := clean(task)
	if container != "" && container != "default" {
		name += "." + clean(container)
	}
	const most = 160 // of the 255 a file name can have
	return "b" + name[:min(len(name), most)] + "." + r.first + "." + strconv.FormatUint(r.count.Add(1), 36)
}

// launch starts a shim, and waits until it says that the container runs, or that it does not.
func (c *container) launch(ctx context.Context, out *os.File) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "shim's socket")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	_ = ours.Close() // conn is a copy, and the only one: the shim has to notice when it is closed
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.conn = conn.(*net.UnixConn)
	defer func() {
		if err != nil {
			_ = c.conn.Close()
		}
	}()
	log, pidFile := filepath.Join(c.bundle.dir, "log"), filepath.Join(c.bundle.dir, "pid")
	argv := c.r.command("--log", log, "--log-format", "json", "run", "--detach", "--bundle", c.bundle.dir, "--pid-file", pidFile, c.name)
	c.shim = &exec.Cmd{
		Path:       initbin.Command(c.r.exe),
		Args:       initproc.ShimArgs(pidFile, c.r.path, argv),
		Env:        append(os.Environ(), "GOMAXPROCS=1"),
		Dir:        "/",
		Stdout:     out,
		Stderr:     out,
		ExtraFiles: []*os.File{theirs},
	}
	if err = c.shim.Start(); err != nil {
		return fmt.Errorf("start the shim: %w", err)
	}
	_ = theirs.Close()
	// The shim ends the container when it finds nobody at the other end.
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	e, err := c.hear()
	if err == nil && e.Kind == initproc.EventLaunched {
		c.pid = e.PID
		return nil
	}
	_ = c.conn.Close()
	_ = c.shim.Wait() // the reason is in what it said, or in the log
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil {
		err = startError(log, e)
	}
	return err
}

// hear waits for the shim's next event.
func (c *container) hear() (*initproc.Event, error) {
	buf := make([]byte, 4096)
	n, err := c.conn.Read(buf)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("the container's shim is gone: %w", err)
	}
	return initproc.ParseEvent(buf[:n])
}

// startError makes an error of what runc wrote to its log.
func startError(log string, e *initproc.Event) error {
	text := lastError(log)
	if text == "" {
		return errors.New(e.Text)
	}
	text = strings.TrimPrefix(text, "runc run failed: ")
	se := &runtime.StartError{Kind: runtime.KindCannotStart, Err: errors.New(text)}
	// There is nothing but the text to tell by; Docker does the same (daemon/errors.go).
	for _, c := range []struct {
		part string
		code int
	}{
		{"executable file not found", 127}, {": no such file or directory", 127}, {"system cannot find the file", 127},
		{"permission denied", 126}, {"is a directory", 126}, {"exec format error", 126},
	} {
		if strings.Contains(text, "exec") && strings.Contains(text, c.part) {
			se.ExitCode = c.code
			break
		}
	}
	return se
}

// lastError is the last error in a log of runc's.
func lastError(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	text := ""
	for line := range bytes.Lines(b) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && entry.Level == "error" {
			text = entry.Msg
		}
	}
	return text
}

// follow waits for the container's end.
func (c *container) follow() {
	defer close(c.ended)
	e, err := c.hear()
	if err == nil && e.Kind != initproc.EventExited {
		err = fmt.Errorf("the container's shim says %d %s", e.Kind, e.Text)
	}
	_ = c.conn.Close()
	_ = c.shim.Wait() // it has said all there is to say
	if err != nil {
		c.exit = runtime.Exit{Err: err.Error()}
	} else {
		c.exit = c.ending(unix.WaitStatus(e.Status))
	}
	if reason := c.storage.Stop(); reason != "" {
		c.exit.Err, c.exit.OOM = reason, false
	}
	c.remove()
}

func (c *container) ending(ws unix.WaitStatus) runtime.Exit {
	exit := runtime.Exit{Code: ws.ExitStatus()}
	if ws.Signaled() {
		exit.Code = 128 + int(ws.Signal())
	}
	if exit.Code != 0 && c.r.groups != nil {
		kills, err := c.r.groups.Get(c.name).OOMKills()
		if err != nil {
			c.r.options.Log.Warn("read a container's memory events", "container", c.name, "error", err)
		}
		exit.OOM = kills > 0
	}
	return exit
}

// remove removes what is left of a container, and ends it if it lives.
func (c *container) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), removalPatience)
	defer cancel()
	errs := c.r.delete(ctx, c.name)
	errs = errors.Join(errs, c.bundle.remove())
	if c.leave != nil {
		c.leave()
	}
	if errs != nil {
		c.r.options.Log.Warn("remove a container", "container", c.name, "error", errs)
	}
	c.r.mu.Lock()
	delete(c.r.live, c.name)
	c.r.mu.Unlock()
}

// PID implements runtime.Handle.
func (c *container) PID() int { return c.pid }

// Signal implements runtime.Handle.
func (c *container) Signal(sig string) error {
	n, err := runtime.SignalNumber(sig)
	if err != nil {
		return err
	}
	return c.send(uint64(n))
}

// Kill implements runtime.Handle. With process 1 the kernel ends all others of its pid namespace.
func (c *container) Kill() error {
	err := c.send(uint64(unix.SIGKILL))
	if c.r.groups != nil {
		err = errors.Join(err, c.r.groups.Get(c.name).Unthrottle())
	}
	return err
}

func (c *container) send(sig uint64) error {
	r := initproc.Request{Kind: initproc.RequestSignal, Signal: sig}
	_, err := c.conn.Write(r.Append(nil))
	if errors.Is(err, net.ErrClosed) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil // it has ended
	}
	if err != nil {
		return fmt.Errorf("signal container %s: %w", c.name, err)
	}
	return nil
}

// Usage implements runtime.Meter.
func (c *container) Usage() (*runtime.Usage, error) {
	if c.r.groups == nil {
		return nil, errors.New("there are no control groups to count what a container uses")
	}
	u, err := c.r.groups.Get(c.name).Usage()
	if err != nil || c.net == nil {
		return u, err
	}
	u.Networks, err = tasknet.Usage(c.pid)
	return u, err
}

// Address implements runtime.Addressed.
func (c *container) Address() string {
	if c.net == nil || !c.net.address.IsValid() {
		return ""
	}
	return c.net.address.String()
}

// Wait implements runtime.Handle.
func (c *container) Wait() runtime.Exit {
	<-c.ended
	return c.exit
}
