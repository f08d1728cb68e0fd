package stack

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// activeDefinitions are the active revisions of a job definition.
func (s *Stack) activeDefinitions(ctx context.Context, name string) ([]types.JobDefinition, error) {
	var all []types.JobDefinition
	pages := batch.NewDescribeJobDefinitionsPaginator(s.Batch, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &name, Status: aws.String("ACTIVE")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.JobDefinitions...)
	}
	return all, nil
}

func (s *Stack) applyJobDefinition(ctx context.Context, want *batch.RegisterJobDefinitionInput, c *Change) error {
	active, err := s.activeDefinitions(ctx, c.Name)
	if err != nil {
		return err
	}
	var newest *types.JobDefinition
	for i, d := range active {
		if newest == nil || aws.ToInt32(d.Revision) > aws.ToInt32(newest.Revision) {
			newest = &active[i]
		}
	}
	if newest != nil && sameDefinition(want, newest) {
		c.ARN, c.Did = *newest.JobDefinitionArn, "unchanged"
		tagged, err := s.tag(ctx, c.ARN, want.Tags, newest.Tags)
		if tagged {
			c.Did = "updated"
		}
		return err
	}
	out, err := s.Batch.RegisterJobDefinition(ctx, want)
	if err != nil {
		return err
	}
	c.ARN, c.Did = *out.JobDefinitionArn, fmt.Sprintf("registered revision %d", *out.Revision)
	return nil
}

// sameDefinition compares all but the tags, which can be changed without a new revision.
func sameDefinition(want *batch.RegisterJobDefinitionInput, is *types.JobDefinition) bool {
	return same(want.ContainerProperties, is.ContainerProperties) &&
		same(want.EcsProperties, is.EcsProperties) &&
		same(want.EksProperties, is.EksProperties) &&
		same(want.NodeProperties, is.NodeProperties) &&
		same(want.ConsumableResourceProperties, is.ConsumableResourceProperties) &&
		same(want.Parameters, is.Parameters) &&
		same(want.PlatformCapabilities, is.PlatformCapabilities) &&
		same(want.RetryStrategy, is.RetryStrategy) &&
		same(want.Timeout, is.Timeout) &&
		string(want.Type) == deref(is.Type) &&
		aws.ToBool(want.PropagateTags) == aws.ToBool(is.PropagateTags) &&
		aws.ToInt32(want.SchedulingPriority) == aws.ToInt32(is.SchedulingPriority)
}

func (s *Stack) destroyJobDefinition(ctx context.Context, c *Change) error {
	active, err := s.activeDefinitions(ctx, c.Name)
	if err != nil {
		return err
	}
	for _, d := range active {
		if _, err := s.Batch.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: d.JobDefinitionArn}); err != nil {
			return fmt.Errorf("revision %d: %w", aws.ToInt32(d.Revision), err)
		}
	}
	switch n := len(active); n {
	case 0:
		c.Did = wasNotThere
	case 1:
		c.Did = fmt.Sprintf("deregistered revision %d", aws.ToInt32(active[0].Revision))
	default:
		c.Did = fmt.Sprintf("deregistered %d revisions", n)
	}
	return nil
}
