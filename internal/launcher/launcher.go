// Package launcher carries out what the engine wants done with containers: it makes a runtime.Task of an attempt (image,
// environment, logs, volumes), hands it to the owner of the containers, and brings back what becomes of it. Pulling an image
// takes as long as it takes; nothing else waits for it.
package launcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/supervisor"
)

// Owner owns the containers: a supervisor, reached through its client, or one in this process. Its calls queue and return;
// they are idempotent by task key. What happens to tasks comes back through the function given to Connect.
type Owner interface {
	Start(tasks []runtime.Task) error
	Stop(requests []supervisor.StopRequest) error
	Ack(keys []string) error
}

// Connect makes the Owner when the engine has said which tasks may be under way already. The owner reports those that go
// on, have ended or are lost; missing is told of those that were certainly never started.
type Connect func(known []string, reports func([]runtime.Report), missing func(keys []string)) (Owner, error)

// Images makes an image ready to be started from.
type Images interface {
	Prepare(ctx context.Context, req ImageRequest) (Image, error)
}

// ImageRequest names an image as a job definition does, in the account and region of the job.
type ImageRequest struct {
	Partition batch.Partition
	Ref       string
	// Architecture is X86_64 or ARM64 as runtimePlatform has it, "" for the machine's own.
	Architecture string
}

// Image is a prepared image with those parts of its configuration that a container inherits.
type Image struct {
	runtime.Image
	Entrypoint, Cmd, Env []string
	WorkingDir, User     string
	StopSignal           string
	// Release says that no container of the task uses the image any more.
	Release func()
}

// Groups knows the log groups.
type Groups interface {
	GroupExists(ctx context.Context, account, region, name string) (bool, error)
	EnsureGroup(ctx context.Context, account, region, name string) error
}

// Secrets resolves what a definition's secrets name in valueFrom.
type Secrets interface {
	Secret(ctx context.Context, p batch.Partition, valueFrom string) (string, error)
}

// Environment adds the variables of a task beside those every job has: endpoints, credentials, metadata.
type Environment interface {
	// TaskEnv is asked about each container when all else of it is composed. It may be asked again.
	TaskEnv(c Composed) Variables
	// TaskResumed tells of a task that an earlier engine may have started.
	TaskResumed(st engine.StartTask)
	// TaskEnded says that a task has ended, or could not be started.
	TaskEnded(key string)
}

// Composed is a container of a task, complete but for what Environment adds.
type Composed struct {
	engine.StartTask
	// Index is the container's place in the task.
	Index     int
	Container *runtime.Container
	// PullStarted and PullStopped are around the preparation of its image.
	PullStarted, PullStopped time.Time
}

// Variables are NAME=VALUE. Default are those that neither image nor job have set, Set replaces what they have.
type Variables struct{ Default, Set []string }

// Config is what a Launcher is made of.
type Config struct {
	Connect Connect
	Images  Images
	Groups  Groups
	Secrets Secrets     // nil: no secret can be resolved
	Extra   Environment // nil: nothing is added
	Volumes Volumes
	// StopTimeout is the time between the stop signal and SIGKILL where the definition does not say; 0 is AWS's 30 s.
	StopTimeout time.Duration
	// Isolated: the runtime gives each container processes and shared memory of its own, and can't let them share.
	Isolated bool
	// PrivateNetwork gives each task a network of its own.
	PrivateNetwork bool
	// Endpoint is the listener for tasks, host:port; "" if containers can not reach it.
	Endpoint string
	Clock    interface{ Now() time.Time }
	Logger   *slog.Logger
}

// Launcher implements engine.Launcher.
type Launcher struct {
	cfg     Config
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
	reports chan []runtime.Report

	// connected is closed when owner is set, by the first Resume.
	connected chan struct{}
	owner     Owner

	mu sync.Mutex
	// preparing holds the tasks that have not been handed to the owner; the function ends the preparation.
	preparing map[string]context.CancelFunc
	// images are those of the tasks that have not ended.
	images map[string][]func()
	// inherited are the tasks that an earlier engine started, and that have not ended.
	inherited map[string]bool
	closed    bool
	quiet     quiet
}

