//go:build !linux

package server

import "golang.org/x/sys/unix"

// memoryMiB is the machine's memory; 0 if it can't be told.
func memoryMiB() int64 {
	bytes, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(bytes >> 20)
}
