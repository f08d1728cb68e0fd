package events

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/events/rules"
)

// target is the API's Target. What belongs to kinds of targets that are not provided is read to be refused.
type target struct {
	Id, Arn, RoleArn, Input, InputPath *string

	InputTransformer *inputTransformer
	BatchParameters  *batchParameters
	RetryPolicy      json.RawMessage
	DeadLetterConfig json.RawMessage

	AppSyncParameters, EcsParameters, HttpParameters, KinesisParameters, RedshiftDataParameters, RunCommandParameters,
	SageMakerPipelineParameters, SqsParameters json.RawMessage
}

type inputTransformer struct {
	InputPathsMap map[string]string
	InputTemplate *string
}

type batchParameters struct {
	JobDefinition, JobName *string
	ArrayProperties        *struct{ Size *int32 }
	RetryStrategy          *struct{ Attempts *int32 }
}

// read makes a rules.Target of what was sent.
func (t *target) read() (rules.Target, error) {
	for name, other := range map[string]json.RawMessage{
		"AppSyncParameters": t.AppSyncParameters, "EcsParameters": t.EcsParameters, "HttpParameters": t.HttpParameters,
		"KinesisParameters": t.KinesisParameters, "RedshiftDataParameters": t.RedshiftDataParameters, "RunCommandParameters": t.RunCommandParameters,
		"SageMakerPipelineParameters": t.SageMakerPipelineParameters, "SqsParameters": t.SqsParameters,
	} {
		if other != nil {
			return rules.Target{}, invalid("%s of target %s: batchbox delivers events to log groups of CloudWatch Logs and to job queues of AWS Batch.", name, str(t.Id))
		}
	}
	if t.DeadLetterConfig != nil && string(t.DeadLetterConfig) != "{}" {
		return rules.Target{}, invalid("DeadLetterConfig of target %s: batchbox has no dead-letter queues; what can't be delivered is in the engine's log.", str(t.Id))
	}
	out := rules.Target{ID: str(t.Id), ARN: str(t.Arn), RoleARN: t.RoleArn, Input: t.Input, InputPath: t.InputPath, RetryPolicy: t.RetryPolicy}
	if tr := t.InputTransformer; tr != nil {
		out.InputTransformer = &rules.InputTransformer{Paths: tr.InputPathsMap, Template: str(tr.InputTemplate)}
	}
	if b := t.BatchParameters; b != nil {
		out.Batch = &rules.BatchParameters{JobDefinition: str(b.JobDefinition), JobName: str(b.JobName)}
		if b.ArrayProperties != nil && b.ArrayProperties.Size != nil {
			out.Batch.ArraySize = *b.ArrayProperties.Size
		}
		if b.RetryStrategy != nil && b.RetryStrategy.Attempts != nil {
			out.Batch.Attempts = *b.RetryStrategy.Attempts
		}
	}
	return out, nil
}

// showTarget is the reverse of read.
func showTarget(t *rules.Target) target {
	out := target{Id: &t.ID, Arn: &t.ARN, RoleArn: t.RoleARN, Input: t.Input, InputPath: t.InputPath, RetryPolicy: t.RetryPolicy}
	if tr := t.InputTransformer; tr != nil {
		out.InputTransformer = &inputTransformer{InputPathsMap: tr.Paths, InputTemplate: &tr.Template}
	}
	if b := t.Batch; b != nil {
		out.BatchParameters = &batchParameters{JobDefinition: &b.JobDefinition, JobName: &b.JobName}
		if b.ArraySize > 0 {
			out.BatchParameters.ArrayProperties = &struct{ Size *int32 }{&b.ArraySize}
		}
		if b.Attempts > 0 {
			out.BatchParameters.RetryStrategy = &struct{ Attempts *int32 }{&b.Attempts}
		}
	}
	return out
}

type putTargetsInput struct {
	Rule, EventBusName *string
	Targets            []target
}

// failedEntries is the output of PutTargets and RemoveTargets.
type failedEntries struct {
	FailedEntryCount int32
	FailedEntries    []failedEntry
}

type failedEntry struct{ TargetId, ErrorCode, ErrorMessage *string }

func (a *api) putTargets(ctx context.Context, c *awswire.Call, in *putTargetsInput) (*failedEntries, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	if n := len(in.Targets); n < 1 || n > maxPage {
		return nil, invalid("1 validation error detected: 'targets' has %d items and must have 1 to %d", n, maxPage)
	}
	list := make([]rules.Target, len(in.Targets))
	for i := range in.Targets {
		var err error
		if list[i], err = in.Targets[i].read(); err != nil {
			return nil, err
		}
	}
	if err := a.Bus.PutTargets(ctx, p, str(in.Rule), list); err != nil {
		return nil, err
	}
	return &failedEntries{FailedEntries: []failedEntry{}}, nil
}

type removeTargetsInput struct {
	Rule, EventBusName *string
	Ids                []string
	Force              *bool // for managed rules, of which there are none
}

func (a *api) removeTargets(ctx context.Context, c *awswire.Call, in *removeTargetsInput) (*failedEntries, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	missing, err := a.Bus.RemoveTargets(ctx, p, str(in.Rule), in.Ids)
	if err != nil {
		return nil, err
	}
	out := &failedEntries{FailedEntryCount: int32(len(missing)), FailedEntries: []failedEntry{}}
	for _, id := range missing {
		out.FailedEntries = append(out.FailedEntries, failedEntry{&id, ptr(codeNotFound), ptr("Target " + id + " does not exist.")})
	}
	return out, nil
}

type listTargetsInput struct {
	Rule, EventBusName, NextToken *string
	Limit                         *int32
}

type listTargetsOutput struct {
	Targets   []target
	NextToken *string
}

func (a *api) listTargetsByRule(_ context.Context, c *awswire.Call, in *listTargetsInput) (*listTargetsOutput, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	r, err := a.Bus.Rule(p, str(in.Rule))
	if err != nil {
		return nil, err
	}
	id := func(t rules.Target) string { return t.ID }
	slices.SortFunc(r.Targets, func(x, y rules.Target) int { return strings.Compare(x.ID, y.ID) })
	list, next, err := page(r.Targets, id, in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listTargetsOutput{Targets: []target{}, NextToken: next}
	for i := range list {
		out.Targets = append(out.Targets, showTarget(&list[i]))
	}
	return out, nil
}

type listNamesInput struct {
	TargetArn, EventBusName, NextToken *string
	Limit                              *int32
}

type listNamesOutput struct {
	RuleNames []string
	NextToken *string
}

func (a *api) listRuleNamesByTarget(_ context.Context, c *awswire.Call, in *listNamesInput) (*listNamesOutput, error) {
	p := partition(c)
	if err := rules.CheckBus(p, in.EventBusName); err != nil {
		return nil, err
	}
	list := a.Bus.Rules(p, func(r *rules.Rule) bool {
		return slices.ContainsFunc(r.Targets, func(t rules.Target) bool { return t.ARN == str(in.TargetArn) })
	})
	list, next, err := page(list, func(r rules.Rule) string { return r.Name }, in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listNamesOutput{RuleNames: []string{}, NextToken: next}
	for i := range list {
		out.RuleNames = append(out.RuleNames, list[i].Name)
	}
	return out, nil
}
