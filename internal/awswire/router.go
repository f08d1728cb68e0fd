package awswire

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// router finds RestJSON1 operations by method and path. Paths are compared in their escaped form, segment by segment, so
// that an ARN with its slashes escaped is one segment.
type router struct {
	fixed    map[string][]*operation // by path
	patterns []pattern
}

type pattern struct {
	segments []patternSegment
	ops      []*operation
}

type patternSegment struct {
	literal string // "" for a label
	label   string // wire name of the member
}

func (rt *router) add(op *operation) error {
	if op.Method == "" || !strings.HasPrefix(op.Path, "/") {
		return fmt.Errorf("no route: method %q, path %q", op.Method, op.Path)
	}
	if !strings.Contains(op.Path, "{") {
		if rt.fixed == nil {
			rt.fixed = map[string][]*operation{}
		}
		for _, o := range rt.fixed[op.Path] {
			if o.Method == op.Method {
				return fmt.Errorf("%s %s is also the route of %s", op.Method, op.Path, o.Name)
			}
		}
		rt.fixed[op.Path] = append(rt.fixed[op.Path], op)
		return nil
	}
	var p pattern
	for s := range strings.SplitSeq(op.Path[1:], "/") {
		if !strings.HasPrefix(s, "{") {
			p.segments = append(p.segments, patternSegment{literal: s})
			continue
		}
		label := strings.Trim(s, "{}")
		if !op.refused {
			i, ok := op.in.index([]byte(label))
			if !ok || op.in.fields[i].index < 0 || op.in.fields[i].plan.quick != quickStringPtr {
				return fmt.Errorf("path member %q is no *string of the input", label)
			}
		}
		p.segments = append(p.segments, patternSegment{label: label})
	}
	p.ops = []*operation{op}
	for i := range rt.patterns {
		if slices.Equal(rt.patterns[i].segments, p.segments) {
			for _, o := range rt.patterns[i].ops {
				if o.Method == op.Method {
					return fmt.Errorf("%s %s is also the route of %s", op.Method, op.Path, o.Name)
				}
			}
			rt.patterns[i].ops = append(rt.patterns[i].ops, op)
			return nil
		}
	}
	rt.patterns = append(rt.patterns, p)
	return nil
}

// label is a path member's value.
type label struct{ member, value string }

// find gives the operations at a path, one for each method, and the path's labels. ok is false if no operation has it.
func (rt *router) find(escapedPath string) (ops []*operation, labels []label, ok bool) {
	if ops, ok := rt.fixed[escapedPath]; ok {
		return ops, nil, true
	}
	if len(rt.patterns) == 0 || !strings.HasPrefix(escapedPath, "/") {
		return nil, nil, false
	}
	segments := strings.Split(escapedPath[1:], "/")
next:
	for _, p := range rt.patterns {
		if len(p.segments) != len(segments) {
			continue
		}
		labels = labels[:0]
		for i, ps := range p.segments {
			if ps.label == "" {
				if ps.literal != segments[i] {
					continue next
				}
				continue
			}
			v, err := url.PathUnescape(segments[i])
			if err != nil || v == "" {
				continue next
			}
			labels = append(labels, label{ps.label, v})
		}
		return p.ops, labels, true
	}
	return nil, nil, false
}
