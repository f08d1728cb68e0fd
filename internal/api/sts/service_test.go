package sts_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	api "github.com/batchbox/batchbox/internal/api/sts"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

const (
	account = "111122223333"
	roleARN = "arn:aws:iam::111122223333:role/app/deploy"
)

type bench struct {
	*sts.Client
	t        *testing.T
	url      string
	docs     *memory.Store
	sessions *identity.Sessions
	clock    time.Duration // ahead of the real one
}

// keys are the credentials known where signatures are verified: of long-lived keys the account's own, of temporary ones
// what STS issued.
type keys struct{ sessions *identity.Sessions }

func (k keys) Lookup(ctx context.Context, id, token string) (awswire.Credential, error) {
	if id == account && token == "" {
		return awswire.Credential{SecretAccessKey: "secret", Account: account}, nil
	}
	return k.sessions.Lookup(ctx, id, token)
}

func newBench(t *testing.T, verify bool, client *http.Client) *bench {
	t.Helper()
	b := &bench{t: t, docs: memory.New()}
	now := func() time.Time { return time.Now().Add(b.clock) }
	b.sessions = identity.NewSessions(b.docs, now)
	svc, err := api.New(api.Options{Docs: b.docs, Sessions: b.sessions, Tokens: identity.NewTokenVerifier(b.docs, client), Now: now})
	check(t, err)
	opts := awswire.Options{
		Services: []*awswire.Service{svc}, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: slog.New(slog.DiscardHandler),
	}
	if verify {
		opts.Verifier = &awswire.Verifier{Credentials: keys{b.sessions}}
	}
	mux, err := awswire.NewMux(opts)
	check(t, err)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	b.Client = b.client(credentials.NewStaticCredentialsProvider(account, "secret", ""))
	return b
}

func (b *bench) client(c aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &b.url, Credentials: c, RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client()})
}

