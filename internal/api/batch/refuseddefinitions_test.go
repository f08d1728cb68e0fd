package batch_test

import "strings"

const (
	onFargate = `{"jobDefinitionName":"new","type":"container","platformCapabilities":["FARGATE"],"containerProperties":{"image":"i","executionRoleArn":"arn:aws:iam::111122223333:role/x",
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`
	onEC2   = `{"jobDefinitionName":"new","type":"container","containerProperties":{"image":"i","resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}}`
	several = `{"jobDefinitionName":"new","type":"container","platformCapabilities":["FARGATE"],"ecsProperties":{"taskProperties":[{"executionRoleArn":"arn:aws:iam::111122223333:role/x","containers":[
		{"name":"main","image":"i","resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]},
		{"name":"side","image":"i","essential":false,"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}]}]}}`
	multinode = `{"jobDefinitionName":"new","type":"multinode","nodeProperties":{"numNodes":2,"mainNode":0,"nodeRangeProperties":[{"targetNodes":"0:","container":{"image":"i",
		"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"512"}]}}]}}`
)

// refusedDefinitions are the refusals of RegisterJobDefinition: sections 2.3, 5, 6 and 8.
func refusedDefinitions() []refusal {
	const op = "RegisterJobDefinition"
	fargate := func(text string, pairs ...any) refusal { return invalid("2.3", op, edit(onFargate, pairs...), text) }
	ec2 := func(text string, pairs ...any) refusal { return invalid("2.3", op, edit(onEC2, pairs...), text) }
	task := func(text string, pairs ...any) refusal { return invalid("2.3", op, edit(several, pairs...), text) }
	nodes := func(text string, pairs ...any) refusal { return invalid("8", op, edit(multinode, pairs...), text) }
	retry := func(text string, strategy obj) refusal {
		return invalid("5", op, edit(onFargate, "retryStrategy", strategy), text)
	}
	rule := func(text string, rule obj) refusal {
		return retry(text, obj{"attempts": 2, "evaluateOnExit": list{rule}})
	}
	need := func(pairs ...string) list {
		l := list{}
		for i := 0; i < len(pairs); i += 2 {
			l = append(l, obj{"type": pairs[i], "value": pairs[i+1]})
		}
		return l
	}
	const (
		container  = "containerProperties."
		needs      = container + "resourceRequirements"
		linux      = container + "linuxParameters"
		logs       = container + "logConfiguration"
		volume     = container + "volumes"
		containers = "ecsProperties.taskProperties.0.containers"
		nodeRange  = "nodeProperties.nodeRangeProperties"
		restricted = "Evaluate on exit condition contains restricted characters."
	)
	efs := func(pairs ...any) list {
		return list{obj{"name": "v", "efsVolumeConfiguration": edited(obj{"fileSystemId": "fs-12345678"}, pairs...)}}
	}
	depends := func(name, condition string) list { return list{obj{"containerName": name, "condition": condition}} }
	cases := []refusal{
		// 2.3: the definition.
		fargate("Job definition name should match a valid pattern.", "jobDefinitionName", "a:b"),
		fargate("Job definition type batch is not valid. Valid values are: [container, multinode]", "type", "batch"),
		fargate("Exactly 1 capability must be provided.", "platformCapabilities", list{"FARGATE", "EC2"}),
		fargate("Capability LAMBDA is not valid. Valid capabilities: [FARGATE, EC2, MANAGED_INSTANCES]", "platformCapabilities", list{"LAMBDA"}),
		fargate("ECS Container Image must be provided.", "containerProperties", nil),
		fargate("ECS Container Image must be provided.", container+"image", ""),
		fargate("ECS Container Image must be at most 255 characters.", container+"image", strings.Repeat("i", 256)),
		fargate("Cannot use both ECS containerProperties and ecsProperties", "ecsProperties", obj{"taskProperties": list{}}),
		fargate("Cannot use both ECS containerProperties and eksProperties", "eksProperties", obj{}),
		task("Cannot use both ecsProperties and eksProperties", "eksProperties", obj{}),
		fargate("nodeProperties is not applicable for a job definition of type container.", "platformCapabilities", nil, "nodeProperties", obj{"numNodes": 1, "mainNode": 0, "nodeRangeProperties": list{}}),
		fargate("Job definition size must be less than 24 KiB, got 30 KiB", container+"command", list{strings.Repeat("x", 29<<10)}),
		fargate("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50", "tags", tagsOf(51)),
		fargate("eksProperties is not applicable for Fargate.", "containerProperties", nil, "eksProperties", obj{"podProperties": obj{}}),
		ec2("podProperties is required for eksProperties.", "containerProperties", nil, "eksProperties", obj{}),
		ec2("podProperties must have between 1 and 10 containers, and up to 10 initContainers.", "containerProperties", nil, "eksProperties", obj{"podProperties": obj{}}),
		ec2("Image is required for each of the initContainers of podProperties.", "containerProperties", nil,
			"eksProperties", obj{"podProperties": obj{"containers": list{obj{"image": "i"}}, "initContainers": list{obj{"image": ""}}}}),
		bare("1", op, edit(onFargate, "platformCapabilities", list{"MANAGED_INSTANCES"}), "batchbox does not run jobs with platform capability MANAGED_INSTANCES"),

		// 2.3: Fargate.
		invalid("2.3", op, edit(multinode, "platformCapabilities", list{"FARGATE"}), "Fargate does not support MNP jobs"),
		fargate("Fargate does not support MNP jobs", "nodeProperties", obj{"numNodes": 1, "mainNode": 0, "nodeRangeProperties": list{}}),
		fargate("executionRoleArn is required for Fargate jobs.", container+"executionRoleArn", nil),
		fargate("Fargate resource requirements (0.25 vCPU, 4096 MiB) not valid.", needs+".1.value", "4096"),
		fargate("Fargate resource requirements (3.00 vCPU, 512 MiB) not valid.", needs+".0.value", "3"),
		fargate("GPU is not applicable for Fargate.", needs, need("VCPU", "0.25", "MEMORY", "512", "GPU", "1")),
		fargate("vcpus is not applicable for Fargate.", needs, need("MEMORY", "512"), container+"vcpus", 1),
		fargate("memory is not applicable for Fargate.", needs, need("VCPU", "0.25"), container+"memory", 512),
		fargate("Fargate requires that the 'privileged' setting be 'false' at the container level.", container+"privileged", true),
		fargate("ulimits is not applicable for Fargate.", container+"ulimits", list{obj{"name": "nofile", "softLimit": 1, "hardLimit": 1}}),
		fargate("linuxParameter.devices is not allowed for Fargate.", linux, obj{"devices": list{obj{"hostPath": "/dev/null"}}}),
		fargate("linuxParameter.maxSwap is not allowed for Fargate.", linux, obj{"maxSwap": 1}),
		fargate("linuxParameter.sharedMemorySize is not allowed for Fargate.", linux, obj{"sharedMemorySize": 1}),
		fargate("linuxParameter.swappiness is not allowed for Fargate.", linux, obj{"swappiness": 1}),
		fargate("linuxParameter.tmpfs is not allowed for Fargate.", linux, obj{"tmpfs": list{obj{"containerPath": "/t", "size": 1}}}),
		fargate("host.sourcePath should not be set for volumes in Fargate.", volume, list{obj{"name": "v", "host": obj{"sourcePath": "/v"}}}),
		fargate("EFS is supported for Fargate platform versions 1.4.0 or later, provided 1.3.0", volume, efs(), container+"fargatePlatformConfiguration", obj{"platformVersion": "1.3.0"}),
		fargate("Log driver for Fargate is not valid: syslog", logs, obj{"logDriver": "syslog"}),
		fargate("Log driver for Fargate is not valid: awsfirelens", logs, obj{"logDriver": "awsfirelens"}),
		fargate("Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB", container+"ephemeralStorage", obj{"sizeInGiB": 20}),
		fargate("Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB", container+"ephemeralStorage", obj{"sizeInGiB": 201}),
		fargate("assignPublicIp YES is not valid. Valid values are: [ENABLED, DISABLED]", container+"networkConfiguration", obj{"assignPublicIp": "YES"}),
		fargate("Fargate platform version 1.2.0 is not valid. Valid values are: [LATEST, 1.4.0, 1.3.0]", container+"fargatePlatformConfiguration", obj{"platformVersion": "1.2.0"}),
		fargate("instanceType is not applicable for Fargate.", container+"instanceType", "c5.large"),
		fargate("RuntimePlatform supports only one from [WINDOWS_SERVER_2019_CORE, WINDOWS_SERVER_2019_FULL, WINDOWS_SERVER_2022_CORE, WINDOWS_SERVER_2022_FULL, LINUX] operating systems, provided PLAN9",
			container+"runtimePlatform", obj{"operatingSystemFamily": "PLAN9"}),
		fargate("Windows supported only by X86_64 cpuArchitecture", needs, need("VCPU", "1", "MEMORY", "2048"), container+"runtimePlatform", obj{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "ARM64"}),
		fargate("cpuArchitecture Z80 is not valid. Valid values are: [X86_64, ARM64]", container+"runtimePlatform", obj{"cpuArchitecture": "Z80"}),
		invalid("9.1", op, edit(onFargate, container+"runtimePlatform", obj{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}), "vCPU must be at least 1 for Windows Job definition, got 0.25."),
		bare("9.1", op, edit(onFargate, needs, need("VCPU", "1", "MEMORY", "2048"), container+"runtimePlatform", obj{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
			"batchbox runs Linux containers only: a WINDOWS_SERVER operatingSystemFamily is not supported"),
		ec2("networkConfiguration not applicable for EC2.", container+"networkConfiguration", obj{"assignPublicIp": "ENABLED"}),
		ec2("fargatePlatformConfiguration not applicable for EC2.", container+"fargatePlatformConfiguration", obj{"platformVersion": "LATEST"}),
		ec2("runtimePlatform is not applicable for EC2.", container+"runtimePlatform", obj{"cpuArchitecture": "ARM64"}),
		ec2("ephemeralStorage not applicable for EC2.", container+"ephemeralStorage", obj{"sizeInGiB": 21}),

		// 2.3: general.
		ec2("vCPU is required.", needs, need("MEMORY", "512")),
		ec2("Memory is required.", needs, need("VCPU", "1")),
		ec2("vCPU must be at least 1, got 0.5.", needs+".0.value", "0.5"),
		ec2("Value 1.5 for type VCPU in resourceRequirement is not valid. Please provide a numeric value.", needs+".0.value", "1.5"),
		ec2("Value many for type VCPU in resourceRequirement is not valid. Please provide a numeric value.", needs+".0.value", "many"),
		ec2("Value 0 for type GPU in resourceRequirement is not valid. Please provide a numeric value.", needs, need("VCPU", "1", "MEMORY", "512", "GPU", "0")),
		ec2("Memory must be at least 4 Mib, got 3 Mib.", needs+".1.value", "3"),
		ec2("Cannot provide duplicates in resourceRequirements.", needs, need("VCPU", "1", "VCPU", "1", "MEMORY", "512")),
		ec2("Resource requirement type DISK is not valid. Valid values are: [GPU, VCPU, MEMORY]", needs, need("DISK", "1")),
		ec2("Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU.", container+"vcpus", 1),
		ec2("Cannot use both ECS containerProperties memory and resourceRequirement MEMORY.", container+"memory", 512),
		ec2("executionRoleArn cannot be empty when using secrets or secretOptions", container+"secrets", list{obj{"name": "S", "valueFrom": "s"}}),
		ec2("executionRoleArn cannot be empty when using secrets or secretOptions", logs, obj{"logDriver": "splunk", "secretOptions": list{obj{"name": "S", "valueFrom": "s"}}}),
		fargate("Secret name and valueFrom are required.", container+"secrets", list{obj{"name": "S", "valueFrom": ""}}),
		fargate("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'S'.",
			container+"secrets", list{obj{"name": "S", "valueFrom": "s"}}, container+"environment", list{obj{"name": "S", "value": "v"}}),
		ec2("Log driver awslogs disallows options: awslogs-colour", logs, obj{"logDriver": "awslogs", "options": obj{"awslogs-colour": "red"}}),
		ec2("Log driver is not valid: paper", logs, obj{"logDriver": "paper"}),
		ec2("User 'Root User' does not match regex", container+"user", "Root User"),
		ec2("Scheduling priority must be between 0 and 9999.", "schedulingPriority", 10000),
		ec2("Environment variables cannot start with AWS_BATCH: AWS_BATCH_JOB_ID", container+"environment", list{obj{"name": "AWS_BATCH_JOB_ID", "value": "1"}}),
		ec2("Environment variable name is required.", container+"environment", list{obj{"name": "", "value": "1"}}),
		ec2("Invalid permission: EAT for device /dev/null", linux, obj{"devices": list{obj{"hostPath": "/dev/null", "permissions": list{"EAT"}}}}),
		ec2("Invalid swap memory size: -1, must be non-negative.", linux, obj{"maxSwap": -1}),
		ec2("Invalid swappiness: 101, must be between 0 and 100.", linux, obj{"swappiness": 101}),
		ec2("When container specified swap memory, swappiness value is required.", linux, obj{"maxSwap": 1}),
		ec2("Size of a tmpfs is invalid. The size is required and must be a positive integer.", linux, obj{"tmpfs": list{obj{"containerPath": "/t", "size": 0}}}),
		ec2("Ulimit name tea is not valid. Valid values are: [core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack]",
			container+"ulimits", list{obj{"name": "tea", "softLimit": 1, "hardLimit": 1}}),
		ec2("Ulimit nofile: softLimit must not be greater than hardLimit.", container+"ulimits", list{obj{"name": "nofile", "softLimit": 2, "hardLimit": 1}}),
		ec2("Unknown volume 'v'.", container+"mountPoints", list{obj{"sourceVolume": "v", "containerPath": "/v"}}),
		ec2("When the volume parameter is specified, only one volume configuration type should be used.", volume, list{obj{"name": "v", "host": obj{"sourcePath": "/v"}, "efsVolumeConfiguration": obj{"fileSystemId": "fs-12345678"}}}),
		ec2("A jobRoleArn/taskRoleArn is required when using s3filesVolumeConfiguration.", volume, list{obj{"name": "v", "s3filesVolumeConfiguration": obj{"fileSystemArn": "arn:aws:s3files:eu-west-1:111122223333:file-system/fs-1"}}}),
		ec2("EFS configuration fileSystemId is not valid: disk.", volume, efs("fileSystemId", "disk")),
		ec2(`When using an EFS access point, the root directory must either be set to "/" or omitted`, volume, efs("rootDirectory", "/data", "transitEncryption", "ENABLED", "authorizationConfig", obj{"accessPointId": "fsap-1"})),
		ec2("EFS IAM authorization requires TransitEncryption to be enabled.", volume, efs("authorizationConfig", obj{"iam": "ENABLED"})),
		ec2("EFS IAM access point requires TransitEncryption to be enabled.", volume, efs("authorizationConfig", obj{"accessPointId": "fsap-1"})),
		ec2("TransitEncryptionPort must be a valid port number.", volume, efs("transitEncryptionPort", 65536)),
		ec2("Each ConsumableResourceProperty can have at most 5 consumableResources", "consumableResourceProperties", obj{"consumableResourceList": repeat(6, func(i int) any { return obj{"consumableResource": string(rune('a' + i)), "quantity": 1} })}),
		ec2("consumableResource is required.", "consumableResourceProperties", obj{"consumableResourceList": list{obj{"quantity": 1}}}),
		ec2("quantity cannot be a negative number.", "consumableResourceProperties", obj{"consumableResourceList": list{obj{"consumableResource": "a", "quantity": -1}}}),
		ec2("Cannot have duplicate consumableResource in consumableResourceProperties", "consumableResourceProperties", obj{"consumableResourceList": repeat(2, func(int) any { return obj{"consumableResource": "a", "quantity": 1} })}),

		// 2.3: several containers.
		task("Number of taskProperties must be 1", "ecsProperties.taskProperties", list{}),
		task("Number of containers must be between 1 and 10", containers, list{}),
		task("Number of containers must be between 1 and 10", containers, repeat(11, func(int) any { return obj{"name": "c", "image": "i"} })),
		task("Container names must be unique", containers+".1.name", "main"),
		task("Container name is required.", containers+".1.name", ""),
		task("At least one container must be set as essential", containers+".0.essential", false),
		task("When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver", containers+".0.firelensConfiguration", obj{"type": "fluentbit"}),
		task("TaskContainer dependency HEALTHY is not valid. Valid values are: [START, COMPLETE, SUCCESS]", containers+".0.dependsOn", depends("side", "HEALTHY")),
		task("The container target of a dependency can not have condition COMPLETE if the target is essential", containers+".1.dependsOn", depends("main", "COMPLETE")),
		task("The container target of a dependency can not have condition SUCCESS if the target is essential", containers+".1.dependsOn", depends("main", "SUCCESS")),
		task("containerName other must reference a defined container.", containers+".0.dependsOn", depends("other", "START")),
		task("Container dependency can not be used in a single-container job.", containers, list{obj{"name": "one", "image": "i", "dependsOn": depends("one", "START"), "resourceRequirements": need("VCPU", "0.25", "MEMORY", "512")}}),
		task("Container dependencies must not form a cycle: main", containers+".0.dependsOn", depends("side", "START"), containers+".1.dependsOn", depends("main", "START")),
		task("Fargate resource requirements (0.75 vCPU, 1024 MiB) not valid.", containers+".0.resourceRequirements.0.value", "0.5"),
		task("executionRoleArn is required for Fargate jobs.", "ecsProperties.taskProperties.0.executionRoleArn", nil),
		task("startTimeout must be between 2 and 120 seconds.", containers+".0.startTimeout", 1),
		task("stopTimeout must be between 2 and 120 seconds.", containers+".0.stopTimeout", 121),
		task("Capability all is not valid. Valid capabilities: [host, task]", "ecsProperties.taskProperties.0.pidMode", "all"),
		task("ipcMode all is not valid. Valid values are: [host, task, none]", "ecsProperties.taskProperties.0.ipcMode", "all"),
		task("pidMode host is not applicable for Fargate.", "ecsProperties.taskProperties.0.pidMode", "host"),
		task("ipcMode host is not applicable for Fargate.", "ecsProperties.taskProperties.0.ipcMode", "host"),

		// 5 and 6: retries and timeouts.
		retry("RetryAttempts must be provided with retry strategy.", obj{"evaluateOnExit": list{obj{"onExitCode": "1", "action": "RETRY"}}}),
		retry("Retry attempts must be between 1 and 10.", obj{"attempts": 0}),
		retry("Retry attempts must be between 1 and 10.", obj{"attempts": 11}),
		retry("Evaluate on exit cannot have more than 5 entries.", obj{"attempts": 2, "evaluateOnExit": repeat(6, func(int) any { return obj{"onExitCode": "1", "action": "RETRY"} })}),
		rule(restricted, obj{"onExitCode": "one", "action": "RETRY"}),
		rule(restricted, obj{"onExitCode": "*1", "action": "RETRY"}),
		rule(restricted, obj{"onExitCode": "-1", "action": "RETRY"}),
		rule(restricted, obj{"onReason": "*Error", "action": "RETRY"}),
		rule(restricted, obj{"onReason": "a*b", "action": "RETRY"}),
		rule(restricted, obj{"onStatusReason": "Host EC2 (instance*", "action": "RETRY"}),
		rule("Evaluate on exit condition cannot exceed 512 characters.", obj{"onReason": strings.Repeat("a", 513), "action": "RETRY"}),
		rule("EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason", obj{"action": "EXIT"}),
		rule("Evaluate on exit action must be one of [RETRY, EXIT].", obj{"onExitCode": "1", "action": "AGAIN"}),
		invalid("6", op, edit(onFargate, "timeout", obj{"attemptDurationSeconds": 59}), "Timeout attemptDurationSeconds must be at least 60."),

		// 8: multi-node parallel jobs.
		nodes("Number of nodes must be between 1 and 1000.", "nodeProperties.numNodes", 0),
		nodes("Number of nodes must be between 1 and 1000.", "nodeProperties.numNodes", 1001),
		nodes("Main node index is out of range, must be less than numNodes.", "nodeProperties.mainNode", 2),
		nodes("Main node index is out of range, must be less than numNodes.", "nodeProperties.mainNode", -1),
		nodes("Maximum allowed size of node range properties is 5", nodeRange, repeat(6, func(int) any { return obj{"targetNodes": "0:"} })),
		nodes("Must specify container for node range 0:", nodeRange, list{obj{"targetNodes": "0:"}}),
		nodes("targetNodes should contain only digits.", nodeRange+".0.targetNodes", "all"),
		nodes("targetNodes should contain only digits.", nodeRange+".0.targetNodes", "0:-1"),
		nodes("Node range 0:2 is out of range, must be less than numNodes.", nodeRange+".0.targetNodes", "0:2"),
		nodes("Node ranges must cover all nodes from 0 to 1: node 0 has no range.", nodeRange+".0.targetNodes", "1:"),
		nodes("Node properties of multinode job is required.", "nodeProperties", nil),
		nodes("Job definition of type multinode must have nodeProperties only.", "containerProperties", obj{"image": "i"}),
		nodes("NodeRangeProperties can not use both ecsProperties and container fields", nodeRange+".0.ecsProperties", obj{"taskProperties": list{}}),
		nodes("Using instanceTypes with nodeRangeProperty is only allowed for ecsProperties jobs.", nodeRange+".0.instanceTypes", list{"c5.large"}),
		nodes("vCPU is required.", nodeRange+".0.container.resourceRequirements", need("MEMORY", "512")),
		nodes("networkConfiguration not applicable for EC2.", nodeRange+".0.container.networkConfiguration", obj{"assignPublicIp": "ENABLED"}),
		nodes("NodeRangeProperties can not use eksProperties with other properties", nodeRange+".0.eksProperties", obj{"podProperties": obj{}}),
		bare("1.4", "DeregisterJobDefinition", `{"jobDefinition":"none:1"}`, arnBase+"job-definition/none:1 does not exist"),
		bare("1.4", "DeregisterJobDefinition", `{"jobDefinition":"jd"}`, "jd does not exist"),
	}
	return cases
}

// edited is an object with members set.
func edited(o obj, pairs ...any) obj {
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i].(string)] = pairs[i+1]
	}
	return o
}
