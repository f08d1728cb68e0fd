package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Session is a set of temporary credentials and whose they are. Its JSON is how the store keeps it.
type Session struct {
	AccessKeyID     string `json:"accessKeyId"` // ASIA...
	SecretAccessKey string `json:"secretAccessKey"`
	Token           string `json:"token"`
	Expires         int64  `json:"expires"` // ms

	Account string `json:"account"`
	// ARN and UserID are what sts:GetCallerIdentity answers: of a role's session "arn:aws:sts::A:assumed-role/NAME/SESSION"
	// and "AROA...:SESSION".
	ARN    string `json:"arn"`
	UserID string `json:"userId"`
	// RoleARN is the assumed role's, "" for sts:GetSessionToken.
	RoleARN        string `json:"roleArn,omitempty"`
	SourceIdentity string `json:"sourceIdentity,omitempty"`
}

// ExpiresAt is when the credentials end.
func (s *Session) ExpiresAt() time.Time { return time.UnixMilli(s.Expires).UTC() }

// Sessions issues and knows temporary credentials. Its methods may be called from many goroutines.
type Sessions struct {
	docs   store.Docs
	now    func() time.Time
	random io.Reader
}

var _ awswire.Credentials = (*Sessions)(nil)

// NewSessions keeps sessions in docs. now is the clock, time.Now if nil.
func NewSessions(docs store.Docs, now func() time.Time) *Sessions {
	if now == nil {
		now = time.Now
	}
	return &Sessions{docs: docs, now: now, random: rand.Reader}
}

// The kinds of documents: sessions by access key, and their keys by time of expiry, so that old ones are found.
const (
	kindSession = "sts-session"
	kindExpiry  = "sts-expiry"
	// remembered is for how long an expired session is known as one, so that its caller reads "expired" rather than "unknown".
	remembered = 24 * time.Hour
	// forgetPerIssue bounds the old sessions one new one removes.
	forgetPerIssue = 16
)

// nowhere holds what belongs to no account: a session is looked for by its key alone.
var nowhere batch.Partition

// Issue makes credentials for a session whose Account, ARN, UserID, RoleARN and SourceIdentity are given, good for d.
func (s *Sessions) Issue(ctx context.Context, session Session, d time.Duration) (*Session, error) {
	now := s.now()
	session.Expires = now.Add(d).UnixMilli()
	var err error
	if session.AccessKeyID, err = NewID(s.random, prefixSession, session.Account); err != nil {
		return nil, err
	}
	secret := make([]byte, 30+120)
	if _, err := io.ReadFull(s.random, secret); err != nil {
		return nil, fmt.Errorf("make temporary credentials: %w", err)
	}
	session.SecretAccessKey = base64.StdEncoding.EncodeToString(secret[:30])
	session.Token = base64.StdEncoding.EncodeToString(secret[30:])
	err = s.docs.Update(ctx, func(w store.Writer) error {
		if err := forget(w, now.Add(-remembered)); err != nil {
			return err
		}
		if ok, err := w.Get(nowhere, kindSession, session.AccessKeyID, &Session{}); err != nil || ok {
			return errors.Join(err, fmt.Errorf("access key %s was issued before", session.AccessKeyID))
		}
		if err := w.Put(nowhere, kindExpiry, expiryKey(&session), nil); err != nil {
			return err
		}
		return w.Put(nowhere, kindSession, session.AccessKeyID, session)
	})
	if err != nil {
		return nil, fmt.Errorf("issue temporary credentials: %w", err)
	}
	return &session, nil
}

func expiryKey(s *Session) string { return fmt.Sprintf("%015d/%s", s.Expires, s.AccessKeyID) }

// forget removes some sessions that expired before a time.
func forget(w store.Writer, before time.Time) error {
	n := 0
	return w.List(nowhere, kindExpiry, "", func(key string, _ []byte) (bool, error) {
		at, accessKey, _ := strings.Cut(key, "/")
		if n == forgetPerIssue || at >= fmt.Sprintf("%015d", before.UnixMilli()) {
			return false, nil
		}
		n++
		_, err := w.Delete(nowhere, kindSession, accessKey)
		if err == nil {
			_, err = w.Delete(nowhere, kindExpiry, key)
		}
		return true, err
	})
}

