package ec2

import (
	"net/netip"
	"slices"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) subnetOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateSubnet", createSubnet),
		change(a, "CreateDefaultSubnet", createDefaultSubnet),
		change(a, "DeleteSubnet", deleteSubnet),
		view(a, "DescribeSubnets", describeSubnets),
		change(a, "ModifySubnetAttribute", modifySubnetAttribute),
	}
}

// subnet is a subnet. Its JSON is how the store keeps it.
type subnet struct {
	base
	VPC            string `json:"vpcId"`
	Block          string `json:"cidrBlock"`
	Zone           string `json:"availabilityZone"`
	DefaultForZone bool   `json:"defaultForAz,omitempty"`
	PublicIP       bool   `json:"mapPublicIpOnLaunch,omitempty"`
	ARecord        bool   `json:"enableResourceNameDnsARecordOnLaunch,omitempty"`
	HostnameType   string `json:"privateDnsHostnameTypeOnLaunch,omitempty"` // "ip-name" if empty
	ACL            string `json:"networkAclId,omitempty"`                   // "" for the VPC's own
	ACLAssociation string `json:"networkAclAssociationId"`
}

// Subnet is a subnet as it is shown.
type Subnet struct {
	AssignIpv6AddressOnCreation   *bool
	AvailabilityZone              *string
	AvailabilityZoneId            *string
	AvailableIpAddressCount       *int32
	CidrBlock                     *string
	DefaultForAz                  *bool
	EnableDns64                   *bool
	Ipv6CidrBlockAssociationSet   []VPCBlock
	Ipv6Native                    *bool
	MapCustomerOwnedIpOnLaunch    *bool
	MapPublicIpOnLaunch           *bool
	OwnerId                       *string
	PrivateDnsNameOptionsOnLaunch *PrivateDNSNameOptions
	State                         *string
	SubnetArn                     *string
	SubnetId                      *string
	Tags                          []Tag `awswire:"tagSet"`
	VpcId                         *string
}

// PrivateDNSNameOptions says how instances of a subnet are named.
type PrivateDNSNameOptions struct {
	EnableResourceNameDnsAAAARecord *bool
	EnableResourceNameDnsARecord    *bool
	HostnameType                    *string
}

func (s *subnet) show(t *tx) Subnet {
	hostname := s.HostnameType
	if hostname == "" {
		hostname = "ip-name"
	}
	var free int32
	if b, err := netip.ParsePrefix(s.Block); err == nil {
		free = addresses(b)
	}
	return Subnet{
		AssignIpv6AddressOnCreation: ptr(false), AvailabilityZone: ptr(s.Zone), AvailabilityZoneId: ptr(zoneID(t.Region, s.Zone)), AvailableIpAddressCount: ptr(free),
		CidrBlock: ptr(s.Block), DefaultForAz: ptr(s.DefaultForZone), EnableDns64: ptr(false), Ipv6CidrBlockAssociationSet: []VPCBlock{}, Ipv6Native: ptr(false),
		MapCustomerOwnedIpOnLaunch: ptr(false), MapPublicIpOnLaunch: ptr(s.PublicIP), OwnerId: ptr(t.Account),
		PrivateDnsNameOptionsOnLaunch: &PrivateDNSNameOptions{
			EnableResourceNameDnsAAAARecord: ptr(false), EnableResourceNameDnsARecord: ptr(s.ARecord), HostnameType: ptr(hostname),
		},
		State: ptr("available"), SubnetArn: ptr(t.arn("subnet/" + s.ID)), SubnetId: ptr(s.ID), Tags: s.Tags, VpcId: ptr(s.VPC),
	}
}

var subnetLook = look[Subnet]{
	filters: map[string]func(*Subnet) []string{
		"availability-zone":          func(s *Subnet) []string { return one(s.AvailabilityZone) },
		"availabilityZone":           func(s *Subnet) []string { return one(s.AvailabilityZone) },
		"availability-zone-id":       func(s *Subnet) []string { return one(s.AvailabilityZoneId) },
		"availabilityZoneId":         func(s *Subnet) []string { return one(s.AvailabilityZoneId) },
		"available-ip-address-count": func(s *Subnet) []string { return number(s.AvailableIpAddressCount) },
		"cidr":                       func(s *Subnet) []string { return one(s.CidrBlock) },
		"cidr-block":                 func(s *Subnet) []string { return one(s.CidrBlock) },
		"cidrBlock":                  func(s *Subnet) []string { return one(s.CidrBlock) },
		"default-for-az":             func(s *Subnet) []string { return flag(s.DefaultForAz) },
		"defaultForAz":               func(s *Subnet) []string { return flag(s.DefaultForAz) },
		"ipv6-cidr-block-association.ipv6-cidr-block": func(*Subnet) []string { return nil },
		"ipv6-cidr-block-association.association-id":  func(*Subnet) []string { return nil },
		"ipv6-cidr-block-association.state":           func(*Subnet) []string { return nil },
		"ipv6-native":                                 func(s *Subnet) []string { return flag(s.Ipv6Native) },
		"map-public-ip-on-launch":                     func(s *Subnet) []string { return flag(s.MapPublicIpOnLaunch) },
		"outpost-arn":                                 func(*Subnet) []string { return nil },
		"owner-id":                                    func(s *Subnet) []string { return one(s.OwnerId) },
		"state":                                       func(s *Subnet) []string { return one(s.State) },
		"subnet-arn":                                  func(s *Subnet) []string { return one(s.SubnetArn) },
		"subnet-id":                                   func(s *Subnet) []string { return one(s.SubnetId) },
		"vpc-id":                                      func(s *Subnet) []string { return one(s.VpcId) },
	},
	tags: func(s *Subnet) []Tag { return s.Tags },
	key:  func(s *Subnet) string { return *s.SubnetId },
}

