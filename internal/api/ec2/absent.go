package ec2

import (
	"slices"

	"github.com/batchbox/batchbox/internal/awswire"
)

// What can't be made here is described as it is: there is none. Clients ask, for one, whether an instance is left in a
// security group before they delete it.

func (a *api) absentOperations() []awswire.Operation {
	return []awswire.Operation{
		absent(a, "DescribeInstances", "InvalidInstanceID.NotFound", "The instance ID %s does not exist", instances{none}),
		absent(a, "DescribeVpnGateways", "InvalidVpnGatewayID.NotFound", "The vpnGateway ID %s does not exist", vpnGateways{none}),
		absent(a, "DescribeVpcPeeringConnections", "InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID %s does not exist", peerings{none}),
		absent(a, "DescribeEgressOnlyInternetGateways", "InvalidEgressOnlyInternetGatewayId.NotFound", "The egressOnlyInternetGateway ID %s does not exist", egressGateways{none}),
	}
}

// absentInput has every way to name one of them.
type absentInput struct {
	DryRun                       *bool
	EgressOnlyInternetGatewayIds []string `ec2:"EgressOnlyInternetGatewayId"`
	Filters                      []Filter `ec2:"Filter"`
	InstanceIds                  []string `ec2:"InstanceId"`
	MaxResults                   *int32
	NextToken                    *string
	VpcPeeringConnectionIds      []string `ec2:"VpcPeeringConnectionId"`
	VpnGatewayIds                []string `ec2:"VpnGatewayId"`
}

// nothing stands for the resources that do not exist; a list of it is always empty.
type nothing struct{}

var none = []nothing{}

type (
	instances struct {
		Reservations []nothing `awswire:"reservationSet"`
	}
	vpnGateways struct {
		VpnGateways []nothing `awswire:"vpnGatewaySet"`
	}
	peerings struct {
		VpcPeeringConnections []nothing `awswire:"vpcPeeringConnectionSet"`
	}
	egressGateways struct {
		EgressOnlyInternetGateways []nothing `awswire:"egressOnlyInternetGatewaySet"`
	}
)

// absent makes an operation that shows nothing, and says of whatever is named that it does not exist.
func absent[Out any](a *api, name, code, text string, empty Out) awswire.Operation {
	return view(a, name, func(_ *tx, in *absentInput) (*Out, error) {
		if ids := slices.Concat(in.InstanceIds, in.VpnGatewayIds, in.VpcPeeringConnectionIds, in.EgressOnlyInternetGatewayIds); len(ids) > 0 {
			return nil, refuse(code, text, quote(ids))
		}
		return &empty, nil
	})
}
