package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

var awsSettings = []string{"AWS_ACCOUNT_ID=111122223333", "AWS_REGION=us-east-1", "TF_VPC_ID=vpc-0a1b"}

// fakeTerraform is a PATH on which terraform, and it alone, is the script: real providers are not to be had without a network.
func fakeTerraform(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "terraform"), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

func TestAWSSettings(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	path := fakeTerraform(t, "echo terraform was run >&2; exit 9")
	for _, tc := range []struct {
		name string
		vars []string
		want []string
	}{
		{"none", nil, []string{"AWS_ACCOUNT_ID is '': set it", "AWS_REGION is '': set it", "TF_VPC_ID is '': set it"}},
		{"short account", append(awsSettings[:2:2], "TF_VPC_ID=vpc-1", "AWS_ACCOUNT_ID=1"), []string{"AWS_ACCOUNT_ID is '1'"}},
		{"zone", append(awsSettings[:3:3], "AWS_REGION=us-east-1a"), []string{"AWS_REGION is 'us-east-1a'"}},
		{"subnet", append(awsSettings[:2:2], "TF_VPC_ID=subnet-1"), []string{"TF_VPC_ID is 'subnet-1'"}},
		{"endpoint", append(awsSettings[:3:3], "AWS_ENDPOINT_URL=http://127.0.0.1:1"), []string{"AWS_ENDPOINT_URL is 'http://127.0.0.1:1', and the target is AWS itself"}},
		{"endpoint of a service", append(awsSettings[:3:3], "AWS_ENDPOINT_URL_BATCH=http://127.0.0.1:1"), []string{"AWS_ENDPOINT_URL_BATCH is"}},
	} {
		for _, name := range []string{"apply.sh", "destroy.sh", "run-e2e.sh"} {
			_, stderr, code := script(t, append(tc.vars, path), name, "--target", "aws")
			if code != 2 || strings.Count(stderr, "error: ") != len(tc.want) {
				t.Errorf("%s, %s: exit code %d, stderr\n%s", tc.name, name, code, stderr)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, "error: "+want) {
					t.Errorf("%s, %s: stderr %q has no %q", tc.name, name, stderr, want)
				}
			}
		}
	}
}

func TestLocalSettings(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	path := fakeTerraform(t, "exit 9")
	for _, name := range []string{"apply.sh", "destroy.sh"} {
		_, stderr, code := script(t, []string{path, "TF_VPC_ID=x"}, name, "--target", "local", "--terraform")
		if code != 2 || !strings.Contains(stderr, "error: AWS_ENDPOINT_URL is not set") || !strings.Contains(stderr, "error: TF_VPC_ID is 'x'") {
			t.Errorf("%s: exit code %d, stderr %q", name, code, stderr)
		}
	}
}

// TestNoProvider has terraform init fail as it does where no registry answers.
func TestNoProvider(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	path := fakeTerraform(t, `case "$*" in
*" init "*) echo "Error: Failed to query available provider packages"; exit 1 ;;
*) echo "not to be run: $*" >&2; exit 9 ;;
esac`)
	stdout, stderr, code := script(t, append(awsSettings[:3:3], path, "TF_STATE_DIR="+t.TempDir()), "destroy.sh", "--target", "aws")
	if code != 69 || !strings.Contains(stderr, "terraform: skipped, for the AWS provider cannot be had here") || strings.Contains(stderr, "not to be run") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if !strings.Contains(stdout, "account: 111122223333, region: us-east-1") {
		t.Errorf("stdout %q", stdout)
	}
}

