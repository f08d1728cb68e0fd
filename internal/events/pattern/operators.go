package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
)

// parseTest reads an item of a field's list: a value to be equal to, or an object of one comparison operator.
func parseTest(item any) (test, error) {
	operator, ok := item.(map[string]any)
	if !ok {
		equal, err := equals(item)
		return test{value: equal}, err
	}
	if len(operator) != 1 {
		return test{}, fmt.Errorf("a comparison has one operator, not %d", len(operator))
	}
	for name, arg := range operator {
		if name == "exists" {
			there, ok := arg.(bool)
			if !ok {
				return test{}, errors.New(`"exists" must be true or false`)
			}
			if there {
				return test{value: func(any) bool { return true }}, nil
			}
			return test{absent: true}, nil
		}
		value, err := compare(name, arg)
		return test{value: value}, err
	}
	return test{}, nil // not reached: there is one
}

// compare makes the comparison of an operator that looks at a value.
func compare(name string, arg any) (func(any) bool, error) {
	switch name {
	case "anything-but":
		return anythingBut(arg)
	case "numeric":
		return numeric(arg)
	case "cidr":
		return cidr(arg)
	case "prefix", "suffix":
		return affix(name, arg)
	case "equals-ignore-case", "wildcard":
		s, ok := arg.(string)
		if !ok {
			return nil, fmt.Errorf("%q must be a string", name)
		}
		return stringTest(name, s)
	default:
		return nil, fmt.Errorf("there is no operator %q", name)
	}
}

// stringTest makes a comparison with one string.
func stringTest(name, arg string) (func(any) bool, error) {
	switch name {
	case "prefix":
		return onString(func(s string) bool { return strings.HasPrefix(s, arg) }), nil
	case "suffix":
		return onString(func(s string) bool { return strings.HasSuffix(s, arg) }), nil
	case "equals-ignore-case":
		return onString(func(s string) bool { return strings.EqualFold(s, arg) }), nil
	default: // wildcard
		parts, err := wildcardParts(arg)
		if err != nil {
			return nil, err
		}
		return onString(func(s string) bool { return matchParts(parts, s) }), nil
	}
}

func onString(f func(string) bool) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && f(s)
	}
}

// equals compares with a string, a number, a boolean or null. Numbers are equal if they are written alike: 300 is not 3e2
// (EventBridge User Guide, "Event patterns").
func equals(want any) (func(any) bool, error) {
	switch want.(type) {
	case string, json.Number, bool, nil:
		return func(v any) bool { return v == want }, nil
	default:
		return nil, errors.New("an item of its list is a list")
	}
}

// affix is prefix or suffix: of a string, or without letter case of {"equals-ignore-case": string}.
func affix(name string, arg any) (func(any) bool, error) {
	if s, ok := arg.(string); ok {
		return stringTest(name, s)
	}
	m, _ := arg.(map[string]any)
	fold, ok := m["equals-ignore-case"].(string)
	if !ok || len(m) != 1 {
		return nil, fmt.Errorf("%q must be a string, or an object with a string as \"equals-ignore-case\"", name)
	}
	return onString(func(s string) bool {
		if len(s) < len(fold) {
			return false
		}
		if name == "prefix" {
			return strings.EqualFold(s[:len(fold)], fold)
		}
		return strings.EqualFold(s[len(s)-len(fold):], fold)
	}), nil
}

// anythingBut is true of values that are none of those named: a string or number, a list of them, or an object with one of
// prefix, suffix, equals-ignore-case and wildcard of a string or a list of strings.
func anythingBut(arg any) (func(any) bool, error) {
	wrong := errors.New(`"anything-but" must be a string, a number, a list of them, or an object with one of "prefix", "suffix", "equals-ignore-case" and "wildcard"`)
	var none []func(any) bool
	if m, ok := arg.(map[string]any); ok {
		if len(m) != 1 {
			return nil, wrong
		}
		for name, inner := range m {
			switch name {
			case "prefix", "suffix", "equals-ignore-case", "wildcard":
			default:
				return nil, wrong
			}
			for _, item := range listOf(inner) {
				s, ok := item.(string)
				if !ok {
					return nil, wrong
				}
				t, err := stringTest(name, s)
				if err != nil {
					return nil, err
				}
				none = append(none, t)
			}
		}
	} else {
		for _, item := range listOf(arg) {
			switch item.(type) {
			case string, json.Number:
			default:
				return nil, wrong
			}
			t, err := equals(item)
			if err != nil {
				return nil, err
			}
			none = append(none, t)
		}
	}
	if len(none) == 0 {
		return nil, wrong
	}
	return func(v any) bool {
		for _, t := range none {
			if t(v) {
				return false
			}
		}
		return true
	}, nil
}

