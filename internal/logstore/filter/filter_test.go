package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const trail = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
	"objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c", "ThisFlag": true,
	"latency": 500.5, "errorCode": 400, "text": "400", "a-b_c": {"d": "x"}}`

const user = `{"user": {"id": 1, "email": "John.Stiles@example.com"}, "users": [{"id": 2, "email": "John.Doe@example.com"},
	{"id": 3, "email": "Jane.Doe@example.com"}], "actions": ["GET", "PUT", "DELETE"], "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]]}`

const apache = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`

// TestPatterns has the examples of the user guide first in each section.
func TestPatterns(t *testing.T) {
	t.Parallel()
	bad, invalid := "[ERROR 400] BAD REQUEST", "[ERROR 420] INVALID ARGUMENTS"
	info := "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200"
	part := "INFO 09/25/2014 12:00:01 POST /service/resource/67/part/111 1310"
	warning, failed := "WARNING 09/25/2014 12:00:02 Invalid user request", "ERROR 09/25/2014 12:00:02 Failed to process request"
	tests := []struct {
		pattern, message string
		want             bool
	}{
		// Everything.
		{"", "x", true}, {"  ", "", true}, {`" "`, "x", true},
		// Terms.
		{"ERROR", bad, true}, {"ERROR", "[error 400]", false}, {"ERROR", "Exiting with ERRORCODE: -1", true},
		{"ERROR ARGUMENTS", invalid, true}, {"ERROR ARGUMENTS", bad, false}, {" ERROR\tARGUMENTS ", invalid, true},
		{"?ERROR ?ARGUMENTS", bad, true}, {"?ERROR ?ARGUMENTS", "ARGUMENTS", true}, {"?ERROR ?ARGUMENTS", "INFO", false},
		{"?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", true}, {"?ERROR ?ARGUMENTS REQUEST", "[ERROR]", false},
		{"?ERROR -REQUEST", "fine", true},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true}, {`"INTERNAL SERVER ERROR"`, "INTERNAL ERROR", false},
		{"ERROR -ARGUMENTS", bad, true}, {"ERROR -ARGUMENTS", invalid, false}, {`"ERROR" - "Exiting"`, "Exiting with ERRORCODE: -1", false},
		{"-ERROR", bad, false}, {"-ERROR", "fine", true}, {`?"a b" ?c`, "a b", true},
		{`"say \"hi\""`, `they say "hi"`, true}, {`"a\\b"`, `a\b`, true}, {`"é"`, "né", true}, {`"user@example.com"`, "to user@example.com", true},
		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true}, {"%AUTHORIZED%", "x", false},
		{"%^[hc]at%", "hat", true}, {"%^[hc]at%", "a hat", false}, {"%colou?r%", "color", true}, {"%a{3,5}%", "aaaa", true}, {"%a{3,5}%", "aa", false},
		{"%^a{,2}$%", "aa", true}, {"%^a{,2}$%", "aaa", false},
		{"%^starting|^initializing|^shutting down%", "initializing x", true}, {"%^starting|^initializing|^shutting down%", "skipping initializing", false},
		{`%\[.\]%`, "x[7]y", true}, {`%10\.10\.0\.1%`, "10010,051", false}, {`%\x28\d+\x29%`, "f(12)", true}, {`%\w\s\W%`, "a -", true},
		// JSON.
		{`{ $.eventType = "UpdateTrail" }`, trail, true}, {`{ $.eventType = "updateTrail" }`, trail, false},
		{`{ $.sourceIPAddress != 123.123.* }`, trail, true}, {`{ $.sourceIPAddress != 111.* }`, trail, false},
		{`{ $.arrayKey[0] = "value" }`, trail, true}, {`{ $.arrayKey[1] = "value" }`, trail, false}, {`{ $.arrayKey[9] = * }`, trail, false},
		{`{ $.eventType = %Trail% }`, trail, true}, {`{ $.arrayKey[*] = %val.{2}% }`, trail, true}, {`{ $.arrayKey[*] = "another value" }`, trail, true},
		{`{ $.* = %111\.111\.111\.1[0-9]{1,2}% }`, trail, true}, {`{ $.* = nothing }`, trail, false},
		{`{ $.['cluster.name'] = "c" }`, trail, true}, {`{ $["cluster.name"] = "c" }`, trail, true}, {`{ $.cluster.name = "c" }`, trail, false},
		{`{ $.SomeObject IS NULL }`, trail, true}, {`{ $.eventType IS NULL }`, trail, false}, {`{ $.SomeOtherObject IS NULL }`, trail, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, trail, true}, {`{ $.SomeObject NOT EXISTS }`, trail, false}, {`{$.a.b.c NOT EXISTS}`, trail, true},
		{`{ $.ThisFlag IS TRUE }`, trail, true}, {`{ $.ThisFlag IS FALSE }`, trail, false}, {`{ $.objectList[1].id = 2 }`, trail, true},
		{`{ $.objectList[*].name = b }`, trail, true}, {`{ $.a-b_c.d = x }`, trail, true},
		{`{ $.latency >= 500 }`, trail, true}, {`{ $.latency < 500.5 }`, trail, false}, {`{ $.latency <= 5005e-1 }`, trail, true}, {`{ $.latency > +1000 }`, trail, false},
		{`{ $.errorCode = 400 }`, trail, true}, {`{ $.errorCode = 4e2 }`, trail, true}, {`{ $.errorCode != 500 }`, trail, true}, {`{ $.errorCode = 4* }`, trail, true},
		{`{ $.text > 300 }`, trail, false}, {`{ $.text = 400 }`, trail, true},
		{`{ $.eventType = * }`, trail, true}, {`{ $.nothing = * }`, trail, false}, {`{ $.SomeObject = * }`, trail, false},
		{`{ $.eventType = Update* }`, trail, true}, {`{ $.eventType = "*Trail" }`, trail, true}, {`{ $.eventType = *date* }`, trail, true},
		{`{ $.eventType = Up*Trail }`, trail, false}, {`{ $.eventType = Up*Trail }`, `{"eventType": "Up*Trail"}`, true},
		{`{ $.users = 1 }`, `{"users": [1, 2]}`, false}, {`{ $.users != 1 }`, `{"users": [1, 2]}`, false},
		{`{ $.missing != 1 }`, trail, false},
		{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, user, true},
		{`{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }`, user, false},
		{`{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }`, user, true},
		{`{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }`, user, false},
		{`{$.coordinates[1][2]=6&&$.user.id=1}`, user, true}, {`{(($.user.id=1))}`, user, true},
		{`{ ($.eventSource = kms.amazonaws.com) && (($.eventName=DisableKey)||($.eventName=ScheduleKeyDeletion)) }`, `{"eventSource": "kms.amazonaws.com", "eventName": "DisableKey"}`, true},
		{`{ $.a = 1 }`, `not JSON {"a": 1}`, false}, {`{ $.a = 1 }`, `{"a": 1} {"a": 1}`, false}, {`{ $.a = 1 }`, `{"a": 1`, false}, {`{ $.a NOT EXISTS }`, `plain`, false},
		{`{ $.a = "x&&y" }`, `{"a": "x&&y"}`, true}, {`{ $.a = 12345678901234567890 }`, `{"a": 12345678901234567890}`, true}, {`{ $[0] = 1 }`, `[1]`, true},
		// Space-delimited.
		{`[ip=%127\.0\.0\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]`, apache, true},
		{`[..., request =*.html*, status_code = 4*, bytes]`, apache, true}, {`[..., request=*.html*, status_code=4*,]`, apache, true},
		{`[ip, user, username, timestamp, request =*.html*, status_code = 404 || status_code = 410, bytes]`, apache, true},
		{`[ip, user, username, timestamp, request, status_code = 4* && status_code != 404, bytes]`, apache, false},
		{`[ip, user, username, timestamp, request, status_code, bytes > 1000]`, apache, true}, {`[..., bytes > 2000]`, apache, false},
		{`[ip, ..., bytes=1534]`, apache, true}, {`[ip, user=Prod, ...]`, apache, true}, {`[ip, user=Test, ...]`, apache, false},
		{`[a, b, c, d, e, f, g, h]`, apache, false}, {`[a, b, c, d, e, f, g, ..., h]`, apache, false}, {`[...]`, apache, true}, {`[]`, "x", true},
		{`[w1=ERROR, w2]`, failed, true}, {`[w1=ERROR, w2]`, warning, false}, {`[w1=ERROR, w2]`, "ERROR", false},
		{`[w1=ERROR || w1=WARNING, w2]`, warning, true}, {`[w1!=ERROR && w1!=WARNING, w2]`, info, true}, {`[w1!=ERROR&&w1!=WARNING, w2]`, failed, false},
		{`[logLevel, date, time, method, url=%/service/resource/[0-9]+$%, response_time]`, info, true},
		{`[logLevel, date, time, method, url=%/service/resource/[0-9]+$%, response_time]`, part, false},
		{`[logLevel, date, time, method, url=%/service/resource/[0-9]+/part/[0-9]+$%, response_time]`, part, true},
		{`[a=x, b]`, `x "unclosed y`, true}, {`[a, b="y z"]`, `x [y z]`, true}, {`[a, b=z]`, `x [y]z`, false}, {`[n=1.0]`, "1", true},
	}
	for _, tt := range tests {
		p, err := Parse(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got := p.Match([]byte(tt.message)); got != tt.want {
			t.Errorf("%s on %.60q: %v", tt.pattern, tt.message, got)
		}
		if _, got := p.Extract([]byte(tt.message)); got != tt.want {
			t.Errorf("%s on %.60q, extracting: %v", tt.pattern, tt.message, got)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	for pattern, detail := range map[string]string{
		`""`:               `Invalid character(s) in term '""'`,
		`user@example.com`: `Invalid character(s) in term 'user@example.com'`,
		`/path`:            `Invalid character(s) in term '/path'`,
		`é`:                `Invalid character(s) in term 'é'`,
		`"open`:            `Invalid character(s) in term '"open'`,
		`-`:                `Invalid character(s) in term ''`,
		`? x`:              `Invalid character(s) in term ''`,
		`{ $.a = 1`:        `If a filter pattern starts with '{' it must end with '}'`,
		`{`:                `If a filter pattern starts with '{' it must end with '}'`,
		`[a`:               `If a filter pattern starts with '[' it must end with ']'`,
		`%a(b)%`:           `Invalid character(s) in term '%a(b)%'`,
		`%a\(b%`:           `Invalid character(s) in term '%a\(b%'`,
		`%a`:               `Invalid character(s) in term '%a'`,
		`%a!%`:             `Invalid character(s) in term '%a!%'`,
		`%é%`:              `Invalid character(s) in term '%é%'`,
		`%\b%`:             `Invalid character(s) in term '%\b%'`,
	} {
		_, err := Parse(pattern)
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if diff := cmp.Diff(detail, se.Detail); diff != "" {
			t.Errorf("%s: %s", pattern, diff)
		}
	}
	for _, pattern := range []string{
		`{}`, `{ $.level "ERROR" }`, `{ a = 1 }`, `{ $ = 1 }`, `{ $. = 1 }`, `{ $.a }`, `{ $.a = }`, `{ $.a == 1 }`, `{ $.a = 1 & $.b = 2 }`,
		`{ $.a = 1 && }`, `{ ($.a = 1 }`, `{ $.a = 1) }`, `{ $.a IS }`, `{ $.a IS NOT NULL }`, `{ $.a EXISTS }`, `{ $.a NOT }`, `{ $.a[x] = 1 }`,
		`{ $.a[-1] = 1 }`, `{ $.a > x }`, `{ $.a > "1" }`, `{ $.a < %1% }`, `{ $.a = @ }`, `{ $.*.* = 1 }`, `{ $.a[99999999999999999999] = 1 }`,
		`{ $.* = 1 || $.a[*] = 1 || $.* = 2 || $.* = 3 }`, `{ $.a = %a% || $.a = %b% || $.a = %c% }`, `{ $.a = %a{1001}% }`, `%[%`,
		`{ ` + strings.Repeat("(", 200) + `$.a = 1` + strings.Repeat(")", 200) + ` }`, strings.Repeat("x", MaxLength+1),
		`[..., a, ...]`, `[a b]`, `[=1]`, `[a=]`, `[a=1 || b=2]`, `[a=1 &&]`, `[a=(1)]`, `["a"]`, `[a=1 b]`,
	} {
		if _, err := Parse(pattern); err == nil {
			t.Errorf("%s was taken", pattern)
		}
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, message string
		want             map[string]string
	}{
		{`[..., request=*.html*, status_code=4*,]`, `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /products/index.html HTTP/1.0" 404 1534`,
			map[string]string{"$status_code": "404", "$request": "GET /products/index.html HTTP/1.0", "$7": "1534",
				"$4": "10/Oct/2000:13:25:15 -0700", "$3": "frank", "$2": "-", "$1": "127.0.0.1"}}, // the guide's example
		{`[level, rest]`, "INFO all the  rest ", map[string]string{"$level": "INFO", "$rest": "all the  rest"}},
		{`{ $.eventType = "UpdateTrail" && $.latency > 1 }`, trail, map[string]string{"$.eventType": "UpdateTrail", "$.latency": "500.5"}},
		{`{ $.SomeObject IS NULL }`, trail, map[string]string{}},
		{"ERROR", "ERROR", map[string]string{}},
	} {
		p, err := Parse(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.Extract([]byte(tt.message))
		if diff := cmp.Diff(tt.want, got); diff != "" || !ok {
			t.Errorf("%s: %v %s", tt.pattern, ok, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"ERROR -x ?y", `"a \" b"`, `{ $.a.b[0] = "x" && ($.n > 3 || $.list[*] != *) }`, `{$.['a.b'] NOT EXISTS}`,
		"[ip, user=4* && user!=403, ..., n>1]", `%a{,3}\.\x28[^b]%`} {
		f.Add(seed, trail)
		f.Add(seed, apache)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		p, err := Parse(pattern)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) {
				t.Fatalf("%q: %T", pattern, err)
			}
			return
		}
		matched := p.Match([]byte(message))
		if _, extracted := p.Extract([]byte(message)); extracted != matched {
			t.Errorf("%q on %q: Match %v, Extract %v", pattern, message, matched, extracted)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, pattern := range []string{"UpdateTrail", `{ $.eventType = "UpdateTrail" }`, "[a, ...]"} {
		b.Run(pattern, func(b *testing.B) {
			p, err := Parse(pattern)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p.Match([]byte(trail))
			}
		})
	}
}
