package docker

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// cpuPeriod is the period of CPU quotas, in microseconds; the kernel's default.
const cpuPeriod = 100_000

// config is the request that makes a container; network is the daemon's name of its network.
func (r *Runtime) config(spec *runtime.Spec, task, image string, network container.NetworkMode) (client.ContainerCreateOptions, error) {
	no := func(err error) (client.ContainerCreateOptions, error) { return client.ContainerCreateOptions{}, err }
	if spec.Privileged {
		return no(errors.New("privileged containers would be root on this machine, which this runtime does not allow"))
	}
	pids, init := r.options.MaxPIDs, spec.InitProcess
	ulimits, err := r.ulimits(spec.Ulimits)
	if err != nil {
		return no(err)
	}
	host := &container.HostConfig{
		// Output goes to us and nowhere else.
		LogConfig:      container.LogConfig{Type: "none"},
		NetworkMode:    network,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		ReadonlyRootfs: spec.ReadonlyRootfs,
		SecurityOpt:    r.security,
		ShmSize:        surroundings.DefaultShmBytes,
		Init:           &init,
		// The host's packets are not the job's, and who can forge frames can pass for another task.
		CapDrop:   []string{"NET_RAW"},
		Resources: container.Resources{PidsLimit: &pids, Ulimits: ulimits},
	}
	if spec.SharedMemMiB > 0 {
		host.ShmSize = spec.SharedMemMiB << 20
	}
	if bytes := spec.MemoryMiB << 20; bytes > 0 && r.info.MemoryLimit {
		host.Memory = bytes
		host.MemorySwap = bytes // the two together: no swap
	}
	if spec.VCPU > 0 {
		host.CPUShares = max(int64(spec.VCPU*1024), 2)
		if r.info.CPUCfsQuota && !r.options.NoCPUQuota {
			host.CPUPeriod, host.CPUQuota = cpuPeriod, max(int64(spec.VCPU*cpuPeriod), 1000)
		}
	}
	if err := r.mounts(spec, host); err != nil {
		return no(err)
	}
	config := &container.Config{
		User:       spec.User,
		Env:        spec.Env,
		Entrypoint: spec.Argv[:1],
		Cmd:        spec.Argv[1:],
		WorkingDir: spec.Dir,
		// AWS Batch does not look at an image's health check.
		Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}},
		AttachStdout: true,
		AttachStderr: true,
		Labels:       r.labels(spec, task, spec.Name),
	}
	// A container in another's network has the other's names.
	if !network.IsContainer() {
		config.Hostname = spec.Hostname
		if spec.Network.Address != "" && spec.Hostname != "" {
			host.ExtraHosts = append(host.ExtraHosts, spec.Hostname+":"+spec.Network.Address)
		}
	}
	return client.ContainerCreateOptions{
		Name: r.name(task, spec.Name), Image: image, Config: config, HostConfig: host, Platform: r.platform(spec.Image.Platform),
	}, nil
}

// labels are those of a container, by its name in the task.
func (r *Runtime) labels(spec *runtime.Spec, task, name string) map[string]string {
	all := maps.Clone(spec.Labels)
	if all == nil {
		all = map[string]string{}
	}
	all[labelOwner], all[labelInstance], all[labelMachine] = r.options.Owner, r.instance, r.machine
	all[labelTask], all[labelContainer] = task, name
	return all
}

// platform is the platform to ask for: none if it is the daemon's own, which old daemons know no other way.
func (r *Runtime) platform(name string) *ocispec.Platform {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || parts[1] == goArch(r.info.Architecture) {
		return nil
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) > 2 {
		p.Variant = parts[2]
	}
	return p
}

// goArch is what Go calls a machine, as uname names it.
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

// name names a container, after its owner, its task and itself: the same for the same start.
func (r *Runtime) name(task, container string) string {
	clean := func(s string) string {
		return strings.Map(func(c rune) rune {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
				return c
			case c == ':':
				return '_'
			}
			return '.'
		}, s)
	}
	name := "batchbox-" + shortHash(r.instance) + "-" + clean(task)
	if container != "" && container != "default" {
		name += "." + clean(container)
	}
	return name
}

// nofile is the limit of open files.
const nofile = "nofile"

// ulimits are those of a container: Fargate's number of open files, unless the job says something else.
func (r *Runtime) ulimits(of []runtime.Ulimit) ([]*container.Ulimit, error) {
	files := &container.Ulimit{Name: nofile, Soft: surroundings.NofileSoft, Hard: surroundings.NofileHard}
	if r.fewFiles.Load() {
		files = nil
	}
	var all []*container.Ulimit
	for _, u := range of {
		if u.Soft > u.Hard {
			return nil, fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
		limit := &container.Ulimit{Name: u.Name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Name == nofile {
			files = limit
			continue
		}
		all = append(all, limit)
	}
	if files != nil {
		all = append(all, files)
	}
	return all, nil
}

func (r *Runtime) mounts(spec *runtime.Spec, host *container.HostConfig) error {
	for _, m := range spec.Mounts {
		if !path.IsAbs(m.Target) {
			return fmt.Errorf("mount %s: the path in the container is not absolute", m.Target)
		}
		if !m.Tmpfs {
			host.Mounts = append(host.Mounts, mount.Mount{
				Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly,
				BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
			})
			continue
		}
		options := []string{"nosuid", "nodev", "noexec", "mode=1777"}
		if m.SizeMiB > 0 {
			options = append(options, "size="+strconv.FormatInt(m.SizeMiB<<20, 10))
		}
		options = append(options, m.Options...) // the daemon or the kernel refuses those it does not know
		if m.ReadOnly {
			options = append(options, "ro")
		}
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		host.Tmpfs[m.Target] = strings.Join(options, ",")
	}
	return nil
}
