package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/image"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/binfmt"
	"github.com/batchbox/batchbox/internal/runtime/docker"
	"github.com/batchbox/batchbox/internal/runtime/native"
	"github.com/batchbox/batchbox/internal/runtime/process"
	"github.com/batchbox/batchbox/internal/runtime/runc"
)

// RuntimeAuto takes the first runtime that works on this machine.
const RuntimeAuto = "auto"

// runtimePlace is where a runtime keeps its things, and for whom.
type runtimePlace struct {
	stateDir string
	owner    string
	// noCPUQuota lets containers use idle processors beyond their vCPU.
	noCPUQuota bool
	// imageBytes is how much loaded images may come to, where the runtime keeps any; below 0 there is no bound.
	imageBytes int64
	// ephemeral: nothing has to be left for a next time.
	ephemeral bool
	log       *slog.Logger
}

// runtimeKind is a runtime batchbox knows by name.
type runtimeKind struct {
	name string
	// auto: RuntimeAuto may take it.
	auto bool
	open func(ctx context.Context, at runtimePlace) (runtime.Runtime, error)
}

// runtimeKinds are in the order in which RuntimeAuto tries them.
var runtimeKinds = []runtimeKind{
	{native.Name, true, func(ctx context.Context, at runtimePlace) (runtime.Runtime, error) {
		return native.New(ctx, native.Options{StateDir: at.stateDir, Owner: at.owner, NoCPUQuota: at.noCPUQuota, Log: at.log})
	}},
	{runc.Name, false, func(ctx context.Context, at runtimePlace) (runtime.Runtime, error) {
		return runc.New(ctx, runc.Options{StateDir: at.stateDir, Owner: at.owner, NoCPUQuota: at.noCPUQuota, Log: at.log})
	}},
	{docker.Name, true, func(ctx context.Context, at runtimePlace) (runtime.Runtime, error) {
		return docker.New(ctx, docker.Options{Owner: at.owner, NoCPUQuota: at.noCPUQuota, ImageBytes: at.imageBytes, DropImages: at.ephemeral, Log: at.log})
	}},
	{process.Name, true, func(context.Context, runtimePlace) (runtime.Runtime, error) {
		return process.New(process.Options{Resolve: resolve})
	}},
}

// resolve is the process runtime's Resolver.
func resolve(root string, argv, env []string, dir string) (process.Program, error) {
	entry, err := image.ResolveEntrypoint(root, argv, env, dir, emulates)
	if err != nil {
		return process.Program{}, err
	}
	file, hostArgv, err := entry.HostArgv(argv)
	if err != nil {
		return process.Program{}, err
	}
	return process.Program{Path: file, Argv: hostArgv, Dir: entry.HostDir}, nil
}

// emulates says whether this machine's kernel runs programs of an architecture by an emulator.
func emulates(arch string) bool {
	_, found, err := binfmt.Find(binfmt.Dir, arch)
	return found && err == nil
}

// openRuntime makes the runtime of a name.
func openRuntime(ctx context.Context, name string, at runtimePlace) (runtime.Runtime, error) {
	for _, k := range runtimeKinds {
		if k.name == name {
			return k.open(ctx, at)
		}
	}
	return nil, fmt.Errorf("there is no runtime %q; there are %s and %s", name, strings.Join(runtimeNames(), ", "), RuntimeAuto)
}

// RuntimeNames are the runtimes there are, best first, whether they work here or not.
func RuntimeNames() []string { return runtimeNames() }

func runtimeNames() []string {
	names := make([]string, len(runtimeKinds))
	for i, k := range runtimeKinds {
		names[i] = k.name
	}
	return names
}

// RuntimeStatus says whether a runtime works on this machine.
type RuntimeStatus struct {
	Name         string
	Err          error // nil: it works
	Capabilities runtime.Capabilities
	// Chosen: RuntimeAuto takes this one.
	Chosen bool
}

// TryRuntimes opens every runtime once, in a temporary place, and says which work.
func TryRuntimes(ctx context.Context) ([]RuntimeStatus, error) {
	dir, err := os.MkdirTemp("", "batchbox-try-")
	if err != nil {
		return nil, err
	}
	return tryRuntimes(ctx, dir, func(runtimeKind) bool { return true }, false)
}

// tryRuntimes opens the runtimes that are wanted, or those up to the first that works, in dir, which it removes.
func tryRuntimes(ctx context.Context, dir string, wanted func(runtimeKind) bool, first bool) (all []RuntimeStatus, err error) {
	// A program that was killed while it tried has left it, and perhaps more.
	_, leftErr := os.Stat(dir)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	chosen := false
	for _, k := range runtimeKinds {
		if !wanted(k) || chosen && first {
			continue
		}
		s := RuntimeStatus{Name: k.name}
		rt, err := k.open(ctx, runtimePlace{stateDir: filepath.Join(dir, k.name), owner: dir, log: slog.New(slog.DiscardHandler)})
		if s.Err = err; err == nil {
			if leftErr == nil {
				if _, err := rt.Sweep(ctx, dir); err != nil {
					return all, errors.Join(err, rt.Close())
				}
			}
			s.Capabilities = rt.Capabilities()
			s.Chosen, chosen = k.auto && !chosen, chosen || k.auto
			if err := rt.Close(); err != nil {
				return all, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// chooseRuntime finds out which runtime a name means on this machine, and what it can do. It tries in dir, which has to be on
// the file system that containers will be on: not every one takes the upper directory of an overlay.
func chooseRuntime(ctx context.Context, dir, name string, log *slog.Logger) (RuntimeStatus, error) {
	if name != RuntimeAuto && !slices.Contains(runtimeNames(), name) {
		_, err := openRuntime(ctx, name, runtimePlace{})
		return RuntimeStatus{}, err
	}
	all, err := tryRuntimes(ctx, dir, func(k runtimeKind) bool { return k.name == name || name == RuntimeAuto && k.auto }, true)
	if err != nil {
		return RuntimeStatus{}, err
	}
	var why []error
	for _, s := range all {
		if s.Err == nil {
			log.Info("container runtime", "runtime", s.Name, "isolated", s.Capabilities.Isolated, "others", errors.Join(why...))
			return s, nil
		}
		why = append(why, fmt.Errorf("%s: %w", s.Name, s.Err))
	}
	return RuntimeStatus{}, fmt.Errorf("no container runtime works here: %w", errors.Join(why...))
}
