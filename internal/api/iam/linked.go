package iam

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// linkedService is a service that has service-linked roles
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html).
type linkedService struct {
	role   string // without "AWSServiceRoleFor"
	policy string // of /aws-service-role/
	suffix bool   // takes a custom suffix
}

var linkedServices = map[string]linkedService{
	"batch.amazonaws.com":                                   {role: "Batch", policy: "BatchServiceRolePolicy"},
	"sagemaker-queuing.batch.amazonaws.com":                 {role: "AWSBatchWithSagemaker", policy: "AWSBatchServiceRolePolicyForSageMaker"},
	"ecs.amazonaws.com":                                     {role: "ECS", policy: "AmazonECSServiceRolePolicy"},
	"ecs.application-autoscaling.amazonaws.com":             {role: "ApplicationAutoScaling_ECSService", policy: "AWSApplicationAutoscalingECSServicePolicy"},
	"custom-resource.application-autoscaling.amazonaws.com": {role: "ApplicationAutoScaling_CustomResource", policy: "AWSApplicationAutoScalingCustomResourcePolicy"},
	"inspector.amazonaws.com":                               {role: "AmazonInspector", policy: "AmazonInspectorServiceRolePolicy"},
	"autoscaling.amazonaws.com":                             {role: "AutoScaling", policy: "AutoScalingServiceRolePolicy", suffix: true},
	"spot.amazonaws.com":                                    {role: "EC2Spot", policy: "AWSEC2SpotServiceRolePolicy"},
	"spotfleet.amazonaws.com":                               {role: "EC2SpotFleet", policy: "AWSEC2SpotFleetServiceRolePolicy"},
	"ec2fleet.amazonaws.com":                                {role: "EC2Fleet", policy: "AWSEC2FleetServiceRolePolicy"},
	"elasticloadbalancing.amazonaws.com":                    {role: "ElasticLoadBalancing", policy: "AWSElasticLoadBalancingServiceRolePolicy"},
	"eks.amazonaws.com":                                     {role: "AmazonEKS", policy: "AmazonEKSServiceRolePolicy"},
	"eks-nodegroup.amazonaws.com":                           {role: "AmazonEKSNodegroup", policy: "AWSServiceRoleForAmazonEKSNodegroup"},
	"events.amazonaws.com":                                  {role: "CloudWatchEvents", policy: "CloudWatchEventsServiceRolePolicy"},
	"apidestinations.events.amazonaws.com":                  {role: "AmazonEventBridgeApiDestinations", policy: "AmazonEventBridgeApiDestinationsServiceRolePolicy"},
	"rds.amazonaws.com":                                     {role: "RDS", policy: "AmazonRDSServiceRolePolicy"},
	"elasticfilesystem.amazonaws.com":                       {role: "AmazonElasticFileSystem", policy: "AmazonElasticFileSystemServiceRolePolicy"},
	"replication.ecr.amazonaws.com":                         {role: "ECRReplication", policy: "ECRReplicationServiceRolePolicy"},
	"pullthroughcache.ecr.amazonaws.com":                    {role: "ECRPullThroughCache", policy: "AWSECRPullThroughCache_ServiceRolePolicy"},
	"support.amazonaws.com":                                 {role: "Support", policy: "AWSSupportServiceRolePolicy"},
	"trustedadvisor.amazonaws.com":                          {role: "TrustedAdvisor", policy: "AWSTrustedAdvisorServiceRolePolicy"},
	"compute-optimizer.amazonaws.com":                       {role: "ComputeOptimizer", policy: "AWSComputeOptimizerServiceRolePolicy"},
}

