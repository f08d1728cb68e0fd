package batch

import (
	"fmt"
	"strings"
	"testing"
)

const linkedRole = "arn:aws:iam::111122223333:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"

// TestComputeEnvironmentTexts produces every refusal of the reference, section 2.1, and of the evidence beyond it.
func TestComputeEnvironmentTexts(t *testing.T) {
	t.Parallel()
	unmanaged := `{"computeEnvironmentName":"ce","type":"UNMANAGED","serviceRole":"arn:aws:iam::111122223333:role/r"}`
	strs := func(n int) string {
		var l []string
		for i := range n {
			l = append(l, fmt.Sprintf("%q", fmt.Sprint("x", i)))
		}
		return "[" + strings.Join(l, ",") + "]"
	}
	name := "Compute Environment name should match a valid pattern."
	cases := []struct {
		base, change, text string
	}{
		{fargateEnv, `computeEnvironmentName=""`, name},
		{fargateEnv, `computeEnvironmentName="-ce"`, name},
		{fargateEnv, `computeEnvironmentName="a b"`, name},
		{fargateEnv, `computeEnvironmentName="` + strings.Repeat("a", 129) + `"`, name},
		{fargateEnv, `tags={"aws:a":""}`, "aws: prefixed tag key names are not allowed for external use."},
		{fargateEnv, `state="DISABLED"`, "Compute Environment must be created in ENABLED state."},
		{fargateEnv, `type="OTHER"`, "Compute Environment type must be one of [MANAGED, UNMANAGED]."},
		{fargateEnv, `unmanagedvCpus=4`, "unmanagedvCpus is not applicable for managed Compute Environments"},
		{fargateEnv, `-computeResources`, "computeResources must be provided for a MANAGED compute environment"},
		{fargateEnv, `computeResources.type="LAMBDA"`, "Compute resource type must be one of [EC2, SPOT, FARGATE, FARGATE_SPOT]."},
		{fargateEnv, `-computeResources.maxvCpus`, "Resource maxvCpus is required."},
		{fargateEnv, `computeResources.maxvCpus=-1`, "maxvCpus should be greater than or equal to 0."},
		{fargateEnv, `computeResources.subnets=[]`, "Resource subnets are required."},
		{fargateEnv, `computeResources.subnets=` + strs(17), "Fargate supports a maximum of 16 subnets."},
		{fargateEnv, `computeResources.securityGroupIds=[]`, "Security group ids are required."},
		{fargateEnv, `computeResources.securityGroupIds=` + strs(6), "Fargate supports a maximum of 5 security groups."},

		{ec2Env, `-computeResources.instanceRole`, "Instance role is required."},
		{ec2Env, `-computeResources.minvCpus`, "Resource minvCpus is required."},
		{ec2Env, `computeResources.minvCpus=-1`, "minvCpus should be greater than or equal to 0."},
		{ec2Env, `computeResources.minvCpus=17`, "maxvCpus should be greater than or equal to minvCpus."},
		{ec2Env, `computeResources.desiredvCpus=17`, "desiredvCpus should be between minvCpus and maxvCpus."},
		{ec2Env, `computeResources.bidPercentage=101`, "Bid percentage must be between 0 to 100."},
		{ec2Env, `computeResources.instanceTypes=[]`, "Resource instanceTypes are required."},
		{ec2Env, `computeResources.instanceTypes=["m6i.large","m6g.large"]`, "arm-based instance type cannot be used with other instance types"},
		{ec2Env, `computeResources.instanceTypes=["optimal","a1"]`, "arm-based instance type cannot be used with other instance types"},
		{ec2Env, `computeResources.instanceTypes=["Huge One"]`, "Instance type can only be one of [optimal, default_x86_64, default_arm64, an instance family, an instance type]: Huge One"},
		{ec2Env, `computeResources.launchTemplate={"launchTemplateName":"t","version":"newest"}`, "LaunchTemplateVersion must be either empty or a number or $Default or $Latest"},
		{ec2Env, `computeResources.subnets=[]`, "Resource subnets are required."},
		{ec2Env, `computeResources.securityGroupIds=[]`, "Security group ids are required."},
		{string(edit(ec2Env, `computeResources.type="SPOT"`)), `computeResources.allocationStrategy="BEST_FIT"`, "compute resource spotIamFleetRole is required."},

		{unmanaged, `-serviceRole`, "ServiceRole is required."},
		{unmanaged, `serviceRole=""`, "ServiceRole is required."},
		{unmanaged, `serviceRole="` + linkedRole + `"`, "Service Linked Role cannot be used with UNMANAGED Compute Environment"},
		{unmanaged, `unmanagedvCpus=-1`, "unmanagedvCpus should be greater than or equal to 0."},
		{unmanaged, `computeResources={"type":"FARGATE"}`, "Fargate compute environments must be of type MANAGED."},
	}
	for _, m := range []string{
		`allocationStrategy="SPOT_CAPACITY_OPTIMIZED"`, `bidPercentage=0`, `desiredvCpus=0`, `ec2Configuration=[{"imageType":"ECS_AL2"}]`,
		`ec2KeyPair="k"`, `imageId="ami-1"`, `instanceRole="r"`, `instanceTypes=["m5"]`, `launchTemplate={"version":"1"}`, `minvCpus=0`,
		`placementGroup="g"`, `scalingPolicy={"minScaleDownDelayMinutes":20}`, `spotIamFleetRole="r"`, `tags={"a":"b"}`,
	} {
		member, _, _ := strings.Cut(m, "=")
		cases = append(cases, struct{ base, change, text string }{fargateEnv, "computeResources." + m, member + " is not applicable for Fargate."})
	}
	for _, c := range cases {
		t.Run(c.text+" "+c.change[:min(len(c.change), 40)], func(t *testing.T) {
			t.Parallel()
			_, err := NewComputeEnvironment(edit(c.base, c.change), here, "u")
			wantRefusal(t, err, Invalid, c.text)
		})
	}
}

