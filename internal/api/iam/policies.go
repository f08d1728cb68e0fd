package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// kindPolicy holds customer-managed policies by name in lower case: paths do not tell two of a name apart.
const kindPolicy = "iam-policy"

// policy is a customer-managed policy. Its JSON is how the store keeps it.
type policy struct {
	Name        string          `json:"name"`
	Path        string          `json:"path"`
	ID          string          `json:"id"`
	Description string          `json:"description,omitempty"`
	CreatedAt   int64           `json:"createdAt"` // ms
	UpdatedAt   int64           `json:"updatedAt"` // ms
	Tags        []identity.Tag  `json:"tags,omitempty"`
	Versions    []policyVersion `json:"versions"` // oldest first
	Default     int             `json:"default"`  // the number of a version
}

type policyVersion struct {
	Number    int    `json:"number"`
	Document  string `json:"document"`
	CreatedAt int64  `json:"createdAt"` // ms
}

func (v *policyVersion) id() string { return "v" + strconv.Itoa(v.Number) }

func (p *policy) arn(in batch.Partition) string {
	return identity.ARN(in, "iam", "policy"+p.Path+p.Name)
}

func (p *policy) version(id string) (int, bool) {
	i := slices.IndexFunc(p.Versions, func(v policyVersion) bool { return v.id() == id })
	return i, i >= 0
}

const maxVersions = 5

