package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestStartUp is what the provider calls before anything else, and what its fallbacks and the acceptance tests' prechecks
// ask for.
func TestStartUp(t *testing.T) {
	p := configure(t)
	who := must(p.sts.GetCallerIdentity(p.Context(), &sts.GetCallerIdentityInput{}))(p)
	p.check("data.aws_caller_identity", attributes{"account_id": str(who.Account), "arn": str(who.Arn), "user_id": str(who.UserId)},
		attributes{"account_id": p.account, "arn": "arn:aws:iam::" + p.account + ":root", "user_id": p.account})
	// With skip_requesting_account_id unset and STS skipped, the account is read from the user's ARN, or from a role's.
	user := must(p.iam.GetUser(p.Context(), &iam.GetUserInput{}))(p)
	if arn := str(user.User.Arn); strings.Split(arn, ":")[4] != p.account {
		t.Errorf("GetUser gives %s", arn)
	}
	roles := must(p.iam.ListRoles(p.Context(), &iam.ListRolesInput{MaxItems: aws.Int32(1)}))(p)
	if len(roles.Roles) != 1 || strings.Split(str(roles.Roles[0].Arn), ":")[4] != p.account {
		t.Errorf("ListRoles gives %+v", roles.Roles)
	}
	// acctest.PreCheckIAMServiceLinkedRole of defaultServiceRole skips the test where there is none.
	linked := must(p.iam.ListRoles(p.Context(), &iam.ListRolesInput{PathPrefix: aws.String("/aws-service-role/batch")}))(p)
	if len(linked.Roles) == 0 || str(linked.Roles[0].RoleName) != "AWSServiceRoleForBatch" {
		t.Errorf("linked roles of Batch: %+v", linked.Roles)
	}
	if zones := p.call("DescribeAvailabilityZones", "Filter.1.Name", "state", "Filter.1.Value.1", "available", "Filter.2.Name", "opt-in-status", "Filter.2.Value.1", "opt-in-not-required").
		text("availabilityZoneInfo/item/zoneName"); !strings.HasPrefix(zones, "us-west-2a us-west-2b") {
		t.Errorf("data.aws_availability_zones: %s", zones)
	}
	if platforms := p.call("DescribeAccountAttributes", "AttributeName.1", "supported-platforms").text("accountAttributeSet/item/attributeValueSet/item/attributeValue"); platforms != "VPC" {
		t.Errorf("supported platforms: %s", platforms)
	}
}

// TestStartUp_assumeRole is a provider with an assume_role block: what it makes is in the role's account.
func TestStartUp_assumeRole(t *testing.T) {
	p := configure(t)
	other := newProvider(t)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"` + p.account + `"}}]}`
	role := must(other.iam.CreateRole(p.Context(), &iam.CreateRoleInput{RoleName: aws.String("deployer"), AssumeRolePolicyDocument: &trust}))(p).Role.Arn
	assumed := p.config.Copy()
	assumed.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		out, err := p.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("terraform")})
		if err != nil {
			return aws.Credentials{}, err
		}
		return aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}, nil
	}))
	who := must(sts.NewFromConfig(assumed).GetCallerIdentity(p.Context(), &sts.GetCallerIdentityInput{}))(p)
	if got, want := str(who.Arn), "arn:aws:sts::"+other.account+":assumed-role/deployer/terraform"; got != want {
		t.Errorf("the provider is %s, want %s", got, want)
	}
	made := must(batch.NewFromConfig(assumed).CreateSchedulingPolicy(p.Context(), &batch.CreateSchedulingPolicyInput{Name: aws.String("p")}))(p)
	if want := "arn:aws:batch:" + region + ":" + other.account + ":scheduling-policy/p"; str(made.Arn) != want {
		t.Errorf("made %s, want %s", str(made.Arn), want)
	}
}

// readRole is the provider's read of aws_iam_role.
func (p *provider) readRole(name string) (attributes, error) {
	p.Helper()
	out, err := p.iam.GetRole(p.Context(), &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return nil, err
	}
	r := out.Role
	a := attributes{
		"arn": str(r.Arn), "description": str(r.Description), "max_session_duration": num(r.MaxSessionDuration), "name": str(r.RoleName), "path": str(r.Path),
		"unique_id": str(r.RoleId), "assume_role_policy": unescape(p, r.AssumeRolePolicyDocument), "create_date": r.CreateDate.String(), "permissions_boundary": "",
	}
	if r.PermissionsBoundary != nil {
		a["permissions_boundary"] = str(r.PermissionsBoundary.PermissionsBoundaryArn)
	}
	a.mapping("tags_all", tagMap(r.Tags))
	inline := iam.NewListRolePoliciesPaginator(p.iam, &iam.ListRolePoliciesInput{RoleName: &name})
	for inline.HasMorePages() {
		for _, policy := range must(inline.NextPage(p.Context()))(p).PolicyNames {
			got := must(p.iam.GetRolePolicy(p.Context(), &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &policy}))(p)
			a["inline_policy."+policy] = unescape(p, got.PolicyDocument)
		}
	}
	var managed []string
	attached := iam.NewListAttachedRolePoliciesPaginator(p.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &name})
	for attached.HasMorePages() {
		for _, policy := range must(attached.NextPage(p.Context()))(p).AttachedPolicies {
			managed = append(managed, str(policy.PolicyArn))
		}
	}
	a.strings("managed_policy_arns", managed, true)
	return a, nil
}

func tagMap(tags []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[str(t.Key)] = str(t.Value)
	}
	return m
}

// samePolicy fails unless a document comes back as it was sent, up to white space.
func samePolicy(t testing.TB, what, got, want string) {
	t.Helper()
	sameJSON(t, what, json.RawMessage(got), want)
}

const logsPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"WriteRead","Effect":"Allow","Action":["logs:PutLogEvents","logs:CreateLogStream"],"Resource":"*","Condition":{"StringLike":{"aws:PrincipalTag/team":"a+b & 100%"}}}]}`

