package engine

import (
	"net/netip"
	"testing"
)

// A block's addresses lead back to it, those of neighbours do not overlap, and all are of the nodes' network.
func TestAddressBlocks(t *testing.T) {
	t.Parallel()
	for _, network := range []netip.Prefix{{}, netip.MustParsePrefix("100.96.0.0/12")} {
		c := NewCore(nil, Limits{NodeNetwork: network})
		if !network.IsValid() {
			network = DefaultNodeNetwork
		}
		blocks := 1 << (32 - network.Bits()) / blockSize
		seen := map[string]bool{}
		for range blocks {
			b := c.takeBlock("5")
			for _, node := range []int{0, 1, 255, 256, 999, 1023} {
				address := b.of(node)
				if got, ok := blockOf(address); !ok || got != b || seen[address] || !network.Contains(netip.MustParseAddr(address)) {
					t.Fatalf("node %d of block %d has address %s, which is of block %d; taken %v", node, b, address, got, seen[address])
				}
				seen[address] = true
			}
		}
		// When all are taken they are shared rather than none given.
		shared := c.takeBlock("9")
		if !seen[shared.of(0)] || c.takeBlock("9") != shared {
			t.Errorf("block %s", shared.of(0))
		}
		// Another engine on the machine does not begin with the same ones.
		other := NewCore(nil, Limits{NodeNetwork: network})
		if one := other.takeBlock("11111111-2222-4333-8444-555555555555"); one == shared || one == NewCore(nil, Limits{NodeNetwork: network}).takeBlock("5") {
			t.Errorf("jobs of three engines have two blocks, %s and %s", one.of(0), shared.of(0))
		}
	}
	for _, bad := range []string{"", "x", "::1"} {
		if _, ok := blockOf(bad); ok {
			t.Errorf("%q is of a block", bad)
		}
	}
}
