package ec2

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) interfaceOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateNetworkInterface", createInterface),
		change(a, "ModifyNetworkInterfaceAttribute", modifyInterface),
		change(a, "AssignPrivateIpAddresses", assignAddresses),
		change(a, "UnassignPrivateIpAddresses", unassignAddresses),
		change(a, "DeleteNetworkInterface", deleteInterface),
		view(a, "DescribeNetworkInterfaces", describeInterfaces),
	}
}

// networkInterface is a network interface, which nothing can be attached to. Its JSON is how the store keeps it.
type networkInterface struct {
	base
	Subnet      string   `json:"subnetId"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"interfaceType"`
	Groups      []string `json:"securityGroupIds"`
	IPs         []string `json:"privateIpAddresses"` // the primary one first
	Unchecked   bool     `json:"sourceDestCheckOff,omitempty"`
}

// NetworkInterface is a network interface as it is shown.
type NetworkInterface struct {
	AvailabilityZone   *string
	AvailabilityZoneId *string
	Description        *string
	Groups             []GroupName `awswire:"groupSet"`
	InterfaceType      *string
	Ipv6Addresses      []nothing `awswire:"ipv6AddressesSet"`
	MacAddress         *string
	NetworkInterfaceId *string
	OwnerId            *string
	PrivateDnsName     *string
	PrivateIpAddress   *string
	PrivateIpAddresses []InterfaceAddress `awswire:"privateIpAddressesSet"`
	RequesterManaged   *bool
	SourceDestCheck    *bool
	Status             *string
	SubnetId           *string
	Tags               []Tag `awswire:"tagSet"`
	VpcId              *string
}

// InterfaceAddress is a private address of a network interface.
type InterfaceAddress struct {
	Primary          *bool
	PrivateDnsName   *string
	PrivateIpAddress *string
}

// privateName is the name EC2's DNS has for a private address.
func (t *tx) privateName(ip string) string {
	domain := t.Region + ".compute.internal"
	if t.Region == "us-east-1" {
		domain = "ec2.internal"
	}
	return "ip-" + strings.ReplaceAll(ip, ".", "-") + "." + domain
}

// show gives the interface as it is shown: in its subnet, with its groups' names.
func (n *networkInterface) show(t *tx, s *subnet, names map[string]string) NetworkInterface {
	mac := sha256.Sum256([]byte(n.ID))
	out := NetworkInterface{
		AvailabilityZone: ptr(s.Zone), AvailabilityZoneId: ptr(zoneID(t.Region, s.Zone)), Description: ptr(n.Description), Groups: []GroupName{}, InterfaceType: ptr(n.Type),
		Ipv6Addresses: none, MacAddress: ptr(fmt.Sprintf("02:%x:%x:%x:%x:%x", mac[0:1], mac[1:2], mac[2:3], mac[3:4], mac[4:5])), NetworkInterfaceId: ptr(n.ID), OwnerId: ptr(t.Account),
		PrivateDnsName: ptr(t.privateName(n.IPs[0])), PrivateIpAddress: ptr(n.IPs[0]), RequesterManaged: ptr(false), SourceDestCheck: ptr(!n.Unchecked),
		Status: ptr("available"), SubnetId: ptr(n.Subnet), Tags: n.Tags, VpcId: ptr(s.VPC),
	}
	for _, id := range n.Groups {
		out.Groups = append(out.Groups, GroupName{GroupId: ptr(id), GroupName: ptr(names[id])})
	}
	for i, ip := range n.IPs {
		out.PrivateIpAddresses = append(out.PrivateIpAddresses, InterfaceAddress{Primary: ptr(i == 0), PrivateDnsName: ptr(t.privateName(ip)), PrivateIpAddress: ptr(ip)})
	}
	return out
}

