package batch

import (
	"reflect"
	"slices"
	"testing"
)

const plainQueue = `{"jobQueueName":"q","priority":10,"computeEnvironmentOrder":[
	{"order":2,"computeEnvironment":"arn:aws:batch:us-east-1:111122223333:compute-environment/b"},{"order":1,"computeEnvironment":"a"}]}`

// TestJobQueueTexts produces every refusal of the reference, section 2.2, that needs no look-up.
func TestJobQueueTexts(t *testing.T) {
	t.Parallel()
	notAttachable := "Compute Environments must be created and valid before attaching them to a job queue"
	// These come of a look-up: they stand on the wire as they are, without the wrapper of invalid requests.
	lookedUp := map[string]bool{
		notAttachable: true, "SchedulingPolicy p not found.": true,
		"SchedulingPolicy arn:aws:batch:us-east-1:999999999999:scheduling-policy/p not found.": true,
	}
	action := `{"reason":"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY","state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}`
	for _, c := range []struct{ change, text string }{
		{`jobQueueName="q q"`, "Job Queue name should match a valid pattern."},
		{`tags={"aws:a":""}`, "aws: prefixed tag key names are not allowed for external use."},
		{`priority=2147483648`, "Job Queue priority must be greater than or equal to 0."},
		{`priority=-1`, "Job Queue priority must be greater than or equal to 0."},
		{`state="OFF"`, "Job Queue state must be one of [ENABLED, DISABLED]."},
		{`-computeEnvironmentOrder`, "At least 1 compute environment is required in job queue request."},
		{`computeEnvironmentOrder=[]`, "At least 1 compute environment is required in job queue request."},
		{`computeEnvironmentOrder=[{"order":1,"computeEnvironment":"a"},{"order":2,"computeEnvironment":"b"},{"order":3,"computeEnvironment":"c"},{"order":4,"computeEnvironment":"d"}]`,
			"Only 3 environments are allowed in job queue request."},
		{`computeEnvironmentOrder.0.computeEnvironment="a"`, "Duplicate ComputeEnvironments within order list."},
		{`computeEnvironmentOrder.0.order=1`, "Duplicate ComputeEnvironment order values."},
		{`computeEnvironmentOrder.0.computeEnvironment="arn:aws:batch:eu-west-1:111122223333:compute-environment/b"`, notAttachable},
		{`computeEnvironmentOrder.0.computeEnvironment=""`, notAttachable},
		{`schedulingPolicyArn="arn:aws:batch:us-east-1:999999999999:scheduling-policy/p"`, "SchedulingPolicy arn:aws:batch:us-east-1:999999999999:scheduling-policy/p not found."},
		{`schedulingPolicyArn="p"`, "SchedulingPolicy p not found."},
		{`jobStateTimeLimitActions=[` + string(edit(action, `action="TERMINATE"`)) + `]`, "Invalid job action. Valid job actions: [CANCEL]"},
		{`jobStateTimeLimitActions=[` + string(edit(action, `state="RUNNING"`)) + `]`, "Invalid job state. Valid job states: [RUNNABLE]"},
		{`jobStateTimeLimitActions=[` + string(edit(action, `maxTimeSeconds=599`)) + `]`, "Max time seconds must be between 600 and 86400."},
		{`jobStateTimeLimitActions=[` + string(edit(action, `maxTimeSeconds=86401`)) + `]`, "Max time seconds must be between 600 and 86400."},
		{`jobStateTimeLimitActions=[` + string(edit(action, `-reason`)) + `]`, "Job state limit action reason is required."},
		{`jobStateTimeLimitActions=[` + action + `,` + string(edit(action, `maxTimeSeconds=700`)) + `]`, "Duplicate job state limit actions are not allowed."},
	} {
		t.Run(c.change, func(t *testing.T) {
			t.Parallel()
			_, err := NewJobQueue(edit(plainQueue, c.change), here)
			code := Invalid
			if lookedUp[c.text] {
				code = Refused
			}
			wantRefusal(t, err, code, c.text)
		})
	}
	for _, c := range []struct{ change, text string }{
		{`serviceEnvironmentOrder=[{"order":1,"serviceEnvironment":"s"}]`, "batchbox does not run service environments: serviceEnvironmentOrder is not supported"},
		{`jobQueueType="SAGEMAKER_TRAINING"`, "batchbox does not run job queues of type SAGEMAKER_TRAINING"},
		{`jobQueueType="EKS"`, "batchbox does not run job queues of type EKS"},
	} {
		_, err := NewJobQueue(edit(plainQueue, c.change), here)
		wantRefusal(t, err, Unsupported, c.text)
	}
}

