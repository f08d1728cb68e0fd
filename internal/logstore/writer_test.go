package logstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(stream string) StreamKey {
	return StreamKey{Account: "111122223333", Region: "eu-west-1", Group: "/aws/batch/job", Stream: stream}
}

func openWriter(t testing.TB, dir, owner string, opts WriterOptions) *Writer {
	t.Helper()
	w, err := OpenWriter(dir, owner, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func appendAll(t testing.TB, w *Writer, k StreamKey, messages ...string) {
	t.Helper()
	events := make([]Event, len(messages))
	for i, m := range messages {
		events[i] = Event{Timestamp: 1000 + int64(i), Message: m}
	}
	if err := w.Append(k, events); err != nil {
		t.Fatal(err)
	}
}

// readAll reads every segment of dir: the messages of each stream in order, the segments in order of their names.
func readAll(t testing.TB, dir string) map[StreamKey][]Event {
	t.Helper()
	names, err := ListSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[StreamKey][]Event{}
	var buf ScanBuffer
	for _, name := range names {
		seg, err := OpenSegment(dir, name)
		if errors.Is(err, ErrNotSegment) {
			continue // its writer failed before the header
		}
		if err != nil {
			t.Fatal(err)
		}
		defined := map[int64]StreamKey{}
		_, err = seg.Scan(FirstRecord, -1, &buf, func(r *Record) error {
			if r.Definition != nil {
				defined[r.Offset] = r.Definition.Key
				return nil
			}
			k, ok := defined[r.Events.Definition]
			if !ok {
				t.Errorf("%s: record at %d refers to no definition", name, r.Offset)
			}
			n := 0
			r.Events.All(func(_ int, ts int64, m []byte) bool {
				got[k] = append(got[k], Event{ts, string(m)})
				n++
				return true
			})
			if n != r.Events.Count {
				t.Errorf("%s: record at %d has %d of %d events", name, r.Offset, n, r.Events.Count)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		seg.Close()
	}
	return got
}

func messagesOf(events []Event) []string {
	var m []string
	for _, e := range events {
		m = append(m, e.Message)
	}
	return m
}

func TestWriterKeepsEventsInOrderAcrossSegmentsAndWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := map[StreamKey][]Event{}
	for run := range 3 {
		w := openWriter(t, dir, "supervisor", WriterOptions{SegmentBytes: 4 << 10})
		for i := range 200 {
			k := key(fmt.Sprintf("s%d", i%7))
			e := []Event{{int64(i), fmt.Sprintf("run %d line %d", run, i)}, {int64(-i), strings.Repeat("é", i)}}
			if err := w.Append(k, e); err != nil {
				t.Fatal(err)
			}
			want[k] = append(want[k], e...)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, readAll(t, dir)); diff != "" {
		t.Error(diff)
	}
	if names, _ := ListSegments(dir); len(names) < 6 {
		t.Errorf("%d segments; three writers and a limit of 4 KiB should make more", len(names))
	}
}

func TestWriterSplitsLargeBatchesIntoRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "engine", WriterOptions{})
	big := strings.Repeat("x", MaxMessageBytes)
	var messages []string
	for range 5 {
		messages = append(messages, big, "small")
	}
	appendAll(t, w, key("s"), messages...)
	if diff := cmp.Diff(messages, messagesOf(readAll(t, dir)[key("s")])); diff != "" {
		t.Error("messages differ")
	}
	if err := w.Append(key("s"), []Event{{1, big + "x"}}); err == nil {
		t.Error("a message over the limit was taken")
	}
}

func TestWriterForgetsStreamsAndDefinesThemAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{})
	for round := range 2 {
		for i := range maxKnownStreams + 10 {
			appendAll(t, w, key(fmt.Sprint(i)), fmt.Sprint(round))
		}
	}
	got := readAll(t, dir)
	for i := range maxKnownStreams + 10 {
		if m := messagesOf(got[key(fmt.Sprint(i))]); !cmp.Equal(m, []string{"0", "1"}) {
			t.Fatalf("stream %d has %q", i, m)
		}
	}
}

func TestWriterBeginsNewSegmentWhenOldEnough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.UnixMilli(1_700_000_000_000)
	w := openWriter(t, dir, "supervisor", WriterOptions{SegmentAge: time.Hour, Now: func() time.Time { return now }})
	appendAll(t, w, key("s"), "a")
	now = now.Add(59 * time.Minute)
	appendAll(t, w, key("s"), "b")
	if names, _ := ListSegments(dir); len(names) != 1 {
		t.Fatalf("segments after 59 minutes: %v", names)
	}
	now = now.Add(time.Minute)
	appendAll(t, w, key("s"), "c")
	if names, _ := ListSegments(dir); len(names) != 2 {
		t.Fatalf("segments after an hour: %v", names)
	}
}

