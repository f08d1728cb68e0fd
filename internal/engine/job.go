package engine

import (
	"math/bits"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// job is an unfinished job: a single job, an array parent or a multi-node parent. Finished jobs exist in the Store only.
type job struct {
	seq       int64
	part      *partition
	id        string
	spec      *batch.Spec
	queue     *queue
	createdAt int64 // ms

	// What holds the job back as a whole: waits counts the jobs it depends on that are not final yet.
	waits     int
	depFailed bool
	// Those it holds back: waiters as a whole, pairs child by child (N_TO_N), childWaiters on one child of this array.
	waiters      []*job
	pairs        []*job
	childWaiters map[int32][]*job

	// Exactly one is set: work for a single or multi-node job, array for an array parent.
	work  *work
	array *array

	// task is the narrow view of what an attempt runs, parsed when first needed.
	task *batch.TaskView

	// isNew: the row with its Spec has not been written yet.
	isNew bool
}

// status is the job's own state.
func (j *job) status() batch.Status {
	if j.array != nil {
		return j.array.status
	}
	return j.work.status
}

// Stop causes: why an attempt is being ended by the engine.
const (
	stopTimeout   = "timeout"
	stopTerminate = "terminate"
	stopSpot      = "spot"
)

// work is a line of attempts: a single job, an array child that has left its first state, or a multi-node job as a whole.
type work struct {
	job    *job
	index  int32 // of the array child; -1 otherwise
	status batch.Status
	WorkState
	attempt *attempt // the one under way, in STARTING and RUNNING
	item    sched.Item[entry]
	nodes   []*node // of a multi-node job
}

// attempt is what the engine knows of an attempt under way beside its record.
type attempt struct {
	env *environment
	// milliCPU is what it holds of env; hostTasks how many of the machine's task slots.
	milliCPU  int64
	hostTasks int
	held      []holding
	addresses addressBlock // of a multi-node job
	// deadline ends it when attemptDurationSeconds have passed; nil without a timeout.
	deadline *timer
	// reclaim takes the Spot capacity under it away; nil if that is not to happen.
	reclaim *timer
}

// entry is what stands in a queue: one work, or (work nil) the next runnable child of an array that has not been tried.
type entry struct {
	job  *job
	work *work
}

// array is the state of an array parent. Children that have never been placed are one byte each in states.
type array struct {
	status batch.Status
	JobState
	states []batch.Status
	counts [batch.NumStatuses]int
	// live holds the children in STARTING or RUNNING and those waiting in RUNNABLE for another attempt.
	live map[int32]*work
	// fresh is the set of RUNNABLE children that have never been placed; cursor is not above the smallest.
	fresh  bitset
	cursor int
	item   sched.Item[entry]
	// depsLeft counts, for each child, the N_TO_N partners it still waits for; nil if the job has none.
	depsLeft   []uint8
	sequential bool
	summaryAt  int64 // ms, of the last change to counts
}

func newArray(size int) *array {
	a := &array{
		status: batch.Submitted,
		states: make([]batch.Status, size),
		live:   map[int32]*work{},
		fresh:  make(bitset, (size+63)/64),
	}
	for i := range a.states {
		a.states[i] = batch.Submitted
	}
	a.counts[batch.Submitted] = size
	return a
}

// nextFresh is the smallest fresh child, -1 if there is none.
func (a *array) nextFresh() int32 {
	i := a.fresh.next(a.cursor)
	if i < 0 {
		a.cursor = len(a.states)
		return -1
	}
	a.cursor = i
	return int32(i)
}

func (a *array) addFresh(i int32) {
	a.fresh.set(int(i))
	a.cursor = min(a.cursor, int(i))
}

func (a *array) unfinished() int {
	return len(a.states) - a.counts[batch.Succeeded] - a.counts[batch.Failed]
}

type bitset []uint64

func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) clear(i int)    { b[i>>6] &^= 1 << (i & 63) }
func (b bitset) has(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// next is the smallest member not below from, -1 if there is none.
func (b bitset) next(from int) int {
	for w := from >> 6; w < len(b); w++ {
		word := b[w]
		if w == from>>6 {
			word &= ^uint64(0) << (from & 63)
		}
		if word != 0 {
			return w<<6 + bits.TrailingZeros64(word)
		}
	}
	return -1
}
