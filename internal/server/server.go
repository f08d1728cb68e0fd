// Package server puts the parts of an engine together: it opens the data directory, starts the engine and its services on
// one listener, and stops them in order.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/dockerhost"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/rules"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/image"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/logstore/index"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/binfmt"
	"github.com/batchbox/batchbox/internal/store/dirlock"
	"github.com/batchbox/batchbox/internal/store/sqlite"
	"github.com/batchbox/batchbox/internal/supervisor"
)

// Server is a running engine with its services.
type Server struct {
	cfg  Config
	dir  layout
	keys *identity.KeyFile // nil where signatures are not verified

	clock Clock

	lock     *dirlock.Lock
	db       *sqlite.DB
	logs     *index.Store
	registry *registry.Registry
	images   *image.Cache
	launcher *launcher.Launcher
	owner    *supervisor.Client // nil with Config.InProcess
	local    *inProcess         // nil without it
	tasks    taskSide
	events   *events.Hub
	bus      *rules.Bus
	engine   *engine.Engine
	runtime  RuntimeStatus
	mux      *awswire.Mux
	upstream *upstream // nil if there is none
	listener *door
	http     *http.Server
	rest     *rest
	// announced is what the engine's file says, and withdraw removes it.
	announced control.Engine
	withdraw  func() error

	background sync.WaitGroup
	end        context.CancelFunc // of background
	// asked is closed when somebody asked for the end over the control endpoint.
	asked   chan struct{}
	askOnce sync.Once
}

// Run starts an engine and stops it when ctx is done or it is asked to stop.
func Run(ctx context.Context, cfg Config) error {
	s, err := Start(ctx, cfg)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-s.asked:
	}
	return s.Close()
}

// Start starts an engine; it answers when Start returns. What fails is undone.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, dir: layout(cfg.DataDir), clock: cfg.Clock, asked: make(chan struct{}), rest: newRest()}
	if s.clock == nil {
		s.clock = systemClock{}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = dirlock.Acquire(cfg.DataDir, time.Now()); err != nil {
		return nil, err
	}
	if err := s.openAccess(); err != nil {
		return nil, err
	}
	if s.listener, err = openDoor(&cfg, s.dir, time.Now()); err != nil {
		return nil, err
	}
	if err := s.openUpstream(); err != nil {
		return nil, err
	}
	if err := s.openStores(ctx); err != nil {
		return nil, err
	}
	if err := s.startEngine(ctx); err != nil {
		return nil, err
	}
	if err := s.serve(); err != nil {
		return nil, err
	}
	if cfg.Ready != nil {
		cfg.Ready(s.announced)
	}
	return s, nil
}

// URL is the endpoint for clients.
func (s *Server) URL() string { return s.listener.url() }

// Operations lists every operation of every service, provided or refused.
func (s *Server) Operations() []awswire.OperationInfo { return s.mux.Operations() }

// Events is the journal of state changes.
func (s *Server) Events() *events.Hub { return s.events }

// DataDir is where the engine keeps everything.
func (s *Server) DataDir() string { return string(s.dir) }

func (s *Server) defaults() batch.Partition {
	return batch.Partition{Account: s.cfg.Account, Region: s.cfg.Region}
}

func (s *Server) endpoint() registry.Endpoint {
	return s.listener.endpoint()
}