type createSubnetInput struct {
	AvailabilityZone   *string
	AvailabilityZoneId *string
	CidrBlock          *string
	DryRun             *bool
	Ipv4IpamPoolId     *string
	Ipv6CidrBlock      *string
	Ipv6IpamPoolId     *string
	Ipv6Native         *bool
	OutpostArn         *string
	TagSpecifications  []TagSpecification `ec2:"TagSpecification"`
	VpcId              *string
}

type subnetOutput struct {
	Subnet *Subnet
}

// zone finds the availability zone that a request names, or the first.
func (t *tx) zone(name, id *string) (string, error) {
	names := zones(t.Region)
	for _, n := range names {
		if name != nil && *name == n || name == nil && id != nil && *id == zoneID(t.Region, n) {
			return n, nil
		}
	}
	switch {
	case name != nil:
		return "", invalid("Value (%s) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: %s.", *name, sentence(names))
	case id != nil:
		return "", invalid("Value (%s) for parameter availabilityZoneId is invalid.", *id) // unverified text
	}
	return names[0], nil
}

// sentence puts names as AWS does in a sentence.
func sentence(names []string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}

func createSubnet(t *tx, in *createSubnetInput) (*subnetOutput, error) {
	switch {
	case in.Ipv6CidrBlock != nil, in.Ipv6IpamPoolId != nil, in.Ipv6Native != nil && *in.Ipv6Native:
		return nil, unsupported("batchbox's VPCs have no IPv6 addresses.")
	case in.Ipv4IpamPoolId != nil:
		return nil, unsupported("batchbox has no IPAM.")
	case in.OutpostArn != nil:
		return nil, unsupported("batchbox has no Outposts.")
	}
	v, err := find[vpc](t, &kindVPC, in.VpcId, "vpcId")
	if err != nil {
		return nil, err
	}
	if in.CidrBlock == nil {
		return nil, missing("cidrBlock")
	}
	b, err := block(*in.CidrBlock)
	if err != nil {
		return nil, err
	}
	inside, err := v.contains(b)
	if err != nil {
		return nil, err
	}
	if !inside || b.Bits() < 16 || b.Bits() > 28 {
		return nil, refuse("InvalidSubnet.Range", "The CIDR '%s' is invalid.", *in.CidrBlock)
	}
	others, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if p, err := netip.ParsePrefix(o.Block); o.VPC == v.ID && (err != nil || p.Overlaps(b)) {
			return nil, refuse("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", *in.CidrBlock)
		}
	}
	zone, err := t.zone(in.AvailabilityZone, in.AvailabilityZoneId)
	if err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, kindSubnet.typ)
	if err != nil {
		return nil, err
	}
	id, failed := t.freshIDs()
	s := &subnet{base: base{id("subnet-", ""), tags}, VPC: v.ID, Block: b.String(), Zone: zone, ACLAssociation: id("aclassoc-", "")}
	if err := failed(); err != nil {
		return nil, err
	}
	return &subnetOutput{Subnet: ptr(s.show(t))}, t.put(&kindSubnet, s)
}

type createDefaultSubnetInput struct {
	AvailabilityZone *string
	DryRun           *bool
}

func createDefaultSubnet(t *tx, in *createDefaultSubnetInput) (*subnetOutput, error) {
	if in.AvailabilityZone == nil {
		return nil, missing("AvailabilityZone")
	}
	home, err := t.defaultVPC()
	if err != nil {
		return nil, err
	}
	if home == nil {
		return nil, refuse("DefaultVpcDoesNotExist", "No default VPC exists for this account in this region.")
	}
	zone, err := t.zone(in.AvailabilityZone, nil)
	if err != nil {
		return nil, err
	}
	others, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if o.DefaultForZone && o.Zone == zone {
			return nil, refuse("DefaultSubnetAlreadyExistsInAvailabilityZone", "'%s' is already the default subnet in %s.", o.ID, zone)
		}
	}
	id, failed := t.freshIDs()
	for third := 0; third < 256; third += 16 { // the first free /20 of the VPC
		b := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 31, byte(third), 0}), 20)
		if slices.ContainsFunc(others, func(o *subnet) bool {
			p, err := netip.ParsePrefix(o.Block)
			return o.VPC == home.ID && (err != nil || p.Overlaps(b))
		}) {
			continue
		}
		s := &subnet{
			base: base{ID: id("subnet-", "")}, VPC: home.ID, Block: b.String(), Zone: zone, DefaultForZone: true, PublicIP: true, ACLAssociation: id("aclassoc-", ""),
		}
		if err := failed(); err != nil {
			return nil, err
		}
		return &subnetOutput{Subnet: ptr(s.show(t))}, t.put(&kindSubnet, s)
	}
	return nil, refuse("InsufficientFreeAddressesInVpc", "The default VPC has no free block of the size of a default subnet.") // unverified
}

