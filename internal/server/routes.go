package server

import (
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/google/uuid"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/api/ec2"
	"github.com/batchbox/batchbox/internal/api/ecr"
	"github.com/batchbox/batchbox/internal/api/ecs"
	apievents "github.com/batchbox/batchbox/internal/api/events"
	"github.com/batchbox/batchbox/internal/api/iam"
	"github.com/batchbox/batchbox/internal/api/logs"
	"github.com/batchbox/batchbox/internal/api/sts"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/registry"
)

func (s *Server) batchAPI() *apibatch.API { return apibatch.New(s.engine, s.cfg.Rules) }

// aws makes the mux of all AWS services; what is not theirs goes to fallback.
func (s *Server) aws(fallback http.Handler) (*awswire.Mux, error) {
	sessions := identity.NewSessions(s.db, s.clock.Now)
	var services []*awswire.Service
	for _, make := range []func() (*awswire.Service, error){
		func() (*awswire.Service, error) { return s.batchAPI().Service() },
		func() (*awswire.Service, error) { return logs.New(logs.Options{Store: s.logs, Docs: s.db}) },
		func() (*awswire.Service, error) { return ec2.New(ec2.Options{Docs: s.db, Now: s.clock.Now}), nil },
		func() (*awswire.Service, error) {
			return ecs.New(ecs.Options{Jobs: s.engine, Tasks: s.tasks.service}), nil
		},
		func() (*awswire.Service, error) {
			return ecr.New(ecr.Options{Registry: s.registry, Docs: s.db, Endpoint: s.endpoint()})
		},
		func() (*awswire.Service, error) {
			return apievents.New(apievents.Options{Bus: s.bus, NewID: uuid.NewString, Now: s.clock.Now}), nil
		},
		func() (*awswire.Service, error) { return iam.New(iam.Options{Docs: s.db, Now: s.clock.Now}) },
		func() (*awswire.Service, error) {
			return sts.New(sts.Options{
				Docs: s.db, Now: s.clock.Now, Sessions: sessions, Tokens: identity.NewTokenVerifier(s.db, nil),
			})
		},
	} {
		service, err := make()
		if err != nil {
			return nil, err
		}
		services = append(services, service)
	}
	return awswire.NewMux(awswire.Options{
		Services: services, DefaultAccount: s.cfg.Account, DefaultRegion: s.cfg.Region, Logger: s.cfg.Logger,
		Fallback: fallback, Others: s.others(), Verifier: s.verifier(), Sessions: sessions,
	})
}

// orUpstream hands on to the upstream, if there is one, what own has no page for: requests that nothing tells from those for
// pages, such as S3's without a signature.
func (s *Server) orUpstream(own *http.ServeMux) http.Handler {
	if s.upstream == nil {
		return own
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := own.Handler(r); pattern == "" {
			s.mux.ServeOther(w, r)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// others is what gets the requests for other services than ours; nil if nothing does.
func (s *Server) others() http.Handler {
	if s.upstream == nil {
		return nil
	}
	return s.upstream
}

// handler is everything on the clients' listener: AWS, and what is not AWS's: batchbox's own pages and the registry.
func (s *Server) handler(token string) (http.Handler, error) {
	own := http.NewServeMux()
	own.HandleFunc(control.HealthPath, func(w http.ResponseWriter, r *http.Request) {
		s.health(w, r, s.keys == nil || bearsToken(r, token))
	})
	own.Handle(control.ShutdownPath, control.ShutdownHandler(token, func() { s.askOnce.Do(func() { close(s.asked) }) }))
	own.Handle(events.StreamPath, s.events)
	own.HandleFunc(control.SpotInterruptPath, s.interruptSpot)
	images := s.registry.Handler(registry.HandlerOptions{Endpoint: s.endpoint(), RequireAuth: s.keys != nil})
	own.Handle("/v2", images)
	own.Handle("/v2/", images)
	var err error
	if s.mux, err = s.aws(s.protect(own, s.orUpstream(own), token)); err != nil {
		return nil, err
	}
	pages := s.protect(own, own, token)
	// What is signed for AWS's services goes by its signature, wherever its path leads; what is below control.Prefix is ours.
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.rest.wake()
		if strings.HasPrefix(r.URL.Path, control.Prefix) {
			pages.ServeHTTP(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
	g := &Guard{Next: all, Hosts: s.listener.hosts, AnyAddress: s.listener.exposed, Logger: s.cfg.Logger}
	if s.listener.clients == nil {
		return g, nil
	}
	return s.listener.clients.limit(g, s.refuseTooMany), nil
}

// refuseTooMany answers a client that makes more requests than it may, each kind in its own form.
func (s *Server) refuseTooMany(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, control.Prefix):
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		// https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
		_, _ = io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}`)
	default:
		s.mux.Throttle(w, r)
	}
}

// health says that the engine answers, and which one it is to who may know.
func (s *Server) health(w http.ResponseWriter, r *http.Request, known bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET tells the engine's health", http.StatusMethodNotAllowed)
		return
	}
	if !known {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"ok"}`+"\n") // the client has gone, or it has not
		return
	}
	body, err := json.Marshal(struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		PID     int    `json:"pid"`
		Runtime string `json:"runtime"`
		Account string `json:"account"`
		Region  string `json:"region"`
		DataDir string `json:"dataDir"`
	}{"ok", s.cfg.Version, os.Getpid(), s.runtime.Name, s.cfg.Account, s.cfg.Region, string(s.dir)})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client has gone, or it has not
}

// httpLog passes what net/http has to say to the engine's log.
func httpLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
