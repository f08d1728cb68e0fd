package native

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
)

func TestParseSubIDs(t *testing.T) {
	t.Parallel()
	file := "ana:100000:65536\nbo:200000:65536\n1000:300000:1000\n# ana:1:1\nana:x:1\nana:400000\nana:0:10\n:5:5\nana:500000:-1\n"
	for name, tc := range map[string]struct {
		user, id string
		want     []idRange
	}{
		"by name":            {"bo", "1001", []idRange{{0, 200000, 65536}}},
		"by name and number": {"ana", "1000", []idRange{{0, 100000, 65536}, {0, 300000, 1000}}},
		"nobody":             {"eve", "666", nil},
		"no name":            {"", "1000", []idRange{{0, 300000, 1000}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, parseSubIDs(file, tc.user, tc.id), cmp.AllowUnexported(idRange{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRangesAreStackedFromOne(t *testing.T) {
	t.Parallel()
	got := stack([]idRange{{0, 100000, 65536}, {0, 300000, 1000}})
	want := []idRange{{1, 100000, 65536}, {65537, 300000, 1000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(idRange{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseSubIDs(f *testing.F) {
	f.Add("ana:100000:65536\n", "ana", "1000")
	f.Fuzz(func(t *testing.T, file, name, id string) {
		for _, r := range stack(parseSubIDs(file, name, id)) {
			if r.count <= 0 || r.outside <= 0 {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestMountOptions(t *testing.T) {
	t.Parallel()
	const usual = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	for name, tc := range map[string]struct {
		in   runtime.Mount
		want initproc.Mount
		err  string
	}{
		"a volume": {
			runtime.Mount{Source: "/src", Target: "/data"},
			initproc.Mount{Target: "/data", Flags: usual}, "",
		},
		"a volume to read": {
			runtime.Mount{Source: "/src", Target: "/data", ReadOnly: true, Options: []string{"noexec"}},
			initproc.Mount{Target: "/data", ReadOnly: true, Flags: usual | unix.MOUNT_ATTR_NOEXEC}, "",
		},
		"a tmpfs": {
			runtime.Mount{Target: "/t", Tmpfs: true, SizeMiB: 16},
			initproc.Mount{Target: "/t", Flags: usual | unix.MOUNT_ATTR_NOEXEC, Data: "size=16777216,mode=1777"}, "",
		},
		"a tmpfs with everything": {
			runtime.Mount{Target: "/t", Tmpfs: true, Options: []string{"defaults", "exec", "suid", "dev", "ro", "noatime", "mode=700", "uid=5", "nr_inodes=10"}},
			initproc.Mount{Target: "/t", Flags: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOATIME, Data: "mode=700,uid=5,nr_inodes=10"}, "",
		},
		"the last word counts": {
			runtime.Mount{Source: "/src", Target: "/data", Options: []string{"noexec", "exec"}},
			initproc.Mount{Target: "/data", Flags: usual}, "",
		},
		"shared":              {runtime.Mount{Source: "/src", Target: "/data", Options: []string{"rshared"}}, initproc.Mount{}, `mount option "rshared" is not supported`},
		"a mode for a volume": {runtime.Mount{Source: "/src", Target: "/data", Options: []string{"mode=1"}}, initproc.Mount{}, `mount option "mode=1" is not supported`},
		"relative":            {runtime.Mount{Source: "/src", Target: "data"}, initproc.Mount{}, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mount(&tc.in)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRlimits(t *testing.T) {
	t.Parallel()
	const nofile = uint64(unix.RLIMIT_NOFILE)
	for name, tc := range map[string]struct {
		in   []runtime.Ulimit
		most uint64
		want []initproc.Rlimit
		err  string
	}{
		"as on Fargate":        {nil, math.MaxUint64, []initproc.Rlimit{{Resource: nofile, Soft: 1024, Hard: 65535}}, ""},
		"as the user may":      {nil, 512, []initproc.Rlimit{{Resource: nofile, Soft: 512, Hard: 512}}, ""},
		"the job's come after": {[]runtime.Ulimit{{Name: "nofile", Soft: 5, Hard: 6}}, math.MaxUint64, []initproc.Rlimit{{Resource: nofile, Soft: 1024, Hard: 65535}, {Resource: nofile, Soft: 5, Hard: 6}}, ""},
		"unknown":              {[]runtime.Ulimit{{Name: "dreams"}}, 1, nil, "invalid ulimit type: dreams"},
		"soft over hard":       {[]runtime.Ulimit{{Name: "core", Soft: 2, Hard: 1}}, 1, nil, "2 > 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rlimits(tc.in, tc.most)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

func TestNamesAreFitForControlGroups(t *testing.T) {
	t.Parallel()
	r := &Runtime{first: "f"}
	for task, prefix := range map[string]string{
		"a7c1-22:3/1":            "a7c1-22_3_1.side.f.",
		"../../etc":              "______etc.side.f.",
		"":                       ".side.f.",
		strings.Repeat("x", 500): strings.Repeat("x", 160) + ".f.",
	} {
		if got := r.name(task, "side"); !strings.HasPrefix(got, prefix) || strings.ContainsAny(got, "/\x00 ") || len(got) > 255 {
			t.Errorf("task %.20q is called %q, want %q...", task, got, prefix)
		}
	}
	if a, b := r.name("t", ""), r.name("t", ""); a == b {
		t.Errorf("two containers are called %s", a)
	}
}

func TestNewRefusesWhatCanNotWork(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no state directory":       {Owner: "x"},
		"relative state directory": {StateDir: "relative", Owner: "x"},
		"no owner":                 {StateDir: os.TempDir()},
	} {
		if r, err := New(t.Context(), o); err == nil {
			t.Errorf("%s: it works", name)
			_ = r.Close()
		}
	}
}

// TestListenToKilled: an init that is killed before it has read its instructions resets the connection; that is an error of
// its container, and nothing else's.
func TestListenToKilled(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := unixConn(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if _, err := ours.Write([]byte("instructions")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	if answer, mount, err := listen(ours); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("listen returned %q, %v, %v", answer, mount, err)
	}
}
