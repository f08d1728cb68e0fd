// Package archtest has one test: that dependencies point down only, as docs/architecture.md draws them.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/batchbox/batchbox/"

// rule says what a package, or any below it, may import of this module, and of other modules if outside is not nil.
// Packages are named from the module's root; "x" is x itself and all below it.
type rule struct {
	of     string
	inside []string
	// outside lists modules' packages by prefix; nil does not restrict.
	outside []string
}

// none is for packages that need the standard library only.
var none = []string{}

// The first rule that fits a package counts. A package without a rule is an error, so that a new one finds its place.
var rules = []rule{
	{"worker", nil, none},
	{"apps/batchworker", []string{"worker"}, none},
	{"tests/batchtest", []string{"internal/cli/awsclient", "internal/cli/watch"}, []string{"github.com/aws/", "golang.org/x/term"}},
	{"batchboxtest", []string{
		"internal/server", "internal/batch", "internal/events$", "internal/image", "internal/launcher", "internal/runtime$", "internal/runtime/fake",
		"internal/cli/awsclient", "internal/cli/joblog", "internal/control",
	}, []string{"github.com/aws/"}},

	// The words and the decisions: values in, values out.
	{"internal/batch", nil, none},
	{"internal/sched", []string{"internal/batch"}, none},
	{"internal/engine", []string{"internal/batch", "internal/sched", "internal/runtime$"}, none},
	{"internal/scenario/prog", none, none},
	{"internal/scenario", []string{"internal/batch"}, none},
	{"internal/sim", []string{"internal/batch", "internal/sched", "internal/engine", "internal/runtime$"}, none},

	// The wire knows no domain, and services do not know each other.
	{"internal/awswire", []string{"internal/awswire"}, nil},
	{"internal/api", []string{"internal/awswire", "internal/batch", "internal/engine", "internal/events", "internal/identity", "internal/logstore", "internal/registry", "internal/store$", "internal/taskmeta"}, nil},
	{"internal/taskmeta", []string{"internal/batch", "internal/engine", "internal/identity", "internal/runtime$", "internal/store$"}, nil},
	{"internal/identity", []string{"internal/awswire", "internal/batch", "internal/store$"}, nil},

	// Adapters under the engine.
	{"internal/store", []string{"internal/fsys$", "internal/batch", "internal/engine", "internal/store"}, nil},
	{"internal/logstore", []string{"internal/fsys$", "internal/batch", "internal/logstore", "internal/store$"}, nil},
	{"internal/registry", []string{"internal/fsys$", "internal/batch", "internal/registry", "internal/store$"}, nil},
	{"internal/image", []string{"internal/fsys$", "internal/batch", "internal/registry$", "internal/runtime$"}, nil},
	{"internal/launcher", []string{"internal/batch", "internal/engine", "internal/runtime$", "internal/supervisor"}, nil},
	{"internal/supervisor", []string{"internal/fsys$", "internal/logstore", "internal/runtime$", "internal/runtime/spawn", "internal/supervisor"}, nil},
	{"internal/runtime", []string{"internal/fsys$", "internal/dockerhost", "internal/initproc", "internal/runtime", "internal/testenv"}, nil},
	{"internal/dockerhost", none, nil},
	{"internal/initproc", []string{"internal/initproc", "internal/runtime/account"}, nil},
	{"internal/fsys/fsystest", []string{"internal/fsys$", "internal/testenv"}, none},
	{"internal/fsys", []string{"internal/fsys$"}, none},
	{"internal/control", []string{"internal/fsys$"}, none},
	{"internal/testenv", nil, none},
	{"internal/archtest", nil, none},

	// What puts the parts together, and what stands on that.
	{"internal/console", []string{"internal/batch", "internal/engine", "internal/logstore"}, nil},
	{"internal/server", nil, nil},
	{"internal/cli/awsclient", []string{"internal/awswire/sdkhttp"}, []string{"github.com/aws/"}},
	{"internal/cli/watch", nil, []string{"github.com/aws/"}},
	{"internal/cli/joblog", []string{"internal/cli/watch"}, []string{"github.com/aws/"}},
	{"internal/cli/stack", nil, []string{"github.com/aws/"}},
	{"internal/cli", nil, nil},
	{"tests/crash", none, none},     // tests only
	{"tests/provider", none, none},  // tests only
	{"tests/terraform", none, none}, // tests only
	{"tests/clients/gated", []string{"worker"}, none},
	{"tests/recipes", none, none}, // tests only
	{"tests/clients", none, none}, // tests only
	{"tests/bench", []string{"internal/cli/awsclient", "internal/control", "internal/batch$", "internal/engine$", "internal/store/sqlite$"}, []string{"github.com/aws/", "github.com/google/uuid"}},
	{"internal/events/eventstest", nil, nil}, // for tests
	{"internal/events", []string{"internal/awswire", "internal/batch", "internal/engine", "internal/events", "internal/store$"}, nil},
	{"cmd/batchbox-init", []string{"internal/initproc"}, nil},
	{"cmd/batchbox-helper", []string{"internal/runtime/docker/inside$"}, nil},
	{"cmd/batchbox", []string{"internal/cli$"}, nil},
	{"examples", []string{"worker", "batchboxtest"}, nil},
	{"scripts", none, none},
	{"infra", none, none},
}

