package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

// machineVariable makes this test binary the first process of a user-mode Linux, which runs the test that it names.
const machineVariable = "CRASH_TEST_MACHINE"

// TestPowerCut: a machine of its own, a user-mode Linux with a disk, loses its power while clients submit, so that of its disk
// there is what had been made durable. After the next boot every job that was acknowledged is there and ends, none ran twice
// in one attempt, and the output of those that had ended is whole.
func TestPowerCut(t *testing.T) {
	if os.Getenv("BATCHBOX_UML") != "1" {
		t.Skip("BATCHBOX_UML=1 runs this, on a machine with Debian's packages user-mode-linux and e2fsprogs")
	}
	testenv.Require(t, testenv.Root)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	prog := runtimetest.Program(t)
	const acknowledged = 60
	var acks, ended []string
	boot(t, disk, prog, "TestInsideBeforeCut", nil, func(line string) (cut bool) {
		switch what, id, _ := strings.Cut(line, " "); what {
		case "acknowledged":
			acks = append(acks, id)
		case "ended":
			ended = append(ended, id)
		}
		return len(acks) >= acknowledged && len(ended) >= acknowledged/3
	})
	if len(acks) < acknowledged {
		t.Fatalf("only %d jobs were acknowledged", len(acks))
	}
	list := filepath.Join(t.TempDir(), "acks")
	if err := os.WriteFile(list, []byte(strings.Join(acks, "\n")+"\n"+strings.Join(ended, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	passed := false
	boot(t, disk, prog, "TestInsideAfterCut", []string{"ACKS=" + list, fmt.Sprint("ENDED=", len(ended))}, func(line string) bool {
		passed = passed || strings.HasPrefix(line, "--- PASS: TestInsideAfterCut")
		return false
	})
	if !passed {
		t.Errorf("after the power was back, the test inside did not pass")
	}
	t.Logf("%d jobs were acknowledged and %d had ended when the power went", len(acks), len(ended))
}

// boot runs a test in a machine until that ends, or cut says of a line it writes that the power goes.
func boot(t *testing.T, disk, prog, test string, env []string, cut func(line string) bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "linux.uml", append([]string{"mem=700M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"con=null", "con0=null,fd:1", "ubd0=" + disk, "init=" + self, machineVariable + "=" + test, "PROG=" + prog}, env...)...)
	cmd.Env = []string{"TMPDIR=/dev/shm", "HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is a family of processes
	off := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = off
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	var last []string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if last = append(last, line); len(last) > 200 {
			last = last[1:]
		}
		if cut(line) {
			_ = off()
			break
		}
	}
	_ = cmd.Wait() // it was killed, or says nothing by how it ends
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s, the last lines:\n%s", test, strings.Join(last, "\n"))
		}
	})
}

// machine is the first process of such a machine.
func machine(test string) {
	if err := bootMachine(); err != nil {
		fmt.Println("boot:", err)
	} else {
		cmd := exec.Command("/proc/self/exe", "-test.v", "-test.count=1", "-test.run=^"+test+"$", "-test.timeout=12m")
		cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin", "HOME=/mnt", "TMPDIR=/mnt/tmp", "INSIDE=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		fmt.Println("the test:", cmd.Run())
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func bootMachine() error {
	for _, m := range []struct{ source, target, kind string }{
		{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}, {"/dev/ubda", "/mnt", "ext4"},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.MkdirAll("/mnt/tmp", 0o777); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// inside is the rig of a test in a machine. What jobs note of themselves is on a disk without a power cut: the host's.
func inside(t *testing.T) *rig {
	t.Helper()
	if os.Getenv("INSIDE") == "" {
		t.Skip("this is half of TestPowerCut")
	}
	return newRig(t, "process", "/mnt/data")
}

func TestInsideBeforeCut(t *testing.T) {
	r := inside(t)
	r.start()
	r.stack(3)
	forever := r.run("forever", "await", "/nonexistent")
	r.await(forever, "RUNNING", func(j *job) bool { return j.Status == "RUNNING" })
	fmt.Println("acknowledged " + forever)
	var open []string
	for n := 0; ; n++ {
		id := r.run(fmt.Sprint("job-", n), "print", "done")
		fmt.Println("acknowledged " + id)
		open = append(open, id)
		jobs, err := r.describe(open...)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if j.final() {
				fmt.Println("ended " + j.JobID)
				open = slices.DeleteFunc(open, func(id string) bool { return id == j.JobID })
			}
		}
		if len(open) > 50 {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func TestInsideAfterCut(t *testing.T) {
	r := inside(t)
	content, err := os.ReadFile(os.Getenv("ACKS"))
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.Fields(string(content))
	n := number(t, "ENDED", 0)
	acks, ended := ids[:len(ids)-n], ids[len(ids)-n:]
	r.start()
	for i, id := range acks {
		if i == 0 { // the one that does not end by itself
			j := r.await(id, "another attempt", func(j *job) bool { return len(j.Attempts) == 1 && j.Status == "RUNNING" })
			if a := j.Attempts[0]; !lostHost(a.Container.ExitCode, a.StatusReason) {
				t.Errorf("what ran ended by %+v", a)
			}
			r.must("/v1/terminatejob", object{"jobId": id, "reason": "enough"}, nil)
			continue
		}
		j := r.finish(id)
		last := j.Attempts[len(j.Attempts)-1]
		if j.Status != "SUCCEEDED" {
			t.Errorf("job %s is %s: %s, %+v", id, j.Status, j.StatusReason, j.Attempts)
		}
		if got := r.lines(last.Container.LogStreamName); !slices.Equal(got, []string{"done"}) {
			t.Errorf("job %s, attempt %d, has the log %q", id, len(j.Attempts), got)
		}
		if slices.Contains(ended, id) && len(j.Attempts) != 1 {
			t.Errorf("job %s had ended, and has %d attempts", id, len(j.Attempts))
		}
	}
	r.finish(acks[0])
	r.stop()
}
