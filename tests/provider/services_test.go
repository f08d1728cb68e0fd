package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
)

func TestECRRepository_lifecyclePolicy_repositoryPolicy(t *testing.T) {
	p := configure(t)
	ctx, name := p.Context(), "team/app"
	read := func() (attributes, error) {
		out, err := p.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
		if err != nil {
			return nil, err
		}
		r := out.Repositories[0]
		a := attributes{
			"arn": str(r.RepositoryArn), "name": str(r.RepositoryName), "registry_id": str(r.RegistryId), "repository_url": str(r.RepositoryUri), "image_tag_mutability": string(r.ImageTagMutability),
			"encryption_configuration.0.encryption_type": string(r.EncryptionConfiguration.EncryptionType), "encryption_configuration.0.kms_key": str(r.EncryptionConfiguration.KmsKey),
			"image_scanning_configuration.0.scan_on_push": fmt.Sprint(r.ImageScanningConfiguration.ScanOnPush), "image_tag_mutability_exclusion_filter.#": fmt.Sprint(len(r.ImageTagMutabilityExclusionFilters)),
		}
		tags := map[string]string{}
		for _, tag := range must(p.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: r.RepositoryArn}))(t).Tags {
			tags[str(tag.Key)] = str(tag.Value)
		}
		a.mapping("tags_all", tags)
		return a, nil
	}
	made := must(p.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable, EncryptionConfiguration: &ecrtypes.EncryptionConfiguration{EncryptionType: ecrtypes.EncryptionTypeAes256},
		Tags: []ecrtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	}))(p).Repository
	got := must(read())(p)
	p.check("create", got, attributes{
		"arn": p.arn("ecr", "repository/"+name), "name": name, "registry_id": p.account, "image_tag_mutability": "MUTABLE", "encryption_configuration.0.encryption_type": "AES256",
		"encryption_configuration.0.kms_key": "", "image_scanning_configuration.0.scan_on_push": "false", "image_tag_mutability_exclusion_filter.#": "0", "tags_all.%": "1", "tags_all.k": "v",
	})
	if !strings.HasSuffix(got["repository_url"], "/"+p.account+"/"+region+"/"+name) && !strings.HasSuffix(got["repository_url"], "/"+name) {
		t.Errorf("repository_url %s", got["repository_url"])
	}
	p.same("read again", got, must(read())(p))
	_, err := p.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
	p.refused("a name already taken", err, "RepositoryAlreadyExistsException", name)

	must(p.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: &name, RegistryId: &p.account, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable}))(p)
	must(p.ecr.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{RepositoryName: &name, RegistryId: &p.account, ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: true}}))(p)
	must(p.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: made.RepositoryArn, TagKeys: []string{"k"}}))(p)
	p.check("update", must(read())(p), attributes{"image_tag_mutability": "IMMUTABLE", "image_scanning_configuration.0.scan_on_push": "true", "tags_all.%": "0"})

	_, err = p.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name})
	p.refused("no lifecycle policy", err, "LifecyclePolicyNotFoundException", name)
	_, err = p.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
	p.refused("no repository policy", err, "RepositoryPolicyNotFoundException", name)
	lifecycle := `{"rules":[{"rulePriority":1,"description":"keep ten","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}`
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage"]}]}`
	must(p.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &lifecycle}))(p)
	must(p.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: &policy}))(p)
	samePolicy(t, "lifecycle policy", str(must(p.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name}))(p).LifecyclePolicyText), lifecycle)
	samePolicy(t, "repository policy", str(must(p.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name}))(p).PolicyText), policy)
	must(p.ecr.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: &name, RegistryId: &p.account}))(p)
	must(p.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &name, RegistryId: &p.account}))(p)
	_, err = p.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &name, RegistryId: &p.account})
	p.refused("a repository policy that is gone", err, "RepositoryPolicyNotFoundException", name)

	token := must(p.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{}))(p).AuthorizationData[0]
	if user := string(must(base64.StdEncoding.DecodeString(*token.AuthorizationToken))(t)); !strings.HasPrefix(user, "AWS:") || token.ExpiresAt == nil || token.ProxyEndpoint == nil {
		t.Errorf("data.aws_ecr_authorization_token: %q at %s", user, str(token.ProxyEndpoint))
	}
	must(p.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name, RegistryId: &p.account, Force: true}))(p)
	_, err = read()
	p.refused("a repository that is gone", err, "RepositoryNotFoundException", name)
	_, err = p.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &lifecycle})
	p.refused("its policy", err, "RepositoryNotFoundException", name)
}

