package ec2

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) routeOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateRouteTable", createTable),
		change(a, "DeleteRouteTable", deleteTable),
		view(a, "DescribeRouteTables", describeTables),
		change(a, "AssociateRouteTable", associateTable),
		change(a, "DisassociateRouteTable", disassociateTable),
		change(a, "ReplaceRouteTableAssociation", replaceTableAssociation),
		change(a, "CreateRoute", createRoute),
		change(a, "ReplaceRoute", replaceRoute),
		change(a, "DeleteRoute", deleteRoute),
	}
}

// routeTable is a route table. Its JSON is how the store keeps it.
type routeTable struct {
	base
	VPC          string        `json:"vpcId"`
	Routes       []route       `json:"routes"`
	Associations []association `json:"associations,omitempty"`
}

type route struct {
	Destination string `json:"destination"` // an address block, IPv4 or IPv6
	Gateway     string `json:"gatewayId"`   // "local", or the id of an internet or a NAT gateway
	Origin      string `json:"origin"`
}

type association struct {
	ID     string `json:"id"`
	Subnet string `json:"subnetId,omitempty"` // "" for the main association
	Main   bool   `json:"main,omitempty"`
}

func (r *routeTable) main() bool {
	return slices.ContainsFunc(r.Associations, func(a association) bool { return a.Main })
}

// RouteTable is a route table as it is shown.
type RouteTable struct {
	Associations    []TableAssociation `awswire:"associationSet"`
	OwnerId         *string
	PropagatingVgws []Tag `awswire:"propagatingVgwSet"` // there are none
	RouteTableId    *string
	Routes          []Route `awswire:"routeSet"`
	Tags            []Tag   `awswire:"tagSet"`
	VpcId           *string
}

// Route is a route as it is shown.
type Route struct {
	DestinationCidrBlock     *string
	DestinationIpv6CidrBlock *string
	DestinationPrefixListId  *string
	GatewayId                *string
	NatGatewayId             *string
	Origin                   *string
	State                    *string
}

// TableAssociation is a subnet of a route table, or that it is the main one.
type TableAssociation struct {
	AssociationState        *AssociationState
	Main                    *bool
	RouteTableAssociationId *string
	RouteTableId            *string
	SubnetId                *string
}

// AssociationState is the state of one.
type AssociationState struct {
	State *string
}

// targets are what routes of a region can lead to.
type targets struct {
	gateways  []*gateway
	nats      []*natGateway
	endpoints []*endpoint
}

func (t *tx) targets() (to targets, err error) {
	if to.gateways, err = all[gateway](t, &kindGateway); err != nil {
		return to, err
	}
	if to.nats, err = all[natGateway](t, &kindNAT); err != nil {
		return to, err
	}
	to.endpoints, err = all[endpoint](t, &kindEndpoint)
	return to, err
}

// show is a route table given what there is: a route to a gateway that is gone, or not attached to the VPC, leads nowhere.
// The gateway endpoints of a table are routes of it.
func (r *routeTable) show(t *tx, to targets) RouteTable {
	out := RouteTable{
		Associations: []TableAssociation{}, OwnerId: ptr(t.Account), PropagatingVgws: []Tag{}, RouteTableId: ptr(r.ID), Routes: []Route{}, Tags: r.Tags, VpcId: ptr(r.VPC),
	}
	for _, a := range r.Associations {
		out.Associations = append(out.Associations, TableAssociation{
			AssociationState: &AssociationState{ptr("associated")}, Main: ptr(a.Main), RouteTableAssociationId: ptr(a.ID), RouteTableId: ptr(r.ID), SubnetId: optional(a.Subnet),
		})
	}
	for _, one := range r.Routes {
		shown := Route{Origin: ptr(one.Origin), State: ptr("blackhole")}
		if strings.HasPrefix(one.Gateway, kindNAT.prefix) {
			shown.NatGatewayId = ptr(one.Gateway)
		} else {
			shown.GatewayId = ptr(one.Gateway)
		}
		if one.Gateway == "local" || slices.ContainsFunc(to.gateways, func(g *gateway) bool { return g.ID == one.Gateway && g.VPC == r.VPC }) ||
			slices.ContainsFunc(to.nats, func(n *natGateway) bool { return n.ID == one.Gateway }) {
			shown.State = ptr("active")
		}
		if strings.Contains(one.Destination, ":") {
			shown.DestinationIpv6CidrBlock = ptr(one.Destination)
		} else {
			shown.DestinationCidrBlock = ptr(one.Destination)
		}
		out.Routes = append(out.Routes, shown)
	}
	for _, e := range to.endpoints {
		if slices.Contains(e.Tables, r.ID) {
			out.Routes = append(out.Routes, Route{
				DestinationPrefixListId: ptr(t.prefixList(e.Service)), GatewayId: ptr(e.ID), Origin: ptr("CreateRoute"), State: ptr("active"),
			})
		}
	}
	return out
}

