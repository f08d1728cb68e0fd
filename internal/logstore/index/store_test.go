package index

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

func TestMain(m *testing.M) {
	// A run of the property test takes a tenth of a second; -rapid.checks asks for more of them.
	if err := flag.Set("rapid.checks", "5"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var here = batch.Partition{Account: "111122223333", Region: "eu-west-1"}

func key(group, stream string) logstore.StreamKey {
	return logstore.StreamKey{Account: here.Account, Region: here.Region, Group: group, Stream: stream}
}

// world is a directory with a Store and a supervisor's Writer on it.
type world struct {
	t     testing.TB
	dir   string
	docs  store.Docs
	now   time.Time
	opts  logstore.WriterOptions
	files fsys.FS      // as Options'
	log   bytes.Buffer // what Open said at least as a warning; later warnings come from several goroutines
	*Store
	w *logstore.Writer
}

func newWorld(t testing.TB, opts logstore.WriterOptions) *world {
	t.Helper()
	x := &world{t: t, dir: t.TempDir(), docs: memory.New(), now: time.UnixMilli(1_700_000_000_000)}
	x.opts = opts
	x.opts.Ephemeral = true
	x.opts.Now = func() time.Time { return x.now }
	x.open()
	x.newWriter()
	t.Cleanup(func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) })
	return x
}

func (x *world) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *world) open() {
	x.t.Helper()
	s, err := Open(x.t.Context(), x.dir, x.options())
	x.check(err)
	x.Store = s
}

