package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

const (
	// readyVariable names the descriptor on which a supervisor says that it is ready, or why it is not.
	readyVariable = "BATCHBOX_SUPERVISOR_READY_FD"
	readyWord     = "ready"
	// readyPatience bounds the wait for it: taking over from a predecessor may mean sweeping many containers.
	readyPatience = 60 * time.Second
	// maxLogFile is from where a supervisor's own log begins anew.
	maxLogFile = 4 << 20
)

// launch starts a supervisor in a session of its own and waits until it can be connected to, or somebody else's can. The
// pid, if it is not 0, is a child to be reaped.
func launch(ctx context.Context, dir string, command []string) (pid int, err error) {
	log, err := openLog(filepath.Join(dir, logFile))
	if err != nil {
		return 0, fmt.Errorf("start a supervisor: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("start a supervisor: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.Env = append(os.Environ(), readyVariable+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return 0, fmt.Errorf("start a supervisor: %w", err)
	}
	pid = cmd.Process.Pid
	// It outlives us; reap asks for its end by its number.
	_ = cmd.Process.Release()

	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	_ = r.SetReadDeadline(time.Now().Add(readyPatience))
	line, err := bufio.NewReader(r).ReadString('\n')
	switch word := strings.TrimSpace(line); {
	case word == readyWord:
		return pid, nil
	case word != "":
		return pid, fmt.Errorf("start a supervisor: %s", word)
	case errors.Is(err, io.EOF):
		return pid, fmt.Errorf("start a supervisor: it ended before it was ready; see %s", log.Name())
	default:
		return pid, fmt.Errorf("start a supervisor: it is not ready after %v: %w", readyPatience, err)
	}
}

func openLog(path string) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogFile {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// reap waits for the supervisors we started that have ended. The last one may be about to, when the connection to it has
// just broken: it is given a moment.
func (c *Client) reap() {
	for range 20 {
		left := c.children[:0]
		for _, pid := range c.children {
			var ws syscall.WaitStatus
			if got, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil); err == nil && got == 0 {
				left = append(left, pid)
			}
		}
		if c.children = left; len(left) == 0 || c.ctx.Err() != nil {
			return
		}
		c.pause(5 * time.Millisecond)
	}
}

// Main is Serve as the whole of a process: it adopts the orphans of its containers, ends on SIGTERM and SIGINT, and tells
// the client that launched it when it is ready. The caller returns its error from main.
func Main(ctx context.Context, o ServeOptions) error {
	ready := readyPipe()
	err := serveMain(ctx, o, ready)
	ready.say(err)
	return err
}

func serveMain(ctx context.Context, o ServeOptions, ready *readiness) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A terminal that is closed is nothing to us. It is caught, not ignored: programs inherit what is ignored.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if err := spawn.Adopt(); err != nil {
		return err
	}
	unix.Umask(0o022)
	// The other half of the processors is for the programs. On a small machine, where this makes one, the runtime then never
	// wakes a second thread for what the first is about to do anyway: measured on two processors, a supervisor with one
	// spends a third less time on a task.
	goruntime.GOMAXPROCS(max(1, goruntime.GOMAXPROCS(0)/2))
	o.Ready = func() { ready.say(nil) }
	return Serve(ctx, o)
}

// readiness is where the client waits; nil members if no client launched us.
type readiness struct{ f *os.File }

func readyPipe() *readiness {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil || fd < 3 {
		return &readiness{}
	}
	unix.CloseOnExec(fd)
	return &readiness{os.NewFile(uintptr(fd), "ready")}
}

// say tells the client that we are ready, or why we are not, once.
func (r *readiness) say(err error) {
	if r.f == nil {
		return
	}
	word := readyWord
	// If there is a supervisor already, there is one to connect to.
	if err != nil && !errors.Is(err, ErrRunning) {
		word = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	_, _ = fmt.Fprintln(r.f, word) // the client may have gone
	_ = r.f.Close()
	r.f = nil
}