func TestRole(t *testing.T) {
	p := configure(t)
	name, ctx := "tf-acc-test-role", p.Context()
	must(p.iam.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: &name, Path: aws.String("/"), AssumeRolePolicyDocument: aws.String(trust("ecs-tasks")), MaxSessionDuration: aws.Int32(3600),
		Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("x")}},
	}))(p)
	got := must(p.readRole(name))(p)
	p.check("create", got, attributes{
		"arn": "arn:aws:iam::" + p.account + ":role/" + name, "description": "", "max_session_duration": "3600", "name": name, "path": "/", "permissions_boundary": "",
		"managed_policy_arns.#": "0", "tags_all.%": "1", "tags_all.Name": "x",
	})
	samePolicy(t, "assume_role_policy", got["assume_role_policy"], trust("ecs-tasks"))
	p.same("read again", got, must(p.readRole(name))(p))
	_, err := p.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust("ec2"))})
	p.refused("a name already taken", err, "EntityAlreadyExists", name)

	policy := must(p.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("boundary"), Path: aws.String("/"), PolicyDocument: aws.String(logsPolicy)}))(p).Policy
	const managed = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
	must(p.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(trust("batch"))}))(p)
	must(p.iam.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: &name, Description: aws.String("for tasks")}))(p)
	must(p.iam.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name, MaxSessionDuration: aws.Int32(7200)}))(p)
	must(p.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: policy.Arn}))(p)
	must(p.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("logs"), PolicyDocument: aws.String(logsPolicy)}))(p)
	must(p.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(managed)}))(p)
	must(p.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("")}}}))(p)
	must(p.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{"Name"}}))(p)
	got = must(p.readRole(name))(p)
	p.check("update", got, attributes{
		"description": "for tasks", "max_session_duration": "7200", "permissions_boundary": *policy.Arn, "managed_policy_arns.#": "1", "managed_policy_arns.0": managed, "tags_all.%": "1", "tags_all.k": "",
	})
	samePolicy(t, "assume_role_policy", got["assume_role_policy"], trust("batch"))
	samePolicy(t, "inline_policy", got["inline_policy.logs"], logsPolicy)

	// What is still in use can't be deleted; the provider tries again for a while and then tells this error.
	_, err = p.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
	p.refused("a role with policies", err, "DeleteConflict", "must")
	_, err = p.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: policy.Arn})
	p.refused("a policy in use", err, "DeleteConflict", "")
	must(p.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))(p)
	must(p.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String("logs")}))(p)
	_, err = p.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String("logs")})
	p.refused("an inline policy that is gone", err, "NoSuchEntity", "logs")
	must(p.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(managed)}))(p)
	_, err = p.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(managed)})
	p.refused("an attachment that is gone", err, "NoSuchEntity", managed)
	if profiles := must(p.iam.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: &name}))(p); len(profiles.InstanceProfiles) != 0 {
		t.Errorf("instance profiles %+v", profiles.InstanceProfiles)
	}
	must(p.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name}))(p)
	_, err = p.readRole(name)
	p.refused("a role that is gone", err, "NoSuchEntity", name)
	_, err = p.iam.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: &name})
	p.refused("its instance profiles", err, "NoSuchEntity", name)
	must(p.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: policy.Arn}))(p)
}

