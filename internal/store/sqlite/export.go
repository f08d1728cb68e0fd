package sqlite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/batchbox/batchbox/internal/batch"
)

// ExportLine is one line of an export; the members its Type does not have are left out.
type ExportLine struct {
	// Type is "store" (the first line), "resource", "document", "job", "child" or "event".
	Type string `json:"type"`
	// Version is that of the store's file.
	Version int64 `json:"version,omitempty"`

	*batch.Partition
	Kind string `json:"kind,omitempty"`
	Key  string `json:"key,omitempty"`

	Seq        int64  `json:"seq,omitempty"`
	Index      *int64 `json:"index,omitempty"`
	ID         string `json:"id,omitempty"`
	Queue      string `json:"queue,omitempty"`
	Name       string `json:"name,omitempty"`
	Definition string `json:"definition,omitempty"`
	Share      string `json:"share,omitempty"`
	Status     string `json:"status,omitempty"`
	CreatedAt  int64  `json:"createdAt,omitempty"` // ms
	StoppedAt  int64  `json:"stoppedAt,omitempty"` // ms
	Spec       Value  `json:"spec,omitempty"`
	State      Value  `json:"state,omitempty"`

	EventID int64 `json:"eventId,omitempty"`
	Time    int64 `json:"time,omitempty"` // ms
	Value   Value `json:"value,omitempty"`
}

// Value is a stored value: written as it is where it is JSON, as {"base64": ...} where it is not.
type Value []byte

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if json.Valid(v) && utf8.Valid(v) {
		return v, nil
	}
	return json.Marshal(struct {
		Base64 []byte `json:"base64"`
	}{v})
}

// Export writes everything in the store as JSON lines, from one snapshot: resources, documents, jobs each followed by its
// children, events. It holds what the store holds, the secrets of temporary credentials included.
func (db *DB) Export(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := db.read(ctx, func(c *conn) error {
		version, err := c.number("PRAGMA user_version")
		if err != nil {
			return err
		}
		if err := enc.Encode(ExportLine{Type: "store", Version: version}); err != nil {
			return err
		}
		e := exporter{ctx: ctx, c: c, enc: enc}
		for _, part := range []func() error{e.resources, e.documents, e.jobs, e.events} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

type exporter struct {
	ctx context.Context
	c   *conn
	enc *json.Encoder
}

// lines writes a line for every row of a query.
func (e *exporter) lines(line func(cur *cursor) ExportLine, query string, args ...any) error {
	return e.c.each(func(cur *cursor) (bool, error) {
		return true, firstOf(e.ctx.Err(), func() error { return e.enc.Encode(line(cur)) })
	}, query, args...)
}

func (e *exporter) keyed(typ string) func(cur *cursor) ExportLine {
	return func(cur *cursor) ExportLine {
		return ExportLine{
			Type: typ, Partition: &batch.Partition{Account: cur.text(0), Region: cur.text(1)},
			Kind: cur.text(2), Key: cur.text(3), Value: cur.blob(4),
		}
	}
}

func (e *exporter) resources() error {
	return e.lines(e.keyed("resource"), "SELECT account, region, kind, key, value FROM resources JOIN partitions USING (part) ORDER BY account, region, kind, key")
}

func (e *exporter) documents() error {
	return e.lines(e.keyed("document"), "SELECT account, region, kind, key, value FROM docs JOIN partitions USING (part) ORDER BY account, region, kind, key")
}

func (e *exporter) jobs() error {
	return e.c.each(func(cur *cursor) (bool, error) {
		j := jobOf(cur)
		if err := e.enc.Encode(ExportLine{
			Type: "job", Partition: &batch.Partition{Account: cur.text(jobColumnCount), Region: cur.text(jobColumnCount + 1)},
			Seq: j.Seq, ID: j.ID, Queue: j.Queue, Name: j.Name, Definition: j.Definition, Share: j.Share, Status: j.Status.String(),
			CreatedAt: j.CreatedAt, StoppedAt: j.StoppedAt, Spec: j.Spec, State: j.State,
		}); err != nil {
			return false, err
		}
		return true, e.lines(func(cur *cursor) ExportLine {
			ch, index := childOf(cur), cur.int(1)
			return ExportLine{Type: "child", Seq: ch.Seq, Index: &index, Status: ch.Status.String(), State: ch.State}
		}, "SELECT "+childColumns+" FROM children WHERE seq = ? ORDER BY idx", j.Seq)
	}, "SELECT "+jobColumns+", p.account, p.region FROM jobs j JOIN job_specs s ON s.seq = j.seq JOIN partitions p ON p.part = j.part ORDER BY j.seq")
}

func (e *exporter) events() error {
	return e.lines(func(cur *cursor) ExportLine {
		return ExportLine{
			Type: "event", EventID: cur.int(0), Partition: &batch.Partition{Account: cur.text(1), Region: cur.text(2)},
			Time: cur.int(3), Value: cur.blob(4),
		}
	}, "SELECT id, account, region, time, body FROM events JOIN partitions USING (part) ORDER BY id")
}
