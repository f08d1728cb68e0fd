package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Options configures a Keeper.
type Options struct {
	// Runtimes are what tasks can ask for by name; the first is for tasks that name none. At least one. They stay open.
	Runtimes []runtime.Runtime
	// Open makes a runtime that is not among them when a task first asks for it: the engine may have been started again with
	// another runtime while containers of the first go on. The Keeper closes what it opened. Nil if there are no others.
	Open func(ctx context.Context, name string) (runtime.Runtime, error)
	// Logs takes the containers' output; required unless no container has a LogTarget.
	Logs LogSink
	// Reports receives what happens, in order for each task. Calls do not overlap, and come from a goroutine that none of
	// the Keeper's methods waits for, save Close; the slice is the receiver's to keep. Required.
	Reports func([]runtime.Report)
	Logger  *slog.Logger  // discards if nil
	Clock   runtime.Clock // runtime.SystemClock if nil
	// DrainGrace bounds how long, after a container has ended, its output is read while somebody still holds it open;
	// 250 ms if zero.
	DrainGrace time.Duration
	// Volumes is the directory for the tasks' own volumes, absolute; tasks that have any are refused if it is empty.
	Volumes string
	// StartParallelism bounds how many containers are being started at once; twice the number of processors, at least 4,
	// if zero.
	StartParallelism int
}

// Keeper owns tasks: it starts their containers in the order of their dependencies, reads their output, stops them when
// asked, when an essential container ends or when a dependency fails, and reports. A report that a task has ended is kept
// until it is acknowledged. It is what runs inside the supervisor process, and may as well run inside another.
type Keeper struct {
	o       Options
	log     *slog.Logger
	clock   runtime.Clock
	ctx     context.Context // ends with Close: what waits for a disk or a start gives up
	cancel  context.CancelFunc
	slots   chan struct{} // taken while a container is being started
	volumes volumes
	out     outbox
	journal *journal // nil if there is none
	busy    sync.WaitGroup

	opening  sync.Mutex
	runtimes []runtime.Runtime // Runtimes, and what has been opened since

	mu     sync.Mutex
	tasks  map[string]*task
	closed bool
	idle   chan struct{} // closed and replaced when the last task has been acknowledged

	activity

	count struct {
		running                             atomic.Int32
		started, ended, logBytes, logErrors atomic.Int64
	}
}

// Stats counts what a Keeper has done since it started.
type Stats struct {
	Tasks     int   `json:"tasks"`   // known: running, or ended and not acknowledged
	Running   int   `json:"running"` // containers
	Started   int64 `json:"started"` // containers that were executed
	Ended     int64 `json:"ended"`   // tasks
	LogBytes  int64 `json:"logBytes"`
	LogErrors int64 `json:"logErrors"` // containers whose output is not complete
}

// StopRequest asks for a task's end: the stop signal, and SIGKILL after the grace.
type StopRequest struct {
	Key string `json:"key"`
	// Reason is for the supervisor's log.
	Reason string `json:"reason,omitempty"`
	// Grace replaces each container's StopTimeout if it is not nil.
	Grace *time.Duration `json:"grace,omitempty"`
}

// TaskState is a task as List shows it.
type TaskState struct {
	Key string `json:"key"`
	// PIDs are the first processes of the containers that are running, as far as the runtime knows them.
	PIDs []int `json:"pids,omitempty"`
	// StartedAt is when its first essential container started, if one has.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Ended is the report that waits to be acknowledged; nil while the task runs.
	Ended *runtime.Report `json:"ended,omitempty"`
}

// ErrClosed is returned by calls on what has been closed.
var ErrClosed = errors.New("supervisor: closed")

// NewKeeper returns a Keeper without tasks.
func NewKeeper(o Options) (*Keeper, error) { return newKeeper(o, nil) }

func newKeeper(o Options, j *journal) (*Keeper, error) {
	switch {
	case len(o.Runtimes) == 0:
		return nil, errors.New("supervisor: no runtime")
	case o.Reports == nil:
		return nil, errors.New("supervisor: nobody to report to")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = runtime.SystemClock
	}
	if o.DrainGrace <= 0 {
		o.DrainGrace = 250 * time.Millisecond
	}
	if o.StartParallelism <= 0 {
		o.StartParallelism = max(4, 2*goruntime.NumCPU())
	}
	k := &Keeper{
		o: o, log: o.Logger, clock: o.Clock, journal: j,
		slots:   make(chan struct{}, o.StartParallelism),
		volumes: volumes{o.Volumes, fsys.OS},
		tasks:   make(map[string]*task),
		idle:    make(chan struct{}),

		runtimes: slices.Clone(o.Runtimes),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.out.deliver, k.out.busy, k.out.changes = o.Reports, &k.busy, &k.changes
	return k, nil
}

// Start starts tasks and returns at once; how they fare is reported. A key that is known already is not started again: if
// its task has ended, the report is repeated.
func (k *Keeper) Start(tasks []runtime.Task) error {
	fresh := make([]*task, 0, len(tasks))
	var repeat []runtime.Report
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return ErrClosed
	}
	for i := range tasks {
		if t := k.tasks[tasks[i].Key]; t != nil {
			if r := t.endedReport(); r != nil {
				repeat = append(repeat, *r)
			}
			continue
		}
		t := newTask(k, tasks[i])
		k.tasks[t.Key] = t
		fresh = append(fresh, t)
	}
	k.busy.Add(len(fresh) + 1)
	k.mu.Unlock()

	k.begin(fresh)
	k.out.put(repeat...)
	k.busy.Done()
	return nil
}

