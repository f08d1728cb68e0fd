package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// oneFailure is a store whose next commit fails, before or after it took effect.
type oneFailure struct {
	engine.Store
	mu    sync.Mutex
	next  bool
	after bool
}

func (f *oneFailure) Commit(ctx context.Context, c *engine.Changes) error {
	f.mu.Lock()
	fail := f.next
	f.next = false
	f.mu.Unlock()
	if fail && !f.after {
		return errFull
	}
	if err := f.Store.Commit(ctx, c); err != nil || !fail {
		return err
	}
	return errFull
}

func (f *oneFailure) failNext() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = true
}

// What the commit that failed would have started is started all the same, though nothing else happens.
func TestWorkGoesOnAfterALostCommit(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, engine.Limits{MaxTasks: 1})
			l.submit("a", "")
			l.submit("b", "") // waits: the machine is full
			st := &oneFailure{Store: l.store, next: true, after: after}
			h := newHand()
			e := startEngine(t, st, h) // this machine has room for both
			if p := e.Catalog().Section(home); p.Queue("q") == nil {
				t.Error("the engine has no catalog yet")
			}
			seen := map[string]bool{}
			for !seen[l.id("b").String()] {
				seen[(<-h.started).JobID] = true
			}
			if left := e.Stop(); len(left) != 2 {
				t.Errorf("under way: %v, want both jobs", left)
			}
		})
	}
}

// A timeout that could not be written comes again.
func TestTimerAfterALostCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, engine.Limits{})
		time.Sleep(time.Until(l.now)) // the lab's time is later than the bubble's
		l.submit("a", `"timeout":{"attemptDurationSeconds":60}`)
		l.run("a")
		st := &oneFailure{Store: l.store}
		h := newHand()
		e := startEngine(t, st, h)
		synctest.Wait()
		st.failNext()
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if len(h.stopped) != 0 {
			t.Error("the task was stopped, though that is not on disk")
		}
		time.Sleep(2 * time.Second)
		if key := <-h.stopped; key != l.task("a").Key {
			t.Errorf("stopped %s", key)
		}
		e.Stop()
	})
}

// A request that the core can't take fails alone; those of its group are answered.
func TestPoisonFailsAlone(t *testing.T) {
	t.Parallel()
	h := newHand()
	e := startEngine(t, &oneFailure{Store: newLab(t, engine.Limits{}).store}, h)
	spec := setUpSpec(t)
	ctx := context.Background()
	ids, errs := make(chan string, 50), make(chan error, 50)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%10 == 5 {
				_, err := e.Do(ctx, engine.Poison{})
				errs <- err
				return
			}
			if i%10 == 6 {
				e.InjectForTest(engine.Poison{})
				return
			}
			id, err := e.Submit(ctx, home, spec)
			if err != nil {
				t.Errorf("submit: %v", err)
			}
			ids <- id
		})
	}
	wg.Wait()
	close(ids)
	close(errs)
	for err := range errs {
		var refusal *batch.Error
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "poison") {
			t.Errorf("the poison's answer: %v", err)
		}
	}
	seen := map[string]bool{}
	for id := range ids {
		if seen[id] {
			t.Errorf("two jobs have id %s", id)
		}
		seen[id] = true
		if s := status(t, e, id); s.Final() {
			t.Errorf("job %s is %v", id, s)
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d jobs, want 40", len(seen))
	}
	e.Stop()
}

// A report that came with one that can't be taken is not lost.
func TestReportsBesidePoison(t *testing.T) {
	t.Parallel()
	h := newHand()
	e := startEngine(t, newLab(t, engine.Limits{}).store, h)
	id, err := e.Submit(context.Background(), home, setUpSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	st := <-h.started
	e.InjectForTest(engine.Poison{})
	code, now := 0, time.Now()
	e.InjectForTest(engine.TaskReport{Report: runtime.Report{Key: st.Key, Kind: runtime.Ended, At: now, StartedAt: now,
		Containers: []runtime.ContainerReport{{Name: "default", StartedAt: now, StoppedAt: now, ExitCode: &code}}}})
	if key := <-h.acked; key != st.Key {
		t.Errorf("acknowledged %s, want %s", key, st.Key)
	}
	if got := status(t, e, id); got != batch.Succeeded {
		t.Errorf("status %v, want SUCCEEDED", got)
	}
	e.Stop()
}

// setUpSpec is a job for the queue of a lab.
func setUpSpec(t *testing.T) *batch.Spec { return newLab(t, engine.Limits{}).spec(0) }