func TestComputeEnvironmentUnsupported(t *testing.T) {
	t.Parallel()
	_, err := NewComputeEnvironment(edit(fargateEnv, `eksConfiguration={"eksClusterArn":"a"}`), here, "u")
	wantRefusal(t, err, Unsupported, "batchbox does not run compute environments on Amazon EKS: eksConfiguration is not supported")
	_, err = NewComputeEnvironment(edit(fargateEnv, `computeResources.type="ECS_MANAGED_INSTANCES"`), here, "u")
	wantRefusal(t, err, Unsupported, "batchbox does not run compute environments of type ECS_MANAGED_INSTANCES")
}

func TestNewComputeEnvironment(t *testing.T) {
	t.Parallel()
	t.Run("Fargate as Terraform sends it", func(t *testing.T) {
		t.Parallel()
		// Empty EC2 members are what "not given" looks like from some clients; an unknown member is ignored on Fargate.
		ce, err := NewComputeEnvironment(edit(fargateEnv, `state="ENABLED"`, `tags={"a":"b"}`, `context="c"`,
			`computeResources.instanceTypes=[]`, `computeResources.tags={}`, `computeResources.instanceRole=""`, `computeResources.newer=1`), here, "u-1")
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, ce.ComputeResources, `{"type":"FARGATE","maxvCpus":4,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}`)
		if ce.ServiceRole != linkedRole || ce.State != Enabled || ce.Status != StatusValid || ce.StatusReason != "ComputeEnvironment Healthy" ||
			ce.UUID != "u-1" || ce.MaxMilliCPU != 4000 || !ce.IsFargate() || ce.Context != "c" || ce.UpdatePolicy != nil {
			t.Errorf("%+v", ce)
		}
		sameMap(t, ce.Tags, map[string]string{"a": "b"})
	})
	t.Run("EC2 keeps what was sent and shows an image type", func(t *testing.T) {
		t.Parallel()
		ce, err := NewComputeEnvironment(edit(ec2Env, `computeResources.newer={"x":1.50}`), here, "u")
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, ce.ComputeResources, member(edit(ec2Env,
			`computeResources.newer={"x":1.50}`, `computeResources.ec2Configuration=[{"imageType":"ECS_AL2023"}]`), "computeResources"))
	})
	t.Run("EC2 wants instances for minvCpus from the start", func(t *testing.T) {
		t.Parallel()
		ce := newEnv(t, ec2Env, `computeResources.minvCpus=2`, `-computeResources.desiredvCpus`)
		sameJSON(t, []byte(member(ce.ComputeResources, "desiredvCpus")), "2")
	})
	t.Run("letter case of enumerations", func(t *testing.T) {
		t.Parallel()
		ce, err := NewComputeEnvironment(edit(fargateEnv, `type="managed"`, `state="enabled"`, `computeResources.type="fargate_spot"`), here, "u")
		if err != nil || ce.ResourceType != FargateSpot || ce.Type != Managed {
			t.Errorf("%+v %v", ce, err)
		}
	})
	t.Run("role by name", func(t *testing.T) {
		t.Parallel()
		ce, err := NewComputeEnvironment(edit(fargateEnv, `serviceRole="svc/BatchRole"`), here, "u")
		if err != nil || ce.ServiceRole != "arn:aws:iam::111122223333:role/svc/BatchRole" {
			t.Errorf("%q %v", ce.ServiceRole, err)
		}
	})
	t.Run("unmanaged", func(t *testing.T) {
		t.Parallel()
		ce, err := NewComputeEnvironment([]byte(`{"computeEnvironmentName":"ce","type":"UNMANAGED","serviceRole":"r","unmanagedvCpus":8}`), here, "u")
		if err != nil || ce.MaxMilliCPU != 8000 || ce.UnmanagedVCPUs != 8 || ce.ComputeResources != nil || ce.IsFargate() {
			t.Errorf("%+v %v", ce, err)
		}
	})
	t.Run("unmanaged with resources keeps them", func(t *testing.T) {
		t.Parallel()
		ce, err := NewComputeEnvironment([]byte(`{"computeEnvironmentName":"ce","type":"UNMANAGED","serviceRole":"r","unmanagedvCpus":0,"computeResources":{"type":"ec2","maxvCpus":4}}`), here, "u")
		if err != nil || ce.ResourceType != "" || ce.MaxMilliCPU != 0 {
			t.Errorf("%+v %v", ce, err)
		}
		sameJSON(t, ce.ComputeResources, `{"type":"EC2","maxvCpus":4}`)
	})
	t.Run("bounds are themselves allowed", func(t *testing.T) {
		t.Parallel()
		newEnv(t, fargateEnv, `computeResources.maxvCpus=0`)
		newEnv(t, ec2Env, `computeResources.minvCpus=16`, `computeResources.desiredvCpus=16`, `computeResources.bidPercentage=100`)
		newEnv(t, ec2Env, `computeResources.bidPercentage=0`, `computeResources.launchTemplate={"launchTemplateId":"lt-1"}`, `computeResources.securityGroupIds=[]`)
	})
	t.Run("Spot without BEST_FIT needs no fleet role", func(t *testing.T) {
		t.Parallel()
		if _, err := NewComputeEnvironment(edit(ec2Env, `computeResources.type="SPOT"`, `computeResources.allocationStrategy="SPOT_PRICE_CAPACITY_OPTIMIZED"`), here, "u"); err != nil {
			t.Error(err)
		}
	})
}

func TestInstanceTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		types string
		ok    bool
	}{
		{"optimal", true}, {"m5", true}, {"m5.large", true}, {"u-6tb1.metal", true}, {"p4d.24xlarge g4dn.xlarge", true},
		{"m6g c7gn.large x2gd a1.metal default_arm64", true}, {"default_x86_64 m5", true}, {"m6gd m6id", false}, {"t4g t3", false},
		{"default_arm64 default_x86_64", false}, {"m", false}, {"5m", false}, {"m5.", false}, {"M5.large", false},
	} {
		if err := checkInstanceTypes(strings.Fields(c.types)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.types, err)
		}
	}
}

func newEnv(t *testing.T, base string, changes ...string) ComputeEnvironment {
	t.Helper()
	ce, err := NewComputeEnvironment(edit(base, changes...), here, "uuid")
	if err != nil {
		t.Fatal(err)
	}
	return ce
}

// TestUpdateComputeEnvironmentTexts produces the refusals of the reference, section 2.1, "Update and delete".
func TestUpdateComputeEnvironmentTexts(t *testing.T) {
	t.Parallel()
	unmanaged := newEnv(t, `{"computeEnvironmentName":"ce","type":"UNMANAGED","serviceRole":"r"}`)
	fargate, ec2 := newEnv(t, fargateEnv), newEnv(t, ec2Env)
	ownRole, bestFit := newEnv(t, ec2Env, `serviceRole="r"`), newEnv(t, ec2Env, `computeResources.allocationStrategy="BEST_FIT"`)
	scaling := "Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment will cause it to scale-down to minvCpus."
	for _, c := range []struct {
		ce        ComputeEnvironment
		req, text string
	}{
		{fargate, `{"state":"PAUSED"}`, "Compute Environment state must be one of [ENABLED, DISABLED]."},
		{fargate, `{"unmanagedvCpus":1}`, "unmanagedvCpus is not applicable for managed Compute Environments"},
		{fargate, `{"serviceRole":"mine"}`, "Compute Environment can not change between a service linked role and another service role."},
		{ownRole, `{"serviceRole":""}`, "Compute Environment can not change between a service linked role and another service role."},
		{unmanaged, `{"serviceRole":""}`, "Service Linked Role cannot be used with UNMANAGED Compute Environment"},
		{unmanaged, `{"computeResources":{"maxvCpus":1}}`, "computeResources is not applicable for unmanaged Compute Environments"},
		{unmanaged, `{"unmanagedvCpus":-1}`, "unmanagedvCpus should be greater than or equal to 0."},
		{fargate, `{"computeResources":{"desiredvCpus":1}}`, "desiredvCpus is not applicable for Fargate."},
		{fargate, `{"computeResources":{"type":"EC2"}}`, "type is not applicable for Fargate."},
		{fargate, `{"computeResources":{"maxvCpus":-4}}`, "maxvCpus should be greater than or equal to 0."},
		{ec2, `{"computeResources":{"desiredvCpus":3}}`, scaling},
		{ec2, `{"computeResources":{"desiredvCpus":17}}`, "desiredvCpus should be between minvCpus and maxvCpus."},
		{ec2, `{"computeResources":{"maxvCpus":3,"desiredvCpus":5}}`, "desiredvCpus should be between minvCpus and maxvCpus."},
		{ec2, `{"computeResources":{"instanceRole":""}}`, "Instance role is required."},
		{ownRole, `{"computeResources":{"imageId":"ami-1"}}`, "Infrastructure updates need a Compute Environment with the service linked role."},
		{bestFit, `{"computeResources":{"imageId":"ami-1"}}`, "Infrastructure updates are not supported for allocation strategy BEST_FIT."},
		{fargate, `{"updatePolicy":{"jobExecutionTimeoutMinutes":7201}}`, "jobExecutionTimeoutMinutes must be between 1 and 7200."},
		{fargate, `{"updatePolicy":{"jobExecutionTimeoutMinutes":0}}`, "jobExecutionTimeoutMinutes must be between 1 and 7200."},
	} {
		t.Run(c.req, func(t *testing.T) {
			t.Parallel()
			before := fmt.Sprintf("%+v", c.ce)
			got, err := UpdateComputeEnvironment(c.ce, []byte(c.req), here)
			wantRefusal(t, err, Invalid, c.text)
			if after := fmt.Sprintf("%+v", got); after != before {
				t.Errorf("a refused update changed the environment: %s", after)
			}
		})
	}
}

