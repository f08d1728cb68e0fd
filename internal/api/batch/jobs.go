package batch

import (
	"context"
	"errors"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) submitJob(ctx context.Context, c *awswire.Call, in *sdk.SubmitJobInput) (*sdk.SubmitJobOutput, error) {
	p, s := partition(c), a.section(c)
	name, err := queueName(p, in.JobQueue)
	if err != nil {
		return nil, err
	}
	queue := s.Queue(name)
	if queue == nil {
		return nil, batch.ErrSubmitQueueUnknown(str(in.JobQueue))
	}
	jd, err := submittedDefinition(p, s, str(in.JobDefinition))
	if err != nil {
		return nil, err
	}
	spec, err := batch.ResolveJob(c.Body, batch.Submission{
		Partition: p, Definition: jd, Queue: queue, Environments: environments(s, queue), Rules: a.rules,
	})
	if err != nil {
		return nil, err
	}
	for _, need := range spec.Consumables {
		if s.Consumable(need.Resource) == nil {
			return nil, batch.ConsumableNotFound(need.Resource)
		}
	}
	id, err := a.engine.Submit(ctx, p, spec)
	if err != nil {
		return nil, err
	}
	return &sdk.SubmitJobOutput{JobId: &id, JobName: in.JobName, JobArn: ptr(p.BatchARN(batch.KindJob, id))}, nil
}

// submittedDefinition finds what a submission names: by ARN or name, with a revision or without, which means the newest
// ACTIVE one.
func submittedDefinition(p batch.Partition, s *engine.Section, member string) (*batch.JobDefinition, error) {
	id, ok := p.ResourceName(batch.KindJobDefinition, member)
	name, revision, hasRevision := batch.SplitDefinition(id)
	if !hasRevision {
		name, revision = id, 0
	}
	jd := s.Definition(name, revision)
	if !ok || jd == nil || jd.Status != batch.Active {
		return nil, batch.ErrSubmitDefinition(member)
	}
	return jd, nil
}

func environments(s *engine.Section, q *batch.JobQueue) []*batch.ComputeEnvironment {
	names := q.Environments()
	out := make([]*batch.ComputeEnvironment, 0, len(names))
	for _, name := range names {
		if ce := s.Environment(name); ce != nil {
			out = append(out, ce)
		}
	}
	return out
}

type describeJobsOutput struct {
	Jobs []jobDetail
}

func (a *API) describeJobs(ctx context.Context, c *awswire.Call, in *sdk.DescribeJobsInput) (*describeJobsOutput, error) {
	if err := batch.CheckDescribeJobs(len(in.Jobs)); err != nil {
		return nil, err
	}
	p := partition(c)
	ids := make([]batch.JobID, 0, len(in.Jobs))
	for _, j := range in.Jobs {
		if id, ok := jobID(p, j); ok {
			ids = append(ids, id)
		}
	}
	views, err := a.engine.Describe(ctx, p, ids)
	if err != nil {
		return nil, err
	}
	out := &describeJobsOutput{Jobs: make([]jobDetail, len(views))}
	for i := range views {
		if out.Jobs[i], err = detail(&views[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// jobID reads an id, or an ARN, which DescribeJobs takes as well.
func jobID(p batch.Partition, member string) (batch.JobID, bool) {
	id, ok := p.ResourceName(batch.KindJob, member)
	if !ok {
		return batch.JobID{}, false
	}
	return batch.ParseJobID(id)
}

func (a *API) cancelJob(ctx context.Context, c *awswire.Call, in *sdk.CancelJobInput) (*sdk.CancelJobOutput, error) {
	return &sdk.CancelJobOutput{}, a.endJob(ctx, c, str(in.JobId), str(in.Reason), false)
}

func (a *API) terminateJob(ctx context.Context, c *awswire.Call, in *sdk.TerminateJobInput) (*sdk.TerminateJobOutput, error) {
	return &sdk.TerminateJobOutput{}, a.endJob(ctx, c, str(in.JobId), str(in.Reason), true)
}

func (a *API) endJob(ctx context.Context, c *awswire.Call, member, reason string, terminate bool) error {
	p := partition(c)
	if err := batch.CheckReason(reason); err != nil {
		return err
	}
	id, err := batch.RequestedJobID(member)
	if err != nil {
		return err
	}
	if terminate {
		return a.exec(ctx, engine.TerminateJob{Partition: p, ID: id, Reason: reason})
	}
	return a.exec(ctx, engine.CancelJob{Partition: p, ID: id, Reason: reason})
}

// The three bulk operations of September 2026 are newer than the SDK's model: their shapes are declared here (API
// reference, CancelJobs, TerminateJobs, TerminateServiceJobs).
type bulkInput struct {
	Jobs   []string
	Reason *string
}

type bulkOutput struct {
	Successful []string
	Errors     []bulkError
}

type bulkError struct{ Job, Code, Message *string }

// maxBulk is how many ids a bulk operation takes.
const maxBulk = 50

func bulk(name string, handler func(context.Context, *awswire.Call, *bulkInput) (*bulkOutput, error)) awswire.Operation {
	op := awswire.Op(name, handler)
	op.Method, op.Path = "POST", "/v1/"+strings.ToLower(name)
	op.Required = []string{"jobs", "reason"}
	return op
}

func (a *API) cancelJobs(ctx context.Context, c *awswire.Call, in *bulkInput) (*bulkOutput, error) {
	return endJobs(c, in, func(id string) error { return a.endJob(ctx, c, id, str(in.Reason), false) })
}

func (a *API) terminateJobs(ctx context.Context, c *awswire.Call, in *bulkInput) (*bulkOutput, error) {
	return endJobs(c, in, func(id string) error { return a.endJob(ctx, c, id, str(in.Reason), true) })
}

// terminateServiceJobs finds no service job, since batchbox runs none: every well-formed id counts as successful.
func (a *API) terminateServiceJobs(_ context.Context, c *awswire.Call, in *bulkInput) (*bulkOutput, error) {
	return endJobs(c, in, func(string) error { return nil })
}

// endJobs ends each job as the single operation would; an id that is not found counts as successful.
func endJobs(c *awswire.Call, in *bulkInput, end func(id string) error) (*bulkOutput, error) {
	if n := len(in.Jobs); n < 1 || n > maxBulk {
		return nil, batch.Invalidf("Number of jobs must be between 1 and %d.", maxBulk) // unverified: text
	}
	if err := batch.CheckReason(str(in.Reason)); err != nil {
		return nil, err
	}
	out := &bulkOutput{Successful: []string{}, Errors: []bulkError{}}
	for _, job := range in.Jobs {
		if _, err := batch.RequestedJobID(job); err != nil {
			out.Errors = append(out.Errors, bulkError{&job, ptr("ValidationException"), ptr(err.Error())})
			continue
		}
		err := end(job)
		var refusal *batch.Error
		switch {
		case err == nil:
			out.Successful = append(out.Successful, job)
		case errors.As(err, &refusal):
			shown := mapError(c, refusal)
			out.Errors = append(out.Errors, bulkError{&job, &shown.Code, &shown.Message})
		default:
			return nil, err
		}
	}
	return out, nil
}
