package image

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Config is what an image says about how to run it.
type Config struct {
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        []string          `json:"env,omitempty"` // NAME=VALUE
	WorkingDir string            `json:"workingDir,omitempty"`
	User       string            `json:"user,omitempty"`
	StopSignal string            `json:"stopSignal,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

func configOf(c v1.Config) Config {
	return Config{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir,
		User: c.User, StopSignal: c.StopSignal, Labels: c.Labels,
	}
}

// Prepared is an image ready to start containers from. It holds its files in the cache until Release.
type Prepared struct {
	runtime.Image
	// Config must not be changed; all users of the image share it.
	Config Config
	// PullRef is a name by which a container engine on this machine can pull exactly this image (RootfsNone).
	PullRef string

	release func()
}

// Release lets the cache remove the image's files when it needs the room. It may be called more than once. A caller that
// hands the image to somebody who outlives this process must name its digest to Cache.Collect instead.
func (p *Prepared) Release() {
	if p.release != nil {
		p.release()
	}
}
