// Package iam is the AWS IAM API as the stacks around Batch use it: roles, inline and managed policies, instance
// profiles, service-linked roles and OpenID Connect providers, kept in the store. Requests, replies and error codes
// follow the API reference (https://docs.aws.amazon.com/IAM/latest/APIReference/); the texts of errors are AWS's where
// clients have quoted them in public, and where a comment says "unverified" they are a guess.
//
// What differs from AWS on purpose: permissions are not evaluated; changes are seen at once; there are no users or
// groups, so every caller with long-lived keys is the account itself; AWS-managed policies are a table of the common ones.
package iam

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on.
type Options struct {
	Docs store.Docs
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

type api struct {
	docs   store.Docs
	now    func() time.Time
	random io.Reader
}

// New describes the service for an awswire.Mux.
func New(o Options) (*awswire.Service, error) {
	a := &api{docs: o.Docs, now: o.Now, random: rand.Reader}
	if a.now == nil {
		a.now = time.Now
	}
	s := &awswire.Service{
		Name: "iam",
		Operations: []awswire.Operation{
			awswire.Op("CreateRole", a.createRole),
			awswire.Op("GetRole", a.getRole),
			awswire.Op("ListRoles", a.listRoles),
			awswire.Op("UpdateRole", a.updateRole),
			awswire.Op("UpdateRoleDescription", a.updateRoleDescription),
			awswire.Op("UpdateAssumeRolePolicy", a.updateAssumeRolePolicy),
			awswire.Op("PutRolePermissionsBoundary", a.putRolePermissionsBoundary),
			awswire.Op("DeleteRolePermissionsBoundary", a.deleteRolePermissionsBoundary),
			awswire.Op("DeleteRole", a.deleteRole),
			awswire.Op("TagRole", a.tagRole),
			awswire.Op("UntagRole", a.untagRole),
			awswire.Op("ListRoleTags", a.listRoleTags),

			awswire.Op("PutRolePolicy", a.putRolePolicy),
			awswire.Op("GetRolePolicy", a.getRolePolicy),
			awswire.Op("ListRolePolicies", a.listRolePolicies),
			awswire.Op("DeleteRolePolicy", a.deleteRolePolicy),
			awswire.Op("AttachRolePolicy", a.attachRolePolicy),
			awswire.Op("DetachRolePolicy", a.detachRolePolicy),
			awswire.Op("ListAttachedRolePolicies", a.listAttachedRolePolicies),

			awswire.Op("CreateServiceLinkedRole", a.createServiceLinkedRole),
			awswire.Op("DeleteServiceLinkedRole", a.deleteServiceLinkedRole),
			awswire.Op("GetServiceLinkedRoleDeletionStatus", a.getServiceLinkedRoleDeletionStatus),

			awswire.Op("CreatePolicy", a.createPolicy),
			awswire.Op("GetPolicy", a.getPolicy),
			awswire.Op("ListPolicies", a.listPolicies),
			awswire.Op("DeletePolicy", a.deletePolicy),
			awswire.Op("CreatePolicyVersion", a.createPolicyVersion),
			awswire.Op("GetPolicyVersion", a.getPolicyVersion),
			awswire.Op("ListPolicyVersions", a.listPolicyVersions),
			awswire.Op("SetDefaultPolicyVersion", a.setDefaultPolicyVersion),
			awswire.Op("DeletePolicyVersion", a.deletePolicyVersion),
			awswire.Op("ListEntitiesForPolicy", a.listEntitiesForPolicy),
			awswire.Op("TagPolicy", a.tagPolicy),
			awswire.Op("UntagPolicy", a.untagPolicy),
			awswire.Op("ListPolicyTags", a.listPolicyTags),

			awswire.Op("CreateInstanceProfile", a.createInstanceProfile),
			awswire.Op("GetInstanceProfile", a.getInstanceProfile),
			awswire.Op("ListInstanceProfiles", a.listInstanceProfiles),
			awswire.Op("ListInstanceProfilesForRole", a.listInstanceProfilesForRole),
			awswire.Op("AddRoleToInstanceProfile", a.addRoleToInstanceProfile),
			awswire.Op("RemoveRoleFromInstanceProfile", a.removeRoleFromInstanceProfile),
			awswire.Op("DeleteInstanceProfile", a.deleteInstanceProfile),
			awswire.Op("TagInstanceProfile", a.tagInstanceProfile),
			awswire.Op("UntagInstanceProfile", a.untagInstanceProfile),
			awswire.Op("ListInstanceProfileTags", a.listInstanceProfileTags),

			awswire.Op("CreateOpenIDConnectProvider", a.createProvider),
			awswire.Op("GetOpenIDConnectProvider", a.getProvider),
			awswire.Op("ListOpenIDConnectProviders", a.listProviders),
			awswire.Op("DeleteOpenIDConnectProvider", a.deleteProvider),
			awswire.Op("AddClientIDToOpenIDConnectProvider", a.addClientID),
			awswire.Op("RemoveClientIDFromOpenIDConnectProvider", a.removeClientID),
			awswire.Op("UpdateOpenIDConnectProviderThumbprint", a.updateThumbprint),
			awswire.Op("TagOpenIDConnectProvider", a.tagProvider),
			awswire.Op("UntagOpenIDConnectProvider", a.untagProvider),
			awswire.Op("ListOpenIDConnectProviderTags", a.listProviderTags),

			awswire.Op("GetUser", a.getUser),
			awswire.Op("ListUsers", a.listUsers),
			awswire.Op("ListAccountAliases", a.listAccountAliases),
		},
		Refused:     maps.Clone(refused),
		RefusedCode: "UnsupportedOperation",
		MapError:    mapError,
	}
	if err := s.ApplyModel(awswire.IAMModel()); err != nil {
		return nil, fmt.Errorf("iam: %w", err)
	}
	s.RefuseOthers(func(op string) string {
		return op + " is not supported: batchbox does not provide this operation of IAM."
	})
	return s, nil
}

var refused = func() map[string]string {
	m := map[string]string{}
	for why, operations := range map[string][]string{
		"batchbox has no users and groups": {
			"CreateUser", "UpdateUser", "DeleteUser", "CreateGroup", "GetGroup", "ListGroups", "DeleteGroup", "AddUserToGroup", "CreateAccessKey",
			"CreateLoginProfile", "PutUserPolicy", "AttachUserPolicy", "PutGroupPolicy", "AttachGroupPolicy",
		},
		"batchbox does not evaluate permissions": {
			"SimulateCustomPolicy", "SimulatePrincipalPolicy", "GetContextKeysForCustomPolicy", "GetContextKeysForPrincipalPolicy",
			"GenerateServiceLastAccessedDetails", "GetServiceLastAccessedDetails",
		},
	} {
		for _, op := range operations {
			m[op] = op + " is not supported: " + why + "."
		}
	}
	return m
}()

// status is that of IAM's error codes where it is not 400
// (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html and each operation's own list).
var status = map[string]int{
	"NoSuchEntity":           http.StatusNotFound,
	"EntityAlreadyExists":    http.StatusConflict,
	"DeleteConflict":         http.StatusConflict,
	"LimitExceeded":          http.StatusConflict,
	"ConcurrentModification": http.StatusConflict,
	"ServiceFailure":         http.StatusInternalServerError,
}

func refuse(code, format string, args ...any) *awswire.Error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status[code]}
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	var policy *identity.PolicyError
	switch {
	case errors.As(err, &policy):
		return refuse("MalformedPolicyDocument", "%s", policy.Text)
	case errors.Is(err, store.ErrUnavailable):
		e := refuse("ServiceFailure", "the engine can not write its store; its log has the reason")
		e.Server, e.Cause = true, err
		return e
	}
	return nil
}

// partition is the caller's account, with the region that tells the first word of its ARNs.
func partition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

// shelf is where an account's documents are: IAM has no regions.
func shelf(c *awswire.Call) batch.Partition { return batch.Partition{Account: c.Account} }

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }

// optional is nil for "", the absent member.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOf(ms int64) *time.Time { return ptr(time.UnixMilli(ms).UTC()) }
