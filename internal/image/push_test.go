package image

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/batchbox/batchbox/internal/api/ecr"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/registry/registrytest"
	"github.com/batchbox/batchbox/internal/runtime"
)

// engineOf serves a registry that demands credentials, and the ECR API, on one address.
func engineOf(t testing.TB) (*registry.Registry, *sdk.Client) {
	t.Helper()
	docs := registrytest.NewDocs()
	reg := must(registry.Open(t.Context(), registry.Options{Dir: t.TempDir(), Docs: docs, Default: def, Strict: true, Log: slog.New(slog.DiscardHandler)}))(t)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	endpoint := registry.Endpoint{Host: strings.TrimPrefix(srv.URL, "http://")}
	svc := must(ecr.New(ecr.Options{Registry: reg, Docs: docs, Endpoint: endpoint}))(t)
	wire := must(awswire.NewMux(awswire.Options{Services: []*awswire.Service{svc}, DefaultAccount: def.Account, DefaultRegion: def.Region, Logger: slog.New(slog.DiscardHandler)}))(t)
	mux.Handle("/v2/", reg.Handler(registry.HandlerOptions{Endpoint: endpoint, RequireAuth: true}))
	mux.Handle("/", wire)
	return reg, sdk.New(sdk.Options{Region: def.Region, BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider(def.Account, "x", ""), RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client()})
}