var tableLook = look[RouteTable]{
	filters: map[string]func(*RouteTable) []string{
		"association.main": func(r *RouteTable) (values []string) {
			for _, a := range r.Associations {
				values = append(values, flag(a.Main)...)
			}
			return values
		},
		"association.gateway-id": func(*RouteTable) []string { return nil },
		"association.route-table-association-id": func(r *RouteTable) []string {
			return each(r.Associations, func(a *TableAssociation) *string { return a.RouteTableAssociationId })
		},
		"association.route-table-id": func(r *RouteTable) []string {
			return each(r.Associations, func(a *TableAssociation) *string { return a.RouteTableId })
		},
		"association.subnet-id": func(r *RouteTable) []string {
			return each(r.Associations, func(a *TableAssociation) *string { return a.SubnetId })
		},
		"owner-id":       func(r *RouteTable) []string { return one(r.OwnerId) },
		"route-table-id": func(r *RouteTable) []string { return one(r.RouteTableId) },
		"vpc-id":         func(r *RouteTable) []string { return one(r.VpcId) },
		"route.destination-cidr-block": func(r *RouteTable) []string {
			return each(r.Routes, func(o *Route) *string { return o.DestinationCidrBlock })
		},
		"route.destination-ipv6-cidr-block": func(r *RouteTable) []string {
			return each(r.Routes, func(o *Route) *string { return o.DestinationIpv6CidrBlock })
		},
		"route.gateway-id": func(r *RouteTable) []string { return each(r.Routes, func(o *Route) *string { return o.GatewayId }) },
		"route.origin":     func(r *RouteTable) []string { return each(r.Routes, func(o *Route) *string { return o.Origin }) },
		"route.state":      func(r *RouteTable) []string { return each(r.Routes, func(o *Route) *string { return o.State }) },
		"route.nat-gateway-id": func(r *RouteTable) []string {
			return each(r.Routes, func(o *Route) *string { return o.NatGatewayId })
		},
		"route.destination-prefix-list-id": func(r *RouteTable) []string {
			return each(r.Routes, func(o *Route) *string { return o.DestinationPrefixListId })
		},
		// Targets that do not exist here.
		"route.instance-id":                          func(*RouteTable) []string { return nil },
		"route.transit-gateway-id":                   func(*RouteTable) []string { return nil },
		"route.vpc-peering-connection-id":            func(*RouteTable) []string { return nil },
		"route.egress-only-internet-gateway-id":      func(*RouteTable) []string { return nil },
		"transit-gateway-id":                         func(*RouteTable) []string { return nil },
		"association.public-ipv4-pool":               func(*RouteTable) []string { return nil },
		"association.gateway-association.gateway-id": func(*RouteTable) []string { return nil },
	},
	tags: func(r *RouteTable) []Tag { return r.Tags },
	key:  func(r *RouteTable) string { return *r.RouteTableId },
}

type createTableInput struct {
	DryRun            *bool
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
	VpcId             *string
}

type createTableOutput struct {
	RouteTable *RouteTable
}

