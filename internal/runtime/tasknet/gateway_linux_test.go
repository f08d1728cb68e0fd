package tasknet

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
)

func TestWhatTasksMayReach(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8:53": true, "192.168.1.1:80": true, "10.0.0.1:1": true,
		"127.0.0.1:80": false, "127.9.9.9:80": false, "169.254.169.254:80": false, "169.254.170.2:80": false, "0.0.0.0:80": false, "0.1.2.3:80": false,
		"224.0.0.1:80": false, "255.255.255.255:80": false, "100.64.0.1:80": false, "100.96.0.1:80": false, "100.127.255.254:80": false,
	} {
		to, ok := resolve(netip.MustParseAddrPort(address))
		if ok != want || ok && to.String() != address {
			t.Errorf("%s: %v %v", address, to, ok)
		}
	}
}

func TestARP(t *testing.T) {
	t.Parallel()
	task := hardware(netip.MustParseAddr("100.64.0.1"))
	request := append(bytes.Repeat([]byte{0xff}, 6), task[:]...)
	request = append(request, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	request = append(append(request, task[:]...), 100, 64, 0, 1)
	request = append(request, 0, 0, 0, 0, 0, 0)
	gateway := runtime.PrivateGateway.As4()
	for name, target := range map[string][4]byte{"gateway": gateway, "task": {100, 64, 0, 2}} {
		reply := answerARP(append(bytes.Clone(request), target[:]...))
		if name == "task" {
			if reply != nil {
				t.Errorf("an answer for another task: % x", reply)
			}
			continue
		}
		want := append(bytes.Clone(task[:]), gatewayMAC[:]...)
		want = append(want, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
		want = append(append(want, gatewayMAC[:]...), gateway[:]...)
		want = append(append(want, task[:]...), 100, 64, 0, 1)
		if !bytes.Equal(reply, want) {
			t.Errorf("% x\nwant % x", reply, want)
		}
	}
	for n := range len(request) {
		if reply := answerARP(request[:n]); reply != nil {
			t.Errorf("an answer to %d bytes", n)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	h := &Hub{used: map[netip.Addr]bool{}, last: runtime.PrivateTasks.Addr()}
	first, err := h.Take(netip.Addr{})
	if err != nil || first.String() != "100.64.0.1" {
		t.Fatalf("%v %v", first, err)
	}
	h.Give(first)
	// Not at once again.
	if second, err := h.Take(netip.Addr{}); err != nil || second == first {
		t.Errorf("%v %v", second, err)
	}
	// From the last on it begins again, past those in use.
	h.last = netip.MustParseAddr("100.95.255.254")
	for _, want := range []string{"100.95.255.255", "100.64.0.1", "100.64.0.3"} {
		if got, err := h.Take(netip.Addr{}); err != nil || got.String() != want {
			t.Errorf("%v %v, want %s", got, err, want)
		}
	}
	node := netip.MustParseAddr("100.96.0.7")
	if got, err := h.Take(node); err != nil || got != node {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"100.96.0.7", "100.64.9.9", "127.64.0.1", "100.127.255.254"} {
		if got, err := h.Take(netip.MustParseAddr(bad)); err == nil {
			t.Errorf("%s is given as %v", bad, got)
		}
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	const machine = "# comment\nnameserver 127.0.0.53\nsearch example.test\n nameserver 1.1.1.1\noptions ndots:2\n"
	if got := (&Hub{}).ResolvConf(machine); got != machine {
		t.Errorf("without a way out: %q", got)
	}
	want := "nameserver 100.127.255.254\n# comment\nsearch example.test\noptions ndots:2\n"
	if got := (&Hub{gateway: &gateway{}}).ResolvConf(machine); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
