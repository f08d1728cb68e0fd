package batch

import (
	"fmt"
	"strings"
)

// defaultContainer is the name of the only container of a task that does not name it.
const defaultContainer = "default"

// maxLogPrefix is how much of a job definition's name stands in log stream names (user guide, "Job states").
const maxLogPrefix = 200

// TaskView is what a launcher needs to know of one attempt: the parsed form of a Spec's JSON. Absent members are zero.
type TaskView struct {
	Containers []ContainerView // at least one
	Volumes    []Volume

	ExecutionRole   string // ARN
	TaskRole        string // ARN; jobRoleArn of containerProperties
	CPUArchitecture string // X86_64 or ARM64; "" when not given
	PlatformVersion string // LATEST, 1.4.0 or 1.3.0; "" for EC2
	// EphemeralStorageGiB is 21-200, or 0 for the platform's default.
	EphemeralStorageGiB  int64
	PIDMode, IPCMode     string // host, task, none; "" when not given
	EnableExecuteCommand bool
}

// ContainerView is one container of a TaskView.
type ContainerView struct {
	Name        string // "default" for the only container of a task that has no name
	Image       string
	Command     []string       // nil for the image's own
	Environment []NameValue    // in the order of the definition, then of the submission
	Secrets     []NameValue    // Value is valueFrom: the ARN of a secret or parameter, or a parameter's name
	MilliCPU    int64          // thousandths of a vCPU
	MemoryMiB   int64          // hard limit
	GPU         int64          // number of devices
	User        string         // as in an image's USER; "" for the image's own
	Ulimits     []Ulimit       // EC2 only
	Tmpfs       []Tmpfs        // EC2 only
	Devices     []Device       // EC2 only
	MountPoints []MountPoint   // of TaskView.Volumes
	Log         *LogSettings   // nil for the platform's default, awslogs
	DependsOn   []ContainerDep // containers of the same task

	SharedMemoryMiB        int64
	InitProcessEnabled     bool
	ReadonlyRootFilesystem bool
	Privileged             bool
	Essential              bool
	// StartTimeout and StopTimeout are in seconds; 0 when not given.
	StartTimeout, StopTimeout int64
	// RegistryCredentials is the ARN or name of the secret for the image's registry.
	RegistryCredentials string
}

// NameValue is a variable, option or secret.
type NameValue struct{ Name, Value string }

// Ulimit is a resource limit of a container; -1 is unlimited.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Tmpfs is a memory file system of a container.
type Tmpfs struct {
	ContainerPath string
	SizeMiB       int64
	Options       []string
}

// Device is a host device in a container; Permissions are READ, WRITE and MKNOD, all of them when empty.
type Device struct {
	HostPath, ContainerPath string
	Permissions             []string
}

// MountPoint is where a container sees a volume.
type MountPoint struct {
	Volume, ContainerPath string
	ReadOnly              bool
}

// Volume is a volume of a task: a directory of the host, an EFS file system, an S3 Files file system, or, with none of
// these given, a directory that lives as long as the task.
type Volume struct {
	Name     string
	HostPath string
	EFS      *EFSVolume
	// S3Files is the ARN of an S3 Files file system.
	S3Files string
}

// EFSVolume is an EFS file system as a volume.
type EFSVolume struct{ FileSystemID, RootDirectory, AccessPointID string }

// LogSettings is a logConfiguration.
type LogSettings struct {
	Driver        string
	Options       map[string]string
	SecretOptions []NameValue
}

// ContainerDep holds a container back until another of its task reaches Condition: START, COMPLETE or SUCCESS.
type ContainerDep struct{ Container, Condition string }

// Task is the view of one attempt of the job, of any array child, or of node number node of a multi-node job; node is
// ignored for other jobs. It fails only for a Spec that ResolveJob did not make.
func (s *Spec) Task(node int) (TaskView, error) {
	switch {
	case s.Container != nil:
		c, err := parseObject(s.Container)
		if err != nil {
			return TaskView{}, fmt.Errorf("container of job %s: %w", s.JobName, err)
		}
		return singleTask(c, s.Platform)
	case s.ECS != nil:
		ecs, err := parseObject(s.ECS)
		if err != nil {
			return TaskView{}, fmt.Errorf("ecsProperties of job %s: %w", s.JobName, err)
		}
		return severalTask(ecs, s.Platform)
	default:
		return s.nodeTask(node)
	}
}

func (s *Spec) nodeTask(node int) (TaskView, error) {
	np, err := parseObject(s.Nodes)
	if err != nil {
		return TaskView{}, fmt.Errorf("nodeProperties of job %s: %w", s.JobName, err)
	}
	layout, err := parseNodeLayout(np)
	if err != nil {
		return TaskView{}, fmt.Errorf("nodeProperties of job %s: %w", s.JobName, err)
	}
	if node < 0 || node >= layout.numNodes {
		return TaskView{}, fmt.Errorf("node %d of job %s: it has %d nodes", node, s.JobName, layout.numNodes)
	}
	p := np.objects("nodeRangeProperties")[layout.ofNode[node]]
	if c, ok := p.object("container"); ok {
		return singleTask(c, s.Platform)
	}
	ecs, _ := p.object("ecsProperties")
	return severalTask(ecs, s.Platform)
}

// LogPrefix is what log stream names of the job begin with when its log configuration does not say.
func (s *Spec) LogPrefix() string {
	name, _, _ := strings.Cut(s.Definition, ":")
	return name[:min(len(name), maxLogPrefix)]
}

