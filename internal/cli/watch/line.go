package watch

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Line shows progress on a writer. On a terminal it is one line that is written over; elsewhere it is a line for each
// change, at ever longer intervals, and always one for the end.
type Line struct {
	w        io.Writer
	width    int // of the terminal; 0 if w is none
	shown    string
	lastTime time.Duration
}

// NewLine shows progress on w. width is the terminal's number of columns, or 0 if w is no terminal.
func NewLine(w io.Writer, width int) *Line { return &Line{w: w, width: width, lastTime: -1} }

// Show shows one look at a job. Errors of the writer are not reported: the progress of a job is no part of its result.
func (l *Line) Show(p Progress) {
	text := p.String()
	if l.width > 0 {
		line := []rune(text + "  " + clock(p.Elapsed))
		if len(line) >= l.width {
			line = line[:max(0, l.width-1)]
		}
		fmt.Fprintf(l.w, "\r%s\x1b[K", string(line))
		l.shown = text
		if Final(p.Status) {
			l.Break()
		}
		return
	}
	// Ten times as long a wait, a fifth as many lines.
	soon := l.lastTime >= 0 && p.Elapsed-l.lastTime < max(200*time.Millisecond, p.Elapsed/5)
	if text == l.shown || soon && !Final(p.Status) {
		return
	}
	fmt.Fprintf(l.w, "%6s  %s\n", clock(p.Elapsed), text)
	l.shown, l.lastTime = text, p.Elapsed
}

// Break ends a live line that is still open, so that something else can be written after it.
func (l *Line) Break() {
	if l.width > 0 && l.shown != "" {
		fmt.Fprintln(l.w)
		l.shown = ""
	}
}

// String is the state of a job without the time: "RUNNING", or for an array "[######--------------]  30 %  3/10
// RUNNABLE 5  RUNNING 2  SUCCEEDED 3", with the states some child is in.
func (p Progress) String() string {
	if p.Size == 0 {
		text := string(p.Status)
		if p.Reason != "" && !Final(p.Status) { // why a job waits
			text += "  " + p.Reason
		}
		return text
	}
	done := p.Counts[types.JobStatusSucceeded] + p.Counts[types.JobStatusFailed]
	const width = 20
	filled := min(max(done*width/p.Size, 0), width)
	var b strings.Builder
	fmt.Fprintf(&b, "[%s%s] %3d %%  %d/%d", strings.Repeat("#", filled), strings.Repeat("-", width-filled), done*100/p.Size, done, p.Size)
	for _, s := range p.Status.Values() {
		if n := p.Counts[s]; n > 0 {
			fmt.Fprintf(&b, "  %s %d", s, n)
		}
	}
	return b.String()
}

func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
