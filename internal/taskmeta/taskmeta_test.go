package taskmeta_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/taskmeta"
)

const (
	role      = "arn:aws:iam::111122223333:role/job"
	otherRole = "arn:aws:iam::111122223333:role/other"
)

var home = batch.Partition{Account: "111122223333", Region: "eu-west-1"}

// lab is a service with a clock and states of containers that the test owns.
type lab struct {
	*taskmeta.Service
	t      *testing.T
	now    time.Time
	issued int
	states map[string][]runtime.ContainerState
	late   int // so many more times the supervisor does not know yet that a container has started
}

func newLab(t *testing.T, secret string) *lab {
	l := &lab{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), states: map[string][]runtime.ContainerState{}}
	l.Service = taskmeta.New(taskmeta.Options{
		Secret: []byte(secret), Issuer: l, Live: func() taskmeta.Live { return l }, Now: func() time.Time { return l.now },
		NewRequestID: func() string { return "id" },
	})
	return l
}

func (l *lab) IssueForRole(_ context.Context, p batch.Partition, roleARN, name string, d time.Duration) (*identity.Session, error) {
	l.issued++
	if roleARN == otherRole {
		return nil, &identity.UntrustedError{RoleARN: roleARN}
	}
	if p != home || roleARN != role || len(name) != 32 {
		return nil, fmt.Errorf("asked for %v %s %s", p, roleARN, name)
	}
	return &identity.Session{AccessKeyID: fmt.Sprint("ASIA", l.issued), SecretAccessKey: "secret", Token: "session", Expires: l.now.Add(d).UnixMilli()}, nil
}

func (l *lab) Inspect(_ context.Context, key string, usage bool) ([]runtime.ContainerState, error) {
	states := slices.Clone(l.states[key])
	for i := range states {
		if !usage {
			states[i].Usage = nil
		}
		if l.late > 0 {
			states[i] = runtime.ContainerState{Name: states[i].Name, Status: runtime.StatusCreated}
		}
	}
	l.late = max(l.late-1, 0)
	return states, nil
}

// task is an attempt of a job with two containers.
func task(n int, roleARN string) engine.StartTask {
	id := fmt.Sprintf("%032x", n)
	return engine.StartTask{
		Key: fmt.Sprintf("job-%d/1", n), Partition: home, JobID: fmt.Sprintf("job-%d", n), Attempt: 1, Index: -1, Node: -1,
		Spec: &batch.Spec{
			JobName: "j", Definition: "app:7", Platform: batch.Fargate, PropagateTags: true,
			Tags: map[string]string{"a": "job"}, DefinitionTags: map[string]string{"a": "definition", "b": "definition"},
		},
		Task: &batch.TaskView{TaskRole: roleARN, EphemeralStorageGiB: 30, Containers: []batch.ContainerView{
			{Name: "main", Image: "app:1", MilliCPU: 250, MemoryMiB: 512, Essential: true},
			{Name: "side", Image: "side:1", MilliCPU: 500, MemoryMiB: 1024, Log: &batch.LogSettings{Driver: "splunk"}},
		}},
		Record: engine.Attempt{
			ComputeEnvironment: "ce", Cluster: "AWSBatch-ce-1", TaskID: id,
			Containers: []engine.ContainerResult{{Name: "main", LogStream: "app/main/" + id}, {Name: "side"}},
		},
	}
}

