package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/supervisor"
)

// Clock is the time as the engine, its services and its containers see it.
type Clock interface {
	engine.Clock
	runtime.Clock
}

// InProcess has this process own the containers, in place of a supervisor: they end with the engine. It is for tests,
// which own the time then.
type InProcess struct {
	// Runtime starts the containers; the one named by Config.Runtime if nil. It stays open.
	Runtime runtime.Runtime
	// Images says what there is in an image; nil stands for the engine's registry and others, as always.
	Images launcher.Images
	// Amend, if set, may change what is reported of a task before the engine hears of it.
	Amend func(*runtime.Report)
}

// check refuses what does not go together.
func (c *Config) checkInProcess() error {
	switch {
	case c.Clock != nil && (c.InProcess == nil || c.InProcess.Runtime == nil):
		return errors.New("a clock of one's own goes with a runtime of one's own: processes live in the machine's time")
	case c.InProcess != nil && !c.Ephemeral:
		return errors.New("containers in the engine's process end with it: the engine must be ephemeral")
	}
	return nil
}

// inProcess is the owner of containers in this process.
type inProcess struct {
	*supervisor.Keeper
	sink    supervisor.LogSink
	runtime runtime.Runtime // nil if it is not ours to close
}

// keep makes the owner of the containers in this process. The engine is ephemeral: no task can be under way.
func (s *Server) keep(reports func([]runtime.Report)) (_ *inProcess, err error) {
	o := &inProcess{}
	rt := s.cfg.InProcess.Runtime
	if rt == nil {
		place := runtimePlace{stateDir: s.dir.containers(), owner: s.dir.supervisor(), ephemeral: true, log: s.cfg.Logger}
		if o.runtime, err = openRuntime(context.Background(), s.runtime.Name, place); err != nil {
			return nil, err
		}
		rt = o.runtime
	}
	if amend := s.cfg.InProcess.Amend; amend != nil {
		passOn := reports
		reports = func(list []runtime.Report) {
			for i := range list {
				amend(&list[i])
			}
			passOn(list)
		}
	}
	writer, err := logstore.OpenWriter(s.dir.logs(), "supervisor", logstore.WriterOptions{Now: s.clock.Now, Ephemeral: true})
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	o.sink = supervisor.LogStore(writer, s.clock.Now)
	o.Keeper, err = supervisor.NewKeeper(supervisor.Options{
		Runtimes: []runtime.Runtime{rt}, Logs: o.sink, Reports: reports, Logger: s.cfg.Logger, Clock: s.clock,
	})
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// Inspect implements taskmeta.Live.
func (o *inProcess) Inspect(_ context.Context, key string, usage bool) ([]runtime.ContainerState, error) {
	states := o.Keeper.Inspect(key, usage)
	if len(states) == 0 {
		return nil, supervisor.ErrNoTask
	}
	return states, nil
}

// close ends all containers.
func (o *inProcess) close() error {
	var errs []error
	if o.Keeper != nil {
		errs = append(errs, o.Keeper.Close())
	}
	if o.sink != nil {
		errs = append(errs, o.sink.Close())
	}
	if o.runtime != nil {
		errs = append(errs, o.runtime.Close())
	}
	return errors.Join(errs...)
}

// Settle blocks until all that follows from what has happened is done and on disk: what comes next is up to a client, a
// program or the clock. It returns when the engine itself is next due, zero for never. What goes on beside the engine, such
// as webhooks, is not waited for. It needs InProcess, with a runtime whose handles say when they have ended.
func (s *Server) Settle(ctx context.Context) (due time.Time, err error) {
	if s.local == nil {
		return time.Time{}, errors.New("the containers are another process's: nobody knows when nothing more happens")
	}
	for {
		calls, err := s.launcher.Quiet(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if err := s.local.Quiet(ctx); err != nil {
			return time.Time{}, err
		}
		waiting := len(s.launcher.Reports()) > 0
		// Takes what was reported, and what is due.
		if _, err := s.engine.Do(ctx, engine.Tick{}); err != nil {
			return time.Time{}, fmt.Errorf("waiting for the engine: %w", err)
		}
		if waiting || s.launcher.Calls() != calls {
			continue
		}
		// Nothing was asked of the containers since they were quiet, and all they had to say has been taken.
		return s.engine.Due(ctx)
	}
}