func createTable(t *tx, in *createTableInput) (*createTableOutput, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "vpcId")
	if err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, kindTable.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindTable.prefix)
	if err != nil {
		return nil, err
	}
	r := &routeTable{base: base{id, tags}, VPC: v.ID, Routes: []route{{Destination: v.Block, Gateway: "local", Origin: "CreateRouteTable"}}}
	return &createTableOutput{RouteTable: ptr(r.show(t, targets{}))}, t.put(&kindTable, r)
}

type tableInput struct {
	DryRun       *bool
	RouteTableId *string
}

func deleteTable(t *tx, in *tableInput) (*done, error) {
	r, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	endpoints, err := all[endpoint](t, &kindEndpoint)
	if err != nil {
		return nil, err
	}
	if len(r.Associations) > 0 || slices.ContainsFunc(endpoints, func(e *endpoint) bool { return slices.Contains(e.Tables, r.ID) }) {
		return nil, refuse("DependencyViolation", "The routeTable '%s' has dependencies and cannot be deleted.", r.ID)
	}
	return succeed(), t.delete(&kindTable, r)
}

type describeTablesInput struct {
	DryRun        *bool
	Filters       []Filter `ec2:"Filter"`
	MaxResults    *int32
	NextToken     *string
	RouteTableIds []string `ec2:"RouteTableId"`
}

type describeTablesOutput struct {
	NextToken   *string
	RouteTables []RouteTable `awswire:"routeTableSet"`
}

func describeTables(t *tx, in *describeTablesInput) (*describeTablesOutput, error) {
	tables, err := all[routeTable](t, &kindTable)
	if err != nil {
		return nil, err
	}
	to, err := t.targets()
	if err != nil {
		return nil, err
	}
	var list []RouteTable
	for _, r := range tables {
		list = append(list, r.show(t, to))
	}
	if list, err = pick(list, in.RouteTableIds, &kindTable, tableLook.key); err != nil {
		return nil, err
	}
	list, next, err := tableLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeTablesOutput{NextToken: next, RouteTables: list}, err
}

type associateTableInput struct {
	DryRun         *bool
	GatewayId      *string
	PublicIpv4Pool *string
	RouteTableId   *string
	SubnetId       *string
}

type associateTableOutput struct {
	AssociationId    *string
	AssociationState *AssociationState
}

func associateTable(t *tx, in *associateTableInput) (*associateTableOutput, error) {
	if in.GatewayId != nil || in.PublicIpv4Pool != nil {
		return nil, unsupported("batchbox associates route tables with subnets only.")
	}
	r, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	s, err := find[subnet](t, &kindSubnet, in.SubnetId, "subnetId")
	if err != nil {
		return nil, err
	}
	if s.VPC != r.VPC {
		return nil, invalid("Route table %s and subnet %s belong to different networks", r.ID, s.ID)
	}
	tables, err := all[routeTable](t, &kindTable)
	if err != nil {
		return nil, err
	}
	for _, o := range tables {
		if i := slices.IndexFunc(o.Associations, func(a association) bool { return a.Subnet == s.ID }); i >= 0 {
			if o.ID == r.ID { // as it was
				return &associateTableOutput{AssociationId: ptr(o.Associations[i].ID), AssociationState: &AssociationState{ptr("associated")}}, nil
			}
			return nil, refuse("Resource.AlreadyAssociated", "the specified association for route table %s conflicts with an existing association", r.ID)
		}
	}
	id, err := t.newID("rtbassoc-")
	if err != nil {
		return nil, err
	}
	r.Associations = append(r.Associations, association{ID: id, Subnet: s.ID})
	return &associateTableOutput{AssociationId: ptr(id), AssociationState: &AssociationState{ptr("associated")}}, t.put(&kindTable, r)
}

// associated finds the route table with an association.
func (t *tx) associated(id *string) (*routeTable, int, error) {
	if id == nil {
		return nil, 0, missing("associationId")
	}
	tables, err := all[routeTable](t, &kindTable)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range tables {
		if i := slices.IndexFunc(r.Associations, func(a association) bool { return a.ID == *id }); i >= 0 {
			return r, i, nil
		}
	}
	return nil, 0, refuse("InvalidAssociationID.NotFound", "The association ID '%s' does not exist", *id)
}

