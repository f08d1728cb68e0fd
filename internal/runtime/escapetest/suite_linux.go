package escapetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// Harness is a runtime under test.
type Harness struct {
	Runtime runtime.Runtime
	// Image makes an image of an unpacked root file system, as runtimetest.Harness does.
	Image func(t testing.TB, root string) runtime.Image
	// MaxPIDs is the runtime's limit on processes; 0 if it has none.
	MaxPIDs int
	// Patience bounds each wait; testenv.Patience if zero.
	Patience time.Duration
	// Except are attacks that the runtime need not hold, with the reason.
	Except map[string]string
}

// outside says whether an attack works for root outside of a container.
type outside int

const (
	unproven outside = iota // it would do harm, or depends on the machine
	works
)

// attacks is the table. Arguments may name what the suite prepares: {secret} is a file of the host, {pid} a process of it,
// {disk} the number of its disk, {port} an address somebody listens on, {abstract} an abstract socket.
var attacks = []struct {
	attack  string
	outside outside
	user    string
	network runtime.NetworkMode // host if empty
	mutate  func(*runtime.Spec)
}{
	{attack: "path={secret}", outside: works},
	{attack: "dotdot={secret}", outside: works},
	{attack: "proc-links={secret}", outside: works},
	{attack: "chroot={secret}", outside: works},
	{attack: "handle"},
	{attack: "descriptors"},
	{attack: "runtime-exe"},
	{attack: "runtime-exe", mutate: func(s *runtime.Spec) { s.InitProcess = true }},
	{attack: "descriptors", mutate: func(s *runtime.Spec) { s.InitProcess = true }},

	{attack: "foreign-processes", outside: works},
	{attack: "signal={pid}", outside: works},
	{attack: "ptrace={pid}", outside: works},
	{attack: "read-memory={pid}", outside: works},
	{attack: "pidfd={pid}", outside: works},
	{attack: "join-namespaces"},

	{attack: "mount", outside: works},
	{attack: "mount-proc", outside: works},
	{attack: "mount-new", outside: works},
	{attack: "remount"},
	{attack: "unmount"},
	{attack: "pivot"},
	{attack: "unshare-user", outside: works},
	{attack: "unshare-mount", outside: works},
	{attack: "clone-user", outside: works},
	{attack: "clone3-user", outside: works},
	{attack: "mknod={disk}"},
	{attack: "raw-devices", outside: works},
	{attack: "write-proc-sys", outside: works},
	{attack: "sysrq"},
	{attack: "kcore"},
	{attack: "write-sys", outside: works},
	{attack: "cgroup-release"},
	{attack: "cgroup-limits"},
	{attack: "keyring"},
	{attack: "bpf"},
	{attack: "perf"},
	{attack: "io_uring"},
	{attack: "userfaultfd", outside: works},
	{attack: "module"},
	{attack: "kexec"},
	{attack: "swap", outside: works},
	{attack: "clock", outside: works},
	{attack: "hostname"},
	{attack: "kernel-log"},
	{attack: "io-ports"},
	{attack: "fanotify", outside: works},
	{attack: "accounting", outside: works},
	{attack: "x32"},
	{attack: "vsock"},
	{attack: "oom-score"},
	{attack: "nice"},
	{attack: "no-randomization", outside: works},

	{attack: "capabilities"},
	{attack: "capabilities", user: "1000:1000"},
	{attack: "status", outside: works},
	{attack: "status", user: "1000"},
	{attack: "setuid=/setuid", user: "1000"},
	{attack: "file-caps=/file-caps", user: "1000"},
	{attack: "image-device=/device"},

	{attack: "interfaces", network: runtime.NetworkPrivate},
	{attack: "packet-socket", network: runtime.NetworkPrivate},
	{attack: "host-port={port}", network: runtime.NetworkPrivate, outside: works},
	{attack: "abstract-socket={abstract}", network: runtime.NetworkPrivate, outside: works},

	{attack: "shm=80"},
}

// Run runs the table and what does not fit into one.
func Run(t *testing.T, h Harness) {
	if h.Patience == 0 {
		h.Patience = testenv.Patience
	}
	s := newSuite(t, h)
	t.Run("Outside", s.outside)
	for _, a := range attacks {
		name := a.attack
		if a.user != "" {
			name += " as " + a.user
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if why := h.Except[a.attack]; why != "" {
				t.Skip(why)
			}
			spec := s.spec(s.fill(a.attack))
			spec.User = a.user
			if a.user != "" && !h.Runtime.Capabilities().Users {
				t.Skip("the runtime does not claim Users")
			}
			if a.network != "" {
				if !h.Runtime.Capabilities().PrivateNetwork {
					t.Skip("the runtime does not claim PrivateNetwork")
				}
				spec.Network.Mode = a.network
			}
			if a.mutate != nil {
				a.mutate(&spec)
			}
			s.held(t, spec)
		})
	}
	t.Run("WorkingDirectory", s.workingDirectory)
	t.Run("ImageLinks", s.imageLinks)
	t.Run("VolumeThroughLink", s.volumeThroughLink)
	t.Run("ImageIsShared", s.imageIsShared)
	t.Run("ForkBomb", s.forkBomb)
	t.Run("Processor", s.processor)
	t.Run("KillEveryone", s.killEveryone)
}

type suite struct {
	Harness
	prog     string
	root     string // of the image
	image    runtime.Image
	secret   string
	fillings *strings.Replacer
}

func newSuite(t *testing.T, h Harness) *suite {
	t.Helper()
	s := &suite{Harness: h, root: t.TempDir()}
	s.prog = Program(t)
	s.makeRoot(t)
	s.image = h.Image(t, s.root)

	s.secret = filepath.Join(t.TempDir(), "secret")
	write(t, s.secret, "batchbox-secret-4711\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	abstract := "batchbox-escapetest-" + filepath.Base(t.TempDir()) + strconv.FormatInt(time.Now().UnixNano(), 36)
	socket, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	bystander := exec.Command("sleep", "3600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	})
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		t.Fatal(err)
	}
	s.fillings = strings.NewReplacer(
		"{secret}", s.secret,
		"{pid}", strconv.Itoa(bystander.Process.Pid),
		"{disk}", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)),
		"{port}", listener.Addr().String(),
		"{abstract}", abstract,
	)
	return s
}

func (s *suite) fill(attack string) string { return s.fillings.Replace(attack) }

// makeRoot makes an image that brings what helps an attacker.
func (s *suite) makeRoot(t *testing.T) {
	t.Helper()
	if err := os.Chmod(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(s.prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prog", "setuid", "file-caps"} {
		if err := os.WriteFile(filepath.Join(s.root, name), prog, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.root, "setuid"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.root, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.root, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return // the two attacks that need what follows are held by its absence
	}
	// struct vfs_cap_data: revision 2 with the effective bit, then permitted and inheritable, twice.
	caps := []byte{1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 1, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(filepath.Join(s.root, "file-caps"), "security.capability", caps, 0); err != nil {
		t.Fatalf("set file capabilities: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(s.root, "device"), unix.S_IFBLK|0o666, int(st.Dev)); err != nil {
		t.Fatalf("make a device: %v", err)
	}
}

func (s *suite) spec(args ...string) runtime.Spec {
	return runtime.Spec{
		Name: "default", Image: s.image, Argv: append([]string{"/prog"}, args...),
		VCPU: 1, MemoryMiB: 256, Network: runtime.Network{Mode: runtime.NetworkHost},
	}
}

// start starts a container and returns what it writes, when it has ended, and how it ended.
func (s *suite) start(t *testing.T, spec runtime.Spec) (h runtime.Handle, finish func() (string, runtime.Exit)) {
	t.Helper()
	h, finish, err := s.tryStart(t, spec)
	if err != nil {
		t.Fatalf("start %q: %v", spec.Argv, err)
	}
	return h, finish
}

func (s *suite) tryStart(t *testing.T, spec runtime.Spec) (runtime.Handle, func() (string, runtime.Exit), error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Runtime.Start(t.Context(), spec, "escape-"+strconv.FormatInt(time.Now().UnixNano(), 36)+"/1", w)
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, nil, err
	}
	late := time.AfterFunc(s.Patience, func() { _ = h.Kill() })
	return h, func() (string, runtime.Exit) {
		defer r.Close()
		out, err := io.ReadAll(r)
		exit := h.Wait()
		if !late.Stop() {
			t.Errorf("it had to be ended after %v", s.Patience)
		}
		if err != nil {
			t.Errorf("read output: %v", err)
		}
		return string(out), exit
	}, nil
}

// held runs attacks in a container and checks that every one was made and held.
func (s *suite) held(t *testing.T, spec runtime.Spec) {
	t.Helper()
	_, finish := s.start(t, spec)
	out, exit := finish()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, "held ") {
			t.Errorf("%s", line)
		}
	}
	if len(lines) != len(spec.Argv)-1 || exit.Code != 0 {
		t.Errorf("%d answers to %d attacks, exit %+v: %s", len(lines), len(spec.Argv)-1, exit, out)
	}
	t.Log(out)
}

// outside makes the attacks that are without harm without a container.
func (s *suite) outside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only for root there is nothing that holds them")
	}
	for _, a := range attacks {
		if a.outside != works {
			continue
		}
		out, err := exec.Command(s.prog, s.fill(a.attack)).CombinedOutput()
		if err != nil || !bytes.HasPrefix(out, []byte("ESCAPED ")) {
			t.Errorf("not even outside of a container: %s %v", out, err)
		}
	}
}

