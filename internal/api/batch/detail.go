package batch

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// jobDetail is the API's JobDetail with the parts kept as JSON.
type jobDetail struct {
	JobArn, JobName, JobId *string
	JobQueue               *string
	Status                 *string
	ShareIdentifier        *string
	SchedulingPriority     *int32
	Attempts               []attemptDetail
	StatusReason           *string
	CreatedAt              *int64
	RetryStrategy          *retryStrategy
	StartedAt, StoppedAt   *int64
	DependsOn              []types.JobDependency
	JobDefinition          *string
	Parameters             map[string]string
	Container              json.RawMessage
	NodeDetails            *types.NodeDetails
	NodeProperties         json.RawMessage
	ArrayProperties        *arrayProperties
	Timeout                *types.JobTimeout
	Tags                   map[string]string
	PropagateTags          *bool
	PlatformCapabilities   []string
	EksAttempts            []string
	EcsProperties          json.RawMessage
	IsCancelled            *bool
	IsTerminated           *bool

	ConsumableResourceProperties *types.ConsumableResourceProperties
}

// retryStrategy is the API's RetryStrategy; evaluateOnExit is always there.
type retryStrategy struct {
	Attempts       *int32
	EvaluateOnExit []types.EvaluateOnExit
}

// arrayProperties is the API's ArrayPropertiesDetail; a child's summary is empty but there.
type arrayProperties struct {
	StatusSummary              map[string]int32
	StatusSummaryLastUpdatedAt *int64
	Size                       *int32
	Index                      *int32
}

type attemptDetail struct {
	Container            *containerRun
	StartedAt, StoppedAt *int64
	StatusReason         *string
	TaskProperties       []taskRun
}

// containerRun is what an attempt adds to a container, in attempts and in the job's own container.
type containerRun struct {
	ContainerInstanceArn *string            `json:"containerInstanceArn,omitempty"`
	TaskArn              *string            `json:"taskArn,omitempty"`
	ExitCode             *int32             `json:"exitCode,omitempty"`
	Reason               *string            `json:"reason,omitempty"`
	LogStreamName        *string            `json:"logStreamName,omitempty"`
	NetworkInterfaces    []networkInterface `json:"networkInterfaces"`
}

type networkInterface struct {
	PrivateIpv4Address *string `json:"privateIpv4Address,omitempty"`
}

// taskRun is an attempt of a job of several containers (API AttemptEcsTaskDetails).
type taskRun struct {
	ContainerInstanceArn, TaskArn *string
	Containers                    []taskContainerRun
}

type taskContainerRun struct {
	ExitCode          *int32             `json:"exitCode,omitempty"`
	Name              *string            `json:"name,omitempty"`
	Reason            *string            `json:"reason,omitempty"`
	LogStreamName     *string            `json:"logStreamName,omitempty"`
	NetworkInterfaces []networkInterface `json:"networkInterfaces"`
}

// detail shows a job as DescribeJobs does (reference, section 3.6).
func detail(v *engine.JobView) (jobDetail, error) {
	p, spec := v.Partition, v.Spec
	d := jobDetail{
		JobArn: ptr(p.BatchARN(batch.KindJob, v.ID)), JobName: &spec.JobName, JobId: &v.ID,
		JobQueue:      ptr(p.BatchARN(batch.KindJobQueue, spec.Queue)),
		Status:        ptr(v.Status.String()),
		Attempts:      []attemptDetail{},
		CreatedAt:     &v.CreatedAt,
		StartedAt:     moment(v.StartedAt),
		StoppedAt:     moment(v.StoppedAt),
		DependsOn:     []types.JobDependency{},
		JobDefinition: ptr(p.BatchARN(batch.KindJobDefinition, spec.Definition)),
		Parameters:    tags(spec.Parameters),
		Tags:          map[string]string{},
		PropagateTags: &spec.PropagateTags,
		EksAttempts:   []string{},
	}
	if v.StatusReason != "" {
		d.StatusReason = &v.StatusReason
	}
	if spec.Share != "" {
		d.ShareIdentifier = &spec.Share
	}
	if spec.PriorityDeclared {
		d.SchedulingPriority = ptr(int32(spec.Priority))
	}
	if spec.PlatformDeclared {
		d.PlatformCapabilities = []string{spec.Platform}
	}
	if spec.Timeout > 0 {
		d.Timeout = &types.JobTimeout{AttemptDurationSeconds: ptr(int32(spec.Timeout))}
	}
	if v.Cancelled {
		d.IsCancelled = ptr(true)
	}
	if v.Terminated {
		d.IsTerminated = ptr(true)
	}
	if v.Index < 0 && v.Node < 0 { // job tags are not those of children and nodes (reference, section 2.5)
		d.Tags = tags(spec.Tags)
	}
	d.RetryStrategy = showRetry(spec.Retry)
	for _, dep := range spec.DependsOn {
		d.DependsOn = append(d.DependsOn, showDependency(dep))
	}
	if len(spec.Consumables) > 0 {
		d.ConsumableResourceProperties = showConsumables(p, spec.Consumables)
	}
	d.ArrayProperties = showArray(v)
	for i := range v.Attempts {
		d.Attempts = append(d.Attempts, showAttempt(v, &v.Attempts[i]))
	}
	return d, d.showProperties(v)
}

