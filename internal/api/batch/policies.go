package batch

import (
	"context"
	"encoding/json"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) createSchedulingPolicy(ctx context.Context, c *awswire.Call, _ *sdk.CreateSchedulingPolicyInput) (*sdk.CreateSchedulingPolicyOutput, error) {
	p := partition(c)
	policy, err := do[batch.SchedulingPolicy](ctx, a, engine.CreateSchedulingPolicy{Partition: p, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.CreateSchedulingPolicyOutput{Name: &policy.Name, Arn: ptr(p.BatchARN(batch.KindSchedulingPolicy, policy.Name))}, nil
}

func (a *API) updateSchedulingPolicy(ctx context.Context, c *awswire.Call, in *sdk.UpdateSchedulingPolicyInput) (*sdk.UpdateSchedulingPolicyOutput, error) {
	p := partition(c)
	name, err := policyName(p, in.Arn)
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateSchedulingPolicyOutput{}, a.exec(ctx, engine.UpdateSchedulingPolicy{Partition: p, Name: name, Raw: c.Body})
}

func (a *API) deleteSchedulingPolicy(ctx context.Context, c *awswire.Call, in *sdk.DeleteSchedulingPolicyInput) (*sdk.DeleteSchedulingPolicyOutput, error) {
	p := partition(c)
	name, err := policyName(p, in.Arn)
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteSchedulingPolicyOutput{}, a.exec(ctx, engine.DeleteSchedulingPolicy{Partition: p, Name: name})
}

// policyName reads the ARN of a scheduling policy; these operations take no short names.
func policyName(p batch.Partition, arn *string) (string, error) {
	name, ok := p.ResourceName(batch.KindSchedulingPolicy, str(arn))
	if !ok || name == str(arn) {
		return "", batch.Refusedf("%s does not exist", str(arn))
	}
	return name, nil
}

type describeSchedulingPoliciesOutput struct {
	SchedulingPolicies []schedulingPolicyDetail
}

type schedulingPolicyDetail struct {
	Name, Arn        *string
	FairsharePolicy  json.RawMessage
	QuotaSharePolicy json.RawMessage
	Tags             map[string]string
}

func (a *API) describeSchedulingPolicies(_ context.Context, c *awswire.Call, in *sdk.DescribeSchedulingPoliciesInput) (*describeSchedulingPoliciesOutput, error) {
	p, s := partition(c), a.section(c)
	policies, err := selectNamed(p, batch.KindSchedulingPolicy, "Arns", in.Arns, nil, s.Policy)
	if err != nil {
		return nil, err
	}
	out := &describeSchedulingPoliciesOutput{SchedulingPolicies: []schedulingPolicyDetail{}}
	for _, policy := range policies {
		out.SchedulingPolicies = append(out.SchedulingPolicies, schedulingPolicyDetail{
			Name: &policy.Name, Arn: ptr(p.BatchARN(batch.KindSchedulingPolicy, policy.Name)),
			FairsharePolicy: policy.FairShare, QuotaSharePolicy: policy.QuotaShare, Tags: tags(policy.Tags),
		})
	}
	return out, nil
}

func (a *API) listSchedulingPolicies(_ context.Context, c *awswire.Call, in *sdk.ListSchedulingPoliciesInput) (*sdk.ListSchedulingPoliciesOutput, error) {
	p, s := partition(c), a.section(c)
	list, next, err := page("sp", s.Policies, func(v *batch.SchedulingPolicy) string { return v.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &sdk.ListSchedulingPoliciesOutput{SchedulingPolicies: []types.SchedulingPolicyListingDetail{}, NextToken: next}
	for _, policy := range list {
		out.SchedulingPolicies = append(out.SchedulingPolicies, types.SchedulingPolicyListingDetail{
			Arn: ptr(p.BatchARN(batch.KindSchedulingPolicy, policy.Name)),
		})
	}
	return out, nil
}
