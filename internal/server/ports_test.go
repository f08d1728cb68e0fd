package server

import (
	"net"
	"testing"
)

// TestPortsForTasks: the next engine needs the port too, so it is none that the system gives to whoever asks for any.
func TestPortsForTasks(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 20 {
		l, err := listenForTasks()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		if port < 20000 || port >= 32768 || seen[port] {
			t.Errorf("port %d, after %v", port, seen)
		}
		seen[port] = true
	}
}
