package stack

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// A log group is made if it is not there; its class, key and tags are not compared.
func (s *Stack) applyLogGroup(ctx context.Context, want *cloudwatchlogs.CreateLogGroupInput, c *Change) error {
	c.Did = "created"
	_, err := s.Logs.CreateLogGroup(ctx, want)
	var exists *logtypes.ResourceAlreadyExistsException
	if errors.As(err, &exists) {
		c.Did = "unchanged"
		return nil
	}
	return err
}

func (s *Stack) destroyLogGroup(ctx context.Context, c *Change) error {
	c.Did = "deleted"
	_, err := s.Logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &c.Name})
	var missing *logtypes.ResourceNotFoundException
	if errors.As(err, &missing) {
		c.Did = wasNotThere
		return nil
	}
	return err
}

// schedulingPolicy finds a policy by its name: the operations take ARNs only.
func (s *Stack) schedulingPolicy(ctx context.Context, name string) (*types.SchedulingPolicyDetail, error) {
	pages := batch.NewListSchedulingPoliciesPaginator(s.Batch, new(batch.ListSchedulingPoliciesInput))
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.SchedulingPolicies {
			if !strings.HasSuffix(deref(p.Arn), ":scheduling-policy/"+name) {
				continue
			}
			out, err := s.Batch.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: []string{*p.Arn}})
			if err != nil {
				return nil, err
			}
			if len(out.SchedulingPolicies) > 0 {
				return &out.SchedulingPolicies[0], nil
			}
		}
	}
	return nil, nil
}

func (s *Stack) applySchedulingPolicy(ctx context.Context, want *batch.CreateSchedulingPolicyInput, c *Change) error {
	is, err := s.schedulingPolicy(ctx, c.Name)
	if err != nil {
		return err
	}
	if is == nil {
		out, err := s.Batch.CreateSchedulingPolicy(ctx, want)
		if err != nil {
			return err
		}
		c.ARN, c.Did = *out.Arn, "created"
		return nil
	}
	c.ARN, c.Did = *is.Arn, "unchanged"
	tagged, err := s.tag(ctx, c.ARN, want.Tags, is.Tags)
	if err != nil {
		return err
	}
	if tagged {
		c.Did = "updated"
	}
	if same(want.FairsharePolicy, is.FairsharePolicy) && same(want.QuotaSharePolicy, is.QuotaSharePolicy) {
		return nil
	}
	c.Did = "updated"
	_, err = s.Batch.UpdateSchedulingPolicy(ctx, &batch.UpdateSchedulingPolicyInput{
		Arn: is.Arn, FairsharePolicy: want.FairsharePolicy, QuotaSharePolicy: want.QuotaSharePolicy,
	})
	return err
}

func (s *Stack) destroySchedulingPolicy(ctx context.Context, c *Change) error {
	is, err := s.schedulingPolicy(ctx, c.Name)
	if err != nil {
		return err
	}
	if is == nil {
		c.Did = wasNotThere
		return nil
	}
	c.Did = "deleted"
	_, err = s.Batch.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: is.Arn})
	return err
}

func (s *Stack) consumableResource(ctx context.Context, name string) (*batch.DescribeConsumableResourceOutput, error) {
	pages := batch.NewListConsumableResourcesPaginator(s.Batch, &batch.ListConsumableResourcesInput{
		Filters: []types.KeyValuesPair{{Name: aws.String("CONSUMABLE_RESOURCE_NAME"), Values: []string{name}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.ConsumableResources {
			if deref(r.ConsumableResourceName) == name {
				return s.Batch.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: &name})
			}
		}
	}
	return nil, nil
}

func (s *Stack) applyConsumableResource(ctx context.Context, want *batch.CreateConsumableResourceInput, c *Change) error {
	is, err := s.consumableResource(ctx, c.Name)
	if err != nil {
		return err
	}
	if is == nil {
		out, err := s.Batch.CreateConsumableResource(ctx, want)
		if err != nil {
			return err
		}
		c.ARN, c.Did = *out.ConsumableResourceArn, "created"
		return nil
	}
	c.ARN, c.Did = *is.ConsumableResourceArn, "unchanged"
	if kind := deref(want.ResourceType); kind != "" && kind != deref(is.ResourceType) {
		return errors.New("its resourceType differs, which can not be changed in place: destroy it first, or give the new one another name")
	}
	tagged, err := s.tag(ctx, c.ARN, want.Tags, is.Tags)
	if err != nil {
		return err
	}
	if tagged {
		c.Did = "updated"
	}
	if want.TotalQuantity == nil || aws.ToInt64(want.TotalQuantity) == aws.ToInt64(is.TotalQuantity) {
		return nil
	}
	c.Did = "updated"
	_, err = s.Batch.UpdateConsumableResource(ctx, &batch.UpdateConsumableResourceInput{
		ConsumableResource: &c.Name, Operation: aws.String("SET"), Quantity: want.TotalQuantity,
	})
	return err
}

func (s *Stack) destroyConsumableResource(ctx context.Context, c *Change) error {
	is, err := s.consumableResource(ctx, c.Name)
	if err != nil {
		return err
	}
	if is == nil {
		c.Did = wasNotThere
		return nil
	}
	c.Did = "deleted"
	_, err = s.Batch.DeleteConsumableResource(ctx, &batch.DeleteConsumableResourceInput{ConsumableResource: &c.Name})
	return err
}
