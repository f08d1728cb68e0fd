// Package testenv skips tests that need what a bare machine has not, and, where BATCHBOX_CI=1 promises that everything
// is installed, fails them instead, so that a skip can not hide in CI.
package testenv

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Need is something a test can require of the machine.
type Need struct {
	name string
	miss func() string // "" if it is there, else the reason
}

func program(name string) Need {
	return Need{name: name, miss: func() string {
		if _, err := exec.LookPath(name); err != nil {
			return "no " + name + " on PATH"
		}
		return ""
	}}
}

// The needs.
var (
	Root = Need{"root", func() string {
		if os.Geteuid() != 0 {
			return "not running as root"
		}
		return ""
	}}
	Linux = Need{"linux", func() string {
		if runtime.GOOS != "linux" {
			return "not Linux"
		}
		return ""
	}}
	Docker = Need{"docker", func() string {
		if err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").Run(); err != nil {
			return "no Docker daemon answers"
		}
		return ""
	}}
	Runc       = program("runc")
	AWSCLI     = program("aws")
	Terraform  = program("terraform")
	Shellcheck = program("shellcheck")
	Chromium   = program("chromium")
	Python3    = program("python3")
	Bash       = program("bash")
)

// Missing skips the test for want of something that only the test can tell is missing; with BATCHBOX_CI=1 it fails it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BATCHBOX_CI") == "1" {
		t.Fatalf("BATCHBOX_CI=1, but this test needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// Require skips the test with a reason if any need is not met; with BATCHBOX_CI=1 it fails it.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	for _, n := range needs {
		reason := n.miss()
		if reason == "" {
			continue
		}
		if os.Getenv("BATCHBOX_CI") == "1" {
			t.Fatalf("BATCHBOX_CI=1, but this test needs %s: %s", n.name, reason)
		}
		t.Skipf("needs %s: %s", n.name, reason)
	}
}
