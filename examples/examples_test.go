// Package examples has one test, which runs the examples.
package examples

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// what an example needs beside bash, and how its output is held against its README's; nil: line for line.
var examples = []struct {
	name  string
	needs []testenv.Need
	check func(t *testing.T, got string)
}{
	{"spot-interruption", nil, nil},
	{"dependencies", nil, nil},
	{"retries", nil, nil},
	{"timeouts", nil, nil},
	{"multi-node", []testenv.Need{testenv.Linux}, nil},
	{"fair-share", nil, fairShare},
}

// TestExamples runs each example with an engine of its own, and finds in its README what it prints. UPDATE_GOLDEN=1 writes
// the READMEs.
func TestExamples(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Bash)
	program := filepath.Join(t.TempDir(), "batchbox")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/batchbox").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, e.needs...)
			got := run(t, program, e.name)
			readme := filepath.Join(e.name, "README.md")
			text, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			before, want, ok := strings.Cut(string(text), fmt.Sprintf("```console\n$ examples/%s/run.sh\n", e.name))
			if !ok {
				t.Fatalf("%s shows no run", readme)
			}
			want, after, _ := strings.Cut(want, "```\n")
			if os.Getenv("UPDATE_GOLDEN") == "1" {
				shown := fmt.Sprintf("%s```console\n$ examples/%s/run.sh\n%s```\n%s", before, e.name, got, after)
				if err := os.WriteFile(readme, []byte(shown), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if e.check != nil {
				e.check(t, got)
				got, want = varying.ReplaceAllString(got, "N"), varying.ReplaceAllString(want, "N")
			}
			if got != want {
				t.Errorf("it prints\n%s\nbut %s shows\n%s", got, readme, want)
			}
		})
	}
}

func run(t *testing.T, program, example string) string {
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(example, "run.sh"))
	cmd.Env = append(os.Environ(), "BATCHBOX="+program, "AWS_ENDPOINT_URL=", "TMPDIR="+t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", stderr.String())
	}
	return stdout.String()
}

// varying is what fair-share prints otherwise each time: the order, and a number that follows from it.
var varying = regexp.MustCompile(`(blue |green )+|[0-9]+ of them`)

var greens = regexp.MustCompile(`(?m)^([0-9]+) of them are green\.$`)

// fairShare: in a queue without a policy none of the first 24 would be green. A fair order has 8 to 12 of the 12, the start of
// four blue ones before green came and rounding taken into account; 6 leaves room for a machine that stutters.
func fairShare(t *testing.T, got string) {
	t.Helper()
	m := greens.FindStringSubmatch(got)
	if m == nil {
		t.Fatalf("it prints\n%s", got)
	}
	if n, err := strconv.Atoi(m[1]); err != nil || n < 6 {
		t.Errorf("of the first 24 jobs %s are green", m[1])
	}
	for _, share := range []string{"blue", "green"} {
		if !strings.Contains(got, share+" ") {
			t.Errorf("no %s:\n%s", share, got)
		}
	}
}
