package binfmt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The first two are as Linux 6.18 shows what Debian's qemu-user-static 7.2 registers.
const (
	aarch64 = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	s390x   = "enabled\ninterpreter /usr/libexec/qemu-binfmt/s390x-binfmt-P\nflags: POF\noffset 0\nmagic 7f454c4602020100000000000000000000020016\nmask fffffffffffffffcfffffffffffffffffffeffff\n"
	python  = "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"
	exe     = "enabled\ninterpreter /usr/bin/mono\nflags: \nextension .exe\n"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		arch  string
		files map[string]string
		want  string // name of the registration; "" for none
		fixed bool
	}{
		{"qemu", "arm64", map[string]string{"status": "enabled", "qemu-aarch64": aarch64, "python3.11": python, "mono": exe}, "qemu-aarch64", true},
		{"big endian", "s390x", map[string]string{"status": "enabled", "qemu-s390x": s390x, "qemu-aarch64": aarch64}, "qemu-s390x", true},
		{"another architecture", "amd64", map[string]string{"status": "enabled", "qemu-aarch64": aarch64, "qemu-s390x": s390x}, "", false},
		{"not kept open", "arm64", map[string]string{"status": "enabled", "box": strings.Replace(aarch64, "POF", "PO", 1)}, "box", false},
		{"the one kept open is preferred", "arm64", map[string]string{"status": "enabled", "a": strings.Replace(aarch64, "POF", "", 1), "b": aarch64, "c": strings.Replace(aarch64, "POF", "", 1)}, "b", true},
		{"registration off", "arm64", map[string]string{"status": "enabled", "qemu-aarch64": strings.Replace(aarch64, "enabled", "disabled", 1)}, "", false},
		{"all off", "arm64", map[string]string{"status": "disabled", "qemu-aarch64": aarch64}, "", false},
		{"not mounted", "arm64", nil, "", false},
		{"unheard of", "pdp11", map[string]string{"status": "enabled", "qemu-aarch64": aarch64}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e, found, err := Find(dir, tc.arch)
			if err != nil {
				t.Fatal(err)
			}
			if found != (tc.want != "") || e.Name != tc.want || e.Fixed != tc.fixed {
				t.Errorf("%+v, %v; want %q, fixed %v", e, found, tc.want, tc.fixed)
			}
		})
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"status": "enabled", "odd": "enabled\nmagic 7x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Find(dir, "arm64"); err == nil {
		t.Error("a registration that makes no sense was passed over")
	}
}
