package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/testenv"
)

// roleVariable makes this test binary one of the programs below.
const roleVariable = "SPAWN_TEST_ROLE"

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "":
		goleak.VerifyTestMain(m)
	case "exit":
		code, err := strconv.Atoi(arg)
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	case "wait":
		time.Sleep(time.Hour)
	case "leave": // leaves a process in its group that holds the output
		leave(syscall.SysProcAttr{}, os.Stdout)
	case "leave-session": // leaves one in a session of its own that holds nothing
		leave(syscall.SysProcAttr{Setsid: true}, nil)
	case "adopt":
		if err := adoptingParent(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		panic(role)
	}
}

func leave(attr syscall.SysProcAttr, out *os.File) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{roleVariable + "=wait", "MARK=" + os.Getenv("MARK")}
	cmd.SysProcAttr = &attr
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Println(cmd.Process.Pid)
}

// command is this binary in a role.
func command(t testing.TB, role string) *Command {
	t.Helper()
	null, err := DevNull()
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return &Command{
		Path: os.Args[0], Argv: os.Args[:1], Env: []string{roleVariable + "=" + role},
		Stdin: null, Stdout: w.Fd(), Stderr: os.Stderr.Fd(),
		Sys: syscall.SysProcAttr{Setsid: true},
	}
}

func open(t testing.TB) *Host {
	h := Open()
	t.Cleanup(h.Close)
	return h
}

func run(t testing.TB, h *Host, role string) *Process {
	t.Helper()
	p, err := h.Start(command(t, role))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	h := open(t)
	var each sync.WaitGroup
	for code := range 60 {
		each.Go(func() {
			p := run(t, h, fmt.Sprint("exit ", code*4))
			ws, err := p.Wait()
			if err != nil || ExitCode(ws) != code*4 {
				t.Errorf("exit code %d, %v; want %d", ExitCode(ws), err, code*4)
			}
			if err := errors.Join(p.Signal(syscall.SIGTERM), p.SignalGroup(syscall.SIGKILL)); err != nil {
				t.Errorf("signal after the end: %v", err)
			}
		})
	}
	each.Wait()
}

func TestSignals(t *testing.T) {
	t.Parallel()
	h := open(t)
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGKILL: 137, syscall.SIGHUP: 129} {
		p := run(t, h, "wait")
		if err := p.Signal(sig); err != nil {
			t.Error(err)
		}
		if ws, err := p.Wait(); err != nil || ExitCode(ws) != code {
			t.Errorf("%v: exit code %d, %v; want %d", sig, ExitCode(ws), err, code)
		}
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	h := open(t)
	for path, want := range map[string]error{
		"/no/such/file": syscall.ENOENT,
		"/etc/passwd":   syscall.EACCES,
		"/":             syscall.EACCES,
	} {
		c := command(t, "exit 0")
		c.Path = path
		if _, err := h.Start(c); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	h := Open()
	h.Close()
	h.Close()
	if _, err := h.Start(command(t, "exit 0")); !errors.Is(err, ErrClosed) {
		t.Errorf("start on a closed host: %v", err)
	}
}

// TestGroupEndsWithItsLeader also shows that the group is gone before anyone is told: what it holds open is closed.
func TestGroupEndsWithItsLeader(t *testing.T) {
	t.Parallel()
	h := open(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := command(t, "leave")
	c.Stdout = w.Fd()
	p, err := h.Start(c)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if ws, err := p.Wait(); err != nil || ws != 0 {
		t.Fatalf("%v, %v", ws, err)
	}
	if err := r.SetReadDeadline(time.Now().Add(testenv.Patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		if _, err := r.Read(buf); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a process of the group is still there")
			}
			return
		}
	}
}

// TestNeighbours runs os/exec next to a Host: neither takes the other's children.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	h := open(t)
	var each sync.WaitGroup
	for i := range 40 {
		each.Go(func() {
			if ws, err := run(t, h, fmt.Sprint("exit ", i)).Wait(); err != nil || ExitCode(ws) != i {
				t.Errorf("host: exit code %d, %v; want %d", ExitCode(ws), err, i)
			}
		})
		each.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = []string{roleVariable + "=exit " + strconv.Itoa(i)}
			if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != i {
				t.Errorf("os/exec: %v; want exit code %d", err, i)
			}
		})
	}
	each.Wait()
}

