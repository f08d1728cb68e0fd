package supervisor

import "github.com/batchbox/batchbox/internal/runtime"

// LogSink takes the output of containers. It is safe for concurrent use.
type LogSink interface {
	// Open prepares the stream that target names; it exists from then on, empty. An error fails the container's start with
	// a ResourceInitializationError.
	Open(target runtime.LogTarget) (LogStream, error)
	// Sync makes durable what was written to any stream before the call. Callers at the same time share the work.
	Sync() error
	Close() error
}

// LogStream takes one container's output as the bytes come. It is used by one goroutine at a time.
type LogStream interface {
	// Write takes p as the next bytes. When it fails, n bytes have been taken; Write(p[n:]) goes on when the cause is gone.
	Write(p []byte) (n int, err error)
	// Close ends the stream, the last line with it if it has no end. When it fails it may be called again.
	Close() error
}
