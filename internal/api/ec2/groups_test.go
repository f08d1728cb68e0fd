package ec2_test

import (
	"strings"
	"testing"
)

// group makes a security group in the default VPC.
func (c *client) group(name string) string {
	c.t.Helper()
	return c.call("CreateSecurityGroup", "GroupName", name, "GroupDescription", "for tests").text("groupId")
}

// TestSecurityGroup goes Terraform's way through aws_security_group: create, revoke the default rules, authorize, read,
// change, delete.
func TestSecurityGroup(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	created := c.call("CreateSecurityGroup", append(tagged("security-group", "Name", "batch"), "GroupName", "batch", "GroupDescription", "Managed by Terraform", "VpcId", vpc)...)
	id := created.text("groupId")
	c.same("ARN", created.text("securityGroupArn"), "arn:aws:ec2:eu-west-1:111122223333:security-group/"+id)
	c.same("tags", created.text("tagSet/item/value"), "batch")
	read := c.call("DescribeSecurityGroups", "GroupId.1", id)
	c.same("a new group lets everything out", read.text("securityGroupInfo/item/ipPermissionsEgress/item/ipRanges/item/cidrIp"), "0.0.0.0/0")
	c.same("and shows no ports", read.texts("securityGroupInfo/item/ipPermissionsEgress/item/fromPort"), "")

	all := []string{"GroupId", id, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.FromPort", "0", "IpPermissions.1.ToPort", "0"}
	c.call("RevokeSecurityGroupEgress", append(all, "IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0")...)
	c.refused("InvalidPermission.NotFound", "The specified rule does not exist in this security group.", "RevokeSecurityGroupEgress", append(all, "IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "::/0")...)

	c.call("AuthorizeSecurityGroupIngress", "GroupId", id,
		"IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort", "443", "IpPermissions.1.ToPort", "443",
		"IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8", "IpPermissions.1.IpRanges.1.Description", "inside", "IpPermissions.1.IpRanges.2.CidrIp", "192.168.0.0/16",
		"IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "fd00::/8", "IpPermissions.1.Groups.1.GroupId", id,
		"IpPermissions.2.IpProtocol", "icmp", "IpPermissions.2.FromPort", "8", "IpPermissions.2.ToPort", "-1", "IpPermissions.2.IpRanges.1.CidrIp", "0.0.0.0/0")
	c.call("AuthorizeSecurityGroupEgress", append(all, "IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0")...)
	read = c.call("DescribeSecurityGroups", "GroupId.1", id)
	item := read.all("securityGroupInfo/item")[0]
	for path, want := range map[string]string{
		"groupName": "batch", "groupDescription": "Managed by Terraform", "vpcId": vpc, "ownerId": account,
		"ipPermissions/item/ipProtocol": "tcp icmp", "ipPermissions/item/fromPort": "443 8", "ipPermissions/item/toPort": "443 -1",
		"ipPermissions/item/ipRanges/item/cidrIp": "10.0.0.0/8 192.168.0.0/16 0.0.0.0/0", "ipPermissions/item/ipRanges/item/description": "inside",
		"ipPermissions/item/ipv6Ranges/item/cidrIpv6": "fd00::/8", "ipPermissions/item/groups/item/groupId": id, "ipPermissions/item/groups/item/userId": account,
		"ipPermissionsEgress/item/ipProtocol": "-1",
	} {
		c.same(path, item.texts(path), want)
	}
	c.refused("InvalidGroup.Duplicate", "The security group 'batch' already exists for VPC '"+vpc+"'", "CreateSecurityGroup", "GroupName", "batch", "GroupDescription", "d", "VpcId", vpc)
	c.call("CreateSecurityGroup", "GroupName", "batch", "GroupDescription", "in the default VPC")

	c.call("DescribeNetworkInterfaces", filtered("group-id", id)...)
	c.call("DeleteSecurityGroup", "GroupId", id)
	c.refused("InvalidGroup.NotFound", "The security group '"+id+"' does not exist", "DescribeSecurityGroups", "GroupId.1", id)
	c.refused("InvalidGroup.NotFound", "The security group '"+id+"' does not exist", "DeleteSecurityGroup", "GroupId", id)
}

func TestSecurityGroupRefusals(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	home := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	own := c.call("DescribeSecurityGroups").text("securityGroupInfo/item/groupId")
	id := c.group("g")
	user := c.group("user")
	c.call("AuthorizeSecurityGroupIngress", "GroupId", user, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.Groups.1.GroupId", id)
	permit := func(more ...string) []string { return append([]string{"GroupId", id}, more...) }
	const p = "IpPermissions.1."
	c.call("AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "6", p+"FromPort", "80", p+"ToPort", "80", p+"IpRanges.1.CidrIp", "10.1.2.3/8")...)
	for _, tc := range []struct {
		code, text, action string
		parameters         []string
	}{
		{"CannotDelete", `the specified group: "` + own + `" name: "default" cannot be deleted by a user`, "DeleteSecurityGroup", []string{"GroupId", own}},
		{"DependencyViolation", "resource " + id + " has a dependent object", "DeleteSecurityGroup", []string{"GroupId", id}},
		{"InvalidGroup.Reserved", "The security group 'default' is reserved", "CreateSecurityGroup", []string{"GroupName", "default", "GroupDescription", "d"}},
		{"InvalidParameterValue", "Invalid value 'sg-x' for groupName. Group names may not be in the format sg-*.", "CreateSecurityGroup", []string{"GroupName", "sg-x", "GroupDescription", "d"}},
		{"MissingParameter", "The request must contain the parameter GroupDescription", "CreateSecurityGroup", []string{"GroupName", "x"}},
		{"InvalidVpcID.NotFound", "The vpc ID 'vpc-0123456789abcdef0' does not exist", "CreateSecurityGroup", []string{"GroupName", "x", "GroupDescription", "d", "VpcId", "vpc-0123456789abcdef0"}},
		{"InvalidGroup.NotFound", "The security group 'none' does not exist in default VPC '" + home + "'", "DeleteSecurityGroup", []string{"GroupName", "none"}},
		{"InvalidPermission.Duplicate", `the specified rule "peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ALLOW" already exists`, "AuthorizeSecurityGroupIngress",
			permit(p+"IpProtocol", "tcp", p+"FromPort", "80", p+"ToPort", "80", p+"IpRanges.1.CidrIp", "10.0.0.0/8", p+"IpRanges.1.Description", "another")},
		{"InvalidPermission.Duplicate", `the specified rule "peer: 0.0.0.0/0, ALL, ALLOW" already exists`, "AuthorizeSecurityGroupEgress", permit(p+"IpProtocol", "-1", p+"IpRanges.1.CidrIp", "0.0.0.0/0")},
		{"InvalidParameterValue", "The same permission must not appear multiple times", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "-1", p+"IpRanges.1.CidrIp", "1.0.0.0/8", p+"IpRanges.2.CidrIp", "1.2.3.4/8")},
		{"InvalidParameterValue", "CIDR block 10.0.0/8 is malformed", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "-1", p+"IpRanges.1.CidrIp", "10.0.0/8")},
		{"InvalidParameterValue", "CIDR block 10.0.0.0/8 is malformed", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "-1", p+"Ipv6Ranges.1.CidrIpv6", "10.0.0.0/8")},
		{"InvalidParameterValue", "Invalid value 'quic' for IP protocol. Unknown protocol.", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "quic", p+"IpRanges.1.CidrIp", "10.0.0.0/8")},
		{"InvalidParameterValue", "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "udp", p+"IpRanges.1.CidrIp", "10.0.0.0/8")},
		{"InvalidParameterValue", "Invalid TCP port range '90 - 80'.", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "tcp", p+"FromPort", "90", p+"ToPort", "80", p+"IpRanges.1.CidrIp", "10.0.0.0/8")},
		{"MissingParameter", "The request must contain the parameter ipPermissions", "AuthorizeSecurityGroupIngress", permit()},
		{"MissingParameter", "The request must contain the parameter ipPermissions", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "-1")},
		{"InvalidGroup.NotFound", "The security group 'sg-0123456789abcdef0' does not exist", "AuthorizeSecurityGroupIngress", permit(p+"IpProtocol", "-1", p+"Groups.1.GroupId", "sg-0123456789abcdef0")},
		{"InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-1' does not exist", "RevokeSecurityGroupIngress", permit("SecurityGroupRuleId.1", "sgr-1")},
		{"InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-1' does not exist", "DescribeSecurityGroupRules", []string{"SecurityGroupRuleId.1", "sgr-1"}},
	} {
		c.refused(tc.code, tc.text, tc.action, tc.parameters...)
	}
	// In the default VPC revoking what is not there is no error.
	unknown := c.call("RevokeSecurityGroupIngress", permit(p+"IpProtocol", "tcp", p+"FromPort", "1", p+"ToPort", "1", p+"IpRanges.1.CidrIp", "10.0.0.0/8")...)
	c.same("unknown permissions", unknown.texts("unknownIpPermissionSet/item/fromPort"), "1")
	c.same("after all that", c.call("DescribeSecurityGroups", "GroupId.1", id).texts("securityGroupInfo/item/ipPermissions/item/ipRanges/item/cidrIp"), "10.0.0.0/8")
}

