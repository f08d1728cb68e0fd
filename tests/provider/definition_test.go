package provider_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// definition is a configuration of aws_batch_job_definition: documents as in Terraform, the rest as the provider sends it.
type definition struct {
	container, ecs, nodes string
	batch.RegisterJobDefinitionInput
	keep bool // deregister_on_new_revision = false
}

// register is the provider's create, or its update: a new revision, after which the one before is deregistered.
func (p *provider) register(d definition, before string) (arn string, got attributes) {
	p.Helper()
	in := d.RegisterJobDefinitionInput
	in.JobDefinitionName, in.Type = aws.String(env), types.JobDefinitionTypeContainer
	if in.PropagateTags == nil {
		in.PropagateTags = aws.Bool(false)
	}
	read := func(document string, into any) {
		if err := json.Unmarshal([]byte(document), into); err != nil {
			p.Fatal(err)
		}
	}
	switch {
	case d.container != "":
		read(d.container, &in.ContainerProperties)
	case d.ecs != "":
		read(d.ecs, &in.EcsProperties)
	case d.nodes != "":
		in.Type = types.JobDefinitionTypeMultinode
		read(d.nodes, &in.NodeProperties)
	}
	out := must(p.batch.RegisterJobDefinition(p.Context(), &in))(p)
	if before != "" && !d.keep {
		must(p.batch.DeregisterJobDefinition(p.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: &before}))(p)
	}
	arn = *out.JobDefinitionArn
	got, jd, err := p.readDefinition(arn)
	if err != nil {
		p.Fatal(err)
	}
	again, _, _ := p.readDefinition(arn)
	p.same("read again", got, again)
	equivalent(p, "container_properties", d.container, wire(jd.ContainerProperties), plainContainer)
	equivalent(p, "ecs_properties", d.ecs, wire(jd.EcsProperties), plainTask)
	equivalent(p, "node_properties", d.nodes, wire(jd.NodeProperties), plainNodes)
	p.check("every definition", got, attributes{
		"arn": p.arn("batch", "job-definition/"+env+":"+num(out.Revision)), "arn_prefix": p.arn("batch", "job-definition/"+env), "name": env, "revision": num(out.Revision),
		"type": string(in.Type), "eks_properties.#": "0", "parameters.%": fmt.Sprint(len(in.Parameters)), "platform_capabilities.#": fmt.Sprint(len(in.PlatformCapabilities)),
		"propagate_tags": fmt.Sprint(*in.PropagateTags), "scheduling_priority": num(in.SchedulingPriority), "tags_all.%": fmt.Sprint(len(in.Tags)),
	})
	for name, given := range map[string]bool{"retry_strategy.#": in.RetryStrategy != nil, "timeout.#": in.Timeout != nil} {
		want := "0"
		if given {
			want = "1"
		}
		p.check("every definition", got, attributes{name: want})
	}
	return arn, got
}

func (p *provider) readDefinition(arn string) (attributes, types.JobDefinition, error) {
	p.Helper()
	out := must(p.batch.DescribeJobDefinitions(p.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{arn}}))(p)
	if n := len(out.JobDefinitions); n > 1 {
		p.Fatalf("%d job definitions are %s", n, arn)
	} else if n == 0 || str(out.JobDefinitions[0].Status) == "INACTIVE" {
		return nil, types.JobDefinition{}, errGone
	}
	jd := out.JobDefinitions[0]
	a := attributes{
		"arn": str(jd.JobDefinitionArn), "arn_prefix": strings.TrimSuffix(str(jd.JobDefinitionArn), fmt.Sprintf(":%d", aws.ToInt32(jd.Revision))), "name": str(jd.JobDefinitionName),
		"revision": num(jd.Revision), "type": str(jd.Type), "propagate_tags": fmt.Sprint(aws.ToBool(jd.PropagateTags)), "scheduling_priority": num(jd.SchedulingPriority),
		"eks_properties.#": "0", "retry_strategy.#": "0", "timeout.#": "0", "container_orchestration_type": string(jd.ContainerOrchestrationType),
	}
	for name, document := range map[string]any{"container_properties": wire(jd.ContainerProperties), "ecs_properties": wire(jd.EcsProperties), "node_properties": wire(jd.NodeProperties)} {
		if document != nil {
			a[name] = string(must(json.Marshal(document))(p))
		}
	}
	if jd.EksProperties != nil {
		a["eks_properties.#"] = "1"
	}
	if r := jd.RetryStrategy; r != nil {
		a["retry_strategy.#"], a["retry_strategy.0.attempts"] = "1", num(r.Attempts)
		for i, e := range r.EvaluateOnExit {
			for name, value := range map[string]string{"action": string(e.Action), "on_exit_code": str(e.OnExitCode), "on_reason": str(e.OnReason), "on_status_reason": str(e.OnStatusReason)} {
				a[fmt.Sprintf("retry_strategy.0.evaluate_on_exit.%d.%s", i, name)] = value
			}
		}
	}
	if t := jd.Timeout; t != nil {
		a["timeout.#"], a["timeout.0.attempt_duration_seconds"] = "1", num(t.AttemptDurationSeconds)
	}
	a.mapping("parameters", jd.Parameters)
	capabilities := make([]string, len(jd.PlatformCapabilities))
	for i, c := range jd.PlatformCapabilities {
		capabilities[i] = string(c)
	}
	a.strings("platform_capabilities", capabilities, true)
	a.mapping("tags_all", jd.Tags)
	return a, jd, nil
}

