package awswire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials knows the access keys that may sign. It is used by many goroutines at once. Lookup's error is or wraps
// ErrUnknownKey or ErrExpiredToken; any other is a failure of the lookup, which the caller sees as an internal error.
// A key of a session is known only together with its token, and one without a session only with an empty token.
type Credentials interface {
	Lookup(ctx context.Context, accessKeyID, sessionToken string) (Credential, error)
}

// Credential is one access key.
type Credential struct {
	SecretAccessKey string
	// Account is whose key it is (twelve digits). If empty, the account is found as without verification.
	Account string
}

// The errors of Credentials.Lookup.
var (
	ErrUnknownKey   = errors.New("the access key or its session token is not known")
	ErrExpiredToken = errors.New("the session token has expired")
)

// Verifier checks SigV4 signatures in header and presigned form.
//
// The body is always part of what is signed: UNSIGNED-PAYLOAD and the streaming forms, which only S3 takes, are refused
// (for Options.Others they pass). A
// signature is good for five minutes around its time, a presigned one for fifteen minutes after it, or as long as its
// X-Amz-Expires says if that is longer. (AWS STS honours presigned requests for fifteen minutes even with X-Amz-Expires=60,
// which EKS tokens rely on; the five minutes are what AWS's texts name.) Within that time a request can be replayed, as on
// AWS: the transport has to keep it secret.
type Verifier struct {
	Credentials Credentials
	// Now is the clock that signing times are held against; time.Now if nil.
	Now func() time.Time
}

const (
	headerSkew    = 5 * time.Minute
	presignedSkew = 15 * time.Minute
)

// authProblem is why a signature was refused.
type authProblem struct {
	fault authFault
	text  string
	cause error // of a failed lookup; fault does not count then
}

// verify checks the request's signature and fills in what it proves.
func (x *exchange) verify(body []byte) *Error {
	v := x.m.opts.Verifier
	if x.sig == nil && x.sigErr == nil && x.op != nil && x.op.Unsigned {
		return nil
	}
	cred, p := v.check(x.r, x.sig, x.sigErr, func() (string, *authProblem) { return hashed(x.r, body) })
	if p != nil {
		return x.refuseSignature(p)
	}
	x.call.Verified = true
	if cred.Account != "" {
		x.call.Account = cred.Account
	}
	return nil
}

// attribute finds the account of a request whose signature is not verified: a session's, by its key and token.
func (x *exchange) attribute() *Error {
	s := x.sig
	if s == nil || s.SessionToken == "" || x.m.opts.Sessions == nil || IsAccount(s.AccessKeyID) || x.op != nil && x.op.Unsigned {
		return nil
	}
	cred, p := lookup(x.r.Context(), x.m.opts.Sessions, s)
	switch {
	case p == nil:
		x.call.Account = cred.Account
	case p.cause != nil || p.fault != authUnknownKey:
		return x.refuseSignature(p)
	}
	return nil
}

// lookup finds the key of a signature.
func lookup(ctx context.Context, known Credentials, s *Signature) (Credential, *authProblem) {
	cred, err := known.Lookup(ctx, s.AccessKeyID, s.SessionToken)
	switch {
	case errors.Is(err, ErrExpiredToken):
		return cred, &authProblem{fault: authExpiredToken, text: "The security token included in the request is expired"}
	case errors.Is(err, ErrUnknownKey):
		return cred, &authProblem{fault: authUnknownKey, text: "The security token included in the request is invalid."}
	case err != nil:
		return cred, &authProblem{cause: fmt.Errorf("look up access key %s: %w", s.AccessKeyID, err)}
	}
	return cred, nil
}

func (x *exchange) refuseSignature(p *authProblem) *Error {
	switch {
	case p.cause != nil:
		return x.svc.wireError(&x.call, p.cause)
	case p.fault == authMissing && (x.svc.Protocol == Query || x.svc.Protocol == EC2Query):
		return x.svc.authError(p.fault, "Request is missing Authentication Token")
	default:
		return x.svc.authError(p.fault, p.text)
	}
}

// hashed is the hash of a body that is here whole, which what the client says of it must agree with.
func hashed(r *http.Request, body []byte) (string, *authProblem) {
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	h := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case h == "" || h == payload:
		return payload, nil
	case strings.HasPrefix(h, "UNSIGNED-PAYLOAD") || strings.HasPrefix(h, "STREAMING-"):
		return "", &authProblem{fault: authMismatch, text: "x-amz-content-sha256 " + h + " is not accepted: the body must be signed."}
	}
	return "", &authProblem{fault: authMismatch, text: "The provided 'x-amz-content-sha256' header does not match what was computed."}
}

