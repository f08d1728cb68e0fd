// Package clients has no code, only tests that drive the main job with clients other people wrote: the AWS CLI and boto3.
package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/batchboxtest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// environment is what a user sets, and nothing of this machine's AWS configuration.
func environment(box *batchboxtest.Box, more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(append(env, "AWS_ENDPOINT_URL="+box.URL(), "AWS_ACCESS_KEY_ID=123456789012", "AWS_SECRET_ACCESS_KEY=x", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_PAGER=", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "PYTHONUNBUFFERED=1"), more...)
}

// cli is the AWS CLI.
type cli struct {
	t       *testing.T
	program string
	env     []string
}

// run runs a command and gives what it has printed.
func (c cli) run(args ...string) string {
	c.t.Helper()
	cmd := c.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (c cli) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), c.program, c.arguments(args)...)
	cmd.Env = c.env
	return cmd
}

// arguments adds the endpoint, which the AWS CLI reads from the environment from 2.13 on only.
func (c cli) arguments(args []string) []string {
	for _, v := range c.env {
		if url, ok := strings.CutPrefix(v, "AWS_ENDPOINT_URL="); ok {
			return append([]string{"--endpoint-url", url}, args...)
		}
	}
	return args
}

// text is a command's output as words.
func (c cli) text(query string, args ...string) []string {
	c.t.Helper()
	return strings.Fields(c.run(append(args, "--output", "text", "--query", query)...))
}

func (c cli) same(what string, got, want any) {
	c.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("%s: %v; want %v", what, got, want)
	}
}

// until asks again until the answer is as wanted.
func (c cli) until(what string, ask func() any, want any) {
	c.t.Helper()
	got := ask()
	for deadline := time.Now().Add(testenv.Patience); fmt.Sprint(got) != fmt.Sprint(want) && time.Now().Before(deadline); {
		got = ask()
	}
	c.same(what, got, want)
}

func file(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + name
}

type object = map[string]any

func definition(image, gate string) object {
	return object{
		"jobDefinitionName": "gated", "type": "container", "platformCapabilities": []string{"FARGATE"},
		"containerProperties": object{
			"image": image, "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
			"resourceRequirements": []object{{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}},
			"environment":          []object{{"name": "GATE", "value": gate}},
		},
	}
}

