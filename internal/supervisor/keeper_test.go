package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
)

func TestOneContainer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, words, want string }{
		{"Success", "exit=0", "main 0"},
		{"Failure", "exit=3", "main 3"},
		{"OutOfMemory", "oom", "main 137 oom"},
		{"NoSuchProgram", "start-error=CannotStartContainerError:_no_such_file", "main - (CannotStartContainerError: no such file)"},
		{"LostByRuntime", "lost=the_daemon_died", "main - (ContainerRuntimeError: the daemon died)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.start(taskOf("job/1", "main! print=hello "+tc.words))
			r := l.ended(t, "job/1")
			if got := outcome(r); got != tc.want {
				t.Errorf("ended as %s, want %s", got, tc.want)
			}
			reports := l.all()
			if strings.Contains(tc.want, "CannotStart") {
				if len(reports) != 1 || !r.StartedAt.IsZero() {
					t.Errorf("reports of what never started: %+v", reports)
				}
				return
			}
			if len(reports) != 2 || reports[0].Kind != runtime.Started || reports[1].Kind != runtime.Ended {
				t.Errorf("reports: %+v", reports)
			}
			if !r.StartedAt.Equal(began) || !r.Containers[0].StartedAt.Equal(began) || !r.Containers[0].StoppedAt.Equal(began) {
				t.Errorf("times: %+v", r)
			}
			if text, closed := l.sink.output("job/1/main"); text != "hello\n" || !closed {
				t.Errorf("output %q, closed %v", text, closed)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("job/1", "main! run=90s"))
	l.await(t, "job/1", runtime.Started, 1)
	l.clock.Advance(2 * time.Minute)
	r := l.ended(t, "job/1")
	at := began.Add(90 * time.Second)
	if c := r.Containers[0]; !r.StartedAt.Equal(began) || !c.StartedAt.Equal(began) || c.StoppedAt.Before(at) || r.At.Before(at) {
		t.Errorf("%+v", r)
	}
}

// TestSameKey starts a key again while it runs, after it has ended, and after its end was acknowledged: only then is it
// another start.
func TestSameKey(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	spec := taskOf("job/1", "main! block")
	l.start(spec, spec)
	l.start(spec)
	l.runs("job/1 main")
	if err := l.Ack([]string{"job/1", "unknown/1"}); err != nil {
		t.Fatal(err)
	}
	if list := l.List(); len(list) != 1 || list[0].Ended != nil {
		t.Errorf("a running task was acknowledged: %+v", list)
	}
	l.rt.Release("job/1", "main", runtime.Exit{Code: 4})
	first := l.ended(t, "job/1")
	l.start(spec)
	if again := l.await(t, "job/1", runtime.Ended, 2); !cmp.Equal(first, again) {
		t.Errorf("the report has changed: %s", cmp.Diff(first, again))
	}
	if n := l.rt.Starts("job/1", "main"); n != 1 {
		t.Errorf("%d starts", n)
	}
	if err := l.Ack([]string{"job/1"}); err != nil {
		t.Fatal(err)
	}
	if list := l.List(); len(list) != 0 {
		t.Errorf("after the acknowledgement: %+v", list)
	}
	l.start(taskOf("job/1", "main! exit=0"))
	l.await(t, "job/1", runtime.Ended, 3)
	if n := l.rt.Starts("job/1", "main"); n != 2 {
		t.Errorf("%d starts", n)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, containers string
		do               func(*lab)
		want             string
	}{
		{"Term", "main! block", func(l *lab) { l.stop("job/1"); l.stop("job/1") }, "main 143"},
		{"TermHandled", "main! block term-exit=0", func(l *lab) { l.stop("job/1") }, "main 0"},
		{"TermIgnored", "main! block ignore-term", func(l *lab) {
			l.stop("job/1")
			l.clock.AwaitTimers(1)
			l.clock.Advance(29 * time.Second)
			if len(l.rt.Running()) != 1 {
				l.t.Error("killed before the grace was over")
			}
			l.clock.Advance(time.Second)
		}, "main 137"},
		{"OwnStopTimeout", "main! block ignore-term stop-timeout=2s", func(l *lab) {
			l.stop("job/1")
			l.clock.AwaitTimers(1)
			l.clock.Advance(2 * time.Second)
		}, "main 137"},
		{"GraceGiven", "main! block ignore-term", func(l *lab) {
			l.stop("job/1", 120*time.Second)
			l.clock.AwaitTimers(1)
			l.clock.Advance(119 * time.Second)
			if len(l.rt.Running()) != 1 {
				l.t.Error("killed before the grace was over")
			}
			l.clock.Advance(time.Second)
		}, "main 137"},
		{"ShorterGraceCounts", "main! block ignore-term", func(l *lab) {
			l.stop("job/1")
			l.clock.AwaitTimers(1)
			l.stop("job/1", time.Minute)
			l.stop("job/1", time.Second)
			l.clock.Advance(time.Second)
		}, "main 137"},
		{"AtOnce", "main! block ignore-term", func(l *lab) { l.stop("job/1", 0) }, "main 137"},
		{"Several", "a! block; b! block term-exit=9; c block ignore-term", func(l *lab) {
			l.runs("job/1 a", "job/1 b", "job/1 c")
			l.stop("job/1")
			l.ends("job/1 a", "job/1 b")
			l.clock.AwaitTimers(1)
			l.clock.Advance(30 * time.Second)
		}, "a 143; b 9; c 137"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.start(taskOf("job/1", tc.containers))
			l.await(t, "job/1", runtime.Started, 1)
			tc.do(l)
			if got := outcome(l.ended(t, "job/1")); got != tc.want {
				t.Errorf("ended as %s, want %s", got, tc.want)
			}
		})
	}
}

