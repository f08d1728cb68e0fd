package docker

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime/escapetest"
)

// attributes are a file's extended attributes as a tar has them.
func attributes(path string) map[string]string {
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(path, "security.capability", value)
	if err != nil {
		return nil
	}
	return map[string]string{"SCHILY.xattr.security.capability": string(value[:n])}
}

func TestEscape(t *testing.T) {
	r := newRuntime(t, Options{MaxPIDs: 200})
	escapetest.Run(t, escapetest.Harness{Runtime: r, Image: archive, MaxPIDs: 200, Patience: patience})
}
