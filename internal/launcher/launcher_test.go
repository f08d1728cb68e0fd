package launcher_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = batch.Partition{Account: "000000000000", Region: "eu-west-1"}

// owner remembers what it is told.
type owner struct {
	started chan runtime.Task
	stopped chan supervisor.StopRequest
	acked   chan string
}

func (o *owner) Start(tasks []runtime.Task) error {
	for _, t := range tasks {
		o.started <- t
	}
	return nil
}

func (o *owner) Stop(requests []supervisor.StopRequest) error {
	for _, r := range requests {
		o.stopped <- r
	}
	return nil
}

func (o *owner) Ack(keys []string) error {
	for _, k := range keys {
		o.acked <- k
	}
	return nil
}

// images has one image; it waits for gate, if there is one, and then fails with err, if there is one.
type images struct {
	image   launcher.Image
	err     error
	waiting chan struct{}
	gate    chan struct{}
}

func (s *images) Prepare(ctx context.Context, _ launcher.ImageRequest) (launcher.Image, error) {
	if s.gate != nil {
		s.waiting <- struct{}{}
		select {
		case <-s.gate:
		case <-ctx.Done():
			return launcher.Image{}, context.Cause(ctx)
		}
	}
	return s.image, s.err
}

type groups map[string]bool

func (g groups) GroupExists(_ context.Context, _, _, name string) (bool, error) { return g[name], nil }
func (g groups) EnsureGroup(_ context.Context, _, _, name string) error         { g[name] = true; return nil }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

type rig struct {
	*launcher.Launcher
	owner   *owner
	known   []string
	missing func([]string)
}

// newRig makes a launcher that is connected.
func newRig(t *testing.T, cfg launcher.Config, resume ...engine.ResumeTask) *rig {
	t.Helper()
	r := &rig{owner: &owner{started: make(chan runtime.Task, 10), stopped: make(chan supervisor.StopRequest, 10), acked: make(chan string, 10)}}
	cfg.Connect = func(known []string, _ func([]runtime.Report), missing func([]string)) (launcher.Owner, error) {
		r.known, r.missing = known, missing
		return r.owner, nil
	}
	if cfg.Images == nil {
		cfg.Images = &images{image: launcher.Image{
			Image: runtime.Image{Digest: "sha256:1"}, Entrypoint: []string{"/entry"}, Cmd: []string{"default"},
			Env: []string{"PATH=/bin", "FROM=image", "SHARED=image"}, WorkingDir: "/srv", User: "65532",
		}}
	}
	if cfg.Groups == nil {
		cfg.Groups = groups{}
	}
	cfg.Clock, cfg.Logger = systemClock{}, slog.New(slog.DiscardHandler)
	r.Launcher = launcher.New(cfg)
	t.Cleanup(r.Close)
	if err := r.Resume(resume); err != nil {
		t.Fatal(err)
	}
	return r
}

// job is an attempt of a job of array index 3 of 5 whose container has these members.
func job(t *testing.T, container string) engine.StartTask {
	t.Helper()
	doc := `{"image":"app:1","resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"1024"}]` + container + `}`
	spec := &batch.Spec{
		JobName: "job", Queue: "q", Definition: "jd:1", Platform: batch.Fargate, ArraySize: 5, Container: []byte(doc),
		Demand: []batch.Demand{{MilliCPU: 500, MemoryMiB: 1024}},
	}
	view, err := spec.Task(0)
	if err != nil {
		t.Fatal(err)
	}
	id := "11111111-1111-4111-8111-111111111111:3"
	return engine.StartTask{
		Key: id + "/2", Partition: home, JobID: id, Attempt: 2, Spec: spec, Task: &view, Index: 3, Node: -1,
		Record: engine.Attempt{
			ComputeEnvironment: "ce", TaskID: strings.Repeat("a", 32),
			Containers: []engine.ContainerResult{{LogStream: spec.LogStream(&view.Containers[0], strings.Repeat("a", 32))}},
		},
	}
}

