package seccomp

import "golang.org/x/sys/unix"

// The architecture's names.
const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	ociArch   = "SCMP_ARCH_AARCH64"
)

var legacy []call