// moment is a time as shown: absent if it has not come.
func moment(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

func showRetry(r *batch.RetryStrategy) *retryStrategy {
	if r == nil {
		return nil
	}
	out := &retryStrategy{Attempts: ptr(int32(r.Attempts)), EvaluateOnExit: []types.EvaluateOnExit{}}
	for _, rule := range r.EvaluateOnExit {
		out.EvaluateOnExit = append(out.EvaluateOnExit, types.EvaluateOnExit{
			Action:         types.RetryAction(rule.Action),
			OnStatusReason: optional(rule.OnStatusReason), OnReason: optional(rule.OnReason), OnExitCode: optional(rule.OnExitCode),
		})
	}
	return out
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func showDependency(dep batch.Dependency) types.JobDependency {
	return types.JobDependency{JobId: optional(dep.JobID), Type: types.ArrayJobDependency(dep.Type)}
}

func showConsumables(p batch.Partition, needs []batch.ConsumableRequirement) *types.ConsumableResourceProperties {
	out := &types.ConsumableResourceProperties{}
	for _, need := range needs {
		out.ConsumableResourceList = append(out.ConsumableResourceList, types.ConsumableResourceRequirement{
			ConsumableResource: ptr(p.BatchARN(batch.KindConsumableResource, need.Resource)), Quantity: ptr(need.Quantity),
		})
	}
	return out
}

func showArray(v *engine.JobView) *arrayProperties {
	switch {
	case v.Index >= 0:
		return &arrayProperties{StatusSummary: map[string]int32{}, Index: ptr(int32(v.Index))}
	case v.Summary != nil:
		return &arrayProperties{
			StatusSummary: statusSummary(v.Summary), StatusSummaryLastUpdatedAt: moment(v.SummaryAt), Size: ptr(int32(v.Spec.ArraySize)),
		}
	default:
		return nil
	}
}

func statusSummary(counts *[batch.NumStatuses]int) map[string]int32 {
	out := make(map[string]int32, batch.NumStatuses-1)
	for s := batch.Submitted; s <= batch.Failed; s++ {
		out[s.String()] = int32(counts[s])
	}
	return out
}

func showAttempt(v *engine.JobView, at *engine.Attempt) attemptDetail {
	d := attemptDetail{StartedAt: moment(at.StartedAt), StoppedAt: moment(at.StoppedAt), StatusReason: optional(at.StatusReason)}
	if v.Spec.ECS == nil && (len(at.Containers) == 1 || at.Containers == nil) {
		run := showRun(v, at)
		d.Container = &run
		return d
	}
	run := taskRun{ContainerInstanceArn: instanceARN(v, at), TaskArn: taskARN(v.Partition, at), Containers: []taskContainerRun{}}
	for i := range at.Containers {
		run.Containers = append(run.Containers, showContainerRun(at, &at.Containers[i]))
	}
	d.TaskProperties = []taskRun{run}
	return d
}

func taskARN(p batch.Partition, at *engine.Attempt) *string {
	if at.TaskID == "" {
		return nil
	}
	return ptr(p.ARN("ecs", "task/"+at.Cluster+"/"+at.TaskID))
}

// instanceARN is the container instance of an attempt on EC2; Fargate has none. This machine is one instance in the cluster
// of each environment, so its id is made of the environment's uuid, which ends the cluster's name.
func instanceARN(v *engine.JobView, at *engine.Attempt) *string {
	const uuid = 36
	if v.Spec.Platform == batch.Fargate || at.TaskID == "" || len(at.Cluster) < uuid {
		return nil
	}
	id := strings.ReplaceAll(at.Cluster[len(at.Cluster)-uuid:], "-", "")
	return ptr(v.Partition.ARN("ecs", "container-instance/"+at.Cluster+"/"+id))
}

func showRun(v *engine.JobView, at *engine.Attempt) containerRun {
	run := containerRun{ContainerInstanceArn: instanceARN(v, at), TaskArn: taskARN(v.Partition, at), NetworkInterfaces: interfaces(at)}
	if len(at.Containers) > 0 {
		c := &at.Containers[0]
		run.Reason = optional(c.Reason)
		run.ExitCode = exitCode(c)
		if at.StartedAt > 0 { // the stream exists from RUNNING on
			run.LogStreamName = optional(c.LogStream)
		}
	}
	return run
}

func showContainerRun(at *engine.Attempt, c *engine.ContainerResult) taskContainerRun {
	run := taskContainerRun{Name: ptr(c.Name), Reason: optional(c.Reason), ExitCode: exitCode(c), NetworkInterfaces: interfaces(at)}
	if c.Name == "" {
		run.Name = ptr(batch.DefaultContainer)
	}
	if at.StartedAt > 0 {
		run.LogStreamName = optional(c.LogStream)
	}
	return run
}

func exitCode(c *engine.ContainerResult) *int32 {
	if c.ExitCode == nil {
		return nil
	}
	return ptr(int32(*c.ExitCode))
}

func interfaces(at *engine.Attempt) []networkInterface {
	if at.Address == "" {
		return []networkInterface{}
	}
	return []networkInterface{{PrivateIpv4Address: &at.Address}}
}

// latest is the attempt a job's own container shows: the one under way, else the last.
func latest(v *engine.JobView) *engine.Attempt {
	switch {
	case v.Current != nil:
		return v.Current
	case len(v.Attempts) > 0:
		return &v.Attempts[len(v.Attempts)-1]
	default:
		return &engine.Attempt{}
	}
}

// showProperties adds the block the job was defined with: container, ecsProperties or nodeProperties, with what the latest
// attempt adds to it.
func (d *jobDetail) showProperties(v *engine.JobView) error {
	spec, at := v.Spec, latest(v)
	container, ecs := spec.Container, spec.ECS
	if spec.Nodes != nil {
		main := spec.MainNode
		if v.Node < 0 {
			d.NodeProperties = spec.Nodes
		} else {
			d.NodeDetails = &types.NodeDetails{NodeIndex: ptr(int32(v.Node)), IsMainNode: ptr(v.Node == main)}
			main = v.Node
		}
		var err error
		if container, ecs, err = spec.NodeBlocks(main); err != nil {
			return err
		}
	}
	if container != nil {
		d.Container = splice(container, showRun(v, at))
	}
	if ecs != nil {
		shown, err := showTasks(v, ecs, at)
		if err != nil {
			return fmt.Errorf("ecsProperties of job %s: %w", v.ID, err)
		}
		d.EcsProperties = shown
	}
	return nil
}

// showTasks adds to each container of ecsProperties what the attempt knows of it.
func showTasks(v *engine.JobView, ecs json.RawMessage, at *engine.Attempt) (json.RawMessage, error) {
	var doc struct {
		Tasks []map[string]json.RawMessage `json:"taskProperties"`
	}
	if err := json.Unmarshal(ecs, &doc); err != nil {
		return nil, err
	}
	for _, task := range doc.Tasks {
		var containers []json.RawMessage
		if err := json.Unmarshal(task["containers"], &containers); err != nil {
			return nil, err
		}
		for i := range containers {
			if i >= len(at.Containers) {
				break
			}
			run := showContainerRun(at, &at.Containers[i])
			run.Name = nil // the definition has it
			containers[i] = splice(containers[i], run)
		}
		joined, err := json.Marshal(containers)
		if err != nil {
			return nil, err
		}
		task["containers"] = joined
		if arn := instanceARN(v, at); arn != nil {
			if task["containerInstanceArn"], err = json.Marshal(arn); err != nil {
				return nil, err
			}
		}
		if arn := taskARN(v.Partition, at); arn != nil {
			if task["taskArn"], err = json.Marshal(arn); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(doc)
}
