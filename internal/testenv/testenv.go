// Package testenv skips tests that need what a bare machine has not, and, where BATCHBOX_CI=1 promises that everything
// is installed, fails them instead, so that a skip can not hide in CI.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what has to come. It only bounds a hang: on a machine with much else to do, what takes a
// millisecond can take many seconds.
const Patience = 2 * time.Minute

// Need is something a test can require of the machine.
type Need struct {
	name string
	miss func() string // "" if it is there, else the reason
	// spare: CI can do without it, since nothing that CI may use offers it.
	spare bool
}

func program(name string) Need {
	return Need{name: name, miss: func() string {
		if _, err := exec.LookPath(name); err != nil {
			return "no " + name + " on PATH"
		}
		return ""
	}}
}

// found is a program that has to be looked for among all of its name on PATH, since one that will not do may stand first.
func found(name string, look func() (path, reason string)) Need {
	return Need{name: name, miss: func() string { _, reason := look(); return reason }}
}

// AWS is where the AWS CLI of version 2 is, which the test needs.
func AWS(t testing.TB) string {
	t.Helper()
	Require(t, AWSCLI)
	path, _ := awsCLI()
	return path
}

// PythonWithBoto3 is where a Python is that has boto3, which the test needs.
func PythonWithBoto3(t testing.TB) string {
	t.Helper()
	Require(t, Boto3)
	path, _ := boto3()
	return path
}

var awsCLI = sync.OnceValues(func() (path, reason string) {
	return look("aws", "is not of version 2", func(out string) bool { return strings.HasPrefix(out, "aws-cli/2") }, "--version")
})

var boto3 = sync.OnceValues(func() (path, reason string) {
	return look("python3", "has no boto3", func(out string) bool { return out == "boto3\n" }, "-c", "import boto3; print('boto3')")
})

// look finds the first program on PATH that answers as it has to.
func look(name, fault string, good func(out string) bool, args ...string) (path, reason string) {
	reason = "no " + name + " on PATH"
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if out, err := exec.Command(path, args...).Output(); err == nil && good(string(out)) {
			return path, ""
		}
		reason = path + " " + fault
	}
	return "", reason
}

// The needs.
var (
	Root = Need{name: "root", miss: func() string {
		if os.Geteuid() != 0 {
			return "not running as root"
		}
		return ""
	}}
	Linux = Need{name: "linux", miss: func() string {
		if runtime.GOOS != "linux" {
			return "not Linux"
		}
		return ""
	}}
	Docker = Need{name: "docker", miss: func() string {
		if err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").Run(); err != nil {
			return "no Docker daemon answers"
		}
		return ""
	}}
	Runc       = program("runc")
	AWSCLI     = found("the AWS CLI, version 2", awsCLI)
	Boto3      = found("boto3", boto3)
	Terraform  = Need{name: "terraform", miss: program("terraform").miss, spare: true} // neither Debian nor the module proxy has it
	Shellcheck = program("shellcheck")
	Chromium   = program("chromium")
	Python3    = program("python3")
	Bash       = program("bash")
)

// CI tells whether BATCHBOX_CI=1 promises that everything that tests need is there, and time for all they can do.
func CI() bool { return os.Getenv("BATCHBOX_CI") == "1" }

// Missing skips the test for want of something that only the test can tell is missing; with BATCHBOX_CI=1 it fails it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if CI() {
		t.Fatalf("BATCHBOX_CI=1, but this test needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// Require skips the test with a reason if any need is not met; with BATCHBOX_CI=1 it fails it, unless CI can not have it.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	for _, n := range needs {
		reason := n.miss()
		if reason == "" {
			continue
		}
		if CI() && !n.spare {
			t.Fatalf("BATCHBOX_CI=1, but this test needs %s: %s", n.name, reason)
		}
		t.Skipf("needs %s: %s", n.name, reason)
	}
}

// AWSProvider is for tests that run Terraform with the real AWS provider: the environment for it, in which `terraform init`
// finds the provider without another download. It skips the test, with Terraform's reason, where the provider can't be had.
// Of the user's Terraform settings only those count that say where providers come from.
func AWSProvider(t testing.TB) []string {
	t.Helper()
	Require(t, Terraform)
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if (strings.HasPrefix(name, "TF_") || strings.HasPrefix(name, "AWS_")) && name != "TF_CLI_CONFIG_FILE" && name != "TF_PLUGIN_CACHE_DIR" {
			continue
		}
		env = append(env, v)
	}
	env = append(env, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0")
	if os.Getenv("TF_PLUGIN_CACHE_DIR") == "" {
		env = append(env, "TF_PLUGIN_CACHE_DIR="+t.TempDir())
	}
	dir := t.TempDir()
	main := []byte("terraform {\n  required_providers {\n    aws = {\n      source  = \"hashicorp/aws\"\n      version = \">= 5.46, < 7\"\n    }\n  }\n}\n")
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), main, 0o644); err != nil {
		t.Fatal(err)
	}
	init := exec.CommandContext(t.Context(), "terraform", "init", "-no-color")
	init.Dir, init.Env = dir, env
	if out, err := init.CombinedOutput(); err != nil {
		_, reason, _ := strings.Cut(string(out), "Error: ")
		t.Skipf("needs the AWS provider of Terraform: %s", strings.Join(strings.Fields(reason), " "))
	}
	return env
}
