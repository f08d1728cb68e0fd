package ec2

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) aclOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateNetworkAcl", createACL),
		change(a, "DeleteNetworkAcl", deleteACL),
		view(a, "DescribeNetworkAcls", describeACLs),
		change(a, "CreateNetworkAclEntry", func(t *tx, in *aclEntryInput) (*done, error) { return putACLEntry(t, in, false) }),
		change(a, "ReplaceNetworkAclEntry", func(t *tx, in *aclEntryInput) (*done, error) { return putACLEntry(t, in, true) }),
		change(a, "DeleteNetworkAclEntry", deleteACLEntry),
		change(a, "ReplaceNetworkAclAssociation", replaceACLAssociation),
	}
}

// acl is a network ACL. Its JSON is how the store keeps it; which subnets are under it, the subnets say.
type acl struct {
	base
	VPC     string     `json:"vpcId"`
	Default bool       `json:"default,omitempty"`
	Entries []ACLEntry `json:"entries"` // by direction and number, without the last, which denies the rest
}

// openACL are the entries that let everything pass, as the ACL has that every VPC comes with.
func openACL() []ACLEntry {
	var entries []ACLEntry
	for _, egress := range []bool{true, false} {
		entries = append(entries, ACLEntry{CidrBlock: ptr("0.0.0.0/0"), Egress: ptr(egress), Protocol: ptr("-1"), RuleAction: ptr("allow"), RuleNumber: ptr(int32(100))})
	}
	return entries
}

// lastEntry is the number of the entry that denies what no other one has let pass.
const lastEntry = 32767

// NetworkACL is a network ACL as it is shown.
type NetworkACL struct {
	Associations []ACLAssociation `awswire:"associationSet"`
	Entries      []ACLEntry       `awswire:"entrySet"`
	IsDefault    *bool            `awswire:"default"`
	NetworkAclId *string
	OwnerId      *string
	Tags         []Tag `awswire:"tagSet"`
	VpcId        *string
}

// ACLAssociation is a subnet under a network ACL.
type ACLAssociation struct {
	NetworkAclAssociationId *string
	NetworkAclId            *string
	SubnetId                *string
}

// ACLEntry is a rule of a network ACL. It is kept and shown as it is; the protocol is a number, -1 for all.
type ACLEntry struct {
	CidrBlock     *string   `json:",omitempty"`
	Egress        *bool     `json:",omitempty"`
	IcmpTypeCode  *ICMPType `json:",omitempty"`
	Ipv6CidrBlock *string   `json:",omitempty"`
	PortRange     *Ports    `json:",omitempty"`
	Protocol      *string   `json:",omitempty"`
	RuleAction    *string   `json:",omitempty"`
	RuleNumber    *int32    `json:",omitempty"`
}

// ICMPType is a type and a code of ICMP, -1 for all.
type ICMPType struct {
	Code *int32
	Type *int32
}

// Ports is a range of ports.
type Ports struct {
	From *int32
	To   *int32
}

func (l *acl) show(t *tx, subnets []*subnet) NetworkACL {
	out := NetworkACL{
		Associations: []ACLAssociation{}, IsDefault: ptr(l.Default), NetworkAclId: ptr(l.ID), OwnerId: ptr(t.Account), Tags: l.Tags, VpcId: ptr(l.VPC),
	}
	for _, egress := range []bool{true, false} {
		for _, e := range l.Entries {
			if *e.Egress == egress {
				out.Entries = append(out.Entries, e)
			}
		}
		out.Entries = append(out.Entries, ACLEntry{
			CidrBlock: ptr("0.0.0.0/0"), Egress: ptr(egress), Protocol: ptr("-1"), RuleAction: ptr("deny"), RuleNumber: ptr(int32(lastEntry)),
		})
	}
	for _, s := range subnets {
		if s.VPC == l.VPC && (s.ACL == l.ID || s.ACL == "" && l.Default) {
			out.Associations = append(out.Associations, ACLAssociation{NetworkAclAssociationId: ptr(s.ACLAssociation), NetworkAclId: ptr(l.ID), SubnetId: ptr(s.ID)})
		}
	}
	return out
}