var interfaceLook = func() look[NetworkInterface] {
	l := look[NetworkInterface]{
		filters: map[string]func(*NetworkInterface) []string{
			"addresses.primary": func(n *NetworkInterface) (values []string) {
				for _, a := range n.PrivateIpAddresses {
					values = append(values, flag(a.Primary)...)
				}
				return values
			},
			"addresses.private-ip-address": func(n *NetworkInterface) []string {
				return each(n.PrivateIpAddresses, func(a *InterfaceAddress) *string { return a.PrivateIpAddress })
			},
			"availability-zone":    func(n *NetworkInterface) []string { return one(n.AvailabilityZone) },
			"availability-zone-id": func(n *NetworkInterface) []string { return one(n.AvailabilityZoneId) },
			"description":          func(n *NetworkInterface) []string { return one(n.Description) },
			"group-id": func(n *NetworkInterface) []string {
				return each(n.Groups, func(g *GroupName) *string { return g.GroupId })
			},
			"group-name": func(n *NetworkInterface) []string {
				return each(n.Groups, func(g *GroupName) *string { return g.GroupName })
			},
			"interface-type":       func(n *NetworkInterface) []string { return one(n.InterfaceType) },
			"mac-address":          func(n *NetworkInterface) []string { return one(n.MacAddress) },
			"network-interface-id": func(n *NetworkInterface) []string { return one(n.NetworkInterfaceId) },
			"owner-id":             func(n *NetworkInterface) []string { return one(n.OwnerId) },
			"private-dns-name":     func(n *NetworkInterface) []string { return one(n.PrivateDnsName) },
			"private-ip-address":   func(n *NetworkInterface) []string { return one(n.PrivateIpAddress) },
			"requester-managed":    func(n *NetworkInterface) []string { return flag(n.RequesterManaged) },
			"source-dest-check":    func(n *NetworkInterface) []string { return flag(n.SourceDestCheck) },
			"status":               func(n *NetworkInterface) []string { return one(n.Status) },
			"subnet-id":            func(n *NetworkInterface) []string { return one(n.SubnetId) },
			"vpc-id":               func(n *NetworkInterface) []string { return one(n.VpcId) },
		},
		tags: func(n *NetworkInterface) []Tag { return n.Tags },
		key:  func(n *NetworkInterface) string { return *n.NetworkInterfaceId },
	}
	// What no interface here has: an attachment, a public address, an IPv6 address, a requester.
	for _, name := range []string{
		"addresses.association.owner-id", "addresses.association.public-ip", "association.allocation-id", "association.association-id", "association.ip-owner-id",
		"association.public-dns-name", "association.public-ip", "attachment.attach-time", "attachment.attachment-id", "attachment.delete-on-termination",
		"attachment.device-index", "attachment.instance-id", "attachment.instance-owner-id", "attachment.nat-gateway-id", "attachment.status",
		"ipv6-addresses.ipv6-address", "requester-id",
	} {
		l.filters[name] = func(*NetworkInterface) []string { return nil }
	}
	return l
}()

// addressSpecification is a private address that a request wants.
type addressSpecification struct {
	Primary          *bool
	PrivateIpAddress *string
}

type createInterfaceInput struct {
	ClientToken                    *string
	Description                    *string
	DryRun                         *bool
	Groups                         []string `ec2:"SecurityGroupId"`
	InterfaceType                  *string
	Ipv4PrefixCount                *int32
	Ipv4Prefixes                   []nothing `ec2:"Ipv4Prefix"`
	Ipv6AddressCount               *int32
	Ipv6Addresses                  []nothing
	Ipv6PrefixCount                *int32
	Ipv6Prefixes                   []nothing `ec2:"Ipv6Prefix"`
	PrivateIpAddress               *string
	PrivateIpAddresses             []addressSpecification
	SecondaryPrivateIpAddressCount *int32
	SubnetId                       *string
	TagSpecifications              []TagSpecification `ec2:"TagSpecification"`
}

type createInterfaceOutput struct {
	ClientToken      *string
	NetworkInterface *NetworkInterface
}

var interfaceTypes = []string{"interface", "efa", "efa-only", "branch", "trunk"}

