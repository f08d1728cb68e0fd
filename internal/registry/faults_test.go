package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/registry/registrytest"
)

// TestFaults fails each operation on files. A client that is told so tries again and succeeds, what was acknowledged is
// there, whole, for the next engine, and nothing is left half written.
func TestFaults(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		dir, docs := t.TempDir(), registrytest.NewDocs()
		opts := registry.Options{Dir: dir, Docs: docs, Default: def, Log: slog.New(slog.DiscardHandler), Files: files}
		// again does something until it works: at the second try, as there is one fault at most.
		again := func(what string, fn func() error) {
			t.Helper()
			err := fn()
			if err != nil && (!errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), dir)) {
				t.Errorf("%s: %v, want the error and the file", what, err)
			}
			if err != nil {
				if err = fn(); err != nil {
					t.Fatalf("%s, tried again: %v", what, err)
				}
			}
		}
		var r *registry.Registry
		again("Open", func() (err error) {
			r, err = registry.Open(ctx, opts)
			return err
		})
		var acknowledged []string
		push := func(content string) {
			t.Helper()
			sum := sha256.Sum256([]byte(content))
			digest := "sha256:" + hex.EncodeToString(sum[:])
			again("push "+content, func() error {
				id, err := r.StartUpload(def, "repo")
				if err != nil {
					return err
				}
				half := len(content) / 2
				if _, err := r.Append(ctx, def, "repo", id, strings.NewReader(content[:half]), 0, int64(half)); err != nil {
					return err
				}
				_, err = r.FinishUpload(ctx, def, "repo", id, digest, strings.NewReader(content[half:]))
				return err
			})
			acknowledged = append(acknowledged, digest)
		}
		push("one blob")
		push("one blob") // which is there already
		push("another blob")
		manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
			acknowledged[0] + `","size":8},"layers":[]}`
		again("PutImage", func() error {
			img, err := r.PutImage(ctx, def, "repo", registry.Put{Manifest: []byte(manifest), Tag: "latest"})
			if err == nil {
				acknowledged = append(acknowledged, img.Digest)
			}
			return err
		})
		again("DeleteBlob", func() error {
			err := r.DeleteBlob(acknowledged[2])
			var e *registry.Error
			if errors.As(err, &e) && e.Code == registry.BlobNotFound {
				return nil // the first try had its effect
			}
			return err
		})
		acknowledged = append(acknowledged[:2], acknowledged[3:]...)

		opts.Files = nil
		r, err := registry.Open(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, digest := range acknowledged {
			f, err := r.OpenBlob(digest)
			if err != nil {
				t.Errorf("acknowledged and lost: %v", err)
				continue
			}
			h := sha256.New()
			if _, err := io.Copy(h, f); err != nil {
				t.Error(err)
			}
			_ = f.Close()
			if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
				t.Errorf("blob %s has content %s", digest, got)
			}
		}
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("in tmp is %v, %v", left, err)
		}
		// What broke off stays for a day, in case its client goes on with it.
		opts.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
		if r, err = registry.Open(ctx, opts); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Sweep(ctx); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "uploads")); err != nil || len(left) > 0 {
			t.Errorf("after a sweep there are uploads %v, %v", left, err)
		}
	})
}
