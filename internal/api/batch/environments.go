package batch

import (
	"context"
	"encoding/json"

	sdk "github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

func (a *API) createComputeEnvironment(ctx context.Context, c *awswire.Call, _ *sdk.CreateComputeEnvironmentInput) (*sdk.CreateComputeEnvironmentOutput, error) {
	p := partition(c)
	ce, err := do[batch.ComputeEnvironment](ctx, a, engine.CreateComputeEnvironment{Partition: p, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.CreateComputeEnvironmentOutput{
		ComputeEnvironmentName: &ce.Name, ComputeEnvironmentArn: ptr(p.BatchARN(batch.KindComputeEnvironment, ce.Name)),
	}, nil
}

func (a *API) updateComputeEnvironment(ctx context.Context, c *awswire.Call, in *sdk.UpdateComputeEnvironmentInput) (*sdk.UpdateComputeEnvironmentOutput, error) {
	p := partition(c)
	name, err := environmentName(p, in.ComputeEnvironment)
	if err != nil {
		return nil, err
	}
	ce, err := do[batch.ComputeEnvironment](ctx, a, engine.UpdateComputeEnvironment{Partition: p, Name: name, Raw: c.Body})
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateComputeEnvironmentOutput{
		ComputeEnvironmentName: &ce.Name, ComputeEnvironmentArn: ptr(p.BatchARN(batch.KindComputeEnvironment, ce.Name)),
	}, nil
}

func (a *API) deleteComputeEnvironment(ctx context.Context, c *awswire.Call, in *sdk.DeleteComputeEnvironmentInput) (*sdk.DeleteComputeEnvironmentOutput, error) {
	p := partition(c)
	name, err := environmentName(p, in.ComputeEnvironment)
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteComputeEnvironmentOutput{}, a.exec(ctx, engine.DeleteComputeEnvironment{Partition: p, Name: name})
}

func environmentName(p batch.Partition, member *string) (string, error) {
	name, ok := p.ResourceName(batch.KindComputeEnvironment, str(member))
	if !ok {
		return "", batch.Refusedf("%s does not exist", str(member))
	}
	return name, nil
}

// computeEnvironmentDetail is the API's ComputeEnvironmentDetail with the parts kept as JSON.
type computeEnvironmentDetail struct {
	ComputeEnvironmentName, ComputeEnvironmentArn *string
	EcsClusterArn                                 *string
	Type, State, Status, StatusReason             *string
	ComputeResources, UpdatePolicy                json.RawMessage
	ServiceRole                                   *string
	UnmanagedvCpus                                *int32
	ContainerOrchestrationType                    *string
	Uuid, Context                                 *string
	Tags                                          map[string]string
}

type describeComputeEnvironmentsOutput struct {
	ComputeEnvironments []computeEnvironmentDetail
	NextToken           *string
}

func (a *API) describeComputeEnvironments(_ context.Context, c *awswire.Call, in *sdk.DescribeComputeEnvironmentsInput) (*describeComputeEnvironmentsOutput, error) {
	p, s := partition(c), a.section(c)
	out := &describeComputeEnvironmentsOutput{ComputeEnvironments: []computeEnvironmentDetail{}}
	var list []*batch.ComputeEnvironment
	var err error
	if len(in.ComputeEnvironments) > 0 {
		list, err = selectNamed(p, batch.KindComputeEnvironment, "ComputeEnvironments", in.ComputeEnvironments, in.MaxResults, s.Environment)
	} else {
		name := func(ce *batch.ComputeEnvironment) string { return ce.Name }
		list, out.NextToken, err = page("ce", s.Environments, name, in.MaxResults, in.NextToken)
	}
	if err != nil {
		return nil, err
	}
	for _, ce := range list {
		out.ComputeEnvironments = append(out.ComputeEnvironments, showEnvironment(p, ce))
	}
	return out, nil
}

func showEnvironment(p batch.Partition, ce *batch.ComputeEnvironment) computeEnvironmentDetail {
	d := computeEnvironmentDetail{
		ComputeEnvironmentName: &ce.Name,
		ComputeEnvironmentArn:  ptr(p.BatchARN(batch.KindComputeEnvironment, ce.Name)),
		EcsClusterArn:          ptr(p.ARN("ecs", "cluster/"+ce.Cluster())),
		Type:                   &ce.Type, State: &ce.State, Status: &ce.Status, StatusReason: &ce.StatusReason,
		ComputeResources:           ce.ComputeResources,
		UpdatePolicy:               ce.UpdatePolicy,
		ServiceRole:                &ce.ServiceRole,
		ContainerOrchestrationType: ptr("ECS"),
		Uuid:                       &ce.UUID,
		Tags:                       tags(ce.Tags),
	}
	if ce.UnmanagedVCPUs > 0 {
		d.UnmanagedvCpus = ptr(int32(ce.UnmanagedVCPUs))
	}
	if ce.Context != "" {
		d.Context = &ce.Context
	}
	return d
}
