package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/runtime"
)

// TestFaults fails each operation on the cache's own files: an image that was prepared is whole, one that was not is prepared
// at the next try, and the next engine finds what was prepared or prepares it again.
func TestFaults(t *testing.T) {
	t.Parallel()
	shared := newBench(t)
	shared.push("app:v1", imageOf(t, "linux/amd64", v1.Config{Entrypoint: []string{"/app"}}, tarOf(t, fileOf("app", "1")), tarOf(t, fileOf("data", "2"))))
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		opts := shared.opts
		opts.Dir = filepath.Join(t.TempDir(), "cache")
		opts.Files = files
		wants := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), opts.Dir) {
				t.Errorf("%s: %v, want the error and the file", what, err)
			}
		}
		prepare := func(c *Cache) error {
			t.Helper()
			p, err := c.Prepare(t.Context(), Request{Ref: "app:v1", Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
			if err != nil {
				return err
			}
			defer p.Release()
			if d := cmp.Diff([]string{"app: 1", "data: 2"}, list(t, p.Rootfs)); d != "" {
				t.Errorf("an image was prepared that is not whole: %s", d)
			}
			return nil
		}
		c, err := Open(opts)
		if err != nil {
			wants("Open", err)
			if c, err = Open(opts); err != nil {
				t.Fatalf("opened again: %v", err)
			}
		}
		if err := prepare(c); err != nil {
			wants("Prepare", err)
			if err := prepare(c); err != nil {
				t.Errorf("prepared again: %v", err)
			}
		}
		check(t, c.Close())
		opts.Files = nil
		if c, err = Open(opts); err != nil {
			t.Fatal(err)
		}
		if err := prepare(c); err != nil {
			t.Errorf("prepared by the next engine: %v", err)
		}
		if left, err := os.ReadDir(filepath.Join(opts.Dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("in tmp is %v, %v", left, err)
		}
		check(t, c.Close())
		check(t, removeTree(opts.Dir))
	})
}
