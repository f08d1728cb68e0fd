package server

import (
	"context"
	"log/slog"
	"sync"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/supervisor"
)

type runtimeReport = runtime.Report

// SupervisorConfig says how the process that owns the containers is to run.
type SupervisorConfig struct {
	DataDir string
	Runtime string
	// NoCPUQuota is Config's, ImageBytes its Retention's.
	NoCPUQuota bool
	ImageBytes int64
	// Ephemeral is Config's: output need not survive a power cut, nor what was loaded into a daemon the supervisor.
	Ephemeral bool
	Logger    *slog.Logger
}

// RunSupervisor is the supervisor process of a data directory, until it has nothing left to do.
func RunSupervisor(ctx context.Context, cfg SupervisorConfig) error {
	dir := layout(cfg.DataDir)
	at := runtimePlace{stateDir: dir.containers(), owner: dir.supervisor(), noCPUQuota: cfg.NoCPUQuota, imageBytes: cfg.ImageBytes, ephemeral: cfg.Ephemeral, log: cfg.Logger}
	writer, err := logstore.OpenWriter(dir.logs(), "supervisor", logstore.WriterOptions{Ephemeral: cfg.Ephemeral})
	if err != nil {
		return err
	}
	sink := supervisor.LogStore(writer, nil)
	defer sink.Close() // what mattered was synced before it was reported
	r := newRest()
	r.wake()
	resting, end := context.WithCancel(context.Background())
	var rested sync.WaitGroup
	rested.Go(func() { r.run(resting) })
	defer func() {
		end()
		rested.Wait()
	}()
	return supervisor.Main(ctx, supervisor.ServeOptions{
		Busy: r.wake,
		Dir:  dir.supervisor(), Logs: sink, Volumes: dir.volumes(), Logger: cfg.Logger,
		OpenRuntimes: func(ctx context.Context) ([]runtime.Runtime, error) {
			rt, err := openRuntime(ctx, cfg.Runtime, at)
			return []runtime.Runtime{rt}, err
		},
	})
}
