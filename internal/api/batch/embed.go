package batch

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// EventDetailer shows jobs as the detail of EventBridge events.
type EventDetailer struct {
	encoder *awswire.Encoder[jobDetail]
}

// NewEventDetailer makes an EventDetailer.
func NewEventDetailer() (*EventDetailer, error) {
	e, err := awswire.NewEncoder[jobDetail](awswire.LowerCamel)
	if err != nil {
		return nil, fmt.Errorf("api/batch: %w", err)
	}
	return &EventDetailer{e}, nil
}

// Detail is the detail of a "Batch Job State Change" or "Batch Job Queue Blocked" event: the object that DescribeJobs shows,
// with the job's ARN among its tags. For children that is the parent's (User Guide, "Job state change events", and events in
// public); unverified: for nodes too. v.Spec must be set.
func (d *EventDetailer) Detail(v *engine.JobView) (json.RawMessage, error) {
	shown, err := detail(v)
	if err != nil {
		return nil, err
	}
	marked := make(map[string]string, len(shown.Tags)+1)
	for k, value := range shown.Tags {
		marked[k] = value
	}
	marked["resourceArn"] = v.Partition.BatchARN(batch.KindJob, v.ParentID())
	shown.Tags = marked
	return d.encoder.Append(make([]byte, 0, 2048), &shown), nil
}

// Submit is SubmitJob for a caller in this process. request is the JSON of the API's request.
func (a *API) Submit(ctx context.Context, p batch.Partition, request json.RawMessage) (id string, err error) {
	var members struct{ JobName, JobQueue, JobDefinition *string }
	if err := json.Unmarshal(request, &members); err != nil {
		return "", fmt.Errorf("request of SubmitJob: %w", err)
	}
	in := &sdk.SubmitJobInput{JobName: members.JobName, JobQueue: members.JobQueue, JobDefinition: members.JobDefinition}
	out, err := a.submitJob(ctx, &awswire.Call{Account: p.Account, Region: p.Region, Body: request}, in)
	if err != nil {
		return "", err
	}
	return str(out.JobId), nil
}
