package logs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/logstore/filter"
	"github.com/batchbox/batchbox/internal/logstore/index"
)

// What a batch of events may be (API reference, PutLogEvents).
const (
	maxBatchEvents = 10_000
	maxBatchBytes  = 1_048_576
	eventOverhead  = 26
	maxBatchSpan   = 24 * time.Hour
	maxAge         = 14 * 24 * time.Hour
	maxAhead       = 2 * time.Hour
)

func (a *api) putLogEvents(ctx context.Context, c *awswire.Call, in *sdk.PutLogEventsInput) (*sdk.PutLogEventsOutput, error) {
	key, err := stream(c, in.LogGroupName, nil, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	if err := a.store.StreamExists(ctx, key); err != nil {
		return nil, err
	}
	g, err := a.store.Group(partition(c), key.Group)
	if err != nil {
		return nil, err
	}
	from, to, rejected := acceptable(in.LogEvents, a.store.Now(), g.RetentionDays)
	out := &sdk.PutLogEventsOutput{NextSequenceToken: sequenceToken(key.Group, key.Stream), RejectedLogEventsInfo: rejected}
	if from == to {
		return out, nil
	}
	if aws.ToInt64(in.LogEvents[to-1].Timestamp)-aws.ToInt64(in.LogEvents[from].Timestamp) > maxBatchSpan.Milliseconds() {
		return nil, refuse(codeInvalid, "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	events := make([]logstore.Event, 0, to-from)
	for _, e := range in.LogEvents[from:to] {
		events = append(events, logstore.Event{Timestamp: aws.ToInt64(e.Timestamp), Message: aws.ToString(e.Message)})
	}
	return out, a.store.Put(ctx, key, events)
}

// checkBatch checks what does not depend on the time.
func checkBatch(events []types.InputLogEvent) error {
	v := checks{}
	v.count("logEvents", len(events), 1, maxBatchEvents)
	if len(events) <= maxBatchEvents {
		for i := range events {
			v.instant("logEvents", events[i].Timestamp)
			v.length("logEvents", aws.ToString(events[i].Message), 1, maxBatchBytes)
		}
	}
	if err := v.err(); err != nil {
		return err
	}
	size := 0
	for _, e := range events {
		size += len(aws.ToString(e.Message)) + eventOverhead
	}
	if size > maxBatchBytes {
		return refuse(codeInvalid, "Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	if !slices.IsSortedFunc(events, func(x, y types.InputLogEvent) int {
		return cmp.Compare(aws.ToInt64(x.Timestamp), aws.ToInt64(y.Timestamp))
	}) {
		return refuse(codeInvalid, "Log events in a single PutLogEvents request must be in chronological order.")
	}
	return nil
}

// acceptable returns the range of events, which are in order, that are neither too old nor too new, and what is said of
// the others.
func acceptable(events []types.InputLogEvent, now time.Time, retentionDays int32) (from, to int, info *types.RejectedLogEventsInfo) {
	before := func(t time.Time) int {
		n, _ := slices.BinarySearchFunc(events, t.UnixMilli(), func(e types.InputLogEvent, ms int64) int {
			return cmp.Compare(aws.ToInt64(e.Timestamp), ms)
		})
		return n
	}
	old, expired, ahead := before(now.Add(-maxAge)), 0, before(now.Add(maxAhead+time.Millisecond))
	if retentionDays > 0 {
		expired = before(now.Add(-time.Duration(retentionDays) * 24 * time.Hour))
	}
	from, to = max(old, expired), ahead
	if from == 0 && to == len(events) {
		return from, to, nil
	}
	info = &types.RejectedLogEventsInfo{}
	if old > 0 {
		info.TooOldLogEventEndIndex = aws.Int32(int32(old))
	}
	if expired > old {
		info.ExpiredLogEventEndIndex = aws.Int32(int32(expired))
	}
	if ahead < len(events) {
		info.TooNewLogEventStartIndex = aws.Int32(int32(ahead))
	}
	return from, max(from, to), info
}

func (a *api) getLogEvents(ctx context.Context, c *awswire.Call, in *sdk.GetLogEventsInput) (*sdk.GetLogEventsOutput, error) {
	key, err := stream(c, in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	v := checks{}
	v.number("limit", in.Limit, 1, index.MaxPageEvents)
	v.instant("startTime", in.StartTime)
	v.instant("endTime", in.EndTime)
	if err := v.err(); err != nil {
		return nil, err
	}
	page, err := a.store.Events(ctx, key, index.EventQuery{
		From: in.StartTime, Until: in.EndTime, Limit: int(aws.ToInt32(in.Limit)),
		Token: aws.ToString(in.NextToken), Head: aws.ToBool(in.StartFromHead),
	})
	if err != nil {
		return nil, err
	}
	out := &sdk.GetLogEventsOutput{
		Events:            make([]types.OutputLogEvent, len(page.Events)),
		NextForwardToken:  aws.String(page.Forward),
		NextBackwardToken: aws.String(page.Backward),
	}
	for i := range page.Events {
		e := &page.Events[i]
		out.Events[i] = types.OutputLogEvent{Timestamp: &e.Timestamp, IngestionTime: &e.IngestedMS, Message: &e.Message}
	}
	return out, nil
}

// descendingSince is the first startTime that FilterLogEvents takes with startFromHead false (API reference).
var descendingSince = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

func (a *api) filterLogEvents(ctx context.Context, c *awswire.Call, in *sdk.FilterLogEventsInput) (*sdk.FilterLogEventsOutput, error) {
	name, err := group(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	v := checks{}
	v.number("limit", in.Limit, 1, index.MaxPageEvents)
	v.instant("startTime", in.StartTime)
	v.instant("endTime", in.EndTime)
	if in.LogStreamNames != nil {
		v.count("logStreamNames", len(in.LogStreamNames), 1, 100)
	}
	for _, s := range in.LogStreamNames {
		v.streamName("logStreamNames", s)
	}
	if in.LogStreamNamePrefix != nil {
		v.streamName("logStreamNamePrefix", *in.LogStreamNamePrefix)
	}
	v.length("filterPattern", aws.ToString(in.FilterPattern), 0, filter.MaxLength)
	if err := v.err(); err != nil {
		return nil, err
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefix != nil {
		return nil, refuse(codeInvalid, "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.") // unverified
	}
	q := index.SearchQuery{
		Streams: in.LogStreamNames, Prefix: aws.ToString(in.LogStreamNamePrefix), From: in.StartTime, To: in.EndTime,
		Limit: int(aws.ToInt32(in.Limit)), Token: aws.ToString(in.NextToken), Descending: in.StartFromHead != nil && !*in.StartFromHead,
	}
	if q.Descending && in.StartTime != nil && *in.StartTime < descendingSince {
		return nil, refuse(codeInvalid, "startFromHead can be false only for a startTime on or after Jan 1, 2024 00:00:00 UTC.") // unverified
	}
	pattern, err := filter.Parse(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, refuse(codeInvalid, "%v", err)
	}
	if !pattern.MatchesAll() {
		q.Match = pattern.Match
	}
	page, err := a.store.Search(ctx, partition(c), name, q)
	if err != nil {
		return nil, err
	}
	out := &sdk.FilterLogEventsOutput{
		Events:             make([]types.FilteredLogEvent, len(page.Events)),
		SearchedLogStreams: []types.SearchedLogStream{},
		NextToken:          optional(page.Next),
	}
	for i := range page.Events {
		e := &page.Events[i]
		out.Events[i] = types.FilteredLogEvent{
			EventId: &e.ID, LogStreamName: &e.Stream, Timestamp: &e.Timestamp, IngestionTime: &e.IngestedMS, Message: &e.Message,
		}
	}
	return out, nil
}
