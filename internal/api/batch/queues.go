package batch

import (
	"context"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) createJobQueue(ctx context.Context, c *awswire.Call, _ *sdk.CreateJobQueueInput) (*sdk.CreateJobQueueOutput, error) {
	p := partition(c)
	q, err := do[batch.JobQueue](ctx, a, engine.CreateJobQueue{Partition: p, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.CreateJobQueueOutput{JobQueueName: &q.Name, JobQueueArn: ptr(p.BatchARN(batch.KindJobQueue, q.Name))}, nil
}

func (a *API) updateJobQueue(ctx context.Context, c *awswire.Call, in *sdk.UpdateJobQueueInput) (*sdk.UpdateJobQueueOutput, error) {
	p := partition(c)
	name, err := queueName(p, in.JobQueue)
	if err != nil {
		return nil, err
	}
	q, err := do[batch.JobQueue](ctx, a, engine.UpdateJobQueue{Partition: p, Name: name, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateJobQueueOutput{JobQueueName: &q.Name, JobQueueArn: ptr(p.BatchARN(batch.KindJobQueue, q.Name))}, nil
}

func (a *API) deleteJobQueue(ctx context.Context, c *awswire.Call, in *sdk.DeleteJobQueueInput) (*sdk.DeleteJobQueueOutput, error) {
	p := partition(c)
	name, err := queueName(p, in.JobQueue)
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteJobQueueOutput{}, a.exec(ctx, engine.DeleteJobQueue{Partition: p, Name: name})
}

func queueName(p batch.Partition, member *string) (string, error) {
	name, ok := p.ResourceName(batch.KindJobQueue, str(member))
	if !ok {
		return "", batch.Refusedf("%s does not exist", str(member))
	}
	return name, nil
}

func (a *API) describeJobQueues(_ context.Context, c *awswire.Call, in *sdk.DescribeJobQueuesInput) (*sdk.DescribeJobQueuesOutput, error) {
	p, s := partition(c), a.section(c)
	out := &sdk.DescribeJobQueuesOutput{JobQueues: []types.JobQueueDetail{}}
	var list []*batch.JobQueue
	var err error
	if len(in.JobQueues) > 0 {
		list, err = selectNamed(p, batch.KindJobQueue, "JobQueues", in.JobQueues, in.MaxResults, s.Queue)
	} else {
		name := func(q *batch.JobQueue) string { return q.Name }
		list, out.NextToken, err = page("jq", s.Queues, name, in.MaxResults, in.NextToken)
	}
	if err != nil {
		return nil, err
	}
	for _, q := range list {
		out.JobQueues = append(out.JobQueues, showQueue(p, q))
	}
	return out, nil
}

func showQueue(p batch.Partition, q *batch.JobQueue) types.JobQueueDetail {
	d := types.JobQueueDetail{
		JobQueueName:            &q.Name,
		JobQueueArn:             ptr(p.BatchARN(batch.KindJobQueue, q.Name)),
		State:                   types.JQState(q.State),
		Status:                  types.JQStatus(q.Status),
		StatusReason:            &q.StatusReason,
		Priority:                ptr(int32(q.Priority)),
		JobQueueType:            types.JobQueueType(q.Type),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{},
		Tags:                    tags(q.Tags),
	}
	for _, o := range q.ComputeEnvironmentOrder {
		d.ComputeEnvironmentOrder = append(d.ComputeEnvironmentOrder, types.ComputeEnvironmentOrder{
			Order: ptr(int32(o.Order)), ComputeEnvironment: ptr(p.BatchARN(batch.KindComputeEnvironment, o.ComputeEnvironment)),
		})
	}
	if q.SchedulingPolicy != "" {
		d.SchedulingPolicyArn = ptr(p.BatchARN(batch.KindSchedulingPolicy, q.SchedulingPolicy))
	}
	for _, l := range q.TimeLimitActions {
		d.JobStateTimeLimitActions = append(d.JobStateTimeLimitActions, types.JobStateTimeLimitAction{
			Reason: &l.Reason, State: types.JobStateTimeLimitActionsState(l.State),
			MaxTimeSeconds: ptr(int32(l.MaxTimeSeconds)), Action: types.JobStateTimeLimitActionsAction(l.Action),
		})
	}
	return d
}

// frontOfQueue and topShares bound GetJobQueueSnapshot (API FrontOfQueueDetail, FairshareUtilizationDetail).
const (
	frontOfQueue = 100
	topShares    = 20
)

func (a *API) getJobQueueSnapshot(ctx context.Context, c *awswire.Call, in *sdk.GetJobQueueSnapshotInput) (*sdk.GetJobQueueSnapshotOutput, error) {
	p := partition(c)
	name, err := queueName(p, in.JobQueue)
	if err != nil {
		return nil, err
	}
	snap, ok, err := a.engine.Snapshot(ctx, p, name, frontOfQueue)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, batch.ErrQueueUnknown(p, name)
	}
	front := &types.FrontOfQueueDetail{LastUpdatedAt: &snap.At, Jobs: []types.FrontOfQueueJobSummary{}}
	for _, j := range snap.Front {
		front.Jobs = append(front.Jobs, types.FrontOfQueueJobSummary{
			JobArn: ptr(p.BatchARN(batch.KindJob, j.ID)), EarliestTimeAtPosition: ptr(j.Since),
		})
	}
	use := &types.QueueSnapshotUtilizationDetail{
		LastUpdatedAt:      &snap.At,
		TotalCapacityUsage: []types.QueueSnapshotCapacityUsage{{CapacityUnit: ptr(unitVCPU), Quantity: ptr(vCPU(snap.MilliCPU))}},
	}
	if snap.Fair {
		fair := &types.FairshareUtilizationDetail{ActiveShareCount: ptr(int64(snap.ActiveShares))}
		for _, s := range snap.Shares[:min(len(snap.Shares), topShares)] {
			fair.TopCapacityUtilization = append(fair.TopCapacityUtilization, types.FairshareCapacityUtilization{
				ShareIdentifier: &s.Share,
				CapacityUsage:   []types.FairshareCapacityUsage{{CapacityUnit: ptr(unitVCPU), Quantity: ptr(vCPU(s.MilliCPU))}},
			})
		}
		use.FairshareUtilization = fair
	}
	return &sdk.GetJobQueueSnapshotOutput{FrontOfQueue: front, QueueUtilization: use}, nil
}

const unitVCPU = "VCPU"

func vCPU(milli int64) float64 { return float64(milli) / 1000 }
