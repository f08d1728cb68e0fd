package cgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMembership(t *testing.T) {
	t.Parallel()
	got := parseMembership("12:cpu,cpuacct:/a\n1:name=systemd:/b:c\n0::/user.slice\nnonsense\n")
	want := []membership{{"cpu,cpuacct", "/a"}, {"name=systemd", "/b:c"}, {"", "/user.slice"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(membership{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseMountinfo(t *testing.T) {
	t.Parallel()
	got := parseMountinfo(`22 27 0:21 / /proc rw,relatime - proc proc rw
30 23 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
31 23 0:27 /docker/4f /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 23 0:28 / /odd\040place rw - cgroup cgroup rw,memory
cut short
`)
	want := []hierarchy{
		{"/", "/sys/fs/cgroup/unified", true, "rw,nsdelegate"},
		{"/docker/4f", "/sys/fs/cgroup/cpu,cpuacct", false, "rw,cpu,cpuacct"},
		{"/", "/odd place", false, "rw,memory"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hierarchy{})); diff != "" {
		t.Error(diff)
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "plain": "plain", `a\040b`: "a b", `\011`: "\t", `\134`: `\`, `end\04`: `end\04`, `\999`: `\999`, `\777`: `\777`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestWeight(t *testing.T) {
	t.Parallel()
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 256: 10, 1024: 39, 16384: 625, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("%d shares are weight %d, want %d", shares, got, want)
		}
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add("31 23 0:27 /docker/4f /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")
	f.Add(`1 2 3 4 \040 - cgroup2 x y`)
	f.Fuzz(func(t *testing.T, file string) {
		for _, h := range parseMountinfo(file) {
			if h.mount == "" {
				t.Errorf("a mount nowhere in %q", file)
			}
		}
		parseMembership(file)
	})
}
