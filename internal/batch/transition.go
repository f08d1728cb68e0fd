package batch

import "fmt"

// Trigger is something that happens to a job and may move it to another state.
type Trigger uint8

// The triggers. A job here is whatever has a life of its own: a single job, an array child, a node, a multi-node job as
// a whole, or an array parent (see Kind).
const (
	// MustWait: a dependency is outstanding.
	MustWait Trigger = iota + 1
	// MayRun: nothing is outstanding any more.
	MayRun
	// Placed: the scheduler gave it room on a compute environment.
	Placed
	// Began: its container's program was started.
	Began
	// Retried: an attempt failed and the retry strategy allows another one.
	Retried
	// Completed: its work ended well. For a parent: every child succeeded.
	Completed
	// Ended: it failed for good: attempts used up, cancelled, terminated, timed out, a dependency failed. For a parent:
	// every child is final and one failed.
	Ended
	// ChildMoved: a child of an array parent became runnable or went further.
	ChildMoved
)

// NumTriggers is one more than the largest Trigger.
const NumTriggers = int(ChildMoved) + 1

var triggerNames = [NumTriggers]string{"", "MustWait", "MayRun", "Placed", "Began", "Retried", "Completed", "Ended", "ChildMoved"}

func (t Trigger) String() string {
	if int(t) < NumTriggers {
		return triggerNames[t]
	}
	return fmt.Sprintf("Trigger(%d)", uint8(t))
}

// Kind tells apart the two lives a job can lead.
type Kind uint8

// The kinds. A Worker runs containers; a Parent only sums up its array children and never shows RUNNABLE, STARTING or
// RUNNING.
const (
	Worker Kind = iota
	Parent
)

type table [NumStatuses][NumTriggers]Status

// transitions is the whole life of a job as data (reference, section 3.2). What is not in it does not happen.
//
//	SUBMITTED ──MayRun──▶ RUNNABLE ──Placed──▶ STARTING ──Began──▶ RUNNING ──Completed──▶ SUCCEEDED
//	   │MustWait             ▲  ▲                 │Retried           │Retried
//	   ▼                     │  └─────────────────┴──────────────────┘
//	PENDING ────MayRun───────┘          Ended: from every state but the two final ones to FAILED
var transitions = [...]table{
	Worker: {
		Submitted: {MustWait: Pending, MayRun: Runnable, Ended: Failed},
		Pending:   {MayRun: Runnable, Ended: Failed},
		Runnable:  {Placed: Starting, Ended: Failed},
		Starting:  {Began: Running, Retried: Runnable, Ended: Failed},
		Running:   {Retried: Runnable, Completed: Succeeded, Ended: Failed},
	},
	Parent: {
		Submitted: {MustWait: Pending, ChildMoved: Pending, Completed: Succeeded, Ended: Failed},
		Pending:   {ChildMoved: Pending, Completed: Succeeded, Ended: Failed},
	},
}

// TransitionError is a trigger that a state does not allow.
type TransitionError struct {
	Kind    Kind
	From    Status
	Trigger Trigger
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("a job in %s does not take %s", e.From, e.Trigger)
}

// Next is the state that follows from trigger, or a *TransitionError.
func Next(k Kind, from Status, trigger Trigger) (Status, error) {
	if to := transitions[k][from][trigger]; to != 0 {
		return to, nil
	}
	return 0, &TransitionError{Kind: k, From: from, Trigger: trigger}
}