func listOf(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// numeric is a comparison, or two that make a range: [">", 0, "<=", 5].
func numeric(arg any) (func(any) bool, error) {
	wrong := errors.New(`"numeric" must be a list such as ["=", 1] or [">", 0, "<=", 5]`)
	list, _ := arg.([]any)
	if len(list) != 2 && len(list) != 4 {
		return nil, wrong
	}
	type bound struct {
		operator string
		limit    *big.Rat
	}
	var bounds []bound
	for i := 0; i < len(list); i += 2 {
		operator, ok := list[i].(string)
		limit, isNumber := number(list[i+1])
		if !ok || !isNumber {
			return nil, wrong
		}
		bounds = append(bounds, bound{operator, limit})
	}
	lower := func(op string) bool { return op == ">" || op == ">=" }
	upper := func(op string) bool { return op == "<" || op == "<=" }
	switch first := bounds[0].operator; {
	case len(bounds) == 2 && (!lower(first) || !upper(bounds[1].operator)):
		return nil, wrong
	case len(bounds) == 2 && bounds[0].limit.Cmp(bounds[1].limit) >= 0:
		return nil, errors.New(`the lower bound of "numeric" must be below the upper one`)
	case !lower(first) && !upper(first) && first != "=":
		return nil, wrong
	}
	return func(v any) bool {
		n, ok := number(v)
		if !ok {
			return false
		}
		for _, b := range bounds {
			c := n.Cmp(b.limit)
			switch b.operator {
			case "=":
				ok = c == 0
			case ">":
				ok = c > 0
			case ">=":
				ok = c >= 0
			case "<":
				ok = c < 0
			case "<=":
				ok = c <= 0
			}
			if !ok {
				return false
			}
		}
		return true
	}, nil
}

// maxDigits bounds the numbers that are compared by value: EventBridge compares those between -5e9 and 5e9 with at most 15
// digits (EventBridge User Guide, "Comparison operators").
const maxDigits = 32

// number is the value of a number.
func number(v any) (*big.Rat, bool) {
	n, ok := v.(json.Number)
	if !ok || len(n) > maxDigits {
		return nil, false
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 && len(n)-i > 4 { // an exponent of three digits and more: nobody's number
		return nil, false
	}
	return new(big.Rat).SetString(string(n))
}

// cidr is true of IP addresses in a block.
func cidr(arg any) (func(any) bool, error) {
	s, _ := arg.(string)
	block, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf(`"cidr" must be a block of addresses such as "10.0.0.0/24": %w`, err)
	}
	return onString(func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && block.Contains(a)
	}), nil
}

// wildcardParts cuts a wildcard pattern at its stars. A backslash takes the star or backslash after it as it stands.
func wildcardParts(s string) ([]string, error) {
	parts := []string{""}
	star := false // the last character was one
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '\\'):
			i++
			parts[len(parts)-1] += s[i : i+1]
			star = false
		case c == '\\':
			return nil, errors.New(`in "wildcard" a backslash must be followed by * or \`)
		case c == '*' && star:
			return nil, errors.New(`"wildcard" has two stars one after another`)
		case c == '*':
			parts = append(parts, "")
			star = true
		default:
			parts[len(parts)-1] += s[i : i+1]
			star = false
		}
	}
	return parts, nil
}

// matchParts says whether s is the parts with anything in between. Each part is taken where it is first found, which is
// right because what is between does not matter.
func matchParts(parts []string, s string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[last])
}
