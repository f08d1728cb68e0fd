package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/logstore/index"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// RetentionConfig bounds what is kept of jobs that have ended. What is not final, and the output of what runs, is never
// removed. AWS keeps finished jobs for at least seven days, and output for ever unless the log group says otherwise.
type RetentionConfig struct {
	// Jobs is how long finished jobs are kept; 0 for as long as there is room.
	Jobs time.Duration
	// JobBytes is how much the store may hold before finished jobs go, those submitted first; 0 is DefaultJobBytes, less
	// than 0 no bound.
	JobBytes int64
	// Logs is how long output is kept after it was written, as whole segments of up to a day; 0 for as long as there is
	// room. What a log group's retentionInDays excludes is not shown from that time on, and removed as soon as nothing else
	// is in its segment.
	Logs time.Duration
	// LogBytes is how much output is kept before the oldest goes; 0 is DefaultLogBytes, less than 0 no bound.
	LogBytes int64
	// ImageBytes is how much unpacked images may come to before those used longest ago go, never one that a container runs
	// from; 0 is DefaultImageBytes, less than 0 no bound. A Docker daemon keeps as much of what was loaded into it.
	ImageBytes int64
	// Interval is how often what is too much is removed; 0 is ten minutes.
	Interval time.Duration
}

// The bounds without others: far beyond what tests and demonstrations make, and within what a disk has.
const (
	DefaultJobBytes   = 4 << 30
	DefaultLogBytes   = 16 << 30
	DefaultImageBytes = 40 << 30
)

const retentionInterval = 10 * time.Minute

func (c *RetentionConfig) setDefaults() error {
	for name, d := range map[string]time.Duration{"finished jobs": c.Jobs, "logs": c.Logs, "an interval": c.Interval} {
		if d < 0 {
			return fmt.Errorf("retention: %s of %v is negative", name, d)
		}
	}
	if c.JobBytes == 0 {
		c.JobBytes = DefaultJobBytes
	}
	if c.LogBytes == 0 {
		c.LogBytes = DefaultLogBytes
	}
	if c.ImageBytes == 0 {
		c.ImageBytes = DefaultImageBytes
	}
	if c.Interval == 0 {
		c.Interval = retentionInterval
	}
	return nil
}

// runRetention removes what is kept too long or takes too much room, until ctx is done.
func (s *Server) runRetention(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Retention.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := errors.Join(s.prune(ctx, s.clock.Now()), s.collectImages(ctx))
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("removing what is kept too long", "error", err)
		}
	}
}

// prune removes what is too much at a time.
func (s *Server) prune(ctx context.Context, now time.Time) error {
	r := s.cfg.Retention
	jobs, err := s.db.Prune(ctx, now, sqlite.Retention{JobAge: r.Jobs, Bytes: max(r.JobBytes, 0)})
	if jobs.Jobs > 0 {
		s.cfg.Logger.Info("removed finished jobs", "jobs", jobs.Jobs)
	}
	if err != nil {
		return err
	}
	running, err := s.runningStreams(ctx)
	if err != nil {
		return nil //nolint:nilerr // it can always be looked at, but by an engine that stops
	}
	o := index.PruneOptions{MaxBytes: max(r.LogBytes, 0), Running: running}
	if r.Logs > 0 {
		o.OlderThan = now.Add(-r.Logs)
	}
	logs, err := s.logs.Prune(ctx, o)
	if logs.Segments > 0 {
		s.cfg.Logger.Info("removed old logs", "segments", logs.Segments, "bytes", logs.Bytes)
	}
	return err
}

// collectImages removes images that are too much. While containers run on that an earlier engine started, nobody here knows
// from which images; then none is removed.
func (s *Server) collectImages(ctx context.Context) error {
	max := s.cfg.Retention.ImageBytes
	if max < 0 || s.launcher.Inherited() > 0 {
		return nil
	}
	_, err := s.images.Collect(ctx, max, func(string) bool { return false })
	return err
}

// runningStreams are the log streams of everything that runs. What begins meanwhile writes to segments that are not
// removed: nothing else than the newest is written to.
func (s *Server) runningStreams(ctx context.Context) ([]logstore.StreamKey, error) {
	tasks, err := s.engine.UnderWay(ctx)
	if err != nil {
		return nil, err
	}
	var keys []logstore.StreamKey
	for _, t := range tasks {
		for i := range min(len(t.Task.Containers), len(t.Record.Containers)) {
			if to := launcher.LogTarget(t.Partition, &t.Task.Containers[i], t.Record.Containers[i].LogStream); to != nil {
				keys = append(keys, logstore.StreamKey{Account: to.Account, Region: to.Region, Group: to.Group, Stream: to.Stream})
			}
		}
	}
	return keys, nil
}
