package batch

import "testing"

const taskPath = "ecsProperties.taskProperties.0."

// TestECSPropertiesTexts produces every refusal of the reference, section 2.3, "ecsProperties", and of the evidence beyond.
func TestECSPropertiesTexts(t *testing.T) {
	t.Parallel()
	onEC2 := string(edit(ecsDef, `platformCapabilities=["EC2"]`, taskPath+`containers.0.resourceRequirements.0.value="1"`, taskPath+`containers.1.resourceRequirements.0.value="1"`))
	dep := func(name, condition string) string {
		return `containers.0.dependsOn=[{"containerName":"` + name + `","condition":"` + condition + `"}]`
	}
	eleven := "["
	for i := range 11 {
		if i > 0 {
			eleven += ","
		}
		eleven += `{"name":"c` + string(rune('a'+i)) + `","image":"i"}`
	}
	eleven += "]"
	for _, c := range []definitionCase{
		{ecsDef, `ecsProperties.taskProperties=[]`, "Number of taskProperties must be 1"},
		{ecsDef, `ecsProperties.taskProperties=[{},{}]`, "Number of taskProperties must be 1"},
		{ecsDef, taskPath + `containers=[]`, "Number of containers must be between 1 and 10"},
		{ecsDef, taskPath + `containers=` + eleven, "Number of containers must be between 1 and 10"},
		{ecsDef, taskPath + `containers.0.essential=false`, "At least one container must be set as essential"},
		{ecsDef, taskPath + `containers.1.name="main"`, "Container names must be unique"},
		{ecsDef, `-` + taskPath + `containers.1.name`, "Container name is required."},
		{ecsDef, taskPath + dep("side", "READY"), "TaskContainer dependency READY is not valid. Valid values are: [START, COMPLETE, SUCCESS]"},
		{ecsDef, taskPath + dep("nobody", "START"), "containerName nobody must reference a defined container."},
		{ecsDef, taskPath + `containers.1.dependsOn=[{"containerName":"main","condition":"COMPLETE"}]`, "The container target of a dependency can not have condition COMPLETE if the target is essential"},
		{ecsDef, taskPath + `containers.1.dependsOn=[{"containerName":"main","condition":"SUCCESS"}]`, "The container target of a dependency can not have condition SUCCESS if the target is essential"},
		{ecsDef, taskPath + dep("main", "START"), "Container dependencies must not form a cycle: main"},
		{string(edit(ecsDef, taskPath+dep("side", "START"))), taskPath + `containers.1.dependsOn=[{"containerName":"main","condition":"START"}]`, "Container dependencies must not form a cycle: main"},
		{ecsDef, taskPath + `containers=[{"name":"a","image":"i","dependsOn":[{"containerName":"a","condition":"START"}]}]`, "Container dependency can not be used in a single-container job."},
		{ecsDef, taskPath + `containers.1.firelensConfiguration={"type":"fluentbit"}`, "When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver"},
		{ecsDef, taskPath + `pidMode="none"`, "Capability none is not valid. Valid capabilities: [host, task]"},
		{ecsDef, taskPath + `ipcMode="all"`, "ipcMode all is not valid. Valid values are: [host, task, none]"},
		{ecsDef, taskPath + `pidMode="host"`, "pidMode host is not applicable for Fargate."},
		{ecsDef, taskPath + `ipcMode="none"`, "ipcMode none is not applicable for Fargate."},
		{ecsDef, taskPath + `containers.0.startTimeout=1`, "startTimeout must be between 2 and 120 seconds."},
		{ecsDef, taskPath + `containers.0.stopTimeout=121`, "stopTimeout must be between 2 and 120 seconds."},
		{onEC2, taskPath + `containers.0.stopTimeout=1`, "stopTimeout must be between 2 and 120 seconds."},
		{ecsDef, `-` + taskPath + `executionRoleArn`, "executionRoleArn is required for Fargate jobs."},
		{ecsDef, `-` + taskPath + `containers.1.image`, "ECS Container Image must be provided."},
		{ecsDef, taskPath + `containers.1.resourceRequirements.1.value="512"`, "Fargate resource requirements (1.00 vCPU, 1536 MiB) not valid."},
		{ecsDef, taskPath + `containers.1.resourceRequirements=[]`, "vCPU is required."},
		{ecsDef, taskPath + `containers.1.mountPoints=[{"sourceVolume":"v","containerPath":"/v"}]`, "Unknown volume 'v'."},
		{ecsDef, taskPath + `volumes=[{"name":"v","host":{"sourcePath":"/x"}}]`, "host.sourcePath should not be set for volumes in Fargate."},
		{string(edit(ecsDef, taskPath+`platformVersion="1.3.0"`)), taskPath + `volumes=[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-12345678"}}]`, "EFS is supported for Fargate platform versions 1.4.0 or later, provided 1.3.0"},
		{onEC2, taskPath + `platformVersion="LATEST"`, "platformVersion not applicable for EC2."},
		{onEC2, taskPath + `networkConfiguration.assignPublicIp="ENABLED"`, "networkConfiguration not applicable for EC2."},
		{onEC2, `-` + taskPath + `containers.0.image`, "ECS Container Image must be provided."},
	} {
		t.Run(c.text+" "+c.change[:min(len(c.change), 60)], func(t *testing.T) {
			t.Parallel()
			_, err := NewJobDefinition(edit(c.base, c.change))
			wantRefusal(t, err, Invalid, c.text)
		})
	}
	for _, changes := range [][]string{
		{taskPath + dep("side", "SUCCESS")},
		{taskPath + `containers.0.logConfiguration.logDriver="awsfirelens"`, taskPath + `containers.1.firelensConfiguration={"type":"fluentd"}`},
		{taskPath + `pidMode="task"`, taskPath + `ipcMode="task"`, taskPath + `containers.0.stopTimeout=120`},
		{`-` + taskPath + `containers.0.name`, taskPath + `containers=[{"image":"i","resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"2048"}]}]`},
	} {
		if _, err := NewJobDefinition(edit(ecsDef, changes...)); err != nil {
			t.Errorf("%s: %v", changes, err)
		}
	}
	if _, err := NewJobDefinition(edit(onEC2, taskPath+`containers.0.stopTimeout=900`, taskPath+`pidMode="host"`, taskPath+`ipcMode="none"`)); err != nil {
		t.Error(err)
	}
}
