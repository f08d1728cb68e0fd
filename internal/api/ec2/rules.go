package ec2

import (
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) ruleOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "AuthorizeSecurityGroupIngress", func(t *tx, in *rulesInput) (*rulesOutput, error) { return authorize(t, in, false) }),
		change(a, "AuthorizeSecurityGroupEgress", func(t *tx, in *rulesInput) (*rulesOutput, error) { return authorize(t, in, true) }),
		change(a, "RevokeSecurityGroupIngress", func(t *tx, in *rulesInput) (*revokeOutput, error) { return revoke(t, in, false) }),
		change(a, "RevokeSecurityGroupEgress", func(t *tx, in *rulesInput) (*revokeOutput, error) { return revoke(t, in, true) }),
		view(a, "DescribeSecurityGroupRules", describeRules),
		change(a, "ModifySecurityGroupRules", modifyRules),
		change(a, "UpdateSecurityGroupRuleDescriptionsIngress", func(t *tx, in *rulesInput) (*done, error) { return describeAnew(t, in, false) }),
		change(a, "UpdateSecurityGroupRuleDescriptionsEgress", func(t *tx, in *rulesInput) (*done, error) { return describeAnew(t, in, true) }),
	}
}

// rulesInput is the input of all operations that name rules of one group: by permissions, by the older members for one
// permission, or by ids.
type rulesInput struct {
	CidrIp                       *string
	DryRun                       *bool
	FromPort                     *int32
	GroupId                      *string
	GroupName                    *string
	IpPermissions                []IPPermission
	IpProtocol                   *string
	SecurityGroupRuleDescription []RuleDescription
	SecurityGroupRuleIds         []string `ec2:"SecurityGroupRuleId"`
	SourceSecurityGroupName      *string
	SourceSecurityGroupOwnerId   *string
	TagSpecifications            []TagSpecification `ec2:"TagSpecification"`
	ToPort                       *int32
}

// RuleDescription is a new description of a rule.
type RuleDescription struct {
	Description         *string
	SecurityGroupRuleId *string
}

// permissions gives the permissions of a request in whichever form.
func (in *rulesInput) permissions() []IPPermission {
	if in.CidrIp == nil && in.SourceSecurityGroupName == nil && in.IpProtocol == nil {
		return in.IpPermissions
	}
	p := IPPermission{IpProtocol: in.IpProtocol, FromPort: in.FromPort, ToPort: in.ToPort}
	if in.CidrIp != nil {
		p.IpRanges = []IPRange{{CidrIp: in.CidrIp}}
	}
	if in.SourceSecurityGroupName != nil {
		p.Groups = []GroupPair{{GroupName: in.SourceSecurityGroupName, UserId: in.SourceSecurityGroupOwnerId}}
		if p.IpProtocol == nil { // a source group alone means everything
			p.IpProtocol = ptr("-1")
		}
	}
	return append(slices.Clone(in.IpPermissions), p)
}

// SecurityGroupRule is a rule as it is shown.
type SecurityGroupRule struct {
	CidrIpv4             *string
	CidrIpv6             *string
	Description          *string
	FromPort             *int32
	GroupId              *string
	GroupOwnerId         *string
	IpProtocol           *string
	IsEgress             *bool
	PrefixListId         *string
	ReferencedGroupInfo  *ReferencedGroup
	SecurityGroupRuleArn *string
	SecurityGroupRuleId  *string
	Tags                 []Tag `awswire:"tagSet"`
	ToPort               *int32
}

// ReferencedGroup is the peer of a rule.
type ReferencedGroup struct {
	GroupId *string
	UserId  *string
	VpcId   *string
}

func (r *rule) show(t *tx, g *group) SecurityGroupRule {
	out := SecurityGroupRule{
		CidrIpv4: optional(r.IPv4), CidrIpv6: optional(r.IPv6), Description: optional(r.Description), FromPort: ptr(int32(-1)), ToPort: ptr(int32(-1)),
		GroupId: ptr(g.ID), GroupOwnerId: ptr(t.Account), IpProtocol: ptr(r.Protocol), IsEgress: ptr(r.Egress), PrefixListId: optional(r.PrefixList),
		SecurityGroupRuleArn: ptr(t.arn("security-group-rule/" + r.ID)), SecurityGroupRuleId: ptr(r.ID), Tags: r.Tags,
	}
	if r.From != nil {
		out.FromPort, out.ToPort = r.From, r.To
	}
	if r.Group != "" {
		out.ReferencedGroupInfo = &ReferencedGroup{GroupId: ptr(r.Group), UserId: ptr(r.GroupOwner)}
		if r.GroupOwner == t.Account {
			out.ReferencedGroupInfo.VpcId = ptr(g.VPC)
		}
	}
	return out
}

type rulesOutput struct {
	Return             *bool
	SecurityGroupRules []SecurityGroupRule `awswire:"securityGroupRuleSet"`
}

