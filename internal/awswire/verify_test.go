package awswire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// keys are the access keys of the tests, by key id and session token.
type keys map[[2]string]Credential

func (k keys) Lookup(_ context.Context, id, token string) (Credential, error) {
	switch id {
	case "ASIAEXPIRED":
		return Credential{}, fmt.Errorf("session of %s: %w", id, ErrExpiredToken)
	case "AKIABROKEN":
		return Credential{}, errors.New("disk on fire")
	}
	c, ok := k[[2]string{id, token}]
	if !ok {
		return Credential{}, ErrUnknownKey
	}
	return c, nil
}

var testKeys = keys{
	{"AKIALONG", ""}:          {SecretAccessKey: "s3cret/+", Account: "111122223333"},
	{"ASIASHORT", "tok/+="}:   {SecretAccessKey: "short", Account: "444455556666"},
	{"123456789012", ""}:      {SecretAccessKey: "digits"},
	{"AKIA/with/slashes", ""}: {SecretAccessKey: "x", Account: "111122223333"},
}

var signingTime = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)

// signedRequest is a request as the SDK's signer leaves it, for a test to spoil.
type signedRequest struct {
	method, url, body  string
	header             map[string]string
	key, secret, token string
	service, region    string
	at                 time.Time
	presign            bool
	payloadHash        string // sha256 of body if empty
}

func (s signedRequest) build(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(s.method, s.url, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range s.header {
		r.Header.Set(k, v)
	}
	hash := s.payloadHash
	if hash == "" {
		sum := sha256.Sum256([]byte(s.body))
		hash = hex.EncodeToString(sum[:])
	}
	cred := aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret, SessionToken: s.token}
	escape := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.service == "s3" }
	if s.presign {
		signed, header, err := v4.NewSigner().PresignHTTP(t.Context(), cred, r, hash, s.service, s.region, s.at, escape)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		for k, v := range header {
			r.Header[k] = v
		}
	} else if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, hash, s.service, s.region, s.at, escape); err != nil {
		t.Fatal(err)
	}
	// As the server's side sees it.
	r.RequestURI = r.URL.RequestURI()
	r.Host = r.URL.Host
	return r
}

