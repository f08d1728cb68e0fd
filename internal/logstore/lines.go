package logstore

import (
	"bytes"
	"errors"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// multilineIdle is how long an event of several lines waits for its next line: the awslogs driver's default flush
	// interval.
	multilineIdle = 5 * time.Second
	// maxHeldLine is how much of an unfinished line is held: enough to see that it exceeds an event, whatever character
	// stands at the limit.
	maxHeldLine = MaxEventBytes + utf8.UTFMax
	// A LineWriter appends at most about so much at once.
	lineBatchBytes  = 128 << 10
	lineBatchEvents = 4096
	// A buffer for an unfinished line is kept for the next one up to this size.
	keptLineBytes = 4 << 10
)

// LineOptions change how a LineWriter makes events of lines.
type LineOptions struct {
	// Start, if set, matches the first line of an event: the lines up to the next match are one event. CompileMultiline
	// makes it of the awslogs options.
	Start *regexp.Regexp
	// Now is the clock the timestamps are read from; time.Now if nil.
	Now func() time.Time
}

// LineWriter cuts a container's output into events of one stream, as the awslogs log driver of Docker and of Fargate
// does (moby/moby, daemon/logger/awslogs/cloudwatchlogs.go; aws/shim-loggers-for-containerd, logger/common.go):
//
//   - a line is an event, without its line end; an empty line is none, except as part of an event of several lines;
//   - a line longer than MaxEventBytes becomes several events with the timestamp of the first, none of which cuts a
//     character in two;
//   - each byte that is not part of valid UTF-8 becomes U+FFFD, and lengths count after that;
//   - what follows the last line end is an event when the output ends (Close).
//
// Unlike there, "\r\n" ends a line too; those drivers leave the "\r" in the message. A timestamp is when the end of the
// line was read. Between calls at most one event's bytes are held (two of several lines), however much is written. A
// LineWriter is safe for concurrent use.
type LineWriter struct {
	w     *Writer
	key   StreamKey
	start *regexp.Regexp
	now   func() time.Time

	mu sync.Mutex
	lineState
	spare  []byte      // the memory line last had, for the next unfinished line
	idle   *time.Timer // armed while there is a group
	closed bool

	*lineBatch // set during a call
}

// lineState is what is held between calls. While a batch is collected, the bytes the slices had before are never
// overwritten, so that a copy of the struct is all it takes to go back when the batch can not be appended.
type lineState struct {
	line []byte // the unfinished line, as it was read
	// split says that the beginning of the unfinished line has become events already, with splitAt as their timestamp.
	split   bool
	splitAt int64
	// group is the unfinished event of several lines; groupAt is its timestamp.
	group   []byte
	groupAt int64
}

// lineBatch is the events collected for one append.
type lineBatch struct {
	events []lineEvent
	size   int    // bytes of the messages
	text   []byte // memory for messages that are not in the input as they are
	// released is the memory of an unfinished line that has become events: free once they are appended.
	released []byte
}

type lineEvent struct {
	at      int64
	message []byte
}

// lineBatches keeps the batches of idle LineWriters: there may be as many of those as running containers.
var lineBatches = sync.Pool{New: func() any { return new(lineBatch) }}

// begin locks l for a call that collects events; the function it returns ends the call.
func (l *LineWriter) begin() (end func()) {
	l.mu.Lock()
	l.lineBatch = lineBatches.Get().(*lineBatch)
	return func() {
		if cap(l.text) <= 2*MaxEventBytes {
			lineBatches.Put(l.lineBatch)
		}
		l.lineBatch = nil
		l.mu.Unlock()
	}
}

// NewLineWriter makes a LineWriter that appends to the stream key through w. Close it when the output has ended.
func NewLineWriter(w *Writer, key StreamKey, opts LineOptions) *LineWriter {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &LineWriter{w: w, key: key, start: opts.Start, now: opts.Now}
}

var errLineWriterClosed = errors.New("log line writer is closed")

// Write takes p as the next bytes of the output and appends the events they complete. When an append fails, n bytes
// have been dealt with and the rest has not been looked at: Write(p[n:]) goes on when the cause is gone, and nothing is
// lost or doubled.
func (l *LineWriter) Write(p []byte) (n int, err error) {
	defer l.begin()()
	if l.closed {
		return 0, errLineWriterClosed
	}
	now := l.now().UnixMilli()
	for n < len(p) {
		before := l.lineState
		taken := l.take(p[n:], now)
		if err := l.append(before); err != nil {
			return n, err
		}
		n += taken
	}
	if len(l.group) > 0 && l.idle == nil {
		l.idle = time.AfterFunc(multilineIdle, l.flushIdle)
	}
	return n, nil
}

// Close appends what is left: the last line, if it has no end, and the last event of several lines. If that fails,
// Close may be called again.
func (l *LineWriter) Close() error {
	defer l.begin()()
	if l.closed {
		return nil
	}
	before := l.lineState
	if len(l.line) > 0 {
		l.endLine(l.line, l.now().UnixMilli())
		l.line = nil
	}
	l.endGroup()
	if err := l.append(before); err != nil {
		return err
	}
	l.closed = true
	if l.idle != nil {
		l.idle.Stop()
	}
	return nil
}

