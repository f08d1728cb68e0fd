package engine

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/runtime"
)

// node is one node of a multi-node parallel job. The job's work stands in the queue and holds the room of all nodes; each
// node has a state, attempts and a task of its own (reference, section 8).
type node struct {
	index  int
	status batch.Status
	WorkState
	dirty bool
	// ended is how this node's task ended in the attempt under way, nil while it has not.
	ended *result
	view  *batch.TaskView
}

func newNodes(spec *batch.Spec) []*node {
	nodes := make([]*node, spec.NumNodes)
	for i := range nodes {
		nodes[i] = &node{index: i, status: batch.Submitted, dirty: true}
	}
	return nodes
}

// underWay says whether the node has a task.
func (n *node) underWay() bool { return n.Current != nil }

func (w *work) mainNode() *node { return w.nodes[w.job.spec.MainNode] }

// nodeKey is the task key of a node in the attempt under way.
func (w *work) nodeKey(n *node) string {
	return fmt.Sprintf("%s/%d", batch.NodeID(w.job.id, n.index), w.attemptNo())
}

// moveNode takes a node to the state its trigger leads to, if the trigger means something to it in its state: nodes
// follow their job, and one that has ended already does not.
func (c *Core) moveNode(w *work, n *node, trigger batch.Trigger) {
	to, err := batch.Next(batch.Worker, n.status, trigger)
	if err != nil {
		panic(fmt.Sprintf("engine: node %s: %v", batch.NodeID(w.job.id, n.index), err))
	}
	n.status = to
	if to.Final() {
		n.StoppedAt = c.nowMs()
		if n.ended != nil {
			n.StoppedAt = n.ended.stoppedAt
		}
	}
	n.dirty = true
	c.touch(w)
	if c.announcing() {
		c.announce(c.viewNode(w, n))
	}
}

// readyNodes follows the job into RUNNABLE.
func (c *Core) readyNodes(w *work) {
	for _, n := range w.nodes {
		if n.status == batch.Submitted || n.status == batch.Pending {
			n.CreatedAt = w.CreatedAt
			c.moveNode(w, n, batch.MayRun)
		}
	}
}

// startNodes begins an attempt with the main node; the others follow when it runs.
func (c *Core) startNodes(w *work) {
	c.startNode(w, w.mainNode())
}

func (c *Core) startNode(w *work, n *node) {
	j := w.job
	n.ended = nil
	n.Current = c.newAttempt(j, w.nodeView(n), w.attempt.env)
	n.Current.Address = w.attempt.addresses.of(n.index)
	if n == w.mainNode() {
		w.Current.TaskID, w.Current.Address, w.Current.Containers = n.Current.TaskID, n.Current.Address, n.Current.Containers
	}
	c.moveNode(w, n, batch.Placed)
	c.starts = append(c.starts, c.startOfNode(w, n))
}

// startOfNode is the task of a node that has been started.
func (c *Core) startOfNode(w *work, n *node) StartTask {
	st := StartTask{
		Key: w.nodeKey(n), Partition: w.job.part.Partition, JobID: batch.NodeID(w.job.id, n.index), Attempt: w.attemptNo(),
		Spec: w.job.spec, Task: w.nodeView(n), Index: -1, Node: n.index, Record: *n.Current,
	}
	if n != w.mainNode() {
		st.MainNodeAddress = w.Current.Address
	}
	return st
}

// nodeView is the narrow view of what a node runs.
func (w *work) nodeView(n *node) *batch.TaskView {
	if n.view == nil {
		view, err := w.job.spec.Task(n.index)
		if err != nil {
			panic("engine: job " + w.job.id + ": its resolved node properties do not parse: " + err.Error())
		}
		n.view = &view
	}
	return n.view
}

// addressBlock is the addresses of one attempt of a multi-node job, so that its nodes can all listen on one port: blockSize of
// the nodes' network, named by the first.
type addressBlock uint32

const blockSize = 1024 // above the most nodes that a job can have

// DefaultNodeNetwork is where nodes have their addresses when they are in the network of the machine: on its loopback.
var DefaultNodeNetwork = netip.MustParsePrefix("127.64.0.0/10")

