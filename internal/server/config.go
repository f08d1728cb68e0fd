package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/registry"
)

// The defaults of `batchbox serve`.
const (
	DefaultListen  = "127.0.0.1:4566"
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
)

// Config says how an engine is to run. Zero members mean the defaults.
type Config struct {
	// Listen is the address for clients, host:port; port 0 picks a free one.
	Listen string
	// Access says who may use it.
	Access AccessConfig
	// DataDir keeps everything. With Ephemeral it is a temporary directory, removed at the end, and the containers end with
	// the engine.
	DataDir   string
	Ephemeral bool
	// Account and Region are those of callers who do not say which are theirs.
	Account, Region string
	// Runtime is "auto" or a runtime's name.
	Runtime string
	// NoCPUQuota lets containers use idle processors beyond their vCPU, where the runtime limits that at all; what they get
	// when processors are scarce stays in proportion.
	NoCPUQuota bool
	// Network is NetworkHost (the default) or NetworkPrivate: what tasks are in.
	Network string
	// Limits are the engine's adjustments; MaxTasks 0 means a number fitting the machine.
	Limits engine.Limits
	// Rules are what a test may have differ from AWS; the zero value is AWS's behaviour.
	Rules batch.Rules
	// Clock is the time; the machine's if nil.
	Clock Clock
	// InProcess, if set, has the engine's process own the containers.
	InProcess *InProcess
	// Events says what becomes of state changes.
	Events EventsConfig
	// Retention bounds what is kept of finished jobs.
	Retention RetentionConfig
	// StrictECR refuses pushes to repositories that do not exist.
	StrictECR bool
	// HostPaths are the directories that jobs' host volumes may lie in. EFS maps file system ids to directories.
	HostPaths []string
	EFS       map[string]string
	// Secrets is the file that stands in for Secrets Manager and the SSM parameter store; "" for none.
	Secrets string
	// ContainerEnv is added to every container's environment, NAME=VALUE.
	ContainerEnv []string
	// Upstream is the URL of another emulator that gets the requests for services batchbox has not; "" for none.
	Upstream string
	// SupervisorCommand starts a supervisor; this program's own `supervisor` command if empty. The arguments
	// --data-dir, --runtime, --image-bytes and, if they are set, --no-cpu-quota and --ephemeral are added.
	SupervisorCommand []string
	// Version is shown by the health page.
	Version string
	Logger  *slog.Logger
	// Ready, if set, is called when clients can connect.
	Ready func(control.Engine)
}

func (c *Config) setDefaults() error {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Account == "" {
		c.Account = DefaultAccount
	}
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	if c.Runtime == "" {
		c.Runtime = RuntimeAuto
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Limits.MaxTasks == 0 {
		c.Limits.MaxTasks = defaultMaxTasks()
	}
	if !registry.ValidAccount(c.Account) {
		return fmt.Errorf("account %q is not a number of twelve digits", c.Account)
	}
	if !registry.ValidRegion(c.Region) {
		return fmt.Errorf("region %q is not the name of a region, such as us-east-1", c.Region)
	}
	switch c.Network {
	case "":
		c.Network = NetworkHost
	case NetworkHost, NetworkPrivate:
	default:
		return fmt.Errorf("network %q is neither host nor private", c.Network)
	}
	if err := checkContainerEnv(c.ContainerEnv); err != nil {
		return err
	}
	if c.Secrets != "" {
		if err := launcher.SecretsFile(c.Secrets).Check(); err != nil {
			return err
		}
	}
	if err := errors.Join(c.Events.check(), checkSpot(&c.Limits), checkUpstream(c.Upstream), c.checkRules(), c.checkInProcess(), c.Retention.setDefaults()); err != nil {
		return err
	}
	if err := c.checkAccess(); err != nil {
		return err
	}
	return c.checkDataDir()
}

func (c *Config) checkRules() error {
	if c.Rules.LeastTimeout < 0 || c.Limits.StopGrace < 0 || c.Limits.SpotWindow < 0 {
		return errors.New("a least timeout, stop grace or Spot window can't be negative")
	}
	return nil
}

func (c *Config) checkDataDir() (err error) {
	switch {
	case c.Ephemeral && c.DataDir != "":
		return errors.New("an ephemeral engine makes its own data directory; do not name one")
	case c.Ephemeral:
		c.DataDir, err = os.MkdirTemp("", "batchbox-")
		return err
	case c.DataDir == "":
		if c.DataDir, err = control.DefaultDir(); err != nil {
			return err
		}
	}
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return err
	}
	if err := fsys.MakeDir(fsys.OS, c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// portOf is the port of a listener's address, for URLs.
func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// layout names the parts of a data directory.
type layout string

func (d layout) logs() string       { return filepath.Join(string(d), "logs") }
func (d layout) registry() string   { return filepath.Join(string(d), "registry") }
func (d layout) images() string     { return filepath.Join(string(d), "images") }
func (d layout) trial() string      { return filepath.Join(string(d), "trial") }
func (d layout) containers() string { return filepath.Join(string(d), "containers") }
func (d layout) volumes() string    { return filepath.Join(string(d), "volumes") }
func (d layout) tls() string        { return filepath.Join(string(d), "tls") }
func (d layout) supervisor() string { return filepath.Join(string(d), "supervisor") }
