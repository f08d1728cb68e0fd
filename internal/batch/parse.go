package batch

import (
	"bytes"
	"encoding/json"
)

// parser reads a JSON text into the values that object describes. It takes what encoding/json takes, and gives what that
// gives with UseNumber, without reading everything twice and by reflection: every SubmitJob parses a job definition.
type parser struct {
	text []byte
	at   int
}

// maxNesting is encoding/json's own bound.
const maxNesting = 10000

// next is the byte after white space, 0 at the end.
func (p *parser) next() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// skip goes over one byte, which must come next after white space.
func (p *parser) skip(c byte) bool {
	if p.next() != c {
		return false
	}
	p.at++
	return true
}

// value reads a value inside depth others; null is nil. It says false where there is none.
func (p *parser) value(depth int) (any, bool) {
	switch c := p.next(); {
	case depth == maxNesting && (c == '{' || c == '['):
		return nil, false
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"':
		return p.str()
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	default:
		return p.number()
	}
}

func (p *parser) word(w string) bool {
	if !bytes.HasPrefix(p.text[p.at:], []byte(w)) {
		return false
	}
	p.at += len(w)
	return true
}

// object leaves out members that are null. Of members of one name the last counts.
func (p *parser) object(depth int) (map[string]any, bool) {
	p.at++
	o := map[string]any{}
	if p.skip('}') {
		return o, true
	}
	for {
		if p.next() != '"' {
			return nil, false
		}
		name, ok := p.str()
		if !ok || !p.skip(':') {
			return nil, false
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		if v == nil {
			delete(o, name)
		} else {
			o[name] = v
		}
		if !p.skip(',') {
			return o, p.skip('}')
		}
	}
}

// list leaves out entries that are null.
func (p *parser) list(depth int) ([]any, bool) {
	p.at++
	l := []any{}
	if p.skip(']') {
		return l, true
	}
	for {
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		if v != nil {
			l = append(l, v)
		}
		if !p.skip(',') {
			return l, p.skip(']')
		}
	}
}

// str reads a string, whose first quotation mark comes next. Escapes and what is not ASCII are encoding/json's business.
func (p *parser) str() (string, bool) {
	plain := true
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			token := p.text[p.at : i+1]
			p.at = i + 1
			if plain {
				return string(token[1 : len(token)-1]), true
			}
			var s string
			return s, json.Unmarshal(token, &s) == nil
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return "", false
		case c >= 0x80:
			plain = false
		}
	}
	return "", false
}

func (p *parser) number() (json.Number, bool) {
	from := p.at
	for p.at < len(p.text) && bytes.IndexByte([]byte("+-.0123456789Ee"), p.text[p.at]) >= 0 {
		p.at++
	}
	token := p.text[from:p.at]
	return json.Number(token), json.Valid(token)
}
