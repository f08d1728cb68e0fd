// Package process runs a container's program as a plain process of this machine: the image's program, found inside the
// unpacked image, with exactly the job's environment, and no isolation at all. It is the runtime of last resort, and the
// one that works everywhere without rights.
//
// What a program sees is the host's file system, with the working directory in the unpacked image. A static program does
// not mind. For a script or a dynamically linked program the Resolver names the image's own interpreter or loader, never
// the host's; files that such a program opens by absolute path are nevertheless the host's. Running it in a chroot would
// mend that for root only, on a root that has no /dev and no /proc and is shared by every container of the image: whoever
// may do that can use the native runtime instead.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

// Program is what the host executes to run a container's program.
type Program struct {
	// Path is the file to execute, as a path of the host: the program itself, or the image's loader or interpreter for it.
	Path string
	// Argv is its argument vector, argv[0] included.
	Argv []string
	// Dir is the working directory as a path of the host; empty if the image has no such directory.
	Dir string
}

// Resolver finds, inside the unpacked image at root, the program that argv names: along the PATH in env unless argv[0] has
// a slash, relative to dir. No link leads out of root, and neither does the interpreter of a script or the loader of a
// dynamically linked program: what only the host has is not there. An error that is a *runtime.StartError is passed on as
// it is; fs.ErrNotExist and fs.ErrPermission become exit codes 127 and 126.
type Resolver func(root string, argv, env []string, dir string) (Program, error)

// Options configures a Runtime.
type Options struct {
	Resolve Resolver // required
}

// Runtime runs programs as processes. It implements runtime.Runtime and runtime.Reclaimer.
type Runtime struct {
	resolve  Resolver
	host     *spawn.Host
	hostname string
	strays   strays
	close    sync.Once
}

var (
	_ runtime.Runtime   = (*Runtime)(nil)
	_ runtime.Reclaimer = (*Runtime)(nil)
)

// Name is the runtime's name in flags and tasks.
const Name = "process"

// New returns a Runtime. Close it when its programs have ended.
func New(o Options) (*Runtime, error) {
	if o.Resolve == nil {
		return nil, errors.New("process runtime: no resolver")
	}
	if _, err := spawn.DevNull(); err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	r := &Runtime{resolve: o.Resolve, hostname: hostname, host: spawn.Open()}
	r.strays.init()
	return r, nil
}

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return Name }

// Capabilities implements runtime.Runtime.
func (r *Runtime) Capabilities() runtime.Capabilities {
	return runtime.Capabilities{Rootfs: runtime.RootfsFlat, OutputOrder: true, Notes: []string{
		"The process runtime does not isolate: a job sees the host's files, processes and network, with the rights of the user that runs batchbox.",
		"vCPU, memory, storage and ulimits are not enforced; user, volumes, read-only root and private networks are not applied.",
		"A job's working directory is the unpacked image itself, which every job of that image shares: files it writes there stay.",
		"Programs that are not static use the image's own interpreter and libraries, but absolute paths they open are the host's.",
		"A program that does not handle SIGTERM is ended by it; in a container, as process 1, it would go on until SIGKILL.",
		strayNote,
	}}
}

// longestBusyWait is the last and longest of the waits for a program's file that is open for writing, each twice the one before:
// four seconds in all, since on a busy machine a fork can be that far from its execve.
const longestBusyWait = 2048 * time.Millisecond

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (runtime.Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
	}
	if len(spec.Argv) == 0 {
		return nil, &runtime.StartError{Kind: runtime.KindCannotCreate, Err: errors.New("no command specified")}
	}
	hostname := spec.Hostname
	if hostname == "" {
		hostname = r.hostname
	}
	env := runtime.CompleteEnv(spec.Env, home(spec.User), hostname)
	prog, err := r.resolve(spec.Image.Rootfs, spec.Argv, env, spec.Dir)
	if err != nil {
		return nil, startError(spec.Argv[0], err)
	}
	if prog.Dir == "" {
		prog.Dir = spec.Image.Rootfs
	}
	null, err := spawn.DevNull()
	if err != nil {
		return nil, startError(spec.Argv[0], err)
	}
	fd := out.Fd()
	cmd := spawn.Command{
		Path: prog.Path, Argv: prog.Argv, Env: env, Dir: prog.Dir,
		Stdin: null, Stdout: fd, Stderr: fd,
		Sys: sysProcAttr,
	}
	// Known before it runs, so that nothing it does at once is taken for a stray.
	m := markOf(spec.Env)
	r.strays.running(m)
	p, err := r.host.Start(&cmd)
	// A program being executed may not be open for writing anywhere; a process forked while it was unpacked may hold it open
	// for the moment until its own execve.
	for wait := time.Millisecond; errors.Is(err, syscall.ETXTBSY) && wait <= longestBusyWait && ctx.Err() == nil; wait *= 2 {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			p, err = r.host.Start(&cmd)
		}
	}
	if err != nil {
		r.strays.ended(m)
		return nil, startError(spec.Argv[0], err)
	}
	return &handle{r: r, p: p, mark: m}, nil
}

// home is the HOME of a user that the image's passwd file was not asked about: root's, or the root directory, as
// container engines do it.
func home(user string) string {
	switch user {
	case "", "root", "0", "root:root", "0:0":
		return "/root"
	}
	return "/"
}

// startError says why a program could not be executed, in the words and with the exit codes of container engines.
func startError(program string, err error) error {
	var se *runtime.StartError
	if errors.As(err, &se) {
		return se
	}
	se = &runtime.StartError{Kind: runtime.KindCannotStart}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		se.ExitCode = 127
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EISDIR):
		se.ExitCode = 126
	}
	se.Err = fmt.Errorf("exec: %q: %w", program, err)
	return se
}

// Sweep implements runtime.Runtime. A plain process carries no owner's name, so there is nothing to find: an owner that
// restarts calls Reclaim.
func (r *Runtime) Sweep(context.Context, string) (int, error) { return 0, nil }

// Close implements runtime.Runtime.
func (r *Runtime) Close() error {
	r.close.Do(func() {
		r.strays.close()
		r.host.Close()
	})
	return nil
}

type handle struct {
	r    *Runtime
	p    *spawn.Process
	mark mark
}

// PID implements runtime.Handle.
func (h *handle) PID() int { return h.p.PID() }

// Signal implements runtime.Handle.
func (h *handle) Signal(sig string) error {
	n, err := runtime.SignalNumber(sig)
	if err != nil {
		return err
	}
	return h.p.Signal(n)
}

// Kill implements runtime.Handle.
func (h *handle) Kill() error { return h.p.SignalGroup(syscall.SIGKILL) }

// Wait implements runtime.Handle.
func (h *handle) Wait() runtime.Exit {
	ws, err := h.p.Wait()
	h.r.strays.ended(h.mark)
	if err != nil {
		return runtime.Exit{Err: err.Error()}
	}
	return runtime.Exit{Code: spawn.ExitCode(ws)}
}

// Token implements runtime.Recoverable.
func (h *handle) Token() string { return h.p.Identity() + tokenSep + h.mark.String() }
