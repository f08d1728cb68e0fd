package scenario_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/scenario"
)

// files are the scenarios in testdata.
func files(t testing.TB) map[string][]scenario.Step {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d scenarios, %v", len(paths), err)
	}
	out := map[string][]scenario.Step{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out[path], err = scenario.Parse(path, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestOnCore(t *testing.T) {
	t.Parallel()
	for path, steps := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			if err := scenario.Run(t.Context(), path, steps, onCore(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnSQLite(t *testing.T) {
	t.Parallel()
	for path, steps := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			if err := scenario.Run(t.Context(), path, steps, onSQLite(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A line that does not hold is an error that names it: each of these is a scenario that must fail, where it says so.
func TestWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	const before = "environment ce FARGATE 1\nqueue q ce\ndefinition jd 0.25\nsubmit a q jd\nsubmit b q jd {\"arrayProperties\":{\"size\":2}}\n"
	for last, want := range map[string]string{
		"expect a RUNNABLE":                    `it is STARTING, ""`,
		"expect a STARTING for no reason":      `it is STARTING, ""`,
		"attempts a 1":                         "there are 0",
		"children b STARTING=1":                "they are map[STARTING:2]",
		"running a b:0":                        "running: [a b:0 b:1]",
		"stopped a":                            "it was not told to stop",
		"exit c 0":                             "no job is called c",
		"exit b:2 0":                           "it has no container",
		"refused no such queue\nsubmit c q jd": `it is done, and should be refused with "no such queue"`,
		"refused banana\nsubmit c none jd":     `and should be with "banana"`,
		"submit c none jd":                     "does not exist",
		"interrupt a":                          "no attempt under way on a Spot compute environment",
	} {
		steps, err := scenario.Parse("x", before+last+"\n")
		if err != nil {
			t.Fatal(err)
		}
		err = scenario.Run(t.Context(), "x", steps, onCore(t))
		var wrong *scenario.Error
		if !errors.As(err, &wrong) || wrong.Line != strings.Count(before+last, "\n")+1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %s", last, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	steps, err := scenario.Parse("x", "# what for\n\nsubmit a q jd\n  {\"arrayProperties\": # no comment\n   {}}\n")
	if err == nil {
		t.Errorf("JSON with a comment is taken: %v", steps)
	}
	steps, err = scenario.Parse("x", "# what for\n\nrunning\nsubmit a q jd\n  {\"arrayProperties\":\n\t{\"size\": 2}}\nexpect a:0 FAILED because of  this\n")
	want := []scenario.Step{
		{Line: 3, Verb: "running"},
		{Line: 4, Verb: "submit", Args: []string{"a", "q", "jd"}, Rest: `{"arrayProperties": {"size": 2}}`},
		{Line: 7, Verb: "expect", Args: []string{"a:0", "FAILED"}, Rest: "because of  this"},
	}
	if err != nil || !reflect.DeepEqual(steps, want) {
		t.Errorf("%v, %v\nwant %v", steps, err, want)
	}
	for text, want := range map[string]string{
		"hope a":                    `x:1: there is no verb "hope"`,
		"\nexit a":                  "x:2: exit wants 2 arguments, there are 1",
		"exit a b":                  `"b" is not a number`,
		"expect a DONE":             `"DONE" is not a state of jobs`,
		"advance 5":                 "missing unit",
		"advance -5s":               "-5s is back in time",
		"restart now":               `restart takes nothing after its 0 arguments, and there is "now"`,
		"cancel a":                  "cancel wants something after its 1 arguments",
		"submit a:1 q jd":           `"a:1" is not the name of a job`,
		"submit a q jd [1]":         "cannot unmarshal array",
		"environment ce LAMBDA 1":   `"LAMBDA" is none of FARGATE`,
		"children a RUNNABLE=many":  `is not STATUS=N`,
		"refused because\nexit a 1": "what comes next is no request",
	} {
		if _, err := scenario.Parse("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Whatever is read is written so that it is read again.
func FuzzParse(f *testing.F) {
	for _, steps := range files(f) {
		var text []string
		for _, s := range steps {
			text = append(text, s.String())
		}
		f.Add(strings.Join(text, "\n"))
	}
	f.Add("submit a q jd\n\t{}\nrefused x\n#")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := scenario.Parse("x", text)
		if err != nil {
			return
		}
		var again []string
		for _, s := range steps {
			again = append(again, s.String())
		}
		second, err := scenario.Parse("x", strings.Join(again, "\n"))
		if err != nil {
			t.Fatalf("%q is read, %q is not: %v", text, again, err)
		}
		if !slices.EqualFunc(steps, second, func(a, b scenario.Step) bool { return a.String() == b.String() }) {
			t.Fatalf("%v\n%v", steps, second)
		}
	})
}
