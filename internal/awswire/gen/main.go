// Command gen writes models_gen.go of package awswire: what the source of the AWS SDK modules in go.mod says about each
// service's operations, routes, required members and odd member names. Run it with go generate in the package's folder
// after a change of those modules' versions.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// source is an SDK module and what its code does not say about itself.
type source struct {
	module string // last element of the module path
	name   string // awswire.Service.Name
	fn     string // name of the generated function
	// protocol is the awswire constant.
	protocol string
	// namespace is the xmlns of replies, with %s for the API version; the SDK does not look at it. From the API References
	// of IAM and STS.
	namespace string
}

var sources = []source{
	{module: "batch", name: "batch", fn: "BatchModel", protocol: "RestJSON1"},
	{module: "cloudwatchlogs", name: "logs", fn: "LogsModel", protocol: "AWSJSON11"},
	{module: "ecr", name: "ecr", fn: "ECRModel", protocol: "AWSJSON11"},
	{module: "iam", name: "iam", fn: "IAMModel", protocol: "Query", namespace: "https://iam.amazonaws.com/doc/%s/"},
	{module: "sts", name: "sts", fn: "STSModel", protocol: "Query", namespace: "https://sts.amazonaws.com/doc/%s/"},
}

const modulePrefix = "github.com/aws/aws-sdk-go-v2/service/"

func main() {
	out, err := generate()
	if err == nil {
		err = os.WriteFile("models_gen.go", out, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// generate makes the text of models_gen.go from the modules that go.mod selects.
func generate() ([]byte, error) {
	var models []model
	for _, src := range sources {
		dir, version, err := locate(modulePrefix + src.module)
		if err != nil {
			return nil, err
		}
		m, err := extract(src, dir)
		if err != nil {
			return nil, fmt.Errorf("%s@%s: %w", src.module, version, err)
		}
		m.sdkVersion = version
		models = append(models, m)
	}
	return render(models)
}

// locate asks the go command for a module's source.
func locate(module string) (dir, version string, err error) {
	cmd := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}\t{{.Version}}", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	dir, version, ok := strings.Cut(strings.TrimSpace(string(out)), "\t")
	if !ok || dir == "" {
		return "", "", fmt.Errorf("module %s is not in the module cache: go mod download", module)
	}
	return dir, version, nil
}
