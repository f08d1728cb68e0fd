package logstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes a file's data, and the metadata needed to read it back, durable.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
