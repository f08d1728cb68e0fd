// Package logstore keeps log output in append-only segment files: a Writer appends the events of log streams to segments
// of its own (the supervisor one set, the engine another), so that no two processes ever write one file; a LineWriter
// makes events of a container's output; a Segment is read without any writer being alive. What the segments hold is
// found again by internal/logstore/index, which shows it as CloudWatch Logs does.
//
// A segment is a header and a run of records, each framed by its length and a CRC-32C. A definition record names a
// stream; an events record carries events of one stream and refers to the definition by its offset in the same segment,
// so a segment needs nothing beside itself to be understood. A crash can leave an unfinished record at the end of a
// segment; it fails its check and ends the segment there. Nothing is appended behind it: a new Writer begins a new
// segment.
package logstore

// StreamKey names a log stream.
type StreamKey struct {
	Account, Region string
	Group, Stream   string
}

// Event is one log event: a line, a part of a long one, or several lines that belong together. Timestamp is when it was
// read or what PutLogEvents said, in milliseconds since the epoch. Message is valid UTF-8. One made of a container's
// output has no line end and at most MaxEventBytes bytes, except that events of several lines (the awslogs options
// awslogs-multiline-pattern and awslogs-datetime-format) keep the newline after each line, as the awslogs driver does.
type Event struct {
	Timestamp int64
	Message   string
}

// MaxEventBytes is the longest message made of a container's output; longer lines are split. It is what the awslogs
// driver of Docker and of Fargate uses: 256 KiB less the 26 bytes that PutLogEvents counts for each event.
const MaxEventBytes = 256*1024 - 26

// MaxMessageBytes is the longest message a segment holds. It is above the most that fits one PutLogEvents request
// (1,048,576 bytes, API reference, PutLogEvents).
const MaxMessageBytes = 1 << 20