// deregister is the provider's delete: every ACTIVE revision of the name.
func (p *provider) deregister(arns ...string) {
	p.Helper()
	out := must(p.batch.DescribeJobDefinitions(p.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String(env), Status: aws.String("ACTIVE")}))(p)
	var active []string
	for _, jd := range out.JobDefinitions {
		active = append(active, *jd.JobDefinitionArn)
		must(p.batch.DeregisterJobDefinition(p.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: jd.JobDefinitionArn}))(p)
	}
	slices.Sort(active)
	if !slices.Equal(active, arns) {
		p.Errorf("active were %v, want %v", active, arns)
	}
	for _, arn := range arns {
		if _, _, err := p.readDefinition(arn); !errors.Is(err, errGone) {
			p.Errorf("%s is still there", arn)
		}
	}
}

const (
	simple     = `{"command": ["echo", "test"], "image": "busybox", "memory": 128, "vcpus": 1}`
	emptyLists = `"environment": [], "mountPoints": [], "resourceRequirements": [], "secrets": [], "ulimits": [], "volumes": []`
	simpleRead = `{"command": ["echo", "test"], "image": "busybox", "memory": 128, "vcpus": 1, ` + emptyLists + `}`
)

func (p *provider) document(got attributes, name, want string) {
	p.Helper()
	sameJSON(p, name, json.RawMessage(got[name]), want)
}

func TestJobDefinition_basic_disappears_propagateTags_schedulingPriority(t *testing.T) {
	p := configure(t)
	arn, got := p.register(definition{container: simple}, "")
	p.document(got, "container_properties", simpleRead)
	p.check("create", got, attributes{"revision": "1", "propagate_tags": "false", "scheduling_priority": "0", "container_orchestration_type": "ECS"})
	for _, name := range []string{"ecs_properties", "node_properties"} {
		if document, ok := got[name]; ok {
			t.Errorf("%s is %s", name, document)
		}
	}
	next, got := p.register(definition{container: simple, RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{PropagateTags: aws.Bool(true), SchedulingPriority: aws.Int32(2)}}, arn)
	p.check("update", got, attributes{"revision": "2", "propagate_tags": "true", "scheduling_priority": "2"})
	p.document(got, "container_properties", simpleRead)
	p.deregister(next)
}

func TestJobDefinition_attributes(t *testing.T) {
	p := configure(t)
	with := func(priority int32, propagate bool, attempts, timeout int32, deregister bool) definition {
		return definition{container: simple, keep: !deregister, RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{
			SchedulingPriority: &priority, PropagateTags: &propagate, RetryStrategy: &types.RetryStrategy{Attempts: &attempts},
			Timeout: &types.JobTimeout{AttemptDurationSeconds: &timeout}, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityEc2},
		}}
	}
	first, got := p.register(with(2, true, 3, 120, false), "")
	p.check("1", got, attributes{
		"platform_capabilities.#": "1", "platform_capabilities.0": "EC2", "propagate_tags": "true", "retry_strategy.0.attempts": "3", "timeout.0.attempt_duration_seconds": "120",
		"scheduling_priority": "2", "parameters.%": "0", "revision": "1",
	})
	second, got := p.register(with(2, true, 4, 120, false), first)
	p.check("2", got, attributes{"revision": "2", "retry_strategy.0.attempts": "4"})
	if _, _, err := p.readDefinition(first); err != nil {
		t.Errorf("the revision that was to be kept: %v", err)
	}
	third, got := p.register(definition{container: simple}, second)
	p.check("3", got, attributes{"revision": "3", "platform_capabilities.#": "0", "retry_strategy.#": "0", "timeout.#": "0"})
	if _, _, err := p.readDefinition(second); !errors.Is(err, errGone) {
		t.Error("revision 2 is still active")
	}
	fourth, got := p.register(with(1, false, 1, 60, true), third)
	p.check("4", got, attributes{"revision": "4", "scheduling_priority": "1", "propagate_tags": "false", "timeout.0.attempt_duration_seconds": "60"})
	p.deregister(first, fourth)
}

