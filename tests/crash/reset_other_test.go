//go:build !linux

package crash

import "errors"

// These need what only Linux has, and so do the tests that use them.
func machine(string) {}

const machineVariable = "CRASH_TEST_MACHINE"

func rebooted(string, []string) error { return errors.New("not on this system") }