// as is a client with temporary credentials.
func (b *bench) as(c *types.Credentials) *sts.Client {
	return b.client(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
}

func (b *bench) ctx() context.Context { return b.t.Context() }

func (b *bench) role(name, path, trust string, maxSession int32) {
	b.t.Helper()
	check(b.t, b.docs.Update(b.ctx(), func(w store.Writer) error {
		return identity.PutRole(w, account, &identity.Role{Name: name, Path: path, ID: "AROA" + strings.ToUpper(name), Trust: trust, MaxSession: maxSession})
	}))
}

func trusting(principal, more string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"],"Principal":` + principal + more + `}]}`
}

func ptr[T any](v T) *T { return &v }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that a call was refused with AWS's code, status and a text that has want in it.
func refused(t testing.TB, err error, status int, code, want string) {
	t.Helper()
	var e smithy.APIError
	var r *awshttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	if e.ErrorCode() != code || r.HTTPStatusCode() != status || !strings.Contains(e.ErrorMessage(), want) {
		t.Errorf("got %d %s: %s\nwant %d %s: ...%s...", r.HTTPStatusCode(), e.ErrorCode(), e.ErrorMessage(), status, code, want)
	}
}

func whoami(t testing.TB, c *sts.Client) [3]string {
	t.Helper()
	out, err := c.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	check(t, err)
	return [3]string{*out.Account, *out.Arn, *out.UserId}
}

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	for name, verify := range map[string]bool{"any credentials": false, "verified": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, verify, nil)
			if got, want := whoami(t, b.Client), [3]string{account, "arn:aws:iam::111122223333:root", account}; got != want {
				t.Errorf("the account's key is %v", got)
			}
			session, err := b.GetSessionToken(b.ctx(), &sts.GetSessionTokenInput{DurationSeconds: ptr(int32(900))})
			check(t, err)
			if got, want := whoami(t, b.as(session.Credentials)), [3]string{account, "arn:aws:iam::111122223333:root", account}; got != want {
				t.Errorf("a session of it is %v", got)
			}
			_, err = b.as(session.Credentials).GetSessionToken(b.ctx(), &sts.GetSessionTokenInput{})
			refused(t, err, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
			left := time.Until(*session.Credentials.Expiration)
			if left < 14*time.Minute || left > 15*time.Minute {
				t.Errorf("it lasts %s", left)
			}
			b.clock = 16 * time.Minute
			_, err = b.as(session.Credentials).GetCallerIdentity(b.ctx(), &sts.GetCallerIdentityInput{})
			refused(t, err, 403, "ExpiredToken", "The security token included in the request is expired")
		})
	}
	// Keys that nobody issued.
	b := newBench(t, false, nil)
	if got := whoami(t, b.client(credentials.NewStaticCredentialsProvider("test", "test", ""))); got[0] != "000000000000" {
		t.Errorf("the key test is %v", got)
	}
	b = newBench(t, true, nil)
	_, err := b.client(credentials.NewStaticCredentialsProvider("ASIAXXXXXXXXXXXXXXXX", "x", "y")).GetCallerIdentity(b.ctx(), &sts.GetCallerIdentityInput{})
	refused(t, err, 403, "InvalidClientTokenId", "")
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, true, nil)
	b.role("deploy", "/app/", trusting(`{"AWS":"arn:aws:iam::111122223333:root"}`, ""), 7200)
	assume := func(c *sts.Client, change func(in *sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
		in := &sts.AssumeRoleInput{RoleArn: ptr(roleARN), RoleSessionName: ptr("me@work")}
		if change != nil {
			change(in)
		}
		return c.AssumeRole(b.ctx(), in)
	}
	out, err := assume(b.Client, func(in *sts.AssumeRoleInput) { in.DurationSeconds, in.SourceIdentity = ptr(int32(7200)), ptr("alice") })
	check(t, err)
	const sessionARN = "arn:aws:sts::111122223333:assumed-role/deploy/me@work"
	if *out.AssumedRoleUser.Arn != sessionARN || *out.AssumedRoleUser.AssumedRoleId != "AROADEPLOY:me@work" || *out.SourceIdentity != "alice" || out.PackedPolicySize != nil {
		t.Errorf("assumed %+v", out)
	}
	if !strings.HasPrefix(*out.Credentials.AccessKeyId, "ASIA") || time.Until(*out.Credentials.Expiration) < 119*time.Minute {
		t.Errorf("credentials until %s", out.Credentials.Expiration)
	}
	session := b.as(out.Credentials)
	if got := whoami(t, session); got != [3]string{account, sessionARN, "AROADEPLOY:me@work"} {
		t.Errorf("the session is %v", got)
	}
	info, err := b.GetAccessKeyInfo(b.ctx(), &sts.GetAccessKeyInfoInput{AccessKeyId: out.Credentials.AccessKeyId})
	check(t, err)
	if *info.Account != account {
		t.Errorf("the key is of account %s", *info.Account)
	}
	// The SDK's own provider, and a role assumed by a role.
	b.role("next", "/", trusting(`{"AWS":"`+roleARN+`"}`, ""), 7200)
	next := func(in *sts.AssumeRoleInput) { in.RoleArn = ptr("arn:aws:iam::111122223333:role/next") }
	chained, err := assume(session, next)
	check(t, err)
	if got := whoami(t, b.as(chained.Credentials)); got[1] != "arn:aws:sts::111122223333:assumed-role/next/me@work" {
		t.Errorf("the chained session is %v", got)
	}
	_, err = assume(session, func(in *sts.AssumeRoleInput) { next(in); in.DurationSeconds = ptr(int32(3601)) })
	refused(t, err, 400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")

	b.role("external", "/", trusting(`{"AWS":"111122223333"}`, `,"Condition":{"StringEquals":{"sts:ExternalId":"word"}}`), 3600)
	external := func(id *string) func(in *sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) {
			in.RoleArn, in.ExternalId = ptr("arn:aws:iam::111122223333:role/external"), id
		}
	}
	_, err = assume(b.Client, external(ptr("word")))
	check(t, err)
	const denied = "User: arn:aws:iam::111122223333:root is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/"
	_, err = assume(b.Client, external(ptr("other")))
	refused(t, err, 403, "AccessDenied", denied+"external")
	_, err = assume(b.Client, external(nil))
	refused(t, err, 403, "AccessDenied", denied+"external")
	b.role("task", "/", identity.ServiceTrust("ecs-tasks.amazonaws.com"), 3600)
	for _, name := range []string{"task", "none", "app/other/deploy", "deploy"} {
		_, err = assume(b.Client, func(in *sts.AssumeRoleInput) { in.RoleArn = ptr("arn:aws:iam::111122223333:role/" + name) })
		refused(t, err, 403, "AccessDenied", denied+name)
	}

	for name, tc := range map[string]struct {
		change     func(in *sts.AssumeRoleInput)
		code, text string
	}{
		"too long for the role": {func(in *sts.AssumeRoleInput) { in.DurationSeconds = ptr(int32(7201)) }, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		"too short": {func(in *sts.AssumeRoleInput) { in.DurationSeconds = ptr(int32(899)) }, "ValidationError",
			"1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		"too long": {func(in *sts.AssumeRoleInput) { in.DurationSeconds = ptr(int32(43201)) }, "ValidationError", "less than or equal to 43200"},
		"session name": {func(in *sts.AssumeRoleInput) { in.RoleSessionName = ptr("a b") }, "ValidationError",
			`1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		"short session name": {func(in *sts.AssumeRoleInput) { in.RoleSessionName = ptr("a") }, "ValidationError", "greater than or equal to 2"},
		"no ARN":             {func(in *sts.AssumeRoleInput) { in.RoleArn = ptr("deploy-deploy-deploy-deploy") }, "ValidationError", "deploy-deploy-deploy-deploy is invalid"},
		"session policy":     {func(in *sts.AssumeRoleInput) { in.Policy = ptr("{") }, "MalformedPolicyDocument", "Syntax errors in policy."},
		"tags": {func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: ptr("k"), Value: ptr("")}, {Key: ptr("K"), Value: ptr("")}}
		}, "InvalidParameterValue", "Duplicate tag keys found"},
		"too much": {func(in *sts.AssumeRoleInput) {
			for i := range 40 {
				in.Tags = append(in.Tags, types.Tag{Key: ptr(strings.Repeat("k", i+1)), Value: ptr(strings.Repeat("v", 250))})
			}
		}, "PackedPolicyTooLarge", "of allotted space"},
	} {
		_, err := assume(b.Client, tc.change)
		t.Run(name, func(t *testing.T) { refused(t, err, 400, tc.code, tc.text) })
	}
	packed, err := assume(b.Client, func(in *sts.AssumeRoleInput) {
		in.Policy = ptr(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: ptr("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}}
	})
	check(t, err)
	if packed.PackedPolicySize == nil || *packed.PackedPolicySize < 1 || *packed.PackedPolicySize > 20 {
		t.Errorf("packed size %v", packed.PackedPolicySize)
	}
}

func TestRefusedOperations(t *testing.T) {
	t.Parallel()
	b := newBench(t, false, nil)
	_, err := b.GetFederationToken(b.ctx(), &sts.GetFederationTokenInput{Name: ptr("me")})
	refused(t, err, 400, "UnsupportedOperation", "GetFederationToken is not supported")
	_, err = b.AssumeRoleWithSAML(b.ctx(), &sts.AssumeRoleWithSAMLInput{RoleArn: ptr(roleARN), PrincipalArn: ptr(roleARN), SAMLAssertion: ptr("abcd")})
	refused(t, err, 400, "UnsupportedOperation", "AssumeRoleWithSAML is not supported: batchbox does not provide this operation of STS.")
	_, err = b.GetAccessKeyInfo(b.ctx(), &sts.GetAccessKeyInfoInput{AccessKeyId: ptr("not-a-key-of-anybody")})
	refused(t, err, 400, "ValidationError", "The access key id not-a-key-of-anybody is not valid.")
}

// TestWebIdentity gets credentials for a token, without a signature, as a pod or a CI job does.
func TestWebIdentity(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	b64 := base64.RawURLEncoding
	var issuer *httptest.Server
	issuer = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
				"kty": "RSA", "n": b64.EncodeToString(key.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys"})
	}))
	t.Cleanup(issuer.Close)
	token := func(sub string, exp time.Duration) string {
		body, err := json.Marshal(map[string]any{"iss": issuer.URL, "aud": "sts.amazonaws.com", "sub": sub, "exp": time.Now().Add(exp).Unix()})
		check(t, err)
		signed := b64.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + b64.EncodeToString(body)
		sum := sha256.Sum256([]byte(signed))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		check(t, err)
		return signed + "." + b64.EncodeToString(sig)
	}
	b := newBench(t, true, issuer.Client())
	name := strings.TrimPrefix(issuer.URL, "https://")
	provider := "arn:aws:iam::111122223333:oidc-provider/" + name
	b.role("ci", "/", trusting(`{"Federated":"`+provider+`"}`, `,"Condition":{"StringEquals":{"`+name+`:aud":"sts.amazonaws.com"},"StringLike":{"`+name+`:sub":"repo:me/*"}}`), 3600)
	assume := func(token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return b.client(aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(b.ctx(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: ptr("arn:aws:iam::111122223333:role/ci"), RoleSessionName: ptr("run-1"), WebIdentityToken: &token,
		})
	}
	_, err = assume(token("repo:me/it", time.Hour))
	refused(t, err, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "+issuer.URL)
	check(t, b.docs.Update(b.ctx(), func(w store.Writer) error {
		return identity.PutProvider(w, account, &identity.Provider{Issuer: name, ClientIDs: []string{"sts.amazonaws.com"}})
	}))
	out, err := assume(token("repo:me/it", time.Hour))
	check(t, err)
	if *out.Provider != provider || *out.SubjectFromWebIdentityToken != "repo:me/it" || *out.Audience != "sts.amazonaws.com" || *out.AssumedRoleUser.AssumedRoleId != "AROACI:run-1" {
		t.Errorf("assumed %+v", out)
	}
	if got := whoami(t, b.as(out.Credentials)); got[1] != "arn:aws:sts::111122223333:assumed-role/ci/run-1" {
		t.Errorf("the session is %v", got)
	}
	_, err = assume(token("repo:you/it", time.Hour))
	refused(t, err, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	_, err = assume(token("repo:me/it", -time.Minute))
	refused(t, err, 400, "ExpiredTokenException", "Token expired")
	_, err = assume("not a token")
	refused(t, err, 400, "InvalidIdentityToken", "not a valid JWT")
}

// TestSecretsStayOutOfLogs: what STS hands out is in no log record.
func TestSecretsStayOutOfLogs(t *testing.T) {
	t.Parallel()
	docs := memory.New()
	sessions := identity.NewSessions(docs, nil)
	svc, err := api.New(api.Options{Docs: docs, Sessions: sessions, Tokens: identity.NewTokenVerifier(docs, nil)})
	check(t, err)
	var log bytes.Buffer
	mux, err := awswire.NewMux(awswire.Options{
		Services: []*awswire.Service{svc}, DefaultAccount: account, DefaultRegion: "us-east-1",
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	check(t, err)
	srv := httptest.NewServer(mux)
	c := sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider(account, "secret", "")})
	out, err := c.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	check(t, err)
	srv.Close() // what was logged is written
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
	for _, secret := range []string{*out.Credentials.SecretAccessKey, *out.Credentials.SessionToken} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %s:\n%s", secret, log.String())
		}
	}
}
