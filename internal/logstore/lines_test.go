package logstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// linesOf writes the chunks to a LineWriter, closes it and returns the events.
func linesOf(t testing.TB, opts LineOptions, chunks ...string) []Event {
	t.Helper()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{disk: quickDisk{}})
	if opts.Now == nil {
		opts.Now = func() time.Time { return time.UnixMilli(5) }
	}
	l := NewLineWriter(w, key("s"), opts)
	for _, c := range chunks {
		if n, err := l.Write([]byte(c)); err != nil || n != len(c) {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return readAll(t, dir)[key("s")]
}

func TestLines(t *testing.T) {
	t.Parallel()
	limit := strings.Repeat("x", MaxEventBytes)
	tests := []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"one line", []string{"hello\n"}, []string{"hello"}},
		{"several in one read", []string{"a\nb\nc\n"}, []string{"a", "b", "c"}},
		{"a line in many reads", []string{"he", "l", "lo", "\n", "x"}, []string{"hello", "x"}},
		{"last line without its end", []string{"a\nlast"}, []string{"a", "last"}},
		{"carriage return and newline", []string{"a\r\nb\r", "\nc\r\n"}, []string{"a", "b", "c"}},
		{"carriage return alone is kept", []string{"10%\r20%\r30%\nx\r"}, []string{"10%\r20%\r30%", "x\r"}},
		{"empty lines are no events", []string{"\n\na\n\r\n\nb\n\n"}, []string{"a", "b"}},
		{"spaces are kept", []string{" \n\t\n  a  \n"}, []string{" ", "\t", "  a  "}},
		{"invalid bytes", []string{"a\xffb\xc3\n\xe2\x82\n"}, []string{"a\uFFFDb\uFFFD", "\uFFFD\uFFFD"}},
		{"a character in two reads", []string{"\xe2\x82", "\xac\n\xf0\x9f", "\x98", "\x80"}, []string{"€", "😀"}},
		{"NUL", []string{"a\x00b\n"}, []string{"a\x00b"}},
		{"exactly the limit", []string{limit + "\n" + limit + "\r\n" + limit}, []string{limit, limit, limit}},
		{"exactly the limit, the end in a later read", []string{limit, "\n", limit, "\r", "\n"}, []string{limit, limit}},
		{"one over the limit", []string{limit + "y\nz\n"}, []string{limit, "y", "z"}},
		{"three times the limit", []string{limit + limit, limit + "\n"}, []string{limit, limit, limit}},
		{"no character is cut", []string{limit[1:] + "€€\n"}, []string{limit[1:], "€€"}},
		{"no character is cut, in small reads", []string{limit[2:] + "\xe2", "\x82", "\xac\n"}, []string{limit[2:], "€"}},
		{"replacements count", []string{strings.Repeat("\xff", MaxEventBytes) + "\n"}, []string{
			strings.Repeat("\uFFFD", MaxEventBytes/3), strings.Repeat("\uFFFD", MaxEventBytes/3),
			strings.Repeat("\uFFFD", MaxEventBytes/3), strings.Repeat("\uFFFD", MaxEventBytes%3)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, e := range linesOf(t, LineOptions{}, tt.chunks...) {
				if e.Timestamp != 5 {
					t.Errorf("timestamp %d, want 5", e.Timestamp)
				}
				got = append(got, e.Message)
			}
			if diff := cmp.Diff(shorten(tt.want), shorten(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// shorten makes long messages readable in a diff.
func shorten(messages []string) []string {
	var out []string
	for _, m := range messages {
		if len(m) > 100 {
			m = fmt.Sprintf("%d bytes %q...%q", len(m), m[:10], m[len(m)-10:])
		}
		out = append(out, m)
	}
	return out
}

func TestPartsOfALineHaveTheTimestampOfTheFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{})
	now := int64(100)
	l := NewLineWriter(w, key("s"), LineOptions{Now: func() time.Time { return time.UnixMilli(now) }})
	for _, chunk := range []string{"begun", " later\n", strings.Repeat("x", MaxEventBytes), strings.Repeat("y", MaxEventBytes), "z\nnext\n"} {
		if _, err := l.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
		now++
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var at []int64
	for _, e := range readAll(t, dir)[key("s")] {
		at = append(at, e.Timestamp)
	}
	if diff := cmp.Diff([]int64{101, 103, 103, 103, 104}, at); diff != "" {
		t.Error(diff)
	}
}

func TestMultiline(t *testing.T) {
	t.Parallel()
	limit := strings.Repeat("x", MaxEventBytes)
	tests := []struct {
		name, pattern, format string
		chunks                []string
		want                  []string
	}{
		{"pattern", "^INFO", "", []string{"INFO a\n  b\n\n  c\nINFO d\n"}, []string{"INFO a\n  b\n\n  c\n", "INFO d\n"}},
		{"before the first match", "^INFO", "", []string{"x\ny\nINFO a\n"}, []string{"x\ny\n", "INFO a\n"}},
		{"no match at all", "^INFO", "", []string{"x\ny"}, []string{"x\ny\n"}},
		{"anywhere in the line", "ERROR", "", []string{"a ERROR\r\nb\r\nc ERROR"}, []string{"a ERROR\nb\n", "c ERROR\n"}},
		{"in small reads", "^A", "", []string{"A", "1", "\nb", "\n", "A2\n"}, []string{"A1\nb\n", "A2\n"}},
		{"datetime", "", `\[%b %d, %Y %H:%M:%S\]`, []string{"[May 01, 2017 19:00:01] a\nb\n[May 01, 2017 19:00:04] c\n"},
			[]string{"[May 01, 2017 19:00:01] a\nb\n", "[May 01, 2017 19:00:04] c\n"}},
		{"datetime that does not match", "", "%Y-%m-%d", []string{"2017-13-01 a\n2017-12-01 b\n"}, []string{"2017-13-01 a\n", "2017-12-01 b\n"}},
		{"larger than an event", "^A", "", []string{"A\n" + limit[2:] + "\nB\n"}, []string{"A\n", limit[2:] + "\n", "B\n"}},
		{"a line larger than an event", "^A", "", []string{"A\n" + limit + "yy\nb\nA\n"}, []string{"A\n", limit, "yy\nb\n", "A\n"}},
		{"a line as large as an event", "^A", "", []string{limit + "\nb\n"}, []string{limit, "b\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start, err := CompileMultiline(tt.pattern, tt.format)
			if err != nil {
				t.Fatal(err)
			}
			got := messagesOf(linesOf(t, LineOptions{Start: start}, tt.chunks...))
			if diff := cmp.Diff(shorten(tt.want), shorten(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompileMultiline(t *testing.T) {
	t.Parallel()
	if re, err := CompileMultiline("", ""); re != nil || err != nil {
		t.Errorf("no options: %v, %v", re, err)
	}
	for _, o := range [][2]string{{"(", ""}, {"", "(%Y"}, {"a", "%Y"}} {
		if re, err := CompileMultiline(o[0], o[1]); err == nil {
			t.Errorf("%q was compiled to %v", o, re)
		}
	}
	for format, line := range map[string]string{
		"%a %A %w": "Tue Tuesday 2", "%d/%b/%B/%m": "31/Jan/January/01", "%Y %y": "2026 26", "%H %I %p": "23 11 PM",
		"%M:%S%L": "59:00.123", "%f": "123456", "%z %Z": "+0100 CEST", "%j": "366", "100%%": "100%",
	} {
		re, err := CompileMultiline("", "^"+format+"$")
		if err != nil {
			t.Fatal(err)
		}
		if !re.MatchString(line) {
			t.Errorf("%q does not match %q", format, line)
		}
	}
}

func TestIdleMultilineEventIsAppended(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := openWriter(t, dir, "supervisor", WriterOptions{})
		start, err := CompileMultiline("^A", "")
		if err != nil {
			t.Fatal(err)
		}
		l := NewLineWriter(w, key("s"), LineOptions{Start: start})
		write := func(s string) {
			t.Helper()
			if _, err := l.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, messagesOf(readAll(t, dir)[key("s")])); diff != "" {
				t.Fatal(diff)
			}
		}
		write("A1\nb\n")
		time.Sleep(multilineIdle - time.Second)
		write("A2\nc\n")
		expect("A1\nb\n")
		time.Sleep(2 * time.Second) // the timer fires for the first event, and leaves the second its time
		expect("A1\nb\n")
		time.Sleep(multilineIdle)
		expect("A1\nb\n", "A2\nc\n")
		write("d\n")
		time.Sleep(2 * multilineIdle)
		expect("A1\nb\n", "A2\nc\n", "d\n")
		write("A3\n")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * multilineIdle)
		expect("A1\nb\n", "A2\nc\n", "d\n", "A3\n")
	})
}

// TestLinesSurviveFailingDisk lets each write fail once, at every place of an output, and expects nothing lost or
// doubled when the caller goes on as Write says.
func TestLinesSurviveFailingDisk(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, "line %d\xff%s\n", i, strings.Repeat("é", i*i*7))
		if i%20 == 7 {
			text.WriteString(strings.Repeat("long", MaxEventBytes/3))
		}
	}
	input := text.String()
	for _, pattern := range []string{"", "^line [0-9]*5"} {
		start, err := CompileMultiline(pattern, "")
		if err != nil {
			t.Fatal(err)
		}
		want := messagesOf(linesOf(t, LineOptions{Start: start}, input))
		for seed := range uint64(3) {
			dir := t.TempDir()
			random := rand.New(rand.NewPCG(seed, 1))
			disk := &faultyDisk{fail: func(op string) (error, bool) {
				if op == "write" && random.IntN(3) == 0 {
					return syscall.ENOSPC, random.IntN(2) == 0
				}
				return nil, true
			}}
			w := openWriter(t, dir, "supervisor", WriterOptions{disk: disk})
			l := NewLineWriter(w, key("s"), LineOptions{Start: start})
			failures := 0
			for rest := []byte(input); len(rest) > 0; {
				n, err := l.Write(rest[:min(len(rest), 50_000)])
				rest = rest[n:]
				if err != nil {
					failures++
				}
			}
			for l.Close() != nil {
				failures++
			}
			if failures == 0 {
				t.Error("nothing failed")
			}
			if diff := cmp.Diff(shorten(want), shorten(messagesOf(readAll(t, dir)[key("s")]))); diff != "" {
				t.Errorf("pattern %q, seed %d: %s", pattern, seed, diff)
			}
		}
	}
}

func TestLongLineTakesLittleMemory(t *testing.T) {
	w := openWriter(t, t.TempDir(), "supervisor", WriterOptions{disk: nullDisk{}})
	l := NewLineWriter(w, key("s"), LineOptions{})
	chunk := bytes.Repeat([]byte("é"), 32<<10)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	for i := range 48 << 20 / len(chunk) {
		if _, err := l.Write(chunk); err != nil {
			t.Fatal(err)
		}
		if i%200 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			most = max(most, after.HeapAlloc)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\nc", uint64(1), uint8(3))
	f.Add("\xe2\x82\xac\n\xff\n\n", uint64(2), uint8(1))
	f.Add("é😀", uint64(3), uint8(255))
	f.Fuzz(func(t *testing.T, text string, seed uint64, repeat uint8) {
		text = strings.Repeat(text, 1+int(repeat)*40)
		if len(text) > 1<<20 {
			text = text[:1<<20]
		}
		random := rand.New(rand.NewPCG(seed, 0))
		var chunks []string
		for rest := text; rest != ""; {
			n := min(len(rest), 1+random.IntN(1+random.IntN(100_000)))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		whole, cut := messagesOf(linesOf(t, LineOptions{}, text)), messagesOf(linesOf(t, LineOptions{}, chunks...))
		if diff := cmp.Diff(shorten(whole), shorten(cut)); diff != "" {
			t.Errorf("the events depend on how the output was read: %s", diff)
		}
		for _, m := range cut {
			if m == "" || len(m) > MaxEventBytes || !utf8.ValidString(m) || strings.Contains(m, "\n") {
				t.Errorf("event of %d bytes %.50q", len(m), m)
			}
		}
		// Of valid UTF-8, nothing but the line ends is missing.
		if want := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", ""); utf8.ValidString(text) && strings.Join(cut, "") != want {
			t.Error("the events put together are not what was written")
		}
	})
}

func BenchmarkLines(b *testing.B) {
	for _, size := range []int{20, 100, 1000} {
		b.Run(fmt.Sprintf("lines of %d bytes, 64 KiB a read", size), func(b *testing.B) {
			w := openWriter(b, b.TempDir(), "supervisor", WriterOptions{disk: nullDisk{}})
			l := NewLineWriter(w, key("s"), LineOptions{})
			chunk := bytes.Repeat([]byte(strings.Repeat("x", size-1)+"\n"), 64<<10/size)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
