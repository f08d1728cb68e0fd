package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

// boss is a supervisor in this process, with a fake runtime.
type boss struct {
	dir  string
	rt   *fake.Runtime
	sink *memorySink
	done chan struct{}
	err  error
	end  context.CancelFunc
}

// opens is the OpenRuntimes of one that is there.
func opens(rt runtime.Runtime) func(context.Context) ([]runtime.Runtime, error) {
	return func(context.Context) ([]runtime.Runtime, error) { return []runtime.Runtime{rt}, nil }
}

// busyFrom has begin run before the supervisor looks whether it has anything to do, so that its grace is not what a client has
// to connect in.
func (o *ServeOptions) busyFrom(begin func()) {
	ready := o.Ready
	o.Ready = func() {
		begin()
		ready()
	}
}

// serve starts a supervisor in dir and waits until it is ready.
func serve(t *testing.T, dir string, adjust ...func(*ServeOptions)) *boss {
	t.Helper()
	b := &boss{dir: dir, rt: fake.New(fake.Options{}), sink: &memorySink{}, done: make(chan struct{})}
	ready := make(chan struct{})
	o := ServeOptions{Dir: dir, OpenRuntimes: opens(b.rt), Logs: b.sink, Ready: func() { close(ready) }}
	for _, f := range adjust {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	go func() {
		b.err = Serve(ctx, o)
		close(b.done)
	}()
	select {
	case <-ready:
	case <-b.done:
		t.Fatalf("the supervisor: %v", b.err)
	}
	t.Cleanup(func() {
		b.end()
		b.gone(t)
		if running := b.rt.Running(); len(running) > 0 {
			t.Errorf("the supervisor has gone, and %v run", running)
		}
	})
	return b
}

// gone waits until the supervisor has ended, without an error.
func (b *boss) gone(t testing.TB) {
	t.Helper()
	select {
	case <-b.done:
		if b.err != nil {
			t.Errorf("the supervisor: %v", b.err)
		}
	case <-time.After(patience):
		t.Fatal("the supervisor does not end")
	}
}

// caller is a Client with what it has been told.
type caller struct {
	*Client
	*heard
	t       testing.TB
	missing chan []string
}

func connect(t testing.TB, dir string, known ...string) *caller {
	t.Helper()
	return connectWith(t, ClientOptions{Dir: dir, Known: known})
}

func connectWith(t testing.TB, o ClientOptions) *caller {
	t.Helper()
	c := &caller{heard: newHeard(), t: t, missing: make(chan []string, 10)}
	o.Reports = c.heard.hear
	o.Missing = func(keys []string) { c.missing <- keys }
	var err error
	if c.Client, err = NewClient(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Client.Close() })
	return c
}

func (c *caller) start(tasks ...runtime.Task) {
	c.t.Helper()
	if err := c.Start(tasks); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) ack(keys ...string) {
	c.t.Helper()
	if err := c.Ack(keys); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) tasks() int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.Stats(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return s.Tasks
}

func (c *caller) wantMissing(keys ...string) {
	c.t.Helper()
	select {
	case got := <-c.missing:
		if diff := cmp.Diff(keys, got); diff != "" {
			c.t.Errorf("missing: %s", diff)
		}
	case <-time.After(patience):
		c.t.Fatalf("not told that %v are missing; reports: %+v", keys, c.all())
	}
}

func TestClientAndServer(t *testing.T) {
	t.Parallel()
	var c *caller
	b := serve(t, t.TempDir(), func(o *ServeOptions) {
		o.IdleGrace = 300 * time.Millisecond
		o.busyFrom(func() {
			c = connectWith(t, ClientOptions{Dir: o.Dir, Linger: 10 * time.Millisecond})
			c.start(taskOf("a/1", "main! print=hello exit=3"), taskOf("b/1", "main! block"))
			c.await(t, "b/1", runtime.Started, 1)
		})
	})
	if got := outcome(c.ended(t, "a/1")); got != "main 3" {
		t.Errorf("a ended as %s", got)
	}
	c.ack("a/1")
	until(t, "the acknowledgement has arrived", func() bool { return c.tasks() == 1 })
	if err := c.Stop([]StopRequest{{Key: "b/1"}, {Key: "c/1"}}); err != nil {
		t.Fatal(err)
	}
	if got := outcome(c.ended(t, "b/1")); got != "main 143" && got != "main -" {
		t.Errorf("b ended as %s", got)
	}
	c.ended(t, "c/1")
	c.ack("b/1", "c/1")
	// Nothing is left to do, for either.
	b.gone(t)
	if err := c.Err(); err != nil {
		t.Errorf("the client: %v", err)
	}
}

