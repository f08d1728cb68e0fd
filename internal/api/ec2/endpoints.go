package ec2

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) endpointOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateVpcEndpoint", createEndpoint),
		change(a, "ModifyVpcEndpoint", modifyEndpoint),
		change(a, "DeleteVpcEndpoints", deleteEndpoints),
		view(a, "DescribeVpcEndpoints", describeEndpoints),
		view(a, "DescribePrefixLists", describePrefixLists),
		view(a, "DescribeVpcEndpointServices", describeEndpointServices),
	}
}

// endpoint is a VPC endpoint: of a gateway, by route tables, or of interfaces, by subnets and security groups. Its JSON is
// how the store keeps it.
type endpoint struct {
	base
	VPC        string   `json:"vpcId"`
	Service    string   `json:"serviceName"`
	Gateway    bool     `json:"gateway,omitempty"`
	Tables     []string `json:"routeTableIds,omitempty"`
	Subnets    []string `json:"subnetIds,omitempty"`
	Groups     []string `json:"securityGroupIds,omitempty"`
	PrivateDNS bool     `json:"privateDnsEnabled,omitempty"`
	Policy     string   `json:"policyDocument"`
	CreatedAt  int64    `json:"createdAt"` // ms
}

// VPCEndpoint is a VPC endpoint as it is shown.
type VPCEndpoint struct {
	CreationTimestamp   *time.Time
	DnsEntries          []DNSEntry `awswire:"dnsEntrySet"`
	DnsOptions          *DNSOptions
	Groups              []GroupName `awswire:"groupSet"`
	IpAddressType       *string
	NetworkInterfaceIds []string `awswire:"networkInterfaceIdSet"`
	OwnerId             *string
	PolicyDocument      *string
	PrivateDnsEnabled   *bool
	RequesterManaged    *bool
	RouteTableIds       []string `awswire:"routeTableIdSet"`
	ServiceName         *string
	ServiceRegion       *string
	State               *string
	SubnetIds           []string `awswire:"subnetIdSet"`
	Tags                []Tag    `awswire:"tagSet"`
	VpcEndpointId       *string
	VpcEndpointType     *string
	VpcId               *string
}

// DNSEntry is a name of a VPC endpoint.
type DNSEntry struct {
	DnsName      *string
	HostedZoneId *string
}

// DNSOptions says which records a VPC endpoint has.
type DNSOptions struct {
	DnsRecordIpType *string
}

// GroupName is a security group by id and name.
type GroupName struct {
	GroupId   *string
	GroupName *string
}

// openPolicy is what an endpoint without a policy of its own shows: gateways show another text than interfaces.
func (e *endpoint) openPolicy() string {
	if e.Gateway {
		return `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`
	}
	return `{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}`
}

func (e *endpoint) show(t *tx, groups []*group) VPCEndpoint {
	out := VPCEndpoint{
		CreationTimestamp: timeOf(e.CreatedAt), DnsEntries: []DNSEntry{}, DnsOptions: &DNSOptions{ptr("ipv4")}, Groups: []GroupName{}, IpAddressType: ptr("ipv4"),
		NetworkInterfaceIds: []string{}, OwnerId: ptr(t.Account), PolicyDocument: ptr(e.Policy), PrivateDnsEnabled: ptr(e.PrivateDNS), RequesterManaged: ptr(false),
		RouteTableIds: append([]string{}, e.Tables...), ServiceName: ptr(e.Service), ServiceRegion: ptr(t.Region), State: ptr("available"), SubnetIds: append([]string{}, e.Subnets...),
		Tags: e.Tags, VpcEndpointId: ptr(e.ID), VpcEndpointType: ptr("Interface"), VpcId: ptr(e.VPC),
	}
	if e.Gateway {
		out.VpcEndpointType, out.DnsOptions.DnsRecordIpType = ptr("Gateway"), ptr("service-defined")
	}
	for _, g := range groups {
		if slices.Contains(e.Groups, g.ID) {
			out.Groups = append(out.Groups, GroupName{ptr(g.ID), ptr(g.Name)})
		}
	}
	return out
}

