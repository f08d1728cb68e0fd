package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
)

func (s *suite) earlyExit(t *testing.T) {
	for range 20 {
		spec := s.spec()
		if got := s.start(t, spec).want(0); got != "hello\n" {
			t.Fatalf("output %q", got)
		}
	}
}

func (s *suite) exitCodes(t *testing.T) {
	for _, code := range []int{0, 1, 2, 42, 125, 126, 127, 128, 137, 255} {
		s.start(t, s.spec("exit", fmt.Sprint(code))).want(code)
	}
}

// ownSignal ends programs by signals of their own making, below an init process: as process 1 of its container a program
// can not be ended so.
func (s *suite) ownSignal(t *testing.T) {
	for sig, code := range map[int]int{1: 129, 9: 137, 15: 143} {
		spec := s.spec("signal", fmt.Sprint(sig))
		spec.InitProcess = true
		s.start(t, spec).want(code)
	}
}

func (s *suite) handled(t *testing.T) {
	c := s.start(t, s.spec("handle", "7"))
	c.says("ready")
	c.signal("SIGTERM")
	c.signal("SIGTERM")
	if got := c.want(7); !strings.HasPrefix(got, "ready\nterminated\n") {
		t.Errorf("output %q", got)
	}
}

func (s *suite) ignored(t *testing.T) {
	c := s.start(t, s.spec("ignore"))
	c.says("ready")
	c.signal("SIGTERM")
	c.says("ignored")
	select {
	case <-c.done:
		t.Fatalf("SIGTERM ended it: %+v", c.exit)
	default:
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	c.want(137)
}

func (s *suite) killAtOnce(t *testing.T) {
	for range 10 {
		c := s.start(t, s.spec("sleep"))
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		c.want(137)
	}
}

func (s *suite) afterTheEnd(t *testing.T) {
	c := s.start(t, s.spec())
	c.want(0)
	c.signal("SIGTERM")
	c.signal("SIGKILL")
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
}

func (s *suite) badSignal(t *testing.T) {
	c := s.start(t, s.spec("sleep"))
	c.says("ready")
	if err := c.Signal("SIGNONSENSE"); err == nil {
		t.Error("a signal that does not exist was sent")
	}
	c.signal("SIGKILL")
	c.want(137)
}

// startFails checks that a container can not be started, and how that is said.
func (s *suite) startFails(t *testing.T, spec runtime.Spec, exitCode int) {
	t.Helper()
	c, err := s.tryStart(t, t.Context(), spec)
	if err == nil {
		t.Fatalf("it was started: %+v", c.wait())
	}
	var se *runtime.StartError
	if !errors.As(err, &se) {
		t.Fatalf("%T instead of a StartError: %v", err, err)
	}
	if se.Kind != runtime.KindCannotStart && se.Kind != runtime.KindCannotCreate {
		t.Errorf("kind %q", se.Kind)
	}
	if se.ExitCode != exitCode {
		t.Errorf("exit code %d, want %d (%v)", se.ExitCode, exitCode, err)
	}
	if !strings.Contains(err.Error(), spec.Argv[0]) {
		t.Errorf("the error does not name the program: %v", err)
	}
}

func (s *suite) noSuchFile(t *testing.T) {
	for _, program := range []string{"/no/such/program", "no-such-program"} {
		spec := s.spec()
		spec.Argv = []string{program}
		s.startFails(t, spec, 127)
	}
}

func (s *suite) notExecutable(t *testing.T) {
	spec := s.spec()
	spec.Argv = []string{"/etc"}
	s.startFails(t, spec, 126)
}

func (s *suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := s.tryStart(t, ctx, s.spec("sleep")); err == nil {
		_ = c.Kill()
		t.Error("a start whose context had ended succeeded")
	}
}

// cancelledMeanwhile ends starts that are under way: whenever that is, Start returns, and nothing runs that nobody knows.
func (s *suite) cancelledMeanwhile(t *testing.T) {
	for wait := 500 * time.Microsecond; wait < 300*time.Millisecond; wait = wait * 3 / 2 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(wait, cancel)
		returned := make(chan *container, 1)
		go func() {
			c, err := s.tryStart(t, ctx, s.spec("sleep"))
			if err != nil {
				c = nil
			}
			returned <- c
		}()
		select {
		case c := <-returned:
			if c != nil {
				_ = c.Kill()
				c.want(137)
			}
		case <-time.After(s.Patience):
			t.Fatalf("a start that was cancelled after %v has not returned", wait)
		}
		timer.Stop()
		cancel()
	}
}

// surroundings is the twin of the program's.
type surroundings struct {
	Args, Env []string
	Dir       string
	Hostname  string
	UID, GID  int
	StdinNull bool
	FDs       []int
	Leader    bool
	Ignored   []int
}

