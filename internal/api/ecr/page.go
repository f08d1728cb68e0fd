package ecr

import (
	"encoding/base64"
	"slices"
	"strings"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// page cuts a list, ascending by key, to the part after the token, at most maxResults long. The token is the key of the
// last item given, so a page stays right when items come and go between two requests.
func page[T any](list []T, key func(T) string, maxResults *int32, token *string) ([]T, *string, error) {
	n := defaultPage
	if maxResults != nil {
		n = int(*maxResults)
		if n < 1 || n > maxPage {
			return nil, nil, invalid("maxResults", "must be between 1 and %d", maxPage)
		}
	}
	if token != nil {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || len(after) == 0 {
			return nil, nil, invalid("nextToken", "must be a token of an earlier answer") // unverified text
		}
		i, found := slices.BinarySearchFunc(list, string(after), func(v T, k string) int { return strings.Compare(key(v), k) })
		if found {
			i++
		}
		list = list[i:]
	}
	if len(list) <= n {
		return list, nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(key(list[n-1])))
	return list[:n], &next, nil
}
