package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// TokenLife is how long a password of ecr:GetAuthorizationToken is good for: twelve hours, as on AWS.
const TokenLife = 12 * time.Hour

// TokenUser is the user name that goes with every token, as on AWS.
const TokenUser = "AWS"

// claims is what a token says. It is signed, not secret.
type claims struct {
	Account string `json:"a"`
	Region  string `json:"r"`
	Expires int64  `json:"e"` // Unix seconds
}

// IssueToken makes a password for this registry that speaks for a partition until expires.
func (r *Registry) IssueToken(p batch.Partition, life time.Duration) (password string, expires time.Time, err error) {
	expires = r.opts.Now().Add(life).Truncate(time.Second)
	body, err := json.Marshal(claims{p.Account, p.Region, expires.Unix()})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issuing a registry token: %w", err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(body) + "." + enc.EncodeToString(r.sign(body)), expires, nil
}

func (r *Registry) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, r.tokenKey)
	mac.Write(body)
	return mac.Sum(nil)
}

// CheckToken says which partition a password speaks for; an error says what is wrong with it.
func (r *Registry) CheckToken(password string) (batch.Partition, error) {
	var none batch.Partition
	b, s, ok := strings.Cut(password, ".")
	if !ok {
		return none, errors.New("the password is not one that ecr:GetAuthorizationToken gave out")
	}
	enc := base64.RawURLEncoding
	body, err := enc.DecodeString(b)
	if err != nil {
		return none, fmt.Errorf("the password is damaged: %w", err)
	}
	sig, err := enc.DecodeString(s)
	if err != nil {
		return none, fmt.Errorf("the password is damaged: %w", err)
	}
	if !hmac.Equal(sig, r.sign(body)) {
		return none, errors.New("the password was not given out by this engine")
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return none, fmt.Errorf("the password is damaged: %w", err)
	}
	if r.opts.Now().Unix() >= c.Expires {
		return none, errors.New("Your authorization token has expired. Reauthenticate and try again.") // ECR's text
	}
	return batch.Partition{Account: c.Account, Region: c.Region}, nil
}
