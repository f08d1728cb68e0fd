package server

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/runtime"
)

// systemClock is the Clock in real life.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) NewTimer(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

func (systemClock) AfterFunc(d time.Duration, f func()) runtime.Timer { return time.AfterFunc(d, f) }

// randomIDs makes the identifiers of jobs, tasks and environments.
type randomIDs struct{}

func (randomIDs) UUID() string { return uuid.NewString() }

func (randomIDs) TaskID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand documentation)
	return hex.EncodeToString(b[:])
}
