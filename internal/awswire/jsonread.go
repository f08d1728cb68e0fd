package awswire

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body. The deepest shape of the services spoken here has fewer than 15 levels.
const maxDepth = 64

// jsonReader reads the tokens of one JSON text strictly by RFC 8259, without building a tree. Its methods panic with
// *problem, which decodeJSON recovers: a reader is never used outside it.
type jsonReader struct {
	b     []byte
	i     int
	depth int
	buf   []byte // for strings with escapes
}

func (r *jsonReader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

// peek gives the first byte of the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	r.space()
	if r.i == len(r.b) {
		return 0
	}
	return r.b[r.i]
}

func (r *jsonReader) fail(want string) {
	if r.i >= len(r.b) {
		panic(malformedf("the body is not valid JSON: it ends where %s was expected", want))
	}
	line, col := 1, 1
	for _, c := range r.b[:r.i] {
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	c, _ := utf8.DecodeRune(r.b[r.i:])
	panic(malformedf("the body is not valid JSON: %q at line %d, column %d where %s was expected", c, line, col, want))
}

// open steps into an object or array; it says false if that is empty (and then is through with it).
func (r *jsonReader) open(end byte) bool {
	r.i++
	if r.depth++; r.depth > maxDepth {
		panic(malformedf("the body is nested deeper than %d levels", maxDepth))
	}
	if r.peek() == end {
		r.i++
		r.depth--
		return false
	}
	return true
}

// more steps over the comma after a value, or over the end; it says whether another value follows.
func (r *jsonReader) more(end byte) bool {
	switch r.peek() {
	case ',':
		r.i++
		return true
	case end:
		r.i++
		r.depth--
		return false
	}
	if end == '}' {
		r.fail("',' or '}'")
	}
	r.fail("',' or ']'")
	return false
}

// key reads a member's name and the colon. The bytes are valid until the next string is read.
func (r *jsonReader) key() []byte {
	if r.peek() != '"' {
		r.fail("a member name")
	}
	k := r.string()
	if r.peek() != ':' {
		r.fail("':'")
	}
	r.i++
	return k
}

// string reads a string token. The bytes are valid until the next string is read.
func (r *jsonReader) string() []byte {
	r.i++
	start := r.i
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case c == '"':
			s := r.b[start:r.i]
			r.i++
			return s
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			r.fail("no control character in a string")
		default:
			r.i++
		}
	}
	r.fail("the end of a string")
	return nil
}

// escaped reads on from the first backslash of a string that began at start.
func (r *jsonReader) escaped(start int) []byte {
	r.buf = append(r.buf[:0], r.b[start:r.i]...)
	for r.i < len(r.b) {
		c := r.b[r.i]
		switch {
		case c == '"':
			r.i++
			return r.buf
		case c < ' ':
			r.fail("no control character in a string")
		case c != '\\':
			r.buf = append(r.buf, c)
			r.i++
		default:
			r.i++
			r.escape()
		}
	}
	r.fail("the end of a string")
	return nil
}

func (r *jsonReader) escape() {
	if r.i == len(r.b) {
		r.fail("an escape")
	}
	c := r.b[r.i]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r.i++
		u := r.hex4()
		if utf16.IsSurrogate(u) {
			if r.i+1 >= len(r.b) || r.b[r.i] != '\\' || r.b[r.i+1] != 'u' {
				r.fail("the second half of a surrogate pair")
			}
			r.i += 2
			if u = utf16.DecodeRune(u, r.hex4()); u == utf8.RuneError {
				r.i -= 4
				r.fail("the second half of a surrogate pair")
			}
		}
		r.buf = utf8.AppendRune(r.buf, u)
		return
	default:
		r.fail("an escape")
	}
	r.buf = append(r.buf, c)
	r.i++
}

func (r *jsonReader) hex4() rune {
	var u rune
	for range 4 {
		if r.i == len(r.b) {
			r.fail("a hexadecimal digit")
		}
		c := r.b[r.i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			r.fail("a hexadecimal digit")
		}
		u = u<<4 | rune(c)
		r.i++
	}
	return u
}

// number reads a number token; whole says that it has neither fraction nor exponent.
func (r *jsonReader) number() (text []byte, whole bool) {
	start := r.i
	if r.at('-') {
		r.i++
	}
	switch {
	case r.at('0'):
		r.i++
	default:
		r.digits()
	}
	whole = true
	if r.at('.') {
		r.i++
		r.digits()
		whole = false
	}
	if r.at('e') || r.at('E') {
		r.i++
		if r.at('+') || r.at('-') {
			r.i++
		}
		r.digits()
		whole = false
	}
	return r.b[start:r.i], whole
}

func (r *jsonReader) at(c byte) bool { return r.i < len(r.b) && r.b[r.i] == c }

func (r *jsonReader) digits() {
	start := r.i
	for r.i < len(r.b) && '0' <= r.b[r.i] && r.b[r.i] <= '9' {
		r.i++
	}
	if r.i == start {
		r.fail("a digit")
	}
}

// literal reads true, false or null.
func (r *jsonReader) literal(word string) {
	for i := range len(word) {
		if !r.at(word[i]) {
			r.fail(word)
		}
		r.i++
	}
}

// null reads a null if the next token is one.
func (r *jsonReader) null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.literal("null")
	return true
}

// skip reads over one value of any kind.
func (r *jsonReader) skip() {
	switch c := r.peek(); {
	case c == '{':
		for ok := r.open('}'); ok; ok = r.more('}') {
			r.key()
			r.skip()
		}
	case c == '[':
		for ok := r.open(']'); ok; ok = r.more(']') {
			r.skip()
		}
	case c == '"':
		r.string()
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	case c == '-' || '0' <= c && c <= '9':
		r.number()
	default:
		r.fail("a value")
	}
}

// end demands that nothing follows the value.
func (r *jsonReader) end() {
	if r.peek() != 0 || r.i < len(r.b) {
		r.fail("the end of the body")
	}
}
