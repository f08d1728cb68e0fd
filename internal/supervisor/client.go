package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// ClientOptions configures a Client.
type ClientOptions struct {
	// Dir is the supervisor's directory, absolute.
	Dir string
	// Command starts a supervisor for Dir when there is none: a program and its arguments. The descriptor 3 that it inherits
	// is for SignalReady. Empty means that none is started, only waited for.
	Command []string
	// Known are all the keys that were started, or may have been, in an earlier life of the caller and have not been
	// acknowledged.
	Known []string
	// Reports receives what happens to tasks, in order for each task; a report may come more than once. Calls do not overlap, and nothing is received while one is under way; the slice is the receiver's to keep. A task that was never
	// Known may be reported as well, by a supervisor that has not heard of its acknowledgement: acknowledge it again.
	// Required.
	Reports func([]runtime.Report)
	// Missing receives those of Known that were certainly never started, and that are not known any more from then on:
	// Start them, or forget them. Required if there are any Known.
	Missing func(keys []string)
	Logger  *slog.Logger  // discards if nil
	Clock   runtime.Clock // for the time of Lost reports; runtime.SystemClock if nil
	// Linger is how long the connection stays when there is nothing to do, so that the supervisor can end; 60 s if zero.
	Linger time.Duration
}

const (
	defaultLinger = 60 * time.Second
	// maxFrameTasks bounds the tasks in a frame, so that the first are started while the next are on their way.
	maxFrameTasks   = 128
	minConnectPause = 10 * time.Millisecond
	maxConnectPause = 2 * time.Second
	// helloPatience bounds the wait for a supervisor's first words.
	helloPatience = 10 * time.Second
)

// Client starts tasks in a supervisor and hears how they fare. It starts the supervisor when it needs one, connects again
// when the connection breaks, and repeats what may not have arrived; Start, Stop and Ack only queue. A task whose
// supervisor died is reported as ended and Lost. Nothing a Client does ends a task, save Stop and Shutdown.
type Client struct {
	o        ClientOptions
	log      *slog.Logger
	ctx      context.Context
	leave    context.CancelFunc
	done     chan struct{}
	wake     chan struct{} // there is something to do
	children []int         // supervisors we started that we have not seen end; belongs to run

	mu    sync.Mutex
	known map[string]*known
	queue []*op // not sent on the present connection, in order
	sent  []*op // sent and not yet dealt with, in order
	seq   uint64
	// instance is the supervisor that was last connected.
	instance string
	// unsettled are the keys reported lost because a supervisor could not tell, until they are acknowledged: see settle.
	unsettled map[string]struct{}
	doubtful  bool // the present supervisor is one that can not tell
	err       error
	closed    bool
	connected bool
	shutdown  *shutdown
	asked     bool // shutdown has been sent on the present connection
	stats     []chan Stats
	statsSent []chan Stats
	// inspects are to be sent; inspecting waits for answers, by id.
	inspects    []inspect
	inspecting  map[uint64]chan []runtime.ContainerState
	lastInspect uint64
}

// known is a task of ours until it is acknowledged.
type known struct {
	// task is kept until the supervisor has it.
	task *runtime.Task
	// sent says that the task may have reached a supervisor.
	sent  bool
	ended bool
}

// op is something asked of the supervisor. One of its members is set.
type op struct {
	start   string // key
	stop    *StopRequest
	ack     []string
	settled bool
	seq     uint64 // of the frame it went with
}