// TestEngineComesBack is about callers that go while their tasks run.
func TestEngineComesBack(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	one := connect(t, b.dir)
	one.start(taskOf("a/1", "main! block print=hello"), taskOf("b/1", "main! block"))
	one.await(t, "a/1", runtime.Started, 1)
	one.await(t, "b/1", runtime.Started, 1)
	_ = one.Client.Close()
	b.rt.Release("b/1", "main", runtime.Exit{Code: 4})

	two := connect(t, b.dir, "a/1", "b/1", "never/1", "never/2")
	two.wantMissing("never/1", "never/2")
	two.await(t, "a/1", runtime.Started, 1)
	if got := outcome(two.ended(t, "b/1")); got != "main 4" {
		t.Errorf("b ended as %s", got)
	}
	two.start(taskOf("never/1", "main! exit=5"))
	if got := outcome(two.ended(t, "never/1")); got != "main 5" {
		t.Errorf("what was missing ended as %s", got)
	}
	// Not acknowledged, the ends are told again, also to one who does not know of them.
	_ = two.Client.Close()
	three := connect(t, b.dir, "a/1")
	three.ended(t, "b/1")
	three.ended(t, "never/1")
	three.ack("b/1", "never/1")
	b.rt.Release("a/1", "main", runtime.Exit{})
	three.ended(t, "a/1")
	three.ack("a/1")
	until(t, "all is acknowledged", func() bool { return three.tasks() == 0 })
	for _, key := range []string{"a/1", "b/1", "never/1"} {
		if n := b.rt.Starts(key, "main"); n != 1 {
			t.Errorf("%s was started %d times", key, n)
		}
	}
}

