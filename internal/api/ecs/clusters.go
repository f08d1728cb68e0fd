package ecs

import (
	"context"
	"slices"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
)

type (
	listClustersInput struct {
		MaxResults *int32
		NextToken  *string
	}
	listClustersOutput struct {
		ClusterArns []string
		NextToken   *string
	}
	describeClustersInput struct {
		Clusters []string
		Include  []string
	}
	describeClustersOutput struct {
		Clusters []cluster
		Failures []failure
	}
	cluster struct {
		ClusterArn                        *string
		ClusterName                       *string
		Status                            *string
		RegisteredContainerInstancesCount *int32
		RunningTasksCount                 *int32
		PendingTasksCount                 *int32
		ActiveServicesCount               *int32
		CapacityProviders                 []string
		DefaultCapacityProviderStrategy   []struct{}
		Settings                          []struct{}
		Statistics                        []struct{}
		Tags                              []tag
	}
	tag struct{ Key, Value *string }
)

func (a *api) listClusters(_ context.Context, c *awswire.Call, in *listClustersInput) (*listClustersOutput, error) {
	p := partition(c)
	arns := []string{}
	for _, ce := range a.Jobs.Catalog().Section(p).Environments {
		arns = append(arns, p.ARN("ecs", "cluster/"+ce.Cluster()))
	}
	slices.Sort(arns)
	arns, next, err := page("clusters", arns, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listClustersOutput{ClusterArns: arns, NextToken: next}, nil
}

// maxDescribed is how many clusters or tasks can be described at once (API reference, DescribeClusters, DescribeTasks).
const maxDescribed = 100

func (a *api) describeClusters(ctx context.Context, c *awswire.Call, in *describeClustersInput) (*describeClustersOutput, error) {
	p := partition(c)
	names := in.Clusters
	if len(names) == 0 {
		names = []string{defaultCluster}
	}
	if len(names) > maxDescribed {
		return nil, refuse(codeInvalid, "Clusters can have at most %d items.", maxDescribed) // unverified text
	}
	out := &describeClustersOutput{Clusters: []cluster{}, Failures: []failure{}}
	for _, n := range names {
		name, ok := shortName(p, n)
		ce := a.environment(p, name)
		if !ok || ce == nil {
			if ok {
				n = p.ARN("ecs", "cluster/"+name)
			}
			out.Failures = append(out.Failures, missing(n))
			continue
		}
		shown, err := a.showCluster(ctx, p, ce, slices.Contains(in.Include, "TAGS"))
		if err != nil {
			return nil, err
		}
		out.Clusters = append(out.Clusters, shown)
	}
	return out, nil
}

func (a *api) showCluster(ctx context.Context, p batch.Partition, ce *batch.ComputeEnvironment, tags bool) (cluster, error) {
	name := ce.Cluster()
	c := cluster{
		ClusterArn: ptr(p.ARN("ecs", "cluster/"+name)), ClusterName: &name, Status: ptr("ACTIVE"),
		RegisteredContainerInstancesCount: ptr(int32(0)), RunningTasksCount: ptr(int32(0)), PendingTasksCount: ptr(int32(0)),
		ActiveServicesCount: ptr(int32(0)), CapacityProviders: []string{}, DefaultCapacityProviderStrategy: []struct{}{},
		Settings: []struct{}{}, Statistics: []struct{}{}, Tags: []tag{},
	}
	if tags {
		c.Tags = showTags(ce.Tags)
	}
	known := a.Tasks.List(p, name)
	described, err := a.describe(ctx, p, known)
	if err != nil {
		return c, err
	}
	for i := range described {
		switch *described[i].LastStatus {
		case statusRunning:
			*c.RunningTasksCount++
		case statusPending:
			*c.PendingTasksCount++
		}
	}
	return c, nil
}