// workingDirectory names descriptors that the runtime may have left open as the working directory (CVE-2024-21626).
func (s *suite) workingDirectory(t *testing.T) {
	t.Parallel()
	for fd := 3; fd < 10; fd++ {
		for _, dir := range []string{"/proc/self/fd/%d", "/proc/1/fd/%d/.."} {
			spec := s.spec("cwd=" + s.secret)
			spec.Dir = fmt.Sprintf(dir, fd)
			_, finish, err := s.tryStart(t, spec)
			if err != nil {
				continue
			}
			if out, _ := finish(); !strings.HasPrefix(out, "held ") {
				t.Errorf("working directory %s: %s", spec.Dir, out)
			}
		}
	}
}

// imageLinks runs an image that has links to the host in the places that a runtime mounts over and writes to.
func (s *suite) imageLinks(t *testing.T) {
	t.Parallel()
	host := t.TempDir()
	for _, name := range []string{"hosts", "hostname", "resolv.conf", "passwd"} {
		write(t, filepath.Join(host, name), "untouched")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(s.prog)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "prog"), prog, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc", "dev", "proc", "sys"} {
		if err := os.Symlink(host, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	spec := s.spec("path="+filepath.Join(host, "hosts"), "mount")
	spec.Image = s.Image(t, root)
	// A runtime may as well refuse.
	if _, finish, err := s.tryStart(t, spec); err == nil {
		if out, _ := finish(); strings.Contains(out, "ESCAPED") {
			t.Error(out)
		}
	} else {
		t.Logf("refused: %v", err)
	}
	entries, err := os.ReadDir(host)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if b, err := os.ReadFile(filepath.Join(host, e.Name())); err != nil || string(b) != "untouched" {
			t.Errorf("%s on the host is now %q, %v", e.Name(), b, err)
		}
	}
	if len(entries) != 4 {
		t.Errorf("there are %d files on the host now", len(entries))
	}
}

// volumeThroughLink mounts a volume at a path that the image leads out of the root.
func (s *suite) volumeThroughLink(t *testing.T) {
	t.Parallel()
	if !s.Runtime.Capabilities().Mounts {
		t.Skip("the runtime does not claim Mounts")
	}
	host, volume := t.TempDir(), t.TempDir()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(s.prog)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "prog"), prog, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"out": host, "up": strings.Repeat("../", 40) + host, "fd": "/proc/self/fd"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"/out/made", "/up/made", "/fd/3/made", "/fd/4/made", "/fd/5/made", "/fd/6/made", "/../../../.." + host + "/made"} {
		spec := s.spec("path=" + s.secret)
		spec.Image = s.Image(t, root)
		spec.Mounts = []runtime.Mount{{Source: volume, Target: target}}
		if _, finish, err := s.tryStart(t, spec); err == nil {
			finish()
		}
		entries, err := os.ReadDir(host)
		if err != nil || len(entries) > 0 {
			t.Errorf("volume at %s: %v on the host, %v", target, entries, err)
		}
	}
}

// imageIsShared has one container ruin every file of the image, and looks at the image and at another container.
func (s *suite) imageIsShared(t *testing.T) {
	t.Parallel()
	before := contents(t, s.root)
	spec := s.spec("ruin=/")
	_, finish := s.start(t, spec)
	out, _ := finish()
	if !strings.HasPrefix(out, "ESCAPED ruin: ") {
		t.Errorf("a container could not write to its own files: %s", out)
	}
	if after := contents(t, s.root); after != before {
		t.Errorf("the image was changed:\n%s\nbefore:\n%s", after, before)
	}
	s.held(t, s.spec("path=/setuid", "path=/prog-ruined"))
}

// contents is a listing of a directory with what is in its files.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		sum := ""
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = fmt.Sprintf("%x", sha256.Sum256(content))
		}
		fmt.Fprintln(&b, path, info.Mode(), info.Size(), sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// forkBomb makes as many processes as it can, while a neighbour makes a few.
func (s *suite) forkBomb(t *testing.T) {
	t.Parallel()
	if s.MaxPIDs == 0 {
		t.Skip("the runtime has no limit on processes")
	}
	spec := s.spec(fmt.Sprintf("fork-bomb=%d", s.MaxPIDs+100))
	spec.MemoryMiB = 1024
	s.held(t, spec)
	s.held(t, s.spec("path="+s.secret))
}

// killEveryone has a container signal all it can, and checks on a neighbour.
func (s *suite) killEveryone(t *testing.T) {
	t.Parallel()
	neighbour, finish := s.start(t, s.spec("sleep=1"))
	spec := s.spec("kill-everyone")
	_, finishKiller := s.start(t, spec)
	finishKiller()
	out, exit := finish()
	if exit.Code != 0 || !strings.HasPrefix(out, "held sleep") {
		t.Errorf("the neighbour, process %d, ended with %+v: %s", neighbour.PID(), exit, out)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
