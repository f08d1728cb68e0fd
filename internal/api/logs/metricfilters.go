package logs

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/logstore/filter"
	"github.com/batchbox/batchbox/internal/logstore/index"
)

// metricFilter is what is kept of a metric filter: as it was sent, so that it is shown as it was sent.
type metricFilter struct {
	Pattern          string                       `json:"pattern"`
	Transformations  []types.MetricTransformation `json:"transformations"`
	OnTransformed    bool                         `json:"onTransformed,omitempty"`
	SystemDimensions []string                     `json:"systemDimensions,omitempty"`
	Criteria         *string                      `json:"criteria,omitempty"`
}

// metricNames are what metrics and namespaces may be called.
var metricNames = regexp.MustCompile(`^[^:*$]*$`)

// maxMetricFilters is how many filters a group may have (CloudWatch Logs quotas).
const maxMetricFilters = 100

func (a *api) putMetricFilter(ctx context.Context, c *awswire.Call, in *sdk.PutMetricFilterInput) (*sdk.PutMetricFilterOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	pattern, err := checkMetricFilter(in)
	if err != nil {
		return nil, err
	}
	if !pattern.HasFields() && len(in.MetricTransformations[0].Dimensions) > 0 {
		return nil, refuse(codeInvalid, "The specified filter pattern does not support dimensions")
	}
	p := partition(c)
	existing, err := a.store.MetricFilters(ctx, p, name, "")
	if err != nil {
		return nil, err
	}
	replaces := false
	for _, f := range existing {
		replaces = replaces || f.Name == *in.FilterName
	}
	if len(existing) >= maxMetricFilters && !replaces {
		return nil, refuse("LimitExceededException", "Resource limit exceeded.")
	}
	body, err := json.Marshal(metricFilter{
		*in.FilterPattern, in.MetricTransformations, in.ApplyOnTransformedLogs, in.EmitSystemFieldDimensions, in.FieldSelectionCriteria,
	})
	if err != nil {
		return nil, err
	}
	return nil, a.store.PutMetricFilter(ctx, p, index.MetricFilter{Group: name, Name: *in.FilterName, Body: body})
}

