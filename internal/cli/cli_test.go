package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/cli/stack"
	"github.com/batchbox/batchbox/internal/server"
)

// call runs a command line as a program would.
func call(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

// compact is JSON without white space.
func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrongCommandLines(t *testing.T) {
	t.Setenv("JOB_QUEUE_ARN", "")
	t.Setenv("JOB_DEFINITION_ARN", "")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"bogus"}, `unknown command "bogus" for "batchbox"`},
		{[]string{"job"}, "did you mean jobs?"},
		{[]string{"--bogus"}, "unknown flag: --bogus"},
		{[]string{"serve", "more"}, `unknown command "more" for "batchbox serve"`},
		{[]string{"serve", "--log-level", "loud"}, `--log-level "loud"`},
		{[]string{"serve", "--log-format", "xml"}, `--log-format "xml"`},
		{[]string{"serve", "--keep-logs-size", "much"}, `"much" is not a size such as 512MiB`},
		{[]string{"serve", "--efs", "fs-1"}, `--efs "fs-1" is not NAME=VALUE`},
		{[]string{"serve", "--detach", "--ephemeral"}, "--detach and --ephemeral exclude each other"},
		{[]string{"supervisor"}, "--data-dir is missing"},
		{[]string{"stop", "--timeout", "soon"}, "invalid argument"},
		{[]string{"apply"}, "-f is missing"},
		{[]string{"destroy"}, "-f is missing"},
		{[]string{"apply", "-f", ".", "--var", "X"}, `--var "X" is not NAME=VALUE`},
		{[]string{"apply", "-f", ".", "--endpoint-url", "here"}, "is no URL"},
		{[]string{"logs"}, "accepts 1 arg(s), received 0"},
		{[]string{"jobs", "--children"}, "--children needs one JOB"},
		{[]string{"jobs", "--status", "DONE"}, "--status DONE: there are SUBMITTED PENDING"},
		{[]string{"jobs", "--limit", "-1"}, "--limit is -1"},
		{[]string{"jobs", "--job-queue", "q", "some-job"}, "JOB excludes --job-queue"},
		{[]string{"jobs", "--aws", "--endpoint-url", "http://127.0.0.1:1"}, "--aws and --endpoint-url exclude each other"},
		{[]string{"terminate"}, "name jobs, or a queue by --job-queue"},
		{[]string{"terminate", "--job-queue", "q", "some-job"}, "name jobs, or a queue by --job-queue"},
		{[]string{"submit", "--rerun-failed", "j", "--array-size", "2"}, "--rerun-failed takes everything from the job"},
		{[]string{"submit", "--rerun-failed", "j", "--", "echo"}, "--rerun-failed takes everything from the job"},
		{[]string{"submit", "--rerun-failed", "j", "--logs", "--detach"}, "--detach and --logs exclude each other"},
		{[]string{"submit", "--job-definition", "d"}, "--job-queue is missing"},
		{[]string{"submit", "--job-queue", "q"}, "--job-definition is missing"},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "echo"}, `unexpected argument "echo": the container's command stands after --`},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--input", "{"}, "--input is not JSON"},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--env", "X"}, `--env "X" is not NAME=VALUE`},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--tag", "=x"}, `--tag "=x" is not NAME=VALUE`},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--array-size", "4294967298"}, "out of range"},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--timeout", "90.5s"}, "--timeout 1m30.5s: AWS Batch counts in whole seconds"},
		{[]string{"submit", "--job-queue", "q", "--job-definition", "d", "--detach", "--logs"}, "--detach and --logs exclude each other"},
	} {
		stdout, stderr, code := call(t, "", tc.args...)
		if code != ExitUsage && !strings.Contains(tc.want, "is no URL") || stdout != "" || !strings.Contains(stderr, tc.want) {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q; want %d, %q", tc.args, code, stdout, stderr, ExitUsage, tc.want)
		}
	}
}

