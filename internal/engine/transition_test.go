package engine_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// newJobIn is a lab with a job "a", of two attempts and with a timeout, in a state; "dep" is what it waits for when it is
// PENDING. key is that of its task, if it has or had one.
func newJobIn(t *testing.T, state batch.Status) (l *lab, key string) {
	l = newLab(t, engine.Limits{})
	l.environment("spot", "FARGATE_SPOT", 1)
	l.queue("s", 1, "spot", "")
	const members = `"jobQueue":"s","retryStrategy":{"attempts":2},"timeout":{"attemptDurationSeconds":60}`
	switch state {
	case batch.Pending:
		dep := l.submit("dep", "")
		l.submit("a", members+`,"dependsOn":[{"jobId":"`+dep+`"}]`)
	case batch.Runnable:
		l.updateEnvironment("spot", `"state":"DISABLED"`)
		l.submit("a", members)
	default:
		l.submit("a", members)
		key = l.task("a").Key
		if state >= batch.Running {
			l.run("a")
		}
		if state == batch.Succeeded {
			l.exit("a", 0)
		}
		if state == batch.Failed {
			l.terminate("a", "so")
			l.exit("a", 143)
		}
	}
	l.states("a " + state.String())
	l.trace, l.stops = nil, nil
	return l, key
}

// Every event meets a job in every state; what is not a transition of section 3.2 changes nothing, and what can be refused
// is. SUBMITTED is left within the step that enters it, so nothing can meet it.
func TestEveryEventInEveryState(t *testing.T) {
	t.Parallel()
	code := func(n int) runtime.Report {
		at := time.UnixMilli(1_700_000_000_000)
		return runtime.Report{Kind: runtime.Ended, At: at, StartedAt: at, Containers: []runtime.ContainerReport{{StartedAt: at, StoppedAt: at, ExitCode: &n}}}
	}
	report := func(r runtime.Report) func(*lab, string) error {
		return func(l *lab, key string) error {
			if r.Key = key; key == "" {
				r.Key = l.id("a").String() + "/1" // of an attempt that has not begun
			}
			_, err := l.step(engine.TaskReport{Report: r})
			return err
		}
	}
	event := func(make func(l *lab) engine.Event) func(*lab, string) error {
		return func(l *lab, _ string) error {
			_, err := l.step(make(l))
			return err
		}
	}
	dependency := func(exit int) func(*lab, string) error {
		return func(l *lab, _ string) error {
			if l.idOf["dep"] != "" {
				l.exit("dep", exit)
			}
			return nil
		}
	}
	const none, refused, stop = "", "refused", "stop"
	// In the order PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED: the states a goes through, whether its task is told
	// to stop, or none.
	for name, tc := range map[string]struct {
		do   func(*lab, string) error
		want [6]string
	}{
		"CancelJob": {event(func(l *lab) engine.Event { return engine.CancelJob{Partition: home, ID: l.id("a"), Reason: "r"} }),
			[6]string{none, "FAILED", none, none, none, none}},
		"TerminateJob": {event(func(l *lab) engine.Event { return engine.TerminateJob{Partition: home, ID: l.id("a"), Reason: "r"} }),
			[6]string{none, "FAILED", stop, stop, none, none}},
		"InterruptSpot": {event(func(l *lab) engine.Event { return engine.InterruptSpot{Partition: home, ID: l.id("a")} }),
			[6]string{refused, refused, stop, stop, refused, refused}},
		"the environment opens": {func(l *lab, _ string) error { l.updateEnvironment("spot", `"state":"ENABLED"`); return nil },
			[6]string{none, "STARTING", none, none, none, none}},
		"the environment closes": {func(l *lab, _ string) error { l.updateEnvironment("spot", `"state":"DISABLED"`); return nil },
			[6]string{none, none, none, none, none, none}},
		"the queue closes": {func(l *lab, _ string) error { l.updateQueue("s", `"state":"DISABLED"`); return nil },
			[6]string{none, none, none, none, none, none}},
		"the dependency succeeds": {dependency(0), [6]string{"RUNNABLE STARTING", none, none, none, none, none}},
		"the dependency fails":    {dependency(1), [6]string{"FAILED", none, none, none, none, none}},
		"a minute passes":         {func(l *lab, _ string) error { l.advance(time.Minute); return nil }, [6]string{none, none, none, stop, none, none}},
		"Started": {report(runtime.Report{Kind: runtime.Started, At: time.UnixMilli(1_700_000_000_000)}),
			[6]string{none, none, "RUNNING", none, none, none}},
		"Ended with 0": {report(code(0)), [6]string{none, none, "RUNNING SUCCEEDED", "SUCCEEDED", none, none}},
		"Ended with 1": {report(code(1)), [6]string{none, none, "RUNNING RUNNABLE STARTING", "RUNNABLE STARTING", none, none}},
		"lost": {report(runtime.Report{Kind: runtime.Ended, Lost: true, Containers: []runtime.ContainerReport{{}}}),
			[6]string{none, none, "RUNNABLE STARTING", "RUNNABLE STARTING", none, none}},
		"not started": {report(runtime.Report{Kind: runtime.Ended, Containers: []runtime.ContainerReport{{StartError: "CannotPullContainerError: x"}}}),
			[6]string{none, none, "RUNNABLE STARTING", "RUNNABLE STARTING", none, none}},
		"the queue is deleted": {func(l *lab, _ string) error {
			l.updateQueue("s", `"state":"DISABLED"`)
			_, err := l.step(engine.DeleteJobQueue{Partition: home, Name: "s"})
			return err
		}, [6]string{"FAILED", "FAILED", stop, stop, none, none}},
		"a report of another attempt": {func(l *lab, _ string) error {
			r := code(0)
			r.Key = l.id("a").String() + "/2"
			_, err := l.step(engine.TaskReport{Report: r})
			return err
		}, [6]string{none, none, none, none, none, none}},
	} {
		for i, want := range tc.want {
			state := batch.Pending + batch.Status(i)
			l, key := newJobIn(t, state)
			err := tc.do(l, key)
			var refusal *batch.Error
			if refusedIt := errors.As(err, &refusal); refusedIt != (want == refused) || err != nil && !refusedIt {
				t.Errorf("%s in %v: %v", name, state, err)
			}
			var got []string
			for _, ch := range l.trace {
				if l.name(ch.id) == "a" {
					got = append(got, ch.to.String())
				}
			}
			if len(l.stops) > 0 {
				got = append(got, stop)
			}
			if s := strings.Join(got, " "); s != want && want != refused {
				t.Errorf("%s in %v: %q, want %q", name, state, s, want)
			}
		}
	}
}

