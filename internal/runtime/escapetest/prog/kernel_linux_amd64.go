package main

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// x32Call makes a system call by the numbers of the x32 ABI, which a filter may have forgotten: in a child, since a filter may
// also end the thread that makes it, and a program of Go then waits for it for ever.
func x32Call(string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/proc/self/exe", "x32-child").CombinedOutput()
	if _, got, ok := strings.Cut(string(out), "ESCAPED "); ok {
		return strings.TrimSpace(got), nil
	}
	return "", errorf("%s (%v)", strings.TrimSpace(string(out)), err)
}

func init() {
	attacks["x32-child"] = func(string) (string, error) {
		const x32 = 0x40000000
		return call("a call by x32 number", x32|unix.SYS_GETPID)
	}
}

func ioPorts(string) (string, error) {
	if got, err := call("iopl", unix.SYS_IOPL, 3); err == nil {
		return got, nil
	}
	return call("ioperm", unix.SYS_IOPERM, 0x80, 1, 1)
}
