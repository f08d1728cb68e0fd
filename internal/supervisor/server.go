package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

// ServeOptions configures Serve.
type ServeOptions struct {
	// Dir is the data directory, absolute; it exists. Its name is the owner that runtimes label containers with.
	Dir string
	// OpenRuntimes makes the runtimes that are Runtimes of Options. It is called once this is the directory's supervisor, and
	// they are closed before it no longer is: a runtime makes and removes what the next one with the same owner uses.
	OpenRuntimes func(ctx context.Context) ([]runtime.Runtime, error)
	// Open, Logs and Logger are as in Options. Logs stays open.
	Open   func(ctx context.Context, name string) (runtime.Runtime, error)
	Logs   LogSink
	Logger *slog.Logger
	// IdleGrace is how long a supervisor stays that keeps no task and has no client; 30 s if zero.
	IdleGrace time.Duration
	// Volumes, DrainGrace and StartParallelism are as in Options.
	Volumes          string
	DrainGrace       time.Duration
	StartParallelism int
	// Ready, if set, is called when clients can connect.
	Ready func()
	// Busy, if set, is called when a client asks for something or a task has something to report. It must not block.
	Busy func()

	files fsys.FS // fsys.OS if nil; tests put failing ones here
}

const defaultIdleGrace = 30 * time.Second

// Serve is the supervisor of a directory until it has nothing left to do, a client shuts it down, or ctx is done, which
// stops every task (with its containers' own grace). It first ends what a predecessor that died left behind, and reports
// those tasks lost. ErrRunning says that the directory has a supervisor.
func Serve(ctx context.Context, o ServeOptions) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IdleGrace <= 0 {
		o.IdleGrace = defaultIdleGrace
	}
	if o.files == nil {
		o.files = fsys.OS
	}
	if o.Busy == nil {
		o.Busy = func() {}
	}
	held, first, err := lock(o.files, o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	j, err := openJournal(o.files, filepath.Join(o.Dir, journalFile), spawn.Boot(), first, o.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()

	runtimes, err := o.OpenRuntimes(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, rt := range runtimes {
			err = errors.Join(err, rt.Close())
		}
	}()
	s := &server{
		log:     o.Logger,
		busy:    o.Busy,
		journal: j,
		hello:   hello{Version: protocolVersion, Oldest: protocolOldest, Instance: uuid.NewString(), PID: os.Getpid()},
		changed: make(chan struct{}, 1),
		end:     make(chan *time.Duration, 1),
	}
	s.keeper, err = newKeeper(Options{
		Runtimes: runtimes, Open: o.Open, Logs: o.Logs, Logger: o.Logger, Reports: s.report,
		Volumes: o.Volumes, DrainGrace: o.DrainGrace, StartParallelism: o.StartParallelism,
	}, j)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.keeper.Close()) }()
	if err := takeOver(ctx, s.keeper, j, runtimes, o); err != nil {
		return err
	}
	l, err := listen(o.files, o.Dir)
	if err != nil {
		return err
	}
	var accepting sync.WaitGroup
	accepting.Go(func() { s.accept(l) })
	defer func() {
		// From here on a client finds nobody, and starts a successor, which waits for the lock.
		_ = l.Close()
		accepting.Wait()
		s.disconnect()
	}()
	if o.Ready != nil {
		o.Ready()
	}
	return s.untilIdle(ctx, o.IdleGrace, held.lost)
}

// takeOver ends the containers of a predecessor that died and has the keeper report what became of its tasks.
func takeOver(ctx context.Context, k *Keeper, j *journal, runtimes []runtime.Runtime, o ServeOptions) error {
	ended, unfinished, tokens := j.left()
	for _, rt := range runtimes {
		if _, known := tokens[rt.Name()]; !known {
			tokens[rt.Name()] = nil
		}
	}
	for name, tokens := range tokens {
		n, err := reclaim(ctx, k, name, tokens, o.Dir)
		ours := slices.ContainsFunc(runtimes, func(rt runtime.Runtime) bool { return rt.Name() == name })
		switch {
		case err != nil && ours:
			return fmt.Errorf("end the containers that an earlier supervisor left: %w", err)
		case err != nil:
			// A runtime that is no longer in use must not keep the others from working.
			o.Logger.Error("containers that an earlier supervisor left may still run", "err", err)
		case n > 0:
			o.Logger.Warn("ended containers that an earlier supervisor left", "runtime", name, "containers", n)
		}
	}
	if err := k.volumes.sweep(runtimes[0]); err != nil {
		o.Logger.Warn("volumes that an earlier supervisor left", "err", err)
	}
	lost := make([]runtime.Report, len(unfinished))
	for i, key := range unfinished {
		lost[i] = lostReport(key, k.clock.Now())
	}
	k.recover(ended, lost)
	return nil
}

// reclaim ends the containers of one runtime.
func reclaim(ctx context.Context, k *Keeper, name string, tokens []string, owner string) (n int, err error) {
	rt, err := k.runtime(ctx, name)
	if err != nil {
		return 0, err
	}
	if r, ok := rt.(runtime.Reclaimer); ok {
		n, err = r.Reclaim(ctx, tokens)
	}
	swept, serr := rt.Sweep(ctx, owner)
	if err := errors.Join(err, serr); err != nil {
		return n, fmt.Errorf("runtime %s: %w", name, err)
	}
	return n + swept, nil
}

// lostReport is the end of a task whose supervisor died.
func lostReport(key string, at time.Time) runtime.Report {
	return runtime.Report{Key: key, Kind: runtime.Ended, At: at, Lost: true, Reason: "the supervisor of the task died"}
}

