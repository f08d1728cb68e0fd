package initproc

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var wholeInstructions = Instructions{
	BecomeRoot: true, Label: "batchbox-1/x", Hostname: "h",
	Root:   Tree{FD: -1},
	Layers: []Tree{{FD: 0}, {FD: -1, Path: "/layers/1"}}, Upper: Tree{FD: -1, Path: "x"}, UpperBytes: 20 << 30, ShareRoot: true,
	Files:   []File{{Path: "/etc/hosts", Content: "127.0.0.1 localhost\n", Mode: 0o644}},
	Mounts:  []Mount{{Source: Tree{FD: 2}, Target: "/data", ReadOnly: true, Flags: 6}, {Source: Tree{FD: -1}, Target: "/t", Data: "size=1"}},
	Cgroups: []CgroupMount{{"memory"}, {""}}, ShmBytes: 64 << 20, ReadonlyRoot: true,
	HostNetwork: true, JoinNetwork: -1, UserNamespace: true, SingleUser: true,
	Rlimits: []Rlimit{{Resource: 7, Soft: 1024, Hard: math.MaxUint64}},
	Argv:    []string{"/prog", ""}, Env: []string{"A=1"}, DefaultEnv: []string{"PATH=/bin"}, Dir: "/work", User: "1000:100",
	Reaper: true, Capabilities: 0xa80425fb, Unmasked: true, NewPrivileges: true, Seccomp: []byte{0, 255, 1},
}

func TestMessagesComeBackWhole(t *testing.T) {
	t.Parallel()
	for _, in := range []Instructions{{}, wholeInstructions} {
		got, err := ParseInstructions(in.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&in, got); diff != "" {
			t.Error(diff)
		}
	}
	request := Request{Kind: RequestLaunch, ID: 1 << 60, Namespaces: 0x7c020000, CgroupFD: true, Signal: 15, Path: "x"}
	if got, err := ParseRequest(request.Append(nil)); err != nil || *got != request {
		t.Errorf("%+v, %v", got, err)
	}
	event := Event{Kind: EventExited, ID: 3, PID: 4711, Status: 137 << 8, Errno: 2, Text: "text", Bytes: 1, Protocol: Protocol}
	if got, err := ParseEvent(event.Append(nil)); err != nil || *got != event {
		t.Errorf("%+v, %v", got, err)
	}
}

// A message that is cut short anywhere, or goes on, must be refused: its reader would act on half of it.
func TestMessagesThatAreNotWholeAreRefused(t *testing.T) {
	t.Parallel()
	whole := wholeInstructions.Append(nil)
	for n := range whole {
		if _, err := ParseInstructions(whole[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for instructions", n, len(whole))
		}
	}
	if _, err := ParseInstructions(append(whole, 0)); err == nil {
		t.Error("instructions followed by something are taken")
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	failure := &Failure{Kind: FailedNotFound, Text: "no such file"}
	root := MadeRoot{Changed: 1_700_000_000_000_000_001}
	for name, tc := range map[string]struct {
		said    []byte
		root    *MadeRoot
		failure *Failure
		err     bool
	}{
		"killed at once":             {nil, nil, nil, true},
		"executed":                   {[]byte{attempting}, nil, nil, false},
		"not executed":               {failure.Append([]byte{attempting}), nil, failure, false},
		"not built":                  {failure.Append(nil), nil, failure, false},
		"executed in a new root":     {append(root.append(nil), attempting), &root, nil, false},
		"not executed in a new root": {failure.Append(append(root.append(nil), attempting)), &root, failure, false},
		"killed with a new root":     {root.append(nil), &root, nil, true},
		"half a root":                {root.append(nil)[:5], nil, nil, true},
		"nonsense":                   {[]byte{200, 200, 200}, nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gotRoot, gotFailure, err := ParseAnswer(tc.said)
			if (err != nil) != tc.err {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tc.root, gotRoot); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.failure, gotFailure); diff != "" && !tc.err {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseInstructions(f *testing.F) {
	f.Add(wholeInstructions.Append(nil))
	f.Add((&Instructions{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseInstructions(b)
		if err != nil {
			return
		}
		again, err := ParseInstructions(in.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, again); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add((&Event{Kind: EventLaunched, ID: 1, PID: 2}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err != nil {
			return
		}
		if again, err := ParseEvent(e.Append(nil)); err != nil || *again != *e {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add((&Failure{Kind: FailedSetup, Text: "x"}).Append([]byte{attempting}))
	f.Add(append(MadeRoot{1}.append(nil), attempting))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, failure, err := ParseAnswer(b)
		if err == nil && failure == nil && len(b) > madeRootSize+1 {
			t.Errorf("%q is taken for success", b)
		}
	})
}
