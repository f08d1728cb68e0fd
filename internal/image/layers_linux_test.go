package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// stack unpacks layers in layers form and returns their directories, lowest first.
func stack(t testing.TB, rootful bool, layers ...[]byte) []string {
	t.Helper()
	var dirs []string
	var roots []*os.Root
	for i, l := range layers {
		dir := filepath.Join(t.TempDir(), "layer")
		check(t, os.Mkdir(dir, 0o700))
		u := &unpacker{files: fsys.OS, form: runtime.RootfsLayers, limits: Limits{}.withDefaults(), lower: roots, chown: rootful, whiteouts: userWhiteouts}
		if rootful {
			u.whiteouts = trustedWhiteouts
		}
		u.root = must(os.OpenRoot(dir))(t)
		defer u.root.Close()
		check(t, u.begin())
		if err := u.layer(t.Context(), bytes.NewReader(l)); err != nil {
			t.Fatalf("layer %d: %v", i, err)
		}
		roots = append([]*os.Root{u.root}, roots...)
		dirs = append(dirs, dir)
		t.Cleanup(func() { check(t, removeTree(fsys.OS, dir)) })
	}
	return dirs
}

func isWhiteout(t testing.TB, name string) bool {
	t.Helper()
	fi, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	check(t, err)
	return fi.Mode()&fs.ModeCharDevice != 0 && fi.Sys().(*syscall.Stat_t).Rdev == 0
}

func isOpaque(t testing.TB, name string, style whiteoutStyle) bool {
	t.Helper()
	buf := make([]byte, 8)
	n, err := unix.Lgetxattr(name, string(style), buf)
	if errors.Is(err, unix.ENODATA) {
		return false
	}
	check(t, err)
	return string(buf[:n]) == "y"
}

func TestLayers(t *testing.T) {
	t.Parallel()
	layers := [][]byte{
		tarOf(t, entryOf{Name: "./", Type: tar.TypeDir, Mode: 0o711}, entryOf{Name: "tmp", Type: tar.TypeDir, Mode: 0o1777}, fileOf("a", "1"), fileOf("d/b", "1"), fileOf("d/c", "1"), fileOf("o/old", "1"), fileOf("r/old", "1"), fileOf("s/old", "1"),
			entryOf{Name: "suid", Mode: 0o4755}, entryOf{Name: "pipe", Type: tar.TypeFifo}, entryOf{Name: "dev", Type: tar.TypeChar}),
		tarOf(t, fileOf("tmp/x", "2"), fileOf(".wh.a", ""), fileOf("d/.wh.b", ""), fileOf("o/.wh..wh..opq", ""), fileOf("o/new", "2"),
			fileOf(".wh.r", ""), fileOf("r/new", "2"), fileOf("s/new", "2"), fileOf(".wh.s", ""),
			entryOf{Name: "copy", Link: "d/c", Type: tar.TypeLink}, linkOf("l", "/etc"),
			entryOf{Name: "x", Xattrs: map[string]string{"user.overlay.opaque": "y", "trusted.overlay.opaque": "y", "user.mine": "1"}}),
	}
	for _, rootful := range []bool{true, false} {
		name, style := "rootless", userWhiteouts
		if rootful {
			name, style = "root", trustedWhiteouts
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rootful {
				testenv.Require(t, testenv.Root)
			}
			dirs := stack(t, rootful, layers...)
			low, up := dirs[0], dirs[1]
			for p, want := range map[string]fs.FileMode{
				".": fs.ModeDir | 0o711, "tmp": fs.ModeDir | fs.ModeSticky | 0o777, "suid": fs.ModeSetuid | 0o755, "pipe": fs.ModeNamedPipe | 0o644,
			} {
				if got := must(os.Lstat(filepath.Join(low, p)))(t).Mode(); got != want {
					t.Errorf("lower %s: mode %v, want %v", p, got, want)
				}
			}
			if _, err := os.Lstat(filepath.Join(low, "dev")); err == nil {
				t.Error("a device was made")
			}
			// What the upper layer has no entry for is as it is below.
			for p, want := range map[string]fs.FileMode{".": fs.ModeDir | 0o711, "tmp": fs.ModeDir | fs.ModeSticky | 0o777} {
				if got := must(os.Lstat(filepath.Join(up, p)))(t).Mode(); got != want {
					t.Errorf("upper %s: mode %v, want %v", p, got, want)
				}
			}
			for _, p := range []string{"a", "d/b"} {
				if !isWhiteout(t, filepath.Join(up, p)) {
					t.Errorf("%s is no whiteout", p)
				}
			}
			for p, want := range map[string]bool{"o": true, "r": true, "s": true, "d": false, "tmp": false} {
				if got := isOpaque(t, filepath.Join(up, p), style); got != want {
					t.Errorf("%s: opaque %v", p, got)
				}
			}
			for p, want := range map[string]string{"copy": "1", "o/new": "2", "r/new": "2", "s/new": "2"} {
				if got := read(t, filepath.Join(up, p)); got != want {
					t.Errorf("%s: %q", p, got)
				}
			}
			x := filepath.Join(up, "x")
			for _, a := range []string{"user.overlay.opaque", "trusted.overlay.opaque"} {
				if n, err := unix.Lgetxattr(x, a, nil); err == nil {
					t.Errorf("%s got through (%d bytes)", a, n)
				}
			}
			if _, err := unix.Lgetxattr(x, "user.mine", nil); err != nil && !errors.Is(err, unix.ENOTSUP) {
				t.Errorf("user.mine: %v", err)
			}
		})
	}
}

