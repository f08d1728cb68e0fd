package iam

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// The quotas of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.
const (
	trustQuota       = 2048
	inlineQuota      = 10240
	managedQuota     = 6144
	attachmentsQuota = 10
)

func encodeMarker(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("k" + key)) }

func decodeMarker(marker string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(marker)
	if err != nil || len(b) == 0 || b[0] != 'k' {
		return "", false
	}
	return string(b[1:]), true
}

// showRole is a role as single-role operations show it, showListedRole as ListRoles does, which leaves some members out
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html).
func showRole(p batch.Partition, r *identity.Role) *types.Role {
	out := showListedRole(p, r)
	out.RoleLastUsed = &types.RoleLastUsed{}
	out.PermissionsBoundary = boundary(r)
	if len(r.Tags) > 0 {
		out.Tags = showTags(r.Tags)
	}
	return &out
}

func showListedRole(p batch.Partition, r *identity.Role) types.Role {
	return types.Role{
		Arn: ptr(r.ARN(p)), RoleId: ptr(r.ID), RoleName: ptr(r.Name), Path: ptr(r.Path), CreateDate: timeOf(r.CreatedAt),
		AssumeRolePolicyDocument: encode(r.Trust), Description: optional(r.Description), MaxSessionDuration: ptr(r.MaxSession),
	}
}

func boundary(r *identity.Role) *types.AttachedPermissionsBoundary {
	if r.Boundary == "" {
		return nil
	}
	return &types.AttachedPermissionsBoundary{
		PermissionsBoundaryArn: ptr(r.Boundary), PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy,
	}
}

// trustPolicy checks a trust policy, and that the roles of the account it names exist.
func trustPolicy(r store.Reader, account string, document *string, member string) error {
	p, err := checkDocument(identity.TrustPolicy, document, member, trustQuota, "ACLSizePerRole")
	if err != nil {
		return err
	}
	for _, arn := range p.RolePrincipals(account) {
		_, path, name, ok := identity.SplitRoleARN(arn)
		if ok {
			var role *identity.Role
			if role, ok, err = identity.FindRole(r, account, name); err != nil {
				return err
			}
			ok = ok && role.Path == path
		}
		if !ok {
			return &identity.PolicyError{Text: `Invalid principal in policy: "AWS":"` + arn + `"`}
		}
	}
	return nil
}

func (a *api) createRole(ctx context.Context, c *awswire.Call, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	if err := checkName(in.RoleName, "roleName", 64); err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, "/aws-service-role/") { // unverified text
		return nil, refuse("ValidationError", "The specified value for path is invalid: /aws-service-role/ is reserved for service-linked roles.")
	}
	if err := checkRole(in.Description, in.MaxSessionDuration); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	role := &identity.Role{
		Name: *in.RoleName, Path: path, CreatedAt: a.now().UnixMilli() / 1000 * 1000, Description: str(in.Description), MaxSession: 3600,
		Trust: str(in.AssumeRolePolicyDocument), Tags: tags, Boundary: str(in.PermissionsBoundary),
	}
	if in.MaxSessionDuration != nil {
		role.MaxSession = *in.MaxSessionDuration
	}
	if role.ID, err = identity.NewID(a.random, identity.PrefixRole, c.Account); err != nil {
		return nil, err
	}
	if err := a.docs.Update(ctx, func(w store.Writer) error {
		if err := trustPolicy(w, c.Account, in.AssumeRolePolicyDocument, "assumeRolePolicyDocument"); err != nil {
			return err
		}
		if in.PermissionsBoundary != nil {
			if err := attachable(w, c, *in.PermissionsBoundary); err != nil {
				return err
			}
		}
		taken, err := identity.RoleNameTaken(w, c.Account, role.Name)
		if err != nil {
			return err
		}
		if taken {
			return refuse("EntityAlreadyExists", "Role with name %s already exists.", role.Name)
		}
		return identity.PutRole(w, c.Account, role)
	}); err != nil {
		return nil, err
	}
	out := showRole(partition(c), role)
	out.RoleLastUsed = nil
	return &iam.CreateRoleOutput{Role: out}, nil
}

func checkRole(description *string, maxSession *int32) error {
	if err := checkLength(description, "description", 0, 1000); err != nil {
		return err
	}
	return checkRange(maxSession, "maxSessionDuration", 3600, 43200)
}

// findRole reads a role the caller named.
func findRole(r store.Reader, c *awswire.Call, name *string) (*identity.Role, error) {
	if err := checkName(name, "roleName", 64); err != nil {
		return nil, err
	}
	role, ok, err := identity.FindRole(r, c.Account, str(name))
	if err == nil && !ok {
		err = noSuchRole(str(name))
	}
	return role, err
}

