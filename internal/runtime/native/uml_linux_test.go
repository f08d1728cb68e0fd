package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/testenv"
)

// machineVariable makes this test binary, as the first process of a user-mode Linux, run tests: its value is the directory
// with the programs that the suites need.
const machineVariable = "NATIVE_TEST_MACHINE"

// TestControlGroupsV2 runs the suites, as root and as an ordinary user who was given a control group, on a machine that has
// version 2 of them and nothing else: a user-mode Linux (Debian's package user-mode-linux), a kernel that is an ordinary
// program. That is slow (minutes, a quarter of an hour on a busy machine), so it has to be asked for.
func TestControlGroupsV2(t *testing.T) {
	if os.Getenv("BATCHBOX_UML") != "1" {
		t.Skip("BATCHBOX_UML=1 runs this, on a machine with Debian's packages user-mode-linux and e2fsprogs")
	}
	testenv.Require(t, testenv.Root)
	kernel, err := exec.LookPath("linux.uml")
	if err != nil {
		t.Fatal(err)
	}
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		t.Fatal(err)
	}
	dir := programs(t)
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 2<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mke2fs, "-q", "-t", "ext4", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kernel, "mem=1500M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"con=null", "con0=null,fd:1", "ubd0="+disk, "init="+filepath.Join(dir, "native.test"), machineVariable+"="+dir)
	// The kernel keeps the machine's memory in a file here, and its console sockets under HOME.
	cmd.Env = []string{"TMPDIR=/dev/shm", "HOME=" + dir, "PATH=/usr/bin:/bin"}
	// It is a family of processes, with what runs in the machine among them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	log := filepath.Join(dir, "log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	out, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for _, want := range []string{"machine: as root: <nil>", "machine: as a user: <nil>"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("it does not say %q (%v):\n%s", want, err, out)
		}
	}
}

// runMachine is the first process of such a machine.
func runMachine(dir string) {
	err := bootMachine(dir)
	if err != nil {
		fmt.Println("machine: boot:", err)
	} else {
		fmt.Println("machine: as root:", machineTest(dir, "^(TestConformance|TestEscape|TestStorage.*|TestContainersOf.*|TestUsers)$", nil))
		fmt.Println("machine: as a user:", machineAsUser(dir))
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func bootMachine(dir string) error {
	for _, m := range []struct{ source, target, kind, data string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", "nsdelegate"},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"/dev/ubda", "/mnt", "ext4", ""},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, 0, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for _, d := range []string{"/dev/pts", "/dev/shm"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", 0, ""); err != nil {
		return err
	}
	if err := os.Mkdir("/mnt/tmp", 0o777); err != nil {
		return err
	}
	if err := os.Chmod("/mnt/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := os.Symlink("/proc/self/fd", "/dev/fd"); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// modules are what Debian's kernel has as modules, each after those it needs.
var modules = []string{"overlay", "crc-ccitt", "ipv6", "llc", "stp", "bridge", "veth", "tun"}

func loadModules() error {
	found := make(map[string]string)
	err := filepath.WalkDir("/usr/lib/uml/modules", func(p string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(p), ".ko"); ok {
			found[name] = p
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range modules {
		path, ok := found[name]
		if !ok {
			continue // built in, or the tests will say what is missing
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

func machineTest(dir, run string, attr *syscall.SysProcAttr, env ...string) error {
	cmd := exec.Command(filepath.Join(dir, "native.test"), "-test.run="+run, "-test.timeout=20m", "-test.short")
	cmd.Dir = "/mnt/tmp"
	cmd.Env = append(env, "PROGRAMS="+dir, "PATH="+dir+":/usr/bin:/bin", "HOME=/mnt/tmp", "TMPDIR=/mnt/tmp")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	cmd.SysProcAttr = attr
	return cmd.Run()
}

// machineAsUser gives an ordinary user a control group as systemd does (Delegate=yes), and runs tests in it.
func machineAsUser(dir string) error {
	const slice, own = "/sys/fs/cgroup/user", "/sys/fs/cgroup/user/own"
	for _, d := range []string{slice, own} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"/sys/fs/cgroup", slice} {
		if err := os.WriteFile(d+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
			return err
		}
	}
	for _, f := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"} {
		if err := os.Chown(own+f, nobody, nobody); err != nil {
			return err
		}
	}
	if err := unix.Setxattr(own, "user.delegate", []byte("1"), 0); err != nil {
		return fmt.Errorf("mark the control group: %w", err)
	}
	group, err := os.Open(own)
	if err != nil {
		return err
	}
	defer group.Close()
	return machineTest(dir, "^TestUnprivileged", &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		UseCgroupFD: true,
		CgroupFD:    int(group.Fd()),
	}, rootless+"=1", delegated+"=1")
}
