package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/cgroup"
)

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (runtime.Handle, error) {
	if len(spec.Argv) == 0 {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: errors.New("no command specified")}
	}
	c, err := r.start(ctx, spec, task, out)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// start is Start without a demand for a program. What it has made when it fails is removed again.
func (r *Runtime) start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (_ *container, err error) {
	c := &container{
		r:        r,
		name:     r.name(task, spec.Name),
		launched: make(chan error, 1),
		ended:    make(chan struct{}),
	}
	if err := r.begin(c); err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
	}
	defer r.starting.Done()
	defer func() {
		if err != nil {
			c.abandon()
			var se *runtime.StartError
			if !errors.As(err, &se) {
				err = &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
			}
		}
	}()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	l, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	c.launcher = l
	if c.user, err = r.ownUser(&spec); err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotStart, Err: fmt.Errorf("unable to start container process: %w", err)}
	}
	if len(spec.Image.Layers) == 0 {
		return nil, fmt.Errorf("image %s has no layers", spec.Image.Ref)
	}
	if c.root, err = r.takeRoot(spec.Image.Layers, c.user); err != nil {
		return nil, err
	}
	if err := c.makeGroup(&spec); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if c.network, err = r.joinNetwork(ctx, l, &spec, task); err != nil {
		return nil, err
	}
	in, trees, err := r.instructions(c, &spec)
	defer closeAll(trees)
	if err != nil {
		return nil, err
	}
	conn, err := c.launch(ctx, &spec, out)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The init reads what comes next, however long its own start takes.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := c.network.created(c.pid); err != nil {
		return nil, err
	}
	if err := instruct(conn, in, trees); err != nil {
		return nil, c.explain(ctx, fmt.Errorf("instruct the container's init: %w", err))
	}
	answer, sent, err := listen(conn)
	if err != nil {
		return nil, c.explain(ctx, fmt.Errorf("listen to the container's init: %w", err))
	}
	defer func() { closeAll(sent) }()
	take := func() (f *os.File) {
		if len(sent) > 0 {
			f, sent = sent[0], sent[1:]
		}
		return f
	}
	var endpoint *os.File
	if rest, ok := initproc.CutNetwork(answer); ok {
		answer, endpoint = rest, take()
	}
	made, f, err := initproc.ParseAnswer(answer)
	mount := take()
	// Whatever becomes of this container, others may join the network that it has made.
	if endpoint != nil || err == nil && (f == nil || f.Kind != initproc.FailedSetup) {
		if err := c.network.made(&spec, endpoint); err != nil {
			_ = mount.Close() // or there is none
			return nil, err
		}
	}
	if made != nil && mount != nil {
		c.root.made(made, mount)
	} else if mount != nil {
		_ = mount.Close()
	}
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if f != nil {
		return nil, startError(f)
	}
	c.storage = c.watchStorage(&spec)
	return c, nil
}

// listen reads all that an init says, and the descriptors it sends along, in their order.
func listen(conn *net.UnixConn) (answer []byte, sent []*os.File, err error) {
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if f := rights(oob[:oobn]); f != nil {
			sent = append(sent, f)
		}
		answer = append(answer, buf[:max(n, 0)]...) // it is -1 with an error, such as that the init was killed with something unread
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return answer, sent, nil
		}
		if err != nil {
			closeAll(sent)
			return nil, nil, err
		}
	}
}

// explain says why a start was cut short.
func (c *container) explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !errors.Is(err, initproc.ErrSilent) {
		return err
	}
	// It was killed. If not by us, then by the kernel, and it is worth knowing why.
	_ = c.Kill()
	<-c.ended
	if exit := c.exit(); exit.OOM {
		return errors.New("the memory limit is too low even to start")
	} else if exit.Err != "" {
		return errors.New(exit.Err)
	}
	return err
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
	return name[:min(len(name), most)] + "." + r.first + "." + strconv.FormatUint(r.count.Add(1), 36)
}

func (c *container) makeGroup(spec *runtime.Spec) error {
	if c.r.groups == nil {
		return nil
	}
	var err error
	c.group, err = c.r.groups.Create(c.name, c.r.limits(spec))
	return err
}

// limits are a container's limits.
func (r *Runtime) limits(spec *runtime.Spec) cgroup.Limits {
	l := cgroup.Limits{
		MemoryBytes: spec.MemoryMiB << 20,
		Shares:      uint64(spec.VCPU * 1024),
		PIDs:        r.options.MaxPIDs,
	}
	if !r.options.NoCPUQuota {
		l.QuotaMicros = int64(spec.VCPU * cgroup.Period)
	}
	return l
}

// launch has the launcher clone the container's init, and returns the socket the init listens on.
func (c *container) launch(ctx context.Context, spec *runtime.Spec, out *os.File) (*net.UnixConn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := pair[1]
	defer func() { _ = unix.Close(theirs) }()
	conn, err := unixConn(pair[0])
	if err != nil {
		return nil, err
	}
	request := &initproc.Request{Kind: initproc.RequestLaunch, Namespaces: c.namespaces(spec)}
	if u := c.user; u != (soleUser{}) {
		request.OwnUser, request.UID, request.GID = true, u.uid, u.gid
	}
	fds := []int{int(out.Fd()), theirs}
	if c.group != nil {
		e, err := c.group.Enter()
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		defer e.Close()
		if e.V2 != nil {
			request.CgroupFD = true
			fds = append(fds, int(e.V2.Fd()))
		}
		for _, t := range e.Tasks {
			fds = append(fds, int(t.Fd()))
		}
	}
	request.ID = c.launcher.expect(c)
	c.requested = true
	if err := c.launcher.send(request, fds); err != nil {
		c.launcher.forget(request.ID)
		c.requested = false
		_ = conn.Close()
		return nil, err
	}
	// Not cut short by ctx: this is a matter of milliseconds, and a process unheard of could not be ended.
	if err := <-c.launched; err != nil {
		c.requested = false
		_ = conn.Close()
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *container) namespaces(spec *runtime.Spec) uint64 {
	ns := uint64(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	if spec.Network.Mode == runtime.NetworkPrivate && c.network.joins() == nil {
		ns |= unix.CLONE_NEWNET
	}
	return ns
}

// instruct sends the instructions and the descriptors they speak of.
func instruct(conn *net.UnixConn, in *initproc.Instructions, trees []*os.File) error {
	b := in.Append(make([]byte, initproc.HeaderSize, 4096))
	if len(b)-initproc.HeaderSize > initproc.MaxInstructions {
		return fmt.Errorf("arguments and environment are larger than %d bytes", initproc.MaxInstructions)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-initproc.HeaderSize))
	var oob []byte
	if len(trees) > 0 {
		fds := make([]int, len(trees))
		for i, f := range trees {
			fds[i] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(b, oob, nil)
	if err == nil && n < len(b) {
		_, err = conn.Write(b[n:])
	}
	return err
}

// startError gives an init's failure its name and exit code.
func startError(f *initproc.Failure) error {
	se := &runtime.StartError{Kind: runtime.KindCannotStart, Err: fmt.Errorf("unable to start container process: %w", f)}
	switch f.Kind {
	case initproc.FailedSetup:
		se.Kind, se.Err = runtime.KindCannotCreate, fmt.Errorf("unable to create container: %w", f)
	case initproc.FailedNotFound:
		se.ExitCode = 127
	case initproc.FailedNotExecutable:
		se.ExitCode = 126
	}
	return se
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
