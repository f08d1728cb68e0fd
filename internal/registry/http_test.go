package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/registry"
)

// exchange is one raw request and what must come back. In Path, Body and the wanted values, {d} stands for the digest
// of "hello", {c} for that of "{}", {m} for the manifest's below, {0} for one that nothing has, {loc} for the last
// Location and {id} for its last segment.
type exchange struct {
	Method, Path string
	Header       map[string]string
	Body         string

	Status int
	Want   map[string]string // headers
	// Text must be the body exactly if it starts with "=", else be in it.
	Text string
}

const testManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
	`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{c}","size":2},` +
	`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{d}","size":5}]}`

// setUp pushes "hello" and "{}" and the manifest over them as app:v1.
var setUp = []exchange{
	{Method: "POST", Path: "/v2/app/blobs/uploads/?digest={d}", Body: "hello", Status: 201, Want: map[string]string{"Location": "/v2/app/blobs/{d}"}},
	{Method: "POST", Path: "/v2/app/blobs/uploads/?digest={c}", Body: "{}", Status: 201},
	{Method: "PUT", Path: "/v2/app/manifests/v1", Header: map[string]string{"Content-Type": registry.MediaTypeOCIManifest}, Body: testManifest,
		Status: 201, Want: map[string]string{"Location": "/v2/app/manifests/{m}", "Docker-Content-Digest": "{m}"}},
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	withSetUp := func(x ...exchange) []exchange { return append(append([]exchange{}, setUp...), x...) }
	for name, exchanges := range map[string][]exchange{
		"ping": {
			{Method: "GET", Path: "/v2/", Status: 200, Want: map[string]string{"Docker-Distribution-Api-Version": "registry/2.0"}, Text: "={}"},
			{Method: "GET", Path: "/v2", Status: 200},
			{Method: "HEAD", Path: "/v2/", Status: 200},
			{Method: "POST", Path: "/v2/", Status: 405, Want: map[string]string{"Allow": "GET, HEAD"}, Text: `"code":"UNSUPPORTED"`},
			{Method: "GET", Path: "/v2x", Status: 404},
			{Method: "GET", Path: "/v2/app", Status: 404, Text: "UNSUPPORTED"},
			{Method: "GET", Path: "/v2/app/nothing/here", Status: 404, Text: "UNSUPPORTED"},
		},
		"monolithic upload in two requests": {
			{Method: "POST", Path: "/v2/app/blobs/uploads/", Status: 202, Want: map[string]string{"Range": "0-0", "Docker-Upload-Uuid": "{id}"}},
			{Method: "PUT", Path: "{loc}?digest={d}", Body: "hello", Status: 201, Want: map[string]string{"Location": "/v2/app/blobs/{d}", "Docker-Content-Digest": "{d}"}},
			{Method: "GET", Path: "/v2/app/blobs/{d}", Status: 200, Want: map[string]string{"Content-Length": "5", "Docker-Content-Digest": "{d}", "Content-Type": "application/octet-stream"}, Text: "=hello"},
		},
		"without the slash": {
			{Method: "POST", Path: "/v2/app/blobs/uploads", Status: 202},
			{Method: "PUT", Path: "{loc}?digest={d}", Body: "hello", Status: 201},
		},
		"chunks": {
			{Method: "POST", Path: "/v2/team/app/blobs/uploads/", Status: 202},
			{Method: "PATCH", Path: "{loc}", Header: map[string]string{"Content-Range": "0-1"}, Body: "he", Status: 202, Want: map[string]string{"Range": "0-1", "Location": "{loc}"}},
			{Method: "PATCH", Path: "{loc}", Header: map[string]string{"Content-Range": "3-4"}, Body: "lo", Status: 416, Want: map[string]string{"Range": "0-1", "Location": "{loc}"}, Text: "BLOB_UPLOAD_INVALID"},
			{Method: "GET", Path: "{loc}", Status: 204, Want: map[string]string{"Range": "0-1", "Location": "{loc}"}},
			{Method: "PATCH", Path: "{loc}", Header: map[string]string{"Content-Range": "2-9"}, Body: "ll", Status: 400, Text: "SIZE_INVALID"},
			{Method: "PATCH", Path: "{loc}", Header: map[string]string{"Content-Range": "two-three"}, Body: "ll", Status: 400, Text: "SIZE_INVALID"},
			{Method: "PATCH", Path: "{loc}", Header: map[string]string{"Content-Range": "bytes 2-3/*"}, Body: "ll", Status: 202, Want: map[string]string{"Range": "0-3"}},
			{Method: "PUT", Path: "{loc}?digest={d}", Header: map[string]string{"Content-Range": "4-4"}, Body: "o", Status: 201},
			{Method: "GET", Path: "{loc}", Status: 404, Text: "BLOB_UPLOAD_UNKNOWN"},
			{Method: "HEAD", Path: "/v2/team/app/blobs/{d}", Status: 200, Want: map[string]string{"Content-Length": "5"}},
		},
		"stream, then close": {
			{Method: "POST", Path: "/v2/app/blobs/uploads/", Status: 202},
			{Method: "PATCH", Path: "{loc}", Body: "hello", Status: 202, Want: map[string]string{"Range": "0-4"}},
			{Method: "PUT", Path: "{loc}?digest={d}", Status: 201},
		},
		"refused uploads": {
			{Method: "POST", Path: "/v2/app/blobs/uploads/?digest=md5:1", Body: "hello", Status: 400, Text: "DIGEST_INVALID"},
			{Method: "POST", Path: "/v2/app/blobs/uploads/?digest={0}", Body: "hello", Status: 400, Text: "DIGEST_INVALID"},
			{Method: "POST", Path: "/v2/App/blobs/uploads/", Status: 400, Text: "NAME_INVALID"},
			{Method: "GET", Path: "/v2/app/blobs/uploads/", Status: 405, Want: map[string]string{"Allow": "POST"}},
			{Method: "PATCH", Path: "/v2/app/blobs/uploads/123", Body: "x", Status: 404, Text: "BLOB_UPLOAD_UNKNOWN"},
			{Method: "PUT", Path: "/v2/app/blobs/uploads/../../../x?digest={d}", Body: "x", Status: 404},
			{Method: "POST", Path: "/v2/app/blobs/uploads/", Status: 202},
			{Method: "PUT", Path: "{loc}", Body: "hello", Status: 400, Text: "DIGEST_INVALID"},
			{Method: "PUT", Path: "{loc}?digest={0}", Body: "hello", Status: 400, Text: "DIGEST_INVALID"},
			{Method: "PUT", Path: "{loc}?digest={d}", Body: "hello", Status: 404, Text: "BLOB_UPLOAD_UNKNOWN"}, // dropped with the mismatch
			{Method: "POST", Path: "/v2/app/blobs/uploads/", Status: 202},
			{Method: "DELETE", Path: "{loc}", Status: 204},
			{Method: "GET", Path: "{loc}", Status: 404},
			{Method: "POST", Path: "{loc}", Status: 405},
		},
		"mount": withSetUp(
			exchange{Method: "POST", Path: "/v2/app2/blobs/uploads/?mount={d}&from=app", Status: 201, Want: map[string]string{"Location": "/v2/app2/blobs/{d}"}},
			exchange{Method: "POST", Path: "/v2/app2/blobs/uploads/?mount={0}&from=app", Status: 202},
			exchange{Method: "POST", Path: "/v2/app2/blobs/uploads/?mount=x&from=app", Status: 400, Text: "DIGEST_INVALID"},
		),
		"blobs": withSetUp(
			exchange{Method: "GET", Path: "/v2/app/blobs/{d}", Header: map[string]string{"Range": "bytes=1-3"}, Status: 206, Want: map[string]string{"Content-Range": "bytes 1-3/5"}, Text: "=ell"},
			exchange{Method: "GET", Path: "/v2/app/blobs/{d}", Header: map[string]string{"Range": "bytes=3-"}, Status: 206, Text: "=lo"},
			exchange{Method: "GET", Path: "/v2/app/blobs/{d}", Header: map[string]string{"Range": "bytes=9-"}, Status: 416},
			exchange{Method: "GET", Path: "/v2/app/blobs/{0}", Status: 404, Text: "BLOB_UNKNOWN"},
			exchange{Method: "HEAD", Path: "/v2/app/blobs/{0}", Status: 404},
			exchange{Method: "GET", Path: "/v2/app/blobs/sha256:x", Status: 400, Text: "DIGEST_INVALID"},
			exchange{Method: "DELETE", Path: "/v2/app/blobs/{d}", Status: 405, Text: "needed by 1 image"},
			exchange{Method: "DELETE", Path: "/v2/app/manifests/{m}", Status: 202},
			exchange{Method: "DELETE", Path: "/v2/app/blobs/{d}", Status: 202},
			exchange{Method: "DELETE", Path: "/v2/app/blobs/{d}", Status: 404},
			exchange{Method: "PUT", Path: "/v2/app/blobs/{d}", Status: 405, Want: map[string]string{"Allow": "GET, HEAD, DELETE"}},
		),
		"manifests": withSetUp(
			exchange{Method: "GET", Path: "/v2/app/manifests/v1", Status: 200, Want: map[string]string{"Content-Type": registry.MediaTypeOCIManifest, "Docker-Content-Digest": "{m}"}, Text: "=" + testManifest},
			exchange{Method: "GET", Path: "/v2/app/manifests/{m}", Status: 200, Text: "=" + testManifest},
			exchange{Method: "HEAD", Path: "/v2/app/manifests/v1", Status: 200, Want: map[string]string{"Content-Length": fmt.Sprint(len(expand(testManifest, "")))}, Text: "="},
			exchange{Method: "GET", Path: "/v2/app/manifests/v1", Header: map[string]string{"If-None-Match": `"{m}"`}, Status: 304},
			exchange{Method: "GET", Path: "/v2/app/manifests/v2", Status: 404, Text: `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"Requested image not found"}]}`},
			exchange{Method: "GET", Path: "/v2/none/manifests/v2", Status: 404, Text: `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'none' does not exist in the registry with id '111122223333'"}]}`},
			exchange{Method: "GET", Path: "/v2/app/manifests/-", Status: 400, Text: "TAG_INVALID"},
			exchange{Method: "GET", Path: "/v2/App/manifests/v1", Status: 400, Text: "NAME_INVALID"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/{0}", Body: testManifest, Status: 400, Text: "DIGEST_INVALID"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/v2", Body: "{", Status: 400, Text: "MANIFEST_INVALID"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/v2", Header: map[string]string{"Content-Type": registry.MediaTypeDockerManifest}, Body: testManifest, Status: 400, Text: "MANIFEST_INVALID"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/v2", Header: map[string]string{"Content-Type": "a/b/c"}, Body: testManifest, Status: 400, Text: "MANIFEST_INVALID"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/v2", Body: strings.ReplaceAll(testManifest, "{d}", "{0}"), Status: 400, Text: "MANIFEST_BLOB_UNKNOWN"},
			exchange{Method: "PUT", Path: "/v2/app/manifests/v2", Body: strings.Repeat(" ", 5<<20), Status: 413, Text: "SIZE_INVALID"},
			exchange{Method: "PATCH", Path: "/v2/app/manifests/v2", Status: 405},
			exchange{Method: "DELETE", Path: "/v2/app/manifests/v1", Status: 202},
			exchange{Method: "GET", Path: "/v2/app/manifests/v1", Status: 404},
			exchange{Method: "GET", Path: "/v2/app/manifests/{m}", Status: 200},
			exchange{Method: "DELETE", Path: "/v2/app/manifests/{m}", Status: 202},
			exchange{Method: "DELETE", Path: "/v2/app/manifests/{m}", Status: 404, Text: "MANIFEST_UNKNOWN"},
		),
		"a repository named like the API": withSetUp(
			exchange{Method: "PUT", Path: "/v2/blobs/uploads/manifests/tags/manifests/list", Body: testManifest, Status: 201},
			exchange{Method: "GET", Path: "/v2/blobs/uploads/manifests/tags/tags/list", Status: 200, Text: `={"name":"blobs/uploads/manifests/tags","tags":["list"]}`},
		),
		"tags": withSetUp(
			exchange{Method: "PUT", Path: "/v2/app/manifests/b", Body: testManifest, Status: 201},
			exchange{Method: "PUT", Path: "/v2/app/manifests/a", Body: testManifest, Status: 201},
			exchange{Method: "GET", Path: "/v2/app/tags/list", Status: 200, Text: `={"name":"app","tags":["a","b","v1"]}`},
			exchange{Method: "GET", Path: "/v2/app/tags/list?n=2", Status: 200, Want: map[string]string{"Link": `</v2/app/tags/list?last=b&n=2>; rel="next"`}, Text: `={"name":"app","tags":["a","b"]}`},
			exchange{Method: "GET", Path: "/v2/app/tags/list?n=2&last=b", Status: 200, Want: map[string]string{"Link": ""}, Text: `={"name":"app","tags":["v1"]}`},
			exchange{Method: "GET", Path: "/v2/app/tags/list?n=0", Status: 200, Text: `={"name":"app","tags":[]}`},
			exchange{Method: "GET", Path: "/v2/app/tags/list?last=aa", Status: 200, Text: `={"name":"app","tags":["b","v1"]}`},
			exchange{Method: "GET", Path: "/v2/app/tags/list?n=-1", Status: 400},
			exchange{Method: "GET", Path: "/v2/none/tags/list", Status: 404, Text: "NAME_UNKNOWN"},
			exchange{Method: "DELETE", Path: "/v2/app/tags/list", Status: 405},
		),
		"partitions": withSetUp(
			exchange{Method: "GET", Path: "/v2/111122223333/eu-central-1/app/manifests/v1", Status: 200},
			exchange{Method: "GET", Path: "/v2/111122223333/us-east-1/app/manifests/v1", Status: 404, Text: "NAME_UNKNOWN"},
			exchange{Method: "PUT", Path: "/v2/444455556666/us-east-1/app/manifests/v1", Body: testManifest, Status: 201, Want: map[string]string{"Location": "/v2/444455556666/us-east-1/app/manifests/{m}"}},
			exchange{Method: "GET", Path: "/v2/444455556666/us-east-1/app/tags/list", Status: 200, Text: `={"name":"444455556666/us-east-1/app","tags":["v1"]}`},
			exchange{Method: "GET", Path: "/v2/_catalog", Status: 200, Text: `={"repositories":["111122223333/eu-central-1/app","444455556666/us-east-1/app"]}`},
			exchange{Method: "GET", Path: "/v2/_catalog?n=1", Status: 200, Text: `={"repositories":["111122223333/eu-central-1/app"]}`},
		),
		"referrers": withSetUp(
			exchange{Method: "GET", Path: "/v2/app/referrers/{m}", Status: 200, Want: map[string]string{"Content-Type": registry.MediaTypeOCIIndex}, Text: `={"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}`},
			exchange{Method: "GET", Path: "/v2/none/referrers/{m}", Status: 200, Text: `"manifests":[]`},
			exchange{Method: "GET", Path: "/v2/app/referrers/v1", Status: 400, Text: "DIGEST_INVALID"},
		),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			loc := ""
			for _, x := range exchanges {
				loc = b.exchange(t, x, loc)
			}
		})
	}
}

