package server

import "golang.org/x/sys/unix"

// memoryMiB is the machine's memory; 0 if it can't be told.
func memoryMiB() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram * uint64(info.Unit) >> 20)
}