var policyARNRE = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy(/(?:[\x21-\x7E]*/)?)([\w+=,.@-]+)$`)

// policyPath takes a policy's ARN apart.
func policyPath(arn string) (path, name string) {
	if m := policyARNRE.FindStringSubmatch(arn); m != nil {
		return m[2], m[3]
	}
	return "", arn
}

func noSuchPolicy(arn string) *awswire.Error {
	return refuse("NoSuchEntity", "Policy %s was not found.", arn)
}

// findPolicy finds a policy by ARN: one of the caller's account, or AWS's.
func findPolicy(r store.Reader, c *awswire.Call, arn string) (own *policy, managed *awsPolicy, err error) {
	m := policyARNRE.FindStringSubmatch(arn)
	if m == nil {
		return nil, nil, refuse("ValidationError", "ARN %s is not valid.", arn)
	}
	if m[1] == "aws" {
		if managed, ok := awsPolicies[m[2]+m[3]]; ok {
			return nil, managed, nil
		}
		return nil, nil, noSuchPolicy(arn)
	}
	own = &policy{}
	ok, err := r.Get(shelf(c), kindPolicy, strings.ToLower(m[3]), own)
	if err == nil && (!ok || own.arn(partition(c)) != arn) {
		err = noSuchPolicy(arn)
	}
	return own, nil, err
}

// attachable refuses what can not be attached to a role.
func attachable(r store.Reader, c *awswire.Call, arn string) error {
	_, _, err := findPolicy(r, c, arn)
	var e *awswire.Error
	if errors.As(err, &e) && e.Code == "NoSuchEntity" {
		return refuse("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	return err
}

// changePolicy changes a policy of the caller's own; AWS's are read-only.
func (a *api) changePolicy(ctx context.Context, c *awswire.Call, arn *string, change func(w store.Writer, p *policy) error) error {
	return a.docs.Update(ctx, func(w store.Writer) error {
		p, managed, err := findPolicy(w, c, str(arn))
		if err != nil {
			return err
		}
		if managed != nil {
			return refuse("AccessDenied", "You do not have permission to change the AWS managed policy %s.", str(arn)) // unverified text
		}
		if err := change(w, p); err != nil {
			return err
		}
		return w.Put(shelf(c), kindPolicy, strings.ToLower(p.Name), p)
	})
}

// uses counts the roles that have a policy attached, and those it bounds.
type uses struct{ attached, boundary map[string]int32 }

func countUses(r store.Reader, account string) (uses, error) {
	u := uses{map[string]int32{}, map[string]int32{}}
	err := identity.ListRoles(r, account, func(role *identity.Role) error {
		for _, arn := range role.Attached {
			u.attached[arn]++
		}
		if role.Boundary != "" {
			u.boundary[role.Boundary]++
		}
		return nil
	})
	return u, err
}

func (p *policy) show(in batch.Partition, u uses) types.Policy {
	arn := p.arn(in)
	return types.Policy{
		Arn: ptr(arn), PolicyName: ptr(p.Name), PolicyId: ptr(p.ID), Path: ptr(p.Path), DefaultVersionId: ptr("v" + strconv.Itoa(p.Default)),
		AttachmentCount: ptr(u.attached[arn]), PermissionsBoundaryUsageCount: ptr(u.boundary[arn]), IsAttachable: true,
		CreateDate: timeOf(p.CreatedAt), UpdateDate: timeOf(p.UpdatedAt),
	}
}

func (p *awsPolicy) show(arn string, u uses) types.Policy {
	path, name := policyPath(arn)
	return types.Policy{
		Arn: ptr(arn), PolicyName: ptr(name), PolicyId: ptr(p.id), Path: ptr(path), DefaultVersionId: ptr("v1"),
		AttachmentCount: ptr(u.attached[arn]), PermissionsBoundaryUsageCount: ptr(u.boundary[arn]), IsAttachable: true,
		CreateDate: timeOf(awsPoliciesSince), UpdateDate: timeOf(awsPoliciesSince),
	}
}

func (a *api) createPolicy(ctx context.Context, c *awswire.Call, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	if err := checkName(in.PolicyName, "policyName", 128); err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	if err := checkLength(in.Description, "description", 0, 1000); err != nil {
		return nil, err
	}
	if _, err := checkDocument(identity.ManagedPolicy, in.PolicyDocument, "policyDocument", managedQuota, "PolicySize"); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	now := a.now().UnixMilli() / 1000 * 1000
	p := &policy{
		Name: *in.PolicyName, Path: path, Description: str(in.Description), CreatedAt: now, UpdatedAt: now, Tags: tags,
		Versions: []policyVersion{{Number: 1, Document: *in.PolicyDocument, CreatedAt: now}}, Default: 1,
	}
	if p.ID, err = identity.NewID(a.random, identity.PrefixPolicy, c.Account); err != nil {
		return nil, err
	}
	if err := a.docs.Update(ctx, func(w store.Writer) error {
		taken, err := w.Get(shelf(c), kindPolicy, strings.ToLower(p.Name), &policy{})
		if err != nil {
			return err
		}
		if taken {
			return refuse("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		return w.Put(shelf(c), kindPolicy, strings.ToLower(p.Name), p)
	}); err != nil {
		return nil, err
	}
	out := p.show(partition(c), uses{})
	if len(p.Tags) > 0 {
		out.Tags = showTags(p.Tags)
	}
	return &iam.CreatePolicyOutput{Policy: &out}, nil
}

func (a *api) getPolicy(ctx context.Context, c *awswire.Call, in *iam.GetPolicyInput) (out *iam.GetPolicyOutput, err error) {
	err = a.docs.View(ctx, func(r store.Reader) error {
		own, managed, err := findPolicy(r, c, str(in.PolicyArn))
		if err != nil {
			return err
		}
		u, err := countUses(r, c.Account)
		if err != nil {
			return err
		}
		var p types.Policy
		if managed != nil {
			p = managed.show(*in.PolicyArn, u)
			p.Description = optional(managed.description)
		} else {
			p = own.show(partition(c), u)
			p.Description = optional(own.Description)
			p.Tags = showTags(own.Tags)
		}
		out = &iam.GetPolicyOutput{Policy: &p}
		return nil
	})
	return out, err
}

func (a *api) listPolicies(ctx context.Context, c *awswire.Call, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	switch in.Scope {
	case "", types.PolicyScopeTypeAll, types.PolicyScopeTypeAws, types.PolicyScopeTypeLocal:
	default:
		return nil, constraint(in.Scope, "scope", "satisfy enum value set: [All, AWS, Local]")
	}
	var all []types.Policy
	if err := a.docs.View(ctx, func(r store.Reader) error {
		u, err := countUses(r, c.Account)
		if err != nil {
			return err
		}
		if in.Scope != types.PolicyScopeTypeAws {
			if err := r.List(shelf(c), kindPolicy, "", func(_ string, raw []byte) (bool, error) {
				p := &policy{}
				if err := json.Unmarshal(raw, p); err != nil {
					return false, fmt.Errorf("decode a policy: %w", err)
				}
				all = append(all, p.show(partition(c), u))
				return true, nil
			}); err != nil {
				return err
			}
		}
		if in.Scope != types.PolicyScopeTypeLocal {
			for pathAndName, p := range awsPolicies {
				all = append(all, p.show(awsPolicyARN(partition(c), pathAndName), u))
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p types.Policy) bool {
		used := *p.AttachmentCount > 0
		if in.PolicyUsageFilter == types.PolicyUsageTypePermissionsBoundary {
			used = *p.PermissionsBoundaryUsageCount > 0
		}
		return !strings.HasPrefix(*p.Path, str(in.PathPrefix)) || in.OnlyAttached && !used
	})
	slices.SortFunc(all, func(a, b types.Policy) int { return strings.Compare(*a.Arn, *b.Arn) })
	p, err := paginate(all, func(p types.Policy) string { return *p.Arn }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListPoliciesOutput{Policies: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) deletePolicy(ctx context.Context, c *awswire.Call, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return nil, a.docs.Update(ctx, func(w store.Writer) error {
		p, managed, err := findPolicy(w, c, str(in.PolicyArn))
		if err != nil {
			return err
		}
		if managed != nil {
			return refuse("AccessDenied", "You do not have permission to change the AWS managed policy %s.", *in.PolicyArn) // unverified text
		}
		u, err := countUses(w, c.Account)
		if err != nil {
			return err
		}
		if u.attached[*in.PolicyArn]+u.boundary[*in.PolicyArn] > 0 {
			return refuse("DeleteConflict", "Cannot delete a policy attached to entities.")
		}
		if len(p.Versions) > 1 {
			return refuse("DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		_, err = w.Delete(shelf(c), kindPolicy, strings.ToLower(p.Name))
		return err
	})
}

func (p *policy) showVersion(i int) types.PolicyVersion {
	v := &p.Versions[i]
	return types.PolicyVersion{VersionId: ptr(v.id()), IsDefaultVersion: v.Number == p.Default, CreateDate: timeOf(v.CreatedAt)}
}

func (a *api) createPolicyVersion(ctx context.Context, c *awswire.Call, in *iam.CreatePolicyVersionInput) (out *iam.CreatePolicyVersionOutput, err error) {
	if _, err := checkDocument(identity.ManagedPolicy, in.PolicyDocument, "policyDocument", managedQuota, "PolicySize"); err != nil {
		return nil, err
	}
	now := a.now().UnixMilli() / 1000 * 1000
	err = a.changePolicy(ctx, c, in.PolicyArn, func(_ store.Writer, p *policy) error {
		if len(p.Versions) == maxVersions {
			return refuse("LimitExceeded", "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		// Numbers are not used again while a later one exists.
		p.Versions = append(p.Versions, policyVersion{Number: p.Versions[len(p.Versions)-1].Number + 1, Document: *in.PolicyDocument, CreatedAt: now})
		last := len(p.Versions) - 1
		if in.SetAsDefault {
			p.Default = p.Versions[last].Number
		}
		p.UpdatedAt = now
		v := p.showVersion(last)
		out = &iam.CreatePolicyVersionOutput{PolicyVersion: &v}
		return nil
	})
	return out, err
}

func noSuchVersion(arn, id string) error {
	return refuse("NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", arn, id)
}

var versionRE = regexp.MustCompile(`^v[1-9][0-9]*(\.[A-Za-z0-9-]*)?$`)

func checkVersion(id *string) error {
	if id != nil && !versionRE.MatchString(*id) {
		return constraint(*id, "versionId", `satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	return nil
}

