package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	created, err := b.CreatePolicy(b.ctx(), &iam.CreatePolicyInput{
		PolicyName: ptr("read"), Path: ptr("/app/"), Description: ptr("reads"), PolicyDocument: ptr(policy), Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}},
	})
	check(t, err)
	arn := *created.Policy.Arn
	want := &types.Policy{
		Arn: ptr("arn:aws:iam::111122223333:policy/app/read"), PolicyName: ptr("read"), PolicyId: created.Policy.PolicyId, Path: ptr("/app/"),
		DefaultVersionId: ptr("v1"), AttachmentCount: ptr(int32(0)), PermissionsBoundaryUsageCount: ptr(int32(0)), IsAttachable: true,
		CreateDate: ptr(now), UpdateDate: ptr(now), Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}},
	}
	equal(t, "CreatePolicy", created.Policy, want)
	want.Description = ptr("reads")
	get := func() *types.Policy {
		t.Helper()
		out, err := b.GetPolicy(b.ctx(), &iam.GetPolicyInput{PolicyArn: &arn})
		check(t, err)
		return out.Policy
	}
	equal(t, "GetPolicy", get(), want)
	b.role("r")
	_, err = b.AttachRolePolicy(b.ctx(), &iam.AttachRolePolicyInput{RoleName: ptr("r"), PolicyArn: &arn})
	check(t, err)
	_, err = b.TagPolicy(b.ctx(), &iam.TagPolicyInput{PolicyArn: &arn, Tags: []types.Tag{{Key: ptr("l"), Value: ptr("")}}})
	check(t, err)
	_, err = b.UntagPolicy(b.ctx(), &iam.UntagPolicyInput{PolicyArn: &arn, TagKeys: []string{"k"}})
	check(t, err)
	tags, err := b.ListPolicyTags(b.ctx(), &iam.ListPolicyTagsInput{PolicyArn: &arn})
	check(t, err)
	want.AttachmentCount, want.Tags = ptr(int32(1)), []types.Tag{{Key: ptr("l"), Value: ptr("")}}
	equal(t, "GetPolicy", get(), want)
	equal(t, "ListPolicyTags", tags.Tags, want.Tags)
	entities, err := b.ListEntitiesForPolicy(b.ctx(), &iam.ListEntitiesForPolicyInput{PolicyArn: &arn})
	check(t, err)
	if len(entities.PolicyRoles) != 1 || *entities.PolicyRoles[0].RoleName != "r" {
		t.Errorf("ListEntitiesForPolicy = %+v", entities)
	}

	_, err = b.CreatePolicy(b.ctx(), &iam.CreatePolicyInput{PolicyName: ptr("READ"), PolicyDocument: ptr(policy)})
	refused(t, err, 409, "EntityAlreadyExists", "A policy called READ already exists. Duplicate names are not allowed.")
	_, err = b.CreatePolicy(b.ctx(), &iam.CreatePolicyInput{PolicyName: ptr("old"), PolicyDocument: ptr(strings.Replace(policy, "2012", "2008", 1))})
	refused(t, err, 400, "MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater.")
	_, err = b.CreatePolicy(b.ctx(), &iam.CreatePolicyInput{PolicyName: ptr("big"), PolicyDocument: ptr(strings.Replace(policy, "b/*", strings.Repeat("x", 6144), 1))})
	refused(t, err, 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &arn})
	refused(t, err, 409, "DeleteConflict", "Cannot delete a policy attached to entities.")
	_, err = b.DetachRolePolicy(b.ctx(), &iam.DetachRolePolicyInput{RoleName: ptr("r"), PolicyArn: &arn})
	check(t, err)
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &arn})
	check(t, err)
	_, err = b.GetPolicy(b.ctx(), &iam.GetPolicyInput{PolicyArn: &arn})
	refused(t, err, 404, "NoSuchEntity", "Policy "+arn+" was not found.")
	_, err = b.GetPolicy(b.ctx(), &iam.GetPolicyInput{PolicyArn: ptr("arn:aws:iam::111122223333:policy/read")})
	refused(t, err, 404, "NoSuchEntity", "Policy arn:aws:iam::111122223333:policy/read was not found.")
}

