package ec2

import (
	"fmt"
	"net/netip"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) vpcOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateVpc", createVPC),
		change(a, "CreateDefaultVpc", createDefaultVPC),
		change(a, "DeleteVpc", deleteVPC),
		view(a, "DescribeVpcs", describeVPCs),
		view(a, "DescribeVpcAttribute", describeVPCAttribute),
		change(a, "ModifyVpcAttribute", modifyVPCAttribute),
		view(a, "DescribeDhcpOptions", describeDHCP),
		change(a, "CreateDhcpOptions", createDHCP),
		change(a, "AssociateDhcpOptions", associateDHCP),
		change(a, "DeleteDhcpOptions", deleteDHCP),
	}
}

// vpc is a VPC. Its JSON is how the store keeps it.
type vpc struct {
	base
	Block        string `json:"cidrBlock"`
	Association  string `json:"associationId"` // of its block
	DHCP         string `json:"dhcpOptionsId"`
	Tenancy      string `json:"instanceTenancy"`
	Default      bool   `json:"isDefault,omitempty"`
	DNSSupport   bool   `json:"enableDnsSupport"`
	DNSHostnames bool   `json:"enableDnsHostnames"`
	UsageMetrics bool   `json:"enableNetworkAddressUsageMetrics,omitempty"`
}

// VPC is a VPC as it is shown.
type VPC struct {
	CidrBlock                   *string
	CidrBlockAssociationSet     []VPCBlock
	DhcpOptionsId               *string
	InstanceTenancy             *string
	Ipv6CidrBlockAssociationSet []VPCBlock
	IsDefault                   *bool
	OwnerId                     *string
	State                       *string
	Tags                        []Tag `awswire:"tagSet"`
	VpcId                       *string
}

// VPCBlock is an address block of a VPC.
type VPCBlock struct {
	AssociationId  *string
	CidrBlock      *string
	CidrBlockState *BlockState
}

// BlockState is the state of an address block.
type BlockState struct {
	State *string
}

func (v *vpc) show(t *tx) VPC {
	return VPC{
		CidrBlock: ptr(v.Block), DhcpOptionsId: ptr(v.DHCP), InstanceTenancy: ptr(v.Tenancy), IsDefault: ptr(v.Default), OwnerId: ptr(t.Account),
		CidrBlockAssociationSet: []VPCBlock{{AssociationId: ptr(v.Association), CidrBlock: ptr(v.Block), CidrBlockState: &BlockState{State: ptr("associated")}}},
		State:                   ptr("available"), Tags: v.Tags, VpcId: ptr(v.ID),
	}
}

var vpcLook = look[VPC]{
	filters: map[string]func(*VPC) []string{
		"cidr":                         func(v *VPC) []string { return one(v.CidrBlock) },
		"cidr-block-association.state": func(*VPC) []string { return []string{"associated"} },
		"cidr-block-association.cidr-block": func(v *VPC) []string {
			return each(v.CidrBlockAssociationSet, func(b *VPCBlock) *string { return b.CidrBlock })
		},
		"cidr-block-association.association-id": func(v *VPC) []string {
			return each(v.CidrBlockAssociationSet, func(b *VPCBlock) *string { return b.AssociationId })
		},
		"dhcp-options-id": func(v *VPC) []string { return one(v.DhcpOptionsId) },
		"ipv6-cidr-block-association.ipv6-cidr-block": func(*VPC) []string { return nil },
		"ipv6-cidr-block-association.association-id":  func(*VPC) []string { return nil },
		"ipv6-cidr-block-association.state":           func(*VPC) []string { return nil },
		"is-default":                                  func(v *VPC) []string { return flag(v.IsDefault) },
		"isDefault":                                   func(v *VPC) []string { return flag(v.IsDefault) }, // as Terraform's aws_vpc data source asks
		"owner-id":                                    func(v *VPC) []string { return one(v.OwnerId) },
		"state":                                       func(v *VPC) []string { return one(v.State) },
		"vpc-id":                                      func(v *VPC) []string { return one(v.VpcId) },
	},
	tags: func(v *VPC) []Tag { return v.Tags },
	key:  func(v *VPC) string { return *v.VpcId },
}

