// Package dockerhost finds the Docker daemon that the user's docker command would talk to, and others that speak its API:
// Docker Desktop, Colima, rootless Docker, Podman.
package dockerhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// ErrNone is what Find's error wraps when nothing says where a daemon is and none of the usual sockets is there.
var ErrNone = errors.New("no Docker daemon found")

// Host is where a daemon listens.
type Host struct {
	// URL is unix:///path, tcp://host:port or http(s)://host:port.
	URL string
	// Source says what named it, for people: "DOCKER_HOST", "context colima", "the usual socket".
	Source string
	// CA, Cert and Key are the PEM files of a context that wants TLS; "" for none.
	CA, Cert, Key string
	// env: DOCKER_CERT_PATH and DOCKER_TLS_VERIFY belong to it.
	env bool
}

// Local says whether the daemon is on this machine and sees its files and processes under the same names. A socket can
// belong to a virtual machine (macOS); there is no way to see that from its path, so only Linux's sockets count.
func (h Host) Local() bool { return localSockets && strings.HasPrefix(h.URL, "unix://") }

// Socket is the path of the daemon's socket, "" if it listens elsewhere.
func (h Host) Socket() string {
	path, _ := strings.CutPrefix(h.URL, "unix://")
	if path == h.URL {
		return ""
	}
	return path
}

// Environment is where Find looks.
type Environment struct {
	Getenv func(string) string
	// Home is the user's home directory.
	Home string
	// Sockets are the paths to try when nothing names a daemon, in order.
	Sockets []string
}

// System is the environment of this process.
func System() Environment {
	home, _ := os.UserHomeDir() // without one there are no contexts
	e := Environment{Getenv: os.Getenv, Home: home, Sockets: []string{"/var/run/docker.sock"}}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		e.Sockets = append(e.Sockets, filepath.Join(run, "docker.sock")) // rootless Docker
	}
	if home != "" {
		e.Sockets = append(e.Sockets,
			filepath.Join(home, ".docker/run/docker.sock"),       // Docker Desktop
			filepath.Join(home, ".colima/default/docker.sock"),   // Colima
			filepath.Join(home, ".orbstack/run/docker.sock"),     // OrbStack
			filepath.Join(home, ".rd/docker.sock"),               // Rancher Desktop
			filepath.Join(home, ".lima/docker/sock/docker.sock"), // Lima
		)
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		e.Sockets = append(e.Sockets, filepath.Join(run, "podman/podman.sock"))
	}
	e.Sockets = append(e.Sockets, "/run/podman/podman.sock")
	return e
}

// Find says where the daemon is: DOCKER_HOST, then the context that DOCKER_CONTEXT or Docker's configuration names, as the
// docker command has it (https://docs.docker.com/engine/manage-resources/contexts/), then the usual sockets. It does not
// connect.
func Find(e Environment) (Host, error) {
	if url := e.Getenv("DOCKER_HOST"); url != "" {
		h := Host{URL: url, Source: "DOCKER_HOST", env: true}
		return h, h.check()
	}
	h, err := e.context()
	if err != nil || h.URL != "" {
		return h, err
	}
	for i, path := range e.Sockets {
		if fi, err := os.Stat(path); err == nil && fi.Mode()&fs.ModeSocket != 0 {
			source := "the usual socket"
			if i > 0 {
				source = "a known socket"
			}
			return Host{URL: "unix://" + path, Source: source}, nil
		}
	}
	return Host{}, fmt.Errorf("%w: DOCKER_HOST is not set, no Docker context is in use, and no socket is at %s", ErrNone, strings.Join(e.Sockets, ", "))
}

func (h Host) check() error {
	scheme, _, ok := strings.Cut(h.URL, "://")
	switch {
	case !ok:
		return fmt.Errorf("%s names %q, which is no URL such as unix:///var/run/docker.sock", h.Source, h.URL)
	case scheme == "ssh":
		return fmt.Errorf("%s names %s: daemons over ssh are not supported; forward the socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) and set DOCKER_HOST=unix:///tmp/docker.sock", h.Source, h.URL)
	case scheme == "unix" || scheme == "tcp" || scheme == "http" || scheme == "https":
		return nil
	}
	return fmt.Errorf("%s names %s: batchbox speaks to daemons over unix, tcp, http and https", h.Source, h.URL)
}

// context is the Host of the context in use; its URL is "" if that is the default one.
func (e Environment) context() (Host, error) {
	dir := e.Getenv("DOCKER_CONFIG")
	if dir == "" {
		if e.Home == "" {
			return Host{}, nil
		}
		dir = filepath.Join(e.Home, ".docker")
	}
	name := e.Getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		if err := readJSON(filepath.Join(dir, "config.json"), &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Host{}, err
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return Host{}, nil
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta); err != nil {
		return Host{}, fmt.Errorf("Docker context %q: %w", name, err)
	}
	endpoint := meta.Endpoints["docker"]
	h := Host{URL: endpoint.Host, Source: "context " + name}
	if h.URL == "" {
		return Host{}, fmt.Errorf("Docker context %q has no endpoint", name)
	}
	if endpoint.SkipTLSVerify {
		return Host{}, fmt.Errorf("Docker context %q skips the verification of certificates, which batchbox does not; set DOCKER_HOST and DOCKER_CERT_PATH instead", name)
	}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	for file, to := range map[string]*string{"ca.pem": &h.CA, "cert.pem": &h.Cert, "key.pem": &h.Key} {
		if path := filepath.Join(tls, file); exists(path) {
			*to = path
		}
	}
	return h, h.check()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readJSON(path string, to any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// tls says whether the daemon is to be spoken to over TLS.
func (h Host) tls() bool {
	return strings.HasPrefix(h.URL, "https://") || h.CA != "" || h.Cert != "" || h.env && os.Getenv("DOCKER_CERT_PATH") != ""
}

// pingPatience bounds how long a daemon may take to answer the first question.
const pingPatience = 15 * time.Second

// Connect makes a client of the daemon, and checks that it answers. The version of the API is negotiated.
func Connect(ctx context.Context, h Host) (*client.Client, error) {
	// Each request has a connection of its own: there are few, and none is found dead after a daemon's restart.
	options := []client.Opt{
		client.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: client.CheckRedirect}),
		client.WithUserAgent("batchbox"),
	}
	if !h.tls() {
		options = append(options, client.WithScheme("http"))
	}
	switch {
	case h.env:
		options = append(options, client.WithTLSClientConfigFromEnv())
	case h.CA != "" || h.Cert != "":
		options = append(options, client.WithTLSClientConfig(h.CA, h.Cert, h.Key))
	}
	options = append(options, client.WithHost(h.URL), client.WithAPIVersionFromEnv())
	c, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("the daemon at %s (%s): %w", h.URL, h.Source, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pingPatience, fmt.Errorf("no answer within %v", pingPatience))
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, errors.Join(fmt.Errorf("the daemon at %s (%s) does not answer: %w", h.URL, h.Source, err), c.Close())
	}
	return c, nil
}