func (a *api) getPolicyVersion(ctx context.Context, c *awswire.Call, in *iam.GetPolicyVersionInput) (out *iam.GetPolicyVersionOutput, err error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	err = a.docs.View(ctx, func(r store.Reader) error {
		own, managed, err := findPolicy(r, c, str(in.PolicyArn))
		if err != nil {
			return err
		}
		if managed != nil {
			if *in.VersionId != "v1" {
				return noSuchVersion(*in.PolicyArn, *in.VersionId)
			}
			if managed.document == "" {
				return refuse("UnsupportedOperation", "batchbox knows the AWS managed policy %s by name only and does not have its document.", *in.PolicyArn)
			}
			out = &iam.GetPolicyVersionOutput{PolicyVersion: &types.PolicyVersion{
				VersionId: ptr("v1"), IsDefaultVersion: true, CreateDate: timeOf(awsPoliciesSince), Document: encode(managed.document),
			}}
			return nil
		}
		i, ok := own.version(*in.VersionId)
		if !ok {
			return noSuchVersion(*in.PolicyArn, *in.VersionId)
		}
		v := own.showVersion(i)
		v.Document = encode(own.Versions[i].Document)
		out = &iam.GetPolicyVersionOutput{PolicyVersion: &v}
		return nil
	})
	return out, err
}

