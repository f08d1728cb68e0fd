package sched

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.UnixMilli(1_700_000_000_000)

// The one total order: priority, retried before new, submission, child.
func TestKeyOrder(t *testing.T) {
	t.Parallel()
	ordered := []Key{
		{Priority: 9, Seq: 8}, {Priority: 9, Seq: 8, Index: 1}, {Priority: 9, Seq: 9},
		{Priority: 1, Retried: true, Seq: 7, Index: 3}, {Priority: 1, Seq: 1},
		{Retried: true, Seq: 5}, {Retried: true, Seq: 6}, {Seq: 2}, {Seq: 3}, {Seq: 3, Index: 1}, {Seq: math.MaxInt64},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Compare(b); got < 0 != (i < j) || got == 0 != (i == j) {
				t.Errorf("%+v compared with %+v: %d", a, b, got)
			}
		}
	}
}

// A line gives out what is in it in order, whatever was put in and taken out of its middle.
func TestLineIsOrdered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l Line[int]
		var in []*Item[int]
		keys := rapid.SliceOfN(rapid.IntRange(0, 50), 1, 80).Draw(t, "keys")
		for i, k := range keys {
			it := &Item[int]{Key: Key{Priority: k % 3, Retried: k%2 == 0, Seq: int64(k), Index: int32(i)}, Work: i}
			l.Push(it)
			in = append(in, it)
			if rapid.IntRange(0, 3).Draw(t, "take out") == 0 {
				at := rapid.IntRange(0, len(in)-1).Draw(t, "which")
				l.Remove(in[at])
				if in[at].Queued() {
					t.Fatal("an item taken out says it stands in a line")
				}
				in = slices.Delete(in, at, at+1)
			}
		}
		slices.SortFunc(in, func(a, b *Item[int]) int { return a.Key.Compare(b.Key) })
		var walked []*Item[int]
		l.walk(func(it *Item[int]) bool {
			walked = append(walked, it)
			return true
		})
		if !slices.Equal(walked, in) {
			t.Fatal("walk does not follow the order")
		}
		for _, want := range in {
			if l.Head() != want {
				t.Fatal("the head is not the first")
			}
			l.Remove(want)
		}
		if l.Head() != nil || l.Len() != 0 {
			t.Fatal("something is left")
		}
	})
}

func TestWalkStops(t *testing.T) {
	t.Parallel()
	var l Line[int]
	for i := range 100 {
		l.Push(&Item[int]{Key: Key{Seq: int64((i * 37) % 100)}})
	}
	var got []int64
	l.walk(func(it *Item[int]) bool {
		got = append(got, it.Key.Seq)
		return len(got) < 5
	})
	if !slices.Equal(got, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("walked %v", got)
	}
}

func TestItemInTwoPlaces(t *testing.T) {
	t.Parallel()
	q := NewQueue[int](nil)
	it := &Item[int]{}
	q.Push(it, "", start)
	defer func() {
		if recover() == nil {
			t.Error("an item was queued twice")
		}
	}()
	q.Push(it, "", start)
}

func TestPlace(t *testing.T) {
	t.Parallel()
	free := Env{Usable: true, Max: 1000, Limit: 1000}
	full := Env{Usable: true, Max: 1000, Used: 800, Limit: 1000}
	off := Env{Max: 1000, Limit: 1000}
	other := Env{Unfit: true, Usable: true, Max: 9000, Limit: 9000}
	reserved := Env{Usable: true, Max: 1000, Limit: 500}
	shrunk := Env{Usable: true, Max: 250, Used: 800, Limit: 250}
	for _, tt := range []struct {
		name   string
		envs   []Env
		demand int64
		index  int
		v      Verdict
	}{
		{"room", []Env{free}, 1000, 0, Fits},
		{"first in order", []Env{free, free}, 250, 0, Fits},
		{"full, then room", []Env{full, free}, 250, 1, Fits},
		{"exactly the rest", []Env{full}, 200, 0, Fits},
		{"all full", []Env{full, full}, 250, -1, NoRoom},
		{"off, then room", []Env{off, free}, 250, 1, Fits},
		{"off", []Env{off}, 250, -1, NoneUsable},
		{"off or full", []Env{off, full}, 250, -1, NoRoom},
		{"full or off", []Env{full, off}, 250, -1, NoRoom},
		{"too large", []Env{free, off}, 1250, -1, TooLarge},
		{"too large here, off there", []Env{shrunk, off}, 500, -1, NoneUsable},
		{"of another kind only", []Env{other}, 250, -1, NoneFit},
		{"of another kind does not count", []Env{other, free}, 1250, -1, TooLarge},
		{"of another kind is passed over", []Env{other, free}, 250, 1, Fits},
		{"reserved", []Env{reserved}, 750, -1, NoRoom},
		{"within the limit", []Env{reserved}, 500, 0, Fits},
		{"lowered below what is used", []Env{shrunk}, 250, -1, NoRoom},
		{"nothing", nil, 250, -1, NoneFit},
	} {
		if index, v := Place(tt.envs, tt.demand); index != tt.index || v != tt.v {
			t.Errorf("%s: %d, %d; want %d, %d", tt.name, index, v, tt.index, tt.v)
		}
	}
}

