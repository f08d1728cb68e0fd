package batch

import (
	"cmp"
	"slices"
	"strings"
)

// The values of jobQueueType that batchbox knows by name.
const (
	QueueECS        = "ECS"
	QueueECSFargate = "ECS_FARGATE"
)

// QueueChange is what an UpdateJobQueue request touched beyond the queue's own members, for the caller to check with
// AttachEnvironments and CheckSchedulingPolicy.
type QueueChange struct {
	Environments     bool
	SchedulingPolicy bool
}

// NewJobQueue checks the body of a CreateJobQueue request and makes the queue. What needs a look-up is left to
// AttachEnvironments, which also derives the queue's type, and CheckSchedulingPolicy. Errors are *Error.
func NewJobQueue(raw []byte, p Partition) (JobQueue, error) {
	req, err := parseObject(raw)
	if err != nil {
		return JobQueue{}, err
	}
	q := JobQueue{
		Name:         req.str("jobQueueName"),
		State:        Enabled,
		Status:       StatusValid,
		StatusReason: reasonQueueHealthy,
		Type:         strings.ToUpper(req.str("jobQueueType")),
		Tags:         req.stringMap("tags"),
	}
	if !namePattern().MatchString(q.Name) {
		return JobQueue{}, Invalidf("Job Queue name should match a valid pattern.")
	}
	if err := checkTags(q.Tags); err != nil {
		return JobQueue{}, err
	}
	if q.Type != "" && q.Type != QueueECS && q.Type != QueueECSFargate {
		return JobQueue{}, Unsupportedf("batchbox does not run job queues of type %s", q.Type)
	}
	if !req.has("computeEnvironmentOrder") {
		req["computeEnvironmentOrder"] = []any{}
	}
	if arn := req.str("schedulingPolicyArn"); arn != "" {
		if q.SchedulingPolicy, err = schedulingPolicyName(p, arn); err != nil {
			return JobQueue{}, err
		}
	}
	if err := q.set(req, p); err != nil {
		return JobQueue{}, err
	}
	return q, nil
}

// UpdateJobQueue checks the body of an UpdateJobQueue request against q and returns what the queue becomes, and which
// look-ups its new members need; q itself is unchanged. Errors are *Error.
func UpdateJobQueue(q JobQueue, raw []byte, p Partition) (JobQueue, QueueChange, error) {
	req, err := parseObject(raw)
	if err != nil {
		return q, QueueChange{}, err
	}
	next, change := q, QueueChange{Environments: req.has("computeEnvironmentOrder")}
	if req.has("schedulingPolicyArn") {
		if next.SchedulingPolicy, err = changedPolicy(q, req.str("schedulingPolicyArn"), p); err != nil {
			return q, QueueChange{}, err
		}
		change.SchedulingPolicy = next.SchedulingPolicy != q.SchedulingPolicy
	}
	if err := next.set(req, p); err != nil {
		return q, QueueChange{}, err
	}
	if change.Environments {
		next.Type = "" // unverified: that a queue may move from one family of environments to the other
	}
	return next, change, nil
}

// changedPolicy is the scheduling policy after an update: a fair-share queue may change it, never lose it, and a FIFO
// queue never gets one (API reference, CreateJobQueue).
//
// unverified: the texts.
func changedPolicy(q JobQueue, arn string, p Partition) (string, error) {
	switch {
	case q.SchedulingPolicy == "" && arn == "":
		return "", nil
	case q.SchedulingPolicy == "":
		return "", Invalidf("A scheduling policy can not be added to job queue %s, which was created without one.", q.Name)
	case arn == "":
		return "", Invalidf("The scheduling policy of job queue %s can be replaced, but not removed.", q.Name)
	}
	return schedulingPolicyName(p, arn)
}

// schedulingPolicyName is the name in a scheduling policy's ARN; the service takes no bare names.
func schedulingPolicyName(p Partition, arn string) (string, error) {
	name, ok := p.ResourceName(KindSchedulingPolicy, arn)
	if !ok || !strings.HasPrefix(arn, "arn:") {
		return "", Refusedf("SchedulingPolicy %s not found.", arn)
	}
	return name, nil
}

// set applies the members that create and update have in common.
func (q *JobQueue) set(req object, p Partition) error {
	if !req.empty("serviceEnvironmentOrder") {
		return Unsupportedf("batchbox does not run service environments: serviceEnvironmentOrder is not supported")
	}
	if !req.empty("state") {
		var err error
		if q.State, err = parseState(req, "Job Queue"); err != nil {
			return err
		}
	}
	if n, ok := req.integer("priority"); ok {
		if n < 0 || n > 1<<31-1 {
			// unverified: range and text; old service texts name 0 to 1000.
			return Invalidf("Job Queue priority must be greater than or equal to 0.")
		}
		q.Priority = int(n)
	}
	if req.has("computeEnvironmentOrder") {
		order, err := parseComputeOrder(req.objects("computeEnvironmentOrder"), p)
		if err != nil {
			return err
		}
		q.ComputeEnvironmentOrder = order
	}
	if req.has("jobStateTimeLimitActions") {
		actions, err := parseTimeLimits(req.objects("jobStateTimeLimitActions"))
		if err != nil {
			return err
		}
		q.TimeLimitActions = actions
	}
	return nil
}

