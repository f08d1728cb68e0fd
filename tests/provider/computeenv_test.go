package provider_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// errGone is what a read gives when the provider would take the resource out of its state.
var errGone = errors.New("not found")

// readEnvironment is the provider's read of aws_batch_compute_environment, whose id is its name.
func (p *provider) readEnvironment(name string) (attributes, types.ComputeEnvironmentDetail, error) {
	p.Helper()
	out := must(p.batch.DescribeComputeEnvironments(p.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}}))(p)
	if n := len(out.ComputeEnvironments); n > 1 {
		p.Fatalf("%d compute environments called %s", n, name)
	} else if n == 0 || out.ComputeEnvironments[0].Status == types.CEStatusDeleted {
		return nil, types.ComputeEnvironmentDetail{}, errGone
	}
	ce := out.ComputeEnvironments[0]
	a := attributes{
		"id": name, "arn": str(ce.ComputeEnvironmentArn), "name": str(ce.ComputeEnvironmentName), "ecs_cluster_arn": str(ce.EcsClusterArn),
		"service_role": str(ce.ServiceRole), "state": string(ce.State), "status": string(ce.Status), "status_reason": str(ce.StatusReason),
		"type": string(ce.Type), "compute_resources.#": "0", "eks_configuration.#": "0", "update_policy.#": "0",
	}
	a.mapping("tags_all", ce.Tags)
	if ce.EksConfiguration != nil {
		a["eks_configuration.#"] = "1"
	}
	if u := ce.UpdatePolicy; u != nil {
		a["update_policy.#"] = "1"
		a["update_policy.0.job_execution_timeout_minutes"] = num(u.JobExecutionTimeoutMinutes)
		a["update_policy.0.terminate_jobs_on_update"] = fmt.Sprint(aws.ToBool(u.TerminateJobsOnUpdate))
	}
	if r := ce.ComputeResources; r != nil {
		a["compute_resources.#"] = "1"
		a.computeResources(r)
	}
	return a, ce, nil
}

func (a attributes) computeResources(r *types.ComputeResource) {
	const at = "compute_resources.0."
	for name, value := range map[string]string{
		"allocation_strategy": string(r.AllocationStrategy), "bid_percentage": num(r.BidPercentage), "desired_vcpus": num(r.DesiredvCpus),
		"ec2_key_pair": str(r.Ec2KeyPair), "image_id": str(r.ImageId), "instance_role": str(r.InstanceRole), "max_vcpus": num(r.MaxvCpus),
		"min_vcpus": num(r.MinvCpus), "placement_group": str(r.PlacementGroup), "spot_iam_fleet_role": str(r.SpotIamFleetRole), "type": string(r.Type),
		"ec2_configuration.#": fmt.Sprint(len(r.Ec2Configuration)), "launch_template.#": "0",
	} {
		a[at+name] = value
	}
	for i, c := range r.Ec2Configuration {
		a[fmt.Sprintf("%sec2_configuration.%d.image_id_override", at, i)] = str(c.ImageIdOverride)
		a[fmt.Sprintf("%sec2_configuration.%d.image_kubernetes_version", at, i)] = str(c.ImageKubernetesVersion)
		a[fmt.Sprintf("%sec2_configuration.%d.image_type", at, i)] = str(c.ImageType)
	}
	if l := r.LaunchTemplate; l != nil {
		a[at+"launch_template.#"] = "1"
		a[at+"launch_template.0.launch_template_id"] = str(l.LaunchTemplateId)
		a[at+"launch_template.0.launch_template_name"] = str(l.LaunchTemplateName)
		a[at+"launch_template.0.version"] = str(l.Version)
	}
	a.strings(at+"instance_type", r.InstanceTypes, true)
	a.strings(at+"security_group_ids", r.SecurityGroupIds, true)
	a.strings(at+"subnets", r.Subnets, true)
	a.mapping(at+"tags", r.Tags)
}