func TestAWSItselfIsNeverMeantByAccident(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_REGION", "eu-west-1")
	if _, stderr, code := call(t, "", "jobs", "--aws"); code != ExitUsage || !strings.Contains(stderr, "names the endpoint http://127.0.0.1:1") {
		t.Errorf("--aws with an endpoint in the environment: exit code %d, stderr %q", code, stderr)
	}
	cfg, err := (&awsFlags{}).load(t.Context())
	if err != nil || aws.ToString(cfg.BaseEndpoint) != "http://127.0.0.1:1" {
		t.Errorf("endpoint %v, error %v", cfg.BaseEndpoint, err)
	}
	if err := os.Unsetenv("AWS_ENDPOINT_URL"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	if cfg, err = (&awsFlags{}).load(t.Context()); err != nil || aws.ToString(cfg.BaseEndpoint) != defaultEndpoint {
		t.Errorf("endpoint %v, error %v; want %s", cfg.BaseEndpoint, err, defaultEndpoint)
	}
	if cfg, err = (&awsFlags{aws: true}).load(t.Context()); err != nil || cfg.BaseEndpoint != nil {
		t.Errorf("--aws: endpoint %v, error %v; want AWS's own", cfg.BaseEndpoint, err)
	}
	t.Setenv("AWS_REGION", "")
	if _, stderr, code := call(t, "", "jobs", "--aws"); code != ExitUsage || !strings.Contains(stderr, "no region") {
		t.Errorf("--aws without a region: exit code %d, stderr %q", code, stderr)
	}
}

func TestNoEngineAnswers(t *testing.T) {
	t.Parallel()
	_, stderr, code := call(t, "", "jobs", "--endpoint-url", "http://127.0.0.1:1")
	if code != ExitFailed || !strings.Contains(stderr, "error: DescribeJobQueues: dial tcp 127.0.0.1:1: connect: connection refused\nNo engine answers there. Start one with `batchbox serve`") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	if code := Main(ctx, []string{"jobs", "--endpoint-url", "http://127.0.0.1:1"}, &Streams{Out: io.Discard, Err: &errs}); code != ExitInterrupted {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

func TestCompletions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ word, want string }{{"", "SUBMITTED\nPENDING\nRUNNABLE\n"}, {"FAILED,", "FAILED,SUBMITTED\n"}} {
		if stdout, _, code := call(t, "", "__complete", "jobs", "--status", tc.word); code != 0 || !strings.HasPrefix(stdout, tc.want) {
			t.Errorf("%q: exit code %d, %q; want %q", tc.word, code, stdout, tc.want)
		}
	}
	// Where nothing answers, there is nothing to offer, and nobody is kept waiting.
	if stdout, _, code := call(t, "", "__complete", "submit", "--endpoint-url", "http://127.0.0.1:1", "--job-queue", ""); code != 0 || stdout != ":1\n" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help", "submit"}, {"apply", "--help"}} {
		if stdout, stderr, code := call(t, "", args...); code != 0 || !strings.Contains(stdout, "Usage:\n  batchbox") || stderr != "" {
			t.Errorf("%q: exit code %d, stderr %q, stdout\n%s", args, code, stderr, stdout)
		}
	}
	if stdout, _, code := call(t, "", "version"); code != 0 || !strings.HasPrefix(stdout, "batchbox ") {
		t.Errorf("version: exit code %d, stdout %q", code, stdout)
	}
	if stdout, _, code := call(t, "", "completion", "bash"); code != 0 || !strings.Contains(stdout, "__start_batchbox") {
		t.Errorf("completion: exit code %d, %d bytes", code, len(stdout))
	}
}

// Every command has a summary, and every client command says which AWS it talks to.
func TestCommandsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, cmd := range newRoot(&Streams{}).Commands() {
		if cmd.Short == "" {
			t.Errorf("%s has no summary", cmd.Name())
		}
		if cmd.Flags().Lookup("endpoint-url") != nil && (!strings.Contains(cmd.Long, "--aws, never by accident") || cmd.Example == "") {
			t.Errorf("%s lacks the help of AWS clients, or an example", cmd.Name())
		}
	}
}

