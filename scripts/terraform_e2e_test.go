package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// TestE2ETerraform has all but the provider: terraform's part is played by batchbox itself, which makes the same kinds of things.
func TestE2ETerraform(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--terraform")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := fakeTerraform(t, playTerraform(dir, root))
	cmd.Env = append(cmd.Env, path)
	out, err := cmd.CombinedOutput()
	calls, callsErr := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || callsErr != nil || !strings.Contains(string(out), "PASSED: 2 of 2 children") {
		t.Errorf("%v, %v, output\n%s\ncalls of terraform\n%s", err, callsErr, out, calls)
	}
	if got, want := order(calls), "01-ecr apply, 02-app apply, 02-app destroy, 01-ecr destroy"; got != want {
		t.Errorf("terraform did %s; want %s", got, want)
	}
	if strings.Count(string(calls), " plan -detailed-exitcode ") != 2 || !strings.Contains(string(out), "\nsecond plan: ") {
		t.Errorf("there was no second plan of both modules:\n%s", calls)
	}
	if !strings.Contains(string(out), "\ncheck: ") || !strings.Contains(string(out), "account 000000000000, region us-east-1, VPC vpc-") {
		t.Errorf("nothing was checked first:\n%s", out)
	}
	nothingIsLeft(t, tmp)
}

// TestASecondPlanHasToBeEmpty has terraform say by its exit code what it would do: nothing, fail, or something.
func TestASecondPlanHasToBeEmpty(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	for code, want := range map[int]string{0: "", 1: "Error: none\n", 2: "~ tags = {}\nerror: a second plan of 02-app is not empty\n"} {
		path := fakeTerraform(t, fmt.Sprintf(`case "$*" in
*"02-app plan "*"-detailed-exitcode"*) [ %[1]d != 1 ] || echo "Error: none"; [ %[1]d != 2 ] || echo "~ tags = {}"; exit %[1]d ;;
*"01-ecr plan "*"-detailed-exitcode"*) ;;
*) echo "not to be run: $*"; exit 9 ;;
esac`, code))
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `source ./lib.sh; source ./lib/terraform.sh; tf_state=$1; tf_settled`, "x", t.TempDir())
		cmd.Env = append(environment(), path)
		out, err := cmd.CombinedOutput()
		if (err == nil) != (code == 0) || string(out) != want {
			t.Errorf("terraform's exit code %d: %v, %q; want %q", code, err, out, want)
		}
	}
}

// playTerraform is a script that plays terraform's part with batchbox, keeps a list of its calls in dir, and runs what a test
// puts before it.
func playTerraform(dir, root string, before ...string) string {
	return `dir='` + dir + `' root='` + root + `'
echo "$*" >>"$dir/calls"
` + strings.Join(before, "\n") + `
case "$*" in
*"01-ecr apply"*) cd "$root" && bin/batchbox image build ./apps/batchworker -t batchworker:seed --platform host ;;
*"01-ecr output"*repository_uri) echo 000000000000.dkr.ecr.us-east-1.amazonaws.com/batchworker ;;
*"01-ecr output"*repository_name) echo batchworker ;;
*"02-app apply"*) "$root/bin/batchbox" apply -f "$root/infra/local" --env-file "$dir/env" ;;
*"02-app output"*job_queue_arn) . "$dir/env"; printf %s "$JOB_QUEUE_ARN" ;;
*"02-app output"*job_definition_arn) . "$dir/env"; printf %s "$JOB_DEFINITION_ARN" ;;
*"state list"*) echo one.resource ;;
*"02-app destroy"*) "$root/bin/batchbox" destroy -f "$root/infra/local" ;;
esac`
}

// order is what terraform was told to change, in the order it was told.
func order(calls []byte) string {
	var order []string
	for line := range strings.Lines(string(calls)) {
		words := strings.Fields(line)
		if len(words) > 1 && (words[1] == "apply" || words[1] == "destroy") {
			order = append(order, filepath.Base(words[0])+" "+words[1])
		}
	}
	return strings.Join(order, ", ")
}