// TestRules goes Terraform's way through aws_vpc_security_group_ingress_rule and _egress_rule, which know rules by id.
func TestRules(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	id, peer := c.group("g"), c.group("peer")
	const p = "IpPermissions.1."
	made := c.call("AuthorizeSecurityGroupIngress", append(tagged("security-group-rule", "k", "v"), "GroupId", id, p+"IpProtocol", "tcp", p+"FromPort", "80", p+"ToPort", "90",
		p+"IpRanges.1.CidrIp", "10.0.0.0/8", p+"IpRanges.1.Description", "web")...)
	rule := made.text("securityGroupRuleSet/item/securityGroupRuleId")
	read := func() *node {
		t.Helper()
		return c.call("DescribeSecurityGroupRules", "SecurityGroupRuleId.1", rule).all("securityGroupRuleSet/item")[0]
	}
	got := read()
	for path, want := range map[string]string{
		"securityGroupRuleId": rule, "groupId": id, "groupOwnerId": account, "ipProtocol": "tcp", "fromPort": "80", "toPort": "90", "cidrIpv4": "10.0.0.0/8", "description": "web",
		"isEgress": "false", "tagSet/item/value": "v", "securityGroupRuleArn": "arn:aws:ec2:eu-west-1:111122223333:security-group-rule/" + rule, "cidrIpv6": "",
	} {
		c.same(path, got.text(path), want)
	}
	const u = "SecurityGroupRule.1.SecurityGroupRule."
	c.call("ModifySecurityGroupRules", "GroupId", id, "SecurityGroupRule.1.SecurityGroupRuleId", rule, u+"IpProtocol", "-1", u+"ReferencedGroupId", peer)
	got = read()
	for path, want := range map[string]string{
		"ipProtocol": "-1", "fromPort": "-1", "toPort": "-1", "cidrIpv4": "", "referencedGroupInfo/groupId": peer, "referencedGroupInfo/userId": account, "description": "", "tagSet/item/value": "v",
	} {
		c.same(path, got.text(path), want)
	}
	c.call("UpdateSecurityGroupRuleDescriptionsIngress", "GroupId", id, "SecurityGroupRuleDescription.1.SecurityGroupRuleId", rule, "SecurityGroupRuleDescription.1.Description", "peers")
	c.same("description", read().text("description"), "peers")
	c.call("UpdateSecurityGroupRuleDescriptionsIngress", "GroupId", id, p+"IpProtocol", "-1", p+"Groups.1.GroupId", peer, p+"Groups.1.Description", "again")
	c.same("description", read().text("description"), "again")
	c.refused("InvalidPermission.NotFound", "The specified rule does not exist in this security group.", "UpdateSecurityGroupRuleDescriptionsEgress", "GroupId", id, p+"IpProtocol", "-1", p+"Groups.1.GroupId", peer)

	egress := c.call("AuthorizeSecurityGroupEgress", "GroupId", id, p+"IpProtocol", "50", p+"Ipv6Ranges.1.CidrIpv6", "::/0").text("securityGroupRuleSet/item/securityGroupRuleId")
	if n := len(c.call("DescribeSecurityGroupRules", filtered("group-id", id)...).all("securityGroupRuleSet/item")); n != 3 {
		t.Errorf("the group has %d rules", n)
	}
	c.refused("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '"+egress+"' does not exist", "RevokeSecurityGroupIngress", "GroupId", id, "SecurityGroupRuleId.1", egress)
	revoked := c.call("RevokeSecurityGroupEgress", "GroupId", id, "SecurityGroupRuleId.1", egress)
	c.same("revoked", revoked.texts("revokedSecurityGroupRuleSet/item/ipProtocol"), "50")
	c.call("RevokeSecurityGroupIngress", "GroupId", id, "SecurityGroupRuleId.1", rule)
	c.refused("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '"+rule+"' does not exist", "DescribeSecurityGroupRules", "SecurityGroupRuleId.1", rule)
}

