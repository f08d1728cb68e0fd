package identity

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Role is an IAM role. Its JSON is how the store keeps it.
type Role struct {
	Name        string `json:"name"`
	Path        string `json:"path"`      // "/" or "/a/b/"
	ID          string `json:"id"`        // AROA...
	CreatedAt   int64  `json:"createdAt"` // ms
	Description string `json:"description,omitempty"`
	MaxSession  int32  `json:"maxSessionDuration"` // seconds
	Trust       string `json:"trust"`              // the document as it was given
	Boundary    string `json:"boundary,omitempty"` // ARN of a policy
	// Inline are the embedded policies by name, Attached the ARNs of the managed ones in the order they came.
	Inline   map[string]string `json:"inline,omitempty"`
	Attached []string          `json:"attached,omitempty"`
	Tags     []Tag             `json:"tags,omitempty"`
	// Service is the service principal of a service-linked role, which only that service may change.
	Service string `json:"service,omitempty"`
	// Deleted marks a role that is there from the start and was deleted.
	Deleted bool `json:"deleted,omitempty"`
}

// Tag is a tag, in the order given.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ARN is the role's ARN in an account; the partition's region tells the ARN's first word only.
func (r *Role) ARN(p batch.Partition) string {
	return p.RoleARN(strings.TrimPrefix(r.Path, "/") + r.Name)
}

// kindRole holds roles by name in lower case: two names that differ in case only can't both exist
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const kindRole = "iam-role"

func global(account string) batch.Partition { return batch.Partition{Account: account} }

// FindRole finds a role of an account by name. Letter case counts.
func FindRole(r store.Reader, account, name string) (*Role, bool, error) {
	role := &Role{}
	ok, err := r.Get(global(account), kindRole, strings.ToLower(name), role)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		role, ok = fromTheStart(account, strings.ToLower(name))
	}
	if !ok || role.Deleted || role.Name != name {
		return nil, false, nil
	}
	return role, true, nil
}

// RoleNameTaken says whether an account has a role of the name in any case.
func RoleNameTaken(r store.Reader, account, name string) (bool, error) {
	role := &Role{}
	ok, err := r.Get(global(account), kindRole, strings.ToLower(name), role)
	if err != nil || ok {
		return ok && !role.Deleted, err
	}
	_, ok = fromTheStart(account, strings.ToLower(name))
	return ok, nil
}

// ListRoles calls fn for every role of an account, by name.
func ListRoles(r store.Reader, account string, fn func(*Role) error) error {
	initial := []string{strings.ToLower(batchServiceRole)}
	visit := func(key string) error {
		if role, ok := fromTheStart(account, key); ok {
			return fn(role)
		}
		return nil
	}
	if err := r.List(global(account), kindRole, "", func(key string, raw []byte) (bool, error) {
		for len(initial) > 0 && initial[0] <= key {
			if initial[0] < key {
				if err := visit(initial[0]); err != nil {
					return false, err
				}
			}
			initial = initial[1:]
		}
		role := &Role{}
		if err := json.Unmarshal(raw, role); err != nil {
			return false, fmt.Errorf("role %q: %w", key, err)
		}
		if role.Deleted {
			return true, nil
		}
		return true, fn(role)
	}); err != nil {
		return err
	}
	for _, key := range initial {
		if err := visit(key); err != nil {
			return err
		}
	}
	return nil
}

// PutRole stores a role.
func PutRole(w store.Writer, account string, r *Role) error {
	return w.Put(global(account), kindRole, strings.ToLower(r.Name), r)
}

// DeleteRole removes a role.
func DeleteRole(w store.Writer, account, name string) error {
	key := strings.ToLower(name)
	if _, ok := fromTheStart(account, key); ok {
		return w.Put(global(account), kindRole, key, Role{Name: name, Deleted: true})
	}
	_, err := w.Delete(global(account), kindRole, key)
	return err
}

const batchServiceRole = "AWSServiceRoleForBatch"

// fromTheStart is a role that every account has without making it. As on AWS once Batch was used there: compute
// environments without a service role use it.
func fromTheStart(account, key string) (*Role, bool) {
	if key != strings.ToLower(batchServiceRole) {
		return nil, false
	}
	seed := sha256.Sum256([]byte(account + key))
	id, err := NewID(strings.NewReader(string(seed[:])), PrefixRole, account)
	if err != nil {
		return nil, false // no account
	}
	return &Role{
		Name: batchServiceRole, Path: "/aws-service-role/batch.amazonaws.com/", ID: id, Service: "batch.amazonaws.com",
		CreatedAt:  1_577_836_800_000, // 2020-01-01
		MaxSession: 3600, Trust: ServiceTrust("batch.amazonaws.com"),
		Attached: []string{"arn:aws:iam::aws:policy/aws-service-role/BatchServiceRolePolicy"},
	}, true
}

// ServiceTrust is the trust policy of a role for a service.
func ServiceTrust(service string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
}
