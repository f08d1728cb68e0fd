package fake

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
)

func start(t *testing.T, r *Runtime, task string, argv ...string) (runtime.Handle, *os.File, error) {
	t.Helper()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	h, err := r.Start(t.Context(), runtime.Spec{Name: "default", Argv: argv}, task, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return h, out, err
}

func TestBehaviours(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		task string
		argv []string
		do   func(*Runtime, runtime.Handle, *Clock)
		want runtime.Exit
	}{
		{name: "EndsAtOnce", argv: []string{"/worker"}},
		{name: "ExitCode", argv: []string{"exit=3"}, want: runtime.Exit{Code: 3}},
		{name: "FirstAttempt", task: "job/1", argv: []string{"exit=1,2,0"}, want: runtime.Exit{Code: 1}},
		{name: "SecondAttempt", task: "job:4/2", argv: []string{"exit=1,2,0"}, want: runtime.Exit{Code: 2}},
		{name: "LaterAttempt", task: "job/9", argv: []string{"exit=1,2,0"}, want: runtime.Exit{Code: 0}},
		{name: "OOM", argv: []string{"oom"}, want: runtime.Exit{Code: 137, OOM: true}},
		{name: "Lost", argv: []string{"lost=the daemon died"}, want: runtime.Exit{Err: "the daemon died"}},
		{name: "Runs", argv: []string{"run=5s", "exit=7"}, want: runtime.Exit{Code: 7},
			do: func(_ *Runtime, _ runtime.Handle, c *Clock) { c.Advance(4 * time.Second); c.Advance(time.Second) }},
		{name: "Term", argv: []string{"run=5s"}, want: runtime.Exit{Code: 143},
			do: func(_ *Runtime, h runtime.Handle, _ *Clock) { h.Signal("SIGTERM"); h.Signal("SIGTERM") }},
		{name: "TermExit", argv: []string{"block", "term-exit=0"}, want: runtime.Exit{Code: 0},
			do: func(_ *Runtime, h runtime.Handle, _ *Clock) { h.Signal("SIGTERM") }},
		{name: "IgnoreTerm", argv: []string{"block", "ignore-term"}, want: runtime.Exit{Code: 137},
			do: func(_ *Runtime, h runtime.Handle, _ *Clock) { h.Signal("SIGTERM"); h.Kill(); h.Kill() }},
		{name: "Released", argv: []string{"block"}, want: runtime.Exit{Code: 5},
			do: func(r *Runtime, _ runtime.Handle, _ *Clock) { r.Release("job/1", "default", runtime.Exit{Code: 5}) }},
		{name: "Swept", argv: []string{"block"}, want: runtime.Exit{Code: 137},
			do: func(r *Runtime, _ runtime.Handle, _ *Clock) { r.Sweep(t.Context(), "") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			r := New(Options{Clock: c})
			if tc.task == "" {
				tc.task = "job/1"
			}
			h, _, err := start(t, r, tc.task, tc.argv...)
			if err != nil {
				t.Fatal(err)
			}
			if tc.do != nil {
				if got := r.Running(); len(got) != 1 {
					t.Fatalf("running: %v", got)
				}
				tc.do(r, h, c)
			}
			if diff := cmp.Diff(tc.want, h.Wait()); diff != "" {
				t.Error(diff)
			}
			if err := errors.Join(r.Await(t.Context(), tc.task, "default"), r.AwaitEnd(t.Context(), tc.task, "default")); err != nil {
				t.Error(err)
			}
			if got := r.Running(); len(got) != 0 {
				t.Errorf("still running: %v", got)
			}
			if n := r.Starts(tc.task, "default"); n != 1 {
				t.Errorf("%d starts", n)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	long := strings.Repeat("x", 300<<10)
	h, out, err := start(t, r, "job/1", "print=one two", "print="+long)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "one two\n" + long + "\n"; string(got) != want {
		t.Errorf("%d bytes of output, want %d", len(got), len(want))
	}
	h.Wait()
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for _, tc := range []struct{ word, want string }{
		{"start-error=CannotStartContainerError: no such file", "CannotStartContainerError: no such file"},
		{"exit=three", `CannotStartContainerError: fake runtime: word "exit=three": strconv.Atoi: parsing "three": invalid syntax`},
	} {
		_, _, err := start(t, r, "job/1", tc.word)
		var se *runtime.StartError
		if !errors.As(err, &se) || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.word, err, tc.want)
		}
	}
	if _, _, err := start(t, r, "job/1", "block"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := start(t, r, "job/1", "block"); err == nil {
		t.Error("a container was started while it was running")
	}
}

func TestEnvironmentBehaviour(t *testing.T) {
	t.Parallel()
	b, err := Parse(runtime.Spec{Env: []string{"A=1", "FAKE=run=2s exit=4"}, Argv: []string{"exit=5"}}, "job/1")
	if err != nil || b.Run != 2*time.Second || b.Exit.Code != 5 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewClock(began)
	var got []string
	note := func(what string) func() {
		return func() { got = append(got, what+" at "+c.Now().Sub(began).String()) }
	}
	c.AfterFunc(3*time.Second, note("three"))
	stopped := c.AfterFunc(time.Second, note("stopped"))
	c.AfterFunc(2*time.Second, func() {
		note("two")()
		c.AfterFunc(500*time.Millisecond, note("half"))
	})
	c.AwaitTimers(3)
	if n := c.Timers(); n != 3 {
		t.Errorf("%d timers", n)
	}
	if !stopped.Stop() || stopped.Stop() {
		t.Error("a timer can be stopped once")
	}
	c.Advance(2999 * time.Millisecond)
	want := []string{"two at 2s", "half at 2.5s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c.Advance(time.Hour)
	if diff := cmp.Diff(append(want, "three at 3s"), got); diff != "" {
		t.Error(diff)
	}
	if now := c.Now().Sub(began); now != time.Hour+2999*time.Millisecond {
		t.Errorf("the clock shows %v", now)
	}
}
