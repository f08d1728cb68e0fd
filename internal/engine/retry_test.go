package engine_test

import (
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Reference 5, through the core: which failures are retried, and which rule decides.
func TestEvaluateOnExit(t *testing.T) {
	t.Parallel()
	rules := func(list string) string { return `"retryStrategy":{"attempts":3,"evaluateOnExit":[` + list + `]}` }
	exit := func(code int) func(*lab) { return func(l *lab) { l.exit("x", code) } }
	oom := func(l *lab) {
		code := 137
		l.end("x", runtime.Report{StartedAt: l.now, Containers: []runtime.ContainerReport{{Name: "default", StartedAt: l.now, StoppedAt: l.now, ExitCode: &code, OOM: true}}})
	}
	pull := func(l *lab) { l.fail("x", "CannotPullContainerError: pull access denied") }
	setUp := func(l *lab) { l.fail("x", "ResourceInitializationError: no such log group") }
	create := func(l *lab) { l.fail("x", "CannotCreateContainerError: no command") }
	for _, tt := range []struct {
		name, rules string
		end         func(*lab)
		retried     bool
		reason      string // of the attempt
	}{
		{"no rules", `"retryStrategy":{"attempts":2}`, exit(1), true, batch.ReasonExited},
		{"no strategy", `"tags":{"a":"b"}`, exit(1), false, batch.ReasonExited},
		{"exit code that says exit", rules(`{"onExitCode":"1","action":"EXIT"}`), exit(1), false, batch.ReasonExited},
		{"another exit code", rules(`{"onExitCode":"1","action":"EXIT"}`), exit(11), true, batch.ReasonExited},
		{"start of an exit code", rules(`{"onExitCode":"1*","action":"exit"}`), exit(11), false, batch.ReasonExited},
		{"first matching rule decides", rules(`{"onExitCode":"1*","action":"RETRY"},{"onExitCode":"11","action":"EXIT"}`), exit(11), true, batch.ReasonExited},
		{"all conditions of a rule", rules(`{"onExitCode":"1","onStatusReason":"Host EC2*","action":"EXIT"}`), exit(1), true, batch.ReasonExited},
		{"status reason", rules(`{"onStatusReason":"Essential container*","action":"EXIT"}`), exit(1), false, batch.ReasonExited},
		{"out of memory", rules(`{"onReason":"OutOfMemoryError:*","action":"EXIT"}`), oom, false, batch.ReasonExited},
		{"no reason, and any reason", rules(`{"onReason":"*","action":"EXIT"}`), exit(1), false, batch.ReasonExited},
		{"no reason, and one asked for", rules(`{"onReason":"OutOfMemory*","action":"EXIT"}`), exit(1), true, batch.ReasonExited},
		{"no exit code", rules(`{"onExitCode":"1","action":"EXIT"}`), pull, true, "CannotPullContainerError: pull access denied"},
		{"failed pull", rules(`{"onReason":"CannotPullContainerError:*","action":"EXIT"}`), pull, false, "CannotPullContainerError: pull access denied"},
		{"failed set-up", rules(`{"onStatusReason":"ResourceInitializationError:*","action":"EXIT"}`), setUp, false, "ResourceInitializationError: no such log group"},
		{"failed creation", rules(`{"onStatusReason":"Task failed to start","onReason":"CannotCreate*","action":"EXIT"}`), create, false, batch.ReasonTaskFailedToStart},
		{"lost host", rules(`{"onStatusReason":"Host EC2*","action":"RETRY"},{"onReason":"*","action":"EXIT"}`), func(l *lab) { l.lose("x") }, true, "Host EC2*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, engine.Limits{})
			l.submit("x", tt.rules)
			tt.end(l)
			v := l.view("x")
			if len(v.Attempts) != 1 || (v.Status == batch.Starting) != tt.retried {
				t.Fatalf("%v after %d attempts, want retried %v", v.Status, len(v.Attempts), tt.retried)
			}
			if got := v.Attempts[0].StatusReason; got != tt.reason && tt.reason != "Host EC2*" {
				t.Errorf("the attempt's reason is %q, want %q", got, tt.reason)
			}
			if !tt.retried && v.StatusReason != v.Attempts[0].StatusReason {
				t.Errorf("the job's reason is %q, its attempt's %q", v.StatusReason, v.Attempts[0].StatusReason)
			}
		})
	}
}

