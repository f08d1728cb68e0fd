package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store/memory"
)

// TestFaults fails each removal of the log store's files: what is kept can be read all the while, what was pruned is not seen
// again and goes at the next try, under this engine and the next, and a damaged index is made again.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, nextEngine := range []bool{false, true} {
		t.Run(fmt.Sprint("next engine ", nextEngine), func(t *testing.T) {
			t.Parallel()
			fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
				x := &world{t: t, dir: t.TempDir(), docs: memory.New(), now: time.UnixMilli(1_700_000_000_000), files: files}
				x.opts = logstore.WriterOptions{SegmentBytes: 1000, Ephemeral: true, Now: func() time.Time { return x.now }}
				// fails is a fault's error, which must name the file.
				fails := func(what string, err error) {
					t.Helper()
					if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), x.dir) {
						t.Errorf("%s: %v, want the error and the file", what, err)
					}
				}
				open := func() {
					t.Helper()
					s, err := Open(t.Context(), x.dir, x.options())
					if err != nil {
						fails("Open", err)
						s, err = Open(t.Context(), x.dir, x.options())
						x.check(err)
					}
					x.Store = s
				}
				open()
				x.newWriter()
				t.Cleanup(func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) })
				x.group("g")
				var want []string
				for i := range 4 {
					want = append(want, strings.Repeat(fmt.Sprint(i), 1000))
					x.append("g", "s", want[i]) // each in a segment of its own
				}
				x.check(x.w.Sync()) // closes those that are full
				segments := func() int {
					t.Helper()
					names, err := logstore.ListSegments(x.dir)
					x.check(err)
					return len(names)
				}
				const kept = 2
				prune := func() error {
					_, err := x.Prune(t.Context(), PruneOptions{MaxBytes: 2500})
					return err
				}
				for err := prune(); err != nil; err = prune() {
					fails("Prune", err)
					got := x.all("g", "s", 0)
					if n := len(got); n < kept || n >= len(want) {
						t.Errorf("after a prune that failed %d of %d events are there", n, len(want))
					}
					equal(t, "events after a prune that failed", brief(got), brief(want[max(0, len(want)-len(got)):]))
					x.append("g", "other", "more") // the indexer goes on
					equal(t, "events of another stream", brief(x.all("g", "other", 0)), []string{"more"})
					if nextEngine {
						x.check(x.Close())
						open()
					}
				}
				equal(t, "events", brief(x.all("g", "s", 0)), brief(want[len(want)-kept:]))
				if n := segments(); n > kept+1 {
					t.Errorf("%d segments are left", n)
				}

				x.check(x.Store.Close())
				x.check(os.WriteFile(filepath.Join(x.dir, indexFile), []byte(strings.Repeat("no index", 1000)), 0o600))
				open()
				equal(t, "events, indexed again", brief(x.all("g", "s", 0)), brief(want[len(want)-kept:]))
			})
		})
	}
}