// check checks a signature. payload gives the hash of the body, or what stands for it.
func (v *Verifier) check(r *http.Request, s *Signature, parseErr error, payload func() (string, *authProblem)) (Credential, *authProblem) {
	refuse := func(f authFault, text string) (Credential, *authProblem) {
		return Credential{}, &authProblem{fault: f, text: text}
	}
	switch {
	case parseErr != nil:
		return refuse(authIncomplete, strings.ReplaceAll(parseErr.Error(), "\n", ". "))
	case s == nil:
		return refuse(authMissing, "Missing Authentication Token")
	case !s.signs("host"):
		return refuse(authIncomplete, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	case r.Header.Get("X-Amz-Target") != "" && !s.signs("x-amz-target"):
		// It says what the request does.
		return refuse(authIncomplete, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
	}
	cred, p := lookup(r.Context(), v.Credentials, s)
	if p != nil {
		return Credential{}, p
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	if text := s.outOfTime(now().UTC()); text != "" {
		return refuse(authExpired, text)
	}
	if day := s.Time.Format("20060102"); s.Day != day {
		return refuse(authMismatch, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%.16s' != '%s'.", s.Day, day))
	}
	hash, p := payload()
	if p != nil {
		return Credential{}, p
	}
	mac := hex.EncodeToString(s.sign(cred.SecretAccessKey, canonicalRequest(r, s, hash)))
	if !hmac.Equal([]byte(mac), []byte(s.MAC)) {
		return refuse(authMismatch, "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return cred, nil
}

func (s *Signature) signs(header string) bool { return slices.Contains(s.SignedHeaders, header) }

// outOfTime says, in AWS's words, why the signature does not hold at this time; "" if it does.
func (s *Signature) outOfTime(now time.Time) string {
	past, skew := headerSkew, headerSkew
	if s.Presigned {
		past, skew = max(s.Expires, presignedSkew), presignedSkew
	}
	at := s.Time.Format(amzDateFormat)
	if earliest := now.Add(-past); s.Time.Before(earliest) {
		return fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %d min.)", at, earliest.Format(amzDateFormat),
			now.Format(amzDateFormat), past/time.Minute)
	}
	if latest := now.Add(skew); s.Time.After(latest) {
		return fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %d min.)", at, latest.Format(amzDateFormat),
			now.Format(amzDateFormat), skew/time.Minute)
	}
	return ""
}

// sign makes the signature of a canonical request.
func (s *Signature) sign(secret, canonical string) []byte {
	hash := sha256.Sum256([]byte(canonical))
	scope := s.Day + "/" + s.Region + "/" + s.Service + "/" + sigTerminal
	key := hmacSHA256([]byte("AWS4"+secret), s.Day)
	for _, part := range []string{s.Region, s.Service, sigTerminal} {
		key = hmacSHA256(key, part)
	}
	return hmacSHA256(key, sigAlgorithm+"\n"+s.Time.Format(amzDateFormat)+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
}

func hmacSHA256(key []byte, data string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(data))
	return m.Sum(nil)
}

// canonicalRequest is the text that is signed:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html#create-canonical-request.
func canonicalRequest(r *http.Request, s *Signature, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if s.Service == "s3" {
		b.WriteString(path)
	} else { // every service but S3 escapes the path a second time
		appendEscaped(&b, path, true)
	}
	b.WriteByte('\n')
	canonicalQuery(&b, r.URL.RawQuery, s.Presigned)
	b.WriteByte('\n')
	for _, h := range s.SignedHeaders {
		b.WriteString(h)
		b.WriteByte(':')
		b.WriteString(signedHeaderValue(r, h))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(s.SignedHeaders, ";"))
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String()
}

// canonicalQuery writes the query sorted by escaped name and value, without the signature itself.
func canonicalQuery(b *strings.Builder, raw string, presigned bool) {
	// A query that can't be read can't have been signed: its signature won't match.
	list, _ := parseParameters(raw)
	escaped := make([]parameter, 0, len(list))
	for _, kv := range list {
		if presigned && kv.key == "X-Amz-Signature" {
			continue
		}
		var k, v strings.Builder
		appendEscaped(&k, kv.key, false)
		appendEscaped(&v, kv.value, false)
		escaped = append(escaped, parameter{k.String(), v.String()})
	}
	slices.SortFunc(escaped, func(x, y parameter) int {
		if c := strings.Compare(x.key, y.key); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, kv := range escaped {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(kv.key)
		b.WriteByte('=')
		b.WriteString(kv.value)
	}
}

// appendEscaped percent-encodes all but RFC 3986's unreserved characters, and slashes if they are to be kept.
func appendEscaped(b *strings.Builder, s string, keepSlash bool) {
	const upperHex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~', c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}

// signedHeaderValue is a header's value with runs of spaces made one; net/http keeps Host and Content-Length apart.
func signedHeaderValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := r.Header.Values(name)
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' }), " ")
	}
	return strings.Join(parts, ",")
}
