package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/registry/registrytest"
)

var (
	def   = batch.Partition{Account: "111122223333", Region: "eu-central-1"}
	other = batch.Partition{Account: "444455556666", Region: "us-east-1"}
)

// bench is a registry behind a real listener.
type bench struct {
	*registry.Registry
	t        testing.TB
	dir      string
	docs     *registrytest.Docs
	opts     registry.Options
	srv      *httptest.Server
	endpoint registry.Endpoint
	clock    *clock
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newBench(t testing.TB, change ...func(*registry.Options, *registry.HandlerOptions)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), docs: registrytest.NewDocs(), clock: &clock{at: time.Now()}}
	b.opts = registry.Options{Dir: b.dir, Docs: b.docs, Default: def, Now: b.clock.now, Log: slog.New(slog.DiscardHandler)}
	var ho registry.HandlerOptions
	for _, c := range change {
		c(&b.opts, &ho)
	}
	b.reopen()
	var h http.Handler
	b.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	b.endpoint = registry.Endpoint{Host: b.srv.Listener.Addr().String()}
	ho.Endpoint = b.endpoint
	h = b.Handler(ho)
	b.srv.Start()
	t.Cleanup(b.srv.Close)
	return b
}

// reopen reads the registry's records again, as a new engine would.
func (b *bench) reopen() {
	b.t.Helper()
	r, err := registry.Open(context.Background(), b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Registry = r
}

func (b *bench) ref(p batch.Partition, s string) name.Reference {
	b.t.Helper()
	return must(name.ParseReference(b.endpoint.RepositoryURI(p, s)))(b.t)
}

// must unwraps a pair and fails the test on an error: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func wantCode(t testing.TB, err error, code registry.Code) *registry.Error {
	t.Helper()
	var e *registry.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got error %v (%T), want code %d", err, err, code)
	}
	return e
}

// The client library of crane, ko and kaniko pushes, reads back and verifies images and indexes.
func TestRemoteClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := must(random.Image(10_000, 3))(t)
	ref := b.ref(def, "team/app:v1")
	check(t, remote.Write(ref, img))

	got := must(remote.Image(ref))(t)
	check(t, validate.Image(got))
	if g, w := must(got.Digest())(t), must(img.Digest())(t); g != w {
		t.Errorf("digest %s, pushed %s", g, w)
	}
	head := must(remote.Head(ref))(t)
	if head.Digest != must(img.Digest())(t) || head.Size != must(img.Size())(t) {
		t.Errorf("HEAD says %+v", head)
	}

	idx := must(random.Index(2_000, 2, 3))(t)
	iref := b.ref(other, "team/app:multi")
	check(t, remote.WriteIndex(iref, idx))
	check(t, validate.Index(must(remote.Index(iref))(t)))
	check(t, validate.Image(must(remote.Image(b.ref(other, "team/app@"+must(idx.IndexManifest())(t).Manifests[1].Digest.String())))(t)))

	// A second tag, the list of tags in pages, and their removal.
	check(t, remote.Tag(ref.Context().Tag("v2"), img))
	check(t, remote.Tag(ref.Context().Tag("a"), img))
	if tags := must(remote.List(ref.Context(), remote.WithPageSize(2)))(t); fmt.Sprint(tags) != "[a v1 v2]" {
		t.Errorf("tags %v", tags)
	}
	check(t, remote.Delete(ref.Context().Tag("a")))
	check(t, remote.Delete(ref.Context().Digest(must(img.Digest())(t).String())))
	if tags := must(remote.List(ref.Context()))(t); len(tags) != 0 {
		t.Errorf("tags %v after the image was deleted", tags)
	}
	if _, err := remote.Head(ref); err == nil {
		t.Error("a deleted image is still there")
	}

	// What a new engine finds is the same.
	b.reopen()
	if _, err := b.Resolve(def, "team/app", "v1", ""); err == nil {
		t.Error("a deleted image came back")
	}
	again := must(b.Resolve(other, "team/app", "multi", ""))(t)
	if again.Digest != must(idx.Digest())(t).String() || !again.IsIndex() || len(again.Manifests) != 3 {
		t.Errorf("after reopening: %+v", again)
	}
}