func (a *api) listPolicyVersions(ctx context.Context, c *awswire.Call, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	var all []types.PolicyVersion
	if err := a.docs.View(ctx, func(r store.Reader) error {
		own, managed, err := findPolicy(r, c, str(in.PolicyArn))
		if err != nil {
			return err
		}
		if managed != nil {
			all = []types.PolicyVersion{{VersionId: ptr("v1"), IsDefaultVersion: true, CreateDate: timeOf(awsPoliciesSince)}}
			return nil
		}
		for i := len(own.Versions) - 1; i >= 0; i-- { // the newest first
			all = append(all, own.showVersion(i))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	newest := func(v types.PolicyVersion) string {
		n, _ := strconv.Atoi((*v.VersionId)[1:])
		return fmt.Sprintf("%010d", 1_000_000_000-n)
	}
	p, err := paginate(all, newest, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyVersionsOutput{Versions: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) setDefaultPolicyVersion(ctx context.Context, c *awswire.Call, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	return nil, a.changePolicy(ctx, c, in.PolicyArn, func(_ store.Writer, p *policy) error {
		i, ok := p.version(*in.VersionId)
		if !ok {
			return noSuchVersion(*in.PolicyArn, *in.VersionId)
		}
		p.Default, p.UpdatedAt = p.Versions[i].Number, a.now().UnixMilli()/1000*1000
		return nil
	})
}

func (a *api) deletePolicyVersion(ctx context.Context, c *awswire.Call, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	if err := checkVersion(in.VersionId); err != nil {
		return nil, err
	}
	return nil, a.changePolicy(ctx, c, in.PolicyArn, func(_ store.Writer, p *policy) error {
		i, ok := p.version(*in.VersionId)
		switch {
		case !ok:
			return noSuchVersion(*in.PolicyArn, *in.VersionId)
		case p.Versions[i].Number == p.Default:
			return refuse("DeleteConflict", "Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
}

func (a *api) listEntitiesForPolicy(ctx context.Context, c *awswire.Call, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	all := []types.PolicyRole{}
	if err := a.docs.View(ctx, func(r store.Reader) error {
		if _, _, err := findPolicy(r, c, str(in.PolicyArn)); err != nil {
			return err
		}
		if in.EntityFilter != "" && in.EntityFilter != types.EntityTypeRole {
			return nil // there are no users and groups
		}
		return identity.ListRoles(r, c.Account, func(role *identity.Role) error {
			used := in.PolicyUsageFilter != types.PolicyUsageTypePermissionsBoundary && slices.Contains(role.Attached, *in.PolicyArn) ||
				in.PolicyUsageFilter != types.PolicyUsageTypePermissionsPolicy && role.Boundary == *in.PolicyArn
			if used && strings.HasPrefix(role.Path, str(in.PathPrefix)) {
				all = append(all, types.PolicyRole{RoleId: ptr(role.ID), RoleName: ptr(role.Name)})
			}
			return nil
		})
	}); err != nil {
		return nil, err
	}
	p, err := paginate(all, func(r types.PolicyRole) string { return strings.ToLower(*r.RoleName) }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListEntitiesForPolicyOutput{
		PolicyRoles: p.items, PolicyGroups: []types.PolicyGroup{}, PolicyUsers: []types.PolicyUser{}, IsTruncated: p.truncated, Marker: p.marker,
	}, nil
}

func (a *api) tagPolicy(ctx context.Context, c *awswire.Call, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return nil, a.changePolicy(ctx, c, in.PolicyArn, func(_ store.Writer, p *policy) (err error) {
		p.Tags, err = mergeTags(p.Tags, in.Tags)
		return err
	})
}

func (a *api) untagPolicy(ctx context.Context, c *awswire.Call, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return nil, a.changePolicy(ctx, c, in.PolicyArn, func(_ store.Writer, p *policy) error {
		p.Tags = dropTags(p.Tags, in.TagKeys)
		return nil
	})
}

func (a *api) listPolicyTags(ctx context.Context, c *awswire.Call, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	var tags []identity.Tag
	if err := a.docs.View(ctx, func(r store.Reader) error {
		own, _, err := findPolicy(r, c, str(in.PolicyArn))
		if err == nil && own != nil {
			tags = own.Tags
		}
		return err
	}); err != nil {
		return nil, err
	}
	p, err := tagPage(tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyTagsOutput{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}
