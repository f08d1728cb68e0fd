package runtimetest

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// manyStarts runs many containers, several at once, and checks that each ends as it should and that nothing is left over:
// no open file of ours, and no zombie.
func (s *suite) manyStarts(t *testing.T) {
	before := openFiles(t)
	const width = 16
	next := make(chan int)
	var workers sync.WaitGroup
	for range width {
		workers.Go(func() {
			for i := range next {
				if err := s.one(t, i%256); err != nil {
					t.Errorf("container %d: %v", i, err)
				}
			}
		})
	}
	for i := range s.Starts {
		next <- i
	}
	close(next)
	workers.Wait()
	// A connection to a daemon is closed a moment after its last answer.
	after := openFiles(t)
	for deadline := time.Now().Add(s.Patience); after > before && time.Now().Before(deadline); after = openFiles(t) {
		time.Sleep(10 * time.Millisecond)
	}
	if after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

func (s *suite) one(t *testing.T, code int) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	h, err := s.rt.Start(t.Context(), s.spec("exit", fmt.Sprint(code)), newKey(), w)
	if err := w.Close(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if exit := h.Wait(); exit != (runtime.Exit{Code: code}) {
		return fmt.Errorf("ended with %+v instead of %d", exit, code)
	}
	return nil
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
