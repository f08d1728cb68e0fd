//go:build !linux

package crash

import "errors"

// rebooted needs what only Linux has, and so does the test that uses it.
func rebooted(string, []string) error { return errors.New("not on this system") }