func expand(s, loc string) string {
	for k, v := range map[string]string{
		"{d}": digestOf([]byte("hello")), "{c}": digestOf([]byte("{}")), "{0}": "sha256:" + strings.Repeat("0", 64),
		"{loc}": loc, "{id}": loc[strings.LastIndexByte(loc, '/')+1:],
	} {
		s = strings.ReplaceAll(s, k, v)
	}
	if strings.Contains(s, "{m}") {
		s = strings.ReplaceAll(s, "{m}", digestOf([]byte(expand(testManifest, loc))))
	}
	return s
}

// exchange does one exchange and returns the Location to go on with.
func (b *bench) exchange(t *testing.T, x exchange, loc string) string {
	t.Helper()
	what := x.Method + " " + x.Path
	req := must(http.NewRequest(x.Method, b.srv.URL+expand(x.Path, loc), strings.NewReader(expand(x.Body, loc))))(t)
	for k, v := range x.Header {
		req.Header.Set(k, expand(v, loc))
	}
	resp := must(http.DefaultTransport.RoundTrip(req))(t)
	body := string(must(io.ReadAll(resp.Body))(t))
	check(t, resp.Body.Close())
	if resp.StatusCode != x.Status {
		t.Fatalf("%s: status %d, want %d: %s", what, resp.StatusCode, x.Status, body)
	}
	if l := resp.Header.Get("Location"); l != "" {
		if !regexp.MustCompile(`^/v2/[a-z0-9/-]+/(blobs|manifests)/`).MatchString(l) {
			t.Errorf("%s: Location %q", what, l)
		}
		if strings.Contains(l, "/blobs/uploads/") {
			loc = l
		}
	}
	for k, v := range x.Want {
		if got := resp.Header.Get(k); got != expand(v, loc) {
			t.Errorf("%s: %s is %q, want %q", what, k, got, expand(v, loc))
		}
	}
	want, exact := strings.CutPrefix(expand(x.Text, loc), "=")
	if exact && body != want || !strings.Contains(body, want) {
		t.Errorf("%s: body %q, want %q", what, body, want)
	}
	if resp.StatusCode >= 400 && x.Method != "HEAD" && resp.StatusCode != 416 && strings.HasPrefix(x.Path, "/v2/") {
		if !strings.HasPrefix(body, `{"errors":[{"code":"`) {
			t.Errorf("%s: error body %q", what, body)
		}
	}
	return loc
}

// Whatever the path, the handler answers, and nothing outside its directory is touched.
func FuzzHandler(f *testing.F) {
	for _, x := range setUp {
		f.Add(x.Method, x.Path, x.Body, "0-4")
	}
	for _, p := range []string{"/v2//blobs/", "/v2/a/../b/manifests/x", "/v2/blobs/uploads/", "/v2/a/blobs/uploads/x/y", "/v2/a/tags/list?n=99999999999999999999", "/v2/_catalog?last=%00", "/v2/a/blobs/sha256:../../x"} {
		f.Add("GET", p, "", "")
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, method, path, body, contentRange string) {
		req, err := http.NewRequest(method, b.srv.URL, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			t.Skip()
		}
		p, q, _ := strings.Cut(path, "?")
		req.URL.Path, req.URL.RawQuery = p, q
		req.Header.Set("Content-Range", contentRange)
		w := &recorder{header: http.Header{}}
		b.Handler(registry.HandlerOptions{Endpoint: b.endpoint}).ServeHTTP(w, req)
		if w.status == 0 || w.status >= 500 {
			t.Fatalf("%s %q: status %d", method, path, w.status)
		}
	})
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(s int)   { r.status = s }
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = 200
	}
	return len(b), nil
}