func checkMetricFilter(in *sdk.PutMetricFilterInput) (*filter.Pattern, error) {
	v := checks{}
	v.filterName("filterName", aws.ToString(in.FilterName))
	v.length("filterPattern", aws.ToString(in.FilterPattern), 0, filter.MaxLength)
	v.count("metricTransformations", len(in.MetricTransformations), 1, 1)
	for _, t := range in.MetricTransformations {
		v.metricName("metricTransformations.1.member.metricName", aws.ToString(t.MetricName))
		v.metricName("metricTransformations.1.member.metricNamespace", aws.ToString(t.MetricNamespace))
		v.length("metricTransformations.1.member.metricValue", aws.ToString(t.MetricValue), 0, 100)
		v.count("metricTransformations.1.member.dimensions", len(t.Dimensions), 0, 3)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if t := in.MetricTransformations[0]; t.DefaultValue != nil && len(t.Dimensions) > 0 {
		return nil, refuse(codeInvalid, "A metric transformation can not have both a default value and dimensions.") // unverified
	}
	return parsePattern(aws.ToString(in.FilterPattern))
}

// parsePattern parses a filter pattern for a metric filter, where AWS gives the detail without what comes before it in
// FilterLogEvents (public error reports).
func parsePattern(text string) (*filter.Pattern, error) {
	pattern, err := filter.Parse(text)
	var syntax *filter.SyntaxError
	if errors.As(err, &syntax) && syntax.Detail != "" {
		return nil, refuse(codeInvalid, "%s", syntax.Detail)
	}
	if err != nil {
		return nil, refuse(codeInvalid, "%v", err)
	}
	return pattern, nil
}

func (v *checks) filterName(member, value string) {
	v.length(member, value, 1, maxName)
	v.pattern(member, value, streamNames)
}

func (v *checks) metricName(member, value string) {
	v.length(member, value, 0, 255)
	v.pattern(member, value, metricNames)
}

func (a *api) deleteMetricFilter(ctx context.Context, c *awswire.Call, in *sdk.DeleteMetricFilterInput) (*sdk.DeleteMetricFilterOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	v := checks{}
	v.filterName("filterName", aws.ToString(in.FilterName))
	if err := v.err(); err != nil {
		return nil, err
	}
	return nil, a.store.DeleteMetricFilter(ctx, partition(c), name, *in.FilterName)
}

func (a *api) describeMetricFilters(ctx context.Context, c *awswire.Call, in *sdk.DescribeMetricFiltersInput) (*sdk.DescribeMetricFiltersOutput, error) {
	v := checks{}
	v.number("limit", in.Limit, 1, defaultPage)
	if in.LogGroupName != nil {
		v.groupName("logGroupName", *in.LogGroupName)
	}
	if in.FilterNamePrefix != nil {
		v.filterName("filterNamePrefix", *in.FilterNamePrefix)
	}
	if in.MetricName != nil {
		v.metricName("metricName", *in.MetricName)
	}
	if in.MetricNamespace != nil {
		v.metricName("metricNamespace", *in.MetricNamespace)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, refuse(codeInvalid, "metricName and metricNamespace must be specified together.") // unverified; the reference demands it
	}
	filters, err := a.store.MetricFilters(ctx, partition(c), aws.ToString(in.LogGroupName), aws.ToString(in.FilterNamePrefix))
	if err != nil {
		return nil, err
	}
	shown := []types.MetricFilter{}
	for _, f := range filters {
		var body metricFilter
		if err := json.Unmarshal(f.Body, &body); err != nil {
			return nil, err
		}
		if in.MetricName != nil {
			t := body.Transformations[0]
			if aws.ToString(t.MetricName) != *in.MetricName || aws.ToString(t.MetricNamespace) != *in.MetricNamespace {
				continue
			}
		}
		shown = append(shown, types.MetricFilter{
			FilterName: aws.String(f.Name), LogGroupName: aws.String(f.Group), CreationTime: aws.Int64(f.CreatedMS),
			FilterPattern: aws.String(body.Pattern), MetricTransformations: body.Transformations,
			ApplyOnTransformedLogs: body.OnTransformed, EmitSystemFieldDimensions: body.SystemDimensions, FieldSelectionCriteria: body.Criteria,
		})
	}
	key := func(f *types.MetricFilter) string { return *f.LogGroupName + ":" + *f.FilterName }
	page, next, err := cutPage("metricfilters", shown, key, in.NextToken, pageSize(in.Limit))
	return &sdk.DescribeMetricFiltersOutput{MetricFilters: page, NextToken: next}, err
}

func (a *api) testMetricFilter(_ context.Context, _ *awswire.Call, in *sdk.TestMetricFilterInput) (*sdk.TestMetricFilterOutput, error) {
	v := checks{}
	v.length("filterPattern", aws.ToString(in.FilterPattern), 0, filter.MaxLength)
	v.count("logEventMessages", len(in.LogEventMessages), 1, 50)
	for _, m := range in.LogEventMessages {
		v.length("logEventMessages", m, 1, maxBatchBytes)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	pattern, err := parsePattern(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	out := &sdk.TestMetricFilterOutput{Matches: []types.MetricFilterMatchRecord{}}
	for i, m := range in.LogEventMessages {
		if values, ok := pattern.Extract([]byte(m)); ok {
			out.Matches = append(out.Matches, types.MetricFilterMatchRecord{
				EventNumber: int64(i + 1), EventMessage: aws.String(m), ExtractedValues: values,
			})
		}
	}
	return out, nil
}

// describeSubscriptionFilters answers that a group has none: PutSubscriptionFilter is refused.
func (a *api) describeSubscriptionFilters(_ context.Context, c *awswire.Call, in *sdk.DescribeSubscriptionFiltersInput) (*sdk.DescribeSubscriptionFiltersOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	if _, err := a.store.Group(partition(c), name); err != nil {
		return nil, err
	}
	return &sdk.DescribeSubscriptionFiltersOutput{SubscriptionFilters: []types.SubscriptionFilter{}}, nil
}

func (a *api) deleteSubscriptionFilter(_ context.Context, c *awswire.Call, in *sdk.DeleteSubscriptionFilterInput) (*sdk.DeleteSubscriptionFilterOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	if _, err := a.store.Group(partition(c), name); err != nil {
		return nil, err
	}
	return nil, refuse(codeNotFound, "The specified subscription filter does not exist.")
}
