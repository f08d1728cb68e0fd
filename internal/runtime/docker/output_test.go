package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// frame is a piece of output as the daemon sends it.
func frame(stream byte, text string) []byte {
	h := make([]byte, frameHeader, frameHeader+len(text))
	h[0] = stream
	binary.BigEndian.PutUint32(h[4:], uint32(len(text)))
	return append(h, text...)
}

// Two streams, cut and mixed in any way, come out with all their lines, each in its order and none torn.
func TestOutputIsMergedByLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := [2]string{
			strings.Join(rapid.SliceOfN(rapid.StringMatching("a{0,40}"), 0, 20).Draw(t, "stdout"), "\n"),
			strings.Join(rapid.SliceOfN(rapid.StringMatching("b{0,40}"), 0, 20).Draw(t, "stderr"), "\n"),
		}
		var wire bytes.Buffer
		for left := texts; left[0]+left[1] != ""; {
			s := rapid.IntRange(0, 1).Draw(t, "stream")
			n := rapid.IntRange(0, min(60, len(left[s]))).Draw(t, "length")
			wire.Write(frame(byte(s+1), left[s][:n]))
			left[s] = left[s][n:]
		}
		var out bytes.Buffer
		if err := copyOutput(&out, bufio.NewReaderSize(&wire, 16), func() {}); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		for line := range strings.Lines(got) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, "a") && strings.Contains(line, "b") {
				t.Fatalf("a torn line: %q", line)
			}
		}
		for s, letter := range []string{"b", "a"} {
			// What is left without the other's letters, and without the empty lines, which could be anybody's, is the stream.
			if one, want := squeeze(strings.ReplaceAll(got, letter, "")), squeeze(texts[s]); one != want {
				t.Fatalf("stream %d: %q, want %q", s+1, one, want)
			}
		}
		if len(got) != len(texts[0])+len(texts[1]) {
			t.Fatalf("%d bytes of %d", len(got), len(texts[0])+len(texts[1]))
		}
	})
}

func squeeze(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' }), "\n")
}

func TestCopyOutput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*maxHeldOutput)
	for name, tc := range map[string]struct {
		wire []byte
		want string
		err  string // in the error; "" for none
	}{
		"nothing":                {nil, "", ""},
		"a line begun elsewhere": {concat(frame(1, "one "), frame(2, "err\n"), frame(1, "line\n")), "err\none line\n", ""},
		"no end of line":         {concat(frame(1, "out"), frame(2, "err")), "outerr", ""},
		"a long line":            {concat(frame(1, long[:100]), frame(1, long[100:]), frame(2, "err\n")), long + "err\n", ""},
		"during a long line":     {concat(frame(1, long), frame(2, "err\nor"), frame(1, "end\nout")), long + "end\nerr\noutor", ""},
		"a line far too long":    {concat(frame(1, long), frame(2, long+"\n"), frame(1, "end\n")), long + long + "\nend\n", ""},
		"the daemon's error":     {concat(frame(1, "out\n"), frame(3, "it broke")), "out\n", "the daemon: it broke"},
		"cut in a header":        {frame(1, "out\n")[:5], "", "unexpected EOF"},
		"cut in a frame":         {frame(1, "out\nrest")[:frameHeader+5], "out\nr", "unexpected EOF"},
		"no frames":              {[]byte("HTTP/1.1 500 no"), "", "this is no output of a container"},
	} {
		var out bytes.Buffer
		err := copyOutput(&out, bufio.NewReader(bytes.NewReader(tc.wire)), func() {})
		if out.String() != tc.want {
			t.Errorf("%s: %.100q, want %.100q", name, out.String(), tc.want)
		}
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: error %v, want %q", name, err, tc.err)
		}
	}

	// Who takes no more output does not keep the program from writing it.
	all := bytes.NewReader(bytes.Repeat(frame(1, "line\n"), 100))
	if err := copyOutput(broken{}, bufio.NewReader(all), func() {}); err != nil || all.Len() > 0 {
		t.Errorf("%v, %d bytes unread", err, all.Len())
	}
}

func concat(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.Join(io.ErrClosedPipe) }