// The kernel's overlay over the layers shows what flat form shows.
func TestLayersUnderOverlay(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Root)
	layers := [][]byte{
		tarOf(t, fileOf("a", "1"), fileOf("d/b", "1"), fileOf("d/c", "1"), fileOf("o/old", "1"), fileOf("r/old", "1"), fileOf("s/x/old", "1"), dirOf("usr/lib"), linkOf("lib", "usr/lib"), fileOf("f", "1"), fileOf("e/x", "1")),
		tarOf(t, fileOf(".wh.a", ""), fileOf("d/.wh.b", ""), dirOf("o"), fileOf("o/.wh..wh..opq", ""), fileOf("o/new", "2"), fileOf(".wh.r", ""), fileOf("r/new", "2"), fileOf("s/.wh.x", ""), fileOf("f/now/a/directory", "2"), fileOf("e", "2")),
		tarOf(t, fileOf("a", "3"), fileOf("s/x/again", "3"), entryOf{Name: "hard", Link: "d/c", Type: tar.TypeLink}, fileOf(".wh.e", "")),
	}
	root, err := flat(t, Limits{}, layers...)
	check(t, err)
	dirs := stack(t, true, layers...)
	merged := t.TempDir()
	opts := "lowerdir=" + strings.Join([]string{dirs[2], dirs[1], dirs[0]}, ":")
	if err := unix.Mount("overlay", merged, "overlay", 0, opts); err != nil {
		t.Skipf("no overlay file system here: %v", err)
	}
	defer func() { check(t, unix.Unmount(merged, 0)) }()
	want, got := list(t, root), list(t, merged)
	if strings.Join(want, "\n") != strings.Join(got, "\n") {
		t.Errorf("overlay:\n%s\nflat:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLayerOwners(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Root)
	dirs := stack(t, true,
		tarOf(t, entryOf{Name: "home", Type: tar.TypeDir, UID: 1000, GID: 1001}, entryOf{Name: "home/f", UID: 1000, GID: 1001, Mode: 0o4755}, entryOf{Name: "l", Link: "x", Type: tar.TypeSymlink, UID: 7, GID: 8}),
		tarOf(t, entryOf{Name: "home/g", UID: 5, GID: 6}))
	for _, tc := range []struct {
		p        string
		uid, gid uint32
	}{
		{dirs[0] + "/home", 1000, 1001}, {dirs[0] + "/home/f", 1000, 1001}, {dirs[0] + "/l", 7, 8}, {dirs[1] + "/home", 1000, 1001}, {dirs[1] + "/home/g", 5, 6},
	} {
		st := must(os.Lstat(tc.p))(t).Sys().(*syscall.Stat_t)
		if st.Uid != tc.uid || st.Gid != tc.gid {
			t.Errorf("%s: owner %d:%d", tc.p, st.Uid, st.Gid)
		}
	}
	if m := must(os.Lstat(dirs[0] + "/home/f"))(t).Mode(); m != fs.ModeSetuid|0o755 {
		t.Errorf("mode %v", m)
	}
}
