package server

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/control"
)

// maxPageBody bounds the body of a request to one of batchbox's own pages.
const maxPageBody = 64 << 10

// protect guards batchbox's own pages where signatures are verified. Two pass by themselves: stopping the engine, which asks
// for the engine's token, and its health, which tells a stranger no more than that it answers. All others take that token,
// or a signature for control.SigningName by a key of the access key file: the session credentials of jobs and roles are for
// AWS's services. The registry checks its own credentials, and what is no page at all goes on.
func (s *Server) protect(own *http.ServeMux, next http.Handler, token string) http.Handler {
	if s.keys == nil {
		return next
	}
	keys := &awswire.Verifier{Credentials: s.keys}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, pattern := own.Handler(r); pattern {
		case "", control.ShutdownPath, control.HealthPath, "/v2", "/v2/":
			next.ServeHTTP(w, r)
			return
		}
		if bearsToken(r, token) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPageBody))
		if err != nil {
			http.Error(w, "the request's body: "+err.Error(), http.StatusBadRequest)
			return
		}
		cred, err := keys.Authenticate(r, control.SigningName, body)
		if err != nil {
			var e *awswire.Error
			status := http.StatusForbidden
			if errors.As(err, &e) && e.Server {
				status = http.StatusInternalServerError
				s.cfg.Logger.Error("a signature could not be checked", "path", r.URL.Path, "error", e.Cause)
			}
			http.Error(w, err.Error(), status)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, cred.Account)))
	})
}

// bearsToken says whether a request shows the token that the engine's file has.
func bearsToken(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// callerKey is the context's key for the account of a key that has signed.
type callerKey struct{}

// callerAccount is the account that the signer of a request is bound to; "" if it is bound to none.
func callerAccount(ctx context.Context) string {
	account, _ := ctx.Value(callerKey{}).(string)
	return account
}