// A name is enough to push an image to ECR: repository and credentials come from its API.
func TestPushToECR(t *testing.T) {
	t.Parallel()
	reg, client := engineOf(t)
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1")))
	host := strings.TrimPrefix(*client.Options().BaseEndpoint, "http://")
	for _, tc := range []struct{ ref, want string }{
		{"batchworker", host + "/111122223333/eu-central-1/batchworker:latest"},
		{"team/batchworker:v1", host + "/111122223333/eu-central-1/team/batchworker:v1"},
		{"team/batchworker:v2", host + "/111122223333/eu-central-1/team/batchworker:v2"}, // exists by now
		{"111122223333.dkr.ecr.eu-central-1.amazonaws.com/batchworker:v3", host + "/111122223333/eu-central-1/batchworker:v3"},
		{host + "/111122223333/eu-central-1/batchworker:v4", host + "/111122223333/eu-central-1/batchworker:v4"},
	} {
		target := must(Target(t.Context(), client, tc.ref))(t)
		if target != tc.want {
			t.Errorf("%s: target %s, want %s", tc.ref, target, tc.want)
			continue
		}
		if _, err := Push(t.Context(), target, img, PushOptions{ECR: client, Keychain: keychain{}}); err != nil {
			t.Errorf("%s: %v", tc.ref, err)
		}
	}
	for _, n := range []string{"batchworker", "team/batchworker"} {
		if tags := must(reg.Tags(def, n))(t); len(tags) == 0 {
			t.Errorf("%s has no tags", n)
		}
	}
	if _, err := Push(t.Context(), host+"/batchworker:v5", img, PushOptions{Keychain: keychain{}}); err == nil {
		t.Error("pushed without credentials")
	}
	if got := must(Target(t.Context(), client, "ghcr.io/x/y:z"))(t); got != "ghcr.io/x/y:z" {
		t.Errorf("another registry became %s", got)
	}
	for ref, want := range map[string]string{
		"111122223333.dkr.ecr.us-east-1.amazonaws.com/batchworker:v1": "is in us-east-1, but requests go to eu-central-1",
		"111122223333.dkr.ecr.eu-central-1.amazonaws.com/none:v1":     "The repository with name 'none' does not exist",
		"batchworker@sha256:" + strings.Repeat("0", 64):               "a digest can't be pushed to",
		"Upper": "not a valid repository name",
	} {
		if _, err := Target(t.Context(), client, ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// With real ECR the token is for every account's registry in the client's region, and for no other host.
func TestECRCredentials(t *testing.T) {
	t.Parallel()
	const host = "111122223333.dkr.ecr.eu-central-1.amazonaws.com"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"authorizationData":[{"authorizationToken":"`+base64.StdEncoding.EncodeToString([]byte("AWS:pw"))+`","proxyEndpoint":"https://`+host+`"}]}`)
	}))
	defer srv.Close()
	client := sdk.New(sdk.Options{Region: def.Region, BaseEndpoint: aws.String(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "x", "")})
	k := &pushKeychain{ctx: t.Context(), o: PushOptions{ECR: client, Keychain: keychain{}}}
	for h, want := range map[string]string{host: "pw", "999999999999" + host[12:]: "pw", "111122223333.dkr.ecr.us-east-1.amazonaws.com": "", "ghcr.io": "", "127.0.0.1:1": ""} {
		auth := must(k.Resolve(must(name.NewRegistry(h))(t)))(t)
		if got := must(auth.Authorization())(t).Password; got != want {
			t.Errorf("%s: password %q", h, got)
		}
	}
}

func TestOpenArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	img := imageOf(t, "linux/amd64", v1.Config{}, tarOf(t, fileOf("f", "1")))
	idx := indexOf(t, img, imageOf(t, "linux/arm64", v1.Config{}, tarOf(t, fileOf("g", "1"))))

	saved := filepath.Join(dir, "saved.tar")
	check(t, tarball.MultiWriteToFile(saved, map[name.Tag]v1.Image{
		must(name.NewTag("app:v1"))(t): img, must(name.NewTag("example.com/app:v2"))(t): img,
	}))
	zipped := filepath.Join(dir, "saved.tar.gz")
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	_, err := gz.Write(must(os.ReadFile(saved))(t))
	check(t, err)
	check(t, gz.Close())
	check(t, os.WriteFile(zipped, buf.Bytes(), 0o600))

	oci := filepath.Join(dir, "oci")
	lp := must(layout.Write(oci, indexOf(t)))(t)
	check(t, lp.AppendImage(img, layout.WithAnnotations(map[string]string{annotationRefName: "v1"})))
	check(t, lp.AppendIndex(idx, layout.WithAnnotations(map[string]string{annotationImageName: "docker.io/library/app:multi", annotationRefName: "multi"})))
	ociTar := filepath.Join(dir, "oci.tar")
	var entries []entryOf
	for _, l := range []string{"oci-layout", "index.json"} {
		entries = append(entries, fileOf(l, read(t, filepath.Join(oci, l))))
	}
	for _, e := range must(os.ReadDir(filepath.Join(oci, "blobs", "sha256")))(t) {
		p := filepath.Join("blobs", "sha256", e.Name())
		entries = append(entries, fileOf(p, read(t, filepath.Join(oci, p))))
	}
	check(t, os.WriteFile(ociTar, tarOf(t, entries...), 0o600))

	b := newBench(t)
	for file, want := range map[string]map[string]string{
		saved:  {"app:v1": "", "example.com/app:v2": ""},
		zipped: {"app:v1": "", "example.com/app:v2": ""},
		oci:    {"v1": must(img.Digest())(t).String(), "docker.io/library/app:multi": must(idx.Digest())(t).String()},
		ociTar: {"v1": must(img.Digest())(t).String(), "docker.io/library/app:multi": must(idx.Digest())(t).String()},
	} {
		a := must(OpenArchive(t.Context(), file))(t)
		if len(a.Images) != len(want) {
			t.Errorf("%s: %d images", file, len(a.Images))
		}
		for _, it := range a.Images {
			digest, ok := want[it.Ref]
			if !ok {
				t.Errorf("%s: image %q", file, it.Ref)
			}
			p := must(Push(t.Context(), b.endpoint.RepositoryURI(def, "loaded:v1"), it.Content, PushOptions{Keychain: keychain{}}))(t)
			if digest != "" && p.Digest != digest {
				t.Errorf("%s: %q has digest %s", file, it.Ref, p.Digest)
			}
			if pr := b.prepare("loaded:v1", runtime.RootfsFlat); read(t, pr.Rootfs+"/f") != "1" {
				t.Errorf("%s: %q", file, it.Ref)
			}
		}
		check(t, a.Close())
		if _, err := os.Stat(a.tmp); a.tmp != "" && err == nil {
			t.Errorf("%s: left behind %s", file, a.tmp)
		}
	}

	for what, content := range map[string][]byte{
		"not a tar": []byte(strings.Repeat("no", 1000)), "another tar": tarOf(t, fileOf("f", "1")), "empty": nil,
		"evil":  tarOf(t, fileOf("index.json", "{}"), fileOf("../x", "1")),
		"bare":  tarOf(t, fileOf("index.json", `{"schemaVersion":2,"manifests":[]}`), fileOf("oci-layout", "{}")),
		"lying": tarOf(t, fileOf("manifest.json", `[{"Config":"none","RepoTags":["a:b"],"Layers":[]}]`)),
	} {
		file := filepath.Join(dir, "bad.tar")
		check(t, os.WriteFile(file, content, 0o600))
		if a, err := OpenArchive(t.Context(), file); err == nil {
			t.Errorf("%s: opened as %+v", what, a)
		}
	}
}