func TestVerifier(t *testing.T) {
	t.Parallel()
	const (
		submit = `{"jobName":"a","jobQueue":"q","jobDefinition":"d"}`
		form   = "application/x-www-form-urlencoded"
	)
	rest := signedRequest{method: "POST", url: "http://batch.test:4566/v1/submitjob", body: submit, header: map[string]string{"Content-Type": "application/json"},
		key: "AKIALONG", secret: "s3cret/+", service: "batch", region: "us-east-1", at: signingTime}
	tags := rest
	tags.method, tags.body, tags.header = "DELETE", "", nil
	tags.url = "http://batch.test/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A1%3Ajob-queue%2Fq%20%C3%A9?tagKeys=b&tagKeys=a%20%2F&tagKeys=%C3%A9*~"
	logs := signedRequest{method: "POST", url: "http://h/", body: `{}`, header: map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328.DescribeLogGroups"},
		key: "AKIALONG", secret: "s3cret/+", service: "logs", region: "us-east-1", at: signingTime}
	query := signedRequest{method: "POST", url: "http://h/", body: "Action=GetCallerIdentity&Version=2011-06-15", header: map[string]string{"Content-Type": form},
		key: "AKIALONG", secret: "s3cret/+", service: "sts", region: "us-east-1", at: signingTime}
	ec2 := query
	ec2.body, ec2.service = "Action=DescribeVpcs&Version=2016-11-15", "ec2"
	presigned := signedRequest{method: "GET", url: "http://h/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", key: "AKIALONG", secret: "s3cret/+",
		service: "sts", region: "eu-west-1", at: signingTime, presign: true}

	with := func(s signedRequest, change func(*signedRequest)) signedRequest { change(&s); return s }
	setBody := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			n := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Body, r.ContentLength = n.Body, int64(len(body))
		}
	}
	tests := []struct {
		name  string
		req   signedRequest
		spoil func(*http.Request)
		now   time.Duration // after signing
		// want is a part of the answer's first bytes: its status and the code or what it says.
		status int
		want   string
	}{
		{name: "rest", req: rest, status: 200, want: ":111122223333:job"},
		{name: "rest with path and query to escape", req: tags, status: 400, want: `untag arn:aws:batch:us-east-1:1:job-queue/q é [\"é*~\" \"a /\" \"b\"]`},
		{name: "json", req: logs, status: 200, want: `{"logGroups":[]}`},
		{name: "query", req: query, status: 200, want: "<Account>111122223333</Account>|<Arn>verified</Arn>"},
		{name: "ec2", req: ec2, status: 200, want: "<vpcSet>"},
		{name: "presigned", req: presigned, status: 200, want: "<Account>111122223333</Account>|<Arn>verified</Arn>"},
		{name: "session", req: with(rest, func(s *signedRequest) { s.key, s.secret, s.token = "ASIASHORT", "short", "tok/+=" }), status: 200, want: ":444455556666:"},
		{name: "presigned session", req: with(presigned, func(s *signedRequest) { s.key, s.secret, s.token = "ASIASHORT", "short", "tok/+=" }), status: 200, want: "444455556666"},
		{name: "key that is the account", req: with(query, func(s *signedRequest) { s.key, s.secret = "123456789012", "digits" }), status: 200, want: "<Account>123456789012</Account>"},
		{name: "key with slashes", req: with(query, func(s *signedRequest) { s.key, s.secret = "AKIA/with/slashes", "x" }), status: 200, want: "<UserId>AKIA/with/slashes</UserId>"},
		{name: "content hash header", req: with(rest, func(s *signedRequest) {
			sum := sha256.Sum256([]byte(submit))
			s.header = map[string]string{"Content-Type": "application/json", "X-Amz-Content-Sha256": hex.EncodeToString(sum[:])}
		}), status: 200, want: ":111122223333:job"},
		{name: "header with runs of spaces", req: with(rest, func(s *signedRequest) {
			s.header = map[string]string{"Content-Type": "application/json", "X-Custom": "  a   b "}
		}), status: 200, want: "job"},
		{name: "five minutes late", req: rest, now: 5 * time.Minute, status: 200, want: "job"},
		{name: "five minutes early", req: rest, now: -5 * time.Minute, status: 200, want: "job"},
		{name: "presigned for a minute, used after 15", req: presigned, now: 15 * time.Minute, status: 200, want: "Account"},
		{name: "presigned for an hour, used after one", req: with(presigned, func(s *signedRequest) { s.url = strings.Replace(s.url, "=60", "=3600", 1) }), now: time.Hour, status: 200, want: "Account"},

		{name: "late", req: rest, now: 5*time.Minute + time.Second, status: 403,
			want: `InvalidSignatureException|Signature expired: 20261123T180000Z is now earlier than 20261123T180001Z (20261123T180501Z - 5 min.)`},
		{name: "early", req: rest, now: -5*time.Minute - time.Second, status: 403,
			want: `InvalidSignatureException|Signature not yet current: 20261123T180000Z is still later than 20261123T175959Z (20261123T175459Z + 5 min.)`},
		{name: "late json", req: logs, now: time.Hour, status: 400, want: `"__type":"InvalidSignatureException","message":"Signature expired`},
		{name: "late query", req: query, now: time.Hour, status: 403, want: "<Code>SignatureDoesNotMatch</Code><Message>Signature expired"},
		{name: "late ec2", req: ec2, now: time.Hour, status: 400, want: "<Code>RequestExpired</Code>"},
		{name: "presigned for a minute, used after 16", req: presigned, now: 16 * time.Minute, status: 403, want: "- 15 min.)"},
		{name: "presigned for an hour, used after more", req: with(presigned, func(s *signedRequest) { s.url = strings.Replace(s.url, "=60", "=3600", 1) }), now: time.Hour + time.Second, status: 403, want: "- 60 min.)"},
		{name: "presigned in the future", req: presigned, now: -16 * time.Minute, status: 403, want: "not yet current"},
		{name: "presigned for too long", req: with(presigned, func(s *signedRequest) { s.url = strings.Replace(s.url, "=60", "=604801", 1) }), status: 403, want: "<Code>IncompleteSignature</Code>"},

		{name: "no signature, rest", req: rest, spoil: func(r *http.Request) { r.Header.Del("Authorization") }, status: 403, want: "MissingAuthenticationTokenException|Missing Authentication Token"},
		{name: "no signature, json", req: logs, spoil: func(r *http.Request) { r.Header.Del("Authorization") }, status: 400, want: "MissingAuthenticationTokenException"},
		{name: "no signature, query", req: query, spoil: func(r *http.Request) { r.Header.Del("Authorization") }, status: 403, want: "<Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token"},
		{name: "no signature, operation that needs none", req: with(query, func(s *signedRequest) {
			s.body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&RoleSessionName=b&WebIdentityToken=c"
		}), spoil: func(r *http.Request) { r.Header.Del("Authorization") }, status: 200, want: "<Provider>false</Provider>"},
		{name: "wrong signature on an operation that needs none", req: with(query, func(s *signedRequest) {
			s.secret, s.body = "wrong", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&RoleSessionName=b&WebIdentityToken=c"
		}), status: 403, want: "SignatureDoesNotMatch"},
		{name: "basic authorization", req: rest, spoil: func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, status: 403, want: "MissingAuthenticationTokenException"},
		{name: "half a header", req: rest, spoil: func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIALONG/20261123/us-east-1/batch/aws4_request")
		}, status: 403, want: "IncompleteSignatureException|Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter"},
		{name: "no date", req: rest, spoil: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, status: 403, want: "existence of either a 'X-Amz-Date' or a 'Date' header"},
		{name: "broken date", req: rest, spoil: func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }, status: 403, want: `IncompleteSignatureException|X-Amz-Date \"today\"`},
		{name: "host not signed", req: rest, spoil: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";host;", ";", 1))
		}, status: 403, want: "IncompleteSignatureException|'Host'"},
		{name: "target not signed", req: with(logs, func(s *signedRequest) { s.header = map[string]string{"Content-Type": "application/x-amz-json-1.1"} }),
			spoil: func(r *http.Request) { r.Header.Set("X-Amz-Target", "Logs_20140328.DeleteLogGroup") }, status: 400, want: "IncompleteSignatureException"},

		{name: "unknown key", req: with(rest, func(s *signedRequest) { s.key = "AKIANOBODY" }), status: 403, want: "UnrecognizedClientException|The security token included in the request is invalid."},
		{name: "unknown key, json", req: with(logs, func(s *signedRequest) { s.key = "AKIANOBODY" }), status: 400, want: "UnrecognizedClientException"},
		{name: "unknown key, query", req: with(query, func(s *signedRequest) { s.key = "AKIANOBODY" }), status: 403, want: "<Code>InvalidClientTokenId</Code>"},
		{name: "unknown key, ec2", req: with(ec2, func(s *signedRequest) { s.key = "AKIANOBODY" }), status: 401, want: "<Code>AuthFailure</Code>"},
		{name: "session without its token", req: with(rest, func(s *signedRequest) { s.key, s.secret = "ASIASHORT", "short" }), status: 403, want: "UnrecognizedClientException"},
		{name: "session with another's token", req: with(rest, func(s *signedRequest) { s.key, s.secret, s.token = "ASIASHORT", "short", "other" }), status: 403, want: "UnrecognizedClientException"},
		{name: "session that is over", req: with(rest, func(s *signedRequest) { s.key = "ASIAEXPIRED" }), status: 403, want: "ExpiredTokenException|The security token included in the request is expired"},
		{name: "session that is over, query", req: with(query, func(s *signedRequest) { s.key = "ASIAEXPIRED" }), status: 403, want: "<Code>ExpiredToken</Code>"},
		{name: "lookup that fails", req: with(rest, func(s *signedRequest) { s.key = "AKIABROKEN" }), status: 500, want: `ServerException|{"message":"internal error"}`},

		{name: "wrong secret", req: with(rest, func(s *signedRequest) { s.secret = "guess" }), status: 403, want: "InvalidSignatureException|The request signature we calculated does not match"},
		{name: "wrong secret, query", req: with(query, func(s *signedRequest) { s.secret = "guess" }), status: 403, want: "SignatureDoesNotMatch"},
		{name: "wrong secret, ec2", req: with(ec2, func(s *signedRequest) { s.secret = "guess" }), status: 401, want: "AuthFailure"},
		{name: "empty signature", req: rest, spoil: func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature=")
		}, status: 403, want: "IncompleteSignatureException"},
		{name: "tampered body", req: rest, spoil: setBody(strings.Replace(submit, `"a"`, `"b"`, 1)), status: 403, want: "does not match"},
		{name: "tampered form", req: query, spoil: setBody("Action=GetCallerIdentity&Version=2011-06-16"), status: 403, want: "SignatureDoesNotMatch"},
		{name: "tampered path", req: tags, spoil: func(r *http.Request) {
			r.URL.RawPath = strings.Replace(r.URL.RawPath, "batch", "Batch", 1)
			r.URL.Path = strings.Replace(r.URL.Path, "batch", "Batch", 1)
		}, status: 403, want: "does not match"},
		{name: "tampered query", req: tags, spoil: func(r *http.Request) { r.URL.RawQuery += "&tagKeys=c" }, status: 403, want: "does not match"},
		{name: "tampered presigned query", req: presigned, spoil: func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "=60", "=600", 1) }, status: 403, want: "SignatureDoesNotMatch"},
		{name: "body added to a presigned request", req: presigned, spoil: func(r *http.Request) {
			setBody("x=y")(r)
			r.Header.Set("Content-Type", form)
		}, status: 403, want: "SignatureDoesNotMatch"},
		{name: "tampered method", req: query, spoil: func(r *http.Request) { r.Method = "PUT" }, status: 403, want: "SignatureDoesNotMatch"},
		{name: "tampered host", req: rest, spoil: func(r *http.Request) { r.Host = "other.test" }, status: 403, want: "does not match"},
		{name: "tampered target", req: logs, spoil: func(r *http.Request) { r.Header.Set("X-Amz-Target", "Logs_20140328.DeleteLogGroup") }, status: 400, want: "does not match"},
		{name: "wrong region", req: rest, spoil: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "us-east-1", "eu-west-1", 1))
		}, status: 403, want: "does not match"},
		{name: "wrong service", req: with(logs, func(s *signedRequest) { s.service = "batch" }), spoil: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/batch/", "/logs/", 1))
		}, status: 400, want: "does not match"},
		{name: "scope of another day", req: rest, spoil: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "20261123", "20261122", 1))
		}, status: 403, want: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261122' != '20261123'."},
		{name: "unsigned payload", req: with(rest, func(s *signedRequest) {
			s.payloadHash = "UNSIGNED-PAYLOAD"
			s.header = map[string]string{"Content-Type": "application/json", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
		}), status: 403, want: "the body must be signed"},
		{name: "payload signed in chunks", req: with(rest, func(s *signedRequest) {
			s.payloadHash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
			s.header = map[string]string{"Content-Type": "application/json", "X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
		}), status: 403, want: "the body must be signed"},
		{name: "body of unknown length", req: rest, spoil: func(r *http.Request) { r.ContentLength, r.TransferEncoding = -1, []string{"chunked"} }, status: 403, want: "does not match"},
		{name: "unsigned payload without the header", req: with(rest, func(s *signedRequest) { s.payloadHash = "UNSIGNED-PAYLOAD" }), status: 403, want: "does not match"},
		{name: "content hash of another body", req: with(rest, func(s *signedRequest) {
			s.payloadHash = strings.Repeat("0", 64)
			s.header = map[string]string{"Content-Type": "application/json", "X-Amz-Content-Sha256": strings.Repeat("0", 64)}
		}), status: 403, want: "The provided 'x-amz-content-sha256' header does not match"},
		{name: "unknown operation unsigned tells nothing", req: with(query, func(s *signedRequest) { s.body = "Action=Nonsense&Version=2011-06-15" }),
			spoil: func(r *http.Request) { r.Header.Del("Authorization") }, status: 403, want: "MissingAuthenticationToken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := goldenMux(t, func(o *Options) {
				o.Verifier = &Verifier{Credentials: testKeys, Now: func() time.Time { return signingTime.Add(tt.now) }}
			})
			r := tt.req.build(t)
			if tt.spoil != nil {
				tt.spoil(r)
			}
			w := httptest.NewRecorder()
			m.ServeHTTP(w, r)
			answer := w.Header().Get("X-Amzn-Errortype") + "|" + w.Body.String()
			for want := range strings.SplitSeq(tt.want, "|") {
				if !strings.Contains(answer, want) {
					t.Errorf("answer %s\nlacks %s", answer, want)
				}
			}
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, answer)
			}
		})
	}
}