// New makes a launcher. Close ends it.
func New(cfg Config) *Launcher {
	ctx, cancel := context.WithCancel(context.Background())
	return &Launcher{
		cfg: cfg, ctx: ctx, cancel: cancel,
		reports:   make(chan []runtime.Report, 64),
		connected: make(chan struct{}),
		preparing: map[string]context.CancelFunc{},
		images:    map[string][]func(){},
		inherited: map[string]bool{},
	}
}

// Close ends all preparations and waits for them. Tasks handed over are not touched.
func (l *Launcher) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.working.Wait()
}

// Reports is the stream of what happens to tasks.
func (l *Launcher) Reports() <-chan []runtime.Report { return l.reports }

// Report passes on what the owner says. It blocks while the engine is behind, and gives up when the launcher is closed.
func (l *Launcher) Report(reports []runtime.Report) {
	for i := range reports {
		if reports[i].Kind == runtime.Ended {
			l.forget(reports[i].Key)
		}
	}
	select {
	case l.reports <- reports:
	case <-l.ctx.Done():
	}
}

// Inherited is how many tasks are under way that an earlier engine started: what they hold, images above all, is not known here.
func (l *Launcher) Inherited() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inherited)
}

// forget lets go of what a task held here.
func (l *Launcher) forget(key string) {
	if l.cfg.Extra != nil {
		l.cfg.Extra.TaskEnded(key)
	}
	l.mu.Lock()
	releases := l.images[key]
	delete(l.images, key)
	delete(l.inherited, key)
	l.mu.Unlock()
	for _, release := range releases {
		release()
	}
}

// Start prepares the tasks and hands them over; tasks of one image go together, so that a slow pull holds up no other.
func (l *Launcher) Start(starts []engine.StartTask) {
	for len(starts) > 0 {
		n := 1
		for n < len(starts) && starts[n].Spec == starts[0].Spec {
			n++
		}
		l.begin(starts[:n])
		starts = starts[n:]
	}
}

func (l *Launcher) begin(starts []engine.StartTask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.quiet.calls++
	fresh := make([]preparation, 0, len(starts))
	for _, st := range starts {
		if l.preparing[st.Key] != nil {
			continue
		}
		ctx, cancel := context.WithCancelCause(l.ctx)
		l.preparing[st.Key] = func() { cancel(errStopped) }
		delete(l.inherited, st.Key) // it was never started
		fresh = append(fresh, preparation{st, ctx})
	}
	if len(fresh) > 0 {
		l.quiet.groups++
		l.working.Go(func() {
			defer l.prepared()
			l.prepare(fresh)
		})
	}
}

// errStopped is why a preparation ended when its task was stopped before it started.
var errStopped = errors.New("stopped before it started")

type preparation struct {
	engine.StartTask
	ctx context.Context
}

// prepare makes runtime tasks of a group and hands over those that succeed.
func (l *Launcher) prepare(group []preparation) {
	tasks := make([]runtime.Task, 0, len(group))
	var failed []runtime.Report
	for _, p := range group {
		task, err := l.compose(p.ctx, p.StartTask)
		if err != nil {
			failed = append(failed, l.startFailure(p, err))
			continue
		}
		tasks = append(tasks, task)
	}
	select {
	case <-l.connected:
	case <-l.ctx.Done():
		return
	}
	failed = append(failed, l.handOver(group, tasks)...)
	if l.ctx.Err() == nil && len(failed) > 0 {
		l.Report(failed)
	}
}

// handOver gives composed tasks to the owner, less those that were stopped meanwhile. The lock makes sure that a Stop comes
// either before, and finds the task here, or after, and finds it with the owner.
func (l *Launcher) handOver(group []preparation, tasks []runtime.Task) (stopped []runtime.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctxs := make(map[string]preparation, len(group))
	for _, p := range group {
		ctxs[p.Key] = p
		delete(l.preparing, p.Key)
	}
	ready := tasks[:0]
	for _, t := range tasks {
		if p := ctxs[t.Key]; context.Cause(p.ctx) == errStopped {
			stopped = append(stopped, l.startFailure(p, errStopped))
			continue
		}
		ready = append(ready, t)
	}
	if len(ready) == 0 || l.ctx.Err() != nil {
		return stopped
	}
	if err := l.owner.Start(ready); err != nil {
		for _, t := range ready {
			stopped = append(stopped, l.startFailure(ctxs[t.Key], &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}))
		}
	}
	return stopped
}