func createInterface(t *tx, in *createInterfaceInput) (*createInterfaceOutput, error) {
	switch {
	case len(in.Ipv6Addresses) > 0, in.Ipv6AddressCount != nil && *in.Ipv6AddressCount > 0, len(in.Ipv6Prefixes) > 0, in.Ipv6PrefixCount != nil && *in.Ipv6PrefixCount > 0:
		return nil, unsupported("batchbox's VPCs have no IPv6 addresses.")
	case len(in.Ipv4Prefixes) > 0, in.Ipv4PrefixCount != nil && *in.Ipv4PrefixCount > 0:
		return nil, unsupported("batchbox's network interfaces have addresses, not prefixes.")
	}
	typ := "interface"
	if in.InterfaceType != nil {
		typ = *in.InterfaceType
	}
	if !slices.Contains(interfaceTypes, typ) {
		return nil, invalid("Value (%s) for parameter interfaceType is invalid.", typ) // unverified text
	}
	s, err := find[subnet](t, &kindSubnet, in.SubnetId, "subnetId")
	if err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, kindInterface.typ)
	if err != nil {
		return nil, err
	}
	n := &networkInterface{base: base{Tags: tags}, Subnet: s.ID, Description: str(in.Description), Type: typ, Groups: in.Groups}
	if len(n.Groups) == 0 {
		if n.Groups, err = t.defaultGroup(s.VPC); err != nil {
			return nil, err
		}
	}
	names, err := t.groupsFor(s, n.Groups)
	if err != nil {
		return nil, err
	}
	free, err := t.freeAddresses(s)
	if err != nil {
		return nil, err
	}
	primary, others, err := wantedAddresses(in)
	if err != nil {
		return nil, err
	}
	if n.IPs, err = free.take(append([]string{primary}, others...)); err != nil {
		return nil, err
	}
	if in.SecondaryPrivateIpAddressCount != nil {
		more, err := free.take(make([]string, max(0, *in.SecondaryPrivateIpAddressCount)))
		if err != nil {
			return nil, err
		}
		n.IPs = append(n.IPs, more...)
	}
	if n.ID, err = t.newID(kindInterface.prefix); err != nil {
		return nil, err
	}
	return &createInterfaceOutput{ClientToken: in.ClientToken, NetworkInterface: ptr(n.show(t, s, names))}, t.put(&kindInterface, n)
}

// wantedAddresses are the addresses a request names; the primary one is "" if it leaves it to EC2.
func wantedAddresses(in *createInterfaceInput) (primary string, others []string, err error) {
	primary = str(in.PrivateIpAddress)
	for _, a := range in.PrivateIpAddresses {
		switch {
		case a.PrivateIpAddress == nil:
			return "", nil, missing("privateIpAddress")
		case a.Primary == nil || !*a.Primary:
			others = append(others, *a.PrivateIpAddress)
		case primary != "":
			return "", nil, invalid("Only one primary private IP address can be specified.") // unverified text
		default:
			primary = *a.PrivateIpAddress
		}
	}
	return primary, others, nil
}

// defaultGroup is the security group of what names none.
func (t *tx) defaultGroup(vpc string) ([]string, error) {
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.VPC == vpc && g.Name == "default" {
			return []string{g.ID}, nil
		}
	}
	return nil, fmt.Errorf("VPC %s has no default security group", vpc)
}

// groupsFor gives the names of security groups that something in a subnet is to have.
func (t *tx) groupsFor(s *subnet, ids []string) (names map[string]string, err error) {
	names = map[string]string{}
	for _, id := range ids {
		g, err := find[group](t, &kindGroup, &id, "SecurityGroupId")
		if err != nil {
			return nil, err
		}
		if g.VPC != s.VPC {
			return nil, refuse("InvalidParameter", "Security group %s and subnet %s belong to different networks.", g.ID, s.ID)
		}
		names[id] = g.Name
	}
	return names, nil
}

// freeAddresses are the addresses of a subnet that nothing has.
type freeAddresses struct {
	block netip.Prefix
	taken map[string]bool
}

