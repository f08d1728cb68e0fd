package server

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"

	"github.com/batchbox/batchbox/internal/image"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/binfmt"
)

// preparer is the launcher's Images over the image cache.
type preparer struct {
	cache *image.Cache
	can   runtime.Capabilities
	// emulators is the directory in which the kernel shows its emulators.
	emulators string
}

// Prepare implements launcher.Images.
func (p preparer) Prepare(ctx context.Context, req launcher.ImageRequest) (launcher.Image, error) {
	var prepared *image.Prepared
	var err error
	for i, want := range p.platforms(req.Architecture) {
		if i > 0 && !errors.Is(err, image.ErrNoPlatform) {
			break
		}
		if eerr := p.runs(want); eerr != nil {
			if err == nil { // else the image's own trouble says more
				err = &runtime.StartError{Kind: runtime.KindCannotCreate, Err: eerr}
			}
			break
		}
		prepared, err = p.cache.Prepare(ctx, image.Request{Ref: req.Ref, Partition: req.Partition, Platform: want, Form: p.can.Rootfs})
		if err == nil {
			break
		}
	}
	if err != nil {
		return launcher.Image{}, err
	}
	c := &prepared.Config
	return launcher.Image{
		Image: prepared.Image, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env,
		WorkingDir: c.WorkingDir, User: c.User, StopSignal: c.StopSignal, Release: prepared.Release,
	}, nil
}

// native is the platform that needs no emulator.
func (p preparer) native() string {
	if p.can.Platform != "" {
		return p.can.Platform
	}
	return goruntime.GOOS + "/" + goruntime.GOARCH
}

// amd64 is the platform of X86_64, AWS's default.
const amd64 = "linux/amd64"

// platforms are the image platforms for a cpuArchitecture, best first. Without one AWS means X86_64; but an image that was
// built on an arm64 machine for that machine is what its user wants to run there.
func (p preparer) platforms(architecture string) []string {
	switch architecture {
	case "X86_64":
		return []string{amd64}
	case "ARM64":
		return []string{"linux/arm64"}
	}
	if native := p.native(); native != amd64 {
		return []string{native, amd64}
	}
	return []string{amd64}
}

// runs says why programs of a platform do not run here, nil if they do.
func (p preparer) runs(platform string) error {
	native := p.native()
	if platform == native || p.can.ForeignKernel {
		return nil
	}
	want, err := image.ParsePlatform(platform)
	if err != nil {
		return err
	}
	e, found, err := binfmt.Find(p.emulators, want.Architecture)
	switch {
	case err != nil:
		return fmt.Errorf("the job needs %s, and whether this machine can emulate it is not known: %w", platform, err)
	case !found:
		return fmt.Errorf("the job needs %s (runtimePlatform; X86_64 is AWS's default), this machine is %s and has no emulator for it: install one "+
			"(Debian: apt-get install qemu-user-static), or set cpuArchitecture in the job definition and build the image for this machine", platform, native)
	case !e.Fixed && p.can.Isolated:
		return fmt.Errorf("the job needs %s, and the emulator %s of this machine can not be reached from within a container: register it with flag F "+
			"(Debian's qemu-user-static does so)", platform, e.Name)
	}
	return nil
}