// waitEnvironment is the provider's wait for VALID: the only other status it lets pass is pending.
func (p *provider) waitEnvironment(name string, pending types.CEStatus) {
	p.Helper()
	for range 100 {
		_, ce, err := p.readEnvironment(name)
		switch {
		case err != nil:
			p.Fatalf("wait for %s: %v", name, err)
		case ce.Status == types.CEStatusValid:
			return
		case ce.Status != pending:
			p.Fatalf("compute environment %s is %s (%s), which the provider takes for a failure", name, ce.Status, str(ce.StatusReason))
		}
	}
	p.Fatalf("compute environment %s stays %s", name, pending)
}

// createEnvironment is the provider's create: update_policy follows in an update, as the service takes it in none other.
func (p *provider) createEnvironment(in batch.CreateComputeEnvironmentInput, policy *types.UpdatePolicy) attributes {
	p.Helper()
	if in.ServiceRole == nil {
		in.ServiceRole = aws.String("") // what the provider sends for a role that is not configured
	}
	if in.State == "" {
		in.State = types.CEStateEnabled
	}
	name := *in.ComputeEnvironmentName
	out := must(p.batch.CreateComputeEnvironment(p.Context(), &in))(p)
	if str(out.ComputeEnvironmentName) != name {
		p.Errorf("created %s, asked for %s", str(out.ComputeEnvironmentName), name)
	}
	p.waitEnvironment(name, types.CEStatusCreating)
	if policy != nil {
		return p.updateEnvironment(batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name, UpdatePolicy: policy})
	}
	return p.settledEnvironment(name)
}

func (p *provider) updateEnvironment(in batch.UpdateComputeEnvironmentInput) attributes {
	p.Helper()
	must(p.batch.UpdateComputeEnvironment(p.Context(), &in))(p)
	p.waitEnvironment(*in.ComputeEnvironment, types.CEStatusUpdating)
	return p.settledEnvironment(*in.ComputeEnvironment)
}

// settledEnvironment reads twice: the second plan has to be empty.
func (p *provider) settledEnvironment(name string) attributes {
	p.Helper()
	first, _, err := p.readEnvironment(name)
	if err != nil {
		p.Fatal(err)
	}
	second, _, _ := p.readEnvironment(name)
	p.same("read again", first, second)
	p.check("every environment", first, attributes{
		"arn": p.arn("batch", "compute-environment/"+name), "name": name, "status": "VALID", "status_reason": "ComputeEnvironment Healthy", "eks_configuration.#": "0",
	})
	if !regexp.MustCompile(`^arn:aws:ecs:us-west-2:[0-9]{12}:cluster/AWSBatch-` + name + `-[0-9a-f-]{36}$`).MatchString(first["ecs_cluster_arn"]) {
		p.Errorf("ecs_cluster_arn is %q", first["ecs_cluster_arn"])
	}
	return first
}

// deleteEnvironment is the provider's delete, and its check that nothing is left.
func (p *provider) deleteEnvironment(name string) {
	p.Helper()
	must(p.batch.UpdateComputeEnvironment(p.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name, State: types.CEStateDisabled}))(p)
	p.waitEnvironment(name, types.CEStatusUpdating)
	must(p.batch.DeleteComputeEnvironment(p.Context(), &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &name}))(p)
	for range 100 {
		_, ce, err := p.readEnvironment(name)
		if err != nil {
			return
		}
		if ce.Status != types.CEStatusDeleting {
			p.Fatalf("compute environment %s is %s while it is deleted", name, ce.Status)
		}
	}
	p.Fatalf("compute environment %s stays DELETING", name)
}

const env = "tf-acc-test-1234567890"

// managed is a request as the provider makes it of a configuration with compute_resources.
func managed(role string, r types.ComputeResource) batch.CreateComputeEnvironmentInput {
	if r.MinvCpus == nil && (r.Type == types.CRTypeEc2 || r.Type == types.CRTypeSpot || r.Type == "spot") {
		r.MinvCpus = aws.Int32(0)
	}
	return batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String(env), Type: types.CETypeManaged, ServiceRole: &role, ComputeResources: &r}
}

