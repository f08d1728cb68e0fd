package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/runtime/spawn"
	"github.com/batchbox/batchbox/internal/testenv"
)

// adoptVariable makes this test binary adoptingOwner, with the root of the programs as its value.
const adoptVariable = "PROCESS_TEST_ADOPT"

// ownVariable makes it own, in the same way.
const ownVariable = "PROCESS_TEST_OWN"

// TestStrays runs adoptingOwner in a process of its own, because adoption is for a whole process and for good.
func TestStrays(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), adoptVariable+"="+runtimetest.Rootfs(t))
	cmd.Stderr = os.Stderr
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// owner starts programs of the suite as a supervisor does.
type owner struct {
	rt   *Runtime
	root string
}

// start runs a program of one attempt of a job and returns the first line it writes.
func (o owner) start(job string, args ...string) (runtime.Handle, string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	spec := runtime.Spec{Image: runtime.Image{Rootfs: o.root}, Argv: append([]string{"/prog"}, args...)}
	if job != "" {
		spec.Env = []string{"AWS_BATCH_JOB_ID=" + job, "AWS_BATCH_JOB_ATTEMPT=1"}
	}
	h, err := o.rt.Start(context.Background(), spec, "", w)
	_ = w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	return h, strings.TrimSpace(line), err
}

// leaver runs a program that leaves a process in a session of its own behind, and returns that one's pid.
func (o owner) leaver(job string) (int, error) {
	h, line, err := o.start(job, "leave-quiet", "session")
	if err != nil {
		return 0, err
	}
	h.Wait()
	return strconv.Atoi(line)
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func vanish(pid int) error {
	for deadline := time.Now().Add(testenv.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if !alive(pid) {
			return nil
		}
	}
	return fmt.Errorf("process %d is still there", pid)
}

func adoptingOwner(root string) error {
	if err := spawn.Adopt(); err != nil {
		return err
	}
	rt, err := New(Options{Resolve: resolve})
	if err != nil {
		return err
	}
	rt.strays.delay = 50 * time.Millisecond
	o := owner{rt, root}
	// While another container of the attempt runs, the stray may be that one's.
	other, _, err := o.start("shared", "sleep")
	if err != nil {
		return err
	}
	kept, err := o.leaver("shared")
	if err != nil {
		return err
	}
	unmarked, err := o.leaver("")
	if err != nil {
		return err
	}
	// The end of a stray of the same moment says that the others have been looked at.
	ended, err := o.leaver("alone")
	if err != nil {
		return err
	}
	if err := vanish(ended); err != nil {
		return fmt.Errorf("no container of its attempt runs: %w", err)
	}
	if !alive(kept) {
		return errors.New("a stray was ended while a container of its attempt was running")
	}
	if !alive(unmarked) {
		return errors.New("a stray without a mark was ended while a container was running")
	}
	if err := other.Kill(); err != nil {
		return err
	}
	other.Wait()
	if err := errors.Join(vanish(kept), vanish(unmarked)); err != nil {
		return fmt.Errorf("nothing runs any more: %w", err)
	}
	if err := rt.Close(); err != nil {
		return err
	}
	// Close does not leave a scan undone.
	if rt, err = New(Options{Resolve: resolve}); err != nil {
		return err
	}
	rt.strays.delay = time.Hour
	o.rt = rt
	last, err := o.leaver("last")
	if err != nil {
		return err
	}
	if err := rt.Close(); err != nil {
		return err
	}
	return vanish(last)
}

// TestDiesWithItsOwner kills a process that owns a program, which the kernel then ends, before any successor comes.
func TestDiesWithItsOwner(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ownVariable+"="+runtimetest.Rootfs(t))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if kerr := cmd.Process.Kill(); err == nil {
		err = kerr
	}
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := vanish(pid); err != nil {
		t.Error(err)
	}
}

// own starts a program, writes its pid and waits to be killed.
func own(root string) error {
	rt, err := New(Options{Resolve: resolve})
	if err != nil {
		return err
	}
	h, _, err := owner{rt, root}.start("", "sleep")
	if err != nil {
		return err
	}
	fmt.Println(h.PID())
	time.Sleep(time.Hour)
	return nil
}

// TestReclaimWhereverTheyWent ends what an attempt left in a session of its own after its program had ended.
func TestReclaimWhereverTheyWent(t *testing.T) {
	t.Parallel()
	rt, err := New(Options{Resolve: resolve})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	o := owner{rt, runtimetest.Rootfs(t)}
	job := fmt.Sprintf("reclaim-%d", os.Getpid())
	h, line, err := o.start(job, "leave-quiet", "session")
	if err != nil {
		t.Fatal(err)
	}
	h.Wait()
	mine, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	others, err := o.leaver(job + "-another")
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(others, syscall.SIGKILL)
	token := h.(runtime.Recoverable).Token()
	if n, err := rt.Reclaim(t.Context(), []string{token}); n != 1 || err != nil {
		t.Errorf("%d containers, %v; want 1", n, err)
	}
	if err := vanish(mine); err != nil {
		t.Error(err)
	}
	if !alive(others) {
		t.Error("a process of another job was ended")
	}
	if n, err := rt.Reclaim(t.Context(), []string{token}); n != 0 || err != nil {
		t.Errorf("the second time %d containers, %v", n, err)
	}
	if _, err := rt.Reclaim(t.Context(), []string{"nonsense"}); err == nil {
		t.Error("a token that is none was accepted")
	}
}