// Attempts count all runs; each leaves a record; the last decides.
func TestAttemptsAreRecorded(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("x", `"retryStrategy":{"attempts":3}`)
	l.run("x")
	l.advance(time.Second)
	l.exit("x", 1)
	l.restart()
	l.fail("x", "CannotPullContainerError: gone")
	l.restart()
	l.exit("x", 2)
	l.states("x FAILED " + batch.ReasonExited)
	v := l.view("x")
	if len(v.Attempts) != 3 {
		t.Fatalf("%d attempts on record, want 3", len(v.Attempts))
	}
	first, second, third := v.Attempts[0], v.Attempts[1], v.Attempts[2]
	if *first.Containers[0].ExitCode != 1 || first.StoppedAt-first.StartedAt != 1000 || first.TaskID == second.TaskID {
		t.Errorf("first attempt: %+v", first)
	}
	if second.StartedAt != 0 || second.Containers[0].ExitCode != nil || second.Containers[0].Reason != "CannotPullContainerError: gone" {
		t.Errorf("second attempt: %+v", second)
	}
	if *third.Containers[0].ExitCode != 2 || v.StartedAt != third.StartedAt || v.StoppedAt != third.StoppedAt {
		t.Errorf("third attempt: %+v of a job from %d to %d", third, v.StartedAt, v.StoppedAt)
	}
}

// Reference 7.1: retried jobs come first in their queue, in the order of their submission.
func TestRetriedJobsGoFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		l.submit(name, retries)
	}
	l.updateEnvironment("ce", `"state":"DISABLED"`)
	l.exit("d", 1)
	l.exit("b", 1)
	l.exit("a", 0)
	l.exit("c", 0)
	l.restart()
	l.updateEnvironment("ce", `"state":"ENABLED"`)
	l.running("b", "d", "e", "f")
}

// Reference 6: each child has a clock of its own, which starts anew with each attempt.
func TestTimeoutsOfArrayChildren(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", array(3)[1:]+`,"timeout":{"attemptDurationSeconds":60},`+retries)
	l.run("a:0")
	l.advance(30 * time.Second)
	l.run("a:1")
	l.exit("a:2", 1)
	l.run("a:2")
	l.advance(29 * time.Second)
	l.exit("a:1", 1)
	l.run("a:1")
	l.advance(time.Second)
	l.stopped("a:0")
	l.exit("a:0", 0) // stopped in time to end well, and too late
	l.states("a:0 FAILED " + batch.ReasonTimeout)
	l.advance(30 * time.Second)
	l.stopped("a:2")
	l.exit("a:2", 137)
	l.advance(29 * time.Second)
	l.stopped("a:1")
	l.restart()
	l.stopped("a:1")
	l.end("a:1", runtime.Report{StartedAt: l.now, Lost: true, Containers: []runtime.ContainerReport{{Name: "default"}}})
	l.states("a:1 FAILED "+batch.ReasonTimeout, "a:2 FAILED "+batch.ReasonTimeout, "a FAILED "+batch.ReasonChildFailed)
}

// A timeout is never retried, whatever the rules say, and rules are not even asked.
func TestTimeoutIsNotRetriedByRule(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"timeout":{"attemptDurationSeconds":60},"retryStrategy":{"attempts":9,"evaluateOnExit":[{"onStatusReason":"Job attempt duration*","action":"RETRY"},{"onReason":"*","action":"RETRY"}]}`)
	l.run("a")
	l.advance(time.Minute)
	l.exit("a", 143)
	l.states("a FAILED " + batch.ReasonTimeout)
}

// A task that ended in time while the engine was away has not timed out, though the engine hears of it later.
func TestLateReportOfATaskThatEndedInTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"timeout":{"attemptDurationSeconds":60}`)
	l.submit("b", `"timeout":{"attemptDurationSeconds":60}`)
	l.run("a")
	l.run("b")
	began := l.now
	l.advance(time.Hour) // the engine starts again, and its clock is far ahead
	l.stopped("a", "b")
	l.restart()
	report := func(name string, after time.Duration) {
		code, at := 0, began.Add(after)
		st := l.task(name)
		l.must(engine.TaskReport{Report: runtime.Report{Key: st.Key, Kind: runtime.Ended, At: at, StartedAt: began,
			Containers: []runtime.ContainerReport{{Name: "default", StartedAt: began, StoppedAt: at, ExitCode: &code}}}})
	}
	report("a", 50*time.Second)
	report("b", 70*time.Second)
	l.states("a SUCCEEDED "+batch.ReasonExited, "b FAILED "+batch.ReasonTimeout)
	if v := l.view("a"); v.StoppedAt != began.Add(50*time.Second).UnixMilli() || v.Attempts[0].StoppedAt != v.StoppedAt {
		t.Errorf("a stopped at %d, its attempt at %d", v.StoppedAt-began.UnixMilli(), v.Attempts[0].StoppedAt-began.UnixMilli())
	}
}