// TestStopWhatIsNotThere stops a key before it is started: it never is, and that is its end.
func TestStopWhatIsNotThere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.stop("job/1")
	if r := l.ended(t, "job/1"); len(r.Containers) != 0 || !r.StartedAt.IsZero() {
		t.Errorf("%+v", r)
	}
	l.start(taskOf("job/1", "main! exit=0"))
	l.await(t, "job/1", runtime.Ended, 2)
	if n := l.rt.Starts("job/1", "main"); n != 0 {
		t.Errorf("it was started %d times", n)
	}
}

// TestStopBeforeItsTurn stops a task that waits because as many are being started as may be.
func TestStopBeforeItsTurn(t *testing.T) {
	t.Parallel()
	h := newHeard()
	entered, leave := make(chan struct{}), make(chan struct{})
	rt := fake.New(fake.Options{Behave: func(_ runtime.Spec, task string) (fake.Behaviour, error) {
		if task == "slow/1" {
			close(entered)
			<-leave
		}
		return fake.Behaviour{}, nil
	}})
	k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{rt}, Reports: h.hear, StartParallelism: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	spec := func(key string) runtime.Task {
		s := taskOf(key, "main!")
		s.Containers[0].Log = nil
		return s
	}
	if err := k.Start([]runtime.Task{spec("slow/1")}); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := k.Start([]runtime.Task{spec("late/1")}); err != nil {
		t.Fatal(err)
	}
	if err := k.Stop([]StopRequest{{Key: "late/1"}}); err != nil {
		t.Fatal(err)
	}
	if got := outcome(h.ended(t, "late/1")); got != "main -" {
		t.Errorf("ended as %s", got)
	}
	close(leave)
	h.ended(t, "slow/1")
	if n := rt.Starts("late/1", "main"); n != 0 {
		t.Errorf("it was started %d times", n)
	}
}