func TestComputeEnvironment_basic_disappears_nameGenerated_namePrefix(t *testing.T) {
	p := configure(t)
	s := p.stack()
	// The provider makes a generated name of a prefix, a time and a counter.
	for _, name := range []string{env, "terraform-20261123120000000000000001", env + "20261123120000000000000002"} {
		got := p.createEnvironment(batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: &name, ServiceRole: &s.serviceRole, Type: types.CETypeUnmanaged}, nil)
		p.check("create", got, attributes{"compute_resources.#": "0", "service_role": s.serviceRole, "state": "ENABLED", "tags_all.%": "0", "type": "UNMANAGED", "update_policy.#": "0"})
		p.deleteEnvironment(name)
		// What has disappeared by other means is deleted when the provider meets this error.
		_, err := p.batch.UpdateComputeEnvironment(p.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &name, State: types.CEStateDisabled})
		p.refused("disable what is gone", err, "ClientException", "does not exist")
	}
}

func TestComputeEnvironment_createEC2(t *testing.T) {
	p := configure(t)
	s := p.stack()
	got := p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"c4.large"}, MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: types.CRTypeEc2,
	}), nil)
	p.check("create", got, attributes{
		"compute_resources.#": "1", "compute_resources.0.allocation_strategy": "", "compute_resources.0.bid_percentage": "0", "compute_resources.0.desired_vcpus": "0",
		"compute_resources.0.ec2_configuration.#": "1", "compute_resources.0.ec2_configuration.0.image_type": "ECS_AL2023", "compute_resources.0.ec2_configuration.0.image_id_override": "",
		"compute_resources.0.ec2_key_pair": "", "compute_resources.0.image_id": "", "compute_resources.0.instance_role": s.profile,
		"compute_resources.0.instance_type.#": "1", "compute_resources.0.instance_type.0": "c4.large", "compute_resources.0.launch_template.#": "0",
		"compute_resources.0.max_vcpus": "16", "compute_resources.0.min_vcpus": "0", "compute_resources.0.placement_group": "",
		"compute_resources.0.security_group_ids.#": "1", "compute_resources.0.security_group_ids.0": s.groups[0], "compute_resources.0.spot_iam_fleet_role": "",
		"compute_resources.0.subnets.#": "1", "compute_resources.0.subnets.0": s.subnets[0], "compute_resources.0.tags.%": "0", "compute_resources.0.type": "EC2",
		"service_role": s.serviceRole, "state": "ENABLED", "tags_all.%": "0", "type": "MANAGED", "update_policy.#": "0",
	})
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_updatePolicyCreate_updatePolicyUpdate(t *testing.T) {
	p := configure(t)
	s := p.stack()
	resources := types.ComputeResource{
		AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, InstanceRole: &s.profile, InstanceTypes: []string{"optimal"}, MaxvCpus: aws.Int32(4),
		SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: types.CRTypeEc2,
	}
	got := p.createEnvironment(managed("", resources), &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(30), TerminateJobsOnUpdate: aws.Bool(false)})
	p.check("create", got, attributes{
		"compute_resources.0.allocation_strategy": "BEST_FIT_PROGRESSIVE", "compute_resources.0.max_vcpus": "4",
		"update_policy.#": "1", "update_policy.0.terminate_jobs_on_update": "false", "update_policy.0.job_execution_timeout_minutes": "30",
	})
	change := batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String(env), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(4)},
		UpdatePolicy: &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(60), TerminateJobsOnUpdate: aws.Bool(true)},
	}
	changed := attributes{"update_policy.#": "1", "update_policy.0.terminate_jobs_on_update": "true", "update_policy.0.job_execution_timeout_minutes": "60"}
	p.check("update", p.updateEnvironment(change), changed)
	p.deleteEnvironment(env)

	p.check("without", p.createEnvironment(managed("", resources), nil), attributes{"update_policy.#": "0"})
	p.check("set by an update", p.updateEnvironment(change), changed)
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_CreateEC2DesiredVCPUsEC2KeyPairImageID_computeResourcesTags(t *testing.T) {
	p := configure(t)
	s := p.stack()
	key := p.call("ImportKeyPair", "KeyName", env, "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(publicKey))).text("keyName")
	// data.aws_ami with the filters of the acceptance tests' "latest Amazon Linux 2, HVM, EBS, x86_64".
	image := p.call("DescribeImages", "Owner.1", "amazon", "Filter.1.Name", "name", "Filter.1.Value.1", "amzn2-ami-minimal-hvm-*",
		"Filter.2.Name", "root-device-type", "Filter.2.Value.1", "ebs", "Filter.3.Name", "architecture", "Filter.3.Value.1", "x86_64").text("imagesSet/item/imageId")
	if image == "" {
		t.Fatal("no image")
	}
	got := p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"c4.large"}, MaxvCpus: aws.Int32(16), MinvCpus: aws.Int32(4), DesiredvCpus: aws.Int32(8),
		SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: types.CRTypeEc2, Tags: map[string]string{"key1": "value1"}, Ec2KeyPair: &key, ImageId: &image,
	}), nil)
	p.check("create", got, attributes{
		"compute_resources.0.desired_vcpus": "8", "compute_resources.0.ec2_key_pair": key, "compute_resources.0.image_id": image,
		"compute_resources.0.max_vcpus": "16", "compute_resources.0.min_vcpus": "4", "compute_resources.0.tags.%": "1", "compute_resources.0.tags.key1": "value1",
		"compute_resources.0.type": "EC2", "compute_resources.0.launch_template.#": "0", "tags_all.%": "0",
	})
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_createSpot_CreateSpotAllocationStrategy_bidPercentage(t *testing.T) {
	p := configure(t)
	s := p.stack()
	got := p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"c4.large"}, MaxvCpus: aws.Int32(16), MinvCpus: aws.Int32(2), SecurityGroupIds: s.groups[:1],
		SpotIamFleetRole: &s.fleetRole, Subnets: s.subnets[:1], Type: "SPOT",
	}), nil)
	p.check("create", got, attributes{
		"compute_resources.0.allocation_strategy": "", "compute_resources.0.bid_percentage": "0", "compute_resources.0.desired_vcpus": "2", "compute_resources.0.min_vcpus": "2",
		"compute_resources.0.spot_iam_fleet_role": s.fleetRole, "compute_resources.0.type": "SPOT", "compute_resources.0.tags.%": "0",
	})
	p.deleteEnvironment(env)
	got = p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		AllocationStrategy: "BEST_FIT", BidPercentage: aws.Int32(60), InstanceRole: &s.profile, InstanceTypes: []string{"c4.large"}, MaxvCpus: aws.Int32(16),
		SecurityGroupIds: s.groups[:1], SpotIamFleetRole: &s.fleetRole, Subnets: s.subnets[:1], Type: "SPOT",
	}), nil)
	p.check("create", got, attributes{
		"compute_resources.0.allocation_strategy": "BEST_FIT", "compute_resources.0.bid_percentage": "60", "compute_resources.0.desired_vcpus": "0", "compute_resources.0.min_vcpus": "0",
	})
	p.deleteEnvironment(env)
}

