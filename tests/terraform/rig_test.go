// Package terraform_test runs Terraform with the real AWS provider against the whole engine: the modules of infra/terraform, and
// configurations as others have them. It takes minutes, most of which the provider waits, so it runs only when it is asked for, by
// BATCHBOX_TERRAFORM=1; where no registry has the provider for us it is skipped all the same, with Terraform's reason.
package terraform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

const region = "us-east-1"

// endpoint is the engine of all tests; each stack has an account of its own.
var endpoint string

var accounts atomic.Int64

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	s, err := server.Start(context.Background(), server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, Runtime: "process", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	endpoint = s.URL()
	return m.Run()
}

// stack is a configuration under test, with the account it is applied to.
type stack struct {
	*testing.T
	dir     string
	account string
	config  aws.Config
	env     []string
	vars    map[string]any
}

// newStack copies a configuration into a directory of its own, for an account of its own.
func newStack(t *testing.T, configuration string) *stack {
	t.Helper()
	if os.Getenv("BATCHBOX_TERRAFORM") != "1" {
		t.Skip("takes minutes, with the AWS provider of Terraform: set BATCHBOX_TERRAFORM=1")
	}
	env := testenv.AWSProvider(t)
	t.Parallel()
	s := &stack{T: t, dir: filepath.Join(t.TempDir(), filepath.Base(configuration)), account: fmt.Sprintf("%012d", 333344440000+accounts.Add(1)), vars: map[string]any{}}
	if err := os.CopyFS(s.dir, os.DirFS(configuration)); err != nil {
		t.Fatal(err)
	}
	for _, leftover := range []string{".terraform", ".terraform.lock.hcl", "backend_override.tf", "terraform.tfstate", "terraform.tfvars"} {
		if err := os.RemoveAll(filepath.Join(s.dir, leftover)); err != nil {
			t.Fatal(err)
		}
	}
	s.config = aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(s.account, "secret", "")}
	s.env = append(env, "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID="+s.account, "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION="+region, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	s.must("init", "-no-color")
	return s
}

func (s *stack) command(args ...string) *exec.Cmd {
	vars, err := json.Marshal(s.vars)
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "test.auto.tfvars.json"), vars, 0o600); err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), "terraform", args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// try runs terraform, and gives all that it says.
func (s *stack) try(args ...string) (string, error) {
	s.Helper()
	out, err := s.command(args...).CombinedOutput()
	return string(out), err
}

func (s *stack) must(args ...string) string {
	s.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.Fatalf("%s: terraform %s: %v\n%s", filepath.Base(s.dir), strings.Join(args, " "), err, out)
	}
	return out
}

// plan is what terraform show -json says of a plan.
type plan struct {
	ResourceDrift   []change `json:"resource_drift"`
	ResourceChanges []change `json:"resource_changes"`
	OutputChanges   map[string]delta
}

type change struct {
	Address string
	Change  delta
}

type delta struct {
	Actions       []string
	Before, After any
	Importing     *struct{ ID string }
}

func (s *stack) plan(args ...string) plan {
	s.Helper()
	s.must(append([]string{"plan", "-no-color", "-out=plan"}, args...)...)
	cmd := s.command("show", "-json", "plan")
	out, err := cmd.Output()
	if err != nil {
		s.Fatal(err)
	}
	var p plan
	if err := json.Unmarshal(out, &p); err != nil {
		s.Fatal(err)
	}
	return p
}

// changes are the resources that the plan changes, with what it does to them.
func (p plan) changes() map[string]string {
	m := map[string]string{}
	for _, c := range p.ResourceChanges {
		if a := strings.Join(c.Change.Actions, " "); a != "no-op" && a != "read" {
			m[c.Address] = a
		}
	}
	return m
}

