package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

var quiet = slog.New(slog.DiscardHandler)

func openTestJournal(t testing.TB, path, boot string, first bool) *journal {
	t.Helper()
	j, err := openJournal(fsys.OS, path, boot, first, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j
}

func keyed(keys ...string) (tasks []*task) {
	for _, key := range keys {
		tasks = append(tasks, &task{Task: runtime.Task{Key: key}})
	}
	return tasks
}

// fill writes a journal with a task in each state.
func fill(t testing.TB, j *journal) {
	t.Helper()
	if err := j.accepted(keyed("accepted/1", "running/1", "ended/1", "acked/1")); err != nil {
		t.Fatal(err)
	}
	j.running("running/1", "process", "token-1")
	j.running("running/1", "process", "token-2")
	j.running("running/1", "docker", "")
	j.running("ended/1", "docker", "token-3")
	code := 0
	for _, key := range []string{"ended/1", "acked/1"} {
		j.ended(&runtime.Report{Key: key, Kind: runtime.Ended, At: began, Containers: []runtime.ContainerReport{{Name: "main", ExitCode: &code}}})
	}
	if err := j.acked([]string{"acked/1", "never heard of/1"}); err != nil {
		t.Fatal(err)
	}
}

func wantFilled(t testing.TB, j *journal) {
	t.Helper()
	ended, unfinished, tokens := j.left()
	if len(ended) != 1 || outcome(ended[0]) != "main 0" || !ended[0].At.Equal(began) {
		t.Errorf("ended: %+v", ended)
	}
	if diff := cmp.Diff([]string{"accepted/1", "running/1"}, unfinished); diff != "" {
		t.Errorf("unfinished: %s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"process": {"token-1", "token-2"}, "docker": nil}, tokens); diff != "" {
		t.Errorf("tokens: %s", diff)
	}
}

// storedJournals are journals as each version has written them: one whose tasks came one by one, and one that was written
// anew. They stay as they are.
var storedJournals = map[string]string{
	"version 1": `{"version":1,"boot":"boot","intact":true}
{"accepted":["accepted/1","running/1","ended/1","acked/1"]}
{"running":"running/1","token":{"runtime":"process","token":"token-1"}}
{"running":"running/1","token":{"runtime":"process","token":"token-2"}}
{"running":"running/1","token":{"runtime":"docker"}}
{"running":"ended/1","token":{"runtime":"docker","token":"token-3"}}
{"ended":{"key":"ended/1","kind":"ended","at":"2026-01-01T00:00:00Z","containers":[{"name":"main","exitCode":0}]}}
{"ended":{"key":"acked/1","kind":"ended","at":"2026-01-01T00:00:00Z","containers":[{"name":"main","exitCode":0}]}}
{"acked":["acked/1","never heard of/1"]}
`,
	"version 1, written anew": `{"version":1,"boot":"boot","intact":true}
{"accepted":["running/1"]}
{"running":"running/1","token":{"runtime":"process","token":"token-1"}}
{"running":"running/1","token":{"runtime":"process","token":"token-2"}}
{"running":"running/1","token":{"runtime":"docker"}}
{"accepted":["ended/1"],"ended":{"key":"ended/1","kind":"ended","at":"2026-01-01T00:00:00Z","containers":[{"name":"main","exitCode":0}]}}
{"accepted":["accepted/1"]}
`,
}

// TestStoredJournals: what supervisors of every version have left is taken up.
func TestStoredJournals(t *testing.T) {
	t.Parallel()
	for name, content := range storedJournals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // as it was stored, and as it is written now
				j := openTestJournal(t, path, "boot", false)
				wantFilled(t, j)
				if !j.isIntact() {
					t.Error("it is not intact")
				}
			}
		})
	}
	// What is written now is of the newest of these versions: else it needs a stored one of its own.
	path := filepath.Join(t.TempDir(), "journal")
	fill(t, openTestJournal(t, path, "boot", true))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(storedJournals[fmt.Sprint("version ", journalVersion)], string(content)); d != "" {
		t.Errorf("the stored journal of this version (-) is not what is written (+): %s", d)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	fill(t, openTestJournal(t, path, "boot", true))
	// Whoever opens it next finds the same, and so does the one after, who reads what the first wrote anew.
	for range 2 {
		wantFilled(t, openTestJournal(t, path, "boot", false))
	}
}

