package provider_test

import (
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// stack is what the acceptance tests of aws_batch_compute_environment have around it: roles, an instance profile, a VPC with
// two subnets and three security groups.
type stack struct {
	serviceRole, serviceRole2, fleetRole string // ARNs
	profile, profile2                    string // ARNs
	subnets, groups                      []string
}

func trust(service string) string {
	return `{"Version":"2012-10-17","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"` + service + `.amazonaws.com"}}]}`
}

func (p *provider) stack() *stack {
	p.Helper()
	s := &stack{}
	role := func(name, service, policy string) string {
		p.Helper()
		r := must(p.iam.CreateRole(p.Context(), &iam.CreateRoleInput{RoleName: &name, Path: aws.String("/"), AssumeRolePolicyDocument: aws.String(trust(service)), MaxSessionDuration: aws.Int32(3600)}))(p)
		must(p.iam.AttachRolePolicy(p.Context(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/" + policy)}))(p)
		return *r.Role.Arn
	}
	profile := func(name, service string) string {
		p.Helper()
		role(name, service, "AmazonEC2ContainerServiceforEC2Role")
		made := must(p.iam.CreateInstanceProfile(p.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: &name, Path: aws.String("/")}))(p)
		must(p.iam.AddRoleToInstanceProfile(p.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &name, RoleName: &name}))(p)
		return *made.InstanceProfile.Arn
	}
	s.serviceRole, s.serviceRole2 = role("batch_service", "batch", "AWSBatchServiceRole"), role("batch_service_2", "batch", "AWSBatchServiceRole")
	s.fleetRole = role("ec2_spot_fleet", "spotfleet", "AmazonEC2SpotFleetTaggingRole")
	s.profile, s.profile2 = profile("ecs_instance", "ec2"), profile("ecs_instance_2", "ec2")
	vpc := p.call("CreateVpc", "CidrBlock", "10.1.0.0/16", "InstanceTenancy", "default", "AmazonProvidedIpv6CidrBlock", "false").text("vpc/vpcId")
	for _, block := range []string{"10.1.1.0/24", "10.1.2.0/24"} {
		s.subnets = append(s.subnets, p.call("CreateSubnet", "VpcId", vpc, "CidrBlock", block).text("subnet/subnetId"))
	}
	for _, name := range []string{"one", "two", "three"} {
		s.groups = append(s.groups, p.call("CreateSecurityGroup", "VpcId", vpc, "GroupName", name, "GroupDescription", "Managed by Terraform").text("groupId"))
	}
	return s
}

// unescape reads a policy document as IAM answers it.
func unescape(t testing.TB, document *string) string {
	t.Helper()
	return must(url.QueryUnescape(str(document)))(t)
}
