package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// expectation is what the children of a job with some input have to print. It is written without the worker package on
// purpose: the two check each other.
type expectation struct {
	message string
	items   []json.RawMessage
	from    int  // of a range
	ranged  bool // items is empty, and item n is the number from+n
	total   int
	size    int // children, 0 for a single job
}

func expect(input string, size int) (*expectation, error) {
	var in struct {
		Message string            `json:"message"`
		Items   []json.RawMessage `json:"items"`
		Range   *struct {
			From, To int
		} `json:"range"`
	}
	err := json.Unmarshal([]byte(input), &in)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return nil, fmt.Errorf("%q can't be of type %s", wrong.Field, wrong.Value)
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("it has to be a JSON object, and is of type %s", wrong.Value)
	case err != nil:
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	e := &expectation{message: in.Message, items: in.Items, total: len(in.Items), size: size}
	switch {
	case in.Items != nil && in.Range != nil:
		return nil, errors.New(`"items" and "range" exclude each other`)
	case in.Range != nil:
		e.ranged, e.from, e.total = true, in.Range.From, in.Range.To-in.Range.From+1
	}
	if e.total < 1 {
		return nil, errors.New(`no items: give "items", a list, or "range", {"from": 0, "to": 9999}`)
	}
	if e.total < size {
		return nil, fmt.Errorf("%d items do not suffice for %d children", e.total, size)
	}
	return e, nil
}

// share is the half-open interval of items of child index: one each, or even slices, the first ones longer by one.
func (e *expectation) share(index int) (lo, hi int) {
	if e.size == 0 {
		return 0, e.total
	}
	cut := func(i int) int { return i*(e.total/e.size) + min(i, e.total%e.size) }
	return cut(index), cut(index + 1)
}

func (e *expectation) item(n int) any {
	if e.ranged {
		return json.Number(fmt.Sprint(e.from + n))
	}
	v, err := decodeAny(e.items[n])
	if err != nil {
		return err // equal to no item
	}
	return v
}

// output is the JSON object a child prints.
type output struct {
	JobID      string          `json:"jobId"`
	ArrayIndex *int            `json:"arrayIndex"`
	Message    string          `json:"message"`
	Item       json.RawMessage `json:"item"`
	Items      json.RawMessage `json:"items"`
	Range      *struct {
		From, To json.RawMessage
	} `json:"range"`
	Host string `json:"host"`
}

// differences says in what a child's output is not what it has to be. index is -1 for a single job.
func (e *expectation) differences(out *output, id string, index int) []string {
	var diffs []string
	differ := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	if out.JobID != id {
		differ("result is of job %s", out.JobID)
	}
	switch {
	case index < 0 && out.ArrayIndex != nil:
		differ("result has index %d, but the job is no array", *out.ArrayIndex)
	case index >= 0 && out.ArrayIndex == nil:
		differ("result has no index")
	case index >= 0 && *out.ArrayIndex != index:
		differ("result has index %d", *out.ArrayIndex)
	}
	if out.Message != e.message {
		differ("message is %q, not %q", out.Message, e.message)
	}
	lo, hi := e.share(max(index, 0))
	want, got := e.shareOf(lo, hi), out.share()
	if !reflect.DeepEqual(want, got) {
		differ("item is %s, not %s", text(got), text(want))
	}
	return diffs
}

// shareOf is the share in the form the workload prints it: an item, a list, or the ends of a range.
func (e *expectation) shareOf(lo, hi int) map[string]any {
	switch {
	case hi-lo == 1:
		return map[string]any{"item": e.item(lo)}
	case e.ranged:
		return map[string]any{"from": e.item(lo), "to": e.item(hi - 1)}
	}
	items := make([]any, 0, hi-lo)
	for n := lo; n < hi; n++ {
		items = append(items, e.item(n))
	}
	return map[string]any{"items": items}
}

func (o *output) share() map[string]any {
	share := make(map[string]any)
	add := func(name string, raw json.RawMessage) {
		if raw != nil {
			if v, err := decodeAny(raw); err == nil {
				share[name] = v
			}
		}
	}
	add("item", o.Item)
	add("items", o.Items)
	if o.Range != nil {
		add("from", o.Range.From)
		add("to", o.Range.To)
	}
	return share
}

// decodeAny keeps numbers as they are written, so that large ones compare exactly.
func decodeAny(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// text shows a share in a report, cut to fit a line.
func text(share map[string]any) string {
	var shown any = share
	for _, name := range []string{"item", "items"} {
		if v, ok := share[name]; ok && len(share) == 1 {
			shown = v
		}
	}
	if len(share) == 0 {
		return "missing"
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		return err.Error()
	}
	const most = 60
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most]) + "..."
	}
	return string(raw)
}
