package batchboxtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/batchboxtest"
)

// A job definition as it is in a file of one's own, in the AWS CLI's form: what is to be tested are its rules.
const definition = `{
  "jobDefinitionName": "nightly",
  "type": "container",
  "platformCapabilities": ["FARGATE"],
  "containerProperties": {
    "image": "registry.example/nightly:v1",
    "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
  },
  "timeout": {"attemptDurationSeconds": 21600},
  "retryStrategy": {"attempts": 4, "evaluateOnExit": [
    {"onExitCode": "75", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"}
  ]}
}`

// In a test file of one's own this is func TestNightlyJob(t *testing.T).
func testNightlyJob(t testing.TB) {
	// The upstream system is not there for two attempts of five hours; then the job takes an hour.
	box := batchboxtest.Start(t, batchboxtest.Simulate(func(c batchboxtest.Container) batchboxtest.Program {
		if c.Attempt <= 2 {
			return batchboxtest.Program{Runs: 5 * time.Hour, ExitCode: 75, Output: "upstream is not there\n"}
		}
		return batchboxtest.Program{Runs: time.Hour}
	}))
	client := batch.NewFromConfig(box.AWSConfig())

	var nightly batch.RegisterJobDefinitionInput
	if err := json.Unmarshal([]byte(definition), &nightly); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RegisterJobDefinition(context.TODO(), &nightly); err != nil {
		t.Fatal(err)
	}
	submitted, err := client.SubmitJob(context.TODO(), &batch.SubmitJobInput{
		JobName: aws.String("monday"), JobDefinition: aws.String("nightly"), JobQueue: aws.String(box.Queue("night")),
	})
	if err != nil {
		t.Fatal(err)
	}

	began := box.Now()
	job := box.Wait(*submitted.JobId)
	fmt.Println(job.Status, "after", len(job.Attempts), "attempts and", box.Now().Sub(began))
	fmt.Println(box.Logs(*submitted.JobId))
}

func Example() {
	for _, failure := range run(testNightlyJob) {
		fmt.Println(failure)
	}
	// Output:
	// SUCCEEDED after 3 attempts and 11h0m0s
	// [upstream is not there upstream is not there]
}
