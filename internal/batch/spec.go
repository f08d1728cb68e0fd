package batch

import "encoding/json"

// Spec is a job as submitted: the definition with the submission's overrides merged in. It is immutable after SubmitJob
// and shared by all children of an array. Its JSON is how the store keeps it.
type Spec struct {
	JobName    string `json:"jobName"`
	Queue      string `json:"queue"`      // short name
	Definition string `json:"definition"` // name:revision
	Platform   string `json:"platform"`   // Fargate or EC2
	// PlatformDeclared says whether the definition named platformCapabilities; shown only then.
	PlatformDeclared bool `json:"platformDeclared,omitempty"`

	ArraySize int `json:"arraySize,omitempty"` // 2-10,000; 0 for a job that is no array
	// NumNodes is 1-1000 for a multi-node parallel job, else 0. MainNode is the index of its main node.
	NumNodes int `json:"numNodes,omitempty"`
	MainNode int `json:"mainNode,omitempty"`

	DependsOn []Dependency   `json:"dependsOn,omitempty"`
	Retry     *RetryStrategy `json:"retryStrategy,omitempty"`
	Timeout   int            `json:"timeoutSeconds,omitempty"` // attemptDurationSeconds; 0 for none
	Share     string         `json:"shareIdentifier,omitempty"`
	Priority  int            `json:"schedulingPriority,omitempty"` // within the share, 0-9999
	// PriorityDeclared says whether a scheduling priority was given at all.
	PriorityDeclared bool `json:"priorityDeclared,omitempty"`

	Parameters     map[string]string `json:"parameters,omitempty"`
	PropagateTags  bool              `json:"propagateTags,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`           // the job's own
	DefinitionTags map[string]string `json:"definitionTags,omitempty"` // for propagation to the task

	Consumables []ConsumableRequirement `json:"consumables,omitempty"`

	// Exactly one of the three: the properties with overrides and parameters applied, canonical JSON, as DescribeJobs
	// shows them (container without the members of an attempt; nodeProperties with one entry for each range).
	Container json.RawMessage `json:"container,omitempty"`
	ECS       json.RawMessage `json:"ecsProperties,omitempty"`
	Nodes     json.RawMessage `json:"nodeProperties,omitempty"`

	// Demand is what one attempt takes of a compute environment: of the job, of each array child, or of each node (by
	// node index) of a multi-node job. A job that is no multi-node job has exactly one entry.
	Demand []Demand `json:"demand"`

	// FailAtDispatch, if set, is the statusReason with which the job fails instead of starting: checks that AWS makes only
	// at dispatch (overrides over 8,192 characters, more than 50 propagated tags).
	FailAtDispatch string `json:"failAtDispatch,omitempty"`
}

// Demand is what a task occupies.
type Demand struct {
	MilliCPU  int64 `json:"milliCpu"`
	MemoryMiB int64 `json:"memoryMiB"`
	GPU       int64 `json:"gpu,omitempty"`
}

// Dependency is one entry of dependsOn.
type Dependency struct {
	JobID string `json:"jobId,omitempty"`
	Type  string `json:"type,omitempty"` // "", NToN or Sequential
}

// The dependency types (ArrayJobDependency).
const (
	NToN       = "N_TO_N"
	Sequential = "SEQUENTIAL"
)

// RetryStrategy is how often, and after which failures, an attempt is repeated.
type RetryStrategy struct {
	Attempts       int              `json:"attempts"` // all runs together, 1-10
	EvaluateOnExit []EvaluateOnExit `json:"evaluateOnExit,omitempty"`
}

// EvaluateOnExit is one exit rule; absent conditions are empty. Action is kept as sent, in any letter case.
type EvaluateOnExit struct {
	OnStatusReason string `json:"onStatusReason,omitempty"`
	OnReason       string `json:"onReason,omitempty"`
	OnExitCode     string `json:"onExitCode,omitempty"`
	Action         string `json:"action"`
}

// ConsumableRequirement is a quantity of a consumable resource (short name) that a job holds while it runs.
type ConsumableRequirement struct {
	Resource string `json:"consumableResource"`
	Quantity int64  `json:"quantity"`
}

// Attempts is the number of runs the job may have.
func (s *Spec) Attempts() int {
	if s.Retry == nil || s.Retry.Attempts < 1 {
		return 1
	}
	return s.Retry.Attempts
}
