package taskmeta

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// machineTime is what all processors have spent so far, in any way (proc(5), /proc/stat); 0 if that can not be read.
func machineTime() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0
	}
	var ticks uint64
	for _, f := range fields[1:min(len(fields), 9)] { // guests' time is in users' already
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}
