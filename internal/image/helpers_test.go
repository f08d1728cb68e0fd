package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/registry/registrytest"
	"github.com/batchbox/batchbox/internal/runtime"
)

var def = batch.Partition{Account: "111122223333", Region: "eu-central-1"}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// header is one entry of a test's tar; zero members have defaults: a file of mode 0644 with Body.
type entryOf struct {
	Name, Body, Link string
	Type             byte
	Mode             int64
	UID, GID         int
	Xattrs           map[string]string
	Time             time.Time
	Size             int64 // of a file whose body is zeros
}

func tarOf(t testing.TB, entries ...entryOf) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Linkname: e.Link, Typeflag: e.Type, Mode: e.Mode, Uid: e.UID, Gid: e.GID, ModTime: e.Time, Size: int64(len(e.Body))}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1_000_000_000, 0)
		}
		for k, v := range e.Xattrs {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
		body := e.Body
		if e.Size > 0 {
			h.Size = e.Size
			body = strings.Repeat("\x00", int(e.Size))
		}
		if h.Typeflag != tar.TypeReg {
			h.Size = 0
			body = ""
		}
		check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, body)
		check(t, err)
	}
	check(t, w.Close())
	return buf.Bytes()
}

func dirOf(name string) entryOf { return entryOf{Name: name, Type: tar.TypeDir} }
func linkOf(name, target string) entryOf {
	return entryOf{Name: name, Link: target, Type: tar.TypeSymlink}
}
func fileOf(name, body string) entryOf { return entryOf{Name: name, Body: body} }

// gzipLayer is a gzipped layer of a tar.
type gzipLayer struct {
	v1.Layer
	raw []byte
}

func layerOf(t testing.TB, raw []byte) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(raw)
	check(t, err)
	check(t, w.Close())
	return gzipLayer{static.NewLayer(buf.Bytes(), types.OCILayer), raw}
}

func (l gzipLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.raw))
	return h, err
}

func (l gzipLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.raw)), nil
}

// imageOf is an image of the given tars for a platform.
func imageOf(t testing.TB, platform string, conf v1.Config, tars ...[]byte) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	var layers []v1.Layer
	for _, raw := range tars {
		layers = append(layers, layerOf(t, raw))
	}
	img = must(mutate.AppendLayers(img, layers...))(t)
	cf := must(img.ConfigFile())(t).DeepCopy()
	p := must(ParsePlatform(platform))(t)
	cf.OS, cf.Architecture, cf.Variant, cf.Config = p.OS, p.Architecture, p.Variant, conf
	return must(mutate.ConfigFile(img, cf))(t)
}

// bench is a cache over the engine's registry behind a real listener.
type bench struct {
	*Cache
	t        testing.TB
	reg      *registry.Registry
	srv      *httptest.Server
	endpoint registry.Endpoint
	opts     Options
}

func newBench(t testing.TB, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t}
	b.reg = must(registry.Open(t.Context(), registry.Options{Dir: t.TempDir(), Docs: registrytest.NewDocs(), Default: def, Log: slog.New(slog.DiscardHandler)}))(t)
	b.srv = httptest.NewServer(b.reg.Handler(registry.HandlerOptions{}))
	t.Cleanup(b.srv.Close)
	b.endpoint = registry.Endpoint{Host: strings.TrimPrefix(b.srv.URL, "http://")}
	b.opts = Options{Dir: filepath.Join(t.TempDir(), "cache"), Local: b.reg, Endpoint: b.endpoint, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&b.opts)
	}
	b.reopen()
	t.Cleanup(func() {
		check(t, b.Close())
		check(t, removeTree(fsys.OS, b.opts.Dir)) // the test's own clean-up stumbles over read-only directories
	})
	return b
}

// reopen opens the cache as a new engine would.
func (b *bench) reopen() {
	b.t.Helper()
	if b.Cache != nil {
		check(b.t, b.Close())
	}
	b.Cache = must(Open(b.opts))(b.t)
}

// push puts an image or index into the engine's registry, as name:tag of the default partition.
func (b *bench) push(ref string, img remote.Taggable) {
	b.t.Helper()
	r := must(name.ParseReference(b.endpoint.RepositoryURI(def, ref)))(b.t)
	check(b.t, remote.Push(r, img))
}

func (b *bench) prepare(ref string, form runtime.RootfsForm) *Prepared {
	b.t.Helper()
	p := must(b.Prepare(b.t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/amd64", Form: form}))(b.t)
	b.t.Cleanup(p.Release)
	return p
}

func (b *bench) ref(s string) name.Reference {
	b.t.Helper()
	return must(name.ParseReference(b.endpoint.RepositoryURI(def, s)))(b.t)
}

func read(t testing.TB, name string) string {
	t.Helper()
	return string(must(os.ReadFile(name))(t))
}

func wantStartError(t testing.TB, err error, kind string, code int, texts ...string) {
	t.Helper()
	var e *runtime.StartError
	if !errors.As(err, &e) || e.Kind != kind || e.ExitCode != code {
		t.Errorf("got %v (%T), want %s with exit code %d", err, err, kind, code)
		return
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("got %q, want it to have %q", err, s)
		}
	}
}
