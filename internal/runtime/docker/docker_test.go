package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
	"github.com/batchbox/batchbox/internal/testenv"
)

func TestMain(m *testing.M) { runtimetest.Main(m, open) }

// open makes a runtime whose supervisor's data directory is owner.
func open(owner string) (runtime.Runtime, error) {
	return New(context.Background(), Options{Owner: owner, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
}

// newRuntime makes one that ends with the test.
func newRuntime(t testing.TB, o Options) *Runtime {
	t.Helper()
	testenv.Require(t, testenv.Docker)
	if o.Owner == "" {
		o.Owner = t.TempDir()
	}
	r, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// archive makes an image of an unpacked root file system, as `docker save` would write it, and has the daemon forget it when
// the test ends.
func archive(t testing.TB, root string) runtime.Image {
	t.Helper()
	layer := layerOf(t, root)
	config := must(json.Marshal(map[string]any{
		"architecture": goruntime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	}))
	image := runtime.Image{Ref: "test", Digest: digest(config), Platform: "linux/" + goruntime.GOARCH, Archive: filepath.Join(t.TempDir(), "image.tar")}
	list := must(json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{image.ArchiveName()}, "Layers": []string{"layer.tar"}}}))
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name    string
		content []byte
	}{{"layer.tar", layer}, {"config.json", config}, {"manifest.json", list}} {
		check(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content))}))
		_, err := w.Write(f.content)
		check(t, err)
	}
	check(t, w.Close())
	check(t, os.WriteFile(image.Archive, out.Bytes(), 0o600))
	t.Cleanup(func() { removeImage(t, image.ArchiveName()) })
	return image
}

// layerOf is a directory as a tar.
func layerOf(t testing.TB, root string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		if h.Name, err = filepath.Rel(root, path); err != nil {
			return err
		}
		h.Uname, h.Gname, h.Format = "", "", tar.FormatPAX
		h.PAXRecords = attributes(path)
		if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}))
	check(t, w.Close())
	return out.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	testenv.Require(t, testenv.Docker)
	runtimetest.Run(t, runtimetest.Harness{New: open, Image: archive, Starts: 20, Patience: patience})
}