// fair is a fair-share queue over an environment of so many milli-vCPU whose tasks of 250 all take as long as told. It counts
// the milli-vCPU-seconds each share had.
type fair struct {
	t        testing.TB
	q        *Queue[string]
	now      time.Time
	capacity int64
	used     int64
	seq      int64
	running  []task
	had      map[string]float64
	rng      *rand.Rand
}

type task struct {
	share string
	began time.Time
	ends  time.Time
}

const size = 250

func newFair(t testing.TB, capacity int64, p *Policy) *fair {
	return &fair{t: t, q: NewQueue[string](p), now: start, capacity: capacity, had: map[string]float64{}, rng: rand.New(rand.NewPCG(1, 2))}
}

func weights(w map[string]float64) func(string) float64 {
	return func(share string) float64 {
		if f, ok := w[share]; ok {
			return f
		}
		return 1
	}
}

func (f *fair) submit(share string, n int) {
	for range n {
		f.seq++
		f.q.Enter(share, f.now)
		f.q.Push(&Item[string]{Key: Key{Seq: f.seq}, Work: share, Cost: size}, share, f.now)
	}
}

// dispatch places what fits; length says how long a task of a share takes.
func (f *fair) dispatch(length func(share string) time.Duration) {
	for f.used+size <= f.capacity {
		it := f.q.Head(f.now, func(share string) bool {
			return float64(f.used+size) > float64(f.capacity)*(1-f.q.Reserved(share, f.now))
		})
		if it == nil {
			return
		}
		f.q.Remove(it, it.Work)
		f.q.Hold(it.Work, size, f.now)
		f.used += size
		f.running = append(f.running, task{it.Work, f.now, f.now.Add(length(it.Work))})
	}
}

// step goes on to the end of the next task, and ends it.
func (f *fair) step() {
	next := 0
	for i := range f.running {
		if f.running[i].ends.Before(f.running[next].ends) {
			next = i
		}
	}
	t := f.running[next]
	f.running = slices.Delete(f.running, next, next+1)
	f.now = t.ends
	f.q.Release(t.share, size, f.now)
	f.q.Leave(t.share, f.now)
	f.used -= size
	f.had[t.share] += size * t.ends.Sub(t.began).Seconds()
}

// Shares converge to what their weights entitle them to, within 5 %, over a long run of tasks of random length, however long
// those of each share are and whatever prefix gives the weight.
func TestSharesConverge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		slots   int64
		decay   time.Duration
		weights map[string]float64
		length  map[string]time.Duration // mean; 100 s if not given
	}{
		{"equal", 40, time.Hour, map[string]float64{"a": 1, "b": 1}, nil},
		{"no decay given", 40, 0, map[string]float64{"a": 1, "b": 2, "c": 4}, nil},
		{"eight times", 40, time.Hour, map[string]float64{"a": 1, "b": 0.125}, nil},
		{"three", 40, time.Hour, map[string]float64{"a": 1, "b": 0.5, "c": 0.25}, nil},
		{"less than one task", 4, 4 * time.Hour, map[string]float64{"a": 7, "b": 1}, nil},
		{"tasks of unequal length", 40, time.Hour, map[string]float64{"a": 1, "b": 1}, map[string]time.Duration{"a": 10 * time.Second, "b": 500 * time.Second}},
		{"ten", 40, time.Hour, map[string]float64{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": .5, "g": .5, "h": .5, "i": .5, "j": .25}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFair(t, tt.slots*size, &Policy{Decay: tt.decay, Weight: weights(tt.weights)})
			length := func(share string) time.Duration {
				mean := tt.length[share]
				if mean == 0 {
					mean = 100 * time.Second
				}
				return time.Duration((0.1 + f.rng.ExpFloat64()) * float64(mean))
			}
			queued := map[string]int{}
			for f.now.Sub(start) < 480*time.Hour/time.Duration(tt.slots) {
				for share := range tt.weights {
					f.submit(share, 100-queued[share])
					queued[share] = 100
				}
				before := len(f.running)
				f.dispatch(length)
				for _, r := range f.running[before:] {
					queued[r.share]--
				}
				f.step()
			}
			checkShares(t, f.had, tt.weights)
		})
	}
}