// TestOldForms: one permission by the members that came before IpPermissions, groups by name, and filters.
func TestOldForms(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	id := c.group("web")
	c.group("db")
	c.call("AuthorizeSecurityGroupIngress", "GroupName", "web", "IpProtocol", "tcp", "FromPort", "22", "ToPort", "22", "CidrIp", "1.2.3.4/32")
	c.call("AuthorizeSecurityGroupIngress", "GroupName", "db", "SourceSecurityGroupName", "web")
	found := c.call("DescribeSecurityGroups", "GroupName.1", "db")
	c.same("the peer", found.text("securityGroupInfo/item/ipPermissions/item/groups/item/groupId"), id)
	for name, tc := range map[string]struct {
		filters []string
		want    string
	}{
		"by port":  {filtered("ip-permission.from-port", "22"), "web"},
		"by peer":  {filtered("ip-permission.cidr", "1.2.3.4/32"), "web"},
		"by group": {filtered("ip-permission.group-id", id), "db"},
		"by name":  {filtered("group-name", "w*"), "web"},
		"egress":   {filtered("egress.ip-permission.cidr", "0.0.0.0/0", "description", "for tests"), "db web"},
	} {
		got := strings.Fields(c.call("DescribeSecurityGroups", tc.filters...).texts("securityGroupInfo/item/groupName"))
		if strings.Join(sorted(got), " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
	c.call("RevokeSecurityGroupIngress", "GroupName", "web", "IpProtocol", "tcp", "FromPort", "22", "ToPort", "22", "CidrIp", "1.2.3.4/32")
	c.same("revoked", c.call("DescribeSecurityGroups", "GroupId.1", id).texts("securityGroupInfo/item/ipPermissions/item/ipProtocol"), "")
}