// TestAWSCLI goes through the main job with the AWS CLI alone: create, register, submit, list, describe, follow, read logs,
// delete.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	program := testenv.AWS(t)
	box := batchboxtest.Start(t)
	aws := cli{t, program, environment(box)}
	gate := filepath.Join(t.TempDir(), "gate")
	image := box.Build("./gated", "gated:latest")

	subnets := aws.text("Subnets[].SubnetId", "ec2", "describe-subnets", "--filters", "Name=default-for-az,Values=true")
	groups := aws.text("SecurityGroups[].GroupId", "ec2", "describe-security-groups", "--group-names", "default")
	aws.run("batch", "create-compute-environment", "--compute-environment-name", "cli", "--type", "MANAGED", "--compute-resources",
		"type=FARGATE,maxvCpus=4,subnets="+strings.Join(subnets, ",")+",securityGroupIds="+strings.Join(groups, ","))
	queue := aws.text("jobQueueArn", "batch", "create-job-queue", "--job-queue-name", "cli", "--priority", "1", "--compute-environment-order", "order=1,computeEnvironment=cli")[0]
	aws.same("job queue", aws.text("jobQueues[].[state,status]", "batch", "describe-job-queues", "--job-queues", "cli"), []string{"ENABLED", "VALID"})
	registered := aws.text("[jobDefinitionArn,revision]", "batch", "register-job-definition", "--cli-input-json", file(t, definition(image, gate)))
	aws.same("job definition", registered, []string{"arn:aws:batch:us-east-1:123456789012:job-definition/gated:1", "1"})

	// The group is there from the first job on; whoever follows before makes it.
	aws.run("logs", "create-log-group", "--log-group-name", "/aws/batch/job")
	follow := aws.follow("/aws/batch/job")
	id := aws.text("jobId", "batch", "submit-job", "--job-name", "three", "--job-queue", queue, "--job-definition", "gated", "--array-properties", "size=3",
		"--container-overrides", `{"environment": [{"name": "JOB_INPUT", "value": "{\"message\": \"Hello\", \"items\": [\"a\", \"b\", \"c\"]}"}]}`)[0]
	aws.same("followed while it runs", follow.lines(3), []string{"begin a", "begin b", "begin c"})
	// That a program runs is known a little later than it writes.
	aws.until("running", func() any {
		return aws.text("jobs[].[status,arrayProperties.statusSummary.RUNNING]", "batch", "describe-jobs", "--jobs", id)
	}, []string{"PENDING", "3"})
	aws.same("children, by pages of one", aws.text("sort(jobSummaryList[].jobId)", "batch", "list-jobs", "--array-job-id", id, "--job-status", "RUNNING", "--page-size", "1"),
		[]string{id + ":0", id + ":1", id + ":2"})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	aws.same("followed to the end", follow.lines(6), []string{"end a", "end b", "end c", `"Hello a"`, `"Hello b"`, `"Hello c"`})
	follow.stop()
	if job := box.Wait(id); job.Status != "SUCCEEDED" {
		t.Fatalf("the array: %s", job.Status)
	}
	stream := aws.text("jobs[].container.[exitCode,logStreamName]", "batch", "describe-jobs", "--jobs", id+":1")
	if !regexp.MustCompile(`^\[0 gated/default/[0-9a-f]{32}\]$`).MatchString(fmt.Sprint(stream)) {
		t.Fatalf("exit code and stream of a child: %s", stream)
	}
	aws.same("log of a child", aws.text("events[].message", "logs", "get-log-events", "--log-group-name", "/aws/batch/job", "--log-stream-name", stream[1], "--start-from-head"),
		strings.Fields(`begin b end b "Hello b"`))
	aws.same("found in the logs", aws.text("events[].message", "logs", "filter-log-events", "--log-group-name", "/aws/batch/job", "--filter-pattern", "Hello c"), strings.Fields(`"Hello c"`))

	// Refusals come with AWS's code.
	refused := aws.command("batch", "submit-job", "--job-name", "x", "--job-queue", "none", "--job-definition", "gated")
	out, err := refused.CombinedOutput()
	if refused.ProcessState.ExitCode() != 254 || !strings.Contains(string(out), "An error occurred (ClientException) when calling the SubmitJob operation: ") {
		t.Errorf("a queue that is not there: %v, %s", err, out)
	}

	aws.run("batch", "update-job-queue", "--job-queue", "cli", "--state", "DISABLED")
	aws.run("batch", "delete-job-queue", "--job-queue", "cli")
	aws.run("batch", "update-compute-environment", "--compute-environment", "cli", "--state", "DISABLED")
	aws.run("batch", "delete-compute-environment", "--compute-environment", "cli")
	aws.run("batch", "deregister-job-definition", "--job-definition", "gated:1")
	aws.run("ecr", "delete-repository", "--repository-name", "gated", "--force")
	aws.run("logs", "delete-log-group", "--log-group-name", "/aws/batch/job")
	aws.same("what is left", aws.text("[jobQueues[].jobQueueName][]", "batch", "describe-job-queues"), []string{})
}

// follower reads what aws logs tail --follow prints.
type follower struct {
	t    *testing.T
	cmd  *exec.Cmd
	scan *bufio.Scanner
}

func (c cli) follow(group string) *follower {
	c.t.Helper()
	cmd := c.command("logs", "tail", group, "--follow", "--format", "short")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return &follower{c.t, cmd, bufio.NewScanner(stdout)}
}

// lines are the messages of the next lines, sorted: children run beside each other.
func (f *follower) lines(n int) []string {
	f.t.Helper()
	var got []string
	for len(got) < n && f.scan.Scan() {
		_, message, _ := strings.Cut(f.scan.Text(), " ") // the time comes first
		got = append(got, message)
	}
	slices.SortFunc(got, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, `"`, "~"), strings.ReplaceAll(b, `"`, "~"))
	})
	return got
}

func (f *follower) stop() {
	if err := f.cmd.Process.Kill(); err != nil {
		f.t.Error(err)
	}
	_ = f.cmd.Wait() // it was killed
}
