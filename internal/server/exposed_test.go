package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/runtime/fake"
	"github.com/batchbox/batchbox/internal/server"
)

const (
	keyA, secretA = "AKIAEXPOSED1", "0123456789abcdefghijABCDEFGHIJ/+klmnopqr"
	keyB, secretB = "AKIAEXPOSED2", "zyxwvutsrqponmlkjihgfedcba9876543210/+AB"
	accountA      = "111122223333"
)

// exposed is an engine on all of the machine's addresses.
type exposed struct {
	*server.Server
	t      *testing.T
	http   *http.Client // trusts its certificate, and finds it whatever its name
	log    *syncBuffer
	config func(key, secret, token string) aws.Config
	file   control.Engine
}

func expose(t *testing.T, change func(*server.Config)) *exposed {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	text := fmt.Sprintf("[a]\naws_access_key_id=%s\naws_secret_access_key=%s\naws_account_id=%s\n[b]\naws_access_key_id=%s\naws_secret_access_key=%s\n",
		keyA, secretA, accountA, keyB, secretB)
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &exposed{t: t, log: &syncBuffer{}}
	cfg := server.Config{
		Listen: "0.0.0.0:0", Ephemeral: true, InProcess: &server.InProcess{Runtime: fake.New(fake.Options{})},
		Access: server.AccessConfig{AccessKeys: keys, TLSGenerate: true, TLSHosts: []string{"box.test"}},
		Logger: slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready:  func(e control.Engine) { x.file = e },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if x.Server, err = server.Start(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	ca, err := os.ReadFile(x.file.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, x.file.Address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	x.http = &http.Client{Transport: sdkhttp.Transport(transport)}
	x.config = func(key, secret, token string) aws.Config {
		return aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(x.URL()), RetryMaxAttempts: 1, HTTPClient: x.http,
			Credentials: credentials.NewStaticCredentialsProvider(key, secret, token)}
	}
	return x
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// get makes a request as change leaves it, and returns status and body.
func (x *exposed) get(method, path, body string, change func(*http.Request)) (int, string) {
	x.t.Helper()
	r, err := http.NewRequest(method, x.URL()+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	res, err := x.http.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode, ""
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// sign signs a request for one of batchbox's own pages. The body's hash is that of the empty one or of what is given.
func sign(t *testing.T, key, secret, token, body string) func(*http.Request) {
	return func(r *http.Request) {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
		err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token}, r, hash, control.SigningName, "eu-west-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
}

// On a listener that others reach, what is not signed by a known key is refused: AWS's services, batchbox's own pages, and
// the registry.
func TestExposedListener(t *testing.T) {
	t.Parallel()
	x := expose(t, nil)
	if want := "https://box.test:"; !strings.HasPrefix(x.URL(), want) {
		t.Fatalf("URL %s, want %s...", x.URL(), want)
	}
	ctx := t.Context()

	// AWS.
	list := func(cfg aws.Config) error {
		_, err := batch.NewFromConfig(cfg).DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{})
		return err
	}
	code := func(err error) string {
		var e smithy.APIError
		if err == nil {
			return ""
		}
		if !errors.As(err, &e) {
			return err.Error()
		}
		return e.ErrorCode()
	}
	identity := func(cfg aws.Config) string {
		out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return code(err)
		}
		return *out.Account
	}
	session, err := sts.NewFromConfig(x.config(keyA, secretA, "")).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	s := session.Credentials
	for _, tt := range []struct{ name, key, secret, token, account, refusal string }{
		{"key with an account", keyA, secretA, "", accountA, ""},
		{"key without", keyB, secretB, "", server.DefaultAccount, ""},
		{"session", *s.AccessKeyId, *s.SecretAccessKey, *s.SessionToken, accountA, ""},
		{"session without token", *s.AccessKeyId, *s.SecretAccessKey, "", "InvalidClientTokenId", "UnrecognizedClientException"},
		{"wrong secret", keyA, secretB, "", "SignatureDoesNotMatch", "InvalidSignatureException"},
		{"unknown key", "test", "test", "", "InvalidClientTokenId", "UnrecognizedClientException"},
		{"a key that is an account", "123456789012", "test", "", "InvalidClientTokenId", "UnrecognizedClientException"},
	} {
		cfg := x.config(tt.key, tt.secret, tt.token)
		if got := code(list(cfg)); got != tt.refusal {
			t.Errorf("%s: batch: %q, want %q", tt.name, got, tt.refusal)
		}
		if got := identity(cfg); got != tt.account {
			t.Errorf("%s: sts: %q, want %q", tt.name, got, tt.account)
		}
	}
	if _, err := cloudwatchlogs.NewFromConfig(x.config(keyB, secretA, "")).DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{}); code(err) != "InvalidSignatureException" {
		t.Errorf("logs: %v", err)
	}
	if status, body := x.get("POST", "/v1/describejobqueues", "{}", nil); status != 403 || !strings.Contains(body, "Missing Authentication Token") {
		t.Errorf("unsigned: %d %s", status, body)
	}
	if status, body := x.get("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", nil); status != 403 || !strings.Contains(body, "MissingAuthenticationToken") {
		t.Errorf("unsigned query: %d %s", status, body)
	}
	presigned, err := sts.NewPresignClient(sts.NewFromConfig(x.config(keyA, secretA, ""))).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(presigned.URL)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := x.get("GET", u.RequestURI(), "", nil); status != 200 || !strings.Contains(body, accountA) {
		t.Errorf("presigned: %d %s", status, body)
	}

	// Own pages.
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+x.file.Token) }
	const spot = `{"job":"00000000-0000-0000-0000-000000000000","account":"444455556666"}`
	for _, tt := range []struct {
		name, method, path, body string
		change                   func(*http.Request)
		status                   int
		want                     string
	}{
		{"health, a stranger", "GET", control.HealthPath, "", nil, 200, `{"status":"ok"}` + "\n"},
		{"health, this user", "GET", control.HealthPath, "", bearer, 200, `"dataDir":`},
		{"events, a stranger", "GET", "/_batchbox/events", "", nil, 403, "Missing Authentication Token"},
		{"events, this user", "GET", "/_batchbox/events", "", bearer, 200, ""},
		{"events, a wrong token", "GET", "/_batchbox/events", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 403, "Missing"},
		{"events, signed", "GET", "/_batchbox/events", "", sign(t, keyA, secretA, "", ""), 200, ""},
		{"events, wrong secret", "GET", "/_batchbox/events", "", sign(t, keyA, secretB, "", ""), 403, "InvalidSignatureException"},
		{"events, a session's key", "GET", "/_batchbox/events", "", sign(t, *s.AccessKeyId, *s.SecretAccessKey, *s.SessionToken, ""), 403, "UnrecognizedClientException"},
		{"spot, a stranger", "POST", control.SpotInterruptPath, spot, nil, 403, "Missing"},
		{"spot, tampered", "POST", control.SpotInterruptPath, spot, sign(t, keyA, secretA, "", "{}"), 403, "InvalidSignatureException"},
		{"spot, another account's", "POST", control.SpotInterruptPath, spot, sign(t, keyA, secretA, "", spot), 403, "the access key is account " + accountA + "'s"},
		{"spot, large", "POST", control.SpotInterruptPath, strings.Repeat(" ", 1<<20), nil, 400, "too large"},
		{"shutdown, a stranger", "POST", control.ShutdownPath, "", nil, 403, "only the user who started the engine"},
		{"shutdown, signed", "POST", control.ShutdownPath, "", sign(t, keyA, secretA, "", ""), 403, "only the user"},
		{"no page", "GET", "/_batchbox/none", "", nil, 404, ""},
	} {
		if status, body := x.get(tt.method, tt.path, tt.body, tt.change); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, tt.want)
		}
	}

	// The registry.
	auth, err := ecr.NewFromConfig(x.config(keyA, secretA, "")).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	data := auth.AuthorizationData[0]
	if *data.ProxyEndpoint != x.URL() {
		t.Errorf("the registry is at %s, want %s", *data.ProxyEndpoint, x.URL())
	}
	basic := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Basic "+text) }
	}
	for _, tt := range []struct {
		name, path string
		change     func(*http.Request)
		status     int
	}{
		{"a stranger", "/v2/", nil, 401},
		{"a made-up password", "/v2/", basic(base64.StdEncoding.EncodeToString([]byte("AWS:x"))), 401},
		{"a token", "/v2/", basic(*data.AuthorizationToken), 200},
		{"another account's repository", "/v2/444455556666/eu-west-1/a/tags/list", basic(*data.AuthorizationToken), 403},
		{"the catalog, a stranger", "/v2/_catalog", nil, 401},
	} {
		if status, body := x.get("GET", tt.path, "", tt.change); status != tt.status {
			t.Errorf("registry, %s: %d %s, want %d", tt.name, status, body, tt.status)
		}
	}

	// Names and web pages.
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"a name of the certificate", func(r *http.Request) { r.Host = "BOX.test" }, 200},
		{"an address", func(r *http.Request) { r.Host = "192.0.2.1:4566" }, 200},
		{"another name", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"a page of another site", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"a page of this one, without TLS", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.URL.Host) }, 403},
	} {
		if status, body := x.get("GET", control.HealthPath, "", tt.change); status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.status)
		}
	}

	// The command line of this machine knows the engine by its certificate.
	if err := x.file.Healthy(ctx); err != nil {
		t.Error(err)
	}
	stranger := x.file
	stranger.Certificate = strings.Repeat("0", 64)
	if err := stranger.Healthy(ctx); err == nil || !strings.Contains(err.Error(), "has not the engine's certificate") {
		t.Errorf("another certificate: %v", err)
	}
	if res, err := http.Get("http://" + x.file.Address + "/"); err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %v, %v", res, err)
	}

	for _, secret := range []string{secretA, secretB, *s.SecretAccessKey, *s.SessionToken, x.file.Token, *data.AuthorizationToken} {
		if strings.Contains(x.log.String(), secret) {
			t.Errorf("the log holds a secret:\n%s", x.log)
		}
	}
	if !strings.Contains(x.log.String(), keyA) && !strings.Contains(x.log.String(), "DescribeJobQueues") {
		t.Error("the log says nothing about requests: this test would not notice")
	}
}

