package awswire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonDecoder reads a JSON text into a structure by its plan.
//
// Members the plan does not know are checked for form and dropped. null is an absent member; in a list or a map it is
// refused, as Smithy's restJson1 tests for malformed requests have it. A member given twice is refused: which one counted
// would be a guess.
type jsonDecoder struct {
	jsonReader
	at      path
	missing []string
	room    [8]segment
}

// decodeJSON reads body, a JSON object, into v, a structure of plan p. It reports which of p's fields were given, and
// which required members of nested structures were not. Checking p.required is left to the caller, who may yet bind
// members from elsewhere. An empty body gives no members.
func decodeJSON(body []byte, p *plan, v reflect.Value) (seen bits, missing []string, err *problem) {
	if len(body) == 0 {
		return seen, nil, nil
	}
	if !utf8.Valid(body) {
		return seen, nil, malformedf("the body is not valid UTF-8")
	}
	d := jsonDecoder{jsonReader: jsonReader{b: body}}
	d.at = d.room[:0]
	defer func() {
		if r := recover(); r != nil {
			pr, ok := r.(*problem)
			if !ok {
				panic(r)
			}
			err = pr
		}
	}()
	if d.peek() != '{' {
		d.wrong("Structure")
	}
	seen = d.structure(p, v)
	d.end()
	return seen, d.missing, nil
}

// wrong reports that the next value is of another type than the member. The words before the path are AWS's.
func (d *jsonDecoder) wrong(want string) {
	var have string
	switch c := d.peek(); {
	case c == '{':
		have = "START_OBJECT"
	case c == '[':
		have = "START_ARRAY"
	case c == '"':
		have = "STRING_VALUE"
	case c == 't':
		have = "TRUE_VALUE"
	case c == 'f':
		have = "FALSE_VALUE"
	case c == 'n':
		have = "NULL_VALUE"
	case c == '-' || '0' <= c && c <= '9':
		have = "NUMBER_VALUE"
	default:
		d.fail("a value")
	}
	// What follows may break the format, which is then the better answer.
	d.skip()
	d.refuse(have + " can not be converted to " + article(want))
}

func article(noun string) string {
	switch noun[0] {
	case 'I':
		return "an " + noun
	}
	return "a " + noun
}

func (d *jsonDecoder) refuse(text string) {
	if len(d.at) > 0 {
		text = "at '" + d.at.String() + "': " + text
	}
	panic(&problem{kind: badValue, text: text})
}

func (d *jsonDecoder) push(name string) { d.at = append(d.at, segment{name: name}) }
func (d *jsonDecoder) pop()             { d.at = d.at[:len(d.at)-1] }

// structure reads an object whose brace is next.
func (d *jsonDecoder) structure(p *plan, v reflect.Value) (seen bits) {
	for ok := d.open('}'); ok; ok = d.more('}') {
		i, known := p.index(d.key())
		if !known {
			d.skip()
			continue
		}
		f := &p.fields[i]
		d.push(f.at())
		if seen.has(i) {
			d.refuse("the member is given twice")
		}
		if !d.null() {
			seen.set(i)
			if f.index < 0 {
				d.skip()
			} else {
				d.value(f.plan, v.Field(f.index))
			}
		}
		d.pop()
	}
	return seen
}

// value reads the next value into v, which is settable and of the plan's Go type.
func (d *jsonDecoder) value(p *plan, v reflect.Value) {
	switch p.quick {
	case quickStringPtr:
		s := d.text()
		*v.Addr().Interface().(**string) = &s
		return
	case quickInt32Ptr:
		n := int32(d.integer(32))
		*v.Addr().Interface().(**int32) = &n
		return
	case quickInt64Ptr:
		n := d.integer(64)
		*v.Addr().Interface().(**int64) = &n
		return
	case quickBoolPtr:
		b := d.boolean()
		*v.Addr().Interface().(**bool) = &b
		return
	case quickStrings:
		*v.Addr().Interface().(*[]string) = d.strings()
		return
	case quickStringMap:
		*v.Addr().Interface().(*map[string]string) = d.stringMap()
		return
	}
	if p.ptr {
		e := reflect.New(p.typ)
		v.Set(e)
		v = e.Elem()
	}
	switch p.kind {
	case kindString:
		v.SetString(d.text())
	case kindBool:
		v.SetBool(d.boolean())
	case kindInt:
		v.SetInt(d.integer(p.bits))
	case kindFloat:
		v.SetFloat(d.float(p.bits))
	case kindTime:
		v.Set(reflect.ValueOf(d.time()))
	case kindBlob:
		v.SetBytes(d.blob())
	case kindRaw:
		d.space()
		start := d.i
		d.skip()
		v.SetBytes(append(json.RawMessage(nil), d.b[start:d.i]...))
	case kindStruct:
		if d.peek() != '{' {
			d.wrong("Structure")
		}
		seen := d.structure(p, v)
		if !seen.covers(p.required) {
			d.missing = noteMissing(d.missing, d.at, p, seen)
		}
	case kindList:
		d.list(p, v)
	case kindMap:
		d.mapping(p, v)
	case kindUnion:
		d.union(p, v)
	}
}

func (d *jsonDecoder) text() string {
	if d.peek() != '"' {
		d.wrong("String")
	}
	return string(d.string())
}

