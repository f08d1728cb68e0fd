package terraform_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// looked fails for each check block of the configuration that did not hold.
func (s *stack) looked() {
	s.Helper()
	if out := s.must("plan", "-no-color"); strings.Contains(out, "Check block assertion failed") {
		s.Errorf("%s", out)
	}
}

func TestNetwork(t *testing.T) {
	s := newStack(t, "testdata/network")
	s.apply("create", nil)
	s.looked()
	s.vary([]variation{
		{"port", map[string]any{"https": 8443}, map[string]string{
			"aws_security_group.inline": inPlace, "aws_security_group_rule.from_group": replace, "aws_vpc_security_group_ingress_rule.block": inPlace,
		}},
		{"tag and launch template", map[string]any{"tag": "two"}, map[string]string{"aws_vpc.this": inPlace, "aws_launch_template.this": inPlace}},
	})
	s.destroy()
}

func TestNeighbours(t *testing.T) {
	s := newStack(t, "testdata/neighbours")
	s.apply("create", nil)
	s.looked()
	definition := func(name string) string { return "aws_batch_job_definition." + name }
	s.vary([]variation{
		{"weight", map[string]any{"weight": 0.25}, map[string]string{"aws_batch_scheduling_policy.this": inPlace}},
		{"attempts", map[string]any{"attempts": 5}, nil},
		{"command", map[string]any{"command": []string{"true"}}, nil},
		{"retention and lifecycle", map[string]any{"days": 7}, map[string]string{"aws_cloudwatch_log_group.jobs": inPlace, "aws_ecr_lifecycle_policy.this": replace}},
	})
	s.imported(map[string]string{
		definition("nodes"): s.attribute(definition("nodes"), "arn"), definition("tasks"): s.attribute(definition("tasks"), "arn"),
		"aws_batch_scheduling_policy.this": s.attribute("aws_batch_scheduling_policy.this", "arn"), "aws_batch_job_queue.ec2": s.attribute("aws_batch_job_queue.ec2", "arn"),
		"aws_batch_compute_environment.unmanaged": s.attribute("aws_batch_compute_environment.unmanaged", "name"),
		"aws_batch_compute_environment.spot":      s.attribute("aws_batch_compute_environment.spot", "name"),
		"aws_iam_policy.job":                      s.attribute("aws_iam_policy.job", "arn"), "aws_iam_instance_profile.this": "neighbours",
		"aws_ecr_repository_policy.this": "neighbours/worker", "aws_launch_template.this": s.attribute("aws_launch_template.this", "id"),
	})
	s.destroy()
}

// TestProviderSettings has a role that the provider assumes, endpoints in its block, and resources of other regions than its own.
func TestProviderSettings(t *testing.T) {
	s := newStack(t, "testdata/provider")
	s.vars["endpoint"], s.vars["account"] = endpoint, s.account
	if out, err := s.try("plan", "-no-color"); err == nil || !strings.Contains(out, "Cannot assume IAM Role") {
		t.Errorf("a role that is not there was assumed: %v\n%s", err, out)
	}
	check(t)(iam.NewFromConfig(s.config).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("deployer"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"` + s.account + `"}}]}`),
	}))
	s.apply("create", nil)
	for output, want := range map[string]string{
		"caller": `"arn:aws:sts::` + s.account + `:assumed-role/deployer/terraform"`, "issuer": `"arn:aws:iam::` + s.account + `:role/deployer"`,
		"groups": `["arn:aws:logs:eu-central-1:` + s.account + `:log-group:assumed","arn:aws:logs:ap-southeast-2:` + s.account + `:log-group:assumed"]`,
	} {
		if got := strings.TrimSpace(s.must("output", "-json", output)); got != want {
			t.Errorf("%s is %s, want %s", output, got, want)
		}
	}
	// A tag that the provider ignores is nobody's business.
	logs := cloudwatchlogs.NewFromConfig(s.config, func(o *cloudwatchlogs.Options) { o.Region = "eu-central-1" })
	check(t)(logs.TagResource(t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String("arn:aws:logs:eu-central-1:" + s.account + ":log-group:assumed"), Tags: map[string]string{"CostCentre": "7"}}))
	s.settled("ignored tag")
	s.stable("ignored tag")
	s.must("destroy", "-auto-approve", "-no-color")
	check(t)(iam.NewFromConfig(s.config).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("deployer")}))
	s.nothingIsLeft()

	s.vars["account"] = "999999999999"
	if out, err := s.try("plan", "-no-color"); err == nil || !strings.Contains(out, "Cannot assume IAM Role") {
		t.Errorf("another account was taken: %v\n%s", err, out)
	}
}
