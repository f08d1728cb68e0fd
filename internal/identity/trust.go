package identity

import (
	"regexp"
	"slices"
	"strings"
)

// The actions by which a role's credentials are got.
const (
	AssumeRole                = "sts:AssumeRole"
	AssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity"
)

var trustActions = []string{
	"sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession", "sts:setsourceidentity", "sts:setcontext", "sts:*",
}

var (
	accountRE   = regexp.MustCompile(`^[0-9]{12}$`)
	uniqueIDRE  = regexp.MustCompile(`^(AIDA|AROA)[A-Z0-9]{12,}$`)
	principalRE = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(root|(user|role)/.+)|sts::[0-9]{12}:(assumed-role/.+/.+|federated-user/.+))$`)
	serviceRE   = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|aws\.internal|amazon\.com)$`)
	federatedRE = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::[0-9]{12}:(oidc|saml)-provider/.+|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com|accounts\.google\.com)$`)
)

func (s *Statement) checkTrust() error {
	if s.Resource != nil || s.NotResource != nil {
		return policyErrorf("Has prohibited field Resource")
	}
	if s.Principal == nil && s.NotPrincipal == nil {
		return policyErrorf("Missing required field Principal")
	}
	for _, list := range [][]string{s.Action, s.NotAction} {
		for _, a := range list {
			if !slices.Contains(trustActions, strings.ToLower(a)) {
				return policyErrorf("AssumeRole policy may only specify STS AssumeRole actions.")
			}
		}
	}
	for _, p := range []*Principals{s.Principal, s.NotPrincipal} {
		if p == nil {
			continue
		}
		if p.empty() {
			return policyErrorf("Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a statement with no principals!")
		}
		for _, k := range []struct {
			name  string
			list  []string
			valid func(string) bool
		}{
			{"AWS", p.AWS, func(v string) bool {
				return v == "*" || accountRE.MatchString(v) || uniqueIDRE.MatchString(v) || principalRE.MatchString(v)
			}},
			{"SERVICE", p.Service, serviceRE.MatchString},
			{"FEDERATED", p.Federated, federatedRE.MatchString},
			{"CANONICAL", p.Canonical, func(v string) bool { return v != "" }},
		} {
			for _, v := range k.list {
				if !k.valid(v) {
					return policyErrorf("Invalid principal in policy: \"%s\":\"%s\"", k.name, v)
				}
			}
		}
	}
	return nil
}

// RolePrincipals lists the ARNs of roles of account that a trust policy names. IAM refuses those that do not exist.
func (p *Policy) RolePrincipals(account string) []string {
	var arns []string
	for _, s := range p.Statements {
		for _, ps := range []*Principals{s.Principal, s.NotPrincipal} {
			if ps == nil {
				continue
			}
			for _, v := range ps.AWS {
				if parts := strings.SplitN(v, ":", 6); len(parts) == 6 && parts[2] == "iam" && parts[4] == account && strings.HasPrefix(parts[5], "role/") {
					arns = append(arns, v)
				}
			}
		}
	}
	return arns
}

// Caller is who asks for a role's credentials.
type Caller struct {
	// Account, ARN and Service: an identity of an account, or "" and a service such as ecs-tasks.amazonaws.com. The ARN is
	// that of the account's root for a caller with long-lived keys, of which no more is known than the account; such a
	// caller passes for every user and role of it.
	Account, ARN, Service string
	// RoleARN is the role's of a session ARN.
	RoleARN string
	// Provider is the OpenID Connect provider's ARN of a caller with a token.
	Provider string
	// Keys are the condition keys known of the request, in lower case ("sts:externalid"), each with its values; one that is
	// absent from the request is there with none.
	Keys map[string][]string
}

// Trusts says whether a trust policy lets a caller do action. A condition on a key that Caller.Keys does not have is taken
// to hold, as batchbox does not know most of what AWS's keys tell.
func (p *Policy) Trusts(c *Caller, action string) bool {
	allowed := false
	for i := range p.Statements {
		s := &p.Statements[i]
		if !s.covers(action) || !s.names(c) || !s.holds(c) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s *Statement) covers(action string) bool {
	match := func(list []string) bool {
		return slices.ContainsFunc(list, func(a string) bool { return like(strings.ToLower(a), strings.ToLower(action)) })
	}
	if s.NotAction != nil {
		return !match(s.NotAction)
	}
	return match(s.Action)
}

func (s *Statement) names(c *Caller) bool {
	if s.NotPrincipal != nil {
		return !s.NotPrincipal.include(c)
	}
	return s.Principal.include(c)
}

func (p *Principals) include(c *Caller) bool {
	if p.Everyone {
		return true
	}
	switch {
	case c.Service != "":
		return slices.Contains(p.Service, c.Service)
	case c.Provider != "":
		return slices.Contains(p.Federated, c.Provider)
	}
	root := strings.HasSuffix(c.ARN, ":root")
	return slices.ContainsFunc(p.AWS, func(v string) bool {
		if v == "*" || v == c.Account || v == c.ARN || v == c.RoleARN && v != "" {
			return true
		}
		parts := strings.SplitN(v, ":", 6)
		return len(parts) == 6 && parts[4] == c.Account && (parts[5] == "root" || root)
	})
}

// holds evaluates the conditions: all operators, and in each all keys.
func (s *Statement) holds(c *Caller) bool {
	for op, keys := range s.Conditions {
		for key, wants := range keys {
			got, known := c.Keys[strings.ToLower(key)]
			if known && !condition(op, got, wants) {
				return false
			}
		}
	}
	return true
}

// condition evaluates one operator on one key. Operators other than those on text hold: no known key needs them.
func condition(op string, got, wants []string) bool {
	bare := bareOperator(op)
	if bare == "Null" {
		return slices.Contains(wants, "true") == (len(got) == 0)
	}
	var test func(got, want string) bool
	switch strings.Replace(bare, "Not", "", 1) {
	case "StringEquals":
		test = func(g, w string) bool { return g == w }
	case "StringEqualsIgnoreCase":
		test = strings.EqualFold
	case "StringLike", "ArnLike", "ArnEquals":
		test = func(g, w string) bool { return like(w, g) }
	default:
		return true
	}
	negated := strings.Contains(bare, "Not")
	if len(got) == 0 {
		return negated || strings.HasSuffix(op, "IfExists") || strings.HasPrefix(op, "ForAllValues:")
	}
	matches := func(g string) bool {
		return slices.ContainsFunc(wants, func(w string) bool { return test(g, w) }) != negated
	}
	if strings.HasPrefix(op, "ForAllValues:") || negated && !strings.HasPrefix(op, "ForAnyValue:") {
		return !slices.ContainsFunc(got, func(g string) bool { return !matches(g) })
	}
	return slices.ContainsFunc(got, matches)
}

// like compares with the wildcards * and ?.
func like(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