func (d *jsonDecoder) boolean() bool {
	switch d.peek() {
	case 't':
		d.literal("true")
		return true
	case 'f':
		d.literal("false")
	default:
		d.wrong("Boolean")
	}
	return false
}

func (d *jsonDecoder) isNumber() bool {
	c := d.peek()
	return c == '-' || '0' <= c && c <= '9'
}

// integer reads a whole number of the given bits. A fraction of zero and an exponent pass (some languages print every
// number so) as long as the value is whole.
func (d *jsonDecoder) integer(size int) int64 {
	if !d.isNumber() {
		d.wrong(intName(size))
	}
	text, whole := d.number()
	if whole {
		n, ok := parseInt(text)
		if !ok || size == 32 && n != int64(int32(n)) {
			d.refuse(string(text) + " is out of the range of " + article(intName(size)))
		}
		return n
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 || size == 32 && f != float64(int32(f)) {
		d.refuse(string(text) + " can not be converted to " + article(intName(size)))
	}
	return int64(f)
}

func intName(size int) string {
	if size == 32 {
		return "Integer"
	}
	return "Long"
}

// parseInt reads what jsonReader.number found whole.
func parseInt(text []byte) (int64, bool) {
	if len(text) > 18 {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, err == nil
	}
	digits, neg := text, text[0] == '-'
	if neg {
		digits = text[1:]
	}
	var n int64
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// float reads a number, or the strings that stand for what JSON has no number for.
func (d *jsonDecoder) float(size int) float64 {
	if d.peek() == '"' {
		start := d.i
		switch string(d.string()) {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
		d.i = start
	}
	if !d.isNumber() {
		d.wrong("Double")
	}
	text, _ := d.number()
	f, err := strconv.ParseFloat(string(text), size)
	if err != nil {
		d.refuse(string(text) + " is out of range")
	}
	return f
}

// maxEpoch is the last second of the year 9999, which is the last ISO 8601 can say.
const maxEpoch = 253402300799

// time reads a number of seconds since the Unix epoch, whose fraction counts to the millisecond.
func (d *jsonDecoder) time() time.Time {
	if !d.isNumber() {
		d.wrong("Timestamp")
	}
	text, whole := d.number()
	if n, ok := parseInt(text); whole && ok && n >= -maxEpoch && n <= maxEpoch {
		return time.Unix(n, 0).UTC()
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(f) > maxEpoch {
		d.refuse(string(text) + " is out of the range of a Timestamp")
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC()
}

func (d *jsonDecoder) blob() []byte {
	if d.peek() != '"' {
		d.wrong("Blob")
	}
	s := d.string()
	out := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(out, s)
	if err != nil {
		d.refuse("the value is not valid base64")
	}
	return out[:n]
}

// firstItems is the room a list starts with; most have no more.
const firstItems = 4

func (d *jsonDecoder) strings() []string {
	if d.peek() != '[' {
		d.wrong("List")
	}
	list := make([]string, 0, firstItems)
	for ok := d.open(']'); ok; ok = d.more(']') {
		d.at = append(d.at, segment{index: len(list) + 1})
		list = append(list, d.text())
		d.pop()
	}
	return list
}

func (d *jsonDecoder) stringMap() map[string]string {
	if d.peek() != '{' {
		d.wrong("Map")
	}
	m := map[string]string{}
	for ok := d.open('}'); ok; ok = d.more('}') {
		k := string(d.key())
		d.push(k)
		if _, dup := m[k]; dup {
			d.refuse("the key is given twice")
		}
		m[k] = d.text()
		d.pop()
	}
	return m
}

func (d *jsonDecoder) list(p *plan, v reflect.Value) {
	if d.peek() != '[' {
		d.wrong("List")
	}
	v.Set(reflect.MakeSlice(p.typ, 0, firstItems))
	n := 0
	for ok := d.open(']'); ok; ok = d.more(']') {
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		n++
		d.at = append(d.at, segment{index: n})
		d.value(p.elem, v.Index(n-1))
		d.pop()
	}
}

func (d *jsonDecoder) mapping(p *plan, v reflect.Value) {
	if d.peek() != '{' {
		d.wrong("Map")
	}
	v.Set(reflect.MakeMap(p.typ))
	for ok := d.open('}'); ok; ok = d.more('}') {
		name := string(d.key())
		d.push(name)
		k := reflect.ValueOf(name).Convert(p.typ.Key())
		if v.MapIndex(k).IsValid() {
			d.refuse("the key is given twice")
		}
		e := reflect.New(p.typ.Elem()).Elem()
		d.value(p.elem, e)
		v.SetMapIndex(k, e)
		d.pop()
	}
}

// union reads an object with one member, which says which type of the union it is.
func (d *jsonDecoder) union(p *plan, v reflect.Value) {
	if d.peek() != '{' {
		d.wrong("Union")
	}
	for ok := d.open('}'); ok; ok = d.more('}') {
		i, known := p.index(d.key())
		if !known {
			d.skip()
			continue
		}
		if d.null() {
			continue
		}
		f := &p.fields[i]
		if !v.IsNil() {
			d.refuse("more than one member of a union is given")
		}
		d.push(f.at())
		m := reflect.New(p.members[i])
		d.value(f.plan, m.Elem().Field(f.index))
		v.Set(m)
		d.pop()
	}
	if v.IsNil() {
		d.refuse("no member of the union is given")
	}
}