func TestJobDefinition_PlatformCapabilities_ec2_fargate_containerPropertiesDefaults(t *testing.T) {
	p := configure(t)
	ec2 := batch.RegisterJobDefinitionInput{PlatformCapabilities: []types.PlatformCapability{"EC2"}}
	fargate := batch.RegisterJobDefinitionInput{PlatformCapabilities: []types.PlatformCapability{"FARGATE"}}
	role := "arn:aws:iam::" + p.account + ":role/" + env
	arn, got := p.register(definition{container: simple, RegisterJobDefinitionInput: ec2}, "")
	p.check("EC2", got, attributes{"platform_capabilities.#": "1", "platform_capabilities.0": "EC2"})
	p.document(got, "container_properties", simpleRead)
	arn, got = p.register(definition{RegisterJobDefinitionInput: fargate, container: `{"image": "busybox", "executionRoleArn": "` + role + `",
		"resourceRequirements": [{"type": "MEMORY", "value": "512"}, {"type": "VCPU", "value": "0.25"}]}`}, arn)
	p.check("Fargate", got, attributes{"platform_capabilities.#": "1", "platform_capabilities.0": "FARGATE", "retry_strategy.#": "0", "timeout.#": "0"})
	p.document(got, "container_properties", `{"image": "busybox", "executionRoleArn": "`+role+`", "fargatePlatformConfiguration": {"platformVersion": "LATEST"},
		"resourceRequirements": [{"type": "MEMORY", "value": "512"}, {"type": "VCPU", "value": "0.25"}],
		"command": [], "environment": [], "mountPoints": [], "secrets": [], "ulimits": [], "volumes": []}`)
	arn, got = p.register(definition{RegisterJobDefinitionInput: fargate, container: `{"command": ["echo", "test"], "image": "busybox", "executionRoleArn": "` + role + `",
		"fargatePlatformConfiguration": {"platformVersion": "LATEST"}, "networkConfiguration": {"assignPublicIp": "DISABLED"},
		"resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]}`}, arn)
	p.document(got, "container_properties", `{"command": ["echo", "test"], "image": "busybox", "executionRoleArn": "`+role+`",
		"fargatePlatformConfiguration": {"platformVersion": "LATEST"}, "networkConfiguration": {"assignPublicIp": "DISABLED"},
		"resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}], "environment": [], "mountPoints": [], "secrets": [], "ulimits": [], "volumes": []}`)
	p.deregister(arn)
}

const advanced = `{"command": ["ls", "-la"], "image": "busybox", "memory": 512, "vcpus": 1, "volumes": [{"host": {"sourcePath": "/tmp"}, "name": "tmp"}],
	"environment": [{"name": "VARNAME", "value": "VARVAL"}], "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": false}],
	"ulimits": [{"hardLimit": 1024, "name": "nofile", "softLimit": 1024}]}`

