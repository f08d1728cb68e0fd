package supervisor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
)

// TestFrameBytes fixes the form that a supervisor of another version has to understand.
func TestFrameBytes(t *testing.T) {
	t.Parallel()
	grace, code := 5*time.Second, 0
	for _, tc := range []struct {
		name  string
		frame any
		want  string
	}{
		{"Hello", request{Hello: &hello{Version: 1, Oldest: 1}}, `{"hello":{"version":1,"oldest":1}}`},
		{"Start", request{Seq: 1, Start: []runtime.Task{taskOf("job/1", "main! run=5s @init:SUCCESS")}},
			`{"seq":1,"start":[{"key":"job/1","containers":[{"name":"main","image":{"ref":"","digest":"","platform":""},"argv":["run=5s"],"env":null,"vcpu":0,"memoryMiB":0,"network":{"mode":""},"stopTimeout":30000000000,"essential":true,"dependsOn":[{"containerName":"init","condition":"SUCCESS"}],"log":{"account":"1","region":"r","group":"g","stream":"job/1/main"}}]}]}`},
		{"Stop", request{Seq: 2, Stop: []StopRequest{{Key: "job/1", Reason: "why", Grace: &grace}, {Key: "job/2"}}},
			`{"seq":2,"stop":[{"key":"job/1","reason":"why","grace":5000000000},{"key":"job/2"}]}`},
		{"Ack", request{Seq: 3, Ack: []string{"job/1"}, Settled: true}, `{"seq":3,"ack":["job/1"],"settled":true}`},
		{"Shutdown", request{Seq: 4, Stats: true, Shutdown: &shutdown{}}, `{"seq":4,"stats":true,"shutdown":{}}`},
		{"ServerHello", answer{Hello: &hello{Version: 1, Oldest: 1, Instance: "i", PID: 7, Intact: true}},
			`{"hello":{"version":1,"oldest":1,"instance":"i","pid":7,"intact":true}}`},
		{"List", answer{Listed: true, Tasks: []TaskState{{Key: "job/1", PIDs: []int{8}, StartedAt: began}}},
			`{"listed":true,"tasks":[{"key":"job/1","pids":[8],"startedAt":"2026-01-01T00:00:00Z"}]}`},
		{"Reports", answer{Done: 3, Reports: []runtime.Report{{Key: "job/1", Kind: runtime.Ended, At: began, StartedAt: began,
			Containers: []runtime.ContainerReport{{Name: "main", ExitCode: &code}}}}},
			`{"done":3,"reports":[{"key":"job/1","kind":"ended","at":"2026-01-01T00:00:00Z","startedAt":"2026-01-01T00:00:00Z","containers":[{"name":"main","exitCode":0}]}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := writeFrame(&b, tc.frame); err != nil {
				t.Fatal(err)
			}
			if n := binary.BigEndian.Uint32(b.Bytes()); int(n) != b.Len()-4 {
				t.Errorf("length %d before %d bytes", n, b.Len()-4)
			}
			if diff := cmp.Diff(tc.want, b.String()[4:]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	frame := func(n uint32, body string) string { return string(binary.BigEndian.AppendUint32(nil, n)) + body }
	for name, tc := range map[string]struct{ in, want string }{
		"Nothing":     {"", "EOF"},
		"HalfLength":  {"\x00\x00", "unexpected EOF"},
		"HalfBody":    {frame(10, "{}"), "frame of 10 bytes is cut short: unexpected EOF"},
		"NoBody":      {frame(10, ""), "frame of 10 bytes is cut short: EOF"},
		"TooLong":     {frame(0xffffffff, ""), "frame of 4294967295 bytes: at most 268435456 are accepted"},
		"NoJSON":      {frame(2, "{]"), "decode frame: invalid character ']'"},
		"WrongType":   {frame(9, `{"seq":""}`)[:13], "decode frame:"},
		"NotAnObject": {frame(4, "[{}]"), "decode frame:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var q request
			err := newFrameReader(strings.NewReader(tc.in)).read(&q)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if (err == io.EOF) != (name == "Nothing") {
				t.Errorf("%v is taken for an orderly end", err)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		h  hello
		ok bool
	}{
		"Same":              {hello{Version: protocolVersion, Oldest: protocolOldest}, true},
		"NewerThatSpeaksUs": {hello{Version: protocolVersion + 3, Oldest: protocolVersion}, true},
		"TooNew":            {hello{Version: protocolVersion + 3, Oldest: protocolVersion + 1}, false},
		"TooOld":            {hello{Version: protocolOldest - 1, Oldest: 0}, false},
	} {
		if err := tc.h.check(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	grace := time.Second
	if err := errors.Join(
		writeFrame(&b, request{Hello: &hello{Version: 1}}),
		writeFrame(&b, request{Seq: 1, Start: []runtime.Task{taskOf("job/1", "main!; side @main:START")}, Stop: []StopRequest{{Key: "a", Grace: &grace}}}),
	); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}', 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newFrameReader(bytes.NewReader(in))
		for {
			var q request
			if err := r.read(&q); err != nil {
				return
			}
			// What has been understood can be said again, and means the same.
			var b bytes.Buffer
			if err := writeFrame(&b, q); err != nil {
				t.Fatal(err)
			}
			var again request
			if err := newFrameReader(&b).read(&again); err != nil {
				t.Fatal(err)
			}
		}
	})
}
