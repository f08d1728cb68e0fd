// Package initproc is the code of batchbox-init, the small program that the native runtime puts between itself and a
// container, and beside an OCI runtime. It has four lives, told apart by its first argument:
//
//   - the launcher: one for each native runtime, started inside the user namespace that all its containers share. It
//     clones a process into new namespaces and cgroups for every container, is the parent of all of them, and tells the
//     runtime how they end. It is small, so it forks quickly however large the engine has grown, and it need not ask
//     for a new user namespace each time. When the runtime's process dies, it ends every container; when it dies
//     itself, the kernel does (PR_SET_PDEATHSIG).
//   - the init: the first program of a container. It receives Instructions over a socket, builds the container's view
//     of the machine, gives up its rights and executes the job's program in its own place.
//   - the reaper: what stays as process 1 when a job asks for an init process. It passes signals on and reaps orphans.
//   - the shim: the parent of a container that an OCI runtime makes. Such a runtime ends when the container runs, and only a
//     parent hears how it ends.
//
// The program is executed once or twice for every container, so its dependencies are few: neither fmt nor encoding/json
// is imported, directly or otherwise.
package initproc

// Name is the first element of the argument list that makes an executable of ours behave as batchbox-init.
const Name = "batchbox-init"

// Protocol is the version of the messages between a runtime and batchbox-init. An embedded batchbox-init that says
// another number is older or newer than the runtime and is not used.
const Protocol = 3

// The second element of the argument list.
const (
	roleLauncher = "launcher"
	roleInit     = "init"
	roleReaper   = "reaper"
	roleShim     = "shim"
)

// LauncherArgs is the argument list that makes an executable of ours a launcher. Its socket is descriptor 3.
func LauncherArgs() []string { return []string{Name, roleLauncher} }

// LauncherEnv is the environment a launcher needs: it has little to do at once.
func LauncherEnv() []string { return []string{"GOMAXPROCS=2"} }

// ReaperArgs is the argument list that makes an executable of ours, at path, a reaper that runs argv.
func ReaperArgs(path string, argv []string) []string {
	return append([]string{path, roleReaper}, argv...)
}

// ShimArgs is the argument list that makes an executable of ours a shim of the container that runtime makes when it is
// executed with argv. The runtime writes the container's process id to the file pidFile. The shim's socket is descriptor 3;
// the container's output is its own.
func ShimArgs(pidFile, runtime string, argv []string) []string {
	return append([]string{Name, roleShim, pidFile, runtime}, argv...)
}
