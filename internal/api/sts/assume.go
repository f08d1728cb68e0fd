package sts

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// constraint is the answer of AWS's front ends to a value that breaks its shape's constraint.
func constraint(value any, member, rule string) error {
	return refuse("ValidationError", "1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must %s", value, member, rule)
}

func duration(seconds *int32, least, most, otherwise int32) (time.Duration, error) {
	n := otherwise
	if seconds != nil {
		n = *seconds
	}
	switch {
	case n < least:
		return 0, constraint(n, "durationSeconds", fmt.Sprintf("have value greater than or equal to %d", least))
	case n > most:
		return 0, constraint(n, "durationSeconds", fmt.Sprintf("have value less than or equal to %d", most))
	}
	return time.Duration(n) * time.Second, nil
}

func checkText(s *string, member string, least, most int, pattern *regexp.Regexp, shown string) error {
	if s == nil {
		return nil
	}
	switch n := utf8.RuneCountInString(*s); {
	case n < least:
		return constraint(*s, member, fmt.Sprintf("have length greater than or equal to %d", least))
	case n > most:
		return constraint(*s, member, fmt.Sprintf("have length less than or equal to %d", most))
	case pattern != nil && !pattern.MatchString(*s):
		return constraint(*s, member, "satisfy regular expression pattern: "+shown)
	}
	return nil
}

var (
	sessionNameRE = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDRE  = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
)

func checkSessionName(s *string, member string) error {
	return checkText(s, member, 2, 64, sessionNameRE, `[\w+=,.@-]*`)
}

// maxPackedPolicy bounds session policies and tags together, before AWS packs them
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, Policy).
const maxPackedPolicy = 2048

