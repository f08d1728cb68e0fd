package iam_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func TestRole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	created, err := b.CreateRole(b.ctx(), &iam.CreateRoleInput{
		RoleName: ptr("job"), Path: ptr("/app/"), AssumeRolePolicyDocument: ptr(trust), Description: ptr("runs <jobs>"), MaxSessionDuration: ptr(int32(7200)),
		Tags: []types.Tag{{Key: ptr("b"), Value: ptr("2")}, {Key: ptr("a"), Value: ptr("")}},
	})
	check(t, err)
	r := created.Role
	if !strings.HasPrefix(*r.RoleId, "AROA") || len(*r.RoleId) != 20 {
		t.Errorf("role id %s", *r.RoleId)
	}
	if document(t, r.AssumeRolePolicyDocument) != trust {
		t.Errorf("trust policy %s", *r.AssumeRolePolicyDocument)
	}
	want := &types.Role{
		Arn: ptr("arn:aws:iam::111122223333:role/app/job"), RoleId: r.RoleId, RoleName: ptr("job"), Path: ptr("/app/"), CreateDate: ptr(now),
		AssumeRolePolicyDocument: r.AssumeRolePolicyDocument, Description: ptr("runs <jobs>"), MaxSessionDuration: ptr(int32(7200)),
		Tags: []types.Tag{{Key: ptr("b"), Value: ptr("2")}, {Key: ptr("a"), Value: ptr("")}},
	}
	equal(t, "CreateRole", r, want)
	got, err := b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("job")})
	check(t, err)
	want.RoleLastUsed = &types.RoleLastUsed{}
	equal(t, "GetRole", got.Role, want)

	// Changes.
	_, err = b.UpdateRole(b.ctx(), &iam.UpdateRoleInput{RoleName: ptr("job"), MaxSessionDuration: ptr(int32(3600))})
	check(t, err)
	described, err := b.UpdateRoleDescription(b.ctx(), &iam.UpdateRoleDescriptionInput{RoleName: ptr("job"), Description: ptr("")})
	check(t, err)
	want.Description, want.MaxSessionDuration = nil, ptr(int32(3600))
	equal(t, "UpdateRoleDescription", described.Role, want)
	other := strings.Replace(trust, "ecs-tasks", "batch", 1)
	_, err = b.UpdateAssumeRolePolicy(b.ctx(), &iam.UpdateAssumeRolePolicyInput{RoleName: ptr("job"), PolicyDocument: ptr(other)})
	check(t, err)
	_, err = b.TagRole(b.ctx(), &iam.TagRoleInput{RoleName: ptr("job"), Tags: []types.Tag{{Key: ptr("A"), Value: ptr("1")}, {Key: ptr("c"), Value: ptr("3")}}})
	check(t, err)
	_, err = b.UntagRole(b.ctx(), &iam.UntagRoleInput{RoleName: ptr("job"), TagKeys: []string{"b", "none"}})
	check(t, err)
	got, err = b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("job")})
	check(t, err)
	if document(t, got.Role.AssumeRolePolicyDocument) != other {
		t.Errorf("trust policy %s", *got.Role.AssumeRolePolicyDocument)
	}
	tags, err := b.ListRoleTags(b.ctx(), &iam.ListRoleTagsInput{RoleName: ptr("job")})
	check(t, err)
	wantTags := []types.Tag{{Key: ptr("A"), Value: ptr("1")}, {Key: ptr("c"), Value: ptr("3")}}
	equal(t, "tags", tags.Tags, wantTags)
	equal(t, "tags", got.Role.Tags, wantTags)
}

func TestRoleRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.role("Taken")
	create := func(change func(in *iam.CreateRoleInput)) error {
		in := &iam.CreateRoleInput{RoleName: ptr("new"), AssumeRolePolicyDocument: ptr(trust)}
		change(in)
		_, err := b.CreateRole(b.ctx(), in)
		return err
	}
	tags := func(n int) (list []types.Tag) {
		for i := range n {
			list = append(list, types.Tag{Key: ptr(fmt.Sprint("k", i)), Value: ptr("")})
		}
		return list
	}
	for _, tc := range []struct {
		name   string
		change func(in *iam.CreateRoleInput)
		status int
		code   string
		text   string
	}{
		{"a name taken", func(in *iam.CreateRoleInput) { in.RoleName = ptr("Taken") }, 409, "EntityAlreadyExists", "Role with name Taken already exists."},
		{"a name taken in another case", func(in *iam.CreateRoleInput) { in.RoleName = ptr("tAKEN") }, 409, "EntityAlreadyExists", "Role with name tAKEN already exists."},
		{"a strange name", func(in *iam.CreateRoleInput) { in.RoleName = ptr("a b") }, 400, "ValidationError",
			"The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"},
		{"a long name", func(in *iam.CreateRoleInput) { in.RoleName = ptr(strings.Repeat("x", 65)) }, 400, "ValidationError",
			"1 validation error detected: Value '" + strings.Repeat("x", 65) + "' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"a bad path", func(in *iam.CreateRoleInput) { in.Path = ptr("app") }, 400, "ValidationError",
			"The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters."},
		{"a short session", func(in *iam.CreateRoleInput) { in.MaxSessionDuration = ptr(int32(60)) }, 400, "ValidationError",
			"1 validation error detected: Value '60' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"},
		{"a long session", func(in *iam.CreateRoleInput) { in.MaxSessionDuration = ptr(int32(43201)) }, 400, "ValidationError",
			"1 validation error detected: Value '43201' at 'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		{"a document that is none", func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = ptr("{") }, 400, "MalformedPolicyDocument", "This policy contains invalid Json"},
		{"an identity policy", func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = ptr(policy) }, 400, "MalformedPolicyDocument", "Has prohibited field Resource"},
		{"a document in Greek", func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = ptr("{\"Ω\":1}") }, 400, "ValidationError",
			"The specified value for assumeRolePolicyDocument is invalid. It must contain only printable ASCII characters."},
		{"a role that does not exist", func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = ptr(strings.Replace(trust, `"Service":"ecs-tasks.amazonaws.com"`, `"AWS":"arn:aws:iam::111122223333:role/none"`, 1))
		}, 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/none"`},
		{"a large trust policy", func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = ptr(strings.Replace(trust, `"2012-10-17"`, `"2012-10-17","Id":"`+strings.Repeat("x", 2048)+`"`, 1))
		}, 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"},
		{"no such boundary", func(in *iam.CreateRoleInput) { in.PermissionsBoundary = ptr("arn:aws:iam::111122223333:policy/none") }, 404, "NoSuchEntity",
			"Policy arn:aws:iam::111122223333:policy/none does not exist or is not attachable."},
		{"51 tags", func(in *iam.CreateRoleInput) { in.Tags = tags(51) }, 409, "LimitExceeded", "The number of tags has reached the maximum limit."},
		{"a tag twice", func(in *iam.CreateRoleInput) {
			in.Tags = []types.Tag{{Key: ptr("k"), Value: ptr("")}, {Key: ptr("K"), Value: ptr("")}}
		}, 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"AWS's tag", func(in *iam.CreateRoleInput) { in.Tags = []types.Tag{{Key: ptr("aws:x"), Value: ptr("")}} }, 400, "InvalidInput",
			"aws: prefixed tag keys are not allowed for external use."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refused(t, create(tc.change), tc.status, tc.code, tc.text)
		})
	}
	// A role of the account may be trusted once it exists, and white space does not count.
	check(t, create(func(in *iam.CreateRoleInput) {
		in.RoleName = ptr("chained")
		in.AssumeRolePolicyDocument = ptr(strings.Replace(trust, `"Service":"ecs-tasks.amazonaws.com"`, strings.Repeat(" ", 3000)+`"AWS":"arn:aws:iam::111122223333:role/Taken"`, 1))
	}))
	for name, call := range map[string]func() error{
		"GetRole":      func() error { _, err := b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("none")}); return err },
		"another case": func() error { _, err := b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("none")}); return err },
		"DeleteRole": func() error {
			_, err := b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr("none")})
			return err
		},
		"PutRolePolicy": func() error {
			_, err := b.PutRolePolicy(b.ctx(), &iam.PutRolePolicyInput{RoleName: ptr("none"), PolicyName: ptr("p"), PolicyDocument: ptr(policy)})
			return err
		},
		"ListRolePolicies": func() error {
			_, err := b.ListRolePolicies(b.ctx(), &iam.ListRolePoliciesInput{RoleName: ptr("none")})
			return err
		},
		"ListAttachedRolePolicies": func() error {
			_, err := b.ListAttachedRolePolicies(b.ctx(), &iam.ListAttachedRolePoliciesInput{RoleName: ptr("none")})
			return err
		},
		"AttachRolePolicy": func() error {
			_, err := b.AttachRolePolicy(b.ctx(), &iam.AttachRolePolicyInput{RoleName: ptr("none"), PolicyArn: ptr(taskARN)})
			return err
		},
		"TagRole": func() error {
			_, err := b.TagRole(b.ctx(), &iam.TagRoleInput{RoleName: ptr("none"), Tags: tags(1)})
			return err
		},
		"ListInstanceProfilesForRole": func() error {
			_, err := b.ListInstanceProfilesForRole(b.ctx(), &iam.ListInstanceProfilesForRoleInput{RoleName: ptr("none")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, call(), http.StatusNotFound, "NoSuchEntity", "The role with name none cannot be found.")
		})
	}
}

