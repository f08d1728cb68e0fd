// Package runc runs containers by an installed runc, the reference implementation of the OCI runtime specification: the
// conservative choice, and what the native runtime is measured by.
//
// Each container is a bundle (a configuration and a mounted root file system), a shim of ours that is its parent (see package
// initproc), and what runc makes of it. The limits, the system call filter, the masked paths and the capabilities are those
// of the native runtime. There is no user namespace, so root in a container is root on the host, less its rights.
package runc

import (
	"errors"
	"log/slog"
)

// Name is the runtime's name in flags and tasks.
const Name = "runc"

// ErrUnsupported is what New's error wraps if runc can not be used on this machine, by this user. Its text says why.
var ErrUnsupported = errors.New("runc can not be used here")

// Options configures a Runtime.
type Options struct {
	// StateDir is where bundles go, and what containers write. Required, absolute. Not for sharing with another Runtime.
	StateDir string
	// Owner names whose containers these are, for Sweep. Required.
	Owner string
	// Path is the runc to use; empty means the first along PATH.
	Path string
	// NoCPUQuota lets containers use idle processors beyond their vCPU; their shares under contention stay.
	NoCPUQuota bool
	// MaxPIDs bounds the processes and threads of a container; 0 is native's default.
	MaxPIDs int64
	// Log hears what is not an error of one container.
	Log *slog.Logger
}