func TestSeveralContainers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, containers string
		do               func(*lab)
		want             string // alternatives, where it is chance how far a container has come
		never            string // containers that must not have been started
	}{
		{name: "EssentialEndStopsTheOthers", containers: "main! run=1s; side block; other block term-exit=5",
			do: func(l *lab) {
				l.runs("job/1 main", "job/1 side", "job/1 other")
				l.clock.AwaitTimers(1)
				l.clock.Advance(time.Second)
			}, want: "main 0; side 143; other 5"},
		{name: "OthersEndIsNothing", containers: "main! run=5s; side exit=1",
			do: func(l *lab) {
				l.runs("job/1 main", "job/1 side")
				l.clock.AwaitTimers(1)
				l.clock.Advance(5 * time.Second)
			}, want: "main 0; side 1"},
		{name: "AnyEssentialEnds", containers: "one! block; two! exit=2", want: "one 143; two 2 | one -; two 2"},
		{name: "EssentialCanNotStart", containers: "main! start-error=CannotStartContainerError:_no; side block",
			want: "main - (CannotStartContainerError: no); side - | main - (CannotStartContainerError: no); side 143"},
		{name: "OtherCanNotStart", containers: "main! @side:START; side start-error=CannotStartContainerError:_no",
			want:  "main 143 (CannotStartContainerError: container main depends on container side, which will never start); side - (CannotStartContainerError: no)",
			never: "main"},
		{name: "AfterStart", containers: "main! @side:START exit=0; side block", want: "main 0; side 143"},
		{name: "AfterSuccess", containers: "main! @init:SUCCESS exit=7; init exit=0", want: "main 7; init 0"},
		{name: "AfterFailure", containers: "main! @init:SUCCESS exit=7; init exit=1",
			want:  "main 143 (CannotStartContainerError: container main depends on container init, which did not exit successfully); init 1",
			never: "main"},
		{name: "AfterCompletion", containers: "main! @init:COMPLETE exit=7; init exit=1", want: "main 7; init 1"},
		{name: "Chain", containers: "c! @b:SUCCESS exit=3; b @a:SUCCESS; a", want: "c 3; b 0; a 0"},
		{name: "BrokenChain", containers: "c! @b:COMPLETE; b @a:SUCCESS; a exit=1",
			want:  "c 143 (CannotStartContainerError: container c depends on container b, which will never start); b 143 (CannotStartContainerError: container b depends on container a, which did not exit successfully); a 1",
			never: "b c"},
		{name: "OtherGivesUp", containers: "main! run=1s; side @init:SUCCESS; init exit=1",
			do: func(l *lab) {
				l.runs("job/1 main", "job/1 init")
				l.clock.AwaitTimers(1)
				l.clock.Advance(time.Second)
			},
			want:  "main 0; side -; init 1 | main 0; side 143 (CannotStartContainerError: container side depends on container init, which did not exit successfully); init 1",
			never: "side"},
		{name: "StartTimeout", containers: "main! @init:SUCCESS; init block start-timeout=10s",
			do: func(l *lab) {
				l.runs("job/1 init")
				l.clock.AwaitTimers(1)
				l.clock.Advance(10 * time.Second)
			},
			want:  "main 143 (CannotStartContainerError: container main has waited for container init to reach SUCCESS longer than its startTimeout of 10s); init 143",
			never: "main"},
		{name: "StartTimeoutIsNotForStart", containers: "main! @side:START run=1m; side block start-timeout=10s",
			do: func(l *lab) {
				l.runs("job/1 main", "job/1 side")
				l.clock.AwaitTimers(2)
				l.clock.Advance(time.Minute)
			}, want: "main 0; side 143"},
		{name: "Circle", containers: "a! @b:START; b @a:START",
			want:  "a 143 (CannotStartContainerError: its dependencies form a circle); b 143 (CannotStartContainerError: its dependencies form a circle)",
			never: "a b"},
		{name: "UnknownDependency", containers: "a! @x:START",
			want: "a 143 (CannotStartContainerError: container a depends on container x, which does not exist)", never: "a"},
		{name: "UnknownCondition", containers: "a! @b:HEALTHY; b block",
			want: `a 143 (CannotStartContainerError: container a: dependency condition "HEALTHY" is none of START, COMPLETE, SUCCESS); b -`, never: "a b"},
		{name: "StoppedWhileWaiting", containers: "main! @init:SUCCESS; init block",
			do: func(l *lab) { l.runs("job/1 init"); l.stop("job/1") }, want: "main -; init 143", never: "main"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.start(taskOf("job/1", tc.containers))
			if tc.do != nil {
				tc.do(l)
			}
			got := outcome(l.ended(t, "job/1"))
			if !slices.Contains(strings.Split(tc.want, " | "), got) {
				t.Errorf("ended as\n%s, want\n%s", got, tc.want)
			}
			for _, c := range strings.Fields(tc.never) {
				if n := l.rt.Starts("job/1", c); n != 0 {
					t.Errorf("container %s was started", c)
				}
			}
		})
	}
}

