package worker_test

import (
	"context"
	"os"
	"strings"

	"github.com/batchbox/batchbox/worker"
)

// A whole program: child i of an array job greets item i. Here the environment is written out; in a program, call
// worker.Main(greet) from main and let AWS Batch set it.
func Example() {
	type greeting struct {
		Text string `json:"text"`
	}
	greet := func(_ context.Context, job worker.Job[string]) (greeting, error) {
		return greeting{Text: job.Message + " " + strings.ToUpper(job.Item())}, nil
	}

	environment := map[string]string{
		"AWS_BATCH_JOB_ARRAY_INDEX": "1",
		"AWS_BATCH_JOB_ARRAY_SIZE":  "2",
		"JOB_INPUT":                 `{"message": "Hello,", "items": ["ada", "grace"]}`,
	}
	lookup := func(name string) (string, bool) { v, ok := environment[name]; return v, ok }
	worker.Run(context.Background(), worker.Process{LookupEnv: lookup, Stdout: os.Stdout, Stderr: os.Stderr}, greet)
	// Output:
	// {
	//   "text": "Hello, GRACE"
	// }
}
