package awswire

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// formDecoder reads the parameters of a Query request into a structure by its plan.
//
//	          Query (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html)   EC2 Query
//	list      Name.member.1, Name.member.2                                         Name.1, Name.2
//	map       Name.entry.1.key, Name.entry.1.value                                 none
//	empty     Name=                                                                none
type formDecoder struct {
	protocol Protocol
	at       path
	missing  []string
	err      *problem // the first one; nothing is read after it
}

// decodeForm is to forms what decodeJSON is to JSON bodies.
func decodeForm(f *form, protocol Protocol, p *plan, v reflect.Value) (seen bits, missing []string, err *problem) {
	d := formDecoder{protocol: protocol}
	seen = d.structure(f, p, v)
	return seen, d.missing, d.err
}

func (d *formDecoder) refuse(text string) {
	if d.err == nil {
		d.err = &problem{kind: badValue, text: "at '" + d.at.String() + "': " + text}
	}
}

func (d *formDecoder) structure(f *form, p *plan, v reflect.Value) (seen bits) {
	for i := range p.fields {
		fd := &p.fields[i]
		n := f.sub[fd.in]
		if n == nil {
			continue
		}
		seen.set(i)
		if fd.index < 0 {
			continue
		}
		d.at = append(d.at, segment{name: fd.at()})
		d.value(n, fd.plan, v.Field(fd.index))
		d.at = d.at[:len(d.at)-1]
	}
	return seen
}

func (d *formDecoder) value(f *form, p *plan, v reflect.Value) {
	if d.err != nil {
		return
	}
	if p.ptr {
		e := reflect.New(p.typ)
		v.Set(e)
		v = e.Elem()
	}
	switch p.kind {
	case kindStruct:
		seen := d.structure(f, p, v)
		if !seen.covers(p.required) {
			d.missing = noteMissing(d.missing, d.at, p, seen)
		}
	case kindList:
		d.list(f, p, v)
	case kindMap:
		d.mapping(f, p, v)
	case kindUnion:
		d.union(f, p, v)
	default:
		if !f.given {
			d.refuse("a value was expected, not parts of one")
			return
		}
		d.scalar(f.value, p, v)
	}
}

func (d *formDecoder) list(f *form, p *plan, v reflect.Value) {
	v.Set(reflect.MakeSlice(p.typ, 0, len(f.sub)))
	if d.protocol == Query {
		if f = f.sub["member"]; f == nil {
			return
		}
	}
	for _, it := range d.items(f) {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		d.at = append(d.at, segment{index: n + 1})
		d.value(it.form, p.elem, v.Index(n))
		d.at = d.at[:len(d.at)-1]
	}
}

// items are the numbered entries below f in order.
func (d *formDecoder) items(f *form) []item {
	list, err := f.items()
	if err != nil {
		d.refuse(err.Error())
	}
	slices.SortFunc(list, func(a, b item) int { return a.number - b.number })
	return list
}

func (d *formDecoder) mapping(f *form, p *plan, v reflect.Value) {
	v.Set(reflect.MakeMap(p.typ))
	if f = f.sub["entry"]; f == nil {
		return
	}
	for _, it := range d.items(f) {
		key, value := it.form.sub["key"], it.form.sub["value"]
		if key == nil || value == nil {
			d.refuse("entry " + strconv.Itoa(it.number) + " lacks its key or its value")
			return
		}
		d.at = append(d.at, segment{name: key.value})
		k := reflect.ValueOf(key.value).Convert(p.typ.Key())
		if v.MapIndex(k).IsValid() {
			d.refuse("the key is given twice")
		}
		e := reflect.New(p.typ.Elem()).Elem()
		d.value(value, p.elem, e)
		v.SetMapIndex(k, e)
		d.at = d.at[:len(d.at)-1]
	}
}

func (d *formDecoder) union(f *form, p *plan, v reflect.Value) {
	for i := range p.fields {
		fd := &p.fields[i]
		n := f.sub[fd.in]
		if n == nil {
			continue
		}
		if !v.IsNil() {
			d.refuse("more than one member of a union is given")
			return
		}
		d.at = append(d.at, segment{name: fd.at()})
		m := reflect.New(p.members[i])
		d.value(n, fd.plan, m.Elem().Field(fd.index))
		v.Set(m)
		d.at = d.at[:len(d.at)-1]
	}
	if v.IsNil() {
		d.refuse("no member of the union is given")
	}
}

func (d *formDecoder) scalar(s string, p *plan, v reflect.Value) {
	switch p.kind {
	case kindString:
		v.SetString(s)
	case kindBool:
		switch strings.ToLower(s) {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			d.refuse(quoted(s) + " is neither true nor false")
		}
	case kindInt:
		n, err := strconv.ParseInt(s, 10, p.bits)
		if err != nil {
			d.refuse(quoted(s) + " is not " + article(intName(p.bits)))
		}
		v.SetInt(n)
	case kindFloat:
		n, err := strconv.ParseFloat(s, p.bits)
		if err != nil {
			d.refuse(quoted(s) + " is not a Double")
		}
		v.SetFloat(n)
	case kindTime:
		t, ok := parseTime(s)
		if !ok {
			d.refuse(quoted(s) + " is not an ISO 8601 time")
		}
		v.Set(reflect.ValueOf(t))
	case kindBlob:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			d.refuse("the value is not valid base64")
		}
		v.SetBytes(b)
	}
}

// parseTime reads ISO 8601, or seconds since the epoch, which AWS's front ends take as well.
func parseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > maxEpoch {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC(), true
}

// quoted shows a value in an error, cut short.
func quoted(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "..."
	}
	return strconv.Quote(s)
}
