package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// engineWith starts an engine with an upstream.
func engineWith(t *testing.T, upstream string) (url string) {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Listen: "127.0.0.1:0", Ephemeral: true, Runtime: "process", Upstream: upstream,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

// sent is a request as it came to the upstream.
type sent struct {
	method, uri, host, body string
	header                  http.Header
	length                  int64
}

// recorder is an upstream that notes what comes and answers with what a test can tell from batchbox's own answers.
func recorder(t *testing.T) (url string, got chan sent) {
	t.Helper()
	got = make(chan sent, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- sent{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength}
		w.Header().Set("X-Of", "upstream")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "from the upstream")
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

var upstreamKey = aws.Credentials{AccessKeyID: "AKIAX", SecretAccessKey: "secret"}

// signed signs a request as the SDK does for this service.
func signed(t *testing.T, r *http.Request, service, payload string) *http.Request {
	t.Helper()
	if payload == "" {
		var body []byte
		if r.GetBody != nil {
			rc, err := r.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(rc); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	r.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner().SignHTTP(t.Context(), upstreamKey, r, payload, service, "us-east-1", time.Now(),
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func request(t *testing.T, method, url, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// resign signs what the upstream has got once more: if a signed part had changed on the way, the signature would differ.
func resign(t *testing.T, s sent, service, payload string) string {
	t.Helper()
	r, err := http.NewRequest(s.method, "http://"+s.host+s.uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	have := s.header.Get("Authorization")
	names, _, _ := strings.Cut(have[strings.Index(have, "SignedHeaders=")+len("SignedHeaders="):], ",")
	for name := range strings.SplitSeq(names, ";") {
		switch name {
		case "host":
		case "content-length":
			r.ContentLength = s.length
		default:
			r.Header[http.CanonicalHeaderKey(name)] = s.header.Values(name)
		}
	}
	at, err := time.Parse("20060102T150405Z", s.header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	err = v4.NewSigner().SignHTTP(t.Context(), upstreamKey, r, payload, service, "us-east-1", at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Get("Authorization")
}

// What is for another service arrives at the upstream as it was sent, its signature still good.
func TestUpstreamGetsOtherServices(t *testing.T) {
	t.Parallel()
	up, got := recorder(t)
	base := engineWith(t, up+"/")
	host := strings.TrimPrefix(base, "http://")
	virtual := func(r *http.Request) *http.Request {
		r.Host = "bucket.s3.localhost" + host[strings.LastIndex(host, ":"):]
		return r
	}
	presigned := func() *http.Request {
		r := request(t, "GET", base+"/bucket/a%20key%2Fwith?X-Amz-Expires=60", "")
		url, _, err := v4.NewSigner().PresignHTTP(t.Context(), upstreamKey, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now(),
			func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err != nil {
			t.Fatal(err)
		}
		return request(t, "GET", url, "")
	}
	odd := func() *http.Request { // a path that is escaped in part, which no library writes
		r := request(t, "GET", base+"/", "")
		r.URL.Opaque = "/bucket/a%2Fb^c"
		return r
	}
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for _, tc := range []struct {
		name    string
		r       *http.Request
		service string // whose signature is checked; "" if there is none in the header
	}{
		{"path style", signed(t, request(t, "PUT", base+"/bucket/a/b%20c", "data"), "s3", ""), "s3"},
		{"virtual host", signed(t, virtual(request(t, "GET", base+"/a+b%2Bc%2Fd//e/../f?versionId=x%20y&acl", "")), "s3", ""), "s3"},
		{"bucket of a Batch name", signed(t, request(t, "POST", base+"/v1/submitjob", "x"), "s3", "UNSIGNED-PAYLOAD"), "s3"},
		{"registry-like path", signed(t, request(t, "GET", base+"/v2/x/manifests/latest", ""), "s3", ""), "s3"},
		{"presigned", presigned(), ""},
		{"JSON target", signed(t, request(t, "POST", base+"/", `{"TableName": "t"}`, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem"), "dynamodb", ""), "dynamodb"},
		{"query", signed(t, request(t, "POST", base+"/", "Action=Publish&Version=2010-03-31&Message=m", "Content-Type", form), "sns", ""), "sns"},
		{"query without a signature", request(t, "POST", base+"/", "Action=Publish&Version=2010-03-31&Message=m", "Content-Type", form), ""},
		{"target without a signature", request(t, "POST", base+"/", "{}", "X-Amz-Target", "DynamoDB_20120810.ListTables"), ""},
		{"anonymous object", request(t, "GET", base+"/public//index.html?x=%zz", ""), ""},
		{"half escaped", odd(), ""},
		{"forwarded already", signed(t, request(t, "GET", base+"/b", "", "X-Forwarded-For", "192.0.2.1"), "s3", ""), "s3"},
	} {
		var body []byte
		if tc.r.GetBody != nil {
			rc, err := tc.r.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(rc); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.DefaultTransport.RoundTrip(tc.r)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusTeapot || string(answer) != "from the upstream" || res.Header.Get("X-Of") != "upstream" {
			t.Errorf("%s: answered %s, %q, %v", tc.name, res.Status, answer, err)
			continue
		}
		s := <-got
		if uri := tc.r.URL.RequestURI(); s.method != tc.r.Method || s.uri != uri || s.host != tc.r.Host || s.body != string(body) {
			t.Errorf("%s: upstream got %s %s of %s, %q; want %s %s of %s, %q", tc.name, s.method, s.uri, s.host, s.body, tc.r.Method, uri, tc.r.Host, body)
		}
		if tc.service == "" {
			continue
		}
		if want, have := tc.r.Header.Get("Authorization"), resign(t, s, tc.service, s.header.Get("X-Amz-Content-Sha256")); have != want {
			t.Errorf("%s: signature of what came is\n%s, of what was sent\n%s", tc.name, have, want)
		}
	}
}

// batchbox's own services and pages stay its own.
func TestUpstreamGetsNothingElse(t *testing.T) {
	t.Parallel()
	up, got := recorder(t)
	base := engineWith(t, up)
	for _, r := range []*http.Request{
		request(t, "GET", base+"/_batchbox/health", ""),
		request(t, "GET", base+"/v2/", ""),
		request(t, "POST", base+"/v1/listjobs", "{}"),
		signed(t, request(t, "POST", base+"/v1/nosuchoperation", "{}"), "batch", ""),
		signed(t, request(t, "POST", base+"/", "{}", "X-Amz-Target", "Logs_20140328.NoSuchOperation", "Content-Type", "application/x-amz-json-1.1"), "logs", ""),
		request(t, "GET", base+"/?Action=GetCallerIdentity&Version=2011-06-15", ""),
		request(t, "GET", base+"/", "", "Origin", "http://evil.example"), // a page's request does not get that far
	} {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusTeapot || len(got) > 0 {
			t.Errorf("%s %s came to the upstream", r.Method, r.URL)
		}
	}
}

// TestUpstreamStreams has both sides wait for each other in the middle of their bodies.
func TestUpstreamStreams(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprintf(w, "echo %s", line)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	}))
	defer srv.Close()
	base := engineWith(t, srv.URL)
	body, write := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience) // who waits for the end waits for ever
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "PUT", base+"/bucket/large", body)
	if err != nil {
		t.Fatal(err)
	}
	r = signed(t, r, "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	go fmt.Fprintln(write, "one")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i, say := range []string{"one", "two", "three"} {
		if i > 0 {
			fmt.Fprintln(write, say)
		}
		if line, err := lines.ReadString('\n'); err != nil || line != "echo "+say+"\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if err := write.Close(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// A service that is nowhere is named, in the form its client reads.
func TestUnknownServicesAreNamed(t *testing.T) {
	t.Parallel()
	const gone = "http://127.0.0.1:1" // where nothing listens
	alone, withDeadUpstream := engineWith(t, ""), engineWith(t, gone)
	for _, tc := range []struct {
		base, service, contentType string
		status                     int
		want                       []string
	}{
		{alone, "s3", "", 400, []string{"<Error><Code>UnknownServiceException</Code>", "&quot;s3&quot;", "Provided are: batch, logs"}},
		{alone, "dynamodb", "application/x-amz-json-1.0", 400, []string{`"__type":"UnknownServiceException"`, `\"dynamodb\"`}},
		{withDeadUpstream, "s3", "", 502, []string{"<Code>ServiceUnavailable</Code>", gone + " (--upstream) does not answer", "connection refused"}},
		{withDeadUpstream, "dynamodb", "application/x-amz-json-1.0", 502, []string{`"__type":"ServiceUnavailable"`, "connection refused"}},
	} {
		r := request(t, "POST", tc.base+"/x", "{}")
		if tc.contentType != "" {
			r = request(t, "POST", tc.base+"/", "{}", "Content-Type", tc.contentType, "X-Amz-Target", "X.Y")
		}
		res, err := http.DefaultTransport.RoundTrip(signed(t, r, tc.service, ""))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != tc.status {
			t.Errorf("%s: %s, %v", tc.service, res.Status, err)
		}
		for _, want := range tc.want {
			if !bytes.Contains(body, []byte(want)) {
				t.Errorf("%s: answered %s; want %q", tc.service, body, want)
			}
		}
	}
}

func TestUpstreamsInACircle(t *testing.T) {
	t.Parallel()
	var second string
	// What the first engine has for an upstream is the second, whose upstream is the first.
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.TrimPrefix(second, "http://")
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}))
	defer between.Close()
	first := engineWith(t, between.URL)
	second = engineWith(t, first)
	res, err := http.DefaultTransport.RoundTrip(signed(t, request(t, "GET", second+"/bucket", ""), "s3", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusLoopDetected || !bytes.Contains(body, []byte("has come back")) {
		t.Errorf("%s %s %v", res.Status, body, err)
	}
}

func TestUpstreamRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"127.0.0.1:4566", "ftp://x", "http://", "http://x/path", "http://x?y=1", "http://user@x"} {
		s, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Ephemeral: true, Upstream: url})
		if err == nil {
			t.Fatalf("%s is taken (%v)", url, s.Close())
		}
		if want := fmt.Sprintf("upstream %q is no URL of the form http://HOST:PORT", url); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free := l.Addr().String()
		l.Close()
		_, err = server.Start(context.Background(), server.Config{Listen: free, Ephemeral: true, Runtime: "process", Upstream: "http://" + free})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another test was quicker
		}
		if err == nil || !strings.Contains(err.Error(), "is this engine itself") {
			t.Errorf("its own upstream: %v", err)
		}
		break
	}
}