// crashed leaves the journal of a supervisor that was killed: a task in each state, as fill has them.
func crashed(t *testing.T, boot string) string {
	t.Helper()
	dir := t.TempDir()
	held, _, err := lock(fsys.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, openTestJournal(t, filepath.Join(dir, journalFile), boot, true))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPredecessorDied(t *testing.T) {
	t.Parallel()
	b := serve(t, crashed(t, spawn.Boot()))
	c := connect(t, b.dir, "accepted/1", "running/1", "ended/1", "never/1")
	for _, key := range []string{"accepted/1", "running/1"} {
		if r := c.ended(t, key); !r.Lost || r.Reason == "" || r.At.IsZero() {
			t.Errorf("%+v", r)
		}
	}
	if r := c.ended(t, "ended/1"); r.Lost || outcome(r) != "main 0" {
		t.Errorf("%+v", r)
	}
	c.wantMissing("never/1")
	c.ack("accepted/1", "running/1", "ended/1")
	until(t, "all is acknowledged", func() bool { return c.tasks() == 0 })
}

// sweeper is a runtime that notes what it is asked to end.
type sweeper struct {
	named
	mu        sync.Mutex
	reclaimed []string
	swept     string
}

func (s *sweeper) Reclaim(_ context.Context, tokens []string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reclaimed = tokens
	return len(tokens), nil
}

func (s *sweeper) Sweep(_ context.Context, owner string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = owner
	return 0, nil
}

// TestTakesOver asks each runtime of a predecessor for its containers, also one that is not in use any more, and goes on
// if that one is not there.
func TestTakesOver(t *testing.T) {
	t.Parallel()
	for _, there := range []bool{true, false} {
		dir := crashed(t, spawn.Boot())
		rt := &sweeper{named: named{fake.New(fake.Options{}), "process"}}
		b := serve(t, dir, func(o *ServeOptions) {
			o.Open = func(_ context.Context, name string) (runtime.Runtime, error) {
				if !there || name != "process" {
					return nil, errors.New("not there")
				}
				return rt, nil
			}
		})
		c := connect(t, dir, "running/1")
		if r := c.ended(t, "running/1"); !r.Lost {
			t.Errorf("%+v", r)
		}
		b.end()
		b.gone(t)
		if !there {
			continue
		}
		if diff := cmp.Diff([]string{"token-1", "token-2"}, rt.reclaimed); diff != "" || rt.swept != dir {
			t.Errorf("swept for %q; reclaimed: %s", rt.swept, diff)
		}
	}
}

// TestMachineRestarted has a supervisor that can not tell what its predecessor had: what it does not know is lost, until
// that has been dealt with.
func TestMachineRestarted(t *testing.T) {
	t.Parallel()
	b := serve(t, crashed(t, "another boot"))
	one := connect(t, b.dir, "running/1", "unknown/1", "unknown/2")
	for _, key := range []string{"running/1", "unknown/1", "unknown/2"} {
		if r := one.ended(t, key); !r.Lost {
			t.Errorf("%+v", r)
		}
	}
	one.ack("running/1", "unknown/1")
	until(t, "two are acknowledged", func() bool { return one.tasks() == 2 })
	_ = one.Client.Close() // it has not written down that unknown/2 is lost

	two := connect(t, b.dir, "unknown/2", "unknown/3")
	for _, key := range []string{"unknown/2", "unknown/3"} {
		if r := two.ended(t, key); !r.Lost {
			t.Errorf("%+v", r)
		}
	}
	two.ack("accepted/1", "ended/1", "unknown/2", "unknown/3")
	until(t, "the supervisor is settled", func() bool { return two.tasks() == 0 })
	two.start(taskOf("new/1", "main! block"))
	two.await(t, "new/1", runtime.Started, 1)
	_ = two.Client.Close()

	three := connect(t, b.dir, "new/1", "never/1")
	three.wantMissing("never/1")
	three.await(t, "new/1", runtime.Started, 1)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	spec := &runtime.Task{}
	for _, tc := range []struct {
		name            string
		intact, same    bool
		instance        string // before
		k               known
		there, stopping bool
		want            fate
	}{
		{name: "Running", there: true, k: known{sent: true}, want: kept},
		{name: "EndAwaitsItsAck", k: known{ended: true, sent: true}, want: undecided},
		{name: "NeverSent", instance: "x", k: known{task: spec}, want: undecided},
		{name: "SentToTheSame", same: true, k: known{task: spec, sent: true}, want: undecided},
		{name: "SentToAnotherThatNeverHadIt", intact: true, instance: "x", k: known{task: spec, sent: true}, want: undecided},
		{name: "SentToAnotherPerhaps", instance: "x", k: known{task: spec, sent: true}, want: gone},
		{name: "HandedOver", intact: true, instance: "x", k: known{sent: true}, want: gone},
		{name: "HandedOverToTheSame", intact: true, same: true, k: known{sent: true}, want: gone},
		{name: "EarlierLifeNeverStarted", intact: true, k: known{sent: true}, want: neverStarted},
		{name: "EarlierLifePerhaps", k: known{sent: true}, want: gone},
		{name: "ToBeStopped", intact: true, k: known{sent: true}, stopping: true, want: undecided},
	} {
		h := hello{Instance: "now", Intact: tc.intact}
		if tc.same {
			tc.instance = "now"
		}
		if got := verdict(h, tc.instance, &tc.k, tc.there, tc.stopping); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestOnlyOne(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	err := Serve(t.Context(), ServeOptions{Dir: b.dir, OpenRuntimes: func(context.Context) ([]runtime.Runtime, error) {
		t.Error("a second supervisor opened the runtimes of the first")
		return []runtime.Runtime{b.rt}, nil
	}})
	if !errors.Is(err, ErrRunning) {
		t.Errorf("a second supervisor: %v", err)
	}
}

// closing is a runtime whose Close is watched.
type closing struct {
	*fake.Runtime
	close func()
}

func (c closing) Close() error {
	c.close()
	return c.Runtime.Close()
}

// TestRuntimesBelongToOne: a supervisor's runtimes are closed while nobody else can be the directory's supervisor: what they
// take down is what a successor's set up.
func TestRuntimesBelongToOne(t *testing.T) {
	t.Parallel()
	closed := false
	b := serve(t, t.TempDir(), func(o *ServeOptions) {
		open := o.OpenRuntimes
		o.OpenRuntimes = func(ctx context.Context) ([]runtime.Runtime, error) {
			rts, err := open(ctx)
			return []runtime.Runtime{closing{rts[0].(*fake.Runtime), func() {
				closed = true
				if f, _, err := lock(fsys.OS, o.Dir); !errors.Is(err, ErrRunning) {
					t.Errorf("while a runtime is closed another can be supervisor: %v, %v", f, err)
				}
			}}}, err
		}
	})
	b.end()
	b.gone(t)
	if !closed {
		t.Error("the runtime was not closed")
	}
}

func TestTwoClients(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	one, two := connect(t, b.dir), connect(t, b.dir)
	one.start(taskOf("a/1", "main! block"))
	two.start(taskOf("b/1", "main! block"))
	one.await(t, "a/1", runtime.Started, 1)
	two.await(t, "b/1", runtime.Started, 1)
	b.rt.Release("a/1", "main", runtime.Exit{})
	b.rt.Release("b/1", "main", runtime.Exit{})
	for _, c := range []*caller{one, two} {
		c.ended(t, "a/1")
		c.ended(t, "b/1")
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	c := connect(t, b.dir)
	c.start(taskOf("a/1", "main! block ignore-term"), taskOf("b/1", "main! block"))
	c.await(t, "a/1", runtime.Started, 1)
	c.await(t, "b/1", runtime.Started, 1)
	late, cancel := context.WithCancel(t.Context())
	cancel()
	none := time.Duration(0)
	if err := c.Shutdown(late, &none); !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown whose time is over: %v", err)
	}
	for _, key := range []string{"a/1", "b/1"} {
		if got := outcome(c.ended(t, key)); got != "main 137" {
			t.Errorf("%s ended as %s", key, got)
		}
		c.ack(key)
	}
	if err := c.Shutdown(t.Context(), &none); err != nil {
		t.Error(err)
	}
	b.gone(t)
	// All was acknowledged: the next one has nothing to report.
	next := connect(t, serve(t, b.dir).dir, "never/1")
	next.wantMissing("never/1")
	if got := next.all(); len(got) > 0 {
		t.Errorf("reported again: %+v", got)
	}
}

func TestShutdownOfNobody(t *testing.T) {
	t.Parallel()
	c := connect(t, t.TempDir())
	if err := c.Shutdown(t.Context(), nil); err != nil {
		t.Error(err)
	}
	_ = c.Client.Close()
	if err := c.Start([]runtime.Task{taskOf("a/1", "main!")}); !errors.Is(err, ErrClosed) {
		t.Errorf("start on a closed client: %v", err)
	}
	if err := c.Shutdown(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("shutdown on a closed client: %v", err)
	}
}

// TestToldToEnd stops everything with the containers' own grace. What nobody hears of is told by the successor.
func TestToldToEnd(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	c := connect(t, b.dir)
	c.start(taskOf("a/1", "main! block term-exit=6"))
	c.await(t, "a/1", runtime.Started, 1)
	_ = c.Client.Close()
	b.end()
	b.gone(t)
	next := connect(t, serve(t, b.dir).dir, "a/1")
	if got := outcome(next.ended(t, "a/1")); got != "main 6" {
		t.Errorf("ended as %s", got)
	}
}

// TestIdleGrace keeps a supervisor while there is a client or an end that nobody has acknowledged.
func TestIdleGrace(t *testing.T) {
	t.Parallel()
	var c *caller
	b := serve(t, t.TempDir(), func(o *ServeOptions) {
		o.IdleGrace = 300 * time.Millisecond
		o.busyFrom(func() {
			c = connect(t, o.Dir)
			c.start(taskOf("a/1", "main!"))
			c.ended(t, "a/1")
		})
	})
	_ = c.Client.Close()
	select {
	case <-b.done:
		t.Fatal("it ended with a report that nobody has acknowledged")
	case <-time.After(600 * time.Millisecond):
	}
	c = connect(t, b.dir, "a/1")
	c.ended(t, "a/1")
	c.ack("a/1")
	b.idleWithClient(t, c)
	_ = c.Client.Close()
	b.gone(t)
}

func (b *boss) idleWithClient(t *testing.T, c *caller) {
	t.Helper()
	until(t, "it is acknowledged", func() bool { return c.tasks() == 0 })
	select {
	case <-b.done:
		t.Fatal("it ended while a client was connected")
	case <-time.After(600 * time.Millisecond):
	}
}

// TestStrangers connects with what is no client. The supervisor goes on, and so do its tasks.
func TestStrangers(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	c := connect(t, b.dir)
	c.start(taskOf("a/1", "main! block"))
	c.await(t, "a/1", runtime.Started, 1)
	for name, text := range map[string]string{
		"Nothing": "", "HTTP": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "NoHello": "\x00\x00\x00\x02{}", "NoJSON": "\x00\x00\x00\x02{]",
		"TooNew":        "\x00\x00\x00\x25" + `{"hello":{"version":999,"oldest":99}}`,
		"HalfARequest":  "\x00\x00\x00\x22" + `{"hello":{"version":1,"oldest":1}}` + "\x00\x00\xff\xff{",
		"WrongRequests": "\x00\x00\x00\x22" + `{"hello":{"version":1,"oldest":1}}` + "\x00\x00\x00\x0b" + `{"start":7}`,
	} {
		conn, err := dial(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset by peer") {
			t.Errorf("%s: it is not hung up on: %v", name, err)
		}
		_ = conn.Close()
	}
	b.rt.Release("a/1", "main", runtime.Exit{})
	c.ended(t, "a/1")
}

// TestStrangeSupervisor connects to what speaks another version.
func TestStrangeSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := listen(fsys.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = writeFrame(conn, answer{Hello: &hello{Version: 9, Oldest: 8, PID: 7}})
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	})
	c := connect(t, dir)
	c.start(taskOf("a/1", "main!"))
	want := "greet the supervisor: the other side speaks versions 8 to 9 of the supervisor's protocol, this one 1 to 1. " +
		"Another version of batchbox has started it, process 7, and its jobs go on, unseen: start that version again until they have ended, " +
		"or end it (kill -9 7), and their attempts fail as with a lost host and are tried again"
	until(t, "the client says so", func() bool { return c.Err() != nil && c.Err().Error() == want })
	_ = c.Client.Close()
	_ = l.Close()
	serving.Wait()
}

// TestBrokenConnections runs tasks over connections that break at any byte, both ways. Each is started once and its end
// is heard of.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	const tasks = 1500
	b := serve(t, t.TempDir())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cut := newCutter(t, b.dir, seed)
	// As an engine does it: so many at once, and another for each that has ended.
	const width = 50
	c := connect(t, b.dir)
	spec := func(i int) runtime.Task {
		return taskOf(fmt.Sprintf("job:%d/1", i), fmt.Sprintf("main! print=hello exit=%d", i%7))
	}
	for i := range tasks + width {
		if i < tasks {
			c.start(spec(i))
		}
		if i < width {
			continue
		}
		key := fmt.Sprintf("job:%d/1", i-width)
		if got, want := outcome(c.ended(t, key)), fmt.Sprintf("main %d", (i-width)%7); got != want {
			t.Errorf("%s ended as %s, want %s", key, got, want)
		}
		c.ack(key)
	}
	cut.gently()
	// Somebody else asks: the client need not be connected any more.
	last := connect(t, b.dir, "never/1")
	last.wantMissing("never/1")
	until(t, "all is acknowledged", func() bool { return last.tasks() == 0 })
	for i := range tasks {
		key := fmt.Sprintf("job:%d/1", i)
		if n := b.rt.Starts(key, "main"); n != 1 {
			t.Errorf("%s was started %d times", key, n)
		}
		if text, _ := b.sink.output(key + "/main"); text != "hello\n" {
			t.Errorf("%s wrote %q", key, text)
		}
	}
	if cut.cuts() < 3 {
		t.Errorf("only %d connections broke", cut.cuts())
	}
}

