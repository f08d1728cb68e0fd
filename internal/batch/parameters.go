package batch

import (
	"maps"
	"strings"
)

// placeholder starts a parameter reference in a command.
const placeholder = "Ref::"

// mergeParameters is the definition's parameters overlaid by the submission's; never nil.
func mergeParameters(definition, submission map[string]string) map[string]string {
	merged := make(map[string]string, len(definition)+len(submission))
	maps.Copy(merged, definition)
	maps.Copy(merged, submission)
	return merged
}

// substituteCommand replaces the placeholders of a command by parameters. Values are not scanned again. A placeholder
// without a parameter is refused (reference, 2.3).
func substituteCommand(command []string, parameters map[string]string, within bool) ([]string, error) {
	out := make([]string, len(command))
	for i, arg := range command {
		var missing string
		var ok bool
		if out[i], missing, ok = substituteArgument(arg, parameters, within); !ok {
			return nil, Refusedf("Unable to substitute value. No parameter found for reference %s", missing)
		}
	}
	return out, nil
}

// substituteArgument replaces a placeholder that is the whole argument; with within set, also those that stand inside a
// longer argument, where a name ends at the first character that is no letter, digit, "_" or "-". If a parameter is
// missing, ok is false and missing is its name.
//
// unverified: whether AWS replaces placeholders inside a longer argument; its guide only shows whole arguments.
func substituteArgument(arg string, parameters map[string]string, within bool) (out, missing string, ok bool) {
	if !within {
		name, isRef := strings.CutPrefix(arg, placeholder)
		if !isRef || name == "" {
			return arg, "", true
		}
		v, found := parameters[name]
		return v, name, found
	}
	var b strings.Builder
	for {
		before, rest, isRef := strings.Cut(arg, placeholder)
		b.WriteString(before)
		if !isRef {
			return b.String(), "", true
		}
		n := 0
		for n < len(rest) && isNameByte(rest[n]) {
			n++
		}
		if n == 0 {
			b.WriteString(placeholder)
		} else if v, found := parameters[rest[:n]]; found {
			b.WriteString(v)
		} else {
			return "", rest[:n], false
		}
		arg = rest[n:]
	}
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}
