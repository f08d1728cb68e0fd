package events

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

const jobID = "1f0a3c5e-0000-4000-8000-000000000001"

// fill sets every exported field of a value to something that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text \"quoted\" <é>")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	default:
		panic("a kind this test does not know: " + v.Kind().String())
	}
}

func view(id string, index, node int, status batch.Status) engine.JobView {
	return engine.JobView{
		Partition: batch.Partition{Account: "111122223333", Region: "eu-west-1"}, ID: id, Index: index, Node: node,
		Spec: &batch.Spec{Queue: "q"}, Status: status, WorkState: engine.WorkState{CreatedAt: 5},
	}
}

// roundTrip encodes notices and decodes them again, and compares the events with those that the notices stand for.
func roundTrip(t *testing.T, notices []engine.Notice) []engine.EventRecord {
	t.Helper()
	rows, last, err := encode(notices, 40)
	if err != nil {
		t.Fatal(err)
	}
	var want []Event
	for i := range notices {
		n := &notices[i]
		for v := range n.Views() {
			e := Event{ID: 41 + int64(len(want)), At: n.At, Queue: v.Spec.Queue, View: v, Blocked: n.Blocked}
			e.View.Spec, e.View.Seq = nil, 0
			want = append(want, e)
		}
	}
	if last != 40+int64(len(want)) {
		t.Errorf("the last position is %d after %d events", last, len(want))
	}
	var got []Event
	position := int64(40)
	for i := range rows {
		if first, err := firstID(&rows[i]); err != nil || first != position+1 {
			t.Errorf("row %d begins at %d, error %v; want %d", i, first, err, position+1)
		}
		if err := decode(&rows[i], func(e *Event) bool { got = append(got, *e); return true }); err != nil {
			t.Fatal(err)
		}
		position = rows[i].ID
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	return rows
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	full := view(jobID, -1, -1, batch.Failed)
	fill(reflect.ValueOf(&full.WorkState).Elem())
	full.Summary = &[batch.NumStatuses]int{0, 1, 2, 3, 4, 5, 6, 7}
	full.SummaryAt = 99
	other := view(jobID[:35]+"2", -1, 3, batch.Running)
	other.ID = batch.NodeID(other.ID, 3)
	other.Spec.Queue = "other"
	away := view(jobID, -1, -1, batch.Running)
	away.Partition.Region = "us-east-1"
	roundTrip(t, []engine.Notice{
		{View: full, Last: -1, At: 10},
		{View: view(batch.ArrayChildID(jobID, 0), 0, -1, batch.Runnable), Last: 41, At: 10},
		{View: view(batch.ArrayChildID(jobID, 2), 2, -1, batch.Starting), Last: 2, At: 11, Blocked: true},
		{View: other, Last: -1, At: 11},
		{View: away, Last: -1, At: 12},
		{View: full, Last: -1, At: 12},
	})
}

func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	var notices []engine.Notice
	for i := range 1000 {
		notices = append(notices, engine.Notice{View: view(batch.ArrayChildID(jobID, 2*i), 2*i, -1, batch.Running), Last: 2 * i, At: 3})
	}
	if rows := roundTrip(t, notices); len(rows) != 4 {
		t.Errorf("%d rows for 1,000 changes", len(rows))
	}
}

func TestDecodeStopsWhenTold(t *testing.T) {
	t.Parallel()
	rows, _, err := encode([]engine.Notice{{View: view(batch.ArrayChildID(jobID, 0), 0, -1, batch.Runnable), Last: 9}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := decode(&rows[0], func(*Event) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("%d events, error %v", n, err)
	}
}

func FuzzDecode(f *testing.F) {
	rows, _, err := encode([]engine.Notice{
		{View: view(batch.ArrayChildID(jobID, 0), 0, -1, batch.Runnable), Last: 9, At: 4}, {View: view(jobID, -1, -1, batch.Failed), Last: -1, At: 4},
	}, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rows[0].Body)
	for _, s := range []string{`[]`, `[{"s":3,"w":{}}]`, `[{"i":-5,"l":2,"s":99,"w":{}}]`, `[{"s":1}]`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		_ = decode(&engine.EventRecord{ID: 100, Body: body}, func(e *Event) bool {
			_ = fmt.Sprint(e.View.Status, e.View.ParentID())
			n++
			return n < 10000
		})
	})
}

// BenchmarkRecord is what the journal adds to a commit of 64 children that became RUNNING.
func BenchmarkRecord(b *testing.B) {
	var notices []engine.Notice
	for i := range 64 {
		v := view(batch.ArrayChildID(jobID, i*2), i*2, -1, batch.Running)
		v.RunnableAt, v.StartedAt = 1_700_000_000_000, 1_700_000_000_000
		v.Current = &engine.Attempt{
			ComputeEnvironment: "ce", Cluster: "AWSBatch-ce-1f0a3c5e-0000-4000-8000-000000000001", TaskID: "332089cce2794bfeb27186563687041f",
			StartedAt: 1_700_000_000_000, Containers: []engine.ContainerResult{{LogStream: "jd/default/332089cce2794bfeb27186563687041f"}},
		}
		notices = append(notices, engine.Notice{View: v, Last: i * 2, At: 1_700_000_000_000})
	}
	size := 0
	for b.Loop() {
		rows, _, err := encode(notices, 0)
		if err != nil {
			b.Fatal(err)
		}
		size = len(rows[0].Body)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/event")
	b.ReportMetric(float64(size)/64, "bytes/event")
}
