package ec2

import (
	"fmt"
	"slices"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) addressOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "AllocateAddress", allocateAddress),
		change(a, "ReleaseAddress", releaseAddress),
		change(a, "DisassociateAddress", disassociateAddress),
		view(a, "DescribeAddresses", describeAddresses),
		view(a, "DescribeAddressesAttribute", describeAddressAttributes),
		change(a, "CreateNatGateway", createNAT),
		change(a, "DeleteNatGateway", deleteNAT),
		view(a, "DescribeNatGateways", describeNATs),
	}
}

// address is an Elastic IP address: one of those kept for documentation (RFC 5737), as nothing stands behind it. Its JSON
// is how the store keeps it.
type address struct {
	base
	IP string `json:"publicIp"`
}

// Address is an Elastic IP address as it is shown.
type Address struct {
	AllocationId       *string
	AssociationId      *string
	Domain             *string
	NetworkBorderGroup *string
	PrivateIpAddress   *string
	PublicIp           *string
	PublicIpv4Pool     *string
	Tags               []Tag `awswire:"tagSet"`
}

func (e *address) show(t *tx, nats []*natGateway) Address {
	out := Address{
		AllocationId: ptr(e.ID), Domain: ptr("vpc"), NetworkBorderGroup: ptr(t.Region), PublicIp: ptr(e.IP), PublicIpv4Pool: ptr("amazon"), Tags: e.Tags,
	}
	for _, n := range nats {
		if n.Allocation == e.ID {
			out.AssociationId, out.PrivateIpAddress = ptr(n.Association), ptr(n.PrivateIP)
		}
	}
	return out
}

var addressLook = look[Address]{
	filters: map[string]func(*Address) []string{
		"allocation-id":        func(a *Address) []string { return one(a.AllocationId) },
		"association-id":       func(a *Address) []string { return one(a.AssociationId) },
		"domain":               func(a *Address) []string { return one(a.Domain) },
		"network-border-group": func(a *Address) []string { return one(a.NetworkBorderGroup) },
		"private-ip-address":   func(a *Address) []string { return one(a.PrivateIpAddress) },
		"public-ip":            func(a *Address) []string { return one(a.PublicIp) },
		"instance-id":          func(*Address) []string { return nil },
		"network-interface-id": func(*Address) []string { return nil },
	},
	tags: func(a *Address) []Tag { return a.Tags },
	key:  func(a *Address) string { return *a.AllocationId },
}

type allocateAddressInput struct {
	Address               *string
	CustomerOwnedIpv4Pool *string
	Domain                *string
	DryRun                *bool
	IpamPoolId            *string
	PublicIpv4Pool        *string
	TagSpecifications     []TagSpecification `ec2:"TagSpecification"`
}

type allocateAddressOutput struct {
	AllocationId       *string
	Domain             *string
	NetworkBorderGroup *string
	PublicIp           *string
	PublicIpv4Pool     *string
}

func allocateAddress(t *tx, in *allocateAddressInput) (*allocateAddressOutput, error) {
	switch {
	case in.Address != nil, in.CustomerOwnedIpv4Pool != nil, in.IpamPoolId != nil, in.PublicIpv4Pool != nil && *in.PublicIpv4Pool != "amazon":
		return nil, unsupported("batchbox gives addresses of one pool only, and chooses them.")
	case in.Domain != nil && *in.Domain != "vpc":
		return nil, invalid("Value (%s) for parameter domain is invalid.", *in.Domain)
	}
	tags, err := specified(in.TagSpecifications, kindAddress.typ)
	if err != nil {
		return nil, err
	}
	have, err := all[address](t, &kindAddress)
	if err != nil {
		return nil, err
	}
	for _, net := range []string{"203.0.113", "198.51.100", "192.0.2"} {
		for host := 1; host < 255; host++ {
			ip := fmt.Sprintf("%s.%d", net, host)
			if slices.ContainsFunc(have, func(a *address) bool { return a.IP == ip }) {
				continue
			}
			id, err := t.newID(kindAddress.prefix)
			if err != nil {
				return nil, err
			}
			return &allocateAddressOutput{
				AllocationId: ptr(id), Domain: ptr("vpc"), NetworkBorderGroup: ptr(t.Region), PublicIp: ptr(ip), PublicIpv4Pool: ptr("amazon"),
			}, t.put(&kindAddress, &address{base: base{id, tags}, IP: ip})
		}
	}
	return nil, refuse("AddressLimitExceeded", "The maximum number of addresses has been reached.")
}

type disassociateAddressInput struct {
	AssociationId *string
	DryRun        *bool
	PublicIp      *string
}

// disassociateAddress refuses, since nothing has an address but a NAT gateway, which keeps it as long as it lives: AWS answers
// the same. A client that releases the address of a gateway that is gone finds no association any more.
func disassociateAddress(t *tx, in *disassociateAddressInput) (*done, error) {
	if in.AssociationId == nil && in.PublicIp == nil {
		return nil, missing("AssociationId")
	}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	for _, n := range nats {
		if n.Association != "" && (n.Association == str(in.AssociationId) || n.PublicIP == str(in.PublicIp)) {
			return nil, refuse("AuthFailure", "You do not have permission to access the specified resource.")
		}
	}
	if in.AssociationId == nil {
		return nil, noSuchAddress(*in.PublicIp)
	}
	return nil, refuse("InvalidAssociationID.NotFound", "The association ID '%s' does not exist", *in.AssociationId)
}

