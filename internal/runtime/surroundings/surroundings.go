// Package surroundings is what runtimes that build containers themselves put around a job's program: files in /etc, the
// places that things are mounted on, and limits that apply where a job does not say.
package surroundings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/batchbox/batchbox/internal/runtime"
)

// File is a small file of a container's own.
type File struct {
	Path    string // absolute, in the container
	Content string
}

// ResolvConf says who resolves names. Files has the machine's.
const ResolvConf = "/etc/resolv.conf"

// Open files on Fargate (Batch API reference, Ulimit).
const (
	NofileSoft = 1024
	NofileHard = 65535
)

// DefaultShmBytes is the size of /dev/shm where the job says nothing, as container engines have it.
const DefaultShmBytes = 64 << 20

// StorageBytes is how much a container may write: what it asks for, else what a Fargate task has.
func StorageBytes(spec *runtime.Spec) uint64 {
	const fargate = 20
	gib := spec.StorageGiB
	if gib <= 0 {
		gib = fargate
	}
	return uint64(gib) << 30
}

// Hostname is the host name a container sees: what it asks for, else the host's.
func Hostname(spec *runtime.Spec) (string, error) {
	if spec.Hostname != "" {
		return spec.Hostname, nil
	}
	return os.Hostname()
}

// Files are the files that container engines make for a container.
func Files(spec *runtime.Spec, hostname string) ([]File, error) {
	address := spec.Network.Address
	if address == "" {
		address = "127.0.0.1"
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if spec.Network.Mode == runtime.NetworkHost {
		// Names that work on the host work in its network.
		var err error
		if hosts, err = readIfThere("/etc/hosts"); err != nil {
			return nil, err
		}
		if hosts != "" && !strings.HasSuffix(hosts, "\n") {
			hosts += "\n"
		}
	}
	resolv, err := readIfThere("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	return []File{
		{"/etc/hostname", hostname + "\n"},
		{"/etc/hosts", hosts + address + "\t" + hostname + "\n"},
		{ResolvConf, resolv},
	}, nil
}

func readIfThere(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// MakeBase makes, in dir, a layer to lie over every image: mount points for /dev, /proc and /sys, and for Files. What an
// image has in their place, symbolic links above all, is out of the way.
func MakeBase(dir string) error {
	for _, sub := range []string{"", "dev", "etc", "proc", "sys"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	for _, file := range []string{"hostname", "hosts", "resolv.conf"} {
		path := filepath.Join(dir, "etc", file)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
	}
	return nil
}
