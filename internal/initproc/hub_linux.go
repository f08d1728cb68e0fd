package initproc

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// MakeHub makes a network namespace, and opens in it what others need to manage it from outside: a route socket, and the
// device that makes TAP interfaces, -1 if there is none here (why says what is the matter). The namespace lasts as long as one
// of the descriptors, or a network device's other end.
func MakeHub() (route, tap int, why, err error) {
	err = inNewNetwork(func() error {
		var err error
		if route, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
			return failed("route socket", err)
		}
		if tap, why = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); why != nil {
			tap, why = -1, failed("open /dev/net/tun", why)
		}
		return nil
	})
	return route, tap, why, err
}

// inNewNetwork calls do on a thread that is in a network namespace of its own.
func inNewNetwork(do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Not unlocked: a thread in another namespace than all others is of no use to anybody, and ends here.
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = failed("unshare the network namespace", err)
			return
		}
		err = do()
	}()
	<-done
	return err
}

// makeHub is MakeHub for the runtime, which gets the descriptors with one Event each.
func (l *launcher) makeHub(r *Request) {
	route, tap, why, err := MakeHub()
	if err != nil {
		l.fail(r, "make a network", err)
		return
	}
	e := &Event{Kind: EventHub, ID: r.ID}
	if why != nil {
		e.Text = why.Error()
	}
	// If the runtime is gone, so is everything soon.
	_ = l.send(e, route)
	_ = unix.Close(route)
	if tap >= 0 {
		_ = l.send(&Event{Kind: EventHub, ID: r.ID}, tap)
		_ = unix.Close(tap)
	}
}
