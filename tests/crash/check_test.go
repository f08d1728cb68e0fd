package crash

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is what a job's own record says of an attempt.
type entry struct {
	starts, ends int
	claimed      bool
}

// entries reads the record, by job and attempt.
func (s *siege) entries() map[string]*entry {
	f, err := os.Open(s.ledger)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	entries := map[string]*entry{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		what, who, ok := strings.Cut(lines.Text(), " ")
		e := entries[who]
		if e == nil {
			e = &entry{}
			entries[who] = e
		}
		switch {
		case ok && what == "START":
			e.starts++
		case ok && what == "END":
			e.ends++
		default:
			s.Fatalf("the record has the line %q", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		s.Fatal(err)
	}
	return entries
}

var wholeLog = func() []string {
	lines := make([]string, linesEach)
	for i := range lines {
		lines[i] = fmt.Sprint("line ", i)
	}
	return lines
}()

// checkOne holds a single job or a child against the record and its logs.
func (s *siege) checkOne(j job, entries map[string]*entry) {
	s.Helper()
	n := len(j.Attempts)
	acknowledged, terminated := s.terminated[j.JobID]
	for i, a := range j.Attempts {
		last := i == n-1
		where := fmt.Sprintf("attempt %d of %d of job %s (%s)", i+1, n, j.JobID, j.Status)
		e := entries[fmt.Sprintf("%s %d", j.JobID, i+1)]
		if e == nil {
			e = &entry{}
		}
		e.claimed = true
		if e.starts > 1 {
			s.Errorf("%s ran %d times", where, e.starts)
		}
		var log []string
		if a.Container.LogStreamName != "" { // else it never came to its container
			log = s.lines(a.Container.LogStreamName)
		}
		switch code := a.Container.ExitCode; {
		case code != nil && *code == 0:
			// One that ends by itself while it is being terminated has been terminated.
			if !last || j.Status != "SUCCEEDED" && !terminated {
				s.Errorf("%s ended with exit code 0", where)
			}
			if e.starts != 1 || e.ends != 1 {
				s.Errorf("%s ended with exit code 0, but by its own record it started %d times and ended %d times", where, e.starts, e.ends)
			}
			if !slices.Equal(log, wholeLog) {
				s.Errorf("%s has the log %q", where, log)
			}
			continue
		case last && terminated && n == attemptsEach && lostHost(code, a.StatusReason) && time.UnixMilli(j.StoppedAt).Before(acknowledged):
			s.lost++ // the last attempt that it had, before it was terminated
		case last && terminated:
			if j.StatusReason != terminatedReason {
				s.Errorf("%s was terminated, its reason is %q", where, j.StatusReason)
			}
		case lostHost(code, a.StatusReason):
			s.lost++
		default:
			s.Errorf("%s ended by %+v", where, a)
		}
		// What a container has written when it is killed with its supervisor may be lost in part, but not be wrong.
		if len(log) > linesEach || !slices.Equal(log, wholeLog[:len(log)]) {
			s.Errorf("%s has the log %q", where, log)
		}
	}
	switch {
	case terminated: // before it could start, or before it could end
	case j.Status == "SUCCEEDED":
		if n == 0 || j.Attempts[n-1].Container.ExitCode == nil {
			s.Errorf("job %s has SUCCEEDED without an exit code", j.JobID)
		}
	case n < attemptsEach:
		s.Errorf("job %s is %s after %d attempts of %d: %s", j.JobID, j.Status, n, attemptsEach, j.StatusReason)
	}
}

// lostHost says whether an attempt ended with its supervisor.
func lostHost(code *int, reason string) bool {
	return code == nil && strings.HasPrefix(reason, "Host EC2 ")
}

// left fails if something of the jobs is left that have all ended.
func (s *siege) left() {
	s.Helper()
	// An ended container's processes are gone before it is reported; what a killed supervisor left is ended by the next.
	if pids := s.processes(); len(pids) > 0 {
		s.Errorf("all jobs have ended, and processes %v are left", pids)
	}
}

// leftAfterStop fails if something of the data directory's engines is left, all of which have ended.
func (s *siege) leftAfterStop() {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := slices.Concat(s.leftProcesses(), s.leftMounts(), s.leftGroups(), s.leftContainers(), s.leftInDocker())
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.Errorf("the engine has stopped, and this is left:\n%s", strings.Join(left, "\n"))
			return
		}
		time.Sleep(20 * time.Millisecond) // the supervisor ends a moment after its engine
	}
}

func (s *siege) leftProcesses() (left []string) {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), s.dir) {
			left = append(left, "process "+filepath.Base(filepath.Dir(path))+": "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	for _, pid := range s.processes() {
		left = append(left, fmt.Sprint("process ", pid, " of a job"))
	}
	return left
}

func (s *siege) leftMounts() (left []string) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil // not Linux
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, s.dir) || strings.Contains(line, s.label()) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return left
}

func (s *siege) leftInDocker() (left []string) {
	if s.runtime != "docker" {
		return nil
	}
	for _, id := range s.dockerContainers() {
		left = append(left, "Docker's container "+id)
	}
	return left
}

// label is what the native runtime marks its control groups with: a sum of its owner's name, the supervisor's directory.
func (s *siege) label() string {
	sum := sha256.Sum256([]byte(filepath.Join(s.dir, "supervisor")))
	return "batchbox-" + hex.EncodeToString(sum[:6])
}

func (s *siege) leftGroups() (left []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/"} {
		found, _ := filepath.Glob(pattern + s.label() + "*")
		for _, group := range found {
			left = append(left, "control group "+group)
		}
	}
	return left
}

func (s *siege) leftContainers() (left []string) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "containers", "containers"))
	if err != nil {
		return nil // the runtime has no such directory
	}
	for _, e := range entries {
		left = append(left, "container "+e.Name())
	}
	return left
}