func TestJobDefinition_ContainerProperties_advanced(t *testing.T) {
	p := configure(t)
	with := func(param string, attempts, timeout int32) definition {
		return definition{container: advanced, RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{
			Parameters: map[string]string{"param1": "val1", "param2": param}, Timeout: &types.JobTimeout{AttemptDurationSeconds: &timeout},
			RetryStrategy: &types.RetryStrategy{Attempts: &attempts, EvaluateOnExit: []types.EvaluateOnExit{ // the provider sends small letters, whatever is configured
				{Action: "retry", OnStatusReason: aws.String("Host EC2*")}, {Action: "exit", OnReason: aws.String("*")},
			}},
		}}
	}
	arn, got := p.register(with("val2", 1, 60), "")
	p.document(got, "container_properties", `{"command": ["ls", "-la"], "image": "busybox", "memory": 512, "vcpus": 1, "volumes": [{"host": {"sourcePath": "/tmp"}, "name": "tmp"}],
		"environment": [{"name": "VARNAME", "value": "VARVAL"}], "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": false}],
		"resourceRequirements": [], "secrets": [], "ulimits": [{"hardLimit": 1024, "name": "nofile", "softLimit": 1024}]}`)
	p.check("1", got, attributes{
		"parameters.%": "2", "parameters.param1": "val1", "parameters.param2": "val2", "retry_strategy.0.attempts": "1", "timeout.0.attempt_duration_seconds": "60",
		"retry_strategy.0.evaluate_on_exit.0.action": "retry", "retry_strategy.0.evaluate_on_exit.0.on_status_reason": "Host EC2*", "retry_strategy.0.evaluate_on_exit.0.on_reason": "",
		"retry_strategy.0.evaluate_on_exit.0.on_exit_code": "", "retry_strategy.0.evaluate_on_exit.1.action": "exit", "retry_strategy.0.evaluate_on_exit.1.on_reason": "*",
	})
	for i, d := range []definition{with("val3", 1, 60), with("val3", 3, 60), with("val3", 3, 120), {container: strings.Replace(advanced, "512", "1024", 1)}} {
		before := arn
		arn, got = p.register(d, before)
		p.check("update", got, attributes{"revision": fmt.Sprint(i + 2)})
		if _, _, err := p.readDefinition(before); !errors.Is(err, errGone) {
			t.Errorf("%s is still active", before)
		}
	}
	p.check("5", got, attributes{"retry_strategy.#": "0", "timeout.#": "0", "parameters.%": "0"})
	p.deregister(arn)
}

func TestJobDefinition_ContainerProperties_EmptyField_minorUpdate_updateWithTags(t *testing.T) {
	p := configure(t)
	tags := batch.RegisterJobDefinitionInput{Tags: map[string]string{"Name": env}}
	arn, got := p.register(definition{RegisterJobDefinitionInput: tags, container: `{"command": ["echo", "test"], "image": "busybox", "memory": 128, "vcpus": 1,
		"environment": [{"name": "EMPTY", "value": ""}, {"name": "VALUE", "value": "value"}]}`}, "")
	p.document(got, "container_properties", strings.Replace(simpleRead, `"environment": []`, `"environment": [{"name": "VALUE", "value": "value"}]`, 1))
	p.check("tags", got, attributes{"tags_all.Name": env})
	arn, got = p.register(definition{RegisterJobDefinitionInput: tags, container: strings.Replace(simple, "test", "test2", 1)}, arn)
	p.check("tags of the new revision", got, attributes{"revision": "2", "tags_all.Name": env})
	p.deregister(arn)
}

// TestJobDefinition_everyMember registers what configurations have beyond the acceptance tests: nothing may be invented,
// dropped or moved.
func TestJobDefinition_everyMember(t *testing.T) {
	p := configure(t)
	role := "arn:aws:iam::" + p.account + ":role/r"
	arn := ""
	for _, d := range []definition{
		{container: `{"image": "busybox", "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}], "privileged": false, "readonlyRootFilesystem": true,
			"user": "nobody", "jobRoleArn": "` + role + `", "executionRoleArn": "` + role + `", "instanceType": "m5.large",
			"linuxParameters": {"initProcessEnabled": true, "sharedMemorySize": 64, "maxSwap": 10, "swappiness": 60, "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/x", "permissions": ["READ"]}],
				"tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["noexec"]}]},
			"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "p"}, "secretOptions": [{"name": "n", "valueFrom": "v"}]},
			"secrets": [{"name": "S", "valueFrom": "` + p.arn("secretsmanager", "secret:s") + `"}],
			"volumes": [{"name": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-12345678", "rootDirectory": "/", "transitEncryption": "ENABLED", "transitEncryptionPort": 2049, "authorizationConfig": {"iam": "ENABLED"}}}, {"name": "scratch"}],
			"mountPoints": [{"sourceVolume": "efs", "containerPath": "/efs"}, {"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": true}]}`},
		{container: `{"image": "busybox", "vcpus": 2, "memory": 256, "logConfiguration": {"logDriver": "awslogs"}, "linuxParameters": {"initProcessEnabled": true}, "environment": [{"name": "Z", "value": "1"}, {"name": "A", "value": "2"}]}`},
		{container: `{"image": "busybox", "executionRoleArn": "` + role + `", "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
			"runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"}, "ephemeralStorage": {"sizeInGiB": 40}, "fargatePlatformConfiguration": {"platformVersion": "1.4.0"},
			"networkConfiguration": {"assignPublicIp": "ENABLED"}, "repositoryCredentials": {"credentialsParameter": "` + p.arn("secretsmanager", "secret:c") + `"}}`,
			RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{PlatformCapabilities: []types.PlatformCapability{"FARGATE"}}},
		{container: simple, RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{Timeout: &types.JobTimeout{}}}, // an empty timeout block
	} {
		arn, _ = p.register(d, arn)
	}
	p.deregister(arn)
}