var endpointLook = look[VPCEndpoint]{
	filters: map[string]func(*VPCEndpoint) []string{
		"ip-address-type":    func(e *VPCEndpoint) []string { return one(e.IpAddressType) },
		"service-name":       func(e *VPCEndpoint) []string { return one(e.ServiceName) },
		"service-region":     func(e *VPCEndpoint) []string { return one(e.ServiceRegion) },
		"vpc-endpoint-id":    func(e *VPCEndpoint) []string { return one(e.VpcEndpointId) },
		"vpc-endpoint-state": func(e *VPCEndpoint) []string { return one(e.State) },
		"vpc-endpoint-type":  func(e *VPCEndpoint) []string { return one(e.VpcEndpointType) },
		"vpc-id":             func(e *VPCEndpoint) []string { return one(e.VpcId) },
	},
	tags: func(e *VPCEndpoint) []Tag { return e.Tags },
	key:  func(e *VPCEndpoint) string { return *e.VpcEndpointId },
}

// gatewayServices are the services with gateway endpoints; every other one has interfaces only.
var gatewayServices = []string{"s3", "dynamodb"}

// serviceOf gives the short name of one of AWS's services by its endpoint service name in the region.
func (t *tx) serviceOf(name string) (string, error) {
	short, ok := strings.CutPrefix(name, "com.amazonaws."+t.Region+".")
	if !ok || short == "" {
		return "", refuse("InvalidServiceName", "The Vpc Endpoint Service '%s' does not exist", name)
	}
	return short, nil
}

// prefixList is the id of the prefix list of a service with gateway endpoints.
func (t *tx) prefixList(service string) string { return t.firstID("pl-", service) }

type createEndpointInput struct {
	DnsOptions               *DNSOptions
	DryRun                   *bool
	IpAddressType            *string
	PolicyDocument           *string
	PrivateDnsEnabled        *bool
	ResourceConfigurationArn *string
	RouteTableIds            []string `ec2:"RouteTableId"`
	SecurityGroupIds         []string `ec2:"SecurityGroupId"`
	ServiceName              *string
	ServiceNetworkArn        *string
	ServiceRegion            *string
	SubnetIds                []string           `ec2:"SubnetId"`
	TagSpecifications        []TagSpecification `ec2:"TagSpecification"`
	VpcEndpointType          *string
	VpcId                    *string
}

type createEndpointOutput struct {
	VpcEndpoint *VPCEndpoint
}

