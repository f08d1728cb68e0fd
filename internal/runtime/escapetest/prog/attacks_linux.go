package main

// attacks are all there are, by what they go for.
var attacks = map[string]attack{
	// Files of the host.
	"path":         readSecret,
	"proc-links":   readThroughProc,
	"descriptors":  inheritedDescriptors,
	"chroot":       escapeChroot,
	"cwd":          readFromWorkingDirectory,
	"handle":       openByHandle,
	"dotdot":       climb,
	"runtime-exe":  overwriteRuntime,
	"image-device": openDevice,

	// Processes of the host.
	"foreign-processes": foreignProcesses,
	"signal":            signalProcess,
	"ptrace":            attachTo,
	"read-memory":       readMemoryOf,
	"pidfd":             openPidfd,
	"join-namespaces":   joinNamespaces,

	// The kernel.
	"mount":            mountTmpfs,
	"mount-proc":       mountProc,
	"mount-new":        mountByDescriptor,
	"remount":          remountRoot,
	"unmount":          unmountMasks,
	"pivot":            pivot,
	"unshare-user":     unshareUser,
	"unshare-mount":    unshareMount,
	"clone-user":       cloneUser,
	"clone3-user":      clone3User,
	"mknod":            makeDevice,
	"raw-devices":      rawDevices,
	"write-proc-sys":   writeProcSys,
	"sysrq":            sysrq,
	"kcore":            readKcore,
	"write-sys":        writeSys,
	"cgroup-release":   cgroupReleaseAgent,
	"cgroup-limits":    raiseOwnLimits,
	"keyring":          useKeyring,
	"bpf":              loadBPF,
	"perf":             openPerf,
	"io_uring":         setUpIOUring,
	"userfaultfd":      openUserfaultfd,
	"module":           loadModule,
	"kexec":            loadKexec,
	"swap":             swapOn,
	"clock":            setClock,
	"hostname":         setHostname,
	"kernel-log":       readKernelLog,
	"io-ports":         ioPorts,
	"fanotify":         fanotify,
	"accounting":       accounting,
	"x32":              x32Call,
	"vsock":            vsock,
	"packet-socket":    packetSocket,
	"oom-score":        lowerOOMScore,
	"nice":             raisePriority,
	"no-randomization": switchOffRandomization,

	// More rights.
	"setuid":       runSetuid,
	"file-caps":    runFileCaps,
	"capabilities": moreCapabilities,
	"status":       wrongStatus,

	// The network of the host.
	"interfaces":      interfaces,
	"host-port":       connectTo,
	"abstract-socket": connectAbstract,

	// Others.
	"ruin":          ruin,
	"kill-everyone": killEveryone,
	"sleep":         sleep,
	"serve":         serve,
	"touch-root":    touchRoot,

	// Limits.
	"fork-bomb": forkBomb,
	"shm":       fillShm,
	"spin":      spin,
	"disk":      fillDisk,
}
