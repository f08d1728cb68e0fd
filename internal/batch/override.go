package batch

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// overrideContainer applies containerOverrides, or one container of ecsPropertiesOverride, to a container of the
// definition: the command as a whole, variables by name, requirements by type. The merged container is checked afterwards
// like one of a definition.
func overrideContainer(c, over object, fargate bool) error {
	if over.has("command") {
		command := over.strings("command")
		if slices.Contains(command, "") {
			// unverified: text; the rule is in the API reference, ContainerOverrides.
			return Invalidf("Container overrides command must not contain an empty string.")
		}
		// unverified: that an empty list overrides nothing; SDKs send one for "not given".
		if len(command) > 0 {
			c["command"] = toList(command)
		}
	}
	if err := checkEnvironment(over.objects("environment")); err != nil {
		return err
	}
	if over.has("environment") {
		// unverified: that a variable overridden with an empty value is not set at all.
		c["environment"] = withoutEmptyValues(mergeBy(c.list("environment"), over.list("environment"), "name"))
	}
	if err := checkRequirementOverrides(over); err != nil {
		return err
	}
	if over.has("resourceRequirements") {
		c["resourceRequirements"] = mergeBy(c.list("resourceRequirements"), over.list("resourceRequirements"), "type")
		dropLegacyMembers(c, over)
	}
	return overrideLegacy(c, over, fargate)
}

func checkRequirementOverrides(over object) error {
	seen := map[string]bool{}
	for _, r := range over.objects("resourceRequirements") {
		if seen[r.str("type")] {
			return Invalidf("Cannot provide duplicates in resourceRequirements.")
		}
		seen[r.str("type")] = true
	}
	return nil
}

// legacyMembers are the deprecated members of containerProperties and the requirement types that took their place.
var legacyMembers = []struct{ member, requirement string }{{"vcpus", "VCPU"}, {"memory", "MEMORY"}}

// dropLegacyMembers lets a requirement of the overrides take the place of the definition's deprecated member.
func dropLegacyMembers(c, over object) {
	for _, r := range over.objects("resourceRequirements") {
		for _, l := range legacyMembers {
			if r.str("type") == l.requirement {
				delete(c, l.member)
			}
		}
	}
}

// overrideLegacy applies the deprecated members vcpus and memory of containerOverrides. They override the definition's
// members of the same names only: a definition that states its requirements as resourceRequirements keeps them.
func overrideLegacy(c, over object, fargate bool) error {
	for _, l := range legacyMembers {
		n, ok := over.integer(l.member)
		if !ok {
			continue
		}
		if fargate {
			// unverified: text, by analogy with the other members.
			return Invalidf("%s is not applicable for Fargate.", l.member)
		}
		if c.has(l.member) {
			c[l.member] = jsonInt(n)
		}
	}
	return nil
}

// mergeBy replaces the entries of base that over names by the key member, and adds the others at the end.
func mergeBy(base, over []any, key string) []any {
	out := slices.Clone(base)
	if out == nil {
		out = []any{}
	}
	at := map[string]int{}
	for i, e := range out {
		at[entryKey(e, key)] = i
	}
	for _, e := range over {
		k := entryKey(e, key)
		if i, ok := at[k]; ok {
			out[i] = e
			continue
		}
		at[k] = len(out)
		out = append(out, e)
	}
	return out
}

func entryKey(e any, key string) string {
	m, _ := e.(map[string]any)
	return object(m).str(key)
}

// maxOverrides is the number of characters ECS takes as the overrides of a task (ECS API reference, TaskOverride).
const maxOverrides = 8192

// The status reasons of jobs that can't be dispatched.
const (
	reasonOverridesTooLong = "Container Overrides length must be at most 8192"
	// unverified: text; the rule is in the API reference, propagateTags of SubmitJob.
	reasonTooManyTags = "Combined number of tags of the job and the job definition must be at most 50"
)

// taskOverride collects what Batch hands to ECS as the overrides of a task.
type taskOverride struct{ containers []any }

// add appends the overrides of one container: its command as it will run, the variables and requirements of the
// submission, and the variables Batch adds.
func (t *taskOverride) add(name string, command []any, over object, injected []any) {
	o := map[string]any{"name": name, "command": command, "environment": slices.Concat(over.list("environment"), injected)}
	if !over.empty("resourceRequirements") {
		o["resourceRequirements"] = over["resourceRequirements"]
	}
	t.containers = append(t.containers, o)
}

// tooLong says whether ECS would refuse the overrides.
//
// unverified: which text AWS measures. This is the JSON of ECS's TaskOverride, with Batch's variables in it.
func (t *taskOverride) tooLong() bool {
	o := map[string]any{"containerOverrides": t.containers}
	return lengthBound(o) > maxOverrides && utf8.RuneCount(canonical(o)) > maxOverrides
}

// lengthBound is at least the number of characters of a value's canonical JSON, found without writing it: most overrides
// are far from the limit.
func lengthBound(v any) int {
	const escaped = 6 // characters of a byte written as \u00XX
	switch v := v.(type) {
	case string:
		return 2 + escaped*len(v)
	case json.Number:
		return len(v)
	case []any:
		n := 2
		for _, e := range v {
			n += 1 + lengthBound(e)
		}
		return n
	case map[string]any:
		n := 2
		for k, e := range v {
			n += 4 + escaped*len(k) + lengthBound(e)
		}
		return n
	default:
		return len("false")
	}
}
