package index

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"math/bits"
	"strings"
)

// position is a place in the order of all events: its timestamp, then where it stands in the segments. It is a number of
// 192 bits, most significant first, and looks as the event ids of CloudWatch Logs do, whose upper bits are the timestamp
// in milliseconds as well (seen in public transcripts: 38618126044626616686675106431117400846423084883354451968 is
// 2024-11-15T18:51:03.086Z shifted by 144 bits).
//
//	timestamp 48 | segment number 32 | segment owner 24 | record offset 40 | event in record 24 | 0... 24
//
// A record is at most 4 MiB and an event at least two bytes, so its number fits.
//
// As a gap in a stream (the tokens of GetLogEvents), it stands before the event it names; an event number beyond the
// record's last stands behind all of them. The lowest 24 bits of an event's own position are zero, so that next and
// previous make bounds that lie between events.
type position [3]uint64

// maxTimestamp is the last one a position holds.
const maxTimestamp = 1<<48 - 1

func ownerHash(owner string) uint64 {
	h := fnv.New32a()
	h.Write([]byte(owner))
	return uint64(h.Sum32()) & 0xffffff
}

// at is the position of an event of the segment with the given name.
func at(timestamp int64, n uint32, owner uint64, offset int64, event int) position {
	return position{
		uint64(timestamp)<<16 | uint64(n)>>16,
		uint64(n)<<48 | owner<<24 | uint64(offset)>>16,
		uint64(offset)<<48 | uint64(event)<<24,
	}
}

func (p position) timestamp() int64 { return int64(p[0] >> 16) }

func (p position) segment() (n uint32, owner uint64) {
	return uint32(p[0]<<16 | p[1]>>48), p[1] >> 24 & 0xffffff
}

func (p position) offset() int64 { return int64((p[1]&0xffffff)<<16 | p[2]>>48) }
func (p position) event() int    { return int(p[2] >> 24 & 0xffffff) }

func (p position) compare(q position) int {
	for i := range p {
		if p[i] != q[i] {
			if p[i] < q[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// next and previous are the bounds right behind and right before p.
func (p position) next() position {
	var c uint64
	p[2], c = bits.Add64(p[2], 1, 0)
	p[1], c = bits.Add64(p[1], 0, c)
	p[0], _ = bits.Add64(p[0], 0, c)
	return p
}

func (p position) previous() position {
	var b uint64
	p[2], b = bits.Sub64(p[2], 1, 0)
	p[1], b = bits.Sub64(p[1], 0, b)
	p[0], _ = bits.Sub64(p[0], 0, b)
	return p
}

// first is the bound before all events of a timestamp, last the one behind them.
func first(timestamp int64) position { return position{uint64(timestamp) << 16} }
func last(timestamp int64) position {
	return position{uint64(timestamp)<<16 | 0xffff, ^uint64(0), ^uint64(0)}
}

// digits is how many digits the ids of events of this century have.
const digits = 56

// String is the position in decimal, padded to 56 digits.
func (p position) String() string {
	var b [58]byte // as many as 2^192 has
	i := len(b)
	const chunk = 1e19
	for range 3 {
		var r uint64
		p[0], r = p[0]/chunk, p[0]%chunk
		p[1], r = bits.Div64(r, p[1], chunk)
		p[2], r = bits.Div64(r, p[2], chunk)
		for range 19 {
			i--
			b[i] = '0' + byte(r%10)
			r /= 10
		}
	}
	i--
	b[i] = '0' + byte(p[2])
	for i < len(b)-digits && b[i] == '0' {
		i++
	}
	return string(b[i:])
}

// parsePosition reads what String made.
func parsePosition(s string) (p position, ok bool) {
	if len(s) < digits || len(s) > 58 {
		return p, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return p, false
		}
		carry := uint64(c - '0')
		for i := 2; i >= 0; i-- {
			hi, lo := bits.Mul64(p[i], 10)
			var c1 uint64
			p[i], c1 = bits.Add64(lo, carry, 0)
			carry = hi + c1
		}
		if carry != 0 {
			return p, false
		}
	}
	return p, true
}

// A gap token is "f/<digits>/s" for what follows a gap in a stream and "b/<digits>/s" for what comes before it, the form
// GetLogEvents' tokens have in public transcripts.
func gapToken(forward bool, gap position) string {
	if forward {
		return "f/" + gap.String() + "/s"
	}
	return "b/" + gap.String() + "/s"
}

func parseGapToken(token string) (forward bool, gap position, ok bool) {
	body, ok := strings.CutSuffix(token, "/s")
	if !ok || len(body) < 2 || body[1] != '/' || body[0] != 'f' && body[0] != 'b' {
		return false, gap, false
	}
	gap, ok = parsePosition(body[2:])
	return body[0] == 'f', gap, ok
}

// A search token (FilterLogEvents) is a direction and the bound to go on from, with a check.
const searchTokenVersion = 1

func searchToken(descending bool, from position) string {
	b := []byte{searchTokenVersion, 0}
	if descending {
		b[1] = 1
	}
	for _, limb := range from {
		b = binary.BigEndian.AppendUint64(b, limb)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseSearchToken(token string) (descending bool, from position, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != 30 || b[0] != searchTokenVersion || b[1] > 1 ||
		binary.BigEndian.Uint32(b[26:]) != crc32.ChecksumIEEE(b[:26]) {
		return false, from, false
	}
	for i := range from {
		from[i] = binary.BigEndian.Uint64(b[2+8*i:])
	}
	return b[1] == 1, from, true
}
