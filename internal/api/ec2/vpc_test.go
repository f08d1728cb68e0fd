package ec2_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

var idRE = regexp.MustCompile(`^[a-z-]+-0[0-9a-f]{16}$`)

// TestStart: what every region of an account has from the start, always under the same ids.
func TestStart(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpcs := c.call("DescribeVpcs", filtered("isDefault", "true")...)
	vpc := vpcs.text("vpcSet/item/vpcId")
	if !idRE.MatchString(vpc) {
		t.Errorf("the default VPC is %q", vpc)
	}
	c.same("its block", vpcs.text("vpcSet/item/cidrBlock"), "172.31.0.0/16")
	c.same("its owner", vpcs.text("vpcSet/item/ownerId"), account)
	c.same("its state", vpcs.text("vpcSet/item/state"), "available")
	for attribute, want := range map[string]string{"enableDnsHostnames": "true", "enableDnsSupport": "true", "enableNetworkAddressUsageMetrics": "false"} {
		got := c.call("DescribeVpcAttribute", "VpcId", vpc, "Attribute", attribute)
		c.same(attribute, got.text(attribute+"/value"), want)
	}
	subnets := c.call("DescribeSubnets", filtered("vpc-id", vpc, "default-for-az", "true")...)
	zones := map[string]string{}
	for _, s := range subnets.all("subnetSet/item") {
		zones[s.text("availabilityZone")] = s.text("cidrBlock")
		c.same("addresses", s.text("availableIpAddressCount"), "4091")
		c.same("public addresses", s.text("mapPublicIpOnLaunch"), "true")
		c.same("ARN", s.text("subnetArn"), "arn:aws:ec2:eu-west-1:111122223333:subnet/"+s.text("subnetId"))
		if !idRE.MatchString(s.text("subnetId")) {
			t.Errorf("subnet %q", s.text("subnetId"))
		}
	}
	c.same("subnets", fmt.Sprint(zones), "map[eu-west-1a:172.31.0.0/20 eu-west-1b:172.31.16.0/20]")
	gateway := c.call("DescribeInternetGateways", filtered("attachment.vpc-id", vpc)...).text("internetGatewaySet/item/internetGatewayId")
	table := c.call("DescribeRouteTables", filtered("association.main", "true", "vpc-id", vpc)...)
	c.same("routes", table.texts("routeTableSet/item/routeSet/item/destinationCidrBlock"), "172.31.0.0/16 0.0.0.0/0")
	c.same("targets", table.texts("routeTableSet/item/routeSet/item/gatewayId"), "local "+gateway)
	c.same("states", table.texts("routeTableSet/item/routeSet/item/state"), "active active")
	acl := c.call("DescribeNetworkAcls", filtered("default", "true", "vpc-id", vpc)...)
	if n := len(acl.all("networkAclSet/item/associationSet/item")); n != 2 {
		t.Errorf("the network ACL has %d subnets", n)
	}
	c.same("network ACL", acl.texts("networkAclSet/item/entrySet/item/ruleNumber"), "100 32767 100 32767")
	options := c.call("DescribeDhcpOptions")
	c.same("DHCP options", options.text("dhcpOptionsSet/item/dhcpOptionsId"), vpcs.text("vpcSet/item/dhcpOptionsId"))
	c.same("DHCP values", options.texts("dhcpOptionsSet/item/dhcpConfigurationSet/item/valueSet/item/value"), "eu-west-1.compute.internal AmazonProvidedDNS")
	group := c.call("DescribeSecurityGroups", filtered("group-name", "default", "vpc-id", vpc)...)
	id := group.text("securityGroupInfo/item/groupId")
	c.same("ingress", group.texts("securityGroupInfo/item/ipPermissions/item/groups/item/groupId"), id)
	c.same("egress", group.texts("securityGroupInfo/item/ipPermissionsEgress/item/ipRanges/item/cidrIp"), "0.0.0.0/0")
	c.same("account attribute", c.call("DescribeAccountAttributes", "AttributeName.1", "default-vpc").texts("accountAttributeSet/item/attributeValueSet/item/attributeValue"), vpc)

	for name, other := range map[string]*client{"a region": c.in(account, "us-east-1"), "an account": c.in("999988887777", region)} {
		got := other.call("DescribeVpcs").text("vpcSet/item/vpcId")
		if got == "" || got == vpc {
			t.Errorf("in %s further on the default VPC is %q", name, got)
		}
	}
	c.same("another store's default VPC", newClient(t).call("DescribeVpcs").text("vpcSet/item/vpcId"), vpc)
	c.same("another region's DNS", c.in(account, "us-east-1").call("DescribeDhcpOptions").texts("dhcpOptionsSet/item/dhcpConfigurationSet/item/valueSet/item/value"), "ec2.internal AmazonProvidedDNS")
}