// differences lists where two values differ. Empty and nothing are the same: the provider's framework makes one of the other
// when it reads a resource for the first time.
func differences(path string, a, b any) (list []string) {
	before, isMap := a.(map[string]any)
	after, alsoMap := b.(map[string]any)
	if isMap && alsoMap {
		for _, k := range slices.Sorted(maps.Keys(mergeKeys(before, after))) {
			list = append(list, differences(path+"."+k, before[k], after[k])...)
		}
		return list
	}
	first, isList := a.([]any)
	second, alsoList := b.([]any)
	if isList && alsoList && len(first) == len(second) {
		for i := range first {
			list = append(list, differences(fmt.Sprintf("%s[%d]", path, i), first[i], second[i])...)
		}
		return list
	}
	if reflect.DeepEqual(a, b) || empty(a) && empty(b) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v is %v", path, a, b)}
}

func mergeKeys(a, b map[string]any) map[string]any {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// apply applies the configuration with the variables of the stack, checks what the plan did to which resources (unless want is
// nil), and that afterwards nothing is left to do.
func (s *stack) apply(step string, want map[string]string) {
	s.Helper()
	p := s.plan()
	if got := p.changes(); want != nil && !maps.Equal(got, want) {
		s.Errorf("%s: the plan is %v, want %v", step, got, want)
	}
	s.must("apply", "-no-color", "-auto-approve", "plan")
	s.settled(step)
}

// settled checks that a second plan is empty.
func (s *stack) settled(step string) {
	s.Helper()
	if got := s.plan().changes(); len(got) > 0 {
		s.Errorf("%s: a second plan is not empty: %v\n%s", step, got, s.must("show", "-no-color", "plan"))
	}
}

// stable checks that reading again gives what is in the state.
func (s *stack) stable(step string) {
	s.Helper()
	// What a resource shows of others that came after it, such as a role of its policies, is read now, and then no more.
	s.must("apply", "-refresh-only", "-auto-approve", "-no-color")
	for _, d := range s.plan("-refresh-only").ResourceDrift {
		if list := differences(d.Address, d.Change.Before, d.Change.After); len(list) > 0 {
			s.Errorf("%s: another read gives another resource:\n%s", step, strings.Join(list, "\n"))
		}
	}
}

// set changes variables; nil takes a variable's default.
func (s *stack) set(vars map[string]any) *stack {
	for k, v := range vars {
		if v == unset {
			delete(s.vars, k)
		} else {
			s.vars[k] = v
		}
	}
	return s
}

type unsetType struct{}

// unset is what a variable is set to, to have its default.
var unset = unsetType{}

// destroy removes everything, twice, and checks that nothing is left in the account.
func (s *stack) destroy() {
	s.Helper()
	s.stable("before destroy")
	s.removed()
}

// removed is destroy for a stack that has been changed by others.
func (s *stack) removed() {
	s.Helper()
	s.must("destroy", "-auto-approve", "-no-color")
	if out := s.must("destroy", "-auto-approve", "-no-color"); !strings.Contains(out, "0 destroyed") {
		s.Errorf("the second destroy says\n%s", out)
	}
	s.nothingIsLeft()
}

// nothingIsLeft looks for all that the stacks make, by the SDK. The network that an account has from the start is not looked at.
func (s *stack) nothingIsLeft() {
	s.Helper()
	ctx := s.Context()
	left := func(kind string, n int, err error) {
		s.Helper()
		if err != nil || n > 0 {
			s.Errorf("%d %s left (%v)", n, kind, err)
		}
	}
	jobs := batch.NewFromConfig(s.config)
	environments, err := jobs.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{})
	left("compute environments", len(environments.ComputeEnvironments), err)
	queues, err := jobs.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{})
	left("job queues", len(queues.JobQueues), err)
	definitions, err := jobs.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	left("active job definitions", len(definitions.JobDefinitions), err)
	policies, err := jobs.ListSchedulingPolicies(ctx, &batch.ListSchedulingPoliciesInput{})
	left("scheduling policies", len(policies.SchedulingPolicies), err)
	identities := iam.NewFromConfig(s.config)
	roles, err := identities.ListRoles(ctx, &iam.ListRolesInput{})
	var own int
	for _, r := range roles.Roles {
		if !strings.HasPrefix(*r.Path, "/aws-service-role/") { // AWS Batch's own stays
			own++
		}
	}
	left("roles", own, err)
	managed, err := identities.ListPolicies(ctx, &iam.ListPoliciesInput{Scope: "Local"})
	left("policies", len(managed.Policies), err)
	profiles, err := identities.ListInstanceProfiles(ctx, &iam.ListInstanceProfilesInput{})
	left("instance profiles", len(profiles.InstanceProfiles), err)
	groups, err := cloudwatchlogs.NewFromConfig(s.config).DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	left("log groups", len(groups.LogGroups), err)
	repositories, err := ecr.NewFromConfig(s.config).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	left("repositories", len(repositories.Repositories), err)
	for action, item := range map[string]string{
		"DescribeSecurityGroups": `<groupName>([^<]*)</groupName>`, "DescribePlacementGroups": `<groupName>([^<]*)</groupName>`, "DescribeLaunchTemplates": `<launchTemplateName>([^<]*)</launchTemplateName>`,
		"DescribeKeyPairs": `<keyName>([^<]*)</keyName>`, "DescribeAddresses": `<allocationId>([^<]*)</allocationId>`, "DescribeNatGateways": `<natGatewayId>([^<]*)</natGatewayId>`,
		"DescribeVpcEndpoints": `<vpcEndpointId>([^<]*)</vpcEndpointId>`, "DescribeNetworkInterfaces": `<networkInterfaceId>([^<]*)</networkInterfaceId>`,
	} {
		for _, found := range regexp.MustCompile(item).FindAllStringSubmatch(s.ec2(action), -1) {
			if found[1] != "default" { // the group of the default VPC
				s.Errorf("%s: %s is left", action, found[1])
			}
		}
	}
	if n := strings.Count(s.ec2("DescribeVpcs"), "<vpcId>"); n > 1 {
		s.Errorf("%d VPCs are left beside the default one", n-1)
	}
	rules := s.post("events", "application/x-amz-json-1.1", "AWSEvents.ListRules", "{}")
	if !strings.Contains(rules, `"Rules":[]`) {
		s.Errorf("rules are left: %s", rules)
	}
}