func TestCloudWatchLogs_group_stream_metricFilter_resourcePolicy(t *testing.T) {
	p := configure(t)
	ctx, name := p.Context(), "/aws/batch/tf"
	arn := p.arn("logs", "log-group:"+name)
	read := func() (attributes, error) {
		pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(p.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
		for pages.HasMorePages() {
			for _, g := range must(pages.NextPage(ctx))(p).LogGroups {
				if str(g.LogGroupName) != name {
					continue
				}
				a := attributes{"arn": strings.TrimSuffix(str(g.Arn), ":*"), "name": str(g.LogGroupName), "retention_in_days": num(g.RetentionInDays), "kms_key_id": str(g.KmsKeyId), "log_group_class": string(g.LogGroupClass)}
				a.mapping("tags_all", must(p.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(a["arn"])}))(p).Tags)
				return a, nil
			}
		}
		return nil, errGone
	}
	must(p.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, LogGroupClass: logtypes.LogGroupClassStandard, Tags: map[string]string{"k": "v"}}))(p)
	must(p.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(name + "-longer")}))(p)
	p.check("create", must(read())(p), attributes{"arn": arn, "name": name, "retention_in_days": "0", "kms_key_id": "", "log_group_class": "STANDARD", "tags_all.%": "1", "tags_all.k": "v"})
	_, err := p.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	p.refused("a name already taken", err, "ResourceAlreadyExistsException", "")
	must(p.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &name, RetentionInDays: aws.Int32(14)}))(p)
	must(p.logs.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"k2": ""}}))(p)
	must(p.logs.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"k"}}))(p)
	p.check("update", must(read())(p), attributes{"retention_in_days": "14", "tags_all.%": "1", "tags_all.k2": ""})
	must(p.logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: &name}))(p)
	p.check("never expire", must(read())(p), attributes{"retention_in_days": "0"})

	must(p.logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &name, LogStreamName: aws.String("s")}))(p)
	streams := must(p.logs.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &name, LogStreamNamePrefix: aws.String("s")}))(p).LogStreams
	if len(streams) != 1 || str(streams[0].Arn) != arn+":log-stream:s" {
		t.Errorf("aws_cloudwatch_log_stream: %+v", streams)
	}
	must(p.logs.PutMetricFilter(ctx, &cloudwatchlogs.PutMetricFilterInput{LogGroupName: &name, FilterName: aws.String("f"), FilterPattern: aws.String("ERROR"),
		MetricTransformations: []logtypes.MetricTransformation{{MetricName: aws.String("m"), MetricNamespace: aws.String("n"), MetricValue: aws.String("1"), DefaultValue: aws.Float64(0), Unit: logtypes.StandardUnitCount}}}))(p)
	filters := must(p.logs.DescribeMetricFilters(ctx, &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: &name, FilterNamePrefix: aws.String("f")}))(p).MetricFilters
	if len(filters) != 1 || str(filters[0].FilterPattern) != "ERROR" || aws.ToFloat64(filters[0].MetricTransformations[0].DefaultValue) != 0 || filters[0].MetricTransformations[0].DefaultValue == nil {
		t.Errorf("aws_cloudwatch_log_metric_filter: %+v", filters)
	}
	must(p.logs.DeleteMetricFilter(ctx, &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: &name, FilterName: aws.String("f")}))(p)
	_, err = p.logs.PutSubscriptionFilter(ctx, &cloudwatchlogs.PutSubscriptionFilterInput{LogGroupName: &name, FilterName: aws.String("f"), FilterPattern: aws.String(""), DestinationArn: aws.String(p.arn("lambda", "function:f"))})
	p.refused("aws_cloudwatch_log_subscription_filter", err, "OperationNotSupportedException", "batchbox delivers log events to no destination")
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["events.amazonaws.com"]},"Action":["logs:PutLogEvents"],"Resource":"*"}]}`
	must(p.logs.PutResourcePolicy(ctx, &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: &document}))(p)
	policies := must(p.logs.DescribeResourcePolicies(ctx, &cloudwatchlogs.DescribeResourcePoliciesInput{}))(p).ResourcePolicies
	if len(policies) != 1 || str(policies[0].PolicyName) != "events" {
		t.Errorf("aws_cloudwatch_log_resource_policy: %+v", policies)
	} else {
		samePolicy(t, "resource policy", str(policies[0].PolicyDocument), document)
	}
	must(p.logs.DeleteResourcePolicy(ctx, &cloudwatchlogs.DeleteResourcePolicyInput{PolicyName: aws.String("events")}))(p)
	must(p.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &name}))(p)
	if _, err := read(); err != errGone {
		t.Errorf("a log group that is gone: %v", err)
	}
	_, err = p.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &name})
	p.refused("delete it again", err, "ResourceNotFoundException", "")
	_, err = p.logs.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &name})
	p.refused("its streams", err, "ResourceNotFoundException", "")
}

// events makes a call of EventBridge, whose SDK is not among the modules of the project.
func (p *provider) events(operation string, in map[string]any) (map[string]any, error) {
	p.Helper()
	status, body := p.post("events", "application/x-amz-json-1.1", "AWSEvents."+operation, string(must(json.Marshal(in))(p)))
	out := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &out); err != nil {
			p.Fatalf("%s: %v\n%s", operation, err, body)
		}
	}
	if status != http.StatusOK {
		message, _ := out["message"].(string)
		if message == "" {
			message, _ = out["Message"].(string)
		}
		return nil, &smithy.GenericAPIError{Code: fmt.Sprint(out["__type"]), Message: message}
	}
	return out, nil
}

func TestCloudWatchEvents_rule_target(t *testing.T) {
	p := configure(t)
	const pattern = `{"detail":{"status":["FAILED"]},"detail-type":["Batch Job State Change"],"source":["aws.batch"]}`
	must(p.logs.CreateLogGroup(p.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/aws/events/batch")}))(p)
	rule := map[string]any{"Name": "r", "EventBusName": "default", "EventPattern": pattern, "Description": "failed jobs", "Tags": []any{map[string]any{"Key": "k", "Value": "v"}}}
	arn := must(p.events("PutRule", rule))(p)["RuleArn"]
	if arn != p.arn("events", "rule/r") {
		t.Errorf("rule %v", arn)
	}
	named := map[string]any{"Name": "r", "EventBusName": "default"}
	got := must(p.events("DescribeRule", named))(p)
	for member, want := range map[string]any{"Name": "r", "Arn": arn, "EventPattern": pattern, "Description": "failed jobs", "State": "ENABLED", "RoleArn": nil, "ScheduleExpression": nil, "EventBusName": "default"} {
		if got[member] != want {
			t.Errorf("aws_cloudwatch_event_rule: %s is %v, want %v", member, got[member], want)
		}
	}
	tags := func() string {
		return fmt.Sprint(must(p.events("ListTagsForResource", map[string]any{"ResourceARN": arn}))(p)["Tags"])
	}
	if got := tags(); got != "[map[Key:k Value:v]]" {
		t.Errorf("tags %s", got)
	}
	// An update sends the rule again, without a description if that was removed, and with tags, which do not count.
	delete(rule, "Description")
	rule["State"], rule["Tags"] = "DISABLED", []any{map[string]any{"Key": "ignored", "Value": ""}}
	must(p.events("PutRule", rule))(p)
	if got := must(p.events("DescribeRule", named))(p); got["State"] != "DISABLED" || got["Description"] != nil {
		t.Errorf("updated rule %v", got)
	}
	if got := tags(); got != "[map[Key:k Value:v]]" {
		t.Errorf("tags after the update %s", got)
	}
	target := map[string]any{"Id": "logs", "Arn": p.arn("logs", "log-group:/aws/events/batch"), "RetryPolicy": map[string]any{"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1}}
	if out := must(p.events("PutTargets", map[string]any{"Rule": "r", "EventBusName": "default", "Targets": []any{target}}))(p); out["FailedEntryCount"] != 0.0 || len(out["FailedEntries"].([]any)) != 0 {
		t.Errorf("PutTargets %v", out)
	}
	queue, _ := p.createQueue(batch.CreateJobQueueInput{JobQueueName: aws.String("q"), ComputeEnvironmentOrder: ordered(1, p.environments(env)[0])})
	job := map[string]any{
		"Id": "retry", "Arn": queue, "RoleArn": "arn:aws:iam::" + p.account + ":role/batch_service",
		"BatchParameters":  map[string]any{"JobDefinition": "jd:1", "JobName": "again", "ArrayProperties": map[string]any{"Size": 2}, "RetryStrategy": map[string]any{"Attempts": 3}},
		"InputTransformer": map[string]any{"InputPathsMap": map[string]any{"job": "$.detail.jobId"}, "InputTemplate": `{"Parameters": {"job": <job>}}`},
	}
	if out := must(p.events("PutTargets", map[string]any{"Rule": "r", "EventBusName": "default", "Targets": []any{job}}))(p); out["FailedEntryCount"] != 0.0 {
		t.Errorf("PutTargets %v", out)
	}
	listed := must(p.events("ListTargetsByRule", map[string]any{"Rule": "r", "EventBusName": "default", "Limit": 100}))(p)["Targets"]
	sameJSON(t, "aws_cloudwatch_event_target", listed, string(must(json.Marshal([]any{target, job}))(t)))
	must(p.events("RemoveTargets", map[string]any{"Rule": "r", "EventBusName": "default", "Ids": []any{"retry"}, "Force": false}))(p)
	_, err := p.events("DeleteRule", named)
	p.refused("a rule with targets", err, "ValidationException", "Rule can't be deleted since it has targets")
	removed := must(p.events("RemoveTargets", map[string]any{"Rule": "r", "EventBusName": "default", "Ids": []any{"logs"}, "Force": false}))(p)
	if removed["FailedEntryCount"] != 0.0 {
		t.Errorf("RemoveTargets %v", removed)
	}
	if left := must(p.events("ListTargetsByRule", map[string]any{"Rule": "r"}))(p)["Targets"].([]any); len(left) != 0 {
		t.Errorf("targets left: %v", left)
	}
	must(p.events("DeleteRule", named))(p)
	for _, gone := range []struct {
		operation string
		in        map[string]any
	}{{"DescribeRule", named}, {"ListTargetsByRule", map[string]any{"Rule": "r"}}, {"RemoveTargets", map[string]any{"Rule": "r", "Ids": []any{"logs"}}}} {
		_, err := p.events(gone.operation, gone.in)
		p.refused(gone.operation+" of a rule that is gone", err, "ResourceNotFoundException", "r")
	}
	must(p.events("DeleteRule", named))(p) // deleting what is not there is no error
	_, err = p.events("PutRule", map[string]any{"Name": "s", "ScheduleExpression": "rate(1 minute)"})
	p.refused("a schedule", err, "ValidationException", "batchbox runs no schedules")
}

// TestNetwork goes through aws_vpc and its neighbours as a stack around AWS Batch has them, and takes it down again in the
// order Terraform does.
func TestNetwork(t *testing.T) {
	p := configure(t)
	filter := func(pairs ...string) (list []string) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fmt.Sprintf("Filter.%d.Name", i/2+1), pairs[i], fmt.Sprintf("Filter.%d.Value.1", i/2+1), pairs[i+1])
		}
		return list
	}
	vpc := p.call("CreateVpc", "CidrBlock", "10.0.0.0/16", "InstanceTenancy", "default", "AmazonProvidedIpv6CidrBlock", "false",
		"TagSpecification.1.ResourceType", "vpc", "TagSpecification.1.Tag.1.Key", "Name", "TagSpecification.1.Tag.1.Value", "x").text("vpc/vpcId")
	p.call("ModifyVpcAttribute", "VpcId", vpc, "EnableDnsHostnames.Value", "true")
	for attribute, want := range map[string]string{"enableDnsHostnames": "true", "enableDnsSupport": "true", "enableNetworkAddressUsageMetrics": "false"} {
		p.check("aws_vpc", attributes{attribute: p.call("DescribeVpcAttribute", "VpcId", vpc, "Attribute", attribute).text(attribute + "/value")}, attributes{attribute: want})
	}
	read := p.call("DescribeVpcs", "VpcId.1", vpc)
	p.check("aws_vpc", attributes{
		"cidr_block": read.text("vpcSet/item/cidrBlock"), "instance_tenancy": read.text("vpcSet/item/instanceTenancy"), "owner_id": read.text("vpcSet/item/ownerId"), "ipv6": read.text("vpcSet/item/ipv6CidrBlockAssociationSet/item"),
		"default_network_acl": fmt.Sprint(len(p.call("DescribeNetworkAcls", filter("default", "true", "vpc-id", vpc)...).all("networkAclSet/item"))),
		"main_route_table":    fmt.Sprint(len(p.call("DescribeRouteTables", filter("association.main", "true", "vpc-id", vpc)...).all("routeTableSet/item"))),
		"default_group":       fmt.Sprint(len(p.call("DescribeSecurityGroups", filter("group-name", "default", "vpc-id", vpc)...).all("securityGroupInfo/item"))),
	}, attributes{"cidr_block": "10.0.0.0/16", "instance_tenancy": "default", "owner_id": p.account, "ipv6": "", "default_network_acl": "1", "main_route_table": "1", "default_group": "1"})

	gateway := p.call("CreateInternetGateway").text("internetGateway/internetGatewayId")
	p.call("AttachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	p.check("aws_internet_gateway", attributes{"state": p.call("DescribeInternetGateways", "InternetGatewayId.1", gateway).text("internetGatewaySet/item/attachmentSet/item/state")}, attributes{"state": "available"})
	subnet := p.call("CreateSubnet", "VpcId", vpc, "CidrBlock", "10.0.1.0/24", "AvailabilityZone", region+"b").text("subnet/subnetId")
	p.call("ModifySubnetAttribute", "SubnetId", subnet, "MapPublicIpOnLaunch.Value", "true")
	shown := p.call("DescribeSubnets", "SubnetId.1", subnet).all("subnetSet/item")[0]
	got, want := attributes{}, attributes{}
	for member, value := range map[string]string{
		"state": "available", "mapPublicIpOnLaunch": "true", "availabilityZone": region + "b", "assignIpv6AddressOnCreation": "false", "enableDns64": "false", "ipv6Native": "false",
		"privateDnsNameOptionsOnLaunch/hostnameType": "ip-name", "privateDnsNameOptionsOnLaunch/enableResourceNameDnsARecord": "false", "outpostArn": "",
		"subnetArn": p.arn("ec2", "subnet/"+subnet), "ownerId": p.account, "vpcId": vpc,
	} {
		got[member], want[member] = shown.text(member), value
	}
	p.check("aws_subnet", got, want)
	table := p.call("CreateRouteTable", "VpcId", vpc).text("routeTable/routeTableId")
	p.call("CreateRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0", "GatewayId", gateway)
	association := p.call("AssociateRouteTable", "RouteTableId", table, "SubnetId", subnet).text("associationId")
	routes := p.call("DescribeRouteTables", "RouteTableId.1", table)
	p.check("aws_route_table", attributes{
		"routes": routes.text("routeTableSet/item/routeSet/item/destinationCidrBlock"), "targets": routes.text("routeTableSet/item/routeSet/item/gatewayId"), "origins": routes.text("routeTableSet/item/routeSet/item/origin"),
		"states": routes.text("routeTableSet/item/routeSet/item/state"), "association": routes.text("routeTableSet/item/associationSet/item/associationState/state"),
		"by its association": p.call("DescribeRouteTables", filter("association.route-table-association-id", association)...).text("routeTableSet/item/routeTableId"),
	}, attributes{"routes": "10.0.0.0/16 0.0.0.0/0", "targets": "local " + gateway, "origins": "CreateRouteTable CreateRoute", "states": "active active", "association": "associated", "by its association": table})

	group := p.call("CreateSecurityGroup", "VpcId", vpc, "GroupName", "g", "GroupDescription", "Managed by Terraform").text("groupId")
	everything := []string{"GroupId", group, "IpPermissions.1.IpProtocol", "-1", "IpPermissions.1.FromPort", "0", "IpPermissions.1.ToPort", "0"}
	p.call("RevokeSecurityGroupEgress", slices.Concat(everything, []string{"IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"})...)
	_, err := p.ec2("RevokeSecurityGroupEgress", slices.Concat(everything, []string{"IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "::/0"})...)
	p.refused("the default IPv6 rule, which is not there", err, "InvalidPermission.NotFound", "")
	p.call("AuthorizeSecurityGroupEgress", slices.Concat(everything, []string{"IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"})...)
	_, err = p.ec2("AuthorizeSecurityGroupEgress", slices.Concat(everything, []string{"IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"})...)
	p.refused("a rule twice", err, "InvalidPermission.Duplicate", "")
	rule := p.call("AuthorizeSecurityGroupIngress", "GroupId", group, "IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort", "443", "IpPermissions.1.ToPort", "443",
		"IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8").text("securityGroupRuleSet/item/securityGroupRuleId")
	p.call("ModifySecurityGroupRules", "GroupId", group, "SecurityGroupRule.1.SecurityGroupRuleId", rule, "SecurityGroupRule.1.SecurityGroupRule.IpProtocol", "tcp",
		"SecurityGroupRule.1.SecurityGroupRule.FromPort", "80", "SecurityGroupRule.1.SecurityGroupRule.ToPort", "81", "SecurityGroupRule.1.SecurityGroupRule.CidrIpv4", "10.0.0.0/9")
	changed := p.call("DescribeSecurityGroupRules", "SecurityGroupRuleId.1", rule)
	p.check("aws_vpc_security_group_ingress_rule", attributes{
		"cidr_ipv4": changed.text("securityGroupRuleSet/item/cidrIpv4"), "from_port": changed.text("securityGroupRuleSet/item/fromPort"), "to_port": changed.text("securityGroupRuleSet/item/toPort"),
		"arn": changed.text("securityGroupRuleSet/item/securityGroupRuleArn"),
	}, attributes{"cidr_ipv4": "10.0.0.0/9", "from_port": "80", "to_port": "81", "arn": p.arn("ec2", "security-group-rule/"+rule)})
	p.call("RevokeSecurityGroupIngress", "GroupId", group, "SecurityGroupRuleId.1", rule)
	_, err = p.ec2("DescribeSecurityGroupRules", "SecurityGroupRuleId.1", rule)
	p.refused("a rule that is gone", err, "InvalidSecurityGroupRuleId.NotFound", rule)

	// In use: the provider tries again on these codes, and on no other.
	p.call("CreateNetworkInterface", "SubnetId", subnet, "SecurityGroupId.1", group)
	_, err = p.ec2("DeleteSecurityGroup", "GroupId", group)
	p.refused("a group in use", err, "DependencyViolation", group)
	_, err = p.ec2("DeleteSubnet", "SubnetId", subnet)
	p.refused("a subnet in use", err, "DependencyViolation", subnet)
	for _, eni := range p.call("DescribeNetworkInterfaces", filter("group-id", group)...).all("networkInterfaceSet/item/networkInterfaceId") {
		p.call("DeleteNetworkInterface", "NetworkInterfaceId", eni.Text)
	}
	p.call("DisassociateRouteTable", "AssociationId", association)
	p.call("DeleteRoute", "RouteTableId", table, "DestinationCidrBlock", "0.0.0.0/0")
	p.call("DeleteRouteTable", "RouteTableId", table)
	p.call("DeleteSecurityGroup", "GroupId", group)
	p.call("DeleteSubnet", "SubnetId", subnet)
	_, err = p.ec2("DeleteVpc", "VpcId", vpc)
	p.refused("a VPC in use", err, "DependencyViolation", vpc)
	p.call("DetachInternetGateway", "InternetGatewayId", gateway, "VpcId", vpc)
	p.call("DeleteInternetGateway", "InternetGatewayId", gateway)
	p.call("DeleteVpc", "VpcId", vpc)
	for _, gone := range []struct{ code, action, parameter, id string }{
		{"InvalidVpcID.NotFound", "DescribeVpcs", "VpcId.1", vpc}, {"InvalidSubnetID.NotFound", "DescribeSubnets", "SubnetId.1", subnet}, {"InvalidRouteTableID.NotFound", "DescribeRouteTables", "RouteTableId.1", table},
		{"InvalidInternetGatewayID.NotFound", "DescribeInternetGateways", "InternetGatewayId.1", gateway}, {"InvalidGroup.NotFound", "DescribeSecurityGroups", "GroupId.1", group},
		{"InvalidVpcID.NotFound", "DeleteVpc", "VpcId", vpc}, {"InvalidSubnetID.NotFound", "DeleteSubnet", "SubnetId", subnet}, {"InvalidRouteTableID.NotFound", "DeleteRouteTable", "RouteTableId", table},
		{"InvalidInternetGatewayID.NotFound", "DeleteInternetGateway", "InternetGatewayId", gateway}, {"InvalidGroup.NotFound", "DeleteSecurityGroup", "GroupId", group},
	} {
		_, err := p.ec2(gone.action, gone.parameter, gone.id)
		p.refused(gone.action+" of what is gone", err, gone.code, gone.id)
	}
}

// TestDefaultNetwork is data.aws_vpc {default = true}, data.aws_subnets and data.aws_security_group of a new account, and
// aws_security_group without a vpc_id.
func TestDefaultNetwork(t *testing.T) {
	p := configure(t)
	vpc := p.call("DescribeVpcs", "Filter.1.Name", "isDefault", "Filter.1.Value.1", "true").text("vpcSet/item/vpcId")
	subnets := p.call("DescribeSubnets", "Filter.1.Name", "vpc-id", "Filter.1.Value.1", vpc, "Filter.2.Name", "default-for-az", "Filter.2.Value.1", "true").all("subnetSet/item/subnetId")
	group := p.call("DescribeSecurityGroups", "Filter.1.Name", "vpc-id", "Filter.1.Value.1", vpc, "Filter.2.Name", "group-name", "Filter.2.Value.1", "default").text("securityGroupInfo/item/groupId")
	if vpc == "" || len(subnets) < 2 || group == "" {
		t.Errorf("default VPC %q with %d subnets and group %q", vpc, len(subnets), group)
	}
	own := p.call("CreateSecurityGroup", "GroupName", "sample", "GroupDescription", "Managed by Terraform").text("groupId")
	if got := p.call("DescribeSecurityGroups", "GroupId.1", own).text("securityGroupInfo/item/vpcId"); got != vpc {
		t.Errorf("a security group without a VPC is in %s", got)
	}
	_, err := p.ec2("DescribeVpcs", "VpcId.1", "vpc-0123456789abcdef0")
	p.refused("a VPC that does not exist", err, "InvalidVpcID.NotFound", "vpc-0123456789abcdef0")
}