type associationInput struct {
	AssociationId *string
	DryRun        *bool
	RouteTableId  *string
}

func disassociateTable(t *tx, in *associationInput) (*done, error) {
	r, i, err := t.associated(in.AssociationId)
	if err != nil {
		return nil, err
	}
	if r.Associations[i].Main {
		return nil, invalid("cannot disassociate the main route table association %s", *in.AssociationId)
	}
	r.Associations = slices.Delete(r.Associations, i, i+1)
	return succeed(), t.put(&kindTable, r)
}

type replaceAssociationOutput struct {
	AssociationState *AssociationState
	NewAssociationId *string
}

// replaceTableAssociation moves an association to another route table, under a new id; that of the main table too.
func replaceTableAssociation(t *tx, in *associationInput) (*replaceAssociationOutput, error) {
	from, i, err := t.associated(in.AssociationId)
	if err != nil {
		return nil, err
	}
	to, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	if from.VPC != to.VPC {
		return nil, invalid("Route table %s and association %s belong to different networks", to.ID, *in.AssociationId) // unverified text
	}
	a := from.Associations[i]
	if a.ID, err = t.newID("rtbassoc-"); err != nil {
		return nil, err
	}
	if from.ID == to.ID {
		to = from
	}
	from.Associations = slices.Delete(from.Associations, i, i+1)
	to.Associations = append(to.Associations, a)
	if err := t.put(&kindTable, from); err != nil {
		return nil, err
	}
	return &replaceAssociationOutput{AssociationState: &AssociationState{ptr("associated")}, NewAssociationId: ptr(a.ID)}, t.put(&kindTable, to)
}

type routeInput struct {
	CarrierGatewayId            *string
	CoreNetworkArn              *string
	DestinationCidrBlock        *string
	DestinationIpv6CidrBlock    *string
	DestinationPrefixListId     *string
	DryRun                      *bool
	EgressOnlyInternetGatewayId *string
	GatewayId                   *string
	InstanceId                  *string
	LocalGatewayId              *string
	LocalTarget                 *bool
	NatGatewayId                *string
	NetworkInterfaceId          *string
	RouteTableId                *string
	TransitGatewayId            *string
	VpcEndpointId               *string
	VpcPeeringConnectionId      *string
}

// destination reads what a route is for, in the form it is kept.
func (in *routeInput) destination() (string, error) {
	var given []*string
	for _, d := range []*string{in.DestinationCidrBlock, in.DestinationIpv6CidrBlock, in.DestinationPrefixListId} {
		if d != nil {
			given = append(given, d)
		}
	}
	switch {
	case len(given) == 0:
		return "", missing("destinationCidrBlock")
	case len(given) > 1: // unverified text
		return "", refuse("InvalidParameterCombination", "Only one destination may be given")
	case in.DestinationPrefixListId != nil:
		return "", refuse("InvalidPrefixListID.NotFound", "The prefixList ID '%s' does not exist", *in.DestinationPrefixListId)
	}
	p, err := netip.ParsePrefix(*given[0])
	if err != nil || p.Addr().Is4() != (in.DestinationCidrBlock != nil) {
		return "", invalid("Value (%s) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.", *given[0])
	}
	return p.Masked().String(), nil
}

