package ec2

import (
	"context"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// What every region of an account has from the start: a default VPC with two subnets, an internet gateway, and the route
// table, network ACL, DHCP options and security group of a VPC
// (https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html). It is written down on the first call, so
// that it can be changed and deleted like everything else.

// kindSettled holds one document that says that this was done.
const kindSettled = "ec2-settled"

// settle sees to it that a partition has what it has from the start.
func (a *api) settle(ctx context.Context, p batch.Partition) error {
	settled := false
	if err := a.docs.View(ctx, func(r store.Reader) (err error) {
		settled, err = (&tx{Partition: p, a: a, r: r}).settled()
		return err
	}); err != nil || settled {
		return err
	}
	return a.docs.Update(ctx, func(w store.Writer) error { return (&tx{Partition: p, a: a, r: w, w: w}).settle() })
}

func (t *tx) settled() (bool, error) {
	var since int64
	return t.r.Get(t.Partition, kindSettled, "", &since)
}

func (t *tx) settle() error {
	if settled, err := t.settled(); err != nil || settled {
		return err
	}
	if err := t.w.Put(t.Partition, kindSettled, "", t.a.now().UnixMilli()); err != nil {
		return err
	}
	if _, err := t.makeDefaultVPC(t.firstID); err != nil {
		return err
	}
	return nil
}

const defaultVPCBlock = "172.31.0.0/16"

// makeDefaultVPC makes a default VPC with all it comes with; id names its parts.
func (t *tx) makeDefaultVPC(id func(prefix, what string) string) (*vpc, error) {
	v := &vpc{
		base: base{ID: id("vpc-", "default")}, Block: defaultVPCBlock, Tenancy: "default", Default: true, DNSSupport: true, DNSHostnames: true,
		Association: id("vpc-cidr-assoc-", "default"),
	}
	igw := &gateway{base: base{ID: id("igw-", "default")}, VPC: v.ID}
	for i, zone := range zones(t.Region)[:2] {
		s := &subnet{
			base: base{ID: id("subnet-", zone)}, VPC: v.ID, Block: []string{"172.31.0.0/20", "172.31.16.0/20"}[i], Zone: zone, DefaultForZone: true, PublicIP: true,
			ACLAssociation: id("aclassoc-", zone),
		}
		if err := t.put(&kindSubnet, s); err != nil {
			return nil, err
		}
	}
	if err := t.put(&kindGateway, igw); err != nil {
		return nil, err
	}
	return v, t.makeVPC(v, id, route{Destination: "0.0.0.0/0", Gateway: igw.ID, Origin: "CreateRoute"})
}

// makeVPC stores a VPC and what each one comes with: main route table, network ACL, security group, and the region's DHCP
// options.
func (t *tx) makeVPC(v *vpc, id func(prefix, what string) string, routes ...route) error {
	v.DHCP = t.firstID("dopt-", "default")
	ok, err := t.r.Get(t.Partition, kindDHCP.doc, v.DHCP, &dhcpOptions{})
	if err != nil {
		return err
	}
	if !ok {
		domain := t.Region + ".compute.internal"
		if t.Region == "us-east-1" {
			domain = "ec2.internal"
		}
		if err := t.put(&kindDHCP, &dhcpOptions{base: base{ID: v.DHCP}, Options: []dhcpOption{
			{"domain-name", []string{domain}}, {"domain-name-servers", []string{"AmazonProvidedDNS"}},
		}}); err != nil {
			return err
		}
	}
	table := &routeTable{
		base: base{ID: id("rtb-", "main")}, VPC: v.ID,
		Routes:       append([]route{{Destination: v.Block, Gateway: "local", Origin: "CreateRouteTable"}}, routes...),
		Associations: []association{{ID: id("rtbassoc-", "main"), Main: true}},
	}
	g := &group{base: base{ID: id("sg-", "default")}, Name: "default", Description: "default VPC security group", VPC: v.ID}
	g.Rules = []rule{
		{base: base{ID: id("sgr-", "ingress")}, Protocol: "-1", Group: g.ID, GroupOwner: t.Account},
		{base: base{ID: id("sgr-", "egress")}, Egress: true, Protocol: "-1", IPv4: "0.0.0.0/0"},
	}
	for _, part := range []struct {
		k *kind
		r record
	}{
		{&kindVPC, v}, {&kindTable, table}, {&kindGroup, g}, {&kindACL, &acl{base: base{ID: id("acl-", "default")}, VPC: v.ID, Default: true, Entries: openACL()}},
	} {
		if err := t.put(part.k, part.r); err != nil {
			return err
		}
	}
	return nil
}

// freshIDs makes ids by the way, keeping the first error.
func (t *tx) freshIDs() (id func(prefix, what string) string, failed func() error) {
	var first error
	return func(prefix, _ string) string {
		id, err := t.newID(prefix)
		if first == nil {
			first = err
		}
		return id
	}, func() error { return first }
}

// defaultVPC is nil if it was deleted.
func (t *tx) defaultVPC() (*vpc, error) {
	vpcs, err := all[vpc](t, &kindVPC)
	for _, v := range vpcs {
		if v.Default {
			return v, err
		}
	}
	return nil, err
}
