package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// flat unpacks layers into one root beside a secret that no layer may reach, and returns the root.
func flat(t testing.TB, limits Limits, layers ...[]byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600))
	root := filepath.Join(dir, "root")
	check(t, os.Mkdir(root, 0o700))
	u := &unpacker{files: fsys.OS, form: runtime.RootfsFlat, limits: limits.withDefaults()}
	u.root = must(os.OpenRoot(root))(t)
	defer u.root.Close()
	check(t, u.begin())
	var err error
	for _, l := range layers {
		if err = u.layer(t.Context(), bytes.NewReader(l)); err != nil {
			break
		}
	}
	if got := read(t, filepath.Join(dir, "secret")); got != "secret" {
		t.Errorf("the file beside the root is now %q", got)
	}
	if fi := must(os.Lstat(filepath.Join(dir, "secret")))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("the file beside the root has mode %v", fi.Mode())
	}
	if names := must(os.ReadDir(dir))(t); len(names) != 2 {
		t.Errorf("beside the root: %v", names)
	}
	return root, err
}

// list shows a tree: "path", "path/", "path -> target", each with a file's content.
func list(t testing.TB, root string) []string {
	t.Helper()
	var out []string
	check(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		check(t, err)
		rel := strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
		switch {
		case rel == "":
			return nil
		case d.IsDir():
			rel += "/"
		case d.Type()&fs.ModeSymlink != 0:
			rel += " -> " + must(os.Readlink(p))(t)
		case d.Type().IsRegular():
			rel += ": " + read(t, p)
		default:
			rel += fmt.Sprintf(" (%v)", d.Type())
		}
		out = append(out, rel)
		return nil
	}))
	sort.Strings(out)
	return out
}

