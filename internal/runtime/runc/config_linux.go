package runc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/account"
	"github.com/batchbox/batchbox/internal/runtime/cgroup"
	"github.com/batchbox/batchbox/internal/runtime/native/seccomp"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// capabilities are those of container engines (Moby's caps.DefaultCapabilities).
var capabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// initTarget is where batchbox-init is in containers that want an init process.
const initTarget = "/dev/batchbox-init"

// config makes the configuration of a container whose root file system is mounted. Files of its own are written to dir. net is
// the private network that it is in, nil if it is in the host's.
func (r *Runtime) config(spec *runtime.Spec, name, dir string, net *network) (*ociConfig, error) {
	hostname, err := surroundings.Hostname(spec)
	if err != nil {
		return nil, err
	}
	id, err := identify(filepath.Join(dir, "rootfs"), spec.User)
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}
	}
	c := &ociConfig{
		Version:  "1.0.2",
		Root:     ociRoot{Path: "rootfs", Readonly: spec.ReadonlyRootfs},
		Hostname: hostname,
		Process: ociProcess{
			User:            ociUser{UID: id.UID, GID: id.GID, Umask: 0o022, AdditionalGids: id.Groups},
			Args:            spec.Argv,
			Env:             runtime.CompleteEnv(spec.Env, id.Home, hostname),
			Cwd:             spec.Dir,
			NoNewPrivileges: true,
		},
	}
	if c.Process.Cwd == "" {
		c.Process.Cwd = "/"
	}
	if !strings.HasPrefix(c.Process.Cwd, "/") {
		return nil, fmt.Errorf("working directory %q is not absolute", spec.Dir)
	}
	capabilities := capabilities
	if net != nil {
		// Who can forge frames can pass for another task.
		capabilities = slices.DeleteFunc(slices.Clone(capabilities), func(c string) bool { return c == "CAP_NET_RAW" })
	}
	c.Process.Capabilities.Bounding = capabilities
	if id.UID == 0 {
		c.Process.Capabilities.Effective, c.Process.Capabilities.Permitted = capabilities, capabilities
	}
	if c.Process.Rlimits, err = rlimits(spec.Ulimits); err != nil {
		return nil, err
	}
	c.Linux = ociLinux{
		Resources:     r.resources(spec),
		Namespaces:    []ociNamespace{{Type: "pid"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}, {Type: "cgroup"}},
		Seccomp:       seccomp.OCI(),
		MaskedPaths:   initproc.MaskedPaths[:],
		ReadonlyPaths: initproc.ReadonlyPaths[:],
	}
	if r.groups != nil {
		c.Linux.CgroupsPath = r.groups.Path(name)
	}
	if net != nil {
		c.Linux.Namespaces = append(c.Linux.Namespaces, ociNamespace{Type: "network", Path: net.path()})
	}
	if spec.Privileged {
		return nil, errors.New("privileged containers would be root on this machine, which this runtime does not allow")
	}
	if c.Mounts, err = r.mounts(spec, hostname, dir, net); err != nil {
		return nil, err
	}
	if spec.InitProcess {
		if r.init == "" {
			return nil, errors.New("an init process needs batchbox-init, which this program was built without; build it with scripts/build.sh")
		}
		c.Mounts = append(c.Mounts, ociMount{initTarget, "bind", r.init, []string{"bind", "ro", "nosuid", "nodev"}})
		c.Process.Args = initproc.ReaperArgs(initTarget, spec.Argv)
	}
	return c, nil
}

// identify finds out who the user is, by the image's own files.
func identify(rootfs, user string) (account.Identity, error) {
	root, err := os.OpenRoot(rootfs) // follows no link out of it
	if err != nil {
		return account.Identity{}, err
	}
	defer root.Close()
	var files [2]string
	for i, name := range []string{"etc/passwd", "etc/group"} {
		if files[i], err = readAccounts(root, name); err != nil {
			return account.Identity{}, err
		}
	}
	return account.Resolve(user, files[0], files[1])
}

func readAccounts(root *os.Root, name string) (string, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, account.MaxFile+1))
	if len(b) > account.MaxFile {
		return "", fmt.Errorf("/%s is larger than %d bytes", name, account.MaxFile)
	}
	return string(b), err
}

func (r *Runtime) resources(spec *runtime.Spec) ociResources {
	res := ociResources{Devices: []ociDevice{{Allow: false, Access: "rwm"}}}
	if r.groups == nil {
		return res
	}
	if bytes := spec.MemoryMiB << 20; bytes > 0 {
		res.Memory = &ociMemory{Limit: bytes, Swap: bytes}
	}
	if spec.VCPU > 0 {
		res.CPU = &ociCPU{Shares: max(uint64(spec.VCPU*1024), 2)}
		if !r.options.NoCPUQuota {
			res.CPU.Quota, res.CPU.Period = max(int64(spec.VCPU*cgroup.Period), 1000), cgroup.Period
		}
	}
	if r.options.MaxPIDs > 0 {
		res.Pids = &ociPids{Limit: r.options.MaxPIDs}
	}
	return res
}

