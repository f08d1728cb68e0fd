package tasknet

import (
	"os"
	"strconv"
	"strings"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Usage counts what went through the devices of a process's network, but for the loopback (proc(5), /proc/PID/net/dev).
func Usage(pid int) (map[string]runtime.NetworkUsage, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	if err != nil {
		return nil, err
	}
	return parseNetDev(string(b)), nil
}

func parseNetDev(file string) map[string]runtime.NetworkUsage {
	found := map[string]runtime.NetworkUsage{}
	for line := range strings.Lines(file) {
		name, counters, ok := strings.Cut(line, ":")
		f := strings.Fields(counters)
		if name = strings.TrimSpace(name); !ok || name == "lo" || len(f) < 16 {
			continue
		}
		number := func(i int) uint64 {
			n, err := strconv.ParseUint(f[i], 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
		found[name] = runtime.NetworkUsage{
			RxBytes: number(0), RxPackets: number(1), RxErrors: number(2), RxDropped: number(3),
			TxBytes: number(8), TxPackets: number(9), TxErrors: number(10), TxDropped: number(11),
		}
	}
	return found
}
