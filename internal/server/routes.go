package server

import (
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"os"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/api/ecr"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/registry"
)

// routes makes the mux of all AWS services.
func (s *Server) routes() (*awswire.Mux, error) {
	var services []*awswire.Service
	for _, make := range []func() (*awswire.Service, error){
		func() (*awswire.Service, error) { return apibatch.New(s.engine) },
		func() (*awswire.Service, error) {
			return ecr.New(ecr.Options{Registry: s.registry, Docs: s.db, Endpoint: s.endpoint()})
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
	})
}

// handler is everything on the clients' listener: batchbox's own pages, the registry, AWS.
func (s *Server) handler(mux *awswire.Mux, token string) http.Handler {
	top := http.NewServeMux()
	top.HandleFunc(control.HealthPath, s.health)
	top.Handle(control.ShutdownPath, control.ShutdownHandler(token, func() { s.askOnce.Do(func() { close(s.asked) }) }))
	images := s.registry.Handler(registry.HandlerOptions{Endpoint: s.endpoint()})
	top.Handle("/v2", images)
	top.Handle("/v2/", images)
	top.Handle("/", mux)
	return &Guard{Next: rawPaths(top, mux), Logger: s.cfg.Logger}
}

// rawPaths keeps requests of AWS's API from http.ServeMux, which would clean their paths: an ARN in a path holds escaped
// slashes.
func rawPaths(own, aws http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) >= 4 && r.URL.Path[:4] == "/v1/" {
			aws.ServeHTTP(w, r)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// health says that the engine answers, and which one it is.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET tells the engine's health", http.StatusMethodNotAllowed)
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
	}{"ok", s.cfg.Version, os.Getpid(), s.cfg.Runtime, s.cfg.Account, s.cfg.Region, string(s.dir)})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client has gone, or it has not
}

// httpLog passes what net/http has to say to the engine's log.
func httpLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
