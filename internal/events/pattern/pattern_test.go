package pattern_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/batchbox/batchbox/internal/events/pattern"
)

// event is one of Batch, with some members for the operators.
const event = `{
	"version": "0", "detail-type": "Batch Job State Change", "source": "aws.batch", "account": "111122223333",
	"resources": ["arn:aws:batch:us-east-1:111122223333:job/1"],
	"detail": {
		"jobName": "Nightly-Report.csv", "status": "FAILED", "exit": 137, "rate": 3.0e2, "ok": false, "nothing": null, "empty": "",
		"attempts": [{"container": {"exitCode": 1, "reason": "a"}}, {"container": {"exitCode": 2, "reason": "b"}}],
		"tags": {"team": "x"}, "list": ["a", ["b", 3]], "none": [], "ip": "10.0.0.17"
	}
}`

func TestMatch(t *testing.T) {
	t.Parallel()
	doc, err := pattern.Decode([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		pattern string
		want    bool
	}{
		{`{"source": ["aws.batch"]}`, true},
		{`{"source": ["aws.ec2", "aws.batch"], "detail-type": ["Batch Job State Change"]}`, true},
		{`{"source": ["aws.ec2"]}`, false},
		{`{"source": ["aws.batch"], "detail": {"status": ["SUCCEEDED"]}}`, false},
		{`{"detail": {"status": ["FAILED", "SUCCEEDED"]}}`, true},
		{`{"resources": ["arn:aws:batch:us-east-1:111122223333:job/1"]}`, true},
		{`{"missing": ["x"]}`, false},
		{`{"source": {"x": ["y"]}}`, false},

		{`{"detail": {"exit": [137]}}`, true},
		{`{"detail": {"exit": ["137"]}}`, false},
		{`{"detail": {"exit": [137.0]}}`, false},
		{`{"detail": {"rate": [3.0e2]}}`, true},
		{`{"detail": {"rate": [300]}}`, false},
		{`{"detail": {"ok": [false]}}`, true},
		{`{"detail": {"ok": [true, null]}}`, false},
		{`{"detail": {"nothing": [null]}}`, true},
		{`{"detail": {"empty": [""]}}`, true},
		{`{"detail": {"list": ["b"]}}`, true},
		{`{"detail": {"list": ["c"]}}`, false},

		{`{"detail": {"jobName": [{"prefix": "Nightly"}]}}`, true},
		{`{"detail": {"jobName": [{"prefix": "nightly"}]}}`, false},
		{`{"detail": {"jobName": [{"prefix": {"equals-ignore-case": "nightly"}}]}}`, true},
		{`{"detail": {"jobName": [{"suffix": ".csv"}]}}`, true},
		{`{"detail": {"jobName": [{"suffix": {"equals-ignore-case": ".CSV"}}]}}`, true},
		{`{"detail": {"jobName": [{"suffix": {"equals-ignore-case": "a very long suffix indeed"}}]}}`, false},
		{`{"detail": {"jobName": [{"equals-ignore-case": "NIGHTLY-report.csv"}]}}`, true},
		{`{"detail": {"exit": [{"prefix": "1"}]}}`, false},

		{`{"detail": {"jobName": [{"wildcard": "*Report*"}]}}`, true},
		{`{"detail": {"jobName": [{"wildcard": "Nightly*csv"}]}}`, true},
		{`{"detail": {"jobName": [{"wildcard": "Nightly*Nightly*csv"}]}}`, false},
		{`{"detail": {"jobName": [{"wildcard": "Nightly-Report.csv"}]}}`, true},
		{`{"detail": {"jobName": [{"wildcard": "Nightly\\*"}]}}`, false},
		{`{"detail": {"empty": [{"wildcard": "*"}]}}`, true},

		{`{"detail": {"status": [{"anything-but": "SUCCEEDED"}]}}`, true},
		{`{"detail": {"status": [{"anything-but": ["SUCCEEDED", "FAILED"]}]}}`, false},
		{`{"detail": {"exit": [{"anything-but": [0, 1]}]}}`, true},
		{`{"detail": {"exit": [{"anything-but": 137}]}}`, false},
		{`{"detail": {"status": [{"anything-but": {"prefix": "FAIL"}}]}}`, false},
		{`{"detail": {"status": [{"anything-but": {"prefix": ["SUCC", "RUN"]}}]}}`, true},
		{`{"detail": {"status": [{"anything-but": {"suffix": "ED"}}]}}`, false},
		{`{"detail": {"status": [{"anything-but": {"equals-ignore-case": ["failed"]}}]}}`, false},
		{`{"detail": {"status": [{"anything-but": {"wildcard": "F*D"}}]}}`, false},
		{`{"detail": {"missing": [{"anything-but": "x"}]}}`, false},

		{`{"detail": {"exit": [{"numeric": ["=", 137.0]}]}}`, true},
		{`{"detail": {"exit": [{"numeric": [">", 0, "<=", 137]}]}}`, true},
		{`{"detail": {"exit": [{"numeric": [">", 137]}]}}`, false},
		{`{"detail": {"exit": [{"numeric": [">=", 137]}]}}`, true},
		{`{"detail": {"exit": [{"numeric": ["<", 137]}]}}`, false},
		{`{"detail": {"rate": [{"numeric": ["=", 300]}]}}`, true},
		{`{"detail": {"status": [{"numeric": ["=", 1]}]}}`, false},

		{`{"detail": {"exit": [{"exists": true}]}}`, true},
		{`{"detail": {"exit": [{"exists": false}]}}`, false},
		{`{"detail": {"missing": [{"exists": false}]}}`, true},
		{`{"detail": {"missing": [{"exists": true}]}}`, false},
		{`{"detail": {"missing": [{"exists": false}, "x"]}}`, true},
		{`{"detail": {"nothing": [{"exists": true}]}}`, true},
		{`{"detail": {"none": [{"exists": true}]}}`, false},
		{`{"detail": {"tags": [{"exists": true}]}}`, false},
		{`{"detail": {"tags": {"team": [{"exists": true}]}}}`, true},
		{`{"detail": {"status": {"deeper": [{"exists": false}]}}}`, true},
		{`{"other": {"deeper": [{"exists": false}]}}`, true},

		{`{"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}`, true},
		{`{"detail": {"ip": [{"cidr": "10.0.1.0/24"}]}}`, false},
		{`{"detail": {"status": [{"cidr": "10.0.0.0/24"}]}}`, false},

		{`{"detail": {"$or": [{"status": ["X"]}, {"exit": [137]}]}}`, true},
		{`{"detail": {"$or": [{"status": ["X"]}, {"exit": [1]}]}}`, false},
		{`{"$or": [{"source": ["x"]}, {"account": ["111122223333"], "version": ["1"]}]}`, false},
		{`{"source": ["aws.batch"], "$or": [{"account": ["1"]}, {"detail": {"$or": [{"exit": [1]}, {"status": ["FAILED"]}]}}]}`, true},

		{`{"detail": {"attempts": {"container": {"exitCode": [2]}}}}`, true},
		{`{"detail": {"attempts": {"container": {"exitCode": [2], "reason": ["b"]}}}}`, true},
		{`{"detail": {"attempts": {"container": {"exitCode": [2], "reason": ["a"]}}}}`, false}, // of two items
	} {
		p, err := pattern.Parse([]byte(tc.pattern))
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		if got := p.Match(doc); got != tc.want {
			t.Errorf("%s: %v", tc.pattern, got)
		}
	}
	p, _ := pattern.Parse([]byte(`{"a":[{"exists":false}]}`))
	if p.Match("no object") || p.Match(nil) {
		t.Error("what is no object was matched")
	}
}

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ pattern, want string }{
		{``, "it is no JSON"}, {`[]`, "no JSON object"}, {`{} {}`, "something follows"}, {`{"a":["b"]} x`, "something follows"},
		{`{}`, "empty"}, {`{"a":{}}`, "empty"}, {`{"a":[]}`, `the list of "a" is empty`},
		{`{"a":"b"}`, `"a" must be an object or a list`}, {`{"a":[["b"]]}`, "an item of its list is a list"},
		{`{"a":[{"prefix":1}]}`, `"prefix"`}, {`{"a":[{"prefix":{"equals-ignore-case":1}}]}`, `"prefix"`},
		{`{"a":[{"wildcard":"**"}]}`, "two stars"}, {`{"a":[{"wildcard":"\\x"}]}`, "backslash"}, {`{"a":[{"wildcard":3}]}`, "string"},
		{`{"a":[{"numeric":[]}]}`, "numeric"}, {`{"a":[{"numeric":["!",3]}]}`, "numeric"}, {`{"a":[{"numeric":["<",3,">",1]}]}`, "numeric"},
		{`{"a":[{"numeric":[">",3,"<",1]}]}`, "below"}, {`{"a":[{"numeric":["=","3"]}]}`, "numeric"},
		{`{"a":[{"exists":"yes"}]}`, "exists"}, {`{"a":[{"anything-but":[]}]}`, "anything-but"}, {`{"a":[{"anything-but":{"cidr":"x"}}]}`, "anything-but"},
		{`{"a":[{"anything-but":{}}]}`, "anything-but"}, {`{"a":[{"anything-but":true}]}`, "anything-but"}, {`{"a":[{"anything-but":{"wildcard":"**"}}]}`, "two stars"},
		{`{"a":[{"cidr":"x"}]}`, "cidr"}, {`{"a":[{"like":"x"}]}`, `no operator "like"`}, {`{"a":[{}]}`, "one operator"}, {`{"a":[{"prefix":"a","suffix":"b"}]}`, "one operator"},
		{`{"$or":[{"a":["b"]}]}`, "$or"}, {`{"$or":{}}`, "$or"}, {`{"$or":["a","b"]}`, "$or"}, {`{"$or":[{"a":[]},{"b":["c"]}]}`, "empty"},
		{`{"a":["` + strings.Repeat("x", pattern.MaxSize) + `"]}`, "more than 4096"},
		{strings.Repeat(`{"a":`, 200) + `["b"]` + strings.Repeat("}", 200), "deeper"},
	} {
		_, err := pattern.Parse([]byte(tc.pattern))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.60s: error %v, want %q in it", tc.pattern, err, tc.want)
		}
	}
}

