package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

func TestPrepare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conf := v1.Config{
		Entrypoint: []string{"/bin/app"}, Cmd: []string{"-v"}, Env: []string{"A=1"}, WorkingDir: "/work", User: "65532", StopSignal: "SIGINT",
		Labels: map[string]string{"l": "1"},
	}
	img := imageOf(t, "linux/amd64", conf, tarOf(t, fileOf("bin/app", "1"), fileOf("old", "1")), tarOf(t, fileOf(".wh.old", ""), fileOf("new", "2")))
	b.push("app:v1", img)
	digest := must(img.Digest())(t).String()

	for _, ref := range []string{"app:v1", b.endpoint.RepositoryURI(def, "app:v1"), "111122223333.dkr.ecr.eu-central-1.amazonaws.com/app:v1", "app@" + digest, "app:moved@" + digest} {
		p := b.prepare(ref, runtime.RootfsFlat)
		want := runtime.Image{Ref: ref, Digest: digest, Platform: "linux/amd64", Rootfs: b.flatDir(digest)}
		if d := cmp.Diff(want, p.Image); d != "" {
			t.Errorf("%s: %s", ref, d)
		}
		if d := cmp.Diff(Config{Entrypoint: []string{"/bin/app"}, Cmd: []string{"-v"}, Env: []string{"A=1"}, WorkingDir: "/work", User: "65532", StopSignal: "SIGINT", Labels: map[string]string{"l": "1"}}, p.Config); d != "" {
			t.Errorf("%s: %s", ref, d)
		}
		if d := cmp.Diff([]string{"bin/", "bin/app: 1", "new: 2"}, list(t, p.Rootfs)); d != "" {
			t.Errorf("%s: %s", ref, d)
		}
		// Docker can pull exactly this image by PullRef.
		if _, err := remote.Image(must(name.ParseReference(p.PullRef))(t)); err != nil {
			t.Errorf("PullRef %s: %v", p.PullRef, err)
		}
	}
	if p := b.prepare("app:v1", runtime.RootfsNone); p.Rootfs != "" || p.Layers != nil || p.Digest != digest || p.Config.User != "65532" {
		t.Errorf("%+v", p)
	}
	if canLayer {
		p := b.prepare("app:v1", runtime.RootfsLayers)
		if len(p.Layers) != 2 || p.Rootfs != "" || read(t, p.Layers[0]+"/old") != "1" || read(t, p.Layers[1]+"/new") != "2" {
			t.Errorf("%+v", p)
		}
	}

	// A tag is looked up anew each time.
	moved := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("moved", "1")))
	b.push("app:v1", moved)
	if p := b.prepare("app:v1", runtime.RootfsFlat); p.Digest != must(moved.Digest())(t).String() || read(t, p.Rootfs+"/moved") != "1" {
		t.Errorf("%+v", p)
	}

	// A new process finds what is there, without unpacking again.
	marker := filepath.Join(b.flatDir(digest), "marker")
	check(t, os.WriteFile(marker, nil, 0o600))
	b.reopen()
	if p := b.prepare("app@"+digest, runtime.RootfsFlat); p.Config.User != "65532" {
		t.Errorf("%+v", p)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Error("the image was unpacked again")
	}
}

// A thousand callers at once cause one pull of each image, and images that share a layer unpack it once.
func TestPrepareConcurrently(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	b := newBench(t, func(o *Options) { o.Local = countingSource{o.Local.(*registry.Registry), &opened} })
	form := runtime.RootfsFlat
	if canLayer {
		form = runtime.RootfsLayers
	}
	base := tarOf(t, fileOf("base", strings.Repeat("x", 100_000)))
	for i := range 2 {
		b.push(fmt.Sprintf("app%d:v1", i), imageOf(t, "linux/amd64", v1.Config{}, base, tarOf(t, fileOf("top", fmt.Sprint(i)))))
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			p, err := b.Prepare(t.Context(), Request{Ref: fmt.Sprintf("app%d:v1", i%2), Partition: def, Platform: "linux/amd64", Form: form})
			if err != nil {
				t.Error(err)
				return
			}
			p.Release()
		})
	}
	wg.Wait()
	// For each image its manifest twice (to choose and to unpack), its configuration twice, and its layers.
	want := int64(2*4 + 4)
	if canLayer {
		want--
	}
	if n := opened.Load(); n != want {
		t.Errorf("%d blobs were read, want %d", n, want)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pins) != 0 {
		t.Errorf("still pinned: %v", b.pins)
	}
	for d, e := range b.images {
		if e.leases != 0 {
			t.Errorf("%s: %d leases", d, e.leases)
		}
	}
}