// Reports are repeated until they are acknowledged, and may come for attempts long gone: nothing changes, all are
// acknowledged.
func TestRepeatedReports(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.submit("a", `"retryStrategy":{"attempts":2}`)
	first := l.task("a")
	l.run("a")
	l.run("a")
	l.exit("a", 1)
	second := l.task("a")
	before := l.core.Dump()
	code := 0
	for _, key := range []string{first.Key, "11111111-2222-4333-8444-555555555555/1", "no key", first.JobID + "#0/2", first.JobID + ":0/2", first.JobID + "/x"} {
		delete(l.acks, key)
		l.must(engine.TaskReport{Report: runtime.Report{Key: key, Kind: runtime.Started, At: l.now}})
		if l.acks[key] {
			t.Errorf("a Started report of %s was acknowledged", key)
		}
		l.must(engine.TaskReport{Report: runtime.Report{Key: key, Kind: runtime.Ended, At: l.now, Containers: []runtime.ContainerReport{{ExitCode: &code}}}})
		if !l.acks[key] {
			t.Errorf("the Ended report of %s was not acknowledged", key)
		}
	}
	if after := l.core.Dump(); len(before) != len(after) || before[0] != after[0] {
		t.Errorf("something changed:\n%v\n%v", before, after)
	}
	if second.Attempt != 2 {
		t.Errorf("attempt %d, want 2", second.Attempt)
	}
	l.exit("a", 0)
	l.states("a SUCCEEDED")
}

// Reference 3.5 and 5: a reclaimed Spot task costs an attempt, and exit 0 on SIGTERM ends the job well.
func TestSpotInterruption(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{StopGrace: time.Second, SpotWindow: 2 * time.Second})
	l.environment("spot", "FARGATE_SPOT", 1)
	l.queue("spot", 1, "spot,ce", "")
	l.submit("a", `"jobQueue":"spot","arrayProperties":{"size":5},"retryStrategy":{"attempts":2,"evaluateOnExit":[{"onStatusReason":"Your Spot Task was interrupted.","action":"RETRY"},{"onReason":"*","action":"EXIT"}]}`)
	l.run("a:0")
	l.must(engine.InterruptSpot{Partition: home, ID: l.id("a:0")})
	if len(l.stops) != 1 || l.stops[0].Grace != 2*time.Second {
		t.Fatalf("stops: %v", l.stops)
	}
	l.stopped("a:0")
	l.states("a:0 RUNNING")
	l.exit("a:0", 143)
	l.running("a:1", "a:2", "a:3", "a:4", "a:0")
	if v := l.view("a:0"); v.Attempts[0].StatusReason != batch.ReasonSpotInterrupted {
		t.Errorf("the attempt's reason: %s", v.Attempts[0].StatusReason)
	}
	if _, err := l.step(engine.InterruptSpot{Partition: home, ID: l.id("a:4")}); err == nil {
		t.Error("a task on an on-demand environment was interrupted")
	}
	l.must(engine.InterruptSpot{Partition: home, ID: l.id("a")}) // all that run on Spot
	l.stopped("a:0", "a:1", "a:2", "a:3")
	l.restart()
	l.stopped("a:0", "a:1", "a:2", "a:3")
	l.exit("a:0", 137) // its second attempt
	l.states("a:0 FAILED " + batch.ReasonSpotInterrupted)
	l.exit("a:1", 0)
	l.states("a:1 SUCCEEDED")
	l.terminate("a:2", "why") // a caller's word beats the interruption
	l.exit("a:2", 143)
	l.states("a:2 FAILED why")
	if _, err := l.step(engine.InterruptSpot{Partition: home, ID: l.id("a:2")}); err == nil {
		t.Error("a final child was interrupted")
	}
}

// On EC2 Spot the instance goes, and rules match its host's reason.
func TestSpotInterruptionOnEC2(t *testing.T) {
	t.Parallel()
	l := newLab(t, engine.Limits{})
	l.environment("spot", "SPOT", 4)
	l.queue("spot", 1, "spot", "")
	l.defineEC2("plain", 1)
	l.submit("a", `"jobQueue":"spot","jobDefinition":"plain","retryStrategy":{"attempts":2,"evaluateOnExit":[{"onStatusReason":"Host EC2*","action":"RETRY"},{"onReason":"*","action":"EXIT"}]}`)
	l.run("a")
	l.must(engine.InterruptSpot{Partition: home, ID: l.id("a")})
	l.exit("a", 143)
	l.running("a")
	v := l.view("a")
	if got, want := v.Attempts[0].StatusReason, batch.ReasonHostLost(v.Attempts[0].TaskID); got != want {
		t.Errorf("the attempt's reason: %s, want %s", got, want)
	}
}
