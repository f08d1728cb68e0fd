package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
)

// TestOutputIsDurableBeforeTheEnd looks at the sink from within the report.
func TestOutputIsDurableBeforeTheEnd(t *testing.T) {
	t.Parallel()
	sink, h := &memorySink{}, newHeard()
	var early atomic.Int32
	k, err := NewKeeper(Options{
		Runtimes: []runtime.Runtime{fake.New(fake.Options{})}, Logs: sink,
		Reports: func(reports []runtime.Report) {
			for _, r := range reports {
				if r.Kind == runtime.Ended {
					if text, closed := sink.output(r.Key + "/main"); text != "hello\n" || !closed {
						early.Add(1)
					}
				}
			}
			h.hear(reports)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for i := range 200 {
		if err := k.Start([]runtime.Task{taskOf(fmt.Sprintf("job:%d/1", i), "main! print=hello")}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		h.ended(t, fmt.Sprintf("job:%d/1", i))
	}
	if n := early.Load(); n > 0 {
		t.Errorf("%d tasks were reported before their output was whole", n)
	}
	if !sink.allSynced() {
		t.Error("not all of it was synced")
	}
}

// gate lets operations of a sink fail until it is opened.
type gate struct {
	mu   sync.Mutex
	op   string
	err  error
	hits int
	hit  chan struct{} // closed at the first hit
}

func newGate(op string, err error) *gate { return &gate{op: op, err: err, hit: make(chan struct{})} }

func (g *gate) check(op string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if op != g.op || g.err == nil {
		return nil
	}
	if g.hits++; g.hits == 1 {
		close(g.hit)
	}
	return g.err
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = nil
}

// TestFullDisk fills the disk at each step of an output's way. The task goes on, its end waits, and nothing is missing
// when there is space again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "close", "sync"} {
		for _, cause := range []error{syscall.ENOSPC, fmt.Errorf("write logs/1.seg: %w", syscall.EDQUOT), syscall.EIO} {
			t.Run(fmt.Sprintf("%s/%v", op, cause), func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				g := newGate(op, cause)
				l.sink.fail = g.check
				l.start(taskOf("job/1", "main! print=hello"))
				<-g.hit
				if list := l.List(); list[0].Ended != nil {
					t.Fatalf("the task has been reported: %+v", list)
				}
				g.open()
				if r := l.ended(t, "job/1"); outcome(r) != "main 0" || r.Containers[0].LogError != "" {
					t.Errorf("%+v", r)
				}
				if text, closed := l.sink.output("job/1/main"); text != "hello\n" || !closed || !l.sink.allSynced() {
					t.Errorf("output %q, closed %v, synced %v", text, closed, l.sink.allSynced())
				}
			})
		}
	}
}

// TestPatience gives up on a broken disk, and never on a full one.
func TestPatience(t *testing.T) {
	t.Parallel()
	for cause, gives := range map[error]bool{
		syscall.EIO:                         true,
		os.ErrClosed:                        true,
		fmt.Errorf("x: %w", syscall.ENOSPC): false,
		fmt.Errorf("x: %w", syscall.EDQUOT): false,
		errors.Join(io.EOF, syscall.ENOSPC): false,
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			tries := 0
			err := insist(t.Context(), quiet, time.Nanosecond, func() error {
				if tries++; tries < 4 {
					return cause
				}
				return nil
			})
			if gives != errors.Is(err, cause) || gives != (tries == 1) {
				t.Errorf("%d tries: %v", tries, err)
			}
		})
	}
}

// TestProgramsWaitForTheDisk checks that output is not gathered in memory while the disk is full: the program's pipe
// fills, and it waits.
func TestProgramsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newGate("write", syscall.ENOSPC)
	l.sink.fail = g.check
	const size = 4 << 20
	l.start(taskOf("job/1", "main! block print="+strings.Repeat("x", size)))
	<-g.hit
	if n := l.Stats().LogBytes; n > readBytes {
		t.Errorf("%d bytes have been read", n)
	}
	g.open()
	until(t, "all has been written", func() bool {
		text, _ := l.sink.output("job/1/main")
		return len(text) == size+1
	})
}

