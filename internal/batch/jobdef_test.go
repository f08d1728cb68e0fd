package batch

import (
	"fmt"
	"strings"
	"testing"
)

// TestJobDefinitionTexts produces every refusal of the reference, section 2.3 (Fargate requirements, general texts), in its
// order, and those of the evidence beyond it.
func TestJobDefinitionTexts(t *testing.T) {
	t.Parallel()
	const cp = "containerProperties."
	name := "Job definition name should match a valid pattern."
	ec2 := func(change, text string) definitionCase { return definitionCase{ec2Def, cp + change, text} }
	fargate := func(change, text string) definitionCase { return definitionCase{fargateDef, cp + change, text} }
	top := func(change, text string) definitionCase { return definitionCase{ec2Def, change, text} }
	volume := func(v string) string { return `volumes=[` + v + `]` }
	efs := func(members string) string {
		return volume(`{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-12345678"` + members + `}}`)
	}
	cases := []definitionCase{
		top(`jobDefinitionName=""`, name), top(`jobDefinitionName="a:1"`, name), top(`jobDefinitionName="_a"`, name),
		top(`type="service"`, "Job definition type service is not valid. Valid values are: [container, multinode]"),
		top(`platformCapabilities=["EC2","FARGATE"]`, "Exactly 1 capability must be provided."),
		top(`platformCapabilities=["LAMBDA"]`, "Capability LAMBDA is not valid. Valid capabilities: [FARGATE, EC2, MANAGED_INSTANCES]"),
		top(`tags={"aws:a":""}`, "aws: prefixed tag key names are not allowed for external use."),
		{string(edit(fargateDef, `-containerProperties`)), `nodeProperties={}`, "Fargate does not support MNP jobs"},
		{fargateDef, `type="multinode"`, "Fargate does not support MNP jobs"},
		{nodesDef, `platformCapabilities=["FARGATE"]`, "Fargate does not support MNP jobs"},

		// Fargate requirements.
		fargate(`executionRoleArn=""`, "executionRoleArn is required for Fargate jobs."),
		fargate(`resourceRequirements.1.value="768"`, "Fargate resource requirements (0.25 vCPU, 768 MiB) not valid."),
		fargate(`resourceRequirements.0.value="3"`, "Fargate resource requirements (3.00 vCPU, 512 MiB) not valid."),
		fargate(`resourceRequirements.0.value="0.2504"`, "Fargate resource requirements (0.25 vCPU, 512 MiB) not valid."),
		fargate(`resourceRequirements.2={"type":"GPU","value":"1"}`, "GPU is not applicable for Fargate."),
		fargate(`vcpus=1`, "Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU."),
		{string(edit(fargateDef, `containerProperties.resourceRequirements=[]`)), cp + `vcpus=1`, "vcpus is not applicable for Fargate."},
		fargate(`privileged=true`, "Fargate requires that the 'privileged' setting be 'false' at the container level."),
		fargate(`ulimits=[{"name":"nofile","softLimit":1,"hardLimit":1}]`, "ulimits is not applicable for Fargate."),
		fargate(`linuxParameters.devices=[{"hostPath":"/dev/x"}]`, "linuxParameter.devices is not allowed for Fargate."),
		fargate(`linuxParameters.maxSwap=1`, "linuxParameter.maxSwap is not allowed for Fargate."),
		fargate(`linuxParameters.sharedMemorySize=1`, "linuxParameter.sharedMemorySize is not allowed for Fargate."),
		fargate(`linuxParameters.swappiness=1`, "linuxParameter.swappiness is not allowed for Fargate."),
		fargate(`linuxParameters={"maxSwap":1,"swappiness":1}`, "linuxParameter.maxSwap is not allowed for Fargate."),
		fargate(`linuxParameters.tmpfs=[{"containerPath":"/t","size":1}]`, "linuxParameter.tmpfs is not allowed for Fargate."),
		fargate(volume(`{"name":"v","host":{"sourcePath":"/x"}}`), "host.sourcePath should not be set for volumes in Fargate."),
		{string(edit(fargateDef, cp+`fargatePlatformConfiguration.platformVersion="1.3.0"`)), cp + efs(""), "EFS is supported for Fargate platform versions 1.4.0 or later, provided 1.3.0"},
		fargate(`logConfiguration.logDriver="syslog"`, "Log driver for Fargate is not valid: syslog"),
		fargate(`logConfiguration.logDriver="awsfirelens"`, "Log driver for Fargate is not valid: awsfirelens"),
		fargate(`ephemeralStorage.sizeInGiB=20`, "Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB"),
		fargate(`ephemeralStorage.sizeInGiB=201`, "Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB"),
		fargate(`networkConfiguration.assignPublicIp="YES"`, "assignPublicIp YES is not valid. Valid values are: [ENABLED, DISABLED]"),
		fargate(`fargatePlatformConfiguration.platformVersion="2.0"`, "Fargate platform version 2.0 is not valid. Valid values are: [LATEST, 1.4.0, 1.3.0]"),
		fargate(`runtimePlatform.operatingSystemFamily="BEOS"`, "RuntimePlatform supports only one from [WINDOWS_SERVER_2019_CORE, WINDOWS_SERVER_2019_FULL, WINDOWS_SERVER_2022_CORE, WINDOWS_SERVER_2022_FULL, LINUX] operating systems, provided BEOS"),
		fargate(`runtimePlatform={"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE","cpuArchitecture":"ARM64"}`, "vCPU must be at least 1 for Windows Job definition, got 0.25."),
		{string(edit(fargateDef, cp+`resourceRequirements.0.value="1"`, cp+`resourceRequirements.1.value="2048"`)),
			cp + `runtimePlatform={"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE","cpuArchitecture":"ARM64"}`, "Windows supported only by X86_64 cpuArchitecture"},
		fargate(`runtimePlatform.cpuArchitecture="MIPS"`, "cpuArchitecture MIPS is not valid. Valid values are: [X86_64, ARM64]"),
		fargate(`instanceType="m5.large"`, "instanceType is not applicable for Fargate."),
		ec2(`networkConfiguration.assignPublicIp="ENABLED"`, "networkConfiguration not applicable for EC2."),
		ec2(`fargatePlatformConfiguration.platformVersion="LATEST"`, "fargatePlatformConfiguration not applicable for EC2."),
		ec2(`runtimePlatform.cpuArchitecture="ARM64"`, "runtimePlatform is not applicable for EC2."),
		ec2(`ephemeralStorage.sizeInGiB=30`, "ephemeralStorage not applicable for EC2."),

		// General texts.
		top(`-containerProperties`, "ECS Container Image must be provided."),
		ec2(`image=""`, "ECS Container Image must be provided."),
		ec2(`image="`+strings.Repeat("i", 256)+`"`, "ECS Container Image must be at most 255 characters."),
		top(`ecsProperties={"taskProperties":[]}`, "Cannot use both ECS containerProperties and ecsProperties"),
		top(`eksProperties={}`, "Cannot use both ECS containerProperties and eksProperties"),
		{ecsDef, `eksProperties={}`, "Cannot use both ecsProperties and eksProperties"},
		top(`nodeProperties={}`, "nodeProperties is not applicable for a job definition of type container."),
		{nodesDef, `containerProperties={}`, "Job definition of type multinode must have nodeProperties only."},
		ec2(`resourceRequirements=[]`, "vCPU is required."),
		ec2(`resourceRequirements=[{"type":"VCPU","value":"1"}]`, "Memory is required."),
		ec2(`resourceRequirements.0.value="0"`, "vCPU must be at least 1, got 0."),
		ec2(`resourceRequirements.0.value="0.5"`, "vCPU must be at least 1, got 0.5."),
		ec2(`resourceRequirements.0.value="1.5"`, "Value 1.5 for type VCPU in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.0.value="NaN"`, "Value NaN for type VCPU in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.0.value="-1"`, "Value -1 for type VCPU in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.1.value="3"`, "Memory must be at least 4 Mib, got 3 Mib."),
		ec2(`resourceRequirements.1.value="1G"`, "Value 1G for type MEMORY in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.2={"type":"GPU","value":"some"}`, "Value some for type GPU in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.2={"type":"GPU","value":"0"}`, "Value 0 for type GPU in resourceRequirement is not valid. Please provide a numeric value."),
		ec2(`resourceRequirements.2={"type":"DISK","value":"1"}`, "Resource requirement type DISK is not valid. Valid values are: [GPU, VCPU, MEMORY]"),
		ec2(`resourceRequirements.2={"type":"VCPU","value":"1"}`, "Cannot provide duplicates in resourceRequirements."),
		ec2(`vcpus=1`, "Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU."),
		ec2(`memory=512`, "Cannot use both ECS containerProperties memory and resourceRequirement MEMORY."),
		ec2(`secrets=[{"name":"S","valueFrom":"arn"}]`, "executionRoleArn cannot be empty when using secrets or secretOptions"),
		ec2(`logConfiguration={"logDriver":"splunk","secretOptions":[{"name":"S","valueFrom":"arn"}]}`, "executionRoleArn cannot be empty when using secrets or secretOptions"),
		fargate(`secrets=[{"name":"S"}]`, "Secret name and valueFrom are required."),
		{string(edit(fargateDef, cp+`environment=[{"name":"A","value":"1"}]`)), cp + `secrets=[{"name":"A","valueFrom":"arn"}]`,
			"The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'A'."},
		ec2(`logConfiguration={"logDriver":"carrier-pigeon"}`, "Log driver is not valid: carrier-pigeon"),
		ec2(`logConfiguration={"logDriver":"awslogs","options":{"awslogs-group":"g","tag":"t","awslogs-stream":"s"}}`, "Log driver awslogs disallows options: awslogs-stream, tag"),
		ec2(`user="Root User"`, "User 'Root User' does not match regex"),
		ec2(`user="a:b:c"`, "User 'a:b:c' does not match regex"),
		ec2(`environment=[{"value":"x"}]`, "Environment variable name is required."),
		ec2(`environment=[{"name":"AWS_BATCH_JOB_ID","value":"x"}]`, "Environment variables cannot start with AWS_BATCH: AWS_BATCH_JOB_ID"),
		ec2(`linuxParameters.devices=[{"hostPath":"/dev/x","permissions":["EXEC"]}]`, "Invalid permission: EXEC for device /dev/x"),
		ec2(`linuxParameters={"maxSwap":-1,"swappiness":1}`, "Invalid swap memory size: -1, must be non-negative."),
		ec2(`linuxParameters={"maxSwap":1,"swappiness":101}`, "Invalid swappiness: 101, must be between 0 and 100."),
		ec2(`linuxParameters={"maxSwap":1}`, "When container specified swap memory, swappiness value is required."),
		ec2(`linuxParameters.tmpfs=[{"containerPath":"/t"}]`, "Size of a tmpfs is invalid. The size is required and must be a positive integer."),
		ec2(`ulimits=[{"name":"files","softLimit":1,"hardLimit":1}]`, "Ulimit name files is not valid. Valid values are: ["+strings.Join(ulimitNames, ", ")+"]"),
		ec2(`ulimits=[{"name":"nofile","softLimit":2,"hardLimit":1}]`, "Ulimit nofile: softLimit must not be greater than hardLimit."),
		ec2(`ulimits=[{"name":"nofile","softLimit":-1,"hardLimit":1}]`, "Ulimit nofile: softLimit must not be greater than hardLimit."),
		ec2(`mountPoints=[{"sourceVolume":"v","containerPath":"/v"}]`, "Unknown volume 'v'."),
		ec2(efs(`,"rootDirectory":"/data","transitEncryption":"ENABLED","authorizationConfig":{"accessPointId":"fsap-1"}`), `When using an EFS access point, the root directory must either be set to "/" or omitted`),
		ec2(efs(`,"authorizationConfig":{"iam":"ENABLED"}`), "EFS IAM authorization requires TransitEncryption to be enabled."),
		ec2(efs(`,"authorizationConfig":{"accessPointId":"fsap-1"}`), "EFS IAM access point requires TransitEncryption to be enabled."),
		ec2(efs(`,"transitEncryptionPort":65536`), "TransitEncryptionPort must be a valid port number."),
		ec2(volume(`{"name":"v","efsVolumeConfiguration":{"fileSystemId":"disk"}}`), "EFS configuration fileSystemId is not valid: disk."),
		ec2(volume(`{"name":"v","host":{},"efsVolumeConfiguration":{"fileSystemId":"fs-12345678"}}`), "When the volume parameter is specified, only one volume configuration type should be used."),
		ec2(volume(`{"name":"v","s3filesVolumeConfiguration":{"fileSystemArn":"arn"}}`), "A jobRoleArn/taskRoleArn is required when using s3filesVolumeConfiguration."),
		top(`schedulingPriority=-1`, "Scheduling priority must be between 0 and 9999."),
		top(`schedulingPriority=10000`, "Scheduling priority must be between 0 and 9999."),
		top(`retryStrategy={"evaluateOnExit":[]}`, "RetryAttempts must be provided with retry strategy."),
		top(`timeout.attemptDurationSeconds=59`, "Timeout attemptDurationSeconds must be at least 60."),
		top(`consumableResourceProperties.consumableResourceList=[{"consumableResource":"a"},{"consumableResource":"b"},{"consumableResource":"c"},{"consumableResource":"d"},{"consumableResource":"e"},{"consumableResource":"f"}]`,
			"Each ConsumableResourceProperty can have at most 5 consumableResources"),
		top(`consumableResourceProperties.consumableResourceList=[{"consumableResource":"a"},{"consumableResource":"a"}]`, "Cannot have duplicate consumableResource in consumableResourceProperties"),
		top(`consumableResourceProperties.consumableResourceList=[{"consumableResource":"a","quantity":-1}]`, "quantity cannot be a negative number."),
		top(`consumableResourceProperties.consumableResourceList=[{"quantity":1}]`, "consumableResource is required."),
		top(`padding="`+strings.Repeat("x", 24<<10)+`"`, "Job definition size must be less than 24 KiB, got 25 KiB"),
	}
	for _, c := range cases {
		t.Run(c.text+" "+c.change[:min(len(c.change), 60)], func(t *testing.T) {
			t.Parallel()
			_, err := NewJobDefinition(edit(c.base, c.change))
			wantRefusal(t, err, Invalid, c.text)
		})
	}
}

type definitionCase struct{ base, change, text string }

func TestJobDefinitionUnsupported(t *testing.T) {
	t.Parallel()
	for _, c := range []definitionCase{
		{ec2Def, `platformCapabilities=["MANAGED_INSTANCES"]`, "batchbox does not run jobs with platform capability MANAGED_INSTANCES"},
		{string(edit(fargateDef, `containerProperties.resourceRequirements=[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"2048"}]`)),
			`containerProperties.runtimePlatform.operatingSystemFamily="WINDOWS_SERVER_2022_CORE"`, "batchbox runs Linux containers only: a WINDOWS_SERVER operatingSystemFamily is not supported"},
	} {
		_, err := NewJobDefinition(edit(c.base, c.change))
		wantRefusal(t, err, Unsupported, c.text)
	}
}

// TestFargateTable tries every pair of the table (reference, section 2.3) and its neighbours.
func TestFargateTable(t *testing.T) {
	t.Parallel()
	table := map[string][]int{
		"0.25": {512, 1024, 2048}, "0.5": {1024, 2048, 3072, 4096}, "1": steps(2048, 8192, 1024), "2": steps(4096, 16384, 1024),
		"4": steps(8192, 30720, 1024), "8": steps(16384, 61440, 4096), "16": steps(32768, 122880, 8192),
	}
	for vcpu, memory := range table {
		valid := map[int]bool{}
		for _, m := range memory {
			valid[m] = true
		}
		for m := 0; m <= 130000; m += 512 {
			_, err := NewJobDefinition(edit(fargateDef, `containerProperties.resourceRequirements.0.value="`+vcpu+`"`,
				fmt.Sprintf(`containerProperties.resourceRequirements.1.value="%d"`, m)))
			if (err == nil) != valid[m] {
				t.Fatalf("%s vCPU, %d MiB: %v", vcpu, m, err)
			}
		}
	}
}

func steps(from, to, step int) []int {
	var out []int
	for m := from; m <= to; m += step {
		out = append(out, m)
	}
	return out
}

// TestDefinitionDocument checks what DescribeJobDefinitions shows (reference, sections 2.3 and 13.1): exactly the additions
// that Terraform tolerates, nothing else.
func TestDefinitionDocument(t *testing.T) {
	t.Parallel()
	emptyLists := `"command":[],"environment":[],"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[]`
	for _, c := range []struct{ name, req, want string }{
		{"Fargate", fargateDef, `{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],"parameters":{},"propagateTags":false,
			"containerOrchestrationType":"ECS","containerProperties":{"image":"busybox","executionRoleArn":"arn:aws:iam::111122223333:role/exec",
			"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}],
			"fargatePlatformConfiguration":{"platformVersion":"LATEST"},` + emptyLists + `}}`},
		{"EC2", string(edit(ec2Def, `containerProperties.logConfiguration.logDriver="awslogs"`, `containerProperties.linuxParameters.initProcessEnabled=true`,
			`platformCapabilities=[]`, `tags={"a":"b"}`, `status="INACTIVE"`, `revision=7`, `jobDefinitionArn="arn"`, `containerOrchestrationType="EKS"`)),
			`{"jobDefinitionName":"jd","type":"container","parameters":{},"propagateTags":false,"containerOrchestrationType":"ECS","containerProperties":{
			"image":"busybox","resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"512"}],
			"logConfiguration":{"logDriver":"awslogs","options":{},"secretOptions":[]},
			"linuxParameters":{"initProcessEnabled":true,"devices":[],"tmpfs":[]},` + emptyLists + `}}`},
		{"legacy requirements", string(edit(ec2Def, `-containerProperties.resourceRequirements`, `containerProperties.vcpus=1`, `containerProperties.memory=128`)),
			`{"jobDefinitionName":"jd","type":"container","parameters":{},"propagateTags":false,"containerOrchestrationType":"ECS","containerProperties":{
			"image":"busybox","vcpus":1,"memory":128,"resourceRequirements":[],` + emptyLists + `}}`},
		{"given values stay", string(edit(ec2Def, `parameters={"a":"b"}`, `propagateTags=true`, `retryStrategy={"attempts":3}`, `timeout={"attemptDurationSeconds":60}`,
			`schedulingPriority=0`, `containerProperties.environment=[{"name":"E","value":""},{"name":"N"},{"name":"A","value":"<&>"}]`,
			`containerProperties.privileged=false`, `newer={"n":1.50,"big":12345678901234567890,"e":1e3,"null":null}`)),
			`{"jobDefinitionName":"jd","type":"container","parameters":{"a":"b"},"propagateTags":true,"containerOrchestrationType":"ECS",
			"retryStrategy":{"attempts":3},"timeout":{"attemptDurationSeconds":60},"schedulingPriority":0,"newer":{"n":1.50,"big":12345678901234567890,"e":1e3},
			"containerProperties":{"image":"busybox","privileged":false,"resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"512"}],
			"environment":[{"name":"A","value":"<&>"}],"command":[],"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[]}}`},
		{"several containers stay as sent", ecsDef, string(edit(ecsDef, `parameters={}`, `propagateTags=false`, `containerOrchestrationType="ECS"`))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			jd, err := NewJobDefinition([]byte(c.req))
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, jd.Document, c.want)
			if jd.Name != "jd" || jd.Status != Active || jd.Revision != 0 {
				t.Errorf("%+v", jd)
			}
		})
	}
	jd, err := NewJobDefinition(edit(ec2Def, `tags={"a":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	sameMap(t, jd.Tags, map[string]string{"a": "b"})

	jd, err = NewJobDefinition([]byte(nodesDef))
	if err != nil {
		t.Fatal(err)
	}
	want := edit(nodesDef, `parameters={}`, `propagateTags=false`, `containerOrchestrationType="ECS"`)
	for i := range 2 {
		want = edit(string(want), fmt.Sprintf("nodeProperties.nodeRangeProperties.%d.instanceTypes=[]", i))
		for _, m := range []string{"environment", "mountPoints", "secrets", "ulimits", "volumes"} {
			want = edit(string(want), fmt.Sprintf("nodeProperties.nodeRangeProperties.%d.container.%s=[]", i, m))
		}
	}
	sameJSON(t, jd.Document, string(edit(string(want), `nodeProperties.nodeRangeProperties.1.container.command=[]`)))
}

// tenContainers is a task of as many containers as there may be, together 4 vCPU and 10 GiB.
func tenContainers() string {
	var l []string
	for i := range 10 {
		l = append(l, fmt.Sprintf(`{"name":"c%d","image":"i","resourceRequirements":[{"type":"VCPU","value":"0.4"},{"type":"MEMORY","value":"1024"}]}`, i))
	}
	return "[" + strings.Join(l, ",") + "]"
}

// TestDefinitionAccepts holds what must not be refused.
func TestDefinitionAccepts(t *testing.T) {
	t.Parallel()
	bare := strings.TrimSuffix(ec2Def, "}") + `,"padding":""}`
	largest := strings.Replace(bare, `"padding":"`, `"padding":"`+strings.Repeat("x", 24<<10-len(bare)), 1)
	if _, err := NewJobDefinition([]byte(largest)); err != nil || len(largest) != 24<<10 {
		t.Errorf("%d bytes: %v", len(largest), err)
	}
	_, err := NewJobDefinition([]byte(largest + " "))
	wantRefusal(t, err, Invalid, "Job definition size must be less than 24 KiB, got 25 KiB")
	const cp = "containerProperties."
	for _, c := range []struct{ base, change string }{
		{fargateDef, cp + `privileged=false`},
		{fargateDef, cp + `ulimits=[]`},
		{fargateDef, cp + `linuxParameters={"initProcessEnabled":true,"devices":[],"tmpfs":[]}`},
		{fargateDef, cp + `volumes=[{"name":"scratch","host":{}}]`},
		{fargateDef, cp + `volumes=[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-0123456789abcdef0","rootDirectory":"/","transitEncryption":"ENABLED","authorizationConfig":{"accessPointId":"fsap-1","iam":"ENABLED"}}}]`},
		{fargateDef, cp + `fargatePlatformConfiguration.platformVersion="1.3.0"`},
		{fargateDef, cp + `runtimePlatform={"operatingSystemFamily":"LINUX","cpuArchitecture":"ARM64"}`},
		{fargateDef, cp + `ephemeralStorage.sizeInGiB=200`},
		{fargateDef, cp + `logConfiguration={"logDriver":"awslogs","options":{"awslogs-group":"g","awslogs-region":"r","awslogs-stream-prefix":"p","awslogs-datetime-format":"%Y","awslogs-multiline-pattern":"^a","awslogs-create-group":"true","mode":"non-blocking","max-buffer-size":"1m"}}`},
		{fargateDef, cp + `resourceRequirements.0.value="0.250"`},
		{ec2Def, cp + `user="nobody"`}, {ec2Def, cp + `user="1000:1000"`}, {ec2Def, cp + `user="app:users"`}, {ec2Def, cp + `user=""`},
		{ec2Def, cp + `environment=[{"name":"AWS_REGION","value":"x"},{"name":"aws_batch_x","value":"x"}]`},
		{ec2Def, cp + `linuxParameters={"maxSwap":0,"swappiness":0,"sharedMemorySize":64}`},
		{ec2Def, cp + `ulimits=[{"name":"nofile","softLimit":-1,"hardLimit":-1}]`},
		{ec2Def, cp + `resourceRequirements.2={"type":"GPU","value":"4"}`},
		{ec2Def, cp + `volumes=[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-12345678","transitEncryptionPort":0}}]`},
		{ec2Def, cp + `volumes=[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-12345678","transitEncryptionPort":65535}}]`},
		{ec2Def, cp + `linuxParameters={"maxSwap":1,"swappiness":100}`},
		{fargateDef, cp + `ephemeralStorage.sizeInGiB=21`},
		{ecsDef, taskPath + `containers.0.startTimeout=2`}, {ecsDef, taskPath + `containers.0.startTimeout=120`},
		{ec2Def, `schedulingPriority=0`},
		{ec2Def, cp + `linuxParameters.tmpfs=[{"containerPath":"/t","size":1}]`},
		{ec2Def, `retryStrategy={"attempts":10,"evaluateOnExit":[` + strings.Repeat(`{"onExitCode":"1","action":"EXIT"},`, 4) + `{"onExitCode":"1","action":"EXIT"}]}`},
		{ecsDef, taskPath + `containers=` + tenContainers()},
		{ec2Def, cp + `image="` + strings.Repeat("i", 255) + `"`},
		{ec2Def, `timeout={}`}, {ec2Def, `timeout.attemptDurationSeconds=60`}, {ec2Def, `schedulingPriority=9999`},
		{ec2Def, `platformCapabilities=["EC2"]`},
	} {
		if _, err := NewJobDefinition(edit(c.base, c.change)); err != nil {
			t.Errorf("%s: %v", c.change, err)
		}
	}
}