type countingSource struct {
	*registry.Registry
	opened *atomic.Int64
}

func (s countingSource) OpenBlob(digest string) (*os.File, error) {
	s.opened.Add(1)
	return s.Registry.OpenBlob(digest)
}

// Those who give up do not take the pull away from those who wait, and the last one ends it.
func TestPrepareCancelled(t *testing.T) {
	t.Parallel()
	gate := &gatedSource{entered: make(chan struct{}), open: make(chan struct{})}
	b := newBench(t, func(o *Options) { gate.Registry = o.Local.(*registry.Registry); o.Local = gate })
	b.push("app:v1", imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1"))))
	req := Request{Ref: "app:v1", Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat}
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	go func() {
		_, err := b.Prepare(ctx, req)
		errs <- err
	}()
	<-gate.entered
	go func() {
		p, err := b.Prepare(t.Context(), req)
		if err == nil {
			p.Release()
		}
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	close(gate.open)
	check(t, <-errs)
}

// gatedSource holds the first read up until open is closed.
type gatedSource struct {
	*registry.Registry
	once          sync.Once
	entered, open chan struct{}
}

func (s *gatedSource) OpenBlob(digest string) (*os.File, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.open
	return s.Registry.OpenBlob(digest)
}

func indexOf(t testing.TB, imgs ...v1.Image) v1.ImageIndex {
	t.Helper()
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, img := range imgs {
		cf := must(img.ConfigFile())(t)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: cf.OS, Architecture: cf.Architecture, Variant: cf.Variant}}})
	}
	return idx
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tc := range []struct {
		have []string
		want map[string]string // platform asked for: the one that fits, "" for none
	}{
		{[]string{"linux/amd64", "linux/arm64", "darwin/arm64"}, map[string]string{"linux/amd64": "linux/amd64", "linux/arm64": "linux/arm64", "linux/arm64/v8": "linux/arm64", "darwin/arm64": "darwin/arm64", "windows/amd64": "", "linux/s390x": ""}},
		{[]string{"linux/arm64/v8", "linux/arm/v6", "linux/arm/v7"}, map[string]string{"linux/arm64": "linux/arm64/v8", "linux/arm/v7": "linux/arm/v7", "linux/arm": "linux/arm/v7", "linux/arm/v6": "linux/arm/v6", "linux/arm/v5": ""}},
		{[]string{"linux/amd64/v3", "linux/amd64"}, map[string]string{"linux/amd64": "linux/amd64", "linux/amd64/v3": "linux/amd64/v3", "linux/amd64/v2": "linux/amd64"}},
		{[]string{"linux/amd64"}, map[string]string{"linux/amd64": "linux/amd64", "linux/arm64": ""}},
	} {
		name := strings.NewReplacer("/", "-", " ", "_", "[", "", "]", "").Replace(fmt.Sprint(tc.have))
		var imgs []v1.Image
		for _, p := range tc.have {
			imgs = append(imgs, imageOf(t, p, v1.Config{}, tarOf(t, fileOf("platform", p))))
		}
		b.push(name+":index", indexOf(t, imgs...))
		b.push(name+":nested", mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: indexOf(t, imgs...)}))
		if len(imgs) == 1 {
			b.push(name+":single", imgs[0])
			// An index that does not say what its image is for.
			b.push(name+":silent", mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: imgs[0]}))
		}
		for asked, want := range tc.want {
			for _, tag := range must(b.reg.Tags(def, name))(t) {
				p, err := b.Prepare(t.Context(), Request{Ref: name + ":" + tag, Partition: def, Platform: asked, Form: runtime.RootfsFlat})
				if want == "" {
					wantStartError(t, err, runtime.KindCannotPull, 0, "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform '"+asked+"'")
					continue
				}
				if err != nil {
					t.Errorf("%s:%s for %s: %v", name, tag, asked, err)
					continue
				}
				if got := read(t, p.Rootfs+"/platform"); got != want || p.Platform != want {
					t.Errorf("%s:%s for %s: got %s (%s)", name, tag, asked, got, p.Platform)
				}
				p.Release()
			}
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "Linux/amd64", "linux/arm/v7/x"} {
		_, err := b.Prepare(t.Context(), Request{Ref: "x:single", Partition: def, Platform: bad})
		if err == nil {
			t.Errorf("platform %q was taken", bad)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	hub := hubOf(t, http.StatusUnauthorized)
	b := newBench(t, func(o *Options) { o.Transport = hub })
	good := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1")))
	b.push("app:v1", good)

	lying := must(mutate.ConfigFile(good, func() *v1.ConfigFile {
		cf := must(good.ConfigFile())(t).DeepCopy()
		cf.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
		return cf
	}()))(t)
	b.push("lying:v1", lying)
	short := must(mutate.ConfigFile(good, func() *v1.ConfigFile {
		cf := must(good.ConfigFile())(t).DeepCopy()
		cf.RootFS.DiffIDs = nil
		return cf
	}()))(t)
	b.push("short:v1", short)
	b.push("evil:v1", imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("../../x", "1"))))

	for ref, want := range map[string]string{
		"app:v2":                                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref app:v2: not found (The image with imageId",
		"app@sha256:" + strings.Repeat("0", 64): ": not found (The image with imageId",
		"111122223333.dkr.ecr.eu-central-1.amazonaws.com/none":   "failed to resolve ref 111122223333.dkr.ecr.eu-central-1.amazonaws.com/none:latest: not found (The repository with name 'none' does not exist in the registry with id '111122223333')",
		"999999999999.dkr.ecr.eu-central-1.amazonaws.com/app:v1": "not found (The repository with name 'app' does not exist in the registry with id '999999999999')",
		b.endpoint.RepositoryURI(def, "none:v1"):                 ": not found (The repository",
		"none":                                                   "failed to resolve ref docker.io/library/none:latest: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed (and the registry of account 111122223333 in eu-central-1 has no repository 'none')",
		"docker.io/team/none:v1":                                 "failed to resolve ref docker.io/team/none:v1: pull access denied",
		"Not A Ref":                                              "failed to parse image reference",
		"lying:v1":                                               "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer sha256:",
		"short:v1":                                               "mismatched image rootfs and manifest layers: 1 layers, 0 diff ids",
		"evil:v1":                                                "leads out of the image",
	} {
		_, err := b.Prepare(t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
		wantStartError(t, err, runtime.KindCannotPull, 0, want)
	}
	// Nothing of the failures stays.
	for _, d := range []string{"tmp", "flat", "images"} {
		if entries := must(os.ReadDir(filepath.Join(b.opts.Dir, d)))(t); len(entries) != 0 {
			t.Errorf("%s: %v", d, entries)
		}
	}
	// And the image is pulled when it is there.
	b.push("app:v2", good)
	b.prepare("app:v2", runtime.RootfsFlat)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Limits = Limits{Bytes: 1000, Entries: 10, Layers: 3} })
	bomb := tarOf(t, entryOf{Name: "zeros", Size: 600})
	small := tarOf(t, fileOf("f", "1"))
	b.push("fits:v1", imageOf(t, "linux/amd64", v1.Config{}, bomb, small))
	b.push("large:v1", imageOf(t, "linux/amd64", v1.Config{}, bomb, bomb))
	b.push("deep:v1", imageOf(t, "linux/amd64", v1.Config{}, small, small, small, small))
	forms := []runtime.RootfsForm{runtime.RootfsFlat}
	if canLayer {
		forms = append(forms, runtime.RootfsLayers)
	}
	for _, form := range forms {
		b.prepare("fits:v1", form)
		for ref, want := range map[string]string{"large:v1": "bytes", "deep:v1": "it has 4 layers, the limit is 3"} {
			_, err := b.Prepare(t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/amd64", Form: form})
			wantStartError(t, err, runtime.KindCannotPull, 0, want)
		}
	}
}

