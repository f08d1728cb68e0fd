package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"strings"
)

// trace is what has happened, as a hash of every line and the last lines themselves.
type trace struct {
	sum  hash.Hash64
	tail [tailLines]string
	n    int
	out  io.Writer // nil for none
}

// tailLines is how much of a run is shown with a violation.
const tailLines = 40

func newTrace(out io.Writer) *trace { return &trace{sum: fnv.New64a(), out: out} }

func (t *trace) addf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	_, _ = t.sum.Write([]byte(line)) // a hash takes everything
	_, _ = t.sum.Write([]byte{'\n'})
	t.tail[t.n%tailLines] = line
	t.n++
	if t.out != nil {
		fmt.Fprintln(t.out, line)
	}
}

// last is the last lines, oldest first.
func (t *trace) last() string {
	var b strings.Builder
	for i := max(0, t.n-tailLines); i < t.n; i++ {
		b.WriteString("  " + t.tail[i%tailLines] + "\n")
	}
	return b.String()
}
