package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/store"
)

// TokenFault is the kind of thing that is wrong with a web identity token.
type TokenFault uint8

// The faults of tokens.
const (
	TokenInvalid TokenFault = iota + 1
	TokenExpired
	ProviderSilent // its keys could not be had
)

// TokenError is why a token was not taken.
type TokenError struct {
	Fault TokenFault
	Text  string
	Cause error
}

func (e *TokenError) Error() string { return e.Text }
func (e *TokenError) Unwrap() error { return e.Cause }

// WebToken is what a verified token says.
type WebToken struct {
	Provider *Provider
	Subject  string
	Audience []string
	// Client is the one of the provider's client ids that the token is for.
	Client string
	// Text are the claims that are text or lists of it, by name.
	Text map[string][]string
}

// TokenVerifier checks OpenID Connect ID tokens against the providers that an account has registered. Their keys are
// fetched from where their discovery document says (https://openid.net/specs/openid-connect-discovery-1_0.html) and kept
// for a while. Its methods may be called from many goroutines.
type TokenVerifier struct {
	docs   store.Docs
	client *http.Client

	mu   sync.Mutex
	keys map[string]keySet // by issuer
}

type keySet struct {
	fetched time.Time
	keys    []webKey
}

const (
	keysFresh    = 5 * time.Minute  // after that they are fetched again
	keysRefetch  = 10 * time.Second // within that an unknown key is not looked for again
	clockSkew    = 5 * time.Minute  // a token may be from the future by so much
	fetchTimeout = 5 * time.Second
	maxFetched   = 1 << 20
)

// NewTokenVerifier makes a verifier. client fetches the keys, http.DefaultClient if nil.
func NewTokenVerifier(docs store.Docs, client *http.Client) *TokenVerifier {
	if client == nil {
		client = http.DefaultClient
	}
	return &TokenVerifier{docs: docs, client: client, keys: map[string]keySet{}}
}

type tokenHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
}

// Verify checks a token for an account. Its errors are *TokenError, or the store's.
func (v *TokenVerifier) Verify(ctx context.Context, account, token string, now time.Time) (*WebToken, error) {
	header, claims, signed, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	issuer, _ := claims["iss"].(string)
	var provider *Provider
	var ok bool
	if err := v.docs.View(ctx, func(r store.Reader) (err error) {
		provider, ok, err = FindProvider(r, account, strings.TrimSuffix(strings.TrimPrefix(issuer, "https://"), "/"))
		return err
	}); err != nil {
		return nil, err
	}
	if !ok || !strings.HasPrefix(issuer, "https://") {
		return nil, &TokenError{Fault: TokenInvalid, Text: "No OpenIDConnect provider found in your account for " + issuer}
	}
	if err := v.signature(ctx, issuer, header, signed, signature, now); err != nil {
		return nil, err
	}
	if err := times(claims, now); err != nil {
		return nil, err
	}
	t := &WebToken{Provider: provider, Audience: texts(claims["aud"]), Text: map[string][]string{}}
	for name, value := range claims {
		if list := texts(value); list != nil {
			t.Text[name] = list
		}
	}
	if t.Subject, _ = claims["sub"].(string); t.Subject == "" {
		return nil, &TokenError{Fault: TokenInvalid, Text: "Missing a required claim: sub"}
	}
	// The party it was issued to counts where it differs from the audience (OpenID Connect Core, section 2, azp).
	parties := t.Audience
	if azp := texts(claims["azp"]); azp != nil {
		parties = azp
	}
	i := slices.IndexFunc(parties, func(p string) bool { return slices.Contains(provider.ClientIDs, p) })
	if i < 0 {
		return nil, &TokenError{Fault: TokenInvalid, Text: "Incorrect token audience"}
	}
	t.Client = parties[i]
	return t, nil
}

func split(token string) (header tokenHeader, claims map[string]any, signed, signature []byte, err error) {
	invalid := &TokenError{Fault: TokenInvalid, Text: "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return header, nil, nil, nil, invalid
	}
	var raw [3][]byte
	for i, p := range parts {
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			return header, nil, nil, nil, invalid
		}
	}
	if json.Unmarshal(raw[0], &header) != nil || json.Unmarshal(raw[1], &claims) != nil || claims == nil {
		return header, nil, nil, nil, invalid
	}
	return header, claims, []byte(parts[0] + "." + parts[1]), raw[2], nil
}

// texts reads a text or a list of texts; nil for anything else.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		list := []string{}
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil
			}
			list = append(list, s)
		}
		return list
	}
	return nil
}

