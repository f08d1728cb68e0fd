package main

import (
	"os"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	if chosen, err := choose("array,fsync"); err != nil || len(chosen) != 2 || chosen[0].name != "array" {
		t.Errorf("chosen %v, error %v", chosen, err)
	}
	if chosen, err := choose(""); err != nil || len(chosen) != len(measures) {
		t.Errorf("%d chosen, error %v", len(chosen), err)
	}
	if _, err := choose("bogus"); err == nil {
		t.Error("no error for an unknown measure")
	}
}

func TestFiguresOfSortedTimes(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	if m, p, most := median(took), percentile(took, 99), percentile(took, 100); m != 100*time.Millisecond || p != 198*time.Millisecond || most != 199*time.Millisecond {
		t.Errorf("median %v, p99 %v, p100 %v", m, p, most)
	}
	for d, want := range map[time.Duration]string{90 * time.Second: "90.0 s", 1500 * time.Millisecond: "1.50 s", 1234 * time.Microsecond: "1.23 ms"} {
		if got := show(d); got != want {
			t.Errorf("%v shown as %s, want %s", d, got, want)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	t.Parallel()
	u, ok := usage([]int{os.Getpid()})
	if ok && u.memory < 1<<20 {
		t.Errorf("this test uses %d bytes", u.memory)
	}
	if processor() == "" {
		t.Error("no processor")
	}
}

func TestBenchmarksAreRead(t *testing.T) {
	t.Parallel()
	got, err := parseBenchmarks("goos: linux\nBenchmarkDispatch/500-shares/10000-2   \t 1\t 34125 dispatches/cpu-s\n" +
		"BenchmarkRestart/100000-jobs\t1\t1931852925 ns/op\t 0.9820 cpu-ms-page-p50\t0.7439 cpu-s\nPASS\n")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	if got[0].name != "Dispatch/500-shares/10000" || got[0].values["dispatches/cpu-s"] != 34125 {
		t.Errorf("%+v", got[0])
	}
	if got[1].name != "Restart/100000-jobs" || got[1].show() != "0.982 cpu-ms-page-p50, 0.7439 cpu-s" {
		t.Errorf("%+v shown as %s", got[1], got[1].show())
	}
	for _, out := range []string{"PASS\n", "BenchmarkX-2 1 many ns/op\n", "BenchmarkX-2 1\n"} {
		if _, err := parseBenchmarks(out); err == nil {
			t.Errorf("%q is read", out)
		}
	}
}
