package awsclient_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
)

// bare gives the test an environment in which the SDK finds nothing, then these variables and this configuration file.
func bare(t *testing.T, file string, vars map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", path)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func TestLoad(t *testing.T) {
	const local = "http://127.0.0.1:4566"
	const profiles = "[profile lab]\nregion = eu-west-1\nendpoint_url = http://localhost:9000\naws_access_key_id = 111122223333\naws_secret_access_key = s\n"
	for _, tc := range []struct {
		name                    string
		vars                    map[string]string
		opts                    awsclient.Options
		endpoint, region, keyID string
	}{
		{"NothingIsConfigured/Fallback", nil, awsclient.Options{Fallback: local}, local, "us-east-1", "batchbox"},
		{"TheFlagOverTheEnvironment", map[string]string{"AWS_ENDPOINT_URL": "https://example.com"}, awsclient.Options{Endpoint: local}, local, "us-east-1", "batchbox"},
		{"TheFlagOverTheServicesOwnVariable", map[string]string{"AWS_ENDPOINT_URL_STS": "https://example.com"}, awsclient.Options{Endpoint: local}, local, "us-east-1", "batchbox"},
		{"TheFlagThoughConfiguredOnesAreIgnored", map[string]string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, awsclient.Options{Endpoint: local}, local, "us-east-1", "batchbox"},
		{"TheEnvironmentOverTheFallback", map[string]string{"AWS_ENDPOINT_URL": "http://[::1]:1"}, awsclient.Options{Fallback: local}, "http://[::1]:1", "us-east-1", "batchbox"},
		{"TheProfile", nil, awsclient.Options{Profile: "lab", Fallback: local}, "http://localhost:9000", "eu-west-1", "111122223333"},
		{"OwnCredentialsAndRegion", map[string]string{"AWS_ACCESS_KEY_ID": "222233334444", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "ap-south-1"},
			awsclient.Options{Fallback: local}, local, "ap-south-1", "222233334444"},
		{"AWSItself", map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, awsclient.Options{Region: "eu-west-2"}, "", "eu-west-2", "AKIA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bare(t, profiles, tc.vars)
			cfg, err := awsclient.Load(t.Context(), tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			creds, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			o := sts.NewFromConfig(cfg).Options()
			endpoint := ""
			if o.BaseEndpoint != nil {
				endpoint = *o.BaseEndpoint
			}
			if endpoint != tc.endpoint || cfg.Region != tc.region || creds.AccessKeyID != tc.keyID {
				t.Errorf("endpoint %q, region %q, key %q; want %q, %q, %q", endpoint, cfg.Region, creds.AccessKeyID, tc.endpoint, tc.region, tc.keyID)
			}
		})
	}
}

func TestLoadMakesUpNothingForOtherEndpoints(t *testing.T) {
	bare(t, "", map[string]string{"AWS_EC2_METADATA_DISABLED": "true"})
	cfg, err := awsclient.Load(t.Context(), awsclient.Options{Endpoint: "https://192.0.2.1", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if creds, err := cfg.Credentials.Retrieve(t.Context()); err == nil {
		t.Errorf("credentials %q for an endpoint that is not local", creds.AccessKeyID)
	}
	if _, err := awsclient.Load(t.Context(), awsclient.Options{}); !errors.Is(err, awsclient.ErrNoRegion) {
		t.Errorf("no region: error %v, want ErrNoRegion", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	bare(t, "", nil)
	for _, endpoint := range []string{"127.0.0.1:4566", "localhost", "unix:///run/x", "http://"} {
		if _, err := awsclient.Load(t.Context(), awsclient.Options{Endpoint: endpoint}); err == nil || !strings.Contains(err.Error(), "is no URL") {
			t.Errorf("%s: error %v", endpoint, err)
		}
	}
	if _, err := awsclient.Load(t.Context(), awsclient.Options{Profile: "absent"}); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("absent profile: error %v", err)
	}
}

func TestThrottledCallsAreRetriedAsOftenAsAsked(t *testing.T) {
	bare(t, "", nil)
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer srv.Close()
	cfg, err := awsclient.Load(t.Context(), awsclient.Options{Endpoint: srv.URL, MaxAttempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); err == nil {
		t.Error("no error from a server that always throttles")
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestExplain(t *testing.T) {
	bare(t, "", nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you.</Message></Error></ErrorResponse>")
	}))
	defer srv.Close()
	cfg, err := awsclient.Load(t.Context(), awsclient.Options{Endpoint: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if got, want := awsclient.Explain(fmt.Errorf("who: %w", err)), "who: GetCallerIdentity: AccessDenied: Not you."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := awsclient.Explain(errors.New("plain")); got != "plain" {
		t.Errorf("got %q", got)
	}
}

func TestARefusedLocalConnectionFailsAtOnce(t *testing.T) {
	bare(t, "", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg, err := awsclient.Load(t.Context(), awsclient.Options{Endpoint: "http://" + l.Addr().String(), MaxAttempts: 100})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err == nil {
		t.Fatal("no error from a port where nothing listens")
	}
	if got, want := awsclient.Explain(fmt.Errorf("who: %w", err)), "who: GetCallerIdentity: dial tcp "+l.Addr().String()+": connect: connection refused"; got != want {
		t.Errorf("explained as %q, want %q", got, want)
	}
	if took := time.Since(start); took > time.Minute { // a hundred tries take minutes
		t.Errorf("took %v", took)
	}
}