type subnetInput struct {
	DryRun   *bool
	SubnetId *string
}

// deleteSubnet removes a subnet, and takes it out of its route table.
func deleteSubnet(t *tx, in *subnetInput) (*done, error) {
	s, err := find[subnet](t, &kindSubnet, in.SubnetId, "SubnetId")
	if err != nil {
		return nil, err
	}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	endpoints, err := all[endpoint](t, &kindEndpoint)
	if err != nil {
		return nil, err
	}
	interfaces, err := all[networkInterface](t, &kindInterface)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(nats, func(n *natGateway) bool { return n.Subnet == s.ID }) ||
		slices.ContainsFunc(interfaces, func(n *networkInterface) bool { return n.Subnet == s.ID }) ||
		slices.ContainsFunc(endpoints, func(e *endpoint) bool { return slices.Contains(e.Subnets, s.ID) }) {
		return nil, refuse("DependencyViolation", "The subnet '%s' has dependencies and cannot be deleted.", s.ID)
	}
	tables, err := all[routeTable](t, &kindTable)
	if err != nil {
		return nil, err
	}
	for _, r := range tables {
		if i := slices.IndexFunc(r.Associations, func(a association) bool { return a.Subnet == s.ID }); i >= 0 {
			r.Associations = slices.Delete(r.Associations, i, i+1)
			if err := t.put(&kindTable, r); err != nil {
				return nil, err
			}
		}
	}
	return succeed(), t.delete(&kindSubnet, s)
}

type describeSubnetsInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	MaxResults *int32
	NextToken  *string
	SubnetIds  []string `ec2:"SubnetId"`
}

type describeSubnetsOutput struct {
	NextToken *string
	Subnets   []Subnet `awswire:"subnetSet"`
}

func describeSubnets(t *tx, in *describeSubnetsInput) (*describeSubnetsOutput, error) {
	subnets, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	interfaces, err := all[networkInterface](t, &kindInterface)
	if err != nil {
		return nil, err
	}
	used := map[string]int32{}
	for _, n := range interfaces {
		used[n.Subnet] += int32(len(n.IPs))
	}
	var list []Subnet
	for _, s := range subnets {
		shown := s.show(t)
		*shown.AvailableIpAddressCount -= used[s.ID]
		list = append(list, shown)
	}
	if list, err = pick(list, in.SubnetIds, &kindSubnet, subnetLook.key); err != nil {
		return nil, err
	}
	list, next, err := subnetLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeSubnetsOutput{NextToken: next, Subnets: list}, err
}

type modifySubnetAttributeInput struct {
	AssignIpv6AddressOnCreation             *BooleanAttribute
	CustomerOwnedIpv4Pool                   *string
	EnableDns64                             *BooleanAttribute
	EnableLniAtDeviceIndex                  *int32
	EnableResourceNameDnsAAAARecordOnLaunch *BooleanAttribute
	EnableResourceNameDnsARecordOnLaunch    *BooleanAttribute
	MapCustomerOwnedIpOnLaunch              *BooleanAttribute
	MapPublicIpOnLaunch                     *BooleanAttribute
	PrivateDnsHostnameTypeOnLaunch          *string
	SubnetId                                *string
}

func modifySubnetAttribute(t *tx, in *modifySubnetAttributeInput) (*done, error) {
	s, err := find[subnet](t, &kindSubnet, in.SubnetId, "subnetId")
	if err != nil {
		return nil, err
	}
	switch {
	case in.AssignIpv6AddressOnCreation.on(), in.EnableDns64.on(), in.EnableResourceNameDnsAAAARecordOnLaunch.on():
		return nil, invalid("Invalid value 'true' for an IPv6 attribute. The subnet %s has no IPv6 CIDR block.", s.ID) // unverified text
	case in.MapCustomerOwnedIpOnLaunch.on(), in.CustomerOwnedIpv4Pool != nil, in.EnableLniAtDeviceIndex != nil:
		return nil, unsupported("batchbox has no Outposts.")
	case in.MapPublicIpOnLaunch != nil:
		s.PublicIP = in.MapPublicIpOnLaunch.on()
	case in.EnableResourceNameDnsARecordOnLaunch != nil:
		s.ARecord = in.EnableResourceNameDnsARecordOnLaunch.on()
	case in.PrivateDnsHostnameTypeOnLaunch != nil:
		if h := *in.PrivateDnsHostnameTypeOnLaunch; h != "ip-name" && h != "resource-name" {
			return nil, invalid("Value (%s) for parameter privateDnsHostnameTypeOnLaunch is invalid.", h)
		}
		s.HostnameType = *in.PrivateDnsHostnameTypeOnLaunch
	}
	return succeed(), t.put(&kindSubnet, s)
}
