package runtime

import "time"

// Clock is the time as the parts around a runtime see it, so that a test can own it.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, from a goroutine of its own, when d has passed.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is an armed AfterFunc.
type Timer interface {
	// Stop reports whether it kept f from being called.
	Stop() bool
}

// SystemClock is the machine's clock.
var SystemClock Clock = systemClock{}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
