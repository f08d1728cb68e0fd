package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
)

// TestEmulators gives a preparer machines with and without emulators.
func TestEmulators(t *testing.T) {
	t.Parallel()
	const qemu = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	machine := func(registration string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"status": "enabled\n", "qemu-aarch64": registration} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	fixed, loose, none := machine(qemu), machine(strings.Replace(qemu, "POF", "P", 1)), t.TempDir()
	isolated, plain := runtime.Capabilities{Platform: "linux/amd64", Isolated: true}, runtime.Capabilities{Platform: "linux/amd64"}
	away := runtime.Capabilities{Platform: "linux/amd64", Isolated: true, ForeignKernel: true}
	for _, tc := range []struct {
		name      string
		can       runtime.Capabilities
		emulators string
		platform  string
		want      string // in the refusal; "" if there is none
	}{
		{"its own", isolated, none, "linux/amd64", ""},
		{"no emulator", isolated, none, "linux/arm64", "this machine is linux/amd64 and has no emulator for it: install one (Debian: apt-get install qemu-user-static)"},
		{"emulator", isolated, fixed, "linux/arm64", ""},
		{"emulator that is not kept open", isolated, loose, "linux/arm64", "register it with flag F"},
		{"emulator that is not kept open, no root of its own", plain, loose, "linux/arm64", ""},
		{"emulator of another", isolated, fixed, "linux/s390x", "has no emulator for it"},
		{"another kernel", away, none, "linux/arm64", ""},
	} {
		err := preparer{can: tc.can, emulators: tc.emulators}.runs(tc.platform)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	for _, tc := range []struct {
		native, architecture string
		want                 []string
	}{
		{"linux/arm64", "", []string{"linux/arm64", "linux/amd64"}},
		{"linux/amd64", "", []string{"linux/amd64"}},
		{"linux/amd64", "ARM64", []string{"linux/arm64"}},
		{"linux/arm64", "X86_64", []string{"linux/amd64"}},
	} {
		if got := (preparer{can: runtime.Capabilities{Platform: tc.native}}).platforms(tc.architecture); !slices.Equal(got, tc.want) {
			t.Errorf("cpuArchitecture %q on %s: %v, want %v", tc.architecture, tc.native, got, tc.want)
		}
	}
}
