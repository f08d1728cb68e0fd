// Package native runs containers on Linux without any container engine: processes in namespaces of their own, under
// control groups, on the read-only layers of their image with a layer of their own above, without the rights to do harm.
//
// # Who does what
//
// A Runtime starts one launcher (see package initproc) and asks it for every container. The launcher clones a process into
// new namespaces and cgroups, is its parent, and reports its end. That process receives its instructions from the Runtime
// directly, over a socket that closes when the job's program is executed, and that brings the reason if it is not.
//
//	engine's supervisor ── launcher ──┬── process 1 of a container
//	  Runtime                         └── process 1 of another
//
// # User namespaces
//
// All containers of a Runtime share the launcher's user namespace. As root it maps the container's ids to a range that
// nobody else has, so that a program that breaks out of everything else finds itself to be nobody; the image's layers and
// volumes are mounted with their ids mapped the same way (Linux 5.19), so nothing has to be copied or changed owner. Without
// root the namespace has the range that /etc/subuid gives, or only the user's own id. As root on a kernel that can not do
// this there is no user namespace, as under Docker; capabilities, device access and the system call filter are then all
// that holds root in. Capabilities' notes say what is in use.
//
// Sharing one user namespace is what makes starting fast: making one takes a copy of the page tables of whoever asks, and,
// without root, two more programs. The containers have nothing in common through it: they can neither see each other (pid
// namespaces) nor join each other's namespaces (setns is filtered, and needs a capability they are not given).
//
// # Images
//
// Layers are directories as overlayfs has them: a whiteout is a character device 0:0, and a directory that hides those
// below it has the extended attribute user.overlay.opaque ("y"). The kernel ignores trusted.overlay.opaque here, for a user
// namespace can not set it.
package native

// For the architecture of this machine, or that of the environment's GOARCH.
//go:generate env CGO_ENABLED=0 GOOS=linux GOARCH=$GOARCH go build -trimpath -buildvcs=false "-ldflags=-s -w -buildid=" -o initbin/$GOARCH/batchbox-init ../../../cmd/batchbox-init

import (
	"errors"
	"log/slog"
)

// Name is the runtime's name in flags and tasks.
const Name = "native"

// ErrUnsupported is what New's error wraps if containers can not be made on this machine, by this user. Its text says why.
var ErrUnsupported = errors.New("native containers are not possible here")

// Options configures a Runtime.
type Options struct {
	// StateDir is where containers' directories go: what they write is kept there until they end. Required, absolute. Not
	// for sharing with another Runtime.
	StateDir string
	// Owner names whose containers these are, for Sweep. Required.
	Owner string
	// NoCPUQuota lets containers use idle processors beyond their vCPU; their shares under contention stay.
	NoCPUQuota bool
	// MaxPIDs bounds the processes and threads of a container; 0 is DefaultMaxPIDs.
	MaxPIDs int64
	// NoUserNamespace leaves the user namespace out, which only root can do.
	NoUserNamespace bool
	// inMemory keeps what containers write in memory even if it need not be.
	inMemory bool
	// keepNoRoots has each container make a root file system of its own.
	keepNoRoots bool
	// Log hears what is not an error of one container: a launcher that died, a directory that could not be removed.
	Log *slog.Logger
}

// DefaultMaxPIDs is Options.MaxPIDs' default: enough for any program that is not a fork bomb.
const DefaultMaxPIDs = 8192
