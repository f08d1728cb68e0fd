package supervisor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/process"
)

const superviseVariable = "BATCHBOX_TEST_SUPERVISE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(superviseVariable); dir != "" {
		if err := supervise(dir); err != nil {
			slog.Error("supervisor", "err", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func supervise(dir string) error {
	rt, err := process.New(process.Options{Resolve: resolveStatic})
	if err != nil {
		return err
	}
	defer rt.Close()
	w, err := logstore.OpenWriter(filepath.Join(dir, "logs"), "supervisor", logstore.WriterOptions{})
	if err != nil {
		return err
	}
	logs := LogStore(w)
	defer logs.Close()
	return Main(context.Background(), ServeOptions{Dir: dir, Runtimes: []runtime.Runtime{rt}, Logs: logs, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), IdleGrace: time.Second})
}

func TestE2E(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(superviseVariable, dir)
	exe, _ := os.Executable()
	ch := make(chan runtime.Report, 100)
	c, err := NewClient(ClientOptions{Dir: dir, Command: []string{exe}, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Reports: func(rs []runtime.Report) {
		for _, r := range rs {
			ch <- r
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t0 := time.Now()
	c.Start([]runtime.Task{{Key: "a/1", Containers: []runtime.Container{{Essential: true, Spec: runtime.Spec{Name: "default", Image: runtime.Image{Rootfs: "/"}, Argv: []string{"/bin/echo", "hello"}}, Log: &runtime.LogTarget{Account: "1", Region: "r", Group: "g", Stream: "s"}}}}})
	for range 2 {
		r := <-ch
		t.Logf("%v %+v", time.Since(t0), r)
	}
	c.Ack([]string{"a/1"})
	if err := c.Shutdown(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// resolveStatic finds static programs by their whole path, which is all that these tests run.
func resolveStatic(root string, argv, env []string, dir string) (process.Program, error) {
	return process.Program{Path: filepath.Join(root, argv[0]), Argv: argv}, nil
}