// startFailure is the report of a task that did not reach its owner.
func (l *Launcher) startFailure(p preparation, err error) runtime.Report {
	r := runtime.Report{Key: p.Key, Kind: runtime.Ended, At: l.cfg.Clock.Now()}
	for _, c := range p.Task.Containers {
		r.Containers = append(r.Containers, runtime.ContainerReport{Name: c.Name})
	}
	if cause := context.Cause(p.ctx); cause == errStopped || errors.Is(err, errStopped) {
		return r
	}
	var se *runtime.StartError
	if !errors.As(err, &se) {
		err = &runtime.StartError{Kind: runtime.KindCannotCreate, Err: err}
	}
	var at *containerError
	failed := 0
	if errors.As(err, &at) {
		failed = at.index
	}
	r.Containers[failed].StartError = err.Error()
	l.cfg.Logger.Info("task could not be started", "task", p.Key, "error", err)
	return r
}

// Stop ends tasks: by ending their preparation, or through the owner.
func (l *Launcher) Stop(stops []engine.StopTask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet.calls++
	var requests []supervisor.StopRequest
	for _, st := range stops {
		if cancel := l.preparing[st.Key]; cancel != nil {
			cancel()
			continue
		}
		r := supervisor.StopRequest{Key: st.Key}
		if st.Grace > 0 {
			r.Grace = &st.Grace
		}
		requests = append(requests, r)
	}
	if len(requests) == 0 {
		return
	}
	if err := l.owner.Stop(requests); err != nil {
		l.cfg.Logger.Error("tasks could not be told to stop", "tasks", len(requests), "error", err)
	}
}

// Ack lets the owner forget tasks whose end is on disk.
func (l *Launcher) Ack(keys []string) {
	if err := l.owner.Ack(keys); err != nil {
		l.cfg.Logger.Error("ended tasks could not be acknowledged; they are reported again", "tasks", len(keys), "error", err)
	}
}

// Resume finds the tasks that were under way when the engine last wrote. The first call connects the owner, which knows
// what became of them; after a later one (the engine has gone back to its last commit) only those it may never have heard
// of are started, which is idempotent.
func (l *Launcher) Resume(resumed []engine.ResumeTask) error {
	tasks := make(map[string]engine.ResumeTask, len(resumed))
	keys := make([]string, 0, len(resumed))
	for _, r := range resumed {
		tasks[r.Key] = r
		keys = append(keys, r.Key)
		if l.cfg.Extra != nil {
			l.cfg.Extra.TaskResumed(r.StartTask)
		}
	}
	select {
	case <-l.connected:
		var again []engine.StartTask
		for _, r := range resumed {
			if !r.Begun {
				again = append(again, r.StartTask)
			}
		}
		l.Start(again)
		return nil
	default:
	}
	l.mu.Lock()
	for _, key := range keys {
		l.inherited[key] = true
	}
	l.mu.Unlock()
	owner, err := l.cfg.Connect(keys, l.Report, func(missing []string) {
		var starts []engine.StartTask
		var lost []runtime.Report
		for _, key := range missing {
			switch r, ok := tasks[key]; {
			case !ok:
			case r.Begun:
				// It ran, whatever its owner believes: in another data directory, of which this one is a copy.
				lost = append(lost, runtime.Report{Key: key, Kind: runtime.Ended, At: l.cfg.Clock.Now(), Lost: true,
					Reason: "the owner of the containers knows nothing of the task"})
			default:
				starts = append(starts, r.StartTask)
			}
		}
		l.Start(starts)
		if len(lost) > 0 {
			l.Report(lost)
		}
	})
	if err != nil {
		return fmt.Errorf("connecting the owner of the containers: %w", err)
	}
	l.owner = owner
	close(l.connected)
	return nil
}
