package launcher

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// defaultStopTimeout is ECS's time between the stop signal and SIGKILL (ECS developer guide, "stopTimeout").
const defaultStopTimeout = 30 * time.Second

// containerError says which container of a task an error is about.
type containerError struct {
	index int
	err   error
}

func (e *containerError) Error() string { return e.err.Error() }
func (e *containerError) Unwrap() error { return e.err }

// compose makes the runtime task of an attempt.
func (l *Launcher) compose(ctx context.Context, st engine.StartTask) (runtime.Task, error) {
	task := runtime.Task{
		Key:        st.Key,
		Containers: make([]runtime.Container, len(st.Task.Containers)),
		Labels: map[string]string{
			"batchbox.job-id": st.JobID, "batchbox.job-name": st.Spec.JobName, "batchbox.attempt": strconv.Itoa(st.Attempt),
			"batchbox.job-queue": st.Spec.Queue, "batchbox.account": st.Partition.Account, "batchbox.region": st.Partition.Region,
		},
	}
	if err := l.checkSharing(st.Task); err != nil {
		return task, &containerError{0, err}
	}
	for i := range st.Task.Containers {
		if err := l.container(ctx, st, i, &task.Containers[i]); err != nil {
			return task, &containerError{i, err}
		}
	}
	return task, nil
}

// checkSharing refuses tasks that want to share what no runtime that isolates can share.
func (l *Launcher) checkSharing(task *batch.TaskView) error {
	if !l.cfg.Isolated {
		return nil // there is nothing that is not shared
	}
	for _, m := range []struct{ member, value, what string }{
		{"pidMode", task.PIDMode, "processes"}, {"ipcMode", task.IPCMode, "shared memory"},
	} {
		if m.value == "host" || m.value == "task" && len(task.Containers) > 1 {
			return &runtime.StartError{Kind: runtime.KindCannotCreate, Err: fmt.Errorf(
				"%s %s is not supported: batchbox gives every container %s of its own", m.member, m.value, m.what)}
		}
	}
	return nil
}

// checkDevices refuses the machine's devices. EC2 jobs may ask for them; no runtime hands any out.
func checkDevices(view *batch.ContainerView) error {
	var asks string
	switch {
	case len(view.Devices) > 0:
		asks = "device " + view.Devices[0].HostPath
	case view.GPU > 0:
		asks = fmt.Sprintf("%d GPU", view.GPU)
	default:
		return nil
	}
	return &runtime.StartError{Kind: runtime.KindCannotCreate, Err: fmt.Errorf("the job asks for %s: batchbox gives containers no devices of this machine", asks)}
}

