package server_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/server"
)

const (
	fidelityFile = "../../docs/fidelity.md"
	tableBegin   = "<!-- operations: written by UPDATE_GOLDEN=1 go test ./internal/server -run TestFidelityTable -->\n"
	tableEnd     = "<!-- end of operations -->\n"
)

// partly says what an operation that is provided does not do as AWS does it.
var partly = map[string]string{
	"batch.CreateComputeEnvironment":    "EKS and managed instances are refused; the service role is not checked",
	"batch.RegisterJobDefinition":       "eksProperties are kept and shown, of them only the containers are checked",
	"batch.SubmitJob":                   "a job of a definition with eksProperties is refused",
	"batch.TerminateServiceJob":         "there are no service jobs: every id counts as not found, so as successful",
	"batch.TerminateServiceJobs":        "there are no service jobs: every id counts as not found, so as successful",
	"batch.DescribeServiceEnvironments": "there are none",
	"batch.UpdateServiceEnvironment":    "there are none",
	"batch.DeleteServiceEnvironment":    "there are none",
	"batch.ListServiceJobs":             "there are none",
	"batch.DescribeServiceJob":          "there are none",
	"batch.UpdateServiceJob":            "there are none",
	"batch.ListQuotaShares":             "there are none",
	"batch.DescribeQuotaShare":          "there are none",
	"batch.UpdateQuotaShare":            "there are none",
	"batch.DeleteQuotaShare":            "there are none",
	"ecr.DescribeImageScanFindings":     "images are never scanned",
	"ecr.PutLifecyclePolicy":            "checked, kept and shown; nothing expires",
	"ecr.SetRepositoryPolicy":           "kept and shown, not enforced",
	"ecr.PutImageScanningConfiguration": "kept and shown; nothing is scanned",
	"logs.PutMetricFilter":              "kept and shown; there are no metrics",
	"logs.AssociateKmsKey":              "kept and shown; nothing is encrypted",
	"ecs.DescribeTasks":                 "a task that has ended is shown for an hour, and not after a restart of the engine",
	"ecs.ListTasks":                     "a task that has ended is listed for an hour, and not after a restart of the engine",
	"events.PutRule":                    "rules with an EventPattern; schedules are refused",
	"events.PutTargets":                 "log groups of CloudWatch Logs and job queues of AWS Batch; other targets are refused",
	"iam.CreatePolicy":                  "kept, shown and checked for form; policies are not enforced",
	"iam.PutRolePolicy":                 "kept, shown and checked for form; policies are not enforced",
}

// TestFidelityTable keeps the table of operations in docs/fidelity.md what the routes say.
func TestFidelityTable(t *testing.T) {
	t.Parallel()
	s, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Ephemeral: true, Runtime: "process"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var table strings.Builder
	used := map[string]bool{}
	service := ""
	works, refused := 0, 0
	for _, op := range s.Operations() {
		if op.Service != service {
			service = op.Service
			fmt.Fprintf(&table, "\n### %s\n\n| Operation | |\n| --- | --- |\n", service)
		}
		key := op.Service + "." + op.Operation
		switch what := partly[key]; {
		case op.Refused != "":
			refused++
			fmt.Fprintf(&table, "| %s | refused: %s |\n", op.Operation, op.Refused)
		case what != "":
			works++
			used[key] = true
			fmt.Fprintf(&table, "| %s | partly: %s |\n", op.Operation, what)
		default:
			works++
			fmt.Fprintf(&table, "| %s | works |\n", op.Operation)
		}
	}
	for key := range partly {
		if !used[key] {
			t.Errorf("%s is said to work partly, and is not provided", key)
		}
	}
	want := fmt.Sprintf("%d operations work, %d are refused by name.\n%s\n", works, refused, table.String())

	raw, err := os.ReadFile(fidelityFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has not the lines that enclose the table", fidelityFile)
	}
	if got == want {
		return
	}
	if os.Getenv("UPDATE_GOLDEN") != "1" {
		t.Fatalf("the table in %s is not what the routes say; UPDATE_GOLDEN=1 writes it", fidelityFile)
	}
	if err := os.WriteFile(fidelityFile, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
