package docker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/dockerhost"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// spec is a container of the conformance suite's program.
func spec(image runtime.Image, args ...string) runtime.Spec {
	return runtime.Spec{
		Name: "default", Image: image, Argv: append([]string{"/prog"}, args...), VCPU: 0.25, MemoryMiB: 64,
		Network: runtime.Network{Mode: runtime.NetworkHost},
	}
}

// started starts a container whose output nobody wants.
func started(t *testing.T, r *Runtime, task string, s runtime.Spec) *handle {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(t, err)
	defer null.Close()
	h, err := r.Start(t.Context(), s, task, null)
	check(t, err)
	return h.(*handle)
}

// ended waits for a container's end.
func ended(t *testing.T, h *handle) runtime.Exit {
	t.Helper()
	select {
	case <-h.done:
	case <-time.After(patience):
		t.Fatal("the container does not end")
	}
	return h.Wait()
}

// there says whether the daemon has a container.
func there(t *testing.T, c *client.Client, id string) bool {
	t.Helper()
	_, err := c.ContainerInspect(context.Background(), id, client.ContainerInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// proxy stands between a runtime and the daemon, and cuts connections.
type proxy struct {
	listener net.Listener
	socket   string // the daemon's

	mu    sync.Mutex
	conns map[net.Conn]string // by the first line of the request
	lines []string            // of all requests
	away  bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	host, err := dockerhost.Find(dockerhost.System())
	check(t, err)
	if host.Socket() == "" {
		t.Skip("the daemon has no socket")
	}
	dir, err := os.MkdirTemp("", "proxy") // short enough for a socket's path
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &proxy{socket: host.Socket(), conns: map[net.Conn]string{}}
	p.listener, err = net.Listen("unix", filepath.Join(dir, "s"))
	check(t, err)
	p.wg.Go(func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut("")
		p.wg.Wait()
	})
	return p
}

// environment is one in which the proxy is the daemon.
func (p *proxy) environment() *dockerhost.Environment {
	url := "unix://" + p.listener.Addr().String()
	return &dockerhost.Environment{Getenv: func(name string) string {
		if name == "DOCKER_HOST" {
			return url
		}
		return ""
	}}
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil || len(first) == 0 {
		return
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	d, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer d.Close()
	p.mu.Lock()
	if p.away {
		p.mu.Unlock()
		return
	}
	p.conns[c] = line
	p.lines = append(p.lines, line)
	p.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(d, io.MultiReader(strings.NewReader(line), r))
		_ = d.(*net.UnixConn).CloseWrite()
	})
	_, _ = io.Copy(c, d)
	_ = c.Close()
	up.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// cut closes the connections of requests that contain a text, and says how many.
func (p *proxy) cut(text string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, line := range p.conns {
		if strings.Contains(line, text) {
			_ = c.Close()
			n++
		}
	}
	return n
}

func (p *proxy) setAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// TestDaemonGoesAway loses the daemon while containers run, in several ways.
func TestDaemonGoesAway(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	image := archive(t, runtimetest.Rootfs(t))
	direct := connect(t)
	t.Run("OnlyTheQuestionForTheEnd", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t)
		r := newRuntime(t, Options{Environment: p.environment()})
		h := started(t, r, "gone/1", spec(image, "handle", "7"))
		if n := p.cut("/wait"); n != 1 {
			t.Fatalf("%d questions were cut", n)
		}
		// It is asked again, and output still comes.
		check(t, await(func() bool { return p.asked("/wait") == 2 }))
		check(t, h.Kill())
		if exit := ended(t, h); exit != (runtime.Exit{Code: 137}) {
			t.Errorf("exit %+v", exit)
		}
	})
	t.Run("Restart", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t)
		r := newRuntime(t, Options{Environment: p.environment()})
		h := started(t, r, "gone/2", spec(image, "sleep"))
		p.cut("")
		exit := ended(t, h)
		if !strings.HasPrefix(exit.Err, "the Docker daemon went away while the container ran") {
			t.Errorf("exit %+v", exit)
		}
		if there(t, direct, h.id) {
			t.Error("the container is still there")
		}
	})
	t.Run("ForGood", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t)
		owner := t.TempDir()
		r := newRuntime(t, Options{Environment: p.environment(), DaemonPatience: 200 * time.Millisecond, Owner: owner})
		h := started(t, r, "gone/3", spec(image, "sleep"))
		p.setAway(true)
		p.cut("")
		if exit := ended(t, h); !strings.HasPrefix(exit.Err, "the Docker daemon went away while the container ran") {
			t.Errorf("exit %+v", exit)
		}
		// When it is back, the next supervisor of the directory finds what is left.
		if !there(t, direct, h.id) {
			t.Fatal("the container is gone: who has removed it?")
		}
		p.setAway(false)
		if n, err := newRuntime(t, Options{Owner: owner}).Sweep(t.Context(), owner); err != nil || n != 1 {
			t.Errorf("swept %d, %v", n, err)
		}
		if there(t, direct, h.id) {
			t.Error("the container is still there")
		}
	})
}