// container fills in one container of the task.
func (l *Launcher) container(ctx context.Context, st engine.StartTask, i int, out *runtime.Container) error {
	view := &st.Task.Containers[i]
	pullStarted := l.cfg.Clock.Now()
	image, err := l.cfg.Images.Prepare(ctx, ImageRequest{Partition: st.Partition, Ref: view.Image, Architecture: st.Task.CPUArchitecture})
	if err != nil {
		return err
	}
	pullStopped := l.cfg.Clock.Now()
	if image.Release != nil {
		l.mu.Lock()
		l.images[st.Key] = append(l.images[st.Key], image.Release)
		l.mu.Unlock()
	}
	out.Name = view.Name
	out.Image = image.Image
	if out.Argv = argv(image, view); len(out.Argv) == 0 {
		return &runtime.StartError{Kind: runtime.KindCannotCreate, Err: fmt.Errorf("image %s has no command, and the job definition gives none", view.Image)}
	}
	out.Dir = image.WorkingDir
	out.User = view.User
	if out.User == "" {
		out.User = image.User
	}
	if err := checkDevices(view); err != nil {
		return err
	}
	out.Hostname = hostname(st.Record)
	out.VCPU = float64(view.MilliCPU) / 1000
	out.MemoryMiB = view.MemoryMiB
	out.StorageGiB = st.Task.EphemeralStorageGiB
	out.ReadonlyRootfs = view.ReadonlyRootFilesystem
	out.Privileged = view.Privileged
	out.InitProcess = view.InitProcessEnabled
	out.SharedMemMiB = view.SharedMemoryMiB
	for _, u := range view.Ulimits {
		out.Ulimits = append(out.Ulimits, runtime.Ulimit{Name: u.Name, Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	out.Network = runtime.Network{Mode: runtime.NetworkHost, Address: st.Record.Address, Endpoint: l.cfg.Endpoint}
	if l.cfg.PrivateNetwork {
		out.Network.Mode = runtime.NetworkPrivate
	}
	out.StopSignal = image.StopSignal
	out.StopTimeout = l.stopTimeout(view)
	out.Essential = view.Essential
	for _, d := range view.DependsOn {
		out.DependsOn = append(out.DependsOn, runtime.Dependency{ContainerName: d.Container, Condition: runtime.Condition(d.Condition)})
	}
	out.StartTimeout = time.Duration(view.StartTimeout) * time.Second
	if out.Mounts, err = l.cfg.Volumes.mounts(st.Task, view); err != nil {
		return err
	}
	if out.Log, err = l.log(ctx, st, view, st.Record.Containers[i].LogStream); err != nil {
		return err
	}
	env, err := l.environment(ctx, st, view, image)
	if err != nil {
		return err
	}
	if l.cfg.Extra != nil {
		extra := l.cfg.Extra.TaskEnv(Composed{st, i, out, pullStarted, pullStopped})
		for _, kv := range extra.Default {
			if name, value, _ := strings.Cut(kv, "="); !env.has(name) {
				env.set(name, value)
			}
		}
		for _, kv := range extra.Set {
			name, value, _ := strings.Cut(kv, "=")
			env.set(name, value)
		}
	}
	out.Env = env.list
	return nil
}

func (l *Launcher) stopTimeout(view *batch.ContainerView) time.Duration {
	switch {
	case view.StopTimeout > 0:
		return time.Duration(view.StopTimeout) * time.Second
	case l.cfg.StopTimeout > 0:
		return l.cfg.StopTimeout
	default:
		return defaultStopTimeout
	}
}

// argv is the image's ENTRYPOINT, which a job can't change, and the job's command or the image's CMD.
func argv(image Image, view *batch.ContainerView) []string {
	if len(view.Command) > 0 {
		return slices.Concat(image.Entrypoint, view.Command)
	}
	return slices.Concat(image.Entrypoint, image.Cmd)
}

// hostname is what Fargate's look like: the task's address within the VPC, here the task's own or one made of its id.
func hostname(record engine.Attempt) string {
	if record.Address != "" {
		return "ip-" + strings.ReplaceAll(record.Address, ".", "-")
	}
	return "task-" + record.TaskID[:min(12, len(record.TaskID))]
}

// environment is the whole environment of a container: the image's, then the definition's and the submission's, then what
// Batch and Fargate add (reference, sections 3.4, 3.7 and 9.2). Later values of a name replace earlier ones.
func (l *Launcher) environment(ctx context.Context, st engine.StartTask, view *batch.ContainerView, image Image) (*envList, error) {
	env := newEnv(len(image.Env) + len(view.Environment) + 16)
	for _, kv := range image.Env {
		name, value, _ := strings.Cut(kv, "=")
		env.set(name, value)
	}
	for _, v := range view.Environment {
		env.set(v.Name, v.Value)
	}
	for _, s := range view.Secrets {
		value, err := l.secret(ctx, st.Partition, s)
		if err != nil {
			return nil, err
		}
		env.set(s.Name, value)
	}
	env.set("AWS_BATCH_JOB_ID", st.JobID)
	env.set("AWS_BATCH_JQ_NAME", st.Spec.Queue)
	env.set("AWS_BATCH_CE_NAME", st.Record.ComputeEnvironment)
	env.set("AWS_BATCH_JOB_ATTEMPT", strconv.Itoa(st.Attempt))
	if st.Index >= 0 {
		env.set("AWS_BATCH_JOB_ARRAY_INDEX", strconv.Itoa(st.Index))
		env.set("AWS_BATCH_JOB_ARRAY_SIZE", strconv.Itoa(st.Spec.ArraySize))
	}
	if st.Node >= 0 {
		env.set("AWS_BATCH_JOB_NODE_INDEX", strconv.Itoa(st.Node))
		env.set("AWS_BATCH_JOB_MAIN_NODE_INDEX", strconv.Itoa(st.Spec.MainNode))
		env.set("AWS_BATCH_JOB_NUM_NODES", strconv.Itoa(st.Spec.NumNodes))
		if st.MainNodeAddress != "" {
			env.set("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", st.MainNodeAddress)
		}
	}
	env.set("AWS_REGION", st.Partition.Region)
	env.set("AWS_DEFAULT_REGION", st.Partition.Region)
	if st.Spec.Platform == batch.Fargate {
		env.set("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
	} else {
		env.set("AWS_EXECUTION_ENV", "AWS_ECS_EC2")
	}
	return env, nil
}

// envList is an environment in order, in which setting a name again replaces its value.
type envList struct {
	list []string
	at   map[string]int
}

func newEnv(size int) *envList {
	return &envList{list: make([]string, 0, size), at: make(map[string]int, size)}
}

func (e *envList) has(name string) bool {
	_, ok := e.at[name]
	return ok
}

func (e *envList) set(name, value string) {
	if i, ok := e.at[name]; ok {
		e.list[i] = name + "=" + value
		return
	}
	e.at[name] = len(e.list)
	e.list = append(e.list, name+"="+value)
}

func (l *Launcher) secret(ctx context.Context, p batch.Partition, s batch.NameValue) (string, error) {
	if l.cfg.Secrets == nil {
		return "", &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf(
			"unable to pull secrets or registry auth: secret %s of variable %s: the engine was started without a secrets file (--secrets)", s.Value, s.Name)}
	}
	value, err := l.cfg.Secrets.Secret(ctx, p, s.Value)
	if err != nil {
		return "", &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf("unable to pull secrets or registry auth: %w", err)}
	}
	return value, nil
}