// begin puts tasks into the journal and starts them, in this order: a successor that finds a key there knows that its
// containers may have run. While the disk is full the tasks wait.
func (k *Keeper) begin(tasks []*task) {
	err := k.journal.accepted(tasks)
	if err == nil || !full(err) {
		for _, t := range tasks {
			t.begin(err)
		}
		return
	}
	k.busy.Add(1)
	go func() {
		defer k.busy.Done()
		k.log.Warn("tasks wait for space on the disk", "tasks", len(tasks), "err", err)
		err := k.insist(func() error { return k.journal.accepted(tasks) })
		for _, t := range tasks {
			t.begin(err)
		}
	}()
}

// Stop asks for the end of tasks. Each of them is reported as ended sooner or later, also one that is not known: that one
// is never started any more. Asking twice is the same as asking once, except that a shorter grace counts.
func (k *Keeper) Stop(requests []StopRequest) error {
	for _, r := range requests {
		k.mu.Lock()
		if k.closed {
			k.mu.Unlock()
			return ErrClosed
		}
		t := k.tasks[r.Key]
		if t == nil {
			t = newTask(k, runtime.Task{Key: r.Key})
			k.tasks[r.Key] = t
			k.busy.Add(1)
			k.mu.Unlock()
			k.begin([]*task{t})
			continue
		}
		k.mu.Unlock()
		k.log.Debug("stopping task", "key", r.Key, "reason", r.Reason)
		t.stop(r.Grace)
	}
	return nil
}

// Ack forgets tasks that have ended. A key that is running or not known is ignored.
func (k *Keeper) Ack(keys []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ErrClosed
	}
	acked := keys[:0:0]
	for _, key := range keys {
		if t := k.tasks[key]; t != nil && t.endedReport() != nil {
			delete(k.tasks, key)
			acked = append(acked, key)
		}
	}
	if len(k.tasks) == 0 && len(acked) > 0 {
		close(k.idle)
		k.idle = make(chan struct{})
	}
	return k.journal.acked(acked)
}

// List shows every task that runs, or has ended and is not acknowledged, by key.
func (k *Keeper) List() []TaskState {
	k.mu.Lock()
	list := make([]TaskState, 0, len(k.tasks))
	for _, t := range k.tasks {
		list = append(list, t.show())
	}
	k.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list
}

// Stats counts.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	tasks := len(k.tasks)
	k.mu.Unlock()
	return Stats{
		Tasks: tasks, Running: int(k.count.running.Load()),
		Started: k.count.started.Load(), Ended: k.count.ended.Load(),
		LogBytes: k.count.logBytes.Load(), LogErrors: k.count.logErrors.Load(),
	}
}

// empty says whether there is nothing to keep; if not, the channel is closed when that may have changed.
func (k *Keeper) empty() (bool, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.tasks) == 0, k.idle
}

// StopAll stops every task with the grace given (each container's own if nil) and waits until all have ended, or until
// ctx is done.
func (k *Keeper) StopAll(ctx context.Context, grace *time.Duration) error {
	k.mu.Lock()
	running := make([]*task, 0, len(k.tasks))
	for _, t := range k.tasks {
		running = append(running, t)
	}
	k.mu.Unlock()
	for _, t := range running {
		t.stop(grace)
	}
	for _, t := range running {
		select {
		case <-t.over:
		case <-ctx.Done():
			return fmt.Errorf("stop all tasks: %w", ctx.Err())
		}
	}
	return nil
}

// Close kills what runs and waits for its end. Runtimes and log sink stay open: they belong to the caller.
func (k *Keeper) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	var none time.Duration
	err := k.StopAll(context.Background(), &none)
	k.busy.Wait()
	k.opening.Lock()
	defer k.opening.Unlock()
	for _, rt := range k.runtimes[len(k.o.Runtimes):] {
		err = errors.Join(err, rt.Close())
	}
	k.runtimes = k.runtimes[:len(k.o.Runtimes)]
	return err
}

// recover takes up what an earlier Keeper left in the journal: reports that were never acknowledged are sent again, and
// tasks it was still running are reported lost.
func (k *Keeper) recover(ended, lost []runtime.Report) {
	k.mu.Lock()
	for _, reports := range [][]runtime.Report{ended, lost} {
		for i := range reports {
			t := newTask(k, runtime.Task{Key: reports[i].Key})
			t.report = &reports[i]
			close(t.over)
			k.tasks[t.Key] = t
		}
	}
	k.mu.Unlock()
	k.out.put(ended...)
	k.out.put(lost...)
}

// runtime returns the runtime of a name, opening it if need be.
func (k *Keeper) runtime(ctx context.Context, name string) (runtime.Runtime, error) {
	if name == "" {
		return k.o.Runtimes[0], nil
	}
	k.opening.Lock()
	defer k.opening.Unlock()
	for _, rt := range k.runtimes {
		if rt.Name() == name {
			return rt, nil
		}
	}
	if k.o.Open == nil {
		return nil, fmt.Errorf("runtime %q: the supervisor has no such runtime", name)
	}
	rt, err := k.o.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("runtime %q: %w", name, err)
	}
	k.runtimes = append(k.runtimes, rt)
	return rt, nil
}

// outbox delivers reports one call at a time, in the order they were put in; what comes while a call is under way goes
// with the next. It has a goroutine while there is something to deliver.
type outbox struct {
	deliver func([]runtime.Report)
	busy    *sync.WaitGroup
	changes *changes

	mu      sync.Mutex
	queue   []runtime.Report
	sending bool
}

// put adds reports.
func (o *outbox) put(reports ...runtime.Report) {
	if len(reports) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, reports...)
	if !o.sending {
		o.sending = true
		o.busy.Add(1)
		go o.send()
	}
}

func (o *outbox) send() {
	defer o.busy.Done()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()
		o.deliver(batch)
		o.mu.Lock()
	}
	o.sending = false
	o.changes.tell()
}

// empty says whether everything is delivered.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.sending
}