var aclLook = look[NetworkACL]{
	filters: map[string]func(*NetworkACL) []string{
		"default":        func(l *NetworkACL) []string { return flag(l.IsDefault) },
		"network-acl-id": func(l *NetworkACL) []string { return one(l.NetworkAclId) },
		"owner-id":       func(l *NetworkACL) []string { return one(l.OwnerId) },
		"vpc-id":         func(l *NetworkACL) []string { return one(l.VpcId) },
		"association.association-id": func(l *NetworkACL) []string {
			return each(l.Associations, func(a *ACLAssociation) *string { return a.NetworkAclAssociationId })
		},
		"association.network-acl-id": func(l *NetworkACL) []string {
			return each(l.Associations, func(a *ACLAssociation) *string { return a.NetworkAclId })
		},
		"association.subnet-id": func(l *NetworkACL) []string {
			return each(l.Associations, func(a *ACLAssociation) *string { return a.SubnetId })
		},
		"entry.cidr": func(l *NetworkACL) []string { return each(l.Entries, func(e *ACLEntry) *string { return e.CidrBlock }) },
		"entry.ipv6-cidr": func(l *NetworkACL) []string {
			return each(l.Entries, func(e *ACLEntry) *string { return e.Ipv6CidrBlock })
		},
		"entry.egress": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				values = append(values, flag(e.Egress)...)
			}
			return values
		},
		"entry.icmp.code": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				if e.IcmpTypeCode != nil {
					values = append(values, number(e.IcmpTypeCode.Code)...)
				}
			}
			return values
		},
		"entry.icmp.type": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				if e.IcmpTypeCode != nil {
					values = append(values, number(e.IcmpTypeCode.Type)...)
				}
			}
			return values
		},
		"entry.port-range.from": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				if e.PortRange != nil {
					values = append(values, number(e.PortRange.From)...)
				}
			}
			return values
		},
		"entry.port-range.to": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				if e.PortRange != nil {
					values = append(values, number(e.PortRange.To)...)
				}
			}
			return values
		},
		"entry.protocol": func(l *NetworkACL) []string { return each(l.Entries, func(e *ACLEntry) *string { return e.Protocol }) },
		"entry.rule-action": func(l *NetworkACL) []string {
			return each(l.Entries, func(e *ACLEntry) *string { return e.RuleAction })
		},
		"entry.rule-number": func(l *NetworkACL) (values []string) {
			for _, e := range l.Entries {
				values = append(values, number(e.RuleNumber)...)
			}
			return values
		},
	},
	tags: func(l *NetworkACL) []Tag { return l.Tags },
	key:  func(l *NetworkACL) string { return *l.NetworkAclId },
}

type createACLInput struct {
	DryRun            *bool
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
	VpcId             *string
}

type createACLOutput struct {
	NetworkAcl *NetworkACL
}

// createACL makes a network ACL without subnets that lets nothing pass.
func createACL(t *tx, in *createACLInput) (*createACLOutput, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "vpcId")
	if err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, kindACL.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindACL.prefix)
	if err != nil {
		return nil, err
	}
	l := &acl{base: base{id, tags}, VPC: v.ID}
	return &createACLOutput{NetworkAcl: ptr(l.show(t, nil))}, t.put(&kindACL, l)
}

type aclInput struct {
	DryRun       *bool
	NetworkAclId *string
}

func deleteACL(t *tx, in *aclInput) (*done, error) {
	l, err := find[acl](t, &kindACL, in.NetworkAclId, "networkAclId")
	if err != nil {
		return nil, err
	}
	if l.Default {
		return nil, invalid("cannot delete default network ACL %s", l.ID)
	}
	subnets, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(subnets, func(s *subnet) bool { return s.ACL == l.ID }) {
		return nil, refuse("DependencyViolation", "The networkAcl '%s' has dependencies and cannot be deleted.", l.ID)
	}
	return succeed(), t.delete(&kindACL, l)
}

type describeACLsInput struct {
	DryRun        *bool
	Filters       []Filter `ec2:"Filter"`
	MaxResults    *int32
	NetworkAclIds []string `ec2:"NetworkAclId"`
	NextToken     *string
}

type describeACLsOutput struct {
	NetworkAcls []NetworkACL `awswire:"networkAclSet"`
	NextToken   *string
}

func describeACLs(t *tx, in *describeACLsInput) (*describeACLsOutput, error) {
	acls, err := all[acl](t, &kindACL)
	if err != nil {
		return nil, err
	}
	subnets, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	var list []NetworkACL
	for _, l := range acls {
		list = append(list, l.show(t, subnets))
	}
	if list, err = pick(list, in.NetworkAclIds, &kindACL, aclLook.key); err != nil {
		return nil, err
	}
	list, next, err := aclLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeACLsOutput{NetworkAcls: list, NextToken: next}, err
}

type aclEntryInput struct {
	CidrBlock     *string
	DryRun        *bool
	Egress        *bool
	IcmpTypeCode  *ICMPType `ec2:"Icmp"`
	Ipv6CidrBlock *string
	NetworkAclId  *string
	PortRange     *Ports
	Protocol      *string
	RuleAction    *string
	RuleNumber    *int32
}

