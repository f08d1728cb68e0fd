//go:build !linux

package taskmeta

import "time"

// machineTime is not known here.
func machineTime() time.Duration { return 0 }