// viewRole reads a role for an answer.
func (a *api) viewRole(ctx context.Context, c *awswire.Call, name *string) (role *identity.Role, err error) {
	err = a.docs.View(ctx, func(r store.Reader) (err error) {
		role, err = findRole(r, c, name)
		return err
	})
	return role, err
}

// changeRole changes a role of the caller's own: what belongs to a service only that may change.
func (a *api) changeRole(ctx context.Context, c *awswire.Call, name *string, change func(w store.Writer, r *identity.Role) error) (*identity.Role, error) {
	return a.changeAnyRole(ctx, c, name, func(w store.Writer, r *identity.Role) error {
		if r.Service != "" {
			return protected(r)
		}
		return change(w, r)
	})
}

// changeAnyRole changes what customers may change of service-linked roles too: description, longest session and tags
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html#edit-service-linked-role).
func (a *api) changeAnyRole(ctx context.Context, c *awswire.Call, name *string, change func(w store.Writer, r *identity.Role) error) (role *identity.Role, err error) {
	err = a.docs.Update(ctx, func(w store.Writer) error {
		if role, err = findRole(w, c, name); err != nil {
			return err
		}
		if err := change(w, role); err != nil {
			return err
		}
		return identity.PutRole(w, c.Account, role)
	})
	return role, err
}

func protected(r *identity.Role) error {
	return refuse("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)
}

func (a *api) getRole(ctx context.Context, c *awswire.Call, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	role, err := a.viewRole(ctx, c, in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: showRole(partition(c), role)}, nil
}

func (a *api) listRoles(ctx context.Context, c *awswire.Call, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	var all []types.Role
	if err := a.docs.View(ctx, func(r store.Reader) error {
		return identity.ListRoles(r, c.Account, func(role *identity.Role) error {
			if strings.HasPrefix(role.Path, str(in.PathPrefix)) {
				all = append(all, showListedRole(partition(c), role))
			}
			return nil
		})
	}); err != nil {
		return nil, err
	}
	p, err := paginate(all, func(r types.Role) string { return strings.ToLower(*r.RoleName) }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListRolesOutput{Roles: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) updateRole(ctx context.Context, c *awswire.Call, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	if err := checkRole(in.Description, in.MaxSessionDuration); err != nil {
		return nil, err
	}
	_, err := a.describe(ctx, c, in.RoleName, in.Description, in.MaxSessionDuration)
	return &iam.UpdateRoleOutput{}, err
}

func (a *api) updateRoleDescription(ctx context.Context, c *awswire.Call, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	if err := checkRole(in.Description, nil); err != nil {
		return nil, err
	}
	role, err := a.describe(ctx, c, in.RoleName, in.Description, nil)
	if err != nil {
		return nil, err
	}
	return &iam.UpdateRoleDescriptionOutput{Role: showRole(partition(c), role)}, nil
}

// describe sets a role's description and longest session.
func (a *api) describe(ctx context.Context, c *awswire.Call, name, description *string, maxSession *int32) (*identity.Role, error) {
	return a.changeAnyRole(ctx, c, name, func(_ store.Writer, r *identity.Role) error {
		if description != nil {
			r.Description = *description
		}
		if maxSession != nil {
			r.MaxSession = *maxSession
		}
		return nil
	})
}

func (a *api) updateAssumeRolePolicy(ctx context.Context, c *awswire.Call, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(w store.Writer, r *identity.Role) error {
		r.Trust = str(in.PolicyDocument)
		return trustPolicy(w, c.Account, in.PolicyDocument, "policyDocument")
	})
	return nil, err
}

func (a *api) putRolePermissionsBoundary(ctx context.Context, c *awswire.Call, in *iam.PutRolePermissionsBoundaryInput) (*iam.PutRolePermissionsBoundaryOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(w store.Writer, r *identity.Role) error {
		r.Boundary = str(in.PermissionsBoundary)
		return attachable(w, c, r.Boundary)
	})
	return nil, err
}

func (a *api) deleteRolePermissionsBoundary(ctx context.Context, c *awswire.Call, in *iam.DeleteRolePermissionsBoundaryInput) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) error {
		if r.Boundary == "" { // unverified text
			return refuse("NoSuchEntity", "Role %s does not have a permissions boundary.", r.Name)
		}
		r.Boundary = ""
		return nil
	})
	return nil, err
}

