package runtime

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SignalNumber reads a signal as an image's STOPSIGNAL may have it: a name with or without SIG, in any letter case, or a
// number.
func SignalNumber(sig string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(sig); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("signal %d: must be between 1 and 64", n)
		}
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(sig)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	// Images with systemd in them stop on a real-time signal, which has no name of its own.
	for base, first := range map[string]int{"SIGRTMIN": 34, "SIGRTMAX": 64} {
		if offset, ok := strings.CutPrefix(name, base); ok {
			n, err := strconv.Atoi("0" + strings.TrimLeft(offset, "+-"))
			if strings.HasPrefix(offset, "-") {
				n = -n
			}
			if n += first; err == nil && n >= 34 && n <= 64 {
				return syscall.Signal(n), nil
			}
		}
	}
	return 0, fmt.Errorf("signal %q: no such signal", sig)
}
