package image

import (
	"context"
	"errors"
	"testing"
)

// The work goes on while anybody waits for it, ends when nobody does, and is then begun anew for who comes next.
func TestFlights(t *testing.T) {
	t.Parallel()
	var f flights
	type result struct {
		v   any
		err error
	}
	begun, ended := make(chan context.Context), make(chan error, 1)
	work := func(ctx context.Context) (any, error) {
		begun <- ctx
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	call := func() (leave context.CancelFunc, got chan result) {
		ctx, cancel := context.WithCancel(t.Context())
		got = make(chan result, 1)
		go func() {
			v, err := f.do(ctx, "key", work)
			got <- result{v, err}
		}()
		return cancel, got
	}
	waiting := func(n int) {
		for {
			f.mu.Lock()
			ok := f.live["key"] != nil && f.live["key"].waiting == n
			f.mu.Unlock()
			if ok {
				return
			}
		}
	}
	leave1, got1 := call()
	shared := <-begun
	leave2, got2 := call()
	waiting(2)
	leave1()
	if r := <-got1; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the first to leave got %v", r.err)
	}
	if shared.Err() != nil {
		t.Error("the work ended although somebody waits")
	}
	leave2()
	<-got2
	<-ended // nobody waits

	_, got3 := call()
	again := <-begun
	if again == shared || again.Err() != nil {
		t.Error("the cancelled work was joined")
	}
	f.stop()
	<-ended
	if r := <-got3; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the stopped one got %v", r.err)
	}
	if _, err := f.do(t.Context(), "key", work); !errors.Is(err, errClosed) {
		t.Errorf("after stop: %v", err)
	}
}