func (a *api) deleteRole(ctx context.Context, c *awswire.Call, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return nil, a.docs.Update(ctx, func(w store.Writer) error {
		role, err := findRole(w, c, in.RoleName)
		switch {
		case err != nil:
			return err
		case role.Service != "":
			return protected(role)
		case len(role.Attached) > 0:
			return refuse("DeleteConflict", "Cannot delete entity, must detach all policies first.")
		case len(role.Inline) > 0:
			return refuse("DeleteConflict", "Cannot delete entity, must delete policies first.")
		}
		profiles, err := profilesOf(w, c, role.Name)
		if err != nil {
			return err
		}
		if len(profiles) > 0 {
			return refuse("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
		}
		return identity.DeleteRole(w, c.Account, role.Name)
	})
}

func (a *api) tagRole(ctx context.Context, c *awswire.Call, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	_, err := a.changeAnyRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) (err error) {
		r.Tags, err = mergeTags(r.Tags, in.Tags)
		return err
	})
	return nil, err
}

func (a *api) untagRole(ctx context.Context, c *awswire.Call, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	_, err := a.changeAnyRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) error {
		r.Tags = dropTags(r.Tags, in.TagKeys)
		return nil
	})
	return nil, err
}

func (a *api) listRoleTags(ctx context.Context, c *awswire.Call, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	role, err := a.viewRole(ctx, c, in.RoleName)
	if err != nil {
		return nil, err
	}
	p, err := tagPage(role.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListRoleTagsOutput{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) putRolePolicy(ctx context.Context, c *awswire.Call, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	if err := checkName(in.PolicyName, "policyName", 128); err != nil {
		return nil, err
	}
	if _, err := checkDocument(identity.InlinePolicy, in.PolicyDocument, "policyDocument", 0, ""); err != nil {
		return nil, err
	}
	_, err := a.changeRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) error {
		if r.Inline == nil {
			r.Inline = map[string]string{}
		}
		r.Inline[*in.PolicyName] = *in.PolicyDocument
		total := 0
		for _, d := range r.Inline {
			total += policySize(d)
		}
		if total > inlineQuota {
			return refuse("LimitExceeded", "Maximum policy size of %d bytes exceeded for role %s", inlineQuota, r.Name)
		}
		return nil
	})
	return nil, err
}

func (a *api) getRolePolicy(ctx context.Context, c *awswire.Call, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	role, err := a.viewRole(ctx, c, in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := role.Inline[str(in.PolicyName)]
	if !ok {
		return nil, refuse("NoSuchEntity", "The role policy with name %s cannot be found.", str(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: ptr(role.Name), PolicyName: in.PolicyName, PolicyDocument: encode(document)}, nil
}

func (a *api) listRolePolicies(ctx context.Context, c *awswire.Call, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	role, err := a.viewRole(ctx, c, in.RoleName)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(role.Inline))
	for name := range role.Inline {
		names = append(names, name)
	}
	slices.Sort(names)
	p, err := paginate(names, func(s string) string { return s }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListRolePoliciesOutput{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) deleteRolePolicy(ctx context.Context, c *awswire.Call, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) error {
		if _, ok := r.Inline[str(in.PolicyName)]; !ok {
			return refuse("NoSuchEntity", "The role policy with name %s cannot be found.", str(in.PolicyName))
		}
		delete(r.Inline, *in.PolicyName)
		return nil
	})
	return nil, err
}

func (a *api) attachRolePolicy(ctx context.Context, c *awswire.Call, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(w store.Writer, r *identity.Role) error {
		arn := str(in.PolicyArn)
		if err := attachable(w, c, arn); err != nil {
			return err
		}
		if slices.Contains(r.Attached, arn) {
			return nil
		}
		if len(r.Attached) == attachmentsQuota {
			return refuse("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: %d", attachmentsQuota)
		}
		r.Attached = append(r.Attached, arn)
		return nil
	})
	return nil, err
}

func (a *api) detachRolePolicy(ctx context.Context, c *awswire.Call, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	_, err := a.changeRole(ctx, c, in.RoleName, func(_ store.Writer, r *identity.Role) error {
		i := slices.Index(r.Attached, str(in.PolicyArn))
		if i < 0 {
			return refuse("NoSuchEntity", "Policy %s was not found.", str(in.PolicyArn))
		}
		r.Attached = slices.Delete(r.Attached, i, i+1)
		return nil
	})
	return nil, err
}

func (a *api) listAttachedRolePolicies(ctx context.Context, c *awswire.Call, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	role, err := a.viewRole(ctx, c, in.RoleName)
	if err != nil {
		return nil, err
	}
	all := []types.AttachedPolicy{}
	for _, arn := range role.Attached {
		path, name := policyPath(arn)
		if strings.HasPrefix(path, str(in.PathPrefix)) {
			all = append(all, types.AttachedPolicy{PolicyArn: ptr(arn), PolicyName: ptr(name)})
		}
	}
	slices.SortFunc(all, func(a, b types.AttachedPolicy) int { return strings.Compare(*a.PolicyArn, *b.PolicyArn) })
	p, err := paginate(all, func(a types.AttachedPolicy) string { return *a.PolicyArn }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}
