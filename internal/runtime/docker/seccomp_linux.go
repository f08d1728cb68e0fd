package docker

import (
	"encoding/json"

	"github.com/batchbox/batchbox/internal/runtime/native/seccomp"
)

// seccompProfile is the system call filter of the native runtime, as the daemon takes it. What daemons have of their own
// depends on their age: io_uring and vsock were open for long.
func seccompProfile() (string, error) {
	b, err := json.Marshal(seccomp.OCI())
	return string(b), err
}