func TestUpdateComputeEnvironment(t *testing.T) {
	t.Parallel()
	_, err := UpdateComputeEnvironment(newEnv(t, fargateEnv), []byte(`{"computeEnvironment":"ce"}`), here)
	wantRefusal(t, err, Refused, "One of [state | compute-resources | service-role | unmanaged-vcpus] is required.")
	update := func(t *testing.T, ce ComputeEnvironment, req string) ComputeEnvironment {
		t.Helper()
		next, err := UpdateComputeEnvironment(ce, []byte(req), here)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	t.Run("Fargate: empty lists change nothing", func(t *testing.T) {
		t.Parallel()
		ce := newEnv(t, fargateEnv)
		next := update(t, ce, `{"state":"DISABLED","serviceRole":"","computeResources":{"maxvCpus":8,"subnets":[],"securityGroupIds":["sg-2"]}}`)
		sameJSON(t, next.ComputeResources, `{"type":"FARGATE","maxvCpus":8,"subnets":["subnet-1"],"securityGroupIds":["sg-2"]}`)
		if next.State != Disabled || next.MaxMilliCPU != 8000 || ce.State != Enabled || ce.MaxMilliCPU != 4000 {
			t.Errorf("before %+v\nafter %+v", ce, next)
		}
	})
	t.Run("update policy is shown once set, with its defaults", func(t *testing.T) {
		t.Parallel()
		next := update(t, newEnv(t, fargateEnv), `{"updatePolicy":{"terminateJobsOnUpdate":true}}`)
		sameJSON(t, next.UpdatePolicy, `{"terminateJobsOnUpdate":true,"jobExecutionTimeoutMinutes":30}`)
	})
	t.Run("EC2: members replace, empty strings remove, orders are not kept", func(t *testing.T) {
		t.Parallel()
		ce := newEnv(t, ec2Env, `computeResources.imageId="ami-1"`)
		next := update(t, ce, `{"computeResources":{"imageId":"","maxvCpus":32,"instanceTypes":["c5"],"updateToLatestImageVersion":true}}`)
		want := edit(ec2Env, `computeResources.maxvCpus=32`, `computeResources.instanceTypes=["c5"]`, `computeResources.ec2Configuration=[{"imageType":"ECS_AL2023"}]`)
		sameJSON(t, next.ComputeResources, member(want, "computeResources"))
	})
	t.Run("EC2: desiredvCpus stays within the bounds and does not fall with minvCpus", func(t *testing.T) {
		t.Parallel()
		ce := newEnv(t, ec2Env, `computeResources.minvCpus=0`, `computeResources.maxvCpus=4`, `-computeResources.desiredvCpus`)
		for _, step := range []struct {
			req     string
			desired string
		}{
			{`{"state":"ENABLED"}`, "0"},
			{`{"computeResources":{"maxvCpus":4,"minvCpus":4}}`, "4"},
			{`{"computeResources":{"maxvCpus":4,"minvCpus":2}}`, "4"},
			{`{"computeResources":{"maxvCpus":3}}`, "3"},
		} {
			ce = update(t, ce, step.req)
			sameJSON(t, []byte(member(ce.ComputeResources, "desiredvCpus")), step.desired)
		}
	})
	t.Run("EC2: what takes a member away, and that taking away what is not there is no infrastructure update", func(t *testing.T) {
		t.Parallel()
		const gone = `{"computeResources":{"maxvCpus":16,"launchTemplate":{"launchTemplateId":""},"ec2KeyPair":"","tags":{}}}`
		ce := newEnv(t, ec2Env, `computeResources.launchTemplate={"launchTemplateId":"lt-1","version":"$Latest"}`, `computeResources.ec2KeyPair="k"`, `computeResources.tags={"a":"b"}`)
		next := update(t, ce, gone)
		for _, m := range []string{"launchTemplate", "ec2KeyPair", "tags"} {
			if got := member(next.ComputeResources, m); got != "null" {
				t.Errorf("%s is still %s", m, got)
			}
		}
		update(t, newEnv(t, ec2Env, `serviceRole="r"`, `-computeResources.tags`), gone)
		next = update(t, ce, `{"computeResources":{"launchTemplate":{"launchTemplateId":"lt-1","version":""}}}`)
		sameJSON(t, []byte(member(next.ComputeResources, "launchTemplate")), `{"launchTemplateId":"lt-1"}`)
	})
	t.Run("scaling needs no linked role", func(t *testing.T) {
		t.Parallel()
		next := update(t, newEnv(t, ec2Env, `serviceRole="r"`, `computeResources.allocationStrategy="BEST_FIT"`),
			`{"serviceRole":"arn:aws:iam::111122223333:role/other","computeResources":{"desiredvCpus":8,"maxvCpus":20,"instanceTypes":["m6i.large"]}}`)
		if next.MaxMilliCPU != 20000 || next.ServiceRole != "arn:aws:iam::111122223333:role/other" {
			t.Errorf("%+v", next)
		}
	})
	t.Run("unmanaged", func(t *testing.T) {
		t.Parallel()
		next := update(t, newEnv(t, `{"computeEnvironmentName":"ce","type":"UNMANAGED","serviceRole":"r"}`), `{"unmanagedvCpus":2,"context":"x"}`)
		if next.MaxMilliCPU != 2000 || next.Context != "x" {
			t.Errorf("%+v", next)
		}
	})
}
