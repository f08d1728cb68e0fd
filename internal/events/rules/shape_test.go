package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/events/pattern"
)

const sample = `{"version":"0","id":"e1","source":"aws.batch","account":"111122223333","time":"2026-01-02T03:04:05Z",
	"detail":{"jobId":"j1","status":"FAILED","jobName":"say \"hi\"","exit":137,"attempts":[{"n":1},{"n":2}],"none":null}}`

// shaped makes the input of a target of the sample.
func shaped(t *testing.T, target Target) (string, error) {
	t.Helper()
	target.ID = "t"
	s, err := newShaper(&target)
	if err != nil {
		return "", err
	}
	raw, err := s.shape(&occurrence{
		ruleName: "r", ruleARN: "arn:aws:events:us-east-1:111122223333:rule/r", ingested: time.Unix(1_700_000_000, 0),
		raw: json.RawMessage(sample),
	})
	return string(raw), err
}

func transformer(template string, paths ...string) Target {
	tr := &InputTransformer{Template: template, Paths: map[string]string{}}
	for i := 0; i < len(paths); i += 2 {
		tr.Paths[paths[i]] = paths[i+1]
	}
	return Target{InputTransformer: tr}
}

func str(s string) *string { return &s }

func TestShapes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		target Target
		want   string // an error if it begins with !
	}{
		{"the whole event", Target{}, sample},
		{"constant", Target{Input: str(`{"a": 1}`)}, `{"a": 1}`},
		{"constant that is no JSON", Target{Input: str(`a`)}, "!not valid JSON"},
		{"path to a string", Target{InputPath: str("$.detail.status")}, `"FAILED"`},
		{"path to an object", Target{InputPath: str("$.detail.attempts[1]")}, `{"n":2}`},
		{"path to all", Target{InputPath: str("$.detail.attempts[*].n")}, `[1,2]`},
		{"path to the root", Target{InputPath: str("$")}, ""},
		{"empty path", Target{InputPath: str("")}, sample},
		{"path to nothing", Target{InputPath: str("$.detail.missing")}, "!nothing at the input path"},
		{"no path", Target{InputPath: str("detail")}, "!does not begin with $"},
		{"dot without a name", Target{InputPath: str("$..a")}, "!dot without a name"},
		{"open bracket", Target{InputPath: str("$.a[1")}, "!open bracket"},
		{"negative index", Target{InputPath: str("$.a[-1]")}, "!index or *"},
		{"something after a bracket", Target{InputPath: str("$.a[1]b")}, "!dot or a bracket"},

		{"text", transformer(`"<job> is in state <status>"`, "job", "$.detail.jobId", "status", "$.detail.status"), `"j1 is in state FAILED"`},
		{"object", transformer(`{"job": <job>, "exit": <exit>, "note": "exit <exit> of <job>"}`, "job", "$.detail.jobId", "exit", "$.detail.exit"),
			`{"job": "j1", "exit": 137, "note": "exit 137 of j1"}`},
		{"quotation marks", transformer(`{"name": <name>, "note": "job <name>"}`, "name", "$.detail.jobName"), `{"name": "say \"hi\"", "note": "job say \"hi\""}`},
		{"an object in a text", transformer(`"<a>"`, "a", "$.detail.attempts[0]"), `"{\"n\":1}"`},
		{"what is missing", transformer(`{"a": <a>, "b": "<a>"}`, "a", "$.detail.missing"), `{"a": null, "b": ""}`},
		{"predefined", transformer(`{"arn": "<aws.events.rule-arn>", "name": <aws.events.rule-name>, "at": <aws.events.event.ingestion-time>}`),
			`{"arn": "arn:aws:events:us-east-1:111122223333:rule/r", "name": "r", "at": "2023-11-14T22:13:20Z"}`},
		{"the event without its detail", transformer(`<aws.events.event>`), `{"account":"111122223333","id":"e1","source":"aws.batch","time":"2026-01-02T03:04:05Z","version":"0"}`},
		{"the event", transformer(`{"e": <aws.events.event.json>}`), `{"e": ` + compact(sample) + `}`},
		{"less and greater", transformer(`{"a": "1 < 2 > 0", "b": "\"<x>\""}`, "x", "$.detail.exit"), `{"a": "1 < 2 > 0", "b": "\"137\""}`},

		{"text without quotation marks", transformer(`<a> is bad`, "a", "$.id"), "!no JSON"},
		{"unknown variable", transformer(`{"a": <b>}`, "a", "$.id"), "!no variable <b>"},
		{"reserved name", transformer(`{"a": 1}`, "aws.x", "$.id"), "!not the name of a variable"},
		{"bad path", transformer(`{"a": 1}`, "a", "id"), "!does not begin with $"},
		{"empty template", transformer(``), "!0 characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := shaped(t, tc.target)
			if want, wrong := strings.CutPrefix(tc.want, "!"); wrong {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s, error %v; want %q in it", got, err, want)
				}
				return
			}
			if err != nil || tc.want != "" && got != tc.want {
				t.Errorf("%s, error %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

func compact(s string) string {
	raw, err := json.Marshal(json.RawMessage(s))
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// FuzzTemplate: what a template that was taken makes of an event is JSON, or an error.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"a": <x>, "b": "\"<x>\" <aws.events.event>"}`, "$.detail.attempts[*].n")
	f.Add(`"<x>"`, "$.a.*[0]")
	f.Fuzz(func(t *testing.T, template, path string) {
		target := transformer(template, "x", path)
		s, err := newShaper(&target)
		if err != nil {
			return
		}
		raw, err := s.shape(&occurrence{raw: json.RawMessage(sample)})
		if err == nil && !json.Valid(raw) {
			t.Errorf("template %q makes %q", template, raw)
		}
	})
}

func FuzzPath(f *testing.F) {
	doc, err := pattern.Decode([]byte(sample))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"$", "$.detail.attempts[1].n", "$.*[*]", "$[0]", "$.a["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePath(text); err == nil {
			p.find(doc)
		}
	})
}
