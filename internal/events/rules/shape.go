package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/events/pattern"
)

// shaper makes what is sent to a target of an event (EventBridge User Guide, "Input transformation").
type shaper struct {
	constant json.RawMessage
	path     jsonPath
	vars     map[string]jsonPath
	template []piece
}

// piece is a part of a template: text, or a variable.
type piece struct {
	text     string
	variable string
	quoted   bool // it stands within a string
}

// occurrence is what variables that EventBridge sets itself tell of.
type occurrence struct {
	ruleName, ruleARN string
	ingested          time.Time
	raw               json.RawMessage // the event
}

// reserved are the variables that EventBridge sets itself.
var reserved = map[string]func(o *occurrence, event map[string]any) any{
	"aws.events.rule-arn":             func(o *occurrence, _ map[string]any) any { return o.ruleARN },
	"aws.events.rule-name":            func(o *occurrence, _ map[string]any) any { return o.ruleName },
	"aws.events.event.ingestion-time": func(o *occurrence, _ map[string]any) any { return o.ingested.UTC().Format(time.RFC3339) },
	"aws.events.event.json":           func(o *occurrence, _ map[string]any) any { return o.raw },
	"aws.events.event": func(_ *occurrence, event map[string]any) any {
		rest := make(map[string]any, len(event))
		for k, v := range event {
			if k != "detail" {
				rest[k] = v
			}
		}
		return rest
	},
}

var variableRE = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func newShaper(t *Target) (*shaper, error) {
	s := &shaper{}
	var err error
	switch {
	case t.Input != nil:
		if !json.Valid([]byte(*t.Input)) {
			return nil, refuse(Invalid, "Input of target %s is not valid JSON text.", t.ID)
		}
		s.constant = json.RawMessage(*t.Input)
	case t.InputPath != nil && *t.InputPath != "":
		if s.path, err = parsePath(*t.InputPath); err != nil {
			return nil, refuse(Invalid, "InputPath of target %s is not valid: %v.", t.ID, err)
		}
	case t.InputTransformer != nil:
		return s, s.transform(t.ID, t.InputTransformer)
	}
	return s, nil
}

func (s *shaper) transform(target string, tr *InputTransformer) error {
	if len(tr.Paths) > 100 {
		return refuse(Invalid, "InputTransformer of target %s has more than 100 variables.", target)
	}
	s.vars = make(map[string]jsonPath, len(tr.Paths))
	for name, text := range tr.Paths {
		if !variableRE.MatchString(name) || strings.HasPrefix(strings.ToUpper(name), "AWS.") {
			return refuse(Invalid, "InputPathsMap of target %s: %q is not the name of a variable.", target, name)
		}
		path, err := parsePath(text)
		if err != nil {
			return refuse(Invalid, "InputPathsMap of target %s: %s is not valid: %v.", target, name, err)
		}
		s.vars[name] = path
	}
	if n := len(tr.Template); n < 1 || n > 8192 {
		return refuse(Invalid, "InputTemplate of target %s has %d characters; it may have 1 to 8192.", target, n)
	}
	s.template = cut(tr.Template)
	var sample bytes.Buffer
	for _, p := range s.template {
		switch {
		case p.variable == "":
			sample.WriteString(p.text)
		case s.vars[p.variable] == nil && reserved[p.variable] == nil:
			return refuse(Invalid, "Invalid InputTemplate for target %s: there is no variable <%s>.", target, p.variable)
		case !p.quoted:
			sample.WriteString("null")
		}
	}
	if !json.Valid(sample.Bytes()) {
		return refuse(Invalid, "Invalid InputTemplate for target %s: what it makes is no JSON; a text needs quotation marks around it.", target)
	}
	return nil
}

// cut takes a template apart. What stands between < and > without being the name of a variable is text.
func cut(template string) []piece {
	var pieces []piece
	var text strings.Builder
	quoted := false
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && quoted && i+1 < len(template):
			text.WriteString(template[i : i+2])
			i++
			continue
		case c == '"':
			quoted = !quoted
		case c == '<':
			name, _, closed := strings.Cut(template[i+1:], ">")
			if closed && (variableRE.MatchString(name) || reserved[name] != nil) {
				if text.Len() > 0 {
					pieces = append(pieces, piece{text: text.String()})
					text.Reset()
				}
				pieces = append(pieces, piece{variable: name, quoted: quoted})
				i += len(name) + 1
				continue
			}
		}
		text.WriteByte(template[i])
	}
	if text.Len() > 0 {
		pieces = append(pieces, piece{text: text.String()})
	}
	return pieces
}