// sessionPolicies checks what narrows a session and says how full of it the session is, in percent; nil without any.
func sessionPolicies(policy *string, arns []types.PolicyDescriptorType, tags []types.Tag) (*int32, error) {
	if policy == nil && len(arns) == 0 && len(tags) == 0 {
		return nil, nil
	}
	size := 0
	if policy != nil {
		if err := checkText(policy, "policy", 1, maxPackedPolicy, nil, ""); err != nil {
			return nil, err
		}
		if _, err := identity.ParsePolicy(identity.SessionPolicy, *policy); err != nil {
			return nil, err
		}
		size += len(*policy)
	}
	if len(arns) > 10 {
		return nil, constraint(len(arns), "policyArns", "have length less than or equal to 10")
	}
	for _, d := range arns {
		if !strings.HasPrefix(str(d.Arn), "arn:") {
			return nil, refuse("ValidationError", "Invalid ARN: %s", str(d.Arn)) // unverified text
		}
		size += len(*d.Arn)
	}
	if len(tags) > 50 {
		return nil, constraint(len(tags), "tags", "have length less than or equal to 50")
	}
	seen := map[string]bool{}
	for _, t := range tags {
		key := strings.ToLower(str(t.Key))
		if err := checkText(t.Key, "tags.1.member.key", 1, 128, nil, ""); err != nil {
			return nil, err
		}
		if err := checkText(t.Value, "tags.1.member.value", 0, 256, nil, ""); err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, refuse("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
		size += len(key) + len(str(t.Value))
	}
	percent := int32((size*100 + maxPackedPolicy - 1) / maxPackedPolicy)
	if percent > 100 {
		return nil, refuse("PackedPolicyTooLarge", "Packed size of session tags consumes %d%% of allotted space.", percent)
	}
	return &percent, nil
}

func (a *api) assumeRole(ctx context.Context, c *awswire.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if err := checkRoleRequest(in.RoleArn, in.RoleSessionName); err != nil {
		return nil, err
	}
	d, err := duration(in.DurationSeconds, 900, 43200, 3600)
	if err != nil {
		return nil, err
	}
	if err := checkText(in.ExternalId, "externalId", 2, 1224, externalIDRE, `[\w+=,.@:\/-]*`); err != nil {
		return nil, err
	}
	if err := checkSessionName(in.SourceIdentity, "sourceIdentity"); err != nil {
		return nil, err
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, refuse("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	percent, err := sessionPolicies(in.Policy, in.PolicyArns, in.Tags)
	if err != nil {
		return nil, err
	}
	who, err := a.caller(ctx, c)
	if err != nil {
		return nil, err
	}
	claim := identity.Caller{Account: who.Account, ARN: who.arn, Keys: map[string][]string{
		"sts:externalid": values(in.ExternalId), "sts:rolesessionname": values(in.RoleSessionName), "sts:sourceidentity": values(in.SourceIdentity),
	}}
	if who.session != nil {
		claim.RoleARN = who.session.RoleARN
		if claim.RoleARN != "" && d > time.Hour {
			return nil, refuse("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
		}
	}
	role, account, err := a.trusting(ctx, *in.RoleArn, &claim, identity.AssumeRole)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, refuse("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", who.arn, *in.RoleArn)
	}
	if d > time.Duration(role.MaxSession)*time.Second {
		return nil, refuse("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	session := identity.RoleSession(batch.Partition{Account: account, Region: c.Region}, *in.RoleArn, role.Name, role.ID, *in.RoleSessionName)
	session.SourceIdentity = str(in.SourceIdentity)
	issued, err := a.sessions.Issue(ctx, session, d)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleOutput{
		Credentials: show(issued), AssumedRoleUser: &types.AssumedRoleUser{Arn: &issued.ARN, AssumedRoleId: &issued.UserID},
		PackedPolicySize: percent, SourceIdentity: in.SourceIdentity,
	}, nil
}

func checkRoleRequest(roleARN, sessionName *string) error {
	if err := checkText(roleARN, "roleArn", 20, 2048, nil, ""); err != nil {
		return err
	}
	if err := checkSessionName(sessionName, "roleSessionName"); err != nil {
		return err
	}
	if _, _, _, ok := identity.SplitRoleARN(*roleARN); !ok {
		return refuse("ValidationError", "%s is invalid", *roleARN)
	}
	return nil
}

func values(s *string) []string {
	if s == nil {
		return nil
	}
	return []string{*s}
}

// trusting finds a role and whether it trusts who claims it; nil if there is no such role or it does not, which AWS does
// not tell apart.
func (a *api) trusting(ctx context.Context, roleARN string, claim *identity.Caller, action string) (role *identity.Role, account string, err error) {
	account, path, name, _ := identity.SplitRoleARN(roleARN)
	err = a.docs.View(ctx, func(r store.Reader) error {
		found, ok, err := identity.FindRole(r, account, name)
		if err != nil || !ok || found.Path != path {
			return err
		}
		trust, err := identity.ParsePolicy(identity.TrustPolicy, found.Trust)
		if err != nil {
			return fmt.Errorf("the stored trust policy of %s: %s", roleARN, err.Error())
		}
		if trust.Trusts(claim, action) {
			role = found
		}
		return nil
	})
	return role, account, err
}

func (a *api) assumeRoleWithWebIdentity(ctx context.Context, c *awswire.Call, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	if err := checkRoleRequest(in.RoleArn, in.RoleSessionName); err != nil {
		return nil, err
	}
	if err := checkText(in.WebIdentityToken, "webIdentityToken", 4, 20000, nil, ""); err != nil {
		return nil, err
	}
	d, err := duration(in.DurationSeconds, 900, 43200, 3600)
	if err != nil {
		return nil, err
	}
	percent, err := sessionPolicies(in.Policy, in.PolicyArns, nil)
	if err != nil {
		return nil, err
	}
	if in.ProviderId != nil { // unverified text
		return nil, refuse("ValidationError", "ProviderId is for OAuth 2.0 access tokens, which batchbox does not take: give an OpenID Connect ID token without it")
	}
	account, _, _, _ := identity.SplitRoleARN(*in.RoleArn)
	token, err := a.tokens.Verify(ctx, account, *in.WebIdentityToken, a.now())
	if err != nil {
		return nil, err
	}
	p := batch.Partition{Account: account, Region: c.Region}
	claim := identity.Caller{Provider: token.Provider.ARN(p), Keys: map[string][]string{"sts:rolesessionname": values(in.RoleSessionName)}}
	prefix := strings.ToLower(token.Provider.Issuer) + ":"
	claim.Keys[prefix+"aud"], claim.Keys[prefix+"sub"] = token.Audience, []string{token.Subject}
	for name, v := range token.Text {
		if key := prefix + strings.ToLower(name); claim.Keys[key] == nil {
			claim.Keys[key] = v
		}
	}
	role, _, err := a.trusting(ctx, *in.RoleArn, &claim, identity.AssumeRoleWithWebIdentity)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, refuse("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	if d > time.Duration(role.MaxSession)*time.Second {
		return nil, refuse("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	issued, err := a.sessions.Issue(ctx, identity.RoleSession(p, *in.RoleArn, role.Name, role.ID, *in.RoleSessionName), d)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleWithWebIdentityOutput{
		Credentials: show(issued), AssumedRoleUser: &types.AssumedRoleUser{Arn: &issued.ARN, AssumedRoleId: &issued.UserID},
		Audience: &token.Client, Provider: ptr(token.Provider.ARN(p)), SubjectFromWebIdentityToken: &token.Subject, PackedPolicySize: percent,
	}, nil
}
