package ec2

import (
	"regexp"
	"slices"
	"sync"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) groupOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateSecurityGroup", createGroup),
		change(a, "DeleteSecurityGroup", deleteGroup),
		view(a, "DescribeSecurityGroups", describeGroups),
	}
}

// group is a security group. Its JSON is how the store keeps it.
type group struct {
	base
	Name        string `json:"name"`
	Description string `json:"description"`
	VPC         string `json:"vpcId"`
	Rules       []rule `json:"rules,omitempty"` // in the order they were made
}

// SecurityGroup is a security group as it is shown.
type SecurityGroup struct {
	Description         *string `awswire:"groupDescription"`
	GroupId             *string
	GroupName           *string
	IpPermissions       []IPPermission
	IpPermissionsEgress []IPPermission
	OwnerId             *string
	SecurityGroupArn    *string
	Tags                []Tag `awswire:"tagSet"`
	VpcId               *string
}

func (g *group) show(t *tx) SecurityGroup {
	return SecurityGroup{
		Description: ptr(g.Description), GroupId: ptr(g.ID), GroupName: ptr(g.Name), OwnerId: ptr(t.Account), SecurityGroupArn: ptr(t.arn("security-group/" + g.ID)),
		IpPermissions: permissions(g.Rules, false), IpPermissionsEgress: permissions(g.Rules, true), Tags: g.Tags, VpcId: ptr(g.VPC),
	}
}

var groupLook = func() look[SecurityGroup] {
	l := look[SecurityGroup]{
		filters: map[string]func(*SecurityGroup) []string{
			"description": func(g *SecurityGroup) []string { return one(g.Description) },
			"group-id":    func(g *SecurityGroup) []string { return one(g.GroupId) },
			"group-name":  func(g *SecurityGroup) []string { return one(g.GroupName) },
			"owner-id":    func(g *SecurityGroup) []string { return one(g.OwnerId) },
			"vpc-id":      func(g *SecurityGroup) []string { return one(g.VpcId) },
		},
		tags: func(g *SecurityGroup) []Tag { return g.Tags },
		key:  func(g *SecurityGroup) string { return *g.GroupId },
	}
	for prefix, of := range map[string]func(g *SecurityGroup) []IPPermission{
		"ip-permission.":        func(g *SecurityGroup) []IPPermission { return g.IpPermissions },
		"egress.ip-permission.": func(g *SecurityGroup) []IPPermission { return g.IpPermissionsEgress },
	} {
		for name, value := range map[string]func(p *IPPermission) []string{
			"protocol":  func(p *IPPermission) []string { return one(p.IpProtocol) },
			"from-port": func(p *IPPermission) []string { return number(p.FromPort) },
			"to-port":   func(p *IPPermission) []string { return number(p.ToPort) },
			"cidr":      func(p *IPPermission) []string { return each(p.IpRanges, func(r *IPRange) *string { return r.CidrIp }) },
			"ipv6-cidr": func(p *IPPermission) []string {
				return each(p.Ipv6Ranges, func(r *IPv6Range) *string { return r.CidrIpv6 })
			},
			"prefix-list-id": func(p *IPPermission) []string {
				return each(p.PrefixListIds, func(r *PrefixList) *string { return r.PrefixListId })
			},
			"group-id": func(p *IPPermission) []string { return each(p.Groups, func(r *GroupPair) *string { return r.GroupId }) },
			"user-id":  func(p *IPPermission) []string { return each(p.Groups, func(r *GroupPair) *string { return r.UserId }) },
		} {
			l.filters[prefix+name] = func(g *SecurityGroup) (values []string) {
				for _, p := range of(g) {
					values = append(values, value(&p)...)
				}
				return values
			}
		}
	}
	return l
}()

type createGroupInput struct {
	Description       *string `ec2:"GroupDescription"`
	DryRun            *bool
	GroupName         *string
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
	VpcId             *string
}

type createGroupOutput struct {
	GroupId          *string
	SecurityGroupArn *string
	Tags             []Tag `awswire:"tagSet"`
}

