package events

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/pattern"
	"github.com/batchbox/batchbox/internal/events/rules"
)

// The bounds of PutEvents (API reference).
const (
	maxEntries    = 10
	maxEntryBytes = 256 << 10
)

type putEventsInput struct {
	Entries    []eventEntry
	EndpointId *string
}

type eventEntry struct {
	Time                                                  *time.Time
	Source, DetailType, Detail, EventBusName, TraceHeader *string
	Resources                                             []string
}

type putEventsOutput struct {
	FailedEntryCount int32
	Entries          []eventResult
}

type eventResult struct{ EventId, ErrorCode, ErrorMessage *string }

// putEvents delivers events of the caller's own to the targets of the rules that match. An event is answered with its id
// after it has been delivered; it is not in the journal of state changes.
func (a *api) putEvents(ctx context.Context, c *awswire.Call, in *putEventsInput) (*putEventsOutput, error) {
	p := partition(c)
	switch n := len(in.Entries); {
	case in.EndpointId != nil:
		return nil, invalid("EndpointId: batchbox has no global endpoints.")
	case n < 1 || n > maxEntries:
		return nil, invalid("1 validation error detected: 'entries' has %d items and must have 1 to %d", n, maxEntries)
	}
	size := 0
	for i := range in.Entries {
		e := &in.Entries[i]
		size += len(str(e.Source)) + len(str(e.DetailType)) + len(str(e.Detail)) + len(strings.Join(e.Resources, ""))
	}
	if size > maxEntryBytes {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	out := &putEventsOutput{}
	for i := range in.Entries {
		r := a.putEvent(ctx, p, &in.Entries[i])
		if r.ErrorCode != nil {
			out.FailedEntryCount++
		}
		out.Entries = append(out.Entries, r)
	}
	return out, nil
}

func failed(code, message string) eventResult { return eventResult{nil, &code, &message} }

func (a *api) putEvent(ctx context.Context, p batch.Partition, in *eventEntry) eventResult {
	var detail map[string]any
	switch {
	case str(in.Source) == "":
		return failed("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")
	case strings.HasPrefix(*in.Source, "aws."):
		return failed("NotAuthorizedForSourceException", "Not authorized for the source.")
	case str(in.DetailType) == "":
		return failed("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument.")
	case in.Detail == nil:
		return failed("InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument.")
	case json.Unmarshal([]byte(*in.Detail), &detail) != nil || detail == nil:
		return failed("MalformedDetail", "Detail is malformed.")
	}
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return failed("InvalidArgument", err.Error())
	}
	at := a.Now()
	if in.Time != nil {
		at = *in.Time
	}
	if in.Resources == nil {
		in.Resources = []string{}
	}
	e := &events.Envelope{
		Version: "0", ID: a.NewID(), DetailType: *in.DetailType, Source: *in.Source, Account: p.Account, Region: p.Region,
		Time: at.UTC().Format(time.RFC3339), Resources: in.Resources, Detail: json.RawMessage(*in.Detail),
	}
	if err := a.Bus.Publish(ctx, p, e, at); err != nil {
		return failed("InternalFailure", err.Error())
	}
	return eventResult{EventId: &e.ID}
}

type testPatternInput struct{ EventPattern, Event *string }

type testPatternOutput struct{ Result bool }

// testEventPattern tells whether a pattern matches an event. The event must have what every event has (API reference,
// TestEventPattern).
func (a *api) testEventPattern(_ context.Context, _ *awswire.Call, in *testPatternInput) (*testPatternOutput, error) {
	pat, err := pattern.Parse([]byte(*in.EventPattern))
	if err != nil {
		return nil, &rules.Error{Code: rules.InvalidPattern, Message: "Event pattern is not valid. Reason: " + err.Error()}
	}
	doc, err := pattern.Decode([]byte(*in.Event))
	event, ok := doc.(map[string]any)
	if err != nil || !ok {
		return nil, invalid("Parameter Event is not valid. Reason: Event must be a valid JSON object.")
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if _, ok := event[name]; !ok {
			return nil, invalid("Parameter Event is not valid. Reason: %s is a required argument.", name)
		}
	}
	return &testPatternOutput{pat.Match(doc)}, nil
}

type busInput struct{ Name *string }

type bus struct{ Name, Arn *string }

func showBus(p batch.Partition) bus { return bus{ptr(rules.BusName), ptr(rules.BusARN(p))} }

func (a *api) describeEventBus(_ context.Context, c *awswire.Call, in *busInput) (*bus, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.Name); err != nil {
		return nil, err
	}
	return ptr(showBus(p)), nil
}

type listBusesInput struct {
	NamePrefix, NextToken *string
	Limit                 *int32
}

type listBusesOutput struct {
	EventBuses []bus
	NextToken  *string
}

func (a *api) listEventBuses(_ context.Context, c *awswire.Call, in *listBusesInput) (*listBusesOutput, error) {
	out := &listBusesOutput{EventBuses: []bus{}}
	if strings.HasPrefix(rules.BusName, str(in.NamePrefix)) {
		out.EventBuses = append(out.EventBuses, showBus(partition(c)))
	}
	return out, nil
}