// TestStopOrder stops containers in the reverse of the order in which they depend on each other.
func TestStopOrder(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("job/1", "main! @proxy:START block ignore-term stop-timeout=5s; proxy @net:START block; net block"))
	l.runs("job/1 main", "job/1 proxy", "job/1 net")
	l.await(t, "job/1", runtime.Started, 1)
	l.stop("job/1")
	if n := l.clock.Timers(); n != 1 {
		t.Errorf("%d containers have been sent the stop signal, want main alone", n)
	}
	l.clock.Advance(5 * time.Second)
	if got := outcome(l.ended(t, "job/1")); got != "main 137; proxy 143; net 143" {
		t.Errorf("ended as %s", got)
	}
}

// TestStartedReport comes when the first essential container starts, not before.
func TestStartedReport(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("job/1", "init block; main! @init:COMPLETE block"))
	l.runs("job/1 init")
	if got := l.all(); len(got) != 0 {
		t.Errorf("reports while the essential container waits: %+v", got)
	}
	if list := l.List(); len(list) != 1 || !list[0].StartedAt.IsZero() {
		t.Errorf("list: %+v", list)
	}
	l.rt.Release("job/1", "init", runtime.Exit{})
	l.await(t, "job/1", runtime.Started, 1)
	if list := l.List(); len(list) != 1 || !list[0].StartedAt.Equal(began) {
		t.Errorf("list: %+v", list)
	}
}

func TestUnknownRuntime(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	spec := taskOf("job/1", "main!")
	spec.Runtime = "native"
	l.start(spec)
	want := `main - (CannotCreateContainerError: runtime "native": the supervisor has no such runtime)`
	if got := outcome(l.ended(t, "job/1")); got != want {
		t.Errorf("ended as %s, want %s", got, want)
	}
}

// closable is a runtime under another name that notes that it is closed.
type closable struct {
	named
	closed chan struct{}
}

func (c closable) Close() error {
	close(c.closed)
	return c.named.Close()
}

