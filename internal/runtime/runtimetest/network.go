package runtimetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
)

// engine is a listener for tasks that answers with what it hears.
type engine struct {
	net.Listener
	serving sync.WaitGroup
}

func listen(t *testing.T, address string) *engine {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Listener: l}
	e.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(c)
			if err == nil {
				_, err = fmt.Fprintf(c, "engine heard %s", b)
			}
			if err := errors.Join(err, c.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(e.close)
	return e
}

func (e *engine) close() {
	_ = e.Close()
	e.serving.Wait()
}

// startIn starts another container of a task.
func (s *suite) startIn(t *testing.T, task string, spec runtime.Spec) *container {
	t.Helper()
	c, err := s.tryStartIn(t, t.Context(), task, spec)
	if err != nil {
		t.Fatalf("start %q: %v", spec.Argv, err)
	}
	return c
}

// taskEndpoint checks that every container of a task reaches the engine, whichever engine it is, and that the containers of
// a task share one network.
func (s *suite) taskEndpoint(t *testing.T) {
	e := listen(t, "127.0.0.1:0")
	address := e.Addr().String()
	private := func(args ...string) runtime.Spec {
		spec := s.spec(args...)
		spec.Network = runtime.Network{Mode: runtime.NetworkPrivate, Endpoint: address}
		return spec
	}
	task := newKey()
	// It holds the network while others come and go.
	first := s.startIn(t, task, private("serve", "127.0.0.1:7"))
	first.says("ready")
	if got := s.startIn(t, task, private("dial", runtime.TaskEndpoint, "hello")).want(0); got != "engine heard hello\n" {
		t.Errorf("the engine, from the second container: %q", got)
	}
	e.close()
	listen(t, address)
	if got := s.startIn(t, task, private("dial", runtime.TaskEndpoint, "again")).want(0); got != "engine heard again\n" {
		t.Errorf("the next engine: %q", got)
	}
	if got := s.startIn(t, task, private("dial", "127.0.0.1:7", "neighbour")).want(0); got != "heard neighbour\n" {
		t.Errorf("the first container, from another: %q", got)
	}
	first.want(0)
	// Alone, and with nothing to reach.
	if got := s.start(t, private("dial", runtime.TaskEndpoint, "alone")).want(0); got != "engine heard alone\n" {
		t.Errorf("the engine, from the only container: %q", got)
	}
	spec := private("dial", runtime.TaskEndpoint, "nobody")
	spec.Network.Endpoint = ""
	if got := s.start(t, spec).want(65); got == "" {
		t.Error("an engine is reached where there is none to be")
	}
	// One whose program can not be started leaves nothing.
	if _, err := s.tryStart(t, t.Context(), func() runtime.Spec { sp := private(); sp.Argv = []string{"/none"}; return sp }()); err == nil {
		t.Error("a program that is not there was started")
	}
}
