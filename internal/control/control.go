// Package control is how the command line finds the engine that owns a data directory, and tells it to stop. The engine
// writes a file into the directory while it runs; only who can read that file, the user who started it, can stop it.
package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
)

// The paths on the engine's listener. All of batchbox's own begin with Prefix.
const (
	Prefix       = "/_batchbox/"
	HealthPath   = "/_batchbox/health"
	ShutdownPath = "/_batchbox/shutdown"
)

// SigningName is the service that requests for these paths are signed for, where an engine verifies signatures.
const SigningName = "batchbox"

const fileName = "engine.json"

// Engine is a running engine, as its data directory tells of it.
type Engine struct {
	PID int `json:"pid"`
	// URL is the endpoint for clients, such as http://127.0.0.1:4566.
	URL     string `json:"url"`
	Version string `json:"version"`
	// Address is host:port of the listener as this machine reaches it, and Certificate the SHA-256 of its certificate in
	// hexadecimal, by which it is known; both are empty without TLS. CA is the file of the authority to be trusted by other
	// clients, if the engine has made the certificate itself.
	Address     string    `json:"address,omitempty"`
	Certificate string    `json:"certificate,omitempty"`
	CA          string    `json:"ca,omitempty"`
	Started     time.Time `json:"started"`
	// Token proves to the engine that the caller can read the file.
	Token string `json:"token"`
}

// ErrNotRunning is returned by Read for a data directory without an engine's file.
var ErrNotRunning = errors.New("no engine is running there")

// DefaultDir is the data directory when none is named: $XDG_STATE_HOME/batchbox, else .local/state/batchbox in the home
// directory.
func DefaultDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) { // others are to be ignored, says the XDG specification
		return filepath.Join(state, "batchbox"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no default data directory, give --data-dir: %w", err)
	}
	return filepath.Join(home, ".local", "state", "batchbox"), nil
}

// Announce writes the file for an engine that answers now; it makes the token. The caller owns the directory, by whatever
// lock there is. withdraw removes the file and belongs at the end of the engine.
func Announce(dir string, e Engine) (_ Engine, withdraw func() error, err error) {
	return announce(fsys.OS, dir, e)
}

func announce(files fsys.FS, dir string, e Engine) (_ Engine, withdraw func() error, err error) {
	e.Token = rand.Text()
	if err := write(files, dir, e); err != nil {
		return e, nil, err
	}
	return e, func() error {
		err := files.Remove(filepath.Join(dir, fileName))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}, nil
}

// Amend replaces what Announce has written and returned by e, which has the token of that.
func Amend(dir string, e Engine) error { return write(fsys.OS, dir, e) }

func write(files fsys.FS, dir string, e Engine) error {
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	temp := path + ".new"
	if err := fsys.WriteFile(files, temp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("announce the engine: %w", err)
	}
	if err := files.Rename(temp, path); err != nil {
		return fmt.Errorf("announce the engine: %w", err)
	}
	return nil
}

// Read finds the engine of a data directory. That the file is there does not prove that the engine still lives.
func Read(dir string) (Engine, error) {
	raw, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return Engine{}, fmt.Errorf("%s: %w", dir, ErrNotRunning)
	}
	if err != nil {
		return Engine{}, err
	}
	var e Engine
	if err := json.Unmarshal(raw, &e); err != nil || e.URL == "" {
		return Engine{}, fmt.Errorf("%s is no engine's file", filepath.Join(dir, fileName))
	}
	return e, nil
}

// Shutdown tells the engine to stop in order. It returns when the engine has agreed, not when it has stopped.
func (e Engine) Shutdown(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(e.URL, "/")+ShutdownPath, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+e.Token)
	res, err := e.client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only to say more
		return fmt.Errorf("the engine at %s does not stop: HTTP %s %s", e.URL, res.Status, bytes.TrimSpace(text))
	}
	return nil
}

// client goes through no proxy: the engine is on this machine.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// client reaches an engine with TLS at its address, by whatever name its certificate is for: the engine's file, which only
// its user can write, says which certificate that is.
func (e Engine) client() *http.Client {
	if e.Certificate == "" {
		return client
	}
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, e.Address)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // in favour of what follows
			VerifyConnection: func(c tls.ConnectionState) error {
				sum := sha256.Sum256(c.PeerCertificates[0].Raw)
				if hex.EncodeToString(sum[:]) != e.Certificate {
					return fmt.Errorf("who answers at %s has not the engine's certificate", e.Address)
				}
				return nil
			},
		},
	}}
}

// Healthy says whether the engine answers.
func (e Engine) Healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(e.URL, "/")+HealthPath, http.NoBody)
	if err != nil {
		return err
	}
	res, err := e.client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s: HTTP %s", e.URL, HealthPath, res.Status)
	}
	return nil
}

// ShutdownHandler answers POST on ShutdownPath: 202 to who has the token, and then stop is called; 403 to others.
func ShutdownHandler(token string, stop func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "POST stops the engine", http.StatusMethodNotAllowed)
			return
		}
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			http.Error(w, "only the user who started the engine can stop it: batchbox stop", http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		stop()
	})
}
