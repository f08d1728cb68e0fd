package stack

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// fieldOf finds the field of a type of the SDK for a member of the wire: its name with the first letter in upper case.
// It has no name if there is none.
func fieldOf(t reflect.Type, member string) reflect.StructField {
	first, n := utf8.DecodeRuneInString(member)
	f, ok := t.FieldByName(strings.ToUpper(string(first)) + member[n:])
	if !ok || !f.IsExported() || f.Type.PkgPath() == "github.com/aws/smithy-go/middleware" || member == "" || strings.ToLower(string(first)) != string(first) {
		return reflect.StructField{}
	}
	return f
}

// unknown is a member that a type of the SDK has not.
type unknown struct {
	in   map[string]any
	name string
	path string
}

// checker compares a JSON value with a type of the SDK.
type checker struct {
	unknown []unknown
	wrong   string // the first value of a wrong type, as a sentence
}

func (c *checker) check(v any, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		object, ok := v.(map[string]any)
		if !ok {
			c.mismatch(path, v, "an object")
			return
		}
		for name, member := range object {
			p := strings.TrimPrefix(path+"."+name, ".")
			f := fieldOf(t, name)
			if f.Name == "" {
				c.unknown = append(c.unknown, unknown{object, name, p})
				continue
			}
			c.check(member, f.Type, p)
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			c.mismatch(path, v, "a list")
			return
		}
		for i := range list {
			c.check(list[i], t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		object, ok := v.(map[string]any)
		if !ok {
			c.mismatch(path, v, "an object")
			return
		}
		for name, member := range object {
			c.check(member, t.Elem(), path+"."+name)
		}
	case reflect.String:
		if _, ok := v.(string); !ok {
			c.mismatch(path, v, "a string")
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			c.mismatch(path, v, "true or false")
		}
	default:
		if _, ok := v.(json.Number); !ok {
			c.mismatch(path, v, "a number")
		}
	}
}

func (c *checker) mismatch(path string, v any, want string) {
	if c.wrong == "" {
		got, err := json.Marshal(v)
		if err != nil {
			got = []byte(err.Error())
		}
		c.wrong = fmt.Sprintf("%s must be %s, not %s", path, want, got)
	}
}

// same compares a resource as it is wanted with how it is, both values of the SDK's types. Members that are empty count
// as absent, lists that are sets compare in any order, and so do the defaults AWS Batch shows though they were not given.
func same(want, is any) bool { return reflect.DeepEqual(canonical(want), canonical(is)) }

// covers says whether everything that is wanted is there; what is there beside it does not matter.
func covers(want, is any) bool { return within(canonical(want), canonical(is)) }

func within(want, is any) bool {
	if want == nil {
		return true
	}
	w, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(want, is)
	}
	i, ok := is.(map[string]any)
	if !ok {
		return false
	}
	for name, member := range w {
		if !within(member, i[name]) {
			return false
		}
	}
	return true
}