// TestOpenRuntime opens a runtime when it is first asked for, once, and closes it in the end.
func TestOpenRuntime(t *testing.T) {
	t.Parallel()
	h := newHeard()
	other := closable{named{fake.New(fake.Options{}), "other"}, make(chan struct{})}
	opened := 0
	k, err := NewKeeper(Options{
		Runtimes: []runtime.Runtime{fake.New(fake.Options{})}, Logs: &memorySink{}, Reports: h.hear,
		Open: func(_ context.Context, name string) (runtime.Runtime, error) {
			if name != "other" {
				return nil, errors.New("not on this machine")
			}
			opened++
			return other, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var tasks []runtime.Task
	for i := range 20 {
		spec := taskOf(fmt.Sprintf("job:%d/1", i), "main! exit=2")
		spec.Runtime = "other"
		tasks = append(tasks, spec)
	}
	absent := taskOf("absent/1", "main!")
	absent.Runtime = "docker"
	if err := k.Start(append(tasks, absent)); err != nil {
		t.Fatal(err)
	}
	for _, spec := range tasks {
		if got := outcome(h.ended(t, spec.Key)); got != "main 2" {
			t.Errorf("ended as %s", got)
		}
		if n := other.Starts(spec.Key, "main"); n != 1 {
			t.Errorf("%s was started %d times by the runtime it asked for", spec.Key, n)
		}
	}
	want := `main - (CannotCreateContainerError: runtime "docker": not on this machine)`
	if got := outcome(h.ended(t, "absent/1")); got != want {
		t.Errorf("ended as %s, want %s", got, want)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.closed:
	default:
		t.Error("it was not closed")
	}
	if opened != 1 {
		t.Errorf("it was opened %d times", opened)
	}
}

func TestSecondRuntime(t *testing.T) {
	t.Parallel()
	h := newHeard()
	caps := runtime.Capabilities{}
	one, two := fake.New(fake.Options{}), named{fake.New(fake.Options{Capabilities: &caps}), "two"}
	k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{one, two}, Logs: &memorySink{}, Reports: h.hear})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	a, b := taskOf("a/1", "main!"), taskOf("b/1", "main!")
	b.Runtime = "two"
	if err := k.Start([]runtime.Task{a, b}); err != nil {
		t.Fatal(err)
	}
	h.ended(t, "a/1")
	h.ended(t, "b/1")
	if one.Starts("a/1", "main") != 1 || two.Starts("b/1", "main") != 1 {
		t.Error("the tasks were not run by their runtimes")
	}
}

type named struct {
	*fake.Runtime
	name string
}

func (n named) Name() string { return n.name }

func TestStopAll(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("a/1", "main! block"), taskOf("b/1", "main! block ignore-term"), taskOf("c/1", "main! exit=0"))
	l.runs("a/1 main", "b/1 main", "c/1 main")
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.StopAll(late, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("StopAll: %v", err)
	}
	none := time.Duration(0)
	if err := l.StopAll(t.Context(), &none); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"b/1": "main 137", "c/1": "main 0"} {
		if got := outcome(l.ended(t, key)); got != want {
			t.Errorf("%s ended as %s, want %s", key, got, want)
		}
	}
	if s := l.Stats(); s.Tasks != 3 || s.Running != 0 || s.Started != 3 || s.Ended != 3 {
		t.Errorf("%+v", s)
	}
}

