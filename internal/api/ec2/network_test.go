package ec2_test

import (
	"fmt"
	"regexp"
	"testing"
)

// TestNetworkACL goes Terraform's way through aws_network_acl and aws_default_network_acl: entries one by one, subnets by
// their associations.
func TestNetworkACL(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	subnet := c.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.0.1.0/24").text("subnet/subnetId")
	own := c.call("DescribeNetworkAcls", filtered("default", "true", "vpc-id", vpc)...).text("networkAclSet/item/networkAclId")
	id := c.call("CreateNetworkAcl", append(tagged("network-acl", "k", "v"), "VpcId", vpc)...).text("networkAcl/networkAclId")
	entry := func(number, protocol, cidr string, more ...string) []string {
		return append([]string{"NetworkAclId", id, "RuleNumber", number, "Protocol", protocol, "RuleAction", "allow", "Egress", "false", "CidrBlock", cidr}, more...)
	}
	c.call("CreateNetworkAclEntry", entry("200", "-1", "10.0.0.0/8")...)
	c.call("CreateNetworkAclEntry", entry("100", "tcp", "0.0.0.0/0", "PortRange.From", "80", "PortRange.To", "443")...)
	c.call("CreateNetworkAclEntry", entry("150", "1", "0.0.0.0/0", "Icmp.Type", "-1", "Icmp.Code", "-1")...)
	read := func() *node {
		t.Helper()
		return c.call("DescribeNetworkAcls", "NetworkAclId.1", id).all("networkAclSet/item")[0]
	}
	got := read()
	for path, want := range map[string]string{
		"default": "false", "vpcId": vpc, "tagSet/item/value": "v", "entrySet/item/ruleNumber": "32767 100 150 200 32767", "entrySet/item/protocol": "-1 6 1 -1 -1",
		"entrySet/item/egress": "true false false false false", "entrySet/item/portRange/to": "443", "entrySet/item/icmpTypeCode/type": "-1", "associationSet/item/subnetId": "",
	} {
		c.same(path, got.texts(path), want)
	}
	// aws_network_acl_rule is read by the entry's direction and number.
	for filter, value := range map[string]string{"entry.egress": "false", "entry.rule-number": "150", "entry.port-range.from": "80", "entry.port-range.to": "443", "entry.icmp.type": "-1", "entry.icmp.code": "-1"} {
		c.same(filter, c.call("DescribeNetworkAcls", filtered("network-acl-id", id, filter, value)...).texts("networkAclSet/item/networkAclId"), id)
		c.same(filter+" of none", c.call("DescribeNetworkAcls", filtered("network-acl-id", id, filter, "7")...).texts("networkAclSet/item/networkAclId"), "")
	}
	c.refused("NetworkAclEntryAlreadyExists", "The network acl entry identified by 100 already exists.", "CreateNetworkAclEntry", entry("100", "-1", "10.0.0.0/8")...)
	c.call("ReplaceNetworkAclEntry", entry("100", "-1", "10.9.9.9/8")...)
	c.same("replaced", read().texts("entrySet/item/cidrBlock"), "0.0.0.0/0 10.0.0.0/8 0.0.0.0/0 10.0.0.0/8 0.0.0.0/0")
	c.refused("InvalidNetworkAclEntry.NotFound", "The network acl entry identified by 7 does not exist in the network acl "+id+".", "ReplaceNetworkAclEntry", entry("7", "-1", "10.0.0.0/8")...)
	c.refused("MissingParameter", "The request must contain the parameter portRange", "CreateNetworkAclEntry", entry("7", "17", "10.0.0.0/8")...)
	c.refused("InvalidParameterValue", "CIDR block ten is malformed", "CreateNetworkAclEntry", entry("7", "-1", "ten")...)
	c.call("DeleteNetworkAclEntry", "NetworkAclId", id, "RuleNumber", "150", "Egress", "false")
	c.refused("InvalidNetworkAclEntry.NotFound", "The network acl entry identified by 150 does not exist in the network acl "+id+".", "DeleteNetworkAclEntry", "NetworkAclId", id, "RuleNumber", "150", "Egress", "false")

	association := c.call("DescribeNetworkAcls", filtered("association.subnet-id", subnet)...).text("networkAclSet/item/associationSet/item/networkAclAssociationId")
	moved := c.call("ReplaceNetworkAclAssociation", "AssociationId", association, "NetworkAclId", id).text("newAssociationId")
	c.same("the subnet's", c.call("DescribeNetworkAcls", filtered("association.subnet-id", subnet)...).text("networkAclSet/item/networkAclId"), id)
	c.refused("DependencyViolation", "The networkAcl '"+id+"' has dependencies and cannot be deleted.", "DeleteNetworkAcl", "NetworkAclId", id)
	c.refused("DependencyViolation", "The vpc '"+vpc+"' has dependencies and cannot be deleted.", "DeleteVpc", "VpcId", vpc)
	c.call("ReplaceNetworkAclAssociation", "AssociationId", moved, "NetworkAclId", own)
	c.call("DeleteNetworkAcl", "NetworkAclId", id)
	c.refused("InvalidParameterValue", "cannot delete default network ACL "+own, "DeleteNetworkAcl", "NetworkAclId", own)

	// aws_default_network_acl takes all entries away.
	for _, egress := range []string{"true", "false"} {
		c.call("DeleteNetworkAclEntry", "NetworkAclId", own, "RuleNumber", "100", "Egress", egress)
	}
	c.same("what is left", c.call("DescribeNetworkAcls", "NetworkAclId.1", own).texts("networkAclSet/item/entrySet/item/ruleAction"), "deny deny")
	c.call("DeleteSubnet", "SubnetId", subnet)
	c.call("DeleteVpc", "VpcId", vpc)
}

