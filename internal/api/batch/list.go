package batch

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

type listJobsOutput struct {
	JobSummaryList []jobSummary
	NextToken      *string
}

// jobSummary is the API's JobSummary with the two members of September 2026 (isCancelled, isTerminated), which are newer
// than the SDK's model.
type jobSummary struct {
	JobArn, JobId, JobName *string
	JobDefinition          *string
	CreatedAt              *int64
	Status, StatusReason   *string
	StartedAt, StoppedAt   *int64
	Container              *containerSummary
	ArrayProperties        *arraySummary
	NodeProperties         *types.NodePropertiesSummary
	ShareIdentifier        *string
	CapacityUsage          []types.JobCapacityUsageSummary
	IsCancelled            *bool
	IsTerminated           *bool
}

type containerSummary struct {
	ExitCode *int32
	Reason   *string
}

type arraySummary struct {
	Size, Index                *int32
	StatusSummary              map[string]int32
	StatusSummaryLastUpdatedAt *int64
}

func (a *API) listJobs(ctx context.Context, c *awswire.Call, _ *sdk.ListJobsInput) (*listJobsOutput, error) {
	p := partition(c)
	q, err := batch.ParseListJobs(c.Body, p)
	if err != nil {
		return nil, err
	}
	if q.Queue == "" {
		return a.listChildren(ctx, p, q)
	}
	if a.section(c).Queue(q.Queue) == nil {
		return nil, batch.ErrQueueUnknown(p, q.Queue)
	}
	query := engine.JobQuery{
		Partition: p, Queue: q.Queue,
		Name: q.Name, NamePrefix: q.NamePrefix, Definition: q.Definition, DefinitionPrefix: q.DefinitionPrefix,
		Share: q.Share, CreatedBefore: q.CreatedBefore, CreatedAfter: q.CreatedAfter,
		Limit: q.PageSize + 1,
	}
	if q.Status != 0 {
		query.Statuses = []batch.Status{q.Status}
	}
	after, err := position("jobs", &q.NextToken)
	if err != nil {
		return nil, err
	}
	if after != "" {
		if err := continueAfter(&query, after); err != nil {
			return nil, err
		}
	}
	views, err := a.engine.ListJobs(ctx, query)
	if err != nil {
		return nil, err
	}
	return listing(views, q.PageSize, func(last *engine.JobView) *string {
		return token("jobs", fmt.Sprintf("%d:%d:%s", last.CreatedAt, last.Seq, last.Spec.JobName))
	}), nil
}

// continueAfter reads the position that listJobs put into a token.
func continueAfter(q *engine.JobQuery, pos string) error {
	parts := strings.SplitN(pos, ":", 3)
	if len(parts) == 3 {
		createdAt, err1 := strconv.ParseInt(parts[0], 10, 64)
		seq, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err1 == nil && err2 == nil {
			q.BeforeCreatedAt, q.BeforeSeq, q.BeforeName = createdAt, seq, parts[2]
			return nil
		}
	}
	return errToken
}

func (a *API) listChildren(ctx context.Context, p batch.Partition, q batch.JobsQuery) (*listJobsOutput, error) {
	parts := engine.PartsQuery{
		Partition: p, Parent: q.ArrayJob + q.MultiNodeJob, Nodes: q.MultiNodeJob != "", Status: q.Status, Limit: q.PageSize + 1,
	}
	after, err := position("children", &q.NextToken)
	if err != nil {
		return nil, err
	}
	if after != "" {
		last, err := strconv.Atoi(after)
		if err != nil || last < 0 {
			return nil, errToken
		}
		parts.From = last + 1
	}
	views, err := a.engine.ListParts(ctx, parts)
	if err != nil {
		return nil, err
	}
	return listing(views, q.PageSize, func(last *engine.JobView) *string {
		return token("children", strconv.Itoa(max(last.Index, last.Node)))
	}), nil
}

// listing cuts a page out of one result more than fits on it.
func listing(views []engine.JobView, size int, next func(last *engine.JobView) *string) *listJobsOutput {
	out := &listJobsOutput{JobSummaryList: []jobSummary{}}
	if len(views) > size {
		views = views[:size]
		out.NextToken = next(&views[size-1])
	}
	for i := range views {
		out.JobSummaryList = append(out.JobSummaryList, summary(&views[i]))
	}
	return out
}

func summary(v *engine.JobView) jobSummary {
	s := jobSummary{
		JobArn: ptr(v.Partition.BatchARN(batch.KindJob, v.ID)), JobId: &v.ID, JobName: &v.Spec.JobName,
		JobDefinition: ptr(v.Partition.BatchARN(batch.KindJobDefinition, v.Spec.Definition)),
		CreatedAt:     &v.CreatedAt, StartedAt: moment(v.StartedAt), StoppedAt: moment(v.StoppedAt),
		Status: ptr(v.Status.String()), StatusReason: optional(v.StatusReason),
		ShareIdentifier: optional(v.Spec.Share),
		CapacityUsage:   capacityUsage(v),
	}
	if v.Cancelled {
		s.IsCancelled = ptr(true)
	}
	if v.Terminated {
		s.IsTerminated = ptr(true)
	}
	if at := latest(v); len(at.Containers) > 0 {
		if c := &at.Containers[0]; c.ExitCode != nil || c.Reason != "" {
			s.Container = &containerSummary{ExitCode: exitCode(c), Reason: optional(c.Reason)}
		}
	}
	switch {
	case v.Index >= 0:
		s.ArrayProperties = &arraySummary{Index: ptr(int32(v.Index))}
	case v.Summary != nil:
		s.ArrayProperties = &arraySummary{
			Size: ptr(int32(v.Spec.ArraySize)), StatusSummary: statusSummary(v.Summary), StatusSummaryLastUpdatedAt: moment(v.SummaryAt),
		}
	case v.Spec.NumNodes > 0:
		n := &types.NodePropertiesSummary{NumNodes: ptr(int32(v.Spec.NumNodes))}
		if v.Node >= 0 {
			n.NodeIndex, n.IsMainNode = ptr(int32(v.Node)), ptr(v.Node == v.Spec.MainNode)
		}
		s.NodeProperties = n
	}
	return s
}

// capacityUsage is what a job is configured to take: of an array what each child takes, of a multi-node job what all nodes do.
//
// unverified: which of them AWS means.
func capacityUsage(v *engine.JobView) []types.JobCapacityUsageSummary {
	milli := v.Spec.MilliCPU()
	if v.Node >= 0 {
		milli = v.Spec.Demand[v.Node].MilliCPU
	}
	return []types.JobCapacityUsageSummary{{CapacityUnit: ptr(unitVCPU), Quantity: ptr(vCPU(milli))}}
}