// TestDestroyRemovesInReverse also has the second run find nothing, and a state that can't be read is not taken for an empty one.
func TestDestroyRemovesInReverse(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for _, tc := range []struct {
		name, list, stdout, stderr string
		code                       int
	}{
		{"all", "echo aws_x.y", "destroy 02-app: 0.", "", 0},
		{"nothing", "echo 'No state file was found!'; exit 1", "02-app: nothing to destroy\n01-ecr: nothing to destroy\n", "", 0},
		{"unreadable", "echo 'Error: AccessDenied'; exit 1", "", "Error: AccessDenied", 1},
	} {
		dir := t.TempDir()
		path := fakeTerraform(t, `echo "$*" >>`+dir+`/calls
case "$*" in *" state list"*) `+tc.list+` ;; esac`)
		stdout, stderr, code := script(t, append(awsSettings[:3:3], path, "TF_STATE_DIR="+dir, "BATCHBOX_ENV_FILE="+dir+"/env"), "destroy.sh", "--target", "aws")
		if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", tc.name, code, stdout, stderr)
		}
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"01-ecr", "02-app"} {
			if !regexp.MustCompile(`/` + m + ` init .* -backend-config=path=` + regexp.QuoteMeta(dir) + `/` + m + `\.tfstate\n`).Match(calls) {
				t.Errorf("%s: the state of %s is not where it has to be:\n%s", tc.name, m, calls)
			}
		}
		app := strings.Index(string(calls), "02-app destroy ")
		ecr := strings.Index(string(calls), "01-ecr destroy ")
		if all := tc.name == "all"; all != (app >= 0 && ecr > app) || !all && (app >= 0 || ecr >= 0) {
			t.Errorf("%s: terraform was called\n%s", tc.name, calls)
		}
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	path := fakeTerraform(t, "exit 9")
	for _, tc := range []struct {
		vars []string
		want string
	}{
		// 100 jobs of 2 minutes: 3.333 hours * (0.25 * 0.04048 + 0.5 * 0.004445 + 0.005).
		{nil, "about USD 0.0578 for 100 job(s) of 0.25 vCPU and 512 MiB, 2 minutes each: 0.833 vCPU hours, 1.667 GB hours (scripts/lib/prices.tsv, March 2026)"},
		{[]string{"AWS_REGION=eu-central-1"}, "March 2026, by the prices of us-east-1)"},
		{[]string{"TF_VAR_architecture=ARM64", "TF_VAR_vcpu=1", "TF_VAR_memory=2048"}, "about USD 0.1483 for"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "source ./lib.sh; source ./lib/terraform.sh; choose_target aws; tf_settings; tf_estimate 100")
		cmd.Env = append(append(append(environment(), awsSettings...), path), tc.vars...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tc.want) {
			t.Errorf("%q: %v, output %q; want %q", tc.vars, err, out, tc.want)
		}
	}
}

// TestEndToEndOnAWSHasAStackOfItsOwn, so that it can't destroy the one that apply.sh has made.
func TestEndToEndOnAWSHasAStackOfItsOwn(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for _, tc := range []struct {
		vars []string
		want string
	}{
		{nil, "batchworker-e2e ROOT/.terraform-state/aws-e2e - TF_VAR_name=batchworker-e2e TF_STATE_DIR=ROOT/.terraform-state/aws-e2e"},
		{[]string{"TF_VAR_name=mine", "TF_STATE_DIR=/s"}, "mine /s - TF_VAR_name=mine TF_STATE_DIR=/s"},
		{[]string{"TF_STATE_BUCKET=b", "TF_STATE_DIR=/s"}, "batchworker-e2e /s batchbox-e2e TF_VAR_name=batchworker-e2e TF_STATE_DIR=/s TF_STATE_BUCKET=b TF_STATE_PREFIX=batchbox-e2e"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c",
			`source ./lib.sh; source ./lib/terraform.sh; choose_target aws >/dev/null; tf_own_stack; tf_settings; echo "$TF_VAR_name $tf_state ${TF_STATE_PREFIX--} $tf_again"`)
		cmd.Env = append(append(append(environment(), awsSettings...), fakeTerraform(t, "exit 9")), tc.vars...)
		out, err := cmd.CombinedOutput()
		root, absErr := filepath.Abs("..")
		if got := strings.ReplaceAll(strings.TrimSpace(string(out)), root, "ROOT"); err != nil || absErr != nil || got != tc.want {
			t.Errorf("%q: %v, %q; want %q", tc.vars, err, got, tc.want)
		}
	}
	script, err := os.ReadFile("run-e2e.sh")
	if own, settings := strings.Index(string(script), "\n  tf_own_stack\n"), strings.Index(string(script), "\n  tf_settings\n"); err != nil || own < 0 || settings < own {
		t.Errorf("run-e2e.sh does not take a stack of its own first (%v)", err)
	}
}
