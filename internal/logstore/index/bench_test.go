package index

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
)

// array fills a group with the output of an array job: one stream and one line for each child.
func array(b *testing.B, x *world, children int) {
	b.Helper()
	x.group("g")
	for i := range children {
		k := key("g", fmt.Sprintf("batchworker/default/%032x", i))
		x.check(x.w.OpenStream(k))
		x.check(x.w.Append(k, []logstore.Event{{Timestamp: x.now.UnixMilli() + int64(i/10),
			Message: fmt.Sprintf(`{"jobId": "5f3a9b1c-0000-4000-8000-%012d", "index": %d, "item": "item-%d", "message": "Hello!"}`, i, i, i)}}))
	}
}

func BenchmarkIndexArray(b *testing.B) {
	const children = 10_000
	x := newWorld(b, logstore.WriterOptions{})
	array(b, x, children)
	for b.Loop() {
		x.check(x.Reindex(b.Context()))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/children, "µs/stream")
}

func BenchmarkIndexLargeStream(b *testing.B) {
	x := newWorld(b, logstore.WriterOptions{})
	x.group("g")
	lines := strings.Repeat(strings.Repeat("x", 99)+"\n", 640)
	l := logstore.NewLineWriter(x.w, key("g", "s"), logstore.LineOptions{Now: x.opts.Now})
	const rounds = 2000
	for range rounds {
		_, err := l.Write([]byte(lines))
		x.check(err)
	}
	b.SetBytes(int64(len(lines)) * rounds)
	for b.Loop() {
		x.check(x.Reindex(b.Context()))
	}
}

func BenchmarkReads(b *testing.B) {
	const children = 10_000
	x := newWorld(b, logstore.WriterOptions{})
	array(b, x, children)
	big := make([]string, 200_000)
	for i := range big {
		big[i] = fmt.Sprintf("line %d of a long output, which goes on and on until it is about a hundred bytes long, as most are", i)
	}
	x.append("g", "zz-big", big...)
	x.check(x.CatchUp(b.Context()))
	ctx := b.Context()
	b.Run("a child's log", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			page, err := x.Events(ctx, key("g", fmt.Sprintf("batchworker/default/%032x", i%children)), EventQuery{Head: true})
			if err != nil || len(page.Events) != 1 {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("a page of 10,000 events of a large stream", func(b *testing.B) {
		for b.Loop() {
			page, err := x.Events(ctx, key("g", "zz-big"), EventQuery{})
			if err != nil || len(page.Events) < 5000 {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("a poll that finds nothing", func(b *testing.B) {
		page, err := x.Events(ctx, key("g", "zz-big"), EventQuery{})
		x.check(err)
		for b.Loop() {
			if _, err := x.Events(ctx, key("g", "zz-big"), EventQuery{Token: page.Forward}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("a search over 10,000 streams, first page", func(b *testing.B) {
		for b.Loop() {
			page, err := x.Search(ctx, here, "g", SearchQuery{Prefix: "batchworker/"})
			if err != nil || len(page.Events) < 5000 {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("a search over 10,000 streams for one line", func(b *testing.B) {
		for b.Loop() {
			page, err := x.Search(ctx, here, "g", SearchQuery{Match: func(m []byte) bool { return bytes.Contains(m, []byte(`"item-7777"`)) }})
			if err != nil || len(page.Events) != 1 {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("a tail of a search over 10,000 streams", func(b *testing.B) {
		from := x.now.Add(time.Second).UnixMilli()
		for b.Loop() {
			page, err := x.Search(ctx, here, "g", SearchQuery{Prefix: "batchworker/", From: &from})
			if err != nil || len(page.Events) != 0 {
				b.Fatal(len(page.Events), err)
			}
		}
	})
	b.Run("a page of 50 streams", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Streams(ctx, here, "g", StreamQuery{ByTime: true, Descending: true, Limit: 50}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put one event, not durable", func(b *testing.B) {
		x.check(x.CreateStream(ctx, key("g", "put")))
		e := []logstore.Event{{Timestamp: x.now.UnixMilli(), Message: "a message of no great length"}}
		for b.Loop() {
			x.check(x.Put(ctx, key("g", "put"), e))
		}
	})
}