func TestUnpackFlat(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		layers [][]entryOf
		want   []string
	}{
		"files, directories and links": {
			[][]entryOf{{dirOf("./"), dirOf("bin/"), fileOf("bin/sh", "x"), linkOf("bin/ash", "sh"), {Name: "bin/hard", Link: "bin/sh", Type: tar.TypeLink}, fileOf("./etc/passwd", "root")}},
			[]string{"bin/", "bin/ash -> sh", "bin/hard: x", "bin/sh: x", "etc/", "etc/passwd: root"},
		},
		"later layers win": {
			[][]entryOf{{fileOf("a", "1"), fileOf("d/b", "1")}, {fileOf("a", "2"), fileOf("d/c", "2")}},
			[]string{"a: 2", "d/", "d/b: 1", "d/c: 2"},
		},
		"later entries win": {
			[][]entryOf{{fileOf("a", "1"), fileOf("a", "2"), linkOf("b", "a"), fileOf("b", "3")}},
			[]string{"a: 2", "b: 3"},
		},
		"a directory gives way to a file and back": {
			[][]entryOf{{fileOf("d/x", "1"), fileOf("f", "1")}, {fileOf("d", "2"), dirOf("f"), fileOf("f/y", "2")}},
			[]string{"d: 2", "f/", "f/y: 2"},
		},
		"a file on the way gives way": {
			[][]entryOf{{fileOf("a", "1")}, {fileOf("a/b", "2")}},
			[]string{"a/", "a/b: 2"},
		},
		"a directory replaces a link to one": {
			[][]entryOf{{dirOf("usr/lib"), linkOf("lib", "usr/lib")}, {dirOf("lib"), fileOf("lib/x", "2")}},
			[]string{"lib/", "lib/x: 2", "usr/", "usr/lib/"},
		},
		"links to directories are followed inside the root": {
			[][]entryOf{{dirOf("usr/lib"), linkOf("lib", "usr/lib"), dirOf("run"), dirOf("var"), linkOf("var/run", "/run"), linkOf("up", "../../../run")},
				{fileOf("lib/x", "2"), fileOf("var/run/y", "2"), fileOf("up/z", "2")}},
			[]string{"lib -> usr/lib", "run/", "run/y: 2", "run/z: 2", "up -> ../../../run", "usr/", "usr/lib/", "usr/lib/x: 2", "var/", "var/run -> /run"},
		},
		"whiteouts": {
			[][]entryOf{{fileOf("a", "1"), fileOf("d/b", "1"), fileOf("d/c", "1"), fileOf("e/f/g", "1")}, {fileOf(".wh.a", ""), fileOf("d/.wh.b", ""), fileOf("e/.wh.f", ""), fileOf(".wh.none", "")}},
			[]string{"d/", "d/c: 1", "e/"},
		},
		"opaque directory, marker first": {
			[][]entryOf{{fileOf("d/old", "1"), fileOf("d/sub/old", "1")}, {dirOf("d"), fileOf("d/.wh..wh..opq", ""), fileOf("d/new", "2"), fileOf("d/sub/new", "2")}},
			[]string{"d/", "d/new: 2", "d/sub/", "d/sub/new: 2"},
		},
		"opaque directory, marker last": {
			[][]entryOf{{fileOf("d/old", "1"), fileOf("d/sub/old", "1")}, {fileOf("d/new", "2"), fileOf("d/sub/new", "2"), fileOf("d/.wh..wh..opq", "")}},
			[]string{"d/", "d/new: 2", "d/sub/", "d/sub/new: 2"},
		},
		"whiteout and new content of one name": {
			[][]entryOf{{fileOf("d/old", "1"), fileOf("f", "1")}, {fileOf("d/new", "2"), fileOf(".wh.d", ""), fileOf("f", "2"), fileOf(".wh.f", "")}},
			[]string{"d/", "d/new: 2", "f: 2"},
		},
		"bookkeeping of aufs": {
			[][]entryOf{{fileOf(".wh..wh.plnk/x", ""), dirOf(".wh..wh.orph"), fileOf("a", "1")}},
			[]string{".wh..wh.plnk/", ".wh..wh.plnk/x: ", "a: 1"},
		},
		"devices are left out": {
			[][]entryOf{{{Name: "dev/null", Type: tar.TypeChar}, {Name: "dev/sda", Type: tar.TypeBlock}, fileOf("a", "1")}},
			[]string{"a: 1"},
		},
		"a link may lead anywhere, nothing is written through it": {
			[][]entryOf{{linkOf("out", "../secret"), linkOf("abs", "/etc/passwd"), linkOf("loop", "loop")}, {fileOf("out", "2")}},
			[]string{"abs -> /etc/passwd", "loop -> loop", "out: 2"},
		},
		"writing below a link that leads out stays inside": {
			[][]entryOf{{linkOf("up", ".."), linkOf("top", "/"), linkOf("a", "../../.."), fileOf("up/secret", "2"), fileOf("top/x", "2"), fileOf("a/b/y", "2")}},
			[]string{"a -> ../../..", "b/", "b/y: 2", "secret: 2", "top -> /", "up -> ..", "x: 2"},
		},
		"absolute names": {
			[][]entryOf{{fileOf("/etc/x", "1"), fileOf("//y", "1"), fileOf("a/../z", "1")}},
			[]string{"etc/", "etc/x: 1", "y: 1", "z: 1"},
		},
		"a directory replaced after its entry": {
			[][]entryOf{{dirOf("d"), dirOf("d/sub"), linkOf("d", "/"), dirOf("e"), dirOf("e/sub"), fileOf("e", "1")}},
			[]string{"d -> /", "e: 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var layers [][]byte
			for _, l := range tc.layers {
				layers = append(layers, tarOf(t, l...))
			}
			root, err := flat(t, Limits{}, layers...)
			check(t, err)
			if d := cmp.Diff(tc.want, list(t, root)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	var many []entryOf
	for i := range 20 {
		many = append(many, fileOf(fmt.Sprint("f", i), ""))
	}
	for name, tc := range map[string]struct {
		entries []entryOf
		limits  Limits
		want    string
	}{
		"a path out of the root":              {entries: []entryOf{fileOf("../secret", "2")}, want: "leads out of the image"},
		"a path out of the root, later":       {entries: []entryOf{fileOf("a/../../secret", "2")}, want: "leads out of the image"},
		"a hard link out of the root":         {entries: []entryOf{{Name: "a", Link: "../secret", Type: tar.TypeLink}}, want: "leads out of the image"},
		"a hard link through a link":          {entries: []entryOf{linkOf("up", ".."), {Name: "a", Link: "up/secret", Type: tar.TypeLink}}, want: "which is not there"},
		"a hard link through an absolute one": {entries: []entryOf{linkOf("etc", "/etc"), {Name: "a", Link: "etc/passwd", Type: tar.TypeLink}}, want: "too many levels of symbolic links"},
		"a hard link to a directory":          {entries: []entryOf{dirOf("d"), {Name: "a", Link: "d", Type: tar.TypeLink}}, want: "which is no file"},
		"a hard link to nothing":              {entries: []entryOf{{Name: "a", Link: "b", Type: tar.TypeLink}}, want: "which is not there"},
		"a hard link to the root":             {entries: []entryOf{{Name: "a", Link: "/", Type: tar.TypeLink}}, want: "is a hard link to the root"},
		"a whiteout of the parent":            {entries: []entryOf{fileOf("d/.wh...", "")}, want: "is a whiteout of nothing"},
		"a whiteout of the directory":         {entries: []entryOf{fileOf("d/.wh..", "")}, want: "is a whiteout of nothing"},
		"a whiteout without a name":           {entries: []entryOf{fileOf("d/.wh.", "")}, want: "is a whiteout of nothing"},
		"a loop of links":                     {entries: []entryOf{linkOf("a", "b"), linkOf("b", "a"), fileOf("a/x", "")}, want: "too many levels of symbolic links"},
		"too many bytes":                      {entries: []entryOf{{Name: "a", Size: 600}, {Name: "b", Size: 600}}, limits: Limits{Bytes: 1000}, want: "more than 1000 bytes"},
		"too many entries":                    {entries: many, limits: Limits{Entries: 10}, want: "more than 10 entries"},
		"a path too long":                     {entries: []entryOf{fileOf(strings.Repeat("d/", 3000)+"f", "")}, want: "more than 4096 bytes"},
		"a path too deep":                     {entries: []entryOf{fileOf(strings.Repeat("d/", 300)+"f", "")}, want: "more than 256 directories deep"},
		"an unknown type":                     {entries: []entryOf{{Name: "a", Type: 'Z'}}, want: "which no image has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := flat(t, tc.limits, tarOf(t, tc.entries...))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("a broken stream", func(t *testing.T) {
		t.Parallel()
		raw := tarOf(t, fileOf("a", strings.Repeat("x", 5000)))
		if _, err := flat(t, Limits{}, raw[:2000]); err == nil {
			t.Error("a cut layer was taken for whole")
		}
	})
	t.Run("a stream without end", func(t *testing.T) {
		t.Parallel()
		u := &unpacker{files: fsys.OS, form: runtime.RootfsFlat, limits: Limits{Bytes: 1 << 20, Entries: 10}, root: must(os.OpenRoot(t.TempDir()))(t)}
		defer u.root.Close()
		if err := u.layer(t.Context(), zeros{}); err == nil || !strings.Contains(err.Error(), "longer than its content may be") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled pull", func(t *testing.T) {
		t.Parallel()
		u := &unpacker{files: fsys.OS, form: runtime.RootfsFlat, limits: Limits{}.withDefaults(), root: must(os.OpenRoot(t.TempDir()))(t)}
		defer u.root.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := u.layer(ctx, bytes.NewReader(tarOf(t, fileOf("a", "")))); err == nil {
			t.Error("went on")
		}
	})
}

// zeros is a tar that has ended and does not stop.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestUnpackFlatModes(t *testing.T) {
	t.Parallel()
	old := time.Unix(1_234_567_890, 0)
	root, err := flat(t, Limits{}, tarOf(t,
		entryOf{Name: "suid", Mode: 0o6755}, entryOf{Name: "none", Mode: 0o000 | 0o1},
		entryOf{Name: "ro", Mode: 0o555, Type: tar.TypeDir, Time: old}, entryOf{Name: "ro/x", Mode: 0o444, Time: old},
		entryOf{Name: "tmp", Mode: 0o1777, Type: tar.TypeDir},
		entryOf{Name: "future", Time: time.Unix(1<<40, 0)},
	), tarOf(t, fileOf("ro/y", "2"), fileOf("imp/z", "")))
	check(t, err)
	for p, want := range map[string]fs.FileMode{
		"suid": 0o755, "none": 0o601, "ro": fs.ModeDir | 0o755, "ro/x": 0o644, "tmp": fs.ModeDir | fs.ModeSticky | 0o777, "imp": fs.ModeDir | 0o755, ".": fs.ModeDir | 0o755,
	} {
		if got := must(os.Lstat(filepath.Join(root, p)))(t).Mode(); got != want {
			t.Errorf("%s: mode %v, want %v", p, got, want)
		}
	}
	if got := must(os.Lstat(filepath.Join(root, "ro/x")))(t).ModTime(); !got.Equal(old) {
		t.Errorf("ro/x: time %v", got)
	}
	if got := must(os.Lstat(filepath.Join(root, "future")))(t).ModTime(); got.Unix() != 0 {
		t.Errorf("future: time %v", got)
	}
}

// FuzzUnpack holds any bytes for a layer: whatever they do, nothing outside the root changes.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, fileOf("a", "1"), linkOf("l", "../x"), fileOf("l/b", "2"), entryOf{Name: "h", Link: "a", Type: tar.TypeLink}))
	f.Add(tarOf(f, linkOf("a", "/"), linkOf("b", "a/.."), fileOf("b/secret", "2"), fileOf("b/.wh.secret", ""), fileOf(".wh..wh..opq", "")))
	f.Add(tarOf(f, dirOf("d"), entryOf{Name: "d", Link: "..", Type: tar.TypeSymlink}, entryOf{Name: "d/f", Type: tar.TypeFifo}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		root, _ := flat(t, Limits{Bytes: 1 << 20, Entries: 200}, raw, raw)
		_ = removeTree(fsys.OS, root)
	})
}