func (s *Server) openStores(ctx context.Context) (err error) {
	if s.db, err = sqlite.Open(ctx, string(s.dir), sqlite.Options{Logger: s.cfg.Logger}); err != nil {
		return err
	}
	for _, dir := range []string{s.dir.logs(), s.dir.registry(), s.dir.images(), s.dir.supervisor()} {
		if err := fsys.MakeDir(fsys.OS, dir, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	if s.logs, err = index.Open(ctx, s.dir.logs(), index.Options{
		Docs: s.db, Logger: s.cfg.Logger, Now: s.clock.Now, Ephemeral: s.cfg.Ephemeral || s.cfg.InProcess != nil,
	}); err != nil {
		return err
	}
	if s.registry, err = registry.Open(ctx, registry.Options{
		Dir: s.dir.registry(), Docs: s.db, Default: s.defaults(), Strict: s.cfg.StrictECR, Now: s.clock.Now, Log: s.cfg.Logger,
	}); err != nil {
		return err
	}
	s.images, err = image.Open(image.Options{
		Dir: s.dir.images(), Local: s.registry, Endpoint: s.endpoint(), Log: s.cfg.Logger,
		Daemon: dockerhost.Images{Environment: dockerhost.System()},
	})
	return err
}

func (s *Server) startEngine(ctx context.Context) (err error) {
	if in := s.cfg.InProcess; in != nil && in.Runtime != nil {
		s.runtime = RuntimeStatus{Name: in.Runtime.Name(), Capabilities: in.Runtime.Capabilities(), Chosen: true}
	} else if s.runtime, err = chooseRuntime(ctx, s.dir.trial(), s.cfg.Runtime, s.cfg.Logger); err != nil {
		return err
	}
	if err := s.checkNetwork(); err != nil {
		return err
	}
	if err := s.openTasks(ctx); err != nil {
		return err
	}
	can := s.runtime.Capabilities
	var images launcher.Images = preparer{cache: s.images, can: can, emulators: binfmt.Dir}
	if in := s.cfg.InProcess; in != nil && in.Images != nil {
		images = in.Images
	}
	var secrets launcher.Secrets
	if s.cfg.Secrets != "" {
		secrets = launcher.SecretsFile(s.cfg.Secrets)
	}
	s.launcher = launcher.New(launcher.Config{
		Secrets:     secrets,
		Connect:     s.connect,
		Images:      images,
		Groups:      s.logs,
		Volumes:     launcher.Volumes{HostPaths: s.cfg.HostPaths, EFS: s.cfg.EFS, Supported: can.Mounts},
		Isolated:    can.Isolated,
		Extra:       taskEnv{service: s.tasks.service, user: s.cfg.ContainerEnv},
		Endpoint:    s.taskEndpoint(),
		StopTimeout: s.cfg.Limits.StopGrace,
		Clock:       s.clock,
		Logger:      s.cfg.Logger,

		PrivateNetwork: s.cfg.Network == NetworkPrivate,
	})
	if err := s.openEvents(ctx); err != nil {
		return err
	}
	limits := s.cfg.Limits
	limits.Notify = true
	if s.cfg.Network == NetworkPrivate {
		limits.NodeNetwork = runtime.PrivateNodes
	}
	s.engine, err = engine.Start(ctx, engine.Config{
		Store: s.db, Launcher: s.launcher, Clock: s.clock, IDs: randomIDs{}, Limits: limits, Logger: s.cfg.Logger,
		Journal: s.events, Observer: s.events,
	})
	if err != nil {
		return err
	}
	return s.openBus(ctx)
}

// connect makes the client of the process that owns the containers.
func (s *Server) connect(known []string, reports func([]runtimeReport), missing func([]string)) (launcher.Owner, error) {
	if s.cfg.InProcess != nil {
		local, err := s.keep(reports)
		if err != nil {
			return nil, err
		}
		s.local = local
		s.tasks.live.Store(&liveOwner{local})
		return local, nil
	}
	command, err := s.supervisorCommand()
	if err != nil {
		return nil, err
	}
	owner, err := supervisor.NewClient(supervisor.ClientOptions{
		Dir: s.dir.supervisor(), Command: command, Known: known, Reports: reports, Missing: missing, Logger: s.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.owner = owner
	s.tasks.live.Store(&liveOwner{owner})
	return owner, nil
}

// supervisorCommand is what starts the process that owns the containers.
func (s *Server) supervisorCommand() ([]string, error) {
	command := s.cfg.SupervisorCommand
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		command = []string{self, "supervisor"}
	}
	command = append(command[:len(command):len(command)], "--data-dir", string(s.dir), "--runtime", s.runtime.Name, "--image-bytes", strconv.FormatInt(s.cfg.Retention.ImageBytes, 10))
	if s.cfg.NoCPUQuota {
		command = append(command, "--no-cpu-quota")
	}
	if s.cfg.Ephemeral {
		command = append(command, "--ephemeral")
	}
	return command, nil
}

// serve opens the listener to clients.
func (s *Server) serve() error {
	var err error
	s.announced, s.withdraw, err = control.Announce(string(s.dir), s.listener.announcement(control.Engine{
		PID: os.Getpid(), Version: s.cfg.Version, Started: time.Now(),
	}))
	if err != nil {
		return err
	}
	handler, err := s.handler(s.announced.Token)
	if err != nil {
		return err
	}
	if s.listener.renewal != nil {
		known := s.announced
		s.listener.renewal.announce = func(c *certificate) error {
			known.Certificate = c.fingerprint()
			return control.Amend(string(s.dir), known)
		}
	}
	if err := s.lock.SetListen(s.listener.Addr().String()); err != nil {
		return err
	}
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	s.background.Go(func() { s.registry.Run(ctx) })
	s.background.Go(func() { s.runRetention(ctx) })
	if s.cfg.InProcess == nil { // else the process is somebody else's
		s.background.Go(func() { s.rest.run(ctx) })
		s.rest.wake()
	}
	s.http = s.listener.newHTTP(s, handler)
	if err := s.runEvents(ctx); err != nil {
		return err
	}
	s.serveTasks(s.mux)
	s.background.Go(func() {
		if err := s.listener.serve(s.http); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("the listener failed", "error", err)
			s.askOnce.Do(func() { close(s.asked) })
		}
	})
	return nil
}

// shutdownPatience bounds how long requests under way are waited for.
const shutdownPatience = 5 * time.Second

// Close stops in order: no new requests, those under way answered, the engine, what carries out its wishes, the stores.
// Containers go on running, and are taken up by the next engine; those of an ephemeral engine end with it.
func (s *Server) Close() error {
	var errs []error
	if s.http != nil {
		errs = append(errs, shutdown(s.http))
	} else if s.listener != nil {
		errs = append(errs, s.listener.Close())
	}
	errs = append(errs, s.closeTasks())
	idle := false // nothing runs that a supervisor would be needed for
	if s.engine != nil {
		running := s.engine.Stop()
		idle = len(running) == 0
		if !idle && !s.cfg.Ephemeral {
			s.cfg.Logger.Warn("jobs go on running without the engine; start it again to take them up", "jobs", running)
		}
	}
	if s.launcher != nil {
		s.launcher.Close()
	}
	if s.owner != nil {
		errs = append(errs, s.closeOwner(idle))
	}
	if s.local != nil {
		errs = append(errs, s.local.close())
	}
	if s.end != nil {
		s.end()
	}
	s.background.Wait()
	if s.events != nil {
		s.events.Close()
	}
	if s.upstream != nil {
		s.upstream.close()
	}
	if s.images != nil {
		errs = append(errs, s.images.Close())
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.withdraw != nil {
		errs = append(errs, s.withdraw())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Release())
	}
	if s.cfg.Ephemeral {
		errs = append(errs, os.RemoveAll(string(s.dir)))
	}
	return errors.Join(errs...)
}

// closeOwner leaves the supervisor to the containers that run; if there are none, or must not be, it ends.
func (s *Server) closeOwner(idle bool) error {
	if !s.cfg.Ephemeral && !idle {
		return s.owner.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var none time.Duration
	return errors.Join(s.owner.Shutdown(ctx, &none), s.owner.Close())
}
