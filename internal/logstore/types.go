// Package logstore keeps log output in append-only segment files and shows it as CloudWatch Logs does: events of
// streams of groups. Writers append records to segments of their own (the supervisor one set, the engine another), so
// that no two processes ever write one file; readers index what is there and never need a writer to be alive.
package logstore

// StreamKey names a log stream.
type StreamKey struct {
	Account, Region string
	Group, Stream   string
}

// Event is one log event: a line, or a chunk of one. Timestamp is when it was read or what PutLogEvents said, in
// milliseconds since the epoch. Message is valid UTF-8 without its line end, at most MaxEventBytes long.
type Event struct {
	Timestamp int64
	Message   string
}

// MaxEventBytes is the longest message of an event; longer lines are split (the CloudWatch Logs quota for an event,
// 256 KiB, less the 26 bytes that PutLogEvents counts for each event).
const MaxEventBytes = 256*1024 - 26