// fargate is a request of a Fargate environment, and noEC2 what the acceptance tests see of all members it does not have.
func fargate(s *stack, role string, typ types.CRType) batch.CreateComputeEnvironmentInput {
	return managed(role, types.ComputeResource{MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: typ})
}

var noEC2 = attributes{
	"compute_resources.#": "1", "compute_resources.0.allocation_strategy": "", "compute_resources.0.bid_percentage": "0", "compute_resources.0.desired_vcpus": "0",
	"compute_resources.0.ec2_configuration.#": "0", "compute_resources.0.ec2_key_pair": "", "compute_resources.0.image_id": "", "compute_resources.0.instance_role": "",
	"compute_resources.0.instance_type.#": "0", "compute_resources.0.launch_template.#": "0", "compute_resources.0.max_vcpus": "16", "compute_resources.0.min_vcpus": "0",
	"compute_resources.0.placement_group": "", "compute_resources.0.spot_iam_fleet_role": "", "compute_resources.0.tags.%": "0", "tags_all.%": "0", "type": "MANAGED", "state": "ENABLED",
}

func TestComputeEnvironment_createFargate_createFargateSpot_defaultServiceRole(t *testing.T) {
	p := configure(t)
	s := p.stack()
	for typ, role := range map[types.CRType]string{types.CRTypeFargate: s.serviceRole, types.CRTypeFargateSpot: ""} {
		got := p.createEnvironment(fargate(s, role, typ), nil)
		p.check("create", got, noEC2)
		if role == "" {
			role = "arn:aws:iam::" + p.account + ":role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
		}
		p.check("create", got, attributes{
			"service_role": role, "compute_resources.0.type": string(typ), "compute_resources.0.security_group_ids.#": "1", "compute_resources.0.security_group_ids.0": s.groups[0],
			"compute_resources.0.subnets.#": "1", "compute_resources.0.subnets.0": s.subnets[0],
		})
		p.deleteEnvironment(env)
	}
}

