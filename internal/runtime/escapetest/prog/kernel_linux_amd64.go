package main

import "golang.org/x/sys/unix"

// x32Call makes a system call by the numbers of the x32 ABI, which a filter may have forgotten.
func x32Call(string) (string, error) {
	const x32 = 0x40000000
	got, err := call("a call by x32 number", x32|unix.SYS_GETPID)
	if err == unix.ENOSYS {
		return "", errorf("there is no such call: %w", err)
	}
	return got, err
}

func ioPorts(string) (string, error) {
	if got, err := call("iopl", unix.SYS_IOPL, 3); err == nil {
		return got, nil
	}
	return call("ioperm", unix.SYS_IOPERM, 0x80, 1, 1)
}