// authorize adds rules to a group, all or none.
func authorize(t *tx, in *rulesInput, egress bool) (*rulesOutput, error) {
	g, err := t.group(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	rules, err := t.rules(g, in.permissions(), egress)
	if err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, "security-group-rule")
	if err != nil {
		return nil, err
	}
	out := &rulesOutput{Return: ptr(true)}
	for _, r := range rules {
		if slices.ContainsFunc(g.Rules, func(o rule) bool { return o.same(&r) }) {
			return nil, refuse("InvalidPermission.Duplicate", `the specified rule "%s" already exists`, r.String())
		}
		if r.ID, err = t.newID(rulePrefix); err != nil {
			return nil, err
		}
		r.Tags = tags
		g.Rules = append(g.Rules, r)
		out.SecurityGroupRules = append(out.SecurityGroupRules, r.show(t, g))
	}
	return out, t.put(&kindGroup, g)
}

type revokeOutput struct {
	Return                    *bool
	RevokedSecurityGroupRules []RevokedRule  `awswire:"revokedSecurityGroupRuleSet"`
	UnknownIpPermissions      []IPPermission `awswire:"unknownIpPermissionSet"`
}

// RevokedRule is a rule that was removed.
type RevokedRule struct {
	CidrIpv4            *string
	CidrIpv6            *string
	Description         *string
	FromPort            *int32
	GroupId             *string
	IpProtocol          *string
	IsEgress            *bool
	PrefixListId        *string
	ReferencedGroupId   *string
	SecurityGroupRuleId *string
	ToPort              *int32
}

// revoke removes rules from a group. A rule that is not there is an error, but in the default VPC a part of the answer
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html).
func revoke(t *tx, in *rulesInput, egress bool) (*revokeOutput, error) {
	g, err := t.group(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	out := &revokeOutput{Return: ptr(true), RevokedSecurityGroupRules: []RevokedRule{}, UnknownIpPermissions: []IPPermission{}}
	remove := func(i int) {
		s := g.Rules[i].show(t, g)
		out.RevokedSecurityGroupRules = append(out.RevokedSecurityGroupRules, RevokedRule{
			CidrIpv4: s.CidrIpv4, CidrIpv6: s.CidrIpv6, Description: s.Description, FromPort: s.FromPort, GroupId: s.GroupId, IpProtocol: s.IpProtocol, IsEgress: s.IsEgress,
			PrefixListId: s.PrefixListId, ReferencedGroupId: optional(g.Rules[i].Group), SecurityGroupRuleId: s.SecurityGroupRuleId, ToPort: s.ToPort,
		})
		g.Rules = slices.Delete(g.Rules, i, i+1)
	}
	for _, id := range in.SecurityGroupRuleIds {
		i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.ID == id && r.Egress == egress })
		if i < 0 {
			return nil, unknownRule(id)
		}
		remove(i)
	}
	if given := in.permissions(); len(given) > 0 || len(in.SecurityGroupRuleIds) == 0 {
		rules, err := t.rules(g, given, egress)
		if err != nil {
			return nil, err
		}
		home, err := t.defaultVPC()
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if i := slices.IndexFunc(g.Rules, func(o rule) bool { return o.same(&r) }); i >= 0 {
				remove(i)
				continue
			}
			if home == nil || g.VPC != home.ID {
				return nil, refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
			}
			out.UnknownIpPermissions = append(out.UnknownIpPermissions, permissions([]rule{r}, egress)...)
		}
	}
	return out, t.put(&kindGroup, g)
}

func unknownRule(id string) error {
	return refuse("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
}

// ruleOf finds the group that has a rule, and its place there.
func (t *tx) ruleOf(id string) (*group, int, error) {
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, 0, err
	}
	for _, g := range groups {
		if i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.ID == id }); i >= 0 {
			return g, i, nil
		}
	}
	return nil, 0, unknownRule(id)
}

var ruleLook = look[SecurityGroupRule]{
	filters: map[string]func(*SecurityGroupRule) []string{
		"group-id":               func(r *SecurityGroupRule) []string { return one(r.GroupId) },
		"security-group-rule-id": func(r *SecurityGroupRule) []string { return one(r.SecurityGroupRuleId) },
	},
	tags: func(r *SecurityGroupRule) []Tag { return r.Tags },
	key:  func(r *SecurityGroupRule) string { return *r.SecurityGroupRuleId },
}

type describeRulesInput struct {
	DryRun               *bool
	Filters              []Filter `ec2:"Filter"`
	MaxResults           *int32
	NextToken            *string
	SecurityGroupRuleIds []string `ec2:"SecurityGroupRuleId"`
}

type describeRulesOutput struct {
	NextToken          *string
	SecurityGroupRules []SecurityGroupRule `awswire:"securityGroupRuleSet"`
}

