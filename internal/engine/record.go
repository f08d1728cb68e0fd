package engine

import "github.com/batchbox/batchbox/internal/batch"

// WorkState is what changes in the life of a single job, an array child, a node or a multi-node job. Its JSON is the
// state column of their rows; times are in milliseconds, 0 for never.
type WorkState struct {
	StatusReason string `json:"statusReason,omitempty"`
	CreatedAt    int64  `json:"createdAt,omitempty"`
	StartedAt    int64  `json:"startedAt,omitempty"`
	StoppedAt    int64  `json:"stoppedAt,omitempty"`
	// RunnableAt is when it last became RUNNABLE.
	RunnableAt int64 `json:"runnableAt,omitempty"`
	// Cancelled and Terminated are requests taken; StopReason is the caller's text. Cancelled in PENDING takes effect only
	// when the dependencies are settled (reference 3.9).
	Cancelled  bool   `json:"cancelled,omitempty"`
	Terminated bool   `json:"terminated,omitempty"`
	StopReason string `json:"stopReason,omitempty"`
	// Attempts are the finished ones, in order; Current is the one under way.
	Attempts []Attempt `json:"attempts,omitempty"`
	Current  *Attempt  `json:"current,omitempty"`
}

// Attempt is the record of one attempt.
type Attempt struct {
	ComputeEnvironment string `json:"ce"`
	Cluster            string `json:"cluster"` // "AWSBatch-<ce>-<uuid>"
	TaskID             string `json:"taskId"`  // 32 hexadecimal digits
	PlacedAt           int64  `json:"placedAt,omitempty"`
	StartedAt          int64  `json:"startedAt,omitempty"`
	StoppedAt          int64  `json:"stoppedAt,omitempty"`
	StatusReason       string `json:"statusReason,omitempty"`
	// Address is the task's own address, if it has one.
	Address string `json:"address,omitempty"`
	// Stop is why the engine is ending it (one of the stop causes), "" while it is not.
	Stop string `json:"stop,omitempty"`
	// Containers are in the order of the job definition; a job of one container has one, named "default".
	Containers []ContainerResult `json:"containers,omitempty"`
	// Decisive is the index of the container whose end decided; of an attempt that has ended.
	Decisive int `json:"decisive,omitempty"`
}

// ContainerResult is how one container of an attempt ended, or its log stream while it runs.
type ContainerResult struct {
	Name      string `json:"name,omitempty"` // "" means "default"
	LogStream string `json:"logStream,omitempty"`
	ExitCode  *int   `json:"exitCode,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// JobState is what changes in an array parent. Its JSON is the state column of its row.
type JobState struct {
	StatusReason string `json:"statusReason,omitempty"`
	StartedAt    int64  `json:"startedAt,omitempty"`
	StoppedAt    int64  `json:"stoppedAt,omitempty"`
	Cancelled    bool   `json:"cancelled,omitempty"`
	Terminated   bool   `json:"terminated,omitempty"`
	StopReason   string `json:"stopReason,omitempty"`
	// Summary counts the children by batch.Status; written when the parent is final (before that the children tell).
	Summary *[batch.NumStatuses]int `json:"summary,omitempty"`
}

// JobView is a job, array child or node as readers see it: a copy, safe to keep.
type JobView struct {
	Partition batch.Partition
	Seq       int64
	ID        string // with the child's or node's suffix
	Index     int    // array child; -1 otherwise
	Node      int    // node; -1 otherwise
	Spec      *batch.Spec
	Status    batch.Status
	WorkState
	// Summary and SummaryAt are set for array parents.
	Summary   *[batch.NumStatuses]int
	SummaryAt int64
}

// ParentID is the id of the job without the child's or node's suffix.
func (v *JobView) ParentID() string {
	if id, ok := batch.ParseJobID(v.ID); ok {
		return id.Parent
	}
	return v.ID
}
