package logs

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/batchbox/batchbox/internal/logstore/index"
)

// checks collects what is wrong with a request's members and says it as AWS does: "2 validation errors detected: Value ”
// at 'logGroupNamePrefix' failed to satisfy constraint: Member must ...; Value ..." (public error reports).
type checks struct {
	wrong []string
	// first is an error with a text of its own.
	first error
}

func (v *checks) add(value any, member, constraint string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf("Value '%v' at '%s' failed to satisfy constraint: Member must %s", value, member, fmt.Sprintf(constraint, args...)))
}

func (v *checks) err() error {
	switch {
	case v.first != nil:
		return v.first
	case len(v.wrong) == 0:
		return nil
	}
	plural := "s"
	if len(v.wrong) == 1 {
		plural = ""
	}
	return refuse(codeInvalid, "%d validation error%s detected: %s", len(v.wrong), plural, strings.Join(v.wrong, "; "))
}

// length checks the number of characters.
func (v *checks) length(member, value string, least, most int) {
	switch n := utf8.RuneCountInString(value); {
	case n < least:
		v.add(value, member, "have length greater than or equal to %d", least)
	case n > most:
		v.add(value, member, "have length less than or equal to %d", most)
	}
}

// count checks the number of elements; how they are shown is unverified.
func (v *checks) count(member string, n, least, most int) {
	switch {
	case n < least:
		v.add("[]", member, "have length greater than or equal to %d", least)
	case n > most:
		v.add("[...]", member, "have length less than or equal to %d", most)
	}
}

func (v *checks) number(member string, value *int32, least, most int32) {
	switch {
	case value == nil:
	case *value < least:
		v.add(*value, member, "have value greater than or equal to %d", least)
	case *value > most:
		v.add(*value, member, "have value less than or equal to %d", most)
	}
}

func (v *checks) instant(member string, ms *int64) {
	if ms != nil && *ms < 0 {
		v.add(*ms, member, "have value greater than or equal to 0")
	}
}

func (v *checks) pattern(member, value string, re *regexp.Regexp) {
	if !re.MatchString(value) {
		v.add(value, member, "satisfy regular expression pattern: %s", strings.TrimSuffix(strings.TrimPrefix(re.String(), "^"), "$"))
	}
}

func (v *checks) oneOf(member, value string, set ...string) {
	for _, s := range set {
		if value == s {
			return
		}
	}
	v.add(value, member, "satisfy enum value set: [%s]", strings.Join(set, ", "))
}

// The patterns of the API reference.
var (
	groupNames  = index.GroupNames
	streamNames = regexp.MustCompile(`^[^:*]*$`)
	tagKeys     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$`) })
	tagValues   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`) })
)

const maxName = index.MaxName

// tooLong is what AWS says of names of groups and streams over 512 characters, before anything else.
func (v *checks) tooLong(value string) bool {
	if utf8.RuneCountInString(value) <= maxName {
		return false
	}
	v.first = refuse(codeInvalid, "Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	return true
}

func (v *checks) groupName(member, value string) {
	if v.tooLong(value) {
		return
	}
	v.pattern(member, value, groupNames)
	v.length(member, value, 1, maxName)
}

func (v *checks) streamName(member, value string) {
	if v.tooLong(value) {
		return
	}
	v.pattern(member, value, streamNames)
	v.length(member, value, 1, maxName)
}

func (v *checks) tags(tags map[string]string) {
	if len(tags) > maxTags {
		v.count("tags", len(tags), 1, maxTags)
	}
	for k, value := range tags {
		v.tagKey("tags", k)
		v.length("tags", value, 0, 256)
		v.pattern("tags", value, tagValues())
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			v.first = refuse(codeInvalid, "Tag keys beginning with aws: are reserved for AWS.") // unverified
		}
	}
}

func (v *checks) tagKey(member, k string) {
	v.length(member, k, 1, 128)
	v.pattern(member, k, tagKeys())
}

// maxTags is how many tags a resource may have (API reference, TagResource).
const maxTags = 50
