package filter

import (
	"regexp"
	"strconv"
	"strings"
)

// operator compares a field with a value of the pattern.
type operator string

// readOperator reads =, !=, <, <=, > or >=.
func (s *scanner) readOperator() (operator, bool) {
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if s.accept(op) {
			return operator(op), true
		}
	}
	return "", false
}

// condition is an operator and what stands to its right: a text, perhaps with wildcards at its ends, which may also be
// a number, or a regular expression.
type condition struct {
	op             operator
	regex          *regexp.Regexp
	text           string
	prefix, suffix bool // an asterisk before, behind text
	isNumber       bool
	number         float64
}

// condition reads the value of a comparison. stop says which bytes end a value without quotes.
func (s *scanner) condition(op operator, stop func(byte) bool) (c condition, err error) {
	c.op = op
	s.space()
	switch s.peek() {
	case '%':
		if op != "=" && op != "!=" {
			return c, badTerm(s.text[s.pos:])
		}
		c.regex, err = s.regex()
		return c, err
	case '"':
		if c.text, err = s.quoted(); err != nil {
			return c, err
		}
	default:
		c.text = s.until(func(b byte) bool { return isSpace(b) || stop(b) })
		if c.text == "" || strings.IndexFunc(c.text, func(r rune) bool { return !isWord(r) && !strings.ContainsRune("*.+-:/", r) }) >= 0 {
			return c, badTerm(c.text)
		}
		c.number, c.isNumber = parseNumber(c.text)
	}
	if op != "=" && op != "!=" {
		if !c.isNumber {
			return c, badTerm(c.text)
		}
		return c, nil
	}
	// "You can use the asterisk [...] to match any text at, before, or after a search term": one within is an asterisk.
	if c.text, c.prefix = strings.CutPrefix(c.text, "*"); c.text != "" || !c.prefix {
		c.text, c.suffix = strings.CutSuffix(c.text, "*")
	}
	return c, nil
}

// holds says whether a field's text satisfies the condition.
func (c *condition) holds(field string) bool {
	switch c.op {
	case "=":
		return c.equals(field)
	case "!=":
		return !c.equals(field)
	}
	n, ok := parseNumber(field)
	if !ok {
		return false
	}
	switch c.op {
	case "<":
		return n < c.number
	case "<=":
		return n <= c.number
	case ">":
		return n > c.number
	default:
		return n >= c.number
	}
}

func (c *condition) equals(field string) bool {
	switch {
	case c.regex != nil:
		return c.regex.MatchString(field)
	case c.prefix && c.suffix:
		return strings.Contains(field, c.text)
	case c.prefix:
		return strings.HasSuffix(field, c.text)
	case c.suffix:
		return strings.HasPrefix(field, c.text)
	case field == c.text:
		return true
	case c.isNumber:
		n, ok := parseNumber(field)
		return ok && n == c.number
	}
	return false
}

// parseNumber reads a decimal with an optional sign and exponent, and nothing else that Go would take for a number.
func parseNumber(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
