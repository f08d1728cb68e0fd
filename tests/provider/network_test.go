package provider_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestDefaultNetwork_adopted is aws_default_vpc, aws_default_subnet, aws_default_security_group, aws_default_route_table and
// aws_default_network_acl, which take over what an account has from the start and empty it of rules, and
// aws_main_route_table_association.
func TestDefaultNetwork_adopted(t *testing.T) {
	p := configure(t)
	found := p.call("DescribeVpcs", "Filter.1.Name", "isDefault", "Filter.1.Value.1", "true")
	vpc := found.text("vpcSet/item/vpcId")
	p.check("aws_default_vpc", attributes{
		"cidr_block": found.text("vpcSet/item/cidrBlock"), "instance_tenancy": found.text("vpcSet/item/instanceTenancy"),
		"enable_dns_hostnames": p.call("DescribeVpcAttribute", "VpcId", vpc, "Attribute", "enableDnsHostnames").text("enableDnsHostnames/value"),
	}, attributes{"cidr_block": "172.31.0.0/16", "instance_tenancy": "default", "enable_dns_hostnames": "true"})
	in := func(pairs ...string) []string {
		list := []string{"Filter.1.Name", "vpc-id", "Filter.1.Value.1", vpc}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fmt.Sprintf("Filter.%d.Name", i/2+2), pairs[i], fmt.Sprintf("Filter.%d.Value.1", i/2+2), pairs[i+1])
		}
		return list
	}
	subnet := p.call("DescribeSubnets", in("availability-zone", region+"a", "default-for-az", "true")...)
	p.check("aws_default_subnet", attributes{"map_public_ip_on_launch": subnet.text("subnetSet/item/mapPublicIpOnLaunch"), "availability_zone": subnet.text("subnetSet/item/availabilityZone")},
		attributes{"map_public_ip_on_launch": "true", "availability_zone": region + "a"})

	group := p.call("DescribeSecurityGroups", in("group-name", "default")...)
	id := group.text("securityGroupInfo/item/groupId")
	p.check("aws_default_security_group", attributes{"name": group.text("securityGroupInfo/item/groupName"), "description": group.text("securityGroupInfo/item/groupDescription"), "self": group.text("securityGroupInfo/item/ipPermissions/item/groups/item/groupId")},
		attributes{"name": "default", "description": "default VPC security group", "self": id})
	p.call("RevokeSecurityGroupIngress", "GroupId", id, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.Groups.1.GroupId", id, "IpPermissions.1.Groups.1.UserId", p.account)
	p.call("RevokeSecurityGroupEgress", "GroupId", id, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0")
	emptied := p.call("DescribeSecurityGroups", "GroupId.1", id)
	if in, out := emptied.all("securityGroupInfo/item/ipPermissions/item"), emptied.all("securityGroupInfo/item/ipPermissionsEgress/item"); len(in) != 0 || len(out) != 0 {
		t.Errorf("aws_default_security_group keeps rules: %v %v", in, out)
	}
	_, err := p.ec2("DeleteSecurityGroup", "GroupId", id)
	p.refused("deleting the default group", err, "CannotDelete", "default")

	table := p.call("DescribeRouteTables", in("association.main", "true")...)
	main := table.text("routeTableSet/item/routeTableId")
	for _, route := range table.all("routeTableSet/item/routeSet/item") {
		if route.text("gatewayId") != "local" {
			p.call("DeleteRoute", "RouteTableId", main, "DestinationCidrBlock", route.text("destinationCidrBlock"))
		}
	}
	if left := p.call("DescribeRouteTables", "RouteTableId.1", main).text("routeTableSet/item/routeSet/item/gatewayId"); left != "local" {
		t.Errorf("aws_default_route_table keeps routes to %s", left)
	}
	association := table.text("routeTableSet/item/associationSet/item/routeTableAssociationId")
	other := p.call("CreateRouteTable", "VpcId", vpc).text("routeTable/routeTableId")
	replaced := p.call("ReplaceRouteTableAssociation", "AssociationId", association, "RouteTableId", other).text("newAssociationId")
	read := p.call("DescribeRouteTables", in("association.main", "true")...)
	p.check("aws_main_route_table_association", attributes{"route_table_id": read.text("routeTableSet/item/routeTableId"), "id": read.text("routeTableSet/item/associationSet/item/routeTableAssociationId"), "state": read.text("routeTableSet/item/associationSet/item/associationState/state")},
		attributes{"route_table_id": other, "id": replaced, "state": "associated"})
	p.call("ReplaceRouteTableAssociation", "AssociationId", replaced, "RouteTableId", main)
	p.call("DeleteRouteTable", "RouteTableId", other)

	acl := p.call("DescribeNetworkAcls", in("default", "true")...)
	aclID := acl.text("networkAclSet/item/networkAclId")
	for _, entry := range acl.all("networkAclSet/item/entrySet/item") {
		if number := entry.text("ruleNumber"); number != "32767" && number != "32768" {
			p.call("DeleteNetworkAclEntry", "NetworkAclId", aclID, "RuleNumber", number, "Egress", entry.text("egress"))
		}
	}
	for _, egress := range []string{"false", "true"} {
		p.call("CreateNetworkAclEntry", "NetworkAclId", aclID, "RuleNumber", "100", "Egress", egress, "Protocol", "-1", "RuleAction", "allow", "CidrBlock", "10.0.0.0/8", "PortRange.From", "0", "PortRange.To", "0", "Icmp.Code", "0", "Icmp.Type", "0")
	}
	var entries []string
	for _, entry := range p.call("DescribeNetworkAcls", "NetworkAclId.1", aclID).all("networkAclSet/item/entrySet/item") {
		if entry.text("ruleNumber") == "100" {
			entries = append(entries, strings.Join([]string{entry.text("egress"), entry.text("protocol"), entry.text("ruleAction"), entry.text("cidrBlock")}, " "))
		}
	}
	if got := strings.Join(entries, ", "); got != "false -1 allow 10.0.0.0/8, true -1 allow 10.0.0.0/8" && got != "true -1 allow 10.0.0.0/8, false -1 allow 10.0.0.0/8" {
		t.Errorf("aws_default_network_acl has %s", got)
	}
}

// TestPrivateNetwork is what private subnets of Fargate tasks are given: aws_eip and aws_nat_gateway, or aws_vpc_endpoint.
func TestPrivateNetwork(t *testing.T) {
	p := configure(t)
	vpc := p.call("CreateVpc", "CidrBlock", "10.1.0.0/16").text("vpc/vpcId")
	subnet := p.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.1.0.0/24").text("subnet/subnetId")
	gateway := p.call("CreateInternetGateway").text("internetGateway/internetGatewayId")
	p.call("AttachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	table := p.call("CreateRouteTable", "VpcId", vpc).text("routeTable/routeTableId")

	address := p.call("AllocateAddress", "Domain", "vpc", "TagSpecification.1.ResourceType", "elastic-ip", "TagSpecification.1.Tag.1.Key", "Name", "TagSpecification.1.Tag.1.Value", "nat").text("allocationId")
	shown := func() attributes {
		read := p.call("DescribeAddresses", "AllocationId.1", address)
		return attributes{
			"domain": read.text("addressesSet/item/domain"), "public_ipv4_pool": read.text("addressesSet/item/publicIpv4Pool"), "network_border_group": read.text("addressesSet/item/networkBorderGroup"),
			"association": fmt.Sprint(read.text("addressesSet/item/associationId") != ""), "instance": read.text("addressesSet/item/instanceId"), "tag": read.text("addressesSet/item/tagSet/item/value"),
			"ptr_record": p.call("DescribeAddressesAttribute", "AllocationId.1", address, "Attribute", "domain-name").text("addressSet/item/ptrRecord"),
		}
	}
	want := attributes{"domain": "vpc", "public_ipv4_pool": "amazon", "network_border_group": region, "association": "false", "instance": "", "tag": "nat", "ptr_record": ""}
	p.check("aws_eip", shown(), want)

	nat := p.call("CreateNatGateway", "SubnetId", subnet, "AllocationId", address, "ConnectivityType", "public", "ClientToken", "t").text("natGateway/natGatewayId")
	read := p.call("DescribeNatGateways", "NatGatewayId.1", nat)
	p.check("aws_nat_gateway", attributes{
		"state": read.text("natGatewaySet/item/state"), "connectivity_type": read.text("natGatewaySet/item/connectivityType"), "subnet_id": read.text("natGatewaySet/item/subnetId"),
		"allocation_id": read.text("natGatewaySet/item/natGatewayAddressSet/item/allocationId"), "primary": read.text("natGatewaySet/item/natGatewayAddressSet/item/isPrimary"), "status": read.text("natGatewaySet/item/natGatewayAddressSet/item/status"),
	}, attributes{"state": "available", "connectivity_type": "public", "subnet_id": subnet, "allocation_id": address, "primary": "true", "status": "succeeded"})
	want["association"] = "true"
	p.check("aws_eip of the NAT gateway", shown(), want)
	p.call("CreateRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "NatGatewayId", nat)
	if got := p.call("DescribeRouteTables", "RouteTableId.1", table).text("routeTableSet/item/routeSet/item/natGatewayId"); got != nat {
		t.Errorf("the route goes to %q", got)
	}

	endpoint := p.call("CreateVpcEndpoint", "VpcId", vpc, "VpcEndpointType", "Gateway", "ServiceName", "com.amazonaws."+region+".s3", "RouteTableId.1", table, "PrivateDnsEnabled", "false", "ClientToken", "t").text("vpcEndpoint/vpcEndpointId")
	e := p.call("DescribeVpcEndpoints", "VpcEndpointId.1", endpoint)
	list := p.call("DescribePrefixLists", "Filter.1.Name", "prefix-list-name", "Filter.1.Value.1", "com.amazonaws."+region+".s3")
	p.check("aws_vpc_endpoint", attributes{
		"state": e.text("vpcEndpointSet/item/state"), "type": e.text("vpcEndpointSet/item/vpcEndpointType"), "service_name": e.text("vpcEndpointSet/item/serviceName"), "route_table_ids": e.text("vpcEndpointSet/item/routeTableIdSet/item"),
		"private_dns_enabled": e.text("vpcEndpointSet/item/privateDnsEnabled"), "requester_managed": e.text("vpcEndpointSet/item/requesterManaged"), "prefix lists": fmt.Sprint(len(list.all("prefixListSet/item"))),
	}, attributes{"state": "available", "type": "Gateway", "service_name": "com.amazonaws." + region + ".s3", "route_table_ids": table, "private_dns_enabled": "false", "requester_managed": "false", "prefix lists": "1"})
	sameJSON(t, "the policy of an endpoint that has none", e.text("vpcEndpointSet/item/policyDocument"), `"{\"Version\":\"2008-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}]}"`)
	// aws_route_table does not look at the routes of a gateway endpoint: it tells them by the prefix list and the target.
	for _, route := range p.call("DescribeRouteTables", "RouteTableId.1", table).all("routeTableSet/item/routeSet/item") {
		if target := route.text("gatewayId"); strings.HasPrefix(target, "vpce-") && (target != endpoint || route.text("destinationPrefixListId") == "" || route.text("destinationCidrBlock") != "") {
			t.Errorf("the endpoint's route is %v", route)
		}
	}
	p.call("DeleteVpcEndpoints", "VpcEndpointId.1", endpoint)
	_, err := p.ec2("DescribeVpcEndpoints", "VpcEndpointId.1", endpoint)
	p.refused("an endpoint that is gone", err, "InvalidVpcEndpointId.NotFound", endpoint)

	_, err = p.ec2("ReleaseAddress", "AllocationId", address)
	p.refused("an address in use", err, "InvalidIPAddress.InUse", "")
	p.call("DeleteRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0")
	p.call("DeleteNatGateway", "NatGatewayId", nat)
	after, err := p.ec2("DescribeNatGateways", "NatGatewayId.1", nat)
	if err == nil {
		p.check("a NAT gateway that is gone", attributes{"state": after.text("natGatewaySet/item/state")}, attributes{"state": "deleted"})
	} else {
		p.refused("a NAT gateway that is gone", err, "NatGatewayNotFound", nat)
	}
	p.call("ReleaseAddress", "AllocationId", address)
	_, err = p.ec2("DescribeAddresses", "AllocationId.1", address)
	p.refused("an address that is gone", err, "InvalidAllocationID.NotFound", address)
	p.call("DetachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	p.call("DeleteSubnet", "SubnetId", subnet)
	p.call("DeleteRouteTable", "RouteTableId", table)
	p.call("DeleteVpc", "VpcId", vpc)
}

// TestNetwork_gone: the codes by which the provider tells that a resource is not there, of each kind that Batch stacks have.
func TestNetwork_gone(t *testing.T) {
	p := configure(t)
	vpc := p.call("DescribeVpcs", "Filter.1.Name", "isDefault", "Filter.1.Value.1", "true").text("vpcSet/item/vpcId")
	table := p.call("DescribeRouteTables", "Filter.1.Name", "vpc-id", "Filter.1.Value.1", vpc).text("routeTableSet/item/routeTableId")
	acl := p.call("DescribeNetworkAcls", "Filter.1.Name", "vpc-id", "Filter.1.Value.1", vpc).text("networkAclSet/item/networkAclId")
	gateway := p.call("CreateInternetGateway").text("internetGateway/internetGatewayId")
	const id = "0123456789abcdef0"
	for _, gone := range []struct {
		code, action string
		parameters   []string
	}{
		{"InvalidRoute.NotFound", "DeleteRoute", []string{"RouteTableId", table, "DestinationCidrBlock", "10.9.0.0/16"}},
		{"InvalidRouteTableID.NotFound", "CreateRoute", []string{"RouteTableId", "rtb-" + id, "DestinationCidrBlock", "0.0.0.0/0", "GatewayId", gateway}},
		{"InvalidAssociationID.NotFound", "DisassociateRouteTable", []string{"AssociationId", "rtbassoc-" + id}},
		{"Gateway.NotAttached", "DetachInternetGateway", []string{"InternetGatewayId", gateway, "VpcId", vpc}},
		{"InvalidInternetGatewayID.NotFound", "DetachInternetGateway", []string{"InternetGatewayId", "igw-" + id, "VpcId", vpc}},
		{"InvalidNetworkAclID.NotFound", "DescribeNetworkAcls", []string{"NetworkAclId.1", "acl-" + id}},
		{"InvalidNetworkAclID.NotFound", "DeleteNetworkAcl", []string{"NetworkAclId", "acl-" + id}},
		{"InvalidNetworkAclEntry.NotFound", "DeleteNetworkAclEntry", []string{"NetworkAclId", acl, "RuleNumber", "7", "Egress", "true"}},
		{"InvalidGroup.NotFound", "AuthorizeSecurityGroupIngress", []string{"GroupId", "sg-" + id, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"}},
		{"InvalidNetworkInterfaceID.NotFound", "DescribeNetworkInterfaces", []string{"NetworkInterfaceId.1", "eni-" + id}},
		{"InvalidNetworkInterfaceID.NotFound", "DeleteNetworkInterface", []string{"NetworkInterfaceId", "eni-" + id}},
		{"InvalidDhcpOptionID.NotFound", "DescribeDhcpOptions", []string{"DhcpOptionsId.1", "dopt-" + id}},
		{"InvalidDhcpOptionID.NotFound", "DeleteDhcpOptions", []string{"DhcpOptionsId", "dopt-" + id}},
		{"NatGatewayNotFound", "DescribeNatGateways", []string{"NatGatewayId.1", "nat-" + id}},
		{"NatGatewayNotFound", "DeleteNatGateway", []string{"NatGatewayId", "nat-" + id}},
		{"InvalidAllocationID.NotFound", "ReleaseAddress", []string{"AllocationId", "eipalloc-" + id}},
		{"InvalidLaunchTemplateId.NotFound", "DescribeLaunchTemplates", []string{"LaunchTemplateId.1", "lt-" + id}},
		{"InvalidLaunchTemplateId.NotFound", "DeleteLaunchTemplate", []string{"LaunchTemplateId", "lt-" + id}},
		{"InvalidLaunchTemplateId.NotFound", "DescribeLaunchTemplateVersions", []string{"LaunchTemplateId", "lt-" + id, "LaunchTemplateVersion.1", "1"}},
		{"InvalidLaunchTemplateName.NotFoundException", "DescribeLaunchTemplates", []string{"LaunchTemplateName.1", "none"}},
		{"InvalidKeyPair.NotFound", "DescribeKeyPairs", []string{"KeyName.1", "none", "IncludePublicKey", "true"}},
		{"InvalidPlacementGroup.Unknown", "DescribePlacementGroups", []string{"GroupName.1", "none"}},
		{"InvalidPlacementGroup.Unknown", "DeletePlacementGroup", []string{"GroupName", "none"}},
	} {
		_, err := p.ec2(gone.action, gone.parameters...)
		p.refused(gone.action, err, gone.code, "")
	}
	p.call("DeleteKeyPair", "KeyName", "none") // no error
	p.call("DeleteVpcEndpoints", "VpcEndpointId.1", "vpce-"+id)
}