// limits are the names of ulimits.
var limits = map[string]string{
	"core": "RLIMIT_CORE", "cpu": "RLIMIT_CPU", "data": "RLIMIT_DATA", "fsize": "RLIMIT_FSIZE", "locks": "RLIMIT_LOCKS",
	"memlock": "RLIMIT_MEMLOCK", "msgqueue": "RLIMIT_MSGQUEUE", "nice": "RLIMIT_NICE", "nofile": "RLIMIT_NOFILE",
	"nproc": "RLIMIT_NPROC", "rss": "RLIMIT_RSS", "rtprio": "RLIMIT_RTPRIO", "rttime": "RLIMIT_RTTIME",
	"sigpending": "RLIMIT_SIGPENDING", "stack": "RLIMIT_STACK",
}

func rlimits(ulimits []runtime.Ulimit) ([]ociRlimit, error) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return nil, err
	}
	hard := uint64(surroundings.NofileHard)
	if !mayRaiseLimits() {
		hard = min(hard, own.Max)
	}
	rs := []ociRlimit{{"RLIMIT_NOFILE", hard, min(surroundings.NofileSoft, hard)}}
	for _, u := range ulimits {
		name, ok := limits[u.Name]
		if !ok {
			return nil, fmt.Errorf("invalid ulimit type: %s", u.Name)
		}
		if u.Soft > u.Hard {
			return nil, fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
		if u.Name == "nofile" {
			rs = rs[1:] // runc takes each only once
		}
		rs = append(rs, ociRlimit{name, u.Hard, u.Soft})
	}
	return rs, nil
}

// mayRaiseLimits reports whether this process has CAP_SYS_RESOURCE.
func mayRaiseLimits() bool {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// mounts are a container's mounts; the files among them are written to dir.
func (r *Runtime) mounts(spec *runtime.Spec, hostname, dir string, net *network) ([]ociMount, error) {
	shm := int64(surroundings.DefaultShmBytes)
	if spec.SharedMemMiB > 0 {
		shm = spec.SharedMemMiB << 20
	}
	quiet := []string{"nosuid", "noexec", "nodev"}
	ms := []ociMount{
		{"/proc", "proc", "proc", quiet},
		{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{"/dev/pts", "devpts", "devpts", []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{"/dev/shm", "tmpfs", "shm", append([]string{"mode=1777", "size=" + strconv.FormatInt(shm, 10)}, quiet...)},
		{"/dev/mqueue", "mqueue", "mqueue", quiet},
		{"/sys", "sysfs", "sysfs", append([]string{"ro"}, quiet...)},
		{"/sys/fs/cgroup", "cgroup", "cgroup", append([]string{"ro"}, quiet...)},
	}
	files, err := surroundings.Files(spec, hostname)
	if err != nil {
		return nil, err
	}
	mode := "rw"
	if spec.ReadonlyRootfs {
		mode = "ro"
	}
	for _, f := range files {
		if net != nil && f.Path == surroundings.ResolvConf {
			f.Content = net.resolvConf(f.Content)
		}
		path := filepath.Join(dir, filepath.Base(f.Path))
		if err := os.WriteFile(path, []byte(f.Content), 0o644); err != nil {
			return nil, err
		}
		ms = append(ms, ociMount{f.Path, "bind", path, []string{"bind", "rprivate", mode}})
	}
	for _, m := range spec.Mounts {
		om, err := volume(m)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Target, err)
		}
		ms = append(ms, om)
	}
	return ms, nil
}

func volume(m runtime.Mount) (ociMount, error) {
	if !strings.HasPrefix(m.Target, "/") {
		return ociMount{}, errors.New("the path in the container is not absolute")
	}
	om := ociMount{Destination: m.Target}
	if m.Tmpfs {
		om.Type, om.Source = "tmpfs", "tmpfs"
		om.Options = []string{"nosuid", "nodev", "noexec", "mode=1777"}
		if m.SizeMiB > 0 {
			om.Options = append(om.Options, "size="+strconv.FormatInt(m.SizeMiB<<20, 10))
		}
	} else {
		if _, err := os.Stat(m.Source); err != nil {
			return ociMount{}, fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
		}
		om.Type, om.Source, om.Options = "bind", m.Source, []string{"rbind", "rprivate", "nosuid", "nodev"}
	}
	om.Options = append(om.Options, m.Options...) // runc or the kernel refuses those it does not know
	if m.ReadOnly {
		om.Options = append(om.Options, "ro")
	}
	return om, nil
}
