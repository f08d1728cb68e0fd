package process

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime/spawn"
)

// mark is what the processes of one attempt of a job have in common wherever they go: the two variables that AWS Batch
// sets for every container and that a child process inherits. Processes are recognised by both entries together, which
// name one attempt of one job.
type mark struct{ job, attempt string }

const (
	jobVariable     = "AWS_BATCH_JOB_ID="
	attemptVariable = "AWS_BATCH_JOB_ATTEMPT="
	tokenSep        = " "
)

func markOf(env []string) (m mark) {
	for _, e := range env {
		switch {
		case strings.HasPrefix(e, jobVariable):
			m.job = e[len(jobVariable):]
		case strings.HasPrefix(e, attemptVariable):
			m.attempt = e[len(attemptVariable):]
		}
	}
	if m.job == "" || m.attempt == "" || strings.ContainsAny(m.job+m.attempt, tokenSep+"\n") {
		return mark{}
	}
	return m
}

// markIn is markOf for an environment as the kernel shows it.
func markIn(environ []byte) mark {
	if !bytes.Contains(environ, []byte(jobVariable)) {
		return mark{}
	}
	return markOf(strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00"))
}

// String is the form of a mark in a token: empty for no mark.
func (m mark) String() string {
	if m == (mark{}) {
		return ""
	}
	return m.job + tokenSep + m.attempt
}

// Reclaim implements runtime.Reclaimer. It ends each program that is still itself with its process group, and, where the
// machine shows environments (Linux), whatever else the attempt started.
func (r *Runtime) Reclaim(ctx context.Context, tokens []string) (int, error) {
	marks := make(map[mark]int) // to the index of the token
	found := make([]bool, len(tokens))
	var errs []error
	for i, token := range tokens {
		id, m, _ := strings.Cut(token, tokenSep)
		if job, attempt, ok := strings.Cut(m, tokenSep); ok {
			marks[mark{job, attempt}] = i
		}
		there, err := spawn.EndGroup(id)
		if err != nil {
			errs = append(errs, err)
		}
		found[i] = there
	}
	if len(marks) > 0 {
		marked := func(environ []byte) bool {
			i, ok := marks[markIn(environ)]
			if ok {
				found[i] = true
			}
			return ok
		}
		// A process may fork while we look: until nobody is found, within reason.
		for range 50 {
			if spawn.KillMarked(marked) == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return 0, errors.Join(append(errs, ctx.Err())...)
			case <-time.After(time.Millisecond):
			}
		}
	}
	n := 0
	for _, there := range found {
		if there {
			n++
		}
	}
	return n, errors.Join(errs...)
}

// strays ends what containers leave behind in sessions of their own, shortly after the last container of the attempt has
// ended: orphans that the supervisor adopted (spawn.Adopt) and that carry the mark of no running container. Orphans
// without a mark, because they changed their environment, go when nothing runs any more.
type strays struct {
	delay time.Duration // bounds how often the machine's processes are looked through

	mu      sync.Mutex
	marks   map[mark]int // of running containers
	total   int
	timer   *time.Timer // armed or busy if scanning is set
	pending bool
	closed  bool
	busy    sync.WaitGroup
}

func (s *strays) init() { s.delay, s.marks = time.Second, make(map[mark]int) }

func (s *strays) running(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[m]++
	s.total++
}

func (s *strays) ended(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.marks[m]--; s.marks[m] == 0 {
		delete(s.marks, m)
	}
	s.schedule()
}

// schedule arms the timer, once. s.mu is held.
func (s *strays) schedule() {
	if s.pending || s.closed {
		return
	}
	s.pending = true
	s.busy.Add(1)
	if s.timer == nil {
		s.timer = time.AfterFunc(s.delay, s.scan)
	} else {
		s.timer.Reset(s.delay)
	}
}

func (s *strays) scan() {
	defer s.busy.Done()
	s.mu.Lock()
	s.pending = false
	s.mu.Unlock()
	if spawn.KillOrphans(s.keep) > 0 {
		s.mu.Lock()
		s.schedule() // what those had started is ours now
		s.mu.Unlock()
	}
}

func (s *strays) keep(environ []byte) bool {
	m := markIn(environ)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m == (mark{}) {
		return s.total > 0
	}
	return s.marks[m] > 0
}

// close waits for a scan under way; one that is armed is done now, so that nothing is left behind.
func (s *strays) close() {
	s.mu.Lock()
	s.closed = true
	armed := s.timer != nil && s.timer.Stop()
	s.mu.Unlock()
	if armed {
		for range 50 {
			if spawn.KillOrphans(s.keep) == 0 {
				break
			}
		}
		s.busy.Done()
	}
	s.busy.Wait()
}
