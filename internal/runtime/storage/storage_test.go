package storage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var killed atomic.Int32
		var at []time.Duration
		w := New(Container{
			Name: "c", Limit: 1 << 30, Log: slog.New(slog.DiscardHandler),
			Measure: func(ctx context.Context) (uint64, error) {
				at = append(at, time.Since(began))
				switch len(at) {
				case 1:
					return 1 << 30, nil // as much as it may
				case 2:
					time.Sleep(time.Second) // there is much to count
					return 0, errors.New("not now")
				}
				return 1<<30 + 1, nil
			},
			Kill: func() error { killed.Add(1); return nil },
		})
		time.Sleep(time.Hour)
		if reason := w.Stop(); killed.Load() != 1 || !strings.Contains(reason, "ephemeral storage of 1 GiB") {
			t.Errorf("killed %d times, for %q", killed.Load(), reason)
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 53 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("measured at %v, want %v", at, want)
		}
	})
}

// What is under way when the container ends is cut short, and nothing is said of it.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(Container{
			Log: slog.New(slog.DiscardHandler), Kill: func() error { t.Error("killed"); return nil },
			Measure: func(ctx context.Context) (uint64, error) {
				<-ctx.Done()
				return 1, nil
			},
		})
		time.Sleep(time.Minute)
		if reason := w.Stop(); reason != "" {
			t.Errorf("reason %q", reason)
		}
		var none *Watch
		if none.Stop() != "" {
			t.Error("no watch has a reason")
		}
	})
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	got := Volumes(&runtime.Spec{Mounts: []runtime.Mount{
		{Source: "/host"}, {Volume: "a", Source: "/v/a"}, {Tmpfs: true}, {Volume: "a", Source: "/v/a", Target: "/again"}, {Volume: "b", Source: "/v/b"},
	}})
	if want := []string{"/v/a", "/v/b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