// target finds what a route leads to: an internet gateway of the VPC, or a NAT gateway. Everything else that could be named
// does not exist.
func (in *routeInput) target(t *tx, r *routeTable) (string, error) {
	for _, o := range []struct {
		id         *string
		code, noun string
	}{
		{in.InstanceId, "InvalidInstanceID.NotFound", "instance ID"},
		{in.NetworkInterfaceId, "InvalidNetworkInterfaceID.NotFound", "networkInterface ID"},
		{in.TransitGatewayId, "InvalidTransitGatewayID.NotFound", "transitGateway ID"},
		{in.VpcPeeringConnectionId, "InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection ID"},
		{in.EgressOnlyInternetGatewayId, "InvalidEgressOnlyInternetGatewayId.NotFound", "egressOnlyInternetGateway ID"},
		{in.VpcEndpointId, "InvalidVpcEndpointId.NotFound", "vpcEndpoint ID"},
		{in.CarrierGatewayId, "InvalidCarrierGatewayID.NotFound", "carrierGateway ID"},
		{in.LocalGatewayId, "InvalidLocalGatewayID.NotFound", "localGateway ID"},
		{in.CoreNetworkArn, "InvalidCoreNetworkArn.NotFound", "core network"},
	} {
		if o.id != nil {
			return "", refuse(o.code, "The %s '%s' does not exist", o.noun, *o.id)
		}
	}
	if in.NatGatewayId != nil {
		n, err := find[natGateway](t, &kindNAT, in.NatGatewayId, "natGatewayId")
		if err != nil {
			return "", err
		}
		if n.VPC != r.VPC {
			return "", invalid("route table %s and network gateway %s belong to different networks", r.ID, n.ID)
		}
		return n.ID, nil
	}
	if in.GatewayId == nil {
		return "", missing("gatewayId")
	}
	g, err := find[gateway](t, &kindGateway, in.GatewayId, "gatewayId")
	if err != nil {
		return "", err
	}
	if g.VPC != r.VPC {
		return "", invalid("route table %s and network gateway %s belong to different networks", r.ID, g.ID)
	}
	return g.ID, nil
}

func (r *routeTable) route(destination string) int {
	return slices.IndexFunc(r.Routes, func(o route) bool { return o.Destination == destination })
}

func noSuchRoute(destination, table string) error {
	kind := "destination-cidr-block"
	if strings.Contains(destination, ":") {
		kind = "destination-ipv6-cidr-block"
	}
	return refuse("InvalidRoute.NotFound", "no route with %s %s in route table %s", kind, destination, table)
}

func createRoute(t *tx, in *routeInput) (*done, error) {
	r, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	destination, err := in.destination()
	if err != nil {
		return nil, err
	}
	to, err := in.target(t, r)
	if err != nil {
		return nil, err
	}
	if i := r.route(destination); i >= 0 {
		if r.Routes[i].Gateway == to { // the same again is no error
			return succeed(), nil
		}
		return nil, refuse("RouteAlreadyExists", "The route identified by %s already exists.", destination)
	}
	r.Routes = append(r.Routes, route{Destination: destination, Gateway: to, Origin: "CreateRoute"})
	return succeed(), t.put(&kindTable, r)
}

func replaceRoute(t *tx, in *routeInput) (*done, error) {
	r, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	destination, err := in.destination()
	if err != nil {
		return nil, err
	}
	i := r.route(destination)
	if i < 0 {
		return nil, invalid("There is no route defined for '%s' in the route table. Use CreateRoute instead.", destination)
	}
	if r.Routes[i].Gateway == "local" {
		if in.LocalTarget != nil && *in.LocalTarget {
			return succeed(), nil
		}
		return nil, invalid("cannot replace local route %s in route table %s", destination, r.ID) // unverified text
	}
	if r.Routes[i].Gateway, err = in.target(t, r); err != nil {
		return nil, err
	}
	return succeed(), t.put(&kindTable, r)
}

func deleteRoute(t *tx, in *routeInput) (*done, error) {
	r, err := find[routeTable](t, &kindTable, in.RouteTableId, "routeTableId")
	if err != nil {
		return nil, err
	}
	destination, err := in.destination()
	if err != nil {
		return nil, err
	}
	i := r.route(destination)
	if i < 0 {
		return nil, noSuchRoute(destination, r.ID)
	}
	if r.Routes[i].Gateway == "local" {
		return nil, invalid("cannot remove local route %s in route table %s", destination, r.ID)
	}
	r.Routes = slices.Delete(r.Routes, i, i+1)
	return succeed(), t.put(&kindTable, r)
}