func (s *suite) inspect(t *testing.T, spec runtime.Spec) (got surroundings) {
	t.Helper()
	spec.Argv = append([]string{spec.Argv[0], "inspect"}, spec.Argv[1:]...)
	if err := json.Unmarshal([]byte(s.start(t, spec).want(0)), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *suite) surroundings(t *testing.T) {
	spec := s.spec()
	spec.Dir = "/work"
	spec.Hostname = "conformance"
	spec.Env = []string{"Z=last", "AWS_BATCH_JOB_ID=4b1c", "EMPTY=", "EQUALS=a=b=c", "LINES=one\ntwo", "HOME=/work"}
	got := s.inspect(t, spec)
	slices.Sort(got.Env)
	env := append([]string{"PATH=" + runtime.DefaultPath, "HOSTNAME=conformance"}, spec.Env...)
	slices.Sort(env)
	if diff := cmp.Diff(env, got.Env); diff != "" {
		t.Errorf("environment: %s", diff)
	}
	dir := "/work"
	if !s.caps.Isolated {
		dir = filepath.Join(s.image.Rootfs, dir)
	}
	if got.Dir != dir {
		t.Errorf("working directory %s, want %s", got.Dir, dir)
	}
	if !got.StdinNull {
		t.Error("stdin is not /dev/null")
	}
	if diff := cmp.Diff([]int{0, 1, 2}, got.FDs); diff != "" {
		t.Errorf("open descriptors: %s", diff)
	}
	if !got.Leader {
		t.Error("it does not lead its process group")
	}
	if len(got.Ignored) > 0 {
		t.Errorf("signals it did not ask to ignore: %v", got.Ignored)
	}
}

func (s *suite) arguments(t *testing.T) {
	spec := s.spec("two words", "", "ü\t\"'$HOME`", "line\nline", strings.Repeat("x", 100_000))
	got := s.inspect(t, spec)
	want := append([]string{"/prog", "inspect"}, spec.Argv[1:]...)
	if diff := cmp.Diff(want, got.Args); diff != "" {
		t.Error(diff)
	}
}

func (s *suite) outputOrder(t *testing.T) {
	var want strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	got := s.start(t, s.spec("lines", "5000")).want(0)
	if !s.caps.OutputOrder {
		got = zip(got)
	}
	if got != want.String() {
		t.Errorf("%d bytes of output are not the %d in order", len(got), want.Len())
	}
}

// zip puts the output of "lines", of which even lines went to stdout and odd ones to stderr, in order again if each of the
// two is in order, and no line is torn.
func zip(output string) string {
	var streams [2][]string
	for line := range strings.Lines(output) {
		var n int
		if _, err := fmt.Sscanf(line, "line %d\n", &n); err != nil {
			return output
		}
		streams[n%2] = append(streams[n%2], line)
	}
	var b strings.Builder
	for i := range max(len(streams[0]), len(streams[1])) {
		for _, s := range streams {
			if i < len(s) {
				b.WriteString(s[i])
			}
		}
	}
	return b.String()
}

func (s *suite) flood(t *testing.T) {
	const size = 32 << 20
	got := s.start(t, s.spec("flood", fmt.Sprint(size), "100")).want(0)
	if len(got) != size {
		t.Errorf("%d bytes, want %d", len(got), size)
	}
}

func (s *suite) floodInOneLine(t *testing.T) {
	const size = 8 << 20
	got := s.start(t, s.spec("flood", fmt.Sprint(size), "0")).want(0)
	if got != strings.Repeat("x", size) {
		t.Errorf("%d bytes, want %d", len(got), size)
	}
}

// slowReader checks that nobody reads ahead of us: a program that writes more than is read waits, and goes on.
func (s *suite) slowReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const size = 4 << 20
	h, err := s.rt.Start(t.Context(), s.spec("flood", fmt.Sprint(size), "0"), newKey(), w)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	done := make(chan runtime.Exit, 1)
	go func() { done <- h.Wait() }()
	defer func() { _ = h.Kill() }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	select {
	case exit := <-done:
		t.Errorf("it ended with its output unread: %+v", exit)
	case <-time.After(100 * time.Millisecond):
	}
	rest, err := io.ReadAll(r)
	if err != nil || len(rest) != size-1 {
		t.Errorf("%d bytes more, %v; want %d", len(rest), err, size-1)
	}
	select {
	case exit := <-done:
		if exit.Code != 0 || exit.Err != "" {
			t.Errorf("exit %+v", exit)
		}
	case <-time.After(s.Patience):
		t.Error("it has not ended")
	}
}

// leftBehind checks that a process the program left behind, which holds the output open, ends with the container.
func (s *suite) leftBehind(t *testing.T, how string) {
	if got := s.start(t, s.spec("leave", how)).want(0); got != "left\n" {
		t.Errorf("output %q", got)
	}
}