func times(claims map[string]any, now time.Time) error {
	exp, ok := claims["exp"].(float64)
	if !ok {
		return &TokenError{Fault: TokenInvalid, Text: "Missing a required claim: exp"}
	}
	if end := time.Unix(int64(exp), 0); !now.Before(end) {
		return &TokenError{Fault: TokenExpired, Text: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), end.Unix())}
	}
	for _, name := range []string{"iat", "nbf"} {
		if at, ok := claims[name].(float64); ok && time.Unix(int64(at), 0).After(now.Add(clockSkew)) {
			return &TokenError{Fault: TokenInvalid, Text: "Token is not valid yet: its " + name + " is in the future"} // unverified text
		}
	}
	return nil
}

// signature checks who made a token.
func (v *TokenVerifier) signature(ctx context.Context, issuer string, h tokenHeader, signed, signature []byte, now time.Time) error {
	hash, known := tokenHashes[h.Alg]
	if !known {
		return &TokenError{Fault: TokenInvalid, Text: "Token is signed with " + h.Alg + ", which is not supported"} // unverified text
	}
	digest := hash.New()
	digest.Write(signed)
	sum := digest.Sum(nil)
	for _, again := range []bool{false, true} {
		set, err := v.keysOf(ctx, issuer, now, again)
		if err != nil {
			return &TokenError{Fault: ProviderSilent, Text: "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements", Cause: err}
		}
		for _, k := range set {
			if (h.Kid == "" || k.Kid == "" || h.Kid == k.Kid) && k.verifies(h.Alg, hash, sum, signature) {
				return nil
			}
		}
	}
	return &TokenError{Fault: TokenInvalid, Text: "The ID Token's signature could not be verified with the keys of " + issuer} // unverified text
}

var tokenHashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
}

// keysOf gives an issuer's keys: those at hand, or, again, fresh ones in case it has changed them.
func (v *TokenVerifier) keysOf(ctx context.Context, issuer string, now time.Time, again bool) ([]webKey, error) {
	v.mu.Lock()
	set, ok := v.keys[issuer]
	v.mu.Unlock()
	age := now.Sub(set.fetched)
	if ok && age < keysFresh && (!again || age < keysRefetch) {
		return set.keys, nil
	}
	keys, err := v.fetchKeys(ctx, issuer)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.keys[issuer] = keySet{fetched: now, keys: keys}
	v.mu.Unlock()
	return keys, nil
}

func (v *TokenVerifier) fetchKeys(ctx context.Context, issuer string) ([]webKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := v.fetch(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != issuer {
		return nil, fmt.Errorf("the discovery document of %s is that of %q", issuer, discovery.Issuer)
	}
	var set struct {
		Keys []webKey `json:"keys"`
	}
	if err := v.fetch(ctx, discovery.Keys, &set); err != nil {
		return nil, err
	}
	return set.Keys, nil
}

func (v *TokenVerifier) fetch(ctx context.Context, address string, into any) (err error) {
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" {
		return fmt.Errorf("fetch %q: not an https URL", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := *v.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") }
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch %s: %s", address, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxFetched))
	if err != nil {
		return fmt.Errorf("fetch %s: %w", address, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("fetch %s: %w", address, err)
	}
	return nil
}

// webKey is a JSON Web Key (RFC 7517) of the two kinds that sign ID tokens.
type webKey struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

func (k *webKey) verifies(alg string, hash crypto.Hash, sum, signature []byte) bool {
	if k.Use != "" && k.Use != "sig" || k.Alg != "" && k.Alg != alg {
		return false
	}
	switch {
	case k.Kty == "RSA" && strings.HasPrefix(alg, "RS"):
		n, okN := bigInt(k.N)
		e, okE := bigInt(k.E)
		if !okN || !okE || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || n.BitLen() < 2048 {
			return false
		}
		return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: n, E: int(e.Int64())}, hash, sum, signature) == nil
	case k.Kty == "EC" && strings.HasPrefix(alg, "ES"):
		curve := map[string]elliptic.Curve{"ES256/P-256": elliptic.P256(), "ES384/P-384": elliptic.P384(), "ES512/P-521": elliptic.P521()}[alg+"/"+k.Crv]
		if curve == nil {
			return false
		}
		size := (curve.Params().BitSize + 7) / 8
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if errX != nil || errY != nil || len(x) != size || len(y) != size || len(signature) != 2*size {
			return false
		}
		key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return false
		}
		return ecdsa.Verify(key, sum, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	}
	return false
}

func bigInt(s string) (*big.Int, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return new(big.Int).SetBytes(b), err == nil && len(b) > 0
}
