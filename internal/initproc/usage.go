package initproc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// DiskUsage is what the files under a directory occupy. Files that vanish meanwhile are not counted.
func DiskUsage(dir string) (uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		return 0, err
	}
	var sum uint64
	for _, e := range entries {
		path := dir + "/" + e.Name()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			if err == unix.ENOENT {
				continue
			}
			return 0, failed(path, err)
		}
		sum += uint64(st.Blocks) * 512
		if e.IsDir() {
			n, err := DiskUsage(path)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}
