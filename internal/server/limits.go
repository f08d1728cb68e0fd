package server

import (
	"runtime"
)

// defaultMaxTasks is how many tasks run on this machine at once, whatever the compute environments allow: 64 for each
// processor, and no more than leave each 32 MiB of the machine's memory. Trivial tasks end before they are that many;
// tasks that wait, as in tests, cost next to nothing.
func defaultMaxTasks() int {
	n := 64 * runtime.NumCPU()
	if mib := memoryMiB(); mib > 0 {
		n = min(n, int(mib/32))
	}
	return max(n, 8)
}