// TestNATGateway goes Terraform's way through aws_eip, aws_nat_gateway and a route to it.
func TestNATGateway(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	subnet := c.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.0.1.0/28").text("subnet/subnetId")
	table := c.call("CreateRouteTable", "VpcId", vpc).text("routeTable/routeTableId")
	allocated := c.call("AllocateAddress", append(tagged("elastic-ip", "k", "v"), "Domain", "vpc")...)
	address := allocated.text("allocationId")
	c.same("address", allocated.text("publicIp"), "203.0.113.1")
	c.same("the next address", c.call("AllocateAddress").text("publicIp"), "203.0.113.2")
	c.call("DescribeAddressesAttribute", "AllocationId.1", address, "Attribute", "domain-name")
	nat := c.call("CreateNatGateway", append(tagged("natgateway", "k", "v"), "SubnetId", subnet, "AllocationId", address, "ConnectivityType", "public")...).text("natGateway/natGatewayId")
	read := c.call("DescribeNatGateways", "NatGatewayId.1", nat)
	for path, want := range map[string]string{
		"state": "available", "vpcId": vpc, "subnetId": subnet, "connectivityType": "public", "tagSet/item/value": "v",
		"natGatewayAddressSet/item/allocationId": address, "natGatewayAddressSet/item/publicIp": "203.0.113.1", "natGatewayAddressSet/item/privateIp": "10.0.1.4",
	} {
		c.same(path, read.text("natGatewaySet/item/"+path), want)
	}
	held := c.call("DescribeAddresses", "AllocationId.1", address)
	c.same("the address' association", held.text("addressesSet/item/associationId"), read.text("natGatewaySet/item/natGatewayAddressSet/item/associationId"))
	c.same("its tags", held.text("addressesSet/item/tagSet/item/value"), "v")
	private := c.call("CreateNatGateway", "SubnetId", subnet, "ConnectivityType", "private")
	c.same("a private one", private.text("natGateway/natGatewayAddressSet/item/privateIp"), "10.0.1.5")

	c.call("CreateRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "NatGatewayId", nat)
	routes := func() *node { return c.call("DescribeRouteTables", filtered("route.nat-gateway-id", nat)...) }
	c.same("the route", routes().texts("routeTableSet/item/routeSet/item/natGatewayId"), nat)
	c.same("its gateway", routes().texts("routeTableSet/item/routeSet/item/gatewayId"), "local")
	c.refused("InvalidIPAddress.InUse", "Address 203.0.113.1 is in use.", "ReleaseAddress", "AllocationId", address)
	association := held.text("addressesSet/item/associationId")
	c.refused("AuthFailure", "You do not have permission to access the specified resource.", "DisassociateAddress", "AssociationId", association)
	c.refused("Resource.AlreadyAssociated", "Elastic IP address ["+address+"] is already associated", "CreateNatGateway", "SubnetId", subnet, "AllocationId", address)
	c.refused("DependencyViolation", "The subnet '"+subnet+"' has dependencies and cannot be deleted.", "DeleteSubnet", "SubnetId", subnet)
	c.same("deleted", c.call("DeleteNatGateway", "NatGatewayId", nat).text("natGatewayId"), nat)
	c.refused("NatGatewayNotFound", "The NAT gateway '"+nat+"' was not found", "DescribeNatGateways", "NatGatewayId.1", nat)
	c.same("the route without it", routes().texts("routeTableSet/item/routeSet/item/state"), "active blackhole")
	// aws_eip is destroyed by the association it was last read with.
	c.refused("InvalidAssociationID.NotFound", "The association ID '"+association+"' does not exist", "DisassociateAddress", "AssociationId", association)
	c.call("ReleaseAddress", "AllocationId", address)
	c.refused("InvalidAllocationID.NotFound", "The allocation ID '"+address+"' does not exist", "DescribeAddresses", "AllocationId.1", address)
	c.call("ReleaseAddress", "PublicIp", "203.0.113.2")
	c.refused("InvalidAddress.NotFound", "Address '203.0.113.2' not found.", "ReleaseAddress", "PublicIp", "203.0.113.2")
	c.refused("NatGatewayMalformed", "The NatGateway ID 'x' is malformed", "DeleteNatGateway", "NatGatewayId", "x")
	for i := range 10 { // eleven addresses of sixteen can be used, one is
		c.call("CreateNatGateway", "SubnetId", subnet, "ConnectivityType", "private", "ClientToken", fmt.Sprint(i))
	}
	c.refused("InsufficientFreeAddressesInSubnet", "The specified subnet does not have enough free addresses to satisfy the request.", "CreateNatGateway", "SubnetId", subnet, "ConnectivityType", "private")
}

// TestVPCEndpoint goes Terraform's way through aws_vpc_endpoint, of both kinds, as Fargate tasks without a way out need them.
func TestVPCEndpoint(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.0.0.0/16").text("vpc/vpcId")
	subnet := c.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.0.1.0/24").text("subnet/subnetId")
	table := c.call("CreateRouteTable", "VpcId", vpc).text("routeTable/routeTableId")
	group := c.call("CreateSecurityGroup", "GroupName", "g", "GroupDescription", "d", "VpcId", vpc).text("groupId")
	const s3, ecr = "com.amazonaws.eu-west-1.s3", "com.amazonaws.eu-west-1.ecr.api"

	gateway := c.call("CreateVpcEndpoint", append(tagged("vpc-endpoint", "k", "v"), "VpcId", vpc, "ServiceName", s3, "RouteTableId.1", table)...).text("vpcEndpoint/vpcEndpointId")
	read := c.call("DescribeVpcEndpoints", "VpcEndpointId.1", gateway)
	for path, want := range map[string]string{
		"vpcEndpointType": "Gateway", "state": "available", "serviceName": s3, "vpcId": vpc, "routeTableIdSet/item": table, "privateDnsEnabled": "false", "tagSet/item/value": "v",
		"policyDocument": `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`,
	} {
		c.same(path, read.text("vpcEndpointSet/item/"+path), want)
	}
	list := c.call("DescribePrefixLists", filtered("prefix-list-name", s3)...).text("prefixListSet/item/prefixListId")
	routes := c.call("DescribeRouteTables", filtered("route.destination-prefix-list-id", list)...)
	c.same("its route", routes.texts("routeTableSet/item/routeSet/item/gatewayId"), "local "+gateway)
	c.refused("DependencyViolation", "The routeTable '"+table+"' has dependencies and cannot be deleted.", "DeleteRouteTable", "RouteTableId", table)
	c.call("ModifyVpcEndpoint", "VpcEndpointId", gateway, "RemoveRouteTableId.1", table, "PolicyDocument", "{}")
	read = c.call("DescribeVpcEndpoints", filtered("service-name", s3)...)
	c.same("route tables", read.texts("vpcEndpointSet/item/routeTableIdSet/item"), "")
	c.same("policy", read.texts("vpcEndpointSet/item/policyDocument"), "{}")

	// The provider's data source asks by name, and takes one service only: the type has to tell two apart.
	services := c.call("DescribeVpcEndpointServices", append(filtered("service-type", "Gateway"), "ServiceName.1", s3)...)
	c.same("names", services.texts("serviceNameSet/item"), s3)
	c.same("types", services.texts("serviceDetailSet/item/serviceType/item/serviceType"), "Gateway")
	c.same("of one name", c.call("DescribeVpcEndpointServices", "ServiceName.1", s3).texts("serviceDetailSet/item/serviceType/item/serviceType"), "Gateway Interface")
	services = c.call("DescribeVpcEndpointServices", "ServiceName.1", ecr)
	for path, want := range map[string]string{"privateDnsName": "api.ecr.eu-west-1.amazonaws.com", "owner": "amazon", "serviceRegion": "eu-west-1", "acceptanceRequired": "false", "vpcEndpointPolicySupported": "true"} {
		c.same(path, services.text("serviceDetailSet/item/"+path), want)
	}
	c.same("availability zones", services.texts("serviceDetailSet/item/availabilityZoneSet/item"), "eu-west-1a eu-west-1b eu-west-1c")
	first := c.call("DescribeVpcEndpointServices", "MaxResults", "5")
	c.same("the next page", fmt.Sprint(len(first.all("serviceDetailSet/item")), c.call("DescribeVpcEndpointServices", "MaxResults", "5", "NextToken", first.text("nextToken")).texts("serviceNameSet/item") > first.texts("serviceNameSet/item")), "5 true")
	c.refused("InvalidServiceName", "The Vpc Endpoint Service 'com.amazonaws.us-east-1.s3' does not exist", "DescribeVpcEndpointServices", "ServiceName.1", "com.amazonaws.us-east-1.s3")

	of := []string{"VpcId", vpc, "ServiceName", ecr, "VpcEndpointType", "Interface", "SubnetId.1", subnet}
	inside := c.call("CreateVpcEndpoint", append(of, "SecurityGroupId.1", group)...).text("vpcEndpoint/vpcEndpointId")
	read = c.call("DescribeVpcEndpoints", "VpcEndpointId.1", inside)
	for path, want := range map[string]string{"vpcEndpointType": "Interface", "subnetIdSet/item": subnet, "groupSet/item/groupId": group, "groupSet/item/groupName": "g", "privateDnsEnabled": "true", "ipAddressType": "ipv4"} {
		c.same(path, read.text("vpcEndpointSet/item/"+path), want)
	}
	c.same("without a group", c.call("CreateVpcEndpoint", of...).text("vpcEndpoint/groupSet/item/groupName"), "default")
	c.refused("DependencyViolation", "The subnet '"+subnet+"' has dependencies and cannot be deleted.", "DeleteSubnet", "SubnetId", subnet)
	c.refused("DependencyViolation", "resource "+group+" has a dependent object", "DeleteSecurityGroup", "GroupId", group)
	c.refused("InvalidServiceName", "The Vpc Endpoint Service 'com.amazonaws.us-east-1.s3' does not exist", "CreateVpcEndpoint", "VpcId", vpc, "ServiceName", "com.amazonaws.us-east-1.s3")
	c.refused("InvalidParameterValue", "The Vpc Endpoint Service '"+ecr+"' does not support the endpoint type Gateway", "CreateVpcEndpoint", "VpcId", vpc, "ServiceName", ecr)
	deleted := c.call("DeleteVpcEndpoints", "VpcEndpointId.1", gateway, "VpcEndpointId.2", "vpce-0123456789abcdef0")
	c.same("not deleted", deleted.texts("unsuccessful/item/error/code"), "InvalidVpcEndpointId.NotFound")
	c.refused("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '"+gateway+"' does not exist", "DescribeVpcEndpoints", "VpcEndpointId.1", gateway)
}

// TestImages looks an image up as data "aws_ami" does.
func TestImages(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	found := c.call("DescribeImages", append(filtered("name", "amzn2-ami-minimal-hvm-*", "root-device-type", "ebs", "architecture", "x86_64"), "Owner.1", "amazon", "IncludeDeprecated", "false")...)
	id := found.text("imagesSet/item/imageId")
	if !idRE.MatchString(id) {
		t.Fatalf("found %q", id)
	}
	c.same("by id", c.call("DescribeImages", "ImageId.1", id).text("imagesSet/item/name"), found.text("imagesSet/item/name"))
	c.same("volume", found.text("imagesSet/item/blockDeviceMapping/item/ebs/volumeType"), "gp3")
	if n := len(c.call("DescribeImages", append(filtered("name", "*-ecs-*"), "Owner.1", "amazon")...).all("imagesSet/item")); n < 4 {
		t.Errorf("%d images for ECS", n)
	}
	c.same("one's own", c.call("DescribeImages", "Owner.1", "self").texts("imagesSet/item/name"), "")
	c.refused("InvalidAMIID.NotFound", "The image id '[ami-0123456789abcdef0]' does not exist", "DescribeImages", "ImageId.1", "ami-0123456789abcdef0")
}

// TestNetworkInterface goes Terraform's way through aws_network_interface: create with addresses, read, change, delete.
func TestNetworkInterface(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	vpc := c.call("CreateVpc", "CidrBlock", "10.1.0.0/16").text("vpc/vpcId")
	subnet := c.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.1.1.0/28", "AvailabilityZone", "eu-west-1b").text("subnet/subnetId")
	own := c.call("DescribeSecurityGroups", filtered("vpc-id", vpc)...).text("securityGroupInfo/item/groupId")
	group := c.call("CreateSecurityGroup", "GroupName", "g", "GroupDescription", "d", "VpcId", vpc).text("groupId")

	created := c.call("CreateNetworkInterface", append(tagged("network-interface", "Name", "n"), "ClientToken", "token", "SubnetId", subnet, "Description", "front",
		"PrivateIpAddresses.1.PrivateIpAddress", "10.1.1.5", "PrivateIpAddresses.1.Primary", "true", "PrivateIpAddresses.2.PrivateIpAddress", "10.1.1.4",
		"SecurityGroupId.1", group)...)
	id := created.text("networkInterface/networkInterfaceId")
	c.same("ClientToken", created.text("clientToken"), "token")
	read := func() *node {
		t.Helper()
		return c.call("DescribeNetworkInterfaces", "NetworkInterfaceId.1", id).all("networkInterfaceSet/item")[0]
	}
	got := read()
	for path, want := range map[string]string{
		"networkInterfaceId": id, "status": "available", "interfaceType": "interface", "description": "front", "subnetId": subnet, "vpcId": vpc, "ownerId": account,
		"availabilityZone": "eu-west-1b", "privateIpAddress": "10.1.1.5", "privateDnsName": "ip-10-1-1-5.eu-west-1.compute.internal", "sourceDestCheck": "true",
		"privateIpAddressesSet/item/privateIpAddress": "10.1.1.5 10.1.1.4", "privateIpAddressesSet/item/primary": "true false",
		"groupSet/item/groupId": group, "groupSet/item/groupName": "g", "tagSet/item/value": "n", "attachment": "", "association": "", "ipv6AddressesSet/item": "",
	} {
		c.same(path, got.texts(path), want)
	}
	c.same("addresses left", c.call("DescribeSubnets", "SubnetId.1", subnet).text("subnetSet/item/availableIpAddressCount"), "9")
	if mac := got.text("macAddress"); !regexp.MustCompile(`^02(:[0-9a-f]{2}){5}$`).MatchString(mac) {
		t.Errorf("MAC address %q", mac)
	}

	c.call("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", id, "SourceDestCheck.Value", "false")
	c.call("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", id, "Description.Value", "")
	c.call("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", id, "SecurityGroupId.1", own, "SecurityGroupId.2", group)
	assigned := c.call("AssignPrivateIpAddresses", "NetworkInterfaceId", id, "SecondaryPrivateIpAddressCount", "2")
	c.same("assigned", assigned.texts("assignedPrivateIpAddressesSet/item/privateIpAddress"), "10.1.1.6 10.1.1.7")
	c.call("UnassignPrivateIpAddresses", "NetworkInterfaceId", id, "PrivateIpAddress.1", "10.1.1.4", "PrivateIpAddress.2", "10.1.1.7")
	got = read()
	for path, want := range map[string]string{
		"sourceDestCheck": "false", "description": "", "groupSet/item/groupName": "default g", "privateIpAddressesSet/item/privateIpAddress": "10.1.1.5 10.1.1.6",
	} {
		c.same(path, got.texts(path), want)
	}
	c.same("by group", c.call("DescribeNetworkInterfaces", filtered("group-id", group)...).text("networkInterfaceSet/item/networkInterfaceId"), id)
	c.same("by attachment", c.call("DescribeNetworkInterfaces", filtered("attachment.instance-owner-id", "amazon-aws")...).texts("networkInterfaceSet/item/networkInterfaceId"), "")

	other := c.call("CreateNetworkInterface", "SubnetId", subnet, "SecondaryPrivateIpAddressCount", "1")
	c.same("chosen addresses", other.texts("networkInterface/privateIpAddressesSet/item/privateIpAddress"), "10.1.1.4 10.1.1.7")
	c.same("its group", other.texts("networkInterface/groupSet/item/groupId"), own)
	foreign := c.group("foreign")
	for _, tc := range []struct {
		code, text, action string
		parameters         []string
	}{
		{"InvalidIPAddress.InUse", "Address 10.1.1.5 is in use.", "CreateNetworkInterface", []string{"SubnetId", subnet, "PrivateIpAddress", "10.1.1.5"}},
		{"InvalidParameterValue", "Address 10.1.1.3 does not fall within the subnet's address range", "CreateNetworkInterface", []string{"SubnetId", subnet, "PrivateIpAddress", "10.1.1.3"}},
		{"InvalidParameterValue", "Address 10.1.1.15 does not fall within the subnet's address range", "CreateNetworkInterface", []string{"SubnetId", subnet, "PrivateIpAddress", "10.1.1.15"}},
		{"InsufficientFreeAddressesInSubnet", "The specified subnet does not have enough free addresses to satisfy the request.", "CreateNetworkInterface",
			[]string{"SubnetId", subnet, "SecondaryPrivateIpAddressCount", "7"}},
		{"InvalidSubnetID.NotFound", "The subnet ID 'subnet-0123456789abcdef0' does not exist", "CreateNetworkInterface", []string{"SubnetId", "subnet-0123456789abcdef0"}},
		{"InvalidParameter", "Security group " + foreign + " and subnet " + subnet + " belong to different networks.", "CreateNetworkInterface", []string{"SubnetId", subnet, "SecurityGroupId.1", foreign}},
		{"UnsupportedOperation", "batchbox's VPCs have no IPv6 addresses.", "CreateNetworkInterface", []string{"SubnetId", subnet, "Ipv6AddressCount", "1"}},
		{"InvalidParameterValue", "Some of the addresses '10.1.1.5' are not secondary addresses of interface " + id, "UnassignPrivateIpAddresses", []string{"NetworkInterfaceId", id, "PrivateIpAddress.1", "10.1.1.5"}},
		{"DependencyViolation", "The subnet '" + subnet + "' has dependencies and cannot be deleted.", "DeleteSubnet", []string{"SubnetId", subnet}},
		{"DependencyViolation", "resource " + group + " has a dependent object", "DeleteSecurityGroup", []string{"GroupId", group}},
	} {
		c.refused(tc.code, tc.text, tc.action, tc.parameters...)
	}
	c.call("CreateTags", "ResourceId.1", id, "Tag.1.Key", "k", "Tag.1.Value", "v")
	c.same("tags", read().texts("tagSet/item/key"), "Name k")
	for _, id := range []string{id, other.text("networkInterface/networkInterfaceId")} {
		c.call("DeleteNetworkInterface", "NetworkInterfaceId", id)
		c.refused("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '"+id+"' does not exist", "DescribeNetworkInterfaces", "NetworkInterfaceId.1", id)
		c.refused("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '"+id+"' does not exist", "DeleteNetworkInterface", "NetworkInterfaceId", id)
	}
	c.call("DeleteSecurityGroup", "GroupId", group)
	c.call("DeleteSubnet", "SubnetId", subnet)
}