func createEndpoint(t *tx, in *createEndpointInput) (*createEndpointOutput, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	if err != nil {
		return nil, err
	}
	switch {
	case in.ServiceName == nil:
		return nil, missing("ServiceName")
	case in.ResourceConfigurationArn != nil, in.ServiceNetworkArn != nil:
		return nil, unsupported("batchbox has no VPC Lattice.")
	case in.ServiceRegion != nil && *in.ServiceRegion != t.Region:
		return nil, unsupported("batchbox's VPC endpoints are for services of their own region.")
	case in.IpAddressType != nil && *in.IpAddressType != "ipv4":
		return nil, unsupported("batchbox's VPCs have no IPv6 addresses.")
	}
	short, err := t.serviceOf(*in.ServiceName)
	if err != nil {
		return nil, err
	}
	e := &endpoint{VPC: v.ID, Service: *in.ServiceName, CreatedAt: t.a.now().UnixMilli() / 1000 * 1000}
	switch kind := str(in.VpcEndpointType); kind {
	case "", "Gateway":
		if !slices.Contains(gatewayServices, short) {
			return nil, invalid("The Vpc Endpoint Service '%s' does not support the endpoint type Gateway", e.Service) // unverified text
		}
		if len(in.SubnetIds)+len(in.SecurityGroupIds) > 0 || in.PrivateDnsEnabled != nil && *in.PrivateDnsEnabled {
			return nil, invalid("A gateway endpoint takes no subnets, security groups or private DNS") // unverified text
		}
		e.Gateway = true
	case "Interface":
		if len(in.RouteTableIds) > 0 {
			return nil, invalid("An interface endpoint takes no route tables") // unverified text
		}
		e.PrivateDNS = in.PrivateDnsEnabled == nil || *in.PrivateDnsEnabled
	default:
		return nil, unsupported("batchbox has no VPC endpoints of the type %s.", kind)
	}
	e.Policy = e.openPolicy()
	if in.PolicyDocument != nil {
		if err := e.setPolicy(*in.PolicyDocument); err != nil {
			return nil, err
		}
	}
	if err := e.add(t, in.RouteTableIds, in.SubnetIds, in.SecurityGroupIds); err != nil {
		return nil, err
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	if !e.Gateway && len(e.Groups) == 0 { // the VPC's default group
		for _, g := range groups {
			if g.VPC == v.ID && g.Name == "default" {
				e.Groups = []string{g.ID}
			}
		}
	}
	if e.Tags, err = specified(in.TagSpecifications, kindEndpoint.typ); err != nil {
		return nil, err
	}
	if e.ID, err = t.newID(kindEndpoint.prefix); err != nil {
		return nil, err
	}
	return &createEndpointOutput{VpcEndpoint: ptr(e.show(t, groups))}, t.put(&kindEndpoint, e)
}

func (e *endpoint) setPolicy(document string) error {
	if !json.Valid([]byte(document)) {
		return refuse("InvalidPolicyDocument", "The policy document is not valid JSON") // unverified text
	}
	e.Policy = document
	return nil
}

// add puts route tables, subnets and security groups of the endpoint's VPC to it.
func (e *endpoint) add(t *tx, tables, subnets, groups []string) error {
	other := func(id string) error {
		return invalid("The resource %s does not belong to the VPC %s", id, e.VPC) // unverified text
	}
	for _, id := range tables {
		r, err := find[routeTable](t, &kindTable, &id, "RouteTableId")
		if err != nil {
			return err
		}
		if r.VPC != e.VPC {
			return other(id)
		}
		e.Tables = with(e.Tables, id)
	}
	for _, id := range subnets {
		s, err := find[subnet](t, &kindSubnet, &id, "SubnetId")
		if err != nil {
			return err
		}
		if s.VPC != e.VPC {
			return other(id)
		}
		e.Subnets = with(e.Subnets, id)
	}
	for _, id := range groups {
		g, err := find[group](t, &kindGroup, &id, "SecurityGroupId")
		if err != nil {
			return err
		}
		if g.VPC != e.VPC {
			return other(id)
		}
		e.Groups = with(e.Groups, id)
	}
	return nil
}

func with(list []string, id string) []string {
	if slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}

func without(list, ids []string) []string {
	return slices.DeleteFunc(list, func(id string) bool { return slices.Contains(ids, id) })
}

type modifyEndpointInput struct {
	AddRouteTableIds       []string `ec2:"AddRouteTableId"`
	AddSecurityGroupIds    []string `ec2:"AddSecurityGroupId"`
	AddSubnetIds           []string `ec2:"AddSubnetId"`
	DryRun                 *bool
	PolicyDocument         *string
	PrivateDnsEnabled      *bool
	RemoveRouteTableIds    []string `ec2:"RemoveRouteTableId"`
	RemoveSecurityGroupIds []string `ec2:"RemoveSecurityGroupId"`
	RemoveSubnetIds        []string `ec2:"RemoveSubnetId"`
	ResetPolicy            *bool
	VpcEndpointId          *string
}

func modifyEndpoint(t *tx, in *modifyEndpointInput) (*done, error) {
	e, err := find[endpoint](t, &kindEndpoint, in.VpcEndpointId, "VpcEndpointId")
	if err != nil {
		return nil, err
	}
	e.Tables, e.Subnets, e.Groups = without(e.Tables, in.RemoveRouteTableIds), without(e.Subnets, in.RemoveSubnetIds), without(e.Groups, in.RemoveSecurityGroupIds)
	if err := e.add(t, in.AddRouteTableIds, in.AddSubnetIds, in.AddSecurityGroupIds); err != nil {
		return nil, err
	}
	if in.PrivateDnsEnabled != nil && !e.Gateway {
		e.PrivateDNS = *in.PrivateDnsEnabled
	}
	if in.ResetPolicy != nil && *in.ResetPolicy {
		e.Policy = e.openPolicy()
	}
	if in.PolicyDocument != nil {
		if err := e.setPolicy(*in.PolicyDocument); err != nil {
			return nil, err
		}
	}
	return succeed(), t.put(&kindEndpoint, e)
}

type deleteEndpointsInput struct {
	DryRun         *bool
	VpcEndpointIds []string `ec2:"VpcEndpointId"`
}

// UnsuccessfulItem is a resource of a request that could not be dealt with.
type UnsuccessfulItem struct {
	Error      *ResponseError
	ResourceId *string
}

type deleteEndpointsOutput struct {
	Unsuccessful []UnsuccessfulItem
}

func deleteEndpoints(t *tx, in *deleteEndpointsInput) (*deleteEndpointsOutput, error) {
	if len(in.VpcEndpointIds) == 0 {
		return nil, missing("VpcEndpointId")
	}
	out := &deleteEndpointsOutput{Unsuccessful: []UnsuccessfulItem{}}
	for _, id := range in.VpcEndpointIds {
		e, err := find[endpoint](t, &kindEndpoint, &id, "VpcEndpointId")
		var refused *awswire.Error
		if errors.As(err, &refused) {
			out.Unsuccessful = append(out.Unsuccessful, UnsuccessfulItem{Error: &ResponseError{&refused.Code, &refused.Message}, ResourceId: ptr(id)})
			continue
		}
		if err == nil {
			err = t.delete(&kindEndpoint, e)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

type describeEndpointsInput struct {
	DryRun         *bool
	Filters        []Filter `ec2:"Filter"`
	MaxResults     *int32
	NextToken      *string
	VpcEndpointIds []string `ec2:"VpcEndpointId"`
}

type describeEndpointsOutput struct {
	NextToken    *string
	VpcEndpoints []VPCEndpoint `awswire:"vpcEndpointSet"`
}

func describeEndpoints(t *tx, in *describeEndpointsInput) (*describeEndpointsOutput, error) {
	endpoints, err := all[endpoint](t, &kindEndpoint)
	if err != nil {
		return nil, err
	}
	groups, err := all[group](t, &kindGroup)
	if err != nil {
		return nil, err
	}
	var list []VPCEndpoint
	for _, e := range endpoints {
		list = append(list, e.show(t, groups))
	}
	if list, err = pick(list, in.VpcEndpointIds, &kindEndpoint, endpointLook.key); err != nil {
		return nil, err
	}
	list, next, err := endpointLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeEndpointsOutput{NextToken: next, VpcEndpoints: list}, err
}

// ServicePrefixList is the prefix list of a service with gateway endpoints.
type ServicePrefixList struct {
	Cidrs          []string `awswire:"cidrSet"`
	PrefixListId   *string
	PrefixListName *string
}

var prefixListLook = look[ServicePrefixList]{
	filters: map[string]func(*ServicePrefixList) []string{
		"prefix-list-id":   func(p *ServicePrefixList) []string { return one(p.PrefixListId) },
		"prefix-list-name": func(p *ServicePrefixList) []string { return one(p.PrefixListName) },
	},
	key: func(p *ServicePrefixList) string { return *p.PrefixListId },
}

type describePrefixListsInput struct {
	DryRun        *bool
	Filters       []Filter `ec2:"Filter"`
	MaxResults    *int32
	NextToken     *string
	PrefixListIds []string `ec2:"PrefixListId"`
}

type describePrefixListsOutput struct {
	NextToken   *string
	PrefixLists []ServicePrefixList `awswire:"prefixListSet"`
}

func describePrefixLists(t *tx, in *describePrefixListsInput) (*describePrefixListsOutput, error) {
	var list []ServicePrefixList
	for _, short := range gatewayServices {
		name := "com.amazonaws." + t.Region + "." + short
		list = append(list, ServicePrefixList{Cidrs: []string{}, PrefixListId: ptr(t.prefixList(name)), PrefixListName: ptr(name)})
	}
	slices.SortFunc(list, func(a, b ServicePrefixList) int { return strings.Compare(*a.PrefixListId, *b.PrefixListId) })
	for _, id := range in.PrefixListIds {
		if !slices.ContainsFunc(list, func(p ServicePrefixList) bool { return *p.PrefixListId == id }) {
			return nil, refuse("InvalidPrefixListID.NotFound", "The prefixList ID '%s' does not exist", id)
		}
	}
	if len(in.PrefixListIds) > 0 {
		list = slices.DeleteFunc(list, func(p ServicePrefixList) bool { return !slices.Contains(in.PrefixListIds, *p.PrefixListId) })
	}
	list, next, err := prefixListLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describePrefixListsOutput{NextToken: next, PrefixLists: list}, err
}
