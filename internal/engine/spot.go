package engine

import (
	"math"
	"time"
)

// armSpot arms the interruption of an attempt that runs on Spot capacity, if Limits.SpotRate has one for it.
func (c *Core) armSpot(w *work) {
	if !w.attempt.env.isSpot() {
		return
	}
	after, ok := c.limits.spotInterruption(w.job.seq, w.index, w.attemptNo())
	if ok {
		w.attempt.reclaim = c.timers.add(w.Current.StartedAt+after.Milliseconds(), func() { c.stopAttempt(w, stopSpot) })
	}
}

// spotInterruption is how long an attempt runs until its capacity is reclaimed; false if it never is. Capacity goes at
// random, no matter how long it has been used: the times are those of a Poisson process with SpotRate events an hour, and an
// attempt of t hours is spared with probability exp(-SpotRate*t). They follow from the seed, the number of the job in the
// order of submission, the array index and the attempt, so that the same submissions to a new engine are interrupted at the
// same times again; ids would not do, which are new each time.
func (l *Limits) spotInterruption(seq int64, index int32, attempt int) (after time.Duration, ok bool) {
	if l.SpotRate <= 0 {
		return 0, false
	}
	x := l.SpotSeed
	for _, v := range [...]uint64{uint64(seq), uint64(int64(index)), uint64(attempt)} {
		x = mix(x ^ v)
	}
	uniform := float64(x>>11+1) / (1 << 53) // in (0, 1]
	hours := -math.Log(uniform) / l.SpotRate
	if hours > maxSpotHours {
		return 0, false
	}
	return time.Duration(hours * float64(time.Hour)), true
}

// maxSpotHours is a century: what is due later is never due, and fits no time.Duration beyond three of them.
const maxSpotHours = 100 * 365 * 24

// mix spreads the bits of a number over all bits of another: the output step of SplitMix64 (Steele, Lea, Flood: "Fast
// splittable pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