func (r *rig) start(t *testing.T, st engine.StartTask) runtime.Container {
	t.Helper()
	r.Start([]engine.StartTask{st})
	select {
	case task := <-r.owner.started:
		return task.Containers[0]
	case reports := <-r.Reports():
		t.Fatalf("not started: %+v", reports)
		return runtime.Container{}
	}
}

func (r *rig) failure(t *testing.T, st engine.StartTask) string {
	t.Helper()
	r.Start([]engine.StartTask{st})
	select {
	case task := <-r.owner.started:
		t.Fatalf("started: %+v", task)
		return ""
	case reports := <-r.Reports():
		return reports[0].Containers[0].StartError
	}
}

// Reference 3.4, 3.7 and 9.2: image < definition and submission < what Batch and Fargate add.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{})
	c := r.start(t, job(t, `,"environment":[{"name":"SHARED","value":"job"},{"name":"AWS_REGION","value":"mars-1"},{"name":"JOB_INPUT","value":"{}"}]`))
	want := []string{
		"PATH=/bin", "FROM=image", "SHARED=job", "AWS_REGION=eu-west-1", "JOB_INPUT={}",
		"AWS_BATCH_JOB_ID=11111111-1111-4111-8111-111111111111:3", "AWS_BATCH_JQ_NAME=q", "AWS_BATCH_CE_NAME=ce",
		"AWS_BATCH_JOB_ATTEMPT=2", "AWS_BATCH_JOB_ARRAY_INDEX=3", "AWS_BATCH_JOB_ARRAY_SIZE=5",
		"AWS_DEFAULT_REGION=eu-west-1", "AWS_EXECUTION_ENV=AWS_ECS_FARGATE",
	}
	if !slices.Equal(c.Env, want) {
		t.Errorf("environment:\n  %s\nwant:\n  %s", strings.Join(c.Env, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestCommandUserAndLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{})
	for _, tc := range []struct {
		name, container string
		argv            []string
		user            string
	}{
		{"image's own", "", []string{"/entry", "default"}, "65532"},
		{"the job's command replaces CMD", `,"command":["run","fast"]`, []string{"/entry", "run", "fast"}, "65532"},
		{"the job's user replaces the image's", `,"user":"nobody"`, []string{"/entry", "default"}, "nobody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := r.start(t, job(t, tc.container))
			if !slices.Equal(c.Argv, tc.argv) || c.User != tc.user {
				t.Errorf("argv %q, user %q; want %q, %q", c.Argv, c.User, tc.argv, tc.user)
			}
			if c.VCPU != 0.5 || c.MemoryMiB != 1024 || c.Dir != "/srv" || c.StopTimeout != 30*time.Second || !c.Essential {
				t.Errorf("vCPU %v, memory %d, dir %s, stop timeout %v, essential %v", c.VCPU, c.MemoryMiB, c.Dir, c.StopTimeout, c.Essential)
			}
			r.Report([]runtime.Report{{Key: job(t, "").Key, Kind: runtime.Ended}})
			<-r.Reports()
		})
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{Groups: groups{"/there": true}})
	for _, tc := range []struct {
		name, options string
		want          runtime.LogTarget
		fails         string
	}{
		{"default group", "", runtime.LogTarget{Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32)}, ""},
		{"prefix", `"awslogs-group":"/there","awslogs-stream-prefix":"p"`, runtime.LogTarget{Group: "/there", Stream: "p/default/" + strings.Repeat("a", 32)}, ""},
		{"missing group", `"awslogs-group":"/missing"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"},
		{"missing group not to be made", `"awslogs-group":"/missing","awslogs-create-group":"false"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: create stream"},
		{"no boolean", `"awslogs-group":"/there","awslogs-create-group":"yes"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: must specify valid value for log opt 'awslogs-create-group'"},
		{"region", `"awslogs-region":"us-west-2"`, runtime.LogTarget{Region: "us-west-2", Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32)}, ""},
		{"multiline", `"awslogs-multiline-pattern":"^\\["`, runtime.LogTarget{MultilinePattern: `^\[`, Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32)}, ""},
		{"datetime", `"awslogs-datetime-format":"%Y-%m-%d"`, runtime.LogTarget{DatetimeFormat: "%Y-%m-%d", Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32)}, ""},
		{"both", `"awslogs-datetime-format":"%Y","awslogs-multiline-pattern":"^x"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: you cannot configure log opt"},
		{"bad pattern", `"awslogs-multiline-pattern":"("`, runtime.LogTarget{}, `ResourceInitializationError: failed to validate logger args: awslogs could not parse multiline pattern key "("`},
		{"mode", `"mode":"slow"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: logger: logging mode not supported: slow"},
		{"size without mode", `"max-buffer-size":"4m"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: logger: max-buffer-size option is only supported with"},
		{"bad size", `"mode":"non-blocking","max-buffer-size":"4x"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: error parsing option max-buffer-size: invalid size: '4x'"},
		{"no size", `"mode":"non-blocking","max-buffer-size":"0"`, runtime.LogTarget{}, "ResourceInitializationError: failed to validate logger args: error parsing option max-buffer-size"},
		{
			"default size", `"mode":"non-blocking"`,
			runtime.LogTarget{Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32), NonBlocking: true, MaxBufferBytes: 1 << 20}, "",
		},
		{
			"fraction", `"mode":"non-blocking","max-buffer-size":"1.5 MiB"`,
			runtime.LogTarget{Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32), NonBlocking: true, MaxBufferBytes: 3 << 19}, "",
		},
		{"group to be made", `"awslogs-group":"/new","awslogs-create-group":"true"`, runtime.LogTarget{Group: "/new", Stream: "jd/default/" + strings.Repeat("a", 32)}, ""},
		{
			"non-blocking", `"mode":"non-blocking","max-buffer-size":"4m"`,
			runtime.LogTarget{Group: "/aws/batch/job", Stream: "jd/default/" + strings.Repeat("a", 32), NonBlocking: true, MaxBufferBytes: 4 << 20}, "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := job(t, `,"logConfiguration":{"logDriver":"awslogs","options":{`+tc.options+`}}`)
			if tc.fails != "" {
				if got := r.failure(t, st); !strings.HasPrefix(got, tc.fails) {
					t.Errorf("start error %q", got)
				}
				return
			}
			if tc.want.Account = home.Account; tc.want.Region == "" {
				tc.want.Region = home.Region
			}
			if got := *r.start(t, st).Log; got != tc.want {
				t.Errorf("log target %+v, want %+v", got, tc.want)
			}
			r.Report([]runtime.Report{{Key: st.Key, Kind: runtime.Ended}})
			<-r.Reports()
		})
	}
}

func TestSecretsWithoutAFileFailTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{})
	got := r.failure(t, job(t, `,"secrets":[{"name":"TOKEN","valueFrom":"arn:aws:ssm:eu-west-1:000000000000:parameter/t"}]`))
	if !strings.HasPrefix(got, "ResourceInitializationError: unable to pull secrets") || !strings.Contains(got, "--secrets") {
		t.Errorf("start error %q", got)
	}
}

func TestPullFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{Images: &images{err: &runtime.StartError{Kind: runtime.KindCannotPull, Err: errors.New("no such image")}}})
	if got := r.failure(t, job(t, "")); got != "CannotPullContainerError: no such image" {
		t.Errorf("start error %q", got)
	}
}

func TestHostVolumes(t *testing.T) {
	t.Parallel()
	allowed, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(allowed, "way-out")); err != nil {
		t.Fatal(err)
	}
	mounting := func(path string) string {
		return `,"volumes":[{"name":"v","host":{"sourcePath":"` + path + `"}}],"mountPoints":[{"sourceVolume":"v","containerPath":"/data"}]`
	}
	r := newRig(t, launcher.Config{Volumes: launcher.Volumes{HostPaths: []string{allowed}, Supported: true}})
	if c := r.start(t, job(t, mounting(allowed))); len(c.Mounts) != 1 || c.Mounts[0].Source != allowed || c.Mounts[0].Target != "/data" {
		t.Errorf("mounts %+v", c.Mounts)
	}
	r.Report([]runtime.Report{{Key: job(t, "").Key, Kind: runtime.Ended}})
	<-r.Reports()
	for _, path := range []string{outside, "/", filepath.Join(allowed, ".."), filepath.Join(allowed, "way-out")} {
		if got := r.failure(t, job(t, mounting(path))); !strings.Contains(got, "--allow-host-path") {
			t.Errorf("%s: start error %q", path, got)
		}
	}
}

// EFS is a directory that the user maps, and what is below it; no link in it leads anywhere else.
func TestEFSVolumes(t *testing.T) {
	t.Parallel()
	mapped, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(mapped, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": t.TempDir(), "up": "..", "in": "a"} {
		if err := os.Symlink(to, filepath.Join(mapped, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, launcher.Config{Volumes: launcher.Volumes{EFS: map[string]string{"fs-1": mapped}, Supported: true}})
	mounting := func(id, root string) string {
		return `,"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"` + id + `","rootDirectory":"` + root + `"}}],"mountPoints":[{"sourceVolume":"v","containerPath":"/data","readOnly":true}]`
	}
	for root, want := range map[string]string{"": "", "/": "", "/a/b": "a/b", "a": "a", "/in": "a", "/../a": "a", "/in/../../../a/b": "a/b"} {
		c := r.start(t, job(t, mounting("fs-1", root)))
		if len(c.Mounts) != 1 || c.Mounts[0].Source != filepath.Join(mapped, want) || !c.Mounts[0].ReadOnly {
			t.Errorf("%q: mounts %+v", root, c.Mounts)
		}
		r.Report([]runtime.Report{{Key: job(t, "").Key, Kind: runtime.Ended}})
		<-r.Reports()
	}
	for root, want := range map[string]string{"/out": "leads out of", "/up": "leads out of", "/none": "is not there"} {
		if got := r.failure(t, job(t, mounting("fs-1", root))); !strings.HasPrefix(got, "CannotCreateContainerError: ") || !strings.Contains(got, want) {
			t.Errorf("%s: start error %q", root, got)
		}
	}
	if got := r.failure(t, job(t, mounting("fs-2", "/"))); !strings.Contains(got, "--efs fs-2=DIR") {
		t.Errorf("a file system that is not mapped: %q", got)
	}
}

// A volume of no kind is the task's own, which whoever starts the containers makes.
func TestOwnVolumes(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{Volumes: launcher.Volumes{Supported: true}})
	c := r.start(t, job(t, `,"volumes":[{"name":"v"}],"mountPoints":[{"sourceVolume":"v","containerPath":"/data","readOnly":true}]`))
	if want := []runtime.Mount{{Volume: "v", Target: "/data", ReadOnly: true}}; !slices.EqualFunc(c.Mounts, want, func(a, b runtime.Mount) bool {
		return a.Volume == b.Volume && a.Source == b.Source && a.Target == b.Target && a.ReadOnly == b.ReadOnly
	}) {
		t.Errorf("mounts %+v", c.Mounts)
	}
}

func TestDevicesAreRefused(t *testing.T) {
	t.Parallel()
	for asks, change := range map[string]func(*batch.ContainerView){
		"device /dev/fuse": func(v *batch.ContainerView) { v.Devices = []batch.Device{{HostPath: "/dev/fuse"}} },
		"2 GPU":            func(v *batch.ContainerView) { v.GPU = 2 },
	} {
		r := newRig(t, launcher.Config{})
		st := job(t, "")
		task := *st.Task
		task.Containers = slices.Clone(task.Containers)
		change(&task.Containers[0])
		st.Task = &task
		want := "CannotCreateContainerError: the job asks for " + asks + ": batchbox gives containers no devices of this machine"
		if got := r.failure(t, st); got != want {
			t.Errorf("start error %q, want %q", got, want)
		}
	}
}

func TestSharedNamespacesAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		isolated   bool
		pid, ipc   string
		containers int
		want       string
	}{
		{true, "task", "", 1, ""},
		{true, "task", "", 2, "CannotCreateContainerError: pidMode task is not supported: batchbox gives every container processes of its own"},
		{true, "host", "", 1, "CannotCreateContainerError: pidMode host is not supported: batchbox gives every container processes of its own"},
		{true, "", "task", 2, "CannotCreateContainerError: ipcMode task is not supported: batchbox gives every container shared memory of its own"},
		{true, "", "none", 2, ""},
		{false, "host", "host", 2, ""},
	} {
		r := newRig(t, launcher.Config{Isolated: tc.isolated})
		st := job(t, "")
		task := *st.Task
		task.PIDMode, task.IPCMode = tc.pid, tc.ipc
		for len(task.Containers) < tc.containers {
			other := task.Containers[0]
			other.Name = "other"
			task.Containers = append(task.Containers, other)
			st.Record.Containers = append(st.Record.Containers, st.Record.Containers[0])
		}
		st.Task = &task
		if tc.want == "" {
			r.start(t, st)
		} else if got := r.failure(t, st); got != tc.want {
			t.Errorf("pidMode %q, ipcMode %q: start error %q, want %q", tc.pid, tc.ipc, got, tc.want)
		}
	}
}

// A task that is stopped while its image is pulled never starts, and is reported as ended.
func TestStopDuringPull(t *testing.T) {
	t.Parallel()
	slow := &images{gate: make(chan struct{}), waiting: make(chan struct{})}
	r := newRig(t, launcher.Config{Images: slow})
	st := job(t, "")
	r.Start([]engine.StartTask{st})
	<-slow.waiting
	r.Stop([]engine.StopTask{{Key: st.Key}})
	reports := <-r.Reports()
	if len(reports) != 1 || reports[0].Kind != runtime.Ended || !reports[0].StartedAt.IsZero() || reports[0].Containers[0].StartError != "" {
		t.Errorf("reports %+v", reports)
	}
	select {
	case task := <-r.owner.started:
		t.Errorf("%s was started", task.Key)
	case stop := <-r.owner.stopped:
		t.Errorf("%s was stopped at its owner", stop.Key)
	default:
	}
}

func TestStopAndAckReachTheOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t, launcher.Config{})
	st := job(t, "")
	r.start(t, st)
	r.Stop([]engine.StopTask{{Key: st.Key, Grace: time.Second}})
	if got := <-r.owner.stopped; got.Key != st.Key || got.Grace == nil || *got.Grace != time.Second {
		t.Errorf("stop request %+v", got)
	}
	r.Ack([]string{st.Key})
	if got := <-r.owner.acked; got != st.Key {
		t.Errorf("acknowledged %s", got)
	}
}

