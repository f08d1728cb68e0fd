package ec2

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// look is how resources of a kind are described: W is what is shown of one.
type look[W any] struct {
	// filters gives the values of a filter's name.
	filters map[string]func(w *W) []string
	tags    func(w *W) []Tag
	// key is what the list is sorted by: the id, or the name of what has none.
	key func(w *W) string
}

// query is what Describe operations have in common.
type query struct {
	filters []Filter
	max     *int32
	token   *string
}

// choose cuts a list, sorted by key, down to what a query asks for.
func (l *look[W]) choose(list []W, q query) ([]W, *string, error) {
	for _, f := range q.filters {
		values, err := l.values(f)
		if err != nil {
			return nil, nil, err
		}
		list = slices.DeleteFunc(list, func(w W) bool {
			return !slices.ContainsFunc(values(&w), func(v string) bool {
				return slices.ContainsFunc(f.Values, func(pattern string) bool { return like(pattern, v) })
			})
		})
	}
	if q.max != nil && (*q.max < 5 || *q.max > 1000) {
		return nil, nil, invalid("Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", *q.max) // unverified
	}
	if q.token != nil {
		last, ok := decodeToken(*q.token)
		if !ok {
			return nil, nil, refuse("InvalidNextToken", "The token '%s' is invalid", *q.token) // unverified text
		}
		list = slices.DeleteFunc(list, func(w W) bool { return l.key(&w) <= last })
	}
	if q.max == nil || len(list) <= int(*q.max) {
		if list == nil {
			list = []W{}
		}
		return list, nil, nil
	}
	list = list[:*q.max]
	return list, ptr(encodeToken(l.key(&list[len(list)-1]))), nil
}

func (l *look[W]) values(f Filter) (func(w *W) []string, error) {
	name := str(f.Name)
	if name == "" {
		return nil, missing("Filter.1.Name")
	}
	if len(f.Values) == 0 { // unverified text
		return nil, invalid("The filter '%s' has no values", name)
	}
	if v, ok := l.filters[name]; ok {
		return v, nil
	}
	if l.tags != nil {
		if name == "tag-key" {
			return func(w *W) (keys []string) {
				for _, t := range l.tags(w) {
					keys = append(keys, str(t.Key))
				}
				return keys
			}, nil
		}
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			return func(w *W) []string {
				for _, t := range l.tags(w) {
					if str(t.Key) == key {
						return []string{str(t.Value)}
					}
				}
				return nil
			}, nil
		}
	}
	return nil, invalid("The filter '%s' is invalid", name)
}

// The token of a page is the key of its last resource: a list that changes meanwhile neither repeats nor skips.
func encodeToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("k" + key)) }

func decodeToken(token string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) == 0 || b[0] != 'k' {
		return "", false
	}
	return string(b[1:]), true
}

// like compares with the wildcards * and ?; a backslash takes them literally
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html#filtering-the-output).
func like(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		width := 1
		if i+1 < len(pattern) && pattern[i] == '\\' {
			width = 2
		}
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (width == 1 && pattern[i] == '?' || pattern[i+width-1] == s[j]):
			i += width
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// one is the value of a filter that a resource has one of, or none.
func one(s *string) []string {
	if s == nil {
		return nil
	}
	return []string{*s}
}

func flag(b *bool) []string {
	if b == nil {
		return []string{"false"}
	}
	return []string{strconv.FormatBool(*b)}
}

func number(n *int32) []string {
	if n == nil {
		return nil
	}
	return []string{strconv.Itoa(int(*n))}
}

// each collects the values of a member of a list.
func each[T any](list []T, value func(*T) *string) (values []string) {
	for i := range list {
		values = append(values, one(value(&list[i]))...)
	}
	return values
}

// pick keeps the resources with the ids asked for, all if none were, and refuses an id that is not there.
func pick[W any](list []W, ids []string, k *kind, id func(w *W) string) ([]W, error) {
	if len(ids) == 0 {
		return list, nil
	}
	for _, want := range ids {
		if !strings.HasPrefix(want, k.prefix) {
			return nil, k.malformed(want)
		}
		if !slices.ContainsFunc(list, func(w W) bool { return id(&w) == want }) {
			return nil, k.unknown(want)
		}
	}
	return slices.DeleteFunc(list, func(w W) bool { return !slices.Contains(ids, id(&w)) }), nil
}

func (t *tx) arn(resource string) string { return t.ARN("ec2", resource) }

// quote is a list of ids as errors show it.
func quote(ids []string) string { return fmt.Sprintf("'%s'", strings.Join(ids, ", ")) }
