package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
)

// getUser answers for the only user there is, the account's root.
func (a *api) getUser(_ context.Context, c *awswire.Call, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	if in.UserName != nil {
		if err := checkName(in.UserName, "userName", 128); err != nil {
			return nil, err
		}
		return nil, refuse("NoSuchEntity", "The user with name %s cannot be found.", *in.UserName)
	}
	if c.SessionToken != "" {
		return nil, refuse("ValidationError", "Must specify userName when calling with non-User credentials")
	}
	return &iam.GetUserOutput{User: &types.User{
		Arn: ptr(identity.RootARN(partition(c))), UserId: ptr(c.Account), CreateDate: timeOf(awsPoliciesSince),
	}}, nil
}

func (a *api) listUsers(_ context.Context, _ *awswire.Call, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	if _, err := paginate([]string(nil), func(s string) string { return s }, in.Marker, in.MaxItems); err != nil {
		return nil, err
	}
	return &iam.ListUsersOutput{Users: []types.User{}}, nil
}

func (a *api) listAccountAliases(_ context.Context, _ *awswire.Call, in *iam.ListAccountAliasesInput) (*iam.ListAccountAliasesOutput, error) {
	if _, err := paginate([]string(nil), func(s string) string { return s }, in.Marker, in.MaxItems); err != nil {
		return nil, err
	}
	return &iam.ListAccountAliasesOutput{AccountAliases: []string{}}, nil
}
