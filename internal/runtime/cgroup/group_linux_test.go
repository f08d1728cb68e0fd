package cgroup

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/testenv"
)

func tree(t *testing.T) *Tree {
	t.Helper()
	testenv.Require(t, testenv.Root)
	tr, err := Open("batchbox-test-" + strconv.FormatInt(time.Now().UnixNano(), 36))
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// read is the contents of a control file, wherever the hierarchy with it is.
func read(t *testing.T, tr *Tree, group string, names ...string) string {
	t.Helper()
	for _, d := range tr.dirs() {
		for _, name := range names {
			if b, err := os.ReadFile(filepath.Join(d.path, group, name)); err == nil {
				return strings.TrimSpace(string(b))
			}
		}
	}
	t.Fatalf("there is none of %v", names)
	return ""
}

func TestLimitsAreSet(t *testing.T) {
	t.Parallel()
	tr := tree(t)
	g, err := tr.Create("limits", Limits{MemoryBytes: 64 << 20, Shares: 512, QuotaMicros: 50_000, PIDs: 77})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}()
	have := tr.Controllers()
	if slices.Contains(have, "memory") {
		if got := read(t, tr, "limits", "memory.max", "memory.limit_in_bytes"); got != "67108864" {
			t.Errorf("memory %s", got)
		}
	}
	if slices.Contains(have, "cpu") {
		if got := read(t, tr, "limits", "cpu.max", "cpu.cfs_quota_us"); got != "50000" && got != "50000 100000" {
			t.Errorf("quota %s", got)
		}
		if got := read(t, tr, "limits", "cpu.weight", "cpu.shares"); got != "512" && got != strconv.FormatUint(weight(512), 10) {
			t.Errorf("shares %s", got)
		}
		if err := g.Unthrottle(); err != nil {
			t.Error(err)
		}
		if got := read(t, tr, "limits", "cpu.max", "cpu.cfs_quota_us"); got != "-1" && got != "max 100000" {
			t.Errorf("quota %s after Unthrottle", got)
		}
	}
	if slices.Contains(have, "pids") {
		if got := read(t, tr, "limits", "pids.max"); got != "77" {
			t.Errorf("pids %s", got)
		}
	}
	if names, err := tr.List(); err != nil || !slices.Equal(names, []string{"limits"}) {
		t.Errorf("groups %v, %v", names, err)
	}
}

func TestKillEndsWhoeverIsInTheGroup(t *testing.T) {
	t.Parallel()
	tr := tree(t)
	g, err := tr.Create("kill", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var procs []*exec.Cmd
	for range 3 {
		cmd := exec.Command("sleep", "3600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		procs = append(procs, cmd)
		for _, d := range tr.dirs() {
			if err := write(filepath.Join(d.path, "kill", "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, p := range procs {
			_ = p.Wait()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		t.Error(err)
	}
	<-ended
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestRemoveTakesGroupsInside(t *testing.T) {
	t.Parallel()
	tr := tree(t)
	g, err := tr.Create("outer", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range tr.dirs() {
		if err := os.MkdirAll(filepath.Join(d.path, "outer", "inner", "innermost"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if names, err := tr.List(); err != nil || len(names) > 0 {
		t.Errorf("groups %v, %v", names, err)
	}
}

func TestHomeTasksLeadHome(t *testing.T) {
	t.Parallel()
	tr := tree(t)
	files, err := tr.HomeTasks()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	if len(files) != len(tr.v1) {
		t.Errorf("%d files for %d hierarchies", len(files), len(tr.v1))
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(f.Name()), "cgroup.procs"))
		if err != nil || !slices.Contains(strings.Fields(string(b)), strconv.Itoa(os.Getpid())) {
			t.Errorf("%s is not where this process is: %v", f.Name(), err)
		}
	}
}