// shape makes a target's input.
func (s *shaper) shape(o *occurrence) (json.RawMessage, error) {
	if s.constant != nil {
		return s.constant, nil
	}
	if s.path == nil && s.template == nil {
		return o.raw, nil
	}
	doc, err := pattern.Decode(o.raw)
	if err != nil {
		return nil, err
	}
	if s.path != nil {
		v, ok := s.path.find(doc)
		if !ok {
			return nil, fmt.Errorf("the event has nothing at the input path")
		}
		return json.Marshal(v)
	}
	event, _ := doc.(map[string]any)
	var out bytes.Buffer
	for _, p := range s.template {
		if p.variable == "" {
			out.WriteString(p.text)
			continue
		}
		var v any
		if own := reserved[p.variable]; own != nil {
			v = own(o, event)
		} else {
			v, _ = s.vars[p.variable].find(doc) // unverified: what is not there is null, or nothing in a string
		}
		if err := insert(&out, v, p.quoted); err != nil {
			return nil, err
		}
	}
	if !json.Valid(out.Bytes()) {
		return nil, fmt.Errorf("the input template makes no JSON of the event: %.200s", out.Bytes())
	}
	return out.Bytes(), nil
}

// insert writes a variable's value: as JSON, or within a string as text.
func insert(out *bytes.Buffer, v any, quoted bool) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !quoted {
		out.Write(raw)
		return nil
	}
	switch v.(type) {
	case nil:
		return nil
	case string:
		out.Write(raw[1 : len(raw)-1])
		return nil
	}
	text, err := json.Marshal(string(raw))
	if err != nil {
		return err
	}
	out.Write(text[1 : len(text)-1])
	return nil
}

// jsonPath is a path into an event: the part of JSON path that EventBridge knows, which is names after dots and, in
// brackets, indexes, and * for all.
type jsonPath []step

type step struct {
	name  string
	index int // of a list, if name is ""
	all   bool
}

func parsePath(s string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok || len(s) > 256 {
		return nil, fmt.Errorf("%q does not begin with $, or has more than 256 characters", s)
	}
	path := jsonPath{}
	for rest != "" {
		var st step
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if st.name = rest[1 : 1+end]; st.name == "" {
				return nil, fmt.Errorf("%q has a dot without a name after it", s)
			}
			if st.name == "*" {
				st.all = true
			}
			rest = rest[1+end:]
		case '[':
			inner, after, closed := strings.Cut(rest[1:], "]")
			n, err := strconv.Atoi(inner)
			switch {
			case !closed:
				return nil, fmt.Errorf("%q has an open bracket", s)
			case inner == "*":
				st.all = true
			case err != nil || n < 0:
				return nil, fmt.Errorf("%q has something other than an index or * in brackets", s)
			default:
				st.index = n
			}
			rest = after
		default:
			return nil, fmt.Errorf("%q is no path: a dot or a bracket is missing", s)
		}
		path = append(path, st)
	}
	return path, nil
}

// find is what the path leads to. With a * it is the list of all it leads to.
func (p jsonPath) find(v any) (any, bool) {
	for i, st := range p {
		switch {
		case st.all:
			var found []any
			list, ok := v.([]any)
			if m, object := v.(map[string]any); object {
				ok = true
				for _, name := range sortedKeys(m) {
					list = append(list, m[name])
				}
			}
			if !ok {
				return nil, false
			}
			for _, item := range list {
				if inner, ok := p[i+1:].find(item); ok {
					found = append(found, inner)
				}
			}
			return found, true
		case st.name != "":
			m, _ := v.(map[string]any)
			inner, ok := m[st.name]
			if !ok {
				return nil, false
			}
			v = inner
		default:
			list, _ := v.([]any)
			if st.index >= len(list) {
				return nil, false
			}
			v = list[st.index]
		}
	}
	return v, true
}
