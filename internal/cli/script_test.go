package cli

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be batchbox: for the scripts, and for the supervisor that an engine starts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"batchbox": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := Main(ctx, os.Args[1:], &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
		stop()
		os.Exit(code)
	}})
}

// TestScripts runs the command line as a user does, with an engine of its own for each script: testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	t.Parallel()
	goEnv := goEnvironment(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("HOME", env.WorkDir)
			for _, v := range goEnv {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			path := env.Getenv("PATH")
			env.Defer(func() { // whatever became of the script, no engine is left
				batchbox := filepath.Join(strings.Split(path, string(os.PathListSeparator))[0], "batchbox")
				if out, err := exec.Command(batchbox, "stop", "--data-dir", filepath.Join(env.WorkDir, "data")).CombinedOutput(); err != nil {
					t.Errorf("stop the engine: %v\n%s", err, out)
				}
			})
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// setenv NAME: what the last command has printed becomes the variable's value.
			"setenv": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: setenv NAME")
				}
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
		},
	})
}

// goEnvironment is what the go command needs to build without a network, in another home directory.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN", "GOROOT"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{}
	for i, value := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		if i < len(names) {
			env = append(env, names[i]+"="+value)
		}
	}
	return env
}
