package index

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPositionsInDecimal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := position{rapid.Uint64().Draw(rt, "hi"), rapid.Uint64().Draw(rt, "mid"), rapid.Uint64().Draw(rt, "lo")}
		want := new(big.Int)
		for _, limb := range p {
			want.Add(want.Lsh(want, 64), new(big.Int).SetUint64(limb))
		}
		text := want.String()
		if n := digits - len(text); n > 0 {
			text = strings.Repeat("0", n) + text
		}
		equal(t, "in decimal", p.String(), text)
		back, ok := parsePosition(text)
		if !ok || back != p {
			rt.Fatalf("%s was read as %v, %v", text, back, ok)
		}
		for _, forward := range []bool{true, false} {
			f, gap, ok := parseGapToken(gapToken(forward, p))
			if !ok || f != forward || gap != p {
				rt.Fatalf("gap token of %v was read as %v, %v, %v", p, f, gap, ok)
			}
			d, from, ok := parseSearchToken(searchToken(forward, p))
			if !ok || d != forward || from != p {
				rt.Fatalf("search token of %v was read as %v, %v, %v", p, d, from, ok)
			}
		}
		if q := p.next(); q.previous() != p || q.compare(p) <= 0 && q != (position{}) {
			rt.Fatalf("next of %v is %v, before that %v", p, q, q.previous())
		}
	})
}

func TestPositionParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ts := rapid.Int64Range(0, maxTimestamp).Draw(rt, "ts")
		n := rapid.Uint32().Draw(rt, "n")
		off := rapid.Int64Range(0, 1<<40-1).Draw(rt, "offset")
		event := rapid.IntRange(0, 1<<24-1).Draw(rt, "event")
		p := at(ts, n, ownerHash("supervisor"), off, event)
		gotN, owner := p.segment()
		if p.timestamp() != ts || gotN != n || owner != ownerHash("supervisor") || p.offset() != off || p.event() != event {
			rt.Fatalf("%v has %d %d %d %d %d", p, p.timestamp(), gotN, owner, p.offset(), p.event())
		}
		if first(ts).compare(p) > 0 || last(ts).compare(p) < 0 {
			rt.Fatalf("%v is not among those of %d", p, ts)
		}
	})
	if at(1_731_696_663_086, 1, 0, 0, 0).String()[:12] != "386181260446" {
		t.Errorf("an id of 2024-11-15T18:51:03.086Z is %s; CloudWatch's begin with 386181260446", at(1_731_696_663_086, 1, 0, 0, 0))
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(gapToken(true, at(1_700_000_000_000, 3, 5, 1000, 2)))
	f.Add(searchToken(true, first(1_700_000_000_000)))
	f.Add("f/" + strings.Repeat("9", 58) + "/s")
	f.Add("b//s")
	f.Fuzz(func(t *testing.T, token string) {
		if forward, gap, ok := parseGapToken(token); ok && gapToken(forward, gap) != token && len(token) <= digits+4 {
			t.Errorf("%q is read as %v %v, which is %q", token, forward, gap, gapToken(forward, gap))
		}
		if descending, from, ok := parseSearchToken(token); ok {
			if d, f, ok := parseSearchToken(searchToken(descending, from)); !ok || d != descending || f != from {
				t.Errorf("%q does not survive being written and read", token)
			}
		}
	})
}