func describeRules(t *tx, in *describeRulesInput) (*describeRulesOutput, error) {
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	var list []SecurityGroupRule
	for _, g := range groups {
		for i := range g.Rules {
			list = append(list, g.Rules[i].show(t, g))
		}
	}
	slices.SortFunc(list, func(a, b SecurityGroupRule) int {
		return strings.Compare(*a.SecurityGroupRuleId, *b.SecurityGroupRuleId)
	})
	for _, id := range in.SecurityGroupRuleIds {
		if !slices.ContainsFunc(list, func(r SecurityGroupRule) bool { return *r.SecurityGroupRuleId == id }) {
			return nil, unknownRule(id)
		}
	}
	if len(in.SecurityGroupRuleIds) > 0 {
		list = slices.DeleteFunc(list, func(r SecurityGroupRule) bool {
			return !slices.Contains(in.SecurityGroupRuleIds, *r.SecurityGroupRuleId)
		})
	}
	list, next, err := ruleLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeRulesOutput{NextToken: next, SecurityGroupRules: list}, err
}

type modifyRulesInput struct {
	DryRun             *bool
	GroupId            *string
	SecurityGroupRules []RuleUpdate `ec2:"SecurityGroupRule"`
}

// RuleUpdate is what a rule becomes.
type RuleUpdate struct {
	SecurityGroupRule   *RuleRequest
	SecurityGroupRuleId *string
}

// RuleRequest is a rule to be.
type RuleRequest struct {
	CidrIpv4          *string
	CidrIpv6          *string
	Description       *string
	FromPort          *int32
	IpProtocol        *string
	PrefixListId      *string
	ReferencedGroupId *string
	ToPort            *int32
}

// modifyRules replaces what rules say; their ids, directions and tags stay.
func modifyRules(t *tx, in *modifyRulesInput) (*done, error) {
	g, err := find[group](t, &kindGroup, in.GroupId, "GroupId")
	if err != nil {
		return nil, err
	}
	if len(in.SecurityGroupRules) == 0 {
		return nil, missing("SecurityGroupRule")
	}
	for _, u := range in.SecurityGroupRules {
		i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.ID == str(u.SecurityGroupRuleId) })
		if i < 0 {
			return nil, unknownRule(str(u.SecurityGroupRuleId))
		}
		q := u.SecurityGroupRule
		if q == nil {
			return nil, missing("SecurityGroupRule.1.SecurityGroupRule")
		}
		p := IPPermission{IpProtocol: q.IpProtocol, FromPort: q.FromPort, ToPort: q.ToPort}
		switch {
		case q.CidrIpv4 != nil:
			p.IpRanges = []IPRange{{q.CidrIpv4, q.Description}}
		case q.CidrIpv6 != nil:
			p.Ipv6Ranges = []IPv6Range{{q.CidrIpv6, q.Description}}
		case q.PrefixListId != nil:
			p.PrefixListIds = []PrefixList{{q.Description, q.PrefixListId}}
		case q.ReferencedGroupId != nil:
			// "account/group" names a group of another account, as Terraform writes it.
			pair := GroupPair{Description: q.Description, GroupId: q.ReferencedGroupId}
			if owner, id, ok := strings.Cut(*q.ReferencedGroupId, "/"); ok {
				pair.UserId, pair.GroupId = &owner, &id
			}
			p.Groups = []GroupPair{pair}
		}
		was := &g.Rules[i]
		next, err := t.rules(g, []IPPermission{p}, was.Egress)
		if err != nil {
			return nil, err
		}
		next[0].base = was.base
		if slices.ContainsFunc(g.Rules, func(o rule) bool { return o.ID != was.ID && o.same(&next[0]) }) {
			return nil, refuse("InvalidPermission.Duplicate", `the specified rule "%s" already exists`, next[0].String())
		}
		*was = next[0]
	}
	return succeed(), t.put(&kindGroup, g)
}

// describeAnew sets the descriptions of rules.
func describeAnew(t *tx, in *rulesInput, egress bool) (*done, error) {
	g, err := t.group(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	for _, d := range in.SecurityGroupRuleDescription {
		i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.ID == str(d.SecurityGroupRuleId) && r.Egress == egress })
		if i < 0 {
			return nil, unknownRule(str(d.SecurityGroupRuleId))
		}
		if g.Rules[i].Description, err = ruleDescription(d.Description); err != nil {
			return nil, err
		}
	}
	if given := in.permissions(); len(given) > 0 || len(in.SecurityGroupRuleDescription) == 0 {
		rules, err := t.rules(g, given, egress)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			i := slices.IndexFunc(g.Rules, func(o rule) bool { return o.same(&r) })
			if i < 0 {
				return nil, refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
			}
			g.Rules[i].Description = r.Description
		}
	}
	return succeed(), t.put(&kindGroup, g)
}