// TestStartsWaitForTheDisk: a container whose output has no place yet starts once there is space; one that is stopped
// meanwhile does not.
func TestStartsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newGate("open", fmt.Errorf("log writer: %w", syscall.ENOSPC))
	l.sink.fail = g.check
	l.start(taskOf("job/1", "main! print=hello"), taskOf("job/2", "main! print=never"))
	<-g.hit
	none := time.Duration(0)
	if err := l.Stop([]StopRequest{{Key: "job/2", Grace: &none}}); err != nil {
		t.Fatal(err)
	}
	l.ended(t, "job/2")
	g.open()
	if got := outcome(l.ended(t, "job/1")); got != "main 0" {
		t.Errorf("the task ended as %s", got)
	}
	if text, _ := l.sink.output("job/1/main"); text != "hello\n" {
		t.Errorf("its output is %q", text)
	}
	if n := l.Stats().Started; n != 1 {
		t.Errorf("%d containers were started", n)
	}
}

// TestSupervisorEndsOnAFullDisk does not wait for space when it has to end; what is lost is said.
func TestSupervisorEndsOnAFullDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newGate("write", syscall.ENOSPC)
	l.sink.fail = g.check
	l.start(taskOf("job/1", "main! print=hello"))
	<-g.hit
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := l.ended(t, "job/1")
	if e := r.Containers[0].LogError; !strings.Contains(e, "no space left on device") {
		t.Errorf("log error %q", e)
	}
	if n := l.Stats().LogErrors; n != 1 {
		t.Errorf("%d log errors are counted", n)
	}
}

func TestNoStream(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.sink.fail = newGate("open", errors.New("names are too long")).check
	l.start(taskOf("job/1", "main!"))
	want := "main - (ResourceInitializationError: failed to create Cloudwatch log stream: names are too long)"
	if got := outcome(l.ended(t, "job/1")); got != want {
		t.Errorf("ended as %s, want %s", got, want)
	}
	if n := l.rt.Starts("job/1", "main"); n != 0 {
		t.Errorf("it was started %d times", n)
	}
}

func TestOutputToNowhere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	spec := taskOf("job/1", "main! print="+strings.Repeat("x", 1<<20))
	spec.Containers[0].Log = nil
	again := taskOf("job/2", "main! print=hello")
	again.Containers[0].Log = nil
	l.start(spec)
	l.ended(t, "job/1")
	l.start(again)
	if got := outcome(l.ended(t, "job/2")); got != "main 0" {
		t.Errorf("ended as %s", got)
	}
	if l.sink.opened != 0 {
		t.Error("a stream was opened")
	}
}

// holding is a runtime whose containers' output stays open after their end, as a daemon that got away would keep it.
type holding struct {
	*fake.Runtime
	mu   sync.Mutex
	held []*os.File
}

func (h *holding) Start(ctx context.Context, spec runtime.Spec, task string, out *os.File) (runtime.Handle, error) {
	fd, err := syscall.Dup(int(out.Fd()))
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.held = append(h.held, os.NewFile(uintptr(fd), "held"))
	h.mu.Unlock()
	return h.Runtime.Start(ctx, spec, task, out)
}

func (h *holding) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.held {
		_ = f.Close()
	}
}

