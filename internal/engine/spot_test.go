package engine_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// spotLab is a lab with a queue called spot on FARGATE_SPOT.
func spotLab(t *testing.T, limits engine.Limits) *lab {
	t.Helper()
	l := newLab(t, limits)
	l.environment("spot", "FARGATE_SPOT", 64)
	l.queue("spot", 1, "spot", "")
	return l
}

// submitSpot submits to the queue on Spot.
func (l *lab) submitSpot(name, members string) {
	l.t.Helper()
	l.submit(name, strings.TrimSuffix(`"jobQueue":"spot",`+members, ","))
}

func TestSpotRateReclaimsAndRetryRulesApply(t *testing.T) {
	t.Parallel()
	l := spotLab(t, engine.Limits{SpotRate: 60, SpotSeed: 7, SpotWindow: 2 * time.Second})
	l.submitSpot("a", `"retryStrategy":{"attempts":2,"evaluateOnExit":[{"onStatusReason":"Your Spot Task was interrupted*","action":"RETRY"},{"onReason":"*","action":"EXIT"}]}`)
	l.advance(time.Hour) // a task that has not begun to run is left alone
	l.stopped()
	for attempt := 1; attempt <= 2; attempt++ {
		l.run("a")
		began := l.now
		for len(l.stops) == 0 {
			if l.now.Sub(began) > time.Hour {
				t.Fatalf("attempt %d has run for an hour at sixty interruptions an hour", attempt)
			}
			l.advance(time.Second)
		}
		if got := l.stops[0]; got.Key != l.task("a").Key || got.Grace != 2*time.Second {
			t.Errorf("attempt %d: stop %+v of task %s", attempt, got, l.task("a").Key)
		}
		l.stops = nil
		l.exit("a", 143)
	}
	l.expect("a RUNNABLE", "a STARTING", "a RUNNING", "a RUNNABLE", "a STARTING", "a RUNNING", "a FAILED")
	l.states("a FAILED " + batch.ReasonSpotInterrupted)
}

func TestSpotInterruptionEndsWithExitZero(t *testing.T) {
	t.Parallel()
	l := spotLab(t, engine.Limits{})
	l.submitSpot("a", `"retryStrategy":{"attempts":3}`)
	l.run("a")
	l.must(engine.InterruptSpot{Partition: home, ID: l.id("a")})
	l.exit("a", 0)
	l.expect("a RUNNABLE", "a STARTING", "a RUNNING", "a SUCCEEDED")
}

func TestOnDemandIsNotReclaimed(t *testing.T) {
	t.Parallel()
	l := spotLab(t, engine.Limits{SpotRate: 3600})
	l.submit("a", "")
	l.run("a")
	l.advance(24 * time.Hour)
	l.stopped()
	if _, err := l.step(engine.InterruptSpot{Partition: home, ID: l.id("a")}); err == nil {
		t.Error("an interruption of a job that is not on Spot was taken")
	}
}

// TestSpotSeedRepeats runs the same submissions twice with one seed and once with another.
func TestSpotSeedRepeats(t *testing.T) {
	t.Parallel()
	times := func(seed uint64) string {
		l := spotLab(t, engine.Limits{SpotRate: 30, SpotSeed: seed})
		l.submitSpot("a", `"arrayProperties":{"size":20}`)
		for _, name := range l.underWay() {
			l.run(name)
		}
		var trace []string
		for minute := range 10 {
			l.advance(time.Minute)
			for _, st := range l.stops {
				trace = append(trace, st.Key[strings.IndexByte(st.Key, ':'):], time.Duration(minute).String())
			}
			l.stops = nil
		}
		return strings.Join(trace, " ")
	}
	first := times(1)
	if first == "" {
		t.Fatal("no interruption in ten minutes at thirty an hour")
	}
	if again := times(1); again != first {
		t.Errorf("the same seed gave\n%s\nand\n%s", first, again)
	}
	if other := times(2); other == first {
		t.Errorf("another seed gave the same: %s", other)
	}
}

// TestSpotTimesAreExponential compares the share of attempts that are spared for some time with what a Poisson process
// predicts.
func TestSpotTimesAreExponential(t *testing.T) {
	t.Parallel()
	limits := engine.Limits{SpotRate: 2, SpotSeed: 42}
	const n = 20000
	for _, hours := range []float64{0.1, 0.5, 1, 2} {
		spared := 0
		for i := range n {
			after, ok := limits.SpotInterruptionForTest(int64(1+i/100), int32(i%100), 1)
			if !ok || after.Hours() > hours {
				spared++
			}
		}
		want := math.Exp(-limits.SpotRate * hours)
		if got := float64(spared) / n; math.Abs(got-want) > 0.01 {
			t.Errorf("%.3f of the attempts run longer than %v h, want %.3f", got, hours, want)
		}
	}
	if after, ok := (&engine.Limits{SpotRate: 1e-12}).SpotInterruptionForTest(1, -1, 1); ok {
		t.Errorf("an interruption after %v at a rate of nearly nothing", after)
	}
}

// TestSpotTimesSurviveARestart: the clock goes on from where the attempt began to run.
func TestSpotTimesSurviveARestart(t *testing.T) {
	t.Parallel()
	limits := engine.Limits{SpotRate: 60, SpotSeed: 3}
	after, _ := limits.SpotInterruptionForTest(1, -1, 1)
	l := spotLab(t, limits)
	l.submitSpot("a", "")
	l.run("a")
	l.advance(after / 2)
	l.restart()
	l.advance(after - after/2 - 2*time.Millisecond)
	l.stopped()
	l.advance(2 * time.Millisecond)
	l.stopped("a")
}

func TestNoticesOfNeighboursAreOne(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	if _, err := l.core.Step(engine.SubmitJob{Partition: home, Spec: l.spec(10000)}, l.now); err != nil {
		t.Fatal(err)
	}
	notices := l.core.Take().Notices
	var wide *engine.Notice
	for i := range notices {
		if notices[i].Last > notices[i].View.Index {
			wide = &notices[i]
		}
	}
	if wide == nil || wide.View.Index != 0 || wide.Last != 9999 || wide.View.Status != batch.Runnable {
		t.Fatalf("no notice tells of all 10,000 children becoming RUNNABLE among %d", len(notices))
	}
	i := 0
	for v := range wide.Views() {
		if want := batch.ArrayChildID(wide.View.ParentID(), i); v.ID != want || v.Index != i {
			t.Fatalf("view %d is of %s, index %d; want %s", i, v.ID, v.Index, want)
		}
		i++
	}
	if i != 10000 {
		t.Errorf("%d views", i)
	}
	for range wide.Views() {
		break // stopping early is no panic
	}
}