// server connects clients with a keeper.
type server struct {
	keeper  *Keeper
	journal *journal
	log     *slog.Logger
	busy    func()
	hello   hello
	changed chan struct{}       // a client has come or gone
	end     chan *time.Duration // a client asked for the end, with this grace

	mu       sync.Mutex
	sessions map[*session]struct{}
	closed   bool
	handlers sync.WaitGroup
}

// lostLook is how often a supervisor that keeps tasks and has no client looks whether it can still be found; it believes
// what it sees twice.
const lostLook = 2 * time.Second

var errLost = errors.New("the data directory has gone, and nobody can ask for what runs any more")

// untilIdle returns when there is nothing to do any more, or nobody can find this supervisor: lost.
func (s *server) untilIdle(ctx context.Context, grace time.Duration, lost func() bool) error {
	timer, look := time.NewTimer(grace), time.NewTimer(lostLook)
	defer timer.Stop()
	defer look.Stop()
	seen := 0 // how often in a row it was lost
	for {
		empty, emptied := s.keeper.empty()
		switch {
		case s.connected():
			timer.Stop()
			look.Stop()
			seen = 0
		case empty:
			timer.Reset(grace)
			look.Stop()
		default:
			timer.Stop()
			look.Reset(lostLook)
		}
		select {
		case <-emptied:
		case <-s.changed:
		case <-look.C:
			if seen++; !lost() {
				seen = 0
			}
			if seen == 2 {
				return errLost // what runs is killed: its output has no place either
			}
		case <-timer.C:
			s.log.Info("nothing left to do")
			return nil
		case grace := <-s.end:
			s.log.Info("shut down by a client; stopping every task")
			return s.stopAll(grace)
		case <-ctx.Done():
			s.log.Info("told to end; stopping every task")
			return s.stopAll(nil)
		}
	}
}

// ackPatience is how long the last reports may take to be acknowledged. If they are not, the successor repeats them.
const ackPatience = 2 * time.Second

func (s *server) stopAll(grace *time.Duration) error {
	if err := s.keeper.StopAll(context.Background(), grace); err != nil {
		return err
	}
	patience := time.NewTimer(ackPatience)
	defer patience.Stop()
	for {
		empty, emptied := s.keeper.empty()
		if empty || !s.connected() {
			return nil
		}
		select {
		case <-emptied:
		case <-s.changed:
		case <-patience.C:
			return nil
		}
	}
}

func (s *server) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions) > 0
}

// report is the keeper's way out: every client hears of everything.
func (s *server) report(reports []runtime.Report) {
	s.busy()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.post(func(a *answer) { a.Reports = append(a.Reports, reports...) })
	}
}

func (s *server) accept(l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Too many open files, most likely: some will be closed.
			s.log.Warn("accept", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		c := newSession(conn)
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			continue
		}
		s.handlers.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.handlers.Done()
			if err := s.handle(c); err != nil && !errors.Is(err, net.ErrClosed) {
				s.log.Warn("client", "err", err)
			}
		}()
	}
}

// disconnect sends the clients what is left to say, and leaves them.
func (s *server) disconnect() {
	s.mu.Lock()
	s.closed = true
	open := make([]*session, 0, len(s.sessions))
	for c := range s.sessions {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.finish()
	}
	s.handlers.Wait()
}

// handle serves one client until it leaves.
func (s *server) handle(c *session) error {
	defer c.conn.Close()
	r := newFrameReader(c.conn)
	var first request
	// Whoever connects and says nothing does not keep the supervisor alive.
	if err := c.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := r.read(&first); err != nil {
		if err == io.EOF {
			return nil
		}
		return err
	}
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if first.Hello == nil {
		return errors.New("a client's first frame is not its hello")
	}
	h := s.hello
	h.Intact = s.journal.isIntact()
	if err := writeFrame(c.conn, answer{Hello: &h}); err != nil {
		return err
	}
	if err := first.Hello.check(); err != nil {
		return err
	}

	var writing sync.WaitGroup
	writing.Go(c.write)
	// From here on the client hears of reports; then it gets what there was before. It may hear of something twice.
	s.mu.Lock()
	if s.sessions == nil {
		s.sessions = make(map[*session]struct{})
	}
	s.sessions[c] = struct{}{}
	if s.closed {
		c.finish()
	}
	s.mu.Unlock()
	s.nudge()
	tasks := s.keeper.List()
	c.post(func(a *answer) { a.Listed, a.Tasks = true, tasks })
	err := s.serve(c, r)
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
	s.nudge()
	c.finish()
	writing.Wait()
	return err
}

// serve does what the client asks until it leaves.
func (s *server) serve(c *session, r *frameReader) error {
	for {
		var q request
		if err := r.read(&q); err != nil {
			if err == io.EOF || c.finished() {
				return nil
			}
			return err
		}
		s.busy()
		err := s.keeper.Start(q.Start)
		err = errors.Join(err, s.keeper.Stop(q.Stop), s.keeper.Ack(q.Ack))
		if err != nil {
			return err
		}
		if q.Settled {
			s.journal.settled()
		}
		if q.Shutdown != nil {
			select {
			case s.end <- q.Shutdown.Grace:
			default: // it is ending already
			}
		}
		found := make([]inspected, 0, len(q.Inspect))
		for _, i := range q.Inspect {
			found = append(found, inspected{ID: i.ID, Containers: s.keeper.Inspect(i.Key, i.Usage)})
		}
		c.post(func(a *answer) {
			a.Done = q.Seq
			a.Inspected = append(a.Inspected, found...)
			if q.Stats {
				stats := s.keeper.Stats()
				a.Stats = &stats
			}
		})
	}
}

func (s *server) nudge() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