func TestNewJobQueue(t *testing.T) {
	t.Parallel()
	q, err := NewJobQueue(edit(plainQueue, `schedulingPolicyArn="arn:aws:batch:us-east-1:111122223333:scheduling-policy/p"`, `tags={"k":"v"}`,
		`jobStateTimeLimitActions=[{"reason":"r","state":"runnable","maxTimeSeconds":86400,"action":"cancel"}]`), here)
	if err != nil {
		t.Fatal(err)
	}
	want := JobQueue{
		Name: "q", State: Enabled, Status: StatusValid, StatusReason: "JobQueue Healthy", Priority: 10, SchedulingPolicy: "p",
		ComputeEnvironmentOrder: []ComputeOrder{{2, "b"}, {1, "a"}}, Tags: map[string]string{"k": "v"},
		TimeLimitActions: []JobStateTimeLimit{{"r", "RUNNABLE", 86400, "CANCEL"}},
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got  %+v\nwant %+v", q, want)
	}
	if got := q.Environments(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the environments are tried in the order %v", got)
	}
}

func TestUpdateJobQueue(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:batch:us-east-1:111122223333:scheduling-policy/"
	fifo, err := NewJobQueue([]byte(plainQueue), here)
	if err != nil {
		t.Fatal(err)
	}
	fair := fifo
	fair.SchedulingPolicy = "p"
	for _, c := range []struct {
		q    JobQueue
		req  string
		code Code
		text string
	}{
		{fifo, `{"schedulingPolicyArn":"` + arn + `p"}`, Invalid, "A scheduling policy can not be added to job queue q, which was created without one."},
		{fair, `{"schedulingPolicyArn":""}`, Invalid, "The scheduling policy of job queue q can be replaced, but not removed."},
		{fair, `{"schedulingPolicyArn":"x"}`, Refused, "SchedulingPolicy x not found."},
		{fifo, `{"computeEnvironmentOrder":[]}`, Invalid, "At least 1 compute environment is required in job queue request."},
	} {
		got, change, err := UpdateJobQueue(c.q, []byte(c.req), here)
		wantRefusal(t, err, c.code, c.text)
		if !reflect.DeepEqual(got, c.q) || change != (QueueChange{}) {
			t.Errorf("%s: a refused update changed the queue: %+v %+v", c.req, got, change)
		}
	}

	next, change, err := UpdateJobQueue(fair, []byte(`{"state":"DISABLED","priority":3,"schedulingPolicyArn":"`+arn+`p"}`), here)
	if err != nil || change != (QueueChange{}) || next.State != Disabled || next.Priority != 3 || len(next.ComputeEnvironmentOrder) != 2 {
		t.Errorf("%+v %+v %v", next, change, err)
	}
	next, change, err = UpdateJobQueue(fair, []byte(`{"schedulingPolicyArn":"`+arn+`other","computeEnvironmentOrder":[{"order":9,"computeEnvironment":"z"}]}`), here)
	if err != nil || change != (QueueChange{Environments: true, SchedulingPolicy: true}) || next.SchedulingPolicy != "other" || next.ComputeEnvironmentOrder[0] != (ComputeOrder{9, "z"}) {
		t.Errorf("%+v %+v %v", next, change, err)
	}
	typed := fifo
	typed.Type = QueueECSFargate
	if next, _, err = UpdateJobQueue(typed, []byte(`{"computeEnvironmentOrder":[{"order":1,"computeEnvironment":"ec2"}]}`), here); err != nil {
		t.Fatal(err)
	}
	if next, err = AttachEnvironments(next, []*ComputeEnvironment{{ResourceType: EC2, Status: StatusValid}}); err != nil || next.Type != QueueECS {
		t.Errorf("%+v %v", next, err)
	}
	if next, _, err = UpdateJobQueue(typed, []byte(`{"priority":2147483647}`), here); err != nil || next.Type != QueueECSFargate || next.Priority != 2147483647 {
		t.Errorf("%+v %v", next, err)
	}
	if next, _, err = UpdateJobQueue(fifo, []byte(`{"schedulingPolicyArn":"","jobStateTimeLimitActions":[]}`), here); err != nil || next.SchedulingPolicy != "" {
		t.Errorf("%+v %v", next, err)
	}
}