func (t *tx) freeAddresses(s *subnet) (*freeAddresses, error) {
	block, err := netip.ParsePrefix(s.Block)
	if err != nil {
		return nil, fmt.Errorf("subnet %s: %w", s.ID, err)
	}
	f := &freeAddresses{block: block, taken: map[string]bool{}}
	interfaces, err := all[networkInterface](t, &kindInterface)
	if err != nil {
		return nil, err
	}
	nats, err := all[natGateway](t, &kindNAT)
	if err != nil {
		return nil, err
	}
	for _, n := range interfaces {
		for _, ip := range n.IPs {
			f.taken[ip] = f.taken[ip] || n.Subnet == s.ID
		}
	}
	for _, n := range nats {
		f.taken[n.PrivateIP] = f.taken[n.PrivateIP] || n.Subnet == s.ID
	}
	return f, nil
}

// take takes addresses: those named, and for each "" the first that is free. EC2 keeps the first four and the last of a
// subnet.
func (f *freeAddresses) take(wanted []string) ([]string, error) {
	out := make([]string, 0, len(wanted))
	for _, ip := range wanted {
		if ip == "" {
			if ip = f.first(); ip == "" {
				return nil, refuse("InsufficientFreeAddressesInSubnet", "The specified subnet does not have enough free addresses to satisfy the request.")
			}
		}
		a, err := netip.ParseAddr(ip)
		switch {
		case err != nil:
			return nil, invalid("invalid value for parameter address: %s", ip) // unverified text
		case !f.usable(a):
			return nil, invalid("Address %s does not fall within the subnet's address range", ip) // unverified text
		case f.taken[ip]:
			return nil, refuse("InvalidIPAddress.InUse", "Address %s is in use.", ip)
		}
		f.taken[ip] = true
		out = append(out, ip)
	}
	return out, nil
}

func (f *freeAddresses) first() string {
	for a := f.block.Addr(); f.block.Contains(a); a = a.Next() {
		if f.usable(a) && !f.taken[a.String()] {
			return a.String()
		}
	}
	return ""
}

// usable says whether an address is one of the subnet that EC2 does not keep.
func (f *freeAddresses) usable(a netip.Addr) bool {
	if !f.block.Contains(a) || !f.block.Contains(a.Next()) {
		return false
	}
	kept := f.block.Addr()
	for range 4 {
		if a == kept {
			return false
		}
		kept = kept.Next()
	}
	return true
}

type modifyInterfaceInput struct {
	Attachment         *nothing
	Description        *StringAttribute
	DryRun             *bool
	Groups             []string `ec2:"SecurityGroupId"`
	NetworkInterfaceId *string
	SourceDestCheck    *BooleanAttribute
}

// StringAttribute is a text of a resource.
type StringAttribute struct {
	Value *string
}

func modifyInterface(t *tx, in *modifyInterfaceInput) (*done, error) {
	n, err := find[networkInterface](t, &kindInterface, in.NetworkInterfaceId, "networkInterfaceId")
	if err != nil {
		return nil, err
	}
	if in.Attachment != nil {
		return nil, unsupported("batchbox runs containers and no instances, so no network interface is attached to one.")
	}
	if in.Description != nil {
		n.Description = str(in.Description.Value)
	}
	if in.SourceDestCheck != nil {
		n.Unchecked = !in.SourceDestCheck.on()
	}
	if len(in.Groups) > 0 {
		s, err := find[subnet](t, &kindSubnet, &n.Subnet, "subnetId")
		if err != nil {
			return nil, err
		}
		if _, err := t.groupsFor(s, in.Groups); err != nil {
			return nil, err
		}
		n.Groups = in.Groups
	}
	return succeed(), t.put(&kindInterface, n)
}

type assignAddressesInput struct {
	AllowReassignment              *bool
	Ipv4PrefixCount                *int32
	Ipv4Prefixes                   []nothing `ec2:"Ipv4Prefix"`
	NetworkInterfaceId             *string
	PrivateIpAddresses             []string `ec2:"PrivateIpAddress"`
	SecondaryPrivateIpAddressCount *int32
}

type assignAddressesOutput struct {
	AssignedPrivateIpAddresses []AssignedAddress `awswire:"assignedPrivateIpAddressesSet"`
	NetworkInterfaceId         *string
	Return                     *bool
}

// AssignedAddress is an address that an interface was given.
type AssignedAddress struct {
	PrivateIpAddress *string
}

