package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	path := fakeTerraform(t, `dir='`+dir+`' root='`+root+`'
echo "$*" >>"$dir/calls"
case "$*" in
*"01-ecr apply"*) cd "$root" && bin/batchbox image build ./apps/batchworker -t batchworker:seed --platform host ;;
*"01-ecr output"*) echo 000000000000.dkr.ecr.us-east-1.amazonaws.com/batchworker ;;
*"02-app apply"*) "$root/bin/batchbox" apply -f "$root/infra/local" --env-file "$dir/env" ;;
*"02-app output"*job_queue_arn) . "$dir/env"; printf %s "$JOB_QUEUE_ARN" ;;
*"02-app output"*job_definition_arn) . "$dir/env"; printf %s "$JOB_DEFINITION_ARN" ;;
*"state list"*) echo one.resource ;;
*"02-app destroy"*) "$root/bin/batchbox" destroy -f "$root/infra/local" ;;
esac`)
	cmd.Env = append(cmd.Env, path)
	out, err := cmd.CombinedOutput()
	calls, callsErr := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || callsErr != nil || !strings.Contains(string(out), "PASSED: 2 of 2 children") {
		t.Errorf("%v, %v, output\n%s\ncalls of terraform\n%s", err, callsErr, out, calls)
	}
	var order []string
	for line := range strings.Lines(string(calls)) {
		words := strings.Fields(line)
		if len(words) > 1 && (words[1] == "apply" || words[1] == "destroy") {
			order = append(order, filepath.Base(words[0])+" "+words[1])
		}
	}
	if got, want := strings.Join(order, ", "), "01-ecr apply, 02-app apply, 02-app destroy, 01-ecr destroy"; got != want {
		t.Errorf("terraform did %s; want %s", got, want)
	}
	nothingIsLeft(t, tmp)
}