// writers are the functions that may write a state: the four that look it up in the table of transitions, and those that make
// what has no state yet.
var writers = []string{
	"Core.move", "Core.moveChild", "Core.moveParent", "Core.moveNode",
	"newArray", "newNodes", "Core.newWork", "Core.newChild",
	"loaded.job", "loaded.child", // from the disk
}

// No state is written anywhere else.
func TestStatesAreWrittenInOnePlace(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset, seen := token.NewFileSet(), map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				for _, written := range writes(n) {
					seen[funcName(fn)] = true
					if !slices.Contains(writers, funcName(fn)) {
						t.Errorf("%s: %s writes %s", fset.Position(n.Pos()), funcName(fn), written)
					}
				}
				return true
			})
		}
	}
	for _, w := range writers {
		if !seen[w] {
			t.Errorf("%s writes no state: take it off the list", w)
		}
	}
}

// writes is what of a job's state a node of the syntax writes.
func writes(n ast.Node) (written []string) {
	target := func(e ast.Expr) {
		if index, ok := e.(*ast.IndexExpr); ok {
			e = index.X
		}
		if sel, ok := e.(*ast.SelectorExpr); ok && slices.Contains([]string{"status", "states", "counts"}, sel.Sel.Name) {
			written = append(written, fmt.Sprintf("%s.%s", sel.X, sel.Sel.Name))
		}
	}
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			target(e)
		}
	case *ast.IncDecStmt:
		target(n.X)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			target(n.X)
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "status" {
			written = append(written, "status")
		}
	}
	return written
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	return typ.(*ast.Ident).Name + "." + fn.Name.Name
}