func TestInlinePolicies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.role("r")
	put := func(name, document string) error {
		_, err := b.PutRolePolicy(b.ctx(), &iam.PutRolePolicyInput{RoleName: ptr("r"), PolicyName: &name, PolicyDocument: &document})
		return err
	}
	spaced := strings.Replace(policy, ":[{", ": [ {", 1)
	for _, name := range []string{"z", "a"} {
		check(t, put(name, policy))
	}
	check(t, put("z", spaced))
	list, err := b.ListRolePolicies(b.ctx(), &iam.ListRolePoliciesInput{RoleName: ptr("r")})
	check(t, err)
	equal(t, "names", list.PolicyNames, []string{"a", "z"})
	got, err := b.GetRolePolicy(b.ctx(), &iam.GetRolePolicyInput{RoleName: ptr("r"), PolicyName: ptr("z")})
	check(t, err)
	if document(t, got.PolicyDocument) != spaced || *got.RoleName != "r" || *got.PolicyName != "z" {
		t.Errorf("GetRolePolicy = %+v", got)
	}
	refused(t, put("bad", trust), 400, "MalformedPolicyDocument", "Policy document should not specify a principal.")
	refused(t, put("bad", "nonsense"), 400, "MalformedPolicyDocument", "Syntax errors in policy.")
	refused(t, put("big", strings.Replace(policy, "b/*", strings.Repeat("x", 10240), 1)), 409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role r")
	_, err = b.GetRolePolicy(b.ctx(), &iam.GetRolePolicyInput{RoleName: ptr("r"), PolicyName: ptr("bad")})
	refused(t, err, 404, "NoSuchEntity", "The role policy with name bad cannot be found.")
	_, err = b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr("r")})
	refused(t, err, 409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	for _, name := range []string{"a", "z"} {
		_, err = b.DeleteRolePolicy(b.ctx(), &iam.DeleteRolePolicyInput{RoleName: ptr("r"), PolicyName: &name})
		check(t, err)
	}
	_, err = b.DeleteRolePolicy(b.ctx(), &iam.DeleteRolePolicyInput{RoleName: ptr("r"), PolicyName: ptr("a")})
	refused(t, err, 404, "NoSuchEntity", "The role policy with name a cannot be found.")
	_, err = b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr("r")})
	check(t, err)
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.role("r")
	own := b.policy("own")
	attach := func(arn string) error {
		_, err := b.AttachRolePolicy(b.ctx(), &iam.AttachRolePolicyInput{RoleName: ptr("r"), PolicyArn: &arn})
		return err
	}
	check(t, attach(taskARN))
	check(t, attach(own))
	check(t, attach(own)) // again is no error
	list, err := b.ListAttachedRolePolicies(b.ctx(), &iam.ListAttachedRolePoliciesInput{RoleName: ptr("r")})
	check(t, err)
	equal(t, "attached", list.AttachedPolicies, []types.AttachedPolicy{
		{PolicyArn: &own, PolicyName: ptr("own")}, {PolicyArn: ptr(taskARN), PolicyName: ptr("AmazonECSTaskExecutionRolePolicy")},
	})
	list, err = b.ListAttachedRolePolicies(b.ctx(), &iam.ListAttachedRolePoliciesInput{RoleName: ptr("r"), PathPrefix: ptr("/service-role/")})
	check(t, err)
	if len(list.AttachedPolicies) != 1 {
		t.Errorf("by path: %v", list.AttachedPolicies)
	}
	for arn, want := range map[string][2]string{
		"arn:aws:iam::aws:policy/NoSuchPolicy":                            {"NoSuchEntity", "Policy arn:aws:iam::aws:policy/NoSuchPolicy does not exist or is not attachable."},
		"arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy":        {"NoSuchEntity", "Policy arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy does not exist or is not attachable."},
		"arn:aws:iam::111122223333:policy/none":                           {"NoSuchEntity", "Policy arn:aws:iam::111122223333:policy/none does not exist or is not attachable."},
		"arn:aws:iam::999988887777:policy/own":                            {"NoSuchEntity", "Policy arn:aws:iam::999988887777:policy/own does not exist or is not attachable."},
		"AmazonECSTaskExecutionRolePolicy-without-an-ARN-but-long-enough": {"ValidationError", "ARN AmazonECSTaskExecutionRolePolicy-without-an-ARN-but-long-enough is not valid."},
	} {
		status := 404
		if want[0] == "ValidationError" {
			status = 400
		}
		refused(t, attach(arn), status, want[0], want[1])
	}
	_, err = b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr("r")})
	refused(t, err, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	for _, arn := range []string{own, taskARN} {
		_, err = b.DetachRolePolicy(b.ctx(), &iam.DetachRolePolicyInput{RoleName: ptr("r"), PolicyArn: &arn})
		check(t, err)
	}
	_, err = b.DetachRolePolicy(b.ctx(), &iam.DetachRolePolicyInput{RoleName: ptr("r"), PolicyArn: &own})
	refused(t, err, 404, "NoSuchEntity", "Policy "+own+" was not found.")
	for i := range 10 {
		check(t, attach(b.policy(fmt.Sprint("p", i))))
	}
	refused(t, attach(own), 409, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.role("r")
	own := b.policy("own")
	_, err := b.PutRolePermissionsBoundary(b.ctx(), &iam.PutRolePermissionsBoundaryInput{RoleName: ptr("r"), PermissionsBoundary: &own})
	check(t, err)
	got, err := b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("r")})
	check(t, err)
	equal(t, "boundary", got.Role.PermissionsBoundary, &types.AttachedPermissionsBoundary{PermissionsBoundaryArn: &own, PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy})
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &own})
	refused(t, err, 409, "DeleteConflict", "Cannot delete a policy attached to entities.")
	_, err = b.DeleteRolePermissionsBoundary(b.ctx(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: ptr("r")})
	check(t, err)
	got, err = b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("r")})
	check(t, err)
	if got.Role.PermissionsBoundary != nil {
		t.Errorf("boundary %+v", got.Role.PermissionsBoundary)
	}
	_, err = b.DeletePolicy(b.ctx(), &iam.DeletePolicyInput{PolicyArn: &own})
	check(t, err)
}

func TestListRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 25 {
		_, err := b.CreateRole(b.ctx(), &iam.CreateRoleInput{
			RoleName: ptr(fmt.Sprintf("%c-%02d", "aB"[i%2], i)), Path: ptr([]string{"/", "/x/", "/x/y/"}[i%3]), AssumeRolePolicyDocument: ptr(trust),
		})
		check(t, err)
	}
	names := func(in *iam.ListRolesInput) (list []string, pages int) {
		p := iam.NewListRolesPaginator(b, in)
		for p.HasMorePages() {
			out, err := p.NextPage(b.ctx())
			check(t, err)
			pages++
			for _, r := range out.Roles {
				list = append(list, *r.RoleName)
				if r.Tags != nil || r.RoleLastUsed != nil {
					t.Errorf("ListRoles shows %+v", r)
				}
			}
		}
		return list, pages
	}
	all, pages := names(&iam.ListRolesInput{MaxItems: ptr(int32(10))})
	if len(all) != 26 || pages != 3 || all[0] != "a-00" || all[13] != "AWSServiceRoleForBatch" || all[25] != "B-23" {
		t.Errorf("%d pages of %v", pages, all)
	}
	if some, _ := names(&iam.ListRolesInput{PathPrefix: ptr("/x/")}); len(some) != 16 {
		t.Errorf("by path: %v", some)
	}
	_, err := b.ListRoles(b.ctx(), &iam.ListRolesInput{Marker: ptr("nonsense")})
	refused(t, err, 400, "ValidationError", "Invalid Marker.")
	_, err = b.ListRoles(b.ctx(), &iam.ListRolesInput{MaxItems: ptr(int32(1001))})
	refused(t, err, 400, "ValidationError", "1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000")
}

func TestServiceLinkedRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const name = "AWSServiceRoleForBatch"
	got, err := b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr(name)})
	check(t, err)
	if *got.Role.Arn != "arn:aws:iam::111122223333:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch" || *got.Role.Path != "/aws-service-role/batch.amazonaws.com/" {
		t.Errorf("found %+v", got.Role)
	}
	_, err = b.CreateServiceLinkedRole(b.ctx(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: ptr("batch.amazonaws.com")})
	refused(t, err, 400, "InvalidInput", "Service role name AWSServiceRoleForBatch has been taken in this account, please try a different suffix.")
	const only = "Cannot perform the operation on the protected role 'AWSServiceRoleForBatch' - this role is only modifiable by AWS"
	_, err = b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr(name)})
	refused(t, err, 400, "UnmodifiableEntity", only)
	_, err = b.DetachRolePolicy(b.ctx(), &iam.DetachRolePolicyInput{RoleName: ptr(name), PolicyArn: ptr("arn:aws:iam::aws:policy/aws-service-role/BatchServiceRolePolicy")})
	refused(t, err, 400, "UnmodifiableEntity", only)

	// As the provider does it: create, tag, read, describe, delete and wait.
	created, err := b.CreateServiceLinkedRole(b.ctx(), &iam.CreateServiceLinkedRoleInput{
		AWSServiceName: ptr("autoscaling.amazonaws.com"), CustomSuffix: ptr("x"), Description: ptr("one"),
	})
	check(t, err)
	if *created.Role.Arn != "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_x" {
		t.Errorf("created %s", *created.Role.Arn)
	}
	role := created.Role.RoleName
	_, err = b.TagRole(b.ctx(), &iam.TagRoleInput{RoleName: role, Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}}})
	check(t, err)
	_, err = b.UpdateRole(b.ctx(), &iam.UpdateRoleInput{RoleName: role, Description: ptr("two")})
	check(t, err)
	got, err = b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: role})
	check(t, err)
	if *got.Role.Description != "two" || len(got.Role.Tags) != 1 {
		t.Errorf("read %+v", got.Role)
	}
	deleted, err := b.DeleteServiceLinkedRole(b.ctx(), &iam.DeleteServiceLinkedRoleInput{RoleName: role})
	check(t, err)
	status, err := b.GetServiceLinkedRoleDeletionStatus(b.ctx(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: deleted.DeletionTaskId})
	check(t, err)
	if status.Status != types.DeletionTaskStatusTypeSucceeded {
		t.Errorf("deletion is %s", status.Status)
	}
	_, err = b.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: role})
	refused(t, err, 404, "NoSuchEntity", "The role with name AWSServiceRoleForAutoScaling_x cannot be found.")
	_, err = b.DeleteServiceLinkedRole(b.ctx(), &iam.DeleteServiceLinkedRoleInput{RoleName: role})
	refused(t, err, 404, "NoSuchEntity", "The role with name AWSServiceRoleForAutoScaling_x cannot be found.")
	_, err = b.GetServiceLinkedRoleDeletionStatus(b.ctx(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: ptr("task/aws-service-role/a/b/c")})
	refused(t, err, 404, "NoSuchEntity", "Deletion task task/aws-service-role/a/b/c cannot be found.")

	// The one that is there from the start can be deleted and made again.
	_, err = b.DeleteServiceLinkedRole(b.ctx(), &iam.DeleteServiceLinkedRoleInput{RoleName: ptr(name)})
	check(t, err)
	_, err = b.CreateServiceLinkedRole(b.ctx(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: ptr("batch.amazonaws.com")})
	check(t, err)
	_, err = b.CreateServiceLinkedRole(b.ctx(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: ptr("ecs.amazonaws.com"), CustomSuffix: ptr("x")})
	refused(t, err, 400, "InvalidInput", "Custom suffix is not allowed for ecs.amazonaws.com")
	_, err = b.CreateServiceLinkedRole(b.ctx(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: ptr("example.com")})
	refused(t, err, 400, "InvalidInput", "Service Linked Roles are not supported by service: example.com, or batchbox does not know them.")
}