// flushIdle appends an event of several lines that has waited long enough for its next line.
func (l *LineWriter) flushIdle() {
	defer l.begin()()
	if l.closed || len(l.group) == 0 {
		l.idle = nil
		return
	}
	wait := multilineIdle
	if age := time.Duration(l.now().UnixMilli()-l.groupAt) * time.Millisecond; age >= 0 && age < multilineIdle {
		wait -= age
	} else {
		before := l.lineState
		l.endGroup()
		// On an error the group is kept, and tried again with the next line or after another wait. Write reports it.
		if l.append(before) == nil {
			l.idle = nil
			return
		}
	}
	l.idle.Reset(wait)
}

// append appends the batch, or goes back to the state before it was collected.
func (l *LineWriter) append(before lineState) error {
	if len(l.events) == 0 {
		l.released = nil
		return nil
	}
	err := l.w.appendBatch(l.key, len(l.events), func(b []byte, i int, previous int64) ([]byte, int64) {
		e := l.events[i]
		return appendEvent(b, e.at-previous, e.message), e.at
	})
	if err != nil {
		l.lineState = before
	} else if l.released != nil && cap(l.released) <= keptLineBytes {
		l.spare = l.released
	}
	clear(l.events)
	l.events, l.size, l.text, l.released = l.events[:0], 0, l.text[:0], nil
	return err
}

// take deals with a beginning of p, collecting events, and returns how many bytes it was.
func (l *LineWriter) take(p []byte, now int64) (n int) {
	if len(l.line) > 0 {
		// Finish the line that was begun, unless it grows too long first.
		room := p[:min(len(p), maxHeldLine-len(l.line))]
		end := bytes.IndexByte(room, '\n')
		if end < 0 {
			l.line = append(l.line, room...)
			if len(l.line) == maxHeldLine {
				l.splitLine(now)
			}
			return len(room)
		}
		line := append(l.line, room[:end]...)
		l.endLine(trimCR(line), now)
		l.line, l.released = nil, line[:0]
		n = end + 1
	}
	for n < len(p) && len(l.events) < lineBatchEvents && l.size < lineBatchBytes {
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			l.line = append(l.takeSpare(), p[n:min(len(p), n+maxHeldLine-1)]...)
			return n + len(l.line)
		}
		l.endLine(trimCR(p[n:n+end]), now)
		n += end + 1
	}
	return n
}

func (l *LineWriter) takeSpare() []byte {
	s := l.spare
	l.spare = nil
	return s
}

// trimCR removes the "\r" of a "\r\n" line end.
func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// endLine makes events of a whole line, or of what is left of one after splitLine.
func (l *LineWriter) endLine(line []byte, now int64) {
	continued := l.split
	if continued {
		now = l.splitAt
	}
	for len(line) > 0 {
		message, size := l.firstPart(line)
		line = line[size:]
		l.part(message, now, continued, len(line) == 0)
		continued = true
	}
	if !continued {
		l.part(nil, now, false, true)
	}
	l.split = false
}

// splitLine makes an event of the beginning of the unfinished line, which is longer than an event.
func (l *LineWriter) splitLine(now int64) {
	if l.split {
		now = l.splitAt
	}
	message, size := l.firstPart(l.line)
	l.part(message, now, l.split, false)
	l.line = append(l.takeSpare(), l.line[size:]...)
	l.split, l.splitAt = true, now
}

// firstPart returns the longest beginning of line that fits an event, made valid, and how many bytes of line it is.
func (l *LineWriter) firstPart(line []byte) (message []byte, size int) {
	end := min(len(line), MaxEventBytes)
	for end < len(line) && end > MaxEventBytes-utf8.UTFMax && !utf8.RuneStart(line[end]) {
		end--
	}
	if utf8.Valid(line[:end]) {
		return line[:end], end
	}
	from := len(l.text)
	for size < len(line) {
		r, n := utf8.DecodeRune(line[size:])
		if len(l.text)-from+utf8.RuneLen(r) > MaxEventBytes {
			break
		}
		l.text = utf8.AppendRune(l.text, r)
		size += n
	}
	return l.text[from:], size
}

// part takes one part of a line: all of it, save for lines longer than an event. continued says that it is not the first,
// last that the line ends with it.
func (l *LineWriter) part(message []byte, now int64, continued, last bool) {
	if l.start == nil {
		if len(message) > 0 {
			l.event(message, now)
		}
		return
	}
	size := len(message)
	newline := last && size < MaxEventBytes
	if newline {
		size++
	}
	if (!continued && l.start.Match(message)) || len(l.group)+size > MaxEventBytes {
		l.endGroup()
	}
	if len(l.group) == 0 {
		l.group, l.groupAt = nil, now
	}
	l.group = append(l.group, message...)
	if newline {
		l.group = append(l.group, '\n')
	}
}

// endGroup makes an event of the lines collected.
func (l *LineWriter) endGroup() {
	if len(l.group) > 0 {
		l.event(l.group, l.groupAt)
		l.group = nil
	}
}

func (l *LineWriter) event(message []byte, at int64) {
	l.events = append(l.events, lineEvent{at, message})
	l.size += len(message)
}
