// Package docker runs containers through the Docker Engine API: by Docker, or by what else speaks it (Podman, Colima, Docker
// Desktop). It is the runtime for machines on which native containers are not possible.
//
// # Names and labels
//
// A container is named after its owner, its task and itself, so that starting it twice is starting it once, whatever became of
// the answer to the first request. Everything that is made carries labels: the owner (a supervisor's data directory, and an id
// that is kept in it, for daemons are shared between machines), the machine, the task, and those of the task itself. Sweep ends what an earlier supervisor of the same directory has left;
// beside that the runtime looks from time to time for what a lost answer, or a directory that is no more, has orphaned.
//
// # Images
//
// The daemon pulls nothing. Images come as archives that the engine has pulled, with the user's credentials, and are loaded
// once; so the engine's own registry needs no entry among the daemon's insecure registries, and a daemon in a virtual machine
// no way to reach it.
//
// # Private networks
//
// A task has one container of ours beside its own, which holds the network namespace that they share: see taskNetwork.
//
// # Output
//
// It is read from the connection of an attach request that is there before the program starts, and not kept by the daemon
// (log driver none): nothing is written twice, and a program that writes faster than its output is taken waits. Docker has a
// pipe for each of stdout and stderr, so their order among each other is lost; lines are kept whole. See backlog for
// what the daemon does with output that is not taken.
//
// Is the daemon itself gone while a container runs, the container counts as lost, as one whose host is: its exit is reported
// with an error, never with a made-up code, and what is left of it is removed when the daemon is back.
package docker

import (
	"errors"
	"log/slog"
	"time"

	"github.com/batchbox/batchbox/internal/dockerhost"
)

// Name is the runtime's name in flags and tasks.
const Name = "docker"

// ErrUnsupported is what New's error wraps if no daemon can be used on this machine, by this user. Its text says why, and
// what would help.
var ErrUnsupported = errors.New("Docker can not be used here")

// DefaultMaxPIDs bounds the processes and threads of a container, as native does.
const DefaultMaxPIDs = 8192

// DefaultImageBytes is how much the images that were loaded may come to in the daemon.
const DefaultImageBytes = 40 << 30

// Options configures a Runtime.
type Options struct {
	// Owner names whose containers these are, for Sweep: a supervisor's data directory. Required, absolute.
	Owner string
	// Environment is where to look for the daemon; that of this process if nil.
	Environment *dockerhost.Environment
	// NoCPUQuota lets containers use idle processors beyond their vCPU; their shares under contention stay.
	NoCPUQuota bool
	// MaxPIDs bounds the processes and threads of a container; 0 is DefaultMaxPIDs.
	MaxPIDs int64
	// ImageBytes is how much loaded images may come to before those used longest ago are removed; 0 is
	// DefaultImageBytes, less than 0 no bound.
	ImageBytes int64
	// DropImages has Close remove the images that this Runtime has loaded, less those that somebody uses.
	DropImages bool
	// Grace is how old an orphan has to be before it is removed (5 min), Patrol how often is looked for some (1 min).
	Grace, Patrol time.Duration
	// DaemonPatience is how long the daemon may be away before its containers count as lost (2 min).
	DaemonPatience time.Duration
	// Log hears what is not an error of one container.
	Log *slog.Logger
}

// The labels of everything this runtime makes, beside those of the task.
const (
	labelOwner     = "batchbox.owner"    // the directory
	labelInstance  = "batchbox.instance" // an id that is kept in there
	labelMachine   = "batchbox.machine"
	labelTask      = "batchbox.task"
	labelContainer = "batchbox.container"
	labelNetwork   = "batchbox.network" // of the network
)
