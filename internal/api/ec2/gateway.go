package ec2

import (
	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) gatewayOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateInternetGateway", createGateway),
		change(a, "AttachInternetGateway", attachGateway),
		change(a, "DetachInternetGateway", detachGateway),
		change(a, "DeleteInternetGateway", deleteGateway),
		view(a, "DescribeInternetGateways", describeGateways),
	}
}

// gateway is an internet gateway. Its JSON is how the store keeps it.
type gateway struct {
	base
	VPC string `json:"vpcId,omitempty"` // "" while it is not attached
}

// InternetGateway is an internet gateway as it is shown.
type InternetGateway struct {
	Attachments       []GatewayAttachment `awswire:"attachmentSet"`
	InternetGatewayId *string
	OwnerId           *string
	Tags              []Tag `awswire:"tagSet"`
}

// GatewayAttachment is the VPC of an internet gateway.
type GatewayAttachment struct {
	State *string
	VpcId *string
}

func (g *gateway) show(t *tx) InternetGateway {
	out := InternetGateway{Attachments: []GatewayAttachment{}, InternetGatewayId: ptr(g.ID), OwnerId: ptr(t.Account), Tags: g.Tags}
	if g.VPC != "" {
		out.Attachments = append(out.Attachments, GatewayAttachment{State: ptr("available"), VpcId: ptr(g.VPC)})
	}
	return out
}

var gatewayLook = look[InternetGateway]{
	filters: map[string]func(*InternetGateway) []string{
		"attachment.state": func(g *InternetGateway) []string {
			return each(g.Attachments, func(a *GatewayAttachment) *string { return a.State })
		},
		"attachment.vpc-id": func(g *InternetGateway) []string {
			return each(g.Attachments, func(a *GatewayAttachment) *string { return a.VpcId })
		},
		"internet-gateway-id": func(g *InternetGateway) []string { return one(g.InternetGatewayId) },
		"owner-id":            func(g *InternetGateway) []string { return one(g.OwnerId) },
	},
	tags: func(g *InternetGateway) []Tag { return g.Tags },
	key:  func(g *InternetGateway) string { return *g.InternetGatewayId },
}

type createGatewayInput struct {
	DryRun            *bool
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
}

type createGatewayOutput struct {
	InternetGateway *InternetGateway
}

func createGateway(t *tx, in *createGatewayInput) (*createGatewayOutput, error) {
	tags, err := specified(in.TagSpecifications, kindGateway.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindGateway.prefix)
	if err != nil {
		return nil, err
	}
	g := &gateway{base: base{id, tags}}
	return &createGatewayOutput{InternetGateway: ptr(g.show(t))}, t.put(&kindGateway, g)
}

type gatewayInput struct {
	DryRun            *bool
	InternetGatewayId *string
	VpcId             *string
}

func attachGateway(t *tx, in *gatewayInput) (*done, error) {
	g, err := find[gateway](t, &kindGateway, in.InternetGatewayId, "internetGatewayId")
	if err != nil {
		return nil, err
	}
	v, err := find[vpc](t, &kindVPC, in.VpcId, "vpcId")
	if err != nil {
		return nil, err
	}
	if g.VPC != "" {
		return nil, refuse("Resource.AlreadyAssociated", "resource %s is already attached to network %s", g.ID, g.VPC)
	}
	others, err := all[gateway](t, &kindGateway)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if o.VPC == v.ID {
			return nil, invalid("Network %s already has an internet gateway attached", v.ID)
		}
	}
	g.VPC = v.ID
	return succeed(), t.put(&kindGateway, g)
}

func detachGateway(t *tx, in *gatewayInput) (*done, error) {
	g, err := find[gateway](t, &kindGateway, in.InternetGatewayId, "internetGatewayId")
	if err != nil {
		return nil, err
	}
	v, err := find[vpc](t, &kindVPC, in.VpcId, "vpcId")
	if err != nil {
		return nil, err
	}
	if g.VPC != v.ID {
		return nil, refuse("Gateway.NotAttached", "resource %s is not attached to network %s", g.ID, v.ID)
	}
	g.VPC = ""
	return succeed(), t.put(&kindGateway, g)
}

func deleteGateway(t *tx, in *gatewayInput) (*done, error) {
	g, err := find[gateway](t, &kindGateway, in.InternetGatewayId, "internetGatewayId")
	if err != nil {
		return nil, err
	}
	if g.VPC != "" {
		return nil, refuse("DependencyViolation", "The internetGateway '%s' has dependencies and cannot be deleted.", g.ID)
	}
	return succeed(), t.delete(&kindGateway, g)
}

type describeGatewaysInput struct {
	DryRun             *bool
	Filters            []Filter `ec2:"Filter"`
	InternetGatewayIds []string `ec2:"InternetGatewayId"`
	MaxResults         *int32
	NextToken          *string
}

type describeGatewaysOutput struct {
	InternetGateways []InternetGateway `awswire:"internetGatewaySet"`
	NextToken        *string
}

func describeGateways(t *tx, in *describeGatewaysInput) (*describeGatewaysOutput, error) {
	gateways, err := all[gateway](t, &kindGateway)
	if err != nil {
		return nil, err
	}
	var list []InternetGateway
	for _, g := range gateways {
		list = append(list, g.show(t))
	}
	if list, err = pick(list, in.InternetGatewayIds, &kindGateway, gatewayLook.key); err != nil {
		return nil, err
	}
	list, next, err := gatewayLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeGatewaysOutput{InternetGateways: list, NextToken: next}, err
}
