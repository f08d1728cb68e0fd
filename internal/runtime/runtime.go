// Package runtime says what it means to run a container: the Spec a job becomes, the Handle of a started container,
// the Exit it ends with, and the Runtime interface behind which native, docker and process differ. Everything in a Task
// is plain data, because it crosses the supervisor's socket and has to be understood by a supervisor one version away.
package runtime

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Task is one attempt of one job: the unit the engine starts, stops and hears about. A job of one container has one
// entry in Containers, named "default"; ecsProperties give up to ten.
type Task struct {
	// Key names the attempt: "<jobId>/<attempt>" (child and node suffixes included, attempts from 1). Starting the same
	// key twice is the same start.
	Key string `json:"key"`
	// Runtime is the Name of the runtime that runs the task; empty is the supervisor's only or first one.
	Runtime    string      `json:"runtime,omitempty"`
	Containers []Container `json:"containers"`
	// Labels are put on whatever a runtime creates where other programs can see it (Docker labels, cgroup names):
	// job id, job name, engine id.
	Labels map[string]string `json:"labels,omitempty"`
}

// Container is a Spec with its place in the task.
type Container struct {
	Spec
	// Essential containers end the task when they stop. A task's result is decided by its essential containers.
	Essential bool         `json:"essential"`
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// StartTimeout bounds how long others wait for this container to reach COMPLETE or SUCCESS, counted from its start, as
	// the ECS agent does it (ecs-agent, dependencygraph.hasDependencyTimedOut); zero means no bound.
	StartTimeout time.Duration `json:"startTimeout,omitempty"`
	// Log is where output goes; nil discards it (log drivers batchbox accepts but does not deliver to).
	Log *LogTarget `json:"log,omitempty"`
}

// Condition is a container dependency's condition, in the spelling of the AWS Batch API (TaskContainerDependency).
type Condition string

// The conditions of TaskContainerDependency.
const (
	ConditionStart    Condition = "START"
	ConditionComplete Condition = "COMPLETE"
	ConditionSuccess  Condition = "SUCCESS"
)

// Dependency holds a container back until another container of the task reaches Condition.
type Dependency struct {
	ContainerName string    `json:"containerName"`
	Condition     Condition `json:"condition"`
}

// LogTarget is the CloudWatch Logs stream a container's stdout and stderr go to, with the awslogs options that change
// how lines become events.
type LogTarget struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Group   string `json:"group"`
	Stream  string `json:"stream"`
	// MultilinePattern and DatetimeFormat are the awslogs options of those names; at most one is set.
	MultilinePattern string `json:"multilinePattern,omitempty"`
	DatetimeFormat   string `json:"datetimeFormat,omitempty"`
	// NonBlocking with MaxBufferBytes lets output be dropped rather than hold the program up (awslogs mode=non-blocking).
	NonBlocking    bool  `json:"nonBlocking,omitempty"`
	MaxBufferBytes int64 `json:"maxBufferBytes,omitempty"`
}

// Spec is what a runtime needs to start one container. All defaults have been applied by then: Argv, Env, Dir and User
// are final, so two runtimes given one Spec run the same program the same way.
type Spec struct {
	Name  string `json:"name"`
	Image Image  `json:"image"`
	// Argv is the image's ENTRYPOINT followed by the job's command or the image's CMD; never empty.
	Argv []string `json:"argv"`
	// Env is the whole environment as NAME=VALUE, nothing of the host's added. A runtime adds nothing to it, save PATH,
	// HOME and HOSTNAME where they are absent, as container engines do.
	Env  []string `json:"env"`
	Dir  string   `json:"dir,omitempty"`
	User string   `json:"user,omitempty"` // as in an image's USER: name, uid, name:group, uid:gid
	// Hostname is what the program sees as the host's name, where the runtime can set it.
	Hostname string `json:"hostname,omitempty"`

	VCPU      float64 `json:"vcpu"`      // of one core; 0.25 is a quarter
	MemoryMiB int64   `json:"memoryMiB"` // hard limit
	// StorageGiB bounds what the container may write into its root; zero is the platform's default of 20.
	StorageGiB int64 `json:"storageGiB,omitempty"`

	ReadonlyRootfs bool     `json:"readonlyRootfs,omitempty"`
	Privileged     bool     `json:"privileged,omitempty"`
	InitProcess    bool     `json:"initProcess,omitempty"`
	Ulimits        []Ulimit `json:"ulimits,omitempty"`
	Mounts         []Mount  `json:"mounts,omitempty"`
	SharedMemMiB   int64    `json:"sharedMemMiB,omitempty"`
	Network        Network  `json:"network"`

	StopSignal  string        `json:"stopSignal,omitempty"` // "SIGTERM" when empty
	StopTimeout time.Duration `json:"stopTimeout"`          // from the stop signal to SIGKILL

	// Labels are the task's (Task.Labels); whoever starts the container fills them in.
	Labels map[string]string `json:"-"`
}

