package escapetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processor has a container of half a processor use all it gets. What a program measures of that is worth little on a busy
// machine, where it gets less, or on a virtual one, where it is charged for time that others had: its control group is asked.
func (s *suite) processor(t *testing.T) {
	if !s.Runtime.Capabilities().CPULimit {
		t.Skip("the runtime does not claim CPULimit")
	}
	const allowed, most = 0.5, 0.8
	spec := s.spec("spin")
	spec.VCPU = allowed
	h, finish := s.start(t, spec)
	defer func() {
		if err := h.Kill(); err != nil {
			t.Error(err)
		}
		if out, exit := finish(); exit.Code != 137 {
			t.Errorf("it ended by itself with %+v: %s", exit, out)
		}
	}()
	g := groupOf(t, h.PID())
	if got := g.quota(t); got != allowed {
		t.Errorf("its control group may use %v of a processor, want %v", got, allowed)
	}
	for began, before := time.Now(), g.used(t); ; time.Sleep(10 * time.Millisecond) {
		if g.throttled(t) > 0 {
			return // it would have used more
		}
		used := g.used(t) - before
		took := time.Since(began)
		if took < time.Second {
			continue
		}
		if share := float64(used) / float64(took); share > most {
			t.Errorf("it has used %.2f of a processor, and was never held back", share)
		}
		return
	}
}

// group is where the kernel bounds the processor time of a container.
type group struct {
	dir string
	v2  bool
}

// groupOf finds the control group of a process, as proc(5) describes it.
func groupOf(t *testing.T, pid int) (g group) {
	t.Helper()
	info := readFile(t, "/proc/self/mountinfo")
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/cgroup", pid))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, controller := range strings.Split(f[1], ",") {
			dir := mounted(info, controller, f[2])
			if dir != "" && (controller == "cpu" || controller == "" && g.dir == "") {
				g = group{dir, controller == ""}
			}
		}
	}
	if g.dir == "" {
		t.Fatalf("the control group of process %d is not found", pid)
	}
	return g
}

// mounted is where a hierarchy's group can be seen; "" if it can not. The controller of version 2 is "".
func mounted(info, controller, path string) string {
	for line := range strings.Lines(info) {
		before, after, _ := strings.Cut(line, " - ")
		f, super := strings.Fields(before), strings.Fields(after)
		if v2 := super[0] == "cgroup2"; !v2 && super[0] != "cgroup" || v2 != (controller == "") {
			continue
		}
		if controller != "" && !strings.Contains(","+super[2]+",", ","+controller+",") {
			continue
		}
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(f[3], "/")); ok {
			if dir := filepath.Join(f[4], rest); exists(dir) {
				return dir
			}
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// quota is how much of a processor the group may use; 0 if that is not bounded.
func (g group) quota(t *testing.T) float64 {
	t.Helper()
	var f []string
	if g.v2 {
		f = strings.Fields(readFile(t, g.dir+"/cpu.max"))
	} else {
		f = strings.Fields(readFile(t, g.dir+"/cpu.cfs_quota_us") + readFile(t, g.dir+"/cpu.cfs_period_us"))
	}
	if f[0] == "max" || f[0] == "-1" {
		return 0
	}
	return number(t, f[0]) / number(t, f[1])
}

// used is the processor time that the group's processes have had.
func (g group) used(t *testing.T) (used time.Duration) {
	t.Helper()
	for pid := range strings.FieldsSeq(readFile(t, g.dir+"/cgroup.procs")) {
		// utime and stime are the 14th and 15th field, in hundredths of a second; the second one, in parentheses, is free text.
		stat := readFile(t, "/proc/"+pid+"/stat")
		f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		used += time.Duration(number(t, f[11])+number(t, f[12])) * (time.Second / 100)
	}
	return used
}

// throttled is how often the group was held back.
func (g group) throttled(t *testing.T) float64 {
	t.Helper()
	for line := range strings.Lines(readFile(t, g.dir+"/cpu.stat")) {
		if n, ok := strings.CutPrefix(line, "nr_throttled "); ok {
			return number(t, n)
		}
	}
	t.Fatalf("%s/cpu.stat does not tell", g.dir)
	return 0
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
