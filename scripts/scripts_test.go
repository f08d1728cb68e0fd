// Package scripts has no code, only the tests of the scripts beside it.
package scripts

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// script runs one with these variables and nothing of the user's AWS configuration.
func script(t *testing.T, vars []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./"+name, args...)
	cmd.Env = append(environment(), vars...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "TF_") && !strings.HasPrefix(v, "BATCHBOX_") {
			env = append(env, v)
		}
	}
	return env
}

func all(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.sh")
	if err != nil || len(names) < 8 {
		t.Fatalf("scripts %q, error %v", names, err)
	}
	return names
}

func TestScriptsHelp(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for _, name := range all(t) {
		if name == "lib.sh" {
			continue
		}
		stdout, stderr, code := script(t, nil, name, "--help")
		if code != 0 || !strings.Contains(stdout, "\nUsage: scripts/"+name) || strings.Contains(stdout, "#") || stderr != "" {
			t.Errorf("%s --help: exit code %d, stderr %q, stdout\n%s", name, code, stderr, stdout)
		}
	}
}

func TestScriptsRefuseWrongArguments(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"build.sh", []string{"more"}, "unexpected argument 'more'"},
		{"push.sh", []string{"more"}, "unexpected argument 'more'"},
		{"apply.sh", []string{"--bogus"}, "unexpected argument '--bogus'"},
		{"apply.sh", []string{"--target", "moon"}, "--target is 'moon'"},
		{"destroy.sh", []string{"--target", "moon"}, "--target is 'moon'"},
		{"submit.sh", []string{"--array-size", "many"}, "--array-size is 'many'"},
		{"run-e2e.sh", []string{"--bogus"}, "unexpected argument '--bogus'"},
		{"run-e2e.sh", []string{"--target", "moon"}, "--target is 'moon'"},
	} {
		_, stderr, code := script(t, nil, tc.name, tc.args...)
		if code != 2 || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s %q: exit code %d, stderr %q; want 2, %q", tc.name, tc.args, code, stderr, tc.want)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	account, vpc, endpoint := "AWS_ACCOUNT_ID=111122223333", "TF_VPC_ID=vpc-1", "AWS_ENDPOINT_URL=http://127.0.0.1:1"
	for _, tc := range []struct {
		vars   []string
		target string
		first  string
	}{
		{[]string{account, vpc}, "auto", "target: aws (AWS_ACCOUNT_ID and TF_VPC_ID are set, and no AWS_ENDPOINT_URL)"},
		{[]string{account, vpc}, "local", "target: local (--target local)"},
		{[]string{account, vpc, endpoint}, "auto", "target: local (AWS_ENDPOINT_URL is set)"},
		{[]string{account}, "auto", "target: local (AWS_ACCOUNT_ID and TF_VPC_ID are not both set)"},
		{nil, "aws", "target: aws (--target aws)"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "source ./lib.sh; choose_target "+tc.target)
		cmd.Env = append(environment(), tc.vars...)
		out, err := cmd.CombinedOutput()
		first, rest, _ := strings.Cut(string(out), "\n")
		if err != nil || first != tc.first || rest != "" {
			t.Errorf("%q --target %s: %v, output\n%s", tc.vars, tc.target, err, out)
		}
	}
}

func TestStepReportsTimeAndFailure(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "source ./lib.sh; step good true; step bad bash -c 'exit 7'; echo not reached")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 7 || !strings.HasPrefix(string(out), "good: 0.") || !strings.Contains(string(out), "bad: failed after 0.") || strings.Contains(string(out), "not reached") {
		t.Errorf("%v, output\n%s", err, out)
	}
}

func TestSubmitNeedsApply(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "source ./lib.sh; load_env")
	cmd.Env = append(environment(), "BATCHBOX_ENV_FILE=/nonexistent/env")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "run scripts/apply.sh first") {
		t.Errorf("%v, output\n%s", err, out)
	}
}

func TestShellcheck(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Shellcheck)
	out, err := exec.CommandContext(t.Context(), "shellcheck", append(all(t), "lib/terraform.sh", "../.ci/run", "../.ci/lint")...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
