package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/testenv"
)

// TestDiskFull fills a small file system: what was accepted is there once, what was refused is not, a container's output
// waits, and everything goes on when there is space again.
func TestDiskFull(t *testing.T) {
	testenv.Require(t, testenv.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1500k"); err != nil {
		t.Skipf("needs to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	x := &world{t: t, dir: filepath.Join(dir, "logs"), docs: memory.New(), now: time.UnixMilli(1_700_000_000_000)}
	x.opts = logstore.WriterOptions{SegmentBytes: 50_000, Now: func() time.Time { return x.now }}
	x.open()
	x.newWriter()
	t.Cleanup(func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) })
	x.group("g")
	x.check(x.CreateStream(t.Context(), key("g", "put")))
	lines := logstore.NewLineWriter(x.w, key("g", "out"), logstore.LineOptions{Now: x.opts.Now})
	write := func(i int) []byte { return fmt.Appendf(nil, "line %d %s\n", i, strings.Repeat("x", 2000)) }
	var out, put []string
	var rest []byte
	i := 0
	for ; len(rest) == 0; i++ {
		m := fmt.Sprintf("%d %s", i, strings.Repeat("y", 500))
		if err := x.Put(t.Context(), key("g", "put"), []logstore.Event{{Timestamp: 1, Message: m}}); err == nil {
			put = append(put, m)
		} else if !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		p := write(i)
		out = append(out, strings.TrimSuffix(string(p), "\n"))
		n, err := lines.Write(p)
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		rest = p[n:]
	}
	for range 3 { // the disk stays full for a while
		n, err := lines.Write(rest)
		if rest = rest[n:]; err == nil {
			t.Fatal("the disk is not full")
		}
		if err := x.Put(t.Context(), key("g", "put"), []logstore.Event{{Timestamp: 1, Message: strings.Repeat("z", 100_000)}}); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("putting to a full disk: %v", err)
		}
	}
	x.check(unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=8m"))
	_, err := lines.Write(rest)
	x.check(err)
	x.check(lines.Close())
	x.check(x.Put(t.Context(), key("g", "put"), []logstore.Event{{Timestamp: 1, Message: "after"}}))
	equal(t, "output", brief(x.all("g", "out", 0)), brief(out))
	equal(t, "events put", brief(x.all("g", "put", 0)), brief(append(put, "after")))
	x.check(x.Reindex(t.Context()))
	equal(t, "output, indexed again", brief(x.all("g", "out", 0)), brief(out))
	if names, err := os.ReadDir(x.dir); err != nil || len(names) < 5 {
		t.Errorf("files: %v, %v; the disk was not filled by several segments", names, err)
	}
}
