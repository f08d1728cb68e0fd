package dirlock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

var since = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)

// TestMain is also the process that holds a directory until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DIRLOCK_TEST_HOLD"); dir != "" {
		l, err := Acquire(dir, since)
		if err == nil {
			err = l.SetListen("127.0.0.1:4566")
		}
		runtime.GC() // which must not give the lock away
		fmt.Println("held", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestOneHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, held, err := Read(dir); held || err != nil {
		t.Errorf("Read of an empty directory = %t, %v", held, err)
	}
	l, err := Acquire(dir, since)
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Acquire(dir, since); !errors.As(err, &held) || held.Holder != (Holder{PID: os.Getpid(), Since: since}) || held.Dir != dir {
		t.Errorf("a second Acquire returned %v", err)
	}
	if err := l.SetListen("127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if h, held, err := Read(dir); !held || err != nil || h.Listen != "127.0.0.1:1" {
		t.Errorf("Read = %+v, %t, %v", h, held, err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if h, held, err := Read(dir); held || err != nil || h != (Holder{}) {
		t.Errorf("Read after Release = %+v, %t, %v", h, held, err)
	}
	l, err = Acquire(dir, since)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestHolderDies: the lock of a process that is killed is free, and until then names it.
func TestHolderDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DIRLOCK_TEST_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it lives until it is killed
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	_, err = Acquire(dir, since)
	want := fmt.Sprintf("data directory %s is in use by process %d since 2026-11-23T18:00:00Z, listening on 127.0.0.1:4566", dir, cmd.Process.Pid)
	if err == nil || err.Error() != want {
		t.Errorf("Acquire returned %v, want %s", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l, err := Acquire(dir, since)
	if err != nil {
		t.Fatalf("after the holder's death: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestReaders: asking who holds a directory does not keep anybody from taking it.
func TestReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if _, _, err := Read(dir); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 50 {
		l, err := Acquire(dir, since)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
}

// TestMomentsAreWaitedFor: a lock that no living process claims is a reader's, or goes with a program that is just being
// started, however long a busy machine makes the moment.
func TestMomentsAreWaitedFor(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{"a reader's": "", "of a killed holder's child": `{"pid":2147483647}`} {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if free, err := tryLock(f, syscall.LOCK_SH); !free || err != nil {
			t.Fatalf("%v, %v", free, err)
		}
		unlocked := make(chan error, 1)
		time.AfterFunc(3*patience, func() { unlocked <- syscall.Flock(int(f.Fd()), syscall.LOCK_UN) })
		l, err := Acquire(dir, since)
		if err := <-unlocked; err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Acquire(dir, since)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(dir, since); err == nil || !strings.HasSuffix(err.Error(), "is in use by another process") {
		t.Errorf("Acquire returned %v", err)
	}
	if _, err := Acquire(filepath.Join(dir, "missing"), since); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Acquire of a missing directory returned %v", err)
	}
}