type addressInput struct {
	AllocationId *string
	DryRun       *bool
	PublicIp     *string
}

func releaseAddress(t *tx, in *addressInput) (*done, error) {
	have, err := all[address](t, &kindAddress)
	if err != nil {
		return nil, err
	}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	for _, a := range have {
		if in.AllocationId != nil && a.ID != *in.AllocationId || in.AllocationId == nil && a.IP != str(in.PublicIp) {
			continue
		}
		if slices.ContainsFunc(nats, func(n *natGateway) bool { return n.Allocation == a.ID }) {
			return nil, refuse("InvalidIPAddress.InUse", "Address %s is in use.", a.IP)
		}
		return succeed(), t.delete(&kindAddress, a)
	}
	if in.AllocationId != nil {
		return nil, kindAddress.unknown(*in.AllocationId)
	}
	return nil, noSuchAddress(str(in.PublicIp))
}

func noSuchAddress(ip string) error {
	return refuse("InvalidAddress.NotFound", "Address '%s' not found.", ip)
}

type describeAddressesInput struct {
	AllocationIds []string `ec2:"AllocationId"`
	DryRun        *bool
	Filters       []Filter `ec2:"Filter"`
	PublicIps     []string `ec2:"PublicIp"`
}

type describeAddressesOutput struct {
	Addresses []Address `awswire:"addressesSet"`
}

func describeAddresses(t *tx, in *describeAddressesInput) (*describeAddressesOutput, error) {
	have, err := all[address](t, &kindAddress)
	if err != nil {
		return nil, err
	}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	var list []Address
	for _, a := range have {
		list = append(list, a.show(t, nats))
	}
	for _, ip := range in.PublicIps {
		if !slices.ContainsFunc(list, func(a Address) bool { return *a.PublicIp == ip }) {
			return nil, noSuchAddress(ip)
		}
	}
	if len(in.PublicIps) > 0 {
		list = slices.DeleteFunc(list, func(a Address) bool { return !slices.Contains(in.PublicIps, *a.PublicIp) })
	}
	if list, err = pick(list, in.AllocationIds, &kindAddress, addressLook.key); err != nil {
		return nil, err
	}
	list, _, err = addressLook.choose(list, query{filters: in.Filters})
	return &describeAddressesOutput{Addresses: list}, err
}

type describeAddressAttributesInput struct {
	AllocationIds []string `ec2:"AllocationId"`
	Attribute     *string
	DryRun        *bool
}

type describeAddressAttributesOutput struct {
	Addresses []nothing `awswire:"addressSet"`
}

// describeAddressAttributes shows that no address has a name of its own in the DNS.
func describeAddressAttributes(t *tx, in *describeAddressAttributesInput) (*describeAddressAttributesOutput, error) {
	for _, id := range in.AllocationIds {
		if _, err := find[address](t, &kindAddress, &id, "AllocationId"); err != nil {
			return nil, err
		}
	}
	return &describeAddressAttributesOutput{Addresses: none}, nil
}

// natGateway is a NAT gateway. Its JSON is how the store keeps it.
type natGateway struct {
	base
	VPC         string `json:"vpcId"`
	Subnet      string `json:"subnetId"`
	Private     bool   `json:"private,omitempty"`
	Allocation  string `json:"allocationId,omitempty"`
	Association string `json:"associationId,omitempty"`
	PublicIP    string `json:"publicIp,omitempty"`
	PrivateIP   string `json:"privateIp"`
	CreatedAt   int64  `json:"createdAt"` // ms
}

// NATGateway is a NAT gateway as it is shown.
type NATGateway struct {
	AvailabilityMode    *string
	ConnectivityType    *string
	CreateTime          *time.Time
	NatGatewayAddresses []NATAddress `awswire:"natGatewayAddressSet"`
	NatGatewayId        *string
	State               *string
	SubnetId            *string
	Tags                []Tag `awswire:"tagSet"`
	VpcId               *string
}

// NATAddress is an address of a NAT gateway.
type NATAddress struct {
	AllocationId  *string
	AssociationId *string
	IsPrimary     *bool
	PrivateIp     *string
	PublicIp      *string
	Status        *string
}

func (n *natGateway) show() NATGateway {
	connectivity, status := "public", "succeeded"
	if n.Private {
		connectivity = "private"
	}
	return NATGateway{
		AvailabilityMode: ptr("zonal"), ConnectivityType: ptr(connectivity), CreateTime: timeOf(n.CreatedAt), NatGatewayAddresses: []NATAddress{{
			AllocationId: optional(n.Allocation), AssociationId: optional(n.Association), IsPrimary: ptr(true), PrivateIp: ptr(n.PrivateIP), PublicIp: optional(n.PublicIP), Status: ptr(status),
		}},
		NatGatewayId: ptr(n.ID), State: ptr("available"), SubnetId: ptr(n.Subnet), Tags: n.Tags, VpcId: ptr(n.VPC),
	}
}