// asked is how many requests have contained a text, and reached the daemon.
func (p *proxy) asked(text string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// await waits until something is the case.
func await(is func() bool) error {
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return context.DeadlineExceeded
		}
	}
	return nil
}

// create makes a container without the runtime's knowledge, as a request does whose answer is lost.
func create(t *testing.T, c *client.Client, name, image string, labels map[string]string) string {
	t.Helper()
	made, err := c.ContainerCreate(context.Background(), client.ContainerCreateOptions{
		Name: name, Config: &container.Config{Image: image, Entrypoint: []string{"/prog"}, Labels: labels}, HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	check(t, err)
	t.Cleanup(func() {
		_, _ = c.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
	})
	return made.ID
}

// TestOrphans leaves containers about and sees which of them are removed.
func TestOrphans(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	c := connect(t)
	image := archive(t, runtimetest.Rootfs(t))
	first := newRuntime(t, Options{})
	name, err := first.image(t.Context(), &image) // loaded
	check(t, err)
	owner, other := t.TempDir(), t.TempDir()
	labels := func(owner, machine string) map[string]string {
		return map[string]string{labelOwner: owner, labelInstance: "x", labelMachine: machine}
	}
	id, err := identify(fsys.OS, owner)
	check(t, err)
	mine := labels(owner, "before it was renamed")
	mine[labelInstance] = id
	lost := create(t, c, "", name, mine)
	dead := create(t, c, "", name, labels(filepath.Join(other, "removed"), machine()))
	alive := create(t, c, "", name, labels(other, machine()))
	foreign := create(t, c, "", name, labels(filepath.Join(other, "removed"), "another"))
	stranger := create(t, c, "", name, nil)

	r := newRuntime(t, Options{Owner: owner, Grace: time.Nanosecond, Patrol: 10 * time.Millisecond})
	runs := started(t, r, "orphans/1", spec(image, "sleep"))
	check(t, await(func() bool { return !there(t, c, lost) && !there(t, c, dead) }))
	for what, id := range map[string]string{"of an owner who is there": alive, "of another machine": foreign, "of somebody else": stranger, "that runs": runs.id} {
		if !there(t, c, id) {
			t.Errorf("the container %s was removed", what)
		}
	}
	check(t, runs.Kill())
	ended(t, runs)
}

// TestNames starts a container where its name is taken.
func TestNames(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	c := connect(t)
	image := archive(t, runtimetest.Rootfs(t))
	r := newRuntime(t, Options{})
	name, err := r.image(t.Context(), &image)
	check(t, err)
	left := create(t, c, r.name("job:7/1", "default"), name, nil)
	h := started(t, r, "job:7/1", spec(image, "sleep"))
	if there(t, c, left) {
		t.Error("what had the name is still there")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(t, err)
	defer null.Close()
	if _, err := r.Start(t.Context(), spec(image, "sleep"), "job:7/1", null); err == nil || !strings.Contains(err.Error(), "is running already") {
		t.Errorf("a second start: %v", err)
	}
	check(t, h.Kill())
	if exit := ended(t, h); exit.Code != 137 {
		t.Errorf("exit %+v", exit)
	}
	for _, tc := range []struct{ task, container, want string }{
		{"ab-1:7/2", "default", "ab-1_7.2"}, {"ab-1:7/2", "side car", "ab-1_7.2.side.car"}, {"ü/1", "", "..1"},
	} {
		if got := r.name(tc.task, tc.container); !strings.HasSuffix(got, "-"+tc.want) {
			t.Errorf("%s, %s: %s", tc.task, tc.container, got)
		}
	}
}

// TestLoadedImages loads more than the daemon is to keep. It has the daemon to itself: it would remove the images of the
// tests beside it, and they those of their own that are the same.
func TestLoadedImages(t *testing.T) {
	testenv.Require(t, testenv.Docker)
	c := connect(t)
	has := func(i runtime.Image) bool {
		_, err := c.ImageInspect(context.Background(), i.ArchiveName())
		if err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	var images []runtime.Image
	for _, text := range []string{"1", "2", "3"} {
		root := runtimetest.Rootfs(t)
		check(t, os.WriteFile(filepath.Join(root, "etc", "text"), []byte(text), 0o600))
		images = append(images, archive(t, root))
	}
	r := newRuntime(t, Options{ImageBytes: 1, Grace: time.Nanosecond})
	runs := started(t, r, "images/1", spec(images[0], "sleep"))
	ended(t, started(t, r, "images/2", spec(images[1])))
	ended(t, started(t, r, "images/3", spec(images[2])))
	check(t, await(func() bool { return !has(images[1]) }))
	if !has(images[0]) {
		t.Error("the image of a running container was removed")
	}
	// What was removed comes back.
	if exit := ended(t, started(t, r, "images/4", spec(images[1]))); exit.Code != 0 || exit.Err != "" {
		t.Errorf("exit %+v", exit)
	}
	check(t, runs.Kill())
	ended(t, runs)
	// A start that has no container yet needs its image.
	release := r.images.hold(images[2].ArchiveName())
	_, err := r.image(t.Context(), &images[2])
	check(t, err)
	check(t, r.collectImages(t.Context()))
	if !has(images[2]) {
		t.Error("the image of a start under way was removed")
	}
	release()
	check(t, r.collectImages(t.Context()))
	if has(images[2]) {
		t.Error("an image that nothing needs is still there")
	}

	// A damaged archive is refused in the daemon's words.
	bad := runtime.Image{Ref: "bad", Digest: digest([]byte("bad")), Archive: filepath.Join(t.TempDir(), "bad.tar")}
	check(t, os.WriteFile(bad.Archive, []byte(strings.Repeat("no", 1000)), 0o600))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(t, err)
	defer null.Close()
	if _, err := r.Start(t.Context(), spec(bad), "images/5", null); err == nil || !strings.HasPrefix(err.Error(), runtime.KindCannotPull+": load image: ") {
		t.Errorf("a damaged archive: %v", err)
	}
}

// TestDroppedImages: what a runtime has loaded goes with it, and what was there before stays.
func TestDroppedImages(t *testing.T) {
	testenv.Require(t, testenv.Docker)
	c := connect(t)
	images := make([]runtime.Image, 2)
	for i := range images {
		root := runtimetest.Rootfs(t)
		check(t, os.WriteFile(filepath.Join(root, "etc", "dropped"), []byte{byte('0' + i)}, 0o600))
		images[i] = archive(t, root)
	}
	_, err := newRuntime(t, Options{}).image(t.Context(), &images[0])
	check(t, err)
	r, err := New(t.Context(), Options{Owner: t.TempDir(), DropImages: true})
	check(t, err)
	for i := range images {
		_, err := r.image(t.Context(), &images[i])
		check(t, err)
	}
	check(t, r.Close())
	if _, err := c.ImageInspect(t.Context(), images[0].ArchiveName()); err != nil {
		t.Errorf("the image that was there: %v", err)
	}
	if _, err := c.ImageInspect(t.Context(), images[1].ArchiveName()); !errdefs.IsNotFound(err) {
		t.Errorf("the image that was loaded: %v", err)
	}
}

// TestTaskNetwork has two containers of a task on one private network.
func TestTaskNetwork(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	c := connect(t)
	image := archive(t, runtimetest.Rootfs(t))
	r := newRuntime(t, Options{})
	var all []*handle
	for _, name := range []string{"default", "second"} {
		s := spec(image, "sleep")
		s.Name, s.Hostname, s.Network.Mode = name, "task", runtime.NetworkPrivate
		all = append(all, started(t, r, "network/1", s))
	}
	s := spec(image, "sleep")
	s.Network.Mode = runtime.NetworkPrivate
	all = append(all, started(t, r, "network/2", s))
	var modes []string
	for _, h := range all {
		got, err := c.ContainerInspect(t.Context(), h.id, client.ContainerInspectOptions{})
		check(t, err)
		modes = append(modes, string(got.Container.HostConfig.NetworkMode))
	}
	if !strings.HasPrefix(modes[0], "container:") || modes[1] != modes[0] || modes[2] == modes[0] {
		t.Errorf("networks %v", modes)
	}
	gates := []string{all[0].network.id, all[2].network.id}
	for i, h := range all {
		if !there(t, c, h.network.id) {
			t.Errorf("container %d ran without a gate", i)
		}
		check(t, h.Kill())
		ended(t, h)
	}
	check(t, await(func() bool { return !there(t, c, gates[0]) && !there(t, c, gates[1]) }))
}

// TestUnsupported says what would help where no daemon can be used.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, host, want string
	}{
		{"no daemon", "", "install Docker"},
		{"nobody there", "unix:///no/such/socket", "start the daemon, or unset DOCKER_HOST"},
		{"ssh", "ssh://example.com", "forward the socket"},
	} {
		e := dockerhost.Environment{Getenv: func(name string) string {
			if name == "DOCKER_HOST" {
				return tc.host
			}
			return ""
		}}
		_, err := New(t.Context(), Options{Owner: t.TempDir(), Environment: &e})
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if _, err := New(t.Context(), Options{Owner: "relative"}); err == nil {
		t.Error("an owner that is no absolute path was taken")
	}
}
