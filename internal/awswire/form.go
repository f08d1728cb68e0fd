package awswire

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parameter is one key=value of a query string or a form.
type parameter struct{ key, value string }

// parseParameters reads a query string or a form body.
func parseParameters(raw string) ([]parameter, *problem) {
	if raw == "" {
		return nil, nil
	}
	list := make([]parameter, 0, 1+strings.Count(raw, "&"))
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, malformedf("the parameter name %.64q is not percent-encoded rightly", k)
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, malformedf("the value of the parameter %.64q is not percent-encoded rightly", key)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, malformedf("the parameter %.64q is not valid UTF-8", key)
		}
		list = append(list, parameter{key, value})
	}
	return list, nil
}

// form is the parameters of a Query request as a tree along the dots of their names.
type form struct {
	// value is what stands at this very name, if given.
	value string
	given bool
	sub   map[string]*form
}

// parseForm reads the parameters of the query string and the body together. Those of a presigned signature are left out.
func parseForm(query string, body []byte) (*form, *problem) {
	root := &form{}
	for _, raw := range []string{query, string(body)} {
		list, p := parseParameters(raw)
		if p != nil {
			return nil, p
		}
		for _, kv := range list {
			if strings.HasPrefix(kv.key, "X-Amz-") {
				continue
			}
			if p := root.add(kv); p != nil {
				return nil, p
			}
		}
	}
	return root, nil
}

func (f *form) add(kv parameter) *problem {
	if strings.Count(kv.key, ".") > maxDepth {
		return malformedf("the parameter name %.64q... has over %d parts", kv.key, maxDepth)
	}
	for name := range strings.SplitSeq(kv.key, ".") {
		if f.sub == nil {
			f.sub = map[string]*form{}
		}
		next := f.sub[name]
		if next == nil {
			next = &form{}
			f.sub[name] = next
		}
		f = next
	}
	if f.given {
		return malformedf("the parameter %.64q is given twice", kv.key)
	}
	f.value, f.given = kv.value, true
	return nil
}

// text is the value of a parameter without dots, "" if absent.
func (f *form) text(name string) string {
	if n := f.sub[name]; n != nil {
		return n.value
	}
	return ""
}

// items gives the numbered entries below f in ascending order of their numbers, which need not be dense.
func (f *form) items() ([]item, error) {
	list := make([]item, 0, len(f.sub))
	for name, n := range f.sub {
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || strconv.Itoa(i) != name {
			return nil, fmt.Errorf("%.64q is not the number of a list entry", name)
		}
		list = append(list, item{i, n})
	}
	return list, nil
}

type item struct {
	number int
	form   *form
}