// hubOf is a transport that answers every request with a status, as Docker Hub does for what it does not show.
func hubOf(t testing.TB, status int) http.RoundTripper {
	t.Helper()
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.URL.Path == "/v2/" {
			w.WriteHeader(200)
		} else {
			w.WriteHeader(status)
		}
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Another registry is asked once a minute what a tag names, with the user's credentials, and does without HEAD; when it is
// away, what was pulled before is used.
func TestOtherRegistry(t *testing.T) {
	t.Parallel()
	var down, headless atomic.Bool
	var manifests atomic.Int64
	inner := ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		switch {
		case down.Load():
			w.WriteHeader(503)
		case user != "me" || pass != "secret":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
		case headless.Load() && r.Method == http.MethodHead:
			w.WriteHeader(405)
		default:
			if strings.Contains(r.URL.Path, "/manifests/") && r.Method != http.MethodPut {
				manifests.Add(1)
			}
			inner.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()
	clock := &struct {
		sync.Mutex
		at time.Time
	}{at: time.Now()}
	keys := keychain{strings.TrimPrefix(srv.URL, "http://"): authn.FromConfig(authn.AuthConfig{Username: "me", Password: "secret"})}
	b := newBench(t, func(o *Options) {
		o.Keychain, o.RetryWait = keys, time.Millisecond
		o.Now = func() time.Time { clock.Lock(); defer clock.Unlock(); return clock.at }
	})
	ref := strings.TrimPrefix(srv.URL, "http://") + "/team/app:v1"
	push := func(body string) string {
		img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", body)))
		idx := indexOf(t, img, imageOf(t, "linux/arm64", v1.Config{}, tarOf(t, fileOf("g", body))))
		check(t, remote.WriteIndex(must(name.ParseReference(ref))(t), idx, remote.WithAuthFromKeychain(keys)))
		return must(img.Digest())(t).String()
	}
	advance := func(d time.Duration) { clock.Lock(); defer clock.Unlock(); clock.at = clock.at.Add(d) }

	one := push("1")
	if p := b.prepare(ref, runtime.RootfsFlat); p.Digest != one || read(t, p.Rootfs+"/f") != "1" || !strings.HasSuffix(p.PullRef, "/team/app@"+one) {
		t.Errorf("%+v", p)
	}
	two := push("2")
	asked := manifests.Load()
	if p := b.prepare(ref, runtime.RootfsFlat); p.Digest != one || manifests.Load() != asked {
		t.Errorf("asked again within a minute: %+v", p)
	}
	advance(2 * time.Minute)
	headless.Store(true)
	if p := b.prepare(ref, runtime.RootfsFlat); p.Digest != two {
		t.Errorf("the tag's new image was not taken: %+v", p)
	}
	down.Store(true)
	advance(2 * time.Minute)
	b.reopen()
	if p := b.prepare(ref, runtime.RootfsFlat); p.Digest != two || read(t, p.Rootfs+"/f") != "2" {
		t.Errorf("without the registry: %+v", p)
	}
	_, err := b.Prepare(t.Context(), Request{Ref: strings.Replace(ref, "v1", "v2", 1), Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
	wantStartError(t, err, runtime.KindCannotPull, 0, "503 Service Unavailable")
	down.Store(false)
	_, err = b.Prepare(t.Context(), Request{Ref: strings.Replace(ref, "v1", "v2", 1), Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
	wantStartError(t, err, runtime.KindCannotPull, 0, "failed to resolve ref "+strings.Replace(ref, "v1", "v2", 1)+": not found")
	if strings.Contains(err.Error(), "and the registry") {
		t.Errorf("%v", err)
	}
}

// TestDockerCredentials pulls with what the user's docker command has been told: in its configuration, or by a helper.
func TestDockerCredentials(t *testing.T) {
	inner := ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "me" || pass != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	ref := host + "/team/app:v1"
	keys := keychain{host: authn.FromConfig(authn.AuthConfig{Username: "me", Password: "secret"})}
	check(t, remote.Write(must(name.ParseReference(ref))(t), imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1"))), remote.WithAuthFromKeychain(keys)))
	dir := t.TempDir()
	helper := "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get " + host + "\" ] && echo '{\"ServerURL\":\"" + host + "\",\"Username\":\"me\",\"Secret\":\"secret\"}'\n"
	check(t, os.WriteFile(filepath.Join(dir, "docker-credential-batchbox-test"), []byte(helper), 0o700)) //nolint:gosec // it is to be executed
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", dir)
	for what, config := range map[string]string{
		"configuration": `{"auths":{"` + host + `":{"auth":"bWU6c2VjcmV0"}}}`,
		"helper":        `{"credHelpers":{"` + host + `":"batchbox-test"}}`,
		"":              `{}`,
	} {
		check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
		b := newBench(t)
		p, err := b.Prepare(t.Context(), Request{Ref: ref, Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
		if what == "" {
			wantStartError(t, err, runtime.KindCannotPull, 0, "failed to resolve ref "+ref+": pull access denied, repository does not exist or may require authorization")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		p.Release()
	}
}

type keychain map[string]authn.Authenticator

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if a, ok := k[r.RegistryStr()]; ok {
		return a, nil
	}
	return authn.Anonymous, nil
}

// An image in AWS's form that is not here comes from AWS only where that is allowed; a short name falls back to Docker
// Hub; another engine on this machine is asked for what is its own.
func TestFallbacks(t *testing.T) {
	t.Parallel()
	inner := ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	var hosts sync.Map
	elsewhere := roundTripper(func(r *http.Request) (*http.Response, error) {
		hosts.Store(r.URL.Host, true)
		w := httptest.NewRecorder()
		in := r.Clone(r.Context())
		if in.Body == nil {
			in.Body = http.NoBody
		}
		inner.ServeHTTP(w, in)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1")))
	const aws = "444455556666.dkr.ecr.us-east-1.amazonaws.com"
	for _, ref := range []string{aws + "/app:v1", "index.docker.io/library/busybox:latest", "127.0.0.1:1/444455556666/us-east-1/app:v1"} {
		check(t, remote.Write(must(name.ParseReference(ref))(t), img, remote.WithTransport(elsewhere)))
	}
	hosts.Clear()
	for _, tc := range []struct {
		ref     string
		pullAWS bool
		host    string // that is asked; "" for none, and an error
	}{
		{aws + "/app:v1", true, aws}, {aws + "/app:v1", false, ""}, {"busybox", false, "index.docker.io"}, {"127.0.0.1:1/444455556666/us-east-1/app:v1", false, "127.0.0.1:1"},
	} {
		b := newBench(t, func(o *Options) { o.Transport, o.PullAWS = elsewhere, tc.pullAWS })
		p, err := b.Prepare(t.Context(), Request{Ref: tc.ref, Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat})
		if (err == nil) != (tc.host != "") {
			t.Errorf("%s: %v", tc.ref, err)
		}
		if err == nil {
			p.Release()
			if _, ok := hosts.Load(tc.host); !ok {
				t.Errorf("%s was not asked", tc.host)
			}
		}
		hosts.Clear()
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	form := runtime.RootfsFlat
	if canLayer {
		form = runtime.RootfsLayers
	}
	at := time.Now().Truncate(time.Second)
	var mu sync.Mutex
	b := newBench(t, func(o *Options) { o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return at } })
	advance := func() { mu.Lock(); defer mu.Unlock(); at = at.Add(2 * time.Hour) }
	base := tarOf(t, entryOf{Name: "base", Size: 1000}, entryOf{Name: "ro", Type: tar.TypeDir, Mode: 0o555})
	digests := map[string]string{}
	for _, n := range []string{"aa", "bb", "cc", "dd"} {
		img := imageOf(t, "linux/amd64", v1.Config{}, base, tarOf(t, entryOf{Name: n, Size: 100}))
		digests[n] = must(img.Digest())(t).String()
		b.push(n, img)
		b.prepare(n, form).Release()
		advance()
	}
	none := func(string) bool { return false }
	size := int64(1000 + 4*100) // the base is shared
	if form == runtime.RootfsFlat {
		size = 4 * 1100
	}
	got := must(b.Collect(t.Context(), size, none))(t)
	if got != (Collected{Kept: size}) {
		t.Errorf("nothing had to go: %+v", got)
	}

	// aa is used again, bb is held, cc runs on from before: dd goes.
	b.prepare("aa", form).Release()
	held := b.prepare("bb", form)
	b.reopenKeepingLeases(t, held)
	got = must(b.Collect(t.Context(), size-1, func(d string) bool { return d == digests["cc"] || d == digests["bb"] }))(t)
	if got.Images != 1 || got.Freed < 100 {
		t.Errorf("collected %+v", got)
	}
	if _, err := os.Stat(b.recordFile(digests["dd"])); err == nil {
		t.Error("dd is still there")
	}
	for _, n := range []string{"aa", "bb", "cc"} {
		if _, err := os.Stat(b.recordFile(digests[n])); err != nil {
			t.Errorf("%s is gone", n)
		}
	}
	// What can not be removed stays whatever the bound; what was removed comes back when it is wanted.
	p := b.prepare("aa", form)
	got = must(b.Collect(t.Context(), 0, func(d string) bool { return d == digests["bb"] }))(t)
	if got.Images != 1 {
		t.Errorf("collected %+v", got)
	}
	p.Release()
	p.Release() // twice is once
	got = must(b.Collect(t.Context(), 0, none))(t)
	if got.Images != 2 || got.Kept != 0 {
		t.Errorf("collected %+v", got)
	}
	for _, d := range []string{"flat", "layers", "images", "tmp"} {
		if entries := must(os.ReadDir(filepath.Join(b.opts.Dir, d)))(t); len(entries) != 0 {
			t.Errorf("%s: %v", d, entries)
		}
	}
	b.prepare("dd", form)
}

// reopenKeepingLeases opens the cache anew; what p held is then held by nobody this process knows of.
func (b *bench) reopenKeepingLeases(t *testing.T, p *Prepared) {
	t.Helper()
	b.reopen()
	p.Release()
}

// Pulls and collections at the same time: whoever has an image has all of it.
func TestCollectRace(t *testing.T) {
	t.Parallel()
	form := runtime.RootfsFlat
	if canLayer {
		form = runtime.RootfsLayers
	}
	b := newBench(t)
	base := tarOf(t, fileOf("base", "1"))
	for i := range 3 {
		b.push(fmt.Sprintf("app%d", i), imageOf(t, "linux/amd64", v1.Config{}, base, tarOf(t, fileOf("top", fmt.Sprint(i)))))
	}
	ctx, stop := context.WithCancel(t.Context())
	var collector, users sync.WaitGroup
	collector.Go(func() {
		for ctx.Err() == nil {
			if _, err := b.Collect(t.Context(), 0, func(string) bool { return false }); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 3 {
		users.Go(func() {
			for range 15 {
				p, err := b.Prepare(ctx, Request{Ref: fmt.Sprintf("app%d", i), Partition: def, Platform: "linux/amd64", Form: form})
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range []struct{ dir, name, want string }{{first(p), "base", "1"}, {last(p), "top", fmt.Sprint(i)}} {
					if got, err := os.ReadFile(filepath.Join(f.dir, f.name)); err != nil || string(got) != f.want {
						t.Errorf("%s: %q, %v", f.name, got, err)
					}
				}
				p.Release()
			}
		})
	}
	users.Wait()
	stop()
	collector.Wait()
}

func first(p *Prepared) string {
	if p.Layers != nil {
		return p.Layers[0]
	}
	return p.Rootfs
}

func last(p *Prepared) string {
	if p.Layers != nil {
		return p.Layers[len(p.Layers)-1]
	}
	return p.Rootfs
}

// What a crash leaves does no harm and does not stay.
func TestOpenAfterCrash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1")))
	b.push("app", img)
	digest := must(img.Digest())(t).String()
	b.prepare("app", runtime.RootfsFlat).Release()

	half := filepath.Join(b.opts.Dir, "tmp", "unpack-1", "ro")
	check(t, os.MkdirAll(filepath.Join(half, "x"), 0o700))
	check(t, os.Chmod(half, 0o500))
	check(t, os.WriteFile(filepath.Join(b.opts.Dir, "images", strings.Repeat("0", 64)+".json"), []byte("{"), 0o600))
	check(t, os.MkdirAll(filepath.Join(b.opts.Dir, "flat", strings.Repeat("1", 64)), 0o700))
	// The files of a record are gone.
	check(t, removeTree(fsys.OS, b.flatDir(digest)))
	b.reopen()
	if p := b.prepare("app", runtime.RootfsFlat); read(t, p.Rootfs+"/f") != "1" {
		t.Errorf("%+v", p)
	}
	must(b.Collect(t.Context(), 1<<40, func(string) bool { return false }))(t)
	for d, want := range map[string]int{"tmp": 0, "images": 1, "flat": 1} {
		if entries := must(os.ReadDir(filepath.Join(b.opts.Dir, d)))(t); len(entries) != want {
			t.Errorf("%s: %v", d, entries)
		}
	}
}

func TestRootlessLayers(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Linux)
	b := newBench(t, func(o *Options) { o.Rootless = true })
	b.push("app", imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, entryOf{Name: "f", Body: "1", UID: 12345}, entryOf{Name: "d", Type: tar.TypeDir, Mode: 0o500}), tarOf(t, fileOf(".wh.f", ""))))
	p := b.prepare("app", runtime.RootfsLayers)
	if len(p.Layers) != 2 {
		t.Fatalf("%+v", p)
	}
	if st := must(os.Lstat(p.Layers[0] + "/f"))(t).Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() {
		t.Errorf("the file belongs to user %d", st.Uid)
	}
}

func TestPartitionOfRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Transport = hubOf(t, 404) })
	b.push("app", imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1"))))
	_, err := b.Prepare(t.Context(), Request{Ref: "app", Partition: batch.Partition{Account: "999999999999", Region: def.Region}, Platform: "linux/amd64", Form: runtime.RootfsFlat})
	wantStartError(t, err, runtime.KindCannotPull, 0, "the registry of account 999999999999 in eu-central-1 has no repository 'app'")
}

func BenchmarkPrepareWarm(b *testing.B) {
	bn := newBench(b)
	bn.push("app:v1", indexOf(b, imageOf(b, "linux/amd64", v1.Config{}, tarOf(b, fileOf("f", "1")))))
	req := Request{Ref: bn.endpoint.RepositoryURI(def, "app:v1"), Partition: def, Platform: "linux/amd64", Form: runtime.RootfsFlat}
	must(bn.Prepare(b.Context(), req))(b).Release()
	b.ReportAllocs()
	for b.Loop() {
		p, err := bn.Prepare(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}

// BenchmarkUnpack unpacks an image of 5,000 files of 4 KiB in 500 directories.
func BenchmarkUnpack(b *testing.B) {
	var entries []entryOf
	for d := range 500 {
		dir := fmt.Sprintf("usr/lib/python3/pkg%d/", d)
		entries = append(entries, dirOf(dir))
		for f := range 10 {
			entries = append(entries, fileOf(fmt.Sprintf("%sfile%d.py", dir, f), strings.Repeat("x", 4096)))
		}
	}
	raw := tarOf(b, entries...)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		_, err := flat(b, Limits{}, raw)
		check(b, err)
	}
}
