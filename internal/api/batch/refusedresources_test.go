package batch_test

import "strings"

// Documents that are accepted; the cases change one thing.
const (
	fargateEnvironment = `{"computeEnvironmentName":"new","type":"MANAGED","computeResources":{"type":"FARGATE","maxvCpus":4,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	ec2Environment     = `{"computeEnvironmentName":"new","type":"MANAGED","computeResources":{"type":"EC2","allocationStrategy":"BEST_FIT_PROGRESSIVE","minvCpus":0,"maxvCpus":8,"desiredvCpus":4,
		"instanceRole":"ecsInstanceRole","instanceTypes":["optimal"],"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	jobQueue = `{"jobQueueName":"newq","priority":1,"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ce"}]}`
	policy   = `{"name":"newp","fairsharePolicy":{"shareDistribution":[{"shareIdentifier":"A","weightFactor":1}]}}`
)

// refusedResources are the refusals of sections 1, 2.1, 2.2, 2.4, 2.5 and 7.4.
func refusedResources() []refusal {
	const (
		createCE, updateCE, deleteCE = "CreateComputeEnvironment", "UpdateComputeEnvironment", "DeleteComputeEnvironment"
		createJQ, updateJQ, deleteJQ = "CreateJobQueue", "UpdateJobQueue", "DeleteJobQueue"
		createSP, updateSP           = "CreateSchedulingPolicy", "UpdateSchedulingPolicy"
		createCR, updateCR           = "CreateConsumableResource", "UpdateConsumableResource"
		fairARN                      = arnBase + "scheduling-policy/fair"
	)
	names := func(n int) list { return repeat(n, func(int) any { return "x" }) }
	order := func(names ...string) list {
		return repeat(len(names), func(i int) any { return obj{"order": i + 1, "computeEnvironment": names[i]} })
	}
	limit := obj{"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
	limits := func(pairs ...any) string {
		return edit(edit(jobQueue, "jobStateTimeLimitActions", list{limit}), pairs...)
	}
	cases := []refusal{
		// 1.4: lookups.
		invalid("1.4", "DescribeComputeEnvironments", `{"computeEnvironments":["ce"],"maxResults":1}`, "ComputeEnvironments and MaxResults cannot both be set"),
		invalid("1.4", "DescribeJobQueues", `{"jobQueues":["q"],"maxResults":1}`, "JobQueues and MaxResults cannot both be set"),
		invalid("1.4", "DescribeJobDefinitions", `{"jobDefinitions":["jd:1"],"maxResults":1}`, "JobDefinitions and MaxResults cannot both be set"),
		invalid("1.4", "DescribeJobs", edit("{}", "jobs", names(101)), "Maximum number of jobs supported is  100#"),
		invalid("1.2", "DescribeJobQueues", edit("{}", "jobQueues", names(101)), "Maximum number of JobQueues supported is  100#"),
		invalid("1.2", "DescribeJobQueues", `{"maxResults":101}`, "maxResults must be between 1 and 100."),
		invalid("1.2", "DescribeJobQueues", `{"nextToken":"made-up"}`, "nextToken is not valid."),
		invalid("1.4", createJQ, `{"jobQueueName":"newq"}`, "1 validation error detected: Value null at 'priority' failed to satisfy constraint: Member must not be null"),
		bare("1.4", updateJQ, `{"jobQueue":"none","state":"DISABLED"}`, arnBase+"job-queue/none does not exist"),
		bare("1.4", deleteJQ, `{"jobQueue":"none"}`, arnBase+"job-queue/none does not exist"),
		bare("1.4", deleteJQ, `{"jobQueue":"`+arnBase+`compute-environment/ce"}`, arnBase+"compute-environment/ce does not exist"),
		bare("1.4", "GetJobQueueSnapshot", `{"jobQueue":"none"}`, arnBase+"job-queue/none does not exist"),
		bare("1.4", updateCE, `{"computeEnvironment":"none","state":"DISABLED"}`, arnBase+"compute-environment/none does not exist"),
		bare("1.4", deleteCE, `{"computeEnvironment":"none"}`, arnBase+"compute-environment/none does not exist"),
		bare("1.4", deleteCE, `{"computeEnvironment":"`+arnBase+`job-queue/q"}`, arnBase+"job-queue/q does not exist"),
		bare("1.4", createCE, edit(fargateEnvironment, "computeEnvironmentName", "ce"), "Object already exists"),
		bare("1.4", createJQ, edit(jobQueue, "jobQueueName", "q"), arnBase+"job-queue/q already exists"),
		bare("1.4", createSP, edit(policy, "name", "fair"), fairARN+" already exists"),
		bare("1.4", createCR, `{"consumableResourceName":"token"}`, arnBase+"consumable-resource/token already exists"),
		bare("1.4", deleteCE, `{"computeEnvironment":"off"}`, "Cannot delete, found existing JobQueue relationship."),
		bare("2.1", deleteCE, `{"computeEnvironment":"ce"}`, "Cannot delete, Compute Environment state must be DISABLED."),
		bare("2.2", deleteJQ, `{"jobQueue":"q"}`, "Cannot delete, Job Queue state must be DISABLED."),
		bare("2.4", "DeleteSchedulingPolicy", `{"arn":"`+fairARN+`"}`, "Cannot delete, scheduling policy is in use by job queue fairq."),
		bare("2.4", updateSP, `{"arn":"fair"}`, "fair does not exist"),
		bare("7.4", "DeleteConsumableResource", `{"consumableResource":"none"}`, "ConsumableResource none not found."),

		// 2.1: compute environments.
		invalid("2.1", createCE, edit(fargateEnvironment, "computeEnvironmentName", "a b"), "Compute Environment name should match a valid pattern."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeEnvironmentName", strings.Repeat("a", 129)), "Compute Environment name should match a valid pattern."),
		invalid("2.1", createCE, edit(fargateEnvironment, "state", "DISABLED"), "Compute Environment must be created in ENABLED state."),
		invalid("2.1", createCE, edit(fargateEnvironment, "type", "OTHER"), "Compute Environment type must be one of [MANAGED, UNMANAGED]."),
		invalid("2.1", createCE, edit(fargateEnvironment, "unmanagedvCpus", 1), "unmanagedvCpus is not applicable for managed Compute Environments"),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","unmanagedvCpus":1}`, "unmanagedvCpus is not applicable for managed Compute Environments"),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources", nil), "computeResources must be provided for a MANAGED compute environment"),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.type", "OTHER"), "Compute resource type must be one of [EC2, SPOT, FARGATE, FARGATE_SPOT]."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.maxvCpus", nil),
			"1 validation error detected: Value null at 'computeResources.maxvCpus' failed to satisfy constraint: Member must not be null"),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.maxvCpus", -1), "maxvCpus should be greater than or equal to 0."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.subnets", list{}), "Resource subnets are required."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.subnets", names(17)), "Fargate supports a maximum of 16 subnets."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.securityGroupIds", nil), "Security group ids are required."),
		invalid("2.1", createCE, edit(fargateEnvironment, "computeResources.securityGroupIds", names(6)), "Fargate supports a maximum of 5 security groups."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","computeResources":{"allocationStrategy":"BEST_FIT_PROGRESSIVE"}}`, "allocationStrategy is not applicable for Fargate."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","computeResources":{"type":"FARGATE_SPOT"}}`, "type is not applicable for Fargate."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.instanceRole", nil), "Instance role is required."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.minvCpus", nil), "Resource minvCpus is required."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.minvCpus", -1), "minvCpus should be greater than or equal to 0."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.minvCpus", 9), "maxvCpus should be greater than or equal to minvCpus."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.desiredvCpus", 9), "desiredvCpus should be between minvCpus and maxvCpus."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.bidPercentage", 101), "Bid percentage must be between 0 to 100."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.type", "SPOT", "computeResources.allocationStrategy", nil), "compute resource spotIamFleetRole is required."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.instanceTypes", list{"c7g.large", "c5.large"}), "arm-based instance type cannot be used with other instance types"),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.instanceTypes", list{"huge"}), "Instance type can only be one of [optimal, default_x86_64, default_arm64, an instance family, an instance type]: huge"),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.instanceTypes", nil), "Resource instanceTypes are required."),
		invalid("2.1", createCE, edit(ec2Environment, "computeResources.launchTemplate", obj{"launchTemplateName": "t", "version": "newest"}), "LaunchTemplateVersion must be either empty or a number or $Default or $Latest"),
		invalid("2.1", createCE, `{"computeEnvironmentName":"new","type":"UNMANAGED"}`, "ServiceRole is required."),
		invalid("2.1", createCE, `{"computeEnvironmentName":"new","type":"UNMANAGED","serviceRole":"arn:aws:iam::111122223333:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"}`,
			"Service Linked Role cannot be used with UNMANAGED Compute Environment"),
		invalid("2.1", updateCE, `{"computeEnvironment":"own","serviceRole":""}`, "Service Linked Role cannot be used with UNMANAGED Compute Environment"),
		invalid("2.1", createCE, `{"computeEnvironmentName":"new","type":"UNMANAGED","serviceRole":"r","unmanagedvCpus":-1}`, "unmanagedvCpus should be greater than or equal to 0."),
		invalid("2.1", createCE, `{"computeEnvironmentName":"new","type":"UNMANAGED","serviceRole":"r","computeResources":{"type":"FARGATE","maxvCpus":1,"subnets":["s"]}}`, "Fargate compute environments must be of type MANAGED."),
		invalid("2.1", updateCE, `{"computeEnvironment":"own","computeResources":{"maxvCpus":1}}`, "computeResources is not applicable for unmanaged Compute Environments"),
		bare("2.1", updateCE, `{"computeEnvironment":"ce"}`, "One of [state | compute-resources | service-role | unmanaged-vcpus] is required."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","state":"OFF"}`, "Compute Environment state must be one of [ENABLED, DISABLED]."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","serviceRole":"ordinary"}`, "Compute Environment can not change between a service linked role and another service role."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ce","updatePolicy":{"jobExecutionTimeoutMinutes":7201}}`, "jobExecutionTimeoutMinutes must be between 1 and 7200."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ec2","computeResources":{"desiredvCpus":1}}`,
			"Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment will cause it to scale-down to minvCpus."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ec2role","computeResources":{"instanceTypes":["c5"]}}`, "Infrastructure updates need a Compute Environment with the service linked role."),
		invalid("2.1", updateCE, `{"computeEnvironment":"ec2best","computeResources":{"instanceTypes":["c5"]}}`, "Infrastructure updates are not supported for allocation strategy BEST_FIT."),
		bare("1", createCE, edit(fargateEnvironment, "eksConfiguration", obj{"eksClusterArn": "arn", "kubernetesNamespace": "n"}), "batchbox does not run compute environments on Amazon EKS: eksConfiguration is not supported"),
		bare("1", createCE, edit(fargateEnvironment, "computeResources.type", "ECS_MANAGED_INSTANCES"), "batchbox does not run compute environments of type ECS_MANAGED_INSTANCES"),

		// 2.2: job queues.
		invalid("2.2", createJQ, edit(jobQueue, "jobQueueName", "-"), "Job Queue name should match a valid pattern."),
		invalid("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", order("a", "b", "c", "d")), "Only 3 environments are allowed in job queue request."),
		invalid("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", list{}), "At least 1 compute environment is required in job queue request."),
		bare("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", order("none")), "Compute Environments must be created and valid before attaching them to a job queue"),
		bare("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", order(arnBase+"job-queue/q")), "Compute Environments must be created and valid before attaching them to a job queue"),
		invalid("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", order("ce", "ce")), "Duplicate ComputeEnvironments within order list."),
		invalid("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", list{obj{"order": 1, "computeEnvironment": "ce"}, obj{"order": 1, "computeEnvironment": "off"}}), "Duplicate ComputeEnvironment order values."),
		bare("2.2", createJQ, edit(jobQueue, "computeEnvironmentOrder", order("ce", "ec2")), "All attached Compute Environments must be of types [EC2, SPOT] or types [FARGATE_SPOT, FARGATE] or types [ECS_MANAGED_INSTANCES], not mixed."),
		bare("2.2", updateJQ, edit(`{"jobQueue":"q"}`, "computeEnvironmentOrder", order("ce", "ec2")), "All attached Compute Environments must be of types [EC2, SPOT] or types [FARGATE_SPOT, FARGATE] or types [ECS_MANAGED_INSTANCES], not mixed."),
		bare("2.2", createJQ, edit(jobQueue, "jobQueueType", "ECS"), "Job queue type ECS does not match its compute environments, which are of type ECS_FARGATE."),
		bare("2.2", createJQ, edit(jobQueue, "schedulingPolicyArn", fairARN+"x"), "SchedulingPolicy "+fairARN+"x not found."),
		bare("2.2", createJQ, edit(jobQueue, "schedulingPolicyArn", "fair"), "SchedulingPolicy fair not found."),
		bare("2.2", createJQ, edit(jobQueue, "schedulingPolicyArn", arnBase+"scheduling-policy/quota"), "Quota Management feature is only supported for SageMaker Training job queues."),
		invalid("2.2", updateJQ, `{"jobQueue":"q","schedulingPolicyArn":"`+fairARN+`"}`, "A scheduling policy can not be added to job queue q, which was created without one."),
		invalid("2.2", updateJQ, `{"jobQueue":"fairq","schedulingPolicyArn":""}`, "The scheduling policy of job queue fairq can be replaced, but not removed."),
		invalid("2.2", createJQ, edit(jobQueue, "state", "OFF"), "Job Queue state must be one of [ENABLED, DISABLED]."),
		invalid("2.2", createJQ, edit(jobQueue, "priority", -1), "Job Queue priority must be greater than or equal to 0."),
		invalid("2.2", createJQ, limits("jobStateTimeLimitActions.0.action", "TERMINATE"), "Invalid job action. Valid job actions: [CANCEL]"),
		invalid("2.2", createJQ, limits("jobStateTimeLimitActions", list{limit, limit}), "Duplicate job state limit actions are not allowed."),
		invalid("2.2", createJQ, limits("jobStateTimeLimitActions.0.state", "RUNNING"), "Invalid job state. Valid job states: [RUNNABLE]"),
		invalid("2.2", createJQ, limits("jobStateTimeLimitActions.0.maxTimeSeconds", 599), "Max time seconds must be between 600 and 86400."),
		invalid("2.2", createJQ, limits("jobStateTimeLimitActions.0.reason", ""), "Job state limit action reason is required."),
		bare("1", createJQ, edit(jobQueue, "jobQueueType", "SAGEMAKER_TRAINING"), "batchbox does not run job queues of type SAGEMAKER_TRAINING"),
		bare("1", createJQ, edit(jobQueue, "serviceEnvironmentOrder", list{obj{"order": 1, "serviceEnvironment": "s"}}), "batchbox does not run service environments: serviceEnvironmentOrder is not supported"),

		// 2.4: scheduling policies.
		invalid("2.4", createSP, edit(policy, "name", "a.b"), "Scheduling policy name should match a valid pattern."),
		invalid("2.4", createSP, edit(policy, "quotaSharePolicy", obj{"idleResourceAssignmentStrategy": "FIFO"}), "A scheduling policy can have either fairsharePolicy or quotaSharePolicy"),
		invalid("2.4", updateSP, `{"arn":"`+fairARN+`","quotaSharePolicy":{"idleResourceAssignmentStrategy":"FIFO"}}`, "A scheduling policy can have either fairsharePolicy or quotaSharePolicy"),
		invalid("2.4", createSP, `{"name":"newp","quotaSharePolicy":{"idleResourceAssignmentStrategy":"LIFO"}}`, "Idle resource assignment strategy must be one of [FIFO]."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDecaySeconds", 604801), "Share decay seconds should be between 0 and 604800."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.computeReservation", 100), "Compute reservation should be between 0 and 99."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution", repeat(501, func(int) any { return obj{"shareIdentifier": "a"} })), "ShareDistribution size cannot be greater than 500."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution.0.shareIdentifier", "a*b"), "ShareIdentifier name should match a valid pattern."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution.0.shareIdentifier", strings.Repeat("a", 256)), "ShareIdentifier name should match a valid pattern."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution", list{obj{"shareIdentifier": "UserA1"}, obj{"shareIdentifier": "UserA*"}}), "Share identifier UserA1 matches another share identifier UserA*."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution", list{obj{"shareIdentifier": "a"}, obj{"shareIdentifier": "a"}}), "Cannot have two or more identical shareIdentifiers."),
		invalid("2.4", createSP, edit(policy, "fairsharePolicy.shareDistribution.0.weightFactor", 0.00009), "Weight factor should be between 0.0001 and 999.9999."),
		invalid("2.4", updateSP, edit(`{"arn":"`+fairARN+`"}`, "fairsharePolicy", obj{"shareDistribution": list{obj{"shareIdentifier": "a", "weightFactor": 1000}}}), "Weight factor should be between 0.0001 and 999.9999."),

		// 2.5: tags.
		invalid("2.5", createCE, edit(fargateEnvironment, "tags", tagsOf(51)), "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
		invalid("2.5", createJQ, edit(jobQueue, "tags", tagsOf(51)), "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
		invalid("2.5", createSP, edit(policy, "tags", tagsOf(51)), "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
		invalid("2.5", "POST /v1/tags/arn%3Aaws%3Abatch%3Aeu-west-1%3A111122223333%3Acompute-environment%2Fce", edit("{}", "tags", tagsOf(50)), // it has one already
			"1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
		invalid("2.5", createJQ, edit(jobQueue, "tags", obj{strings.Repeat("k", 129): "v"}), "1 validation error detected: Value at 'tags' failed to satisfy constraint: Map keys must have length between 1 and 128"),
		invalid("2.5", createJQ, edit(jobQueue, "tags", obj{"k": strings.Repeat("v", 257)}), "1 validation error detected: Value at 'tags' failed to satisfy constraint: Map values must have length less than or equal to 256"),
		invalid("2.5", createJQ, edit(jobQueue, "tags", obj{"aws:k": "v"}), "aws: prefixed tag key names are not allowed for external use."),
		bare("2.5", "POST /v1/tags/arn%3Aaws%3Abatch%3Aeu-west-1%3A111122223333%3Ajob-queue%2Fnone", `{"tags":{"a":"b"}}`, arnBase+"job-queue/none does not exist"),
		bare("2.5", "GET /v1/tags/arn%3Aaws%3Abatch%3Aeu-west-1%3A111122223333%3Ajob-queue%2Fnone", "", arnBase+"job-queue/none does not exist"),
		bare("2.5", "GET /v1/tags/arn%3Aaws%3Abatch%3Aeu-west-1%3A111122223333%3Ajob%2F00000000-0000-4000-8000-000000000000%3A1", "",
			"Resource "+arnBase+"job/00000000-0000-4000-8000-000000000000:1 does not exist or cannot be tagged."),

		// 7.4: consumable resources.
		invalid("7.4", createCR, `{"consumableResourceName":"a b"}`, "ConsumableResource name should match a valid pattern."),
		invalid("7.4", createCR, `{"consumableResourceName":"new","totalQuantity":-1}`, "totalQuantity cannot be a negative number."),
		invalid("7.4", createCR, `{"consumableResourceName":"new","resourceType":"OTHER"}`, "resourceType OTHER is not valid. Valid values are: [REPLENISHABLE, NON_REPLENISHABLE]"),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"SET"}`, "quantity is required."),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"SET","quantity":-1}`, "quantity cannot be a negative number."),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"REMOVE","quantity":2}`, "totalQuantity cannot be a negative number."),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"ADD","quantity":9223372036854775807}`, "totalQuantity cannot be greater than 9223372036854775807."),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"DOUBLE","quantity":1}`, "operation DOUBLE is not valid. Valid values are: [SET, ADD, REMOVE]"),
		invalid("7.4", updateCR, `{"consumableResource":"token","operation":"SET","quantity":1,"clientToken":"`+strings.Repeat("t", 65)+`"}`, "clientToken must have between 1 and 64 characters."),
		invalid("7.4", "ListConsumableResources", `{"filters":[{"name":"COLOUR","values":["red"]}]}`, "Filter name COLOUR is not valid. Valid values are: [CONSUMABLE_RESOURCE_NAME]"),
		invalid("7.4", "ListJobsByConsumableResource", `{"consumableResource":"token","filters":[{"name":"COLOUR","values":["red"]}]}`, "Filter name COLOUR is not valid. Valid values are: [JOB_STATUS, JOB_NAME]"),
	}
	// 1.2: SageMaker's. What makes one is refused, what names one does not find it.
	const training, shares = "batchbox does not run service jobs (SageMaker training).", "batchbox has no quota shares, which belong to SageMaker training queues."
	cases = append(cases,
		bare("1.2", "CreateServiceEnvironment", `{"serviceEnvironmentName":"s","serviceEnvironmentType":"SAGEMAKER_TRAINING","capacityLimits":[]}`, "CreateServiceEnvironment is not supported: "+training),
		bare("1.2", "SubmitServiceJob", `{"jobName":"j","jobQueue":"q","serviceRequestPayload":"{}","serviceJobType":"SAGEMAKER_TRAINING"}`, "SubmitServiceJob is not supported: "+training),
		bare("1.2", "CreateQuotaShare", `{}`, "CreateQuotaShare is not supported: "+shares),
		bare("1.2", "UpdateServiceEnvironment", `{"serviceEnvironment":"s"}`, "ServiceEnvironment s does not exist: "+training),
		bare("1.2", "DeleteServiceEnvironment", `{"serviceEnvironment":"s"}`, "ServiceEnvironment s does not exist: "+training),
		bare("1.2", "DescribeServiceJob", `{"jobId":"j"}`, "Service job j does not exist: "+training),
		bare("1.2", "UpdateServiceJob", `{"jobId":"j","schedulingPriority":1}`, "Service job j does not exist: "+training),
		invalid("1.2", "TerminateServiceJob", `{"jobId":"j","reason":"r"}`, "Job id j is not valid."),
		invalid("1.2", "ListServiceJobs", `{"jobStatus":"DONE"}`, "Service job status DONE is not valid."),
		bare("1.2", "ListServiceJobs", `{"jobQueue":"none"}`, arnBase+"job-queue/none does not exist"),
		invalid("1.2", "DescribeServiceEnvironments", `{"serviceEnvironments":["s"],"maxResults":1}`, "ServiceEnvironments and MaxResults cannot both be set"),
		bare("1.2", "ListQuotaShares", `{"jobQueue":"none"}`, arnBase+"job-queue/none does not exist"),
		bare("1.2", "DescribeQuotaShare", `{"quotaShareArn":"a"}`, "QuotaShare a does not exist: "+shares),
		bare("1.2", "UpdateQuotaShare", `{"quotaShareArn":"a"}`, "QuotaShare a does not exist: "+shares),
		bare("1.2", "DeleteQuotaShare", `{"quotaShareArn":"a"}`, "QuotaShare a does not exist: "+shares),
	)
	// 2.1: what belongs to EC2 only.
	for member, value := range map[string]any{
		"allocationStrategy": "BEST_FIT", "bidPercentage": 50, "desiredvCpus": 1, "ec2Configuration": list{obj{"imageType": "ECS_AL2023"}}, "ec2KeyPair": "k",
		"imageId": "ami-1", "instanceRole": "r", "instanceTypes": list{"optimal"}, "launchTemplate": obj{"launchTemplateName": "t"}, "minvCpus": 0,
		"placementGroup": "p", "scalingPolicy": obj{"minScaleDownDelayMinutes": 20}, "spotIamFleetRole": "r", "tags": obj{"a": "b"},
	} {
		cases = append(cases, invalid("2.1", createCE, edit(fargateEnvironment, "computeResources."+member, value), member+" is not applicable for Fargate."))
	}
	return cases
}