func (b addressBlock) of(node int) string {
	n := uint32(b) + uint32(node)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// blockOf is the block that an address belongs to, whichever network was the nodes' when it was taken.
func blockOf(address string) (addressBlock, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return 0, false
	}
	return addressBlock(number(a) &^ (blockSize - 1)), true
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// takeBlock reserves a block for an attempt of a job: the next one that is free, from one that the job's id chooses, because
// engines that share a machine know nothing of each other's blocks.
func (c *Core) takeBlock(jobID string) addressBlock {
	network := c.limits.NodeNetwork
	if !network.IsValid() {
		network = DefaultNodeNetwork
	}
	blocks := uint32(1) << (32 - network.Bits()) / blockSize
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(jobID)) // it returns no error
	first := hash.Sum32() % blocks
	at := func(i uint32) addressBlock { return addressBlock(number(network.Addr()) + i%blocks*blockSize) }
	for i := range blocks {
		if b := at(first + i); !c.blocks[b] {
			c.blocks[b] = true
			return b
		}
	}
	return at(first) // all are taken: they are shared rather than none given
}

// nodeReport is TaskReport for the task of a node.
func (c *Core) nodeReport(w *work, n *node, r runtime.Report) {
	if r.Kind == runtime.Started {
		c.nodeBegan(w, n, r.At)
		return
	}
	if !r.StartedAt.IsZero() {
		c.nodeBegan(w, n, r.StartedAt)
	}
	c.acks = append(c.acks, r.Key)
	res := c.result(w, w.nodeView(n), n.Current, r)
	if res.cause == batch.Stopped {
		res.statusReason = w.StopReason
	}
	n.ended = &res
	record := *n.Current
	record.StoppedAt, record.StatusReason, record.Containers = res.stoppedAt, res.statusReason, res.containers
	record.Decisive = res.decisive
	n.Attempts = append(n.Attempts, record)
	n.Current = nil
	n.StatusReason = res.statusReason
	n.dirty = true
	c.touch(w)
	main := w.mainNode()
	if n == main {
		w.Current.StartedAt = record.StartedAt
		c.timers.remove(w.attempt.deadline) // it is decided; what is left is winding down
		c.stopNodes(w)
	}
	if main.ended == nil {
		return
	}
	for _, other := range w.nodes {
		if other.underWay() {
			return
		}
	}
	c.nodesEnded(w)
}

// nodesEnded ends the attempt when the last node has: the main node's result is the job's.
func (c *Core) nodesEnded(w *work) {
	main := w.mainNode()
	w.Current.Containers = main.ended.containers
	c.attemptEnded(w, *main.ended)
}

// finishNodes gives each node its final state when the job has become final: its own result if it ran, the job's reason
// if it never did.
func (c *Core) finishNodes(w *work, reason string) {
	for _, n := range w.nodes {
		switch {
		case n.status.Final():
		case n.ended != nil && n.ended.success && n.status == batch.Running:
			c.moveNode(w, n, batch.Completed)
		default:
			if n.ended == nil {
				n.StatusReason = reason
			}
			c.moveNode(w, n, batch.Ended)
		}
	}
}

// retryNodes follows the job back into RUNNABLE for another attempt.
func (c *Core) retryNodes(w *work) {
	for _, n := range w.nodes {
		if n.status == batch.Starting || n.status == batch.Running {
			n.ended = nil
			c.moveNode(w, n, batch.Retried)
		}
	}
}

func (c *Core) nodeBegan(w *work, n *node, at time.Time) {
	if n.status != batch.Starting {
		return
	}
	n.StartedAt = at.UnixMilli()
	n.Current.StartedAt = n.StartedAt
	c.moveNode(w, n, batch.Began)
	if n != w.mainNode() {
		return
	}
	c.began(w, at)
	if w.Current.Stop != "" {
		return
	}
	for _, other := range w.nodes {
		if other != n {
			c.startNode(w, other)
		}
	}
}

// stopNodes ends the tasks of all nodes: the main node has ended, or the whole job is being stopped.
func (c *Core) stopNodes(w *work) {
	for _, n := range w.nodes {
		if !n.underWay() {
			continue
		}
		n.Current.Stop = w.Current.Stop
		n.dirty = true
		c.touch(w)
		c.stops = append(c.stops, StopTask{Key: w.nodeKey(n), Grace: c.grace(w.Current.Stop)})
	}
}
