package taskmeta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/runtime"
)

// The answers of the metadata endpoint, in the spelling and order of the ECS developer guide's examples for Fargate. Members
// are left out while there is nothing to tell, as there.
type (
	taskInfo struct {
		Cluster       string
		TaskARN       string
		Family        string
		Revision      string
		DesiredStatus string
		KnownStatus   string
		Limits        *limits           `json:",omitempty"`
		PullStartedAt *time.Time        `json:",omitempty"`
		PullStoppedAt *time.Time        `json:",omitempty"`
		Zone          string            `json:"AvailabilityZone,omitempty"`
		LaunchType    string            `json:",omitempty"` // version 4
		TaskTags      map[string]string `json:",omitempty"` // taskWithTags
		Containers    []containerInfo
		ClockDrift    *struct{} `json:",omitempty"` // version 4; nobody measures it here
		// EphemeralStorageMetrics is of version 4, in MiB. What is utilised is not known here.
		EphemeralStorageMetrics *storageMetrics `json:",omitempty"`
	}
	containerInfo struct {
		DockerID      string `json:"DockerId"`
		Name          string
		DockerName    string
		Image         string
		ImageID       string `json:",omitempty"`
		Labels        map[string]string
		DesiredStatus string
		KnownStatus   string
		ExitCode      *int `json:",omitempty"`
		Limits        limits
		CreatedAt     *time.Time `json:",omitempty"`
		StartedAt     *time.Time `json:",omitempty"`
		FinishedAt    *time.Time `json:",omitempty"`
		Type          string
		LogDriver     string            `json:",omitempty"` // version 4, like all that follows
		LogOptions    map[string]string `json:",omitempty"`
		ContainerARN  string            `json:",omitempty"`
		Networks      []network
		Snapshotter   string `json:",omitempty"`
	}
	limits struct {
		CPU    float64 `json:",omitempty"` // vCPU
		Memory int64   `json:",omitempty"` // MiB
	}
	storageMetrics struct{ Reserved int64 }
	network        struct {
		NetworkMode   string
		IPv4Addresses []string
	}
)

const (
	statusPending = "PENDING"
	statusRunning = "RUNNING"
)

// defaultStorageMiB is a Fargate task's storage where the job does not say (reference, section 9.1).
const defaultStorageMiB = 20 << 10

// livePatience bounds the wait for a supervisor's word.
const livePatience = 10 * time.Second