func assignAddresses(t *tx, in *assignAddressesInput) (*assignAddressesOutput, error) {
	if in.Ipv4PrefixCount != nil || len(in.Ipv4Prefixes) > 0 {
		return nil, unsupported("batchbox's network interfaces have addresses, not prefixes.")
	}
	n, err := find[networkInterface](t, &kindInterface, in.NetworkInterfaceId, "networkInterfaceId")
	if err != nil {
		return nil, err
	}
	s, err := find[subnet](t, &kindSubnet, &n.Subnet, "subnetId")
	if err != nil {
		return nil, err
	}
	free, err := t.freeAddresses(s)
	if err != nil {
		return nil, err
	}
	wanted := in.PrivateIpAddresses
	if in.SecondaryPrivateIpAddressCount != nil {
		wanted = append(wanted, make([]string, max(0, *in.SecondaryPrivateIpAddressCount))...)
	}
	if len(wanted) == 0 {
		return nil, missing("privateIpAddress")
	}
	given, err := free.take(wanted)
	if err != nil {
		return nil, err
	}
	n.IPs = append(n.IPs, given...)
	out := &assignAddressesOutput{NetworkInterfaceId: ptr(n.ID), Return: ptr(true)}
	for _, ip := range given {
		out.AssignedPrivateIpAddresses = append(out.AssignedPrivateIpAddresses, AssignedAddress{ptr(ip)})
	}
	return out, t.put(&kindInterface, n)
}

type unassignAddressesInput struct {
	Ipv4Prefixes       []nothing `ec2:"Ipv4Prefix"`
	NetworkInterfaceId *string
	PrivateIpAddresses []string `ec2:"PrivateIpAddress"`
}

func unassignAddresses(t *tx, in *unassignAddressesInput) (*done, error) {
	n, err := find[networkInterface](t, &kindInterface, in.NetworkInterfaceId, "networkInterfaceId")
	if err != nil {
		return nil, err
	}
	if len(in.PrivateIpAddresses) == 0 {
		return nil, missing("privateIpAddress")
	}
	for _, ip := range in.PrivateIpAddresses {
		i := slices.Index(n.IPs, ip)
		if i <= 0 { // the primary address stays. unverified texts
			return nil, invalid("Some of the addresses %s are not secondary addresses of interface %s", quote(in.PrivateIpAddresses), n.ID)
		}
		n.IPs = slices.Delete(n.IPs, i, i+1)
	}
	return succeed(), t.put(&kindInterface, n)
}

type interfaceInput struct {
	DryRun             *bool
	NetworkInterfaceId *string
}

func deleteInterface(t *tx, in *interfaceInput) (*done, error) {
	n, err := find[networkInterface](t, &kindInterface, in.NetworkInterfaceId, "networkInterfaceId")
	if err != nil {
		return nil, err
	}
	return succeed(), t.delete(&kindInterface, n)
}

type describeInterfacesInput struct {
	DryRun              *bool
	Filters             []Filter `ec2:"Filter"`
	MaxResults          *int32
	NetworkInterfaceIds []string `ec2:"NetworkInterfaceId"`
	NextToken           *string
}

type describeInterfacesOutput struct {
	NetworkInterfaces []NetworkInterface `awswire:"networkInterfaceSet"`
	NextToken         *string
}

func describeInterfaces(t *tx, in *describeInterfacesInput) (*describeInterfacesOutput, error) {
	interfaces, err := all[networkInterface](t, &kindInterface)
	if err != nil {
		return nil, err
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, g := range groups {
		names[g.ID] = g.Name
	}
	var list []NetworkInterface
	for _, n := range interfaces {
		s, err := find[subnet](t, &kindSubnet, &n.Subnet, "subnetId")
		if err != nil {
			return nil, err
		}
		list = append(list, n.show(t, s, names))
	}
	if list, err = pick(list, in.NetworkInterfaceIds, &kindInterface, interfaceLook.key); err != nil {
		return nil, err
	}
	list, next, err := interfaceLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeInterfacesOutput{NetworkInterfaces: list, NextToken: next}, err
}
