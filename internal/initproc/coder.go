package initproc

import "errors"

// errShort reports a message that ends before its last member, or that goes on after it.
var errShort = errors.New("initproc: malformed message")

// coder writes or reads messages: one description of a message's members serves both directions. Numbers are base-128
// varints; strings and lists are preceded by their length.
type coder struct {
	buf     []byte
	reading bool
	err     error
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		n := *v
		for n >= 0x80 {
			c.buf = append(c.buf, byte(n)|0x80)
			n >>= 7
		}
		c.buf = append(c.buf, byte(n))
		return
	}
	var n uint64
	for i, shift := 0, uint(0); i < len(c.buf) && shift < 64; i, shift = i+1, shift+7 {
		b := c.buf[i]
		if shift == 63 && b > 1 {
			break
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			c.buf = c.buf[i+1:]
			*v = n
			return
		}
	}
	c.fail()
}

func (c *coder) fail() {
	c.err, c.buf = errShort, nil
}

// int holds any int, negative ones in two's complement.
func (c *coder) int(v *int) {
	n := uint64(*v)
	c.uint(&n)
	if c.reading {
		*v = int(n)
	}
}

func (c *coder) bool(v *bool) {
	var n uint64
	if *v {
		n = 1
	}
	c.uint(&n)
	if c.reading {
		*v = n != 0
	}
}

// length codes the number of elements to come, each of at least one byte, so that a hostile length costs no memory.
func (c *coder) length(have int) int {
	n := uint64(have)
	c.uint(&n)
	if c.reading && n > uint64(len(c.buf)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *coder) string(v *string) {
	n := c.length(len(*v))
	if !c.reading {
		c.buf = append(c.buf, *v...)
		return
	}
	if c.err == nil {
		*v, c.buf = string(c.buf[:n]), c.buf[n:]
	}
}

func (c *coder) bytes(v *[]byte) {
	n := c.length(len(*v))
	if !c.reading {
		c.buf = append(c.buf, *v...)
		return
	}
	if c.err == nil && n > 0 {
		*v, c.buf = append([]byte(nil), c.buf[:n]...), c.buf[n:]
	}
}

func (c *coder) strings(v *[]string) { list(c, v, c.string) }

func list[T any](c *coder, v *[]T, element func(*T)) {
	n := c.length(len(*v))
	if c.reading {
		if n == 0 || c.err != nil {
			return
		}
		*v = make([]T, n)
	}
	for i := range *v {
		element(&(*v)[i])
		if c.err != nil {
			return
		}
	}
}

// message is something a coder can write and read.
type message interface{ code(*coder) }

func appendMessage(b []byte, m message) []byte {
	c := coder{buf: b}
	m.code(&c)
	return c.buf
}

func readMessage(b []byte, m message) error {
	c := coder{buf: b, reading: true}
	m.code(&c)
	if c.err == nil && len(c.buf) > 0 {
		return errShort
	}
	return c.err
}
