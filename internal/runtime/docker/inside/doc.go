// Package inside is batchbox-helper, the program that the docker runtime runs in containers of its own: as the first container
// of a private network, which holds it and lets its tasks reach the engine, and to remove files that containers have left.
// What is needed of it outside, the owner's end of its connection, is here as well.
package inside

// Name is the program's name.
const Name = "batchbox-helper"

// What the program's first argument asks for.
const (
	// RoleNetwork sets the container's network up for a task, and passes the connections to the address and port that follow,
	// as numbers, on to its owner, until that is gone. Networks that follow, as ADDRESS/BITS, are made unreachable.
	RoleNetwork = "network"
	// RoleRemove removes all that is in the directory that follows.
	RoleRemove = "remove"
)
