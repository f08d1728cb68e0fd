package filter

import (
	"strconv"
	"strings"
)

// field is one field of a space-delimited pattern: an ellipsis, or a name, which may be missing, and conditions. A value
// satisfies them if it satisfies all conditions of one of the alternatives.
type field struct {
	ellipsis     bool
	name         string
	alternatives [][]condition
}

// fieldPattern is [a, b=1, ..., c].
type fieldPattern struct {
	fields   []field
	ellipsis int // its index in fields; -1 if there is none
}

func parseFields(text string) (*Pattern, error) {
	s := &scanner{text: text}
	p := &fieldPattern{ellipsis: -1}
	for {
		f, err := s.field()
		if err != nil {
			return nil, err
		}
		if f.ellipsis {
			if p.ellipsis >= 0 {
				return nil, syntaxError("a pattern has at most one ellipsis")
			}
			p.ellipsis = len(p.fields)
		}
		p.fields = append(p.fields, f)
		s.space()
		if s.end() {
			break
		}
		if !s.accept(",") {
			return nil, badTerm(s.text[s.pos:])
		}
	}
	return &Pattern{
		fields:  true,
		match:   func(message []byte) bool { _, ok := p.bind(string(message)); return ok },
		extract: func(message []byte) (map[string]string, bool) { return p.extract(string(message)) },
	}, nil
}

// field reads up to a comma or the end.
func (s *scanner) field() (f field, err error) {
	s.space()
	if s.accept("...") || s.accept("…") {
		f.ellipsis = true
		return f, nil
	}
	f.name = s.until(func(b byte) bool { return !isWord(rune(b)) && b != '-' })
	s.space()
	if s.end() || s.peek() == ',' {
		return f, nil
	}
	if f.name == "" {
		return f, badTerm(s.text[s.pos:])
	}
	alternative := []condition{}
	for {
		op, ok := s.readOperator()
		if !ok {
			return f, badTerm(s.text[s.pos:])
		}
		c, err := s.condition(op, func(b byte) bool { return strings.IndexByte(",&|", b) >= 0 })
		if err != nil {
			return f, err
		}
		alternative = append(alternative, c)
		s.space()
		switch {
		case s.accept("&&"):
		case s.accept("||"):
			f.alternatives = append(f.alternatives, alternative)
			alternative = []condition{}
		default:
			f.alternatives = append(f.alternatives, alternative)
			return f, nil
		}
		s.space()
		start := s.pos
		if name := s.until(func(b byte) bool { return !isWord(rune(b)) && b != '-' }); name != f.name {
			return f, badTerm(s.text[start:])
		}
		s.space()
	}
}

func (f *field) holds(value string) bool {
	for _, alternative := range f.alternatives {
		all := true
		for i := range alternative {
			all = all && alternative[i].holds(value)
		}
		if all {
			return true
		}
	}
	return len(f.alternatives) == 0
}

// bind gives each field its value: values[i] belongs to position i of the message, which is fields[i] before an ellipsis
// and counted from the end behind it. ok is false if the message is not wanted.
func (p *fieldPattern) bind(message string) (values []string, ok bool) {
	if p.ellipsis < 0 {
		values = split(message, len(p.fields))
		if len(values) < len(p.fields) {
			return nil, false
		}
	} else {
		values = split(message, 0)
		if len(values) < len(p.fields)-1 {
			return nil, false
		}
	}
	for i := range p.fields {
		if f := &p.fields[i]; !f.ellipsis && !f.holds(values[p.position(i, len(values))]) {
			return nil, false
		}
	}
	return values, true
}

// position is where the value of field i stands among n.
func (p *fieldPattern) position(i, n int) int {
	if p.ellipsis >= 0 && i > p.ellipsis {
		return n - (len(p.fields) - i)
	}
	return i
}

func (p *fieldPattern) extract(message string) (map[string]string, bool) {
	extracted := map[string]string{}
	values, ok := p.bind(message)
	if !ok {
		return extracted, false
	}
	for i, v := range values {
		extracted["$"+strconv.Itoa(i+1)] = v
	}
	for i, f := range p.fields {
		if f.name != "" {
			at := p.position(i, len(values))
			delete(extracted, "$"+strconv.Itoa(at+1))
			extracted["$"+f.name] = values[at]
		}
	}
	return extracted, true
}

// split cuts a message at its spaces, save for those between brackets or double quotes, which it removes. With n > 0 the
// n-th part is the rest of the message.
func split(message string, n int) (parts []string) {
	for {
		message = strings.TrimLeft(message, " \t\r\n")
		if message == "" {
			return parts
		}
		if n > 0 && len(parts) == n-1 {
			part, rest := cutPart(message)
			if strings.TrimSpace(rest) != "" {
				part = strings.TrimRight(message, " \t\r\n")
			}
			return append(parts, part)
		}
		var part string
		part, message = cutPart(message)
		parts = append(parts, part)
	}
}

func cutPart(message string) (part, rest string) {
	closing := map[byte]byte{'[': ']', '"': '"'}[message[0]]
	if closing != 0 {
		if end := strings.IndexByte(message[1:], closing); end >= 0 && (end+2 == len(message) || isSpace(message[end+2])) {
			return message[1 : 1+end], message[end+2:]
		}
	}
	if end := strings.IndexAny(message, " \t\r\n"); end >= 0 {
		return message[:end], message[end:]
	}
	return message, ""
}
