package batch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) createConsumableResource(ctx context.Context, c *awswire.Call, _ *sdk.CreateConsumableResourceInput) (*sdk.CreateConsumableResourceOutput, error) {
	p := partition(c)
	res, err := do[batch.ConsumableResource](ctx, a, engine.CreateConsumableResource{Partition: p, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.CreateConsumableResourceOutput{
		ConsumableResourceName: &res.Name, ConsumableResourceArn: ptr(p.BatchARN(batch.KindConsumableResource, res.Name)),
	}, nil
}

func (a *API) updateConsumableResource(ctx context.Context, c *awswire.Call, in *sdk.UpdateConsumableResourceInput) (*sdk.UpdateConsumableResourceOutput, error) {
	p := partition(c)
	name, err := consumableName(p, in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	res, err := do[batch.ConsumableResource](ctx, a, engine.UpdateConsumableResource{Partition: p, Name: name, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateConsumableResourceOutput{
		ConsumableResourceName: &res.Name, ConsumableResourceArn: ptr(p.BatchARN(batch.KindConsumableResource, res.Name)),
		TotalQuantity: &res.Total,
	}, nil
}

func (a *API) deleteConsumableResource(ctx context.Context, c *awswire.Call, in *sdk.DeleteConsumableResourceInput) (*sdk.DeleteConsumableResourceOutput, error) {
	p := partition(c)
	name, err := consumableName(p, in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteConsumableResourceOutput{}, a.exec(ctx, engine.DeleteConsumableResource{Partition: p, Name: name})
}

func consumableName(p batch.Partition, member *string) (string, error) {
	name, ok := p.ResourceName(batch.KindConsumableResource, str(member))
	if !ok {
		return "", batch.ConsumableNotFound(str(member))
	}
	return name, nil
}

func (a *API) describeConsumableResource(ctx context.Context, c *awswire.Call, in *sdk.DescribeConsumableResourceInput) (*sdk.DescribeConsumableResourceOutput, error) {
	p := partition(c)
	name, err := consumableName(p, in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	res := a.section(c).Consumable(name)
	if res == nil {
		return nil, batch.ConsumableNotFound(str(in.ConsumableResource))
	}
	inUse, err := a.engine.ConsumableInUse(ctx, p, name)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeConsumableResourceOutput{
		ConsumableResourceName: &res.Name, ConsumableResourceArn: ptr(p.BatchARN(batch.KindConsumableResource, res.Name)),
		TotalQuantity: &res.Total, InUseQuantity: &inUse, AvailableQuantity: ptr(max(0, res.Total-inUse)),
		ResourceType: &res.Type, CreatedAt: &res.CreatedAt, Tags: tags(res.Tags),
	}, nil
}

func (a *API) listConsumableResources(ctx context.Context, c *awswire.Call, in *sdk.ListConsumableResourcesInput) (*sdk.ListConsumableResourcesOutput, error) {
	p := partition(c)
	list := a.section(c).Consumables
	for _, f := range in.Filters {
		if str(f.Name) != "CONSUMABLE_RESOURCE_NAME" {
			return nil, batch.Invalidf("Filter name %s is not valid. Valid values are: [CONSUMABLE_RESOURCE_NAME]", str(f.Name)) // unverified: text
		}
		var kept []*batch.ConsumableResource
		for _, r := range list {
			if slices.ContainsFunc(f.Values, func(value string) bool { return batch.MatchesName(value, r.Name) }) {
				kept = append(kept, r)
			}
		}
		list = kept
	}
	list, next, err := page("cr", list, func(r *batch.ConsumableResource) string { return r.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &sdk.ListConsumableResourcesOutput{ConsumableResources: []types.ConsumableResourceSummary{}, NextToken: next}
	for _, r := range list {
		inUse, err := a.engine.ConsumableInUse(ctx, p, r.Name)
		if err != nil {
			return nil, err
		}
		out.ConsumableResources = append(out.ConsumableResources, types.ConsumableResourceSummary{
			ConsumableResourceName: &r.Name, ConsumableResourceArn: ptr(p.BatchARN(batch.KindConsumableResource, r.Name)),
			TotalQuantity: &r.Total, InUseQuantity: &inUse, ResourceType: &r.Type,
		})
	}
	return out, nil
}

// listJobsByConsumableResource lists the unfinished jobs that need the resource (an array is one job).
func (a *API) listJobsByConsumableResource(ctx context.Context, c *awswire.Call, in *sdk.ListJobsByConsumableResourceInput) (*sdk.ListJobsByConsumableResourceOutput, error) {
	p := partition(c)
	name, err := consumableName(p, in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	if a.section(c).Consumable(name) == nil {
		return nil, batch.ConsumableNotFound(str(in.ConsumableResource))
	}
	views, err := a.engine.ConsumableJobs(ctx, p, name)
	if err != nil {
		return nil, err
	}
	keep, err := consumableFilter(in.Filters)
	if err != nil {
		return nil, err
	}
	var list []*engine.JobView
	for i := range views {
		if keep(&views[i]) {
			list = append(list, &views[i])
		}
	}
	list, next, err := page("crj", list, jobOrder, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &sdk.ListJobsByConsumableResourceOutput{Jobs: []types.ListJobsByConsumableResourceSummary{}, NextToken: next}
	for _, v := range list {
		s := types.ListJobsByConsumableResourceSummary{
			JobArn: ptr(p.BatchARN(batch.KindJob, v.ID)), JobName: &v.Spec.JobName, JobStatus: ptr(v.Status.String()),
			JobQueueArn:      ptr(p.BatchARN(batch.KindJobQueue, v.Spec.Queue)),
			JobDefinitionArn: ptr(p.BatchARN(batch.KindJobDefinition, v.Spec.Definition)),
			CreatedAt:        &v.CreatedAt, StartedAt: moment(v.StartedAt), StatusReason: optional(v.StatusReason),
			ShareIdentifier:              optional(v.Spec.Share),
			ConsumableResourceProperties: showConsumables(p, v.Spec.Consumables),
		}
		for _, need := range v.Spec.Consumables {
			if need.Resource == name {
				s.Quantity = ptr(need.Quantity)
			}
		}
		out.Jobs = append(out.Jobs, s)
	}
	return out, nil
}

// jobOrder is a job's order of submission as text that sorts as it does.
func jobOrder(v *engine.JobView) string { return fmt.Sprintf("%019d", v.Seq) }

// consumableFilter reads the filters JOB_STATUS and JOB_NAME.
func consumableFilter(filters []types.KeyValuesPair) (func(*engine.JobView) bool, error) {
	keep := func(*engine.JobView) bool { return true }
	for _, f := range filters {
		values, previous := f.Values, keep
		var match func(*engine.JobView, string) bool
		switch str(f.Name) {
		case "JOB_STATUS":
			match = func(v *engine.JobView, s string) bool { return strings.EqualFold(v.Status.String(), s) }
		case "JOB_NAME":
			match = func(v *engine.JobView, s string) bool { return batch.MatchesName(s, v.Spec.JobName) }
		default:
			return nil, batch.Invalidf("Filter name %s is not valid. Valid values are: [JOB_STATUS, JOB_NAME]", str(f.Name)) // unverified: text
		}
		keep = func(v *engine.JobView) bool {
			return previous(v) && slices.ContainsFunc(values, func(s string) bool { return match(v, s) })
		}
	}
	return keep, nil
}
