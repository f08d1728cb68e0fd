package logs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/store"
)

// kindPolicy is the kind of document a resource policy is kept as; key "account/<policy name>" or "resource/<ARN>".
const kindPolicy = "logs.resourcepolicy"

// maxPolicies is how many resource policies an account has in a region (API reference, PutResourcePolicy).
const maxPolicies = 10

type policy struct {
	Name       string `json:"name,omitempty"`
	Resource   string `json:"resource,omitempty"`
	Document   string `json:"document"`
	UpdatedMS  int64  `json:"updated"`
	RevisionID string `json:"revision"`
}

// policyKey is the key of the policy a request is about: an account's by its name, or a resource's by its ARN.
func (a *api) policyKey(c *awswire.Call, name, resource *string) (string, error) {
	switch {
	case name != nil && resource == nil && *name != "":
		return "account/" + *name, nil
	case name == nil && resource != nil:
		g, ok := groupOfARN(partition(c), *resource)
		if !ok {
			return "", refuse("ValidationException", "Invalid resourceArn")
		}
		_, err := a.store.Group(partition(c), g)
		return "resource/" + *resource, err
	}
	return "", refuse(codeInvalid, "Exactly one of policyName and resourceArn must be specified.") // unverified
}

func (a *api) putResourcePolicy(ctx context.Context, c *awswire.Call, in *sdk.PutResourcePolicyInput) (*sdk.PutResourcePolicyOutput, error) {
	key, err := a.policyKey(c, in.PolicyName, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	v := checks{}
	v.length("policyDocument", aws.ToString(in.PolicyDocument), 1, 5120)
	if err := v.err(); err != nil {
		return nil, err
	}
	var document map[string]any
	if json.Unmarshal([]byte(*in.PolicyDocument), &document) != nil || document["Statement"] == nil {
		return nil, refuse(codeInvalid, "The resource policy is not valid JSON with a Statement.") // unverified
	}
	p := policy{
		Name: aws.ToString(in.PolicyName), Resource: aws.ToString(in.ResourceArn), Document: *in.PolicyDocument,
		UpdatedMS: a.store.Now().UnixMilli(), RevisionID: rand.Text(),
	}
	err = a.docs.Update(ctx, func(w store.Writer) error {
		var old policy
		found, err := w.Get(partition(c), kindPolicy, key, &old)
		if err != nil {
			return err
		}
		if err := checkRevision(in.ExpectedRevisionId, found, old); err != nil {
			return err
		}
		if !found {
			n := 0
			err := w.List(partition(c), kindPolicy, "account/", func(string, []byte) (bool, error) { n++; return true, nil })
			if err != nil {
				return err
			}
			if n >= maxPolicies && in.PolicyName != nil {
				return refuse("LimitExceededException", "Resource limit exceeded.")
			}
		}
		return w.Put(partition(c), kindPolicy, key, p)
	})
	if err != nil {
		return nil, err
	}
	shown := p.show()
	return &sdk.PutResourcePolicyOutput{ResourcePolicy: &shown, RevisionId: &p.RevisionID}, nil
}

func checkRevision(expected *string, found bool, old policy) error {
	if expected != nil && (!found || *expected != old.RevisionID) {
		return refuse("OperationAbortedException", "The resource policy has another revision than the one expected.") // unverified
	}
	return nil
}

func (p *policy) show() types.ResourcePolicy {
	shown := types.ResourcePolicy{
		PolicyName: optional(p.Name), ResourceArn: optional(p.Resource), PolicyDocument: aws.String(p.Document),
		LastUpdatedTime: aws.Int64(p.UpdatedMS), RevisionId: aws.String(p.RevisionID), PolicyScope: types.PolicyScopeAccount,
	}
	if p.Resource != "" {
		shown.PolicyScope = types.PolicyScopeResource
	}
	return shown
}

func (a *api) deleteResourcePolicy(ctx context.Context, c *awswire.Call, in *sdk.DeleteResourcePolicyInput) (*sdk.DeleteResourcePolicyOutput, error) {
	key, err := a.policyKey(c, in.PolicyName, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, a.docs.Update(ctx, func(w store.Writer) error {
		var old policy
		found, err := w.Get(partition(c), kindPolicy, key, &old)
		if err != nil {
			return err
		}
		if !found {
			return refuse(codeNotFound, "Policy with name [%s] does not exist.", aws.ToString(in.PolicyName)) // unverified
		}
		if err := checkRevision(in.ExpectedRevisionId, found, old); err != nil {
			return err
		}
		_, err = w.Delete(partition(c), kindPolicy, key)
		return err
	})
}

// describeResourcePolicies shows the account's policies, or those of resources where they are asked for.
func (a *api) describeResourcePolicies(ctx context.Context, c *awswire.Call, in *sdk.DescribeResourcePoliciesInput) (*sdk.DescribeResourcePoliciesOutput, error) {
	v := checks{}
	v.number("limit", in.Limit, 1, 1000)
	if err := v.err(); err != nil {
		return nil, err
	}
	prefix := "account/"
	if in.PolicyScope == types.PolicyScopeResource || in.ResourceArn != nil {
		prefix = "resource/" + aws.ToString(in.ResourceArn)
	}
	var policies []types.ResourcePolicy
	err := a.docs.View(ctx, func(r store.Reader) error {
		return r.List(partition(c), kindPolicy, prefix, func(key string, raw []byte) (bool, error) {
			var p policy
			if err := json.Unmarshal(raw, &p); err != nil {
				return false, fmt.Errorf("resource policy %s: %w", key, err)
			}
			if in.ResourceArn == nil || p.Resource == *in.ResourceArn {
				policies = append(policies, p.show())
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	key := func(p *types.ResourcePolicy) string { return aws.ToString(p.PolicyName) + aws.ToString(p.ResourceArn) }
	page, next, err := cutPage("policies "+prefix, policies, key, in.NextToken, pageSize(in.Limit))
	if page == nil {
		page = []types.ResourcePolicy{}
	}
	return &sdk.DescribeResourcePoliciesOutput{ResourcePolicies: page, NextToken: next}, err
}
