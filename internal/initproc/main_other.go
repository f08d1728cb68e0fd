//go:build !linux

package initproc

import "os"

// Main says that there are no native containers on this system, and does not return.
func Main([]string) {
	_, _ = os.Stderr.WriteString(Name + ": native containers need Linux\n")
	os.Exit(2)
}