// IssueForRole makes credentials for a role's session, as a service does that runs something for its customer: the task
// credentials endpoint. The role need not exist (batchbox takes roles by ARN everywhere); its id is then made of the ARN. One
// that exists has to trust the tasks of ECS, else the error is an *UntrustedError.
// p's account and region are those of the task; the role's account is in its ARN.
func (s *Sessions) IssueForRole(ctx context.Context, p batch.Partition, roleARN, sessionName string, d time.Duration) (*Session, error) {
	account, _, name, ok := SplitRoleARN(roleARN)
	if !ok {
		return nil, fmt.Errorf("%q is not the ARN of a role", roleARN)
	}
	var role *Role
	if err := s.docs.View(ctx, func(r store.Reader) (err error) {
		role, ok, err = FindRole(r, account, name)
		return err
	}); err != nil {
		return nil, err
	}
	var id string
	if ok {
		trust, err := ParsePolicy(TrustPolicy, role.Trust)
		if err != nil {
			return nil, fmt.Errorf("the stored trust policy of %s: %w", roleARN, err)
		}
		if !trust.Trusts(&Caller{Service: taskService}, AssumeRole) {
			return nil, &UntrustedError{RoleARN: roleARN}
		}
		id = role.ID
	} else {
		seed := sha256.Sum256([]byte(roleARN))
		var err error
		if id, err = NewID(strings.NewReader(hex.EncodeToString(seed[:])), PrefixRole, account); err != nil {
			return nil, err
		}
	}
	return s.Issue(ctx, RoleSession(batch.Partition{Account: account, Region: p.Region}, roleARN, name, id, sessionName), d)
}

// taskService is the principal of tasks (ECS developer guide, "Amazon ECS task IAM role").
const taskService = "ecs-tasks.amazonaws.com"

// UntrustedError says that a role does not trust the tasks of ECS, in the words of ECS.
type UntrustedError struct{ RoleARN string }

func (e *UntrustedError) Error() string {
	return "ECS was unable to assume the role '" + e.RoleARN + "' that was provided for this task. Please verify that the role being " +
		"passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
}

// RoleSession is the session of a role to be issued.
func RoleSession(p batch.Partition, roleARN, roleName, roleID, sessionName string) Session {
	return Session{
		Account: p.Account, ARN: ARN(p, "sts", "assumed-role/"+roleName+"/"+sessionName), UserID: roleID + ":" + sessionName, RoleARN: roleARN,
	}
}

// Find finds a session by its access key, expired or not. It is how a caller is told whose key he used where signatures
// are not verified.
func (s *Sessions) Find(ctx context.Context, accessKeyID string) (session *Session, ok bool, err error) {
	if !strings.HasPrefix(accessKeyID, prefixSession) {
		return nil, false, nil
	}
	session = &Session{}
	err = s.docs.View(ctx, func(r store.Reader) (err error) {
		ok, err = r.Get(nowhere, kindSession, accessKeyID, session)
		return err
	})
	if err != nil || !ok {
		return nil, false, err
	}
	return session, true, nil
}

// Lookup implements awswire.Credentials for temporary credentials; any other key is awswire.ErrUnknownKey.
func (s *Sessions) Lookup(ctx context.Context, accessKeyID, sessionToken string) (awswire.Credential, error) {
	session, ok, err := s.Find(ctx, accessKeyID)
	switch {
	case err != nil:
		return awswire.Credential{}, err
	case !ok, subtle.ConstantTimeCompare([]byte(session.Token), []byte(sessionToken)) != 1:
		return awswire.Credential{}, awswire.ErrUnknownKey
	case s.now().UnixMilli() >= session.Expires:
		return awswire.Credential{}, awswire.ErrExpiredToken
	}
	return awswire.Credential{SecretAccessKey: session.SecretAccessKey, Account: session.Account}, nil
}
