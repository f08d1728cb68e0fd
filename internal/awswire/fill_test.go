package awswire

import (
	"fmt"
	"reflect"
	"time"
)

// filler gives every member reachable from a type a value of its own, so that two members that change places show.
type filler struct {
	n      int
	unions []Union
	// variant picks the member of each union.
	variant int
	// millis lets times have a fraction of a second.
	millis bool
}

var reflectSkip = map[string]bool{"ResultMetadata": true, "noSmithyDocumentSerde": true}

func (f *filler) value(v reflect.Value, depth int) {
	if depth > 16 {
		return
	}
	f.n++
	switch v.Interface().(type) {
	case time.Time:
		t := time.Unix(1_700_000_000+int64(f.n), 0)
		if f.millis {
			t = t.Add(time.Duration(f.n%1000) * time.Millisecond)
		}
		v.Set(reflect.ValueOf(t.UTC()))
		return
	case []byte:
		v.SetBytes(fmt.Appendf(nil, "\x00\xff%d", f.n))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.value(v.Elem(), depth)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d <é&\"\\\n>", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) + 0.25)
	case reflect.Struct:
		for i := range v.NumField() {
			if sf := v.Type().Field(i); sf.IsExported() && !reflectSkip[sf.Name] {
				f.value(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.value(v.Index(0), depth+1)
		f.value(v.Index(1), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			k := reflect.New(v.Type().Key()).Elem()
			k.SetString(fmt.Sprintf("k%d.é=&", f.n))
			e := reflect.New(v.Type().Elem()).Elem()
			f.value(e, depth+1)
			v.SetMapIndex(k, e)
		}
	case reflect.Interface:
		for _, u := range f.unions {
			if u.iface == v.Type() {
				m := reflect.New(u.members[f.variant%len(u.members)])
				f.value(m.Elem().FieldByName("Value"), depth+1)
				v.Set(m)
				return
			}
		}
		panic(fmt.Sprintf("no union described for %s", v.Type()))
	default:
		panic(fmt.Sprintf("no value for %s", v.Type()))
	}
}