// The real clients' signatures pass over real HTTP, and a wrong secret shows as AWS's codes in each.
func TestVerifierWithSDKs(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(goldenMux(t, func(o *Options) { o.Verifier = &Verifier{Credentials: testKeys} }))
	defer srv.Close()
	config := func(secret string) aws.Config {
		return aws.Config{Region: "eu-west-1", BaseEndpoint: &srv.URL, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("ASIASHORT", secret, "tok/+=")}
	}
	calls := map[string]struct {
		call func(aws.Config) error
		code string
	}{
		"batch": {code: "InvalidSignatureException", call: func(c aws.Config) error {
			_, err := batch.NewFromConfig(c).ListTagsForResource(t.Context(), &batch.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:batch:x/é y")})
			return err
		}},
		"logs": {code: "InvalidSignatureException", call: func(c aws.Config) error {
			_, err := cloudwatchlogs.NewFromConfig(c).PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"),
				LogEvents: []logstypes.InputLogEvent{{Timestamp: aws.Int64(1), Message: aws.String(strings.Repeat("é", 100_000))}}})
			return err
		}},
		"ecr": {code: "InvalidSignatureException", call: func(c aws.Config) error {
			_, err := ecr.NewFromConfig(c).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("r")})
			return err
		}},
		"iam": {code: "SignatureDoesNotMatch", call: func(c aws.Config) error {
			_, err := iam.NewFromConfig(c).ListRoles(t.Context(), &iam.ListRolesInput{})
			return err
		}},
		"sts": {code: "SignatureDoesNotMatch", call: func(c aws.Config) error {
			out, err := sts.NewFromConfig(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			if err == nil && *out.Account != "444455556666" {
				t.Errorf("account %s", *out.Account)
			}
			return err
		}},
	}
	for name, c := range calls {
		if err := c.call(config("short")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var coded interface{ ErrorCode() string }
		if err := c.call(config("wrong")); !errors.As(err, &coded) || coded.ErrorCode() != c.code {
			t.Errorf("%s with a wrong secret: %v, want %s", name, err, c.code)
		}
	}
	p, err := sts.NewPresignClient(sts.NewFromConfig(config("short"))).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("presigned: %s", res.Status)
	}
}

