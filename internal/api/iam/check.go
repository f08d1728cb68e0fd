package iam

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
)

// constraint is the answer of AWS's front ends to a value that breaks its shape's constraint.
func constraint(value any, member, rule string) error {
	return refuse("ValidationError", "1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must %s", value, member, rule)
}

func checkLength(s *string, member string, least, most int) error {
	if s == nil {
		return nil
	}
	switch n := utf8.RuneCountInString(*s); {
	case n < least:
		return constraint(*s, member, fmt.Sprintf("have length greater than or equal to %d", least))
	case n > most:
		return constraint(*s, member, fmt.Sprintf("have length less than or equal to %d", most))
	}
	return nil
}

func checkRange(n *int32, member string, least, most int32) error {
	switch {
	case n == nil:
		return nil
	case *n < least:
		return constraint(*n, member, fmt.Sprintf("have value greater than or equal to %d", least))
	case *n > most:
		return constraint(*n, member, fmt.Sprintf("have value less than or equal to %d", most))
	}
	return nil
}

var nameRE = regexp.MustCompile(`^[\w+=,.@-]+$`)

// checkName holds a name to IAM's characters and length.
func checkName(s *string, member string, most int) error {
	if s == nil {
		return nil
	}
	if err := checkLength(s, member, 1, most); err != nil {
		return err
	}
	if !nameRE.MatchString(*s) {
		return refuse("ValidationError", "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", member)
	}
	return nil
}

var pathRE = regexp.MustCompile(`^(/|/[\x21-\x7E]+/)$`)

// checkPath holds a path to its form and gives the one to keep.
func checkPath(s *string) (string, error) {
	if s == nil {
		return "/", nil
	}
	if err := checkLength(s, "path", 1, 512); err != nil {
		return "", err
	}
	if !pathRE.MatchString(*s) || strings.Contains(*s, "//") {
		return "", refuse("ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return *s, nil
}

// documentRE are the characters of a policy document.
var documentRE = regexp.MustCompile(`^[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+$`)

// checkDocument reads a policy document given as member and holds it to a size, which does not count white space
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func checkDocument(kind identity.PolicyKind, document *string, member string, most int, quota string) (*identity.Policy, error) {
	if err := checkLength(document, member, 1, 131072); err != nil {
		return nil, err
	}
	if !documentRE.MatchString(str(document)) {
		return nil, refuse("ValidationError", "The specified value for %s is invalid. It must contain only printable ASCII characters.", member)
	}
	p, err := identity.ParsePolicy(kind, str(document))
	if err != nil {
		return nil, err
	}
	if most > 0 && policySize(str(document)) > most {
		return nil, refuse("LimitExceeded", "Cannot exceed quota for %s: %d", quota, most)
	}
	return p, nil
}

func policySize(document string) int {
	n := 0
	for i := range len(document) {
		if !strings.ContainsRune(" \t\r\n", rune(document[i])) {
			n++
		}
	}
	return n
}

// encode writes a policy document as IAM shows it: percent-encoded
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html).
func encode(document string) *string {
	return ptr(strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
}

const maxTags = 50

// mergeTags gives the tags of a resource after some were set. Keys differ by more than letter case
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html).
func mergeTags(have []identity.Tag, set []types.Tag) ([]identity.Tag, error) {
	seen := map[string]bool{}
	merged := append([]identity.Tag(nil), have...)
	for i, t := range set {
		member := fmt.Sprintf("tags.%d.member", i+1)
		if err := checkLength(t.Key, member+".key", 1, 128); err != nil {
			return nil, err
		}
		if err := checkLength(t.Value, member+".value", 0, 256); err != nil {
			return nil, err
		}
		key := strings.ToLower(str(t.Key))
		if strings.HasPrefix(key, "aws:") {
			return nil, refuse("InvalidInput", "aws: prefixed tag keys are not allowed for external use.")
		}
		if seen[key] {
			return nil, refuse("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
		next := identity.Tag{Key: str(t.Key), Value: str(t.Value)}
		found := false
		for i := range merged {
			if strings.EqualFold(merged[i].Key, next.Key) {
				merged[i], found = next, true
			}
		}
		if !found {
			merged = append(merged, next)
		}
	}
	if len(merged) > maxTags {
		return nil, refuse("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	return merged, nil
}

// dropTags gives the tags of a resource after some were removed; a key that is not there is no error.
func dropTags(have []identity.Tag, keys []string) []identity.Tag {
	var left []identity.Tag
	for _, t := range have {
		drop := false
		for _, k := range keys {
			drop = drop || strings.EqualFold(k, t.Key)
		}
		if !drop {
			left = append(left, t)
		}
	}
	return left
}

func showTags(tags []identity.Tag) []types.Tag {
	list := make([]types.Tag, len(tags))
	for i, t := range tags {
		list[i] = types.Tag{Key: ptr(t.Key), Value: ptr(t.Value)}
	}
	return list
}

// page is the part of a list that a request asked for.
type page[T any] struct {
	items     []T
	truncated bool
	marker    *string
}

// paginate cuts a list, sorted by key, at what Marker and MaxItems say. A marker is the last key shown: a list that
// changes meanwhile neither repeats nor skips.
func paginate[T any](all []T, key func(T) string, marker *string, maxItems *int32) (page[T], error) {
	if err := checkRange(maxItems, "maxItems", 1, 1000); err != nil {
		return page[T]{}, err
	}
	most := 100
	if maxItems != nil {
		most = int(*maxItems)
	}
	if marker != nil {
		last, ok := decodeMarker(*marker)
		if !ok {
			return page[T]{}, refuse("ValidationError", "Invalid Marker.") // unverified
		}
		for len(all) > 0 && key(all[0]) <= last {
			all = all[1:]
		}
	}
	p := page[T]{items: append(make([]T, 0, min(len(all), most)), all[:min(len(all), most)]...)}
	if len(all) > most {
		p.truncated, p.marker = true, ptr(encodeMarker(key(all[most-1])))
	}
	return p, nil
}

// tagPage is the page of a list of tags, which stand in no order but their own.
func tagPage(tags []identity.Tag, marker *string, maxItems *int32) (page[types.Tag], error) {
	n := 0
	numbered := make(map[string]int, len(tags))
	for _, t := range tags {
		numbered[t.Key] = n
		n++
	}
	return paginate(showTags(tags), func(t types.Tag) string { return fmt.Sprintf("%03d", numbered[str(t.Key)]) }, marker, maxItems)
}

func noSuchRole(name string) *awswire.Error {
	return refuse("NoSuchEntity", "The role with name %s cannot be found.", name)
}
