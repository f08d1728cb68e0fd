package scripts

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestHints has terraform fail as the provider words it.
func TestHints(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for _, tc := range []struct{ said, hint string }{
		{"Error: no matching EC2 VPC found", "no such VPC in this region: change TF_VPC_ID or AWS_REGION"},
		{`Error: Failed to get existing workspaces: S3 bucket "x" does not exist.`, "the state can not be kept there: change TF_STATE_BUCKET"},
		{"The VPC vpc-1 has no subnets: choose another by vpc_id", "change TF_VPC_ID, or add a subnet to the VPC"},
		{"api error ExpiredToken: The security token included in the request is expired", "the AWS credentials have expired"},
		{"Error: No valid credential sources found", "no good AWS credentials: see to AWS_PROFILE"},
		{"api error InvalidClientTokenId: The security token included in the request is invalid.", "no good AWS credentials"},
		{"Error: AWS account ID not allowed: 111122223333", "the credentials are of another account than AWS_ACCOUNT_ID"},
		{`dial tcp: lookup sts.xx-nowhere-9.amazonaws.com: no such host`, "no such region answers: change AWS_REGION"},
		{"api error EntityAlreadyExists: Role with name batchworker-job already exists.", "the name is taken, by another stack or by a run whose state is lost: set TF_VAR_name"},
		{"RepositoryAlreadyExistsException: The repository with name 'batchworker' already exists", "the name is taken"},
		{"ClientException: Object already exists", "the name is taken"},
		{"RepositoryNotFoundException: The repository with name 'x' does not exist", "no such repository: change TF_VAR_repository_name"},
		{"Error: reading ECR Repository (x): couldn't find resource\nError: reading ECR Images: couldn't find resource", "no such repository: change TF_VAR_repository_name"},
		{"Error: reading ECR Images: couldn't find resource", "no image has the tag in the repository: change TF_VAR_image_tag (now v9)"},
		{"RepositoryNotEmptyException: The repository cannot be deleted because it still contains images", "there are images in the repository, and TF_VAR_force_delete is false"},
		{"AccessDeniedException: User is not authorized to perform: ecr:CreateRepository", "the credentials may not do this"},
		{"Error: Missing Resource Identity After Read", "somebody else has deleted it, and Terraform before 1.12 can not forget it"},
		{"Error acquiring the state lock", "another run holds the state"},
		{"waiting for Batch Compute Environment (x) delete: timeout while waiting for state to become ''", "tasks are still ending: run this again"},
		{"TAG_INVALID: The image tag 'v9' already exists in the 'x' repository and cannot be overwritten because the tag is immutable.", "tags are immutable, and v9 is another build's"},
		{"Error: something nobody has seen", ""},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `source ./lib.sh; source ./lib/terraform.sh; tf_state=$1; tf_logged bash -c 'echo out; echo "$1" >&2; exit 3' x "$2"`, "x", t.TempDir(), tc.said)
		cmd.Env = append(environment(), "TF_VAR_image_tag=v9")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.Output()
		want := tc.said + "\nhint: " + tc.hint
		if tc.hint == "" {
			want = tc.said + "\n"
		}
		if cmd.ProcessState.ExitCode() != 3 || string(stdout) != "out\n" || !strings.HasPrefix(stderr.String(), want) || tc.hint == "" && stderr.String() != want {
			t.Errorf("%s: %v, stdout %q, stderr %q; want %q", tc.said, err, stdout, stderr.String(), want)
		}
	}
}