func TestJournalIntact(t *testing.T) {
	t.Parallel()
	type step struct {
		boot   string
		first  bool
		do     func(path string, j *journal)
		intact bool
	}
	nothing := func(string, *journal) {}
	for name, steps := range map[string][]step{
		"FirstEver":      {{"a", true, nothing, true}},
		"Successor":      {{"a", true, nothing, true}, {"a", false, nothing, true}},
		"JournalRemoved": {{"a", true, func(path string, _ *journal) { os.Remove(path) }, true}, {"a", false, nothing, false}},
		"OtherBoot":      {{"a", true, nothing, true}, {"b", false, nothing, false}, {"b", false, nothing, false}},
		"Settled":        {{"a", false, func(_ string, j *journal) { j.settled() }, false}, {"a", false, nothing, true}},
		"SettledOtherBoot": {{"a", false, func(_ string, j *journal) { j.settled() }, false},
			{"b", false, nothing, false}},
		"TornTail": {{"a", true, func(path string, _ *journal) { appendTo(t, path, `{"accepted":["x`) }, true}, {"a", false, nothing, true}},
		"Damaged": {{"a", true, func(path string, _ *journal) { appendTo(t, path, "{nonsense}\n") }, true},
			{"a", false, nothing, false}, {"a", false, nothing, false}},
		"Empty": {{"a", true, func(path string, _ *journal) { os.Truncate(path, 0) }, true}, {"a", false, nothing, false}},
		"OtherVersion": {{"a", true, func(path string, _ *journal) {
			os.WriteFile(path, []byte(`{"version":99,"boot":"a","intact":true}`+"\n"), 0o600)
		}, true}, {"a", false, nothing, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			for i, s := range steps {
				j := openTestJournal(t, path, s.boot, s.first)
				if got := j.isIntact(); got != s.intact {
					t.Errorf("step %d: intact %v, want %v", i+1, got, s.intact)
				}
				s.do(path, j)
			}
		})
	}
}

func appendTo(t testing.TB, path, text string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Error(err)
	}
	_ = f.Close()
}

// TestJournalOfAnyLength cuts a journal at each byte: what is read of it is a state it had.
func TestJournalOfAnyLength(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	fill(t, openTestJournal(t, path, "boot", true))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for n := range whole {
		cut := filepath.Join(dir, "cut")
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := openTestJournal(t, cut, "boot", false)
		if want := n >= len(lines[0]); j.isIntact() != want {
			t.Errorf("%d bytes: intact %v, want %v", n, j.isIntact(), want)
		}
		ended, unfinished, _ := j.left()
		accepted := n >= len(lines[0])+len(lines[1])
		if got := len(ended) + len(unfinished); accepted && got < 3 || !accepted && got != 0 {
			t.Errorf("%d bytes: %d ended and %d unfinished tasks", n, len(ended), len(unfinished))
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournalStaysSmall runs many tasks through a journal that has a few at a time.
func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := openTestJournal(t, path, "boot", true)
	token := strings.Repeat("t", 200)
	largest := int64(0)
	for i := range 20_000 {
		key := fmt.Sprintf("job:%d/1", i)
		if err := j.accepted(keyed(key)); err != nil {
			t.Fatal(err)
		}
		j.running(key, "process", token)
		j.ended(&runtime.Report{Key: key, Kind: runtime.Ended})
		if i%100 != 0 {
			if err := j.acked([]string{key}); err != nil {
				t.Fatal(err)
			}
		}
		largest = max(largest, j.size)
	}
	if largest > 2*journalCompactBytes {
		t.Errorf("it has grown to %d bytes", largest)
	}
	ended, unfinished, _ := openTestJournal(t, path, "boot", false).left()
	if len(ended) != 200 || len(unfinished) != 0 {
		t.Errorf("%d ended, %d unfinished", len(ended), len(unfinished))
	}
}

// TestJournalAfterAFailure goes on after a write that failed half-way: nothing is appended to half a line.
func TestJournalAfterAFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := openTestJournal(t, path, "boot", true)
	if err := j.accepted(keyed("a/1")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, `{"accepted":["half`)
	_ = j.f.Close() // so that writing fails
	if err := j.accepted(keyed("b/1")); err == nil {
		t.Fatal("a write to a closed file succeeded")
	}
	if err := j.accepted(keyed("c/1")); err != nil {
		t.Fatal(err)
	}
	next := openTestJournal(t, path, "boot", false)
	_, unfinished, _ := next.left()
	if diff := cmp.Diff([]string{"a/1", "b/1", "c/1"}, unfinished); diff != "" || !next.isIntact() {
		t.Errorf("intact %v; %s", next.isIntact(), diff)
	}
}

func FuzzJournal(f *testing.F) {
	path := filepath.Join(f.TempDir(), "journal")
	j := openTestJournal(f, path, "boot", true)
	fill(f, j)
	j.settled()
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"version":1,"boot":"boot","intact":true}` + "\n" + `{"running":"x","token":null}` + "\n" + `{"ended":{"key":"y"}}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		one := openTestJournal(t, path, "boot", false)
		e1, u1, t1 := one.left()
		two := openTestJournal(t, path, "boot", false)
		e2, u2, t2 := two.left()
		// What was made of it is a journal like any other.
		if diff := cmp.Diff([]any{e1, u1, t1, one.isIntact()}, []any{e2, u2, t2, two.isIntact()}); diff != "" {
			t.Error(diff)
		}
	})
}