// TestPolicyVersions goes the provider's way of updating: prune, create, set as default.
func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := b.policy("p")
	versions := func() (list []string) {
		t.Helper()
		out, err := b.ListPolicyVersions(b.ctx(), &iam.ListPolicyVersionsInput{PolicyArn: &arn})
		check(t, err)
		for _, v := range out.Versions {
			id := *v.VersionId
			if v.IsDefaultVersion {
				id += "*"
			}
			if v.Document != nil {
				t.Errorf("the list shows %s's document", id)
			}
			list = append(list, id)
		}
		return list
	}
	add := func(n int, asDefault bool) error {
		_, err := b.CreatePolicyVersion(b.ctx(), &iam.CreatePolicyVersionInput{
			PolicyArn: &arn, PolicyDocument: ptr(strings.Replace(policy, "b/", fmt.Sprintf("b%d/", n), 1)), SetAsDefault: asDefault,
		})
		return err
	}
	for n := 2; n <= 5; n++ {
		check(t, add(n, n == 2))
	}
	equal(t, "versions", versions(), []string{"v5", "v4", "v3", "v2*", "v1"})
	refused(t, add(6, true), 409, "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	_, err := b.DeletePolicyVersion(b.ctx(), &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v2")})
	refused(t, err, 409, "DeleteConflict", "Cannot delete the default version of a policy.")
	_, err = b.DeletePolicyVersion(b.ctx(), &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v1")})
	check(t, err)
	check(t, add(6, false))
	_, err = b.SetDefaultPolicyVersion(b.ctx(), &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v6")})
	check(t, err)
	equal(t, "versions", versions(), []string{"v6*", "v5", "v4", "v3", "v2"})
	got, err := b.GetPolicyVersion(b.ctx(), &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v6")})
	check(t, err)
	if d := document(t, got.PolicyVersion.Document); !strings.Contains(d, "b6/") || !got.PolicyVersion.IsDefaultVersion {
		t.Errorf("v6 is %s", d)
	}
	const none = " version v9 does not exist or is not attachable."
	_, err = b.GetPolicyVersion(b.ctx(), &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v9")})
	refused(t, err, 404, "NoSuchEntity", "Policy "+arn+none)
	_, err = b.SetDefaultPolicyVersion(b.ctx(), &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: ptr("v9")})
	refused(t, err, 404, "NoSuchEntity", "Policy "+arn+none)
	_, err = b.GetPolicyVersion(b.ctx(), &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: ptr("latest")})
	refused(t, err, 400, "ValidationError", `1 validation error detected: Value 'latest' at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &arn})
	refused(t, err, 409, "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	for _, v := range []string{"v5", "v4", "v3", "v2"} {
		_, err = b.DeletePolicyVersion(b.ctx(), &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: &v})
		check(t, err)
	}
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &arn})
	check(t, err)
}

func TestAWSPolicies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got, err := b.GetPolicy(b.ctx(), &iam.GetPolicyInput{PolicyArn: ptr(taskARN)})
	check(t, err)
	if *got.Policy.PolicyName != "AmazonECSTaskExecutionRolePolicy" || *got.Policy.Path != "/service-role/" || *got.Policy.Arn != taskARN {
		t.Errorf("GetPolicy = %+v", got.Policy)
	}
	v, err := b.GetPolicyVersion(b.ctx(), &iam.GetPolicyVersionInput{PolicyArn: ptr(taskARN), VersionId: got.Policy.DefaultVersionId})
	check(t, err)
	if d := document(t, v.PolicyVersion.Document); !strings.Contains(d, "ecr:GetAuthorizationToken") {
		t.Errorf("its document is %s", d)
	}
	_, err = b.GetPolicyVersion(b.ctx(), &iam.GetPolicyVersionInput{PolicyArn: ptr("arn:aws:iam::aws:policy/AmazonSNSFullAccess"), VersionId: ptr("v1")})
	refused(t, err, 400, "UnsupportedOperation", "batchbox knows the AWS managed policy arn:aws:iam::aws:policy/AmazonSNSFullAccess by name only and does not have its document.")
	_, err = b.CreatePolicyVersion(b.ctx(), &iam.CreatePolicyVersionInput{PolicyArn: ptr(taskARN), PolicyDocument: ptr(policy)})
	refused(t, err, 400, "AccessDenied", "You do not have permission to change the AWS managed policy "+taskARN+".")
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: ptr(taskARN)})
	refused(t, err, 400, "AccessDenied", "You do not have permission to change the AWS managed policy "+taskARN+".")
}

// TestListPolicies: as data "aws_iam_policy" looks a policy up by its name.
func TestListPolicies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	own := b.policy("AWSBatchServiceRole-mine")
	b.role("r")
	_, err := b.AttachRolePolicy(b.ctx(), &iam.AttachRolePolicyInput{RoleName: ptr("r"), PolicyArn: ptr(taskARN)})
	check(t, err)
	list := func(in *iam.ListPoliciesInput) map[string]types.Policy {
		t.Helper()
		found := map[string]types.Policy{}
		p := iam.NewListPoliciesPaginator(b, in)
		for p.HasMorePages() {
			out, err := p.NextPage(b.ctx())
			check(t, err)
			for _, one := range out.Policies {
				if _, twice := found[*one.Arn]; twice {
					t.Errorf("%s is listed twice", *one.Arn)
				}
				found[*one.Arn] = one
			}
		}
		return found
	}
	all := list(&iam.ListPoliciesInput{})
	for _, arn := range []string{own, taskARN, "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole", "arn:aws:iam::aws:policy/AdministratorAccess"} {
		if _, ok := all[arn]; !ok {
			t.Errorf("%s is not listed", arn)
		}
	}
	if len(all) < 150 {
		t.Errorf("%d policies are listed", len(all))
	}
	if *all[taskARN].AttachmentCount != 1 {
		t.Errorf("%+v", all[taskARN])
	}
	if local := list(&iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal}); len(local) != 1 {
		t.Errorf("local policies: %v", local)
	}
	if aws := list(&iam.ListPoliciesInput{Scope: types.PolicyScopeTypeAws}); len(aws) != len(all)-1 {
		t.Errorf("%d of AWS's policies", len(aws))
	}
	if paths := list(&iam.ListPoliciesInput{PathPrefix: ptr("/job-function/")}); len(paths) != 7 {
		t.Errorf("by path: %v", paths)
	}
	if attached := list(&iam.ListPoliciesInput{OnlyAttached: true}); len(attached) != 2 { // that of Batch's own role as well
		t.Errorf("attached: %v", attached)
	}
	_, err = b.ListPolicies(b.ctx(), &iam.ListPoliciesInput{Scope: "Mine"})
	refused(t, err, 400, "ValidationError", "1 validation error detected: Value 'Mine' at 'scope' failed to satisfy constraint: Member must satisfy enum value set: [All, AWS, Local]")
}
