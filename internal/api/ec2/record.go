package ec2

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// base is what every stored resource has.
type base struct {
	ID   string `json:"id"`
	Tags []Tag  `json:"tags,omitempty"`
}

func (b *base) head() *base { return b }

// record is a stored resource.
type record interface{ head() *base }

// kind is a type of resources.
type kind struct {
	doc    string // the kind of its documents
	prefix string // of its ids
	typ    string // its resource type in tags
	// code and noun make the error of an id that does not exist: "InvalidVpcID", "vpc ID".
	code, noun string
	make       func() record
}

var (
	kindVPC       = kind{"ec2-vpc", "vpc-", "vpc", "InvalidVpcID", "vpc ID", func() record { return &vpc{} }}
	kindSubnet    = kind{"ec2-subnet", "subnet-", "subnet", "InvalidSubnetID", "subnet ID", func() record { return &subnet{} }}
	kindGateway   = kind{"ec2-internet-gateway", "igw-", "internet-gateway", "InvalidInternetGatewayID", "internetGateway ID", func() record { return &gateway{} }}
	kindTable     = kind{"ec2-route-table", "rtb-", "route-table", "InvalidRouteTableID", "routeTable ID", func() record { return &routeTable{} }}
	kindACL       = kind{"ec2-network-acl", "acl-", "network-acl", "InvalidNetworkAclID", "networkAcl ID", func() record { return &acl{} }}
	kindDHCP      = kind{"ec2-dhcp-options", "dopt-", "dhcp-options", "InvalidDhcpOptionID", "dhcpOption ID", func() record { return &dhcpOptions{} }}
	kindGroup     = kind{"ec2-security-group", "sg-", "security-group", "InvalidGroup", "security group", func() record { return &group{} }}
	kindKey       = kind{"ec2-key-pair", "key-", "key-pair", "InvalidKeyPair", "key pair", func() record { return &keyPair{} }}
	kindTemplate  = kind{"ec2-launch-template", "lt-", "launch-template", "InvalidLaunchTemplateId", "launch template", func() record { return &template{} }}
	kindAddress   = kind{"ec2-address", "eipalloc-", "elastic-ip", "InvalidAllocationID", "allocation ID", func() record { return &address{} }}
	kindNAT       = kind{"ec2-nat-gateway", "nat-", "natgateway", "NatGateway", "NAT gateway", func() record { return &natGateway{} }}
	kindEndpoint  = kind{"ec2-vpc-endpoint", "vpce-", "vpc-endpoint", "InvalidVpcEndpointId", "Vpc Endpoint Id", func() record { return &endpoint{} }}
	kindInterface = kind{"ec2-network-interface", "eni-", "network-interface", "InvalidNetworkInterfaceID", "networkInterface ID", func() record { return &networkInterface{} }}
	kindPlacement = kind{"ec2-placement-group", "pg-", "placement-group", "InvalidPlacementGroup", "Placement Group", func() record { return &placementGroup{} }}
)

// kinds are all types of resources whose documents are found by id. Rules of security groups have ids and tags as well,
// and live in their group.
var kinds = []kind{
	kindVPC, kindSubnet, kindGateway, kindTable, kindACL, kindDHCP, kindGroup, kindKey, kindTemplate, kindPlacement, kindAddress, kindNAT, kindEndpoint,
	kindInterface,
}

// unknown is the error of an id that does not exist.
func (k *kind) unknown(id string) error {
	if k.prefix == kindNAT.prefix {
		return refuse("NatGatewayNotFound", "The NAT gateway '%s' was not found", id)
	}
	return refuse(k.code+".NotFound", "The %s '%s' does not exist", k.noun, id)
}

// malformed is the error of what can not be an id.
func (k *kind) malformed(id string) error {
	if k.prefix == kindNAT.prefix {
		return refuse("NatGatewayMalformed", "The NatGateway ID '%s' is malformed", id)
	}
	return refuse(k.code+".Malformed", `Invalid id: "%s" (expecting "%s...")`, id, k.prefix)
}

// find finds a resource by an id that the caller gave.
func find[T any, P interface {
	*T
	record
}](t *tx, k *kind, id *string, parameter string) (P, error) {
	if id == nil {
		return nil, missing(parameter)
	}
	if !strings.HasPrefix(*id, k.prefix) {
		return nil, k.malformed(*id)
	}
	var r P = new(T)
	ok, err := t.r.Get(t.Partition, k.doc, *id, r)
	if err == nil && !ok {
		err = k.unknown(*id)
	}
	return r, err
}

// all gives every resource of a kind, by id.
func all[T any, P interface {
	*T
	record
}](t *tx, k *kind) (list []P, err error) {
	err = t.r.List(t.Partition, k.doc, "", func(key string, raw []byte) (bool, error) {
		var r P = new(T)
		if err := json.Unmarshal(raw, r); err != nil {
			return false, fmt.Errorf("%s %s: %w", k.doc, key, err)
		}
		list = append(list, r)
		return true, nil
	})
	return list, err
}

func (t *tx) put(k *kind, r record) error {
	return t.w.Put(t.Partition, k.doc, r.head().ID, r)
}

func (t *tx) delete(k *kind, r record) error {
	_, err := t.w.Delete(t.Partition, k.doc, r.head().ID)
	return err
}

// newID makes an id as EC2 forms them: seventeen hexadecimal digits, the first of them 0.
func (t *tx) newID(prefix string) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(t.a.random, b[:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return prefix + "0" + hex.EncodeToString(b[:]), nil
}

// firstID is the id of something that is there from the start: always the same in one account and region.
func (t *tx) firstID(prefix, what string) string {
	sum := sha256.Sum256([]byte(t.Account + "/" + t.Region + "/" + what))
	return prefix + "0" + hex.EncodeToString(sum[:8])
}
