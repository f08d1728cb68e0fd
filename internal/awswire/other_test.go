package awswire

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// otherMux has one service, and hands on what is for others; it verifies signatures if a test says so.
func otherMux(t *testing.T, verify bool) *Mux {
	return goldenMux(t, func(o *Options) {
		if verify {
			o.Verifier = &Verifier{Credentials: testKeys, Now: func() time.Time { return signingTime }}
		}
		o.Others = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "other: %s %s %v", r.URL.Path, body, err)
		})
	})
}

// With a Verifier nothing passes that was not signed by a known key, whatever stands for the body in the signature.
func TestOthersAreVerified(t *testing.T) {
	t.Parallel()
	s3 := signedRequest{method: "PUT", url: "http://x/bucket/a%20b", body: "data", key: "AKIALONG", secret: "s3cret/+", service: "s3", region: "us-east-1", at: signingTime}
	unsigned, streamed, presigned, wrong, unknown, late := s3, s3, s3, s3, s3, s3
	unsigned.payloadHash, unsigned.header = "UNSIGNED-PAYLOAD", map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
	streamed.payloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamed.header = map[string]string{"X-Amz-Content-Sha256": streamed.payloadHash}
	presigned.presign, presigned.payloadHash = true, "UNSIGNED-PAYLOAD"
	wrong.secret, unknown.key, late.at = "guess", "AKIANOBODY", signingTime.Add(-time.Hour)
	dynamo := signedRequest{method: "POST", url: "http://x/", body: "{}", key: "AKIALONG", secret: "s3cret/+", service: "dynamodb", region: "us-east-1", at: signingTime}
	for _, tc := range []struct {
		name string
		r    signedRequest
		want string
	}{
		{"unsigned payload", unsigned, "other: /bucket/a b data <nil>"},
		{"streamed payload", streamed, "other: /bucket/a b data <nil>"},
		{"presigned", presigned, "other: /bucket/a b data <nil>"},
		{"the body is read for its hash", dynamo, "other: / {} <nil>"},
		{"wrong secret", wrong, "SignatureDoesNotMatch"},
		{"unknown key", unknown, "InvalidClientTokenId"},
		{"an hour late", late, "Signature expired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			otherMux(t, true).ServeHTTP(w, tc.r.build(t))
			if !strings.Contains(w.Body.String(), tc.want) || strings.Contains(w.Body.String(), "other:") != strings.Contains(tc.want, "other:") {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, tc.want)
			}
		})
	}
	tampered := dynamo.build(t)
	tampered.Body, tampered.ContentLength = io.NopCloser(strings.NewReader("{ }")), 3
	w := httptest.NewRecorder()
	otherMux(t, true).ServeHTTP(w, tampered)
	if strings.Contains(w.Body.String(), "other:") {
		t.Errorf("a changed body passes: %s", w.Body)
	}
}

func TestOthersWithoutASignature(t *testing.T) {
	t.Parallel()
	for _, verify := range []bool{false, true} {
		m := otherMux(t, verify)
		// One that is known for another service's, and one that a fallback hands on.
		for name, serve := range map[string]func(http.ResponseWriter, *http.Request){"target": m.ServeHTTP, "fallback": m.ServeOther} {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
			w := httptest.NewRecorder()
			serve(w, r)
			if got := w.Body.String(); strings.Contains(got, "other:") == verify || verify && !strings.Contains(got, "Missing Authentication Token") {
				t.Errorf("%s, verified %v: %d %s", name, verify, w.Code, got)
			}
		}
	}
}