// groupTextRE are the characters of a name and a description
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html).
var groupTextRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}$`) })

const groupTextSet = `strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*`

func createGroup(t *tx, in *createGroupInput) (*createGroupOutput, error) {
	name := str(in.GroupName)
	switch {
	case name == "":
		return nil, missing("GroupName")
	case in.Description == nil:
		return nil, missing("GroupDescription")
	case len(name) > 2 && name[:3] == "sg-":
		return nil, invalid("Invalid value '%s' for groupName. Group names may not be in the format sg-*.", name)
	case !groupTextRE().MatchString(name):
		return nil, invalid("Value (%s) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.", name)
	case !groupTextRE().MatchString(*in.Description):
		return nil, invalid("Invalid security group description. Valid descriptions are " + groupTextSet)
	case name == "default":
		return nil, refuse("InvalidGroup.Reserved", "The security group 'default' is reserved")
	}
	var v *vpc
	var err error
	if in.VpcId != nil {
		v, err = find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	} else if v, err = t.defaultVPC(); err == nil && v == nil {
		err = refuse("VPCIdNotSpecified", "No default VPC for this user")
	}
	if err != nil {
		return nil, err
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(groups, func(g *group) bool { return g.VPC == v.ID && g.Name == name }) {
		return nil, refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", name, v.ID)
	}
	tags, err := specified(in.TagSpecifications, kindGroup.typ)
	if err != nil {
		return nil, err
	}
	id, failed := t.freshIDs()
	g := &group{base: base{id("sg-", ""), tags}, Name: name, Description: *in.Description, VPC: v.ID}
	// Every group lets everything out until that is revoked.
	g.Rules = []rule{{base: base{ID: id(rulePrefix, "")}, Egress: true, Protocol: "-1", IPv4: "0.0.0.0/0"}}
	if err := failed(); err != nil {
		return nil, err
	}
	return &createGroupOutput{GroupId: ptr(g.ID), SecurityGroupArn: ptr(t.arn("security-group/" + g.ID)), Tags: g.Tags}, t.put(&kindGroup, g)
}

// group finds a group by id, or by its name in the default VPC.
func (t *tx) group(id, name *string) (*group, error) {
	if id != nil {
		return find[group](t, &kindGroup, id, "GroupId")
	}
	if name == nil {
		return nil, missing("GroupId")
	}
	home, err := t.defaultVPC()
	if err != nil {
		return nil, err
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if home != nil && g.VPC == home.ID && g.Name == *name {
			return g, nil
		}
	}
	where := ""
	if home != nil {
		where = home.ID
	}
	return nil, refuse("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", *name, where)
}

type groupInput struct {
	DryRun    *bool
	GroupId   *string
	GroupName *string
}

type deleteGroupOutput struct {
	GroupId *string
	Return  *bool
}

func deleteGroup(t *tx, in *groupInput) (*deleteGroupOutput, error) {
	g, err := t.group(in.GroupId, in.GroupName)
	if err != nil {
		return nil, err
	}
	if g.Name == "default" {
		return nil, refuse("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", g.ID)
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	for _, o := range groups {
		if o.ID != g.ID && slices.ContainsFunc(o.Rules, func(r rule) bool { return r.Group == g.ID }) {
			return nil, refuse("DependencyViolation", "resource %s has a dependent object", g.ID)
		}
	}
	endpoints, err := all[endpoint](t, &kindEndpoint)
	if err != nil {
		return nil, err
	}
	interfaces, err := all[networkInterface](t, &kindInterface)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(endpoints, func(e *endpoint) bool { return slices.Contains(e.Groups, g.ID) }) ||
		slices.ContainsFunc(interfaces, func(n *networkInterface) bool { return slices.Contains(n.Groups, g.ID) }) {
		return nil, refuse("DependencyViolation", "resource %s has a dependent object", g.ID)
	}
	return &deleteGroupOutput{GroupId: ptr(g.ID), Return: ptr(true)}, t.delete(&kindGroup, g)
}

type describeGroupsInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	GroupIds   []string `ec2:"GroupId"`
	GroupNames []string `ec2:"GroupName"`
	MaxResults *int32
	NextToken  *string
}

type describeGroupsOutput struct {
	NextToken      *string
	SecurityGroups []SecurityGroup `awswire:"securityGroupInfo"`
}

func describeGroups(t *tx, in *describeGroupsInput) (*describeGroupsOutput, error) {
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	if len(in.GroupNames) > 0 {
		named := groups[:0:0]
		for _, name := range in.GroupNames {
			g, err := t.group(nil, &name)
			if err != nil {
				return nil, err
			}
			named = append(named, g)
		}
		groups = named
		slices.SortFunc(groups, func(a, b *group) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
	}
	var list []SecurityGroup
	for _, g := range groups {
		list = append(list, g.show(t))
	}
	if list, err = pick(list, in.GroupIds, &kindGroup, groupLook.key); err != nil {
		return nil, err
	}
	list, next, err := groupLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeGroupsOutput{NextToken: next, SecurityGroups: list}, err
}
