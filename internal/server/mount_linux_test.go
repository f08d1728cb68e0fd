package server_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/testenv"
)

// readOnlyMount makes a directory read-only until the test ends, for root too.
func readOnlyMount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		if errors.Is(err, syscall.EPERM) && !testenv.CI() {
			t.Skip("may not mount")
		}
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("mount read-only: %v", err)
	}
}
