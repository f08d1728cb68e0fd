package events

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events/rules"
)

type putRuleInput struct {
	Name, ScheduleExpression, EventPattern, State, Description, RoleArn, EventBusName *string

	Tags []tag
}

type tag struct{ Key, Value *string }

type putRuleOutput struct{ RuleArn *string }

func (a *api) putRule(ctx context.Context, c *awswire.Call, in *putRuleInput) (*putRuleOutput, error) {
	p := partition(c)
	switch {
	case str(in.ScheduleExpression) != "":
		return nil, invalid("ScheduleExpression is not supported: batchbox runs no schedules. A rule with an EventPattern works.")
	case str(in.EventPattern) == "":
		return nil, invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	}
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	r := rules.Rule{
		Name: str(in.Name), Description: in.Description, Pattern: *in.EventPattern, State: rules.Enabled, RoleARN: in.RoleArn, Tags: tagMap(in.Tags),
	}
	if in.State != nil {
		r.State = *in.State
	}
	if err := a.Bus.PutRule(ctx, p, r); err != nil {
		return nil, err
	}
	return &putRuleOutput{ptr(rules.RuleARN(p, r.Name))}, nil
}

func tagMap(list []tag) map[string]string {
	m := make(map[string]string, len(list))
	for _, t := range list {
		m[str(t.Key)] = str(t.Value)
	}
	return m
}

// ruleInput is the input of the operations on one rule. Force is of DeleteRule, and for managed rules, of which there are
// none.
type ruleInput struct {
	Name, EventBusName *string
	Force              *bool
}

// ruleDetail is the API's Rule; CreatedBy is shown by DescribeRule only.
type ruleDetail struct {
	Name, Arn, EventPattern, State, Description, RoleArn, EventBusName, CreatedBy *string
}

func showRule(p batch.Partition, r *rules.Rule) ruleDetail {
	return ruleDetail{
		Name: &r.Name, Arn: ptr(rules.RuleARN(p, r.Name)), EventPattern: &r.Pattern, State: &r.State, Description: r.Description, RoleArn: r.RoleARN,
		EventBusName: ptr(rules.BusName),
	}
}

func (a *api) describeRule(_ context.Context, c *awswire.Call, in *ruleInput) (*ruleDetail, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	r, err := a.Bus.Rule(p, str(in.Name))
	if err != nil {
		return nil, err
	}
	out := showRule(p, &r)
	out.CreatedBy = &p.Account
	return &out, nil
}

type listRulesInput struct {
	NamePrefix, EventBusName, NextToken *string
	Limit                               *int32
}

type listRulesOutput struct {
	Rules     []ruleDetail
	NextToken *string
}

func (a *api) listRules(_ context.Context, c *awswire.Call, in *listRulesInput) (*listRulesOutput, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	list := a.Bus.Rules(p, func(r *rules.Rule) bool { return strings.HasPrefix(r.Name, str(in.NamePrefix)) })
	list, next, err := page(list, func(r rules.Rule) string { return r.Name }, in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listRulesOutput{Rules: []ruleDetail{}, NextToken: next}
	for i := range list {
		out.Rules = append(out.Rules, showRule(p, &list[i]))
	}
	return out, nil
}

func (a *api) deleteRule(ctx context.Context, c *awswire.Call, in *ruleInput) (*empty, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	return nil, a.Bus.DeleteRule(ctx, p, str(in.Name))
}

func (a *api) enableRule(ctx context.Context, c *awswire.Call, in *ruleInput) (*empty, error) {
	return a.setState(ctx, c, in, rules.Enabled)
}

func (a *api) disableRule(ctx context.Context, c *awswire.Call, in *ruleInput) (*empty, error) {
	return a.setState(ctx, c, in, rules.Disabled)
}

func (a *api) setState(ctx context.Context, c *awswire.Call, in *ruleInput, state string) (*empty, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	return nil, a.Bus.SetState(ctx, p, str(in.Name), state)
}

type tagResourceInput struct {
	ResourceARN *string
	Tags        []tag
}

type untagResourceInput struct {
	ResourceARN *string
	TagKeys     []string
}

type resourceInput struct{ ResourceARN *string }

type listTagsOutput struct{ Tags []tag }

// ruleOfARN is the name of the rule that an ARN names.
func ruleOfARN(p batch.Partition, arn *string) (string, error) {
	name, ok := strings.CutPrefix(str(arn), rules.RuleARN(p, ""))
	if !ok || name == "" {
		return "", invalid("Parameter %s is not valid. Reason: Provided Arn is not that of a rule.", str(arn))
	}
	return name, nil
}

func (a *api) tagResource(ctx context.Context, c *awswire.Call, in *tagResourceInput) (*empty, error) {
	name, err := ruleOfARN(partition(c), in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, a.Bus.Tag(ctx, partition(c), name, tagMap(in.Tags), nil)
}

func (a *api) untagResource(ctx context.Context, c *awswire.Call, in *untagResourceInput) (*empty, error) {
	name, err := ruleOfARN(partition(c), in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, a.Bus.Tag(ctx, partition(c), name, nil, in.TagKeys)
}

func (a *api) listTagsForResource(_ context.Context, c *awswire.Call, in *resourceInput) (*listTagsOutput, error) {
	name, err := ruleOfARN(partition(c), in.ResourceARN)
	if err != nil {
		return nil, err
	}
	r, err := a.Bus.Rule(partition(c), name)
	if err != nil {
		return nil, err
	}
	out := &listTagsOutput{Tags: []tag{}}
	for k, v := range r.Tags {
		out.Tags = append(out.Tags, tag{&k, &v})
	}
	slices.SortFunc(out.Tags, func(x, y tag) int { return strings.Compare(*x.Key, *y.Key) })
	return out, nil
}

// maxPage is the largest and the usual page (API reference, ListRules).
const maxPage = 100

// page cuts a list, ascending by key, to the part after the token, at most limit long. The token is the key of the last item
// given.
func page[T any](list []T, key func(T) string, limit *int32, token *string) ([]T, *string, error) {
	n := maxPage
	if limit != nil {
		if n = int(*limit); n < 1 || n > maxPage {
			return nil, nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must be between 1 and %d", n, maxPage)
		}
	}
	if token != nil {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || len(after) == 0 {
			return nil, nil, invalid("The next token is not valid.")
		}
		i, found := slices.BinarySearchFunc(list, string(after), func(v T, k string) int { return strings.Compare(key(v), k) })
		if found {
			i++
		}
		list = list[i:]
	}
	if len(list) <= n {
		return list, nil, nil
	}
	return list[:n], ptr(base64.RawURLEncoding.EncodeToString([]byte(key(list[n-1])))), nil
}
