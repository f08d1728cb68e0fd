package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/batchbox/batchbox/internal/dockerhost"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// nowhere is a network on which every registry refuses.
var nowhere = roundTripper(func(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
})

// fakeDaemon has one image.
type fakeDaemon struct {
	name, id    string
	saved       []byte
	saves, asks atomic.Int64
}

func (d *fakeDaemon) Find(_ context.Context, name string) (string, error) {
	d.asks.Add(1)
	if strings.TrimPrefix(strings.TrimPrefix(name, "index."), "docker.io/library/") != d.name {
		return "", fmt.Errorf("%w: No such image: %s", fs.ErrNotExist, name)
	}
	return d.id, nil
}

func (d *fakeDaemon) Save(_ context.Context, id string) (io.ReadCloser, error) {
	d.saves.Add(1)
	if id != d.id {
		return nil, errors.New("no such image")
	}
	return io.NopCloser(bytes.NewReader(d.saved)), nil
}

func TestDaemonImage(t *testing.T) {
	t.Parallel()
	img := imageOf(t, "linux/amd64", v1.Config{Entrypoint: []string{"/app"}, User: "7"}, tarOf(t, fileOf("app", "1"), fileOf("old", "1")), tarOf(t, fileOf(".wh.old", ""), fileOf("new", "2")))
	id := must(img.ConfigName())(t).String()
	var compressed bytes.Buffer
	check(t, tarball.Write(must(name.NewTag("built:v1"))(t), img, &compressed))
	for what, saved := range map[string][]byte{"compressed layers": compressed.Bytes(), "plain layers and a link": oldSave(t, img)} {
		d := &fakeDaemon{name: "built:v1", id: id, saved: saved}
		b := newBench(t, func(o *Options) { o.Daemon, o.Transport = d, nowhere })
		forms := []runtime.RootfsForm{runtime.RootfsFlat, runtime.RootfsArchive}
		if canLayer {
			forms = append(forms, runtime.RootfsLayers)
		}
		for _, form := range forms {
			p := b.prepare("built:v1", form)
			if p.Digest != id || p.Config.User != "7" || p.Config.Entrypoint[0] != "/app" {
				t.Errorf("%s, %s: %+v", what, form, p)
			}
			if form == runtime.RootfsFlat {
				if got := list(t, p.Rootfs); strings.Join(got, ",") != "app: 1,new: 2" {
					t.Errorf("%s: %v", what, got)
				}
			}
		}
		for range 20 {
			b.prepare("built:v1", runtime.RootfsFlat)
		}
		if n := d.saves.Load(); n != int64(len(forms)) {
			t.Errorf("%s: saved %d times for %d forms", what, n, len(forms))
		}
		if n := d.asks.Load(); n != 1 {
			t.Errorf("%s: asked %d times", what, n)
		}
		if left := must(os.ReadDir(filepath.Join(b.opts.Dir, "tmp")))(t); len(left) > 0 {
			t.Errorf("%s: left behind %v", what, left)
		}
		// What the daemon has not either is refused as the registry refused it, and so is what AWS would look for in ECR.
		for ref, text := range map[string]string{
			"other:v1": "failed to resolve ref docker.io/library/other:v1: not found",
			"111122223333.dkr.ecr.eu-central-1.amazonaws.com/built:v1": "not found",
		} {
			_, err := b.Prepare(t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
			wantStartError(t, err, runtime.KindCannotPull, 0, text)
		}
		_, err := b.Prepare(t.Context(), Request{Ref: "built:v1", Partition: def, Platform: "linux/arm64", Form: runtime.RootfsFlat})
		wantStartError(t, err, runtime.KindCannotPull, 0, "image Manifest does not contain descriptor matching platform 'linux/arm64'")
	}

	// An image that is pushed wins.
	d := &fakeDaemon{name: "built:v1", id: id, saved: compressed.Bytes()}
	b := newBench(t, func(o *Options) { o.Daemon, o.Transport = d, nowhere })
	b.push("built:v1", img)
	if p := b.prepare("built:v1", runtime.RootfsFlat); p.Digest != must(img.Digest())(t).String() || d.asks.Load() > 0 {
		t.Errorf("%+v", p)
	}
}

// oldSave is an image as old daemons save it: plain layers, and a link in place of a layer that equals another.
func oldSave(t *testing.T, img v1.Image) []byte {
	t.Helper()
	config := string(must(img.RawConfigFile())(t))
	entries := []entryOf{fileOf("c.json", config)}
	var names []string
	for i, l := range must(img.Layers())(t) {
		rc := must(l.Uncompressed())(t)
		content := string(must(io.ReadAll(rc))(t))
		dir := fmt.Sprint(i)
		entries = append(entries, dirOf(dir), fileOf("real"+dir+"/layer.tar", content), linkOf(dir+"/layer.tar", "../real"+dir+"/layer.tar"))
		names = append(names, dir+"/layer.tar")
	}
	list := must(json.Marshal([]map[string]any{{"Config": "c.json", "RepoTags": []string{"built:v1"}, "Layers": names}}))(t)
	return tarOf(t, append(entries, fileOf("manifest.json", string(list)))...)
}

// Whatever a daemon saves, the image is refused with a reason, and nothing is left behind.
func TestDaemonImageDamaged(t *testing.T) {
	t.Parallel()
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("app", "1")))
	id := must(img.ConfigName())(t).String()
	config := string(must(img.RawConfigFile())(t))
	for what, saved := range map[string][]byte{
		"nothing":       nil,
		"no tar":        []byte(strings.Repeat("no", 1000)),
		"no list":       tarOf(t, fileOf("x", "1")),
		"two images":    tarOf(t, fileOf("manifest.json", `[{"Config":"c"},{"Config":"c"}]`)),
		"no config":     tarOf(t, fileOf("manifest.json", `[{"Config":"c","Layers":[]}]`)),
		"no layer":      tarOf(t, fileOf("manifest.json", `[{"Config":"c","Layers":["l"]}]`), fileOf("c", config)),
		"a layer short": tarOf(t, fileOf("manifest.json", `[{"Config":"c","Layers":[]}]`), fileOf("c", config)),
		"another layer": tarOf(t, fileOf("manifest.json", `[{"Config":"c","Layers":["l"]}]`), fileOf("c", config), fileOf("l", string(tarOf(t, fileOf("app", "2"))))),
	} {
		b := newBench(t, func(o *Options) {
			o.Daemon, o.Transport = &fakeDaemon{name: "built:v1", id: id, saved: saved}, nowhere
		})
		_, err := b.Prepare(t.Context(), Request{Ref: "built:v1", Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
		var se *runtime.StartError
		if !errors.As(err, &se) || se.Kind != runtime.KindCannotPull {
			t.Errorf("%s: %v", what, err)
		}
		if left := must(os.ReadDir(filepath.Join(b.opts.Dir, "tmp")))(t); len(left) > 0 {
			t.Errorf("%s: left behind %v", what, left)
		}
	}
}

// The archive form is what a daemon loads: every layer in it, whatever its compression, makes the configuration's diff id.
func TestArchiveForm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := imageOf(t, "linux/amd64", v1.Config{Cmd: []string{"x"}}, tarOf(t, fileOf("f", "1")), tarOf(t, fileOf("g", "2")), tarOf(t, fileOf("f", "1")))
	b.push("app:v1", img)
	p := b.prepare("app:v1", runtime.RootfsArchive)
	if p.Archive != b.archiveFile(p.Digest) || p.Rootfs != "" || p.Layers != nil {
		t.Fatalf("%+v", p)
	}
	tag := must(name.NewTag(p.ArchiveName()))(t)
	back := must(tarball.ImageFromPath(p.Archive, &tag))(t)
	if got, want := string(must(back.RawConfigFile())(t)), string(must(img.RawConfigFile())(t)); got != want {
		t.Errorf("configuration %s, want %s", got, want)
	}
	for i, l := range must(back.Layers())(t) {
		if got, want := must(l.DiffID())(t), must(must(img.Layers())(t)[i].DiffID())(t); got != want {
			t.Errorf("layer %d is %s, want %s", i, got, want)
		}
	}
	f := must(os.Open(p.Archive))(t)
	defer f.Close()
	n := 0
	for tr := tar.NewReader(f); ; n++ {
		if _, err := tr.Next(); err != nil {
			break
		}
	}
	if n != 4 { // two layers, the configuration, the list
		t.Errorf("%d files", n)
	}
	size := must(f.Stat())(t).Size()

	// It is counted and collected.
	p.Release()
	b.reopen()
	none := func(string) bool { return false }
	if got := must(b.Collect(t.Context(), size, none))(t); got.Kept != size {
		t.Errorf("%+v, the archive has %d bytes", got, size)
	}
	if got := must(b.Collect(t.Context(), size-1, none))(t); got.Images != 1 || got.Freed != size {
		t.Errorf("%+v", got)
	}
	if left := must(os.ReadDir(filepath.Join(b.opts.Dir, "archives")))(t); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
}

