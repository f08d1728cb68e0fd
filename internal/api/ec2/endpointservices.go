package ec2

import (
	"slices"
	"strings"
)

// endpointServices are AWS's services with interface endpoints that a list shows; one that is named need not be among them
// (https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html).
var endpointServices = []string{
	"autoscaling", "batch", "dynamodb", "ec2", "ec2messages", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "elasticfilesystem", "events",
	"kinesis-streams", "kms", "lambda", "logs", "monitoring", "s3", "secretsmanager", "sns", "sqs", "ssm", "ssmmessages", "states", "sts", "xray",
}

// VPCEndpointService is a service to which a VPC can have endpoints, of one type: S3 and DynamoDB are shown once for each.
type VPCEndpointService struct {
	AcceptanceRequired              *bool
	AvailabilityZones               []string `awswire:"availabilityZoneSet"`
	BaseEndpointDnsNames            []string `awswire:"baseEndpointDnsNameSet"`
	ManagesVpcEndpoints             *bool
	Owner                           *string
	PrivateDnsName                  *string
	PrivateDnsNameVerificationState *string
	PrivateDnsNames                 []PrivateDNSName `awswire:"privateDnsNameSet"`
	ServiceId                       *string
	ServiceName                     *string
	ServiceRegion                   *string
	ServiceType                     []EndpointType
	SupportedIpAddressTypes         []string `awswire:"supportedIpAddressTypeSet"`
	Tags                            []Tag    `awswire:"tagSet"`
	VpcEndpointPolicySupported      *bool
}

// PrivateDNSName is a name that leads to the endpoint inside the VPC.
type PrivateDNSName struct {
	PrivateDnsName *string
}

// EndpointType is Gateway or Interface.
type EndpointType struct {
	ServiceType *string
}

var endpointServiceLook = look[VPCEndpointService]{
	filters: map[string]func(*VPCEndpointService) []string{
		"owner":                      func(s *VPCEndpointService) []string { return one(s.Owner) },
		"service-name":               func(s *VPCEndpointService) []string { return one(s.ServiceName) },
		"service-region":             func(s *VPCEndpointService) []string { return one(s.ServiceRegion) },
		"service-type":               func(s *VPCEndpointService) []string { return one(s.ServiceType[0].ServiceType) },
		"supported-ip-address-types": func(s *VPCEndpointService) []string { return s.SupportedIpAddressTypes },
	},
	tags: func(s *VPCEndpointService) []Tag { return s.Tags },
	key:  func(s *VPCEndpointService) string { return *s.ServiceName + " " + *s.ServiceType[0].ServiceType },
}

// endpointService shows a service by its short name, such as ecr.api.
func (t *tx) endpointService(short, kind string) VPCEndpointService {
	name := "com.amazonaws." + t.Region + "." + short
	// The host is that of the API, with the parts of the name the other way round: ecr.api is api.ecr.REGION.
	parts := strings.Split(short, ".")
	slices.Reverse(parts)
	host := strings.Join(parts, ".") + "." + t.Region + ".amazonaws.com"
	s := VPCEndpointService{
		AcceptanceRequired: ptr(false), AvailabilityZones: zones(t.Region), BaseEndpointDnsNames: []string{host}, ManagesVpcEndpoints: ptr(false), Owner: ptr("amazon"),
		PrivateDnsNames: []PrivateDNSName{}, ServiceId: ptr(t.firstID("vpce-svc-", kind+" "+name)), ServiceName: ptr(name), ServiceRegion: ptr(t.Region),
		ServiceType: []EndpointType{{ptr(kind)}}, SupportedIpAddressTypes: []string{"ipv4"}, Tags: []Tag{}, VpcEndpointPolicySupported: ptr(true),
	}
	if kind == "Interface" {
		s.BaseEndpointDnsNames = []string{strings.Join(parts, ".") + "." + t.Region + ".vpce.amazonaws.com"}
		s.PrivateDnsName, s.PrivateDnsNames, s.PrivateDnsNameVerificationState = ptr(host), []PrivateDNSName{{ptr(host)}}, ptr("verified")
	}
	return s
}

type describeEndpointServicesInput struct {
	DryRun         *bool
	Filters        []Filter `ec2:"Filter"`
	MaxResults     *int32
	NextToken      *string
	ServiceNames   []string `ec2:"ServiceName"`
	ServiceRegions []string `ec2:"ServiceRegion"`
}

type describeEndpointServicesOutput struct {
	NextToken      *string
	ServiceDetails []VPCEndpointService `awswire:"serviceDetailSet"`
	ServiceNames   []string             `awswire:"serviceNameSet"`
}

func describeEndpointServices(t *tx, in *describeEndpointServicesInput) (*describeEndpointServicesOutput, error) {
	for _, region := range in.ServiceRegions {
		if region != t.Region {
			return nil, unsupported("batchbox's VPC endpoints are for services of their own region.")
		}
	}
	shorts := endpointServices
	if len(in.ServiceNames) > 0 {
		shorts = nil
		for _, name := range in.ServiceNames {
			short, err := t.serviceOf(name)
			if err != nil {
				return nil, err
			}
			shorts = with(shorts, short)
		}
	}
	var list []VPCEndpointService
	for _, short := range shorts {
		if slices.Contains(gatewayServices, short) {
			list = append(list, t.endpointService(short, "Gateway"))
		}
		list = append(list, t.endpointService(short, "Interface"))
	}
	slices.SortFunc(list, func(a, b VPCEndpointService) int {
		return strings.Compare(endpointServiceLook.key(&a), endpointServiceLook.key(&b))
	})
	list, next, err := endpointServiceLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	out := &describeEndpointServicesOutput{NextToken: next, ServiceDetails: list, ServiceNames: []string{}}
	for i := range list {
		out.ServiceNames = with(out.ServiceNames, *list[i].ServiceName)
	}
	return out, err
}