func (x *world) options() Options {
	x.log.Reset()
	logger := slog.New(slog.NewTextHandler(&x.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return Options{Docs: x.docs, Logger: logger, Now: x.opts.Now, Ephemeral: x.opts.Ephemeral, writer: x.opts, files: x.files}
}

func (x *world) reopen() {
	x.t.Helper()
	x.check(x.Store.Close())
	x.open()
}

func (x *world) newWriter() {
	x.t.Helper()
	if x.w != nil {
		x.check(x.w.Close())
	}
	w, err := logstore.OpenWriter(x.dir, "supervisor", x.opts)
	x.check(err)
	x.w = w
}

func (x *world) group(name string) {
	x.t.Helper()
	x.check(x.EnsureGroup(x.t.Context(), here.Account, here.Region, name))
}

// append appends to a stream as the supervisor does, with the clock's time.
func (x *world) append(group, stream string, messages ...string) {
	x.t.Helper()
	var events []logstore.Event
	for _, m := range messages {
		events = append(events, logstore.Event{Timestamp: x.now.UnixMilli(), Message: m})
	}
	x.check(x.w.Append(key(group, stream), events))
}

// all reads a stream from its beginning with pages of n events.
func (x *world) all(group, stream string, n int) []string {
	x.t.Helper()
	var messages []string
	for token := ""; ; {
		page, err := x.Events(x.t.Context(), key(group, stream), EventQuery{Head: true, Limit: n, Token: token})
		x.check(err)
		for _, e := range page.Events {
			messages = append(messages, e.Message)
		}
		if page.Forward == token {
			return messages
		}
		token = page.Forward
	}
}

// find searches a group to the end and returns "stream: message" lines.
func (x *world) find(group string, q SearchQuery) []string {
	x.t.Helper()
	var lines []string
	ids := map[string]bool{}
	for {
		page, err := x.Search(x.t.Context(), here, group, q)
		x.check(err)
		for _, e := range page.Events {
			lines = append(lines, e.Stream+": "+e.Message)
			if ids[e.ID] {
				x.t.Errorf("event id %s came twice", e.ID)
			}
			ids[e.ID] = true
		}
		if q.Token = page.Next; q.Token == "" {
			return lines
		}
	}
}

func (x *world) names(group string, q StreamQuery) []string {
	x.t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	streams, err := x.Streams(x.t.Context(), here, group, q)
	x.check(err)
	var names []string
	for _, s := range streams {
		names = append(names, s.Name)
	}
	return names
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestOutputAppearsAsItIsWritten(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	if err := x.StreamExists(t.Context(), key("g", "s")); !errors.Is(err, ErrNoStream) {
		t.Fatalf("StreamExists = %v", err)
	}
	x.check(x.w.OpenStream(key("g", "s")))
	equal(t, "streams after OpenStream", x.names("g", StreamQuery{}), []string{"s"})
	equal(t, "events", x.all("g", "s", 0), nil)
	x.append("g", "s", "one", "two")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
	x.append("g", "s", "three")
	equal(t, "events", x.all("g", "s", 1), []string{"one", "two", "three"})
	equal(t, "found", x.find("g", SearchQuery{}), []string{"s: one", "s: two", "s: three"})
}

func TestStreamDefinedAgainInTheSameBlock(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	var want, lines []string
	for i := range 4 {
		x.check(x.w.OpenStream(key("g", "s")))
		x.append("g", "s", fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
		lines = append(lines, "s: "+fmt.Sprint(i))
	}
	equal(t, "events", x.all("g", "s", 0), want)
	equal(t, "found", x.find("g", SearchQuery{}), lines)
}

func TestTwoWritersInOneStream(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.check(x.CreateStream(t.Context(), key("g", "s")))
	var want []string
	poller := newPoller(x, "g", "s")
	for i := range 30 {
		m := fmt.Sprint(i)
		if i%3 == 0 {
			x.check(x.Put(t.Context(), key("g", "s"), []logstore.Event{{Timestamp: x.now.UnixMilli(), Message: m}}))
		} else {
			x.append("g", "s", m)
		}
		want = append(want, m)
		if i%2 == 0 {
			poller.poll()
		}
	}
	poller.poll()
	equal(t, "polled", poller.seen, want)
	equal(t, "read at once", x.all("g", "s", 4), want)
}

func TestDamagedIndexIsMadeAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := map[string]func(x *world){
		"missing": func(x *world) { x.check(removeDatabase(fsys.OS, x.dir)) },
		"no SQLite": func(x *world) {
			x.check(os.WriteFile(filepath.Join(x.dir, indexFile), []byte(strings.Repeat("no index", 1000)), 0o600))
		},
		"of another version": func(x *world) {
			c, err := connect(ctx, filepath.Join(x.dir, indexFile), durable)
			x.check(err)
			x.check(errors.Join(c.script(ctx, "DROP TABLE chunks; PRAGMA user_version=99"), c.close()))
		},
		"holes in the middle": func(x *world) {
			f, err := os.OpenFile(filepath.Join(x.dir, indexFile), os.O_RDWR, 0)
			x.check(err)
			fi, err := f.Stat()
			x.check(err)
			for off := int64(4096); off < fi.Size(); off += 4096 {
				_, err := f.WriteAt([]byte(strings.Repeat("\xff", 4096)), off)
				x.check(err)
			}
			x.check(f.Close())
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newWorld(t, logstore.WriterOptions{})
			x.group("g")
			var want []string
			for i := range 300 {
				x.append("g", fmt.Sprint("s", i%50), fmt.Sprint(i))
				want = append(want, fmt.Sprintf("s%d: %d", i%50, i))
			}
			x.check(x.CatchUp(ctx))
			x.check(x.Store.Close())
			damage(x)
			x.open()
			if said := x.log.String(); (said == "") != (name == "missing") {
				t.Errorf("it says %q", said)
			}
			equal(t, "found", x.find("g", SearchQuery{}), want)
			equal(t, "a stream", x.all("g", "s7", 0), []string{"7", "57", "107", "157", "207", "257"})
		})
	}
}

func TestSegmentCutShortAfterItWasIndexed(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "one")
	path := filepath.Join(x.dir, logstore.SegmentName{Owner: "supervisor", N: 1}.String())
	fi, err := os.Stat(path)
	x.check(err)
	x.append("g", "s", "two")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
	x.check(os.Truncate(path, fi.Size()))
	equal(t, "events after a power cut took the second", x.all("g", "s", 0), []string{"one"})
	bytes, err := x.StoredBytes(t.Context(), here, "g")
	x.check(err)
	equal(t, "stored bytes", bytes, 3)
	x.newWriter()
	x.append("g", "s", "three")
	equal(t, "events", x.all("g", "s", 0), []string{"one", "three"})
}

// TestSegmentMadeInTheSameTick has a segment appear without a change of the directory's time.
func TestSegmentMadeInTheSameTick(t *testing.T) {
	t.Parallel()
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	x.append("g", "s", "one")
	equal(t, "events", x.all("g", "s", 0), []string{"one"})
	fi, err := os.Stat(x.dir)
	x.check(err)
	x.newWriter()
	x.append("g", "s", "two")
	x.check(os.Chtimes(x.dir, fi.ModTime(), fi.ModTime()))
	equal(t, "events", x.all("g", "s", 0), []string{"one", "two"})
}

func TestPokeIndexesInTheBackground(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		x := &world{t: t, dir: dir, docs: memory.New()}
		x.opts.Now = time.Now
		x.open()
		x.newWriter()
		defer func() { x.check(errors.Join(x.Store.Close(), x.w.Close())) }()
		x.now = time.Now()
		x.group("g")
		indexed := func() int64 {
			synctest.Wait()
			x.indexing.Lock()
			defer x.indexing.Unlock()
			return x.state.appended
		}
		x.append("g", "s", "m")
		x.Poke()
		equal(t, "records indexed after a poke", indexed(), 2)
		x.append("g", "s", "m")
		equal(t, "records indexed at once", indexed(), 2)
		time.Sleep(backgroundInterval)
		equal(t, "records indexed after a second", indexed(), 3)
		time.Sleep(2 * backgroundInterval) // it finds nothing and goes to sleep
		x.append("g", "s", "m")
		time.Sleep(time.Hour)
		equal(t, "records indexed without a poke", indexed(), 3)
		x.Poke()
		equal(t, "records indexed after another poke", indexed(), 4)
	})
}