// TestOutputHeldOpen ends a task whose output somebody holds open, silent or writing on without end: what there was is
// kept, and the task does not wait.
func TestOutputHeldOpen(t *testing.T) {
	t.Parallel()
	for _, writing := range []bool{false, true} {
		t.Run(fmt.Sprintf("writing=%v", writing), func(t *testing.T) {
			t.Parallel()
			rt, sink, h := &holding{Runtime: fake.New(fake.Options{})}, &memorySink{}, newHeard()
			defer rt.close()
			k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{rt}, Logs: sink, Reports: h.hear, DrainGrace: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if err := k.Start([]runtime.Task{taskOf("job/1", "main! block print=hello")}); err != nil {
				t.Fatal(err)
			}
			h.await(t, "job/1", runtime.Started, 1)
			var flood sync.WaitGroup
			if writing {
				rt.mu.Lock()
				f := rt.held[0]
				rt.mu.Unlock()
				flood.Go(func() {
					line := []byte(strings.Repeat("y", 4095) + "\n")
					for {
						if _, err := f.Write(line); err != nil {
							return
						}
					}
				})
			}
			rt.Release("job/1", "main", runtime.Exit{})
			if r := h.ended(t, "job/1"); outcome(r) != "main 0" || r.Containers[0].LogError != "" {
				t.Errorf("%+v", r)
			}
			flood.Wait() // nobody reads any more, which ends it
			if text, closed := sink.output("job/1/main"); !strings.HasPrefix(text, "hello\n") || !closed {
				t.Errorf("output %.100q, closed %v", text, closed)
			}
		})
	}
}

// TestNonBlocking drops output while the sink is stuck, and nothing but whole lines.
func TestNonBlocking(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newGate("write", syscall.ENOSPC)
	l.sink.fail = g.check
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "line %06d\n", i)
	}
	spec := taskOf("job/1", "main! block")
	spec.Containers[0].Argv = append(spec.Containers[0].Argv, "print="+strings.TrimSuffix(text.String(), "\n"))
	spec.Containers[0].Log.NonBlocking = true
	spec.Containers[0].Log.MaxBufferBytes = 100_000
	l.start(spec)
	<-g.hit
	// It is never held up: it comes to its end although nothing can be written.
	l.await(t, "job/1", runtime.Started, 1)
	l.rt.Release("job/1", "main", runtime.Exit{})
	l.ends("job/1 main")
	g.open()
	r := l.ended(t, "job/1")
	got, _ := l.sink.output("job/1/main")
	dropped := r.Containers[0].Dropped
	if dropped == 0 || int(dropped)+len(got) != text.Len() {
		t.Errorf("%d bytes dropped and %d kept of %d", dropped, len(got), text.Len())
	}
	whole := 0
	for line := range strings.Lines(got) {
		if len(line) == len("line 000000\n") {
			whole++
		}
	}
	if total := strings.Count(got, "\n"); total-whole > 3 {
		t.Errorf("%d of %d lines are not whole", total-whole, total)
	}
}

func TestDropBuffer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		max     int64
		puts    []string
		want    string
		dropped int64
	}{
		{"Fits", 10, []string{"ab\n", "cd\n"}, "ab\ncd\n", 0},
		{"JustFits", 6, []string{"ab\n", "cd\n"}, "ab\ncd\n", 0},
		{"CutShort", 5, []string{"ab\n", "cdef\n"}, "ab\ncd", 3},
		{"WholeLinesAreDropped", 4, []string{"ab\n", "cd\nef\n", "gh\n"}, "ab\nc", 8},
		{"LongLine", 4, []string{"abc", "def", "ghi", "\n"}, "abcd", 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newDropBuffer(tc.max)
			for _, p := range tc.puts {
				b.put([]byte(p))
			}
			b.end()
			var got strings.Builder
			b.drain(func(p []byte) { got.Write(p) })
			if diff := cmp.Diff(tc.want, got.String()); diff != "" {
				t.Error(diff)
			}
			if b.dropped != tc.dropped {
				t.Errorf("%d bytes dropped, want %d", b.dropped, tc.dropped)
			}
		})
	}
	t.Run("GoesOnAtALineEnd", func(t *testing.T) {
		t.Parallel()
		b := newDropBuffer(4)
		b.put([]byte("abcdef"))
		b.mu.Lock()
		first := string(b.data)
		b.data = nil // as if it had been drained
		b.mu.Unlock()
		b.put([]byte("gh"))
		b.put([]byte("i\njk\n"))
		if got := first + string(b.data); got != "abcd\njk\n" || b.dropped != 5 {
			t.Errorf("%q, %d bytes dropped", got, b.dropped)
		}
	})
}
