// Package identity holds what IAM and STS share: the policy language, the roles of an account, and the temporary
// credentials issued for them. Permissions are not evaluated anywhere in batchbox; trust policies are, because they
// decide what sts:AssumeRole answers.
package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// PolicyKind is the place a policy document stands in, which decides the elements it may have.
type PolicyKind uint8

// The kinds of policy documents.
const (
	ManagedPolicy PolicyKind = iota + 1
	InlinePolicy
	TrustPolicy
	SessionPolicy
)

// Policy is a parsed policy document
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
type Policy struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one statement. A list that was not given is nil.
type Statement struct {
	Sid                     string
	Effect                  string // "Allow" or "Deny"
	Action, NotAction       []string
	Resource, NotResource   []string
	Principal, NotPrincipal *Principals
	// Conditions are by operator ("StringEquals") and key, in the spelling given.
	Conditions map[string]map[string][]string
}

// Principals is the value of Principal or NotPrincipal.
type Principals struct {
	Everyone  bool // "*" alone
	AWS       []string
	Service   []string
	Federated []string
	Canonical []string
}

// PolicyError says what is wrong with a policy document, in AWS's words where they are known.
type PolicyError struct {
	Text string
}

func (e *PolicyError) Error() string { return e.Text }

func policyErrorf(format string, args ...any) error {
	return &PolicyError{Text: fmt.Sprintf(format, args...)}
}

// syntaxText is what AWS says of a document that breaks the grammar. Trust policies that are no JSON have their own
// (seen on CreateRole).
const syntaxText = "Syntax errors in policy."

// ParsePolicy reads and checks a policy document. Its errors are *PolicyError. It accepts what the grammar accepts; that
// actions and resources exist is not checked.
func ParsePolicy(kind PolicyKind, document string) (*Policy, error) {
	if kind == TrustPolicy && !json.Valid([]byte(document)) {
		return nil, policyErrorf("This policy contains invalid Json")
	}
	if document != "" && strings.ContainsAny(document[:1], " \t\r\n") {
		return nil, policyErrorf("JSON strings must not have leading spaces")
	}
	p, err := parse(document)
	if err != nil {
		return nil, err
	}
	if kind == ManagedPolicy && p.Version != "2012-10-17" {
		return nil, policyErrorf("Policy document must be version 2012-10-17 or greater.")
	}
	seen := map[string]bool{}
	for i := range p.Statements {
		s := &p.Statements[i]
		if s.Sid != "" && kind != TrustPolicy {
			if seen[s.Sid] {
				return nil, policyErrorf("Statement IDs (SID) in a single policy must be unique.")
			}
			seen[s.Sid] = true
			if !sidRE.MatchString(s.Sid) {
				return nil, policyErrorf("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
			}
		}
	}
	for i := range p.Statements {
		if err := p.Statements[i].check(kind); err != nil {
			return nil, err
		}
	}
	return p, nil
}

var sidRE = regexp.MustCompile(`^[0-9A-Za-z]*$`)

func parse(document string) (*Policy, error) {
	syntax := policyErrorf(syntaxText)
	var top map[string]json.RawMessage
	if json.Unmarshal([]byte(document), &top) != nil || top == nil {
		return nil, syntax
	}
	p := &Policy{Version: "2008-10-17"}
	for _, name := range slices.Sorted(maps.Keys(top)) { // so that of two faults the same one is named
		raw := top[name]
		switch name {
		case "Version":
			if json.Unmarshal(raw, &p.Version) != nil || p.Version != "2012-10-17" && p.Version != "2008-10-17" {
				return nil, policyErrorf("The policy must contain a valid version string")
			}
		case "Id":
			if json.Unmarshal(raw, &p.ID) != nil {
				return nil, syntax
			}
		case "Statement":
			var list []json.RawMessage
			if json.Unmarshal(raw, &list) != nil {
				list = []json.RawMessage{raw}
			}
			for _, one := range list {
				s, ok := parseStatement(one)
				if !ok {
					return nil, syntax
				}
				p.Statements = append(p.Statements, s)
			}
		default:
			return nil, syntax
		}
	}
	if len(p.Statements) == 0 {
		return nil, syntax
	}
	return p, nil
}

func parseStatement(raw json.RawMessage) (s Statement, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return s, false
	}
	for name, v := range members {
		switch name {
		case "Sid":
			ok = json.Unmarshal(v, &s.Sid) == nil
		case "Effect":
			ok = json.Unmarshal(v, &s.Effect) == nil && (s.Effect == "Allow" || s.Effect == "Deny")
		case "Action":
			s.Action, ok = oneOrMore(v)
		case "NotAction":
			s.NotAction, ok = oneOrMore(v)
		case "Resource":
			s.Resource, ok = oneOrMore(v)
		case "NotResource":
			s.NotResource, ok = oneOrMore(v)
		case "Principal":
			s.Principal, ok = parsePrincipals(v)
		case "NotPrincipal":
			s.NotPrincipal, ok = parsePrincipals(v)
		case "Condition":
			s.Conditions, ok = parseConditions(v)
		default:
			ok = false
		}
		if !ok {
			return s, false
		}
	}
	both := func(a, b []string) bool { return a != nil && b != nil }
	return s, s.Effect != "" && !both(s.Action, s.NotAction) && !both(s.Resource, s.NotResource) && (s.Principal == nil || s.NotPrincipal == nil)
}

