package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// slow is a file that takes nothing until it is open.
type slow struct {
	open chan struct{}
	bytes.Buffer
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.open
	return s.Buffer.Write(p)
}

// A running program waits when its output is not taken; what is left of one that may have ended is taken at once.
func TestBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := &slow{open: make(chan struct{})}
		began := time.Now()
		b := newBacklog(to, func() bool { return time.Since(began) >= 10*time.Minute })
		var want bytes.Buffer
		write := func(n int) time.Duration {
			began := time.Now()
			text := []byte(strings.Repeat(fmt.Sprint(want.Len(), "\n"), n)[:n])
			want.Write(text)
			if m, err := b.Write(text); m != n || err != nil {
				t.Errorf("%d, %v", m, err)
			}
			return time.Since(began)
		}
		if took := write(maxBacklog); took != 0 {
			t.Errorf("it waited for %v with room left", took)
		}
		if took := write(1); took != 10*time.Minute {
			t.Errorf("a program that ran for 10m more waited for %v", took)
		}
		var took time.Duration
		for range 100 {
			took += write(maxLate / 200)
		}
		if took > stallPatience {
			t.Errorf("the output of a program that has ended waited for %v", took)
		}
		time.AfterFunc(time.Until(began.Add(time.Hour)), func() { close(to.open) })
		if write(maxHeld); time.Since(began) != time.Hour {
			t.Errorf("more than a daemon holds was taken after %v", time.Since(began))
		}
		b.close()
		if !bytes.Equal(to.Bytes(), want.Bytes()) {
			t.Errorf("%d bytes of %d", to.Len(), want.Len())
		}
	})
}

func TestBacklogOfWhatNobodyWants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(broken{}, func() bool { return false })
		text := make([]byte, 2*maxBacklog)
		if n, err := b.Write(text); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := b.Write(text); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
		b.close()
	})
}

// TestOutputThatIsNotTaken has a program fill all there is between it and us, and end. Nothing is taken until the daemon says
// that it has ended, which is after it has given up waiting for what it holds. It is found out in both ways that the program
// has ended.
func TestOutputThatIsNotTaken(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	t.Run("Seen", func(t *testing.T) { t.Parallel(); outputNotTaken(t, true) })
	t.Run("Asked", func(t *testing.T) { t.Parallel(); outputNotTaken(t, false) })
}

func outputNotTaken(t *testing.T, seen bool) {
	t.Helper()
	r := newRuntime(t, Options{})
	if !r.host.Local() {
		t.Skip("the program's count is not seen from here")
	}
	r.sees = seen
	in, out, err := os.Pipe()
	check(t, err)
	defer in.Close()
	dir := t.TempDir()
	s := spec(archive(t, runtimetest.Rootfs(t)), "brim", "/mnt/count")
	s.Mounts = []runtime.Mount{{Source: dir, Target: "/mnt"}}
	h, err := r.Start(t.Context(), s, "late/1", out)
	check(t, errors.Join(err, out.Close()))
	select {
	case <-h.(*handle).ended:
	case <-time.After(patience):
		t.Fatal("the program has not ended")
	}
	got, err := io.ReadAll(in)
	check(t, err)
	count, err := os.ReadFile(filepath.Join(dir, "count"))
	check(t, err)
	want, err := strconv.Atoi(string(count))
	check(t, err)
	if exit := ended(t, h.(*handle)); len(got) != want || exit.Code != 0 || exit.Err != "" {
		t.Errorf("%d bytes of %d; exit %+v", len(got), want, exit)
	}
}