// A client that is too quick is told so in its protocol's words.
func TestExposedListenerIsPaced(t *testing.T) {
	t.Parallel()
	x := expose(t, func(c *server.Config) { c.Access.ClientRate = 1e-6 }) // one request, and no other for days
	if status, _ := x.get("GET", control.HealthPath, "", nil); status != 200 {
		t.Fatalf("the first request: %d", status)
	}
	_, err := batch.NewFromConfig(x.config(keyA, secretA, "")).DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{})
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 429") || !strings.Contains(err.Error(), "TooManyRequestsException: Rate exceeded") {
		t.Errorf("batch: %v", err)
	}
	_, err = cloudwatchlogs.NewFromConfig(x.config(keyA, secretA, "")).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	if err == nil || !strings.Contains(err.Error(), "ThrottlingException: Rate exceeded") {
		t.Errorf("logs: %v", err)
	}
	for path, want := range map[string]string{"/v2/": "TOOMANYREQUESTS", control.HealthPath: "too many requests"} {
		if status, body := x.get("GET", path, "", nil); status != 429 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// Signatures can be asked for on the loopback, without TLS.
func TestVerifyOnLoopback(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("[a]\naws_access_key_id="+keyA+"\naws_secret_access_key="+secretA+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(context.Background(), server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, InProcess: &server.InProcess{Runtime: fake.New(fake.Options{})},
		Access: server.AccessConfig{AccessKeys: keys, Verify: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for secret, want := range map[string]string{secretA: "", secretB: "InvalidSignatureException"} {
		cfg := aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(s.URL()), RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client(),
			Credentials: credentials.NewStaticCredentialsProvider(keyA, secret, "")}
		_, err := batch.NewFromConfig(cfg).DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
