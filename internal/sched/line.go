// Package sched decides what runs next: the order of work in a queue (FIFO or fair share), whether a task fits on a
// compute environment, and why it does not. Pure data structures: the time is an argument, nothing is started and nothing
// waits.
package sched

// Key is the place of runnable work in its queue or share. Compare is the one total order of batchbox.
type Key struct {
	// Priority is the scheduling priority, higher first; always 0 in FIFO queues.
	Priority int
	// Retried work goes before work that has not been tried (User Guide, "Best practices": a retried job goes to the front
	// of the queue).
	Retried bool
	// Seq is the order of submission, unique for each job.
	Seq int64
	// Index is the child's index within an array.
	Index int32
}

// Compare orders keys: negative if a runs before b.
func (a Key) Compare(b Key) int {
	switch {
	case a.Priority != b.Priority:
		return b.Priority - a.Priority
	case a.Retried != b.Retried:
		if a.Retried {
			return -1
		}
		return 1
	case a.Seq != b.Seq:
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	default:
		return int(a.Index) - int(b.Index)
	}
}

// Item is a piece of work standing in a line. The zero Item stands in none.
type Item[W any] struct {
	Key  Key
	Work W
	// Cost is what it holds when it is placed, in milli-vCPU.
	Cost int64

	line *Line[W]
	pos  int
}

// Queued says whether the item stands in a line.
func (it *Item[W]) Queued() bool { return it.line != nil }

// Line is a priority queue of items by Key with removal from the middle: Push and Remove cost O(log n). The zero Line is
// empty.
type Line[W any] struct {
	items []*Item[W]
}

// Len is the number of items.
func (l *Line[W]) Len() int { return len(l.items) }

// Head is the first item, nil if there is none.
func (l *Line[W]) Head() *Item[W] {
	if len(l.items) == 0 {
		return nil
	}
	return l.items[0]
}

// Push adds an item that stands in no line.
func (l *Line[W]) Push(it *Item[W]) {
	if it.Queued() {
		panic("sched: an item can't stand in two places")
	}
	it.line, it.pos = l, len(l.items)
	l.items = append(l.items, it)
	l.up(it.pos)
}

// Remove takes out an item of this line.
func (l *Line[W]) Remove(it *Item[W]) {
	last := len(l.items) - 1
	i := it.pos
	if i != last {
		l.swap(i, last)
	}
	l.items[last] = nil
	l.items = l.items[:last]
	if i != last && !l.down(i) {
		l.up(i)
	}
	it.line, it.pos = nil, 0
}

func (l *Line[W]) less(i, j int) bool { return l.items[i].Key.Compare(l.items[j].Key) < 0 }

func (l *Line[W]) swap(i, j int) {
	l.items[i], l.items[j] = l.items[j], l.items[i]
	l.items[i].pos, l.items[j].pos = i, j
}

func (l *Line[W]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !l.less(i, parent) {
			return
		}
		l.swap(i, parent)
		i = parent
	}
}

func (l *Line[W]) down(i int) bool {
	start := i
	for {
		child := 2*i + 1
		if child >= len(l.items) {
			break
		}
		if right := child + 1; right < len(l.items) && l.less(right, child) {
			child = right
		}
		if !l.less(child, i) {
			break
		}
		l.swap(i, child)
		i = child
	}
	return i > start
}

// walk calls fn for items in order until it returns false. It costs O(k log k) for k items and changes nothing: a second,
// small heap holds the positions whose parents have been visited.
func (l *Line[W]) walk(fn func(*Item[W]) bool) {
	if len(l.items) == 0 {
		return
	}
	frontier := Line[int]{}
	add := func(i int) {
		if i < len(l.items) {
			frontier.Push(&Item[int]{Key: l.items[i].Key, Work: i})
		}
	}
	add(0)
	for next := frontier.Head(); next != nil; next = frontier.Head() {
		frontier.Remove(next)
		if !fn(l.items[next.Work]) {
			return
		}
		add(2*next.Work + 1)
		add(2*next.Work + 2)
	}
}