// nodeContainer is a node range's container as it is read.
func nodeContainer(command, rest, target string) string {
	return `{"container": {"command": [` + command + `], "image": "busybox", "vcpus": 1, ` + rest + `}, "instanceTypes": [], "targetNodes": "` + target + `"}`
}

func TestJobDefinition_NodeProperties_basic_advanced(t *testing.T) {
	p := configure(t)
	arn, got := p.register(definition{nodes: `{"mainNode": 0, "numNodes": 2, "nodeRangeProperties": [
		{"container": {"command": ["ls", "-la"], "image": "busybox", "memory": 128, "vcpus": 1}, "targetNodes": "0:"},
		{"container": {"command": ["echo", "test"], "image": "busybox", "memory": 128, "vcpus": 1}, "targetNodes": "1:"}]}`}, "")
	p.document(got, "node_properties", `{"mainNode": 0, "numNodes": 2, "nodeRangeProperties": [`+nodeContainer(`"ls", "-la"`, `"memory": 128, `+emptyLists, "0:")+`, `+nodeContainer(`"echo", "test"`, `"memory": 128, `+emptyLists, "1:")+`]}`)
	with := batch.RegisterJobDefinitionInput{Parameters: map[string]string{"param1": "val1", "param2": "val2"}, Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(60)}}
	second := `{"container": {"command": ["echo", "test"], "environment": [], "image": "busybox", "memory": 128, "mountPoints": [], "resourceRequirements": [], "secrets": [], "ulimits": [], "vcpus": 1, "volumes": []}, "targetNodes": "1:"}`
	arn, got = p.register(definition{RegisterJobDefinitionInput: with, nodes: `{"mainNode": 1, "numNodes": 4, "nodeRangeProperties": [{"container": ` + advanced + `, "targetNodes": "0:"}, ` + second + `]}`}, arn)
	p.document(got, "node_properties", `{"mainNode": 1, "numNodes": 4, "nodeRangeProperties": [`+nodeContainer(`"ls", "-la"`, `"memory": 512,
		"environment": [{"name": "VARNAME", "value": "VARVAL"}], "mountPoints": [{"containerPath": "/tmp", "readOnly": false, "sourceVolume": "tmp"}], "resourceRequirements": [], "secrets": [],
		"ulimits": [{"hardLimit": 1024, "name": "nofile", "softLimit": 1024}], "volumes": [{"host": {"sourcePath": "/tmp"}, "name": "tmp"}]`, "0:")+`, `+nodeContainer(`"echo", "test"`, `"memory": 128, `+emptyLists, "1:")+`]}`)
	arn, got = p.register(definition{RegisterJobDefinitionInput: with, nodes: `{"mainNode": 1, "numNodes": 4, "nodeRangeProperties": [
		{"container": {"command": ["ls", "-la"], "image": "busybox", "memory": 512, "vcpus": 1}, "targetNodes": "0:"},
		{"container": {"command": ["echo", "test"], "environment": [], "image": "busybox", "memory": 128, "mountPoints": [], "ulimits": [], "vcpus": 1, "volumes": []}, "targetNodes": "1:"}]}`}, arn)
	p.check("3", got, attributes{"revision": "3"})
	p.deregister(arn)
}

