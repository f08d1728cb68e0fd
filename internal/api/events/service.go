// Package events is the part of the Amazon EventBridge API that concerns rules of the default event bus, over
// internal/events/rules. Requests and replies follow the API reference
// (https://docs.aws.amazon.com/eventbridge/latest/APIReference/); the texts of errors are guesses unless clients have quoted
// them in public: "Rule ... does not exist on EventBus default." and "Event pattern is not valid. Reason: ..." are such.
//
// Targets are log groups of CloudWatch Logs and job queues of AWS Batch. There are no schedules, no other buses, no archives
// and no connections; requests for them are refused and say so.
package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events/rules"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on. All are required.
type Options struct {
	Bus *rules.Bus
	// NewID makes the ids of events that callers put.
	NewID func() string
	Now   func() time.Time
}

type api struct{ Options }

// The codes of the service's exceptions (API reference, "Errors" of each operation).
const (
	codeValidation  = "ValidationException"
	codePattern     = "InvalidEventPatternException"
	codeNotFound    = "ResourceNotFoundException"
	codeLimit       = "LimitExceededException"
	codeInternal    = "InternalException"
	codeUnsupported = "UnsupportedOperationException"
)

// New describes the service for an awswire.Mux.
func New(o Options) *awswire.Service {
	a := &api{o}
	s := &awswire.Service{
		Name: "events", Protocol: awswire.AWSJSON11, TargetPrefix: "AWSEvents", MemberCase: awswire.UpperCamel,
		Operations: []awswire.Operation{
			op("PutRule", a.putRule, "Name"),
			op("DescribeRule", a.describeRule, "Name"),
			op("ListRules", a.listRules),
			op("DeleteRule", a.deleteRule, "Name"),
			op("EnableRule", a.enableRule, "Name"),
			op("DisableRule", a.disableRule, "Name"),
			op("PutTargets", a.putTargets, "Rule", "Targets"),
			op("RemoveTargets", a.removeTargets, "Rule", "Ids"),
			op("ListTargetsByRule", a.listTargetsByRule, "Rule"),
			op("ListRuleNamesByTarget", a.listRuleNamesByTarget, "TargetArn"),
			op("TagResource", a.tagResource, "ResourceARN", "Tags"),
			op("UntagResource", a.untagResource, "ResourceARN", "TagKeys"),
			op("ListTagsForResource", a.listTagsForResource, "ResourceARN"),
			op("DescribeEventBus", a.describeEventBus),
			op("ListEventBuses", a.listEventBuses),
			op("PutEvents", a.putEvents, "Entries"),
			op("TestEventPattern", a.testEventPattern, "EventPattern", "Event"),
		},
		Required: map[string][]string{
			"target": {"Id", "Arn"}, "tag": {"Key", "Value"}, "inputTransformer": {"InputTemplate"},
			"batchParameters": {"JobDefinition", "JobName"},
		},
		Refused:     map[string]string{},
		RefusedCode: codeUnsupported, InternalCode: codeInternal, MapError: mapError,
	}
	for sentence, operations := range refused {
		for _, name := range strings.Fields(operations) {
			s.Refused[name] = sentence
		}
	}
	return s
}

// refused are the other operations of the service.
var refused = map[string]string{
	"batchbox has the default event bus and no other": `CreateEventBus UpdateEventBus DeleteEventBus PutPermission RemovePermission`,
	"batchbox does not archive or replay events": `CreateArchive UpdateArchive DeleteArchive DescribeArchive ListArchives
		StartReplay CancelReplay DescribeReplay ListReplays`,
	"batchbox delivers events to no API": `CreateApiDestination UpdateApiDestination DeleteApiDestination DescribeApiDestination
		ListApiDestinations CreateConnection UpdateConnection DeleteConnection DeauthorizeConnection DescribeConnection ListConnections`,
	"batchbox has no global endpoints": `CreateEndpoint UpdateEndpoint DeleteEndpoint DescribeEndpoint ListEndpoints`,
	"batchbox has no event sources of partners": `ActivateEventSource DeactivateEventSource DescribeEventSource ListEventSources
		CreatePartnerEventSource DeletePartnerEventSource DescribePartnerEventSource ListPartnerEventSources
		ListPartnerEventSourceAccounts PutPartnerEvents`,
}

func op[In, Out any](name string, handler func(context.Context, *awswire.Call, *In) (*Out, error), required ...string) awswire.Operation {
	o := awswire.Op(name, handler)
	o.Required = required
	return o
}

// codes are the service's exceptions for refusals of the bus.
var codes = map[rules.Code]string{
	rules.Invalid: codeValidation, rules.InvalidPattern: codePattern, rules.NotFound: codeNotFound, rules.LimitExceeded: codeLimit,
	rules.Unsupported: codeValidation,
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	var e *rules.Error
	switch {
	case errors.As(err, &e):
		return &awswire.Error{Code: codes[e.Code], Message: e.Message}
	case errors.Is(err, store.ErrUnavailable):
		return &awswire.Error{Code: codeInternal, Message: "the engine can not write its store; its log has the reason", Server: true, Cause: err}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &rules.Error{Code: rules.Invalid, Message: fmt.Sprintf(format, args...)}
}

func partition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }

// empty is an output without members.
type empty struct{}
