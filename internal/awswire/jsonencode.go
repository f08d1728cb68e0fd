package awswire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendJSON writes v by its plan. Absent members (nil, and empty values of enumerations) are left out; empty lists and
// maps that are not nil are written. Map keys are sorted.
func appendJSON(b []byte, p *plan, v reflect.Value) []byte {
	if p.ptr {
		v = v.Elem()
	}
	switch p.kind {
	case kindString:
		return appendJSONString(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return appendJSONFloat(b, v.Float(), p.bits)
	case kindTime:
		return appendEpoch(b, timeOf(v))
	case kindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case kindRaw:
		return append(b, v.Bytes()...)
	case kindStruct:
		b = append(b, '{')
		b = appendJSONMembers(b, p, v)
		return append(b, '}')
	case kindList:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONItem(b, p.elem, v.Index(i))
		}
		return append(b, ']')
	case kindMap:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONString(b, k.String())
			b = append(b, ':')
			b = appendJSONItem(b, p.elem, v.MapIndex(k))
		}
		return append(b, '}')
	case kindUnion:
		m := v.Elem().Elem()
		f := &p.fields[slices.Index(p.members, m.Type())]
		b = append(b, '{')
		b = append(append(append(b, '"'), f.out...), '"', ':')
		b = appendJSONItem(b, f.plan, m.Field(f.index))
		return append(b, '}')
	}
	panic("awswire: a plan without a kind")
}

// appendJSONItem writes an item of a list or a map, where nothing can be left out.
func appendJSONItem(b []byte, p *plan, v reflect.Value) []byte {
	if (p.ptr || p.kind == kindUnion || p.kind == kindRaw) && v.IsNil() {
		return append(b, "null"...)
	}
	return appendJSON(b, p, v)
}

func appendJSONMembers(b []byte, p *plan, v reflect.Value) []byte {
	first := len(b)
	for i := range p.fields {
		f := &p.fields[i]
		if f.index < 0 {
			continue
		}
		fv := v.Field(f.index)
		if absent(f.plan, fv) {
			continue
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), f.out...), '"', ':')
		b = appendJSON(b, f.plan, fv)
	}
	return b
}

// absent says whether a member is left out.
func absent(p *plan, v reflect.Value) bool {
	if p.ptr {
		return v.IsNil()
	}
	switch p.kind {
	case kindString:
		return p.enum && v.Len() == 0
	case kindTime:
		return timeOf(v).IsZero()
	case kindBlob, kindRaw, kindList, kindMap, kindUnion:
		return v.IsNil()
	}
	return false
}

func timeOf(v reflect.Value) time.Time {
	if v.CanAddr() {
		return *v.Addr().Interface().(*time.Time)
	}
	return v.Interface().(time.Time)
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch x, y := a.String(), b.String(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return keys
}

// appendEpoch writes seconds since the Unix epoch, with a fraction only if there are milliseconds.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(b, ms/1000, 10)
	}
	return strconv.AppendFloat(b, float64(ms)/1000, 'f', -1, 64)
}

func appendJSONFloat(b []byte, f float64, size int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, size)
	}
	return strconv.AppendFloat(b, f, 'f', -1, size)
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes a string token. Bytes that are no UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendJSONOutput writes an operation's output: out is a *Out, p the plan of Out; a nil one has no members.
func appendJSONOutput(b []byte, p *plan, out reflect.Value) []byte {
	if out.IsNil() || p.kind == kindRaw && out.Elem().IsNil() {
		return append(b, "{}"...)
	}
	return appendJSON(b, p, out.Elem())
}

// appendJSONError writes the body of an error; typeMember is "" where a header carries the code.
func appendJSONError(b []byte, e *Error, typeMember string) []byte {
	b = append(b, '{')
	if typeMember != "" {
		b = appendJSONString(b, typeMember)
		b = append(b, ':')
		b = appendJSONString(b, e.Code)
		b = append(b, ',')
	}
	b = append(b, `"message":`...)
	b = appendJSONString(b, e.Message)
	if len(e.Members) > 0 {
		names := make([]string, 0, len(e.Members))
		for n := range e.Members {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			v, err := json.Marshal(e.Members[n])
			if err != nil {
				continue // a member that is no JSON is none; the error itself must get through
			}
			b = append(b, ',')
			b = appendJSONString(b, n)
			b = append(b, ':')
			b = append(b, v...)
		}
	}
	return append(b, '}')
}