// TestAPatternOfAnEventMatchesIt makes a pattern of what an event says, and of its opposite.
func TestAPatternOfAnEventMatchesIt(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(rapid.Map(rapid.StringN(0, 8, -1), func(s string) any { return s }),
		rapid.Map(rapid.Int(), func(n int) any { return n }), rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Just[any](nil))
	var object func(depth int) *rapid.Generator[map[string]any]
	object = func(depth int) *rapid.Generator[map[string]any] {
		of := value
		if depth > 0 {
			of = rapid.OneOf(value, rapid.Map(object(depth-1), func(m map[string]any) any { return m }))
		}
		return rapid.MapOfN(rapid.StringMatching(`[a-z]{1,4}`), of, 1, 4)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := object(2).Draw(t, "event")
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := pattern.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		same, _ := json.Marshal(patternOf(m, func(v any) any { return v }))
		p, err := pattern.Parse(same)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Match(doc) {
			t.Fatalf("%s does not match %s", same, raw)
		}
		absent, _ := json.Marshal(patternOf(m, func(any) any { return map[string]any{"exists": false} }))
		if p, err = pattern.Parse(absent); err != nil {
			t.Fatal(err)
		}
		if p.Match(doc) {
			t.Fatalf("%s matches %s", absent, raw)
		}
	})
}

// patternOf puts each value into a list.
func patternOf(m map[string]any, leaf func(any) any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			out[k] = patternOf(inner, leaf)
			continue
		}
		out[k] = []any{leaf(v)}
	}
	return out
}

func FuzzMatch(f *testing.F) {
	f.Add(`{"detail":{"status":[{"anything-but":["a",1]},{"numeric":[">",0,"<",1e9]}],"$or":[{"a":["b"]},{"c":[{"exists":false}]}]}}`, event)
	f.Add(`{"a":[{"wildcard":"a*b\\**c"},{"prefix":{"equals-ignore-case":"é"}},{"cidr":"::/0"}]}`, `{"a":["aXb*cc",[],{},[{"a":1}]]}`)
	f.Fuzz(func(t *testing.T, text, doc string) {
		p, err := pattern.Parse([]byte(text))
		if err != nil {
			return
		}
		v, err := pattern.Decode([]byte(doc))
		if err != nil {
			return
		}
		if first := p.Match(v); first != p.Match(v) {
			t.Error("the same event is matched and not matched")
		}
	})
}