func TestWriterRefusesWhatItCanNotKeep(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"", "Supervisor", "a-b", "../x"} {
		if _, err := OpenWriter(t.TempDir(), owner, WriterOptions{}); err == nil {
			t.Errorf("owner %q was taken", owner)
		}
	}
	w := openWriter(t, t.TempDir(), "engine", WriterOptions{})
	if err := w.Append(StreamKey{Account: "1", Region: "r", Group: "g"}, []Event{{1, "m"}}); err == nil {
		t.Error("a stream without a name was taken")
	}
	if err := w.OpenStream(key(strings.Repeat("x", 10000))); err == nil {
		t.Error("a name of 10,000 bytes was taken")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(key("s"), []Event{{1, "m"}}); !errors.Is(err, errWriterClosed) {
		t.Errorf("append to a closed writer: %v", err)
	}
}

func TestTwoWritersOfOneOwnerUseDifferentSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := openWriter(t, dir, "supervisor", WriterOptions{}), openWriter(t, dir, "supervisor", WriterOptions{})
	for i := range 50 {
		appendAll(t, a, key("a"), fmt.Sprint("a", i))
		appendAll(t, b, key("b"), fmt.Sprint("b", i))
	}
	got := readAll(t, dir)
	if len(got[key("a")]) != 50 || len(got[key("b")]) != 50 {
		t.Errorf("a has %d events, b has %d; both should have 50", len(got[key("a")]), len(got[key("b")]))
	}
}

// TestTornTails cuts a segment at every offset: what is whole is read, the rest is not, and a writer that comes after
// appends.
func TestTornTails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{})
	var ends []int64 // ends[i] is where event i's record ends
	for i := range 6 {
		appendAll(t, w, key("s"), strings.Repeat("m", i+1))
		ends = append(ends, w.size)
	}
	name := SegmentName{"supervisor", 1}
	whole, err := os.ReadFile(filepath.Join(dir, name.String()))
	if err != nil {
		t.Fatal(err)
	}
	for cut := int64(headerLen); cut <= int64(len(whole)); cut++ {
		for _, tail := range []string{"", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x05\x00\x00\x00garbage and more"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name.String()), append(whole[:cut:cut], tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, end := range ends {
				if end <= cut {
					want = append(want, strings.Repeat("m", i+1))
				}
			}
			next := openWriter(t, dir, "supervisor", WriterOptions{disk: quickDisk{}})
			appendAll(t, next, key("s"), "after")
			if diff := cmp.Diff(append(want, "after"), messagesOf(readAll(t, dir)[key("s")])); diff != "" {
				t.Fatalf("cut at %d with tail %q: %s", cut, tail, diff)
			}
		}
	}
}

func TestDamagedRecordHidesOnlyItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{})
	appendAll(t, w, key("s"), "one")
	from := w.size
	appendAll(t, w, key("s"), "two")
	to := w.size
	appendAll(t, w, key("s"), "three")
	path := filepath.Join(dir, SegmentName{"supervisor", 1}.String())
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[to-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	seg, err := OpenSegment(dir, SegmentName{"supervisor", 1})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	var buf ScanBuffer
	at, err := seg.Scan(FirstRecord, -1, &buf, func(*Record) error { return nil })
	if at != from || !errors.Is(err, ErrDamaged) {
		t.Fatalf("Scan = %d, %v; want %d and ErrDamaged", at, err, from)
	}
	if next, ok := seg.SkipDamaged(at, &buf); next != to || !ok {
		t.Fatalf("SkipDamaged = %d, %v; want %d", next, ok, to)
	}
	if d, err := seg.DefinitionAt(FirstRecord, &buf); err != nil || d.Key != key("s") {
		t.Errorf("DefinitionAt = %+v, %v", d, err)
	}
	if _, err := seg.DefinitionAt(from, &buf); !errors.Is(err, ErrDamaged) {
		t.Errorf("DefinitionAt of an events record: %v", err)
	}
}

