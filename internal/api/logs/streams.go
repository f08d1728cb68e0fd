package logs

import (
	"context"
	"hash/fnv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/logstore/index"
)

// stream is the log stream a request is about.
func stream(c *awswire.Call, groupName, identifier, streamName *string) (key logstore.StreamKey, err error) {
	g, err := group(c, groupName, identifier)
	if err != nil {
		return key, err
	}
	v := checks{}
	v.streamName("logStreamName", aws.ToString(streamName))
	return logstore.StreamKey{Account: c.Account, Region: c.Region, Group: g, Stream: aws.ToString(streamName)}, v.err()
}

func (a *api) createLogStream(ctx context.Context, c *awswire.Call, in *sdk.CreateLogStreamInput) (*sdk.CreateLogStreamOutput, error) {
	key, err := stream(c, in.LogGroupName, nil, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return nil, a.store.CreateStream(ctx, key)
}

func (a *api) deleteLogStream(ctx context.Context, c *awswire.Call, in *sdk.DeleteLogStreamInput) (*sdk.DeleteLogStreamOutput, error) {
	key, err := stream(c, in.LogGroupName, nil, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return nil, a.store.DeleteStream(ctx, key)
}

func (a *api) describeLogStreams(ctx context.Context, c *awswire.Call, in *sdk.DescribeLogStreamsInput) (*sdk.DescribeLogStreamsOutput, error) {
	name, err := group(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	v := checks{}
	v.number("limit", in.Limit, 1, defaultPage)
	if in.LogStreamNamePrefix != nil {
		v.streamName("logStreamNamePrefix", *in.LogStreamNamePrefix)
	}
	if in.OrderBy != "" {
		v.oneOf("orderBy", string(in.OrderBy), "LogStreamName", "LastEventTime")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	q := index.StreamQuery{
		Prefix:     aws.ToString(in.LogStreamNamePrefix),
		ByTime:     in.OrderBy == types.OrderByLastEventTime,
		Descending: aws.ToBool(in.Descending),
		Limit:      pageSize(in.Limit) + 1, // one more, to know whether there is
	}
	if q.ByTime && in.LogStreamNamePrefix != nil {
		return nil, refuse(codeInvalid, "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	list := "streams " + name
	if q.After, err = decodeToken[index.StreamBound](list, in.NextToken); err != nil {
		return nil, err
	}
	p := partition(c)
	streams, err := a.store.Streams(ctx, p, name, q)
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeLogStreamsOutput{LogStreams: []types.LogStream{}}
	if len(streams) == q.Limit {
		streams = streams[:q.Limit-1]
		out.NextToken = encodeToken(list, streams[len(streams)-1].Bound())
	}
	for _, s := range streams {
		shown := types.LogStream{
			Arn:           aws.String(arnOf(p, name) + ":log-stream:" + s.Name),
			LogStreamName: aws.String(s.Name),
			CreationTime:  aws.Int64(s.CreatedMS),
			StoredBytes:   aws.Int64(0), // "reported as zero" since 2019 (API reference, LogStream)
		}
		if s.HasEvents {
			shown.FirstEventTimestamp, shown.LastEventTimestamp = aws.Int64(s.OldestMS), aws.Int64(s.NewestMS)
			shown.LastIngestionTime = aws.Int64(s.LastIngestedMS)
			shown.UploadSequenceToken = sequenceToken(name, s.Name)
		}
		out.LogStreams = append(out.LogStreams, shown)
	}
	return out, nil
}

// sequenceToken is a token of the form clients know, 56 digits beginning with 49. It is ignored where it comes back, as
// it is by AWS since 2023.
func sequenceToken(group, stream string) *string {
	h := fnv.New128a()
	h.Write([]byte(group + ":" + stream))
	b := []byte("49")
	sum := h.Sum(nil)
	for i := range 54 {
		b = append(b, '0'+(sum[i%len(sum)]>>(i/len(sum)))%10)
	}
	return aws.String(string(b))
}
