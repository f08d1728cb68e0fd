// Package batch answers the AWS Batch API from an engine: it turns requests into events and queries, and views into the
// shapes of the API. Rules and texts are internal/batch's; what happens is the engine's.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// API is the AWS Batch API over one engine.
type API struct {
	engine *engine.Engine
	rules  batch.Rules
}

// New makes the API. The rules are AWS's own if they are zero.
func New(e *engine.Engine, rules batch.Rules) *API { return &API{engine: e, rules: rules} }

// Service is the API's service table.
func (a *API) Service() (*awswire.Service, error) {
	s := &awswire.Service{
		Name: "batch",
		Operations: []awswire.Operation{
			awswire.Op("CreateComputeEnvironment", a.createComputeEnvironment),
			awswire.Op("UpdateComputeEnvironment", a.updateComputeEnvironment),
			awswire.Op("DeleteComputeEnvironment", a.deleteComputeEnvironment),
			awswire.Op("DescribeComputeEnvironments", a.describeComputeEnvironments),
			awswire.Op("CreateJobQueue", a.createJobQueue),
			awswire.Op("UpdateJobQueue", a.updateJobQueue),
			awswire.Op("DeleteJobQueue", a.deleteJobQueue),
			awswire.Op("DescribeJobQueues", a.describeJobQueues),
			awswire.Op("GetJobQueueSnapshot", a.getJobQueueSnapshot),
			awswire.Op("RegisterJobDefinition", a.registerJobDefinition),
			awswire.Op("DeregisterJobDefinition", a.deregisterJobDefinition),
			awswire.Op("DescribeJobDefinitions", a.describeJobDefinitions),
			awswire.Op("SubmitJob", a.submitJob),
			awswire.Op("DescribeJobs", a.describeJobs),
			awswire.Op("ListJobs", a.listJobs),
			awswire.Op("CancelJob", a.cancelJob),
			awswire.Op("TerminateJob", a.terminateJob),
			bulk("CancelJobs", a.cancelJobs),
			bulk("TerminateJobs", a.terminateJobs),
			bulk("TerminateServiceJobs", a.terminateServiceJobs),
			awswire.Op("CreateSchedulingPolicy", a.createSchedulingPolicy),
			awswire.Op("UpdateSchedulingPolicy", a.updateSchedulingPolicy),
			awswire.Op("DeleteSchedulingPolicy", a.deleteSchedulingPolicy),
			awswire.Op("DescribeSchedulingPolicies", a.describeSchedulingPolicies),
			awswire.Op("ListSchedulingPolicies", a.listSchedulingPolicies),
			awswire.Op("CreateConsumableResource", a.createConsumableResource),
			awswire.Op("UpdateConsumableResource", a.updateConsumableResource),
			awswire.Op("DeleteConsumableResource", a.deleteConsumableResource),
			awswire.Op("DescribeConsumableResource", a.describeConsumableResource),
			awswire.Op("ListConsumableResources", a.listConsumableResources),
			awswire.Op("ListJobsByConsumableResource", a.listJobsByConsumableResource),
			awswire.Op("TagResource", a.tagResource),
			awswire.Op("UntagResource", a.untagResource),
			awswire.Op("ListTagsForResource", a.listTagsForResource),
		},
		Refused:        refused,
		RefusedCode:    clientException,
		BadRequestCode: clientException,
		MissingCode:    clientException,
		InternalCode:   serverException,
		BadRequestText: wrapped,
		MapError:       mapError,
		// SubmitJob and RegisterJobDefinition have far smaller limits of their own; this one bounds what is read at all.
		MaxBody: 256 << 10,
	}
	s.Operations = append(s.Operations, a.absentOperations()...)
	if err := s.ApplyModel(awswire.BatchModel()); err != nil {
		return nil, err
	}
	return s, nil
}

// The two exceptions of the Batch API (API reference, "Errors" of each operation).
const (
	clientException = "ClientException"
	serverException = "ServerException"
)

// wrapped is the form in which the service puts refusals of a request's own content.
func wrapped(c *awswire.Call, text string) string {
	return fmt.Sprintf("Error executing request, Exception : %s, RequestId: %s", text, c.RequestID)
}

// mapError puts the domain's errors on the wire; requests that break a rule of their own carry the service's wrapper around the
// text.
func mapError(c *awswire.Call, err error) *awswire.Error {
	var e *batch.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code {
	case batch.Invalid:
		return &awswire.Error{Code: clientException, Message: wrapped(c, e.Message)}
	case batch.Refused, batch.Unsupported:
		return &awswire.Error{Code: clientException, Message: e.Message}
	default:
		return &awswire.Error{Code: serverException, Message: e.Message, Server: true, Cause: err}
	}
}

func partition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

func (a *API) section(c *awswire.Call) *engine.Section {
	return a.engine.Catalog().Section(partition(c))
}

// do applies an event whose result is a T.
func do[T any](ctx context.Context, a *API, ev engine.Event) (T, error) {
	result, err := a.engine.Do(ctx, ev)
	if err != nil {
		var zero T
		return zero, err
	}
	v, ok := result.(T)
	if !ok {
		return v, fmt.Errorf("event %T gave a %T", ev, result)
	}
	return v, nil
}

// exec applies an event without a result.
func (a *API) exec(ctx context.Context, ev engine.Event) error {
	_, err := a.engine.Do(ctx, ev)
	return err
}

// str is the value of an optional string member.
func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }

// tags is a tag map as shown: {} when there are none.
func tags(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// splice adds members to a JSON object that does not have them. members is a struct; those of its members that are
// absent are left out.
func splice(object json.RawMessage, members any) json.RawMessage {
	extra, err := json.Marshal(members)
	if err != nil {
		panic("api/batch: " + err.Error()) // plain structs
	}
	if len(extra) <= len("{}") {
		return object
	}
	out := make(json.RawMessage, 0, len(object)+len(extra))
	out = append(out, object[:len(object)-1]...)
	if len(object) > len("{}") {
		out = append(out, ',')
	}
	return append(out, extra[1:]...)
}