// TestDefaultVPC deletes the default VPC and makes it again.
func TestDefaultVPC(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	c.refused("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.", "CreateDefaultVpc")
	c.refused("DependencyViolation", "The vpc '"+vpc+"' has dependencies and cannot be deleted.", "DeleteVpc", "VpcId", vpc)
	for _, s := range c.call("DescribeSubnets").all("subnetSet/item/subnetId") {
		c.call("DeleteSubnet", "SubnetId", s.Text)
	}
	gateway := c.call("DescribeInternetGateways").text("internetGatewaySet/item/internetGatewayId")
	c.refused("DependencyViolation", "The internetGateway '"+gateway+"' has dependencies and cannot be deleted.", "DeleteInternetGateway", "InternetGatewayId", gateway)
	c.call("DetachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	c.same("the route without its gateway", c.call("DescribeRouteTables").texts("routeTableSet/item/routeSet/item/state"), "active blackhole")
	c.call("DeleteInternetGateway", "InternetGatewayId", gateway)
	c.call("DeleteVpc", "VpcId", vpc)
	for action, set := range map[string]string{
		"DescribeVpcs": "vpcSet", "DescribeSubnets": "subnetSet", "DescribeRouteTables": "routeTableSet", "DescribeSecurityGroups": "securityGroupInfo",
		"DescribeNetworkAcls": "networkAclSet", "DescribeInternetGateways": "internetGatewaySet",
	} {
		if got := c.call(action).all(set + "/item"); len(got) != 0 {
			t.Errorf("%s still shows %d", action, len(got))
		}
	}
	c.refused("VPCIdNotSpecified", "No default VPC for this user", "CreateSecurityGroup", "GroupName", "g", "GroupDescription", "d")
	c.same("account attribute", c.call("DescribeAccountAttributes", "AttributeName.1", "default-vpc").texts("accountAttributeSet/item/attributeValueSet/item/attributeValue"), "none")
	again := c.call("CreateDefaultVpc").text("vpc/vpcId")
	if again == vpc || again == "" {
		t.Errorf("made again: %q", again)
	}
	if n := len(c.call("DescribeSubnets", filtered("vpc-id", again)...).all("subnetSet/item")); n != 2 {
		t.Errorf("it has %d subnets", n)
	}
	third := c.call("CreateDefaultSubnet", "AvailabilityZone", "eu-west-1c")
	c.same("the third default subnet", third.text("subnet/cidrBlock"), "172.31.32.0/20")
	c.refused("DefaultSubnetAlreadyExistsInAvailabilityZone", "'"+third.text("subnet/subnetId")+"' is already the default subnet in eu-west-1c.", "CreateDefaultSubnet", "AvailabilityZone", "eu-west-1c")
}

// TestVPC goes Terraform's way through aws_vpc, aws_subnet, aws_internet_gateway, aws_route_table, aws_route and
// aws_route_table_association: create, read, change, delete.
func TestVPC(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	created := c.call("CreateVpc", append(tagged("vpc", "Name", "main"), "CidrBlock", "10.1.0.0/16", "InstanceTenancy", "default", "AmazonProvidedIpv6CidrBlock", "false")...)
	vpc := created.text("vpc/vpcId")
	c.same("CreateVpc", created.text("vpc/cidrBlockAssociationSet/item/cidrBlockState/state"), "associated")
	read := c.call("DescribeVpcs", "VpcId.1", vpc)
	for path, want := range map[string]string{"vpcId": vpc, "cidrBlock": "10.1.0.0/16", "isDefault": "false", "instanceTenancy": "default", "tagSet/item/value": "main", "state": "available"} {
		c.same(path, read.text("vpcSet/item/"+path), want)
	}
	c.call("ModifyVpcAttribute", "VpcId", vpc, "EnableDnsHostnames.Value", "true")
	c.same("DNS hostnames", c.call("DescribeVpcAttribute", "VpcId", vpc, "Attribute", "enableDnsHostnames").text("enableDnsHostnames/value"), "true")
	main := c.call("DescribeRouteTables", filtered("association.main", "true", "vpc-id", vpc)...)
	c.same("local route", main.text("routeTableSet/item/routeSet/item/gatewayId"), "local")

	made := c.call("CreateSubnet", append(tagged("subnet", "k", "v"), "VpcId", vpc, "CidrBlock", "10.1.1.0/24", "AvailabilityZone", "eu-west-1b")...)
	subnet := made.text("subnet/subnetId")
	c.call("ModifySubnetAttribute", "SubnetId", subnet, "MapPublicIpOnLaunch.Value", "true")
	c.call("ModifySubnetAttribute", "SubnetId", subnet, "EnableResourceNameDnsARecordOnLaunch.Value", "true")
	c.call("ModifySubnetAttribute", "SubnetId", subnet, "PrivateDnsHostnameTypeOnLaunch", "resource-name")
	read = c.call("DescribeSubnets", "SubnetId.1", subnet)
	for path, want := range map[string]string{
		"availabilityZone": "eu-west-1b", "availabilityZoneId": "euw1-az2", "availableIpAddressCount": "251", "mapPublicIpOnLaunch": "true", "defaultForAz": "false",
		"privateDnsNameOptionsOnLaunch/enableResourceNameDnsARecord": "true", "privateDnsNameOptionsOnLaunch/hostnameType": "resource-name", "assignIpv6AddressOnCreation": "false",
	} {
		c.same(path, read.text("subnetSet/item/"+path), want)
	}
	c.same("in its second zone", c.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.1.2.0/24", "AvailabilityZoneId", "euw1-az3").text("subnet/availabilityZone"), "eu-west-1c")

	gateway := c.call("CreateInternetGateway", tagged("internet-gateway", "k", "v")...).text("internetGateway/internetGatewayId")
	c.call("AttachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	read = c.call("DescribeInternetGateways", "InternetGatewayId.1", gateway)
	c.same("attachment", read.text("internetGatewaySet/item/attachmentSet/item/state"), "available")
	c.refused("Resource.AlreadyAssociated", "resource "+gateway+" is already attached to network "+vpc, "AttachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)

	table := c.call("CreateRouteTable", append(tagged("route-table", "k", "v"), "VpcId", vpc)...).text("routeTable/routeTableId")
	c.call("CreateRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "GatewayId", gateway)
	c.call("CreateRoute", "RouteTableId", table, "DestinationIpv6CidrBlock", "::/0", "GatewayId", gateway)
	read = c.call("DescribeRouteTables", "RouteTableId.1", table)
	c.same("routes", read.texts("routeTableSet/item/routeSet/item/destinationCidrBlock"), "10.1.0.0/16 0.0.0.0/0")
	c.same("IPv6 routes", read.texts("routeTableSet/item/routeSet/item/destinationIpv6CidrBlock"), "::/0")
	c.same("origins", read.texts("routeTableSet/item/routeSet/item/origin"), "CreateRouteTable CreateRoute CreateRoute")
	association := c.call("AssociateRouteTable", "RouteTableId", table, "SubnetId", subnet).text("associationId")
	read = c.call("DescribeRouteTables", filtered("association.route-table-association-id", association)...)
	c.same("association", read.text("routeTableSet/item/associationSet/item/subnetId"), subnet)
	mainTable := main.text("routeTableSet/item/routeTableId")
	moved := c.call("ReplaceRouteTableAssociation", "AssociationId", association, "RouteTableId", mainTable).text("newAssociationId")
	c.refused("InvalidAssociationID.NotFound", "The association ID '"+association+"' does not exist", "DisassociateRouteTable", "AssociationId", association)
	c.same("moved", c.call("DescribeRouteTables", filtered("association.route-table-association-id", moved)...).text("routeTableSet/item/routeTableId"), mainTable)

	// aws_main_route_table_association
	mainAssociation := main.text("routeTableSet/item/associationSet/item/routeTableAssociationId")
	c.call("ReplaceRouteTableAssociation", "AssociationId", mainAssociation, "RouteTableId", table)
	c.same("the new main table", c.call("DescribeRouteTables", filtered("association.main", "true", "vpc-id", vpc)...).text("routeTableSet/item/routeTableId"), table)
	c.refused("DependencyViolation", "The routeTable '"+table+"' has dependencies and cannot be deleted.", "DeleteRouteTable", "RouteTableId", table)

	// Destruction, in an order that first is refused.
	c.call("DescribeNetworkInterfaces", filtered("subnet-id", subnet)...)
	c.refused("DependencyViolation", "The vpc '"+vpc+"' has dependencies and cannot be deleted.", "DeleteVpc", "VpcId", vpc)
	c.call("DeleteRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0")
	c.refused("InvalidRoute.NotFound", "no route with destination-cidr-block 0.0.0.0/0 in route table "+table, "DeleteRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0")
	for _, s := range c.call("DescribeSubnets", filtered("vpc-id", vpc)...).all("subnetSet/item/subnetId") {
		c.call("DeleteSubnet", "SubnetId", s.Text)
	}
	c.call("DetachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	c.refused("Gateway.NotAttached", "resource "+gateway+" is not attached to network "+vpc, "DetachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	c.call("DeleteInternetGateway", "InternetGatewayId", gateway)
	c.call("DeleteRouteTable", "RouteTableId", mainTable)
	c.call("DeleteVpc", "VpcId", vpc)
	c.refused("InvalidVpcID.NotFound", "The vpc ID '"+vpc+"' does not exist", "DescribeVpcs", "VpcId.1", vpc)
	c.refused("InvalidVpcID.NotFound", "The vpc ID '"+vpc+"' does not exist", "DeleteVpc", "VpcId", vpc)
}

func TestNetworkRefusals(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	subnet := c.call("DescribeSubnets", filtered("availability-zone", "eu-west-1a")...).text("subnetSet/item/subnetId")
	table := c.call("DescribeRouteTables").text("routeTableSet/item/routeTableId")
	gateway := c.call("DescribeInternetGateways").text("internetGatewaySet/item/internetGatewayId")
	away := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	awayTable := c.call("DescribeRouteTables", filtered("vpc-id", away)...).text("routeTableSet/item/routeTableId")
	awaySubnet := c.call("CreateSubnet", "VpcId", away, "CidrBlock", "10.0.0.0/24").text("subnet/subnetId")
	c.call("AssociateRouteTable", "RouteTableId", awayTable, "SubnetId", awaySubnet)
	second := c.call("CreateRouteTable", "VpcId", away).text("routeTable/routeTableId")
	const nowhere = "vpc-0123456789abcdef0"
	for _, tc := range []struct {
		code, text, action string
		parameters         []string
	}{
		{"InvalidVpcID.NotFound", "The vpc ID '" + nowhere + "' does not exist", "DescribeVpcs", []string{"VpcId.1", nowhere}},
		{"InvalidVpcID.Malformed", `Invalid id: "main" (expecting "vpc-...")`, "DescribeVpcs", []string{"VpcId.1", "main"}},
		{"InvalidParameterValue", "The filter 'vpcId' is invalid", "DescribeVpcs", filtered("vpcId", nowhere)},
		{"MissingParameter", "The request must contain the parameter cidrBlock", "CreateVpc", nil},
		{"InvalidParameterValue", "Value (ten) for parameter cidrBlock is invalid. This is not a valid CIDR block.", "CreateVpc", []string{"CidrBlock", "ten"}},
		{"InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid.", "CreateVpc", []string{"CidrBlock", "10.0.0.0/8"}},
		{"UnsupportedOperation", "batchbox's VPCs have no IPv6 addresses.", "CreateVpc", []string{"CidrBlock", "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock", "true"}},
		{"InvalidParameterValue", "'subnet' is not a valid taggable resource type for this operation.", "CreateVpc", append(tagged("subnet", "k", "v"), "CidrBlock", "10.0.0.0/16")},
		{"InvalidSubnet.Range", "The CIDR '10.0.0.0/24' is invalid.", "CreateSubnet", []string{"VpcId", vpc, "CidrBlock", "10.0.0.0/24"}},
		{"InvalidSubnet.Range", "The CIDR '10.0.0.0/29' is invalid.", "CreateSubnet", []string{"VpcId", away, "CidrBlock", "10.0.0.0/29"}},
		{"InvalidSubnet.Conflict", "The CIDR '10.0.0.128/25' conflicts with another subnet", "CreateSubnet", []string{"VpcId", away, "CidrBlock", "10.0.0.128/25"}},
		{"InvalidParameterValue", "Value (us-east-1a) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: eu-west-1a, eu-west-1b, eu-west-1c.",
			"CreateSubnet", []string{"VpcId", away, "CidrBlock", "10.0.1.0/24", "AvailabilityZone", "us-east-1a"}},
		{"InvalidSubnetID.NotFound", "The subnet ID 'subnet-0123456789abcdef0' does not exist", "DeleteSubnet", []string{"SubnetId", "subnet-0123456789abcdef0"}},
		{"InvalidInternetGatewayID.NotFound", "The internetGateway ID 'igw-0123456789abcdef0' does not exist", "DescribeInternetGateways", []string{"InternetGatewayId.1", "igw-0123456789abcdef0"}},
		{"InvalidParameterValue", "route table " + awayTable + " and network gateway " + gateway + " belong to different networks", "CreateRoute", []string{"RouteTableId", awayTable, "DestinationCidrBlock", "0.0.0.0/0", "GatewayId", gateway}},
		{"RouteAlreadyExists", "The route identified by 172.31.0.0/16 already exists.", "CreateRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "172.31.0.0/16", "GatewayId", gateway}},
		{"NatGatewayNotFound", "The NAT gateway 'nat-1' was not found", "CreateRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "1.0.0.0/8", "NatGatewayId", "nat-1"}},
		{"InvalidParameterValue", "cannot remove local route 172.31.0.0/16 in route table " + table, "DeleteRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "172.31.0.0/16"}},
		{"InvalidParameterValue", "There is no route defined for '1.0.0.0/8' in the route table. Use CreateRoute instead.", "ReplaceRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "1.0.0.0/8", "GatewayId", gateway}},
		{"MissingParameter", "The request must contain the parameter destinationCidrBlock", "DeleteRoute", []string{"RouteTableId", table}},
		{"InvalidRouteTableID.NotFound", "The routeTable ID 'rtb-0123456789abcdef0' does not exist", "DescribeRouteTables", []string{"RouteTableId.1", "rtb-0123456789abcdef0"}},
		{"InvalidParameterValue", "Route table " + table + " and subnet " + awaySubnet + " belong to different networks", "AssociateRouteTable", []string{"RouteTableId", table, "SubnetId", awaySubnet}},
		{"Resource.AlreadyAssociated", "the specified association for route table " + second + " conflicts with an existing association", "AssociateRouteTable", []string{"RouteTableId", second, "SubnetId", awaySubnet}},
		{"InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-1' does not exist", "DescribeNetworkInterfaces", []string{"NetworkInterfaceId.1", "eni-1"}},
		{"InvalidParameterValue", "Value (magic) for parameter attribute is invalid. Unknown attribute.", "DescribeVpcAttribute", []string{"VpcId", vpc, "Attribute", "magic"}},
		{"InvalidNextToken", "The token 'x' is invalid", "DescribeVpcs", []string{"NextToken", "x"}},
		{"InvalidParameterValue", "Value ( 3 ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", "DescribeVpcs", []string{"MaxResults", "3"}},
		{"InvalidTransitGatewayID.NotFound", "The transitGateway ID 'tgw-1' does not exist", "CreateRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "1.0.0.0/8", "TransitGatewayId", "tgw-1"}},
		{"UnsupportedOperation", "CreateFlowLogs is not supported: batchbox has no network behind its VPCs.", "CreateFlowLogs", nil},
		{"UnsupportedOperation", "RunInstances is not supported: batchbox runs containers and no instances.", "RunInstances", nil},
		{"InvalidAction", "The action DescribeNonsense is not valid for this web service.", "DescribeNonsense", nil},
		{"DryRunOperation", "Request would have succeeded, but DryRun flag is set.", "DeleteSubnet", []string{"SubnetId", subnet, "DryRun", "true"}},
		{"DryRunOperation", "Request would have succeeded, but DryRun flag is set.", "DescribeVpcs", []string{"DryRun", "true"}},
		{"InvalidVpcID.NotFound", "The vpc ID '" + nowhere + "' does not exist", "DeleteVpc", []string{"VpcId", nowhere, "DryRun", "true"}},
	} {
		c.refused(tc.code, tc.text, tc.action, tc.parameters...)
	}
	c.same("after a dry run", c.call("DescribeSubnets", "SubnetId.1", subnet).text("subnetSet/item/subnetId"), subnet)
}

func TestFiltersAndPages(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	for i := range 12 {
		c.call("CreateSubnet", append(tagged("subnet", "Tier", []string{"public", "private"}[i%2], "N", fmt.Sprint(i)), "VpcId", vpc, "CidrBlock", fmt.Sprintf("10.0.%d.0/24", i))...)
	}
	count := func(parameters ...string) int {
		return len(c.call("DescribeSubnets", parameters...).all("subnetSet/item"))
	}
	for _, tc := range []struct {
		filters []string
		want    int
	}{
		{nil, 14},
		{filtered("vpc-id", vpc), 12},
		{filtered("vpc-id", vpc, "tag:Tier", "public"), 6},
		{filtered("tag:Tier", "p*"), 12},
		{filtered("tag:Tier", "p?????"), 6},
		{filtered("tag:Tier", `p\*`), 0},
		{filtered("tag-key", "N"), 12},
		{filtered("tag:N", "1*"), 3}, // 1, 10, 11
		{filtered("cidr-block", "10.0.3.0/24"), 1},
		{filtered("tag:none", "x"), 0},
		{append(filtered("tag:N", "1"), "Filter.1.Value.2", "2"), 2},
	} {
		if got := count(tc.filters...); got != tc.want {
			t.Errorf("%q: %d subnets, want %d", tc.filters, got, tc.want)
		}
	}
	seen := map[string]bool{}
	pages := 0
	for token := ""; ; pages++ {
		parameters := append(filtered("vpc-id", vpc), "MaxResults", "5")
		if token != "" {
			parameters = append(parameters, "NextToken", token)
		}
		page := c.call("DescribeSubnets", parameters...)
		for _, s := range page.all("subnetSet/item/subnetId") {
			if seen[s.Text] {
				t.Errorf("%s is shown twice", s.Text)
			}
			seen[s.Text] = true
		}
		if token = page.text("nextToken"); token == "" {
			break
		}
	}
	if len(seen) != 12 || pages != 2 {
		t.Errorf("%d subnets on %d pages", len(seen), pages+1)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	group := c.call("DescribeSecurityGroups").text("securityGroupInfo/item/groupId")
	rule := c.call("DescribeSecurityGroupRules", filtered("group-id", group)...).all("securityGroupRuleSet/item/securityGroupRuleId")[0].Text
	c.call("CreateTags", "ResourceId.1", vpc, "ResourceId.2", rule, "Tag.1.Key", "a", "Tag.1.Value", "1", "Tag.2.Key", "b", "Tag.2.Value", "")
	c.call("CreateTags", "ResourceId.1", vpc, "Tag.1.Key", "a", "Tag.1.Value", "2")
	c.same("the VPC's", c.call("DescribeVpcs").texts("vpcSet/item/tagSet/item/value"), "2 ")
	c.same("the rule's", c.call("DescribeSecurityGroupRules", "SecurityGroupRuleId.1", rule).texts("securityGroupRuleSet/item/tagSet/item/key"), "a b")
	c.same("found by tag", c.call("DescribeSecurityGroupRules", filtered("tag:a", "1")...).texts("securityGroupRuleSet/item/securityGroupRuleId"), rule)
	all := c.call("DescribeTags")
	if n := len(all.all("tagSet/item")); n != 4 {
		t.Errorf("DescribeTags shows %d", n)
	}
	c.same("by key", c.call("DescribeTags", filtered("key", "a", "resource-type", "vpc")...).texts("tagSet/item/resourceId"), vpc)
	c.same("of the rule", c.call("DescribeTags", filtered("resource-id", rule)...).texts("tagSet/item/resourceType"), "security-group-rule security-group-rule")
	c.call("DeleteTags", "ResourceId.1", vpc, "Tag.1.Key", "a", "Tag.1.Value", "other", "Tag.2.Key", "b")
	c.same("after deleting one", c.call("DescribeVpcs").texts("vpcSet/item/tagSet/item/key"), "a")
	c.call("DeleteTags", "ResourceId.1", vpc)
	c.same("after deleting all", c.call("DescribeVpcs").texts("vpcSet/item/tagSet/item/key"), "")

	c.refused("InvalidVpcID.NotFound", "The vpc ID 'vpc-0123456789abcdef0' does not exist", "CreateTags", "ResourceId.1", vpc, "ResourceId.2", "vpc-0123456789abcdef0", "Tag.1.Key", "x", "Tag.1.Value", "")
	c.same("nothing of a refused request", c.call("DescribeVpcs").texts("vpcSet/item/tagSet/item/key"), "")
	c.refused("InvalidID", "The ID 'thing-1' is not valid", "CreateTags", "ResourceId.1", "thing-1", "Tag.1.Key", "x", "Tag.1.Value", "")
	c.refused("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use", "CreateTags", "ResourceId.1", vpc, "Tag.1.Key", "aws:x", "Tag.1.Value", "")
	many := []string{"ResourceId.1", vpc}
	for i := range 51 {
		many = append(many, fmt.Sprintf("Tag.%d.Key", i+1), fmt.Sprint("k", i), fmt.Sprintf("Tag.%d.Value", i+1), "")
	}
	c.refused("TagLimitExceeded", "More than 50 tags specified", "CreateTags", many...)
}

func TestDHCPOptions(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	id := c.call("CreateDhcpOptions", "DhcpConfiguration.1.Key", "domain-name-servers", "DhcpConfiguration.1.Value.1", "10.0.0.2", "DhcpConfiguration.1.Value.2", "10.0.0.3").text("dhcpOptions/dhcpOptionsId")
	c.call("AssociateDhcpOptions", "DhcpOptionsId", id, "VpcId", vpc)
	c.same("the VPC's", c.call("DescribeVpcs").text("vpcSet/item/dhcpOptionsId"), id)
	c.same("values", c.call("DescribeDhcpOptions", "DhcpOptionsId.1", id).texts("dhcpOptionsSet/item/dhcpConfigurationSet/item/valueSet/item/value"), "10.0.0.2 10.0.0.3")
	c.refused("DependencyViolation", "The dhcpOptions '"+id+"' has dependencies and cannot be deleted.", "DeleteDhcpOptions", "DhcpOptionsId", id)
	c.call("AssociateDhcpOptions", "DhcpOptionsId", "default", "VpcId", vpc)
	c.call("DeleteDhcpOptions", "DhcpOptionsId", id)
	c.refused("InvalidDhcpOptionID.NotFound", "The dhcpOption ID '"+id+"' does not exist", "DescribeDhcpOptions", "DhcpOptionsId.1", id)
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	zones := c.call("DescribeAvailabilityZones", filtered("state", "available", "opt-in-status", "opt-in-not-required")...)
	c.same("names", zones.texts("availabilityZoneInfo/item/zoneName"), "eu-west-1a eu-west-1b eu-west-1c")
	c.same("ids", zones.texts("availabilityZoneInfo/item/zoneId"), "euw1-az1 euw1-az2 euw1-az3")
	c.refused("InvalidParameterValue", "Invalid availability zone: [eu-west-1z]", "DescribeAvailabilityZones", "ZoneName.1", "eu-west-1z")
	for region, want := range map[string]string{
		"us-east-1": "use1-az1", "ap-northeast-1": "apne1-az1", "ap-southeast-2": "apse2-az1", "us-gov-west-1": "usgw1-az1", "ca-central-1": "cac1-az1", "eu-central-1": "euc1-az1",
	} {
		got := c.in(account, region).call("DescribeAvailabilityZones", "ZoneId.1", want).texts("availabilityZoneInfo/item/zoneId")
		c.same(region, got, want)
	}
	regions := c.call("DescribeRegions").texts("regionInfo/item/regionName")
	if !strings.Contains(regions, "eu-west-1") || !strings.Contains(regions, "us-east-1") {
		t.Errorf("regions %s", regions)
	}
	c.same("one region", c.call("DescribeRegions", "RegionName.1", "eu-west-1").texts("regionInfo/item/regionEndpoint"), "ec2.eu-west-1.amazonaws.com")
	c.same("a region of one's own", c.in(account, "local").call("DescribeRegions", "RegionName.1", "local").texts("regionInfo/item/regionName"), "local")
}

// TestAbsent: what can't be made is described as an empty list, which clients of dynamic languages need to be there.
func TestAbsent(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for action, set := range map[string]string{
		"DescribeNetworkInterfaces": "networkInterfaceSet", "DescribeInstances": "reservationSet", "DescribeNatGateways": "natGatewaySet", "DescribeVpcEndpoints": "vpcEndpointSet",
		"DescribeAddresses": "addressesSet", "DescribeVpnGateways": "vpnGatewaySet", "DescribeVpcPeeringConnections": "vpcPeeringConnectionSet",
		"DescribeEgressOnlyInternetGateways": "egressOnlyInternetGatewaySet", "DescribeKeyPairs": "keySet", "DescribePlacementGroups": "placementGroupSet",
		"DescribeLaunchTemplates": "launchTemplates", "DescribeTags": "tagSet",
	} {
		got := c.call(action)
		if len(got.all(set)) != 1 || len(got.all(set+"/item")) != 0 {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

// TestBytes: a reply and an error, byte for byte.
func TestBytes(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	_, body := c.send("DescribeVpcAttribute", "VpcId", c.call("DescribeVpcs").text("vpcSet/item/vpcId"), "Attribute", "enableDnsSupport")
	vpc := c.call("DescribeVpcs").text("vpcSet/item/vpcId")
	c.same("reply", string(body), `<DescribeVpcAttributeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>request-1</requestId><enableDnsSupport><value>true</value></enableDnsSupport><vpcId>`+vpc+`</vpcId></DescribeVpcAttributeResponse>`)
	_, body = c.send("DeleteVpc", "VpcId", "vpc-0123456789abcdef0")
	c.same("error", string(body), `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>The vpc ID 'vpc-0123456789abcdef0' does not exist</Message></Error></Errors><RequestID>request-1</RequestID></Response>`)
}

type brokenDocs struct{ store.Docs }

func (brokenDocs) Update(context.Context, func(store.Writer) error) error {
	return store.ErrUnavailable
}

func TestStoreUnavailable(t *testing.T) {
	t.Parallel()
	c := clientOn(t, brokenDocs{memory.New()})
	c.refused("Unavailable", "the engine can not write its store; its log has the reason", "CreateVpc", "CidrBlock", "10.0.0.0/16")
}