func TestPolicy(t *testing.T) {
	p := configure(t)
	ctx := p.Context()
	arn := must(p.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{
		PolicyName: aws.String("p"), Path: aws.String("/team/"), Description: aws.String("d"), PolicyDocument: aws.String(logsPolicy), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	}))(p).Policy.Arn
	read := func() attributes {
		t.Helper()
		got := must(p.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn}))(p).Policy
		version := must(p.iam.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: got.DefaultVersionId}))(p).PolicyVersion
		a := attributes{
			"arn": str(got.Arn), "description": str(got.Description), "name": str(got.PolicyName), "path": str(got.Path), "policy": unescape(t, version.Document), "attachment_count": num(got.AttachmentCount),
			"version": str(version.VersionId),
		}
		a.mapping("tags_all", tagMap(got.Tags))
		return a
	}
	p.check("create", read(), attributes{"arn": "arn:aws:iam::" + p.account + ":policy/team/p", "description": "d", "name": "p", "path": "/team/", "tags_all.%": "1", "tags_all.k": "v", "attachment_count": "0", "version": "v1"})
	samePolicy(t, "policy", read()["policy"], logsPolicy)
	// An update is a new version; of five, the oldest that is not the default goes first.
	for i := range 6 {
		versions := must(p.iam.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: arn}))(p).Versions
		if len(versions) == 5 {
			oldest := slices.MinFunc(versions, func(a, b types.PolicyVersion) int {
				if a.IsDefaultVersion != b.IsDefaultVersion {
					return map[bool]int{true: 1, false: -1}[a.IsDefaultVersion]
				}
				return len(str(a.VersionId)) - len(str(b.VersionId)) + strings.Compare(str(a.VersionId), str(b.VersionId))
			})
			must(p.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: oldest.VersionId}))(p)
		}
		document := strings.Replace(logsPolicy, "a+b & 100%", fmt.Sprint("team", i), 1)
		must(p.iam.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: &document, SetAsDefault: true}))(p)
		p.check("update", read(), attributes{"version": fmt.Sprintf("v%d", i+2)})
		samePolicy(t, "policy", read()["policy"], document)
	}
	_, err := p.iam.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(logsPolicy)})
	p.refused("a sixth version", err, "LimitExceeded", "")
	_, err = p.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	p.refused("a policy with versions", err, "DeleteConflict", "")
	for _, v := range must(p.iam.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: arn}))(p).Versions {
		if !v.IsDefaultVersion {
			must(p.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: v.VersionId}))(p)
		}
	}
	must(p.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn}))(p)
	_, err = p.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn})
	p.refused("a policy that is gone", err, "NoSuchEntity", *arn)
	for _, document := range []string{`{`, `{}`, `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"*","Resource":"*"}]}`, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject"}]}`} {
		_, err := p.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("bad"), PolicyDocument: &document})
		p.refused("the policy "+document, err, "MalformedPolicyDocument", "")
	}
	_, err = p.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bad"), AssumeRolePolicyDocument: aws.String(logsPolicy)})
	p.refused("a trust policy with resources", err, "MalformedPolicyDocument", "")
}

func TestInstanceProfile_serviceLinkedRole_openIDConnectProvider(t *testing.T) {
	p := configure(t)
	ctx, name := p.Context(), "ecs_instance"
	arn := p.stack().profile
	got := must(p.iam.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name}))(p).InstanceProfile
	if str(got.Arn) != arn || len(got.Roles) != 1 || str(got.Roles[0].RoleName) != name || str(got.Path) != "/" || !strings.HasPrefix(str(got.InstanceProfileId), "AIPA") {
		t.Errorf("instance profile %+v", got)
	}
	_, err := p.iam.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: &name})
	p.refused("a profile with a role", err, "DeleteConflict", "")
	for _, r := range must(p.iam.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: &name}))(p).InstanceProfiles {
		must(p.iam.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: r.InstanceProfileName, RoleName: &name}))(p)
	}
	must(p.iam.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: &name}))(p)
	_, err = p.iam.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name})
	p.refused("a profile that is gone", err, "NoSuchEntity", name)

	linked := must(p.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("spot.amazonaws.com")}))(p).Role
	read := must(p.readRole(str(linked.RoleName)))(p)
	p.check("aws_iam_service_linked_role", read, attributes{"arn": "arn:aws:iam::" + p.account + ":role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", "path": "/aws-service-role/spot.amazonaws.com/"})
	_, err = p.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("batch.amazonaws.com")})
	p.refused("the linked role of Batch, which is there", err, "InvalidInput", "has been taken in this account")
	task := must(p.iam.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: linked.RoleName}))(p).DeletionTaskId
	if status := must(p.iam.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task}))(p).Status; status != types.DeletionTaskStatusTypeSucceeded {
		t.Errorf("the deletion is %s", status)
	}
	_, err = p.readRole(str(linked.RoleName))
	p.refused("a linked role that is gone", err, "NoSuchEntity", "AWSServiceRoleForEC2Spot")

	oidc := must(p.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://token.actions.githubusercontent.com"), ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{"cf23df2207d99a74fbe169e3eba035e633b65d94"},
	}))(p).OpenIDConnectProviderArn
	provider := must(p.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: oidc}))(p)
	if str(provider.Url) != "token.actions.githubusercontent.com" || !slices.Equal(provider.ClientIDList, []string{"sts.amazonaws.com"}) || len(provider.ThumbprintList) != 1 {
		t.Errorf("OpenID Connect provider %+v", provider)
	}
	must(p.iam.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: oidc}))(p)
	_, err = p.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: oidc})
	p.refused("an OpenID Connect provider that is gone", err, "NoSuchEntity", "")
}
