package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
)

// These tests run supervisors as processes of their own, with the process runtime and the log store, and kill them and
// their clients with SIGKILL.

// engineVariable makes this test binary a client that starts tasks and never acknowledges any: its value is an engineWork.
const engineVariable = "SUPERVISOR_TEST_ENGINE"

type engineWork struct {
	Dir   string
	Tasks []runtime.Task
	// Await is how many Started reports it waits for before it says so.
	Await int
}

func engine(work string) error {
	var w engineWork
	if err := json.Unmarshal([]byte(work), &w); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(superviseVariable, w.Dir); err != nil {
		return err
	}
	if err := os.Unsetenv(engineVariable); err != nil {
		return err
	}
	var mu sync.Mutex
	started := 0
	c, err := NewClient(ClientOptions{Dir: w.Dir, Command: []string{exe}, Reports: func(reports []runtime.Report) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range reports {
			if r.Kind == runtime.Started {
				if started++; started == w.Await {
					fmt.Println("started")
				}
			}
		}
	}})
	if err != nil {
		return err
	}
	if err := c.Start(w.Tasks); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

// site is a directory whose supervisors are processes.
type site struct {
	t    testing.TB
	dir  string
	root string
	// job makes keys that no other test has: processes are recognised by them.
	job string
}

func newSite(t testing.TB) *site {
	t.Helper()
	// The socket's path has to fit, and t.TempDir may be long.
	dir, err := os.MkdirTemp("", "sup")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, root: runtimetest.Rootfs(t), job: fmt.Sprintf("stress-%d-%d", os.Getpid(), rand.Uint32())}
	t.Cleanup(func() {
		if left := s.processes(); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
		if t.Failed() {
			if b, err := os.ReadFile(filepath.Join(dir, logFile)); err == nil {
				t.Logf("the supervisor's log:\n%s", b)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

// client connects to the site's supervisor, starting it if need be.
func (s *site) client(known ...string) *caller {
	s.t.Helper()
	return s.clientThatLingers(0, known...)
}

func (s *site) clientThatLingers(linger time.Duration, known ...string) *caller {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := connectWith(s.t, ClientOptions{Dir: s.dir, Known: known, Linger: linger, Command: []string{"/usr/bin/env", superviseVariable + "=" + s.dir, exe}})
	s.t.Cleanup(func() {
		none := time.Duration(0)
		if err := c.Shutdown(context.Background(), &none); err != nil && !errors.Is(err, ErrClosed) {
			s.t.Errorf("shutdown: %v", err)
		}
	})
	return c
}

func (s *site) key(i, attempt int) string { return fmt.Sprintf("%s:%d/%d", s.job, i, attempt) }

// task runs the suite's program as a job would run, with the variables that name the attempt.
func (s *site) task(i, attempt int, args ...string) runtime.Task {
	return runtime.Task{Key: s.key(i, attempt), Containers: []runtime.Container{{
		Essential: true,
		Spec: runtime.Spec{
			Name: "main", Image: runtime.Image{Rootfs: s.root}, Argv: append([]string{"/prog"}, args...), StopTimeout: 10 * time.Second,
			Env: []string{"AWS_BATCH_JOB_ID=" + fmt.Sprintf("%s:%d", s.job, i), fmt.Sprintf("AWS_BATCH_JOB_ATTEMPT=%d", attempt)},
		},
		Log: s.target(i, attempt),
	}}}
}

func (s *site) target(i, attempt int) *runtime.LogTarget {
	return &runtime.LogTarget{Account: "1", Region: "r", Group: "g", Stream: s.key(i, attempt)}
}

// pid is the supervisor's, as its lock has it.
func (s *site) pid() int {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, lockFile))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func (s *site) kill(pid int) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// processes are those of the site's tasks, wherever they went, as far as this system shows environments.
func (s *site) processes() (pids []string) {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil && bytes.HasPrefix(b, []byte("AWS_BATCH_JOB_ID="+s.job)) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// lines are the log events of each stream.
func (s *site) lines() map[string][]string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "logs")
	names, err := logstore.ListSegments(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := make(map[string][]string)
	var buf, definitions logstore.ScanBuffer
	for _, name := range names {
		seg, err := logstore.OpenSegment(dir, name)
		if err != nil {
			s.t.Fatal(err)
		}
		size, err := seg.Size()
		if err != nil {
			s.t.Fatal(err)
		}
		_, err = seg.Scan(logstore.FirstRecord, size, &buf, func(r *logstore.Record) error {
			if r.Events == nil {
				return nil
			}
			d, err := seg.DefinitionAt(r.Events.Definition, &definitions)
			if err != nil {
				return err
			}
			r.Events.All(func(_ int, _ int64, message []byte) bool {
				lines[d.Key.Stream] = append(lines[d.Key.Stream], string(message))
				return true
			})
			return nil
		})
		if err != nil && !errors.Is(err, logstore.ErrDamaged) {
			s.t.Fatal(err)
		}
		_ = seg.Close()
	}
	return lines
}

func (c *caller) exits(key string, code int) {
	c.t.Helper()
	r := c.ended(c.t, key)
	if got, want := outcome(r), fmt.Sprintf("main %d", code); got != want {
		c.t.Errorf("%s ended as %s, want %s", key, got, want)
	}
}

// TestThousandTasks runs them all at once and reads their output back.
func TestThousandTasks(t *testing.T) {
	t.Parallel()
	const tasks, each = 1000, 20
	s := newSite(t)
	c := s.client()
	var all []runtime.Task
	for i := range tasks {
		all = append(all, s.task(i, 1, "lines", strconv.Itoa(each)))
	}
	c.start(all...)
	var want strings.Builder
	for i := range each {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	for i := range tasks {
		c.exits(s.key(i, 1), 0)
	}
	lines := s.lines()
	for i := range tasks {
		if got := strings.Join(lines[s.key(i, 1)], "\n") + "\n"; got != want.String() {
			t.Errorf("output of task %d: %.200q", i, got)
		}
		c.ack(s.key(i, 1))
	}
	until(t, "all is acknowledged", func() bool { return c.tasks() == 0 })
}

// TestEngineKilled kills a client that has tasks running, some of which end before the next one comes.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	work := engineWork{Dir: s.dir, Await: 20}
	var known []string
	for i := range 20 {
		args := []string{"lines", "50"}
		if i%2 == 0 {
			args = []string{"handle", "3"}
		}
		work.Tasks = append(work.Tasks, s.task(i, 1, args...))
		known = append(known, s.key(i, 1))
	}
	b, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), engineVariable+"="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("started\n"))); err != nil {
		t.Error(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	supervisor := s.pid()

	c := s.client(known...)
	for i := range 20 {
		if i%2 == 0 {
			until(t, "the program handles SIGTERM", func() bool { return len(s.lines()[s.key(i, 1)]) > 0 })
			if err := c.Stop([]StopRequest{{Key: s.key(i, 1)}}); err != nil {
				t.Fatal(err)
			}
			c.exits(s.key(i, 1), 3)
			continue
		}
		c.exits(s.key(i, 1), 0)
	}
	if now := s.pid(); now != supervisor {
		t.Errorf("the supervisor is %d now; it was %d", now, supervisor)
	}
	lines := s.lines()
	for i := range 20 {
		want := 50
		if i%2 == 0 {
			want = 2
		}
		if got := len(lines[s.key(i, 1)]); got != want {
			t.Errorf("task %d wrote %d lines, want %d: %q", i, got, want, lines[s.key(i, 1)])
		}
		c.ack(s.key(i, 1))
	}
}

// TestSupervisorKilled kills a supervisor whose tasks have spread over process groups and sessions. All of it ends, the
// client is told, and the successor works.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	const tasks = 30
	var all []runtime.Task
	for i := range tasks {
		// A child in its group, or in a session of its own, beside the program, which goes on.
		all = append(all, s.task(i, 1, "with-child", []string{"group", "session"}[i%2]))
	}
	finished := s.task(tasks, 1, "exit", "9")
	c.start(append(all, finished)...)
	for i := range tasks {
		c.await(t, s.key(i, 1), runtime.Started, 1)
	}
	c.exits(finished.Key, 9)
	if goruntime.GOOS == "linux" { // elsewhere nobody can see them
		until(t, "all children run", func() bool { return len(s.processes()) == 2*tasks })
	}
	first := s.pid()
	s.kill(first)
	for i := range tasks {
		if r := c.ended(t, s.key(i, 1)); !r.Lost {
			t.Errorf("%+v", r)
		}
	}
	if left := s.processes(); len(left) > 0 {
		until(t, "they are gone", func() bool { return len(s.processes()) == 0 })
	}
	// The end of the other is known all the same.
	if r := c.await(t, finished.Key, runtime.Ended, 2); r.Lost || outcome(r) != "main 9" {
		t.Errorf("%+v", r)
	}
	c.start(s.task(0, 2, "exit", "4"))
	c.exits(s.key(0, 2), 4)
	for i := range tasks + 1 {
		c.ack(s.key(i, 1), s.key(i, 2))
	}
	if now := s.pid(); now == first {
		t.Errorf("the supervisor is still %d", now)
	}
}

// TestKilledAgainAndAgain kills the supervisor at random moments while tasks run, and tries lost ones again, as the engine
// does. Each attempt runs at most once; each task is done in the end.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const tasks, width, kills = 200, 20, 8
	s := newSite(t)
	marks := filepath.Join(s.dir, "marks")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := s.client()
	run := func(i, attempt int) {
		c.start(s.task(i, attempt, "mark", marks, s.key(i, attempt), strconv.Itoa(rnd.IntN(20))))
	}
	attempts, done := make([]int, tasks), make(chan struct{})
	var killing sync.WaitGroup
	killing.Go(func() {
		rnd := rand.New(rand.NewPCG(seed, 1))
		for range kills {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(20+rnd.IntN(150)) * time.Millisecond):
			}
			// It may be between two lives.
			if b, err := os.ReadFile(filepath.Join(s.dir, lockFile)); err == nil {
				if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	})
	lost := 0
	for i := range tasks + width {
		if i < tasks {
			attempts[i] = 1
			run(i, 1)
		}
		if i < width {
			continue
		}
		i -= width
		for {
			r := c.ended(t, s.key(i, attempts[i]))
			c.ack(r.Key)
			if !r.Lost {
				if outcome(r) != "main 0" {
					t.Errorf("%s ended as %s", r.Key, outcome(r))
				}
				break
			}
			lost++
			attempts[i]++
			run(i, attempts[i])
		}
	}
	close(done)
	killing.Wait()
	t.Logf("%d attempts were lost", lost)
	b, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(map[string]int)
	for key := range strings.Lines(string(b)) {
		ran[strings.TrimSpace(key)]++
	}
	for key, n := range ran {
		if n > 1 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
	for i, n := range attempts {
		if ran[s.key(i, n)] != 1 {
			t.Errorf("task %d is done, but its attempt %d never ran", i, n)
		}
	}
}

// TestTwoEnginesAtOnce lets several clients need a supervisor at the same moment: they share one.
func TestTwoEnginesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	clients := []*caller{s.client(), s.client(), s.client()}
	for i, c := range clients {
		c.start(s.task(i, 1, "exit", strconv.Itoa(i)))
	}
	for i, c := range clients {
		c.exits(s.key(i, 1), i)
		c.ack(s.key(i, 1))
		if err := c.Err(); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// TestLeavesByItself ends a supervisor that has nothing left, and starts another when there is something again.
func TestLeavesByItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.clientThatLingers(10 * time.Millisecond)
	c.start(s.task(0, 1, "exit", "0"))
	c.exits(s.key(0, 1), 0)
	first := s.pid()
	c.ack(s.key(0, 1))
	until(t, "it is gone", func() bool {
		held, _, err := lock(fsys.OS, s.dir)
		if err == nil {
			_ = held.Close()
		}
		return err == nil
	})
	c.start(s.task(1, 1, "exit", "0"))
	c.exits(s.key(1, 1), 0)
	c.ack(s.key(1, 1))
	if s.pid() == first {
		t.Error("it was never gone")
	}
}

func TestCanNotLaunch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		command []string
		want    string
	}{
		"NoProgram": {[]string{"/no/such/program"}, "start a supervisor: fork/exec /no/such/program: no such file or directory"},
		"SaysWhy":   {[]string{"/bin/sh", "-c", "echo the disk is gone >&3"}, "start a supervisor: the disk is gone"},
		"SaysNothing": {[]string{"/bin/sh", "-c", "echo oh >&2; exit 1"},
			"start a supervisor: it ended before it was ready; see "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := connectWith(t, ClientOptions{Dir: dir, Command: tc.command})
			c.start(taskOf("a/1", "main!"))
			until(t, "the client says why", func() bool { return c.Err() != nil && strings.HasPrefix(c.Err().Error(), tc.want) })
			if b, err := os.ReadFile(filepath.Join(dir, logFile)); name == "SaysNothing" && (err != nil || !bytes.HasPrefix(b, []byte("oh\n"))) {
				t.Errorf("its log: %q, %v", b, err)
			}
			_ = c.Client.Close()
		})
	}
}
