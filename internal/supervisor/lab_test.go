package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
	"github.com/batchbox/batchbox/internal/testenv"
)

// patience bounds every wait in these tests.
const patience = testenv.Patience

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// heard collects reports.
type heard struct {
	mu      sync.Mutex
	reports []runtime.Report
	more    chan struct{} // closed and replaced with each report
}

func newHeard() *heard { return &heard{more: make(chan struct{})} }

func (h *heard) hear(reports []runtime.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, reports...)
	close(h.more)
	h.more = make(chan struct{})
}

func (h *heard) all() []runtime.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.reports)
}

// await returns the n-th report (from 1) of a kind about a task.
func (h *heard) await(t testing.TB, key string, kind runtime.ReportKind, n int) runtime.Report {
	t.Helper()
	late := time.After(patience)
	for {
		h.mu.Lock()
		reports, more := h.reports, h.more
		h.mu.Unlock()
		found := 0
		for _, r := range reports {
			if r.Key == key && r.Kind == kind {
				if found++; found == n {
					return r
				}
			}
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no report %d that task %s has %s; of %d, the last are %+v", n, key, kind, len(reports), reports[max(0, len(reports)-3):])
		}
	}
}

func (h *heard) ended(t testing.TB, key string) runtime.Report {
	t.Helper()
	return h.await(t, key, runtime.Ended, 1)
}

// memorySink keeps output in memory.
type memorySink struct {
	mu      sync.Mutex
	streams map[string]*memoryStream
	opened  int
	synced  int // bytes that were there at the last Sync
	written int
	// fail is asked before each operation ("open", "write", "close", "sync").
	fail func(op string) error
}

type memoryStream struct {
	s      *memorySink
	buf    bytes.Buffer
	closed bool
}

func (s *memorySink) check(op string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(op)
}

func (s *memorySink) Open(target runtime.LogTarget) (LogStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("open"); err != nil {
		return nil, err
	}
	if s.streams == nil {
		s.streams = make(map[string]*memoryStream)
	}
	st := &memoryStream{s: s}
	s.streams[target.Stream] = st
	s.opened++
	return st, nil
}

func (s *memorySink) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("sync"); err != nil {
		return err
	}
	s.synced = s.written
	return nil
}

func (s *memorySink) Close() error { return nil }

func (st *memoryStream) Write(p []byte) (int, error) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if err := st.s.check("write"); err != nil {
		return 0, err
	}
	st.s.written += len(p)
	return st.buf.Write(p)
}

func (st *memoryStream) Close() error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if err := st.s.check("close"); err != nil {
		return err
	}
	st.closed = true
	return nil
}

// output is what a stream has received.
func (s *memorySink) output(stream string) (text string, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[stream]
	if st == nil {
		return "", false
	}
	return st.buf.String(), st.closed
}

func (s *memorySink) allSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.synced == s.written
}

// lab is a Keeper with a fake runtime.
type lab struct {
	*Keeper
	*heard
	t     *testing.T
	rt    *fake.Runtime
	clock *fake.Clock
	sink  *memorySink
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, heard: newHeard(), clock: fake.NewClock(began), sink: &memorySink{}}
	l.rt = fake.New(fake.Options{Clock: l.clock})
	k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{l.rt}, Logs: l.sink, Reports: l.hear, Clock: l.clock})
	if err != nil {
		t.Fatal(err)
	}
	l.Keeper = k
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close the keeper: %v", err)
		}
		if running := l.rt.Running(); len(running) > 0 {
			t.Errorf("still running after Close: %v", running)
		}
	})
	return l
}

// taskOf makes a task of containers written as "name[!] words; name[!] words", "!" for an essential one. Words that begin
// with an @ are dependencies ("@init:SUCCESS").
func taskOf(key, containers string) runtime.Task {
	t := runtime.Task{Key: key}
	for _, text := range strings.Split(containers, ";") {
		words := strings.Fields(text)
		name, essential := strings.CutSuffix(words[0], "!")
		c := runtime.Container{
			Spec:      runtime.Spec{Name: name, StopTimeout: 30 * time.Second},
			Essential: essential,
			Log:       &runtime.LogTarget{Account: "1", Region: "r", Group: "g", Stream: key + "/" + name},
		}
		for _, w := range words[1:] {
			if d, ok := strings.CutPrefix(w, "@"); ok {
				on, condition, _ := strings.Cut(d, ":")
				c.DependsOn = append(c.DependsOn, runtime.Dependency{ContainerName: on, Condition: runtime.Condition(condition)})
				continue
			}
			if d, ok := strings.CutPrefix(w, "stop-timeout="); ok {
				c.StopTimeout = must(time.ParseDuration(d))
				continue
			}
			if d, ok := strings.CutPrefix(w, "start-timeout="); ok {
				c.StartTimeout = must(time.ParseDuration(d))
				continue
			}
			c.Argv = append(c.Argv, strings.ReplaceAll(w, "_", " "))
		}
		t.Containers = append(t.Containers, c)
	}
	return t
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (l *lab) start(tasks ...runtime.Task) {
	l.t.Helper()
	if err := l.Start(tasks); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) stop(key string, grace ...time.Duration) {
	l.t.Helper()
	r := StopRequest{Key: key, Reason: "test"}
	if len(grace) > 0 {
		r.Grace = &grace[0]
	}
	if err := l.Stop([]StopRequest{r}); err != nil {
		l.t.Fatal(err)
	}
}

// runs waits until containers ("task container") have been started and the keeper knows it; containers that have ended
// meanwhile count.
func (l *lab) runs(containers ...string) {
	l.t.Helper()
	for _, c := range containers {
		key, name, _ := strings.Cut(c, " ")
		until(l.t, c+" runs", func() bool {
			l.Keeper.mu.Lock()
			task := l.tasks[key]
			l.Keeper.mu.Unlock()
			task.mu.Lock()
			defer task.mu.Unlock()
			c := task.find(name)
			return c == nil || c.ran
		})
	}
}

// ends waits until containers have ended.
func (l *lab) ends(containers ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for _, c := range containers {
		task, container, _ := strings.Cut(c, " ")
		if err := l.rt.AwaitEnd(ctx, task, container); err != nil {
			l.t.Fatal(err)
		}
	}
}

// until waits for what nobody announces.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// outcome writes how the containers of a task ended: "name code", "name -" for one that never ran, with what was the
// matter in parentheses.
func outcome(r runtime.Report) string {
	var parts []string
	for _, c := range r.Containers {
		s := c.Name + " "
		switch {
		case c.ExitCode != nil:
			s += fmt.Sprint(*c.ExitCode)
		default:
			s += "-"
		}
		if c.OOM {
			s += " oom"
		}
		if c.StartError != "" {
			s += " (" + c.StartError + ")"
		}
		parts = append(parts, s)
	}
	if r.Lost {
		parts = append(parts, "lost")
	}
	return strings.Join(parts, "; ")
}
