package awswire

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page that is no AWS service's can ask for the same signatures.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	signed := signedRequest{method: "POST", url: "http://h/page?a=b", body: "x", key: "AKIALONG", secret: "s3cret/+", service: "own", region: "us-east-1", at: signingTime}
	v := &Verifier{Credentials: testKeys, Now: signingTime.UTC}
	cred, err := v.Authenticate(signed.build(t), "own", []byte("x"))
	if err != nil || cred.Account != "111122223333" {
		t.Fatalf("got %+v, %v", cred, err)
	}
	broken, batch, guess := signed, signed, signed
	broken.key, batch.service, guess.secret = "AKIABROKEN", "batch", "guess"
	unsigned := signed.build(t)
	unsigned.Header.Del("Authorization")
	for _, tt := range []struct {
		name, body string
		r          *http.Request
		status     int
		code       string
	}{
		{"tampered body", "y", signed.build(t), 403, "InvalidSignatureException"},
		{"another service's signature", "x", batch.build(t), 403, "InvalidSignatureException"},
		{"wrong secret", "x", guess.build(t), 403, "InvalidSignatureException"},
		{"no signature", "x", unsigned, 403, "MissingAuthenticationTokenException"},
		{"lookup that fails", "x", broken.build(t), 500, "InternalFailure"},
	} {
		var e *Error
		if _, err := v.Authenticate(tt.r, "own", []byte(tt.body)); !errors.As(err, &e) || e.Status != tt.status || e.Code != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	m := goldenMux(t, func(*Options) {})
	scope := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	for _, tt := range []struct {
		name   string
		header map[string]string
		status int
		want   string
	}{
		{"batch", map[string]string{"Authorization": scope("batch")}, 429, `TooManyRequestsException|{"message":"Rate exceeded"}`},
		{"logs", map[string]string{"Authorization": scope("logs")}, 429, `"__type":"ThrottlingException"`},
		{"logs, unsigned", map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, 429, `"__type":"ThrottlingException"`},
		{"sts", map[string]string{"Authorization": scope("sts")}, 429, "<Code>Throttling</Code><Message>Rate exceeded"},
		{"ec2", map[string]string{"Authorization": scope("ec2")}, 503, "<Code>RequestLimitExceeded</Code>"},
		{"s3", map[string]string{"Authorization": scope("s3")}, 503, "<Code>SlowDown</Code>"},
		{"form", map[string]string{"Content-Type": formMedia}, 429, "<Code>Throttling</Code>"},
		{"anything", nil, 429, "TooManyRequestsException"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", unread{t})
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		m.Throttle(w, r)
		answer := w.Header().Get("X-Amzn-Errortype") + "|" + w.Body.String()
		if w.Code != tt.status || !strings.Contains(answer, tt.want) || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %s, want %d %s", tt.name, w.Code, answer, tt.status, tt.want)
		}
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("not to be read")
}
