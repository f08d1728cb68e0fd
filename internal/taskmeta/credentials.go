package taskmeta

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/batchbox/batchbox/internal/identity"
)

// Credentials of a task are good for sessionTime and replaced when less than refreshTime is left: SDKs ask again a few minutes
// before the end, and the ECS agent has new ones by then (unverified when exactly).
const (
	sessionTime = 6 * time.Hour
	refreshTime = time.Hour
)

// taskCredentials is the answer of the credentials endpoint (reference, section 9.4).
type taskCredentials struct {
	RoleArn         string
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      time.Time
}

// credentials answers with the job role's credentials whoever knows the task's own path (see credentialsID).
func (s *Service) credentials(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var t *task
	if len(id) > 32 {
		t = s.find(id[:32])
	}
	host := t != nil && same(id, s.credentialsID(t, true))
	switch {
	case t == nil || t.Task.TaskRole == "" || !host && !same(id, s.credentialsID(t, false)):
		fail(w, http.StatusBadRequest, "InvalidIdInRequest", "CredentialsV2Request: ID not found")
		return
	case host && !same(r.Header.Get("Authorization"), s.token(t)):
		fail(w, http.StatusUnauthorized, "Unauthorized", "the request lacks the task's AWS_CONTAINER_AUTHORIZATION_TOKEN")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := s.o.Now()
	if t.session == nil || t.session.ExpiresAt().Sub(now) < refreshTime {
		// The session's name is the task's id, as on ECS.
		issued, err := s.o.Issuer.IssueForRole(r.Context(), t.Partition, t.Task.TaskRole, t.Record.TaskID, sessionTime)
		if err != nil {
			s.o.Logger.Warn("no credentials for a task", "task", t.Key, "role", t.Task.TaskRole, "error", err)
			var untrusted *identity.UntrustedError
			if errors.As(err, &untrusted) {
				fail(w, http.StatusBadRequest, "InvalidRole", untrusted.Error()) // unverified code: on ECS the task does not start
				return
			}
			fail(w, http.StatusInternalServerError, "InternalServerError", "Unable to get credentials for the role "+t.Task.TaskRole+"; the engine's log has the reason")
			return
		}
		t.session = issued
	}
	c := t.session
	reply(w, taskCredentials{t.Task.TaskRole, c.AccessKeyID, c.SecretAccessKey, c.Token, c.ExpiresAt().Truncate(time.Second)})
}

func reply(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	write(w, http.StatusOK, body)
}

// fail answers with an error in the form of the credentials endpoint.
func fail(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(struct { // strings always marshal
		Code          string `json:"code"`
		Message       string `json:"message"`
		HTTPErrorCode int
	}{code, message, status})
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the program has gone, or it has not
}