// ec2 makes a call of EC2 without parameters. The SDK's EC2 would cost every build of the tests a minute.
func (s *stack) ec2(action string) string {
	s.Helper()
	return s.post("ec2", "application/x-www-form-urlencoded; charset=utf-8", "", url.Values{"Action": {action}, "Version": {"2016-11-15"}}.Encode())
}

func (s *stack) post(service, contentType, target, body string) string {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.account+"/20261123/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=00")
	req.Header.Set("X-Amz-Date", "20261123T120000Z")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.Fatalf("%s %s: %s, %v\n%s", service, target, resp.Status, err, reply)
	}
	return string(reply)
}

// push puts an image of random bytes into the account's repository, and gives its digest.
func (s *stack) push(repository, tag string) string {
	s.Helper()
	img, err := random.Image(100, 1)
	if err != nil {
		s.Fatal(err)
	}
	uri, err := ecr.NewFromConfig(s.config).DescribeRepositories(s.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{repository}})
	if err != nil {
		s.Fatal(err)
	}
	ref, err := name.ParseReference(*uri.Repositories[0].RepositoryUri + ":" + tag)
	if err != nil {
		s.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		s.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		s.Fatal(err)
	}
	return digest.String()
}

// interrupt applies, and sends Ctrl-C as soon as terraform says what is waited for.
func (s *stack) interrupt(at string) {
	s.Helper()
	cmd := s.command("apply", "-auto-approve", "-no-color")
	var log bytes.Buffer
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	seen := make(chan bool)
	go func() {
		defer close(seen)
		buf := make([]byte, 4096)
		for told := false; ; {
			n, err := r.Read(buf)
			log.Write(buf[:n])
			if !told && bytes.Contains(log.Bytes(), []byte(at)) {
				told = true
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					s.Error(err)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	err := cmd.Wait()
	w.Close()
	<-seen
	if err == nil || !strings.Contains(log.String(), "Interrupt received") || strings.Contains(log.String(), "Apply complete!") {
		s.Fatalf("the apply was not interrupted: %v\n%s", err, log.String())
	}
}
