package batch

import (
	"context"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) tagResource(ctx context.Context, c *awswire.Call, in *sdk.TagResourceInput) (*sdk.TagResourceOutput, error) {
	return &sdk.TagResourceOutput{}, a.changeTags(ctx, c, str(in.ResourceArn), in.Tags, nil)
}

func (a *API) untagResource(ctx context.Context, c *awswire.Call, in *sdk.UntagResourceInput) (*sdk.UntagResourceOutput, error) {
	return &sdk.UntagResourceOutput{}, a.changeTags(ctx, c, str(in.ResourceArn), nil, in.TagKeys)
}

func (a *API) changeTags(ctx context.Context, c *awswire.Call, arn string, add map[string]string, remove []string) error {
	p := partition(c)
	kind, name, err := p.TaggedResource(arn)
	if err != nil {
		return err
	}
	if kind == batch.KindJob {
		return a.engine.ChangeJobTags(ctx, engine.ChangeJobTags{Partition: p, ID: name, Add: add, Remove: remove})
	}
	return a.exec(ctx, engine.ChangeTags{Partition: p, Kind: kind, Name: name, Add: add, Remove: remove})
}

func (a *API) listTagsForResource(ctx context.Context, c *awswire.Call, in *sdk.ListTagsForResourceInput) (*sdk.ListTagsForResourceOutput, error) {
	p, s := partition(c), a.section(c)
	kind, name, err := p.TaggedResource(str(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	found, ok := map[string]string(nil), false
	switch kind {
	case batch.KindComputeEnvironment:
		if ce := s.Environment(name); ce != nil {
			found, ok = ce.Tags, true
		}
	case batch.KindJobQueue:
		if q := s.Queue(name); q != nil {
			found, ok = q.Tags, true
		}
	case batch.KindJobDefinition:
		if short, revision, has := batch.SplitDefinition(name); has {
			if jd := s.Definition(short, revision); jd != nil {
				found, ok = jd.Tags, true
			}
		}
	case batch.KindSchedulingPolicy:
		if policy := s.Policy(name); policy != nil {
			found, ok = policy.Tags, true
		}
	case batch.KindConsumableResource:
		if res := s.Consumable(name); res != nil {
			found, ok = res.Tags, true
		}
	case batch.KindJob:
		views, err := a.engine.Describe(ctx, p, []batch.JobID{{Parent: name, Index: -1}})
		if err != nil {
			return nil, err
		}
		if len(views) == 1 {
			found, ok = views[0].Spec.Tags, true
		}
	}
	if !ok {
		return nil, batch.Refusedf("%s does not exist", str(in.ResourceArn))
	}
	return &sdk.ListTagsForResourceOutput{Tags: tags(found)}, nil
}
