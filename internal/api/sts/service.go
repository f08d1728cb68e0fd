// Package sts is the AWS Security Token Service API: who a caller is, and temporary credentials for roles. Requests,
// replies and error codes follow the API reference (https://docs.aws.amazon.com/STS/latest/APIReference/); the texts of
// errors are AWS's where clients have quoted them in public, and where a comment says "unverified" they are a guess.
//
// What differs from AWS on purpose: a caller with long-lived keys is the account's root, and may assume roles all the
// same (AWS refuses that to root); it passes for every user and role of its account that a trust policy names. Session
// policies and tags are checked and change nothing, as permissions are not evaluated.
package sts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on.
type Options struct {
	Docs     store.Docs
	Sessions *identity.Sessions
	// Tokens verifies the tokens of web identities.
	Tokens *identity.TokenVerifier
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

type api struct {
	docs     store.Docs
	sessions *identity.Sessions
	tokens   *identity.TokenVerifier
	now      func() time.Time
}

// New describes the service for an awswire.Mux.
func New(o Options) (*awswire.Service, error) {
	a := &api{docs: o.Docs, sessions: o.Sessions, tokens: o.Tokens, now: o.Now}
	if a.now == nil {
		a.now = time.Now
	}
	web := awswire.Op("AssumeRoleWithWebIdentity", a.assumeRoleWithWebIdentity)
	web.Unsigned = true // the token is the proof
	s := &awswire.Service{
		Name: "sts",
		Operations: []awswire.Operation{
			web,
			awswire.Op("AssumeRole", a.assumeRole),
			awswire.Op("GetAccessKeyInfo", a.getAccessKeyInfo),
			awswire.Op("GetCallerIdentity", a.getCallerIdentity),
			awswire.Op("GetSessionToken", a.getSessionToken),
		},
		Refused: map[string]string{
			"DecodeAuthorizationMessage": "DecodeAuthorizationMessage is not supported: batchbox does not evaluate permissions, so it makes no such messages.",
			"GetFederationToken":         "GetFederationToken is not supported: batchbox has no users whose permissions could be passed on.",
		},
		RefusedCode: "UnsupportedOperation",
		MapError:    mapError,
	}
	if err := s.ApplyModel(awswire.STSModel()); err != nil {
		return nil, fmt.Errorf("sts: %w", err)
	}
	s.RefuseOthers(func(op string) string {
		return op + " is not supported: batchbox does not provide this operation of STS."
	})
	return s, nil
}

func refuse(code, format string, args ...any) *awswire.Error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status[code]}
}

// status is that of STS's error codes where it is not 400
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and each operation's own list).
var status = map[string]int{
	"AccessDenied": http.StatusForbidden,
	"ExpiredToken": http.StatusForbidden,
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	var policy *identity.PolicyError
	var token *identity.TokenError
	switch {
	case errors.As(err, &policy):
		return refuse("MalformedPolicyDocument", "%s", policy.Text)
	case errors.As(err, &token):
		e := refuse(tokenCodes[token.Fault], "%s", token.Text)
		e.Cause = token.Cause
		return e
	case errors.Is(err, store.ErrUnavailable):
		return &awswire.Error{Code: "ServiceUnavailable", Message: "the engine can not write its store; its log has the reason", Status: http.StatusServiceUnavailable, Server: true, Cause: err}
	}
	return nil
}

// tokenCodes are the codes of what can be wrong with a web identity token.
var tokenCodes = map[identity.TokenFault]string{
	identity.TokenInvalid:   "InvalidIdentityToken",
	identity.TokenExpired:   "ExpiredTokenException",
	identity.ProviderSilent: "IDPCommunicationError",
}

// caller is who makes a request.
type caller struct {
	batch.Partition
	arn, userID string
	session     *identity.Session // nil for long-lived keys
}

// caller finds out who makes a request. Where signatures are not verified a key that STS never issued is taken for a
// long-lived one.
func (a *api) caller(ctx context.Context, c *awswire.Call) (*caller, error) {
	p := batch.Partition{Account: c.Account, Region: c.Region}
	session, ok, err := a.sessions.Find(ctx, c.AccessKeyID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return &caller{Partition: p, arn: identity.RootARN(p), userID: p.Account}, nil
	}
	if a.now().UnixMilli() >= session.Expires {
		return nil, refuse("ExpiredToken", "The security token included in the request is expired")
	}
	p.Account = session.Account
	return &caller{Partition: p, arn: session.ARN, userID: session.UserID, session: session}, nil
}

func (a *api) getCallerIdentity(ctx context.Context, c *awswire.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	who, err := a.caller(ctx, c)
	if err != nil {
		return nil, err
	}
	return &sts.GetCallerIdentityOutput{Account: &who.Account, Arn: &who.arn, UserId: &who.userID}, nil
}

func (a *api) getAccessKeyInfo(_ context.Context, _ *awswire.Call, in *sts.GetAccessKeyInfoInput) (*sts.GetAccessKeyInfoOutput, error) {
	account, ok := identity.AccountOf(*in.AccessKeyId)
	if !ok { // unverified text
		return nil, refuse("ValidationError", "The access key id %s is not valid.", *in.AccessKeyId)
	}
	return &sts.GetAccessKeyInfoOutput{Account: &account}, nil
}

func (a *api) getSessionToken(ctx context.Context, c *awswire.Call, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, refuse("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	d, err := duration(in.DurationSeconds, 900, 129600, 43200)
	if err != nil {
		return nil, err
	}
	who, err := a.caller(ctx, c)
	if err != nil {
		return nil, err
	}
	if who.session != nil {
		return nil, refuse("AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	session, err := a.sessions.Issue(ctx, identity.Session{Account: who.Account, ARN: who.arn, UserID: who.userID}, d)
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{Credentials: show(session)}, nil
}

func show(s *identity.Session) *types.Credentials {
	expiration := s.ExpiresAt()
	return &types.Credentials{AccessKeyId: &s.AccessKeyID, SecretAccessKey: &s.SecretAccessKey, SessionToken: &s.Token, Expiration: &expiration}
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }
