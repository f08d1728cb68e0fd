// Package runtimetest is the conformance suite of runtimes: what every implementation of runtime.Runtime has to do, less
// only what its capabilities exclude. It brings its own program (prog), static, so that an image of that one file will do.
package runtimetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// Harness is a runtime under test.
type Harness struct {
	// New makes the runtime as a supervisor whose data directory is owner would have it. It is called in the test's process
	// and in others that the suite starts and kills.
	New func(owner string) (runtime.Runtime, error)
	// Image makes an image of an unpacked root file system (see Rootfs), in the form that the runtime's capabilities ask
	// for. Nil puts the directory into Image.Rootfs.
	Image func(t testing.TB, root string) runtime.Image
	// Starts is how many containers the test of many starts runs; 1,000 if zero. The environment's BATCHBOX_STARTS wins.
	Starts int
	// Patience bounds each wait; testenv.Patience if zero.
	Patience time.Duration
}

// Run runs the suite. The test binary's TestMain has to call Main.
func Run(t *testing.T, h Harness) {
	// Programs inherit what is ignored: under nohup the containers would ignore SIGHUP. The supervisor catches it as well.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	if text := os.Getenv("BATCHBOX_STARTS"); text != "" {
		var err error
		if h.Starts, err = strconv.Atoi(text); err != nil {
			t.Fatalf("BATCHBOX_STARTS: %v", err)
		}
	}
	if h.Starts == 0 {
		h.Starts = 1000
	}
	if h.Patience == 0 {
		h.Patience = testenv.Patience
	}
	root := Rootfs(t)
	owner := t.TempDir()
	rt, err := h.New(owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close the runtime: %v", err)
		}
	})
	image := runtime.Image{Ref: "test", Rootfs: root}
	if h.Image != nil {
		image = h.Image(t, root)
	}
	s := &suite{Harness: h, rt: rt, caps: rt.Capabilities(), image: image, root: root, owner: owner}
	if s.rt.Name() == "" {
		t.Error("the runtime has no name")
	}
	// One after the other in groups: what is measured there (open files, the machine's processes) must not be disturbed.
	t.Run("Parallel", s.parallel)
	t.Run("ManyStarts", s.manyStarts)
	t.Run("Recovery", s.recovery)
}

type suite struct {
	Harness
	rt          runtime.Runtime
	caps        runtime.Capabilities
	image       runtime.Image
	root, owner string
}

func (s *suite) parallel(t *testing.T) {
	for _, tc := range []struct {
		name string
		skip string // why, if a capability excludes it
		run  func(*testing.T)
	}{
		{"EarlyExit", "", s.earlyExit},
		{"ExitCodes", "", s.exitCodes},
		{"OwnSignal", "", s.ownSignal},
		{"Handled", "", s.handled},
		{"Ignored", "", s.ignored},
		{"KillAtOnce", "", s.killAtOnce},
		{"AfterTheEnd", "", s.afterTheEnd},
		{"BadSignal", "", s.badSignal},
		{"NoSuchFile", "", s.noSuchFile},
		{"NotExecutable", "", s.notExecutable},
		{"Cancelled", "", s.cancelled},
		{"CancelledMeanwhile", "", s.cancelledMeanwhile},
		{"Surroundings", "", s.surroundings},
		{"Arguments", "", s.arguments},
		{"OutputOrder", "", s.outputOrder},
		{"Flood", "", s.flood},
		{"FloodInOneLine", "", s.floodInOneLine},
		{"SlowReader", "", s.slowReader},
		{"GroupLeftBehind", "", func(t *testing.T) { s.leftBehind(t, "group") }},
		{"SessionLeftBehind", unless(s.caps.KillsDescendants, "KillsDescendants"), func(t *testing.T) { s.leftBehind(t, "session") }},
		{"OutOfMemory", unless(s.caps.MemoryLimit, "MemoryLimit"), s.outOfMemory},
		{"Hostname", unless(s.caps.Hostname, "Hostname"), s.hostname},
		{"User", unless(s.caps.Users, "Users"), s.user},
		{"ReadonlyRootfs", unless(s.caps.ReadonlyRootfs, "ReadonlyRootfs"), s.readonlyRootfs},
		{"PrivateRootfs", unless(s.caps.Isolated, "Isolated"), s.privateRootfs},
		{"Mounts", unless(s.caps.Mounts, "Mounts"), s.mounts},
		{"StorageLimit", unless(s.caps.StorageLimit, "StorageLimit"), s.storageLimit},
		{"Usage", "", s.usage},
		{"ConnectedNetworks", unless(s.caps.ConnectedNetworks, "ConnectedNetworks"), s.connectedNetworks},
		{"TaskEndpoint", unless(s.caps.TaskEndpoint, "TaskEndpoint"), s.taskEndpoint},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.skip != "" {
				t.Skip(tc.skip)
			}
			t.Parallel()
			tc.run(t)
		})
	}
}

func unless(has bool, capability string) string {
	if has {
		return ""
	}
	return "the runtime does not claim " + capability
}

// spec is a container that runs the suite's program.
func (s *suite) spec(args ...string) runtime.Spec {
	return runtime.Spec{
		Name: "default", Image: s.image, Argv: append([]string{"/prog"}, args...), Env: []string{"A=1"},
		VCPU: 0.25, MemoryMiB: 256, StopTimeout: 10 * time.Second,
		Network: runtime.Network{Mode: runtime.NetworkHost},
	}
}

// container is a started one whose output is read as it comes.
type container struct {
	runtime.Handle
	s    *suite
	t    *testing.T
	out  *reader
	done chan struct{}
	exit runtime.Exit
}

var tasks struct {
	sync.Mutex
	n int
}

func newKey() string {
	tasks.Lock()
	defer tasks.Unlock()
	tasks.n++
	return fmt.Sprintf("conformance-%d-%d/1", os.Getpid(), tasks.n)
}

func (s *suite) start(t *testing.T, spec runtime.Spec) *container {
	t.Helper()
	c, err := s.tryStart(t, t.Context(), spec)
	if err != nil {
		t.Fatalf("start %q: %v", spec.Argv, err)
	}
	return c
}

func (s *suite) tryStart(t *testing.T, ctx context.Context, spec runtime.Spec) (*container, error) {
	t.Helper()
	return s.tryStartIn(t, ctx, newKey(), spec)
}

func (s *suite) tryStartIn(t *testing.T, ctx context.Context, task string, spec runtime.Spec) (*container, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	h, err := s.rt.Start(ctx, spec, task, w)
	if cerr := w.Close(); cerr != nil {
		t.Errorf("the runtime has closed the caller's file: %v", cerr)
	}
	if err != nil {
		return nil, err
	}
	c := &container{Handle: h, s: s, t: t, out: read(r), done: make(chan struct{})}
	go func() {
		c.exit = h.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		_ = c.Kill()
		<-c.done
	})
	return c, nil
}

// wait returns how the container ended.
func (c *container) wait() runtime.Exit {
	c.t.Helper()
	select {
	case <-c.done:
		return c.exit
	case <-time.After(c.s.Patience):
		c.t.Fatalf("the container has not ended after %v; its output: %.1000q", c.s.Patience, c.out.text())
		panic("unreachable")
	}
}

// want checks how the container ends, and that its output ends with it.
func (c *container) want(code int) string {
	c.t.Helper()
	exit := c.wait()
	if diff := cmp.Diff(runtime.Exit{Code: code}, exit); diff != "" {
		c.t.Errorf("exit: %s\noutput: %.1000q", diff, c.out.text())
	}
	return c.output()
}

// output is all of it.
func (c *container) output() string {
	c.t.Helper()
	select {
	case <-c.out.end:
	case <-time.After(c.s.Patience):
		c.t.Fatalf("the container has ended, but its output is still open")
	}
	return c.out.text()
}

// says waits until the output holds a line.
func (c *container) says(line string) {
	c.t.Helper()
	if !c.out.await(line+"\n", c.s.Patience) {
		c.t.Fatalf("the container has not said %q; its output: %.1000q", line, c.out.text())
	}
}

func (c *container) signal(sig string) {
	c.t.Helper()
	if err := c.Signal(sig); err != nil {
		c.t.Errorf("%s: %v", sig, err)
	}
}

// reader collects output.
type reader struct {
	mu   sync.Mutex
	more sync.Cond
	buf  bytes.Buffer
	err  error
	end  chan struct{}
}

func read(f *os.File) *reader {
	r := &reader{end: make(chan struct{})}
	r.more.L = &r.mu
	go func() {
		_, err := io.Copy(r, f)
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		close(r.end)
		r.more.Broadcast()
	}()
	return r
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.more.Broadcast()
	return r.buf.Write(p)
}

func (r *reader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

func (r *reader) await(text string, patience time.Duration) bool {
	late := false
	timer := time.AfterFunc(patience, func() {
		r.mu.Lock()
		late = true
		r.mu.Unlock()
		r.more.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !strings.Contains(r.buf.String(), text) {
		select {
		case <-r.end:
			return false
		default:
		}
		if late {
			return false
		}
		r.more.Wait()
	}
	return true
}