// only says who may import what stands at the top.
var only = map[string][]string{
	"internal/server": {"internal/cli$", "batchboxtest"},
	"internal/cli$":   {"cmd/batchbox"},
	"cmd":             {},
	"internal/api":    {"internal/server", "internal/events/eventstest"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Module     *struct{ Main bool }
}

func TestDependenciesPointDown(t *testing.T) {
	t.Parallel()
	ours, deps := load(t)
	for _, p := range ours {
		name := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rules, func(r rule) bool { return below(name, r.of) })
		if i < 0 {
			t.Errorf("%s has no rule: say in this test what it may import", name)
			continue
		}
		r := rules[i]
		for _, path := range p.Imports {
			imported, isOurs := strings.CutPrefix(path, module)
			switch {
			case isOurs && (r.inside != nil || r.outside != nil) && !anyBelow(imported, r.inside):
				t.Errorf("%s imports %s, but may import of this module only %v", name, imported, r.inside)
			case !isOurs && r.outside != nil && deps[path] && !slices.ContainsFunc(r.outside, func(prefix string) bool { return strings.HasPrefix(path, prefix) }):
				t.Errorf("%s imports %s, but may import of other modules only %v", name, path, r.outside)
			}
			for top, importers := range only {
				if isOurs && below(imported, top) && !below(name, top) && !anyBelow(name, importers) {
					t.Errorf("%s imports %s, which only %v may", name, imported, importers)
				}
			}
		}
	}
}

// No test helper gets into what users run.
func TestProgramsHoldNoTestCode(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"./cmd/batchbox", "./cmd/batchbox-init", "./cmd/batchbox-helper", "./apps/batchworker", "./tests/batchtest"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for path := range strings.FieldsSeq(string(out)) {
			name := strings.TrimPrefix(path, module)
			if path == "testing" || name == "batchboxtest" || name == "internal/testenv" || name == "internal/runtime/fake" || strings.HasSuffix(name, "test") && name != path {
				if name != "tests/batchtest" {
					t.Errorf("%s holds %s", program, path)
				}
			}
		}
	}
}

// load lists this module's packages, and which import paths are of other modules.
func load(t *testing.T) (ours []pkg, others map[string]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Imports,Module", "./...")
	cmd.Dir = "../.."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	others = make(map[string]bool)
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case p.Module == nil: // the standard library
		case p.Module.Main:
			ours = append(ours, p)
		default:
			others[p.ImportPath] = true
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(ours) < 10 || len(others) < 10 {
		t.Fatalf("%d packages of ours and %d of others: the list is not complete", len(ours), len(others))
	}
	return ours, others
}

func anyBelow(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return below(name, f) })
}

// below says whether a package is a folder's own or one below it; "x$" is x itself only.
func below(name, folder string) bool {
	if exact, ok := strings.CutSuffix(folder, "$"); ok {
		return name == exact
	}
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func TestBelow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, folder string
		want         bool
	}{
		{"internal/store", "internal/store", true},
		{"internal/store/sqlite", "internal/store", true},
		{"internal/storehouse", "internal/store", false},
		{"internal/store/sqlite", "internal/store$", false},
		{"internal/store", "internal/store$", true},
	} {
		if got := below(tc.name, tc.folder); got != tc.want {
			t.Errorf("%s below %s: %v", tc.name, tc.folder, got)
		}
	}
}
