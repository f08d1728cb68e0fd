package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/process"
)

// superviseVariable makes this test binary the supervisor of the directory it names.
const superviseVariable = "SUPERVISOR_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(superviseVariable); dir != "" {
		if err := supervise(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if work := os.Getenv(engineVariable); work != "" {
		if err := engine(work); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// supervise is what the command does.
func supervise(dir string) error {
	w, err := logstore.OpenWriter(filepath.Join(dir, "logs"), "supervisor", logstore.WriterOptions{})
	if err != nil {
		return err
	}
	logs := LogStore(w, nil)
	defer logs.Close()
	return Main(context.Background(), ServeOptions{
		Dir: dir, Logs: logs, IdleGrace: time.Second,
		OpenRuntimes: func(context.Context) ([]runtime.Runtime, error) {
			rt, err := process.New(process.Options{Resolve: resolveStatic})
			return []runtime.Runtime{rt}, err
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// resolveStatic finds static programs by their whole path, which is all that these tests run.
func resolveStatic(root string, argv, _ []string, _ string) (process.Program, error) {
	return process.Program{Path: filepath.Join(root, argv[0]), Argv: argv}, nil
}
