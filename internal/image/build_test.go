package image

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/batchbox/batchbox/internal/runtime"
)

// module writes a module with a program that needs nothing but the runtime, so that it compiles quickly, and returns
// its directory.
func module(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	check(t, os.MkdirAll(filepath.Join(dir, "cmd", "hello"), 0o700))
	check(t, os.MkdirAll(filepath.Join(dir, "lib"), 0o700))
	for name, content := range map[string]string{
		"go.mod":            "module example.com/hello\n\ngo 1.26\n",
		"lib/lib.go":        "package lib\n\nvar Greeting = \"hello\"\n",
		"cmd/hello/main.go": "package main\n\nimport \"example.com/hello/lib\"\n\nvar version = \"none\"\n\nfunc main() { println(lib.Greeting, version) }\n",
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func own() string { return goruntime.GOOS + "/" + goruntime.GOARCH }

// The same source gives the same image wherever it lies, and the image runs.
func TestBuild(t *testing.T) {
	t.Parallel()
	var digests []string
	var built *Built
	for range 2 {
		built = must(Build(t.Context(), BuildOptions{Package: "./cmd/hello", Dir: module(t), Platforms: []string{own()}, Env: []string{"A=1"}, Cmd: []string{"-v"}, Labels: map[string]string{"l": "1"}}))(t)
		digests = append(digests, built.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("built twice: %v", digests)
	}
	if built.Name != "hello" || built.MediaType != string(types.OCIManifestSchema1) || built.Size < 100_000 {
		t.Errorf("%+v", built)
	}
	img := built.Content.(v1.Image)
	check(t, validate.Image(img))
	cf := must(img.ConfigFile())(t)
	want := v1.Config{
		Entrypoint: []string{"/bin/hello"}, Cmd: []string{"-v"}, Env: []string{"PATH=" + defaultPath, "A=1"},
		Labels: map[string]string{"l": "1"}, User: "65532:65532", WorkingDir: "/home/nonroot",
	}
	if d := cmp.Diff(want, cf.Config); d != "" {
		t.Error(d)
	}
	if cf.OS+"/"+cf.Architecture != own() || cf.Created.Unix() != 0 {
		t.Errorf("%s/%s, created %v", cf.OS, cf.Architecture, cf.Created)
	}

	b := newBench(t)
	b.push("hello", img)
	p := must(b.Prepare(t.Context(), Request{Ref: "hello", Partition: def, Platform: own(), Form: runtime.RootfsFlat}))(t)
	defer p.Release()
	var names []string
	for _, l := range list(t, p.Rootfs) {
		names = append(names, strings.Split(l, ":")[0])
	}
	if d := cmp.Diff([]string{"bin/", "bin/hello", "etc/", "etc/group", "etc/passwd", "home/", "home/nonroot/", "tmp/"}, names); d != "" {
		t.Error(d)
	}
	e := must(ResolveEntrypoint(p.Rootfs, append(p.Config.Entrypoint, p.Config.Cmd...), p.Config.Env, p.Config.WorkingDir, nil))(t)
	file, argv, err := e.HostArgv(p.Config.Entrypoint)
	check(t, err)
	out, err := (&exec.Cmd{Path: file, Args: argv, Dir: e.HostDir}).CombinedOutput()
	if err != nil || string(out) != "hello none\n" {
		t.Errorf("it says %q, %v", out, err)
	}
	if strings.Contains(read(t, file), t.TempDir()) || strings.Contains(read(t, file), "/src/cmd/hello") {
		t.Error("the program has the path of its source in it")
	}
}

func TestBuildPlatforms(t *testing.T) {
	t.Parallel()
	built := must(Build(t.Context(), BuildOptions{Package: "./cmd/hello", Dir: module(t), Platforms: []string{"linux/amd64", "linux/arm64"}, User: "0", Ldflags: "-X main.version=v9"}))(t)
	idx := built.Content.(v1.ImageIndex)
	check(t, validate.Index(idx))
	im := must(idx.IndexManifest())(t)
	if built.MediaType != string(types.OCIImageIndex) || len(im.Manifests) != 2 || built.Digest != must(idx.Digest())(t).String() {
		t.Errorf("%+v, %+v", built, im)
	}
	b := newBench(t)
	b.push("hello:v1", idx)
	for i, platform := range built.Platforms {
		if got := im.Manifests[i].Platform.String(); got != platform {
			t.Errorf("platform %s, want %s", got, platform)
		}
		p := must(b.Prepare(t.Context(), Request{Ref: "hello:v1", Partition: def, Platform: platform, Form: runtime.RootfsFlat}))(t)
		h := must(readHeader(must(os.Open(p.Rootfs+"/bin/hello"))(t), "linux", strings.TrimPrefix(platform, "linux/")))(t)
		if h != (header{}) || p.Config.User != "0" {
			t.Errorf("%s: %+v, %+v", platform, h, p.Config)
		}
		p.Release()
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	dir := module(t)
	check(t, os.MkdirAll(filepath.Join(dir, "broken"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "broken", "main.go"), []byte("package main\n\nfunc main() { nonsense() }\n"), 0o600))
	notPEM := filepath.Join(dir, "go.mod")
	for name, tc := range map[string]struct {
		o    BuildOptions
		want string
	}{
		"no such package":   {BuildOptions{Package: "./none"}, "looking for ./none"},
		"a library":         {BuildOptions{Package: "./lib"}, "./lib is package lib, not a program"},
		"several packages":  {BuildOptions{Package: "./..."}, "want one"},
		"a compile error":   {BuildOptions{Package: "./broken"}, "undefined: nonsense"},
		"a flag as package": {BuildOptions{Package: "-toolexec=x"}, "looking for -toolexec=x"},
		"a bad platform":    {BuildOptions{Package: "./cmd/hello", Platforms: []string{"linux"}}, `platform "linux"`},
		"an unknown one":    {BuildOptions{Package: "./cmd/hello", Platforms: []string{"plan10/amd64"}}, "unsupported GOOS/GOARCH pair plan10/amd64"},
		"no go":             {BuildOptions{Package: "./cmd/hello", Go: "no-such-go"}, "images are built with the Go toolchain"},
		"no certificates":   {BuildOptions{Package: "./cmd/hello", CACerts: notPEM}, "has no certificate in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.o.Dir = dir
			if tc.o.Platforms == nil {
				tc.o.Platforms = []string{own()}
			}
			if _, err := Build(t.Context(), tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, BuildOptions{Package: "./cmd/hello", Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The layer of an image is the same bytes from one release of this code to the next: a push of an unchanged program sends
// nothing, and an immutable tag does not get in the way.
func TestLayerIsStable(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "prog")
	check(t, os.WriteFile(bin, []byte("program"), 0o600))
	pem := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(pem, []byte("-----BEGIN CERTIFICATE-----\n"), 0o600))
	for want, o := range map[string]BuildOptions{
		"sha256:07600b8a5a0918b2ee3d000532a601b84c2d174760fec2de1152f7feeef2e1af": {}, "sha256:657b8fd85e3b4d98b9886e461bb59b497e097b549cdc74a14827df334ef2bdba": {CACerts: pem},
	} {
		l := must(programLayer(o, "prog", bin))(t)
		if l.diffID.String() != want {
			t.Errorf("diff id %s, want %s", l.diffID, want)
		}
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", strings.Repeat("x", 100_000))))
	var last [2]int64
	ref := b.endpoint.RepositoryURI(def, "app:v1")
	pushed := must(Push(t.Context(), ref, img, PushOptions{Keychain: keychain{}, Progress: func(done, total int64) { last = [2]int64{done, total} }}))(t)
	want := Pushed{Ref: ref, Digest: must(img.Digest())(t).String(), ByDigest: b.endpoint.RepositoryURI(def, "app") + "@" + must(img.Digest())(t).String()}
	if pushed != want {
		t.Errorf("%+v", pushed)
	}
	if last[0] == 0 || last[0] != last[1] {
		t.Errorf("progress ended with %v", last)
	}
	idx := indexOf(t, img)
	if p := must(Push(t.Context(), b.endpoint.RepositoryURI(def, "app:multi"), idx, PushOptions{Keychain: keychain{}}))(t); p.Digest != must(idx.Digest())(t).String() {
		t.Errorf("%+v", p)
	}
	for ref, want := range map[string]string{"app@sha256:" + strings.Repeat("0", 64): "pushing:", "127.0.0.1:1/app:v1": "connection refused"} {
		if _, err := Push(t.Context(), ref, img, PushOptions{Keychain: keychain{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	refused := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no network") })
	if _, err := Push(t.Context(), "example.com/app:v1", img, PushOptions{Keychain: keychain{}, Transport: refused, Progress: func(int64, int64) {}}); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("got %v", err)
	}
	if _, err := remote.Head(b.ref("app:multi")); err != nil {
		t.Error(err)
	}
}
