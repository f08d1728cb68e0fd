package image

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/runtime"
)

// manyKinds is an image whose unpacking makes every operation there is, and what its files are in flat form.
func manyKinds(t *testing.T) (img v1.Image, flat []string) {
	t.Helper()
	img = imageOf(t, "linux/amd64", v1.Config{Entrypoint: []string{"/app"}},
		tarOf(t, entryOf{Name: "./", Type: tar.TypeDir, Mode: 0o711}, fileOf("app", "1"), fileOf("d/gone", "1"), fileOf("d/stays", "1"), fileOf("o/old", "1"), fileOf("changed", "1"),
			linkOf("link", "app"), entryOf{Name: "pipe", Type: tar.TypeFifo}, entryOf{Name: "hard", Link: "app", Type: tar.TypeLink}),
		tarOf(t, fileOf("d/.wh.gone", ""), fileOf("o/.wh..wh..opq", ""), fileOf("o/new", "2"), fileOf(".wh.changed", ""), dirOf("changed"),
			entryOf{Name: "copied", Link: "d/stays", Type: tar.TypeLink}, entryOf{Name: "ro", Type: tar.TypeDir, Mode: 0o555}, fileOf("ro/f", "2")))
	img = must(mutate.AppendLayers(img, zstdOf(tarOf(t, fileOf("last", "3")))))(t)
	return img, []string{"app: 1", "changed/", "copied: 1", "d/", "d/stays: 1", "hard: 1", "last: 3", "link -> app", "o/", "o/new: 2", "pipe (p---------)", "ro/", "ro/f: 2"}
}

// TestFaults fails each operation on the cache's own files, what images unpack to among them: an image that was prepared is
// whole, one that was not is prepared at the next try, the next engine finds what was prepared or prepares it again, and what
// is collected goes, at the next try at the latest.
func TestFaults(t *testing.T) {
	t.Parallel()
	img, flat := manyKinds(t)
	forms := []runtime.RootfsForm{runtime.RootfsFlat, runtime.RootfsArchive}
	if canLayer {
		forms = append(forms, runtime.RootfsLayers)
	}
	for _, form := range forms {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			shared := newBench(t)
			shared.push("app:v1", img)
			var files []string // of each directory or archive, lowest layer first
			look := func(p *Prepared) (seen []string) {
				t.Helper()
				switch form {
				case runtime.RootfsFlat:
					return list(t, p.Rootfs)
				case runtime.RootfsArchive:
					return []string{read(t, p.Archive)}
				}
				for _, dir := range p.Layers {
					seen = append(append(seen, "layer"), list(t, dir)...)
				}
				return seen
			}
			p := shared.prepare("app:v1", form)
			if files = look(p); form == runtime.RootfsFlat {
				if d := cmp.Diff(flat, files); d != "" {
					t.Fatal(d)
				}
			}
			fsystest.Sweep(t, func(t *testing.T, faults *fsystest.FS) {
				opts := shared.opts
				opts.Dir = filepath.Join(t.TempDir(), "cache")
				faultyCache(t, opts, faults, Request{Ref: "app:v1", Partition: def, Platform: "linux/amd64", Form: form}, func(p *Prepared) string { return cmp.Diff(files, look(p)) })
			})
		})
	}
}

// TestDaemonFaults is TestFaults for an image that a Docker daemon saves.
func TestDaemonFaults(t *testing.T) {
	t.Parallel()
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("app", "1")))
	daemon := &fakeDaemon{name: "built:v1", id: must(img.ConfigName())(t).String(), saved: oldSave(t, img)}
	shared := newBench(t, func(o *Options) { o.Daemon, o.Transport = daemon, nowhere })
	fsystest.Sweep(t, func(t *testing.T, faults *fsystest.FS) {
		opts := shared.opts
		opts.Dir = filepath.Join(t.TempDir(), "cache")
		faultyCache(t, opts, faults, Request{Ref: "built:v1", Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat},
			func(p *Prepared) string { return cmp.Diff([]string{"app: 1"}, list(t, p.Rootfs)) })
	})
}

// faultyCache opens a cache, prepares an image and collects it while an operation fails, each again if it fails, and once
// more as the next engine. differs says how a prepared image is not what it should be.
func faultyCache(t *testing.T, opts Options, faults *fsystest.FS, req Request, differs func(*Prepared) string) {
	again := func(what string, fn func() error) {
		t.Helper()
		if err := fn(); err != nil {
			if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), opts.Dir) && !strings.Contains(err.Error(), "entry ") {
				t.Errorf("%s: %v, want the error and the file", what, err)
			}
			if err := fn(); err != nil {
				t.Fatalf("%s, tried again: %v", what, err)
			}
		}
	}
	var c *Cache
	prepare := func() error {
		p, err := c.Prepare(t.Context(), req)
		if err != nil {
			return err
		}
		defer p.Release()
		if d := differs(p); d != "" {
			t.Errorf("an image was prepared that is not whole: %s", d)
		}
		return nil
	}
	collect := func() error {
		_, err := c.Collect(t.Context(), 0, func(string) bool { return false })
		if err != nil {
			again("Prepare amid a collection", prepare)
		}
		return err
	}
	empty := func(dirs ...string) {
		t.Helper()
		for _, dir := range dirs {
			if left := must(os.ReadDir(filepath.Join(opts.Dir, dir)))(t); len(left) > 0 {
				t.Errorf("in %s is %v", dir, left)
			}
		}
	}
	open := func() (err error) {
		c, err = Open(opts)
		return err
	}
	opts.Files = faults
	again("Open", open)
	again("Prepare", prepare)
	again("Collect", collect)
	again("Close", c.Close)
	opts.Files = fsystest.Sound()
	check(t, open())
	empty("tmp")
	check(t, prepare())
	check(t, collect())
	empty("tmp", "images", "flat", "layers", "archives")
	check(t, c.Close())
	check(t, removeTree(fsys.OS, opts.Dir))
}

// TestArchiveFaults fails each operation that unpacks an OCI layout: its images are read, or an error says why not and
// nothing is left.
func TestArchiveFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("app", "1")))
	lp := must(layout.Write(filepath.Join(dir, "oci"), indexOf(t)))(t)
	check(t, lp.AppendImage(img))
	file := filepath.Join(dir, "oci.tar")
	f := must(os.Create(file))(t)
	w := tar.NewWriter(f)
	check(t, w.AddFS(os.DirFS(filepath.Join(dir, "oci"))))
	check(t, errors.Join(w.Close(), f.Close()))
	digest := must(img.Digest())(t)
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		a, err := openArchive(t.Context(), files, file)
		if err == nil {
			tmp := a.tmp
			if n := len(a.Images); n != 1 {
				t.Fatalf("it has %d images", n)
			}
			if got := must(a.Images[0].Content.(v1.Image).Digest())(t); got != digest {
				t.Errorf("the image is %s, want %s", got, digest)
			}
			if err = a.Close(); err == nil {
				if _, err := os.Stat(tmp); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("after Close: %v", err)
				}
			} else {
				check(t, removeTree(fsys.OS, tmp))
			}
		}
		if err != nil && !errors.Is(err, fsystest.Err) {
			t.Errorf("%v, want the error of the operation", err)
		}
	})
}