// start starts a container of a task and returns its variables.
func (l *lab) start(st engine.StartTask, i int, network runtime.Network) map[string]string {
	l.t.Helper()
	v := l.Start(taskmeta.Started{
		StartTask: st, Index: i, PullStarted: l.now.Add(-2 * time.Second), PullStopped: l.now.Add(-time.Second),
		Container: &runtime.Container{
			Spec: runtime.Spec{Network: network, Image: runtime.Image{Digest: "sha256:1"}},
			Log:  &runtime.LogTarget{Group: "/aws/batch/job", Region: home.Region},
		},
	})
	env := map[string]string{}
	for _, kv := range slices.Concat(v.Default, v.Set) {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

var (
	host    = runtime.Network{Mode: runtime.NetworkHost, Endpoint: "127.0.0.1:1234"}
	private = runtime.Network{Mode: runtime.NetworkPrivate, Endpoint: "127.0.0.1:1234"}
)

// get asks for a URL or path; the answer is nil if it is not an object.
func (l *lab) get(url, token string) (int, map[string]any) {
	l.t.Helper()
	r := httptest.NewRequest(http.MethodGet, url, nil)
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	l.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil && w.Header().Get("Content-Type") == "application/json" {
		l.t.Fatalf("%s: %v in %s", url, err, w.Body)
	}
	object, _ := v.(map[string]any)
	return w.Code, object
}

func TestVariables(t *testing.T) {
	t.Parallel()
	l := newLab(t, "secret")
	st := task(1, role)
	env := l.start(st, 0, host)
	if env["AWS_ENDPOINT_URL"] != "http://127.0.0.1:1234" || env["AWS_EC2_METADATA_DISABLED"] != "true" || len(env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]) != 64 ||
		!strings.HasPrefix(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], "http://127.0.0.1:1234/v2/credentials/") ||
		!strings.HasPrefix(env["ECS_CONTAINER_METADATA_URI_V4"], "http://127.0.0.1:1234/v4/"+st.Record.TaskID+"-") ||
		!strings.HasPrefix(env["ECS_CONTAINER_METADATA_URI"], "http://127.0.0.1:1234/v3/"+st.Record.TaskID+"-") || env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] != "" {
		t.Errorf("in the host's network: %v", env)
	}
	env = l.start(st, 0, private)
	if env["AWS_ENDPOINT_URL"] != "http://169.254.170.2" || env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] != "" || env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] != "" ||
		!strings.HasPrefix(env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], "/v2/credentials/") ||
		!strings.HasPrefix(env["ECS_CONTAINER_METADATA_URI_V4"], "http://169.254.170.2/v4/") {
		t.Errorf("in a private network: %v", env)
	}
	env = l.start(task(2, ""), 0, host)
	for name := range env {
		if strings.HasPrefix(name, "AWS_CONTAINER") {
			t.Errorf("without a role there is %s", name)
		}
	}
	env = l.start(task(3, role), 0, runtime.Network{Mode: runtime.NetworkPrivate})
	if diff := cmp.Diff(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, env); diff != "" {
		t.Errorf("where nothing is reached: %s", diff)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	l := newLab(t, "secret")
	st := task(1, role)
	env := l.start(st, 0, host)
	url, token := env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
	status, got := l.get(url, token)
	want := map[string]any{
		"RoleArn": role, "AccessKeyId": "ASIA1", "SecretAccessKey": "secret", "Token": "session", "Expiration": "2026-01-02T09:04:05Z",
	}
	if diff := cmp.Diff(want, got); diff != "" || status != http.StatusOK {
		t.Errorf("%d %s", status, diff)
	}
	// The same while more than an hour is left, others before the end.
	for hours, key := range []string{"ASIA1", "ASIA1", "ASIA1", "ASIA1", "ASIA1", "ASIA2", "ASIA2"} {
		if _, got := l.get(url, token); got["AccessKeyId"] != key {
			t.Errorf("after %d hours: %v", hours, got["AccessKeyId"])
		}
		l.now = l.now.Add(time.Hour)
	}

	relative := l.start(st, 0, private)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
	if status, got := l.get(relative, ""); status != http.StatusOK || got["RoleArn"] != role {
		t.Errorf("in a private network: %d %v", status, got)
	}
	other := l.start(task(2, role), 0, host)
	roleless := l.start(task(3, ""), 0, host)
	name := roleless["ECS_CONTAINER_METADATA_URI_V4"]
	for what, refused := range map[string][3]string{
		"no token":                {url, "", "401"},
		"another task's token":    {url, other["AWS_CONTAINER_AUTHORIZATION_TOKEN"], "401"},
		"another path":            {url + "0", token, "400"},
		"a task that is not":      {"/v2/credentials/" + strings.Repeat("9", 32) + "-1", token, "400"},
		"a task without a role":   {"/v2/credentials/" + name[strings.LastIndexByte(name, '/')+1:], token, "400"},
		"the task's id alone":     {"/v2/credentials/" + st.Record.TaskID, token, "400"},
		"nothing":                 {"/v2/credentials/", token, "404"},
		"a metadata name":         {strings.Replace(env["ECS_CONTAINER_METADATA_URI_V4"], "/v4/", "/v2/credentials/", 1), token, "400"},
		"a credentials id for v4": {strings.Replace(relative, "/v2/credentials/", "/v4/", 1), token, "404"},
	} {
		if status, got := l.get(refused[0], refused[1]); fmt.Sprint(status) != refused[2] || got["SecretAccessKey"] != nil {
			t.Errorf("%s: %d %v", what, status, got)
		}
	}
	refused := l.start(task(4, otherRole), 0, host)
	status, got = l.get(refused["AWS_CONTAINER_CREDENTIALS_FULL_URI"], refused["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
	if message, _ := got["message"].(string); status != http.StatusBadRequest || !strings.HasPrefix(message, "ECS was unable to assume the role '"+otherRole+"'") {
		t.Errorf("a role that does not trust tasks: %d %v", status, got)
	}
	// An engine that comes after knows the names again; one of another data directory does not, nor one whose task has ended.
	next, foreign := newLab(t, "secret"), newLab(t, "other")
	next.Resume(st)
	foreign.Resume(st)
	if status, got := next.get(url, token); status != http.StatusOK || got["RoleArn"] != role {
		t.Errorf("the next engine: %d %v", status, got)
	}
	if status, _ := next.get(env["ECS_CONTAINER_METADATA_URI_V4"]+"/task", ""); status != http.StatusOK {
		t.Errorf("the next engine's metadata: %d", status)
	}
	if status, _ := foreign.get(url, token); status != http.StatusBadRequest {
		t.Errorf("another engine: %d", status)
	}
	l.End(st.Key)
	if status, _ := l.get(url, token); status != http.StatusBadRequest || l.Tasks() != 3 {
		t.Errorf("after the end: %d, %d tasks left", status, l.Tasks())
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	l := newLab(t, "secret")
	st := task(1, role)
	v4 := l.start(st, 0, host)["ECS_CONTAINER_METADATA_URI_V4"]
	side := l.start(st, 1, host)["ECS_CONTAINER_METADATA_URI_V4"]
	if status, got := l.get(v4, ""); status != http.StatusOK || got["KnownStatus"] != "PENDING" || got["StartedAt"] != nil {
		t.Errorf("before it runs: %d %v", status, got)
	}
	code := 3
	l.states[st.Key] = []runtime.ContainerState{
		{Name: "main", Status: runtime.StatusRunning, StartedAt: l.now, Address: "100.96.0.5", Usage: &runtime.Usage{
			At: l.now, CPU: 5 * time.Second, User: 3 * time.Second, System: 2 * time.Second, Memory: 1000, MemoryLimit: 5000, PIDs: 4,
		}},
		{Name: "side", Status: runtime.StatusStopped, StartedAt: l.now, StoppedAt: l.now, ExitCode: &code},
	}
	_, got := l.get(v4+"/task", "")
	containers, _ := got["Containers"].([]any)
	delete(got, "Containers")
	want := map[string]any{
		"Cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/AWSBatch-ce-1", "TaskARN": "arn:aws:ecs:eu-west-1:111122223333:task/AWSBatch-ce-1/" + st.Record.TaskID,
		"Family": "app", "Revision": "7", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "Limits": map[string]any{"CPU": 0.75, "Memory": 1536.0},
		"PullStartedAt": "2026-01-02T03:04:03.000000006Z", "PullStoppedAt": "2026-01-02T03:04:04.000000006Z", "AvailabilityZone": "eu-west-1a",
		"LaunchType": "FARGATE", "ClockDrift": map[string]any{}, "EphemeralStorageMetrics": map[string]any{"Reserved": 30720.0},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(containers) != 2 {
		t.Errorf("task: %s, containers %v", diff, containers)
	}
	_, main := l.get(v4, "")
	if diff := cmp.Diff(containers[0], any(main)); diff != "" {
		t.Errorf("the container in the task: %s", diff)
	}
	networks := []any{map[string]any{"NetworkMode": "awsvpc", "IPv4Addresses": []any{"100.96.0.5"}}}
	if diff := cmp.Diff(networks, main["Networks"]); diff != "" {
		t.Errorf("networks: %s", diff)
	}
	options := map[string]any{"awslogs-group": "/aws/batch/job", "awslogs-region": "eu-west-1", "awslogs-stream": "app/main/" + st.Record.TaskID}
	if diff := cmp.Diff(options, main["LogOptions"]); diff != "" || main["LogDriver"] != "awslogs" || main["ImageID"] != "sha256:1" {
		t.Errorf("log: %s in %v", diff, main)
	}
	if _, got := l.get(side, ""); got["KnownStatus"] != "STOPPED" || got["ExitCode"] != 3.0 || got["LogDriver"] != "splunk" || got["Name"] != "side" {
		t.Errorf("the other container: %v", got)
	}
	if _, got := l.get(v4+"/taskWithTags", ""); !cmp.Equal(got["TaskTags"], any(map[string]any{"a": "job", "b": "definition"})) {
		t.Errorf("tags: %v", got["TaskTags"])
	}
	v3 := strings.Replace(v4, "/v4/", "/v3/", 1)
	if _, got := l.get(v3+"/task", ""); got["LaunchType"] != nil || got["EphemeralStorageMetrics"] != nil || got["KnownStatus"] != "RUNNING" {
		t.Errorf("version 3: %v", got)
	}
	l.get(v4+"/stats", "")
	l.states[st.Key][0].Usage.CPU += time.Second
	l.states[st.Key][0].Usage.At = l.now.Add(time.Second)
	_, stats := l.get(v4+"/stats", "")
	total := func(member string) any {
		return stats[member].(map[string]any)["cpu_usage"].(map[string]any)["total_usage"]
	}
	if total("cpu_stats") != 6e9 || total("precpu_stats") != 5e9 || stats["preread"] != "2026-01-02T03:04:05.000000006Z" ||
		stats["memory_stats"].(map[string]any)["limit"] != 5000.0 || stats["pids_stats"].(map[string]any)["current"] != 4.0 {
		t.Errorf("stats: %v", stats)
	}
	if status, _ := l.get(side+"/stats", ""); status != http.StatusInternalServerError {
		t.Errorf("stats of a container that has ended: %d", status)
	}
	if _, all := l.get(v4+"/task/stats", ""); len(all) != 2 {
		t.Errorf("stats of the task: %v", all)
	}
	for _, name := range []string{st.Record.TaskID, st.Record.TaskID + "-1", strings.Repeat("9", 32) + "-1", main["DockerId"].(string)} {
		if status, _ := l.get("/v4/"+name, ""); status != http.StatusNotFound {
			t.Errorf("%s is answered with %d", name, status)
		}
	}
}

// TestAskedBeforeItIsKnownToRun: who asks runs, though the supervisor does not say so yet, and is told its address.
func TestAskedBeforeItIsKnownToRun(t *testing.T) {
	t.Parallel()
	l := newLab(t, "secret")
	st := task(1, role)
	v4 := l.start(st, 0, private)["ECS_CONTAINER_METADATA_URI_V4"]
	l.states[st.Key] = []runtime.ContainerState{
		{Name: "main", Status: runtime.StatusRunning, StartedAt: l.now, Address: "100.96.0.5", Usage: &runtime.Usage{At: l.now}},
		{Name: "side", Status: runtime.StatusCreated}, // not waited for
	}
	for _, path := range []string{"", "/task", "/stats", "/task/stats"} {
		l.late = 3
		status, got := l.get(v4+path, "")
		if known := got["KnownStatus"]; status != http.StatusOK || known != nil && known != "RUNNING" || l.late != 0 {
			t.Errorf("%s: %d %v, to be asked %d times more", path, status, got, l.late)
		}
		if networks := fmt.Sprint(got["Networks"]); path == "" && !strings.Contains(networks, "100.96.0.5") {
			t.Errorf("networks: %s", networks)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	docs := memory.New()
	first, err := taskmeta.LoadIdentity(t.Context(), docs)
	if err != nil || len(first.Secret) != 32 || first.Listen != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	first.Listen = "127.0.0.1:1"
	if err := first.Save(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	if second, err := taskmeta.LoadIdentity(t.Context(), docs); err != nil || !cmp.Equal(first, second) {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestAgentHasNoTaskProtection(t *testing.T) {
	t.Parallel()
	l := newLab(t, "secret")
	uri := l.start(task(1, role), 0, host)["ECS_AGENT_URI"]
	status, got := l.get(uri+"/task-protection/v1/state", "")
	failure, _ := got["failure"].(map[string]any)
	if status != http.StatusBadRequest || failure["Reason"] != "TASK_NOT_VALID" {
		t.Errorf("%d %v", status, got)
	}
	if status, _ := l.get(uri+"/other", ""); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
}
