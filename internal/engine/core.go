package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/sched"
)

// IDs makes the identifiers the core needs. The simulator's come from its seed.
type IDs interface {
	UUID() string   // lower case, with hyphens
	TaskID() string // 32 hexadecimal digits
}

// Limits are the adjustments of a Core. The zero value is AWS's behaviour on an unbounded machine.
type Limits struct {
	// MaxTasks bounds the containers under way on this machine, whatever the compute environments allow; 0 is no bound.
	MaxTasks int
	// StopGrace is the time from SIGTERM to SIGKILL of a timeout or termination, SpotWindow that of a Spot interruption; 0
	// leaves it to the containers' stop timeouts, which are AWS's 30 s unless a definition says otherwise.
	StopGrace, SpotWindow time.Duration
	// Notify asks for Notices; without a reader they are not worth their cost.
	Notify bool
	// SpotRate is how often the capacity under an attempt on a Spot environment is reclaimed, in expected interruptions per
	// hour of running; 0 is never. SpotSeed decides when: see spotInterruption.
	SpotRate float64
	SpotSeed uint64
	// NodeNetwork is where the nodes of multi-node jobs have their addresses, an IPv4 network of at least 1,024;
	// DefaultNodeNetwork if it is not valid.
	NodeNetwork netip.Prefix
}

// Core is the state of everything unfinished, and the rules by which it changes. It starts no goroutine, reads no clock
// and does no I/O: Step takes an event and the time, and Take hands out what has to be committed and done. One goroutine
// at a time may use it.
type Core struct {
	ids    IDs
	limits Limits
	now    time.Time

	parts map[batch.Partition]*partition
	// partOrder is the partitions in the order they appeared: what a scheduling pass follows.
	partOrder []*partition
	jobs      map[string]*job // by UUID
	lastSeq   int64

	hostTasks int // under way on this machine
	// blocks are the addresses in use by multi-node jobs.
	blocks map[addressBlock]bool

	// news is what dependants are yet to be told; spreading says that spread does so.
	news      []news
	spreading bool
	// restoring: state is being rebuilt from rows, nothing is news.
	restoring bool
	timers    timers

	// What Take hands out.
	dirty     map[*work]struct{}
	dirtyArr  map[*job]struct{}
	changes   Changes
	starts    []StartTask
	stops     []StopTask
	acks      []string
	notices   []Notice
	resources bool // a resource changed: publish a new catalog
}

// NewCore makes an empty core.
func NewCore(ids IDs, limits Limits) *Core {
	return &Core{
		ids:      ids,
		limits:   limits,
		parts:    map[batch.Partition]*partition{},
		jobs:     map[string]*job{},
		blocks:   map[addressBlock]bool{},
		dirty:    map[*work]struct{}{},
		dirtyArr: map[*job]struct{}{},
	}
}

// partition is what one account has in one region.
type partition struct {
	batch.Partition
	envs        map[string]*environment
	queues      map[string]*queue
	definitions map[string]*definition
	policies    map[string]*batch.SchedulingPolicy
	consumables map[string]*consumable
	// order is the queues by descending priority, then name: the order of a scheduling cycle.
	order []*queue
	// parked is work that waits for consumable resources; parkedAt says where an item does.
	parked   map[parkingPlace]*parking
	parkedAt map[*sched.Item[entry]]*parking
	tasks    int // under way on this machine
	// unsettled: something changed that may let a job be placed. stale: the published catalog is behind.
	unsettled, stale bool
}

// environment is a compute environment with what is placed on it.
type environment struct {
	*batch.ComputeEnvironment
	used  int64 // milli-vCPU of STARTING and RUNNING work
	tasks int
}

// queue is a job queue with its runnable work.
type queue struct {
	*batch.JobQueue
	part *partition
	envs []*environment // in order
	work *sched.Queue[entry]
	jobs map[*job]struct{} // unfinished
	used int64             // milli-vCPU of its STARTING and RUNNING work
	// usageKept is when the usage of its shares was last written, in ms; see keepUsage.
	usageKept int64
	// blocked is why the head can't be placed, and since when it has been the same one for the same reason.
	blocked blocked
	// kept is what is on disk about that: see keepBlocked.
	kept *keptBlock
}

type blocked struct {
	job    *job
	index  int32  // of the array child; -1 otherwise
	reason string // "" when only busy
	since  int64  // ms
	timer  *timer
}

// definition is all revisions of a job definition name.
type definition struct {
	revisions map[int]*batch.JobDefinition
	last      int // highest ever registered
}

// consumable is a consumable resource with what is held of it.
type consumable struct {
	*batch.ConsumableResource
	inUse int64
	// updates are those made with a clientToken lately, oldest first.
	updates []update
}

func (c *Core) partition(p batch.Partition) *partition {
	part := c.parts[p]
	if part == nil {
		part = &partition{
			Partition:   p,
			envs:        map[string]*environment{},
			queues:      map[string]*queue{},
			definitions: map[string]*definition{},
			policies:    map[string]*batch.SchedulingPolicy{},
			consumables: map[string]*consumable{},
			parked:      map[parkingPlace]*parking{},
			parkedAt:    map[*sched.Item[entry]]*parking{},
		}
		c.parts[p] = part
		c.partOrder = append(c.partOrder, part)
	}
	return part
}