// entry checks an entry of a network ACL.
func (in *aclEntryInput) entry() (ACLEntry, error) {
	e := ACLEntry{Egress: ptr(in.Egress != nil && *in.Egress), RuleAction: in.RuleAction, RuleNumber: in.RuleNumber}
	switch {
	case in.RuleNumber == nil:
		return e, missing("ruleNumber")
	case *in.RuleNumber < 1 || *in.RuleNumber >= lastEntry:
		return e, invalid("Value (%d) for parameter ruleNumber is invalid. The rule number must be between 1 and 32766.", *in.RuleNumber) // unverified text
	case in.Protocol == nil:
		return e, missing("protocol")
	case str(in.RuleAction) != "allow" && str(in.RuleAction) != "deny":
		return e, invalid("Value (%s) for parameter ruleAction is invalid.", str(in.RuleAction))
	}
	protocol := *in.Protocol
	if named, ok := map[string]string{"all": "-1", "tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58"}[protocol]; ok {
		protocol = named
	}
	if n, err := strconv.Atoi(protocol); err != nil || n < -1 || n > 255 {
		return e, invalid("Invalid value '%s' for IP protocol. Unknown protocol.", *in.Protocol)
	}
	e.Protocol = &protocol
	for _, b := range []struct {
		given *string
		kept  **string
		v4    bool
	}{{in.CidrBlock, &e.CidrBlock, true}, {in.Ipv6CidrBlock, &e.Ipv6CidrBlock, false}} {
		if b.given == nil {
			continue
		}
		p, err := netip.ParsePrefix(*b.given)
		if err != nil || p.Addr().Is4() != b.v4 {
			return e, invalid("CIDR block %s is malformed", *b.given)
		}
		*b.kept = ptr(p.Masked().String())
	}
	if (e.CidrBlock == nil) == (e.Ipv6CidrBlock == nil) {
		return e, missing("cidrBlock")
	}
	switch protocol {
	case "6", "17":
		if in.PortRange == nil || in.PortRange.From == nil || in.PortRange.To == nil {
			return e, missing("portRange")
		}
		if *in.PortRange.From < 0 || *in.PortRange.To > 65535 || *in.PortRange.From > *in.PortRange.To {
			return e, invalid("Invalid port range '%d - %d'.", *in.PortRange.From, *in.PortRange.To) // unverified text
		}
		e.PortRange = in.PortRange
	case "1", "58":
		if in.IcmpTypeCode == nil {
			return e, missing("icmpTypeCode")
		}
		e.IcmpTypeCode = in.IcmpTypeCode
	}
	return e, nil
}

// entry finds an entry by direction and number.
func (l *acl) entry(egress *bool, number *int32) int {
	return slices.IndexFunc(l.Entries, func(e ACLEntry) bool {
		return *e.Egress == (egress != nil && *egress) && number != nil && *e.RuleNumber == *number
	})
}

func putACLEntry(t *tx, in *aclEntryInput, replace bool) (*done, error) {
	l, err := find[acl](t, &kindACL, in.NetworkAclId, "networkAclId")
	if err != nil {
		return nil, err
	}
	e, err := in.entry()
	if err != nil {
		return nil, err
	}
	i := l.entry(in.Egress, in.RuleNumber)
	switch {
	case i < 0 && replace:
		return nil, noSuchEntry(l, in.RuleNumber)
	case i >= 0 && !replace:
		return nil, refuse("NetworkAclEntryAlreadyExists", "The network acl entry identified by %d already exists.", *in.RuleNumber)
	case replace:
		l.Entries[i] = e
	default:
		l.Entries = append(l.Entries, e)
		slices.SortStableFunc(l.Entries, func(a, b ACLEntry) int { return cmp.Compare(*a.RuleNumber, *b.RuleNumber) })
	}
	return succeed(), t.put(&kindACL, l)
}

func noSuchEntry(l *acl, number *int32) error {
	if number == nil {
		return missing("ruleNumber")
	}
	return refuse("InvalidNetworkAclEntry.NotFound", "The network acl entry identified by %d does not exist in the network acl %s.", *number, l.ID)
}

func deleteACLEntry(t *tx, in *aclEntryInput) (*done, error) {
	l, err := find[acl](t, &kindACL, in.NetworkAclId, "networkAclId")
	if err != nil {
		return nil, err
	}
	i := l.entry(in.Egress, in.RuleNumber)
	if i < 0 {
		return nil, noSuchEntry(l, in.RuleNumber)
	}
	l.Entries = slices.Delete(l.Entries, i, i+1)
	return succeed(), t.put(&kindACL, l)
}

type replaceACLAssociationInput struct {
	AssociationId *string
	DryRun        *bool
	NetworkAclId  *string
}

type replaceACLAssociationOutput struct {
	NewAssociationId *string
}

// replaceACLAssociation puts a subnet under another network ACL.
func replaceACLAssociation(t *tx, in *replaceACLAssociationInput) (*replaceACLAssociationOutput, error) {
	l, err := find[acl](t, &kindACL, in.NetworkAclId, "networkAclId")
	if err != nil {
		return nil, err
	}
	subnets, err := all[subnet](t, &kindSubnet)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(subnets, func(s *subnet) bool { return s.ACLAssociation == str(in.AssociationId) })
	if i < 0 {
		return nil, refuse("InvalidAssociationID.NotFound", "The association ID '%s' does not exist", str(in.AssociationId))
	}
	s := subnets[i]
	if s.VPC != l.VPC {
		return nil, invalid("Network ACL %s and subnet %s belong to different networks", l.ID, s.ID) // unverified text
	}
	if s.ACL = l.ID; l.Default {
		s.ACL = ""
	}
	if s.ACLAssociation, err = t.newID("aclassoc-"); err != nil {
		return nil, err
	}
	return &replaceACLAssociationOutput{NewAssociationId: ptr(s.ACLAssociation)}, t.put(&kindSubnet, s)
}
