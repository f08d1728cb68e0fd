package logs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/batchbox/batchbox/internal/logstore/index"
)

// defaultPage is how many items the Describe operations return where no limit is given, and the largest limit (API
// reference).
const defaultPage = 50

func pageSize(limit *int32) int {
	if limit == nil {
		return defaultPage
	}
	return int(*limit)
}

// A page token is where to go on, in a form that need not be understood by anybody else: what the list is of, and the
// last item shown.
type pageToken[T any] struct {
	List  string `json:"l"`
	After T      `json:"a"`
}

func encodeToken[T any](list string, after T) *string {
	b, err := json.Marshal(pageToken[T]{list, after})
	if err != nil {
		panic(fmt.Sprintf("a page token of %T: %v", after, err)) // only strings and numbers are given
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return &s
}

// decodeToken reads a token; nil if there is none.
func decodeToken[T any](list string, token *string) (*T, error) {
	if token == nil {
		return nil, nil
	}
	var t pageToken[T]
	b, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil || json.Unmarshal(b, &t) != nil || t.List != list {
		return nil, fmt.Errorf("%q: %w", *token, index.ErrBadToken)
	}
	return &t.After, nil
}

// cutPage takes the items after the token's, which key names and which are in ascending order of it, and the next token.
func cutPage[T any](list string, items []T, key func(*T) string, token *string, limit int) ([]T, *string, error) {
	after, err := decodeToken[string](list, token)
	if err != nil {
		return nil, nil, err
	}
	if after != nil {
		for len(items) > 0 && key(&items[0]) <= *after {
			items = items[1:]
		}
	}
	if len(items) <= limit {
		return items, nil, nil
	}
	items = items[:limit]
	return items, encodeToken(list, key(&items[limit-1])), nil
}
