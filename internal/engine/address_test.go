package engine

import "testing"

// A block's addresses lead back to it, and those of neighbours do not overlap.
func TestAddressBlocks(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for b := addressBlock(0); b < addressBlocks; b += 7 {
		for _, node := range []int{0, 1, 255, 256, 999, 1023} {
			address := b.of(node)
			if got, ok := blockOf(address); !ok || got != b || seen[address] {
				t.Fatalf("node %d of block %d has address %s, which is of block %d; taken %v", node, b, address, got, seen[address])
			}
			seen[address] = true
		}
	}
	if first, last := addressBlock(0).of(0), addressBlock(addressBlocks-1).of(1023); first != "127.64.0.0" || last != "127.127.255.255" {
		t.Errorf("addresses from %s to %s", first, last)
	}
	for _, bad := range []string{"", "x", "::1"} {
		if _, ok := blockOf(bad); ok {
			t.Errorf("%q is of a block", bad)
		}
	}
}

// When all blocks are taken they are shared rather than none given.
func TestTakeBlock(t *testing.T) {
	t.Parallel()
	c := NewCore(nil, Limits{})
	for i := range int64(addressBlocks) {
		if got := c.takeBlock(5); got != addressBlock((5+i)%addressBlocks) {
			t.Fatalf("block %d, want %d", got, (5+i)%addressBlocks)
		}
	}
	if got := c.takeBlock(9); got != 9 {
		t.Errorf("block %d", got)
	}
}