func TestServeFlags(t *testing.T) {
	t.Parallel()
	var got *serveOptions
	cmd := newServe(&Streams{}, func(_ context.Context, o *serveOptions) error { got = o; return nil })
	args := []string{"--detach", "--listen=127.0.0.1:0", "--data-dir=/tmp/d", "--account-id=111122223333", "--allow-host-path=/a,b", "--allow-host-path=/c", "--strict-ecr=true", "--max-tasks=3", "--network=private",
		"--keep-jobs=168h0m0s", "--keep-jobs-size=512MiB", "--keep-logs-size=0"}
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := server.Config{Listen: "127.0.0.1:0", DataDir: "/tmp/d", Account: "111122223333", Region: "us-east-1", Runtime: "auto", Network: "private", StrictECR: true, HostPaths: []string{"/a,b", "/c"}}
	want.Limits.MaxTasks = 3
	want.Retention = server.RetentionConfig{Jobs: 7 * 24 * time.Hour, JobBytes: 512 << 20, LogBytes: -1, ImageBytes: server.DefaultImageBytes}
	if !reflect.DeepEqual(got.config, want) {
		t.Errorf("config %+v, want %+v", got.config, want)
	}
	// What is handed on to the engine in the background means the same.
	slices.Sort(args)
	slices.Sort(got.flags)
	if want := slices.DeleteFunc(args, func(a string) bool { return a == "--detach" }); !slices.Equal(got.flags, want) {
		t.Errorf("flags handed on %q, want %q", got.flags, want)
	}
}