func TestComputeEnvironment_updateState(t *testing.T) {
	p := configure(t)
	s := p.stack()
	p.createEnvironment(batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String(env), ServiceRole: &s.serviceRole, Type: types.CETypeUnmanaged}, nil)
	// The provider sends the letter case of the configuration and keeps upper case.
	got := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(env), State: "disabled"})
	p.check("update", got, attributes{"state": "DISABLED", "compute_resources.#": "0", "service_role": s.serviceRole, "type": "UNMANAGED"})
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_updateServiceRole(t *testing.T) {
	p := configure(t)
	s := p.stack()
	p.createEnvironment(fargate(s, s.serviceRole, types.CRTypeFargate), nil)
	got := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String(env), ServiceRole: &s.serviceRole2, ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(16)},
	})
	p.check("update", got, noEC2)
	p.check("update", got, attributes{"service_role": s.serviceRole2})
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_UpdateSecurityGroupsAndSubnets_fargate(t *testing.T) {
	p := configure(t)
	s := p.stack()
	p.createEnvironment(fargate(s, s.serviceRole, types.CRTypeFargate), nil)
	got := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String(env), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[1:], Subnets: s.subnets[1:]},
	})
	want := attributes{}
	want.strings("compute_resources.0.security_group_ids", s.groups[1:], true)
	want.strings("compute_resources.0.subnets", s.subnets[1:], true)
	p.check("update", got, noEC2)
	p.check("update", got, want)
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_ComputeResources_minVCPUs_maxVCPUs(t *testing.T) {
	p := configure(t)
	s := p.stack()
	p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"optimal"}, MaxvCpus: aws.Int32(4), SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], Type: types.CRTypeEc2,
	}), nil)
	for _, step := range []struct {
		update       types.ComputeResourceUpdate
		max, min     string
		desiredAfter string
	}{
		{types.ComputeResourceUpdate{MaxvCpus: aws.Int32(8)}, "8", "0", "0"},
		{types.ComputeResourceUpdate{MaxvCpus: aws.Int32(2)}, "2", "0", "0"},
		{types.ComputeResourceUpdate{MaxvCpus: aws.Int32(4), MinvCpus: aws.Int32(4)}, "4", "4", "4"},
		{types.ComputeResourceUpdate{MaxvCpus: aws.Int32(4), MinvCpus: aws.Int32(2)}, "4", "2", "4"},
	} {
		got := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(env), ComputeResources: &step.update})
		p.check("update to "+step.max+", "+step.min, got, attributes{
			"compute_resources.0.max_vcpus": step.max, "compute_resources.0.min_vcpus": step.min, "compute_resources.0.desired_vcpus": step.desiredAfter,
			"compute_resources.0.instance_type.0": "optimal", "compute_resources.0.launch_template.#": "0", "service_role": s.serviceRole,
		})
	}
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_ec2Configuration_ec2ConfigurationPlacementGroup(t *testing.T) {
	p := configure(t)
	s := p.stack()
	p.call("CreatePlacementGroup", "GroupName", env, "Strategy", "cluster")
	p.check("placement group", attributes{"state": p.call("DescribePlacementGroups", "GroupName.1", env).text("placementGroupSet/item/state")}, attributes{"state": "available"})
	got := p.createEnvironment(managed(s.serviceRole, types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"optimal"}, MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[:1], SpotIamFleetRole: &s.fleetRole,
		Subnets: s.subnets[:1], Type: types.CRTypeSpot, PlacementGroup: aws.String(env),
		Ec2Configuration: []types.Ec2Configuration{
			{ImageIdOverride: aws.String("ami-1"), ImageType: aws.String("ECS_AL2")}, {ImageIdOverride: aws.String("ami-1"), ImageType: aws.String("ECS_AL2_NVIDIA")},
		},
	}), nil)
	p.check("create", got, attributes{
		"compute_resources.0.ec2_configuration.#": "2", "compute_resources.0.ec2_configuration.0.image_type": "ECS_AL2", "compute_resources.0.ec2_configuration.0.image_id_override": "ami-1",
		"compute_resources.0.ec2_configuration.1.image_type": "ECS_AL2_NVIDIA", "compute_resources.0.ec2_configuration.1.image_id_override": "ami-1",
		"compute_resources.0.placement_group": env, "compute_resources.0.desired_vcpus": "0", "compute_resources.0.type": "SPOT",
	})
	p.deleteEnvironment(env)
	p.call("DeletePlacementGroup", "GroupName", env)
	_, err := p.ec2("DescribePlacementGroups", "GroupName.1", env)
	p.refused("the placement group is gone", err, "InvalidPlacementGroup.Unknown", env)
}

