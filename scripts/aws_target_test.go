package scripts

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/testenv"
)

// standIn is a proxy that takes every HTTPS host for AWS and hands what it is asked to an engine: programs that are told nothing
// but HTTPS_PROXY, and to trust its certificates, believe that they are talking to AWS.
type standIn struct {
	t     *testing.T
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey
	proxy http.Handler

	mu    sync.Mutex
	hosts map[string]bool
}

// startStandIn gives the variables that lead to it.
func startStandIn(t *testing.T, engine string) (*standIn, []string) {
	t.Helper()
	target, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{t: t, key: key, hosts: map[string]bool{}, ca: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	s.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		s.mu.Lock()
		s.hosts[r.In.Host] = true
		s.mu.Unlock()
		r.SetURL(target) // its Host, too: the engine takes no other
	}}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate(s.ca)}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(s.connect))
	t.Cleanup(server.Close)
	return s, []string{"HTTPS_PROXY=" + server.URL, "https_proxy=" + server.URL, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "SSL_CERT_FILE=" + bundle, "AWS_CA_BUNDLE=" + bundle}
}

func (s *standIn) certificate(c *x509.Certificate) []byte {
	der, err := x509.CreateCertificate(rand.Reader, c, s.ca, &s.key.PublicKey, s.key)
	if err != nil {
		s.t.Error(err)
	}
	return der
}

// connect answers CONNECT, and serves what comes through the tunnel in the host's name until it is closed.
func (s *standIn) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "for HTTPS only", http.StatusMethodNotAllowed)
		return
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	der := s.certificate(&x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotBefore: s.ca.NotBefore, NotAfter: s.ca.NotAfter})
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	tunnel := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: s.key}}})
	reader := bufio.NewReader(tunnel)
	for {
		in, err := http.ReadRequest(reader)
		if err != nil {
			return // closed
		}
		in = in.WithContext(s.t.Context())
		recorded := httptest.NewRecorder()
		s.proxy.ServeHTTP(recorded, in)
		answer := recorded.Result()
		answer.ContentLength = int64(recorded.Body.Len())
		if in.Method == http.MethodHead {
			answer.ContentLength = -1
			answer.Body = http.NoBody
		}
		answer.Request = in
		if _, err := io.Copy(io.Discard, in.Body); err != nil {
			return
		}
		if err := answer.Write(tunnel); err != nil {
			return
		}
	}
}

// TestAWSTarget runs the path to AWS as it is, with the real provider, against an engine that stands in for AWS.
func TestAWSTarget(t *testing.T) {
	testenv.Require(t, testenv.Linux, testenv.Bash) // elsewhere Go takes no certificates from SSL_CERT_FILE
	if os.Getenv("BATCHBOX_TERRAFORM") != "1" {
		t.Skip("takes minutes, with the AWS provider of Terraform: set BATCHBOX_TERRAFORM=1")
	}
	provider := testenv.AWSProvider(t)
	t.Parallel()
	const account = "111122223333"
	endpoint, _ := strings.CutPrefix(engine(t)[0], "AWS_ENDPOINT_URL=")
	aws, vars := startStandIn(t, endpoint)
	vpc := regexp.MustCompile(`VPC (vpc-[0-9a-f]+) `).FindStringSubmatch(check(t, endpoint, account))
	if vpc == nil {
		t.Fatal("the account has no VPC")
	}
	dir := t.TempDir()
	// What says where providers come from is left of the user's variables.
	vars = append(vars, slices.DeleteFunc(provider, func(v string) bool { return !strings.HasPrefix(v, "TF_") && !strings.HasPrefix(v, "CHECKPOINT_") })...)
	vars = append(vars, "AWS_ACCESS_KEY_ID="+account, "AWS_SECRET_ACCESS_KEY=x", "AWS_ACCOUNT_ID="+account, "AWS_REGION=us-east-1", "TF_VPC_ID="+vpc[1], "TF_STATE_DIR="+dir, "TMPDIR="+t.TempDir())
	stdout, stderr, code := script(t, vars, "run-e2e.sh", "--target", "aws", "--array-size", "3")
	for _, want := range []string{
		"\naccount: " + account + ", region: us-east-1, VPC: " + vpc[1] + "\nestimate: about USD ", "AWS in us-east-1: an array of 3 of batchworker-e2e:1", "\nPASSED: 3 of 3 children",
		"\nsecond plan: ", "\ndestroy 02-app: ", "\ndestroy 01-ecr: ",
	} {
		if !strings.Contains(stdout+stderr, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Fatalf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
	if out, errs, code := script(t, vars, "destroy.sh", "--target", "aws"); code != 0 || strings.Count(out, "nothing to destroy") != 2 {
		t.Errorf("a second destroy: exit code %d, %q, %q", code, out, errs)
	}
	aws.mu.Lock()
	defer aws.mu.Unlock()
	for _, host := range []string{"api.ecr", "batch", "ec2", "logs", "sts"} {
		if host += ".us-east-1.amazonaws.com"; !aws.hosts[host] {
			t.Errorf("nobody has asked %s, but %v", host, aws.hosts)
		}
	}
}

// check is what batchbox check says of an account of the engine.
func check(t *testing.T, endpoint, account string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../bin/batchbox", "check")
	cmd.Env = append(environment(), "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID="+account, "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=us-east-1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("batchbox check: %w\n%s", err, out))
	}
	return string(out)
}
