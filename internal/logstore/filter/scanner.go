package filter

import (
	"regexp"
	"strings"
)

// scanner reads a pattern from left to right.
type scanner struct {
	text string
	pos  int
	// regexes and wildcards count what a pattern may have only so many of.
	regexes, wildcards int
}

func (s *scanner) end() bool { return s.pos >= len(s.text) }

// peek is the byte to be read next; 0 at the end.
func (s *scanner) peek() byte {
	if s.end() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) next() { s.pos++ }

func (s *scanner) space() {
	for !s.end() && isSpace(s.peek()) {
		s.next()
	}
}

// accept reads a literal if it comes next.
func (s *scanner) accept(literal string) bool {
	if strings.HasPrefix(s.text[s.pos:], literal) {
		s.pos += len(literal)
		return true
	}
	return false
}

// keyword reads a word of letters in any case, if it comes next.
func (s *scanner) keyword(word string) bool {
	rest := s.text[s.pos:]
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) ||
		len(rest) > len(word) && isWord(rune(rest[len(word)])) {
		return false
	}
	s.pos += len(word)
	return true
}

// until reads up to the first byte for which stop is true, or to the end.
func (s *scanner) until(stop func(byte) bool) string {
	start := s.pos
	for !s.end() && !stop(s.peek()) {
		s.next()
	}
	return s.text[start:s.pos]
}

// quoted reads what stands between double or single quotes; a backslash before a quote or a backslash takes its meaning.
func (s *scanner) quoted() (string, error) {
	start, quote := s.pos, s.peek()
	var b strings.Builder
	for s.next(); !s.end(); s.next() {
		switch c := s.peek(); {
		case c == quote:
			s.next()
			return b.String(), nil
		case c == '\\' && s.pos+1 < len(s.text) && (s.text[s.pos+1] == quote || s.text[s.pos+1] == '\\'):
			s.next()
			b.WriteByte(s.peek())
		default:
			b.WriteByte(c)
		}
	}
	return "", badTerm(s.text[start:])
}

const (
	// maxRegexes and maxWildcards are the user guide's quotas for a pattern. (It states the first for JSON and
	// space-delimited patterns and for searches.)
	maxRegexes   = 2
	maxWildcards = 3
)

// regex reads %...% and compiles it: letters, digits, the symbols and operators the guide lists, and spaces, which its
// examples have.
func (s *scanner) regex() (*regexp.Regexp, error) {
	start := s.pos
	s.next()
	var b strings.Builder
	for ; !s.end() && s.peek() != '%'; s.next() {
		c := s.peek()
		switch {
		case isWord(rune(c)), strings.IndexByte(":#=@/;,- ^$?[]}|*+.", c) >= 0:
			b.WriteByte(c)
		case c == '{':
			b.WriteByte(c)
			if s.pos+1 < len(s.text) && s.text[s.pos+1] == ',' {
				b.WriteByte('0') // Go's syntax wants both bounds of {,n}
			}
		case c == '\\' && s.pos+1 < len(s.text):
			s.next()
			c = s.peek()
			letter := isWord(rune(c)) && c != '_'
			if letter && strings.IndexByte("dDsSwWx", c) < 0 || !letter && strings.IndexByte(`^$?[]{}|\*+.:_#=@/;,-`, c) < 0 {
				return nil, badTerm(s.text[start:])
			}
			if c != '_' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		default:
			return nil, badTerm(s.text[start:])
		}
	}
	if s.end() {
		return nil, badTerm(s.text[start:])
	}
	s.next()
	if s.regexes++; s.regexes > maxRegexes {
		return nil, syntaxError("a pattern has at most %d regular expressions", maxRegexes)
	}
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, syntaxError("%v", err)
	}
	return re, nil
}