func TestComputeEnvironment_launchTemplate_updateLaunchTemplate(t *testing.T) {
	p := configure(t)
	s := p.stack()
	template := p.call("CreateLaunchTemplate", "LaunchTemplateName", env, "LaunchTemplateData.UserData", "", "LaunchTemplateData.SecurityGroupId.1", s.groups[0]).text("launchTemplate/launchTemplateId")
	resources := types.ComputeResource{
		InstanceRole: &s.profile, InstanceTypes: []string{"c4.large"}, MaxvCpus: aws.Int32(16), SpotIamFleetRole: &s.fleetRole, Subnets: s.subnets[:1], Type: types.CRTypeSpot,
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String(env)},
	}
	got := p.createEnvironment(managed(s.serviceRole, resources), nil)
	p.check("by name", got, attributes{
		"compute_resources.0.launch_template.#": "1", "compute_resources.0.launch_template.0.launch_template_id": "", "compute_resources.0.launch_template.0.launch_template_name": env,
		"compute_resources.0.launch_template.0.version": "", "compute_resources.0.security_group_ids.#": "0",
	})
	p.deleteEnvironment(env)
	// With a service role of its own the provider replaces the environment when the version changes.
	for _, version := range []string{"$Default", "$Latest"} {
		resources.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: &template, Version: &version}
		resources.SecurityGroupIds = s.groups[:1]
		got = p.createEnvironment(managed(s.serviceRole, resources), nil)
		p.check("by id", got, attributes{
			"compute_resources.0.launch_template.#": "1", "compute_resources.0.launch_template.0.launch_template_id": template, "compute_resources.0.launch_template.0.launch_template_name": "",
			"compute_resources.0.launch_template.0.version": version, "compute_resources.0.security_group_ids.#": "1",
		})
		p.deleteEnvironment(env)
	}
}