func TestAttachEnvironments(t *testing.T) {
	t.Parallel()
	env := func(kind, status string) *ComputeEnvironment {
		return &ComputeEnvironment{ResourceType: kind, Status: status}
	}
	notAttachable := "Compute Environments must be created and valid before attaching them to a job queue"
	mixed := "All attached Compute Environments must be of types [EC2, SPOT] or types [FARGATE_SPOT, FARGATE] or types [ECS_MANAGED_INSTANCES], not mixed."
	for _, c := range []struct {
		name, declared string
		envs           []*ComputeEnvironment
		want, text     string
	}{
		{"missing", "", []*ComputeEnvironment{nil}, "", notAttachable},
		{"invalid", "", []*ComputeEnvironment{env(Fargate, StatusInvalid)}, "", notAttachable},
		{"mixed", "", []*ComputeEnvironment{env(Fargate, StatusValid), env(EC2, StatusValid)}, "", mixed},
		{"mixed with unmanaged", "", []*ComputeEnvironment{env("", StatusValid), env(FargateSpot, StatusValid)}, "", mixed},
		{"other type declared", QueueECS, []*ComputeEnvironment{env(Fargate, StatusValid)}, "", "Job queue type ECS does not match its compute environments, which are of type ECS_FARGATE."},
		{"Spot first", "", []*ComputeEnvironment{env(FargateSpot, StatusValid), env(Fargate, StatusValid)}, QueueECSFargate, ""},
		{"EC2 and Spot", QueueECS, []*ComputeEnvironment{env(EC2, StatusValid), env(Spot, StatusValid)}, QueueECS, ""},
		{"unmanaged", "", []*ComputeEnvironment{env("", StatusValid)}, QueueECS, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q, err := AttachEnvironments(JobQueue{Type: c.declared}, c.envs)
			if c.text != "" {
				wantRefusal(t, err, Refused, c.text)
			} else if err != nil || q.Type != c.want {
				t.Errorf("type %q, %v; want %q", q.Type, err, c.want)
			}
		})
	}
}

func TestCheckSchedulingPolicy(t *testing.T) {
	t.Parallel()
	wantRefusal(t, CheckSchedulingPolicy("arn:x", nil), Refused, "SchedulingPolicy arn:x not found.")
	wantRefusal(t, CheckSchedulingPolicy("arn:x", &SchedulingPolicy{QuotaShare: []byte(`{}`)}), Refused,
		"Quota Management feature is only supported for SageMaker Training job queues.")
	if err := CheckSchedulingPolicy("arn:x", &SchedulingPolicy{}); err != nil {
		t.Error(err)
	}
}

// TestTimeLimitFor is the matching of the reference, section 3.5: an action's reason against the part of statusReason
// before " - ".
func TestTimeLimitFor(t *testing.T) {
	t.Parallel()
	actions := []JobStateTimeLimit{
		{Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", State: "RUNNABLE", MaxTimeSeconds: 600},
		{Reason: "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", State: "RUNNABLE", MaxTimeSeconds: 700},
	}
	for _, c := range []struct {
		status Status
		reason string
		want   int
	}{
		{Runnable, ReasonNoCapacity("FARGATE"), 600},
		{Runnable, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", 600},
		{Runnable, "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS – Batch service role has a permission issue.", 700},
		{Starting, ReasonNoCapacity("FARGATE"), 0},
		{Runnable, ReasonTooLarge, 0},
		{Runnable, "CAPACITY:INSUFFICIENT_INSTANCE", 0},
		{Runnable, "", 0},
	} {
		l, ok := TimeLimitFor(actions, c.status, c.reason)
		if l.MaxTimeSeconds != c.want || ok != (c.want != 0) {
			t.Errorf("%v %q: %+v %v", c.status, c.reason, l, ok)
		}
	}
	if got := actions[0].CancelReason(); got != "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" {
		t.Error(got)
	}
}
