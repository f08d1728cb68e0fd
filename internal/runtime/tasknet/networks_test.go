package tasknet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

type fakeNetwork struct{ closed int }

func (f *fakeNetwork) Close() { f.closed++ }

func TestNetworksAreShared(t *testing.T) {
	t.Parallel()
	var n Networks[*fakeNetwork]
	made := 0
	join := func(task string) (*fakeNetwork, func()) {
		f, leave, err := n.Join(t.Context(), task, func() (*fakeNetwork, error) { made++; return new(fakeNetwork), nil })
		if err != nil {
			t.Fatal(err)
		}
		return f, leave
	}
	a, leaveA := join("1")
	b, leaveB := join("1")
	other, leaveOther := join("2")
	if a != b || a == other || made != 2 {
		t.Errorf("%p %p %p, %d made", a, b, other, made)
	}
	leaveA()
	if a.closed != 0 {
		t.Error("closed with a member in it")
	}
	leaveB()
	leaveOther()
	again, leave := join("1")
	if a.closed != 1 || other.closed != 1 || again == a || len(n.byTask) != 1 {
		t.Errorf("closed %d and %d times, the next is the last: %v; %d left", a.closed, other.closed, again == a, len(n.byTask))
	}
	leave()
}

func TestNetworkThatCanNotBeMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n Networks[*fakeNetwork]
		broken := errors.New("broken")
		fail := make(chan struct{})
		var leave func()
		var err, second, third error
		go func() {
			_, leave, err = n.Join(t.Context(), "1", func() (*fakeNetwork, error) { <-fail; return nil, broken })
		}()
		synctest.Wait()
		go func() { _, _, second = n.Join(t.Context(), "1", nil) }()
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { _, _, third = n.Join(ctx, "1", nil) }()
		cancel(context.DeadlineExceeded)
		synctest.Wait()
		close(fail)
		synctest.Wait()
		if !errors.Is(err, broken) || leave != nil {
			t.Errorf("the first: %v", err)
		}
		if !errors.Is(second, broken) || !strings.Contains(second.Error(), "its first container") {
			t.Errorf("the second: %v", second)
		}
		if !errors.Is(third, context.DeadlineExceeded) || len(n.byTask) != 0 {
			t.Errorf("one that gives up: %v; %d left", third, len(n.byTask))
		}
	})
}
