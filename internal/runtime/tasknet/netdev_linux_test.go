package tasknet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
)

func TestParseNetDev(t *testing.T) {
	t.Parallel()
	const file = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    1234       5    6    7    0     0          0         0     4321       9    8    7    0     0       0          0
 short: 1 2 3
`
	want := map[string]runtime.NetworkUsage{
		"eth0": {RxBytes: 1234, RxPackets: 5, RxErrors: 6, RxDropped: 7, TxBytes: 4321, TxPackets: 9, TxErrors: 8, TxDropped: 7},
	}
	if diff := cmp.Diff(want, parseNetDev(file)); diff != "" {
		t.Error(diff)
	}
}
