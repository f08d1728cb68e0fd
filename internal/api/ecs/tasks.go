package ecs

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/taskmeta"
)

// The states of tasks and containers (ECS developer guide, "Task lifecycle").
const (
	statusPending = "PENDING"
	statusRunning = "RUNNING"
	statusStopped = "STOPPED"
)

type (
	listTasksInput struct {
		Cluster           *string
		ContainerInstance *string
		DesiredStatus     *string
		Family            *string
		LaunchType        *string
		MaxResults        *int32
		NextToken         *string
		ServiceName       *string
		StartedBy         *string
	}
	listTasksOutput struct {
		TaskArns  []string
		NextToken *string
	}
	describeTasksInput struct {
		Cluster *string
		Tasks   []string
		Include []string
	}
	describeTasksOutput struct {
		Tasks    []task
		Failures []failure
	}
	task struct {
		TaskArn              *string
		ClusterArn           *string
		TaskDefinitionArn    *string
		AvailabilityZone     *string
		Group                *string
		LaunchType           *string
		PlatformFamily       *string
		PlatformVersion      *string
		Cpu                  *string
		Memory               *string
		LastStatus           *string
		DesiredStatus        *string
		CreatedAt            *time.Time
		StartedAt            *time.Time
		StoppedAt            *time.Time
		StopCode             *string
		StoppedReason        *string
		EnableExecuteCommand *bool
		EphemeralStorage     *ephemeralStorage
		Containers           []container
		Attachments          []struct{}
		Attributes           []attribute
		Tags                 []tag
	}
	ephemeralStorage struct{ SizeInGiB *int32 }
	attribute        struct{ Name, Value *string }
	container        struct {
		TaskArn           *string
		Name              *string
		Image             *string
		LastStatus        *string
		ExitCode          *int32
		Reason            *string
		Cpu               *string
		Memory            *string
		HealthStatus      *string
		NetworkInterfaces []networkInterface
	}
	networkInterface struct{ PrivateIpv4Address *string }
)