func TestJobDefinition_NodeProperties_withECS_ECSProperties_update(t *testing.T) {
	p := configure(t)
	arn, got := p.register(definition{RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(1)}},
		nodes: `{"mainNode": 0, "numNodes": 1, "nodeRangeProperties": [{"targetNodes": "0:", "ecsProperties": {"taskProperties": [{"containers": [
			{"image": "public.ecr.aws/amazonlinux/amazonlinux:1", "command": ["sleep", "60"], "name": "container_a", "privileged": false, "resourceRequirements": [{"value": "1", "type": "VCPU"}, {"value": "2048", "type": "MEMORY"}]},
			{"image": "public.ecr.aws/amazonlinux/amazonlinux:1", "command": ["sleep", "360"], "name": "container_b", "resourceRequirements": [{"value": "1", "type": "VCPU"}, {"value": "2048", "type": "MEMORY"}]}]}]}}]}`}, "")
	p.check("nodes", got, attributes{"retry_strategy.0.attempts": "1", "type": "multinode"})
	task := func(environment string) definition {
		return definition{RegisterJobDefinitionInput: batch.RegisterJobDefinitionInput{PlatformCapabilities: []types.PlatformCapability{"FARGATE"}},
			ecs: `{"taskProperties": [{"executionRoleArn": "arn:aws:iam::` + p.account + `:role/r", "containers": [
			{"image": "public.ecr.aws/amazonlinux/amazonlinux:1", "command": ["sleep", "60"], "dependsOn": [{"containerName": "container_b", "condition": "COMPLETE"}],
				"secrets": [{"name": "TEST", "valueFrom": "DUMMY"}], "environment": [` + environment + `], "essential": true,
				"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "us-west-2", "awslogs-stream-prefix": "ecs"}},
				"name": "container_a", "privileged": false, "readonlyRootFilesystem": false, "resourceRequirements": [{"value": "1.0", "type": "VCPU"}, {"value": "2048", "type": "MEMORY"}]},
			{"image": "public.ecr.aws/amazonlinux/amazonlinux:1", "command": ["sleep", "360"], "name": "container_b", "essential": false,
				"resourceRequirements": [{"value": "1.0", "type": "VCPU"}, {"value": "2048", "type": "MEMORY"}]}]}]}`}
	}
	for i, environment := range []string{`{"name": "test", "value": "Environment Variable"}`, `{"name": "test 1", "value": "Environment Variable 1"}, {"name": "test 2", "value": "Environment Variable 2"}`} {
		before := arn
		arn, _ = p.register(task(environment), before)
		_, jd, err := p.readDefinition(arn)
		if err != nil {
			t.Fatal(err)
		}
		if task := jd.EcsProperties.TaskProperties; len(task) != 1 || len(task[0].Containers) != 2 || len(task[0].Containers[0].Environment) != i+1 {
			t.Errorf("tasks %+v", task)
		}
	}
	p.deregister(arn)
}

// TestJobDefinitionDataSource_basicName_basicARN reads as the data source does: the highest revision of a name and a state.
func TestJobDefinitionDataSource_basicName_basicARN(t *testing.T) {
	p := configure(t)
	var arns []string
	for i := range 3 {
		arns = append(arns, *must(p.batch.RegisterJobDefinition(p.Context(), &batch.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String(env), Type: types.JobDefinitionTypeContainer, RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(10)},
			ContainerProperties: &types.ContainerProperties{Command: []string{"echo", fmt.Sprint("test", i)}, Image: aws.String("busybox"), Memory: aws.Int32(128), Vcpus: aws.Int32(1)},
		}))(p).JobDefinitionArn)
	}
	must(p.batch.DeregisterJobDefinition(p.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: &arns[2]}))(p)
	for status, want := range map[string]string{"ACTIVE": "2 1", "INACTIVE": "3"} {
		var revisions []string
		pages := batch.NewDescribeJobDefinitionsPaginator(p.batch, &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String(env), Status: &status, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			for _, jd := range must(pages.NextPage(p.Context()))(p).JobDefinitions {
				revisions = append(revisions, fmt.Sprint(*jd.Revision))
			}
		}
		if got := strings.Join(revisions, " "); got != want {
			t.Errorf("%s: revisions %s, want %s", status, got, want)
		}
	}
	for i, arn := range arns {
		jd := must(p.batch.DescribeJobDefinitions(p.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{arn}}))(p).JobDefinitions
		if len(jd) != 1 || *jd[0].Revision != int32(i+1) || *jd[0].RetryStrategy.Attempts != 10 || jd[0].ContainerOrchestrationType != types.OrchestrationTypeEcs {
			t.Errorf("%s: %+v", arn, jd)
		}
	}
}

// TestJobDefinition_refusals are what a wrong configuration meets: the service's error, and nothing registered.
func TestJobDefinition_refusals(t *testing.T) {
	p := configure(t)
	_, err := p.batch.RegisterJobDefinition(p.Context(), &batch.RegisterJobDefinitionInput{JobDefinitionName: aws.String(env), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), Vcpus: aws.Int32(1), Memory: aws.Int32(128)}, RetryStrategy: &types.RetryStrategy{}})
	p.refused("emptyRetryStrategy, before 5.0", err, "ClientException", "Error executing request, Exception : RetryAttempts must be provided with retry strategy")
	out := must(p.batch.DescribeJobDefinitions(p.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String(env)}))(p)
	if len(out.JobDefinitions) != 0 {
		t.Error("a refused definition is there")
	}
}