// oneOrMore reads a string or a list of strings; the result is not nil.
func oneOrMore(raw json.RawMessage) ([]string, bool) {
	var one *string
	if json.Unmarshal(raw, &one) == nil && one != nil {
		return []string{*one}, true
	}
	list := []*string{}
	if json.Unmarshal(raw, &list) != nil || list == nil || slices.Contains(list, nil) {
		return nil, false
	}
	values := make([]string, len(list))
	for i, v := range list {
		values[i] = *v
	}
	return values, true
}

func parsePrincipals(raw json.RawMessage) (*Principals, bool) {
	var everyone string
	if json.Unmarshal(raw, &everyone) == nil {
		return &Principals{Everyone: true}, everyone == "*"
	}
	var by map[string]json.RawMessage
	if json.Unmarshal(raw, &by) != nil || by == nil {
		return nil, false
	}
	p := &Principals{}
	for kind, v := range by {
		list, ok := oneOrMore(v)
		if !ok {
			return nil, false
		}
		switch kind {
		case "AWS":
			p.AWS = list
		case "Service":
			p.Service = list
		case "Federated":
			p.Federated = list
		case "CanonicalUser":
			p.Canonical = list
		default:
			return nil, false
		}
	}
	return p, true
}

func (p *Principals) empty() bool {
	return !p.Everyone && len(p.AWS)+len(p.Service)+len(p.Federated)+len(p.Canonical) == 0
}

func parseConditions(raw json.RawMessage) (map[string]map[string][]string, bool) {
	var operators map[string]map[string]json.RawMessage
	if json.Unmarshal(raw, &operators) != nil {
		return nil, false
	}
	conditions := make(map[string]map[string][]string, len(operators))
	for op, keys := range operators {
		if len(keys) > 0 && !conditionOperators[bareOperator(op)] {
			return nil, false
		}
		conditions[op] = make(map[string][]string, len(keys))
		for key, v := range keys {
			values, ok := conditionValues(v)
			if !ok {
				return nil, false
			}
			conditions[op][key] = values
		}
	}
	return conditions, true
}

// conditionValues reads a scalar or a list of scalars as text.
func conditionValues(raw json.RawMessage) ([]string, bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	values := make([]string, 0, len(list))
	for _, one := range list {
		var v any
		if json.Unmarshal(one, &v) != nil {
			return nil, false
		}
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case bool, float64:
			values = append(values, string(one))
		default:
			return nil, false
		}
	}
	return values, true
}

// conditionOperators are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
var conditionOperators = func() map[string]bool {
	ops := map[string]bool{}
	for op := range strings.FieldsSeq(`StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike
		NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals
		DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals
		Bool BinaryEquals IpAddress NotIpAddress ArnEquals ArnLike ArnNotEquals ArnNotLike Null`) {
		ops[op] = true
	}
	return ops
}()

// bareOperator is a condition operator without its set prefix and its suffix.
func bareOperator(op string) string {
	for _, prefix := range []string{"ForAnyValue:", "ForAllValues:"} {
		op = strings.TrimPrefix(op, prefix)
	}
	return strings.TrimSuffix(op, "IfExists")
}

// check holds a statement to the rules of the place the policy stands in.
func (s *Statement) check(kind PolicyKind) error {
	if len(s.Action)+len(s.NotAction) == 0 {
		return policyErrorf("Policy statement must contain actions.")
	}
	if kind == TrustPolicy {
		return s.checkTrust()
	}
	if s.Principal != nil || s.NotPrincipal != nil {
		return policyErrorf("Policy document should not specify a principal.")
	}
	if len(s.Resource)+len(s.NotResource) == 0 {
		return policyErrorf("Policy statement must contain resources.")
	}
	for _, list := range [][]string{s.Resource, s.NotResource} {
		for _, r := range list {
			if err := checkResource(r); err != nil {
				return err
			}
		}
	}
	for _, list := range [][]string{s.Action, s.NotAction} {
		for _, a := range list {
			if err := checkAction(a); err != nil {
				return err
			}
		}
	}
	return nil
}

var vendorRE = regexp.MustCompile(`^[a-zA-Z0-9.*?-]+$`)

func checkAction(action string) error {
	if action == "*" {
		return nil
	}
	vendor, rest, found := strings.Cut(action, ":")
	switch {
	case !found:
		return policyErrorf("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	case strings.Contains(rest, ":"):
		return policyErrorf("Actions/Condition can contain only one colon.")
	case !vendorRE.MatchString(vendor):
		return policyErrorf("Vendor %s is not valid", vendor)
	}
	return nil
}

func checkResource(resource string) error {
	// Policy variables and patterns may stand in for any part.
	if strings.HasPrefix(resource, "*") {
		return nil
	}
	parts := strings.SplitN(resource, ":", 6)
	if parts[0] != "arn" || len(parts) < 2 {
		return policyErrorf("Resource %s must be in ARN format or \"*\".", resource)
	}
	switch parts[1] {
	case "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc", "*":
	default:
		for len(parts) < 6 {
			parts = append(parts, "*")
		}
		return policyErrorf("Partition \"%s\" is not valid for resource \"%s\".", parts[1], strings.Join(parts, ":"))
	}
	if len(parts) < 3 {
		return policyErrorf("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	if len(parts) < 6 {
		return policyErrorf("The policy failed legacy parsing")
	}
	if parts[2] == "iam" && parts[3] != "" && parts[3] != "*" {
		return policyErrorf("IAM resource %s cannot contain region information.", resource)
	}
	return nil
}