// engine starts one in the background, and gives the variables that name it.
func engine(t *testing.T) (vars []string) {
	t.Helper()
	testenv.Require(t, testenv.Bash)
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if out, err := built(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	data := filepath.Join(t.TempDir(), "data")
	serve := exec.CommandContext(t.Context(), "../bin/batchbox", "serve", "--detach", "--runtime", "process", "--listen", "127.0.0.1:0", "--data-dir", data)
	serve.Env = environment()
	url, err := serve.Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop := exec.Command("../bin/batchbox", "stop", "--data-dir", data)
		stop.Env = environment()
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return []string{"AWS_ENDPOINT_URL=" + strings.TrimSpace(string(url)), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x"}
}

// TestApplyGoesOnWhereItStopped has an apply fail half-way, and the next complete it; then it is destroyed with a job running.
func TestApplyGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	vars := engine(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	vars = append(vars, "TF_STATE_DIR="+dir, "BATCHBOX_ENV_FILE="+dir+"/env.sh", fakeTerraform(t, playTerraform(dir, root, `case "$*" in
*"02-app apply"*) if [ ! -e "$dir/failed" ]; then touch "$dir/failed"; echo "Error: creating Batch Job Queue: ExpiredTokenException: The security token included in the request is expired" >&2; exit 1; fi ;;
esac`)))
	stdout, stderr, code := script(t, vars, "apply.sh", "--target", "local", "--terraform")
	for _, want := range []string{"Error: creating Batch Job Queue", "hint: the AWS credentials have expired: get new ones", "02-app: failed after ", "error: not all is there; what is there is in the state: run this again to go on"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q", want)
		}
	}
	if code != 1 || t.Failed() {
		t.Fatalf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
	if stdout, stderr, code = script(t, vars, "apply.sh", "--target", "local", "--terraform"); code != 0 || !strings.Contains(stdout, "To use it in your shell: source "+dir+"/env.sh") {
		t.Fatalf("the second time: exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
	submit := exec.CommandContext(t.Context(), "bash", "-ec", "source "+dir+`/env.sh; exec ../bin/batchbox submit --detach --input '{"items": [1], "knobs": {"sleep": "10m"}}'`)
	submit.Env = append(environment(), vars...)
	if out, err := submit.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"\nend jobs: ", "nothing to destroy"} { // the second time there is nothing
		stdout, stderr, code = script(t, vars, "destroy.sh", "--target", "local", "--terraform")
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
		}
		if strings.Contains(want, "end jobs") && !strings.Contains(stderr, "1 job(s) ended") {
			t.Errorf("the job was not ended: %s", stderr)
		}
		vars = append(vars, fakeTerraform(t, "")) // an empty state
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if got, want := order(calls), "01-ecr apply, 02-app apply, 01-ecr apply, 02-app apply, 02-app destroy, 01-ecr destroy"; err != nil || got != want {
		t.Errorf("terraform did %s; want %s (%v)", got, want, err)
	}
}

// TestAFailedDestroyIsNoSuccess has all pass but the removal.
func TestAFailedDestroyIsNoSuccess(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--terraform")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd.Env = append(cmd.Env, fakeTerraform(t, playTerraform(dir, root, `case "$*" in
*"02-app destroy"*) echo "Error: deleting it: DependencyViolation" >&2; exit 1 ;;
esac`)))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "PASSED: 2 of 2") || !strings.Contains(string(out), "destroy 02-app: failed after ") || !strings.Contains(string(out), "hint: something else uses") {
		t.Errorf("exit code %d (%v), output\n%s", cmd.ProcessState.ExitCode(), err, out)
	}
	nothingIsLeft(t, tmp)
}

// TestCtrlCLetsTerraformSaveItsState interrupts in the middle of an apply: terraform hears of it and still writes what it has
// to say, and what it has made is destroyed.
func TestCtrlCLetsTerraformSaveItsState(t *testing.T) {
	t.Parallel()
	cmd, tmp := e2e(t, "--terraform")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd.Env = append(cmd.Env, fakeTerraform(t, playTerraform(dir, root, `case "$*" in
*"02-app apply"*)
	trap 'for i in 1 2 3 4; do sleep 0.1; echo "Interrupt received. Saving state $i." >&2; done; echo saved >"$dir/saved"; exit 1' INT
	echo up; echo up >&2
	until grep -q up "${TF_DATA_DIR%/*}/errors.log" && grep -q up "${TF_DATA_DIR%/*}/02-app.apply.log"; do sleep 0.05; done # whoever reads is up, too
	kill -INT -$(ps -o pgid= $$ | tr -d " ") # as a terminal does
	sleep 10 ;;
*" destroy "*) # terraform hears a second Ctrl-C even if it is told not to, unless it is in a process group of its own
	[ "$(ps -o pgid= -p $$)" != "$(ps -o pgid= -p $PPID)" ] || touch "$dir/exposed" ;;
esac`)))
	out, err := cmd.CombinedOutput()
	saved, savedErr := os.ReadFile(filepath.Join(dir, "saved"))
	if cmd.ProcessState.ExitCode() != 130 || savedErr != nil || string(saved) != "saved\n" || !strings.Contains(string(out), "Saving state 4.") {
		t.Errorf("exit code %d (%v), state %q (%v), output\n%s", cmd.ProcessState.ExitCode(), err, saved, savedErr, out)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if got, want := order(calls), "01-ecr apply, 02-app apply, 02-app destroy, 01-ecr destroy"; err != nil || got != want {
		t.Errorf("terraform did %s; want %s (%v)\n%s", got, want, err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "exposed")); err == nil {
		t.Error("a second Ctrl-C would interrupt terraform destroy")
	}
	nothingIsLeft(t, tmp)
}
