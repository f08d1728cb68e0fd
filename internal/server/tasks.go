package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/taskmeta"
)

// taskSide is what containers talk to: a listener of their own, where everything is signed or bound to a task by a name
// that can not be guessed. It has neither the registry nor batchbox's own pages.
type taskSide struct {
	service  *taskmeta.Service
	sessions *identity.Sessions
	live     atomic.Pointer[liveOwner]
	listener net.Listener
	http     *http.Server
}

// liveOwner is who owns the containers, once there is somebody.
type liveOwner struct{ taskmeta.Live }

// The networks of tasks.
const (
	NetworkHost    = "host"
	NetworkPrivate = "private"
)

// openTasks opens the listener for tasks, at the address it had when this data directory was last used: programs that have
// outlived an engine know it by that. They are answered from serveTasks on.
func (s *Server) openTasks(ctx context.Context) (err error) {
	id, err := taskmeta.LoadIdentity(ctx, s.db)
	if err != nil {
		return err
	}
	t := &s.tasks
	if id.Listen != "" {
		if t.listener, err = net.Listen("tcp", id.Listen); err != nil {
			s.cfg.Logger.Warn("the address for tasks is not free any more; containers that run on can not ask about themselves or call AWS",
				"address", id.Listen, "error", err)
		}
	}
	if t.listener == nil {
		if t.listener, err = listenForTasks(); err != nil {
			return fmt.Errorf("listener for tasks: %w", err)
		}
	}
	if address := t.listener.Addr().String(); address != id.Listen {
		id.Listen = address
		if err := id.Save(ctx, s.db); err != nil {
			return err
		}
	}
	t.sessions = identity.NewSessions(s.db, time.Now)
	t.service = taskmeta.New(taskmeta.Options{
		Secret: id.Secret, Issuer: t.sessions, Now: time.Now, NewRequestID: uuid.NewString, Logger: s.cfg.Logger,
		Live: func() taskmeta.Live {
			if owner := t.live.Load(); owner != nil {
				return owner
			}
			return nil
		},
	})
	return nil
}

// The ports that a listener for tasks is given: none that systems give out by themselves (Linux from 32768 on, the others from
// 49152), or one would hardly be free any more when the next engine wants it.
const firstTaskPort, taskPorts = 20000, 32768 - 20000

func listenForTasks() (net.Listener, error) {
	for range 100 {
		port := firstTaskPort + rand.IntN(taskPorts)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// taskEndpoint is where a container reaches the listener for tasks; "" if it can not.
func (s *Server) taskEndpoint() string {
	if s.cfg.Network == NetworkPrivate && !s.runtime.Capabilities.TaskEndpoint {
		return ""
	}
	return s.tasks.listener.Addr().String()
}

// checkNetwork refuses what the runtime can not do, and says what will be missing.
func (s *Server) checkNetwork() error {
	can := &s.runtime.Capabilities
	switch {
	case s.cfg.Network != NetworkPrivate:
	case !can.PrivateNetwork:
		return fmt.Errorf("--network private: the %s runtime can not give a task a network of its own; `batchbox doctor` says why, and which runtime can", s.runtime.Name)
	case !can.TaskEndpoint:
		s.cfg.Logger.Warn("in the private networks of this runtime programs find no task metadata, no credentials and no AWS endpoint", "runtime", s.runtime.Name)
	}
	return nil
}

// serveTasks begins to answer tasks: the services are those of mux, whose signatures are verified here.
func (s *Server) serveTasks(mux *awswire.Mux) {
	api := mux.Verified(&awswire.Verifier{Credentials: s.tasks.sessions})
	host, _, _ := net.SplitHostPort(runtime.TaskEndpoint)
	s.tasks.http = &http.Server{
		Handler:           &Guard{Next: s.tasks.service.Handler(api), Hosts: []string{host}, Logger: s.cfg.Logger},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          httpLog(s.cfg.Logger),
	}
	s.background.Go(func() {
		if err := s.tasks.http.Serve(s.tasks.listener); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("the listener for tasks failed", "error", err)
		}
	})
}

// closeTasks ends the listener for tasks.
func (s *Server) closeTasks() error {
	switch t := &s.tasks; {
	case t.http != nil:
		return shutdown(t.http)
	case t.listener != nil:
		return t.listener.Close()
	}
	return nil
}

// shutdown lets a server answer the requests under way, for a while.
func shutdown(h *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		return h.Close()
	}
	return nil
}

// taskEnv is the launcher's Environment: the metadata service, and the variables that the user adds to every container,
// which win over all others.
type taskEnv struct {
	service *taskmeta.Service
	user    []string
}

func (e taskEnv) TaskEnv(c launcher.Composed) launcher.Variables {
	v := e.service.Start(taskmeta.Started{
		StartTask: c.StartTask, Index: c.Index, Container: c.Container, PullStarted: c.PullStarted, PullStopped: c.PullStopped,
	})
	return launcher.Variables{Default: v.Default, Set: append(v.Set, e.user...)}
}

func (e taskEnv) TaskResumed(st engine.StartTask) { e.service.Resume(st) }
func (e taskEnv) TaskEnded(key string)            { e.service.End(key) }

// checkContainerEnv refuses variables that would not be what they say, or would break the job's own.
func checkContainerEnv(env []string) error {
	for _, kv := range env {
		name, _, ok := strings.Cut(kv, "=")
		switch {
		case !ok || name == "":
			return fmt.Errorf("container variable %q is not of the form NAME=VALUE", kv)
		case strings.HasPrefix(name, "AWS_BATCH"):
			return fmt.Errorf("container variable %s: names that begin with AWS_BATCH are AWS Batch's own", name)
		}
	}
	return nil
}
