package spawn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestAdopt runs adoptingParent in a process of its own, because adoption is for a whole process and for good.
func TestAdopt(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{roleVariable + "=adopt"}
	cmd.Stderr = os.Stderr
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// adoptingParent starts programs that leave orphans behind and checks that it gets them, reaps them and can end them.
func adoptingParent() error {
	if err := Adopt(); err != nil {
		return err
	}
	h := Open()
	defer h.Close()
	null, err := DevNull()
	if err != nil {
		return err
	}
	orphan := func(mark string) (int, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		defer r.Close()
		p, err := h.Start(&Command{
			Path: os.Args[0], Argv: os.Args[:1], Env: []string{roleVariable + "=leave-session", "MARK=" + mark},
			Stdin: null, Stdout: w.Fd(), Stderr: 2, Sys: syscall.SysProcAttr{Setsid: true},
		})
		_ = w.Close()
		if err != nil {
			return 0, err
		}
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil {
			return 0, err
		}
		if ws, err := p.Wait(); err != nil || ws != 0 {
			return 0, fmt.Errorf("leave-session: status %v, error %w", ws, err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return 0, err
		}
		s, err := readStat(pid)
		if err == nil && s.ppid != os.Getpid() {
			err = fmt.Errorf("the orphan's parent is %d", s.ppid)
		}
		return pid, err
	}
	a, err := orphan("a")
	if err != nil {
		return err
	}
	b, err := orphan("b")
	if err != nil {
		return err
	}

	// One that ends is reaped without anybody asking.
	if err := syscall.Kill(a, syscall.SIGKILL); err != nil {
		return err
	}
	if err := vanish(a); err != nil {
		return err
	}
	// One that is kept is left alone; one that is not ends.
	if n := KillOrphans(func(environ []byte) bool { return bytes.Contains(environ, []byte("MARK=b\x00")) }); n != 0 {
		return fmt.Errorf("%d orphans were killed that should be kept", n)
	}
	if n := KillOrphans(func([]byte) bool { return false }); n != 1 {
		return fmt.Errorf("%d orphans were killed, want 1", n)
	}
	if err := vanish(b); err != nil {
		return err
	}
	// Programs and children of os/exec are no orphans.
	p, err := h.Start(&Command{
		Path: os.Args[0], Argv: os.Args[:1], Env: []string{roleVariable + "=wait"},
		Stdin: null, Stdout: 1, Stderr: 2, Sys: syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{roleVariable + "=wait"}
	if err := cmd.Start(); err != nil {
		return err
	}
	if n := KillOrphans(func([]byte) bool { return false }); n != 0 {
		return fmt.Errorf("%d children were killed that are no orphans", n)
	}
	if err := errors.Join(p.Signal(syscall.SIGKILL), cmd.Process.Kill()); err != nil {
		return err
	}
	if ws, err := p.Wait(); err != nil || ExitCode(ws) != 137 {
		return fmt.Errorf("program: status %v, error %w", ws, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("child of os/exec: %w", err)
	}
	return nil
}

// vanish waits until there is no process of a number, not even a zombie.
func vanish(pid int) error {
	for deadline := time.Now().Add(testenv.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
	}
	s, err := readStat(pid)
	return fmt.Errorf("process %d is still there: %+v, %w", pid, s, err)
}

func TestReadStat(t *testing.T) {
	t.Parallel()
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.ppid != os.Getppid() || s.pgrp != syscall.Getpgrp() || !bytes.ContainsRune([]byte("RSD"), rune(s.state)) {
		t.Errorf("%+v", s)
	}
	if age := time.Duration(now() - s.started); age < 0 || age > time.Hour {
		t.Errorf("this process is %v old", age)
	}
}