// TestEndsBeforeItIsKnown has a program end before the fork that made it has come back: the reaper, which can not know
// whose it is, is asked again.
func TestEndsBeforeItIsKnown(t *testing.T) {
	open(t)
	c := command(t, "exit 9")
	reaping.beforeFork()
	pid, err := syscall.ForkExec(c.Path, c.Argv, &syscall.ProcAttr{Env: c.Env, Files: []uintptr{c.Stdin, c.Stdout, c.Stderr}, Sys: &c.Sys})
	if err != nil {
		reaping.afterFork(nil)
		t.Fatal(err)
	}
	for deadline := time.Now().Add(testenv.Patience); ; time.Sleep(time.Millisecond) {
		reaping.mu.Lock()
		missed := reaping.missed
		reaping.mu.Unlock()
		if missed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the reaper has not seen the zombie")
		}
	}
	p := &Process{id: identity{pid: pid}, group: true, done: make(chan struct{})}
	reaping.afterFork(p)
	select {
	case <-p.Done():
	case <-time.After(testenv.Patience):
		t.Fatal("its end is not reported")
	}
	if ws, err := p.Wait(); err != nil || ExitCode(ws) != 9 {
		t.Errorf("exit code %d, %v", ExitCode(ws), err)
	}
}

// TestStolen makes the reaper find that somebody else has waited for a process: its end is reported, its code is not made
// up.
func TestStolen(t *testing.T) {
	t.Parallel()
	p := &Process{id: identity{pid: 1 << 30}, done: make(chan struct{})}
	new(reaper).end(p)
	if _, err := p.Wait(); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("wait: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	h := open(t)
	p := run(t, h, "wait")
	id := p.id
	name := func(id identity) string { return fmt.Sprintf("%s:%d:%d:%d", Boot(), id.pid, id.from, id.to) }
	if got := p.Identity(); got != name(id) {
		t.Fatalf("identity %s, want %s", got, name(id))
	}
	const hour = int64(time.Hour)
	for what, s := range map[string]string{
		"a process of the number that was started earlier": name(identity{id.pid, id.from + hour, id.to + hour}),
		"a process of the number that was started later":   name(identity{id.pid, id.from - hour, id.to - hour}),
		"another boot": strings.Replace(p.Identity(), Boot(), "0123", 1),
	} {
		if there, err := EndGroup(s); there || err != nil {
			t.Errorf("%s: %v, %v", what, there, err)
		}
	}
	for _, s := range []string{"", "a:b", Boot() + ":0:1:2", Boot() + ":1:1:2", Boot() + ":-5:1:2", Boot() + ":77:x:2"} {
		if there, err := EndGroup(s); there || err == nil {
			t.Errorf("%q: %v, %v", s, there, err)
		}
	}
	select {
	case <-p.Done():
		t.Fatal("the process has ended")
	default:
	}
	if there, err := EndGroup(p.Identity()); !there || err != nil {
		t.Errorf("the process itself: %v, %v", there, err)
	}
	if ws, err := p.Wait(); err != nil || ExitCode(ws) != 137 {
		t.Errorf("exit code %d, %v", ExitCode(ws), err)
	}
	if there, err := EndGroup(p.Identity()); there || err != nil {
		t.Errorf("after its end: %v, %v", there, err)
	}
}

func BenchmarkStart(b *testing.B) {
	h := open(b)
	c := command(b, "exit 0")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := h.Start(c)
			if err != nil {
				b.Fatal(err)
			}
			if ws, err := p.Wait(); err != nil || ws != 0 {
				b.Fatal(ws, err)
			}
		}
	})
}