// NewClient returns a Client. It connects at once if there are Known keys, else with the first task.
func NewClient(o ClientOptions) (*Client, error) {
	switch {
	case o.Reports == nil:
		return nil, errors.New("supervisor client: nobody to report to")
	case o.Missing == nil && len(o.Known) > 0:
		return nil, errors.New("supervisor client: nobody to tell what is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = runtime.SystemClock
	}
	if o.Linger <= 0 {
		o.Linger = defaultLinger
	}
	c := &Client{
		o: o, log: o.Logger,
		done:      make(chan struct{}),
		wake:      make(chan struct{}, 1),
		known:     make(map[string]*known),
		unsettled: make(map[string]struct{}),

		inspecting: make(map[uint64]chan []runtime.ContainerState),
	}
	c.ctx, c.leave = context.WithCancel(context.Background())
	for _, key := range o.Known {
		c.known[key] = &known{sent: true}
	}
	go c.run()
	return c, nil
}

// Start has tasks started. A key that is known already is not started again.
func (c *Client) Start(tasks []runtime.Task) error {
	return c.enqueue(func() {
		for i := range tasks {
			if c.known[tasks[i].Key] != nil {
				continue
			}
			c.known[tasks[i].Key] = &known{task: &tasks[i]}
			c.queue = append(c.queue, &op{start: tasks[i].Key})
		}
	})
}

// Stop asks for the end of tasks, as Keeper.Stop does.
func (c *Client) Stop(requests []StopRequest) error {
	return c.enqueue(func() {
		for i := range requests {
			if c.known[requests[i].Key] == nil {
				c.known[requests[i].Key] = &known{sent: true}
			}
			c.queue = append(c.queue, &op{stop: &requests[i]})
		}
	})
}

// Ack says that the ends of tasks are known and on disk, and need not be reported any more.
func (c *Client) Ack(keys []string) error {
	return c.enqueue(func() {
		for _, key := range keys {
			delete(c.known, key)
			delete(c.unsettled, key)
		}
		c.queue = append(c.queue, &op{ack: keys})
		c.settle()
	})
}

func (c *Client) enqueue(add func()) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	add()
	c.mu.Unlock()
	c.nudge()
	return nil
}

func (c *Client) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Err is why there is no connection to the supervisor though one is needed; nil if all is well.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stats asks the supervisor, if one is connected, for its counts.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	answer := make(chan Stats, 1)
	c.mu.Lock()
	if !c.connected {
		c.mu.Unlock()
		return Stats{}, errors.New("no supervisor is connected")
	}
	c.stats = append(c.stats, answer)
	c.mu.Unlock()
	c.nudge()
	select {
	case s, ok := <-answer:
		if !ok {
			return Stats{}, errors.New("the supervisor has gone")
		}
		return s, nil
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
}

// Shutdown stops every task with the grace given (each container's own if nil) and ends the supervisor, if there is one.
// It returns when the supervisor has gone; the reports of the last tasks have been delivered by then. Close the client
// afterwards.
func (c *Client) Shutdown(ctx context.Context, grace *time.Duration) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.shutdown = &shutdown{Grace: grace}
	c.mu.Unlock()
	c.nudge()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shut the supervisor down: %w", ctx.Err())
	}
}

// Close leaves the supervisor to itself: it and the tasks go on.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.leave()
	<-c.done
	return nil
}

// run keeps a connection while there is something to do.
func (c *Client) run() {
	defer close(c.done)
	defer c.reap()
	pause := time.Duration(0)
	said := "" // what has been logged, until there is something else to say
	for c.ctx.Err() == nil {
		need := c.need()
		if need == nothing {
			pause = 0
			select {
			case <-c.wake:
			case <-c.ctx.Done():
			}
			continue
		}
		conn, err := c.connect(need)
		switch {
		case err == nil:
			var useful bool
			if useful, err = c.converse(conn); useful {
				pause, said = 0, ""
			}
		case errors.Is(err, errNobody) && need == end:
			return
		case errors.Is(err, errNobody) && need == listener:
			// What was to be acknowledged will be reported again by the next supervisor.
			c.drop()
			continue
		}
		c.setErr(err)
		if err == nil || c.ctx.Err() != nil {
			continue
		}
		level := slog.LevelWarn
		if c.need() != supervisor || err.Error() == said {
			level = slog.LevelDebug // it was told to end, or had nothing of ours left; or there is nothing new
		} else {
			said = err.Error()
		}
		c.log.Log(c.ctx, level, "supervisor", "err", err)
		c.pause(pause)
		pause = min(max(2*pause, minConnectPause), maxConnectPause)
	}
}

