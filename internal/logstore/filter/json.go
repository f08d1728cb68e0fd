package filter

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// test is a part of a JSON expression.
type test func(document any) bool

// maxNesting bounds parentheses within parentheses.
const maxNesting = 100

// jsonParser reads the inside of { ... }.
type jsonParser struct {
	scanner
	depth     int
	selectors []selector
}

func parseJSON(text string) (*Pattern, error) {
	p := &jsonParser{scanner: scanner{text: text}}
	t, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); !p.end() {
		return nil, badTerm(p.text[p.pos:])
	}
	return &Pattern{
		fields: true,
		match: func(message []byte) bool {
			document, ok := decode(message)
			return ok && t(document)
		},
		extract: func(message []byte) (map[string]string, bool) {
			values := map[string]string{}
			document, ok := decode(message)
			if !ok || !t(document) {
				return values, false
			}
			for _, s := range p.selectors {
				s.each(document, func(v any) bool {
					text, ok := scalar(v)
					if ok {
						values[s.text] = text
					}
					return !ok
				})
			}
			return values, true
		},
	}, nil
}

// decode reads a message that is one JSON value.
func decode(message []byte) (any, bool) {
	message = bytes.TrimSpace(message)
	if len(message) == 0 || message[0] != '{' && message[0] != '[' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return document, err == io.EOF
}

func (p *jsonParser) or() (test, error) {
	left, err := p.and()
	for err == nil {
		if p.space(); !p.accept("||") {
			return left, nil
		}
		var right test
		right, err = p.and()
		l := left
		left = func(d any) bool { return l(d) || right(d) }
	}
	return nil, err
}

func (p *jsonParser) and() (test, error) {
	left, err := p.operand()
	for err == nil {
		if p.space(); !p.accept("&&") {
			return left, nil
		}
		var right test
		right, err = p.operand()
		l := left
		left = func(d any) bool { return l(d) && right(d) }
	}
	return nil, err
}

func (p *jsonParser) operand() (test, error) {
	if p.space(); !p.accept("(") {
		return p.comparison()
	}
	if p.depth++; p.depth > maxNesting {
		return nil, syntaxError("parentheses are nested too deep")
	}
	t, err := p.or()
	p.depth--
	if err != nil {
		return nil, err
	}
	if p.space(); !p.accept(")") {
		return nil, badTerm(p.text[p.pos:])
	}
	return t, nil
}

func (p *jsonParser) comparison() (test, error) {
	s, err := p.selector()
	if err != nil {
		return nil, err
	}
	p.selectors = append(p.selectors, s)
	p.space()
	switch {
	case p.keyword("IS"):
		p.space()
		for word, value := range map[string]any{"NULL": nil, "TRUE": true, "FALSE": false} {
			if p.keyword(word) {
				return func(d any) bool { return s.any(d, func(v any) bool { return v == value }) }, nil
			}
		}
		return nil, badTerm(p.text[p.pos:])
	case p.keyword("NOT"):
		if p.space(); !p.keyword("EXISTS") {
			return nil, badTerm(p.text[p.pos:])
		}
		return func(d any) bool { return !s.any(d, func(any) bool { return true }) }, nil
	}
	op, ok := p.readOperator()
	if !ok {
		return nil, badTerm(p.text[p.pos:])
	}
	c, err := p.condition(op, func(b byte) bool { return strings.IndexByte("()&|", b) >= 0 })
	if err != nil {
		return nil, err
	}
	return func(d any) bool {
		return s.any(d, func(v any) bool {
			if _, isText := v.(string); isText && op != "=" && op != "!=" {
				return false
			}
			text, ok := scalar(v)
			return ok && c.holds(text)
		})
	}, nil
}

// scalar is the text of a value node; arrays, objects and null have none.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// selector is the way to a property: $.name, $.name[0], $.['dotted.name'], with * for any one step.
type selector struct {
	text  string
	steps []step
}

type step struct {
	name  string // of a member, if index is -1
	index int
	any   bool
}

func (p *jsonParser) selector() (s selector, err error) {
	start := p.pos
	bad := func() (selector, error) { return s, badTerm(p.text[start:]) }
	if !p.accept("$") {
		return bad()
	}
	wildcards := 0
	for {
		var st step
		switch {
		case p.accept(".[") || p.accept("["):
			switch c := p.peek(); {
			case c == '\'' || c == '"':
				if st.name, err = p.quoted(); err != nil {
					return s, err
				}
				st.index = -1
			case c == '*':
				p.next()
				st.any = true
			default:
				number := p.until(func(b byte) bool { return b < '0' || b > '9' })
				if st.index, err = strconv.Atoi(number); err != nil {
					return bad()
				}
			}
			if !p.accept("]") {
				return bad()
			}
		case p.accept(".*"):
			st.any = true
		case p.accept("."):
			st.index = -1
			st.name = p.until(func(b byte) bool { return !isWord(rune(b)) && b != '-' })
			if st.name == "" {
				return bad()
			}
		default:
			s.text = p.text[start:p.pos]
			if len(s.steps) == 0 {
				return bad()
			}
			p.wildcards += wildcards
			if wildcards > 1 || p.wildcards > maxWildcards {
				return s, syntaxError("a selector has at most one wildcard, a pattern at most %d", maxWildcards)
			}
			return s, nil
		}
		if st.any {
			wildcards++
		}
		s.steps = append(s.steps, st)
	}
}

// each calls fn for every node the selector leads to until it returns false.
func (s *selector) each(document any, fn func(any) bool) {
	walk(document, s.steps, fn)
}

// any says whether there is a node for which fn is true.
func (s *selector) any(document any, fn func(any) bool) (found bool) {
	s.each(document, func(v any) bool {
		found = fn(v)
		return !found
	})
	return found
}

func walk(v any, steps []step, fn func(any) bool) bool {
	if len(steps) == 0 {
		return fn(v)
	}
	st, rest := steps[0], steps[1:]
	switch v := v.(type) {
	case map[string]any:
		if st.any {
			for _, member := range v {
				if !walk(member, rest, fn) {
					return false
				}
			}
		} else if member, ok := v[st.name]; ok && st.index < 0 {
			return walk(member, rest, fn)
		}
	case []any:
		if st.any {
			for _, element := range v {
				if !walk(element, rest, fn) {
					return false
				}
			}
		} else if st.index >= 0 && st.index < len(v) {
			return walk(v[st.index], rest, fn)
		}
	}
	return true
}