// Image is a pulled image in the form the runtime asked for through Capabilities.Rootfs.
type Image struct {
	Ref      string `json:"ref"`    // as the job definition has it
	Digest   string `json:"digest"` // of the platform's manifest, "sha256:..."
	Platform string `json:"platform"`
	// Rootfs is the directory of the unpacked image (RootfsFlat). It is shared by every container of the image and must
	// not be written to.
	Rootfs string `json:"rootfs,omitempty"`
	// Layers are the directories of the unpacked layers, lowest first (RootfsLayers), whiteouts as overlayfs has them.
	Layers []string `json:"layers,omitempty"`
	// Archive is a tar of the image as `docker save` writes it, named ArchiveName in there (RootfsArchive).
	Archive string `json:"archive,omitempty"`
}

// ArchiveRepository is the name in a daemon of all images that were loaded from an Archive. It is in no registry.
const ArchiveRepository = "batchbox.local/image"

// ArchiveName is the image's name in its Archive, and in a daemon that has loaded it.
func (i *Image) ArchiveName() string {
	return ArchiveRepository + ":" + strings.TrimPrefix(i.Digest, "sha256:")
}

// Ulimit is one resource limit, by the name setrlimit's man page uses in lower case without RLIMIT_ ("nofile").
type Ulimit struct {
	Name string `json:"name"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Mount is a host directory, one of the task's own volumes or a tmpfs inside the container.
type Mount struct {
	Source string `json:"source,omitempty"` // host path; empty for the others
	// Volume names a volume of the task's own, which its containers share: empty at first, gone with the task. Whoever starts
	// the container makes it, and puts its directory into Source before a runtime sees it.
	Volume   string   `json:"volume,omitempty"`
	Target   string   `json:"target"`
	ReadOnly bool     `json:"readOnly,omitempty"`
	Tmpfs    bool     `json:"tmpfs,omitempty"`
	SizeMiB  int64    `json:"sizeMiB,omitempty"` // tmpfs only
	Options  []string `json:"options,omitempty"`
}

// NetworkMode is how the container's network relates to the host's.
type NetworkMode string

// The network modes. Host shares the machine's network; Private is a network namespace of the task's own.
const (
	NetworkHost    NetworkMode = "host"
	NetworkPrivate NetworkMode = "private"
)

// Network is the container's network. Address is the task's own IPv4 address: distinct 127.x addresses under
// NetworkHost, so that the nodes of a multi-node job can listen on the same port.
type Network struct {
	Mode    NetworkMode `json:"mode"`
	Address string      `json:"address,omitempty"`
	// Endpoint is where the engine listens for tasks, host:port on the machine's loopback; "" if it does not. A container in
	// the host's network reaches it there. Under NetworkPrivate a runtime whose Capabilities say TaskEndpoint listens on
	// TaskEndpoint inside the task's network, and passes each connection on to Endpoint, which may be away for a while.
	Endpoint string `json:"endpoint,omitempty"`
}

// TaskEndpoint is where a container in a network of its own finds the engine: the address of ECS's task metadata and
// credentials, which SDKs have built in (ECS developer guide, "Task metadata endpoint version 4").
const TaskEndpoint = "169.254.170.2:80"

// The addresses of private networks, all of which are one IPv4 network: a range that providers use among themselves
// (RFC 6598), so that it hides nothing that a job could want to reach. Nodes of multi-node jobs have theirs from PrivateNodes,
// given by the engine; other tasks from PrivateTasks, by the runtime. The way out, and the name server, is PrivateGateway.
var (
	PrivateNetwork = netip.MustParsePrefix("100.64.0.0/10")
	PrivateTasks   = netip.MustParsePrefix("100.64.0.0/11")
	PrivateNodes   = netip.MustParsePrefix("100.96.0.0/12")
	PrivateGateway = netip.MustParseAddr("100.127.255.254")
)

// RootfsForm is the form of image a runtime starts from.
type RootfsForm string

// The forms of image a runtime can ask for.
const (
	RootfsFlat   RootfsForm = "flat"   // one unpacked directory, Image.Rootfs
	RootfsLayers RootfsForm = "layers" // a directory for each layer, Image.Layers
	// RootfsArchive is a tar for a daemon to load, Image.Archive.
	RootfsArchive RootfsForm = "archive"
	RootfsNone    RootfsForm = "none" // the runtime needs no image
)

// Capabilities is what a runtime can promise on this machine. The conformance suite skips exactly what is false here,
// and job validation warns by it.
type Capabilities struct {
	Rootfs RootfsForm `json:"rootfs"`
	// Platform is what programs it runs without an emulator, as "linux/arm64"; "" is those of this process's platform.
	Platform string `json:"platform,omitempty"`
	// ForeignKernel: containers run under another kernel than this process, so nothing here tells what it can emulate.
	ForeignKernel bool `json:"foreignKernel,omitempty"`
	// Isolated: own file system root, processes and capabilities.
	Isolated bool `json:"isolated"`
	// MemoryLimit: MemoryMiB is enforced and an OOM kill is reported as such. CPULimit: VCPU is enforced.
	MemoryLimit bool `json:"memoryLimit"`
	CPULimit    bool `json:"cpuLimit"`
	// KillsDescendants: every process the container started is gone when Wait returns, daemons included.
	KillsDescendants bool `json:"killsDescendants"`
	StorageLimit     bool `json:"storageLimit"`
	PrivateNetwork   bool `json:"privateNetwork"`
	// TaskEndpoint: Network.Endpoint is reached at TaskEndpoint from a private network.
	TaskEndpoint bool `json:"taskEndpoint"`
	// ConnectedNetworks: private networks reach each other by their addresses, and, with a /dev/net/tun that may be opened, the
	// outside by TCP and UDP.
	ConnectedNetworks bool `json:"connectedNetworks"`
	ReadonlyRootfs    bool `json:"readonlyRootfs"`
	Users             bool `json:"users"`
	Mounts            bool `json:"mounts"`
	Hostname          bool `json:"hostname"`
	// OutputOrder: what a program writes to stdout and stderr arrives in the order in which it was written. Without it each
	// of the two keeps its order, and lines stay whole.
	OutputOrder bool `json:"outputOrder"`
	// Notes are sentences for `batchbox doctor` and the engine's log: what this runtime does not do.
	Notes []string `json:"notes,omitempty"`
}

// Runtime starts containers. Implementations are safe for concurrent use. One conformance suite, runtimetest, runs
// against all of them.
type Runtime interface {
	Name() string
	Capabilities() Capabilities
	// Start runs the container's program with out as its stdout and stderr (one pipe, so order is kept) and returns once
	// the program has been executed, or with a *StartError saying why it could not be. The runtime does not keep out
	// open. An exit that happens before Start returns is reported by Wait all the same.
	Start(ctx context.Context, spec Spec, task string, out *os.File) (Handle, error)
	// Sweep ends and removes whatever containers of this runtime an earlier owner left behind on this machine under
	// owner (a string naming the supervisor's data directory), and reports how many.
	Sweep(ctx context.Context, owner string) (int, error)
	Close() error
}

// Handle is a started container.
type Handle interface {
	// PID is the first process as the host sees it; 0 if the runtime does not know.
	PID() int
	// Signal sends the named signal ("SIGTERM") to the container's first process, and to no other: what it does about its
	// own children is the program's business. Signalling an ended container is not an error.
	Signal(sig string) error
	// Kill ends every process of the container with SIGKILL. Killing an ended container is not an error.
	Kill() error
	// Wait blocks until the container has ended and been cleaned up. It may be called from one goroutine, once.
	Wait() Exit
}

// Recoverable is implemented by a Handle whose container might run on when its owner dies, and which Sweep could not
// find again by a name.
type Recoverable interface {
	// Token identifies the container for Reclaim, in whatever form the runtime likes, for as long as the machine is up. It
	// does not change.
	Token() string
}

// Reclaimer is implemented by a Runtime whose Handles are Recoverable.
type Reclaimer interface {
	// Reclaim ends the containers that tokens name, which an earlier owner started, and reports how many were still there.
	// A token of a container that is gone, or of an earlier boot, is not an error; what merely looks like the container (a
	// process that has got its number) is left alone.
	Reclaim(ctx context.Context, tokens []string) (int, error)
}

// TreeRemover is implemented by a Runtime whose containers may leave files that this user can not remove.
type TreeRemover interface {
	// RemoveTree removes a directory that containers had mounted, with all that is in it, perhaps in the background.
	RemoveTree(path string) error
}

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code as AWS reports it: the program's own, or 128 + signal (137 for SIGKILL).
	Code int `json:"code"`
	// OOM is set when the memory limit killed it.
	OOM bool `json:"oom,omitempty"`
	// Err is why the runtime lost the container; Code is then meaningless.
	Err string `json:"err,omitempty"`
}

// StartError is a start that failed, with the name ECS gives its kind, which a job's onReason patterns match.
type StartError struct {
	// Kind is one of the ECS agent's error names: CannotPullContainerError, CannotCreateContainerError,
	// CannotStartContainerError, ResourceInitializationError, ContainerRuntimeError.
	Kind string
	Err  error
	// ExitCode is 127 (no such file) or 126 (not executable) where a container engine would report one, else 0.
	ExitCode int
}

func (e *StartError) Error() string { return e.Kind + ": " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// The names the ECS agent gives to start failures.
const (
	KindCannotPull   = "CannotPullContainerError"
	KindCannotCreate = "CannotCreateContainerError"
	KindCannotStart  = "CannotStartContainerError"
	KindResourceInit = "ResourceInitializationError"
	// KindContainerRuntime is the agent's name for a runtime that failed while the container was running.
	KindContainerRuntime = "ContainerRuntimeError"
)
