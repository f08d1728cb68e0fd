package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

var b64 = base64.RawURLEncoding

// issuer is an OpenID Connect provider with keys of its own.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []map[string]string
	name    string // what the discovery document says it is; the URL if empty
	fetched int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	is := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		is.mu.Lock()
		defer is.mu.Unlock()
		name := is.name
		if name == "" {
			name = is.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": is.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		is.mu.Lock()
		defer is.mu.Unlock()
		is.fetched++
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": is.keys})
	})
	is.Server = httptest.NewTLSServer(mux)
	t.Cleanup(is.Close)
	return is
}

func (is *issuer) publish(key map[string]string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = append(is.keys, key)
}

// signer signs with one key.
type signer struct {
	alg, kid string
	sign     func(sum []byte) []byte
	hash     crypto.Hash
	public   map[string]string
}

func (s *signer) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	head, err := json.Marshal(map[string]string{"alg": s.alg, "kid": s.kid, "typ": "JWT"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := b64.EncodeToString(head) + "." + b64.EncodeToString(body)
	h := s.hash.New()
	h.Write([]byte(signed))
	return signed + "." + b64.EncodeToString(s.sign(h.Sum(nil)))
}

func newRSA(t *testing.T, kid string) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{
		alg: "RS256", kid: kid, hash: crypto.SHA256,
		sign: func(sum []byte) []byte {
			sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum)
			if err != nil {
				t.Error(err)
			}
			return sig
		},
		public: map[string]string{
			"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64.EncodeToString(key.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		},
	}
}

func newEC(t *testing.T, kid string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return &signer{
		alg: "ES256", kid: kid, hash: crypto.SHA256,
		sign: func(sum []byte) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, key, sum)
			if err != nil {
				t.Error(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		},
		public: map[string]string{"kty": "EC", "kid": kid, "crv": "P-256", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])},
	}
}

func TestWebTokens(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	is := newIssuer(t)
	one, two := newRSA(t, "one"), newEC(t, "two")
	is.publish(one.public)
	is.publish(two.public)
	docs := memory.New()
	if err := docs.Update(ctx, func(w store.Writer) error {
		return PutProvider(w, account, &Provider{Issuer: strings.TrimPrefix(is.URL, "https://"), ClientIDs: []string{"client", "other"}})
	}); err != nil {
		t.Fatal(err)
	}
	v := NewTokenVerifier(docs, is.Client())
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"iss": is.URL, "sub": "subject", "aud": "client", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "groups": []string{"a", "b"}, "level": 3,
		}
		maps.Copy(c, change)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return c
	}
	for _, s := range []*signer{one, two} {
		got, err := v.Verify(ctx, account, s.token(t, claims(nil)), now)
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
			continue
		}
		if got.Subject != "subject" || got.Client != "client" || len(got.Text["groups"]) != 2 || got.Text["level"] != nil {
			t.Errorf("%s: %+v", s.alg, got)
		}
	}
	if is.fetched != 1 {
		t.Errorf("the keys were fetched %d times", is.fetched)
	}
	good := one.token(t, claims(nil))
	stranger := newRSA(t, "one")
	forged := strings.Split(good, ".")
	forged[1] = b64.EncodeToString([]byte(`{"iss":"` + is.URL + `","sub":"admin","aud":"client","exp":9999999999}`))
	none := b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + forged[1] + "."
	for _, tc := range []struct {
		name, account, token string
		fault                TokenFault
		text                 string
	}{
		{"no token", account, "abcd", TokenInvalid, "not a valid JWT"},
		{"rubbish", account, "a.b.c", TokenInvalid, "not a valid JWT"},
		{"no signature", account, none, TokenInvalid, "signed with none"},
		{"another account", "999988887777", good, TokenInvalid, "No OpenIDConnect provider found in your account for " + is.URL},
		{"another issuer", account, one.token(t, claims(map[string]any{"iss": "https://example.com"})), TokenInvalid, "No OpenIDConnect provider found in your account for https://example.com"},
		{"an issuer without TLS", account, one.token(t, claims(map[string]any{"iss": strings.Replace(is.URL, "https", "http", 1)})), TokenInvalid, "No OpenIDConnect provider"},
		{"expired", account, one.token(t, claims(map[string]any{"exp": now.Unix()})), TokenExpired, "Token expired"},
		{"never expires", account, one.token(t, claims(map[string]any{"exp": nil})), TokenInvalid, "claim: exp"},
		{"from the future", account, one.token(t, claims(map[string]any{"iat": now.Add(time.Hour).Unix()})), TokenInvalid, "in the future"},
		{"no subject", account, one.token(t, claims(map[string]any{"sub": nil})), TokenInvalid, "claim: sub"},
		{"another audience", account, one.token(t, claims(map[string]any{"aud": "them"})), TokenInvalid, "Incorrect token audience"},
		{"another party", account, one.token(t, claims(map[string]any{"azp": "them"})), TokenInvalid, "Incorrect token audience"},
		{"another's key of the same name", account, stranger.token(t, claims(nil)), TokenInvalid, "could not be verified"},
		{"changed claims", account, strings.Join(forged, "."), TokenInvalid, "could not be verified"},
	} {
		_, err := v.Verify(ctx, tc.account, tc.token, now)
		var te *TokenError
		if !errors.As(err, &te) || te.Fault != tc.fault || !strings.Contains(te.Text, tc.text) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if got, err := v.Verify(ctx, account, one.token(t, claims(map[string]any{"aud": []string{"x", "other"}})), now); err != nil || got.Client != "other" {
		t.Errorf("a list of audiences: %+v, %v", got, err)
	}

	// A new key is found when a token names it, but not looked for at every forged one.
	three := newEC(t, "three")
	is.publish(three.public)
	before := is.fetched
	if _, err := v.Verify(ctx, account, three.token(t, claims(nil)), now.Add(time.Second)); err == nil || is.fetched != before {
		t.Errorf("within the pause the keys were fetched %d times, %v", is.fetched-before, err)
	}
	if _, err := v.Verify(ctx, account, three.token(t, claims(nil)), now.Add(keysRefetch)); err != nil || is.fetched != before+1 {
		t.Errorf("after the pause the keys were fetched %d times, %v", is.fetched-before, err)
	}

	// A provider that does not answer, or answers for another.
	is.mu.Lock()
	is.name = "https://example.com"
	is.mu.Unlock()
	var te *TokenError
	if _, err := v.Verify(ctx, account, one.token(t, claims(map[string]any{"exp": now.Add(time.Hour).Unix()})), now.Add(keysFresh+keysRefetch)); !errors.As(err, &te) || te.Fault != ProviderSilent {
		t.Errorf("a discovery document of another: %v", err)
	}
	is.Close()
	if _, err := v.Verify(ctx, account, one.token(t, claims(map[string]any{"exp": now.Add(time.Hour).Unix()})), now.Add(keysFresh+keysRefetch)); !errors.As(err, &te) || te.Fault != ProviderSilent || te.Cause == nil {
		t.Errorf("a silent provider: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("a.b.c")
	f.Add(b64.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + b64.EncodeToString([]byte(`{"iss":"https://x","aud":["a"]}`)) + ".AAAA")
	v := NewTokenVerifier(memory.New(), nil)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(context.Background(), account, token, time.Unix(0, 0)); err == nil {
			t.Error("a token was taken without a provider")
		}
	})
}
