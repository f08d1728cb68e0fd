package batch

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// object is a JSON object of a request or a stored document: its values are string, bool, json.Number, []any and
// map[string]any, never nil. Numbers keep the digits they were sent with. A member that is absent and a member of another
// JSON type read alike: the wire codec has refused wrong types of the members AWS names before a document comes here.
type object map[string]any

// parseObject reads one JSON object; null members and null list entries count as not sent.
func parseObject(raw []byte) (object, error) {
	p := parser{text: raw}
	v, ok := p.value(0)
	o, isObject := v.(map[string]any)
	switch {
	case ok && isObject && p.next() == 0 && p.at == len(raw):
		return o, nil
	case ok && isObject:
		return nil, Invalidf("The request body holds more than one JSON value")
	case ok && v == nil:
		return nil, Invalidf("The request body is not a JSON object: null")
	}
	err := json.Unmarshal(raw, &o) // which says what is wrong with it
	return nil, Invalidf("The request body is not a JSON object: %v", err)
}

// canonical is the document's one byte form: members sorted by name, no white space, no HTML escapes.
func canonical(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only values that parseObject or this package made come here, and all of them have a JSON form.
		panic("batch: a parsed document has no JSON form: " + err.Error())
	}
	return json.RawMessage(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func (o object) has(name string) bool {
	_, ok := o[name]
	return ok
}

func (o object) str(name string) string {
	s, _ := o[name].(string)
	return s
}

func (o object) boolean(name string) (value, ok bool) {
	value, ok = o[name].(bool)
	return value, ok
}

// integer reads a whole number; 3.0 and 3e0 are whole, 2.5 is not.
func (o object) integer(name string) (int64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	return wholeNumber(n)
}

func wholeNumber(n json.Number) (int64, bool) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func (o object) number(name string) (float64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

func (o object) object(name string) (object, bool) {
	m, ok := o[name].(map[string]any)
	return m, ok
}

func (o object) list(name string) []any {
	l, _ := o[name].([]any)
	return l
}

// objects is the objects of a list member.
func (o object) objects(name string) []object {
	l := o.list(name)
	out := make([]object, 0, len(l))
	for _, e := range l {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// strings is the strings of a list member.
func (o object) strings(name string) []string {
	l := o.list(name)
	out := make([]string, 0, len(l))
	for _, e := range l {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// stringMap is the string members of an object member; nil if the member is absent or empty.
func (o object) stringMap(name string) map[string]string {
	m, _ := o.object(name)
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// empty says whether the member was not sent or was sent as "", [] or {}: what clients that always fill in a member mean
// by "not given". Numbers and booleans are never empty.
func (o object) empty(name string) bool {
	switch v := o[name].(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

// setDefault fills in a member that was not sent.
func (o object) setDefault(name string, v any) {
	if !o.has(name) {
		o[name] = v
	}
}

func toList[T any](in []T) []any {
	out := make([]any, len(in))
	for i, e := range in {
		out[i] = e
	}
	return out
}

func jsonInt(i int64) json.Number { return json.Number(strconv.FormatInt(i, 10)) }
