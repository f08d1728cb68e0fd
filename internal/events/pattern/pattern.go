// Package pattern matches events against the event patterns of Amazon EventBridge (EventBridge User Guide, "Event patterns"
// and "Comparison operators"). Values in, values out.
//
// Where the guide is silent it follows Event Ruler, the open library behind the service
// (https://github.com/aws/event-ruler): a field whose value is a list matches if one of its items does; of a list of
// objects one must match all that the pattern says of it; an object is no value, so exists tells fields that hold one from
// fields that hold none.
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxSize is the longest pattern, in bytes (API reference, PutRule).
const MaxSize = 4096

// maxDepth bounds how deep a pattern's objects go.
const maxDepth = 100

// Pattern is a parsed event pattern. It does not change, and may be used from many goroutines.
type Pattern struct{ root object }

// object is what a pattern says of an object: every field must match, and of each $or one alternative.
type object struct {
	fields []field
	or     [][]object
}

// field is what a pattern says of a field: either of the object it holds, or of its value, where one test must hold.
type field struct {
	name  string
	inner *object
	tests []test
}

// test is a comparison with one value; absent tells of a field that is not there.
type test struct {
	value  func(any) bool // nil for exists:false
	absent bool
}

// Parse reads a pattern. The error says what is wrong with it, as a sentence without an end.
func Parse(raw []byte) (*Pattern, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(raw), MaxSize)
	}
	v, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is no JSON object")
	}
	o, err := parseObject(m, 0)
	if err != nil {
		return nil, err
	}
	return &Pattern{*o}, nil
}

// Decode reads a JSON document for Match.
func Decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON document")
	}
	return v, nil
}

func parseObject(m map[string]any, depth int) (*object, error) {
	switch {
	case len(m) == 0:
		return nil, errors.New("an object of it is empty")
	case depth == maxDepth:
		return nil, fmt.Errorf("its objects are nested deeper than %d", maxDepth)
	}
	o := &object{}
	for name, v := range m {
		if name == "$or" {
			alternatives, err := parseOr(v, depth)
			if err != nil {
				return nil, err
			}
			o.or = append(o.or, alternatives)
			continue
		}
		f := field{name: name}
		switch v := v.(type) {
		case map[string]any:
			inner, err := parseObject(v, depth+1)
			if err != nil {
				return nil, err
			}
			f.inner = inner
		case []any:
			if len(v) == 0 {
				return nil, fmt.Errorf("the list of %q is empty", name)
			}
			for _, item := range v {
				t, err := parseTest(item)
				if err != nil {
					return nil, fmt.Errorf("%q: %w", name, err)
				}
				f.tests = append(f.tests, t)
			}
		default:
			return nil, fmt.Errorf("%q must be an object or a list", name)
		}
		o.fields = append(o.fields, f)
	}
	return o, nil
}

func parseOr(v any, depth int) ([]object, error) {
	list, ok := v.([]any)
	if !ok || len(list) < 2 {
		return nil, errors.New(`"$or" must be a list of at least two objects`)
	}
	alternatives := make([]object, 0, len(list))
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New(`"$or" must be a list of at least two objects`)
		}
		o, err := parseObject(m, depth+1)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, *o)
	}
	return alternatives, nil
}

// Match says whether an event matches. The event is of Decode.
func (p *Pattern) Match(event any) bool {
	m, ok := event.(map[string]any)
	return ok && p.root.match(m)
}

func (o *object) match(m map[string]any) bool {
	for i := range o.fields {
		if !o.fields[i].match(m) {
			return false
		}
	}
	for _, alternatives := range o.or {
		matched := false
		for i := range alternatives {
			if alternatives[i].match(m) {
				matched = true
				break
			}
		}
		if !matched {
			return false
		}
	}
	return true
}

func (f *field) match(m map[string]any) bool {
	v, there := m[f.name]
	if f.inner != nil {
		return f.inner.matchIn(v)
	}
	values := leaves(v, there)
	for _, t := range f.tests {
		if t.absent && len(values) == 0 {
			return true
		}
		for _, leaf := range values {
			if t.value != nil && t.value(leaf) {
				return true
			}
		}
	}
	return false
}

// matchIn matches the object that v is, or one of the objects in the list that v is. What is neither has no fields, which is
// what a pattern of nothing but exists:false asks for.
func (o *object) matchIn(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return o.match(v)
	case []any:
		objects := false
		for _, item := range v {
			if inner, ok := item.(map[string]any); ok {
				objects = true
				if o.match(inner) {
					return true
				}
			}
		}
		return !objects && o.match(nil)
	default:
		return o.match(nil)
	}
}

// leaves are the values of a field: itself, or the items of a list, at any depth; none if it is not there or is an object.
func leaves(v any, there bool) []any {
	switch v := v.(type) {
	case map[string]any:
		return nil
	case []any:
		var all []any
		for _, item := range v {
			all = append(all, leaves(item, true)...)
		}
		return all
	}
	if !there {
		return nil
	}
	return []any{v}
}