// TestWriterSurvivesFailingDisk lets each file operation fail in turn, before and after it took effect: what Append
// accepted is there once, what it refused is not, and when the disk works again so does the writer.
func TestWriterSurvivesFailingDisk(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"create", "write", "sync"} {
		for _, effect := range []bool{false, true} {
			for skip := range 6 {
				t.Run(fmt.Sprintf("%s/effect=%v/after=%d", op, effect, skip), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					disk := &faultyDisk{}
					w := openWriter(t, dir, "supervisor", WriterOptions{SegmentBytes: 150, disk: disk})
					n := 0
					failed := false
					disk.fail = func(o string) (error, bool) {
						if o != op || failed {
							return nil, true
						}
						if n++; n <= skip {
							return nil, true
						}
						failed = true
						return syscall.ENOSPC, effect
					}
					var want []string
					errs := 0
					for i := range 20 {
						m := fmt.Sprintf("message %d", i)
						err := w.Append(key("s"), []Event{{int64(i), m}})
						if err == nil {
							want = append(want, m)
							err = w.Sync()
						}
						if err != nil {
							errs++
							if !errors.Is(err, syscall.ENOSPC) {
								t.Fatal(err)
							}
						}
					}
					if !failed || errs != 1 {
						t.Fatalf("the fault was injected: %v; %d operations failed, want 1", failed, errs)
					}
					if err := w.Close(); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, messagesOf(readAll(t, dir)[key("s")])); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

func TestSyncIsShared(t *testing.T) {
	t.Parallel()
	disk := &faultyDisk{}
	w := openWriter(t, t.TempDir(), "supervisor", WriterOptions{disk: disk})
	syncs := 0 // a writer syncs once at a time
	entered, release := make(chan bool, 10), make(chan bool)
	disk.mu.Lock()
	disk.fail = func(op string) (error, bool) {
		if op == "sync" {
			syncs++
			entered <- true
			<-release
		}
		return nil, true
	}
	disk.mu.Unlock()
	appendAll(t, w, key("s"), "first")
	var wg sync.WaitGroup
	sync1 := func() {
		if err := w.Sync(); err != nil {
			t.Error(err)
		}
	}
	wg.Go(sync1)
	<-entered // the first fdatasync is under way and does not cover what comes now
	appendAll(t, w, key("s"), "second")
	for range 20 {
		wg.Go(sync1)
	}
	release <- true
	<-entered
	release <- true
	wg.Wait()
	if syncs != 2 {
		t.Errorf("%d fdatasyncs for 21 callers, want 2", syncs)
	}
	if err := w.Sync(); err != nil || syncs != 2 {
		t.Errorf("a sync with nothing new made %d fdatasyncs, err %v", syncs-2, err)
	}
	close(release)
}

func TestFailedSyncIsSharedToo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faultyDisk{}
		w := openWriter(t, dir, "supervisor", WriterOptions{disk: disk})
		appendAll(t, w, key("s"), "m")
		syncs, release, errs := 0, make(chan bool), make(chan error, 2)
		disk.fail = func(op string) (error, bool) {
			if op != "sync" {
				return nil, true
			}
			syncs++
			<-release
			return syscall.EIO, false
		}
		for range 2 {
			go func() { errs <- w.Sync() }()
			synctest.Wait()
		}
		close(release)
		for range 2 {
			if err := <-errs; !errors.Is(err, syscall.EIO) {
				t.Errorf("Sync = %v", err)
			}
		}
		if syncs != 1 {
			t.Errorf("%d fdatasyncs for two callers", syncs)
		}
		disk.fail = nil
		if err := w.Sync(); err != nil {
			t.Errorf("a sync when the disk works again: %v", err)
		}
	})
}

func TestWriterConcurrently(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{SegmentBytes: 8 << 10})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if err := w.Append(key(fmt.Sprint(g)), []Event{{int64(i), fmt.Sprint(i)}}); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					if err := w.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	got := readAll(t, dir)
	for g := range 8 {
		events := got[key(fmt.Sprint(g))]
		if len(events) != 100 {
			t.Fatalf("stream %d has %d events", g, len(events))
		}
		for i, e := range events {
			if e.Message != fmt.Sprint(i) {
				t.Fatalf("stream %d: event %d is %q", g, i, e.Message)
			}
		}
	}
}

func TestScanSeesWhatWasOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWriter(t, dir, "supervisor", WriterOptions{})
	appendAll(t, w, key("s"), "one")
	from := w.size
	appendAll(t, w, key("s"), "two")
	path := filepath.Join(dir, SegmentName{"supervisor", 1}.String())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seg, err := OpenSegment(dir, SegmentName{"supervisor", 1})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	var buf ScanBuffer
	for i, content := range [][]byte{append(whole[:from:from], make([]byte, int64(len(whole))-from)...), whole} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		end, _ := seg.Scan(FirstRecord, -1, &buf, func(*Record) error { return nil })
		if want := []int64{from, int64(len(whole))}[i]; end != want {
			t.Errorf("scan %d ended at %d, want %d", i, end, want)
		}
	}
}

func TestSegmentNames(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "x.seg", "supervisor-1.seg", "supervisor-00000000.seg", "-00000001.seg",
		"supervisor-00000001.tmp", "supervisor-99999999999.seg", "supervisor-+0000001.seg"} {
		if n, ok := ParseSegmentName(file); ok {
			t.Errorf("%q was read as %+v", file, n)
		}
	}
	for _, n := range []SegmentName{{"supervisor", 1}, {"engine", 123456789}, {"a-b", 4294967295}} {
		if got, ok := ParseSegmentName(n.String()); !ok || got != n {
			t.Errorf("%s was read as %+v, %v", n, got, ok)
		}
	}
}

func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	w := openWriter(f, dir, "engine", WriterOptions{Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }})
	if err := w.OpenStream(key("s")); err != nil {
		f.Fatal(err)
	}
	appendAll(f, w, key("s"), "one", "", "three")
	seed, err := os.ReadFile(filepath.Join(dir, SegmentName{"engine", 1}.String()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed[headerLen:])
	f.Add([]byte{5, 0, 0, 0, 0, 0, 0, 0, 'E', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, records []byte) {
		dir := t.TempDir()
		name := SegmentName{"engine", 1}
		file := append(appendHeader(nil, 1, 2), records...)
		// Half of the inputs get sums that are right, so that the payloads are looked at.
		if len(records) > 0 && records[len(records)-1]&1 == 0 && len(records) > recordHeaderLen {
			endRecord(file, headerLen)
		}
		if err := os.WriteFile(filepath.Join(dir, name.String()), file, 0o600); err != nil {
			t.Fatal(err)
		}
		seg, err := OpenSegment(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		defer seg.Close()
		var buf ScanBuffer
		off, err := seg.Scan(FirstRecord, -1, &buf, func(r *Record) error {
			if r.Events != nil {
				r.Events.All(func(int, int64, []byte) bool { return true })
			}
			return nil
		})
		if err == nil && off != int64(len(file)) || off > int64(len(file)) {
			t.Errorf("Scan = %d of %d, %v", off, len(file), err)
		}
		if err != nil {
			seg.SkipDamaged(off, &buf)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{40, 1000} {
		b.Run(fmt.Sprintf("one event of %d bytes", size), func(b *testing.B) {
			w := openWriter(b, b.TempDir(), "supervisor", WriterOptions{})
			e := []Event{{1_700_000_000_000, strings.Repeat("x", size)}}
			k := key("s")
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Append(k, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("one event, without the file", func(b *testing.B) {
		w := openWriter(b, b.TempDir(), "supervisor", WriterOptions{disk: nullDisk{}})
		e := []Event{{1_700_000_000_000, strings.Repeat("x", 40)}}
		k := key("s")
		b.ReportAllocs()
		for b.Loop() {
			if err := w.Append(k, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("a new stream and one event", func(b *testing.B) {
		w := openWriter(b, b.TempDir(), "supervisor", WriterOptions{})
		e := []Event{{1_700_000_000_000, strings.Repeat("x", 40)}}
		i := 0
		for b.Loop() {
			k := key(fmt.Sprint("job-definition/default/", i))
			i++
			if err := w.Append(k, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