// TestComputeEnvironment_updateEC2 changes everything of an environment in place, and back: the provider does so where the
// service role is the linked one. Versions that replace the environment instead send what the second create sends.
func TestComputeEnvironment_updateEC2(t *testing.T) {
	p := configure(t)
	s := p.stack()
	key := p.call("ImportKeyPair", "KeyName", env, "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(publicKey))).text("keyName")
	template := p.call("CreateLaunchTemplate", "LaunchTemplateName", env, "LaunchTemplateData.UserData", "").text("launchTemplate/launchTemplateId")
	before := p.createEnvironment(managed("", types.ComputeResource{
		AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, InstanceRole: &s.profile, InstanceTypes: []string{"optimal"}, MaxvCpus: aws.Int32(16),
		SecurityGroupIds: s.groups[:1], SpotIamFleetRole: &s.fleetRole, Subnets: s.subnets[:1], Type: types.CRTypeEc2,
	}), nil)
	p.check("create", before, attributes{
		"compute_resources.0.allocation_strategy": "BEST_FIT_PROGRESSIVE", "compute_resources.0.ec2_configuration.#": "1", "compute_resources.0.launch_template.#": "0",
		"compute_resources.0.tags.%": "0", "compute_resources.0.spot_iam_fleet_role": s.fleetRole,
	})
	got := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(env), ComputeResources: &types.ComputeResourceUpdate{
		MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[1:2], Subnets: s.subnets[1:], AllocationStrategy: "SPOT_CAPACITY_OPTIMIZED", Type: types.CRTypeSpot, BidPercentage: aws.Int32(100),
		Ec2Configuration: []types.Ec2Configuration{{ImageIdOverride: aws.String("ami-1"), ImageType: aws.String("ECS_AL2")}}, Ec2KeyPair: &key, InstanceRole: &s.profile2,
		InstanceTypes: []string{"c4.large"}, LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: &template, Version: aws.String("$Latest")}, Tags: map[string]string{"updated": "yes"},
	}})
	p.check("update", got, attributes{
		"compute_resources.0.allocation_strategy": "SPOT_CAPACITY_OPTIMIZED", "compute_resources.0.bid_percentage": "100", "compute_resources.0.desired_vcpus": "0",
		"compute_resources.0.ec2_configuration.#": "1", "compute_resources.0.ec2_configuration.0.image_id_override": "ami-1", "compute_resources.0.ec2_configuration.0.image_type": "ECS_AL2",
		"compute_resources.0.ec2_key_pair": key, "compute_resources.0.image_id": "", "compute_resources.0.instance_role": s.profile2, "compute_resources.0.instance_type.0": "c4.large",
		"compute_resources.0.launch_template.#": "1", "compute_resources.0.launch_template.0.launch_template_id": template, "compute_resources.0.launch_template.0.version": "$Latest",
		"compute_resources.0.security_group_ids.0": s.groups[1], "compute_resources.0.subnets.0": s.subnets[1], "compute_resources.0.tags.%": "1", "compute_resources.0.tags.updated": "yes",
		"compute_resources.0.type": "SPOT", "compute_resources.0.max_vcpus": "16", "compute_resources.0.min_vcpus": "0",
	})
	after := p.updateEnvironment(batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(env), ComputeResources: &types.ComputeResourceUpdate{
		MaxvCpus: aws.Int32(16), SecurityGroupIds: s.groups[:1], Subnets: s.subnets[:1], AllocationStrategy: "BEST_FIT_PROGRESSIVE", Type: types.CRTypeEc2, BidPercentage: aws.Int32(0),
		Ec2Configuration: []types.Ec2Configuration{{ImageType: aws.String("ECS_AL2023")}}, Ec2KeyPair: aws.String(""), InstanceRole: &s.profile,
		InstanceTypes: []string{"optimal"}, LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("")}, Tags: map[string]string{},
	}})
	p.same("changed back", before, after)
	p.deleteEnvironment(env)
}

func TestComputeEnvironment_createEC2WithoutComputeResources_createUnmanagedWithComputeResources(t *testing.T) {
	p := configure(t)
	s := p.stack()
	_, err := p.batch.CreateComputeEnvironment(p.Context(), &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String(env), ServiceRole: &s.serviceRole, Type: types.CETypeManaged, State: types.CEStateEnabled,
	})
	p.refused("no resources", err, "ClientException", "computeResources must be provided for a MANAGED compute environment")
	// The provider refuses compute_resources of an UNMANAGED environment itself. A refused create leaves nothing.
	if _, _, err := p.readEnvironment(env); !errors.Is(err, errGone) {
		t.Error("a refused environment is there")
	}
}

func TestComputeEnvironment_eksConfiguration_isRefused(t *testing.T) {
	p := configure(t)
	in := fargate(&stack{groups: []string{"sg-1"}, subnets: []string{"subnet-1"}}, "", types.CRTypeFargate)
	in.EksConfiguration = &types.EksConfiguration{EksClusterArn: aws.String(p.arn("eks", "cluster/c")), KubernetesNamespace: aws.String("test")}
	_, err := p.batch.CreateComputeEnvironment(p.Context(), &in)
	p.refused("EKS", err, "ClientException", "batchbox does not run compute environments on Amazon EKS")
}

// publicKey is a key pair's public half, made for these tests.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4hPPbcdwL1KfpCXnMjmWx3xSzZlsZlVdOlyxFpcL0u provider@test"
