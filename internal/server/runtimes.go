package server

import (
	"context"
	"log/slog"
	goruntime "runtime"

	"github.com/batchbox/batchbox/internal/image"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/supervisor"
)

type runtimeReport = runtime.Report

// preparer is the launcher's Images over the image cache.
type preparer struct {
	cache *image.Cache
	form  runtime.RootfsForm
}

func (p preparer) Prepare(ctx context.Context, req launcher.ImageRequest) (launcher.Image, error) {
	prepared, err := p.cache.Prepare(ctx, image.Request{
		Ref: req.Ref, Partition: req.Partition, Platform: platform(req.Architecture), Form: p.form,
	})
	if err != nil {
		return launcher.Image{}, err
	}
	c := &prepared.Config
	return launcher.Image{
		Image: prepared.Image, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env,
		WorkingDir: c.WorkingDir, User: c.User, StopSignal: c.StopSignal, Release: prepared.Release,
	}, nil
}

// platform is the image platform of a cpuArchitecture. Without one it is the machine's own: AWS means X86_64 then, but an
// image built on an arm64 machine for that machine is what its user wants to run there.
func platform(architecture string) string {
	switch architecture {
	case "X86_64":
		return "linux/amd64"
	case "ARM64":
		return "linux/arm64"
	default:
		return goruntime.GOOS + "/" + goruntime.GOARCH
	}
}

// SupervisorConfig says how the process that owns the containers is to run.
type SupervisorConfig struct {
	DataDir string
	Runtime string
	// NoCPUQuota is Config's.
	NoCPUQuota bool
	Logger     *slog.Logger
}

// RunSupervisor is the supervisor process of a data directory, until it has nothing left to do.
func RunSupervisor(ctx context.Context, cfg SupervisorConfig) error {
	dir := layout(cfg.DataDir)
	at := runtimePlace{stateDir: dir.containers(), owner: dir.supervisor(), noCPUQuota: cfg.NoCPUQuota, log: cfg.Logger}
	writer, err := logstore.OpenWriter(dir.logs(), "supervisor", logstore.WriterOptions{})
	if err != nil {
		return err
	}
	sink := supervisor.LogStore(writer, nil)
	defer sink.Close() //nolint:errcheck // what mattered was synced before it was reported
	return supervisor.Main(ctx, supervisor.ServeOptions{
		Dir: dir.supervisor(), Logs: sink, Volumes: dir.volumes(), Logger: cfg.Logger,
		OpenRuntimes: func(ctx context.Context) ([]runtime.Runtime, error) {
			rt, err := openRuntime(ctx, cfg.Runtime, at)
			return []runtime.Runtime{rt}, err
		},
	})
}
