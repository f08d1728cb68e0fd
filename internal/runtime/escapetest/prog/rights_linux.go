package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dockerCapabilities are what container engines give (Moby's caps.DefaultCapabilities).
const dockerCapabilities = 0xa80425fb

// capability reads a set of capabilities of this process.
func capability(set string) (uint64, error) {
	m, err := status()
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(m[set], 16, 64)
}

// moreCapabilities looks for capabilities that a container should not have, and tries to take them.
func moreCapabilities(string) (string, error) {
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		caps, err := capability(set)
		if err != nil {
			return "", err
		}
		if extra := caps &^ dockerCapabilities; extra != 0 {
			return fmt.Sprintf("%s has %#x more", set, extra), nil
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0)}, {Effective: 0x1ff, Permitted: 0x1ff}}
	if err := unix.Capset(&header, &all[0]); err != nil {
		return "", err
	}
	return "all capabilities", nil
}

// wrongStatus looks for protections that are not in place.
func wrongStatus(string) (string, error) {
	m, err := status()
	if err != nil {
		return "", err
	}
	for name, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2"} {
		if m[name] != want {
			return name + " is " + m[name], nil
		}
	}
	return "", errorf("all is in place")
}

// runSetuid runs a program that belongs to root and has the setuid bit.
func runSetuid(path string) (string, error) { return runRaised(path, "setuid-child") }

// runFileCaps runs a program that has all capabilities by its file.
func runFileCaps(path string) (string, error) { return runRaised(path, "capabilities-child") }

func runRaised(path, child string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	out, err := exec.Command(path, child).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w", out, err)
	}
	if _, got, ok := strings.Cut(string(out), "ESCAPED "); ok {
		return strings.TrimSpace(got), nil
	}
	return "", errors.New(strings.TrimSpace(string(out)))
}

func init() {
	attacks["setuid-child"] = func(string) (string, error) {
		if uid := os.Geteuid(); uid != 0 {
			return "", errorf("runs as %d", uid)
		}
		return "runs as root", nil
	}
	attacks["capabilities-child"] = func(string) (string, error) {
		caps, err := capability("CapEff")
		if err != nil {
			return "", err
		}
		if caps == 0 {
			return "", errorf("runs without capabilities")
		}
		return fmt.Sprintf("runs with %#x", caps), nil
	}
}

// interfaces names network interfaces other than loopback.
func interfaces(string) (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	var found []string
	for _, i := range all {
		// A task's own device is known by its hardware address, which is made of its IPv4 address (package tasknet).
		own := len(i.HardwareAddr) == 6 && [3]byte(i.HardwareAddr) == [3]byte{0x02, 0x42, 100}
		if i.Flags&net.FlagLoopback == 0 && !own {
			found = append(found, i.Name)
		}
	}
	if len(found) == 0 {
		return "", errorf("there is only loopback and the task's own")
	}
	return strings.Join(found, " "), nil
}

func connectTo(address string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	_ = c.Close()
	return address, nil
}

// serve accepts one connection, and is nothing but somebody to connect to.
func serve(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return "", err
	}
	_ = c.Close()
	return "", errorf("somebody came")
}

func connectAbstract(name string) (string, error) {
	c, err := net.Dial("unix", "@"+name)
	if err != nil {
		return "", err
	}
	_ = c.Close()
	return "@" + name, nil
}