// After a restart the owner is told which tasks may be under way, and those it never had are started.
func TestResume(t *testing.T) {
	t.Parallel()
	st := job(t, "")
	r := newRig(t, launcher.Config{}, engine.ResumeTask{StartTask: st})
	if !slices.Equal(r.known, []string{st.Key}) {
		t.Errorf("known: %v", r.known)
	}
	if n := r.Inherited(); n != 1 {
		t.Errorf("%d tasks of an earlier engine, want 1", n)
	}
	r.missing([]string{st.Key})
	if task := <-r.owner.started; task.Key != st.Key {
		t.Errorf("started %s", task.Key)
	}
	if n := r.Inherited(); n != 0 {
		t.Errorf("%d tasks of an earlier engine after it was started by this one", n)
	}
	if err := r.Resume([]engine.ResumeTask{{StartTask: st, Begun: true}}); err != nil { // the engine has gone back to its last commit
		t.Fatal(err)
	}
	select {
	case task := <-r.owner.started:
		t.Errorf("%s, which runs, was started again", task.Key)
	default:
	}
}

// What ran is not started again because its owner knows nothing of it, as in a copy of the data directory: it is lost.
func TestResumeWhatRanElsewhere(t *testing.T) {
	t.Parallel()
	begun, fresh := job(t, ""), job(t, "")
	begun.Key += "-begun"
	r := newRig(t, launcher.Config{}, engine.ResumeTask{StartTask: begun, Begun: true}, engine.ResumeTask{StartTask: fresh})
	r.missing([]string{begun.Key, fresh.Key})
	if reports := <-r.Reports(); len(reports) != 1 || reports[0].Key != begun.Key || reports[0].Kind != runtime.Ended || !reports[0].Lost {
		t.Errorf("reported %+v", reports)
	}
	if task := <-r.owner.started; task.Key != fresh.Key {
		t.Errorf("started %s", task.Key)
	}
}