func (a *api) createServiceLinkedRole(ctx context.Context, c *awswire.Call, in *iam.CreateServiceLinkedRoleInput) (*iam.CreateServiceLinkedRoleOutput, error) {
	if err := checkLength(in.AWSServiceName, "awsServiceName", 1, 128); err != nil {
		return nil, err
	}
	if err := checkName(in.CustomSuffix, "customSuffix", 64); err != nil {
		return nil, err
	}
	if err := checkLength(in.Description, "description", 0, 1000); err != nil {
		return nil, err
	}
	name := str(in.AWSServiceName)
	service, ok := linkedServices[name]
	if !ok {
		return nil, refuse("InvalidInput", "Service Linked Roles are not supported by service: %s, or batchbox does not know them.", name)
	}
	if in.CustomSuffix != nil && !service.suffix {
		return nil, refuse("InvalidInput", "Custom suffix is not allowed for %s", name)
	}
	role := &identity.Role{
		Name: "AWSServiceRoleFor" + service.role, Path: "/aws-service-role/" + name + "/", Service: name, CreatedAt: a.now().UnixMilli() / 1000 * 1000,
		Description: str(in.Description), MaxSession: 3600, Trust: identity.ServiceTrust(name),
		Attached: []string{awsPolicyARN(partition(c), "/aws-service-role/"+service.policy)},
	}
	if in.CustomSuffix != nil {
		role.Name += "_" + *in.CustomSuffix
	}
	var err error
	if role.ID, err = identity.NewID(a.random, identity.PrefixRole, c.Account); err != nil {
		return nil, err
	}
	if err := a.docs.Update(ctx, func(w store.Writer) error {
		taken, err := identity.RoleNameTaken(w, c.Account, role.Name)
		if err != nil {
			return err
		}
		if taken {
			return refuse("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", role.Name)
		}
		return identity.PutRole(w, c.Account, role)
	}); err != nil {
		return nil, err
	}
	out := showRole(partition(c), role)
	out.RoleLastUsed = nil
	return &iam.CreateServiceLinkedRoleOutput{Role: out}, nil
}

// kindDeletion holds the ids of deletion tasks, all of which have succeeded: nothing checks here whether the role's
// service still uses it.
const kindDeletion = "iam-deletion-task"

func (a *api) deleteServiceLinkedRole(ctx context.Context, c *awswire.Call, in *iam.DeleteServiceLinkedRoleInput) (out *iam.DeleteServiceLinkedRoleOutput, err error) {
	err = a.docs.Update(ctx, func(w store.Writer) error {
		role, err := findRole(w, c, in.RoleName)
		if err != nil {
			return err
		}
		if role.Service == "" { // unverified text
			return refuse("InvalidInput", "The role %s is not a service-linked role.", role.Name)
		}
		random, err := identity.NewID(a.random, "", c.Account)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("task/aws-service-role/%s/%s/%s", role.Service, role.Name, strings.ToLower(random))
		out = &iam.DeleteServiceLinkedRoleOutput{DeletionTaskId: ptr(id)}
		if err := w.Put(shelf(c), kindDeletion, id, nil); err != nil {
			return err
		}
		return identity.DeleteRole(w, c.Account, role.Name)
	})
	return out, err
}

var deletionTaskRE = regexp.MustCompile(`^task/aws-service-role/.+/.+/.+$`)

func (a *api) getServiceLinkedRoleDeletionStatus(ctx context.Context, c *awswire.Call, in *iam.GetServiceLinkedRoleDeletionStatusInput) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	id := str(in.DeletionTaskId)
	if !deletionTaskRE.MatchString(id) {
		return nil, refuse("InvalidInput", "Deletion task id %s is not valid.", id) // unverified text
	}
	var task any
	found := false
	if err := a.docs.View(ctx, func(r store.Reader) (err error) {
		found, err = r.Get(shelf(c), kindDeletion, id, &task)
		return err
	}); err != nil {
		return nil, err
	}
	if !found {
		return nil, refuse("NoSuchEntity", "Deletion task %s cannot be found.", id) // unverified text
	}
	return &iam.GetServiceLinkedRoleDeletionStatusOutput{Status: types.DeletionTaskStatusTypeSucceeded}, nil
}