var natLook = look[NATGateway]{
	filters: map[string]func(*NATGateway) []string{
		"nat-gateway-id": func(n *NATGateway) []string { return one(n.NatGatewayId) },
		"state":          func(n *NATGateway) []string { return one(n.State) },
		"subnet-id":      func(n *NATGateway) []string { return one(n.SubnetId) },
		"vpc-id":         func(n *NATGateway) []string { return one(n.VpcId) },
	},
	tags: func(n *NATGateway) []Tag { return n.Tags },
	key:  func(n *NATGateway) string { return *n.NatGatewayId },
}

type createNATInput struct {
	AllocationId                   *string
	AvailabilityMode               *string
	ConnectivityType               *string
	DryRun                         *bool
	PrivateIpAddress               *string
	SecondaryAllocationIds         []string `ec2:"SecondaryAllocationId"`
	SecondaryPrivateIpAddressCount *int32
	SecondaryPrivateIpAddresses    []string `ec2:"SecondaryPrivateIpAddress"`
	SubnetId                       *string
	TagSpecifications              []TagSpecification `ec2:"TagSpecification"`
}

type createNATOutput struct {
	NatGateway *NATGateway
}

func createNAT(t *tx, in *createNATInput) (*createNATOutput, error) {
	if len(in.SecondaryAllocationIds)+len(in.SecondaryPrivateIpAddresses) > 0 || in.SecondaryPrivateIpAddressCount != nil {
		return nil, unsupported("batchbox's NAT gateways have one address.")
	}
	if in.AvailabilityMode != nil && *in.AvailabilityMode != "zonal" {
		return nil, unsupported("batchbox's NAT gateways belong to one zone.")
	}
	s, err := find[subnet](t, &kindSubnet, in.SubnetId, "SubnetId")
	if err != nil {
		return nil, err
	}
	n := &natGateway{VPC: s.VPC, Subnet: s.ID, CreatedAt: t.a.now().UnixMilli() / 1000 * 1000}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	id, failed := t.freshIDs()
	n.ID = id(kindNAT.prefix, "")
	switch str(in.ConnectivityType) {
	case "", "public":
		a, err := find[address](t, &kindAddress, in.AllocationId, "AllocationId")
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(nats, func(o *natGateway) bool { return o.Allocation == a.ID }) {
			return nil, refuse("Resource.AlreadyAssociated", "Elastic IP address [%s] is already associated", a.ID)
		}
		n.Allocation, n.PublicIP, n.Association = a.ID, a.IP, id("eipassoc-", "")
	case "private":
		if in.AllocationId != nil {
			return nil, refuse("InvalidParameterCombination", "AllocationId cannot be specified when ConnectivityType is private") // unverified text
		}
		n.Private = true
	default:
		return nil, invalid("Value (%s) for parameter ConnectivityType is invalid.", *in.ConnectivityType)
	}
	free, err := t.freeAddresses(s)
	if err != nil {
		return nil, err
	}
	ips, err := free.take([]string{str(in.PrivateIpAddress)})
	if err != nil {
		return nil, err
	}
	n.PrivateIP = ips[0]
	if n.Tags, err = specified(in.TagSpecifications, kindNAT.typ); err != nil {
		return nil, err
	}
	if err := failed(); err != nil {
		return nil, err
	}
	return &createNATOutput{NatGateway: ptr(n.show())}, t.put(&kindNAT, n)
}

type natInput struct {
	DryRun       *bool
	NatGatewayId *string
}

type deleteNATOutput struct {
	NatGatewayId *string
}

// deleteNAT removes a NAT gateway at once; EC2 goes on to show it as deleted for about an hour.
func deleteNAT(t *tx, in *natInput) (*deleteNATOutput, error) {
	n, err := find[natGateway](t, &kindNAT, in.NatGatewayId, "NatGatewayId")
	if err != nil {
		return nil, err
	}
	return &deleteNATOutput{NatGatewayId: ptr(n.ID)}, t.delete(&kindNAT, n)
}

type describeNATsInput struct {
	DryRun        *bool
	Filters       []Filter `ec2:"Filter"`
	MaxResults    *int32
	NatGatewayIds []string `ec2:"NatGatewayId"`
	NextToken     *string
}

type describeNATsOutput struct {
	NatGateways []NATGateway `awswire:"natGatewaySet"`
	NextToken   *string
}

func describeNATs(t *tx, in *describeNATsInput) (*describeNATsOutput, error) {
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	var list []NATGateway
	for _, n := range nats {
		list = append(list, n.show())
	}
	if list, err = pick(list, in.NatGatewayIds, &kindNAT, natLook.key); err != nil {
		return nil, err
	}
	list, next, err := natLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeNATsOutput{NatGateways: list, NextToken: next}, err
}
