package batch

import (
	"encoding/base64"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
)

// token is a position in a listing as a client carries it: opaque, and bound to its kind of listing.
func token(kind, position string) *string {
	t := base64.RawURLEncoding.EncodeToString([]byte(kind + "\x00" + position))
	return &t
}

// errToken refuses a token that this listing did not make.
//
// unverified: AWS's text.
var errToken = batch.Invalidf("nextToken is not valid.")

// position reads a token of the kind; nil and "" mean the beginning.
func position(kind string, t *string) (string, error) {
	if t == nil || *t == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*t)
	if err == nil {
		if pos, ok := strings.CutPrefix(string(raw), kind+"\x00"); ok {
			return pos, nil
		}
	}
	return "", errToken
}

// page cuts one page out of a list sorted by name: what comes after the token's position.
func page[T any](kind string, list []T, name func(T) string, maxResults *int32, next *string) ([]T, *string, error) {
	after, err := position(kind, next)
	if err != nil {
		return nil, nil, err
	}
	size, err := batch.PageSize(maxResults)
	if err != nil {
		return nil, nil, err
	}
	start := 0
	for after != "" && start < len(list) && name(list[start]) <= after {
		start++
	}
	list = list[start:]
	if len(list) <= size {
		return list, nil, nil
	}
	list = list[:size]
	return list, token(kind, name(list[size-1])), nil
}

// selectNamed resolves the names or ARNs of a Describe request; those that are unknown are left out (reference 1.4).
func selectNamed[T any](p batch.Partition, kind, member string, names []string, maxResults *int32, find func(string) *T) ([]*T, error) {
	if err := batch.CheckDescribe(member, len(names), maxResults); err != nil {
		return nil, err
	}
	var out []*T
	for _, n := range names {
		name, ok := p.ResourceName(kind, n)
		if !ok {
			continue
		}
		if v := find(name); v != nil {
			out = append(out, v)
		}
	}
	return out, nil
}