func (p *partition) sortQueues() {
	p.order = p.order[:0]
	for _, q := range p.queues {
		p.order = append(p.order, q)
	}
	slices.SortFunc(p.order, func(a, b *queue) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
}

// Event is something that happens to the core: a request, a report, the passing of time. See events.go.
type Event interface{ apply(c *Core) (any, error) }

// Step applies one event at the time now and runs the scheduler. The result is the event's own; an error means that
// nothing changed. Times of successive steps never go back.
func (c *Core) Step(ev Event, now time.Time) (any, error) {
	if now.After(c.now) {
		c.now = now
	}
	result, err := ev.apply(c)
	if err != nil {
		return nil, err
	}
	c.fireTimers()
	c.schedule()
	return result, nil
}

func (c *Core) nowMs() int64 { return c.now.UnixMilli() }

// Outcome is what a group of steps wants done: first Changes committed, then the rest, in any order.
type Outcome struct {
	Changes Changes
	// Start and Stop go to the Launcher. Both are repeated after a restart until reports say they happened.
	Start []StartTask
	Stop  []StopTask
	// Ack names task keys whose Ended report is part of Changes.
	Ack []string
	// Notices are the state changes, in order.
	Notices []Notice
	// ResourcesChanged asks for a new Catalog.
	ResourcesChanged bool
	// Wake is when Step is due with a Tick at the latest; zero for never.
	Wake time.Time
}

// StartTask asks for one task to be started: everything about the attempt that is not in the Spec.
type StartTask struct {
	Key       string // "<job id>/<attempt>"
	Partition batch.Partition
	JobID     string // with suffix
	Attempt   int
	Spec      *batch.Spec
	Task      *batch.TaskView
	// Index is the array child's, Node the node's, -1 when it is neither.
	Index, Node int
	Record      Attempt
	// MainNodeAddress is the main node's address, for the other nodes.
	MainNodeAddress string
}

// StopTask asks for a task to be ended: SIGTERM, after Grace SIGKILL. Zero Grace means the containers' own stop timeouts.
type StopTask struct {
	Key   string
	Grace time.Duration
}

// Take hands out everything the steps since the last Take want done, and forgets it.
func (c *Core) Take() Outcome {
	c.encodeDirty()
	out := Outcome{
		Changes: c.changes, Start: c.starts, Stop: c.stops, Ack: c.acks, Notices: c.notices,
		ResourcesChanged: c.resources, Wake: c.timers.next(),
	}
	c.changes, c.starts, c.stops, c.acks, c.notices, c.resources = Changes{}, nil, nil, nil, nil, false
	return out
}

// move takes a work to the state its trigger leads to. It is the one place that writes a worker's state.
func (c *Core) move(w *work, trigger batch.Trigger) {
	from := w.status
	to, err := batch.Next(batch.Worker, from, trigger)
	if err != nil {
		panic(fmt.Sprintf("engine: job %s: %v", w.id(), err)) // callers check states; this is a fault of ours
	}
	w.status = to
	switch to {
	case batch.Runnable:
		w.RunnableAt = c.nowMs()
		w.StatusReason = ""
	case batch.Running:
		// StartedAt was set by the caller: it comes from the report.
	case batch.Succeeded, batch.Failed:
		if w.StoppedAt == 0 { // an attempt's end sets its own
			w.StoppedAt = c.nowMs()
		}
	}
	c.touch(w)
	if a := w.job.array; a != nil {
		c.moveChild(w.job, w.index, to)
	}
	if c.announcing() {
		c.announce(c.viewWork(w))
	}
}

// moveChild records a child's new state in its parent and moves the parent along.
func (c *Core) moveChild(j *job, i int32, to batch.Status) {
	a := j.array
	a.counts[a.states[i]]--
	a.counts[to]++
	a.states[i] = to
	a.summaryAt = c.nowMs()
	if a.status == batch.Submitted && to >= batch.Runnable {
		c.moveParent(j, batch.ChildMoved)
	}
}

// moveParent takes an array parent to the state its trigger leads to. It is the one place that writes a parent's state.
func (c *Core) moveParent(j *job, trigger batch.Trigger) {
	a := j.array
	to, err := batch.Next(batch.Parent, a.status, trigger)
	if err != nil {
		panic(fmt.Sprintf("engine: array job %s: %v", j.id, err))
	}
	if to == a.status {
		return
	}
	a.status = to
	if to.Final() {
		a.StoppedAt = c.nowMs()
		a.Summary = (*[batch.NumStatuses]int)(a.counts[:])
	}
	c.dirtyArr[j] = struct{}{}
	if c.announcing() {
		c.announce(c.viewParent(j))
	}
}

func (c *Core) touch(w *work) { c.dirty[w] = struct{}{} }

// id is the work's job id, with the child's suffix.
func (w *work) id() string {
	if w.index >= 0 {
		return batch.ArrayChildID(w.job.id, int(w.index))
	}
	return w.job.id
}

// attemptNo is the number of the attempt under way, or of the next one.
func (w *work) attemptNo() int { return len(w.Attempts) + 1 }

// key is the task key of the attempt under way.
func (w *work) key() string { return fmt.Sprintf("%s/%d", w.id(), w.attemptNo()) }
