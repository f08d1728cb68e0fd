package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func wait(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }

// foreignProcesses looks for processes that are neither process 1 nor itself.
func foreignProcesses(string) (string, error) {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "", err
	}
	var foreign []string
	for _, p := range procs {
		name := filepath.Base(p)
		if name != "1" && name != strconv.Itoa(os.Getpid()) {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) == 0 {
		return "", errorf("there are none")
	}
	return strings.Join(foreign, " "), nil
}

func signalProcess(pid string) (string, error) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return "", err
	}
	if err := unix.Kill(n, 0); err != nil {
		return "", err
	}
	return "process " + pid + " can be signalled", nil
}

func attachTo(pid string) (string, error) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return "", err
	}
	runtime.LockOSThread()
	if err := unix.PtraceSeize(n); err != nil {
		return "", err
	}
	return "process " + pid + " is traced", nil
}

func readMemoryOf(pid string) (string, error) {
	f, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return "", err
	}
	_ = f.Close()
	return "memory of process " + pid, nil
}

func openPidfd(pid string) (string, error) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return "", err
	}
	fd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "pidfd of process " + pid, nil
}

func joinNamespaces(string) (string, error) {
	runtime.LockOSThread()
	var errs []error
	for _, ns := range []string{"mnt", "user", "pid", "net", "ipc", "uts", "cgroup"} {
		fd, err := unix.Open("/proc/1/ns/"+ns, unix.O_RDONLY, 0)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = unix.Setns(fd, 0)
		_ = unix.Close(fd)
		if err == nil {
			return "namespace " + ns, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// forkBomb makes processes until it can not, or has made the given number.
func forkBomb(most string) (string, error) {
	n, err := strconv.Atoi(most)
	if err != nil {
		return "", err
	}
	for i := range n {
		// Processes that live until the container ends: a fork in a program of threads that then only waits.
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return "", fmt.Errorf("after %d processes: %w", i, errno)
		}
		if pid == 0 {
			for {
				unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
	}
	return most + " processes", nil
}

// spin works on two processors until it is ended.
func spin(string) (string, error) {
	go count(new(uint64))
	count(new(uint64))
	return "", nil
}

// count never ends.
func count(n *uint64) {
	for ; ; *n++ {
	}
}

// killEveryone sends SIGKILL to whatever it can name.
func killEveryone(string) (string, error) {
	for pid := 2; pid < 1<<16; pid++ {
		if pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL) // most are not there
		}
	}
	return "", unix.Kill(-1, unix.SIGKILL)
}

// sleep does nothing for some seconds.
func sleep(seconds string) (string, error) {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return "", err
	}
	wait(n)
	return "", errorf("nothing happened")
}