// block reads an IPv4 address block; host bits are dropped, as EC2 does.
func block(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return p, invalid("Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR block.", s)
	}
	return p.Masked(), nil
}

type createVPCInput struct {
	AmazonProvidedIpv6CidrBlock *bool
	CidrBlock                   *string
	DryRun                      *bool
	InstanceTenancy             *string
	Ipv4IpamPoolId              *string
	Ipv6CidrBlock               *string
	Ipv6IpamPoolId              *string
	TagSpecifications           []TagSpecification `ec2:"TagSpecification"`
}

type vpcOutput struct {
	Vpc *VPC
}

func createVPC(t *tx, in *createVPCInput) (*vpcOutput, error) {
	switch {
	case in.AmazonProvidedIpv6CidrBlock != nil && *in.AmazonProvidedIpv6CidrBlock, in.Ipv6CidrBlock != nil, in.Ipv6IpamPoolId != nil:
		return nil, unsupported("batchbox's VPCs have no IPv6 addresses.")
	case in.Ipv4IpamPoolId != nil:
		return nil, unsupported("batchbox has no IPAM.")
	case in.CidrBlock == nil:
		return nil, missing("cidrBlock")
	}
	b, err := block(*in.CidrBlock)
	if err != nil {
		return nil, err
	}
	if b.Bits() < 16 || b.Bits() > 28 {
		return nil, refuse("InvalidVpc.Range", "The CIDR '%s' is invalid.", *in.CidrBlock)
	}
	tenancy := "default"
	if in.InstanceTenancy != nil {
		tenancy = *in.InstanceTenancy
	}
	if tenancy != "default" && tenancy != "dedicated" {
		return nil, invalid("Value (%s) for parameter instanceTenancy is invalid.", tenancy)
	}
	tags, err := specified(in.TagSpecifications, kindVPC.typ)
	if err != nil {
		return nil, err
	}
	id, failed := t.freshIDs()
	v := &vpc{base: base{id("vpc-", ""), tags}, Block: b.String(), Association: id("vpc-cidr-assoc-", ""), Tenancy: tenancy, DNSSupport: true}
	if err := t.makeVPC(v, id); err != nil {
		return nil, err
	}
	return &vpcOutput{Vpc: ptr(v.show(t))}, failed()
}

type emptyInput struct {
	DryRun *bool
}

func createDefaultVPC(t *tx, _ *emptyInput) (*vpcOutput, error) {
	home, err := t.defaultVPC()
	if err != nil {
		return nil, err
	}
	if home != nil {
		return nil, refuse("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.")
	}
	id, failed := t.freshIDs()
	v, err := t.makeDefaultVPC(id)
	if err != nil {
		return nil, err
	}
	return &vpcOutput{Vpc: ptr(v.show(t))}, failed()
}

type vpcInput struct {
	DryRun *bool
	VpcId  *string
}

// deleteVPC removes a VPC with what it came with, if nothing else is in it.
func deleteVPC(t *tx, in *vpcInput) (*done, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	if err != nil {
		return nil, err
	}
	var own []func() error // removes what the VPC came with
	inUse := false
	subnets, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	for _, s := range subnets {
		inUse = inUse || s.VPC == v.ID
	}
	gateways, err := all[gateway](t, &kindGateway)
	if err != nil {
		return nil, err
	}
	for _, g := range gateways {
		inUse = inUse || g.VPC == v.ID
	}
	tables, err := all[routeTable](t, &kindTable)
	if err != nil {
		return nil, err
	}
	for _, r := range tables {
		if r.VPC == v.ID {
			inUse = inUse || !r.main()
			own = append(own, func() error { return t.delete(&kindTable, r) })
		}
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.VPC == v.ID {
			inUse = inUse || g.Name != "default"
			own = append(own, func() error { return t.delete(&kindGroup, g) })
		}
	}
	acls, err := all[acl](t, &kindACL)
	if err != nil {
		return nil, err
	}
	for _, l := range acls {
		if l.VPC == v.ID {
			inUse = inUse || !l.Default
			own = append(own, func() error { return t.delete(&kindACL, l) })
		}
	}
	endpoints, err := all[endpoint](t, &kindEndpoint)
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		inUse = inUse || e.VPC == v.ID
	}
	if inUse {
		return nil, refuse("DependencyViolation", "The vpc '%s' has dependencies and cannot be deleted.", v.ID)
	}
	for _, remove := range own {
		if err := remove(); err != nil {
			return nil, err
		}
	}
	return succeed(), t.delete(&kindVPC, v)
}

type describeVPCsInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	MaxResults *int32
	NextToken  *string
	VpcIds     []string `ec2:"VpcId"`
}

type describeVPCsOutput struct {
	NextToken *string
	Vpcs      []VPC `awswire:"vpcSet"`
}

func describeVPCs(t *tx, in *describeVPCsInput) (*describeVPCsOutput, error) {
	vpcs, err := all[vpc](t, &kindVPC)
	if err != nil {
		return nil, err
	}
	var list []VPC
	for _, v := range vpcs {
		list = append(list, v.show(t))
	}
	if list, err = pick(list, in.VpcIds, &kindVPC, vpcLook.key); err != nil {
		return nil, err
	}
	list, next, err := vpcLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeVPCsOutput{NextToken: next, Vpcs: list}, err
}

type describeVPCAttributeInput struct {
	Attribute *string
	DryRun    *bool
	VpcId     *string
}

type vpcAttributes struct {
	EnableDnsHostnames               *BooleanAttribute
	EnableDnsSupport                 *BooleanAttribute
	EnableNetworkAddressUsageMetrics *BooleanAttribute
	VpcId                            *string
}

func describeVPCAttribute(t *tx, in *describeVPCAttributeInput) (*vpcAttributes, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	if err != nil {
		return nil, err
	}
	out := &vpcAttributes{VpcId: ptr(v.ID)}
	switch str(in.Attribute) {
	case "enableDnsHostnames":
		out.EnableDnsHostnames = &BooleanAttribute{&v.DNSHostnames}
	case "enableDnsSupport":
		out.EnableDnsSupport = &BooleanAttribute{&v.DNSSupport}
	case "enableNetworkAddressUsageMetrics":
		out.EnableNetworkAddressUsageMetrics = &BooleanAttribute{&v.UsageMetrics}
	case "":
		return nil, missing("Attribute")
	default:
		return nil, invalid("Value (%s) for parameter attribute is invalid. Unknown attribute.", *in.Attribute)
	}
	return out, nil
}

type modifyVPCAttributeInput struct {
	EnableDnsHostnames               *BooleanAttribute
	EnableDnsSupport                 *BooleanAttribute
	EnableNetworkAddressUsageMetrics *BooleanAttribute
	VpcId                            *string
}

func modifyVPCAttribute(t *tx, in *modifyVPCAttributeInput) (*done, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	if err != nil {
		return nil, err
	}
	given := 0
	for _, m := range []struct {
		attribute *BooleanAttribute
		setting   *bool
	}{{in.EnableDnsHostnames, &v.DNSHostnames}, {in.EnableDnsSupport, &v.DNSSupport}, {in.EnableNetworkAddressUsageMetrics, &v.UsageMetrics}} {
		if m.attribute != nil {
			given++
			*m.setting = m.attribute.on()
		}
	}
	if given != 1 {
		return nil, refuse("InvalidParameterCombination", "Exactly one attribute can be modified in one request") // unverified text
	}
	return succeed(), t.put(&kindVPC, v)
}

// addresses is how many addresses of a subnet can be used: EC2 keeps five.
func addresses(b netip.Prefix) int32 { return 1<<(32-b.Bits()) - 5 }

func (v *vpc) contains(b netip.Prefix) (bool, error) {
	own, err := netip.ParsePrefix(v.Block)
	if err != nil {
		return false, fmt.Errorf("VPC %s: %w", v.ID, err)
	}
	return own.Bits() <= b.Bits() && own.Contains(b.Addr()), nil
}
