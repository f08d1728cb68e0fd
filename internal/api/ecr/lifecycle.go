package ecr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

// The lengths of a lifecycle policy's text (API reference, PutLifecyclePolicy).
const (
	minLifecycle = 100
	maxLifecycle = 30720
)

func badLifecycle(format string, args ...any) *awswire.Error {
	return invalid("LifecyclePolicyText", "Lifecycle policy validation failure: %s", fmt.Sprintf(format, args...))
}

// checkLifecyclePolicy checks a lifecycle policy against the parameters of the user guide ("Lifecycle policy properties
// in Amazon ECR"). AWS checks with a JSON schema; where clients have quoted its texts they are given so.
func checkLifecyclePolicy(text string) error {
	if len(text) < minLifecycle {
		return invalid("lifecyclePolicyText", "Member must have length greater than or equal to %d", minLifecycle)
	}
	if len(text) > maxLifecycle {
		return invalid("lifecyclePolicyText", "Member must have length less than or equal to %d", maxLifecycle)
	}
	var doc any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil || dec.More() {
		return badLifecycle("Could not map policyString into LifecyclePolicy.")
	}
	top, err := object(doc, []string{"rules"}, nil)
	if err != nil {
		return err
	}
	rules, ok := top["rules"].([]any)
	if !ok {
		return badLifecycle("instance type (%s) does not match any allowed primitive type (allowed: [\"array\"])", typeName(top["rules"]))
	}
	if len(rules) == 0 {
		return badLifecycle("array is too short: must have at least 1 elements but instance has 0 elements")
	}
	seen := priorities{used: map[int64]bool{}, untagged: map[string]bool{}}
	for _, r := range rules {
		if err := seen.rule(r); err != nil {
			return err
		}
	}
	if seen.anyAt > 0 && seen.anyAt < seen.last {
		return badLifecycle("Rule with tagStatus any must have the highest rulePriority.") // unverified text
	}
	return nil
}

// priorities is what the rules of one policy must agree on.
type priorities struct {
	used     map[int64]bool
	untagged map[string]bool // storage classes that have a rule for untagged images
	anyAt    int64           // priority of the rule for any image, 0 if there is none
	last     int64           // the highest priority
}

func (s *priorities) rule(v any) error {
	rule, err := object(v, []string{"action", "rulePriority", "selection"}, []string{"description"})
	if err != nil {
		return err
	}
	priority, err := number(rule["rulePriority"])
	if err != nil {
		return err
	}
	if s.used[priority] {
		return badLifecycle("rulePriority %d is used by more than one rule.", priority) // unverified text
	}
	s.used[priority] = true
	s.last = max(s.last, priority)
	action, err := object(rule["action"], []string{"type"}, []string{"targetStorageClass"})
	if err != nil {
		return err
	}
	if err := oneOf(action["type"], "expire", "transition"); err != nil {
		return err
	}
	return s.selection(rule["selection"], priority)
}

func (s *priorities) selection(v any, priority int64) error {
	sel, err := object(v, []string{"countNumber", "countType", "tagStatus"}, []string{"countUnit", "storageClass", "tagPatternList", "tagPrefixList"})
	if err != nil {
		return err
	}
	if _, err := number(sel["countNumber"]); err != nil {
		return err
	}
	if err := oneOf(sel["tagStatus"], "tagged", "untagged", "any"); err != nil {
		return err
	}
	if err := oneOf(sel["countType"], "imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"); err != nil {
		return err
	}
	byAge := sel["countType"] != "imageCountMoreThan"
	if unit, ok := sel["countUnit"]; ok != byAge {
		// A unit goes with an age, and with nothing else; the schema has one alternative for each.
		return badLifecycle("instance failed to match exactly one schema (matched 0 out of 2)")
	} else if ok {
		if err := oneOf(unit, "days"); err != nil {
			return err
		}
	}
	listed := false
	for _, member := range []string{"tagPatternList", "tagPrefixList"} {
		if v, ok := sel[member]; ok {
			list, isList := v.([]any)
			if !isList {
				return badLifecycle("instance type (%s) does not match any allowed primitive type (allowed: [\"array\"])", typeName(v))
			}
			listed = listed || len(list) > 0
		}
	}
	switch class, _ := sel["storageClass"].(string); sel["tagStatus"] {
	case "tagged":
		if !listed {
			return badLifecycle("tagPrefixList or tagPatternList must be specified when tagStatus is tagged.") // unverified text
		}
	case "untagged":
		if s.untagged[class] {
			return badLifecycle("Only one rule can select Untagged images per storage class.")
		}
		s.untagged[class] = true
	case "any":
		s.anyAt = priority
	}
	return nil
}

// object is v as an object with all of the required members and none but them and the optional ones.
func object(v any, required, optional []string) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, badLifecycle("instance type (%s) does not match any allowed primitive type (allowed: [\"object\"])", typeName(v))
	}
	var missing, unknown []string
	for _, k := range required {
		if _, ok := m[k]; !ok {
			missing = append(missing, strconv.Quote(k))
		}
	}
	if missing != nil {
		return nil, badLifecycle("object has missing required properties ([%s])", strings.Join(missing, ","))
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(required, k) && !slices.Contains(optional, k) {
			unknown = append(unknown, strconv.Quote(k))
		}
	}
	if unknown != nil {
		return nil, badLifecycle("object instance has properties which are not allowed by the schema: [%s]", strings.Join(unknown, ","))
	}
	return m, nil
}

// number is v as a whole number of at least 1.
func number(v any) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, badLifecycle("instance type (%s) does not match any allowed primitive type (allowed: [\"integer\"])", typeName(v))
	}
	i, err := n.Int64()
	if err != nil {
		return 0, badLifecycle("instance type (number) does not match any allowed primitive type (allowed: [\"integer\"])")
	}
	if i < 1 {
		return 0, badLifecycle("numeric instance is lower than the required minimum (minimum: 1, found: %d)", i)
	}
	return i, nil
}

func oneOf(v any, values ...string) error {
	if s, ok := v.(string); ok && slices.Contains(values, s) {
		return nil
	}
	var shown bytes.Buffer
	enc := json.NewEncoder(&shown)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // v came out of JSON
		return err
	}
	return badLifecycle("instance value (%s) not found in enum (possible values: [\"%s\"])", strings.TrimSpace(shown.String()), strings.Join(values, `","`))
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}