// checkShares compares what shares had with their part: the inverse of the weight.
func checkShares(t *testing.T, had, weights map[string]float64) {
	t.Helper()
	var all, parts float64
	for share, w := range weights {
		all += had[share]
		parts += 1 / w
	}
	for share, w := range weights {
		got, want := had[share]/all, 1/w/parts
		if math.Abs(got-want) > 0.05*want {
			t.Errorf("share %s had %.2f %%, want %.2f %%", share, 100*got, 100*want)
		}
	}
}

// A newcomer is served next, although others have waited for long, and gets no more than its part for the time it was away.
func TestNewcomerIsServed(t *testing.T) {
	t.Parallel()
	f := newFair(t, 10*size, &Policy{Decay: time.Hour, Weight: weights(nil)})
	length := func(string) time.Duration { return time.Minute + time.Duration(f.rng.IntN(10_000))*time.Millisecond }
	f.submit("old", 100_000)
	for f.now.Sub(start) < 12*time.Hour {
		f.dispatch(length)
		f.step()
	}
	f.submit("new", 100_000)
	before := len(f.running)
	f.dispatch(length)
	for _, r := range f.running[before:] {
		if r.share != "new" {
			t.Errorf("the first free place went to %s", r.share)
		}
	}
	f.had = map[string]float64{}
	since := f.now
	for f.now.Sub(since) < 48*time.Hour {
		f.dispatch(length)
		f.step()
	}
	// It makes up for at most a window.
	if got := f.had["new"] / (f.had["new"] + f.had["old"]); got < 0.5 || got > 0.54 {
		t.Errorf("in two days the newcomer had %.1f %%", 100*got)
	}
}

// Nobody starves: however small a part a share is entitled to, it is served again and again.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	w := map[string]float64{"poor": 999.9999}
	for i := range 50 {
		w[fmt.Sprintf("rich%d", i)] = 0.01
	}
	f := newFair(t, 20*size, &Policy{Decay: time.Minute, Weight: weights(w)})
	for share := range w {
		f.submit(share, 100_000)
	}
	last, longest, served := start, time.Duration(0), 0
	for f.now.Sub(start) < 2*time.Hour {
		before := len(f.running)
		f.dispatch(func(string) time.Duration { return time.Duration(5+f.rng.IntN(10)) * time.Second })
		for _, r := range f.running[before:] {
			if r.share == "poor" {
				longest, last, served = max(longest, f.now.Sub(last)), f.now, served+1
			}
		}
		f.step()
	}
	if served == 0 || longest > 20*time.Minute {
		t.Errorf("the share of weight 999.9999 was served %d times, at worst after %v", served, longest)
	}
}

// Usage is forgotten over the window: after a long pause the past no longer counts.
func TestUsageDecays(t *testing.T) {
	t.Parallel()
	q := NewQueue[string](&Policy{Decay: time.Hour, Weight: weights(nil)})
	for _, s := range []string{"a", "b"} {
		q.Enter(s, start)
		q.Push(&Item[string]{Work: s}, s, start)
	}
	q.Hold("a", 4000, start)
	q.Release("a", 4000, start.Add(30*time.Minute))
	head := func(at time.Duration) string { return q.Head(start.Add(at), nil).Work }
	if got := head(31 * time.Minute); got != "b" {
		t.Errorf("just after a's hour: %s", got)
	}
	q.Hold("b", 100, start.Add(31*time.Minute))
	if got := head(32 * time.Minute); got != "b" {
		t.Errorf("b uses little, a used much: %s", got)
	}
	if got := head(10 * time.Hour); got != "a" {
		t.Errorf("a's use is ten windows ago, b uses still: %s", got)
	}
}