// look asks how a task's containers are; what nobody knows is the zero state. It is container i that asks: that it runs, and
// where, is known a moment later than it is so, and waited for.
func (s *Service) look(ctx context.Context, t *task, i int, usage bool) []runtime.ContainerState {
	states := make([]runtime.ContainerState, len(t.containers))
	live := s.o.Live()
	if live == nil {
		return states
	}
	ctx, cancel := context.WithTimeout(ctx, livePatience)
	defer cancel()
	for {
		found, err := live.Inspect(ctx, t.Key, usage)
		if err != nil {
			s.o.Logger.Debug("how the containers of a task are is not known", "task", t.Key, "error", err)
			return states
		}
		copy(states, found)
		if states[i].Status != runtime.StatusCreated {
			return states
		}
		select {
		case <-ctx.Done():
			return states
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Service) container(ctx context.Context, version int, t *task, i int) (any, error) {
	return s.describe(version, t, i, s.look(ctx, t, i, false)[i]), nil
}

func (s *Service) task(ctx context.Context, version int, t *task, i int) (any, error) {
	return s.describeTask(ctx, version, t, i), nil
}

func (s *Service) taskWithTags(ctx context.Context, version int, t *task, i int) (any, error) {
	info := s.describeTask(ctx, version, t, i)
	info.TaskTags = map[string]string{}
	if t.Spec.PropagateTags {
		maps.Copy(info.TaskTags, t.Spec.DefinitionTags)
		maps.Copy(info.TaskTags, t.Spec.Tags)
	}
	return info, nil
}

func (s *Service) describeTask(ctx context.Context, version int, t *task, asking int) taskInfo {
	family, revision, _ := strings.Cut(t.Spec.Definition, ":")
	info := taskInfo{
		Cluster: t.Partition.ARN("ecs", "cluster/"+t.Record.Cluster), TaskARN: t.arn("task"), Family: family, Revision: revision,
		DesiredStatus: statusRunning, KnownStatus: statusPending, Limits: &limits{}, Zone: t.Partition.Region + "a",
	}
	for i, state := range s.look(ctx, t, asking, false) {
		c := s.describe(version, t, i, state)
		info.Containers = append(info.Containers, c)
		if state.Status == runtime.StatusRunning {
			info.KnownStatus = statusRunning
		}
		view := &t.Task.Containers[i]
		info.Limits.CPU += float64(view.MilliCPU) / 1000
		info.Limits.Memory += view.MemoryMiB
	}
	s.mu.Lock()
	for i := range t.containers {
		c := &t.containers[i]
		if info.PullStartedAt == nil || c.known && c.pullStarted.Before(*info.PullStartedAt) {
			info.PullStartedAt = moment(c.pullStarted)
		}
		if info.PullStoppedAt == nil || c.pullStopped.After(*info.PullStoppedAt) {
			info.PullStoppedAt = moment(c.pullStopped)
		}
	}
	s.mu.Unlock()
	if version == 4 {
		info.LaunchType = "EC2"
		if t.Spec.Platform == batch.Fargate {
			info.LaunchType, info.ClockDrift = "FARGATE", &struct{}{}
			reserved := int64(defaultStorageMiB)
			if gib := t.Task.EphemeralStorageGiB; gib > 0 {
				reserved = gib << 10
			}
			info.EphemeralStorageMetrics = &storageMetrics{reserved}
		}
	}
	return info
}

// describe is one container of the task.
func (s *Service) describe(version int, t *task, i int, state runtime.ContainerState) containerInfo {
	view := &t.Task.Containers[i]
	s.mu.Lock()
	c := t.containers[i]
	s.mu.Unlock()
	family, revision, _ := strings.Cut(t.Spec.Definition, ":")
	info := containerInfo{
		DockerID: s.shortID(t, i), Name: view.Name, DockerName: view.Name, Image: view.Image, ImageID: c.imageID,
		Labels: map[string]string{
			"com.amazonaws.ecs.cluster":                 t.Partition.ARN("ecs", "cluster/"+t.Record.Cluster),
			"com.amazonaws.ecs.container-name":          view.Name,
			"com.amazonaws.ecs.task-arn":                t.arn("task"),
			"com.amazonaws.ecs.task-definition-family":  family,
			"com.amazonaws.ecs.task-definition-version": revision,
		},
		DesiredStatus: statusRunning, KnownStatus: string(state.Status), ExitCode: state.ExitCode,
		Limits:    limits{CPU: float64(view.MilliCPU) / 1000, Memory: view.MemoryMiB},
		CreatedAt: moment(c.createdAt), StartedAt: moment(state.StartedAt), FinishedAt: moment(state.StoppedAt),
		Type: "NORMAL",
	}
	if info.KnownStatus == "" {
		info.KnownStatus = statusPending
	}
	address := t.Record.Address
	if state.Address != "" {
		address = state.Address
	}
	if address == "" {
		address = "127.0.0.1" // in the host's network it is where others of the machine reach it
	}
	info.Networks = []network{{"awsvpc", []string{address}}}
	if version == 4 {
		sum := s.derive("container-arn", t, i)
		info.ContainerARN = t.arn("container") + "/" + uuid.UUID(sum[:16]).String()
		if t.Spec.Platform == batch.Fargate {
			info.Snapshotter = "overlayfs"
		}
		info.LogDriver, info.LogOptions = s.log(t, i, &c)
	}
	return info
}

// log is where a container's output goes.
func (s *Service) log(t *task, i int, c *container) (driver string, options map[string]string) {
	view := &t.Task.Containers[i]
	if view.Log != nil && view.Log.Driver != "" && view.Log.Driver != "awslogs" {
		return view.Log.Driver, nil
	}
	options = map[string]string{}
	if view.Log != nil {
		maps.Copy(options, view.Log.Options)
	}
	if c.log != nil {
		options["awslogs-group"], options["awslogs-region"] = c.log.Group, c.log.Region
	}
	if i < len(t.Record.Containers) && t.Record.Containers[i].LogStream != "" {
		options["awslogs-stream"] = t.Record.Containers[i].LogStream
	}
	return "awslogs", options
}

// arn is that of the task, or what the ARNs of its containers begin with.
func (t *task) arn(kind string) string {
	return t.Partition.ARN("ecs", kind+"/"+t.Record.Cluster+"/"+t.Record.TaskID)
}

// moment is nil for a time that never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// metadata serves one kind of answer.
func (s *Service) metadata(version int, answer func(context.Context, int, *task, int) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, i := s.byName(r.PathValue("name"))
		if t == nil {
			text(w, http.StatusNotFound, fmt.Sprintf("V%d container metadata handler: unable to get task arn from request: unknown container", version))
			return
		}
		v, err := answer(r.Context(), version, t, i)
		switch {
		case errors.Is(err, errUnknown):
			text(w, http.StatusInternalServerError, fmt.Sprintf("V%d stats handler: what the container uses is not known: it does not run, or its runtime can not tell", version))
		case err != nil:
			text(w, http.StatusInternalServerError, fmt.Sprintf("V%d metadata handler: %v", version, err))
		default:
			reply(w, v)
		}
	}
}

// agent is the API that ECS_AGENT_URI leads to. All it has is task protection, which is for tasks of services, and a job's
// task is none (Amazon ECS API reference, UpdateTaskProtection; the shape is the developer guide's, "Amazon ECS task
// scale-in protection endpoint").
func (s *Service) agent(w http.ResponseWriter, r *http.Request) {
	t, _ := s.byName(r.PathValue("name"))
	if t == nil || r.PathValue("rest") != "task-protection/v1/state" {
		fail(w, http.StatusNotFound, "NotFound", "the agent's API has nothing here")
		return
	}
	body, _ := json.Marshal(map[string]any{ // strings always marshal
		"requestID": s.o.NewRequestID(),
		"failure":   map[string]any{"Arn": t.arn("task"), "Detail": nil, "Reason": "TASK_NOT_VALID"},
	})
	write(w, http.StatusBadRequest, body)
}
