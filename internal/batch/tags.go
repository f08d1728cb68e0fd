package batch

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits on tags (API reference, TagResource).
const (
	maxTags        = 50
	maxTagKeyLen   = 128
	maxTagValueLen = 256
)

// namePattern is the form of the names of jobs and of everything that is created by name (API reference, the "name"
// member of each create operation).
var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,127}$`) })

// checkTags applies the limits of one resource's tags.
//
// unverified: the service's own wording; the clause on 50 tags is the one other emulators answer.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return Invalidf("1 validation error detected: Value at 'tags' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", maxTags)
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		switch n := utf8.RuneCountInString(k); {
		case n == 0 || n > maxTagKeyLen:
			return Invalidf("1 validation error detected: Value at 'tags' failed to satisfy constraint: "+
				"Map keys must have length between 1 and %d", maxTagKeyLen)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return Invalidf("aws: prefixed tag key names are not allowed for external use.")
		case utf8.RuneCountInString(tags[k]) > maxTagValueLen:
			return Invalidf("1 validation error detected: Value at 'tags' failed to satisfy constraint: "+
				"Map values must have length less than or equal to %d", maxTagValueLen)
		}
	}
	return nil
}

// MergeTags is TagResource: the new tags over the present ones. The result is a new map.
func MergeTags(present, added map[string]string) (map[string]string, error) {
	merged := make(map[string]string, len(present)+len(added))
	maps.Copy(merged, present)
	maps.Copy(merged, added)
	if err := checkTags(merged); err != nil {
		return nil, err
	}
	return merged, nil
}

// RemoveTags is UntagResource: the present tags without keys; unknown keys are ignored. The result is a new map.
func RemoveTags(present map[string]string, keys []string) map[string]string {
	left := maps.Clone(present)
	for _, k := range keys {
		delete(left, k)
	}
	return left
}