// Sixteen clients push images that share a layer, to one repository, while others read its tags.
func TestConcurrentPushes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	base := must(random.Image(50_000, 1))(t)
	var wg sync.WaitGroup
	for i := range 16 {
		img := must(mutate.AppendLayers(base, must(random.Layer(1000, "application/vnd.oci.image.layer.v1.tar+gzip"))(t)))(t)
		ref := b.ref(def, fmt.Sprintf("app:t%d", i))
		wg.Go(func() {
			err := remote.Write(ref, img)
			if err == nil {
				_, err = remote.List(ref.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if tags := must(b.Tags(def, "app"))(t); len(tags) != 16 {
		t.Errorf("%d tags", len(tags))
	}
	entries := must(os.ReadDir(filepath.Join(b.dir, "uploads")))(t)
	if len(entries) != 0 {
		t.Errorf("%d uploads left", len(entries))
	}
}

// A client that stands still in the middle of a body holds nobody up.
func TestStalledUploadBlocksNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := must(b.StartUpload(def, "app"))(t)
	pr, pw := io.Pipe()
	stalled := make(chan error, 1)
	go func() {
		req, err := http.NewRequest("PATCH", b.srv.URL+"/v2/app/blobs/uploads/"+id, pr)
		if err == nil {
			var resp *http.Response
			if resp, err = http.DefaultClient.Do(req); err == nil {
				err = resp.Body.Close()
			}
		}
		stalled <- err
	}()
	_, err := pw.Write([]byte("some bytes"))
	check(t, err)

	check(t, remote.Write(b.ref(def, "app:v1"), must(random.Image(1000, 2))(t)))
	check(t, validate.Image(must(remote.Image(b.ref(def, "app:v1")))(t)))
	// The upload itself is its client's: once the first has begun to write, a second writer is told so.
	for entries := must(os.ReadDir(filepath.Join(b.dir, "uploads")))(t); must(entries[0].Info())(t).Size() < 10; {
		entries = must(os.ReadDir(filepath.Join(b.dir, "uploads")))(t)
	}
	wantCode(t, second(b.Append(t.Context(), def, "app", id, strings.NewReader(""), -1, -1)), registry.UploadBusy)
	check(t, pw.Close())
	check(t, <-stalled)
	if n := must(b.UploadSize(def, "app", id))(t); n != 10 {
		t.Errorf("upload has %d bytes", n)
	}
}

// An upload survives a broken connection and a new engine, and goes on where it stood.
func TestUploadResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	digest := digestOf(content)
	id := must(b.StartUpload(def, "app"))(t)

	broken := io.MultiReader(bytes.NewReader(content[:300_000]), errReader{})
	if _, err := b.Append(t.Context(), def, "app", id, broken, 0, int64(len(content))); err == nil {
		t.Fatal("a broken body was taken for whole")
	}
	n := must(b.UploadSize(def, "app", id))(t)
	if n != 300_000 {
		t.Fatalf("%d bytes stayed", n)
	}
	b.reopen()
	e := wantCode(t, second(b.Append(t.Context(), def, "app", id, bytes.NewReader(content), 0, -1)), registry.UploadRange)
	if e.Offset != 300_000 {
		t.Errorf("told to go on at %d", e.Offset)
	}
	check(t, second(b.Append(t.Context(), def, "app", id, bytes.NewReader(content[300_000:]), 300_000, 700_000)))
	wantCode(t, second(b.FinishUpload(t.Context(), other, "app", id, digest, nil)), registry.UploadNotFound)
	if size := must(b.FinishUpload(t.Context(), def, "app", id, digest, nil))(t); size != 1_000_000 {
		t.Errorf("size %d", size)
	}
	f := must(b.OpenBlob(digest))(t)
	defer f.Close()
	if got := must(io.ReadAll(f))(t); !bytes.Equal(got, content) {
		t.Error("content differs")
	}
	wantCode(t, second(b.UploadSize(def, "app", id)), registry.UploadNotFound)
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func second[T any](_ T, err error) error { return err }

func TestStrict(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *registry.Options, _ *registry.HandlerOptions) { o.Strict = true })
	img := must(random.Image(1000, 1))(t)
	err := remote.Write(b.ref(def, "app:v1"), img)
	if err == nil || !strings.Contains(err.Error(), "The repository with name 'app' does not exist in the registry with id '111122223333'") {
		t.Fatalf("push to a missing repository: %v", err)
	}
	check(t, second(b.CreateRepository(t.Context(), def, registry.Repository{Name: "app"})))
	check(t, remote.Write(b.ref(def, "app:v1"), img))
}

func TestTagMutability(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		mutability string
		exclusions []string
		tag        string
		want       bool
	}{
		{registry.Mutable, nil, "v1", true},
		{registry.Immutable, nil, "v1", false},
		{registry.ImmutableWithExclusion, []string{"latest", "dev-*"}, "v1", false},
		{registry.ImmutableWithExclusion, []string{"latest", "dev-*"}, "dev-7", true},
		{registry.MutableWithExclusion, []string{"v*"}, "v1", false},
		{registry.MutableWithExclusion, []string{"v*"}, "latest", true},
	} {
		t.Run(tc.mutability+"/"+tc.tag, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			check(t, second(b.CreateRepository(t.Context(), def, registry.Repository{Name: "app", TagMutability: tc.mutability, Exclusions: tc.exclusions})))
			one, two := must(random.Image(100, 1))(t), must(random.Image(100, 1))(t)
			check(t, remote.Write(b.ref(def, "app:"+tc.tag), one))
			check(t, remote.Write(b.ref(def, "app:"+tc.tag), one)) // the same image again is no change
			err := remote.Write(b.ref(def, "app:"+tc.tag), two)
			if tc.want {
				check(t, err)
				return
			}
			want := "The image tag '" + tc.tag + "' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "TAG_INVALID") {
				t.Errorf("got %v", err)
			}
			if img := must(b.Resolve(def, "app", tc.tag, ""))(t); img.Digest != must(one.Digest())(t).String() {
				t.Error("the tag moved")
			}
		})
	}
}