func (s *suite) outOfMemory(t *testing.T) {
	spec := s.spec("hog", "512")
	spec.MemoryMiB = 64
	c := s.start(t, spec)
	if diff := cmp.Diff(runtime.Exit{Code: 137, OOM: true}, c.wait()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(c.output(), "ready") {
		t.Error("it got the memory")
	}
	// Not every SIGKILL is for want of memory.
	spec = s.spec("sleep")
	spec.MemoryMiB = 64
	c = s.start(t, spec)
	c.says("ready")
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	c.want(137)
}

func (s *suite) hostname(t *testing.T) {
	spec := s.spec()
	spec.Hostname = "node-17"
	if got := s.inspect(t, spec); got.Hostname != "node-17" {
		t.Errorf("host name %q", got.Hostname)
	}
}

func (s *suite) user(t *testing.T) {
	for user, want := range map[string][2]int{"1234:1235": {1234, 1235}, "1234": {1234, 0}, "0:0": {0, 0}} {
		spec := s.spec()
		spec.User = user
		if got := s.inspect(t, spec); got.UID != want[0] || got.GID != want[1] {
			t.Errorf("user %s runs as %d:%d", user, got.UID, got.GID)
		}
	}
}

func (s *suite) readonlyRootfs(t *testing.T) {
	spec := s.spec("write", "/etc/x", "text")
	spec.ReadonlyRootfs = true
	if got := s.start(t, spec).want(65); !strings.Contains(got, "read-only file system") {
		t.Errorf("output %q", got)
	}
}

// privateRootfs checks that what one container writes is seen neither by the next nor in the image.
func (s *suite) privateRootfs(t *testing.T) {
	if got := s.start(t, s.spec("write", "/etc/mine", "text")).want(0); got != "written\n" {
		t.Errorf("output %q", got)
	}
	if got := s.start(t, s.spec("size", "/etc/mine")).want(0); got != "absent\n" {
		t.Errorf("another container sees the file: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(s.root, "etc", "mine")); err == nil {
		t.Error("the file is in the image")
	}
	if got := s.start(t, s.spec("size", s.root)).want(0); got != "absent\n" {
		t.Errorf("a file of the host is seen: %q", got)
	}
}

func (s *suite) mounts(t *testing.T) {
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "given"), []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The container's root need not be a user of the host that may write here.
	if err := os.Chmod(host, 0o777); err != nil {
		t.Fatal(err)
	}
	with := func(m runtime.Mount, args ...string) runtime.Spec {
		spec := s.spec(args...)
		spec.Mounts = []runtime.Mount{m}
		return spec
	}
	dir := runtime.Mount{Source: host, Target: "/mnt/data"}
	if got := s.start(t, with(dir, "size", "/mnt/data/given")).want(0); got != "5\n" {
		t.Errorf("size of the host's file: %q", got)
	}
	s.start(t, with(dir, "write", "/mnt/data/made", "text")).want(0)
	if b, err := os.ReadFile(filepath.Join(host, "made")); err != nil || string(b) != "text" {
		t.Errorf("what the container wrote: %q, %v", b, err)
	}
	dir.ReadOnly = true
	if got := s.start(t, with(dir, "write", "/mnt/data/no", "text")).want(65); !strings.Contains(got, "read-only file system") {
		t.Errorf("writing where that is not allowed: %q", got)
	}
	tmpfs := runtime.Mount{Target: "/scratch", Tmpfs: true, SizeMiB: 1}
	s.start(t, with(tmpfs, "write", "/scratch/small", "text")).want(0)
	if got := s.start(t, with(tmpfs, "write", "/scratch/large", strings.Repeat("x", 100_000))).want(0); got != "written\n" {
		t.Errorf("output %q", got)
	}
}

// storageLimit checks that a container that writes more than it may, into its root or onto a volume of its task, gets no
// further: it is ended, with the reason, or its file system is full.
func (s *suite) storageLimit(t *testing.T) {
	volume := runtime.Mount{Volume: "scratch", Source: t.TempDir(), Target: "/scratch"}
	if err := os.Chmod(volume.Source, 0o777); err != nil { // the container's root need not be a user who may write here
		t.Fatal(err)
	}
	for file, mounts := range map[string][]runtime.Mount{"/tmp/large": nil, "/scratch/large": {volume}} {
		spec := s.spec("fill", file, "1100")
		spec.StorageGiB, spec.Mounts = 1, mounts
		c := s.start(t, spec)
		exit := c.wait()
		full := strings.Contains(c.output(), "no space left on device") || strings.Contains(c.output(), "disk quota exceeded")
		if !strings.Contains(exit.Err, "ephemeral storage of 1 GiB") && !full {
			t.Errorf("%s: %+v, %q", file, exit, c.output())
		}
	}
}

// usage checks what a runtime tells of a running container, if it tells anything: a Handle may be no Meter.
func (s *suite) usage(t *testing.T) {
	const mib = 20
	c := s.start(t, s.spec("hog", strconv.Itoa(mib)))
	c.says("ready")
	m, ok := c.Handle.(runtime.Meter)
	if !ok {
		t.Skip("the runtime does not measure")
	}
	before, err := m.Usage()
	if err != nil && !s.caps.MemoryLimit && s.caps.Isolated {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.caps.MemoryLimit && before.MemoryLimit != 256<<20 {
		t.Errorf("memory limit %d", before.MemoryLimit)
	}
	if before.Memory < mib<<20 || before.PIDs < 1 || before.At.IsZero() {
		t.Errorf("a container that holds %d MiB: %+v", mib, before)
	}
	if before.CPU < 0 || before.CPU > time.Minute {
		t.Errorf("processor time %v", before.CPU)
	}
}