// cutter stands between clients and a supervisor, and breaks connections.
type cutter struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	gentle bool
	n      int
}

func newCutter(t *testing.T, dir string, seed uint64) *cutter {
	t.Helper()
	target, err := address(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, addrFile), []byte(path), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cutter{rnd: rand.New(rand.NewPCG(seed, 0))}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			in, err := l.AcceptUnix()
			if err != nil {
				return
			}
			out, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: target, Net: "unix"})
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]*net.UnixConn{{in, out}, {out, in}} {
				pipes.Go(func() {
					_, _ = io.CopyN(way[1], way[0], c.length())
					_, _ = in.Close(), out.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		pipes.Wait()
	})
	return c
}

// length is how many bytes the next connection lets pass one way.
func (c *cutter) length() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gentle {
		return 1 << 40
	}
	c.n++
	return 100 + c.rnd.Int64N(60_000)
}

func (c *cutter) gently() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gentle = true
}

func (c *cutter) cuts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n / 2
}

func TestClientOptions(t *testing.T) {
	t.Parallel()
	if _, err := NewClient(ClientOptions{Dir: t.TempDir()}); err == nil {
		t.Error("a client that reports to nobody")
	}
	if _, err := NewClient(ClientOptions{Dir: t.TempDir(), Reports: func([]runtime.Report) {}, Known: []string{"a/1"}}); err == nil {
		t.Error("a client that tells nobody what is missing")
	}
	c := connect(t, t.TempDir())
	if _, err := c.Stats(t.Context()); err == nil {
		t.Error("statistics of nobody")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("b/1", "main! block"), taskOf("a/1", "main! exit=2"), taskOf("c/1", "side block; main! @side:COMPLETE"))
	l.runs("b/1 main", "c/1 side")
	l.ended(t, "a/1")
	list := l.List()
	keys := make([]string, len(list))
	for i, s := range list {
		keys[i] = s.Key
	}
	if !slices.Equal(keys, []string{"a/1", "b/1", "c/1"}) || list[0].Ended == nil || list[1].Ended != nil || list[2].Ended != nil {
		t.Errorf("%+v", list)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir())
	c := connect(t, b.dir)
	c.start(taskOf("a/1", "side exit=3; main! block; late @main:COMPLETE"))
	c.await(t, "a/1", runtime.Started, 1)
	inspect := func(key string) ([]runtime.ContainerState, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return c.Inspect(ctx, key, true)
	}
	if states, err := inspect("other/1"); !errors.Is(err, ErrNoTask) {
		t.Errorf("a task that is not there: %v, %v", states, err)
	}
	until(t, "the states are as they should be", func() bool {
		states, err := inspect("a/1")
		if err != nil {
			t.Fatal(err)
		}
		return len(states) == 3 && states[1].Name == "main" && states[1].Status == runtime.StatusRunning && !states[1].StartedAt.IsZero() &&
			states[2].Status == runtime.StatusCreated && states[2].StartedAt.IsZero()
	})
	if err := c.Stop([]StopRequest{{Key: "a/1"}}); err != nil {
		t.Fatal(err)
	}
	c.ended(t, "a/1")
	if states, err := inspect("a/1"); !errors.Is(err, ErrNoTask) {
		t.Errorf("a task that has ended: %v, %v", states, err)
	}
	c.ack("a/1")
}
