package batch

import (
	"context"
	"fmt"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
)

// Service environments, service jobs and quota shares belong to the queues of SageMaker training, which batchbox does not
// run. What would make one is refused. So there are none, and that is what those who look for one are told: tools that list
// everything an account has go on working.

// The sentences that refusals end with.
const (
	noServiceJobs = "batchbox does not run service jobs (SageMaker training)"
	noQuotaShares = "batchbox has no quota shares, which belong to SageMaker training queues"
)

// refused are the operations batchbox does not provide, each with the sentence that says so.
var refused = map[string]string{
	"CreateServiceEnvironment": notSupported("CreateServiceEnvironment", noServiceJobs),
	"SubmitServiceJob":         notSupported("SubmitServiceJob", noServiceJobs),
	"CreateQuotaShare":         notSupported("CreateQuotaShare", noQuotaShares),
}

func notSupported(operation, sentence string) string {
	return fmt.Sprintf("%s is not supported: %s.", operation, sentence)
}

// absent refuses what is named and can not exist.
func absent(what, name, sentence string) error {
	return batch.Refusedf("%s %s does not exist: %s.", what, name, sentence)
}

const (
	serviceEnvironment = "ServiceEnvironment"
	serviceJob         = "Service job"
	quotaShare         = "QuotaShare"
)

func (a *API) absentOperations() []awswire.Operation {
	return []awswire.Operation{
		awswire.Op("DescribeServiceEnvironments", a.describeServiceEnvironments),
		awswire.Op("UpdateServiceEnvironment", missing(func(in *sdk.UpdateServiceEnvironmentInput) (*sdk.UpdateServiceEnvironmentOutput, error) {
			return nil, absent(serviceEnvironment, str(in.ServiceEnvironment), noServiceJobs)
		})),
		awswire.Op("DeleteServiceEnvironment", missing(func(in *sdk.DeleteServiceEnvironmentInput) (*sdk.DeleteServiceEnvironmentOutput, error) {
			return nil, absent(serviceEnvironment, str(in.ServiceEnvironment), noServiceJobs)
		})),
		awswire.Op("ListServiceJobs", a.listServiceJobs),
		awswire.Op("DescribeServiceJob", missing(func(in *sdk.DescribeServiceJobInput) (*sdk.DescribeServiceJobOutput, error) {
			return nil, absent(serviceJob, str(in.JobId), noServiceJobs)
		})),
		awswire.Op("UpdateServiceJob", missing(func(in *sdk.UpdateServiceJobInput) (*sdk.UpdateServiceJobOutput, error) {
			return nil, absent(serviceJob, str(in.JobId), noServiceJobs)
		})),
		awswire.Op("TerminateServiceJob", a.terminateServiceJob),
		awswire.Op("ListQuotaShares", a.listQuotaShares),
		awswire.Op("DescribeQuotaShare", missing(func(in *sdk.DescribeQuotaShareInput) (*sdk.DescribeQuotaShareOutput, error) {
			return nil, absent(quotaShare, str(in.QuotaShareArn), noQuotaShares)
		})),
		awswire.Op("UpdateQuotaShare", missing(func(in *sdk.UpdateQuotaShareInput) (*sdk.UpdateQuotaShareOutput, error) {
			return nil, absent(quotaShare, str(in.QuotaShareArn), noQuotaShares)
		})),
		awswire.Op("DeleteQuotaShare", missing(func(in *sdk.DeleteQuotaShareInput) (*sdk.DeleteQuotaShareOutput, error) {
			return nil, absent(quotaShare, str(in.QuotaShareArn), noQuotaShares)
		})),
	}
}

// missing is a handler that looks at its input only.
func missing[In, Out any](answer func(*In) (*Out, error)) func(context.Context, *awswire.Call, *In) (*Out, error) {
	return func(_ context.Context, _ *awswire.Call, in *In) (*Out, error) { return answer(in) }
}

func (a *API) describeServiceEnvironments(_ context.Context, _ *awswire.Call, in *sdk.DescribeServiceEnvironmentsInput) (*sdk.DescribeServiceEnvironmentsOutput, error) {
	if err := batch.CheckDescribe("ServiceEnvironments", len(in.ServiceEnvironments), in.MaxResults); err != nil {
		return nil, err
	}
	if _, _, err := page[types.ServiceEnvironmentDetail]("se", nil, nil, in.MaxResults, in.NextToken); err != nil {
		return nil, err
	}
	return &sdk.DescribeServiceEnvironmentsOutput{ServiceEnvironments: []types.ServiceEnvironmentDetail{}}, nil
}

func (a *API) listServiceJobs(_ context.Context, c *awswire.Call, in *sdk.ListServiceJobsInput) (*sdk.ListServiceJobsOutput, error) {
	if q := str(in.JobQueue); q != "" {
		if err := a.checkQueue(c, in.JobQueue); err != nil {
			return nil, err
		}
	}
	if s := in.JobStatus; s != "" && !slices.Contains(s.Values(), s) {
		return nil, batch.Invalidf("Service job status %s is not valid.", s) // unverified: text
	}
	if _, _, err := page[types.ServiceJobSummary]("sj", nil, nil, in.MaxResults, in.NextToken); err != nil {
		return nil, err
	}
	return &sdk.ListServiceJobsOutput{JobSummaryList: []types.ServiceJobSummary{}}, nil
}

// terminateServiceJob finds no job, which is no error (reference, section 1.5).
func (a *API) terminateServiceJob(_ context.Context, _ *awswire.Call, in *sdk.TerminateServiceJobInput) (*sdk.TerminateServiceJobOutput, error) {
	if err := batch.CheckReason(str(in.Reason)); err != nil {
		return nil, err
	}
	_, err := batch.RequestedJobID(str(in.JobId))
	return &sdk.TerminateServiceJobOutput{}, err
}

func (a *API) listQuotaShares(_ context.Context, c *awswire.Call, in *sdk.ListQuotaSharesInput) (*sdk.ListQuotaSharesOutput, error) {
	if err := a.checkQueue(c, in.JobQueue); err != nil {
		return nil, err
	}
	if _, _, err := page[types.QuotaShareDetail]("qs", nil, nil, in.MaxResults, in.NextToken); err != nil {
		return nil, err
	}
	return &sdk.ListQuotaSharesOutput{QuotaShares: []types.QuotaShareDetail{}}, nil
}

// checkQueue refuses a queue that does not exist.
func (a *API) checkQueue(c *awswire.Call, member *string) error {
	p := partition(c)
	name, err := queueName(p, member)
	if err == nil && a.section(c).Queue(name) == nil {
		err = batch.ErrQueueUnknown(p, name)
	}
	return err
}