// What could not be committed is not seen, then or later.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := must(random.Image(100, 1))(t)
	check(t, remote.Write(b.ref(def, "app:v1"), img))
	digest := must(img.Digest())(t).String()

	full := errors.New("disk full")
	b.docs.Fail(full)
	ctx := t.Context()
	raw := must(b.Manifest(must(b.Resolve(def, "app", "v1", ""))(t)))(t)
	for what, err := range map[string]error{
		"CreateRepository": second(b.CreateRepository(ctx, def, registry.Repository{Name: "new"})),
		"UpdateRepository": second(b.UpdateRepository(ctx, def, "app", func(r *registry.Repository) error { r.Policy = "x"; return nil })),
		"DeleteRepository": second(b.DeleteRepository(ctx, def, "app", true)),
		"PutImage":         second(b.PutImage(ctx, def, "app", registry.Put{Manifest: raw, Tag: "v2"})),
		"PutImage new":     second(b.PutImage(ctx, other, "app", registry.Put{Manifest: raw, Tag: "v2"})),
		"Untag":            second(b.Untag(ctx, def, "app", "v1", false)),
		"DeleteImage":      second(b.DeleteImage(ctx, def, "app", digest)),
	} {
		if !errors.Is(err, full) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 2 {
		if recs := b.Repositories(def); len(recs) != 1 || recs[0].Policy != "" {
			t.Errorf("repositories %+v", recs)
		}
		if len(b.Repositories(other)) != 0 {
			t.Error("a repository appeared")
		}
		if tags := must(b.Tags(def, "app"))(t); fmt.Sprint(tags) != "[v1]" {
			t.Errorf("tags %v", tags)
		}
		b.reopen()
	}
}

func TestPutImageChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := must(random.Image(100, 1))(t)
	check(t, remote.Write(b.ref(def, "app:v1"), img))
	raw := must(img.RawManifest())(t)
	ctx := t.Context()

	put := func(change func(m map[string]any)) error {
		var m map[string]any
		check(t, json.Unmarshal(raw, &m))
		change(m)
		return second(b.PutImage(ctx, def, "app", registry.Put{Manifest: must(json.Marshal(m))(t), Tag: "x"}))
	}
	layer := func(m map[string]any) map[string]any { return m["layers"].([]any)[0].(map[string]any) }
	absent := "sha256:" + strings.Repeat("0", 64)

	e := wantCode(t, put(func(m map[string]any) { layer(m)["digest"] = absent }), registry.BlobsMissing)
	if fmt.Sprint(e.Detail) != "["+absent+"]" {
		t.Errorf("missing %v", e.Detail)
	}
	check(t, put(func(m map[string]any) {
		layer(m)["digest"] = absent
		layer(m)["urls"] = []string{"https://example.com/x"}
	}))
	wantCode(t, put(func(m map[string]any) { layer(m)["size"] = 7 }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { layer(m)["size"] = -1 }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { layer(m)["digest"] = "md5:abc" }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { delete(m, "config") }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { m["manifests"] = []any{} }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { m["schemaVersion"] = 1 }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { m["mediaType"] = "text/plain" }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { delete(m, "mediaType") }), registry.ManifestInvalid)
	wantCode(t, put(func(m map[string]any) { m["mediaType"] = registry.MediaTypeOCIIndex }), registry.ManifestInvalid)

	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"x","digest":%q,"size":1}]}`, registry.MediaTypeOCIIndex, absent)
	e = wantCode(t, second(b.PutImage(ctx, def, "app", registry.Put{Manifest: []byte(index), Tag: "x"})), registry.ImagesMissing)
	if want := "Images with digests '[" + absent + "]' required for pushing image into repository with name 'app' in the registry with id '111122223333' do not exist"; e.Message != want {
		t.Error(e.Message)
	}
	wantCode(t, second(b.PutImage(ctx, def, "app", registry.Put{Manifest: raw, Digest: absent})), registry.DigestMismatch)
	wantCode(t, second(b.PutImage(ctx, def, "app", registry.Put{Manifest: raw, Tag: "v1", New: true})), registry.ImageExists)
	wantCode(t, second(b.PutImage(ctx, def, "none", registry.Put{Manifest: raw, Tag: "v1", NoCreate: true})), registry.RepositoryNotFound)
	wantCode(t, second(b.PutImage(ctx, def, "app", registry.Put{Manifest: raw, Tag: "no good"})), registry.TagInvalid)
	wantCode(t, second(b.PutImage(ctx, def, "app", registry.Put{Manifest: bytes.Repeat([]byte(" "), 5<<20)})), registry.TooLarge)
}

func TestDeleteReferenced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	idx := must(random.Index(100, 1, 2))(t)
	check(t, remote.WriteIndex(b.ref(def, "app:multi"), idx))
	child := must(idx.IndexManifest())(t).Manifests[0].Digest.String()
	check(t, second(b.PutImage(t.Context(), def, "app", registry.Put{Manifest: must(b.Manifest(must(b.Resolve(def, "app", "", child))(t)))(t), Tag: "child"})))

	wantCode(t, second(b.DeleteImage(t.Context(), def, "app", child)), registry.ImageReferenced)
	wantCode(t, second(b.Untag(t.Context(), def, "app", "child", true)), registry.ImageReferenced)
	check(t, second(b.Untag(t.Context(), def, "app", "child", false)))
	if tags := must(b.DeleteImage(t.Context(), def, "app", must(idx.Digest())(t).String()))(t); fmt.Sprint(tags) != "[multi]" {
		t.Errorf("tags %v", tags)
	}
	check(t, second(b.DeleteImage(t.Context(), def, "app", child)))

	wantCode(t, second(b.DeleteRepository(t.Context(), def, "app", false)), registry.RepositoryNotEmpty)
	check(t, second(b.DeleteRepository(t.Context(), def, "app", true)))
	wantCode(t, second(b.Repository(def, "app")), registry.RepositoryNotFound)
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	keep, drop := must(random.Image(1000, 2))(t), must(random.Image(1000, 2))(t)
	check(t, remote.Write(b.ref(def, "keep:v1"), keep))
	check(t, remote.Write(b.ref(def, "drop:v1"), drop))
	id := must(b.StartUpload(def, "app"))(t)
	check(t, second(b.Append(ctx, def, "app", id, strings.NewReader("abc"), -1, -1)))
	check(t, second(b.DeleteRepository(ctx, def, "drop", true)))

	b.clock.advance(23 * time.Hour)
	if s := must(b.Sweep(ctx))(t); s != (registry.Swept{}) {
		t.Errorf("swept %+v inside the grace period", s)
	}
	// A use makes a blob young again.
	layer := must(must(drop.Layers())(t)[0].Digest())(t).String()
	check(t, second(b.StatBlob(layer)))
	b.clock.advance(2 * time.Hour)
	s := must(b.Sweep(ctx))(t)
	if s.Blobs != 3 || s.Uploads != 1 { // manifest, config and one layer
		t.Errorf("swept %+v", s)
	}
	check(t, second(b.StatBlob(layer)))
	check(t, validate.Image(must(remote.Image(b.ref(def, "keep:v1")))(t)))
	wantCode(t, second(b.UploadSize(def, "app", id)), registry.UploadNotFound)

	b.clock.advance(25 * time.Hour)
	if s := must(b.Sweep(ctx))(t); s.Blobs != 1 {
		t.Errorf("swept %+v", s)
	}
	check(t, validate.Image(must(remote.Image(b.ref(def, "keep:v1")))(t)))
	wantCode(t, b.DeleteBlob(must(must(keep.Layers())(t)[0].Digest())(t).String()), registry.BlobReferenced)
}

// Deleting and pushing the same image over and over while sweeping without grace never leaves an image without its blobs.
func TestSweepRace(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *registry.Options, _ *registry.HandlerOptions) { o.Grace = time.Nanosecond })
	img := must(random.Image(100, 1))(t)
	digest := must(img.Digest())(t).String()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			b.clock.advance(time.Second)
			if _, err := b.Sweep(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for range 30 {
		// A push may fail because its blobs were swept before the manifest came; one that succeeds is whole.
		if err := remote.Write(b.ref(def, "app:v1"), img); err != nil {
			continue
		}
		rec := must(b.Resolve(def, "app", "v1", ""))(t)
		for _, d := range append([]string{rec.Digest}, rec.Blobs...) {
			check(t, second(b.StatBlob(d)))
		}
		check(t, second(b.DeleteImage(t.Context(), def, "app", digest)))
	}
	stop()
	wg.Wait()
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *registry.Options, h *registry.HandlerOptions) { h.RequireAuth = true })
	status := func(user, password, path string) (int, string) {
		req := must(http.NewRequest("GET", b.srv.URL+path, nil))(t)
		if password != "" {
			req.SetBasicAuth(user, password)
		}
		resp := must(http.DefaultClient.Do(req))(t)
		defer resp.Body.Close()
		body := must(io.ReadAll(resp.Body))(t)
		return resp.StatusCode, resp.Header.Get("WWW-Authenticate") + string(body)
	}
	token, expires, err := b.IssueToken(other, registry.TokenLife)
	check(t, err)
	if life := expires.Sub(b.clock.now()); life > 12*time.Hour || life < 12*time.Hour-2*time.Second {
		t.Errorf("token lives %v", life)
	}
	if code, body := status("", "", "/v2/"); code != 401 || !strings.HasPrefix(body, `Basic realm="`+b.srv.URL+`/"`) {
		t.Errorf("no credentials: %d %s", code, body)
	}
	for what, password := range map[string]string{"made up": "secret", "no base64": "!.!", "no signature": strings.Split(token, ".")[0] + ".", "tampered": "x" + token} {
		if code, body := status("AWS", password, "/v2/"); code != 401 {
			t.Errorf("%s: %d %s", what, code, body)
		}
	}
	if code, body := status("AWS", token, "/v2/"); code != 200 {
		t.Errorf("good token: %d %s", code, body)
	}
	// The token says whose a short name is, and whose it is not.
	check(t, second(b.CreateRepository(t.Context(), other, registry.Repository{Name: "app"})))
	if code, body := status("AWS", token, "/v2/app/tags/list"); code != 200 {
		t.Errorf("short name: %d %s", code, body)
	}
	if code, body := status("AWS", token, "/v2/111122223333/us-east-1/app/tags/list"); code != 403 {
		t.Errorf("another account: %d %s", code, body)
	}
	b.clock.advance(12 * time.Hour)
	if code, body := status("AWS", token, "/v2/"); code != 401 || !strings.Contains(body, "expired") {
		t.Errorf("old token: %d %s", code, body)
	}

	// A download URL needs no credentials, for an hour.
	id := must(b.StartUpload(other, "app"))(t)
	check(t, second(b.FinishUpload(t.Context(), other, "app", id, digestOf([]byte("abc")), strings.NewReader("abc"))))
	u := must(b.DownloadURL(b.endpoint, other, "app", digestOf([]byte("abc"))))(t)
	path := strings.TrimPrefix(u, b.srv.URL)
	if code, body := status("", "", path); code != 200 || body != "abc" {
		t.Errorf("download URL: %d %s", code, body)
	}
	b.clock.advance(time.Hour)
	if code, _ := status("", "", path); code != 401 {
		t.Errorf("old download URL: %d", code)
	}
	// The key is kept.
	token, _, err = b.IssueToken(other, registry.TokenLife)
	check(t, err)
	b.reopen()
	if p := must(b.CheckToken(token))(t); p != other {
		t.Errorf("token of %+v", p)
	}
}

// A request that was sent to AWS's own host name finds the same repository.
func TestHostForm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := must(random.Image(100, 1))(t)
	check(t, remote.Write(b.ref(other, "app:v1"), img))
	_, port, _ := strings.Cut(b.endpoint.Host, ":")
	for _, host := range []string{
		"444455556666.dkr.ecr.us-east-1.amazonaws.com",
		"444455556666.dkr.ecr.us-east-1.localhost:" + port,
	} {
		req := must(http.NewRequest("HEAD", b.srv.URL+"/v2/app/manifests/v1", nil))(t)
		req.Host = host
		resp := must(http.DefaultClient.Do(req))(t)
		check(t, resp.Body.Close())
		if got := resp.Header.Get("Docker-Content-Digest"); got != must(img.Digest())(t).String() {
			t.Errorf("%s: %s %s", host, resp.Status, got)
		}
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	img := must(random.Image(100, 1))(t)
	check(t, remote.Write(b.ref(def, "app:v1"), img))
	desc := must(remote.Head(b.ref(def, "app:v1")))(t)
	sig := mutate.ConfigMediaType(must(random.Image(10, 1))(t), "application/vnd.example.sig")
	sig = mutate.Subject(mutate.MediaType(sig, registry.MediaTypeOCIManifest), v1.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}).(v1.Image)
	check(t, remote.Write(b.ref(def, "app:sig"), sig))

	dig := must(name.NewDigest(b.endpoint.RepositoryURI(def, "app") + "@" + desc.Digest.String()))(t)
	for artifactType, want := range map[string]int{"": 1, "application/vnd.example.sig": 1, "other": 0} {
		var opts []remote.Option
		if artifactType != "" {
			opts = append(opts, remote.WithFilter("artifactType", artifactType))
		}
		idx := must(remote.Referrers(dig, opts...))(t)
		if got := must(idx.IndexManifest())(t).Manifests; len(got) != want {
			t.Errorf("artifactType %q: %+v", artifactType, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(dir, nil, 0o600))
	if _, err := registry.Open(t.Context(), registry.Options{Dir: dir, Docs: registrytest.NewDocs()}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func BenchmarkPush5MB(b *testing.B) {
	bn := newBench(b)
	imgs := make([]v1.Image, b.N)
	for i := range imgs {
		l := must(random.Layer(5<<20, "application/vnd.oci.image.layer.v1.tar"))(b)
		imgs[i] = must(mutate.AppendLayers(empty.Image, l))(b)
		must(imgs[i].Digest())(b)
	}
	b.SetBytes(5 << 20)
	b.ResetTimer()
	for i, img := range imgs {
		check(b, remote.Write(bn.ref(def, fmt.Sprintf("app:t%d", i)), img))
	}
}

func BenchmarkResolve(b *testing.B) {
	bn := newBench(b)
	check(b, remote.Write(bn.ref(def, "app:v1"), must(random.Image(100, 1))(b)))
	b.ReportAllocs()
	for b.Loop() {
		check(b, second(bn.Resolve(def, "app", "v1", "")))
	}
}