// parseComputeOrder reads computeEnvironmentOrder and leaves the entries as they were sent: DescribeJobQueues shows them so
// (the Terraform provider's acceptance test ComputeEnvironmentOrder_multiple, which sends orders 2, 1, 3, plans no change).
func parseComputeOrder(entries []object, p Partition) ([]ComputeOrder, error) {
	switch n := len(entries); {
	case n == 0:
		// unverified: text.
		return nil, Invalidf("At least 1 compute environment is required in job queue request.")
	case n > 3:
		return nil, Invalidf("Only 3 environments are allowed in job queue request.")
	}
	var order []ComputeOrder
	names, orders := map[string]bool{}, map[int64]bool{}
	for _, e := range entries {
		name, ok := p.ResourceName(KindComputeEnvironment, e.str("computeEnvironment"))
		if !ok {
			return nil, Refusedf("%s", environmentNotAttachable)
		}
		n, _ := e.integer("order")
		if names[name] {
			return nil, Invalidf("Duplicate ComputeEnvironments within order list.")
		}
		if orders[n] {
			return nil, Invalidf("Duplicate ComputeEnvironment order values.")
		}
		names[name], orders[n] = true, true
		order = append(order, ComputeOrder{Order: int(n), ComputeEnvironment: name})
	}
	return order, nil
}

// Environments are the names of the queue's compute environments in the order in which they are tried: ascending by Order.
func (q *JobQueue) Environments() []string {
	byOrder := slices.SortedFunc(slices.Values(q.ComputeEnvironmentOrder), func(a, b ComputeOrder) int { return cmp.Compare(a.Order, b.Order) })
	names := make([]string, len(byOrder))
	for i, o := range byOrder {
		names[i] = o.ComputeEnvironment
	}
	return names
}

const environmentNotAttachable = "Compute Environments must be created and valid before attaching them to a job queue"

// AttachEnvironments checks that the queue may have its computeEnvironmentOrder, and returns the queue with its type, which
// follows from the environments; a type that CreateJobQueue was given has to agree. envs are the queue's Environments, nil
// for one that does not exist.
func AttachEnvironments(q JobQueue, envs []*ComputeEnvironment) (JobQueue, error) {
	fargate := 0
	for _, ce := range envs {
		if ce == nil || ce.Status != StatusValid {
			return q, Refusedf("%s", environmentNotAttachable)
		}
		if ce.IsFargate() {
			fargate++
		}
	}
	if fargate != 0 && fargate != len(envs) {
		return q, Refusedf("All attached Compute Environments must be of types [EC2, SPOT] or types [FARGATE_SPOT, FARGATE] or types [ECS_MANAGED_INSTANCES], not mixed.")
	}
	derived := QueueECS
	if fargate != 0 {
		derived = QueueECSFargate
	}
	if q.Type != "" && q.Type != derived {
		// unverified: text.
		return q, Refusedf("Job queue type %s does not match its compute environments, which are of type %s.", q.Type, derived)
	}
	q.Type = derived
	return q, nil
}

// CheckSchedulingPolicy checks that a queue may have policy, which is nil if there is none at arn.
func CheckSchedulingPolicy(arn string, policy *SchedulingPolicy) error {
	switch {
	case policy == nil:
		return Refusedf("SchedulingPolicy %s not found.", arn)
	case policy.QuotaShare != nil:
		return Refusedf("Quota Management feature is only supported for SageMaker Training job queues.")
	}
	return nil
}

// Bounds of maxTimeSeconds (API reference, JobStateTimeLimitAction).
const minTimeLimit, maxTimeLimit = 600, 86400

// parseTimeLimits reads jobStateTimeLimitActions.
//
// unverified: the texts for state, time and reason, by analogy with the one for the action.
func parseTimeLimits(entries []object) ([]JobStateTimeLimit, error) {
	type key struct{ state, reason string }
	seen := map[key]bool{}
	var out []JobStateTimeLimit
	for _, e := range entries {
		n, _ := e.integer("maxTimeSeconds")
		l := JobStateTimeLimit{Reason: e.str("reason"), State: strings.ToUpper(e.str("state")), MaxTimeSeconds: int(n), Action: strings.ToUpper(e.str("action"))}
		k := key{l.State, l.Reason}
		switch {
		case l.Action != "CANCEL":
			return nil, Invalidf("Invalid job action. Valid job actions: [CANCEL]")
		case l.State != Runnable.String():
			return nil, Invalidf("Invalid job state. Valid job states: [RUNNABLE]")
		case n < minTimeLimit || n > maxTimeLimit:
			return nil, Invalidf("Max time seconds must be between %d and %d.", minTimeLimit, maxTimeLimit)
		case l.Reason == "":
			return nil, Invalidf("Job state limit action reason is required.")
		case seen[k]:
			return nil, Invalidf("Duplicate job state limit actions are not allowed.")
		}
		seen[k] = true
		out = append(out, l)
	}
	return out, nil
}

// TimeLimitFor finds the action for a job that heads its queue in status with statusReason: the one whose reason is the
// part of statusReason before its explanation.
func TimeLimitFor(actions []JobStateTimeLimit, status Status, statusReason string) (JobStateTimeLimit, bool) {
	code := reasonCode(statusReason)
	for _, a := range actions {
		if a.State == status.String() && a.Reason == code {
			return a, true
		}
	}
	return JobStateTimeLimit{}, false
}

// reasonCode is what stands before " - " in the status reason of a blocked job; one of the service's texts has a dash of
// another length there.
func reasonCode(statusReason string) string {
	for _, sep := range []string{" - ", " – "} {
		if code, _, ok := strings.Cut(statusReason, sep); ok {
			return code
		}
	}
	return statusReason
}

// CancelReason is the statusReason of a job that the action cancelled.
func (l JobStateTimeLimit) CancelReason() string {
	return "Canceled by JobStateTimeLimit action due to reason: " + l.Reason
}