func TestPriorityHoldsWithinAShareOnly(t *testing.T) {
	t.Parallel()
	q := NewQueue[string](&Policy{Weight: weights(nil)})
	push := func(share, name string, priority int, seq int64, retried bool) {
		q.Push(&Item[string]{Key: Key{Priority: priority, Seq: seq, Retried: retried}, Work: name}, share, start)
	}
	push("a", "a low", 1, 1, true)
	push("a", "a high", 5, 2, false)
	push("b", "b top", 9999, 3, false)
	var order []string
	for it := q.Head(start, nil); it != nil; it = q.Head(start, nil) {
		share := it.Work[:1]
		q.Remove(it, share)
		q.Hold(share, 100, start)
		order = append(order, it.Work)
	}
	if want := []string{"a high", "b top", "a low"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

// Reference 7.2: r percent and n active shares reserve (r/100)^n, for shares that are not used yet.
func TestComputeReservation(t *testing.T) {
	t.Parallel()
	q := NewQueue[string](&Policy{Decay: time.Hour, Reservation: 50, Weight: weights(nil)})
	for i, want := range []float64{0.5, 0.25, 0.125} {
		share := string(rune('a' + i))
		if got := q.Reserved(share, start); got != 0 {
			t.Errorf("%v is kept back from a share that is not used", got)
		}
		q.Enter(share, start)
		q.Hold(share, 10, start)
		if got := q.Reserved(share, start); got != want {
			t.Errorf("%d active shares: %v is kept back, want %v", i+1, got, want)
		}
	}
	q.Release("b", 10, start)
	if got := q.Reserved("b", start); got != 0.125 {
		t.Errorf("%v is kept back from a share that holds nothing at the moment, want 0.125", got)
	}
	q.Leave("c", start)
	q.Release("c", 10, start)
	if got := q.ActiveShares(start.Add(59 * time.Minute)); got != 3 {
		t.Errorf("%d shares active within the window after the last job, want 3", got)
	}
	if got := q.ActiveShares(start.Add(time.Hour)); got != 2 || q.Active("c", start.Add(time.Hour)) {
		t.Errorf("%d shares active after the window, want 2", got)
	}
	if got := q.Reserved("a", start.Add(time.Hour)); got != 0.25 {
		t.Errorf("%v is kept back from a, want 0.25 again", got)
	}
	q.Enter("c", start.Add(time.Hour))
	if got := q.Reserved("c", start.Add(time.Hour)); got != 0 {
		t.Errorf("%v is kept back from a share that is active anew", got)
	}
	q.Release("a", 10, start.Add(time.Hour))
	if got := q.Reserved("a", start.Add(time.Hour)); got != 0 {
		t.Errorf("%v is kept back while nothing is held at all: nothing might ever run", got)
	}
}

// Another policy's weights and window hold from then on; what was used before is kept.
func TestSetPolicy(t *testing.T) {
	t.Parallel()
	q := NewQueue[string](&Policy{Decay: time.Hour, Weight: weights(map[string]float64{"a": 0.1})})
	for _, s := range []string{"a", "b"} {
		q.Push(&Item[string]{Work: s}, s, start)
	}
	q.Hold("a", 1000, start)
	q.Hold("b", 500, start)
	if got := q.Head(start, nil).Work; got != "a" {
		t.Fatalf("under the first policy %s is next", got)
	}
	q.SetPolicy(&Policy{Decay: time.Minute, Weight: weights(nil)}, start.Add(time.Minute))
	if got := q.Head(start.Add(time.Minute), nil).Work; got != "b" {
		t.Errorf("under the second policy %s is next", got)
	}
}

func TestUsageSurvives(t *testing.T) {
	t.Parallel()
	policy := &Policy{Decay: time.Hour, Weight: weights(nil)}
	q := NewQueue[string](policy)
	q.Hold("a", 3000, start)
	q.Hold("b", 1000, start)
	q.Release("a", 3000, start.Add(time.Hour))
	q.Release("b", 1000, start.Add(time.Hour))
	kept := q.Usage(start.Add(time.Hour))
	again := NewQueue[string](policy)
	again.SetUsage(kept)
	later := start.Add(90 * time.Minute)
	if got, want := again.Usage(later), q.Usage(later); !slices.Equal(got, want) || len(want) != 2 {
		t.Errorf("usage %v, want %v", got, want)
	}
	if q := NewQueue[string](nil); q.Usage(later) != nil || q.Window() != 0 {
		t.Error("a FIFO queue has usage")
	}
}

// Walk shows the order in which Head would give the work out if each piece were placed.
func TestWalkIsTheDispatchOrder(t *testing.T) {
	t.Parallel()
	w := map[string]float64{"a": 1, "b": 0.5, "c": 3}
	f := newFair(t, 1<<40, &Policy{Weight: weights(w)})
	for i := range 40 {
		f.submit(string(rune('a'+i%3)), 1)
	}
	var walked, placed []string
	f.q.Walk(f.now, func(*Item[string]) int { return 1 }, func(it *Item[string]) bool {
		walked = append(walked, it.Work)
		return len(walked) < 30
	})
	for range 30 {
		it := f.q.Head(f.now, nil)
		f.q.Remove(it, it.Work)
		f.q.Hold(it.Work, size, f.now)
		placed = append(placed, it.Work)
	}
	if !slices.Equal(walked, placed) {
		t.Errorf("walked %v\nplaced %v", walked, placed)
	}
}

func TestUtilization(t *testing.T) {
	t.Parallel()
	q := NewQueue[string](&Policy{Weight: weights(nil)})
	for s, held := range map[string]int64{"a": 250, "b": 1000, "c": 250, "d": 0} {
		q.Enter(s, start)
		q.Hold(s, held, start)
	}
	want := []ShareUse{{"b", 1000}, {"a", 250}, {"c", 250}, {"d", 0}}
	if got := q.Utilization(start); !slices.Equal(got, want) {
		t.Errorf("utilization %v, want %v", got, want)
	}
}