func (c *Client) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

func (c *Client) setErr(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// need is why a connection is wanted.
type need int

const (
	nothing    need = iota
	listener        // to tell a supervisor, if there is one, what has been acknowledged
	supervisor      // to start, stop or hear of tasks
	end             // to end the supervisor
)

func (c *Client) need() need {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shutdown != nil:
		return end
	case len(c.known) > 0:
		return supervisor
	case len(c.queue)+len(c.sent) > 0:
		return listener
	}
	return nothing
}

// drop forgets what was to be said to a supervisor that is not there.
func (c *Client) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) == 0 {
		c.queue, c.sent = nil, nil
	}
}

// errNobody says that no supervisor is listening.
var errNobody = errors.New("no supervisor is running")

// connect finds the supervisor, or starts one if the need is for one.
func (c *Client) connect(n need) (*net.UnixConn, error) {
	c.reap()
	conn, err := dial(c.o.Dir)
	if !errors.Is(err, errNobody) || n != supervisor || len(c.o.Command) == 0 {
		return conn, err
	}
	pid, err := launch(c.ctx, c.o.Dir, c.o.Command)
	if pid != 0 {
		c.children = append(c.children, pid)
	}
	if err != nil {
		return nil, err
	}
	return dial(c.o.Dir)
}

func dial(dir string) (*net.UnixConn, error) {
	path, err := address(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNobody
	}
	if err != nil {
		return nil, fmt.Errorf("supervisor address: %w", err)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, errNobody
	}
	return conn, err
}

// converse uses a connection until it breaks (an error), or is not needed any more. It was useful if anything was heard
// after the greeting.
func (c *Client) converse(conn *net.UnixConn) (useful bool, err error) {
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	r := newFrameReader(conn)
	h, tasks, err := c.greet(conn, r)
	if err != nil {
		return false, err
	}
	c.reconcile(h, tasks)

	broken := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(broken)
		useful, err = c.listen(r)
	})
	werr := c.talk(conn, broken)
	_ = conn.Close()
	reading.Wait()
	c.disconnected()
	switch {
	case c.ctx.Err() != nil:
		return useful, nil
	case errors.Is(err, io.EOF):
		return useful, errors.New("the supervisor has gone")
	case errors.Is(err, net.ErrClosed):
		return useful, werr // we left, or could not send
	}
	return useful, err
}

func (c *Client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected, c.asked = false, false
	for _, s := range append(c.stats, c.statsSent...) {
		close(s)
	}
	c.stats, c.statsSent = nil, nil
	for id, w := range c.inspecting {
		delete(c.inspecting, id)
		close(w)
	}
	c.inspects = nil
}

// greet exchanges hellos and receives what the supervisor has.
func (c *Client) greet(conn *net.UnixConn, r *frameReader) (hello, []TaskState, error) {
	fail := func(err error) (hello, []TaskState, error) {
		return hello{}, nil, fmt.Errorf("greet the supervisor: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(helloPatience)); err != nil {
		return fail(err)
	}
	if err := writeFrame(conn, request{Hello: &hello{Version: protocolVersion, Oldest: protocolOldest}}); err != nil {
		return fail(err)
	}
	var first answer
	if err := r.read(&first); err != nil {
		return fail(err)
	}
	if first.Hello == nil {
		return fail(errors.New("its first frame is not its hello"))
	}
	if err := first.Hello.check(); err != nil {
		pid := first.Hello.PID
		return fail(fmt.Errorf("%w. Another version of batchbox has started it, process %d, and its jobs go on, unseen: start that version again until they have ended, "+
			"or end it (kill -9 %d), and their attempts fail as with a lost host and are tried again", err, pid, pid))
	}
	// Reports may come before the list does.
	for {
		var a answer
		if err := r.read(&a); err != nil {
			return fail(err)
		}
		c.hear(a.Reports)
		if a.Listed {
			return *first.Hello, a.Tasks, conn.SetDeadline(time.Time{})
		}
	}
}