func TestClosedKeeper(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(taskOf("a/1", "main! block ignore-term; side block"))
	l.runs("a/1 main", "a/1 side")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := outcome(l.ended(t, "a/1")); got != "main 137; side 137" {
		t.Errorf("ended as %s", got)
	}
	for what, err := range map[string]error{
		"Start": l.Start([]runtime.Task{taskOf("b/1", "main!")}),
		"Stop":  l.Stop([]StopRequest{{Key: "b/1"}}),
		"Ack":   l.Ack([]string{"a/1"}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed keeper: %v", what, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	if _, err := NewKeeper(Options{Reports: func([]runtime.Report) {}}); err == nil {
		t.Error("a keeper without a runtime")
	}
	if _, err := NewKeeper(Options{Runtimes: []runtime.Runtime{fake.New(fake.Options{})}}); err == nil {
		t.Error("a keeper that reports to nobody")
	}
}

// TestNoReportHoldsUpACaller starts and stops from within a call of Reports, and while one is under way.
func TestNoReportHoldsUpACaller(t *testing.T) {
	t.Parallel()
	var k *Keeper
	h := newHeard()
	rt := fake.New(fake.Options{})
	k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{rt}, Logs: &memorySink{}, Reports: func(reports []runtime.Report) {
		for _, r := range reports {
			var n int
			if _, err := fmt.Sscanf(r.Key, "job-%d/1", &n); err == nil && r.Kind == runtime.Ended && n < 50 {
				if err := errors.Join(k.Start([]runtime.Task{taskOf(fmt.Sprintf("job-%d/1", n+1), "main!")}), k.Ack([]string{r.Key})); err != nil {
					t.Error(err)
				}
			}
		}
		h.hear(reports)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.Start([]runtime.Task{taskOf("job-0/1", "main!")}); err != nil {
		t.Fatal(err)
	}
	h.ended(t, "job-50/1")
}

// TestAnyTask runs tasks of any shape, stopped or not, and checks what holds for all of them.
func TestAnyTask(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "containers")
		words := []string{"exit=0", "exit=1", "run=1s", "run=30s exit=2", "run=20s", "start-error=CannotStartContainerError:_no"}
		var parts []string
		for i := range n {
			s := fmt.Sprintf("c%d", i)
			if i == 0 || rapid.Bool().Draw(rt, "essential") {
				s += "!"
			}
			s += " " + rapid.SampledFrom(words).Draw(rt, "behaviour")
			if rapid.Bool().Draw(rt, "ignores SIGTERM") {
				s += " ignore-term"
			}
			for j := range n {
				if j != i && rapid.IntRange(0, 3).Draw(rt, "depends") == 0 {
					s += fmt.Sprintf(" @c%d:%s", j, rapid.SampledFrom([]string{"START", "COMPLETE", "SUCCESS"}).Draw(rt, "condition"))
				}
			}
			parts = append(parts, s)
		}
		stopAfter := rapid.IntRange(-1, 40).Draw(rt, "seconds until it is stopped")

		h, clock := newHeard(), fake.NewClock(began)
		frt := fake.New(fake.Options{Clock: clock})
		k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{frt}, Logs: &memorySink{}, Reports: h.hear, Clock: clock})
		if err != nil {
			rt.Fatal(err)
		}
		spec := taskOf("job/1", strings.Join(parts, ";"))
		if err := k.Start([]runtime.Task{spec}); err != nil {
			rt.Fatal(err)
		}
		deadline := time.Now().Add(patience)
		for second := 0; ; second++ {
			if second == stopAfter {
				if err := k.Stop([]StopRequest{{Key: "job/1"}}); err != nil {
					rt.Fatal(err)
				}
			}
			if list := k.List(); list[0].Ended != nil {
				break
			}
			if time.Now().After(deadline) {
				rt.Fatalf("the task does not end: %v", frt.Running())
			}
			clock.Advance(time.Second)
			if second > 1000 {
				time.Sleep(time.Millisecond) // what is left is for the others to do
			}
		}
		if err := k.Close(); err != nil {
			rt.Fatal(err)
		}
		started, ended := 0, 0
		for _, r := range h.all() {
			switch r.Kind {
			case runtime.Started:
				started++
				if ended > 0 {
					rt.Error("started after it had ended")
				}
			case runtime.Ended:
				ended++
				byName := make(map[string]runtime.ContainerReport)
				for _, c := range r.Containers {
					byName[c.Name] = c
				}
				for _, c := range spec.Containers {
					checkContainer(rt, frt, c, byName)
				}
			}
		}
		if ended != 1 || started > 1 {
			rt.Errorf("%d reports that it started, %d that it ended", started, ended)
		}
	})
}

// checkContainer checks one container's report against its dependencies'.
func checkContainer(t *rapid.T, rt *fake.Runtime, c runtime.Container, by map[string]runtime.ContainerReport) {
	r := by[c.Name]
	starts := rt.Starts("job/1", c.Name)
	if starts > 1 || (starts == 1) == r.StartedAt.IsZero() {
		t.Errorf("%s was started %d times; its report: %+v", c.Name, starts, r)
	}
	if starts == 1 && (r.ExitCode == nil || r.StoppedAt.Before(r.StartedAt)) {
		t.Errorf("%s ran, and its report is %+v", c.Name, r)
	}
	if starts == 0 {
		return
	}
	for _, d := range c.DependsOn {
		on := by[d.ContainerName]
		if on.StartedAt.IsZero() || on.StartedAt.After(r.StartedAt) {
			t.Errorf("%s started before %s: %+v, %+v", c.Name, on.Name, r, on)
		}
		if d.Condition != runtime.ConditionStart && on.StoppedAt.After(r.StartedAt) {
			t.Errorf("%s started before %s ended: %+v, %+v", c.Name, on.Name, r, on)
		}
		if d.Condition == runtime.ConditionSuccess && *on.ExitCode != 0 {
			t.Errorf("%s started after %s failed", c.Name, on.Name)
		}
	}
}