// TestSupervisorFlags: the flags an engine starts its supervisor with.
func TestSupervisorFlags(t *testing.T) {
	t.Parallel()
	var got server.SupervisorConfig
	cmd := newSupervisor(&Streams{Err: io.Discard}, func(_ context.Context, c server.SupervisorConfig) error { got = c; return nil })
	cmd.SetArgs([]string{"--data-dir", "/tmp/d", "--runtime", "process", "--image-bytes", "7", "--no-cpu-quota", "--ephemeral"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	got.Logger = nil
	if want := (server.SupervisorConfig{DataDir: "/tmp/d", Runtime: "process", ImageBytes: 7, NoCPUQuota: true, Ephemeral: true}); got != want {
		t.Errorf("config %+v, want %+v", got, want)
	}
}

func TestStopWithoutAnEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, stderr, code := call(t, "", "stop", "--data-dir", dir); code != 0 || stderr != fmt.Sprintf("no engine is running on %s\n", dir) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	gone := `{"pid": 999999999, "url": "http://127.0.0.1:1", "token": "x"}`
	if err := os.WriteFile(filepath.Join(dir, "engine.json"), []byte(gone), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := call(t, "", "stop", "--data-dir", dir); code != 0 || !strings.Contains(stderr, "has ended already") {
		t.Errorf("a dead engine: exit code %d, stderr %q", code, stderr)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	if !alive(os.Getpid()) || alive(999999999) {
		t.Error("wrong about this process, or about none")
	}
}

func TestSubmission(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, []byte("{\"items\": [1]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"--job-queue", "q", "--job-definition", "arn:aws:batch:us-east-1:000000000000:job-definition/scan:3"}
	for _, tc := range []struct {
		name string
		args []string
		want string // as JSON, without queue, definition and name
	}{
		{"Single", nil, `{}`},
		{"ArrayOfOneIsASingleJob", []string{"--array-size", "1"}, `{}`},
		{"Array", []string{"--array-size", "2"}, `{"arrayProperties":{"size":2}}`},
		{"Input", []string{"--input", `{"items": [1]}`, "-e", "A=b=c"}, `{"containerOverrides":{"environment":[{"name":"JOB_INPUT","value":"{\"items\": [1]}"},{"name":"A","value":"b=c"}]}}`},
		{"InputOfAFile", []string{"--input", "@" + file}, `{"containerOverrides":{"environment":[{"name":"JOB_INPUT","value":"{\"items\": [1]}"}]}}`},
		{"InputOfStdin", []string{"--input", "@-"}, `{"containerOverrides":{"environment":[{"name":"JOB_INPUT","value":"[2]"}]}}`},
		{"Command", []string{"--", "echo", "--logs"}, `{"containerOverrides":{"command":["echo","--logs"]}}`},
		{"Resources", []string{"--vcpu", "0.5"}, `{"containerOverrides":{"resourceRequirements":[{"type":"VCPU","value":"0.5"}]}}`},
		{"Dependencies", []string{"--depends-on", "j1", "--depends-on", "j2=N_TO_N", "--depends-on", "=SEQUENTIAL"},
			`{"dependsOn":[{"jobId":"j1"},{"jobId":"j2","type":"N_TO_N"},{"type":"SEQUENTIAL"}]}`},
		{"Rules", []string{"--attempts", "3", "--timeout", "2m", "--share", "A", "--priority", "0", "--tag", "t=u", "--parameter", "p=v"},
			`{"parameters":{"p":"v"},"retryStrategy":{"attempts":3},"schedulingPriorityOverride":0,"shareIdentifier":"A","tags":{"t":"u"},"timeout":{"attemptDurationSeconds":120}}`},
		{"NamesOfTheAWSCLI", []string{"--job-name", "scan", "--share-identifier", "A"}, `{"shareIdentifier":"A"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var o *submitOptions
			cmd := newSubmit(&Streams{In: strings.NewReader("[2]\n")}, func(_ context.Context, got *submitOptions) error { o = got; return nil })
			cmd.SetArgs(append(slices.Clone(base), tc.args...))
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			in, err := o.submission()
			if err != nil {
				t.Fatal(err)
			}
			if *in.JobName != "scan" || *in.JobQueue != "q" {
				t.Errorf("name %s, queue %s", *in.JobName, *in.JobQueue)
			}
			in.JobName, in.JobQueue, in.JobDefinition = nil, nil, nil
			var got bytes.Buffer
			if err := printJSON(&got, in); err != nil {
				t.Fatal(err)
			}
			if got := compact(t, got.String()); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestPrintJSONSpellsAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := printJSON(&out, map[string]any{"jobs": []types.JobDetail{{JobId: aws.String("j"), Status: types.JobStatusFailed, Tags: map[string]string{"Team": "A"},
		Container: &types.ContainerDetail{ExitCode: aws.Int32(0)}, ArrayProperties: &types.ArrayPropertiesDetail{StatusSummary: map[string]int32{"FAILED": 0}}}}})
	want := `{"jobs":[{"arrayProperties":{"statusSummary":{"FAILED":0}},"container":{"exitCode":0},"jobId":"j","status":"FAILED","tags":{"Team":"A"}}]}`
	if err != nil || compact(t, out.String()) != want {
		t.Errorf("got %s, error %v", out.String(), err)
	}
}

func TestEnvironmentOfAnApply(t *testing.T) {
	t.Parallel()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:4566"), Credentials: credentials.NewStaticCredentialsProvider("batchbox", "batchbox", "")}
	changes := []stack.Change{
		{Resource: stack.Resource{Kind: stack.JobQueue}, ARN: "arn:q'1"}, {Resource: stack.Resource{Kind: stack.JobQueue}, ARN: "arn:q2"},
		{Resource: stack.Resource{Kind: stack.JobDefinition}, ARN: "arn:d"},
	}
	got, err := environment(t.Context(), cfg, changes)
	want := "# Written by batchbox apply. To use it: source this file.\nexport JOB_QUEUE_ARN='arn:q'\\''1'\nexport JOB_DEFINITION_ARN='arn:d'\nexport AWS_REGION='us-east-1'\nexport AWS_DEFAULT_REGION='us-east-1'\n" +
		"export AWS_ENDPOINT_URL='http://127.0.0.1:4566'\nexport AWS_ACCESS_KEY_ID='batchbox'\nexport AWS_SECRET_ACCESS_KEY='batchbox'\n"
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, -want +got\n%s", err, diff)
	}
	got, err = environment(t.Context(), aws.Config{Region: "us-east-1"}, nil)
	if want := "# Written by batchbox apply. To use it: source this file.\nexport AWS_REGION='us-east-1'\nexport AWS_DEFAULT_REGION='us-east-1'\n"; err != nil || got != want {
		t.Errorf("on AWS itself: %q, error %v", got, err)
	}
}

func TestExitErrorsSayNoMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	e := &exitError{code: 3}
	if e.Error() != "exit code 3" || errors.Unwrap(e) != nil || !errors.Is(&exitError{1, syscall.EPERM}, syscall.EPERM) {
		t.Error("wrong text or chain")
	}
	if got := seconds(1234 * time.Millisecond); got != "1.2 s" {
		t.Errorf("got %s", got)
	}
}