func TestParseSignature(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AK/ID/20261123/eu-west-1/batch/aws4_request,SignedHeaders=host;x-amz-date,  Signature=ab")
	r.Header.Set("Date", "Mon, 23 Nov 2026 18:00:00 GMT")
	r.Header.Set("X-Amz-Security-Token", "tok")
	s, err := ParseSignature(r)
	if err != nil {
		t.Fatal(err)
	}
	if s.AccessKeyID != "AK/ID" || s.Day != "20261123" || s.Region != "eu-west-1" || s.Service != "batch" || s.MAC != "ab" ||
		!slices.Equal(s.SignedHeaders, []string{"host", "x-amz-date"}) || !s.Time.Equal(signingTime) || s.SessionToken != "tok" || s.Presigned {
		t.Errorf("%+v", s)
	}
	if s, err := ParseSignature(httptest.NewRequest(http.MethodGet, "/", nil)); s != nil || err != nil {
		t.Errorf("unsigned: %v, %v", s, err)
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"000000000000": true, "123456789012": true, "12345678901": false, "1234567890123": false, "12345678901a": false, "": false} {
		if IsAccount(s) != want {
			t.Errorf("IsAccount(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{"us-east-1": true, "us-gov-west-1": true, "local": true, "": false, "US-EAST-1": false, "a/b": false, "..": false,
		"-a": false, "a-": false, "a--b": false, "a b": false, "a\x00": false, strings.Repeat("a", 33): false} {
		if IsRegion(s) != want {
			t.Errorf("IsRegion(%q) = %v", s, !want)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/batch/aws4_request, SignedHeaders=host;x-amz-date, Signature=ab", "")
	f.Add("AWS4-HMAC-SHA256 Credential=", "")
	f.Add("AWS4-HMAC-SHA256 ,=,", "")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261123%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20261123T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00")
	f.Add("", "X-Amz-Algorithm=&X-Amz-Expires=-1")
	m := goldenMux(f, func(o *Options) { o.Verifier = &Verifier{Credentials: testKeys} })
	f.Fuzz(func(t *testing.T, header, query string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/submitjob", bytes.NewReader([]byte("{}")))
		r.URL.RawQuery = query
		if header != "" {
			r.Header["Authorization"] = []string{header}
		}
		s, err := ParseSignature(r)
		if s != nil && (s.AccessKeyID == "" || s.Region == "" || s.Service == "") {
			t.Fatalf("scope with an empty part: %+v", s)
		}
		if s != nil && err == nil && (s.MAC == "" || s.SignedHeaders == nil || s.Time.IsZero()) {
			t.Fatalf("no error for %+v", s)
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			t.Fatalf("a forged signature passed: %q %q", header, query)
		}
	})
}

// TestSessions: where signatures are not verified, issued credentials say whose a request is.
func TestSessions(t *testing.T) {
	t.Parallel()
	m := goldenMux(t, func(o *Options) { o.Sessions = testKeys })
	for name, tt := range map[string]struct{ key, token, want string }{
		"session":         {"ASIASHORT", "tok/+=", "<Account>444455556666</Account>"},
		"another's token": {"ASIASHORT", "other", "<Account>000000000000</Account>"},
		"no token":        {"ASIASHORT", "", "<Account>000000000000</Account>"},
		"account":         {"123456789012", "tok", "<Account>123456789012</Account>"},
		"unknown":         {"ASIAELSEWHERE", "tok", "<Account>000000000000</Account>"},
		"expired":         {"ASIAEXPIRED", "tok", "<Code>ExpiredToken</Code>"},
		"broken":          {"AKIABROKEN", "tok", "<Type>Receiver</Type>"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("Action=GetCallerIdentity&Version=2011-06-15"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Amz-Date", "20261123T180000Z")
		r.Header.Set("X-Amz-Security-Token", tt.token)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+tt.key+"/20261123/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=00")
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if answer := w.Body.String(); !strings.Contains(answer, tt.want) {
			t.Errorf("%s: %d %s\nlacks %s", name, w.Code, answer, tt.want)
		}
	}
}