// aws is an endpoint of STS and EC2 in account 111122223333, which has the VPC vpc-0a1b with one subnet and no other.
func aws(t *testing.T) (vars []string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch action, vpc := r.FormValue("Action"), r.FormValue("Filter.1.Value.1"); {
		case action == "GetCallerIdentity":
			fmt.Fprint(w, "<R><GetCallerIdentityResult><Account>111122223333</Account><Arn>arn:aws:iam::111122223333:root</Arn></GetCallerIdentityResult></R>")
		case action == "DescribeVpcs" && vpc == "vpc-0a1b":
			fmt.Fprint(w, "<R><vpcSet><item><vpcId>vpc-0a1b</vpcId></item></vpcSet></R>")
		case action == "DescribeSubnets":
			fmt.Fprint(w, "<R><subnetSet><item><subnetId>subnet-1</subnetId></item></subnetSet></R>")
		default:
			fmt.Fprint(w, "<R/>")
		}
	}))
	t.Cleanup(srv.Close)
	return []string{"AWS_ENDPOINT_URL=" + srv.URL, "AWS_ACCESS_KEY_ID=AKIAX", "AWS_SECRET_ACCESS_KEY=x"}
}

// TestNothingIsCreatedIfTheCheckFails has real rules of variables checked by the real terraform, and the network by a service.
func TestNothingIsCreatedIfTheCheckFails(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash, testenv.Terraform)
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if out, err := built(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// Only plans are let through, and those of the rules alone.
	path := fakeTerraform(t, `echo "$*" >>`+dir+`/calls
case "$*" in *".rules plan "*) exec `+terraform+` "$@" ;; esac
exit 9`)
	for _, tc := range []struct {
		name string
		vars []string
		want []string
	}{
		{"no such VPC", []string{"TF_VPC_ID=vpc-0c2d"}, []string{"error: TF_VPC_ID is vpc-0c2d, and account 111122223333 has no such VPC in us-east-1: change TF_VPC_ID or AWS_REGION"}},
		{"no default VPC", nil, []string{"error: account 111122223333 has no default VPC in us-east-1: set TF_VPC_ID"}},
		{"vCPU that Fargate has not", []string{"TF_VAR_vcpu=3"}, []string{"vcpu is 0.25, 0.5, 1, 2, 4, 8 or 16 on Fargate.", "hint: change TF_VAR_vcpu\n"}},
		{"memory that does not go with it", []string{"TF_VAR_vcpu=1", "TF_VAR_memory=1024"}, []string{"Fargate does not offer this memory for this vcpu.", "hint: change TF_VAR_memory\n"}},
		{"name of no repository", []string{"TF_VAR_name=Work er"}, []string{"name is 2 to 256 lower-case letters", "hint: change TF_VAR_name\n"}},
		{"several", []string{"TF_VAR_vcpu=3", "TF_VAR_attempts=0"}, []string{"hint: change TF_VAR_attempts TF_VAR_vcpu\n"}},
	} {
		vars := append(append(aws(t), path, "TF_STATE_DIR="+filepath.Join(dir, "state")), tc.vars...)
		_, stderr, code := script(t, vars, "apply.sh", "--target", "local", "--terraform")
		if code != 1 {
			t.Errorf("%s: exit code %d, stderr\n%s", tc.name, code, stderr)
		}
		for _, want := range append(tc.want, "check: failed after ") {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: stderr has no %q:\n%s", tc.name, want, stderr)
			}
		}
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(calls)) {
		if !strings.Contains(line, ".rules plan ") {
			t.Errorf("terraform was called: %s", line)
		}
	}
}

func TestCheckOfAWSItselfNeedsCredentials(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	if out, err := built(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	vars := append(awsSettings[:3:3], fakeTerraform(t, `case "$*" in *".rules plan "*) ;; *) echo "not to be run: $*" >&2; exit 9 ;; esac`),
		"TF_STATE_DIR="+t.TempDir(), "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true")
	stdout, stderr, code := script(t, vars, "apply.sh", "--target", "aws")
	if code != 1 || !strings.Contains(stderr, "error: no AWS credentials: set AWS_PROFILE") || strings.Contains(stderr, "not to be run") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if !strings.Contains(stdout, "account: 111122223333, region: us-east-1, VPC: vpc-0a1b\nestimate: about USD ") {
		t.Errorf("account and estimate are not said first: %q", stdout)
	}
}