func (a *api) listTasks(_ context.Context, c *awswire.Call, in *listTasksInput) (*listTasksOutput, error) {
	p := partition(c)
	name, err := a.cluster(p, in.Cluster)
	if err != nil {
		return nil, err
	}
	ended := false
	switch status := str(in.DesiredStatus); status {
	case "", statusRunning:
	case statusStopped:
		ended = true
	case statusPending: // nothing's desired status is that (API reference, ListTasks)
		return &listTasksOutput{TaskArns: []string{}}, nil
	default:
		return nil, refuse(codeInvalid, "desiredStatus must be one of RUNNING, PENDING or STOPPED, but is %s.", status) // unverified text
	}
	switch {
	case str(in.ServiceName) != "":
		return nil, refuse(codeServiceNotFound, "Service not found.")
	case str(in.ContainerInstance) != "":
		return nil, refuse(codeInvalid, "Container instance not found.") // unverified text
	}
	arns := []string{}
	for _, k := range a.Tasks.List(p, name) {
		family, _, _ := strings.Cut(k.Spec.Definition, ":")
		switch {
		case k.Ended.IsZero() == ended, in.Family != nil && *in.Family != family, str(in.StartedBy) != "":
		case in.LaunchType != nil && *in.LaunchType != launchType(k.Spec):
		default:
			arns = append(arns, taskARN(p, &k.Record))
		}
	}
	slices.Sort(arns)
	arns, next, err := page("tasks", arns, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listTasksOutput{TaskArns: arns, NextToken: next}, nil
}

func (a *api) describeTasks(ctx context.Context, c *awswire.Call, in *describeTasksInput) (*describeTasksOutput, error) {
	p := partition(c)
	switch {
	case len(in.Tasks) == 0:
		return nil, refuse(codeInvalid, "Tasks cannot be empty.")
	case len(in.Tasks) > maxDescribed:
		return nil, refuse(codeInvalid, "Tasks can have at most %d items.", maxDescribed) // unverified text
	}
	name, err := a.cluster(p, in.Cluster)
	if err != nil {
		return nil, err
	}
	out := &describeTasksOutput{Tasks: []task{}, Failures: []failure{}}
	var known []taskmeta.Known
	for _, t := range in.Tasks {
		id := t
		if strings.HasPrefix(t, "arn:") {
			// Of a task of this cluster, with the cluster's name in it or, as before 2018, without.
			rest, ok := strings.CutPrefix(t, p.ARN("ecs", "task/"))
			if of, last, long := strings.Cut(rest, "/"); ok && long {
				rest, ok = last, of == name
			}
			if id = rest; !ok {
				out.Failures = append(out.Failures, missing(t))
				continue
			}
		}
		k, ok := a.Tasks.Known(id)
		if !ok || k.Partition != p || k.Record.Cluster != name {
			out.Failures = append(out.Failures, missing(p.ARN("ecs", "task/"+name+"/"+id)))
			continue
		}
		known = append(known, k)
	}
	if out.Tasks, err = a.describe(ctx, p, known); err != nil {
		return nil, err
	}
	if !slices.Contains(in.Include, "TAGS") {
		for i := range out.Tasks {
			out.Tasks[i].Tags = []tag{}
		}
	}
	return out, nil
}

// describe shows tasks, each with what the engine knows of its attempt.
func (a *api) describe(ctx context.Context, p batch.Partition, known []taskmeta.Known) ([]task, error) {
	ids := make([]batch.JobID, 0, len(known))
	for _, k := range known {
		if id, ok := batch.ParseJobID(k.JobID); ok {
			ids = append(ids, id)
		}
	}
	views, err := a.Jobs.Describe(ctx, p, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*engine.JobView, len(views))
	for i := range views {
		byID[views[i].ID] = &views[i]
	}
	tasks := make([]task, 0, len(known))
	for _, k := range known {
		tasks = append(tasks, show(p, k, byID[k.JobID]))
	}
	return tasks, nil
}

func taskARN(p batch.Partition, at *engine.Attempt) string {
	return p.ARN("ecs", "task/"+at.Cluster+"/"+at.TaskID)
}

func launchType(s *batch.Spec) string {
	if s.Platform == batch.Fargate {
		return "FARGATE"
	}
	return "EC2"
}

// attempt is the record of a task in its job, and whether it is under way: the record of its start if the job has none.
func attempt(k *taskmeta.Known, v *engine.JobView) (at *engine.Attempt, current bool) {
	if v != nil {
		if v.Current != nil && v.Current.TaskID == k.Record.TaskID {
			return v.Current, true
		}
		for i := range v.Attempts {
			if v.Attempts[i].TaskID == k.Record.TaskID {
				return &v.Attempts[i], false
			}
		}
	}
	return &k.Record, k.Ended.IsZero()
}

func show(p batch.Partition, k taskmeta.Known, v *engine.JobView) task {
	at, current := attempt(&k, v)
	arn := taskARN(p, at)
	t := task{
		TaskArn: &arn, ClusterArn: ptr(p.ARN("ecs", "cluster/"+at.Cluster)), TaskDefinitionArn: ptr(p.ARN("ecs", "task-definition/"+k.Spec.Definition)),
		AvailabilityZone: ptr(p.Region + "a"), LaunchType: ptr(launchType(k.Spec)), LastStatus: ptr(statusPending), DesiredStatus: ptr(statusRunning),
		CreatedAt: moment(k.Created.UnixMilli()), StartedAt: moment(at.StartedAt), EnableExecuteCommand: ptr(k.Task.EnableExecuteCommand),
		Containers: []container{}, Attachments: []struct{}{}, Attributes: []attribute{}, Tags: []tag{},
	}
	family, _, _ := strings.Cut(k.Spec.Definition, ":")
	t.Group = ptr("family:" + family)
	if k.Spec.Platform == batch.Fargate {
		t.PlatformFamily, t.PlatformVersion = ptr("Linux"), ptr("1.4.0") // what LATEST is
		if version := k.Task.PlatformVersion; version != "" && version != "LATEST" {
			t.PlatformVersion = &version
		}
		gib := int32(20) // what a task has that does not say (Fargate, "Task storage")
		if k.Task.EphemeralStorageGiB > 0 {
			gib = int32(k.Task.EphemeralStorageGiB)
		}
		t.EphemeralStorage = &ephemeralStorage{&gib}
	}
	if architecture := k.Task.CPUArchitecture; architecture != "" {
		t.Attributes = append(t.Attributes, attribute{ptr("ecs.cpu-architecture"), ptr(strings.ToLower(architecture))})
	}
	switch {
	case !current:
		t.LastStatus, t.DesiredStatus = ptr(statusStopped), ptr(statusStopped)
		stopped := at.StoppedAt
		if stopped == 0 && !k.Ended.IsZero() {
			stopped = k.Ended.UnixMilli()
		}
		t.StoppedAt = moment(stopped)
		t.StopCode, t.StoppedReason = stopCode(at), ptr("Essential container in task exited")
		if at.StatusReason != "" {
			t.StoppedReason = &at.StatusReason
		}
	case at.StartedAt > 0:
		t.LastStatus = ptr(statusRunning)
	}
	if current && at.Stop != "" {
		t.DesiredStatus = ptr(statusStopped)
	}
	var cpu, memory int64
	for i := range k.Task.Containers {
		view := &k.Task.Containers[i]
		cpu, memory = cpu+view.MilliCPU, memory+view.MemoryMiB
		c := container{
			TaskArn: &arn, Name: ptr(view.Name), Image: ptr(view.Image), LastStatus: t.LastStatus, HealthStatus: ptr("UNKNOWN"),
			Cpu: ptr(units(view.MilliCPU)), Memory: ptr(strconv.FormatInt(view.MemoryMiB, 10)), NetworkInterfaces: []networkInterface{},
		}
		if at.Address != "" {
			c.NetworkInterfaces = append(c.NetworkInterfaces, networkInterface{&at.Address})
		}
		if i < len(at.Containers) {
			if code := at.Containers[i].ExitCode; code != nil {
				c.ExitCode = ptr(int32(*code))
			}
			if reason := at.Containers[i].Reason; reason != "" {
				c.Reason = &reason
			}
		}
		t.Containers = append(t.Containers, c)
	}
	t.Cpu, t.Memory = ptr(units(cpu)), ptr(strconv.FormatInt(memory, 10))
	if k.Spec.PropagateTags {
		tags := maps.Clone(k.Spec.DefinitionTags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, k.Spec.Tags)
		t.Tags = showTags(tags)
	}
	return t
}

// stopCode says why a task ended (API reference, Task, "stopCode"): by itself, by a request, for its Spot capacity, or before
// it ever ran.
func stopCode(at *engine.Attempt) *string {
	switch {
	case at.Stop == "spot":
		return ptr("SpotInterruption")
	case at.Stop != "":
		return ptr("UserInitiated")
	case at.StartedAt == 0:
		return ptr("TaskFailedToStart")
	}
	return ptr("EssentialContainerExited")
}

// units are CPU units, 1,024 for a vCPU.
func units(milli int64) string { return strconv.FormatInt(milli*1024/1000, 10) }

func showTags(tags map[string]string) []tag {
	out := []tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tag{ptr(key), ptr(tags[key])})
	}
	return out
}

// moment is nil for a time that never was.
func moment(ms int64) *time.Time {
	if ms <= 0 {
		return nil
	}
	return ptr(time.UnixMilli(ms).UTC())
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
