package batch

import (
	"context"
	"encoding/json"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) registerJobDefinition(ctx context.Context, c *awswire.Call, _ *sdk.RegisterJobDefinitionInput) (*sdk.RegisterJobDefinitionOutput, error) {
	p := partition(c)
	jd, err := a.rules.NewJobDefinition(c.Body)
	if err != nil {
		return nil, err
	}
	jd, err = do[batch.JobDefinition](ctx, a, engine.RegisterJobDefinition{Partition: p, Definition: jd})
	if err != nil {
		return nil, err
	}
	return &sdk.RegisterJobDefinitionOutput{
		JobDefinitionName: &jd.Name,
		JobDefinitionArn:  ptr(p.BatchARN(batch.KindJobDefinition, jd.ID())),
		Revision:          ptr(int32(jd.Revision)),
	}, nil
}

func (a *API) deregisterJobDefinition(ctx context.Context, c *awswire.Call, in *sdk.DeregisterJobDefinitionInput) (*sdk.DeregisterJobDefinitionOutput, error) {
	p := partition(c)
	id, ok := p.ResourceName(batch.KindJobDefinition, str(in.JobDefinition))
	name, revision, hasRevision := batch.SplitDefinition(id)
	if !ok || !hasRevision {
		return nil, batch.Refusedf("%s does not exist", str(in.JobDefinition))
	}
	return &sdk.DeregisterJobDefinitionOutput{}, a.exec(ctx, engine.DeregisterJobDefinition{Partition: p, Name: name, Revision: revision})
}

type describeJobDefinitionsOutput struct {
	JobDefinitions []json.RawMessage
	NextToken      *string
}

func (a *API) describeJobDefinitions(_ context.Context, c *awswire.Call, in *sdk.DescribeJobDefinitionsInput) (*describeJobDefinitionsOutput, error) {
	p, s := partition(c), a.section(c)
	out := &describeJobDefinitionsOutput{JobDefinitions: []json.RawMessage{}}
	var list []*batch.JobDefinition
	var err error
	if len(in.JobDefinitions) > 0 {
		list, err = selectNamed(p, batch.KindJobDefinition, "JobDefinitions", in.JobDefinitions, in.MaxResults, func(id string) *batch.JobDefinition {
			name, revision, ok := batch.SplitDefinition(id)
			if !ok {
				return nil
			}
			return s.Definition(name, revision)
		})
	} else {
		list, out.NextToken, err = pageDefinitions(s, p, in)
	}
	if err != nil {
		return nil, err
	}
	for _, jd := range list {
		out.JobDefinitions = append(out.JobDefinitions, showDefinition(p, jd))
	}
	return out, nil
}

// pageDefinitions lists by name and status: names in order, and within a name the newest revision first (unverified: the
// order; reference, section 15, question 7).
func pageDefinitions(s *engine.Section, p batch.Partition, in *sdk.DescribeJobDefinitionsInput) ([]*batch.JobDefinition, *string, error) {
	after, err := position("jd", in.NextToken)
	if err != nil {
		return nil, nil, err
	}
	size, err := batch.PageSize(in.MaxResults)
	if err != nil {
		return nil, nil, err
	}
	names := s.Names
	if name := str(in.JobDefinitionName); name != "" {
		if short, ok := p.ResourceName(batch.KindJobDefinition, name); ok {
			name, _, _ = strings.Cut(short, ":")
		}
		names = []string{name}
	}
	var list []*batch.JobDefinition
	afterName, afterRevision, _ := batch.SplitDefinition(after)
	for _, name := range names {
		if name < afterName {
			continue
		}
		for _, jd := range s.Definitions[name] {
			if name == afterName && jd.Revision >= afterRevision || !wanted(jd, str(in.Status)) {
				continue
			}
			if len(list) == size {
				return list, token("jd", list[size-1].ID()), nil
			}
			list = append(list, jd)
		}
	}
	return list, nil, nil
}

func wanted(jd *batch.JobDefinition, status string) bool {
	return status == "" || strings.EqualFold(jd.Status, status)
}

// showDefinition is the registered document with what the service adds.
func showDefinition(p batch.Partition, jd *batch.JobDefinition) json.RawMessage {
	return splice(jd.Document, struct {
		ARN      string            `json:"jobDefinitionArn"`
		Revision int               `json:"revision"`
		Status   string            `json:"status"`
		Tags     map[string]string `json:"tags"`
	}{p.BatchARN(batch.KindJobDefinition, jd.ID()), jd.Revision, jd.Status, tags(jd.Tags)})
}
