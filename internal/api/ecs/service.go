// Package ecs is the part of the Amazon ECS API that shows what AWS Batch runs on: the cluster of each compute environment,
// and the tasks behind jobs. Requests and replies follow the API reference
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/); which members AWS fills for the tasks of Batch was not compared
// with a running job, and what is not known is left out.
//
// A task that has ended is shown for an hour, as on ECS, but not by the next engine: it is not stored. The types are
// declared here, for importing the SDK's would cost more of a build than they are long.
package ecs

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/taskmeta"
)

// Jobs is what the API reads of the engine.
type Jobs interface {
	Catalog() *engine.Catalog
	Describe(ctx context.Context, p batch.Partition, ids []batch.JobID) ([]engine.JobView, error)
}

// Tasks knows the tasks under way and those that ended lately.
type Tasks interface {
	Known(taskID string) (taskmeta.Known, bool)
	List(p batch.Partition, cluster string) []taskmeta.Known
}

// Options are what the API stands on. All are required.
type Options struct {
	Jobs  Jobs
	Tasks Tasks
}

type api struct{ Options }

// The codes of the service's exceptions (API reference, "Errors" of each operation).
const (
	codeClient          = "ClientException"
	codeInvalid         = "InvalidParameterException"
	codeClusterNotFound = "ClusterNotFoundException"
	codeServiceNotFound = "ServiceNotFoundException"
	codeUnsupported     = "UnsupportedFeatureException"
)

// New describes the service for an awswire.Mux.
func New(o Options) *awswire.Service {
	a := &api{o}
	s := &awswire.Service{
		Name: "ecs", Protocol: awswire.AWSJSON11, TargetPrefix: "AmazonEC2ContainerServiceV20141113", MemberCase: awswire.LowerCamel,
		Operations: []awswire.Operation{
			awswire.Op("DescribeClusters", a.describeClusters),
			awswire.Op("DescribeTasks", a.describeTasks),
			awswire.Op("ListClusters", a.listClusters),
			awswire.Op("ListTasks", a.listTasks),
		},
		Refused: map[string]string{}, RefusedCode: codeUnsupported, InternalCode: "ServerException",
	}
	for sentence, operations := range refused {
		for name := range strings.FieldsSeq(operations) {
			s.Refused[name] = sentence
		}
	}
	return s
}

// refused are the other operations of the service.
var refused = map[string]string{
	"clusters are those of Batch's compute environments: create, change and delete those": `CreateCluster DeleteCluster UpdateCluster
		UpdateClusterSettings PutClusterCapacityProviders CreateCapacityProvider DeleteCapacityProvider DescribeCapacityProviders
		UpdateCapacityProvider`,
	"tasks are those of Batch's jobs: submit and terminate those": `RunTask StartTask StopTask ExecuteCommand GetTaskProtection
		UpdateTaskProtection`,
	"task definitions are those of Batch's job definitions: register and describe those": `RegisterTaskDefinition
		DeregisterTaskDefinition DeleteTaskDefinitions DescribeTaskDefinition ListTaskDefinitions ListTaskDefinitionFamilies`,
	"batchbox has no services of ECS": `CreateService DeleteService DescribeServices ListServices ListServicesByNamespace UpdateService
		CreateTaskSet DeleteTaskSet DescribeTaskSets UpdateTaskSet UpdateServicePrimaryTaskSet DescribeServiceDeployments
		DescribeServiceRevisions ListServiceDeployments StopServiceDeployment`,
	"batchbox has no container instances": `RegisterContainerInstance DeregisterContainerInstance DescribeContainerInstances
		ListContainerInstances UpdateContainerAgent UpdateContainerInstancesState DiscoverPollEndpoint SubmitAttachmentStateChanges
		SubmitContainerStateChange SubmitTaskStateChange PutAttributes DeleteAttributes ListAttributes`,
	"batchbox keeps no settings and no tags of ECS": `PutAccountSetting PutAccountSettingDefault DeleteAccountSetting
		ListAccountSettings TagResource UntagResource ListTagsForResource`,
}

func refuse(code, format string, args ...any) error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func partition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

// defaultCluster is the cluster of a request that names none. Batch makes no such cluster.
const defaultCluster = "default"

// failure is why something asked for is not in an answer.
type failure struct {
	Arn    *string
	Reason *string
}

func missing(arn string) failure { return failure{Arn: &arn, Reason: ptr("MISSING")} }

// shortName is the name in a name or ARN of a cluster; ok is false for an ARN of something else, or of elsewhere.
func shortName(p batch.Partition, nameOrARN string) (name string, ok bool) {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nameOrARN != ""
	}
	return strings.CutPrefix(nameOrARN, p.ARN("ecs", "cluster/"))
}

// environment is the compute environment of a cluster; nil if there is none.
func (a *api) environment(p batch.Partition, cluster string) *batch.ComputeEnvironment {
	for _, ce := range a.Jobs.Catalog().Section(p).Environments {
		if ce.Cluster() == cluster {
			return ce
		}
	}
	return nil
}

// cluster is the cluster that a request for tasks is about.
func (a *api) cluster(p batch.Partition, nameOrARN *string) (string, error) {
	cluster := defaultCluster
	if nameOrARN != nil && *nameOrARN != "" {
		name, ok := shortName(p, *nameOrARN)
		if !ok {
			return "", refuse(codeInvalid, "Invalid identifier: Unexpected ARN or cluster name: %s", *nameOrARN) // unverified text
		}
		cluster = name
	}
	if a.environment(p, cluster) == nil && len(a.Tasks.List(p, cluster)) == 0 {
		return "", refuse(codeClusterNotFound, "Cluster not found.")
	}
	return cluster, nil
}

// page cuts one page out of a sorted list.
func page(kind string, list []string, maxResults *int32, token *string) ([]string, *string, error) {
	size := 100
	if maxResults != nil {
		if *maxResults < 1 || *maxResults > 100 {
			return nil, nil, refuse(codeInvalid, "maxResults must be between 1 and 100, but is %d.", *maxResults) // unverified text
		}
		size = int(*maxResults)
	}
	after := ""
	if token != nil && *token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(*token)
		last, ok := strings.CutPrefix(string(raw), kind+"\x00")
		if err != nil || !ok {
			return nil, nil, refuse(codeInvalid, "Invalid token.") // unverified text
		}
		after = last
	}
	from, found := slices.BinarySearch(list, after)
	if found {
		from++
	}
	if list = list[from:]; len(list) <= size {
		return list, nil, nil
	}
	list = list[:size]
	return list, ptr(base64.RawURLEncoding.EncodeToString([]byte(kind + "\x00" + list[size-1]))), nil
}

func ptr[T any](v T) *T { return &v }
