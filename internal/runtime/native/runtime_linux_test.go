package native

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/escapetest"
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// bench is a runtime with an image: the suite's program as /prog, the hostile one as /hostile.
type bench struct {
	*Runtime
	root string
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	testenv.Require(t, testenv.Root)
	o.StateDir, o.Owner = t.TempDir(), t.TempDir()
	r, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{r, runtimetest.Rootfs(t)}
	hostile, err := os.ReadFile(escapetest.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "hostile", string(hostile), 0o755)
	return b
}

// write writes a file of the image.
func (b *bench) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.root, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) spec(argv ...string) runtime.Spec {
	return runtime.Spec{
		Name: "default", Image: runtime.Image{Ref: "test", Layers: []string{b.root}}, Argv: argv,
		VCPU: 1, MemoryMiB: 256, Network: runtime.Network{Mode: runtime.NetworkPrivate},
	}
}

// run runs a container to its end.
func (b *bench) run(t *testing.T, spec runtime.Spec) (string, runtime.Exit) {
	t.Helper()
	h, out := b.begin(t, spec, t.Name()+"/1")
	text, err := io.ReadAll(out)
	if err != nil {
		t.Error(err)
	}
	return string(text), h.Wait()
}

func (b *bench) begin(t *testing.T, spec runtime.Spec, task string) (runtime.Handle, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	h, err := b.Start(t.Context(), spec, task, w)
	_ = w.Close()
	if err != nil {
		t.Fatalf("start %q: %v", spec.Argv, err)
	}
	return h, r
}

// succeeds runs a container that has to end with 0, and returns what it wrote.
func (b *bench) succeeds(t *testing.T, spec runtime.Spec) string {
	t.Helper()
	out, exit := b.run(t, spec)
	if exit != (runtime.Exit{}) {
		t.Fatalf("%q ended with %+v: %s", spec.Argv, exit, out)
	}
	return out
}

// says waits for a line of output.
func says(t *testing.T, out io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want)+1)
	if _, err := io.ReadFull(out, b); err != nil || string(b) != want+"\n" {
		t.Fatalf("output %q, %v; want %q", b, err, want)
	}
}

func (b *bench) idleRoots() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.idleCount
}

func TestRootIsUsedAgainOnlyIfNobodyWroteToIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	b.succeeds(t, b.spec("/prog"))
	before, err := os.ReadDir(b.path(""))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.succeeds(t, b.spec("/prog", "size", "/etc"))
	}
	after, err := os.ReadDir(b.path(""))
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) || b.idleRoots() != 1 {
		t.Errorf("%d roots, %d of them idle, after four containers in a row", len(after), b.idleRoots())
	}
	for _, how := range []string{"mode", "owner", "time", "attribute", "file"} {
		out := b.succeeds(t, b.spec("/hostile", "touch-root="+how))
		if !strings.HasPrefix(out, "ESCAPED") {
			t.Errorf("touch root, %s: %s", how, out)
		}
		if n := b.idleRoots(); n != 0 {
			t.Errorf("a root is kept although a container has touched it: %s", how)
		}
		b.succeeds(t, b.spec("/prog"))
	}
	b.succeeds(t, b.spec("/prog", "write", "/tmp/x", "text"))
	if n := b.idleRoots(); n != 0 {
		t.Error("a root is kept although a container has written to it")
	}
}

func TestRootsThatNobodyWantsGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	b.succeeds(t, b.spec("/prog"))
	b.mu.Lock()
	for _, waiting := range b.idle {
		for _, f := range waiting {
			f.retire.Reset(0)
		}
	}
	b.mu.Unlock()
	b.retiring.Wait()
	eventually(t, "the directory is still there", func() bool {
		entries, err := os.ReadDir(b.path(""))
		return err == nil && len(entries) == 0
	})
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testenv.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

func TestStorageLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	spec := b.spec("/hostile", "disk=1100")
	spec.StorageGiB = 1
	if out, exit := b.run(t, spec); !strings.Contains(exit.Err, "ephemeral storage of 1 GiB") {
		t.Errorf("it ended with %+v: %s", exit, out)
	}
}

func TestStorageInMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{inMemory: true})
	if got := b.succeeds(t, b.spec("/prog", "write", "/etc/mine", "text")); got != "written\n" {
		t.Errorf("output %q", got)
	}
	if got := b.succeeds(t, b.spec("/prog", "size", "/etc/mine")); got != "absent\n" {
		t.Errorf("another container sees the file: %q", got)
	}
	spec := b.spec("/hostile", "disk=1100")
	spec.StorageGiB = 1
	spec.MemoryMiB = 2048
	if out, exit := b.run(t, spec); !strings.Contains(out, "no space left on device") {
		t.Errorf("it ended with %+v: %s", exit, out)
	}
}

func TestContainersOfATaskShareANetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	const address = "127.0.0.1:7007"
	server, out := b.begin(t, b.spec("/hostile", "serve="+address), "task/1")
	connect := func(task string) bool {
		h, out := b.begin(t, b.spec("/hostile", "host-port="+address), task)
		text, err := io.ReadAll(out)
		if err != nil {
			t.Error(err)
		}
		h.Wait()
		return strings.HasPrefix(string(text), "ESCAPED")
	}
	if connect("other/1") {
		t.Error("another task reaches it")
	}
	eventually(t, "a container of the same task does not reach it", func() bool { return connect("task/1") })
	if text, err := io.ReadAll(out); err != nil || !strings.HasPrefix(string(text), "held serve: somebody came") {
		t.Errorf("the server: %s, %v", text, err)
	}
	server.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.networks) > 0 {
		t.Errorf("networks are left: %v", b.networks)
	}
}

func TestDeathOfTheLauncher(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	h, out := b.begin(t, b.spec("/prog", "sleep"), "task/1")
	says(t, out, "ready")
	if err := b.launcher.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := h.Wait(); exit.Err == "" {
		t.Errorf("its container ended with %+v", exit)
	}
	if err := unix.Kill(h.PID(), 0); err == nil && !zombie(h.PID()) {
		t.Error("its container lives")
	}
	eventually(t, "nothing can be started any more", func() bool {
		h, err := b.Start(t.Context(), b.spec("/prog"), "task/2", os.Stderr)
		return err == nil && h.Wait() == runtime.Exit{}
	})
}

func zombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}

func TestCloseEndsContainers(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	h, out := b.begin(t, b.spec("/prog", "ignore"), "task/1")
	says(t, out, "ready")
	ended := make(chan runtime.Exit)
	go func() { ended <- h.Wait() }()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if exit := <-ended; exit.Code != 137 && exit.Err == "" {
		t.Errorf("it ended with %+v", exit)
	}
	if _, err := b.Start(t.Context(), b.spec("/prog"), "task/2", os.Stderr); err == nil {
		t.Error("a closed runtime starts containers")
	}
}