func singleTask(c object, platform string) (TaskView, error) {
	scope := containerScope(c, platform == Fargate)
	v := scope.taskView(c)
	container, err := scope.containerView(c)
	if err != nil {
		return TaskView{}, err
	}
	container.Name, container.Essential = defaultContainer, true
	v.Containers = []ContainerView{container}
	return v, nil
}

func severalTask(ecs object, platform string) (TaskView, error) {
	tasks := ecs.objects("taskProperties")
	if len(tasks) != 1 {
		return TaskView{}, fmt.Errorf("ecsProperties have %d tasks", len(tasks))
	}
	scope := ecsScope(tasks[0], platform == Fargate)
	v := scope.taskView(tasks[0])
	for _, c := range tasks[0].objects("containers") {
		container, err := scope.containerView(c)
		if err != nil {
			return TaskView{}, err
		}
		v.Containers = append(v.Containers, container)
	}
	return v, nil
}

// taskView is the view without its containers; o is containerProperties or one of taskProperties.
func (s taskScope) taskView(o object) TaskView {
	runtimePlatform, _ := o.object("runtimePlatform")
	storage, _ := o.object("ephemeralStorage")
	v := TaskView{
		ExecutionRole: s.executionRole, TaskRole: s.taskRole, PlatformVersion: s.platformVersion,
		CPUArchitecture: runtimePlatform.str("cpuArchitecture"), PIDMode: o.str("pidMode"), IPCMode: o.str("ipcMode"),
	}
	v.EphemeralStorageGiB, _ = storage.integer("sizeInGiB")
	v.EnableExecuteCommand, _ = o.boolean("enableExecuteCommand")
	for _, e := range o.objects("volumes") {
		v.Volumes = append(v.Volumes, parseVolume(e))
	}
	return v
}

func parseVolume(o object) Volume {
	host, _ := o.object("host")
	s3, _ := o.object("s3filesVolumeConfiguration")
	v := Volume{Name: o.str("name"), HostPath: host.str("sourcePath"), S3Files: s3.str("fileSystemArn")}
	if efs, ok := o.object("efsVolumeConfiguration"); ok {
		auth, _ := efs.object("authorizationConfig")
		v.EFS = &EFSVolume{FileSystemID: efs.str("fileSystemId"), RootDirectory: efs.str("rootDirectory"), AccessPointID: auth.str("accessPointId")}
	}
	return v
}

func (s taskScope) containerView(c object) (ContainerView, error) {
	d, err := s.demand(c)
	if err != nil {
		return ContainerView{}, err
	}
	v := ContainerView{
		Name: c.str("name"), Image: c.str("image"), User: c.str("user"), Essential: essential(c),
		MilliCPU: d.MilliCPU, MemoryMiB: d.MemoryMiB, GPU: d.GPU,
		Environment: nameValues(c.objects("environment"), "value"), Secrets: nameValues(c.objects("secrets"), "valueFrom"),
	}
	if v.Name == "" {
		v.Name = defaultContainer
	}
	if command := c.strings("command"); len(command) > 0 {
		v.Command = command
	}
	v.ReadonlyRootFilesystem, _ = c.boolean("readonlyRootFilesystem")
	v.Privileged, _ = c.boolean("privileged")
	v.StartTimeout, _ = c.integer("startTimeout")
	v.StopTimeout, _ = c.integer("stopTimeout")
	credentials, _ := c.object("repositoryCredentials")
	v.RegistryCredentials = credentials.str("credentialsParameter")
	for _, u := range c.objects("ulimits") {
		soft, _ := u.integer("softLimit")
		hard, _ := u.integer("hardLimit")
		v.Ulimits = append(v.Ulimits, Ulimit{Name: u.str("name"), Soft: soft, Hard: hard})
	}
	for _, m := range c.objects("mountPoints") {
		readOnly, _ := m.boolean("readOnly")
		v.MountPoints = append(v.MountPoints, MountPoint{Volume: m.str("sourceVolume"), ContainerPath: m.str("containerPath"), ReadOnly: readOnly})
	}
	for _, d := range c.objects("dependsOn") {
		v.DependsOn = append(v.DependsOn, ContainerDep{Container: d.str("containerName"), Condition: d.str("condition")})
	}
	if l, ok := c.object("logConfiguration"); ok {
		v.Log = &LogSettings{Driver: l.str("logDriver"), Options: l.stringMap("options"), SecretOptions: nameValues(l.objects("secretOptions"), "valueFrom")}
	}
	if lp, ok := c.object("linuxParameters"); ok {
		v.addLinuxParameters(lp)
	}
	return v, nil
}

func (v *ContainerView) addLinuxParameters(lp object) {
	v.InitProcessEnabled, _ = lp.boolean("initProcessEnabled")
	v.SharedMemoryMiB, _ = lp.integer("sharedMemorySize")
	for _, t := range lp.objects("tmpfs") {
		size, _ := t.integer("size")
		v.Tmpfs = append(v.Tmpfs, Tmpfs{ContainerPath: t.str("containerPath"), SizeMiB: size, Options: t.strings("mountOptions")})
	}
	for _, d := range lp.objects("devices") {
		v.Devices = append(v.Devices, Device{HostPath: d.str("hostPath"), ContainerPath: d.str("containerPath"), Permissions: d.strings("permissions")})
	}
}

func nameValues(entries []object, value string) []NameValue {
	var out []NameValue
	for _, e := range entries {
		out = append(out, NameValue{Name: e.str("name"), Value: e.str(value)})
	}
	return out
}
