package supervisor

import (
	"fmt"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
)

// LogStore is the LogSink that appends to segments of the log store. It owns w. Events have the time of now; time.Now if
// nil.
func LogStore(w *logstore.Writer, now func() time.Time) LogSink { return logStore{w, now} }

type logStore struct {
	w   *logstore.Writer
	now func() time.Time
}

func (s logStore) Open(t runtime.LogTarget) (LogStream, error) {
	start, err := logstore.CompileMultiline(t.MultilinePattern, t.DatetimeFormat)
	if err != nil {
		return nil, fmt.Errorf("log options of stream %s: %w", t.Stream, err)
	}
	key := logstore.StreamKey{Account: t.Account, Region: t.Region, Group: t.Group, Stream: t.Stream}
	if err := s.w.OpenStream(key); err != nil {
		return nil, err
	}
	return logstore.NewLineWriter(s.w, key, logstore.LineOptions{Start: start, Now: s.now}), nil
}

func (s logStore) Sync() error  { return s.w.Sync() }
func (s logStore) Close() error { return s.w.Close() }
