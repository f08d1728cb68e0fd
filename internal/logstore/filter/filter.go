// Package filter implements the filter patterns of CloudWatch Logs, which FilterLogEvents and metric filters share (User
// Guide, "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail"): terms,
// JSON expressions and space-delimited fields. It is pure.
//
// Where the guide is silent this package decides as follows; all of it is unverified. A number in a pattern equals a
// field's text if both are the same number or the same text; true and false compare as text. The operators <, <=, > and
// >= need numbers on both sides. A comparison with a field that is missing, null, an array or an object is false, for
// != too. The last field of a space-delimited pattern without an ellipsis takes the rest of the message.
package filter

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLength is the longest pattern, in characters (API reference, FilterLogEvents).
const MaxLength = 1024

// SyntaxError is why a pattern is refused: Detail in AWS's words where they are known (from public error reports), else
// empty or in ours.
type SyntaxError struct {
	Detail string
}

func (e *SyntaxError) Error() string {
	if e.Detail == "" {
		return "Invalid filter pattern"
	}
	return "Invalid filter pattern: " + e.Detail
}

func syntaxError(format string, args ...any) error {
	return &SyntaxError{fmt.Sprintf(format, args...)}
}

func badTerm(term string) error { return syntaxError("Invalid character(s) in term '%s'", term) }

// Pattern is a compiled pattern. It is safe for concurrent use.
type Pattern struct {
	match   func(message []byte) bool
	extract func(message []byte) (map[string]string, bool)
	fields  bool
}

// Match says whether a message is wanted.
func (p *Pattern) Match(message []byte) bool { return p.match == nil || p.match(message) }

// MatchesAll says that every message is wanted.
func (p *Pattern) MatchesAll() bool { return p.match == nil }

// HasFields says whether the pattern names fields of messages: a JSON or a space-delimited one.
func (p *Pattern) HasFields() bool { return p.fields }

// Extract returns the values of the fields of a message that the pattern names, as TestMetricFilter shows them, and
// whether the message is wanted.
func (p *Pattern) Extract(message []byte) (values map[string]string, matched bool) {
	if p.extract == nil {
		return map[string]string{}, p.Match(message)
	}
	return p.extract(message)
}

// Parse compiles a pattern. Its errors are *SyntaxError.
func Parse(pattern string) (*Pattern, error) {
	if utf8.RuneCountInString(pattern) > MaxLength {
		return nil, syntaxError("a pattern has at most %d characters", MaxLength)
	}
	text := strings.TrimSpace(pattern)
	switch {
	case text == "":
		return &Pattern{}, nil
	case text[0] == '{':
		if text[len(text)-1] != '}' || len(text) < 2 {
			return nil, syntaxError("If a filter pattern starts with '{' it must end with '}'")
		}
		return parseJSON(text[1 : len(text)-1])
	case text[0] == '[':
		if text[len(text)-1] != ']' || len(text) < 2 {
			return nil, syntaxError("If a filter pattern starts with '[' it must end with ']'")
		}
		return parseFields(text[1 : len(text)-1])
	default:
		return parseTerms(text)
	}
}

// terms is a pattern of words: all of include, none of exclude; if both are empty, one of optional.
type terms struct {
	include, exclude, optional []func([]byte) bool
}

func parseTerms(text string) (*Pattern, error) {
	s := &scanner{text: text}
	var t terms
	for s.space(); !s.end(); s.space() {
		list := &t.include
		switch s.peek() {
		case '-':
			s.next()
			s.space()
			list = &t.exclude
		case '?':
			s.next()
			list = &t.optional
		}
		term, err := s.term()
		if err != nil {
			return nil, err
		}
		*list = append(*list, term)
	}
	// "If you combine '?' with other filter patterns, all question mark terms will be ignored."
	if len(t.include)+len(t.exclude) > 0 {
		t.optional = nil
	}
	return &Pattern{match: t.match}, nil
}

func (t *terms) match(message []byte) bool {
	for _, m := range t.exclude {
		if m(message) {
			return false
		}
	}
	for _, m := range t.include {
		if !m(message) {
			return false
		}
	}
	for _, m := range t.optional {
		if m(message) {
			return true
		}
	}
	return len(t.optional) == 0
}

// term reads a word, a quoted phrase or a regular expression.
func (s *scanner) term() (func([]byte) bool, error) {
	switch s.peek() {
	case '"':
		phrase, err := s.quoted()
		if err != nil {
			return nil, err
		}
		if phrase == "" {
			return nil, badTerm(`""`)
		}
		if strings.TrimSpace(phrase) == "" {
			return func([]byte) bool { return true }, nil // "You can match everything [...] with" `" "`
		}
		return contains(phrase), nil
	case '%':
		re, err := s.regex()
		if err != nil {
			return nil, err
		}
		return re.Match, nil
	}
	word := s.until(func(c byte) bool { return isSpace(c) })
	if word == "" || strings.IndexFunc(word, func(r rune) bool { return !isWord(r) }) >= 0 {
		return nil, badTerm(word)
	}
	return contains(word), nil
}

func contains(s string) func([]byte) bool {
	b := []byte(s)
	return func(message []byte) bool { return bytes.Contains(message, b) }
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
