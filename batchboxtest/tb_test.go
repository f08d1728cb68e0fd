package batchboxtest_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// stand stands in for a *testing.T: what ends it does not end the test that looks on.
type stand struct {
	testing.TB // nil: what is missing here must not be called
	ctx        context.Context
	cleanups   []func()
	failures   []string
}

func (s *stand) Helper()                  {}
func (s *stand) Logf(string, ...any)      {}
func (s *stand) Context() context.Context { return s.ctx }
func (s *stand) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }

func (s *stand) Errorf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *stand) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

func (s *stand) Fatal(args ...any) { s.Fatalf("%s", fmt.Sprint(args...)) }

// run runs a test to its end, as go test does, and returns its failures.
func run(test func(t testing.TB)) []string {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stand{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(s)
	}()
	<-done
	cancel()
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	return s.failures
}
