package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const passed = "passed"

func newGuard(hosts ...string) *Guard {
	return &Guard{
		Next:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, passed) }),
		Hosts:  hosts,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestGuardHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host string
		ok   bool
	}{
		{"localhost", true},
		{"localhost:4566", true},
		{"LocalHost:4566", true},
		{"localhost.:4566", true},
		{"127.0.0.1:4566", true},
		{"127.9.8.7", true},
		{"[::1]:4566", true},
		{"[::1]", true},
		{"[::ffff:127.0.0.1]:1", true},
		{"000000000000.dkr.ecr.us-east-1.localhost:4566", true},
		{"box.test:4566", true}, // allowed by name
		{"a.b.wild.test", true}, // allowed by pattern
		{"", false},
		{"evil.example:4566", false},
		{"localhost.evil.example:4566", false},
		{"evillocalhost:4566", false},
		{"127.0.0.1.evil.example", false},
		{"0.0.0.0:4566", false},
		{"10.0.0.1:4566", false},
		{"[::]:4566", false},
		{"2130706433:4566", false},
		{"xbox.test", false},
		{"wild.test", false},
		{"evilwild.test", false},
	}
	g := newGuard("box.test", "*.wild.test")
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if ok := w.Body.String() == passed; ok != tt.ok {
				t.Errorf("passed = %v, want %v: %d %s", ok, tt.ok, w.Code, w.Body)
			}
			if !tt.ok && (w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "no loopback name")) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestGuardBrowser(t *testing.T) {
	t.Parallel()
	const (
		self    = "localhost:4566"
		own     = "http://localhost:4566"
		browser = "Mozilla/5.0 (X11; Linux x86_64)"
		form    = "application/x-www-form-urlencoded"
	)
	type headers map[string]string
	tests := []struct {
		name    string
		method  string
		headers headers
		ok      bool
	}{
		{"SDK", "POST", headers{"Content-Type": "application/json", "User-Agent": "aws-sdk-go-v2/1"}, true},
		{"SDK form", "POST", headers{"Content-Type": form, "User-Agent": "Boto3/1", "Authorization": "AWS4-HMAC-SHA256 x"}, true},
		{"curl form", "POST", headers{"Content-Type": form, "User-Agent": "curl/8"}, true},
		{"signed form of a tool that calls itself Mozilla", "POST", headers{"Content-Type": form, "User-Agent": browser, "Authorization": "AWS4-HMAC-SHA256 x"}, true},
		{"address typed", "GET", headers{"User-Agent": browser, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, true},
		{"own page's script", "POST", headers{"Origin": own, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", "User-Agent": browser}, true},
		{"own page's form", "POST", headers{"Origin": own, "Content-Type": form, "User-Agent": browser}, true},
		{"own page's read", "GET", headers{"Sec-Fetch-Site": "same-origin", "Referer": own + "/x", "User-Agent": browser}, true},
		{"own page's link, old browser", "GET", headers{"Referer": own + "/x", "User-Agent": browser}, true},

		{"other page's fetch", "POST", headers{"Origin": "https://evil.example", "Content-Type": "text/plain"}, false},
		{"preflight", "OPTIONS", headers{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}, false},
		{"other port of this machine", "POST", headers{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, false},
		{"other name of this machine", "POST", headers{"Origin": "http://127.0.0.1:4566"}, false},
		{"other scheme", "POST", headers{"Origin": "https://localhost:4566"}, false},
		{"sandboxed frame", "POST", headers{"Origin": "null"}, false},
		{"extension", "POST", headers{"Origin": "chrome-extension://abc"}, false},
		{"origin that begins as ours", "POST", headers{"Origin": own + ".evil.example"}, false},
		{"WebSocket", "GET", headers{"Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket"}, false},
		{"image with an action", "GET", headers{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "User-Agent": browser}, false},
		{"same-site image", "GET", headers{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, false},
		{"link on another site", "GET", headers{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, false},
		{"image, old browser", "GET", headers{"Referer": "https://evil.example/", "User-Agent": browser}, false},
		{"form, old browser, no referrer", "POST", headers{"Content-Type": form, "User-Agent": browser}, false},
		{"text form, old browser", "POST", headers{"Content-Type": "text/plain;charset=UTF-8", "User-Agent": browser}, false},
		{"multipart form, old browser", "POST", headers{"Content-Type": "multipart/form-data; boundary=x", "User-Agent": browser}, false},
		{"beacon without a type", "POST", headers{"Sec-Fetch-Mode": "no-cors"}, false},
		{"form of nobody's", "POST", headers{"Content-Type": form, "Sec-Fetch-Site": "none"}, false},
	}
	g := newGuard()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, "/?Action=DeleteRole", strings.NewReader("x"))
			r.Host = self
			for k, v := range tt.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if ok := w.Body.String() == passed; ok != tt.ok {
				t.Errorf("passed = %v, want %v: %d %s", ok, tt.ok, w.Code, w.Body)
			}
			if !tt.ok && w.Code != http.StatusForbidden {
				t.Errorf("got %d", w.Code)
			}
		})
	}
}

// The real clients pass under a loopback name, and can read why they do not under another.
func TestGuardWithSDKs(t *testing.T) {
	t.Parallel()
	g := newGuard()
	g.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			fmt.Fprint(w, `{"jobs":[]}`)
			return
		}
		fmt.Fprint(w, `<DeleteRoleResponse/>`)
	})
	srv := httptest.NewServer(g)
	defer srv.Close()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, srv.Listener.Addr().String())
	}
	config := func(endpoint string) aws.Config {
		return aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	}
	if _, err := batch.NewFromConfig(config(srv.URL)).DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{"x"}}); err != nil {
		t.Error(err)
	}
	if _, err := iam.NewFromConfig(config(srv.URL)).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("x")}); err != nil {
		t.Error(err)
	}
	_, err := batch.NewFromConfig(config("http://box.example:4566")).DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{"x"}})
	if err == nil || !strings.Contains(err.Error(), "AccessDeniedException") || !strings.Contains(err.Error(), `"box.example:4566", which is no loopback name`) {
		t.Errorf("got %v", err)
	}
}

// net/http itself lets a request of HTTP/1.0 have no Host.
func TestGuardWithoutHost(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newGuard())
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", res.Status)
	}
}