// TestImageOfDocker takes an image that only a real daemon has.
func TestImageOfDocker(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Docker)
	ref := fmt.Sprintf("batchbox-test-%d:v1", os.Getpid())
	load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/app"]`, "-", ref)
	load.Stdin = bytes.NewReader(tarOf(t, fileOf("app", "1"), dirOf("etc")))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "image", "rm", ref).CombinedOutput(); err != nil {
			t.Errorf("docker image rm: %v: %s", err, out)
		}
	})
	b := newBench(t, func(o *Options) {
		o.Daemon, o.Transport = dockerhost.Images{Environment: dockerhost.System()}, nowhere
	})
	p := must(b.Prepare(t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/" + goruntime.GOARCH, Form: runtime.RootfsFlat}))(t)
	defer p.Release()
	if read(t, filepath.Join(p.Rootfs, "app")) != "1" || len(p.Config.Entrypoint) != 1 || p.Config.Entrypoint[0] != "/app" {
		t.Errorf("%+v", p)
	}
	_, err := b.Prepare(t.Context(), Request{Ref: "batchbox-test-none:v1", Partition: def, Platform: "linux/" + goruntime.GOARCH, Form: runtime.RootfsFlat})
	wantStartError(t, err, runtime.KindCannotPull, 0, "failed to resolve ref docker.io/library/batchbox-test-none:v1: not found")
}

// zstdLayer is a layer in a zstd frame of one raw block (RFC 8878, section 3.1.1).
type zstdLayer struct {
	v1.Layer
	raw []byte
}

func zstdOf(raw []byte) zstdLayer {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0} // a single segment, its size in four bytes
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(raw)))
	header := uint32(len(raw))<<3 | 1 // the last block
	frame = append(frame, byte(header), byte(header>>8), byte(header>>16))
	return zstdLayer{static.NewLayer(append(frame, raw...), types.OCILayerZStd), raw}
}

func (l zstdLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.raw))
	return h, err
}

func (l zstdLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.raw)), nil
}

// Daemons before Docker 23.0 do not know zstd, so their archive has such a layer plain.
func TestArchiveFormOfZstd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	raw := tarOf(t, fileOf("f", "1"))
	img := must(mutate.AppendLayers(imageOf(t, "linux/amd64", v1.Config{}), zstdOf(raw)))(t)
	b.push("app:v1", img)
	p := b.prepare("app:v1", runtime.RootfsArchive)
	f := must(os.Open(p.Archive))(t)
	defer f.Close()
	tr := tar.NewReader(f)
	must(tr.Next())(t)
	if got := must(io.ReadAll(tr))(t); !bytes.Equal(got, raw) {
		t.Errorf("the layer has %d bytes, %q..., want the %d of its tar", len(got), got[:min(8, len(got))], len(raw))
	}
	if left := must(os.ReadDir(filepath.Join(b.opts.Dir, "tmp")))(t); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
}
