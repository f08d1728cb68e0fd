package iam_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func TestInstanceProfile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := b.role("ecsInstanceRole")
	created, err := b.CreateInstanceProfile(b.ctx(), &iam.CreateInstanceProfileInput{InstanceProfileName: ptr("p"), Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}}})
	check(t, err)
	want := &types.InstanceProfile{
		Arn: ptr("arn:aws:iam::111122223333:instance-profile/p"), InstanceProfileId: created.InstanceProfile.InstanceProfileId, InstanceProfileName: ptr("p"),
		Path: ptr("/"), CreateDate: ptr(now), Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}},
	}
	equal(t, "CreateInstanceProfile", created.InstanceProfile, want)
	if !strings.HasPrefix(*want.InstanceProfileId, "AIPA") {
		t.Errorf("its id is %s", *want.InstanceProfileId)
	}
	add := func(profile, role string) error {
		_, err := b.AddRoleToInstanceProfile(b.ctx(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &profile, RoleName: &role})
		return err
	}
	refused(t, add("p", "none"), 404, "NoSuchEntity", "The role with name none cannot be found.")
	check(t, add("p", "ecsInstanceRole"))
	refused(t, add("p", "ecsInstanceRole"), 409, "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
	refused(t, add("q", "ecsInstanceRole"), 404, "NoSuchEntity", "Instance Profile q cannot be found.")
	got, err := b.GetInstanceProfile(b.ctx(), &iam.GetInstanceProfileInput{InstanceProfileName: ptr("p")})
	check(t, err)
	want.Roles = []types.Role{role}
	equal(t, "GetInstanceProfile", got.InstanceProfile, want)
	list, err := b.ListInstanceProfilesForRole(b.ctx(), &iam.ListInstanceProfilesForRoleInput{RoleName: ptr("ecsInstanceRole")})
	check(t, err)
	want.Tags = nil
	equal(t, "ListInstanceProfilesForRole", list.InstanceProfiles, []types.InstanceProfile{*want})

	_, err = b.CreateInstanceProfile(b.ctx(), &iam.CreateInstanceProfileInput{InstanceProfileName: ptr("P")})
	refused(t, err, 409, "EntityAlreadyExists", "Instance Profile P already exists.")
	_, err = b.DeleteInstanceProfile(b.ctx(), &iam.DeleteInstanceProfileInput{InstanceProfileName: ptr("p")})
	refused(t, err, 409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	_, err = b.DeleteRole(b.ctx(), &iam.DeleteRoleInput{RoleName: ptr("ecsInstanceRole")})
	refused(t, err, 409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	remove := &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: ptr("p"), RoleName: ptr("ecsInstanceRole")}
	_, err = b.RemoveRoleFromInstanceProfile(b.ctx(), remove)
	check(t, err)
	_, err = b.RemoveRoleFromInstanceProfile(b.ctx(), remove)
	refused(t, err, 404, "NoSuchEntity", "The role with name ecsInstanceRole cannot be found.")

	_, err = b.TagInstanceProfile(b.ctx(), &iam.TagInstanceProfileInput{InstanceProfileName: ptr("p"), Tags: []types.Tag{{Key: ptr("l"), Value: ptr("w")}}})
	check(t, err)
	_, err = b.UntagInstanceProfile(b.ctx(), &iam.UntagInstanceProfileInput{InstanceProfileName: ptr("p"), TagKeys: []string{"k"}})
	check(t, err)
	tags, err := b.ListInstanceProfileTags(b.ctx(), &iam.ListInstanceProfileTagsInput{InstanceProfileName: ptr("p")})
	check(t, err)
	equal(t, "tags", tags.Tags, []types.Tag{{Key: ptr("l"), Value: ptr("w")}})
	_, err = b.DeleteInstanceProfile(b.ctx(), &iam.DeleteInstanceProfileInput{InstanceProfileName: ptr("p")})
	check(t, err)
	_, err = b.GetInstanceProfile(b.ctx(), &iam.GetInstanceProfileInput{InstanceProfileName: ptr("p")})
	refused(t, err, 404, "NoSuchEntity", "Instance Profile p cannot be found.")
	_, err = b.ListInstanceProfileTags(b.ctx(), &iam.ListInstanceProfileTagsInput{InstanceProfileName: ptr("p")})
	refused(t, err, 404, "NoSuchEntity", "Instance Profile p cannot be found.")
	all, err := b.ListInstanceProfiles(b.ctx(), &iam.ListInstanceProfilesInput{})
	check(t, err)
	equal(t, "ListInstanceProfiles", all.InstanceProfiles, nil)
}

func TestProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	thumb := strings.Repeat("0a", 20)
	created, err := b.CreateOpenIDConnectProvider(b.ctx(), &iam.CreateOpenIDConnectProviderInput{
		Url: ptr("https://token.example.com/path"), ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{thumb}, Tags: []types.Tag{{Key: ptr("k"), Value: ptr("v")}},
	})
	check(t, err)
	arn := created.OpenIDConnectProviderArn
	if *arn != "arn:aws:iam::111122223333:oidc-provider/token.example.com/path" {
		t.Errorf("its ARN is %s", *arn)
	}
	_, err = b.AddClientIDToOpenIDConnectProvider(b.ctx(), &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: ptr("two")})
	check(t, err)
	_, err = b.RemoveClientIDFromOpenIDConnectProvider(b.ctx(), &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: ptr("sts.amazonaws.com")})
	check(t, err)
	_, err = b.UpdateOpenIDConnectProviderThumbprint(b.ctx(), &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{strings.Repeat("1b", 20)}})
	check(t, err)
	_, err = b.TagOpenIDConnectProvider(b.ctx(), &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: []types.Tag{{Key: ptr("l"), Value: ptr("w")}}})
	check(t, err)
	_, err = b.UntagOpenIDConnectProvider(b.ctx(), &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: []string{"k"}})
	check(t, err)
	got, err := b.GetOpenIDConnectProvider(b.ctx(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	check(t, err)
	tags, err := b.ListOpenIDConnectProviderTags(b.ctx(), &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn})
	check(t, err)
	equal(t, "clients", got.ClientIDList, []string{"two"})
	equal(t, "thumbprints", got.ThumbprintList, []string{strings.Repeat("1b", 20)})
	equal(t, "tags", got.Tags, []types.Tag{{Key: ptr("l"), Value: ptr("w")}})
	equal(t, "tags", tags.Tags, got.Tags)
	if *got.Url != "token.example.com/path" || !got.CreateDate.Equal(now) {
		t.Errorf("GetOpenIDConnectProvider = %+v", got)
	}
	list, err := b.ListOpenIDConnectProviders(b.ctx(), &iam.ListOpenIDConnectProvidersInput{})
	check(t, err)
	if len(list.OpenIDConnectProviderList) != 1 || *list.OpenIDConnectProviderList[0].Arn != *arn {
		t.Errorf("providers %v", list.OpenIDConnectProviderList)
	}
	_, err = b.CreateOpenIDConnectProvider(b.ctx(), &iam.CreateOpenIDConnectProviderInput{Url: ptr("https://token.example.com/path/")})
	refused(t, err, 409, "EntityAlreadyExists", "Provider with url https://token.example.com/path already exists.")
	_, err = b.CreateOpenIDConnectProvider(b.ctx(), &iam.CreateOpenIDConnectProviderInput{Url: ptr("http://token.example.com")})
	refused(t, err, 400, "ValidationError", "Invalid Open ID Connect Provider URL")
	_, err = b.DeleteOpenIDConnectProvider(b.ctx(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	check(t, err)
	_, err = b.GetOpenIDConnectProvider(b.ctx(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	refused(t, err, 404, "NoSuchEntity", "OpenIDConnect Provider not found for arn "+*arn)
}
