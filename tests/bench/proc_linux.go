package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// used is what processes have used so far.
type used struct {
	memory   int64 // bytes resident now, with what processes share (the program itself) counted once
	switches int64 // voluntary context switches: how often a thread slept and was woken
}

// usage adds up what some processes use; ok says whether it can be known here.
func usage(pids []int) (u used, ok bool) {
	for _, pid := range pids {
		u.memory += field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss") << 10
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return u, false
		}
		for _, t := range threads {
			u.switches += field(t, "voluntary_ctxt_switches")
		}
	}
	return u, u.memory > 0
}

func field(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		if key == name {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// children are the processes of a name that a process has started and that still run.
func children(parent int, name string) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var pids []int
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, rest, _ := strings.Cut(string(raw), " (")
		comm, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && comm == name {
			if n, err := strconv.Atoi(pid); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// processor is the model of this machine's.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
