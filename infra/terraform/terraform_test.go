// Package terraform has no code, only tests of the Terraform modules beside it. Most need no provider.
package terraform

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// terraform runs it in dir, without the user's configuration of it and without a registry.
func terraform(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "terraform", args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TF_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "TF_CLI_CONFIG_FILE="+os.DevNull, "CHECKPOINT_DISABLE=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func modules(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/variables.tf")
	if err != nil || len(files) < 2 {
		t.Fatalf("modules %q, error %v", files, err)
	}
	var dirs []string
	for _, f := range files {
		dirs = append(dirs, filepath.Dir(f))
	}
	return dirs
}

func TestFormat(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Terraform)
	if out, err := terraform(t, ".", "fmt", "-check", "-diff", "-recursive"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRules runs each module's rules.tftest.hcl against its variables alone, which need no provider.
func TestRules(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Terraform)
	for _, m := range modules(t) {
		t.Run(m, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			variables, err := os.ReadFile(filepath.Join(m, "variables.tf"))
			if err != nil {
				t.Fatal(err)
			}
			rules, err := os.ReadFile(filepath.Join(m, "tests", "rules.tftest.hcl"))
			if err != nil {
				t.Fatal(err)
			}
			mocked := mock.FindIndex(rules)
			if mocked == nil {
				t.Fatalf("%s/tests/rules.tftest.hcl mocks no provider", m)
			}
			write(t, filepath.Join(dir, "variables.tf"), variables)
			write(t, filepath.Join(dir, "tests", "rules.tftest.hcl"), slices.Delete(rules, mocked[0], mocked[1]))
			if out, err := terraform(t, dir, "init", "-input=false", "-no-color"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := terraform(t, dir, "test", "-no-color"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

var mock = regexp.MustCompile(`(?s)mock_provider "aws" \{(\n.*?\n)?\}\n`)

// TestWithProvider runs all test files of each module with the provider's own schema, and checks the configuration by it. The
// provider's answers are mocked.
func TestWithProvider(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	env := testenv.AWSProvider(t)
	run := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "terraform", args...)
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: terraform %s: %v\n%s", dir, strings.Join(args, " "), err, out)
		}
	}
	for _, m := range modules(t) {
		dir := filepath.Join(t.TempDir(), m)
		if err := os.CopyFS(dir, os.DirFS(m)); err != nil {
			t.Fatal(err)
		}
		for _, leftover := range []string{".terraform", ".terraform.lock.hcl", "backend_override.tf"} {
			if err := os.RemoveAll(filepath.Join(dir, leftover)); err != nil {
				t.Fatal(err)
			}
		}
		run(dir, "init", "-backend=false", "-no-color")
		run(dir, "validate", "-no-color")
		run(dir, "test", "-no-color")
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

var declared = regexp.MustCompile(`(?m)^(variable|output) "([a-z0-9_]+)" \{$`)

// TestReadme compares the names in the tables with those that the module declares.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, m := range modules(t) {
		readme, err := os.ReadFile(filepath.Join(m, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		_, tables, ok := strings.Cut(string(readme), "\n## Inputs\n")
		if !ok {
			t.Fatalf("%s/README.md has no inputs", m)
		}
		inputs, outputs, ok := strings.Cut(tables, "\n## Outputs\n")
		if !ok {
			t.Fatalf("%s/README.md has no outputs", m)
		}
		for kind, table := range map[string]string{"variable": inputs, "output": outputs} {
			source, err := os.ReadFile(filepath.Join(m, kind+"s.tf"))
			if err != nil {
				t.Fatal(err)
			}
			var rows int
			for _, d := range declared.FindAllStringSubmatch(string(source), -1) {
				rows++
				if !strings.Contains(table, "\n| `"+d[2]+"` | ") {
					t.Errorf("%s/README.md says nothing of the %s %s", m, kind, d[2])
				}
			}
			if got := strings.Count(table, "\n| `"); got != rows {
				t.Errorf("%s/README.md has %d rows of %ss, the module %d", m, got, kind, rows)
			}
		}
	}
}

// TestEverythingIsDescribed wants a description of each variable and output, and a type of each variable.
func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for _, m := range modules(t) {
		for kind, members := range map[string][]string{"variable": {"description", "type"}, "output": {"description", "value"}} {
			source, err := os.ReadFile(filepath.Join(m, kind+"s.tf"))
			if err != nil {
				t.Fatal(err)
			}
			blocks := strings.Split("\n"+string(source), "\n"+kind+" ")
			for _, block := range blocks[1:] {
				name, body, _ := strings.Cut(block, " {\n")
				body, _, _ = strings.Cut(body, "\n}\n")
				for _, member := range members {
					if !regexp.MustCompile(`(?m)^  ` + member + ` +=`).MatchString(body) {
						t.Errorf("%s: the %s %s has no %s", m, kind, name, member)
					}
				}
			}
		}
	}
}
