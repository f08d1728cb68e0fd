package server

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// forced is how many collections somebody has asked for.
func forced() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

var ballast []byte

func TestMemoryIsGivenBackAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := newRest()
		go r.run(ctx)
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		before := forced()
		check := func(when string, want uint32) {
			t.Helper()
			if got := forced() - before; got != want {
				t.Fatalf("%s: memory was given back %d times, want %d", when, got, want)
			}
		}
		sleep(time.Hour)
		check("before anything was asked", 0)
		for range 5 {
			r.wake()
			sleep(restAfter - time.Second)
		}
		check("while there was work", 0)
		sleep(2 * time.Second)
		check("when the work was over", 1)
		r.wake()
		sleep(time.Hour)
		check("after a request that left nothing behind", 1)
		ballast = make([]byte, 64<<20)
		ballast = nil
		r.wake()
		sleep(time.Hour)
		check("after a request that left much behind", 2)
	})
}