func TestSweepRemovesWhatIsNobodys(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	h, out := b.begin(t, b.spec("/prog", "sleep"), "task/1")
	says(t, out, "ready")
	stray := b.path("stray")
	if err := os.MkdirAll(filepath.Join(stray, "upper", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	group, err := b.groups.Create("stray", b.limits(&runtime.Spec{}))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.Sweep(t.Context(), b.options.Owner); err != nil || n != 1 {
		t.Errorf("%d containers, %v", n, err)
	}
	if _, err := group.Enter(); err == nil {
		t.Error("the control group is still there")
	}
	eventually(t, "the directory is still there", func() bool {
		_, err := os.Stat(stray)
		return errors.Is(err, os.ErrNotExist)
	})
	if err := h.Signal("SIGKILL"); err != nil {
		t.Error(err)
	}
	if exit := h.Wait(); exit.Code != 137 || exit.Err != "" {
		t.Errorf("the container that is ours ended with %+v", exit)
	}
	if _, err := b.Sweep(t.Context(), "somebody else"); err == nil {
		t.Error("it sweeps for somebody else")
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	b.write(t, "etc/passwd", "root:x:0:0::/root:/bin/sh\nana:x:1000:100::/home/ana:/bin/sh\n", 0o644)
	b.write(t, "etc/group", "root:x:0:\nusers:x:100:\nextra:x:200:ana\n", 0o644)
	for user, want := range map[string]string{
		"":            "0 0 /root",
		"ana":         "1000 100 /home/ana",
		"1000":        "1000 100 /home/ana",
		"ana:extra":   "1000 200 /home/ana",
		"4000:4001":   "4000 4001 /",
		"nobody-here": "unable to find user nobody-here: no matching entries in passwd file",
		"ana:none":    "unable to find group none: no matching entries in group file",
		"99999999999": "uids and gids must be in range 0-2147483647",
	} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			spec := b.spec("/prog", "inspect")
			spec.User = user
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			h, err := b.Start(t.Context(), spec, t.Name(), w)
			_ = w.Close()
			if err != nil {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
				return
			}
			defer h.Wait()
			got := decodeInspection(t, r)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// decodeInspection sums up what the suite's program says about who it is.
func decodeInspection(t *testing.T, out io.Reader) string {
	t.Helper()
	var got struct {
		UID, GID int
		Env      []string
	}
	if err := json.NewDecoder(out).Decode(&got); err != nil {
		t.Fatal(err)
	}
	home := ""
	for _, e := range got.Env {
		if v, ok := strings.CutPrefix(e, "HOME="); ok {
			home = v
		}
	}
	return fmt.Sprintf("%d %d %s", got.UID, got.GID, home)
}

func TestInitProcess(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	spec := b.spec("/prog", "handle", "7")
	spec.InitProcess = true
	h, out := b.begin(t, spec, "task/1")
	says(t, out, "ready")
	if err := h.Signal("SIGTERM"); err != nil {
		t.Error(err)
	}
	if exit := h.Wait(); exit != (runtime.Exit{Code: 7}) {
		t.Errorf("a program that handles SIGTERM ended with %+v", exit)
	}
	spec = b.spec("/prog", "signal", "9")
	spec.InitProcess = true
	if out, exit := b.run(t, spec); exit != (runtime.Exit{Code: 137}) {
		t.Errorf("a program that kills itself ended with %+v: %s", exit, out)
	}
	spec = b.spec("/no/such/program")
	spec.InitProcess = true
	_, err := b.Start(t.Context(), spec, "task/3", os.Stderr)
	var se *runtime.StartError
	if !errors.As(err, &se) || se.ExitCode != 127 {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	b := newBench(t, Options{})
	b.write(t, "text", "no program", 0o755)
	b.write(t, "script", "#!/no/interpreter\n", 0o755)
	b.write(t, "data", "no program", 0o644)
	for name, tc := range map[string]struct {
		change   func(*runtime.Spec)
		kind     string
		exitCode int
		text     string
	}{
		"no command": {
			func(s *runtime.Spec) { s.Argv = nil },
			runtime.KindCannotCreate, 0, "no command specified",
		},
		"no file": {
			func(s *runtime.Spec) { s.Argv = []string{"/none"} },
			runtime.KindCannotStart, 127, `unable to start container process: exec: "/none": stat /none: no such file or directory`,
		},
		"not on PATH": {
			func(s *runtime.Spec) { s.Argv = []string{"none"} },
			runtime.KindCannotStart, 127, `unable to start container process: exec: "none": executable file not found in $PATH`,
		},
		"on PATH but not executable": {
			func(s *runtime.Spec) { s.Argv, s.Env = []string{"data"}, []string{"PATH=/none:/"} },
			runtime.KindCannotStart, 126, `exec: "data": permission denied`,
		},
		"not executable": {
			func(s *runtime.Spec) { s.Argv = []string{"/data"} },
			runtime.KindCannotStart, 126, `exec: "/data": permission denied`,
		},
		"a directory": {
			func(s *runtime.Spec) { s.Argv = []string{"/etc"} },
			runtime.KindCannotStart, 126, `exec: "/etc": is a directory`,
		},
		"no program": {
			func(s *runtime.Spec) { s.Argv = []string{"/text"} },
			runtime.KindCannotStart, 126, "exec /text: exec format error",
		},
		"no interpreter": {
			func(s *runtime.Spec) { s.Argv = []string{"/script"} },
			runtime.KindCannotStart, 127, "exec /script: no such file or directory",
		},
		"working directory is a file": {
			func(s *runtime.Spec) { s.Dir = "/data" },
			runtime.KindCannotStart, 0, "not a directory",
		},
		"no volume": {
			func(s *runtime.Spec) { s.Mounts = []runtime.Mount{{Source: "/no/such/dir", Target: "/x"}} },
			runtime.KindCannotCreate, 0, "bind source path does not exist: /no/such/dir",
		},
		"volume over the root": {
			func(s *runtime.Spec) { s.Mounts = []runtime.Mount{{Source: volume, Target: "/"}} },
			runtime.KindCannotCreate, 0, "the root can not be replaced",
		},
		"unknown ulimit": {
			func(s *runtime.Spec) { s.Ulimits = []runtime.Ulimit{{Name: "dreams", Soft: 1, Hard: 1}} },
			runtime.KindCannotCreate, 0, "invalid ulimit type: dreams",
		},
		"unknown network": {
			func(s *runtime.Spec) { s.Network.Mode = "bridge" },
			runtime.KindCannotCreate, 0, `network mode "bridge"`,
		},
		"no layers": {
			func(s *runtime.Spec) { s.Image.Layers = nil },
			runtime.KindCannotCreate, 0, "has no layers",
		},
		"no such layer": {
			func(s *runtime.Spec) { s.Image.Layers = []string{"/no/such/layer"} },
			runtime.KindCannotCreate, 0, "/no/such/layer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := b.spec("/prog")
			tc.change(&spec)
			h, err := b.Start(t.Context(), spec, t.Name(), os.Stderr)
			if err == nil {
				t.Fatalf("it was started, and ended with %+v", h.Wait())
			}
			var se *runtime.StartError
			if !errors.As(err, &se) || se.Kind != tc.kind || se.ExitCode != tc.exitCode || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v (exit code %d), want %s %d %q", err, se.ExitCode, tc.kind, tc.exitCode, tc.text)
			}
		})
	}
}

func TestEmbeddedInitIsCurrent(t *testing.T) {
	t.Parallel()
	if len(initbin.Binary()) == 0 {
		t.Skip("built without batchbox-init")
	}
	path := filepath.Join(t.TempDir(), "batchbox-init")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path,
		"github.com/batchbox/batchbox/cmd/batchbox-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH="+goruntime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fresh, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, initbin.Binary()) {
		t.Error("the embedded batchbox-init is not what its source makes; run `go generate ./internal/runtime/native`")
	}
}
